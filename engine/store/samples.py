"""SQL of samples: raw for two hours, then 10 s, 1 min and 10 min means with their extremes; and the process table.

One transaction a tick. The roll-up of a closed bucket happens in the tick that opens the next one, so it is paid in
small parts and survives a restart: what is rolled is asked of the tables, not remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from adapters.model import Sample
from engine.store.writer import Tx

HOUR: Final = 3_600_000
RAW_KEPT: Final = 2 * HOUR
TIERS: Final = (
    # table, bucket ms, kept ms, rolled from
    ("sample_10s", 10_000, 24 * HOUR, "sample_raw"),
    ("sample_1m", 60_000, 7 * 24 * HOUR, "sample_10s"),
    ("sample_10m", 600_000, 30 * 24 * HOUR, "sample_1m"),
)


class ProcessLike(Protocol):
    """One process of this host; ``cpu`` in percent of one core, ``rss`` in bytes, None where it may not be seen."""

    @property
    def pid(self) -> int: ...
    @property
    def ppid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def cpu(self) -> float | None: ...
    @property
    def rss(self) -> int | None: ...
    @property
    def run_key(self) -> str | None: ...


def series_id(tx: Tx, name: str, unit: str = "", source: str = "host") -> int:
    """Id of a series, made when it is new."""
    ids: dict[str, int] = tx.memo.setdefault("series", {})
    found = ids.get(name)
    if found is None:
        row = tx.db.execute("SELECT id FROM series WHERE name = ?", (name,)).fetchone()
        if row is None:
            row = (
                tx.db.execute(
                    "INSERT INTO series (name, unit, source) VALUES (?, ?, ?)", (name, unit, source)
                ).lastrowid,
            )
        found = ids[name] = int(row[0] or 0)
    return found


def describe_series(
    tx: Tx, name: str, *, unit: str = "", label: str | None = None, max: float | None = None, note: str | None = None
) -> None:
    """Label, top of the scale and why a sensor is missing ("no PSI in this kernel"), for the gauges."""
    number = series_id(tx, name, unit)
    moved = tx.db.execute(
        "UPDATE series SET unit = ?, label = ?, max = ?, note = ? WHERE id = ?"
        " AND (unit <> ? OR label IS NOT ? OR max IS NOT ? OR note IS NOT ?)",
        (unit, label, max, note, number, unit, label, max, note),
    ).rowcount
    if moved:
        tx.bump("sample")


def put_samples(tx: Tx, now: int, samples: Sequence[Sample]) -> None:
    """One tick of readings, and the roll-ups that became due. A sensor that is missing is not in ``samples``."""
    if samples:
        rows = [(s.t, series_id(tx, s.series, s.unit), s.value) for s in samples]
        tx.db.executemany("INSERT OR REPLACE INTO sample_raw (t, series_id, value) VALUES (?, ?, ?)", rows)
        tx.bump("sample")
    roll_up(tx, now)


def roll_up(tx: Tx, now: int) -> None:
    """Fill the tiers up to the last closed bucket and drop what is older than is kept."""
    done: dict[str, int] = tx.memo.setdefault("rolled", {})
    for table, bucket, kept, origin in TIERS:
        upto = now // bucket * bucket
        since = done.get(table)
        if since is None:
            row = tx.db.execute(
                f"SELECT max((SELECT max(o.t) FROM {table} o WHERE o.series_id = s.id)) FROM series s"  # noqa: S608
            ).fetchone()
            since = 0 if row[0] is None else int(row[0]) + bucket
        if since >= upto:
            continue
        _roll(tx, table, bucket, origin, max(since, upto - kept), upto)
        done[table] = upto
        if table == "sample_1m":
            tx.db.execute("DELETE FROM sample_raw WHERE t < ?", (now - RAW_KEPT,))


def _roll(tx: Tx, table: str, bucket: int, origin: str, since: int, upto: int) -> None:
    into = f"INSERT OR REPLACE INTO {table} (series_id, t, n, avg, min, max)"
    if origin == "sample_raw":
        tx.db.execute(
            f"{into} SELECT series_id, t / {bucket} * {bucket} AS b, count(*), avg(value), min(value), max(value)"  # noqa: S608
            " FROM sample_raw WHERE t >= ? AND t < ? GROUP BY series_id, b",
            (since, upto),
        )
    else:  # the tiers are series-major: one short range a series
        tx.db.execute(
            f"{into} SELECT s.id, o.t / {bucket} * {bucket} AS b, sum(o.n), sum(o.avg * o.n) / sum(o.n), min(o.min), max(o.max)"  # noqa: S608
            f" FROM series s CROSS JOIN {origin} o ON o.series_id = s.id AND o.t >= ? AND o.t < ? GROUP BY s.id, b",
            (since, upto),
        )


def put_processes(tx: Tx, now: int, processes: Iterable[ProcessLike]) -> None:
    """The process table as it is now, while somebody looks; an empty one when nobody does any more."""
    rows: list[tuple[Any, ...]] = [(p.pid, p.ppid, p.name, p.user, p.cpu, p.rss, p.run_key, now) for p in processes]
    tx.db.execute("DELETE FROM process")
    tx.db.executemany(
        "INSERT OR REPLACE INTO process (pid, ppid, name, user, cpu, rss, run_key, t) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    tx.bump("process")
