"""Made-up histories of durations, each from a family and a seed: what a predictor meets in life, one trouble at a time.

Everything is fixed here: generator, seeds and ranges. ``TUNED`` are the seeds that the method was worked out on, ``UNSEEN``
were never looked at for a decision. Each run comes with ``twins``: other draws from the same distribution at the same
moment, which are used as due times that nobody could know better than by knowing the distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import exp, log
from random import Random

RUNS = 90
TWINS = 5
TUNED = range(1, 41)
UNSEEN = range(1001, 1041)
FIRST = date(2026, 1, 5)
DAY = 86_400_000
MINUTE = 60_000


Law = Callable[[int, Random], float]
"""Duration of run i in units of the usual one, drawn by the generator that it is given."""


@dataclass(frozen=True, slots=True)
class Made:
    """One run. Times in ms."""

    at: int
    day: date
    ms: int
    twins: tuple[int, ...]


def stationary(draw: Random, runs: int) -> Law:
    """One level, log-normal noise of 5 to 25 %."""
    sigma = draw.uniform(0.05, 0.25)
    return lambda _, r: exp(r.gauss(0, sigma))


def trend(draw: Random, runs: int) -> Law:
    """Each run takes 1 % longer than the one before."""
    sigma = draw.uniform(0.05, 0.25)
    return lambda i, r: exp(0.01 * i + r.gauss(0, sigma))


def weekdays(draw: Random, runs: int) -> Law:
    """Weekends take 0.4 to 0.8, or 1.3 to 2.5 times as long."""
    sigma = draw.uniform(0.05, 0.25)
    factor = draw.choice((draw.uniform(0.4, 0.8), draw.uniform(1.3, 2.5)))
    return lambda i, r: exp(r.gauss(0, sigma)) * (factor if (FIRST + timedelta(days=i)).weekday() >= 5 else 1.0)


def outliers(draw: Random, runs: int) -> Law:
    """One run in twenty takes 1.5 to 4 times as long."""
    sigma = draw.uniform(0.05, 0.25)
    return lambda _, r: exp(r.gauss(0, sigma)) * (r.uniform(1.5, 4.0) if r.random() < 0.05 else 1.0)


def level_shift(draw: Random, runs: int) -> Law:
    """From some run in the middle third on, 1.4 to 2.5 times as long or as short."""
    sigma = draw.uniform(0.05, 0.25)
    at = draw.randrange(runs // 3, 2 * runs // 3)
    factor = draw.uniform(1.4, 2.5) ** draw.choice((-1, 1))
    return lambda i, r: exp(r.gauss(0, sigma)) * (factor if i >= at else 1.0)


def two_regimes(draw: Random, runs: int) -> Law:
    """15 to 50 % of the runs, at random, take 1.5 to 3 times as long (two kinds of load that nobody told apart)."""
    sigma = draw.uniform(0.05, 0.25)
    share = draw.uniform(0.15, 0.5)
    factor = draw.uniform(1.5, 3.0)
    return lambda _, r: exp(r.gauss(0, sigma)) * (factor if r.random() < share else 1.0)


def random_walk(draw: Random, runs: int) -> Law:
    """The level moves by 5 to 10 % at each run, and each run lies 3 to 10 % beside it."""
    sigma = draw.uniform(0.03, 0.10)
    step = draw.uniform(0.05, 0.10)
    level = [0.0]
    for _ in range(runs):
        level.append(level[-1] + draw.gauss(0, step))
    return lambda i, r: exp(level[i + 1] + r.gauss(0, sigma))


FAMILIES: dict[str, Callable[[Random, int], Law]] = {
    "stationary": stationary,
    "trend": trend,
    "weekdays": weekdays,
    "outliers": outliers,
    "level shift": level_shift,
    "two regimes": two_regimes,
    "random walk": random_walk,
}


def make(family: str, seed: int, runs: int = RUNS) -> list[Made]:
    """Daily runs at 02:00 UTC; a median of 5 to 120 minutes."""
    draw = Random(f"watchfloor/{family}/{seed}")
    usual = exp(draw.uniform(log(5), log(120))) * MINUTE
    law = FAMILIES[family](draw, runs)
    other = Random(f"watchfloor/{family}/{seed}/twins")
    first = int(datetime(FIRST.year, FIRST.month, FIRST.day, 2, tzinfo=UTC).timestamp() * 1000)
    made: list[Made] = []
    for i in range(runs):
        twins = tuple(round(usual * law(i, other)) for _ in range(TWINS))
        made.append(Made(first + i * DAY, FIRST + timedelta(days=i), round(usual * law(i, draw)), twins))
    return made
