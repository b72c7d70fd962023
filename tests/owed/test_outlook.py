"""The outlook on a real store: the design's worked night minute by minute, in and out of risk, chains."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import Course, Health, Owed, Severity, State
from engine.owed.outlook import Said
from engine.owed.predict import Risk
from engine.store import owed, sources
from tests.owed.outlook_parts import DUE, MIXED, START, Night, at, bind, fact, occurrence
from tests.tui.stores import MINUTE, SECOND


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


# --- what it costs, and of what it says nothing -----------------------------------------------------------------------


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
