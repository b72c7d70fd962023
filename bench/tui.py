"""The terminal as its user and its network feel it: first frame, idle bytes and CPU, key to paint; beside bare peers.

Peers (``bench/peers``) run in the same minutes on the same machine, in turns with ours, so that ratios mean something
on a loaded one. A terminal is a pty of 120 by 40, truecolor, that answers queries (``tests/pty.py``).
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.base import Listing
from adapters.model import Health, Pipeline, Run, Sample, State
from bench.figure import Figure, percentile
from bench.store import PIPELINES, STEP, polls
from engine.clock import Clock
from engine.config.paths import Places, places
from engine.leader import Leader
from engine.store import pipelines, runs, samples, sources
from engine.store.writer import Store
from tests.pty import Terminal

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("peers")
STARTS = 9
KEYS = 120
IDLE_S = 12.0
TABLE_ROWS = 10_000
MINUTE = 60_000


class Living:
    """An engine as a terminal sees one: it holds the lock, beats, and its gauges really change each second."""

    def __init__(self, folder: Path, rows: int = 40) -> None:
        config = folder / "watchfloor.toml"
        config.write_text('[store]\npath = "state/floor.db"\n')
        self.place: Places = places(config)
        self.place.store.parent.mkdir(parents=True, exist_ok=True)
        self.clock = Clock()
        self.store = Store.open(self.place.store, self.clock)
        self.leader = Leader(self.place.lock)
        if not self.leader.try_lock():
            raise RuntimeError("the bench's own lock is taken")
        self._end = threading.Event()
        self._tick = 0
        with self.store.transaction() as tx:
            sources.engine_started(
                tx,
                pid=1,
                host="bench",
                version="0",
                protocol=1,
                config_path=str(config),
                config_hash="bench",
                timezone="UTC",
            )
            record = sources.SourceRecord(name="local", kind="local", environment="bench", protected=False)
            self.source = sources.sync_sources(tx, [record])["local"]
            self._fill(tx, rows)
        self.second()
        self._thread = threading.Thread(target=self._live, name="bench-engine")
        self._thread.start()

    def _fill(self, tx: object, rows: int) -> None:
        now = self.clock.now()
        names = [f"pipeline_{n:02}_of_the_bench" for n in range(rows)]
        items = [
            Pipeline(key=f"local:{name}", name=name, next_run=now + (n + 1) * MINUTE) for n, name in enumerate(names)
        ]
        pipelines.apply_pipelines(tx, self.source, Listing(items, complete=True), [])  # type: ignore[arg-type]
        batch: list[Run] = []
        for n, item in enumerate(items):
            for back in range(20, 0, -1):
                began = now - back * 60 * MINUTE - n * 1000
                batch.append(
                    Run(
                        key=f"{item.key}/r{back}",
                        native="success",
                        state=State.SUCCESS,
                        started=began,
                        ended=began + (3 + back % 4) * MINUTE,
                    )
                )
            state = (State.RUNNING, State.FAILED, State.SUCCESS, State.SUCCESS, State.QUEUED)[n % 5]
            ended = None if state.active else now - MINUTE
            error = "ORA-00001: unique constraint violated" if state is State.FAILED else None
            batch.append(
                Run(
                    key=f"{item.key}/now",
                    native=state.name.lower(),
                    state=state,
                    started=now - 5 * MINUTE,
                    ended=ended,
                    error=error,
                )
            )
        runs.apply_runs(tx, self.source, batch, now)  # type: ignore[arg-type]

    def second(self) -> None:
        """What the engine writes once a second: its pulse, the sources' freshness, the gauges."""
        self._tick += 1
        now, turn = self.clock.now(), self._tick
        share = 50 + 40 * math.sin(turn / 3)
        readings = [
            ("host.cpu", share),
            ("host.mem", 40 + turn % 20),
            ("host.io", float(turn % 9)),
            ("host.disk:/data", 81.0),
            ("host.load1", 1 + turn % 5 / 10),
        ]
        with self.store.transaction() as tx:
            if turn == 1:
                for name, _ in readings:
                    samples.describe_series(
                        tx, name, unit="" if name == "host.load1" else "%", max=None if name == "host.load1" else 100.0
                    )
            sources.engine_beat(tx)
            sources.put_health(
                tx, self.source, health=int(Health.FRESH), since=now - MINUTE, last_ok=now, last_try=now, poll_ms=1000
            )
            samples.put_samples(tx, now, [Sample(name, now, value) for name, value in readings])

    def _live(self) -> None:
        while not self._end.wait(1.0):
            self.second()

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.store.close()
        self.leader.close()


