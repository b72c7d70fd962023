"""Jobs of this host, run by Watchfloor itself: the embedded default, source ``local``."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from adapters.base import (
    Action,
    Adapter,
    Listing,
    NotSent,
    Page,
    Prepared,
    Probe,
    Reconciled,
    SendResult,
    SourceSettings,
    Unknown,
)
from adapters.errors import AdapterError, NotFound, Unreachable
from adapters.local import state as st
from adapters.local.actions import Actions
from adapters.local.book import KEEP, Book
from adapters.local.jobs import Job, compile_job, run_name
from adapters.local.planner import Planner
from adapters.local.shape import generated, to_run, to_steps
from adapters.local.words import clean
from adapters.model import (
    Caps,
    JobSpec,
    LogChunk,
    Mode,
    Pipeline,
    Run,
    State,
    StepDef,
    StepRun,
    Trigger,
    Verb,
    pipeline_key,
    run_key,
)

T = TypeVar("T")

_CHUNK = 1 << 20
_RECENT = 10
_OVERLAP_NS = 5_000_000_000
"""An old cursor is read this much earlier: the clock that stamps files moves in grains, and may be set back a little."""

_CAPS = Caps(
    frozenset(
        str(what)
        for what in (
            *(Verb.START, Verb.PAUSE, Verb.RESUME, Verb.HOLD, Verb.RELEASE, Verb.STOP),
            *(Verb.RERUN, Verb.RERUN_FROM, Verb.RERUN_FAILED),
            *("steps", "log", "history", "metrics"),
        )
    ),
    {
        "mark": "a local run ends as its processes end; nothing else decides it",
        "backfill": "not yet: start the job once for each business date",
        "assets": "local jobs declare none",
    },
)


class LocalAdapter(Adapter):
    """``settings.jobs`` are JobSpecs, ``settings.folder`` keeps runs and pauses, ``settings.config_folder`` is their cwd.

    ``options``: ``keep``, how many runs of a job are kept (200). ValueError in one sentence for another option, or if a job
    cannot be read (schedule, zone, business date).
    """

    kind: ClassVar[str] = "local"
    min_poll_s: ClassVar[float] = 0.2
    near = True

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._source = settings.name
        self._jobs: dict[str, Job] = {}
        for spec in settings.jobs:
            assert isinstance(spec, JobSpec)
            if spec.name in self._jobs:
                raise ValueError(f"job {spec.name!r} is there twice")
            self._jobs[spec.name] = compile_job(spec)
        self._book = Book(settings.folder, _keep(settings.options))
        self._planner = Planner(self._book, self._jobs, settings.config_folder)
        self._actions = Actions(self._source, self._book, self._planner, self._jobs)
        self._lock = threading.RLock()
        self._life = secrets.token_hex(4)

    @property
    def caps(self) -> Caps:
        return _CAPS

    async def _off(self, work: Callable[[], T]) -> T:
        """File work in a thread, one at a time."""

        def locked() -> T:
            with self._lock:
                try:
                    os.stat(self.settings.folder / "runs")
                    return work()
                except OSError as error:
                    raise Unreachable(
                        clean(f"{error.filename or self.settings.folder}: {error.strerror or error}", 200),
                        "look whether the disk is full and the state folder is ours",
                        sent=False,
                    ) from None

        return await asyncio.to_thread(locked)

    # --- looking --------------------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        return await self._off(self._probe)

    def _probe(self) -> Probe:
        warnings: list[str] = []
        if not os.path.exists("/proc/self/task"):
            warnings.append("no /proc: processes of a job cannot be followed")
        if not self.settings.config_folder.is_dir():
            warnings.append(f"the jobs' folder {self.settings.config_folder} does not exist")
        try:
            login = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            login = str(os.getuid())
        return Probe(
            version=f"Python {sys.version.split()[0]}",
            identity=login,
            permissions={what: True for what in _CAPS.offers},
            server_time=st.now_ms(),
            warnings=tuple(warnings),
        )

    async def pipelines(self) -> Listing:
        now = st.now_ms()
        return await self._off(lambda: Listing([self._pipeline(job, now) for job in self._jobs.values()], True, now))

    def _pipeline(self, job: Job, now: int) -> Pipeline:
        spec = job.spec
        if job.schedule is not None:
            trigger = job.schedule.trigger
        else:
            trigger = Trigger.EVENT if spec.after else Trigger.MANUAL
        names = [step.name for step in spec.steps]
        return Pipeline(
            key=pipeline_key(self._source, spec.name),
            name=spec.name,
            mode=Mode.PAUSED if spec.name in self._planner.paused else Mode.ACTIVE,
            trigger=trigger,
            schedule=spec.schedule,
            timezone=spec.timezone,
            next_run=self._planner.next_run(job, now),
            owner=spec.owner,
            tags=spec.tags,
            description=spec.description,
            steps=tuple(
                StepDef(
                    name=step.name,
                    after=(names[at - 1],) if at else (),
                    operator=Path(step.run[0]).name if step.run else None,
                )
                for at, step in enumerate(spec.steps)
            ),
            after=tuple(pipeline_key(self._source, name) for name in spec.after),
        )

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        return await self._off(lambda: self._runs(cursor, active_only))

    def _runs(self, cursor: str | None, active_only: bool) -> Page:
        self._book.refresh()
        self._book.care()
        at = st.now_ms()
        if active_only:
            live = [s for s in self._book.active.values() if not State(s["state"]).terminal]
            return Page([to_run(self._source, s) for s in live], cursor, True, at)
        mark = _read_cursor(cursor)
        made_up = mark.get("generated") if mark is not None else 0
        if isinstance(made_up, int):
            runs, more = generated(self.settings.folder, self._source, made_up)
            if more is not None:
                return Page(runs, json.dumps({"generated": more}), False, at)
            names = {name for job in self._book.job_parts() for name in self._book.newest(job)[:_RECENT]}
            names |= set(self._book.active)
        elif mark is not None and mark.get("life") == self._life:
            # what is active comes each time, so that nobody takes a run for gone that is only quiet
            runs, names = [], set(self._book.active)
            for name in reversed(self._book.changed):
                if self._book.changed[name] <= mark["seq"]:
                    break
                names.add(name)
        else:
            runs, names = (
                [],
                set(self._book.since(int((mark or {}).get("ns", 0)) - _OVERLAP_NS)) | set(self._book.active),
            )
        seq = self._book.seq
        found: list[st.Record] = []
        for name in names:
            state = self._book.active.get(name) or self._book.state(name)
            if state is not None:
                found.append(state)
        found.sort(key=lambda s: s.get("updated") or 0)
        # A look takes what was written before it began: a later cursor starts there.
        after = json.dumps({"life": self._life, "seq": seq, "ns": at * 1_000_000})
        return Page([*runs, *(to_run(self._source, s) for s in found)], after, True, at)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        key = self._actions.key(pipeline)

        def read() -> list[Run]:
            self._book.refresh()
            since = st.now_ms() - days * 86_400_000
            found: list[Run] = []
            for name in self._book.newest(run_name(key.pipeline, "").rpartition("@")[0])[:depth]:
                state = self._book.state(name)
                if state is not None and State(state["state"]).terminal:
                    found.append(to_run(self._source, state, backfilled=True))
            if len(found) < depth:
                own = run_key(pipeline_key(self._source, key.pipeline), "")
                offset: int | None = 0
                while offset is not None:
                    runs, offset = generated(self.settings.folder, self._source, offset)
                    found.extend(run for run in runs if run.key.startswith(own))
            found = [run for run in found if (run.started or run.queued or 0) >= since]
            found.sort(key=lambda run: run.started or run.queued or 0, reverse=True)
            return found[:depth]

        return await self._off(read)

    async def read(self, key: str) -> Pipeline | Run:
        parsed = self._actions.key(key)

        def look() -> Pipeline | Run:
            if parsed.run is None:
                return self._pipeline(self._actions.job(parsed.pipeline), st.now_ms())
            self._book.refresh()
            self._book.care()
            try:
                return to_run(self._source, self._actions.run(parsed)[1])
            except NotFound:
                offset: int | None = 0
                while offset is not None:
                    runs, offset = generated(self.settings.folder, self._source, offset)
                    for run in runs:
                        if run.key == parsed.run_key:
                            return run
                raise

        return await self._off(look)

    async def steps(self, run: str) -> Sequence[StepRun]:
        key = self._actions.key(run)

        def look() -> list[StepRun]:
            try:
                return to_steps(self._source, self._actions.run(key)[1])
            except NotFound:
                if key.run is not None and key.run.startswith("gen-"):
                    return []  # made-up runs have no steps
                raise

        return await self._off(look)

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        key = self._actions.key(step)
        return await self._off(lambda: self._log(step, attempt, cursor, key.step, key.map_index))

    def _log(self, text: str, attempt: int, cursor: str | None, step: str | None, index: int) -> LogChunk:
        name, state = self._actions.run(self._actions.key(text))
        if index >= 0 and step is not None:
            step = f"{step}.{index}"  # a step that is named "load.2": local steps are never mapped
        entry = next((s for s in state["steps"] if s["name"] == step and s["try"] == attempt), None)
        if entry is None:
            raise NotFound(f"the run {state['run']} has no try {attempt} of step {step}")
        over = State(entry["state"]).terminal
        path = self._book.path(name) / st.log_name(entry["name"], attempt)
        offset = int(cursor) if cursor and cursor.isdigit() else 0
        try:
            with open(path, "rb") as source:
                size = os.fstat(source.fileno()).st_size
                if offset > size:
                    offset = 0  # truncated by the job itself: read it anew
                source.seek(offset)
                data = source.read(_CHUNK)
        except FileNotFoundError:
            if entry.get("done_in"):
                note = f"not run: done in {entry['done_in']}"
            else:
                note = "never started" if over else "not started yet"
            return LogChunk(b"", str(offset), over, note)
        offset += len(data)
        return LogChunk(data, str(offset), over and offset >= size, None, str(path))

    # --- acting ---------------------------------------------------------------------------------------------------

    async def prepare(self, action: Action) -> Prepared:
        def work() -> Prepared:
            self._book.refresh()
            return self._actions.prepare(action)

        return await self._off(work)

    async def send(self, prepared: Prepared) -> SendResult:
        def work() -> SendResult:
            self._book.refresh()
            try:
                return self._actions.send(prepared)
            except OSError as error:
                return Unknown(f"it may be half done: {clean(str(error), 150)}")

        try:
            return await self._off(work)
        except Unreachable as error:
            return NotSent(error.what)

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        def work() -> Reconciled:
            self._book.refresh()
            self._book.care()
            return self._actions.reconcile(prepared)

        return await self._off(work)

    # --- living ---------------------------------------------------------------------------------------------------

    async def tick(self, now: int) -> None:
        """Look after what runs, start what is due, release what waited. Raises Unreachable if the folder is not usable."""

        def work() -> None:
            self._book.refresh()
            self._book.care()
            self._planner.tick(now)

        await self._off(work)

    def trees(self) -> dict[str, list[int]]:
        """Pids of each active run's processes, by run key: for the host's metrics. Cheap enough for each second."""
        found: dict[str, list[int]] = {}
        for name, state in list(self._book.active.items()):
            if not State(state["state"]).terminal and (pids := self._book.descent(name, state)):
                found[run_key(pipeline_key(self._source, state["job"]), state["run"])] = pids
        return found

    async def stop_all(self, who: str, patience_s: float = 5.0) -> int:
        """Stop every active run, and wait until none is left: for a demo that goes. How many were still active at last."""
        until = time.monotonic() + patience_s
        asked: set[str] = set()
        while True:
            page = await self.runs(None, active_only=True)
            if not page.runs or time.monotonic() >= until:
                return len(page.runs)
            for run in page.runs:
                if run.key not in asked:
                    asked.add(run.key)
                    action = Action(verb=Verb.STOP, key=run.key, client_id=f"stop-{secrets.token_hex(6)}", who=who)
                    try:
                        await self.send(await self.prepare(action))
                    except AdapterError:
                        continue  # it ended, or went, meanwhile: the next look tells
            await asyncio.sleep(0.05)

    @property
    def enabled_schedules(self) -> int:
        """Jobs that start by themselves and are not paused: while there is one, the engine has work."""
        return sum(
            1
            for job in self._jobs.values()
            if (job.schedule or job.spec.after) and job.name not in self._planner.paused
        )


def _read_cursor(cursor: str | None) -> dict[str, Any] | None:
    """A cursor of ours; one that does not read so counts as older than everything."""
    if cursor is None:
        return None
    try:
        found = json.loads(cursor)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _keep(options: Mapping[str, Any]) -> int:
    """How many runs of a job are kept; ValueError in one sentence for any other option, and for what is no number."""
    for name in options:
        if name != "keep":
            raise ValueError(f"options: unknown key {name!r}; known: keep")
    keep = options.get("keep", KEEP)
    if isinstance(keep, bool) or not isinstance(keep, int) or not 1 <= keep <= 100_000:
        raise ValueError(f"options.keep: expected a whole number of runs from 1 to 100000, got {keep!r}")
    return keep
