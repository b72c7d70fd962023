"""Which finished runs say how long the next one takes, and what they say: H of the prediction.

H is the last 30 successful, scheduled runs of one shape within 60 days, first attempts only (a cleared or repaired run
did part of the work). When at least 8 of them fell on the same class of day, only those count. Pure: values in, values out.
Times are integer ms UTC, durations ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from math import exp, log, sqrt
from operator import sub, truediv
from typing import Final

from adapters.model import RunKind, Shape, State
from engine.owed.quantile import DAYS, DEPTH, LEAST, median, quantile

DAY: Final = 86_400_000
NOISE: Final = 1.5
"""A trend is carried only when it moved the duration by more than this many MADs of what is left over without it."""
DIFFERENT: Final = 4.0
"""Standard steps of the noise that weekends must differ from weekdays before either is scaled to the other."""
STEEPEST: Final = log(4)
"""The most that a trend may carry a duration over the whole of H (a factor of 4 in 30 runs): a guard against nonsense and overflow."""


class DayClass(IntEnum):
    """Class of the local business date. Month-end is the last day of a month and one day either side; it may be a weekend too."""

    WEEKDAY = 0
    WEEKEND = 1
    MONTH_END = 2
    MONTH_END_WEEKEND = 3

    @property
    def month_end(self) -> bool:
        return self >= DayClass.MONTH_END

    @property
    def plain(self) -> DayClass:
        """WEEKDAY or WEEKEND, month-end or not."""
        return _PLAIN[self]


_PLAIN: Final = (DayClass.WEEKDAY, DayClass.WEEKEND, DayClass.WEEKDAY, DayClass.WEEKEND)


def day_class(day: date) -> DayClass:
    """Of a local business date."""
    weekend = day.weekday() >= 5
    if day.day == 1 or (day + timedelta(days=1)).day == 1 or (day + timedelta(days=2)).day == 1:
        return DayClass.MONTH_END_WEEKEND if weekend else DayClass.MONTH_END
    return DayClass.WEEKEND if weekend else DayClass.WEEKDAY


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that ended, as the store has it."""

    at: int
    ms: int
    day: date
    state: State = State.SUCCESS
    kind: RunKind = RunKind.SCHEDULED
    shape: Shape = Shape.FULL
    attempt: int = 1

    @property
    def tells(self) -> bool:
        """Whether its duration says something about the next scheduled run."""
        return (
            self.state == State.SUCCESS and self.kind == RunKind.SCHEDULED and self.attempt == 1
            and self.shape != Shape.PARTIAL and self.ms >= 0
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Past:
    """A duration of H. ``at``: when that run started; ``day``: class of its business date."""

    at: int
    ms: int
    day: DayClass = DayClass.WEEKDAY


def select(runs: Iterable[Ran], now: int, shape: Shape = Shape.FULL) -> tuple[Past, ...]:
    """The last 30 of ``runs`` that tell something about a run of ``shape``, not older than 60 days; oldest first."""
    since = now - DAYS * DAY
    fit = sorted((r for r in runs if r.tells and r.shape == shape and r.at >= since), key=lambda r: r.at)
    return tuple(Past(r.at, r.ms, day_class(r.day)) for r in fit[-DEPTH:])


@dataclass(frozen=True, slots=True)
class Basis:
    """Where a number comes from, for the key that asks.

    ``learnt`` False: a declared duration, the rest says how far learning has come. ``n`` runs between ``since`` and
    ``until`` (starts, ms UTC), of class ``day`` only (None: of any day; WEEKDAY and WEEKEND take month-ends in when a month-end
    has too few of its own). ``trend``: ln duration per run that was carried to
    the next run (None: no trend beyond the noise). ``shift``: start of the new level when H restarted; ``scaled``: runs of
    the old level, or of other days, among ``n``, scaled to this one while it has too few of its own.
    """

    learnt: bool
    n: int
    since: int | None = None
    until: int | None = None
    day: DayClass | None = None
    trend: float | None = None
    shift: int | None = None
    scaled: int = 0


@dataclass(frozen=True, slots=True)
class Learning:
    """Too few runs: "learning 5/8". ``declared``: the expected duration from the configuration, the only number there is."""

    n: int
    basis: Basis
    need: int = LEAST
    declared: int | None = None


@dataclass(frozen=True, slots=True)
class Learnt:
    """H, ascending (ms; a trend makes them fractions), with what is asked most."""

    ordered: tuple[float, ...]
    p50: float
    p90: float
    basis: Basis

    def quantile(self, q: float) -> float:
        """Type 7, of the whole of H, ms."""
        return quantile(self.ordered, q)


def learn(
    past: Sequence[Past], day: DayClass, shift: int | None = None, declared: int | None = None
) -> Learnt | Learning:
    """What ``past`` (as :func:`select` gives it, oldest first) says about the next run, on a ``day`` of this class.

    ``shift``: start of the first run of a new level (:class:`engine.owed.anomaly.Levels`). H then starts there; until it has
    8 runs, those of the old level stay in it, scaled by what has changed. Costs about 100 µs for 30 runs: keep the answer
    until a run ends or the day changes; predictions from it are cheap.
    """
    old = 0 if shift is None else sum(1 for p in past if p.at < shift)
    if len(past) - old >= LEAST:
        past, old = past[old:], 0
    elif old == len(past):
        old = 0
    n = len(past)
    chosen, same = of_class(past, day)
    picked = [past[i] for i in same]
    count = len(picked)
    since, until = (picked[0].at, picked[-1].at) if picked else (None, None)
    if count < LEAST:
        return Learning(count, Basis(False, count, since, until, chosen, None, shift), declared=declared)
    values = [float(p.ms) for p in past]
    trend, scaled = None, 0
    if old:
        factor = _factor(past[:old], past[old:], day)
        values[:old] = [v * factor for v in values[:old]]
        scaled = sum(1 for i in same if i < old)
    else:
        trend = carry(past)
        if trend is not None:
            values = [v * exp(trend * (n - i)) for i, v in enumerate(values)]
    if chosen is None:
        scaled = max(scaled, _scale_other_days(values, past, day))
    ordered = sorted([values[i] for i in same])
    basis = Basis(True, count, since, until, chosen, trend, shift, scaled)
    return Learnt(tuple(ordered), quantile(ordered, 0.5), quantile(ordered, 0.9), basis)


def of_class(past: Sequence[Past], day: DayClass) -> tuple[DayClass | None, list[int]]:
    """Which of ``past`` count for such a day, and the class that they have in common (None: all count).

    A month-end day that has not 8 of its kind (a daily pipeline never has within 60 days) goes by its weekday or weekend.
    """
    if day.month_end:
        same = [i for i, p in enumerate(past) if p.day >= DayClass.MONTH_END]
        if len(same) >= LEAST:
            return DayClass.MONTH_END, same
        plain = day.plain
        same = [i for i, p in enumerate(past) if p.day.plain == plain]
        day = plain
    else:
        same = [i for i, p in enumerate(past) if p.day == day]
    return (day, same) if len(same) >= LEAST else (None, list(range(len(past))))


def carry(past: Sequence[Past]) -> float | None:
    """ln duration per run that a run is expected to take more than the one before it; None if that is not above the noise.

    Theil–Sen over run index, of pairs of runs on the same class of day: otherwise each weekend would be a trend. It must move
    the duration by more than 1.5 MAD of the residuals over n = 30 runs; a slope from fewer is as much less certain as √(30/n),
    and must stand out as much more. What is carried is that slope less its own uncertainty, × (1 − (threshold ÷ moved)⁴): a
    trend that just passes carries nothing, one far above the noise all of it. Otherwise every chance slope is carried whole.
    """
    classes: dict[DayClass, tuple[list[int], list[float]]] = {}
    for i, p in enumerate(past):
        at, logs = classes.setdefault(p.day, ([], []))
        at.append(i)
        logs.append(log(p.ms) if p.ms > 1 else 0.0)
    pairs: list[float] = []
    for at, logs in classes.values():
        for gap in range(1, len(at)):
            pairs += map(truediv, map(sub, logs[gap:], logs), map(sub, at[gap:], at))
    if not pairs:
        return None
    pairs.sort()
    steep = median(pairs)
    if not steep:
        return None
    rest: list[float] = []
    for at, logs in classes.values():
        if len(at) >= 3:
            flat = sorted([v - steep * i for i, v in zip(at, logs, strict=True)])
            middle = median(flat)
            rest += [abs(v - middle) for v in flat]
    n = len(past)
    if len(rest) < LEAST:
        return None
    rest.sort()
    threshold = NOISE * max(1.0, sqrt(DEPTH / n)) * median(rest)
    moved = abs(steep) * n
    if moved <= threshold:
        return None
    steep *= 1.0 - (threshold / moved) ** 4
    most = STEEPEST / n
    return max(-most, min(most, steep))


def _scale_other_days(values: list[float], past: Sequence[Past], day: DayClass) -> int:
    """While a weekend (or weekday) has 3 to 7 runs of its own: bring the others' to its level, in place; how many were scaled.

    Only if the two differ by more than 4 standard steps of the noise (MAD·√(1/n + 1/m)), and by that much less.
    """
    plain = day.plain
    own = [i for i, p in enumerate(past) if p.day.plain == plain]
    others = [i for i, p in enumerate(past) if p.day.plain != plain]
    if len(own) < 3 or not others:
        return 0
    mine = sorted([log(max(values[i], 1.0)) for i in own])
    theirs = sorted([log(max(values[i], 1.0)) for i in others])
    a, b = median(mine), median(theirs)
    noise = median(sorted([*(abs(v - a) for v in mine), *(abs(v - b) for v in theirs)]))
    threshold = DIFFERENT * noise * sqrt(1 / len(own) + 1 / len(others))
    off = a - b
    if abs(off) <= threshold:
        return 0
    factor = exp(off * (1.0 - (threshold / off) ** 2))
    for i in others:
        values[i] *= factor
    return len(others)


def _factor(old: Sequence[Past], new: Sequence[Past], day: DayClass) -> float:
    """How many times as long the runs of the new level take, each against the old median of its own class of day."""
    whole = median(sorted(p.ms for p in old))
    same = [p for p in new if p.day == day]
    ratios: list[float] = []
    for p in same if len(same) >= 3 else new:
        peers = sorted(o.ms for o in old if o.day == p.day)
        usual = median(peers) if len(peers) >= 3 else whole
        if usual > 0:
            ratios.append(p.ms / usual)
    return median(sorted(ratios)) if ratios else 1.0
