"""The business date of a run, where ``[[pipeline]] business_date`` says which it is instead of its source.

``start``: the date of its tick as its source says it, else the local date of its start. ``interval_end``: what its source
says, and nothing else. ``logical``: the date of the tick before its own. Either less (or plus) days. ``param:NAME``: a
parameter of the run. Local jobs have a rule of their own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from adapters.model import Run, State
from adapters.schedule import Schedule, parse
from engine.owed.calendar import local_date
from engine.store import facts as rows
from engine.store.writer import Tx

_RULE: Final = re.compile(r"(start|logical|interval_end)(?: ([-+]) (\d{1,3})d)?")
_PARAM: Final = "param:"
_DAY: Final = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?!\d)")
_LOOK_BACK_MS: Final = 31 * 86_400_000


def dated(run: Run, rule: str, zone: str, schedule: Schedule | None) -> str | None:
    """ISO date by ``rule``; None where the run does not tell it (yet)."""
    if rule.startswith(_PARAM):
        return _of_param((run.params or {}).get(rule.removeprefix(_PARAM)))
    found = _RULE.fullmatch(rule)
    if found is None:
        return run.business_date
    base = date.fromisoformat(run.business_date) if run.business_date else None
    begun = run.queued if run.started is None else run.started
    if base is None and found[1] == "start" and begun is not None:
        base = local_date(zone, begun)
    if base is not None and found[1] == "logical":
        base = _before(base, begun, schedule)
    if base is None:
        return None
    days = int(found[3] or 0)
    return (base + timedelta(days=days if found[2] == "+" else -days)).isoformat()


def _before(day: date, begun: int | None, schedule: Schedule | None) -> date | None:
    """The date of the tick before the one of this date; of several ticks of the date the last before the run began."""
    if schedule is None:
        return None
    noon = int((day - date(1970, 1, 1)).total_seconds()) * 1000 + 43_200_000
    ticks = [
        t for t in schedule.between(noon - 2 * 86_400_000, noon + 2 * 86_400_000) if local_date(schedule.zone, t) == day
    ]
    if not ticks:
        return None
    tick = max((t for t in ticks if begun is not None and t <= begun), default=ticks[0])
    before = schedule.last(tick - _LOOK_BACK_MS, tick - 1, 1)
    return local_date(schedule.zone, before[-1]) if before else None


def _of_param(value: Any) -> str | None:
    """``2026-11-20``, ``20261120``, ``2026-11-20T05:00:00``; None for what is no date."""
    found = _DAY.match(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else None
    try:
        return None if found is None else date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _schedule(text: str, zone: str) -> Schedule | None:
    try:
        return parse(text, zone)
    except ValueError:
        return None


class Dates:
    """Of one source; ``zone``: in which its pipelines' dates are where it says no other."""

    def __init__(self, source_id: int, zone: str) -> None:
        self._source_id = source_id
        self._zone = zone
        self._version = -1
        self._rules: dict[str, tuple[str, str | None, str | None]] = {}

    def of(self, tx: Tx, run: Run) -> Run:
        """The run as its source gave it, with the date that the configuration means."""
        version = rows.pipeline_version(tx)
        if version != self._version or "pipeline" in tx.bumped:
            self._rules = rows.date_rules(tx, self._source_id)
            self._version = -1 if "pipeline" in tx.bumped else version
        known = self._rules.get(run.key.partition("/")[0]) if self._rules else None
        if known is None or run.state is State.LOST:  # what is lost was read from the store, and has its date
            return run
        rule, text, zone = known
        schedule = _schedule(text, zone or self._zone) if text else None
        return replace(run, business_date=dated(run, rule, self._zone, schedule))
