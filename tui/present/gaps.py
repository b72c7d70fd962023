"""The gap map: a pipeline's dates, one cell each, and what became of them. Pure; dates as ``YYYY-MM-DD``, times ms UTC.

A date is done only where a run of it ended well. What was owed and did not come is missing; what nobody could see is unknown;
and a date of which nothing was owed and nothing ran says just that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Owed, RunKind, State
from tui.present import words
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.glyphs import LOOKS, OWED, STALE_MARK, Look
from tui.present.lines import merge
from tui.present.matrix import day_start, expected, local_day
from tui.present.words import MINUTE

if TYPE_CHECKING:
    from engine.store.rows import Asker, Calendar, DatePromise, DateRuns, Spell
    from tui.present.chain import Lane
    from tui.present.words import Clause
    from tui.view import Line, Span

DAYS: Final = 90
"""Dates that are looked at."""
BLIND_MS: Final = 60 * MINUTE
"""A source that was not seen for less is asked afterwards for all that it did: a date is not in doubt for that."""


class Fate(IntEnum):
    """What became of a date of a pipeline."""

    DONE = 0
    LATE = 1
    RUNNING = 2
    FAILED = 3
    MISSING = 4
    DUE = 5
    NOT_OWED = 6
    UNKNOWN = 7
    BEFORE = 8


GAPS: Final = frozenset({Fate.FAILED, Fate.MISSING})
"""What is to be filled."""
FATES: Final[Mapping[Fate, Look]] = {
    Fate.DONE: Look("✓", "+", "done", "strip-ok"),
    Fate.LATE: Look("L", "L", "done late", "run-late b", "late"),
    Fate.RUNNING: Look("►", ">", "running", "run-running b"),
    Fate.FAILED: Look("✗", "X", "failed", "run-failed b"),
    Fate.MISSING: Look("∅", "0", "missing", "run-missed b"),
    Fate.DUE: Look(OWED.glyph, OWED.ascii, "due", "text"),
    Fate.NOT_OWED: Look("-", "-", "not owed", "dim"),
    Fate.UNKNOWN: Look("?", "?", "unknown", "run-stale b"),
    Fate.BEFORE: Look(" ", " ", "before its history", "dim"),
}
"""No two look alike without colour, and none in plain ascii."""
_RUN_KINDS: Final[Mapping[RunKind, str]] = {
    RunKind.SCHEDULED: "by its schedule", RunKind.MANUAL: "by hand", RunKind.BACKFILL: "by a backfill", RunKind.RERUN: "as a rerun",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one date. ``why``: the fact behind it, in words. ``runs``: what ran for it; ``owes``: what was owed."""

    fate: Fate
    why: str = ""
    runs: DateRuns | None = None
    owes: tuple[DatePromise, ...] = ()

    @property
    def look(self) -> Look:
        return FATES[self.fate]

    @property
    def run_key(self) -> str | None:
        """The run that counts, else the one that a promise names."""
        if self.runs is not None:
            return self.runs.run_key
        return next((o.run_key for o in self.owes if o.run_key is not None), None)


NOTHING: Final = Cell(Fate.BEFORE, "no run of it is known")


def mapped(lane: Lane) -> bool:
    """Whether a pipeline has dates: it owes something, has a schedule, or its run names a business date."""
    return lane.row is not None and (expected(lane) or lane.row.business_date is not None)


def cells_of(
    calendar: Calendar, days: Sequence[str], spells: Sequence[Spell], tz: str, *, blind_since: int | None = None
) -> dict[str, Cell]:
    """Every one of ``days`` of one pipeline. ``spells``: when its source was not seen; ``blind_since``: it is not seen now, since."""
    runs = {r.day: r for r in calendar.runs}
    owes: dict[str, list[DatePromise]] = {}
    for one in calendar.owes:
        if one.run_key is not None and one.day not in runs:  # its run names no date of its own: the promise does
            found = next((r for r in runs.values() if r.run_key == one.run_key and not r.dated and r.n == 1), None)
            if found is not None:
                runs[one.day] = runs.pop(found.day)
        owes.setdefault(one.day, []).append(one)
    promised = any(o.day for o in calendar.owes)
    out: dict[str, Cell] = {}
    for day in days:
        part, due = runs.get(day), tuple(owes.get(day, ()))
        if part is not None:
            out[day] = Cell(*_ran(part, due, stale=blind_since is not None), part, due)
        elif due and (said := _owed(due, stale=blind_since is not None)) is not None:
            out[day] = Cell(*said, None, due)
        else:
            out[day] = Cell(*_neither(calendar, day, spells, tz, blind_since, promised=promised), None, due)
    return out


