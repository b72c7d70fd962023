"""What the terminal asks about what is owed: SQL and rows. Part of the Reader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from adapters.model import Course, Owed, Severity, State, unquote_id
from engine.store.asked import ALERT, alert_row
from engine.store.link import Link
from engine.store.owed_rows import (
    Bar,
    BasisRow,
    Calibration,
    CheckRow,
    DatedRow,
    EdgeRow,
    FeedRow,
    MarginRow,
    OwedEvent,
    OwedRow,
    OwedWarning,
    PredictionRow,
    SignoffRow,
    SpanRow,
    Waived,
)
from engine.store.packed import GENERATED, STATES, bdate_text
from engine.store.rows import AlertRow

_EPOCH: Final = date(1970, 1, 1).toordinal()
_OWED: Final = tuple(Owed)
_COURSES: Final = tuple(Course)
_COLUMNS: Final = """
  o.id, o.key, e.promise, e.type, e.thing, coalesce(p.name, ''), e.words, e.declared, e.severity, e.pipeline_id, p.source_id, s.name,
  coalesce(s.environment, ''), p.layer, p.application, p.owner, e.zone, o.bdate, o.state, o.reason, o.since, o.due_at, o.declared_at,
  o.alert_at, o.opened_as, o.why_opened, o.met_at, o.lateness_ms, o.flags, o.run, e.consumers, p.consumers, coalesce(e.runbook, p.runbook),
  e.place, e.limit_ms, e.expected_ms, n.usual_ms, coalesce(n.usual_n, 0), o.evidence, o.extra,
  r.at, r.course, r.start, r.p50, r.p90, r.late, r.outlived, r.n, r.latest_start, r.spread, r.basis"""
_JOINS: Final = """
  CROSS JOIN expectation e ON e.id = o.expectation_id
  LEFT JOIN pipeline p ON p.id = e.pipeline_id
  LEFT JOIN source s ON s.id = coalesce(p.source_id, (SELECT c.id FROM series q CROSS JOIN source c ON c.name = q.source
    WHERE e.thing GLOB 'series:*' AND q.name = substr(e.thing, 8)))
  LEFT JOIN pipe_now n ON n.pipeline_id = e.pipeline_id
  LEFT JOIN prediction r ON r.occurrence_id = o.id"""
_ORDER: Final = "CASE o.state WHEN 4 THEN 0 WHEN 1 THEN 1 WHEN 0 THEN 2 WHEN 7 THEN 2 WHEN 5 THEN 3 WHEN 3 THEN 4 ELSE 5 END, o.due_at, e.severity, o.id"


class OwedQuestions(Link):
    """Questions about promises; none of them scans the runs."""

    def owed(self, since: int, until: int, *, limit: int = 5_000, all_types: bool = True) -> list[OwedRow]:
        """Occurrences due in [since, until], whatever is still broken, and whatever is in danger or unknown before its time (a
        budget that is due at the end of the month): broken, at risk, owed, unknown, late, met; by due time.

        Excluded ones (a holiday) are among them. Occurrences of expectations that are no longer configured are left out
        once they are settled.
        """
        where = "" if all_types else " AND e.type NOT IN ('max_duration', 'duration_anomaly', 'runaway')"
        rows = self.all(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM occurrence WHERE due_at BETWEEN ? AND ? UNION"  # noqa: S608
            " SELECT * FROM occurrence WHERE state IN (1, 4) AND due_at < ? UNION"
            f" SELECT * FROM occurrence WHERE state IN (1, 4, 5) AND due_at > ?) o {_JOINS}"
            f" WHERE (e.gone = 0 OR o.state IN (1, 4)){where} ORDER BY {_ORDER} LIMIT ?",
            (since, until, since, until, limit),
        )
        return [owed_row(row) for row in rows]

    def owed_in(self, pipelines: Sequence[int], since: int, until: int) -> dict[int | None, tuple[OwedRow, ...]]:
        """Occurrences due in [since, until] by pipeline id, oldest due first; under None those of feeds, heartbeats and sets."""
        rows = self.all(
            f"SELECT {_COLUMNS} FROM (SELECT x.id FROM json_each(?) j CROSS JOIN expectation x ON x.pipeline_id = j.value UNION ALL"  # noqa: S608
            " SELECT x.id FROM expectation x WHERE x.pipeline_id IS NULL) y CROSS JOIN occurrence o ON o.expectation_id = y.id"
            f" AND o.due_at BETWEEN ? AND ? {_JOINS} WHERE e.gone = 0 OR o.state IN (1, 4) ORDER BY o.due_at, o.id",
            (json.dumps(list(pipelines)), since, until),
        )
        found: dict[int | None, list[OwedRow]] = {}
        for row in rows:
            found.setdefault(row[9], []).append(owed_row(row))
        return {pipeline: tuple(owed) for pipeline, owed in found.items()}

    def owed_dates(self, pipelines: Sequence[int], since: int, until: int) -> dict[int | None, tuple[DatedRow, ...]]:
        """The dated ones of ``owed_in``, lean: a screen of the Matrix holds thousands."""
        rows = self.all(
            "SELECT o.id, x.thing, x.type, o.bdate, o.state, o.due_at, o.flags, o.run, x.pipeline_id FROM (SELECT v.id FROM json_each(?) j"
            " CROSS JOIN expectation v ON v.pipeline_id = j.value UNION ALL SELECT v.id FROM expectation v WHERE v.pipeline_id IS NULL) y"
            " CROSS JOIN expectation x ON x.id = y.id CROSS JOIN occurrence o ON o.expectation_id = x.id AND o.due_at BETWEEN ? AND ?"
            " WHERE o.bdate IS NOT NULL AND (x.gone = 0 OR o.state IN (1, 4)) ORDER BY o.due_at, o.id",
            (json.dumps(list(pipelines)), since, until),
        )
        found: dict[int | None, list[DatedRow]] = {}
        for number, thing, type_, day, state, due, flags, run, pipeline in rows:
            key = None if run is None else f"{thing}/{run}"
            one = DatedRow(number, thing, type_, bdate_text(day) or "?", _OWED[state], due, bool(flags & 8), key)
            found.setdefault(pipeline, []).append(one)
        return {pipeline: tuple(owed) for pipeline, owed in found.items()}

    def kept_by_date(self, since: int) -> dict[str, tuple[int, int]]:
        """By business date: of how many things all that was owed since then was kept, and how many owed something. What was
        excluded or waived was not owed."""
        rows = self.all(
            "SELECT bdate, sum(kept), count(*) FROM (SELECT o.bdate, min(o.state IN (2, 3)) AS kept FROM occurrence o"
            " CROSS JOIN expectation e ON e.id = o.expectation_id WHERE o.due_at >= ? AND o.bdate IS NOT NULL AND o.state NOT IN (6, 8)"
            " AND (e.gone = 0 OR o.state IN (1, 4)) GROUP BY o.bdate, coalesce(e.pipeline_id, e.thing)) GROUP BY bdate ORDER BY bdate",
            (since,),
        )
        return {bdate_text(day) or "?": (kept, n) for day, kept, n in rows}

    def owed_now(self, things: Sequence[str] | None = None) -> dict[str, OwedRow]:
        """Of each thing that owes something the occurrence that matters now, by its key: broken, at risk, next due, or last met.

        ``things``: only of these.
        """
        start = "owed_now w" if things is None else "json_each(?) j CROSS JOIN owed_now w ON w.thing = j.value"
        rows = self.all(
            f"SELECT {_COLUMNS} FROM {start} CROSS JOIN occurrence o ON o.id = w.occurrence_id {_JOINS} WHERE e.gone = 0",  # noqa: S608
            () if things is None else (json.dumps(list(things)),),
        )
        return {row[4]: owed_row(row) for row in rows}

    def owed_unmeasured(self, types: Sequence[str]) -> tuple[OwedRow, ...]:
        """Of these types, which are judged of measured values, what is open and nobody can judge: ``owed_now`` leaves it out."""
        rows = self.all(
            # the list of states is that of the index
            f"SELECT {_COLUMNS} FROM occurrence o INDEXED BY occurrence_unsettled {_JOINS} WHERE o.state IN (0, 1, 4, 5, 7)"  # noqa: S608
            " AND o.state = 5 AND e.gone = 0 AND e.declared = 1 AND e.type IN (SELECT value FROM json_each(?)) ORDER BY o.due_at",
            (json.dumps(list(types)),),
        )
        return tuple(owed_row(row) for row in rows)

    def owed_marks(self) -> dict[str, tuple[int, int, int, str]]:
        """By thing: occurrence, when it and its prediction moved last, its promise's fingerprint: what of ``owed_now`` is new."""
        rows = self.all(
            "SELECT w.thing, o.id, o.changed, coalesce(r.at, 0), e.fingerprint FROM owed_now w CROSS JOIN occurrence o"
            " ON o.id = w.occurrence_id CROSS JOIN expectation e ON e.id = o.expectation_id"
            " LEFT JOIN prediction r ON r.occurrence_id = o.id WHERE e.gone = 0"
        )
        return {row[0]: row[1:] for row in rows}

    def owed_one(self, occurrence: int | str) -> OwedRow | None:
        """One occurrence by its id or its key."""
        by = "id" if isinstance(occurrence, int) else "key"
        row = self.one(f"SELECT {_COLUMNS} FROM occurrence o {_JOINS} WHERE o.{by} = ?", (occurrence,))  # noqa: S608
        return None if row is None else owed_row(row)

    def owed_of(self, thing: str, limit: int = 40) -> list[OwedRow]:
        """What a thing owed, newest due first, of all its promises."""
        rows = self.all(
            f"SELECT {_COLUMNS} FROM expectation x CROSS JOIN occurrence o ON o.expectation_id = x.id {_JOINS}"  # noqa: S608
            " WHERE x.thing = ? ORDER BY o.due_at DESC LIMIT ?",
            (thing, limit),
        )
        return [owed_row(row) for row in rows]

    def owed_warnings(self) -> list[OwedWarning]:
        rows = self.all("SELECT promise, words, place, at FROM owed_warning ORDER BY promise, words")
        return [OwedWarning(*row) for row in rows]

    def owed_events(self, since: int, limit: int = 200) -> list[OwedEvent]:
        """Level shifts and due times that a reload kept, newest first."""
        rows = self.all(
            "SELECT at, thing, what, words FROM owed_event WHERE at >= ? ORDER BY at DESC LIMIT ?", (since, limit)
        )
        return [OwedEvent(*row) for row in rows]

    def edges(self) -> list[EdgeRow]:
        """Who waits for whom."""
        return [EdgeRow(*row) for row in self.all("SELECT up, down, kind FROM edge ORDER BY up, down")]

    def spans(self, since: int, until: int) -> list[SpanRow]:
        """Windows that have an instant in [since, until)."""
        rows = self.all(
            "SELECT name, kind, match, start, until, words FROM window_span WHERE start < ? AND until > ? ORDER BY start, name",
            (until, since),
        )
        return [SpanRow(*row) for row in rows]

    def feeds(self) -> list[FeedRow]:
        """Feeds by name, each with its last arrival and up to 20 margins."""
        consumers: dict[str, list[str]] = {}
        for up, down in self.all("SELECT up, down FROM edge WHERE kind = 'feed' ORDER BY up, down"):
            consumers.setdefault(up, []).append(down)
        rows = self.all(
            "SELECT f.name, f.file, f.zone, f.layer, f.application, f.owner, f.buffer_ms, f.looked, f.error, a.at, a.what, a.size"
            " FROM feed f LEFT JOIN arrival a ON a.id = (SELECT id FROM arrival b WHERE b.feed = f.name ORDER BY b.at DESC, b.id DESC LIMIT 1)"
            " WHERE f.gone = 0 ORDER BY f.name"
        )
        return [
            FeedRow(*row, margins=self._margins(row[0]), consumers=tuple(consumers.get(f"feed:{row[0]}", ())))
            for row in rows
        ]

    def _margins(self, feed: str) -> tuple[MarginRow, ...]:
        rows = self.all(
            "SELECT day, arrived, started, run_key FROM margin WHERE feed = ? ORDER BY day DESC LIMIT 20", (feed,)
        )
        return tuple(MarginRow(bdate_text(day) or "?", *rest) for day, *rest in reversed(rows))

    def checks(self, run_key: str) -> list[CheckRow]:
        """``done_when`` checks of a run's last attempt that has any."""
        pipeline, _, name = run_key.partition("/")
        rows = self.all(
            "SELECT c.name, c.state, c.at, c.words FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ?"
            " JOIN run_check c ON c.run_id = r.id AND c.attempt = (SELECT max(attempt) FROM run_check d WHERE d.run_id = r.id)"
            " WHERE p.key = ? ORDER BY c.name",
            (name, pipeline),
        )
        return [CheckRow(*row) for row in rows]

    def unverified(self) -> dict[int, tuple[CheckRow, ...]]:
        """By pipeline id: checks that have not passed of its current run ("finished, not yet verified")."""
        rows = self.all(
            "SELECT n.pipeline_id, c.name, c.state, c.at, c.words FROM run_check c CROSS JOIN run r ON r.id = c.run_id"
            " JOIN pipe_now n ON n.pipeline_id = r.pipeline_id AND n.run_id = r.id AND n.attempt = c.attempt"
            " WHERE c.next_at IS NOT NULL AND c.state <> 1 ORDER BY c.name"
        )
        found: dict[int, tuple[CheckRow, ...]] = {}
        for pipeline, *rest in rows:
            found[pipeline] = (*found.get(pipeline, ()), CheckRow(*rest))
        return found

    def bars(self, pipelines: Sequence[int], since: int, until: int) -> dict[int, tuple[Bar, ...]]:
        """Runs by pipeline that have an instant in [since, until), oldest first: the lanes of the Timeline. A run that began
        more than two days before is found only while it is the current one."""
        ids = json.dumps(list(pipelines))
        rows = self.all(
            "SELECT r.pipeline_id, p.key, r.run, r.state, r.at, r.started, r.ended, r.bdate FROM json_each(?) j"
            " CROSS JOIN pipeline p ON p.id = j.value CROSS JOIN run r ON r.pipeline_id = p.id AND r.at >= ? AND r.at < ?"
            " WHERE r.ended IS NULL OR r.ended >= ? OR r.at >= ? ORDER BY r.at, r.id",
            (ids, since - 2 * 86_400_000, until, since, since),
        )
        rows += self.all(
            "SELECT n.pipeline_id, p.key, n.run, n.state, n.at, n.started, n.ended, n.bdate FROM json_each(?) j"
            " CROSS JOIN pipe_now n ON n.pipeline_id = j.value CROSS JOIN pipeline p ON p.id = n.pipeline_id"
            " WHERE n.state IN (1, 2, 3, 4, 5) AND n.at < ?",
            (ids, since - 2 * 86_400_000),
        )
        return _by_pipeline(rows)

    def dated(self, pipelines: Sequence[int], since: int) -> dict[int, tuple[Bar, ...]]:
        """Runs by pipeline begun since then, oldest first: what the Matrix lays on business dates."""
        rows = self.all(
            "SELECT r.pipeline_id, p.key, r.run, r.state, r.at, r.started, r.ended, r.bdate FROM json_each(?) j"
            " CROSS JOIN pipeline p ON p.id = j.value CROSS JOIN run r ON r.pipeline_id = p.id AND r.at >= ? ORDER BY r.at, r.id",
            (json.dumps(list(pipelines)), since),
        )
        return _by_pipeline(rows)

    def calibration(self, since: int) -> Calibration:
        """How right predictions were whose promise settled since then. Each promise counts once a tenth of P: the first time."""
        rows = self.all(
            "SELECT b, count(*), sum(was_late), avg(late), sum(abs(ended - p50)), count(ended - p50)"
            " FROM (SELECT min(9, CAST(late * 10 AS INTEGER)) AS b, late, was_late, ended, p50, min(at) FROM predicted WHERE was_late IS NOT NULL AND at >= ? GROUP BY occurrence_id, 1) GROUP BY b ORDER BY b",
            (since,),
        )
        n = sum(row[1] for row in rows)
        high = [row for row in rows if row[0] >= 5]
        ends = sum(row[5] for row in rows)
        error = sum(abs(row[3] * row[1] - row[2]) for row in rows) / n if n else None
        off = round(sum(row[4] for row in rows if row[5]) / ends) if ends else None
        buckets = tuple((row[3], row[1], row[2]) for row in rows)
        return Calibration(n, sum(r[1] for r in high), sum(r[2] for r in high), error, off, buckets)

    def outcomes(self, since: int, until: int) -> dict[State, int]:
        """How the runs that began in [since, until) stand; what was made up for a demo does not count."""
        rows = self.all(
            "SELECT state, count(*) FROM run WHERE at >= ? AND at < ? AND kind & ? = 0 GROUP BY state",
            (since, until, GENERATED),
        )
        return {STATES[state]: n for state, n in rows}

    def mended(self, since: int, until: int) -> list[tuple[str, str, int]]:
        """Pipelines of which a run went bad in [since, until) and whose current run is fine: (key, name, how many)."""
        return self.all(
            "SELECT p.key, p.name, count(*) FROM run r CROSS JOIN pipeline p ON p.id = r.pipeline_id"
            " CROSS JOIN pipe_now n ON n.pipeline_id = p.id AND n.state IN (6, 7)"
            " WHERE r.state IN (8, 9, 12, 13) AND r.at >= ? AND r.at < ? AND r.kind & ? = 0 GROUP BY p.id ORDER BY p.name",
            (since, until, GENERATED),
        )

    def alerts_between(self, since: int, until: int) -> list[AlertRow]:
        """Alerts that were open at some time in [since, until), oldest first."""
        rows = self.all(
            f"SELECT {ALERT} FROM alert WHERE state > 0 AND opened < ? AND (state < 4 OR coalesce(resolved, changed) >= ?) ORDER BY opened"  # noqa: S608
            " LIMIT 2000",
            (until, since),
        )
        return [alert_row(row) for row in rows]

    def waived(self, occurrence: str) -> Waived | None:
        """Who waived it, last."""
        row = self.one(
            "SELECT who, reason, until, at FROM waiver WHERE occurrence = ? ORDER BY id DESC LIMIT 1", (occurrence,)
        )
        return None if row is None else Waived(*row)

    def signoff(self) -> SignoffRow | None:
        """The last morning check that somebody signed."""
        row = self.one("SELECT id, at, who, since, well, note, body FROM signoff ORDER BY id DESC LIMIT 1")
        return None if row is None else SignoffRow(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6])


