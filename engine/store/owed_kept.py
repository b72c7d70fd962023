"""What of promises is forgotten, and when: as long as runs are kept, in portions."""

from __future__ import annotations

from typing import Final

from engine.store.writer import Tx

PREDICTED_KEPT_MS: Final = 90 * 86_400_000
"""How far back calibration looks."""
PORTION: Final = 5_000
"""Occurrences deleted a sweep at most."""


def sweep(tx: Tx, retain_ms: int, portion: int = PORTION) -> int:
    """Drop what was due before, with what was predicted of it; what a screen shows as current stays. Returns how many went."""
    edge = tx.now - retain_ms
    gone = tx.db.execute(
        "SELECT id FROM occurrence WHERE due_at < ? AND state NOT IN (0, 1, 7) AND id NOT IN (SELECT occurrence_id FROM owed_now)"
        " ORDER BY due_at LIMIT ?",
        (edge, portion),
    ).fetchall()
    if gone:
        tx.db.executemany("DELETE FROM prediction WHERE occurrence_id = ?", gone)
        tx.db.executemany("DELETE FROM occurrence WHERE id = ?", gone)
        tx.bump("owed")
    tx.db.execute("DELETE FROM predicted WHERE at < ?", (tx.now - PREDICTED_KEPT_MS,))
    tx.db.execute("DELETE FROM owed_event WHERE at < ?", (edge,))
    tx.db.execute(
        "DELETE FROM expectation WHERE gone = 1 AND NOT EXISTS (SELECT 1 FROM occurrence o WHERE o.expectation_id = expectation.id)"
    )
    return len(gone)
