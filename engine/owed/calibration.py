"""How good were the predictions: what a weekly report prints. A predictor that nobody checks is decoration. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOW: Final = 0.5
HIGH: Final = 0.9
BANDS: Final = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9))
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Told:
    """A stored prediction and what came of it. Times ms UTC; None: was not said."""

    finished: int
    due: int | None = None
    late: float | None = None
    p50: int | None = None
    p90: int | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """``n`` predictions from ``low`` to below ``high`` (the last: inclusive): mean P said, share that was late."""

    low: float
    high: float
    n: int
    said: float
    was: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """``n`` predictions of lateness between 0.5 and 0.9: mean P said, share late, their difference in points (+: too anxious).

    ``off``: mean distance of the finish from p50, ms; ``pinball50``, ``pinball90``: mean loss of the quantiles, ms. None: nothing told.
    """

    n: int
    said: float | None
    was: float | None
    points: float | None
    bands: tuple[Band, ...]
    off: float | None
    pinball50: float | None
    pinball90: float | None


def pinball(actual: float, said: float, q: float) -> float:
    """Loss of saying that the q-quantile is ``said``: least, on average, for the true one."""
    over = actual - said
    return q * over if over >= 0 else (q - 1) * over


def calibrate(told: Iterable[Told]) -> Calibration:
    """Of stored predictions whose runs have finished."""
    told = tuple(told)
    asked = [(t.late, t.finished > t.due) for t in told if t.late is not None and t.due is not None]
    bands: list[Band] = []
    for low, high in BANDS:
        top = high + _TINY if high == HIGH else high - _TINY
        bands.append(Band(low, high, *_shares([a for a in asked if low - _TINY <= a[0] < top])))
    n, said, was = _shares([a for a in asked if LOW - _TINY <= a[0] <= HIGH + _TINY])
    middle = [(t.finished, t.p50) for t in told if t.p50 is not None]
    upper = [(t.finished, t.p90) for t in told if t.p90 is not None]
    return Calibration(
        n, said if n else None, was if n else None, 100 * (said - was) if n else None, tuple(b for b in bands if b.n),
        _mean([abs(a - p) for a, p in middle]),
        _mean([pinball(a, p, 0.5) for a, p in middle]),
        _mean([pinball(a, p, 0.9) for a, p in upper]),
    )  # fmt: skip


def _shares(asked: list[tuple[float, bool]]) -> tuple[int, float, float]:
    n = len(asked)
    return (n, sum(p for p, _ in asked) / n, sum(late for _, late in asked) / n) if n else (0, 0.0, 0.0)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
