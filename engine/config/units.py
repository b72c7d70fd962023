"""Durations, sizes, times of day, days, rates, selectors and severities as they are written. Each parser raises
``ValueError`` with what was expected; the caller adds file, line and key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from adapters.model import SEVERITY_WORDS, Severity

_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_MAX_MS = 100 * 366 * 86_400_000
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|[KMGT]i?B)", re.ASCII)
_BYTES = (
    {"B": 1}
    | {f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)}
    | {f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)}
)
_RATE = re.compile(r"(\d+) ?/ ?(s|sec|min|m|h|hour)", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SELECTOR_WORDS = ("app", "layer", "tag", "env", "src")
THING_WORDS = ("feed", "ping", "set", "series", "asset")
"""Sources that are not configured: keys of what is owed by no pipeline begin with them."""

DURATION = 'a duration like "90s", "15m", "4h" or "7d"'
SIZE = 'a size like "512MiB" or "8GiB"'
RATE = 'a rate like "60/min"'
CLOCK = 'a time of day like "06:00"'
ZONE = 'a time zone like "Europe/Paris"'
DAYS_WORDS = 'days like "mon-fri", "mon,wed" or "daily"'
HOURS = 'hours like "09:00-18:00"'
MOMENT = 'a time like "04:00" or "sun 02:00"'
SELECTOR = "a selector: source:pipeline (with * and ?), app:…, layer:…, tag:…, env:…, src:… or *"
SEVERITY_TEST = 'a severity, alone or with >=, like ">=medium"'


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day, on one weekday (0 = Monday) or on every day (None). ``minute`` counts from midnight, wall time."""

    minute: int
    day: int | None = None


class SeverityTest(NamedTuple):
    """``>=medium``: medium or worse. Severity numbers fall as they worsen: hidden here. Unpacks as (op, severity)."""

    op: str
    severity: Severity

    def takes(self, severity: Severity) -> bool:
        worse = int(self.severity) - int(severity)  # > 0: worse than the bound
        return {"=": worse == 0, ">=": worse >= 0, "<=": worse <= 0, ">": worse > 0, "<": worse < 0}[self.op]


def duration(text: str) -> int:
    """Milliseconds of ``90s 15m 4h 26h 7d 1h30m``."""
    if not _DURATION.fullmatch(text):
        raise ValueError(DURATION)
    total = round(sum(float(n) * _MS[unit] for n, unit in _PART.findall(text)))
    if total > _MAX_MS:
        raise ValueError("a duration below 100 years")
    return total


def size(text: str) -> int:
    """Bytes of ``8GiB`` (1024) or ``8GB`` (1000)."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(SIZE)
    return round(float(found[1]) * _BYTES[found[2]])


def rate(text: str) -> int:
    """Requests a minute of ``60/min``, ``2/s``, ``600/h`` (rounded down, at least 1)."""
    found = _RATE.fullmatch(text)
    if not found or int(found[1]) == 0:
        raise ValueError(RATE)
    n = int(found[1])
    return max(1, n * 60 if found[2][0] == "s" else n // 60 if found[2][0] == "h" else n)


def clock(text: str) -> int:
    """Minutes since midnight of ``06:00``."""
    found = _CLOCK.fullmatch(text)
    if not found:
        raise ValueError(CLOCK)
    return int(found[1]) * 60 + int(found[2])


def hours(text: str) -> tuple[int, int]:
    """Minutes since midnight of ``09:00-18:00``. ``24:00`` may end it; an end before its begin is the next date's."""
    first, _, last = text.partition("-")
    try:
        begin, end = clock(first.strip()), 1440 if last.strip() == "24:00" else clock(last.strip())
    except ValueError:
        raise ValueError(HOURS) from None
    if begin == end:
        raise ValueError(f'{HOURS}; the whole day is "00:00-24:00"')
    return begin, end


def moment(text: str) -> Moment:
    day, _, time = text.rpartition(" ")
    try:
        if day and day not in DAYS:
            raise ValueError
        return Moment(clock(time), DAYS.index(day) if day else None)
    except ValueError:
        raise ValueError(MOMENT) from None


def days(text: str) -> frozenset[int]:
    """Weekdays (0 = Monday) of ``mon-fri``, ``sat,sun``, ``fri-mon``, ``daily``."""
    if text == "daily":
        return frozenset(range(7))
    out: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(DAYS_WORDS)
        a = DAYS.index(first)
        b = DAYS.index(last) if dash else a
        out.update((a + n) % 7 for n in range((b - a) % 7 + 1))
    return frozenset(out)


def zone(text: str) -> str:
    """The name itself, if this machine knows the zone."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # not found; absolute or odd path; a directory of the zone database
        zones = available_timezones()
        city = [name for name in sorted(zones) if name.rpartition("/")[2].casefold() == text.casefold()]
        close = city[0] if city else nearest(text, zones, 0.8)
        raise ValueError(f'{ZONE}; did you mean "{close}"?' if close else ZONE) from None
    return text


def severity(text: str) -> Severity:
    if text not in SEVERITY_WORDS:
        raise ValueError("one of critical, high, medium, low, info")
    return SEVERITY_WORDS[text]


def severity_test(text: str) -> SeverityTest:
    """``>=medium``; a bare word means exactly that severity."""
    found = re.fullmatch(r"(>=|<=|=|>|<)? ?([a-z]+)", text)
    if not found or found[2] not in SEVERITY_WORDS:
        raise ValueError(SEVERITY_TEST)
    return SeverityTest(found[1] or "=", SEVERITY_WORDS[found[2]])


def selector(text: str) -> str:
    """The text itself, if it can match something."""
    head, colon, rest = text.partition(":")
    if text != "*" and not (colon and head and rest) and not ("*" in text and not colon):
        raise ValueError(SELECTOR)
    return text


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The one known word that was probably meant."""
    names = list(known)
    found = difflib.get_close_matches(word, names, 1, likeness)
    if found:
        return found[0]
    folded = {name.casefold(): name for name in names}
    return folded.get(word.casefold())
