"""Schedules: the worked examples of the design, every edge of summer time, and a minute-by-minute oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Trigger
from adapters.schedule import duration_ms, parse

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Africa/Casablanca",
]
# UTC instants near which these zones change their offset
EDGES = [
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2027, 10, 31, 1, tzinfo=UTC),
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2018, 11, 4, 3, tzinfo=UTC),
    datetime(2018, 2, 18, 2, tzinfo=UTC),
    datetime(2026, 2, 15, 2, tzinfo=UTC),
    datetime(2026, 6, 15, 12, tzinfo=UTC),
]


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


def iso(t: int | None) -> str:
    assert t is not None
    return datetime.fromtimestamp(t / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def local_day(zone: str, day: date) -> tuple[int, int]:
    """(a, b] such that it holds exactly the instants of that local date."""
    tz = ZoneInfo(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=tz)
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), tz)
    return int(start.timestamp()) * 1000 - 1, int(end.timestamp()) * 1000 - 1


def test_a_time_in_the_spring_gap_is_due_once_right_after_it() -> None:
    daily = parse("30 2 * * *", "Europe/Paris")
    assert [iso(t) for t in daily.between(*local_day("Europe/Paris", date(2027, 3, 28)))] == ["2027-03-28T01:00"]
    assert iso(daily.after(ms(2027, 3, 28, 0, 59))) == "2027-03-28T01:00"
    assert iso(daily.after(ms(2027, 3, 28, 1, 0))) == "2027-03-29T00:30"


def test_a_time_that_comes_twice_is_due_at_its_first_occurrence() -> None:
    daily = parse("30 2 * * *", "Europe/Paris")
    assert [iso(t) for t in daily.between(*local_day("Europe/Paris", date(2027, 10, 31)))] == ["2027-10-31T00:30"]


def test_ticks_that_collide_after_the_gap_merge() -> None:
    often = parse("*/10 2 * * *", "Europe/Paris")
    assert [iso(t) for t in often.between(*local_day("Europe/Paris", date(2027, 3, 28)))] == ["2027-03-28T01:00"]
    both = parse("0,30 2-3 * * *", "Europe/Paris")
    assert [iso(t) for t in both.between(*local_day("Europe/Paris", date(2027, 3, 28)))] == [
        "2027-03-28T01:00",
        "2027-03-28T01:30",
    ]


@pytest.mark.parametrize("text", ["0 * * * *", "@hourly", "every 1h", "@every 1h", "30 0-23 * * *"])
def test_every_hour_follows_elapsed_time(text: str) -> None:
    schedule = parse(text, "Europe/Paris")
    autumn = schedule.between(*local_day("Europe/Paris", date(2027, 10, 31)))
    spring = schedule.between(*local_day("Europe/Paris", date(2027, 3, 28)))
    assert (len(autumn), len(spring)) == (25, 23)
    assert {b - a for a, b in pairwise(autumn)} == {3_600_000}
    assert {b - a for a, b in pairwise(spring)} == {3_600_000}


def test_a_date_that_a_zone_skipped_is_due_when_the_next_begins() -> None:
    samoa = parse("0 6 30 12 *", "Pacific/Apia")  # 2011-12-30 never was there
    assert iso(samoa.after(ms(2011, 12, 1))) == "2011-12-30T10:00"  # 2011-12-31 00:00 at +14


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0 6 * * mon-fri", "2026-01-01T06:00"),
        ("0 6 * * sat,SUN", "2026-01-03T06:00"),
        ("0 6 * * fri-sun", "2026-01-02T06:00"),
        ("0 6 * * 7", "2026-01-04T06:00"),
        ("15 8 13 * fri", "2026-01-02T08:15"),  # two written day fields add up
        ("0 0 */10 * mon", "2026-05-11T00:00"),  # a starred one narrows
        ("0 0 l * *", "2026-01-31T00:00"),
        ("0 0 * feb 2#1", "2026-02-03T00:00"),
        ("0 0 * * 5L", "2026-01-30T00:00"),
        ("5/20 * * * *", "2026-01-01T00:05"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@monthly", "2026-02-01T00:00"),
        ("@quarterly", "2026-04-01T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("every 90m", "2026-01-01T01:30"),
    ],
)
def test_the_first_tick_after_new_year(text: str, first: str) -> None:
    assert iso(parse(text, "UTC").after(ms(2026, 1, 1))) == first


@pytest.mark.parametrize(
    ("text", "zone", "says"),
    [
        ("", "UTC", "0 fields"),
        ("* * * *", "UTC", "4 fields"),
        ("0 0 * * * *", "UTC", "6 fields"),
        ("61 * * * *", "UTC", "outside 0-59"),
        ("* * * * noday", "UTC", "is not a weekday"),
        ("*/0 * * * *", "UTC", "from 1 on"),
        ("5-1 * * * *", "UTC", "ends before it begins"),
        ("0 0 30 2 *", "UTC", "never comes due"),
        ("0 0 * * 1#6", "UTC", "1 to 5"),
        ("@reboot", "UTC", "@daily"),
        ("every tuesday", "UTC", "is not a duration"),
        ("every 0s", "UTC", "shorter than one second"),
        ("@daily", "Europe/Pariss", "is not a time zone"),
        ("@daily", "../etc/passwd", "is not a time zone"),
        ("²* * * * *", "UTC", "is not a minute"),
    ],
)
def test_a_bad_schedule_is_one_sentence(text: str, zone: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text, zone)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,#lL @everymonfri", max_size=24))
def test_any_text_is_a_schedule_or_one_sentence(text: str) -> None:
    try:
        found = parse(text, "Europe/Paris")
    except ValueError:
        return
    after = found.after(ms(2026, 1, 1))
    assert after is not None
    assert after > ms(2026, 1, 1)


def test_durations() -> None:
    assert [duration_ms(t) for t in ("90s", "1h30m", "7d", "1w")] == [90_000, 5_400_000, 604_800_000, 604_800_000]


def test_triggers() -> None:
    assert (parse("@daily").trigger, parse("every 5m").trigger) == (Trigger.CRON, Trigger.INTERVAL)


def oracle(zone: str, minutes: set[int], hours: set[int], a: int, b: int) -> list[int]:
    """Every minute of (a, b] by what the wall clock reads; for fixed hours also what a gap swallowed, after it."""
    tz = ZoneInfo(zone)
    walls = {t: datetime.fromtimestamp(t / 1000, tz) for t in range(a - 172_800_000, b + 172_800_000, 60_000)}
    found: set[int] = set()
    if len(hours) == 24:
        return [t for t, w in walls.items() if a < t <= b and w.minute in minutes]
    seen = {}
    for t, w in walls.items():
        seen.setdefault(w.replace(tzinfo=None, fold=0), t)
    for wall, t in seen.items():
        if wall.minute in minutes and wall.hour in hours:
            found.add(t)
    ordered = sorted(walls)
    for earlier, later in pairwise(ordered):
        wall, until = walls[earlier].replace(tzinfo=None, fold=0), walls[later].replace(tzinfo=None, fold=0)
        wall += timedelta(minutes=1)
        while wall < until:  # these wall times are in a gap
            if wall.minute in minutes and wall.hour in hours:
                found.add(later)
            wall += timedelta(minutes=1)
    return sorted(t for t in found if a < t <= b)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    edge=st.sampled_from(EDGES),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.one_of(st.just(set(range(24))), st.sets(st.integers(0, 23), min_size=1, max_size=4)),
    shift=st.integers(-1500, 1500),
)
def test_cron_agrees_with_reading_the_clock_each_minute(
    zone: str, edge: datetime, minutes: set[int], hours: set[int], shift: int
) -> None:
    hour = "*" if len(hours) == 24 else ",".join(map(str, sorted(hours)))
    schedule = parse(f"{','.join(map(str, sorted(minutes)))} {hour} * * *", zone)
    a = int((edge + timedelta(minutes=shift)).timestamp()) * 1000
    b = a + 36 * 3_600_000
    expected = oracle(zone, minutes, hours, a, b)
    assert schedule.between(a, b) == expected
    assert schedule.last(a, b, 3) == expected[-3:]
    stepped, at = [], schedule.after(a)
    while at is not None and at <= b:
        stepped.append(at)
        at = schedule.after(at)
    assert stepped == expected


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(2018, 1, 1), date(2030, 12, 31)), minute=st.integers(0, 1439))
def test_a_daily_time_is_due_exactly_once_a_date(zone: str, day: date, minute: int) -> None:
    schedule = parse(f"{minute % 60} {minute // 60} * * *", zone)
    assert len(schedule.between(*local_day(zone, day))) == 1
    week = schedule.between(*(lambda a, b: (a, b + 6 * 86_400_000))(*local_day(zone, day)))
    assert week == sorted(set(week))


@settings(max_examples=40, deadline=None)
@given(period=st.integers(1, 86_400), start=st.integers(0, 2_000_000_000), count=st.integers(0, 20))
def test_intervals_are_the_same_for_every_reader(period: int, start: int, count: int) -> None:
    schedule = parse(f"every {period}s", "Asia/Kolkata")
    a, b = start * 1000, (start + period * count) * 1000
    ticks = schedule.between(a, b)
    assert len(ticks) == count
    assert all(t % (period * 1000) == 0 for t in ticks)
    assert schedule.last(a, b, 5) == ticks[-5:]
