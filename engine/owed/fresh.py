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
from engine.owed.wording import time_words
from engine.store import owed_facts as asked
from engine.store import values
from engine.store.writer import Tx

TIME, DATE = "time", "date"
"""Units of series whose value is an instant (ms UTC), or midnight UTC of a business date."""
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
        """When a series was last measured without an error."""
        found = values.latest(tx, thing.removeprefix(SERIES))
        return None if found is None else _looked(found)

    def partition(self, tx: Tx, thing: str, one: Occurrence) -> tuple[Arrival, ...]:
        """When the partition of an occurrence, or a later one, was first seen: a backfilled old one is not it."""
        name = thing.removeprefix(SERIES)
        found = values.latest(tx, name)
        if found is None or found.t is None:
            return ()
        wanted = date.fromisoformat(one.business_date)
        if found.unit == DATE:
            least = datetime(wanted.year, wanted.month, wanted.day, tzinfo=UTC).timestamp() * 1000
        else:
            least = instant(one.zone, wanted, 0) or 0
        if found.value < least:
            return ()
        at = values.reached(tx, name, least, one.from_at)
        if at is None or one.met_at is not None:
            at = one.met_at if one.met_at is not None else found.t
        return (Arrival(name, max(at, one.from_at), one.business_date),)


def _of_series(tx: Tx, name: str, zone: str, now: int) -> Sign:
    found = values.latest(tx, name)
    if found is None:
        return Sign(None, None, "not measured yet")
    seen = _looked(found)
    if found.t is None:
        return Sign(None, seen, f"never measured: {found.why}" if found.why else "never measured")
    why = f"; not measured now: {found.why}" if found.why else ""
    if found.unit == DATE:
        day = datetime.fromtimestamp(found.value / 1000, UTC).date()
        at = instant(zone, day + timedelta(days=1), 0)
        return Sign(min(now, found.t if at is None else at), seen, f"newest partition {day.isoformat()}{why}")
    at = round(found.value) if found.unit == TIME else found.t
    return Sign(min(now, at), seen, f"newest value {time_words(zone, at, now)}{why}")


def _looked(found: values.Latest) -> int | None:
    return found.tried if found.why is None else found.t
