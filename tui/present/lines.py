"""Columns → lines of (text, style). Blanks take the style of the cell before them, so that few style changes are
sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from tui.present.cut import cut, pad, width
from tui.present.glyphs import to_ascii

if TYPE_CHECKING:
    from tui.view import Line, Span

Cell = str | Sequence[tuple[str, str]]
"""Plain text, or spans with their own styles."""

GUTTER: Final = "▌"
MARK: Final = "●"
_LOUD: Final = ("rev", "strike", "on:")


@dataclass(frozen=True, slots=True)
class Column:
    """``gap``: blanks before it. Columns of width 0 are left out. Words left, numbers right."""

    title: str
    width: int
    align: Literal["l", "r"] = "l"
    gap: int = 1


@lru_cache(maxsize=1024)
def _loud(style: str) -> bool:
    """Whether blanks would show it. Asked some thousand times a paint, of a few dozen styles."""
    return any(word.startswith(_LOUD) for word in style.split())


def merge(spans: Iterable[Span]) -> list[Span]:
    """Neighbours of one style joined; blanks join the style on their left, unless blanks would show it."""
    out: list[Span] = []
    for text, style in spans:
        if not text:
            continue
        if out:
            last, before = out[-1]
            quiet = not text.strip(" ") and not _loud(before) and not _loud(style)
            if style == before or quiet:
                out[-1] = (last + text, before)
                continue
        out.append((text, style))
    return out


def cells(line: Iterable[Span]) -> int:
    """Width of a line."""
    return sum(width(text) for text, _ in line)


def text(line: Iterable[Span]) -> str:
    return "".join(part for part, _ in line)


def fit(line: Iterable[Span], n: int) -> list[Span]:
    """Exactly ``n`` cells: padded with blanks, or cut with ``…``."""
    spans = merge(line)
    used = cells(spans)
    if used == n:
        return spans
    if used < n:
        return merge([*spans, (" " * (n - used), "")])
    out: list[Span] = []
    left = n
    spare = not text(spans).rstrip(" ")[n:] and text(spans).isascii()  # only blanks are lost: no mark for that
    for part, style in spans:
        w = width(part)
        if w >= left:
            out.append((part[:left] if spare else pad(cut(part + " ", left), left), style))
            break
        out.append((part, style))
        left -= w
    return merge(out)


def _cell(cell: Cell, column: Column, style: str) -> list[Span]:
    if isinstance(cell, str):
        return [(pad(cell, column.width, column.align), style)]
    used = cells(cell)
    if used > column.width:
        return fit(cell, column.width)
    blanks = (" " * (column.width - used), "")
    return [blanks, *cell] if column.align == "r" else [*cell, blanks]


def row(columns: Sequence[Column], values: Sequence[Cell], style: str = "text", gutter: str = " ") -> list[Span]:
    """One line of a table: the gutter cell, then every column with its gap; plain cells take ``style``."""
    out: list[Span] = [(gutter, "")]
    for i, (column, value) in enumerate(zip(columns, values, strict=True)):
        if column.width <= 0:
            continue
        if i and column.gap:
            out.append((" " * column.gap, ""))
        out.extend(_cell(value, column, style))
    return merge(out)


def head(columns: Sequence[Column]) -> list[Span]:
    """The line of column titles."""
    return row(columns, [c.title for c in columns], "dim")


def cursor(line: Iterable[Span], n: int, *, mono: bool = False, focused: bool = True) -> list[Span]:
    """The row under the cursor: gutter ``▌``, ground ``cursor-bg``; without colours the whole row reversed."""
    spans = fit(line, n)
    if spans and spans[0][0]:
        first, style = spans[0]
        spans = [(GUTTER, "mark"), (first[1:], style), *spans[1:]]
    if mono:
        bold = {"b", "strike"}
        return merge((t, " ".join(["rev", *(w for w in s.split() if w in bold)])) for t, s in spans)
    ground = "on:cursor-bg" if focused else "on:cursor-blur-bg"
    kept = ((t, " ".join(w for w in s.split() if not w.startswith("on:") and w != "rev")) for t, s in spans)
    return merge((t, f"{s} {ground}".strip()) for t, s in kept)


def marked(line: Iterable[Span]) -> list[Span]:
    """A row with the sign of a mark in its gutter; the cursor's ground stays."""
    spans = list(line)
    if not spans or not spans[0][0]:
        return spans
    first, style = spans[0]
    ground = " ".join(w for w in style.split() if w.startswith("on:") or w == "rev")
    return [(MARK, f"mark b {ground}".strip()), (first[1:], style), *spans[1:]]


def recolour(line: Iterable[Span], token: str, keep: Sequence[str] = ("b",)) -> list[Span]:
    """All of it in one colour; only the words of ``keep`` survive (a stale row has no other colour)."""
    return merge((t, " ".join([token, *(w for w in s.split() if w in keep)])) for t, s in line)


def rule(title: str, note: str, hint: Cell, n: int, *, focused: bool = False) -> list[Span]:
    """A pane's title: `` Title note ─────── hint``; the focused pane's title in the key colour. Nothing of it
    overflows.
    """
    out: list[Span] = [(" ", ""), (title, "key b" if focused else "text b"), (" ", "")]
    room = n - cells(out) - 1
    if note:
        note = cut(note, max(room - 2, 0))
        out += [(note, "dim"), (" ", "dim")]
    end: list[Span] = [(hint, "dim")] if isinstance(hint, str) else list(hint)
    if end and cells(out) + cells(end) + 5 > n:
        end = []
    if end and cells(end):
        dashes = n - cells(out) - cells(end) - 2
        out += [("─" * dashes, "rule"), (" ", "rule"), *end]
    else:
        out.append(("─" * max(n - cells(out) - 1, 0), "rule"))
    return fit(out, n)


def ends(left: Iterable[Span], right: Iterable[Span], n: int) -> list[Span]:
    """Left and right on one line, one blank before the edge; the right part stays whole, the left is cut before it,
    never up to it: ``watchingq`` is no key.
    """
    right = list(right)
    r = cells(right)
    if not r:
        return fit(left, n)
    if r + 2 > n:
        return fit(right, n)
    gap = 0 if text(right).startswith(" ") else 1
    return merge([*fit(left, n - r - 1 - gap), (" " * gap, ""), *right, (" ", "")])


def finish(lines: Sequence[Line], n: int, height: int, *, ascii: bool = False) -> list[Line]:
    """Exactly ``height`` lines of exactly ``n`` cells; in plain ascii where asked."""
    out: list[Line] = [fit(line, n) for line in lines[:height]]
    while len(out) < height:
        out.append([(" " * n, "")])
    if ascii:
        out = [[(to_ascii(part), style) for part, style in line] for line in out]
    return out