def _ran(part: DateRuns, due: Sequence[DatePromise], *, stale: bool) -> tuple[Fate, str]:
    """Of a date that something ran for: the best attempt counts, and where a schedule makes several runs a date, all of them."""
    several = part.planned > 1
    if several and part.good < part.planned and (part.good or not part.active):
        said = f"{part.good} of {part.planned} runs of this date ended well"
        if part.active:
            return (Fate.UNKNOWN, f"{said}, and its source is not seen now") if stale else (Fate.RUNNING, said)
        return Fate.FAILED, said
    if part.good:
        tried = f" after {words.many(part.n - 1, 'other try', 'other tries')}" if part.n > 1 and not several else ""
        said = f"all {part.planned} runs of this date ended well" if several else f"{LOOKS[part.state].word}{tried}"
        late = any(o.state in (Owed.MET_LATE, Owed.BREACHED) for o in due)
        return (Fate.LATE, f"{said}, after it was due") if late else (Fate.DONE, said)
    if part.active:
        if stale:
            return Fate.UNKNOWN, f"{LOOKS[part.state].word} when its source was seen last"
        return Fate.RUNNING, LOOKS[part.state].word
    if part.state is State.LOST:
        return Fate.UNKNOWN, "its run vanished: nobody knows how it ended"
    if part.state in (State.SKIPPED, State.EXPECTED):
        said = _owed(due, stale=stale)
        return said if said is not None else (Fate.NOT_OWED, "skipped by design")
    if part.state is State.MISSED:
        return Fate.MISSING, "no run came"
    tries = f" in {part.n} tries" if part.n > 1 else ""
    return Fate.FAILED, f"{LOOKS[part.state].word}{tries}"


def _owed(due: Sequence[DatePromise], *, stale: bool) -> tuple[Fate, str] | None:
    """Of a date for which nothing ran, the worst of what was owed. None: it was owed by no run (a promise of another date)."""
    states = {o.state for o in due}
    if Owed.BREACHED in states:
        return Fate.MISSING, "it was owed, and no run came"
    if Owed.UNKNOWN in states:
        return Fate.UNKNOWN, "it was owed, and its source was not seen"
    if states & {Owed.AT_RISK, Owed.PENDING, Owed.SHIFTED}:
        if stale:
            return Fate.UNKNOWN, "it is owed, and its source is not seen now"
        return Fate.DUE, "it is owed and not due yet" if Owed.AT_RISK not in states else "it is owed and will be late"
    if states & {Owed.MET, Owed.MET_LATE} and any(o.run_key for o in due):
        return (Fate.LATE if Owed.MET_LATE in states else Fate.DONE), "its promise was kept; its run is kept no more"
    if Owed.WAIVED in states:
        return Fate.NOT_OWED, "waived by a person"
    if Owed.EXCLUDED in states:
        return Fate.NOT_OWED, "excluded: a holiday or a window"
    return None


def _neither(
    calendar: Calendar, day: str, spells: Sequence[Spell], tz: str, blind_since: int | None, *, promised: bool
) -> tuple[Fate, str]:
    """Of a date for which nothing ran and nothing was owed."""
    if calendar.first is None:
        return Fate.BEFORE, "no run of it is known"
    if day < calendar.first:
        return Fate.BEFORE, f"its oldest run that is known is of {calendar.first}"
    begin = day_start(date.fromisoformat(day), tz)
    end = day_start(date.fromisoformat(day) + timedelta(days=1), tz)
    if blind_since is not None and end > blind_since:
        return Fate.UNKNOWN, f"its source is not seen since {words.clock(blind_since, tz, end)}"
    for spell in spells:
        until = end if spell.until is None else min(spell.until, end)
        if until - max(spell.at, begin) >= BLIND_MS:
            who = f"{clean(spell.source)} was not seen" if spell.source else "nobody watched"
            return Fate.UNKNOWN, f"{who} for {words.rough(until - max(spell.at, begin))} of it"
    return Fate.NOT_OWED, "nothing owed, nothing ran" + ("" if promised else "; no promise of it is known at all")


