"""What a measured value owes: limits of readings, of a mean and of a peak, volumes, quotas, budgets, forecasts, two that must agree.

Pure: what was measured goes in, a verdict with its words comes out; how long it must be so, and what was so before, is
``engine.owed.measured``'s. Numbers are in the unit of the series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from adapters.model import Owed
from adapters.schedule import Schedule
from adapters.schedule import zone as zone_of
from engine.config.model import ValueRule
from engine.owed.anomaly import Side, Volume, Volumes
from engine.owed.calendar import instant
from engine.owed.forecast import NEED, forecast
from engine.owed.wording import amount, day_words, span, time_words

PERIODIC: Final = ("quota", "budget")
"""Types that are owed until the end of a period, and so are seen while they are well."""
DAY: Final = 86_400_000
SETTLES: Final = 600_000
"""So long after a quota began anew its rate says nothing."""
RECENT: Final = 3_600_000
"""The rate of a quota is that of its last hour, or of its whole period: whichever is more."""


@dataclass(frozen=True, slots=True)
class Said:
    """``state``: PENDING (well), AT_RISK or BREACHED. ``due``: when it will be reached, or when its period ends (ms UTC)."""

    state: Owed
    words: str
    due: int | None = None
    silent: bool = False
    """It says nothing: what was broken is neither well nor known to be so."""


@dataclass(frozen=True, slots=True)
class Period:
    """[``start``, ``end``) in ms UTC."""

    start: int
    end: int


# --- limits ---------------------------------------------------------------------------------------------------------


def limits(rule: ValueRule, unit: str, value: float, window: tuple[float, float] | None, broken: bool) -> Said:
    """Of a reading, and of the (mean, highest) of its window. ``broken``: it was, so it must come back to ``clear_at``."""
    wrong: list[str] = []
    above, below = rule.above, rule.below
    if broken and rule.clear_at is not None:
        above = rule.clear_at if above is not None else None
        below = rule.clear_at if below is not None else None
    back = "" if not broken or rule.clear_at is None else f", must come back to {amount(rule.clear_at, unit)}"
    if above is not None and value > above:
        wrong.append(
            f"{amount(value, unit)}, above {amount(rule.above or 0.0, unit)}{back if value <= (rule.above or 0.0) else ''}"
        )
    if below is not None and value < below:
        wrong.append(
            f"{amount(value, unit)}, below {amount(rule.below or 0.0, unit)}{back if value >= (rule.below or 0.0) else ''}"
        )
    if window is not None:
        mean, peak = window[0], max(window[1], value)
        last = span(rule.window_ms)
        if rule.mean_above is not None and mean > rule.mean_above:
            wrong.append(f"mean of {last} {amount(mean, unit)}, above {amount(rule.mean_above, unit)}")
        if rule.mean_below is not None and mean < rule.mean_below:
            wrong.append(f"mean of {last} {amount(mean, unit)}, below {amount(rule.mean_below, unit)}")
        if rule.peak_above is not None and peak > rule.peak_above:
            wrong.append(f"peak of {last} {amount(peak, unit)}, above {amount(rule.peak_above, unit)}")
    if wrong:
        return Said(Owed.BREACHED, "; ".join(wrong))
    return Said(Owed.PENDING, amount(value, unit))


def reconcile(rule: ValueRule, unit: str, one: float, two: float, names: tuple[str, str]) -> Said:
    """Whether two agree: |a − b| ≤ tolerance, or within so many percent of the larger."""
    apart = abs(one - two)
    allowed = max(rule.tolerance, rule.tolerance_percent / 100 * max(abs(one), abs(two)))
    words = f"{names[0]} {amount(one, unit)}, {names[1]} {amount(two, unit)}"
    if apart <= allowed:
        return Said(Owed.PENDING, words)
    share = f" ({apart / max(abs(one), abs(two)):.2%})" if max(abs(one), abs(two)) else ""
    limit = f", tolerance {amount(allowed, unit)}" if allowed else ""
    return Said(Owed.BREACHED, f"{amount(apart, unit)} apart{share}: {words}{limit}")


# --- volumes --------------------------------------------------------------------------------------------------------


def usual(rule: ValueRule, day: date, past: Sequence[tuple[date, float]]) -> Volumes:
    """What is usual by the days before ``day``, oldest first; unusual ones among them do not move it."""
    known = Volumes()
    for before, rows in past:
        if before < day:
            known, _, _ = known.step(Volume(before, rows), rule.allow_empty)
    return known


def volume(rule: ValueRule, unit: str, day: date, value: float, known: Volumes) -> Said:
    """Of one day's volume against its range, a share of the usual one, nothing at all, and what is unusual."""
    said = amount(value, unit)
    if rule.normal is not None and not rule.normal[0] <= value <= rule.normal[1]:
        return Said(Owed.BREACHED, f"{said}, expected {amount(rule.normal[0], unit)} to {amount(rule.normal[1], unit)}")
    verdict = known.judge(Volume(day, value), rule.allow_empty)
    bounds = verdict.bounds
    if bounds is None:
        empty = value == 0 and not rule.allow_empty and rule.normal is None
        more = ", nothing at all" if empty else ""
        return Said(Owed.BREACHED if empty else Owed.PENDING, f"{said}{more}, learning {len(known.kept)}/8")
    usual = f"usually {amount(bounds.centre, unit)}" + (" on this weekday" if verdict.same_weekday else "")
    if verdict.zero:
        return Said(Owed.BREACHED, f"nothing at all, {usual}")
    if rule.least_share is not None and value < rule.least_share * bounds.centre:
        return Said(Owed.BREACHED, f"{said}, less than {rule.least_share:.0%} of what is usual: {usual}")
    if rule.anomaly and verdict.side is not Side.NONE:
        more = "more" if verdict.side is Side.HIGH else "less"
        reach = f"{amount(bounds.low, unit)} to {amount(bounds.high, unit)}"
        return Said(Owed.BREACHED, f"{said}, {more} than usual: {usual}, from {reach}")
    return Said(Owed.PENDING, f"{said}, {usual}")


