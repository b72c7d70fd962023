"""Freshness on bad days: dates in the future, partitions that go away again, rows that stay one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed
from engine.config.model import Series
from tests.owed.court import HOUR, SECOND, Court, at, expect

Made = Callable[..., Court]
NEWEST = Series("newest", "air", "newest", "time")
PARTITION = Series("partition", "air", "partition", "date")


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, **more: Any) -> Court:
        made.append(Court(tmp_path, *expectations, series=(NEWEST, PARTITION), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def date_of(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000


def measured(floor: Court, until: str, every: int = 30 * SECOND, **values: float) -> None:
    while floor.now < at(until):
        floor.clock.at += every
        floor.measure(**values)


def test_a_partition_that_was_there_in_time_may_go_away_again(court: Made) -> None:
    floor = court(expect("p", "series:partition", "freshness", by=7 * 60, business_date="start - 1d"))
    measured(floor, "06:00", partition=date_of("2026-11-19"))
    assert floor.owed("p", "2026-11-19").state is Owed.MET
    measured(floor, "08:00", partition=date_of("2026-11-18"))
    assert floor.told() == [("p", "MET", False)]
    assert floor.owed("p", "2026-11-19").state is Owed.MET, "it is dropped to be loaded again: it was there by seven"


@pytest.mark.parametrize("far", ["9999-12-31", "2027-03-01"])
def test_a_partition_of_far_in_the_future_is_no_partition(court: Made, far: str) -> None:
    floor = court(
        expect("p", "series:partition", "freshness", by=7 * 60, business_date="start - 1d"),
        expect("f", "series:partition", "freshness", max_age_ms=30 * HOUR),
    )
    measured(floor, "07:05", partition=date_of(far))
    assert floor.owed("p", "2026-11-19").state is Owed.UNKNOWN
    floor.until(floor.now + 31 * HOUR, every=HOUR)
    measured(floor, "2026-11-21 15:00", every=HOUR, partition=date_of(far))
    one = floor.owed("f", None)
    assert one.state is Owed.UNKNOWN
    assert "lies in the future" in one.reason


@pytest.mark.parametrize("value", [float(at("2031-01-01 00:00")), 1e18, -1e18])
def test_an_instant_that_cannot_be_is_none(court: Made, value: float) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "06:00", newest=value)
    one = floor.owed("f", None)
    assert one.state in (Owed.UNKNOWN, Owed.BREACHED)
    assert floor.lines == []


def test_a_partition_of_today_is_one_row(court: Made) -> None:
    """Its age counts from the end of its day: until then it is as fresh as can be, and nothing has to be written."""
    floor = court(expect("f", "series:partition", "freshness", max_age_ms=2 * HOUR))
    measured(floor, "04:45", partition=date_of("2026-11-20"))
    one = floor.owed("f", None)
    assert (one.state, one.due) == (Owed.PENDING, at("2026-11-21 02:00"))
    measured(floor, "05:45", partition=date_of("2026-11-20"))
    assert (floor.owed("f", None).id, floor.owed("f", None).key) == (one.id, one.key)


def test_a_clock_of_the_source_that_is_a_little_ahead(court: Made) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "04:45", newest=float(at("04:46")))
    one = floor.owed("f", None)
    assert (one.state, one.due) == (Owed.PENDING, at("05:46"))
    measured(floor, "05:47", newest=float(at("04:46")))
    assert floor.told() == [("f", "BREACHED", True)]


def test_a_value_that_goes_back_is_as_old_as_it_says(court: Made) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "04:50", newest=float(at("04:49")))
    measured(floor, "05:00", newest=float(at("04:10")))
    assert floor.owed("f", None).due == at("05:10")
    floor.restart()
    measured(floor, "05:11", newest=float(at("04:10")))
    assert floor.told() == [("f", "BREACHED", True)]
    floor.restart()
    measured(floor, "05:20", newest=float(at("05:19")))
    assert ("f", "MET_LATE", False) in floor.told()


def test_a_clock_that_goes_back_stops_nobody_from_looking(court: Made) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "05:31", newest=float(at("04:30")))
    assert floor.told() == [("f", "BREACHED", True)]
    floor.clock.at -= HOUR
    measured(floor, "04:35", newest=float(at("04:32")))
    assert floor.told() == [("f", "MET", False)], "by this clock it never was late"
