"""Holidays from text and from iCal. Pure: the content of a file comes in, dates and sentences come out.

Nothing is left out in silence: what is not understood is one sentence with the name of the file and its line, and it is
the caller's to refuse the calendar. A holiday that is overlooked would be a false breach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LONGEST: Final = 366  # days of one holiday
_LAST_YEAR: Final = 2200
_FIRST_YEAR: Final = 1900


@dataclass(frozen=True, slots=True)
class Yearly:
    """A day of every ``interval``-th year from ``first`` on: of ``month``, either ``day`` or the ``nth`` (weekday, n).

    ``length`` days long; ``until`` the last date on which it may begin; ``count`` how often it comes (0: for ever).
    """

    name: str
    month: int
    day: int = 0
    nth: tuple[int, int] | None = None
    first: date = date(_FIRST_YEAR, 1, 1)
    interval: int = 1
    until: date | None = None
    count: int = 0
    length: int = 1
    without: frozenset[date] = frozenset()

    def begin(self, year: int) -> date | None:
        """The date on which it begins in a year, if it does."""
        day = self._in(year)
        if day is None or day < self.first or (year - self.first.year) % self.interval:
            return None
        if self.until is not None and day > self.until:
            return None
        if self.count:
            before = sum(
                1
                for y in range(self.first.year, year, self.interval)
                if (at := self._in(y)) is not None and at >= self.first
            )
            if before >= self.count:
                return None
        return None if day in self.without else day

    def _in(self, year: int) -> date | None:
        if self.nth is None:
            try:
                return date(year, self.month, self.day)
            except ValueError:
                return None  # 29 February
        weekday, n = self.nth
        if n > 0:
            day = date(year, self.month, 1)
            day += timedelta(days=(weekday - day.weekday()) % 7 + 7 * (n - 1))
        else:
            day = date(year + self.month // 12, self.month % 12 + 1, 1) - timedelta(days=1)
            day -= timedelta(days=(day.weekday() - weekday) % 7 + 7 * (-n - 1))
        return day if day.month == self.month else None


@dataclass(frozen=True, slots=True)
class Holidays:
    """Dates that are not worked, with their names ("" where none was given)."""

    dates: Mapping[date, str] = field(default_factory=dict[date, str], hash=False)
    yearly: tuple[Yearly, ...] = ()

    def name_of(self, day: date) -> str | None:
        """Its name, "" without one; None if it is no holiday."""
        if (name := self.dates.get(day)) is not None:
            return name
        for rule in self.yearly:
            if rule.length == 1 and (rule.month != day.month or (rule.nth is None and rule.day != day.day)):
                continue  # most rules, most days
            for year in (day.year, day.year - 1) if rule.length > 1 else (day.year,):
                begin = rule.begin(year)
                if begin is not None and 0 <= (day - begin).days < rule.length:
                    return rule.name
        return None

    def __contains__(self, day: date) -> bool:
        return self.name_of(day) is not None

    def __or__(self, other: Holidays) -> Holidays:
        return Holidays({**self.dates, **other.dates}, self.yearly + other.yearly)


@dataclass(frozen=True, slots=True)
class Read:
    """What a calendar file gave, and a sentence for each line that was not understood."""

    holidays: Holidays
    problems: tuple[str, ...] = ()


def read_holidays(text: str, name: str) -> Read:
    """iCal where it begins as iCal does, else lines of text. ``name`` is that of the file, for the sentences."""
    begins = text.lstrip("\ufeff \t\r\n")[:15].upper()
    return read_ical(text, name) if begins == "BEGIN:VCALENDAR" else read_text(text, name)


def read_text(text: str, name: str) -> Read:
    """One ISO date or ``MM-DD`` (every year) a line; its name may follow, with or without ``#``; ``#`` begins a comment."""
    dates: dict[date, str] = {}
    yearly: list[Yearly] = []
    problems: list[str] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        body = line.strip()
        if not body or body.startswith("#"):
            continue
        found = re.fullmatch(r"(?:(\d{4})-)?(\d\d)-(\d\d)(?:\s*#\s*(.*)|\s+([^\d\s].*))?", body, re.ASCII)
        try:
            if not found:
                raise ValueError
            year, month, day = int(found[1] or 2000), int(found[2]), int(found[3])
            when = date(year, month, day)  # 2000 had a 29 February
        except ValueError:
            problems.append(f'{name} line {number}: expected a date like 2026-12-25 or 12-25, got "{_clip(body)}"')
            continue
        words = (found[4] or found[5] or "").partition("#")[0].strip()
        if found[1]:
            dates[when] = words
        else:
            yearly.append(Yearly(words, month, day))
    return Read(Holidays(dates, tuple(yearly)), tuple(problems))


