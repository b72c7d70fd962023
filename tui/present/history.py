"""The history of a pipeline as a grid: runs across, steps down; and what it says: a flaky row, a broken column, a new level. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import State
from engine.store.rows import History, Ordinary, PastRun, PastStep, StepsRead, steps_read
from tui.present import words
from tui.present.cut import clean, width
from tui.present.glyphs import LOOKS, Look
from tui.present.running_on import RunningOn, of_cells, running_on

if TYPE_CHECKING:
    from tui.present.words import Clause

LAST: Final = 30
"""Newest runs that counts and sentences speak of; the engine reads the steps of as many."""
OK: Final = Look("✓", "+", "ok", "strip-ok")
RETRIED: Final = Look("»", "r", "ok after retries", "run-late")
NOT_RUN: Final = Look("·", ".", "not run", "dim")
NOT_READ: Final = Look("?", "?", "not read", "dim")
NO_RUN: Final = Look(" ", " ", "no run was made", "dim")
LEAST_USUAL: Final = 3
"""Successes of a step until it has a usual duration."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One step in one run. ``number`` is drawn beside the glyph where it is above 1: tries, or how many mapped ones are so."""

    look: Look
    step: PastStep | None = None
    number: int = 1
    stale: bool = False
    """Read before the run ended, or of an earlier attempt: it says nothing of how it ended."""

    @property
    def style(self) -> str:
        return "run-stale" if self.stale else self.look.style

    @property
    def text(self) -> str:
        """At most two cells: the glyph, and the number (``+`` above nine)."""
        return self.look.glyph + ("" if self.number < 2 else str(self.number) if self.number < 10 else "+")

    @property
    def counts(self) -> bool:
        """Whether the step is known to have run here, to its end."""
        s = self.step
        return s is not None and not self.stale and s.state.terminal and s.state is not State.SKIPPED

    @property
    def known(self) -> bool:
        """Whether anything was read of the step here that stands as the run ended."""
        return self.look is NOT_RUN or (self.step is not None and not self.stale)

    @property
    def bad(self) -> bool:
        return self.counts and self.step is not None and self.step.state.bad


@dataclass(frozen=True, slots=True)
class Row:
    """One step over all runs. ``failed`` of ``ran``: of the last 30 runs, those read in which it ran. ``usual``: ms, median."""

    name: str
    cells: Mapping[int, Cell]
    mapped: int = 0
    failed: int = 0
    ran: int = 0
    usual: int | None = None
    seen: bool = False
    """Whether it is known of any of those runs what became of it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """``reads``: what is known of the steps of each run, by run id. ``ended``, ``known``: of the last 30 runs that ended, and of
    how many of those the steps are read."""

    history: History
    rows: tuple[Row, ...]
    reads: Mapping[int, StepsRead]
    ended: int = 0
    known: int = 0
    on: RunningOn | None = None
    """The newest run goes on after a step of it failed."""
    broken: Sequence[PastRun] = ()
    """Of the last 30, runs in which everything that ran failed, two steps at least; newest last."""

    @property
    def runs(self) -> tuple[PastRun, ...]:
        return self.history.runs

    @property
    def last(self) -> Sequence[PastRun]:
        """The runs that counts and sentences speak of, oldest first: ended ones that really were."""
        return _last(self.history)


def _last(history: History) -> Sequence[PastRun]:
    return tuple(r for r in history.runs if r.state.terminal)[-LAST:]


def build(history: History, steps: Mapping[int, Sequence[PastStep]]) -> Grid:
    """Each run once across, each step once down: in the order of the newest run that is read, then those that only older runs or
    the pipeline's own definition name."""
    reads = {r.id: steps_read(r, steps.get(r.id, ())) for r in history.runs}
    by_run = {r.id: {s.step: s for s in steps.get(r.id, ())} for r in history.runs}
    names: dict[str, None] = {}
    for run in reversed(history.runs):
        names.update(dict.fromkeys(by_run[run.id]))
    names.update(dict.fromkeys(s.name for s in history.plan))
    last = _last(history)
    rows = tuple(_row(name, history.runs, last, by_run, reads) for name in names)
    real = [r for r in last if r.state is not State.MISSED and not r.generated]
    newest = history.runs[-1] if history.runs else None
    on = (
        running_on(of_cells(list(by_run[newest.id].values())), history.after, active=newest.state.active)
        if newest
        else None
    )
    broken = tuple(r for r in last if _all_failed(r.id, rows))
    known = sum(reads[r.id] is StepsRead.WHOLE for r in real)
    return Grid(history, rows, reads, len(real), known, on, broken)


