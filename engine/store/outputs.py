"""SQL of outputs: what a run or a step of it was expected to make, and what was seen. Owner: engine.facts.outputs."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import State
from engine.config.model import Facts
from engine.store.asked import split
from engine.store.facts import DueCheck
from engine.store.packed import BACKFILLED, GENERATED, STATES
from engine.store.writer import Tx

MET = 1
"""State of an output that is as expected; 0 waits, 2 is not."""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """The last try of a step, as far as it was read."""

    state: State
    started: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class DueOutput:
    """An output that is to be asked for, and the run it is of. ``tries``: how often it was asked."""

    run: DueCheck
    step: str
    tries: int
    steps_known: bool
    seen: StepSeen | None


def facts_of(tx: Tx, pipeline_id: int) -> Facts | None:
    """What a selector can ask of a pipeline."""
    row = tx.db.execute(
        "SELECT p.key, s.name, s.environment, p.application, p.layer, p.tags FROM pipeline p JOIN source s ON s.id = p.source_id WHERE p.id = ?",
        (pipeline_id,),
    ).fetchone()
    return (
        None
        if row is None
        else Facts(key=row[0], source=row[1], environment=row[2], application=row[3], layer=row[4], tags=split(row[5]))
    )


def open_output(tx: Tx, run_id: int, attempt: int, name: str, step: str, expected: str) -> bool:
    """It is expected from now on; those of earlier attempts are asked for no more. False: it is open already, or was answered."""
    tx.db.execute(
        "UPDATE run_output SET next_at = NULL WHERE run_id = ? AND attempt < ? AND next_at IS NOT NULL",
        (run_id, attempt),
    )
    made = tx.db.execute(
        "INSERT OR IGNORE INTO run_output (run_id, attempt, name, step, expected, at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run_id, attempt, name, step, expected, tx.now, tx.now),
    ).rowcount
    if made:
        tx.bump("owed")
    return bool(made)


def ask_soon(tx: Tx, run_id: int) -> bool:
    """Its run ended: what waits is asked at once."""
    return bool(
        tx.db.execute(
            "UPDATE run_output SET next_at = ? WHERE run_id = ? AND next_at > ?", (tx.now, run_id, tx.now)
        ).rowcount
    )


def ended_steps(tx: Tx, step: str) -> list[tuple[int, int, int]]:
    """(run, attempt, pipeline): current runs that still go on, of which this step ended."""
    return tx.db.execute(
        "SELECT r.id, r.attempt, r.pipeline_id FROM run r CROSS JOIN step_run t ON t.run_id = r.id AND t.step = ?"
        " WHERE r.state IN (1, 2, 3, 4, 5) AND r.state <> 6 AND r.kind & ? = 0 AND t.ended IS NOT NULL GROUP BY r.id",
        (step, GENERATED | BACKFILLED),
    ).fetchall()


def due(tx: Tx, limit: int = 20) -> list[DueOutput]:
    """What is to be asked for by now, the longest waiting first."""
    rows = tx.db.execute(
        "SELECT o.run_id, o.attempt, o.name, o.state, o.words, p.key, r.run, r.state, r.attempt, r.bdate, coalesce(r.started, r.at),"
        " coalesce(r.ended, r.updated), o.step, o.tries, EXISTS (SELECT 1 FROM step_run t WHERE t.run_id = r.id) FROM run_output o"
        " CROSS JOIN run r ON r.id = o.run_id CROSS JOIN pipeline p ON p.id = r.pipeline_id WHERE o.next_at <= ? ORDER BY o.next_at LIMIT ?",
        (tx.now, limit),
    ).fetchall()
    found: list[DueOutput] = []
    for r in rows:
        one = DueCheck(
            run_id=r[0], attempt=r[1], name=r[2], state=r[3], words=r[4], pipeline_key=r[5], run=r[6], run_state=STATES[r[7]],
            run_attempt=r[8], bdate=r[9], started=r[10], ended=r[11], wanted=(),
        )  # fmt: skip
        seen = None
        if r[12]:
            step = tx.db.execute(
                "SELECT state, started, ended FROM step_run WHERE run_id = ? AND step = ? ORDER BY attempt DESC, map_index LIMIT 1", (r[0], r[12])
            ).fetchone()  # fmt: skip
            seen = None if step is None else StepSeen(STATES[step[0]], step[1], step[2])
        found.append(DueOutput(one, r[12], r[13], bool(r[14]), seen))
    return found


def next_due(tx: Tx) -> int | None:
    """When the next one is to be asked for. Those of runs that were forgotten go."""
    tx.db.execute("DELETE FROM run_output WHERE next_at IS NOT NULL AND run_id NOT IN (SELECT id FROM run)")
    return tx.db.execute("SELECT min(next_at) FROM run_output WHERE next_at IS NOT NULL").fetchone()[0]


def put(tx: Tx, spot: tuple[int, int, str], state: int, saw: str | None, words: str, next_at: int | None) -> None:
    """What asking gave."""
    tx.db.execute(
        "UPDATE run_output SET state = ?, saw = ?, words = ?, at = ?, tries = tries + 1, next_at = ?"
        " WHERE run_id = ? AND attempt = ? AND name = ?",
        (state, saw, words, tx.now, next_at, *spot),
    )
    tx.bump("owed")


def drop(tx: Tx, spot: tuple[int, int, str]) -> None:
    """It is expected no longer."""
    tx.db.execute("DELETE FROM run_output WHERE run_id = ? AND attempt = ? AND name = ?", spot)
    tx.bump("owed")


def reading(tx: Tx, series: str) -> tuple[int | None, float | None, str, str | None] | None:
    """(time, value, unit, why there is none) of the last reading of a series; None: no such series was ever asked for."""
    return tx.db.execute(
        "SELECT n.t, n.value, s.unit, n.why FROM series s JOIN series_now n ON n.series_id = s.id WHERE s.name = ?",
        (series,),
    ).fetchone()


def step_began(tx: Tx, run_id: int, step: str) -> int | None:
    """When the last try of a step began, as far as its steps were read."""
    row = tx.db.execute(
        "SELECT started FROM step_run WHERE run_id = ? AND step = ? ORDER BY attempt DESC, map_index LIMIT 1",
        (run_id, step),
    ).fetchone()
    return None if row is None else row[0]
