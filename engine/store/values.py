"""SQL of measured values as the judge asks for them: which series there are, their last reading, a window, their days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from adapters.model import Mode
from engine.store.samples import OURS
from engine.store.writer import Tx

HOST_RECENT: Final = 120_000
"""A reading of this host that is older stands for nothing."""
OF_RUNS: Final = "{pipeline="
"""What stands in the name of a number that a run told: it stays as it was told."""
_EPOCH: Final = date(1970, 1, 1)
_BUCKETS: Final = (("sample_10s", 10_000, 3_600_000), ("sample_1m", 60_000, 43_200_000), ("sample_10m", 600_000, 0))
"""Tier, its bucket in ms, and the longest stretch that is read from it (0: any)."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The last reading of a series: ``t`` by its source, None where there never was one. ``tried``: when it was asked last, by our
    clock; ``why``: what was wrong then, None where it answered. ``unit``: of the value. ``told``: by a run, so that it stays as it is.
    ``blind``: why its source does not answer at all, so that nothing of it is asked for."""

    t: int | None
    value: float
    tried: int
    why: str | None
    unit: str
    told: bool = False
    blind: str | None = None


def series_mark(tx: Tx) -> tuple[int, int, str]:
    """Changes whenever a series comes or goes, one moves to another source, or a source goes."""
    total, newest = tx.db.execute("SELECT count(*), coalesce(max(id), 0) FROM series").fetchone()
    asked = tx.db.execute(
        "SELECT n.source, count(*), sum(n.series_id), max(c.gone) FROM series_now n LEFT JOIN source c ON c.name = n.source GROUP BY n.source"
    ).fetchall()
    return int(total), int(newest), repr(asked)


def series_names(tx: Tx) -> dict[str, str]:
    """Series that are measured now, by name: their source; of this host "local". A source that was taken out measures nothing."""
    rows = tx.db.execute(
        "SELECT s.name, n.source FROM series s JOIN series_now n ON n.series_id = s.id"
        " LEFT JOIN source c ON c.name = n.source WHERE coalesce(c.gone, 0) = 0"
        " UNION SELECT name, '' FROM series WHERE source = ? UNION SELECT name, source FROM series WHERE name GLOB ? ORDER BY 1",
        (OURS[0], f"*{OF_RUNS}*"),
    ).fetchall()
    return {name: source or "local" for name, source in rows}


def latest(tx: Tx, name: str) -> Latest | None:
    """None: there is no such series."""
    row = tx.db.execute(
        "SELECT s.id, s.unit, n.t, n.value, n.tried, n.why, CASE WHEN h.health > 2 THEN h.detail END"
        " FROM series s LEFT JOIN series_now n ON n.series_id = s.id LEFT JOIN source c ON c.name = n.source"
        " LEFT JOIN source_health h ON h.source_id = c.id WHERE s.name = ?",
        (name,),
    ).fetchone()
    if row is None:
        return None
    number, unit, t, value, tried, why, blind = row
    if tried is not None:
        return Latest(t, value or 0.0, tried, why, unit, blind=blind)
    return _kept(tx, number, unit, OF_RUNS in name)


def _kept(tx: Tx, number: int, unit: str, told: bool) -> Latest:
    """Of a series that nobody is asked for: what this host, or a run, told last."""
    found = tx.db.execute(
        "SELECT t, value FROM sample_raw WHERE t >= ? AND series_id = ? ORDER BY t DESC LIMIT 1",
        (tx.now - HOST_RECENT, number),
    ).fetchone()
    for tier in ("sample_10s", "sample_1m", "sample_10m"):
        if found is not None:
            break
        found = tx.db.execute(
            f"SELECT t, avg FROM {tier} WHERE series_id = ? ORDER BY t DESC LIMIT 1",  # noqa: S608 - a name of our own
            (number,),
        ).fetchone()
    if found is None:
        return Latest(None, 0.0, tx.now, "nothing was measured yet", unit, told)
    return Latest(found[0], found[1], found[0], None, unit, told)


def window(tx: Tx, name: str, since: int) -> tuple[float, float] | None:
    """(mean, highest) of a series since then, from its 10 s means; None: nothing is known of it. At most two hours."""
    row = tx.db.execute(
        "SELECT sum(o.avg * o.n) / sum(o.n), max(o.max) FROM series s CROSS JOIN sample_10s o ON o.series_id = s.id"
        " WHERE s.name = ? AND o.t >= ?",
        (name, since),
    ).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def at_or_before(tx: Tx, name: str, t: int) -> tuple[int, float] | None:
    """The last reading not after ``t`` that is still kept, from the minutes or the ten minutes."""
    best: tuple[int, float] | None = None
    for tier in ("sample_1m", "sample_10m"):
        row = tx.db.execute(
            f"SELECT o.t, o.max FROM series s CROSS JOIN {tier} o ON o.series_id = s.id WHERE s.name = ? AND o.t <= ?"  # noqa: S608
            " ORDER BY o.t DESC LIMIT 1",
            (name, t),
        ).fetchone()
        if row is not None and (best is None or row[0] > best[0]):
            best = (row[0], row[1])
    return best


@dataclass(frozen=True, slots=True)
class Bucket:
    """Readings of a series in [``start``, ``end``), ms UTC: how many, their mean and extremes."""

    start: int
    end: int
    n: int
    mean: float
    least: float
    most: float


def buckets(tx: Tx, name: str, t: int, length: int) -> list[Bucket]:
    """What is stored of a series up to ``t``, newest first: readings of ``length`` ms at least, as far as they are kept; where it
    was measured seldom of much longer. The longer, the coarser."""
    tier, bucket = next((tier, size) for tier, size, most in _BUCKETS if not most or length <= most)
    rows = tx.db.execute(
        f"SELECT o.t, o.n, o.avg, o.min, o.max FROM series s CROSS JOIN {tier} o ON o.series_id = s.id"  # noqa: S608 - a name of our own
        " WHERE s.name = ? AND o.t <= ? ORDER BY o.t DESC LIMIT ?",
        (name, t, length // bucket + 2),
    ).fetchall()
    return [Bucket(start, start + bucket, n, mean, least, most) for start, n, mean, least, most in rows]


def reached(tx: Tx, name: str, value: float, since: int, below: float) -> int | None:
    """When a series first was at least ``value`` and ``below`` something, of the readings since then; to the minute. None: not yet."""
    found: list[int] = []
    for tier in ("sample_10s", "sample_1m"):
        row = tx.db.execute(
            f"SELECT o.t FROM series s CROSS JOIN {tier} o ON o.series_id = s.id WHERE s.name = ? AND o.t >= ? AND o.max >= ? AND o.max < ?"  # noqa: S608
            " ORDER BY o.t LIMIT 1",
            (name, since, value, below),
        ).fetchone()
        if row is not None:
            found.append(row[0])
    return min(found, default=None)


def days(tx: Tx, name: str, since: date) -> list[tuple[date, float, float]]:
    """(date in UTC, mean, highest) of the whole days since then, oldest first."""
    rows = tx.db.execute(
        "SELECT d.day, d.avg, d.max FROM series s CROSS JOIN sample_day d ON d.series_id = s.id WHERE s.name = ? AND d.day >= ?"
        " ORDER BY d.day",
        (name, (since - _EPOCH).days),
    ).fetchall()
    return [(_EPOCH + timedelta(days=day), mean, most) for day, mean, most in rows]


def is_gone(tx: Tx, pipeline_id: int) -> bool:
    """Whether a pipeline is no longer at its source."""
    row = tx.db.execute("SELECT mode FROM pipeline WHERE id = ?", (pipeline_id,)).fetchone()
    return row is None or row[0] == Mode.GONE


def asset_event(tx: Tx, name: str) -> tuple[int | None, str | None]:
    """(when an asset of that key or name was last made, the source that says so); None, None: there is none."""
    row = tx.db.execute(
        "SELECT a.last_event, s.name FROM asset a JOIN source s ON s.id = a.source_id WHERE a.key = ?1 OR a.name = ?1"
        " ORDER BY a.last_event DESC LIMIT 1",
        (name,),
    ).fetchone()
    return (None, None) if row is None else (row[0], row[1])
