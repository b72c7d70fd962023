"""Where each key of a TOML text stands. tomllib gives no positions, so the text is scanned again, for keys only.

The scanner expects text that tomllib accepted; on anything else it stops and keeps what it has.
"""

from __future__ import annotations

from collections.abc import Mapping

Path = tuple[str | int, ...]
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def index(text: str) -> Mapping[Path, int]:
    """Path of every table, array element and key → its 1-based line. ``[[a]]`` counts from 0, as tomllib's lists do."""
    scan = _Scan(text)
    try:
        scan.run()
    except (IndexError, ValueError):
        pass  # a position is a courtesy; the reader falls back to the nearest parent
    return scan.lines


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """Line of ``path``, else of its nearest parent that has one."""
    for end in range(len(path), 0, -1):
        found = lines.get(path[:end])
        if found is not None:
            return found
    return None


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text + "\n"
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}
        """Elements seen of each array of tables."""

    def run(self) -> None:
        here: Path = ()
        while self.at < len(self.text):
            self.blank(newlines=True)
            if self.at >= len(self.text):
                return
            if self.text[self.at] == "[":
                array = self.text.startswith("[[", self.at)
                self.step(2 if array else 1)
                self.blank()
                line = self.line
                here = self.open(self.key(), array, line)
                self.blank()
                self.step(2 if array else 1)
            else:
                self.pair(here)

    def open(self, key: tuple[str, ...], array: bool, line: int) -> Path:
        """Path of a header: a name that is an array of tables means its last element."""
        path: Path = ()
        for n, part in enumerate(key):
            path = (*path, part)
            last = n == len(key) - 1
            if last and array:
                self.counts[path] = self.counts.get(path, 0) + 1
                self.lines.setdefault(path, line)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            self.lines.setdefault(path, line)
        return path

    def pair(self, here: Path) -> None:
        line = self.line
        path = here
        for part in self.key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.blank()
        if self.text[self.at] != "=":
            raise ValueError("no = after a key")
        self.step(1)
        self.blank()
        self.value(path)

    def value(self, path: Path) -> None:
        char = self.text[self.at]
        if char in "\"'":
            self.string()
        elif char == "[":
            self.step(1)
            n = 0
            while True:
                self.blank(newlines=True)
                if self.text[self.at] == "]":
                    break
                self.lines.setdefault((*path, n), self.line)
                self.value((*path, n))
                n += 1
                self.blank(newlines=True)
                if self.text[self.at] == ",":
                    self.step(1)
            self.step(1)
        elif char == "{":
            self.step(1)
            while True:
                self.blank(newlines=True)
                if self.text[self.at] == "}":
                    break
                self.pair(path)
                self.blank(newlines=True)
                if self.text[self.at] == ",":
                    self.step(1)
            self.step(1)
        else:
            while self.text[self.at] not in ",]}#\n":
                self.step(1)

    def key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self.blank()
            if self.text[self.at] in "\"'":
                parts.append(self.string())
            else:
                start = self.at
                while self.text[self.at] in _BARE:
                    self.at += 1
                if start == self.at:
                    raise ValueError("no key")
                parts.append(self.text[start : self.at])
            self.blank()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.step(1)

    def string(self) -> str:
        """A quoted text, decoded as far as keys need it."""
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        self.step(3 if long else 1)
        out: list[str] = []
        while True:
            char = self.text[self.at]
            if char == "\\" and quote == '"':
                out.append(self.escape())
            elif char == quote and not long:
                self.step(1)
                return "".join(out)
            elif char == quote and self.text.startswith(quote * 3, self.at):
                self.step(3)
                while self.text[self.at] == quote:  # """" … a text may end in one or two quotes of its own
                    self.step(1)
                return "".join(out)
            elif char == "\n" and not long:
                raise ValueError("open text")
            else:
                out.append(char)
                self.step(1)

    def escape(self) -> str:
        kind = self.text[self.at + 1]
        width = {"u": 4, "U": 8}.get(kind, 0)
        code = self.text[self.at + 2 : self.at + 2 + width]
        self.step(2 + width)
        return chr(int(code, 16)) if width else _ESCAPES.get(kind, "")

    def blank(self, newlines: bool = False) -> None:
        """Skip blanks, and line ends and comments where those may stand."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r" or (char == "\n" and newlines):
                self.step(1)
            elif char == "#" and newlines:
                while self.text[self.at] != "\n":
                    self.at += 1
            else:
                return

    def step(self, count: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count
