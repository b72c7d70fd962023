"""The log screen without where its log comes from: keys, fields, what stands above and below the page.

``LogDesk`` is a View; ``tui.screens.log`` gives it a step of a run, ``tui.log.alone`` files and pipes.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from tui import keymap
from tui.log import find, hand, head, together
from tui.log.index import Text
from tui.log.merge import MARK, Member, Merged, letter
from tui.log.page import LogPage
from tui.log.query import BadPattern, Filter, Needle
from tui.log.source import Source
from tui.log.worker import SMALL
from tui.present import frame, words
from tui.present.cut import clean
from tui.present.field import Field
from tui.present.lines import fit
from tui.view import Context, Effect, Line, Say, Span, View

FIELDS: Final = {
    "log.search": "/", "log.keep": "&", "log.drop": "!", "log.time": "@", "log.save": "save as", "overwrite": "overwrite",
}  # fmt: skip
LEVELS: Final = (0, 2, 3, 4)
_BUSY_PAINT: Final = 0.25
"""Seconds between paints while lines rush in: more than a person reads, and a tenth of the cost."""
_RUSH: Final = 1 << 16


class LogDesk(View):
    """A log, or several merged, with all that can be done to it."""

    contexts: ClassVar[tuple[str, ...]] = ("log", "global")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.page: LogPage | None = None
        self.merged: Merged | None = None
        self.note = ""
        """Why there is nothing to read."""
        self.single: LogPage | None = None
        """The page of the one log, while the merged one is shown."""
        self.asking: str | None = None
        """Action id that the open field belongs to."""
        self.menu: str | None = None
        """``copy``, ``remove`` or ``members``: a choice by one key."""
        self.field = Field()
        self.whole = False
        """Save all lines instead of those shown."""
        self.path: str = ""
        self.new = 0
        """Lines that came while standing still."""
        self._new_from = 0
        self._painted = 0.0
        self._progress: object = None
        self._under_way: tuple[bool, bool, bool] = (False, False, False)
        self._effects: list[Effect] = []
        self._dirty = False
        self.saving: int | None = None
        """Bytes saved so far."""

    # --- what the kinds of log differ in ------------------------------------------------------------------------------

    @abstractmethod
    def members(self) -> list[Member]:
        """All logs that belong together, for merging; each with a source of its own."""

    @abstractmethod
    def next_part(self) -> Sequence[Effect]:
        """Tab: the next step, or file."""

    @abstractmethod
    def band(self, width: int) -> Line:
        """Row 0."""

    @abstractmethod
    def about_row(self, width: int, right: list[Span]) -> Line:
        """Row 1: what log this is; ``right`` goes to its right."""

    @abstractmethod
    def empty(self, width: int) -> list[Line]:
        """Rows in place of lines: why there are none, and what to do."""

    @abstractmethod
    def end_words(self) -> str:
        """What stands behind the last line."""

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.page is not None and self.page.text.source.ended

    def save_name(self) -> str:
        """What a saved log is called unless somebody says otherwise."""
        return "watchfloor.log"

    # --- the log --------------------------------------------------------------------------------------------------------

    def open_source(self, source: Source) -> LogPage:
        """Show this source from its end."""
        old, page = self.page, LogPage(Text(source), self.context.mono)
        page.follow = True
        if old is not None:
            page.wraps, page.stamps = old.wraps, old.stamps
        self.page = page
        self._new_from, self.new = source.size, 0
        self.settle_small()
        return page

    def settle_small(self) -> None:
        """Count a small log at once."""
        page = self.page
        if page is not None and page.text.size <= SMALL:
            page.worker.finish(0.5)

    def take(self) -> bool:
        """Bring the log up to date; True if anything changed."""
        page = self.page
        if page is None:
            return False
        with page.worker.mine():
            text = page.text
            merged = self.merged
            if merged is not None and page is not self.single and merged.behind:
                page.worker.tasks.append(merged.feed())
            before = text.generation
            first = text.look()
            if first is None:
                return False
            if text.generation != before:
                page.worker.refilter()
                page.on_page, page.top, page.left = [], 0, 0
                page.follow = page.follow or page.cursor > text.size
                self._new_from, self.new = 0, 0
            else:
                page.worker.forget(first)
            self._count_new(page)
            end = time.monotonic() + 0.006
            while time.monotonic() < end and not page.worker.tasks and (text.count() or text.judge()):
                pass
        self.settle_small()
        return True

    def _count_new(self, page: LogPage) -> None:
        """Lines that came since somebody stopped following."""
        size = page.text.size
        if page.follow:
            self._new_from, self.new = size, 0
            return
        while self._new_from < size:
            piece = page.text.source.read(self._new_from, min(1 << 18, size - self._new_from))
            if not piece:
                return
            self.new += piece.count(b"\n")
            self._new_from += len(piece)

    def beat(self) -> Sequence[Effect] | None:
        """A turn of its own, several times a second: what came, what was found, how far the search is."""
        page = self.page
        if page is None:
            return None
        size = page.text.size
        self._dirty = self.take() or self._dirty
        worker = page.worker
        if gone := find.given_up(page):
            self._effects += gone
            self._dirty = True
        if worker.found:
            self._effects += find.arrive(self, worker.found.popleft())
            self._dirty = True
        if worker.failed:
            self._effects.append(Say(f"the search stopped: {worker.failed} (a bug of ours)", "bad"))
            worker.failed = ""
        worker.nudge()
        text = page.text
        search = worker.search
        progress = (
            worker.shown.count.done, search.found.done if search else 0, text.counted >> 22, text.judged >> 22, text.all_judged,
            worker.busy, self.saving,
        )  # fmt: skip
        self._dirty = self._dirty or progress != self._progress
        now = time.monotonic()
        over = (worker.searching, worker.filtering, worker.seeking)
        rush = (text.size - size > _RUSH or worker.busy) and over == self._under_way
        self._under_way = over
        if self._effects or (self._dirty and (not rush or now - self._painted >= _BUSY_PAINT)):
            self._progress, self._dirty, self._painted = progress, False, now
            effects, self._effects = self._effects, []
            return effects
        return None

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        page = self.page
        if page is None:
            return self._painted_rows(None, width, height)
        self.take()
        with page.worker.mine():
            return self._painted_rows(page, width, height)

    def _painted_rows(self, page: LogPage | None, width: int, height: int) -> list[Line]:
        here = page is not None and page.text.size > 0
        top: list[Line] = [self.band(width)]
        top.append(self.about_row(width, head.size_spans(self, page) if here and page is not None else []))
        body_first = len(top)
        if height < 10:
            body: list[Line] = []
            room = max(1, height - 2)
            top = top[1:body_first]
        else:
            room = max(1, height - 5)
            body = []
        if page is not None and here:
            page.worker.centre = max(page.cursor, 0)
            body += page.paint(width, room, self.end_words())
        else:
            body += self.empty(width)
        if height >= 10:
            top.append(head.third_row(self, page if here else None, width))
            top.append(fit([("─" * width, "rule")], width))
        return frame.page(self.context, top, body, head.footer(self, width), width, height)

    # --- acting -----------------------------------------------------------------------------------------------------

    @property
    def typing(self) -> bool:
        return self.asking is not None or self.menu is not None

    def act(self, action: str) -> Sequence[Effect]:
        page = self.page
        if page is None:
            return self.next_part() if action == "view.pane" else ()
        page.worker.aside()
        with page.worker.mine():
            if action == "nav.back":
                return self._clear(page)
            if action in FIELDS:
                return self._ask(action)
            return self._move(page, action) or self._act(page, action)

    def _move(self, page: LogPage, action: str) -> Sequence[Effect]:
        steps = max(page.room - 1, 1)
        moves = {
            "move.down": 1, "move.up": -1, "move.page_down": steps, "move.page_up": -steps,
            "move.half_down": max(steps // 2, 1), "move.half_up": -max(steps // 2, 1),
        }  # fmt: skip
        n = moves.get(action)
        if n is not None:
            if page.follow and n < 0:
                page.follow = False
                self.stop_here(page)
            page.move(n)
        elif action == "move.top":
            if page.follow:
                self.stop_here(page)
            page.follow = False
            page.to_top()
        elif action == "move.bottom":
            page.to_bottom()
            self.stop_here(page)
        return ()

    def stop_here(self, page: LogPage) -> None:
        self._new_from, self.new = page.text.size, 0

    def _act(self, page: LogPage, action: str) -> Sequence[Effect]:
        match action:
            case "log.follow":
                page.follow = not page.follow
                self.stop_here(page)
                said = (
                    "following: new lines come into view"
                    if page.follow
                    else "standing still: new lines are counted below"
                )
                return [Say(said)]
            case "log.next_error" | "log.prev_error":
                return find.seek(self, page, "error", 1 if action == "log.next_error" else -1)
            case "log.next_warning" | "log.prev_warning":
                return find.seek(self, page, "warning", 1 if action == "log.next_warning" else -1)
            case "log.next" | "log.prev":
                if page.worker.search is None:
                    return [Say(f"nothing is searched; {keymap.key_of('log.search')} finds a text")]
                return find.seek(self, page, "hit", 1 if action == "log.next" else -1)
            case "log.level":
                return self._level(page)
            case "log.merge":
                return together.merge(self, page)
            case "log.remove":
                return self._remove(page)
            case "log.wrap":
                page.wraps = not page.wraps
                return [Say("long lines wrap" if page.wraps else "long lines are cut; ← → scroll them")]
            case "log.stamps":
                page.stamps = not page.stamps
            case "log.left":
                page.left = max(0, page.left - 20)
            case "log.right":
                page.left = min(page.left + 20, max(0, page.longest - 20))
            case "copy.menu":
                self.menu = "copy"
            case "view.pane":
                if self.merged is not None:
                    self.menu = "members"
                    return ()
                return self.next_part()
            case _:
                pass
        return ()

    def _ask(self, action: str) -> Sequence[Effect]:
        self.asking, self.field, self.whole = action, Field(), False
        if action == "log.save":
            self.field = Field(self.save_name())
        return ()

    def _clear(self, page: LogPage) -> Sequence[Effect]:
        """Esc, the nearest thing first: field or choice, what is being looked for, the search, filters, the merge."""
        worker = page.worker
        if self.asking or self.menu:
            self.asking = self.menu = None
        elif worker.seeking:
            worker.stop_seeking()
            return [Say("no longer looking")]
        elif worker.search is not None:
            worker.look_for(None)
        elif worker.shown.filters or worker.shown.level or worker.shown.off:
            worker.shown.filters, worker.shown.level, worker.shown.off = [], 0, frozenset()
            worker.refilter()
        elif self.merged is not None and self.single is not None:
            return together.merge(self, page)
        return ()

    # --- finding ----------------------------------------------------------------------------------------------------

    def _level(self, page: LogPage) -> Sequence[Effect]:
        shown = page.worker.shown
        shown.level = LEVELS[(LEVELS.index(shown.level) + 1) % len(LEVELS)]
        self._refilter(page)
        return [
            Say(
                "all levels"
                if not shown.level
                else f"only {head.LEVEL_NAMES[shown.level]}; lines below an entry go with it"
            )
        ]

    def _refilter(self, page: LogPage) -> None:
        page.worker.centre = max(page.cursor, 0)
        page.worker.refilter()
        self.settle_small()

    def _remove(self, page: LogPage) -> Sequence[Effect]:
        shown = page.worker.shown
        if not shown.filters and not shown.level:
            return [
                Say(
                    f"nothing is filtered; {keymap.key_of('log.keep')} keeps lines, {keymap.key_of('log.drop')} hides them"
                )
            ]
        if len(shown.filters) + bool(shown.level) == 1:
            return self._take_away(page, 0)
        self.menu = "remove"
        return ()

    def removable(self) -> list[str]:
        """What ``x`` can take away, in words."""
        shown = self.page.worker.shown if self.page else None
        if shown is None:
            return []
        return [*([head.LEVEL_NAMES[shown.level]] if shown.level else []), *(f.words for f in shown.filters)]

    def _take_away(self, page: LogPage, index: int) -> Sequence[Effect]:
        shown = page.worker.shown
        said = self.removable()[index]
        if shown.level and index == 0:
            shown.level = 0
        else:
            del shown.filters[index - bool(shown.level)]
        self._refilter(page)
        return [Say(f"no longer filtered: {clean(said)}")]

    # --- several logs as one ----------------------------------------------------------------------------------------

    def start_merge(self, members: list[Member]) -> None:
        """Show these as one log."""
        zone = words.zone(self.context.timezone)
        self.merged = Merged(members, zone)
        if self.merged.whole <= 4 * SMALL:
            for _ in self.merged.feed():
                pass
            self.merged.look()
        self.open_source(self.merged)
        self.take()

    def member_name(self, number: int) -> str:
        return self.merged.members[number].name if self.merged and number < len(self.merged.members) else "?"

    # --- typing -----------------------------------------------------------------------------------------------------

    def type(self, text: str) -> Sequence[Effect] | None:
        page = self.page
        if page is None or (self.menu is None and self.asking is None):
            return None
        page.worker.aside()
        with page.worker.mine():
            if self.menu is not None:
                return self._choose(page, text)
            if text == "edit.enter":
                return self._enter(page)
            if text == "edit.escape":
                self.asking = None
            elif text == "edit.tab" and self.asking == "log.save":
                self.whole = not self.whole
            elif not self.field.takes(text):
                return None
            else:
                self.field.type(text)
            return ()

    def paste(self, text: str) -> Sequence[Effect]:
        if self.asking is not None and text.strip():
            self.field.type(text.strip().splitlines()[0])
        return ()

    def _choose(self, page: LogPage, text: str) -> Sequence[Effect]:
        menu = self.menu
        if menu == "members" and self.merged is not None:
            names = [letter(i) for i in range(len(self.merged.members))]
            shown = page.worker.shown
            if text in names:
                shown.off = shown.off ^ {MARK + names.index(text)}
            elif text == "*":
                shown.off = frozenset()
            else:
                self.menu = None
                return ()
            self._refilter(page)
            return ()
        self.menu = None
        if menu == "remove":
            count = len(self.removable())
            if text == "a":
                page.worker.shown.filters, page.worker.shown.level = [], 0
                self._refilter(page)
            elif text.isdigit() and 1 <= int(text) <= count:
                return self._take_away(page, int(text) - 1)
            return ()
        return hand.copy(self, page, text) if menu == "copy" else ()

    def _enter(self, page: LogPage) -> Sequence[Effect]:
        asked, typed, self.asking = self.asking, self.field.text, None
        page.settle()
        try:
            match asked:
                case "log.search":
                    return find.search(self, page, typed)
                case "log.time":
                    return find.go_to_time(self, page, typed)
                case "log.keep" | "log.drop" if typed:
                    page.worker.shown.filters.append(Filter("&" if asked == "log.keep" else "!", Needle(typed)))
                    self._refilter(page)
                case "log.save":
                    return hand.save_as(self, page, typed)
                case "overwrite" if typed.strip().lower() == "overwrite":
                    return hand.save_as(self, page, self.path, replace=True)
                case "overwrite":
                    return [Say(f"{clean(self.path)} is left as it is")]
                case _:
                    pass
        except BadPattern as error:
            return [Say(clean(str(error)), "warn")]
        return ()

    # --- handing out ------------------------------------------------------------------------------------------------

    def key(self) -> str:
        """What ``y i`` copies."""
        return ""

    def say_later(self, said: str, level: str) -> None:
        """For work that ends beside the keys: said at the next turn."""
        self._effects.append(Say(clean(said), level))

    def said_now(self) -> list[Effect]:
        """What was to be said, now."""
        effects, self._effects = self._effects, []
        return effects

    def plain(self) -> str | None:
        return hand.plain(self)