def _row(
    name: str,
    runs: Sequence[PastRun],
    last: Sequence[PastRun],
    by_run: Mapping[int, Mapping[str, PastStep]],
    reads: Mapping[int, StepsRead],
) -> Row:
    cells = {r.id: cell_of(r, reads[r.id], by_run[r.id].get(name)) for r in runs}
    ran = [cells[r.id] for r in last if cells[r.id].counts]
    times = sorted(
        c.step.ms for c in ran if c.step is not None and c.step.state is State.SUCCESS and c.step.tries == 1 and c.step.ms is not None
    )  # fmt: skip
    usual = (times[(len(times) - 1) // 2] + times[len(times) // 2]) // 2 if len(times) >= LEAST_USUAL else None
    mapped = max((c.step.count for c in cells.values() if c.step is not None and c.step.mapped), default=0)
    return Row(name, cells, mapped, sum(c.bad for c in ran), len(ran), usual, any(cells[r.id].known for r in last))


def cell_of(run: PastRun, read: StepsRead, step: PastStep | None) -> Cell:
    """What one step of one run looks like: only what was read, and a state that was true before the end is not the end."""
    if read is StepsRead.NONE:
        return Cell(NO_RUN if run.state is State.MISSED or run.generated else NOT_READ)
    if step is None:
        return Cell(NOT_READ if read is StepsRead.EARLY else NOT_RUN, stale=read is StepsRead.EARLY)
    stale = read is StepsRead.EARLY
    state = step.state
    if run.state.terminal and state.active:
        unknown = stale or state is not State.QUEUED
        return Cell(NOT_READ if unknown else NOT_RUN, step, stale=unknown)
    if state is State.EXPECTED:
        return Cell(NOT_RUN, step, stale=stale)
    number = step.alike if step.mapped and step.alike < step.count else step.tries if not step.mapped else 1
    if state is State.SUCCESS:
        if step.tries > 1:
            return Cell(RETRIED, step, step.tries, stale)
        return Cell(OK, step, 1, stale)
    return Cell(LOOKS[state], step, number, stale)


def _all_failed(run_id: int, rows: Sequence[Row]) -> bool:
    ran = [row.cells[run_id] for row in rows if row.cells[run_id].counts]
    return len(ran) >= 2 and all(c.bad for c in ran)


# --- what it says ---------------------------------------------------------------------------------------------------


def at(ms: int, tz: str) -> str:
    """``Fri 20 Nov 03:12``."""
    return f"{words.weekday(ms, tz)} {words.hhmm(ms, tz)}"


def streaks(row: Row, runs: Sequence[PastRun]) -> tuple[int, int]:
    """Failures of a step in a row among the runs in which it ran: (the most, at the newest end)."""
    most = now = 0
    for run in runs:
        cell = row.cells[run.id]
        if not cell.counts:
            continue
        now = now + 1 if cell.bad else 0
        most = max(most, now)
    return most, now


def verdict(grid: Grid, tz: str, now: int) -> list[Clause]:
    """Sentences by weight: what goes on now, what is broken, what is flaky, what is slower; or that all is fine."""
    runs = grid.last
    out: list[Clause] = []
    if grid.on is not None:
        out.append([(grid.on.said(tz, now), "run-late b")])
    if not runs:
        return out or ["no run has ended yet"]
    bad_rows = [r for r in grid.rows if r.failed]
    ends = {row.name: streaks(row, runs) for row in bad_rows}
    stuck = [r for r in bad_rows if ends[r.name][1] >= 2]
    stuck.sort(key=lambda r: -ends[r.name][1])
    worst = stuck[0] if stuck else None
    for row in stuck:
        n = ends[row.name][1]
        first = [r for r in runs if row.cells[r.id].counts][-n]
        since = f"since {at(first.at, tz)}"
        said = f"{clean(row.name)} is broken: last {n} runs failed"
        if row is worst:  # a clause of its own: at 80 columns it may stand below
            out += [[(said, "run-failed b")], [(since, "run-failed")]]
        else:
            out.append([(f"{said}, {since}", "run-failed b")])
    fresh = bool(grid.broken) and grid.broken[-1].id == runs[-1].id
    if fresh:
        out.append(_broken(grid, tz))
    broken = {r.id for r in grid.broken}
    alone = {r.name: sum(r.cells[run.id].bad for run in runs if run.id not in broken) for r in bad_rows}
    often = sorted((r for r in bad_rows if r not in stuck and alone[r.name]), key=lambda r: -r.failed)
    out += [_flaky(row, runs, ends[row.name][0], tz) for row in often if row.failed > 1]
    if not bad_rows:
        out += _runs_alone(runs)
    if (shift := grid.history.shift) is not None:
        way = "slower" if shift.after > shift.before else "quicker"
        said = f"{way} since {words.weekday(shift.since, tz)}: {words.rough(shift.before)} → {words.rough(shift.after)}"
        out.append([(said, "run-late" if way == "slower" else "text")])
    if grid.broken and not fresh:
        out.append(_broken(grid, tz))
    out += [_flaky(row, runs, 1, tz) for row in often if row.failed == 1]
    return out or [_fine(runs)]


def _broken(grid: Grid, tz: str) -> Clause:
    more = f", one of {len(grid.broken)} such" if len(grid.broken) > 1 else ""
    return [(f"broken run {at(grid.broken[-1].at, tz)}: everything failed{more}", "run-failed")]


def fitting(clauses: Sequence[Clause], cells: int) -> tuple[list[Clause], list[Clause]]:
    """(those that a sentence of that width says, the rest): the first always, the others whole while they fit."""
    taken: list[Clause] = []
    rest: list[Clause] = []
    used = 0
    for clause in clauses:
        n = width(words.clause_text(clause)) + (3 if taken else 0)
        if taken and used + n > cells:
            rest.append(clause)
        else:
            taken.append(clause)
            used += n
    return taken, rest


def _flaky(row: Row, runs: Sequence[PastRun], most: int, tz: str) -> Clause:
    name = clean(row.name)
    if row.failed == 1:
        when = next(r for r in reversed(runs) if row.cells[r.id].bad)
        return [(f"{name} failed once in {row.ran} runs, on {at(when.at, tz)}", "text")]
    if most == 1:
        return [(f"{name} is flaky: failed in {row.failed} of {row.ran} runs, never twice in a row", "run-late b")]
    return [(f"{name} is unstable: failed in {row.failed} of {row.ran} runs, up to {most} in a row", "run-late b")]


def _runs_alone(runs: Sequence[PastRun]) -> list[Clause]:
    """Where no step is known to have failed: what the runs themselves say."""
    bad = [r for r in runs if r.state.bad]
    if not bad:
        return []
    missed = sum(r.state is State.MISSED for r in bad)
    failed = len(bad) - missed
    said = [f"{failed} of {len(runs)} runs failed"] if failed else []
    said += [f"{missed} {'were' if missed > 1 else 'was'} never made"] if missed else []
    tail = 0
    for run in reversed(runs):
        if not run.state.bad:
            break
        tail += 1
    if tail > 1:
        said.append(f"the last {tail} in a row")
    return [[(", ".join(said), "run-failed b" if tail else "text")]]


def _fine(runs: Sequence[PastRun]) -> Clause:
    ok = sum(r.state is State.SUCCESS for r in runs)
    others: dict[str, int] = {}
    for r in runs:
        if r.state is not State.SUCCESS:
            others[LOOKS[r.state].word] = others.get(LOOKS[r.state].word, 0) + 1
    rest = "".join(f", {n} {word}" for word, n in others.items())
    return [(f"{ok} of {len(runs)} fine{rest}", "run-ok" if not others else "text")]


def read_words(grid: Grid, why_not: str | None) -> str:
    """How much of the steps is known: ``steps of 12 of 30 runs read``."""
    if why_not is not None:
        return f"no steps: {why_not}"
    if not grid.ended:
        return ""
    if grid.known >= grid.ended:
        return f"steps read of all {grid.ended} that ran" if grid.ended > 1 else ""
    return f"steps of {grid.known} of {grid.ended} runs read"


def made_up(grid: Grid) -> str:
    """How many of the runs never were."""
    n = sum(r.generated for r in grid.last)
    return f"{n} made up for the demo" if n else ""


def read_on(grid: Grid, *, silent: bool) -> str:
    """What becomes of the rest."""
    if grid.known >= grid.ended:
        return ""
    return "no engine reads on" if silent else "the rest is read while this is open"


def usual_words(ordinary: Ordinary) -> str:
    """``usual 11m, half of all 10m–12m, p90 14m``; ``learning 5/8``. A number that says nothing new is left out."""
    o = ordinary
    if o.p50 is None or o.p25 is None or o.p75 is None or o.p90 is None:
        return f"learning {o.n}/{o.need}"
    usual, low, high, late = (words.rough(ms) for ms in (o.p50, o.p25, o.p75, o.p90))
    half = f", half of all {low}–{high}" if low != high else f", half of all {low}" if low != usual else ""
    return f"usual {usual}{half}" + (f", p90 {late}" if late != high else "")


# --- for scripts ----------------------------------------------------------------------------------------------------


def cell_word(cell: Cell) -> str:
    """A cell's state in words, as scripts read it."""
    return "unknown" if cell.stale else cell.look.word


def run_record(run: PastRun, read: StepsRead) -> dict[str, Any]:
    return {
        "key": run.key, "state": run.state.name.lower(), "native": run.native, "kind": run.kind.name.lower(), "attempt": run.attempt,
        "business_date": run.business_date, "at": run.at, "queued": run.queued, "started": run.started, "ended": run.ended,
        "duration_ms": run.ms, "error": run.error, "generated": run.generated, "steps_read": read.name.lower(),
    }  # fmt: skip


def step_record(run: PastRun, row: Row) -> dict[str, Any]:
    cell = row.cells[run.id]
    s = cell.step
    return {
        "run": run.key, "at": run.at, "business_date": run.business_date, "run_state": run.state.name.lower(), "step": row.name,
        "state": cell_word(cell), "tries": s.tries if s else None, "mapped": s.count if s and s.mapped else None,
        "alike": s.alike if s and s.mapped else None, "started": s.started if s else None, "ended": s.ended if s else None,
        "duration_ms": s.ms if s else None, "usual_ms": row.usual,
    }  # fmt: skip
