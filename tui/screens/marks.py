"""Rows that were marked for an action on several. A mark is on a key: it stays where rows move or a filter hides them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from adapters.model import Verb
from tui.present.cut import clean

MOST: Final = 100
"""Rows of one bulk action."""
ALONE: Final = frozenset({Verb.RERUN_FROM, Verb.MARK, Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL})  # fmt: skip
"""Verbs that need more said of each row than a bulk can ask for."""

Row = tuple[str, str]
"""Key and name."""


class Marks:
    """Keys in the order in which they were marked, with their names."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._last: str | None = None

    def __bool__(self) -> bool:
        return bool(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, key: str) -> bool:
        return key in self.names

    def toggle(self, row: Row) -> None:
        """Mark a row, or take its mark away."""
        key, name = row
        if self.names.pop(key, None) is None:
            self.names[key] = name
        self._last = key

    def up_to(self, here: Row, rows: Sequence[Row]) -> None:
        """Mark all rows between the one that was marked last and this one; without one this one alone."""
        places = {key: i for i, (key, _) in enumerate(rows)}
        a, b = places.get(self._last or ""), places.get(here[0])
        if a is None or b is None:
            self.names[here[0]] = here[1]
        else:
            self.names |= dict(rows[min(a, b) : max(a, b) + 1])
        self._last = here[0]

    def clear(self) -> None:
        self.names.clear()
        self._last = None

    def drop(self, keys: Iterable[str]) -> None:
        """Take the marks away from what was acted on: these rows, the pipelines of these runs, the runs of these pipelines."""
        gone = set(keys)
        gone |= {key.partition("/")[0] for key in gone if key.partition("/")[0] in self.names}
        self.names = {k: n for k, n in self.names.items() if k not in gone and k.partition("/")[0] not in gone}

    def words(self, shown: Collection[str], hidden: str) -> str:
        """``3 marked, 1 hidden by the filter``; empty where nothing is marked."""
        if not self.names:
            return ""
        out = sum(key not in shown for key in self.names)
        return f"{len(self.names)} marked" + (f", {out} {hidden}" if out else "")


def refused(verb: str, marks: Marks) -> str | None:
    """Why these rows cannot be acted on together; None: they can."""
    if verb in ALONE:
        return f"{verb} asks something about each row: take the marks away and do one after the other"
    if not marks:
        return f"{verb} of several rows needs marks"
    if len(marks) > MOST:
        return f"{len(marks)} rows are marked, {MOST} are the most that one confirmation may hold: narrow the filter"
    return None


def name_of(key: str) -> str:
    """A key's own name, until the engine says a better one."""
    return clean(key.partition(":")[2] or key)
