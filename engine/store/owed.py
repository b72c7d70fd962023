"""SQL of promises, occurrences and predictions: what the engine keeps of what is owed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.model import Owed, Severity
from engine.owed.bound import APART, Bound
from engine.owed.history import Basis
from engine.owed.occurrences import Evidence, Occurrence, Promise
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
    evidence = "[]"
    if one.evidence:
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


def put_members(tx: Tx, occurrence_id: int, members: Sequence[str]) -> None:
    """Whom an occurrence of a set waits for."""
    tx.db.execute(
        "UPDATE occurrence SET extra = ? WHERE id = ?", (json.dumps({"members": list(members)}), occurrence_id)
    )
    tx.bump("owed")


def drop_occurrence(tx: Tx, occurrence_id: int, predicted: bool = True) -> None:
    """Forget one, with its prediction if it may have one (what was predicted stays for calibration)."""
    if predicted:
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


def basis_json(b: Basis) -> str:
    """As ``engine.store.owed_rows.BasisRow`` reads it. Written by hand: it is done for each prediction that says something new."""
    day = "null" if b.day is None else f'"{_DAYS[b.day]}"'
    return (
        f'{{"learnt": {"true" if b.learnt else "false"}, "n": {b.n}, "since": {_num(b.since)}, "until": {_num(b.until)}, "day": {day},'
        f' "trend": {_num(b.trend)}, "shift": {_num(b.shift)}, "scaled": {b.scaled}}}'
    )


def _num(value: float | None) -> str:
    return "null" if value is None else repr(value)


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


def kept_now(tx: Tx) -> list[str]:
    """What this transaction said of open occurrences that keep their old due time, by promise."""
    found = tx.db.execute(
        "SELECT words FROM owed_event WHERE at = ? AND what = 'kept' ORDER BY id", (tx.now,)
    ).fetchall()
    return [row[0] for row in found]


def put_event(tx: Tx, thing: str, what: str, words: str) -> None:
    """Something that is told once."""
    tx.db.execute("INSERT INTO owed_event (at, thing, what, words) VALUES (?, ?, ?, ?)", (tx.now, thing, what, words))
    tx.bump("owed")


# --- what the judge holds -------------------------------------------------------------------------------------------

TOLD: Final = 16
"""In ``occurrence.flags``: people were told (or would have been) that it is broken; a restart does not tell again."""


@dataclass(frozen=True, slots=True)
class Known:
    """A row of ``expectation`` as the judge compares it. ``record``: everything that a reload may change."""

    id: int
    promise: str
    thing: str
    fingerprint: str
    opened_until: int
    gone: bool
    declared: bool
    record: tuple[Any, ...]


def known_expectations(tx: Tx) -> dict[tuple[str, str], Known]:
    """All rows by (promise, thing)."""
    rows = tx.db.execute(
        "SELECT id, promise, thing, fingerprint, opened_until, gone, declared, pipeline_id, type, severity, declared, words, zone, late_by_ms,"
        " warn, limit_ms, expected_ms, consumers, runbook, place, fingerprint FROM expectation"
    ).fetchall()
    return {(r[1], r[2]): Known(r[0], r[1], r[2], r[3], r[4], bool(r[5]), bool(r[6]), tuple(r[7:])) for r in rows}


def record_row(r: ExpectationRecord) -> tuple[Any, ...]:
    """What ``Known.record`` is of a record."""
    return (
        r.pipeline_id, r.type, int(r.severity), int(r.declared), r.words, r.zone, r.late_by_ms, r.warn, r.limit_ms, r.expected_ms,
        join(r.consumers), r.runbook, r.place, r.fingerprint,
    )  # fmt: skip


def set_opened(tx: Tx, expectation_id: int, until: int) -> None:
    """How far a promise is opened (ms UTC)."""
    tx.db.execute("UPDATE expectation SET opened_until = ? WHERE id = ?", (until, expectation_id))


def put_gone(tx: Tx, expectation_id: int) -> None:
    """It is no longer configured."""
    tx.db.execute("UPDATE expectation SET gone = 1 WHERE id = ?", (expectation_id,))
    tx.bump("owed")


def gone_bound(known: Known) -> Bound:
    """A promise that is no longer configured, as far as its row still says what it was."""
    row = known.record
    return Bound(
        id=known.id, promise=Promise(id=known.promise, type=row[1], on=known.thing, zone=row[5]), severity=Severity(row[2]), words=row[4],
        declared=known.declared, pipeline_id=row[0], source=known.thing.partition(":")[0], place=row[12],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """An occurrence as it is taken back into memory."""

    id: int
    expectation_id: int
    one: Occurrence
    told: bool
    risk: Risk
    changed: int


_HELD: Final = (
    f"SELECT {_ONE}, o.expectation_id, o.changed, coalesce(r.at_risk, 0), coalesce(r.high, 0) FROM occurrence o"  # noqa: S608
    " CROSS JOIN expectation e ON e.id = o.expectation_id LEFT JOIN prediction r ON r.occurrence_id = o.id WHERE e.gone = 0 AND "
)


def held(tx: Tx, now: int, oldest: int, recent: int, settled: int) -> list[Held]:
    """Of all promises that a calendar or schedule opens, by due time: what is not settled and due since ``oldest``, what is
    waived for a while, what fell due since ``recent``, and what was settled since ``settled``."""
    rows = tx.db.execute(_HELD + "o.state IN (0, 1, 4, 5, 7) AND o.due_at >= ?", (oldest,)).fetchall()
    rows += tx.db.execute(_HELD + "o.state IN (2, 3, 6, 8) AND o.due_at >= ?", (recent,)).fetchall()
    rows += tx.db.execute(
        _HELD + "o.state IN (2, 3, 6) AND o.due_at >= ? AND o.due_at < ? AND o.changed >= ?", (oldest, recent, settled)
    ).fetchall()
    rows += tx.db.execute(
        _HELD + "o.state = 8 AND o.due_at >= ? AND o.due_at < ?"  # noqa: S608
        " AND o.key IN (SELECT occurrence FROM waiver WHERE until > ?)",
        (oldest, recent, now),
    ).fetchall()
    return sorted((_held(row) for row in rows), key=lambda h: (h.one.due_at, h.id))


def held_since(tx: Tx, expectation_id: int, since: int, before: int) -> list[Held]:
    """Settled occurrences of one promise that fell due, or were fulfilled, since then and fell due before ``before``."""
    rows = tx.db.execute(
        _HELD
        + "o.expectation_id = ? AND o.state IN (2, 3, 6, 8) AND (o.due_at >= ? OR o.met_at >= ?) AND o.due_at < ?",
        (expectation_id, since, since, before),
    ).fetchall()
    return sorted((_held(row) for row in rows), key=lambda h: (h.one.due_at, h.id))


def held_open(tx: Tx, expectation_id: int) -> list[Held]:
    """What is not settled of one promise, however old."""
    rows = tx.db.execute(_HELD + "o.expectation_id = ? AND o.state IN (0, 1, 4, 5, 7)", (expectation_id,)).fetchall()
    return sorted((_held(row) for row in rows), key=lambda h: (h.one.due_at, h.id))


def held_all(tx: Tx, expectation_id: int, since: int) -> list[Held]:
    """What is stored of one promise and falls due since then, whatever became of it; by due time."""
    rows = tx.db.execute(_HELD + "o.expectation_id = ? AND o.due_at >= ?", (expectation_id, since)).fetchall()
    return sorted((_held(row) for row in rows), key=lambda h: (h.one.due_at, h.id))


def held_last(tx: Tx, expectation_id: int) -> Held | None:
    """The latest of one promise, whatever became of it."""
    row = tx.db.execute(
        _HELD + "o.expectation_id = ? ORDER BY o.due_at DESC, o.id DESC LIMIT 1", (expectation_id,)
    ).fetchone()
    return None if row is None else _held(row)


def held_one(tx: Tx, key: str) -> Held | None:
    """One occurrence by its key, whatever its state."""
    row = tx.db.execute(_HELD + "o.key = ?", (key,)).fetchone()
    return None if row is None else _held(row)


def _held(row: Sequence[Any]) -> Held:
    return Held(row[0], row[-4], _occurrence(row[:-4]), bool(row[12] & TOLD), Risk(bool(row[-2]), row[-1]), row[-3])


def keys_due(tx: Tx, expectation_id: int, after: int) -> set[str]:
    """Keys of what is stored of a promise and falls due after an instant."""
    rows = tx.db.execute("SELECT key FROM occurrence WHERE expectation_id = ? AND due_at > ?", (expectation_id, after))
    return {row[0] for row in rows.fetchall()}


def waived_dates(tx: Tx, expectation_id: int, after: int) -> set[str]:
    """Business dates of what is waived of a promise, by a person or by a window, and falls due after an instant."""
    rows = tx.db.execute(
        "SELECT DISTINCT bdate FROM occurrence WHERE expectation_id = ? AND due_at > ? AND state = 8",
        (expectation_id, after),
    )
    return {bdate_text(bdate) or "" for (bdate,) in rows.fetchall()}


def put_told(tx: Tx, occurrence_id: int, told: bool) -> None:
    tx.db.execute("UPDATE occurrence SET flags = flags & ~16 | ? WHERE id = ?", (TOLD * told, occurrence_id))


def now_rows(tx: Tx) -> dict[str, int]:
    """Which occurrence of each thing matters now."""
    return dict(tx.db.execute("SELECT thing, occurrence_id FROM owed_now").fetchall())


def unsettled_apart(tx: Tx) -> list[tuple[str, int, int, int]]:
    """(thing, occurrence id, state, due) of what is judged of runs that go on, or of measured values, and is broken or at risk."""
    return tx.db.execute(
        "SELECT e.thing, o.id, o.state, o.due_at FROM occurrence o CROSS JOIN expectation e ON e.id = o.expectation_id"
        " WHERE o.state IN (0, 1, 4, 5, 7) AND o.state IN (1, 4) AND e.gone = 0"
        " AND e.type IN (SELECT value FROM json_each(?))",
        (json.dumps(APART),),
    ).fetchall()


# --- calibration ----------------------------------------------------------------------------------------------------


def put_predicted(tx: Tx, occurrence_id: int, late: float, p50: int | None) -> None:
    """What is said now, to be held against what becomes of it."""
    tx.db.execute(
        "INSERT OR REPLACE INTO predicted (occurrence_id, at, late, p50) VALUES (?, ?, ?, ?)",
        (occurrence_id, tx.now, late, p50),
    )


def settle_predicted(tx: Tx, occurrence_id: int, was_late: bool | None, ended: int | None) -> None:
    """What became of it; None: neither (waived, left out)."""
    tx.db.execute(
        "UPDATE predicted SET was_late = ?, ended = ? WHERE occurrence_id = ?",
        (None if was_late is None else int(was_late), ended, occurrence_id),
    )
