"""Runs: newest first, paged by place, a window around the cursor only."""

from __future__ import annotations

import json

import pytest

from adapters.model import RunKind, State
from tests.tui import snap, stores
from tests.tui.stores import HOUR, MINUTE, SIZES, House, painted
from tui import keymap
from tui.present.glyphs import LOOKS
from tui.screens import runs as screen
from tui.screens.runs import RunsView
from tui.view import Copy, Open, Request, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = stores.story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """40 pipelines, 60 runs each: twelve pages."""
    house = stores.big(tmp_path_factory.mktemp("many"), 40, 60)
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


def runs(h: House, arg: str | None = None, **more) -> RunsView:
    view = RunsView(h.context(**more), arg)
    view.load()
    return view


@pytest.mark.parametrize("size", SIZES)
def test_every_row_has_state_name_and_start_at_each_size(tale, size):
    width, height = size
    view = runs(tale)
    narrow = width < 110
    for _ in range(30):
        shown = painted(view, width, height)
        assert shown[0].startswith(" Runs ")
        assert shown[-1].rstrip().endswith("? help")
        row = next(line for line in shown if line.startswith("▌"))
        here = view.here
        assert here is not None
        look = LOOKS[here.state]
        word = look.narrow if narrow else look.word
        assert row[1] == look.glyph
        assert row[4 : 4 + len(word)] == word
        assert here.name[:6] in row
        view.act("move.down")


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale, size):
    snap.same(f"runs-{size[0]}x{size[1]}", painted(runs(tale), *size))


def test_newest_first_with_duration_usual_kind_date_attempt_source_and_error(tale):
    text = "\n".join(painted(runs(tale), 200, 50))
    assert "exit 7: no connection to fx-gw" in text
    assert "2026-11-19   2 prod-airflow" in text
    assert "4m 02s / 11m" in text
    places = [(r.at, r.id) for r in runs(tale).window]
    assert places == sorted(places, reverse=True)


def test_history_of_one_pipeline(tale):
    view = runs(tale, "prod-airflow:ldz_to_rdv_contracts")
    assert {r.name for r in view.window} == {"ldz_to_rdv_contracts"}
    assert len(view.window) == 21
    assert "Runs of ldz_to_rdv_contracts" in painted(view, 120, 40)[5]
    first = view.here
    assert first is not None
    assert list(view.act("run.history")) == [Open("history", first.key)]


def test_an_active_run_of_a_blind_source_is_stale_and_an_ended_one_is_not(tale):
    shown = painted(runs(tale, "dataiku:dss_segments_weekly"), 120, 40)
    assert shown[7][1:3] == "►?"
    assert shown[8][1:3] == "✓ "


def test_moving_down_goes_through_every_run_once_and_holds_a_window_only(many):
    view = runs(many)
    total = many.reader().run_count()
    assert total == 2400
    seen: list[str] = []
    for _ in range(total):
        assert view.here is not None
        seen.append(view.here.key)
        assert len(view.window) <= screen.KEPT
        view.act("move.down")
        if len(seen) % 100 == 0:
            painted(view, 80, 24)
    assert len(set(seen)) == total
    assert view.at_oldest
    back: list[str] = []
    for _ in range(total):
        assert view.here is not None
        back.append(view.here.key)
        view.act("move.up")
    assert back == seen[::-1]


def test_top_and_bottom_are_one_question_away(many):
    view = runs(many)
    newest = view.cursor
    calls = []
    real = view.context.reader.runs
    view.context.reader.runs = lambda **kw: calls.append(kw) or real(**kw)
    view.act("move.bottom")
    oldest = many.reader().runs(after=(-1, 0), limit=1)[0].key
    assert view.cursor == oldest
    assert any(line.startswith("▌") for line in painted(view, 80, 24))
    view.act("move.top")
    assert view.cursor == newest
    assert len(calls) == 2
    assert all(c["limit"] == screen.PAGE for c in calls)


