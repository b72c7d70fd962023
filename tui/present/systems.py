"""What sources tell of their own machines, beside this host and its fleet: nodes, clusters, pools, groups, as rows. Pure.

Nothing here knows a system: an item is drawn by what it carries. A level of a limit is a gauge, a value alone is a number, what
has neither is its words; what nobody may read, or nobody answered, is a row with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.store.rows import Standing
from tui.present import bars, words
from tui.present.cut import clean, cut_middle, first_line, pad
from tui.present.glyphs import STALE_MARK
from tui.present.head import is_narrow, source_now
from tui.present.lines import cells, fit, recolour
from tui.present.parts import EVERY_MS, LOOK_OF, MISSED

if TYPE_CHECKING:
    from engine.store.rows import ItemRow, PartRow, SourceRow
    from tui.view import Line, Span

ELSEWHERE: Final = frozenset({"import-error", "warning", "metric"})
"""Kinds that speak of pipelines and data: the Sources screen and the pipelines themselves show them."""
FULL: Final = 0.9
"""Share of a limit from which on a gauge is in the late colour."""


@dataclass(frozen=True, slots=True)
class System:
    """One source: its items, the worst first. ``seen``: when it was asked last and answered; ``why``: why it did not since."""

    source: SourceRow
    items: tuple[ItemRow, ...]
    seen: int | None
    why: str | None

    @property
    def worst(self) -> Standing:
        return max((i.standing for i in self.items), default=Standing.FINE)

    def stale(self, now: int) -> bool:
        """Nobody vouches for it: three listings were missed, none ever came, or the source is blind."""
        return self.source.stale(now) or self.seen is None or now - self.seen > MISSED * EVERY_MS["items"]


def share(item: ItemRow) -> float | None:
    """How full it is; None where it has no level: the age of a component's last beat is none."""
    if item.kind == "component" or item.value is None or not item.limit or item.limit < 0:
        return None
    return item.value / item.limit


def systems(sources: Sequence[SourceRow], items: Sequence[ItemRow], listings: Sequence[PartRow]) -> list[System]:
    """Sources that tell of machines, or should and do not; the worst first, else as they are configured."""
    by_part = {p.source: p for p in listings if p.part == "items"}
    by_source: dict[str, list[ItemRow]] = {}
    for item in items:
        if item.kind not in ELSEWHERE:
            by_source.setdefault(item.source, []).append(item)
    out: list[System] = []
    for source in sources:
        mine, listing = by_source.get(source.name, []), by_part.get(source.name)
        why = listing.why if listing is not None else None
        if mine or why:
            seen = listing.seen if listing is not None else None
            out.append(System(source, tuple(sorted(mine, key=_place)), seen, why))
    return sorted(out, key=lambda s: -s.worst)


def _place(item: ItemRow) -> tuple[int, bool, float, bool, str, str]:
    full = share(item)
    return (
        -item.standing,
        bool(item.name),
        -(full if full is not None else -1.0),
        item.kind == "component",
        item.kind,
        item.name,
    )


def fits(item: ItemRow, asked: Sequence[str]) -> bool:
    """Whether a filter of plain words means it."""
    hay = f"{item.source} {item.kind} {item.name}".lower()
    return all(word in hay for word in asked)


def number(v: float, unit: str) -> str:
    """``3 workers``, ``1,250 m cpu``, ``12.5 GB``."""
    if unit in ("B", "bytes"):
        return words.size(v)
    text = f"{v:,.0f}" if v == int(v) or abs(v) >= 100 else f"{v:.2f}".rstrip("0").rstrip(".")
    return text + ("%" if unit == "%" else f" {clean(unit)}" if unit else "")


def level(item: ItemRow) -> str:
    """``3 of 8 workers``, ``1,204 messages``; empty where it has no number."""
    if item.kind == "component" or item.value is None:
        return ""
    if item.limit is None or item.unit == "%":
        return number(item.value, item.unit)
    many = number(item.limit, item.unit)
    return f"{number(item.value, '' if item.unit not in ('B', 'bytes') else item.unit)} of {many}"


def head(system: System, now: int, width: int, shown: int | None = None) -> Line:
    """``prod-k8s · 12 node, 3 pool · 1 bad · asked 20s ago``, or why it is not known. ``shown``: of its items only so many are."""
    source = system.source
    kinds: dict[str, int] = {}
    for item in system.items:
        if item.name:
            kinds[item.kind] = kinds.get(item.kind, 0) + 1
    said: list[words.Clause] = [
        ", ".join(words.many(n, clean(kind.replace("-", " "))) for kind, n in sorted(kinds.items()))
    ]
    for standing, word, style in (
        (Standing.BAD, "bad", "run-failed b"),
        (Standing.WARNING, "to look at", "run-warning b"),
    ):
        if n := sum(i.standing is standing and bool(i.name) for i in system.items):
            said.append([(f"{n} {word}", style)])
    if shown is not None and shown < len(system.items):
        said.append(f"{shown} of {len(system.items)} shown" if shown else "none shown")
    if system.why is not None:
        said.insert(0, [(f"not answered: {clean(first_line(system.why))}", "run-stale b")])
    elif source.stale(now):
        said.insert(
            0, [(f"not seen: {clean(source.detail or source.health.name.lower().replace('_', ' '))}", "run-stale b")]
        )
    asked = "never asked with an answer" if system.seen is None else f"asked {words.age(max(now - system.seen, 0))} ago"
    age = (asked, "run-stale b" if system.stale(now) else "dim")
    name = cut_middle(clean(source.name), 26)
    room = width - len(name) - len(asked) - 6
    line: list[Span] = [
        (" ", ""),
        (name, "text b"),
        ("  ", ""),
        *words.sentence([c for c in said if c], max(room, 4), "dim"),
    ]
    return [*fit(line, max(width - len(asked) - 2, 1)), (" ", ""), age, (" ", "")]


