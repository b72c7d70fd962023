"""Going to a time in a log: what was typed, and which line that is. Times are as written in the log, whatever their zone."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, datetime
from typing import Final

from tui.log.index import BLOCK, Text
from tui.log.lines import date_of, written

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_DATE: Final = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:[T ]+(.+))?")
_SPAN: Final = re.compile(r"([+-])((?:\d+[dhms])+)")
_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
EXPECTED: Final = "expected 03:12, 03:12:08, 2026-11-20 03:12, -15m or +1h30m"
_PROBE: Final = 400
"""Lines of a block that are asked for their time."""


class NoTime(ValueError):
    """What was typed is no time, or there is none of that; one sentence."""


def _clock(text: str) -> int:
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        raise NoTime(f"{text.strip()!r} is no time: {EXPECTED}")
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise NoTime(f"{text.strip()!r} is no time of a day: {EXPECTED}")
    return (hour * 3600 + minute * 60 + second) * 1000


def near(text: Text, offset: int) -> tuple[int, tuple[int, int, int]]:
    """Time as written of the line at the offset, or of the next stamped one above or below; and its date. NoTime where no line has one."""
    blocks = text.blocks
    here = min(max(offset, 0), max(text.size - 1, 0)) // BLOCK
    for k in (*range(here, max(here - 4, -1), -1), *range(here + 1, min(here + 4, blocks))):
        starts = text.block(k).starts
        order = [at for at in reversed(starts) if at <= offset][:_PROBE] + [at for at in starts if at > offset][:_PROBE]
        for at in order:
            line = text.line(at, 256)
            day = date_of(line) or (1970, 1, 1)
            ms = written(line, day)
            if ms is not None:
                return ms, day
    raise NoTime("no line near here has a time stamp, so there is no time to go to")


def wanted(typed: str, text: Text, offset: int) -> int:
    """Time that was meant, ms as written. A clock is of the day of the line at ``offset``; ``-15m`` counts from it."""
    typed = typed.strip()
    ms, day = near(text, offset)
    span = _SPAN.fullmatch(typed.replace(" ", ""))
    if span:
        length = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([dhms])", span[2]))
        return ms + (length if span[1] == "+" else -length)
    date = _DATE.fullmatch(typed)
    if date:
        try:
            midnight = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=UTC)
        except ValueError:
            raise NoTime(f"{typed!r} is no date: {EXPECTED}") from None
        return int(midnight.timestamp() * 1000) + (_clock(date[4]) if date[4] else 0)
    clock = _clock(typed)
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000) + clock


def line_at(text: Text, ms: int) -> int | None:
    """Offset of the first line that is not before that time; None where all are. Times are taken to go up in the log."""
    low, high = 0, text.blocks
    while low < high:  # the first block whose first time is not before it
        middle = (low + high) // 2
        first = _first(text, middle, high)
        if first is not None and first < ms:
            low = middle + 1
        else:
            high = middle
    for k in range(max(low - 1, 0), min(low + 2, text.blocks)):
        starts = text.block(k).starts
        times = [(at, t) for at in starts if (t := _time(text, at)) is not None]
        if times and times[-1][1] >= ms:
            order = [t for _, t in times]
            i = bisect_left(order, ms) if order == sorted(order) else next(i for i, t in enumerate(order) if t >= ms)
            return times[i][0]
    return None


def _first(text: Text, k: int, high: int) -> int | None:
    for block in range(k, min(k + 3, high)):
        for at in text.block(block).starts[:_PROBE]:
            found = _time(text, at)
            if found is not None:
                return found
    return None


def _time(text: Text, at: int) -> int | None:
    line = text.line(at, 256)
    return written(line, date_of(line) or (1970, 1, 1))
