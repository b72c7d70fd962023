"""How fresh a thing is: the newest instant or partition that a series tells, the last event of an asset, the last success."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from engine.owed.bind import ASSET, SERIES
from engine.owed.calendar import instant
from engine.owed.held import Runs
from engine.owed.occurrences import Occurrence
from engine.owed.verdict import Arrival, last_success
from engine.owed.watch import DAY, Watch
from engine.owed.wording import amount, time_words
from engine.store import owed_facts as asked
from engine.store import values
from engine.store.writer import Tx

TIME, DATE = "time", "date"
"""Units of series whose value is an instant (ms UTC), or midnight UTC of a business date."""
AHEAD_MS: Final = 900_000
"""By so much the clock of whoever wrote an instant may be ahead."""
AHEAD_DAYS: Final = 7
"""So many days ahead a partition may be: what is later is a mark for "for ever", or a mistake."""
_LAST: Final = 253_402_128_000_000
"""Later instants cannot be written in each zone."""
LOOK_BACK: Final = 3
"""Runs are looked at for so many times the allowed age."""


@dataclass(frozen=True, slots=True)
class Sign:
    """``at``: what is newest (ms UTC), None: nothing ever was. ``seen``: when it was looked at last. ``words``: as people read it."""

    at: int | None
    seen: int | None
    words: str


class Fresh:
    """Asks the store; holds nothing."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def newest(self, tx: Tx, w: Watch, one: Occurrence | None, now: int) -> Sign:
        """What is newest of the thing of a bound."""
        zone = w.bound.promise.zone
        if w.thing.startswith(SERIES):
            return _of_series(tx, w.thing.removeprefix(SERIES), zone, now)
        if w.thing.startswith(ASSET):
            at, source = values.asset_event(tx, w.thing.removeprefix(ASSET))
            seen = None if source is None else asked.last_looks(tx).get(source)
            if source is None:
                return Sign(None, None, "no source knows such an asset")
            return Sign(at, seen, "never made" if at is None else f"last made {time_words(zone, at, now)}")
        pipeline = w.bound.pipeline_id
        if pipeline is None:
            return Sign(None, None, "no pipeline of that key is known")
        since = (one.from_at if one is not None else now) - LOOK_BACK * (w.bound.promise.max_age_ms or 0) - DAY
        found = asked.facts_since(tx, pipeline, since, self._runs.checks)
        runs = tuple(fact for facts in found.values() for fact in facts)
        at = last_success(runs, w.bound.promise.warning_counts)
        return Sign(at, None, "no success is known" if at is None else f"last success {time_words(zone, at, now)}")

    def looked(self, tx: Tx, thing: str) -> int | None:
        """When a series was last measured without an error, and gave what can be."""
        found = values.latest(tx, thing.removeprefix(SERIES))
        return None if found is None or _wrong(found, tx.now) else _looked(found)

    def wrong(self, tx: Tx, thing: str) -> str | None:
        """Why what a series gives is no date and no instant; None: it is one."""
        found = values.latest(tx, thing.removeprefix(SERIES))
        return None if found is None else _wrong(found, tx.now) or None

    def partition(self, tx: Tx, thing: str, one: Occurrence) -> tuple[Arrival, ...]:
        """When the partition of an occurrence, or a later one, was first seen: a backfilled old one is not it."""
        name = thing.removeprefix(SERIES)
        there = () if one.met_at is None else (Arrival(name, one.met_at, one.business_date),)
        found = values.latest(tx, name)
        if found is None or found.t is None or _wrong(found, tx.now):
            return there
        wanted = date.fromisoformat(one.business_date)
        if found.unit == DATE:
            least = datetime(wanted.year, wanted.month, wanted.day, tzinfo=UTC).timestamp() * 1000
        else:
            least = instant(one.zone, wanted, 0) or 0
        if there or found.value < least:  # it may go away again, to be loaded anew: it was there
            return there
        at = values.reached(tx, name, least, one.from_at, tx.now + (AHEAD_DAYS + 1) * DAY)
        if at is None:
            at = found.t
        return (Arrival(name, max(at, one.from_at), one.business_date),)


def _of_series(tx: Tx, name: str, zone: str, now: int) -> Sign:
    found = values.latest(tx, name)
    if found is None:
        return Sign(None, None, "not measured yet")
    seen = _looked(found)
    if wrong := _wrong(found, now):
        return Sign(None, None, wrong)
    if found.t is None:
        return Sign(None, seen, f"never measured: {found.why}" if found.why else "never measured")
    why = f"; not measured now: {found.why}" if found.why else ""
    if found.unit == DATE:
        day = datetime.fromtimestamp(found.value / 1000, UTC).date()
        at = instant(zone, day + timedelta(days=1), 0)
        return Sign(found.t if at is None else at, seen, f"newest partition {day.isoformat()}{why}")
    at = round(found.value) if found.unit == TIME else found.t
    return Sign(at, seen, f"newest value {time_words(zone, at, now)}{why}")


def _wrong(found: values.Latest, now: int) -> str:
    """Why a value cannot be: 9999-12-31 stands for no partition, and what will be is not fresh. "" where it can."""
    if found.t is None or found.unit not in (TIME, DATE):
        return ""
    if not 0 <= found.value <= _LAST + DAY:
        return f"newest {'partition' if found.unit == DATE else 'value'} is no date ({amount(found.value)})"
    if found.value <= now + (AHEAD_MS if found.unit == TIME else AHEAD_DAYS * DAY):
        return ""
    moment = datetime.fromtimestamp(found.value / 1000, UTC)
    if found.unit == DATE:
        return f"newest partition {moment.date().isoformat()} lies in the future"
    return f"newest value {moment:%Y-%m-%d %H:%M} UTC lies in the future"


def _looked(found: values.Latest) -> int | None:
    return found.tried if found.why is None else found.t
