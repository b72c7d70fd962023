"""The app: one view at a time on one canvas. Reads the store, hands keys to the view, carries its wishes out.

Nothing here waits for anything remote: requests run beside the loop of keys and paint (``tui.link``).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult

from engine.store.reader import StoreError
from engine.store.rows import EngineRow
from tui import keymap, pulse
from tui.cells import clean
from tui.link import Link
from tui.present.cut import wrap
from tui.shown import Shown, sentence
from tui.start import Place
from tui.terminal import TerminalApp
from tui.themes import Palette, Theme, ThemeError, load
from tui.view import App as AppEffect
from tui.view import Back, Context, Copy, Effect, Open, Quit, Request, Say, View
from tui.widgets.canvas import Canvas

log = logging.getLogger("watchfloor.tui")

POLL = 0.1
"""Seconds between looks at the store's version (1.6 µs each)."""
AGAIN = 0.02
"""Seconds until the next slice of a view's own work: keys come in between."""
LIGHT, HEAVY = (0.012, 4), 25
"""A load within 12 ms may come again after 4 times its time. A heavier one (thousands of pipelines moved) is a stall
for keys: it gets a 25th of the time, once a second at least; the first after a rest is read at once all the same."""
WATCH_EVERY = 2.0
SAY = {"info": (4.0, "text b"), "warn": (6.0, "run-late b"), "bad": (8.0, "run-failed b")}
"""Level of a sentence in the last row: seconds it stands, style."""
_DEPTH = 30

MakeView = Callable[[str, Context, str | None], View]


