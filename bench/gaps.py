"""The gap map where it is heaviest: forty pipelines in view that run each hour, over ninety days and beside two thousand others.

What is measured is how long a key may have to wait for the terminal: a frame, or a turn of its own that the map takes, in
milliseconds of CPU, when it is opened, when the cursor goes down, and after every pipeline in view got a run. A store of its own:
``rows`` plays no part.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from adapters.base import Listing
from adapters.model import Health, Pipeline, Run, RunKind, State, Trigger, run_key
from bench.figure import Figure, percentile
from engine.clock import Clock
from engine.store import pipelines, runs, sources
from engine.store.reader import Reader
from engine.store.writer import Store
from tui.screens.layers import LayersView
from tui.view import Context

HOURLY, DAILY = 40, 1_960
DAYS = 91
ROUNDS = 10
HOUR = 3_600_000
WIDTH, HEIGHT = 120, 50
BUDGET_MS = 50.0


def measure(rows: int) -> list[Figure]:
    return [*_measured("hourly", 24, dated=True), *_measured("hourly, no dates", 24, dated=False)]


def _measured(name: str, a_day: int, *, dated: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path, clock = Path(folder) / "floor.db", Clock()
        store = Store.open(path, clock)
        source, items = _filled(store, clock.now(), a_day, dated=dated)
        reader = Reader(path, clock.now)
        view = LayersView(Context(reader, clock.now), "matrix")
        view.load()
        view.paint(WIDTH, HEIGHT)
        view.work()  # as the terminal does all the time
        opened = _turns(view, lambda: view.act("view.pane"))
        down = [ms for _ in range(HOURLY) for ms in _turns(view, lambda: view.act("move.down"))]
        moved: list[float] = []
        for turn in range(ROUNDS):
            _ran(store, source, items[:HOURLY], clock.now() + turn, dated=dated)
            moved += _turns(view, view.load)
        reader.close()
        store.close()
    note = f"{HOURLY} pipelines in view, {DAYS} days"
    return [
        _figure(f"gap map, {name}: open", opened, note),
        _figure(f"gap map, {name}: a key", down, note),
        _figure(f"gap map, {name}: all ran", moved, note),
    ]


def _figure(name: str, turns: list[float], note: str) -> Figure:
    ms = percentile(turns, 0.95)
    return Figure(f"{name} p95", ms, "ms", f"≤ {BUDGET_MS:.0f} ms", ok=ms <= BUDGET_MS, note=note)


def _turns(view: LayersView, first: Callable[[], object]) -> list[float]:
    """Milliseconds of each: ``first`` with its frame, then the turns that the map asks for, each with its frame."""
    out: list[float] = []
    again = True
    while again:
        began = time.process_time()
        again = bool(first() or True) if not out else view.work()
        view.paint(WIDTH, HEIGHT)
        out.append((time.process_time() - began) * 1000)
    return out


def _filled(store: Store, now: int, a_day: int, *, dated: bool) -> tuple[int, list[Pipeline]]:
    """Pipelines that ran ``a_day`` times a day, and many more that ran once."""
    items = [
        Pipeline(key=f"bench:p{n:04}", name=f"p{n:04}", trigger=Trigger.CRON, schedule="0 * * * *")
        for n in range(HOURLY + DAILY)
    ]
    with store.transaction() as tx:
        source = sources.sync_sources(tx, [sources.SourceRecord(name="bench", kind="airflow", environment="prod")])[
            "bench"
        ]
        sources.put_health(tx, source, health=int(Health.FRESH), since=now, last_ok=now, poll_ms=86_400_000)
        pipelines.apply_pipelines(tx, source, Listing(items, complete=True), [])
    for n in range(0, len(items), 10):
        batch = [
            _run(item, now - back * 24 * HOUR // each - HOUR, dated=dated)
            for i, item in enumerate(items[n : n + 10], n)
            for each in (a_day if i < HOURLY else 1,)
            for back in range(DAYS * each)
        ]
        with store.transaction() as tx:
            runs.apply_runs(tx, source, batch, now)
    return source, items


def _ran(store: Store, source: int, items: list[Pipeline], at: int, *, dated: bool) -> None:
    with store.transaction() as tx:
        runs.apply_runs(tx, source, [_run(item, at, dated=dated) for item in items], at)


def _run(item: Pipeline, at: int, *, dated: bool) -> Run:
    bad = at // HOUR % 97 == 0
    return Run(
        key=run_key(item.key, f"scheduled__{at}"), native="failed" if bad else "success",
        state=State.FAILED if bad else State.SUCCESS, kind=RunKind.SCHEDULED, started=at, ended=at + 60_000,
        business_date=time.strftime("%Y-%m-%d", time.gmtime(at / 1000)) if dated else None,
    )  # fmt: skip


if __name__ == "__main__":
    for figure in measure(0):
        print(figure.line(), flush=True)
