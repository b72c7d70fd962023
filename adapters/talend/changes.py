"""What ran since the last poll: one request for tasks and one for plans, two more while older runs go on.

TMC has no question for "what changed". Its lists come newest first by the time of the trigger, whatever ``from`` and ``to``
are said to mean, and a run that ends late does not come to their top again. So the newest page is read down to where the
last poll began, and what was active then and is not on it is looked for among what is executing, and then by itself: a
microservice that runs for weeks vanishes from the lists altogether.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from adapters.errors import BadResponse, NotFound
from adapters.http import Answer, Http
from adapters.talend import reads
from adapters.talend.wire import PlanRun, TaskRun, ms, plan_state, task_state

OVERLAP_MS: Final = 120_000
"""A microservice's execution shows some 15 s after its trigger; other lateness is not known."""
STEP_BACK_MS: Final = 60_000
PAGES_A_CALL: Final = 20
ALONE_A_CALL: Final = 20
EXECUTING_PAGES: Final = 3
DAY_MS: Final = 86_400_000
MOST_DAYS: Final = 60

AnyRun = TaskRun | PlanRun


class Side(msgspec.Struct, omit_defaults=True):
    """Of tasks, or of plans. ``at``: the server's time when the last whole sweep began. ``old``: what was active, as (task or
    plan, execution). ``off`` and ``began``: a sweep that is not finished, and when it began."""

    at: int | None = None
    old: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])
    off: int = 0
    began: int | None = None


class Cursor(msgspec.Struct, omit_defaults=True):
    task: Side = msgspec.field(default_factory=Side)
    plan: Side = msgspec.field(default_factory=Side)


class Found:
    """Runs of one kind: id of its task or plan, and the execution."""

    def __init__(self) -> None:
        self.runs: dict[str, AnyRun] = {}
        self.complete = True
        self.server_time: int | None = None
        self.side = Side()
        self.note = ""


def active(item: AnyRun) -> bool:
    judge = task_state if isinstance(item, TaskRun) else plan_state
    ended = ms(item.finishTimestamp) is not None
    return judge(item.executionStatus, item.status, item.misfiredExecutionReason, ended)[1].active


async def all_active(http: Http, kind: str, params: Mapping[str, str]) -> tuple[dict[str, AnyRun], int | None]:
    """What is dispatched or executing, of the last 60 days."""
    out: dict[str, AnyRun] = {}
    at: int | None = None
    for status in reads.statuses(kind):
        found, answer, _ = await reads.runs(http, kind, {**params, "status": status})
        out |= {r.executionId: r for r in found if active(r)}
        at = answer.server_time
    return out, at


async def look(http: Http, kind: str, side: Side, params: Mapping[str, str]) -> Found:
    """One poll of one kind."""
    out = Found()
    since = None if side.at is None else side.at - OVERLAP_MS
    asked = {**params, "lastDays": _days(side.at, http.server_time)}
    listed, first, complete = await _newest(http, kind, asked, side.off, since, out)
    now = first.server_time
    if side.at is not None and now is not None and now < side.at - STEP_BACK_MS:
        # the server's clock went back: times from before cannot be compared with those from now on
        return await look(http, kind, Side(old=side.old), params)
    out.server_time, out.complete = now, complete
    tracked = {execution for _, execution in side.old}
    for item in listed:
        trigger = ms(item.triggerTimestamp)
        fresh = since is None or trigger is None or trigger >= since
        if fresh or active(item) or item.executionId in tracked:
            out.runs[item.executionId] = item
    if side.at is None and side.off == 0:  # the first look: also what began long ago
        for execution, item in (await all_active(http, kind, params))[0].items():
            out.runs.setdefault(execution, item)
    left = await _outside(http, kind, [o for o in side.old if o[1] not in out.runs], params, out)
    going = [(i.of, i.executionId) for i in out.runs.values() if i.of and active(i)]
    began = side.began if side.off else now or _newest_trigger(listed) or side.at
    if complete:
        out.side = Side(at=began, old=[*going, *left])
    else:
        out.side = Side(at=side.at, old=[*going, *left], off=side.off + len(listed), began=began)
    return out


def _newest_trigger(listed: list[AnyRun]) -> int | None:
    """In place of the time of a server that does not tell it."""
    return max((t for t in (ms(i.triggerTimestamp) for i in listed) if t is not None), default=None)


async def _newest(
    http: Http, kind: str, params: Mapping[str, Any], offset: int, since: int | None, out: Found
) -> tuple[list[AnyRun], Answer, bool]:
    def enough(page: list[AnyRun]) -> bool:
        times = [t for t in (ms(i.triggerTimestamp) for i in page) if t is not None]
        ordered = all(b <= a + STEP_BACK_MS for a, b in pairwise(times))  # seen so, documented nowhere
        return since is not None and bool(times) and ordered and times[-1] < since

    try:
        return await reads.runs(http, kind, params, offset=offset, most=PAGES_A_CALL, until=enough)
    except BadResponse as err:
        if err.status != 400 or not offset:
            raise
    # how far an offset may go is not documented: what lies beyond is left to each pipeline's own history
    out.note = f"TMC lists no more than {offset} {kind} runs at once; older ones are in their pipelines' histories"
    return await reads.runs(http, kind, params, most=1, until=lambda _: True)


async def _outside(
    http: Http, kind: str, missing: list[tuple[str, str]], params: Mapping[str, str], out: Found
) -> list[tuple[str, str]]:
    """What was active and is not on the page: still executing, or ended by now. Those that no request was left for."""
    if not missing:
        return []
    executing, _, _ = await reads.runs(http, kind, {**params, "status": "executing"}, most=EXECUTING_PAGES)
    by = {r.executionId: r for r in executing}
    alone: list[tuple[str, str]] = []
    for ident, execution in missing:
        if execution in by:
            out.runs[execution] = by[execution]
        else:
            alone.append((ident, execution))
    for ident, execution in alone[:ALONE_A_CALL]:
        try:
            item, _ = await reads.run(http, kind, ident, execution)
        except NotFound:
            continue
        out.runs[execution] = item if item.of else msgspec.structs.replace(item, **_named(kind, ident))
    return alone[ALONE_A_CALL:]


def _named(kind: str, ident: str) -> dict[str, str]:
    return {"taskId" if kind == reads.TASK else "planId": ident}


def _days(at: int | None, now: int | None) -> int:
    """``lastDays``: two, more after a long silence. What one day means exactly is not documented."""
    if at is None or now is None:
        return 2
    return min(MOST_DAYS, max(2, 2 + (now - at) // DAY_MS))
