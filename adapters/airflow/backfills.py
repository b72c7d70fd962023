"""Backfills of Airflow 3: which there are and how far, and how one is made, paused, resumed and cancelled.

Airflow lists them by DAG only, so those that run are found by their runs: each has queued or running ones of type
``backfill`` until it is over. A backfill bears no name of ours; after a lost answer it is known by being newer than
those that were there, with exactly the dates that were asked for. Airflow itself allows one at a time for a DAG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

import msgspec

from adapters import schedule
from adapters.airflow import reads
from adapters.airflow.calls import call, n, names_it
from adapters.airflow.wire import RUN_STATES, Dag, DagRun, iso, ms, pipeline_of
from adapters.base import Action, Done, NotDone, Prepared, Reconciled, SendResult, Sent, Several, Unknown
from adapters.errors import Conflict, Forbidden, NotFound
from adapters.extras import Operation
from adapters.http import Answer, Http
from adapters.model import Key, State, Verb, parse_key, pipeline_key

VERBS: Final = (Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL)
MOST_RUNS: Final = 400
"""In one backfill. More is refused in words: narrower ranges can be watched and stopped."""
MOST_DAYS: Final = 1_500
MOST_DAGS: Final = 20
"""Whose backfills are asked for in one look; of more they take turns, and what was told of the others stands."""
LATELY_MS: Final = 3 * 86_400_000
REPROCESS: Final = ("none", "failed", "completed")
_PARAMS: Final = ("from", "to", "reprocess", "max_active", "backwards")
_PATH: Final = "/api/v2/backfills"


class Backfill(msgspec.Struct):
    id: int
    dag_id: str
    from_date: datetime | None = None
    to_date: datetime | None = None
    is_paused: bool | None = None
    reprocess_behavior: str | None = None
    max_active_runs: int | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None


class Backfills(msgspec.Struct):
    backfills: list[Backfill]
    total_entries: int | None = None


class _Dry(msgspec.Struct):
    logical_date: datetime | None = None
    partition_key: str | None = None


class _DryRun(msgspec.Struct):
    backfills: list[_Dry]
    total_entries: int | None = None


class Known:
    """What is remembered between two looks: DAGs of which one was not over, and those that were over with their counts."""

    def __init__(self) -> None:
        self.dags: set[str] = set()
        self.over: dict[int, Operation] = {}
        self.told: dict[str, list[Operation]] = {}
        """Of each DAG that was asked about, the one asked longest ago first."""


# --- which there are -------------------------------------------------------------------------------------------------


async def operations(http: Http, source: str, zone: tzinfo, keys: Sequence[str], known: Known) -> list[Operation]:
    """Those of DAGs that have active runs of a backfill, of the pipelines ``keys``, and of DAGs that ``known`` holds. The runs
    of one that is over are counted once."""
    params = {"run_type": "backfill", "state": ["queued", "running"], "order_by": "-run_after"}
    active, _, _ = await reads.runs(http, "~", params, most=3)
    wanted = {r.dag_id for r in active if r.run_type == "backfill"} | known.dags
    wanted |= {parse_key(key).pipeline for key in keys}
    fresh = sorted(wanted - known.told.keys())
    turn = [*fresh, *(dag for dag in known.told if dag in wanted)]
    for dag in turn[: max(MOST_DAGS, len(fresh))]:
        known.told.pop(dag, None)
        try:
            here = await listed(http, dag)
        except (NotFound, Forbidden):  # gone, or not for us: the others are told all the same
            known.dags.discard(dag)
            continue
        found: list[Operation] = []
        now = http.server_time or 0
        if any(b.completed_at is None for b in here):
            known.dags.add(dag)
        else:
            known.dags.discard(dag)
        for one in here:
            if one.completed_at is not None and now - (ms(one.completed_at) or 0) > LATELY_MS:
                continue
            told = known.over.get(one.id)
            if told is None:
                told = _operation(one, await runs_of(http, one), source, zone)
                if one.completed_at is not None:
                    known.over[one.id] = told
            found.append(told)
        known.told[dag] = found  # only when all of it was told
    for ident in sorted(known.over)[:-200]:
        del known.over[ident]
    for dag in known.told.keys() - wanted:
        del known.told[dag]
    return [one for told in known.told.values() for one in told]


async def listed(http: Http, dag: str) -> list[Backfill]:
    """The latest backfills of one DAG, newest first."""
    params = {"dag_id": dag, "order_by": "-id"}
    found, _, _ = await reads.pages(
        http, _PATH, params, Backfills, lambda p: p.backfills, lambda p: p.total_entries, most=1, limit=20
    )
    return sorted(found, key=lambda b: -b.id)


async def runs_of(http: Http, one: Backfill) -> list[DagRun] | None:
    """Its runs: of type backfill, of its dates, queued since it was made. Airflow names no backfill in a run. None where
    there are too many to count."""
    if one.from_date is None or one.to_date is None:
        return None
    begin, end, made = ms(one.from_date), ms(one.to_date), ms(one.created_at) or 0
    assert begin is not None
    assert end is not None
    params = {"run_type": "backfill", "logical_date_gte": iso(begin), "logical_date_lte": iso(end), "order_by": "id"}
    found, _, complete = await reads.runs(http, one.dag_id, params, most=MOST_RUNS // reads.PAGE + 1)
    if not complete:
        return None
    mine = [r for r in found if r.run_type == "backfill" and (ms(r.queued_at) or made) >= made - 1_000]
    return list({r.dag_run_id: r for r in mine}.values())


def _operation(one: Backfill, runs: Sequence[DagRun] | None, source: str, zone: tzinfo) -> Operation:
    states = [RUN_STATES.get(r.state or "") for r in runs or ()]
    failed = states.count(State.FAILED)
    if one.completed_at is None:
        state = State.HELD if one.is_paused else State.RUNNING
    elif one.is_paused and (runs is None or failed):
        state = State.STOPPED  # cancelling leaves it paused, and calls what was queued failed
    elif failed:
        state = State.FAILED
    else:
        state = State.SUCCESS if runs and states.count(State.SUCCESS) == len(states) else State.WARNING
    words = "" if one.reprocess_behavior in (None, "none") else f"also {one.reprocess_behavior} runs again"
    if one.max_active_runs:
        words = ", ".join(p for p in (f"{one.max_active_runs} at a time", words) if p)
    if state is State.WARNING:
        words = "it is over; Airflow does not tell that all of its runs are well" + (f"; {words}" if words else "")
    return Operation(
        id=str(one.id),
        pipeline=pipeline_key(source, one.dag_id),
        state=state,
        first=_day(one.from_date, zone),
        last=_day(one.to_date, zone),
        planned=None if runs is None else len(runs),
        done=None if runs is None else states.count(State.SUCCESS),
        failed=None if runs is None else failed,
        running=None if runs is None else states.count(State.RUNNING),
        created=ms(one.created_at),
        ended=ms(one.completed_at),
        words=words,
    )


def _day(at: datetime | None, zone: tzinfo) -> str | None:
    return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone).date().isoformat()


def _span(one: Backfill, zone: tzinfo) -> str:
    return f"{_day(one.from_date, zone) or '?'} to {_day(one.to_date, zone) or '?'}"


# --- one is made -----------------------------------------------------------------------------------------------------


async def prepare(http: Http, source: str, zone: tzinfo, key: Key, action: Action) -> Prepared:
    """The calls for one of ``VERBS``. Conflict, in a sentence, where it makes no sense now."""
    if action.verb is not Verb.BACKFILL:
        return await _prepare_change(http, zone, key, action)
    first, last, body = _asked(zone, key.pipeline, action.params)
    dag = await reads.dag(http, key.pipeline)
    _not_too_many(dag, source, zone, first, last)
    there = await listed(http, dag.dag_id)
    if active := [b for b in there if b.completed_at is None]:
        raise Conflict(
            f"backfill {active[0].id} of {dag.dag_id} ({_span(active[0], zone)}) is not over: cancel it first"
        )
    answer = await http.ask("POST", f"{_PATH}/dry_run", body=body)
    would = answer.decode(_DryRun).backfills
    dates = [_date(w, zone) for w in would]
    if not dates:
        raise Conflict(
            f"nothing to do: from {first} to {last} {dag.dag_id} has no tick, or each has its run"
            + ("; reprocess = failed or completed runs those again" if body["reprocess_behavior"] == "none" else "")
        )
    if len(dates) > MOST_RUNS:
        raise Conflict(f"that makes {len(dates)} runs; at most {MOST_RUNS} at once: narrow the dates")
    notes = [spell(dates), f"{body['max_active_runs']} at a time" + (", newest first" if body["run_backwards"] else "")]
    if (ahead := _ahead(dag, zone)) > 0:
        notes.append(f"dates are of the intervals' start: the business date is {n(ahead, 'day')} later")
    if dag.is_paused:
        notes.append(f"{dag.dag_id} is paused: its runs wait until it is resumed")
    again = {"failed": ", failed ones again", "completed": ", completed ones again"}
    effect = f"{n(len(dates), 'run')} of {dag.dag_id} from {first} to {last}{again.get(body['reprocess_behavior'], '')}"
    return Prepared(
        action=action,
        calls=(call(http, "POST", _PATH, body),),
        idempotent=False,
        effect=effect,
        proof=f"Airflow lists a new backfill of these dates with its {n(len(dates), 'run')}",
        undo="backfill-cancel ends it; what its runs did is not undone",
        note="; ".join(notes),
        patience_s=180.0,
        memo={
            "before": max((b.id for b in there), default=0),
            "from": body["from_date"],
            "to": body["to_date"],
            "dates": dates,
        },
    )


def _asked(zone: tzinfo, dag: str, params: Mapping[str, Any]) -> tuple[date, date, dict[str, Any]]:
    """First and last day, and the body of the request. A day is one of the source's zone, both are inside."""
    if odd := sorted(params.keys() - set(_PARAMS)):
        raise Conflict(f"backfill has no parameter {odd[0]!r}; it has {', '.join(_PARAMS)}")
    days: list[date] = []
    for name in ("from", "to"):
        text = str(params.get(name) or "")
        try:
            days.append(date.fromisoformat(text))
        except ValueError:
            said = f"{name} = {text!r} is no date" if text else f"backfill needs {name}"
            raise Conflict(f"{said}: expected YYYY-MM-DD") from None
    first, last = days
    if first > last:
        raise Conflict(f"from {first} is after to {last}: the first day comes first")
    if (last - first).days >= MOST_DAYS:
        raise Conflict(f"{(last - first).days + 1} days are too many at once, at most {MOST_DAYS}: narrow the dates")
    again = str(params.get("reprocess") or "none")
    if again not in REPROCESS:
        raise Conflict(f"reprocess = {again!r} is not known: expected none, failed or completed")
    most = params.get("max_active")
    try:
        at_once = int(str(1 if most in (None, "") else most))
    except ValueError:
        at_once = 0
    if not 1 <= at_once <= 50:
        raise Conflict(f"max_active = {most!r}: expected a number of runs at a time, 1 to 50")
    back = params.get("backwards", False)
    backwards = back is True or str(back).lower() in ("true", "yes", "1")
    if not backwards and str(back).lower() not in ("", "none", "false", "no", "0"):
        raise Conflict(f"backwards = {back!r}: expected true or false")
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    after = last + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1)
    body = {
        "dag_id": dag,
        "from_date": iso(ms(begin) or 0),
        "to_date": iso(ms(end) or 0),
        "max_active_runs": at_once,
        "reprocess_behavior": again,
        "run_backwards": backwards,
    }
    return first, last, body


