"""Every worked number of the design, and what must hold of any history."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Course, RunKind, Shape, State
from engine.owed.history import DayClass, Learning, Learnt, Past, Ran, day_class, learn, select
from engine.owed.predict import Risk, rerun, running, start_passed, waiting

MIN = 60_000
DAY = 86_400_000
H = [38, 40, 41, 41, 42, 42, 43, 43, 44, 44, 45, 45, 46, 47, 48, 49, 52, 55, 61, 74]
MIXED = [44, 61, 41, 47, 38, 45, 52, 42, 43, 74, 40, 46, 55, 41, 44, 49, 42, 45, 43, 48]
"""H in an order that has no trend."""


def clock(words: str) -> int:
    hours, minutes, *seconds = (int(w) for w in words.split(":"))
    return int(datetime(2026, 11, 20, hours, minutes, seconds[0] if seconds else 0, tzinfo=UTC).timestamp() * 1000)


def past(minutes: list[float], day: DayClass = DayClass.WEEKDAY) -> list[Past]:
    return [Past(i * DAY, round(m * MIN), day) for i, m in enumerate(minutes)]


@pytest.fixture(scope="module")
def known() -> Learnt:
    found = learn(past(MIXED), DayClass.WEEKDAY)
    assert isinstance(found, Learnt)
    return found


DUE = clock("06:00")
START = clock("05:00")


def test_worked_quantiles(known: Learnt) -> None:
    assert sorted(MIXED) == H
    assert known.basis.trend is None
    assert known.p50 == 44.5 * MIN
    assert known.p90 == pytest.approx(55.6 * MIN)
    assert known.quantile(0.95) == pytest.approx(61.65 * MIN)


@pytest.mark.parametrize(
    ("now", "outlived", "late"),
    [("05:00", 20, 0.10), ("05:44", 10, 0.20), ("05:50", 4, 0.50), ("05:56", 2, 1.0)],
)
def test_worked_survivors(known: Learnt, now: str, outlived: int, late: float) -> None:
    told = running(known, clock(now), START, DUE)
    assert (told.course, told.outlived, told.n) == (Course.RUNNING, outlived, 20)
    assert told.late == pytest.approx(late)


def test_worked_finish_and_latest_start(known: Learnt) -> None:
    assert running(known, clock("05:44"), START, DUE).p50 == clock("05:48:30")
    assert running(known, START, START, DUE).latest_start == clock("05:04:24")


def test_overrun(known: Learnt) -> None:
    before = running(known, clock("06:15"), START, clock("06:30"))
    assert (before.course, before.outlived, before.n, before.p50, before.late) == (Course.OVERRUN, 0, 20, None, 0.9)
    assert running(known, clock("06:15"), START, DUE).late == 1.0
    assert running(known, clock("06:14"), START, DUE).course == Course.OVERRUN  # exactly as long as the longest: d > e
    assert running(known, clock("06:15"), START).late is None


def test_not_started(known: Learnt) -> None:
    due = clock("06:00")
    told = waiting(known, clock("04:00"), clock("05:00"), None, due)
    assert (told.start, told.late, told.p50) == (clock("05:00"), 0.10, clock("05:44:30"))
    assert waiting(known, clock("05:02"), clock("05:00"), None, due).start == clock("05:02")
    late = waiting(known, clock("04:00"), clock("05:00"), clock("05:16"), due)
    assert (late.start, late.late) == (clock("05:16"), 0.5)
    assert not start_passed(late, clock("05:04:24"))
    assert start_passed(waiting(known, clock("05:05"), clock("05:00"), None, due), clock("05:05"))
    assert not start_passed(running(known, clock("05:30"), START, due), clock("05:30"))


def test_rerun_tells_a_width(known: Learnt) -> None:
    told = rerun(known, clock("05:30"), DUE)
    assert (told.course, told.start, told.p50) == (Course.RERUN, clock("05:30"), clock("06:14:30"))
    assert told.spread == round((55.6 - 40.9) / 2 * MIN)
    assert told.late == 1.0


def test_learning_uses_the_declared_duration_only() -> None:
    known = learn(past([40] * 5), DayClass.WEEKDAY, declared=50 * MIN)
    assert isinstance(known, Learning)
    assert (known.n, known.need, known.basis.learnt) == (5, 8, False)
    told = waiting(known, clock("04:00"), START, None, DUE)
    assert (told.course, told.p50, told.p90, told.late) == (Course.LEARNING, clock("05:50"), None, None)
    assert told.latest_start == clock("05:10")
    bare = learn([], DayClass.WEEKDAY)
    assert isinstance(bare, Learning)
    assert running(bare, START, START, DUE).p50 is None


def test_select_takes_what_tells_something() -> None:
    now = 100 * DAY
    good = Ran(now - DAY, 5 * MIN, date(2026, 6, 10))
    bad = [
        Ran(now - 2 * DAY, MIN, good.day, state=State.WARNING),
        Ran(now - 2 * DAY, MIN, good.day, kind=RunKind.BACKFILL),
        Ran(now - 2 * DAY, MIN, good.day, shape=Shape.INCREMENTAL),
        Ran(now - 2 * DAY, MIN, good.day, shape=Shape.PARTIAL),
        Ran(now - 2 * DAY, MIN, good.day, attempt=2),
        Ran(now - 61 * DAY, MIN, good.day),
    ]
    assert [p.at for p in select([*bad, good], now)] == [good.at]
    assert len(select([bad[2]], now, Shape.INCREMENTAL)) == 1
    assert select([bad[3]], now, Shape.PARTIAL) == ()
    many = [Ran(now - i * DAY, i, good.day) for i in range(40)]
    assert [p.ms for p in select(many, now)] == list(range(29, -1, -1))


@pytest.mark.parametrize(
    ("day", "what"),
    [
        (date(2026, 11, 18), DayClass.WEEKDAY), (date(2026, 11, 21), DayClass.WEEKEND),
        (date(2026, 11, 27), DayClass.WEEKDAY), (date(2026, 11, 29), DayClass.MONTH_END_WEEKEND),
        (date(2026, 11, 30), DayClass.MONTH_END), (date(2026, 12, 1), DayClass.MONTH_END),
        (date(2026, 12, 2), DayClass.WEEKDAY), (date(2028, 2, 28), DayClass.MONTH_END),
    ],
)  # fmt: skip
def test_day_class(day: date, what: DayClass) -> None:
    assert day_class(day) == what


def weeks(n: int, weekday: float, weekend: float) -> list[Past]:
    start = date(2026, 6, 3)
    days = [start + timedelta(days=i) for i in range(n)]
    return [
        Past(i * DAY, round((weekend if d.weekday() >= 5 else weekday) * MIN), day_class(d)) for i, d in enumerate(days)
    ]


def test_a_class_of_days_with_eight_runs_stands_alone() -> None:
    runs = weeks(30, 40, 80)
    there = learn(runs, DayClass.WEEKEND)
    assert isinstance(there, Learnt)
    assert (there.basis.day, there.p50, set(there.ordered)) == (DayClass.WEEKEND, 80 * MIN, {80.0 * MIN})
    month_end = learn(runs, DayClass.MONTH_END)
    assert isinstance(month_end, Learnt)
    assert (month_end.basis.day, month_end.p50) == (DayClass.WEEKDAY, 40 * MIN)


def test_few_weekends_scale_the_others() -> None:
    runs = weeks(20, 40, 80)
    there = learn(runs, DayClass.WEEKEND)
    assert isinstance(there, Learnt)
    own = sum(1 for p in runs if p.day.plain == DayClass.WEEKEND)
    assert 3 <= own < 8
    assert (there.basis.day, there.basis.n, there.basis.scaled) == (None, 20, 20 - own)
    assert there.p50 == pytest.approx(80 * MIN)


def test_weekends_that_hardly_differ_scale_nothing() -> None:
    noise = [0.9, 1.1, 1.0, 0.95, 1.05]
    runs = [Past(p.at, round(p.ms * noise[i % 5]), p.day) for i, p in enumerate(weeks(20, 40, 41))]
    there = learn(runs, DayClass.WEEKEND)
    assert isinstance(there, Learnt)
    assert (there.basis.n, there.basis.scaled) == (20, 0)
    assert there.ordered == tuple(sorted(float(p.ms) for p in runs))


def test_month_ends_with_eight_runs_stand_alone() -> None:
    runs = [
        Past(i, (90 if i % 3 == 0 else 40) * MIN, DayClass.MONTH_END if i % 3 == 0 else DayClass.WEEKDAY)
        for i in range(30)
    ]
    there = learn(runs, DayClass.MONTH_END)
    assert isinstance(there, Learnt)
    assert (there.basis.day, there.basis.n, there.p50) == (DayClass.MONTH_END, 10, 90 * MIN)


def test_a_trend_is_carried_and_said() -> None:
    noise = [1.0, 1.01, 0.99, 1.005, 0.995]
    known = learn(past([40 * 1.01**i * noise[i % 5] for i in range(30)]), DayClass.WEEKDAY)
    assert isinstance(known, Learnt)
    assert known.basis.trend == pytest.approx(0.00995, rel=0.05)
    assert known.p50 == pytest.approx(40 * 1.01**30 * MIN, rel=0.02)
    flat = learn(past(MIXED), DayClass.WEEKDAY)
    assert flat.basis.trend is None


def test_a_trend_is_carried_to_the_next_run() -> None:
    """Without noise each duration of H becomes that of the run to come, the 31st."""
    known = learn(past([40 * 1.01**i for i in range(30)]), DayClass.WEEKDAY)
    assert isinstance(known, Learnt)
    assert known.ordered[0] == pytest.approx(40 * 1.01**30 * MIN, rel=1e-4)
    assert known.ordered[-1] == pytest.approx(40 * 1.01**30 * MIN, rel=1e-4)


def test_a_trend_near_the_noise_is_carried_in_part() -> None:
    """It moved H by 0.30, the threshold is 1.5 · 0.12 = 0.18: 1 − 0.6⁴ of it is carried."""
    known = learn(past([40 * exp(0.01 * i + (0.12 if i % 2 else -0.12)) for i in range(30)]), DayClass.WEEKDAY)
    assert known.basis.trend == pytest.approx(0.01 * (1 - 0.6**4), rel=0.05)


def test_a_slope_within_the_noise_is_no_trend() -> None:
    """|slope| · n below 1.5 MAD of the residuals: 0.1 % a run against noise of 5 %."""
    noise = [0.95, 1.05, 1.03, 0.97, 1.0]
    known = learn(past([40 * 1.001**i * noise[i * 3 % 5] for i in range(30)]), DayClass.WEEKDAY)
    assert known.basis.trend is None


def test_a_level_shift_restarts() -> None:
    runs = past([*MIXED, *[m * 2 for m in MIXED[:10]]])
    five = learn(runs[:25], DayClass.WEEKDAY, shift=runs[20].at)
    assert isinstance(five, Learnt)
    assert (five.basis.shift, five.basis.scaled, five.basis.n) == (runs[20].at, 20, 25)
    assert five.p50 == pytest.approx(89 * MIN, rel=0.1)
    ten = learn(runs, DayClass.WEEKDAY, shift=runs[20].at)
    assert isinstance(ten, Learnt)
    assert (ten.basis.n, ten.basis.scaled, ten.basis.since) == (10, 0, runs[20].at)
    assert min(ten.ordered) == 76 * MIN


# --- at risk ----------------------------------------------------------------------------------------------------------


def test_at_risk_needs_two_in_a_row_and_leaves_low() -> None:
    risk = Risk().step(0.5)
    assert not risk.at_risk
    assert not risk.step(0.4).step(0.5).at_risk
    risk = risk.step(0.6)
    assert risk.at_risk
    assert risk.step(0.31).at_risk
    assert risk.step(0.3).at_risk
    assert not risk.step(0.29).at_risk
    assert risk.step(None) == risk


def test_past_the_latest_start_is_at_risk_at_once() -> None:
    risk = Risk().step(0.15, start_passed=True)
    assert risk.at_risk
    assert not risk.step(0.15).at_risk
    assert Risk().step(None, start_passed=True).at_risk


def test_leaving_does_not_stumble_over_floats() -> None:
    assert Risk(True, 2).step(0.7, warn=0.9).at_risk


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.3, 0.95))
def test_risk_never_rises_on_one_evaluation(told: list[float], warn: float) -> None:
    risk = Risk()
    for i, late in enumerate(told):
        after = risk.step(late, warn)
        if after.at_risk and not risk.at_risk:
            assert i
            assert min(told[i - 1 : i + 1]) >= warn - 1e-6
        risk = after


# --- properties -------------------------------------------------------------------------------------------------------

durations = st.lists(st.integers(1, 10_000_000), min_size=8, max_size=30)
classes = st.sampled_from(list(DayClass))


def flat(values: list[int]) -> list[Past]:
    """Palindromic in time: no slope can stand out of that."""
    ordered = sorted(values)
    return [Past(i, v) for i, v in enumerate(ordered[::2] + ordered[1::2][::-1])]


@given(st.lists(st.tuples(st.integers(0, 10**13), classes), max_size=30), classes, st.none() | st.integers(-1, 31))
def test_never_stumbles(values: list[tuple[int, DayClass]], day: DayClass, shift: int | None) -> None:
    runs = [Past(i, v, c) for i, (v, c) in enumerate(values)]
    known = learn(runs, day, shift)
    if isinstance(known, Learning):
        assert known.n < 8
        return
    assert 0 <= known.ordered[0] <= known.p50 <= known.p90 <= known.ordered[-1]
    assert list(known.ordered) == sorted(known.ordered)
    for now in (0, 1, 10**13, 10**14):
        told = running(known, now, 0, 10**12)
        assert told.late is not None
        assert 0 <= told.late <= 1
        assert told.p50 is None or told.p50 >= now


@given(durations)
def test_quantiles_lie_within_history(values: list[int]) -> None:
    known = learn([Past(i, v) for i, v in enumerate(values)], DayClass.WEEKDAY)
    assert isinstance(known, Learnt)
    factor = 1.0 if known.basis.trend is None else 4.0 * (1 + 1e-9)
    assert min(values) / factor <= known.p50 <= known.p90 <= max(values) * factor


@given(durations, st.integers(2, 1_000))
def test_scale_invariant(values: list[int], factor: int) -> None:
    values = [v + 2 for v in values]
    one = learn([Past(i, v) for i, v in enumerate(values)], DayClass.WEEKDAY)
    many = learn([Past(i, v * factor) for i, v in enumerate(values)], DayClass.WEEKDAY)
    assert isinstance(one, Learnt)
    assert isinstance(many, Learnt)
    if (one.basis.trend is None) == (many.basis.trend is None):  # on the very edge of the noise rounding may decide
        assert many.p50 == pytest.approx(one.p50 * factor, rel=1e-6)
        assert many.p90 == pytest.approx(one.p90 * factor, rel=1e-6)
    else:
        assert abs(one.basis.trend or many.basis.trend or 0.0) < 1e-9


@given(durations, st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_older_runs_finish_later_and_are_likelier_late(values: list[int], a: int, b: int, due: int) -> None:
    known = learn([Past(i, v) for i, v in enumerate(values)], DayClass.WEEKDAY)
    assert isinstance(known, Learnt)
    first, second = (running(known, e, 0, due) for e in sorted((a, b)))
    if second.course == Course.RUNNING:
        assert first.p50 is not None
        assert second.p50 is not None
        assert first.p50 <= second.p50
        assert first.p90 is not None
        assert second.p90 is not None
        assert first.p90 <= second.p90
        assert first.late is not None
        assert second.late is not None
        assert first.late <= second.late
    assert first.outlived >= second.outlived


@given(durations, st.integers(0, 29), st.integers(10_000_000, 10**12))
@settings(max_examples=200)
def test_one_outlier_moves_nothing_beyond_its_rank(values: list[int], which: int, huge: int) -> None:
    ordered = sorted(values)
    which %= len(ordered)
    spoilt = sorted([*ordered[:which], *ordered[which + 1 :], huge])
    before, after = learn(flat(ordered), DayClass.WEEKDAY), learn(flat(spoilt), DayClass.WEEKDAY)
    assert isinstance(before, Learnt)
    assert isinstance(after, Learnt)
    if before.basis.trend is None and after.basis.trend is None:
        for q in (0.5, 0.9):
            spot = (len(ordered) - 1) * q
            top = min(int(spot) + 2, len(ordered) - 1)
            assert before.quantile(q) <= after.quantile(q)
            if top < len(ordered) - 1:
                assert after.quantile(q) <= ordered[top]


def test_a_carried_history_is_not_as_sure_as_one_that_was_seen() -> None:
    seen = learn(past(list(MIXED)), DayClass.WEEKDAY)
    carried = learn(past([m * exp(0.05 * i) for i, m in enumerate(MIXED)]), DayClass.WEEKDAY)
    assert isinstance(seen, Learnt)
    assert isinstance(carried, Learnt)
    assert carried.basis.trend is not None
    for share, plain, drawn in ((0.0, 1.0, 22 / 24), (10.0, 0.0, 2 / 24)):
        told = [waiting(known, 0, None, None, round(share * known.ordered[-1])).late for known in (seen, carried)]
        assert told == [pytest.approx(plain), pytest.approx(drawn)]
    middle = waiting(carried, 0, None, None, round((carried.ordered[9] + carried.ordered[10]) / 2)).late
    assert middle == pytest.approx(0.5)