# --- iCal -----------------------------------------------------------------------------------------------------------


class _NotUnderstood(Exception):
    """One clause; the line is added by who reads."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    name: str
    params: str
    value: str


def _unfold(text: str) -> list[tuple[int, str]]:
    """Logical lines with the number of their first line: a line that begins with a blank goes on with the one before."""
    out: list[tuple[int, str]] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if line[:1] in (" ", "\t") and out:
            out[-1] = (out[-1][0], out[-1][1] + line[1:])
        elif line.strip():
            out.append((number, line))
    return out


def read_ical(text: str, name: str) -> Read:
    """VEVENTs of whole days: DTSTART, DTEND or DURATION in days, RRULE FREQ=YEARLY in its simple cases, EXDATE, SUMMARY.

    Cancelled events are left out. Other components (VTIMEZONE, VTODO, alarms) say nothing of holidays.
    """
    dates: dict[date, str] = {}
    yearly: list[Yearly] = []
    problems: list[str] = []
    event: list[_Line] | None = None
    began, inner = 0, 0
    for number, line in _unfold(text):
        head, colon, value = _split(line)
        title, _, params = head.partition(";")
        title = title.strip().upper()
        if event is None:
            if title == "BEGIN" and value.strip().upper() == "VEVENT":
                event, began, inner = [], number, 0
        elif title == "BEGIN":
            inner += 1
        elif title == "END" and inner:
            inner -= 1
        elif title == "END":
            _event(event, began, name, dates, yearly, problems)
            event = None
        elif not inner:
            if colon:
                event.append(_Line(number, title, params.upper(), value.strip()))
            else:
                problems.append(f'{name} line {number}: expected NAME:VALUE, got "{_clip(line)}"')
    if event is not None:
        problems.append(f"{name} line {began}: this VEVENT has no END:VEVENT")
    return Read(Holidays(dates, tuple(yearly)), tuple(problems))


def _split(line: str) -> tuple[str, str, str]:
    """Before and after the first colon outside quotes."""
    quoted = False
    for at, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == ":" and not quoted:
            return line[:at], ":", line[at + 1 :]
    return line, "", ""


def _event(
    lines: list[_Line], began: int, name: str, dates: dict[date, str], yearly: list[Yearly], problems: list[str]
) -> None:
    fields: dict[str, _Line] = {}
    without: set[date] = set()
    here = began
    try:
        for line in lines:
            here = line.number
            if line.name == "EXDATE":
                without.update(_day(part, line.params) for part in line.value.split(","))
            elif line.name == "RDATE":
                raise _NotUnderstood("RDATE is not understood; write these dates as events of their own")
            elif line.name == "RECURRENCE-ID":
                raise _NotUnderstood("a moved repetition (RECURRENCE-ID) is not understood")
            elif line.name == "RRULE" and "RRULE" in fields:
                raise _NotUnderstood("a second RRULE is not understood")
            elif line.name in ("DTSTART", "DTEND", "DURATION", "RRULE", "SUMMARY", "STATUS"):
                fields[line.name] = line
        status = fields.get("STATUS")
        if status is not None and status.value.upper() == "CANCELLED":
            return
        here = began
        if "DTSTART" not in fields:
            raise _NotUnderstood("this VEVENT has no DTSTART")
        here = fields["DTSTART"].number
        first = _day(fields["DTSTART"].value, fields["DTSTART"].params)
        length = 1
        if "DTEND" in fields:
            here = fields["DTEND"].number
            length = max((_day(fields["DTEND"].value, fields["DTEND"].params) - first).days, 1)
        elif "DURATION" in fields:
            here = fields["DURATION"].number
            found = re.fullmatch(r"\+?P(\d{1,3})([DW])", fields["DURATION"].value.upper())
            if not found:
                raise _NotUnderstood(f"DURATION {_clip(fields['DURATION'].value)} is not a number of days")
            length = max(int(found[1]) * (7 if found[2] == "W" else 1), 1)
        if length > _LONGEST:
            raise _NotUnderstood("a holiday of more than a year is not understood")
        title = _unescape(fields["SUMMARY"].value) if "SUMMARY" in fields else ""
        if "RRULE" in fields:
            here = fields["RRULE"].number
            yearly.extend(_rules(fields["RRULE"].value, first, length, title, frozenset(without)))
        elif first not in without:
            for n in range(length):
                dates[first + timedelta(days=n)] = title
    except _NotUnderstood as why:
        problems.append(f"{name} line {here}: {why}")


def _day(value: str, params: str) -> date:
    """A whole day: ``20261225``, or midnight ``20261225T000000``, as some programs write it."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(T\d{6}Z?)?", value.strip().upper(), re.ASCII)
    if not found or (params and "VALUE=PERIOD" in params):
        raise _NotUnderstood(f"expected a date like 20261225, got {_clip(value)}")
    if found[4] not in (None, "T000000"):
        raise _NotUnderstood(f"{_clip(value)} is a time of day: only whole days are holidays")
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise _NotUnderstood(f"there is no date {_clip(value)}") from None


