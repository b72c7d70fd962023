"""SQL of steps and of the index of logs. The bytes of a log are a file; the store only knows where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.model import State, StepRun
from engine.store.packed import REOPENED
from engine.store.runs import run_id_of
from engine.store.writer import Tx

_FIELDS: Final = ("state", "native", "sub", "queued", "started", "ended", "ord", "error", "operator", "exit_code")
_COLUMNS: Final = ", ".join(_FIELDS)
_INSERT: Final = (
    f"INSERT INTO step_run (run_id, step, map_index, attempt, {_COLUMNS}) VALUES (?, ?, ?, ?{', ?' * len(_FIELDS)})"  # noqa: S608
)
_UPDATE: Final = f"UPDATE step_run SET {', '.join(f'{f} = ?' for f in _FIELDS)} WHERE id = ?"  # noqa: S608


def apply_steps(tx: Tx, run_key: str, steps: Sequence[StepRun]) -> bool:
    """Store the steps of a run as they are now; True if something changed. A run that is not stored has no steps.

    Tries that the source no longer lists are kept: they are history. Only one that never ended and is beyond the last
    try that is listed goes: it was announced (a cleared step waits) and did not come.
    """
    run_id = run_id_of(tx, run_key)
    if run_id is None:
        return False
    rows = tx.db.execute(
        f"SELECT step, map_index, attempt, id, {_COLUMNS} FROM step_run WHERE run_id = ?",  # noqa: S608
        (run_id,),
    ).fetchall()
    known = {row[:3]: (row[3], row[4:]) for row in rows}
    inserts: dict[tuple[str, int, int], tuple[object, ...]] = {}
    updates: list[tuple[object, ...]] = []
    for s in steps:
        identity = (s.step, s.map_index, s.attempt)
        old = known.get(identity)
        error = s.error if s.error is not None or old is None else old[1][7]  # what a log taught us is not forgotten
        values = (int(s.state), s.native, s.sub, s.queued, s.started, s.ended, s.order, error, s.operator, s.exit_code)
        if old is None:
            inserts[identity] = (run_id, *identity, *values)
        elif old[1] != values:
            updates.append((*values, old[0]))
    last: dict[tuple[str, int], int] = {}
    for s in steps:
        last[s.step, s.map_index] = max(s.attempt, last.get((s.step, s.map_index), 0))
    never = [
        (row_id,)
        for (step, index, attempt), (row_id, values) in known.items()
        if attempt > last.get((step, index), attempt) and not State(values[0]).terminal
    ]
    if not inserts and not updates and not never:
        return False
    tx.db.executemany("DELETE FROM step_run WHERE id = ?", never)
    tx.db.executemany(_INSERT, inserts.values())
    tx.db.executemany(_UPDATE, updates)
    tx.bump("step")
    return True


@dataclass(frozen=True, slots=True)
class LogKnown:
    """What is already there of a log: bytes in the file, where to go on, whether it is whole."""

    path: str
    size: int
    complete: bool
    cursor: str | None
    note: str | None


def log_cursor(tx: Tx, run_key: str, step: str, map_index: int, attempt: int) -> LogKnown | None:
    """What is stored about one log; None: nothing yet."""
    run_id = run_id_of(tx, run_key)
    row = tx.db.execute(
        "SELECT path, size, complete, cursor, note FROM log_file WHERE run_id = ? AND step = ? AND map_index = ? AND attempt = ?",
        (run_id, step, map_index, attempt),
    ).fetchone()
    return None if row is None else LogKnown(row[0], row[1], bool(row[2]), row[3], row[4])


def said_error(tx: Tx, run_key: str, attempt: int) -> str | None:
    """What is stored as the reason of that attempt of a run; None: nothing.

    ``attempt`` is the source's number; of a run whose attempts we count ourselves, the source has but one for all.
    """
    run_id = run_id_of(tx, run_key)
    row = tx.db.execute(
        "SELECT e.error FROM run r JOIN run_extra e ON e.run_id = r.id WHERE r.id = ? AND (r.attempt = ? OR (r.kind & ? AND r.attempt > ?))",
        (run_id, attempt, REOPENED, attempt),
    ).fetchone()
    return None if row is None else row[0]


def put_log(
    tx: Tx, run_key: str, step: str, map_index: int, attempt: int, path: str, size: int, complete: bool, cursor: str | None,
    note: str | None,
) -> None:  # fmt: skip
    """Index one log. Nothing is written, and no topic moves, when it is as it was; a run that is not stored has no logs."""
    run_id = run_id_of(tx, run_key)
    if run_id is None:
        return
    moved = tx.db.execute(
        "INSERT INTO log_file (run_id, step, map_index, attempt, path, size, complete, cursor, note, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, step, map_index, attempt) DO UPDATE SET"
        " path = excluded.path, size = excluded.size, complete = excluded.complete, cursor = excluded.cursor,"
        " note = excluded.note, updated = excluded.updated"
        " WHERE path <> excluded.path OR size <> excluded.size OR complete <> excluded.complete"
        " OR cursor IS NOT excluded.cursor OR note IS NOT excluded.note",
        (run_id, step, map_index, attempt, path, size, int(complete), cursor, note, tx.now),
    ).rowcount
    if moved:
        tx.bump("log")


def unread(tx: Tx, source_id: int, since: int, limit: int = 20) -> list[str]:
    """Keys of runs that went wrong since then and of which no log was read: their engine died in between."""
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.at >= ? WHERE p.source_id = ?"
        " AND r.state IN (7, 8, 9) AND NOT EXISTS (SELECT 1 FROM log_file g WHERE g.run_id = r.id) ORDER BY r.at DESC LIMIT ?",
        (since, source_id, limit),
    ).fetchall()
    return [row[0] for row in rows]
