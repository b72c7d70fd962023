"""Timeline: its keys; only lanes in view are asked for; nothing there, and scripts."""

from __future__ import annotations

import json

import pytest

from adapters.model import Owed, State
from engine.config.model import PipelineRule
from engine.store import owed as written
from tests.tui import stores
from tests.tui.night import night
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, House, painted
from tests.tui.timeline_parts import lane_text, view_of
from tui import keymap
from tui.screens.timeline import TimelineView
from tui.view import Open, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = night(tmp_path_factory.mktemp("night"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "action", "want"),
    [
        ("prod-airflow:daily_sales", "list.open", Open("run", "prod-airflow:daily_sales/n0")),
        ("local:fx_rates_probe", "list.open", None),
        ("prod-airflow:fx_rates_probe", "list.open", Open("run", "prod-airflow:fx_rates_probe/n2")),
        ("prod-airflow:cdm_publish_db", "list.open", Open("runs", "prod-airflow:cdm_publish_db")),
        ("feed:eia_file", "list.open", Open("deadlines")),
        ("prod-airflow:daily_sales", "run.log", Open("log", "prod-airflow:daily_sales/n0")),
        ("prod-airflow:daily_sales", "run.last", Open("run", "prod-airflow:daily_sales/n0")),
        ("prod-airflow:daily_sales", "run.history", Open("history", "prod-airflow:daily_sales")),
        ("prod-airflow:daily_sales", "run.stop", Open("plan", "stop prod-airflow:daily_sales/n0")),
        ("prod-airflow:cdm_publish_db", "pipeline.start", Open("plan", "start prod-airflow:cdm_publish_db")),
    ],
)
def test_keys_ask_for_what_the_lane_is(tale, key, action, want):
    view = view_of(tale, key)
    if want is None:
        assert view.cursor != key  # no such lane
        return
    assert list(view.act(action)) == [want]


def test_waiving_names_the_occurrence(tale):
    view = view_of(tale, "prod-airflow:daily_sales")
    (effect,) = view.act("owed.waive")
    assert isinstance(effect, Open)
    assert effect.screen == "waive"
    assert tale.reader().owed_one(effect.arg).thing == "prod-airflow:daily_sales"
    assert isinstance(view_of(tale, "prod-airflow:ldz_to_rdv_customer").act("owed.waive")[0], Say)
    dead = view_of(tale, "prod-airflow:daily_sales", engine_alive=False)
    assert dead.act("owed.waive")[0].level == "warn"


def test_left_and_right_go_two_hours_and_home_comes_back(tale):
    view = view_of(tale)
    a, b = view.span()
    view.act("time.left")
    assert view.span() == (a - 2 * HOUR, b - 2 * HOUR)
    for _ in range(8):
        view.act("time.left")
    assert "now 05:52 →" in painted(view, 120, 40)[4]
    assert "Thu 19 Nov" in painted(view, 120, 40)[2]
    view.act("time.now")
    assert view.span() == (a, b)
    assert view.act("time.now") == (Say("now is in view"),)


