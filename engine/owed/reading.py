"""One measured value as it is held in memory, and what is said of its last reading: the verdict, or why it is not known.

Asks the store for what the rule needs besides; nothing is written, and nothing of how long it was so is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from adapters.model import Owed
from adapters.schedule import Schedule
from engine.config.model import ValueRule
from engine.owed import values
from engine.owed.anomaly import Volumes
from engine.owed.bound import Bound
from engine.owed.occurrences import Occurrence
from engine.owed.values import Period, Said
from engine.owed.windows import Window
from engine.owed.wording import time_words
from engine.store import values as asked
from engine.store.values import Latest
from engine.store.writer import Tx

SERIES: Final = "series:"
STALE_POLLS: Final = 3
STALE_LEAST_MS: Final = 60_000
PAST_DAYS: Final = 70
USUAL_MS: Final = 3_600_000
"""How long what is usual stays: days that were fetched later come in then."""


@dataclass(slots=True)
class Value:
    """One bound and what is known of it. ``id`` None: it has no row. ``bad_since``: the first reading in a row that was bad;
    ``good``: readings in a row that were not; ``seen``: the last reading that was looked at. ``beside``: the series that it is held
    against, or that counts its events."""

    bound: Bound
    type: str
    rule: ValueRule
    series: str
    cadence: int
    beside: str = ""
    beside_cadence: int = 0
    schedule: Schedule | None = None
    windows: tuple[Window, ...] = ()
    period: Period | None = None
    one: Occurrence | None = None
    id: int | None = None
    told: bool = False
    look: int = 0
    bad_since: int | None = None
    bad_ms: int = 0
    """For how long it was seen to be bad: what nobody saw does not count."""
    bad_look: int | None = None
    """When it was seen to be bad last; None: it was not, or nobody looked in between."""
    good: int = 0
    seen: int | None = None
    value: float = 0.0
    quiet: bool = False
    """One of many pipelines: it owes nothing before its runs told the number once."""
    written: int = 0
    made: int = 0
    usual: Volumes | None = None
    usual_of: date | None = None
    usual_until: int = 0
    broken: bool = False
    """It is broken, or was when it was known last."""
    known: str = ""
    """What was said of the last reading, where it was not well."""


def last(tx: Tx, v: Value) -> Latest | None:
    """Its last reading. Of what a run told long ago only the mean with other runs is kept: it stays as it was seen."""
    found = asked.latest(tx, v.series)
    if found is None or found.t is None:
        return found
    if found.told and v.seen is not None and found.t <= v.seen:
        return replace(found, t=v.seen, value=v.value)
    v.value = found.value
    return found


def said(tx: Tx, v: Value, found: Latest, t: int, period: Period | None) -> tuple[Said | None, str | None]:
    """The verdict on a reading; None with the reason where another one is missing."""
    rule, now, zone = v.rule, tx.now, v.bound.promise.zone
    other = window = None
    if v.beside:
        other, why = _other(tx, v)
        if other is None:
            return None, why
    match v.type:
        case "quota":
            before = None if period is None else asked.at_or_before(tx, v.series, now - values.RECENT)
            return values.quota(rule, found.unit, zone, now, found.value, period, before), ""
        case "forecast":
            today = _day(now)
            days = [(d, most) for d, _, most in asked.days(tx, v.series, today - timedelta(days=90))]
            return values.growing(rule, found.unit, zone, [*days, (today, found.value)]), ""
        case "volume":
            day = _day(t)
            if v.usual is None or v.usual_of != day or tx.now >= v.usual_until:
                past = [(d, mean) for d, mean, _ in asked.days(tx, v.series, day - timedelta(days=PAST_DAYS))]
                v.usual, v.usual_of, v.usual_until = values.usual(rule, day, past), day, tx.now + USUAL_MS
        case "metric" | "resource" if _spans(rule):
            window = asked.window(tx, v.series, now - rule.window_ms)
        case _:
            pass
    return _verdict(v, found.unit, t, now, found.value, window, None if other is None else other.value, period), ""


def _spans(rule: ValueRule) -> bool:
    return rule.mean_above is not None or rule.mean_below is not None or rule.peak_above is not None


def _verdict(
    v: Value, unit: str, t: int, now: int, value: float, window: tuple[float, float] | None, other: float | None, period: Period | None
) -> Said:  # fmt: skip
    """On a reading of ``t`` as it is, or was, at ``now``. ``window``: (mean, highest), None: it is measured more seldom; ``other``: what it
    is held against, or how many events there were."""
    rule, zone = v.rule, v.bound.promise.zone
    match v.type:
        case "volume":
            assert v.usual is not None
            return values.volume(rule, unit, _day(t), value, v.usual)
        case "reconcile":
            name = (rule.against or "").removeprefix(SERIES)
            return values.reconcile(rule, unit, value, other or 0.0, (v.series, name))
        case "quota":
            return values.quota(rule, unit, zone, now, value, period, None)
        case "budget":
            assert period is not None
            return values.budget(rule, unit, zone, now, value, period)
        case _:
            if rule.events is not None and other is not None and other < rule.min_events:
                few = f"{other:,.0f} of at least {rule.min_events:,.0f} events: nothing is said"
                return Said(Owed.PENDING, few, silent=True)
            spans = (value, value) if window is None and _spans(rule) else window
            return values.limits(rule, unit, value, spans, v.broken)


def lasted(tx: Tx, v: Value, found: Latest, t: int, period: Period | None) -> tuple[int, int]:
    """(since when, for how many ms it was seen to be so): how long a reading of ``t`` that is bad was so already, as what is stored
    shows. So an engine that starts anew goes on where the one before stood. A bucket counts from its end on, and only if
    each reading in it was bad; where a reading is missing the one before holds until that was due, and what comes before goes on."""
    rule, length = v.rule, v.rule.for_ms
    since, ms = t, _held(v, found, tx.now - t) if found.why is None else 0
    stored = asked.buckets(tx, v.series, t, length + (rule.window_ms if _spans(rule) else 0))
    others = asked.buckets(tx, v.beside, t, length) if v.beside else []
    if v.beside and not others:
        others = asked.buckets(tx, beside(v.series, v.beside), t, length)
    for n, b in enumerate(stored):
        if ms >= length or v.type == "forecast":
            break
        if (period is not None and b.start < period.start) or (v.type == "volume" and _day(b.start) != _day(t)):
            break
        at = min(b.end, since)
        other = next((o for o in others if o.start <= b.start), None)
        if v.beside and (other is None or b.start - other.start > max(STALE_POLLS * v.beside_cadence, STALE_LEAST_MS)):
            continue
        window = _window(stored[n:], at - rule.window_ms) if _spans(rule) else None
        pairs = [(one, two) for one in {b.least, b.most} for two in _values(other)]
        said = [_verdict(v, found.unit, b.start, at, one, window, two, period) for one, two in pairs]
        if any(s.state is not Owed.BREACHED for s in said):
            break
        ms += _held(v, found, since - at, b.end - b.start)
        since = at
    return since, ms


def _held(v: Value, found: Latest, gap: int, bucket: int = 0) -> int:
    """How much of the time until the next reading one stands for; a number that a run told stays as it was told."""
    return gap if found.told or gap <= v.cadence * 3 // 2 + bucket else v.cadence


def _values(other: asked.Bucket | None) -> set[float | None]:
    return {None} if other is None else {other.least, other.most}


def _window(stored: list[asked.Bucket], since: int) -> tuple[float, float]:
    """(mean, highest) of the first of these and of what came before it since then."""
    inside = [b for n, b in enumerate(stored) if n == 0 or b.start >= since]
    return sum(b.mean * b.n for b in inside) / sum(b.n for b in inside), max(b.most for b in inside)


def _other(tx: Tx, v: Value) -> tuple[Latest | None, str]:
    """The last reading of what it is held against; None, with why it is not known."""
    found = asked.latest(tx, v.beside)
    if (
        found is None or found.t is None
    ) and v.rule.events is not None:  # the events of one label, where they are told apart as well
        found = asked.latest(tx, beside(v.series, v.beside))
    why = doubt(v, v.beside, v.beside_cadence, found, tx.now)
    return (found, "") if why is None else (None, f"{v.beside}: {why}")


def period_of(v: Value, now: int) -> Period | None:
    if v.type not in values.PERIODIC:
        return None
    if v.period is None or not v.period.start <= now < v.period.end:
        if v.type == "budget":
            v.period = values.budget_period(v.rule.period, v.bound.promise.zone, now)
        elif v.schedule is not None:
            v.period = values.quota_period(v.schedule, now)
    return v.period


def doubt(v: Value, series: str, cadence: int, found: Latest | None, now: int) -> str | None:
    """Why it is not known now; a number that a run told stays as it was told."""
    if found is None:
        return f"there is no series {series}"
    if found.t is None:
        return f"never measured: {found.blind or found.why or 'not answered yet'}"
    if found.told:
        return None
    heard = max(found.t, found.tried) if found.why is None else found.t
    if now - heard <= max(STALE_POLLS * cadence, STALE_LEAST_MS):
        return None
    since = time_words(v.bound.promise.zone, heard, now)
    why = found.blind or found.why
    return f"not measured since {since}" + (f": {why}" if why else "")


def beside(series: str, name: str) -> str:
    """The other one of a pair: with the labels of the first, where the name has none."""
    name = name.removeprefix(SERIES)
    _, brace, labels = series.partition("{")
    return f"{name}{{{labels}" if brace and "{" not in name else name


def _day(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()