def _not_too_many(dag: Dag, source: str, zone: tzinfo, first: date, last: date) -> None:
    """Reckoned from the schedule before Airflow is asked: its dry run looks at each tick by itself."""
    text = pipeline_of(dag, source, "").schedule
    try:
        ticks = schedule.parse(text or "", str(zone))
    except ValueError:
        return
    begin = ms(datetime(first.year, first.month, first.day, tzinfo=zone)) or 0
    end = begin + ((last - first).days + 1) * 86_400_000
    at, seen = begin - 1, 0
    while seen <= MOST_RUNS:
        due = ticks.after(at)
        if due is None or due >= end:
            return
        at, seen = due, seen + 1
    until = datetime.fromtimestamp(at / 1000, zone).date()
    raise Conflict(
        f"{dag.dag_id} ticks more than {MOST_RUNS} times from {first} to {last}: at most {MOST_RUNS} runs at once,"
        f" that is until about {until - timedelta(days=1)}"
    )


def _date(one: _Dry, zone: tzinfo) -> str:
    """``2026-11-01``, with the time where it is not one a day; a partition's own key."""
    if one.logical_date is None:
        return one.partition_key or "?"
    at = one.logical_date if one.logical_date.tzinfo else one.logical_date.replace(tzinfo=UTC)
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def spell(dates: Sequence[str]) -> str:
    """Dates in few words, days in a row as a span: ``2026-11-01 to 2026-11-04, 2026-11-07 (2)``; at most six spans."""
    count: dict[str, int] = {}
    for text in dates:
        count[text[:10]] = count.get(text[:10], 0) + 1
    spans: list[tuple[str, str, int]] = []
    for day in sorted(count):
        if spans and spans[-1][2] == count[day] and _next(spans[-1][1]) == day:
            spans[-1] = (spans[-1][0], day, count[day])
        else:
            spans.append((day, day, count[day]))
    said = [
        (a if a == b else f"{a} to {b}") + (f" ({each} a day)" if each > 1 else "") for a, b, each in spans
    ]  # fmt: skip
    return ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")