def test_zoom_keeps_what_is_in_the_middle_and_ends(tale):
    view = view_of(tale)
    words = []
    for _ in range(3):
        view.act("time.out")
        words.append(painted(view, 120, 40)[2][:8])
    assert words == [" 3 days ", " 7 days ", " 7 days "]
    for _ in range(4):
        view.act("time.in")
    assert view.act("time.in") == (Say("6 hours is the closest view"),)
    view.act("time.left")
    middle = sum(view.span()) // 2
    view.act("time.out")
    assert abs(sum(view.span()) // 2 - middle) <= HOUR


def test_groups(tale):
    view = view_of(tale)
    names = {lane.name for lane in view.lanes}
    assert [line.split()[0] for line in painted(view, 120, 40) if line.startswith(" ") and "┼" in line][:6] == [
        "SRC", "LDZ", "RDV", "C360", "ML", "BI",
    ]  # fmt: skip
    view.act("time.group")
    assert " prod-airflow ──" in "\n".join(painted(view, 120, 50))
    view.act("time.group")
    assert "┼" not in "\n".join(painted(view, 120, 40))
    first = [lane.name for lane in view.lanes][:4]
    assert first == ["tmc_cards_to_ldz", "ldz_to_rdv_contracts", "daily_sales", "ldz_to_rdv_transactions"]
    assert {lane.name for lane in view.lanes} == names


def test_quiet_lanes_are_hidden_until_a_filter_asks_for_them(tale):
    view = view_of(tale)
    assert "quiet_one" not in {lane.name for lane in view.lanes}
    assert "1 quiet lane hidden" in painted(view, 120, 40)[2]
    view.set_filter("quiet")
    assert [lane.name for lane in view.lanes] == ["quiet_one"]
    view.set_filter("state:at layer:C360")
    assert [lane.name for lane in view.lanes] == ["rdv_to_customer_360"]
    view.set_filter("nothing like it")
    assert "no pipeline is like that" in "\n".join(painted(view, 80, 24))
    view.act("nav.back")
    assert len(view.lanes) > 20


def test_a_lane_with_older_runs_in_view_is_not_called_quiet(house):
    house.pipeline("s", "p", next_in=None)
    house.run("s", "p", "a", State.SUCCESS, started_ago=3 * DAY, took=HOUR)
    house.run("s", "p", "b", State.SUCCESS, started_ago=HOUR, took=MINUTE)
    view = view_of(house)
    for _ in range(36):
        view.act("time.left")
    assert "█" in lane_text(view, "p")


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(TimelineView.contexts):
        for key in keys:
            assert keymap.resolve(TimelineView.contexts, key) == action.id
        view = view_of(tale)
        painted(view, 80, 24)
        view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    house = stores.big(tmp_path_factory.mktemp("many"), 300, 2)
    yield house
    house.close()


def test_only_lanes_in_view_are_asked_for_and_painting_asks_nothing(many):
    view = view_of(many)
    painted(view, 120, 40)
    asked: list[int] = []
    real = view.context.reader.bars
    view.context.reader.bars = lambda ids, a, b: asked.extend(ids) or real(ids, a, b)
    for action in ("time.left", "move.bottom", "time.out", "move.top"):
        asked.clear()
        view.act(action)
        assert 0 < len(asked) <= 50 or action == "move.top", (action, len(asked))
    asked.clear()
    view.act("move.down")
    assert asked == []

    def refuse(*_):
        raise AssertionError("paint asked the store")

    view.context.reader.all = view.context.reader.one = refuse
    painted(view, 120, 40)


def test_what_moves_is_seen(house):
    house.pipeline("s", "p", next_in=None)
    house.run("s", "p", "r", State.RUNNING, started_ago=2 * HOUR)
    view = view_of(house)
    assert "✗" not in lane_text(view, "p")
    house.run("s", "p", "r", State.FAILED, started_ago=2 * HOUR, took=HOUR)
    view.load()
    assert "✗" in lane_text(view, "p")
    assert (view.lanes[0].look.word, view.verdict.broken) == ("failed", 1)
    house.run("s", "p", "r", State.SUCCESS, started_ago=2 * HOUR, took=HOUR)
    view.load()
    key = "s:p"
    owe(house, key, due_in=HOUR, state=Owed.AT_RISK)
    view.load()
    assert "◆" in lane_text(view, "p")
    assert (view.lanes[0].look.word, view.verdict.broken) == ("at risk", 0)


def test_a_source_that_falls_silent_makes_its_lanes_stale_at_once(house):
    house.source("quick", poll_ms=1000, ok_ago=0)
    house.pipeline("quick", "p")
    view = view_of(house)
    assert not view.lanes[0].stale
    house.clock.at += 4000
    view.load()
    assert view.lanes[0].stale


# --- nothing there, and scripts -------------------------------------------------------------------------------------


def test_empty_states_say_what_to_do(house):
    shown = "\n".join(painted(view_of(house), 80, 24))
    assert "no pipeline seen yet" in shown
    assert "0 says how the sources are" in shown
    house.pipeline("s", "p", next_in=9 * DAY)
    view = view_of(house)
    shown = "\n".join(painted(view, 80, 24))
    assert "nothing ran, is expected or is due in these 24 hours" in shown
    assert "nothing is owed yet: [[expectation]] says" in shown
    for action in ("list.open", "run.stop", "owed.waive", "owed.basis", "copy.menu", "move.down", "run.history"):
        assert list(view.act(action)) == [Say("there is no row here")], action


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 30), (110, 30), (59, 20), (10, 3)])
def test_hostile_names_keep_the_lanes_straight(house, size):
    for i, name in enumerate(("\x1b[31mred", "売上_日次_集計", "יומי", "a\u202eb", "x" * 9000, "e\u0301" * 40)):
        house.pipeline("s", f"n{i}", name=name, rule=PipelineRule(match=f"s:n{i}", layer=name[:40]))
        house.run("s", f"n{i}", "r", State.FAILED, started_ago=HOUR + i, took=MINUTE)
    with house.tx() as tx:
        written.put_spans(tx, [("\x1b[31m" * 40, "freeze", "*", NOW - HOUR, NOW + HOUR, "")])
    painted(view_of(house), *size)


def test_data_and_rows(tale):
    view = TimelineView(tale.context())
    data = json.loads(json.dumps(view.data()))
    lane = next(one for one in data["lanes"] if one["key"] == "prod-airflow:daily_sales")
    assert lane["runs"][0]["state"] == "running"
    assert lane["owed"][0]["state"] == "at_risk"
    assert lane["owed"][0]["due"] == NOW + 8 * MINUTE
    assert data["windows"][0]["name"] == "db-rdv-1"
    rows = view.rows()
    assert {r["what"] for r in rows} == {"run", "owed"}
    assert len({tuple(r) for r in rows}) == 1  # one header for all
