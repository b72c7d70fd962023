"""The reference card and the links of a row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.model import Mode, State
from engine.config.load import load_text
from engine.config.model import PipelineRule
from engine.store.configured import put_configured
from tests.tui import stores
from tests.tui.stores import NOW, SIZES, House, painted
from tui import registry, themes
from tui.app import WatchfloorApp
from tui.screens.card import CardView
from tui.screens.links import LinksView, no_browser
from tui.view import Back, Copy, Say

CONFIG = """
[[card]]
name = "Everything"
check = ["all is as owed"]

[[card]]
name = "Sales mart"
match = "layer:RDV"
updated = "2026-01-03"
check = ["sales-ready is met by 06:00", "the row counts of LDZ and RDV agree"]
if_wrong = ["read the first error with l", "ask the source whether the file came, then tell [b]bi-team[/b]"]
contacts = { data = "ana", infrastructure = "desk, 24 hours", business = "finance" }
links = { playbook = "https://wiki.example.com/sales?a=1&b=2" }
"""


@pytest.fixture
def tale(tmp_path: Path):
    h = stores.story(tmp_path)
    config = load_text(CONFIG, tmp_path / "watchfloor.toml")
    with h.tx() as tx:
        put_configured(tx, config)
    h.pipeline(
        "prod-airflow",
        "linked",
        rule=PipelineRule(
            match="prod-airflow:linked",
            layer="RDV",
            owner="data-eng",
            runbook="rerun.md",
            consumers=("bi-team",),
            links={"flow document": "https://wiki.example.com/" + "flow/" * 40},
        ),
    )
    yield h
    h.close()


def test_the_card_of_a_pipeline_is_its_own_before_that_of_all(tale: House):
    view = CardView(tale.context(), "prod-airflow:linked/r1")
    view.load()
    assert [c.name for c in view.cards] == ["Sales mart", "Everything"]
    rows = painted(view, 120, 40)
    text = "\n".join(rows)
    assert "Sales mart" in rows[1]
    assert "last looked at 2026-01-03, 321 days ago" in rows[1]
    for said in ("1  sales-ready is met by 06:00", "ana", "desk, 24 hours", "data-eng", "rerun.md", "[b]bi-team[/b]"):
        assert said in text
    view.act("view.pane")
    assert "Everything" in painted(view, 120, 40)[1]
    assert view.about() == "prod-airflow:linked"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_of_a_card_is_cut(tale: House, width: int, height: int):
    view = CardView(tale.context(), "card:Sales mart")
    view.load()
    seen: list[str] = []
    for _ in range(12):
        seen += [r.strip() for r in painted(view, width, height)[2:-1]]
        view.act("move.page_down")
    flat = " ".join(" ".join(seen).split())
    assert "ask the source whether the file came, then tell [b]bi-team[/b]" in flat
    assert "https://wiki.example.com/sales?a=1&b=2" in flat


def test_without_a_card_it_says_how_to_write_one(tmp_path: Path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    view = CardView(h.context(), "s:p")
    view.load()
    text = "\n".join(painted(view, 80, 24))
    assert "[[card]]" in text
    assert "no card is written for it" in text
    assert isinstance(view.act("view.pane")[0], Say)
    h.close()


def test_the_example_on_the_empty_card_can_be_loaded(tmp_path: Path):
    h = House(tmp_path)
    h.engine()
    view = CardView(h.context())
    view.load()
    shown = [r.strip() for r in painted(view, 120, 40) if r.startswith("   ")]
    text = "\n".join(r for r in shown if r.startswith(("[[", "name", "match", "check", "if_", "contacts")))
    config = load_text(text, tmp_path / "w.toml")
    assert config.cards[0].name == "Sales mart"
    h.close()


def test_links_are_whole_and_copied(tale: House):
    view = LinksView(tale.context(), "prod-airflow:linked")
    view.load()
    words = [link.words for link in view.links]
    assert words[-1] == "playbook"
    assert "flow document" in words
    rows = painted(view, 80, 24)
    joined = "".join(r[24:].rstrip() for r in rows)
    assert "flow/" * 9 in joined
    view.at = words.index("flow document")
    back, copy = view.act("list.open")
    assert back == Back()
    assert isinstance(copy, Copy)
    assert copy.text == "https://wiki.example.com/" + "flow/" * 40


def test_without_links_it_says_how_to_write_one(tmp_path: Path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    view = LinksView(h.context(), "s:nobody")
    view.load()
    assert any("no link is known" in r for r in painted(view, 80, 24))
    h.close()


def test_a_browser_is_not_opened_over_ssh_or_without_a_desktop(tale: House, monkeypatch: pytest.MonkeyPatch):
    assert "remote host" in (no_browser({"SSH_CONNECTION": "1", "DISPLAY": ":0"}) or "")
    assert "no desktop" in (no_browser({}) or "")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    view = LinksView(tale.context(), "prod-airflow:linked")
    view.load()
    (said,) = view.type("b") or ()
    assert isinstance(said, Say)
    assert "copy it instead" in said.text


async def test_from_the_app(tale: House):
    app: Any = WatchfloorApp(tale.context(), registry.make, theme=themes.load("dark"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("E")
        assert app.stack[-1].screen == "card"
        await pilot.press("escape", "o")
        assert app.stack[-1].screen == "links"
        await pilot.press("escape")
        assert app.stack[-1].screen == "floor"
    assert NOW


def test_a_card_calls_nothing_ok_that_nobody_sees(tale: House):
    from tui.present.card import state_of

    seen, dark = (
        CardView(tale.context(), "card:Everything"),
        CardView(tale.context(engine_alive=False), "card:Everything"),
    )
    for view in (seen, dark):
        view.load()
    assert any(text.startswith("✓ ") for text, _ in state_of(seen.rows_now, seen._blind()))
    said = [(text, style) for text, style in state_of(dark.rows_now, dark._blind()) if text.strip()]
    assert said
    assert all("? " in text and text.endswith(", stale") and style.startswith("run-stale") for text, style in said)
    assert "✗?" in painted(dark, 200, 50)[1]


def test_the_states_on_a_card_are_whole_or_counted():
    from tui.present.card import state_of
    from tui.present.lines import text

    rows = [
        SimpleNamespace(state=s, mode=Mode.ACTIVE, source="s")
        for s in (State.FAILED, State.RUNNING, State.QUEUED, State.STOPPED, State.SUCCESS, State.WARNING)
    ]
    whole = text(state_of(rows))
    for room in range(12, 90):
        said = text(state_of(rows, (), room))
        parts, _, more = said.partition("   +")
        assert whole.startswith(parts)
        assert len(parts.split("   ")) + int(more or 0) == len(whole.split("   "))
