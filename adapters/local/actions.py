"""What a person may ask of local jobs: prepared as the exact commands and signals, done once, proved by looking.

A stop, hold or release is a wish in the run's folder, carried out by its supervisor, so that it is done also when the
engine dies right after; where the supervisor is dead, the adapter does it itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
from collections.abc import Mapping
from datetime import date as Date
from typing import Any, Final

from adapters.base import Action, Call, Done, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.local import state as st
from adapters.local import tree
from adapters.local.book import Book, close
from adapters.local.jobs import Job, describe, fill, make_state, run_name
from adapters.local.planner import Planner
from adapters.local.words import clean
from adapters.model import Key, RunKind, State, Verb, parse_key, pipeline_key, run_key

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")


def plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "es" if word.endswith("s") else "s")


class Actions:
    """The verbs over one Book. Every method is quick file work; ``carry_out`` of an orphan's stop takes up to 3 s."""

    def __init__(self, source: str, book: Book, planner: Planner, jobs: Mapping[str, Job]) -> None:
        self.source = source
        self.book = book
        self.planner = planner
        self.jobs = jobs

    # --- finding --------------------------------------------------------------------------------------------------

    def key(self, text: str) -> Key:
        try:
            key = parse_key(text)
        except ValueError as error:
            raise NotFound(clean(str(error), 200)) from None
        if key.source != self.source:
            raise NotFound(f"{clean(text, 100)} is not of the source {self.source}")
        return key

    def job(self, name: str) -> Job:
        if name not in self.jobs:
            raise NotFound(f"no job {clean(name, 100)!r} is configured", "look at [[job]] in the configuration")
        return self.jobs[name]

    def run(self, key: Key) -> tuple[str, st.Record]:
        if key.run is None:
            raise NotFound(f"{clean(str(key), 100)} names a job, not a run")
        name = run_name(key.pipeline, key.run)
        state = self.book.state(name)
        if state is None:
            raise NotFound(
                f"no run {clean(key.run, 80)} of {clean(key.pipeline, 80)} is kept here",
                f"the last {self.book.keep} of a job are",
            )
        return name, state

    def run_key(self, state: st.Record) -> str:
        return run_key(pipeline_key(self.source, state["job"]), state["run"])

    # --- preparing ------------------------------------------------------------------------------------------------

    def prepare(self, action: Action) -> Prepared:
        key = self.key(action.key)
        match action.verb:
            case Verb.START:
                return self._prepare_start(action, self.job(key.pipeline))
            case Verb.PAUSE | Verb.RESUME:
                return self._prepare_schedule(action, self.job(key.pipeline))
            case Verb.HOLD | Verb.RELEASE | Verb.STOP:
                return self._prepare_signal(action, *self.run(key))
            case Verb.RERUN | Verb.RERUN_FAILED | Verb.RERUN_FROM:
                return self._prepare_rerun(action, key, *self.run(key))
            case _:
                raise Unsupported(f"local jobs have no {action.verb}", "start them for a business date instead")

    def _prepare_start(self, action: Action, job: Job) -> Prepared:
        date = action.business_date
        if date is not None:
            date = check_date(date)
        run = run_id(action.client_id)
        if not (self.book.path(run_name(job.name, run))).exists():
            self._refuse_overlap(job)
        shown = date or job.business_date(st.now_ms(), None)
        unused = sorted(set(action.params) - job.parameters())
        note = ", ".join(
            part
            for part in (
                f"no step uses the parameter {', '.join(unused)}" if unused else "",
                "its schedule is paused; this starts it all the same" if job.name in self.planner.paused else "",
                self._queue_note(job),
                describe(job),
            )
            if part
        )
        return Prepared(
            action=action,
            calls=self._exec_calls(job, run, shown, action.params, {}),
            idempotent=True,
            effect=f"one run of {job.name} for {shown}: {plural(len(job.spec.steps), 'step')}",
            proof=f"the run {run} has begun",
            undo="stop that run",
            note=note,
            patience_s=30.0,
            memo={"job": job.name, "run": run, "date": shown, "params": dict(action.params)},
        )

    def _queue_note(self, job: Job) -> str:
        active = len(self.book.of_job(job.name))
        return (
            f"{plural(active, 'run')} before it: it waits for its turn"
            if active and job.spec.overlap == "queue"
            else ""
        )

    def _refuse_overlap(self, job: Job) -> None:
        active = self.book.of_job(job.name)
        if active and job.spec.overlap == "skip":
            raise Conflict(
                f"{job.name} is {active[0][1]['native']} already (run {active[0][1]['run']})",
                'stop that run or wait for its end; overlap = "queue" or "allow" would let both',
            )

    def _exec_calls(
        self, job: Job, run: str, date: str, params: Mapping[str, Any], done: Mapping[str, str]
    ) -> tuple[Call, ...]:
        calls: list[Call] = []
        for step in job.spec.steps:
            if step.name in done:
                continue
            try:
                argv = fill(step.run, date, run, params)
            except ValueError as error:
                raise Conflict(
                    clean(f"{job.name}, step {step.name}: {error}", 200), "give it as --param NAME=VALUE"
                ) from None
            calls.append(
                Call(method="exec", target=shlex.join(argv), body={"step": step.name, "cwd": self.planner.cwd})
            )
        return tuple(calls)

    def _prepare_schedule(self, action: Action, job: Job) -> Prepared:
        paused = action.verb == Verb.PAUSE
        if job.schedule is None and not job.spec.after:
            raise Conflict(f"{job.name} has no schedule: it only runs when started", "nothing is to be paused")
        if paused == (job.name in self.planner.paused):
            raise Conflict(f"{job.name} is {'paused already' if paused else 'not paused'}")
        what = f"the schedule {job.spec.schedule}" if job.schedule else f"the start after {', '.join(job.spec.after)}"
        running = len(self.book.of_job(job.name))
        return Prepared(
            action=action,
            calls=(Call(method="schedule", target=job.name, body={"paused": paused}),),
            idempotent=True,
            effect=f"no new runs by {what}" if paused else f"new runs by {what} again, from the next one on",
            proof="the job reads paused twice in a row" if paused else "the job reads active",
            undo="resume" if paused else "pause",
            note=f"{plural(running, 'run')} active now, which this does not touch" if running and paused else "",
            steady=2 if paused else 1,
            patience_s=15.0,
            memo={"job": job.name, "paused": paused},
        )

    def _prepare_signal(self, action: Action, name: str, state: st.Record) -> Prepared:
        now, job, run = State(state["state"]), state["job"], state["run"]
        if now.terminal:
            raise Conflict(f"the run {run} of {job} has ended already: {state['native']}")
        if action.verb != Verb.STOP and now in (State.QUEUED, State.STOPPING):
            raise Conflict(f"the run {run} of {job} is {state['native']}", "stop it, or pause its schedule")
        if action.verb == Verb.HOLD and now == State.HELD:
            raise Conflict(f"the run {run} of {job} is held already")
        if action.verb == Verb.RELEASE and now != State.HELD:
            raise Conflict(f"the run {run} of {job} is not held, it is {state['native']}")
        pids = self.book.processes(name, state)
        # The processes themselves come and go between the plan and its confirmation: they stand in the note.
        whom = f"every process of run {run}"
        calls = {
            Verb.HOLD: (Call(method="signal", target=f"SIGSTOP → {whom}"),),
            Verb.RELEASE: (Call(method="signal", target=f"SIGCONT → {whom}"),),
            Verb.STOP: (
                Call(method="signal", target=f"SIGTERM, SIGCONT → {whom}"),
                Call(method="signal", target=f"SIGKILL after 2 s → what is left of run {run}"),
            ),
        }[action.verb]
        effect, proof, undo = {
            Verb.HOLD: (
                "every process stands still; its timeout stands still too",
                "no process of the run moves",
                "release",
            ),
            Verb.RELEASE: ("every process goes on where it stood", "no process of the run stands still", "hold"),
            Verb.STOP: (
                "ends every process of it; the steps after it are not run",
                "the run is terminal and no process of it is left",
                "rerun it, whole or from the step that it was in",
            ),
        }[action.verb]
        listed = " ".join(map(str, pids[:12])) + (" …" if len(pids) > 12 else "")
        return Prepared(
            action=action,
            calls=calls,
            idempotent=True,
            effect=effect,
            proof=proof,
            undo=undo,
            note=f"{plural(len(pids), 'process')} now: {listed}" if pids else "no process of it now",
            patience_s=30.0,
            memo={"job": job, "run": run},
        )

    def _prepare_rerun(self, action: Action, key: Key, name: str, state: st.Record) -> Prepared:
        job = self.job(state["job"])
        if not State(state["state"]).terminal:
            raise Conflict(f"the run {state['run']} is {state['native']}", "stop it first, or wait for its end")
        run = run_id(action.client_id)
        if not self.book.path(run_name(job.name, run)).exists():
            self._refuse_overlap(job)
        first = self._first_step(action.verb, key, job, state)
        done: dict[str, str] = {}
        for step in job.spec.steps:
            if first is None or step.name == first:
                break
            done[step.name] = self._done_in(state, step.name)
        date = check_date(action.business_date) if action.business_date else state.get("business_date")
        date = date or job.business_date(st.now_ms(), None)
        params = dict(state.get("params") or {}) | dict(action.params)
        count = len(job.spec.steps) - len(done)
        return Prepared(
            action=action,
            calls=self._exec_calls(job, run, date, params, done),
            idempotent=True,
            effect=f"a new run of {job.name} for {date}"
            + (f" from step {first} on: {count} of {plural(len(job.spec.steps), 'step')}" if done else ", whole"),
            proof=f"the run {run} has begun",
            undo="stop that run",
            note=describe(job),
            patience_s=30.0,
            memo={
                "job": job.name, "run": run, "date": date, "params": params, "done": done, "rerun_of": state["run"],
            },
        )  # fmt: skip

    def _first_step(self, verb: Verb, key: Key, job: Job, state: st.Record) -> str | None:
        """Where a rerun begins; None: from the beginning."""
        names = [step.name for step in job.spec.steps]
        if verb == Verb.RERUN:
            return None
        if verb == Verb.RERUN_FROM:
            if key.step is None:
                raise Conflict("rerun-from needs a step", f"its steps are {', '.join(names)}")
            step = key.step if key.map_index < 0 else f"{key.step}.{key.map_index}"  # a step named "load.2"
            if step not in names:
                raise NotFound(f"{job.name} has no step {clean(step, 80)!r} now", f"its steps are {', '.join(names)}")
            return step
        last: dict[str, st.Record] = {step["name"]: step for step in state["steps"]}  # the last try of each
        for name in names:
            step = last.get(name)
            if step is None or not (State(step["state"]).finished or step.get("done_in")):
                return name
        raise Conflict(f"no step of the run {state['run']} failed", "rerun runs it whole, rerun-from from a step on")

    def _done_in(self, state: st.Record, step: str) -> str:
        for entry in reversed(state["steps"]):
            if entry["name"] == step:
                return entry.get("done_in") or state["run"]
        return state["run"]

    # --- doing ----------------------------------------------------------------------------------------------------

    def send(self, prepared: Prepared) -> SendResult:
        """Do it. Sent again, it does nothing twice: a run is made once, a wish for what is already so changes nothing."""
        action, memo = prepared.action, prepared.memo
        match action.verb:
            case Verb.PAUSE | Verb.RESUME:
                self.planner.set_paused(memo["job"], memo["paused"], action.who, st.now_ms())
                return Sent("paused" if memo["paused"] else "resumed")
            case Verb.START | Verb.RERUN | Verb.RERUN_FAILED | Verb.RERUN_FROM:
                return self._make(action, memo)
            case Verb.HOLD | Verb.RELEASE | Verb.STOP:
                return self._wish(action, run_name(memo["job"], memo["run"]))
            case _:
                return NotSent(f"local jobs have no {action.verb}")

    def _make(self, action: Action, memo: Mapping[str, Any]) -> SendResult:
        job = self.jobs.get(memo["job"])
        if job is None:
            return NotSent(f"the job {memo['job']} is not configured any more")
        key = run_key(pipeline_key(self.source, job.name), memo["run"])
        if self.book.path(run_name(job.name, memo["run"])).exists():
            return Sent(f"the run {memo['run']} was made before", key)
        try:
            self._refuse_overlap(job)
            rerun = memo.get("rerun_of")
            state = make_state(
                job, memo["run"], now=st.now_ms(), date=memo["date"], params=memo["params"], client_id=action.client_id,
                kind=RunKind.RERUN if rerun else RunKind.MANUAL, rerun_of=rerun, done=memo.get("done"),
            )  # fmt: skip
            self.planner.launch(job, state, memo["params"], memo.get("done"))
        except Conflict as error:
            return NotSent(error.what)
        except ValueError as error:
            return NotSent(str(error))
        except OSError as error:
            return NotSent(f"the run could not be written to {self.book.folder}: {error.strerror}")
        return Sent(f"the run {memo['run']} is made", key)

    def _wish(self, action: Action, name: str) -> SendResult:
        folder = self.book.path(name)
        state = self.book.state(name)
        if state is None:
            return NotSent("the run is not there any more")
        if State(state["state"]).terminal:
            return NotSent(f"the run has ended already: {state['native']}")
        key = self.run_key(state)
        waits = state.get("wait") and action.verb == Verb.STOP
        if waits and self.book.end(name, State.STOPPED, "before it began", stopped_by=action.who):
            return Sent("stopped before it began", key)
        wish = {"verb": str(action.verb), "who": action.who, "at": st.now_ms()}
        try:
            st.write_json(folder / "requests" / f"{wish['at']}-{run_id(action.client_id)}.json", wish)
        except OSError as error:
            return NotSent(f"the wish could not be written to {folder}: {error.strerror}")
        if st.supervised(folder):
            self._ring(name)
            return Sent(f"its supervisor is told to {action.verb}", key)
        if state["state"] == State.QUEUED and not state.get("supervisor"):
            return Sent("its supervisor will find it as it begins", key)
        return self._orphan(action, name, key)

    def _ring(self, name: str) -> None:
        """SIGUSR1 to the supervisor, if the pid still is it; else it finds the wish within a second."""
        state = self.book.state(name) or {}
        supervisor = state.get("supervisor")
        if not supervisor:
            return
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(supervisor[0])
            try:
                if tree.same(*supervisor):
                    signal.pidfd_send_signal(handle, signal.SIGUSR1)
            finally:
                os.close(handle)

    def _orphan(self, action: Action, name: str, key: str) -> SendResult:
        """The supervisor is dead: signal the processes from here."""
        lock = st.acquire(self.book.path(name), 0.2)
        if lock is None:
            return Sent(f"its supervisor is told to {action.verb}", key)
        try:
            state = self.book.state(name)
            if state is None or State(state["state"]).terminal:
                return NotSent("the run has ended meanwhile")

            def find() -> list[int]:
                return self.book.processes(name, state)

            if action.verb == Verb.HOLD:
                stood = tree.freeze(find)
                state.update(
                    state=State.HELD, native="held", sub=f"{plural(len(stood), 'process')} held; {state.get('sub')}"
                )
            elif action.verb == Verb.RELEASE:
                tree.thaw(find)
                state.update(
                    state=State.RUNNING,
                    native="running",
                    sub="its supervisor was killed; exit status will not be known",
                )
            else:
                left = tree.end(find)
                close(state, State.STOPPED, st.now_ms(), None)
                state.update(
                    stopped_by=action.who,
                    error=f"could not be ended: process {' '.join(map(str, left))}" if left else None,
                )
            st.write_state(self.book.path(name), state)
        finally:
            os.close(lock)
        return Sent(f"{action.verb} done without its supervisor, which is dead", key)

    # --- proving --------------------------------------------------------------------------------------------------

    def reconcile(self, prepared: Prepared) -> Reconciled:
        action, memo = prepared.action, prepared.memo
        if action.verb in (Verb.PAUSE, Verb.RESUME):
            paused = memo["job"] in self.planner.paused
            words = "paused" if paused else "active"
            return Done(f"the job reads {words}") if paused == memo["paused"] else NotDone(f"the job reads {words}")
        name = run_name(memo["job"], memo["run"])
        state = self.book.state(name)
        if state is None:
            return NotDone(f"there is no run {memo['run']}")
        now, key = State(state["state"]), self.run_key(state)
        if action.verb in (Verb.START, Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM):
            if now == State.QUEUED and not state.get("wait"):
                return NotDone(f"the run {memo['run']} is queued", begun=True)
            word = f"has begun and ended: {state['native']}" if now.terminal else f"is {state['native']}"
            return Done(f"the run {memo['run']} {word}" + (f", {state['sub']}" if state.get("sub") else ""), key)
        pids = self.book.processes(name, state)
        if action.verb == Verb.STOP:
            if now.terminal and not pids:
                return Done(f"{state['native']}, no process of it is left", key)
            return NotDone(f"{state['native']}, {plural(len(pids), 'process')} left")
        if now.terminal:
            return NotDone(f"the run has ended: {state['native']}", final=True)
        moving = [pid for pid in pids if (found := tree.stat(pid)) is not None and found[0] not in "Tt"]
        if action.verb == Verb.HOLD:
            if now == State.HELD and not moving:
                return Done(
                    f"held, {plural(len(pids), 'process')} stand still" if pids else "held between two processes", key
                )
            return NotDone(f"{state['native']}, {plural(len(moving), 'process')} still at work")
        if now != State.HELD and len(moving) == len(pids):
            return Done(f"{state['native']}, {plural(len(pids), 'process')} at work", key)
        return NotDone(f"{state['native']}, {plural(len(pids) - len(moving), 'process')} still stopped")


def run_id(client_id: str) -> str:
    """A client id as a run id: as it is, where it is plain."""
    return _UNSAFE.sub("-", client_id)[:80] or "run"


def check_date(text: str) -> str:
    try:
        return Date.fromisoformat(text).isoformat()
    except ValueError:
        raise Conflict(f"{clean(text, 40)!r} is not a business date", "expected YYYY-MM-DD") from None
