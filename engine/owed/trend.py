"""Theil–Sen: the median slope between all pairs. Three bad points in ten do not move it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.owed.quantile import median


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Per unit of x, of points (x, y) at any distances; 0.0 if no two differ in x."""
    pairs = sorted(
        [(yb - ya) / (xb - xa) for i, (xa, ya) in enumerate(points) for xb, yb in points[i + 1 :] if xa != xb]
    )
    return median(pairs) if pairs else 0.0


def intercept(points: Sequence[tuple[float, float]], per_unit: float) -> float:
    """Median of y at x = 0 along ``per_unit``."""
    return median(sorted([y - per_unit * x for x, y in points]))
