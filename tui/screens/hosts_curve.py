"""One series over time on the Hosts screen: blocks, a scale, the runs that used the host under them, and what is planned after now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from engine.store.rows import Chart, FloorRow, RunLane
from tui.present import capacity, chart, floor, hosts, lines, words
from tui.present.cut import clean, cut_middle
from tui.present.hosts import Resource
from tui.view import Context, Line, Span

LABEL: Final = 11
"""Cells left of the curve: its scale, and the names of runs."""
_LANES: Final = 6


class Curve:
    """Reads when its axis moved or when it was told to forget; painting the same again asks nothing."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._curve: tuple[object, Chart | None] = (None, None)
        self._lanes: tuple[object, list[RunLane], dict[int, FloorRow]] = (None, [], {})

    def forget(self) -> None:
        self._curve = (None, None)
        self._lanes = (None, [], {})

    def read(self, r: Resource, axis: chart.Axis) -> Chart | None:
        which = (r.key, axis)
        if self._curve[0] != which:
            found = self.context.reader.chart([r.key], axis.start, axis.now, axis.past)
            self._curve = (which, found.get(r.key))
        return self._curve[1]

    def _read_lanes(self, axis: chart.Axis) -> tuple[list[RunLane], dict[int, FloorRow]]:
        if self._lanes[0] != axis:
            found = self.context.reader.runs_between(axis.start, axis.now, _LANES)
            rows = self.context.reader.floor_rows([lane.pipeline_id for lane in found])
            self._lanes = (axis, found, {row.id: row for row in rows})
        return self._lanes[1], self._lanes[2]

    def paint(
        self,
        r: Resource | None,
        host: str,
        word: str,
        axis: chart.Axis,
        width: int,
        size: int,
        *,
        here: bool,
        stale: bool,
    ) -> list[Line]:
        """``word``: the range; ``here``: this host, whose runs are known."""
        now, tz = self.context.now(), self.context.timezone
        if r is None or r.missing:
            why = clean(r.row.note or "not measured here") if r is not None else "this host has no such sensor"
            title = f"{host} {r.name if r is not None else 'cpu'}"
            return [lines.rule(title, word, "", width), [("   n/a: ", "dim"), (why, "dim")]]
        if r.row.unit in capacity.MOMENTS:
            said = f"a moment has no curve; the newest is {capacity.reading(r.row.value, r.row.unit, tz, now)}"
            return [
                lines.rule(f"{cut_middle(host, 24)} {r.name}", word, "", width),
                [("   n/a: ", "dim"), (said, "dim")],
            ]
        found = self.read(r, axis)
        lanes, rows = self._read_lanes(axis) if here else ([], {})
        hint: list[Span] = []
        if found is not None and found.peak is not None:
            unit, at = r.row.unit, words.clock(found.peak_at, tz, now)
            hint = [(f"p50 {capacity.value(found.p50, unit)}  peak {capacity.value(found.peak, unit)} at {at}", "dim")]
        note = f"{word}, with the runs that used it" if lanes else word
        out: list[Line] = [lines.rule(f"{cut_middle(host, 24)} {r.name}", note, hint, width)]
        under = min(len(lanes), max(size - 6, 0), _LANES)
        tall = max(min(size - 2 - under, 11), 2)
        tall -= tall > 2 and tall % 2 == 0  # odd, so that the half has a row of its own
        out += self._area(r, found, axis, tall, stale)
        for lane in lanes[:under]:
            name = (f" {cut_middle(clean(lane.name), LABEL - 2):<{LABEL}}", "dim")
            planned = () if stale else _planned(rows.get(lane.pipeline_id), now)
            out.append([name, *chart.lane(lane, axis, now, planned=planned, stale=stale, tz=tz)])
        out.append([(" " * (LABEL + 1), ""), (chart.ticks(axis, tz), "dim")])
        return out

    def _area(self, r: Resource, found: Chart | None, axis: chart.Axis, tall: int, stale: bool) -> list[Line]:
        means = [c and c[0] for c in found.cells] if found is not None else []
        highest = max((m for m in means if m is not None), default=0.0)
        fixed = r.row.metric in hosts.LEVELS or r.row.metric.startswith("disk:")
        top = (r.row.max or 100.0) if fixed else chart.nice_top(r.row.unit, highest, r.row.max)
        marks = {0: top, tall - 1: 0.0, **({tall // 2: top / 2} if tall > 2 else {})}
        style = "run-stale" if stale else "gauge"  # the level above is what calls; a day of amber would
        out: list[Line] = []
        for y, text in enumerate(chart.area(means, tall, top)):
            label = capacity.value(marks[y], r.row.unit) if y in marks else ""
            if cell_len(label) > LABEL:  # the title names the unit
                label = capacity.value(marks[y], "")
            line: list[Span] = [(f"{label:>{LABEL}} ", "dim"), (text.ljust(axis.past), style), ("│", "key")]
            if y == tall // 2 and axis.ahead > 34:
                line.append(("  after now: only what is planned", "dim"))
            out.append(line)
        if all(m is None for m in means):
            out[tall // 2] = [(" " * (LABEL + 1), ""), ("nothing was measured in this time", "dim")]
        return out


def _planned(row: FloorRow | None, now: int) -> Sequence[tuple[int, int, bool]]:
    """(from, until, running) of what is to come: the rest of the run that goes on, and the next one by its schedule."""
    if row is None:
        return ()
    usual = floor.usual(row)
    out: list[tuple[int, int, bool]] = []
    if row.active and row.started is not None and usual is not None and row.started + usual > now:
        out.append((now, row.started + usual, True))
    if row.next_run is not None and row.next_run > now:
        out.append((row.next_run, row.next_run + (usual or 1), False))
    return out
