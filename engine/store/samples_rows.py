"""Rows of the questions about series, and how readings become the cells of a chart. Pure, light to import.

All times ms UTC; a value is in the unit of its series. ``None`` is "nothing was measured", never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from adapters.model import State
from engine.store.owed_rows import Bar

LIMITS: Final[tuple[tuple[str, float], ...]] = (
    ("host.disk:*", 90.0),
    ("host.mem", 100.0),
    ("host.swap", 50.0),
    ("host.cgroup.mem", 100.0),
    ("host@*:disk:*", 90.0),
    ("host@*:mem", 100.0),
    ("host@*:swap", 50.0),
)
"""What a series must stay below where no ``[[limit]]`` says otherwise, in its own unit (percent). The one place of these
numbers. A disk is in trouble before it is full; memory only where nothing is left; a host that swaps half of it is lost."""
STALE_MS: Final = 30_000
"""A reading that is older is drawn stale; of a source that is asked more rarely, after three readings that did not come."""
FULL_SOON: Final = 14
"""Days: a limit that is nearer needs a person."""

Reading = tuple[int, int, int, float, float, float]
"""(t, length of its bucket in ms, n, mean, lowest, highest)."""
Cell = tuple[float, float, float]
"""(mean, lowest, highest) of what was measured in one cell of a chart."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series and its last reading. ``host`` None: this host; ``metric``: what it is there (``cpu``, ``disk:/data``).

    ``note`` says why a sensor is missing here; ``max`` is the top of the scale. Series of other hosts are named
    ``host@NAME:METRIC``; what is not of a host has its whole name as ``metric``.
    """

    series: str
    host: str | None
    metric: str
    unit: str
    label: str | None
    max: float | None
    note: str | None
    value: float | None
    t: int | None
    source: str = "host"
    """Who measures it: ``host`` is the engine itself, else the name of a source."""
    query: str = ""
    """Name of the ``[[series]]`` that it answers."""
    why: str | None = None
    """Why there was no reading when it was asked for last."""
    every: int = 1_000
    """How often it is measured, ms."""
    normal: tuple[float, float] | None = None
    """Lowest and highest value that need nobody, as the configuration says."""
    seen: int | None = None
    """When its source said last that it is so; the reading itself may be older (``t``), where it is reckoned once a day."""

    def stale(self, now: int) -> bool:
        """Not said for three readings, and never called so within half a minute."""
        last = self.seen or self.t
        return self.t is None or last is None or now - last >= max(3 * self.every, STALE_MS)

    @property
    def outside(self) -> int:
        """1: above what is normal, -1: below, 0: inside, or nobody said what is normal."""
        if self.normal is None or self.value is None:
            return 0
        return 1 if self.value > self.normal[1] else -1 if self.value < self.normal[0] else 0

    @property
    def of_a_host(self) -> bool:
        return self.series.startswith(("host.", "host@"))

    def age(self, now: int) -> int | None:
        """How old the last reading is, in ms."""
        return None if self.t is None else max(now - self.t, 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one source measures: how many series, of how many hosts, how many of those are down; ``silent`` series have no
    reading now, ``why`` of one of them (``whose``); ``t``: its newest reading; ``refused``: why it told nothing at all."""

    series: int
    hosts: int
    down: int
    silent: int
    whose: str
    why: str | None
    t: int | None
    refused: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A series over [since, until) in cells of equal length; None where nothing was measured. ``p50``: median of the
    means; ``peak``: the highest single reading, ``peak_at``: the bucket in which it was.
    """

    series: str
    since: int
    until: int
    cells: tuple[Cell | None, ...]
    p50: float | None = None
    peak: float | None = None
    peak_at: int | None = None


@dataclass(frozen=True, slots=True)
class DayRow:
    """One UTC day of a series. ``open``: the day is not over, more may come."""

    day: date
    n: int
    avg: float
    low: float
    high: float
    open: bool = False


@dataclass(frozen=True, slots=True)
class UsualRow:
    """What a series is like at this hour of a day: p5 and p95 of its 10 minute means, of ``days`` days before."""

    low: float
    high: float
    days: int


@dataclass(frozen=True, slots=True)
class CapacityRow:
    """When a series reaches its limit (domain: Theil–Sen over daily peaks). ``declared``: a ``[[limit]]`` says so.

    ``n`` of ``need`` days: below, nothing else is known. ``per_day``: growth; ``fitted``: the line's value on the last
    day; ``days``: until the limit, 0.0 when it is reached, None: not growing. ``past``: peaks of the last 30 days,
    oldest first. ``seen`` False: a declared limit of a series that nothing was ever measured of.
    """

    series: str
    host: str | None
    metric: str
    label: str | None
    unit: str
    value: float | None
    t: int | None
    limit: float
    declared: bool
    words: str
    n: int
    need: int
    per_day: float | None
    fitted: float | None
    days: float | None
    on: date | None
    past: tuple[float | None, ...]
    seen: bool = True

    @property
    def learning(self) -> bool:
        return self.n < self.need

    @property
    def over(self) -> bool:
        """Whether the limit is reached: by the line, or by what is measured now, however few days are known."""
        return (self.days is not None and self.days <= 0) or (self.value is not None and self.value >= self.limit)

    @property
    def soon(self) -> bool:
        """Whether a person is needed: the limit is reached, or less than two weeks away."""
        return self.over or (self.days is not None and self.days < FULL_SOON)


@dataclass(frozen=True, slots=True)
class RunLane:
    """Runs of one pipeline of this host, oldest first. ``since``: what began earlier is not among them (there were too
    many to read); None: all are here.
    """

    pipeline_id: int
    key: str
    name: str
    bars: tuple[Bar, ...]
    since: int | None = None


@dataclass(frozen=True, slots=True)
class UseRow:
    """What one running tree of this host uses now. ``cpu``: percent of one core; ``rss``: bytes. ``run_key`` None: all
    that belongs to no run of ours.
    """

    run_key: str | None
    name: str
    state: State | None
    step: str | None
    cpu: float | None
    rss: float | None
    read: float | None = None
    write: float | None = None


@dataclass(frozen=True, slots=True)
class UseNow:
    """``at``: when it was measured; ``rest``: what no run of ours uses; None where the host has no such sensor."""

    at: int | None
    runs: tuple[UseRow, ...]
    rest: UseRow | None
    cores: int


def of_series(name: str) -> tuple[str | None, str]:
    """(host, metric) of a series: ``host.cpu`` → (None, cpu), ``host@db-1:disk:/data`` → (db-1, disk:/data)."""
    if name.startswith("host."):
        return None, name[5:]
    if name.startswith("host@"):
        host, colon, metric = name[5:].partition(":")
        if colon and host:
            return host.replace("%3A", ":"), metric
    return None, name


def limit_of(name: str, declared: Iterable[tuple[str, float, str]]) -> tuple[float, bool, str] | None:
    """(limit, declared, words) of a series: the first ``[[limit]]`` that means it, else the default; None: it has none."""
    for on, limit, words in declared:
        if name == on or fnmatchcase(name, on):
            return limit, True, words
    for on, limit in LIMITS:
        if fnmatchcase(name, on):
            return limit, False, ""
    return None


def cells_of(readings: Iterable[Reading], since: int, until: int, points: int) -> tuple[Cell | None, ...]:
    """Readings (any order, none twice) laid into ``points`` cells of [since, until).

    A bucket that is no longer than a cell counts in the cell that it begins in; a longer one stands in each cell that
    it covers. A cell without a reading is None.
    """
    points = max(points, 1)
    span = max(until - since, 1)
    n = [0] * points
    total = [0.0] * points
    low = [0.0] * points
    high = [0.0] * points
    for t, bucket, count, avg, lowest, highest in readings:
        first = (t - since) * points // span
        last = first
        if bucket * points > span:
            last = ((t + bucket - since) * points - 1) // span
        for x in range(max(first, 0), min(last, points - 1) + 1):
            if n[x] == 0:
                low[x], high[x] = lowest, highest
            elif lowest < low[x] or highest > high[x]:
                low[x], high[x] = min(low[x], lowest), max(high[x], highest)
            n[x] += count
            total[x] += avg * count
    # a mean of means may leave the extremes by a rounding error
    return tuple((min(max(total[x] / n[x], low[x]), high[x]), low[x], high[x]) if n[x] else None for x in range(points))