def test_painting_asks_nothing(many):
    view = runs(many)

    def refuse(*_):
        raise AssertionError("paint asked the store")

    view.context.reader.all = view.context.reader.one = refuse
    painted(view, 200, 50)


def test_new_runs_come_in_at_the_top_while_nobody_moves(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "p")
    house.history("s", "p", n=5)
    view = runs(house)
    painted(view, 80, 24)
    house.run("s", "p", "new", State.RUNNING, started_ago=MINUTE)
    view.load()
    assert view.window[0].key == "s:p/new"
    assert view.cursor == "s:p/new"


def test_new_runs_wait_while_the_operator_moves_and_the_cursor_stays_on_its_run(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "p")
    house.history("s", "p", n=60)
    view = runs(house)
    painted(view, 80, 24)
    for _ in range(3):
        view.act("move.down")
    here = view.cursor
    for i in range(2):
        house.run("s", "p", f"new{i}", State.RUNNING, started_ago=MINUTE - i)
        view.load()
    assert view.cursor == here
    assert "2 new · g" in "\n".join(painted(view, 80, 24))
    house.clock.at += 4000
    house.run("s", "p", "new9", State.RUNNING, started_ago=MINUTE)
    view.load()
    assert view.cursor == here
    assert "s:p/new9" in {r.key for r in view.window}
    assert "new · g" not in "\n".join(painted(view, 80, 24))
    for _ in range(40):
        view.act("move.down")
    painted(view, 80, 24)
    house.clock.at += 9000
    top = view.window[0].key
    house.run("s", "p", "late", State.RUNNING, started_ago=0)
    view.load()
    assert view.window[0].key == top  # scrolled away: nothing pushes the rows
    assert "1 new · g" in "\n".join(painted(view, 80, 24))
    view.act("move.top")
    assert view.cursor == "s:p/late"


def test_a_change_of_a_run_in_the_window_is_seen(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "p")
    house.run("s", "p", "r", State.RUNNING, started_ago=MINUTE)
    view = runs(house)
    house.run("s", "p", "r", State.FAILED, started_ago=MINUTE, took=1000, error="boom")
    view.load()
    assert "boom" in "\n".join(painted(view, 120, 40))


def typed(view: RunsView, text: str) -> None:
    view.act("list.filter")
    for c in text:
        view.type(c)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("state:failed fx", {("fx_rates_probe", State.FAILED)}),
        ("state:missed", {("tmc_cards_to_ldz", State.MISSED)}),
        ("state:active src:dataiku", {("dss_segments_weekly", State.RUNNING)}),
        ("state:bad !fx !rdv !mart", {("tmc_cards_to_ldz", State.MISSED)}),
        ("date:2026-11-19", {("ldz_to_rdv_contracts", State.FAILED)}),
        ("nothing like this", set()),
    ],
)
def test_filter(tale, text, want):
    view = runs(tale)
    typed(view, text)
    assert {(r.name, r.state) for r in view.window} == want
    shown = "\n".join(painted(view, 120, 40))
    assert f"filter {text}" in shown
    view.act("nav.back")
    assert len(view.window) == screen.PAGE


def test_a_bad_filter_keeps_the_last_good_result(tale):
    view = runs(tale)
    typed(view, "state:failed")
    before = [r.key for r in view.window]
    view.type(" ownr:x")
    assert [r.key for r in view.window] == before
    assert "there is no field ownr: here" in painted(view, 120, 40)[-1]


def test_a_filter_that_the_store_cannot_answer_says_how_far_it_looked(many, monkeypatch):
    monkeypatch.setattr(screen, "LOOKED", 400)
    view = runs(many)
    typed(view, "kind:backfill")
    assert view.window == []
    assert "searched the last 400 · f searches further" in "\n".join(painted(view, 120, 40))


