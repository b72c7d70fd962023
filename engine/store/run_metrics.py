"""SQL of numbers that runs print: which runs ended lately, whether a number is stored."""

from __future__ import annotations

from typing import Final

from adapters.model import Sample
from engine.store import samples as store_samples
from engine.store.packed import BACKFILLED, GENERATED
from engine.store.writer import Tx

DAY: Final = 86_400_000


def ended_since(tx: Tx, source_id: int, since: int, limit: int = 200) -> list[tuple[str, int, int]]:
    """(key, pipeline id, end in ms UTC) of the runs that ended well since then, newest first; no history."""
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run, p.id, r.ended FROM run r JOIN pipeline p ON p.id = r.pipeline_id"
        " WHERE r.at >= ? AND r.ended >= ? AND r.state IN (6, 7) AND NOT r.kind & ? AND p.source_id = ?"
        " ORDER BY r.ended DESC LIMIT ?",
        (since - DAY, since, BACKFILLED | GENERATED, source_id, limit),
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def has(tx: Tx, series: str, t: int) -> bool:
    """Whether a reading of that moment is stored; told for an hour."""
    row = tx.db.execute(
        "SELECT 1 FROM series s JOIN sample_raw o ON o.series_id = s.id AND o.t = ? WHERE s.name = ?", (t, series)
    ).fetchone()
    return row is not None


def put(tx: Tx, source: str, sample: Sample) -> None:
    """Keep one; nothing where one of that moment is there."""
    if not has(tx, sample.series, sample.t):
        store_samples.series_id(tx, sample.series, sample.unit, source)
        store_samples.describe_series(tx, sample.series, unit=sample.unit)
        store_samples.put_samples(tx, tx.now, [sample])
