"""Order statistics: one truth for the whole engine, pure and without dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

DEPTH: Final = 30
"""Runs of history that say what is usual."""
LEAST: Final = 8
"""Runs until there is a usual; below, screens say "learning 5/8"."""
DAYS: Final = 60
"""Days after which a run says nothing any more."""


def quantile(ordered: Sequence[float], q: float) -> float:
    """Type 7: linear interpolation between the order statistics, as numpy and R have it by default. ``ordered`` ascends, is not empty."""
    spot = (len(ordered) - 1) * q
    low = int(spot)
    if low + 1 >= len(ordered):
        return float(ordered[-1])
    below = ordered[low]
    return below + (ordered[low + 1] - below) * (spot - low)


def median(ordered: Sequence[float]) -> float:
    """Of ascending values, not empty."""
    middle = len(ordered) >> 1
    return float(ordered[middle]) if len(ordered) & 1 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(ordered: Sequence[float], centre: float) -> float:
    """MAD: the median distance from ``centre``."""
    return median(sorted([abs(v - centre) for v in ordered]))
