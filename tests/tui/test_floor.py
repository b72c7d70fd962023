"""The Floor on real stores: what is on it, in which order, and what its keys ask for."""

from __future__ import annotations

import json
import re

import pytest

from adapters.model import Health, Mode, State, Trigger, Verb
from tests.tui import snap, stores
from tests.tui.stores import HOUR, MINUTE, SIZES, House, painted
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


def at(view: FloorView, name: str) -> None:
    """Put the cursor on a row by its name."""
    view.cursor = next(i.key for i in view.all if i.name == name)


def floor(h: House, **more) -> FloorView:
    view = FloorView(h.context(**more))
    view.load()
    return view


# --- what is on it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_every_row_has_its_state_its_name_and_its_age_at_each_size(tale, size):
    width, height = size
    view = floor(tale)
    shown = painted(view, width, height)
    assert shown[0].startswith(" Floor ")
    assert shown[-1].rstrip().endswith("? help")
    narrow = width < 110
    seen: set[str] = set()
    for _ in range(len(view.keys)):
        shown = painted(view, width, height)
        row = next(line for line in shown if line.startswith("▌"))
        item = view.here
        assert item is not None
        word = item.look.narrow if narrow else item.look.word
        assert row[1] == item.look.glyph
        assert row[4 : 4 + len(word)] == word
        assert row[2] == ("?" if item.stale and item.row is not None else " ")
        if not item.problem:
            age = "21m" if item.stale else "4s" if item.row.source == "local" else "15s"
            assert age in row
        seen.add(item.key)
        view.act("move.down")
    assert seen == set(view.keys)
    assert len(seen) == 23


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale, size):
    width, height = size
    snap.same(f"floor-{width}x{height}", painted(floor(tale), width, height))


def test_snapshot_ascii_has_no_other_characters(tale):
    shown = painted(floor(tale, ascii=True), 80, 24)
    assert all(line.isascii() for line in shown)
    snap.same("floor-80x24-ascii", shown)


def test_the_head_says_what_is_broken_since_when_and_who_is_blind(tale):
    shown = painted(floor(tale), 120, 40)
    assert "3 broken  since 03:12" in shown[1]
    assert "1 longer than usual" in shown[1]
    assert "1 source blind" in shown[1]
    assert "✗2 failed" in shown[2]
    assert "1 not acked" in shown[2]
    assert "cpu ▂▃▅▇▅▃▄▄ 41%" in shown[3]
    assert "/data" in shown[3]
    assert "truth ≤ 15s · dataiku 21m" in shown[3]
    assert "PROD 3 sources · protected" in shown[0]
    assert "read-only  A arm" in shown[0]
    assert "Fri 20 Nov  05:52 Paris" in shown[0]


def test_counts_hold_each_pipeline_once_and_unknown_is_not_ok(tale):
    view = floor(tale)
    counts = view.head.counts
    never = sum(i.row is not None and i.row.state is None for i in view.all)
    assert sum(counts.known.values()) + counts.resting + counts.unknown + never == counts.total == 22
    assert counts.unknown == 2
    assert counts.known[State.SUCCESS] == 6
    for width in (80, 120, 200):
        row = painted(view, width, 40)[2].partition(" 1 alert")[0]
        assert sum(map(int, re.findall(r"\d+", row))) == counts.total, "what is shown adds up"
    assert "✓ 6 ok  ■ 1 stopped  ? 2 unknown" in painted(view, 200, 50)[2]


def test_a_blind_source_hides_no_failure(house):
    house.engine()
    house.source("s", health=Health.UNREACHABLE, ok_ago=HOUR)
    for name, state in (("bad", State.FAILED), ("good", State.SUCCESS)):
        house.pipeline("s", name)
        house.run("s", name, "r", state, started_ago=2 * HOUR, took=MINUTE)
    shown = painted(floor(house), 120, 40)
    assert "1 broken" in shown[1]
    assert "✗ 1 failed  ? 1 unknown" in shown[2]


def test_problems_are_sentences_with_the_next_key(tale):
    shown = painted(floor(tale), 120, 40)
    text = "\n".join(shown)
    assert "load_fact: ORA-00001 duplicate key · attempt 2" in text
    assert "at load_fact.sql" not in text  # only the error's first line
    assert "due to start 04:55, no run seen · usual 6m" in text
    assert "running 1h 52m, usual 41m (2.7×)" in text
    assert "212 of 48,310 rows rejected" in text
    assert "401 for this API key · 2 pipelines unknown" in text
    assert any(line.rstrip().endswith("R rerun") for line in shown[6:12])
    assert any(line.rstrip().endswith("T start") for line in shown[6:12])
    assert any(line.rstrip().endswith("0 health") for line in shown[6:12])


