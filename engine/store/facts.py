"""SQL of facts that no orchestrator tells: feeds and arrivals, margins, beats, checks of runs, and people's words on promises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import Owed, RunKind, State
from engine.config.model import Facts, Feed
from engine.store.packed import BACKFILLED, GENERATED, KIND_MASK, STATES, bdate_text
from engine.store.writer import Tx

BEATS_KEPT_MS: Final = 60 * 86_400_000
WAITING, PASSED, FAILED = 0, 1, 2
"""States of a ``run_check``."""

# --- feeds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """``at``: when it was there (ms UTC). ``bdate`` as yyyymmdd."""

    what: str
    at: int
    bdate: int | None
    size: int


def put_feeds(tx: Tx, feeds: Sequence[Feed]) -> None:
    """The configured ones; others are gone. One whose file is another now has not been looked for yet."""
    fields = ("file", "zone", "layer", "application", "owner", "buffer_ms")
    had = {row[0]: row[1:] for row in tx.db.execute(f"SELECT name, {', '.join(fields)}, gone FROM feed").fetchall()}  # noqa: S608
    wanted = {f.name: (f.file, f.timezone, f.layer, f.application, f.owner, f.buffer_ms, 0) for f in feeds}
    changed = {name: values for name, values in wanted.items() if had.get(name) != values}
    for name, values in changed.items():
        tx.db.execute(
            "INSERT INTO feed (name, file, zone, layer, application, owner, buffer_ms, gone) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET looked = CASE WHEN file = excluded.file THEN looked END,"
            " error = CASE WHEN file = excluded.file THEN error END, file = excluded.file, zone = excluded.zone,"
            " layer = excluded.layer, application = excluded.application, owner = excluded.owner,"
            " buffer_ms = excluded.buffer_ms, gone = 0",
            (name, *values),
        )
    gone = [(name,) for name, values in had.items() if name not in wanted and not values[-1]]
    tx.db.executemany("UPDATE feed SET gone = 1 WHERE name = ?", gone)
    if changed or gone:
        tx.bump("owed")


def feed_looked(tx: Tx, name: str) -> int | None:
    """When the last complete look for it began."""
    row = tx.db.execute("SELECT looked FROM feed WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def put_looked(tx: Tx, name: str, looked: int | None, error: str | None, *, tell: bool) -> None:
    """``looked`` None: it stays as old as it was. ``tell``: readers hear of it now; what only ages they need not."""
    tx.db.execute("UPDATE feed SET looked = coalesce(?, looked), error = ? WHERE name = ?", (looked, error, name))
    if tell:
        tx.bump("owed")


def last_arrivals(tx: Tx, feed: str, since: int) -> dict[str, tuple[int, int]]:
    """By path: (at, size) of its newest arrival that was seen since then."""
    rows = tx.db.execute(
        "SELECT what, at, size FROM arrival WHERE feed = ? AND (at >= ? OR seen >= ?) ORDER BY at, id",
        (feed, since, since),
    ).fetchall()
    return {what: (at, size) for what, at, size in rows}


def put_arrivals(tx: Tx, feed: str, found: Iterable[Arrived]) -> list[Arrived]:
    """Those that are new."""
    new = [
        one
        for one in found
        if tx.db.execute(
            "INSERT OR IGNORE INTO arrival (feed, what, at, bdate, size, seen) VALUES (?, ?, ?, ?, ?, ?)",
            (feed, one.what, one.at, one.bdate, one.size, tx.now),
        ).rowcount
    ]
    if new:
        tx.bump("owed")
    return new


def arrivals_of(tx: Tx, feed: str, bdate: int) -> list[int]:
    """When something of this business date came, oldest first."""
    rows = tx.db.execute("SELECT at FROM arrival WHERE feed = ? AND bdate = ? ORDER BY at", (feed, bdate)).fetchall()
    return [at for (at,) in rows]


def arrival_before(tx: Tx, feed: str, at: int) -> int | None:
    """Business date (yyyymmdd) of the last arrival up to a moment."""
    row = tx.db.execute(
        "SELECT bdate FROM arrival WHERE feed = ? AND at <= ? ORDER BY at DESC, id DESC LIMIT 1", (feed, at)
    ).fetchone()
    return None if row is None else row[0]


# --- margins --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """A run that began. ``bdate`` None: its source tells no date."""

    key: str
    at: int
    bdate: int | None


def pipeline_things(tx: Tx, ids: Iterable[int] | None = None) -> dict[int, Facts]:
    """Pipelines by id, as a selector sees them; all that are there where no ids are given."""
    which, values = "p.mode <> 3", ()
    if ids is not None:
        which, values = "p.id IN (SELECT value FROM json_each(?))", (json.dumps(sorted(ids)),)
    rows = tx.db.execute(
        "SELECT p.id, p.key, s.name, s.environment, p.application, p.layer, p.tags FROM pipeline p"  # noqa: S608
        f" JOIN source s ON s.id = p.source_id WHERE s.gone = 0 AND {which}",
        values,
    ).fetchall()
    return {
        r[0]: Facts(key=r[1], source=r[2], environment=r[3], application=r[4], layer=r[5], tags=tuple(r[6].split("\n")))
        for r in rows
    }


def starts(tx: Tx, pipelines: Sequence[int], a: int, b: int) -> list[Start]:
    """Runs of these pipelines that began in [a, b], oldest first; no backfills, nothing made up."""
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run, r.started, r.bdate FROM json_each(?) j CROSS JOIN pipeline p ON p.id = j.value"
        " CROSS JOIN run r ON r.pipeline_id = p.id AND r.at BETWEEN ? AND ?"
        " WHERE r.started BETWEEN ? AND ? AND r.kind & ? <> ? AND r.kind & ? = 0 ORDER BY r.started, r.id",
        (json.dumps(list(pipelines)), a, b, a, b, KIND_MASK, int(RunKind.BACKFILL), GENERATED),
    ).fetchall()
    return [Start(*row) for row in rows]


def margin_start(tx: Tx, feed: str, day: int) -> Start | None:
    """The start that a stored margin was measured to."""
    row = tx.db.execute("SELECT run_key, started FROM margin WHERE feed = ? AND day = ?", (feed, day)).fetchone()
    return None if row is None else Start(row[0], row[1], day)


def margins(tx: Tx, feed: str, last: int = 20) -> list[tuple[str, int]]:
    """(ISO date, ms) of the newest business dates, oldest first."""
    rows = tx.db.execute(
        "SELECT day, started - arrived FROM margin WHERE feed = ? ORDER BY day DESC LIMIT ?", (feed, last)
    ).fetchall()
    return [(bdate_text(day) or "", ms) for day, ms in reversed(rows)]


def pipeline_version(tx: Tx) -> int:
    """Moves with the commit of whatever changed a pipeline."""
    return tx.db.execute("SELECT version FROM meta WHERE topic = 'pipeline'").fetchone()[0]


def date_rules(tx: Tx, source_id: int) -> dict[str, tuple[str, str | None, str | None]]:
    """By key, of pipelines with a rule of their own for business dates: (rule, schedule, its zone)."""
    found = tx.db.execute(
        "SELECT key, business_date_rule, schedule, timezone FROM pipeline WHERE source_id = ? AND business_date_rule IS NOT NULL",
        (source_id,),
    ).fetchall()
    return {key: (rule, schedule, zone) for key, rule, schedule, zone in found}


def put_margin(tx: Tx, feed: str, day: int, arrived: int, start: Start) -> bool:
    """False: it is as it was."""
    changed = tx.db.execute(
        "INSERT INTO margin (feed, day, arrived, started, run_key) VALUES (?, ?, ?, ?, ?) ON CONFLICT (feed, day) DO UPDATE"
        " SET arrived = excluded.arrived, started = excluded.started, run_key = excluded.run_key"
        " WHERE (arrived, started, run_key) IS NOT (excluded.arrived, excluded.started, excluded.run_key)",
        (feed, day, arrived, start.at, start.key),
    ).rowcount
    if changed:
        tx.bump("owed")
    return bool(changed)


# --- beats ----------------------------------------------------------------------------------------------------------


def put_beat(tx: Tx, name: str, what: str, words: str | None, who: str) -> None:
    tx.db.execute(
        "INSERT INTO beat (name, at, what, words, who) VALUES (?, ?, ?, ?, ?)", (name, tx.now, what, words, who)
    )
    tx.bump("owed")


def last_beat(tx: Tx, name: str, since: int) -> tuple[int, str, str | None] | None:
    """(at, what, words) of the last word of how it went since then: ok or fail."""
    return tx.db.execute(
        "SELECT at, what, words FROM beat WHERE name = ? AND at >= ? AND what IN ('ok', 'fail') ORDER BY at DESC, id DESC LIMIT 1",
        (name, since),
    ).fetchone()


# --- checks of runs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueCheck:
    """A check that is to be asked, and the run it is about. ``wanted``: names of all that its pipeline wants now."""

    run_id: int
    attempt: int
    name: str
    state: int
    words: str
    pipeline_key: str
    run: str
    run_state: State
    run_attempt: int
    bdate: int | None
    started: int
    ended: int
    wanted: tuple[str, ...]

    @property
    def run_key(self) -> str:
        return f"{self.pipeline_key}/{self.run}"

    @property
    def spot(self) -> tuple[int, int, str]:
        return self.run_id, self.attempt, self.name


def done_when(tx: Tx, pipelines: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Names of the checks of those pipelines that have any."""
    rows = tx.db.execute(
        "SELECT p.id, p.extra ->> '$.done_when' FROM json_each(?) j CROSS JOIN pipeline p ON p.id = j.value"
        " WHERE p.extra ->> '$.done_when' IS NOT NULL",
        (json.dumps(sorted(set(pipelines))),),
    ).fetchall()
    return {pipeline: tuple(json.loads(names)) for pipeline, names in rows}


