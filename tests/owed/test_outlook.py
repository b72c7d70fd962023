"""The outlook on a real store: the design's worked night minute by minute, chains, reruns, learning, levels that outlive a restart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Listing
from adapters.model import Course, Health, Mode, Owed, Pipeline, Run, RunKind, Severity, Shape, State, pipeline_key
from engine.context import Context
from engine.owed import past
from engine.owed.bound import Bound
from engine.owed.history import DayClass, day_class
from engine.owed.matching import RunFact
from engine.owed.occurrences import Occurrence, Promise
from engine.owed.outlook import Outlook, Said
from engine.owed.predict import Risk
from engine.owed.wording import rerun_words
from engine.store import owed, pipelines, runs, sources
from engine.store.runs import RunChange
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House

MIXED = (44, 61, 41, 47, 38, 45, 52, 42, 43, 74, 40, 46, 55, 41, 44, 49, 42, 45, 43, 48)
"""The worked example's history in an order that has no trend: p50 44.5, p90 55.6 minutes."""
START, DUE = "05:00", "06:00"


def at(words: str, day: int = 20) -> int:
    """UTC on Fri 20 Nov 2026."""
    hours, minutes, *seconds = (int(w) for w in words.split(":"))
    return int(datetime(2026, 11, day, hours, minutes, *seconds, tzinfo=UTC).timestamp() * 1000)


class Night:
    """A house with an outlook on it."""

    def __init__(self, folder: Path, now: str = "04:00") -> None:
        self.house = House(folder, at(now))
        self.source("etl")
        self.asked: list[str] = []
        self.ctx = self.context()
        self.outlook = Outlook(self.ctx)

    def context(self) -> Context:
        nothing: Any = None
        return Context(
            clock=self.house.clock, store=self.house.store, config=nothing, places=nothing, adapters={}, source_ids=self.house.ids,
            poll_soon=lambda name: None, log=lambda line: None, look_soon=self.asked.append,
        )  # fmt: skip

    def source(self, name: str, **more: Any) -> None:
        self.house.source(name, kind="local", **more)

    def pipeline(self, name: str, schedule: str | None = None, mode: Mode = Mode.ACTIVE) -> str:
        key = pipeline_key("etl", name)
        item = Pipeline(key=key, name=name, schedule=schedule, timezone="UTC", mode=mode)
        with self.house.tx() as tx:
            pipelines.apply_pipelines(tx, self.house.ids["etl"], Listing([item], complete=False), [])
        return key

    def took(self, key: str, minutes: Sequence[float], start: str = START, last_day: int = 19, **more: Any) -> None:
        """Finished runs, one on each weekday that is no month-end, the last on the 19th (Thursday)."""
        found: list[Run] = []
        day = at(start, last_day)
        for n, ran in enumerate(reversed(minutes)):
            moment = datetime.fromtimestamp(day / 1000, UTC)
            found.append(
                self.one(
                    key,
                    f"h{n:03d}-{day}",
                    State.SUCCESS,
                    day,
                    day + round(ran * MINUTE),
                    moment.date().isoformat(),
                    **more,
                )
            )
            day -= DAY
            while day_class(datetime.fromtimestamp(day / 1000, UTC).date()) is not DayClass.WEEKDAY:
                day -= DAY
        self.seen(*found)

    def one(
        self,
        key: str,
        name: str,
        state: State,
        started: int | None,
        ended: int | None = None,
        date: str | None = "2026-11-20",
        **more: Any,
    ) -> Run:
        return Run(
            key=f"{key}/{name}",
            native=state.name.lower(),
            state=state,
            started=started,
            ended=ended,
            business_date=date,
            **more,
        )

    def seen(self, *found: Run) -> list[RunChange]:
        with self.house.tx() as tx:
            changes = runs.apply_runs(tx, self.house.ids["etl"], found, self.house.now)
            self.outlook.on_runs(tx, changes)
        return changes

    def edges(self, *edges: tuple[str, str]) -> None:
        with self.house.tx() as tx:
            self.outlook.configured(tx, [(a, b, "after") for a, b in edges])

    def say(
        self,
        key: str,
        when: str,
        found: Sequence[RunFact] = (),
        risk: Risk | None = None,
        tick: str | None = START,
        due: str = DUE,
        **more: Any,
    ) -> Said:
        self.house.clock.at = at(when)
        bound = bind(key, **{k: more.pop(k) for k in ("expected_ms", "warn") if k in more})
        one = occurrence(key, None if tick is None else at(tick), at(due), **more)
        with self.house.tx() as tx:
            said = self.outlook.say(tx, bound, one, found, self.house.now, risk or Risk())
        assert said is not None
        return said


