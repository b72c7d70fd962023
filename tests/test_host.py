"""This host's metrics: against a second reading of /proc, and on made-up machines that lack things or reset counters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from adapters.metrics.host import HostSampler, describe, mounted_disks, tree
from adapters.model import Sample

STAT = """\
cpu  {0} 0 {1} {2} {3} 0 0 0 0 0
cpu0 {0} 0 {1} {2} {3} 0 0 0 0 0
intr 12345 1 2 3
"""


class Machine:
    """A made-up /proc and /sys, and a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.t = 100.0
        self.now = 1_000_000
        (root / "proc").mkdir()
        (root / "sys").mkdir()
        self.looks = 0
        self.sampler = HostSampler(root / "proc", root / "sys", disks=self.disks, monotonic=lambda: self.t)

    def disks(self) -> list[tuple[str, float]]:
        self.looks += 1
        return [("/", 42.0)]

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cpu(self, user: int, system: int, idle: int, wait: int) -> None:
        self.write("proc/stat", STAT.format(user, system, idle, wait))

    def net(self, **counters: tuple[int, int]) -> None:
        rows = "".join(f"{name:>6}: {rx} 1 0 0 0 0 0 0 {tx} 1 0 0 0 0 0 0\n" for name, (rx, tx) in counters.items())
        self.write("proc/net/dev", f"Inter-|   Receive\n face |bytes\n{rows}")

    def process(
        self, pid: int, ppid: int, *, ticks: int = 0, reaped: int = 0, kids: str = "", rss: int = 0, start: int = 1
    ) -> None:
        words = f"{pid} (a (b) c) S {ppid} 1 1 0 -1 0 0 0 0 0 {ticks} 0 {reaped} 0 20 0 1 0 {start} 0 {rss} 0"
        self.write(f"proc/{pid}/stat", words)
        self.write(f"proc/{pid}/task/{pid}/children", kids)

    def gone(self, pid: int) -> None:
        (self.root / f"proc/{pid}/stat").unlink()
        (self.root / f"proc/{pid}/task/{pid}/children").unlink()

    def sample(self, seconds: float = 1.0, trees: dict[str, list[int]] | None = None) -> dict[str, float]:
        self.t += seconds
        self.now += int(seconds * 1000)
        found = self.sampler.sample(self.now, trees or {})
        assert len({s.series for s in found}) == len(found)
        assert {s.t for s in found} <= {self.now}
        return {s.series: s.value for s in found}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.sampler.close()


# --- this very host, read twice ---------------------------------------------------------------------------------------


