"""What changed among all runs of a workspace since a cursor, in two requests of a quiet poll.

Databricks lists runs by when they *started*, 24 a page. So: all that are active, whenever they began, and all that started
since the last poll. What was active and is in neither list has ended: it is looked for in a list where many have, else asked
about by itself. Where much begins, the second list holds only what has ended already: the first has the others.

A run may show later than it started. So the second list goes back a while behind what is known; where that is more than comes
with its first pages, the rest of it is read a page a poll.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from adapters.databricks import reads
from adapters.databricks.states import judge
from adapters.databricks.wire import JobRun, time
from adapters.errors import BadResponse, NotFound
from adapters.http import Http

OVERLAP_MS: Final = 300_000
"""So late a run may show, and be over by then."""
STEP_BACK_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
RECENT_MS: Final = 48 * HOUR_MS
FIRST_PAGES: Final = 25
"""Of recent runs at the first look; what is left of two days follows a page a poll."""
PAGES_A_CALL: Final = 20
SINGLES: Final = 8
"""Runs asked about one by one in a call; the rest with the next."""
BURST: Final = 3
"""More than so many that ended since the last poll are looked for in a list first."""
MORE: Final = 2
"""A page with so many of them is worth the next one."""
ROOM: Final = 3
"""With fewer requests about runs in a poll there is room for a page of older ones."""
WAITS: Final = 3
"""So many polls what the first look left waits for that room, then a page of it is read all the same."""
SOON_MS: Final = 100_000
"""What may show late waits no longer for that room: it is to be read through before its time is over."""
PRESSED: Final = 4
"""Pages of it a poll from then on."""


class Left(msgspec.Struct, omit_defaults=True):
    """A listing that is not finished: the token of its next page, which is good for the same question only. ``done``: of what
    has ended. ``at``: server time at which it began."""

    token: str
    since: int | None = None
    done: bool = False
    at: int | None = None


class Sweep(msgspec.Struct, omit_defaults=True):
    """``t``: server time up to which starts are known. ``top``: the latest start that was told by then. ``watch``: (run, start)
    of what was active. ``more``: of what is new, begun at ``at``, with ``peak`` as its latest start so far. ``late``: of what may
    show late. ``rest``: of what the first look left. ``waited``: polls in which there was no room for that."""

    t: int | None = None
    top: int | None = None
    watch: list[tuple[int, int]] = msgspec.field(default_factory=list[tuple[int, int]])
    more: Left | None = None
    at: int | None = None
    peak: int | None = None
    late: Left | None = None
    rest: Left | None = None
    waited: int = 0


class Swept(msgspec.Struct):
    """``runs``: each once, the latest reading. ``complete`` False: ask again at once."""

    runs: list[JobRun]
    cursor: Sweep
    complete: bool
    now: int | None
    note: str = ""


def _asked(submit: bool, since: int | None = None, *, done: bool = False) -> dict[str, str | int]:
    params: dict[str, str | int] = {} if submit else {"run_type": "JOB_RUN"}
    if done:
        params["completed_only"] = "true"
    if since is not None:
        params["start_time_from"] = since
    return params


def _wanted(run: JobRun) -> bool:
    return run.run_type != "WORKFLOW_RUN"


def _active(run: JobRun) -> bool:
    return not judge(run.state, run.status, ended=time(run.end_time) is not None)[1].terminal


def _latest(found: Iterable[JobRun]) -> int:
    return max((r.start_time or 0 for r in found), default=0)


async def _listed(
    http: Http, params: dict[str, str | int], most: int, start: str | None, enough: Callable[[Sequence[JobRun]], bool]
) -> tuple[list[JobRun], bool, str | None, int]:
    """Runs of up to ``most`` pages, or of those up to the first that is ``enough``; whether there was one, the token of what is
    left, how many pages."""
    found: list[JobRun] = []
    count = 0
    while True:
        page, _, start = await reads.runs(http, params, most=1, start=start)
        count += 1
        found += page
        there = enough(page)
        if there or start is None or count >= most:
            return [r for r in found if _wanted(r)], there, start, count


async def active(http: Http, submit: bool) -> tuple[list[JobRun], int | None, bool, int]:
    """All that is in flight, the server's time, whether that is all of it, how many pages."""
    params = {"active_only": "true", **_asked(submit)}
    found, first, left = await reads.runs(http, params)
    pages = max(1, -(-len(found) // reads.RUNS_PAGE))
    return [r for r in found if _wanted(r) and _active(r)], first.server_time, left is None, pages


async def sweep(http: Http, known: Sweep, submit: bool, *, older: bool = True) -> Swept:
    """One round. A clock of the server that went back makes it begin anew. ``older``: a page of what came before may be read."""
    flying, now, whole, spent = await active(http, submit)
    said = now
    if known.t is not None and now is not None and now < known.t - STEP_BACK_MS:
        known = Sweep(watch=known.watch)
    here = {r.run_id for r in flying}
    gone = [(i, begun) for i, begun in known.watch if i not in here] if whole else []
    busy = len(flying) > reads.RUNS_PAGE
    recent, left, reached, count = await _recent(http, known, now, submit, {i for i, _ in gone}, busy=busy)
    seen = {r.run_id: r for r in (*flying, *recent)}
    spent += count + await _ended(http, [g for g in gone if g[0] not in seen], submit, seen)
    lost = [g for g in gone if g[0] not in seen]
    for ident, _ in lost[:SINGLES]:
        spent += 1
        try:
            seen[ident], _ = await reads.run(http, ident)
        except NotFound:
            continue
    after = Sweep(late=known.late if left is not None else None, rest=known.rest, waited=known.waited)
    note = await _older(http, after, submit, seen, spent, now, allowed=older) if known.t is not None else ""
    watch = [(r.run_id, r.start_time or 0) for r in seen.values() if _active(r)]
    watch += [w for w in (known.watch if not whole else ()) if w[0] not in seen]
    after.watch = watch + lost[SINGLES:]
    if now is None:  # it tells no time: the latest start is as near to it as there is
        now = max(known.t or 0, _latest(seen.values())) or None
    began = known.at if known.more else now
    top = max(known.top or 0, known.peak or 0, min(_latest(recent), (now or 0) + STEP_BACK_MS)) or None
    complete = known.t is None or left is None or reached
    if not complete:
        after.t, after.top, after.more, after.at, after.peak = known.t, known.top, left, began, top
    else:
        after.t, after.top = began, top
        if known.t is None:  # the first look: what is left of it is no news, and can wait its turn
            after.rest = left
        else:
            after.late = after.late or left
    return Swept(list(seen.values()), after, complete, said, note)


async def _recent(
    http: Http, known: Sweep, now: int | None, submit: bool, gone: set[int], *, busy: bool
) -> tuple[list[JobRun], Left | None, bool, int]:
    """Runs that started since; what is left; whether that is known already but for what shows late; how many pages."""
    if known.more is not None:
        asked, start = known.more, known.more.token
    elif known.t is not None:
        asked, start = Left("", known.t - OVERLAP_MS, busy), None
    else:
        asked, start = Left("", None if now is None else now - RECENT_MS), None
    top = known.top if known.t is not None else None

    def reached(page: Sequence[JobRun]) -> bool:
        ours = gone.intersection(run.run_id for run in page)
        gone.difference_update(ours)
        if top is None or not page or (page[-1].start_time or 0) > top:
            return False
        return not gone or len(ours) < MORE

    params = _asked(submit, asked.since, done=asked.done)
    most = FIRST_PAGES if known.t is None else PAGES_A_CALL
    try:
        found, there, token, count = await _listed(http, params, most, start, reached)
    except (BadResponse, NotFound) as err:
        if start is None or err.status not in (400, 404):
            raise
        found, there, token, count = await _listed(http, params, most, None, reached)  # its token is no longer known
    left = Left(token, asked.since, asked.done, now) if token is not None else None
    return found, left, there, count


async def _ended(http: Http, gone: Sequence[tuple[int, int]], submit: bool, seen: dict[int, JobRun]) -> int:
    """Many that ended are looked for where they started, as long as a page has more than one of them; how many requests."""
    left = dict(gone)
    if len(left) <= BURST:
        return 0
    params = _asked(submit, min(left.values()), done=True) | {"start_time_to": max(left.values())}

    def enough(page: Sequence[JobRun]) -> bool:
        ours = [left.pop(r.run_id) for r in page if r.run_id in left]
        return len(ours) < MORE or len(left) <= BURST

    wanted = set(left)
    found, _, _, count = await _listed(http, params, PAGES_A_CALL, None, enough)
    seen |= {r.run_id: r for r in found if r.run_id in wanted}
    return count


async def _older(
    http: Http, after: Sweep, submit: bool, seen: dict[int, JobRun], spent: int, now: int | None, *, allowed: bool
) -> str:
    """More of what may show late, and a page of what the first look left, as far as there is room; a note."""
    if after.late is not None:
        pressed = now is not None and after.late.at is not None and now - after.late.at > SOON_MS
        if pressed or (allowed and spent < ROOM):
            after.late, count, _ = await _on(http, after.late, submit, seen, PRESSED if pressed else 1)
            spent += count
    if after.rest is None or not allowed:
        return ""
    if spent >= ROOM and after.waited < WAITS:
        after.waited += 1
        return ""
    after.waited = 0
    after.rest, _, known = await _on(http, after.rest, submit, seen, 1)
    return "" if known else "older runs could not be read on: what history tells is all"


async def _on(
    http: Http, left: Left, submit: bool, seen: dict[int, JobRun], most: int
) -> tuple[Left | None, int, bool]:
    """So many more pages of a listing: what is left then, how many they were, whether its token was still known."""
    try:
        params = _asked(submit, left.since, done=left.done)
        found, _, token, count = await _listed(http, params, most, left.token, lambda _: False)
    except (BadResponse, NotFound) as err:
        if err.status not in (400, 404):
            raise
        return None, 1, False
    for run in found:
        seen.setdefault(run.run_id, run)
    return (Left(token, left.since, left.done, left.at) if token is not None else None), count, True
