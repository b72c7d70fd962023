"""What the outlook learns and from which runs: reruns, sets, full and incremental loads, levels that outlive a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.model import Course, RunKind, Shape, State
from engine.owed import past
from engine.owed.outlook import Outlook
from engine.owed.predict import Risk
from engine.owed.wording import rerun_words
from engine.store import runs, sources
from tests.owed.outlook_parts import MIXED, START, Night, at, bind, fact, occurrence
from tests.tui.stores import MINUTE


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


@pytest.fixture
def sales(night: Night) -> str:
    key = night.pipeline("sales", "0 5 * * *")
    night.took(key, MIXED)
    return key


# --- reruns, learning, sets -----------------------------------------------------------------------------------------


def test_failed_and_nothing_runs_is_predicted_as_a_rerun(night: Night, sales: str) -> None:
    said = night.say(sales, "05:28", [fact(f"{sales}/r", State.FAILED, START, "05:20")])
    assert said.prediction is not None
    assert said.prediction.course is Course.RERUN
    assert rerun_words(said.prediction, "UTC") == "if rerun now: 06:12 ± 7m"
    assert said.risk.at_risk
    assert said.words == "if rerun now: 06:12 ± 7m, not one of 20 past runs was done within 32m"
    again = night.say(
        sales,
        "05:28",
        [fact(f"{sales}/r", State.FAILED, START, "05:20"), fact(f"{sales}/r", State.RUNNING, "05:22", None, 2)],
    )
    assert again.prediction is not None
    assert again.prediction.course is Course.RUNNING


def test_learning(night: Night) -> None:
    key = night.pipeline("fresh", "0 5 * * *")
    night.took(key, [40] * 5)
    bare = night.say(key, "05:30", ()).prediction
    assert bare is not None
    assert (bare.course, bare.n, bare.p50, bare.late) == (Course.LEARNING, 5, None, None)
    assert night.say(key, "04:30", ()).look_at == at("04:31")
    said = night.say(key, "05:30", (), expected_ms=40 * MINUTE)
    assert said.prediction is not None
    assert (said.prediction.p50, said.prediction.latest_start) == (
        at("06:10"),
        at("05:20"),
    )
    assert said.risk.at_risk
    assert said.words == "must start by 05:20, that was 10m ago"
    going = night.say(key, "05:30", [fact(f"{key}/r", State.RUNNING, "05:10")], expected_ms=40 * MINUTE)
    assert not going.risk.at_risk
    assert going.prediction is not None
    assert going.prediction.p50 == at("05:50")
    late = night.say(key, "05:30", [fact(f"{key}/r", State.RUNNING, "05:25")], expected_ms=40 * MINUTE)
    assert late.words == "learning 5/8: by its declared duration done 06:05"


def test_learns_anew_when_a_run_ends(night: Night) -> None:
    key = night.pipeline("fresh", "0 5 * * *")
    night.took(key, [40] * 7, last_day=18)
    before = night.say(key, "05:00", ()).prediction
    night.took(key, [40], last_day=19)
    after = night.say(key, "05:00", ()).prediction
    assert before is not None
    assert after is not None
    assert (before.course, before.n, after.course, after.n) == (Course.LEARNING, 7, Course.WAITING, 8)


def test_history_that_nobody_told_of_comes_in_while_learning(night: Night) -> None:
    key = night.pipeline("fresh", "0 5 * * *")
    night.took(key, [40, 41])
    assert night.say(key, "04:00", ()).prediction is not None
    found = [
        night.one(key, f"b{n}", State.SUCCESS, at(START, n), at("05:40", n), f"2026-11-{n:02}", backfilled=True)
        for n in range(3, 18)
    ]
    with night.house.tx() as tx:
        runs.apply_runs(tx, night.house.ids["etl"], found, night.house.now)
    p = night.say(key, "04:01", ()).prediction
    assert p is not None
    assert (p.course, p.n) == (Course.WAITING, 13)
    with night.house.tx() as tx:
        assert len(past.held(tx).levels[1, Shape.FULL].whole.kept) == 17


def test_a_set_is_as_late_as_its_worst_member(night: Night, sales: str) -> None:
    quick = night.pipeline("quick", "30 4 * * *")
    night.took(quick, [5 + n % 2 for n in range(12)], "04:30")
    night.seen(night.one(quick, "q", State.SUCCESS, at("04:30"), at("04:36")))
    said = night.say("set:all", "05:10", (), members=(quick, sales), type="completeness", tick=None)
    assert said.risk.at_risk
    assert said.words == "sales: must start by 05:04, that was 5m ago"
    assert said.root is None
    night.seen(night.one(sales, "r", State.FAILED, at(START), at("05:09")))
    said = night.say("set:all", "05:30", (), members=(quick, sales), type="completeness", tick=None)
    assert said.root == sales


def test_full_and_incremental_runs_are_kept_apart(night: Night, sales: str) -> None:
    night.took(sales, [5 + n % 2 for n in range(12)], "12:00", shape=Shape.INCREMENTAL, kind=RunKind.SCHEDULED)
    night.seen(night.one(sales, "inc", State.RUNNING, at("05:00"), shape=Shape.INCREMENTAL))
    night.seen(night.one(sales, "full", State.RUNNING, at("05:00")))
    short = night.say(sales, "05:01", [fact(f"{sales}/inc", State.RUNNING, START)]).prediction
    long = night.say(sales, "05:01", [fact(f"{sales}/full", State.RUNNING, START)]).prediction
    assert short is not None
    assert long is not None
    assert (short.n, long.n) == (12, 20)
    assert short.p50 is not None
    assert short.p50 < at("05:07")


def test_a_clock_that_is_ahead_is_taken_into_account(night: Night, sales: str) -> None:
    with night.house.tx() as tx:
        sources.put_health(tx, night.house.ids["etl"], skew_ms=6 * MINUTE)
    said = night.say(sales, "05:44", [fact(f"{sales}/r", State.RUNNING, "05:06")]).prediction
    assert said is not None
    assert (said.start, said.outlived) == (at("05:00"), 10)


# --- levels ---------------------------------------------------------------------------------------------------------


def test_a_level_shift_is_told_once_and_a_restart_forgets_nothing(night: Night, sales: str) -> None:
    for n, day in enumerate((20, 23, 24, 25, 26)):
        if n == 3:  # the engine starts anew in between
            night.house.store.close()
            night.house.store = type(night.house.store).open(night.house.path, night.house.clock)
            night.ctx = night.context()
            night.outlook = Outlook(night.ctx)
        night.house.clock.at = at("08:00", day)
        night.seen(
            night.one(sales, f"n{day}", State.SUCCESS, at(START, day), at("06:58", day) + n * MINUTE, f"2026-11-{day}")
        )
        events = night.house.store._db.execute("SELECT thing, what, words FROM owed_event").fetchall()
        assert len(events) == (n == 4)
    assert events == [(sales, "level shift", "takes 2h 00m since Fri 20 Nov, was 44m")]
    night.house.clock.at = at("04:00", 27)
    with night.house.tx() as tx:
        said = night.outlook.say(
            tx,
            bind(sales),
            occurrence(sales, at(START, 27), at("08:00", 27), business_date="2026-11-27"),
            (),
            tx.now,
            Risk(),
        )
    assert said is not None
    assert said.prediction is not None
    assert said.prediction.basis.shift == at(START, 20)
    assert said.prediction.p50 is not None
    assert said.prediction.p50 - at(START, 27) > 100 * MINUTE


def test_levels_outlive_a_restart(night: Night, sales: str) -> None:
    night.say(sales, "05:00", ())
    for day in (20, 23, 24):  # fewer than are written at a time
        night.house.clock.at = at("08:00", day)
        night.seen(night.one(sales, f"n{day}", State.SUCCESS, at(START, day), at("05:45", day), f"2026-11-{day}"))
    spot = (1, Shape.FULL)
    with night.house.tx() as tx:
        before = past.held(tx).levels[spot]
        tx.memo.clear()
    assert len(before.whole.kept) == 22  # 74 min is odd
    night.say(sales, "05:00", ())
    with night.house.tx() as tx:
        assert past.held(tx).levels[spot] == before
    body = night.house.store._db.execute("SELECT body FROM baseline").fetchone()[0]
    stored = past.decode(body)
    assert stored is not None
    assert len(stored.whole.kept) < 22
    assert past.decode("{}") is None
    assert past.decode("nonsense") is None


def test_fetched_history_moves_the_levels_without_telling(night: Night) -> None:
    key = night.pipeline("moved", "0 5 * * *")
    night.took(key, [40] * 10 + [90] * 5, backfilled=True)
    night.say(key, "05:00", ())
    assert night.house.store._db.execute("SELECT count(*) FROM owed_event").fetchone()[0] == 0
    p = night.say(key, "05:00", ()).prediction
    assert p is not None
    assert p.basis.shift is not None
    assert p.p50 == at("06:30")
