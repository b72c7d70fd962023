"""``stop``, ``rerun-failed`` and ``rerun-from`` of a run of a job: cancel, and repair within the same run."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from adapters.base import Action, Done, NotDone, Prepared, Reconciled, SendResult, Sent, Several, Unknown
from adapters.databricks import reads
from adapters.databricks.calls import CANCEL, REPAIR, call, n, names
from adapters.databricks.states import judge
from adapters.databricks.tasks import latest, state_of
from adapters.databricks.wire import JobRun, TaskRun, native_pipeline, time
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, State, Verb

_MEMO: Final = 200
_AGAIN: Final = frozenset(("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "CANCELED"))


class _Repaired(msgspec.Struct):
    repair_id: int | None = None


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    run, _ = await reads.run(http, reads.number(key.run or "", "run"), history=True)
    if native_pipeline(run) != key.pipeline:
        raise NotFound(f"run {run.run_id} is none of {key.pipeline}")
    native, state, _ = judge(run.state, run.status, ended=time(run.end_time) is not None)
    if action.verb is Verb.STOP:
        return _stop(http, run, action, native, state)
    if not state.terminal:
        raise Conflict(f"the run is still {native}: stop it first")
    return _repair(http, run, key, action)


def _stop(http: Http, run: JobRun, action: Action, native: str, state: State) -> Prepared:
    if state.terminal:
        raise Conflict(f"the run has already ended: {native}")
    tasks = latest(run)
    busy = [name for name, t in tasks.items() if state_of(t)[1] in (State.RUNNING, State.STOPPING)]
    waiting = [name for name, t in tasks.items() if state_of(t)[1] in (State.QUEUED, State.RETRYING)]
    parts = [f"{n(len(busy), 'task')} ends: {names(busy)}"] if busy else []
    parts += [f"{len(waiting)} will not run"] if waiting else []
    return Prepared(
        action=action,
        calls=(call(http, CANCEL, {"run_id": run.run_id}),),
        idempotent=True,
        effect="ends the run" + (f" ({'; '.join(parts)})" if parts else ""),
        proof="Databricks says the run has ended",
        undo="rerun-failed runs again what was cut off; what tasks did is not undone",
        note="Databricks ends it by and by: it is TERMINATING first",
        patience_s=300.0,
    )


def _repair(http: Http, run: JobRun, key: Key, action: Action) -> Prepared:
    tasks = latest(run)
    if not tasks:
        raise Unsupported("Databricks tells of no tasks of this run, so none can be run again")
    body: dict[str, Any] = {"run_id": run.run_id}
    if action.verb is Verb.RERUN_FROM:
        if key.step is None:
            raise Unsupported(f"{action.key} is a run; rerun-from needs one of its steps")
        if key.step not in tasks:
            raise NotFound(f"the run has no task {key.step}")
        again = downstream(tasks, key.step)
        body |= {"rerun_tasks": [key.step], "rerun_dependent_tasks": True}
    else:
        again = [name for name, t in tasks.items() if _failed(t)]
        if not again:
            raise Conflict("no task of this run has failed")
        body |= {"rerun_all_failed_tasks": True}
    repairs = [r.id for r in run.repair_history or () if r.id is not None]
    if repairs:
        body["latest_repair_id"] = repairs[-1]
    return Prepared(
        action=action,
        calls=(call(http, REPAIR, body),),
        idempotent=False,
        effect=f"{n(len(again), 'task')} will run again: {names(again)}",
        proof="Databricks shows a new repair of this run, or new runs of its tasks",
        undo="stop ends it; what the tasks did before is not undone",
        note="within the same run, with the job's tasks as they are now",
        # pairs: a task may be called like a secret, and a value under such a name would not be kept
        memo={"repairs": repairs, "tasks": [[name, t.run_id] for name, t in list(tasks.items())[:_MEMO]]},
    )


def _failed(task: TaskRun) -> bool:
    """It failed, was cut off, or did not run for what came before it."""
    result = (task.state.result_state if task.state else None) or ""
    return state_of(task)[1] in (State.FAILED, State.TIMED_OUT, State.STOPPED) or result in _AGAIN


def downstream(tasks: dict[str, TaskRun], step: str) -> list[str]:
    """That task and all that come after it, directly or not."""
    found = [step]
    for name in found:
        found += [t for t, task in tasks.items() if name in task.after and t not in found]
    return found


def taken(key: Key, prepared: Prepared, answer: Answer) -> tuple[SendResult, str | None]:
    """How it was taken, and the id of the repair that it answers with."""
    if prepared.action.verb is Verb.STOP:
        if answer.body.strip() not in (b"", b"{}") and (answer.html or not isinstance(_json(answer), dict)):
            return Unknown("Databricks answers with something else; it may have happened"), None
        return Sent("Databricks took it", str(key.run_key)), None
    repair = answer.decode(_Repaired).repair_id
    if repair is None:
        return Unknown("Databricks answers with no repair; it may have happened"), None
    return Sent(f"Databricks answers: repair {repair}", str(key.run_key)), str(repair)


def _json(answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None


async def is_stopped(http: Http, key: Key) -> Reconciled:
    try:
        run, _ = await reads.run(http, reads.number(key.run or "", "run"))
    except NotFound:
        return NotDone("Databricks no longer has this run", final=True)
    native, state, sub = judge(run.state, run.status, ended=time(run.end_time) is not None)
    if native.endswith("?"):
        return NotDone(f"the run is {native}, which is not known here")
    if not state.terminal:
        begun = native == "TERMINATING"
        return NotDone(f"stop was asked for, the run is still {native}", begun=begun)
    if state is State.STOPPED:
        return Done(f"the run has ended: {native}" + (f" ({sub})" if sub else ""), str(key.run_key))
    return Done(f"the run had ended by itself: {native}", str(key.run_key))


async def is_repaired(http: Http, key: Key, prepared: Prepared, answered: str | None) -> Reconciled:
    """The repair that was ``answered`` with is there. Where only it is known that it was taken (``Prepared.answered``): the first
    that is new, since each further one has to name it. Databricks tells nobody's name with a repair: whose one is after a
    lost answer, a person must say."""
    try:
        run, _ = await reads.run(http, reads.number(key.run or "", "run"), history=True)
    except NotFound:
        return NotDone("Databricks no longer has this run", final=True)
    native = judge(run.state, run.status, ended=time(run.end_time) is not None)[0]
    known = set(prepared.memo.get("repairs", ()))
    new = [r.id for r in run.repair_history or () if r.id is not None and r.id not in known]
    ours = (
        next((i for i in new if str(i) == answered), None)
        if answered
        else new[0]
        if new and prepared.answered
        else None
    )
    if ours is not None:
        return Done(f"repair {ours} is there, the run is {native}", str(key.run_key))
    if answered:
        return NotDone(f"Databricks answered with repair {answered} and shows none such; the run is {native}")
    before = {str(name): ident for name, ident in prepared.memo.get("tasks", ())}
    moved = [t for t, task in latest(run).items() if t in before and before[t] != task.run_id]
    if not new and not moved:
        return NotDone(f"no task began anew; the run is {native}")
    what = f"repair {new[0]}" if len(new) == 1 else n(len(new), "repair") if new else f"{n(len(moved), 'task')} anew"
    return Several(
        f"{what} of this run began since, and Databricks does not tell who asked for it", (str(key.run_key),)
    )
