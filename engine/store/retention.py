"""What is forgotten, and when. In portions, so that no poll waits for it."""

from __future__ import annotations

from typing import Final

from engine.store.current import count_runs, day_number, rebuild_now
from engine.store.samples import RAW_KEPT, TIERS
from engine.store.writer import Tx

PORTION: Final = 2_000
"""Runs deleted a sweep at most."""


def sweep(tx: Tx, retain_runs_ms: int, portion: int = PORTION) -> int:
    """Drop runs older than ``retain_runs_ms`` with their steps, attempts and log rows, and samples past their tier.

    What is active stays, and the newest run of each pipeline. Returns how many runs went; when it is ``portion``, more
    may be waiting. Log files are not touched: they belong to who wrote them.
    """
    edge = tx.now - retain_runs_ms
    rows = tx.db.execute(
        "SELECT r.id, r.pipeline_id FROM run r LEFT JOIN pipe_now n ON n.pipeline_id = r.pipeline_id"
        " WHERE r.at < ? AND r.state >= 6 AND r.id IS NOT n.run_id ORDER BY r.at LIMIT ?",
        (edge, portion),
    ).fetchall()
    if rows:
        ids = [(row[0],) for row in rows]
        for table in ("run_extra", "attempt", "step_run", "log_file"):
            tx.db.executemany(f"DELETE FROM {table} WHERE run_id = ?", ids)  # noqa: S608 - names of our own tables
        tx.db.executemany("DELETE FROM run WHERE id = ?", ids)
        count_runs(tx, -len(rows))
        for pipeline_id in sorted({row[1] for row in rows}):
            rebuild_now(tx, pipeline_id)
        tx.bump("run")
    tx.db.execute("DELETE FROM run_day WHERE day < ?", (day_number(edge),))
    tx.db.execute("DELETE FROM sample_raw WHERE t < ?", (tx.now - RAW_KEPT,))
    for table, _, kept, _ in TIERS:
        # series-major: one short range a series
        numbers = tx.db.execute("SELECT id FROM series").fetchall()
        tx.db.executemany(
            f"DELETE FROM {table} WHERE series_id = ? AND t < ?",  # noqa: S608
            [(n, tx.now - kept) for (n,) in numbers],
        )
    _forget_series(tx)
    return len(rows)


def _forget_series(tx: Tx) -> None:
    """Series of run trees that have no reading left in any tier."""
    gone = tx.db.execute(
        "SELECT s.id, s.name FROM series s WHERE s.name LIKE 'run.%' AND NOT EXISTS (SELECT 1 FROM sample_10m o WHERE"
        " o.series_id = s.id) AND NOT EXISTS (SELECT 1 FROM sample_1m o WHERE o.series_id = s.id) AND NOT EXISTS"
        " (SELECT 1 FROM sample_10s o WHERE o.series_id = s.id) AND s.id NOT IN (SELECT series_id FROM sample_raw)"
    ).fetchall()
    if gone:
        tx.db.executemany("DELETE FROM series WHERE id = ?", [(i,) for i, _ in gone])
        known: dict[str, int] = tx.memo.get("series", {})
        for _, name in gone:
            known.pop(name, None)
