"""Lines of (text, style name) to terminal cells, and two screens of cells to the fewest bytes between them. Pure.

A cell is ``(text, pen)``: what stands in it and the number of its pen. The second half of a wide character is ``""``.
Anything that could steer a terminal is replaced here, as the last door before the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.style import Style

Cell = tuple[str, int]
Row = list[Cell]

# C0, DEL, C1, zero-width and direction marks, line separators, surrogates, non-characters: never to a terminal
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ud800-\udfff"
    "\ufffe\uffff\U000e0000-\U000e0fff]"
)
_CELLS = 20_000
"""Different cells remembered; Latin in thirty pens is 3,000, the rest is names in other scripts."""
_MAX_MARKS = 4
"""Combining marks kept on one character; more is an attack on the row above."""


def clean(text: str) -> str:
    """The text with everything that is not a character to look at replaced by ``?``."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub("?", text)


def graphemes(text: str) -> Iterable[tuple[str, int]]:
    """Characters with their combining marks, and the cells each takes (1 or 2)."""
    cluster = ""
    width = 0
    marks = 0
    for char in text:
        size = get_character_cell_size(char)
        if size == 0:
            if cluster and marks < _MAX_MARKS and not "\ufe00" <= char <= "\ufe0f":  # a variation may change the width
                cluster += char
                marks += 1
            continue
        if cluster:
            yield cluster, width
        cluster, width, marks = char, size, 0
    if cluster:
        yield cluster, width


def _steady(char: str) -> bool:
    """Every terminal agrees that this is one cell: Latin, and the glyph table's punctuation, arrows, boxes and shapes."""
    return len(char) == 1 and (char < "\u0300" or "\u2010" <= char < "\u2600" or char in "✓✗")


