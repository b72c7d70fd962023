"""Schedules of tasks and plans, as a cron line where one says exactly the same, else in words. Pure.

The console's schedules count in days, weeks or months from a start date; a cron line has no such count, so only every
day, every week and every month become one. A time of its own is left in words rather than read wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from adapters.model import Trigger

_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TIME: Final = re.compile(r"(\d{1,2}):(\d\d)")
_UNITS: Final = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month"}


class AtTimes(msgspec.Struct):
    type: str | None = None
    times: list[str] | None = None
    time: str | None = None
    startTime: str | None = None
    endTime: str | None = None
    interval: int | None = None


class AtDays(msgspec.Struct):
    type: str | None = None
    day: Any = None
    days: list[str] | None = None


class TriggerBody(msgspec.Struct):
    """Of a task's or plan's ``run-config``, and one of the ``triggers`` of a schedule."""

    type: str | None = None
    interval: int | None = None
    startDate: str | None = None
    timeZone: str | None = None
    atTimes: AtTimes | None = None
    atDays: AtDays | None = None
    cronExpression: str | None = None


class RunConfig(msgspec.Struct):
    trigger: TriggerBody | None = None
    parallelExecutionAllowed: bool | None = None
    timeout: int | None = None


class ScheduleBody(msgspec.Struct):
    """``executableId``: the task or plan that it starts; empty where it starts nothing."""

    id: str
    executableId: str | None = None
    executableType: str | None = None
    triggers: list[TriggerBody] | None = None


class Triggers(msgspec.Struct):
    """Of one task's or plan's own schedule."""

    triggers: list[TriggerBody] | None = None


class Schedules(msgspec.Struct):
    items: list[ScheduleBody]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class When:
    """What starts a task or plan: for ``Pipeline.trigger``, ``schedule`` and ``timezone``."""

    trigger: Trigger
    schedule: str | None = None
    timezone: str | None = None


def when(triggers: Sequence[TriggerBody], now: int | None) -> When:
    """Of all its triggers together. ``now``: ms UTC, to tell one that only begins later."""
    if not triggers:
        return When(Trigger.MANUAL)
    if len(triggers) == 1:
        return _one(triggers[0], now)
    each = [_one(t, now) for t in triggers]
    zones = {w.timezone for w in each}
    words = " + ".join(w.schedule or "?" for w in each)
    return When(each[0].trigger, f"{words} (several)", zones.pop() if len(zones) == 1 else None)


def _one(body: TriggerBody, now: int | None) -> When:
    kind = (body.type or "").upper()
    zone = body.timeZone or None
    if kind == "MANUAL":
        return When(Trigger.MANUAL)
    if kind == "WEBHOOK":
        return When(Trigger.EVENT, "webhook")
    if kind == "ONCE":
        return When(Trigger.MANUAL, f"once, {body.startDate or '?'} {_times_words(body.atTimes)}".rstrip(), zone)
    if kind == "CRON" and body.cronExpression:
        return When(Trigger.CRON, _later(quartz(body.cronExpression), body, now), zone)
    if kind in _UNITS:
        cron = _cron(kind, body) if (body.interval or 1) == 1 else None
        return When(Trigger.CRON, _later(cron or _words(kind, body), body, now), zone)
    return When(Trigger.UNKNOWN, body.type or None, zone)


def _later(text: str, body: TriggerBody, now: int | None) -> str:
    """One that begins only later has its date with it, and so is no cron line that anybody waits for."""
    try:
        begins = datetime.fromisoformat(body.startDate or "").replace(tzinfo=UTC).timestamp() * 1000
    except ValueError:
        return text
    return f"{text} from {body.startDate}" if now is not None and begins > now + 86_400_000 else text


def _cron(kind: str, body: TriggerBody) -> str | None:
    times = _times(body.atTimes)
    if not times:
        return None
    minutes, hours = {m for _, m in times}, {h for h, _ in times}
    if len(minutes) != 1 and len(hours) != 1:
        return None  # 10:00 and 12:30: no one line says that
    head = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))}"
    days = body.atDays
    if kind == "DAILY":
        return f"{head} * * *"
    if kind == "WEEKLY" and days is not None and days.days:
        names = [d[:3].lower() for d in days.days]
        return f"{head} * * {','.join(names)}" if all(n.upper() in _DAYS for n in names) else None
    if kind == "MONTHLY" and days is not None and isinstance(days.day, (int, float)) and 1 <= int(days.day) <= 31:
        return f"{head} {int(days.day)} * *"
    return None


def _times(at: AtTimes | None) -> list[tuple[int, int]]:
    if at is None or at.type == "AT_INTERVALS":
        return []
    texts = at.times if at.type == "AT_SPECIFIC_TIMES" else [at.time]
    found = [_TIME.fullmatch(t.strip()) for t in texts or [] if t]
    return [(int(m[1]), int(m[2])) for m in found if m] if all(found) else []


def _words(kind: str, body: TriggerBody) -> str:
    unit, n = _UNITS[kind], body.interval or 1
    parts = [f"each {unit}" if n == 1 else f"each {n} {unit}s"]
    if body.atDays is not None and body.atDays.days:
        parts.append("on " + ", ".join(d.capitalize() for d in body.atDays.days))
    elif body.atDays is not None and body.atDays.day is not None:
        parts.append(f"on day {body.atDays.day}")
    return " ".join([*parts, _times_words(body.atTimes)]).rstrip()


def _times_words(at: AtTimes | None) -> str:
    if at is None:
        return ""
    if at.type == "AT_INTERVALS":
        return f"every {at.interval}m from {at.startTime} to {at.endTime}"
    times = at.times if at.type == "AT_SPECIFIC_TIMES" else [at.time or ""]
    said = ", ".join(t for t in times or [] if t)
    return f"at {said}" if said else ""


def quartz(text: str) -> str:
    """A Quartz expression without seconds (minute hour day month weekday, perhaps a year) as a cron line.

    Quartz counts weekdays from 1 = Sunday, cron from 0: they become names. What cron cannot say (``W``, a year) stays as
    it is, which nobody will take for a cron line.
    """
    fields = text.split()
    if len(fields) == 6 and fields[5] == "*":
        fields = fields[:5]
    if len(fields) != 5 or "W" in fields[2].upper():
        return text
    week = ",".join(_weekday(term) for term in fields[4].split(","))
    return " ".join([*("*" if f == "?" else f for f in fields[:4]), "*" if week == "?" else week])


def _weekday(term: str) -> str:
    body, mark, rest = term.partition("#") if "#" in term else term.partition("/")
    last = body[-1:] in "lL" and len(body) > 1
    body = body[:-1] if last else body
    named = "-".join(
        _DAYS[(int(d) - 1) % 7].lower() if d.isdigit() and 1 <= int(d) <= 7 else d for d in body.split("-")
    )
    return f"{named}{'l' if last else ''}{mark}{rest}"
