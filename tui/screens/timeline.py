"""Timeline: lanes of pipelines on one axis of time; what ran, what is expected, what is due. Only lanes in view are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from engine.store.rows import Bar, FeedRow, FloorRow, OwedRow, SpanRow
from tui import keymap
from tui.present import frame, lines, timeline, words
from tui.present.chain import Lane
from tui.present.cut import clean
from tui.present.layers import by_layer, next_due, thing_lane
from tui.present.timeline import DAY_ZOOM, ZOOMS, Axis, Frame, Zoom
from tui.screens import window
from tui.screens.lists import Handler
from tui.screens.roster import PipelineScreen
from tui.view import Context, Effect, Line, Open, Say, Span

GROUPS = ("layer", "source", "due")
AHEAD = 3
"""Lanes asked for on both sides of those in view: a key must never wait for what nobody sees."""
CHUNK = 200


class TimelineView(PipelineScreen):
    """``arg``: key of a pipeline to put the cursor on."""

    name: ClassVar[str] = "timeline"
    title: ClassVar[str] = "Timeline"
    contexts: ClassVar[tuple[str, ...]] = ("timeline", "list", "global")

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.zoom = DAY_ZOOM
        self.start: int | None = None
        """Where the view begins; None: it follows now."""
        self.group = 0
        self.all: list[Lane] = []
        self.lanes: list[Lane] = []
        self.quiet = 0
        """Lanes left out because nothing is in view."""
        self.cursor: str | None = arg
        self.bars: dict[int, tuple[Bar, ...]] = {}
        self.due: dict[int | None, tuple[OwedRow, ...]] = {}
        self.spans: Sequence[SpanRow] = ()
        self.next: OwedRow | None = None
        self._feeds: Sequence[FeedRow] = ()
        self._range: tuple[int, int] | None = None
        self._places: dict[str, int] = {}
        self._table: tuple[bool, list[Lane | str], list[int]] | None = None
        """Lanes and the titles of their groups as rows, with the row of each lane, for screens with or without rules."""
        self._top = 0
        """First lane in view, as it was last painted."""
        self._scroll = 0
        """First row of the table of lanes and rules in view."""

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def _zoom(self) -> Zoom:
        return ZOOMS[self.zoom]

    def span(self) -> tuple[int, int]:
        """The instants in view: [start, end)."""
        start = self.start
        if start is None:
            start = timeline.begin(self.context.now(), self._zoom, self.context.timezone)
        return start, start + self._zoom.span

    def load(self) -> None:
        """The head always; rows and promises where they moved; the lanes in view where those or the time moved."""
        moved, judged = self.refresh()
        if "owed" in moved:
            self._feeds = self.context.reader.feeds()
            self.next = next_due(self.roster.owed.values(), self.context.now())
        if moved & {"run", "pipeline", "owed"}:
            self.bars.clear()
            self.due.clear()
        if judged:
            self._lay()
        self._moved(again="owed" in moved)

    def _lay(self) -> None:
        assert self.head is not None
        silent = self.silent
        since = frame.silent_since(self.context, self.head.engine)
        owes = self.roster.owed
        found = list(self.pipelines.values())
        layers = {f"feed:{f.name}": f.layer for f in self._feeds}
        for thing, row in owes.items():
            if row.pipeline_id is None:
                found.append(thing_lane(row, layers.get(thing), silent=silent, silent_since=since))
        self.all = self._ordered(found)
        self._choose()

    def _ordered(self, lanes: Sequence[Lane]) -> list[Lane]:
        match GROUPS[self.group]:
            case "source":
                return sorted(lanes, key=lambda lane: (self._group_of(lane), lane.name, lane.key))
            case "due":
                return sorted(lanes, key=self._by_due)
            case _:
                return by_layer(lanes)

    @staticmethod
    def _by_due(lane: Lane) -> tuple[int, int, str, str]:
        o, r = lane.owes, lane.row
        if o is not None and not o.settled:
            return 0, o.due, lane.name, lane.key
        if r is not None and r.next_run is not None:
            return 1, r.next_run, lane.name, lane.key
        return 2, 0, lane.name, lane.key

    def _group_of(self, lane: Lane) -> str:
        if GROUPS[self.group] == "source":
            return clean(lane.row.source) if lane.row is not None else lane.key.partition(":")[0] + "s"
        return lane.layer

    def _choose(self) -> None:
        """Lanes of the filter; without one, those of which it is not known that they have nothing in view."""
        a, b = self.span()
        if self.filter:
            self.lanes = [lane for lane in self.all if self.passes(lane)]
            self.quiet = 0
        else:
            self.lanes = [lane for lane in self.all if not timeline.nothing_here(lane, a, b)]
            self.quiet = len(self.all) - len(self.lanes)
        self._places = {lane.key: i for i, lane in enumerate(self.lanes)}
        self._table = None
        if self.cursor not in self._places:
            self.cursor = self.lanes[0].key if self.lanes else None

    def _moved(self, *, again: bool = False) -> None:
        """Where the time in view moved, choose lanes anew; then ask what is not known of those in view."""
        span = self.span()
        if span != self._range:
            self._range = span
            self.bars.clear()
            self.due.clear()
            again = True
            self._choose()
        if again:
            self.spans = self.context.reader.spans(*span)
        self._ask()

    def _ask(self) -> None:
        """Runs and promises of the lanes in view and some around them."""
        first = window(self._top, self._index(), self.page, len(self.lanes))
        last = first + self.page
        near = self.lanes[max(first - AHEAD, 0) : last + AHEAD]
        shown = self.lanes[first:last]
        if any(lane.id is not None and lane.id not in self.bars for lane in shown) or None not in self.due:
            self._read_lanes(lane.id for lane in near)

    def _read_lanes(self, ids: Iterable[int | None]) -> None:
        wanted = [i for i in ids if i is not None and i not in self.bars]
        a, b = self._range or self.span()
        reader = self.context.reader
        bars = reader.bars(wanted, a, b)
        due = reader.owed_in(wanted, a, b)
        for i in wanted:
            self.bars[i] = bars.get(i, ())
            self.due[i] = due.get(i, ())
        self.due[None] = due.get(None, ())

    def _due_of(self, lane: Lane) -> tuple[OwedRow, ...]:
        if lane.id is not None:
            return self.due.get(lane.id, ())
        return tuple(o for o in self.due.get(None, ()) if o.thing == lane.key)

    def _bars_of(self, lane: Lane) -> tuple[Bar, ...]:
        return () if lane.id is None else self.bars.get(lane.id, ())

    # --- the cursor -------------------------------------------------------------------------------------------------

    def _index(self) -> int:
        return self._places.get(self.cursor or "", 0)

    @property
    def here(self) -> Lane | None:
        return self.lanes[self._index()] if self.lanes else None

    @property
    def row(self) -> FloorRow | None:
        return self.here.row if self.here is not None else None

    @property
    def owes(self) -> OwedRow | None:
        return self.here.owes if self.here is not None else None

    @property
    def run_key(self) -> str | None:
        lane = self.here
        if lane is None:
            return None
        bar = timeline.bar_here(self._bars_of(lane), self.context.now(), self.span()[1])
        return None if bar is None else bar.run_key

    @property
    def length(self) -> int:
        return len(self.lanes)

    def move(self, by: int) -> None:
        if self.lanes:
            self.cursor = self.lanes[min(max(self._index() + by, 0), len(self.lanes) - 1)].key
            self._ask()

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        if frame.is_tiny(width, height):
            names = self._tiny(max(height - 3, 1))
            return frame.tiny(ctx, head, self.verdict, names, width, height)
        top = self.top_rows(width)
        room = height - len(top) - 1
        body = self.under_menu(self._body(width, room), width, room)
        return frame.page(ctx, top, body, self._footer(width), width, height)

    def _tiny(self, room: int) -> list[list[Span]]:
        at = self._index()
        self._top = window(self._top, at, room, len(self.lanes))
        out: list[list[Span]] = []
        for i, lane in enumerate(self.lanes[self._top : self._top + room], self._top):
            mark = ("▌", "mark") if i == at else (" ", "")
            out.append(
                [mark, (lane.look.glyph, lane.look.style), (" ", ""), (lane.name, "text b" if i == at else "text")]
            )
        return out

    def _body(self, width: int, room: int) -> list[Line]:
        now, tz, narrow = self.context.now(), self.context.timezone, frame.is_narrow(width)
        grid = Frame.of(width)
        start, _ = self.span()
        axis = Axis(start, self._zoom.span // grid.cells, grid.cells)
        out: list[Line] = [
            lines.rule(self._zoom.word, self._note(axis), timeline.legend(width), width, focused=True),
            timeline.hours_row(axis, self._zoom, tz, grid.name),
            timeline.now_row(axis, now, tz, grid.name),
        ]
        basis = self.basis_rows(width) if self.basis else []
        basis = basis[: max(room // 2, 3)]
        gap = 0 if narrow or basis else 1
        rows = max(room - len(out) - len(basis) - gap - (0 if basis else 1), 1)
        shown = self._lanes(grid, axis, width, rows, rules=not narrow)
        out += [*shown, *[[]] * (rows - len(shown) + gap)]
        return [*out, *basis] if basis else [*out, self._foot(axis, width)]

    def _lanes(self, grid: Frame, axis: Axis, width: int, room: int, *, rules: bool) -> list[Line]:
        if not self.lanes:
            return self._nothing()
        now, mono = self.context.now(), self.context.mono
        table, places = self._rows_of(rules)
        at = self._index()
        place = places[at]
        self.page = max(room - 1, 1)
        first = max(place - 1, 0) if place and isinstance(table[place - 1], str) else place
        self._scroll = window(window(self._scroll, place, room, len(table)), first, room, len(table))
        out: list[Line] = []
        shown = table[self._scroll : self._scroll + room]
        seen = [t for t in shown if isinstance(t, Lane)]
        self._top = at - next((i for i, t in enumerate(seen) if t.key == self.cursor), 0)
        self._read_missing(seen)
        for item in shown:
            if isinstance(item, str):
                out.append(timeline.rule_line(item, grid, axis, now))
                continue
            cells = timeline.lane_spans(item, axis, self._bars_of(item), self._due_of(item), self.spans, now, mono=mono)
            here = item.key == self.cursor
            line = timeline.lane_line(item, grid, cells, here=here)
            out.append(timeline.cursor_line(line, width) if here else line)
        return out

    def _rows_of(self, rules: bool) -> tuple[list[Lane | str], list[int]]:
        if self._table is not None and self._table[0] == rules:
            return self._table[1:]
        table: list[Lane | str] = []
        places: list[int] = []
        before = None
        titled = rules and GROUPS[self.group] != "due"
        for lane in self.lanes:
            if titled and (group := self._group_of(lane)) != before:
                before = group
                table.append(group)
            places.append(len(table))
            table.append(lane)
        self._table = rules, table, places
        return table, places

    def _read_missing(self, lanes: Sequence[Lane]) -> None:
        """A screen that grew, or was never asked for: the one question that painting may put."""
        if any(lane.id is not None and lane.id not in self.bars for lane in lanes):
            self._read_lanes(lane.id for lane in lanes)

    def _note(self, axis: Axis) -> str:
        parts = [timeline.extent(axis, self.context.timezone, self.context.now())]
        parts.append(f"one cell {timeline.cell_words(axis.cell)}")
        if self.filter:
            parts.append(self.filter_note(str(len(self.lanes)), str(len(self.all))))
        elif GROUPS[self.group] != "layer":
            parts.append(f"by {GROUPS[self.group]}")
        if self.quiet:
            parts.append(f"{words.many(self.quiet, 'quiet lane')} hidden")
        return " · ".join(parts)

    def _nothing(self) -> list[Line]:
        now, out = (keymap.key_of(k) for k in ("time.now", "time.out"))
        if self.filter:
            return self.empty_rows("no pipeline is like that", self.culprit(self.all))
        if not self.all:
            sources = keymap.key_of("screen.sources")
            return [
                [(f"   {frame.no_pipeline(self.head.sources if self.head else ())}", "dim")],
                [("   ", ""), (sources, "key b"), (" says how the sources are", "dim")],
            ]
        said: list[Span] = [(f"   nothing ran, is expected or is due in these {self._zoom.word}   ", "dim")]
        said += [(out, "key b"), (" wider", "dim"), ("   ", ""), (now, "key b"), (" now", "dim")]
        return [said]

    def _foot(self, axis: Axis, width: int) -> Line:
        now, tz = self.context.now(), self.context.timezone
        clauses: list[words.Clause] = list(timeline.windows_words(self.spans, axis, tz, now))
        if self.silent:
            since = frame.silent_since(self.context, self.head.engine if self.head else None)
            clauses.insert(0, [("as of ", "dim"), (words.clock(since, tz, now), "run-stale b")])
        elif (due := self.next) is not None and due.due >= now:
            style = "run-late b" if due.state.name == "AT_RISK" else "text"
            said = f"{clean(due.name)} {words.clock(due.due, tz, now)} in {words.running(due.due - now)}"
            clauses.append([("next due ", "dim"), (said, style)])
        elif not self.roster.owed:
            clauses.append("nothing is owed yet: [[expectation]] says what is due by when, watchfloor check reads it")
        return [(" ", ""), *words.sentence(clauses, width - 2, "dim")]

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{len(self.lanes)} of {len(self.all)} lanes")
        step = (
            f"{self._zoom.step // words.HOUR} h" if self._zoom.step >= words.HOUR else f"{self._zoom.step // 60_000} m"
        )
        group = GROUPS[(self.group + 1) % len(GROUPS)]
        return frame.footer_row(
            paired(
                self.contexts,
                width,
                [
                    ("list.open", "story"), (("time.left", "time.right"), step), (("time.in", "time.out"), "zoom"),
                    ("time.now", "now"), ("list.filter", "filter"), ("time.group", f"by {group}"), ("owed.basis", ""),
                    ("owed.waive", ""), ("run.history", ""), ("screen.deadlines", ""), ("nav.back", ""),
                ],
            ),
            width,
        )  # fmt: skip

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            **super().handlers(),
            "list.open": self._open,
            "time.left": lambda: self._pan(-1),
            "time.right": lambda: self._pan(1),
            "time.in": lambda: self._zoomed(-1),
            "time.out": lambda: self._zoomed(1),
            "time.now": self._now,
            "time.group": self._regroup,
        }

    def _open(self) -> Sequence[Effect]:
        lane = self.here
        if lane is None:
            return ()
        key = self.run_key
        if key is not None:
            return (Open("run", key),)
        if lane.row is None:
            return (Open("deadlines"),)
        if lane.row.run_key is None:
            return (Say(f"{lane.name} has not run yet: there is nothing to show"),)
        return (Open("runs", lane.key),)

    def _pan(self, way: int) -> Sequence[Effect]:
        start, _ = self.span()
        self.start = start + way * self._zoom.step
        self._moved()
        return ()

    def _zoomed(self, way: int) -> Sequence[Effect]:
        before, zoom = self._zoom, min(max(self.zoom + way, 0), len(ZOOMS) - 1)
        if zoom == self.zoom:
            return (Say(f"{before.word} is the {'closest' if way < 0 else 'widest'} view"),)
        start, end = self.span()
        self.zoom = zoom
        if self.start is not None:
            middle = (start + end) // 2
            self.start = timeline.begin(middle, self._zoom, self.context.timezone)
        self._moved()
        return ()

    def _now(self) -> Sequence[Effect]:
        if self.start is None:
            return (Say("now is in view"),)
        self.start = None
        self._moved()
        return ()

    def _regroup(self) -> Sequence[Effect]:
        self.group = (self.group + 1) % len(GROUPS)
        self.all = self._ordered(self.all)
        self._choose()
        self._ask()
        return ()

    def filtered(self) -> None:
        self._choose()
        self._ask()

    # --- for scripts ------------------------------------------------------------------------------------------------

    def _whole(self) -> None:
        if self.head is None:
            self.load()
        ids = [lane.id for lane in self.lanes]
        for i in range(0, len(ids), CHUNK):
            self._read_lanes(ids[i : i + CHUNK])

    def data(self) -> Any:
        self._whole()
        start, end = self.span()
        return {
            "start": start, "end": end, "now": self.context.now(),
            "lanes": [timeline.record(lane, self._bars_of(lane), self._due_of(lane)) for lane in self.lanes],
            "windows": [
                {"name": s.name, "kind": s.kind, "on": s.match, "start": s.start, "end": s.until} for s in self.spans
            ],
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """One row a run and one a promise, by lane and time."""
        self._whole()
        out: list[dict[str, Any]] = []
        for lane in self.lanes:
            base = {"key": lane.key, "name": lane.name, "layer": lane.layer, "stale": lane.stale}
            for bar in self._bars_of(lane):
                out.append({**_EMPTY, **base, "what": "run", **timeline.run_record(bar)})
            for row in self._due_of(lane):
                out.append({**_EMPTY, **base, "what": "owed", **timeline.due_record(row)})
        return out


_EMPTY: Mapping[str, None] = dict.fromkeys(
    (
        "key", "name", "layer", "stale", "what", "state", "at", "started", "ended", "due", "met_at", "lateness_ms", "missed",
        "business_date", "run", "thing", "occurrence", "promise", "type", "declared", "p50", "p90", "late", "latest_start",
    )
)  # fmt: skip


def paired(
    contexts: Sequence[str], width: int, wanted: Sequence[tuple[str | tuple[str, str], str]]
) -> list[tuple[str, str]]:
    """Footer entries in this order, whole ones while they fit; two actions of one kind share a word: ``← → 2 h``."""
    out: list[tuple[str, str]] = []
    used = 1
    for ids, word in wanted:
        both = (ids,) if isinstance(ids, str) else ids
        found = [keymap.footer(contexts, 10_000, only=[i], words={i: word} if word else None) for i in both]
        if not all(found):
            continue
        entry = (" ".join(f[0][0] for f in found), word or found[0][0][1])
        n = len(entry[0]) + 1 + len(entry[1]) + (3 if out else 0)
        if used + n <= width - 10:
            used += n
            out.append(entry)
    return out
