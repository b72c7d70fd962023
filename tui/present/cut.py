"""Text from outside made harmless, measured in cells, padded and cut. Names are cut in the middle: their ends tell
them apart.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal

from rich.cells import get_character_cell_size

CUT: Final = "…"

# String sequences (OSC, DCS, SOS, PM, APC) with their text, control sequences, then any two-character escape.
_ESCAPES: Final = re.compile(
    "(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\\\|\x9c)"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|\x1b[ -/]*[0-~]?"
)
_MARKS: Final = 2  # combining marks kept on one letter; more of them are drawn over neighbouring rows


def _harmless(c: str) -> str:
    if c in "\t\n\r\v\f\x85\u2028\u2029":
        return " "
    code = ord(c)
    if 0xD800 <= code <= 0xDFFF or code == 0xFFFD:
        return "�"
    kind = unicodedata.category(c)
    if kind in ("Cc", "Cf"):  # controls; direction marks, joiners and other invisible formatting
        return ""
    if kind in ("Cn", "Co"):
        return "�"
    if kind == "Zs":
        return " "
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:  # variation selectors change the width
        return ""
    if 0x1F1E6 <= code <= 0x1F1FF or 0x1F3FB <= code <= 0x1F3FF:  # flags, skin tones: terminals disagree on the width
        return "?"
    return c


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """One line of printable text: no escape sequence, control, direction mark, joiner or lone surrogate survives.

    Line ends and tabs become blanks. Letters of every script stay.
    """
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for c in _ESCAPES.sub("", text):
        c = _harmless(c)
        if not c:
            continue
        if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me"):
            marks += 1
            if marks > _MARKS or not out:
                continue
        else:
            marks = 0
        out.append(c)
    return "".join(out)


def first_line(text: str) -> str:
    """The first line of a text that says something, made harmless."""
    for line in text.splitlines():
        found = clean(line).strip()
        if found:
            return found
    return ""


def char_width(c: str) -> int:
    """Cells that one character takes: 0, 1 or 2."""
    return 1 if c.isascii() else get_character_cell_size(c)


def width(text: str) -> int:
    """Cells that a harmless text takes."""
    return len(text) if text.isascii() else _width(text)


@lru_cache(maxsize=4096)
def _width(text: str) -> int:
    return sum(map(get_character_cell_size, text))


def _head(text: str, cells: int) -> str:
    if text.isascii():
        return text[: max(cells, 0)]
    used = 0
    for i, c in enumerate(text):
        used += char_width(c)
        if used > cells:
            return text[:i]
    return text


def _tail(text: str, cells: int) -> str:
    if text.isascii():
        return text[len(text) - max(cells, 0) :]
    used = 0
    for i in range(len(text) - 1, -1, -1):
        used += char_width(text[i])
        if used > cells:
            rest = text[i + 1 :]
            while rest and char_width(rest[0]) == 0:  # a mark without its letter
                rest = rest[1:]
            return rest
    return text


def cut(text: str, cells: int) -> str:
    """At most ``cells`` cells, the end replaced by ``…``."""
    if width(text) <= cells:
        return text
    return _head(text, cells - 1) + CUT if cells > 0 else ""


def cut_middle(text: str, cells: int) -> str:
    """At most ``cells`` cells, the middle replaced by ``…``; the last eight cells stay where there is room."""
    if width(text) <= cells:
        return text
    if cells < 4:
        return cut(text, cells)
    tail = _tail(text, min(8, (cells - 1) // 2))
    return _head(text, cells - 1 - width(tail)) + CUT + tail


def wrap(text: str, cells: int, most: int = 4) -> list[str]:
    """The words in rows of ``cells``, ``most`` rows at the most; what does not fit even then ends with ``…``."""
    rows: list[str] = []
    for word in text.split():
        while True:
            row = f"{rows[-1]} {word}" if rows else word
            if width(row) <= cells:
                rows[-1:] = [row]
                break
            if width(word) <= cells:
                rows.append(word)
                break
            head = _head(word, cells)
            if not head:  # a wide letter on a row of one cell
                break
            rows.append(head)
            word = word[len(head) :]
            rows.append("")
    rows = [row.strip() for row in rows if row.strip()] or [""]
    if len(rows) > most:
        rows = [*rows[: most - 1], cut(" ".join(rows[most - 1 :]), cells)]
    return rows


def pad(text: str, cells: int, align: Literal["l", "r"] = "l") -> str:
    """Exactly ``cells`` cells."""
    text = cut(text, cells)
    blanks = " " * (cells - width(text))
    return blanks + text if align == "r" else text + blanks
