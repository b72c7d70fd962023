"""The palette: what a few letters mean, and that Enter does just what the key would have done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import State
from tests.tui import stores
from tests.tui.stores import MINUTE, SIZES, House, painted
from tui import keymap, registry, themes
from tui.app import WatchfloorApp
from tui.present.found import Found, best, score
from tui.screens.floor import FloorView
from tui.screens.palette import PaletteView
from tui.view import App, Back, Open, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory):
    h = stores.story(tmp_path_factory.mktemp("palette"))
    yield h
    h.close()


def palette(h: House, typed: str = "", **more: Any) -> PaletteView:
    context = h.context(**more)
    floor = FloorView(context)
    floor.load()
    view = PaletteView(context)
    view.under = floor
    view.load()
    for c in typed:
        view.type(c)
    return view


def labels(view: PaletteView) -> list[str]:
    return [f"{f.kind} {f.label}" for f in view.found]


def test_the_beginning_of_a_name_comes_before_its_middle_and_letters_in_order_last():
    names = [Found("pipeline", n) for n in ("old_daily_sales", "daily_sales", "sales_daily", "d_a_i_l_y")]
    assert [f.label for f in best(names, "daily")] == ["daily_sales", "sales_daily", "old_daily_sales", "d_a_i_l_y"]
    assert score(Found("do", "stop", "ends this run"), "ends") is not None
    assert score(Found("do", "stop", "ends this run"), "ends nothing") is None


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_answered(label: str, typed: str):
    found = score(Found("do", label), typed)
    assert (found is not None) or typed.split()
    assert score(Found("do", label), label) is not None


def test_a_verb_and_a_name_open_its_plan(tale: House):
    view = palette(tale, "pause gdpr")
    assert labels(view)[0].startswith("do pause")
    view = palette(tale, "resume gdpr", read_only=False)
    first = view.found[0]
    assert first.label == "resume gdpr_erasure"
    assert first.why is None
    assert view.act("palette.go") == (Back(), Open("plan", "resume prod-airflow:gdpr_erasure"))


def test_what_cannot_be_done_says_why_and_does_nothing(tale: House):
    view = palette(tale, "pause gdpr", read_only=False)
    at = next(i for i, f in enumerate(view.found) if f.label == "pause gdpr_erasure")
    view.at = at
    (said,) = view.act("palette.go")
    assert isinstance(said, Say)
    assert "its schedule is paused already" in said.text
    view = palette(tale, "stop gdpr", read_only=True)
    (said,) = view.act("palette.go")
    assert "read-only" in said.text


def test_a_pipeline_opens_its_run_and_a_run_is_found_by_the_beginning_of_its_id(tale: House):
    row = tale.context().reader.pipeline("prod-airflow:ldz_to_rdv_contracts")
    assert row is not None
    view = palette(tale, "contracts")
    at = next(i for i, f in enumerate(view.found) if f.kind == "pipeline")
    assert view.found[at].effects == (Open("run", row.run_key),)
    native = (row.run_key or "").partition("/")[2]
    view = palette(tale, native)
    if len(native) >= 4:
        assert any(f.kind == "run" and f.label == native for f in view.found)


def test_every_key_of_the_screen_below_is_in_it(tale: House):
    view = palette(tale)
    view.found = []
    have = {e.effects[0].arg for f in [*view._here()] for e in [f] if isinstance(f.effects[0], App)}
    for action, _ in keymap.active().reach(FloorView.contexts):
        if not action.id.startswith(("move.", "nav.", "palette.", "app.palette", "dialog.")):
            assert action.id in have


def test_look_words_open_a_screen_about_a_pipeline(tale: House):
    view = palette(tale, "history gdpr")
    assert Open("history", "prod-airflow:gdpr_erasure") in view.found[0].effects


def test_themes_hosts_and_screens_are_there(tale: House):
    assert any(f.effects == (App("theme", "light"),) for f in palette(tale, "theme light").found)
    assert any(f.kind == "screen" and f.effects == (App("act", "screen.hosts"),) for f in palette(tale, "hosts").found)
    assert any(f.kind == "host" for f in palette(tale, "memory").found)
    assert any(f.kind == "source" for f in palette(tale, "prod-airflow").found)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_painted_whole_at_every_size(tale: House, width: int, height: int):
    view = palette(tale, "re")
    rows = painted(view, width, height)
    assert "Floor" in rows[0]
    assert any(r.startswith(" Palette 1 of") for r in rows)
    assert rows[-1].startswith(" : re")
    nothing = palette(tale, "zzzzqqq")
    assert any("no verb, pipeline" in r for r in painted(nothing, width, height))
    assert isinstance(nothing.act("palette.go")[0], Say)


def test_escape_clears_then_closes(tale: House):
    view = palette(tale, "abc")
    assert view.act("nav.back") == ()
    assert view.field.text == ""
    assert view.act("nav.back") == (Back(),)


def test_hostile_names_stay_text(tmp_path: Path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "evil\x1b[31m[b]red[/b]\x07")
    h.run("s", "evil\x1b[31m[b]red[/b]\x07", "r1", State.FAILED, started_ago=MINUTE, took=MINUTE // 2)
    view = palette(h, "evil")
    rows = "\n".join(painted(view, 120, 40))
    assert "\x1b" not in rows
    assert "\x07" not in rows
    assert "[b]red[/b]" in rows
    h.close()


def test_a_keystroke_over_two_thousand_pipelines_asks_a_bounded_number_of_questions(tmp_path: Path):
    h = stores.big(tmp_path, 2000)
    view = palette(h)
    reader = view.context.reader
    asked: list[str] = []
    real = reader.all
    reader.all = lambda sql, values=(): (asked.append(sql), real(sql, values))[1]  # type: ignore[method-assign]
    view.type("p")
    assert len(asked) <= 10
    assert len(view.found) <= 60
    h.close()


async def test_in_the_app_a_colon_a_word_and_enter(tale: House):
    app: Any = WatchfloorApp(tale.context(), registry.make, theme=themes.load("dark"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("colon", *"deadlines", "enter")
        assert app.stack[-1].screen == "deadlines"
        await pilot.press("escape")
        await pilot.press("ctrl+p", *"theme light", "enter")
        assert app.palette.theme.name == "light"
        assert app.stack[-1].screen == "floor"
        await pilot.press("colon", "q", "escape", "escape")
        assert app.stack[-1].screen == "floor"
        await pilot.press("colon", *"links", "enter")
        assert app.stack[-1].screen in ("links", "floor")


def test_with_nothing_typed_the_order_is_ours_and_no_key_hangs_on_a_word(tale: House):
    view = palette(tale)
    able = [f.kind for f in view.found if f.why is None]
    assert able == sorted(able, key=["do", "screen", "source", "host", "card", "setting"].index)
    for y in range(len(view.found)):
        view.at = y
        for width in (80, 120):
            row = next(r for r in reversed(painted(view, width, 24)) if r.startswith("▌"))
            key = view.found[y].key
            if key and view.found[y].why is None:
                assert row.rstrip().endswith(f" {key}"), row


def test_the_footer_says_what_escape_does(tale: House):
    assert "Esc close" in painted(palette(tale), 80, 24)[-1]
    assert "Esc clear" in painted(palette(tale, "gd"), 80, 24)[-1]


@pytest.mark.parametrize("name", ["palette", "links", "themes", "plan", "waive", "bulk"])
def test_what_is_seen_below_a_dialog_stays_true(tale: House, name: str):
    """A Floor that nobody reads any more would soon call every source blind."""
    context = tale.context()
    floor = FloorView(context)
    floor.load()
    args = {
        "plan": "pause prod-airflow:gdpr_erasure",
        "waive": "prod-airflow:gdpr_erasure",
        "bulk": "pause prod-airflow:gdpr_erasure",
    }
    view = registry.make(name, context, args.get(name))
    view.under = floor
    assert view.moved_by() >= floor.topics | view.topics
    assert "source" in floor.topics


def test_a_pipeline_that_nobody_sees_is_found_as_stale(tale: House):
    def of(view: PaletteView) -> list[str]:
        return [f.note for f in view.found if f.kind == "pipeline"]

    assert any(note.startswith("✓ ok ") for note in of(palette(tale, "mart_to_ldz")))
    dark = of(palette(tale, "mart_to_ldz", engine_alive=False))
    assert dark
    assert all(note.startswith("✓? ok, stale ") for note in dark)


@pytest.mark.parametrize("typed", ["pause load", "load"])
def test_what_comes_meanwhile_puts_nothing_else_under_the_cursor(tmp_path: Path, typed: str):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    for name in ("load_c", "load_d"):
        h.pipeline("s", name)
        h.run("s", name, "r1", State.SUCCESS, started_ago=MINUTE, took=MINUTE // 2)
    view = palette(h, typed)
    view.act("palette.next")
    meant = view.found[view.at]
    for name in ("load_a", "load_b"):
        h.pipeline("s", name)
        h.run("s", name, "r1", State.SUCCESS, started_ago=MINUTE, took=MINUTE // 2)
    view.load()
    assert "load_a" in " ".join(labels(view)), "it came before what the cursor is on"
    assert (view.found[view.at].label, view.found[view.at].effects) == (meant.label, meant.effects)
    h.close()
