"""What a filter asks of a pipeline's row beside its words: what it ``is``, and its numbers. One truth for all screens. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from adapters.model import Mode, Owed
from tui.present import owed as promises
from tui.present.cut import clean

if TYPE_CHECKING:
    from engine.store.rows import FloorRow, OwedRow

_VALUES: Final = frozenset({"source", "owner", "layer", "environment", "application", "kind", "tags", "business_date"})


def is_words(r: FloorRow, *, stale: bool, problem: bool = False) -> str:
    """What ``is:`` may find true of a pipeline."""
    said = [
        "paused" if r.mode == Mode.PAUSED else "",
        "running" if r.active or (r.state is not None and r.state.active) else "",
        "stale" if stale else "",
        "problem" if problem else "",
    ]
    return " ".join(filter(None, said))


def number(name: str, r: FloorRow | None, owed: OwedRow | None, now: int) -> int | None:
    """``age``: since its run began (or came into the queue). ``dur``: how long that took, or takes. ``late``: of its
    promise, as predicted where it is not settled. ``due``: until its promise, below 0 when past. None: not known.
    """
    match name:
        case "late" if owed is not None and owed.state not in (Owed.WAIVED, Owed.EXCLUDED):
            return promises.lateness_ms(owed, now)
        case "due" if owed is not None and owed.state.unsettled:
            return owed.due - now
        case "age" if r is not None and r.at is not None:
            return now - r.at
        case "dur" if r is not None and r.started is not None:
            return max((r.ended if r.ended is not None else now) - r.started, 0)
        case "attempt" if r is not None:
            return r.attempt
        case _:
            return None


def values(fact: str, rows: Iterable[Mapping[str, str]]) -> set[str]:
    """What exists of a fact, for completing; names only where they are few enough to choose from."""
    if fact == "name":
        return {clean(row.get("name", "")) for row in rows}
    if fact not in _VALUES:
        return set()
    if fact == "tags":
        return {clean(tag) for row in rows for tag in row.get(fact, "").split("\n")}
    return {clean(row.get(fact, "")) for row in rows}