def open_checks(tx: Tx, run_id: int, attempt: int, names: Iterable[str]) -> bool:
    """They are to be asked from now on; those of earlier attempts no more. False: they were open already."""
    put_off(tx, run_id, attempt)
    made = sum(
        tx.db.execute(
            "INSERT INTO run_check (run_id, attempt, name, state, at, next_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET state = excluded.state, next_at = excluded.next_at WHERE next_at IS NULL AND state <> 1",
            (run_id, attempt, name, WAITING, tx.now, tx.now),
        ).rowcount
        for name in names
    )
    if made:
        tx.bump("owed")
    return bool(made)


def finished_now(tx: Tx, since: int) -> list[tuple[int, int, tuple[str, ...]]]:
    """(run, attempt, names of checks): current runs that ended well since then, of pipelines that have checks; no history."""
    rows = tx.db.execute(
        "SELECT r.id, r.attempt, p.extra ->> '$.done_when' FROM pipeline p CROSS JOIN pipe_now n ON n.pipeline_id = p.id"
        " CROSS JOIN run r ON r.id = n.run_id WHERE p.extra ->> '$.done_when' IS NOT NULL AND r.state IN (6, 7)"
        " AND coalesce(r.ended, r.updated) >= ? AND r.kind & ? = 0",
        (since, GENERATED | BACKFILLED),
    ).fetchall()
    return [(run, attempt, tuple(json.loads(names))) for run, attempt, names in rows]


