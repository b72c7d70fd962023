"""``watchfloor logs FILE…`` and ``… | watchfloor logs -``: the log screen over files and pipes. No engine, no store, no configuration needed."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from engine.request import EXIT_BAD_INPUT, EXIT_OK
from engine.store.reader import Reader
from engine.store.rows import Counts
from tui.log.desk import LogDesk
from tui.log.merge import MARK, Member, Merged
from tui.log.source import Pipe, Source, open_source
from tui.present import words
from tui.present.cut import clean, cut_middle
from tui.present.lines import ends, fit, merge
from tui.view import Context, Effect, Line, Say, Span, View

if TYPE_CHECKING:
    from tui.start import Place

LOOK_S = 0.2
FIRST_S = 0.2
"""How long the first frame waits for the first bytes of a pipe."""


class NoStore(Reader):
    """A reader of nothing, for screens that ask one."""

    def __init__(self) -> None:
        super().__init__(os.devnull)

    def version(self) -> int:
        return 0

    def topics(self) -> dict[str, int]:
        return {}

    def engine(self) -> None:
        return None

    def sources(self, gone: bool = False) -> list[Any]:
        return []

    def gauges(self, names: Any = "", past: int = 0, also: str | None = None) -> list[Any]:
        return []

    def counts(self) -> Counts:
        return Counts({}, 0, 0, 0, 0, 0)

    def armed(self) -> list[Any]:
        return []

    def all(self, sql: str, values: Any = ()) -> list[Any]:
        return []

    def one(self, sql: str, values: Any = ()) -> Any:
        return None

    def close(self) -> None:
        pass


class FilesView(LogDesk):
    """Files, pipes, or several of them by time."""

    name: ClassVar[str] = "log"
    title: ClassVar[str] = "Log"
    topics: frozenset[str] = frozenset()

    def __init__(self, context: Context, sources: Sequence[Source]) -> None:
        super().__init__(context)
        self.sources = list(sources)
        self.at = 0
        self._opened = False

    def load(self) -> None:
        if self._opened:
            return
        self._opened = True
        if len(self.sources) > 1:
            self.start_merge(self.members())
        else:
            self.open_source(self.sources[0])

    def members(self) -> list[Member]:
        began = [_begun(source) for source in self.sources]
        return [Member(os.path.basename(s.path) or s.path, s, at) for s, at in zip(self.sources, began, strict=True)]

    def next_part(self) -> Sequence[Effect]:
        if len(self.sources) < 2:
            return [Say("there is one log here")]
        self.at = (self.at + 1) % len(self.sources)
        self.merged = self.single = None
        self.open_source(self.sources[self.at])
        return ()

    def _merge_all(self) -> None:
        self.start_merge(self.members())

    def act(self, action: str) -> Sequence[Effect]:
        if action == "log.merge" and len(self.sources) > 1 and self.single is None:
            if self.merged is not None:  # it was opened merged: one of them alone now
                self.merged = None
                self.open_source(self.sources[self.at])
                return [Say(f"{clean(self.sources[self.at].path)} alone")]
            self._merge_all()
            return [Say(f"{words.many(len(self.sources), 'log')} by time")]
        return super().act(action)

    @property
    def ended(self) -> bool:
        shown = self.merged.members if self.merged is not None else ()
        if shown:
            return all(m.source.ended for m in shown)
        return self.sources[self.at].ended

    def band(self, width: int) -> Line:
        now = time.localtime()
        clock = time.strftime("%H:%M" if width < 110 else "%a %d %b  %H:%M", now)
        said = (
            "reading a pipe"
            if any(isinstance(s, Pipe) and not s.ended for s in self.sources)
            else "files alone, no engine"
        )
        line = ends([(f" {self.title} ", "text b"), (f" {said}", "dim")], [(clock, "text")], width)
        return merge((t, f"{s} on:surface".strip()) for t, s in line)

    def about_row(self, width: int, right: list[Span]) -> Line:
        if self.merged is not None:
            names = f"{len(self.sources)} logs by time"
        else:
            names = cut_middle(clean(self.sources[self.at].path), max(width // 2, 10))
            if len(self.sources) > 1:
                names += f"  {self.at + 1} of {len(self.sources)}"
        return ends([(" ", ""), (names, "text b")], right, width)

    def empty(self, width: int) -> list[Line]:
        source = self.sources[self.at]
        if isinstance(source, Pipe):
            said = "the pipe ended without a byte" if source.ended else "nothing came through the pipe yet"
        else:
            said = "the file is empty" + (f" ({clean(source.notice)})" if source.notice else "")
        more = "" if self.ended else "what is written comes into view by itself"
        rows = [("  Nothing to read: ", "dim"), (said, "text b")]
        return [[(" " * width, "")], fit(rows, width), fit([("  ", ""), (more, "dim")], width)]

    def end_words(self) -> str:
        source = self.page.text.source if self.page is not None else self.sources[self.at]
        said = "end of log" if self.ended else "end of log so far"
        return f"{said} · {clean(source.notice)}" if source.notice else said

    def save_name(self) -> str:
        return (
            "merged.log"
            if self.merged is not None
            else f"{os.path.basename(self.sources[self.at].path).strip('<>')}.saved"
        )

    def key(self) -> str:
        return "" if self.merged is not None else self.sources[self.at].path


def _begun(source: Source) -> int:
    """When a log without stamps may have begun: when its file was written last is the best that is known."""
    with suppress(OSError):
        return int(os.fstat(source.fd).st_mtime * 1000)
    return 0


# --- from the command line ------------------------------------------------------------------------------------------


def logs(args: Namespace, names: Sequence[str], place: Callable[[], Place]) -> int:
    """Open the screen over them, or print them where stdout is no terminal; returns the exit code."""
    if names.count("-") > 1:
        return _fail("- is standard input, and can be read once only")
    if "-" in names and (sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()):
        return _fail("standard input is a terminal: pipe a log into it, as in: journalctl -f | watchfloor logs -")
    shown = sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()
    if shown and "-" in names and not _keys_from_terminal():
        return _fail("there is no terminal to read keys from (/dev/tty); to print instead: … | watchfloor logs - | cat")
    sources: list[Source] = []
    for name in names:
        try:
            sources.append(Pipe(_stdin(shown), "<stdin>") if name == "-" else open_source(name))
        except OSError as error:
            return _fail(f"{name}: {error.strerror}")
    return _screen(args, sources, place) if shown else _print(sources, bool(args.follow))


_piped = -1


def _keys_from_terminal() -> bool:
    """Put the terminal in the place of standard input, and the pipe that was there aside."""
    global _piped
    try:
        keys = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    _piped = os.dup(0)
    os.dup2(keys, 0)
    os.close(keys)
    return True


def _stdin(aside: bool) -> int:
    return _piped if aside else os.dup(0)


def _fail(message: str) -> int:
    print(f"watchfloor: {message}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _zone() -> str:
    _, mark, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return os.environ.get("TZ", "").strip(":") or (name if mark else "UTC")


def _screen(args: Namespace, sources: list[Source], place: Callable[[], Place]) -> int:
    from tui import keymap, themes
    from tui.early import Early, refusal

    sentence = refusal()
    if sentence is not None:
        return _fail(sentence)
    ui: dict[str, Any] = {}
    folder: Path | None = None
    problem: str | None = None
    try:
        from tui.launch import own_tables

        where = place()
        folder = where.config.parent
        ui, keys = own_tables(where)
        keymap.load_overrides(keys)
    except keymap.KeymapError as error:
        problem = f"[keys]: {error}"
    except OSError:
        folder = None  # no home to look in: the defaults do
    try:
        theme = themes.choose(
            getattr(args, "theme", None) or ui.get("theme"), os.environ, folder or Path("/nonexistent")
        )
    except themes.ThemeError as error:
        return _fail(str(error))
    context = Context(
        reader=NoStore(),
        now=lambda: time.time_ns() // 1_000_000,
        timezone=_zone(),
        ascii=bool(getattr(args, "ascii", False) or ui.get("ascii") or themes.needs_ascii(os.environ)),
        mono=theme.mono or theme.ansi,
    )
    view = FilesView(context, sources)
    for source in sources:
        if isinstance(source, Pipe):
            source.came.wait(FIRST_S)
            source.look()
    early = Early()
    try:
        view.load()
        early.paint(view.paint(*early.size), themes.Palette(theme))
        from tui import registry, terminal
        from tui.log.app import LogApp

        def make(name: str, context: Context, arg: str | None) -> View:
            return view if name == "log" else registry.make(name, context, arg)

        app = LogApp(context, make, "log", None, theme=theme, first=view)
        app.slow_link = bool(getattr(args, "slow_link", False))
        app.early = early
        if problem:
            app.say(problem, "bad")
        return terminal.run(app)
    finally:
        early.leave()


def _print(sources: list[Source], follow: bool) -> int:
    """Bytes as they are; several logs by time, each line with its name. Ends with the pipes, or with Ctrl+C when following."""
    out = sys.stdout.buffer
    merged: Merged | None = None
    if len(sources) > 1:
        merged = Merged([Member(os.path.basename(s.path) or s.path, s, _begun(s)) for s in sources])
        for source in sources:  # a merge by time needs all of what is there
            while isinstance(source, Pipe) and not source.ended and not follow:
                source.came.wait(LOOK_S)
                source.look()
            if not follow:
                source.ended = True
    shown: Source = merged or sources[0]
    generation, at = shown.generation, 0
    try:
        while True:
            if merged is not None:
                merged.look()
                for _ in merged.feed():
                    pass
            shown.look()
            if shown.generation != generation:
                generation, at = shown.generation, 0
            while at < shown.size:
                data = shown.read(at, 1 << 16)
                if not data:
                    break
                if merged is not None:
                    cut = data.rfind(b"\n") + 1 or len(data)
                    data = data[:cut]
                at += len(data)
                out.write(_named(data, merged) if merged is not None else data)
            out.flush()
            pipes = any(isinstance(s, Pipe) and not s.ended for s in sources)
            if not pipes and (not follow or all(s.ended for s in sources)):
                return EXIT_OK
            time.sleep(LOOK_S / 4 if pipes else LOOK_S)
    except KeyboardInterrupt:
        return EXIT_OK


def _named(data: bytes, merged: Merged) -> bytes:
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True):
        number = line[0] - MARK
        lines.append((merged.members[number].name.encode() + b": " if 0 <= number < MARK else b"") + line[1:])
    return b"".join(lines)
