"""SQL of what the judge asks: pipelines as they are bound, facts of runs, beats, arrivals, waivers; and its own bookkeeping."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import Mode, RunKind, Severity, State, Trigger
from engine.config.model import Facts
from engine.owed.matching import RunFact
from engine.owed.verdict import Arrival, Waiver
from engine.store.packed import KIND_MASK, OWN_TIME, STATES, bdate_text
from engine.store.writer import Tx

PLACEHOLDER: Final = "missed~"
"""How the native id of a run begins that stands for one that never came (``engine.store.missed``): no fact of its source."""
PASSED: Final = 1
_KINDS: Final = tuple(RunKind)


# --- pipelines ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A pipeline as far as what it owes depends on it. ``kind``: of its source. ``after``: keys or names it waits for."""

    id: int
    key: str
    name: str
    source: str
    kind: str
    environment: str
    mode: Mode
    trigger: Trigger
    schedule: str | None
    timezone: str | None
    application: str | None
    layer: str | None
    tags: tuple[str, ...]
    criticality: Severity
    consumers: tuple[str, ...]
    runbook: str | None
    mode_since: int | None
    after: tuple[str, ...]
    done_when: tuple[str, ...]
    next_run: int | None

    @property
    def facts(self) -> Facts:
        return Facts(
            key=self.key, source=self.source, environment=self.environment, application=self.application, layer=self.layer,
            tags=self.tags,
        )  # fmt: skip


_THING: Final = (
    "SELECT p.id, p.key, p.name, s.name, s.kind, s.environment, p.mode, p.trigger, p.schedule, p.timezone, p.application, p.layer, p.tags,"
    " p.criticality, p.consumers, p.runbook, p.mode_since, p.extra, p.next_run FROM pipeline p CROSS JOIN source s ON s.id = p.source_id"
    " WHERE s.gone = 0"
)


def thing_rows(tx: Tx, source: str | None = None) -> list[tuple[Any, ...]]:
    """Pipelines of a source, or of all that are configured; the last column is the source's own next run, the first its id."""
    if source is None:
        return tx.db.execute(_THING).fetchall()
    return tx.db.execute(_THING + " AND s.name = ?", (source,)).fetchall()


def thing(row: Sequence[Any]) -> Thing:
    """A row of ``thing_rows``."""
    extra: dict[str, Any] = json.loads(row[17]) if row[17] else {}
    return Thing(
        id=row[0], key=row[1], name=row[2], source=row[3], kind=row[4], environment=row[5], mode=Mode(row[6]), trigger=Trigger(row[7]),
        schedule=row[8], timezone=row[9], application=row[10], layer=row[11], tags=_words(row[12]), criticality=Severity(row[13]),
        consumers=_words(row[14]), runbook=row[15], mode_since=row[16], after=tuple(extra.get("after", ())),
        done_when=tuple(extra.get("done_when", ())), next_run=row[18],
    )  # fmt: skip


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(w for w in (text or "").split("\n") if w)


# --- runs -----------------------------------------------------------------------------------------------------------

_RUN: Final = (
    "r.id, r.pipeline_id, p.key || '/' || r.run, r.state, r.kind, r.attempt, r.bdate, r.at, r.queued, r.started, r.ended, r.updated,"
    " x.rerun_of"
)
_SINCE: Final = (
    f"SELECT {_RUN} FROM run r CROSS JOIN pipeline p ON p.id = r.pipeline_id LEFT JOIN run_extra x ON x.run_id = r.id"  # noqa: S608
    f" WHERE r.pipeline_id = ? AND r.at >= ? AND r.run NOT GLOB '{PLACEHOLDER}*' ORDER BY r.at, r.id"
)
_NAMED: Final = (
    f"SELECT {_RUN} FROM json_each(?) j CROSS JOIN run r ON r.id = j.value CROSS JOIN pipeline p ON p.id = r.pipeline_id"  # noqa: S608
    f" LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.run NOT GLOB '{PLACEHOLDER}*'"
)

