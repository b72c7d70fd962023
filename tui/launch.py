"""From a command line to a running screen: what is read before the first frame, and nothing more.

Before it stand textual, sqlite3 and our own light modules; whatever is slow to import or to ask waits behind it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import tomllib
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.request import EXIT_BAD_INPUT
from engine.store.reader import Reader, StoreMissing
from tui import keymap, pulse, registry, themes, views_file
from tui.cells import clean
from tui.early import Early, refusal
from tui.start import Place, lock_held, start_engine
from tui.view import Context, View

if TYPE_CHECKING:
    from tui.app import WatchfloorApp

FIRST_STORE = 10.0
"""Seconds that a first engine may take to make the store."""


def own_tables(place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """``[ui]`` and ``[keys]`` of the configuration; empty where it cannot be read (``check`` says what is wrong with it)."""
    try:
        if not place.config.is_file():  # a pipe would be waited for
            return {}, {}
        data = tomllib.loads(place.config.read_bytes().decode())
    except (OSError, ValueError):
        return {}, {}
    ui, keys = data.get("ui"), data.get("keys")
    return (ui if isinstance(ui, dict) else {}), (keys if isinstance(keys, dict) else {})


def run(args: Namespace, place: Place, screen: str, arg: str | None = None) -> int:
    """Open ``screen`` on this terminal; returns the exit code. StoreError where the store cannot be read."""
    sentence = refusal()
    if sentence is not None:
        with suppress(OSError, ValueError):
            print(f"watchfloor: {sentence}", file=sys.stderr or sys.stdout)
        return EXIT_BAD_INPUT
    _log_to(place)
    reader = Reader(place.store)
    if not _wait_for_store(reader, place):
        print(f"watchfloor: no store at {place.store}: {_last_words(place)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    ui, keys = own_tables(place)
    problem: str | None = None
    try:
        keymap.load_overrides(keys)
    except keymap.KeymapError as error:
        problem = f"[keys]: {error}"
    engine = reader.engine()
    context = Context(
        reader=reader,
        now=lambda: time.time_ns() // 1_000_000,
        timezone=engine.timezone if engine is not None else "UTC",
        ascii=bool(getattr(args, "ascii", False) or ui.get("ascii") or themes.needs_ascii(os.environ)),
        read_only=bool(getattr(args, "read_only", False)),
    )
    pulse.feel(context, engine, lock_held(place.lock))
    slow_link = bool(getattr(args, "slow_link", False))
    context.extra["slow_link"] = slow_link
    context.extra["views_file"] = views_file.place(os.environ)
    theme = themes.choose(getattr(args, "theme", None) or ui.get("theme"), os.environ, place.config.parent)
    early = Early()
    try:
        view = _first_frame(early, context, theme, screen, arg)
        from tui import terminal

        app = _app_class(screen)(
            context,
            registry.make,
            screen,
            arg,
            first=view,
            theme=theme,
            place=place,
            starts_engine=True,
            slow_link=slow_link,
            title="watchfloor" if ui.get("title") else None,
            bell=bool(ui.get("bell")),
        )
        app.early = early
        if problem:
            app.say(problem, "bad")
        code = terminal.run(app)
    finally:
        early.leave()
        reader.close()
    if code == 0 and lock_held(place.lock):
        row = app.last_engine
        print(f"engine {row.pid if row else ''} keeps watching".replace("  ", " "), file=sys.stderr)
    return code


def _first_frame(early: Early, context: Context, theme: themes.Theme, screen: str, arg: str | None) -> View | None:
    """Paint the view from the store, before Textual is imported; None where it cannot be, and the app says why."""
    context.mono = theme.mono or theme.ansi
    try:
        view = registry.make(screen, context, arg)
        view.load()
        lines = view.paint(*early.size)
    except Exception:
        logging.getLogger("watchfloor.tui").exception("the first frame failed")
        return None
    early.paint(lines, themes.Palette(theme))
    return view


def _app_class(screen: str) -> type[WatchfloorApp]:
    if screen == "wall":
        from tui.wall import WallApp

        return WallApp
    from tui.app import WatchfloorApp

    return WatchfloorApp


def _wait_for_store(reader: Reader, place: Place) -> bool:
    """The engine makes the store; on the very first start there is a moment to wait for it."""
    end = time.monotonic() + FIRST_STORE
    while True:
        try:
            reader.version()
        except StoreMissing:
            if time.monotonic() >= end:
                return False
            with suppress(OSError):
                start_engine(place)
            time.sleep(0.02)
        else:
            return True


def _last_words(place: Place) -> str:
    """The last line of the engine's log: why it did not start."""
    try:
        lines = place.engine_log.read_text("utf-8", "replace").strip().splitlines()
    except OSError as error:
        return f"the engine could not be started ({error.strerror or error})"
    return f"the engine says: {clean(lines[-1])[:300]}" if lines else f"the engine said nothing in {place.engine_log}"


def _log_to(place: Place) -> None:
    """Warnings and bugs of the screen go to ``tui.log`` beside the engine's log; never to the terminal that is drawn on."""
    logger = logging.getLogger("watchfloor.tui")
    logger.propagate = False
    if logger.handlers:
        return
    try:
        handler: logging.Handler = logging.FileHandler(
            place.state / "tui.log", encoding="utf-8", errors="backslashreplace", delay=True
        )
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.raiseExceptions = False  # a full disk must not write a traceback over the screen
    logger.addHandler(handler)
