"""Business dates × jobs: what became of each date that was owed or ran. Pure; dates as ``YYYY-MM-DD``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Owed, State, Trigger
from tui.present import owed, words
from tui.present.chain import NO_LAYER
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.glyphs import LOOKS, STALE_MARK, Look
from tui.present.lines import merge

if TYPE_CHECKING:
    from engine.store.rows import Bar, DatedRow, OwedRow
    from tui.present.chain import Lane
    from tui.present.words import Clause
    from tui.view import Line, Span

UNKNOWN: Final = Look("?", "?", "unknown", "run-stale b")
MET: Final = Look("✓", "+", "met", "strip-ok")
LATE: Final = Look("✓", "+", "met late", "run-late")
OK: Final = Look("✓", "+", "ok", "strip-ok")
NOTHING: Final = Look(" ", " ", "nothing owed, nothing ran", "dim")

_WORST: Final = (
    Owed.BREACHED, Owed.AT_RISK, Owed.UNKNOWN, Owed.PENDING, Owed.SHIFTED, Owed.MET_LATE, Owed.MET, Owed.EXCLUDED, Owed.WAIVED,
)  # fmt: skip
"""Which of several promises of one date a cell shows."""
MOST: Final = 35
"""Dates in view at most: five weeks."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one date of one job. ``bar``: the run that counts; ``owes``: its promises, the worst first."""

    look: Look
    bar: Bar | None = None
    owes: tuple[DatedRow, ...] = ()

    @property
    def run_key(self) -> str | None:
        for row in self.owes[:1]:
            if row.run_key is not None and (self.bar is None or not self.bar.state.bad):
                return row.run_key
        return None if self.bar is None else self.bar.run_key


EMPTY: Final = Cell(NOTHING)


def expected(lane: Lane) -> bool:
    """Whether it is expected to run: it owes something, or has a schedule."""
    r = lane.row
    return lane.owes is not None or (
        r is not None
        and (r.trigger in (Trigger.CRON, Trigger.INTERVAL) or (r.trigger is Trigger.UNKNOWN and r.schedule is not None))
    )


def cells_of(due: Sequence[DatedRow], bars: Sequence[Bar], tz: str, *, stale: bool) -> dict[str, Cell]:
    """A job's dates. A run counts for the date that a promise names it for, else for its own, else for the day it began on."""
    owes: dict[str, list[DatedRow]] = {}
    meant: dict[str, str] = {}
    for row in due:
        if row.type in owed.PER_RUN and row.state is not Owed.BREACHED:
            continue
        owes.setdefault(row.business_date, []).append(row)
        if row.run_key is not None:
            meant[row.run_key] = row.business_date
    runs: dict[str, Bar] = {}
    for bar in bars:  # oldest first; what goes on now counts before what came after it
        day = meant.get(bar.run_key) or bar.business_date or local_day(bar.at, tz).isoformat()
        before = runs.get(day)
        if before is None or bar.state.active or not before.state.active:
            runs[day] = bar
    out: dict[str, Cell] = {}
    for day in owes.keys() | runs.keys():
        rows = tuple(sorted(owes.get(day, ()), key=lambda r: (_WORST.index(r.state), r.due)))
        bar = runs.get(day)
        out[day] = Cell(_look(rows[0] if rows else None, bar, stale=stale), bar, rows)
    return out


def _look(row: DatedRow | None, bar: Bar | None, *, stale: bool) -> Look:
    state = None if bar is None else bar.state
    if row is None:
        return NOTHING if state is None else UNKNOWN if stale and state.active else _run_look(state)
    if state is not None and state.bad:
        return LOOKS[state]
    match row.state:
        case Owed.BREACHED:
            return LOOKS[State.MISSED] if row.missed and state is None else owed.LOOKS[Owed.BREACHED]
        case Owed.UNKNOWN:
            return UNKNOWN
        case Owed.AT_RISK | Owed.PENDING | Owed.SHIFTED:
            if stale:
                return UNKNOWN
            if row.state is Owed.AT_RISK or state is None or not state.active:
                return owed.LOOKS[row.state]
            return LOOKS[state]
        case Owed.MET | Owed.MET_LATE:
            if state is not None and state in (State.WARNING, State.STOPPED):
                return LOOKS[state]
            return MET if row.state is Owed.MET else LATE
        case Owed.EXCLUDED | Owed.WAIVED:
            return owed.LOOKS[row.state]


def _run_look(state: State) -> Look:
    return OK if state == State.SUCCESS else NOTHING if state == State.EXPECTED else LOOKS[state]


# --- dates ----------------------------------------------------------------------------------------------------------


def local_day(ms: int, tz: str) -> date:
    return datetime.fromtimestamp(ms / 1000, words.zone(tz)).date()


