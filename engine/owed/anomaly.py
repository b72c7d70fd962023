"""What is out of the ordinary: durations and volumes against a robust baseline, and when a new level is no anomaly any more.

z = 0.6745 · (x − median) / MAD′. A duration is anomalous when \\|z\\| > 3.5 *and* it is off by 60 s and by 10 %; the high side
can be told while the run still goes, the low side only when it ended. A volume is looked at as ln(1 + rows). Anomalous
samples are kept out of the baseline; five of them in a row on one side are a level shift: one event, and the baseline
starts again from those five. Pure: each step takes a state and gives the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum
from math import copysign, expm1, log1p
from typing import Final

from engine.owed.history import DayClass, Past
from engine.owed.quantile import DEPTH, LEAST, median, spread

Z: Final = 3.5
NORMAL: Final = 0.6745
"""MAD of a standard normal: makes z comparable to a number of standard deviations."""
LEVEL: Final = 5
"""Anomalous samples in a row, on one side, that are a level shift."""

SECOND: Final = 1_000.0
MINUTE: Final = 60_000.0
TENTH: Final = 0.1
FLOOR: Final = 0.02

WEEKS: Final = 8
SAME_WEEKDAY: Final = 4
LAST_VOLUMES: Final = 14


class Side(IntEnum):
    """Of the median."""

    LOW = -1
    NONE = 0
    HIGH = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is ordinary: ``low`` … ``high`` (ms, or rows), around ``centre``; ``scale`` is MAD′, ``n`` the samples behind it."""

    centre: float
    low: float
    high: float
    scale: float
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """``side`` NONE: ordinary, or not known (``bounds`` None: fewer than 8 samples)."""

    side: Side
    z: float
    bounds: Bounds | None


UNKNOWN: Final = Verdict(Side.NONE, 0.0, None)


def duration_bounds(durations: Sequence[float]) -> Bounds | None:
    """Of durations in ms, in any order; None below 8."""
    n = len(durations)
    if n < LEAST:
        return None
    ordered = sorted(durations)
    centre = median(ordered)
    scale = max(spread(ordered, centre), FLOOR * centre, SECOND)
    reach = max(Z / NORMAL * scale, MINUTE, TENTH * centre)
    return Bounds(centre, centre - reach, centre + reach, scale, n)


def judge_duration(ms: float, bounds: Bounds | None, ended: bool = True) -> Verdict:
    """Of a run that took ``ms``, or, with ``ended`` False, of one that is going for ``ms`` (then only the high side)."""
    if bounds is None:
        return UNKNOWN
    off = ms - bounds.centre
    z = NORMAL * off / bounds.scale
    odd = abs(z) > Z and abs(off) >= max(MINUTE, TENTH * bounds.centre)
    if not odd or (off < 0 and not ended):
        return Verdict(Side.NONE, z, bounds)
    return Verdict(Side.HIGH if off > 0 else Side.LOW, z, bounds)


# --- levels ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished run. ``at``: its start, ms UTC; ``value``: duration in ms."""

    at: int
    value: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """``kept``: the last ordinary samples, oldest first. ``odd``: those in a row on one ``side`` that are out of the ordinary.

    ``since``: first sample of the level, once it has shifted.
    """

    kept: tuple[Sample, ...] = ()
    odd: tuple[Sample, ...] = ()
    side: Side = Side.NONE
    since: int | None = None

    def take(self, sample: Sample, side: Side) -> tuple[Baseline, bool]:
        """The next state, and whether the level has just shifted."""
        if side == Side.NONE:
            return Baseline((*self.kept, sample)[-DEPTH:], (), Side.NONE, self.since), False
        odd = (*self.odd, sample) if side == self.side else (sample,)
        if len(odd) >= LEVEL:
            return Baseline(odd, (), Side.NONE, odd[0].at), True
        return replace(self, odd=odd, side=side), False

    def bounds(self) -> Bounds | None:
        """As of durations."""
        return duration_bounds([s.value for s in self.kept])


_ROOM: Final = (0, 1, 2, 2)


