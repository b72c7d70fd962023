"""SQL of promises, occurrences and predictions: what the engine keeps of what is owed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import Owed, Severity
from engine.owed.history import Basis
from engine.owed.occurrences import Evidence, Occurrence
from engine.owed.predict import Prediction, Risk
from engine.store.packed import bdate_number, bdate_text
from engine.store.pipelines import join
from engine.store.writer import Tx

DATED, BY_CLOCK, WARNING_COUNTS, MISSED = 1, 2, 4, 8
_DAYS: Final = ("weekday", "weekend", "month-end", "month-end weekend")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationRecord:
    """A row of ``expectation``; ``fingerprint`` tells whether what is owed changed (a reload)."""

    promise: str
    thing: str
    pipeline_id: int | None
    type: str
    severity: Severity
    declared: bool
    words: str
    zone: str
    late_by_ms: int = 0
    warn: float = 0.5
    limit_ms: int | None = None
    expected_ms: int | None = None
    consumers: tuple[str, ...] = ()
    runbook: str | None = None
    place: str = ""
    fingerprint: str = ""


_EXPECTATION: Final = (
    "pipeline_id", "type", "severity", "declared", "words", "zone", "late_by_ms", "warn", "limit_ms", "expected_ms", "consumers",
    "runbook", "place", "fingerprint", "gone",
)  # fmt: skip


def put_expectation(tx: Tx, r: ExpectationRecord) -> int:
    """Insert or update by (promise, thing); returns its id."""
    values = (
        r.pipeline_id, r.type, int(r.severity), int(r.declared), r.words, r.zone, r.late_by_ms, r.warn, r.limit_ms, r.expected_ms,
        join(r.consumers), r.runbook, r.place, r.fingerprint, 0,
    )  # fmt: skip
    sets = ", ".join(f"{c} = excluded.{c}" for c in _EXPECTATION)
    row = tx.db.execute(
        f"INSERT INTO expectation (promise, thing, {', '.join(_EXPECTATION)}) VALUES (?, ?, {', '.join('?' * len(_EXPECTATION))})"  # noqa: S608
        f" ON CONFLICT (promise, thing) DO UPDATE SET {sets} RETURNING id",
        (r.promise, r.thing, *values),
    ).fetchone()
    tx.bump("owed")
    return int(row[0])


_OCCURRENCE: Final = (
    "key", "expectation_id", "bdate", "tick", "from_at", "declared_at", "due_at", "alert_at", "flags", "opened_as", "why_opened", "state",
    "reason", "since", "met_at", "lateness_ms", "run", "evidence", "extra", "changed",
)  # fmt: skip
_INSERT: Final = f"INSERT INTO occurrence ({', '.join(_OCCURRENCE)}) VALUES ({', '.join('?' * len(_OCCURRENCE))})"  # noqa: S608


def insert_occurrences(tx: Tx, expectation_id: int, found: Iterable[Occurrence]) -> list[int]:
    """New occurrences; their ids in the same order."""
    ids: list[int] = []
    for one in found:
        flags = DATED * one.dated | BY_CLOCK * one.by_clock | WARNING_COUNTS * one.warning_counts | MISSED * one.missed
        extra = json.dumps({"members": list(one.members)}) if one.members else None
        row = tx.db.execute(
            _INSERT,
            (
                one.key, expectation_id, bdate_number(one.business_date), one.tick, one.from_at, one.declared_at, one.due_at, one.alert_at,
                flags, int(one.opened_as), one.why_opened, *_verdict(one)[:-1], extra, tx.now,
            ),
        )  # fmt: skip
        ids.append(int(row.lastrowid or 0))
    if ids:
        tx.bump("owed")
    return ids


def _verdict(one: Occurrence) -> tuple[Any, ...]:
    run = next((e.key.partition("/")[2] for e in reversed(one.evidence) if e.what == "run" and "/" in e.key), None)
    evidence = json.dumps([[e.what, e.key, e.at, e.words] for e in one.evidence], ensure_ascii=False)
    return int(one.state), one.reason, one.since, one.met_at, one.lateness_ms, run, evidence, one.missed


def update_occurrence(tx: Tx, occurrence_id: int, one: Occurrence) -> None:
    """Write the latest verdict."""
    *values, missed = _verdict(one)
    tx.db.execute(
        "UPDATE occurrence SET state = ?, reason = ?, since = ?, met_at = ?, lateness_ms = ?, run = ?, evidence = ?,"
        " flags = flags & ~8 | ?, changed = ? WHERE id = ?",
        (*values, MISSED * missed, tx.now, occurrence_id),
    )
    tx.bump("owed")


def drop_occurrence(tx: Tx, occurrence_id: int) -> None:
    """Forget one, with its prediction (what was predicted stays for calibration)."""
    tx.db.execute("DELETE FROM prediction WHERE occurrence_id = ?", (occurrence_id,))
    tx.db.execute("DELETE FROM occurrence WHERE id = ?", (occurrence_id,))
    tx.bump("owed")


_ONE: Final = (
    "o.id, o.key, e.promise, e.type, e.thing, e.zone, o.bdate, o.tick, o.from_at, o.declared_at, o.due_at, o.alert_at, o.flags,"
    " o.opened_as, o.why_opened, o.state, o.reason, o.since, o.met_at, o.lateness_ms, o.evidence, o.extra"
)


def occurrences(tx: Tx, expectation_id: int, from_due: int) -> list[tuple[int, Occurrence]]:
    """Of one promise, due since then, oldest first: (id, occurrence)."""
    rows = tx.db.execute(
        f"SELECT {_ONE} FROM occurrence o JOIN expectation e ON e.id = o.expectation_id"  # noqa: S608
        " WHERE o.expectation_id = ? AND o.due_at >= ? ORDER BY o.due_at, o.id",
        (expectation_id, from_due),
    ).fetchall()
    return [(row[0], _occurrence(row)) for row in rows]


def _occurrence(row: Sequence[Any]) -> Occurrence:
    (
        _, key, promise, type_, thing, zone, bdate, tick, from_at, declared_at, due_at, alert_at, flags, opened_as, why_opened, state, reason,
        since, met_at, lateness, evidence, extra,
    ) = row  # fmt: skip
    return Occurrence(
        key=key, promise=promise, type=type_, on=thing, zone=zone, business_date=bdate_text(bdate) or "", tick=tick, from_at=from_at,
        declared_at=declared_at, due_at=due_at, alert_at=alert_at, dated=bool(flags & DATED), by_clock=bool(flags & BY_CLOCK),
        warning_counts=bool(flags & WARNING_COUNTS), members=tuple(json.loads(extra).get("members", ())) if extra else (),
        opened_as=Owed(opened_as), why_opened=why_opened, state=Owed(state), reason=reason, since=since, met_at=met_at,
        lateness_ms=lateness, missed=bool(flags & MISSED), evidence=tuple(Evidence(*e) for e in json.loads(evidence)),
    )  # fmt: skip


def put_prediction(tx: Tx, occurrence_id: int, p: Prediction, risk: Risk) -> None:
    """The latest prediction of an occurrence and the state of its hysteresis."""
    tx.db.execute(
        "INSERT OR REPLACE INTO prediction (occurrence_id, at, course, start, p50, p90, late, outlived, n, latest_start, spread, basis,"
        " at_risk, high) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            occurrence_id, tx.now, int(p.course), p.start, p.p50, p.p90, p.late, p.outlived, p.n, p.latest_start, p.spread,
            basis_json(p.basis), int(risk.at_risk), risk.high,
        ),
    )  # fmt: skip
    tx.bump("owed")


def basis_json(basis: Basis) -> str:
    """As ``engine.store.owed_rows.BasisRow`` reads it."""
    return json.dumps(
        {
            "learnt": basis.learnt, "n": basis.n, "since": basis.since, "until": basis.until,
            "day": None if basis.day is None else _DAYS[basis.day], "trend": basis.trend, "shift": basis.shift, "scaled": basis.scaled,
        }
    )  # fmt: skip


def put_now(tx: Tx, thing: str, pipeline_id: int | None, occurrence_id: int | None) -> None:
    """Which occurrence of a thing matters now; None: none does any more."""
    if occurrence_id is None:
        tx.db.execute("DELETE FROM owed_now WHERE thing = ?", (thing,))
    else:
        tx.db.execute(
            "INSERT OR REPLACE INTO owed_now (thing, pipeline_id, occurrence_id) VALUES (?, ?, ?)",
            (thing, pipeline_id, occurrence_id),
        )
    tx.bump("owed")


def put_edges(tx: Tx, edges: Iterable[tuple[str, str, str]]) -> None:
    """(up, down, kind), all of them: those that are not named are gone."""
    wanted = {(up, down): kind for up, down, kind in edges}
    had = {(up, down): kind for up, down, kind in tx.db.execute("SELECT up, down, kind FROM edge").fetchall()}
    if wanted == had:
        return
    tx.db.executemany("DELETE FROM edge WHERE up = ? AND down = ?", [k for k in had if k not in wanted])
    tx.db.executemany(
        "INSERT OR REPLACE INTO edge (up, down, kind) VALUES (?, ?, ?)",
        [(*k, kind) for k, kind in wanted.items() if had.get(k) != kind],
    )
    tx.bump("owed")


def put_warnings(tx: Tx, found: Iterable[tuple[str, str, str]]) -> None:
    """(promise, words, place), all of them."""
    wanted = {(promise, words): place for promise, words, place in found}
    had = {(p, w): place for p, w, place in tx.db.execute("SELECT promise, words, place FROM owed_warning").fetchall()}
    if wanted == had:
        return
    tx.db.executemany("DELETE FROM owed_warning WHERE promise = ? AND words = ?", [k for k in had if k not in wanted])
    tx.db.executemany(
        "INSERT OR REPLACE INTO owed_warning (promise, words, place, at) VALUES (?, ?, ?, ?)",
        [(*k, place, tx.now) for k, place in wanted.items() if had.get(k) != place],
    )
    tx.bump("owed")


def put_spans(tx: Tx, spans: Iterable[tuple[str, str, str, int, int, str]]) -> None:
    """(name, kind, match, start, until, words): windows as instants, all of them."""
    wanted = set(spans)
    had = set(tx.db.execute("SELECT name, kind, match, start, until, words FROM window_span").fetchall())
    if wanted == had:
        return
    tx.db.execute("DELETE FROM window_span")
    tx.db.executemany("INSERT OR REPLACE INTO window_span VALUES (?, ?, ?, ?, ?, ?)", sorted(wanted))
    tx.bump("owed")


def put_event(tx: Tx, thing: str, what: str, words: str) -> None:
    """Something that is told once."""
    tx.db.execute("INSERT INTO owed_event (at, thing, what, words) VALUES (?, ?, ?, ?)", (tx.now, thing, what, words))
    tx.bump("owed")
