"""A schedule that its source reads otherwise: what is due by the clock stays so, what hangs on our ticks is not owed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import Mode, Owed
from tests.owed.court import Court, at
from tests.owed.test_judge_types import expect

MISREAD = "30 6 * * *"  # as we read it; the source starts it at 05:30, because it means another zone


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Court]:
    court = Court(tmp_path, expect("ready", due="06:00"), expect("starts", type="start_by"))
    court.list("sales", schedule=MISREAD, next_run=at("05:30"))
    yield court
    court.close()


def test_the_run_of_today_keeps_the_promise_of_today_and_none_of_tomorrow(made: Court) -> None:
    made.until("05:31")
    made.list("sales", schedule=MISREAD, next_run=at("2026-11-21 05:30"))
    made.see(made.run("r", "sales", "05:30", "05:31", business_date="2026-11-20"))
    made.until("06:05")
    assert made.all("ready") == [("2026-11-20", Owed.MET), ("2026-11-21", Owed.PENDING)]


def test_ticks_that_are_none_are_not_missed(made: Court) -> None:
    made.until("07:30")
    assert made.all("starts") == made.all("schedule") == []
    assert {promise for promise, _, _ in made.told()} == {"ready"}
    with made.store.transaction() as tx:
        said = tx.db.execute("SELECT promise FROM owed_warning ORDER BY promise").fetchall()
    assert said == [("ready",), ("schedule",), ("starts",)]


def test_pausing_it_makes_our_ticks_no_truer(made: Court) -> None:
    made.list("sales", schedule=MISREAD, next_run=at("05:30"), mode=Mode.PAUSED)
    made.until("05:31")
    made.see(made.run("r", "sales", "05:30", "05:31", business_date="2026-11-20"))
    made.until("07:30")
    assert made.all("ready") == [("2026-11-20", Owed.MET), ("2026-11-21", Owed.PENDING)]
    assert made.all("starts") == []