def wait_for(what: str, look: object, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not look():  # type: ignore[operator]
        assert time.monotonic() < until, what
        time.sleep(0.01)


@contextmanager
def running(code: str, *, wait_for_line: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        if wait_for_line:
            assert child.stdout.readline()
        yield child
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(20)


FORKS = """
import os, sys, subprocess, time
child = subprocess.Popen([sys.executable, "-c", '''
import sys, subprocess
subprocess.Popen(["cat"])
print("up", flush=True)
sys.stdin.read()
'''], stdin=subprocess.PIPE)
sys.stdin.read()
"""
BUSY = """
import sys, threading
x = bytearray(60_000_000)
print("up", flush=True)
stop = []
threading.Thread(target=lambda: stop.append(sys.stdin.read())).start()
while not stop:
    sum(range(1000))
"""


def test_memory_load_and_swap_are_what_the_kernel_says() -> None:
    sampler = HostSampler()
    info = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines()}
    found = {s.series: s for s in sampler.sample(5, {})}
    sampler.close()
    total = info["MemTotal"]
    assert found["host.mem.used"].value == pytest.approx(total - info["MemAvailable"], abs=total * 0.02)
    assert found["host.mem"].value == pytest.approx(100 * (1 - info["MemAvailable"] / total), abs=2)
    assert found["host.load1"].value == pytest.approx(os.getloadavg()[0], abs=0.5)
    assert found["host.load1"].t == 5
    assert ("host.swap" in found) == (info["SwapTotal"] > 0)


def test_cpu_is_what_psutil_reckons_over_the_same_time() -> None:
    sampler = HostSampler()
    with running(BUSY):
        before = psutil.cpu_times(percpu=True)
        sampler.sample(0, {})
        time.sleep(0.6)
        found = {s.series: s.value for s in sampler.sample(600, {})}
        after = psutil.cpu_times(percpu=True)
    sampler.close()
    fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    shares = []
    for old, new in zip(before, after, strict=True):
        steps = {f: getattr(new, f) - getattr(old, f) for f in fields}
        shares.append(100 * (1 - (steps["idle"] + steps["iowait"]) / sum(steps.values())))
    assert [found[f"host.cpu.{n}"] for n in range(len(shares))] == pytest.approx(shares, abs=12)
    assert found["host.cpu"] == pytest.approx(sum(shares) / len(shares), abs=8)
    assert 0 <= found["host.io"] <= 100


def test_disks_are_what_df_says() -> None:
    found = dict(mounted_disks())
    root = os.statvfs("/")
    used = root.f_blocks - root.f_bfree
    assert found["/"] == pytest.approx(100 * used / (used + root.f_bavail), abs=1)
    assert len(found) == len(set(found))


def test_a_tree_is_found_and_its_cpu_and_memory_are_its_own() -> None:
    with running(FORKS) as quiet, running(BUSY) as busy:
        expected = {quiet.pid, *(c.pid for c in psutil.Process(quiet.pid).children(recursive=True))}
        assert len(expected) == 3
        assert set(tree(quiet.pid)) == expected
        assert tree(quiet.pid)[0] == quiet.pid

        sampler = HostSampler()
        trees = {"local:quiet/1": [quiet.pid], "local:busy/1": [busy.pid]}
        sampler.sample(0, trees)
        before = psutil.Process(busy.pid).cpu_times()
        began = time.monotonic()
        time.sleep(0.6)
        found = {s.series: s.value for s in sampler.sample(600, trees)}
        after = psutil.Process(busy.pid).cpu_times()
        used = 100 * (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        sampler.close()
        assert found["run.cpu:local:busy/1"] == pytest.approx(used, abs=15)
        assert found["run.cpu:local:busy/1"] > 5
        assert found["run.cpu:local:quiet/1"] < 10
        rss = sum(psutil.Process(pid).memory_info().rss for pid in expected)
        assert found["run.rss:local:quiet/1"] == pytest.approx(rss, rel=0.1)
        assert found["run.rss:local:busy/1"] > 60_000_000
    assert tree(quiet.pid) == []


THREADED = """
import subprocess, sys, threading
def work():
    subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    print("up", flush=True)
    sys.stdin.read()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def stat_rss(pid: int) -> int:
    """Field 24 of /proc/PID/stat, read by the test itself. psutil reads statm, which the kernel keeps apart by up to some 80 pages."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[21]) * os.sysconf("SC_PAGE_SIZE")


def settled_rss(*pids: int) -> int:
    """Resident bytes of processes that have stopped growing: a child that has just begun still loads its libraries."""
    last, same = -1, 0
    while same < 5:
        now = sum(stat_rss(pid) for pid in pids)
        last, same = now, same + 1 if now == last else 0
        time.sleep(0.02)
    return last


def test_what_a_second_thread_started_belongs_to_the_tree() -> None:
    with running(THREADED) as child:
        (kid,) = psutil.Process(child.pid).children()
        assert tree(child.pid) == [child.pid, kid.pid]
        both = settled_rss(child.pid, kid.pid)
        sampler = HostSampler()
        found = {s.series: s.value for s in sampler.sample(0, {"local:t/1": [child.pid]})}
        sampler.close()
        assert found["run.rss:local:t/1"] == pytest.approx(both, rel=0.02)


def test_the_process_table_names_user_parent_and_run() -> None:
    with running(FORKS) as child:
        kids = [p.pid for p in psutil.Process(child.pid).children(recursive=True)]
        sampler = HostSampler()
        sampler.sample(0, {})
        trees = {"local:a/1": [child.pid]}
        first = {p.pid: p for p in sampler.processes(0, trees)}
        time.sleep(0.05)
        second = {p.pid: p for p in sampler.processes(50, trees)}
        sampler.close()
    assert {first[pid].cpu for pid in first} == {None}
    assert second[child.pid].cpu is not None
    assert {second[pid].run_key for pid in (child.pid, *kids)} == {"local:a/1"}
    me = second[os.getpid()]
    assert (me.ppid, me.user, me.run_key) == (os.getppid(), psutil.Process().username(), None)
    assert me.rss == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert 2 not in second  # the kernel's own threads are nobody's business here
    assert sorted(second) == list(second)


# --- made-up machines ---------------------------------------------------------------------------------------------------


def test_what_a_machine_lacks_gives_no_sample_and_a_reason(machine: Machine) -> None:
    assert machine.sample() == {"host.disk:/": 42.0}
    assert machine.sample() == {"host.disk:/": 42.0}
    missing = {s.name: s.note for s in machine.sampler.series() if s.note}
    assert missing["host.swap"] == "no swap on this host"
    assert missing["host.psi.io"] == "no PSI in this kernel"
    assert missing["host.cgroup.mem"] == "no memory limit on this process"
    assert "host.disk:/" not in missing


def test_cpu_rates_by_hand(machine: Machine) -> None:
    machine.cpu(100, 50, 800, 50)
    assert "host.cpu" not in machine.sample()  # one look is no rate
    machine.cpu(160, 70, 900, 70)
    found = machine.sample()
    assert found["host.cpu"] == found["host.cpu.0"] == pytest.approx(40)
    assert found["host.io"] == pytest.approx(10)


def test_cpu_counters_that_went_back_give_nothing_and_then_go_on(machine: Machine) -> None:
    machine.cpu(1000, 1000, 1000, 1000)
    machine.sample()
    machine.cpu(10, 10, 10, 10)
    assert "host.cpu" not in machine.sample()
    machine.cpu(20, 10, 20, 10)
    assert machine.sample()["host.cpu"] == pytest.approx(50)
    assert "host.cpu" not in machine.sample()  # nothing moved: a suspended clock
    machine.cpu(30, 10, 40, 0)  # iowait alone may go back (proc(5))
    found = machine.sample()
    assert found["host.io"] == 0
    assert 0 <= found["host.cpu"] <= 100


def test_a_core_that_is_switched_on_starts_without_a_jump(machine: Machine) -> None:
    machine.write("proc/stat", "cpu  1 0 1 1 1 0 0 0\ncpu0 1 0 1 1 1 0 0 0\n")
    machine.sample()
    machine.write("proc/stat", "cpu  9 0 1 9 1 0 0 0\ncpu0 9 0 1 9 1 0 0 0\ncpu1 900 0 1 1 1 0 0 0\n")
    assert set(machine.sample()) == {"host.cpu", "host.cpu.0", "host.io", "host.disk:/"}


def test_network_counts_the_outside_once_and_never_below_zero(machine: Machine) -> None:
    machine.write("sys/class/net/eth0/device", "")
    machine.net(lo=(5, 5), eth0=(1000, 2000), docker0=(900, 1900))
    assert "host.net.rx" not in machine.sample()
    machine.net(lo=(500, 500), eth0=(3000, 2500), docker0=(2900, 2400))
    found = machine.sample(2.0)
    assert (found["host.net.rx"], found["host.net.tx"]) == (1000, 250)
    machine.net(lo=(0, 0), eth0=(10, 2600))  # received: wrapped or reset
    found = machine.sample()
    assert (found["host.net.rx"], found["host.net.tx"]) == (0, 100)
    machine.t -= 1.0  # no time has passed
    assert "host.net.rx" not in machine.sample()


def test_network_of_a_container_and_an_interface_that_comes(machine: Machine) -> None:
    machine.net(lo=(5, 5), eth0=(1000, 1000))
    machine.sample()
    machine.net(lo=(900, 900), eth0=(1100, 1000), eth1=(77_777, 77_777))
    found = machine.sample()
    assert (found["host.net.rx"], found["host.net.tx"]) == (100, 0)


def test_a_file_of_many_records_is_read_to_its_end(machine: Machine) -> None:
    many = {f"veth{n}": (n, n) for n in range(2000)}
    machine.net(**many)
    assert (machine.root / "proc/net/dev").stat().st_size > 65536
    machine.sample()
    machine.net(**(many | {"veth1999": (1999 + 50, 1999)}))
    assert machine.sample()["host.net.rx"] == 50


def test_memory_swap_load_and_pressure(machine: Machine) -> None:
    machine.write(
        "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\n"
    )
    machine.write("proc/loadavg", "3.25 2.00 1.00 2/300 4711\n")
    machine.write(
        "proc/pressure/cpu",
        "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    )
    machine.write("proc/pressure/io", "")  # switched off
    found = machine.sample()
    assert (found["host.mem"], found["host.mem.used"], found["host.swap"]) == (75.0, 750 * 1024, 25.0)
    assert (found["host.load1"], found["host.psi.cpu"]) == (3.25, 12.5)
    assert not {"host.psi.io", "host.psi.mem"} & set(found)
    machine.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    assert not {"host.mem", "host.mem.used", "host.swap"} & set(machine.sample())


def test_disks_are_looked_at_every_ten_seconds(machine: Machine) -> None:
    for _ in range(21):
        assert machine.sample()["host.disk:/"] == 42.0
    assert machine.looks == 3
    machine.now -= 3_600_000  # the wall clock was set back
    machine.sample()
    assert machine.looks == 4


class TestTrees:
    KEY = "local:job/1"
    CPU = "run.cpu:local:job/1"
    RSS = "run.rss:local:job/1"

    @pytest.fixture(autouse=True)
    def hundred_hertz(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine.sampler, "_hz", 100)
        monkeypatch.setattr(machine.sampler, "_page", 4096)
        monkeypatch.setattr(machine.sampler, "_cores", 4)

    def test_sums_the_tree_and_names_with_parentheses_do_no_harm(self, machine: Machine) -> None:
        machine.process(10, 1, ticks=5, kids="11 12 ", rss=1)
        machine.process(11, 10, ticks=5, rss=2)
        machine.process(12, 10, ticks=5, kids="13", rss=3)
        machine.process(13, 12, ticks=5, rss=4)
        found = machine.sample(trees={self.KEY: [10]})
        assert found[self.RSS] == 10 * 4096
        assert self.CPU not in found
        machine.process(11, 10, ticks=25, rss=2)
        machine.process(13, 12, ticks=35, rss=4)
        assert machine.sample(trees={self.KEY: [10, 13]})[self.CPU] == pytest.approx(50)

    def test_what_a_child_used_is_not_lost_when_it_ends(self, machine: Machine) -> None:
        machine.process(10, 1, kids="11")
        machine.process(11, 10, ticks=30)
        machine.sample(trees={self.KEY: [10]})
        machine.gone(11)
        machine.process(10, 1, reaped=70)
        assert machine.sample(trees={self.KEY: [10]})[self.CPU] == pytest.approx(40)

    def test_an_ignored_child_makes_no_negative_rate(self, machine: Machine) -> None:
        machine.process(10, 1, kids="11")
        machine.process(11, 10, ticks=500)
        machine.sample(trees={self.KEY: [10]})
        machine.gone(11)
        machine.process(10, 1, ticks=7)
        assert machine.sample(trees={self.KEY: [10]})[self.CPU] == pytest.approx(7)

    def test_a_reused_pid_is_another_process(self, machine: Machine) -> None:
        machine.process(10, 1, ticks=500, start=1)
        machine.sample(trees={self.KEY: [10]})
        machine.process(10, 1, ticks=3, start=9)
        assert machine.sample(trees={self.KEY: [10]})[self.CPU] == pytest.approx(3)

    def test_a_reused_pid_has_no_rate_in_the_table(self, machine: Machine) -> None:
        machine.process(10, 1, ticks=5, start=1)
        machine.sampler.processes(0, {})
        machine.t += 1
        machine.process(10, 1, ticks=55, start=1)
        assert machine.sampler.processes(1, {})[0].cpu == pytest.approx(50)
        machine.t += 1
        machine.process(10, 1, ticks=99, start=2)
        assert machine.sampler.processes(2, {})[0].cpu is None

    def test_never_more_than_the_machine_has(self, machine: Machine) -> None:
        machine.process(10, 1)
        machine.sample(trees={self.KEY: [10]})
        machine.process(10, 1, ticks=1_000_000)
        assert machine.sample(trees={self.KEY: [10]})[self.CPU] == pytest.approx(400)

    def test_a_tree_that_is_gone_gives_nothing(self, machine: Machine) -> None:
        assert not {self.CPU, self.RSS} & set(machine.sample(trees={self.KEY: [99]}))

    def test_a_name_cannot_smuggle_escape_codes(self, machine: Machine) -> None:
        machine.process(10, 1)
        stat = machine.root / "proc/10/stat"
        stat.write_bytes(stat.read_bytes().replace(b"a (b) c", b"a\x1b[31m)\xff"))
        (process,) = machine.sampler.processes(0, {})
        assert process.name == "a�[31m)�"


class TestCgroup:
    def test_v2_in_a_container(self, machine: Machine) -> None:
        machine.write("proc/self/cgroup", "0::/\n")
        machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
        machine.write("sys/fs/cgroup/cpu.max", "150000 100000\n")
        machine.write("sys/fs/cgroup/cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
        machine.write("sys/fs/cgroup/memory.max", "1000\n")
        machine.write("sys/fs/cgroup/memory.current", "800\n")
        machine.write("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 300\n")
        found = machine.sample()
        assert found["host.cgroup.mem"] == pytest.approx(50)
        assert "host.cgroup.cpu" not in found
        machine.write("sys/fs/cgroup/cpu.stat", "usage_usec 1750000\n")
        assert machine.sample()["host.cgroup.cpu"] == pytest.approx(50)
        machine.write("sys/fs/cgroup/cpu.stat", "usage_usec 5\n")
        assert "host.cgroup.cpu" not in machine.sample()

    def test_v2_the_tightest_limit_above_counts(self, machine: Machine) -> None:
        machine.write("proc/self/cgroup", "0::/a.slice/b.service\n")
        machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
        for name, limit in (("a.slice/b.service", "max"), ("a.slice", "2000")):
            machine.write(f"sys/fs/cgroup/{name}/memory.max", limit)
            machine.write(f"sys/fs/cgroup/{name}/memory.current", "500")
            machine.write(f"sys/fs/cgroup/{name}/cpu.max", "max 100000")
        found = machine.sample()
        assert found["host.cgroup.mem"] == pytest.approx(25)
        assert "host.cgroup.cpu" not in machine.sample()

    def test_v1(self, machine: Machine) -> None:
        machine.write("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/x\n")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "1000000000\n")
        machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n")
        machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n")
        machine.write("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1000\n")
        assert machine.sample()["host.cgroup.mem"] == pytest.approx(50)
        machine.write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "2500000000\n")
        assert machine.sample()["host.cgroup.cpu"] == pytest.approx(75)

    def test_v1_without_limits(self, machine: Machine) -> None:
        machine.write("proc/self/cgroup", "4:memory:/\n3:cpu:/\n")
        machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
        machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
        machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n")
        machine.sample()
        assert set(machine.sample()) == {"host.disk:/"}


def test_every_series_has_words_and_a_unit() -> None:
    sampler = HostSampler()
    trees = {"local:a/1": [os.getpid()]}
    sampler.sample(0, trees)
    wait_for("a clock tick", lambda: any(s.series == "host.cpu" for s in sampler.sample(1, trees)))
    found: list[Sample] = sampler.sample(2, trees)
    infos = {s.name: s for s in sampler.series()}
    sampler.close()
    for sample in found:
        info = infos[sample.series]
        assert info == describe(sample.series)
        assert info.label != sample.series
        assert info.unit == sample.unit
        assert info.max is None or sample.value <= info.max


def test_its_descriptors_are_given_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    sampler = HostSampler()
    sampler.sample(0, {})
    assert set(os.listdir("/proc/self/fd")) > before
    sampler.close()
    assert set(os.listdir("/proc/self/fd")) <= before
