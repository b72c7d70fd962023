"""What is owed again and again after the last sign of life is never given up: by no window, by no closed date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed, Trigger
from engine.config.model import Moment, Window
from engine.owed.calendar import BusinessCalendar
from tests.owed.court import HOUR, MINUTE, Court, at, expect
from tests.owed.test_judge_types import beat

Made = Callable[..., Court]
BANK = BusinessCalendar(name="bank", zone="Europe/Paris")


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, **more: Any) -> Court:
        made.append(Court(tmp_path, *expectations, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def window(start: int, end: int) -> Window:
    return Window(
        name="patching", on="*", kind="maintenance", start=Moment(minute=start), end=Moment(minute=end), timezone="Europe/Paris",
        expect="waive", post_grace_ms=15 * MINUTE,
    )  # fmt: skip


def only(floor: Court, promise: str) -> Any:
    assert len(floor.all(promise)) == 1
    return floor.owed(promise, None)


def test_a_heartbeat_that_stops_before_a_waived_window_is_missed_after_it(court: Made) -> None:
    floor = court(
        expect("b", "ping:backup", "heartbeat", max_age_ms=HOUR), windows=(window(120, 360),), now="2026-11-20 01:30"
    )
    floor.tick()
    beat(floor)
    floor.until("06:10", every=10 * MINUTE)
    assert (only(floor, "b").state, only(floor, "b").due) == (Owed.SHIFTED, at("06:15"))
    floor.until("06:20", every=MINUTE)
    assert only(floor, "b").state is Owed.BREACHED
    assert floor.told() == [("b", "BREACHED", True)]


def test_closed_dates_are_no_silence(court: Made) -> None:
    floor = court(
        expect("b", "ping:backup", "heartbeat", max_age_ms=26 * HOUR, calendar="bank"), calendars={"bank": BANK},
        now="2026-11-20 20:00",
    )  # fmt: skip
    floor.tick()
    beat(floor)  # on Friday evening: 4 hours of Friday and 22 of Monday
    assert only(floor, "b").due == at("2026-11-23 22:00")
    floor.until("2026-11-23 21:50", every=HOUR)
    assert only(floor, "b").state is Owed.PENDING
    floor.until("2026-11-23 22:01")
    assert only(floor, "b").state is Owed.BREACHED


def test_who_fell_silent_on_a_closed_date_is_missed_on_the_next_open_one(court: Made) -> None:
    floor = court(
        expect("b", "ping:backup", "heartbeat", max_age_ms=2 * HOUR, calendar="bank"), calendars={"bank": BANK},
        now="2026-11-21 20:00",
    )  # fmt: skip
    floor.tick()
    beat(floor)
    floor.until("2026-11-23 01:50", every=HOUR)
    assert (only(floor, "b").state, only(floor, "b").due) == (Owed.PENDING, at("2026-11-23 02:00"))
    floor.restart()
    floor.until("2026-11-23 02:01")
    assert only(floor, "b").state is Owed.BREACHED


def test_a_calendar_that_never_opens_owes_it_all_the_same(court: Made) -> None:
    never = BusinessCalendar(name="bank", zone="Europe/Paris", weekdays=frozenset())
    floor = court(expect("b", "ping:backup", "heartbeat", max_age_ms=HOUR, calendar="bank"), calendars={"bank": never})
    floor.tick()
    beat(floor)
    assert only(floor, "b").due == at("05:40")


def test_silence_beyond_its_history_is_told_after_a_waived_window(court: Made) -> None:
    floor = court(windows=(window(1380, 30),), now="2026-11-19 22:59")
    floor.list("adhoc", schedule=None, trigger=Trigger.EVENT)
    for hour in range(10, 23):
        floor.see(floor.run(str(hour), "adhoc", f"2026-11-19 {hour}:00", f"2026-11-19 {hour}:05"))
    floor.until("2026-11-20 01:20", every=10 * MINUTE)
    assert [state for _, state in floor.all("overdue")] == [Owed.BREACHED]