def test_kinds_are_told_apart(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "p")
    for i, kind in enumerate(RunKind):
        house.run(
            "s",
            "p",
            f"r{i}",
            State.SUCCESS,
            started_ago=HOUR + i,
            took=MINUTE,
            kind=kind,
            generated=kind == RunKind.MANUAL,
        )
    text = "\n".join(painted(runs(house), 120, 40))
    for word in ("schedule", "manual", "backfill", "rerun", "generated for the…"):
        assert word[:9] in text


@pytest.mark.parametrize(
    ("key", "action", "want"),
    [
        ("local:fx_rates_probe/r9", "list.open", Open("run", "local:fx_rates_probe/r9")),
        ("local:fx_rates_probe/r9", "run.log", Open("log", "local:fx_rates_probe/r9")),
        ("local:fx_rates_probe/r9", "run.history", Open("history", "local:fx_rates_probe/r9")),
        ("local:fx_rates_probe/r9", "run.rerun", Open("plan", "rerun local:fx_rates_probe/r9")),
        ("local:fx_rates_probe/r9", "pipeline.start", Open("plan", "start local:fx_rates_probe")),
        ("local:held_load/r8", "run.hold", Open("plan", "release local:held_load/r8")),
        ("local:held_load/r8", "run.stop", Open("plan", "stop local:held_load/r8")),
    ],
)
def test_keys_ask_for_what_the_row_is(tale, key, action, want):
    view = runs(tale)
    view.cursor = key
    assert list(view.act(action)) == [want]


def test_what_cannot_be_says_why(tale):
    view = runs(tale)
    view.cursor = "local:fx_rates_probe/r9"
    (effect,) = view.act("run.stop")
    assert effect == Say("stop fx_rates_probe: this run has ended", "warn")
    view.cursor = "local:held_load/r8"
    (effect,) = view.act("run.rerun")
    assert effect == Say("rerun held_load: this run has not ended", "warn")


def test_acknowledging_from_a_run(tale):
    view = runs(tale, "prod-airflow:ldz_to_rdv_contracts")
    assert list(view.act("alert.ack")) == [Request("ack", {"alert": "7K2F"}, tag="ack")]


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(RunsView.contexts):
        for key in keys:
            assert keymap.resolve(RunsView.contexts, key) == action.id
        view = runs(tale)
        for _ in range(3):
            view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


def test_copy_and_actions_menus(tale):
    view = runs(tale)
    view.cursor = "local:fx_rates_probe/r9"
    view.act("copy.menu")
    assert list(view.type("e")) == [Copy("exit 7: no connection to fx-gw", "the error")]
    view.act("action.menu")
    text = "\n".join(painted(view, 80, 24))
    assert "not now: this run has ended" in text
    assert list(view.type("R")) == [Open("plan", "rerun-failed local:fx_rates_probe/r9")]


def test_nothing_yet(house):
    house.engine()
    house.source("s")
    view = runs(house)
    assert "no run seen yet" in "\n".join(painted(view, 80, 24))
    for action in ("list.open", "run.stop", "copy.menu", "action.menu", "alert.ack", "move.down", "run.history"):
        assert list(view.act(action)) == [Say("there is no row here")]


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 30), (110, 30), (179, 30), (59, 20), (10, 3)])
def test_hostile_names_keep_the_table_straight(house, size):
    house.engine()
    house.source("s")
    for i, name in enumerate(("\x1b[31mred", "売上_日次_集計", "יומי", "a\u202eb", "x" * 9000, "e\u0301" * 40)):
        house.pipeline("s", f"n{i}", name=name)
        house.run("s", f"n{i}", "r", State.FAILED, started_ago=HOUR + i, took=MINUTE, error=name, business_date=None)
    painted(runs(house), *size)


def test_rows_are_plain(tale):
    rows = RunsView(tale.context()).rows()
    assert len(rows) == screen.PAGE
    assert json.loads(json.dumps(rows))[4]["state"] == "failed"
    assert rows[4]["key"] == "local:fx_rates_probe/r9"
