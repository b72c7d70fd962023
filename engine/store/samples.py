"""SQL of samples: raw for an hour, then 10 s, 1 min and 10 min means with their extremes, then one row a day; and the
process table.

One transaction a tick. The roll-up of a closed bucket happens in the tick that opens the next one, so it is paid in
small parts and survives a restart: what is rolled is asked of the tables, not remembered. Days are rolled a few series a
tick. Readings of a run's tree (``run.``) stay in the tiers up to a minute: a run's curve is asked for while somebody
remembers the run, and each of its runs is a series of its own.

A clock that goes back: what was stamped later than it says now goes, in every tier, and time is lived through again; so
no bucket holds two passes and no gauge stands still until the clock has caught up. One that jumps forward leaves a gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Protocol

from adapters.model import Sample
from engine.store.writer import Tx

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
RAW_KEPT: Final = HOUR
"""A reading each second for an hour takes what one each two seconds takes in two; no question reads raw of longer ago than a
minute, and the tiers hold the extremes."""
TIERS: Final = (
    # table, bucket ms, kept ms, rolled from
    ("sample_10s", 10_000, DAY, "sample_raw"),
    ("sample_1m", 60_000, 7 * DAY, "sample_10s"),
    ("sample_10m", 600_000, 30 * DAY, "sample_1m"),
)
ASKED_KEPT: Final = {"sample_10s": 2 * HOUR, "sample_1m": DAY}
"""Of series that a source is asked for: there may be thousands, and none is read more often than each ten seconds."""
OURS: Final = ("host", "own")
"""``source`` of the series that the engine measures itself."""
DAYS_KEPT: Final = 400
STEP_BACK: Final = 10_000
"""A clock that goes back by less is left alone: its readings fall into buckets that stand or are open."""
FAR_BACK: Final = DAY
"""One that goes back by more may be wrong itself (no battery): what is kept for days stays until it has stood so."""
STOOD: Final = 600_000
RAW_PORTION: Final = 60_000
"""Readings that are forgotten at once: five minutes of 200 series, 8 ms."""
DAY_PORTION: Final = 8
"""Series whose days are rolled up a tick: a first one reads 30 days of them."""
_NOT_A_RUN: Final = "substr(s.name, 1, 4) <> 'run.'"


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


@dataclass(slots=True)
class _Rolled:
    """How far each tier is rolled up; lost with a rollback and asked of the tables again."""

    begun: int
    """Since when ``seen`` holds every series that got a reading."""
    now: int
    done: dict[str, int]
    seen: dict[int, int] = field(default_factory=dict[int, int])
    """Last reading by series: the roll-ups look at these alone, however many runs there have been."""
    day: int = -1
    """Today, as far as the days before it are rolled up or listed in ``days``."""
    days: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, int | None]])
    """(series, its last day) whose closed days are to be rolled up still."""
    doubted: int | None = None
    """When a clock that is far behind what was recorded was first seen; None: it is believed."""


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
    """One tick of readings, and the roll-ups that became due. A sensor that is missing is not in ``samples``; what is no
    number, or infinite, was not measured."""
    rolled = _rolled(tx, now)
    if samples:
        rows = [(s.t, series_id(tx, s.series, s.unit), s.value) for s in samples if isfinite(s.value)]
        tx.db.executemany("INSERT OR REPLACE INTO sample_raw (t, series_id, value) VALUES (?, ?, ?)", rows)
        if rolled.doubted is not None:  # for the gauges only: in the tiers they would fall among those of that time
            tx.bump("sample")
            return
        for t, number, _ in rows:
            rolled.seen[number] = max(t, rolled.seen.get(number, 0))
        _late(tx, rolled, rows)
        tx.bump("sample")
    _roll_up(tx, now, rolled)


def _late(tx: Tx, rolled: _Rolled, rows: Sequence[tuple[int, int, float]]) -> None:
    """Readings whose bucket was rolled up before they came (a source answers a moment later): they count in it all the same."""
    for table, bucket, _, _ in TIERS:
        behind = [(number, t // bucket * bucket, value) for t, number, value in rows if t < rolled.done[table]]
        if behind:
            tx.db.executemany(
                f"INSERT INTO {table} (series_id, t, n, avg, min, max) VALUES (?1, ?2, 1, ?3, ?3, ?3)"  # noqa: S608
                " ON CONFLICT (series_id, t) DO UPDATE SET avg = (avg * n + excluded.avg) / (n + 1), n = n + 1,"
                " min = min(min, excluded.min), max = max(max, excluded.max)",
                behind,
            )


def put_past(tx: Tx, samples: Sequence[Sample]) -> int:
    """Readings of long ago, at most one each ten minutes and series, into the tiers that keep so long: whole buckets and
    whole days only, and none where something was measured already. How many were taken."""
    rolled = _rolled(tx, tx.now)
    if rolled.doubted is not None:
        return 0
    table, bucket, kept, _ = TIERS[-1]
    upto = min(tx.now // bucket * bucket, rolled.done[table] or tx.now)
    rows = [
        (series_id(tx, s.series, s.unit), s.t // bucket * bucket, s.value)
        for s in samples
        if tx.now - kept <= s.t < upto and isfinite(s.value)
    ]
    if not rows:
        return 0
    tx.db.executemany(
        f"INSERT OR IGNORE INTO {table} (series_id, t, n, avg, min, max) VALUES (?1, ?2, 1, ?3, ?3, ?3)",  # noqa: S608
        rows,
    )
    days = {(number, t // DAY) for number, t, _ in rows if t // DAY < tx.now // DAY}
    tx.db.executemany(
        "INSERT OR REPLACE INTO sample_day (series_id, day, n, avg, min, max)"
        " SELECT series_id, ?2, sum(n), sum(avg * n) / sum(n), min(min), max(max) FROM sample_10m"
        " WHERE series_id = ?1 AND t >= ?2 * 86400000 AND t < (?2 + 1) * 86400000 GROUP BY series_id",
        sorted(days),
    )
    tx.bump("sample")
    return len(rows)


def roll_up(tx: Tx, now: int) -> None:
    """Fill the tiers up to the last closed bucket and drop what is older than is kept."""
    _roll_up(tx, now, _rolled(tx, now))


def _rolled(tx: Tx, now: int) -> _Rolled:
    found: _Rolled | None = tx.memo.get("rolled")
    if found is None:
        found = tx.memo["rolled"] = _begin(tx, now)
    elif now <= found.now - STEP_BACK:
        if _believed(tx, now, found):
            _went_back(tx, now, found)
    elif found.doubted is not None:  # it was wrong for a while; what was stamped meanwhile is too old for every tier
        found.doubted = None
    if found.doubted is None:
        found.now = now
    return found


def _believed(tx: Tx, now: int, rolled: _Rolled) -> bool:
    """Whether a clock that went back is right: at once where it is not far, else when it has stood so for ten minutes.

    Until then only what gauges show goes with it, the last hour.
    """
    if now > rolled.now - FAR_BACK:
        rolled.doubted = None
        return True
    if rolled.doubted is None or now < rolled.doubted:
        rolled.doubted = now
        tx.db.execute("DELETE FROM sample_raw WHERE t > ?", (now,))
        tx.bump("sample")
    if now - rolled.doubted < STOOD:
        return False
    rolled.doubted = None
    return True


def _begin(tx: Tx, now: int) -> _Rolled:
    """How far the tables are rolled up; what an earlier engine stamped in the future goes."""
    rolled = _Rolled(begun=now, now=now, done={})
    row = tx.db.execute("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1").fetchone()
    newest = 0 if row is None else int(row[0])
    for table, bucket, _, _ in TIERS:
        row = tx.db.execute(
            f"SELECT max((SELECT max(o.t) FROM {table} o WHERE o.series_id = s.id)) FROM series s"  # noqa: S608
        ).fetchone()
        rolled.done[table] = 0 if row[0] is None else int(row[0]) + bucket
        newest = max(newest, rolled.done[table])
    if newest >= now + STEP_BACK:
        rolled.now = newest
        if _believed(tx, now, rolled):
            _went_back(tx, now, rolled)
            rolled.now = now
    return rolled


def _went_back(tx: Tx, now: int, rolled: _Rolled) -> None:
    tx.db.execute("DELETE FROM sample_raw WHERE t > ?", (now,))
    numbers = tx.db.execute("SELECT id FROM series").fetchall()
    for table, bucket, _, _ in TIERS:
        upto = now // bucket * bucket
        tx.db.executemany(
            f"DELETE FROM {table} WHERE series_id = ? AND t >= ?",  # noqa: S608 - a name of our own tables
            [(number, upto) for (number,) in numbers],
        )
        rolled.done[table] = min(rolled.done[table], upto)
    tx.db.executemany(
        "DELETE FROM sample_day WHERE series_id = ? AND day >= ?", [(number, now // DAY) for (number,) in numbers]
    )
    rolled.begun = now  # its readings lie in a time that may come again
    rolled.seen.clear()
    rolled.day = -1
    rolled.days.clear()
    tx.bump("sample")


def _roll_up(tx: Tx, now: int, rolled: _Rolled) -> None:
    if rolled.doubted is not None:
        return
    for table, bucket, kept, origin in TIERS:
        upto = now // bucket * bucket
        since = rolled.done[table]
        if since >= upto:
            continue
        _roll(tx, rolled, table, bucket, origin, max(since, upto - kept), upto)
        rolled.done[table] = upto
        if table == "sample_1m":
            _forget_raw(tx, now)
        elif table == "sample_10m":
            rolled.seen = {number: t for number, t in rolled.seen.items() if t >= upto - bucket}
    _roll_days(tx, now // DAY, rolled)


def _forget_raw(tx: Tx, now: int) -> None:
    """Readings that are too old, a portion at a time: after a night asleep there are 700,000."""
    row = tx.db.execute("SELECT t FROM sample_raw ORDER BY t LIMIT 1 OFFSET ?", (RAW_PORTION,)).fetchone()
    edge = now - RAW_KEPT
    tx.db.execute("DELETE FROM sample_raw WHERE t < ?", (edge if row is None else min(edge, int(row[0])),))


def _roll(tx: Tx, rolled: _Rolled, table: str, bucket: int, origin: str, since: int, upto: int) -> None:
    into = f"INSERT OR REPLACE INTO {table} (series_id, t, n, avg, min, max)"
    if origin == "sample_raw":
        tx.db.execute(
            f"{into} SELECT series_id, t / {bucket} * {bucket} AS b, count(*), avg(value), min(value), max(value)"  # noqa: S608
            " FROM sample_raw WHERE t >= ? AND t < ? GROUP BY series_id, b",
            (since, upto),
        )
        return
    # the tiers are series-major: one short range a series
    whose, values = "series s", ()
    if since >= rolled.begun:
        whose = "json_each(?) j CROSS JOIN series s ON s.id = j.value"
        values = (json.dumps([number for number, t in rolled.seen.items() if t >= since]),)
    where = f" WHERE {_NOT_A_RUN}" if table == "sample_10m" else ""
    tx.db.execute(
        f"{into} SELECT s.id, o.t / {bucket} * {bucket} AS b, sum(o.n), sum(o.avg * o.n) / sum(o.n), min(o.min), max(o.max)"  # noqa: S608
        f" FROM {whose} CROSS JOIN {origin} o ON o.series_id = s.id AND o.t >= ? AND o.t < ?{where} GROUP BY s.id, b",
        (*values, since, upto),
    )


def _roll_days(tx: Tx, today: int, rolled: _Rolled) -> None:
    """Closed days of a few series: each goes on after its own last day, so a restart in the middle loses none."""
    if rolled.day != today:
        rolled.day = today
        rolled.days = tx.db.execute(
            f"SELECT s.id, (SELECT max(d.day) FROM sample_day d WHERE d.series_id = s.id) FROM series s WHERE {_NOT_A_RUN}"  # noqa: S608
        ).fetchall()
    if not rolled.days:
        return
    portion, rolled.days = rolled.days[:DAY_PORTION], rolled.days[DAY_PORTION:]
    tx.db.executemany(
        "INSERT OR REPLACE INTO sample_day (series_id, day, n, avg, min, max)"
        " SELECT series_id, t / 86400000 AS d, sum(n), sum(avg * n) / sum(n), min(min), max(max) FROM sample_10m"
        " WHERE series_id = ? AND t >= ? AND t < ? GROUP BY d",
        [(number, 0 if last is None else (last + 1) * DAY, today * DAY) for number, last in portion],
    )


def forget(tx: Tx, portion: int) -> None:
    """Drop what is older than its tier keeps, of the next ``portion`` series, and series of runs that have nothing left.

    The next call goes on where this one ended: however many runs there were, no sweep holds the engine up.
    """
    _forget_raw(tx, tx.now)
    after: int = tx.memo.get("forgotten", 0)
    rows = tx.db.execute(
        "SELECT id, name, source FROM series WHERE id > ? ORDER BY id LIMIT ?", (after, portion)
    ).fetchall()
    tx.memo["forgotten"] = rows[-1][0] if len(rows) == portion else 0
    for table, _, kept, _ in TIERS:
        tx.db.executemany(
            f"DELETE FROM {table} WHERE series_id = ? AND t < ?",  # noqa: S608 - a name of our own tables
            [
                (number, tx.now - (kept if source in OURS else ASKED_KEPT.get(table, kept)))
                for number, _, source in rows
            ],
        )
    oldest = tx.now // DAY - DAYS_KEPT
    tx.db.executemany(
        "DELETE FROM sample_day WHERE series_id = ? AND day < ?", [(number, oldest) for number, _, _ in rows]
    )
    _forget_series(tx, [number for number, name, _ in rows if name.startswith("run.")])


def _forget_series(tx: Tx, numbers: Sequence[int]) -> None:
    """Series of run trees that have no reading left in any tier."""
    if not numbers:
        return
    gone = tx.db.execute(
        "SELECT s.id, s.name FROM json_each(?) j CROSS JOIN series s ON s.id = j.value"
        " WHERE NOT EXISTS (SELECT 1 FROM sample_10m o WHERE o.series_id = s.id)"
        " AND NOT EXISTS (SELECT 1 FROM sample_1m o WHERE o.series_id = s.id)"
        " AND NOT EXISTS (SELECT 1 FROM sample_10s o WHERE o.series_id = s.id)"
        " AND s.id NOT IN (SELECT series_id FROM sample_raw WHERE t >= ?)",
        (json.dumps(numbers), tx.now - 60_000),  # what is older stands in a tier too
    ).fetchall()
    if gone:
        tx.db.executemany("DELETE FROM series WHERE id = ?", [(i,) for i, _ in gone])
        known: dict[str, int] = tx.memo.get("series", {})
        for _, name in gone:
            known.pop(name, None)


def put_processes(tx: Tx, now: int, processes: Iterable[ProcessLike]) -> None:
    """The process table as it is now, while somebody looks; an empty one when nobody does any more."""
    rows: list[tuple[Any, ...]] = [(p.pid, p.ppid, p.name, p.user, p.cpu, p.rss, p.run_key, now) for p in processes]
    tx.db.execute("DELETE FROM process")
    tx.db.executemany(
        "INSERT OR REPLACE INTO process (pid, ppid, name, user, cpu, rss, run_key, t) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    tx.bump("process")
