"""SQL of what happened to the engine itself, and of its own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.model import Sample
from engine.store import samples
from engine.store.writer import Tx

SOURCE: Final = "own"
DAY_MS: Final = 86_400_000
KEPT_MS: Final = 400 * DAY_MS


@dataclass(frozen=True, slots=True)
class LastEngine:
    """What the engine before this one left. ``stopped`` None: it ended without a word."""

    pid: int
    started: int
    heartbeat: int
    stopped: int | None
    words: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One row of own_event; ``until`` None: it goes on, or it was a moment."""

    id: int
    at: int
    until: int | None
    what: str
    words: str


def last_engine(tx: Tx) -> LastEngine | None:
    """To be asked before ``engine_started`` replaces the row."""
    row = tx.db.execute("SELECT pid, started, heartbeat, stopped, last_words FROM engine WHERE id = 1").fetchone()
    return None if row is None else LastEngine(*row)


def add_event(tx: Tx, what: str, at: int, until: int | None, words: str) -> int:
    """Remember something about ourselves."""
    row = tx.db.execute(
        "INSERT INTO own_event (at, until, what, words) VALUES (?, ?, ?, ?)", (at, until, what, words[:1000])
    )
    tx.bump("engine")
    return int(row.lastrowid or 0)


def events(tx: Tx, what: str, since: int) -> list[Event]:
    """Of one kind, oldest first."""
    rows = tx.db.execute(
        "SELECT id, at, until, what, words FROM own_event WHERE at >= ? AND what = ? ORDER BY at, id", (since, what)
    )
    return [Event(*row) for row in rows.fetchall()]


def sweep(tx: Tx) -> None:
    tx.db.execute("DELETE FROM own_event WHERE at < ?", (tx.now - KEPT_MS,))


def outbox_depth(tx: Tx) -> tuple[int, int | None]:
    """Messages that are not delivered yet, and since when the oldest waits."""
    row = tx.db.execute("SELECT count(*), min(created) FROM outbox WHERE state IN (0, 1)").fetchone()
    return int(row[0]), row[1]


def put_numbers(tx: Tx, numbers: dict[str, tuple[float, str]]) -> None:
    """One reading each: name → (value, unit)."""
    for name, (_, unit) in numbers.items():
        samples.series_id(tx, name, unit, SOURCE)
    samples.put_samples(tx, tx.now, [Sample(name, tx.now, value, unit) for name, (value, unit) in numbers.items()])