def test_without_the_right_to_act_the_next_key_is_one_that_works(tale):
    shown = painted(floor(tale, read_only=True), 120, 40)
    assert not any("R rerun" in line for line in shown)
    assert any(line.rstrip().endswith("l log") for line in shown[6:12])


def test_order_is_that_of_the_floor(tale):
    view = floor(tale)
    words = [view.items[k].look.word for k in view.keys]
    assert words == [
        "failed", "failed", "missed", "long", "warning", "no view",
        "ok", "running", "retrying", "stopping", "running", "running", "queued", "paused", "held",
        *["ok"] * 6, "no runs", "stopped",
    ]  # fmt: skip


def test_in_a_rank_the_unacknowledged_come_first_then_criticality(house):
    house.engine()
    house.source("s")
    for name in ("a", "b", "c"):
        house.pipeline("s", name)
        house.run("s", name, "r", State.FAILED, started_ago=HOUR, took=MINUTE)
    house.alert("A1", "s:a", acked=True)
    house.alert("A2", "s:b")
    view = floor(house)
    assert [view.items[k].name for k in view.keys] == ["b", "c", "a"]
    assert "acked" in "\n".join(painted(view, 120, 40))


def test_below_eight_runs_it_says_learning_and_nothing_is_long(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "young")
    house.history("s", "young", n=5, usual=MINUTE)
    house.run("s", "young", "now", State.RUNNING, started_ago=3 * HOUR)
    view = floor(house)
    assert not view.problems
    assert "learning 5/8" in "\n".join(painted(view, 120, 40))


def test_a_stream_is_never_long_and_has_no_bar(tale):
    row = next(line for line in painted(floor(tale), 120, 40) if "txn_stream_bronze" in line)
    assert "6d 4h / stream" in row
    assert "┼" not in row


def test_a_blind_source_is_one_problem_and_its_pipelines_stay_in_the_table(tale):
    view = floor(tale)
    assert "source:dataiku" in view.problems
    stale = [view.items[k].name for k in view.table if view.items[k].stale]
    assert stale == ["dss_flowchart_nightly", "dss_segments_weekly"]
    lines = view.paint(120, 40)
    row = next(line for line in lines if "dss_segments" in "".join(t for t, _ in line))
    assert {style.partition(" ")[0] for text, style in row if text.strip()} == {"run-stale"}


def test_failed_stays_failed_and_in_its_place_when_its_source_goes_blind(house):
    house.engine()
    house.source("s", health=Health.UNREACHABLE, ok_ago=10 * MINUTE)
    house.pipeline("s", "bad")
    house.run("s", "bad", "r", State.FAILED, started_ago=HOUR, took=MINUTE, error="boom")
    view = floor(house)
    shown = painted(view, 120, 40)
    assert view.keys == ["s:bad", "source:s"]
    assert any(line[1:3] == "✗?" and "boom · as of 05:42" in line for line in shown)


def test_calm(tmp_path):
    house = stores.calm(tmp_path)
    view = floor(house)
    shown = painted(view, 120, 40)
    assert "All 5 fine" in shown[1]
    assert "next run step_0 05:57" in shown[1]
    assert "no alerts" in shown[1]
    assert "every action asks" in shown[0]
    assert not any("Problems" in line for line in shown)
    styles = {word for line in view.paint(120, 40) for _, style in line for word in style.split()}
    assert "rev" not in styles  # nothing wrong: nothing inverse
    snap.same("floor-calm-120x40", shown)
    house.close()


def test_first_start_says_that_it_cannot_say_all_is_well(house):
    house.engine()
    for width, height in SIZES:
        shown = "\n".join(painted(floor(house), width, height))
        assert "Nothing to watch yet" in shown
        assert "cannot tell you that all is well" in shown
        for way in ("watchfloor demo", "watchfloor init", "watchfloor check"):
            assert way in shown
        assert "no environment yet" in shown
        assert "fine" not in shown
    snap.same("floor-empty-80x24", painted(floor(house), 80, 24))


def test_a_source_without_pipelines_is_not_all_fine(house):
    house.engine()
    house.source("s", ok_ago=None, health=Health.NEVER)
    shown = "\n".join(painted(floor(house), 80, 24))
    assert "No pipeline seen yet" in shown
    assert "fine" not in shown