# --- which dates ----------------------------------------------------------------------------------------------------


def gap_around(cells: Mapping[str, Cell], days: Sequence[str], at: str) -> tuple[str, str] | None:
    """First and last date of the gap that ``at`` lies in; dates that were not owed do not end it. None: no gap is there."""
    if at not in days or cells.get(at, NOTHING).fate not in GAPS:
        return None
    first = last = i = days.index(at)
    for step in (-1, 1):
        j = i + step
        while 0 <= j < len(days) and (fate := cells.get(days[j], NOTHING).fate) in (*GAPS, Fate.NOT_OWED):
            if fate in GAPS:
                first, last = min(first, j), max(last, j)
            j += step
    return days[first], days[last]


def gaps(cells: Mapping[str, Cell], days: Sequence[str]) -> list[tuple[str, str]]:
    """All gaps among ``days``, oldest first."""
    out: list[tuple[str, str]] = []
    for day in days:
        if out and out[-1][0] <= day <= out[-1][1]:
            continue
        if (found := gap_around(cells, days, day)) is not None:
            out.append(found)
    return out


def reprocess(cells: Mapping[str, Cell], days: Iterable[str]) -> str:
    """What a backfill over these dates does with those that have a run: a failed one is run again, a good one never."""
    return "failed" if any(cells.get(d, NOTHING).fate is Fate.FAILED for d in days) else "none"


def counts(cells: Mapping[str, Cell], days: Iterable[str]) -> dict[Fate, int]:
    """How many dates of each fate."""
    out: dict[Fate, int] = {}
    for day in days:
        fate = cells.get(day, NOTHING).fate
        out[fate] = out.get(fate, 0) + 1
    return out


