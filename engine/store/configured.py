"""SQL of what the configuration says that only a screen needs: cards, saved views, limits, what is normal of a series.

Whole at each reload.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from engine.config.model import Config, Source
from engine.store.sources import SourceRecord
from engine.store.writer import Tx


def put_configured(tx: Tx, config: Config) -> None:
    """Make the table say what ``config`` says; nothing moves where it already does."""
    wanted: list[tuple[str, str, int, str]] = []
    for kind, entries in (("card", config.cards), ("view", config.views)):
        for order, entry in enumerate(entries):
            body = asdict(entry)
            wanted.append((kind, body.pop("name"), order, json.dumps(body, ensure_ascii=False)))
    for order, limit in enumerate(config.limits):
        wanted.append(("limit", limit.on, order, json.dumps({"limit": limit.limit, "words": limit.words})))
    for order, series in enumerate(config.series):
        body = {"source": series.source, "query": series.query, "unit": series.unit, "normal": series.normal}
        wanted.append(("series", series.name, order, json.dumps(body, ensure_ascii=False)))
    gone = tx.db.execute(
        "DELETE FROM series_now WHERE source NOT IN (SELECT value FROM json_each(?))",
        (json.dumps([source.name for source in config.sources]),),
    ).rowcount
    if gone:
        tx.bump("sample")
    now = tx.db.execute("SELECT kind, name, ord, body FROM configured").fetchall()
    if sorted(now) == sorted(wanted):
        return
    tx.db.execute("DELETE FROM configured")
    tx.db.executemany("INSERT OR REPLACE INTO configured (kind, name, ord, body) VALUES (?, ?, ?, ?)", wanted)
    tx.bump("configured")


def record(config: Config, source: Source, order: int) -> SourceRecord:
    color = next((e.color for e in config.environments if e.name == source.environment), "")
    return SourceRecord(
        name=source.name, kind=source.kind, url=source.url, environment=source.environment, color=color or "",
        protected=source.protected, insecure=not source.tls_verify, timezone=source.timezone, ord=order,
    )  # fmt: skip
