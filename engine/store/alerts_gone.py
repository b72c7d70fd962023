"""SQL of the rule ``pipeline-gone``: pipelines that something is promised of and that their source lists no more."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import Mode
from engine.store.writer import Tx


@dataclass(frozen=True, slots=True)
class Gone:
    """``since``: when it was found gone (ms UTC). ``promises``: ids of what is configured of it; ``words``: how the first reads."""

    key: str
    source: str
    since: int
    promises: tuple[str, ...]
    words: str


def gone(tx: Tx) -> list[Gone]:
    """Of sources that are configured, by source and key."""
    # CROSS JOIN: from the few that are gone, not from the thousands that are promised
    rows = tx.db.execute(
        "SELECT p.key, s.name, coalesce(p.mode_since, p.seen), e.promise, e.words FROM pipeline p CROSS JOIN source s ON s.id = p.source_id"
        " CROSS JOIN expectation e ON e.pipeline_id = p.id AND e.declared = 1 AND e.gone = 0"
        " WHERE p.mode = ? AND s.gone = 0 ORDER BY s.name, p.key, e.promise",
        (int(Mode.GONE),),
    ).fetchall()
    found: dict[str, Gone] = {}
    for key, source, since, promise, words in rows:
        had = found.get(key)
        promises = (promise,) if had is None else (*had.promises, promise)
        found[key] = Gone(key, source, since, promises, words if had is None else had.words)
    return list(found.values())


def listed(tx: Tx, key: str) -> bool:
    """Whether its source lists a pipeline (again)."""
    row = tx.db.execute("SELECT mode FROM pipeline WHERE key = ?", (key,)).fetchone()
    return row is not None and row[0] != Mode.GONE


def versions(tx: Tx) -> tuple[int, ...]:
    """Move with the commit of whatever changed a pipeline or what is owed."""
    rows = tx.db.execute("SELECT version FROM meta WHERE topic IN ('pipeline', 'owed') ORDER BY topic").fetchall()
    return tuple(row[0] for row in rows)
