"""The history of a pipeline as rows: durations as bars on the columns of the runs, the grid below them, the cell under the cursor. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.model import State
from engine.store.rows import Ordinary, PastRun
from tui.present import words
from tui.present.cut import clean, cut_middle, first_line
from tui.present.glyphs import BLOCKS, LOOKS
from tui.present.head import is_narrow, is_wide
from tui.present.history import OK, Cell, Grid, Row
from tui.present.lines import Column, fit, row

if TYPE_CHECKING:
    from tui.present.words import Clause
    from tui.view import Line, Span

_NICE: Final = (
    1, 2, 3, 5, 10, 15, 20, 30, 40, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1200, 1500, 1800, 2400, 3000, 3600, 4800, 5400, 7200, 9000, 10800,
    14400, 18000, 21600, 28800, 36000, 43200, 64800, 86400,
)  # fmt: skip
"""Tops of the scale, seconds."""
SMALL: Final = 60
"""Cells below which the rows have their names alone."""
_CUT: Final = 4
"""A bar longer than so many times the usual is cut: one run must not flatten all others."""
_MARKED: Final = frozenset(
    {State.FAILED, State.TIMED_OUT, State.STOPPED, State.LOST, State.WARNING, State.MISSED, State.RUNNING, State.RETRYING, State.HELD}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Of one width: cells of a run's column, of the row's head, and the columns of that head."""

    cell: int
    left: int
    head: tuple[Column, ...]

    @classmethod
    def of(cls, width: int) -> Columns:
        narrow = is_narrow(width)
        if width < SMALL:
            return cls(2, 17, (Column("STEP", 14, gap=0), Column("FAILED", 0), Column("USUAL", 0)))
        name, failed, usual = (18, 6, 7) if narrow else (30, 8, 8) if is_wide(width) else (24, 8, 8)
        head = (Column("STEP", name, gap=0), Column("FAILED", failed, "r"), Column("USUAL", usual, "r"))
        left = 1 + name + failed + usual + 2 + 2
        return cls(3 if is_wide(width) else 2, left, head)

    def count(self, width: int) -> int:
        """Runs that fit beside the heads of the rows."""
        return max((width - self.left - 1) // self.cell, 1)


@dataclass(frozen=True, slots=True)
class Bars:
    """What the chart draws: ms by run id (None: nothing to draw), and what is ordinary for it."""

    ms: Mapping[int, int | None]
    ordinary: Ordinary
    marks: Mapping[int, str]
    """Glyph that stands on the bar, by run id."""


def bars_of_runs(grid: Grid, now: int) -> Bars:
    """Durations of the runs; of one that goes on, so far."""
    ms = {
        r.id: r.ms if r.ended is not None or r.started is None else max(now - r.started, 0) if r.state.active else None
        for r in grid.runs
    }
    marks = {r.id: LOOKS[r.state].glyph for r in grid.runs if r.state in _MARKED}
    return Bars(ms, grid.history.ordinary, marks)


def bars_of_step(grid: Grid, step: Row) -> Bars:
    """Durations of one step; what is ordinary of its successes among the last 30 runs."""
    ms: dict[int, int | None] = {}
    marks: dict[int, str] = {}
    good: list[int] = []
    last = {r.id for r in grid.last}
    for run in grid.runs:
        cell = step.cells[run.id]
        s = cell.step
        ms[run.id] = s.ms if s is not None and cell.counts else None
        if cell.counts and s is not None:
            if s.state is State.SUCCESS and s.ms is not None and run.id in last:
                good.append(s.ms)
            if s.state in _MARKED:
                marks[run.id] = LOOKS[s.state].glyph
    good.sort()
    n = len(good)
    if n < 8:
        return Bars(ms, Ordinary(n), marks)

    def q(share: float) -> int:
        return good[min(int(share * (n - 1) + 0.5), n - 1)]

    return Bars(ms, Ordinary(n, 8, q(0.25), q(0.5), q(0.75), q(0.9)), marks)


# --- the chart ------------------------------------------------------------------------------------------------------


def scale(bars: Bars, runs: Sequence[PastRun]) -> tuple[int, int]:
    """(top of the scale in ms, how many bars are longer than it)."""
    known = [v for r in runs if (v := bars.ms.get(r.id)) is not None]
    high = max([*known, bars.ordinary.p90 or 0, 1000])
    if bars.ordinary.p50:
        high = min(high, max(_CUT * bars.ordinary.p50, bars.ordinary.p90 or 0))
    top = next((n * 1000 for n in _NICE if n * 1000 >= high), -(-high // 86_400_000) * 86_400_000)
    return top, sum(v > top for v in known)


def chart(
    bars: Bars, runs: Sequence[PastRun], columns: Columns, height: int, width: int, here: int | None
) -> list[Line]:
    """Bars of one colour in eighth blocks, newest right; the band of the middle half as a ground, the median as a thin line."""
    top, _ = scale(bars, runs)
    o = bars.ordinary
    out: list[Line] = []
    for level in range(height - 1, -1, -1):
        low, high = top * level / height, top * (level + 1) / height
        band = o.p25 is not None and o.p75 is not None and o.p25 < high and o.p75 >= low
        middle = o.p50 is not None and low <= o.p50 < high
        label = words.rough(top) if level == height - 1 else "0" if level == 0 else ""
        if height >= 4 and level == height // 2:
            label = words.rough(top * height // 2 // height) if height % 2 == 0 else label
        spans: list[Span] = [(f"{label:>{columns.left - 1}} ", "dim")]
        for i, run in enumerate(runs):
            char, style = _bar_cell(bars, run.id, level, height, top)
            blank = "─" if middle else " "
            ground = " on:cursor-blur-bg" if i == here else " on:window-bg" if band else ""
            wide = max(columns.cell - 1, 1)
            body = blank * wide if char == " " else char * wide if char in BLOCKS else char + blank * (wide - 1)
            ink = "rule" if char == " " else style
            spans.append((body, f"{ink}{ground}".strip() if char != " " or middle else ground.strip()))
            gap = " on:window-bg" if band else ""
            spans.append((blank, f"rule{gap}" if middle else gap.strip()))
        out.append(fit(_joined(spans), width))
    return out


def _bar_cell(bars: Bars, run: int, level: int, height: int, top: int) -> tuple[str, str]:
    ms = bars.ms.get(run)
    mark = bars.marks.get(run)
    eighths = 0 if ms is None else min(max(round(ms / top * height * 8), 1), height * 8)
    place = min(-(-eighths // 8), height - 1)  # the cell above the bar; on its top where there is none
    if mark is not None and level == place:
        return mark, _mark_style(mark)
    full = eighths - level * 8
    if full <= 0:
        return " ", ""
    late = ms is not None and bars.ordinary.p90 is not None and ms > bars.ordinary.p90
    return BLOCKS[min(full, 8) - 1], "run-late" if late else "gauge"


def _mark_style(mark: str) -> str:
    return next((look.style for look in LOOKS.values() if look.glyph == mark), "text")


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Neighbours of one style as one; unlike ``merge``, blanks keep their own ground."""
    out: list[Span] = []
    for text, style in spans:
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out


def chart_note(bars: Bars, runs: Sequence[PastRun]) -> str:
    """What is cut off."""
    top, beyond = scale(bars, runs)
    if not beyond:
        return ""
    longest = max(v for r in runs if (v := bars.ms.get(r.id)) is not None)
    return f"{words.many(beyond, 'bar')} cut at {words.rough(top)}, longest {words.rough(longest)}"


def dates(runs: Sequence[PastRun], columns: Columns, tz: str, width: int) -> Line:
    """The axis: business dates where the runs have them, else days; clock times where several fall on one day."""
    by_date = any(r.business_date for r in runs)
    title = f"{'BUSINESS DATE' if by_date else 'BEGAN':>{columns.left - 8}}"
    cells = list(title.ljust(columns.left + len(runs) * columns.cell))
    free = len(cells)
    newer = ""
    for i in range(len(runs) - 1, -1, -1):  # each ends under its run; the newest always has one
        run = runs[i]
        day = short_date(run.business_date) if run.business_date else words.day(run.at, tz)
        label = day if day != newer else words.hhmm(run.at, tz)
        end = columns.left + i * columns.cell + 1
        if end > free or end - len(label) < len(title):
            continue
        cells[end - len(label) : end] = label
        free = end - len(label) - 1
        newer = day
    return fit([("".join(cells), "dim")], width)


def short_date(iso: str) -> str:
    """``2026-11-19`` → ``19 Nov``."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    try:
        return f"{int(iso[8:10])} {months[int(iso[5:7]) - 1]}"
    except (ValueError, IndexError):
        return clean(iso)[:6]


# --- the grid -------------------------------------------------------------------------------------------------------


def head_line(columns: Columns, width: int) -> Line:
    return fit(row(columns.head, [c.title for c in columns.head], "dim"), width)


def run_cell(run: PastRun) -> Cell:
    """The run itself: its state, and which attempt it was."""
    look = OK if run.state is State.SUCCESS else LOOKS[run.state]
    return Cell(look, None, run.attempt)


def runs_line(
    grid: Grid, runs: Sequence[PastRun], columns: Columns, width: int, *, here: bool, at: int | None, marked: frozenset[int], mono: bool
) -> Line:  # fmt: skip
    """The first row: the runs as wholes."""
    bad = sum(r.state.bad for r in grid.last)
    values = [
        "the run",
        _of(bad, len(grid.last), columns),
        words.rough(grid.history.ordinary.p50) if grid.history.ordinary.p50 else "",
    ]
    cells = [run_cell(r) for r in runs]
    return _grid_line(values, bad, cells, runs, columns, width, here=here, at=at, marked=marked, mono=mono)


def step_line(
    step: Row, runs: Sequence[PastRun], columns: Columns, width: int, *, here: bool, at: int | None, mono: bool
) -> Line:
    """One step: its name, in how many runs it failed, how long it takes usually, and what it did in each run."""
    name = clean(step.name) + (f" [{step.mapped}]" if step.mapped else "")
    values = [
        cut_middle(name, columns.head[0].width),
        _of(step.failed, step.ran, columns) if step.ran else "" if step.seen else "?",
        words.rough(step.usual) if step.usual is not None else "",
    ]
    cells = [step.cells[r.id] for r in runs]
    return _grid_line(values, step.failed, cells, runs, columns, width, here=here, at=at, marked=frozenset(), mono=mono)


def _of(n: int, total: int, columns: Columns) -> str:
    return f"{n}/{total}" if columns.head[1].width < 8 else f"{n} of {total}"


def _grid_line(
    values: Sequence[str], bad: int, cells: Sequence[Cell], runs: Sequence[PastRun], columns: Columns, width: int, *, here: bool,
    at: int | None, marked: frozenset[int], mono: bool,
) -> Line:  # fmt: skip
    name: list[Span] = [(values[0], "text b" if here or bad else "text")]
    failed: list[Span] = [(values[1], "run-failed" if bad else "dim")]
    usual: list[Span] = [(values[2], "dim")]
    ground = "" if mono else " on:cursor-bg" if here else ""
    spans = [(t, f"{s}{ground}".strip()) for t, s in row(columns.head, [name, failed, usual])]
    if here and spans:
        first, style = spans[0]
        spans = [("▌", "mark"), (first[1:], style), *spans[1:]]
    spans.append(("  ", ground.strip()))
    for i, (cell, run) in enumerate(zip(cells, runs, strict=True)):
        text = cell.text.ljust(columns.cell)[: columns.cell]
        if run.id in marked:
            text = (cell.look.glyph + "●").ljust(columns.cell)[: columns.cell]
        spot = i == at
        if here and spot:
            glyph, rest = text[:1], text[1:]
            spans += [(glyph, f"{cell.style} rev".strip()), (rest, f"{cell.style}{ground}".strip())]
            continue
        under = " on:cursor-blur-bg" if (here or spot) and not mono else ""
        # the quiet green of a mark cannot be read on that ground
        spans.append((text, f"{cell.style.replace('strip-ok', 'run-ok') if under else cell.style}{under}".strip()))
    return fit(_joined(spans), width)


LEGEND: Final = "✓ ok  ✗ failed  »2 retried  - skipped  · not run  ? not read"
SHORT_LEGEND: Final = "· not run  ? not read"


# --- the cell under the cursor --------------------------------------------------------------------------------------


def about_run(run: PastRun, ordinary: Ordinary, tz: str, now: int) -> list[Clause]:
    """The run in clauses: state, how long against the usual, kind, date, attempt, wait."""
    look = LOOKS[run.state]
    out: list[Clause] = [[(f"{look.glyph} {look.word}", look.style if run.state is not State.SUCCESS else "strip-ok")]]
    if run.started is not None:
        took = run.ms if run.ended is not None else now - run.started
        verb = "ran" if run.ended is not None else "runs"
        out.append(
            f"{verb} {words.duration(took) if run.ended is not None else words.running(took)}"
            + _against(took, ordinary.p50, going=run.ended is None)
        )
    if run.business_date:
        out.append(f"date {clean(run.business_date)}")
    if run.attempt > 1:
        out.append(f"attempt {run.attempt}")
    out.append(run.kind.name.lower())
    if run.queued is not None and run.started is not None and run.started > run.queued:
        out.append(f"waited {words.duration(run.started - run.queued)}")
    if run.generated:
        out.append("made up for the demo")
    if run.sub:
        out.append(clean(run.sub))
    return out


def about_step(cell: Cell, usual: int | None, tz: str, now: int) -> list[Clause]:
    """The step in clauses; where it is not known, why."""
    s = cell.step
    if s is None:
        why = {
            "not read": "its steps are not read yet: nothing is known",
            "not run": "it did not run in this run",
            "no run was made": "no run was made here: it has no steps",
        }[cell.look.word]
        return [[(why, "dim")]]
    look = LOOKS[s.state]
    if cell.stale:
        return [[(f"{look.glyph} {look.word} when it was last read", "run-stale b")], "that was before the run ended"]
    style = "strip-ok" if s.state is State.SUCCESS else look.style
    out: list[Clause] = [
        [(f"{cell.look.glyph} {cell.look.word}", cell.look.style if cell.look.word != "ok" else style)]
    ]
    if s.started is not None:
        took = s.ms if s.ended is not None else now - s.started
        said = words.duration(took) if s.ended is not None else words.running(took)
        out.append(f"{'took' if s.ended is not None else 'runs'} {said}" + _against(took, usual, going=s.ended is None))
    if s.mapped:
        out.append(f"{s.alike} of {s.count} mapped ones {look.word}")
    if s.tries > 1:
        out.append(f"{s.tries} tries")
    if s.started is not None:
        end = f" to {words.hhmm(s.ended, tz)}" if s.ended is not None else ""
        out.append(f"{words.hhmm(s.started, tz)}{end}")
    return out


def _against(ms: int | None, usual: int | None, *, going: bool = False) -> str:
    """Beside the usual; of what still goes on it is no news that it is shorter so far."""
    if ms is None or not usual:
        return ""
    ratio = ms / usual
    off = f", {words.times(ratio)}" if ratio >= 1.5 or (ratio <= 0.5 and not going) else ""
    return f" (usual {words.rough(usual)}{off})"


def about_lines(
    clauses: Sequence[Clause], run_clauses: Sequence[Clause], error: str | None, bad: bool, width: int, room: int
) -> list[Line]:
    """The pane under the grid: the cell, its first error line, its run."""
    out: list[Line] = [fit([("  ", ""), *words.sentence(clauses, width - 3, "text", "dim")], width)]
    said = first_line(error or "")
    if said:
        out.append(fit([("▌ " if bad else "  ", "run-failed"), (said, "run-failed" if bad else "text")], width))
    if run_clauses:
        out.append(fit([("  run  ", "dim"), *words.sentence(run_clauses, width - 8, "text", "dim")], width))
    return out[:room]
