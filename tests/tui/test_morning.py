"""Morning check: the night in one list, exceptions first, each line with its evidence; few keys, and a signature."""

from __future__ import annotations

import json

import pytest

from adapters.model import Health, Owed, State
from engine.store import owed
from tests.tui import snap, stores
from tests.tui.owed_stores import owe
from tests.tui.promises import put_feed
from tests.tui.stores import DAY, HOUR, MINUTE, SIZES, House, painted
from tui import keymap
from tui.present.morning_item import Tick
from tui.screens.morning import MorningView
from tui.view import Open, Request, Say


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


def night(h: House, **more) -> MorningView:
    view = MorningView(h.context(**more))
    view.load()
    return view


def well(h: House, pipelines: int = 200) -> None:
    """So many pipelines that ran and met what they owe."""
    h.engine()
    h.source("air")
    for i in range(pipelines):
        key = h.pipeline("air", f"p{i:03d}", next_in=20 * HOUR)
        h.history("air", f"p{i:03d}", n=2, last_ago=2 * HOUR)
        owe(h, key, due_in=-HOUR, state=Owed.MET, met_in=-HOUR - 5 * MINUTE)


class Hand:
    """Types keys as a terminal gives them, and counts them."""

    def __init__(self, view: MorningView) -> None:
        self.view = view
        self.keys = 0
        self.effects: list[object] = []

    def press(self, *keys: str) -> None:
        for key in keys:
            self.keys += 1
            view = self.view
            if view.typing or view.menu is not None:
                done = view.type(f"edit.{key}" if len(key) > 1 else key)
                if done is not None:
                    self.effects += done
                    continue
            action = keymap.resolve(view.contexts, key)
            assert action is not None, key
            self.effects += view.act(action)


def test_all_well_is_one_key(house):
    well(house)
    view = night(house)
    shown = painted(view, 120, 40)
    assert "All as owed" in shown[1]
    assert not [line for line in shown if "✗" in line or "?  unseen" in line]
    assert any("200 met" in line for line in shown)
    hand = Hand(view)
    hand.press("S")
    (asked,) = hand.effects
    assert isinstance(asked, Request)
    assert (asked.do, asked.body["well"], hand.keys) == ("signoff", True, 1)


def test_two_hundred_pipelines_and_one_exception_are_opened_answered_and_signed_in_twenty_keys(house):
    well(house, 199)
    key = house.pipeline("air", "daily_sales")
    run = house.run("air", "daily_sales", "r1", State.FAILED, started_ago=2 * HOUR, took=5 * MINUTE, error="ORA-00001")
    owe(house, key, due_in=-HOUR, state=Owed.BREACHED, reason="due 05:00: failed 03:57", run="r1")
    view = night(house)
    shown = painted(view, 120, 40)
    assert "1 exception" in shown[1]
    first = next(line for line in shown if "daily_sales" in line)
    assert first.startswith("▌✗")
    assert "ORA-00001" in first
    hand = Hand(view)
    hand.press("S")  # not before it is answered
    assert isinstance(hand.effects[-1], Say)
    assert "1 exception still without an answer" in hand.effects[-1].text
    hand.press("enter")  # open it
    assert hand.effects[-1] == Open("run", run)
    hand.press("space", *"rerun runs", "enter")
    assert any("rerun runs" in line for line in painted(view, 120, 40))
    assert "answered" in painted(view, 120, 40)[1]
    hand.press("S")
    asked = hand.effects[-1]
    assert isinstance(asked, Request)
    assert asked.do == "signoff"
    lines = {line["key"]: line for line in asked.body["lines"]}
    assert lines[key]["answer"] == "rerun runs"
    assert asked.body["well"] is False
    assert hand.keys + 1 <= 20  # and the key that opened the screen
    json.dumps(asked.body)


def test_an_answer_survives_a_look_at_another_screen(house):
    well(house, 1)
    house.run("air", "p000", "bad", State.FAILED, started_ago=10 * MINUTE, took=MINUTE)
    context = house.context()
    view = MorningView(context)
    view.load()
    Hand(view).press("space", "enter")
    again = MorningView(context)
    again.load()
    assert not again.open_questions()
    assert any("answered" in line and "seen" in line for line in painted(again, 120, 40))


def test_nobody_watching_and_blind_sources_are_no_green(house):
    well(house, 2)
    dead = night(house, engine_alive=False)
    assert not dead.night.well
    assert dead.night.blind
    assert any("nobody is watching" in line for line in painted(dead, 120, 40))
    house.source("dataiku", ok_ago=30 * MINUTE)
    blind = night(house)
    assert blind.night.blind
    assert any("unseen" in line and "dataiku" in line for line in painted(blind, 120, 40))


def test_what_is_not_known_is_noted_and_not_fine(house):
    well(house, 1)
    put_feed(house, "eia")
    lines = {item.id: item for item in night(house).night.items}
    assert lines["feeds"].tick is Tick.NOTE
    assert lines["feeds"].said == ("nothing has arrived yet",)


def test_a_blind_source_is_named_once(house):
    well(house, 1)
    house.source("dark", ok_ago=None)
    line = next(line for line in painted(night(house), 200, 50) if "dark: no view" in line)
    assert line.count("no view") == 1
    assert "none of its pipelines is known yet" in line
    assert "0 pipelines" not in line


def test_what_was_due_and_not_seen_is_an_exception_and_no_break(house):
    well(house, 1)
    key = house.pipeline("air", "late_news")
    house.history("air", "late_news", n=2)
    owe(house, key, due_in=-20 * MINUTE, state=Owed.UNKNOWN, reason="not seen since 05:10", now=False)
    view = night(house)
    assert view.night.blind
    assert any("late_news" in line and "not seen since before they were due" in line for line in painted(view, 120, 40))


