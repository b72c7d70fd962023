"""Promises for the tests of screens, written by the engine's own writer functions into a ``House``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.model import Course, Owed, Severity
from engine.owed.history import Basis, DayClass
from engine.owed.occurrences import Evidence, Occurrence
from engine.owed.predict import Prediction, Risk
from engine.store import owed
from tests.tui.stores import DAY, MINUTE, TZ, House


def owe(
    house: House, thing: str, *, due_in: int, state: Owed = Owed.PENDING, type: str = "finish_by", promise: str | None = None, reason: str = "",
    date: str = "2026-11-19", declared: bool = True, severity: Severity = Severity.HIGH, p50_in: int | None = None, p90_in: int | None = None,
    late: float | None = None, must_start_in: int | None = None, course: Course = Course.WAITING, n: int = 20, met_in: int | None = None,
    run: str | None = None, consumers: tuple[str, ...] = (), now: bool = True, learnt: bool = True, expected_ms: int | None = None,
    words: str | None = None, start_in: int = 0, outlived: int | None = None, limit_ms: int | None = None, **more: Any,
) -> int:  # fmt: skip
    """One occurrence of ``thing`` (a pipeline's key, ``feed:…``, ``ping:…``, ``set:…``), times as distances from the house's now; its id.

    ``start_in``: start of what is predicted; ``outlived``: runs of ``n`` that took longer so far (half of them).
    ``more`` goes into the Occurrence (``members``, ``missed``, ``opened_as`` …). ``now``: it is the one that matters of its thing.
    """
    due = house.now + due_in
    promise = promise or f"{type}-{thing.rpartition(':')[2]}"
    met_at = None if met_in is None else house.now + met_in
    one = Occurrence(
        key=f"{promise}|{thing}|{due}", promise=promise, type=type, on=thing, zone=TZ, business_date=date, tick=None, from_at=due - DAY,
        declared_at=due, due_at=due, alert_at=due, dated=True, by_clock=True, state=state, reason=reason or state.name.lower(),
        since=due if state is Owed.BREACHED else None, met_at=met_at,
        lateness_ms=met_at - due if met_at is not None and state is Owed.MET_LATE else None,
        evidence=() if run is None else (Evidence("run", f"{thing}/{run}", met_at, reason),),
    )  # fmt: skip
    one = replace(one, **more)
    with house.tx() as tx:
        row = tx.db.execute("SELECT id FROM pipeline WHERE key = ?", (thing,)).fetchone()
        pipeline_id = None if row is None else row[0]
        record = owed.ExpectationRecord(
            promise=promise, thing=thing, pipeline_id=pipeline_id, type=type, severity=severity, declared=declared,
            words=words or f"{type.replace('_', ' ')} {TZ}", zone=TZ, consumers=consumers, expected_ms=expected_ms,
            limit_ms=limit_ms, place="watchfloor.toml:12",
        )  # fmt: skip
        (made,) = owed.insert_occurrences(tx, owed.put_expectation(tx, record), [one])
        if p50_in is not None or late is not None or must_start_in is not None or course is Course.LEARNING:
            basis = Basis(learnt, n, house.now - 40 * DAY, house.now - DAY, DayClass.WEEKDAY if learnt else None)
            at = [None if v is None else house.now + v for v in (p50_in, p90_in, must_start_in)]
            said = Prediction(
                course, house.now + start_in, at[0], at[1], late, n // 2 if outlived is None else outlived, n, at[2], basis, 5 * MINUTE
            )  # fmt: skip
            owed.put_prediction(tx, made, said, Risk(state is Owed.AT_RISK, 2 if state is Owed.AT_RISK else 0))
        if now:
            owed.put_now(tx, thing, pipeline_id, made)
    return made
