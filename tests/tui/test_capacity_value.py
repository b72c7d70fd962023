"""A measured value as the screens say it."""

from __future__ import annotations

import pytest

from tests.tui.stores import DAY, HOUR, MINUTE, NOW, TZ
from tui.present.capacity import reading, value


@pytest.mark.parametrize(
    ("v", "unit", "said"),
    [
        (None, "%", "n/a"), (41.2, "%", "41%"), (1500.0, "rows", "1,500 rows"), (0.0, "rows", "0 rows"), (2.5, "rows", "2.50 rows"), (2.0, "", "2.00"), (1795132800000.0, "date", "2026-11-20"),
    ],
)  # fmt: skip
def test_values(v: float | None, unit: str, said: str) -> None:
    assert value(v, unit) == reading(v, unit, TZ, NOW) == said


@pytest.mark.parametrize(
    ("v", "tz", "said"),
    [
        (NOW - 40 * MINUTE, TZ, "05:12"), (NOW - 40 * MINUTE, "UTC", "04:12"), (NOW - 7 * HOUR, TZ, "Thu 22:52"),
        (NOW - 20 * DAY, TZ, "31 Oct"), (NOW - 400 * DAY, TZ, "2025-10-16"), (1e300, TZ, "n/a"), (float("nan"), TZ, "n/a"), (None, TZ, "n/a"),
    ],
)  # fmt: skip
def test_an_instant_is_said_by_the_readers_clock(v: float | None, tz: str, said: str) -> None:
    assert reading(v, "time", tz, NOW) == said
