"""From the rows of one answer to readings: which column is the number, which ones are labels, and why there is nothing.

What is not there is never 0: no row, NULL and what is no number are reasons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from adapters.extras import SeriesQuery
from adapters.http import words
from adapters.model import Sample

MOST_ROWS: Final = 1_000
"""Rows that one ``[[series]]`` may give."""
TIME, DATE = "time", "date"
"""Units of values that are instants (ms UTC) and of those that are dates (midnight UTC of it, ms)."""
ONE_NUMBER: Final = "select one number, and texts that tell the rows apart"


@dataclass(frozen=True, slots=True)
class Table:
    """An answer: names of its columns and its rows, one more than ``MOST_ROWS`` at the most. ``odd``: why a column (by its
    place) cannot be used as it came."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    odd: tuple[str | None, ...] = ()


class NoReading(Exception):
    """``str`` is a clause: why an answer gives no reading."""


def read(query: SeriesQuery, table: Table, t: int, zone: tzinfo) -> tuple[list[Sample], str | None]:
    """Its readings at ``t`` (ms), and why some or all are missing."""
    try:
        return _read(query, table, t, zone)
    except NoReading as error:
        return [], words(str(error))


def _read(query: SeriesQuery, table: Table, t: int, zone: tzinfo) -> tuple[list[Sample], str | None]:
    rows = table.rows
    if not rows:
        raise NoReading("it gave no row")
    if len(rows) > MOST_ROWS:
        raise NoReading(f"it gives more than {MOST_ROWS:,} rows: count or group in the query")
    at = _value_column(query.unit, table)
    odd = table.odd[at] if at < len(table.odd) else None
    if odd:
        raise NoReading(odd)
    others = [i for i in range(len(table.names)) if i != at]
    if len(rows) > 1 and not others:
        raise NoReading(f"it gives {len(rows):,} rows and nothing to tell them apart: {ONE_NUMBER}")
    found: dict[str, Sample] = {}
    missing = ""
    for row in rows:
        name = query.name + _labels([(table.names[i], row[i]) for i in others])
        if name in found:
            raise NoReading(f"two rows are both {name.removeprefix(query.name)}: {ONE_NUMBER}")
        if row[at] is None:
            missing = missing or "it gave no value: NULL"
            continue
        value, why = _value(row[at], query.unit, zone)
        if why:
            missing = why
            continue
        found[name] = Sample(name, t, value, query.unit)
    return list(found.values()), None if found or not missing else missing


def _labels(told: Sequence[tuple[str, Any]]) -> str:
    return "{" + ",".join(f"{_shown(k)}={_shown(v)}" for k, v in told) + "}" if told else ""


def _shown(value: Any) -> str:
    """One harmless, short piece of a name."""
    text = "null" if value is None else value.isoformat() if isinstance(value, date) else str(value)
    text = words(text).replace("{", "(").replace("}", ")")
    return text if len(text) <= 60 else text[:59] + "…"


def _value_column(unit: str, table: Table) -> int:
    """The one column whose values are of the unit's sort; the others are labels."""
    columns = range(len(table.names))
    values = [[row[i] for row in table.rows if row[i] is not None] for i in columns]
    if len(table.names) == 1:
        return 0
    numbers = [i for i in columns if values[i] and all(_number(v) for v in values[i])]
    if unit in (TIME, DATE):
        times = [i for i in columns if values[i] and all(isinstance(v, date) for v in values[i])]
        written = [i for i in columns if values[i] and all(_written(v) is not None for v in values[i])]
        found = times or written or (numbers if unit == DATE else [])
        if len(found) != 1:
            raise NoReading(f"it gives {len(found)} columns of times: select one, and texts that tell the rows apart")
        if set(numbers) - set(found):
            raise NoReading("it gives a number beside the time: cast it to text where it tells the rows apart")
        return found[0]
    if len(numbers) == 1:
        return numbers[0]
    empty = [i for i in columns if not values[i]]
    if not numbers and len(empty) == 1:
        raise NoReading("it gave no value: NULL")
    raise NoReading(f"it gives {len(numbers)} columns of numbers: {ONE_NUMBER}")


def _number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, Decimal, timedelta))


def _value(value: Any, unit: str, zone: tzinfo) -> tuple[float, str]:
    """The number, or why it is none. A span of time is its seconds."""
    if unit in (TIME, DATE):
        return _instant(value, unit, zone)
    if isinstance(value, timedelta):
        return value.total_seconds(), ""
    if isinstance(value, date):
        return 0.0, 'it gave a time: write unit = "time" (an instant) or unit = "date" (its day)'
    if not _number(value):
        return 0.0, f"it gave {_sort(value)}, not a number"
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    return (number, "") if math.isfinite(number) else (0.0, f"it gave no number: {words(str(value))[:20]}")


def _instant(value: Any, unit: str, zone: tzinfo) -> tuple[float, str]:
    found = value if isinstance(value, date) else _written(value)
    if found is None and unit == DATE and isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        found = _written(str(value))
    if found is None:
        why = "a number, which is no instant by itself" if _number(value) else _sort(value)
        return 0.0, f'it gave {why}: with unit = "{unit}" select a {"timestamp" if unit == TIME else "date"}'
    try:
        if unit == DATE:
            if isinstance(found, datetime):
                found = (found.astimezone(zone) if found.tzinfo else found).date()
            return datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp() * 1000.0, ""
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day, tzinfo=zone)
        aware = found if found.tzinfo else found.replace(tzinfo=zone)
        return float(round(aware.timestamp() * 1000.0)), ""
    except (OverflowError, ValueError):
        return 0.0, "it gave a time that no calendar has"


def _written(value: Any) -> date | None:
    """A date or a time in ISO's way of writing, as SQLite keeps them; None of anything else."""
    if not isinstance(value, str) or not 8 <= len(value.strip()) <= 40:
        return None
    text = value.strip()
    try:
        return date.fromisoformat(text) if len(text) <= 10 and "W" not in text else datetime.fromisoformat(text)
    except ValueError:
        return None


def _sort(value: Any) -> str:
    return "a text" if isinstance(value, str) else f"a value of the sort {type(value).__name__}"
