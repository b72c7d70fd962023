"""Where the lines of a log are: blocks of it that are read when they are looked at, and counts of each that are gathered beside.

Nothing here grows with the number of lines: a block of 256 KiB has some counts, and a handful of blocks are held as
lines. A line belongs to the block in which it begins.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from typing import Final

from tui.log.lines import AREA, DEBUG, ERROR, HEAD, LEVEL, NONE, STAMP, WARN, Data, before, census, step
from tui.log.source import Source

BLOCK: Final = 1 << 18
TAIL: Final = 1 << 20
"""Bytes of a line behind its block's end that are still looked at: a longer line is searched in its beginning."""
SHOWN: Final = 1 << 16
"""Bytes of a line that are shown or copied at most."""
BACK: Final = 1 << 16
"""Bytes that are read back for the entry above, where nothing has been counted yet."""
UNKNOWN: Final = 0xFFFFFFFF
_HELD: Final = 8
_NEAR: Final = 256
"""Lines that are asked for a stamp before all of a block are."""
_MARKS: Final = 4096
"""Places of errors and of warnings that are remembered for the map; where there are more, it goes by blocks."""


class Column:
    """One number a block; unknown until it was counted. ``total`` and ``done`` are over the known ones."""

    def __init__(self) -> None:
        self.values = array("I")
        self.total = 0
        self.done = 0

    def __getitem__(self, k: int) -> int:
        return self.values[k] if k < len(self.values) else UNKNOWN

    def put(self, k: int, value: int) -> None:
        missing = k + 1 - len(self.values)
        if missing > 0:
            self.values.extend([UNKNOWN] * missing)
        old = self.values[k]
        if old != UNKNOWN:
            self.total -= old
        else:
            self.done += 1
        self.values[k] = value
        self.total += value

    def forget(self, k: int) -> None:
        """From block ``k`` on nothing is known any more."""
        for value in self.values[k:]:
            if value != UNKNOWN:
                self.total -= value
                self.done -= 1
        del self.values[k:]

    def before(self, k: int) -> int | None:
        """Sum of all blocks before ``k``; None while one of them is unknown."""
        if k > len(self.values):
            return None
        head = self.values[:k]
        total = sum(head)
        return None if total >= UNKNOWN and head.count(UNKNOWN) else total


class Block:
    """A block as lines: where each begins, ``end`` (where the next block's first begins), and their bytes."""

    __slots__ = ("at", "data", "end", "known", "number", "prefix", "starts", "states")

    def __init__(self, number: int, at: int, data: bytes, starts: list[int], end: int) -> None:
        self.number = number
        self.at = at
        """Offset of ``data[0]``."""
        self.data = data
        self.starts = starts
        self.end = end
        self.states: dict[int, int] = {}
        self.prefix = 0
        """Lines from the first on whose states are known."""
        self.known: int | None = None
        """State of the line above the first; None: not asked yet."""

    def bounds(self, i: int) -> tuple[int, int]:
        """Line ``i`` in ``data``, without its newline. A long last line is cut where ``data`` ends."""
        begin = self.starts[i] - self.at
        if i + 1 < len(self.starts):
            return begin, self.starts[i + 1] - self.at - 1
        stop = min(self.end - self.at, len(self.data))
        if stop > begin and self.end - self.at <= len(self.data) and self.data[stop - 1] == 10:
            stop -= 1
        return begin, stop


