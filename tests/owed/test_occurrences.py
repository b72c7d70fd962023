"""What opens: due times by the clock and after ticks, calendars, windows, business dates, reload; and which run is whose."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Owed, RunKind, State
from adapters.schedule import parse
from engine.config import model
from engine.owed.calendar import DAY_MS, BusinessCalendar, parse_days
from engine.owed.holidays import read_text
from engine.owed.matching import RunFact, match
from engine.owed.occurrences import (
    Occurrence,
    Promise,
    disagreement,
    open_between,
    promise,
    reload,
    rolling,
)
from engine.owed.windows import Window

PARIS = "Europe/Paris"
MINUTE = 60_000
HOUR = 60 * MINUTE


def at(text: str, zone: str = PARIS) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def finish(**more: object) -> Promise:
    return replace(Promise(id="ready", type="finish_by", on="air:sales", zone=PARIS, due=360), **more)


def start(cron: str = "0 5 * * *", **more: object) -> Promise:
    return replace(
        Promise(id="starts", type="start_by", on="air:sales", zone=PARIS, schedule=parse(cron, PARIS)), **more
    )


def opened(owed: Promise, a: str, b: str, zone: str = PARIS) -> list[Occurrence]:
    return open_between(owed, at(a, zone) - 1, at(b, zone) - 1)


def dues(found: list[Occurrence], zone: str = PARIS) -> list[str]:
    return [datetime.fromtimestamp(o.due_at / 1000, ZoneInfo(zone)).strftime("%m-%d %H:%M") for o in found]


# --- opening --------------------------------------------------------------------------------------------------------


def test_by_the_clock_on_its_days() -> None:
    found = opened(finish(days=parse_days("mon-fri"), late_by_ms=15 * MINUTE), "2026-11-20", "2026-11-25")
    assert dues(found) == ["11-20 06:00", "11-23 06:00", "11-24 06:00"]
    assert [o.key for o in found][:2] == ["ready|air:sales|2026-11-20", "ready|air:sales|2026-11-23"]
    assert {o.alert_at - o.due_at for o in found} == {15 * MINUTE}
    assert found[1].from_at == found[0].due_at  # what starts after Friday's due time is for Monday
    assert {o.state for o in found} == {Owed.PENDING}


def test_worked_examples_of_the_clock_change() -> None:
    (spring,) = opened(finish(due=150), "2027-03-28", "2027-03-29")
    (autumn,) = opened(finish(due=150), "2027-10-31", "2027-11-01")
    assert spring.due_at == at("2027-03-28T01:00", "UTC")
    assert autumn.due_at == at("2027-10-31T00:30", "UTC")


def test_after_the_schedule_is_elapsed_time() -> None:
    owed = finish(due=None, due_after_ms=90 * MINUTE, schedule=parse("0 1 * * *", PARIS))
    assert dues(opened(owed, "2027-03-27", "2027-03-29")) == ["03-27 02:30", "03-28 03:30"]
    hourly = finish(due=None, due_after_ms=30 * MINUTE, schedule=parse("0 * * * *", PARIS))
    ticks = opened(hourly, "2027-10-31T00:30", "2027-11-01T00:30")
    assert len(ticks) == 25
    assert len({o.key for o in ticks}) == 25
    assert {b.due_at - a.due_at for a, b in pairwise(ticks)} == {HOUR}


def test_a_start_is_owed_by_tick_and_grace_with_early_tolerance() -> None:
    (daily,) = opened(start(), "2026-11-21", "2026-11-22")
    assert (daily.tick, daily.due_at) == (at("2026-11-21T05:00"), at("2026-11-21T05:10"))
    assert daily.from_at == at("2026-11-21T04:55")
    assert daily.key == "starts|air:sales|2026-11-21T04:00Z"
    often = opened(start("*/10 * * * *"), "2026-11-21", "2026-11-22")
    assert {o.tick - o.from_at for o in often if o.tick} == {MINUTE}  # a tenth of the period
    mixed = opened(start("0,20 6 * * *"), "2026-11-21", "2026-11-22")
    assert [o.tick - o.from_at for o in mixed if o.tick] == [5 * MINUTE, 2 * MINUTE]
    (midnight,) = [
        o
        for o in opened(start("55,5 23,0 * * *"), "2026-11-21T00:06", "2026-11-22")
        if o.tick == at("2026-11-21T00:05")
    ]
    assert midnight.tick is not None
    assert midnight.tick - midnight.from_at == MINUTE  # the tick before it was yesterday


def test_holidays_are_excluded_and_said() -> None:
    bank = BusinessCalendar(name="fr-bank", zone=PARIS, holidays=read_text("2026-12-25 Christmas", "x").holidays)
    found = opened(finish(calendar=bank), "2026-12-24", "2026-12-29")
    assert [o.state for o in found] == [Owed.PENDING, Owed.EXCLUDED, Owed.EXCLUDED, Owed.EXCLUDED, Owed.PENDING]
    assert [o.reason for o in found[:3]] == ["", "holiday of fr-bank: Christmas", "fr-bank is closed on Saturdays"]
    assert dues(opened(finish(calendar=bank, days=parse_days("last business day")), "2026-11-01", "2027-01-01")) == [
        "11-30 06:00", "12-31 06:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day"), [("Pacific/Apia", date(2011, 12, 30)), ("Pacific/Kwajalein", date(1993, 8, 21))]
)
def test_a_date_that_never_was_is_excluded(zone: str, day: date) -> None:
    a, b = (day - timedelta(days=1)).isoformat(), (day + timedelta(days=2)).isoformat()
    for owed in (finish(zone=zone), finish(zone=zone, due=1440), start(zone=zone, schedule=parse("0 5 * * *", zone))):
        found = opened(owed, a, b + "T00:01", zone)
        never = [o for o in found if o.state is Owed.EXCLUDED]
        assert [o.reason for o in never] == [f"{day.isoformat()} never was in {zone}"], owed
        assert (
            len({o.key for o in found}) == len(found) == (4 if owed.due == 1440 else 3)
        )  # 24:00 of the date before too


def test_windows_shift_and_waive() -> None:
    window = Window(name="patching", start=120, end=240, zone=PARIS, expect="shift")
    (moved,) = opened(finish(due=180, windows=(window,), late_by_ms=MINUTE), "2026-11-22", "2026-11-23")
    assert moved.state is Owed.SHIFTED
    assert dues([moved]) == ["11-22 04:15"]
    assert moved.declared_at == at("2026-11-22T03:00")
    assert moved.alert_at == moved.due_at + MINUTE
    (free,) = opened(finish(due=180, windows=(replace(window, expect="waive"),)), "2026-11-22", "2026-11-23")
    assert (free.state, free.reason) == (Owed.WAIVED, "waived by window patching")
    (kept,) = opened(finish(due=180, windows=(replace(window, expect="keep"),)), "2026-11-22", "2026-11-23")
    assert (kept.state, kept.due_at) == (Owed.PENDING, kept.declared_at)


@pytest.mark.parametrize(
    ("rule", "before", "expected"),
    [("start", False, "2026-11-20"), ("start - 1d", False, "2026-11-19"), ("interval_end", False, "2026-11-20"),
     ("logical", False, "2026-11-20"), ("logical", True, "2026-11-19"), ("logical - 1d", True, "2026-11-18")],
)  # fmt: skip
def test_business_date_of_the_tick_that_feeds_it(rule: str, before: bool, expected: str) -> None:
    """Begun at 22:00 the evening before it is due: its date is that of the tick."""
    owed = finish(schedule=parse("0 22 * * *", PARIS), business_date=rule, logical_before=before)
    (found,) = opened(owed, "2026-11-21", "2026-11-22")
    assert found.business_date == expected
    assert found.dated
    assert found.key.endswith("|2026-11-21")
    assert found.from_at == at("2026-11-20T21:55")


def test_business_date_has_a_zone_of_its_own_and_bad_rules_are_refused() -> None:
    owed = start("30 0 * * *", date_zone="UTC")
    assert [o.business_date for o in opened(owed, "2026-11-21", "2026-11-22")] == ["2026-11-20"]
    with pytest.raises(ValueError, match=r"expected a business date like .*, got \"yesterday\""):
        opened(finish(business_date="yesterday"), "2026-11-21", "2026-11-22")


def test_each_type_that_opens() -> None:
    day = ("2026-11-21", "2026-11-22")
    assert dues(opened(finish(type="source_arrival", margin_ms=30 * MINUTE), *day)) == ["11-21 06:30"]
    assert opened(finish(type="completeness", members=("a:x", "a:y")), *day)[0].members == ("a:x", "a:y")
    assert dues(opened(finish(type="sequence", due=None), "2026-11-21T00:01", "2026-11-22T00:01")) == ["11-22 00:00"]
    assert dues(opened(start(type="heartbeat"), *day)) == ["11-21 05:10"]
    assert dues(opened(start(due=300), *day)) == ["11-21 05:00"]
    assert opened(finish(type="max_duration"), *day) == []
    assert opened(finish(due=None), *day) == []
    beat = Promise(id="alive", type="heartbeat", on="backup", max_age_ms=26 * HOUR)
    last = rolling(beat, at("2026-11-21T01:00", "UTC"))
    assert last is not None
    assert (last.due_at, last.key) == (at("2026-11-22T03:00", "UTC"), "alive|backup|2026-11-21T01:00Z")
    assert rolling(finish(), 0) is None


def test_bound_from_the_configuration() -> None:
    given_ = model.Expectation(id="e", on="air:*", type="finish_by", due=360, days=parse_days("mon-fri"), timezone=PARIS,
                               alert_if_late_by_ms=MINUTE)  # fmt: skip
    (found,) = opened(promise(given_, "air:sales"), "2026-11-20", "2026-11-22")
    assert (found.on, found.due_at, found.alert_at) == ("air:sales", at("2026-11-20T06:00"), at("2026-11-20T06:01"))


PROMISES = (
    finish(), finish(due=150), finish(due=1439, margin_ms=3 * HOUR), finish(type="sequence", due=None), start("*/7 2,3 * * *"),
    finish(due=None, due_after_ms=30 * HOUR, schedule=parse("15 3 * * mon", PARIS)), start("0 * * * *"),
    finish(due=0, zone="America/Sao_Paulo"), finish(due=1430, zone="America/St_Johns"),
    finish(due=0, zone="America/St_Johns"), finish(due=1440, zone="America/Sao_Paulo"), finish(due=1425, zone="America/Toronto"),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(PROMISES),
    st.sampled_from(
        ["2027-03-27", "2027-10-30", "2026-11-20", "2018-11-03", "2018-02-17", "2010-11-06", "2011-03-12", "1919-03-29"]
    ),
    st.lists(st.integers(0, 4 * DAY_MS), max_size=5),
)
def test_cut_anywhere_the_parts_give_the_whole(owed: Promise, first: str, cuts: list[int]) -> None:
    a = at(first, "UTC")
    marks = [a, *sorted(a + cut for cut in cuts), a + 4 * DAY_MS]
    parts = [o for x, y in pairwise(marks) for o in open_between(owed, x, y)]
    assert parts == open_between(owed, a, a + 4 * DAY_MS)
    assert len({o.key for o in parts}) == len(parts)


def test_one_for_each_local_date_over_the_years_and_zones() -> None:
    for zone in (
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Asia/Tehran",
        "America/Havana",
        "Asia/Beirut",
    ):
        for due in (0, 30, 150, 1439):
            found = opened(finish(zone=zone, due=due), "2015-01-01T00:00", "2024-01-01T00:00", zone)
            days = [date(2015, 1, 1) + timedelta(days=n) for n in range(3287)]
            assert [o.key.rpartition("|")[2] for o in found] == [d.isoformat() for d in days], (zone, due)


def test_a_date_that_begins_twice_is_opened_when_it_first_is_due() -> None:
    """St. John's went back from 00:01 to 23:01: at the second 23:30 of the 6th, the 7th had begun and was due."""
    (found,) = open_between(
        finish(due=0, zone="America/St_Johns"), at("2010-11-06T12:00", "UTC"), at("2010-11-07T03:00", "UTC")
    )
    assert found.key.endswith("|2010-11-07")
    assert found.due_at == at("2010-11-07T02:30", "UTC")


