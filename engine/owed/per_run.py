"""The book of what single runs owe: what is held of runs that go on, how verdicts are written, the values that they are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heapify, heappush
from typing import Any, Final

from adapters.model import Owed, RunKind, Severity, Shape, State
from engine.owed import past
from engine.owed.bound import Bound, OwedChange
from engine.owed.occurrences import Evidence, Occurrence, Promise
from engine.owed.past import Known
from engine.owed.predict import Prediction, Risk
from engine.owed.wording import time_words
from engine.store import owed
from engine.store.packed import bdate_text
from engine.store.past import PipelineFacts, Seen, Standing
from engine.store.writer import Tx

MAX, ODD, RUNAWAY = "max_duration", "duration_anomaly", "runaway"
FAR: Final = 3
"""A run is suspected to be a runaway when it takes longer than this many times the longest that is known."""


@dataclass(slots=True)
class Row:
    """An occurrence of a run as it is stored. ``said``: the prediction that is stored with it."""

    id: int
    pipeline_id: int
    one: Occurrence
    risk: Risk = Risk()  # noqa: RUF009  frozen
    told: bool = False
    said: Prediction | None = None


@dataclass(slots=True)
class Going:
    """A run that goes on. ``started``: by our clock. ``moved``, ``since``: of a suspect, what was seen of it and since when.

    ``usual``: median and 90 % quantile of its pipeline as screens show them: good enough to know when to look. ``fresh``: it was
    not known before, so nothing is stored of it.
    """

    key: str
    pipeline_id: int
    run: Seen
    started: int
    look: int = 0
    moved: tuple[Any, ...] | None = None
    since: int = 0
    asked: int = 0
    usual: tuple[int, int] | None = None
    fresh: bool = False


@dataclass(slots=True)
class Held:
    """What lies in the memo, so that a rollback takes it back."""

    runs: dict[str, Going] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    of: dict[int, set[str]] = field(default_factory=dict)
    due: list[tuple[int, str]] = field(default_factory=list)

    def keep(self, row: Row) -> None:
        """Hold a row until it settles."""
        self.rows[row.one.key] = row
        self.of.setdefault(row.pipeline_id, set()).add(row.one.key)

    def drop(self, row: Row) -> None:
        """It settled."""
        self.rows.pop(row.one.key, None)
        mine = self.of.get(row.pipeline_id)
        if mine is not None:
            mine.discard(row.one.key)
            if not mine:
                del self.of[row.pipeline_id]

    def wake(self, going: Going, at: int | None) -> None:
        """Look at a run again; None: only when it changes."""
        going.look = at or 0
        if at is not None:
            heappush(self.due, (at, going.key))
            if len(self.due) > 1000 + 4 * len(self.runs):  # of runs that ended, or were looked at since
                self.due = [(g.look, g.key) for g in self.runs.values() if g.look]
                heapify(self.due)


# --- writing --------------------------------------------------------------------------------------------------------


def open_row(tx: Tx, here: Held, one: tuple[int, int, Occurrence], fresh: bool = False) -> Row:
    """Store an occurrence as ``make`` gives it; ``fresh``: there can be none of it yet."""
    expectation, pipeline, occurrence = one
    stored = None if fresh else owed.held_one(tx, occurrence.key)
    if stored is not None:  # settled before: the run was opened again
        row = Row(stored.id, pipeline, stored.one, stored.risk, stored.told)
    else:
        (made,) = owed.insert_occurrences(tx, expectation, [occurrence])
        row = Row(made, pipeline, occurrence)
    here.keep(row)
    return row


def move(
    tx: Tx, bound: Bound, row: Row, state: Owed, reason: str, proof: tuple[Evidence, ...], since: int | None,
    prediction: Prediction | None = None, before: Owed | None = Owed.PENDING,
) -> list[OwedChange]:  # fmt: skip
    """Write a verdict; told is what changed its state. ``before`` None: nobody knew of it. What was waived stays so."""
    if row.one.state is Owed.WAIVED:
        return []
    was = None if before is None else row.one.state
    one = replace(row.one, state=state, reason=reason, evidence=proof, since=since)
    if one == row.one:
        return []
    row.one = one
    owed.update_occurrence(tx, row.id, one)
    if was is state:
        return []
    return [tell(tx, bound, row, was, prediction)]


def late(
    tx: Tx, here: Held, bound: Bound, row: Row, reason: str, ended: int, over: int | None, key: str | None = None,
    known: bool = True,
) -> list[OwedChange]:  # fmt: skip
    """Broken, and over."""
    if row.one.state is Owed.WAIVED:
        here.drop(row)
        return []
    was = row.one.state if known else None
    proof = row.one.evidence if key is None else (Evidence("run", key, ended, reason),)
    row.one = replace(
        row.one, state=Owed.MET_LATE, reason=reason, met_at=ended, since=ended, lateness_ms=over, evidence=proof
    )
    owed.update_occurrence(tx, row.id, row.one)
    here.drop(row)
    return [tell(tx, bound, row, was)]


def met(tx: Tx, here: Held, bound: Bound, row: Row, reason: str, ended: int) -> list[OwedChange]:
    """Kept: forgotten, and told only if anybody may have heard of it."""
    if row.one.state is Owed.WAIVED:
        here.drop(row)
        return []
    was = row.one.state
    row.one = replace(row.one, state=Owed.MET, reason=reason, met_at=ended, since=ended)
    here.drop(row)
    owed.drop_occurrence(tx, row.id)
    return [] if was is Owed.PENDING else [tell(tx, bound, row, was)]


def tell(tx: Tx, bound: Bound, row: Row, before: Owed | None, prediction: Prediction | None = None) -> OwedChange:
    """What the alerts are to know; that people were told is kept with the row."""
    alerting = row.one.alerting(tx.now)
    if alerting and not row.told:
        row.told = True
        owed.put_told(tx, row.id, True)
    run = next((e.key for e in reversed(row.one.evidence) if e.what == "run"), None)
    return OwedChange(
        bound=bound,
        occurrence_id=row.id,
        before=before,
        after=row.one,
        alerting=alerting,
        prediction=prediction,
        run_key=run,
    )


# --- values ---------------------------------------------------------------------------------------------------------


def native(run: Seen) -> str:
    """The run's native id; later attempts are owed anew."""
    return run.name if run.attempt == 1 else f"{run.name}#{run.attempt}"


