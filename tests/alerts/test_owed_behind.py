"""What breaks behind a cause: one alert of the cause, one message of all that hangs on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import Owed, Severity, State
from engine.alerts import Alerts
from engine.config.model import Route
from engine.config.units import SeverityTest
from engine.notify import message
from tests.alerts.floor import MINUTE, Floor
from tests.alerts.owed_parts import (
    at,
    boards,
    evening,
    events,
    fail,
    give,
    kinds,
    late_feed,
    said,
    titles,
    wait,
)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    yield from evening(tmp_path)


def test_nine_deadlines_behind_one_late_feed_are_one_alert_told_then_one_grouped_message(floor: Floor) -> None:
    late_feed(floor)
    nine = boards(floor, 9)
    give(floor, *(one.change(Owed.AT_RISK, "x", prediction=said(), root="feed:eia") for one in nine))
    assert floor.all("SELECT key FROM alert") == [("feed:eia",)]
    assert len(events(floor, "behind it")) == 9
    assert events(floor, "behind it")[0] == "board0 07:00"
    assert "\nBehind it: board0 07:00, board1 07:00" in floor.one("SELECT body FROM alert")
    floor.clock.at = at("07:00")
    give(floor, *(one.change(Owed.BREACHED, "due 07:00: not started", root="feed:eia") for one in nine))
    feed = floor.one("SELECT id FROM alert WHERE key = 'feed:eia'")
    assert floor.one("SELECT count(*) FROM alert WHERE parent = ? AND state = 1", feed) == 9
    wait(floor, 29_000)
    assert len(floor.letters) == 1
    floor.alerts = Alerts(floor.ctx)  # a restart in between
    wait(floor, 3_000)
    assert floor.letters == [("ana", "fire", 2), ("ana", "repeat", 0)]
    title, body = floor.one("SELECT title, body FROM outbox WHERE kind = 'repeat'")
    assert title == "[HIGH] 9 deadlines broken behind it: eia late — due 05:30, not arrived"
    assert "Behind it: broken: board0 07:00, board1 07:00" in body
    assert message.problems(title, body) == []
    wait(floor, 400_000)
    assert len(floor.letters) == 2


def test_further_breaches_behind_it_wait_five_minutes_and_critical_ones_ten_seconds_at_first(floor: Floor) -> None:
    late_feed(floor)
    one, two = boards(floor, 2, severity=Severity.CRITICAL)
    floor.clock.at = at("07:00")
    one.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 9_000)
    assert len(floor.letters) == 1
    wait(floor, 2_000)
    assert kinds(floor) == ["fire", "escalate"]
    assert titles(floor)[1].startswith("[CRITICAL] 1 deadline broken behind it: eia late")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 290_000)
    assert len(floor.letters) == 2
    wait(floor, 15_000)
    assert kinds(floor) == ["fire", "escalate", "repeat"]


def test_ten_are_named_and_the_others_counted(floor: Floor) -> None:
    late_feed(floor)
    give(floor, *(one.change(Owed.AT_RISK, "x", prediction=said(), root="feed:eia") for one in boards(floor, 47)))
    body = floor.one("SELECT body FROM alert")
    assert "and 37 more" in body
    assert body.count(" 07:00") == 10


def test_without_an_alert_of_the_cause_it_stands_alone(floor: Floor) -> None:
    boards(floor, 1)[0].to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    assert floor.all("SELECT key, parent FROM alert") == [("flow:board0", None)]
    assert kinds(floor) == ["fire"]


def test_a_chain_hangs_on_the_first_cause(floor: Floor) -> None:
    late_feed(floor)
    middle, last = boards(floor, 2)
    middle.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    last.to(Owed.BREACHED, "due 07:00: not started", root="flow:board0")
    feed = floor.one("SELECT id FROM alert WHERE key = 'feed:eia'")
    assert floor.one("SELECT parent FROM alert WHERE key = 'flow:board1'") == feed


def test_a_failed_upstream_is_a_cause_too(floor: Floor) -> None:
    fail(floor)
    boards(floor, 1)[0].to(Owed.AT_RISK, "x", prediction=said(), root="flow:daily")
    assert floor.all("SELECT key FROM alert") == [("flow:daily",)]
    assert "Behind it: board0 07:00" in floor.one("SELECT body FROM alert")
    floor.poll(floor.run(State.FAILED, error="ORA-00001: more of its log"))
    assert "Behind it: board0 07:00" in floor.one("SELECT body FROM alert")


def test_what_is_met_behind_its_cause_is_over_there(floor: Floor) -> None:
    late_feed(floor)
    one, two = boards(floor, 2)
    one.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    one.to(Owed.PENDING, "x", prediction=said(late=0.1))
    two.to(Owed.MET_LATE, "x", met_at=at("07:10"), lateness_ms=10 * MINUTE)
    wait(floor, 40_000)
    assert floor.all("SELECT key FROM alert WHERE state < 4") == [("feed:eia",)]
    assert "Behind it" not in floor.one("SELECT body FROM alert WHERE key = 'feed:eia'")
    assert kinds(floor) == ["fire"]  # over within the wait: never told


def test_when_the_cause_ends_untold_what_stays_is_told_once_together(floor: Floor) -> None:
    feed = late_feed(floor)
    one, two, three = boards(floor, 3)
    one.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    three.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    feed.to(Owed.MET_LATE, "x", met_at=at("05:44"), lateness_ms=14 * MINUTE)
    evidence = floor.one("SELECT resolved_by FROM alert WHERE key = 'feed:eia'")
    assert evidence == "arrived 05:44, 14m late; still broken behind it: board1 07:00, board2 07:00"
    wait(floor, 29_000)
    assert kinds(floor) == ["fire", "resolve"]
    wait(floor, 3_000)
    assert kinds(floor) == ["fire", "resolve", "fire"]
    assert titles(floor)[2].startswith("[HIGH] and 2 more after the same cause: board1 late — due 07:00")
    assert floor.one("SELECT count(*) FROM alert WHERE state = 1") == 3
    wait(floor, 60_000)
    assert len(floor.letters) == 3


def test_whoever_is_told_of_a_thing_is_told_when_it_breaks_behind_another(floor: Floor) -> None:
    low = SeverityTest(">=", Severity.LOW)
    floor.ctx.config = replace(floor.config, routes=(Route("flow:board*", low, ("ben",)), Route("*", low, ("ana",))))
    late_feed(floor)
    boards(floor, 1)[0].to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 32_000)
    assert [(who, kind) for who, kind, _ in floor.letters[1:]] == [("ana", "repeat"), ("ben", "repeat")]
