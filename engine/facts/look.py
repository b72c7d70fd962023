"""One look for the files of a pattern: what matches, how large and how old it is, which date its name tells. Blocks; no store."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.globs import Cannot, Walk

LIMIT_S: Final = 3.0
"""A look that takes longer is left alone, and said."""
RECENT_MS: Final = 14 * 86_400_000
MOST: Final = 500
"""Files a look at most, the newest."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that matched. ``stamp``: (mtime ms UTC, bytes). ``bdate``: yyyymmdd as its name tells."""

    path: str
    mtime: int
    size: int
    bdate: int | None

    @property
    def stamp(self) -> tuple[int, int]:
        return self.mtime, self.size


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look saw. ``error`` None: all of it was seen. ``whole`` False: more files matched than are kept."""

    files: tuple[File, ...] = ()
    error: str | None = None
    whole: bool = True


def scan(pattern: str, folder: Path, now: int, limit_s: float = LIMIT_S) -> Sight:
    """Look once. ``folder``: base of a relative pattern. Blocks as long as the file system does; raises nothing."""
    try:
        seen = Walk(limit_s).run(os.path.join(folder, os.path.expanduser(pattern)))
    except Cannot as error:
        return Sight(error=str(error))
    except (OSError, ValueError) as error:
        return Sight(error=f"cannot be looked for: {getattr(error, 'strerror', None) or error}")
    found: list[File] = []
    for path, info, days in seen:
        mtime = info.st_mtime_ns // 1_000_000
        if stat.S_ISREG(info.st_mode) and mtime >= now - RECENT_MS and len(days) < 2:
            found.append(File(path, mtime, info.st_size, next(iter(days), None)))
    newest = sorted(found, key=lambda f: (f.mtime, f.path), reverse=True)
    return Sight(tuple(newest[:MOST]), None, len(newest) <= MOST)
