"""Local dates and wall times turned into instants; rules of days; business calendars. Pure.

All instants are integer milliseconds since the epoch, UTC; minutes count from local midnight. Everything is reckoned per
local calendar date in an IANA zone and only then converted (the zone database is the only thing read):

- a wall time that does not exist (spring) is the first valid instant after the gap;
- a wall time that comes twice (autumn), or a date that comes twice, is meant once: its first occurrence (fold 0);
- a date that a zone skipped (Pacific/Apia 2011-12-30) has no instant: ``instant`` says None.
"""

from __future__ import annotations

import calendar as months
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from adapters.schedule import zone as zone_of
from engine.owed.holidays import Holidays

MINUTE: Final = 60_000
DAY_MS: Final = 86_400_000
ONE_DAY: Final = timedelta(days=1)
_DAY_MINUTES: Final = 1440
_EPOCH: Final = date(1970, 1, 1).toordinal()
_FURTHEST_MS: Final = 26 * 3_600_000  # no zone was ever further from UTC
_PROBE_MS: Final = 5 * DAY_MS  # no zone ever changed its offset and went back within so short a time
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_SEARCH_DAYS: Final = 800


# --- wall time ------------------------------------------------------------------------------------------------------


def _ms(moment: datetime) -> int:
    gone = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (gone.days * 86_400 + gone.seconds) * 1000


def _offset(zone: ZoneInfo, ms: int) -> int:
    """Of local time from UTC, in ms, at an instant."""
    offset = datetime.fromtimestamp(ms // 1000, zone).utcoffset()
    assert offset is not None
    return (offset.days * 86_400 + offset.seconds) * 1000


def _change(zone: ZoneInfo, a: int, b: int) -> int:
    """The first instant of the new offset, where the offset of ``a`` and of ``b`` differ by one change between them."""
    before, after, old = a // 1000, b // 1000, _offset(zone, a)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle * 1000) == old:
            before = middle
        else:
            after = middle
    return after * 1000


def _exists(local: datetime) -> bool:
    back = local.astimezone(UTC).astimezone(local.tzinfo)
    return back.replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0)


@lru_cache(maxsize=16_384)
def _midnight(zone: str, day: date) -> tuple[int, bool]:
    """(instant of local midnight, whether the offset stays the same all through this date)."""
    tz = zone_of(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=tz)
    end = start + ONE_DAY
    moments = (start.replace(fold=1), end, end.replace(fold=1))  # fold 1: a change at or over midnight counts too
    offset = start.utcoffset()
    return _ms(start), all(m.utcoffset() == offset for m in moments)


@lru_cache(maxsize=16_384)
def _odd(zone: str, day: date, minute: int) -> int | None:
    """``instant`` on a date with a change of offset."""
    tz = zone_of(zone)
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=tz)
    if _exists(local):
        return _ms(local)
    gap_end = gap_after(zone, day, minute)
    return None if _skips(tz, day, gap_end) else gap_end


