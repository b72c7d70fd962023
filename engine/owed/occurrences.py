"""What is owed: promises, and the occurrences that a calendar or a schedule opens for them.

Pure: no clock, no store. Instants are ms UTC. A due time is reckoned once, in its zone, when the occurrence opens, and
then stands in UTC. Which run belongs to which occurrence: ``engine.owed.matching``; what became of it: ``engine.owed.verdict``.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from adapters.model import Owed
from adapters.schedule import Cron, Schedule
from adapters.schedule import zone as zone_of
from engine.config import model
from engine.owed.calendar import (
    DAILY,
    DAY_MS,
    MINUTE,
    ONE_DAY,
    BusinessCalendar,
    Days,
    gap_after,
    instant,
    local_date,
    plain,
    skipped,
)
from engine.owed.windows import Window, effect

EARLIEST_MS: Final = 300_000
_EARLY_SHARE: Final = 10
_SILENT_DAYS: Final = 800
_LOOK_BACK_DAYS: Final = 31
_RULE: Final = re.compile(r"(start|logical|interval_end|param:\S+)(?:\s*([+-])\s*(\d{1,3})\s*d)?")
OPENED: Final = ("start_by", "finish_by", "completeness", "source_arrival", "sequence", "heartbeat", "freshness")
"""Types that a calendar or a schedule opens; the others are judged per run or rolling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One expectation of one thing. ``on``: the key of its pipeline (or source, or name of its heartbeat).

    Due by the clock (``due``, minutes since midnight in ``zone``) or ``due_after_ms`` after a tick of ``schedule``;
    ``start_by`` and ``heartbeat`` without either: ``grace_ms`` after a tick. ``days`` and ``calendar`` are asked for the
    local date of the due time (by the clock) or of the tick. ``business_date``: the rule ``start``, ``start - 1d``,
    ``logical``, ``interval_end`` or ``param:NAME``, read in ``date_zone`` (default: ``zone``). ``logical_before``: the
    logical date is that of the tick before (Airflow's data intervals). ``margin_ms``: of a source, after ``due``.
    """

    id: str
    type: str
    on: str
    zone: str = "UTC"
    due: int | None = None
    due_after_ms: int | None = None
    schedule: Schedule | None = field(default=None, compare=False)
    days: Days = DAILY
    calendar: BusinessCalendar | None = field(default=None, compare=False)
    business_date: str = "start"
    date_zone: str | None = None
    logical_before: bool = False
    grace_ms: int = 600_000
    margin_ms: int = 0
    late_by_ms: int = 0
    max_age_ms: int | None = None
    warning_counts: bool = True
    members: tuple[str, ...] = ()
    upstream: str | None = None
    windows: tuple[Window, ...] = ()


def promise(
    expectation: model.Expectation,
    on: str,
    *,
    schedule: Schedule | None = None,
    calendar: BusinessCalendar | None = None,
    days: Days | None = None,
    business_date: str | None = None,
    date_zone: str | None = None,
    logical_before: bool = False,
    margin_ms: int = 0,
    members: tuple[str, ...] = (),
    upstream: str | None = None,
    windows: tuple[Window, ...] = (),
) -> Promise:
    """An ``[[expectation]]`` bound to one thing that its selector matches."""
    return Promise(
        id=expectation.id,
        type=expectation.type,
        on=on,
        zone=expectation.timezone,
        due=expectation.by if expectation.type == "freshness" else expectation.due,
        due_after_ms=expectation.due_after_schedule_ms,
        schedule=schedule,
        days=days or expectation.days,
        calendar=calendar,
        business_date=business_date or "start",
        date_zone=date_zone,
        logical_before=logical_before,
        grace_ms=expectation.start_grace_ms,
        margin_ms=margin_ms or expectation.margin_ms,
        late_by_ms=expectation.alert_if_late_by_ms,
        warning_counts=expectation.warning_counts,
        max_age_ms=expectation.max_age_ms,
        members=members,
        upstream=upstream,
        windows=windows,
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why we think so: ``what`` (run, upstream, arrival, beat, waiver), which one, and the time that counted."""

    what: str
    key: str
    at: int | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One thing owed once. Everything down to ``why_opened`` is fixed when it opens; the rest is the latest verdict.

    ``key``: promise, thing and either the local date of its due time or the instant of its tick. ``tick``: of the
    schedule that feeds it, if known. ``from_at``: a run that starts earlier is not its run. ``declared_at``: due before
    any window moved it. ``by_clock``: due at a time of day, once a date, and no tick of
    that date comes before its own, so that a run for the date is its run however early it was. ``dated``: its business date can be compared with those of runs. ``opened_as``: PENDING, SHIFTED,
    or for good EXCLUDED or WAIVED. ``since``: when its state began, by the times of the source. ``lateness_ms``: of
    MET_LATE. ``missed``: a MISSED placeholder belongs into the history.
    """

    key: str
    promise: str
    type: str
    on: str
    zone: str
    business_date: str
    tick: int | None
    from_at: int
    declared_at: int
    due_at: int
    alert_at: int
    dated: bool
    by_clock: bool
    warning_counts: bool = True
    members: tuple[str, ...] = ()
    opened_as: Owed = Owed.PENDING
    why_opened: str = ""
    state: Owed = Owed.PENDING
    reason: str = ""
    since: int | None = None
    met_at: int | None = None
    lateness_ms: int | None = None
    missed: bool = False
    evidence: tuple[Evidence, ...] = ()

    @property
    def day(self) -> str:
        """The date in its key: local of its due time, or UTC of its tick."""
        return self.key.rpartition("|")[2][:10]

    def alerting(self, now: int) -> bool:
        """Whether people are to be told: broken for ``alert_if_late_by``."""
        return self.state is Owed.BREACHED and now >= (self.since or self.due_at) + self.alert_at - self.due_at


# --- opening --------------------------------------------------------------------------------------------------------


def open_between(owed: Promise, a: int, b: int) -> list[Occurrence]:
    """What becomes due, before windows, in (``a``, ``b``], oldest first.

    Cut anywhere, the parts give the whole: keep how far each promise is opened and open from there. Days that ``days``
    does not mean owe nothing; those that the calendar closes, and dates that the zone skipped, open as EXCLUDED.
    """
    if owed.type not in OPENED or b <= a:
        return []
    if owed.due is not None or owed.type == "sequence":
        return _by_clock(owed, a, b)
    if owed.schedule is None:
        return []
    after = owed.due_after_ms
    if after is None:
        if owed.type not in ("start_by", "heartbeat"):
            return []
        after = owed.grace_ms
    return _by_tick(owed, owed.schedule, after, a, b)


def beside(owed: Promise, one: Occurrence) -> Occurrence:
    """What ``owed`` (of a member of a set, or of what a sequence waits for) owes with ``one``: due at the same instant, for the date
    that it is by its own rule. An open occurrence keeps the time it was opened with, whatever is configured since."""
    some = open_between(owed, one.declared_at - 1, one.declared_at)
    if not some and owed.due is not None:
        local = datetime.fromtimestamp(one.declared_at / 1000, zone_of(owed.zone))
        was = replace(owed, due=local.hour * 60 + local.minute, days=DAILY, calendar=None)
        some = open_between(was, one.declared_at - 1, one.declared_at)
    return some[0] if some else replace(one, on=owed.on, opened_as=Owed.PENDING)


def rolling(owed: Promise, last: int) -> Occurrence | None:
    """The heartbeat that is owed after the one at ``last``, ``max_age`` later; None if the promise has no ``max_age``.

    Nothing else would be owed until the next sign of life, so it is never given up: dates that the calendar closes do not
    count as silence, and a window that waives moves it past its end, as one that shifts does.
    """
    if owed.max_age_ms is None:
        return None
    day = local_date(owed.zone, last)
    windows = tuple(replace(w, expect="shift") if w.expect == "waive" else w for w in owed.windows)
    kept = replace(owed, calendar=None, windows=windows)
    return _open(kept, _iso(last), day, day, None, last + 1, _silent_until(owed, last, owed.max_age_ms), "")


def _silent_until(owed: Promise, last: int, silence: int) -> int:
    """When it has been silent for so long on dates that the calendar opens; without any such date: simply so long after."""
    if owed.calendar is None:
        return last + silence
    at, left, day = last, silence, local_date(owed.zone, last)
    for _ in range(_SILENT_DAYS):
        ends = _due_on(owed.zone, day, 1440)[0]
        if owed.calendar.is_business_day(day):
            if at + left < ends:
                return at + left
            left -= max(0, ends - at)
        at, day = max(at, ends), day + ONE_DAY
    return last + silence


def _by_clock(owed: Promise, a: int, b: int) -> list[Occurrence]:
    minute = 1440 if owed.due is None else owed.due
    day = local_date(owed.zone, a - owed.margin_ms)
    final = local_date(owed.zone, b - owed.margin_ms)
    # What a gap pushes to the next date is due at that date's first instant: ``a`` before it is still on its own date. But
    # a clock that goes back over midnight leaves a date that has begun, and may be due, for the one before it.
    if not plain(owed.zone, final + ONE_DAY):
        final += ONE_DAY
    found: list[Occurrence] = []
    while day <= final:
        at, gone = _due_on(owed.zone, day, minute)
        at += owed.margin_ms
        if a < at <= b and owed.days.includes(day, owed.calendar):
            tick = None if owed.schedule is None else _fed_by(owed.schedule, at)
            alone = True
            if tick is None or owed.schedule is None:
                from_at, dated_on = _due_before(owed, day, minute), day
            else:
                from_at, dated_on = tick - _early(owed.schedule, tick), _date_of(owed, tick)
                before = _fed_by(owed.schedule, tick)
                alone = before is None or _date_of(owed, before) != dated_on
            why = f"{day.isoformat()} never was in {owed.zone}" if gone else ""
            found.append(_open(owed, day.isoformat(), day, dated_on, tick, from_at, at, why, alone))
        day += ONE_DAY
    found.sort(key=lambda o: o.declared_at)
    return found


def _by_tick(owed: Promise, schedule: Schedule, after: int, a: int, b: int) -> list[Occurrence]:
    found: list[Occurrence] = []
    for tick, early in _ticks(schedule, a - after, b - after):
        day = local_date(owed.zone, tick)
        if owed.days.includes(day, owed.calendar):
            why = _pushed(schedule, tick)
            found.append(_open(owed, _iso(tick), day, _date_of(owed, tick), tick, tick - early, tick + after, why))
    return found


def _open(
    owed: Promise,
    when: str,
    day: date,
    dated_on: date,
    tick: int | None,
    from_at: int,
    declared: int,
    never: str,
    alone: bool = True,
) -> Occurrence:
    word, less = _rule(owed.business_date)
    if less:
        dated_on -= timedelta(days=less)
    state, why, due = Owed.PENDING, "", declared
    closed = never or ((owed.calendar.why_closed(day) or "") if owed.calendar is not None else "")
    if closed:
        state, why = Owed.EXCLUDED, closed
    elif owed.windows:
        found = effect(declared, owed.windows)
        if found.kind != "keep":
            state, why, due = Owed.WAIVED if found.kind == "waive" else Owed.SHIFTED, found.why, found.due
    return Occurrence(
        key=f"{owed.id}|{owed.on}|{when}",
        promise=owed.id,
        type=owed.type,
        on=owed.on,
        zone=owed.zone,
        business_date=dated_on.isoformat(),
        tick=tick,
        from_at=from_at,
        declared_at=declared,
        due_at=due,
        alert_at=due + owed.late_by_ms,
        dated=tick is not None and word != "param",
        by_clock=alone and "T" not in when,
        warning_counts=owed.warning_counts,
        members=owed.members,
        opened_as=state,
        why_opened=why,
        state=state,
        reason=why,
    )


def _due_on(zone: str, day: date, minute: int) -> tuple[int, bool]:
    """(instant, whether the zone skipped this date)."""
    at = instant(zone, day, minute)
    if minute < 1440:
        return (gap_after(zone, day), True) if at is None else (at, False)
    gone = skipped(zone, day)
    return (gap_after(zone, day if gone else day + ONE_DAY) if at is None else at), gone


def _due_before(owed: Promise, day: date, minute: int) -> int:
    """The due time of the date before that owes something: what starts from then on is for ``day``."""
    before = day
    for _ in range(_LOOK_BACK_DAYS):
        before -= ONE_DAY
        if owed.days.includes(before, owed.calendar):
            break
    return _due_on(owed.zone, before, minute)[0] + owed.margin_ms


def _date_of(owed: Promise, tick: int) -> date:
    """The business date of the run of a tick, before the rule's days are taken off."""
    if owed.logical_before and owed.schedule is not None and owed.business_date.startswith("logical"):
        tick = _fed_by(owed.schedule, tick) or tick
    return local_date(owed.date_zone or owed.zone, tick)


@lru_cache(maxsize=256)
def _rule(text: str) -> tuple[str, int]:
    """(word, days to take off); ValueError in one sentence."""
    found = _RULE.fullmatch(text.strip())
    if not found:
        raise ValueError(
            f'expected a business date like "start", "start - 1d", "logical", "interval_end" or "param:NAME", got "{text[:40]}"'
        )
    days = int(found[3] or 0)
    return found[1].partition(":")[0], -days if found[2] == "+" else days


# Ticks by schedule and UTC date: pipelines share schedules, and a day's ticks are asked for from several sides. Keyed by
# text and zone, which say all.
_days_of: dict[tuple[str, str], dict[int, list[int]]] = {}
_MOST_TICKS: Final = 250_000
_held = 0


def _of_day(schedule: Schedule, day: int) -> list[int]:
    """The ticks of one UTC date (days since the epoch), ascending."""
    global _held
    asked = (schedule.text, schedule.zone)
    days = _days_of.get(asked)
    if days is not None and (found := days.get(day)) is not None:
        return found
    found = schedule.between(day * DAY_MS - 1, (day + 1) * DAY_MS - 1)
    _held += len(found) + 8
    if _held > _MOST_TICKS:
        _days_of.clear()
        _held = len(found) + 8
    _days_of.setdefault(asked, {})[day] = found
    return found


def _ticks(schedule: Schedule, a: int, b: int) -> list[tuple[int, int]]:
    """(tick, early tolerance) of the ticks in (a, b]. A period below 50 minutes makes the tolerance a tenth of it."""
    back = a - EARLIEST_MS * _EARLY_SHARE
    found: list[tuple[int, int]] = []
    before = back
    for day in range((back + 1) // DAY_MS, b // DAY_MS + 1):
        for tick in _of_day(schedule, day):
            if tick > b:
                break
            if tick > a:
                found.append((tick, min(EARLIEST_MS, (tick - before) // _EARLY_SHARE)))
            if tick > back:
                before = tick
    return found


def _early(schedule: Schedule, tick: int) -> int:
    """Early tolerance of one tick."""
    day = tick // DAY_MS
    ticks = _of_day(schedule, day)
    n = bisect_left(ticks, tick)
    if not n and tick - day * DAY_MS < EARLIEST_MS * _EARLY_SHARE:
        ticks = _of_day(schedule, day - 1)
        n = len(ticks)
    return min(EARLIEST_MS, (tick - ticks[n - 1]) // _EARLY_SHARE) if n else EARLIEST_MS


def _fed_by(schedule: Schedule, at: int) -> int | None:
    """The last tick before an instant, within a month."""
    for day in ((at - 1) // DAY_MS, (at - 1) // DAY_MS - 1):
        ticks = _of_day(schedule, day)
        n = bisect_left(ticks, at)
        if n:
            return ticks[n - 1]
    last = schedule.last(at - _LOOK_BACK_DAYS * DAY_MS, at - 1, 1)
    return last[0] if last else None


def _pushed(schedule: Schedule, tick: int) -> str:
    """Why a tick is none: it stands for a date that the zone skipped. "" for every other one."""
    if not isinstance(schedule, Cron) or 0 in schedule.times:
        return ""
    day = local_date(schedule.zone, tick) - ONE_DAY
    if skipped(schedule.zone, day) and gap_after(schedule.zone, day) == tick:
        return f"{day.isoformat()} never was in {schedule.zone}"
    return ""


@lru_cache(maxsize=4096)
def _iso(ms: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%MZ" if ms % MINUTE == 0 else "%Y-%m-%dT%H:%M:%SZ")


def disagreement(schedule: Schedule, next_run: int, now: int) -> str | None:
    """A warning where the source's own next run (which is right) and our reading of its schedule differ by more than 60 s."""
    ours = schedule.after(now)
    if ours is not None and abs(ours - next_run) <= 60_000:
        return None
    reads = "never" if ours is None else _iso(ours)
    return (
        f'schedule "{schedule.text}" in {schedule.zone} reads as {reads}, its source says {_iso(next_run)}:'
        " no tick is owed until a [[pipeline]] gives it the right timezone"
    )


# --- reload ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reloaded:
    """``occurrences``: the open ones as they were, and the fresh ones that are new. ``words`` "" where all agree."""

    occurrences: tuple[Occurrence, ...]
    kept: int
    words: str


def reload(open_now: Iterable[Occurrence], fresh: Iterable[Occurrence]) -> Reloaded:
    """A changed configuration is for what opens from now on: what is open keeps its due time."""
    known = {o.key: o for o in open_now}
    new: list[Occurrence] = []
    kept = 0
    for one in fresh:
        old = known.get(one.key)
        if old is None:
            new.append(one)
            known[one.key] = one
        elif (old.due_at, old.alert_at, old.opened_as) != (one.due_at, one.alert_at, one.opened_as):
            kept += 1
    plural = "s keep their" if kept != 1 else " keeps its"
    count = len(known) - len(new)
    return Reloaded(
        (*list(known.values())[:count], *new), kept, f"{kept} open occurrence{plural} old due time" if kept else ""
    )
