"""The Floor: moving, order and filter, and what its keys ask for."""

from __future__ import annotations

import pytest

from adapters.model import State
from tests.tui import stores
from tests.tui.floor_parts import at, floor
from tests.tui.stores import HOUR, MINUTE, House, painted
from tui import keymap
from tui.screens.floor import FloorView, moved_rows
from tui.view import App, Back, Copy, Open, Quit, Request, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = stores.story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


# --- moving, order, filter --------------------------------------------------------------------------------------------


def test_one_cursor_runs_from_the_last_problem_into_the_table(tale):
    view = floor(tale)
    for _ in range(len(view.problems)):
        view.act("move.down")
    assert view.cursor == view.table[0]
    view.act("move.bottom")
    assert view.cursor == view.table[-1]
    view.act("move.top")
    assert view.cursor == view.problems[0]
    view.act("view.pane")
    assert view.cursor in view.table
    view.act("view.pane")
    assert view.cursor == view.problems[0]
    view.act("move.bottom")
    view.act("problem.first")
    assert view.cursor == view.problems[0]


def test_the_cursor_stays_on_its_pipeline_when_rows_move(house):
    house.engine()
    house.source("s")
    for i in range(6):
        house.pipeline("s", f"p{i}", next_in=HOUR + i)
    view = floor(house)
    view.act("move.down")
    view.act("move.down")
    assert view.cursor == "s:p2"
    house.clock.at += 10_000
    house.run("s", "p5", "r", State.FAILED, started_ago=MINUTE, took=1000)
    view.load()
    assert view.cursor == "s:p2"
    assert view.problems == ["s:p5"]


@pytest.mark.parametrize("touch", [None, "move.down", "copy.menu"])
def test_until_the_operator_moves_the_cursor_is_on_the_first_problem(house, touch):
    house.engine()
    house.source("s")
    for i in range(6):
        house.pipeline("s", f"p{i}", next_in=HOUR + i)
    view = floor(house)
    if touch:
        view.act(touch)
        view.menu = None
    was = view.cursor
    house.clock.at += 10_000
    house.run("s", "p5", "r", State.FAILED, started_ago=MINUTE, took=1000)
    view.load()
    assert view.cursor == (was if touch else "s:p5")
    if not touch:
        house.clock.at += 10_000
        house.run("s", "p5", "r2", State.SUCCESS, started_ago=MINUTE, took=1000)
        house.run("s", "p3", "r", State.FAILED, started_ago=MINUTE, took=1000)
        view.load()
        assert view.cursor == "s:p3"


def test_the_order_stands_still_while_the_operator_moves(house):
    house.engine()
    house.source("s")
    for i in range(6):
        house.pipeline("s", f"p{i}", next_in=HOUR + i)
    view = floor(house)
    before = view.keys
    view.act("move.down")
    house.run("s", "p5", "r", State.FAILED, started_ago=MINUTE, took=1000)
    view.load()
    assert view.keys == before
    shown = "\n".join(painted(view, 120, 40))
    assert "1 moved · s" in shown
    assert next(line for line in shown.splitlines() if "p5" in line)[1] == "✗"  # what changed is drawn at once
    view.act("list.sort")
    assert view.keys[0] == "s:p5"
    assert "moved" not in "\n".join(painted(view, 120, 40))


def test_after_three_seconds_the_order_is_made_by_itself(house):
    house.engine()
    house.source("s")
    for i in range(3):
        house.pipeline("s", f"p{i}", next_in=HOUR + i)
    view = floor(house)
    view.act("move.down")
    house.run("s", "p2", "r", State.FAILED, started_ago=MINUTE, took=1000)
    view.load()
    assert view.keys[0] == "s:p0"
    house.clock.at += 3_001
    painted(view, 120, 40)
    assert view.keys[0] == "s:p2"
    assert view.cursor == "s:p1"


@pytest.mark.parametrize(
    ("old", "new", "n"),
    [("abcd", "abcd", 0), ("abcd", "dabc", 1), ("abcd", "badc", 2), ("abc", "abcd", 1), ("abc", "ab", 0)],
)
def test_moved_rows_counts_the_fewest(old, new, n):
    assert moved_rows(list(old), list(new)) == n


