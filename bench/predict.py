"""Does the prediction of durations beat what others do, and is "60 % likely late" late in 60 % of cases?

Walk-forward over the families and seeds of :mod:`bench.families`: before each run all that is known are the runs before it.
Held against, each in several forms, the best of which counts (per family and pooled):

* mean: the mean of the last 10 and of the last 30; its 90 % quantile is the mean times the 90 % quantile of duration ÷ mean
* mean ± 3σ: the normal distribution of the last 30, its 50 % and 90 % quantile; plain and of logarithms
* last run: the last run; its 90 % quantile by the ratios, or the differences, of successive runs; also with their median
* median: the median of the last 30; its 90 % quantile from MAD as of a normal distribution, or the empirical one

Each of these also over the same class of day (weekday, weekend, month-end) that ours would use: a history as good as ours.

Loss is pinball at .5 and .9 in units of the series' own usual duration (its median), so that long pipelines do not outweigh
short ones. Calibration: P(late) is asked at the start and while the run goes on (at .5, .8, 1, 1.2 and 1.5 of the usual
duration, if it is still running), for two kinds of due time: fixed ones (the deciles of the whole series, as a
declared deadline is fixed), and one drawn from the distribution of that very run (which knows nothing but the truth).
``python -m bench.predict`` prints everything; ``python -m bench predict`` the figures that have a bound.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, log
from statistics import fmean, pstdev

from bench.families import DAY, FAMILIES, TUNED, UNSEEN, Made, make
from bench.figure import Figure
from engine.owed.anomaly import Levels
from engine.owed.calibration import pinball
from engine.owed.history import Learnt, Past, day_class, learn, of_class
from engine.owed.predict import running, waiting
from engine.owed.quantile import DAYS, DEPTH, quantile

QS = (0.5, 0.9)
ASKED = (0.0, 0.5, 0.8, 1.0, 1.2, 1.5)
FIXED = tuple(k / 10 for k in range(1, 10))
BANDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01)
REPORTED = "random walk"

Pair = tuple[float, float]


def _about(values: Sequence[float], centre: float) -> float:
    return centre * quantile(sorted(v / centre for v in values), 0.9)


def _mean(depth: int) -> Callable[[Sequence[float]], Pair]:
    def form(values: Sequence[float]) -> Pair:
        centre = fmean(values[-depth:])
        return centre, _about(values[-depth:], centre)

    return form


def _sigma(values: Sequence[float]) -> Pair:
    centre = fmean(values)
    return centre, centre + 1.2816 * pstdev(values, centre)


def _sigma_log(values: Sequence[float]) -> Pair:
    low, high = _sigma([log(v) for v in values])
    return exp(low), exp(high)


def _last_ratio(values: Sequence[float]) -> Pair:
    steps = sorted(b / a for a, b in pairwise(values))
    return values[-1], values[-1] * quantile(steps, 0.9)


def _last_ratio_centred(values: Sequence[float]) -> Pair:
    steps = sorted(b / a for a, b in pairwise(values))
    return values[-1] * quantile(steps, 0.5), values[-1] * quantile(steps, 0.9)


def _last_difference(values: Sequence[float]) -> Pair:
    steps = sorted(b - a for a, b in pairwise(values))
    return values[-1], values[-1] + quantile(steps, 0.9)


def _median(values: Sequence[float]) -> Pair:
    ordered = sorted(values)
    centre = quantile(ordered, 0.5)
    return centre, centre + 1.2816 * 1.4826 * quantile(sorted(abs(v - centre) for v in ordered), 0.5)


def _median_empirical(values: Sequence[float]) -> Pair:
    ordered = sorted(values)
    return quantile(ordered, 0.5), quantile(ordered, 0.9)


FORMS: dict[str, Callable[[Sequence[float]], Pair]] = {
    "mean (10)": _mean(10),
    "mean (30)": _mean(30),
    "mean ± 3σ": _sigma,
    "mean ± 3σ (log)": _sigma_log,
    "last run (ratio)": _last_ratio,
    "last run (ratio, centred)": _last_ratio_centred,
    "last run (difference)": _last_difference,
    "median (MAD)": _median,
    "median (empirical)": _median_empirical,
}


@dataclass(slots=True)
class Told:
    """Of one family: losses by method, and predictions of lateness with what came of them."""

    loss: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    asked: dict[str, list[tuple[float, bool]]] = field(default_factory=lambda: defaultdict(list))
    runs: int = 0

    def pinball(self, method: str) -> float:
        """Mean loss of .5 and .9 together, in percent of the usual duration."""
        return 100 * sum(self.loss[method]) / self.runs

    def best(self) -> tuple[str, float]:
        """The best of all forms of all others."""
        return min(((m, self.pinball(m)) for m in self.loss if m != "ours"), key=lambda x: x[1])


def walk(series: Sequence[Made], told: Told) -> None:
    """All predictions along one series."""
    unit = quantile(sorted(m.ms for m in series), 0.5)
    every = sorted(m.ms for m in series)
    fixed = [round(quantile(every, q)) for q in FIXED]
    levels = Levels()
    past: list[Past] = []
    for run in series:
        day = day_class(run.day)
        while past and past[0].at < run.at - DAYS * DAY:
            del past[0]
        known = learn(past, day, levels.shift(day))
        if isinstance(known, Learnt):
            told.runs += 1
            _score(told, "ours", run.ms / unit, (known.p50 / unit, known.p90 / unit))
            whole = [p.ms / unit for p in past]
            same = [past[i].ms / unit for i in of_class(past, day)[1]]
            for name, form in FORMS.items():
                _score(told, name, run.ms / unit, form(whole))
                _score(told, f"{name}, by day", run.ms / unit, form(same))
            for kind, dues in (("fixed", fixed), ("drawn", run.twins)):
                for due in dues:
                    for share in ASKED:
                        elapsed = round(share * known.p50)
                        if elapsed >= run.ms or elapsed >= due:
                            break
                        seen = (
                            running(known, run.at + elapsed, run.at, run.at + due) if elapsed
                            else waiting(known, run.at, None, None, run.at + due)
                        )  # fmt: skip
                        told.asked[kind].append((seen.late or 0.0, run.ms > due))
        past.append(Past(run.at, run.ms, day))
        del past[:-DEPTH]
        levels, _, _ = levels.step(run.at, run.ms, day)


def _score(told: Told, method: str, actual: float, pair: Pair) -> None:
    mine = told.loss[method]
    for i, q in enumerate(QS):
        mine[i] += pinball(actual, pair[i], q)


def error(asked: Iterable[tuple[float, bool]], low: float = 0.5, high: float = 0.9) -> tuple[float, int]:
    """(mean P − share late) in points, of predictions within the band, and how many there are."""
    within = [(p, late) for p, late in asked if low - 1e-9 <= p <= high + 1e-9]
    if not within:
        return 0.0, 0
    return 100 * (fmean(p for p, _ in within) - fmean(late for _, late in within)), len(within)


def worst_error(told: Told, low: float, high: float) -> tuple[float, str]:
    """The larger error of the two kinds of due times, of predictions within the band: (points, which)."""
    found = [(error(told.asked[kind], low, high)[0], kind) for kind in ("fixed", "drawn")]
    return max(found, key=lambda f: abs(f[0]))


def by_bands(asked: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """(from, error in points, how many) of each band."""
    return [(low, *error(asked, low, high - 2e-9)) for low, high in pairwise(BANDS)]


def survey(seeds: Iterable[int], families: Iterable[str] = FAMILIES) -> dict[str, Told]:
    """Walk all families."""
    seeds = tuple(seeds)
    every: dict[str, Told] = {}
    for family in families:
        every[family] = Told()
        for seed in seeds:
            walk(make(family, seed), every[family])
    return every


def pooled(every: dict[str, Told], method: str) -> tuple[float, float]:
    """Mean loss at .5 and at .9 over all families, in percent of the usual duration."""
    runs = sum(t.runs for t in every.values())
    at = [100 * sum(t.loss[method][i] for t in every.values()) / runs for i in range(len(QS))]
    return at[0], at[1]


def figures(every: dict[str, Told], prefix: str, seen: bool) -> list[Figure]:
    """Those that have a bound, and on the ``seen`` seeds the error over all P too (on the unseen ones that is reported)."""
    found: list[Figure] = []
    methods = [m for m in next(iter(every.values())).loss if m != "ours"]
    ours = pooled(every, "ours")
    for i, q in enumerate(QS):
        best = min(methods, key=lambda m: pooled(every, m)[i])
        ratio = ours[i] / pooled(every, best)[i]
        note = f"ours {ours[i]:.2f} %, best other {pooled(every, best)[i]:.2f} %"
        found.append(Figure(f"{prefix}pooled pinball at {q}", ratio, "×", "< 1", best, ratio < 1, note))
    for family, told in every.items():
        best, loss = told.best()
        ratio = told.pinball("ours") / loss
        ok = ratio <= 1.1 if family != REPORTED else None
        budget = "reported" if family == REPORTED else "≤ 1.1"
        found.append(Figure(f"{prefix}pinball: {family}", ratio, "×", budget, best, ok, f"to {best}"))
    for low, high, word in ((0.5, 0.9, "P(late) 0.5–0.9"), (0.0, 1.0, "P(late) 0–1")):
        for family, told in every.items():
            points, which = worst_error(told, low, high)
            held = family != REPORTED and (seen or low > 0)
            ok = abs(points) <= 5 if held else None
            budget = "≤ 5 either way" if held else "reported"
            found.append(Figure(f"{prefix}{word}: {family}", points, "points", budget, "", ok, f"due times {which}"))
    return found


def speed() -> list[Figure]:
    """What one prediction costs, and what it costs to learn anew when a run has ended."""
    past: list[Past] = []
    for run in make("trend", 1)[:DEPTH]:
        past.append(Past(run.at, run.ms, day_class(run.day)))
    day = past[-1].day
    known = learn(past, day)
    at = past[-1].at + DAY

    def cost(call: Callable[[], object], times: int) -> float:
        best = 1e9
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(times):
                call()
            best = min(best, (time.perf_counter() - began) / times * 1e6)
        return best

    asks = cost(lambda: running(known, at + 60_000, at, at + 3_600_000), 2_000)
    learns = cost(lambda: learn(past, day), 200)
    return [
        Figure("one prediction, n = 30", asks, "µs", "≤ 50 µs", "", asks <= 50),
        Figure("learning anew, n = 30", learns, "µs", "", "", None, "once a finished run and class of day"),
    ]


def measure(rows: int) -> list[Figure]:
    """For ``python -m bench predict``; ``rows`` does not matter here."""
    return [*figures(survey(TUNED), "", True), *figures(survey(UNSEEN), "unseen: ", False), *speed()]


def main() -> int:
    """Everything there is to see; ``--tuned`` leaves the unseen seeds unseen."""
    over = False
    for name, seeds in (("tuned", TUNED), ("unseen", UNSEEN)):
        if name == "unseen" and "--tuned" in sys.argv:
            continue
        every = survey(seeds)
        print(f"\n{name} seeds: pinball (.5 + .9) in % of the usual duration; last column: pooled")
        print(" " * 34 + "".join(f"{family:>13}" for family in every))
        for method in next(iter(every.values())).loss:
            row = "".join(f"{told.pinball(method):>13.2f}" for told in every.values())
            print(f"{method:<34}{row}{sum(pooled(every, method)):>13.2f}")
        for kind in ("fixed", "drawn"):
            print(f"P(late) − share late, in points, due times {kind}; from P =")
            for i, low in enumerate(BANDS[:-1]):
                cells = (by_bands(told.asked[kind])[i] for told in every.values())
                print(f"  {low:<32}" + "".join(f"{c[1]:>6.1f}/{c[2]:<6}" for c in cells))
        for figure in figures(every, "", name == "tuned"):
            print(figure.line())
            over = over or figure.ok is False
    for figure in speed():
        print(figure.line())
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