def _skips(tz: ZoneInfo, day: date, gap_end: int) -> bool:
    """Whether the gap that ends then has swallowed the whole date."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=tz)
    return not _exists(midnight) and datetime.fromtimestamp(gap_end // 1000, tz).date() > day


def gap_after(zone: str, day: date, minute: int = 0) -> int:
    """The first instant after the gap in which this (not existing) wall time lies."""
    tz = zone_of(zone)
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=tz)
    # In a gap fold 0 reads the offset before it (an instant after the change), fold 1 the one after it.
    return _change(tz, _ms(local.replace(fold=1)), _ms(local))


def instant(zone: str, day: date, minute: int) -> int | None:
    """The instant (ms UTC) of a wall time on a local date; None where the zone skipped that date.

    ``minute`` counts from local midnight; 1440 and more is the next date's.
    """
    if minute >= _DAY_MINUTES:
        day, minute = day + timedelta(days=minute // _DAY_MINUTES), minute % _DAY_MINUTES
    start, plain = _midnight(zone, day)
    return start + minute * MINUTE if plain else _odd(zone, day, minute)


def plain(zone: str, day: date) -> bool:
    """Whether no change of offset touches this local date: each wall time comes once, and on this date."""
    return _midnight(zone, day)[1]


def skipped(zone: str, day: date) -> bool:
    """Whether the zone skipped this whole date."""
    return not plain(zone, day) and instant(zone, day, 0) is None


@lru_cache(maxsize=65_536)
def _hour_date(zone: str, hour: int) -> tuple[date, bool]:
    """(local date at the begin of an hour of UTC, whether it is that of the whole hour)."""
    tz = zone_of(zone)
    first, final = datetime.fromtimestamp(hour * 3600, tz), datetime.fromtimestamp(hour * 3600 + 3599, tz)
    same = first.date() == final.date() and first.utcoffset() == final.utcoffset()
    return first.date(), same


def local_date(zone: str, ms: int) -> date:
    """The local date at an instant."""
    day, whole = _hour_date(zone, ms // 3_600_000)
    return day if whole else datetime.fromtimestamp(ms // 1000, zone_of(zone)).date()


@lru_cache(maxsize=65_536)
def wall_spans(zone: str, first: date, start: int, final: date, end: int) -> tuple[tuple[int, int], ...]:
    """Instants whose local wall time lies in [``first`` ``start``, ``final`` ``end``): half-open spans, oldest first.

    Mostly one span; none where the zone skipped all of it; two where the clock goes back out of it and into it again.
    """
    tz = zone_of(zone)
    low = (first.toordinal() - _EPOCH) * DAY_MS + start * MINUTE
    high = (final.toordinal() - _EPOCH) * DAY_MS + end * MINUTE
    found: list[tuple[int, int]] = []
    pieces = offsets(tz, low - _FURTHEST_MS, high + _FURTHEST_MS)
    for piece_start, piece_end, offset in pieces:
        a, b = max(piece_start, low - offset), min(piece_end, high - offset)
        if a >= b:
            continue
        if found and found[-1][1] == a:
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return tuple(found)


def offsets(tz: ZoneInfo, a: int, b: int) -> list[tuple[int, int, int]]:
    """[a, b) cut where the offset from UTC changes: (start, end, offset), ms."""
    marks = [*range(a, b, _PROBE_MS), b]
    cuts: list[tuple[int, int]] = [(a, _offset(tz, a))]
    for left, right in pairwise(marks):
        offset = _offset(tz, right)
        if offset != cuts[-1][1]:
            cuts.append((_change(tz, left, right), offset))
    ends = [start for start, _ in cuts[1:]] + [b]
    return [(start, end, offset) for (start, offset), end in zip(cuts, ends, strict=True)]


# --- days -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A rule of days; a date is meant when any part of it says so. ``text`` as written, for a person.

    ``weekdays``: 0 = Monday. ``month_days``: 1 to 31, or -1 (last) to -31. ``nth``: (weekday, 1 to 5 or -1).
    ``business``: the n-th business day of the month (-1: the last). ``any_business``: every business day.
    """

    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()
    business: frozenset[int] = frozenset()
    any_business: bool = False
    dates: frozenset[date] = frozenset()
    text: str = ""

    def includes(self, day: date, calendar: BusinessCalendar | None = None) -> bool:
        """``calendar`` tells business days; without one they are Monday to Friday."""
        if day.weekday() in self.weekdays or day in self.dates:
            return True
        if self.month_days or self.nth:
            length = months.monthrange(day.year, day.month)[1]
            if day.day in self.month_days or day.day - length - 1 in self.month_days:
                return True
            which = day.weekday()
            if (which, (day.day + 6) // 7) in self.nth or ((which, -1) in self.nth and day.day + 7 > length):
                return True
        if self.any_business or self.business:
            works = calendar or PLAIN_WEEK
            if not works.is_business_day(day):
                return False
            return self.any_business or bool(self.business & set(works.places(day)))
        return False


DAILY: Final = Days(weekdays=frozenset(range(7)), text="daily")
DAYS_WORDS: Final = 'days like "mon-fri", "mon,wed", "daily", "1,15,-1", "first mon" or "last business day"'
_PLACE: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}


def weekdays(days: Iterable[int]) -> Days:
    """Of weekdays (0 = Monday), with the words that a person would write."""
    chosen = frozenset(days)
    words = ",".join(WEEKDAYS[d] for d in sorted(chosen))
    return (
        DAILY
        if len(chosen) == 7
        else Days(weekdays=chosen, text="mon-fri" if words == "mon,tue,wed,thu,fri" else words)
    )


