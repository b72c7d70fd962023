"""The page of a log: which lines are on it, where the cursor is, how each is painted. No store, no keys.

Places are byte offsets of lines, so that a page costs the same in a log of any size.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from tui.log.index import BLOCK, SHOWN, Text
from tui.log.lines import DEBUG, ERROR, HEAD, INFO, LEVEL, NONE, WARN, parts
from tui.log.merge import MARK, letter
from tui.log.worker import Worker
from tui.present.cut import clean
from tui.present.cut import width as cells_of
from tui.present.lines import cursor as cursor_row
from tui.present.lines import fit

if TYPE_CHECKING:
    from tui.view import Line, Span

PATIENCE: Final = 0.025
"""Seconds that a page may look for its lines; a filter that hides nearly all of them is finished by the worker."""
STYLES: Final = {ERROR: "run-failed", WARN: "run-warning", DEBUG: "dim"}
WORDS: Final = {ERROR: "ERROR", WARN: "WARN", DEBUG: "debug", INFO: "info", NONE: ""}
LETTERS: Final = ("run-running", "run-queued", "run-held", "run-ok", "key", "run-stopped", "run-stale", "text")
"""Colours of the members of a merged log; the letter tells them apart, the colour helps."""


class LogPage:
    """``cursor`` and ``top`` are offsets of shown lines after each paint; before, of any place: the next shown line is taken."""

    def __init__(self, text: Text, mono: bool = False) -> None:
        self.text = text
        self.worker = Worker(text)
        self.mono = mono
        self.cursor = 0
        self.top = 0
        self.left = 0
        self.room = 20
        self.width = 80
        self.longest = 0
        self.wraps = False
        self.stamps = True
        self.follow = False
        self.lean = 1
        """Side on which a shown line is looked for first where the cursor is on none."""
        self.looking = False
        """Lines of this page are still being looked for."""
        self.on_page: list[int] = []
        self._far = False

    # --- moving -----------------------------------------------------------------------------------------------------

    def walk(self, offset: int, way: int, n: int) -> list[int]:
        """At most ``n`` shown lines after (``way`` 1) or before an offset, in order of the log. ``looking`` if time ran out."""
        out: list[int] = []
        if n <= 0 or not self.text.size:
            return out
        shown, text = self.worker.shown, self.text
        k, last = min(max(offset, 0) // BLOCK, text.blocks - 1), text.blocks - 1
        end = time.monotonic() + PATIENCE
        first = True
        while 0 <= k <= last and len(out) < n:
            if not (shown.active and shown.count[k] == 0):
                lines = shown.in_block(text, k)
                if way > 0:
                    begin = bisect_right(lines, offset) if first else 0
                    out += lines[begin : begin + n - len(out)]
                else:
                    stop = bisect_left(lines, offset) if first else len(lines)
                    out = lines[max(0, stop - (n - len(out))) : stop] + out
                if time.monotonic() > end:
                    self.looking = True
                    break
            first = False
            k += way
        return out

    def go(self, offset: int) -> None:
        """To a line; out of sight it comes to a third of the page, with what led to it above."""
        self.follow = False
        self.cursor, self.lean, self._far = offset, 1, True

    def move(self, n: int) -> None:
        """So many shown lines down, or up."""
        found = self.walk(self.cursor, 1 if n > 0 else -1, abs(n))
        if found:
            self.cursor = found[-1] if n > 0 else found[0]

    def to_top(self) -> None:
        self.cursor, self.lean = -1, 1

    def to_bottom(self) -> None:
        self.cursor, self.lean = self.text.size, -1

    @property
    def at_end(self) -> bool:
        return not self.walk(self.cursor, 1, 1)

    def settle(self) -> None:
        """Put the cursor on a line that is shown."""
        if self.follow:
            self.to_bottom()
        shown = self.worker.shown
        if 0 <= self.cursor < self.text.size:
            lines = shown.in_block(self.text, self.cursor // BLOCK)
            i = bisect_left(lines, self.cursor)
            if i < len(lines) and lines[i] == self.cursor:
                return
        for way in (self.lean, -self.lean):
            found = self.walk(self.cursor, way, 1)
            if found:
                self.cursor = found[0]
                return
            if self.looking:
                return

    # --- painting ---------------------------------------------------------------------------------------------------

    def paint(self, width: int, room: int, end: str) -> list[Line]:
        """``room`` rows; ``end`` stands behind the last line."""
        self.looking = False
        self.room, self.width = room, width
        self.settle()
        rows = self._wrapped(width - 1, room) if self.wraps else self._unwrapped(width - 1, room)
        self.on_page = sorted({offset for offset, _ in rows})
        edge = self._map(room)
        out: list[Line] = []
        for i, (offset, line) in enumerate(rows[:room]):
            whole = fit(line, width - 1)
            if offset == self.cursor:
                whole = self._under_cursor(whole, width - 1)
            out.append([*whole, edge[i]])
        if len(out) < room:
            last = self.on_page[-1] if self.on_page else -1
            said = "looking for more …" if self.looking else end if not self.walk(last, 1, 1) else ""
            pad = self._digits() + 4 if width >= 50 else 2
            out.append([*fit([(" " * pad, ""), (said, "dim")], width - 1), edge[len(out)]])
        while len(out) < room:
            out.append([(" " * (width - 1), ""), edge[len(out)]])
        return out

    def _unwrapped(self, width: int, room: int) -> list[tuple[int, Line]]:
        last = self.at_end and not self.looking
        fits = max(room - 1, 1) if last else room
        if self.cursor < self.top or self._far or self.top < 0:
            in_sight = self.on_page and self.on_page[0] <= self.cursor <= self.on_page[-1]
            if not in_sight or self.cursor < self.top:
                above = self.walk(self.cursor, -1, room // 3) if self._far else []
                self.top = above[0] if above else self.cursor
        self._far = False
        offsets = self._from(self.top, fits)
        if self.cursor not in offsets:
            above = self.walk(self.cursor, -1, fits - 1)
            self.top = above[0] if above else self.cursor
            offsets = self._from(self.top, fits)
        if offsets:
            self.top = offsets[0]
        if len(offsets) < fits and not self.looking:  # the page is not left half empty while there is more above
            more = self.walk(self.top, -1, fits - len(offsets))
            if more:
                offsets = [*more, *offsets]
                self.top = offsets[0]
        return [(at, self._line(at, width)[0]) for at in offsets]

    def _from(self, top: int, n: int) -> list[int]:
        return self.walk(max(top, 0) - 1, 1, n) if top <= 0 else self.walk(top - 1, 1, n)

    def _wrapped(self, width: int, room: int) -> list[tuple[int, Line]]:
        """Like less: the page ends at the cursor's last row, or begins where it stood."""
        if self.cursor < self.top or self._far:
            above = self.walk(self.cursor, -1, room // 3) if self._far else []
            self.top = above[0] if above else self.cursor
            self._far = False
        offsets = self._from(self.top, room)
        if self.cursor not in offsets:
            above = self.walk(self.cursor, -1, room - 1)
            offsets = [*above, *self._from(self.cursor, 1)]
        rows: list[tuple[int, Line]] = []
        after: int | None = None
        for at in offsets:
            rows += [(at, line) for line in self._line(at, width, wrap=room * max(width, 1))]
            if at == self.cursor:
                after = len(rows)
            if len(rows) >= room and after is not None:
                break
        if after is not None and after > room:
            cut = after - room
            first = next((i for i, (at, _) in enumerate(rows) if at == self.cursor), 0)
            rows = rows[min(cut, first) :]
        if rows:
            self.top = rows[0][0]
        return rows

    def _under_cursor(self, line: list[Span], width: int) -> list[Span]:
        """The cursor's row; hits of the search keep their ground on it."""
        if self.mono or not any("on:hit-bg" in style for _, style in line):
            return cursor_row(line, width, mono=self.mono)
        first, style = line[0]
        rest = [(first[1:], style), *line[1:]] if first[1:] else line[1:]
        return [
            ("▌", "mark on:cursor-bg"),
            *((t, s if "on:hit-bg" in s else f"{s} on:cursor-bg".strip()) for t, s in rest),
        ]

    def _digits(self) -> int:
        number, exact = self.text.number(max(self.text.size - 1, 0))
        return len(f"{number + 1:,}") + (0 if exact else 1)

    def _line(self, offset: int, width: int, *, wrap: int = 0) -> list[Line]:
        text = self.text
        block = text.block(offset // BLOCK)
        i = bisect_left(block.starts, offset)
        state = text.states(block, i, i + 1)[0]
        level = state & LEVEL
        style = STYLES.get(level, "text")
        loud = level in (ERROR, WARN)
        budget = 1024 + wrap if wrap else min(1024 + 4 * (self.left + self.width), 1 << 20)
        raw = text.line(offset, max(budget, 256))
        found = parts(raw)
        lead: list[Span] = [("▌" if loud else " ", style)]
        if width >= 50:
            number, exact = text.number(offset)
            said = f"{number + 1:,}" if exact else f"~{number + 1:,}"
            lead.append((f" {said:>{self._digits()}}  ", "dim"))
        else:
            lead.append((" ", "dim"))
        if text.lead:
            member = block.data[offset - block.at] - MARK
            lead.append((f"{letter(member)} ", f"{LETTERS[member % len(LETTERS)]} b"))
        if self.stamps and width >= 34:
            lead.append((f"{found.clock:<8}  ", "dim"))
        if width >= 60:
            word = WORDS[level] if state & HEAD else ""
            lead.append((f"{word:<6} ", f"{style} b" if loud else "dim"))
        used = sum(len(t) for t, _ in lead)
        shown = readable(found.rest)
        self.longest = max(self.longest, text.end_of(offset) - offset - (len(raw) - len(found.rest)))
        if not wrap:
            return [[*lead, *self._marked(shown[self.left : self.left + width], style)]]
        room = max(width - used, 10)
        pieces = _wrap(shown, room) or [""]
        out: list[Line] = [[*lead, *self._marked(pieces[0], style)]]
        gutter: Span = ("▌" if loud else " ", style)
        out += [[gutter, (" " * (used - 1), ""), *self._marked(piece, style)] for piece in pieces[1:]]
        return out

    def _marked(self, text: str, style: str) -> list[Span]:
        """Hits of the search on a ground of their own."""
        search = self.worker.search
        if search is None:
            return [(text, style)]
        out: list[Span] = []
        at = 0
        for begin, end in search.needle.marks(text):
            if end > begin:
                out += [(text[at:begin], style), (text[begin:end], "hit-fg b on:hit-bg")]
                at = end
        out.append((text[at:], style))
        return [span for span in out if span[0]]

    def _map(self, room: int) -> list[Span]:
        """Right edge: the whole log, ``█`` where errors and warnings are, ``┃`` the window, ``┊`` where nobody looked yet."""
        size = max(self.text.size, 1)
        first = self.on_page[0] * room // size if self.on_page else 0
        last = min(self.on_page[-1] * room // size, room - 1) if self.on_page else 0
        out: list[Span] = []
        for i, level in enumerate(self.text.marks(room)):
            if level in (ERROR, WARN):
                out.append(("█", STYLES[level]))
            elif first <= i <= last:
                out.append(("┃", "text"))
            else:
                out.append(("┊", "rule") if level < 0 else ("│", "rule"))
        return out


def readable(raw: bytes) -> str:
    """Bytes of a log as one line of harmless text, tabs as four blanks."""
    if raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable():
            return text
    else:
        text = raw.decode("utf-8", "replace")
    return clean.__wrapped__(text.expandtabs(4) if "\t" in text else text)


def _wrap(text: str, room: int) -> list[str]:
    """Pieces of at most ``room`` cells."""
    if text.isascii():
        return [text[i : i + room] for i in range(0, len(text), room)]
    out: list[str] = []
    piece, used = "", 0
    for char in text:
        size = cells_of(char)
        if used + size > room and piece:
            out.append(piece)
            piece, used = "", 0
        piece += char
        used += size
    return [*out, piece] if piece else out


def whole_line(text: Text, offset: int, limit: int = SHOWN) -> str:
    """A line as it may be copied: harmless, without its mark."""
    return readable(text.line(offset, limit))