Checks = Mapping[int, tuple[str, ...]]
"""By pipeline id, the names of its ``done_when`` checks."""


def facts_since(tx: Tx, pipeline_id: int, since: int, checks: Checks) -> dict[str, tuple[RunFact, ...]]:
    """Runs of a pipeline begun since then, by key, each with its attempts."""
    found = _facts(tx, tx.db.execute(_SINCE, (pipeline_id, since)).fetchall(), checks)
    return {key: facts for _, key, facts in found}


def facts_of(tx: Tx, run_ids: Iterable[int], checks: Checks) -> list[tuple[int, str, tuple[RunFact, ...]]]:
    """(pipeline id, run key, attempts) of these runs as they stand."""
    return _facts(tx, tx.db.execute(_NAMED, (json.dumps(list(run_ids)),)).fetchall(), checks)


def _facts(tx: Tx, rows: Sequence[Sequence[Any]], checks: Checks) -> list[tuple[int, str, tuple[RunFact, ...]]]:
    found: list[tuple[int, str, tuple[RunFact, ...]]] = []
    for run_id, pipeline_id, key, number, kind, attempt, bdate, at, queued, started, ended, updated, rerun_of in rows:
        state, names = STATES[number], checks.get(pipeline_id)
        checked, checked_at = True, None
        if names and state.finished:
            checked, checked_at = _checked(tx, run_id, attempt, names)
        date, which = bdate_text(bdate), _KINDS[kind & KIND_MASK]
        if started is None and queued is None and ended is None and not kind & OWN_TIME:
            queued = at  # what is known of when it came up does not move with later sights of it
        now = RunFact(
            key=key, state=state, attempt=attempt, kind=which, business_date=date, queued=queued, started=started, ended=ended,
            updated=updated, checked=checked, checked_at=checked_at, rerun_of=rerun_of,
        )  # fmt: skip
        if attempt < 2:
            found.append((pipeline_id, key, (now,)))
            continue
        earlier = [
            RunFact(
                key=key, state=STATES[had], attempt=n, kind=which, business_date=date, started=begun, ended=over,
                updated=over or begun or 0, rerun_of=rerun_of,
            )
            for n, had, begun, over in tx.db.execute(
                "SELECT attempt, state, started, ended FROM attempt WHERE run_id = ? AND attempt < ? ORDER BY attempt", (run_id, attempt)
            ).fetchall()
        ]  # fmt: skip
        found.append((pipeline_id, key, (*earlier, now)))
    return found


def _checked(tx: Tx, run_id: int, attempt: int, names: Sequence[str]) -> tuple[bool, int | None]:
    """(whether all of its checks have passed, when the last one did)."""
    rows = dict(
        tx.db.execute(
            "SELECT name, at FROM run_check WHERE run_id = ? AND attempt = ? AND state = ?", (run_id, attempt, PASSED)
        ).fetchall()
    )
    times = [rows.get(name) for name in names]
    return all(t is not None for t in times), max((t for t in times if t is not None), default=None)


def starts(tx: Tx, pipeline_id: int, since: int, limit: int) -> list[int]:
    """When the newest runs of a pipeline that started since then did so, oldest first; backfills and what was skipped left out."""
    rows = tx.db.execute(
        "SELECT started FROM run WHERE pipeline_id = ? AND at >= ? AND started IS NOT NULL AND state <> ? AND kind & ? <> ?"
        " ORDER BY at DESC, id DESC LIMIT ?",
        (pipeline_id, since, int(State.SKIPPED), KIND_MASK, int(RunKind.BACKFILL), limit),
    ).fetchall()
    return sorted(row[0] for row in rows)


def skipped_since(tx: Tx, since: int) -> dict[int, int]:
    """By pipeline, when the first run since then came up that its source left out."""
    rows = tx.db.execute(
        f"SELECT pipeline_id, min(at) FROM run WHERE state = {int(State.SKIPPED)} AND at >= ? GROUP BY pipeline_id",  # noqa: S608
        (since,),
    )
    return dict(rows.fetchall())


