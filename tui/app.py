"""The app: one view at a time on one canvas. Reads the store, hands keys to the view, carries its wishes out.

Nothing here waits for anything remote: requests run beside the loop of keys and paint, answers come back as calls.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult

from engine.request import RequestError
from engine.store.rows import EngineRow
from tui import keymap
from tui.cells import clean
from tui.client import Client, NoEngine
from tui.start import Place, lock_held
from tui.terminal import TerminalApp
from tui.themes import Palette, Theme, ThemeError, load, names
from tui.view import App as AppEffect
from tui.view import Back, Context, Copy, Effect, Line, Open, Quit, Request, Say, View
from tui.widgets.canvas import Canvas

log = logging.getLogger("watchfloor.tui")

POLL = 0.05
"""Seconds between looks at the store's version (1.6 µs each)."""
LOAD_SHARE = 8
"""A view that takes long to load is loaded less often: at most this share of the time, but within LOAD_LATEST."""
LOAD_LATEST = 0.15
WATCH_EVERY = 2.0
SILENT_MS = 60_000
SAY_FOR = {"info": 4.0, "warn": 6.0, "bad": 8.0}
_SAY_STYLE = {"info": "text b", "warn": "run-late b", "bad": "run-failed b"}
_EDIT = {
    "backspace", "delete", "left", "right", "home", "end", "up", "down", "ctrl+u", "ctrl+w", "ctrl+k", "ctrl+a", "ctrl+e", "ctrl+h",
}  # fmt: skip
_DEPTH = 30

MakeView = Callable[[str, Context, str | None], View]


@dataclass(slots=True)
class Shown:
    """A view on the stack, and what became of it."""

    screen: str
    arg: str | None
    view: View
    broken: str | None = None
    loaded: dict[str, int] = field(default_factory=dict[str, int])


