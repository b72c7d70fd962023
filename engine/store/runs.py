"""SQL of runs: observations in, changed rows out. The hot path of the writer.

What orders observations is the source's own time of change where it gives one, else the time we saw it; an older one
never overwrites a newer one. A run that had ended and goes on again is a new attempt, and the old one is kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from adapters.model import Run, RunKind, Shape, State, unquote_id
from engine.store.current import Moved, keep_current
from engine.store.packed import (
    BACKFILLED,
    GENERATED,
    KIND_MASK,
    NATIVE,
    OBSERVED_LATE,
    OWN_TIME,
    REOPENED,
    STATES,
    bdate_number,
    bdate_text,
    pack_url,
    unpack_url,
)  # fmt: skip
from engine.store.pipelines import apply_pipelines
from engine.store.writer import Tx

__all__ = ["RunChange", "active_beyond", "apply_pipelines", "apply_runs", "run_id_of"]

ERROR_LIMIT: Final = 2000
"""Characters kept of an error; the log has the rest."""
WORD_LIMIT: Final = 200
_INFERRED: Final = frozenset({State.LOST, State.MISSED, State.EXPECTED})
"""States that we concluded: the source's word replaces them, and that is no new attempt."""
_BACK: Final = BACKFILLED | GENERATED
_SUCCESS: Final = int(State.SUCCESS)
_FULL: Final = Shape.FULL


class RunChange(NamedTuple):
    """One run whose stored row changed. ``before`` is None when it was not known; ``before == after`` when something
    else than its state moved (its error, an end time). ``backfilled``: history, no alert comes from it.
    """

    run_id: int
    pipeline_id: int
    source_id: int
    key: str
    before: State | None
    after: State
    run: Run
    new_attempt: bool
    backfilled: bool


Spot = tuple[int, str]
"""Pipeline id and native run id as it stands in the key."""
Extra = tuple[Any, ...]
"""native, sub, shape, params, url, error, rerun_of, client_id, exit_code, stopped_by."""
_NOTHING: Final[Extra] = (None, None, None, None, None, None, None, None, None, None)

