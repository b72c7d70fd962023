"""SQL of what was: durations of earlier runs, what is ordinary for a pipeline, and how runs get on.

For the prediction of what is owed. Nothing here reads a pipeline's history further back than 60 days, nor more of it than its
index on (pipeline_id, at) gives in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from adapters.model import Health, Mode, Severity, Shape, State, Trigger
from engine.owed.quantile import DAYS, DEPTH
from engine.store.packed import BACKFILLED, GENERATED, KIND_MASK
from engine.store.writer import Tx

DAY: Final = 86_400_000
RECENT: Final = 12
"""Newest runs of a pipeline that are looked through for the one of a business date."""


class PipelineFacts(NamedTuple):
    """What a prediction must know of a pipeline. ``zone``: its own, else that of its source, else UTC. ``schedule``: as its source words it."""

    id: int
    key: str
    source_id: int
    mode: Mode
    trigger: Trigger
    schedule: str | None
    zone: str
    criticality: Severity = Severity.MEDIUM


class Ended(NamedTuple):
    """A finished run that tells how long the next one takes. Times ms UTC; ``bdate`` as yyyymmdd."""

    run_id: int
    at: int
    ms: int
    bdate: int | None


class Seen(NamedTuple):
    """A run as it stands in the store."""

    run_id: int
    name: str
    state: State
    kind: int
    attempt: int
    bdate: int | None
    at: int
    started: int | None
    ended: int | None
    updated: int
    shape: Shape
    history: bool
    """Fetched or made up: no alert comes from it."""


class Standing(NamedTuple):
    """Of a source: whether what it says is fresh, when it last answered, and how far its clock is ahead of ours (ms)."""

    fresh: bool
    last_ok: int | None
    skew: int


_STATES: Final = tuple(State)


def pipeline_facts(tx: Tx, key: str) -> PipelineFacts | None:
    """By its key; None where no such pipeline is known."""
    row = tx.db.execute(
        "SELECT p.id, p.key, p.source_id, p.mode, p.trigger, p.schedule, coalesce(p.timezone, s.timezone, 'UTC'), p.criticality"
        " FROM pipeline p JOIN source s ON s.id = p.source_id WHERE p.key = ?",
        (key,),
    ).fetchone()
    if row is None:
        return None
    pipeline_id, name, source_id, mode, trigger, schedule, zone, criticality = row
    return PipelineFacts(
        pipeline_id, name, source_id, Mode(mode), Trigger(trigger), schedule, zone or "UTC", Severity(criticality)
    )


def key_of(tx: Tx, pipeline_id: int) -> str | None:
    """Key of a pipeline."""
    row = tx.db.execute("SELECT key FROM pipeline WHERE id = ?", (pipeline_id,)).fetchone()
    return None if row is None else row[0]


def standings(tx: Tx) -> dict[int, Standing]:
    """Of all sources."""
    rows = tx.db.execute("SELECT source_id, health, last_ok, coalesce(skew_ms, 0) FROM source_health").fetchall()
    return {row[0]: Standing(row[1] == Health.FRESH, row[2], row[3]) for row in rows}


_ENDED: Final = (
    "SELECT r.id, r.at, r.ended - r.started, r.bdate FROM run r LEFT JOIN run_extra x ON x.run_id = r.id"  # noqa: S608
    " WHERE r.pipeline_id = ? AND r.at >= ? AND r.at < ? AND r.state = 6 AND r.kind & 7 = 0 AND r.attempt = 1"
    f" AND r.ended >= r.started AND coalesce(x.shape, 0) = ? ORDER BY r.at DESC, r.id DESC LIMIT {DEPTH}"
)


def ended(tx: Tx, pipeline_id: int, shape: Shape, until: int | None = None) -> list[Ended]:
    """The last 30 successful, scheduled first attempts of one shape within 60 days, oldest first; ``until``: begun before it."""
    before = 1 << 62 if until is None else until
    rows = tx.db.execute(_ENDED, (pipeline_id, tx.now - DAYS * DAY, before, int(shape))).fetchall()
    return [Ended(*row) for row in reversed(rows)]


_SEEN: Final = (
    "SELECT r.id, r.run, r.state, r.kind, r.attempt, r.bdate, r.at, r.started, r.ended, r.updated, coalesce(x.shape, 0)"
)


def _seen(row: Sequence[Any]) -> Seen:
    run_id, name, state, kind, attempt, bdate, at, started, end, updated, shape = row
    history = bool(kind & (BACKFILLED | GENERATED))
    return Seen(
        run_id, name, _STATES[state], kind & KIND_MASK, attempt, bdate, at, started, end, updated, Shape(shape), history
    )


def recent(tx: Tx, pipeline_id: int) -> list[Seen]:
    """The newest runs of a pipeline, newest first."""
    rows = tx.db.execute(
        f"{_SEEN} FROM run r LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.pipeline_id = ? ORDER BY r.at DESC, r.id DESC LIMIT {RECENT}",
        (pipeline_id,),
    ).fetchall()
    return [_seen(row) for row in rows]


def seen(tx: Tx, run_ids: Iterable[int]) -> dict[int, Seen]:
    """Runs by id."""
    rows = tx.db.execute(
        f"{_SEEN} FROM json_each(?) j CROSS JOIN run r ON r.id = j.value LEFT JOIN run_extra x ON x.run_id = r.id",
        (json.dumps(list(run_ids)),),
    ).fetchall()
    return {row[0]: _seen(row) for row in rows}


def active(tx: Tx) -> list[tuple[int, str, Seen]]:
    """All runs that go on: (pipeline id, pipeline key, run)."""
    rows = tx.db.execute(
        f"{_SEEN}, p.id, p.key FROM run r JOIN pipeline p ON p.id = r.pipeline_id LEFT JOIN run_extra x ON x.run_id = r.id"
        " WHERE r.state IN (1, 2, 3, 4, 5)"
    ).fetchall()
    return [(row[-2], row[-1], _seen(row[:-2])) for row in rows]


def usual(tx: Tx, pipeline_id: int) -> tuple[int, int] | None:
    """Median and 90 % quantile of a pipeline's durations as screens show them, ms; None below 8 runs."""
    row = tx.db.execute("SELECT usual_ms, p90_ms FROM pipe_now WHERE pipeline_id = ?", (pipeline_id,)).fetchone()
    return None if row is None or row[0] is None or row[1] is None else (row[0], row[1])


