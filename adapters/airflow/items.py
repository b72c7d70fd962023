"""What an Airflow 3 has beside runs: its own components, pools, import errors, warnings of DAGs, assets.

Four small requests a minute and one every few minutes, 5 to 25 ms each on the server.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from adapters.airflow import reads
from adapters.airflow.wire import ms
from adapters.errors import AdapterError, Forbidden, NotFound
from adapters.extras import Asset, SourceItem, Standing
from adapters.http import Http
from adapters.model import pipeline_key, run_key

SILENT_S: Final = 60.0
"""A heartbeat older than this, by the server's own clock, is not believed to be well, whatever the server says.
Airflow calls it unhealthy itself after 30 s, where it was not told otherwise."""
MAX_TEXT: Final = 20_000
EVENTS: Final = 100

_CONTROL: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class _Part(msgspec.Struct):
    status: str | None = None
    latest_scheduler_heartbeat: datetime | None = None
    latest_triggerer_heartbeat: datetime | None = None
    latest_dag_processor_heartbeat: datetime | None = None

    @property
    def beat(self) -> int | None:
        """ms UTC of the last heartbeat."""
        return ms(
            self.latest_scheduler_heartbeat or self.latest_triggerer_heartbeat or self.latest_dag_processor_heartbeat
        )


class HealthParts(msgspec.Struct):
    """``/monitor/health``, with its heartbeats. HTTP 200 also where all of it is dead."""

    metadatabase: _Part | None = None
    scheduler: _Part | None = None
    triggerer: _Part | None = None
    dag_processor: _Part | None = None

    def items(self, now: int | None) -> list[SourceItem]:
        """One a component that is installed (its status is null where it is not). ``now``: the server's own time."""
        found = (
            ("scheduler", self.scheduler, "nothing new starts", Standing.BAD),
            ("metadata database", self.metadatabase, "nothing of this source can be trusted", Standing.BAD),
            ("DAG processor", self.dag_processor, "changes to DAGs are not seen", Standing.WARNING),
            ("triggerer", self.triggerer, "deferred tasks stand still", Standing.WARNING),
        )
        return [
            _component(name, part, so, bad, now)
            for name, part, so, bad in found
            if part is not None and not (part.status is None and part.beat is None)
        ]


def _component(name: str, part: _Part, so: str, bad: Standing, now: int | None) -> SourceItem:
    age = None if part.beat is None or now is None else max(0.0, (now - part.beat) / 1000)
    old = age is not None and age > SILENT_S
    well = part.status == "healthy" and not old
    words = part.status or "not saying"
    if not well:
        words = f"silent: {so}" if part.beat is not None else f"{words}: {so}"
    return SourceItem(
        kind="component",
        name=name,
        standing=Standing.FINE if well else bad,
        words=words,
        value=age,
        limit=SILENT_S,
        unit="s",
        since=part.beat,
    )


class _Pool(msgspec.Struct):
    name: str
    slots: int | None = None
    occupied_slots: int | None = None
    running_slots: int | None = None
    queued_slots: int | None = None
    deferred_slots: int | None = None
    scheduled_slots: int | None = None
    open_slots: int | None = None


class _Pools(msgspec.Struct):
    pools: list[_Pool]
    total_entries: int | None = None


class _ImportError(msgspec.Struct):
    import_error_id: int
    filename: str | None = None
    bundle_name: str | None = None
    timestamp: datetime | None = None
    stack_trace: str | None = None


class _ImportErrors(msgspec.Struct):
    import_errors: list[_ImportError]
    total_entries: int | None = None


class _Warning(msgspec.Struct):
    dag_id: str
    warning_type: str | None = None
    message: str | None = None
    timestamp: datetime | None = None


class _Warnings(msgspec.Struct):
    dag_warnings: list[_Warning]
    total_entries: int | None = None


class _Ref(msgspec.Struct):
    dag_id: str


class _Event(msgspec.Struct):
    id: int | None = None
    timestamp: datetime | None = None


class _Asset(msgspec.Struct):
    id: int
    name: str | None = None
    uri: str | None = None
    group: str | None = None
    scheduled_dags: list[_Ref] | None = None
    producing_tasks: list[_Ref] | None = None
    consuming_tasks: list[_Ref] | None = None
    last_asset_event: _Event | None = None


class _Assets(msgspec.Struct):
    assets: list[_Asset]
    total_entries: int | None = None


class _Made(msgspec.Struct):
    id: int
    asset_id: int
    source_dag_id: str | None = None
    source_run_id: str | None = None


class _Events(msgspec.Struct):
    asset_events: list[_Made]
    total_entries: int | None = None


# --- what the adapter asks -------------------------------------------------------------------------------------------


async def items(http: Http, source: str, wanted: Callable[[str], bool]) -> list[SourceItem]:
    """All of them. What this user may not read is one item without a name that says so; a request that fails otherwise
    fails the whole, so that nothing is taken for gone that only could not be read. Forbidden where nothing may be read."""
    asked: tuple[tuple[str, Callable[[], Awaitable[list[SourceItem]]]], ...] = (
        ("component", lambda: _components(http)),
        ("pool", lambda: _pools(http)),
        ("import-error", lambda: _import_errors(http)),
        ("warning", lambda: _warnings(http, source, wanted)),
    )
    found: list[SourceItem] = []
    refused: AdapterError | None = None
    for kind, ask in asked:
        try:
            found += await ask()
        except (Forbidden, NotFound) as err:
            refused = err
            found.append(SourceItem(kind=kind, name="", standing=Standing.WARNING, words=http.words(err.what)))
    if refused is not None and all(item.name == "" for item in found):
        raise refused
    return list({(i.kind, i.name): i for i in found}.values())