_FIND: Final = """
SELECT r.pipeline_id, r.run, r.id, r.state, r.kind, r.attempt, r.bdate, r.at, r.queued, r.started, r.ended, r.updated,
  x.native, x.sub, x.shape, x.params, x.url, x.error, x.rerun_of, x.client_id, x.exit_code, x.stopped_by
FROM json_each(?) j
CROSS JOIN run r ON r.pipeline_id = j.value ->> 0 AND r.run = j.value ->> 1
LEFT JOIN run_extra x ON x.run_id = r.id"""
_INSERT: Final = (
    "INSERT INTO run (id, pipeline_id, run, state, kind, attempt, bdate, at, queued, started, ended, updated)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# a column in SET makes SQLite write its indexes anew, so a run that did not move in time has a statement of its own
_UPDATE: Final = "UPDATE run SET state = ?, kind = ?, attempt = ?, bdate = ?, queued = ?, started = ?, ended = ?, updated = ? WHERE id = ?"
_MOVE: Final = (
    "UPDATE run SET at = ?, state = ?, kind = ?, attempt = ?, bdate = ?, queued = ?, started = ?, ended = ?, updated = ?"
    " WHERE id = ?"
)
_EXTRA: Final = (
    "INSERT INTO run_extra (run_id, native, sub, shape, params, url, error, rerun_of, client_id, exit_code, stopped_by)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET native = excluded.native,"
    " sub = excluded.sub, shape = excluded.shape, params = excluded.params, url = excluded.url, error = excluded.error,"
    " rerun_of = excluded.rerun_of, client_id = excluded.client_id, exit_code = excluded.exit_code, stopped_by = excluded.stopped_by"
)
_ATTEMPT: Final = (
    "INSERT OR REPLACE INTO attempt (run_id, attempt, state, started, ended, sub) VALUES (?, ?, ?, ?, ?, ?)"
)


def run_id_of(tx: Tx, key: str) -> int | None:
    """Id of a stored run by its key."""
    pipeline, slash, run = key.partition("/")
    if not slash:
        return None
    row = tx.db.execute(
        "SELECT r.id FROM pipeline p JOIN run r ON r.pipeline_id = p.id WHERE p.key = ? AND r.run = ?", (pipeline, run)
    ).fetchone()
    return None if row is None else int(row[0])


def apply_runs(tx: Tx, source_id: int, runs: Sequence[Run], observed: int) -> list[RunChange]:
    """Store observations made at ``observed`` (ms UTC); returns the runs that changed.

    Keeps pipe_now, run_day and attempt in the same transaction. Observations that say nothing new write nothing and
    move no topic. A run of a pipeline that no listing named yet makes that pipeline. ValueError: not a run's key.
    """
    if not runs:
        return []
    poll = _Poll(tx, source_id, observed)
    asked = poll.ask(runs)
    known = poll.find(asked)
    for pipeline_id, named in asked.items():
        poll.insert(pipeline_id, {name: run for name, run in named.items() if (pipeline_id, name) not in known})
    for spot, old in known.items():
        poll.compare(spot, asked[spot[0]][spot[1]], old)
    poll.write()
    return poll.changes


def active_beyond(tx: Tx, source_id: int, named: Collection[str], limit: int = 20) -> list[Run]:
    """Runs that the store holds for active and that are not among the keys ``named``, as they stand, oldest first."""
    rows = tx.db.execute(
        "SELECT p.key || '/' || r.run, r.state, r.kind & ?, coalesce(x.shape, 0), r.bdate, r.attempt, r.queued, r.started,"
        " coalesce(x.native, '') FROM run r JOIN pipeline p ON p.id = r.pipeline_id LEFT JOIN run_extra x ON x.run_id = r.id"
        " WHERE p.source_id = ? AND r.state IN (1, 2, 3, 4, 5) ORDER BY r.at",
        (KIND_MASK, source_id),
    ).fetchall()
    return [
        Run(
            key=key, native=native or NATIVE[state], state=STATES[state], kind=RunKind(kind), shape=Shape(shape),
            business_date=bdate_text(bdate), attempt=attempt, queued=queued, started=started,
        )
        for key, state, kind, shape, bdate, attempt, queued, started, native in rows
        if key not in named
    ][:limit]  # fmt: skip


class _Poll:
    """One poll's observations and what they lead to, gathered so that each statement runs once over many rows."""

    def __init__(self, tx: Tx, source_id: int, observed: int) -> None:
        self.tx = tx
        self.source_id = source_id
        self.observed = observed
        self.changes: list[RunChange] = []
        self._next = int(tx.db.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()[0])
        self._ids: dict[str, int] = tx.memo.setdefault(f"pipelines:{source_id}", {})
        self._urls: dict[int, tuple[str | None, str]] = tx.memo.setdefault("pipeline_urls", {})
        self._high: dict[int, int] = tx.memo.setdefault("run_high", {})
        self._inserts: list[tuple[Any, ...]] = []
        self._updates: list[tuple[Any, ...]] = []
        self._moves: list[tuple[Any, ...]] = []
        self._extras: list[tuple[Any, ...]] = []
        self._attempts: list[tuple[Any, ...]] = []
        self._moved: dict[int, list[Moved]] = {}
        if len(self._high) > 50_000:
            self._high.clear()

    # --- what is known --------------------------------------------------------------------------------------------

    def ask(self, runs: Sequence[Run]) -> dict[int, dict[str, Run]]:
        """The observations by pipeline and native run; of two of one run the newer one.

        Grouped, so that a pipeline's rows are written beside each other: each page of an index is visited once.
        """
        ids = self._ids
        asked: dict[int, dict[str, Run]] = {}
        for run in runs:
            pipeline, slash, name = run.key.partition("/")
            if not slash or not name:
                raise ValueError(f"{run.key!r} is not the key of a run")
            pipeline_id = ids.get(pipeline)
            if pipeline_id is None:
                pipeline_id = ids[pipeline] = self._pipeline(pipeline)
            named = asked.get(pipeline_id)
            if named is None:
                asked[pipeline_id] = {name: run}
            elif name not in named or _order(run) >= _order(named[name]):
                named[name] = run
        return asked

    def _pipeline(self, key: str) -> int:
        tx = self.tx
        row = tx.db.execute("SELECT id FROM pipeline WHERE key = ?", (key,)).fetchone()
        if row is None:
            name = unquote_id(key.partition(":")[2])
            made = tx.db.execute(
                "INSERT INTO pipeline (source_id, key, name, seen) VALUES (?, ?, ?, ?)",
                (self.source_id, key, name, tx.now),
            )
            row = (made.lastrowid,)
            tx.bump("pipeline")
        return int(row[0] or 0)

    def _url(self, url: str, pipeline_id: int, name: str) -> str | None:
        """The URL as it is stored; None when it is formed as its pipeline says."""
        known = self._urls.get(pipeline_id)
        if known is None:
            row = self.tx.db.execute("SELECT url, run_url FROM pipeline WHERE id = ?", (pipeline_id,)).fetchone()
            if row[1] is None:
                row = (row[0], pack_url(url, row[0], name))
                self.tx.db.execute("UPDATE pipeline SET run_url = ? WHERE id = ?", (row[1], pipeline_id))
            known = self._urls[pipeline_id] = row
        return None if unpack_url(known[1], known[0], name) == url else pack_url(url, known[0], name)

    def find(self, asked: Mapping[int, Mapping[str, Run]]) -> dict[Spot, tuple[Any, ...]]:
        """What is stored of them."""
        wanted = json.dumps([(i, name) for i, named in asked.items() for name in named])
        return {(row[0], row[1]): row[2:] for row in self.tx.db.execute(_FIND, (wanted,)).fetchall()}

    # --- judging --------------------------------------------------------------------------------------------------

    def insert(self, pipeline_id: int, named: Mapping[str, Run]) -> None:
        """Runs of one pipeline that were not known."""
        if not named:
            return
        observed, source_id, run_id = self.observed, self.source_id, self._next
        moved = self._moved.setdefault(pipeline_id, [])
        for name, run in named.items():
            run_id += 1
            state, queued, started, ended, updated = run.state, run.queued, run.started, run.ended, run.source_updated
            at = started if started is not None else queued if queued is not None else observed
            bdate = None if run.business_date is None else bdate_number(run.business_date)
            flags = (BACKFILLED if run.backfilled else 0) | (GENERATED if run.generated else 0)
            history = flags != 0
            if not history and state >= _SUCCESS:
                flags = OBSERVED_LATE
            if updated is None:
                flags, updated = flags | OWN_TIME, observed
            now = (int(state), run.kind | flags, run.attempt, bdate, at, queued, started, ended)
            extra = self._extra(run, pipeline_id, name)
            self._inserts.append((run_id, pipeline_id, name, *now, updated))
            if extra is not _NOTHING:
                self._extras.append((run_id, *extra))
            moved.append((run_id, name, None, now, extra))
            self.changes.append(RunChange(run_id, pipeline_id, source_id, run.key, None, state, run, False, history))
        self._next = run_id

    def compare(self, spot: Spot, run: Run, old: tuple[Any, ...]) -> None:
        """One observation against what is stored."""
        run_id, had = old[0], old[1:9]  # state, kind, attempt, bdate, at, queued, started, ended
        had_extra: Extra = old[10:]
        before, had_attempt, had_flags = had[0], had[2], had[1] & ~KIND_MASK
        stamp = run.source_updated
        # times of one clock only: the source's own
        known = max(old[9], self._high.get(run_id, 0)) if not had_flags & OWN_TIME else 0
        if stamp is not None and stamp < known:
            return  # older than what is stored, or than what was seen since without a change
        after = run.state
        attempt, again, flags = max(run.attempt, had_attempt), False, had_flags
        if run.attempt > had_attempt:
            again = True
        elif run.attempt < had_attempt and not had_flags & REOPENED:
            return
        elif before >= State.SUCCESS > after and before not in _INFERRED:
            if stamp == known if stamp is not None else self.observed == old[9]:
                return  # two words of one moment: the end is the later one
            again, attempt, flags = True, had_attempt + 1, had_flags | REOPENED
        if again and not run.backfilled:
            flags &= ~_BACK
        flags = flags | OWN_TIME if stamp is None else flags & ~OWN_TIME
        now = _times(run, flags, attempt, None if again else had, had[4])
        extra = self._extra(run, *spot) if again else _learn(self._extra(run, *spot), had_extra, after)
        if now == had and extra == had_extra:
            if stamp is not None and stamp > known:
                self._high[run_id] = stamp  # only remembered: a poll that says nothing new writes nothing
            return
        self._high.pop(run_id, None)
        state, kind, _, bdate, at, queued, started, ended = now
        updated = self.observed if stamp is None else stamp
        if at != had[4]:
            self._moves.append((at, state, kind, attempt, bdate, queued, started, ended, updated, run_id))
        else:
            self._updates.append((state, kind, attempt, bdate, queued, started, ended, updated, run_id))
        if extra != had_extra:
            self._extras.append((run_id, *extra))
        if again:
            self._attempts.append((run_id, had_attempt, before, had[6], had[7], had_extra[1]))
        self._moved.setdefault(spot[0], []).append((run_id, spot[1], had, now, extra))
        history = bool(had_flags & _BACK) and (run.backfilled or run.generated)
        if attempt != run.attempt:
            run = replace(run, attempt=attempt)  # counted by us: words about it must name the one that is stored
        self.changes.append(
            RunChange(run_id, spot[0], self.source_id, run.key, STATES[before], after, run, again, history)
        )

    def _extra(self, run: Run, pipeline_id: int, name: str) -> Extra:
        native: str | None = run.native
        if native == NATIVE[run.state]:
            native = None
        url = run.url
        if url is not None:
            url = self._url(url, pipeline_id, name)
        if (
            native is None and url is None and run.error is None and run.sub is None and run.exit_code is None
            and not run.params and run.rerun_of is None and run.client_id is None and run.stopped_by is None
            and run.shape is _FULL
        ):  # fmt: skip
            return _NOTHING
        return (
            clip(native, WORD_LIMIT),
            clip(run.sub, WORD_LIMIT),
            int(run.shape) or None,
            json.dumps(dict(run.params), sort_keys=True, default=str) if run.params else None,
            url,
            clip(run.error, ERROR_LIMIT),
            run.rerun_of,
            run.client_id,
            run.exit_code,
            clip(run.stopped_by, WORD_LIMIT),
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Everything that was gathered, and what is kept of it per pipeline and day."""
        if not self.changes:
            return
        db = self.tx.db
        db.executemany(_INSERT, self._inserts)
        db.executemany(_UPDATE, self._updates)
        db.executemany(_MOVE, self._moves)
        db.executemany(_EXTRA, self._extras)
        db.executemany(_ATTEMPT, self._attempts)
        keep_current(self.tx, self._moved, len(self._inserts))
        self.tx.bump("run")


def _order(run: Run) -> tuple[int, int, bool]:
    return (run.source_updated or 0, run.attempt, run.state.terminal)


def _times(run: Run, flags: int, attempt: int, had: tuple[Any, ...] | None, had_at: int) -> tuple[Any, ...]:
    """What stands in ``run`` now. Within an attempt (``had``) what the source leaves out stays known."""
    queued, started, ended = run.queued, run.started, run.ended
    bdate = None if run.business_date is None else bdate_number(run.business_date)
    if had is not None:
        bdate = had[3] if bdate is None else bdate
        queued = had[5] if queued is None else queued
        started = had[6] if started is None else started
        ended = had[7] if ended is None else ended
    if run.state < State.SUCCESS:
        ended = None
    at = started if started is not None else queued if queued is not None else had_at
    return (int(run.state), int(run.kind) | flags, attempt, bdate, at, queued, started, ended)


def _learn(new: Extra, old: Extra, after: State) -> Extra:
    """Within an attempt None is "not said", which does not unsay what was known (an error read from the log)."""
    if old == _NOTHING:
        return new
    native, sub, shape, params, url, error, rerun_of, client_id, exit_code, stopped_by = new
    return (
        native,
        sub,
        shape,
        old[3] if params is None else params,
        old[4] if url is None else url,
        old[5] if error is None and after != State.SUCCESS else error,
        old[6] if rerun_of is None else rerun_of,
        old[7] if client_id is None else client_id,
        old[8] if exit_code is None and after >= State.SUCCESS else exit_code,
        old[9] if stopped_by is None and after == State.STOPPED else stopped_by,
    )


def clip(text: str | None, limit: int) -> str | None:
    """Text from outside as SQLite can hold it: cut, and without halves of characters."""
    if text is None or (len(text) <= limit and text.isascii()):
        return text
    return text[:limit].encode("utf-8", "replace").decode()
