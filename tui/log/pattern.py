"""A pattern that may take for ever on an unlucky line, matched in a process of its own.

Python's ``re`` cannot be interrupted from a thread and holds the interpreter while it matches: ``(a+)+$`` on one line of
``aaaa!`` would stop the terminal. The child is given a block at a time and so much processor time for it; the kernel ends
it when that is used up, and the pattern is given up. Run as a script this file is the child: it knows the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import weakref
from array import array
from collections.abc import Iterator, Sequence

CPU_S = 0.3
"""Of the processor, for one block of a log. A pattern that is well behaved takes a hundredth of it."""
TOO_LONG = "takes too long: make it simpler, so that nothing in it can match twice"
NO_CHILD = "cannot be searched for: no process for it can be started"
ENDED = "is not searched for any more: its process ended"
_HEAD = struct.Struct("<BI")
_LINES, _SPANS = 0, 1


def may_hang(pattern: str) -> bool:
    """Whether anything in it repeats: only such a pattern looks at a place of the text more than once for each of its parts."""
    return any(sign in pattern for sign in "*+?{")


class Apart:
    """``lines`` and ``spans`` as the child finds them. ``gave_up``: why nothing is found any more, one clause; "" while it works."""

    def __init__(self, pattern: str, flags: int, by_line: bool) -> None:
        self.gave_up = ""
        self._hello = f"{int(flags)} {int(by_line)} {pattern}".encode("utf-8", "surrogatepass")
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def lines(self, data: bytes) -> Sequence[int]:
        """Where in whole lines those begin that hold it."""
        return self._ask(_LINES, data)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in one line it is."""
        found = self._ask(_SPANS, text.encode("utf-8", "surrogatepass"))
        return zip(found[::2], found[1::2], strict=True)

    def _ask(self, kind: int, data: bytes) -> Sequence[int]:
        with self._lock:
            if self.gave_up:
                return ()
            try:
                child = self._child or self._start()
            except OSError:
                self.gave_up = NO_CHILD
                return ()
            assert child.stdin is not None
            assert child.stdout is not None
            found = array("I")
            try:
                child.stdin.write(_HEAD.pack(kind, len(data)) + data)
                child.stdin.flush()
                (size,) = struct.unpack("<I", child.stdout.read(4))
                found.frombytes(child.stdout.read(size))
            except (OSError, struct.error):  # it was ended
                self.gave_up = TOO_LONG if _end(child) == -signal.SIGPROF else ENDED
                return ()
            return found

    def _start(self) -> subprocess.Popen[bytes]:
        env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
        child = self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(__file__)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", env=env, start_new_session=True,
        )  # fmt: skip
        weakref.finalize(self, _end, child)
        assert child.stdin is not None
        child.stdin.write(struct.pack("<I", len(self._hello)) + self._hello)
        return child


def _end(child: subprocess.Popen[bytes]) -> int:
    """How it ended; by us, if it had not."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        return child.wait(CPU_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def in_lines(pattern: re.Pattern[str], data: bytes | bytearray, first: int, last: int) -> list[int]:
    """Where in ``data[first:last]`` lines begin that hold it, asked one by one."""
    out: list[int] = []
    at = first
    while at < last:
        end = data.find(b"\n", at, last)
        if end < 0:
            end = last
        stop = end - 1 if end > at and data[end - 1] == 13 else end
        begin = at + 1 if at < stop and 0x80 <= data[at] < 0xC0 else at  # a merged log's mark is no text
        if pattern.search(bytes(data[begin:stop]).decode("utf-8", "replace")):
            out.append(at)
        at = end + 1
    return out


def in_bulk(pattern: re.Pattern[bytes], data: bytes | bytearray, first: int, last: int, low: bool) -> list[int]:
    """The same for one that sees no end of a line; ``low``: it holds no capital and is asked of the text in small letters."""
    hay = data.lower() if low else data
    out: list[int] = []
    at = first
    while at < last:
        found = pattern.search(hay, at, last)
        if found is None:
            break
        out.append(hay.rfind(b"\n", at, found.start()) + 1 or at)
        end = hay.find(b"\n", found.start(), last)
        if end < 0:
            break
        at = end + 1
    return out


def _serve() -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    get, put = sys.stdin.buffer, sys.stdout.buffer
    flags, by_line, inner = get.read(struct.unpack("<I", get.read(4))[0]).decode("utf-8", "surrogatepass").split(" ", 2)
    text = re.compile(inner, int(flags))
    bulk = None if by_line == "1" else re.compile(inner.encode(), re.MULTILINE)
    while len(head := get.read(_HEAD.size)) == _HEAD.size:
        kind, size = _HEAD.unpack(head)
        data = get.read(size)
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        if kind == _SPANS:
            spans = (hit.span() for hit in text.finditer(data.decode("utf-8", "surrogatepass")))
            found = array("I", (at for span in spans for at in span))
        elif bulk is None or b"\r" in data:
            found = array("I", in_lines(text, data, 0, size))
        else:
            found = array("I", in_bulk(bulk, data, 0, size, bool(int(flags))))
        signal.setitimer(signal.ITIMER_PROF, 0)
        put.write(struct.pack("<I", 4 * len(found)) + found.tobytes())
        put.flush()


if __name__ == "__main__":
    _serve()