class WatchfloorApp(TerminalApp):
    """``make`` builds a view by name (``tui.registry.make``); ``place`` is where engine, socket and store lie, if any."""

    CSS = "Screen { background: transparent; }"
    acts: ClassVar[bool] = True
    """Whether requests reach the engine; not on a wall."""

    def __init__(
        self,
        context: Context,
        make: MakeView,
        start: str = "floor",
        arg: str | None = None,
        *,
        theme: Theme,
        first: View | None = None,
        place: Place | None = None,
        starts_engine: bool = False,
        slow_link: bool = False,
        title: str | None = None,
        bell: bool = False,
    ) -> None:
        super().__init__()
        self.context = context
        self.make = make
        self.place = place
        self.slow_link = slow_link
        self.title_text = title
        self.rings = bell
        self.palette = Palette(theme)
        context.mono = theme.mono or theme.ansi
        context.extra["slow_link"] = slow_link
        context.extra["theme"] = theme.name
        context.extra["folder"] = place.config.parent if place is not None else None
        self.canvas = Canvas(self.palette)
        self.link = Link(place, self.say, starts=starts_engine, asks=self.acts)
        self.stack: list[Shown] = []
        self.last_run: str | None = None
        self.last_engine: EngineRow | None = None
        self.said: tuple[str, str, float] | None = None
        self._first = (start, arg)
        self._first_view = first
        self._extent: tuple[int, int] = (0, 0)
        self._version: object = None
        self._topics: dict[str, int] = {}
        self._next_load = self._next_second = self._next_watch = self._painted = 0.0
        self._plain = False
        self._poll_timer: asyncio.TimerHandle | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.canvas

    def terminal_ready(self, width: int, height: int) -> None:
        """The terminal is ours and Textual has not begun yet: the first frame comes from the store alone."""
        if self.direct:
            self.canvas.pens, self.canvas.encoding = self.pens, self.encoding
            self.canvas.paint_cells = self.paint_cells
            self._resized(width, height)

    def on_mount(self) -> None:
        self._resized(self.size.width, self.size.height)
        self._poll()
        self.link.meet()
        gc.collect()
        gc.freeze()  # what a start made stays for ever: no later collection walks it between a key and its paint

    async def on_unmount(self) -> None:
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        await self.link.close()

    def _resized(self, width: int, height: int) -> None:
        if (width, height) == self._extent or width < 1 or height < 1:
            return
        self._extent = (width, height)
        if not self.stack:
            with suppress(StoreError):  # the view meets the same and says so
                self._version = self.context.reader.version()
                self._topics = dict(self.context.reader.topics())
                self._pulse()
            self._open(*self._first)
        self.paint()

    async def on_event(self, event: events.Event) -> None:
        """Keys come here and go no further: no focus, no bindings, no bubbling between a key and its paint."""
        if isinstance(event, events.Key):
            with self.at_once():
                self.key(event.key, event.character if event.is_printable else None)
        elif isinstance(event, events.Paste):
            with self.at_once():
                self.pasted(event.text)
        else:
            await super().on_event(event)
            if isinstance(event, events.Resize):
                self._resized(event.size.width, event.size.height)

    # --- the store --------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """10 times a second: has the store changed? Once a second: ages, the engine's pulse, what is looked at."""
        now = time.monotonic()
        pause = POLL
        try:
            version = self.context.reader.version()
            if version != self._version and now >= self._next_load:
                self._version = version
                self._changed()
            self._beat()
            if now >= self._next_second:
                self._next_second = max(self._next_second + 1.0, now + 0.5)
                self._second(now)
            if self.stack and not self.stack[-1].broken and self._call(lambda view: view.work()):
                self.paint()
                pause = AGAIN
        except Exception as error:
            log.error("looking at the store failed", exc_info=error)
            self.say(sentence(error), "bad")
            pause = 1.0
        self._poll_timer = asyncio.get_running_loop().call_later(pause, self._poll)

    def _beat(self) -> None:
        """Views that do work of their own get their turn, while they are seen."""
        if not self.stack or self.stack[-1].broken or self._plain:
            return
        effects = self._call(lambda view: view.beat())
        if effects is not None:
            self._do(effects)
            self.paint()

    def _changed(self) -> None:
        topics = dict(self.context.reader.topics())
        moved = {topic for topic, version in topics.items() if self._topics.get(topic) != version}
        self._topics = topics
        if "engine" in moved:
            self._pulse()
        if self.stack and (moved & self.stack[-1].view.moved_by() or self.stack[-1].broken):
            self._load(self.stack[-1])
            self._go_on()
            self.paint()
            self._painted = time.monotonic()

    def _second(self, now: float) -> None:
        self._pulse()
        if self.said is not None and now >= self.said[2]:
            self.said = None
            self.paint()
        fresh = now - self._painted < 1.5  # a change was painted just now, and another may come: its ages are right
        if self.stack:
            shown = self.stack[-1]
            if not fresh and getattr(shown.view, "ticks", False):
                self._load(shown)
            if now >= self._next_watch and self.context.engine_alive:
                self._next_watch = now + WATCH_EVERY
                body = self._call(lambda view: view.watch())
                if body:
                    self.link.watch(body)
        self._go_on()
        if not fresh:
            self.paint()

    def _go_on(self) -> None:
        """A view that does several things after one another asks for the next one."""
        if self.stack and not self.stack[-1].broken:
            self._do(self._call(lambda view: view.go_on()))

    def _pulse(self) -> None:
        self.last_engine = self.context.reader.engine()
        pulse.feel(self.context, self.last_engine, self.link.held())

    def _load(self, shown: Shown) -> None:
        start = time.monotonic()
        shown.load()
        took = time.monotonic() - start
        self._next_load = start + min(took * (LIGHT[1] if took <= LIGHT[0] else HEAVY), 1.0)

    # --- paint ------------------------------------------------------------------------------------------------------

    def paint(self) -> None:
        """The view's lines to the canvas; the sentence that is being said stands in the last row."""
        width, height = self._extent
        if not self.stack or not width or self._plain:
            return
        lines = self.stack[-1].paint(width, height)
        if self.said is not None:
            text, level, _ = self.said
            style = f"{SAY[level][1]} on:surface"
            said = wrap(text, max(width - 2, 1), most=max(min(4, height - 2), 1))
            at = (
                height - 2 if self.stack[-1].view.typing and height > 2 else height - 1
            )  # a field being typed is not hidden
            lines = [*lines[:height], *[()] * (height - len(lines))]
            for up, part in enumerate(reversed(said)):  # a sentence that is cut says something else
                if at - up >= 0:
                    lines[at - up] = [(f" {part}{' ' * width}", style)]
        self.canvas.show(lines, width, height)

    def say(self, text: str, level: str = "info") -> None:
        """One sentence in the last row for a few seconds, or until the next key."""
        level = level if level in SAY else "info"
        self.said = (clean(text), level, time.monotonic() + SAY[level][0])
        if level == "bad" and self.rings:
            self.bell()
        self.paint()

    # --- keys -------------------------------------------------------------------------------------------------------

    def key(self, key: str, character: str | None) -> None:
        """A key to the open field, or by the keymap to the app or to the view. It ends what was being said."""
        self.said = None
        if self._plain:
            self._plain = False
            self.leave_plain()
        elif self.stack and not self._typed(character if character is not None else f"edit.{key}"):
            action = keymap.resolve(self.stack[-1].view.contexts, key)
            if action is None and key in ("ctrl+c", "ctrl+q"):
                action = "app.quit"
            if action is None:
                return
            if action == "nav.back":
                self._step_back()
            elif not self._own(action):
                self._do(self._call(lambda view: view.act(action)))
        self.paint()

    def pasted(self, text: str) -> None:
        if self.stack and not self._plain:
            self._do(self._call(lambda view: view.paste(text)))
            self.paint()

    def _typed(self, text: str) -> bool:
        """Give a character or ``edit.KEY`` to an open field; False where none is open or it does not take this one."""
        effects = None if text in ("edit.ctrl+c", "edit.ctrl+q") else self._call(lambda view: view.type(text))
        if effects is None:
            return False
        self._do(effects)
        return True

    def _step_back(self) -> None:
        """The view closes what it has open; where that changed nothing on its screen, the screen before comes back."""
        shown = self.stack[-1]
        before = None if shown.broken else self._call(lambda view: view.paint(*self._extent))
        effects = list(self._call(lambda view: view.act("nav.back")) or ())
        after = None if shown.broken else self._call(lambda view: view.paint(*self._extent))
        if not effects and before == after:
            effects = [Back()]
        self._do(effects)

    def _own(self, action: str) -> bool:
        """What the app does itself, wherever the key is pressed."""
        shown = self.stack[-1]
        match action:
            case "app.quit":
                self.leave(0)
            case "app.help" if shown.screen != "help":
                self._open("help", shown.screen)
            case "app.theme" if shown.screen != "themes":
                self._open("themes", None)
            case "app.plain":
                self._plain = self.enter_plain(self._call(lambda view: view.plain()) or self.canvas.text())
            case "app.refresh":
                self._do(self._call(lambda view: view.act(action)) or [AppEffect("refresh")])
            case "screen.run" if self.last_run is None:
                self.say("no run was opened yet: Enter on a row opens one")
            case "screen.run":
                self._go("run", self.last_run)
            case (
                "screen.floor" | "screen.runs" | "screen.sources" | "screen.timeline" | "screen.deadlines" | "screen.layers"
                | "screen.morning" | "screen.hosts" | "screen.actions"
            ):  # fmt: skip
                self._go(action.partition(".")[2])
            case "app.palette" if shown.screen != "palette":
                self._open("palette", None)
            case "app.card" if shown.screen != "card":
                self._open("card", self._call(lambda view: view.about()) or None)
            case "link.menu" if shown.screen not in ("links", "card"):
                self._open("links", self._call(lambda view: view.about()) or None)
            case "problem.first" if shown.screen != "floor":
                self._open("floor", None)
                self._do(self._call(lambda view: view.act(action)))
            case _:
                return False
        return True

    def _go(self, screen: str, arg: str | None = None) -> None:
        shown = self.stack[-1]
        if (shown.screen, shown.arg) == (screen, arg):
            self.say(f"this is {shown.view.title}")
        else:
            self._open(screen, arg)

    def _call(self, call: Callable[[View], Any]) -> Any:
        """Ask the view on top; what it raises is one sentence, and no reason to end."""
        try:
            return call(self.stack[-1].view)
        except Exception as error:
            log.error("%s failed on a key", self.stack[-1].screen, exc_info=error)
            self.say(sentence(error), "bad")
            return ()

    # --- effects ----------------------------------------------------------------------------------------------------

    def _do(self, effects: Iterable[Effect] | None, asker: View | None = None) -> None:
        asker = asker or (self.stack[-1].view if self.stack else None)
        for effect in effects or ():
            match effect:
                case Open(screen, arg):
                    self._open(screen, arg)
                case Back():
                    self._back(asker)
                case Request(do, body, tag):
                    self.link.request(do, body, lambda reply, error, tag=tag: self._answer(asker, tag, reply, error))
                case Copy(text, words):
                    self.say(self.copy_osc52(text, words))
                case Say(text, level):
                    self.say(text, level)
                case Quit():
                    self.leave(0)
                case AppEffect(what, arg):
                    self._app_effect(what, arg)

    def _app_effect(self, what: str, arg: str | None) -> None:
        match what:
            case "theme" if arg is not None:
                self._use_theme(arg)
            case "lofi" | "plain":
                self._plain = self.enter_plain(self._call(lambda view: view.plain()) or self.canvas.text())
            case "refresh":
                self.link.refresh()
            case "act" if arg is not None:  # the palette, closed again, lets the screen below do it
                if not self._own(arg):
                    self._do(self._call(lambda view: view.act(arg)))
            case _:
                log.warning("nothing is done for the app effect %s", what)

    def _answer(self, asker: View | None, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> None:
        if asker is None or not any(shown.view is asker for shown in self.stack):
            return  # the screen that asked is closed: a late answer to an old question
        with self.at_once():
            try:
                self._do(asker.answer(tag, reply, error), asker)
            except Exception as bug:
                log.error("the answer %s could not be shown", tag, exc_info=bug)
                self.say(sentence(bug), "bad")
            self.paint()

    def _open(self, screen: str, arg: str | None) -> None:
        """Show a screen; one that is on the stack with the same subject comes to the top as it was left."""
        if screen == "run" and arg is not None:
            self.last_run = arg
        found = next((s for s in self.stack if (s.screen, s.arg) == (screen, arg)), None)
        fresh = found is None or screen in (
            "plan",
            "waive",
            "bulk",
            "themes",
            "palette",
        )  # a plan is made anew: what it said may not be true any more
        if found is not None:
            self.stack.remove(found)
        if fresh:
            try:
                first, self._first_view = self._first_view, None
                found = Shown(screen, arg, first or self.make(screen, self.context, arg))
            except Exception as error:
                log.error("%s could not be opened", screen, exc_info=error)
                self.say(f"{screen} cannot be shown: {sentence(error)}", "bad")
                return
        assert found is not None
        found.view.under = self.stack[-1].view if self.stack else None
        self.stack.append(found)
        del self.stack[:-_DEPTH]
        self._load(found)
        self._next_watch = 0.0
        self.paint()
        if fresh and not found.broken:
            self._do(self._call(lambda view: view.begin()), found.view)

    def _back(self, asker: View | None) -> None:
        if len(self.stack) == 1:
            self.say(f"this is the first screen; {keymap.key_of('app.quit')} leaves")
        elif asker is None or self.stack[-1].view is asker:
            self.stack.pop()
            self._load(self.stack[-1])
            self._next_watch = 0.0
            self.paint()

    def _use_theme(self, name: str) -> None:
        """Put a theme on; the one in force stays where it cannot be read."""
        try:
            theme = load(name, self.context.extra["folder"])
        except ThemeError as error:
            self.say(str(error), "warn")
            return
        self.palette = Palette(theme)
        self.context.mono = theme.mono or theme.ansi
        self.context.extra["theme"] = theme.name
        self.canvas.use(self.palette)