def put_off(tx: Tx, run_id: int, before: int) -> None:
    """Attempts before this one are asked about no more: the run goes on again."""
    ended = tx.db.execute(
        "UPDATE run_check SET next_at = NULL WHERE run_id = ? AND attempt < ? AND next_at IS NOT NULL", (run_id, before)
    ).rowcount
    if ended:
        tx.bump("owed")


def due_checks(tx: Tx, now: int, limit: int = 20) -> list[DueCheck]:
    """What is to be asked by now, the longest waiting first."""
    rows = tx.db.execute(
        "SELECT c.run_id, c.attempt, c.name, c.state, c.words, p.key, r.run, r.state, r.attempt, r.bdate,"
        " coalesce(r.started, r.at), coalesce(r.ended, r.updated), p.extra ->> '$.done_when' FROM run_check c CROSS JOIN run r ON r.id = c.run_id"
        " CROSS JOIN pipeline p ON p.id = r.pipeline_id WHERE c.next_at IS NOT NULL AND c.next_at <= ? ORDER BY c.next_at LIMIT ?",
        (now, limit),
    ).fetchall()
    return [
        DueCheck(
            run_id=r[0], attempt=r[1], name=r[2], state=r[3], words=r[4], pipeline_key=r[5], run=r[6], run_state=STATES[r[7]],
            run_attempt=r[8], bdate=r[9], started=r[10], ended=r[11], wanted=tuple(json.loads(r[12] or "[]")),
        )
        for r in rows
    ]  # fmt: skip


