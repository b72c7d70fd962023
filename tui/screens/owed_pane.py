"""A small pane over the lower rows that says where the numbers of a promise come from: the answer to ``owed.basis``."""

from __future__ import annotations

from collections.abc import Sequence

from engine.store.rows import OwedRow
from tui import keymap
from tui.present import lines, owed
from tui.present.cut import clean
from tui.view import Line

_CLOSES = ("nav.back", "owed.basis", "edit.escape", "app.quit")
_STEPS = {
    "move.down": 1,
    "move.up": -1,
    "move.page_down": 8,
    "move.page_up": -8,
    "move.half_down": 4,
    "move.half_up": -4,
}


def cannot_waive(row: OwedRow | None) -> str | None:
    """Why a promise cannot be waived; None: it can."""
    if row is None:
        return "nothing is owed here"
    if not row.state.unsettled:
        return f"it is {owed.LOOKS[row.state].word}: nothing is owed any more"
    return None


class OwedPane:
    """One promise and its numbers. Any key but those that scroll closes it."""

    def __init__(self, row: OwedRow, name: str) -> None:
        self.row = row
        self.name = name
        self.top = 0
        self._more = False

    def takes(self, action: str) -> bool:
        """Whether this key only closes the pane."""
        return action in _CLOSES

    def scroll(self, action: str) -> bool:
        """Whether this key moved the text, or would where there is more of it."""
        by = _STEPS.get(action)
        if by is None:
            return False
        self.top = max(self.top + (by if by < 0 or self._more else 0), 0)
        return True

    def paint(self, width: int, room: int, tz: str, now: int) -> list[Line]:
        """A title and the lines, at most ``room`` rows."""
        body = owed.basis_lines(self.row, tz, now, width)
        self.top = min(self.top, max(len(body) - room + 1, 0))
        self._more = len(body) - self.top > room - 1
        keys = f"{keymap.key_of('nav.back')} close"
        if self._more or self.top:
            keys = f"{keymap.key_of('move.down')} {keymap.key_of('move.up')} more · {keys}"
        note = f"of {clean(self.name)} · {clean(self.row.promise)}"
        return [lines.rule("Where from", note, keys, width, focused=True), *body[self.top : self.top + room - 1]]

    def over(self, body: Sequence[Line], width: int, room: int, tz: str, now: int) -> list[Line]:
        """The panes of a screen, their lower rows under this one."""
        pane = self.paint(width, max(room * 2 // 3, min(room, 6)), tz, now)
        rows = list(body[:room])
        rows += [[(" " * width, "")]] * max(0, room - len(pane) - len(rows))
        return [*rows[: room - len(pane)], *pane]
