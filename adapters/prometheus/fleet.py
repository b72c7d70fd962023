"""What is measured of the hosts of a fleet, as PromQL: one union of expressions, each element marked with the metric it is.

Names of the exporters differ by operating system and version; all known spellings stand in the union, and what a host does
not have is simply not in the answer. So hosts of several kinds go together, and nothing has to be told beforehand. Seen
live: node_exporter 1.5 on Linux. From the exporters' documentation: its names before 0.16, macOS, windows_exporter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.extras import SeriesInfo
from adapters.model import Sample
from adapters.prometheus.wire import Reading, labelled, shown

MARK: Final = "watchfloor"
"""Label that says which metric, or which query, an element of a union is."""
SIGNS: Final = "node_uname_info|node_boot_time_seconds|node_boot_time|windows_system_system_up_time|windows_cs_hostname|windows_os_info"
"""Names that tell that a job scrapes hosts: one series a host."""
_NO_FS: Final = 'fstype!~"tmpfs|devtmpfs|ramfs|overlay|squashfs|iso9660|erofs|autofs|nsfs|fuse.lxcfs|rootfs|proc|sysfs|cgroup2?|tracefs"'
_NO_NIC: Final = 'device!~"lo[0-9]*|veth.*|docker.*|br-.*|cni.*|cali.*|flannel.*|virbr.*|utun.*"'


@dataclass(frozen=True, slots=True)
class Metric:
    """``by``: the label that tells several of one host apart. ``expressions``: of one host kind each, the first that answers
    for a host counts; ``H`` stands for the host's label, ``SEL`` for further matchers, ``R`` for the range of rates."""

    name: str
    label: str
    unit: str
    max: float | None
    expressions: tuple[str, ...]
    by: tuple[str, ...] = ()


def _pressure(what: str) -> tuple[str, ...]:
    return (f"100 * max by (H) (rate(node_pressure_{what}_seconds_total{{SEL}}[R]))",)


METRICS: Final = (
    Metric("up", "is measured", "", 1.0, ("max by (H) (up{SEL})",)),
    Metric(
        "cpu", "CPU", "%", 100.0,
        (
            '100 * (1 - avg by (H) (rate(node_cpu_seconds_total{mode="idle",SEL}[R])))',
            '100 * (1 - avg by (H) (rate(windows_cpu_time_total{mode="idle",SEL}[R])))',
            '100 * (1 - avg by (H) (rate(node_cpu{mode="idle",SEL}[R])))',
        ),
    ),
    Metric(
        "mem", "memory", "%", 100.0,
        (
            "100 * (1 - max by (H) (node_memory_MemAvailable_bytes{SEL}) / max by (H) (node_memory_MemTotal_bytes{SEL}))",
            "100 * (1 - max by (H) (windows_memory_physical_free_bytes{SEL}) / max by (H) (windows_memory_physical_total_bytes{SEL}))",
            "100 * (1 - max by (H) (windows_os_physical_memory_free_bytes{SEL}) / max by (H) (windows_cs_physical_memory_bytes{SEL}))",
            "100 * (1 - (max by (H) (node_memory_free_bytes{SEL}) + max by (H) (node_memory_inactive_bytes{SEL}))"
            " / max by (H) (node_memory_total_bytes{SEL}))",
            "100 * (1 - max by (H) (node_memory_MemAvailable{SEL}) / max by (H) (node_memory_MemTotal{SEL}))",
        ),
    ),
    Metric(
        "swap", "swap", "%", 100.0,
        (
            "100 * (1 - max by (H) (node_memory_SwapFree_bytes{SEL}) / (max by (H) (node_memory_SwapTotal_bytes{SEL}) > 0))",
            "100 * (1 - max by (H) (node_memory_SwapFree{SEL}) / (max by (H) (node_memory_SwapTotal{SEL}) > 0))",
        ),
    ),
    Metric(
        "disk", "", "%", 100.0,
        (  # as df reckons: of what a plain user may use
            f"100 * (1 - max by (H, mountpoint) (node_filesystem_avail_bytes{{{_NO_FS},SEL}}) / max by (H, mountpoint)"
            f" (node_filesystem_size_bytes{{{_NO_FS},SEL}} - node_filesystem_free_bytes{{{_NO_FS},SEL}}"
            f" + node_filesystem_avail_bytes{{{_NO_FS},SEL}} > 0))",
            '100 * (1 - max by (H, volume) (windows_logical_disk_free_bytes{volume!~"HarddiskVolume.*|_Total",SEL})'
            " / max by (H, volume) (windows_logical_disk_size_bytes{SEL}))",
            f"100 * (1 - max by (H, mountpoint) (node_filesystem_avail{{{_NO_FS},SEL}}) / max by (H, mountpoint)"
            f" (node_filesystem_size{{{_NO_FS},SEL}} - node_filesystem_free{{{_NO_FS},SEL}}"
            f" + node_filesystem_avail{{{_NO_FS},SEL}} > 0))",
        ),
        ("mountpoint", "volume"),
    ),
    Metric(
        "io", "waiting for disk", "%", 100.0,
        (
            '100 * avg by (H) (rate(node_cpu_seconds_total{mode="iowait",SEL}[R]))',
            '100 * avg by (H) (rate(node_cpu{mode="iowait",SEL}[R]))',
        ),
    ),
    Metric("load1", "load 1m", "", None, ("max by (H) (node_load1{SEL})",)),
    Metric(
        "net.rx", "network in", "B/s", None,
        (
            f"sum by (H) (rate(node_network_receive_bytes_total{{{_NO_NIC},SEL}}[R]))",
            "sum by (H) (rate(windows_net_bytes_received_total{SEL}[R]))",
            f"sum by (H) (rate(node_network_receive_bytes{{{_NO_NIC},SEL}}[R]))",
        ),
    ),
    Metric(
        "net.tx", "network out", "B/s", None,
        (
            f"sum by (H) (rate(node_network_transmit_bytes_total{{{_NO_NIC},SEL}}[R]))",
            "sum by (H) (rate(windows_net_bytes_sent_total{SEL}[R]))",
            f"sum by (H) (rate(node_network_transmit_bytes{{{_NO_NIC},SEL}}[R]))",
        ),
    ),
    Metric("psi.cpu", "CPU pressure", "%", 100.0, _pressure("cpu_waiting")),
    Metric("psi.mem", "memory pressure", "%", 100.0, _pressure("memory_stalled")),
    Metric("psi.io", "disk pressure", "%", 100.0, _pressure("io_stalled")),
)  # fmt: skip
BY_NAME: Final = {m.name: m for m in METRICS}
_WORD: Final = re.compile(r"\b(H|SEL|R)\b")


