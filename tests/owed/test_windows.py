"""Windows: open by wall clock, or for a duration; what they do to due times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import model
from engine.config.units import moment
from engine.owed.calendar import parse_days
from engine.owed.windows import Window, effect, from_config

PARIS = "Europe/Paris"
HOUR = 3_600_000
NIGHT = Window(name="night", start=60, end=300, zone=PARIS)


def at(text: str, zone: str = PARIS) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def lengths(window: Window, a: str, b: str) -> list[float]:
    return [(end - start) / HOUR for start, end in window.between(at(a), at(b))]


def test_by_wall_clock_it_is_as_long_as_the_clock_says() -> None:
    assert lengths(NIGHT, "2027-03-28", "2027-03-29") == [3]
    assert lengths(NIGHT, "2027-10-31", "2027-11-01") == [5]
    assert lengths(NIGHT, "2027-06-01", "2027-06-03") == [4, 4]


def test_by_duration_it_is_always_so_long() -> None:
    window = Window(name="w", start=60, duration_ms=4 * HOUR, zone=PARIS)
    assert lengths(window, "2027-03-28", "2027-03-29") == [4]
    assert lengths(window, "2027-10-31", "2027-11-01") == [4]
    gone = Window(name="w", start=150, duration_ms=HOUR, zone=PARIS)
    assert gone.between(at("2027-03-28"), at("2027-03-29")) == [(at("2027-03-28T03:00"), at("2027-03-28T04:00"))]


def test_clocks_that_go_back_over_midnight() -> None:
    """St. John's went back from 00:01 to 23:01 (02:31 UTC): a window of the 7th covers the second end of the 6th."""
    zone, second = "America/St_Johns", at("2010-11-07T03:10", "UTC")  # 23:40 again
    assert datetime.fromtimestamp(second / 1000, ZoneInfo(zone)).strftime("%d %H:%M") == "06 23:40"
    assert Window(name="w", start=0, duration_ms=2 * HOUR, zone=zone, days=parse_days("2010-11-07")).contains(second)
    night = Window(name="w", start=1410, end=30, zone=zone, days=parse_days("2010-11-06"))
    assert len(night.between(second - HOUR, second + 1)) == 2
    assert night.ends(at("2010-11-07T02:10", "UTC")) == at("2010-11-07T04:00", "UTC")  # 00:30 of the second time


def test_half_open() -> None:
    assert [NIGHT.contains(at(f"2026-11-21T{t}")) for t in ("00:59:59", "01:00", "04:59:59", "05:00")] == [
        False,
        True,
        True,
        False,
    ]


def test_over_midnight_belongs_to_its_first_date() -> None:
    window = Window(name="w", start=1320, end=120, zone=PARIS, days=parse_days("fri"))
    assert window.contains(at("2026-11-20T22:00"))
    assert window.contains(at("2026-11-21T01:59"))
    assert not window.contains(at("2026-11-20T01:00"))
    assert not window.contains(at("2026-11-21T22:30"))
    assert window.between(at("2026-11-21T01:00"), at("2026-11-21T01:01")) == [
        (at("2026-11-20T22:00"), at("2026-11-21T02:00"))
    ]


def test_monthly() -> None:
    window = Window(name="w", start=0, end=360, zone=PARIS, days=parse_days("last sun"))
    starts = [
        window.next_start(at("2026-11-21")),
        window.next_start(at("2026-11-29")),
        window.next_start(at("2027-02-28T00:00")),
    ]
    assert starts == [at("2026-11-29"), at("2026-12-27"), at("2027-03-28")]
    last = Window(name="w", start=1380, duration_ms=2 * HOUR, zone=PARIS, days=parse_days("last business day"))
    assert last.contains(at("2026-12-01T00:30"))
    assert last.next_start(at("2026-12-01")) == at("2026-12-31T23:00")


def test_a_window_that_never_opens_again() -> None:
    once = Window(name="w", start=0, end=60, days=parse_days("2026-11-21"))
    assert once.next_start(at("2026-11-20", "UTC")) == at("2026-11-21", "UTC")
    assert once.next_start(at("2026-11-21", "UTC")) is None


def test_from_configuration_over_a_weekend() -> None:
    given_ = model.Window(
        name="w",
        on="*",
        kind="maintenance",
        start=moment("fri 18:00"),
        end=moment("mon 06:00"),
        timezone=PARIS,
        expect="shift",
    )
    window = from_config(given_)
    assert window.between(at("2026-11-22"), at("2026-11-23")) == [(at("2026-11-20T18:00"), at("2026-11-23T06:00"))]
    assert window.contains(at("2026-11-23T05:59"))
    assert not window.contains(at("2026-11-23T06:00"))
    assert effect(at("2026-11-22T12:00"), [window]).due == at("2026-11-23T06:15")


