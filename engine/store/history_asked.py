"""What the terminal asks for the history grid, the duration chart and the comparison of two runs. Part of the Reader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from adapters.model import Mode, RunKind, Shape, State
from engine.owed.quantile import DAYS, DEPTH, LEAST, median, quantile
from engine.store.history_rows import History, Ordinary, PastRun, PastStep, Shift, StepPlan
from engine.store.link import Link
from engine.store.packed import GENERATED, KIND_MASK, NATIVE, STATES, bdate_text

MOST: Final = 100
"""Runs that a history looks back over at most."""
DAY: Final = 86_400_000
_MODES: Final = tuple(Mode)
_KINDS: Final = tuple(RunKind)

_RUNS: Final = (
    "SELECT r.id, r.run, r.state, x.native, x.sub, r.kind, r.attempt, r.bdate, r.at, r.queued, r.started, r.ended, x.error,"
    " coalesce(x.shape, 0) FROM run r LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.pipeline_id = ?"
    " ORDER BY r.at DESC, r.id DESC LIMIT ?"
)
# The last try of each instance, then the worst of a step's instances: rank above the state, so that one max() finds both.
_RANK: Final = (
    "CASE state WHEN 8 THEN 99 WHEN 9 THEN 98 WHEN 12 THEN 97 WHEN 10 THEN 96 WHEN 5 THEN 95 WHEN 3 THEN 94 WHEN 4 THEN 93"
    " WHEN 2 THEN 92 WHEN 1 THEN 91 WHEN 7 THEN 90 WHEN 6 THEN 89 WHEN 0 THEN 88 ELSE 87 END * 16 + state"
)
_FOLDED: Final = f"""
SELECT run_id, step, count(*), max({_RANK}) & 15, max(attempt), min(queued), min(started),
  CASE WHEN sum(started IS NOT NULL AND ended IS NULL) THEN NULL ELSE max(ended) END, min(ord), max(map_index) >= 0,
  group_concat(state)
FROM (SELECT s.run_id, s.step, s.map_index, max(s.attempt) AS attempt, s.state, s.queued, s.started, s.ended, s.ord
  FROM json_each(?) j CROSS JOIN step_run s ON s.run_id = j.value GROUP BY s.run_id, s.step, s.map_index)
GROUP BY run_id, step ORDER BY run_id, min(ord), coalesce(min(started), min(queued), 9e15), step"""  # noqa: S608


_FLAT: Final = (
    "SELECT s.run_id, s.step, s.map_index, s.attempt, s.state, s.queued, s.started, s.ended, s.ord FROM json_each(?) j"
    " CROSS JOIN step_run s ON s.run_id = j.value LIMIT ?"
)
FEW: Final = 4_000
"""Tries of steps up to which they are folded here, twice as fast; beyond (thousands of mapped ones) by the store."""
_RANKS: Final = {8: 99, 9: 98, 12: 97, 10: 96, 5: 95, 3: 94, 4: 93, 2: 92, 1: 91, 7: 90, 6: 89, 0: 88}
"""Which of several mapped instances a step is drawn as, as ``_RANK`` has it."""


class HistoryQuestions(Link):
    """Part of the Reader."""

    def past_runs(self, pipeline_key: str, limit: int = MOST) -> History | None:
        """A pipeline's last runs (100 at most), what is ordinary for them, and its steps as defined; None: no such pipeline."""
        with self.snapshot():
            found = self.one(
                "SELECT p.id, p.key, p.name, s.name, s.environment, p.mode, p.extra FROM pipeline p JOIN source s ON s.id = p.source_id"
                " WHERE p.key = ?",
                (pipeline_key,),
            )
            if found is None:
                return None
            limit = max(1, min(limit, MOST))
            rows = self.all(_RUNS, (found[0], MOST + 1))
        runs = [_past_run(found[1], row) for row in rows[:MOST]]
        runs.reverse()
        newest = max((r.at for r in runs), default=0)
        ordinary, shift = _ordinary(runs, newest)
        plan = _plan(found[6])
        return History(
            id=found[0], key=found[1], name=found[2], source=found[3], environment=found[4], mode=_MODES[found[5]],
            runs=tuple(runs[-limit:]), ordinary=ordinary, shift=shift, plan=plan, more=len(rows) > limit,
            after={s.name: s.after for s in plan},
        )  # fmt: skip

    def past_steps(self, run_ids: Sequence[int]) -> dict[int, tuple[PastStep, ...]]:
        """Steps of these runs in their order, folded: the last try of each, the worst of mapped ones. Runs without any are left out."""
        if not run_ids:
            return {}
        ids = json.dumps(list(run_ids))
        rows = self.all(_FLAT, (ids, FEW + 1))
        if len(rows) <= FEW:
            return _folded(rows)
        out: dict[int, list[PastStep]] = {}
        for run, step, count, state, tries, queued, started, ended, order, mapped, states in self.all(_FOLDED, (ids,)):
            alike = 1 if count == 1 else str(states).split(",").count(str(state))
            out.setdefault(run, []).append(
                PastStep(step, STATES[state], count, alike, tries, queued, started, ended, order, bool(mapped))
            )
        return {run: tuple(steps) for run, steps in out.items()}

    def step_plan(self, pipeline_key: str) -> tuple[StepPlan, ...]:
        """Steps of a pipeline as it defines them, with what each comes after; empty where its source does not say."""
        row = self.one("SELECT extra FROM pipeline WHERE key = ?", (pipeline_key,))
        return () if row is None else _plan(row[0])

    def success_before(self, run_key: str) -> str | None:
        """The last successful run of its pipeline that began before this one, within its last 500 runs; None: there is none."""
        pipeline, _, name = run_key.partition("#")[0].partition("/")
        row = self.one(
            "SELECT run FROM (SELECT o.run, o.state, o.at, o.id FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ?"
            " JOIN run o ON o.pipeline_id = p.id AND (o.at, o.id) < (r.at, r.id) WHERE p.key = ? ORDER BY o.at DESC, o.id DESC"
            " LIMIT 500) WHERE state = 6 ORDER BY at DESC, id DESC LIMIT 1",
            (name, pipeline),
        )
        return None if row is None else f"{pipeline}/{row[0]}"

    def failing_on(self) -> list[tuple[int, str]]:
        """(run id, run key) of runs that go on and of which a step, in its last known try, failed."""
        rows = self.all(
            "SELECT r.id, p.key || '/' || r.run FROM pipe_now n CROSS JOIN pipeline p ON p.id = n.pipeline_id"
            " CROSS JOIN run r ON r.id = n.run_id WHERE n.active > 0 AND n.state IN (2, 3)"
            " AND EXISTS (SELECT 1 FROM step_run s WHERE s.run_id = r.id AND s.state IN (8, 9, 12))"
        )
        return [(row[0], row[1]) for row in rows]


