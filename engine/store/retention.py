"""What is forgotten, and when. In portions, so that no poll waits for it."""

from __future__ import annotations

from typing import Final

from engine.store.current import count_runs, day_number, rebuild_now
from engine.store.samples import forget
from engine.store.writer import Tx

PORTION: Final = 2_000
"""Runs deleted a sweep at most."""
SERIES: Final = 500
"""Series whose old samples are dropped a sweep."""


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
    forget(tx, SERIES)
    return len(rows)
