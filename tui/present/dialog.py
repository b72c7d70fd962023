"""What a dialog is drawn with: labelled text that wraps and is never cut, a box laid over a screen, what scrolls between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tui.present.cut import width as cells_of
from tui.present.lines import cells, fit, merge

if TYPE_CHECKING:
    from tui.present.field import Field
    from tui.view import Line, Span

LABEL: Final = 10
"""Columns of the labels."""


def wrapped(label: str, spans: Sequence[Span], room: int) -> list[Line]:
    """A label and its text, wrapped to the right column: ids and URLs are never cut."""
    space = max(10, room - LABEL)
    out: list[Line] = []
    line: list[Span] = []
    used = 0
    for text, style in spans:
        while text:
            free = space - used
            if cells_of(text) <= free:
                line.append((text, style))
                used += cells_of(text)
                break
            cut = text.rfind(" ", 0, free + 1)
            if cut <= 0:
                cut = free if used == 0 or free >= space // 2 else 0
            if cut:
                line.append((text[:cut], style))
            text = text[cut:].lstrip(" ")
            out.append(line)
            line, used = [], 0
    out.append(line)
    return [[(f"{label if i == 0 else '':<{LABEL}}", "dim"), *part] for i, part in enumerate(out)]


def over(below: Line, line: Line, left: int, inner: int, width: int) -> Line:
    """``line`` laid on ``below`` from column ``left`` on."""
    return [*_slice(below, 0, left, width), *fit(line, inner), *_slice(below, left + inner, width, width)]


def _slice(line: Line, start: int, end: int, width: int) -> list[Span]:
    """The cells of a line from one column to another; half of a wide character is a blank."""
    out: list[Span] = []
    at = 0
    for text, style in fit(line, width):
        for char in text:
            size = cells_of(char)
            if start <= at and at + size <= end:
                out.append((char, style))
            elif at < end and at + size > start:
                out.append((" " * (min(at + size, end) - max(at, start)), style))
            at += size
    return merge(out)


def flow(label: str, items: Sequence[Sequence[Span]], room: int) -> list[Line]:
    """A label and items one after the other, each whole on its row where a row can hold it."""
    rows: list[list[Span]] = [[]]
    for item in items:
        if rows[-1] and cells(rows[-1]) + 2 + cells(item) > room - LABEL:
            rows.append([])
        if rows[-1]:
            rows[-1].append(("  ", ""))
        rows[-1] += item
    out: list[Line] = []
    for i, row in enumerate(rows if items else []):
        out += wrapped(label if i == 0 else "", row, room)
    return out


def window(rows: Sequence[Line], top: int, room: int, keys: str) -> list[Line]:
    """``room`` rows from ``top`` on; the last one says how many more there are and which keys show them."""
    if len(rows) <= room or room < 1:
        return [*rows[: max(room, 0)]]
    top = min(max(top, 0), len(rows) - room + 1)
    shown = [*rows[top : top + room - 1]]
    hidden = len(rows) - len(shown)
    more: Line = [(" " * LABEL, ""), (f"… {hidden} more {'row' if hidden == 1 else 'rows'} ", "dim"), (keys, "key b")]
    return [*shown, more]


def field_row(
    label: str, field: Field, focused: bool, style: str, note: str, room: int, *, short: bool = False
) -> Line:
    """A field with its cursor, and a word at its right. ``short``: of a date or a number, the word has the room."""
    paper = "on:background"
    box = min(max(8, room - LABEL - 16), 14) if short else max(8, room - LABEL - 16)
    *parts, under, after = field.spans(box - 2)
    before = "".join(text for text, _ in parts)
    typed = f"{style} b {paper}"
    caret: list[Span] = []
    if focused:
        caret = [(under[0], f"{typed} rev")] if under[0].strip() else [("█", f"key {paper}")]
    elif under[0].strip():
        caret = [(under[0], typed)]
    inside = merge([(f" {before}", typed), *caret, (after[0], typed)])
    pad = max(0, box - cells(inside))
    beside = style if short and style != "text" else "dim"
    return [(f"{label:<{LABEL}}", "text" if focused else "dim"), *inside, (" " * pad, paper), (f"  {note}", beside)]


def choice_row(label: str, options: Sequence[str], value: str, focused: bool, note: str, room: int) -> Line:
    """A few words of which one is taken, or none yet; the taken one stands in brackets, for screens without colour."""
    out: list[Span] = [(f"{label:<{LABEL}}", "text" if focused else "dim")]
    for option in options:
        taken = option == value
        out += [(f"[{option}]" if taken else f" {option} ", "run-ok b" if taken else "text"), (" ", "")]
    out.append(("█ ", "key") if focused else ("  ", ""))
    return [*out, (note, "dim")] if cells(out) + len(note) <= room else out
