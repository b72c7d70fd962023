"""A log as bytes at offsets, wherever they come from: a file that grows, is cut, replaced or removed; a pipe that is spooled."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

HEAD: Final = 256
"""First bytes that are remembered: a file that was rewritten in place begins otherwise."""
_CHUNK: Final = 1 << 16


def _close(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)


def clock() -> str:
    """Time of day for a notice, as this machine tells it."""
    return time.strftime("%H:%M:%S")


class Source:
    """A regular file. ``look`` takes notice of what happened to it; offsets below ``size`` can be read at any time.

    ``generation`` counts up whenever offsets lost their meaning; ``notice`` says why, or that the file is gone.
    OSError where it cannot be opened.
    """

    lead = 0
    """Bytes before each line that are not the line's (the member of a merged log)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.generation = 0
        self.notice = ""
        self.removed = False
        self.ended = False
        """Nothing more can come."""
        self._head = b""
        self._file: tuple[int, int] = (0, 0)
        self.fd = -1
        self._open()

    def _open(self) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "is not a regular file", self.path)
        self._take(fd)
        self._file, self.size = (info.st_dev, info.st_ino), info.st_size
        self._head = self.read(0, HEAD)

    def _take(self, fd: int) -> None:
        old, self.fd = getattr(self, "_end", None), fd
        self._end = weakref.finalize(self, _close, fd)
        if old is not None:
            old()

    def read(self, offset: int, count: int) -> bytes:
        """At most so many bytes; fewer at the end, none behind it. A disk that fails reads as the end."""
        try:
            return os.pread(self.fd, count, offset) if count > 0 else b""
        except OSError as error:
            self.notice = f"cannot be read at byte {offset:,}: {error.strerror}"
            return b""

    def read_into(self, buffer: bytearray, offset: int) -> int:
        """Fill a buffer; how many bytes came."""
        try:
            return os.preadv(self.fd, [buffer], offset)
        except OSError as error:
            self.notice = f"cannot be read at byte {offset:,}: {error.strerror}"
            return 0

    def look(self) -> bool:
        """Take notice of growth, a cut, another file of that name, a removal. True if anything changed."""
        info = os.fstat(self.fd)
        try:
            named = os.stat(self.path)
        except OSError:
            named = None
        if named is None:
            changed = not self.removed
            if changed:
                self.removed = True
                self.notice = f"removed {clock()}: what was written stays readable while this is open"
            return self._grown(info.st_size) or changed
        if (named.st_dev, named.st_ino) != self._file:
            return self._reopen()
        self.removed = False
        if info.st_size < self.size:
            return self._anew(info.st_size, f"truncated {clock()}: begins anew")
        return self._grown(info.st_size)

    def _grown(self, size: int) -> bool:
        if size <= self.size:
            return False
        if self._head and self.read(0, len(self._head)) != self._head:
            return self._anew(size, f"truncated {clock()}: was written anew")
        self.size = size
        if len(self._head) < HEAD:
            self._head = self.read(0, HEAD)
        return True

    def _anew(self, size: int, notice: str) -> bool:
        self.generation += 1
        self.size, self.notice = size, notice
        self._head = self.read(0, HEAD)
        return True

    def _reopen(self) -> bool:
        try:
            self._open()
        except OSError:
            return False
        self.generation += 1
        self.removed = False
        self.notice = f"reopened {clock()}: a new file took its place"
        return True

    def close(self) -> None:
        self._end()


class Spool(Source):
    """Bytes of our own in a temporary file without a name: nothing is left behind, however we end."""

    def __init__(self, name: str) -> None:
        self.path = name
        self.size = 0
        self.generation = 0
        self.notice = ""
        self.removed = False
        self.ended = False
        fd, path = tempfile.mkstemp(prefix="watchfloor-log-")
        os.unlink(path)
        self.fd = -1
        self._written = 0
        self._take(fd)

    def append(self, data: bytes) -> None:
        """Keep these too. OSError where the disk is full."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self.fd, view, self._written)
            self._written += count
            view = view[count:]

    def restart(self) -> None:
        """Forget all of it."""
        os.ftruncate(self.fd, 0)
        self._written = self.size = 0
        self.generation += 1

    def look(self) -> bool:
        if self._written == self.size:
            return False
        self.size = self._written
        return True


class Pipe(Spool):
    """A pipe, terminal or socket that is read into a spool by a thread. The writer waits for the disk, never for the screen."""

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(name)
        self._said = ""
        self.came = threading.Event()
        """Something came, or the end."""
        thread = threading.Thread(target=_drain, args=(weakref.ref(self), fd, self.came), daemon=True, name="log-pipe")
        thread.start()

    def take(self, data: bytes) -> bool:
        """What came; False when no more may be read."""
        try:
            if data:
                self.append(data)
                return True
            self._said = f"the writer ended {clock()}"
        except OSError as error:
            self._said = (
                f"reading stopped {clock()}: {tempfile.gettempdir()} takes no more ({error.strerror}), the writer waits"
            )
        return False

    def look(self) -> bool:
        said = self._said
        grown = super().look()
        if said and not self.ended:
            self.ended, self.notice = True, said
            return True
        return grown


def _drain(ref: Callable[[], Pipe | None], fd: int, came: threading.Event) -> None:
    """Until the end of the pipe or of its reader; holds the reader only while there is something to hand over."""
    while True:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:  # somebody made the description non-blocking
            time.sleep(0.02)
            continue
        except OSError:
            data = b""
        pipe = ref()
        more = pipe is not None and pipe.take(data)
        came.set()
        if not more:
            if pipe is None or not data:  # the writer is told; on a full disk it is left waiting
                _close(fd)
            return
        del pipe


def open_source(path: str) -> Source:
    """A file as it lies, or whatever else can be read as a pipe (``<(command)``, a fifo). OSError where neither can be."""
    info = os.stat(path)
    if stat.S_ISDIR(info.st_mode):
        raise OSError(errno.EISDIR, "is a folder", path)
    if stat.S_ISREG(info.st_mode):
        return Source(path)
    return Pipe(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)