def expression(metric: Metric, label: str, matchers: str, rate: str) -> str:
    """All spellings of one metric, marked."""
    filled = {"H": label, "SEL": matchers, "R": rate}
    parts = [_WORD.sub(lambda m: filled[m[1]], one) for one in metric.expressions]
    return labelled(" or ".join(f"({part})" for part in parts), MARK, metric.name)


def union(metrics: Iterable[Metric], label: str, matchers: str, rate: str) -> str:
    """What is asked in one round. A host that is down is in it: ``up`` drives the list."""
    return "\nor ".join(expression(m, label, matchers, rate) for m in metrics)


def names(values: Iterable[str]) -> Mapping[str, str]:
    """Value of the host's label → how the host is called: without the port, where that leaves every host its own name."""
    bare = {value: re.sub(r":\d+$", "", value) for value in values}
    taken = Counter(bare.values())
    return {value: shown(name if taken[name] == 1 else value).replace(":", "%3A") for value, name in bare.items()}


def samples(readings: Sequence[Reading], label: str, known: Mapping[str, str]) -> tuple[list[Sample], list[SeriesInfo]]:
    """Readings of the union as series of hosts, each once. ``known``: ``names``."""
    found: dict[str, list[Sample]] = {}
    about: list[SeriesInfo] = []
    for reading in readings:
        metric = BY_NAME.get(reading.labels.get(MARK, ""))
        host = known.get(reading.labels.get(label, ""))
        if metric is None or host is None:
            continue
        part = next((reading.labels[by] for by in metric.by if reading.labels.get(by)), "")
        if metric.by and not part:
            continue
        what = f"{metric.name}:{shown(part)}" if part else metric.name
        series = f"host@{host}:{what}"
        if series not in found:
            about.append(SeriesInfo(series, metric.label or f"disk {shown(part)}", metric.unit, metric.max))
            found[series] = [Sample(series, t, value, metric.unit) for t, value in reading.points]
    return [one for points in found.values() for one in points], about
