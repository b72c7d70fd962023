"""All that the terminal asks of the store. Read-only, rows of ``engine.store.rows`` out, light to import.

Each question that a screen asks while it stands is answered within 5 ms over a million runs and two thousand
pipelines: nothing here scans the table of runs (a test reads the query plans).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.model import ActionState, AlertState, Health, Mode, RunKind, Severity, State, Trigger, parse_key, step_key
from engine.store.errors import SchemaChanged, StoreError, StoreMissing
from engine.store.link import Link
from engine.store.packed import BACKFILLED, GENERATED, NATIVE, OBSERVED_LATE, STATES, bdate_text, unpack_url
from engine.store.rows import (
    ActionRow,
    AlertEventRow,
    AlertRow,
    ArmedRow,
    AttemptRow,
    Counts,
    DeliveryRow,
    EngineRow,
    FloorRow,
    GaugeRow,
    LogRow,
    NoteRow,
    ProcessRow,
    RunDetail,
    RunRow,
    SourceRow,
    StepRow,
)  # fmt: skip

__all__ = ["Place", "Reader", "SchemaChanged", "StoreError", "StoreMissing"]

Place = tuple[int, int]
"""(at, id) of a run: where a page begins or ends."""

_KINDS: Final = tuple(RunKind)
_MODES: Final = tuple(Mode)
_TRIGGERS: Final = tuple(Trigger)
_SEVERITIES: Final = tuple(Severity)
_STRIP: Final = tuple((STATES[min(byte >> 4, len(STATES) - 1)], byte & 7) for byte in range(256))
_NEAR: Final = 64
"""Up to so many pipelines a text filter asks each one's newest runs; beyond, it walks all runs in time."""
_STALE: Final = "(h.health <> 1 OR h.last_ok IS NULL OR :now - h.last_ok > 3 * max(h.poll_ms, 1000))"


def _now() -> int:
    return time.time_ns() // 1_000_000