def test_a_gap_over_midnight_is_due_at_its_end() -> None:
    """Toronto went from 23:30 to 00:30."""
    found = opened(finish(due=1425, zone="America/Toronto"), "1919-03-30T12:00", "1919-03-31T12:00", "America/Toronto")
    assert [o.due_at for o in found] == [at("1919-03-31T04:30", "UTC")]
    assert found[0].key.endswith("|1919-03-30")


def test_a_reload_keeps_what_is_open() -> None:
    before = opened(finish(), "2026-11-21", "2026-11-24")
    after = opened(finish(due=420), "2026-11-21", "2026-11-26")
    again = reload(before, after)
    assert dues(list(again.occurrences)) == ["11-21 06:00", "11-22 06:00", "11-23 06:00", "11-24 07:00", "11-25 07:00"]
    assert (again.kept, again.words) == (3, "3 open occurrences keep their old due time")
    assert reload(before[:1], after[:1]).words == "1 open occurrence keeps its old due time"
    assert reload(before, before).words == ""


def test_the_source_knows_its_next_run_better() -> None:
    schedule, now = parse("0 5 * * *", PARIS), at("2026-11-21T12:00")
    assert disagreement(schedule, at("2026-11-22T05:00:59"), now) is None
    assert disagreement(schedule, at("2026-11-22T06:00"), now) == (
        'schedule "0 5 * * *" in Europe/Paris reads as 2026-11-22T04:00Z, its source says 2026-11-22T05:00Z:'
        " no tick is owed until a [[pipeline]] gives it the right timezone"
    )


