"""Deadlines: what its keys do, and what scripts get."""

from __future__ import annotations

import json

import pytest

from adapters.model import Mode, Owed
from tests.tui import promises
from tests.tui.deadlines_parts import due
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, House, painted
from tui import keymap
from tui.present import owed
from tui.screens.deadlines import DeadlinesView
from tui.view import Copy, Open, Request, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = promises.night(tmp_path_factory.mktemp("night"))
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
    ("thing", "action", "want"),
    [
        ("prod-airflow:daily_sales", "list.open", Open("run", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:daily_sales", "run.last", Open("run", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:customer_360", "list.open", Open("runs", "prod-airflow:customer_360")),
        ("prod-airflow:daily_sales", "run.log", Open("log", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:customer_360", "run.history", Open("history", "prod-airflow:customer_360")),
        ("prod-airflow:tmc_cards_to_ldz", "pipeline.start", Open("plan", "start prod-airflow:tmc_cards_to_ldz")),
        ("prod-airflow:daily_sales", "run.stop", Open("plan", "stop prod-airflow:daily_sales/r1")),
        ("ping:backup_vault", "list.open", Say("backup_vault is a heartbeat: it has no run of its own")),
        ("set:morning-pack", "run.rerun", Say("morning-pack is a set of pipelines: this key acts on pipelines")),
        ("prod-airflow:dq_reconcile_rdv", "owed.waive", Say("dq_reconcile_rdv is met: there is nothing left to waive")),
        ("prod-airflow:month_end_close", "owed.waive", Say("month_end_close is not owed on this date: bank holiday: Armistice")),
    ],
)  # fmt: skip
def test_keys_ask_for_what_the_row_is(tale, thing, action, want):
    assert list(due(tale, thing).act(action)) == [want]


def test_waiving_opens_its_dialog_and_undoes(tale):
    for thing in ("prod-airflow:daily_sales", "prod-airflow:legacy_export"):
        view = due(tale, thing)
        here = view.here
        assert here is not None
        assert list(view.act("owed.waive")) == [Open("waive", here.row.key)]
    assert "w undo waiver" in painted(view, 120, 40)[-1]
    (effect,) = due(tale, "prod-airflow:daily_sales", read_only=True).act("owed.waive")
    assert effect == Say("waive daily_sales: this terminal is read-only", "warn")


def test_enter_goes_between_an_arrival_and_its_margins(tale):
    view = due(tale, "feed:eia")
    view.act("list.open")
    assert view.pane == "feeds"
    assert view.feed == "eia"
    view.act("list.open")
    assert view.pane == "owed"
    assert view.here is not None
    assert view.here.row.thing == "feed:eia"


def test_the_alert_of_the_thing_is_acknowledged(house):
    key = house.pipeline("s", "p")
    owe(house, key, due_in=-MINUTE, state=Owed.BREACHED)
    house.alert("7K2F", key)
    assert list(due(house).act("alert.ack")) == [Request("ack", {"alert": "7K2F"}, tag="ack")]
    assert next(iter(due(house, read_only=True).act("alert.ack"))).level == "warn"


def test_menus(tale):
    view = due(tale, "prod-airflow:daily_sales")
    view.act("action.menu")
    text = "\n".join(painted(view, 80, 24))
    assert "waive" in text
    assert "say that this is not owed, with a reason" in text
    assert "stop" in text
    view.act("nav.back")
    view.act("copy.menu")
    assert list(view.type("i")) == [Copy("prod-airflow:daily_sales", "the key")]
    view.act("copy.menu")
    (copied,) = view.type("s")
    assert copied.text.startswith("daily_sales: due 06:00, p50 06:14")


def test_a_paused_pipeline_is_resumed(house):
    key = house.pipeline("s", "p", mode=Mode.PAUSED)
    owe(house, key, due_in=HOUR)
    assert list(due(house).act("pipeline.pause")) == [Open("plan", f"resume {key}")]


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(DeadlinesView.contexts):
        for key in keys:
            assert keymap.resolve(DeadlinesView.contexts, key) == action.id
        view = due(tale)
        for _ in range(3):
            view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("state:breached", {"tmc_cards_to_ldz", "undeclared_missed"}),
        ("state:unknown", {"dss_propensity", "dss_flowchart"}),
        ("kind:heartbeat", {"backup_vault"}),
        ("src:dataiku flow", {"dss_flowchart"}),
        ("learning", set()),
    ],
)
def test_filter(tale, text, want):
    view = due(tale)
    view.act("list.filter")
    for c in text:
        view.type(c)
    assert {d.row.name for d in view.rows_shown} == want
    assert f"filter {text}" in "\n".join(painted(view, 120, 40))
    assert painted(view, 120, 40)[1] == painted(due(tale), 120, 40)[1]  # the verdict is of all
    view.act("nav.back")
    assert len(view.rows_shown) == 22


