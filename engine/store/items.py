"""SQL of what a source has beside pipelines and runs: its parts, assets and backfills. Only what changed is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.extras import Asset, Operation, SourceItem
from adapters.model import State
from engine.store.writer import Tx

KEPT_MS: Final = 30 * 86_400_000
"""How long an operation is kept after its end."""
ACTED_MS: Final = 900_000
"""How long after an action on a backfill its pipeline is looked at, whether anything runs there or not."""
GONE: Final = "its source names it no more"

_ITEM: Final = ("standing", "words", "text", "value", "most", "unit", "pipeline_key", "since")
_ASSET: Final = ("source_id", "name", "uri", "grp", "last_event", "event_by", "producers", "consumers")
_OPERATION: Final = (
    "pipeline_key", "kind", "state", "first", "last", "planned", "done", "failed", "running", "created", "ended", "who", "words",
)  # fmt: skip


def put_items(tx: Tx, source_id: int, items: Sequence[SourceItem]) -> bool:
    """Make the table say what a whole listing says; True where something changed."""
    wanted = {
        (i.kind, i.name): (
            int(i.standing), i.words, i.text, _real(i.value), _real(i.limit), i.unit, i.key, i.since,
        )
        for i in items
    }  # fmt: skip
    rows = tx.db.execute(
        f"SELECT kind, name, {', '.join(_ITEM)} FROM source_item WHERE source_id = ?",  # noqa: S608
        (source_id,),
    ).fetchall()
    known = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    gone = [(source_id, *name) for name in known if name not in wanted]
    tx.db.executemany("DELETE FROM source_item WHERE source_id = ? AND kind = ? AND name = ?", gone)
    fresh = [(source_id, *name, *values, tx.now) for name, values in wanted.items() if known.get(name) != values]
    _replace(tx, "source_item", ("source_id", "kind", "name", *_ITEM, "seen"), fresh)
    return _told(tx, gone, fresh)


def put_assets(tx: Tx, source_id: int, assets: Sequence[Asset]) -> bool:
    """Make the table say what a whole listing says; True where something changed."""
    wanted = {
        a.key: (
            source_id, a.name, a.uri, a.group, a.last_event, a.event_by, "\n".join(a.producers), "\n".join(a.consumers),
        )
        for a in assets
    }  # fmt: skip
    rows = tx.db.execute(
        f"SELECT key, {', '.join(_ASSET)} FROM asset WHERE source_id = ?",  # noqa: S608
        (source_id,),
    ).fetchall()
    known = {row[0]: tuple(row[1:]) for row in rows}
    gone = [(key,) for key in known if key not in wanted]
    tx.db.executemany("DELETE FROM asset WHERE key = ?", gone)
    fresh = [(key, *values, tx.now) for key, values in wanted.items() if known.get(key) != values]
    _replace(tx, "asset", ("key", *_ASSET, "seen"), fresh)
    return _told(tx, gone, fresh)


def put_operations(tx: Tx, source_id: int, operations: Sequence[Operation]) -> bool:
    """Store what a listing names. What was not over and is not named any more is LOST; what is long over is forgotten."""
    wanted: dict[str, tuple[Any, ...]] = {
        o.id: (
            o.pipeline, o.kind, int(o.state), o.first, o.last, o.planned, o.done, o.failed, o.running, o.created, o.ended, o.who, o.words,
        )
        for o in operations
    }  # fmt: skip
    rows = tx.db.execute(
        f"SELECT id, {', '.join(_OPERATION)} FROM operation WHERE source_id = ?",  # noqa: S608
        (source_id,),
    ).fetchall()
    known = {row[0]: tuple(row[1:]) for row in rows}
    for ident, values in known.items():
        if ident not in wanted and not State(values[2]).terminal:
            lost = dict(zip(_OPERATION, values, strict=True)) | {
                "state": int(State.LOST),
                "ended": tx.now,
                "words": GONE,
            }
            wanted[ident] = tuple(lost[name] for name in _OPERATION)
    fresh = [(source_id, i, *values, tx.now) for i, values in wanted.items() if known.get(i) != values]
    _replace(tx, "operation", ("source_id", "id", *_OPERATION, "seen"), fresh)
    old = tx.db.execute(
        "DELETE FROM operation WHERE source_id = ? AND state >= 6 AND coalesce(ended, seen) < ?",
        (source_id, tx.now - KEPT_MS),
    ).rowcount
    return _told(tx, range(old), fresh)


def put_part(tx: Tx, source_id: int, part: str, why: str | None) -> None:
    """A part was asked for now; ``why`` it was not answered, None where it was. The topic moves with the reason only:
    ages are read by the clock."""
    row = tx.db.execute(
        "SELECT seen, tried, why FROM source_part WHERE source_id = ? AND part = ?", (source_id, part)
    ).fetchone()
    seen = tx.now if why is None else row[0] if row else None
    if row == (seen, tx.now, why):
        return
    _replace(tx, "source_part", ("source_id", "part", "seen", "tried", "why"), [(source_id, part, seen, tx.now, why)])
    if row is None or row[2] != why:
        tx.bump("item")


def followed(tx: Tx, source_id: int) -> list[str]:
    """Keys of pipelines whose operations must be told: one is not over, or somebody acted on one through us lately."""
    rows = tx.db.execute(
        "SELECT pipeline_key FROM operation WHERE source_id = ? AND state < 6 UNION"
        " SELECT p.key FROM action a JOIN pipeline p ON p.key = a.scope WHERE a.created > ? AND a.verb LIKE 'backfill%'"
        " AND p.source_id = ? ORDER BY 1",
        (source_id, tx.now - ACTED_MS, source_id),
    ).fetchall()
    return [row[0] for row in rows]


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def _replace(tx: Tx, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(columns))
    tx.db.executemany(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608


def _told(tx: Tx, gone: Sequence[Any], fresh: Sequence[Any]) -> bool:
    if not gone and not fresh:
        return False
    tx.bump("item")
    return True
