"""What the reader asks in SQL, and how answers become rows. No connection here."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from adapters.model import ActionState, AlertState, Health, Mode, RunKind, Severity, Trigger, step_key
from engine.store.packed import BACKFILLED, GENERATED, KIND_MASK, NATIVE, OBSERVED_LATE, STATES, bdate_text
from engine.store.rows import ActionRow, Ailment, AlertRow, EngineRow, FloorRow, LogRow, RunRow, SourceRow, StepRow

KINDS: Final = tuple(RunKind)
MODES: Final = tuple(Mode)
TRIGGERS: Final = tuple(Trigger)
SEVERITIES: Final = tuple(Severity)
STRIP: Final = tuple((STATES[min(byte >> 4, len(STATES) - 1)], byte & 7) for byte in range(256))
STALE: Final = "(h.health <> 1 OR h.last_ok IS NULL OR :now - h.last_ok > 3 * max(h.poll_ms, 1000))"
TIERS: Final = (("sample_10s", 10_000), ("sample_1m", 60_000), ("sample_10m", 600_000))
HAY: Final = (
    "lower(p.key || ' ' || p.name || ' ' || coalesce(p.application, '') || ' ' || coalesce(p.layer, '') || ' ' ||"
    " coalesce(p.owner, '') || ' ' || p.tags || ' ' || s.environment)"
)
FLOOR_IDS: Final = f"""
SELECT p.id FROM pipeline p
CROSS JOIN source s ON s.id = p.source_id AND s.gone = 0
CROSS JOIN source_health h ON h.source_id = s.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id
WHERE p.mode <> 3 /*where*/
ORDER BY CASE
  WHEN n.state IN (8, 9, 12) THEN 3
  WHEN n.state = 13 THEN 4
  WHEN n.state = 2 AND n.p90_ms IS NOT NULL AND :now + coalesce(h.skew_ms, 0) - n.started > n.p90_ms THEN 5
  WHEN {STALE} THEN 6
  WHEN n.state IN (3, 5) THEN 7
  WHEN n.state = 2 THEN 8
  WHEN n.state = 1 THEN 9
  WHEN n.state = 4 OR p.mode IN (1, 2) THEN 10
  WHEN n.state IN (7, 10) THEN 11
  ELSE 12 END,
  p.key NOT IN (SELECT value FROM json_each(:unacked)), p.criticality, p.next_run IS NULL, p.next_run, p.name, p.id
LIMIT :limit OFFSET :offset"""  # noqa: S608
FLOOR_ROWS: Final = """
SELECT p.id, p.key, p.name, p.source_id, s.name, s.environment, p.layer, p.application, p.criticality, p.owner, p.mode,
  p.mode_since, p.trigger, p.schedule, p.next_run, n.run_id, n.run, n.state, n.native, n.sub, n.kind, n.attempt, n.bdate, n.at,
  n.queued, n.started, n.ended, coalesce(n.active, 0), n.last_ok, n.usual_ms, n.p90_ms, coalesce(n.usual_n, 0), n.strip, n.error
FROM json_each(?) j
CROSS JOIN pipeline p ON p.id = j.value
CROSS JOIN source s ON s.id = p.source_id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id"""
COUNTS: Final = f"""
SELECT n.state, count(*), p.mode = 1, b.blind
FROM (SELECT s.id, {STALE} AS blind FROM source s JOIN source_health h ON h.source_id = s.id WHERE s.gone = 0) b
CROSS JOIN pipeline p ON p.source_id = b.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id
WHERE p.mode <> 3 GROUP BY n.state, p.mode = 1, b.blind"""  # noqa: S608
RUN_ROWS: Final = """
SELECT r.id, p.key, r.run, r.pipeline_id, p.name, p.source_id, s.name, s.environment, r.state, x.native, x.sub, r.kind, r.attempt,
  r.bdate, r.at, r.queued, r.started, r.ended, x.error, n.usual_ms, r.kind
