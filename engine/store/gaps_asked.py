"""What the gap map asks: of some pipelines, what ran for each date and what was owed for it; when sources were not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final

from adapters.model import Owed, RunKind, State
from engine.store.gaps_rows import Asker, Calendar, DatePromise, DateRuns, Spell
from engine.store.link import Link
from engine.store.packed import KIND_MASK, STATES, bdate_number, bdate_text

_OWED: Final = tuple(Owed)
_KINDS: Final = tuple(RunKind)
_DAY_MS: Final = 86_400_000
_AHEAD: Final = 200
"""Days past the first date in which changes of a zone's clock are looked for: dates end today, and no run began much later."""
_EPOCH: Final = date(1970, 1, 1).toordinal()
_RANK: Final = (
    "CASE WHEN r.state IN (6, 7) THEN 3 WHEN r.state BETWEEN 1 AND 5 THEN 2 WHEN r.state IN (0, 11) THEN 0 ELSE 1 END"
)
_RUNS: Final = f"""
SELECT r.pipeline_id, r.bdate, CASE WHEN r.bdate IS NULL THEN (r.at + {{ahead}}) / {_DAY_MS} END AS day, r.run, r.state, r.kind & {KIND_MASK},
  r.at, r.started, r.ended, count(*), sum(r.state IN (6, 7)), sum(r.state BETWEEN 1 AND 5), sum(r.kind & {KIND_MASK} = 0),
  max(({_RANK}) * 100000000000000 + r.at) AS best
FROM json_each(?) j CROSS JOIN run r ON r.pipeline_id = j.value AND r.at >= ?
WHERE r.bdate IS NULL OR r.bdate >= ?
GROUP BY r.pipeline_id, r.bdate, day"""  # noqa: S608 - numbers of our own
_OWES: Final = """
SELECT p.id, p.key, o.id, o.bdate, o.state, o.due_at, o.flags, o.run
FROM json_each(?) j CROSS JOIN pipeline p ON p.id = j.value CROSS JOIN expectation x ON x.pipeline_id = p.id
CROSS JOIN occurrence o ON o.expectation_id = x.id AND o.due_at BETWEEN ? AND ?
WHERE o.bdate >= ? AND x.type NOT IN ('max_duration', 'duration_anomaly', 'runaway') AND (x.gone = 0 OR o.state IN (1, 4))
ORDER BY o.due_at, o.id"""


class GapQuestions(Link):
    """Part of the Reader. Costs what the asked pipelines ran since then, nothing of what others did."""

    def calendars(self, pipelines: Sequence[int], since: date, until: int, zone: tzinfo) -> dict[int, Calendar]:
        """By pipeline id, what is known of its dates from ``since`` on. ``until``: promises due later are left out, ms.
        ``zone``: in which a run without a business date stands on the day it began. Pipelines that are not known are left out.
        """
        ids = json.dumps(list(pipelines))
        keys: dict[int, tuple[str, int | None, int | None]] = {
            row[0]: (row[1], row[2], row[3])
            for row in self.all(
                "SELECT p.id, p.key, r.at, r.bdate FROM json_each(?) j CROSS JOIN pipeline p ON p.id = j.value LEFT JOIN run r ON r.id ="
                " (SELECT f.id FROM run f WHERE f.pipeline_id = p.id ORDER BY f.at, f.id LIMIT 1)",
                (ids,),
            )
        }
        runs: dict[int, dict[str, DateRuns]] = {}
        sql, least = _RUNS.format(ahead=_ahead(since, zone)), since.isoformat()
        for row in self.all(sql, (ids, _begin(since, zone), bdate_number(least))):
            if row[0] in keys:
                _lay(runs.setdefault(row[0], {}), keys[row[0]][0], row, least)
        owes = self._owes(ids, since, until, zone)
        found: dict[int, Calendar] = {}
        for pipeline, (_, at, bdate) in keys.items():
            days = runs.get(pipeline, {})
            first = bdate_text(bdate) or (None if at is None else _day(at, zone))
            if days and first is not None:  # a backfill reaches before the oldest run
                first = min(first, *days)
            found[pipeline] = Calendar(first, tuple(days[d] for d in sorted(days)), tuple(owes.get(pipeline, ())))
        return found

    def owed_again(
        self, calendars: Mapping[int, Calendar], since: date, until: int, zone: tzinfo
    ) -> dict[int, Calendar]:
        """The same calendars with what is owed now: where promises moved and no run did. The very same object where nothing did."""
        owes = self._owes(json.dumps(list(calendars)), since, until, zone)
        return {
            i: c if c.owes == (new := tuple(owes.get(i, ()))) else replace(c, owes=new) for i, c in calendars.items()
        }

    def _owes(self, ids: str, since: date, until: int, zone: tzinfo) -> dict[int, list[DatePromise]]:
        found: dict[int, list[DatePromise]] = {}
        given = (ids, _begin(since, zone), until, bdate_number(since.isoformat()))
        for pipeline, key, i, day, state, due, flags, run in self.all(_OWES, given):
            by = None if run is None else f"{key}/{run}"
            one = DatePromise(i, bdate_text(day) or "?", _OWED[state], due, bool(flags & 8), by)
            found.setdefault(pipeline, []).append(one)
        return found

    def failed_of(self, pipeline: int, day: date, zone: tzinfo) -> list[tuple[str, State, int]]:
        """Of a date of a pipeline the runs that ended, and not well, by their begin: (native run, state, at). ``zone`` as above."""
        begin, end = (
            int(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp() * 1000)
            for d in (day, day + timedelta(days=1))
        )
        rows = self.all(
            "SELECT run, state, at FROM run WHERE pipeline_id = ? AND at >= ? AND (bdate = ? OR (bdate IS NULL AND at >= ? AND at < ?))"
            " AND state BETWEEN 8 AND 13 AND state <> 11 ORDER BY at, id",
            (pipeline, begin - _DAY_MS, bdate_number(day.isoformat()), begin, end),
        )
        return [(run, STATES[state], at) for run, state, at in rows]

    def blind_spells(self, since: int) -> list[Spell]:
        """When a source did not answer, and when nobody watched, that ended after ``since`` or go on; oldest first."""
        rows = self.all(
            "SELECT s.name, a.opened, a.resolved, a.title FROM source s CROSS JOIN alert a ON a.key = s.name"
            " WHERE a.rule = 'source-unreachable' AND a.state > 0 AND (a.resolved IS NULL OR a.resolved >= ?)",
            (since,),
        )
        rows += self.all(
            "SELECT NULL, at, until, words FROM own_event WHERE what IN ('blind', 'full') AND (until IS NULL OR until >= ?)",
            (since,),
        )
        return sorted((Spell(*row) for row in rows), key=lambda s: s.at)

    def asker(self, run_key: str, day: str) -> Asker | None:
        """Who asked for this run: through us, or as a backfill over that date that its source tells of. None: nobody known."""
        pipeline, _, run = run_key.partition("/")
        row = self.one(
            "SELECT a.verb, a.who, a.created, a.reason FROM action a WHERE a.scope IN (?, ?) AND (a.result_key = ? OR a.client_id ="
            " (SELECT x.client_id FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? JOIN run_extra x ON x.run_id = r.id"
            " WHERE p.key = ?)) ORDER BY a.created DESC LIMIT 1",
            (pipeline, run_key, run_key, run, pipeline),
        )
        if row is None:
            row = self.one(
                "SELECT 'backfill', o.who, o.created, NULL FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? JOIN operation o"
                " ON o.source_id = p.source_id AND o.pipeline_key = p.key WHERE p.key = ? AND r.kind & 7 = 2 AND o.who IS NOT NULL"
                " AND o.first <= ? AND o.last >= ? AND o.created IS NOT NULL ORDER BY o.created DESC LIMIT 1",
                (run, pipeline, day, day),
            )
        return None if row is None else Asker(*row)