@contextmanager
def living(rows: int = 40) -> Iterator[Living]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Living(Path(folder), rows)
        try:
            yield engine
        finally:
            engine.close()


def ours(place: Places) -> list[str]:
    return [sys.executable, "-P", "-m", "tui.cli", "--config", str(place.config), "--read-only"]


def peer(name: str, *args: object) -> list[str]:
    return [sys.executable, "-P", str(PEERS / f"{name}.py"), *map(str, args)]


def first_frame() -> list[Figure]:
    """From exec until the last row's name and a gauge of the last two seconds stand on the screen; in turns with a bare app."""
    mine: list[float] = []
    bare: list[float] = []
    sizes: list[float] = []
    with living(22) as engine:
        for _ in range(STARTS):
            with Terminal(peer("bare_textual"), 120, 40, cwd=str(ROOT)) as screen:
                bare.append(screen.wait_for("SENTINEL"))
            with Terminal(ours(engine.place), 120, 40, cwd=str(ROOT)) as screen:
                mine.append(screen.wait_for(re.compile(r"cpu .*\d+%[\s\S]*" + last_name(22)), 15))
                screen.settle(0.12, 0.6)
                sizes.append(float(screen.total))
    ratio = percentile(mine, 0.5) / percentile(bare, 0.5)
    size = percentile(sizes, 0.5) / 1000
    return [
        Figure("bare Textual app, first frame", percentile(bare, 0.5) * 1000, "ms", note=f"median of {STARTS}"),
        Figure("Floor, first frame", percentile(mine, 0.5) * 1000, "ms", note="rows and a fresh gauge from the store"),
        Figure("Floor, first frame / bare Textual", ratio, "×", "≤ 1.3", ratio_to="bare Textual app", ok=ratio <= 1.3),
        Figure("Floor, bytes until it stands", size, "KB", "≤ 20 KB", ok=size <= 20),
    ]


def last_name(rows: int) -> str:
    """A name at the end of the Floor's order: one that is fine and due last."""
    fine = [n for n in range(rows) if n % 5 in (2, 3)]
    return f"pipeline_{fine[-1]:02}"


def idle() -> list[Figure]:
    """A Floor of 40 rows that nobody touches, gauges changing each second."""
    with living(40) as engine, Terminal(ours(engine.place), 120, 40, cwd=str(ROOT)) as screen:
        screen.wait_for("pipeline_", 15)
        screen.settle(0.5, 3.0)
        before, cpu, began = screen.total, screen.cpu(), time.perf_counter()
        while time.perf_counter() - began < IDLE_S:
            screen.read(0.2)
        seconds = time.perf_counter() - began
        rate, share = (screen.total - before) / seconds / 1000, (screen.cpu() - cpu) / seconds * 100
    return [
        Figure(
            "idle Floor, to the terminal",
            rate,
            "KB/s",
            "≤ 0.6 KB/s",
            ok=rate <= 0.6,
            note="40 rows, gauges change each second",
        ),
        Figure("idle Floor, CPU", share, "%", "≤ 1 % of a core", ok=share <= 1.0),
    ]


