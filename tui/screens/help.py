"""Help: the keys of the screen it was called from, as they are in force, and how to read the glyphs. From the keymap alone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar

from tui import keymap, registry
from tui.present import frame, lines
from tui.present.cut import pad
from tui.present.cut import width as cells_of
from tui.present.frame import Head
from tui.present.glyphs import LEGEND
from tui.screens import common, steps
from tui.view import Context, Effect, Line, Span, View


class HelpView(View):
    """``arg``: name of the screen whose keys are shown; without it, the Floor's."""

    name: ClassVar[str] = "help"
    title: ClassVar[str] = "Help"
    contexts: ClassVar[tuple[str, ...]] = ("help", "global")
    topics: frozenset[str] = frozenset({"engine", "health", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        given = context.extra.get("help") or {}
        self.screen = arg or given.get("screen") or "floor"
        known = given if given.get("screen") == self.screen else self._of_screen(self.screen)
        self.of: str = known.get("title", self.screen)
        self.shown: Sequence[str] = known.get("contexts", ("list", "global"))
        self.head: Head | None = None
        self.top = 0
        self._length = 0
        self._page = 20

    @staticmethod
    def _of_screen(screen: str) -> dict[str, Any]:
        if screen not in registry.VIEWS:
            return {}
        module, _, cls = registry.VIEWS[screen].partition(":")
        view = getattr(import_module(module), cls)
        return {"title": view.title, "contexts": view.contexts}

    def load(self) -> None:
        self.head = Head.read(self.context)

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        top: list[Line] = [frame.band_row(self.context, self.head, self.title, width)]
        said: list[Span] = [(" ", ""), (f"Keys of {self.of}", "text b")]
        said += (
            [("   as they are in force now; [keys] in the configuration changes them", "dim")] if width >= 90 else []
        )
        top.append(lines.fit(said, width))
        body = self.body(width)
        room = max(height - len(top) - 1, 0)
        self._length, self._page = len(body), room
        self.top = min(self.top, max(len(body) - room, 0))
        foot = frame.footer_row(self._keys(width, len(body) > room), width)
        return frame.page(self.context, top, body[self.top : self.top + room], foot, width, height)

    def _keys(self, width: int, scrolls: bool) -> list[tuple[str, str]]:
        ids = [
            "nav.back",
            *(["move.down", "move.page_down"] if scrolls else []),
            "screen.floor",
            "app.theme",
            "app.quit",
        ]
        return keymap.footer(self.contexts, width, only=ids)

    def body(self, width: int) -> list[Line]:
        """All rows, two columns of keys where they fit, then the legend."""
        out: list[Line] = []
        two = width >= 170
        half = (width - 2) // 2 if two else width - 1
        for title, rows in keymap.help(self.shown):
            out.append(lines.rule(title, "", "", width))
            cells = [row for keys, label, text in rows for row in self._key_row(keys, label, text, half)]
            if two:
                left = cells[: (len(cells) + 1) // 2]
                right = cells[(len(cells) + 1) // 2 :]
                for i, row in enumerate(left):
                    other = right[i] if i < len(right) else []
                    out.append(lines.fit([*lines.fit(row, half), *other], width))
            else:
                out += [lines.fit(row, width) for row in cells]
            out.append([(" " * width, "")])
        out.append(
            lines.rule("How to read it", "a state is glyph, word and colour; any of them may be missing", "", width)
        )
        per = max((width - 1) // 52, 1)
        for i in range(0, len(LEGEND), per):
            row: list[Span] = [(" ", "")]
            for look, means in LEGEND[i : i + per]:
                row += [
                    (pad(look.glyph, 2), look.token),
                    (" ", ""),
                    (pad(look.word, 9), look.style),
                    (" ", ""),
                    (pad(means, 39), "dim"),
                ]
            out.append(lines.fit(row, width))
        return out

    @staticmethod
    def _key_row(keys: str, label: str, text: str, width: int) -> list[list[Span]]:
        """The key and its sentence, on a second row where one is too narrow: help that is cut is none."""
        wide = 12 if width < 90 else 16
        lead: list[Span] = [
            (" ", ""),
            (pad(keys, max(wide, cells_of(keys))), "key b"),
            (" ", ""),
            (pad(label, 15), "text b"),
            (" ", ""),
        ]
        used = lines.cells(lead)
        parts = textwrap.wrap(text, max(width - used, 20)) or [""]
        return [[*(lead if i == 0 else [(" " * used, "")]), (part, "dim")] for i, part in enumerate(parts)]

    def act(self, action: str) -> Sequence[Effect]:
        by = steps(action, self._page, max(self._length, 1))
        if by is not None:
            self.top = min(max(self.top + by, 0), max(self._length - self._page, 0))
            return ()
        if action == "app.help":
            return common("nav.back", self.context, self.name)
        return common(action, self.context, self.name)

    def data(self) -> Any:
        return {"screen": self.screen, "keys": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        return [
            {"section": title, "keys": keys, "label": label, "help": text}
            for title, rows in keymap.help(self.shown)
            for keys, label, text in rows
        ]
