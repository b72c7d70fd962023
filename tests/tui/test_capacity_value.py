"""A measured value as the screens say it."""

from __future__ import annotations

import pytest

from tui.present.capacity import value


@pytest.mark.parametrize(
    ("v", "unit", "said"),
    [
        (None, "%", "n/a"), (41.2, "%", "41%"), (1500.0, "rows", "1,500 rows"), (1795132800000.0, "date", "2026-11-20"),
        (1795151520000.0, "time", "20 Nov 05:12Z"), (1e300, "time", "n/a"),
    ],
)  # fmt: skip
def test_values(v: float | None, unit: str, said: str) -> None:
    assert value(v, unit) == said
