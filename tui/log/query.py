"""What is searched and what is filtered: a text or a pattern over blocks of lines, in bulk for counts and line by line for the screen.

Both ways give the same lines. Colours of a log (escape sequences) are no part of its text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tui.log.index import BLOCK, Block, Column, Text, rank
from tui.log.lines import DEBUG, HEAD, LOUD, QUIET, Data, heads
from tui.log.pattern import Apart, in_bulk, in_lines, may_hang

_ESCAPE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_BY_LINE: Final = re.compile(r"\$|\^|\\[AZzsSWDbB]|\[\^|\(\?|[^\x00-\x7f]")
"""Parts of a pattern that see where a line ends, or characters instead of bytes: such a pattern is asked line by line."""


def bare(text: Text, k: int) -> tuple[Data, int, int]:
    """Lines of block ``k`` without escape sequences, for one look: (data, first, last)."""
    _, data, first, last, _ = text.raw(k)
    if data.find(b"\x1b", first, last) >= 0:
        data = plain(data[first:last])
        return data, 0, len(data)
    return data, first, last


def of_level(text: Text, block: Block, least: int) -> set[int]:
    """Offsets of the lines of a block whose entry is of that ``rank`` or more. Only entries of rare levels are looked at."""
    starts = block.starts
    if not starts:
        return set()
    k = block.number
    above = text.above(block)
    loud = least > 2
    if loud and (k + 1) * BLOCK <= text.judged and not text.errors[k] and not text.warnings[k] and rank(above) < least:
        return set()
    end = min(block.end - block.at, len(block.data))
    found, _ = heads(block.data, 0, end, above, LOUD if loud else QUIET)
    rare = (
        {block.at + at for at, level in found if rank(level) >= least}
        if loud
        else {block.at + at for at, level in found if level == DEBUG}
    )
    chosen: set[int] = set()
    if (rank(above) >= least) == loud:  # an entry that goes on from the block before
        _with_rest(text, block, -1, chosen)
    for at in rare:
        _with_rest(text, block, bisect_right(starts, at) - 1, chosen)
    return chosen if loud else set(starts).difference(chosen)


def _with_rest(text: Text, block: Block, i: int, out: set[int]) -> None:
    """A line and those below that belong to its entry."""
    if i >= 0:
        out.add(block.starts[i])
    for j in range(i + 1, len(block.starts)):
        if text.states(block, j, j + 1)[0] & HEAD:
            return
        out.add(block.starts[j])


class BadPattern(ValueError):
    """A pattern that cannot be read; the text is one sentence."""


def plain(data: Data) -> Data:
    """Without escape sequences; lines stay lines."""
    return _ESCAPE.sub(b"", data) if b"\x1b" in data else data


class Needle:
    """A text (smart case: capitals count only where there is one) or ``/pattern/``. BadPattern where that cannot be read."""

    def __init__(self, typed: str) -> None:
        self.typed = typed
        self.pattern: re.Pattern[str] | None = None
        """For marking hits on the screen."""
        self._bulk: re.Pattern[bytes] | None = None
        self._by_line = False
        self._low = False
        self.literal = b""
        self.apart: Apart | None = None
        """Who matches it, where it may take for ever."""
        inner = typed[1:-1] if len(typed) > 2 and typed[0] == typed[-1] == "/" else ""
        flags = 0 if any(c.isupper() for c in re.sub(r"\\.", "", inner or typed)) else re.IGNORECASE
        if not inner:
            self.literal = typed.encode("utf-8", "replace")
            self._low = bool(flags)
            self.pattern = re.compile(re.escape(typed), flags)
            if self._low and not typed.isascii():
                self._by_line = True
            elif self._low:
                self.literal = self.literal.lower()
            return
        try:
            self.pattern = re.compile(inner, flags)
            self._by_line = bool(_BY_LINE.search(inner))
            if not self._by_line:
                self._bulk = re.compile(inner.encode(), re.MULTILINE)
                self._low = bool(flags)  # no capital in it: it is asked of the text in small letters, ten times as fast
            if may_hang(inner):
                self.apart = Apart(inner, flags, self._by_line)
        except (re.error, RecursionError, OverflowError) as error:
            where = getattr(error, "pos", None)
            spot = f" at character {where + 1}" if isinstance(where, int) else ""
            said = getattr(error, "msg", str(error))
            raise BadPattern(f"/{inner}/ is no pattern: {said}{spot}; what was found before stays") from None
        if self.pattern.search("") is not None and not inner.strip("^$.*"):
            raise BadPattern(f"/{inner}/ is in every line; what was found before stays")

    def hits(self, data: Data, first: int, last: int) -> list[int]:
        """Where in ``data[first:last]`` (whole lines) lines begin that hold it. Escape sequences are taken out before."""
        if self.apart is not None:
            return [first + at for at in self.apart.lines(bytes(data[first:last]))]
        if self._by_line or (self._bulk is not None and data.find(b"\r", first, last) >= 0):
            assert self.pattern is not None
            return in_lines(self.pattern, data, first, last)
        if self._bulk is not None:
            return in_bulk(self._bulk, data, first, last, self._low)
        hay = data.lower() if self._low else data
        out: list[int] = []
        at = first
        while at < last:
            place = hay.find(self.literal, at, last)
            if place < 0:
                break
            line = hay.rfind(b"\n", at, place) + 1 or at
            out.append(line)
            end = hay.find(b"\n", place, last)
            if end < 0:
                break
            at = end + 1
        return out

    def marks(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in a line of the screen it is."""
        if self.apart is not None:
            return self.apart.spans(text)
        return iter(()) if self.pattern is None else (hit.span() for hit in self.pattern.finditer(text))

    @property
    def gave_up(self) -> str:
        """Why it finds nothing any more, one sentence; "" while it works."""
        return f"{self.typed} {self.apart.gave_up}" if self.apart is not None and self.apart.gave_up else ""

    def in_block(self, block: Block) -> list[int]:
        """Offsets of the lines of a block that hold it."""
        if not block.starts:
            return []
        data, marked = block.data, b"\x1b" in block.data
        limit = min(block.end - block.at, len(data))
        if not marked:
            return [block.at + at for at in self.hits(data, 0, limit)]
        bare = plain(data[:limit])
        out: list[int] = []
        number = at = 0
        for hit in self.hits(bare, 0, len(bare)):
            number += bare.count(b"\n", at, hit)
            at = hit
            if number < len(block.starts):
                out.append(block.starts[number])
        return out