def day_start(day: date, tz: str) -> int:
    """When that day begins in the reader's zone, ms UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=words.zone(tz)).timestamp() * 1000)


def newest_date(known: Iterable[str | None], now: int, tz: str) -> date:
    """The right-most column: the newest business date that anything ran for or owes, never after today, at least yesterday."""
    today = local_day(now, tz)
    limit = today.isoformat()
    found = max((d for d in known if d is not None and d <= limit), default="")
    yesterday = today - timedelta(days=1)
    try:
        return max(date.fromisoformat(found), yesterday) if found else yesterday
    except ValueError:
        return yesterday


def dates(last: date, n: int) -> list[str]:
    """``n`` dates up to ``last``, oldest first."""
    return [(last - timedelta(days=n - 1 - i)).isoformat() for i in range(n)]


# --- cells ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of the layer, the name, and one date; how many dates fit."""

    layer: int
    name: int
    cell: int
    n: int

    @classmethod
    def of(cls, width: int, most: int = 0) -> Grid:
        """``most``: the largest number that stands at the foot of a date."""
        cell = max(3, len(str(most)) + 1)
        layer = 6
        name = 18 if width < 110 else 26 if width < 180 else 36
        room = max(width - 4 - layer - name - 1, cell)
        n = max(1, min(room // cell, MOST))
        return cls(layer, name + max(room - n * cell, 0) if n < MOST else name, cell, n)

    @property
    def left(self) -> int:
        return 3 + self.layer + self.name + 1


def head_lines(days: Sequence[str], grid: Grid, cursor: str | None) -> list[Line]:
    """Months, days of the month and of the week; weekends dim, the cursor's date in the key colour."""
    months = ""
    numbers: list[Span] = [(" " * grid.left, "")]
    letters: list[Span] = [(" " * grid.left, "")]
    for i, text in enumerate(days):
        day = date.fromisoformat(text)
        if (day.day == 1 or i == 0) and len(months) <= i * grid.cell + 1:
            months = months.ljust(i * grid.cell + 1) + f"{day:%b}"
        style = "key b" if text == cursor else "dim" if day.weekday() >= 5 else "text"
        numbers.append((f"{day.day:>{grid.cell - 1}}".rjust(grid.cell), style))
        letters.append(
            (
                ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")[day.weekday()].rjust(grid.cell),
                "key" if text == cursor else "dim",
            )
        )
    width = grid.cell * len(days)
    return [
        [(" " * grid.left, ""), (months[:width], "dim")],
        merge(numbers),
        merge(letters),
    ]


def row_line(
    lane: Lane, layer: str, cells: Mapping[str, Cell], days: Sequence[str], grid: Grid, *, here: bool, at: str | None
) -> list[Span]:
    """One job: state, layer (where it begins), name, a glyph a date; the cursor's cell reversed."""
    style = "run-stale" if lane.stale else "text"
    if here or lane.loud:
        style += " b"
    mark = (lane.look.glyph if lane.loud else " ") + (STALE_MARK if lane.stale else " ")
    ground = " on:cursor-bg" if here else ""
    out: list[Span] = [
        ("▌" if here else " ", f"mark{ground}" if here else ""),
        (mark, f"{'run-stale' if lane.stale else lane.look.token}{ground}"),
    ]
    if layer == NO_LAYER:
        layer = "none"  # five cells
    out.append((pad(cut(layer, grid.layer - 1), grid.layer), f"dim{ground}"))
    out.append((pad(cut_middle(lane.name, grid.name), grid.name + 1), f"{style}{ground}"))
    for day in days:
        look = cells.get(day, EMPTY).look
        blank = grid.cell - 2
        text = f"{' ' * blank}{look.glyph} "
        token = look.style
        if here and day == at:
            out += [(" " * (blank - 1), ground.strip()), (f"[{look.glyph}]"[: grid.cell], f"{token} b{ground}")]
        else:
            out.append((text, f"{token}{ground}".strip()))
    return merge(out)


def foot_lines(days: Sequence[str], kept: Mapping[str, tuple[int, int]], grid: Grid) -> list[Line]:
    """How many jobs kept all that they owed for a date, of how many that owed something; blank where nothing was owed."""
    above: list[Span] = [(" kept".ljust(grid.left), "dim")]
    below: list[Span] = [(" of".ljust(grid.left), "dim")]
    for day in days:
        good, n = kept.get(day, (0, 0))
        said = (str(good), str(n)) if n else ("", "")
        style = "run-ok" if n and good == n else "text b" if n else ""
        above.append((said[0].rjust(grid.cell - 1) + " " if grid.cell > 3 else said[0].rjust(grid.cell), style))
        below.append((said[1].rjust(grid.cell - 1) + " " if grid.cell > 3 else said[1].rjust(grid.cell), "dim"))
    return [merge(above), merge(below)]


def about(
    lane: Lane, day: str, cell: Cell, owes: Sequence[OwedRow], kept: tuple[int, int] | None, tz: str, now: int
) -> list[Sequence[Clause]]:
    """Sentences on the cell under the cursor: what became of it, each promise, the date as a whole."""
    said = cell.look.word
    out: list[Sequence[Clause]] = []
    first: list[Clause] = [[(f"{day} ", "text b"), (said, cell.look.style)]]
    bar = cell.bar
    if bar is not None:
        begun = bar.started if bar.started is not None else bar.at
        ended = f" to {words.clock(bar.ended, tz, now)}" if bar.ended is not None else ""
        first.append(f"run {LOOKS[bar.state].word} {words.clock(begun, tz, now)}{ended}")
        first.append(clean(bar.run_key.partition("/")[2]))
    elif cell.look is not NOTHING and lane.row is not None:
        first.append("no run seen for this date")
    out.append(first)
    for row in owes[:2]:
        out.append(
            [
                [(f"{owed.LOOKS[row.state].word} ", owed.LOOKS[row.state].style), (clean(row.expectation), "text")],
                *owed.sentence(row, tz, now),
            ]
        )
    if kept is not None:
        out.append([f"{kept[0]} of {kept[1]} jobs kept all that they owed for {day}"])
    return out


def record(lane: Lane, cells: Mapping[str, Cell], days: Sequence[str]) -> dict[str, Any]:
    """A job's dates for JSON."""
    return {
        "key": lane.key, "name": lane.name, "layer": lane.layer,
        "dates": {
            day: {
                "word": cell.look.word, "run": cell.run_key, "state": None if cell.bar is None else cell.bar.state.name.lower(),
                "owed": cell.owes[0].state.name.lower() if cell.owes else None,
            }
            for day in days if (cell := cells.get(day)) is not None
        },
    }  # fmt: skip
