"""What changed among all runs of a workspace since a cursor, in two requests of a quiet poll.

Databricks lists runs by when they *started*. So: all that are active, whenever they began, and all that started since the
server's own time of the poll before. What was active and is in neither list has ended: it is asked about by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.databricks import reads
from adapters.databricks.states import judge
from adapters.databricks.wire import JobRun, time
from adapters.errors import BadResponse, NotFound
from adapters.http import Http

OVERLAP_MS: Final = 60_000
STEP_BACK_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
RECENT_MS: Final = 48 * HOUR_MS
FIRST_PAGES: Final = 25
"""Of recent runs at the first look; what is left of two days follows a page a poll."""
PAGES_A_CALL: Final = 20
SINGLES: Final = 20
"""Runs asked about one by one in a call; the rest with the next."""
BURST: Final = 3
"""More than so many that ended since the last poll are looked for in a list first."""


class Sweep(msgspec.Struct, omit_defaults=True):
    """``t``: server time up to which starts are known. ``watch``: (run, start) of what was active. ``more``: token of a
    listing from ``since`` on that is not finished, begun at ``at``. ``rest``: token of older runs from ``first`` on."""

    t: int | None = None
    watch: list[tuple[int, int]] = msgspec.field(default_factory=list[tuple[int, int]])
    more: str | None = None
    since: int | None = None
    at: int | None = None
    rest: str | None = None
    first: int | None = None


class Swept(msgspec.Struct):
    """``runs``: each once, the latest reading. ``complete`` False: ask again at once."""

    runs: list[JobRun]
    cursor: Sweep
    complete: bool
    now: int | None
    note: str = ""


def _filter(submit: bool) -> dict[str, str | int]:
    return {} if submit else {"run_type": "JOB_RUN"}


def _wanted(run: JobRun) -> bool:
    return run.run_type != "WORKFLOW_RUN"


def _active(run: JobRun) -> bool:
    return not judge(run.state, run.status, ended=time(run.end_time) is not None)[1].terminal


async def active(http: Http, submit: bool) -> tuple[list[JobRun], int | None, bool]:
    """All that is in flight, the server's time, whether that is all of it."""
    params = {"active_only": "true", **_filter(submit)}
    found, first, left = await reads.runs(http, params)
    return [r for r in found if _wanted(r) and _active(r)], first.server_time, left is None


async def sweep(http: Http, known: Sweep, submit: bool, *, older: bool = True) -> Swept:
    """One round. A clock of the server that went back makes it begin anew. ``older``: a page of what the first look left, too."""
    flying, now, whole = await active(http, submit)
    said = now
    if known.t is not None and now is not None and now < known.t - STEP_BACK_MS:
        known = Sweep(watch=known.watch)
    here = {r.run_id for r in flying}
    gone = [(i, begun) for i, begun in known.watch if i not in here] if whole else []
    recent, since, left, note = await _recent(http, known, now, gone, submit)
    seen = {r.run_id: r for r in (*flying, *recent)}
    lost = [(i, begun) for i, begun in gone if i not in seen]
    for ident, _ in lost[:SINGLES]:
        try:
            seen[ident], _ = await reads.run(http, ident)
        except NotFound:
            continue
    rest, first = known.rest, known.first
    if rest is not None and known.t is not None and older:
        page, rest, again = await _page(http, rest, first, submit)
        note = note or again
        for run in page:
            seen.setdefault(run.run_id, run)
    watch = [(r.run_id, r.start_time or 0) for r in seen.values() if _active(r)]
    watch += [w for w in (known.watch if not whole else ()) if w[0] not in seen]
    after = Sweep(watch=watch + lost[SINGLES:], rest=rest, first=first)
    if now is None:  # it tells no time: the latest start is as near to it as there is
        now = max([known.t or 0, *(r.start_time or 0 for r in seen.values())]) or None
    began = known.at if known.more else now
    if known.t is None and not known.more:  # the first look: what is left of it is no news, and can wait its turn
        after.t, after.rest, after.first = now, left, since
        left = None
    elif left is None:
        after.t = began
    else:
        after.t, after.more, after.since, after.at = known.t, left, since, began
    return Swept(list(seen.values()), after, left is None, said, note)


async def _recent(
    http: Http, known: Sweep, now: int | None, gone: Sequence[tuple[int, int]], submit: bool
) -> tuple[list[JobRun], int | None, str | None, str]:
    """Runs that started since; from when on was asked; the token of what is left; a note."""
    since: int | None
    if known.more:
        since = known.since
    elif known.t is not None:
        since = known.t - OVERLAP_MS
        if len(gone) > BURST:
            since = min(since, max(min(begun for _, begun in gone), known.t - HOUR_MS))
    else:
        since = None if now is None else now - RECENT_MS
    params: dict[str, str | int] = _filter(submit)
    if since is not None:
        params["start_time_from"] = since
    most = FIRST_PAGES if known.t is None and not known.more else PAGES_A_CALL
    try:
        found, _, left = await reads.runs(http, params, most=most, start=known.more)
    except (BadResponse, NotFound) as err:
        if not known.more or err.status not in (400, 404):
            raise
        found, _, left = await reads.runs(http, params, most=most)  # its token is no longer known: from the beginning
    return [r for r in found if _wanted(r)], since, left, ""


async def _page(http: Http, token: str, since: int | None, submit: bool) -> tuple[list[JobRun], str | None, str]:
    """One more page of what the first look left over."""
    params: dict[str, str | int] = _filter(submit)
    if since is not None:
        params["start_time_from"] = since
    try:
        found, _, left = await reads.runs(http, params, most=1, start=token)
    except (BadResponse, NotFound) as err:
        if err.status not in (400, 404):
            raise
        return [], None, "older runs could not be read on: what history tells is all"
    return [r for r in found if _wanted(r)], left, ""