def _next(day: str) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    except ValueError:
        return ""


def _ahead(dag: Dag, zone: tzinfo) -> int:
    """Days from the date that a run is named by to the end of what it covers; 0 where they are the same."""
    begin, end = _day(dag.next_dagrun_logical_date, zone), _day(dag.next_dagrun_data_interval_end, zone)
    return (date.fromisoformat(end) - date.fromisoformat(begin)).days if begin and end else 0


# --- one is paused, resumed, cancelled --------------------------------------------------------------------------------


async def _prepare_change(http: Http, zone: tzinfo, key: Key, action: Action) -> Prepared:
    verb = action.verb
    if odd := sorted(action.params.keys() - {"id"}):
        raise Conflict(f"{verb} has no parameter {odd[0]!r}; it has: id")
    dag = await reads.dag(http, key.pipeline)
    one = _meant(await listed(http, dag.dag_id), dag.dag_id, str(action.params.get("id") or ""), zone)
    if one.completed_at is not None:
        raise Conflict(f"backfill {one.id} of {dag.dag_id} is over already")
    want = verb is Verb.BACKFILL_PAUSE
    if verb is not Verb.BACKFILL_CANCEL and bool(one.is_paused) is want:
        raise Conflict(f"backfill {one.id} of {dag.dag_id} is {'paused already' if want else 'not paused'}")
    runs = await runs_of(http, one)
    states = [RUN_STATES.get(r.state or "") for r in runs or ()]
    queued, running = states.count(State.QUEUED), states.count(State.RUNNING)
    done = len(states) - queued - running
    what = f"backfill {one.id} of {dag.dag_id} ({_span(one, zone)})"
    far = f"{done} of {n(len(states), 'run')} ended" if runs is not None else ""
    goes_on = f"{n(running, 'run')} at work go{'es' if running == 1 else ''} on" if running else ""
    if verb is Verb.BACKFILL_CANCEL:
        effect = f"{what} ends" + (f": {n(queued, 'queued run')} will not start" if runs is not None else "")
        notes = [far, goes_on, 'Airflow calls what was queued "failed"' if queued else ""]
        word, undo, proof = "cancel", "none: a new backfill makes the rest", "Airflow says when it was completed"
    elif want:
        effect, notes = f"{what} starts no further runs", [far, goes_on]
        word, undo, proof = "pause", "backfill-resume", "Airflow says is_paused = true in two readings"
    else:
        effect, notes = f"{what} goes on" + (f": {queued} left" if runs is not None else ""), [far]
        word, undo, proof = "unpause", "backfill-pause", "Airflow says is_paused = false in two readings"
        if dag.is_paused:
            notes.append(f"{dag.dag_id} itself is paused: they wait until it is resumed")
    return Prepared(
        action=action,
        calls=(call(http, "PUT", f"{_PATH}/{one.id}/{word}"),),
        idempotent=True,
        effect=effect,
        proof=proof,
        undo=undo,
        note="; ".join(p for p in notes if p),
        steady=1 if verb is Verb.BACKFILL_CANCEL else 2,
        patience_s=60.0,
        memo={"id": one.id, "paused": None if verb is Verb.BACKFILL_CANCEL else want},
    )