def next_check(tx: Tx) -> int | None:
    """When the next one is to be asked."""
    return tx.db.execute("SELECT min(next_at) FROM run_check WHERE next_at IS NOT NULL").fetchone()[0]


def put_check(tx: Tx, spot: tuple[int, int, str], state: int, at: int, words: str, next_at: int | None) -> bool:
    """What it said. False: nobody waits for it any more (the run went on again, or was forgotten)."""
    changed = tx.db.execute(
        "UPDATE run_check SET state = ?, at = ?, words = ?, next_at = ? WHERE run_id = ? AND attempt = ? AND name = ?"
        " AND next_at IS NOT NULL",
        (state, at, words, next_at, *spot),
    ).rowcount
    if changed:
        tx.bump("owed")
    return bool(changed)


def drop_check(tx: Tx, spot: tuple[int, int, str]) -> None:
    """It is no longer wanted."""
    tx.db.execute("DELETE FROM run_check WHERE run_id = ? AND attempt = ? AND name = ?", spot)
    tx.bump("owed")


def checks_left(tx: Tx, run_id: int, attempt: int) -> int:
    """How many of an attempt have not passed."""
    return tx.db.execute(
        "SELECT count(*) FROM run_check WHERE run_id = ? AND attempt = ? AND state <> ?", (run_id, attempt, PASSED)
    ).fetchone()[0]


def ask_soon(tx: Tx, name: str) -> bool:
    """Something happened that may make checks of this name pass: they are asked at once."""
    return bool(
        tx.db.execute(
            "UPDATE run_check SET next_at = ? WHERE name = ? AND next_at > ?", (tx.now, name, tx.now)
        ).rowcount
    )


def forget_lost_checks(tx: Tx) -> None:
    """Checks of runs that were forgotten are asked no more."""
    tx.db.execute("DELETE FROM run_check WHERE next_at IS NOT NULL AND run_id NOT IN (SELECT id FROM run)")


# --- people's words -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owing:
    """An occurrence, as far as somebody's word on it needs it. ``members``: keys, of a completeness."""

    id: int
    key: str
    thing: str
    words: str
    pipeline_id: int | None
    state: Owed
    opened_as: Owed
    due_at: int
    met_at: int | None
    zone: str
    reason: str
    gone: bool
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaiverRow:
    id: int
    who: str
    reason: str
    until: int | None
    at: int


_STATES: Final = tuple(Owed)
_OWING: Final = (
    "SELECT o.id, o.key, e.thing, e.words, e.pipeline_id, o.state, o.opened_as, o.due_at, o.met_at, e.zone, o.reason, e.gone, o.extra"
    " FROM occurrence o CROSS JOIN expectation e ON e.id = o.expectation_id WHERE "
)


def find_owing(tx: Tx, name: int | str) -> Owing | None:
    """An occurrence by its id or its key."""
    row = tx.db.execute(_OWING + ("o.id = ?" if isinstance(name, int) else "o.key = ?"), (name,)).fetchone()
    return None if row is None else _owing(row)


