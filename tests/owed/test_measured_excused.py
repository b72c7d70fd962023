"""What measured values owe over periods and windows, and what of it is waived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed
from engine.config.model import Moment, Window
from tests.owed.court import DAY, MINUTE, PARIS, SECOND, at
from tests.owed.measured_parts import CALLS, Made, courts, owes, say, states, wait, waive


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    yield from courts(tmp_path)


# --- periods --------------------------------------------------------------------------------------------------------


def test_yesterdays_number_breaks_nothing_of_today(court: Made) -> None:
    floor = court(owes("q", "series:calls", "quota", most=1000.0, resets="0 0 * * *"), series=(CALLS,), now="23:58")
    say(floor, 7, calls=1000.0)
    assert floor.told() == [("q", "BREACHED", True)]
    wait(floor, at("2026-11-21 00:00:20") - floor.now, 5 * SECOND)
    assert [(p, s) for p, s, _ in floor.told()] == [("q", "MET_LATE")], "the last reading is of the day before"
    say(floor, 2, calls=3.0)
    assert states(floor, "q") == ["MET_LATE", "PENDING"]


def test_a_waiver_is_of_one_period(court: Made) -> None:
    floor = court(owes("q", "series:calls", "quota", most=1000.0, resets="0 0 * * *"), series=(CALLS,), now="23:50")
    say(floor, 2, calls=1000.0)
    waive(floor, floor.owed("q", None).key)
    floor.told()
    say(floor, 4, calls=1200.0)
    assert floor.told() == []
    floor.clock.at = at("2026-11-21 00:00")
    say(floor, 2, calls=5.0)
    assert states(floor, "q") == ["WAIVED", "PENDING"]
    say(floor, 2, calls=1000.0)
    assert ("q", "BREACHED", True) in floor.told()


def test_what_is_waived_in_a_period_stays_so_over_a_reload(court: Made) -> None:
    rule = owes("q", "series:calls", "quota", most=1000.0, resets="0 0 * * *")
    floor = court(rule, series=(CALLS,))
    say(floor, 2, calls=1000.0)
    waive(floor, floor.owed("q", None).key)
    floor.told()
    floor.reload(owes("q", "series:calls", "quota", most=1001.0, resets="0 0 * * *"))
    say(floor, 4, calls=1200.0)
    floor.restart()
    say(floor, 4, calls=1200.0)
    assert floor.told() == []
    assert states(floor, "q") == ["WAIVED"]


def test_a_waiver_that_is_over_since_it_was_well_does_not_come_back_with_a_restart(court: Made) -> None:
    floor = court(owes(above=100.0, for_ms=0))
    say(floor, 2, lag=120.0)
    waive(floor, floor.owed("m", None).key)
    say(floor, 4, lag=20.0)
    floor.restart()
    say(floor, 2, lag=150.0)
    assert floor.told() == [("m", "BREACHED", True)]


def test_a_waiver_without_end_holds_for_weeks(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 8, lag=120.0)
    waive(floor, floor.owed("m", None).key)
    floor.told()
    say(floor, 20, every=DAY, lag=120.0)
    floor.restart()
    say(floor, 8, lag=120.0)
    assert floor.told() == []


def test_a_waiver_with_an_end(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 8, lag=120.0)
    one = floor.owed("m", None)
    waive(floor, one.key, floor.now + 10 * MINUTE)
    floor.told()
    say(floor, 30, lag=120.0)
    assert floor.told() == []
    say(floor, 20, lag=120.0)
    assert [told for told in floor.told() if told[1] == "BREACHED"] == [("m", "BREACHED", True)]
    assert floor.owed("m", None).since == one.since


def test_what_is_waived_no_more_is_broken_at_once_and_since_then(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 8, lag=120.0)
    one = floor.owed("m", None)
    waive(floor, one.key)
    say(floor, 4, lag=120.0)
    floor.told()
    floor.put("DELETE FROM waiver")
    with floor.store.transaction() as tx:
        floor.judge.on_waived(tx, one.key)
    say(floor, 1, lag=120.0)
    assert floor.told()[-1] == ("m", "BREACHED", True)
    assert floor.owed("m", None).since == one.since


# --- windows --------------------------------------------------------------------------------------------------------


def window(expect: str, **more: Any) -> Window:
    return replace(
        Window(name="patching", on="series:*", kind="maintenance", start=Moment(300), end=Moment(360), timezone=PARIS, expect=expect),
        **more,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["shift", "waive"])
def test_what_breaks_inside_a_window_is_not_told(court: Made, kind: str) -> None:
    floor = court(owes(above=100.0), windows=(window(kind),), now="05:10")
    say(floor, 40, lag=120.0)
    assert [told for told in floor.told() if told[1] in ("BREACHED", "AT_RISK")] == []
    one = floor.owed("m", None)
    assert (one.state, one.due) == (Owed.SHIFTED, at("06:15"))
    assert one.reason == "120 messages, above 100 messages; moved by window patching to 06:15"
    floor.restart()
    say(floor, 4, lag=20.0)
    assert states(floor) == [], "it was well before the window was over"


@pytest.mark.parametrize("kind", ["shift", "waive"])
def test_what_is_broken_after_a_window_is_told_with_its_true_begin(court: Made, kind: str) -> None:
    floor = court(owes(above=100.0), windows=(window(kind),), now="05:50")
    say(floor, 1, lag=120.0)
    since = floor.now
    while floor.now < at("06:14:30"):
        say(floor, 1, lag=120.0)
    assert [told for told in floor.told() if told[1] == "BREACHED"] == []
    say(floor, 6, lag=120.0)
    assert floor.told() == [("m", "BREACHED", True)]
    assert floor.owed("m", None).since == since


def test_a_quota_that_is_used_up_inside_a_window(court: Made) -> None:
    rule = owes("q", "series:calls", "quota", most=1000.0, resets="0 0 * * *")
    floor = court(rule, series=(CALLS,), windows=(window("shift"),), now="05:10")
    say(floor, 3, calls=1000.0)
    assert [told for told in floor.told() if told[1] in ("BREACHED", "AT_RISK")] == []
    one = floor.owed("q", None)
    assert (one.state, one.due) == (Owed.SHIFTED, at("2026-11-21 00:00")), "its period ends when it does"
    while floor.now < at("06:20"):
        say(floor, 1, every=MINUTE, calls=1000.0)
    assert floor.told() == [("q", "BREACHED", True)]


def test_what_was_broken_before_a_window_stays_so(court: Made) -> None:
    floor = court(owes(above=100.0), windows=(window("waive"),), now="04:50")
    while floor.now < at("05:20"):
        say(floor, 1, lag=120.0)
    assert floor.told() == [("m", "BREACHED", True)]
    assert states(floor) == ["BREACHED"]


def test_a_window_of_another_thing_or_that_keeps_means_nothing(court: Made) -> None:
    other = (window("keep"), window("waive", on="series:calls"))
    floor = court(owes(above=100.0), windows=other, now="05:10")
    say(floor, 8, lag=120.0)
    assert floor.told() == [("m", "BREACHED", True)]