def fit(line: Sequence[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """The line with safe text and exactly ``width`` cells: cut if longer, padded in its last style if shorter."""
    out: list[tuple[str, str]] = []
    room = width
    name = ""
    for text, name in line:
        if room <= 0:
            break
        if text.isascii() and text.isprintable():
            text = text[:room]
            room -= len(text)
        else:
            kept: list[str] = []
            # a cell needs at most one base character and its marks: no use in looking further into 10,000 characters
            for cluster, size in graphemes(clean(text[: room * (_MAX_MARKS + 2) + 64])):
                if size > room:
                    kept.append(" " * room)
                    room = 0
                    break
                kept.append(cluster)
                room -= size
                if not room:
                    break
            text = "".join(kept)
        if text:
            out.append((text, name))
    if room > 0:
        out.append((" " * room, name))
    return out


class Pen(NamedTuple):
    """How a cell is written: SGR codes of its colours (empty: the terminal's own) and a set of attributes."""

    fg: str
    bg: str
    attrs: int

    @property
    def ground(self) -> tuple[str, int]:
        """All that shows on a blank."""
        return self.bg, self.attrs & _SHOWS_ON_BLANK


_BOLD, _DIM, _ITALIC, _UNDERLINE, _REVERSE, _STRIKE = 1, 2, 4, 8, 16, 32
_SHOWS_ON_BLANK = _UNDERLINE | _REVERSE | _STRIKE
_ON = ((_BOLD, "1"), (_DIM, "2"), (_ITALIC, "3"), (_UNDERLINE, "4"), (_REVERSE, "7"), (_STRIKE, "9"))
_OFF = ((_BOLD | _DIM, "22"), (_ITALIC, "23"), (_UNDERLINE, "24"), (_REVERSE, "27"), (_STRIKE, "29"))
UNKNOWN_PEN = -1
"""After something else wrote to the terminal: the next pen is set from nothing."""


class Pens:
    """All pens of one terminal, numbered, and the shortest code from one to another."""

    def __init__(self, system: ColorSystem | None) -> None:
        self.system = system
        self._pens: list[Pen] = []
        self._numbers: dict[Pen, int] = {}
        self._blank: list[int] = []
        self._of: dict[Style, tuple[int, int]] = {}
        self._codes: dict[tuple[int, int], str] = {}
        self.cells: dict[Cell, Cell] = {}
        """Each cell once, however many rows hold it: a row costs a pointer a cell."""
        self.number(Pen("", "", 0))

    def number(self, pen: Pen) -> int:
        known = self._numbers.get(pen)
        if known is not None:
            return known
        number = self._numbers[pen] = len(self._pens)
        self._pens.append(pen)
        ground = Pen("", pen.bg, pen.attrs & _SHOWS_ON_BLANK)
        self._blank.append(number if ground == pen else -1)
        if ground != pen:
            self._blank[number] = self.number(ground)
        return number

    def of(self, style: Style) -> tuple[int, int]:
        """Pen numbers of a Rich style: for text, and for a blank (where the text colour does not show)."""
        found = self._of.get(style)
        if found is None:
            attrs = 0
            for bit, on in (
                (_BOLD, style.bold),
                (_DIM, style.dim),
                (_ITALIC, style.italic),
                (_UNDERLINE, style.underline),
                (_REVERSE, style.reverse),
                (_STRIKE, style.strike),
            ):
                attrs |= bit if on else 0
            fg = bg = ""
            if self.system is not None:
                if style.color is not None and not style.color.is_default:
                    fg = ";".join(style.color.downgrade(self.system).get_ansi_codes(True))
                if style.bgcolor is not None and not style.bgcolor.is_default:
                    bg = ";".join(style.bgcolor.downgrade(self.system).get_ansi_codes(False))
            if attrs & _REVERSE:  # a reversed blank shows the text colour
                number = self.number(Pen(fg, bg, attrs))
                found = (number, number)
            else:
                number = self.number(Pen(fg, bg, attrs))
                found = (number, self._blank[number])
            self._of[style] = found
        return found

    def plain(self, number: int) -> bool:
        """Whether a blank of this pen is only a colour, so that erasing to the end of the line draws the same."""
        return not self._pens[number].attrs & _SHOWS_ON_BLANK

    def same_blank(self, now: int, wanted: int) -> bool:
        """Whether a blank written with the pen ``now`` looks as with the pen ``wanted``."""
        if now == wanted:
            return True
        if now == UNKNOWN_PEN or self._pens[wanted].attrs & _REVERSE:
            return False
        return self._pens[now].ground == self._pens[wanted].ground

    def change(self, before: int, after: int) -> str:
        """The code that changes the pen; only what differs, or a reset where that is shorter."""
        if before == after:
            return ""
        code = self._codes.get((before, after))
        if code is None:
            code = self._codes[(before, after)] = self._change(before, after)
        return code

    def _change(self, before: int, after: int) -> str:
        new = self._pens[after]
        whole = ["0", *(code for bit, code in _ON if new.attrs & bit), *filter(None, (new.fg, new.bg))]
        fresh = "\x1b[m" if len(whole) == 1 else f"\x1b[{';'.join(whole)}m"
        if before == UNKNOWN_PEN:
            return fresh
        old = self._pens[before]
        parts: list[str] = []
        gone = old.attrs & ~new.attrs
        held = old.attrs & new.attrs
        for bits, code in _OFF:
            if gone & bits:
                parts.append(code)
                held &= ~bits
        parts += [code for bit, code in _ON if new.attrs & bit and not held & bit]
        if new.fg != old.fg:
            parts.append(new.fg or "39")
        if new.bg != old.bg:
            parts.append(new.bg or "49")
        delta = f"\x1b[{';'.join(parts)}m"
        return delta if len(delta) < len(fresh) else fresh


def row_of(spans: Sequence[tuple[str, Style]], pens: Pens, encoding: str | None = None) -> Row:
    """Cells of a fitted line. ``encoding``: of a terminal that cannot show all characters; those become ``?``."""
    row: Row = []
    if len(pens.cells) > _CELLS:
        pens.cells.clear()
    one = pens.cells.setdefault
    for text, style in spans:
        pen, blank = pens.of(style)
        if text.isascii():
            for char in text:
                cell = (char, blank if char == " " else pen)
                row.append(one(cell, cell))
            continue
        for cluster, size in graphemes(text):
            if encoding is not None and not _encodes(cluster, encoding):
                row += [("?", pen)] * size
                continue
            cell = (cluster, blank if cluster == " " else pen)
            row.append(one(cell, cell))
            if size == 2:
                row.append(("", pen))
    return row


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Shadow:
    """What stands on the terminal, as far as we wrote it; ``update`` gives the bytes that make it look as wanted."""

    def __init__(self, pens: Pens, *, erases: bool = True) -> None:
        self.pens = pens
        self.erases = erases
        """The terminal erases in the current ground colour (terminfo ``bce``; GNU screen does not)."""
        self.rows: list[Row] = []
        self._pen = UNKNOWN_PEN

    def forget(self) -> None:
        """Something else wrote to the terminal, or it has another size: the next update paints all."""
        self.rows = []
        self._pen = UNKNOWN_PEN

    def update(self, wanted: Sequence[Row]) -> str:
        """The shortest text we know that turns the terminal into ``wanted``; empty when it is so already."""
        out: list[str] = []
        rows = self.rows
        if len(rows) != len(wanted) or any(len(a) != len(b) for a, b in zip(rows, wanted, strict=True)):
            self._pen = UNKNOWN_PEN
            rows = self._clear(wanted, out)
        where: tuple[int, int] = (-1, -1)  # row and column of the cursor; -1: not known
        for y, new in enumerate(wanted):
            old = rows[y]
            if old is not new and old != new:
                where = self._row(y, old, new, where, out)
        self.rows = list(wanted)
        return "".join(out)

    def _clear(self, wanted: Sequence[Row], out: list[str]) -> list[Row]:
        """Start from an empty screen in the ground that most of it wants, where the terminal can do that."""
        nothing: Cell = ("", UNKNOWN_PEN)
        counts: dict[int, int] = {}
        for row in wanted:
            for text, pen in row:
                if text == " ":
                    counts[pen] = counts.get(pen, 0) + 1
        if not self.erases or not counts:
            return [[nothing] * len(row) for row in wanted]
        ground = max(counts, key=lambda pen: counts[pen])
        if not self.pens.plain(ground):
            return [[nothing] * len(row) for row in wanted]
        out += (self.pens.change(UNKNOWN_PEN, ground), "\x1b[2J")
        self._pen = ground
        return [[(" ", ground)] * len(row) for row in wanted]

    def _row(self, y: int, old: Row, new: Row, where: tuple[int, int], out: list[str]) -> tuple[int, int]:
        width = len(new)
        x = 0
        while x < width:
            if old[x] == new[x]:
                x += 1
                continue
            start = x
            while start and new[start][0] == "":  # never start inside a wide character
                start -= 1
            end = self._end_of_run(old, new, x + 1)
            out.append(_move(where, (y, start)))
            tail = self._tail(new, start, end)
            column = self._write(new, start, tail, out)
            if tail < end:
                pen = new[tail][1]
                if not self.pens.same_blank(self._pen, pen):
                    out.append(self.pens.change(self._pen, pen))
                    self._pen = pen
                if column != tail:
                    out.append(f"\x1b[{tail + 1}G")
                out.append("\x1b[K")
                column = tail
            where = (y, column if column < width else -1)
            x = end
        return where

    def _end_of_run(self, old: Row, new: Row, x: int) -> int:
        """Where to stop writing: a few unchanged cells in the same pen are cheaper written than jumped over."""
        width = len(new)
        end = x
        cost = 0
        while x < width:
            if old[x] != new[x]:
                end = x + 1
                cost = 0
            else:
                text, pen = new[x]
                if pen != new[end - 1][1] and not (text == " " and self.pens.same_blank(new[end - 1][1], pen)):
                    break
                cost += len(text.encode("utf-8", "replace"))
                if cost > 4:
                    break
            x += 1
        while end < width and new[end][0] == "":
            end += 1
        return end

    def _tail(self, new: Row, start: int, end: int) -> int:
        """From where on the run is one blank ground up to the edge, worth an erase; ``end`` where it is not."""
        if not self.erases or end != len(new):
            return end
        text, pen = new[-1]
        if text != " " or not self.pens.plain(pen):
            return end
        tail = end
        while tail > start and new[tail - 1] == (" ", pen):
            tail -= 1
        return tail if end - tail > 6 else end

    def _write(self, new: Row, start: int, end: int, out: list[str]) -> int:
        """Write cells; returns the column of the cursor, -1 when terminals may disagree about it."""
        pens = self.pens
        now = self._pen
        sure = True
        for x in range(start, end):
            text, pen = new[x]
            if text == "":
                if x == start:  # half of a wide character at the edge: cannot be, but must not shift the row
                    out.append(" ")
                continue
            if not sure:
                out.append(f"\x1b[{x + 1}G")
                sure = True
            if pen != now and not (text == " " and pens.same_blank(now, pen)):
                out.append(pens.change(now, pen))
                now = pen
            out.append(text)
            sure = text.isascii() or _steady(text)
        self._pen = now
        return end if sure else -1


def _move(here: tuple[int, int], there: tuple[int, int]) -> str:
    y, x = there
    if here == there:
        return ""
    if here[0] == y:
        if x == 0:
            return "\r"
        if here[1] >= 0 and x > here[1]:
            ahead = x - here[1]
            return "\x1b[C" if ahead == 1 else f"\x1b[{ahead}C"
        return f"\x1b[{x + 1}G"
    if x == 0 and here[0] >= 0 and y == here[0] + 1:
        return "\r\n"
    return f"\x1b[{y + 1}H" if x == 0 else f"\x1b[{y + 1};{x + 1}H"
