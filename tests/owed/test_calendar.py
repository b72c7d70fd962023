"""Worked examples of the design, rules of days, holidays from text and iCal, business calendars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.owed.calendar import BusinessCalendar, instant, local_date, parse_days, weekdays
from engine.owed.holidays import read_holidays, read_ical, read_text

PARIS = "Europe/Paris"


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def test_worked_examples_of_the_gap_and_the_fold() -> None:
    assert instant(PARIS, date(2027, 3, 28), 150) == utc("2027-03-28T01:00")
    assert instant(PARIS, date(2027, 10, 31), 150) == utc("2027-10-31T00:30")
    assert instant(PARIS, date(2026, 11, 21), 360) == utc("2026-11-21T05:00")
    assert instant(PARIS, date(2027, 3, 27), 1440 + 150) == utc("2027-03-28T01:00")  # minutes beyond midnight


def meant(rule: str, first: str, days: int, calendar: BusinessCalendar | None = None) -> list[str]:
    start, found = date.fromisoformat(first), parse_days(rule)
    dates = (start + timedelta(days=n) for n in range(days))
    return [d.isoformat()[5:] for d in dates if found.includes(d, calendar)]


@pytest.mark.parametrize(
    ("rule", "dates"),
    [
        ("mon-fri", ["11-02", "11-03", "11-04", "11-05", "11-06", "11-09"]),
        ("mon,wed", ["11-02", "11-04", "11-09"]),
        ("fri-mon", ["11-01", "11-02", "11-06", "11-07", "11-08", "11-09"]),
        ("daily", [f"11-{n:02}" for n in range(1, 11)]),
        ("1,5", ["11-01", "11-05"]),
        ("3-5", ["11-03", "11-04", "11-05"]),
        ("first mon", ["11-02"]),
        ("second Friday", []),
        ("2026-11-07, tue", ["11-03", "11-07", "11-10"]),
        ("first business day", ["11-02"]),
        ("business days", ["11-02", "11-03", "11-04", "11-05", "11-06", "11-09", "11-10"]),
    ],
)
def test_rules_of_days(rule: str, dates: list[str]) -> None:
    ten = [d for d in meant(rule, "2026-11-01", 10)]
    assert [d for d in ten if d != "11-10" or "11-10" in dates] == dates


def test_the_end_of_the_month() -> None:
    assert meant("-1", "2028-02-01", 60) == ["02-29", "03-31"]
    assert meant("last day", "2027-02-01", 28) == ["02-28"]
    assert meant("-3", "2027-02-01", 28) == ["02-26"]
    assert meant("31", "2026-11-01", 61) == ["12-31"]
    assert meant("last fri", "2026-11-01", 30) == ["11-27"]
    assert meant("last business day", "2026-10-01", 61) == ["10-30", "11-30"]
    bank = BusinessCalendar(name="bank", holidays=read_text("12-31\n2026-11-30", "x").holidays)
    assert meant("last business day", "2026-11-01", 61, bank) == ["11-27", "12-30"]


@pytest.mark.parametrize(
    "rule", ["", "mon-", "monday-fri", "0", "32", "-32", "5-3", "last", "last holiday", "2026-02-30", "sixth mon"]
)
def test_other_rules_are_refused_in_one_sentence(rule: str) -> None:
    with pytest.raises(ValueError, match=r"^expected days like .* got"):
        parse_days(rule)


def test_weekdays_have_words() -> None:
    assert [weekdays(d).text for d in (range(7), range(5), (0, 2))] == ["daily", "mon-fri", "mon,wed"]


# --- holidays -------------------------------------------------------------------------------------------------------


def test_text() -> None:
    read = read_text("# France\n2026-12-25  # Christmas\n\n05-01 Labour Day # every year\n02-29\n", "fr.txt")
    assert read.problems == ()
    names = read.holidays.name_of
    assert names(date(2026, 12, 25)) == "Christmas"
    assert names(date(2027, 12, 25)) is None
    assert names(date(2031, 5, 1)) == "Labour Day"
    assert [y for y in range(2026, 2034) if (date(y, 3, 1) - timedelta(days=1)) in read.holidays] == [2028, 2032]


def test_bad_lines_are_sentences_with_their_number() -> None:
    read = read_text("2026-12-25\n25/12/2026\n2026-02-30\n2026-12-25 2026-12-26\n\x1b[31m", "fr.txt")
    assert list(read.problems) == [
        f'fr.txt line {n}: expected a date like 2026-12-25 or 12-25, got "{got}"'
        for n, got in ((2, "25/12/2026"), (3, "2026-02-30"), (4, "2026-12-25 2026-12-26"), (5, "?[31m"))
    ]


def ical(*events: str) -> str:
    body = "".join(f"BEGIN:VEVENT\r\n{e}\r\nEND:VEVENT\r\n" for e in events)
    zone = "BEGIN:VTIMEZONE\r\nBEGIN:DAYLIGHT\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{zone}{body}END:VCALENDAR\r\n"


def test_ical() -> None:
    text = ical(
        "UID:1\r\nDTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nSUMMARY:Christ\r\n mas\\, both days\r\n"
        "BEGIN:VALARM\r\nTRIGGER:-P1D\r\nRRULE:FREQ=SECONDLY\r\nEND:VALARM",
        "DTSTART;VALUE=DATE:20200714\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:14 July\r\nEXDATE;VALUE=DATE:20280714",
        "DTSTART;VALUE=DATE:20201126\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;UNTIL=20291231T000000Z\r\nSUMMARY:Thanksgiving",
        "DTSTART;VALUE=DATE:20260101\r\nSTATUS:CANCELLED",
        'DTSTART;TZID="Europe/Paris":20270501T000000\r\nDTEND;TZID="Europe/Paris":20270502T000000',
        "DTSTART;VALUE=DATE:20261231\r\nDURATION:P2D\r\nRRULE:FREQ=YEARLY;COUNT=2\r\nSUMMARY:Turn",
    )
    read = read_holidays(text, "fr.ics")
    assert read.problems == ()
    expected = {
        "2026-12-24": None, "2026-12-25": "Christmas, both days", "2026-12-26": "Christmas, both days", "2026-12-27": None,
        "2027-07-14": "14 July", "2028-07-14": None, "2035-07-14": "14 July", "2019-07-14": None,
        "2026-11-26": "Thanksgiving", "2027-11-25": "Thanksgiving", "2030-11-28": None,
        "2026-01-01": None, "2027-05-01": "", "2027-05-02": None,
        "2026-12-31": "Turn", "2027-01-01": "Turn", "2027-12-31": "Turn", "2028-01-01": "Turn", "2028-12-31": None,
    }  # fmt: skip
    assert {d: read.holidays.name_of(date.fromisoformat(d)) for d in expected} == expected


@pytest.mark.parametrize(
    ("event", "line", "says"),
    [
        (
            "DTSTART:20261224T120000\r\nSUMMARY:half a day",
            9,
            "20261224T120000 is a time of day: only whole days are holidays",
        ),
        ("DTSTART:20261225\r\nRRULE:FREQ=MONTHLY", 10, "RRULE is not understood: only FREQ=YEARLY is"),
        ("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;BYSETPOS=1", 10, "RRULE BYSETPOS is not understood"),
        (
            "DTSTART:20261225\r\nRRULE:FREQ=YEARLY;BYDAY=MO",
            10,
            "RRULE BYDAY=MO is not understood: only as 4TH or -1MO is",
        ),
        ("DTSTART:20261225\r\nRDATE:20271225", 10, "RDATE is not understood; write these dates as events of their own"),
        ("SUMMARY:x", 8, "this VEVENT has no DTSTART"),
        ("DTSTART:20261340", 9, "there is no date 20261340"),
        ("DTSTART:20261225\r\nDURATION:PT4H", 10, "DURATION PT4H is not a number of days"),
    ],
)
def test_what_ical_is_not_understood_is_one_sentence_with_its_line(event: str, line: int, says: str) -> None:
    good = "DTSTART:20260101"
    assert read_ical(ical(event, good), "fr.ics").problems == (f"fr.ics line {line}: {says}",)
    assert date(2026, 1, 1) in read_ical(ical(event, good), "fr.ics").holidays


def test_an_event_without_end_is_said() -> None:
    assert read_ical("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n", "x").problems == (
        "x line 2: this VEVENT has no END:VEVENT",
    )


@given(st.text(max_size=300))
def test_nothing_upsets_the_readers(text: str) -> None:
    for read in (read_text(text, "x"), read_ical("BEGIN:VEVENT\n" + text + "\nEND:VEVENT", "x")):
        assert all(p.startswith("x line ") and "\n" not in p for p in read.problems)


# --- business calendars ---------------------------------------------------------------------------------------------

BANK = BusinessCalendar(
    name="fr-bank", zone=PARIS, hours=((540, 1080),), holidays=read_text("2026-12-25 Christmas\n05-01", "x").holidays
)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-20T12:00", "2026-11-20T12:00"),  # Friday 13:00 in Paris: open, so now
        ("2026-11-20T08:00", "2026-11-20T08:00"),  # 09:00 sharp
        ("2026-11-20T17:00", "2026-11-23T08:00"),  # 18:00 is closed: half-open
        ("2026-11-20T07:59:59", "2026-11-20T08:00"),
        ("2026-12-24T20:00", "2026-12-28T08:00"),  # holiday, then a weekend
        ("2027-03-26T20:00", "2027-03-29T07:00"),  # summer time began meanwhile
    ],
)
def test_next_business_day(now: str, opens: str) -> None:
    assert BANK.next_open(utc(now)) == utc(opens)


def test_a_calendar_that_never_opens_says_so() -> None:
    assert BusinessCalendar(name="never", weekdays=frozenset()).next_open(utc("2026-11-20T12:00")) is None


def test_hours_over_midnight_belong_to_their_first_date() -> None:
    night = BusinessCalendar(name="night", zone=PARIS, hours=((1320, 360),))
    assert night.is_open(utc("2026-11-21T04:59"))  # Saturday 05:59, of Friday
    assert not night.is_open(utc("2026-11-21T05:00"))
    assert not night.is_open(utc("2026-11-23T04:00"))  # Monday 05:00 would be Sunday's


def test_why_a_date_is_closed() -> None:
    assert BANK.why_closed(date(2026, 12, 25)) == "holiday of fr-bank: Christmas"
    assert BANK.why_closed(date(2030, 5, 1)) == "holiday of fr-bank"
    assert BANK.why_closed(date(2026, 11, 21)) == "fr-bank is closed on Saturdays"
    assert BANK.why_closed(date(2026, 11, 20)) is None
    apia = BusinessCalendar(name="ws", zone="Pacific/Apia")
    assert apia.why_closed(date(2011, 12, 30)) == "2011-12-30 never was in Pacific/Apia"


def test_business_days_ahead_and_back() -> None:
    assert BANK.step(date(2026, 12, 24), 1) == date(2026, 12, 28)
    assert BANK.step(date(2026, 12, 28), -1) == date(2026, 12, 24)
    assert BANK.step(date(2026, 12, 28), -2) == date(2026, 12, 23)
    assert BANK.step(date(2026, 11, 21), 0) == date(2026, 11, 21)


def test_the_local_date_of_each_minute_of_a_night_that_comes_twice() -> None:
    """Within one hour of UTC St. John's had a minute of the 7th between two parts of the 6th."""
    zone, first = "America/St_Johns", utc("2010-11-07T01:00")
    for ms in range(first, first + 4 * 3_600_000, 60_000):
        assert local_date(zone, ms) == datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).date()