def test_nobody_is_watching(tale):
    view = floor(tale, engine_alive=False, engine_silent_since=tale.now - 21 * MINUTE)
    shown = painted(view, 120, 40)
    assert shown[1].startswith(" NOBODY IS WATCHING  engine silent since 05:31, 21m")
    assert "All below is what was true at 05:31.   Ctrl+R start the engine here" in shown[2]
    assert "then  3 broken" in shown[3]
    assert "pid 4711 on ops-01 gone" in shown[4]
    assert "actions off" in shown[0]
    assert not any(line.lstrip().startswith("Problems") for line in shown)
    rows = shown[8:-1]
    assert all(line[2] == "?" for line in rows if line.strip() and line[1] != "?")
    assert "rerun" not in shown[-1]
    assert shown[-1].startswith(" Ctrl+R start engine")
    red = [style for _, style in view.paint(120, 40)[1]]
    assert all("banner-bg" in style for style in red)
    snap.same("floor-silent-120x40", shown)


def test_a_short_silence_is_no_banner_but_a_goodbye_is(house):
    house.engine()
    house.source("s")
    view = floor(house, engine_alive=False, engine_silent_since=house.now - 20_000)
    assert "NOBODY" not in "\n".join(painted(view, 120, 40))
    house.engine(stopped="stopped by ana")
    view = floor(house, engine_alive=False)
    shown = "\n".join(painted(view, 120, 40))
    assert "NOBODY IS WATCHING  engine stopped at 05:52" in shown
    assert "last words: stopped by ana" in shown


def test_armed_takes_the_whole_first_row(tale, tmp_path):
    house = House(tmp_path)
    house.engine()
    house.source("s", environment="prod")
    house.arm("prod", 42)
    view = floor(house)
    lines = view.paint(120, 40)
    assert "".join(t for t, _ in lines[0]).startswith(" ARMED 0:42  for prod · every action still asks   A disarm")
    assert all("on:armed-bg" in style for _, style in lines[0])
    house.close()


@pytest.mark.parametrize("size", [(59, 30), (40, 10), (20, 5), (19, 4), (5, 1), (1, 1)])
def test_small_terminals_get_the_verdict_not_a_wall(tale, size):
    shown = painted(floor(tale), *size)
    if size[0] >= 20:
        assert "3 broken" in "\n".join(shown)


@pytest.mark.parametrize("width", [60, 70, 79, 80, 95, 109, 110, 118, 121, 150, 179, 180, 260])
def test_any_width_is_straight(tale, width):
    for height in (16, 24, 33):
        painted(floor(tale), width, height)
        painted(floor(tale, engine_alive=False), width, height)


