"""SQL of acting: what a key means, intents and what became of them, who is armed, the audit chain's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.model import ActionState, State
from engine.store.audit_rows import AuditRow
from engine.store.errors import StoreError
from engine.store.writer import Tx

RECORD_ERRORS: Final = (StoreError, sqlite3.Error)
"""What a transaction raises when something could not be written (disk full, locked for 5 s, damaged)."""

_IN_FLIGHT: Final = "(2, 3, 8)"
_TOOK_HOLD: Final = frozenset(
    {
        ActionState.EXECUTING, ActionState.VERIFYING, ActionState.DONE, ActionState.VERIFY_TIMEOUT, ActionState.UNKNOWN,
        ActionState.RECONCILED_DONE,
    }
)  # fmt: skip
"""A call that left this host, or may have."""
_PROVED: Final = frozenset({ActionState.DONE, ActionState.RECONCILED_DONE})
LATE_MS: Final = 15 * 60_000
"""How long after an unproved stop ended a run's failure is still put down to that stop."""


# --- what a key means ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PipelineFacts:
    """What the store knows of a pipeline that a plan shows or selectors ask."""

    id: int
    key: str
    name: str
    application: str | None
    layer: str | None
    tags: tuple[str, ...]
    consumers: tuple[str, ...]
    next_run: int | None
    downstream: tuple[str, ...] = ()
    """Names of pipelines that wait for this one."""


def pipeline_facts(tx: Tx, key: str) -> PipelineFacts | None:
    row = tx.db.execute(
        "SELECT id, key, name, application, layer, tags, consumers, next_run FROM pipeline WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    waiting = tx.db.execute(
        "SELECT DISTINCT p.name FROM pipeline p, json_each(p.extra, '$.after') a"
        " WHERE p.extra IS NOT NULL AND a.value = ? ORDER BY p.name LIMIT 20",
        (key,),
    ).fetchall()
    return PipelineFacts(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        _listed(row[5]),
        _listed(row[6]),
        row[7],
        tuple(name for (name,) in waiting),
    )


def _listed(text: str) -> tuple[str, ...]:
    """Tags and consumers stand in one column, a line each."""
    return tuple(part for part in text.split("\n") if part)


def active_runs(tx: Tx, pipeline_key: str) -> list[tuple[str, State]]:
    """Keys and states of the runs that are in the world now, newest first."""
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run, r.state FROM pipeline p JOIN run r ON r.pipeline_id = p.id"
        " WHERE p.key = ? AND r.state BETWEEN 1 AND 5 ORDER BY r.at DESC, r.id DESC",
        (pipeline_key,),
    ).fetchall()
    return [(row[0], State(row[1])) for row in rows]


def latest_terminal(tx: Tx, pipeline_key: str) -> str | None:
    """Key of the last run that really ran and ended; skipped and missed ones cannot be run again."""
    row = tx.db.execute(
        "SELECT p.key || '/' || r.run FROM pipeline p JOIN run r ON r.pipeline_id = p.id"
        " WHERE p.key = ? AND r.state BETWEEN 6 AND 12 AND r.state <> 11 ORDER BY r.at DESC, r.id DESC LIMIT 1",
        (pipeline_key,),
    ).fetchone()
    return None if row is None else str(row[0])


def pipeline_keys(tx: Tx, source: str) -> list[str]:
    rows = tx.db.execute("SELECT p.key FROM pipeline p JOIN source s ON s.id = p.source_id WHERE s.name = ?", (source,))
    return [row[0] for row in rows.fetchall()]


def recent_runs(tx: Tx, pipeline_key: str) -> list[str]:
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run FROM pipeline p JOIN run r ON r.pipeline_id = p.id"
        " WHERE p.key = ? ORDER BY r.at DESC LIMIT 200",
        (pipeline_key,),
    )
    return [row[0] for row in rows.fetchall()]