FROM json_each(?) j
CROSS JOIN run r ON r.id = j.value
CROSS JOIN pipeline p ON p.id = r.pipeline_id
CROSS JOIN source s ON s.id = p.source_id
LEFT JOIN run_extra x ON x.run_id = r.id
LEFT JOIN pipe_now n ON n.pipeline_id = p.id"""
NEXT: Final = (
    "SELECT run FROM run WHERE pipeline_id = ? AND (at, id) {op} (?, ?) ORDER BY at {order}, id {order} LIMIT 1"
)
ALERT: Final = "id, rule, key, severity, state, title, body, opened, since, changed, resolved, acked_by, ack_until, ack_note, held_back"
ACTION: Final = "id, verb, key, environment, state, words, who, reason, created, changed, ended, result_key"


def floor_row(row: tuple[Any, ...], alert: tuple[str, bool, int, str] | None) -> FloorRow:
    state, kind = row[17], row[20]
    alert_id, acked, since, rule = alert or (None, False, None, None)
    values: list[Any] = [
        *row[:8], SEVERITIES[row[8]], row[9], MODES[row[10]], row[11], TRIGGERS[row[12]], *row[13:16],
        None if row[16] is None else f"{row[1]}/{row[16]}",
        None if state is None else STATES[state],
        None if state is None else row[18] or NATIVE[state],
        row[19], None if kind is None else KINDS[kind], row[21], bdate_text(row[22]), *row[23:32],
        tuple(STRIP[byte] for byte in row[32] or b""), row[33], alert_id, acked, since, rule,
    ]  # fmt: skip
    return FloorRow(*values)


def run_row(row: tuple[Any, ...]) -> RunRow:
    state = row[8]
    values: list[Any] = [
        row[0], f"{row[1]}/{row[2]}", row[3], row[1], *row[4:8], STATES[state], row[9] or NATIVE[state], row[10],
        KINDS[row[11] & KIND_MASK], row[12], bdate_text(row[13]), *row[14:20], bool(row[20] & GENERATED),
    ]  # fmt: skip
    return RunRow(*values)


def alert_row(row: tuple[Any, ...]) -> AlertRow:
    values: list[Any] = [*row[:3], Severity(row[3]), AlertState(row[4]), *row[5:]]
    return AlertRow(*values)


def action_row(row: tuple[Any, ...], events: tuple[tuple[int, ActionState, str], ...] = ()) -> ActionRow:
    values: list[Any] = [*row[:4], ActionState(row[4]), *row[5:], events]
    return ActionRow(*values)


def engine_row(row: Sequence[Any]) -> EngineRow:
    values: list[Any] = [*row[:10], bool(row[10]), *row[11:]]
    return EngineRow(*values)


def source_row(row: Sequence[Any]) -> SourceRow:
    caps: dict[str, Any] = json.loads(row[8])
    values: list[Any] = [
        *row[:6], bool(row[6]), bool(row[7]), frozenset(caps.get("offers", ())), dict(caps.get("why_not", {})), Health(row[9]), *row[10:27],
    ]  # fmt: skip
    name, said, since, kind, ill, why, ill_since, many, measures = row[27:]
    skew = row[20] or 0
    values += [None if name is None else f"{name} {said}", None if since is None else since - skew]
    values.append(
        None if kind is None else Ailment(kind, ill, why, None if ill_since is None else ill_since - skew, many)
    )
    return SourceRow(*values, measures=measures)


def step_row(run_key: str, row: Sequence[Any]) -> StepRow:
    values: list[Any] = [*row[:3], STATES[row[3]], row[4] or NATIVE[row[3]], *row[5:]]
    return StepRow(step_key(run_key, row[0], row[1]), *values)


def log_row(run_key: str, row: Sequence[Any]) -> LogRow:
    values: list[Any] = [*row[:5], bool(row[5]), *row[6:]]
    return LogRow(step_key(run_key, row[0], row[1]), *values)


def note_of(flags: int) -> str | None:
    if flags & GENERATED:
        return "made up for the demo"
    if flags & BACKFILLED:
        return "read from the source's history"
    return "first seen when it had ended" if flags & OBSERVED_LATE else None


def split(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def numbers(values: Collection[int]) -> str:
    return ", ".join(f"{int(v):d}" for v in values)


def where_all(conditions: Sequence[str]) -> str:
    return "WHERE " + " AND ".join(conditions) if conditions else ""
