"""SQL of alerts, their history, silences, and of what a rule asks about pipelines, runs and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import AlertState, Health, Mode, Severity, State
from engine.config.model import Facts
from engine.store.asked import split
from engine.store.writer import Tx

_COLUMNS: Final = (
    "id, dedup, rule, key, occurrence, severity, state, title, body, opened, since, changed, resolved, resolved_by, acked_by, "
    "acked_at, ack_until, ack_note, reopened, held_back, told, run_key, good, bad, parent, failure, group_at, grouped, told_with"
)


FAILED_RUN: Final = "failed-run"
FAILURE_OVER: Final = "-"
"""In ``failure``: it was about a failure, which is over, and something owed goes on."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of ``alert``. ``good`` and ``bad`` count evaluations in a row, for rules that hold before they fire or resolve.

    ``parent``: the alert of what causes this one, in whose message it was told at ``told_with``; ``group_at``, ``grouped``:
    when the next such message is due and when the last one was. ``failure``: what failed (business date or run) and joined.
    """

    id: str
    dedup: str
    rule: str
    key: str
    occurrence: str
    severity: Severity
    state: AlertState
    title: str
    body: str
    opened: int
    since: int
    changed: int
    resolved: int | None
    resolved_by: str | None
    acked_by: str | None
    acked_at: int | None
    ack_until: int | None
    ack_note: str | None
    reopened: int
    held_back: str | None
    told: int
    run_key: str
    good: int
    bad: int
    parent: str | None = None
    failure: str = ""
    group_at: int | None = None
    grouped: int | None = None
    told_with: int | None = None

    @property
    def failed(self) -> str:
        """Business date or run of the failure that it tells of; "" if it tells of none, or that is over."""
        if self.failure:
            return "" if self.failure == FAILURE_OVER else self.failure
        return self.occurrence if self.rule == FAILED_RUN else ""

    @property
    def open(self) -> bool:
        return self.state < AlertState.RESOLVED


@dataclass(frozen=True, slots=True)
class Silence:
    """People's words: alerts that match are held back until then."""

    id: str
    match: str
    until: int
    reason: str
    who: str


@dataclass(frozen=True, slots=True)
class PipelineFacts:
    """What a rule says about a pipeline."""

    id: int
    key: str
    name: str
    criticality: Severity
    application: str | None
    layer: str | None
    tags: tuple[str, ...]
    owner: str | None
    runbook: str | None
    consumers: tuple[str, ...]
    source: str
    environment: str


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a rule says about a source: how many pipelines nobody can see, the worst of them, and the important ones' names."""

    id: int
    name: str
    environment: str
    health: Health
    last_ok: int | None
    pipelines: int
    worst: Severity
    important: tuple[str, ...]
    measures: int = 0


def _alert(row: Sequence[Any]) -> Alert:
    values: list[Any] = [*row[:5], Severity(row[5]), AlertState(row[6]), *row[7:]]
    return Alert(*values)


def select(tx: Tx, where: str, values: Sequence[Any]) -> list[Alert]:
    """For this package only: ``where`` is SQL."""
    return [_alert(row) for row in tx.db.execute(f"SELECT {_COLUMNS} FROM alert WHERE {where}", values).fetchall()]  # noqa: S608


# --- alerts -----------------------------------------------------------------------------------------------------------


def open_by_dedup(tx: Tx, dedup: str) -> Alert | None:
    return next(iter(select(tx, "dedup = ? AND state < 4", (dedup,))), None)


def last_resolved(tx: Tx, dedup: str, not_before: int) -> Alert | None:
    """The one that may be opened again: RESOLVED at ``not_before`` or later."""
    return next(
        iter(select(tx, "dedup = ? AND state = 4 AND resolved >= ? ORDER BY opened DESC LIMIT 1", (dedup, not_before))),
        None,
    )


