"""The one line of a log that says what went wrong. Pure but for reading the file; used for local jobs and by the engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

TAIL: Final = 1 << 20
"""Bytes from the end that are looked at."""
LONGEST: Final = 300

_RAISED: Final = re.compile(r"^\s*(?:[\w.]+\.)?(?!Broken)\w*(?:Error|Exception|Fault|Failure)\b(?:\(\w+\))?: \S")
_SURE: Final = re.compile(r"\b(?:ERROR|CRITICAL|FATAL|SEVERE|ORA-\d{5})\b")
_MAYBE: Final = re.compile(
    r"\b(?:\w*error|\w*exception|fatal|critical|panic|failed|failure|violat\w+|denied|cannot|could not|refused|not found|no such|abort\w*)\b",
    re.I,
)
_WARNING: Final = re.compile(r"\b(?:warn\w*|reject\w*|partial\w*)\b", re.I)
_STAMP: Final = re.compile(r"^\s*\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*\s?(?:Z|UTC|[+-]\d\d:?\d\d)?\]?\s*[-|]?\s*")
_LEVEL: Final = re.compile(
    r"^\[?(?:ERROR|CRITICAL|FATAL|SEVERE|WARN(?:ING)?)\]?[:\s-]+\s*(?:[a-z_][\w.]*\s+(?=[A-Z]))?"
)
_ESCAPES: Final = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]?")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def first_error(path: Path) -> str | None:
    """The line that names the cause, without time stamp and level word, at most 300 characters; None if none looks like one.

    A raised exception's own line first, then the first line of an error level, then any that speaks of an error, then a warning.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            text = file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return None
    return first_error_of(text)


def first_error_of(text: str) -> str | None:
    """The same of a text."""
    lines = _ESCAPES.sub("", text).splitlines()
    for pattern in (_RAISED, _SURE, _MAYBE, _WARNING):
        for line in lines:
            if pattern.search(line[:2000]) and (said := tidy(line)):
                return said
    return None


def clean(text: str, longest: int = LONGEST) -> str:
    """One line without escapes and controls, at most ``longest`` characters."""
    line = _CONTROLS.sub(" ", _ESCAPES.sub("", text[: 16 * longest])).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def tidy(line: str) -> str:
    """One harmless line without its time stamp and level word, unless there is nothing else."""
    said = clean(line)
    return _LEVEL.sub("", _STAMP.sub("", said)).strip() or said


def last_line(path: Path) -> str | None:
    """The last line that says anything."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8192))
            lines = file.read(8192).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    return next((said for line in reversed(lines) if (said := tidy(line))), None)
