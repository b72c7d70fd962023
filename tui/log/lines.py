"""What a line of a log says about itself: its time stamp, its level, and whether it belongs to the entry above. Bytes in, no files.

An entry is a line with a time stamp or a level of its own and the lines below it that have neither: a stack trace is
one entry. Under a stamped entry, and where lines are indented, only something worse than the entry itself begins
another one: a ``Traceback`` below an INFO line is an error, the ``ValueError`` that ends it is the same one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

NONE: Final = 0
ERROR: Final = 1
WARN: Final = 2
DEBUG: Final = 3
INFO: Final = 4

LEVEL: Final = 7
"""Bits of a line's state that are its level."""
STAMPED: Final = 8
"""The entry that the line belongs to has a time stamp (or follows one that has)."""
DENT: Final = 16
"""The line is indented."""
HEAD: Final = 32
"""The line begins an entry."""

AREA: Final = 200
"""Bytes of a line in which its level is looked for."""

Data = bytes | bytearray

_MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
STAMP: Final = re.compile(
    rb"[\x80-\xbf]?"  # the mark of a member in a merged log
    rb'(?:\[|\(|\{"(?:ts|time|timestamp|@timestamp|asctime)": ?"|(?:ts|time|timestamp)="?)?'
    rb"(?:(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ]|, )|(\d\d)/(\d\d)/(\d\d) |(" + b"|".join(_MONTHS) + rb") ([ \d]\d) )?"
    rb"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|[+-]\d\d:?\d\d)\b)?[\])\"]?"
)
"""A time stamp at the beginning of a line: ISO, syslog, Spark's yy/mm/dd, a bare clock; in brackets, JSON or logfmt too."""

_WORDS: Final = (
    rb"(?:(ERROR|CRITICAL|FATAL|SEVERE|PANIC)|(WARNING|WARN)|(DEBUG|TRACE|VERBOSE)|(INFORMATION|INFO|NOTICE))"
)
_AFTER_STAMP: Final = re.compile(rb"[\s\-|:.,\[(<]{0,6}(?i:" + _WORDS + rb")(?=[\])>:,|\s-]|$)")
_AT_START: Final = re.compile(
    rb"[\[(<]?(?:" + _WORDS + rb"(?=[\])>:,|\s-]|$)|(?i:" + _WORDS + rb")(?=[\])>]?:|[\])>]))"
)
_NAMED: Final = rb'(?i:level|lvl|severity)"?[ ]?[=:][ ]?"?(?i:'
_ANYWHERE: Final = re.compile(
    rb"(\b(?:ERROR|CRITICAL|FATAL|SEVERE|PANIC)\b|Traceback|Exception\b|Error\b|\bORA-\d{5}|"
    + _NAMED + rb"error|critical|fatal|severe|panic)\b)"
    rb"|(\bWARN(?:ING)?\b|" + _NAMED + rb"warning|warn)\b)"
    rb"|(\b(?:DEBUG|TRACE)\b|" + _NAMED + rb"debug|trace)\b)"
    rb"|(\b(?:INFO|NOTICE)\b|" + _NAMED + rb"info|notice)\b)"
)  # fmt: skip
LOUD: Final = (b"error", b"warn", b"critical", b"fatal", b"severe", b"panic", b"traceback", b"exception", b"ora-")
"""An entry of level ERROR or WARN begins with a line that holds one of these, whatever its case."""
QUIET: Final = (b"debug", b"trace", b"verbose")
"""The same of DEBUG."""
_TAIL: Final = re.compile(rb"[\])>]?[:\s]?\s*")


def _own(data: Data, start: int, end: int, after: int) -> tuple[int, bool]:
    """Level that a line claims for itself, and whether it does so by a level word in its place. ``after``: end of its stamp."""
    place = _AFTER_STAMP.match(data, after, end) if after > start else _AT_START.match(data, start, end)
    if place:
        return ((place.lastindex or 1) - 1) % 4 + 1, True
    found = _ANYWHERE.search(data, after, end)
    return (found.lastindex or NONE, False) if found else (NONE, False)


def step(state: int, data: Data, start: int, end: int) -> int:
    """State of the line ``data[start:end]`` under a line of ``state`` (0: nothing above)."""
    stop = min(end, start + AREA)
    stamp = STAMP.match(data, start, stop)
    if stamp:
        return _own(data, start, stop, stamp.end())[0] | STAMPED | HEAD
    if start < end and 0x80 <= data[start] < 0xC0:  # a merged log's mark; no text begins so
        start += 1
    level, in_place = _own(data, start, stop, start)
    if in_place:
        return level | (state & STAMPED) | HEAD
    dent = DENT if start < end and data[start] in b" \t" else 0
    above = state & LEVEL
    under = state & STAMPED or dent or (state & DENT and level == ERROR == above)
    if not under:
        return level | HEAD
    if (level == ERROR and above != ERROR) or (level == WARN and above not in (ERROR, WARN)):
        return level | (state & STAMPED) | dent | HEAD
    return above | (state & STAMPED) | dent


