"""Times, ages, counts and sizes as words, and sentences that fit.

One spelling each: durations ``48s 4m 02s 31m 1h 52m 6d 4h``, lateness signed (``+14m`` late), clocks by the reader's
zone,
ages in buckets so that a calm screen is not repainted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from tui.present.cut import cut, width

if TYPE_CHECKING:
    from tui.view import Span

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# --- durations ------------------------------------------------------------------------------------------------------


def duration(ms: int | None) -> str:
    """``48s``, ``4m 02s`` (seconds only under ten minutes), ``31m``, ``1h 52m``, ``6d 4h``; ``?`` where it is not
    known.
    """
    if ms is None:
        return "?"
    ms = max(ms, 0)
    if ms < SECOND:
        return "<1s"
    if ms < MINUTE:
        return f"{ms // SECOND}s"
    if ms < 10 * MINUTE:
        return f"{ms // MINUTE}m {ms % MINUTE // SECOND:02d}s"
    return _minutes(ms // MINUTE)


def _minutes(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60}h"


def running(ms: int | None) -> str:
    """A duration that still grows: whole minutes, so that it repaints once a minute."""
    if ms is None:
        return "?"
    return "<1m" if ms < MINUTE else _minutes(ms // MINUTE)


def rough(ms: int | None) -> str:
    """What is usual: ``14s``, ``7m``, ``1h 05m``, rounded."""
    if ms is None:
        return "?"
    if ms < MINUTE:
        seconds = round(ms / SECOND)
        return "<1s" if ms < SECOND else f"{seconds}s" if seconds < 60 else "1m"
    return _minutes(round(ms / MINUTE))


def lateness(ms: int | None) -> str:
    """Signed against due: ``+14m`` late, ``-8m`` early; under a minute ``+0m``."""
    if ms is None:
        return "?"
    return ("-" if ms < 0 else "+") + _minutes(abs(ms) // MINUTE)


def times(ratio: float) -> str:
    """``2.7×``."""
    return f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"


_AGES: Final = (4, 8, 15, 30)


def age(ms: int | None) -> str:
    """How old at most, in buckets: ``4s 8s 15s 30s 1m 2m … 21m 3h 2d``; ``?`` where it was never seen."""
    if ms is None:
        return "?"
    for bucket in _AGES:
        if ms <= bucket * SECOND:
            return f"{bucket}s"
    if ms < HOUR:
        return f"{max(1, ms // MINUTE)}m"
    return f"{ms // HOUR}h" if ms < 2 * DAY else f"{ms // DAY}d"


# --- clocks ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def zone(name: str) -> tzinfo:
    """The zone of that IANA name; UTC where there is none of that name."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def zone_word(name: str) -> str:
    """``Europe/Paris`` → ``Paris``."""
    return name.rpartition("/")[2].replace("_", " ") if zone(name) is not UTC else "UTC"


