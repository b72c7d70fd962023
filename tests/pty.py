"""A terminal for tests: runs a program on a pty, answers its queries, keeps a screen (pyte) and the time of every byte.

``with Terminal([...], 120, 40) as t: t.wait_for("Floor"); t.press("j"); print(t.text())``. Used by the tests, by ``bench``
and by the recording of the transcript in the docs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "backspace": "\x7f",
    "space": " ",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "delete": "\x1b[3~",
    "f1": "\x1bOP",
    "f5": "\x1b[15~",
    "f9": "\x1b[20~",
    **{f"ctrl+{chr(c)}": chr(c - 96) for c in range(97, 123)},
}
"""Names of keys as in ``tui/keymap.py`` → what a terminal sends; single characters stand for themselves."""

_STRIP = re.compile(
    rb"\x1b\[[0-9;?<>=$ ]*[a-zA-Z@`~^]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78cM]|\x1bP[^\x1b]*\x1b\\"
)
# what pyte does not know and would print: kitty keyboard, private modes with $, secondary attributes
_NOT_FOR_PYTE = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9]+\$p|\x1b\[2[23];[0-9]t")


class GaveUp(AssertionError):
    """What was waited for did not come; the text shows the screen."""


class Screen(pyte.Screen):
    """pyte's, erasing as xterm does: cells never written take the current ground too."""

    def erase_in_display(self, how: int = 0, *args: object, **kwargs: object) -> None:
        if how in (2, 3):
            for y in range(self.lines):
                for x in range(self.columns):
                    self.buffer[y][x] = self.cursor.attrs
            self.dirty.update(range(self.lines))
            return
        super().erase_in_display(how, *args, **kwargs)

    def set_margins(self, *args: object, **kwargs: object) -> None:
        kwargs.pop("private", None)
        super().set_margins(*args, **kwargs)  # type: ignore[arg-type]


