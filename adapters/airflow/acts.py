"""What is done to Airflow: the exact calls, how they are sent, and how the world is asked whether they took effect.

Airflow answers 200 to much that changes nothing (a wrong mask, an unknown task, a dry run by default), so nothing here
takes 200 for success: ``send`` reads the answer, ``reconcile`` reads the world.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final

import msgspec

from adapters.airflow import backfills, mark, reads
from adapters.airflow.calls import call as _call
from adapters.airflow.calls import count_active as _count_active
from adapters.airflow.calls import n as _n
from adapters.airflow.calls import names as _names
from adapters.airflow.calls import terminal as _terminal
from adapters.airflow.calls import too_much
from adapters.airflow.wire import (
    OWN,
    RUN_STATES,
    TASK_STATES,
    Dag,
    DagRun,
    TaskInstance,
    TaskInstances,
    iso,
    ms,
)
from adapters.base import (
    Action,
    Done,
    NotDone,
    NotSent,
    Prepared,
    Reconciled,
    SendResult,
    Sent,
    Unknown,
)
from adapters.errors import AdapterError, Conflict, NotFound, Unsupported
from adapters.http import Answer, Http
from adapters.model import Key, State, Verb, parse_key, pipeline_key, run_key
from adapters.shared import not_taken

VERBS: Final = (
    Verb.START,
    Verb.PAUSE,
    Verb.RESUME,
    Verb.STOP,
    Verb.RERUN,
    Verb.RERUN_FAILED,
    Verb.RERUN_FROM,
    Verb.MARK,
    *backfills.VERBS,
)
_MEMO_TASKS: Final = 50
_HOUR_MS: Final = 3_600_000


async def prepare(http: Http, source: str, zone: tzinfo, action: Action) -> Prepared:
    """Reads the thing again and works out the calls. Conflict where it makes no sense now, NotFound, Unsupported."""
    try:
        key = parse_key(action.key)
    except ValueError as err:
        raise NotFound(str(err)) from None
    if key.source != source:
        raise Unsupported(f"{action.key} is not of source {source}")
    match action.verb:
        case Verb.PAUSE | Verb.RESUME:
            return await _prepare_pause(http, key, action)
        case Verb.START:
            return await _prepare_start(http, key, zone, action)
        case Verb.STOP:
            return await _prepare_stop(http, _with_run(key), action)
        case Verb.RERUN | Verb.RERUN_FAILED | Verb.RERUN_FROM:
            return await _prepare_rerun(http, _with_run(key), action)
        case Verb.MARK:
            return await mark.prepare(http, _with_run(key), action)
        case Verb.BACKFILL | Verb.BACKFILL_PAUSE | Verb.BACKFILL_RESUME | Verb.BACKFILL_CANCEL:
            return await backfills.prepare(http, source, zone, Key(key.source, key.pipeline), action)
        case _:
            raise Unsupported(f"{action.verb} is not offered for Airflow")


def _with_run(key: Key) -> Key:
    if key.run is None:
        raise Unsupported(f"{key} is a DAG; this needs one of its runs")
    return key


# --- prepare --------------------------------------------------------------------------------------------------------


async def _prepare_pause(http: Http, key: Key, action: Action) -> Prepared:
    dag = await reads.dag(http, key.pipeline)
    want = action.verb is Verb.PAUSE
    if dag.is_paused == want:
        raise Conflict(f"{dag.dag_id} is already {'paused' if want else 'active'}")
    active = await _count_active(http, dag.dag_id)
    if want:
        effect = f"no new scheduled runs of {dag.dag_id}"
        note = f"{_n(active, 'active run')} will start no further tasks until it is resumed" if active else ""
    else:
        effect = f"scheduled runs of {dag.dag_id} again"
        note = f"{_n(active, 'run')} that waited will go on" if active else ""
    return Prepared(
        action=action,
        calls=(_call(http, "PATCH", f"{reads.dag_path(dag.dag_id)}?update_mask=is_paused", {"is_paused": want}),),
        idempotent=True,
        effect=effect,
        proof=f"Airflow says is_paused = {str(want).lower()} in two readings",
        undo="resume" if want else "pause",
        note=note,
        steady=2,
        patience_s=60.0,
        memo={"paused": want},
    )


async def _prepare_start(http: Http, key: Key, zone: tzinfo, action: Action) -> Prepared:
    """Our own run id makes it safe to ask twice. Without a business date the logical date stays null, as in Airflow's
    own dialog. With one it is noon of that day in the source's zone plus up to an hour of offset drawn from our id:
    Airflow allows each logical date only once for a DAG, and the schedule's own run has usually taken midnight."""
    dag = await reads.dag(http, key.pipeline)
    run_id = OWN + action.client_id
    notes: list[str] = []
    logical: str | None = None
    if action.business_date is not None:
        logical = _logical(action.business_date, zone, action.client_id)
        notes.append(f"logical date {logical}: noon of {action.business_date} plus an offset, each is allowed once")
    if dag.is_paused:
        notes.append(f"{dag.dag_id} is paused: the run waits until it is resumed")
    try:
        conf = msgspec.to_builtins(dict(action.params), str_keys=True)
    except (TypeError, ValueError):
        raise Conflict("the parameters cannot be written as JSON") from None
    body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": logical, "conf": conf}
    if action.who:
        body["note"] = f"started by {action.who} with Watchfloor"
    return Prepared(
        action=action,
        calls=(_call(http, "POST", f"{reads.dag_path(dag.dag_id)}/dagRuns", body),),
        idempotent=True,
        effect=f"one run of {dag.dag_id} now" + (f" for {action.business_date}" if action.business_date else ""),
        proof=f"Airflow shows run {run_id} started, or why it waits",
        undo="stop the run",
        note="; ".join(notes),
        memo={"run": run_id},
    )