def big_store(folder: Path, rows: int) -> Places:
    """A store of so many runs, written by the engine's own writer; its engine is gone."""
    config = folder / "watchfloor.toml"
    config.write_text('[store]\npath = "state/floor.db"\n')
    place = places(config)
    place.store.parent.mkdir(parents=True)
    clock = Clock()
    store = Store.open(place.store, clock)
    with store.transaction() as tx:
        record = sources.SourceRecord(name="bench", kind="airflow", environment="prod")
        source = sources.sync_sources(tx, [record])["bench"]
        listing = [Pipeline(key=f"bench:pipeline_{n:04d}", name=f"pipeline_{n:04d}") for n in range(PIPELINES)]
        pipelines.apply_pipelines(tx, source, Listing(listing, complete=True), [])
        sources.put_health(
            tx, source, health=int(Health.FRESH), since=clock.now(), last_ok=clock.now(), poll_ms=10_000_000
        )
        sources.engine_started(
            tx,
            pid=1,
            host="bench",
            version="0",
            protocol=1,
            config_path=str(config),
            config_hash="bench",
            timezone="UTC",
        )
    for batch in polls(rows, clock.now() - (rows // PIPELINES + 1) * STEP):
        with store.transaction() as tx:
            runs.apply_runs(tx, source, batch, clock.now())
    store.close()
    return place


def keys(screen: Terminal, count: int = KEYS) -> tuple[list[float], list[float]]:
    """Seconds from ``j`` to the last byte of its answer, and the bytes; one key after the other, a frame apart."""
    times: list[float] = []
    sizes: list[float] = []
    for _ in range(count):
        _, last, size = screen.key_to_paint("j", quiet=0.02)
        times.append(last)
        sizes.append(float(size))
        time.sleep(0.02)
    return times, sizes


def key_to_paint(rows: int, store: Places | None = None) -> list[Figure]:
    """``j`` in the list of runs over a million of them: ours, bare curses, DataTable."""
    with tempfile.TemporaryDirectory() as folder:
        place = store or big_store(Path(folder), rows)
        leader = Leader(place.lock)
        leader.try_lock()  # so that no engine is started for it
        try:
            return _keys_of_all(place, rows)
        finally:
            leader.close()


def _keys_of_all(place: Places, rows: int) -> list[Figure]:
    with Terminal(ours(place), 120, 40, cwd=str(ROOT)) as screen:
        screen.wait_for("Floor", 20)
        screen.settle(0.3, 2.0)
        screen.press("3")
        screen.wait_for("pipeline_", 10)
        screen.settle(0.3, 2.0)
        mine, sizes = keys(screen)
        memory = screen.rss()
    with Terminal(peer("curses_runs", place.store), 120, 40, cwd=str(ROOT)) as screen:
        screen.wait_for("pipeline_", 20)
        screen.settle(0.3, 2.0)
        bare, _ = keys(screen)
    with Terminal(peer("datatable_runs", place.store, TABLE_ROWS), 120, 40, cwd=str(ROOT)) as screen:
        screen.wait_for(re.compile(r"started[\s\S]*\d{9}"), 60)
        screen.settle(0.6, 5.0)
        table, _ = keys(screen, 60)
    return rated(mine, sizes, bare, table, memory, rows)


def rated(
    mine: Sequence[float],
    sizes: Sequence[float],
    bare: Sequence[float],
    table: Sequence[float],
    memory: float,
    rows: int,
) -> list[Figure]:
    p95, size = percentile(list(mine), 0.95) * 1000, percentile(list(sizes), 0.95) / 1000
    low, high = percentile(list(bare), 0.95) * 1000, percentile(list(table), 0.95) * 1000
    return [
        Figure(
            "key to paint, Runs p50", percentile(list(mine), 0.5) * 1000, "ms", note=f"{rows:,} runs, n={len(mine)}"
        ),
        Figure("key to paint, Runs p95", p95, "ms", "≤ 12 ms", ok=p95 <= 12),
        Figure("bare curses p95", low, "ms", note="same store"),
        Figure("DataTable p95", high, "ms", note=f"{TABLE_ROWS:,} rows of it: more load too long"),
        Figure("key to paint p95 / bare curses", p95 / low, "×", ratio_to="bare curses"),
        Figure("key to paint p95 / DataTable", p95 / high, "×", ratio_to="DataTable"),
        Figure("bytes a key p95", size, "KB", "≤ 3 KB", ok=size <= 3),
        Figure("terminal memory over the big store", memory, "MB", "≤ 50 MB", ok=memory <= 50, note="resident"),
    ]


def measure(rows: int = 1_000_000, store: Places | None = None) -> list[Figure]:
    return [*first_frame(), *idle(), *key_to_paint(rows, store)]


if __name__ == "__main__":
    for figure in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000):
        print(figure.line(), flush=True)
