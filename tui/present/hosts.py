"""Hosts and their resources as rows: level → gauge, change → one-colour sparkline, what a host lacks → ``n/a`` and why.

Amber is for three things only: a limit less than two weeks away, a value that left its own usual band or what the
configuration calls normal, and a host that is not measured. Nothing here is red: a full disk is red where something failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tui.present import bars, capacity, chart, words
from tui.present.cut import clean, cut, cut_middle
from tui.present.glyphs import LOOKS
from tui.present.lines import Cell, Column, row

if TYPE_CHECKING:
    from engine.store.rows import CapacityRow, Chart, ProcessRow, SeriesRow, UseRow, UsualRow
    from tui.view import Line, Span

STALE_MS: Final = 30_000
"""A reading of this host that is older is drawn stale: it is sampled each second."""
RECENT: Final = 16
"""Minutes of the short curves."""
_ORDER: Final = ("cpu", "mem", "disk", "swap", "io", "cgroup", "psi", "load", "net")
"""Resources by importance: what does not fit on a small screen is last."""
LEVELS: Final = ("cpu", "mem", "swap", "cgroup.cpu", "cgroup.mem")
"""Drawn against the whole of what there is; waiting and traffic are drawn against what they came to."""
_OUT: Final = 0.5
"""A value left its band where it is outside by more than this share of the band, and by …"""
_OUT_POINTS: Final = 5.0
"""… at least so many percent of its scale: a band is crossed now and then by nature."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One series of a host with what is known of it."""

    row: SeriesRow
    recent: Chart | None
    usual: UsualRow | None
    limit: CapacityRow | None
    stale: bool = False
    """Of another host, or of ``[[series]]``: it came too long ago to be called so now."""
    silent_for: int = 0
    """ms since the last reading, where it is stale."""

    @property
    def key(self) -> str:
        return self.row.series

    @property
    def name(self) -> str:
        return capacity.metric_name(self.row.metric, self.row.label)

    @property
    def missing(self) -> bool:
        return self.row.t is None

    @property
    def mean(self) -> float | None:
        """Of the last ten minutes: one busy second is not a change."""
        cells = [c[0] for c in (self.recent.cells[-10:] if self.recent else ()) if c is not None]
        return sum(cells) / len(cells) if cells else None

    @property
    def band(self) -> UsualRow | None:
        """What is usual at this hour; a disk has no such thing, it fills: its forecast says what there is to say."""
        return None if self.row.metric.startswith("disk:") else self.usual

    def unusual(self) -> int:
        """1: above its usual band of this hour, -1: below, 0: inside, or not known. Where the configuration says what is
        normal, that counts alone."""
        if self.row.normal is not None:
            return self.row.outside
        mean, band = self.mean, self.band
        if mean is None or band is None:
            return 0
        least = self.scale * _OUT_POINTS / 100
        off = max((band.high - band.low) * _OUT, least)
        return 1 if mean > band.high + off else -1 if mean < band.low - off else 0

    @property
    def scale(self) -> float:
        highest = max((c[2] for c in (self.recent.cells if self.recent else ()) if c is not None), default=0.0)
        return self.row.max or max(highest, self.usual.high if self.usual else 0.0, 1e-9)

    @property
    def loud(self) -> bool:
        if self.stale:
            return False
        return self.unusual() != 0 or (self.limit is not None and self.limit.soon)


@dataclass(frozen=True, slots=True)
class Host:
    """``name``: as people call it; ``label`` None: this host. ``named``: no host, the ``[[series]]`` of a source; ``down``: its
    exporter does not answer, so nothing is measured."""

    name: str
    label: str | None
    resources: tuple[Resource, ...]
    running: int | None
    named: bool = False
    down: bool = False

    @property
    def stale(self) -> bool:
        """Of another host: none of its levels is of now."""
        return self.label is not None and all(r.stale for r in self.resources)

    @property
    def key(self) -> str:
        return f"@{self.label or ''}"

    def of(self, metric: str) -> Resource | None:
        return next((r for r in self.resources if r.row.metric == metric), None)

    @property
    def disk(self) -> Resource | None:
        """The disk that needs someone first, else the fullest."""
        disks = [r for r in self.resources if r.row.metric.startswith("disk:") and r.row.value is not None]
        return max(disks, key=lambda r: (bool(r.limit and r.limit.soon), r.row.value or 0.0), default=None)

    @property
    def at(self) -> int | None:
        """When it was sampled last."""
        return max((r.row.t for r in self.resources if r.row.t is not None), default=None)


def place(s: SeriesRow) -> tuple[int, float, str]:
    """Where a resource stands in its host's list; the fullest disk first."""
    full = -(s.value or 0.0) if s.metric.startswith("disk:") else 0.0
    for i, word in enumerate(_ORDER):
        if s.metric == word or s.metric.startswith((f"{word}.", f"{word}:", f"{word}1")):
            return (i + 100 * (s.t is None), full, s.metric)
    return (len(_ORDER) + 100 * (s.t is None), full, s.metric)


