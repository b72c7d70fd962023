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
from math import exp, log
from statistics import fmean, pstdev

from bench.families import DAY, FAMILIES, TUNED, UNSEEN, Made, make
from bench.figure import Figure
from engine.owed.anomaly import Levels
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
    steps = sorted(b / a for a, b in zip(values, values[1:], strict=False))
    return values[-1], values[-1] * quantile(steps, 0.9)


def _last_ratio_centred(values: Sequence[float]) -> Pair:
    steps = sorted(b / a for a, b in zip(values, values[1:], strict=False))
    return values[-1] * quantile(steps, 0.5), values[-1] * quantile(steps, 0.9)


def _last_difference(values: Sequence[float]) -> Pair:
    steps = sorted(b - a for a, b in zip(values, values[1:], strict=False))
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
    off: float = 0.0

    def pinball(self, method: str) -> float:
        """Mean loss of .5 and .9 together, in percent of the usual duration."""
        return 100 * sum(self.loss[method]) / self.runs

    def best(self) -> tuple[str, float]:
        """The best of all forms of all others."""
        return min(((m, self.pinball(m)) for m in self.loss if m != "ours"), key=lambda x: x[1])


def pinball(actual: float, told: float, q: float) -> float:
    """Loss of one quantile."""
    off = actual - told
    return q * off if off >= 0 else (q - 1) * off


def walk(series: Sequence[Made], told: Told, others: bool = True) -> None:
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
            told.off += abs(run.ms - known.p50) / unit
            _score(told, "ours", run.ms / unit, (known.p50 / unit, known.p90 / unit))
            if others:
                whole = [p.ms / unit for p in past]
                same = [past[i].ms / unit for i in of_class(past, day)[1]]
                for name, form in FORMS.items():
                    _score(told, name, run.ms / unit, form(whole))
                    _score(told, f"{name}, by day", run.ms / unit, form(same))
            for kind, dues in (("fixed", fixed), ("drawn", (run.twin,))):
                for due in dues:
                    for share in ASKED:
                        elapsed = round(share * known.p50)
                        if elapsed >= run.ms or elapsed >= due:
                            break
                        ask = running if elapsed else waiting
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


def calibration(asked: Iterable[tuple[float, bool]], low: float = 0.5, high: float = 0.9) -> tuple[float, int]:
    """(mean P − share late) in points, of predictions within the band, and how many there are."""
    within = [(p, late) for p, late in asked if low <= p <= high]
    if not within:
        return 0.0, 0
    return 100 * (fmean(p for p, _ in within) - fmean(late for _, late in within)), len(within)


def bands(asked: Sequence[tuple[float, bool]]) -> list[tuple[float, float, float, int]]:
    """(from, mean P, share late, how many) of each band that has any."""
    found: list[tuple[float, float, float, int]] = []
    for low, high in zip(BANDS, BANDS[1:], strict=False):
        within = [(p, late) for p, late in asked if low <= p < high]
        if within:
            found.append((low, fmean(p for p, _ in within), fmean(late for _, late in within), len(within)))
    return found


def survey(seeds: Iterable[int], others: bool = True, families: Iterable[str] = FAMILIES) -> dict[str, Told]:
    """Walk all families."""
    seeds = tuple(seeds)
    every: dict[str, Told] = {}
    for family in families:
        every[family] = Told()
        for seed in seeds:
            walk(make(family, seed), every[family], others)
    return every


def main() -> int:
    for name, seeds in (("tuned", TUNED), *((("unseen", UNSEEN),) if "--unseen" in sys.argv else ())):
        began = time.monotonic()
        every = survey(seeds)
        print(f"\n{name} seeds, {time.monotonic() - began:.1f} s: pinball (.5 + .9) in % of the usual duration")
        methods = list(next(iter(every.values())).loss)
        for m in methods:
            pooled = fmean(t.pinball(m) for t in every.values())
            print(f"{m:<36}" + "".join(f"{t.pinball(m):>12.2f}" for t in every.values()) + f"{pooled:>12.3f}")
        print(f"{'÷ best':<36}" + "".join(f"{t.pinball('ours') / t.best()[1]:>12.3f}" for t in every.values()))
        for kind in ("fixed", "drawn"):
            print(f"{kind + ' .5–.9':<36}" + "".join(f"{calibration(t.asked[kind])[0]:>12.1f}" for t in every.values()))
            print(f"{kind + ' all':<36}" + "".join(f"{calibration(t.asked[kind], 0, 1)[0]:>12.1f}" for t in every.values()))
            for low, high in zip(BANDS, BANDS[1:]):
                print(f"  {kind} {low}" .ljust(36) + "".join((lambda c: f"{c[0]:>7.1f}/{c[1]:<4}")(calibration(t.asked[kind], low, high - 1e-9)) for t in every.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
