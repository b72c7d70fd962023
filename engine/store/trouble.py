"""Why nothing is recorded, beside the store that cannot be written: one line of the lock file, for who only reads.

Light on purpose: every terminal reads it once a second.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

SIZE: Final = 1024
"""Bytes of the lock file; padded, so that words never need another block of the disk."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """``kind``: full (no room), denied (cannot be written otherwise), rebuilding (it was damaged). ``since``: ms UTC."""

    kind: str
    since: int
    words: str


def packed(pid: int, trouble: Trouble | None) -> bytes:
    """What stands in the lock file: the pid, then the trouble as JSON, then blanks."""
    line = ""
    if trouble is not None:
        line = json.dumps({"kind": trouble.kind, "since": trouble.since, "words": trouble.words[:400]})
        if len(line) > SIZE - 40:  # many characters that JSON writes longer
            line = json.dumps({"kind": trouble.kind, "since": trouble.since, "words": ""})
    return f"{pid}\n{line}\n".encode().ljust(SIZE, b" ")


def read(lock: Path) -> Trouble | None:
    """What the holder of the lock last said; only worth something while it is held. None: nothing, or unreadable."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, SIZE, 0)
        finally:
            os.close(descriptor)
        found: Any = json.loads(data.decode().split("\n")[1])
        said = cast("dict[str, Any]", found)
        return Trouble(str(said["kind"]), int(said["since"]), str(said["words"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def room(path: Path) -> tuple[int, int] | None:
    """Bytes free to this user and bytes in all of the file system under ``path``; None where it cannot be told."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
