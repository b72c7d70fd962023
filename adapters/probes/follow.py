"""What was written to a text file since the last look: rotated, truncated, rewritten, unfinished. Blocks; keeps no descriptor."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from adapters.globs import shown
from adapters.probes.matching import TAIL
from adapters.probes.values import NoValue

SEEN: Final = 64
"""Bytes before the offset that must still stand there: else it is another file of the same number."""
_HEAD: Final = 8192


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a file was read. ``seen``: what stands before ``offset``; ``mtime`` in ns."""

    path: str
    inode: int
    device: int
    offset: int
    seen: bytes
    mtime: int


@dataclass(frozen=True, slots=True)
class News:
    """What is new. ``rest``: a last line without its end, which is told again with its end. ``skipped``: bytes that were too
    many to be read. ``mtime`` in ms."""

    lines: bytes
    rest: bytes
    mark: Mark
    mtime: int
    skipped: int = 0


def at_start(path: str, inode: int, device: int) -> Mark:
    """For a file that came to be after we began: all of it is new."""
    return Mark(path, inode, device, 0, b"", 0)


def news(path: str, mark: Mark | None, *, again: bool = False, most: int = TAIL) -> News:
    """Read on from ``mark``, the last ``most`` bytes at most; None, or ``again`` where it was written without growing: its last
    MiB. NoValue says why it cannot."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoValue(f"{shown(path, 120)} is not there") from None
    except PermissionError:
        raise NoValue(f"{shown(path, 120)} may not be read: permission denied") from None
    except (OSError, ValueError) as error:
        raise NoValue(f"{shown(path, 120)} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return _read(fd, path, mark, again, most)
    except OSError as error:
        raise NoValue(f"{shown(path, 120)} cannot be read: {error.strerror or error}") from None
    finally:
        os.close(fd)


def _read(fd: int, path: str, mark: Mark | None, again: bool, most: int) -> News:
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise NoValue(f"{shown(path, 120)} is no file")
    if b"\0" in os.pread(fd, _HEAD, 0):
        raise NoValue(f"{shown(path, 120)} holds NUL bytes: it is binary, or UTF-16, which is not read")
    old = b""
    start = max(0, info.st_size - TAIL)
    if mark is not None:
        if (mark.inode, mark.device) != (info.st_ino, info.st_dev):
            old, start = _rotated(path, mark, most), 0
        elif info.st_size < mark.offset or os.pread(fd, len(mark.seen), mark.offset - len(mark.seen)) != mark.seen:
            start = 0
        elif not (again and info.st_size == mark.offset and info.st_mtime_ns != mark.mtime):
            start = mark.offset
    skipped = max(0, info.st_size - most - start)
    start += skipped
    data = os.pread(fd, info.st_size - start, start) if info.st_size > start else b""
    if start and (mark is None or start != mark.offset):  # not in the middle of a line
        data = data[data.find(b"\n") + 1 :]
    end = data.rfind(b"\n") + 1
    offset = info.st_size - (len(data) - end)
    seen = os.pread(fd, min(SEEN, offset), max(0, offset - SEEN))
    fresh = Mark(path, info.st_ino, info.st_dev, offset, seen, info.st_mtime_ns)
    return News(old + data[:end], data[end:], fresh, info.st_mtime_ns // 1_000_000, skipped)


def _rotated(path: str, mark: Mark, most: int) -> bytes:
    """What was still written to the file after the last look, before it got another name beside this one."""
    folder, name = os.path.split(mark.path)
    stem = name.partition(".")[0]
    try:
        with os.scandir(folder or ".") as entries:
            there = [e.path for n, e in enumerate(entries) if n < 20_000 and e.name.startswith(stem) and e.path != path]
        for one in sorted(there):
            info = os.lstat(one)
            if (info.st_ino, info.st_dev) != (mark.inode, mark.device) or info.st_size <= mark.offset:
                continue
            with open(one, "rb") as file:
                if os.pread(file.fileno(), len(mark.seen), mark.offset - len(mark.seen)) != mark.seen:
                    return b""
                file.seek(max(mark.offset, info.st_size - most))
                data = file.read(most)
                return data if data.endswith(b"\n") else data + b"\n"
    except OSError:
        pass
    return b""
