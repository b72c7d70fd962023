"""The steps of one run as rows: wait, run, usual, and a bar each on one axis of time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from adapters.model import State
from tui.present import gantt, words
from tui.present.cut import clean, cut_middle
from tui.present.glyphs import LOOKS
from tui.present.head import is_narrow
from tui.present.lines import Column, cursor, fit, row

if TYPE_CHECKING:
    from engine.store.rows import Chart, StepRow
    from tui.view import Line, Span

LONG_WAIT: Final = 5 * words.MINUTE
"""A step that waited longer is told in the late colour."""


def first_shown(top: int, at: int, rows: int, total: int) -> int:
    """First step to show so that the one under the cursor is among ``rows``."""
    return min(max(top, at - rows + 1), at, max(0, total - rows))


def lines(
    steps: Sequence[StepRow], usual: Mapping[str, int], tz: str, now: int, width: int, shown: range, at: int, *, on: Collection[str] = (), mono: bool = False
) -> list[Line]:  # fmt: skip
    """The head with the clock times, then the steps of ``shown``; ``at`` is under the cursor, ``on`` run on after a failure."""
    columns = _columns(width)
    name = columns[0].width
    axis = axis_of(steps, usual, now, width)
    head = row(columns, [c.title for c in columns], "dim")
    out: list[Line] = [fit([*head, ("  ", ""), *(gantt.ticks(axis, tz) if axis else [])], width)]
    retried = {s.step for s in steps if s.attempt > 1}
    for i in shown:
        step = steps[i]
        cells = row(
            columns, _values(step, usual.get(step.step), name, now, retried=step.step in retried, on=step.step in on)
        )
        bars = (
            gantt.bar(step, usual.get(step.step), axis, now) if axis else [(clean(step.sub or step.error or ""), "dim")]
        )
        whole = fit([*cells, ("  ", ""), *bars], width)
        out.append(cursor(whole, width, mono=mono) if i == at else whole)
    return out


def _columns(width: int) -> list[Column]:
    narrow = is_narrow(width)
    return [
        Column("STEP", 20 if narrow else 26, gap=0), Column("QUEUE", 7, "r"), Column("RUN", 8, "r", 2), Column("USUAL", 0 if narrow else 8, "r", 2),
    ]  # fmt: skip


def _used(columns: Sequence[Column]) -> int:
    return 1 + sum(c.width + (c.gap if i else 0) for i, c in enumerate(columns) if c.width)


def axis_of(steps: Sequence[StepRow], usual: Mapping[str, int], now: int, width: int) -> gantt.Axis | None:
    """The axis on which the bars stand at this width; None before anything began."""
    return gantt.axis(steps, dict(usual), now, width - _used(_columns(width)) - 4)


def curve(label: str, found: Chart, unit: str, top: float | None, width: int) -> Line:
    """What was used meanwhile, under the steps and on their axis: the highest of each cell, blank where nothing was measured."""
    from tui.present import capacity, chart  # only runs of this host have one

    left = _used(_columns(width))
    peak = f"peak {capacity.value(found.peak, unit)}"
    name = cut_middle(label, left - len(peak) - 3)
    line = chart.row([c and c[2] for c in found.cells], len(found.cells), top)
    return fit([(f" {name:<{left - len(peak) - 1}}", "dim"), (peak, "text"), ("  ", ""), (line, "gauge")], width)


def _values(step: StepRow, usual: int | None, name: int, now: int, *, retried: bool, on: bool) -> list[list[Span]]:
    look = LOOKS[step.state]
    title = clean(step.step) + (f"[{step.map_index}]" if step.map_index >= 0 else "")
    if retried:
        title += f"  #{step.attempt}"
    queue = step.started - step.queued if step.started is not None and step.queued is not None else None
    if step.started is None and step.queued is not None and not step.state.terminal:
        queue = now - step.queued
    ran = (step.ended if step.ended is not None else now) - step.started if step.started is not None else None
    over = step.state.terminal or step.state is State.EXPECTED
    run = words.duration(ran) if ran is not None else "not run" if over else ""
    loud = step.state.bad or step.state.active
    ink = "run-late" if on and step.state.active else look.token
    return [
        [(f"{look.glyph} ", look.style), (cut_middle(title, name - 2), "text b" if loud else "text")],
        [(words.duration(queue) if queue is not None else "", "run-late" if queue and queue > LONG_WAIT else "dim")],
        [(run, ink if loud else "text")],
        [(words.duration(usual) if usual is not None else "", "dim")],
    ]
