"""A run that never came, as a row of history: so that strips, Runs and Matrix show the hole where it should stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from adapters.model import RunKind, State
from engine.store.current import count_runs, day_number, keep_current, rebuild_now
from engine.store.owed_facts import PLACEHOLDER
from engine.store.packed import OWN_TIME, bdate_number
from engine.store.writer import Tx

_WORDS: Final = "no run was made for it"


def _name(at: int) -> str:
    return f"{PLACEHOLDER}{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H%M%SZ}"


def put_missed(tx: Tx, pipeline_id: int, at: int, business_date: str | None) -> bool:
    """A MISSED run of a pipeline at its tick ``at`` (ms UTC); False if it stands there already. No alert comes from it."""
    name = _name(at)
    if tx.db.execute("SELECT 1 FROM run WHERE pipeline_id = ? AND run = ?", (pipeline_id, name)).fetchone():
        return False
    run_id = int(tx.db.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()[0]) + 1
    bdate = None if not business_date else bdate_number(business_date)
    state, kind = int(State.MISSED), int(RunKind.SCHEDULED) | OWN_TIME
    tx.db.execute(
        "INSERT INTO run (id, pipeline_id, run, state, kind, attempt, bdate, at, queued, started, ended, updated)"
        " VALUES (?, ?, ?, ?, ?, 1, ?, ?, NULL, NULL, NULL, ?)",
        (run_id, pipeline_id, name, state, kind, bdate, at, tx.now),
    )
    tx.db.execute("INSERT INTO run_extra (run_id, sub) VALUES (?, ?)", (run_id, _WORDS))
    extra = (None, _WORDS, None, None, None, None, None, None, None, None)
    moved = (run_id, name, None, (state, kind, 1, bdate, at, None, None, None), extra)
    keep_current(tx, {pipeline_id: [moved]}, 1)
    tx.bump("run")
    return True


def drop_missed(tx: Tx, pipeline_id: int, at: int) -> bool:
    """Take the placeholder away: its run came late. False if there was none."""
    row = tx.db.execute(
        "DELETE FROM run WHERE pipeline_id = ? AND run = ? RETURNING id", (pipeline_id, _name(at))
    ).fetchone()
    if row is None:
        return False
    tx.db.execute("DELETE FROM run_extra WHERE run_id = ?", (row[0],))
    tx.db.execute("UPDATE run_day SET bad = bad - 1 WHERE pipeline_id = ? AND day = ?", (pipeline_id, day_number(at)))
    count_runs(tx, -1)
    rebuild_now(tx, pipeline_id)
    tx.bump("run")
    return True
