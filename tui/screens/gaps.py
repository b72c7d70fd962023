"""The gap map: pipelines × the last 90 dates, a pane of the Layers. Only pipelines in view are asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Final

from adapters.model import State, Verb
from engine.store.rows import Asker, Calendar, FloorRow, OwedRow, SourceRow, Spell
from tui import keymap
from tui.present import gaps, lines, words
from tui.present.chain import NO_LAYER, Lane
from tui.present.cut import clean
from tui.present.gaps import NOTHING, Cell, Grid
from tui.screens import cannot, open_plan, window
from tui.view import Context, Effect, Line, Say

SLICE: Final = 15_000
"""What is read at once where the rest follows in turns of its own, in runs: about fifteen milliseconds."""
DATE: Final = 6
"""A date of a pipeline costs as much as so many of its runs."""
CHUNK: Final = 200
SAME_MS: Final = 100
"""What moved so lately is read again: two commits may bear the same millisecond."""

_NONE: Final = Calendar()


class GapsPane:
    """Rows are the pipelines that have dates; the cursor is on one cell. ``anchor``: where a marked range began."""

    title: ClassVar[str] = "Gap map"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.lanes: list[Lane] = []
        self.cursor: str | None = None
        self.day: str | None = None
        """Date under the cursor; None: today."""
        self.anchor: str | None = None
        self.page = 20
        self._places: dict[str, int] = {}
        self._top = 0
        self._n = gaps.DAYS
        self._back = 0
        """Dates by which the view was scrolled into the past."""
        self._cells: dict[str, dict[str, Cell]] = {}
        self._calendars: dict[str, Calendar] = {}
        """What is known of the dates of a pipeline, by its key; ``_made``: what its cells were made of."""
        self._made: dict[str, tuple[Calendar, Sequence[Spell], int | None]] = {}
        self._ran: set[str] = set()
        self._owed: set[str] = set()
        """Of which the runs, or the promises, may be others than those that are known."""
        self._marks: dict[int, int] | None = None
        """When the runs of each pipeline moved last; None: to be asked for."""
        self._sliced = False
        """Whether turns of our own are given: then no frame reads more than its part."""
        self._rests: tuple[object, ...] | None = None
        """Where the view stood when nothing was left to read."""
        self._each = SLICE
        """What a pipeline cost, of those read last."""
        self._spells: list[Spell] | None = None
        self._today: str | None = None
        self._full: tuple[tuple[int, ...], tuple[OwedRow, ...]] = ((), ())
        self._asker: tuple[str, Asker | None] = ("", None)
        self._failed: tuple[object, list[tuple[str, State, int]]] = (None, [])

    # --- reading ----------------------------------------------------------------------------------------------------

    def rows(self, lanes: Sequence[Lane]) -> None:
        """Take the lanes of the screen, in their order."""
        self._rests = None
        self.lanes = [lane for lane in lanes if gaps.mapped(lane)]
        self._places = {lane.key: i for i, lane in enumerate(self.lanes)}
        if self.cursor not in self._places:
            self.cursor, self.anchor = (self.lanes[0].key if self.lanes else None), None

    def forget(self, moved: Collection[str]) -> None:
        """These topics moved. What is known is shown until it was read again; what is far from the view is not kept."""
        self._rests = None
        near = {lane.key for lane in self._near()}
        for key in self._calendars.keys() - near:
            del self._calendars[key]
            self._cells.pop(key, None)
            self._made.pop(key, None)
        if "pipeline" in moved:
            self._ran |= near
        elif "run" in moved and self._marks is not None:
            had, self._marks = self._marks, self.context.reader.floor_marks()
            newest = max(self._marks.values(), default=0) - SAME_MS
            ids = {i for i, at in self._marks.items() if at >= newest or had.get(i) != at}
            self._ran |= {lane.key for lane in self._near() if lane.id in ids}
        if "owed" in moved:
            self._owed |= near
        self._spells = None
        self._full = ((), ())
        self._asker = ("", None)
        self._failed = (None, [])

    def days(self) -> Sequence[str]:
        """All dates of the map, oldest first; a new day is a new map."""
        days = gaps.window_days(self.context.now(), self.context.timezone)
        if days[-1] != self._today:
            self._today = days[-1]
            for known in (self._cells, self._calendars, self._made):
                known.clear()
        return days

    def shown_days(self) -> Sequence[str]:
        """Those that the width has room for."""
        days = self.days()
        end = len(days) - min(self._back, max(len(days) - self._n, 0))
        return days[max(end - self._n, 0) : end]

    def _near(self, pages: int = 1) -> list[Lane]:
        """Pipelines in view and ``pages`` on either side, those in view first and the one under the cursor before all."""
        top, page = window(self._top, self.index, self.page, len(self.lanes)), self.page
        seen, after = self.lanes[top : top + page], self.lanes[top + page : top + (1 + pages) * page]
        found = [*seen, *after, *self.lanes[max(top - pages * page, 0) : top]]
        here = self.here
        return found if here is None else [here, *(lane for lane in found if lane is not here)]

    def read(self, *, count: bool = False) -> None:
        """What of the pipelines in view is not known, or moved; where turns of our own follow, a part. ``count``: after the store
        moved, when the whole screen is made anew: then that of the cursor alone."""
        whole = not self._sliced
        self._read(self._near(0)[: 1 if count and not whole else None], None if whole else SLICE)

    def work(self, *, here: bool) -> bool:
        """A turn of our own: what is still to be read in view, then what a page further is. ``here``: the map is seen."""
        self._sliced = True
        if not here or (at := (self._top, self.page, self.cursor, self._today)) == self._rests:
            return False
        did = self._read(self._near(), SLICE)
        self._rests = None if did else at
        return did

    def _read(self, lanes: Sequence[Lane], most: int | None) -> bool:
        """Of these, in their order, what is not known or moved, at ``most`` so much and at least one pipeline. Whether anything
        was read."""
        days, tz = self.days(), self.context.timezone
        reader, since = self.context.reader, date.fromisoformat(days[0])
        asked = since, self.context.now() + 2 * words.DAY, words.zone(tz)
        if self._marks is None:
            self._marks = reader.floor_marks()
        if self._spells is None:
            self._spells = reader.blind_spells(gaps.day_start(since, tz))
        of = {lane.id: lane for lane in lanes if lane.id is not None}
        todo = [i for i, lane in of.items() if lane.key not in self._calendars or lane.key in self._ran]
        did, left = bool(todo), most
        while todo and (left is None or left > 0):
            n = CHUNK if left is None else max(left // max(self._each, 1), 1)
            part, todo = todo[:n], todo[n:]
            found = reader.calendars(part, *asked)
            read = 0
            for i in part:
                calendar = self._calendars[of[i].key] = found.get(i, _NONE)
                read += sum(r.n + DATE for r in calendar.runs) + len(calendar.owes)
                self._ran.discard(of[i].key)
                self._owed.discard(of[i].key)
            self._each = read // len(part)
            left = None if left is None else left - read
        again: dict[int, Calendar] = {}
        for i, lane in of.items():
            if lane.key in self._owed and lane.key in self._calendars and (left is None or left > 0):
                again[i] = self._calendars[lane.key]
                left = None if left is None else left - len(again[i].owes)
        for i, calendar in (reader.owed_again(again, *asked) if again else again).items():
            self._calendars[of[i].key] = calendar
            self._owed.discard(of[i].key)
        for lane in lanes:
            self._make(lane, days, tz)
        return did or bool(again)

    def _make(self, lane: Lane, days: Sequence[str], tz: str) -> None:
        """The cells of a pipeline, where what they are made of is otherwise than it was."""
        calendar = self._calendars.get(lane.key)
        if calendar is None:
            return
        source = lane.source.name if lane.source is not None else None
        spells = [s for s in self._spells or () if s.source is None or s.source == source]
        blind = None if not lane.stale else lane.seen if lane.seen is not None else 0
        made, had = (calendar, spells, blind), self._made.get(lane.key)
        if had is None or had[0] is not calendar or had[1:] != made[1:]:
            self._made[lane.key] = made
            self._cells[lane.key] = gaps.cells_of(calendar, days, spells, tz, blind_since=blind)

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def index(self) -> int:
        return self._places.get(self.cursor or "", 0)

    @property
    def here(self) -> Lane | None:
        return self.lanes[self.index] if self.lanes else None

    @property
    def date(self) -> str:
        """The date under the cursor."""
        days = self.days()
        return days[-1] if self.day is None or self.day not in days else self.day

    @property
    def cells(self) -> Mapping[str, Cell]:
        """Of the pipeline under the cursor."""
        return self._cells.get(self.cursor or "", {})

    @property
    def cell(self) -> Cell:
        return self.cells.get(self.date, NOTHING)

    @property
    def owes(self) -> tuple[OwedRow, ...]:
        """The whole of the promises of the cell under the cursor."""
        ids = tuple(one.id for one in self.cell.owes[:2])
        if ids != self._full[0]:
            found = [self.context.reader.owed_one(i) for i in ids]
            self._full = ids, tuple(row for row in found if row is not None)
        return self._full[1]

    @property
    def failed(self) -> list[tuple[str, State, int]]:
        """Of the cell under the cursor, where it stands for several runs, those that ended and not well: which, what, when."""
        lane, cell = self.here, self.cell
        if lane is None or lane.id is None or not gaps.several(cell):
            return []
        if self._failed[0] != (lane.key, self.date):
            zone = words.zone(self.context.timezone)
            found = self.context.reader.failed_of(lane.id, date.fromisoformat(self.date), zone)
            self._failed = (lane.key, self.date), found
        return self._failed[1]

    @property
    def run_key(self) -> str | None:
        """The run that counts; where several do, the newest that did not end well: that is what makes the gap."""
        failed = [run for run, state, _ in self.failed if state is not State.MISSED]
        return f"{self.cursor}/{failed[-1]}" if failed else self.cell.run_key

    def move(self, by: int) -> None:
        if self.lanes:
            before = self.cursor
            self.cursor = self.lanes[min(max(self.index + by, 0), len(self.lanes) - 1)].key
            if self.cursor != before:
                self.anchor = None  # a range is of one pipeline
            self.read()

    def turn(self, by: int) -> bool:
        """A date further; at the left edge the dates move. False: there is none further on that side."""
        days = self.days()
        at = days.index(self.date) + by
        if not 0 <= at < len(days):
            return False
        self.day = days[at]
        shown = self.shown_days()
        if self.day < shown[0]:
            self._back += 1
        elif self.day > shown[-1]:
            self._back = max(self._back - 1, 0)
        return True

    def mark(self) -> str:
        """Begin a range at the cursor, or take it away; what to say of it."""
        self.anchor = None if self.anchor is not None else self.date
        if self.anchor is None:
            return "the range is gone: the backfill key takes the gap under the cursor"
        return f"a range begins at {self.anchor}: go to its other end, then {keymap.key_of('pipeline.backfill')}"

    def chosen(self) -> tuple[str, str] | None:
        """Dates that a backfill is for: the marked range, else the gap under the cursor; None: there is no gap."""
        if self.anchor is not None:
            return min(self.anchor, self.date), max(self.anchor, self.date)
        return gaps.gap_around(self.cells, self.days(), self.date)

    def fill(self, row: FloorRow, source: SourceRow | None) -> Sequence[Effect]:
        """Open the plan of a backfill for the chosen dates of a pipeline, or say why there is none: a good date is never made
        again, a failed one is."""
        name = clean(row.name)
        if why := cannot(Verb.BACKFILL, source, self.context):
            return (Say(f"backfill {name}: {why}", "warn"),)
        chosen = self.chosen()
        if chosen is None:
            word, mark = self.cell.look.word, keymap.key_of("gaps.mark")
            return (Say(f"{name}, {self.date}: {word}, there is no gap to fill; {mark} marks a range of dates"),)
        first, last = chosen
        given = {"from": first, "to": last, "reprocess": self.reprocess(first, last)}
        return (open_plan(Verb.BACKFILL, row.key, name, source, self.context, **given),)

    def reprocess(self, first: str, last: str) -> str:
        return gaps.reprocess(self.cells, [d for d in self.days() if first <= d <= last])

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, room: int, note: str) -> list[Line]:
        grid = Grid.of(width)
        self._n = grid.n
        about = self._about_rows(room)
        body = max(room - 4 - about, 1)
        self.page = body
        self._top = window(self._top, self.index, body, len(self.lanes))
        self.read(count=True)
        shown = self.lanes[self._top : self._top + body]
        total, days = len(self.lanes), self.shown_days()
        where = f"{self._top + 1}–{min(self._top + body, total)} of {total}" if total > body else str(total)
        told = "" if len(days) == gaps.DAYS else f", {gaps.span(days[0], days[-1])} in view"
        hint = f"{keymap.key_of('owed.basis')} why  {keymap.key_of('pipeline.backfill')} fill  {keymap.key_of('gaps.mark')} range"
        out: list[Line] = [
            lines.rule(
                self.title, f"{where} pipelines · last {gaps.DAYS} dates{told}{note}", hint, width, focused=True
            ),
            *gaps.head_lines(days, grid, self.date),
        ]
        chosen = self.chosen() if self.anchor is not None else None
        marked = frozenset(d for d in days if chosen is not None and chosen[0] <= d <= chosen[1])
        before = None
        for lane in shown:
            layer = "" if lane.layer == before else "none" if lane.layer == NO_LAYER else lane.layer
            before = lane.layer
            here = lane.key == self.cursor
            cells = self._cells.get(lane.key)
            line = gaps.row_line(lane, layer, cells, days, grid, here=here, at=self.date, marked=marked)
            if here:
                line = lines.merge([*line, (" " * max(width - lines.cells(line), 0), "on:cursor-bg")])
            out.append(line)
        out += [[]] * max(room - about - 1 - len(out), 0)
        return [*out, gaps.legend(width), *self._about(width, about)]

    @staticmethod
    def _about_rows(room: int) -> int:
        return 4 if room >= 24 else 3

    def _about(self, width: int, rows: int) -> list[Line]:
        lane = self.here
        if lane is None:
            return []
        tz, now, days = self.context.timezone, self.context.now(), self.days()
        said = [
            gaps.about(self.date, self.cell, tz, now, self.failed),
            gaps.summary(self.cells, days),
            gaps.where(self.cells, days),
        ]
        if self.anchor is not None and (chosen := self.chosen()) is not None:
            said.insert(1, [[("range ", "dim"), (gaps.span(*chosen), "key b")], "backfill takes these dates"])
        return [
            lines.rule(lane.name, lane.layer, "", width),
            *([(" ", ""), *words.sentence(one, width - 2)] for one in said[: rows - 1]),
        ]

    def why(self, width: int) -> list[Line]:
        """The pane that says why the cell under the cursor is what it is."""
        cell = self.cell
        asker = None
        if cell.runs is not None:
            if self._asker[0] != cell.runs.run_key:
                self._asker = cell.runs.run_key, self.context.reader.asker(cell.runs.run_key, cell.runs.day)
            asker = self._asker[1]
        return gaps.why_lines(cell, self.date, asker, self.context.timezone, self.context.now(), width, self.failed)

    def nothing(self) -> list[Line]:
        sources = keymap.key_of("screen.sources")
        return [
            [("   no pipeline here has dates: none has a schedule, owes something or names a business date", "dim")],
            [
                ("   [[expectation]] says what is due by when, business_date what date a run is for   ", "dim"),
                (sources, "key b"),
                (" says how the sources are", "dim"),
            ],
        ]

    # --- for scripts ------------------------------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        """A record for each date of each pipeline, from its oldest known run on."""
        self._read(self.lanes, None)
        days = self.days()
        return [r for lane in self.lanes for r in gaps.records(lane, self._cells.get(lane.key, {}), days)]

    def data(self) -> Mapping[str, Any]:
        """Of each pipeline its gaps, how many dates of each fate, and every date."""
        records = self.records()
        days = self.days()
        by_key: dict[str, dict[str, Any]] = {}
        for r in records:
            by_key.setdefault(r["key"], {})[r["date"]] = {k: r[k] for k in ("state", "why", "run", "runs")}
        found = [
            {
                "key": lane.key, "name": lane.name, "layer": lane.layer,
                "counts": {f.name.lower(): n for f, n in sorted(gaps.counts(cells, days).items())},
                "gaps": [{"from": a, "to": b} for a, b in gaps.gaps(cells, days)],
                "dates": by_key.get(lane.key, {}),
            }
            for lane in self.lanes for cells in (self._cells.get(lane.key, {}),)
        ]  # fmt: skip
        return {"from": days[0], "to": days[-1], "pipelines": found}
