"""Thirty days of 200 series: how large the store is, how soon a chart of any range stands, and what a second costs the engine.

The tiers are loaded in bulk with the rows that the engine's roll-ups would have left (a mean and both extremes of each bucket
that a tier keeps; 400 days of days), by SQLite itself; then the last ten minutes go the product's own way, ``put_samples`` once
a second, which is also what is timed. Raw holds an hour at a reading each second, as the engine samples. ``rows`` plays no part.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from adapters.model import Sample
from bench.figure import Figure, percentile
from engine.clock import Clock
from engine.store import retention, samples
from engine.store.reader import Reader
from engine.store.writer import Store

SERIES = 200
DAYS = 30
RAW_S = 1
POINTS = 90
ASKS = 60
NOW = 1_795_150_320_000
RANGES = (("1 h", samples.HOUR), ("24 h", samples.DAY), ("7 d", 7 * samples.DAY), ("30 d", 30 * samples.DAY))
STORE_MB = 250.0
CHART_MS = 5.0


class Fixed(Clock):
    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


def names() -> list[str]:
    """As a host has them: CPU and memory first, then disks."""
    few = ["host.cpu", "host.mem", "host.io", "host.swap", "host.load1"]
    return few + [f"host.disk:/d{i:02d}" for i in range(10)] + [f"host.s{i:03d}" for i in range(SERIES - len(few) - 10)]


def load(store: Store, now: int) -> None:
    """All but the last ten minutes, in bulk."""
    with store.transaction() as tx:
        for name in names():
            samples.describe_series(tx, name, unit="%", max=100.0)
        tx.memo.clear()
    upto = now - 600_000
    value = "50 + 40 * sin(t.value / 7e6 + s.id) + (random() % 1000) / 200.0"
    for table, bucket, kept, _ in samples.TIERS:
        last = upto // bucket * bucket
        with store.transaction() as tx:
            tx.db.execute(
                f"WITH RECURSIVE t(value) AS (SELECT ? UNION ALL SELECT value + {bucket} FROM t WHERE value + {bucket} < ?)"  # noqa: S608
                f" INSERT INTO {table} (series_id, t, n, avg, min, max) SELECT s.id, t.value, {bucket // 1000}, {value}, 9.5, 99.5"
                " FROM series s CROSS JOIN t",
                (now // bucket * bucket - kept, last),
            )
    with store.transaction() as tx:
        tx.db.execute(
            "WITH RECURSIVE t(value) AS (SELECT ? UNION ALL SELECT value + 1 FROM t WHERE value + 1 < ?)"
            " INSERT INTO sample_day (series_id, day, n, avg, min, max)"
            " SELECT s.id, t.value, 86400, 50, 9.5, 60 + (t.value - ?) / 20.0 FROM series s CROSS JOIN t",
            (now // samples.DAY - samples.DAYS_KEPT, now // samples.DAY, now // samples.DAY - samples.DAYS_KEPT),
        )
    with store.transaction() as tx:
        tx.db.execute(
            f"WITH RECURSIVE t(value) AS (SELECT ? UNION ALL SELECT value + {RAW_S * 1000} FROM t WHERE value + {RAW_S * 1000} < ?)"  # noqa: S608
            f" INSERT INTO sample_raw (t, series_id, value) SELECT t.value, s.id, {value} FROM t CROSS JOIN series s",
            (now - samples.RAW_KEPT, upto),
        )


def live(store: Store, clock: Fixed, seconds: int) -> list[float]:
    """The product's own way, once a second; ms of each tick's transaction."""
    rng = random.Random(1)
    series = names()
    took: list[float] = []
    start = clock.at - seconds * 1000
    for i in range(seconds):
        t = clock.at = start + (i + 1) * 1000
        readings = [Sample(name, t, rng.uniform(10, 90), "%") for name in series]
        began = time.perf_counter()
        with store.transaction() as tx:
            samples.put_samples(tx, t, readings)
        took.append((time.perf_counter() - began) * 1000)
    return took


def asked(call: Callable[[], object], times: int = ASKS) -> list[float]:
    call()
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return took


def size(path: Path) -> float:
    """MB of the file and its write-ahead log."""
    return sum(p.stat().st_size for p in path.parent.glob(path.name + "*")) / 1e6


def screen(reader: Reader) -> list[Figure]:
    """The Hosts screen over all this: opened, and in each second after."""
    from tui.screens.hosts import HostsView
    from tui.view import Context

    def opened() -> None:
        view = HostsView(Context(reader=reader, now=lambda: NOW, timezone="Europe/Paris"))
        view.load()
        view.paint(120, 40)

    view = HostsView(Context(reader=reader, now=lambda: NOW, timezone="Europe/Paris"))
    view.load()

    def again() -> None:
        view.load()
        view.paint(120, 40)

    first, each = asked(opened, 20), asked(again, 40)
    return [
        Figure("samples: Hosts opened with 200 resources", percentile(first, 0.5), "ms", "≤ 100 ms", ok=percentile(first, 0.5) <= 100, note="read and painted, 120×40"),
        Figure("samples: Hosts each second, p50", percentile(each, 0.5), "ms", "≤ 12 ms", ok=percentile(each, 0.5) <= 12, note="the same"),
    ]  # fmt: skip


def measure(rows: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "floor.db"
        clock = Fixed(NOW)
        store = Store.open(path, clock)
        load(store, NOW)
        ticks = live(store, clock, 600)
        with store.transaction() as tx:  # as after midnight: yesterday is not rolled up yet
            tx.db.execute("DELETE FROM sample_day WHERE day = ?", (NOW // samples.DAY - 1,))
            tx.memo.clear()
            samples.roll_up(tx, clock.at)
        midnight: list[float] = []
        for _ in range(SERIES // samples.DAY_PORTION + 2):
            clock.at += 1000
            began = time.perf_counter()
            with store.transaction() as tx:
                samples.roll_up(tx, clock.at)
            midnight.append((time.perf_counter() - began) * 1000)
        clock.at = NOW
        with store.transaction() as tx:
            retention.sweep(tx, 400 * samples.DAY)
        store.close()
        whole = size(path)
        reader = Reader(path, clock.now)
        found = [
            Figure("samples: store of 30 d × 200 series", whole, "MB", f"≤ {STORE_MB:.0f} MB", ok=whole <= STORE_MB,
                   note="raw 1 h at 1 s, tiers, 400 days"),
        ]  # fmt: skip
        every = iter(names() * ASKS)
        for word, span in RANGES:
            since = NOW // 1000 * 1000 - span

            def one(since: int = since, span: int = span) -> object:
                return reader.chart([next(every)], since, since + span, POINTS)

            ms = asked(one)
            p95 = percentile(ms, 0.95)
            found.append(
                Figure(f"samples: chart of {word}, p95", p95, "ms", f"≤ {CHART_MS:.0f} ms", ok=p95 <= CHART_MS,
                       note=f"p50 {percentile(ms, 0.5):.2f}, {POINTS} cells, another series each time")
            )  # fmt: skip
        for word, call in (
            ("short curves of 15 resources", lambda: reader.chart(names()[:15], NOW - 960_000, NOW, 16)),
            ("all series, last readings", reader.series),
            ("capacity of 12 limits, known", reader.capacity),
            ("usual bands of 15 resources", lambda: reader.usual(names()[:15])),
        ):
            ms = asked(call, 30)
            p95 = percentile(ms, 0.95)
            often = word.startswith(("short", "all"))
            found.append(
                Figure(f"samples: {word}, p95", p95, "ms", f"≤ {CHART_MS:.0f} ms" if often else "", ok=p95 <= CHART_MS if often else None,
                       note="" if often else "each ten seconds or minutes, not each second")
            )  # fmt: skip
        found += screen(reader)
        reader.close()
        found += [
            Figure("samples: a second's readings and roll-ups, p50", percentile(ticks, 0.5), "ms"),
            Figure("samples: the same, longest of 600", max(ticks), "ms", "≤ 50 ms", ok=max(ticks) <= 50, note="the tick that closes 10 s, 1 min and 10 min"),
            Figure("samples: a day rolled up, longest tick", max(midnight), "ms", "≤ 50 ms", ok=max(midnight) <= 50,
                   note=f"{samples.DAY_PORTION} series a tick, {sum(midnight):.0f} ms in all"),
        ]  # fmt: skip
    return found
