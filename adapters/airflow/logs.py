"""Airflow's structured log records as the plain lines that people read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

_SHOWN: Final = {"timestamp", "event", "level", "logger", "error_detail"}
_NOISE: Final = {"filename", "lineno", "map_index", "try_number", "task_id", "ti_id", "dag_id", "run_id"}
_GROUP: Final = "::group::"
_END: Final = "::endgroup::"
_SOURCE: Final = "::group::Log message source details"


def split_head(records: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The leading block that names where the log lies (its length changes when the run ends), and the log itself."""
    if not records or _event(records[0]) != _SOURCE:
        return (), records
    for i, record in enumerate(records):
        if _event(record) == _END:
            return records[1:i], records[i + 1 :]
    return records[1:], ()


def render(records: Sequence[Any]) -> bytes:
    """``2026-11-21T09:10:38 INFO task.stdout message`` a record, in UTC; what has no time stands alone on its line."""
    lines: list[str] = []
    for record in records:
        if isinstance(record, dict):
            lines += _lines(record)
        else:
            lines.append(str(record))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _event(record: Any) -> str:
    event = record.get("event") if isinstance(record, dict) else record
    return event if isinstance(event, str) else ""


def _lines(record: dict[str, Any]) -> list[str]:
    event = str(record.get("event", ""))
    if event == _END:
        return []
    if event.startswith(_GROUP):
        event = event.removeprefix(_GROUP)
    head = " ".join(str(p) for p in (_time(record.get("timestamp")), _level(record), record.get("logger")) if p)
    more = " ".join(f"{k}={_short(v)}" for k, v in record.items() if k not in _SHOWN | _NOISE and v is not None)
    first = " ".join(p for p in (head, event, more) if p)
    lines = first.splitlines() or [first]
    detail = record.get("error_detail")
    if isinstance(detail, list):
        for number, part in enumerate([p for p in reversed(detail) if isinstance(p, dict)]):
            lines += _traceback(part, first=number == 0)
    return lines


def _level(record: dict[str, Any]) -> str:
    level = record.get("level")
    return level.upper() if isinstance(level, str) else ""


def _time(stamp: Any) -> str:
    if not isinstance(stamp, str) or not stamp:
        return ""
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return (at.astimezone(UTC) if at.tzinfo else at).strftime("%Y-%m-%dT%H:%M:%S")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:299] + "…"


def _traceback(part: dict[str, Any], *, first: bool) -> list[str]:
    """One exception of a chain; Airflow sends the outermost first, people read the cause first."""
    lines = [] if first else ["", "The exception above led to:", ""]
    frames = part.get("frames")
    if isinstance(frames, list) and frames:
        lines.append("Traceback (most recent call last):")
        for frame in frames:
            if isinstance(frame, dict):
                file, line = frame.get("filename", "?"), frame.get("lineno", "?")
                lines.append(f'  File "{file}", line {line}, in {frame.get("name", "?")}')
    said = str(part.get("exc_value", ""))
    lines += (f"{part.get('exc_type', 'Error')}: {said}" if said else str(part.get("exc_type", "Error"))).splitlines()
    notes = part.get("exc_notes")
    if isinstance(notes, list):
        lines += [line for note in notes for line in str(note).splitlines()]
    return lines