class Text:
    """A source as lines. All of its methods belong to whoever holds the worker's lock."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.generation = source.generation
        self.lead = source.lead
        self._held: OrderedDict[int, Block] = OrderedDict()
        self._ends: dict[int, int] = {}
        self._wide = bytearray(BLOCK + 4097)
        self.reset()

    def reset(self) -> None:
        """Offsets lost their meaning: everything anew."""
        self.generation = self.source.generation
        self.size = self.source.size
        self._held.clear()
        self._ends.clear()
        self.counted = 0
        """Bytes whose newlines are counted."""
        self.newlines = 0
        self.cumulated = array("Q", [0])
        """Newlines before each block; as long as it goes."""
        self.judged = 0
        """Offset of the first line whose level is not counted yet."""
        self._state = 0
        self._stuck = 0 if not self.size else -1
        """Size at which all whole lines were judged."""
        self.carry = bytearray([0])
        """State above the first line of each block; as long as it goes."""
        self.errors, self.warnings = Column(), Column()
        self.error_marks: array[int] = array("Q")
        self.warning_marks: array[int] = array("Q")

    # --- growth -----------------------------------------------------------------------------------------------------

    def look(self) -> int | None:
        """Take notice of what happened to the source: number of the first block that changed; None: nothing did.

        0 with another ``generation`` means that everything did.
        """
        if not self.source.look():
            return None
        if self.source.generation != self.generation:
            self.reset()
            return 0
        old, self.size = self.size, self.source.size
        first = (
            self.start_of(max(old - 1, 0)) // BLOCK if old and self.source.read(old - 1, 1) != b"\n" else old // BLOCK
        )
        for k in [k for k, block in self._held.items() if block.end >= old]:
            del self._held[k]
        for k in [k for k, end in self._ends.items() if end >= old]:
            del self._ends[k]
        return first

    @property
    def blocks(self) -> int:
        return -(-self.size // BLOCK)

    # --- counting, a slice at a time --------------------------------------------------------------------------------

    def count(self) -> bool:
        """Count the newlines of the next block or part of one; False when all are."""
        if self.counted >= self.size:
            return False
        stop = min((self.counted // BLOCK + 1) * BLOCK, self.size)
        need = stop - self.counted
        got = min(self.source.read_into(self._wide, self.counted), need)
        self.newlines += self._wide.count(b"\n", 0, got)
        if got < need:  # cut under our hands: the next look says so
            self.counted = self.size
            return False
        self.counted = stop
        if stop % BLOCK == 0:
            self.cumulated.append(self.newlines)
        return True

    def judge(self) -> bool:
        """Count the errors and warnings of the next block or part of one; False when all whole lines are."""
        if self._stuck == self.size:
            return False
        k = self.judged // BLOCK
        end = min((k + 1) * BLOCK, self.size)
        data = self.source.read(self.judged, end - self.judged)
        cut = data.rfind(b"\n") + 1
        following = self.judged + cut
        errors, warnings, state = census(data, 0, cut, self._state) if cut else ([], [], self._state)
        if cut < len(data) and end < self.size:  # its last line ends in a later block, and is of this one
            stop = self._newline(end)
            if stop is not None:
                head = self.source.read(following, min(stop - following, AREA))
                state = step(state, head, 0, len(head))
                if state & HEAD and state & LEVEL in (ERROR, WARN):
                    (errors if state & LEVEL == ERROR else warnings).append(cut)
                following = stop + 1
        if following == self.judged:
            self._stuck = self.size
            return False
        self._state = state
        known = self.errors[k] if self.errors[k] != UNKNOWN else 0
        self.errors.put(k, known + len(errors))
        known = self.warnings[k] if self.warnings[k] != UNKNOWN else 0
        self.warnings.put(k, known + len(warnings))
        _mark(self.error_marks, errors, self.judged)
        _mark(self.warning_marks, warnings, self.judged)
        self.judged = following
        for empty in range(k + 1, following // BLOCK + 1):
            self.carry.append(self._state)
            if (empty + 1) * BLOCK <= following:
                self.errors.put(empty, 0)
                self.warnings.put(empty, 0)
        return True

    def _newline(self, at: int) -> int | None:
        """Offset of the next newline from ``at`` on."""
        while at < self.size:
            piece = self.source.read(at, BLOCK)
            if not piece:
                return None
            found = piece.find(b"\n")
            if found >= 0:
                return at + found
            at += len(piece)
        return None

    @property
    def lines(self) -> int | None:
        """Number of lines; None until all are counted. A last line without its newline counts."""
        if self.counted < self.size:
            return None
        return self.newlines + (1 if self.size and self.source.read(self.size - 1, 1) != b"\n" else 0)

    def about_lines(self) -> int:
        """Number of lines, or what it will come to about, from the length of those that were seen."""
        exact = self.lines
        if exact is not None:
            return exact
        if self.counted >= 4 * BLOCK:
            return int(self.newlines * self.size / max(self.counted, 1))
        piece = self.source.read(max(0, self.size - BLOCK), BLOCK)
        return max(int(piece.count(b"\n") * self.size / max(len(piece), 1)), 1)

    def number(self, offset: int) -> tuple[int, bool]:
        """Number of the line that begins there, from 0, and whether that is exact."""
        k = offset // BLOCK
        if k < len(self.cumulated):
            block = self.block(k)
            return self._first_number(k, block) + bisect_left(block.starts, offset), True
        return int(self.about_lines() * offset / max(self.size, 1)), False

    def _first_number(self, k: int, block: Block) -> int:
        """Number of the first line that begins in the block: newlines before the block, one more if one ends inside."""
        if not block.starts:
            return self.cumulated[k] + 1
        return self.cumulated[k] + (1 if block.starts[0] > k * BLOCK else 0)

    # --- lines ------------------------------------------------------------------------------------------------------

    def raw(self, k: int) -> tuple[int, Data, int, int, int]:
        """Lines that begin in block ``k``, for one look: (offset of ``data[0]``, data, first, last, end of the last line).

        ``data`` is used again by the next call. Nothing between first and last where no line begins in the block. Of the
        last line ``TAIL`` bytes behind the block are read at most.
        """
        low = k * BLOCK
        base, high = max(low - 1, 0), min(low + BLOCK, self.size)
        data: Data = self._wide
        got = min(self.source.read_into(self._wide, base), self.size - base)
        inner = high - base
        first = data.find(b"\n", 0, inner) + 1 if low else 0
        if got < inner or (low and not first) or base + first >= high:
            return base, data, 0, 0, high
        if high == self.size or data[inner - 1] == 10:
            return base, data, first, inner, high
        stop = data.find(b"\n", inner, got)
        if stop >= 0:
            return base, data, first, stop + 1, base + stop + 1
        end = self._ends.get(k)
        if end is None:
            found = self._newline(base + got)
            end = self.size if found is None else found + 1
            if len(self._ends) > 4096:
                self._ends.clear()
            self._ends[k] = end
        data = bytes(data[:inner]) + self.source.read(high, min(end - high, TAIL))
        return base, data, first, len(data), end

    def block(self, k: int) -> Block:
        """Block ``k`` as lines."""
        found = self._held.get(k)
        if found is not None:
            self._held.move_to_end(k)
            return found
        base, wide, first, last, end = self.raw(k)
        at, data = base + first, bytes(wide[first:last])
        starts: list[int] = []
        if data:
            starts.append(at)
            limit = min((k + 1) * BLOCK, self.size) - at
            place = data.find(b"\n")
            while 0 <= place < limit - 1:
                starts.append(at + place + 1)
                place = data.find(b"\n", place + 1)
        found = Block(k, at, data, starts, end)
        self._held[k] = found
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return found

    def above(self, block: Block) -> int:
        """State of the line above the block's first."""
        if block.known is None:
            k = block.number
            if not k or not block.starts:
                block.known = 0
            elif k < len(self.carry):
                return self.carry[k]
            else:
                low = max(0, block.starts[0] - BACK)
                data = self.source.read(low, block.starts[0] - low)
                first = data.find(b"\n") + 1 if low else 0
                block.known = before(data, len(data), first, 0) if first or not low else 0
        return block.known

    def states(self, block: Block, first: int, last: int) -> list[int]:
        """States of lines ``first`` to ``last`` (excluded) of a block."""
        if first >= last:
            return []
        known = block.states
        i = first
        if i not in known:
            i = self._base(block, i)
        state = known[i - 1] if i and i - 1 in known else self.above(block)
        if i <= block.prefix:
            block.prefix = max(block.prefix, last)
        for j in range(i, last):
            found = known.get(j)
            if found is None:
                begin, stop = block.bounds(j)
                found = known[j] = step(state, block.data, begin, stop)
            state = found
        return [known[j] for j in range(first, last)]

    def _base(self, block: Block, first: int) -> int:
        """Line from which on states must be made to know that of ``first``: a stamped one near, else where they are known up to."""
        known = block.states
        for i in range(first, max(first - _NEAR, -1), -1):
            if i == 0 or i - 1 in known:
                return i
            begin = block.starts[i] - block.at
            if STAMP.match(block.data, begin, min(block.starts[i] - block.at + AREA, block.bounds(i)[1])):
                return i
        return block.prefix

    def state(self, offset: int) -> int:
        """State of the line that begins there."""
        block = self.block(offset // BLOCK)
        i = bisect_left(block.starts, offset)
        return self.states(block, i, i + 1)[0] if i < len(block.starts) else 0

    def start_of(self, offset: int) -> int:
        """Where the line begins that the byte at ``offset`` is in."""
        at = min(offset, self.size)
        while at > 0:
            low = max(0, at - BLOCK)
            found = self.source.read(low, at - low).rfind(b"\n")
            if found >= 0:
                return low + found + 1
            at = low
        return 0

    def end_of(self, offset: int) -> int:
        """Where the line that begins there ends: offset of its newline, or the end of the log."""
        block = self.block(offset // BLOCK)
        i = bisect_left(block.starts, offset)
        if i + 1 < len(block.starts):
            return block.starts[i + 1] - 1
        return block.end - 1 if block.end > offset and self.source.read(block.end - 1, 1) == b"\n" else block.end

    def line(self, offset: int, limit: int = SHOWN) -> bytes:
        """The line that begins there, without its newline and carriage return, at most ``limit`` bytes."""
        block = self.block(offset // BLOCK)
        i = bisect_left(block.starts, offset)
        if i >= len(block.starts) or block.starts[i] != offset:
            return b""
        begin, stop = block.bounds(i)
        line = block.data[begin + self.lead : min(stop, begin + self.lead + limit)]
        return line[:-1] if line.endswith(b"\r") else line

    def marks(self, rows: int) -> list[int]:
        """The whole log on so many rows: the worst level that begins in each, ERROR, WARN or NONE; -1 where not judged yet."""
        out = [NONE] * rows
        size = max(self.size, 1)
        for level, column, places in (
            (WARN, self.warnings, self.warning_marks),
            (ERROR, self.errors, self.error_marks),
        ):
            if len(places) < _MARKS:
                for place in places:
                    out[min(place * rows // size, rows - 1)] = level
                continue
            for k, value in enumerate(column.values):
                if value and value != UNKNOWN:
                    first, last = k * BLOCK * rows // size, min((k + 1) * BLOCK, size) * rows // size
                    for row in range(first, min(max(last, first + 1), rows)):
                        out[row] = level
        if self.open_level() in (ERROR, WARN) and out[-1] != ERROR:
            out[-1] = self.open_level()
        if not self.all_judged:
            for row in range(min(-(-self.judged * rows // size), rows), rows):
                out[row] = -1
        return out

    @property
    def all_judged(self) -> bool:
        """Whether every whole line has been judged."""
        return self._stuck == self.size

    def open_level(self) -> int:
        """Level of an entry that begins with the last line, while that has no newline; NONE in any other case."""
        if not self.all_judged or self.judged >= self.size:
            return NONE
        head = self.source.read(self.judged, AREA)
        state = step(self._state, head, 0, len(head))
        return state & LEVEL if state & HEAD else NONE

    def totals(self) -> tuple[int, int]:
        """Errors and warnings so far."""
        last = self.open_level()
        return self.errors.total + (last == ERROR), self.warnings.total + (last == WARN)


def _mark(places: array[int], found: list[int], base: int) -> None:
    room = _MARKS - len(places)
    if room > 0:
        places.extend(base + at for at in found[:room])


def rank(state: int) -> int:
    """Of a line's state: 1 debug, 2 info or unknown, 3 warning, 4 error."""
    return {ERROR: 4, WARN: 3, DEBUG: 1}.get(state & LEVEL, 2)
