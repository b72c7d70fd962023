"""What the tests of Actions share: a store in which actions were taken, and the screen on it."""

from __future__ import annotations

from typing import Any

from tests.tui.stores import House, painted
from tui.screens.actions import ActionsView


def view(h: House, arg: str | None = None, **more: Any) -> ActionsView:
    v = ActionsView(h.context(**more), arg)
    v.load()
    return v


def text(v: ActionsView, width: int = 120, height: int = 40) -> str:
    return "\n".join(painted(v, width, height))


def work(v: ActionsView, most: int = 1000) -> int:
    """All slices; how many there were."""
    n = 0
    while v.work():
        n += 1
        assert n < most
    return n


def go(v: ActionsView, words: str) -> None:
    """The cursor on the first row with these words."""
    v.act("move.top")
    for _ in range(v.length):
        line = next((s for s in painted(v, 200, 50) if s.startswith("▌")), "")
        if words in line[:120]:
            return
        v.act("move.down")
    raise AssertionError(f"no row with {words!r}")