def bind(key: str, type: str = "finish_by", **more: Any) -> Bound:
    return Bound(
        id=1,
        promise=Promise(id="p", type=type, on=key),
        severity=Severity.HIGH,
        words="finish by 06:00",
        pipeline_id=1,
        **more,
    )


def occurrence(thing: str, tick: int | None, due: int, **more: Any) -> Occurrence:
    one = Occurrence(
        key=f"p|{thing}|2026-11-20", promise="p", type="finish_by", on=thing, zone="UTC", business_date="2026-11-20", tick=tick,
        from_at=due - DAY, declared_at=due, due_at=due, alert_at=due, dated=True, by_clock=True,
    )  # fmt: skip
    return replace(one, **more)


def fact(run: str, state: State, started: str, ended: str | None = None, attempt: int = 1) -> RunFact:
    return RunFact(
        key=run,
        state=state,
        attempt=attempt,
        business_date="2026-11-20",
        started=at(started),
        ended=None if ended is None else at(ended),
    )


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


@pytest.fixture
def sales(night: Night) -> str:
    key = night.pipeline("sales", "0 5 * * *")
    night.took(key, MIXED)
    return key


# --- the worked example ---------------------------------------------------------------------------------------------


def test_the_worked_night_minute_by_minute(night: Night, sales: str) -> None:
    going = fact(f"{sales}/r", State.RUNNING, START)
    night.seen(night.one(sales, "r", State.RUNNING, at(START)))
    said: dict[str, Said] = {}
    risk = Risk()
    for minute in range(0, 76):
        when = f"{5 + minute // 60:02}:{minute % 60:02}"
        said[when] = night.say(sales, when, [going], risk)
        risk = said[when].risk

    def told(when: str) -> tuple[float | None, int]:
        p = said[when].prediction
        assert p is not None
        return p.late, p.outlived

    assert [told(w) for w in ("05:00", "05:44", "05:50", "05:56")] == [(0.10, 20), (0.20, 10), (0.50, 4), (1.0, 2)]
    first = said["05:00"].prediction
    assert first is not None
    assert first.latest_start == at("05:04:24")
    assert (first.p50, first.p90) == (at("05:44:30"), at("05:55:36"))
    middle = said["05:44"].prediction
    assert middle is not None
    assert middle.p50 == at("05:48:30")
    last = said["06:15"].prediction
    assert last is not None
    assert (last.course, last.late) == (Course.OVERRUN, 1.0)
    assert said["05:48"].words is None
    assert said["05:49"].risk == Risk(False, 1)
    assert said["05:49"].look_at == at("05:49:10")
    assert said["05:50"].risk.at_risk
    assert said["05:50"].words == (
        "p50 05:58, p90 06:10: 2 of the 4 of 20 past runs that took this long took longer than 1h 00m"
    )
    assert said["06:14"].words == "longer than all 20 known runs"


def test_looks_again_when_the_next_past_run_is_outlived(night: Night, sales: str) -> None:
    going = fact(f"{sales}/r", State.RUNNING, START)
    said = night.say(sales, "05:00", [going])
    assert said.look_at == at("05:38")
    assert night.say(sales, "05:38", [going]).look_at == at("05:40")
    before, after = night.say(sales, "05:39:59", [going]).prediction, night.say(sales, "05:40", [going]).prediction
    assert before is not None
    assert after is not None
    assert (before.outlived, after.outlived) == (19, 18)
    assert night.say(sales, "05:56", [going]).look_at == at("05:56:10")  # P is 1.0: to be confirmed
    assert night.say(sales, "05:56", [going], Risk(True, 2)).look_at == at("06:00")


