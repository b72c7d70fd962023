"""A place in the file, and what is said of a value that stands there and is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.config import lines, units
from engine.config.errors import Problem

_SECRET_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|pwd?|secret|token|(api|access|account|private|secret)_?key|bearer|cookie|pat|auth|credentials?)$"
)
_USER_INFO = re.compile(r"[^/\s]+@")


class Bad(Exception):
    """This value is wrong: what was expected and what to do. Never carries a secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class Document:
    """One file while it is read. ``problems`` and ``warnings`` are shared by all files of a configuration."""

    name: str
    folder: Path
    data: Mapping[str, Any]
    lines: Mapping[lines.Path, int]
    problems: list[Problem]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class At:
    """A place in a file."""

    doc: Document
    path: lines.Path = ()

    def __truediv__(self, part: str | int) -> At:
        return At(self.doc, (*self.path, part))

    @property
    def key(self) -> str:
        """``source[prod-airflow].poll``: elements go by their name where they have one, else by number from 1."""
        out = ""
        value: Any = self.doc.data
        for part in self.path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                value = None
            if isinstance(part, int):
                table = cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
                name = next((table[k] for k in ("name", "id", "match") if isinstance(table.get(k), str)), None)
                out += f"[{printable(name)}]" if name else f"[{part + 1}]"
            else:
                out += ("." if out else "") + (part if re.fullmatch(r"[\w-]+", part) else f'"{printable(part)}"')
        return out

    @property
    def line(self) -> int | None:
        """Counted from 1; of the nearest table around it where its own is not known."""
        return lines.line_of(self.doc.lines, self.path)

    @property
    def place(self) -> str:
        """``watchfloor.toml:7``, ``watchfloor.d/x.toml:7``."""
        name = Path(self.doc.name)
        short = name.relative_to(self.doc.folder) if name.is_relative_to(self.doc.folder) else name
        return f"{short}:{self.line}"

    def _make(self, message: str, hint: str) -> Problem:
        return Problem(self.doc.name, self.line, self.key, message, hint)

    def problem(self, message: str, hint: str = "") -> None:
        self.doc.problems.append(self._make(message, hint))

    def warn(self, message: str, hint: str = "") -> None:
        self.doc.warnings.append(str(self._make(message, hint)))


class Node(dict[str, Any]):
    """A table that was read: values in our units, and where it stands. Absent keys have their defaults."""

    def __init__(self, at: At) -> None:
        super().__init__()
        self.at = at
        self.given: set[str] = set()
        """Keys that stood in the file, also those that were wrong."""


def printable(text: object, most: int = 60) -> str:
    """At most ``most`` characters of a text from outside, without anything a terminal would obey."""
    clean = "".join(c if c.isprintable() else "�" for c in str(text))
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def got(value: object) -> str:
    """What stands there instead, in a person's words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{printable(_USER_INFO.sub("…@", value))}"'  # user:password@host
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return f"the date or time {value}"


def wrong(expected: str, value: object, hint: str = "") -> Bad:
    return Bad(f"expected {expected}, got {got(value)}", hint)


def looks_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret (``password``, ``api_key``; not ``token_url`` or ``key_file``)."""
    return bool(_SECRET_NAME.search(name))


def duration_ms(text: str) -> int:
    """Milliseconds of ``90s 15m 4h``; ValueError says what was expected, for words typed on a command line."""
    try:
        return units.duration(text)
    except ValueError as error:
        raise ValueError(f'expected {error}, got "{printable(text)}"') from None
