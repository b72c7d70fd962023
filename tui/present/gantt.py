"""Steps of a run on one time axis: ``░`` queued, ``█`` running, ``✗`` ended badly, ``┊`` where it usually ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.model import State
from tui.present.glyphs import LOOKS
from tui.present.words import hhmm, hhmmss

if TYPE_CHECKING:
    from engine.store.rows import StepRow
    from tui.view import Span


@dataclass(frozen=True, slots=True)
class Axis:
    """``cells`` columns from ``start`` to ``end`` (ms)."""

    start: int
    end: int
    cells: int

    def at(self, t: int) -> int:
        """Column of an instant, within the axis."""
        share = (t - self.start) / max(self.end - self.start, 1)
        return min(max(int(share * self.cells), 0), self.cells - 1)


def axis(steps: Sequence[StepRow], usual: dict[str, int], now: int, cells: int) -> Axis | None:
    """From the first queueing to the last end (or now, or a usual end that is near); None before anything began."""
    starts = [t for s in steps for t in (s.queued, s.started) if t is not None]
    if not starts or cells < 8:
        return None
    first = min(starts)
    ends = [s.ended if s.ended is not None else now for s in steps if s.started is not None or s.ended is not None]
    last = max([*ends, first + 1000])
    marks = [s.started + usual[s.step] for s in steps if s.started is not None and s.step in usual]
    last = max([last, *(m for m in marks if m - first <= 1.5 * (last - first))])
    return Axis(first, last, cells)


def bar(step: StepRow, usual: int | None, axis: Axis, now: int) -> list[Span]:
    """One step's cells on the axis."""
    row = [" "] * axis.cells
    begin = step.queued if step.queued is not None else step.started
    if begin is None:
        return [(" " * axis.cells, "")]
    run = axis.at(step.started) if step.started is not None else None
    end = axis.at(step.ended if step.ended is not None else now)
    for x in range(axis.at(begin), run if run is not None else end + 1):
        row[x] = "░"
    if run is not None:
        for x in range(run, end + 1):
            row[x] = "█"
    bad = step.state in (State.FAILED, State.TIMED_OUT, State.LOST, State.STOPPED)
    if bad:
        row[end] = LOOKS[step.state].glyph
    tick = axis.at(step.started + usual) if usual and step.started is not None else None
    if tick is not None and row[tick] == " ":
        row[tick] = "┊"
    colour = {State.SUCCESS: "strip-ok", State.RUNNING: "run-running"}.get(step.state, LOOKS[step.state].token)
    spans: list[Span] = []
    for char in row:
        style = {"░": "dim", "┊": "dim", " ": ""}.get(char, colour)
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + char, style)
        else:
            spans.append((char, style))
    return spans


def ticks(axis: Axis, tz: str) -> list[Span]:
    """Clock times above the bars; with seconds where the whole axis is short."""
    short = axis.end - axis.start < 10 * 60_000
    word = hhmmss if short else hhmm
    size = 8 if short else 5
    count = max(1, axis.cells // (size + 8))
    row = ""
    for i in range(count + 1):
        x = min(i * axis.cells // count, axis.cells - size)
        if x < len(row) + (1 if row else 0) and i:
            continue
        row = row.ljust(x) + word(
            axis.start + (axis.end - axis.start) * (x if i < count else axis.cells) // axis.cells, tz
        )
    return [(row.ljust(axis.cells)[: axis.cells], "dim")]