def open_owing(tx: Tx, name: str, until: int, limit: int = 20) -> list[Owing]:
    """What a thing (by its key) or a promise (by its id) still owes up to a moment, the longest due first."""
    rows = tx.db.execute(
        _OWING + "(e.thing = ? OR e.promise = ?) AND e.gone = 0 AND o.state IN (0, 1, 4, 5, 7) AND o.due_at <= ?"
        " ORDER BY o.due_at, o.id LIMIT ?",
        (name, name, until, limit),
    ).fetchall()
    return [_owing(row) for row in rows]


def waived_owing(tx: Tx, name: str, limit: int = 20) -> list[Owing]:
    """What of a thing or a promise is waived by somebody now, the newest due first."""
    rows = tx.db.execute(
        f"{_OWING} (e.thing = ? OR e.promise = ?)"  # noqa: S608
        " AND o.key IN (SELECT occurrence FROM waiver WHERE until IS NULL OR until > ?)"
        " ORDER BY o.due_at DESC, o.id LIMIT ?",
        (name, name, tx.now, limit),
    ).fetchall()
    return [_owing(row) for row in rows]


def _owing(row: Sequence[Any]) -> Owing:
    id, key, thing, words, pipeline_id, state, opened_as, due_at, met_at, zone, reason, gone, extra = row
    members = tuple(json.loads(extra).get("members", ())) if extra else ()
    return Owing(
        id, key, thing, words, pipeline_id, _STATES[state], _STATES[opened_as], due_at, met_at, zone, reason, bool(gone), members
    )  # fmt: skip


def active_waiver(tx: Tx, key: str) -> WaiverRow | None:
    """The word that holds now."""
    row = tx.db.execute(
        "SELECT id, who, reason, until, at FROM waiver WHERE occurrence = ? AND (until IS NULL OR until > ?) ORDER BY id DESC LIMIT 1",
        (key, tx.now),
    ).fetchone()
    return None if row is None else WaiverRow(*row)


def put_waiver(tx: Tx, key: str, who: str, uid: int, reason: str, until: int | None) -> int:
    row = tx.db.execute(
        "INSERT INTO waiver (occurrence, who, uid, reason, until, at) VALUES (?, ?, ?, ?, ?, ?)",
        (key, who, uid, reason, until, tx.now),
    )
    tx.bump("owed")
    return int(row.lastrowid or 0)


def end_waivers(tx: Tx, key: str) -> int:
    """Whatever holds now ends now; how many did."""
    ended = tx.db.execute(
        "UPDATE waiver SET until = ? WHERE occurrence = ? AND (until IS NULL OR until > ?)", (tx.now, key, tx.now)
    ).rowcount
    if ended:
        tx.bump("owed")
    return ended


def put_signoff(tx: Tx, who: str, uid: int, since: int, well: bool, note: str | None, body: str) -> int:
    row = tx.db.execute(
        "INSERT INTO signoff (at, who, uid, since, well, note, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (tx.now, who, uid, since, int(well), note, body),
    )
    tx.bump("owed")
    return int(row.lastrowid or 0)


# --- keeping --------------------------------------------------------------------------------------------------------


def sweep(tx: Tx, retain_runs_ms: int) -> None:
    """Forget what is past its time: beats after 60 days, arrivals, margins and checks with the runs."""
    edge = tx.now - retain_runs_ms
    tx.db.execute("DELETE FROM beat WHERE at < ?", (tx.now - BEATS_KEPT_MS,))
    tx.db.execute("DELETE FROM arrival WHERE at < ? AND seen < ?", (edge, edge))
    tx.db.execute("DELETE FROM margin WHERE started < ?", (edge,))
    for table in ("run_check", "run_output"):
        tx.db.execute(f"DELETE FROM {table} WHERE run_id NOT IN (SELECT id FROM run)")  # noqa: S608 - names of our own