def _logical(day: str, zone: tzinfo, client_id: str) -> str:
    try:
        noon = datetime.combine(date.fromisoformat(day), time(12), zone)
    except ValueError:
        raise Conflict(f"{day!r} is not a business date: expected YYYY-MM-DD") from None
    at = noon + timedelta(milliseconds=zlib.crc32(client_id.encode()) % _HOUR_MS)
    stamp = ms(at)
    assert stamp is not None
    return iso(stamp)


async def _prepare_stop(http: Http, key: Key, action: Action) -> Prepared:
    run = await reads.dag_run(http, key.pipeline, key.run or "")
    if _terminal(run):
        raise Conflict(f"the run has already ended: {run.state}")
    tasks = await reads.instances(http, key.pipeline, key.run or "")
    busy = [t for t in tasks if t.state in ("running", "restarting", "deferred", "up_for_reschedule")]
    waiting = [t for t in tasks if _of(t) in (State.QUEUED, State.RETRYING, State.HELD) and t not in busy]
    parts = [f"{_n(len(busy), 'task')} ends: {_names(busy)}"] if busy else []
    parts += [f"{len(waiting)} will not run"] if waiting else []
    return Prepared(
        action=action,
        calls=(
            _call(
                http, "PATCH", reads.run_path(key.pipeline, key.run or "") + "?update_mask=state", {"state": "failed"}
            ),
        ),
        idempotent=True,
        effect="ends the run" + (f" ({'; '.join(parts)})" if parts else ""),
        proof="Airflow says the run has ended",
        undo="rerun-failed runs again what was cut off; what tasks did is not undone",
        note='Airflow has no word for stopped and will say "failed"; a running process may go on for some 10 s',
        patience_s=300.0,
    )


