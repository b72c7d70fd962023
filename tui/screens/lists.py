"""What every list screen has: a cursor moved by the same keys, a filter being typed and saved, marks, a menu over the
lower rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from adapters.model import AlertState
from engine.store.rows import SourceRow
from tui import keymap
from tui.present import frame
from tui.present.cut import clean
from tui.present.field import Field
from tui.present.filters import FIELDS, IS, NUMBERS, Filter, FilterError, common_start, complete, parse
from tui.present.menu import Entry, Menu
from tui.screens import VERB_OF, ack, answered, arm, common, steps, view_menu
from tui.screens.marks import Marks, Row, refused
from tui.view import Context, Copy, Effect, Line, Open, Say, Span, View

_WALKS = {"edit.up": -1, "edit.down": 1, "edit.pageup": -1, "edit.pagedown": 1}
"""Keys that move the cursor of the list while a filter is typed."""

_OF_A_ROW = frozenset(VERB_OF) | {
    "list.open", "run.log", "run.history", "run.diff", "action.menu", "alert.ack", "copy.menu", "view.pane",
}  # fmt: skip

Handler = Callable[[], Sequence[Effect]]


class ListScreen(View):
    """A screen's own keys come from ``handlers``; the rest is done here."""

    of_a_row: ClassVar[frozenset[str]] = _OF_A_ROW
    """Actions that mean nothing without a row; where there is none, they say so."""
    fields: ClassVar[Sequence[str]] = tuple(FIELDS)
    numbers: ClassVar[Sequence[str]] = tuple(NUMBERS)
    """Words that a filter may use here."""
    marks_what: ClassVar[str] = ""
    """What can be marked here (``pipelines``); empty: nothing."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.field: Field | None = None
        self.menu: Menu | None = None
        self.filter: Filter = parse("")
        self.filter_error: str | None = None
        self._wrong_at: int | None = None
        self._offers: list[str] = []
        self._offer = -1
        self._offer_at = 0
        self.marks = Marks()
        self.views = view_menu.ViewMenu(self)
        self.bare = True
        """Whether it was opened as it is, not for one thing: then a start view may narrow it."""
        self.page = 20
        self.asked = ""
        """What a request under way is about, for the words of its answer."""

    def begin(self) -> Sequence[Effect]:
        self.start_view()
        return ()

    def start_view(self) -> None:
        """Open with the view that the person chose for this screen."""
        if self.bare and not self.filter:
            self.views.begin()

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
        return self.filter.text

    def set_filter(self, text: str) -> None:
        """Take a filter while it is typed; a bad one goes to ``filter_error`` and the last good one stays."""

    @staticmethod
    def filter_states() -> frozenset[str]:
        """Every word that ``state:`` may look for here."""
        return frozenset()

    def filter_values(self, fact: str) -> Iterable[str]:
        """Values of a fact that exist, for completing what is typed."""
        return ()

    def read_filter(self, text: str) -> bool:
        """Take ``text`` as the filter; False where it cannot be meant: then ``filter_error`` says why and nothing changes."""
        try:
            self.filter = parse(text, self.filter_states, self.fields, self.numbers)
        except FilterError as error:
            self.filter_error, self._wrong_at = str(error), error.at
            return False
        self.filter_error, self._wrong_at = None, None
        return True

    def filter_note(self, shown: str, total: str) -> str:
        """For the title: the active view or filter, how many rows it leaves, the key that clears it."""
        of = f"{shown} of {total} · " if total else ""
        return f"{of}{self.views.said()}filter {self.filter.text} · {keymap.key_of('nav.back')} clears"

    def empty_rows(self, what: str, culprit: str = "") -> list[Line]:
        """For a filter that leaves nothing: which word took the last rows, and the key that clears."""
        key = keymap.key_of("nav.back")
        line: list[Span] = [(f"   {what}", "dim")]
        if culprit and culprit != str(self.filter):
            line += [(": ", "dim"), (culprit, "text b"), (" took the last ones away", "dim")]
        return [[*line, ("   ", ""), (key, "key b"), (" shows all again", "dim")]]

    # --- marks ------------------------------------------------------------------------------------------------------

    def markable(self) -> Sequence[Row]:
        """Rows that can be marked, in the order of the cursor."""
        return ()

    def mark_here(self) -> Row | None:
        """The row under the cursor, where it can be marked."""
        return None

    def bulk_keys(self, verb: str) -> tuple[str, list[str]]:
        """The verb that is meant for the marked rows, and the key that each of them gives it."""
        return verb, list(self.marks.names)

    def acted_on(self, name: str) -> str:
        """For the title of the actions: what they will act on, the marked rows where there are any."""
        if self.marks:
            return f"on {len(self.marks.names)} marked {self.marks_what} · one plan for all, and it asks"
        return f"on {name} · each shows its plan and asks"

    def done_with(self, keys: Iterable[str]) -> None:
        """What a bulk did needs no mark any more."""
        self.marks.drop(keys)
        self._marks_moved()

    def _mark(self, action: str) -> Sequence[Effect]:
        if action == "list.unmark":
            if not self.marks:
                return (Say("nothing is marked"),)
            self.marks.clear()
            self._marks_moved()
            return ()
        here = self.mark_here()
        if here is None:
            return (Say(f"this row cannot be marked: marks are for {self.marks_what}"),)
        if action == "list.mark":
            self.marks.toggle(here)
            self.move(1)
        else:
            self.marks.up_to(here, self.markable())
        self._marks_moved()
        return ()

    def marks_footer(self, width: int) -> Line:
        """The keys while rows are marked: what they do is for all of them."""
        n = len(self.marks)
        acts = ["pipeline.pause", "run.stop", "run.rerun_failed", "run.rerun", "pipeline.start", "alert.ack"]
        can = self.context.engine_alive and not self.context.read_only
        ids = [*(acts if can else ()), "list.unmark", "list.mark", "list.mark_range", "list.filter", "app.quit"]
        said = {a: f"{keymap.active().by_id[a].label} {n}" for a in acts}
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    def _marks_moved(self) -> None:
        if self.filter.asks("is"):
            self.set_filter(self.filter.text)

    def bulk(self, action: str) -> Sequence[Effect]:
        """A verb's key, or ``m``, while rows are marked: it is for all of them."""
        verb, keys = ("ack", list(self.marks.names)) if action == "alert.ack" else self.bulk_keys(VERB_OF[action].value)
        why = refused(verb, self.marks)
        if why is None and self.context.read_only:
            why = "this terminal is read-only"
        if why is None and not self.context.engine_alive:
            why = f"nobody is watching, no action is possible; {keymap.key_of('app.refresh')} starts the engine"
        if why is not None:
            return (Say(f"{verb}: {why}" if not why.startswith(verb) else why, "warn"),)
        return (Open("bulk", " ".join([verb, *keys])),)

    @property
    def typing(self) -> bool:
        return self.field is not None

    # --- keys -------------------------------------------------------------------------------------------------------

    def act(self, action: str) -> Sequence[Effect]:
        if self.menu is not None:
            return self._in_menu(action)
        if self.field is not None and self._in_field(action):
            return ()
        if action.startswith("view.") and (said := self.views.act(action)) is not None:
            return said
        if self.marks and (action in VERB_OF or action == "alert.ack"):
            return self.bulk(action)
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
            self.field, self._offers, self.views.asks = Field(self.filter_text), [], ""
            return ()
        if action == "list.views":
            return self.views.open()
        if action in ("list.mark", "list.mark_range", "list.unmark") and self.marks_what:
            return self._mark(action)
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
        key = {"list.open": "edit.enter", "nav.back": "edit.escape"}.get(action, action)
        if self.views.asks and self.field is not None and key in ("edit.enter", "edit.escape"):
            self.views.type(key, self.field)
            return True
        if action in ("list.open", "edit.enter"):
            self.field, self.filter_error, self._wrong_at = None, None, None
            return True
        if action in ("nav.back", "edit.escape"):
            self.field = None
            self.set_filter("")
            return True
        return False

    def _complete(self, field: Field) -> None:
        """Tab: what all candidates begin with; where that is there already, one after the other."""
        if self._offers and self._offer_at + len(self._tab_text()) == field.at:
            self._offer = (self._offer + 1) % len(self._offers)
            field.put(self._offer_at, self._offers[self._offer])
        else:
            self._offer_at, self._offers = complete(field.text, field.at, self.fields, self.numbers, self._known_values)
            self._offer = -1
            if self._offers and (begun := common_start(self._offers)):
                field.put(self._offer_at, begun)
            if len(self._offers) == 1:
                self._offers = []
        self.set_filter(field.text)

    def _tab_text(self) -> str:
        return self._offers[self._offer] if self._offer >= 0 else common_start(self._offers)

    def _known_values(self, fact: str) -> Iterable[str]:
        if fact == "state":
            return self.filter_states()
        return IS if fact == "is" else self.filter_values(fact)

    def type(self, text: str) -> Sequence[Effect] | None:
        if self.menu is not None:
            entry = self.menu.typed(text)
            if entry is not None:
                return self._chose(entry)
            return None if text in ("j", "k", "g", "G", "q", "-") or text.startswith("edit.") else ()
        if self.field is None:
            return None
        if self.views.asks:
            return self.views.type(text, self.field)
        if text in ("edit.enter", "edit.escape"):
            self._in_field(text)
        elif text == "edit.tab":
            self._complete(self.field)
        elif text in _WALKS:
            self.move(_WALKS[text] * (self.page if "page" in text else 1))
        elif not self.field.takes(text):
            return None
        else:
            self._offers = []
            if self.field.type(text):
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
        if self.views.asks:
            label: list[Span] = [(f"{self.views.asks}: ", "key b"), *self.field.spans(max(width // 2, 10))]
            note: Span = (self.views.fault, "run-late b") if self.views.fault else (self.views.note, "dim")
            return frame.footer_row([], width, left=[*label, ("  ", ""), note], typed=bool(self.field.text))
        bad = None if self._wrong_at is None else self._wrong_at - 1
        spans: list[Span] = [("/", "key b"), *self.field.spans(max(width // 2, 10), bad), ("  ", "")]
        if self.filter_error:
            spans.append((self.filter_error, "run-late b"))
            if bad:
                spans.append((f" · column {self._wrong_at}", "dim"))
        elif self._offers:
            spans += self._offer_spans()
        else:
            spans.append((shown, "dim"))
        return frame.footer_row([], width, left=spans, typed=bool(self.field.text))

    def _offer_spans(self) -> list[Span]:
        """What Tab can put in, the one that stands there bold."""
        out: list[Span] = []
        first = max(self._offer, 0)
        for i, offer in enumerate(self._offers[first : first + 12], first):
            out += [(clean(offer), "text b" if i == self._offer else "dim"), (" ", "")]
        return out
