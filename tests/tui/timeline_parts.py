"""What the tests of Timeline share."""

from __future__ import annotations

from tests.tui.stores import House, painted
from tui.present.timeline import Frame
from tui.screens.timeline import TimelineView


def view_of(h: House, arg: str | None = None, **more) -> TimelineView:
    view = TimelineView(h.context(**more), arg)
    view.load()
    return view


def lane_text(view: TimelineView, name: str, width: int = 120, height: int = 40) -> str:
    """The cells of one lane, without its name."""
    start = Frame.of(width).name
    end = start + Frame.of(width).cells
    found = [line for line in painted(view, width, height) if line[3:start].strip() == name]
    assert len(found) == 1, (name, found)
    return found[0][start:end]
