"""What the tests of the Floor share: the screen on a store, and where its cursor is."""

from __future__ import annotations

from tests.tui.stores import House
from tui.screens.floor import FloorView


def at(view: FloorView, name: str) -> None:
    """Put the cursor on a row by its name."""
    view.cursor = next(i.key for i in view.all if i.name == name)


def floor(h: House, **more) -> FloorView:
    view = FloorView(h.context(**more))
    view.load()
    return view
