"""The history of one pipeline: its runs across, its steps down, their durations above; flaky row or broken column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from adapters.model import Mode, State, Verb, parse_key, step_key
from engine.store.rows import PastRun, PastStep, RunDetail, SourceRow
from tui import keymap
from tui.present import frame, history, words
from tui.present import history_grid as paint
from tui.present.about import about
from tui.present.cut import clean, cut_middle
from tui.present.glyphs import LOOKS
from tui.present.history import Cell, Grid, Row
from tui.present.lines import cells, fit, rule
from tui.screens import window
from tui.screens.history_menu import HistoryMenu
from tui.screens.lists import Handler
from tui.view import Context, Effect, Line, Open, Say, Span

DEPTH = 48
"""Newest runs whose steps are asked for at first; all (100) once the cursor goes further back or the screen is wider."""


SHORT = 10
"""Rows below which there is no chart."""


class HistoryView(HistoryMenu):
    """``arg``: key of a pipeline, or of a run or step of it to put the cursor on; without: the pipeline that ran last."""

    name: ClassVar[str] = "history"
    title: ClassVar[str] = "History"
    contexts: ClassVar[tuple[str, ...]] = ("history", "list", "global")
    topics: frozenset[str] = frozenset({"run", "step", "pipeline", "health", "source", "alert", "arm"})

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.key, self.run_at, self.step_at = _spot(arg)
        self.grid: Grid | None = None
        self.source: SourceRow | None = None
        self.of_step = False
        """The chart shows the step under the cursor, not the runs."""
        self.marked: str | None = None
        """Run that the next comparison is with."""
        self._depth = DEPTH
        self._steps: dict[int, tuple[PastStep, ...]] = {}
        self._details: dict[str, RunDetail | None] = {}
        self._follow = self.run_at is None
        """The cursor stays on the newest run."""
        self._left = 0
        self._top = 0
        self._shown = DEPTH

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        reader = self.context.reader
        self.head = frame.Head.read(self.context)
        if self.key is None:
            newest = reader.runs(limit=1)
            self.key = newest[0].pipeline_key if newest else None
        found = reader.past_runs(self.key) if self.key is not None else None
        self._details.clear()
        if found is None:
            self.grid = None
            return
        self.source = self.head.source(found.source)
        self._steps = reader.past_steps([r.id for r in found.runs[-self._depth :]])
        self.grid = history.build(found, self._steps)
        if self._follow or all(r.key != self.run_at for r in found.runs):
            self.run_at = found.runs[-1].key if found.runs else None

    def _deeper(self) -> None:
        """The steps of all runs, once they are wanted."""
        if self.grid is not None and self._depth < len(self.grid.runs):
            self._depth = len(self.grid.runs)
            self._steps = self.context.reader.past_steps([r.id for r in self.grid.runs])
            self.grid = history.build(self.grid.history, self._steps)

    @property
    def runs(self) -> tuple[PastRun, ...]:
        return self.grid.runs if self.grid is not None else ()

    @property
    def silent(self) -> bool:
        return frame.silent(self.context, self.head.engine)

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        return len(self.grid.rows) + 1 if self.grid is not None and self.grid.runs else 0

    def _row_index(self) -> int:
        """0: the runs themselves."""
        if self.grid is None or self.step_at is None:
            return 0
        return next((i for i, row in enumerate(self.grid.rows, 1) if row.name == self.step_at), 0)

    def _column(self) -> int:
        return next((i for i, r in enumerate(self.runs) if r.key == self.run_at), len(self.runs) - 1)

    @property
    def here(self) -> PastRun | None:
        return self.runs[self._column()] if self.runs else None

    @property
    def row(self) -> Row | None:
        i = self._row_index()
        return self.grid.rows[i - 1] if self.grid is not None and i else None

    @property
    def cell(self) -> Cell | None:
        run, row = self.here, self.row
        return row.cells[run.id] if run is not None and row is not None else None

    def move(self, by: int) -> None:
        if self.grid is None:
            return
        to = min(max(self._row_index() + by, 0), len(self.grid.rows))
        self.step_at = self.grid.rows[to - 1].name if to else None

    def _step_aside(self, by: int) -> Sequence[Effect]:
        at, last = self._column(), len(self.runs) - 1
        to = at + by
        if not self.runs or not 0 <= to <= last:
            older = by < 0 and self.grid is not None and self.grid.history.more
            more = f"older ones stand in the list: {keymap.key_of('run.history')}"
            return (Say("this is the newest run" if by > 0 else more if older else "no older run is kept"),)
        self.run_at = self.runs[to].key
        self._follow = to == last
        if to < len(self.runs) - self._depth:
            self._deeper()
        return ()

    def about(self) -> str | None:
        return self.key_here()

    def key_here(self) -> str | None:
        """Of the step under the cursor where it is one of its run, else of the run, else of the pipeline."""
        run, cell, row = self.here, self.cell, self.row
        if run is None:
            return self.key
        if row is not None and cell is not None and cell.step is not None and not cell.step.mapped:
            return step_key(run.key, row.name)
        return run.key

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.grid is None and not hasattr(self, "head"):
            self.load()
        ctx, grid = self.context, self.grid
        if grid is None:
            return self._nothing(width, height)
        found = grid.history
        spot = about(found.environment, found.source, self.source)
        top: list[Line] = [frame.band_row(ctx, self.head, self.title, width, about=spot)]
        if self.silent:
            top += frame.silent_rows(ctx, self.head, frame.Verdict(total=1), width)[:2]
        top += self._says(grid, width)
        room = height - len(top) - 1
        body = self.under_menu(self._body(grid, width, room), width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _says(self, grid: Grid, width: int) -> list[Line]:
        """Row 1: state, name, what the grid says. Row 2: what did not fit there, and how much is known."""
        tz, now = self.context.timezone, self.context.now()
        name = cut_middle(clean(grid.history.name), max(width // 3, 16))
        left: list[Span] = [(" ", "")]
        newest = grid.runs[-1] if grid.runs else None
        stale = self.silent or (self.source is not None and self.source.stale(now))
        if newest is not None:
            look = LOOKS[newest.state]
            word = f"{look.glyph} {look.word}" + ("?" if stale else "")
            loud = (newest.state.bad or newest.state is State.WARNING) and not stale
            left.append(frame.chip(word, look.token) if loud else (word, "run-stale b" if stale else look.style))
        left += [("  ", ""), (name, "text b"), ("  ", "")]
        room = width - cells(left) - 1
        said, more = history.fitting(history.verdict(grid, tz, now), room)
        facts = [*more, *self._facts(grid)]
        if grid.on is not None:
            stop: words.Clause = [
                (f"{grid.on.names()} still runs, not after it", "run-late"), ("   ", ""), (keymap.key_of("run.stop"), "key b"),
                (" stop", "dim"),
            ]  # fmt: skip
            facts.insert(0, stop)
        return [
            fit([*left, *words.sentence(said, room)], width),
            fit([(" ", ""), *words.sentence(facts, width - 2, "dim")], width),
        ]

    def _facts(self, grid: Grid) -> list[words.Clause]:
        tz, last = self.context.timezone, grid.last
        silent = self.silent or not self.context.engine_alive
        why = self._why_no_steps()
        read: list[words.Clause] = [history.read_words(grid, why)]
        days: list[words.Clause] = []
        if last:
            span = f"{words.day(last[0].at, tz)} to {words.day(last[-1].at, tz)}"
            days = [f"last {len(last)} runs, {span}" if len(last) > 1 else f"one run, {words.day(last[0].at, tz)}"]
        out = (
            [*days, *read] if grid.known >= grid.ended or why else [*read, history.read_on(grid, silent=silent), *days]
        )
        out.append(history.made_up(grid))
        if grid.history.mode is not Mode.ACTIVE:
            out.append(grid.history.mode.name.lower())
        return out

    def _why_no_steps(self) -> str | None:
        if self.source is None or "steps" in self.source.offers:
            return None
        return self.source.why_not.get("steps", f"{self.source.kind} does not show them")

    def _body(self, grid: Grid, width: int, room: int) -> list[Line]:
        columns = paint.Columns.of(width)
        shown = self._columns_shown(columns.count(width))
        runs = list(shown)
        if not runs:
            key = keymap.key_of("pipeline.start")
            return [
                [("  it has not run yet: there is nothing to compare   ", "dim"), (key, "key b"), (" start", "dim")]
            ]
        at = next((i for i, r in enumerate(runs) if r.key == self.run_at), None)
        tz, now, gap = self.context.timezone, self.context.now(), 0 if room < 28 else 1
        about_rows = self._about_rows(width, 3 if room < 28 else 5)
        least = min(len(grid.rows), 6) + 2
        spare = room - len(about_rows) - len(grid.rows) - 5 - 2 * gap
        high = max(2, min(spare, 10), min(room - len(about_rows) - least - 3 - 2 * gap, 3 if room < 24 else 6))
        row = self.row if self.of_step else None
        bars = paint.bars_of_step(grid, row) if row is not None else paint.bars_of_runs(grid, now)
        title = f"Duration of {clean(row.name)}" if row is not None else "Duration"
        hint = paint.chart_note(bars, runs) or ("" if frame.is_narrow(width) else "┄ usual, shaded: the middle half")
        blank: Line = [(" " * width, "")]
        out: list[Line] = [
            rule(cut_middle(title, width // 2), history.usual_words(bars.ordinary), hint.replace("┄", "─"), width)
        ]
        if room < SHORT:  # the grid before the chart
            out = []
        else:
            out += paint.chart(bars, runs, columns, high, width, at)
        out.append(paint.dates(runs, columns, tz, width))
        out += [blank] * gap
        rows = max(room - len(out) - len(about_rows) - gap, 1)
        out += self._rows(grid, runs, columns, width, rows, at)
        out += [blank] * max(room - len(out) - len(about_rows), 0)
        return [*out[: room - len(about_rows)], *about_rows]

    def _columns_shown(self, most: int) -> Sequence[PastRun]:
        runs = self.runs
        self._shown = most
        self._left = window(self._left, self._column(), most, len(runs))
        if self._follow:
            self._left = max(len(runs) - most, 0)
        if self._left < len(runs) - self._depth:
            self._deeper()
        return self.runs[self._left : self._left + most]

    def _rows(
        self, grid: Grid, runs: Sequence[PastRun], columns: paint.Columns, width: int, room: int, at: int | None
    ) -> list[Line]:
        n, here, mono = len(grid.rows), self._row_index(), self.context.mono
        bad = sum(1 for r in grid.rows if r.failed)
        note = f"{n} · {bad} failed at least once" if bad else str(n) if n else "none known"
        legend = paint.SHORT_LEGEND if frame.is_narrow(width) else paint.LEGEND
        out: list[Line] = [rule("Steps", note, legend, width, focused=True)]
        marked = frozenset(r.id for r in runs if r.key == self.marked)
        if room > n + 4:
            out.append(paint.head_line(columns, width))
        self.page = max(room - len(out), 1)
        total = n + 1
        self._top = window(self._top, here, self.page, total)
        for i in range(self._top, min(self._top + self.page, total)):
            if i == 0:
                out.append(paint.runs_line(grid, runs, columns, width, here=here == 0, at=at, marked=marked, mono=mono))
            else:
                out.append(paint.step_line(grid.rows[i - 1], runs, columns, width, here=i == here, at=at, mono=mono))
        if not n and room > 2:
            why = self._why_no_steps()
            said = f"this source shows no steps: {why}" if why else "no step of it is known yet"
            out.append(fit([(f"  {said}", "dim")], width))
        return out

    def _about_rows(self, width: int, room: int) -> list[Line]:
        run, cell, row = self.here, self.cell, self.row
        if run is None or self.grid is None:
            return []
        tz, now = self.context.timezone, self.context.now()
        when = history.at(run.at, tz)
        place = f"{self._column() + 1} of {len(self.runs)}"
        of_run = paint.about_run(run, self.grid.history.ordinary, tz, now)
        if cell is None or row is None:
            title, clauses, below, error = "the run", of_run, [], run.error
            bad = run.state.bad
        else:
            title, clauses, below = clean(row.name), paint.about_step(cell, row.usual, tz, now), of_run
            error, bad = self._error(run, row), cell.bad
        hint = "" if frame.is_narrow(width) else f"run {place}"
        lines = paint.about_lines(clauses, below, error, bad, width, room - 1)
        return [rule(cut_middle(title, width // 2), when, hint, width), *lines]

    def _error(self, run: PastRun, row: Row) -> str | None:
        """What the step said when it failed: its own error, else that of its run where it names the step."""
        cell = row.cells[run.id]
        if not cell.bad:
            return None
        detail = self._detail(run.key)
        if detail is not None:
            said = [s.error for s in detail.steps if s.step == row.name and s.error]
            if said:
                return said[-1]
        error = run.error or ""
        return error if error.startswith(f"{row.name}:") or error.startswith(f"{row.name} ") else None

    def _detail(self, key: str) -> RunDetail | None:
        if key not in self._details:
            self._details[key] = self.context.reader.run(key)
        return self._details[key]

    def _nothing(self, width: int, height: int) -> list[Line]:
        ctx = self.context
        top = [frame.band_row(ctx, self.head, self.title, width)]
        said = f"The pipeline {clean(self.key)} is not in the store." if self.key else "No run has been seen yet."
        body: list[Line] = [
            [],
            [(f"  {said}", "text b")],
            [("  Its source may not have answered yet.", "dim")],
            [("  ", ""), (keymap.key_of("screen.floor"), "key b"), (" Floor   ", "dim"), (keymap.key_of("screen.sources"), "key b"), (" sources", "dim")],
        ]  # fmt: skip
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _footer(self, width: int) -> Line:
        ids = ["list.open", "history.older", "history.newer", "run.log", "run.diff", "view.pane", "run.history"]
        run = self.here
        if run is not None and run.state.active and not self.why_not(Verb.STOP):
            ids.insert(1, "run.stop")
        ids += ["history.mark", "action.menu", "copy.menu", "nav.back", "app.quit"]
        said = {
            "list.open": "the run", "view.pane": "chart of runs" if self.of_step else "chart of step", "run.history": "all runs",
            "history.mark": "mark to compare", "run.diff": "compare" if self.marked is None else "compare with mark",
        }  # fmt: skip
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            "list.open": self._open,
            "run.log": self._log,
            "run.history": lambda: (Open("runs", self.key),) if self.key else (),
            "run.diff": self._diff,
            "history.mark": self._mark_run,
            "history.older": lambda: self._step_aside(-1),
            "history.newer": lambda: self._step_aside(1),
            "view.pane": self._chart,
            "action.menu": self.actions_menu,
            "action.arm": lambda: self.arm(self.source, self.head),
            "alert.ack": self.ack_here,
            "copy.menu": self.copy_menu,
        }

    def _open(self) -> Sequence[Effect]:
        run = self.here
        return () if run is None else (Open("run", self.key_here() or run.key),)

    def _log(self) -> Sequence[Effect]:
        run, cell, row = self.here, self.cell, self.row
        if run is None:
            return ()
        if run.state is State.MISSED:
            return (Say("no run was made here: there is no log"),)
        if row is None or cell is None:
            return (Open("log", run.key),)
        detail = self._detail(run.key)
        mine = [s for s in detail.steps if s.step == row.name] if detail is not None else []
        if not mine:
            return (
                Say(
                    f"{clean(row.name)} has no log here: {'it did not run' if cell.look.word == 'not run' else 'its steps are not read yet'}"
                ),
            )
        step = next((s for s in reversed(mine) if s.state.bad), mine[-1])
        return (Open("log", f"{step.key} {step.attempt}"),)

    def _diff(self) -> Sequence[Effect]:
        run = self.here
        if run is None:
            return ()
        other = self.marked if self.marked != run.key else None
        return (Open("diff", f"{run.key} {other}" if other else run.key),)

    def _mark_run(self) -> Sequence[Effect]:
        run = self.here
        if run is None:
            return ()
        if self.marked == run.key:
            self.marked = None
            return ()
        self.marked = run.key
        return (Say(f"marked: {keymap.key_of('run.diff')} on another run compares it with this one"),)

    def _chart(self) -> Sequence[Effect]:
        if self.row is None and not self.of_step:
            return (Say("put the cursor on a step: its durations are then drawn"),)
        self.of_step = not self.of_step
        return ()

    def watch(self) -> dict[str, Any] | None:
        return {"history": self.key} if self.key is not None else None

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        self._deeper()
        if self.grid is None:
            return None
        grid, tz, now = self.grid, self.context.timezone, self.context.now()
        found, o = grid.history, grid.history.ordinary
        return {
            "key": found.key, "name": found.name, "source": found.source, "environment": found.environment,
            "says": [words.clause_text(c) for c in history.verdict(grid, tz, now)],
            "running_on": None if grid.on is None else {"failed": grid.on.failed, "at": grid.on.at, "going": list(grid.on.going)},
            "steps_read": grid.known, "runs_ended": grid.ended, "why_no_steps": self._why_no_steps(),
            "usual": {"n": o.n, "p25_ms": o.p25, "p50_ms": o.p50, "p75_ms": o.p75, "p90_ms": o.p90},
            "shift": None if found.shift is None else {"since": found.shift.since, "before_ms": found.shift.before, "after_ms": found.shift.after},
            "runs": [history.run_record(r, grid.reads[r.id]) for r in grid.runs],
            "steps": [
                {
                    "step": row.name, "failed": row.failed, "ran": row.ran, "usual_ms": row.usual, "mapped": row.mapped or None,
                    "cells": [{"run": r.key, "state": history.cell_word(row.cells[r.id])} for r in grid.runs],
                }
                for row in grid.rows
            ],
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """One row a run and step, by time; of runs without steps one row each."""
        self._deeper()
        if self.grid is None:
            return []
        out: list[dict[str, Any]] = []
        for run in self.grid.runs:
            if self.grid.rows:
                out += [history.step_record(run, row) for row in self.grid.rows]
            else:
                out.append(history.step_record(run, Row("", {run.id: paint.run_cell(run)})))
        return out


def _spot(arg: str | None) -> tuple[str | None, str | None, str | None]:
    """(pipeline key, run key, step) that an argument names; what is no key is taken for a pipeline that nobody has."""
    if arg is None:
        return None, None, None
    try:
        key = parse_key(arg)
    except ValueError:
        return arg, None, None
    return key.pipeline_key, key.run_key, key.step
