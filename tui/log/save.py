"""A log to a file: what is shown or all of it, byte for byte, whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

from tui.log.index import TAIL, Text
from tui.log.merge import MARK
from tui.log.query import Shown

_CHUNK = 1 << 18


class Refused(ValueError):
    """It cannot be saved there; the text is one sentence. ``exists``: it can, in place of what is there."""

    def __init__(self, text: str, exists: bool = False) -> None:
        super().__init__(text)
        self.exists = exists


class Short(Exception):
    """The log could only be read up to here."""


def target(typed: str, replace: bool = False) -> Path:
    """The file that was meant. Refused where there is none to be, or where one is and ``replace`` was not said."""
    text = typed.strip()
    if not text:
        raise Refused("no name, nothing saved")
    path = Path(os.path.abspath(os.path.expanduser(text)))
    try:
        if path.is_dir():
            raise Refused(f"{path} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise Refused(f"there is no folder {path.parent}")
        if os.path.lexists(path) and not replace:
            raise Refused(f"{path} exists, {path.lstat().st_size:,} bytes, and is left as it is", exists=True)
        if replace and os.path.lexists(path) and not path.is_file():
            raise Refused(f"{path} is no ordinary file and is left as it is")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    return path


def save(
    text: Text,
    shown: Shown | None,
    path: Path,
    replace: bool,
    names: list[str],
    done: Callable[[str, str], None],
    progress: Callable[[int], None],
) -> Generator[None, None, None]:
    """Write it, a piece a step; ``done`` gets one sentence and its level. ``shown`` None: all lines. ``names``: members of a merged log."""
    part = ""
    try:
        fd, part = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        size = lines = 0
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)
            for piece, count in _pieces(text, shown, names):
                file.write(piece)
                size += len(piece)
                lines += count
                progress(size)
                yield
            file.flush()
            os.fsync(fd)
        if replace:
            os.replace(part, path)
        else:
            _name_it(part, path)
        part = ""
        what = "shown lines" if shown is not None and shown.active else "lines"
        done(f"saved {lines:,} {what}, {size:,} bytes: {path}", "info")
    except Short as error:
        done(f"not saved: only {error.args[0]:,} bytes could be read: it was cut, began anew, or its disk fails", "bad")
    except OSError as error:
        if error.errno == errno.EEXIST:
            done(f"{path} came to be a moment ago and is left as it is", "warn")
        else:
            done(f"not saved: {path}: {error.strerror}", "bad")
    finally:
        if part:
            with suppress(OSError):
                os.unlink(part)


def _name_it(part: str, path: Path) -> None:
    """Unlike a rename a link never takes the place of a file that came to be meanwhile. Some disks (VFAT) know none."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(part, path)
        return
    os.unlink(part)


def _pieces(text: Text, shown: Shown | None, names: list[str]) -> Generator[tuple[bytes, int], None, None]:
    end, generation = text.size, text.generation
    if (shown is None or not shown.active) and not names:
        at = 0
        while at < end:
            data = text.source.read(at, min(_CHUNK, end - at)) if text.generation == generation else b""
            if not data:
                raise Short(at)
            at += len(data)
            yield data, data.count(b"\n") + (1 if at >= end and not data.endswith(b"\n") else 0)
        return
    for k in range(-(-end // _CHUNK)):
        if text.generation != generation or not text.source.read(min((k + 1) * _CHUNK, end) - 1, 1):
            raise Short(k * _CHUNK)
        block = text.block(k)
        kept = set(shown.in_block(text, k)) if shown is not None else None
        out: list[bytes] = []
        for i, at in enumerate(block.starts):
            if kept is not None and at not in kept:
                continue
            begin, stop = block.bounds(i)
            line = block.data[begin:stop]
            if stop - begin >= TAIL:  # a long last line: all of it
                line = text.source.read(at, text.end_of(at) - at)
            if names:
                number = line[0] - MARK if line else 0
                name = names[number] if 0 <= number < len(names) else "?"
                line = os.fsencode(name) + b": " + line[1:]
            out.append(line + b"\n")
        yield b"".join(out), len(out)