def shown(s: SeriesRow) -> bool:
    """Whether a series has a row of its own: not each core, not what another row says already, no limit that is not set."""
    if s.metric.startswith("cpu.") or s.metric == "mem.used":
        return False
    return s.t is not None or not s.metric.startswith("cgroup.")


def hosts(
    series: Sequence[SeriesRow],
    recent: Mapping[str, Chart],
    usual: Mapping[str, UsualRow],
    limits: Sequence[CapacityRow],
    this: str,
    running: int | None,
    now: int = 0,
) -> list[Host]:
    """Series grouped by host, this one first, then what ``[[series]]`` ask of a source, then the others."""
    by_limit = {c.series: c for c in limits}
    groups: dict[tuple[int, str], list[SeriesRow]] = {}
    down: set[tuple[int, str]] = set()
    for s in series:
        if s.query and not s.of_a_host:
            groups.setdefault((1, s.source), []).append(s)
        elif s.of_a_host:
            group = (0, "") if s.host is None else (2, s.host)
            if s.host is not None and s.metric == "up":
                groups.setdefault(group, [])  # also where nothing else was ever measured
                if s.value == 0:
                    down.add(group)
            elif shown(s):
                groups.setdefault(group, []).append(s)
    found: list[Host] = []
    for group in sorted(groups):
        kind, label = group
        rows = sorted(groups[group], key=place) if kind != 1 else groups[group]
        resources = tuple(_resource(s, recent, usual, by_limit, now) for s in rows)
        if kind == 0:
            found.append(Host(clean(this), None, resources, running))
        else:
            name = f"series {label}" if kind == 1 else label
            found.append(Host(clean(label), name, resources, None, kind == 1, group in down))
    return found


def _resource(
    s: SeriesRow,
    recent: Mapping[str, Chart],
    usual: Mapping[str, UsualRow],
    limits: Mapping[str, CapacityRow],
    now: int,
) -> Resource:
    asked = s.source != "host" and bool(now)  # of this host the screen itself knows
    stale = asked and s.stale(now)
    ago = now - s.t if stale and s.t is not None else 0
    return Resource(s, recent.get(s.series), usual.get(s.series), limits.get(s.series), stale, ago)


# --- the hosts table ------------------------------------------------------------------------------------------------


def host_columns(width: int) -> list[Column]:
    if width < 110:
        return [
            Column("HOST", 12, gap=0), Column("CPU", 8), Column("", 4, "r"), Column("MEMORY", 8, gap=2), Column("", 4, "r"),
            Column("DISK", 8, gap=2), Column("", 4, "r"), Column("IO WAIT", 8, gap=2), Column("", 4, "r"), Column("RUNS", 5, "r"),
        ]  # fmt: skip
    name = 24 if width >= 180 else 13
    spark = RECENT
    return [
        Column("HOST", name, gap=0), Column("CPU", spark), Column("", 4, "r"), Column("MEMORY", 12, gap=2), Column("", 4, "r"),
        Column("DISK", 10, gap=2), Column("", 4, "r"), Column("IO WAIT", spark, gap=2), Column("", 4, "r"),
        Column("RUNS HERE", 11, gap=2),
    ]  # fmt: skip


def host_line(h: Host, width: int) -> Line:
    cols = host_columns(width)
    if h.named or h.down:
        said = _named(h) if h.named else _down(h)
        name: Cell = [(cut_middle(h.name, cols[0].width), "text b")]
        return row([cols[0], Column("", max(width - cols[0].width - 4, 8), gap=2)], [name, said])
    cpu, memory, disk, io = h.of("cpu"), h.of("mem"), h.disk, h.of("io")
    runs = "unknown" if h.running is None else str(h.running) if width < 110 else f"{h.running} running"
    values: list[Cell] = [
        [(cut_middle(h.name, cols[0].width), "text b")],
        _spark(cpu, cols[1].width), _level(cpu), _gauge(memory, cols[3].width), _level(memory), _gauge(disk, cols[5].width),
        _level(disk), _spark(io, cols[7].width), _level(io), [(runs, "dim")],
    ]  # fmt: skip
    return row(cols, values)


def _named(h: Host) -> Cell:
    """How many, and which of them a person should look at."""
    out: Cell = [(words.many(len(h.resources), "series", "series"), "text")]
    odd = [r for r in h.resources if r.loud]
    silent = [r for r in h.resources if r.stale or r.missing]
    if odd:
        out += [("  ", ""), (", ".join(f"{r.name} {outside(r)}" for r in odd), "run-late b")]
    if silent:
        out += [("  ", ""), (f"{len(silent)} not measured now", "run-stale")]
    return out


