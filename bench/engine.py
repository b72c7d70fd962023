"""Two processes side by side: a commit until it stands on the terminal, the terminal's loop while payloads land, memory."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.base import Listing
from adapters.model import Health, Pipeline, Run, State
from bench.figure import Figure, percentile
from engine.clock import Clock
from engine.config.paths import Places, places
from engine.leader import Leader
from engine.store import runs, sources
from engine.store.writer import Store
from tests.engine.rig import Rig, until
from tests.pty import Terminal

COMMITS = 200
PAYLOAD = 10_000
PAYLOAD_EVERY_S = 0.25
SECONDS = 10.0


class Writer:
    """Stands in for the engine: holds the lock and writes the store, so that the terminal sees a living engine."""

    def __init__(self, folder: Path, pipelines: int = 40) -> None:
        config = folder / "watchfloor.toml"
        config.write_text('[store]\npath = "state/floor.db"\n')
        self.place: Places = places(config)
        self.place.prepare()
        self.clock = Clock()
        self.store = Store.open(self.place.store, self.clock)
        self.leader = Leader(self.place.lock)
        assert self.leader.try_lock()
        with self.store.transaction() as tx:
            sources.engine_started(
                tx, pid=os.getpid(), host="bench", version="0", protocol=1, config_path=str(config), config_hash="bench"
            )
            record = sources.SourceRecord(
                name="s",
                kind="local",
                url="",
                environment="bench",
                color="",
                protected=False,
                insecure=False,
                timezone="UTC",
                ord=0,
            )
            self.source = sources.sync_sources(tx, [record])["s"]
            now = self.clock.now()
            sources.put_health(tx, self.source, health=int(Health.FRESH), since=now, last_ok=now, poll_ms=3_600_000)
            items = [Pipeline(key=f"s:p{i}", name=f"pipe_{i:04}") for i in range(pipelines)]
            runs.apply_pipelines(tx, self.source, Listing(items, True), ())
        self.beating = True
        self.guard = threading.Lock()

    def put(self, batch: list[Run]) -> None:
        with self.guard, self.store.transaction() as tx:
            sources.engine_beat(tx)
            runs.apply_runs(tx, self.source, batch, self.clock.now())

    def close(self) -> None:
        self.store.close()
        self.leader.close()


@contextmanager
def writing(pipelines: int = 40) -> Iterator[Writer]:
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder), pipelines)
        try:
            yield writer
        finally:
            writer.close()


def pump(screen: Terminal, seconds: float) -> None:
    """Let time pass with the terminal being read."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        screen.read(left)


def terminal(writer: Writer, *argv: str) -> Terminal:
    command = argv or (sys.executable, "-P", "-m", "tui.cli", "--config", str(writer.place.config), "--read-only")
    return Terminal(list(command), 120, 40)


def commit_to_paint() -> list[Figure]:
    """A changed value, from the moment its commit returned until its bytes left the terminal process."""
    rng = random.Random(7)
    took: list[float] = []
    with writing() as writer:
        now = writer.clock.now()
        with terminal(writer) as screen:
            screen.wait_for("Floor", 15)
            for number in range(COMMITS):
                word = f"Q{number:04}Z"
                run = Run(
                    key="s:p0/r",
                    native="failed",
                    state=State.FAILED,
                    started=now,
                    ended=now + number,
                    error=word,
                    source_updated=now + number,
                )
                mark = len(screen.log)
                writer.put([run])
                began = time.perf_counter()
                end = began + 5.0
                found = False
                while not found and time.perf_counter() < end:
                    pump(screen, 0.02)
                    found = any(word.encode() in data for _, data in screen.log[mark:]) or word in screen.text()
                    if found:
                        hit = next((at for at, data in screen.log[mark:] if word.encode() in data), None)
                        took.append(((screen.start + hit) if hit is not None else time.perf_counter()) - began)
                assert found, f"{word} never came: {screen.text()}"
                pump(screen, rng.uniform(0.0, 0.08))
    p99 = percentile(took, 0.99) * 1000
    return [
        Figure("commit to bytes on the terminal p50", percentile(took, 0.5) * 1000, "ms", note=f"n={len(took)}"),
        Figure("commit to bytes on the terminal p99", p99, "ms", "≤ 200 ms", ok=p99 <= 200),
    ]


def lateness() -> list[Figure]:
    """The terminal's loop while 10,000-run payloads are upserted by the writer's process, four a second at most."""
    with writing(2_000) as writer:
        out = writer.place.state / "late"
        with terminal(
            writer,
            sys.executable,
            str(Path(__file__).parent / "peers" / "lateness.py"),
            str(out),
            str(writer.place.config),
        ) as screen:
            screen.wait_for("Floor", 20)
            stop = threading.Event()

            def keep_reading() -> None:
                while not stop.is_set():
                    screen.read(0.05)

            reading = threading.Thread(target=keep_reading)
            reading.start()
            landed = 0
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                began = time.monotonic()
                now = writer.clock.now()
                writer.put(
                    [
                        Run(
                            key=f"s:p{i % 2000}/r{landed}-{i // 2000}",
                            native="success",
                            state=State.SUCCESS,
                            started=now - 60_000 - i,
                            ended=now,
                        )
                        for i in range(PAYLOAD)
                    ]
                )
                landed += 1
                time.sleep(max(0.0, PAYLOAD_EVERY_S - (time.monotonic() - began)))
            stop.set()
            reading.join()
            screen.press("q")
            until(out.exists, 10)
        p50, p99, worst, count = (float(x) for x in out.read_text().split())
    return [
        Figure(
            "terminal's loop late while payloads land p50",
            p50,
            "ms",
            note=f"{landed} payloads of {PAYLOAD:,}, {count:,.0f} ticks",
        ),
        Figure(
            "terminal's loop late while payloads land p99", p99, "ms", "≤ 2 ms", ok=p99 <= 2.0, note=f"max {worst:.1f}"
        ),
    ]


def memory() -> list[Figure]:
    """Resident memory of an engine that runs jobs and of a terminal that looks at it, after some seconds."""
    jobs = "".join(
        f'\n[[job]]\nname = "job_{i:02}"\nschedule = "* * * * *"\n[[job.step]]\nname = "s"\nrun = ["sh", "-c", "echo hi"]\n'
        for i in range(40)
    )
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder), jobs) as rig:
        argv = [sys.executable, "-P", "-m", "tui.cli", "--config", str(rig.config)]
        with Terminal(argv, 120, 40) as screen:
            screen.wait_for("job_00", 20)
            for key in ("j", "j", "3", "1", "0", "1"):
                screen.press(key)
                pump(screen, 0.5)
            pump(screen, 8)
            assert rig.process is not None
            engine, ui = rss(rig.process.pid), rss(screen.pid)
    return [
        Figure("engine memory", engine, "MB", "≤ 80 MB", ok=engine <= 80, note="resident, 40 local jobs"),
        Figure("terminal memory", ui, "MB", "≤ 50 MB", ok=ui <= 50, note="resident"),
    ]


def rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return float("nan")


def measure(rows: int) -> list[Figure]:
    return [*memory(), *commit_to_paint(), *lateness()]
