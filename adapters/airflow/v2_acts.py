"""What is done to an Airflow 2, where it differs from Airflow 3: no mask for a run, no null for a date, no states in the answer
of a dry run, and no single instance of a mapped task in what is cleared. The rest is ``acts``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Final

from adapters.airflow import acts, mark, reads
from adapters.airflow.calls import call, n, names, terminal
from adapters.airflow.v2 import AirflowHttp
from adapters.airflow.wire import TASK_STATES, TaskInstance, TaskInstances, ms
from adapters.base import Action, Call, Done, NotDone, Prepared, Reconciled
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.model import Caps, Key, State, Verb, parse_key

VERBS: Final = (
    Verb.START,
    Verb.PAUSE,
    Verb.RESUME,
    Verb.STOP,
    Verb.RERUN,
    Verb.RERUN_FAILED,
    Verb.RERUN_FROM,
    Verb.MARK,
)
_CLEARS: Final = (Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM)
_MEMO_TASKS: Final = 50
_FAILED: Final = ("failed", "upstream_failed")
_NO_BACKFILL: Final = "Airflow 2 has backfills only by its command line, not by its API"


def caps() -> Caps:
    """What an Airflow 2 can be asked for, and why not the rest."""
    return Caps(
        frozenset({*VERBS, "steps", "log", "history", "items", "assets"}),
        {
            Verb.HOLD: "Airflow cannot hold a run; pause stops its DAG from starting further tasks",
            Verb.RELEASE: "Airflow cannot hold a run",
            Verb.BACKFILL: _NO_BACKFILL,
            Verb.BACKFILL_PAUSE: _NO_BACKFILL,
            Verb.BACKFILL_RESUME: _NO_BACKFILL,
            Verb.BACKFILL_CANCEL: _NO_BACKFILL,
            "operations": _NO_BACKFILL,
            "metrics": "Airflow offers none by this API",
        },
    )


async def prepare(http: AirflowHttp, source: str, zone: tzinfo, action: Action) -> Prepared:
    """Reads the thing again and works out the calls, as ``acts.prepare``."""
    if action.verb not in VERBS:
        raise Unsupported(caps().why(action.verb) or f"{action.verb} is not offered for Airflow 2")
    if action.verb in _CLEARS:
        key = _of_run(action, source)
        made = await _prepare_clear(http, key, action)
    elif action.verb is Verb.MARK and (key := _of_run(action, source)).step is not None:
        made = await _prepare_mark(http, key, action)
    else:
        made = await acts.prepare(http, source, zone, action)
    calls = tuple(_as_two(http, one) for one in made.calls)
    return replace(made, calls=calls)


def _as_two(http: AirflowHttp, one: Call) -> Call:
    """A run is patched without a mask, a date that is not meant is not named; ``note`` came with 2.5."""
    body: Any = one.body
    if isinstance(body, dict):
        unknown = {"note"} if not http.since(2, 5) else set[str]()
        body = {k: v for k, v in body.items() if k not in unknown and not (k == "logical_date" and v is None)}
    headers = {**one.headers, "Authorization": http.credential.shown}
    return replace(one, target=one.target.removesuffix("?update_mask=state"), body=body, headers=headers)


def _of_run(action: Action, source: str) -> Key:
    try:
        key = parse_key(action.key)
    except ValueError as err:
        raise NotFound(str(err)) from None
    if key.source != source:
        raise Unsupported(f"{action.key} is not of source {source}")
    if key.run is None:
        raise Unsupported(f"{key} is a DAG; this needs one of its runs")
    if action.verb is Verb.RERUN_FROM and key.step is None:
        raise Unsupported(f"{action.key} is a run; rerun-from needs one of its steps")
    return key


async def _prepare_clear(http: AirflowHttp, key: Key, action: Action) -> Prepared:
    """The dry run answers with names only, one for each instance: their states are read from the run."""
    run_id = key.run or ""
    run = await reads.dag_run(http, key.pipeline, run_id)
    path = f"{reads.dag_path(key.pipeline)}/clearTaskInstances"
    body: dict[str, Any] = {"dag_run_id": run_id, "only_failed": True, "reset_dag_runs": True}
    if action.verb is Verb.RERUN:
        if not terminal(run):
            raise Conflict(f"the run is still {run.state}: stop it first")
        path, body = reads.run_path(key.pipeline, run_id) + "/clear", {}
    elif action.verb is Verb.RERUN_FROM:
        body |= {"only_failed": False, "task_ids": [key.step], "include_downstream": True}
    answer = await http.ask("POST", path, body={"dry_run": True, **body})
    hit = {t.task_id for t in answer.decode(TaskInstances).task_instances}
    tasks = [t for t in await reads.instances(http, key.pipeline, run_id) if t.task_id in hit]
    if body.get("only_failed"):
        tasks = [t for t in tasks if t.state in _FAILED]
    if not tasks:
        if action.verb is Verb.RERUN_FROM:
            raise NotFound(f"the run has no task {key.step}")
        raise Conflict("no task of this run has failed" if body.get("only_failed") else "the run has no tasks to clear")
    busy = [t for t in tasks if t.state in ("running", "restarting", "queued", "deferred")]
    if busy:
        raise Conflict(f"{names(busy)} of it is at work now: stop the run first")
    dag = await reads.dag(http, key.pipeline)
    notes = [f"{dag.dag_id} is paused: they wait until it is resumed"] if dag.is_paused else []
    if key.map_index >= 0 and action.verb is Verb.RERUN_FROM:
        notes.append(f"Airflow 2 clears all instances of {key.step}, not only [{key.map_index}]")
    return Prepared(
        action=action,
        calls=(call(http, "POST", path, {"dry_run": False, **body}),),
        idempotent=False,
        effect=f"{n(len(tasks), 'task')} will run again: {names(tasks)}",
        proof="Airflow shows these tasks cleared and the run queued or running again",
        undo="stop ends it; what the tasks did before is not undone",
        note="; ".join(notes),
        memo={"tasks": [_as_it_is(t) for t in tasks[:_MEMO_TASKS]]},
    )


async def _prepare_mark(http: AirflowHttp, key: Key, action: Action) -> Prepared:
    """Of one task. The dry run only checks: Airflow 2 answers neither it nor the change with what changes. (A run is marked as
    in Airflow 3.)"""
    word = mark.asked(action)
    now, _ = await reads.instance(http, key)
    if now.state == word:
        raise Conflict(f"task {reads.named(now)} is already {word}")
    path = reads.task_path(key) + (f"/{key.map_index}" if key.map_index >= 0 else "")
    await http.ask("PATCH", path, body={"dry_run": True, "new_state": word})
    notes = ["Airflow clears what failed or was cut off after it, and that runs again"]
    if now.state in ("running", "restarting", "deferred", "up_for_reschedule"):
        notes.append("it is at work: its process may go on for some 10 s")
    return Prepared(
        action=action,
        calls=(call(http, "PATCH", path, {"dry_run": False, "new_state": word}),),
        idempotent=True,
        effect=f"1 task declared {word}: {reads.named(now)}; it was {now.state or 'waiting'}",
        proof=f"Airflow says the task is {word}",
        undo=f"mark it {now.state} again" if now.state in mark.AS else "rerun-from runs it again",
        note="; ".join(notes),
        memo={"as": word, "before": now.state, "silent": True},
    )


def _as_it_is(ti: TaskInstance) -> list[Any]:
    return [ti.task_id, ti.map_index, ti.try_number, ti.state, ms(ti.end_date)]


async def reconcile(http: AirflowHttp, prepared: Prepared) -> Reconciled:
    """Reads only. A task has no id here that would change when it is cleared: that it waits again, has a higher try, or ended at
    another time tells."""
    if prepared.action.verb not in _CLEARS:
        return await acts.reconcile(http, prepared)
    key = parse_key(prepared.action.key)
    try:
        run = await reads.dag_run(http, key.pipeline, key.run or "")
    except NotFound:
        return NotDone("Airflow no longer has this run", final=True)
    now = {(t.task_id, t.map_index): t for t in await reads.instances(http, key.pipeline, key.run or "")}
    moved = [was for was in prepared.memo["tasks"] if _moved(was, now.get((was[0], was[1])))]
    if moved:
        words = f"{n(len(moved), 'task')} cleared, the run is {http.words(run.state or '?')}"
        return Done(words, str(key.run_key))
    return NotDone(f"no task was cleared; the run is {http.words(run.state or 'without a state')}")


def _moved(was: Sequence[Any], ti: TaskInstance | None) -> bool:
    if ti is None:
        return False
    _, _, tries, state, ended = was
    if ti.try_number > tries:
        return True
    before = TASK_STATES.get(state or "none", (State.RUNNING, None))[0]
    known = TASK_STATES.get(ti.state or "none")
    if not before.terminal or known is None:
        return False
    return not known[0].terminal or ms(ti.end_date) != ended
