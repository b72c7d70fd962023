"""All that the terminal asks of the store. Read-only, rows of ``engine.store.rows`` out, light to import.

Each question that a screen asks while it stands is answered within 5 ms over a million runs and two thousand
pipelines: nothing here scans the table of runs (a test reads the query plans).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapters.model import ActionState, AlertState, State
from engine.store.asked import (
    ACTION,
    ALERT,
    COUNTS,
    FLOOR_IDS,
    FLOOR_ROWS,
    HAY,
    TIERS,
    action_row,
    alert_row,
    engine_row,
    floor_row,
    source_row,
)  # fmt: skip
from engine.store.audit_asked import AuditQuestions
from engine.store.errors import SchemaChanged, StoreError, StoreMissing
from engine.store.found_asked import FindQuestions
from engine.store.gaps_asked import GapQuestions
from engine.store.history_asked import HistoryQuestions
from engine.store.items_asked import ItemQuestions
from engine.store.outputs_asked import OutputQuestions
from engine.store.owed_asked import OwedQuestions
from engine.store.own_asked import OwnQuestions
from engine.store.packed import STATES
from engine.store.rows import (
    ActionRow,
    AlertEventRow,
    AlertRow,
    ArmedRow,
    Counts,
    DeliveryRow,
    EngineRow,
    FloorRow,
    GaugeRow,
    NoteRow,
    ProcessRow,
    SourceRow,
    TraitRow,
)  # fmt: skip
from engine.store.runs_asked import Place, RunQuestions
from engine.store.samples_asked import SampleQuestions

__all__ = ["Place", "Reader", "SchemaChanged", "StoreError", "StoreMissing"]


def _now() -> int:
    return time.time_ns() // 1_000_000


class Reader(
    OwedQuestions,
    ItemQuestions,
    SampleQuestions,
    HistoryQuestions,
    AuditQuestions,
    FindQuestions,
    OwnQuestions,
    GapQuestions,
    OutputQuestions,
    RunQuestions,
):
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
        return None if row is None else engine_row(row)

    def sources(self, gone: bool = False) -> list[SourceRow]:
        """Sources in the order of the configuration; with ``gone`` also those that are no longer in it."""
        rows = self.all(
            "SELECT s.id, s.name, s.kind, s.url, s.environment, s.color, s.protected, s.insecure, s.caps, h.health, h.since,"
            " h.last_ok, h.last_try, h.next_try, h.failures, h.detail, h.hint, h.until, h.version, h.identity, h.skew_ms,"
            " h.latency_ms, h.requests_min, h.bytes_min, h.budget_min, h.poll_ms,"
            " (SELECT count(*) FROM pipeline p WHERE p.source_id = s.id AND p.mode <> 3), i.name, i.words, i.since,"
            " x.kind, x.name, x.words, x.since,"
            " (SELECT count(*) FROM source_item b WHERE b.source_id = s.id AND b.kind = x.kind AND b.standing = 2),"
            " (SELECT count(*) FROM series_now n WHERE n.source = s.name)"
            " FROM source s JOIN source_health h ON h.source_id = s.id LEFT JOIN source_item i ON i.source_id = s.id"
            " AND i.kind = 'component' AND i.name = (SELECT min(b.name) FROM source_item b WHERE b.source_id = s.id"
            " AND b.kind = 'component' AND b.standing = 2)"
            " LEFT JOIN source_item x ON x.source_id = s.id AND (x.kind, x.name) = (SELECT b.kind, b.name FROM source_item b"
            " WHERE b.source_id = s.id AND b.kind <> 'component' AND b.standing = 2 AND b.name <> '' ORDER BY b.kind, b.since LIMIT 1) WHERE s.gone <= ? ORDER BY s.gone, s.ord, s.name",
            (int(gone),),
        )
        return [source_row(row) for row in rows]

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
        where = "".join(f" AND instr({HAY}, :w{i})" for i in range(len(words)))
        values |= {f"w{i}": word for i, word in enumerate(words)}
        return [row[0] for row in self.all(FLOOR_IDS.replace("/*where*/", where), values)]

    def floor_rows(self, ids: Sequence[int]) -> list[FloorRow]:
        """The rows of these pipelines, in this order; what is no longer there is left out."""
        if not ids:
            return []
        alerts = self._alerts_by_pipeline()
        rows = {row[0]: row for row in self.all(FLOOR_ROWS, (json.dumps(list(ids)),))}
        return [floor_row(rows[i], alerts.get(rows[i][1])) for i in ids if i in rows]

    def floor_marks(self) -> dict[int, int]:
        """When each pipeline's current run moved last, by pipeline id: what of ``floor`` must be read again."""
        return dict(self.all("SELECT pipeline_id, changed FROM pipe_now"))

    def pipeline(self, key: str) -> FloorRow | None:
        """One pipeline by its key, also one that is GONE."""
        row = self.one("SELECT id FROM pipeline WHERE key = ?", (key,))
        found = self.floor_rows([row[0]]) if row else []
        return found[0] if found else None

    def _alerted(self) -> list[tuple[str, int]]:
        rows = self.all("SELECT key, state FROM alert WHERE state < 4 AND state > 0")
        return [(key.partition("/")[0], state) for key, state in rows]

    def _alerts_by_pipeline(self) -> dict[str, tuple[str, bool, int, str]]:
        """Open alert by pipeline key: (id, acked, since, rule); the unacknowledged one wins, then a failure, then the worse."""
        rows = self.all(
            "SELECT key, id, state, since, rule FROM alert WHERE state < 4 AND state > 0"
            " ORDER BY state DESC, rule <> 'owed', severity DESC"
        )
        return {
            key.partition("/")[0]: (i, state == AlertState.ACKED, since, rule) for key, i, state, since, rule in rows
        }

    def counts(self) -> Counts:
        """Pipelines by the state of their current run; those of a blind source; alerts."""
        by_state: dict[State, int] = {}
        known: dict[State, int] = {}
        paused = stale = total = unknown = resting = 0
        for number, n, held, blind in self.all(COUNTS, {"now": self._clock()}):
            state = None if number is None else STATES[number]
            total += n
            paused += n if held else 0
            stale += n if blind else 0
            if state is not None:
                by_state[state] = by_state.get(state, 0) + n
            if state is not None and state.bad:
                known[state] = known.get(state, 0) + n
            elif blind:
                unknown += n
            elif held and (state is None or (state.terminal and state != State.WARNING)):
                resting += n
            elif state is not None:
                known[state] = known.get(state, 0) + n
        alerts, unacked = self.one(
            "SELECT count(*), coalesce(sum(state = 1), 0) FROM alert WHERE state < 4 AND state > 0"
        )
        return Counts(by_state, paused, stale, total, alerts, unacked, known, resting, unknown)

    def traits(self) -> list[TraitRow]:
        """Of every pipeline what never depends on a run; those that are GONE too, for their runs are still listed."""
        rows = self.all(
            "SELECT p.id, p.key, p.name, s.name, s.environment, coalesce(p.owner, ''), coalesce(p.layer, ''),"
            " coalesce(p.application, ''), p.tags FROM pipeline p JOIN source s ON s.id = p.source_id"
        )
        return [TraitRow(*row) for row in rows]

    # --- alerts, actions, people ----------------------------------------------------------------------------------

    def alerts(self, open_only: bool = True, limit: int = 200) -> list[AlertRow]:
        """Open alerts, worst and unacknowledged first; or all, newest first."""
        where, order = (
            ("state < 4 AND state > 0", "state, severity, since") if open_only else ("state > 0", "opened DESC")
        )
        rows = self.all(f"SELECT {ALERT} FROM alert WHERE {where} ORDER BY {order} LIMIT ?", (limit,))  # noqa: S608
        return [alert_row(row) for row in rows]

    def alert(self, alert_id: str) -> AlertRow | None:
        row = self.one(f"SELECT {ALERT} FROM alert WHERE id = ?", (alert_id,))  # noqa: S608
        return None if row is None else alert_row(row)

    def alert_events(self, alert_id: str) -> list[AlertEventRow]:
        """What happened to an alert, oldest first."""
        rows = self.all("SELECT at, what, who, detail FROM alert_event WHERE alert_id = ? ORDER BY id", (alert_id,))
        return [AlertEventRow(*row) for row in rows]

    def deliveries(self, alert_id: str | None = None, limit: int = 200) -> list[DeliveryRow]:
        """Who was told, or is to be told, of one alert (or of all): newest first."""
        where = "" if alert_id is None else "WHERE alert_id = ?"
        rows = self.all(
            "SELECT id, alert_id, recipient, kind, state, attempts, created, sent, next_at, last_error"  # noqa: S608
            f" FROM outbox {where} ORDER BY created DESC, id DESC LIMIT ?",
            (limit,) if alert_id is None else (alert_id, limit),
        )
        return [DeliveryRow(*row) for row in rows]

    def actions(self, limit: int = 50, key: str | None = None) -> list[ActionRow]:
        """Newest first; ``key``: those on one pipeline (and its runs)."""
        if key is None:
            rows = self.all(f"SELECT {ACTION} FROM action ORDER BY created DESC, id DESC LIMIT ?", (limit,))  # noqa: S608
        else:
            rows = self.all(
                f"SELECT {ACTION} FROM action WHERE pipeline_key = ? ORDER BY created DESC, id DESC LIMIT ?",  # noqa: S608
                (key.partition("/")[0], limit),
            )
        return [action_row(row) for row in rows]

    def action(self, action_id: str) -> ActionRow | None:
        """One action with what happened to it."""
        row = self.one(f"SELECT {ACTION} FROM action WHERE id = ?", (action_id,))  # noqa: S608
        if row is None:
            return None
        events = self.all("SELECT at, state, words FROM action_event WHERE action_id = ? ORDER BY id", (action_id,))
        return action_row(row, tuple((at, ActionState(state), words) for at, state, words in events))

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

    def gauges(self, names: Sequence[str] | str, past: int = 20, also: str | None = None) -> list[GaugeRow]:
        """Latest value and the last ``past`` raw ones of these series, or of all that begin with a prefix; ``also``: after
        the named ones all that begin so.

        A series without a recent reading (about two ticks more than were asked for) has no value: it is drawn n/a.
        """
        columns = "SELECT id, name, label, unit, max, note FROM series"
        if isinstance(names, str):
            series = self.all(f"{columns} WHERE name >= ? AND name < ? ORDER BY name", (names, names + "\U0010ffff"))
        else:
            more = (
                " UNION SELECT id, name, label, unit, max, note FROM series WHERE name >= ? AND name < ?"
                if also
                else ""
            )
            series = self.all(
                f"{columns} WHERE name IN (SELECT value FROM json_each(?)){more}",  # noqa: S608 - our own words
                (json.dumps(list(names)), *((also, also + "\U0010ffff") if also else ())),
            )
            place = {name: i for i, name in enumerate(names)}
            series.sort(key=lambda row: (place.get(row[1], len(place)), row[1]))
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
        table = next((t for t, bucket in TIERS if span // bucket <= points * 2), TIERS[-1][0])
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
