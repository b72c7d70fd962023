"""A log as lines, read from its end: what is on screen and what can be searched. Plain files, read only, no Textual.

At most ``KEEP`` bytes from the end are held; the view says so when there is more.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEEP: Final = 8 << 20
_LEVEL: Final = re.compile(
    rb"\b(?:(ERROR|CRITICAL|FATAL|SEVERE|Traceback|\w*Exception\b|\w+Error\b|ORA-\d{5})|(WARN(?:ING)?)|(DEBUG|TRACE)|(INFO|NOTICE))\b"
)
_STAMP: Final = re.compile(
    r"^\s*\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)[.,]?\d*\s?(?:Z|UTC|[+-]\d\d:?\d\d)?\]?\s*[-|]?\s*"
)
_WORD: Final = re.compile(r"^\[?(ERROR|CRITICAL|FATAL|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE)\]?[:\s]\s*", re.I)
LEVEL_AREA: Final = 200
"""Bytes of a line in which its level is looked for."""

ERROR: Final = 1
WARN: Final = 2
DEBUG: Final = 3
INFO: Final = 4
NONE: Final = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """A line taken apart: date, clock (as written), level word in capitals, the rest. Absent parts are empty."""

    date: str
    clock: str
    word: str
    rest: str


def parts(text: str) -> Parts:
    """Time stamp and level of a line, if it begins with them."""
    date = clock = word = ""
    found = _STAMP.match(text)
    if found:
        date, clock = found.group(1), found.group(2)
        text = text[found.end() :]
    level = _WORD.match(text)
    if level:
        word = level.group(1).upper()
        text = text[level.end() :]
    return Parts(date, clock, "WARN" if word == "WARNING" else word, text)


def level_of(line: bytes) -> int:
    """ERROR, WARN, DEBUG, INFO or NONE, by the first such word near the beginning."""
    found = _LEVEL.search(line, 0, LEVEL_AREA)
    if not found:
        return NONE
    return found.lastindex or NONE


class LogFile:
    """Lines of a growing file. ``refresh`` takes what was added; a file that was cut or replaced is read anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        """Bytes before what is held."""
        self.size = 0
        self._inode = 0
        self._data = bytearray()
        self._starts = array("L", [0])
        self._levels = bytearray()
        self.errors: list[int] = []
        self.warnings: list[int] = []
        self.generation = 0
        """Counts up whenever line numbers start anew."""

    @property
    def count(self) -> int:
        """Lines held; a last line without its newline counts."""
        return len(self._levels) + (1 if self._starts[-1] < len(self._data) else 0)

    def refresh(self) -> bool:
        """Take what was added. True if anything changed. OSError where the file cannot be read."""
        info = os.stat(self.path)
        if info.st_ino != self._inode or info.st_size < self.size:
            self._anew(info.st_size)
            self._inode = info.st_ino
        elif info.st_size == self.size:
            return False
        with self.path.open("rb") as file:
            file.seek(self.size)
            while self.size < info.st_size:
                chunk = file.read(min(1 << 20, info.st_size - self.size))
                if not chunk:
                    break
                self.size += len(chunk)
                self._take(chunk)
        return True

    def _anew(self, size: int) -> None:
        self.generation += 1
        self._data.clear()
        self._starts = array("L", [0])
        self._levels.clear()
        self.errors.clear()
        self.warnings.clear()
        self.skipped = max(0, size - KEEP)
        self.size = self.skipped

    def _take(self, chunk: bytes) -> None:
        if self.skipped and not self._data:  # begin at a whole line
            cut = chunk.find(b"\n") + 1
            self.skipped += cut
            chunk = chunk[cut:]
        at = len(self._data)
        self._data += chunk
        if len(self._data) > 2 * KEEP:
            self._forget()
            at = self._starts[-1]
        position = self._data.find(b"\n", at)
        while position >= 0:
            start = self._starts[-1]
            self._note(level_of(bytes(self._data[start : min(position, start + LEVEL_AREA)])))
            self._starts.append(position + 1)
            position = self._data.find(b"\n", position + 1)

    def _forget(self) -> None:
        """A log that is followed for days must not grow in memory: drop the older half."""
        drop = bisect_left(self._starts, len(self._data) - KEEP)
        drop = min(drop, len(self._levels))
        byte = self._starts[drop]
        del self._data[:byte]
        self.skipped += byte
        self._starts = array("L", (s - byte for s in self._starts[drop:]))
        del self._levels[:drop]
        self.errors = [e - drop for e in self.errors if e >= drop]
        self.warnings = [w - drop for w in self.warnings if w >= drop]
        self.generation += 1

    def _note(self, level: int) -> None:
        number = len(self._levels)
        self._levels.append(level)
        if level == ERROR:
            self.errors.append(number)
        elif level == WARN:
            self.warnings.append(number)

    def raw(self, number: int) -> bytes:
        """Bytes of a line without its newline."""
        start = self._starts[number]
        end = self._starts[number + 1] - 1 if number + 1 < len(self._starts) else len(self._data)
        return bytes(self._data[start:end]).rstrip(b"\r")

    def text(self, number: int) -> str:
        return self.raw(number).decode("utf-8", "replace")

    def level(self, number: int) -> int:
        if number < len(self._levels):
            return self._levels[number]
        return level_of(self.raw(number))

    def find(self, needle: str) -> list[int]:
        """Numbers of all lines that contain the text, whatever its case."""
        if not needle:
            return []
        found: list[int] = []
        pattern = re.compile(re.escape(needle.encode()), re.I)
        last = -1
        for hit in pattern.finditer(self._data):
            number = bisect_left(self._starts, hit.start() + 1) - 1
            if number != last:
                found.append(number)
                last = number
        return found

    def at_time(self, clock: str) -> int | None:
        """First line whose clock is not before ``HH:MM[:SS]``, as written in the log; None if there is none."""
        for number in range(self.count):
            found = parts(self.text(number)).clock
            if found and found >= clock:
                return number
        return None
