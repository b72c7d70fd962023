"""Several logs as one, by time: entries keep together, each file keeps its own order, all of it in a file without a name.

Every line of the merged log begins with one byte that says whose it is (``MARK`` + number of the member).
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from tui.log.lines import date_of, when
from tui.log.source import Source, Spool

MARK: Final = 0x80
MOST: Final = 64
"""Members that can be told apart by one byte which no text begins with."""
_CHUNK: Final = 1 << 18
_PIECE: Final = 1 << 16
LONGEST: Final = 1 << 22
"""Bytes of a line that are merged; what is behind them is left out, and said."""


@dataclass(slots=True)
class Member:
    """One log. ``hint``: when it began (ms UTC), for lines before its first stamp and logs without any."""

    name: str
    source: Source
    hint: int = 0
    at: int = 0
    """Offset up to which its lines were taken."""
    last: int = 0
    day: tuple[int, int, int] | None = None
    lines: int = 0
    """Lines of it that are in the merged log."""
    begun: int = -1
    """Its size when it was asked last: a line that has no end yet is not asked for again and again."""


def letter(number: int) -> str:
    """``A`` to ``Z``, then ``a`` to ``z``, then digits."""
    return (chr(65 + number) if number < 26 else chr(97 + number - 26) if number < 52 else str(number - 52))[:2]


class Merged(Spool):
    """The merged log. ``feed`` takes what members have, in slices; ``look`` notices that one was cut or replaced.

    What is merged later than it was due (a slower writer) stands behind what was there: nothing that was read moves.
    """

    lead = 1

    def __init__(self, members: Sequence[Member], zone: tzinfo = UTC) -> None:
        super().__init__("merged")
        self.members = list(members[:MOST])
        self.left_out = max(0, len(members) - MOST)
        self.zone = zone
        self.cut = 0
        """Lines that were too long to be merged whole."""
        self._generations = [m.source.generation for m in self.members]
        self.feeding = False

    def look(self) -> bool:
        changed = False
        for member in self.members:
            member.source.look()
        now = [m.source.generation for m in self.members]
        if now != self._generations:
            names = [m.name for m, a, b in zip(self.members, now, self._generations, strict=True) if a != b]
            self._generations = now
            self.restart()
            for member in self.members:
                member.at = member.last = member.lines = 0
                member.day = None
            self.notice = (
                f"{', '.join(names)} {next((m.source.notice for m in self.members if m.name in names), 'changed')}"
            )
            changed = True
        grown = super().look()
        return changed or grown

    @property
    def behind(self) -> bool:
        """Whether a member has whole lines that are not merged yet."""
        return not self.feeding and any(m.at < m.source.size and m.begun != m.source.size for m in self.members)

    @property
    def done(self) -> int:
        """Bytes of the members that were taken."""
        return sum(m.at for m in self.members)

    @property
    def whole(self) -> int:
        return sum(m.source.size for m in self.members)

    def feed(self) -> Generator[None, None, None]:
        """Merge what the members have now; a step takes about a millisecond. OSError where the disk is full."""
        self.feeding = True
        generation = self.generation
        try:
            heap: list[tuple[int, int, bytes, Iterator[tuple[int, int, bytes]]]] = []
            for number, member in enumerate(self.members):
                entries = self._entries(member, number)
                first = next(entries, None)
                if first is not None:
                    heap.append((first[0], number, first[2], entries))
            heapq.heapify(heap)
            out: list[bytes] = []
            size = 0
            while heap and self.generation == generation:
                _, number, data, entries = heap[0]
                out.append(data)
                size += len(data)
                following = next(entries, None)
                if following is None:
                    heapq.heappop(heap)
                else:
                    heapq.heapreplace(heap, (following[0], number, following[2], entries))
                if size >= _PIECE:
                    self.append(b"".join(out))
                    out, size = [], 0
                    yield
            if self.generation == generation:
                self.append(b"".join(out))
        except OSError as error:
            self.notice = f"merged up to here: no room for more ({error.strerror})"
            for member in self.members:
                member.begun = member.source.size
        finally:
            self.feeding = False

    def _entries(self, member: Member, number: int) -> Iterator[tuple[int, int, bytes]]:
        """Entries of a member from where it was left: (time, number, its marked lines). Times never go back."""
        mark = bytes((MARK + number,))
        held: list[bytes] = []
        size = 0
        time = max(member.last, member.hint)
        end = member.source.size
        member.begun = end
        for line in _lines(member, end, self):
            if member.day is None or b"-" in line[:12] or b"/" in line[:12]:
                member.day = date_of(line) or member.day
            stamp = when(line, self.zone, member.day)
            if (stamp is not None and held) or size > _PIECE:
                yield time, number, b"".join(held)
                held, size = [], 0
            if stamp is not None:
                time = member.last = max(member.last, stamp)
            held.append(mark + line)
            size += len(line)
            member.lines += 1
        if held:
            yield time, number, b"".join(held)


def _lines(member: Member, end: int, merged: Merged) -> Iterator[bytes]:
    """Whole lines of a member with their newline; the last one too where nothing more can come to it."""
    rest = b""
    at = member.at
    while at < end:
        piece = member.source.read(at, min(_CHUNK, end - at))
        if not piece:
            return
        at += len(piece)
        data = rest + piece
        begin = 0
        while (stop := data.find(b"\n", begin)) >= 0:
            line = data[begin : stop + 1]
            member.at += len(line)
            if len(line) > LONGEST:
                merged.cut += 1
                line = line[:LONGEST] + b"\n"
            yield line
            begin = stop + 1
        rest = data[begin:]
        if len(rest) > 4 * LONGEST:  # nobody reads such a line; its beginning stands for it
            merged.cut += 1
            yield rest[:LONGEST] + b"\n"
            found = _skip(member, at, end)
            member.at = at = found
            rest = b""
    if rest and member.source.ended:
        member.at = end
        yield rest + b"\n"


def _skip(member: Member, at: int, end: int) -> int:
    """Offset behind the next newline."""
    while at < end:
        piece = member.source.read(at, _CHUNK)
        found = piece.find(b"\n")
        if found >= 0 or not piece:
            return at + found + 1 if piece else end
        at += len(piece)
    return end
