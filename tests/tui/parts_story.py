"""A source with everything that an Airflow has beside runs, some of it not well."""

from __future__ import annotations

from typing import Any

from adapters.extras import Asset, Operation, SourceItem, Standing
from adapters.model import State
from engine.store import items
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House

TRACE = """Traceback (most recent call last):
  File "/opt/dags/orders.py", line 3, in <module>
    from lake import orders_schema
ModuleNotFoundError: No module named 'lake'"""
OFFERS = frozenset({"items", "assets", "operations"})


def components(h: House, *, silent_for: int | None = None) -> list[SourceItem]:
    """All well, or the scheduler silent for so long."""
    beat = h.now - (3 * SECOND if silent_for is None else silent_for)
    bad = silent_for is not None
    scheduler = SourceItem(
        kind="component",
        name="scheduler",
        standing=Standing.BAD if bad else Standing.FINE,
        words="silent: nothing new starts" if bad else "healthy",
        value=(h.now - beat) / 1000,
        limit=60,
        unit="s",
        since=beat,
    )
    others = [
        SourceItem(kind="component", name=name, words="healthy", value=4, limit=60, unit="s", since=h.now - 4 * SECOND)
        for name in ("DAG processor", "triggerer")
    ]
    return [scheduler, *others, SourceItem(kind="component", name="metadata database", words="healthy")]


def pool(
    name: str, used: float, limit: float | None, words: str = "idle", standing: Standing = Standing.FINE
) -> SourceItem:
    return SourceItem(kind="pool", name=name, standing=standing, words=words, value=used, limit=limit, unit="slots")


def broken(h: House, name: str = "orders.py", text: str = TRACE) -> SourceItem:
    words = text.strip().splitlines()[-1]
    return SourceItem(
        kind="import-error", name=name, standing=Standing.BAD, words=words, text=text, since=h.now - 3 * HOUR
    )


def warned(h: House, key: str, words: str = "references non-existent pools: ['gone']") -> SourceItem:
    return SourceItem(
        kind="warning",
        name=f"{key} pool",
        standing=Standing.WARNING,
        words=words,
        text=words,
        key=key,
        since=h.now - DAY,
    )


def assets(h: House, source: str) -> list[Asset]:
    return [
        Asset(
            key=f"{source}:asset%2F1", name="orders", uri="s3://lake/orders", group="lake", last_event=h.now - 25 * MINUTE,
            event_by=f"{source}:daily_sales/1", producers=(f"{source}:daily_sales",), consumers=(f"{source}:customer_360", f"{source}:board_report"),
        ),
        Asset(key=f"{source}:asset%2F2", name="report", uri="s3://lake/report", last_event=h.now - 2 * DAY, producers=(f"{source}:board_report",)),
        Asset(key=f"{source}:asset%2F3", name="never_made"),
    ]  # fmt: skip


def operations(h: House, source: str) -> list[Operation]:
    return [
        Operation(
            id="7", pipeline=f"{source}:daily_sales", state=State.RUNNING, first="2026-11-01", last="2026-11-12", planned=12, done=4,
            failed=1, running=1, created=h.now - HOUR, words="1 at a time",
        ),
        Operation(
            id="6", pipeline=f"{source}:daily_sales", state=State.STOPPED, first="2026-10-01", last="2026-10-05", planned=5, done=2,
            failed=3, running=0, created=h.now - DAY, ended=h.now - 20 * HOUR,
        ),
    ]  # fmt: skip


def offer(h: House, source: str, *more: str) -> int:
    """The source offers items, assets and operations; its id."""
    with h.tx() as tx:
        source_id, caps = tx.db.execute("SELECT id, caps FROM source WHERE name = ?", (source,)).fetchone()
        import json

        known: dict[str, Any] = json.loads(caps)
        known["offers"] = sorted({*known.get("offers", ()), *OFFERS, *more})
        tx.db.execute("UPDATE source SET caps = ? WHERE id = ?", (json.dumps(known), source_id))
        tx.bump("source")
    return int(source_id)


def put(h: House, source: str, found: list[SourceItem] | None = None, **parts: Any) -> None:
    """``assets=``, ``operations=``, ``why=`` (part → reason). What is not given is an empty listing."""
    source_id = offer(h, source)
    why: dict[str, str] = parts.get("why", {})
    with h.tx() as tx:
        for part in ("items", "assets", "operations"):
            items.put_part(tx, source_id, part, why.get(part))
        if "items" not in why:
            items.put_items(tx, source_id, found or [])
        if "assets" not in why:
            items.put_assets(tx, source_id, parts.get("assets", []))
        if "operations" not in why:
            items.put_operations(tx, source_id, parts.get("operations", []))


def fill(h: House, source: str) -> None:
    """All of it, with a silent scheduler, a full pool, an import error and a warning."""
    found = [
        *components(h, silent_for=40 * MINUTE), pool("default_pool", 3, 128, "3 running"),
        pool("heavy", 4, 4, "full: 3 running, 1 queued, 5 scheduled", Standing.WARNING), pool("endless", 2, None, "2 running"),
        broken(h), warned(h, f"{source}:daily_sales"),
    ]  # fmt: skip
    put(h, source, found, assets=assets(h, source), operations=operations(h, source))