def test_it_tells_what_came_and_went_what_is_late_what_is_excused_and_what_is_ahead(house):
    well(house, 3)
    keys = [f"air:p00{i}" for i in range(3)]
    owe(house, keys[0], due_in=-3 * HOUR, state=Owed.MET_LATE, met_in=-3 * HOUR + 14 * MINUTE, promise="a", now=False)
    owe(
        house, keys[1], due_in=-3 * HOUR, state=Owed.WAIVED, reason="waived by ana: stocktaking", promise="b", now=False
    )
    owe(house, keys[2], due_in=3 * HOUR, promise="c", now=False)
    with house.tx() as tx:
        owed.put_spans(
            tx, [("db-patching", "maintenance", "*", house.now + HOUR, house.now + 2 * HOUR, "actions blocked")]
        )
        owed.put_event(tx, keys[0], "level shift", "takes 1h 10m since Tue 17 Nov, was 44m")
        owed.put_warnings(tx, [("ghost", "its selector air:gost_* matches nothing", "watchfloor.toml:31")])
    text = "\n".join(painted(night(house), 200, 50))
    for said in (
        "1 met late",
        "p000 +14m",
        "1 not owed",
        "stocktaking",
        "1 deadline",
        "db-patching",
        "matches nothing",
        "watchfloor.toml:31",
        "takes 1h 10m since Tue 17 Nov, was 44m",
    ):
        assert said in text, said


def test_a_predictor_is_checked(house):
    well(house, 1)
    with house.tx() as tx:
        for i in range(30):
            late = 0.75 if i < 20 else 0.05
            tx.db.execute(
                "INSERT INTO predicted (occurrence_id, at, late, p50, ended, was_late) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    1000 + i,
                    house.now - DAY,
                    late,
                    house.now - DAY + 4 * MINUTE * (-1) ** i,
                    house.now - DAY,
                    int(i < 15),
                ),
            )
        tx.bump("owed")
    text = "\n".join(painted(night(house), 200, 50))
    assert "15 of 20 warnings came true" in text
    assert "off by 2 points on average over 30 predictions · ends by 4m" in text


def test_the_window_is_since_the_last_signature(house):
    well(house, 1)
    house.run("air", "p000", "old", State.FAILED, started_ago=5 * HOUR, took=MINUTE)
    house.run("air", "p000", "new", State.SUCCESS, started_ago=HOUR, took=MINUTE)
    assert any("made good" in line for line in painted(night(house), 120, 40))
    with house.tx() as tx:
        tx.db.execute(
            "INSERT INTO signoff (at, who, uid, since, well, body) VALUES (?, 'ana', 1000, ?, 1, '{}')",
            (house.now - 2 * HOUR, house.now - DAY),
        )
    shown = painted(night(house), 120, 40)
    assert "signed by ana" in shown[1]
    assert not any("made good" in line for line in shown)


def test_names_from_outside_steer_nothing(house):
    house.engine()
    house.source("air")
    house.pipeline("air", "evil", name="ev\x1b[2Jil [bold]")
    house.run("air", "evil", "r", State.FAILED, started_ago=HOUR, took=MINUTE, error="\x1b]0;owned\x07 boom\nnext")
    for size in SIZES:
        painted(night(house), *size)  # checks that nothing in it steers a terminal


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tmp_path, size):
    tale = stores.story(tmp_path)
    owe(
        tale,
        "prod-airflow:ldz_to_rdv_transactions",
        due_in=23 * MINUTE,
        p50_in=15 * MINUTE,
        p90_in=20 * MINUTE,
        late=0.1,
    )
    owe(
        tale,
        "prod-airflow:tmc_cards_to_ldz",
        due_in=-37 * MINUTE,
        type="start_by",
        state=Owed.BREACHED,
        reason="due 05:15: not started",
        missed=True,
    )
    snap.same(f"morning-{size[0]}x{size[1]}", painted(night(tale), *size))
    tale.close()


def test_for_scripts_every_line_has_its_state_and_evidence(house):
    well(house, 2)
    house.run("air", "p000", "bad", State.FAILED, started_ago=10 * MINUTE, took=MINUTE, error="boom")
    data = night(house).data()
    assert data["well"] is False
    assert data["exceptions"] == 1
    worst = data["lines"][0]
    assert (worst["state"], worst["key"], worst["section"]) == ("bad", "air:p000", "runs")
    assert "boom" in worst["says"]


def test_one_key_says_where_the_numbers_of_an_exception_come_from(house):
    well(house, 1)
    owe(
        house,
        "ping:vault",
        due_in=-HOUR,
        type="heartbeat",
        state=Owed.BREACHED,
        reason="silent",
        words="a sign of life every 26h",
    )
    view = night(house)
    hand = Hand(view)
    hand.press("i")
    shown = "\n".join(painted(view, 120, 40))
    assert "declared in watchfloor.toml:12: a sign of life every 26h" in shown
    assert not hand.effects
    hand.press("escape")
    assert "declared in" not in "\n".join(painted(view, 120, 40))


def test_a_source_that_never_answered_owes_what_nobody_can_tell(house):
    house.engine()
    house.source("air", ok_ago=None, health=Health.UNREACHABLE)
    text = "\n".join(painted(night(house), 120, 40))
    assert "no deadline is known" in text
    assert "some sources have never answered" in text