def test_a_bad_filter_is_one_sentence(tale):
    view = due(tale)
    view.act("list.filter")
    for c in "stat:x":
        view.type(c)
    assert "there is no field stat: here, did you mean state:" in painted(view, 120, 40)[-1]


def test_the_cursor_stays_on_what_was_looked_at_while_rows_move(house):
    keys = [house.pipeline("s", f"p{i}") for i in range(4)]
    for i, key in enumerate(keys):
        owe(house, key, due_in=HOUR + i * MINUTE)
    view = due(house)
    view.act("move.down")
    assert view.here is not None
    before = view.here.row.name
    owe(house, keys[3], due_in=-MINUTE, state=Owed.BREACHED, promise="other")
    view.load()
    assert view.rows_shown[0].row.name == "p3"
    assert view.here.row.name == before


def test_painting_asks_nothing(tale):
    view = due(tale)

    def refuse(*_):
        raise AssertionError("paint asked the store")

    view.context.reader.all = view.context.reader.one = refuse
    for size in SIZES:
        painted(view, *size)


def test_nothing_is_read_again_that_did_not_move(tale):
    view = due(tale)
    asked: list[int] = []
    view.context.reader.owed = lambda *a, **k: asked.append(1) or []
    view.load()
    view.load()
    assert asked == []


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 30), (110, 30), (179, 30), (180, 20), (59, 20), (10, 3)])
def test_hostile_names_keep_the_table_straight(house, size):
    for i, name in enumerate(("\x1b[31mred", "売上_日次_集計", "יומי", "a\u202eb", "x" * 9000, "e\u0301" * 40)):
        key = house.pipeline("s", f"n{i}", name=name)
        owe(
            house,
            key,
            due_in=HOUR + i,
            state=Owed.AT_RISK,
            reason=name,
            words=name,
            consumers=(name,),
            p50_in=40 * DAY,
            p90_in=80 * DAY,
            late=0.5,
        )
    promises.put_feed(house, "x" * 300, arrived_ago=None)
    for action in ("move.down", "owed.basis", "view.pane"):
        view = due(house)
        view.act(action)
        painted(view, *size)


def test_plain_ascii(tale):
    for line in painted(due(tale, ascii=True), 200, 50):
        assert line.isascii()


# --- for scripts ----------------------------------------------------------------------------------------------------


def test_rows_and_data_are_plain_and_name_the_fields_of_the_model(tale):
    view = DeadlinesView(tale.context(), "prod-airflow:daily_sales")
    rows = json.loads(json.dumps(view.rows()))
    sales = next(r for r in rows if r["name"] == "daily_sales")
    assert sales["state"] == "at_risk"
    assert sales["p50"] == NOW + 22 * MINUTE
    assert sales["lateness_ms"] == 14 * MINUTE
    assert sales["drift"] > 0.4
    assert len({tuple(r) for r in rows}) == 1  # the same columns in each
    data = json.loads(json.dumps(view.data()))
    assert data["promises"]["breached"] == 2
    assert data["calibration"]["right"] == 31
    assert [f["name"] for f in data["feeds"]] == ["rates", "eia", "merchants"]
    assert len(data["warnings"]) == 2


def test_words_for_each_state_are_those_of_the_glyph_table(tale):
    for d in due(tale).all:
        assert d.look is owed.look(d.row, stale=d.stale)
