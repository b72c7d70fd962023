"""SQL of sources, their health, the engine's own row, configurations that ran, and notes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import Caps
from engine.store.writer import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """A source as the configuration has it. ``ord`` is its place there; ``insecure``: TLS is not verified."""

    name: str
    kind: str
    url: str = ""
    environment: str = ""
    color: str = ""
    protected: bool = True
    insecure: bool = False
    timezone: str = "UTC"
    ord: int = 0


_SOURCE: Final = ("kind", "url", "environment", "color", "protected", "insecure", "timezone", "ord", "gone")


def sync_sources(tx: Tx, sources: Sequence[SourceRecord]) -> dict[str, int]:
    """Make the table say what the configuration says; name → id. One that is no longer configured stays, ``gone`` = 1."""
    columns = ", ".join(_SOURCE)
    known = {row[1]: (row[0], row[2:]) for row in tx.db.execute(f"SELECT id, name, {columns} FROM source").fetchall()}  # noqa: S608
    ids: dict[str, int] = {}
    changed = False
    for record in sources:
        wanted = (
            record.kind, record.url, record.environment, record.color, int(record.protected), int(record.insecure),
            record.timezone, record.ord, 0,
        )  # fmt: skip
        if record.name not in known:
            marks = ", ".join("?" * len(_SOURCE))
            row = tx.db.execute(f"INSERT INTO source (name, {columns}) VALUES (?, {marks})", (record.name, *wanted))  # noqa: S608
            ids[record.name] = int(row.lastrowid or 0)
            tx.db.execute(
                "INSERT INTO source_health (source_id, health, since) VALUES (?, 0, ?)", (ids[record.name], tx.now)
            )
            changed = True
            continue
        source_id, had = known[record.name]
        ids[record.name] = source_id
        if tuple(had) != wanted:
            sets = ", ".join(f"{c} = ?" for c in _SOURCE)
            tx.db.execute(f"UPDATE source SET {sets} WHERE id = ?", (*wanted, source_id))  # noqa: S608
            changed = True
    for name, (source_id, had) in known.items():
        if name not in ids and not had[-1]:
            tx.db.execute("UPDATE source SET gone = 1 WHERE id = ?", (source_id,))
            changed = True
    if changed:
        tx.bump("source", "health", "pipeline")
    return ids


def put_caps(tx: Tx, source_id: int, caps: Caps) -> None:
    """What the adapter offers now, and why it lacks the rest."""
    text = json.dumps(
        {"offers": sorted(caps.offers), "why_not": dict(sorted(caps.why_not.items()))}, ensure_ascii=False
    )
    moved = tx.db.execute("UPDATE source SET caps = ? WHERE id = ? AND caps <> ?", (text, source_id, text)).rowcount
    if moved:
        tx.bump("source")


_HEALTH: Final = frozenset(
    {
        "health", "since", "last_ok", "last_try", "next_try", "failures", "detail", "hint", "until", "version", "identity",
        "skew_ms", "latency_ms", "requests_min", "bytes_min", "budget_min", "poll_ms", "cursor", "listing_misses",
    }
)  # fmt: skip


def put_health(tx: Tx, source_id: int, **fields: Any) -> None:
    """Write the given columns of ``source_health``; row and topic ``health`` move only when one of them changed."""
    if unknown := fields.keys() - _HEALTH:
        raise ValueError(f"source_health has no {', '.join(sorted(unknown))}")
    names = sorted(fields)
    if not names:
        return
    columns = ", ".join(names)
    values = tuple(fields[n] for n in names)
    row = tx.db.execute(f"SELECT {columns} FROM source_health WHERE source_id = ?", (source_id,)).fetchone()  # noqa: S608
    if row is None:
        given = {"health": 0, "since": tx.now, **fields}
        tx.db.execute(
            f"INSERT INTO source_health (source_id, {', '.join(given)}) VALUES (?, {', '.join('?' * len(given))})",  # noqa: S608
            (source_id, *given.values()),
        )
    elif row != values:
        sets = ", ".join(f"{n} = ?" for n in names)
        tx.db.execute(f"UPDATE source_health SET {sets} WHERE source_id = ?", (*values, source_id))  # noqa: S608
    else:
        return
    tx.bump("health")


def standing_of(tx: Tx, source_id: int) -> dict[str, Any]:
    """What was known of a source when the last engine ended, so that the age of truth outlives it."""
    names = ("health", "since", "last_ok", "detail", "hint", "version", "identity", "skew_ms", "cursor")
    row = tx.db.execute(f"SELECT {', '.join(names)} FROM source_health WHERE source_id = ?", (source_id,)).fetchone()  # noqa: S608
    return dict(zip(names, row, strict=True)) if row else {}


# --- the engine's own row -------------------------------------------------------------------------------------------


def engine_started(
    tx: Tx,
    *,
    pid: int,
    host: str,
    version: str,
    protocol: int,
    config_path: str,
    config_hash: str,
    demo: bool = False,
    timezone: str = "UTC",
    note: str | None = None,
) -> None:
    """Say who writes here from now on. What the last one said at its end goes."""
    tx.db.execute(
        "INSERT OR REPLACE INTO engine (id, pid, host, version, protocol, started, heartbeat, stopped, config_path, config_hash,"
        " config_error, demo, timezone, last_words, note) VALUES (1, ?, ?, ?, ?, ?, ?, NULL, ?, ?, NULL, ?, ?, NULL, ?)",
        (pid, host, version, protocol, tx.now, tx.now, config_path, config_hash, int(demo), timezone, note),
    )
    tx.bump("engine")


def engine_beat(tx: Tx) -> None:
    """The heartbeat, for display. No topic moves: whoever shows its age reads it by the clock."""
    tx.db.execute("UPDATE engine SET heartbeat = ? WHERE id = 1 AND heartbeat <> ?", (tx.now, tx.now))


def engine_stopped(tx: Tx, last_words: str | None) -> None:
    tx.db.execute(
        "UPDATE engine SET stopped = ?, heartbeat = ?, last_words = ? WHERE id = 1", (tx.now, tx.now, last_words)
    )
    tx.bump("engine")


def engine_config(tx: Tx, config_hash: str, error: str | None) -> None:
    """Which configuration runs, and why a newer one was not taken."""
    moved = tx.db.execute(
        "UPDATE engine SET config_hash = ?, config_error = ? WHERE id = 1 AND (config_hash <> ? OR config_error IS NOT ?)",
        (config_hash, error, config_hash, error),
    ).rowcount
    if moved:
        tx.bump("engine")


def engine_note(tx: Tx, note: str | None) -> None:
    """A sentence about the engine itself that people should see until its next start."""
    if tx.db.execute("UPDATE engine SET note = ? WHERE id = 1 AND note IS NOT ?", (note, note)).rowcount:
        tx.bump("engine")


def put_note(tx: Tx, key: str, who: str, text: str) -> None:
    """People's words on a key."""
    tx.db.execute("INSERT INTO note (key, at, who, text) VALUES (?, ?, ?, ?)", (key, tx.now, who, text))
    tx.bump("note")