@lru_cache(maxsize=4096)
def _local(ms: int, name: str) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, zone(name))
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def clock(ms: int | None, tz: str, now: int) -> str:
    """``06:14`` on the day of ``now``, ``Sat 02:45`` within six days, else ``27 Nov``; ``?`` where it is not known."""
    if ms is None:
        return "?"
    when, today = _local(ms // MINUTE * MINUTE, tz), _local(now // MINUTE * MINUTE, tz)
    days = abs((when.date() - today.date()).days)
    if days == 0:
        return f"{when:%H:%M}"
    if days <= 6:
        return f"{_WEEKDAYS[when.weekday()]} {when:%H:%M}"
    return day(ms, tz) if when.year == today.year else f"{when:%Y-%m-%d}"


def clock_short(ms: int | None, tz: str, now: int) -> str:
    """At most six cells: ``03:30`` within 24 hours, else ``27 Nov``."""
    if ms is None:
        return "?"
    return hhmm(ms, tz) if abs(ms - now) < DAY else day(ms, tz)


def hhmm(ms: int, tz: str) -> str:
    return f"{_local(ms // MINUTE * MINUTE, tz):%H:%M}"


def exists(ms: int, wall: str, tz: str) -> bool:
    """Whether the clock of ``tz`` showed ``wall`` ("02:30") on the date of ``ms``: in spring it skips an hour."""
    hour, minute = int(wall[:2]) % 24, int(wall[3:])
    there = _local(ms, tz).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return there.astimezone(UTC).astimezone(there.tzinfo).strftime("%H:%M") == f"{hour:02}:{minute:02}"


def day_clock(ms: int, tz: str, now: int) -> str:
    """A due time in at most nine cells: ``06:00``; with its day when it is more than twelve hours ahead (``Sun 15:36``): else it
    reads as one of today that is over; ``27 Nov`` from a day on."""
    return clock(ms, tz, now) if HOUR * 12 < ms - now < DAY else clock_short(ms, tz, now)


def hhmmss(ms: int, tz: str) -> str:
    return f"{_local(ms // SECOND * SECOND, tz):%H:%M:%S}"


def day(ms: int, tz: str) -> str:
    """``27 Nov``."""
    when = _local(ms // MINUTE * MINUTE, tz)
    return f"{when.day} {_MONTHS[when.month - 1]}"


def weekday(ms: int, tz: str) -> str:
    """``Fri 20 Nov``."""
    return f"{_WEEKDAYS[_local(ms // MINUTE * MINUTE, tz).weekday()]} {day(ms, tz)}"


def stamp(ms: int | None, tz: str) -> str:
    """``2026-11-20 05:52:07``, for a detail that must be exact."""
    return "?" if ms is None else f"{_local(ms // SECOND * SECOND, tz):%Y-%m-%d %H:%M:%S}"


# --- counts and sizes -----------------------------------------------------------------------------------------------


def count(n: int | None) -> str:
    """``48,310``."""
    return "?" if n is None else f"{n:,}"


def many(n: int, one: str, more: str | None = None) -> str:
    """``1 source``, ``4 sources``."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def size(n: float | None) -> str:
    """``312 B``, ``1.2 MB`` (powers of 1000)."""
    if n is None:
        return "n/a"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(n) < 999.5 or unit == "TB":
            return f"{n:.0f} {unit}" if unit == "B" or abs(n) >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    return "n/a"


def percent(share: float | None) -> str:
    """``41%`` of a share between 0 and 1; ``n/a`` where there is no sensor."""
    return "n/a" if share is None else f"{share * 100:.0f}%"


# --- sentences ------------------------------------------------------------------------------------------------------

Clause = str | Sequence[tuple[str, str]]
"""One thing said: plain words, or spans with their own styles."""


def clause_text(clause: Clause) -> str:
    return clause if isinstance(clause, str) else "".join(text for text, _ in clause)


def sentence(clauses: Sequence[Clause], cells: int, style: str = "text", rest: str = "dim") -> list[Span]:
    """Clauses by weight joined by `` · ``: whole clauses while they fit; only the first may be cut with ``…``.

    Plain clauses take ``style`` (the first) or ``rest`` (the others); clauses of spans keep their own styles.
    """
    out: list[Span] = []
    used = 0
    for clause in clauses:
        text = clause_text(clause)
        if not text:
            continue
        n = width(text)
        if not out:
            if n > cells:
                return [(cut(text, cells), style)]
            out.extend([(clause, style)] if isinstance(clause, str) else clause)
            used = n
            continue
        if used + 3 + n > cells:
            continue
        out.append((" · ", rest))
        out.extend([(clause, rest)] if isinstance(clause, str) else clause)
        used += 3 + n
    return out


def plain(clauses: Sequence[Clause]) -> str:
    """The whole sentence as text, for JSON."""
    return " · ".join(t for t in map(clause_text, clauses) if t)
