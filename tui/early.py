"""The first frame, before Textual is imported: half of a start is spent on importing it, and the truth need not wait.

The view paints from the store, its cells go to the terminal, and ``tui.terminal`` takes over what stands there: the same
shadow, so that nothing is sent twice. Until then the terminal echoes nothing and Ctrl+C works; ``leave`` gives it back.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.color import ColorSystem

from tui.cells import Pens, Row, Shadow, fit, row_of
from tui.themes import Palette

ENTER = "\x1b[?1049h"
"""The alternate screen; xterm clears it each time, so it is sent once."""
_SYSTEMS = {"256color": ColorSystem.EIGHT_BIT, "kitty": ColorSystem.EIGHT_BIT, "direct": ColorSystem.TRUECOLOR}


def refusal(stdin: Any = None, stderr: Any = None) -> str | None:
    """Why no screen can be shown here, in one sentence; None when stdin and stderr are a terminal.

    Textual reads stdin and draws on stderr, so these two count; stdout may be anything.
    """
    for stream, name in (
        (sys.__stdin__ if stdin is None else stdin, "standard input"),
        (sys.__stderr__ if stderr is None else stderr, "standard error"),
    ):
        try:
            usable = stream is not None and os.isatty(stream.fileno())
        except (OSError, ValueError):
            usable = False
        if not usable:
            closed = stream is None or stream.closed
            return (
                f"the screen needs a terminal, but {name} is {'closed' if closed else 'not one'}: "
                "'watchfloor show floor' prints the same as text"
            )
    return None


def terminal_size() -> tuple[int, int]:
    """Columns and lines of the terminal that is drawn on (stderr), else of stdin, else 80 by 24."""
    for fd in (2, 0):
        with suppress(OSError):
            columns, lines = os.get_terminal_size(fd)
            if columns and lines:
                return columns, lines
    return 80, 24


def terminal_encoding() -> str | None:
    """The encoding that the terminal is written in; None when that is UTF-8 and carries everything."""
    name = (getattr(sys.__stderr__, "encoding", None) or "utf-8").lower()
    return None if name.replace("-", "") == "utf8" else name


def color_system(environ: Mapping[str, str]) -> ColorSystem | None:
    """How many colours this terminal says it has."""
    term = environ.get("TERM", "").lower()
    if term in ("dumb", "unknown"):
        return None
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return ColorSystem.TRUECOLOR
    return _SYSTEMS.get(term.rpartition("-")[2], ColorSystem.STANDARD)


def erases_in_ground(term: str) -> bool:
    """Terminals that erase in the current ground colour (terminfo ``bce``). GNU screen and the old ones do not."""
    known = (
        "xterm",
        "tmux",
        "linux",
        "rxvt",
        "konsole",
        "gnome",
        "vte",
        "alacritty",
        "foot",
        "kitty",
        "wezterm",
        "st-",
    )
    return term.startswith(known)


def new_shadow(environ: Mapping[str, str]) -> Shadow:
    return Shadow(Pens(color_system(environ)), erases=erases_in_ground(environ.get("TERM", "")))


class Early:
    """A screen that stands before there is an app. ``shadow`` is what was painted, ``attrs`` how the terminal was."""

    def __init__(self) -> None:
        self.shadow = new_shadow(os.environ)
        self.size = terminal_size()
        self.attrs: list[Any] | None = None
        self.entered = False

    def paint(self, lines: Sequence[Sequence[tuple[str, str]]], palette: Palette) -> None:
        """Take the screen and paint these lines. A terminal that does not take them at once is left to the app."""
        width, height = self.size
        encoding = terminal_encoding()
        rows: list[Row] = []
        for line in [*lines[:height], *[()] * (height - len(lines))]:
            spans = [(text, palette.style(name)) for text, name in fit(line, width)]
            rows.append(row_of(spans, self.shadow.pens, encoding))
        text = f"{ENTER}\x1b[?25l\x1b[?7l{self.shadow.update(rows)}"
        with suppress(termios.error):
            self.attrs = termios.tcgetattr(0)
            quiet = termios.tcgetattr(0)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            quiet[0] &= ~termios.ICRNL  # an Enter that is pressed now is read by the app, as an Enter
            termios.tcsetattr(0, termios.TCSANOW, quiet)
        self.entered = True
        data = text.encode(encoding or "utf-8", "replace")
        while data:
            data = data[os.write(2, data) :]

    def leave(self) -> None:
        """Give the terminal back as it was; after an app has taken over there is nothing left to do."""
        if not self.entered:
            return
        self.entered = False
        with suppress(OSError):
            os.write(2, b"\x1b[m\x1b[?7h\x1b[?1049l\x1b[?25h")
        if self.attrs is not None:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self.attrs)