# --- matching -------------------------------------------------------------------------------------------------------


def run(key: str, begun: str, state: State = State.SUCCESS, **more: object) -> RunFact:
    fact = RunFact(key=key, state=state, started=at(begun), ended=at(begun) + MINUTE if state.terminal else None)
    return replace(fact, **more)


def matched(owed: list[Occurrence], *facts: RunFact) -> dict[str, list[str]]:
    """Local hour (or date) of the occurrence → runs."""
    names = {
        o.key: datetime.fromtimestamp((o.tick or o.due_at) / 1000, ZoneInfo(PARIS)).strftime("%d %H:%M") for o in owed
    }
    answers = []
    for _ in range(4):
        shuffled = [*facts, *facts[:2]]
        random.shuffle(shuffled)
        answers.append({names[k]: sorted({f.key for f in v}) for k, v in match(owed, shuffled).items()})
    assert all(a == answers[0] for a in answers)
    return answers[0]


HOURLY = opened(start("0 * * * *"), "2026-11-21T00:10", "2026-11-21T04:10")


def test_each_run_serves_its_tick() -> None:
    assert matched(HOURLY, run("a", "2026-11-21T00:00:05"), run("b", "2026-11-21T01:02")) == {
        "21 00:00": ["a"],
        "21 01:00": ["b"],
    }


