"""SQL of the outbox and of delivery attempts. One row per recipient; a row is never sent without being marked first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from engine.store.writer import Tx


class Post(IntEnum):
    """State of an outbox row. SUPERSEDED: what it tells of was over before anybody was told."""

    PENDING = 0
    SENDING = 1
    SENT = 2
    FAILED = 3
    SUPERSEDED = 4


FIRING: Final = ("fire", "repeat", "escalate")
"""Kinds that tell of trouble."""
_COLUMNS: Final = (
    "id, alert_id, kind, recipient, level, seq, notify_type, title, body, state, attempts, next_at, created, sent, last_error, "
    "fallback_of, fallback, done, unsure"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of ``outbox``. ``done``: parts of the contact's address that took it; ``unsure``: it may have arrived unnoticed."""

    id: str
    alert_id: str
    kind: str
    recipient: str
    level: int
    seq: int
    notify_type: str
    title: str
    body: str
    state: Post
    attempts: int
    next_at: int
    created: int
    sent: int | None
    last_error: str | None
    fallback_of: str
    fallback: str
    done: frozenset[int]
    unsure: bool


def _letter(row: Sequence[Any]) -> Letter:
    done = frozenset(int(part) for part in str(row[17]).split(",") if part)
    values: list[Any] = [*row[:9], Post(row[9]), *row[10:17], done, bool(row[18])]
    return Letter(*values)


def _select(tx: Tx, where: str, values: Sequence[Any]) -> list[Letter]:
    return [_letter(row) for row in tx.db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {where}", values).fetchall()]  # noqa: S608


def put(
    tx: Tx, *, id: str, alert_id: str, kind: str, recipient: str, notify_type: str, title: str, body: str, seq: int = 0, level: int = 0,
    next_at: int | None = None, fallback: str = "", fallback_of: str = "",
) -> bool:  # fmt: skip
    """Queue one message for one recipient. False: the same one stands there already."""
    done = tx.db.execute(
        "INSERT OR IGNORE INTO outbox (id, alert_id, kind, recipient, level, seq, notify_type, title, body, next_at, created, fallback, "
        "fallback_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (id, alert_id, kind, recipient, level, seq, notify_type, title, body, tx.now if next_at is None else next_at, tx.now, fallback,
         fallback_of),
    ).rowcount  # fmt: skip
    if done:
        tx.bump("outbox")
    return bool(done)


def due(tx: Tx, limit: int = 50) -> list[Letter]:
    return _select(tx, "state = 0 AND next_at <= ? ORDER BY created, id LIMIT ?", (tx.now, limit))


def next_due(tx: Tx) -> int | None:
    """When the next row is due; None while nothing waits."""
    return tx.db.execute("SELECT min(next_at) FROM outbox WHERE state = 0").fetchone()[0]


def unfinished(tx: Tx) -> int:
    return int(tx.db.execute("SELECT count(*) FROM outbox WHERE state IN (0, 1)").fetchone()[0])


def get(tx: Tx, id: str) -> Letter | None:
    return next(iter(_select(tx, "id = ?", (id,))), None)


def of_alert(tx: Tx, alert_id: str, seq: int | None = None) -> list[Letter]:
    """All letters of an alert (of one episode of it), oldest first."""
    if seq is None:
        return _select(tx, "alert_id = ? ORDER BY created, id", (alert_id,))
    return _select(tx, "alert_id = ? AND seq = ? ORDER BY created, id", (alert_id, seq))


def begin(tx: Tx, id: str) -> None:
    """About to be sent: an engine that dies now finds it so."""
    tx.db.execute("UPDATE outbox SET state = 1, attempts = attempts + 1 WHERE id = ?", (id,))
    tx.bump("outbox")