class WatchfloorApp(TerminalApp):
    """``make`` builds a view by name (``tui.registry.make``); ``place`` is where engine, socket and store lie, if anywhere."""

    CSS = "Screen { background: transparent; }"
    acts: ClassVar[bool] = True
    """Whether keys reach views and requests reach the engine; not on a wall."""

    def __init__(
        self,
        context: Context,
        make: MakeView,
        start: str = "floor",
        arg: str | None = None,
        *,
        theme: Theme,
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
        self.starts_engine = starts_engine
        self.palette = Palette(theme)
        context.mono = theme.mono or theme.ansi
        context.extra["slow_link"] = slow_link
        self.canvas = Canvas(self.palette)
        self.client = Client(place.socket, place.store) if place is not None and self.acts else None
        self.stack: list[Shown] = []
        self.last_run: str | None = None
        self.last_engine: EngineRow | None = None
        self.said: tuple[str, str, float] | None = None
        self._first = (start, arg)
        self._size_: tuple[int, int] = (0, 0)
        self._version: object = None
        self._topics: dict[str, int] = {}
        self._next_load = 0.0
        self._next_second = 0.0
        self._next_watch = 0.0
        self._plain = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll_timer: asyncio.TimerHandle | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.canvas

    def terminal_ready(self) -> None:
        """The terminal is ours and Textual has not begun yet: the first frame comes from the store alone."""
        if self.direct:
            self.canvas.pens, self.canvas.encoding = self.pens, self.encoding
            self.canvas.paint_cells = self.paint_cells
        driver = self._driver
        if driver is not None and hasattr(driver, "writer"):
            size = os.get_terminal_size(2)
            self._resized(size.columns, size.lines)

    def on_mount(self) -> None:
        self.animation_level = "none"
        if not self._size_[0]:
            self._resized(self.size.width, self.size.height)
        self._poll()
        if self.place is not None:
            self._in_background(self._meet_engine())

    async def on_unmount(self) -> None:
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self.client is not None:
            await self.client.close()

    def _resized(self, width: int, height: int) -> None:
        if (width, height) == self._size_ or width < 1 or height < 1:
            return
        self._size_ = (width, height)
        if not self.stack:
            self._open(*self._first)
        self.paint()

    async def on_event(self, event: events.Event) -> None:
        """Keys come here and go no further: no focus, no bindings, no bubbling between a key and its paint."""
        if isinstance(event, events.Key):
            with self.at_once():
                self.key(event.key, event.character if event.is_printable else None)
        elif isinstance(event, events.Paste):
            with self.at_once():
                self._do(self._ask_view(lambda view: view.paste(event.text)))
                self.paint()
        else:
            await super().on_event(event)
            if isinstance(event, events.Resize):
                self._resized(event.size.width, event.size.height)

    # --- the store ----------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """20 times a second: has the store changed? Once a second: ages, the engine's pulse, what we look at."""
        now = time.monotonic()
        self._poll_timer = asyncio.get_running_loop().call_later(POLL, self._poll)
        try:
            version = self.context.reader.version()
            if version != self._version and now >= self._next_load:
                self._version = version
                self._changed()
            if now >= self._next_second:
                self._next_second = now + 1.0 if now - self._next_second > 1.0 else self._next_second + 1.0
                self._second(now)
        except Exception as error:
            log.error("looking at the store failed", exc_info=error)
            self.say(_sentence(error), "bad")

    def _changed(self) -> None:
        topics = dict(self.context.reader.topics())
        moved = {topic for topic, version in topics.items() if self._topics.get(topic) != version}
        self._topics = topics
        if "engine" in moved:
            self._pulse()
        if self.stack and (moved & self.stack[-1].view.topics or self.stack[-1].broken):
            self._load(self.stack[-1])
            self.paint()

    def _second(self, now: float) -> None:
        self._pulse()
        if self.said is not None and now >= self.said[2]:
            self.said = None
        shown = self.stack[-1] if self.stack else None
        if shown is not None and getattr(shown.view, "ticks", False):
            self._load(shown)
        if shown is not None and now >= self._next_watch:
            self._watch(shown.view)
        self.paint()

    def _pulse(self) -> None:
        """Alive is who holds the lock and gave a sign of life within a minute."""
        row = self.last_engine = self.context.reader.engine()
        held = lock_held(self.place.lock) if self.place is not None else row is not None and row.stopped is None
        silent = row is not None and self.context.now() - row.heartbeat > SILENT_MS
        self.context.engine_alive = held and not silent
        ended = row is not None and row.stopped is not None and row.stopped >= row.heartbeat
        self.context.engine_silent_since = (
            row.heartbeat if row is not None and not self.context.engine_alive and not ended else None
        )

    def _load(self, shown: Shown) -> None:
        start = time.monotonic()
        try:
            shown.view.load()
            shown.broken = None
        except Exception as error:
            log.error("%s could not be read", shown.screen, exc_info=error)
            shown.broken = _sentence(error)
        took = time.monotonic() - start
        self._next_load = start + min(took * LOAD_SHARE, LOAD_LATEST)

    # --- paint --------------------------------------------------------------------------------------------------------

    def paint(self) -> None:
        """The view's lines to the canvas, which sends what changed. A view that raises shows one sentence in its place."""
        width, height = self._size_
        if not self.stack or not width or self._plain:
            return
        shown = self.stack[-1]
        lines: Sequence[Line]
        if shown.broken is None:
            try:
                lines = shown.view.paint(width, height)
            except Exception as error:
                log.error("%s could not be painted", shown.screen, exc_info=error)
                lines = _broken(shown, _sentence(error))
        else:
            lines = _broken(shown, shown.broken)
        if self.said is not None:
            text, level, _ = self.said
            lines = [
                *lines[: height - 1],
                *[()] * (height - 1 - len(lines)),
                [(f" {text}", f"{_SAY_STYLE.get(level, 'text')} on:surface")],
            ]
        self.canvas.show(lines, width, height)

    def say(self, text: str, level: str = "info") -> None:
        """One sentence in the last row for a few seconds."""
        self.said = (clean(text), level, time.monotonic() + SAY_FOR.get(level, 4.0))
        if level == "bad" and self.rings:
            self.bell()
        self.paint()

    # --- keys ---------------------------------------------------------------------------------------------------------

    def key(self, key: str, character: str | None) -> None:
        """A key to the open field, or by the keymap to the view or to the app."""
        if self._plain:
            self._plain = False
            self.leave_plain()
            self.paint()
            return
        if not self.stack:
            return
        if self._typed(key, character):
            self.paint()
            return
        view = self.stack[-1].view
        action = keymap.resolve(view.contexts, key)
        if key == "ctrl+c" and action is None:
            action = "app.quit"
        if action is None:
            return
        if not self._own(action):
            self._do(self._ask_view(lambda view: view.act(action)))
        self.paint()

    def _typed(self, key: str, character: str | None) -> bool:
        """Give the key to an open field; False where none is open, or it does not take this one."""
        text = character if character is not None else f"edit.{key.replace('ctrl+', 'ctrl_')}" if key in _EDIT else None
        if text is None:
            return False
        effects = self._ask_view(lambda view: view.type(text))
        if effects is None:
            return False
        self._do(effects)
        return True

    def _own(self, action: str) -> bool:
        """What the app does itself, wherever the key is pressed."""
        shown = self.stack[-1]
        match action:
            case "app.quit":
                self.leave(0)
            case "app.help" if shown.screen != "help":
                self.context.extra["help"] = {
                    "screen": shown.screen,
                    "title": shown.view.title,
                    "contexts": shown.view.contexts,
                }
                self._open("help", shown.screen)
            case "app.theme":
                self._next_theme()
            case "app.plain":
                self._show_plain()
            case "app.refresh":
                self._in_background(self._refresh())
            case "screen.run":
                if self.last_run is None:
                    self.say("no run was opened yet: Enter on a row opens one")
                else:
                    self._open("run", self.last_run)
            case "screen.floor" | "screen.runs" | "screen.sources":
                self._open(action.partition(".")[2], None)
            case "problem.first" if shown.screen != "floor":
                self._open("floor", None)
                self._do(self._ask_view(lambda view: view.act(action)))
            case _:
                return False
        return True

    def _ask_view(self, call: Callable[[View], Any]) -> Any:
        try:
            return call(self.stack[-1].view)
        except Exception as error:
            log.error("%s failed on a key", self.stack[-1].screen, exc_info=error)
            self.say(_sentence(error), "bad")
            return ()

    # --- effects --------------------------------------------------------------------------------------------------------

    def _do(self, effects: Iterable[Effect] | None, asker: View | None = None) -> None:
        asker = asker or (self.stack[-1].view if self.stack else None)
        for effect in effects or ():
            match effect:
                case Open(screen, arg):
                    self._open(screen, arg)
                case Back():
                    self._back(asker)
                case Request(do, body, tag):
                    self._in_background(self._request(asker, do, body, tag))
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
            case "theme":
                self._next_theme(arg)
            case "lofi" | "plain":
                self._show_plain()
            case "start-engine" | "refresh":
                self._in_background(self._refresh())
            case "bell":
                if self.rings:
                    self.bell()
            case "title":
                self.set_title(arg or "watchfloor")
            case _:
                log.warning("nothing is known of the app effect %s", what)

    def _open(self, screen: str, arg: str | None) -> None:
        """Show a screen; one that is on the stack with the same subject comes to the top as it was left."""
        if screen == "run" and arg is not None:
            self.last_run = arg
        found = next((s for s in self.stack if (s.screen, s.arg) == (screen, arg)), None)
        if found is not None:
            self.stack.remove(found)
        else:
            try:
                found = Shown(screen, arg, self.make(screen, self.context, arg))
            except Exception as error:
                log.error("%s could not be opened", screen, exc_info=error)
                self.say(f"{screen} cannot be shown: {_sentence(error)}", "bad")
                return
        self.stack.append(found)
        del self.stack[:-_DEPTH]
        self._shown()

    def _back(self, asker: View | None) -> None:
        if len(self.stack) > 1 and (asker is None or self.stack[-1].view is asker):
            self.stack.pop()
            self._shown()

    def _shown(self) -> None:
        self._load(self.stack[-1])
        self._next_watch = 0.0
        self.paint()

    def _next_theme(self, wanted: str | None = None) -> None:
        folder = self.place.config.parent if self.place is not None else None
        known = names(folder)
        here = self.palette.theme.name
        name = wanted or known[(known.index(here) + 1) % len(known) if here in known else 0]
        try:
            theme = load(name, folder)
        except ThemeError as error:
            self.say(str(error), "warn")
            return
        self.palette = Palette(theme)
        self.context.mono = theme.mono or theme.ansi
        self.canvas.use(self.palette)
        self.say(f'theme {name} · [ui] theme = "{name}" keeps it')

    def _show_plain(self) -> None:
        """The rows as bare text on the terminal's ordinary screen, for its own selection, scrolling and search."""
        text = "\n".join("".join(part for part, _ in line).rstrip() for line in self.canvas.lines).rstrip()
        self._plain = self.enter_plain(f"{clean_lines(text)}\n\n-- any key: back to the screen --")

    # --- the engine -----------------------------------------------------------------------------------------------------

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _meet_engine(self) -> None:
        """After the first frame: find the engine, or start one where none runs."""
        if self.starts_engine:
            await self._start_engine()
        if self.client is not None:
            try:
                await self.client.connect(10.0)
            except NoEngine as error:
                self.say(str(error), "warn")

    async def _start_engine(self) -> None:
        from tui.start import start_engine

        assert self.place is not None
        try:
            start_engine(self.place)
        except OSError as error:
            self.say(
                f"no engine can be started: {error.strerror or error} ({error.filename or self.place.engine_log})",
                "bad",
            )

    async def _refresh(self) -> None:
        if self.place is None or self.client is None:
            return
        if not lock_held(self.place.lock):
            self.say("starting an engine …")
            await self._start_engine()
        try:
            await self.client.ask("poll", patience=10.0)
            self.say("every source is being asked now")
        except (NoEngine, RequestError) as error:
            self.say(str(error), "warn")

    async def _request(self, asker: View | None, do: str, body: dict[str, Any], tag: str) -> None:
        reply: dict[str, Any] | None = None
        error: dict[str, str] | None = None
        try:
            if self.client is None:
                raise NoEngine("this screen cannot act")
            reply = await self.client.ask(do, body, patience=1.0)
        except NoEngine as gone:
            error = {"code": "no_engine", "message": str(gone), "hint": ""}
        except RequestError as refused:
            error = {"code": refused.code, "message": refused.message, "hint": refused.hint}
        if asker is None or not any(shown.view is asker for shown in self.stack):
            return
        with self.at_once():
            try:
                self._do(asker.answer(tag, reply, error), asker)
            except Exception as bug:
                log.error("the answer to %s could not be shown", do, exc_info=bug)
                self.say(_sentence(bug), "bad")
            self.paint()

    def _watch(self, view: View) -> None:
        """Tell the engine what is being looked at; it forgets by itself after some seconds."""
        self._next_watch = time.monotonic() + WATCH_EVERY
        body = self._ask_view(lambda view: view.watch())
        if body and self.client is not None and self.context.engine_alive:
            self._in_background(self._send_watch(dict(body)))

    async def _send_watch(self, body: dict[str, Any]) -> None:
        assert self.client is not None
        try:
            await self.client.ask("watch", body)
        except (NoEngine, RequestError) as error:
            log.info("watch: %s", error)


def _sentence(error: Exception) -> str:
    text = clean(" ".join(str(error).split()))[:300]
    known = type(error).__name__ in ("ReaderError", "NoEngine", "RequestError", "KeymapError")
    return (
        text
        if known and text
        else f"{type(error).__name__}{': ' if text else ''}{text} (a bug of ours; the log has more)"
    )


def clean_lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.split("\n"))


def _broken(shown: Shown, sentence: str) -> list[Line]:
    """In place of a view that cannot be read or painted."""
    return [
        [(f" {shown.screen} ", "b on:surface"), ("", "on:surface")],
        [(" ", ""), ("this screen cannot be shown", "run-failed b")],
        [(" ", ""), (sentence, "text")],
        [("", "")],
        [
            (" ", ""),
            ("-", "key b"),
            (" back   ", "dim"),
            ("1", "key b"),
            (" Floor   ", "dim"),
            ("q", "key b"),
            (" quit", "dim"),
        ],
    ]


def run(args: Any, place: Place, screen: str, arg: str | None = None) -> int:
    """Open a screen on this terminal; see ``tui.launch.run``."""
    from tui import launch

    return launch.run(args, place, screen, arg)