def open_alerts(tx: Tx, rule: str | None = None, key: str | None = None) -> list[Alert]:
    where, values = "state < 4", []
    for column, value in (("rule", rule), ("key", key)):
        if value is not None:
            where += f" AND {column} = ?"
            values.append(value)
    return select(tx, where + " ORDER BY opened", values)


def open_keys(tx: Tx, rule: str) -> set[str]:
    """What has an open alert of this rule, or of its debts with a failure in it."""
    return {
        row[0]
        for row in tx.db.execute(
            "SELECT key FROM alert WHERE state < 4 AND (rule = ? OR failure <> '')", (rule,)
        ).fetchall()
    }


# "state < 4" stands in these although it follows: SQLite uses the index of open alerts only where it is said


def held_back(tx: Tx) -> list[Alert]:
    """Firing or acknowledged, with a reason why messages are held back."""
    return select(tx, "state < 4 AND state IN (1, 2) AND held_back IS NOT NULL ORDER BY opened", ())


def ack_expired(tx: Tx) -> list[Alert]:
    return select(tx, "state < 4 AND state = 2 AND ack_until IS NOT NULL AND ack_until <= ?", (tx.now,))


def get(tx: Tx, id: str) -> Alert | None:
    return next(iter(select(tx, "id = ?", (id,))), None)


def find(tx: Tx, text: str) -> list[Alert]:
    """By a whole id or by its end, open ones first and alone where there are any."""
    clean = "".join(c for c in text if c.isalnum())
    found = select(tx, "id = ? OR substr(id, -?) = ? ORDER BY opened DESC LIMIT 50", (clean, max(len(clean), 1), clean))
    return [alert for alert in found if alert.open] or found


def insert(tx: Tx, alert: Alert) -> None:
    marks = ", ".join("?" * len(_COLUMNS.split(",")))
    values = [getattr(alert, name.strip()) for name in _COLUMNS.split(",")]
    sql = f"INSERT INTO alert ({_COLUMNS}) VALUES ({marks})"  # noqa: S608 - our own column names
    tx.db.execute(sql, [int(v) if isinstance(v, int) else v for v in values])
    tx.bump("alert")


def update(tx: Tx, id: str, **fields: Any) -> None:
    """Set columns of one alert, and ``changed``."""
    sets = ", ".join(f"{name} = ?" for name in fields)
    values = [int(v) if isinstance(v, int) else v for v in fields.values()]
    tx.db.execute(f"UPDATE alert SET {sets}, changed = ? WHERE id = ?", (*values, tx.now, id))  # noqa: S608
    tx.bump("alert")


def event(tx: Tx, alert_id: str, what: str, who: str | None = None, detail: str | None = None) -> None:
    """One line of an alert's history."""
    tx.db.execute(
        "INSERT INTO alert_event (alert_id, at, what, who, detail) VALUES (?, ?, ?, ?, ?)",
        (alert_id, tx.now, what, who, detail),
    )
    tx.bump("alert")


def close_old(tx: Tx, resolved_before: int) -> int:
    """RESOLVED long enough becomes CLOSED: it is not opened again."""
    moved = tx.db.execute(
        "UPDATE alert SET state = 5, changed = ? WHERE state = 4 AND resolved < ?", (tx.now, resolved_before)
    ).rowcount
    if moved:
        tx.bump("alert")
    return moved


def sweep(tx: Tx, before: int, portion: int = 500) -> int:
    """Forget what was closed before then, with its history and messages; and test messages and silences as old."""
    old = [
        (row[0],)
        for row in tx.db.execute(
            "SELECT id FROM alert WHERE state = 5 AND changed < ? LIMIT ?", (before, portion)
        ).fetchall()
    ]
    letters = [
        (row[0],)
        for (id,) in old
        for row in tx.db.execute("SELECT id FROM outbox WHERE alert_id = ?", (id,)).fetchall()
    ]
    letters += tx.db.execute(
        "SELECT id FROM outbox WHERE kind = 'test' AND state > 1 AND created < ? LIMIT ?", (before, portion)
    ).fetchall()
    tx.db.executemany("DELETE FROM delivery WHERE outbox_id = ?", letters)
    tx.db.executemany("DELETE FROM outbox WHERE id = ?", letters)
    tx.db.executemany("DELETE FROM alert_event WHERE alert_id = ?", old)
    tx.db.executemany("DELETE FROM alert_owed WHERE alert_id = ?", old)
    tx.db.executemany("DELETE FROM alert WHERE id = ?", old)
    tx.db.execute("DELETE FROM silence WHERE until < ?", (before,))
    if old:
        tx.bump("alert")
    if letters:
        tx.bump("outbox")
    return len(old)


