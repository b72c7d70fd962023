"""The loss of a quantile, the capacity forecast, and that the bench walks what it says."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from bench.families import FAMILIES, RUNS, TUNED, UNSEEN, make
from bench.predict import figures, survey
from engine.owed.calibration import pinball
from engine.owed.forecast import forecast

FIRST = date(2026, 1, 1)


def test_the_loss_of_a_quantile() -> None:
    assert pinball(10, 10, 0.9) == 0
    assert pinball(100, 90, 0.5) == 5
    assert pinball(100, 130, 0.5) == 15
    assert pinball(100, 120, 0.9) == pytest.approx(2)
    assert pinball(100, 95, 0.9) == pytest.approx(4.5)


def line(n: int, start: float = 70.0, per_day: float = 0.9) -> list[tuple[date, float]]:
    return [(FIRST + timedelta(days=i), start + per_day * i) for i in range(n)]


def test_worked_forecast() -> None:
    found = forecast(line(14), 85)
    assert found.days == pytest.approx(3.67, abs=0.005)
    assert (found.per_day, found.now) == (pytest.approx(0.9), pytest.approx(81.7))
    assert found.on == date(2026, 1, 18)


@pytest.mark.parametrize("bad", range(14))
def test_one_bad_day_moves_nothing(bad: int) -> None:
    days = line(14)
    days[bad] = (days[bad][0], 20.0)
    assert forecast(days, 85).days == pytest.approx(3.67, abs=0.01)


def test_forecast_says_what_it_cannot() -> None:
    assert (forecast(line(9), 85).n, forecast(line(9), 85).days) == (9, None)
    shrinking = forecast(line(20, 70, -0.1), 85)
    assert (shrinking.days, shrinking.per_day) == (None, pytest.approx(-0.1))
    assert forecast(line(20), 80).days == 0.0
    assert forecast([], 1).n == 0


def test_forecast_after_a_cleanup() -> None:
    """89 GB, cleaned to 65, growing by one a day since: what was before does not count, and is not a fall."""
    days = [(FIRST + timedelta(days=i), 60.0 + i) for i in range(30)]
    days += [(FIRST + timedelta(days=30 + i), 65.0 + i) for i in range(20)]
    found = forecast(days, 94)
    assert (found.n, found.days) == (20, pytest.approx(10))
    assert forecast(days[:39], 94).n == 9


def test_families_are_fixed() -> None:
    assert len(FAMILIES) == 7
    assert (len(TUNED), len(UNSEEN), RUNS) == (40, 40, 90)
    assert not set(TUNED) & set(UNSEEN)
    one, again = make("trend", 1), make("trend", 1)
    assert one == again
    assert len(one) == 90
    assert make("trend", 2) != one


def test_bench_scores_everybody_on_the_same_runs() -> None:
    every = survey([1], ["stationary", "level shift"])
    assert {t.runs for t in every.values()} == {82}  # all of 90 but the first eight, the ones after a shift too
    assert all(len(t.loss) == 19 for t in every.values())
    assert [f.name for f in figures(every, "", True)][:2] == ["pooled pinball at 0.5", "pooled pinball at 0.9"]
