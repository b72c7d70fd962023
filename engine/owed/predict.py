"""Will it make it: when a run finishes and how likely it is late, from the runs of its history that outlived it.

A run that has been going for 44 minutes is compared with those runs of H only that took longer than 44 minutes. So the
estimate gets tighter as the run ages, and one bad run in history moves nothing beyond its own rank. Pure: no clock, no
store. Times are integer ms UTC, durations ms, probabilities 0.0 … 1.0 (None: there is no due time, or not known).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.model import Course
from engine.owed.history import Basis, Learning, Learnt

OVERRUN_LATE: Final = 0.9
"""P(late) of a run that outlived all of its history, until it is due; then 1.0."""
EVALUATIONS: Final = 2
"""Evaluations in a row at or above ``warn`` that make a promise at risk."""
LEAVES: Final = 0.2
"""A promise at risk is so until P(late) is this much below ``warn``."""
UNSURE: Final = 4
"""Runs, half of them late, that are added to a history that was carried or scaled (the "plus four" estimate of a share)."""
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Prediction:
    """When it finishes, ``start`` being the real or the supposed start.

    ``p50``/``p90``: finish times; None while learning (``p50`` then is the declared end, if a duration is declared) and in
    an OVERRUN, of which nothing is known but that it takes longer than all ``n``. ``late``: P(late). ``outlived``: runs of
    ``n`` that took longer than this one so far. ``latest_start``: after it even a run as quick as 90 % of history is late.
    Where a trend was carried or runs of another level were scaled, what is counted is no longer what was seen, and P is drawn
    towards 0.5 as if four more runs, two of them late, were in ``n``. ``spread``: half of the distance from the 10 % to the 90 %
    quantile, for "06:12 ± 9".
    """

    course: Course
    start: int
    p50: int | None
    p90: int | None
    late: float | None
    outlived: int
    n: int
    latest_start: int | None
    basis: Basis
    spread: int | None = None


def running(known: Learnt | Learning, now: int, started: int, due: int | None = None) -> Prediction:
    """Of a run that is going since ``started``."""
    if isinstance(known, Learning):
        return _declared(known, started, due)
    ordered = known.ordered
    n = len(ordered)
    first = bisect_right(ordered, now - started)
    latest = _latest(known, due)
    if first == n:
        late = None if due is None else 1.0 if now >= due else OVERRUN_LATE
        return Prediction(Course.OVERRUN, started, None, None, late, 0, n, latest, known.basis)
    return _from(Course.RUNNING, known, started, due, first, latest)


def waiting(
    known: Learnt | Learning,
    now: int,
    scheduled: int | None = None,
    upstream: int | None = None,
    due: int | None = None,
) -> Prediction:
    """Of a run that has not started. ``upstream``: the latest p90 finish of what it waits for."""
    start = max(now, scheduled or now, upstream or now)
    if isinstance(known, Learning):
        return _declared(known, start, due)
    return _from(Course.WAITING, known, start, due, 0, _latest(known, due))


def rerun(known: Learnt | Learning, now: int, due: int | None = None) -> Prediction:
    """Of a rerun that somebody would start now, of a run that failed."""
    if isinstance(known, Learning):
        return _declared(known, now, due)
    return _from(Course.RERUN, known, now, due, 0, _latest(known, due))


def _from(course: Course, known: Learnt, start: int, due: int | None, first: int, latest: int | None) -> Prediction:
    """From ``known.ordered[first:]``, which is not empty."""
    ordered = known.ordered
    n = len(ordered)
    left = n - first
    if first:
        p50, p90 = _quantile(ordered, first, 0.5), _quantile(ordered, first, 0.9)
    else:
        p50, p90 = known.p50, known.p90
    late = None
    if due is not None:
        over = n - max(first, bisect_right(ordered, due - start))
        late = over / left
        if known.basis.trend is not None or known.basis.scaled:
            late = (late * n + UNSURE / 2) / (n + UNSURE)
    width = _quantile(ordered, first, 0.9) - _quantile(ordered, first, 0.1) if course == Course.RERUN else None
    return Prediction(
        course, start, start + round(p50), start + round(p90), late, left, n, latest, known.basis,
        None if width is None else round(width / 2),
    )  # fmt: skip


def _quantile(ordered: Sequence[float], first: int, q: float) -> float:
    """Type 7 of ``ordered[first:]``, without a copy."""
    last = len(ordered) - 1
    spot = first + (last - first) * q
    low = int(spot)
    if low >= last:
        return ordered[last]
    below = ordered[low]
    return below + (ordered[low + 1] - below) * (spot - low)


def _latest(known: Learnt, due: int | None) -> int | None:
    return None if due is None else due - round(known.p90)


def _declared(known: Learning, start: int, due: int | None) -> Prediction:
    """All that can be said with a declared duration, or without any."""
    long = known.declared
    end = None if long is None else start + long
    latest = None if long is None or due is None else due - long
    return Prediction(Course.LEARNING, start, end, None, None, 0, known.n, latest, known.basis)


@dataclass(frozen=True, slots=True)
class Risk:
    """State of the hysteresis of one promise. ``high``: evaluations in a row with P(late) ≥ warn (counted up to 2)."""

    at_risk: bool = False
    high: int = 0

    def step(self, late: float | None, warn: float = 0.5, start_passed: bool = False) -> Risk:
        """The next state after one evaluation.

        ``late`` None (not known): nothing changes. ``start_passed``: nothing has started and the latest safe start is over:
        at risk at once, even if nothing has failed.
        """
        if start_passed:
            return Risk(True, self.high if late is None or late >= warn - _TINY else 0)
        if late is None:
            return self
        if late >= warn - _TINY:
            high = min(self.high + 1, EVALUATIONS)
            return Risk(self.at_risk or high >= EVALUATIONS, high)
        return Risk(self.at_risk and late >= warn - LEAVES - _TINY, 0)


def start_passed(prediction: Prediction, now: int) -> bool:
    """Whether nothing has started and the latest safe start is over."""
    return (
        prediction.course in (Course.WAITING, Course.LEARNING, Course.RERUN)
        and prediction.latest_start is not None
        and now > prediction.latest_start
    )
