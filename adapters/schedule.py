"""Cron and interval schedules in an IANA zone. Pure: no clock, no I/O beyond the zone database.

Cron is evaluated per local calendar date, converted to UTC, and only then compared:

- a local time that does not exist (spring) is due at the first valid instant after the gap; ticks that
  collide there merge;
- a local time that comes twice (autumn) is due at its first occurrence (fold 0);
- a cron whose hour is a wildcard (every hour of the day) follows elapsed time: 23 hours in spring, 25 in autumn.

Intervals (``every 15m``, ``@every 1h``) follow elapsed time and are anchored at 1970-01-01 00:00 UTC, so that every
reader reckons the same ticks; ``every 7m + 2m3s`` is due that much after each of those. All times are integer milliseconds since the epoch, UTC.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from adapters.model import Trigger

_MINUTE: Final = 60_000
_HORIZON_YEARS: Final = 50
_LAST: Final = -1  # "L": the last day of the month, or (weekday, _LAST): the last such weekday

_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 1,4,7,10 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = {m: n for n, m in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep"], 1)} | {
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_DAYS: Final = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = re.compile(r"(?:\d+[smhdw])+")


class Schedule:
    """When something is due. ``text`` is as written, ``zone`` the IANA name, ``trigger`` CRON or INTERVAL."""

    text: str
    zone: str
    trigger: Trigger

    def after(self, ms: int) -> int | None:
        """The first tick strictly after ``ms``; None if none comes within 50 years."""
        raise NotImplementedError

    def between(self, a: int, b: int) -> list[int]:
        """Every tick t with a < t <= b, oldest first."""
        raise NotImplementedError

    def last(self, a: int, b: int, n: int) -> list[int]:
        """The newest ``n`` ticks t with a < t <= b, oldest first: bounded work over a long absence."""
        raise NotImplementedError


@dataclass(frozen=True)
class Interval(Schedule):
    """Every ``period`` milliseconds of elapsed time since the epoch, ``phase`` milliseconds later."""

    text: str
    zone: str
    period: int
    phase: int = 0
    trigger = Trigger.INTERVAL

    def after(self, ms: int) -> int | None:
        return self._at((ms - self.phase) // self.period + 1)

    def between(self, a: int, b: int) -> list[int]:
        return list(range(self._at((a - self.phase) // self.period + 1), b + 1, self.period))

    def last(self, a: int, b: int, n: int) -> list[int]:
        newest = (b - self.phase) // self.period
        oldest = max((a - self.phase) // self.period + 1, newest - n + 1)
        return [self._at(i) for i in range(oldest, newest + 1)]

    def _at(self, n: int) -> int:
        return n * self.period + self.phase


@dataclass(frozen=True)
class Cron(Schedule):
    """Five cron fields in a zone. ``times``: minutes of the day at which it is due, ascending."""

    text: str
    zone: str
    times: tuple[int, ...]
    hourly: bool
    months: frozenset[int]
    days: frozenset[int]
    weekdays: frozenset[int | tuple[int, int]]
    both: bool
    tz: ZoneInfo = field(repr=False)
    trigger = Trigger.CRON

    def after(self, ms: int) -> int | None:
        # A gap can push a tick of an earlier date forward past midnight, so look one date back.
        first = self._local_date(ms) - timedelta(days=1)
        for day in self._dates(first):
            ticks = self._ticks(day)
            at = bisect_right(ticks, ms)
            if at < len(ticks):
                return ticks[at]
        return None

    def between(self, a: int, b: int) -> list[int]:
        found: list[int] = []
        final = self._local_date(b)
        for day in self._dates(self._local_date(a) - timedelta(days=1)):
            if day > final:
                break
            ticks = self._ticks(day)
            found.extend(ticks[bisect_right(ticks, max(a, found[-1] if found else a)) : bisect_right(ticks, b)])
        return found

    def last(self, a: int, b: int, n: int) -> list[int]:
        found: list[int] = []  # newest first
        day = self._local_date(b)
        first = max(self._local_date(a), day - timedelta(days=366 * _HORIZON_YEARS)) - timedelta(days=1)
        while day >= first and len(found) < n:
            if self._matches(day):
                ticks = self._ticks(day)
                upper = bisect_left(ticks, found[-1]) if found else bisect_right(ticks, b)
                found.extend(reversed(ticks[bisect_right(ticks, a) : upper]))
            day -= timedelta(days=1)
        return found[:n][::-1]

    # --- one local date -------------------------------------------------------------------------------------------

    def _local_date(self, ms: int) -> date:
        return datetime.fromtimestamp(ms / 1000, self.tz).date()

    def _dates(self, first: date) -> Iterator[date]:
        """Matching local dates from ``first`` on, whole months skipped where the month does not match."""
        day, limit = first, first.year + _HORIZON_YEARS
        while day.year <= limit:
            if day.month not in self.months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            if self._matches(day):
                yield day
            day += timedelta(days=1)

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        length = calendar.monthrange(day.year, day.month)[1]
        by_day = day.day in self.days or (_LAST in self.days and day.day == length)
        weekday = day.isoweekday() % 7
        by_weekday = (
            weekday in self.weekdays
            or (weekday, (day.day + 6) // 7) in self.weekdays
            or ((weekday, _LAST) in self.weekdays and day.day + 7 > length)
        )
        return (by_day and by_weekday) if self.both else (by_day or by_weekday)

    def _ticks(self, day: date) -> list[int]:
        """Ticks of one local date, ascending, merged."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.tz)
        tomorrow = midnight + timedelta(days=1)
        offset = midnight.utcoffset()
        if offset == tomorrow.utcoffset() and offset == midnight.replace(fold=1).utcoffset():
            start = _ms(midnight)  # no change of offset this date: plain arithmetic
            return [start + minute * _MINUTE for minute in self.times]
        found: set[int] = set()
        for minute in self.times:
            local = midnight.replace(hour=minute // 60, minute=minute % 60)
            if _exists(local):
                found.add(_ms(local))
                if self.hourly:
                    found.add(_ms(local.replace(fold=1)))  # the same instant unless this wall time comes twice
            elif not self.hourly:
                found.add(_after_gap(local))
        return sorted(found)


def _ms(moment: datetime) -> int:
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000


def _exists(local: datetime) -> bool:
    back = local.astimezone(UTC).astimezone(local.tzinfo)
    return back.replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0)


