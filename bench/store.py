"""The store at size: ``python -m bench.store [--rows 1000000]``.

Runs arrive as they do in a poll: 10,000 observations across 2,000 pipelines, ids as long as Airflow's, one in twelve not
successful, times that do not come in order of the key. The full schema is filled through ``apply_runs``; beside it, in
turns, a table of the same eight main columns with two indexes takes the same rows.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.base import Listing
from adapters.model import Pipeline, Run, RunKind, Sample, State, run_key
from bench.figure import Figure, percentile
from engine.clock import Clock
from engine.store import runs, samples, sources
from engine.store.reader import Reader
from engine.store.writer import Store

PIPELINES = 2_000
POLL = 10_000
STEP = 300_000
SEED = 20261121
ROUNDS = 3


def polls(rows: int, first: int) -> Iterator[list[Run]]:
    """The same runs each time: seeded."""
    dice = random.Random(SEED)
    made = 0
    tick = 0
    while made < rows:
        batch: list[Run] = []
        order = list(range(PIPELINES))
        while len(batch) < min(POLL, rows - made):
            dice.shuffle(order)
            for number in order[: min(POLL, rows - made) - len(batch)]:
                began = first + tick * STEP + dice.randrange(STEP)
                luck = dice.random()
                state = (
                    State.SUCCESS
                    if luck > 0.08
                    else State.FAILED
                    if luck > 0.03
                    else State.WARNING
                    if luck > 0.01
                    else State.STOPPED
                )
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began / 1000))
                batch.append(
                    Run(
                        key=run_key(f"bench:pipeline_{number:04d}", f"scheduled__{stamp}.{began % 1000:03d}+00:00"),
                        native=state.name.lower(),
                        state=state,
                        kind=RunKind.MANUAL if luck > 0.97 else RunKind.SCHEDULED,
                        business_date=stamp[:10],
                        queued=began - 2_000,
                        started=began,
                        ended=began + dice.randrange(20_000, 900_000),
                        source_updated=began + 900_000,
                        url=f"https://airflow.example.com/dags/pipeline_{number:04d}/runs/scheduled__{stamp}.{began % 1000:03d}+00:00",
                        error="KeyError: 'customer_id' in load_fact" if state is State.FAILED else None,
                    )
                )
            tick += 1
        made += len(batch)
        yield batch


def bare(path: Path) -> Callable[[list[Run]], float]:
    """The floor: eight columns, a unique and a time index, one ``executemany`` in one transaction; returns seconds."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -16000")
    db.execute(
        "CREATE TABLE run (id INTEGER PRIMARY KEY, pipeline_id INTEGER NOT NULL, run TEXT NOT NULL, state INTEGER NOT NULL,"
        " at INTEGER NOT NULL, started INTEGER, ended INTEGER, updated INTEGER NOT NULL) STRICT"
    )
    db.execute("CREATE UNIQUE INDEX run_native ON run(pipeline_id, run)")
    db.execute("CREATE INDEX run_at ON run(at)")
    numbers: dict[str, int] = {}

    def put(batch: list[Run]) -> float:
        rows = []
        for run in batch:
            pipeline, _, name = run.key.partition("/")
            number = numbers.setdefault(pipeline, len(numbers) + 1)
            rows.append((number, name, int(run.state), run.started, run.started, run.ended, run.source_updated))
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO run (pipeline_id, run, state, at, started, ended, updated) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        db.execute("COMMIT")
        return time.perf_counter() - began

    return put


