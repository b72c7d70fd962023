"""SQL of pipelines: what can run, as its source lists it and as the configuration completes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from adapters.base import Listing
from adapters.model import Mode, Pipeline, Severity
from engine.config.model import Facts, PipelineRule, matches
from engine.store.writer import Tx

_COLUMNS: Final = (
    "name", "mode", "trigger", "schedule", "timezone", "next_run", "owner", "tags", "url", "description", "application",
    "layer", "criticality", "runbook", "consumers", "business_date_rule", "extra", "missing",
)  # fmt: skip
_NAME, _MODE, _NEXT_RUN, _URL, _MISSING = 0, 1, 5, 8, 17
_SELECT: Final = f"SELECT key, id, {', '.join(_COLUMNS)} FROM pipeline WHERE source_id = ?"  # noqa: S608
_UPDATE: Final = f"UPDATE pipeline SET {', '.join(f'{c} = ?' for c in _COLUMNS)} WHERE id = ?"  # noqa: S608
_INSERT: Final = (
    f"INSERT INTO pipeline ({', '.join(_COLUMNS)}, source_id, key, mode_since, seen)"  # noqa: S608
    f" VALUES ({', '.join('?' * len(_COLUMNS))}, ?, ?, ?, ?)"
)

Told = list[tuple[str, str]]
"""(key, what): ``new gone back renamed paused resumed``."""


def apply_pipelines(tx: Tx, source_id: int, listing: Listing, rules: Sequence[PipelineRule]) -> Told:
    """Store a listing; returns what happened to which pipeline.

    A pipeline that two complete listings in a row did not name is GONE; a partial listing never makes one GONE.
    ``rules`` say what the source does not know; a later rule wins per field. Nothing is written for what is as it was.
    """
    source, environment = tx.db.execute("SELECT name, environment FROM source WHERE id = ?", (source_id,)).fetchone()
    known = {row[0]: (row[1], row[2:]) for row in tx.db.execute(_SELECT, (source_id,)).fetchall()}
    told: Told = []
    seen: set[str] = set()
    moved = False
    for item in listing.items:
        if item.key in seen:
            continue
        seen.add(item.key)
        values = _values(item, rules, source, environment)
        old = known.get(item.key)
        if old is None:
            tx.db.execute(_INSERT, (*values, source_id, item.key, tx.now, tx.now))
            told.append((item.key, "new"))
            moved = True
            continue
        pipeline_id, had = old
        if values == had:
            continue
        moved = True
        tx.db.execute(_UPDATE, (*values, pipeline_id))
        if had[_MODE] != values[_MODE]:
            tx.db.execute("UPDATE pipeline SET mode_since = ? WHERE id = ?", (tx.now, pipeline_id))
        told.extend((item.key, what) for what in _what(had, values))
    if listing.complete:
        for key, (pipeline_id, had) in known.items():
            if key in seen or had[_MODE] == Mode.GONE:
                continue
            moved = _miss(tx, pipeline_id, had[_MISSING] + 1) or moved
            if had[_MISSING] + 1 >= 2:
                told.append((key, "gone"))
    if moved:
        tx.memo.pop("pipeline_urls", None)
        tx.bump("pipeline")
    return told


def _miss(tx: Tx, pipeline_id: int, times: int) -> bool:
    if times < 2:
        tx.db.execute("UPDATE pipeline SET missing = ? WHERE id = ?", (times, pipeline_id))
        return False
    tx.db.execute(
        "UPDATE pipeline SET missing = ?, mode = ?, mode_since = ?, next_run = NULL WHERE id = ?",
        (times, int(Mode.GONE), tx.now, pipeline_id),
    )
    return True


def _what(had: tuple[Any, ...], now: tuple[Any, ...]) -> list[str]:
    found: list[str] = []
    if had[_MODE] == Mode.GONE:
        found.append("back")
    elif had[_MODE] != now[_MODE]:
        if now[_MODE] == Mode.PAUSED:
            found.append("paused")
        elif had[_MODE] == Mode.PAUSED:
            found.append("resumed")
    if had[_NAME] != now[_NAME]:
        found.append("renamed")
    return found


def _values(item: Pipeline, rules: Sequence[PipelineRule], source: str, environment: str) -> tuple[Any, ...]:
    application = layer = runbook = business_date = timezone = None
    owner, criticality = item.owner, Severity.MEDIUM
    consumers: tuple[str, ...] = ()
    done_when: tuple[str, ...] = ()
    links: dict[str, str] = {}
    for rule in rules:
        facts = Facts(
            key=item.key, source=source, environment=environment, application=application, layer=layer, tags=item.tags
        )
        if not matches(rule.match, facts):
            continue
        application = rule.application or application
        layer = rule.layer or layer
        owner = rule.owner or owner
        runbook = rule.runbook or runbook
        business_date = rule.business_date or business_date
        timezone = rule.timezone or timezone
        consumers = rule.consumers or consumers
        done_when = rule.done_when or done_when
        links.update(rule.links)
        criticality = criticality if rule.criticality is None else rule.criticality
    extra: dict[str, Any] = {}
    if item.after:
        extra["after"] = list(item.after)
    if item.steps:
        extra["steps"] = [{"name": s.name, "after": list(s.after), "operator": s.operator} for s in item.steps]
    if done_when:
        extra["done_when"] = list(done_when)
    if links:
        extra["links"] = links
    return (
        item.name, int(item.mode), int(item.trigger), item.schedule, timezone or item.timezone, item.next_run, owner, join(item.tags),
        item.url, item.description, application, layer, int(criticality), runbook, join(consumers), business_date,
        json.dumps(extra, ensure_ascii=False) if extra else None, 0,
    )  # fmt: skip


def join(words: Sequence[str]) -> str:
    """Words in one column, a line each; the reader splits them."""
    return "\n".join(words)