def _after_gap(local: datetime) -> int:
    """The first instant after the gap in which ``local`` lies: where the offset changes, to the second."""
    tz = local.tzinfo
    before, after = _ms(local.replace(fold=1)) // 1000, _ms(local.replace(fold=0)) // 1000
    old = datetime.fromtimestamp(before, tz).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, tz).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after * 1000


# --- reading --------------------------------------------------------------------------------------------------------


def zone(name: str) -> ZoneInfo:
    """The IANA zone; ValueError in one sentence if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{name!r} is not a time zone: expected an IANA name such as Europe/Paris or UTC") from None


def duration_ms(text: str) -> int:
    """``90s``, ``15m``, ``4h``, ``7d``, ``1h30m`` in milliseconds; ValueError in one sentence."""
    compact = text.strip().lower()
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"{text!r} is not a duration: expected a number and s, m, h, d or w, such as 90s, 15m or 4h")
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhdw])", compact))


def parse(text: str, tz: str = "UTC") -> Schedule:
    """Read ``*/5 * * * *``, ``@daily``, ``every 15m``, ``every 7m + 2m3s`` or ``@every 1h``; ValueError in one sentence."""
    where = zone(tz)
    words = text.strip()
    lower = words.lower()
    every = re.fullmatch(r"@?every\s+(.+)", lower)
    if every:
        each, plus, beside = every.group(1).partition("+")
        period, phase = duration_ms(each), duration_ms(beside) if plus else 0
        if period < 1_000:
            raise ValueError(f"schedule {text!r} is shorter than one second")
        if period > 366 * 86_400_000:
            raise ValueError(f"schedule {text!r} is longer than a year")
        if phase >= period:
            raise ValueError(f"schedule {text!r} adds more than its period: expected less than {each.strip()} after +")
        return Interval(text=words, zone=tz, period=period, phase=phase)
    if lower.startswith("@"):
        if lower not in _ALIASES:
            raise ValueError(
                f"schedule {text!r} is not known: expected @hourly, @daily, @weekly, @monthly, @yearly or @every 15m"
            )
        lower = _ALIASES[lower]
    fields = lower.split()
    if len(fields) != 5:
        raise ValueError(
            f"schedule {text!r} has {len(fields)} field{'s' * (len(fields) != 1)}: "
            "expected five (minute hour day month weekday), @daily, or every 15m"
        )
    minutes = _ints(_items(fields[0], 0, 59, "minute", text))
    hours = _ints(_items(fields[1], 0, 23, "hour", text))
    days = _ints(_items(fields[2], 1, 31, "day", text))
    months = _ints(_items(fields[3], 1, 12, "month", text, _MONTHS))
    weekdays = _items(fields[4], 0, 7, "weekday", text, _DAYS)
    found = Cron(
        text=words,
        zone=tz,
        times=tuple(h * 60 + m for h in sorted(hours) for m in sorted(minutes)),
        hourly=len(hours) == 24,
        months=frozenset(months),
        days=frozenset(days),
        weekdays=frozenset(_sunday(d) for d in weekdays),
        # As Vixie cron: a day field that starts with a star narrows the other, two written ones add up.
        both=fields[2].startswith(("*", "?")) or fields[4].startswith(("*", "?")),
        tz=where,
    )
    # 2096-2104 holds the longest wait for a 29 February.
    if next(found._dates(date(2000, 1, 1)), None) is None:  # pyright: ignore[reportPrivateUsage]
        raise ValueError(f"schedule {text!r} never comes due: no such day exists in the months it names")
    return found


def _sunday(item: int | tuple[int, int]) -> int | tuple[int, int]:
    return (item[0] % 7, item[1]) if isinstance(item, tuple) else item % 7


def _ints(items: set[int | tuple[int, int]]) -> set[int]:
    return {i for i in items if isinstance(i, int)}


def _items(
    spec: str, low: int, high: int, name: str, text: str, names: dict[str, int] | None = None
) -> set[int | tuple[int, int]]:
    """One cron field as the set of its values."""

    def bad(why: str) -> ValueError:
        return ValueError(f"schedule {text!r}: {spec!r} is not a {name}: {why}")

    def number(part: str) -> int:
        if names and part in names:
            return names[part]
        if not (part.isascii() and part.isdigit()):
            raise bad(f"expected {low}-{high}" + (f" or {'/'.join(list(names)[:3])}…" if names else ""))
        value = int(part[:9])
        if not low <= value <= high:
            raise bad(f"{part[:9]} is outside {low}-{high}")
        return value

    found: set[int | tuple[int, int]] = set()
    for term in spec.split(","):
        body, slash, step_text = term.partition("/")
        if slash and not (step_text.isascii() and step_text.isdigit() and 0 < int(step_text[:9]) <= 10_000):
            raise bad("the step after '/' must be a number from 1 on")
        step = int(step_text[:9]) if slash else 1
        if body == "*" or (body == "?" and name in ("day", "weekday")):
            # 0-6 for weekdays: 7 is only another name of Sunday and would upset steps.
            found.update(range(low, (6 if name == "weekday" else high) + 1, step))
        elif name == "day" and body == "l" and not slash:
            found.add(_LAST)
        elif name == "weekday" and "#" in body and not slash:
            day, _, nth = body.partition("#")
            if nth not in ("1", "2", "3", "4", "5"):
                raise bad("after '#' stands which one of the month, 1 to 5")
            found.add((number(day), int(nth)))
        elif name == "weekday" and body.endswith("l") and len(body) > 1 and not slash:
            found.add((number(body[:-1]), _LAST))
        elif name == "weekday" and body.startswith("l") and len(body) > 1 and not slash:
            found.add((number(body[1:]), _LAST))  # as croniter writes it
        elif "-" in body:
            first_text, _, final_text = body.partition("-")
            first, final = number(first_text), number(final_text)
            if name == "weekday" and final < first:
                final += 7  # fri-sun, fri-mon
            if final < first:
                raise bad("the range ends before it begins")
            found.update(range(first, final + 1, step))
        else:
            value = number(body)
            found.update(range(value, high + 1, step) if slash else (value,))
    return found
