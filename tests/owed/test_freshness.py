"""Freshness: by age of a value, an asset or a success, and by partition at a time of day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed, RunKind
from engine.config.model import Moment, Series, Window
from tests.owed.court import HOUR, MINUTE, SECOND, Court, at, expect

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


def measured(floor: Court, until: str, **values: float) -> None:
    """The same answer each half minute until then."""
    while floor.now < at(until):
        floor.clock.at += 30 * SECOND
        floor.measure(**values)


def test_a_value_grows_old(court: Made) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "04:50", newest=float(at("04:30")))
    one = floor.owed("f", None)
    assert (one.state, one.due, one.reason) == (Owed.PENDING, at("05:30"), "newest value 04:30")
    measured(floor, "05:10", newest=float(at("04:30")))
    measured(floor, "05:20", newest=float(at("05:10")))
    assert floor.owed("f", None).due == at("06:10")
    assert floor.told() == [], "each newer value moves it on"
    measured(floor, "06:11", newest=float(at("05:10")))
    assert floor.told() == [("f", "BREACHED", True)]
    assert floor.owed("f", None).reason == "due 06:10: newest value 05:10"
    measured(floor, "06:20", newest=float(at("05:11")))
    assert floor.told() == [], "newer, and too old all the same"
    measured(floor, "06:31", newest=float(at("05:11")))
    measured(floor, "06:40", newest=float(at("06:30")))
    assert floor.told() == [("f", "MET_LATE", False)]
    assert [s for _, s in floor.all("f")] == [Owed.MET_LATE, Owed.PENDING]


def test_what_is_not_measured_is_unknown(court: Made) -> None:
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR))
    measured(floor, "04:50", newest=float(at("04:30")))
    floor.measure(failed="refused")
    floor.until("05:40")
    one = floor.owed("f", None)
    assert one.state is Owed.UNKNOWN
    assert "not seen since 04:50" in one.reason
    assert "refused" in one.reason
    measured(floor, "05:45", newest=float(at("05:41")))
    assert floor.owed("f", None).state is Owed.PENDING


def test_a_partition_is_there_by_seven(court: Made) -> None:
    floor = court(expect("p", "series:partition", "freshness", by=7 * 60, business_date="start - 1d"))
    measured(floor, "06:00", partition=date_of("2026-11-18"))
    one = floor.owed("p", "2026-11-19")
    assert (one.state, one.due) == (Owed.PENDING, at("07:00"))
    assert one.expectation == "fresh by 07:00 Europe/Paris"
    measured(floor, "06:30", partition=date_of("2026-11-19"))
    one = floor.owed("p", "2026-11-19")
    assert one.state is Owed.MET
    assert one.reason == "partition 2026-11-19 seen 06:00, due 07:00"


def test_an_old_partition_that_is_filled_does_not_make_it_fresh(court: Made) -> None:
    floor = court(expect("p", "series:partition", "freshness", by=7 * 60, business_date="start - 1d"))
    measured(floor, "07:05", partition=date_of("2026-11-18"))
    assert floor.told() == [("p", "BREACHED", True)]
    measured(floor, "07:30", partition=date_of("2026-11-20"))
    assert floor.told() == [("p", "MET_LATE", False), ("p", "MET", False)], "and the next one's is there already"


def test_nobody_looked_at_the_partition(court: Made) -> None:
    floor = court(expect("p", "series:partition", "freshness", by=7 * 60, business_date="start - 1d"))
    measured(floor, "06:00", partition=date_of("2026-11-18"))
    floor.measure(failed="refused")
    floor.until("07:05")
    assert floor.owed("p", "2026-11-19").state is Owed.UNKNOWN


def test_the_age_of_a_partition_counts_from_the_end_of_its_day(court: Made) -> None:
    floor = court(expect("f", "series:partition", "freshness", max_age_ms=30 * HOUR))
    measured(floor, "04:45", partition=date_of("2026-11-19"))
    assert floor.owed("f", None).due == at("2026-11-20 00:00") + 30 * HOUR


def test_a_backup_has_a_recovery_point(court: Made) -> None:
    """RPO: the age of the last good backup; the countdown is the due time."""
    floor = court(expect("rpo", "air:backup", "freshness", max_age_ms=26 * HOUR))
    floor.list("backup", schedule=None)
    floor.see(floor.run("b1", "backup", "04:30", "04:41"))
    one = floor.owed("rpo", None)
    assert (one.state, one.due, one.expectation) == (Owed.PENDING, at("04:41") + 26 * HOUR, "not older than 26h")
    assert one.reason == "last success 04:41"
    floor.until(at("04:41") + 26 * HOUR + 10 * MINUTE, every=10 * MINUTE)
    assert floor.told() == [("rpo", "BREACHED", True)]
    floor.see(floor.run("b2", "backup", floor.now - 5 * MINUTE, floor.now - MINUTE))
    assert floor.told() == [("rpo", "MET_LATE", False)]


def test_a_backfill_does_not_refresh_a_pipeline(court: Made) -> None:
    floor = court(expect("rpo", "air:backup", "freshness", max_age_ms=2 * HOUR))
    floor.list("backup", schedule=None)
    floor.see(floor.run("b1", "backup", "04:30", "04:41"))
    floor.until("05:30")
    floor.see(floor.run("old", "backup", "05:20", "05:31", kind=RunKind.BACKFILL))
    assert floor.owed("rpo", None).due == at("06:41")


def test_a_pipeline_by_a_time_of_day_is_its_business_date(court: Made) -> None:
    floor = court(expect("p", "air:sales", "freshness", by=6 * 60))
    floor.list("sales")
    floor.see(floor.run("r1", "sales", "05:00", "05:20", business_date="2026-11-20"))
    assert floor.owed("p").state is Owed.MET


def test_an_asset(court: Made) -> None:
    floor = court(expect("a", "asset:DKU.orders", "freshness", max_age_ms=HOUR))
    floor.put(
        "INSERT INTO asset (key, source_id, name, last_event, seen) VALUES ('air:DKU.orders', ?, 'DKU.orders', ?, ?)",
        floor.ids["air"], at("04:00"), floor.now,
    )  # fmt: skip
    floor.put("UPDATE source_health SET last_ok = ?", floor.now)
    floor.until("04:45")
    one = floor.owed("a", None)
    assert (one.state, one.due, one.reason) == (Owed.PENDING, at("05:00"), "last made 04:00")


def test_a_closed_window_moves_it(court: Made) -> None:
    quiet = Window(
        name="w",
        on="series:*",
        kind="maintenance",
        start=Moment(300),
        end=Moment(420),
        timezone="Europe/Paris",
        expect="shift",
    )
    floor = court(expect("f", "series:newest", "freshness", max_age_ms=HOUR), windows=(quiet,))
    measured(floor, "04:45", newest=float(at("04:30")))
    assert floor.owed("f", None).due == at("07:15")