async def _prepare_rerun(http: Http, key: Key, action: Action) -> Prepared:
    run = await reads.dag_run(http, key.pipeline, key.run or "")
    if action.verb is Verb.RERUN:
        if not _terminal(run):
            raise Conflict(f"the run is still {run.state}: stop it first")
        path = reads.run_path(key.pipeline, key.run or "") + "/clear"
        body: dict[str, Any] = {"only_failed": False}
    else:
        path = f"{reads.dag_path(key.pipeline)}/clearTaskInstances"
        body = {"dag_run_id": key.run, "only_failed": True, "reset_dag_runs": True}
        if action.verb is Verb.RERUN_FROM:
            if key.step is None:
                raise Unsupported(f"{action.key} is a run; rerun-from needs one of its steps")
            task = [key.step, key.map_index] if key.map_index >= 0 else key.step
            body |= {"only_failed": False, "task_ids": [task], "include_downstream": True}
    answer = await http.ask("POST", path, body={"dry_run": True, **body})
    listed = answer.decode(TaskInstances).task_instances
    if not listed:
        if action.verb is Verb.RERUN_FROM:
            raise NotFound(f"the run has no task {key.step}")
        raise Conflict("no task of this run has failed" if body["only_failed"] else "the run has no tasks to clear")
    busy = [t for t in listed if t.state in ("running", "restarting", "queued", "deferred")]
    if busy:
        raise Conflict(f"{_names(busy)} of it is at work now: stop the run first")
    dag = await reads.dag(http, key.pipeline)
    return Prepared(
        action=action,
        calls=(_call(http, "POST", path, {"dry_run": False, **body}),),
        idempotent=False,
        effect=f"{_n(len(listed), 'task')} will run again: {_names(listed)}",
        proof="Airflow shows these tasks cleared and the run queued or running again",
        undo="stop ends it; what the tasks did before is not undone",
        note=f"{dag.dag_id} is paused: they wait until it is resumed" if dag.is_paused else "",
        memo={
            "queued": ms(run.queued_at),
            "tasks": [[t.task_id, t.map_index, t.try_number, t.id] for t in listed[:_MEMO_TASKS]],
        },
    )


# --- send -----------------------------------------------------------------------------------------------------------


async def send(http: Http, source: str, prepared: Prepared) -> SendResult:
    """Sends the prepared calls as they are. What fails before it left this host is NotSent, what may have arrived
    without a readable answer is Unknown."""
    result: SendResult = NotSent("there was nothing to send")
    for call in prepared.calls:
        if not call.target.startswith(http.base + "/"):
            return NotSent("the call is not one of this source")
        path = call.target.removeprefix(http.base)
        if (why := too_much(call.method, path, call.body)) is not None:
            return NotSent(why)
        try:
            if http.auth is not None:
                await http.auth.headers(http)  # so that a failure to get a token is never one of the call
        except AdapterError as err:
            return NotSent(err.what)
        try:
            answer = await http.ask(call.method, path, body=call.body)
            result = _taken(source, prepared, answer)
        except Conflict as err:
            return await _after_conflict(http, source, prepared, err)
        except AdapterError as err:
            return not_taken(err)
        if not isinstance(result, Sent):
            return result
    return result


async def _after_conflict(http: Http, source: str, prepared: Prepared, err: Conflict) -> SendResult:
    """409 to our own run id: this very action has made it before. To anything else: refused."""
    if prepared.action.verb is not Verb.START:
        return NotSent(err.what)
    key = parse_key(prepared.action.key)
    run_id = str(prepared.memo["run"])
    try:
        await reads.dag_run(http, key.pipeline, run_id)
    except NotFound:
        return NotSent(f"{err.what}: there is a run with this logical date already")
    except AdapterError as more:
        return Unknown(f"{err.what}; and whether our run is there could not be asked: {more.what}")
    return Sent("already there: this action had made it before", run_key(key.pipeline_key, run_id))


def _taken(source: str, prepared: Prepared, answer: Answer) -> SendResult:
    """What a 2xx says. It is compared with what was asked for; a difference is said, and left to ``reconcile``."""
    verb = prepared.action.verb
    key = parse_key(prepared.action.key)
    if verb in backfills.VERBS:
        return backfills.taken(key, prepared, answer)
    if verb is Verb.MARK:
        return mark.taken(key, prepared, answer)
    if verb in (Verb.PAUSE, Verb.RESUME):
        said = answer.decode(Dag)
        word = "paused" if said.is_paused else "active"
        as_asked = said.is_paused == prepared.memo["paused"]
        return Sent(f"Airflow answers: {word}" if as_asked else f"accepted, but Airflow still answers: {word}")
    if verb in (Verb.RERUN_FAILED, Verb.RERUN_FROM):
        cleared = answer.decode(TaskInstances).task_instances
        return Sent(f"Airflow cleared {_n(len(cleared), 'task')}") if cleared else NotSent("Airflow cleared nothing")
    run = answer.decode(DagRun)
    if verb is Verb.START and run.dag_run_id != prepared.memo["run"]:
        return Unknown(f"Airflow answers with another run: {answer.where}")
    made = run_key(pipeline_key(source, run.dag_id), run.dag_run_id) if verb is Verb.START else None
    wanted = {Verb.STOP: ("failed", "success"), Verb.RERUN: ("queued", "running")}.get(verb)
    if wanted is None or run.state in wanted:
        return Sent(f"Airflow answers: {run.state}", made or str(key))
    return Sent(f"accepted, but Airflow still answers: {run.state}", str(key))


