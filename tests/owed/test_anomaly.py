"""Bounds, levels and volumes: the worked numbers, and what must hold of any history."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.owed.anomaly import (
    UNKNOWN,
    Baseline,
    Levels,
    Sample,
    Side,
    Volume,
    Volumes,
    duration_bounds,
    judge_duration,
)
from engine.owed.history import DayClass, Past
from tests.owed.test_predict import MIN, MIXED

H_MS = [m * MIN for m in MIXED]
DAY = DayClass.WEEKDAY


def grown(minutes: list[float], levels: Levels | None = None, first: int = 0) -> tuple[Levels, list[bool]]:
    levels = levels or Levels()
    shifts: list[bool] = []
    for i, m in enumerate(minutes):
        levels, _, shifted = levels.step(first + i, round(m * MIN), DAY)
        shifts.append(shifted)
    return levels, shifts


def test_worked_bounds() -> None:
    bounds = duration_bounds(H_MS)
    assert bounds is not None
    assert (bounds.centre, bounds.scale) == (44.5 * MIN, 3.0 * MIN)
    assert bounds.high / MIN == pytest.approx(60.07, abs=0.005)
    assert bounds.low / MIN == pytest.approx(28.93, abs=0.005)


def test_high_side_while_going_low_side_at_the_end() -> None:
    bounds = duration_bounds(H_MS)
    assert judge_duration(60.0 * MIN, bounds, ended=False).side == Side.NONE
    assert judge_duration(60.1 * MIN, bounds, ended=False).side == Side.HIGH
    assert judge_duration(20 * MIN, bounds, ended=False).side == Side.NONE
    assert judge_duration(20 * MIN, bounds).side == Side.LOW
    assert judge_duration(29 * MIN, bounds).side == Side.NONE
    assert judge_duration(28.9 * MIN, bounds).side == Side.LOW


def test_one_bad_run_does_not_hide_the_next() -> None:
    """74 min is in H; the mean ± 3σ of H ends at 72.1 min."""
    assert judge_duration(70 * MIN, duration_bounds(H_MS)).side == Side.HIGH


def test_needs_eight() -> None:
    assert duration_bounds(H_MS[:7]) is None
    assert judge_duration(10**9, duration_bounds(H_MS[:7])) == UNKNOWN
    assert duration_bounds(H_MS[:8]) is not None


def test_a_minute_and_ten_percent_at_least() -> None:
    short = duration_bounds([5_000] * 20)  # MAD′ is a second, z passes at 10.2 s: but a minute it must be
    assert judge_duration(60_000, short).side == Side.NONE
    assert judge_duration(65_000, short).side == Side.HIGH
    assert short is not None
    assert short.high == 65_000
    long = duration_bounds([100 * MIN] * 20)  # MAD′ is 2 %: z passes at 110.38 min
    assert judge_duration(110.3 * MIN, long).side == Side.NONE
    assert judge_duration(110.4 * MIN, long).side == Side.HIGH


def test_five_in_a_row_are_a_level_shift() -> None:
    levels, shifts = grown([*MIXED, 90, 91, 92, 90])
    assert not any(shifts)
    assert levels.shift(DAY) is None
    assert [s.value for s in levels.whole.odd] == [90 * MIN, 91 * MIN, 92 * MIN, 90 * MIN]
    assert 90 * MIN not in [s.value for s in levels.whole.kept]
    levels, _, shifted = levels.step(24, 93 * MIN, DAY)
    assert shifted
    assert levels.shift(DAY) == 20
    assert [s.value for s in levels.whole.kept] == [90 * MIN, 91 * MIN, 92 * MIN, 90 * MIN, 93 * MIN]
    assert levels.bounds(DAY) is None  # learning again
    levels, shifts = grown([90, 91, 92], levels, 25)
    assert not any(shifts)
    bounds = levels.bounds(DAY)
    assert bounds is not None
    assert judge_duration(44 * MIN, bounds).side == Side.LOW


def test_four_and_one_back_are_none() -> None:
    levels, shifts = grown([*MIXED, 90, 90, 90, 90, 44, 90, 90, 90, 90, 20, 20, 20, 20])
    assert not any(shifts)
    assert 90 * MIN not in [s.value for s in levels.whole.kept]


def test_weekends_have_their_own_level() -> None:
    """Weekends take twice as long: out of the ordinary until they have eight of their own, then ordinary."""
    levels = Levels()
    odd: list[int] = []
    shifts = 0
    start = date(2026, 6, 3)
    for i in range(80):
        weekend = (start + timedelta(days=i)).weekday() >= 5
        day = DayClass.WEEKEND if weekend else DayClass.WEEKDAY
        levels, verdict, shifted = levels.step(i, (80 if weekend else 40) * MIN + i % 3 * 1000, day)
        shifts += shifted
        if verdict.side:
            odd.append(i)
    assert odd
    assert max(odd) < 30
    assert shifts <= 1
    bounds = levels.bounds(DayClass.WEEKEND)
    assert bounds is not None
    assert judge_duration(40 * MIN, bounds).side == Side.LOW
    month_end = levels.bounds(DayClass.MONTH_END_WEEKEND)
    assert month_end == bounds


@given(st.lists(st.integers(0, 10**12), max_size=60))
def test_levels_never_stumble(values: list[int]) -> None:
    levels = Levels()
    for i, v in enumerate(values):
        levels, verdict, shifted = levels.step(i, v, DayClass(v % 4))
        assert not shifted or verdict.side != Side.NONE
        assert len(levels.whole.kept) <= 30


@given(st.integers(0, 10**12), st.integers(8, 30))
def test_constant_history_is_never_odd(value: int, n: int) -> None:
    assert judge_duration(value, duration_bounds([value] * n)).side == Side.NONE


@given(st.lists(st.integers(MIN * 20, 10**9), min_size=8, max_size=30), st.integers(2, 100), st.integers(0, 10**10))
def test_bounds_scale(values: list[int], factor: int, x: int) -> None:
    """Above the absolute floors (a second, a minute) a verdict does not depend on the unit."""
    one = judge_duration(x, duration_bounds(values))
    many = judge_duration(x * factor, duration_bounds([v * factor for v in values]))
    assert many.z == pytest.approx(one.z, rel=1e-9)


@given(st.lists(st.integers(30, 60), min_size=8, max_size=30), st.floats(3, 50))
def test_any_clear_shift_restarts(minutes: list[int], factor: float) -> None:
    """Whatever the history: five runs beyond its upper bound are one event, and the baseline is these five."""
    kept = Baseline(tuple(_samples(minutes)))
    levels = Levels(kept, (kept, Baseline(), Baseline()))
    bounds = levels.bounds(DAY)
    assert bounds is not None
    value = round(bounds.high * factor)
    events = 0
    for i in range(8):
        levels, _, shifted = levels.step(1_000 + i, value, DAY)
        events += shifted
    assert events == 1
    assert levels.shift(DAY) == 1_000
    assert {s.value for s in levels.whole.kept} == {value}


def _samples(minutes: list[int]):

    return [Sample(i, m * MIN) for i, m in enumerate(minutes)]


def test_replay_is_the_same_as_living_through_it() -> None:
    minutes = [*MIXED, 90, 91, 92, 90, 93, 95]
    lived, _ = grown(list(minutes))
    assert Levels.replay([Past(i, round(m * MIN), DAY) for i, m in enumerate(minutes)]) == lived
    assert lived.shift(DAY) == 20


# --- volumes ----------------------------------------------------------------------------------------------------------

FIRST = date(2026, 6, 1)


def volumes(rows: list[int], step: int = 1) -> Volumes:
    found = Volumes()
    for i, r in enumerate(rows):
        found, _, _ = found.step(Volume(FIRST + timedelta(days=i * step), r))
    return found


def test_volume_against_the_last_fourteen() -> None:
    rows = [1_000, 1_010, 990, 1_005, 995, 1_000, 1_002, 998, 1_001, 999]
    base = volumes(rows)
    day = FIRST + timedelta(days=10)
    found = base.judge(Volume(day, 1_000))
    assert (found.side, found.same_weekday) == (Side.NONE, False)
    assert base.judge(Volume(day, 1_095)).side == Side.NONE  # under 10 %, although …
    assert base.judge(Volume(day, 1_095)).z > 3
    assert base.judge(Volume(day, 1_120)).side == Side.HIGH
    assert base.judge(Volume(day, 880)).side == Side.LOW
    assert volumes(rows[:7]).judge(Volume(day, 5)).bounds is None


def test_volume_against_the_same_weekday() -> None:
    """Sundays bring a tenth: after four of them a Sunday's tenth is ordinary and a full Sunday is not."""
    base = Volumes(
        tuple(Volume(d, 100 if d.weekday() == 6 else 1_000) for d in (FIRST + timedelta(days=i) for i in range(34)))
    )
    sunday = FIRST + timedelta(days=34)
    assert sunday.weekday() == 6
    assert sum(v.day.weekday() == 6 for v in base.kept) == 4
    found = base.judge(Volume(sunday, 100))
    assert (found.side, found.same_weekday, found.bounds and found.bounds.n) == (Side.NONE, True, 4)
    assert base.judge(Volume(sunday, 1_000)).side == Side.HIGH


