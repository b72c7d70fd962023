"""The app around a log alone: no other screen has anything to show here."""

from __future__ import annotations

from typing import ClassVar

from tui import keymap
from tui.app import WatchfloorApp
from tui.view import View


class LogApp(WatchfloorApp):
    """Keys of other screens say where those are; nothing is asked of an engine, and none is started."""

    acts: ClassVar[bool] = False

    def _own(self, action: str) -> bool:
        if action.startswith(("screen.", "problem.")) or action in ("app.palette", "app.card", "app.refresh"):
            self.say("this is a log alone: `watchfloor` opens the floor")
            return True
        return super()._own(action)

    def _back(self, asker: View | None) -> None:
        if len(self.stack) == 1:
            self.say(f"this is a log alone; {keymap.key_of('app.quit')} leaves")
        else:
            super()._back(asker)