# --- reconcile ------------------------------------------------------------------------------------------------------


async def reconcile(http: Http, prepared: Prepared) -> Reconciled:
    """Reads only. Done needs a fact that was not so when the action was prepared."""
    ask: Mapping[Verb, Callable[[Http, Key, Prepared], Awaitable[Reconciled]]] = {
        Verb.PAUSE: _is_paused,
        Verb.RESUME: _is_paused,
        Verb.START: _is_started,
        Verb.STOP: _is_stopped,
        Verb.RERUN: _is_cleared,
        Verb.RERUN_FAILED: _is_cleared,
        Verb.RERUN_FROM: _is_cleared,
        Verb.MARK: mark.reconcile,
        **dict.fromkeys(backfills.VERBS, backfills.reconcile),
    }
    return await ask[prepared.action.verb](http, parse_key(prepared.action.key), prepared)


async def _is_paused(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    dag = await reads.dag(http, key.pipeline)
    words = "paused" if dag.is_paused else "active" if dag.is_paused is False else "not saying"
    return Done(f"{dag.dag_id} is {words}") if dag.is_paused is prepared.memo["paused"] else NotDone(f"still {words}")


async def _is_started(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    run_id = str(prepared.memo["run"])
    try:
        run = await reads.dag_run(http, key.pipeline, run_id)
    except NotFound:
        return NotDone(f"Airflow has no run {run_id}")
    ours = run_key(key.pipeline_key, run.dag_run_id)
    if run.state not in RUN_STATES:
        return NotDone(f"run {run_id} is there, its state is not known: {http.words(run.state or 'none')}", begun=True)
    if run.state != "queued":
        return Done(f"run {run_id} is {run.state}", ours)
    dag = await reads.dag(http, key.pipeline)
    if dag.is_paused:
        return Done(f"run {run_id} is queued: {dag.dag_id} is paused", ours)
    running = await _count_active(http, key.pipeline, "running")
    if dag.max_active_runs and running >= dag.max_active_runs:
        return Done(f"run {run_id} is queued: {running} of {dag.max_active_runs} runs are active", ours)
    return NotDone(f"run {run_id} is there and still queued", begun=True)


async def _is_stopped(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    try:
        run = await reads.dag_run(http, key.pipeline, key.run or "")
    except NotFound:
        return NotDone("Airflow no longer has this run", final=True)
    if not _terminal(run):
        return NotDone(f"stop was asked for, the run is still {http.words(run.state or 'without a state')}")
    if run.state == "success":
        return Done("the run had ended by itself: success", str(key))
    return Done("the run has ended (Airflow calls it failed)", str(key))


async def _is_cleared(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    """A cleared task has a new id, or a higher try, than when the action was prepared."""
    try:
        run = await reads.dag_run(http, key.pipeline, key.run or "")
    except NotFound:
        return NotDone("Airflow no longer has this run", final=True)
    before = {(str(t[0]), int(t[1])): (int(t[2]), t[3]) for t in prepared.memo["tasks"]}
    now = {(t.task_id, t.map_index): t for t in await reads.instances(http, key.pipeline, key.run or "")}
    moved = [t for k, t in now.items() if k in before and _moved(t, *before[k])]
    if moved:
        return Done(f"{_n(len(moved), 'task')} cleared, the run is {http.words(run.state or '?')}", str(key.run_key))
    return NotDone(f"no task was cleared; the run is {http.words(run.state or 'without a state')}")


# --- small things ---------------------------------------------------------------------------------------------------


def _of(ti: TaskInstance) -> State:
    return TASK_STATES.get(ti.state or "none", (State.RUNNING, None))[0]


def _moved(ti: TaskInstance, tries: int, ident: str | None) -> bool:
    return ti.try_number > tries or (ident is not None and ti.id is not None and ti.id != ident)
