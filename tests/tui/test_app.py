"""The app without a terminal: the stack of views, keys and effects, bad views, the engine's socket, how it is started."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.request import PROTOCOL, SCHEMA, RequestError, decode, encode
from tests.tui.demo_app import DemoView, build
from tui import start, themes
from tui.client import Client, NoEngine
from tui.themes import Palette, ThemeError
from tui.view import Open

ROOT = Path(__file__).resolve().parents[2]


def screen(app: Any) -> str:
    """What stands on the canvas, as Textual's compositor has it."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("THEME", "dark")
    monkeypatch.delenv("NO_COLOR", raising=False)
    (tmp_path / "value").write_text("one")
    app = build(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        app.pilot = pilot
        await pilot.pause()
        yield app


async def until(fact: Callable[[], bool], what: str = "", seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"did not come true: {what}"
        await asyncio.sleep(0.01)


async def test_the_view_is_on_the_screen_and_follows_the_store(app: Any, tmp_path: Path) -> None:
    assert "value one" in screen(app)
    view = app.stack[-1].view
    (tmp_path / "new").write_text("two")
    os.replace(tmp_path / "new", tmp_path / "value")
    await until(lambda: view.value == "two")
    await app.pilot.pause()
    assert "value two" in screen(app)


async def test_an_unchanged_store_is_not_asked_again(app: Any) -> None:
    loads, asked = app.stack[-1].view.loads, app.context.reader.topics_asked
    await asyncio.sleep(0.3)
    assert app.stack[-1].view.loads == loads
    assert app.context.reader.topics_asked == asked


async def test_topics_of_others_do_not_load_this_view(app: Any) -> None:
    class Quiet(DemoView):
        topics = frozenset({"log"})

    app.make = lambda name, context, arg: Quiet(context, arg)
    app._open("other", None)
    loads = app.stack[-1].view.loads
    app._version, app._next_load = None, 0.0
    app._poll()
    assert app.stack[-1].view.loads == loads


async def test_open_back_and_the_view_as_it_was_left(app: Any) -> None:
    await app.pilot.press("j", "j", "enter")
    assert "Runs runs pipeline_2" in screen(app)
    assert len(app.stack) == 2
    await app.pilot.press("escape")
    assert "Demo floor" in screen(app)
    assert "cursor 2" in screen(app)
    await app.pilot.press("minus")
    assert len(app.stack) == 1, "the first screen stays"


async def test_digits_open_screens_and_bring_back_those_that_are_open(app: Any) -> None:
    await app.pilot.press("j", "3")
    assert app.stack[-1].screen == "runs"
    await app.pilot.press("1")
    assert [shown.screen for shown in app.stack] == ["runs", "floor"]
    assert "cursor 1" in screen(app)
    await app.pilot.press("4")
    assert "no run was opened yet" in screen(app)


async def test_typing_goes_to_the_open_field_and_to_nothing_else(app: Any) -> None:
    await app.pilot.press("slash", "j", "q", "space", "1", "backspace")
    assert app.stack[-1].view.field == "jq "
    assert app.stack[-1].view.cursor == 0
    assert app.is_running


async def test_a_view_that_cannot_be_read_says_so_and_the_others_go_on(app: Any, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("raise")
    await until(lambda: app.stack[-1].broken is not None)
    await app.pilot.pause()
    assert "this screen cannot be shown" in screen(app)
    assert "the store is upside down" in screen(app)
    assert "Traceback" not in screen(app)
    (tmp_path / "value").write_text("fine")
    await until(lambda: app.stack[-1].broken is None)
    await app.pilot.pause()
    assert "value fine" in screen(app)


async def test_a_view_that_cannot_be_painted_says_so(app: Any, tmp_path: Path) -> None:
    app.stack[-1].view.value = "paint"
    app.paint()
    await app.pilot.pause()
    assert "no such cell" in screen(app)
    app.stack[-1].view.value = "well"
    app.paint()
    await app.pilot.pause()
    assert "value well" in screen(app)


async def test_a_key_that_fails_is_one_sentence(app: Any) -> None:
    await app.pilot.press("x")
    assert "this key is broken" in screen(app)
    await app.pilot.press("j")
    assert app.stack[-1].view.cursor == 1


async def test_a_screen_that_cannot_be_opened_is_one_sentence(app: Any) -> None:
    app._do([Open("nowhere", None)])
    await app.pilot.pause()
    assert "nowhere cannot be shown" in screen(app)
    assert len(app.stack) == 1


async def test_the_theme_changes_all_colours_and_no_text(app: Any) -> None:
    before, text = app.canvas.render_line(0), screen(app)
    app._use_theme("light")
    await app.pilot.pause()
    after = app.canvas.render_line(0)
    assert after != before
    assert after.text == before.text
    assert screen(app) == text
    app._use_theme("no-such")
    assert "no theme 'no-such'" in app.said[0]


async def test_the_screenshot_works(app: Any) -> None:
    svg = app.export_screenshot()
    assert "pipeline_000003" in svg.replace("&#160;", " ")
    assert "#ff8078" in svg.lower()


async def test_hostile_text_keeps_the_grid(app: Any, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("hostile")
    await until(lambda: app.stack[-1].view.value == "hostile")
    await app.pilot.pause()
    for strip in app.screen._compositor.render_strips():
        assert strip.cell_length == 100
        assert "\x1b" not in strip.text


@pytest.mark.parametrize("size", [(20, 5), (5, 2), (1, 1), (250, 80)])
async def test_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    app = build(tmp_path)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert len(app.canvas.lines) == size[1]


async def test_lines_of_any_shape_never_raise(app: Any) -> None:
    app.canvas.show(
        [[("x", "no-such-token on:nothing b")], [], [("", "")], [("日" * 99, "text")], *[[("y", "")]] * 90], 100, 30
    )
    await app.pilot.pause()
    assert app.palette.unknown == {"no-such-token", "nothing"}


# --- requests -----------------------------------------------------------------------------------------------------------


class Engine:
    """A socket that answers as told; ``seen`` are the requests."""

    def __init__(self, folder: Path, **hello: Any) -> None:
        self.path = folder / "engine.sock"
        self.store = folder / "floor.db"
        self.hello = {"protocol": PROTOCOL, "schema": SCHEMA, "pid": 4711, "store": str(self.store), **hello}
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    async def open(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        self.server = await asyncio.start_unix_server(self._serve, f"/proc/self/fd/{folder}/{self.path.name}")
        os.close(folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            message = decode(line)
            self.seen.append(message)
            if message["do"] == "hello":
                writer.write(encode({"id": message["id"], "ok": self.hello}))
                continue
            answer = self.answers.get(message["do"], {"ok": {}})
            if answer == "close":
                break
            if answer == "silent":
                continue
            writer.write(encode({"id": message["id"], **answer}))
        writer.close()

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path)
    await engine.open()
    yield engine
    await engine.close()


async def test_requests_and_answers_by_number(engine: Engine) -> None:
    client = Client(engine.path, engine.store)
    engine.answers = {
        "status": {"ok": {"pid": 1}},
        "stop": {"error": {"code": "refused", "message": "no", "hint": "ask"}},
    }
    assert await client.ask("status") == {"pid": 1}
    with pytest.raises(RequestError) as caught:
        await client.ask("stop")
    assert (caught.value.code, caught.value.message, caught.value.hint, caught.value.exit_code) == (
        "refused",
        "no",
        "ask",
        3,
    )
    both = await asyncio.gather(client.ask("status"), client.ask("watch", {"run": "a:b/c"}))
    assert both == [{"pid": 1}, {}]
    assert engine.seen[-1]["run"] == "a:b/c"
    assert [m["do"] for m in engine.seen].count("hello") == 1, "one conversation"
    await client.close()


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (
            {"protocol": PROTOCOL + 1},
            f"engine 4711 speaks protocol {PROTOCOL + 1}, this screen {PROTOCOL}: restart this screen",
        ),
        ({"schema": 0}, f"engine 4711 speaks store schema 0, this screen {SCHEMA}: restart the engine"),
        ({"store": "/elsewhere/floor.db"}, "watches another store (/elsewhere/floor.db)"),
    ],
)
async def test_an_engine_that_does_not_fit_is_one_sentence(tmp_path: Path, hello: dict[str, Any], words: str) -> None:
    engine = Engine(tmp_path, **hello)
    await engine.open()
    client = Client(engine.path, engine.store)
    with pytest.raises(NoEngine, match="engine 4711") as caught:
        await client.ask("status")
    assert words in str(caught.value)
    await client.close()
    await engine.close()


async def test_no_engine_a_lost_one_and_a_new_one(engine: Engine, tmp_path: Path) -> None:
    nobody = Client(tmp_path / "nobody.sock", engine.store)
    with pytest.raises(NoEngine, match="no engine is running"):
        await nobody.ask("status")
    client = Client(engine.path, engine.store)
    engine.answers = {"act": "close"}
    with pytest.raises(NoEngine, match="went away before it answered"):
        await client.ask("act")
    assert [m["do"] for m in engine.seen].count("act") == 1, "an act is never sent twice"
    engine.answers = {}
    assert await client.ask("status") == {}, "the next request connects anew"
    await engine.close()
    await until(lambda: not client.connected)
    later = Engine(tmp_path)

    async def start_later() -> None:
        await asyncio.sleep(0.2)
        await later.open()

    task = asyncio.create_task(start_later())
    assert await client.ask("status", patience=5.0) == {}
    await task
    await client.close()
    await later.close()


async def test_a_long_path_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    engine = Engine(deep)
    await engine.open()
    client = Client(engine.path, engine.store)
    assert await client.ask("status") == {}
    await client.close()
    await engine.close()


async def test_an_answer_comes_to_the_view_that_asked_if_it_is_still_there(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("one")
    engine.answers = {"plan": {"ok": {"plan": "P1"}}}
    app = build(tmp_path, place=place(tmp_path))
    async with app.run_test(size=(100, 30)) as pilot:
        view = app.stack[-1].view
        app._do(view.act("run.rerun"))
        await until(lambda: bool(view.answers))
        assert view.answers == [("tag", {"plan": "P1"}, None)]
        await pilot.pause()
        assert "answer tag" in screen(app)
        await pilot.press("enter")
        other = app.stack[-1].view
        engine.answers = {"plan": {"error": {"code": "refused", "message": "not armed", "hint": "press A"}}}
        app._do(other.act("run.rerun"))
        await until(lambda: bool(other.answers))
        assert other.answers == [("tag", None, {"code": "refused", "message": "not armed", "hint": "press A"})]
        engine.answers = {"plan": "silent"}
        app._do(other.act("run.rerun"))
        await pilot.press("escape")
        assert len(other.answers) == 1


async def test_what_is_looked_at_is_told_again_and_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DemoView, "watch", lambda self: {"run": "a:b/c"})
    monkeypatch.setattr("tui.app.WATCH_EVERY", 0.2)
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    app = build(tmp_path, place=place(tmp_path))
    async with app.run_test(size=(80, 24)):
        await until(lambda: [m["do"] for m in engine.seen].count("watch") >= 2)
        assert {"run": "a:b/c"}.items() <= engine.seen[-1].items()
    os.close(lock)


async def test_the_engine_is_silent_when_its_lock_is_free_or_its_pulse_a_minute_old(tmp_path: Path) -> None:
    from dataclasses import dataclass

    @dataclass
    class Row:
        heartbeat: int
        stopped: int | None = None
        pid: int = 1

    app = build(tmp_path, place=place(tmp_path))
    now = app.context.now()
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    app.context.reader.engine = lambda: Row(now)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, now)
    fcntl.flock(lock, fcntl.LOCK_EX)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (True, None)
    app.context.reader.engine = lambda: Row(now - 61_000)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, now - 61_000)
    os.close(lock)
    app.context.reader.engine = lambda: Row(now - 1000, now - 500)
    app._pulse()
    assert (app.context.engine_alive, app.context.engine_silent_since) == (False, None), "it said goodbye"


# --- starting an engine -------------------------------------------------------------------------------------------------


def place(folder: Path) -> Any:
    from engine.config.paths import places

    return places(folder / "watchfloor.toml").with_store(folder / "floor.db")


PLANTED = "import pathlib; pathlib.Path({mark!r}).write_text('planted ran')"


def test_a_planted_engine_never_runs(tmp_path: Path) -> None:
    """Neither from the current folder nor from PYTHONPATH, whatever that holds."""
    mark = tmp_path / "mark"
    for folder in ("here", "there"):
        package = tmp_path / folder / "engine"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(PLANTED.format(mark=str(mark)))
        (package / "main.py").write_text(PLANTED.format(mark=str(mark)))
    where = place(tmp_path)
    argv = start.command(where)
    assert argv[:2] == [sys.executable, "-P"]
    env = start.environment({**os.environ, "PYTHONPATH": f"{tmp_path / 'there'}::.:{ROOT}"})
    assert env.get("PYTHONPATH") == str(ROOT)
    env["PYTHONPATH"] = str(tmp_path / "there")  # even if it had got through
    code = argv[argv.index("-c") + 1].replace(
        "from engine.main import main; sys.exit(main(sys.argv[1:]))", "import engine; print(engine.__file__, sys.argv)"
    )
    done = subprocess.run(
        [*argv[:2], "-c", code, *argv[4:]],
        cwd=tmp_path / "here",
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.startswith(str(ROOT / "engine" / "__init__.py"))
    assert "--auto" in done.stdout
    assert start.root() not in done.stdout.split("[", 1)[1], "the folder is not an argument of the engine"
    assert not mark.exists()


def test_at_most_one_engine_a_second_and_none_beside_a_running_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_last_start", float("-inf"))
    monkeypatch.setattr(
        start,
        "command",
        lambda place, **more: [
            sys.executable,
            "-c",
            "import os, sys; print(os.getsid(0) == os.getpid(), os.getcwd(), sys.stdin.read())",
        ],
    )
    where = place(tmp_path)
    object.__setattr__(where, "engine_log", tmp_path / "engine.log")
    object.__setattr__(where, "state", tmp_path)
    assert start.start_engine(where)
    assert not start.start_engine(where)
    assert start._children[-1].wait(10) == 0
    assert (tmp_path / "engine.log").read_text() == "True / \n", "own session, folder /, nothing on stdin"
    assert oct((tmp_path / "engine.log").stat().st_mode)[-3:] == "600"
    monkeypatch.setattr(start, "_last_start", float("-inf"))
    lock = os.open(tmp_path / "engine.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert not start.start_engine(where)
    os.close(lock)


def test_nothing_slow_is_imported_before_the_first_frame(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.tui import demo_app; from pathlib import Path; import tui.launch, tui.wall;"
        "app = demo_app.build(Path(sys.argv[1]));"
        "bad = [m for m in ('httpx', 'apprise', 'sqlite_utils', 'msgspec', 'psutil', 'subprocess', 'engine.main') if m in sys.modules];"
        "print(bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    found = done.stdout.strip()
    assert found in ("[]", "['subprocess']"), "textual itself may bring subprocess"


# --- themes -------------------------------------------------------------------------------------------------------------

COLORS = {
    "dim",
    "rule",
    "key",
    "gauge",
    "text",
    "mark",
    "strip-ok",
    "cursor-bg",
    "banner-bg",
    "banner-fg",
    "armed-bg",
    "armed-fg",
    "surface",
}


@pytest.mark.parametrize("name", [name for name in themes.builtin() if name != "mono"])
def test_every_theme_has_every_colour_that_the_code_names(name: str) -> None:
    palette = Palette(themes.load(name))
    wanted = COLORS | used_tokens()
    assert not {token for token in wanted if not palette.has(token)}


def used_tokens() -> set[str]:
    """Words of string literals in the code that dark knows as colours, and all that follow ``on:``."""
    import re

    dark = set(themes.load("dark").colors)
    text = "\n".join(path.read_text() for path in (ROOT / "tui").rglob("*.py"))
    found = set(re.findall(r"on:([a-z][a-z-]*[a-z])", text))
    found |= {word for literal in re.findall(r'"([a-z :-]{2,40})"', text) for word in literal.split() if word in dark}
    return {token for token in found if not token.startswith(("band-", "nothing"))} - {"band"} | {
        t for t in dark if t.startswith(("run-", "band-"))
    }


def test_no_color_and_mono_have_no_colour_and_keep_the_meaning() -> None:
    palette = Palette(themes.choose("dark", {"NO_COLOR": "1", "TERM": "xterm-256color"}))
    assert palette.theme.name == "mono"
    for name in ("run-failed b", "on:cursor-bg text", "banner-fg on:banner-bg b", "dim", ""):
        style = palette.style(name)
        assert style.color is None
        assert style.bgcolor is None
    assert palette.style("run-failed b").bold
    assert palette.style("text on:cursor-bg").reverse
    assert palette.style("banner-fg on:banner-bg").reverse
    assert not palette.style("text on:surface").reverse
    assert themes.choose("light", {"NO_COLOR": "", "TERM": "xterm-256color"}).name == "light", (
        "an empty NO_COLOR is none"
    )


def test_ansi_reverses_the_cursor_row_as_a_whole() -> None:
    palette = Palette(themes.load("ansi"))
    assert palette.style("run-failed b on:cursor-bg") == palette.style("b on:cursor-bg")
    assert palette.style("run-failed b on:cursor-bg").reverse
    assert str(palette.style("run-failed").color.name) == "bright_red"


def test_the_terminal_chooses_and_a_bad_wish_is_no_end() -> None:
    assert themes.choose(None, {"TERM": "xterm-256color"}).name == "dark"
    assert themes.choose(None, {"TERM": "linux"}).name == "ansi"
    assert themes.choose("light", {"TERM": "linux"}).name == "light"
    assert themes.choose("no-such", {"TERM": "xterm-256color"}).name == "dark"
    assert themes.needs_ascii({"TERM": "linux", "LANG": "en_US.UTF-8"})
    assert themes.needs_ascii({"TERM": "xterm", "LANG": "C"})
    assert not themes.needs_ascii({"TERM": "xterm", "LANG": "C.UTF-8"})


def test_a_users_theme_may_be_partial_and_its_mistakes_are_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    (folder / "mine.toml").write_text('foreground = "#ffffff"\n[variables]\nrun-failed = "#ff00ff"\n')
    theme = themes.load("mine", tmp_path)
    assert theme.colors["run-failed"] == "#ff00ff"
    assert theme.colors["text"] == "#ffffff"
    assert theme.colors["dim"] == themes.load("dark").colors["dim"]
    assert "mine" in themes.names(tmp_path)
    for text, words in (
        ("x = ", "not TOML"),
        ('[variables]\ndim = "blurple"', "dim is 'blurple'"),
        ("variables = 3", "should be a table"),
    ):
        (folder / "bad.toml").write_text(text)
        with pytest.raises(ThemeError, match=r"bad\.toml") as caught:
            themes.load("bad", tmp_path)
        assert words in str(caught.value)
    with pytest.raises(ThemeError, match="no theme 'nope': there are dark, light, ansi"):
        themes.load("nope", tmp_path)
    with pytest.raises(ThemeError, match="expected a name"):
        themes.load("../../etc/passwd", tmp_path)


async def test_an_engine_that_holds_its_store_and_says_nothing_hangs(tmp_path: Path) -> None:
    """Its process is there: no other can be started beside it, and nobody says that it is gone."""
    from types import SimpleNamespace

    app = build(tmp_path, place=place(tmp_path))
    now = app.context.now()
    with (tmp_path / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for row, hung in (
            (SimpleNamespace(heartbeat=now, stopped=None, pid=os.getpid()), False),
            (SimpleNamespace(heartbeat=now - 61_000, stopped=None, pid=os.getpid()), True),
            (SimpleNamespace(heartbeat=now - 61_000, stopped=None, pid=2**22 + 1), False),
        ):
            app.context.reader.engine = lambda row=row: row
            app._pulse()
            assert app.context.extra["hung"] is hung
    app.context.reader.engine = lambda: SimpleNamespace(heartbeat=now - 61_000, stopped=None, pid=os.getpid())
    app._pulse()
    assert app.context.extra["hung"] is False, "the store is free: another can start"
