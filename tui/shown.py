"""A view on the app's stack, and what stands in its place when it cannot be shown."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from engine.request import RequestError
from engine.store.reader import StoreError
from tui import keymap
from tui.cells import clean
from tui.client import NoEngine
from tui.keymap import KeymapError
from tui.view import Line, View

log = logging.getLogger("watchfloor.tui")


@dataclass(slots=True)
class Shown:
    """A view on the stack. ``broken``: the sentence that stands in its place."""

    screen: str
    arg: str | None
    view: View
    broken: str | None = None

    def load(self) -> None:
        """Let the view read; what it raises stands in its place until it can be read again."""
        try:
            self.view.load()
            self.broken = None
        except Exception as error:
            log.error("%s could not be read", self.screen, exc_info=error)
            self.broken = sentence(error)

    def paint(self, width: int, height: int) -> Sequence[Line]:
        """The view's lines, or one sentence in their place; the other screens go on."""
        if self.broken is not None:
            return broken(self.screen, self.broken)
        try:
            return self.view.paint(width, height)
        except Exception as error:
            log.error("%s could not be painted", self.screen, exc_info=error)
            return broken(self.screen, sentence(error))


def sentence(error: Exception) -> str:
    """What went wrong, for the screen: our own errors are sentences, others are our bug and said so."""
    text = clean(" ".join(str(error).split()))[:300]
    if text and isinstance(error, (StoreError, NoEngine, RequestError, KeymapError)):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text} (a bug of ours; the log has more)"


def broken(screen: str, words: str) -> list[Line]:
    """In place of a view that cannot be read or painted."""
    known = (("nav.back", "back"), ("screen.floor", "Floor"), ("screen.sources", "Sources"), ("app.quit", "quit"))
    keys = [(keymap.key_of(action), word) for action, word in known]
    return [
        [(f" {screen} ", "b on:surface"), ("", "on:surface")],
        [(" this screen cannot be shown", "run-failed b")],
        [(f" {words}", "text")],
        [],
        [span for key, word in keys for span in ((f" {key}", "key b"), (f" {word}  ", "dim"))],
    ]
