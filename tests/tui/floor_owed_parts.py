"""What the tests of promises on the Floor share."""

from __future__ import annotations

from typing import Any

from tests.tui.stores import House, painted
from tui.screens.floor import FloorView


def floor(h: House, **more: Any) -> FloorView:
    view = FloorView(h.context(**more))
    view.load()
    return view


def row(view: FloorView, name: str, width: int = 200) -> str:
    return next(line for line in painted(view, width, 50) if name in line[:40])
