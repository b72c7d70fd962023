"""What the engine samples each second comes to stand where the screen of hosts looks for it; nothing is read that nobody watches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.metrics.host import HostSampler
from adapters.model import State
from engine import samples
from engine.clock import Clock
from engine.samples import Sampler
from engine.store.reader import Reader
from tests.store.rig import Rig, a_run


class Ticking(Clock):
    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


@pytest.fixture
def rig(tmp_path: Path):
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A proc of two cores, with one process of ours that works and one that is not ours."""
    proc = tmp_path / "proc"
    for pid, name in ((100, "load.py"), (200, "postgres")):
        (proc / str(pid) / "task" / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "task" / str(pid) / "children").write_text("")
        work(proc, pid, name, 0)
    (proc / "net").mkdir()
    (proc / "meminfo").write_text("MemTotal: 1000000 kB\nMemAvailable: 400000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    (proc / "loadavg").write_text("1.50 1.0 1.0 1/100 1\n")
    (proc / "net" / "dev").write_text("a\nb\n")
    busy(proc, 0)
    return proc


def work(proc: Path, pid: int, name: str, ticks: int) -> None:
    fields = [
        "S",
        "1",
        "1",
        "1",
        "0",
        "-1",
        "0",
        "0",
        "0",
        "0",
        "0",
        str(ticks),
        "0",
        "0",
        "0",
        "20",
        "0",
        "1",
        "0",
        "5",
        "0",
        "1000",
    ]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)} {' '.join(['0'] * 30)}\n")


def busy(proc: Path, second: int) -> None:
    """Of two cores a quarter is busy."""
    used, idle = second * 50, second * 150
    lines = [
        f"cpu  {used} 0 0 {idle} 0 0 0 0 0 0",
        f"cpu0 {used} 0 0 {idle // 3} 0 0 0 0 0 0",
        f"cpu1 0 0 0 {idle * 2 // 3} 0 0 0 0 0 0",
    ]
    (proc / "stat").write_text("\n".join(lines) + "\nintr 0\n")


class Seconds:
    """The engine's second, as often as a test wants it."""

    def __init__(self, rig: Rig, proc: Path, trees: Mapping[str, Sequence[int]]) -> None:
        self.rig, self.proc, self.second = rig, proc, 0
        self.watched = False
        ctx: Any = SimpleNamespace(clock=rig.clock, adapters={})
        self.sampler = Sampler(ctx, lambda: self.watched)
        self.sampler._host.close()
        self.sampler._host = HostSampler(
            proc, proc / "no-sys", disks=lambda: [("/data", 81.0)], monotonic=lambda: float(self.second)
        )
        self.sampler._running = lambda: trees  # type: ignore[method-assign]

    def go(self, n: int) -> None:
        for _ in range(n):
            self.second += 1
            self.rig.clock.at += 1000
            busy(self.proc, self.second)
            work(self.proc, 100, "load.py", self.second * os.sysconf("SC_CLK_TCK") // 5)
            self.sampler.look()
            with self.rig.store.transaction() as tx:
                self.sampler.put(tx)


def test_a_minute_of_an_engine_is_what_the_screen_reads(rig: Rig, machine: Path) -> None:
    rig.see(a_run("1"))
    seconds = Seconds(rig, machine, {"a:p/1": [100]})
    seconds.go(65)
    reader: Reader = rig.reader
    rows = {r.series: r for r in reader.series()}
    assert rows["host.cpu"].value == pytest.approx(25.0)
    assert rows["host.disk:/data"].value == 81.0
    assert (rows["host.swap"].value, rows["host.swap"].note) == (None, "no swap on this host")
    assert rows["host.psi.io"].note == "no PSI in this kernel"
    now = rig.clock.at
    cells = reader.chart(["host.cpu"], now - 60_000, now, 6)["host.cpu"].cells
    assert [round(c[0]) for c in cells if c] == [25] * 6
    (limit,) = reader.capacity("host.disk:")
    assert (limit.n, limit.learning, limit.value) == (1, True, 81.0)
    use = reader.used_by_runs()
    assert [(u.run_key, u.state, round(u.cpu or 0)) for u in use.runs] == [("a:p/1", State.RUNNING, 20)]
    assert use.cores == 2
    assert use.rest is not None
    assert use.rest.cpu == pytest.approx(30.0)  # of 200 % of two cores a quarter, less the 20 % of the run


def test_processes_are_read_only_while_somebody_watches(rig: Rig, machine: Path) -> None:
    seconds = Seconds(rig, machine, {"a:p/1": [100]})
    seconds.go(3)
    assert rig.reader.process_table() == (None, [])
    seconds.watched = True
    seconds.go(samples.PROCESSES_EVERY + 1)
    at, rows = rig.reader.process_table("memory")
    assert at is not None
    assert {(p.pid, p.name, p.run_key) for p in rows} == {(100, "load.py", "a:p/1"), (200, "postgres", None)}
    seconds.watched = False
    seconds.go(1)
    assert rig.reader.process_table() == (None, [])
