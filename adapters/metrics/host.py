"""This host's own resources: CPU, memory, disks, network, pressure, the limits of a container, and trees of processes.

Facts are of proc(5) and of the kernel's cgroup-v1, cgroup-v2 and PSI pages. What is asked each second is read from
``/proc`` through descriptors that stay open (a fifth of psutil's cost); mounted disks come from psutil, every ten
seconds. A sensor that a machine lacks gives no sample: it reads n/a, never 0. Nothing here may block, therefore network
file systems are not looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.extras import SeriesInfo
from adapters.metrics.cgroup import Cgroup
from adapters.metrics.procfs import Files, ProcStat, children, clean, stat_of
from adapters.model import Sample

DISKS_EVERY_MS = 10_000
CHILDREN_EVERY = 5
"""Samples between two looks at the children of a process with many threads: one file a thread."""

Disk = tuple[str, float]
"""Mount point, and the share in use in percent."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process. ``cpu``: percent of one core since the last look, None at the first; ``rss``: bytes; ``run_key``: whose."""

    pid: int
    ppid: int
    name: str
    user: str | None
    cpu: float | None
    rss: int | None
    run_key: str | None


_ALWAYS = (
    ("host.cpu", "CPU", "%", 100.0, "no CPU times in /proc/stat"),
    ("host.load1", "load 1m", "", None, "no /proc/loadavg"),
    ("host.mem", "memory", "%", 100.0, "no MemAvailable in /proc/meminfo"),
    ("host.mem.used", "memory used", "B", None, "no MemAvailable in /proc/meminfo"),
    ("host.swap", "swap", "%", 100.0, "no swap on this host"),
    ("host.io", "waiting for disk", "%", 100.0, "no CPU times in /proc/stat"),
    ("host.net.rx", "network in", "B/s", None, "no network interface"),
    ("host.net.tx", "network out", "B/s", None, "no network interface"),
    ("host.psi.cpu", "CPU pressure", "%", 100.0, "no PSI in this kernel"),
    ("host.psi.mem", "memory pressure", "%", 100.0, "no PSI in this kernel"),
    ("host.psi.io", "disk pressure", "%", 100.0, "no PSI in this kernel"),
    ("host.cgroup.cpu", "CPU of limit", "%", 100.0, "no CPU limit on this process"),
    ("host.cgroup.mem", "memory of limit", "%", 100.0, "no memory limit on this process"),
)
_KNOWN = {name: (label, unit, top, note) for name, label, unit, top, note in _ALWAYS}


def describe(name: str) -> SeriesInfo:
    """Label, unit and scale of any series that a ``HostSampler`` gives."""
    if name in _KNOWN:
        label, unit, top, _ = _KNOWN[name]
        return SeriesInfo(name, label, unit, top)
    if name.startswith("host.cpu."):
        return SeriesInfo(name, f"core {name[9:]}", "%", 100.0)
    if name.startswith("host.disk:"):
        return SeriesInfo(name, f"disk {name[10:]}", "%", 100.0)
    if name.startswith("run.cpu:"):
        return SeriesInfo(name, "CPU of the run", "% core", None)
    if name.startswith("run.rss:"):
        return SeriesInfo(name, "memory of the run", "B", None)
    return SeriesInfo(name, name, "")


def tree(pid: int, proc: str = "/proc") -> list[int]:
    """``pid`` and all below it, parents first; empty if there is no such process."""
    if stat_of(proc, pid) is None:
        return []
    found = [pid]
    seen = {pid}
    for parent in found:
        for child in children(proc, parent, many=True):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found