# --- what is used up ------------------------------------------------------------------------------------------------


def quota(
    rule: ValueRule, unit: str, zone: str, now: int, value: float, period: Period | None, before: tuple[int, float] | None
) -> Said:  # fmt: skip
    """Of what is used of ``most``. ``before``: a reading of about an hour ago, of this period."""
    most = rule.most or 0.0
    used = f"{amount(value, unit)} of {amount(most, unit)} used ({value / most:.0%})"
    end = None if period is None else period.end
    until = "" if end is None else f", anew {time_words(zone, end, now)}"
    if value >= most:
        return Said(Owed.BREACHED, f"{used}{until}", end)
    if period is not None and value > 0 and now - period.start >= SETTLES:
        rate = value / (now - period.start)
        if before is not None and period.start <= before[0] < now - SETTLES and value > before[1]:
            rate = max(rate, (value - before[1]) / (now - before[0]))
        at = now + round((most - value) / rate)
        if at < period.end:
            return Said(Owed.AT_RISK, f"{used}, used up {time_words(zone, at, now)} at this rate{until}", end)
    if value >= rule.share * most:
        return Said(Owed.AT_RISK, f"{used}, more than {rule.share:.0%}{until}", end)
    return Said(Owed.PENDING, f"{used}{until}", end)


def budget(rule: ValueRule, unit: str, zone: str, now: int, value: float, period: Period) -> Said:
    """Of what was spent since the period began, against the share of the budget that is due by the end of today."""
    most = rule.most or 0.0
    whole = period.end - period.start
    today = min(period.end, instant_after(zone, now))
    share = (today - period.start) / whole
    due = most * share
    spent = f"{amount(value, unit)} of {amount(most, unit)} spent"
    if value >= most:
        return Said(Owed.BREACHED, f"{spent}, all of it {span(period.end - now)} before the period ends", period.end)
    if value > due * (1 + rule.over):
        return Said(
            Owed.BREACHED,
            f"{spent}, {value / due - 1:.0%} above the {amount(due, unit)} of {share:.0%} of the {rule.period}",
            period.end,
        )
    elapsed = (now - period.start) / whole
    projected = value / elapsed if elapsed > 0 else 0.0
    if projected > most and now - period.start >= DAY:
        return Said(
            Owed.AT_RISK, f"{spent}, {amount(projected, unit)} at the end of the {rule.period} at this rate", period.end
        )
    return Said(Owed.PENDING, f"{spent}, {amount(due, unit)} until today are planned", period.end)


def growing(rule: ValueRule, unit: str, zone: str, maxima: Sequence[tuple[date, float]]) -> Said:
    """Whether the limit will be reached within ``within``: by Theil–Sen over daily maxima."""
    most, within = rule.most or 0.0, (rule.within_ms or 0) / DAY
    found = forecast(maxima, most)
    if found.now is None:
        if maxima and maxima[-1][1] >= most:  # that is no forecast any more
            return Said(Owed.BREACHED, f"{amount(maxima[-1][1], unit)} of {amount(most, unit)}: reached")
        return Said(Owed.PENDING, f"not enough data ({found.n}/{NEED})")
    here = f"{amount(found.now, unit)} of {amount(most, unit)}"
    if found.days is None:
        return Said(Owed.PENDING, f"{here}, not growing")
    grows = f"{here}, {amount(found.per_day or 0.0, unit)} a day"
    if found.days == 0.0:
        return Said(Owed.BREACHED, f"{grows}: reached")
    at = None if found.on is None else instant(zone, found.on, 0)
    when = "" if at is None else f", on {day_words(zone, at)}"
    words = f"{grows}: reached in {found.days:.1f} days{when}"
    return Said(Owed.BREACHED if found.days < within else Owed.PENDING, words, at)


# --- periods --------------------------------------------------------------------------------------------------------


def quota_period(schedule: Schedule, now: int) -> Period | None:
    """From the tick before ``now`` to the next one."""
    end = schedule.after(now)
    last = schedule.last(now - 400 * DAY, now, 1)
    return None if end is None else Period(last[0] if last else now, end)


def budget_period(period: str, zone: str, now: int) -> Period:
    """The day, week (from Monday), month, quarter or year of ``now`` in a zone."""
    day = datetime.fromtimestamp(now / 1000, zone_of(zone)).date()
    match period:
        case "day":
            first, after = day, day + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday())
            after = first + timedelta(days=7)
        case "quarter":
            first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
            after = _months_on(first, 3)
        case "year":
            first, after = date(day.year, 1, 1), date(day.year + 1, 1, 1)
        case _:
            first = day.replace(day=1)
            after = _months_on(first, 1)
    return Period(_midnight(zone, first), _midnight(zone, after))


def instant_after(zone: str, now: int) -> int:
    """The next midnight of a zone."""
    return _midnight(zone, datetime.fromtimestamp(now / 1000, zone_of(zone)).date() + timedelta(days=1))


def _months_on(first: date, months: int) -> date:
    month = first.month - 1 + months
    return date(first.year + month // 12, month % 12 + 1, 1)


def _midnight(zone: str, day: date) -> int:
    at = instant(zone, day, 0)
    return instant(zone, day, 180) or 0 if at is None else at
