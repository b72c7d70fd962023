"""Quartz cron, as Databricks writes schedules, in the five fields that the rest of us reckon with. Pure."""

from __future__ import annotations

import re
from typing import Final

from adapters.schedule import parse

_DAY: Final = re.compile(r"([1-7])(?![0-9])")


def cron_of(text: str) -> str:
    """``0 30 7 ? * MON-FRI`` as ``30 7 ? * MON-FRI``; what five fields cannot say stays as it is written.

    Seconds are dropped: a run is at most a minute later than is reckoned. Quartz counts weekdays from Sunday = 1, cron from
    Sunday = 0, so numbers are shifted. A year, ``W``, ``L-3`` or seconds that are not one number are left as they are.
    """
    fields = text.split()
    if len(fields) not in (6, 7) or not fields[0].isdigit() or (len(fields) == 7 and fields[6] != "*"):
        return text
    _, minute, hour, day, month, weekday = fields[:6]
    weekday = _weekday(weekday)
    if weekday is None:
        return text
    found = f"{minute} {hour} {day} {month} {weekday}"
    try:
        parse(found)
    except ValueError:
        return text
    return found


def _weekday(text: str) -> str | None:
    """The weekday field with Sunday = 0; None where it cannot be written so."""
    if text.upper() == "L":
        return "6"
    terms: list[str] = []
    for term in text.split(","):
        body, slash, step = term.partition("/")
        if slash and body not in ("*", "?"):
            first, _, last = body.partition("-")
            if not (first.isdigit() and (not last or last.isdigit()) and step.isdigit() and int(step) > 0):
                return None
            terms += [str(day - 1) for day in range(int(first), int(last or 7) + 1, int(step))]
            continue
        stem, sharp, nth = body.partition("#")
        shifted = _DAY.sub(lambda found: str(int(found[1]) - 1), stem)
        terms.append(shifted + sharp + nth + (f"/{step}" if slash else ""))
    return ",".join(terms)
