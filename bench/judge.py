"""What a cycle of the judge costs on a big store: 2,000 pipelines with three expectations each, and their history.

A cycle is one poll and one tick of the engine: 200 runs changed (half of them begin, half end), more than 50 due times pass at
that moment, and a reload in which 5 expectations changed. Between cycles, nine minutes apart, the engine's heart beats as it
does (here once a minute): what opens or is to be foreseen again meanwhile is done then, and told apart. Process time of all
that the judge does, with prediction and with the commit; storing the runs themselves is not counted (``bench.store`` does).
"""

from __future__ import annotations

import gc
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
from engine.main import settle_memory
from engine.owed.bound import OwedChange
from engine.owed.judge import Judge
from engine.owed.live import Live
from engine.owed.outlook import Outlook
from engine.store import runs
from engine.store.writer import Store, Tx

CYCLES = 40
WARM = 21
CHANGED = 190
RELOADED = 5
BUDGET_MS = 50.0
MINUTE = 60_000
EVERY = 180 * MINUTE
STEP = 9 * MINUTE


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
    """Of each pipeline: two times of day by which it is finished, and when it starts, or how long a run may take."""
    found: list[Expectation] = []
    for n in range(PIPELINES):
        key = f"bench:pipeline_{n:04d}"
        given: dict[str, Any] = {"on": key, "timezone": "UTC", "place": f"watchfloor.toml:{n}"}
        found.append(Expectation(id=f"f{n}", type="finish_by", due=(n * 7 + 45) // 9 * 9 % 1440, **given))
        found.append(Expectation(id=f"g{n}", type="finish_by", due=(n * 11 + 300) // 9 * 9 % 1440, **given))
        if n % 3:
            found.append(Expectation(id=f"m{n}", type="max_duration", limit_ms=30 * MINUTE, **given))
        else:
            found.append(Expectation(id=f"s{n}", type="start_by", **given))
    return found


def _minute(n: int) -> int:
    """Of its tick within three hours: a minute before a cycle, so that the ten minutes of grace are over at the next one."""
    return n % 20 * 9 + 8


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
    source = Source(name="bench", kind="airflow", timezone="UTC", environment="prod")
    owed = expectations()
    config = Config(
        path=path, folder=path.parent, hash="1", timezone="UTC", sources=(source,), expectations=tuple(owed)
    )
    with store.transaction() as tx:
        (source_id,) = tx.db.execute("SELECT id FROM source").fetchone()
        listing = [
            Pipeline(
                key=f"bench:pipeline_{n:04d}", name=f"pipeline_{n:04d}", trigger=Trigger.CRON,
                schedule=f"{_minute(n) % 60} {_minute(n) // 60}-23/3 * * *", timezone="UTC",
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
    settle_memory()  # as the engine does after its start
    costs: list[float] = []
    beats: list[float] = []
    going: list[Run] = []
    dues = 0
    clock.at -= clock.at % STEP
    for cycle in range(-WARM, CYCLES):
        for _ in range(STEP // MINUTE - 1):
            clock.at += MINUTE
            judge.seen("bench", clock.at)
            began = time.process_time()
            with store.transaction() as tx:
                judge.tick(tx)
            if cycle >= 0:
                beats.append((time.process_time() - began) * 1000)
        passed = clock.at
        clock.at += MINUTE
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
            assert len(changes) >= CHANGED, len(changes)
    store.close()
    gc.unfreeze()
    p50, p95 = percentile(costs, 0.5), percentile(costs, 0.95)
    note = f"{rows:,} runs, {len(owed):,} expectations, {CYCLES} cycles, {dues / CYCLES:.0f} due times each, {told.n:,} changes told"
    return [
        Figure("judge: first binding", loaded, "ms", note=f"{len(owed):,} expectations opened a day ahead"),
        Figure("judge: after a restart", restarted, "ms"),
        Figure("judge: a cycle, p50", p50, "ms", f"≤ {BUDGET_MS:.0f} ms", ok=p50 <= BUDGET_MS, note=note),
        Figure("judge: a cycle, p95", p95, "ms", f"≤ {BUDGET_MS:.0f} ms", ok=p95 <= BUDGET_MS),
        Figure(
            "judge: a beat between, p95",
            percentile(beats, 0.95),
            "ms",
            note=f"all {STEP // MINUTE - 1} between two cycles together {sum(beats) / CYCLES:.0f} ms",
        ),
    ]


def _observations(cycle: int, now: int, going: list[Run]) -> list[Run]:
    """What began in the cycle before ends, and those begin whose tick lies in this one."""
    ended = [replace(r, native="success", state=State.SUCCESS, ended=now - 60_000, source_updated=now) for r in going]
    going.clear()
    for n in range(PIPELINES):
        tick = now - (now // MINUTE - _minute(n)) % 180 * MINUTE
        if tick > now - STEP:
            date = time.strftime("%Y-%m-%d", time.gmtime(tick / 1000))
            going.append(
                Run(
                    key=f"bench:pipeline_{n:04d}/c{cycle}", native="running", state=State.RUNNING, started=tick + 20_000,
                    source_updated=now, business_date=date,
                )
            )  # fmt: skip
    return [*ended, *going]
