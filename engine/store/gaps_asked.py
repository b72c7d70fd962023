"""What the gap map asks: of some pipelines, what ran for each date and what was owed for it; when sources were not seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final

from adapters.model import Owed, RunKind, State
from engine.store.gaps_rows import Asker, Calendar, DatePromise, DateRuns, Spell
from engine.store.link import Link
from engine.store.packed import KIND_MASK, STATES, bdate_number, bdate_text

_OWED: Final = tuple(Owed)
_KINDS: Final = tuple(RunKind)
_DAY_MS: Final = 86_400_000
_SLOT_MS: Final = 900_000
"""Runs without a business date are taken together by quarters of an hour: no zone's day begins inside one."""
_RANK: Final = (
    "CASE WHEN r.state IN (6, 7) THEN 3 WHEN r.state BETWEEN 1 AND 5 THEN 2 WHEN r.state IN (0, 11) THEN 0 ELSE 1 END"
)
_RUNS: Final = f"""
SELECT r.pipeline_id, r.bdate, CASE WHEN r.bdate IS NULL THEN r.at / {_SLOT_MS} END AS slot, r.run, r.state, r.kind & {KIND_MASK},
  r.at, r.started, r.ended, count(*), sum(r.state IN (6, 7)), sum(r.state BETWEEN 1 AND 5), sum(r.kind & {KIND_MASK} = 0),
  max(({_RANK}) * 100000000000000 + r.at) AS best
FROM json_each(?) j CROSS JOIN run r ON r.pipeline_id = j.value AND r.at >= ?
WHERE r.bdate IS NULL OR r.bdate >= ?
GROUP BY r.pipeline_id, r.bdate, slot"""  # noqa: S608 - numbers of our own
_OWES: Final = """
SELECT x.pipeline_id, o.id, o.bdate, o.state, o.due_at, o.flags, o.run
FROM json_each(?) j CROSS JOIN expectation x ON x.pipeline_id = j.value
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
        number = bdate_number(since.isoformat()) or 0
        # a business date seldom lies after the day of its run: one day is room for zones
        begin = int(datetime(since.year, since.month, since.day, tzinfo=zone).timestamp() * 1000)
        keys: dict[int, tuple[str, int | None, int | None]] = {
            row[0]: (row[1], row[2], row[3])
            for row in self.all(
                "SELECT p.id, p.key, r.at, r.bdate FROM json_each(?) j CROSS JOIN pipeline p ON p.id = j.value LEFT JOIN run r ON r.id ="
                " (SELECT f.id FROM run f WHERE f.pipeline_id = p.id ORDER BY f.at, f.id LIMIT 1)",
                (ids,),
            )
        }
        runs: dict[int, dict[str, DateRuns]] = {}
        for row in self.all(_RUNS, (ids, begin - _DAY_MS, number)):
            if row[0] in keys:
                _lay(runs.setdefault(row[0], {}), keys[row[0]][0], row, zone, since)
        owes: dict[int, list[DatePromise]] = {}
        for pipeline, i, day, state, due, flags, run in self.all(_OWES, (ids, begin - _DAY_MS, until, number)):
            if pipeline not in keys:
                continue
            key = None if run is None else f"{keys[pipeline][0]}/{run}"
            owes.setdefault(pipeline, []).append(
                DatePromise(i, bdate_text(day) or "?", _OWED[state], due, bool(flags & 8), key)
            )
        found: dict[int, Calendar] = {}
        for pipeline, (_, at, bdate) in keys.items():
            days = runs.get(pipeline, {})
            first = bdate_text(bdate) or (None if at is None else _day(at, zone))
            if days and first is not None:  # a backfill reaches before the oldest run
                first = min(first, *days)
            found[pipeline] = Calendar(first, tuple(days[d] for d in sorted(days)), tuple(owes.get(pipeline, ())))
        return found

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


def _day(at: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at / 1000, zone).date().isoformat()


def _rank(state: State) -> int:
    """As ``_RANK``."""
    if state.finished:
        return 3
    return 2 if state.active else 0 if state in (State.EXPECTED, State.SKIPPED) else 1


def _lay(days: dict[str, DateRuns], key: str, row: Any, zone: tzinfo, since: date) -> None:
    """Runs of one date, or of a quarter of an hour that belongs to one."""
    bdate, run, state, kind, at, started, ended, n, good, active, planned = (row[i] for i in (1, *range(3, 13)))
    day = bdate_text(bdate) or _day(at, zone)
    if day < since.isoformat():
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