def steps_now(tx: Tx, run_key: str) -> list[tuple[str, State]]:
    """Steps of a run as last seen, one entry a step and map index, its latest try, in order."""
    pipeline, _, run = run_key.partition("/")
    rows = tx.db.execute(
        "SELECT s.step, s.map_index, s.state FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ?"
        " JOIN step_run s ON s.run_id = r.id WHERE p.key = ? AND s.attempt = (SELECT max(t.attempt) FROM step_run t"
        " WHERE t.run_id = s.run_id AND t.step = s.step AND t.map_index = s.map_index) ORDER BY s.ord, s.step, s.map_index",
        (run, pipeline),
    ).fetchall()
    return [(row[0] if row[1] < 0 else f"{row[0]}.{row[1]}", State(row[2])) for row in rows]


def seen_attempt(tx: Tx, run_key: str) -> tuple[int, State] | None:
    """Attempt as the store counts it (a source may number none) and state, as last stored."""
    pipeline, _, run = run_key.partition("/")
    row = tx.db.execute(
        "SELECT r.attempt, r.state FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? WHERE p.key = ?",
        (run, pipeline),
    ).fetchone()
    return None if row is None else (int(row[0]), State(row[1]))


def operation_words(tx: Tx, source: str, ident: str) -> str | None:
    """How far a backfill is, as it was seen last; None where it is not known."""
    row = tx.db.execute(
        "SELECT o.state, o.done, o.failed, o.planned FROM operation o JOIN source s ON s.id = o.source_id"
        " WHERE s.name = ? AND o.id = ?",
        (source, ident),
    ).fetchone()
    return None if row is None else progress_words(ident, State(row[0]), row[1], row[2], row[3])


def progress_words(ident: str, state: State, done: int | None, failed: int | None, planned: int | None) -> str:
    """``number 7 running, 8 of 14 done, 1 failed``; what is not told is left out."""
    word = "paused" if state is State.HELD else state.name.lower().replace("_", " ")
    said = [f"number {ident} {word}"]
    if done is not None:
        said.append(f"{done}{'' if planned is None else f' of {planned}'} done")
    return ", ".join([*said, *([f"{failed} failed"] if failed else [])])


# --- actions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """One row of ``action``. ``plan``, ``prepared``, ``before`` and ``after`` are JSON, masked."""

    id: str
    nonce: str
    verb: str
    key: str
    pipeline_key: str
    scope: str
    environment: str
    state: ActionState
    words: str
    client_id: str
    plan_hash: str
    plan: str
    prepared: str
    reason: str | None
    who: str
    uid: int
    created: int
    changed: int
    ended: int | None = None
    result_key: str | None = None
    before: str | None = None
    after: str | None = None
    attempt: int = 0
    seen_attempt: int = 0
    sent: int | None = None


_COLUMNS: Final = ActionRecord.__dataclass_fields__.keys()
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM action"  # noqa: S608 - names of our own fields


def _record(row: Sequence[Any] | None) -> ActionRecord | None:
    if row is None:
        return None
    fields = dict(zip(_COLUMNS, row, strict=True))
    fields["state"] = ActionState(fields["state"])
    return ActionRecord(**fields)


