"""What it costs to judge measured values: 1,000 of them with means and peaks, measured each ten seconds, over a real store.

A tick that judges is held against ten milliseconds, the time that a key may wait for the engine; the whole of a minute against
one percent of a core. ``rows`` plays no part: values know nothing of runs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from adapters.extras import Readings
from adapters.model import Sample
from bench.figure import Figure, percentile
from engine.clock import Clock
from engine.config.model import Config, Expectation, Series, Source, ValueRule
from engine.context import Context
from engine.owed.judge import Judge
from engine.owed.measured import Measured
from engine.store import metrics, sources
from engine.store.writer import Store

VALUES = 1_000
MINUTES = 3
TICK_BUDGET_MS = 10.0
SHARE_BUDGET = 1.0


class _Hand(Clock):
    def __init__(self) -> None:
        self.at = 1_795_150_000_000

    def now(self) -> int:
        return self.at


def measure(rows: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder))


def _measured(folder: Path) -> list[Figure]:
    clock = _Hand()
    store = Store.open(folder / "floor.db", clock)
    named = {f"s{n}": "x" for n in range(VALUES)}
    rule = ValueRule(above=100.0, mean_above=90.0, peak_above=99.0)
    config = Config(
        path=folder / "w.toml", folder=folder, hash="1", sources=(Source(name="prom", kind="prometheus"),),
        series=tuple(Series(name, "prom", name, unit) for name, unit in named.items()),
        expectations=(Expectation(id="m", on="series:s*", type="metric", value=rule),),
    )  # fmt: skip
    with store.transaction() as tx:
        ids = sources.sync_sources(tx, [sources.SourceRecord(name="prom", kind="prometheus", environment="prod")])
    ctx = Context(clock, store, config, None, {}, ids, lambda _: None, lambda _: None)  # type: ignore[arg-type]
    judge = Judge(ctx, None, None, None, Measured(ctx))
    with store.transaction() as tx:
        judge.configured(tx)
    ticks: list[float] = []
    for second in range(MINUTES * 60):
        clock.at += 1_000
        if second % 10 == 0:
            samples = [Sample(name, clock.at, float(n % 80)) for n, name in enumerate(named)]
            with store.transaction() as tx:
                metrics.put_readings(tx, "prom", named, Readings(samples=samples))
        began = time.process_time()
        with store.transaction() as tx:
            judge.tick(tx)
        if second >= 60:
            ticks.append((time.process_time() - began) * 1000)
    store.close()
    share = sum(ticks) / (len(ticks) * 1000) * 100
    return [
        Figure(
            "judge values, a tick p95", percentile(ticks, 0.95), "ms", f"≤ {TICK_BUDGET_MS:.0f} ms",
            ok=percentile(ticks, 0.95) <= TICK_BUDGET_MS, note=f"{VALUES:,} values with mean and peak",
        ),
        Figure("judge values, CPU", share, "%", f"≤ {SHARE_BUDGET:.0f} % of a core", ok=share <= SHARE_BUDGET),
    ]  # fmt: skip