HOSTILE = [
    "\x1b[31mred\x1b]0;owned\x07", "売上_日次_集計パイプライン_長い名前", "יומי-מכירות", "a\u202egnp.exe", "x" * 10_000, "[bold]not markup[/]", "tab\there\nline",
    "é" * 30, "👩‍👩‍👧‍👦 family", "\udce9broken",
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_hostile_names_and_errors_keep_the_table_straight(house, size):
    house.engine()
    house.source("s")
    for i, name in enumerate(HOSTILE):
        safe = name.encode("utf-8", "replace").decode()
        house.pipeline("s", f"n{i}", name=safe, owner=safe)
        house.run(
            "s", f"n{i}", "r", State.FAILED if i % 2 else State.SUCCESS, started_ago=HOUR, took=MINUTE, error=safe
        )
    view = floor(house)
    for _ in view.keys:
        painted(view, *size)
        view.act("move.down")
    for key in ("action.menu", "copy.menu"):
        view.act(key)
        painted(view, *size)
        view.act("nav.back")


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


# --- speed by behaviour, scripts ----------------------------------------------------------------------------------------


def counted(view: FloorView) -> list[str]:
    """Every question that the view asks of the store from now on."""
    asked: list[str] = []
    reader = view.context.reader
    for name in ("all", "one"):
        real = getattr(reader, name)

        def wrapped(sql, *args, _real=real):
            asked.append(sql)
            return _real(sql, *args)

        setattr(reader, name, wrapped)
    return asked


def test_two_thousand_pipelines_ask_as_many_questions_as_ten(tmp_path):
    questions = []
    for n in (10, 2000):
        house = stores.big(tmp_path / str(n), n)
        view = FloorView(house.context())
        asked = counted(view)
        view.load()
        questions.append(len(asked))
        asked.clear()
        for _ in range(5):
            painted(view, 120, 40)
            view.act("move.page_down")
        assert asked == []  # painting and moving ask nothing
        view.load()
        assert not any(
            "pipe_now" in sql and "GROUP" not in sql for sql in asked
        )  # nothing moved: rows are not read again
        house.close()
    # what is owed, who waits for whom, which checks wait, whether a disk fills up, what runs on after a failure: one question each
    assert questions[0] == questions[1] <= 23


def test_one_run_that_moves_reads_one_row_again(tmp_path):
    house = stores.big(tmp_path, 300)
    view = floor(house)
    house.clock.at += 60_000
    view.load()
    read: list[int] = []
    real = view.context.reader.floor_rows
    view.context.reader.floor_rows = lambda ids: read.extend(ids) or real(ids)
    house.run("prod-airflow", "p0123", "new", State.FAILED, started_ago=MINUTE, took=1000, error="boom")
    view.load()
    assert len(read) == 1
    assert view.items["prod-airflow:p0123"].look.word == "failed"
    assert view.items["prod-airflow:p0123"].row.error == "boom"
    house.alert("A1", "prod-airflow:p0123")  # what else a row holds reads all
    view.load()
    assert view.items["prod-airflow:p0123"].row.alert_id == "A1"
    house.pipeline("prod-airflow", "p9999")
    view.load()
    assert "prod-airflow:p9999" in view.items
    house.close()


def test_ages_do_not_tick_while_a_source_answers_in_its_rhythm(house):
    house.engine()
    house.source("s", poll_ms=10_000, ok_ago=0)
    house.pipeline("s", "p")
    view = floor(house)
    seen = set()
    for _ in range(12):
        view.load()
        seen.add(painted(view, 120, 40)[9])
        house.clock.at += 1000
    assert len(seen) == 1


def test_a_run_grows_long_without_any_change_in_the_store(house):
    house.engine()
    house.source("s", poll_ms=10 * HOUR)
    house.pipeline("s", "p")
    house.history("s", "p", usual=10 * MINUTE)
    house.run("s", "p", "now", State.RUNNING, started_ago=12 * MINUTE)
    view = floor(house)
    assert not view.problems
    house.clock.at += 20 * MINUTE
    view.load()
    assert view.problems == ["s:p"]


def test_data_and_rows_are_plain(tale):
    view = FloorView(tale.context())
    data = json.loads(json.dumps(view.data()))
    assert data["broken"] == 3
    assert data["blind"] == ["dataiku"]
    first = data["pipelines"][0]
    assert first["key"] == "prod-airflow:ldz_to_rdv_contracts"
    assert first["state"] == "failed"
    assert first["business_date"] == "2026-11-19"
    assert first["says"].startswith("load_fact: ORA-00001")
    rows = view.rows()
    assert len(rows) == 22
    assert len({tuple(r) for r in rows}) == 1  # one set of columns
    assert {r["state"] for r in rows} >= {"failed", "missed", "running", "success", None}


def test_modes(house):
    house.engine()
    house.source("s", offers=frozenset({Verb.START}))
    house.pipeline("s", "off", mode=Mode.DISABLED)
    house.history("s", "off", n=9)
    house.pipeline("s", "hand", trigger=Trigger.MANUAL, next_in=None)
    house.history("s", "hand", n=9)
    shown = "\n".join(painted(floor(house), 120, 40))
    assert "- " in shown
    assert "disabled off" in shown
    assert "manual" in shown


def test_the_footer_offers_only_what_the_system_can(tale):
    view = floor(tale)
    for name, hold in (("ldz_to_rdv_transactions", False), ("held_load", True)):
        at(view, name)
        foot = painted(view, 200, 50)[-1]
        assert "x stop" in foot
        assert ("H " in foot) == hold, foot


def test_a_servers_long_answer_does_not_push_out_what_it_means(house):
    house.engine()
    said = "HTTP 401 from GET /api/v2/monitor/health: Not authenticated, see the log of the web server for more"
    house.source("af", health=Health.AUTH_FAILED, since_ago=21 * MINUTE, ok_ago=21 * MINUTE, detail=said)
    house.pipeline("af", "daily")
    for size, meant in (
        ((80, 24), "auth failed since 05:31"),
        ((120, 40), "auth failed since 05:31 · 1 pipeline unknown"),
    ):
        row = next(line for line in painted(floor(house), *size) if "no view" in line)
        assert meant in row
        assert "…" not in row
