"""Which lines of a log are shown, where the cursor stands among them, and how a page of them is drawn. Pure: no store, no keys."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.logfile import DEBUG, ERROR, WARN, LogFile, parts
from tui.present.cut import clean
from tui.present.cut import width as cells_of
from tui.present.lines import cursor, fit

if TYPE_CHECKING:
    from tui.view import Line, Span


class LogPage:
    """``keep`` and ``drop`` filter, ``needle`` is searched; positions count shown lines, numbers count lines of the log."""

    def __init__(self, mono: bool = False) -> None:
        self.log: LogFile | None = None
        self.mono = mono
        self.cursor = 0
        self.top = 0
        self.left = 0
        self.room = 20
        self.longest = 0
        self.wraps = False
        self.stamps = True
        self.needle, self.keep, self.drop = "", "", ""
        self.hits: list[int] = []
        self.shown: list[int] | None = None

    def filter(self) -> None:
        """Numbers of the lines shown; None while nothing is filtered, so that a plain log costs nothing."""
        assert self.log is not None
        if not self.keep and not self.drop:
            self.shown = None
        else:
            kept = self.log.find(self.keep) if self.keep else list(range(self.log.count))
            gone = set(self.log.find(self.drop)) if self.drop else set[int]()
            self.shown = [n for n in kept if n not in gone]
        self.hits = self.log.find(self.needle)
        self.cursor = min(self.cursor, max(0, self.count() - 1))

    def count(self) -> int:
        if self.log is None:
            return 0
        return self.log.count if self.shown is None else len(self.shown)

    def number(self, position: int) -> int:
        return position if self.shown is None else self.shown[position]

    def nearest(self, number: int) -> int:
        """Position of a line, or of the next one shown."""
        if self.shown is None:
            return number
        return min(bisect_left(self.shown, number), max(0, len(self.shown) - 1))

    def go(self, position: int) -> None:
        self.cursor = min(max(position, 0), max(0, self.count() - 1))

    def go_far(self, position: int) -> None:
        """Like ``_go``; a target out of sight comes to a third of the page, with what led to it above."""
        self.go(position)
        if not self.top <= self.cursor < self.top + self.room:
            self.top = max(0, self.cursor - self.room // 3)

    def paint(self, width: int, room: int, end: str) -> list[Line]:
        assert self.log is not None
        count = self.count()
        self.room = room
        digits = len(f"{self.log.count:,}")
        if self.cursor < self.top:
            self.top = self.cursor
        rows: list[tuple[int, Line]] = []
        if not self.wraps:
            self.top = max(0, min(max(self.top, self.cursor - room + 1), count - 1))
            rows = [(p, self._line(p, width - 1, digits)[0]) for p in range(self.top, min(count, self.top + room))]
        else:
            rows = self._wrapped(width - 1, room, digits)
        marks = self._map(room)
        out: list[Line] = []
        for i, (position, line) in enumerate(rows[:room]):
            whole = fit(line, width - 1)
            if position == self.cursor:
                whole = self._under_cursor(whole, width - 1)
            out.append([*whole, marks[i]])
        if count and len(out) < room:
            out.append(fit([(" " * (digits + 4), ""), (end, "dim")], width))
        return out

    def _under_cursor(self, line: list[Span], width: int) -> list[Span]:
        """The cursor's row; hits of the search keep their ground on it."""
        if self.mono or not any("on:hit-bg" in style for _, style in line):
            return cursor(line, width, mono=self.mono)
        return [
            ("▌", "mark on:cursor-bg"),
            *((t, s if "on:hit-bg" in s else f"{s} on:cursor-bg".strip()) for t, s in _drop_first(line)),
        ]

    def _wrapped(self, width: int, room: int, digits: int) -> list[tuple[int, Line]]:
        """Like less: the page ends at the cursor's last row, or begins where it stood."""
        while True:
            rows: list[tuple[int, Line]] = []
            position = self.top
            while position < self.count() and (len(rows) < room or position <= self.cursor):
                rows += [(position, line) for line in self._line(position, width, digits, wrap=True)]
                position += 1
                if len(rows) > room and position <= self.cursor:
                    break
            shown = {p for p, _ in rows[:room]}
            if self.cursor in shown or self.top >= self.cursor:
                return rows
            self.top += 1

    def _line(self, position: int, width: int, digits: int, *, wrap: bool = False) -> list[Line]:
        assert self.log is not None
        number = self.number(position)
        level = self.log.level(number)
        style = {ERROR: "run-failed", WARN: "run-warning", DEBUG: "dim"}.get(level, "text")
        raw = self.log.raw(number)
        found = parts(raw[:20_000].decode("utf-8", "replace"))
        text = clean(found.rest.replace("\t", "    "))
        self.longest = max(self.longest, len(text))
        lead: list[Span] = [("▌" if level in (ERROR, WARN) else " ", style)]
        lead.append((f" {number + 1:>{digits},}  " if width >= 50 else " ", "dim"))
        if self.stamps and width >= 34:
            lead.append((f"{found.clock:<8}  ", "dim"))
        if width >= 60:
            word = found.word if level in (ERROR, WARN) else found.word.lower()
            lead.append((f"{word[:6]:<6} ", f"{style} b" if level in (ERROR, WARN) else "dim"))
        used = sum(len(t) for t, _ in lead)
        if not wrap:
            return [[*lead, *self._marked(_cells_from(text, self.left), style)]]
        room = max(width - used, 10)
        pieces = _wrap(text, room) or [""]
        out: list[Line] = [[*lead, *self._marked(pieces[0], style)]]
        out += [[(" " * used, ""), *self._marked(piece, style)] for piece in pieces[1:]]
        return out

    def _marked(self, text: str, style: str) -> list[Span]:
        """Hits of the search on a ground of their own."""
        if not self.needle:
            return [(text, style)]
        low, needle = text.lower(), self.needle.lower()
        out: list[Span] = []
        at = 0
        if len(low) != len(text):
            return [(text, style)]
        while (hit := low.find(needle, at)) >= 0:
            out += [(text[at:hit], style), (text[hit : hit + len(needle)], "hit-fg b on:hit-bg")]
            at = hit + len(needle)
        out.append((text[at:], style))
        return out

    def _map(self, room: int) -> list[Span]:
        """Right edge: the whole log, ``█`` where errors and warnings are, ``┃`` the window."""
        assert self.log is not None
        total = max(self.log.count, 1)
        bad = {min(n * room // total, room - 1) for n in self.log.errors}
        soft = {min(n * room // total, room - 1) for n in self.log.warnings}
        count = max(self.count(), 1)
        first, last = self.top * room // count, min(room - 1, (self.top + room) * room // count)
        out: list[Span] = []
        for i in range(room):
            if i in bad:
                out.append(("█", "run-failed"))
            elif i in soft:
                out.append(("█", "run-warning"))
            else:
                out.append(("┃", "text") if first <= i <= last else ("│", "rule"))
        return out


def _drop_first(line: Sequence[Span]) -> list[Span]:
    """Without its first cell: the gutter."""
    first, style = line[0]
    return [(first[1:], style), *line[1:]] if first[1:] else list(line[1:])


def _cells_from(text: str, start: int) -> str:
    return text[start:] if start else text


def _wrap(text: str, room: int) -> list[str]:
    """Pieces of at most ``room`` cells."""
    if text.isascii():
        return [text[i : i + room] for i in range(0, len(text), room)]
    out: list[str] = []
    piece, used = "", 0
    for char in text:
        size = cells_of(char)
        if used + size > room:
            out.append(piece)
            piece, used = "", 0
        piece += char
        used += size
    return [*out, piece] if piece else out
