"""A short list to choose from by letter or cursor, painted over the lower rows. What cannot be chosen is there and
says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.present import lines
from tui.present.cut import pad

if TYPE_CHECKING:
    from tui.view import Line, Span


@dataclass(frozen=True, slots=True)
class Entry:
    """``key``: the character that chooses it. ``note``: what it is about. ``why``: why it cannot be had; then it is
    grey.
    """

    key: str
    label: str
    value: Any = None
    note: str = ""
    why: str | None = None


class Menu:
    """``typed`` and ``chosen`` give the entry that was chosen; a grey one is given too, for its reason."""

    def __init__(self, title: str, note: str, entries: Sequence[Entry]) -> None:
        self.title = title
        self.note = note
        self.entries = tuple(entries)
        self.at = next((i for i, e in enumerate(self.entries) if e.why is None), 0)

    def move(self, by: int) -> None:
        if self.entries:
            self.at = min(max(self.at + by, 0), len(self.entries) - 1)

    def typed(self, character: str) -> Entry | None:
        """The entry of that letter, if there is one."""
        return next((e for e in self.entries if e.key == character), None)

    def chosen(self) -> Entry | None:
        """The entry under the cursor."""
        return self.entries[self.at] if self.entries else None

    def paint(self, width: int, height: int) -> list[Line]:
        """A title and one row an entry, at most ``height`` rows, the cursor's among them."""
        rows: list[Line] = [
            lines.rule(self.title, self.note, "Enter choose · Esc close" if width >= 60 else "", width, focused=True)
        ]
        room = max(height - 1, 1)
        first = min(max(self.at - room + 1, 0), max(len(self.entries) - room, 0))
        for i, e in enumerate(self.entries[first : first + room], first):
            can = e.why is None
            line: list[Span] = [
                (" ", ""),
                (e.key, "key b" if can else "dim"),
                ("  ", ""),
                (pad(e.label, 16), "text b" if can and i == self.at else "text" if can else "dim"),
                (" ", ""),
                (e.note if can else f"not now: {e.why}", "dim"),
            ]
            rows.append(lines.cursor(line, width) if i == self.at else lines.fit(line, width))
        return rows[:height]