def mounted_disks() -> list[Disk]:
    """``/`` and each local disk once, as ``df`` reckons: used of what a plain user may use. No read-only images."""
    import psutil

    seen: set[str] = set()
    out: list[Disk] = []
    mounts = [("/", "")]
    for part in psutil.disk_partitions(all=False):  # no network file systems: statvfs of a dead one blocks for minutes
        if part.fstype in ("squashfs", "iso9660", "erofs") or not os.path.isdir(part.mountpoint):
            continue
        if part.mountpoint == "/":
            mounts[0] = ("/", part.device)
        else:
            mounts.append((part.mountpoint, part.device))
    for mount, device in mounts:
        if device and device in seen:  # bind mounts
            continue
        seen.add(device)
        try:
            out.append((mount, float(psutil.disk_usage(mount).percent)))
        except OSError:
            continue
    return out


class HostSampler:
    """Keeps what rates need between two samples. One instance, one thread. ``close`` gives its descriptors back."""

    def __init__(
        self,
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        *,
        disks: Callable[[], Iterable[Disk]] = mounted_disks,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc = str(proc)
        self._sys = str(sys)
        self._files = Files(self._proc)
        self._cgroup = Cgroup(self._proc, self._sys)
        self._list_disks = disks
        self._monotonic = monotonic
        self._hz = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._cores = os.cpu_count() or 1
        self._at: float | None = None
        self._cpu: dict[bytes, tuple[int, ...]] = {}
        self._net: dict[bytes, tuple[int, int]] = {}
        self._real: tuple[frozenset[bytes], frozenset[bytes]] = (frozenset(), frozenset())
        self._disks: list[Disk] = []
        self._disks_at: int | None = None
        self._runs: dict[str, dict[int, ProcStat]] = {}
        self._below: dict[int, tuple[int, list[int]]] = {}
        self._turn = 0
        self._table: dict[int, ProcStat] = {}
        self._table_at: float | None = None
        self._users: dict[int, str] = {}
        self._given: set[str] = set()

    def close(self) -> None:
        self._files.close()
        self._cgroup.close()

    # --- one sample -------------------------------------------------------------------------------------------------

    def sample(self, now: int, trees: Mapping[str, Sequence[int]]) -> list[Sample]:
        """All that can be read now; ``now`` stamps it (ms). ``trees``: of each running local job its processes (or only
        their topmost: all below are found). Rates need two samples, and are of elapsed time: a stepped wall clock does
        not bend them. A counter that went back gives nothing this time."""
        at = self._monotonic()
        elapsed = 0.0 if self._at is None else at - self._at
        self._at = at
        self._turn += 1
        values: list[tuple[str, float, str]] = []
        self._read_cpu(values)
        self._read_load(values)
        self._read_memory(values)
        self._read_network(values, elapsed)
        self._read_pressure(values)
        self._read_disks(values, now)
        values += self._cgroup.read(at, elapsed)
        self._read_runs(values, elapsed, trees)
        self._given = {name for name in self._given if not name.startswith("run.")}  # runs come and go for months
        self._given.update(name for name, _, _ in values)
        return [Sample(name, now, value, unit) for name, value, unit in values]

    def series(self) -> list[SeriesInfo]:
        """Every series seen so far, and those of this list that the machine lacks, with the reason in ``note``."""
        missing = [
            SeriesInfo(name, label, unit, top, note)
            for name, label, unit, top, note in _ALWAYS
            if name not in self._given and self._turn > 1
        ]
        return [describe(name) for name in sorted(self._given)] + missing

    def _read_cpu(self, out: list[tuple[str, float, str]]) -> None:
        cpu: dict[bytes, tuple[int, ...]] = {}
        for line in self._files.read("stat").split(b"\n"):
            if not line.startswith(b"cpu"):
                break  # the CPU lines come first
            name, *words = line.split()
            if len(words) >= 8:
                cpu[name] = tuple(map(int, words[:8]))  # guest times are within user and nice
        for name, new in cpu.items():
            old = self._cpu.get(name)
            if old is None:
                continue
            total = sum(new) - sum(old)
            if total <= 0:
                continue  # reset, or asked twice within a tick
            steps = [max(0, n - o) for n, o in zip(new, old, strict=True)]  # iowait may go back (proc(5))
            idle = min(total, steps[3] + steps[4])
            out.append(
                (
                    f"host.{name.decode()}" if name == b"cpu" else f"host.cpu.{name[3:].decode()}",
                    100.0 * (total - idle) / total,
                    "%",
                )
            )
            if name == b"cpu":
                out.append(("host.io", 100.0 * min(total, steps[4]) / total, "%"))
        self._cpu = cpu

    def _read_load(self, out: list[tuple[str, float, str]]) -> None:
        words = self._files.read("loadavg").split(None, 1)
        if words:
            out.append(("host.load1", float(words[0]), ""))

    def _read_memory(self, out: list[tuple[str, float, str]]) -> None:
        text = self._files.read("meminfo")
        total, free = _kib(text, b"MemTotal:"), _kib(text, b"MemAvailable:")
        if total and free is not None:
            out.append(("host.mem", 100.0 * (total - free) / total, "%"))
            out.append(("host.mem.used", float(total - free), "B"))
        total, free = _kib(text, b"SwapTotal:"), _kib(text, b"SwapFree:")
        if total and free is not None:
            out.append(("host.swap", 100.0 * (total - free) / total, "%"))

    def _read_network(self, out: list[tuple[str, float, str]], elapsed: float) -> None:
        net: dict[bytes, tuple[int, int]] = {}
        for line in self._files.read_all("net/dev").split(b"\n")[2:]:
            name, colon, rest = line.partition(b":")
            words = rest.split()
            if colon and len(words) >= 16:
                net[name.strip()] = (int(words[0]), int(words[8]))
        names = self._interfaces(frozenset(net))
        both = [(net[n], self._net[n]) for n in names if n in self._net]
        if both and elapsed > 0:
            out.append(("host.net.rx", sum(max(0, new[0] - old[0]) for new, old in both) / elapsed, "B/s"))
            out.append(("host.net.tx", sum(max(0, new[1] - old[1]) for new, old in both) / elapsed, "B/s"))
        self._net = net

    def _interfaces(self, names: frozenset[bytes]) -> frozenset[bytes]:
        """Those that stand for the outside: with a device behind them, so that bridges and tunnels do not count a byte
        twice; where none has one (a container), all but ``lo``."""
        if names != self._real[0]:
            real = frozenset(n for n in names if os.path.exists(f"{self._sys}/class/net/{os.fsdecode(n)}/device"))
            self._real = (names, real or names - {b"lo"})
        return self._real[1]

    def _read_pressure(self, out: list[tuple[str, float, str]]) -> None:
        for name, file in (("cpu", "pressure/cpu"), ("mem", "pressure/memory"), ("io", "pressure/io")):
            text = self._files.read(file)
            start = text.find(b"avg10=")
            if text.startswith(b"some") and start >= 0:
                out.append((f"host.psi.{name}", float(text[start + 6 : text.index(b" ", start)]), "%"))

    def _read_disks(self, out: list[tuple[str, float, str]], now: int) -> None:
        if self._disks_at is None or not 0 <= now - self._disks_at < DISKS_EVERY_MS:
            self._disks_at = now
            self._disks = list(self._list_disks())
        out += [(f"host.disk:{mount}", used, "%") for mount, used in self._disks]

    # --- trees ------------------------------------------------------------------------------------------------------

    def _read_runs(self, out: list[tuple[str, float, str]], elapsed: float, trees: Mapping[str, Sequence[int]]) -> None:
        runs: dict[str, dict[int, ProcStat]] = {}
        for key, roots in trees.items():
            now = runs[key] = self._tree(roots)
            if not now:
                continue
            out.append((f"run.rss:{key}", float(sum(p.rss for p in now.values()) * self._page), "B"))
            before = self._runs.get(key)
            if before is not None and elapsed > 0:
                ticks = min(_worked(before, now), self._cores * self._hz * elapsed)
                out.append((f"run.cpu:{key}", 100.0 * ticks / self._hz / elapsed, "% core"))
        self._runs = runs
        alive = {pid for run in runs.values() for pid in run}
        self._below = {pid: known for pid, known in self._below.items() if pid in alive}

    def _tree(self, roots: Iterable[int]) -> dict[int, ProcStat]:
        found: dict[int, ProcStat] = {}
        todo = list(roots)
        for pid in todo:  # grows while it is walked
            if pid in found:
                continue
            stat = stat_of(self._proc, pid)
            if stat is not None:
                found[pid] = stat
                todo += self._children(pid, stat)
        return found

    def _children(self, pid: int, stat: ProcStat) -> list[int]:
        if stat.threads <= 1:
            return children(self._proc, pid, many=False)
        known = self._below.get(pid)
        if known is None or self._turn - known[0] >= CHILDREN_EVERY:
            known = self._below[pid] = (self._turn, children(self._proc, pid, many=True))
        return known[1]

    # --- the process table ------------------------------------------------------------------------------------------

    def processes(self, now: int, trees: Mapping[str, Sequence[int]]) -> list[ProcessSample]:
        """Every process but the kernel's own threads, ascending. 15–30 µs a process: only for somebody who looks."""
        at = self._monotonic()
        elapsed = 0.0 if self._table_at is None else at - self._table_at
        table: dict[int, ProcStat] = {}
        for name in os.listdir(self._proc):
            if (
                name.isdigit()
                and (stat := stat_of(self._proc, int(name))) is not None
                and 2 not in (stat.ppid, int(name))
            ):
                table[int(name)] = stat
        whose = _whose(table, trees)
        out: list[ProcessSample] = []
        for pid, stat in sorted(table.items()):
            old = self._table.get(pid)
            cpu = None
            if old is not None and old.start == stat.start and elapsed > 0:
                cpu = max(0.0, 100.0 * (stat.own - old.own) / self._hz / elapsed)
            out.append(
                ProcessSample(
                    pid, stat.ppid, clean(stat.name), self._user(pid), cpu, stat.rss * self._page, whose.get(pid)
                )
            )
        self._table, self._table_at = table, at
        return out

    def _user(self, pid: int) -> str | None:
        import pwd

        try:
            uid = os.stat(f"{self._proc}/{pid}").st_uid
        except OSError:
            return None
        name = self._users.get(uid)
        if name is None:
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = str(uid)
            self._users[uid] = name
        return name


def _worked(before: Mapping[int, ProcStat], now: Mapping[int, ProcStat]) -> float:
    """Clock ticks that a tree used between two looks, with those of children that came and went.

    What a child used moves to its parent when it is reaped, so the sum over the tree loses nothing. Where a parent
    ignores its children (they are reaped uncounted), the sum falls; what the living did themselves is the floor.
    """
    same = [(before[pid], stat) for pid, stat in now.items() if pid in before and before[pid].start == stat.start]
    known = {id(stat) for _, stat in same}
    floor = sum(max(0, new.own - old.own) for old, new in same) + sum(s.own for s in now.values() if id(s) not in known)
    whole = sum(s.own + s.reaped for s in now.values()) - sum(s.own + s.reaped for s in before.values())
    return float(max(0, floor, whole))


def _whose(table: Mapping[int, ProcStat], trees: Mapping[str, Sequence[int]]) -> dict[int, str]:
    below: dict[int, list[int]] = {}
    for pid, stat in table.items():
        below.setdefault(stat.ppid, []).append(pid)
    out: dict[int, str] = {}
    for key, roots in trees.items():
        todo = list(roots)
        for pid in todo:
            if pid not in out:
                out[pid] = key
                todo += below.get(pid, ())
    return out


def _kib(text: bytes, word: bytes) -> int | None:
    """Bytes of a line of /proc/meminfo."""
    start = text.find(word)
    if start < 0:
        return None
    return int(text[start + len(word) :].split(None, 1)[0]) * 1024