@dataclass(slots=True)
class Filter:
    """``&`` keeps lines with a text, ``!`` hides them; ``hidden``: how many lines it hides, a number a block."""

    kind: str
    needle: Needle
    hidden: Column = field(default_factory=Column)

    @property
    def words(self) -> str:
        return f"{self.kind} {self.needle.typed}"


class Search:
    """Lines with a text: how many in each block."""

    def __init__(self, needle: Needle) -> None:
        self.needle = needle
        self.found = Column()

    def count(self, text: Text, k: int, shown: Shown) -> None:
        """Search block ``k``."""
        if shown.active:
            block = text.block(k)
            seen = set(shown.in_block(text, k))
            self.found.put(k, sum(1 for at in self.needle.in_block(block) if at in seen))
            return
        self.found.put(k, len(self.needle.hits(*bare(text, k))))


class Shown:
    """Which lines are shown: those that pass the level, every ``&``, no ``!``, and whose member is not switched off."""

    def __init__(self) -> None:
        self.level = 0
        """Least ``rank`` that is shown; 0: all."""
        self.filters: list[Filter] = []
        self.off: frozenset[int] = frozenset()
        """First bytes of lines (marks of a merged log's members) that are hidden."""
        self.count = Column()
        self.by_level, self.by_member = Column(), Column()
        self.lines = Column()
        """Lines of each block, shown or not."""
        self._held: dict[int, list[int]] = {}

    @property
    def active(self) -> bool:
        return bool(self.level or self.filters or self.off)

    def again(self) -> None:
        """Something of it changed: what was counted is void."""
        self.forget(0)

    def forget(self, k: int) -> None:
        for column in (self.count, self.by_level, self.by_member, self.lines, *(f.hidden for f in self.filters)):
            column.forget(k)
        for held in [n for n in self._held if n >= k]:
            del self._held[held]

    def in_block(self, text: Text, k: int) -> list[int]:
        """Offsets of the lines of block ``k`` that are shown; what is hidden by what is counted on the way."""
        if not self.active:
            return text.block(k).starts
        held = self._held.get(k)
        if held is not None:
            return held
        block = text.block(k)
        now = block.starts
        self.lines.put(k, len(now))
        if self.off:
            kept = [at for at in now if block.data[at - block.at] not in self.off]
            self.by_member.put(k, len(now) - len(kept))
            now = kept
        if self.level:
            passed = of_level(text, block, self.level)
            kept = [at for at in now if at in passed]
            self.by_level.put(k, len(now) - len(kept))
            now = kept
        for one in self.filters:
            hits = set(one.needle.in_block(block)) if now else frozenset[int]()
            kept = [at for at in now if (at in hits) == (one.kind == "&")]
            one.hidden.put(k, len(now) - len(kept))
            now = kept
        self.count.put(k, len(now))
        if len(self._held) > 12:
            self._held.pop(next(iter(self._held)))
        self._held[k] = now
        return now

    def survey(self, text: Text, k: int) -> None:
        """Count block ``k`` without keeping its lines."""
        if self.level or self.off:
            self.in_block(text, k)
            return
        data, first, last = bare(text, k)
        total = data.count(b"\n", first, last) + (1 if last > first and data[last - 1] != 10 else 0)
        self.lines.put(k, total)
        now: set[int] | None = None
        gone: set[int] = set()
        left = total
        for one in self.filters:
            hits = one.needle.hits(data, first, last)
            if now is not None:
                now = {at for at in hits if at in now} if one.kind == "&" else now.difference(hits)
                remain = len(now)
            elif one.kind == "&":
                now = {at for at in hits if at not in gone}
                remain = len(now)
            else:
                gone.update(hits)
                remain = total - len(gone)
            one.hidden.put(k, left - remain)
            left = remain
        self.count.put(k, left)

    def position(self, text: Text, offset: int) -> int | None:
        """How many shown lines begin before the offset; None while that is not counted."""
        k = offset // BLOCK
        head = self.count.before(k)
        return None if head is None else head + bisect_right(self.in_block(text, k), offset - 1)