def typed(view: FloorView, text: str) -> None:
    view.act("list.filter")
    for c in text:
        assert view.type(c) == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tmc", {"tmc_cards_to_ldz"}),
        ("state:failed", {"ldz_to_rdv_contracts", "fx_rates_probe"}),
        ("state:failed state:missed !fx", {"ldz_to_rdv_contracts", "tmc_cards_to_ldz"}),
        ("src:local !state:failed", {"held_load", "month_end_close"}),
        ("owner:data-eng", {"ldz_to_rdv_contracts"}),
        ("owner:ANA", {"retrying_load"}),
        ("layer:rdv state:paused", {"gdpr_erasure"}),
        ("state:stale", {"dss_flowchart_nightly", "dss_segments_weekly"}),
        ("env:local state:held", {"held_load"}),
        ("no such thing", set()),
    ],
)
def test_filter(tale, text, names):
    view = floor(tale)
    typed(view, text)
    assert {view.items[k].name for k in view.keys} == names
    assert not view.problems  # they are ordinary rows now
    view.act("list.open")  # Enter takes it
    assert view.field is None
    shown = "\n".join(painted(view, 120, 40))
    assert f"{len(names)} of 22 · filter {text}" in shown
    view.act("nav.back")  # Esc clears it
    assert len(view.keys) == 23


def test_a_bad_filter_is_said_and_the_last_good_result_stays(tale):
    view = floor(tale)
    typed(view, "state:fail")
    before = view.keys
    typed(view, "x")
    assert view.keys == before
    assert "no state is called failx, did you mean failed?" in painted(view, 120, 40)[-1]
    for _ in range(11):
        view.type("edit.backspace")
    view.type("ownr:x")
    assert "there is no field ownr: here, did you mean owner:" in painted(view, 120, 40)[-1]
    view.act("nav.back")
    assert view.field is None
    assert len(view.keys) == 23


def test_the_keys_of_a_terminal_edit_end_and_leave_the_filter(tale):
    view = floor(tale)
    view.act("list.filter")
    for key in ("l", "o", "g", "edit.ctrl+u", "t", "x", "edit.backspace", "m", "c", "edit.left", "edit.delete"):
        assert view.type(key) == ()
    assert view.filter.text == "tm"
    first = view.cursor
    assert view.type("edit.down") == ()
    assert view.cursor != first or len(view.keys) == 1
    assert view.type("edit.f9") is None  # a key of the app
    assert view.type("edit.tab") == ()  # completes what is typed
    assert view.type("edit.enter") == ()
    assert view.field is None
    assert view.filter.text == "tm"
    assert view.type("x") is None  # no field is open
    view.act("list.filter")
    assert view.type("edit.escape") == ()
    assert view.field is None
    assert not view.filter


def test_a_menu_leaves_enter_escape_and_arrows_to_the_keymap(tale):
    view = floor(tale)
    view.act("action.menu")
    for key in ("edit.enter", "edit.escape", "edit.down"):
        assert view.type(key) is None


def test_show_sets_the_filter_before_anything_was_read(tale):
    view = FloorView(tale.context())
    view.act("list.filter")
    view.type("state:failed")
    view.act("edit.enter")
    view.load()
    assert len(view.keys) == 2


# --- keys -------------------------------------------------------------------------------------------------------------


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(FloorView.contexts):
        for key in keys:
            assert keymap.resolve(FloorView.contexts, key) == action.id
        view = floor(tale)
        for _ in range(3):
            view.act("move.down")
        if action.id == "list.sort":
            continue  # its own test
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


@pytest.mark.parametrize(
    ("name", "action", "want"),
    [
        ("ldz_to_rdv_contracts", "list.open", Open("run", "prod-airflow:ldz_to_rdv_contracts/r1")),
        ("ldz_to_rdv_contracts", "run.log", Open("log", "prod-airflow:ldz_to_rdv_contracts/r1")),
        ("ldz_to_rdv_contracts", "run.history", Open("history", "prod-airflow:ldz_to_rdv_contracts")),
        ("ldz_to_rdv_contracts", "run.rerun_failed", Open("plan", "rerun-failed prod-airflow:ldz_to_rdv_contracts/r1")),
        ("ldz_to_rdv_contracts", "run.rerun", Open("plan", "rerun prod-airflow:ldz_to_rdv_contracts/r1")),
        ("ldz_to_rdv_contracts", "pipeline.start", Open("plan", "start prod-airflow:ldz_to_rdv_contracts")),
        ("ldz_to_rdv_transactions", "run.stop", Open("plan", "stop prod-airflow:ldz_to_rdv_transactions/r6")),
        ("ldz_to_rdv_transactions", "pipeline.pause", Open("plan", "pause prod-airflow:ldz_to_rdv_transactions")),
        ("gdpr_erasure", "pipeline.pause", Open("plan", "resume prod-airflow:gdpr_erasure")),
        ("held_load", "run.hold", Open("plan", "release local:held_load/r8")),
        ("dataiku", "list.open", Open("sources", "dataiku")),
        ("ldz_to_rdv_contracts", "alert.ack", Request("ack", {"alert": "7K2F"}, tag="ack")),
        ("ldz_to_rdv_contracts", "action.arm", Request("arm", {"environment": "prod"}, tag="arm")),
    ],
)  # fmt: skip
def test_keys_ask_for_what_the_row_is(tale, name, action, want):
    view = floor(tale)
    at(view, name)
    assert list(view.act(action)) == [want]