def test_early_within_tolerance_and_not_before() -> None:
    assert matched(HOURLY[1:], run("a", "2026-11-21T00:55")) == {"21 01:00": ["a"]}
    assert matched(HOURLY[1:], run("a", "2026-11-21T00:54:59")) == {}


def test_a_late_run_fills_the_hole() -> None:
    assert matched(HOURLY, run("a", "2026-11-21T01:00"), run("b", "2026-11-21T01:20")) == {
        "21 01:00": ["a"],
        "21 00:00": ["b"],
    }
    assert matched(HOURLY, run("a", "2026-11-21T00:40")) == {"21 00:00": ["a"]}


def test_nearest_owed_first() -> None:
    found = matched(HOURLY, run("a", "2026-11-21T03:00"), run("b", "2026-11-21T03:10"), run("c", "2026-11-21T03:20"))
    assert found == {"21 03:00": ["a"], "21 02:00": ["b"], "21 01:00": ["c"]}


def test_a_failed_run_leaves_its_tick_owed() -> None:
    served = [run("z", "2026-11-21T00:00")]
    again = run("b", "2026-11-21T01:20")
    assert matched(HOURLY, *served, run("a", "2026-11-21T01:00", State.FAILED), again) == {
        "21 00:00": ["z"], "21 01:00": ["a", "b"],
    }  # fmt: skip
    rerun = replace(run("b", "2026-11-21T03:20"), rerun_of="a", kind=RunKind.RERUN)
    assert matched(HOURLY, run("a", "2026-11-21T01:00", State.FAILED), rerun) == {"21 01:00": ["a", "b"]}


