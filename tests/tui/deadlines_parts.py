"""What the tests of Deadlines share: the screen on a store, and its rows."""

from __future__ import annotations

from tests.tui.stores import House, painted
from tui.screens.deadlines import DeadlinesView


def due(h: House, arg: str | None = None, **more) -> DeadlinesView:
    view = DeadlinesView(h.context(**more), arg)
    view.load()
    return view


def line_of(view: DeadlinesView, name: str, width: int = 120, height: int = 50) -> str:
    shown = painted(view, width, height)
    return next(line for line in shown[3:] if name in line)
