"""The app without a terminal: the stack of views, keys and effects, bad views, themes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.tui.app_parts import ROOT, place, screen, until
from tests.tui.demo_app import DemoView, build
from tui import themes
from tui.themes import Palette, ThemeError
from tui.view import Open


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
