"""``mark``: a run or one task of it is declared a success or a failure. One PATCH of one thing, tried dry first."""

from __future__ import annotations

from typing import Final

from adapters.airflow import reads
from adapters.airflow.calls import call, n, names, terminal
from adapters.airflow.wire import DagRun, TaskInstance, TaskInstances
from adapters.base import Action, Done, NotDone, NotSent, Prepared, Reconciled, SendResult, Sent
from adapters.errors import Conflict, NotFound
from adapters.http import Answer, Http
from adapters.model import Key

AS: Final = ("success", "failed")
_AT_WORK: Final = ("running", "restarting", "deferred", "up_for_reschedule", "awaiting_input")
_ENDED: Final = ("success", "failed", "skipped", "upstream_failed", "removed")


async def prepare(http: Http, key: Key, action: Action) -> Prepared:
    """Conflict where it is so already, or where another verb is meant; NotFound where there is no such run or task."""
    word = asked(action)
    return await (_a_task if key.step is not None else _a_run)(http, key, action, word)


def asked(action: Action) -> str:
    """``success`` or ``failed``; Conflict where it is neither, or there is more."""
    word = str(action.params.get("as") or "")
    if word not in AS:
        raise Conflict(f"mark needs as = success or failed{f', not {word!r}' if word else ''}")
    if odd := sorted(action.params.keys() - {"as"}):
        raise Conflict(f"mark has no parameter {odd[0]!r}; it has: as")
    return word


async def _a_run(http: Http, key: Key, action: Action, word: str) -> Prepared:
    run = await reads.dag_run(http, key.pipeline, key.run or "")
    if run.state == word:
        raise Conflict(f"the run is already {word}")
    effect, notes = f"the run is declared {word}; it was {run.state}", ["no task runs again"]
    if not terminal(run):
        if word == "failed":
            raise Conflict(f"the run is still {run.state}: stop is what ends it")
        tasks = await reads.instances(http, key.pipeline, key.run or "")
        busy = [t for t in tasks if t.state in _AT_WORK]
        waiting = [t for t in tasks if t not in busy and t.state not in _ENDED]
        effect = f"the {run.state} run is declared {word}"
        parts = [f"{n(len(busy), 'task')} cut off: {names(busy)}"] if busy else []
        parts += [f"{len(waiting)} skipped"] if waiting else []
        effect += f" ({'; '.join(parts)})" if parts else ""
        notes = ["a running process may go on for some 10 s"] if busy else []
    path = reads.run_path(key.pipeline, key.run or "") + "?update_mask=state"
    return Prepared(
        action=action,
        calls=(call(http, "PATCH", path, {"state": word}),),
        idempotent=True,
        effect=effect,
        proof=f"Airflow says the run is {word}",
        undo=f"mark it {run.state} again" if run.state in AS else "",
        note="; ".join(notes),
        memo={"as": word, "before": run.state},
    )


async def _a_task(http: Http, key: Key, action: Action, word: str) -> Prepared:
    """Asks the dry run of the same call: what it lists is what would change, and nothing else."""
    now, _ = await reads.instance(http, key)
    if now.state == word:
        raise Conflict(f"task {reads.named(now)} is already {word}")
    path = reads.task_path(key) + (f"/{key.map_index}" if key.map_index >= 0 else "")
    body = {"new_state": word}
    answer = await http.ask("PATCH", f"{path}/dry_run?update_mask=new_state", body=body)
    listed = answer.decode(TaskInstances).task_instances
    if not listed:
        raise Conflict(f"Airflow would change nothing of task {reads.named(now)}, which is {now.state or 'waiting'}")
    wrong = [t for t in listed if t.task_id != key.step or (key.map_index >= 0 and t.map_index != key.map_index)]
    if wrong:
        raise Conflict(f"Airflow would change other tasks too: {names(wrong)}")
    run = await reads.dag_run(http, key.pipeline, key.run or "")
    notes = ["Airflow clears what failed or was cut off after it, and that runs again"]
    if now.state in _AT_WORK:
        notes.append("it is at work: its process may go on for some 10 s")
    return Prepared(
        action=action,
        calls=(call(http, "PATCH", f"{path}?update_mask=new_state", body),),
        idempotent=True,
        effect=f"{n(len(listed), 'task')} declared {word}: {names(listed)}; it was {now.state or 'waiting'}",
        proof=f"Airflow says the task is {word}",
        undo=f"mark it {now.state} again" if now.state in AS else "rerun-from runs it again",
        note="; ".join(notes),
        memo={"as": word, "before": now.state, "run": run.state},
    )


def taken(key: Key, prepared: Prepared, answer: Answer) -> SendResult:
    """What a 2xx says, compared with what was asked for."""
    word = str(prepared.memo["as"])
    if prepared.memo.get("silent"):
        return Sent("Airflow took it, without a word about it", str(key.run_key))
    if key.step is None:
        state = answer.decode(DagRun).state
    else:
        said = answer.decode(TaskInstances).task_instances
        if not said:
            return NotSent("Airflow changed no task")
        state = next((t.state for t in said if t.state != word), word)
    as_asked = state == word
    words = f"Airflow answers: {state}" if as_asked else f"accepted, but Airflow still answers: {state}"
    return Sent(words, str(key.run_key))


async def reconcile(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    """The word itself is the fact: it was another when the action was prepared."""
    word = str(prepared.memo["as"])
    try:
        now: DagRun | TaskInstance
        if key.step is None:
            now = await reads.dag_run(http, key.pipeline, key.run or "")
        else:
            now, _ = await reads.instance(http, key)
    except NotFound:
        return NotDone("Airflow no longer has it", final=True)
    what = "the run" if key.step is None else f"task {key.step}"
    state = http.words(now.state or "without a state")
    if now.state == word:
        return Done(f"{what} is {word}", str(key.run_key))
    return NotDone(f"{what} is still {state}")