def test_must_start_by(night: Night, sales: str) -> None:
    calm = night.say(sales, "05:04", ())
    assert calm.words is None
    assert not calm.risk.at_risk
    assert calm.look_at is not None
    assert calm.look_at <= at("05:04:24") + 1
    late = night.say(sales, "05:09", ())
    assert late.risk.at_risk
    assert late.words == "must start by 05:04, that was 4m ago"
    assert late.prediction is not None
    assert late.prediction.course is Course.WAITING
    assert night.say(sales, "05:09", [fact(f"{sales}/r", State.RUNNING, "05:04")], late.risk).risk.at_risk is False


def test_not_one_of_all_was_as_quick(night: Night, sales: str) -> None:
    said = night.say(sales, "04:00", (), Risk(False, 1), tick="05:30")
    assert said.prediction is not None
    assert said.prediction.late == 1.0
    assert not said.risk.at_risk  # when the first look was is not known any more: ten seconds from now
    night.house.clock.at += 10 * SECOND
    again = night.say(sales, "04:00:10", (), said.risk, tick="05:30")
    assert again.words == "p50 06:14, p90 06:25: not one of 20 past runs was done within 30m"


# --- hysteresis -----------------------------------------------------------------------------------------------------


def test_at_risk_after_two_looks_ten_seconds_apart_and_out_well_below(night: Night, sales: str) -> None:
    going = fact(f"{sales}/r", State.RUNNING, START)
    one = night.say(sales, "05:50", [going])
    soon = night.say(sales, "05:50:04", [going], one.risk)
    assert (one.risk, soon.risk) == (Risk(False, 1), Risk(False, 1))
    assert soon.look_at == at("05:50:10")
    risk = night.say(sales, "05:50:10", [going], soon.risk).risk
    assert risk.at_risk
    stays = night.say(sales, "05:48", [going], risk)  # P 0.4
    assert stays.prediction is not None
    assert stays.prediction.late == pytest.approx(0.4)
    assert stays.risk.at_risk
    assert stays.words
    out = night.say(sales, "05:45", [going], risk)  # P 0.25
    assert not out.risk.at_risk
    assert out.words is None


def test_silence_of_the_source_puts_nothing_at_risk(night: Night, sales: str) -> None:
    with night.house.tx() as tx:
        sources.put_health(tx, night.house.ids["etl"], health=int(Health.UNREACHABLE), last_ok=at("05:01"))
    said = night.say(sales, "05:40", ())
    assert not said.risk.at_risk
    assert said.words is None
    held = night.say(sales, "05:40", (), Risk(True, 2))
    assert held.risk == Risk(True, 2)
    assert held.words


# --- upstream -------------------------------------------------------------------------------------------------------


def chain(night: Night) -> tuple[str, str, str]:
    raw, stage, mart = night.pipeline("raw", "0 3 * * *"), night.pipeline("stage"), night.pipeline("mart")
    for key, minutes in ((raw, 30), (stage, 20), (mart, 10)):
        night.took(key, [minutes + (n % 3) for n in range(12)], "03:00")
    night.edges((raw, stage), (stage, mart))
    return raw, stage, mart


def test_a_chain_of_three_starts_when_the_last_of_it_is_done(night: Night) -> None:
    raw, stage, mart = chain(night)
    night.seen(night.one(raw, "r", State.RUNNING, at("03:00")))
    said = night.say(mart, "03:10", (), tick=None, due="04:00")
    p = said.prediction
    assert p is not None
    assert p.start == at("03:00") + (32 + 22) * MINUTE  # p90 of raw from its start, then p90 of stage
    assert (p.course, p.late, said.root) == (Course.WAITING, 1.0, None)
    night.seen(night.one(raw, "r", State.SUCCESS, at("03:00"), at("03:12")))
    p = night.say(mart, "03:12", (), tick=None, due="04:00").prediction
    assert p is not None
    assert p.start == at("03:12") + 22 * MINUTE
    night.seen(night.one(stage, "s", State.RUNNING, at("03:12")))
    night.seen(night.one(stage, "s", State.SUCCESS, at("03:12"), at("03:30")))
    p = night.say(mart, "03:31", (), tick=None, due="04:00").prediction
    assert p is not None
    assert p.start == at("03:31")


