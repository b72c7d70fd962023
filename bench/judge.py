"""What a cycle of the judge costs on a big store: 2,000 pipelines with three expectations each, and their history.

A cycle is one poll and one tick: 200 runs changed (half of them begin, half end), about 50 due times passed, and a reload in
which 5 expectations changed. Process time of all that the judge does in it, with prediction and with the commit; storing
the runs themselves is not counted (``bench.store`` does).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.base import Listing
from adapters.model import Pipeline, Run, State, Trigger
from bench import store as big
from bench.figure import Figure, percentile
from bench.store import PIPELINES
from engine.clock import Clock
from engine.config.model import Config, Expectation, Source
from engine.context import Context
from engine.owed.bound import OwedChange
from engine.owed.judge import Judge
from engine.owed.live import Live
from engine.owed.outlook import Outlook
from engine.store import runs
from engine.store.writer import Store, Tx

CYCLES = 40
CHANGED = 200
DUE = 50
RELOADED = 5
BUDGET_MS = 50.0
MINUTE = 60_000
EVERY = 180 * MINUTE


class _Hand(Clock):
    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class _Silent:
    def __init__(self) -> None:
        self.n = 0

    def on_owed(self, tx: Tx, changes: Sequence[OwedChange]) -> None:
        self.n += len(changes)


def expectations() -> list[Expectation]:
    """Of each pipeline: by when it starts, by when it is finished by the clock, and how long after its schedule."""
    found: list[Expectation] = []
    for n in range(PIPELINES):
        key = f"bench:pipeline_{n:04d}"
        given: dict[str, Any] = {"on": key, "timezone": "Europe/Paris", "place": f"watchfloor.toml:{n}"}
        found.append(Expectation(id=f"s{n}", type="start_by", **given))
        found.append(Expectation(id=f"f{n}", type="finish_by", due=(n * 7 + 45) % 1440, **given))
        found.append(Expectation(id=f"d{n}", type="finish_by", due_after_schedule_ms=(30 + n % 60) * MINUTE, **given))
    return found


def measure(rows: int = 1_000_000) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="watchfloor-bench-") as name:
        return _measure(filled(Path(name), rows), rows)


def filled(folder: Path, rows: int) -> Path:
    """The big store of ``bench.store``, its pipelines three-hourly: 1,000,000 runs are two months of 2,000 pipelines."""
    step, big.STEP = big.STEP, EVERY
    try:
        return big.fill(folder, rows)[0]
    finally:
        big.STEP = step


def _measure(path: Path, rows: int) -> list[Figure]:
    clock = _Hand(Clock().now())
    store = Store.open(path, clock)
    source = Source(name="bench", kind="airflow", timezone="Europe/Paris", environment="prod")
    owed = expectations()
    config = Config(
        path=path, folder=path.parent, hash="1", timezone="Europe/Paris", sources=(source,), expectations=tuple(owed)
    )
    with store.transaction() as tx:
        (source_id,) = tx.db.execute("SELECT id FROM source").fetchone()
        listing = [
            Pipeline(
                key=f"bench:pipeline_{n:04d}", name=f"pipeline_{n:04d}", trigger=Trigger.CRON,
                schedule=f"{n % 60} {n // 60 % 3}-23/3 * * *", timezone="Europe/Paris",
            )
            for n in range(PIPELINES)
        ]  # fmt: skip
        runs.apply_pipelines(tx, source_id, Listing(listing, True), ())
    ctx = Context(clock, store, config, None, {}, {"bench": source_id}, lambda name: None, print)  # pyright: ignore[reportArgumentType]
    told = _Silent()
    outlook = Outlook(ctx)
    judge = Judge(ctx, told, outlook, Live(ctx, outlook))
    began = time.process_time()
    with store.transaction() as tx:
        judge.configured(tx)
    loaded = (time.process_time() - began) * 1000
    began = time.process_time()
    with store.transaction() as tx:
        again = Judge(ctx, told, outlook, Live(ctx, outlook))
        again.configured(tx)
    restarted = (time.process_time() - began) * 1000
    judge = again
    costs: list[float] = []
    going: list[Run] = []
    dues = 0
    for cycle in range(-5, CYCLES):
        passed = clock.at
        clock.at += _until(store, clock.at, DUE)
        seen = _observations(cycle, clock.at, going)
        with store.transaction() as tx:
            changes = runs.apply_runs(tx, source_id, seen, clock.at)
            judge.seen("bench", clock.at)
            began = time.process_time()
            judge.on_runs(tx, changes)
            judge.tick(tx)
            for n in range(RELOADED):
                at = (cycle * RELOADED + n) * 3 % len(owed)
                owed[at] = replace(owed[at], start_grace_ms=owed[at].start_grace_ms + MINUTE)
            ctx.config = replace(ctx.config, expectations=tuple(owed))
            judge.configured(tx)
            cost = time.process_time() - began
        began = time.process_time()
        with store.transaction() as tx:  # what a commit of nothing else costs is no part of it
            judge.tick(tx)
        cost += time.process_time() - began
        if cycle >= 0:
            costs.append(cost * 1000)
            with store.transaction() as tx:
                dues += tx.db.execute(
                    "SELECT count(*) FROM occurrence WHERE due_at > ? AND due_at <= ?", (passed, clock.at)
                ).fetchone()[0]
            assert len(changes) >= CHANGED * 0.9, len(changes)
    store.close()
    p50, p95 = percentile(costs, 0.5), percentile(costs, 0.95)
    note = f"{rows:,} runs, {len(owed):,} expectations, {CYCLES} cycles, {dues / CYCLES:.0f} due times each, {told.n:,} changes told"
    return [
        Figure("judge: first binding", loaded, "ms", note=f"{len(owed):,} expectations opened a day ahead"),
        Figure("judge: after a restart", restarted, "ms"),
        Figure("judge: a cycle, p50", p50, "ms", f"≤ {BUDGET_MS:.0f} ms", ok=p50 <= BUDGET_MS, note=note),
        Figure("judge: a cycle, p95", p95, "ms", f"≤ {BUDGET_MS:.0f} ms", ok=p95 <= BUDGET_MS),
    ]


def _until(store: Store, now: int, dues: int) -> int:
    """How far the clock moves for so many due times to pass."""
    with store.transaction() as tx:
        row = tx.db.execute(
            "SELECT due_at FROM occurrence WHERE due_at > ? AND opened_as = 0 ORDER BY due_at LIMIT 1 OFFSET ?",
            (now, dues - 1),
        ).fetchone()
    return row[0] - now + 1


def _observations(cycle: int, now: int, going: list[Run]) -> list[Run]:
    """Half of them end what began in the cycle before, half begin anew; each cycle on other pipelines."""
    ended = [replace(r, native="success", state=State.SUCCESS, ended=now - 1_000, source_updated=now) for r in going]
    going.clear()
    for n in range(CHANGED // 2):
        pipeline = (cycle * (CHANGED // 2) + n) % PIPELINES
        going.append(
            Run(
                key=f"bench:pipeline_{pipeline:04d}/c{cycle}", native="running", state=State.RUNNING, started=now - 30_000, source_updated=now,
                business_date=time.strftime("%Y-%m-%d", time.gmtime(now / 1000)),
            )
        )  # fmt: skip
    begun = [replace(r, key=r.key + "x", ended=now - 1_000, native="success", state=State.SUCCESS) for r in going]
    return [*ended, *going, *(begun if not ended else ())]