# --- painting -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of the layer (0: none) and of the name; dates in view; ``weeks``: a blank before each Monday."""

    layer: int
    name: int
    n: int
    weeks: bool

    @classmethod
    def of(cls, width: int) -> Grid:
        layer = 6 if width >= 150 else 0
        least = 16 if width < 110 else 20
        room = width - 5 - layer - least
        weeks = room >= DAYS + DAYS // 7 + 1
        n = max(min(room, DAYS), 1)
        used = n + (n // 7 + 1 if weeks else 0)
        return cls(layer, min(least + max(room - used, 0), 48), n, weeks)

    @property
    def left(self) -> int:
        return 3 + self.layer + self.name + 1

    def gap(self, i: int, day: str) -> str:
        """What stands before a date."""
        return " " if self.weeks and i and date.fromisoformat(day).weekday() == 0 else ""


def head_lines(days: Sequence[str], grid: Grid, at: str) -> list[Line]:
    """Months over the first of each, days of the month at Mondays, and where the cursor's date is."""
    months = numbers = ""
    mark = 0
    x = 0
    for i, text in enumerate(days):
        day = date.fromisoformat(text)
        x += len(grid.gap(i, text))
        if (day.day == 1 or i == 0) and len(months) <= x:
            months = months.ljust(x) + f"{day:%b}"
        if day.weekday() == 0 and len(numbers) <= x:
            numbers = numbers.ljust(x) + f"{day.day}"
        if text == at:
            mark = x
        x += 1
    months, numbers = months[:x].ljust(x), numbers[:x].ljust(x)
    said = f"{date.fromisoformat(at):%a %d %b}"
    start = max(min(mark - len(said) // 2, x - len(said)), 0)
    months = (months[:start] + " " * len(said) + months[start + len(said) :])[:x]
    blank = (" " * grid.left, "")
    return [
        merge([blank, (months[:start], "dim"), (said, "key b"), (months[start + len(said) :], "dim")]),
        merge([blank, (numbers[:mark], "dim"), ("┃", "key b"), (numbers[mark + 1 :], "dim")]),
    ]


def row_line(
    lane: Lane, layer: str, cells: Mapping[str, Cell] | None, days: Sequence[str], grid: Grid, *, here: bool, at: str,
    marked: frozenset[str] = frozenset(),
) -> list[Span]:  # fmt: skip
    """One pipeline: state, name, a cell a date. The cursor's cell and a marked range are reversed. ``cells`` None: not read yet."""
    style = ("run-stale" if lane.stale else "text") + (" b" if here or lane.loud else "")
    ground = " on:cursor-bg" if here else ""
    sign = (lane.look.glyph if lane.loud else " ") + (STALE_MARK if lane.stale else " ")
    out: list[Span] = [
        ("▌" if here else " ", f"mark{ground}" if here else ""),
        (sign, f"{'run-stale' if lane.stale else lane.look.token}{ground}"),
    ]
    if grid.layer:
        out.append((pad(cut(layer, grid.layer - 1), grid.layer), f"dim{ground}"))
    out.append((pad(cut_middle(lane.name, grid.name), grid.name + 1), f"{style}{ground}"))
    if cells is None:
        return merge([*out, ("reading …"[: len(days)], f"dim{ground}")])
    for i, day in enumerate(days):
        look = cells.get(day, NOTHING).look
        if gap := grid.gap(i, day):
            out.append((gap, ground.strip()))
        out.append(
            (look.glyph, f"{look.style} rev" if here and (day == at or day in marked) else f"{look.style}{ground}")
        )
    return merge(out)


def legend(n: int) -> Line:
    """What the glyphs say, as far as there is room."""
    out: list[Span] = [(" ", "")]
    used = 1
    for look in FATES.values():
        if look.glyph == " ":
            continue
        if used + len(look.narrow) + 4 > n:
            break
        out += [(f"{look.glyph} ", look.style), (f"{look.narrow}  ", "dim")]
        used += len(look.narrow) + 4
    return merge(out)


def summary(cells: Mapping[str, Cell], days: Sequence[str]) -> list[Clause]:
    """Of one pipeline: how many dates of each fate, worst first, and where its gaps are."""
    found = counts(cells, days)
    order = (Fate.MISSING, Fate.FAILED, Fate.UNKNOWN, Fate.LATE, Fate.RUNNING, Fate.DUE, Fate.DONE, Fate.NOT_OWED)
    out: list[Clause] = []
    for fate in order:
        if n := found.get(fate):
            out.append([(f"{n} ", "text b"), (FATES[fate].word, FATES[fate].style if fate in GAPS else "text")])
    if found.get(Fate.BEFORE):
        out.append(f"{found[Fate.BEFORE]} before its history")
    return out


def where(cells: Mapping[str, Cell], days: Sequence[str], most: int = 6) -> list[Clause]:
    """The newest gaps of a pipeline, in dates."""
    found = gaps(cells, days)
    if not found:
        return ["no gap in these dates"]
    out: list[Clause] = [[("gaps ", "dim"), (span(*found[-1]), "text b")]]
    out += [span(*gap) for gap in reversed(found[-most:-1])]
    if len(found) > most:
        out.append(f"{len(found) - most} more")
    return out


def span(first: str, last: str) -> str:
    """``3 Nov``, ``3–7 Nov``, ``30 Oct – 2 Nov``."""
    a, b = date.fromisoformat(first), date.fromisoformat(last)
    if a == b:
        return f"{a.day} {a:%b}"
    return f"{a.day}–{b.day} {b:%b}" if (a.year, a.month) == (b.year, b.month) else f"{a.day} {a:%b} – {b.day} {b:%b}"


def several(cell: Cell) -> bool:
    """Whether its date has several runs, some of which ended badly: one cell stands for all, so their hours are to be said."""
    r = cell.runs
    return r is not None and cell.fate in (Fate.FAILED, Fate.RUNNING) and 1 < r.planned > r.good + r.active


def hours(failed: Sequence[tuple[str, State, int]], cell: Cell, day: str, tz: str, most: int = 4) -> list[Clause]:
    """``at 04:05, 07:05``: when the runs of a date began that did not end well, by what became of them where that is not what its
    cell says; with the day where it was another one."""
    noon, by = day_start(date.fromisoformat(day), tz) + 12 * words.HOUR, dict[State, list[str]]()
    said: dict[State, str] = {}
    for _, state, at in failed:
        known, then = by.setdefault(state, []), local_day(at, tz).isoformat()
        text = words.hhmm(at, tz) if then == said.get(state, day) else words.clock(at, tz, noon)
        if not known or known[-1].rpartition(" ")[2] != text:  # tries within a minute
            known.append(text)
        said[state] = then
    out: list[Clause] = []
    for state, at in by.items():
        word, more = LOOKS[state].word, f" +{len(at) - most}" if len(at) > most else ""
        out.append(
            [
                (f"{'at' if word == cell.look.word else word} ", LOOKS[state].style),
                (f"{', '.join(at[:most])}{more}", "text"),
            ]
        )
    return out


def about(day: str, cell: Cell, tz: str, now: int, failed: Sequence[tuple[str, State, int]] = ()) -> list[Clause]:
    """The cell under the cursor in one sentence. ``failed``: of a date with several runs those that did not end well."""
    out: list[Clause] = [[(f"{day} ", "text b"), (cell.look.word, cell.look.style)]]
    out += hours(failed, cell, day, tz)
    out += [part for part in cell.why.split("; ") if part not in ("", cell.look.word)]
    if not failed and cell.runs is not None:
        out.append(clean(cell.runs.run_key.partition("/")[2]))
        out.append(words.clock(cell.runs.started if cell.runs.started is not None else cell.runs.at, tz, now))
    return out


def why_lines(
    cell: Cell,
    day: str,
    asker: Asker | None,
    tz: str,
    now: int,
    width: int,
    failed: Sequence[tuple[str, State, int]] = (),
) -> list[Line]:
    """The pane that says why: which run, when, made how and by whom, and what was owed. ``failed`` as of ``about``."""
    said: list[tuple[str, Sequence[Clause]]] = [
        ("Why", [[(cell.look.word, cell.look.style)], cell.why if cell.why != cell.look.word else "as its run says"])
    ]
    run = cell.runs
    if run is not None:
        begun = run.started if run.started is not None else run.at
        facts: list[Clause] = [[(clean(run.run_key.partition("/")[2]), "text b")], LOOKS[run.state].word]
        facts.append(f"began {words.stamp(begun, tz)}")
        if run.state is State.MISSED:  # no run: a tick that started nothing
            facts = [f"none: nothing started at its tick {words.stamp(begun, tz)}"]
        elif run.ended is not None:
            facts.append(f"ended {words.stamp(run.ended, tz)}")
        said.append(("Run", facts))
        made: list[Clause] = [_RUN_KINDS[run.kind]]
        if asker is not None:
            reason = f' "{clean(asker.reason)}"' if asker.reason else ""
            made.append(f"{asker.verb} asked for by {clean(asker.who)} {words.clock(asker.at, tz, now)}{reason}")
        elif run.kind is not RunKind.SCHEDULED:
            made.append("its source does not say by whom")
        said.append(("Made", made))
        if run.n > 1:
            said.append(("Runs", [f"{run.n} for this date", f"{run.good} ended well"]))
        if failed:
            said.append(("Hours", hours(failed, cell, day, tz, most=24)))
        if not run.dated:
            said.append(("Date", ["its runs name no business date: each stands on the day it began"]))
        elif run.planned > 1:
            said.append(("Date", ["its runs carry dates and no hours: one cell stands for all of them"]))
    for one in cell.owes[:3]:
        said.append(("Owed", [one.state.name.lower().replace("_", " "), f"due {words.clock(one.due, tz, now)}"]))
    if run is None and not cell.owes:
        said.append(("Owed", [f"nothing for {day}"]))
    return [[(" ", ""), (f"{label:<6} ", "dim"), *words.sentence(what, width - 9)] for label, what in said]


def window_days(now: int, tz: str) -> Sequence[str]:
    """The last 90 dates up to today, oldest first."""
    return _dates(local_day(now, tz))


@lru_cache(maxsize=4)
def _dates(today: date) -> Sequence[str]:
    return [(today - timedelta(days=DAYS - 1 - i)).isoformat() for i in range(DAYS)]


def records(lane: Lane, cells: Mapping[str, Cell], days: Sequence[str]) -> list[dict[str, Any]]:
    """For scripts, a record a date; dates before its history are left out."""
    return [
        {
            "key": lane.key, "name": lane.name, "layer": lane.layer, "date": day, "state": cell.fate.name.lower(), "why": cell.why,
            "run": cell.run_key, "run_state": None if cell.runs is None else cell.runs.state.name.lower(),
            "runs": 0 if cell.runs is None else cell.runs.n, "owed": ",".join(sorted({o.state.name.lower() for o in cell.owes})),
        }
        for day in days if (cell := cells.get(day, NOTHING)).fate is not Fate.BEFORE
    ]  # fmt: skip