def fill(folder: Path, rows: int) -> tuple[Path, list[Figure]]:
    """Fill both; the figures of writing."""
    clock = Clock()
    first = clock.now() - (rows // PIPELINES + 1) * STEP
    store = Store.open(folder / "floor.db", clock)
    with store.transaction() as tx:
        source = sources.sync_sources(tx, [sources.SourceRecord(name="bench", kind="airflow", environment="prod")])[
            "bench"
        ]
        listing = [
            Pipeline(
                key=f"bench:pipeline_{n:04d}",
                name=f"pipeline_{n:04d}",
                url=f"https://airflow.example.com/dags/pipeline_{n:04d}",
            )
            for n in range(PIPELINES)
        ]
        runs.apply_pipelines(tx, source, Listing(listing, True), [])
        sources.put_health(tx, source, health=1, since=clock.now(), last_ok=clock.now(), poll_ms=10_000_000)
    put = bare(folder / "bare.db")
    full_s = bare_s = again_s = 0.0
    again = 0
    for number, batch in enumerate(polls(rows, first)):
        bare_s += put(batch)
        began = time.perf_counter()
        with store.transaction() as tx:
            changed = runs.apply_runs(tx, source, batch, clock.now())
        full_s += time.perf_counter() - began
        assert len(changed) == len(batch)
        if number % 10 == 0:
            began = time.perf_counter()
            with store.transaction() as tx:
                assert runs.apply_runs(tx, source, batch, clock.now()) == []
            again_s += time.perf_counter() - began
            again += len(batch)
    with store.transaction() as tx:
        for n in range(60):
            t = clock.now() - (60 - n) * 1000
            samples.put_samples(tx, t, [Sample(f"host.gauge.{i:03d}", t, float(i + n), "%") for i in range(40)])
    store.checkpoint(truncate=True)
    size = store.store_bytes() / 1e6 / (rows / 1e6)
    store.close()
    ratio = bare_s / full_s
    return folder / "floor.db", [
        Figure("bare two-index insert", rows / bare_s / 1000, "k/s"),
        Figure("upsert into the full schema", rows / full_s / 1000, "k/s"),
        Figure(
            "upsert, ratio",
            ratio,
            "×",
            "≥ 0.25",
            "bare two-index insert",
            ratio >= 0.25,
            f"{rows:,} runs, polls of {POLL:,}",
        ),
        Figure("the same poll again (no change)", again / again_s / 1000, "k/s", note="writes nothing"),
        Figure("store size", size, "MB/M", "≤ 250", "", size <= 250, "MB per million runs"),
    ]


def ask(path: Path, turns: int = 60) -> list[Figure]:
    """p95 of each question that a screen asks while it stands."""
    reader = Reader(path)
    reader.open()
    dice = random.Random(SEED)
    page = reader.runs(limit=50)
    deep = page[-1]
    total = reader.run_count()
    middle = reader.one("SELECT at, id FROM run WHERE id = ?", (total // 2,))

    def some() -> str:
        return f"bench:pipeline_{dice.randrange(PIPELINES):04d}"

    window = reader.floor_ids(limit=50)
    questions: list[tuple[str, Callable[[], object]]] = [
        ("version", reader.version),
        ("topics", reader.topics),
        ("floor: the 50 worst of 2,000", lambda: reader.floor(limit=50)),
        ("floor: filter", lambda: reader.floor("line_19", limit=50)),
        ("floor: the window again", lambda: reader.floor_rows(window)),
        ("counts", reader.counts),
        ("runs: newest 50", lambda: reader.runs(limit=50)),
        ("runs: next page", lambda: reader.runs(before=(deep.at, deep.id), limit=50)),
        ("runs: page in the middle", lambda: reader.runs(before=middle, limit=50)),
        ("runs: back up from the middle", lambda: reader.runs(after=middle, limit=50)),
        ("runs: of one pipeline", lambda: reader.runs(pipeline_key=some(), limit=50)),
        ("runs: failed", lambda: reader.runs(states=[State.FAILED, State.TIMED_OUT, State.LOST], limit=50)),
        ("runs: active", lambda: reader.runs(states=[State.QUEUED, State.RUNNING, State.RETRYING], limit=50)),
        ("runs: filter, few pipelines", lambda: reader.runs(text="pipeline_19", limit=50)),
        ("runs: filter, one pipeline", lambda: reader.runs(text="pipeline_1942", limit=50)),
        ("run count", reader.run_count),
        ("one run", lambda: reader.run(dice.choice(page).key)),
        ("sources", reader.sources),
        ("alerts", reader.alerts),
        ("gauges: 40 with their past", lambda: reader.gauges("host.", past=20)),
    ]
    figures: list[Figure] = []
    for name, question in questions:
        question()
        rounds = [[_took(question) for _ in range(turns)] for _ in range(ROUNDS)]
        times = min(rounds, key=lambda r: percentile(r, 0.95))  # the quietest round: the machine is not ours alone
        p95 = percentile(times, 0.95)
        figures.append(Figure(name, p95, "ms p95", "≤ 5", "", p95 <= 5, f"p50 {percentile(times, 0.5):.2f}"))
    reader.close()
    return figures


def _took(question: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


def measure(rows: int = 200_000) -> list[Figure]:
    """All figures of the store, on a fresh one in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-bench-") as name:
        path, figures = fill(Path(name), rows)
        return figures + ask(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    figures = measure(parser.parse_args().rows)
    for figure in figures:
        print(figure.line())
    return 0 if all(f.ok is not False for f in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
