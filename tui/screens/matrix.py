"""The Matrix: business dates × expected jobs, a pane of the Layers. Only jobs in view are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, ClassVar

from engine.store.rows import DatedRow, OwedRow
from tui import keymap
from tui.present import lines, matrix, words
from tui.present.chain import Lane
from tui.present.matrix import EMPTY, Cell, Grid
from tui.screens import window
from tui.view import Context, Line

DAY = words.DAY
AHEAD = 3
COUNT_MS = 10_000
"""How often the dates are counted while promises move."""
CHUNK = 200


class MatrixPane:
    """Rows are the lanes that owe something or have a schedule; the cursor is on one cell."""

    title: ClassVar[str] = "Matrix"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.lanes: list[Lane] = []
        self.cursor: str | None = None
        self.day: str | None = None
        """Date under the cursor; None: the newest."""
        self.back = 0
        """How many dates the view was scrolled into the past."""
        self.page = 20
        self._places: dict[str, int] = {}
        self._top = 0
        self._n = matrix.MOST
        self._newest: date | None = None
        self._kept: dict[str, tuple[int, int]] = {}
        self._kept_since: int | None = None
        self._cells: dict[str, dict[str, Cell]] = {}
        self._since: int | None = None
        self._full: tuple[tuple[int, ...], tuple[OwedRow, ...]] = ((), ())
        self._counted_at = -COUNT_MS

    # --- reading ----------------------------------------------------------------------------------------------------

    def rows(self, lanes: Sequence[Lane]) -> None:
        """Take the lanes of the screen, in their order."""
        self.lanes = [lane for lane in lanes if matrix.expected(lane)]
        self._places = {lane.key: i for i, lane in enumerate(self.lanes)}
        if self.cursor not in self._places:
            self.cursor = self.lanes[0].key if self.lanes else None
        known = (lane.row.business_date for lane in self.lanes if lane.row is not None)
        owes = (lane.owes.business_date for lane in self.lanes if lane.owes is not None)
        tz, now = self.context.timezone, self.context.now()
        undated = (
            matrix.local_day(r.at, tz).isoformat()
            for lane in self.lanes
            if (r := lane.row) is not None and r.business_date is None and r.at is not None and lane.owes is None
        )
        self._newest = matrix.newest_date([*known, *owes, *undated], now, tz)

    def forget(self) -> None:
        """Runs or promises moved."""
        self._cells.clear()
        self._kept_since = None
        self._full = ((), ())

    def _last(self) -> date:
        newest = self._newest or matrix.newest_date((), self.context.now(), self.context.timezone)
        return newest - timedelta(days=self.back)

    def days(self) -> list[str]:
        return matrix.dates(self._last(), self._n)

    def read(self, *, count: bool = False) -> None:
        """What of the jobs in view is not known. ``count``: also how the dates were kept, which looks at every job and is
        never done between a key and its picture.
        """
        first = date.fromisoformat(self.days()[0])
        since = matrix.day_start(first, self.context.timezone) - DAY
        if self._since is None or since < self._since:
            self._since = since
            self._cells.clear()
        old = self._kept_since is None or since < self._kept_since
        if count and old and self.context.now() - self._counted_at >= COUNT_MS:
            self._kept_since, self._counted_at = since, self.context.now()
            self._kept = self.context.reader.kept_by_date(since)
        top = window(self._top, self.index, self.page, len(self.lanes))
        shown = self.lanes[top : top + self.page]
        if any(lane.key not in self._cells for lane in shown):
            self.read_lanes(self.lanes[max(top - AHEAD, 0) : top + self.page + AHEAD])
        self._look_closer()

    def _look_closer(self) -> None:
        """The whole of the promises of the cell under the cursor."""
        ids = tuple(row.id for row in self.cell.owes[:2])
        if ids != self._full[0]:
            found = [self.context.reader.owed_one(i) for i in ids]
            self._full = ids, tuple(row for row in found if row is not None)

    @property
    def owes(self) -> tuple[OwedRow, ...]:
        """Promises of the cell under the cursor, the worst first."""
        return self._full[1]

    def read_lanes(self, lanes: Iterable[Lane]) -> None:
        wanted = [lane for lane in lanes if lane.key not in self._cells]
        since, until = self._since or 0, self.context.now() + 2 * DAY
        ids = [lane.id for lane in wanted if lane.id is not None]
        due = self.context.reader.owed_dates(ids, since, until)
        bars = self.context.reader.dated(ids, since)
        others: dict[str, list[DatedRow]] = {}
        for row in due.get(None, ()):
            others.setdefault(row.thing, []).append(row)
        tz = self.context.timezone
        for lane in wanted:
            rows = due.get(lane.id, ()) if lane.id is not None else others.get(lane.key, ())
            runs = bars.get(lane.id, ()) if lane.id is not None else ()
            self._cells[lane.key] = matrix.cells_of(rows, runs, tz, stale=lane.stale)

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
        return self.day if self.day is not None and days[0] <= self.day <= days[-1] else days[-1]

    @property
    def cell(self) -> Cell:
        lane = self.here
        return EMPTY if lane is None else self._cells.get(lane.key, {}).get(self.date, EMPTY)

    def move(self, by: int) -> None:
        if self.lanes:
            self.cursor = self.lanes[min(max(self.index + by, 0), len(self.lanes) - 1)].key
            self.read()

    def turn(self, by: int) -> bool:
        """A date further; at the left edge the dates move. False: there is no newer one."""
        days = self.days()
        wanted = date.fromisoformat(self.date) + timedelta(days=by)
        if wanted > self._last() and self.back == 0:
            return False
        self.day = wanted.isoformat()
        if self.day < days[0]:
            self.back += 1
        elif self.day > days[-1]:
            self.back -= 1
        self.read()
        return True

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, room: int, note: str) -> list[Line]:
        most = max((n for _, n in self._kept.values()), default=0)
        grid = Grid.of(width, most)
        if grid.n != self._n:
            self._n = grid.n
            self.read()
        days = self.days()
        body = max(room - 6 - self._about_rows(room), 1)
        self.page = body
        self._top = window(self._top, self.index, body, len(self.lanes))
        shown = self.lanes[self._top : self._top + body]
        if any(lane.key not in self._cells for lane in shown):
            self.read()
        total = len(self.lanes)
        where = f"{self._top + 1}–{min(self._top + body, total)} of {total}" if total > body else str(total)
        out: list[Line] = [
            lines.rule(self.title, f"{where} jobs by business date{note}", self._hint(width), width, focused=True),
            *matrix.head_lines(days, grid, self.date),
        ]
        before = None
        for lane in shown:
            layer = "" if lane.layer == before else lane.layer
            before = lane.layer
            here = lane.key == self.cursor
            line = matrix.row_line(lane, layer, self._cells.get(lane.key, {}), days, grid, here=here, at=self.date)
            if here:
                line = lines.fit(line, width)
                line[-1] = (line[-1][0], line[-1][1]) if "on:" in line[-1][1] else (line[-1][0], "on:cursor-bg")
            out.append(line)
        out += matrix.foot_lines(days, self._kept, grid)
        out += [[]] * max(room - self._about_rows(room) - len(out), 0)
        return [*out, *self._about(width, room)]

    @staticmethod
    def _about_rows(room: int) -> int:
        return 5 if room >= 24 else 3

    def _hint(self, width: int) -> str:
        return "✓ met  ▲ warning  ✗ failed  ∅ missed  ◇ owed  ◆ in danger  ? unknown" if width >= 120 else ""

    def _about(self, width: int, room: int) -> list[Line]:
        lane, rows = self.here, self._about_rows(room)
        if lane is None:
            return []
        tz, now = self.context.timezone, self.context.now()
        out: list[Line] = [lines.rule(lane.name, lane.layer, "", width)]
        for said in matrix.about(lane, self.date, self.cell, self.owes, self._kept.get(self.date), tz, now)[: rows - 1]:
            out.append([(" ", ""), *words.sentence(said, width - 2)])
        return out

    def nothing(self) -> list[Line]:
        pane = keymap.key_of("view.pane")
        return [
            [("   nothing is expected: no pipeline has a schedule, and nothing is promised", "dim")],
            [
                ("   [[expectation]] says what is due by when   ", "dim"),
                (pane, "key b"),
                (" shows the chain", "dim"),
            ],
        ]

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Mapping[str, Any]:
        self.read(count=True)
        for i in range(0, len(self.lanes), CHUNK):
            self.read_lanes(self.lanes[i : i + CHUNK])
        days = self.days()
        kept = {d: {"kept": self._kept[d][0], "owed": self._kept[d][1]} for d in days if d in self._kept}
        jobs = [matrix.record(lane, self._cells.get(lane.key, {}), days) for lane in self.lanes]
        return {"dates": days, "counts": kept, "jobs": jobs}
