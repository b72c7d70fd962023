"""A limit that must be exceeded for a while, and an engine that starts anew meanwhile: what is stored says how long it was so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed
from engine.config.model import Expectation, Series, ValueRule
from tests.owed.court import HOUR, MINUTE, SECOND, Court, expect

Made = Callable[..., Court]
LAG, OTHER = Series("lag", "air", "lag", "messages"), Series("other", "air", "other", "messages")
EVERY = 15 * SECOND


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, series: tuple[Series, ...] = (LAG, OTHER), **more: Any) -> Court:
        made.append(Court(tmp_path, *expectations, series=series, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def owes(type: str = "metric", on: str = "series:lag", **rule: Any) -> Expectation:
    return expect("m", on, type, value=ValueRule(**{"for_ms": 10 * MINUTE, **rule}), alert_if_late_by_ms=0)


def say(floor: Court, ms: int, every: int = EVERY, **said: float) -> None:
    """So long the same, once every fifteen seconds."""
    for _ in range(ms // every):
        floor.clock.at += every
        floor.measure(**said)
        floor.tick()


def broken_within(floor: Court, ms: int, **said: float) -> bool:
    until = floor.now + ms
    while floor.now < until:
        say(floor, EVERY, **said)
        if ("m", "BREACHED", True) in floor.told():
            return True
    return False


BAD: list[tuple[Expectation, dict[str, float], dict[str, float]]] = [
    (owes(above=100.0), {"lag": 120.0}, {"lag": 50.0}),
    (owes(below=10.0), {"lag": 5.0}, {"lag": 50.0}),
    (owes(mean_above=100.0, window_ms=5 * MINUTE), {"lag": 120.0}, {"lag": 50.0}),
    (owes(peak_above=100.0, window_ms=MINUTE), {"lag": 120.0}, {"lag": 50.0}),
    (owes(above=0.01, events="series:other", min_events=100.0), {"lag": 0.5, "other": 900.0}, {"lag": 0.5, "other": 3.0}),
    (owes("reconcile", against="series:other"), {"lag": 120.0, "other": 100.0}, {"lag": 100.0, "other": 100.0}),
    (owes("volume", normal=(100.0, 900.0)), {"lag": 20.0}, {"lag": 200.0}),
    (owes("quota", most=100.0, resets="0 0 * * *"), {"lag": 120.0}, {"lag": 50.0}),
    (owes("budget", most=100.0), {"lag": 120.0}, {"lag": 0.01}),
]  # fmt: skip
NAMES = ["above", "below", "mean", "peak", "events", "reconcile", "volume", "quota", "budget"]


@pytest.mark.parametrize(("rule", "bad", "good"), BAD, ids=NAMES)
def test_a_restart_delays_no_alert(
    court: Made, rule: Expectation, bad: dict[str, float], good: dict[str, float]
) -> None:
    floor = court(rule)
    say(floor, 8 * MINUTE, **good)
    say(floor, 6 * MINUTE, **bad)
    floor.restart()
    say(floor, 2 * MINUTE, **bad)
    floor.restart()
    say(floor, MINUTE, **bad)
    assert ("m", "BREACHED", True) not in floor.told(), "nine minutes are not ten"
    assert broken_within(floor, 6 * MINUTE if rule.value and rule.value.mean_above else 2 * MINUTE, **bad)


@pytest.mark.parametrize(("rule", "bad", "good"), BAD, ids=NAMES)
def test_a_good_reading_before_the_restart_begins_it_anew(
    court: Made, rule: Expectation, bad: dict[str, float], good: dict[str, float]
) -> None:
    floor = court(rule)
    say(floor, 9 * MINUTE, **bad)
    say(floor, 2 * MINUTE, **good)
    say(floor, 8 * MINUTE, **bad)
    floor.restart()
    assert not broken_within(floor, MINUTE, **bad)
    assert broken_within(floor, 6 * MINUTE if rule.value and rule.value.mean_above else 2 * MINUTE, **bad)


def test_what_nobody_measured_does_not_count(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 6 * MINUTE, lag=120.0)
    floor.clock.at += 40 * MINUTE
    floor.restart()
    assert not broken_within(floor, 3 * MINUTE, lag=120.0), "it was seen to be so for nine minutes"
    assert broken_within(floor, 2 * MINUTE, lag=120.0)


def test_one_that_is_bad_for_hours_is_read_of_the_minutes(court: Made) -> None:
    floor = court(owes("volume", normal=(100.0, 900.0), for_ms=6 * HOUR), now="04:40")
    say(floor, 5 * HOUR, every=MINUTE, lag=20.0)
    floor.restart()
    assert not broken_within(floor, 50 * MINUTE, lag=20.0)
    assert broken_within(floor, 15 * MINUTE, lag=20.0)


def test_what_was_broken_says_since_when_after_a_restart(court: Made) -> None:
    floor = court(owes(above=100.0))
    first = floor.now + EVERY
    say(floor, 8 * MINUTE, lag=120.0)
    floor.restart()
    assert broken_within(floor, 4 * MINUTE, lag=120.0)
    one = floor.owed("m", None)
    assert one.state is Owed.BREACHED
    assert one.since is not None
    assert first <= one.since <= first + 10 * SECOND
