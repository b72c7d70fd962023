"""The wall: the Floor in large on a monitor that nobody touches. It reads; it has no socket and no keys but ``q``."""

from __future__ import annotations

from typing import ClassVar

from tui.app import WatchfloorApp


class WallApp(WatchfloorApp):
    """Starts an engine where none runs, as every screen does; asks it for nothing."""

    acts: ClassVar[bool] = False

    def key(self, key: str, character: str | None) -> None:
        if key in ("q", "ctrl+c", "ctrl+q"):
            self.leave(0)
