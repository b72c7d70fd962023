"""What watching this host costs: 1,000 samples with two running trees and 300 processes on the host, and psutil beside it.

Time is the process's own (``time.process_time``). The clock that the sampler is given goes on by one second a sample,
so that disks are looked at as often as in life; samples follow each other without a pause, therefore a second figure
takes them apart by 50 ms, when caches have seen other work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from adapters.metrics.host import HostSampler, tree
from bench.figure import Figure

SAMPLES = 1_000
PROCESSES = 300
BUDGET_MS = 1.0

# a shell-like parent, two workers of one thread, one of eight threads, and a grandchild: a job step as they are
_TREE = """
import subprocess, sys, threading
kids = [subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) for _ in range(2)]
threads = "import sys,threading,subprocess; e=threading.Event(); [threading.Thread(target=e.wait).start() for _ in range(8)];"
threads += "p=subprocess.Popen(['cat'], stdin=subprocess.PIPE); print('up', flush=True); sys.stdin.read(); p.stdin.close(); p.wait(); e.set()"
kids.append(subprocess.Popen([sys.executable, "-c", threads], stdin=subprocess.PIPE))
sys.stdin.read()
for kid in kids: kid.stdin.close()
for kid in kids: kid.wait()
"""
_SLEEPERS = """
import subprocess, sys
kids = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(int(sys.argv[1]))]
print("up", flush=True)
sys.stdin.read()
for kid in kids: kid.stdin.close()
for kid in kids: kid.wait()
"""


@contextmanager
def _running(code: str, *args: str) -> Iterator[int]:
    """A child that says "up" when it stands and leaves when its stdin closes."""
    child = subprocess.Popen([sys.executable, "-c", code, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdout.readline()
        yield child.pid
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(30)


def measure(rows: int = 0) -> list[Figure]:
    """``rows`` is not used: this room has no store."""
    missing = max(0, PROCESSES - sum(name.isdigit() for name in os.listdir("/proc")) - 14)
    with _running(_SLEEPERS, str(missing)), _running(_TREE) as one, _running(_TREE) as two:
        trees = {"local:one/1": tree(one), "local:two/1": tree(two)}
        count = sum(name.isdigit() for name in os.listdir("/proc"))
        note = f"{count} processes, trees of {len(trees['local:one/1'])} and {len(trees['local:two/1'])}"
        mean = _mean(trees, SAMPLES, 0.0)
        apart = _mean(trees, 60, 0.05)
        table = _table(trees)
        theirs = _psutil(one, two, 60)
    return [
        Figure("host sample, mean process time", mean, "ms", f"≤ {BUDGET_MS:g} ms", ok=mean <= BUDGET_MS, note=note),
        Figure(
            "host sample, 50 ms apart", apart, "ms", f"≤ {BUDGET_MS:g} ms", ok=apart <= BUDGET_MS, note="60 samples"
        ),
        Figure("host sample against psutil", mean / theirs, "×", note=f"psutil for the same: {theirs:.2f} ms"),
        Figure("process table, only while watched", table, "ms", note=note),
    ]


def _mean(trees: dict[str, list[int]], samples: int, pause: float) -> float:
    now, at = 0, 0.0
    sampler = HostSampler(monotonic=lambda: at)
    sampler.sample(now, trees)
    spent = 0.0
    for _ in range(samples):
        now, at = now + 1000, at + 1.0
        if pause:
            time.sleep(pause)
        began = time.process_time()
        found = sampler.sample(now, trees)
        spent += time.process_time() - began
    names = {s.series for s in found}
    assert {"host.mem", "run.cpu:local:one/1", "run.rss:local:two/1"} <= names, names
    sampler.close()
    return spent / samples * 1000


def _table(trees: dict[str, list[int]]) -> float:
    sampler = HostSampler()
    sampler.processes(0, trees)
    began = time.process_time()
    for n in range(20):
        sampler.processes(n, trees)
    spent = time.process_time() - began
    sampler.close()
    return spent / 20 * 1000


def _psutil(one: int, two: int, samples: int) -> float:
    """The same questions, asked as psutil's own page shows."""
    roots = [psutil.Process(one), psutil.Process(two)]
    spent = 0.0
    for n in range(samples):
        began = time.process_time()
        psutil.cpu_percent(percpu=True)
        psutil.cpu_times_percent()
        psutil.getloadavg()
        psutil.virtual_memory()
        psutil.swap_memory()
        psutil.net_io_counters(pernic=True)
        if n % 10 == 0:
            for part in psutil.disk_partitions():
                psutil.disk_usage(part.mountpoint)
        for root in roots:
            for process in (root, *root.children(recursive=True)):
                with process.oneshot():
                    process.cpu_times()
                    process.memory_info()
        spent += time.process_time() - began
    return spent / samples * 1000


if __name__ == "__main__":
    for figure in measure():
        print(figure.line())