def finish(
    tx: Tx, id: str, state: Post, *, error: str | None = None, next_at: int | None = None, done: frozenset[int] = frozenset(), unsure: bool = False
) -> None:  # fmt: skip
    """How the attempt went. Once unsure, a letter stays so: its text says that it may be a repeat."""
    tx.db.execute(
        "UPDATE outbox SET state = ?, last_error = ?, next_at = coalesce(?, next_at), done = ?, unsure = max(unsure, ?), "
        "sent = CASE WHEN ? = 2 THEN ? ELSE sent END WHERE id = ?",
        (int(state), error, next_at, ",".join(str(i) for i in sorted(done)), int(unsure), int(state), tx.now, id),
    )
    tx.bump("outbox")


def recover(tx: Tx, under_way: Collection[str] = (), next_at: int | None = None) -> int:
    """Rows that are marked as being sent and are not: their engine died. They are sent again and say so."""
    strays = [
        row[0] for row in tx.db.execute("SELECT id FROM outbox WHERE state = 1").fetchall() if row[0] not in under_way
    ]
    tx.db.executemany(
        "UPDATE outbox SET state = 0, unsure = 1, next_at = ? WHERE id = ?",
        [(tx.now if next_at is None else next_at, id) for id in strays],
    )
    if strays:
        tx.bump("outbox")
    return len(strays)


def supersede(tx: Tx, alert_id: str) -> int:
    """Messages of trouble that is over and that wait: they are not sent any more. Those being sent now are left alone."""
    moved = tx.db.execute(
        "UPDATE outbox SET state = 4 WHERE alert_id = ? AND state = 0 AND kind IN ('fire', 'repeat', 'escalate')",
        (alert_id,),
    ).rowcount
    if moved:
        tx.bump("outbox")
    return moved


def reword(tx: Tx, id: str, title: str, body: str, next_at: int) -> None:
    """Better words for a message that nobody has tried to send yet."""
    tx.db.execute(
        "UPDATE outbox SET title = ?, body = ?, next_at = min(next_at, ?) WHERE id = ? AND state = 0 AND attempts = 0",
        (title, body, next_at, id),
    )
    tx.bump("outbox")


def without_fallback(tx: Tx, older_than: int) -> list[Letter]:
    """Undelivered messages of trouble whose second contact is to be told now: tried twice, given up, or older than that."""
    return _select(
        tx,
        "state IN (0, 1, 3) AND kind IN ('fire', 'repeat', 'escalate') AND fallback <> '' AND fallback <> recipient "
        "AND (attempts >= 2 AND state <> 1 OR attempts >= 3 OR created <= ? OR state = 3) AND attempts > 0 "
        "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.alert_id = outbox.alert_id AND o.seq = outbox.seq AND o.kind = outbox.kind "
        "AND o.level = outbox.level AND o.recipient = outbox.fallback)",
        (older_than,),
    )


def stands(tx: Tx, letter: Letter, recipient: str) -> bool:
    """Whether this recipient has (or had) a message of the same step of the same alert."""
    row = tx.db.execute(
        "SELECT 1 FROM outbox WHERE alert_id = ? AND seq = ? AND kind = ? AND level = ? AND recipient = ?",
        (letter.alert_id, letter.seq, letter.kind, letter.level, recipient),
    ).fetchone()
    return row is not None


def delivery(tx: Tx, outbox_id: str, ok: bool, ms: int, detail: str) -> None:
    """One attempt and what came of it, in our own words."""
    tx.db.execute(
        "INSERT INTO delivery (outbox_id, at, ok, ms, detail) VALUES (?, ?, ?, ?, ?)",
        (outbox_id, tx.now, int(ok), ms, detail),
    )
    tx.bump("outbox")


def last_delivery(tx: Tx, outbox_id: str) -> tuple[int, str]:
    """(milliseconds, words) of the last attempt."""
    row = tx.db.execute(
        "SELECT ms, detail FROM delivery WHERE outbox_id = ? ORDER BY id DESC LIMIT 1", (outbox_id,)
    ).fetchone()
    return (0, "not tried") if row is None else (int(row[0]), str(row[1] or ""))
