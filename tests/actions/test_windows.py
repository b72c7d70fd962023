"""When a window is open: wall time of its zone, weeks and midnights, clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.actions.guards import open_until
from engine.config.model import Window
from engine.config.units import moment

PARIS = ZoneInfo("Europe/Paris")


def window(start: str, end: str | None = None, hours: float | None = None, zone: str = "Europe/Paris") -> Window:
    return Window(
        name="w", on="*", kind="maintenance", start=moment(start), end=None if end is None else moment(end), timezone=zone,
        duration_ms=None if hours is None else int(hours * 3_600_000),
    )  # fmt: skip


def at(text: str, zone: ZoneInfo = PARIS) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        ("sun 02:00", "04:00", "2026-11-22 03:59", "2026-11-22 04:00"),
        ("sun 02:00", "04:00", "2026-11-22 02:00", "2026-11-22 04:00"),
        ("sun 02:00", "04:00", "2026-11-22 04:00", None),
        ("sun 02:00", "04:00", "2026-11-22 01:59", None),
        ("sun 02:00", "04:00", "2026-11-23 03:00", None),
        ("22:00", "02:00", "2026-11-21 01:00", "2026-11-21 02:00"),
        ("22:00", "02:00", "2026-11-21 23:00", "2026-11-22 02:00"),
        ("22:00", "02:00", "2026-11-21 12:00", None),
        ("fri 18:00", "mon 06:00", "2026-11-22 12:00", "2026-11-23 06:00"),
        ("fri 18:00", "mon 06:00", "2026-11-25 12:00", None),
        ("mon 06:00", "mon 05:00", "2026-11-22 12:00", "2026-11-23 05:00"),  # all but one hour of the week
        ("00:00", "00:00", "2026-11-21 12:00", "2026-11-22 00:00"),  # the whole day
    ],
)
def test_open_and_closed(start: str, end: str, now: str, until: str | None) -> None:
    assert open_until(window(start, end), at(now)) == (None if until is None else at(until))


def test_for_a_duration() -> None:
    assert open_until(window("sat 23:00", hours=26), at("2026-11-23 00:59")) == at("2026-11-23 01:00")
    assert open_until(window("sat 23:00", hours=26), at("2026-11-23 01:00")) is None
    assert open_until(window("mon 00:00", hours=24 * 7), at("2026-11-22 23:59")) == at("2026-11-23 00:00")


def test_without_an_end_it_is_never_open() -> None:
    assert open_until(window("02:00"), at("2026-11-22 02:00")) is None


def test_night_of_the_clock() -> None:
    """25 October 2026: 02:00-03:00 comes twice in Paris; the window lasts from the first 02:00 to the only 04:00."""
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp() * 1000)
    for n in (0, 1, 2):
        assert open_until(window("sun 02:00", "04:00"), first + n * 3_600_000) == at("2026-10-25 04:00")
    assert open_until(window("sun 02:00", "04:00"), first + 3 * 3_600_000) is None


@given(
    start=st.integers(0, 1439), length=st.integers(1, 1439), day=st.sampled_from([None, 0, 3, 6]), minutes=st.integers(0, 60 * 24 * 21)
)  # fmt: skip
def test_agrees_with_counting_minutes_in_utc(start: int, length: int, day: int | None, minutes: int) -> None:
    """In a zone without clock changes, membership is minutes modulo a day or a week."""
    from engine.config.units import Moment

    end = (start + length) % 1440
    made = Window(name="w", on="*", kind="freeze", start=Moment(start, day), end=Moment(end), timezone="UTC")
    now = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=minutes)  # a Monday
    since = minutes % (1440 if day is None else 7 * 1440)
    begin = start if day is None else day * 1440 + start
    inside = (since - begin) % (1440 if day is None else 7 * 1440) < length
    assert (open_until(made, int(now.timestamp() * 1000)) is not None) == inside
