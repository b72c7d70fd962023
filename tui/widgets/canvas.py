"""The one widget: a full screen of lines that a View painted. It keeps them, compares, and refreshes only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.cells import Pens, Row, clean, fit, row_of
from tui.themes import Palette
from tui.view import Line

Frozen = tuple[tuple[str, str], ...]
_KEEP = 500
"""Lines remembered as strips and as cells; a Floor has 40, a scrolled table passes through many again and again."""


class Canvas(Widget):
    """Line-API widget over the whole screen.

    ``show`` takes lines of any number and width and never raises for what is in them. Where a terminal is driven by
    ``tui.terminal`` the cells go there directly (``paint_cells``); otherwise Textual's compositor asks for strips.
    """

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; }"
    can_focus = False

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.palette = palette
        self.lines: list[Frozen] = []
        self.paint_cells: Callable[[list[Row]], None] | None = None
        self.pens: Pens | None = None
        self.encoding: str | None = None
        self._strips: dict[tuple[Frozen, int], Strip] = {}
        self._rows: dict[tuple[Frozen, int], Row] = {}
        self._fitted: tuple[int, int] = (0, 0)

    def use(self, palette: Palette) -> None:
        """Other colours: everything is painted again."""
        self.palette = palette
        self._strips.clear()
        self._rows.clear()
        self._publish(range(len(self.lines)))

    def show(self, lines: Sequence[Line], width: int, height: int) -> None:
        """Put these lines on the screen; only rows that differ from what stands there cost anything."""
        new = [tuple(line) for line in lines[:height]]
        new += [()] * (height - len(new))
        old = self.lines
        if self._fitted != (width, height):
            changed: Sequence[int] = range(height)
            self._fitted = (width, height)
        else:
            changed = [y for y in range(height) if y >= len(old) or new[y] != old[y]]
        self.lines = new
        if changed:
            self._publish(changed)

    def text(self) -> str:
        """The rows as bare text, harmless."""
        return "\n".join(clean("".join(part for part, _ in line)).rstrip() for line in self.lines)

    def _publish(self, changed: Sequence[int]) -> None:
        if self.paint_cells is not None and self.pens is not None:
            self.paint_cells([self._row(line) for line in self.lines])
        elif self.is_attached:
            width = self._fitted[0]
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def _row(self, line: Frozen) -> Row:
        width = self._fitted[0]
        row = self._rows.get((line, width))
        if row is None:
            assert self.pens is not None
            if len(self._rows) >= _KEEP:
                self._rows.clear()
            spans = [(text, self.palette.style(name)) for text, name in fit(line, width)]
            row = self._rows[(line, width)] = row_of(spans, self.pens, self.encoding)
        return row

    def render_line(self, y: int) -> Strip:
        line = self.lines[y] if y < len(self.lines) else ()
        width = self._fitted[0] or self.size.width
        strip = self._strips.get((line, width))
        if strip is None:
            if len(self._strips) >= _KEEP:
                self._strips.clear()
            segments = [Segment(text, self.palette.style(name)) for text, name in fit(line, width)]
            strip = self._strips[(line, width)] = Strip(segments, width)
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """Strips as they are: they carry their own ground, so Textual's styles and filters have nothing to add."""
        left, right = crop.x, crop.right
        return [
            strip if left == 0 and right == strip.cell_length else strip.crop(left, right)
            for strip in (self.render_line(y) for y in range(crop.y, crop.bottom))
        ]