def _meant(there: Sequence[Backfill], dag: str, ident: str, zone: tzinfo) -> Backfill:
    """The one that ``id`` names; without it the only one that is not over."""
    if ident:
        found = next((b for b in there if names_it(ident) and str(b.id) == ident), None)
        if found is None:
            some = ", ".join(str(b.id) for b in there[:5])
            raise NotFound(f"{dag} has no backfill {ident}" + (f"; it has {some}" if some else " and none at all"))
        return found
    active = [b for b in there if b.completed_at is None]
    if not active:
        raise Conflict(f"no backfill of {dag} is running")
    if len(active) > 1:
        which = ", ".join(f"{b.id} ({_span(b, zone)})" for b in active[:5])
        raise Conflict(f"{dag} has several backfills: name one by id: {which}")
    return active[0]


# --- what became of it ------------------------------------------------------------------------------------------------


def taken(key: Key, prepared: Prepared, answer: Answer) -> SendResult:
    """What a 2xx says, compared with what was asked for."""
    said = answer.decode(Backfill)
    if prepared.action.verb is Verb.BACKFILL:
        same = said.dag_id == key.pipeline and _same(said, prepared.memo)
        return Sent(f"Airflow made backfill {said.id}") if same else Unknown(f"Airflow answers with another: {said.id}")
    if said.id != prepared.memo["id"]:
        return Unknown(f"Airflow answers with another backfill: {said.id}")
    if prepared.action.verb is Verb.BACKFILL_CANCEL:
        over = said.completed_at is not None
        return Sent("Airflow answers: completed" if over else "accepted, but Airflow still calls it running")
    word = "paused" if said.is_paused else "running"
    as_asked = bool(said.is_paused) is prepared.memo["paused"]
    return Sent(f"Airflow answers: {word}" if as_asked else f"accepted, but Airflow still answers: {word}")