def _down(h: Host) -> Cell:
    ago = min((r.silent_for for r in h.resources if r.silent_for), default=0)
    return [
        ("down", "run-late b"),
        (f": nothing is measured for {words.age(ago)}" if ago else ": nothing is measured", "dim"),
    ]


def outside(r: Resource) -> str:
    """``above normal``, ``unusually high``, ``full in 9d``: why it is loud."""
    way = r.unusual()
    if way and r.row.normal is not None:
        return "above normal" if way > 0 else "below normal"
    if way:
        return f"unusually {'high' if way > 0 else 'low'}"
    return capacity.full_in(r.limit) if r.limit is not None else ""


def _style(r: Resource | None, calm: str) -> str:
    return "run-late" if r is not None and r.loud else calm


def _spark(r: Resource | None, n: int) -> Cell:
    if r is None or r.missing or r.recent is None:
        return [("n/a", "dim")]
    return [(chart.row([c and c[0] for c in r.recent.cells], n, top_of(r)), _style(r, "gauge"))]


def _gauge(r: Resource | None, n: int) -> Cell:
    share = None if r is None or r.row.value is None else r.row.value / (r.row.max or 100.0)
    return bars.gauge(share, n, _style(r, "gauge"))


def _level(r: Resource | None) -> Cell:
    return [("", "dim")] if r is None or r.row.value is None else _said(r, capacity.value(r.row.value, r.row.unit))


def _said(r: Resource, level: str) -> Cell:
    return [(level, f"{_style(r, 'text')} b" if r.loud else "text")]


def top_of(r: Resource) -> float:
    """Top of a curve's scale: 100 % where the level counts, else what is near above the highest."""
    highest = max((c[2] for c in (r.recent.cells if r.recent else ()) if c is not None), default=0.0)
    if r.row.metric in LEVELS or r.row.metric.startswith("disk:"):
        return r.row.max or 100.0
    return chart.nice_top(r.row.unit, highest, r.row.max)


# --- resources of one host ------------------------------------------------------------------------------------------


def resource_columns(width: int) -> list[Column]:
    if width < 110:
        return [
            Column("", 16, gap=0), Column("", 16), Column("", 8), Column("", 9, "r"), Column("", 24, gap=2), Column("", 0),
        ]  # fmt: skip
    wide = width >= 180
    return [
        Column("", 24 if wide else 18, gap=0), Column("", RECENT), Column("", 12), Column("", 10, "r"),
        Column("", 60 if wide else 54, gap=3), Column("", 40 if wide else 0, gap=2),
    ]  # fmt: skip


def resource_line(r: Resource, width: int, tz: str, now: int) -> Line:
    cols = resource_columns(width)
    share = None if r.missing or r.row.value is None or not r.row.max else r.row.value / r.row.max
    if share is None and not r.missing:  # without a gauge: an instant, or a number with the name of its unit, is whole
        cols[2:4] = [Column("", cols[2].width + 1 + cols[3].width, "r")]
    name: Cell = [(cut_middle(r.name, cols[0].width), "text")]
    series: Cell = [(cut_middle(clean(r.row.series), cols[-1].width), "dim")]  # as [[limit]] calls it
    if r.missing:
        note = clean(r.row.why or r.row.note or "not measured here")
        return row(cols, [name, [("n/a", "dim")], [("", "")], [("n/a", "dim")], [(note, "dim")], series])
    gauge: Cell = [("", "")] if share is None else bars.gauge(share, cols[2].width, _style(r, "gauge"))
    said = words.sentence(clauses(r, tz, now), cols[-2].width, "dim")
    level = _said(r, capacity.reading(r.row.value, r.row.unit, tz, now))
    middle = [level] if len(cols) == 5 else [gauge, level]
    curve: Cell = [("n/a", "dim")] if r.row.unit in capacity.MOMENTS else _spark(r, cols[1].width)
    return row(cols, [name, curve, *middle, said, series])


def tiny_line(r: Resource, tz: str, now: int) -> list[Span]:
    """Name and level alone."""
    level = "n/a" if r.missing else capacity.reading(r.row.value, r.row.unit, tz, now)
    return [(f" {cut_middle(r.name, 18):<18} ", "text"), (f"{level:>9}", _style(r, "text"))]


