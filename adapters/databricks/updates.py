"""Pipelines (Delta Live Tables, Lakeflow) beside jobs: each is a pipeline of ours, each of its updates a run with one step.

The listing carries the latest updates of each: one request for a hundred pipelines. Databricks tells no end of an update;
its newest event is taken for it where that can be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.databricks import reads
from adapters.databricks.wire import local_date
from adapters.errors import AdapterError, NotFound
from adapters.extras import SourceItem, Standing
from adapters.http import Answer, Http
from adapters.model import LogChunk, Mode, Pipeline, Run, RunKind, State, StepRun, Trigger, pipeline_key, run_key

PREFIX: Final = "pipeline."
STEP: Final = "update"
PAGE: Final = 100
EVENTS: Final = 100
EVENT_PAGES: Final = 20
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "CREATED": (State.QUEUED, None),
    "QUEUED": (State.QUEUED, None),
    "WAITING_FOR_RESOURCES": (State.QUEUED, "compute is being prepared"),
    "INITIALIZING": (State.RUNNING, "initializing"),
    "RESETTING": (State.RUNNING, "resetting tables"),
    "SETTING_UP_TABLES": (State.RUNNING, "setting up tables"),
    "RUNNING": (State.RUNNING, None),
    "STOPPING": (State.STOPPING, None),
    "COMPLETED": (State.SUCCESS, None),
    "FAILED": (State.FAILED, None),
    "CANCELED": (State.STOPPED, None),
}
_MANUAL: Final = frozenset(("API_CALL", "USER_ACTION"))


class Update(msgspec.Struct):
    """``creation_time``: ISO text in a listing of pipelines, ms in one of updates."""

    update_id: str
    state: str | None = None
    creation_time: Any = None
    cause: str | None = None
    full_refresh: bool | None = None


class Status(msgspec.Struct):
    """One pipeline, in a listing or by itself."""

    pipeline_id: str
    name: str | None = None
    state: str | None = None
    health: str | None = None
    creator_user_name: str | None = None
    run_as_user_name: str | None = None
    latest_updates: list[Update] | None = None
    spec: dict[str, Any] | None = None


class Statuses(msgspec.Struct):
    statuses: list[Status] | None = None
    next_page_token: str | None = None


class Updates(msgspec.Struct):
    updates: list[Update] | None = None
    next_page_token: str | None = None


class _Origin(msgspec.Struct):
    update_id: str | None = None


class Event(msgspec.Struct):
    id: str | None = None
    timestamp: str | None = None
    level: str | None = None
    event_type: str | None = None
    message: str | None = None
    origin: _Origin | None = None
    error: Any = None


class _Events(msgspec.Struct):
    events: list[Event] | None = None
    next_page_token: str | None = None


def native(pipeline_id: str) -> str:
    return PREFIX + pipeline_id


def uuid_of(native_id: str) -> str:
    """Id of a pipeline of Databricks from ours; NotFound where it is none."""
    return whole(native_id.removeprefix(PREFIX), "pipeline")


def whole(ident: str, what: str) -> str:
    if not _ID.fullmatch(ident):
        raise NotFound(f"{ident[:60]!r} is no {what} of Databricks")
    return ident


def path(pipeline_id: str, more: str = "") -> str:
    return f"/api/2.0/pipelines/{quote(pipeline_id, safe='')}{more}"


# --- reading --------------------------------------------------------------------------------------------------------


async def listed(http: Http, *, most: int = 100, start: str | None = None) -> tuple[list[Status], Answer, str | None]:
    """Pipelines with their latest updates."""
    return await reads.pages(
        http,
        "/api/2.0/pipelines",
        {"max_results": PAGE},
        Statuses,
        lambda p: p.statuses,
        lambda p: p.next_page_token,
        most=most,
        start=start,
    )


async def one(http: Http, pipeline_id: str) -> tuple[Status, Answer]:
    return await http.get(path(pipeline_id), Status)


async def updates(http: Http, pipeline_id: str, *, enough: int = 25) -> list[Update]:
    """Newest first."""
    found, _, _ = await reads.pages(
        http,
        path(pipeline_id, "/updates"),
        {"max_results": min(enough, PAGE)},
        Updates,
        lambda p: p.updates,
        lambda p: p.next_page_token,
        enough=enough,
        most=10,
    )
    return found


async def update(http: Http, pipeline_id: str, update_id: str) -> Update:
    """One update, among the latest of its pipeline."""
    for found in await updates(http, pipeline_id, enough=PAGE):
        if found.update_id == update_id:
            return found
    raise NotFound(f"the pipeline has no update {update_id[:60]} among its latest")


async def ended(http: Http, pipeline_id: str, update_id: str) -> tuple[int | None, str | None]:
    """When its newest event was, ms UTC, and the first error said; a nicety: (None, None) where that cannot be read."""
    try:
        found, _ = await http.get(path(pipeline_id, "/events"), _Events, {"max_results": EVENTS})
    except AdapterError:
        return None, None
    mine = [e for e in found.events or () if e.origin and e.origin.update_id == update_id]
    times = [at for e in mine if (at := ms(e.timestamp)) is not None]
    errors = [e.message for e in mine if e.level == "ERROR" and e.message]
    return (max(times) if times else None), (errors[-1] if errors else None)


def ms(at: Any) -> int | None:
    """A time as Databricks writes it here: ISO text, or ms already."""
    if isinstance(at, bool):
        return None
    if isinstance(at, (int, float)):
        return int(at) if at > 0 else None
    try:
        found = datetime.fromisoformat(str(at))
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


# --- in our words ---------------------------------------------------------------------------------------------------


def state_of(item: Update) -> tuple[str, State, str | None]:
    known = STATES.get(item.state or "")
    if known is None:  # no end is told, so an unknown word is one that goes on
        return (f"{item.state or ''}?", State.RUNNING, None)
    return (item.state or "", known[0], known[1])


def pipeline_of(status: Status, source: str, base: str) -> Pipeline:
    """Its continuous mode is told only where it is read by itself. It has no schedule of its own: a job starts it."""
    spec = status.spec or {}
    trigger = Trigger.CONTINUOUS if spec.get("continuous") else Trigger.MANUAL if spec else Trigger.UNKNOWN
    return Pipeline(
        key=pipeline_key(source, native(status.pipeline_id)),
        name=status.name or status.pipeline_id,
        mode=Mode.GONE if status.state == "DELETED" else Mode.ACTIVE,
        trigger=trigger,
        owner=status.run_as_user_name or status.creator_user_name,
        tags=("pipeline",),
        url=f"{base}/pipelines/{status.pipeline_id}",
    )


def run_of(
    item: Update,
    pipeline_id: str,
    source: str,
    base: str,
    zone: tzinfo,
    end: tuple[int | None, str | None] = (None, None),
) -> Run:
    word, state, sub = state_of(item)
    begun = ms(item.creation_time)
    return Run(
        key=run_key(pipeline_key(source, native(pipeline_id)), item.update_id),
        native=word,
        state=state,
        sub=sub,
        kind=RunKind.MANUAL if item.cause in _MANUAL else RunKind.SCHEDULED,
        business_date=local_date(begun, zone) if begun else None,
        queued=begun,
        started=None if state is State.QUEUED else begun,
        ended=end[0] if state.terminal else None,
        url=f"{base}/pipelines/{pipeline_id}/updates/{item.update_id}",
        error=end[1] if state.bad else None,
    )


def step_of(run: Run) -> StepRun:
    """The one step: the update itself. Its flows are told only by events, which are its log."""
    return StepRun(
        run=run.key,
        step=STEP,
        native=run.native,
        state=run.state,
        sub=run.sub,
        queued=run.queued,
        started=run.started,
        ended=run.ended,
        operator="pipeline",
        error=run.error,
    )


def unhealthy(statuses: Sequence[Status], source: str, http: Http) -> list[SourceItem]:
    """One for each pipeline that Databricks calls unhealthy."""
    return [
        SourceItem(
            kind="warning",
            name=http.words(f"{s.name or s.pipeline_id} ({s.pipeline_id})"),
            standing=Standing.WARNING,
            words="Databricks calls this pipeline unhealthy",
            key=pipeline_key(source, native(s.pipeline_id)),
        )
        for s in statuses
        if s.health == "UNHEALTHY"
    ]


class EventCursor(msgspec.Struct, omit_defaults=True):
    """``at``: time of the last event handed out; ``ids``: those of that very moment."""

    at: str = ""
    ids: list[str] = msgspec.field(default_factory=list[str])


async def log(
    http: Http, pipeline_id: str, update_id: str, known: EventCursor, over: bool, begun: int | None
) -> tuple[LogChunk, EventCursor]:
    """Events of one update as lines, oldest first. There is no filter by update: those of others are left out."""
    since = known.at or (_iso(begun) if begun else "")
    params: dict[str, str | int] = {"order_by": "timestamp asc", "max_results": EVENTS}
    if since:
        params["filter"] = f"timestamp>='{since}'"
    found: list[Event] = []
    token: str | None = None
    for _ in range(EVENT_PAGES):  # with a token only max_results may be given
        page, _ = await http.get(
            path(pipeline_id, "/events"),
            _Events,
            params if token is None else {"max_results": EVENTS, "page_token": token},
        )
        found += page.events or ()
        token, last = page.next_page_token or None, token
        if token is None or token == last:
            token = None
            break
    fresh = [e for e in found if e.id not in known.ids]
    newest = found[-1].timestamp or since if found else since
    same = [e.id for e in found if e.id and e.timestamp == newest]
    ids = [*(known.ids if newest == known.at else ()), *same]
    lines = [_line(e) for e in fresh if e.origin and e.origin.update_id == update_id]
    end = over and token is None
    data = "".join(lines).encode("utf-8", "replace")
    return LogChunk(data, None, end), EventCursor(at=newest, ids=list(dict.fromkeys(ids)))


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(event: Event) -> str:
    """``2026-11-21T09:10:38.000Z ERROR flow_progress message``, and the exceptions of its error."""
    parts = (event.timestamp, event.level, event.event_type, event.message)
    lines = [" ".join(str(p) for p in parts if p)]
    for one in (event.error.get("exceptions") or ()) if isinstance(event.error, dict) else ():
        if isinstance(one, dict):
            lines.append(f"{one.get('class_name') or 'Error'}: {one.get('message') or ''}")
    return "".join(f"{line}\n" for line in lines)