def _same(one: Backfill, memo: Mapping[str, Any]) -> bool:
    asked = tuple(ms(datetime.fromisoformat(str(memo[name]).replace("Z", "+00:00"))) for name in ("from", "to"))
    return (ms(one.from_date), ms(one.to_date)) == asked


async def reconcile(http: Http, key: Key, prepared: Prepared) -> Reconciled:
    """Reads only. A backfill that was asked for is one that is newer than those before, of the same dates."""
    memo = prepared.memo
    if prepared.action.verb is Verb.BACKFILL:
        return await _is_made(http, key, memo)
    try:
        one, _ = await http.get(f"{_PATH}/{int(memo['id'])}", Backfill)
    except NotFound:
        return NotDone("Airflow no longer has this backfill", final=True)
    over = one.completed_at is not None
    if prepared.action.verb is Verb.BACKFILL_CANCEL:
        return Done(f"backfill {one.id} is over") if over else NotDone(f"backfill {one.id} still runs")
    word = "paused" if one.is_paused else "running"
    if over:
        return NotDone(f"backfill {one.id} is over meanwhile", final=True)
    return Done(f"backfill {one.id} is {word}") if bool(one.is_paused) is memo["paused"] else NotDone(f"still {word}")


async def _is_made(http: Http, key: Key, memo: Mapping[str, Any]) -> Reconciled:
    fresh = [b for b in await listed(http, key.pipeline) if b.id > int(memo["before"]) and _same(b, memo)]
    if not fresh:
        return NotDone("Airflow has no new backfill of these dates")
    if len(fresh) > 1:
        which = ", ".join(str(b.id) for b in fresh)
        return Several(f"several new backfills of these dates: {which}", ())
    one, planned = fresh[0], len(memo["dates"])
    runs = await runs_of(http, one)
    if runs is None:
        return Done(f"backfill {one.id} is there")
    if len(runs) < planned:
        what = "is there" if one.completed_at is None else "is over"
        return NotDone(f"backfill {one.id} {what} with {len(runs)} of {n(planned, 'run')}", begun=True)
    return Done(f"backfill {one.id} is there with {len(runs)} of {n(planned, 'run')}")