def _by_pipeline(rows: Sequence[Sequence[Any]]) -> dict[int, tuple[Bar, ...]]:
    found: dict[int, list[Bar]] = {}
    for pipeline, key, run, state, at, started, ended, bdate in rows:
        bar = Bar(f"{key}/{run}", STATES[state], at, started, ended, bdate_text(bdate))
        found.setdefault(pipeline, []).append(bar)
    return {pipeline: tuple(bars) for pipeline, bars in found.items()}


def thing_name(thing: str, pipeline: str) -> str:
    """How a thing reads: the pipeline's name, or what stands behind ``feed:``, ``ping:``, ``set:`` or ``series:``."""
    kind, _, name = thing.partition(":")
    return pipeline or (name if kind in ("series", "asset") else unquote_id(name))


def owed_row(row: Sequence[Any]) -> OwedRow:
    thing, run, extra = row[4], row[29], row[39]
    return OwedRow(
        id=row[0], key=row[1], promise=row[2], type=row[3], thing=thing, name=thing_name(thing, row[5]), expectation=row[6],
        declared=bool(row[7]), severity=Severity(row[8]), pipeline_id=row[9], source_id=row[10], source=row[11], environment=row[12],
        layer=row[13], application=row[14], owner=row[15], zone=row[16], business_date=bdate_text(row[17]), state=_OWED[row[18]],
        reason=row[19], since=row[20], due=row[21], declared_due=row[22], alert_at=row[23], opened_as=_OWED[row[24]], why_opened=row[25],
        met_at=row[26], lateness_ms=row[27], missed=bool(row[28] & 8), run_key=None if run is None else f"{thing}/{run}",
        consumers=tuple(dict.fromkeys(w for words in (row[30], row[31]) for w in (words or "").split("\n") if w)),
        runbook=row[32], place=row[33], limit_ms=row[34], expected_ms=row[35], usual_ms=row[36], usual_n=row[37],
        evidence=tuple((e[0], e[1], e[2], e[3]) for e in json.loads(row[38])),
        members=tuple(json.loads(extra).get("members", ())) if extra else (),
        prediction=None if row[40] is None else _prediction(row[40:]),
    )  # fmt: skip


def _prediction(row: Sequence[Any]) -> PredictionRow:
    basis = json.loads(row[10])
    return PredictionRow(
        row[0], _COURSES[row[1]], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], BasisRow(**basis)
    )