def count_open(tx: Tx) -> int:
    return int(tx.db.execute("SELECT count(*) FROM alert WHERE state < 4").fetchone()[0])


# --- silences -----------------------------------------------------------------------------------------------------------


def put_silence(tx: Tx, silence: Silence, uid: int) -> None:
    tx.db.execute(
        "INSERT INTO silence (id, match, until, reason, who, uid, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (silence.id, silence.match, silence.until, silence.reason, silence.who, uid, tx.now),
    )
    tx.bump("alert")


def silences(tx: Tx) -> list[Silence]:
    """Those in force now, the longest first."""
    rows = tx.db.execute(
        "SELECT id, match, until, reason, who FROM silence WHERE until > ? ORDER BY until DESC", (tx.now,)
    ).fetchall()
    return [Silence(*row) for row in rows]


# --- what rules ask -----------------------------------------------------------------------------------------------------


def first_seen(tx: Tx, source_id: int, otherwise: int) -> int:
    """Since when this source is known here; ``otherwise`` becomes the answer for ever where nobody asked before."""
    row = tx.db.execute("SELECT first_seen FROM alert_source WHERE source_id = ?", (source_id,)).fetchone()
    if row is not None:
        return int(row[0])
    tx.db.execute("INSERT INTO alert_source (source_id, first_seen) VALUES (?, ?)", (source_id, otherwise))
    return otherwise


def note_new_sources(tx: Tx) -> None:
    """Sources that are configured and were not known here: they are from now on."""
    tx.db.execute(
        "INSERT INTO alert_source (source_id, first_seen) SELECT id, ? FROM source WHERE gone = 0 "
        "AND id NOT IN (SELECT source_id FROM alert_source)",
        (tx.now,),
    )


def skew(tx: Tx, source_id: int) -> int:
    """How far this source's clock is ahead of ours, milliseconds; 0 where it is not known."""
    row = tx.db.execute("SELECT skew_ms FROM source_health WHERE source_id = ?", (source_id,)).fetchone()
    return int(row[0] or 0) if row else 0


_PIPELINE: Final = """
SELECT p.id, p.key, p.name, p.criticality, p.application, p.layer, p.tags, p.owner, p.runbook, p.consumers, s.name, s.environment
FROM pipeline p JOIN source s ON s.id = p.source_id WHERE """


def pipeline(tx: Tx, id: int | None = None, key: str | None = None) -> PipelineFacts | None:
    """By id or by key."""
    where, value = ("p.id = ?", id) if id is not None else ("p.key = ?", key)
    row = tx.db.execute(_PIPELINE + where, (value,)).fetchone()
    if row is None:
        return None
    return PipelineFacts(
        row[0],
        row[1],
        row[2],
        Severity(row[3]),
        row[4],
        row[5],
        split(row[6]),
        row[7],
        row[8],
        split(row[9]),
        row[10],
        row[11],
    )


def streams(tx: Tx, source_id: int) -> bool:
    """Whether what this source runs never ends well: it goes on, or it breaks (``streams`` in its capabilities)."""
    return bool(
        tx.db.execute(
            "SELECT 1 FROM source s, json_each(s.caps, '$.offers') o WHERE s.id = ? AND o.value = 'streams'",
            (source_id,),
        ).fetchone()
    )


