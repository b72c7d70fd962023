"""Maintenance windows that hold messages back, of every rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import AlertState, Owed, State
from engine.config.model import Window
from engine.config.units import Moment
from tests.alerts.floor import MINUTE, PEER, Floor
from tests.alerts.owed_parts import Owes, at, boards, give, kinds, late_feed, titles, wait


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path)
    made.clock.at = at("05:44")
    made.list("daily", "hourly", "board0", "board1")
    yield made
    made.close()


def window(floor: Floor, on: str = "flow:*") -> None:
    made = Window(
        name="nightly", on=on, kind="maintenance", start=Moment(5 * 60), end=Moment(6 * 60 + 30), timezone="Europe/Paris",
        notify="suppress",
    )  # fmt: skip
    floor.ctx.config = replace(floor.config, windows=(made,))


def test_a_maintenance_window_holds_back_and_ends_with_one_message(floor: Floor) -> None:
    window(floor)
    Owes(floor).to(Owed.BREACHED, "due 06:00: not started")
    fail_other = floor.run(State.FAILED, pipeline="hourly", error="x")
    floor.poll(fail_other)
    assert floor.all("SELECT DISTINCT held_back FROM alert") == [("maintenance nightly until 06:30",)]
    floor.tick()
    assert floor.letters == []
    floor.clock.at = at("06:30")
    floor.tick()
    floor.tick()
    assert sorted(titles(floor)) == ["[HIGH] daily late — due 06:00, not started", "[MEDIUM] hourly failed: x"]
    assert floor.all("SELECT DISTINCT held_back FROM alert") == [(None,)]


def test_a_window_that_keeps_messages_or_is_over_or_elsewhere_holds_nothing_back(floor: Floor) -> None:
    window(floor)
    (made,) = floor.ctx.config.windows
    over = replace(made, end=Moment(5 * 60 + 40))
    others = (replace(made, notify="keep"), over, replace(made, on="flow:hourly"))
    floor.ctx.config = replace(floor.ctx.config, windows=others)
    Owes(floor).to(Owed.BREACHED, "due 06:00: not started")
    assert kinds(floor) == ["fire"]


def test_what_is_over_within_the_window_is_never_told(floor: Floor) -> None:
    window(floor)
    owes = Owes(floor)
    owes.to(Owed.BREACHED, "due 06:00: not started")
    owes.to(Owed.MET_LATE, "x", met_at=at("06:10"), lateness_ms=10 * MINUTE)
    assert floor.states == [AlertState.RESOLVED]
    floor.clock.at = at("06:31")
    floor.tick()
    assert floor.letters == []


async def test_maintenance_is_named_before_a_silence(floor: Floor) -> None:
    window(floor, "flow:daily")
    until = floor.clock.now() + 60 * MINUTE
    await floor.alerts.silence({"match": "flow:*", "until": until, "reason": "known"}, PEER)
    Owes(floor).to(Owed.BREACHED, "due 06:00: not started")
    Owes(floor, "flow:hourly").to(Owed.BREACHED, "due 06:00: not started")
    held = dict(floor.all("SELECT key, held_back FROM alert"))
    assert held["flow:daily"] == "maintenance nightly until 06:30"
    assert held["flow:hourly"].startswith("silenced by ana")


def test_a_window_over_what_broke_behind_a_cause_holds_that_back_alone(floor: Floor) -> None:
    late_feed(floor)
    window(floor, "flow:board0")
    one, two = boards(floor, 2)
    give(floor, *(o.change(Owed.BREACHED, "due 07:00: not started", root="feed:eia") for o in (one, two)))
    wait(floor, 32_000)
    assert titles(floor)[1:] == ["[HIGH] 1 deadline broken behind it: eia late — due 05:30, not arrived"]
    floor.clock.at = at("06:30")
    wait(floor, 32_000)
    assert len(floor.letters) == 3
    wait(floor, 32_000)
    assert len(floor.letters) == 3
