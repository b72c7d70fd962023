"""The row of this host above the panes: its gauges, and how old the truth is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.present import bars, words
from tui.present.cut import clean, cut
from tui.present.head import Head, blind, is_narrow, is_wide, source_age
from tui.present.lines import ends

if TYPE_CHECKING:
    from engine.store.rows import CapacityRow, GaugeRow
    from tui.view import Context, Span


def _gauge(gauges: Sequence[GaugeRow], name: str) -> GaugeRow | None:
    return next((g for g in gauges if g.series == name), None)


def _share(g: GaugeRow | None) -> float | None:
    if g is None or g.value is None:
        return None
    top = g.max or (100.0 if g.unit in ("%", "percent") else 1.0)
    return g.value / top


def _disk(gauges: Sequence[GaugeRow], limits: Sequence[CapacityRow]) -> GaugeRow | None:
    """The disk that will stop work first: the one that reaches its limit soon, else the fullest."""
    disks = [g for g in gauges if g.series.startswith("host.disk:") and g.value is not None]
    soon = next((c.series for c in limits if c.soon), None)
    return max(disks, key=lambda g: (g.series == soon, _share(g) or 0.0), default=None)


def hosts_row(ctx: Context, head: Head, width: int) -> list[Span]:
    """Row 3: this host's gauges, and how old the truth is."""
    narrow = is_narrow(width)
    gauges = head.gauges
    host = clean(head.engine.host) if head.engine else "this host"
    cpu = _gauge(gauges, "host.cpu")
    memory = _gauge(gauges, "host.mem")
    disk = _disk(gauges, head.limits)
    limit = next((c for c in head.limits if disk is not None and c.series == disk.series), None)
    io = _gauge(gauges, "host.io")
    n = 6 if narrow else 10
    left: list[Span] = [(f" {cut(host, 16)}", "text"), ("  cpu ", "dim")]
    if cpu is None or cpu.value is None:
        left.append(("n/a", "dim"))
    else:
        left += [*bars.sparkline(cpu.past, 8, cpu.max or 100.0), (f" {words.percent(_share(cpu))}", "text")]
    left.append(("   mem ", "dim"))
    left += [
        *bars.gauge(_share(memory), n),
        (f" {words.percent(_share(memory))}" if memory and memory.value is not None else "", "text"),
    ]
    mount = clean(disk.series.partition(":")[2] or "disk") if disk else "disk"
    left.append((f"   {cut(mount, 12)} ", "dim"))
    share = _share(disk)
    full = limit is not None and limit.soon
    left += [*bars.gauge(share, n, "run-late" if full else "gauge")]
    if share is not None:
        left.append((f" {words.percent(share)}", "run-late b" if full else "text"))
    if limit is not None and (when := bars.full_in(limit)):
        left.append((f" {when}", "run-late b"))
    if not narrow:
        left += [
            ("   io ", "dim"),
            (words.percent(_share(io)) if io and io.value is not None else "n/a", "text" if io else "dim"),
        ]
    if is_wide(width):
        load = _gauge(gauges, "host.load1")
        if load and load.value is not None:
            left += [("   load ", "dim"), (f"{load.value:.1f}", "text")]
    return ends(left, [] if narrow else truth(ctx, head), width)


def truth(ctx: Context, head: Head) -> list[Span]:
    """``truth ≤ 15s · dataiku 21m``: the oldest of those that answer, then the blind."""
    now = ctx.now()
    dark = blind(head.sources, now)
    ages = [source_age(s, now) for s in head.sources if s not in dark and s.last_ok is not None]
    known = [a for a in ages if a is not None]
    out: list[Span] = []
    if known:
        style = "text" if ctx.engine_alive else "text b"
        out = [("truth ", "dim"), (f"≤ {words.age(max(known))}", style)]
    elif head.sources:
        out = [("truth ", "dim"), ("?", "run-stale b")]
    for s in sorted(dark, key=lambda s: s.last_ok or 0)[:1]:
        out += [(" · ", "dim"), (f"{cut(s.name, 16)} {words.age(source_age(s, now))}", "run-stale b")]
    if len(dark) > 1:
        out.append((f" +{len(dark) - 1}", "run-stale b"))
    return out
