"""The pane of Hosts with what sources tell of their own machines: read when it moved, painted into the rows it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.store.rows import SourceRow
from tui.present import frame, lines, systems
from tui.present.systems import System
from tui.view import Context, Line

TOPICS = frozenset({"item", "source", "health"})
COMMON = 6
"""Items of each source that the pane asks for where room is shared."""


class Systems:
    """``found``: sources with what they tell, the worst first, as far as the filter leaves it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.found: Sequence[System] = ()
        self._all: Sequence[System] = ()
        self._words = ""

    def read(self, sources: Sequence[SourceRow], moved: set[str]) -> None:
        """Anew where items or their sources moved; ``sources``: as the head of the screen knows them."""
        if not self._all or moved & TOPICS:
            self._all = systems.systems(sources, self.context.reader.items(), self.context.reader.parts())
            self.filter(self._words)

    def filter(self, text: str) -> None:
        """Leave what a filter of plain words means."""
        self._words = text
        asked = text.split()
        kept = (replace(s, items=tuple(i for i in s.items if systems.fits(i, asked))) for s in self._all)
        self.found = [s for s in kept if s.items or not asked]

    def wants(self) -> tuple[int, int]:
        """Rows where room is shared, and of all that there is; (0, 0) where no source tells anything."""
        if not self.found:
            return 0, 0
        return systems.rows_wanted(self.found, COMMON), systems.rows_wanted(self.found)

    def paint(self, width: int, size: int, *, silent: bool) -> list[Line]:
        """``silent``: no engine asks them any more."""
        hint = "" if frame.is_narrow(width) else "worst first, as their source tells"
        title = lines.rule("Fleets and clusters", f"{len(self.found)} asked", hint, width)
        body = systems.pane(self.found, width, size - 1, self.context.now())
        return [title, *(frame.as_stale(line) if silent else line for line in body)]

    def data(self) -> list[dict[str, Any]]:
        """For scripts."""
        return [systems.record(s, self.context.now()) for s in self.found]