async def _components(http: Http) -> list[SourceItem]:
    health, answer = await http.get("/api/v2/monitor/health", HealthParts, auth=False)
    return health.items(answer.server_time)


async def _pools(http: Http) -> list[SourceItem]:
    found, _, _ = await reads.pages(
        http, "/api/v2/pools", {"order_by": "name"}, _Pools, lambda p: p.pools, lambda p: p.total_entries, most=10
    )
    return [_pool(http, pool) for pool in found]


def _pool(http: Http, pool: _Pool) -> SourceItem:
    used = pool.occupied_slots
    if used is None and pool.slots is not None and pool.open_slots is not None:
        used = pool.slots - pool.open_slots
    limit = None if pool.slots is None or pool.slots < 0 else pool.slots  # -1: without a limit
    waiting = (pool.queued_slots or 0) + (pool.scheduled_slots or 0)
    parts = [
        f"{count} {word}"
        for count, word in (
            (pool.running_slots, "running"),
            (pool.queued_slots, "queued"),
            (pool.scheduled_slots, "scheduled"),
            (pool.deferred_slots, "deferred"),
        )
        if count
    ]
    full = limit is not None and used is not None and used >= limit
    none = limit == 0
    words = "no slots: nothing in it starts" if none else ", ".join(parts) or "idle"
    if full and waiting and not none:
        words = f"full: {words}"
    return SourceItem(
        kind="pool",
        name=http.words(pool.name),
        standing=Standing.WARNING if full and (waiting or none) else Standing.FINE,
        words=words,
        value=None if used is None else float(used),
        limit=None if limit is None else float(limit),
        unit="slots",
    )


async def _import_errors(http: Http) -> list[SourceItem]:
    found, _, _ = await reads.pages(
        http, "/api/v2/importErrors", {}, _ImportErrors, lambda p: p.import_errors, lambda p: p.total_entries, most=10
    )
    out: dict[str, SourceItem] = {}
    for error in found:
        name = http.words(error.filename or f"import error {error.import_error_id}")
        if name in out:  # the same path in two bundles
            name = http.words(f"{name} ({error.bundle_name or error.import_error_id})")
        text = whole(error.stack_trace or "")
        out[name] = SourceItem(
            kind="import-error",
            name=name,
            standing=Standing.BAD,
            words=http.words(said(text)) or "cannot be read; Airflow does not say why",
            text=text,
            since=ms(error.timestamp),
        )
    return list(out.values())


def whole(trace: str) -> str:
    """A trace as it may be shown: newlines and tabs, no other control characters, not without end."""
    text = _CONTROL.sub("", trace.replace("\r\n", "\n").replace("\r", "\n")).expandtabs(4).rstrip()
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n… (longer than is kept here)"


def said(trace: str) -> str:
    """The one line of a Python trace that says what is wrong: the last that stands at its beginning."""
    lines = [line for line in trace.splitlines() if line.strip()]
    flush = [line for line in lines if not line[0].isspace() and not line.startswith("Traceback (")]
    return (flush or lines or [""])[-1].strip()


async def _warnings(http: Http, source: str, wanted: Callable[[str], bool]) -> list[SourceItem]:
    found, _, _ = await reads.pages(
        http, "/api/v2/dagWarnings", {}, _Warnings, lambda p: p.dag_warnings, lambda p: p.total_entries, most=10
    )
    return [
        SourceItem(
            kind="warning",
            name=http.words(f"{w.dag_id} {w.warning_type or ''}"),
            standing=Standing.WARNING,
            words=http.words((w.message or w.warning_type or "?").strip().partition("\n")[0]),
            text=whole(w.message or ""),
            key=pipeline_key(source, w.dag_id),
            since=ms(w.timestamp),
        )
        for w in found
        if wanted(w.dag_id)
    ]


async def assets(http: Http, source: str) -> list[Asset]:
    """All assets with their last event. Which run made it is told for the latest events: a nicety, one request."""
    found, _, _ = await reads.pages(
        http, "/api/v2/assets", {"order_by": "id"}, _Assets, lambda p: p.assets, lambda p: p.total_entries, most=50
    )
    made = await _made(http, source) if any(a.last_asset_event for a in found) else {}
    return [_asset(http, a, source, made) for a in found]


async def _made(http: Http, source: str) -> dict[int, str]:
    """Key of the run that made an event, by the event's id."""
    try:
        page, _ = await http.get("/api/v2/assets/events", _Events, {"order_by": "-timestamp", "limit": EVENTS})
    except AdapterError:
        return {}
    return {
        e.id: run_key(pipeline_key(source, e.source_dag_id), e.source_run_id)
        for e in page.asset_events
        if e.source_dag_id and e.source_run_id
    }


def _asset(http: Http, one: _Asset, source: str, made: dict[int, str]) -> Asset:
    event = one.last_asset_event
    name = one.name or one.uri or f"asset {one.id}"
    return Asset(
        key=pipeline_key(source, f"asset/{one.id}"),
        name=http.words(name),
        uri=http.words(one.uri or ""),
        group=http.words(one.group or ""),
        last_event=ms(event.timestamp) if event else None,
        event_by=made.get(event.id) if event and event.id is not None else None,
        producers=_keys(one.producing_tasks, source),
        consumers=_keys([*(one.scheduled_dags or ()), *(one.consuming_tasks or ())], source),
    )


def _keys(refs: Sequence[_Ref] | None, source: str) -> tuple[str, ...]:
    return tuple(sorted({pipeline_key(source, ref.dag_id) for ref in refs or ()}))