def insert(tx: Tx, record: ActionRecord) -> None:
    """The intent. IntegrityError where its nonce was used or its scope has one in flight."""
    values = [getattr(record, name) for name in _COLUMNS]
    tx.db.execute(f"INSERT INTO action ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
    event(tx, record.id, record.state, record.words)


def event(tx: Tx, action_id: str, state: ActionState, words: str) -> None:
    tx.db.execute(
        "INSERT INTO action_event (action_id, at, state, words) VALUES (?, ?, ?, ?)",
        (action_id, tx.now, int(state), words),
    )
    tx.bump("action")


def move(
    tx: Tx,
    action_id: str,
    state: ActionState,
    words: str,
    *,
    result_key: str | None = None,
    after: str | None = None,
    ended: bool = False,
    sent: bool = False,
) -> bool:
    """A step of an action's life, with its event. False where the action had ended already: an end is never taken back."""
    row = tx.db.execute("SELECT state, words FROM action WHERE id = ?", (action_id,)).fetchone()
    if row is None or not (ActionState(row[0]).in_flight):
        return False
    told = (row[0], row[1]) != (int(state), words)
    if not (told or result_key or after or ended or sent):
        return True
    tx.db.execute(
        "UPDATE action SET state = ?, words = ?, changed = ?, ended = CASE WHEN ? THEN ? ELSE ended END,"
        " result_key = coalesce(?, result_key), after = coalesce(?, after), sent = CASE WHEN ? THEN ? ELSE sent END WHERE id = ?",
        (int(state), words, tx.now, ended, tx.now, result_key, after, sent, tx.now, action_id),
    )
    if told:
        event(tx, action_id, state, words)
    tx.bump("action")
    return True


def first_words(tx: Tx, action_id: str, state: ActionState) -> str:
    """What was said when an action came into a state; later words of that state are progress."""
    row = tx.db.execute(
        "SELECT words FROM action_event WHERE action_id = ? AND state = ? ORDER BY id LIMIT 1", (action_id, int(state))
    ).fetchone()
    return "" if row is None else str(row[0])


def get(tx: Tx, action_id: str) -> ActionRecord | None:
    return _record(tx.db.execute(f"{_SELECT} WHERE id = ?", (action_id,)).fetchone())


def by_nonce(tx: Tx, nonce: str) -> ActionRecord | None:
    return _record(tx.db.execute(f"{_SELECT} WHERE nonce = ?", (nonce,)).fetchone())


def in_flight(tx: Tx, scope: str) -> ActionRecord | None:
    return _record(tx.db.execute(f"{_SELECT} WHERE scope = ? AND state IN {_IN_FLIGHT}", (scope,)).fetchone())


def latest_on(tx: Tx, scope: str) -> ActionRecord | None:
    """The last action on a scope that was not refused before it began."""
    return _record(
        tx.db.execute(
            f"{_SELECT} WHERE scope = ? AND state <> 1 ORDER BY created DESC, id DESC LIMIT 1", (scope,)
        ).fetchone()
    )


def open_actions(tx: Tx) -> list[ActionRecord]:
    """Those in flight, oldest first: what an engine that starts takes over."""
    rows = tx.db.execute(f"{_SELECT} WHERE state IN {_IN_FLIGHT} ORDER BY created, id").fetchall()
    return [record for row in rows if (record := _record(row)) is not None]


def stopped_by(tx: Tx, run_key: str, attempt: int, ended: int | None = None) -> str | None:
    """Who stopped this attempt of this run through us; None where its end is not our doing.

    Asked before a run that the source calls failed is stored. Ours is a stop that left (or may have left) this host,
    for the same attempt, with nothing of ours that set the run going again after it. One that was proved counts for
    good; one that was not, only for a while: a run that fails hours after a stop without effect failed by itself.
    ``ended``: when the run ended, by its source. The very end that was judged to be our stop stays so, also while a rerun
    of it is only asked for and the source still shows that end.
    """
    pipeline, _, run = run_key.partition("/")
    known = tx.db.execute(
        "SELECT r.attempt, r.state, x.stopped_by, r.ended FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ?"
        " LEFT JOIN run_extra x ON x.run_id = r.id WHERE p.key = ?",
        (run, pipeline),
    ).fetchone()
    judged = same_end = False
    if known is not None:
        judged = known[1] == State.STOPPED and bool(known[2])
        same_end = judged and ended is not None and known[3] == ended
    rows = tx.db.execute(
        "SELECT verb, state, who, created, ended, attempt, seen_attempt FROM action WHERE scope = ? ORDER BY created DESC, id DESC",
        (run_key,),
    ).fetchall()
    for verb, number, who, created, ended, had, seen in rows:
        state = ActionState(number)
        if state not in _TOOK_HOLD:
            continue
        if verb in ("hold", "release", "mark"):
            continue
        if verb != "stop":
            if same_end:
                continue  # asked for, and not begun: the source still shows the end that was judged
            return None  # set going again after any earlier stop
        if had != attempt or (known is not None and int(known[0]) > max(seen, had)):
            return None
        if judged:
            return str(who)  # it was judged once; reading it again later changes nothing
        if state in _PROVED or state in (ActionState.EXECUTING, ActionState.VERIFYING):
            return str(who)
        since = created if state is ActionState.UNKNOWN or ended is None else ended
        return str(who) if tx.now - int(since) <= LATE_MS else None
    return None


def cancelled_by(tx: Tx, pipeline: str, queued: int | None) -> str | None:
    """Who cancelled the backfill of this pipeline through us after a run of it was queued; None where nobody did.

    Asked before such a run is stored that its source calls failed although it never ended anything: systems without a
    word for cancelled call what was still queued "failed". It is our doing where the cancel left this host, or may have.
    Of a run that does not say when it was queued only for a while: a cancel of last month stopped nothing today.
    """
    rows = tx.db.execute(
        "SELECT state, who, created FROM action WHERE scope = ? AND verb = 'backfill-cancel' ORDER BY created DESC, id DESC LIMIT 20",
        (pipeline,),
    ).fetchall()
    for number, who, created in rows:
        in_time = created >= tx.now - LATE_MS if queued is None else queued <= created + 5_000
        if ActionState(number) in _TOOK_HOLD and in_time:
            return str(who)
    return None


# --- armed ---------------------------------------------------------------------------------------------------------


def put_armed(tx: Tx, environment: str, uid: int, who: str, until: int) -> None:
    tx.db.execute(
        "INSERT INTO armed (environment, who, uid, until) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (environment, uid) DO UPDATE SET who = excluded.who, until = excluded.until",
        (environment, who, uid, until),
    )
    tx.bump("arm")


def drop_armed(tx: Tx, environment: str | None = None, uid: int | None = None) -> int:
    """Take away what is armed (of one environment, of one person, or all); how many rows went."""
    gone = tx.db.execute(
        "DELETE FROM armed WHERE (? IS NULL OR environment = ?) AND (? IS NULL OR uid = ?)",
        (environment, environment, uid, uid),
    ).rowcount
    if gone:
        tx.bump("arm")
    return gone


# --- audit ---------------------------------------------------------------------------------------------------------


_AUDIT: Final = ", ".join(AuditRow.__dataclass_fields__)


def audit_tail(tx: Tx) -> tuple[int, str] | None:
    """Sequence number and hash of the last record."""
    row = tx.db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def audit_insert(tx: Tx, row: AuditRow) -> None:
    values = [getattr(row, name) for name in AuditRow.__dataclass_fields__]
    tx.db.execute(f"INSERT INTO audit ({_AUDIT}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def audit_page(db: sqlite3.Connection, after: int, limit: int = 1000) -> list[AuditRow]:
    """Records behind ``after`` in order; a page, so that a long chain is never in memory whole."""
    rows = db.execute(f"SELECT {_AUDIT} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))  # noqa: S608
    return [AuditRow(*row) for row in rows.fetchall()]


def audit_hash(db: sqlite3.Connection, seq: int) -> str | None:
    row = db.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else str(row[0])


def open_readonly(path: Path) -> sqlite3.Connection:
    """For commands beside the engine: ``mode=ro``; a store that was closed cleanly and is not ours to write, ``immutable``."""
    if not path.is_file():
        raise StoreError(f"there is no store at {path}")
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        db = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=5.0)
        db.execute("SELECT 1 FROM audit LIMIT 1").fetchall()
    except sqlite3.Error as error:
        if Path(f"{path}-wal").exists():
            raise StoreError(f"{path} cannot be read: {error}") from None
        try:
            db = sqlite3.connect(f"file:{quoted}?immutable=1", uri=True)
            db.execute("SELECT 1 FROM audit LIMIT 1").fetchall()
        except sqlite3.Error as second:
            raise StoreError(f"{path} cannot be read: {second}") from None
    return db