class Reader(Link):
    """The store as a reader sees it. ``clock``: ms UTC, for what depends on the hour (stale, longer than usual)."""

    def __init__(self, path: Path | str, clock: Callable[[], int] = _now) -> None:
        super().__init__(path)
        self._clock = clock

    # --- engine and sources ---------------------------------------------------------------------------------------

    def engine(self) -> EngineRow | None:
        """Who writes, or wrote last; None: no engine ever ran here. ``lock_held`` says whether it lives."""
        row = self.one(
            "SELECT pid, host, version, protocol, started, heartbeat, stopped, config_path, config_hash, config_error, demo,"
            " timezone, last_words, note FROM engine WHERE id = 1"
        )
        return None if row is None else EngineRow(*row[:10], bool(row[10]), *row[11:])

    def sources(self, gone: bool = False) -> list[SourceRow]:
        """Sources in the order of the configuration; with ``gone`` also those that are no longer in it."""
        rows = self.all(
            "SELECT s.id, s.name, s.kind, s.url, s.environment, s.color, s.protected, s.insecure, s.caps, h.health, h.since,"
            " h.last_ok, h.last_try, h.next_try, h.failures, h.detail, h.hint, h.until, h.version, h.identity, h.skew_ms,"
            " h.latency_ms, h.requests_min, h.bytes_min, h.budget_min, h.poll_ms,"
            " (SELECT count(*) FROM pipeline p WHERE p.source_id = s.id AND p.mode <> 3)"
            " FROM source s JOIN source_health h ON h.source_id = s.id WHERE s.gone <= ? ORDER BY s.gone, s.ord, s.name",
            (int(gone),),
        )
        found: list[SourceRow] = []
        for row in rows:
            caps = json.loads(row[8])
            found.append(
                SourceRow(
                    *row[:6], bool(row[6]), bool(row[7]), frozenset(caps.get("offers", ())), dict(caps.get("why_not", {})),
                    Health(row[9]), *row[10:],
                )
            )  # fmt: skip
        return found

    # --- the Floor ------------------------------------------------------------------------------------------------

    def floor(self, text: str | None = None, limit: int | None = None, offset: int = 0) -> list[FloorRow]:
        """Pipelines, worst first: failed, missed, longer than usual, unknown, stopping, running, queued, held or paused,
        warning, fine by next due; in a class the unacknowledged first, then criticality. ``text``: words that key, name,
        application, layer, owner, tags or environment must all hold. Pipelines that are GONE are left out.
        """
        return self.floor_rows(self.floor_ids(text, limit, offset))

    def floor_ids(self, text: str | None = None, limit: int | None = None, offset: int = 0) -> list[int]:
        """Ids of ``floor`` alone, so that a screen can hold its order while the operator moves."""
        unacked = [key for key, state in self._alerted() if state == AlertState.FIRING]
        values: dict[str, Any] = {
            "now": self._clock(),
            "unacked": json.dumps(unacked),
            "limit": -1 if limit is None else limit,
            "offset": offset,
        }
        words = (text or "").lower().split()
        where = "".join(f" AND instr({_HAY}, :w{i})" for i in range(len(words)))
        values |= {f"w{i}": word for i, word in enumerate(words)}
        return [row[0] for row in self.all(_FLOOR_IDS.replace("/*where*/", where), values)]

    def floor_rows(self, ids: Sequence[int]) -> list[FloorRow]:
        """The rows of these pipelines, in this order; what is no longer there is left out."""
        if not ids:
            return []
        alerts = self._alerts_by_pipeline()
        rows = {row[0]: row for row in self.all(_FLOOR_ROWS, (json.dumps(list(ids)),))}
        return [_floor_row(rows[i], alerts.get(rows[i][1])) for i in ids if i in rows]

    def pipeline(self, key: str) -> FloorRow | None:
        """One pipeline by its key, also one that is GONE."""
        row = self.one("SELECT id FROM pipeline WHERE key = ?", (key,))
        found = self.floor_rows([row[0]]) if row else []
        return found[0] if found else None

    def _alerted(self) -> list[tuple[str, int]]:
        rows = self.all("SELECT key, state FROM alert WHERE state < 4 AND state > 0")
        return [(key.partition("/")[0], state) for key, state in rows]

    def _alerts_by_pipeline(self) -> dict[str, tuple[str, bool, int]]:
        """Open alert by pipeline key: (id, acked, since); the unacknowledged and worse one wins."""
        rows = self.all(
            "SELECT key, id, state, since FROM alert WHERE state < 4 AND state > 0 ORDER BY state DESC, severity DESC"
        )
        return {key.partition("/")[0]: (i, state == AlertState.ACKED, since) for key, i, state, since in rows}

    def counts(self) -> Counts:
        """Pipelines by the state of their current run; those of a blind source; alerts."""
        by_state: dict[State, int] = {}
        paused = stale = total = 0
        for state, n, held, blind in self.all(_COUNTS, {"now": self._clock()}):
            total += n
            paused += held
            stale += blind
            if state is not None:
                by_state[STATES[state]] = n
        alerts, unacked = self.one(
            "SELECT count(*), coalesce(sum(state = 1), 0) FROM alert WHERE state < 4 AND state > 0"
        )
        return Counts(by_state, paused, stale, total, alerts, unacked)

    # --- runs -----------------------------------------------------------------------------------------------------

    def runs(
        self,
        before: Place | None = None,
        after: Place | None = None,
        limit: int = 50,
        pipeline_key: str | None = None,
        states: Collection[State] | None = None,
        text: str | None = None,
    ) -> list[RunRow]:
        """A page of runs, newest first: those older than ``before``, or the next ones newer than ``after``.

        ``text``: words that the pipeline's key or name must all hold; where no pipeline does, the beginning of a run's id.
        """
        where: list[str] = []
        values: list[Any] = []
        pipelines: list[int] | None = None
        if pipeline_key is not None:
            pipelines = [row[0] for row in self.all("SELECT id FROM pipeline WHERE key = ?", (pipeline_key,))]
        elif text and text.strip():
            pipelines = self._pipelines_like(text.lower().split())
            if not pipelines:
                return self._runs_named(text.strip(), before, after, limit, states)
        if pipelines == []:
            return []
        if before is not None:
            where.append("(r.at, r.id) < (?, ?)")
            values += before
        if after is not None:
            where.append("(r.at, r.id) > (?, ?)")
            values += after
        order = "r.at, r.id" if after is not None and before is None else "r.at DESC, r.id DESC"
        parts: list[tuple[str, list[Any]]] = []
        if pipelines is not None and len(pipelines) <= _NEAR:
            state = [f"r.state IN ({_numbers(states)})"] if states is not None else []
            parts = [(_and(["r.pipeline_id = ?", *state, *where]), [i, *values]) for i in pipelines]
        else:
            inside = [] if pipelines is None else [f"r.pipeline_id IN ({_numbers(pipelines)})"]
            if states is None or State.SUCCESS in states:
                state = [f"r.state IN ({_numbers(states)})"] if states is not None else []
                parts = [(_and([*state, *inside, *where]), values)]
            else:  # each has its own part of an index, already in order
                parts = [(_and([f"r.state = {s:d}", "r.state <> 6", *inside, *where]), values) for s in sorted(states)]
        return self._page(parts, order, limit)

    def _page(self, parts: Sequence[tuple[str, list[Any]]], order: str, limit: int) -> list[RunRow]:
        found: list[Any] = []
        for where, values in parts:
            found += self.all(
                f"SELECT r.at, r.id FROM run r {where} ORDER BY {order} LIMIT ?",  # noqa: S608 - conditions of our own
                (*values, limit),
            )
        newest_first = "DESC" in order
        found.sort(reverse=newest_first)
        page = sorted(found[:limit], reverse=True)
        rows = {row[0]: row for row in self.all(_RUN_ROWS, (json.dumps([i for _, i in page]),))}
        return [_run_row(rows[i]) for _, i in page if i in rows]

    def _pipelines_like(self, words: Sequence[str]) -> list[int]:
        hay = "lower(p.key || ' ' || p.name)"
        where = " AND ".join(f"instr({hay}, ?)" for _ in words)
        return [row[0] for row in self.all(f"SELECT p.id FROM pipeline p WHERE {where}", tuple(words))]  # noqa: S608

    def _runs_named(
        self, text: str, before: Place | None, after: Place | None, limit: int, states: Collection[State] | None
    ) -> list[RunRow]:
        """Runs whose id begins with ``text``: one short look into the index a pipeline."""
        rows = self.all(
            "SELECT r.at, r.id, r.state FROM pipeline p CROSS JOIN run r ON r.pipeline_id = p.id AND r.run >= ? AND r.run < ?"
            " LIMIT 1000",
            (text, text + "\U0010ffff"),
        )
        found = [
            (at, i)
            for at, i, state in rows
            if (states is None or STATES[state] in states)
            and (before is None or (at, i) < before)
            and (after is None or (at, i) > after)
        ]
        found.sort(reverse=after is None or before is not None)
        page = sorted(found[:limit], reverse=True)
        full = {row[0]: row for row in self.all(_RUN_ROWS, (json.dumps([i for _, i in page]),))}
        return [_run_row(full[i]) for _, i in page if i in full]

    def run_count(self) -> int:
        """How many runs are stored; kept on write."""
        row = self.one("SELECT value FROM tally WHERE name = 'runs'")
        return row[0] if row else 0

    def run(self, key: str) -> RunDetail | None:
        """One run whole: steps, attempts, logs, its neighbours in time, and how long its steps take usually."""
        pipeline, slash, name = key.partition("#")[0].partition("/")
        if not slash:
            return None
        with self.snapshot():
            found = self.one(
                "SELECT r.id, r.pipeline_id, r.at FROM pipeline p JOIN run r ON r.pipeline_id = p.id AND r.run = ? WHERE p.key = ?",
                (name, pipeline),
            )
            return None if found is None else self._detail(*found)

    def _detail(self, run_id: int, pipeline_id: int, at: int) -> RunDetail:
        row = _run_row(self.one(_RUN_ROWS, (json.dumps([run_id]),)))
        name, params, url, pipeline_url, rerun_of, note, flags, exit_code, stopped_by, *rest = self.one(
            "SELECT r.run, x.params, x.url, p.url, x.rerun_of, x.note, coalesce(x.flags, 0), x.exit_code, x.stopped_by, p.layer,"
            " p.owner, p.consumers, p.runbook, p.schedule, p.next_run, p.mode"
            " FROM run r JOIN pipeline p ON p.id = r.pipeline_id LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.id = ?",
            (run_id,),
        )
        layer, owner, consumers, runbook, schedule, next_run, mode = rest
        steps = self.all(
            "SELECT step, map_index, attempt, state, native, sub, queued, started, ended, ord, error, operator, exit_code"
            " FROM step_run WHERE run_id = ? ORDER BY ord, coalesce(started, queued, 9e15), step, map_index, attempt",
            (run_id,),
        )
        attempts = self.all(
            "SELECT attempt, state, started, ended, sub FROM attempt WHERE run_id = ? ORDER BY attempt", (run_id,)
        )
        logs = self.all(
            "SELECT step, map_index, attempt, path, size, complete, note, updated FROM log_file WHERE run_id = ?"
            " ORDER BY step, map_index, attempt",
            (run_id,),
        )
        older = self.one(_NEXT.format(op="<", order="DESC"), (pipeline_id, at, run_id))
        newer = self.one(_NEXT.format(op=">", order="ASC"), (pipeline_id, at, run_id))
        return RunDetail(
            row=row,
            run=parse_key(row.key).run or name,
            params=json.loads(params) if params else None,
            url=unpack_url(url, pipeline_url, name),
            rerun_of=rerun_of,
            note=note or _note(flags),
            exit_code=exit_code,
            stopped_by=stopped_by,
            layer=layer,
            owner=owner,
            consumers=_split(consumers),
            runbook=runbook,
            schedule=schedule,
            next_run=next_run,
            mode=_MODES[mode],
            steps=tuple(
                StepRow(step_key(row.key, s[0], s[1]), *s[:3], STATES[s[3]], s[4] or NATIVE[s[3]], *s[5:])
                for s in steps
            ),
            attempts=tuple(AttemptRow(a[0], STATES[a[1]], *a[2:]) for a in attempts),
            logs=tuple(LogRow(step_key(row.key, g[0], g[1]), *g[:5], bool(g[5]), *g[6:]) for g in logs),
            older=f"{row.pipeline_key}/{older[0]}" if older else None,
            newer=f"{row.pipeline_key}/{newer[0]}" if newer else None,
            usual_steps=self._usual_steps(pipeline_id, run_id),
        )

    def _usual_steps(self, pipeline_id: int, run_id: int) -> dict[str, int]:
        """Median ms by step over the last 30 runs that succeeded and whose steps are stored; three at least."""
        rows = self.all(
            "SELECT s.step, s.ended - s.started FROM (SELECT r.id FROM run r WHERE r.pipeline_id = ? AND r.state = 6 AND r.id <> ?"
            " ORDER BY r.at DESC, r.id DESC LIMIT 30) l JOIN step_run s ON s.run_id = l.id"
            " WHERE s.state = 6 AND s.ended >= s.started AND s.map_index = -1 ORDER BY 1, 2",
            (pipeline_id, run_id),
        )
        times: dict[str, list[int]] = {}
        for step, ms in rows:
            times.setdefault(step, []).append(ms)
        return {s: (t[(len(t) - 1) // 2] + t[len(t) // 2]) // 2 for s, t in times.items() if len(t) >= 3}

    # --- alerts, actions, people ----------------------------------------------------------------------------------

    def alerts(self, open_only: bool = True, limit: int = 200) -> list[AlertRow]:
        """Open alerts, worst and unacknowledged first; or all, newest first."""
        where, order = (
            ("state < 4 AND state > 0", "state, severity, since") if open_only else ("state > 0", "opened DESC")
        )
        rows = self.all(f"SELECT {_ALERT} FROM alert WHERE {where} ORDER BY {order} LIMIT ?", (limit,))  # noqa: S608
        return [_alert_row(row) for row in rows]

    def alert(self, alert_id: str) -> AlertRow | None:
        row = self.one(f"SELECT {_ALERT} FROM alert WHERE id = ?", (alert_id,))  # noqa: S608
        return None if row is None else _alert_row(row)

    def alert_events(self, alert_id: str) -> list[AlertEventRow]:
        """What happened to an alert, oldest first."""
        rows = self.all("SELECT at, what, who, detail FROM alert_event WHERE alert_id = ? ORDER BY id", (alert_id,))
        return [AlertEventRow(*row) for row in rows]

    def deliveries(self, alert_id: str | None = None, limit: int = 200) -> list[DeliveryRow]:
        """Who was told, or is to be told, of one alert (or of all): newest first."""
        where = "" if alert_id is None else "WHERE alert_id = ?"
        rows = self.all(
            "SELECT id, alert_id, recipient, kind, state, attempts, created, sent, next_at, last_error"
            f" FROM outbox {where} ORDER BY created DESC, id DESC LIMIT ?",
            (limit,) if alert_id is None else (alert_id, limit),
        )
        return [DeliveryRow(*row) for row in rows]

    def actions(self, limit: int = 50, key: str | None = None) -> list[ActionRow]:
        """Newest first; ``key``: those on one pipeline (and its runs)."""
        if key is None:
            rows = self.all(f"SELECT {_ACTION} FROM action ORDER BY created DESC, id DESC LIMIT ?", (limit,))  # noqa: S608
        else:
            rows = self.all(
                f"SELECT {_ACTION} FROM action WHERE pipeline_key = ? ORDER BY created DESC, id DESC LIMIT ?",  # noqa: S608
                (key.partition("/")[0], limit),
            )
        return [_action_row(row) for row in rows]

    def action(self, action_id: str) -> ActionRow | None:
        """One action with what happened to it."""
        row = self.one(f"SELECT {_ACTION} FROM action WHERE id = ?", (action_id,))  # noqa: S608
        if row is None:
            return None
        events = self.all("SELECT at, state, words FROM action_event WHERE action_id = ? ORDER BY id", (action_id,))
        return _action_row(row, tuple((at, ActionState(state), words) for at, state, words in events))

    def armed(self) -> list[ArmedRow]:
        """Environments that are armed now."""
        rows = self.all(
            "SELECT environment, who, uid, until FROM armed WHERE until > ? ORDER BY environment", (self._clock(),)
        )
        return [ArmedRow(*row) for row in rows]

    def notes(self, key: str) -> list[NoteRow]:
        """People's words on a key, oldest first."""
        return [NoteRow(*row) for row in self.all("SELECT at, who, text FROM note WHERE key = ? ORDER BY id", (key,))]

    # --- numbers --------------------------------------------------------------------------------------------------

    def gauges(self, names: Sequence[str] | str, past: int = 20) -> list[GaugeRow]:
        """Latest value and the last ``past`` raw ones of these series, or of all that begin with a prefix.

        A series without a recent reading (about two ticks more than were asked for) has no value: it is drawn n/a.
        """
        columns = "SELECT id, name, label, unit, max, note FROM series"
        if isinstance(names, str):
            series = self.all(f"{columns} WHERE name >= ? AND name < ? ORDER BY name", (names, names + "\U0010ffff"))
        else:
            series = self.all(f"{columns} WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(list(names)),))
            place = {name: i for i, name in enumerate(names)}
            series.sort(key=lambda row: place[row[1]])
        newest = self.one("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1")
        values: dict[int, list[tuple[int, float]]] = {}
        if newest and series:
            rows = self.all(
                "SELECT series_id, t, value FROM sample_raw WHERE t > ? AND series_id IN (SELECT value FROM json_each(?)) ORDER BY t",
                (newest[0] - (past + 2) * 1_100, json.dumps([row[0] for row in series])),
            )
            for number, t, value in rows:
                values.setdefault(number, []).append((t, value))
        found: list[GaugeRow] = []
        for number, name, label, unit, top, note in series:
            had = values.get(number, [])[-max(past, 1) :]
            last_t, last = had[-1] if had else (None, None)
            found.append(
                GaugeRow(name, label, unit, last, last_t, top, tuple(v for _, v in had)[-past:] if past else (), note)
            )
        return found

    def history(self, series: str, since: int, until: int, points: int = 120) -> list[tuple[int, float, float, float]]:
        """(t, mean, lowest, highest) from the tier that has at most about ``points`` in that span, oldest first."""
        span = max(until - since, 1)
        table = next((t for t, bucket in _TIERS if span // bucket <= points * 2), _TIERS[-1][0])
        return self.all(
            f"SELECT o.t, o.avg, o.min, o.max FROM series s JOIN {table} o ON o.series_id = s.id AND o.t >= ? AND o.t < ?"  # noqa: S608
            " WHERE s.name = ? ORDER BY o.t",
            (since, until, series),
        )

    def processes(self, limit: int = 200) -> list[ProcessRow]:
        """The process table, busiest first; empty unless somebody watches it."""
        rows = self.all(
            "SELECT pid, ppid, name, user, cpu, rss, run_key FROM process ORDER BY cpu DESC, rss DESC, pid LIMIT ?",
            (limit,),
        )
        return [ProcessRow(*row) for row in rows]


_TIERS: Final = (("sample_10s", 10_000), ("sample_1m", 60_000), ("sample_10m", 600_000))
_HAY: Final = (
    "lower(p.key || ' ' || p.name || ' ' || coalesce(p.application, '') || ' ' || coalesce(p.layer, '') || ' ' ||"
    " coalesce(p.owner, '') || ' ' || p.tags || ' ' || s.environment)"
)
_FLOOR_IDS: Final = f"""
SELECT p.id FROM pipeline p
CROSS JOIN source s ON s.id = p.source_id AND s.gone = 0
CROSS JOIN source_health h ON h.source_id = s.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id
WHERE p.mode <> 3 /*where*/
ORDER BY CASE
  WHEN n.state IN (8, 9, 12) THEN 3
  WHEN n.state = 13 THEN 4
  WHEN n.state = 2 AND n.p90_ms IS NOT NULL AND :now - n.started > n.p90_ms THEN 5
  WHEN {_STALE} THEN 6
  WHEN n.state IN (3, 5) THEN 7
  WHEN n.state = 2 THEN 8
  WHEN n.state = 1 THEN 9
  WHEN n.state = 4 OR p.mode IN (1, 2) THEN 10
  WHEN n.state IN (7, 10) THEN 11
  ELSE 12 END,
  p.key NOT IN (SELECT value FROM json_each(:unacked)), p.criticality, p.next_run IS NULL, p.next_run, p.name, p.id
LIMIT :limit OFFSET :offset"""  # noqa: S608
_FLOOR_ROWS: Final = """
SELECT p.id, p.key, p.name, p.source_id, s.name, s.environment, p.layer, p.application, p.criticality, p.owner, p.mode,
  p.mode_since, p.trigger, p.schedule, p.next_run, n.run_id, n.run, n.state, n.native, n.sub, n.kind, n.attempt, n.bdate, n.at,
  n.queued, n.started, n.ended, coalesce(n.active, 0), n.last_ok, n.usual_ms, n.p90_ms, coalesce(n.usual_n, 0), n.strip, n.error
FROM json_each(?) j
CROSS JOIN pipeline p ON p.id = j.value
CROSS JOIN source s ON s.id = p.source_id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id"""
_COUNTS: Final = f"""
SELECT n.state, count(*), sum(p.mode = 1), sum(b.blind)
FROM (SELECT s.id, {_STALE} AS blind FROM source s JOIN source_health h ON h.source_id = s.id WHERE s.gone = 0) b
CROSS JOIN pipeline p ON p.source_id = b.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id
WHERE p.mode <> 3 GROUP BY n.state"""  # noqa: S608
_RUN_ROWS: Final = """
SELECT r.id, p.key, r.run, r.pipeline_id, p.name, p.source_id, s.name, s.environment, r.state, x.native, x.sub, r.kind, r.attempt,
  r.bdate, r.at, r.queued, r.started, r.ended, x.error, n.usual_ms, coalesce(x.flags, 0)
FROM json_each(?) j
CROSS JOIN run r ON r.id = j.value
CROSS JOIN pipeline p ON p.id = r.pipeline_id
CROSS JOIN source s ON s.id = p.source_id
LEFT JOIN run_extra x ON x.run_id = r.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id"""
_NEXT: Final = (
    "SELECT run FROM run WHERE pipeline_id = ? AND (at, id) {op} (?, ?) ORDER BY at {order}, id {order} LIMIT 1"
)
_ALERT: Final = "id, rule, key, severity, state, title, body, opened, since, changed, resolved, acked_by, ack_until, ack_note, held_back"
_ACTION: Final = "id, verb, key, environment, state, words, who, reason, created, changed, ended, result_key"


def _floor_row(row: tuple[Any, ...], alert: tuple[str, bool, int] | None) -> FloorRow:
    state, kind = row[17], row[20]
    alert_id, acked, since = alert or (None, False, None)
    return FloorRow(
        *row[:8], _SEVERITIES[row[8]], row[9], _MODES[row[10]], row[11], _TRIGGERS[row[12]], *row[13:16],
        None if row[16] is None else f"{row[1]}/{row[16]}",
        None if state is None else STATES[state],
        None if state is None else row[18] or NATIVE[state],
        row[19], None if kind is None else _KINDS[kind], row[21], bdate_text(row[22]), *row[23:32],
        tuple(_STRIP[byte] for byte in row[32] or b""), row[33], alert_id, acked, since,
    )  # fmt: skip


def _run_row(row: tuple[Any, ...]) -> RunRow:
    state = row[8]
    return RunRow(
        row[0], f"{row[1]}/{row[2]}", row[3], row[1], *row[4:8], STATES[state], row[9] or NATIVE[state], row[10],
        _KINDS[row[11]], row[12], bdate_text(row[13]), *row[14:20], bool(row[20] & GENERATED),
    )  # fmt: skip


def _alert_row(row: tuple[Any, ...]) -> AlertRow:
    return AlertRow(*row[:3], Severity(row[3]), AlertState(row[4]), *row[5:])


def _action_row(row: tuple[Any, ...], events: tuple[tuple[int, ActionState, str], ...] = ()) -> ActionRow:
    return ActionRow(*row[:4], ActionState(row[4]), *row[5:], events)


def _note(flags: int) -> str | None:
    if flags & GENERATED:
        return "made up for the demo"
    if flags & BACKFILLED:
        return "read from the source's history"
    return "first seen when it had ended" if flags & OBSERVED_LATE else None


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def _numbers(values: Collection[int]) -> str:
    return ", ".join(f"{int(v):d}" for v in values)


def _and(conditions: Sequence[str]) -> str:
    return "WHERE " + " AND ".join(conditions) if conditions else ""