class Terminal:
    """One program on one pty. ``env`` values of None remove a variable; ``reply=False`` answers no query."""

    def __init__(
        self,
        argv: Sequence[str],
        cols: int = 120,
        rows: int = 40,
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        reply: bool = True,
        sync: bool = True,
        ignore_hangup: bool = False,
        close_fds: Sequence[int] = (),
    ) -> None:
        environ = {
            key: value
            for key, value in os.environ.items()
            if key not in ("COLUMNS", "LINES", "TMUX", "STY", "NO_COLOR")
        }
        environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8", LC_ALL="C.UTF-8")
        for key, value in (env or {}).items():
            if value is None:
                environ.pop(key, None)
            else:
                environ[key] = value
        self.cols, self.rows = cols, rows
        self.log: list[tuple[float, bytes]] = []
        """(seconds since start, bytes) of every read."""
        self.total = 0
        self.ended = False
        """The pty has no writer any more."""
        self.exit_code: int | None = None
        self._reply, self._sync = reply, sync
        self._screen = Screen(cols, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        self._tail = b""
        self._mark = 0
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.start = time.perf_counter()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for fd in (0, 1, 2):
                    os.dup2(slave, fd)
                os.closerange(3, 256)
                if ignore_hangup:
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
                for fd in close_fds:
                    os.close(fd)
                if cwd:
                    os.chdir(cwd)
                os.execvpe(argv[0], list(argv), environ)
            finally:
                os._exit(127)
        os.close(slave)
        self.fd = master
        os.set_blocking(master, False)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, timeout: float = 0.0) -> bytes:
        """What the program wrote, waiting up to ``timeout`` seconds for the first byte."""
        if self.ended:
            return b""
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return b""
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self.ended = True
            return b""
        self.log.append((time.perf_counter() - self.start, data))
        self.total += len(data)
        if self._reply and b"\x1b[" in data:
            self._answer(data)
        return data

    def _answer(self, data: bytes) -> None:
        out = b""
        if b"\x1b[?2026$p" in data:
            out += b"\x1b[?2026;2$y" if self._sync else b"\x1b[?2026;0$y"
        if b"\x1b[?2048$p" in data:
            out += b"\x1b[?2048;0$y"
        if b"\x1b[6n" in data:
            out += b"\x1b[1;1R"
        if b"\x1b[c" in data or b"\x1b[0c" in data:
            out += b"\x1b[?62;22c"
        if out:
            os.write(self.fd, out)

    def settle(self, quiet: float = 0.15, timeout: float = 5.0) -> None:
        """Read until nothing came for ``quiet`` seconds."""
        end = time.perf_counter() + timeout
        while not self.ended and time.perf_counter() < end:
            if not self.read(quiet):
                return

    def wait_for(self, what: str | re.Pattern[str], timeout: float = 10.0) -> float:
        """Read until the screen shows it; the time (seconds since start) of the bytes that completed it."""
        end = time.perf_counter() + timeout
        while True:
            if self.shows(what):
                return self.log[-1][0] if self.log else 0.0
            left = end - time.perf_counter()
            if left <= 0 or self.ended:
                raise GaveUp(
                    f"{what!r} did not come within {timeout}s{' (program ended)' if self.ended else ''}; the screen:\n{self.text()}"
                )
            self.read(min(left, 0.5))

    def wait_until_gone(self, what: str | re.Pattern[str], timeout: float = 10.0) -> None:
        """Read until the screen does not show it any more."""
        end = time.perf_counter() + timeout
        while self.shows(what):
            left = end - time.perf_counter()
            if left <= 0 or self.ended:
                raise GaveUp(f"{what!r} is still there after {timeout}s; the screen:\n{self.text()}")
            self.read(min(left, 0.5))

    def shows(self, what: str | re.Pattern[str]) -> bool:
        text = self.text()
        return bool(what.search(text)) if isinstance(what, re.Pattern) else what in text

    # --- the screen ---------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        if self._fed == len(self.log):
            return
        data = self._tail + b"".join(part for _, part in self.log[self._fed :])
        self._fed = len(self.log)
        # a sequence that is cut at the end waits for its rest
        cut = data.rfind(b"\x1b")
        if cut >= 0 and not _STRIP.match(data, cut) and len(data) - cut < 64:
            data, self._tail = data[:cut], data[cut:]
        else:
            self._tail = b""
        self._stream.feed(_NOT_FOR_PYTE.sub(b"", data))

    def lines(self) -> list[str]:
        """The rows of the screen; a wide character stands once and is followed by an empty cell."""
        self._feed()
        return list(self._screen.display)

    def text(self) -> str:
        """The screen as a grid, blanks at the end of rows cut."""
        return "\n".join(line.rstrip() for line in self.lines())

    def cell(self, row: int, column: int) -> pyte.screens.Char:
        """Character and attributes (``fg bg bold reverse``) of one cell."""
        self._feed()
        return self._screen.buffer[row][column]

    @property
    def title(self) -> str:
        self._feed()
        return self._screen.title

    def raw(self) -> bytes:
        """Everything that came."""
        return b"".join(data for _, data in self.log)

    def plain(self) -> bytes:
        """Everything that came, without control sequences."""
        return _STRIP.sub(b"", self.raw())

    def mark(self) -> None:
        """Start counting ``bytes_since_mark``."""
        self._mark = self.total

    @property
    def bytes_since_mark(self) -> int:
        return self.total - self._mark

    # --- doing --------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> float:
        """Bytes as if typed; the time they were written."""
        os.write(self.fd, data)
        return time.perf_counter() - self.start

    def press(self, *keys: str) -> float:
        """Keys by name (``enter``, ``ctrl+r``) or as characters; the time of the last."""
        when = 0.0
        for number, key in enumerate(keys):
            when = self.write(KEYS.get(key, key).encode())
            if key == "escape" and number + 1 < len(keys):
                time.sleep(0.15)  # quicker, Esc and a letter are Alt with that letter
        return when

    def type(self, text: str) -> None:
        """A text, character by character, as a quick typist does."""
        for char in text:
            self.press(char)
            self.read(0.01)

    def paste(self, text: str) -> None:
        """A bracketed paste."""
        self.write(b"\x1b[200~" + text.encode() + b"\x1b[201~")

    def key_to_paint(self, key: str, timeout: float = 2.0, quiet: float = 0.03) -> tuple[float, float, int]:
        """Press; seconds to the first and to the last byte of the answer, and its length."""
        while self.read(0.0):
            pass
        pressed = self.press(key)
        first = last = None
        count = 0
        end = time.perf_counter() + timeout
        while time.perf_counter() < end:
            data = self.read(quiet if first is not None else end - time.perf_counter())
            if not data:
                break
            last = self.log[-1][0]
            first = last if first is None else first
            count += len(data)
        if first is None or last is None:
            raise GaveUp(f"nothing came after {key!r}; the screen:\n{self.text()}")
        return first - pressed, last - pressed, count

    def resize(self, cols: int, rows: int) -> None:
        self._feed()
        self.cols, self.rows = cols, rows
        self._screen.resize(rows, cols)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def stop_reading(self, seconds: float) -> None:
        """Let the terminal hang: nothing is read for so long."""
        time.sleep(seconds)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal's end; the kernel sends SIGHUP to the program."""
        if not self.ended:
            self.ended = True
        os.close(self.fd)
        self.fd = -1

    # --- the process --------------------------------------------------------------------------------------------------

    def cpu(self) -> float:
        """Seconds of CPU that the program used."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """Resident memory, MB."""
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def wait(self, timeout: float = 5.0) -> int:
        """Exit code (negative: the signal); GaveUp if it does not end."""
        end = time.perf_counter() + timeout
        while self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
                break
            if time.perf_counter() >= end:
                raise GaveUp(f"the program did not end within {timeout}s; the screen:\n{self.text()}")
            if self.fd >= 0 and not self.ended:
                self.read(0.02)
            else:
                time.sleep(0.01)
        if self.fd >= 0:
            while self.read(0.0):
                pass
        return self.exit_code

    def close(self) -> None:
        """Kill what still runs and free the pty."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
