"""Help: what it lists is what the keys do."""

from __future__ import annotations

import pytest

from tests.tui import snap, stores
from tests.tui.stores import SIZES, painted
from tui import keymap
from tui.screens.help import HelpView
from tui.view import Back, Open


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = stores.calm(tmp_path_factory.mktemp("calm"))
    yield house
    house.close()


@pytest.fixture(autouse=True)
def _defaults():
    yield
    keymap.load_overrides({})


def whole(view: HelpView, width: int, height: int) -> str:
    """All that can be scrolled to."""
    seen: list[str] = []
    for _ in range(30):
        for line in painted(view, width, height):
            if line not in seen:
                seen.append(line)
        before = view.top
        view.act("move.page_down")
        painted(view, width, height)
        if view.top == before:
            break
    return "\n".join(seen)


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (40, 10)])
@pytest.mark.parametrize("screen", ["floor", "runs", "run", "log", "sources"])
def test_every_key_of_the_screen_can_be_scrolled_to(tale, screen, size):
    view = HelpView(tale.context(), screen)
    text = whole(view, *size)
    for _, rows in keymap.help(view.shown):
        for keys, label, _ in rows:
            assert any(line.lstrip().startswith(keys) or f" {keys} " in line for line in text.splitlines()), keys
            assert label[:10] in text
    for word in ("failed", "missed", "warning", "running", "held", "paused", "stale"):
        assert word in text


def test_it_shows_the_keys_in_force(tale):
    keymap.load_overrides({"run.stop": "ctrl+x"})
    text = whole(HelpView(tale.context(), "floor"), 80, 24)
    assert "Ctrl+X" in text
    assert "\n x " not in text


def test_it_takes_the_contexts_of_the_screen_it_came_from(tale):
    context = tale.context()
    context.extra["help"] = {"screen": "plan", "title": "Plan", "contexts": ("dialog", "global")}
    view = HelpView(context, "plan")
    assert "Keys of Plan" in painted(view, 80, 24)[1]
    assert "Plan and confirm" in whole(view, 80, 24)


def test_an_unknown_screen_still_shows_what_holds_everywhere(tale):
    assert "Everywhere" in whole(HelpView(tale.context(), "nonsense"), 80, 24)


def test_keys(tale):
    view = HelpView(tale.context())
    painted(view, 80, 24)
    assert list(view.act("nav.back")) == [Back()]
    assert list(view.act("app.help")) == [Back()]
    assert list(view.act("screen.runs")) == [Open("runs")]
    view.act("move.bottom")
    assert view.top > 0
    view.act("move.top")
    assert view.top == 0
    assert view.rows()[0] == {"section": "Floor", "keys": "Tab", "label": "pane", "help": "the next pane"}


def test_snapshot(tale):
    snap.same("help-floor-120x40", painted(HelpView(tale.context(), "floor"), 120, 40))
