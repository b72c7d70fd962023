"""A host with a past, for the tests of its screen: a month of days and a day of curves, three local pipelines, a growing disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

from adapters.metrics.host import ProcessSample
from adapters.model import Sample, State, StepRun
from engine.store import samples
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House

CORES = 8


def cpu_at(h: House, t: int) -> float:
    """A quiet evening, ripples, two loads in the night, and what runs now."""
    ago = (h.now - t) / HOUR
    base = 18 + 12 * abs(math.sin(ago * 1.7))
    if 2.6 <= ago <= 3.1:
        return 78 + 10 * abs(math.sin(ago * 9))
    if 1.4 <= ago <= 2.0:
        return 90 + 6 * abs(math.sin(ago * 5))
    return base + 40 if ago <= 0.6 else base


SERIES = (
    # name, unit, label, top, note, level at a time
    ("host.cpu", "%", "CPU", 100.0, None, cpu_at),
    ("host.mem", "%", "memory", 100.0, None, lambda h, t: 63 + 2 * math.sin(t / HOUR)),
    ("host.mem.used", "B", "memory used", None, None, lambda h, t: 20.2e9),
    ("host.disk:/data", "%", "disk /data", 100.0, None, lambda h, t: 81 - (h.now - t) / DAY * 0.9),
    ("host.disk:/", "%", "disk /", 100.0, None, lambda h, t: 48.0),
    ("host.swap", "%", "swap", 100.0, None, lambda h, t: 3.0),
    (
        "host.io",
        "%",
        "waiting for disk",
        100.0,
        None,
        lambda h, t: 38 + 3 * math.sin(t) if h.now - t < 12 * MINUTE else 3 + math.sin(t),
    ),
    ("host.load1", "", "load 1m", None, None, lambda h, t: 2.5 + math.sin(t / HOUR)),
    ("host.net.rx", "B/s", "network in", None, None, lambda h, t: 4.2e6 + 1e6 * math.sin(t / HOUR)),
    ("host.psi.io", "%", "disk pressure", 100.0, "no PSI in this kernel", None),
)


def past(h: House, *, days: int = 30) -> None:
    """The tiers as the engine would have filled them: 10 minutes of ``days``, 1 minute of the last day, raw of the last tick."""
    now = h.now
    with h.tx() as tx:
        for name, unit, label, top, note, level in SERIES:
            samples.describe_series(tx, name, unit=unit, label=label, max=top, note=note)
            if level is None:
                continue
            number = samples.series_id(tx, name)
            for table, bucket, span in (
                ("sample_10m", 10 * MINUTE, days * DAY),
                ("sample_1m", MINUTE, DAY),
                ("sample_10s", 10 * SECOND, HOUR),
            ):
                upto = now // bucket * bucket
                tx.db.executemany(
                    f"INSERT INTO {table} (series_id, t, n, avg, min, max) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                    [
                        (number, t, bucket // 1000, v, v - 1, v + 1)
                        for t in range(upto - span, upto, bucket)
                        for v in (level(h, t),)
                    ],
                )
        tx.memo.clear()
    for i in range(CORES):
        with h.tx() as tx:
            samples.series_id(tx, f"host.cpu.{i}", "%")
    with h.tx() as tx:  # the days that are over, a few series a tick
        for _ in range(4):
            samples.roll_up(tx, now)


def tick(h: House, **more: float) -> None:
    """What is measured now."""
    given = {name: level(h, h.now) for name, _, _, _, _, level in SERIES if level is not None}
    with h.tx() as tx:
        samples.put_samples(tx, h.now, [Sample(name, h.now, value) for name, value in {**given, **more}.items()])


def busy(folder: Path, *, days: int = 30) -> House:
    """The host of the pictures."""
    h = House(folder)
    h.engine()
    h.source("local", kind="local", environment="local", protected=False, poll_ms=SECOND, ok_ago=SECOND)
    for name, usual, next_in in (
        ("ldz_to_rdv_transactions", 24, 3 * HOUR),
        ("contracts_load", 28, 22 * HOUR),
        ("mart_load", 35, None),
    ):
        h.pipeline("local", name, next_in=next_in)
        h.history("local", name, n=12, usual=usual * MINUTE, last_ago=DAY)
    h.run("local", "contracts_load", "c1", State.FAILED, started_ago=3 * HOUR + 5 * MINUTE, took=30 * MINUTE)
    h.run("local", "mart_load", "m1", State.SUCCESS, started_ago=2 * HOUR, took=35 * MINUTE)
    key = h.run("local", "ldz_to_rdv_transactions", "t1", State.RUNNING, started_ago=17 * MINUTE)
    h.steps(
        key, [StepRun(run=key, step="merge_txn", state=State.RUNNING, native="running", started=h.now - 9 * MINUTE)]
    )
    past(h, days=days)
    tick(h, **{f"run.cpu:{key}": 212.0, f"run.rss:{key}": 6.1e9})
    with h.tx() as tx:
        tx.db.execute(
            "INSERT INTO configured VALUES ('limit', 'host.disk:/', 0, ?)",
            (json.dumps({"limit": 85.0, "words": "dba"}),),
        )
        tx.bump("configured")
    return h


def watched(h: House) -> None:
    """The process table as the engine fills it while somebody looks."""
    table = [
        ProcessSample(1, 0, "systemd", "root", 0.0, 12_000_000, None),
        ProcessSample(812, 1, "postgres", "postgres", 41.0, 9_100_000_000, None),
        ProcessSample(4711, 1, "watchfloor engine", "ana", 1.2, 61_000_000, None),
        ProcessSample(5120, 4711, "python load.py", "ana", 212.0, 6_100_000_000, "local:ldz_to_rdv_transactions/t1"),
        ProcessSample(5121, 5120, "gzip", None, None, None, "local:ldz_to_rdv_transactions/t1"),
    ]
    with h.tx() as tx:
        samples.put_processes(tx, h.now, table)
