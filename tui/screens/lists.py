"""What every list screen has: a cursor moved by the same keys, a filter being typed, a menu over the lower rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from adapters.model import AlertState
from engine.store.rows import SourceRow
from tui.present import frame
from tui.present.field import Field
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, ack, answered, arm, common, steps
from tui.view import Context, Copy, Effect, Line, Say, Span, View

_WALKS = {"edit.up": -1, "edit.down": 1, "edit.pageup": -1, "edit.pagedown": 1}
"""Keys that move the cursor of the list while a filter is typed."""

_OF_A_ROW = frozenset(VERB_OF) | {
    "list.open", "run.log", "run.history", "action.menu", "alert.ack", "copy.menu", "view.pane",
}  # fmt: skip

Handler = Callable[[], Sequence[Effect]]


class ListScreen(View):
    """A screen's own keys come from ``handlers``; the rest is done here."""

    of_a_row: ClassVar[frozenset[str]] = _OF_A_ROW
    """Actions that mean nothing without a row; where there is none, they say so."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.field: Field | None = None
        self.menu: Menu | None = None
        self.filter_error: str | None = None
        self.page = 20
        self.asked = ""
        """What a request under way is about, for the words of its answer."""

    # --- what a screen says of itself -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def length(self) -> int:
        """How many rows the cursor can go over."""

    @abstractmethod
    def move(self, by: int) -> None:
        """Move the cursor by rows, as far as there are rows."""

    @abstractmethod
    def handlers(self) -> dict[str, Handler]:
        """Action id → what it does here."""

    def verb(self, action: str) -> Sequence[Effect]:
        """Plan a verb on the cursor row."""
        return ()

    @property
    def filter_text(self) -> str:
        return ""

    def set_filter(self, text: str) -> None:
        """Take a filter while it is typed; a bad one goes to ``filter_error`` and the last good one stays."""

    @property
    def typing(self) -> bool:
        return self.field is not None

    # --- keys -------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if self.menu is not None:
            return self._in_menu(action)
        if self.field is not None and self._in_field(action):
            return ()
        if not self.length and (action in self.of_a_row or action.startswith("move.")):
            return (Say("there is no row here"),)
        by = steps(action, self.page, self.length)
        if by is not None:
            self.move(by)
            return ()
        handler = self.handlers().get(action)
        if handler is not None:
            return handler()
        if action == "list.filter":
            self.field = Field(self.filter_text)
            return ()
        if action == "nav.back" and self.filter_text:
            self.set_filter("")
            return ()
        if action in VERB_OF:
            return self.verb(action)
        return common(action, self.context, self.name)

    def _in_menu(self, action: str) -> Sequence[Effect]:
        menu = self.menu
        assert menu is not None
        by = steps(action, len(menu.entries), len(menu.entries))
        if by is not None:
            menu.move(by)
        elif action in ("list.open", "edit.enter"):
            entry = menu.chosen()
            return self._chose(entry) if entry is not None else ()
        elif action in ("nav.back", "edit.escape", "app.quit"):
            self.menu = None
        return ()

    def _chose(self, entry: Entry) -> Sequence[Effect]:
        if entry.why is not None:
            return (Say(f"{entry.label}: {entry.why}", "warn"),)
        self.menu = None
        return (entry.value,) if isinstance(entry.value, Copy) else self.act(str(entry.value))

    def _in_field(self, action: str) -> bool:
        if action in ("list.open", "edit.enter"):
            self.field, self.filter_error = None, None
            return True
        if action in ("nav.back", "edit.escape"):
            self.field = None
            self.set_filter("")
            return True
        return False

    def type(self, text: str) -> Sequence[Effect] | None:
        if self.menu is not None:
            entry = self.menu.typed(text)
            if entry is not None:
                return self._chose(entry)
            return None if text in ("j", "k", "g", "G", "q", "-") or text.startswith("edit.") else ()
        if self.field is None:
            return None
        if text in ("edit.enter", "edit.escape"):
            self._in_field(text)
        elif text in _WALKS:
            self.move(_WALKS[text] * (self.page if "page" in text else 1))
        elif not self.field.takes(text):
            return None
        elif self.field.type(text):
            self.set_filter(self.field.text)
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        lines = text.splitlines()
        return (self.type(lines[0]) or ()) if self.field is not None and lines else ()

    # --- shared answers ---------------------------------------------------------------------------------------------

    def ack(self, alert: str | None, what: str, acked: bool = False) -> Sequence[Effect]:
        """``m``: take an alert."""
        self.asked = what
        return (ack(alert, what, acked, self.context),)

    def alert_of(self, key: str) -> tuple[str, bool] | None:
        """Open alert on a pipeline (and its runs) or a source: (id, acknowledged)."""
        for row in self.context.reader.alerts(open_only=True):
            if row.key.partition("/")[0] == key:
                return row.id, row.state == AlertState.ACKED
        return None

    def arm(self, source: SourceRow | None, head: frame.Head) -> Sequence[Effect]:
        """``A`` on a row; without a row, the first protected environment."""
        if source is None or not source.protected:
            source = source if source is not None and source.environment else None
            source = source or next((s for s in head.sources if s.protected), None)
        if source is None:
            return (Say("no environment here is protected: actions need no arming, each still asks"),)
        self.asked = source.environment or source.name
        armed = any(a.environment == source.environment and a.until > self.context.now() for a in head.armed)
        return (arm(source.environment, source.protected, armed, self.context),)

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        return answered(tag, self.asked, error)

    # --- painting ---------------------------------------------------------------------------------------------------

    def under_menu(self, body: Sequence[Line], width: int, room: int) -> list[Line]:
        """The panes, their lower rows under the open menu."""
        rows = list(body[:room])
        if self.menu is None:
            return rows
        menu = self.menu.paint(width, min(room, len(self.menu.entries) + 1))
        rows += [[(" " * width, "")]] * max(0, room - len(menu) - len(rows))
        return [*rows[: room - len(menu)], *menu]

    def field_row(self, width: int, shown: str) -> Line:
        """The footer while a filter is typed: the text, and its fault or how many rows it leaves."""
        assert self.field is not None
        spans: list[Span] = [("/", "key b"), *self.field.spans(max(width // 2, 10)), ("  ", "")]
        spans.append((self.filter_error, "run-late b") if self.filter_error else (shown, "dim"))
        return frame.footer_row([], width, left=spans, typed=bool(self.field.text))
