"""When does it reach the limit: disk, quota, budget. Theil–Sen over daily maxima, so that one bad day moves nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Final

from engine.owed.trend import intercept, slope

NEED: Final = 14
"""Days of daily maxima until anything is said: "not enough data (9/14)"."""
MOST: Final = 90
DROP: Final = 0.2
"""A fall by more than this share that lasts is a cleanup: what was before says nothing about what comes."""
LASTS: Final = 3
"""Days that a fall must last; a single low day is a bad reading, not a cleanup."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """``n`` days of ``need`` (below: nothing else is known). ``per_day``: growth; ``now``: the fitted value of the last day.

    ``days``: until the limit, 0.0 when it is reached, None: not growing. ``on``: the local date on which it is reached.
    """

    n: int
    need: int = NEED
    per_day: float | None = None
    now: float | None = None
    days: float | None = None
    on: date | None = None


def forecast(maxima: Sequence[tuple[date, float]], limit: float) -> Forecast:
    """Of daily maxima (any order, days may be missing) and the limit in their unit."""
    points = after_drop(sorted(maxima)[-MOST:])
    if len(points) < NEED:
        return Forecast(len(points))
    last = points[-1][0]
    line = [(float((day - last).days), value) for day, value in points]
    steep = slope(line)
    now = intercept(line, steep)
    if now >= limit:
        return Forecast(len(points), NEED, steep, now, 0.0, last)
    if steep <= 0:
        return Forecast(len(points), NEED, steep, now)
    days = (limit - now) / steep
    on = last + timedelta(days=ceil(days)) if days < 36_500 else None
    return Forecast(len(points), NEED, steep, now, days, on)


def after_drop(points: Sequence[tuple[date, float]]) -> list[tuple[date, float]]:
    """What follows the last fall by more than 20 % that was not made good within three days."""
    for i in range(len(points) - 1, 0, -1):
        before = points[i - 1][1]
        after = [value for _, value in points[i : i + LASTS]]
        if before > 0 and len(after) == LASTS and max(after) < before * (1 - DROP):
            return list(points[i:])
    return list(points)
