"""One look for the paths of a pattern: which there are, and which date their names tell. Blocks as long as the file system does."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import date
from errno import ELOOP
from fnmatch import translate
from typing import Final

MOST_NAMES: Final = 200_000
"""Names that are read of folders in one look at most."""
STATS_S: Final = 3.0
"""Beyond the limit of a look, for what each file says of itself."""
_TOKEN: Final = re.compile(r"\{(business_date|yyyymmdd)\}")
_GLOB: Final = re.compile(r"[*?\[]")


class Cannot(Exception):
    """In words for people."""


class Walk:
    """Walks only folders that the pattern names; ``**`` is no more than ``*``."""

    def __init__(self, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s
        self._names = 0

    def run(self, pattern: str) -> list[tuple[str, os.stat_result, frozenset[int]]]:
        """Of an absolute pattern each path with what ``stat`` says (links followed) and the dates (yyyymmdd) of its name.

        Cannot where not all of it was seen; OSError and ValueError as the system raises them.
        """
        parts = [part for part in pattern.split("/") if part]
        fixed = 0
        while fixed < len(parts) - 1 and not (_GLOB.search(parts[fixed]) or _TOKEN.search(parts[fixed])):
            fixed += 1
        base = "/" + "/".join(parts[:fixed])
        found: list[tuple[str, os.stat_result, frozenset[int]]] = []
        for path, days in self._walk(base, parts[fixed:], frozenset(), sure=True):
            if not len(found) % 256 and time.monotonic() > self._end + STATS_S:
                raise Cannot(f"too many files to look at in {shown(base)}: {len(found)} and more")
            try:
                found.append((path, os.stat(path), days))
            except FileNotFoundError:
                continue
            except PermissionError:
                raise Cannot(f"{shown(path)} may not be looked at: permission denied") from None
            except OSError as error:
                if error.errno == ELOOP:  # a link to itself is no file
                    continue
                raise
        return found

    def _walk(
        self, folder: str, parts: Sequence[str], days: frozenset[int], *, sure: bool
    ) -> list[tuple[str, frozenset[int]]]:
        """Paths with the dates that their names tell. ``sure``: the folder must be there, the pattern names it."""
        part, rest = parts[0], parts[1:]
        plain = not (_GLOB.search(part) or _TOKEN.search(part))
        if plain:
            path = os.path.join(folder, part)
            if rest:
                return self._walk(path, rest, days, sure=False)
            if sure:
                self._list(folder, True, None)
            return [(path, days)] if os.path.lexists(path) else []
        wanted = _pattern(part)
        found: list[tuple[str, frozenset[int]]] = []
        for name in self._list(folder, sure, wanted):
            told = _dates(wanted.fullmatch(name))
            if told is None:
                continue
            path = os.path.join(folder, name)
            found += self._walk(path, rest, days | told, sure=False) if rest else [(path, days | told)]
        return found

    def _list(self, folder: str, sure: bool, wanted: re.Pattern[str] | None) -> list[str]:
        found: list[str] = []
        try:
            with os.scandir(folder) as entries:
                if wanted is None:
                    return found
                for entry in entries:
                    self._names += 1
                    if self._names > MOST_NAMES or (not self._names % 256 and time.monotonic() > self._end):
                        raise Cannot(f"too many names to look through in {shown(folder)}: {self._names} and more")
                    if wanted.fullmatch(entry.name) and not (
                        entry.name.startswith(".") and not wanted.pattern.startswith("(?s:\\.")
                    ):
                        found.append(entry.name)
        except FileNotFoundError:
            if sure:
                raise Cannot(f"the folder {shown(folder)} is not there") from None
        except NotADirectoryError:
            if sure:
                raise Cannot(f"{shown(folder)} is not a folder") from None
        except PermissionError:
            raise Cannot(f"the folder {shown(folder)} may not be read: permission denied") from None
        return found


def _pattern(part: str) -> re.Pattern[str]:
    """One part of a path as a pattern; groups hold the dates."""
    words: list[str] = []
    at = 0
    for n, token in enumerate(_TOKEN.finditer(part)):
        words.append(_inner(part[at : token.start()]))
        words.append(rf"(?P<d{n}>\d{{4}}-\d\d-\d\d)" if token.group(1) == "business_date" else rf"(?P<d{n}>\d{{8}})")
        at = token.end()
    words.append(_inner(part[at:]))
    return re.compile(f"(?s:{''.join(words)})")


def _inner(glob: str) -> str:
    """``fnmatch.translate`` without its frame."""
    return re.sub(r"^\(\?s:(.*)\)\\[zZ]$", r"\1", translate(glob), flags=re.S)


def _dates(found: re.Match[str] | None) -> frozenset[int] | None:
    """The dates that a name tells; None where what stands there is no date."""
    if found is None:
        return None
    days: set[int] = set()
    for text in found.groupdict().values():
        digits = text.replace("-", "")
        try:
            date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            return None
        days.add(int(digits))
    return frozenset(days)


def shown(path: str, limit: int = 400) -> str:
    """A path as it may be shown and stored: bytes that are no text and control characters as escapes, cut in the middle."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 2 :]}"
