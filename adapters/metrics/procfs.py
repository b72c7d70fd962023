"""Small readers of ``/proc``: files that stay open, one process's ``stat``, and its children."""

from __future__ import annotations

import os
from typing import NamedTuple


class ProcStat(NamedTuple):
    """Of ``/proc/PID/stat`` (proc(5)): times in clock ticks, ``rss`` in pages, ``reaped`` what ended children used."""

    name: bytes
    ppid: int
    own: int
    reaped: int
    threads: int
    start: int
    rss: int


def stat_of(proc: str, pid: int) -> ProcStat | None:
    """None if it is gone, hidden from us, or not readable as proc(5) says."""
    try:
        fd = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(fd, 4096)
    except OSError:  # ESRCH: it ended in between
        return None
    finally:
        os.close(fd)
    end = text.rfind(b")")  # the name may hold blanks and parentheses
    words = text[end + 2 :].split(None, 22)
    try:
        return ProcStat(
            text[text.index(b"(") + 1 : end],
            int(words[1]),
            int(words[11]) + int(words[12]),
            int(words[13]) + int(words[14]),
            int(words[17]),
            int(words[19]),
            int(words[21]),
        )
    except (IndexError, ValueError):
        return None


def children(proc: str, pid: int, many: bool) -> list[int]:
    """Pids of the children. ``many``: of each thread, else only of the first (all there is in a process of one)."""
    threads = [str(pid)]
    if many:
        try:
            threads = os.listdir(f"{proc}/{pid}/task")
        except OSError:
            return []
    out: list[int] = []
    for thread in threads:
        try:
            fd = os.open(f"{proc}/{pid}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            text = b""
            while chunk := os.read(fd, 65536):
                text += chunk
        except OSError:
            continue
        finally:
            os.close(fd)
        out += map(int, text.split())
    return out


def clean(name: bytes) -> str:
    """A process may call itself anything, escape codes too."""
    return "".join(c if c.isprintable() else "�" for c in name.decode(errors="replace"))


class Files:
    """Files below one root, opened once, read from the start each time (``/proc`` writes them anew). Absent: empty."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: dict[str, int] = {}

    def read(self, name: str) -> bytes:
        """Up to 64 KiB in one call: enough for all that the kernel writes as one record."""
        try:
            fd = self._open.get(name)
            if fd is None:
                fd = self._open[name] = os.open(f"{self._root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(fd, 65536, 0)
        except OSError:  # not there, or switched off (PSI: EOPNOTSUPP); it may come back
            self._drop(name)
            return b""

    def read_all(self, name: str) -> bytes:
        """To the end: a file of many records comes a page at a time."""
        text = self.read(name)
        while text:
            try:
                more = os.pread(self._open[name], 65536, len(text))
            except OSError:
                self._drop(name)
                return b""
            if not more:
                break
            text += more
        return text

    def _drop(self, name: str) -> None:
        fd = self._open.pop(name, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        for name in list(self._open):
            self._drop(name)