def test_no_rows_where_there_are_some() -> None:
    wild = volumes([10, 100_000, 5, 20_000, 0, 1, 70_000, 3, 9, 40_000])
    day = FIRST + timedelta(days=10)
    found = wild.judge(Volume(day, 0))
    assert (found.zero, found.side) == (True, Side.LOW)
    allowed = wild.judge(Volume(day, 0), allow_empty=True)
    assert (allowed.zero, allowed.side) == (False, Side.NONE)
    empty = volumes([0] * 10).judge(Volume(day, 0))
    assert (empty.zero, empty.side) == (False, Side.NONE)


def test_volume_level_shift() -> None:
    base = volumes([1_000] * 10)
    shifts: list[bool] = []
    for i in range(6):
        base, _, shifted = base.step(Volume(FIRST + timedelta(days=10 + i), 3_000))
        shifts.append(shifted)
    assert shifts == [False, False, False, False, True, False]
    assert base.since == FIRST + timedelta(days=10)
    assert {v.rows for v in base.kept} == {3_000}


@given(st.lists(st.integers(0, 10**15), max_size=70), st.booleans())
def test_volumes_never_stumble(rows: list[int], allow_empty: bool) -> None:
    base = Volumes()
    for i, r in enumerate(rows):
        base, verdict, shifted = base.step(Volume(FIRST + timedelta(days=i), r), allow_empty)
        assert not shifted or verdict.side != Side.NONE
        assert len(base.kept) <= 60