@pytest.mark.parametrize(
    ("name", "action", "said"),
    [
        ("churn_features_refresh", "run.stop", "stop churn_features_refresh: the token may not cancel runs"),
        ("churn_features_refresh", "run.hold", "hold churn_features_refresh: dbx-prod (databricks) does not offer it"),
        ("mart_to_ldz_customer", "run.stop", "stop mart_to_ldz_customer: no run of it is active"),
        ("month_end_close", "run.rerun", "rerun month_end_close: it has not run yet"),
        ("month_end_close", "list.open", "month_end_close has not run yet: there is nothing to show"),
        ("mart_to_ldz_customer", "alert.ack", "mart_to_ldz_customer has no open alert"),
        ("dataiku", "run.stop", "dataiku is a source: this key acts on pipelines"),
        ("held_load", "action.arm", "local is not protected: its actions need no arming, each still asks"),
    ],
)
def test_what_cannot_be_says_why(tale, name, action, said):
    view = floor(tale)
    at(view, name)
    (effect,) = view.act(action)
    assert isinstance(effect, Say)
    assert effect.text == said


def test_several_active_runs_are_offered_not_chosen(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "p")
    house.run("s", "p", "r1", State.RUNNING, started_ago=HOUR)
    house.run("s", "p", "r2", State.RUNNING, started_ago=MINUTE)
    view = floor(house)
    assert list(view.act("run.stop")) == [Open("plan", "stop s:p")]


def test_nothing_acts_in_a_read_only_terminal_or_without_an_engine(tale):
    for more, word in (({"read_only": True}, "read-only"), ({"engine_alive": False}, "nobody is watching")):
        view = floor(tale, **more)
        at(view, "ldz_to_rdv_contracts")
        for action in ("run.rerun", "run.rerun_failed", "pipeline.start", "pipeline.pause"):
            (effect,) = view.act(action)
            assert isinstance(effect, Say)
            assert word in effect.text


def test_the_menu_of_actions_greys_with_a_reason_and_plans_by_letter(tale):
    view = floor(tale)
    at(view, "churn_features_refresh")
    assert view.act("action.menu") == ()
    shown = "\n".join(painted(view, 80, 24))
    assert "x  stop" in shown
    assert "not now: the token may not cancel runs" in shown
    (refused,) = view.type("x")
    assert isinstance(refused, Say)
    assert list(view.type("T")) == [Open("plan", "start dbx-prod:churn_features_refresh")]
    assert view.menu is None
    view.act("action.menu")
    view.act("nav.back")
    assert view.menu is None
    view.act("action.menu")
    assert view.type("j") is None  # moves, by the keymap
    view.act("move.down")
    view.act("list.open")


def test_copy_offers_key_run_and_error(tale):
    view = floor(tale)
    at(view, "ldz_to_rdv_contracts")
    view.act("copy.menu")
    (effect,) = view.type("e")
    assert effect == Copy("load_fact: ORA-00001 duplicate key\nat load_fact.sql:88", "the error")
    view.act("copy.menu")
    assert list(view.type("i")) == [Copy("prod-airflow:ldz_to_rdv_contracts", "the key")]


def test_keys_of_every_screen(tale):
    view = floor(tale)
    assert list(view.act("app.quit")) == [Quit()]
    assert list(view.act("nav.back")) == [Back()]
    assert list(view.act("screen.runs")) == [Open("runs")]
    assert list(view.act("app.help")) == [Open("help", "floor")]
    assert list(view.act("app.refresh")) == [App("refresh")]
    assert list(view.act("no.such.id")) == []


def test_answers_become_words(tale):
    view = floor(tale)
    at(view, "ldz_to_rdv_contracts")
    view.act("alert.ack")
    assert view.answer("ack", {}, None) == (Say("acknowledged: ldz_to_rdv_contracts is yours"),)
    (bad,) = view.answer("ack", None, {"code": "refused", "message": "you may only look", "hint": "ask ana"})
    assert bad == Say("you may only look: ask ana", "bad")