@dataclass(frozen=True, slots=True)
class Levels:
    """Baselines of one pipeline and shape: over all its runs, and for each class of day.

    ``days``: weekdays, weekends, month-ends. A run is judged against its class of day once that has 8 runs, else against all (and counts for its class either way:
    otherwise weekends that differ would never get a baseline). Five odd runs in a row shift the level
    of every class; five in a row within one class (the days between being ordinary) that of this class alone.
    """

    whole: Baseline = Baseline()
    days: tuple[Baseline, Baseline, Baseline] = (Baseline(), Baseline(), Baseline())

    @classmethod
    def replay(cls, past: Iterable[Past]) -> Levels:
        """The state after these runs, oldest first: what an engine starts from. Shifts found on the way are history, no events."""
        levels = cls()
        for p in past:
            levels, _, _ = levels.step(p.at, p.ms, p.day)
        return levels

    def bounds(self, day: DayClass) -> Bounds | None:
        """What is ordinary on such a day; None while there are fewer than 8 runs."""
        return (
            self.days[_ROOM[day]].bounds()
            or (self.days[day.plain].bounds() if day.month_end else None)
            or self.whole.bounds()
        )

    def shift(self, day: DayClass) -> int | None:
        """Start of the first run of the present level, for :func:`engine.owed.history.learn`; None if it never shifted."""
        found = [b.since for b in (self.whole, self.days[_ROOM[day]]) if b.since is not None]
        return max(found, default=None)

    def step(self, at: int, ms: int, day: DayClass) -> tuple[Levels, Verdict, bool]:
        """Take in a run that ended: the next state, the verdict on it, whether the level has just shifted (one info event)."""
        verdict = judge_duration(ms, self.bounds(day))
        sample = Sample(at, ms)
        whole, all_days = self.whole.take(sample, verdict.side)
        room = _ROOM[day]
        mine = self.days[room]
        own, one_day = mine.take(sample, verdict.side if len(mine.kept) >= LEAST else Side.NONE)
        days = list(self.days)
        days[room] = own
        if all_days:
            fresh = {s.at for s in whole.kept}
            days = [
                Baseline(tuple(s for s in (*b.kept, *b.odd) if s.at in fresh), (), Side.NONE, whole.since) for b in days
            ]
        return Levels(whole, (days[0], days[1], days[2])), verdict, all_days or one_day


# --- volumes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Volume:
    """Rows that a partition or run brought."""

    day: date
    rows: float


@dataclass(frozen=True, slots=True)
class VolumeVerdict:
    """``zero``: no rows where there usually are some: a breach in itself. ``same_weekday``: the baseline is of this weekday only."""

    side: Side
    z: float
    bounds: Bounds | None
    same_weekday: bool = False
    zero: bool = False


@dataclass(frozen=True, slots=True)
class Volumes:
    """Baseline of volumes: the ordinary ones of the last 8 weeks (60 at most), oldest first; ``odd`` and ``side`` as in :class:`Baseline`."""

    kept: tuple[Volume, ...] = ()
    odd: tuple[Volume, ...] = ()
    side: Side = Side.NONE
    since: date | None = None

    def judge(self, volume: Volume, allow_empty: bool = False) -> VolumeVerdict:
        """Against the same weekday if at least 4 of its last 8 weeks are known, else against the last 14 (8 at least)."""
        weekday = [
            v.rows for v in self.kept if 0 < (volume.day - v.day).days <= 7 * WEEKS and _weeks(v.day, volume.day)
        ]
        same = len(weekday) >= SAME_WEEKDAY
        ordered = sorted(weekday[-WEEKS:] if same else [v.rows for v in self.kept[-LAST_VOLUMES:]])
        if len(ordered) < (SAME_WEEKDAY if same else LEAST):
            return VolumeVerdict(Side.NONE, 0.0, None)
        logs = [_log(v) for v in ordered]
        centre = median(logs)
        rows = median(ordered)
        scale = max(spread(logs, centre), FLOOR)
        reach = Z / NORMAL * scale
        low = min(_rows(centre - reach), rows - TENTH * abs(rows))
        high = max(_rows(centre + reach), rows + TENTH * abs(rows))
        bounds = Bounds(rows, low, high, scale, len(ordered))
        z = NORMAL * (_log(volume.rows) - centre) / scale
        if volume.rows == 0:
            empty = rows > 0 and not allow_empty
            return VolumeVerdict(Side.LOW if empty else Side.NONE, z, bounds, same, empty)
        odd = abs(z) > Z and abs(volume.rows - rows) >= TENTH * abs(rows)
        side = Side.NONE if not odd else Side.HIGH if z > 0 else Side.LOW
        return VolumeVerdict(side, z, bounds, same)

    def step(self, volume: Volume, allow_empty: bool = False) -> tuple[Volumes, VolumeVerdict, bool]:
        """Take a volume in: the next state, the verdict on it, whether the level has just shifted (one info event)."""
        verdict = self.judge(volume, allow_empty)
        if verdict.side == Side.NONE:
            if volume.rows == 0 and allow_empty and verdict.bounds and verdict.bounds.centre > 0:
                return self, verdict, False
            return Volumes((*self.kept, volume)[-2 * DEPTH :], (), Side.NONE, self.since), verdict, False
        odd = (*self.odd, volume) if verdict.side == self.side else (volume,)
        if len(odd) >= LEVEL:
            return Volumes(odd, (), Side.NONE, odd[0].day), verdict, True
        return replace(self, odd=odd, side=verdict.side), verdict, False


def _log(rows: float) -> float:
    """ln(1 + rows); what is negative (a correction, a count of -1) lies as far on the other side."""
    return copysign(log1p(abs(rows)), rows)


def _rows(log: float) -> float:
    """The way back; beyond what a number can be it is infinite."""
    return copysign(expm1(min(abs(log), 700.0)), log)


def _weeks(a: date, b: date) -> bool:
    return (b - a).days % 7 == 0
