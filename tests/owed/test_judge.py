"""The judge over a real store: finishes and starts, judged live from runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import Owed, State
from engine.store import runs
from tests.owed.court import DAY, HOUR, MINUTE, Court, at, expect

DATE = {"business_date": "2026-11-20"}


@pytest.fixture
def courts(tmp_path: Path) -> Iterator[list[Court]]:
    made: list[Court] = []
    yield made
    for court in made:
        court.close()


@pytest.fixture
def floor(tmp_path: Path, courts: list[Court]) -> Court:
    court = Court(tmp_path, expect("ready", due="06:00"), expect("starts", type="start_by"))
    courts.append(court)
    court.list("sales")
    return court


def test_a_day_that_goes_well(floor: Court) -> None:
    ready = floor.owed("ready")
    assert (ready.state, ready.due, ready.reason) == (Owed.PENDING, at("06:00"), "not started")
    assert ready.expectation == "finish by 06:00 Europe/Paris"
    assert floor.owed("starts").due == at("05:10")
    floor.until("05:01")
    floor.see(floor.run("r1", "sales", "05:00", **DATE))
    assert floor.owed("starts").state is Owed.MET
    assert floor.owed("ready").reason == "running since 05:00"
    floor.until("05:45")
    floor.see(floor.run("r1", "sales", "05:00", "05:44", **DATE))
    ready = floor.owed("ready")
    assert (ready.state, ready.reason, ready.met_at) == (Owed.MET, "succeeded 05:44, due 06:00", at("05:44"))
    assert ready.run_key == "air:sales/r1"
    assert floor.told() == [("starts", "MET", False), ("ready", "MET", False)]
    # of the thing the next one matters now
    assert floor.reader.owed_now()["air:sales"].due == at("2026-11-21 05:10")


def test_a_run_that_is_never_created(floor: Court) -> None:
    floor.until("05:09")
    assert floor.told() == []
    floor.until("05:11")
    starts = floor.owed("starts")
    assert (starts.state, starts.reason, starts.missed) == (Owed.BREACHED, "due 05:10: not started", True)
    assert floor.told() == [("starts", "BREACHED", True)]
    assert floor.ask("SELECT run, state, at, bdate FROM run") == [
        ("missed~2026-11-20T040000Z", 13, at("05:00"), 20261120)
    ]
    (now,) = floor.ask("SELECT state, strip FROM pipe_now")
    assert now == (13, bytes([13 << 4 | 1]))
    floor.until("06:01")
    assert floor.owed("ready").state is Owed.BREACHED
    assert floor.told() == [("ready", "BREACHED", True)]
    assert floor.reader.owed_now()["air:sales"].promise == "starts"


def test_a_late_match_fills_the_hole(floor: Court) -> None:
    floor.until("05:30")
    floor.told()
    floor.see(floor.run("r1", "sales", "05:29", **DATE))
    starts = floor.owed("starts")
    assert (starts.state, starts.lateness_ms, starts.missed) == (Owed.MET_LATE, 19 * MINUTE, False)
    assert floor.told() == [("starts", "MET_LATE", False)]
    assert floor.ask("SELECT run FROM run") == [("r1",)]
    assert floor.ask("SELECT sum(bad) FROM run_day") == [(0,)]
    assert floor.reader.run_count() == 1
    floor.until("06:20")
    floor.see(floor.run("r1", "sales", "05:29", "06:19", **DATE))
    assert (floor.owed("ready").state, floor.owed("ready").lateness_ms) == (Owed.MET_LATE, 19 * MINUTE)
    assert floor.told() == [("ready", "BREACHED", True), ("ready", "MET_LATE", False)]


def test_an_early_run_is_the_ticks_own(floor: Court) -> None:
    floor.until("04:57")
    floor.see(floor.run("r1", "sales", "04:56", **DATE))
    assert floor.owed("starts").state is Owed.MET


def test_a_newer_dates_success_does_not_hide_yesterdays_hole(floor: Court) -> None:
    floor.until("2026-11-21 05:10")
    floor.see(floor.run("r2", "sales", "2026-11-21 05:00", "2026-11-21 05:08", business_date="2026-11-21"))
    assert floor.owed("ready").state is Owed.BREACHED
    assert floor.owed("starts").state is Owed.BREACHED
    assert floor.owed("ready", "2026-11-21").state is Owed.MET
    floor.until("2026-11-21 09:00")
    floor.see(floor.run("r1", "sales", "2026-11-21 08:00", "2026-11-21 08:50", **DATE))
    assert floor.owed("ready").state is Owed.MET_LATE
    assert floor.owed("starts").state is Owed.MET_LATE


def test_failed_before_its_deadline_and_repaired(floor: Court) -> None:
    floor.until("05:12")
    floor.see(floor.run("r1", "sales", "05:00", "05:12", State.FAILED, **DATE))
    floor.told()
    assert floor.owed("ready").reason == "failed 05:12, a success is still owed"
    floor.until("05:30")
    floor.see(floor.run("r1", "sales", "05:29", attempt=2, **DATE))
    assert [e[3] for e in floor.owed("ready").evidence] == ["failed 05:12", "running since 05:29 (attempt 2)"]
    floor.until("06:01")
    (change,) = [c for c in floor.heard.changes if c.after.state is Owed.BREACHED]
    assert (change.run_key, change.bound.promise.id) == ("air:sales/r1", "ready")
    floor.see(floor.run("r1", "sales", "05:29", "05:59", attempt=2, **DATE))
    assert floor.owed("ready").state is Owed.MET


def test_people_are_told_after_the_grace_once(tmp_path: Path, courts: list[Court]) -> None:
    floor = Court(tmp_path, expect("ready", due="06:00", alert_if_late_by_ms=15 * MINUTE))
    courts.append(floor)
    floor.list("sales", schedule=None)
    floor.until("06:14")
    assert floor.told() == [("ready", "BREACHED", False)]
    floor.until("06:30")
    assert floor.told() == [("ready", "BREACHED", True)]
    floor.restart()
    floor.until("07:00")
    assert floor.told() == []


def test_an_unreachable_source_turns_nothing(floor: Court) -> None:
    floor.until("05:00")
    floor.see(floor.run("r1", "sales", "05:00", **DATE))
    floor.until("05:50")
    floor.told()
    floor.until("06:10", looked=False)
    ready = floor.owed("ready")
    assert ready.state is Owed.UNKNOWN
    assert ready.reason == "not seen since 05:50, it was due 06:00; last known: running since 05:00"
    assert floor.told() == [("ready", "UNKNOWN", False)]
    floor.see(floor.run("r1", "sales", "05:00", "05:58", **DATE))
    assert floor.owed("ready").state is Owed.MET


def test_a_due_time_waits_for_the_poll_that_was_asked_for(floor: Court) -> None:
    floor.until("05:00")
    floor.see(floor.run("r1", "sales", "05:00", **DATE))
    floor.until(at("05:59") + 58_000, every=10_000)
    floor.until(at("06:00") + 3_000, every=1_000, looked=False)
    assert floor.poked == ["air"]
    assert floor.owed("ready").state is Owed.PENDING
    floor.see()
    assert floor.owed("ready").state is Owed.BREACHED


def test_a_restart_in_the_middle(floor: Court) -> None:
    floor.until("05:11")
    floor.see(floor.run("r0", "sales", "2026-11-19 05:00", "2026-11-19 05:30", business_date="2026-11-19"))
    before = floor.all("ready"), floor.all("starts")
    floor.restart()
    floor.tick()
    assert (floor.all("ready"), floor.all("starts")) == before
    assert floor.told() == []
    floor.until("05:40")
    floor.see(floor.run("r1", "sales", "05:30", **DATE))
    assert floor.owed("starts").state is Owed.MET_LATE
    assert floor.ask("SELECT count(*) FROM run WHERE run GLOB 'missed~*'") == [(0,)]


def test_an_engine_that_was_down_opens_what_it_missed(floor: Court) -> None:
    floor.clock.at = at("2026-11-23 12:00")
    floor.restart()
    floor.see(
        floor.run("r1", "sales", "05:00", "05:40", **DATE),
        floor.run("r3", "sales", "2026-11-22 05:00", "2026-11-22 06:40", business_date="2026-11-22"),
        floor.run("r4", "sales", "2026-11-23 05:00", "2026-11-23 05:40", business_date="2026-11-23"),
    )
    assert floor.all("ready")[:4] == [
        ("2026-11-20", Owed.MET), ("2026-11-21", Owed.BREACHED), ("2026-11-22", Owed.MET_LATE), ("2026-11-23", Owed.MET),
    ]  # fmt: skip


def test_a_transaction_that_is_rolled_back_is_forgotten(floor: Court) -> None:
    floor.clock.at = at("05:02")

    def poll() -> None:
        with floor.store.transaction() as tx:
            seen = [floor.run("r1", "sales", "05:00", **DATE)]
            floor.judge.on_runs(tx, runs.apply_runs(tx, floor.ids["air"], seen, floor.now))
            raise RuntimeError("the disk")

    with pytest.raises(RuntimeError, match="the disk"):
        poll()
    assert floor.owed("starts").state is Owed.PENDING
    floor.until("05:11")
    assert floor.owed("starts").state is Owed.BREACHED


def test_gone_and_back(floor: Court) -> None:
    floor.until("04:50")
    floor.unlist("sales")
    assert floor.owed("ready").state is Owed.UNKNOWN
    assert floor.owed("ready").reason == "no longer at its source; not started"
    floor.until("06:10")
    assert floor.owed("ready").state is Owed.UNKNOWN
    assert not [c for c in floor.told() if c[1] == "BREACHED"]
    floor.list("sales")
    floor.tick()
    assert floor.owed("ready").state is Owed.BREACHED


def test_opened_a_day_ahead_and_never_twice(floor: Court) -> None:
    floor.until("2026-11-20 23:00", every=20 * MINUTE)
    dues = [r.due for r in floor.reader.owed(0, 1 << 60) if r.promise == "ready"]
    assert max(dues) == at("2026-11-21 06:00")
    floor.until("2026-11-25 05:30", every=20 * MINUTE)
    keys = [key for key, _ in floor.all("ready")]
    assert keys == [f"2026-11-{d}" for d in range(20, 27)][: len(keys)]
    assert keys[-1] in ("2026-11-25", "2026-11-26")
    for hour in range(0, 24, 5):
        floor.until(at("2026-11-25 05:30") + hour * HOUR, every=20 * MINUTE)
        first_not_open = max(r.due for r in floor.reader.owed(0, 1 << 60) if r.promise == "ready") + DAY
        assert first_not_open > floor.now + DAY
