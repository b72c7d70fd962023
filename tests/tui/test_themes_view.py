"""Themes: tried on over the screen below, kept or taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tui import stores
from tests.tui.stores import SIZES, House, painted
from tui import registry, themes
from tui.app import WatchfloorApp
from tui.screens.floor import FloorView
from tui.screens.theme_menu import ThemesView
from tui.view import App, Back, Copy, Say


@pytest.fixture
def tale(tmp_path: Path):
    h = stores.story(tmp_path)
    yield h
    h.close()


def over_the_floor(tale: House) -> ThemesView:
    floor = FloorView(tale.context())
    floor.load()
    view = ThemesView(tale.context())
    view.under = floor
    view.load()
    return view


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_screen_below_stays_in_sight_and_every_theme_has_its_row(tale: House, width: int, height: int):
    view = over_the_floor(tale)
    rows = painted(view, width, height)
    assert "Floor" in rows[0]
    assert any("Themes 1 of" in r and "dark"[:0] in r for r in rows)
    assert all(any(name in r for r in rows) for name in themes.builtin())
    assert "✗ failed" in rows[-2]
    assert "keep it" in rows[-1]


def test_the_row_of_samples_has_whole_entries_only(tale: House):
    for width, last in ((80, "║ paused"), (200, "✓? stale")):
        assert painted(over_the_floor(tale), width, 24)[-2].rstrip().endswith(last)


def test_moving_tries_on_and_leaving_takes_back(tale: House):
    view = over_the_floor(tale)
    assert view.act("move.down") == (App("theme", "light"),)
    assert view.act("app.theme") == (App("theme", view.chosen),)
    assert view.act("nav.back") == (App("theme", "dark"), Back())
    view.act("move.top")
    view.act("move.down")
    effects = view.act("list.open")
    assert effects[0] == Back()
    assert isinstance(effects[1], Say)
    assert 'theme = "light"' in effects[1].text
    (copied,) = view.act("copy.menu")
    assert isinstance(copied, Copy)
    assert copied.text == 'theme = "light"'


def test_round_and_round(tale: House):
    view = over_the_floor(tale)
    seen = []
    for _ in view.names:
        seen.append(view.chosen)
        view.act("app.theme")
    assert sorted(seen) == sorted(themes.names())
    assert view.chosen == "dark"


async def test_in_the_app(tale: House, tmp_path: Path):
    """F9, down, Esc: as before; F9, down, Enter: the new one stays. A broken theme of the user's is one sentence."""
    folder = tmp_path / "configuration"
    (folder / "themes").mkdir(parents=True)
    (folder / "themes" / "zz.toml").write_text('background = "no colour"\n')
    app: Any = WatchfloorApp(tale.context(), registry.make, theme=themes.load("dark"))
    app.context.extra["folder"] = folder
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f9", "down")
        assert app.palette.theme.name == "light"
        await pilot.press("escape")
        assert (app.palette.theme.name, app.stack[-1].screen) == ("dark", "floor")
        await pilot.press("f9", "down", "enter")
        assert (app.palette.theme.name, app.stack[-1].screen) == ("light", "floor")
        assert 'theme = "light"' in app.said[0]
        await pilot.press("f9", "end")
        assert "zz.toml" in app.said[0]
        assert "expected a colour" in app.said[0]
        assert app.palette.theme.name == "light"
