"""Layers: the chain from sources to readers, a column a layer, who waits for whom; the Matrix of business dates; the gap map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from engine.store.rows import FeedRow, FloorRow, OwedRow
from tui import keymap
from tui.present import chain, frame, layers, lines, words
from tui.present.chain import Chain, Hop, Lane
from tui.present.head import refresh_word
from tui.present.layers import LOOP
from tui.screens import window
from tui.screens.chain_pane import ChainPane
from tui.screens.gaps import GapsPane
from tui.screens.lists import Handler
from tui.screens.matrix import MatrixPane
from tui.screens.roster import PipelineScreen
from tui.view import Context, Effect, Line, Open, Say, Span

PANES: Final = ("chain", "matrix", "gaps")
"""In the order of the key for the next pane."""


class LayersView(PipelineScreen):
    """``arg``: ``matrix``, ``gaps``, or key of a pipeline to put the cursor on."""

    name: ClassVar[str] = "layers"
    title: ClassVar[str] = "Layers"
    contexts: ClassVar[tuple[str, ...]] = ("layers", "list", "global")

    def __init__(self, context: Context, arg: str | None = None) -> None:
        super().__init__(context)
        self.matrix = MatrixPane(context)
        self.gaps = GapsPane(context)
        self.drawn = ChainPane(self)
        self.pane = arg if arg in PANES else "chain"
        self.all: list[Lane] = []
        self.lanes: list[Lane] = []
        self.by_key: dict[str, Lane] = {}
        self.chain: Chain = chain.chain_of((), {})
        self.hops: list[Hop] = []
        self.cursor: str | None = None if arg in PANES else arg
        self._feeds: Sequence[FeedRow] = ()
        self._places: dict[str, int] = {}

    # --- reading ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The head always; rows, promises and edges where they moved."""
        moved, judged = self.refresh()
        if "owed" in moved:
            self._feeds = self.context.reader.feeds()
        if moved & {"run", "owed", "pipeline"}:
            self.matrix.forget()
            self.gaps.forget(moved)
        if judged:
            self._lay()
        if moved & {"owed", "pipeline"}:
            self.chain = chain.chain_of(self.context.reader.edges(), {k: v.layer for k, v in self.by_key.items()})
        if self.grid is not None:
            self.grid.read(count=True)

    def _lay(self) -> None:
        assert self.head is not None
        silent = self.silent
        since = frame.silent_since(self.context, self.head.engine)
        owes = self.roster.owed
        found = list(self.pipelines.values())
        feeds = {f"feed:{f.name}": f for f in self._feeds}
        for thing, row in owes.items():
            if row.pipeline_id is None:
                feed = feeds.pop(thing, None)
                layer = feed.layer if feed is not None else None
                found.append(layers.thing_lane(row, layer, silent=silent, silent_since=since))
        found += [layers.feed_lane(f, silent=silent, silent_since=since) for f in feeds.values()]
        self.all = layers.by_layer(found)
        self.by_key = {lane.key: lane for lane in self.all}
        self.hops = chain.hops(self.all)
        self._choose()

    def _choose(self) -> None:
        self.lanes = [lane for lane in self.all if not self.filter or self.passes(lane)]
        self._places = {lane.key: i for i, lane in enumerate(self.lanes)}
        if self.cursor not in self._places:
            first = next((lane for lane in self.lanes if lane.loud), self.lanes[0] if self.lanes else None)
            self.cursor = first.key if first is not None else None
        self.matrix.rows(self.lanes)
        self.gaps.rows(self.lanes)

    def work(self) -> bool:
        return self.gaps.work(here=self.grid is self.gaps)

    def filtered(self) -> None:
        self._choose()
        if self.grid is not None:
            self.grid.read()

    # --- the cursor -------------------------------------------------------------------------------------------------

    @property
    def grid(self) -> MatrixPane | GapsPane | None:
        """The pane of dates that is open; None: the chain is."""
        return None if self.pane == "chain" else self.matrix if self.pane == "matrix" else self.gaps

    def _index(self) -> int:
        return self._places.get(self.cursor or "", 0)

    @property
    def here(self) -> Lane | None:
        if self.grid is not None:
            return self.grid.here
        return self.lanes[self._index()] if self.lanes else None

    @property
    def row(self) -> FloorRow | None:
        return self.here.row if self.here is not None else None

    @property
    def owes(self) -> OwedRow | None:
        if self.grid is not None:
            owes = self.grid.owes
            return owes[0] if owes else None
        return self.here.owes if self.here is not None else None

    @property
    def here_name(self) -> str:
        return self.here.name if self.here is not None else "this row"

    @property
    def run_key(self) -> str | None:
        if self.grid is not None:
            return self.gaps.run_key if self.grid is self.gaps else self.grid.cell.run_key
        return None if self.row is None else self.row.run_key

    @property
    def length(self) -> int:
        return len(self.lanes if self.grid is None else self.grid.lanes)

    def move(self, by: int) -> None:
        if self.grid is not None:
            self.grid.move(by)
        elif self.lanes:
            self.cursor = self.lanes[min(max(self._index() + by, 0), len(self.lanes) - 1)].key

    def _aside(self, way: int) -> Sequence[Effect]:
        """To the next layer, near the row where the cursor is; in the Matrix and the gap map a date."""
        if self.grid is not None:
            end = "newest business" if way > 0 or self.grid is self.matrix else "oldest"
            return () if self.grid.turn(way) else (Say(f"this is the {end} date"),)
        lane = self.here
        if lane is None:
            return (Say("there is no row here"),)
        groups = self.drawn.groups()
        names = list(groups)
        at = names.index(lane.layer)
        to = at + way
        if not 0 <= to < len(names):
            return (Say(f"{lane.layer} is the {'first' if way < 0 else 'last'} layer"),)
        if self.drawn.columns:
            place = groups[lane.layer].index(lane) - self.drawn.tops.get(lane.layer, 0)
            there = groups[names[to]]
            self.cursor = there[min(max(place + self.drawn.tops.get(names[to], 0), 0), len(there) - 1)].key
        else:
            self.cursor = groups[names[to]][0].key
        return ()

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        if self.head is None:
            self.load()
        assert self.head is not None
        ctx, head = self.context, self.head
        if frame.is_tiny(width, height):
            return frame.tiny(
                ctx,
                head,
                self.verdict,
                self._tiny(max(height - 3, 1)),
                width,
                height,
                self._footer(width) if self.typing else None,
            )
        top = self.top_rows(width)
        room = height - len(top) - 1
        basis = self.basis_rows(width) if self.basis else []
        basis = basis[: max(room // 2, 3)]
        body = self._body(width, room - len(basis))
        body = [*body, *[[]] * (room - len(basis) - len(body)), *basis]
        return frame.page(ctx, top, self.under_menu(body, width, room), self._footer(width), width, height)

    def _tiny(self, room: int) -> list[list[Span]]:
        shown = self.lanes if self.grid is None else self.grid.lanes
        at = self._index() if self.grid is None else self.grid.index
        self.drawn.top = window(self.drawn.top, at, room, len(shown))
        out: list[list[Span]] = []
        for i, lane in enumerate(shown[self.drawn.top : self.drawn.top + room], self.drawn.top):
            mark = ("▌", "mark") if i == at else (" ", "")
            out.append(
                [mark, (lane.look.glyph, lane.look.style), (" ", ""), (lane.name, "text b" if i == at else "text")]
            )
        return out

    def _body(self, width: int, room: int) -> list[Line]:
        note = f" · {self.filter_note('', '')}" if self.filter else ""
        if self.grid is not None:
            if self.grid.lanes:
                return self.grid.paint(width, room, note)
            return [
                lines.rule(self.grid.title, "", "", width, focused=True),
                *(self.grid.nothing() if self.lanes else self._nothing()),
            ]
        n = f"{len(self.lanes)} of {len(self.all)}{note}" if self.filter else _counted(self.all)
        if self.silent:
            since = frame.silent_since(self.context, self.head.engine if self.head else None)
            n += f" · as of {words.clock(since, self.context.timezone, self.context.now())}"
        hint = f"→ waits · {LOOP} next day" if width >= 60 else ""
        out: list[Line] = [lines.rule("Chain", n, hint, width, focused=True)]
        if not self.lanes:
            return [*out, *self._nothing()]
        return [*out, *self.drawn.paint(width, room - len(out))]

    def _nothing(self) -> list[Line]:
        if self.filter:
            return self.empty_rows("no pipeline is like that", self.culprit(self.all))
        sources = keymap.key_of("screen.sources")
        return [
            [(f"   {frame.no_pipeline(self.head.sources if self.head else ())}", "dim")],
            [("   ", ""), (sources, "key b"), (" says how the sources are", "dim")],
        ]

    def _footer(self, width: int) -> Line:
        if self.field is not None:
            return self.field_row(width, f"{self.length} shown")
        following = {"chain": "matrix", "matrix": "gaps", "gaps": "chain"}[self.pane]
        said = {"view.pane": following, "list.open": "story" if self.grid is None else "run"}
        ids = [
            "list.open",
            "view.pane",
            "time.left",
            "time.right",
            "list.filter",
            "owed.basis",
            "owed.waive",
            "run.history",
        ]
        if self.grid is self.gaps:
            ids = list(dict.fromkeys(["list.open", "owed.basis", "pipeline.backfill", "gaps.mark", *ids]))
            said |= {"owed.basis": "why", "pipeline.backfill": "fill"}
        if self.silent:
            ids = ["app.refresh", "screen.sources", *ids]
            said |= {"app.refresh": refresh_word(self.context), "screen.sources": "why"}
        ids += ["action.menu", "screen.timeline", "screen.deadlines", "nav.back", "app.quit"]
        said |= (
            {"time.left": "date before", "time.right": "date after"}
            if self.grid is not None
            else {"time.left": "layer before", "time.right": "layer after"}
        )
        return frame.footer_row(keymap.footer(self.contexts, width, only=ids, words=said), width)

    # --- keys -------------------------------------------------------------------------------------------------------

    def handlers(self) -> dict[str, Handler]:
        return {
            **super().handlers(),
            "list.open": self._open,
            "view.pane": self._pane,
            "time.left": lambda: self._aside(-1),
            "time.right": lambda: self._aside(1),
            "gaps.mark": self._range,
        }

    def _pane(self) -> Sequence[Effect]:
        """Chain, Matrix, gap map; the cursor stays on its pipeline where the next pane has it."""
        lane = self.here
        self.pane = PANES[(PANES.index(self.pane) + 1) % len(PANES)]
        self.basis = False
        if lane is not None and self.grid is None:
            self.cursor = lane.key
        elif lane is not None and self.grid is not None and any(m.key == lane.key for m in self.grid.lanes):
            self.grid.cursor = lane.key
        if self.grid is not None:
            self.grid.read()
        return ()

    # --- the gap map ------------------------------------------------------------------------------------------------

    def _basis(self) -> Sequence[Effect]:
        if self.grid is not self.gaps:
            return super()._basis()
        self.basis = not self.basis
        return ()

    def basis_rows(self, width: int) -> list[Line]:
        if self.grid is not self.gaps:
            return super().basis_rows(width)
        rule = lines.rule(self.here_name, f"{self.gaps.date}, why", "Esc close", width, focused=True)
        return [rule, *self.gaps.why(width)]

    def _range(self) -> Sequence[Effect]:
        if self.grid is not self.gaps:
            return (Say("this key begins a range of dates in the gap map"),)
        return (Say(self.gaps.mark()),)

    def verb(self, action: str) -> Sequence[Effect]:
        """A backfill from the gap map is for the dates under the cursor; it fills what is missing and what failed."""
        row = self.row
        if action != "pipeline.backfill" or self.grid is not self.gaps or row is None:
            return super().verb(action)
        return self.gaps.fill(row, self.source_of(row))

    def _open(self) -> Sequence[Effect]:
        lane = self.here
        if lane is None:
            return ()
        key = self.run_key
        if key is not None:
            return (Open("run", key),)
        if self.grid is not None:
            return (Say(f"{lane.name}, {self.grid.date}: {self.grid.cell.look.word}, there is no run to open"),)
        if lane.row is None:
            return (Open("deadlines"),)
        return (Say(f"{lane.name} has not run yet: there is nothing to show"),)

    # --- for scripts ------------------------------------------------------------------------------------------------

    def data(self) -> Any:
        if self.head is None:
            self.load()
        return {
            "layers": [
                {"layer": h.layer, "total": h.total, "done": h.done, "worst": h.worst, "counts": dict(h.counts)}
                for h in self.hops
            ],
            "pipelines": self.rows(),
            "matrix": self.matrix.data(),
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.head is None:
            self.load()
        return [layers.record(lane, self.chain) for lane in self.lanes]


def _counted(lanes: Sequence[Lane]) -> str:
    """``24 pipelines · 1 other``: feeds, heartbeats and sets are no pipelines."""
    n = sum(lane.row is not None for lane in lanes)
    more = len(lanes) - n
    return words.many(n, "pipeline") + (f" · {words.many(more, 'feed or other', 'feeds and others')}" if more else "")
