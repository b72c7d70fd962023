"""Each type of promise through the judge: sets, sequences, heartbeats, feeds, checks; and what needs no configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Mode, Owed, RunKind, Severity, State, Trigger
from engine.config.model import Feed, PipelineRule
from tests.owed.court import DAY, HOUR, MINUTE, Court, at, expect

TODAY = {"business_date": "2026-11-20"}
Made = Callable[..., Court]


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, **more: Any) -> Court:
        made.append(Court(tmp_path, *expectations, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- completeness, sequence ---------------------------------------------------------------------------------------


def test_a_set_is_complete_when_all_are_done_for_the_date(court: Made) -> None:
    floor = court(expect("close", "set:close", "completeness", due="08:00", of=("air:c_*",)))
    floor.list("c_a", "c_b", "c_c", "other")
    one = floor.owed("close")
    assert (one.thing, one.members, one.state) == ("set:close", ("air:c_a", "air:c_b", "air:c_c"), Owed.PENDING)
    assert one.reason == "0 of 3 done, missing c_a, c_b, c_c"
    floor.until("06:00")
    floor.see(floor.run("1", "c_a", "05:00", "05:30", **TODAY), floor.run("1", "c_b", "05:00", "05:50", **TODAY))
    floor.see(floor.run("0", "c_c", "05:10", "05:55", business_date="2026-11-19"))  # of yesterday
    assert floor.owed("close").reason == "2 of 3 done, missing c_c"
    floor.until("08:01")
    assert floor.owed("close").state is Owed.BREACHED
    floor.until("08:30")
    floor.see(floor.run("1", "c_c", "07:50", "08:20", **TODAY))
    assert (floor.owed("close").state, floor.owed("close").lateness_ms) == (Owed.MET_LATE, 20 * MINUTE)
    # a pipeline that comes later is a member of what opens later
    floor.list("c_d")
    floor.until("2026-11-21 09:00", every=HOUR)
    assert len(floor.owed("close", "2026-11-22").members) == 4


def test_a_member_that_was_waived_is_excused(court: Made) -> None:
    floor = court(
        expect("close", "set:close", "completeness", due="08:00", of=("air:c_*",)), expect("b", "air:c_b", due="07:00")
    )
    floor.list("c_a", "c_b")
    floor.until("06:00")
    floor.see(floor.run("1", "c_a", "05:00", "05:30", **TODAY))
    waive(floor, floor.owed("b").key)
    assert floor.owed("b").state is Owed.WAIVED
    assert floor.owed("close").state is Owed.MET


def test_a_member_is_excused_for_the_date_that_it_has_itself(court: Made) -> None:
    floor = court(
        expect("close", "set:close", "completeness", due="08:00", of=("air:c_*",)), expect("b", "air:c_b", due="07:00"),
        pipelines=(PipelineRule(match="air:c_b", business_date="start - 1d"),),
    )  # fmt: skip
    floor.list("c_a", "c_b")
    floor.until("06:00")
    floor.see(floor.run("1", "c_a", "05:00", "05:30", **TODAY))
    waive(floor, floor.owed("b", "2026-11-19").key)
    assert (floor.owed("close").state, floor.owed("close").reason) == (
        Owed.MET,
        "1 of 2 done 05:30, 1 waived, due 08:00",
    )


def test_a_sequence_is_broken_by_the_order_of_one_date(court: Made) -> None:
    floor = court(expect("order", "air:load", "sequence", after="air:extract"))
    floor.list("extract", "load")
    floor.until("05:00")
    floor.see(floor.run("0", "extract", "2026-11-19 05:00", "2026-11-19 05:10", business_date="2026-11-19"))
    floor.see(floor.run("1", "extract", "05:00", **TODAY))
    floor.until("05:21")
    floor.see(floor.run("1", "load", "05:20", **TODAY))
    one = floor.owed("order")
    assert (one.state, one.reason) == (Owed.BREACHED, "started 2026-11-20 05:20 before its upstream succeeded")
    floor.until("2026-11-21 05:30")
    tomorrow = {"business_date": "2026-11-21"}
    floor.see(
        floor.run("2", "extract", "2026-11-21 05:00", "2026-11-21 05:10", **tomorrow),
        floor.run("2", "load", "2026-11-21 05:20", **tomorrow),
    )
    assert floor.owed("order", "2026-11-21").state is Owed.MET


# --- heartbeats, feeds, checks --------------------------------------------------------------------------------------


def beat(floor: Court, what: str = "ok", words: str | None = None) -> None:
    with floor.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO beat (name, at, what, words, who) VALUES ('backup', ?, ?, ?, 'ana')", (floor.now, what, words)
        )
        floor.judge.on_beat(tx, "backup")


def test_a_heartbeat_falls_silent_and_comes_back(court: Made) -> None:
    floor = court(expect("b", "ping:backup", "heartbeat", max_age_ms=HOUR))
    floor.tick()
    assert floor.owed("b", None).due == at("05:40")  # nothing was heard yet: owed from now on
    floor.until("05:30")
    beat(floor)
    assert floor.all("b") == [("2026-11-20T04:30Z", Owed.PENDING)]
    floor.until("06:20")
    beat(floor, "start")
    floor.until("06:31")
    assert (floor.owed("b", None).state, floor.told()) == (Owed.BREACHED, [("b", "BREACHED", True)])
    beat(floor)
    assert [state for _, state in floor.all("b")] == [Owed.MET_LATE, Owed.PENDING]
    assert floor.told() == [("b", "MET_LATE", False)]
    floor.until("06:32")
    beat(floor, "fail", "disk full")
    assert floor.all("b")[-1][1] is Owed.BREACHED
    assert "said it failed 06:32: disk full" in [r.reason for r in floor.reader.owed(0, 1 << 60)]
    floor.until("06:40")
    floor.restart()
    beat(floor)
    assert [state for _, state in floor.all("b")] == [Owed.MET_LATE, Owed.MET_LATE, Owed.PENDING]


def test_a_feed_arrives_late(court: Made) -> None:
    feed = Feed(name="bank", file="/in/bank_*.csv", feeds=("air:load",), timezone="Europe/Paris")
    floor = court(
        expect("arr", "feed:bank", "source_arrival", due="05:00", margin_ms=10 * MINUTE),
        expect("ready", "air:load", due="06:00"),
        feeds=(feed,),
    )
    floor.list("load")
    floor.put("INSERT INTO feed (name, file, looked) VALUES ('bank', '/in', ?)", floor.now)
    assert floor.reader.edges()[0].up == "feed:bank"

    def walk(time: str) -> None:
        while floor.now < at(time):
            floor.put("UPDATE feed SET looked = ?", floor.now + MINUTE)
            floor.until(floor.now + MINUTE)

    walk("05:09")
    assert floor.owed("arr").state is Owed.PENDING
    walk("05:12")
    assert (floor.owed("arr").state, floor.owed("arr").due) == (Owed.BREACHED, at("05:10"))
    walk("06:02")
    (change,) = [c for c in floor.heard.changes if c.bound.promise.id == "ready"]
    assert change.root == "feed:bank"
    with floor.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO arrival (feed, what, at, bdate, seen) VALUES ('bank', '/in/b.csv', ?, NULL, ?)",
            (at("06:01"), floor.now),
        )
        floor.judge.on_arrival(tx, "bank")
    assert (floor.owed("arr").state, floor.owed("arr").lateness_ms) == (Owed.MET_LATE, 51 * MINUTE)


def test_a_feed_that_nobody_could_look_at_is_unknown(court: Made) -> None:
    floor = court(
        expect("arr", "feed:bank", "source_arrival", due="05:00"), feeds=(Feed(name="bank", file="/in/bank_*.csv"),)
    )
    floor.put("INSERT INTO feed (name, file, looked) VALUES ('bank', '/in', ?)", at("04:50"))
    floor.until("05:05")
    assert floor.owed("arr").state is Owed.UNKNOWN


def test_finished_is_not_yet_verified(court: Made) -> None:
    rule = PipelineRule(match="air:sales", done_when=("rows", "file"))
    floor = court(expect("ready", due="06:00"), pipelines=(rule,))
    floor.list("sales")
    floor.until("05:41")
    floor.see(floor.run("r1", "sales", "05:00", "05:40", **TODAY))
    assert (floor.owed("ready").state, floor.owed("ready").reason) == (
        Owed.PENDING,
        "succeeded 05:40, not yet verified",
    )

    def passed(name: str, time: str) -> None:
        with floor.store.transaction() as tx:
            tx.db.execute(
                "INSERT INTO run_check (run_id, attempt, name, state, at) SELECT id, 1, ?, 1, ? FROM run",
                (name, at(time)),
            )
            floor.judge.on_checked(tx, "air:sales/r1")

    passed("rows", "05:41")
    assert floor.owed("ready").state is Owed.PENDING
    floor.until("06:05")
    assert floor.owed("ready").state is Owed.BREACHED
    passed("file", "06:03")
    assert (floor.owed("ready").state, floor.owed("ready").lateness_ms) == (Owed.MET_LATE, 3 * MINUTE)


# --- people ---------------------------------------------------------------------------------------------------------


def waive(floor: Court, key: str, until: int | None = None) -> None:
    with floor.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO waiver (occurrence, who, uid, reason, until, at) VALUES (?, 'ana', 1, 'bank holiday in Oslo', ?, ?)",
            (key, until, floor.now),
        )
        floor.judge.on_waived(tx, key)


def test_a_waiver_holds_until_its_end(court: Made) -> None:
    floor = court(expect("ready", due="06:00"))
    floor.list("sales")
    floor.until("06:10")
    floor.told()
    waive(floor, floor.owed("ready").key, at("07:00"))
    one = floor.owed("ready")
    assert (one.state, one.reason) == (Owed.WAIVED, "waived by ana until 07:00: bank holiday in Oslo")
    assert floor.told() == [("ready", "WAIVED", False)]
    floor.restart()
    floor.until("06:59")
    assert floor.owed("ready").state is Owed.WAIVED
    floor.until("07:01")
    assert floor.owed("ready").state is Owed.BREACHED
    waive(floor, floor.owed("ready").key)
    floor.until("12:00")
    assert floor.owed("ready").state is Owed.WAIVED


# --- without configuration ------------------------------------------------------------------------------------------


def test_a_missed_tick_needs_no_configuration(court: Made) -> None:
    floor = court()
    floor.list("sales")
    (row,) = floor.reader.owed(0, 1 << 60)
    assert (row.promise, row.declared, row.due, row.severity) == ("schedule", False, at("05:10"), Severity.LOW)
    floor.until("05:11")
    assert floor.told() == [("schedule", "BREACHED", True)]
    assert [r[0] for r in floor.ask("SELECT run FROM run")] == ["missed~2026-11-20T040000Z"]
    floor.see(floor.run("r1", "sales", "05:11", **TODAY))
    assert floor.told() == [("schedule", "MET_LATE", False)]
    floor.until("2026-11-21 05:01", every=10 * MINUTE)
    floor.see(floor.run("r2", "sales", "2026-11-21 05:00", business_date="2026-11-21"))
    # of what went well only the next one stays
    assert [state for _, state in floor.all("schedule")] == [Owed.MET_LATE, Owed.PENDING]
    assert floor.told() == []


def test_a_declared_start_takes_its_place(court: Made) -> None:
    floor = court(expect("s", type="start_by"))
    floor.list("sales")
    assert floor.all("schedule") == []
    floor.reload()
    assert [s for _, s in floor.all("schedule")] == [Owed.PENDING]
    assert floor.all("s") == []
    floor.reload(expect("s", type="start_by"))
    assert floor.all("schedule") == []
    assert floor.all("s") == [("2026-11-20T04:00Z", Owed.PENDING), ("2026-11-21T04:00Z", Owed.PENDING)]


def test_a_tick_that_its_source_skipped_is_left_out(court: Made) -> None:
    floor = court()
    floor.list("sales", schedule="0 * * * *")
    floor.until("05:01")
    floor.see(floor.run("r1", "sales", None, None, State.SKIPPED, queued=at("05:00")))
    floor.until("05:30")
    assert floor.told() == []
    assert floor.ask("SELECT run FROM run") == [("r1",)]
    assert [s for _, s in floor.all("schedule")] == [Owed.PENDING]


def test_a_run_that_waits_in_the_queue_is_no_missed_tick(court: Made) -> None:
    floor = court()
    floor.list("sales")
    floor.until("05:01")
    floor.see(floor.run("r1", "sales", None, None, State.QUEUED, queued=at("05:00"), **TODAY))
    floor.until("06:00")
    assert floor.told() == []


def test_frequent_schedules_leave_no_rows_behind(court: Made) -> None:
    floor = court()
    floor.list("often", schedule="*/5 * * * *")
    for n in range(24):
        tick = at("04:45") + n * 5 * MINUTE
        floor.until(tick + 30_000)
        floor.see(floor.run(f"r{n}", "often", tick + 5_000, tick + 20_000))
        assert floor.ask("SELECT count(*) FROM occurrence") == [(0,)]
    # one tick is missed; its row stays until the pipeline has run well for a while
    floor.until(floor.now + 13 * MINUTE, every=30_000)
    assert floor.told() == []
    floor.until(floor.now + 2 * MINUTE, every=30_000)
    assert floor.told() == [("schedule", "BREACHED", True)]
    missed = floor.all("schedule")
    assert [s for _, s in missed] == [Owed.BREACHED]
    for n in range(30, 36):
        tick = at("04:45") + n * 5 * MINUTE
        floor.until(tick + 30_000, every=30_000)
        if n == 31:
            floor.restart()
        floor.see(floor.run(f"r{n}", "often", tick + 5_000, tick + 20_000))
    assert [s for _, s in floor.all("schedule")][:1] == [Owed.EXCLUDED]
    assert not [s for _, s in floor.all("schedule") if s in (Owed.BREACHED, Owed.PENDING)]


def test_a_dead_scheduler_does_not_fill_the_store(court: Made) -> None:
    floor = court()
    floor.list("often", schedule="*/5 * * * *")
    floor.until(floor.now + 6 * HOUR, every=5 * MINUTE)
    assert len(floor.all("schedule")) == 20
    assert floor.reader.run_count() == 20


def test_silent_longer_than_ever(court: Made) -> None:
    floor = court()
    floor.list("files", schedule=None, trigger=Trigger.EVENT)
    floor.list("by_hand", schedule=None, trigger=Trigger.MANUAL)
    starts = [at("04:30") - n * 2 * HOUR for n in range(12)]
    starts[3] += 30 * MINUTE  # so that the longest pause is 2h 30m
    floor.see(*(floor.run(f"h{n}", p, s, s + MINUTE) for n, s in enumerate(starts) for p in ("files", "by_hand")))
    assert floor.ask("SELECT count(*) FROM occurrence") == [(0,)]
    floor.until("06:30")
    floor.see(floor.run("r", "files", "06:29", "06:31"))
    floor.until("09:13")  # 2 h 30 and a tenth after 06:29
    assert floor.told() == []
    floor.until("09:15")
    assert floor.told() == [("overdue", "BREACHED", True)]
    one = floor.owed("overdue", None)
    assert (one.thing, one.due) == ("air:files", at("06:29") + 165 * MINUTE)
    assert (
        one.reason == "due 09:14: not started, silent since its last start; longest pause of its last 13 runs: 2h 30m"
    )
    floor.restart()
    floor.until("09:30")
    assert floor.told() == []
    floor.see(floor.run("r2", "files", "09:29"))
    assert floor.told() == [("overdue", "MET_LATE", False)]
    floor.until("15:00", every=10 * MINUTE)  # it runs for hours: it is not silent
    assert floor.told() == []


def test_paused_pipelines_owe_nothing_by_default(court: Made) -> None:
    floor = court()
    floor.list("sales")
    floor.list("sales", mode=Mode.PAUSED)
    floor.until("05:30")
    assert (floor.told(), floor.all("schedule")) == ([], [])


def test_a_changed_schedule_of_the_source_drops_the_old_ticks(court: Made) -> None:
    floor = court(expect("s", type="start_by"))
    floor.list("sales")
    floor.list("sales", schedule="0 7 * * *")
    floor.until("06:00")
    assert floor.told() == []
    assert floor.owed("s").due == at("07:10")


def test_backfills_fill_no_hole_of_another_date(court: Made) -> None:
    floor = court(expect("ready", due="06:00"))
    floor.list("sales")
    floor.until("05:30")
    floor.see(
        floor.run("b", "sales", "05:00", "05:20", kind=RunKind.BACKFILL, business_date="2026-11-01", backfilled=True)
    )
    floor.until("06:01")
    assert floor.owed("ready").state is Owed.BREACHED


def test_the_days_of_the_holiday_are_left_out(court: Made) -> None:
    from engine.owed.calendar import BusinessCalendar
    from engine.owed.holidays import read_text

    bank = BusinessCalendar(name="bank", zone="Europe/Paris", holidays=read_text("11-20 Founders' day", "x").holidays)
    floor = court(expect("ready", due="06:00", calendar="bank"), calendars={"bank": bank})
    floor.list("sales", schedule=None)
    assert floor.owed("ready").state is Owed.EXCLUDED
    assert "holiday of bank" in floor.owed("ready").reason
    floor.until("06:30")
    assert floor.told() == []
    assert floor.now - DAY < floor.owed("ready").due