def key_of(bound: Bound, run: Seen) -> str:
    """Of the occurrence of a run."""
    return f"{bound.promise.id}|{bound.promise.on}|{native(run)}"


def make(
    bound: Bound, facts: PipelineFacts, run: Seen, started: int, due: int, reason: str = "running"
) -> tuple[int, int, Occurrence]:
    """(id of its promise, of its pipeline, the occurrence)."""
    promise = bound.promise
    one = Occurrence(
        key=key_of(bound, run), promise=promise.id, type=promise.type, on=facts.key, zone=promise.zone,
        business_date=bdate_text(run.bdate) or past.local_date(promise.zone, started), tick=None, from_at=started, declared_at=due, due_at=due,
        alert_at=due + promise.late_by_ms, dated=False, by_clock=False, warning_counts=promise.warning_counts, reason=reason,
        evidence=(Evidence("run", f"{facts.key}/{run.name}", started, reason),),
    )  # fmt: skip
    return bound.id, facts.id, one


def runaway(tx: Tx, facts: PipelineFacts) -> Bound:
    """What every pipeline with a history owes without configuration; its row is made when the first run breaks it."""
    words = f"not longer than {FAR} times its longest run while nothing moves"
    severity = Severity(min(facts.criticality + 1, Severity.LOW))
    record = owed.ExpectationRecord(
        promise=RUNAWAY, thing=facts.key, pipeline_id=facts.id, type=RUNAWAY, severity=severity, declared=False, words=words, zone=facts.zone
    )  # fmt: skip
    promise = Promise(id=RUNAWAY, type=RUNAWAY, on=facts.key, zone=facts.zone)
    return Bound(
        id=owed.put_expectation(tx, record), promise=promise, severity=severity, words=words, declared=False, pipeline_id=facts.id,
        source=facts.key.partition(":")[0],
    )  # fmt: skip


def tells(run: Seen) -> bool:
    """Whether its duration is comparable with that of its history."""
    return run.kind == RunKind.SCHEDULED and run.attempt == 1 and run.shape != Shape.PARTIAL


def known_of(tx: Tx, facts: PipelineFacts, key: str, run: Seen, started: int) -> Known:
    """What was learnt of runs like it."""
    day = past.class_on(facts.zone, started) if run.bdate is None else past.class_of_number(run.bdate)
    return past.known_of(tx, facts.id, facts.zone, past.shape_of(tx, facts.id, key), day)


def proof_of(going: Going, words: str) -> tuple[Evidence, ...]:
    """The run itself."""
    return (Evidence("run", going.key, going.started, words),)


def unseen(zone: str, standing: Standing, due: int) -> str:
    """Why it is not known whether it ended in time."""
    since = "never seen" if standing.last_ok is None else f"not seen since {time_words(zone, standing.last_ok, due)}"
    return f"{since}, it was to end by {time_words(zone, due)}"


_WORDS: Final = {
    State.SUCCESS: "succeeded",
    State.WARNING: "finished with warnings",
    State.FAILED: "failed",
    State.TIMED_OUT: "timed out",
    State.STOPPED: "stopped",
    State.SKIPPED: "skipped",
    State.LOST: "lost",
}


def word(state: State) -> str:
    """How a run ended."""
    return _WORDS.get(state, state.name.lower())