def is_active(tx: Tx, pipeline_id: int) -> bool:
    """Whether a run of it goes on."""
    row = tx.db.execute("SELECT active FROM pipe_now WHERE pipeline_id = ?", (pipeline_id,)).fetchone()
    return row is not None and row[0] > 0


def stands(tx: Tx, key: str) -> tuple[State | None, int | None]:
    """Of a pipeline: (state of its current run, when it last succeeded)."""
    row = tx.db.execute(
        "SELECT n.state, n.last_ok FROM pipeline p CROSS JOIN pipe_now n ON n.pipeline_id = p.id WHERE p.key = ?",
        (key,),
    ).fetchone()
    return (None, None) if row is None else (None if row[0] is None else STATES[row[0]], row[1])


# --- beats, arrivals, waivers ---------------------------------------------------------------------------------------


def beats(tx: Tx, name: str, since: int) -> list[tuple[int, str, str]]:
    """(at, what, words) since then, oldest first."""
    rows = tx.db.execute(
        "SELECT at, what, coalesce(words, '') FROM beat WHERE name = ? AND at >= ? ORDER BY at, id", (name, since)
    ).fetchall()
    return [(at, what, words) for at, what, words in rows]


def last_beat(tx: Tx, name: str) -> int | None:
    """When it last said that all is well."""
    row = tx.db.execute("SELECT max(at) FROM beat WHERE name = ? AND what = 'ok'", (name,)).fetchone()
    return row[0]


def arrivals(tx: Tx, feed: str, since: int) -> tuple[Arrival, ...]:
    """What came of a feed since then; with its date only where the name of the file tells one: else the hour it came decides."""
    rows = tx.db.execute(
        "SELECT a.what, a.at, CASE WHEN f.file LIKE '%{%}%' THEN a.bdate END FROM arrival a LEFT JOIN feed f ON f.name = a.feed"
        " WHERE a.feed = ? AND a.at >= ? ORDER BY a.at, a.id",
        (feed, since),
    ).fetchall()
    return tuple(Arrival(what, at, bdate_text(bdate)) for what, at, bdate in rows)


def looked(tx: Tx, feed: str) -> int | None:
    """When a feed was last looked at without an error."""
    row = tx.db.execute("SELECT looked FROM feed WHERE name = ?", (feed,)).fetchone()
    return None if row is None else row[0]


def waiver(tx: Tx, occurrence: str) -> Waiver | None:
    """A person's last word about an occurrence."""
    row = tx.db.execute(
        "SELECT who, reason, until FROM waiver WHERE occurrence = ? ORDER BY id DESC LIMIT 1", (occurrence,)
    ).fetchone()
    return None if row is None else Waiver(row[0], row[1], row[2])


def waivers(tx: Tx, now: int) -> dict[str, Waiver]:
    """Waivers that still hold, by occurrence; the last word about each."""
    rows = tx.db.execute(
        "SELECT occurrence, who, reason, until FROM waiver WHERE until IS NULL OR until > ? ORDER BY id", (now,)
    ).fetchall()
    return {key: Waiver(who, reason, until) for key, who, reason, until in rows}


# --- the judge's own bookkeeping ------------------------------------------------------------------------------------


def generation(tx: Tx) -> int:
    """Moves with each transaction that the judge wrote in: so it sees that one was rolled back."""
    row = tx.db.execute("SELECT value FROM tally WHERE name = 'owed'").fetchone()
    return 0 if row is None else row[0]


def set_generation(tx: Tx, value: int) -> None:
    tx.db.execute("INSERT OR REPLACE INTO tally (name, value) VALUES ('owed', ?)", (value,))


def last_looks(tx: Tx) -> dict[str, int]:
    """By source: when the last poll that went well began, as well as is known after a restart."""
    rows = tx.db.execute(
        "SELECT s.name, h.last_ok - coalesce(h.latency_ms, 0) FROM source s CROSS JOIN source_health h ON h.source_id = s.id"
        " WHERE h.last_ok IS NOT NULL"
    ).fetchall()
    return dict(rows)