def parse_days(text: str) -> Days:
    """Read ``mon-fri``, ``mon,wed``, ``1,15,-1``, ``1-5``, ``last day``, ``first mon``, ``last business day``,
    ``business days`` or ``2026-12-24``, and lists of them; ValueError in one sentence."""
    names: set[int] = set()
    numbers: set[int] = set()
    nth: set[tuple[int, int]] = set()
    business: set[int] = set()
    dates: set[date] = set()
    every = False
    for part in text.lower().split(","):
        words = part.split()
        word = " ".join(words)
        if word == "daily":
            names.update(range(7))
        elif word in ("business days", "business day"):
            every = True
        elif len(words) == 3 and words[0] in _PLACE and words[1:] == ["business", "day"]:
            business.add(_PLACE[words[0]])
        elif len(words) == 2 and words[0] in _PLACE and words[1] == "day":
            numbers.add(_PLACE[words[0]])
        elif len(words) == 2 and words[0] in _PLACE and words[1][:3] in WEEKDAYS and _is_weekday(words[1]):
            nth.add((WEEKDAYS.index(words[1][:3]), _PLACE[words[0]]))
        elif found := re.fullmatch(r"([a-z]{3})(?:-([a-z]{3}))?", word):
            if found[1] not in WEEKDAYS or (found[2] or found[1]) not in WEEKDAYS:
                raise ValueError(_not_days(part))
            a, b = WEEKDAYS.index(found[1]), WEEKDAYS.index(found[2] or found[1])
            names.update((a + n) % 7 for n in range((b - a) % 7 + 1))
        elif found := re.fullmatch(r"(-?\d{1,2})", word):
            number = int(found[1])
            if not 1 <= abs(number) <= 31:
                raise ValueError(_not_days(part))
            numbers.add(number)
        elif found := re.fullmatch(r"(\d{1,2})-(\d{1,2})", word):
            if not 1 <= int(found[1]) <= int(found[2]) <= 31:
                raise ValueError(_not_days(part))
            numbers.update(range(int(found[1]), int(found[2]) + 1))
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", word):
            try:
                dates.add(date.fromisoformat(word))
            except ValueError:
                raise ValueError(_not_days(part)) from None
        else:
            raise ValueError(_not_days(part))
    if len(names) == 7:
        return DAILY
    return Days(
        weekdays=frozenset(names),
        month_days=frozenset(numbers),
        nth=frozenset(nth),
        business=frozenset(business),
        any_business=every,
        dates=frozenset(dates),
        text=" ".join(text.split()),
    )


def _is_weekday(word: str) -> bool:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return word in WEEKDAYS or word in full


def _not_days(part: str) -> str:
    return f'expected {DAYS_WORDS}, got "{part.strip()[:40]}"'


# --- business calendars ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCalendar:
    """Which dates are worked and which hours are open, in a zone. ``hours``: (from, to) minutes by wall clock, half-open;
    an end at or before its start is the next date's and belongs to the date on which it began."""

    name: str
    zone: str = "UTC"
    weekdays: frozenset[int] = frozenset(range(5))
    hours: tuple[tuple[int, int], ...] = ((0, _DAY_MINUTES),)
    holidays: Holidays = field(default_factory=Holidays)

    def is_business_day(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day not in self.holidays and not skipped(self.zone, day)

    def why_closed(self, day: date) -> str | None:
        """One clause why this date is not worked; None where it is."""
        holiday = self.holidays.name_of(day)
        if holiday is not None:
            return f"holiday of {self.name}" + (f": {holiday}" if holiday else "")
        if day.weekday() not in self.weekdays:
            return f"{self.name} is closed on {_FULL_WEEKDAYS[day.weekday()]}"
        if skipped(self.zone, day):
            return f"{day.isoformat()} never was in {self.zone}"
        return None

    def places(self, day: date) -> tuple[int, int]:
        """Of a business day in its month: (n-th from its begin, -n-th from its end)."""
        worked = _worked(self, day.year, day.month)
        at = bisect_right(worked, day.day)
        return at, at - len(worked) - 1

    def step(self, day: date, n: int) -> date | None:
        """The n-th business day after (n < 0: before) a date, itself not counted; None if there is none for two years."""
        way, left = (1 if n > 0 else -1), abs(n)
        for _ in range(_SEARCH_DAYS):
            if left == 0:
                return day
            day += timedelta(days=way)
            left -= self.is_business_day(day)
        return None

    def spans(self, day: date) -> list[tuple[int, int]]:
        """The open hours that begin on a local date: half-open instants."""
        if not self.is_business_day(day):
            return []
        found: list[tuple[int, int]] = []
        for start, end in self.hours:
            final, end = (day + ONE_DAY, end) if end <= start else (day, end)
            found += wall_spans(self.zone, day, start, final, end)
        return sorted(found)

    def is_open(self, ms: int) -> bool:
        day = local_date(self.zone, ms)
        return any(a <= ms < b for d in (day - ONE_DAY, day) for a, b in self.spans(d))

    def next_open(self, ms: int) -> int | None:
        """``ms`` itself if open then, else the first open instant after it ("next business day"); None if none for two years."""
        if self.is_open(ms):
            return ms
        day = local_date(self.zone, ms) - ONE_DAY
        for n in range(_SEARCH_DAYS):
            later = [a for a, _ in self.spans(day + timedelta(days=n)) if a > ms]
            if later:
                return later[0]
        return None


@lru_cache(maxsize=4096)
def _worked(works: BusinessCalendar, year: int, month: int) -> tuple[int, ...]:
    length = months.monthrange(year, month)[1]
    return tuple(n for n in range(1, length + 1) if works.is_business_day(date(year, month, n)))


PLAIN_WEEK: Final = BusinessCalendar(name="mon-fri")
