"""Theil–Sen: the median slope between all pairs. Three bad points in ten do not move it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.owed.quantile import median, spread


def slope(values: Sequence[float]) -> float:
    """Per step, of equidistant values; 0.0 for fewer than two."""
    n = len(values)
    pairs: list[float] = []
    for gap in range(1, n):
        share = 1.0 / gap
        pairs += [(b - a) * share for a, b in zip(values, values[gap:], strict=False)]
    if not pairs:
        return 0.0
    pairs.sort()
    return median(pairs)


def slope_at(points: Sequence[tuple[float, float]]) -> float:
    """Per unit of x, of points (x, y) at any distances; 0.0 if no two differ in x."""
    pairs = sorted((yb - ya) / (xb - xa) for i, (xa, ya) in enumerate(points) for xb, yb in points[i + 1 :] if xa != xb)
    return median(pairs) if pairs else 0.0


def residuals(values: Sequence[float], per_step: float) -> tuple[float, float]:
    """Median intercept (at step 0) of equidistant values, and the MAD around that line."""
    rest = sorted([v - per_step * i for i, v in enumerate(values)])
    centre = median(rest)
    return centre, spread(rest, centre)
