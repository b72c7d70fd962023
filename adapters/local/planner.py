"""When local jobs start by themselves: their schedules, what waits its turn, what follows another job's end.

A tick is known by job and UTC due time, and that is the run's id: whoever comes first makes the run, every other finds
it made. ``ticks.json`` keeps up to when each schedule was looked at, so that ticks of an absence are seen as missed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.local import state as st
from adapters.local.book import Book, close
from adapters.local.jobs import Job, Missing, make_spec, make_state, run_name
from adapters.model import RunKind, State

LATE_MS: Final = 60_000
"""A tick found at most this late still starts; older ones were missed."""
MISSED_SHOWN: Final = 50
QUEUE_LIMIT: Final = 20


def tick_id(due: int) -> str:
    """A tick's run id: its due time, ``20261121T050000Z``."""
    return datetime.fromtimestamp(due / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


class Planner:
    def __init__(self, book: Book, jobs: Mapping[str, Job], config_folder: Path) -> None:
        self.book = book
        self.jobs = jobs
        self.cwd = str(config_folder.resolve())
        self._paused_path = book.folder / "paused.json"
        self._ticks_path = book.folder / "ticks.json"
        self._paused: dict[str, Any] = {}
        self._paused_stamp: tuple[int, int] | None = None
        self._seen: dict[str, dict[str, Any]] = (st.read_json(self._ticks_path) or {}).get("jobs") or {}
        self._next: dict[str, int | None] = {}
        self._finished: dict[tuple[str, str], tuple[int, str]] | None = None

    # --- pausing --------------------------------------------------------------------------------------------------

    @property
    def paused(self) -> dict[str, Any]:
        """Job → since when and by whom, as the file says now: it is the truth, also if another process wrote it."""
        try:
            found = os.stat(self._paused_path)
        except FileNotFoundError:
            return {}
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._paused_stamp:
            self._paused = (st.read_json(self._paused_path) or {}).get("jobs") or {}
            self._paused_stamp = stamp
        return self._paused

    def set_paused(self, job: str, paused: bool, who: str, now: int) -> None:
        """Pause or resume a schedule, durably. Ticks that passed meanwhile are neither made up for nor missed."""
        jobs = dict(self.paused)
        if paused:
            jobs.setdefault(job, {"since": now, "by": who})
        else:
            jobs.pop(job, None)
            self._look_from(job, now)
            st.write_json(self._ticks_path, {"v": 1, "jobs": self._seen})
        st.write_json(self._paused_path, {"v": 1, "jobs": jobs})

    def next_run(self, job: Job, now: int) -> int | None:
        """When the schedule is due next; None without one, or while paused."""
        if job.schedule is None or job.name in self.paused:
            return None
        due = self._next.get(job.name)
        return due if due is not None and due > now else job.schedule.after(now)

    # --- ticking --------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Start what is due, release what waited, follow what ended."""
        due_any, trouble = False, None
        for job in self.jobs.values():
            try:
                if job.schedule is not None and self._due(job, now):
                    due_any = True
            except OSError as error:
                trouble = error  # a full disk: this job's tick is tried again each second, the others go on
        if due_any:
            st.write_json(self._ticks_path, {"v": 1, "jobs": self._seen}, durable=False)
        if trouble is not None:
            raise trouble
        self._follow(now)
        self._release(now)

    def _look_from(self, job: str, now: int) -> None:
        spec = self.jobs[job].spec
        self._seen[job] = {"schedule": f"{spec.schedule} {spec.timezone}", "seen": now}
        self._next.pop(job, None)

    def _due(self, job: Job, now: int) -> bool:
        """Handle the ticks of one job up to ``now``; whether anything was noted."""
        assert job.schedule is not None
        name = job.name
        entry = self._seen.get(name)
        if (
            entry is None
            or entry.get("schedule") != f"{job.spec.schedule} {job.spec.timezone}"
            or entry["seen"] > now + LATE_MS
        ):
            # a new schedule owes nothing of the past; a look from the future means that the clock was wrong
            self._look_from(name, now)
            return True
        if name not in self._next:
            self._next[name] = job.schedule.after(entry["seen"])
        due = self._next[name]
        if due is None or due > now:
            return False
        if name in self.paused:
            self._look_from(name, now)
            return True
        ticks = job.schedule.last(entry["seen"], now, MISSED_SHOWN + 1)
        newest = ticks[-1] if ticks else None
        starts = newest is not None and (now - newest <= LATE_MS or job.spec.catchup == "last")
        for at, tick in enumerate(ticks):
            if tick == newest and starts:
                self._start_tick(job, tick, now)
            elif at > 0 or len(ticks) <= MISSED_SHOWN:
                more = " (and more before it)" if at == 1 and len(ticks) > MISSED_SHOWN else ""
                self._missed(job, tick, newest if starts and job.spec.catchup == "last" else None, more)
        self._look_from(name, now)  # last: what could not be written is found due again
        return True

    def _missed(self, job: Job, tick: int, instead: int | None, more: str) -> None:
        state = make_state(
            job, tick_id(tick), now=tick, date=job.business_date(tick, tick), kind=RunKind.SCHEDULED, due=tick
        )
        if instead is None:
            close(state, State.MISSED, tick, f"Watchfloor was not running when it was due{more}")
        else:
            close(state, State.SKIPPED, tick, f"caught up by {tick_id(instead)}{more}")
        self.book.create(state, None)

    def _start_tick(self, job: Job, tick: int, now: int) -> None:
        run, date = tick_id(tick), job.business_date(now, tick)
        state = make_state(
            job, run, now=now, date=date, kind=RunKind.SCHEDULED, due=tick, client_id=f"{job.name} {run}"
        )
        if now - tick > LATE_MS:
            state["sub"] = "caught up after downtime"
        self.launch(job, state, {})

    # --- making runs ----------------------------------------------------------------------------------------------

    def launch(
        self, job: Job, state: st.Record, params: Mapping[str, Any], done: Mapping[str, str] | None = None
    ) -> bool:
        """Make the run and start it, or let it wait, or show why it was skipped; False if it was made before.

        Raises Missing or ValueError for a person's start; a scheduled one is shown as FAILED instead.
        """
        name = run_name(job.name, state["run"])
        active = self.book.of_job(job.name)
        wait = self._wait(job, state, [n for n, _ in active])
        if isinstance(wait, str):
            close(state, State.SKIPPED, state["queued"], wait)
            return self.book.create(state, None)
        try:
            spec = make_spec(job, state["run"], state["business_date"], params, self.book.floor, self.cwd, done or {})
        except Missing as error:
            if state["kind"] != RunKind.SCHEDULED:
                raise
            close(state, State.FAILED, state["queued"], None)
            state["error"] = f"not started: {error}"
            return self.book.create(state, None)
        if wait is not None:
            state.update(wait=wait, sub=wait["words"])
        if not self.book.create(state, spec):
            return False
        if wait is None:
            self.book.start(name)
        return True

    def _wait(self, job: Job, state: st.Record, active: list[str]) -> dict[str, Any] | str | None:
        """What a new run waits for; or, as a sentence, why it is skipped; None: it starts now."""
        if active and job.spec.overlap == "skip" and state["kind"] == RunKind.SCHEDULED:
            return f"skipped: {active[0].rpartition('@')[2]} was still active"
        if active and job.spec.overlap == "queue":
            if len(active) > QUEUE_LIMIT:
                return f"skipped: {len(active)} runs wait already"
            return {"words": f"waits for {active[-1].rpartition('@')[2]} to end"}
        if state["due"] is not None and (missing := self._unfinished(job, state["business_date"])):
            return {"words": f"waits for {', '.join(missing)} of {state['business_date']}"}
        return None

    def _release(self, now: int) -> None:
        """Start what waited and may go."""
        for name, state in sorted(self.book.active.items(), key=lambda item: (item[1]["queued"], item[0])):
            if not state.get("wait") or State(state["state"]).terminal:
                continue
            job = self.jobs.get(state["job"])
            if job is not None:
                if job.spec.overlap == "queue":
                    earlier = [
                        n
                        for n, s in self.book.of_job(job.name)
                        if n != name and (not s.get("wait") or s["queued"] < state["queued"])
                    ]
                    if earlier:
                        continue
                if state["due"] is not None and self._unfinished(job, state["business_date"]):
                    continue
            if self.book.change(name, wait=None, sub=None) is not None:
                self.book.start(name)

    # --- what follows another job's end -----------------------------------------------------------------------------

    def _follow(self, now: int) -> None:
        """For each run that ended since the last look: start the jobs that come after it."""
        while self.book.settled:
            state = self.book.settled[0]
            if State(state["state"]).finished and state.get("business_date"):
                key = (state["job"], state["business_date"])
                finished = self._index()
                if finished.get(key, (0, ""))[0] <= (state.get("ended") or 0):
                    finished[key] = (state.get("ended") or 0, state["run"])
                for job in self.jobs.values():
                    if state["job"] in job.spec.after and job.schedule is None and job.name not in self.paused:
                        self._chain(job, state["business_date"], now)
            self.book.rest(state)
            self.book.settled.pop(0)

    def _chain(self, job: Job, date: str, now: int) -> None:
        if self._unfinished(job, date):
            return
        finished = self._index()
        parents = sorted(f"{name}/{finished[name, date][1]}" for name in job.spec.after)
        run = f"{date.replace('-', '')}-after-{hashlib.sha256(' '.join(parents).encode()).hexdigest()[:8]}"
        state = make_state(job, run, now=now, date=date, kind=RunKind.SCHEDULED, client_id=f"{job.name} {run}")
        state["sub"] = None
        state["parents"] = parents
        self.launch(job, state, {})

    def _unfinished(self, job: Job, date: str) -> list[str]:
        """Jobs before this one that have not finished for a business date, or are at it again."""
        return [
            name
            for name in job.spec.after
            if (name, date) not in self._index()
            or any(s.get("business_date") == date for _, s in self.book.of_job(name))
        ]

    def _index(self) -> dict[tuple[str, str], tuple[int, str]]:
        """(job, business date) → (when, which run) it last finished; read once, only for jobs that others come after."""
        if self._finished is None:
            found: dict[tuple[str, str], tuple[int, str]] = {}
            for before in {name for job in self.jobs.values() for name in job.spec.after}:
                for run in self.book.newest(run_name(before, "").rpartition("@")[0]):
                    state = self.book.state(run)
                    if state is None or not State(state["state"]).finished or not state.get("business_date"):
                        continue
                    key = (before, state["business_date"])
                    if found.get(key, (0, ""))[0] <= (state.get("ended") or 0):
                        found[key] = (state.get("ended") or 0, state["run"])
            self._finished = found
        return self._finished