def _begin(since: date, zone: tzinfo) -> int:
    """From when on runs and promises are looked at, ms: a business date seldom lies after the day of its run, and a day is room
    for zones."""
    return int(datetime(since.year, since.month, since.day, tzinfo=zone).timestamp() * 1000) - _DAY_MS


@lru_cache(maxsize=8)
def _ahead(since: date, zone: tzinfo) -> str:
    """By how many ms a run's ``at`` is ahead of UTC in that zone, as SQL: days are taken together where the rows are, not here.

    A zone's clock changes a few times a year; between two changes it is one number.
    """

    def ahead(ms: int) -> int:
        return round((datetime.fromtimestamp(ms / 1000, zone).utcoffset() or timedelta()).total_seconds() * 1000)

    first, when = _begin(since, zone), ""
    last = first + _AHEAD * _DAY_MS
    for at in range(first, last, _DAY_MS):
        low, high = at, at + _DAY_MS
        if ahead(low) == ahead(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if ahead(middle) == ahead(at) else (low, middle)
        when += f" WHEN r.at < {high} THEN {ahead(at)}"
    return f"CASE{when} ELSE {ahead(last)} END" if when else str(ahead(last))


def _day(at: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at / 1000, zone).date().isoformat()


def _rank(state: State) -> int:
    """As ``_RANK``."""
    if state.finished:
        return 3
    return 2 if state.active else 0 if state in (State.EXPECTED, State.SKIPPED) else 1


def _lay(days: dict[str, DateRuns], key: str, row: Any, least: str) -> None:
    """Runs of one business date, or those without one that began on a day; before ``least`` they are left out."""
    _, bdate, number, run, state, kind, at, started, ended, n, good, active, planned, _ = row
    day = bdate_text(bdate) or date.fromordinal(_EPOCH + number).isoformat()
    if day < least:
        return
    one = DateRuns(
        day, f"{key}/{run}", STATES[state], _KINDS[kind], at, started, ended, n, good, active, planned, bdate is not None
    )  # fmt: skip
    had = days.get(day)
    if had is None:
        days[day] = one
        return
    best = max(had, one, key=lambda r: (_rank(r.state), r.at))
    days[day] = DateRuns(
        day, best.run_key, best.state, best.kind, best.at, best.started, best.ended, had.n + n, had.good + good,
        had.active + active, had.planned + planned, had.dated and one.dated,
    )  # fmt: skip