def _past_run(pipeline: str, row: Sequence[Any]) -> PastRun:
    state, flags = row[2], row[5]
    return PastRun(
        id=row[0], key=f"{pipeline}/{row[1]}", state=STATES[state], native=row[3] or NATIVE[state], sub=row[4],
        kind=_KINDS[flags & KIND_MASK], attempt=row[6], business_date=bdate_text(row[7]), at=row[8], queued=row[9],
        started=row[10], ended=row[11], error=row[12], generated=bool(flags & GENERATED), shape=row[13],
    )  # fmt: skip


def _plan(extra: str | None) -> tuple[StepPlan, ...]:
    steps: list[dict[str, Any]] = json.loads(extra).get("steps", []) if extra else []
    return tuple(StepPlan(str(s["name"]), tuple(str(a) for a in s.get("after", ()))) for s in steps)


def _ordinary(runs: Sequence[PastRun], newest: int) -> tuple[Ordinary, Shift | None]:
    """Quartiles of the durations that say what is usual, and the last shift of their level, by the engine's own rules."""
    shape = next((r.shape for r in reversed(runs) if r.shape != Shape.PARTIAL), int(Shape.FULL))
    tells = [
        r for r in runs
        if r.state is State.SUCCESS and r.kind is RunKind.SCHEDULED and r.attempt == 1 and r.shape == shape
        and r.ms is not None and r.at >= newest - DAYS * DAY
    ]  # fmt: skip
    ordered = sorted(r.ms for r in tells[-DEPTH:] if r.ms is not None)
    n = len(ordered)
    if n < LEAST:
        return Ordinary(n, LEAST), None
    p25, p50, p75, p90 = (round(quantile(ordered, q)) for q in (0.25, 0.5, 0.75, 0.9))
    return Ordinary(n, LEAST, p25, p50, p75, p90), _shift(tells)


def _shift(tells: Sequence[PastRun]) -> Shift | None:
    from engine.owed.anomaly import Levels  # only who opens a history pays for it
    from engine.owed.history import day_class

    levels = Levels()
    since: int | None = None
    for run in tells:
        assert run.ms is not None
        day = (
            date.fromisoformat(run.business_date)
            if run.business_date
            else datetime.fromtimestamp(run.at / 1000, UTC).date()
        )
        levels, _, shifted = levels.step(run.at, run.ms, day_class(day))
        if shifted:
            since = levels.shift(day_class(day))
    if since is None:
        return None
    before = sorted(r.ms for r in tells if r.at < since and r.ms is not None)
    after = sorted(r.ms for r in tells if r.at >= since and r.ms is not None)
    if not before or not after:
        return None
    return Shift(since, round(median(before)), round(median(after)))


def _folded(rows: Sequence[Any]) -> dict[int, tuple[PastStep, ...]]:
    """What ``_FOLDED`` asks, of rows of ``_FLAT``."""
    last: dict[tuple[int, str, int], Any] = {}
    for row in rows:
        key = row[:3]
        known = last.get(key)
        if known is None or row[3] > known[3]:
            last[key] = row
    found: dict[int, dict[str, list[Any]]] = {}
    for row in last.values():
        found.setdefault(row[0], {}).setdefault(row[1], []).append(row)
    out: dict[int, tuple[PastStep, ...]] = {}
    for run, steps in found.items():
        made = [_step(name, tries) for name, tries in steps.items()]
        made.sort(key=_place)
        out[run] = tuple(made)
    return out


def _step(name: str, rows: Sequence[Any]) -> PastStep:
    if len(rows) == 1:
        _, _, index, attempt, state, queued, started, ended, order = rows[0]
        open_ = started is not None and ended is None
        return PastStep(
            name, STATES[state], 1, 1, attempt, queued, started, None if open_ else ended, order, index >= 0
        )
    states = [row[4] for row in rows]
    worst = max(states, key=lambda state: _RANKS.get(state, 87) * 16 + state)
    ends = [row[7] for row in rows if row[7] is not None]
    goes_on = any(row[6] is not None and row[7] is None for row in rows)
    return PastStep(
        name, STATES[worst], len(rows), states.count(worst), max(row[3] for row in rows),
        min((row[5] for row in rows if row[5] is not None), default=None),
        min((row[6] for row in rows if row[6] is not None), default=None),
        None if goes_on else max(ends, default=None), min(row[8] for row in rows), any(row[2] >= 0 for row in rows),
    )  # fmt: skip


def _place(step: PastStep) -> tuple[int, float, str]:
    began = step.started if step.started is not None else step.queued
    return step.order, 9e15 if began is None else began, step.step