def unsettled_keys(tx: Tx) -> list[tuple[str, int]]:
    """(key, pipeline id) of what is owed by single runs and not settled."""
    return tx.db.execute(
        "SELECT o.key, e.pipeline_id FROM occurrence o CROSS JOIN expectation e ON e.id = o.expectation_id"
        " WHERE o.state IN (0, 1, 4, 5, 7) AND e.type IN ('max_duration', 'duration_anomaly', 'runaway') AND e.gone = 0"
        " AND e.pipeline_id IS NOT NULL"
    ).fetchall()


def progress(tx: Tx, run_id: int) -> tuple[Any, ...]:
    """What moves when a run gets on: its own time of change, its steps, the bytes of its logs. To be compared, nothing else."""
    run = tx.db.execute("SELECT updated, state FROM run WHERE id = ?", (run_id,)).fetchone()
    steps = tx.db.execute(
        "SELECT count(*), total(state), max(started), max(ended) FROM step_run WHERE run_id = ?", (run_id,)
    ).fetchone()
    logs = tx.db.execute("SELECT count(*), total(size) FROM log_file WHERE run_id = ?", (run_id,)).fetchone()
    return (*(run or ()), *steps, *logs)


# --- what is ordinary -----------------------------------------------------------------------------------------------


def baseline(tx: Tx, pipeline_id: int, shape: Shape) -> str | None:
    """As ``put_baseline`` wrote it."""
    row = tx.db.execute(
        "SELECT body FROM baseline WHERE pipeline_id = ? AND shape = ?", (pipeline_id, int(shape))
    ).fetchone()
    return None if row is None else row[0]


def put_baseline(tx: Tx, pipeline_id: int, shape: Shape, body: str) -> None:
    """No topic moves: screens show what was learnt with the predictions that come of it."""
    tx.db.execute(
        "INSERT OR REPLACE INTO baseline (pipeline_id, shape, body) VALUES (?, ?, ?)", (pipeline_id, int(shape), body)
    )


def drop_baseline(tx: Tx, pipeline_id: int) -> None:
    """Of all shapes: older runs came to light, and it is to be worked out anew."""
    tx.db.execute("DELETE FROM baseline WHERE pipeline_id = ?", (pipeline_id,))


# --- feeds ----------------------------------------------------------------------------------------------------------


def feed_promises(tx: Tx, thing: str) -> list[int]:
    """Ids of the promises that a feed (``feed:NAME``) arrives."""
    rows = tx.db.execute(
        "SELECT id FROM expectation WHERE thing = ? AND type = 'source_arrival' AND gone = 0", (thing,)
    ).fetchall()
    return [row[0] for row in rows]


def feed_owed(tx: Tx, promises: Iterable[int], a: int, b: int) -> list[tuple[int, int, int | None]]:
    """(state, due, business date as yyyymmdd) of arrivals due in (a, b], oldest first."""
    found: list[tuple[int, int, int | None]] = []
    for promise in promises:
        found += tx.db.execute(
            "SELECT state, due_at, bdate FROM occurrence WHERE expectation_id = ? AND due_at > ? AND due_at <= ? ORDER BY due_at",
            (promise, a, b),
        ).fetchall()
    return found


def arrived(tx: Tx, feed: str, since: int) -> list[tuple[int, int | None]]:
    """(at, business date as yyyymmdd) of what came since then; ``feed``: its bare name."""
    return tx.db.execute(
        "SELECT at, bdate FROM arrival WHERE feed = ? AND at >= ? ORDER BY at", (feed, since)
    ).fetchall()