DAILY = opened(finish(schedule=parse("0 4 * * *", PARIS)), "2026-11-20", "2026-11-23")


def test_a_newer_date_never_takes_yesterdays() -> None:
    newer = run("b", "2026-11-21T04:00", business_date="2026-11-21")
    assert matched(DAILY, newer) == {"21 04:00": ["b"]}
    assert matched(DAILY[:1], newer) == {}
    undated = opened(finish(), "2026-11-20", "2026-11-21")
    assert matched(undated, replace(newer, business_date="2026-11-22")) == {}


def test_yesterdays_date_repaired_today_is_yesterdays() -> None:
    late = run("a", "2026-11-21T09:00", business_date="2026-11-20")
    assert matched(DAILY, late) == {"20 04:00": ["a"]}
    fill = replace(late, kind=RunKind.BACKFILL)
    assert matched(DAILY, fill) == {"20 04:00": ["a"]}
    assert matched(DAILY, replace(fill, business_date=None)) == {}
    early = run("a", "2026-11-20T20:00", business_date="2026-11-21")
    assert matched(DAILY, early) == {"21 04:00": ["a"]}  # its date says whose it is


def test_without_dates_the_nearest_due_time_decides() -> None:
    undated = opened(finish(), "2026-11-20", "2026-11-23")
    assert matched(undated, run("a", "2026-11-20T07:00")) == {"20 06:00": ["a"]}
    assert matched(undated, run("a", "2026-11-20T05:00"), run("b", "2026-11-20T23:00")) == {
        "20 06:00": ["a"],
        "21 06:00": ["b"],
    }


def test_a_run_of_a_tick_that_is_left_out_fills_no_hole_of_yesterday() -> None:
    """Whoever starts one by hand on a holiday does."""
    first, *rest = HOURLY
    ones = [first, *(replace(o, opened_as=Owed.EXCLUDED) for o in rest)]
    assert match(ones, [run("a", "2026-11-21T03:00")]) == {}
    assert [*match(ones, [run("a", "2026-11-21T03:00", kind=RunKind.MANUAL)])] == [first.key]


def test_excluded_ones_take_no_run_and_taken_runs_none() -> None:
    closed = [replace(o, opened_as=Owed.EXCLUDED) for o in HOURLY]
    assert matched(closed, run("a", "2026-11-21T01:00")) == {}
    assert match(HOURLY, [run("a", "2026-11-21T01:00")], frozenset({"a"})) == {}


def test_attempts_stay_together() -> None:
    first = run("a", "2026-11-21T01:00", State.FAILED, updated=1)
    second = replace(run("a", "2026-11-21T03:30"), attempt=2, updated=2)
    assert matched(HOURLY, second, first) == {"21 01:00": ["a"]}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-60, 300), st.sampled_from(list(State)), st.sampled_from([None, "2026-11-20", "2026-11-21"]),
                  st.sampled_from(list(RunKind)), st.integers(1, 2), st.integers(0, 3)),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_matching_knows_no_order_and_no_doubles(
    rows: list[tuple[int, State, str | None, RunKind, int, int]], dice: random.Random
) -> None:
    facts = [
        RunFact(key=f"r{n % 5}", state=state, started=at("2026-11-21") + minute * MINUTE, business_date=day, kind=kind,
                attempt=attempt, updated=updated)
        for n, (minute, state, day, kind, attempt, updated) in enumerate(rows)
    ]  # fmt: skip
    for owed in (HOURLY, DAILY):
        expected = match(owed, facts)
        mixed = [*facts, *facts]
        dice.shuffle(mixed)
        upside = list(owed)
        dice.shuffle(upside)
        assert match(upside, mixed) == expected
        placed = [key for runs in expected.values() for key in {f.key for f in runs}]
        assert len(placed) == len(set(placed))  # each run at most once