def test_yesterdays_success_upstream_does_not_count(night: Night) -> None:
    _raw, stage, mart = chain(night)
    night.seen(night.one(stage, "old", State.SUCCESS, at("02:30"), at("02:45"), "2026-11-19"))
    p = night.say(mart, "02:50", (), tick=None, due="05:00").prediction
    assert p is not None
    assert p.start == at("03:00") + (32 + 22) * MINUTE


def test_what_failed_upstream_is_the_root(night: Night) -> None:
    raw, _stage, mart = chain(night)
    night.seen(night.one(raw, "r", State.FAILED, at("03:00"), at("03:20")))
    first = night.say(mart, "03:20", (), tick=None, due="04:20")
    said = night.say(mart, "03:21", (), first.risk, tick=None, due="04:20")
    p = said.prediction
    assert p is not None
    assert p.start == at("03:21") + (32 + 22) * MINUTE
    assert said.risk.at_risk
    assert said.root == raw
    assert said.words is not None
    assert said.words.startswith("waits for stage (p90 04:15), p50 04:26, p90 04:27: not one of 12")


def test_a_cycle_ends(night: Night) -> None:
    raw, stage, mart = chain(night)
    night.edges((raw, stage), (stage, mart), (mart, raw), (mart, mart))
    p = night.say(mart, "03:10", (), tick=None, due="06:00").prediction
    assert p is not None
    assert p.start == at("03:10") + (32 + 22) * MINUTE


def test_a_feed_that_is_late_counts_from_now(night: Night) -> None:
    mart = night.pipeline("mart", "0 4 * * *")
    night.took(mart, [10 + n % 3 for n in range(12)], "04:00")
    night.edges(("feed:eia", mart))
    with night.house.tx() as tx:
        record = owed.ExpectationRecord(
            promise="eia", thing="feed:eia", pipeline_id=None, type="source_arrival", severity=Severity.HIGH, declared=True, words="", zone="UTC"
        )  # fmt: skip
        feed = occurrence(
            "feed:eia", None, at("03:30"), type="source_arrival", key="eia|feed:eia|2026-11-20", promise="eia"
        )
        (made,) = owed.insert_occurrences(tx, owed.put_expectation(tx, record), [feed])

    def starts(when: str, risk: Risk | None = None) -> tuple[int, str | None]:
        said = night.say(mart, when, (), risk, tick="04:00", due="04:30")
        assert said.prediction is not None
        return said.prediction.start, said.root

    assert starts("03:00") == (at("04:00"), None)
    assert starts("04:25", Risk(True, 2)) == (at("04:25"), "feed:eia")
    with night.house.tx() as tx:
        owed.update_occurrence(tx, made, replace(feed, state=Owed.MET_LATE, met_at=at("04:24")))
    assert starts("04:25", Risk(True, 2)) == (at("04:25"), None)


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


def test_costs_little_when_nothing_is_learnt(night: Night, sales: str) -> None:
    bound, one = bind(sales), occurrence(sales, at(START), at(DUE))
    going = (fact(f"{sales}/r", State.RUNNING, START),)
    night.house.clock.at = at("05:30")
    best = 1e9
    with night.house.tx() as tx:
        night.outlook.say(tx, bound, one, going, tx.now, Risk())
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(500):
                night.outlook.say(tx, bound, one, going, tx.now, Risk())
            best = min(best, (time.perf_counter() - began) / 500)
    print(f"say {best * 1e6:.1f} µs")
    assert best < 100e-6  # 20 µs alone; the machine may be shared


def test_other_types_are_not_predicted(night: Night, sales: str) -> None:
    with night.house.tx() as tx:
        assert (
            night.outlook.say(
                tx, bind(sales, "sequence"), occurrence(sales, None, at(DUE), type="sequence"), (), tx.now, Risk()
            )
            is None
        )
        assert (
            night.outlook.say(tx, bind("etl:none"), occurrence("etl:none", None, at(DUE)), (), tx.now, Risk()) is None
        )
    assert HOUR