def clauses(r: Resource, tz: str, now: int) -> list[words.Clause]:
    """What a person wants to know of it: when it is full, whether this is usual."""
    out: list[words.Clause] = []
    c, moment = r.limit, r.row.unit in capacity.MOMENTS  # it moves on by nature: none of the past is usual
    if r.stale:
        why = f": {clean(r.row.why)}" if r.row.why else ""
        out.append([(f"no reading for {words.age(r.silent_for)}", "run-stale b"), (why, "dim")])
    if c is not None and (full := capacity.full_in(c)):
        out.append([(full, "run-late b"), (f" ({capacity.reading(c.limit, c.unit, tz, now)})", "dim")])
    way = 0 if r.stale else r.unusual()
    if r.row.normal is not None:
        band = f"normal {_band(*r.row.normal, r.row.unit)}"
        out.append([(f"{outside(r).split()[0]} ", "run-late b"), (band, "dim")] if way else band)
    elif r.band is not None and not moment:
        band = f"usual {_band(r.band.low, r.band.high, r.row.unit)}"
        out.append([("unusually high " if way > 0 else "unusually low ", "run-late b"), (band, "dim")] if way else band)
    if c is not None and not c.soon:
        out.append(f"limit {capacity.reading(c.limit, c.unit, tz, now)}")
    if r.usual is None and r.row.normal is None and not moment and not r.row.metric.startswith("disk:"):
        out.append("learning what is usual")
    return out


def _band(low: float, high: float, unit: str) -> str:
    a, b = capacity.value(low, unit), capacity.value(high, unit)
    if a == b:
        return b
    return f"{low:.0f}–{b}" if unit.startswith("%") else f"{a} to {b}"


# --- runs and processes ---------------------------------------------------------------------------------------------


def use_columns(width: int, *, io: bool) -> list[Column]:
    narrow = width < 110
    return [
        Column("RUN", 32 if narrow else 40, gap=0), Column("STEP", 12 if narrow else 20), Column("CPU", 6, "r"), Column("MEMORY", 9, "r"),
        Column("READ", 10 if io else 0, "r"), Column("WRITE", 10 if io else 0, "r"),
    ]  # fmt: skip


def use_line(u: UseRow, width: int, *, io: bool, loud: bool = False, stale: bool = False) -> Line:
    """A running tree; or, without a key, what belongs to no run of ours."""
    cols = use_columns(width, io=io)
    look = LOOKS[u.state] if u.state is not None else None
    style = "run-late" if loud else "text"
    mark: Span = (f"{look.glyph}{'?' if stale else ' '}" if look else "  ", look.token if look else "")
    name = clean(u.name) if u.run_key is not None else "no run of ours"
    return row(
        cols,
        [
            [mark, (cut_middle(name, cols[0].width - 2), style)], [(cut_middle(clean(u.step or ""), cols[1].width), "dim")],
            [(capacity.value(u.cpu, "%"), style)], [(capacity.value(u.rss, "B"), style)],
            [(capacity.value(u.read, "B/s"), style)], [(capacity.value(u.write, "B/s"), style)],
        ],
    )  # fmt: skip


def process_columns(width: int) -> list[Column]:
    narrow = width < 110
    return [
        Column("PID", 8, "r", 0), Column("USER", 9 if narrow else 12, gap=2), Column("CPU", 6, "r"), Column("MEMORY", 9, "r"),
        Column("RUN", 20 if narrow else 36, gap=2), Column("COMMAND", max(width - (61 if narrow else 80), 8), gap=2),
    ]  # fmt: skip


def process_line(p: ProcessRow, names: Mapping[str, str], width: int) -> Line:
    cols = process_columns(width)
    run = clean(names.get(p.run_key, p.run_key)) if p.run_key else ""
    return row(
        cols,
        [
            str(p.pid), [(cut(clean(p.user or "?"), cols[1].width), "dim")], capacity.value(p.cpu, "%"), capacity.value(p.rss, "B"),
            [(cut_middle(run, cols[4].width), "text")], [(cut(clean(p.name), cols[5].width), "text")],
        ],
    )  # fmt: skip


# --- for scripts ----------------------------------------------------------------------------------------------------


def record(h: Host, r: Resource) -> dict[str, Any]:
    """One resource, flat; times ms UTC, values in its unit."""
    c = r.limit
    return {
        "host": h.name, "series": r.row.series, "metric": r.row.metric, "label": r.row.label, "unit": r.row.unit, "value": r.row.value,
        "sampled": r.row.t, "max": r.row.max, "note": r.row.why or (r.row.note if r.missing else None), "source": r.row.source,
        "stale": r.stale, "down": h.down, "query": r.row.query or None,
        "normal_low": r.row.normal[0] if r.row.normal else None, "normal_high": r.row.normal[1] if r.row.normal else None,
        "usual_low": r.band.low if r.band else None, "usual_high": r.band.high if r.band else None,
        "unusual": {1: "high", -1: "low"}.get(r.unusual()), "limit": c.limit if c else None, "declared": c.declared if c else None,
        "per_day": c.per_day if c else None, "days_left": c.days if c else None,
        "reached": c.on.isoformat() if c and c.on else None, "days_known": c.n if c else None,
    }  # fmt: skip