def source(tx: Tx, name: str) -> SourceFacts | None:
    row = tx.db.execute(
        "SELECT s.id, s.environment, coalesce(h.health, 0), h.last_ok FROM source s LEFT JOIN source_health h ON h.source_id = s.id "
        "WHERE s.name = ?",
        (name,),
    ).fetchone()
    if row is None:
        return None
    rows = tx.db.execute(
        "SELECT name, criticality FROM pipeline WHERE source_id = ? AND mode <> ? ORDER BY criticality, name",
        (row[0], int(Mode.GONE)),
    ).fetchall()
    worst = Severity(rows[0][1]) if rows else Severity.MEDIUM
    important = tuple(str(r[0]) for r in rows if r[1] <= Severity.HIGH)
    (measures,) = tx.db.execute("SELECT count(*) FROM series_now WHERE source = ?", (name,)).fetchone()
    return SourceFacts(int(row[0]), name, row[1], Health(row[2]), row[3], len(rows), worst, important, measures)


def things(tx: Tx) -> list[Facts]:
    """Every source and pipeline that is configured, as a selector sees it."""
    sources = tx.db.execute("SELECT name, environment FROM source WHERE gone = 0").fetchall()
    pipelines = tx.db.execute(
        "SELECT p.key, s.name, s.environment, p.application, p.layer, p.tags FROM pipeline p JOIN source s ON s.id = p.source_id "
        "WHERE s.gone = 0 AND p.mode <> ?",
        (int(Mode.GONE),),
    ).fetchall()
    return [Facts(key=name, source=name, environment=environment) for name, environment in sources] + [
        Facts(key=r[0], source=r[1], environment=r[2], application=r[3], layer=r[4], tags=split(r[5]))
        for r in pipelines
    ]


def gone_sources(tx: Tx) -> frozenset[str]:
    """Names that are no longer configured."""
    return frozenset(row[0] for row in tx.db.execute("SELECT name FROM source WHERE gone = 1").fetchall())


def later_success(tx: Tx, pipeline_id: int, bdate: int | None, after: int) -> str | None:
    """Native id of a run that ended well at or after ``after``, for that business date (None: for any)."""
    sql = "SELECT run FROM run WHERE pipeline_id = ? AND state = ? AND coalesce(ended, updated) >= ?"
    values: list[Any] = [pipeline_id, int(State.SUCCESS), after]
    if bdate is not None:
        sql += " AND bdate = ?"
        values.append(bdate)
    row = tx.db.execute(sql + " ORDER BY at DESC LIMIT 1", values).fetchone()
    return None if row is None else str(row[0])


def bad_end(tx: Tx, pipeline_id: int, native_run: str) -> int | None:
    """When that run ended badly; None where it is not (or no longer) a bad one or has no end."""
    row = tx.db.execute(
        "SELECT state, ended FROM run WHERE pipeline_id = ? AND run = ?", (pipeline_id, native_run)
    ).fetchone()
    return None if row is None or not State(row[0]).bad else row[1]


def failed_step(tx: Tx, run_id: int) -> tuple[str, str | None] | None:
    """Name and error of the step that failed first, by each step's last try; None: none did, or they were not read yet."""
    row = tx.db.execute(
        "SELECT s.step, s.error FROM step_run s WHERE s.run_id = ? AND s.state IN (?, ?, ?) AND NOT EXISTS ("
        "SELECT 1 FROM step_run t WHERE t.run_id = s.run_id AND t.step = s.step AND t.map_index = s.map_index"
        " AND t.attempt > s.attempt) ORDER BY coalesce(s.started, s.queued, 0) LIMIT 1",
        (run_id, int(State.FAILED), int(State.TIMED_OUT), int(State.LOST)),
    ).fetchone()
    return None if row is None else (str(row[0]), row[1])


def usual_ms(tx: Tx, pipeline_id: int) -> int | None:
    """Its usual duration, once that is known."""
    row = tx.db.execute(
        "SELECT usual_ms FROM pipe_now WHERE pipeline_id = ? AND usual_n >= 8", (pipeline_id,)
    ).fetchone()
    return None if row is None else row[0]