def _rules(value: str, first: date, length: int, title: str, without: frozenset[date]) -> list[Yearly]:
    parts: dict[str, str] = {}
    for part in value.upper().split(";"):
        key, equals, words = part.partition("=")
        if not equals or key in parts:
            raise _NotUnderstood(f"RRULE {_clip(value)} is not understood")
        parts[key] = words
    if parts.pop("FREQ", "") != "YEARLY":
        raise _NotUnderstood("RRULE is not understood: only FREQ=YEARLY is")
    parts.pop("WKST", None)
    interval = _number("INTERVAL", parts.pop("INTERVAL", "1"), 1, 100)
    count = _number("COUNT", parts.pop("COUNT"), 1, 1000) if "COUNT" in parts else 0
    until = None
    if "UNTIL" in parts:
        until = _day(parts.pop("UNTIL").partition("T")[0], "")
    in_months = [_number("BYMONTH", m, 1, 12) for m in parts.pop("BYMONTH", str(first.month)).split(",")]
    base = Yearly(
        title, first.month, first=first, interval=interval, until=until, count=count, length=length, without=without
    )
    found: list[Yearly] = []
    if "BYDAY" in parts and "BYMONTHDAY" not in parts:
        words = parts.pop("BYDAY")
        for one in words.split(","):
            nth = re.fullmatch(r"([+-]?\d)([A-Z]{2})", one)
            if not nth or nth[2] not in _WEEKDAYS or not 1 <= abs(int(nth[1])) <= 5:
                raise _NotUnderstood(f"RRULE BYDAY={_clip(words)} is not understood: only as 4TH or -1MO is")
            at = (_WEEKDAYS.index(nth[2]), int(nth[1]))
            found += [replace(base, month=month, nth=at) for month in in_months]
    else:
        days = parts.pop("BYMONTHDAY", str(first.day))
        numbers = [_number("BYMONTHDAY", d, 1, 31) for d in days.split(",")]
        found = [replace(base, month=month, day=day) for month in in_months for day in numbers]
    if parts:
        raise _NotUnderstood(f"RRULE {_clip(next(iter(parts)))} is not understood")
    if count and len(found) > 1:
        raise _NotUnderstood("RRULE COUNT with several days a year is not understood")
    return found


def _number(name: str, words: str, low: int, high: int) -> int:
    if not (words.isascii() and words.isdigit() and low <= int(words[:9]) <= high):
        raise _NotUnderstood(f"RRULE {name}={_clip(words)} is not understood: expected {low} to {high}")
    return int(words)


def _unescape(words: str) -> str:
    return re.sub(r"\\([nN,;\\])", lambda m: " " if m[1] in "nN" else m[1], words).strip()


def _clip(words: str) -> str:
    """Short, and without control characters: it comes from a file and goes to a terminal."""
    plain = "".join(c if c.isprintable() else "?" for c in words)
    return plain if len(plain) <= 40 else plain[:39] + "…"
