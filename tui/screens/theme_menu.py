"""Themes: the one under the cursor is tried on at once, over the screen it was called from. Enter keeps it, Esc takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tui import keymap, themes
from tui.present import frame, lines
from tui.present.cut import clean
from tui.screens import steps, window
from tui.view import App, Back, Context, Copy, Effect, Line, Say, Span, View

_NOTES = {
    "dark": "blue-black ground; colour only where a person is needed",
    "light": "for bright rooms",
    "ansi": "your terminal's own sixteen colours",
    "high-contrast": "7:1 and more on every ground",
    "deuteranopia": "red-green safe: blue well, yellow late, orange broken",
    "tritanopia": "blue-yellow safe",
    "mono": "no colour: bold, reverse, glyphs and words",
}
_SAMPLE: Sequence[Span] = (
    ("✗ failed  ", "run-failed b"), ("∅ missed  ", "run-missed b"), ("◆ at risk  ", "run-late b"), ("▲ warning  ", "run-warning b"),
    ("► running  ", "run-running"), ("○ queued  ", "run-queued"), ("║ paused  ", "run-held"), ("■ stopped  ", "run-stopped"),
    ("✓ ok  ", "run-ok"), ("✓? stale", "run-stale"),
)  # fmt: skip


def _sample(width: int) -> list[Span]:
    """As many states as there is room for, whole ones only."""
    out: list[Span] = [("   ", "")]
    for text, style in _SAMPLE:
        if lines.cells(out) + len(text.rstrip()) > width:
            break
        out.append((text, style))
    return out


class ThemesView(View):
    """Drawn over the screen below, whose own rows show what each theme does."""

    name = "themes"
    title = "Themes"
    contexts = ("themes", "list", "global")
    topics: frozenset[str] = frozenset()
    over = True

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self._folder = context.extra.get("folder")
        self.names = themes.names(self._folder)
        self.before: str = context.extra.get("theme", themes.DEFAULT)
        self.at = self.names.index(self.before) if self.before in self.names else 0
        self._top = 0

    def load(self) -> None:
        if self.under is not None:
            self.under.load()

    @property
    def chosen(self) -> str:
        return self.names[self.at]

    def paint(self, width: int, height: int) -> list[Line]:
        if self.under is not None:
            below = list(self.under.paint(width, height))
        else:
            below = [[(" " * width, "")] for _ in range(height)]
        room = max(1, min(len(self.names), height - 4))
        self._top = window(self._top, self.at, room, len(self.names))
        rows: list[Line] = [
            lines.rule("Themes", f"{self.at + 1} of {len(self.names)}", "tried on at once", width, focused=True)
        ]
        for i, name in enumerate(self.names[self._top : self._top + room], self._top):
            mark = "●" if name == self.before else " "
            note = _NOTES.get(name, f"yours: themes/{clean(name)}.toml of the configuration folder")
            line: list[Span] = [
                (" ", ""),
                (mark, "mark"),
                (" ", ""),
                (f"{clean(name):<16}", "text b" if i == self.at else "text"),
                (note, "dim"),
            ]
            rows.append(lines.cursor(line, width, mono=self.context.mono) if i == self.at else lines.fit(line, width))
        rows.append(lines.fit(_sample(width), width))
        entries = [
            (keymap.key_of("list.open"), "keep it"),
            (keymap.key_of("copy.menu"), "copy the line that keeps it"),
            (keymap.key_of("nav.back"), "as before"),
        ]
        rows.append(frame.footer_row(entries, width))
        rows = rows[-height:]
        return [*below[: height - len(rows)], *rows]

    def act(self, action: str) -> Sequence[Effect]:
        move = steps(action, len(self.names), len(self.names))
        if action == "app.theme":  # F9 again: the next one, round and round
            self.at = (self.at + 1) % len(self.names)
            return self._try()
        if move is not None:
            self.at = min(max(self.at + move, 0), len(self.names) - 1)
            return self._try()
        match action:
            case "nav.back":
                return (App("theme", self.before), Back())
            case "list.open":
                return (Back(), Say(f"theme {clean(self.chosen)} until you leave; {self._line()} under [ui] keeps it"))
            case "copy.menu":
                return (Copy(self._line(), f"the line for [ui]: {self._line()}"),)
            case _:
                return ()

    def _try(self) -> Sequence[Effect]:
        """The app says in one sentence what is wrong with a theme of the user's that cannot be read."""
        return (App("theme", self.chosen),)

    def _line(self) -> str:
        return f'theme = "{clean(self.chosen)}"'

    def data(self) -> Any:
        return list(self.names)
