"""Rules of measured values, with the numbers of the operation books."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from adapters import schedule as schedules
from adapters.model import Owed
from engine.config.model import ValueRule
from engine.owed import values
from engine.owed.values import DAY, Period
from engine.owed.wording import amount
from tests.owed.court import PARIS, at

HOUR = 3_600_000


def rule(**more: Any) -> ValueRule:
    return ValueRule(**more)


def test_average_and_peak_are_two_limits_of_one_metric() -> None:
    cpu = rule(mean_above=65.0, peak_above=85.0)
    assert values.limits(cpu, "%", 60.0, (61.0, 84.0), False).state is Owed.PENDING
    said = values.limits(cpu, "%", 60.0, (66.0, 84.0), False)
    assert (said.state, said.words) == (Owed.BREACHED, "mean of 15m 66 %, above 65 %")
    said = values.limits(cpu, "%", 60.0, (50.0, 91.0), False)
    assert said.words == "peak of 15m 91 %, above 85 %"
    both = values.limits(cpu, "%", 95.0, (70.0, 91.0), False)
    assert both.words == "mean of 15m 70 %, above 65 %; peak of 15m 95 %, above 85 %"


def test_what_is_not_measured_long_enough_has_no_mean() -> None:
    assert values.limits(rule(mean_above=65.0), "%", 99.0, None, False).state is Owed.PENDING


@pytest.mark.parametrize(("value", "broken", "state"), [(84, False, 0), (86, False, 4), (82, True, 4), (80, True, 0)])
def test_hysteresis(value: float, broken: bool, state: int) -> None:
    said = values.limits(rule(above=85.0, clear_at=80.0), "%", float(value), None, broken)
    assert int(said.state) == state, said


def test_below() -> None:
    said = values.limits(rule(below=100.0), "ev/s", 40.0, None, False)
    assert (said.state, said.words) == (Owed.BREACHED, "40 ev/s, below 100 ev/s")
    assert values.limits(rule(below=100.0, clear_at=120.0), "", 110.0, None, True).state is Owed.BREACHED


@pytest.mark.parametrize(
    ("more", "one", "two", "state"),
    [
        ({}, 5.0, 5.0, Owed.PENDING), ({}, 5.0, 6.0, Owed.BREACHED), ({"tolerance": 1.0}, 5.0, 6.0, Owed.PENDING),
        ({"tolerance_percent": 1.0}, 1000.0, 1010.0, Owed.PENDING), ({"tolerance_percent": 0.5}, 1000.0, 1010.0, Owed.BREACHED),
        ({}, 0.0, 0.0, Owed.PENDING), ({}, 0.0, -3.0, Owed.BREACHED),
    ],
)  # fmt: skip
def test_row_counts_of_two_layers(more: dict[str, Any], one: float, two: float, state: Owed) -> None:
    assert values.reconcile(rule(**more), "rows", one, two, ("ldz", "rdv")).state is state


def test_apart_says_by_how_much() -> None:
    said = values.reconcile(rule(tolerance=5.0), "rows", 1200.0, 1180.0, ("ldz", "rdv"))
    assert said.words == "20 rows apart (1.67%): ldz 1,200 rows, rdv 1,180 rows, tolerance 5 rows"


DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(50)]
FRIDAY = date(2026, 11, 20)


def volume(of: ValueRule, rows: float, before: list[tuple[date, float]]) -> values.Said:
    return values.volume(of, "rows", FRIDAY, rows, values.usual(of, FRIDAY, before))


def past(rows: float = 1000.0) -> list[tuple[date, float]]:
    return [(day, rows + (n % 5) * 10) for n, day in enumerate(DAYS)]


def test_nothing_where_something_is_usual_is_broken() -> None:
    said = volume(rule(), 0.0, past())
    assert (said.state, said.words.partition(",")[0]) == (Owed.BREACHED, "nothing at all")
    assert volume(rule(allow_empty=True), 0.0, past()).state is Owed.PENDING


def test_a_range_is_asked_before_anything_is_learnt() -> None:
    said = volume(rule(normal=(500.0, 900.0)), 950.0, [])
    assert (said.state, said.words) == (Owed.BREACHED, "950 rows, expected 500 rows to 900 rows")
    assert volume(rule(), 950.0, past()[:5]).words == "950 rows, learning 5/8"


def test_less_than_a_share_and_unlike_any_other_day() -> None:
    assert volume(rule(least_share=0.5, anomaly=False), 480.0, past()).state is Owed.BREACHED
    assert volume(rule(least_share=0.5, anomaly=False), 600.0, past()).state is Owed.PENDING
    assert volume(rule(), 3000.0, past()).state is Owed.BREACHED
    assert volume(rule(), 1015.0, past()).state is Owed.PENDING


def test_one_bad_day_does_not_move_what_is_usual() -> None:
    days = past()
    days[-3] = (days[-3][0], 90_000.0)
    assert volume(rule(), 90_000.0, days).state is Owed.BREACHED


def test_a_quota_that_is_used_up_before_it_begins_anew() -> None:
    period = Period(at("00:00"), at("2026-11-21 00:00"))
    limit = rule(most=1000.0)
    noon = at("12:00")
    assert values.quota(limit, "calls", PARIS, noon, 400.0, period, None).state is Owed.PENDING
    said = values.quota(limit, "calls", PARIS, noon, 600.0, period, None)
    assert (said.state, said.words) == (
        Owed.AT_RISK, "600 calls of 1,000 calls used (60%), used up 20:00 at this rate, anew Sat 21 Nov 00:00",
    )  # fmt: skip
    assert said.due == period.end
    late = values.quota(limit, "calls", PARIS, at("23:30"), 850.0, period, None)
    assert (late.state, "more than 80%" in late.words) == (Owed.AT_RISK, True)
    assert values.quota(limit, "calls", PARIS, noon, 1000.0, period, None).state is Owed.BREACHED


def test_a_quota_that_runs_away_in_its_last_hour() -> None:
    period = Period(at("00:00"), at("2026-11-21 00:00"))
    said = values.quota(rule(most=1000.0), "", PARIS, at("12:00"), 300.0, period, (at("11:00"), 100.0))
    assert said.state is Owed.AT_RISK
    assert "used up 15:30" in said.words


def test_a_quota_that_has_just_begun_says_nothing_of_its_rate() -> None:
    period = Period(at("00:00"), at("2026-11-21 00:00"))
    assert values.quota(rule(most=1000.0), "", PARIS, at("00:05"), 50.0, period, None).state is Owed.PENDING


def test_a_budget_is_prorated_by_the_end_of_today() -> None:
    period = values.budget_period("month", PARIS, at("12:00"))
    assert period == Period(at("2026-11-01 00:00"), at("2026-12-01 00:00"))
    money = rule(most=3000.0)
    assert values.budget(money, "EUR", PARIS, at("12:00"), 1900.0, period).state is Owed.PENDING
    said = values.budget(money, "EUR", PARIS, at("12:00"), 2500.0, period)
    assert (said.state, said.words) == (
        Owed.BREACHED, "2,500 EUR of 3,000 EUR spent, 25% above the 2,000 EUR of 67% of the month",
    )  # fmt: skip
    risk = values.budget(money, "EUR", PARIS, at("12:00"), 2200.0, period)
    assert (risk.state, risk.words) == (
        Owed.AT_RISK, "2,200 EUR of 3,000 EUR spent, 3,385 EUR at the end of the month at this rate",
    )  # fmt: skip
    assert values.budget(money, "EUR", PARIS, at("2026-11-01 01:00"), 90.0, period).state is Owed.PENDING
    assert values.budget(money, "EUR", PARIS, at("12:00"), 3000.0, period).state is Owed.BREACHED


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("day", "2026-11-20 00:00", "2026-11-21 00:00"), ("week", "2026-11-16 00:00", "2026-11-23 00:00"),
        ("quarter", "2026-10-01 00:00", "2027-01-01 00:00"), ("year", "2026-01-01 00:00", "2027-01-01 00:00"),
    ],
)  # fmt: skip
def test_periods(period: str, start: str, end: str) -> None:
    assert values.budget_period(period, PARIS, at("12:00")) == Period(at(start), at(end))


def test_a_month_in_which_the_clock_changes_is_an_hour_longer() -> None:
    period = values.budget_period("month", PARIS, at("2026-10-15 12:00"))
    assert period.end - period.start == 31 * DAY + HOUR


def test_the_period_of_a_cron() -> None:
    daily = schedules.parse("0 0 * * *", PARIS)
    assert values.quota_period(daily, at("12:00")) == Period(at("00:00"), at("2026-11-21 00:00"))
    assert values.quota_period(daily, at("00:00")) == Period(at("00:00"), at("2026-11-21 00:00"))


def test_a_disk_that_fills_up() -> None:
    maxima = [(date(2026, 11, 6) + timedelta(days=d), 70 + 0.9 * d) for d in range(14)]
    said = values.growing(rule(most=85.0, within_ms=14 * DAY), "%", PARIS, maxima)
    assert said.state is Owed.BREACHED
    assert "reached in 3.7 days, on Mon 23 Nov" in said.words
    assert values.growing(rule(most=85.0, within_ms=3 * DAY), "%", PARIS, maxima).state is Owed.PENDING
    assert values.growing(rule(most=85.0, within_ms=DAY), "%", PARIS, maxima[:9]).words == "not enough data (9/14)"
    full = values.growing(rule(most=71.0, within_ms=DAY), "%", PARIS, maxima[:3])
    assert (full.state, full.words) == (Owed.BREACHED, "71.8 % of 71 %: reached")
    flat = [(day, 70.0) for day, _ in maxima]
    assert values.growing(rule(most=85.0, within_ms=DAY), "%", PARIS, flat).words == "70 % of 85 %, not growing"


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (67.0, "%", "67 %"), (1204.0, "rows", "1,204 rows"), (3435973836.8, "B", "3.2 GiB"), (0.0131, "", "0.0131"), (12.34, "s", "12.3 s"),
        (7260.0, "s", "2h 01m"), (2048.0, "B/s", "2 KiB/s"), (-3.0, "", "-3"),
    ],
)  # fmt: skip
def test_amounts(value: float, unit: str, words: str) -> None:
    assert amount(value, unit) == words
