"""How near this process is to the limits of its control group: what "full" means inside a container or a unit.

Facts: Documentation/admin-guide/cgroup-v2.rst (cpu.max, cpu.stat, memory.max, memory.current, memory.stat) and
cgroup-v1 (cpu.cfs_quota_us, cpuacct.usage, memory.limit_in_bytes, memory.usage_in_bytes). Without a limit there is no
value: the host's own gauges tell it then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from adapters.metrics.procfs import Files

LOOK_EVERY_S = 60.0
_NONE_V1 = 1 << 60
"""v1 writes "no limit" as the largest page-aligned number."""


@dataclass(frozen=True, slots=True)
class _Cpu:
    cores: float
    usage: str
    v2: bool


@dataclass(frozen=True, slots=True)
class _Memory:
    limit: int
    usage: str
    stat: str
    inactive: bytes


class Cgroup:
    """The tightest limit on the way from our group to the root; looked for again every minute."""

    def __init__(self, proc: str, sys: str) -> None:
        self._proc = proc
        self._root = f"{sys}/fs/cgroup"
        self._files = Files(self._root)
        self._looked: float | None = None
        self._cpu: _Cpu | None = None
        self._memory: _Memory | None = None
        self._used: float | None = None

    def close(self) -> None:
        self._files.close()

    def read(self, at: float, elapsed: float) -> list[tuple[str, float, str]]:
        """``host.cgroup.cpu`` and ``host.cgroup.mem`` in percent of the limit, where there is one."""
        if self._looked is None or not 0 <= at - self._looked < LOOK_EVERY_S:
            self._looked = at
            self._look()
        out: list[tuple[str, float, str]] = []
        used = self._cpu_used()
        if self._cpu and used is not None and self._used is not None and elapsed > 0 and used >= self._used:
            out.append(("host.cgroup.cpu", 100.0 * (used - self._used) / elapsed / self._cpu.cores, "%"))
        self._used = used
        memory = self._memory_used()
        if self._memory and memory is not None:
            out.append(("host.cgroup.mem", 100.0 * memory / self._memory.limit, "%"))
        return out

    def _cpu_used(self) -> float | None:
        """Seconds of CPU of the limited group."""
        if self._cpu is None:
            return None
        text = self._files.read(self._cpu.usage)
        if not self._cpu.v2:
            return _int(text, 1e-9)
        found = _word(text, b"usage_usec")
        return None if found is None else found / 1e6

    def _memory_used(self) -> int | None:
        """As container tools reckon: without file pages that would be given back at once."""
        if self._memory is None:
            return None
        used = _int(self._files.read(self._memory.usage))
        if used is None:
            return None
        return int(max(0, used - (_word(self._files.read(self._memory.stat), self._memory.inactive) or 0)))

    def _look(self) -> None:
        groups = self._groups()
        self._files.close()
        cpu: _Cpu | None = None
        memory: _Memory | None = None
        for base, accounting in self._ways(groups, "cpu"):
            found = self._cpu_limit(base, accounting)
            if found and (cpu is None or found.cores < cpu.cores):
                cpu = found
        for base, _ in self._ways(groups, "memory"):
            limit = self._memory_limit(base)
            if limit and (memory is None or limit.limit < memory.limit):
                memory = limit
        if cpu != self._cpu:
            self._used = None
        self._cpu, self._memory = cpu, memory
        self._files.close()

    def _groups(self) -> dict[str, str]:
        """Controller → path of our group; "" is version 2."""
        try:
            with open(f"{self._proc}/self/cgroup", encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            return {}
        out: dict[str, str] = {}
        for line in lines:
            _, names, path = [*line.split(":", 2), "", ""][:3]
            for name in names.split(","):
                out[name] = path
        return out

    def _ways(self, groups: dict[str, str], controller: str) -> list[tuple[str, str]]:
        """(folder of the limit, folder of the CPU account) from our group up to the root, relative to /sys/fs/cgroup."""
        if os.path.exists(f"{self._root}/cgroup.controllers"):
            return [(f"{p}/" if p else "", f"{p}/" if p else "") for p in self._up("", groups.get("", "/"))]
        mount = next((m for m in (controller, "cpu,cpuacct") if os.path.isdir(f"{self._root}/{m}")), None)
        if mount is None or controller not in groups:
            return []
        account = "cpuacct" if os.path.isdir(f"{self._root}/cpuacct") else mount
        return [(f"{mount}/{p}/", f"{account}/{p}/") for p in self._up(mount, groups[controller])]

    def _up(self, mount: str, path: str) -> list[str]:
        """Our group and its parents. In a container the path may be the host's: then the mount's own top is ours."""
        parts = [p for p in path.split("/") if p and p != ".."]
        if not os.path.isdir(os.path.join(self._root, mount, *parts)):
            parts = []
        return ["/".join(parts[:n]) for n in range(len(parts), -1, -1)]

    def _cpu_limit(self, base: str, account: str) -> _Cpu | None:
        words = self._files.read(f"{base}cpu.max").split()
        if len(words) == 2 and words[0] != b"max":
            return _Cpu(int(words[0]) / int(words[1]), f"{base}cpu.stat", True)
        quota, period = (
            _int(self._files.read(f"{base}cpu.cfs_quota_us")),
            _int(self._files.read(f"{base}cpu.cfs_period_us")),
        )
        if quota and period and quota > 0:
            return _Cpu(quota / period, f"{account}cpuacct.usage", False)
        return None

    def _memory_limit(self, base: str) -> _Memory | None:
        limit = _int(self._files.read(f"{base}memory.max"))
        if limit:
            return _Memory(int(limit), f"{base}memory.current", f"{base}memory.stat", b"inactive_file")
        limit = _int(self._files.read(f"{base}memory.limit_in_bytes"))
        if limit and limit < _NONE_V1:
            return _Memory(int(limit), f"{base}memory.usage_in_bytes", f"{base}memory.stat", b"total_inactive_file")
        return None


def _int(text: bytes, scale: float = 1) -> float | None:
    try:
        return int(text) * scale
    except ValueError:  # empty, or "max"
        return None


def _word(text: bytes, word: bytes) -> int | None:
    for line in text.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == word:
            return int(value)
    return None