def row(system: System, item: ItemRow, width: int, now: int) -> Line:
    """One item: state, kind, name, gauge, level, words, and since when where the source says so."""
    narrow = is_narrow(width)
    stale = system.stale(now)
    look = LOOK_OF[item.standing]
    if not item.name:  # a whole kind that may not be read, or did not answer
        line: list[Span] = [
            ("  ? ", "run-stale b"),
            (f"{clean(item.kind)}: ", "text"),
            (first_line(item.words), "run-stale"),
        ]
        return fit(line, width)
    kind, name, bar, said = (10, 22, 8, 16) if narrow else (11, 30, 12, 22) if width < 180 else (12, 44, 20, 26)
    bold = " b" if item.standing is not Standing.FINE else ""
    full, told = share(item), level(item)
    mark: Span = (look.glyph + (STALE_MARK if stale else " "), look.token)
    gauge: list[Span] = []
    if full is not None:
        gauge = bars.gauge(full, bar, "run-late" if full >= FULL else "gauge")
    elif item.limit and item.kind != "component":  # it has a limit and nobody says how much is used: that is not well
        gauge, told = bars.gauge(None, bar), "n/a"
        mark = mark if bold else (STALE_MARK + " ", "run-stale")
    elif told:
        gauge = [(" " * bar, "")]
    front: list[Span] = [
        ("  ", ""), mark, (" ", ""), (pad(cut_middle(clean(item.kind), kind - 1), kind), "dim"),
        (pad(cut_middle(clean(item.name), name - 1), name), f"text{bold}"), *gauge,
    ]  # fmt: skip
    if full is not None and len(told) > said - 1:
        told = f"{full:.0%}"
    if gauge:
        front += [(" ", ""), (pad(cut_middle(told, said - 1), said), "text")]
    at = (
        ""
        if item.since is None or item.kind == "component"
        else words.age(max(now - (item.since - source_now(system.source, 0)), 0))
    )
    room = width - cells(front) - len(at) - 2
    tail = words.sentence([first_line(item.words)], room, "text" if bold else "dim") if room > 3 and item.words else []
    line = [*fit([*front, *tail], max(width - len(at) - 1, 1)), (at, "dim"), (" ", "")]
    return recolour(line, "run-stale") if stale else line


def pane(found: Sequence[System], width: int, size: int, now: int) -> list[Line]:
    """Below its title, in ``size`` rows: a head for each source and its worst items; where not all fit, each has some, and its head
    says how many."""
    given = share_out([len(s.items) for s in found], size)
    out: list[Line] = []
    for system, n in zip(found, given, strict=False):
        out.append(head(system, now, width, n))
        out += [row(system, item, width, now) for item in system.items[:n]]
    if left := len(found) - len(given):
        out.append([(f" and {words.many(left, 'more source')}", "dim")])
    return out[:size]


def share_out(many: Sequence[int], size: int) -> list[int]:
    """Of so many rows, how many items each source shows below its head, the first ones first; those that have no row for a head are
    left out, and one row says so."""
    heads = len(many) if size >= len(many) else max(size - 1, 0)
    given = [0] * heads
    left = size - len(many)
    while left > 0:
        before = left
        for i in range(heads):
            if left > 0 and given[i] < many[i]:
                given[i] += 1
                left -= 1
        if left == before:
            break
    return given


def rows_wanted(found: Sequence[System], most: int | None = None) -> int:
    """Rows of the pane with its title, whole or with ``most`` items of each source."""
    total = 1
    for system in found:
        n = len(system.items)
        total += 1 + (n if most is None else min(n, most))
    return total


def tally(found: Sequence[System]) -> Mapping[Standing, int]:
    """How many items stand how."""
    out: dict[Standing, int] = {}
    for system in found:
        for item in system.items:
            out[item.standing] = out.get(item.standing, 0) + 1
    return out


def record(system: System, now: int) -> dict[str, Any]:
    """For scripts."""
    return {
        "source": system.source.name, "kind": system.source.kind, "asked": system.seen, "stale": system.stale(now), "why": system.why,
        "items": [
            {
                "kind": i.kind, "name": i.name or None, "standing": i.standing.name.lower(), "value": i.value, "limit": i.limit,
                "unit": i.unit, "words": i.words, "since": i.since,
            }
            for i in system.items
        ],
    }  # fmt: skip