SOME = st.sampled_from(
    [
        PARIS,
        "UTC",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Africa/Casablanca",
    ]
)


@settings(max_examples=400)
@given(SOME, st.integers(0, 1439), st.integers(0, 1439), st.integers(1_420_000_000, 2_082_000_000), st.booleans())
def test_inside_if_and_only_if_the_wall_time_is(zone: str, start: int, end: int, second: int, edge: bool) -> None:
    if edge:  # most of interest happens in the nights of changes: last Sundays, mostly
        day = datetime.fromtimestamp(second, UTC).replace(hour=0, minute=0, second=0)
        day += timedelta(days=(6 - day.weekday()) % 7)
        second = int(day.timestamp()) + second % 86_400 - 36_000
    window = Window(name="w", start=start, end=end, zone=zone)
    wall = datetime.fromtimestamp(second, ZoneInfo(zone))
    minute = wall.hour * 60 + wall.minute
    inside = start <= minute < end if end > start else (minute >= start or minute < end)
    assert window.contains(second * 1000) == inside
    assert any(a <= second * 1000 < b for a, b in window.between(second * 1000, second * 1000 + 1)) == inside


@pytest.mark.parametrize(
    ("day", "edge"), [("2027-03-28", 0), ("2027-10-31", 0), ("2018-11-04", 1), ("2018-02-17", 1), ("2010-11-07", 2)]
)
def test_inside_for_every_minute_of_the_days_of_change(day: str, edge: int) -> None:
    zone = (PARIS, "America/Sao_Paulo", "America/St_Johns")[edge]
    first = at(day, zone) // 1000 - 7200
    for start, end in ((60, 300), (0, 30), (1410, 15), (150, 150), (155, 185)):
        window = Window(name="w", start=start, end=end, zone=zone)
        for second in range(first, first + 30 * 3600, 60):
            wall = datetime.fromtimestamp(second, ZoneInfo(zone))
            minute = wall.hour * 60 + wall.minute
            inside = start <= minute < end if end > start else (minute >= start or minute < end)
            assert window.contains(second * 1000) == inside, (wall, start, end)


# --- effects --------------------------------------------------------------------------------------------------------


def patching(start: int, end: int, expect: str = "shift", name: str = "patching") -> Window:
    return Window(name=name, start=start, end=end, zone=PARIS, expect=expect)


def test_shift_to_the_end_and_the_grace_after_it() -> None:
    found = effect(at("2026-11-22T03:00"), [patching(120, 240)])
    assert (found.kind, found.due) == ("shift", at("2026-11-22T04:15"))
    assert found.why == "moved by window patching"


@pytest.mark.parametrize("time", ["01:59", "04:00", "04:10", "12:00"])
def test_a_due_time_outside_stays(time: str) -> None:
    assert effect(at(f"2026-11-22T{time}"), [patching(120, 240)]).due == at(f"2026-11-22T{time}")


def test_windows_that_follow_each_other_move_it_on() -> None:
    chain = [patching(300, 360, name="c"), patching(120, 240, name="a"), patching(240, 300, name="b")]
    found = effect(at("2026-11-22T03:00"), chain)
    assert found.due == at("2026-11-22T06:15")
    assert found.windows == ("a", "b", "c")
    assert found.why == "moved by windows a, b, c"


def test_waive_wins_and_keep_does_nothing() -> None:
    due = at("2026-11-22T03:00")
    assert effect(due, [patching(120, 240, "keep")]).kind == "keep"
    both = effect(due, [patching(120, 240), patching(150, 200, "waive", "migration")])
    assert (both.kind, both.due, both.why) == ("waive", due, "waived by window migration")


def test_windows_that_leave_no_time_waive() -> None:
    always = patching(0, 0, name="always")
    found = effect(at("2026-11-22T03:00"), [always])
    assert found.kind == "waive"
    assert found.why == "windows leave it no time for 31 days: always"


def test_over_the_clock_change_the_end_is_by_wall_clock() -> None:
    assert effect(at("2027-03-28T03:30"), [patching(60, 300)]).due == at("2027-03-28T05:15")
    # 02:30-04:00 on the autumn day is open twice; a due time in its first part moves behind all of it
    assert effect(at("2027-10-31T02:45"), [patching(150, 240)]).due == at("2027-10-31T04:15")
