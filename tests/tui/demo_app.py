"""A small app for tests of the terminal: a View whose rows a test can move from outside, and a store that is a file.

Run as ``python -m tests.tui.demo_app FOLDER``; the folder holds ``value`` (text that is shown and polled), ``rows``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tui.view import App, Back, Context, Copy, Effect, Line, Open, Quit, Request, Say, View

HOSTILE = (
    "esc \x1b[2J\x1b[31mred\x1b]0;owned\x07 end",
    "c1 \x9b2J and nul \x00 tab \t bell \x07 return \r\n",
    "wide 日本語の表 and ｆｕｌｌ",
    "rtl \u202eevil\u202c שלום مرحبا",
    "marks z\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309 zwj 👩\u200d👩\u200d👧 flag 🇫🇷 vs ✓\ufe0f",
    "surrogate \ud83d half \udc80",
    "x" * 10_000,
    "日" * 10_000,
    "markup [bold red]not bold[/] [link=x]",
)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class FileReader:
    """The part of a Reader that the app uses, on a file: its change of time is the version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topics_asked = 0

    def version(self) -> int:
        try:
            return (self.folder / "value").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def topics(self) -> dict[str, int]:
        self.topics_asked += 1
        return {"run": self.version()}

    def engine(self) -> None:
        return None

    def trouble(self) -> None:
        return None

    def room(self) -> None:
        return None

    def close(self) -> None:
        pass

    @property
    def value(self) -> str:
        try:
            return (self.folder / "value").read_text()
        except FileNotFoundError:
            return "-"


class DemoView(View):
    """Rows ``row N`` with a cursor; line 1 shows the file's value."""

    name: ClassVar[str] = "floor"
    title: ClassVar[str] = "Demo"
    contexts: ClassVar[tuple[str, ...]] = ("floor", "list", "global")
    topics: ClassVar[frozenset[str]] = frozenset({"run"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.arg = arg
        self.cursor = 0
        self.count = 100_000
        self.value = "?"
        self.loads = 0
        self.field: str | None = None
        self.answers: list[Any] = []

    def load(self) -> None:
        self.loads += 1
        self.value = self.context.reader.value  # type: ignore[attr-defined]
        if self.value == "raise":
            raise ValueError("the store is upside down")

    def paint(self, width: int, height: int) -> list[Line]:
        if self.value == "paint":
            raise KeyError("no such cell")
        if width < 20 or height < 5:
            return [[(f"{self.value}", "run-failed b")]] * height
        top = max(0, self.cursor - height + 4)
        state = [("✗ failed ", "run-failed b"), ("► running", "run-running"), ("✓ ok     ", "run-ok")]
        lines: list[Line] = [
            [(f" {self.title} {self.name} {self.arg or ''} ", "band-prod-fg on:band-prod-bg b"), (" " * 20, "text")],
            [(f" value {self.value} ", "text b"), (f"cursor {self.cursor} field {self.field}", "dim")],
        ]
        for index in range(top, top + height - 3):
            glyph, style = state[index % 3]
            ground = " on:cursor-bg" if index == self.cursor else ""
            shift = len(self.value) % 26 if self.value.startswith("all") else None
            if shift is not None:  # every cell of every row is another one for each length of the value
                lines.append([((ALPHABET * 5)[shift : shift + width], f"text{ground}")])
                continue
            text = HOSTILE[index] if self.value == "hostile" and index < len(HOSTILE) else f"pipeline_{index:06}"
            lines.append(
                [
                    (f" {glyph} ", style + ground),
                    (text, f"text{ground}"),
                    (" " * 10, f"dim{ground}"),
                    ("|", f"rule{ground}"),
                ]
            )
        lines.append([(" q quit", "key b on:surface")])
        return lines

    def act(self, action: str) -> Sequence[Effect]:
        match action:
            case "move.down":
                self.cursor += 1
            case "move.up":
                self.cursor = max(0, self.cursor - 1)
            case "move.page_down":
                self.cursor += 30
            case "list.open":
                return [Open("runs", f"pipeline_{self.cursor}")]
            case "nav.back":
                return [Back()]
            case "list.filter":
                self.field = ""
            case "run.log":
                return [Copy("some text", "one line")]
            case "run.rerun":
                return [Request("plan", {"verb": "rerun", "key": "a:b"}, "tag")]
            case "run.stop":
                raise RuntimeError("this key is broken")
            case "run.history":
                return [Say("a sentence", "warn")]
            case "app.quit":
                return [Quit()]
            case "list.sort":
                return [App("theme")]
        return ()

    def type(self, text: str) -> Sequence[Effect] | None:
        if self.field is None:
            return None
        if text.startswith("edit."):
            self.field = self.field[:-1] if text == "edit.backspace" else self.field
        else:
            self.field += text
        return ()

    def paste(self, text: str) -> Sequence[Effect]:
        self.field = (self.field or "") + text
        return ()

    def answer(self, tag: str, reply: dict[str, Any] | None, error: dict[str, str] | None) -> Sequence[Effect]:
        self.answers.append((tag, reply, error))
        return [Say(f"answer {tag} {reply or error}")]


class RunsView(DemoView):
    name: ClassVar[str] = "runs"
    title: ClassVar[str] = "Runs"


def make(name: str, context: Context, arg: str | None = None) -> View:
    return {"floor": DemoView, "runs": RunsView}[name](context, arg)


def build(folder: Path, **more: Any) -> Any:
    from tui import themes
    from tui.app import WatchfloorApp

    context = Context(reader=FileReader(folder), now=lambda: time.time_ns() // 1_000_000)  # type: ignore[arg-type]
    context.ascii = themes.needs_ascii(os.environ)
    theme = themes.choose(os.environ.get("THEME"), os.environ)
    return WatchfloorApp(context, make, "floor", None, theme=theme, **more)


if __name__ == "__main__":
    from tui import terminal

    app = build(
        Path(sys.argv[1]), slow_link="--slow-link" in sys.argv, title="watchfloor" if "--title" in sys.argv else None
    )
    sys.exit(terminal.run(app))