def before(data: Data, to: int, at: int, state: int) -> int:
    """State of the line above the one at ``to``. Known: ``state`` is that of the line above the one at ``at`` (≤ ``to``).

    Only lines back to the nearest stamped one are read: a stamp owes nothing to what stands above it.
    """
    if at >= to:
        return state
    begin = to
    while begin > at:
        begin = data.rfind(b"\n", at, begin - 1) + 1 or at
        if STAMP.match(data, begin, min(to, begin + AREA)):
            break
    while begin < to:
        end = data.find(b"\n", begin, to)
        if end < 0:
            end = to
        state = step(state, data, begin, end)
        begin = end + 1
    return state


def heads(
    data: Data, start: int, end: int, state: int, hints: tuple[bytes, ...], *, last: bool = False
) -> tuple[list[tuple[int, int]], int]:
    """Entries in whole lines ``data[start:end]`` under a line of ``state``, as (place, level); with ``last`` the last line's state.

    The same as ``step`` line by line, but only lines with one of the hints are read: entries of other levels may be missing.
    """
    low = bytes(data[start:end]).lower()
    found: set[int] = set()
    for hint in hints:
        at = low.find(hint)
        while at >= 0:
            line = low.rfind(b"\n", 0, at) + 1
            if at - line < AREA:
                found.add(line + start)
            rest = low.find(b"\n", at)
            at = low.find(hint, rest) if rest >= 0 else -1
    out: list[tuple[int, int]] = []
    at = start
    for line in sorted(found):
        stop = data.find(b"\n", line, end)
        if stop < 0:
            stop = end
        if not STAMP.match(data, line, min(stop, line + AREA)):
            state = before(data, line, at, state)
        state = step(state, data, line, stop)
        at = stop + 1
        if state & HEAD:
            out.append((line, state & LEVEL))
    return out, before(data, end, at, state) if last and at < end else state


def census(data: Data, start: int, end: int, state: int) -> tuple[list[int], list[int], int]:
    """Where errors begin, where warnings begin, the last line's state: see ``heads``."""
    found, state = heads(data, start, end, state, LOUD, last=True)
    return [at for at, level in found if level == ERROR], [at for at, level in found if level == WARN], state


@dataclass(frozen=True, slots=True)
class Parts:
    """A line taken apart: clock as written (``03:12:08``, empty where it has none), level word in its place, the rest as bytes."""

    clock: str
    word: str
    rest: bytes


def parts(line: bytes) -> Parts:
    """Time stamp and level of a line, if it begins with them. What is left keeps its indentation where nothing was taken."""
    clock = word = ""
    at = 0
    stamp = STAMP.match(line, 0, AREA)
    if stamp:
        if line[:1] == b"{":  # JSON: a line is one object, to be read as it stands
            return Parts(b":".join(stamp.group(9, 10, 11)).decode(), "", line)
        clock = b":".join(stamp.group(9, 10, 11)).decode()
        at = stamp.end()
    place = _AFTER_STAMP.match(line, at, AREA) if at else _AT_START.match(line, 0, AREA)
    if place:
        word = (place.group(place.lastindex or 0)).decode().upper()
        at = place.end()
    if at:
        tail = _TAIL.match(line, at)
        at = tail.end() if tail else at
        if not place and line[at : at + 2] in (b"- ", b"| "):
            at += 2
    return Parts(clock, "WARN" if word == "WARNING" else word, line[at:])


def when(line: Data, zone: tzinfo = UTC, day: tuple[int, int, int] | None = None) -> int | None:
    """Time of a line, ms UTC; None where it has no stamp, or one without a date and no ``day`` (year, month, day) is given.

    A stamp without an offset is of ``zone``.
    """
    stamp = STAMP.match(line, 0, AREA)
    if not stamp:
        return None
    y, mo, d, yy, ymo, yd, name, nd, h, mi, s, fraction, offset = stamp.groups()
    try:
        if y:
            date = int(y), int(mo), int(d)
        elif yy:
            date = 2000 + int(yy), int(ymo), int(yd)
        elif name:
            date = (day[0] if day else datetime.now(zone).year), _MONTHS.index(name) + 1, int(nd)
        elif day:
            date = day
        else:
            return None
        micro = int(fraction[:6].ljust(6, b"0")) if fraction else 0
        found = datetime(*date, int(h), int(mi), min(int(s), 59), micro, tzinfo=_zone(offset) or zone)
        return int(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def written(line: Data, day: tuple[int, int, int] = (1970, 1, 1)) -> int | None:
    """Time of a line as it is written, in ms as if it were UTC: for going to a time that is read on the screen."""
    stamp = STAMP.match(line, 0, AREA)
    if not stamp:
        return None
    cut = stamp.start(13)
    return when(line if cut < 0 else bytes(line[:cut]), UTC, day)


def date_of(line: Data) -> tuple[int, int, int] | None:
    """Year, month and day as written in the stamp; None where it has none, or only a clock."""
    stamp = STAMP.match(line, 0, AREA)
    if stamp and stamp.group(1):
        return int(stamp.group(1)), int(stamp.group(2)), int(stamp.group(3))
    if stamp and stamp.group(4):
        return 2000 + int(stamp.group(4)), int(stamp.group(5)), int(stamp.group(6))
    return None


def _zone(offset: bytes | None) -> tzinfo | None:
    if not offset:
        return None
    if offset in (b"Z", b"UTC"):
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=minutes if offset[:1] == b"+" else -minutes))
