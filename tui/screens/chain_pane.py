"""The chain of the Layers as it is painted: a column a layer, or in a narrow terminal one below the other; below it what has to
do with the cursor's pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tui.present import frame, layers, lines, words
from tui.present.chain import Hop, Lane
from tui.present.layers import LOOP, About
from tui.screens import window
from tui.view import Line, Span

if TYPE_CHECKING:
    from tui.screens.layers import LayersView

COLUMN = 27
"""Cells of a layer's column at least."""


class ChainPane:
    """What stands where, of the lanes of ``view``; the cursor is the view's."""

    def __init__(self, view: LayersView) -> None:
        self.view = view
        self.top = 0
        self.tops: dict[str, int] = {}
        """First pipeline that is shown, by layer."""
        self.columns = False
        """Painted as columns the last time."""
        self._left = 0

    def paint(self, width: int, room: int) -> list[Line]:
        self.columns = not frame.is_narrow(width)
        about = self._about(width, 5 if room >= 23 else 4)
        free = room - len(about)
        if self.columns:
            return [self._strip(width), *self._as_columns(width, free - 1), *about]
        return [*self._as_list(width, free), *about]

    def groups(self) -> dict[str, list[Lane]]:
        out: dict[str, list[Lane]] = {}
        for lane in self.view.lanes:
            out.setdefault(lane.layer, []).append(lane)
        return out

    def _strip(self, width: int) -> Line:
        """The whole chain on one line: how far each layer is; what does not fit loses its counts."""
        for short in (False, True):
            spans: list[Span] = [(" ", "")]
            for i, hop in enumerate(self.view.hops):
                if i:
                    spans.append((" → ", "dim"))
                here = self.view.here is not None and self.view.here.layer == hop.layer
                spans += [(hop.layer, "key b" if here else "text b"), (" ", "")]
                spans += [(f"{hop.done}/{hop.total}", hop.style)] if short else hop.short()
            if lines.cells(spans) < width:
                break
        return lines.fit(spans, width)

    def _related(self) -> tuple[Mapping[str, tuple[str, str]], set[str]]:
        """Marks before and after each pipeline that has to do with the cursor's: ``→`` before who waits for it, after what it
        waits for, ``↺`` across days; and the next ones."""
        lane = self.view.here
        if lane is None:
            return {}, set()
        marks: dict[str, tuple[str, str]] = dict.fromkeys(self.view.chain.descendants(lane.key), ("→", " "))
        for key in self.view.chain.ancestors(lane.key):
            marks[key] = (" ", "→")
        for key in self.view.chain.loops_from(lane.key):
            marks[key] = (LOOP, marks.get(key, ("", " "))[1])
        for key in self.view.chain.loops_to(lane.key):
            marks[key] = (marks.get(key, (" ", ""))[0], LOOP)
        near = {*self.view.chain.up.get(lane.key, ()), *self.view.chain.down.get(lane.key, ())}
        return marks, near

    def _rows_of(self, group: Sequence[Lane]) -> list[Lane | tuple[str, list[str]]]:
        """Pipelines of a layer, under each whom it feeds on the next day."""
        out: list[Lane | tuple[str, list[str]]] = []
        for lane in group:
            out.append(lane)
            if back := self.view.chain.loops_from(lane.key):
                out.append((lane.key, [self.view.by_key[k].name if k in self.view.by_key else "?" for k in back]))
        return out

    def _line(
        self,
        item: Lane | tuple[str, list[str]],
        n: int,
        marks: Mapping[str, tuple[str, str]],
        near: set[str],
        *,
        plain: bool = False,
    ) -> list[Span]:
        if not isinstance(item, Lane):
            return layers.loop_item(item[1], n)
        tz, now = self.view.context.timezone, self.view.context.now()
        here = item.key == self.view.cursor
        before, after = marks.get(item.key, (" ", " "))
        line = layers.item(item, n, tz, now, here=here, before=before, after=after, near=item.key in near)
        return lines.cursor(line, n) if here and not plain else line

    def _as_columns(self, width: int, room: int) -> list[Line]:
        groups = self.groups()
        names = list(groups)
        n = min(max((width - 1) // COLUMN, 1), len(names))
        at = names.index(self.view.here.layer) if self.view.here is not None else 0
        self._left = window(self._left, at, n, len(names))
        shown = names[self._left : self._left + n]
        wide = (width - 1) // n
        marks, near = self._related()
        hops = {hop.layer: hop for hop in self.view.hops}
        self.view.page = max(room - 2, 1)
        columns = [
            self._column(groups[name], hops[name], wide - 1, room, marks, near, last=name == names[-1])
            for name in shown
        ]
        return [lines.merge(span for column in columns for span in (*column[y], (" ", ""))) for y in range(room)]

    def _column(
        self,
        group: Sequence[Lane],
        hop: Hop,
        n: int,
        room: int,
        marks: Mapping[str, tuple[str, str]],
        near: set[str],
        *,
        last: bool,
    ) -> list[list[Span]]:
        """A layer: its name, how far it is, its pipelines; what has to do with the cursor's is brought into view."""
        table = self._rows_of(group)
        rows = max(room - 2, 1)
        keys = [i.key if isinstance(i, Lane) else "" for i in table]
        wanted = [i for i, k in enumerate(keys) if k == self.view.cursor] or [
            i for i, k in enumerate(keys) if k in near
        ]
        wanted = wanted or [i for i, k in enumerate(keys) if k in marks]
        top = self.tops.get(hop.layer, 0)
        top = (
            window(window(top, wanted[-1], rows, len(table)), wanted[0], rows, len(table))
            if wanted
            else window(top, top, rows, len(table))
        )
        self.tops[hop.layer] = top
        hidden = len(table) - rows
        title = hop.layer + (f" {top + 1}–{min(top + rows, len(table))} of {len(table)}" if hidden > 0 else "")
        title = title[: max(n - 6, 1)]
        head: list[Span] = [
            (" ", ""),
            (title, "text b"),
            (" ", ""),
            ("─" * max(n - len(title) - 4, 0), "rule"),
            ("─ " if last else "→ ", "rule" if last else "dim"),
        ]
        out = [lines.fit(head, n), lines.fit([(" ", ""), *words.sentence(hop.clauses(), n - 1)], n)]
        out += [self._line(item, n, marks, near) for item in table[top : top + rows]]
        return [*out, *([(" " * n, "")] for _ in range(room - len(out)))]

    def _as_list(self, width: int, room: int) -> list[Line]:
        """Narrow: the layers one below the other, each further in."""
        marks, near = self._related()
        hops = {hop.layer: hop for hop in self.view.hops}
        table: list[Hop | Lane | tuple[str, list[str]]] = []
        place = 0
        for name, group in self.groups().items():
            table.append(hops[name])
            for item in self._rows_of(group):
                if isinstance(item, Lane) and item.key == self.view.cursor:
                    place = len(table)
                table.append(item)
        self.view.page = max(room - 1, 1)
        first = place - 1 if place and isinstance(table[place - 1], Hop) else place
        self.top = window(window(self.top, place, room, len(table)), first, room, len(table))
        out: list[Line] = []
        for item in table[self.top : self.top + room]:
            if isinstance(item, Hop):
                out.append(
                    lines.fit(
                        [(" ", ""), (f"{item.layer:<5} ", "text b"), *words.sentence(item.clauses(), width - 8)],
                        width,
                    )
                )
            else:
                out.append(self._indented(item, width, marks, near))
        return out

    def _indented(
        self, item: Lane | tuple[str, list[str]], width: int, marks: Mapping[str, tuple[str, str]], near: set[str]
    ) -> Line:
        here = isinstance(item, Lane) and item.key == self.view.cursor
        line: Line = [("  ", ""), *self._line(item, width - 3, marks, near, plain=True), (" ", "")]
        return lines.cursor(line, width) if here else line

    def _about(self, width: int, rows: int) -> list[Line]:
        lane = self.view.here
        if lane is None:
            return []
        tz, now = self.view.context.timezone, self.view.context.now()
        about = About(lane, self.view.chain, self.view.by_key)
        said = [
            about.upstream(tz, now, width),
            about.waits(width),
            about.blocks(tz, now, width),
            about.owes(tz, now, width),
        ]
        return [lines.rule(lane.name, lane.layer, "", width), *said[: rows - 1]]
