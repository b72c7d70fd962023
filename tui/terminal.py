"""The terminal itself: changed-cell output, frames dropped for a slow reader, title, bell, clipboard, a clean end.

Every use of Textual's private parts is in this file. ``missing()`` says which of them are gone; then Textual draws by
its own means, slower and with more bytes, and nothing else changes.
"""
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

import asyncio
import base64
import logging
import os
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from textual._compositor import CompositorUpdate
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from tui.cells import Pens, Row, Shadow, clean
from tui.early import ENTER, Early, new_shadow, refusal, terminal_encoding, terminal_size

log = logging.getLogger("watchfloor.tui")

FRAME = 1 / 30
"""Seconds between frames at most; the first one after a key does not wait for it."""
SLOW_FRAME = 5.0
"""The same with ``--slow-link``, except for what a key did."""
COPY_LIMIT = 74_994
"""Bytes of text that OSC 52 may carry: xterm and tmux drop a sequence of more than 100,000 bytes."""
_SYNC_FROM = 512
"""Bytes from which a frame is wrapped in synchronised-output marks (16 bytes): less cannot be seen tearing."""
_LEAVE_WITHIN = 2.0
_PRIVATE: tuple[tuple[type, str], ...] = (
    (App, "_display"),
    (App, "_handle_exception"),
    (App, "_build_driver"),
    (LinuxDriver, "_get_terminal_size"),
    (LinuxDriver, "_run_input_thread"),
    (LinuxDriver, "_sigtstp_application"),
    (LinuxDriver, "_sigcont_application"),
    (LinuxDriver, "start_application_mode"),
    (LinuxDriver, "stop_application_mode"),
)


def missing() -> list[str]:
    """Names of Textual's that we build on and that are not there."""
    gone = [f"{owner.__name__}.{name}" for owner, name in _PRIVATE if not callable(getattr(owner, name, None))]
    code = getattr(LinuxDriver.start_application_mode, "__code__", None)
    if code is None or "_writer_thread" not in code.co_names:
        gone.append("LinuxDriver._writer_thread")
    return gone


class Writer(threading.Thread):
    """Writes to the terminal in a thread of its own, and knows whether the terminal has taken everything.

    Nothing here blocks the caller and nothing piles up: who paints asks ``idle`` first. After the terminal has gone all
    is dropped. Stands in for Textual's ``WriterThread`` (a queue of 30 frames with a blocking put).
    """

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        super().__init__(daemon=True, name="terminal-output")
        self._fd = fd
        self._encoding = encoding
        self._parts: list[str] = []
        self._wake = threading.Condition()
        self._busy = False
        self._stopping = False
        self._when_idle: Callable[[], None] | None = None
        self.gone = False
        self.sent = 0
        """Bytes that the terminal took, since the start."""

    @property
    def idle(self) -> bool:
        """All that was written has been taken by the terminal."""
        return not self._busy and not self._parts

    def call_when_idle(self, call: Callable[[], None]) -> None:
        """``call`` once, from the writer's thread, as soon as the terminal took everything."""
        with self._wake:
            self._when_idle = call
            self._wake.notify()

    def write(self, text: str) -> None:
        with self._wake:
            if not self.gone and not self._stopping:
                self._parts.append(text)
                self._wake.notify()

    def flush(self) -> None:
        """There is nothing to flush: the thread writes at once."""

    def run(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                if not self._parts and self._when_idle is not None:
                    call, self._when_idle = self._when_idle, None
                else:
                    call = None
                    while not self._parts and not self._stopping and self._when_idle is None:
                        self._wake.wait()
                    if not self._parts and self._stopping:
                        return
                data = "".join(self._parts).encode(self._encoding, "replace")
                self._parts.clear()
                self._busy = bool(data)
            if call is not None:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    call()
            self._send(data)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.gone:
            try:
                count = os.write(self._fd, view)
            except BlockingIOError:  # somebody else made the description non-blocking
                select.select([], [self._fd], [], 1.0)
                continue
            except InterruptedError:
                continue
            except OSError:
                self.gone = True
                return
            self.sent += count
            view = view[count:]

    def stop(self) -> None:
        """Write what is left, for a second at most: a terminal that does not read must not hold us back."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self.is_alive():
            self.join(1.0)


class TerminalDriver(LinuxDriver):
    """Textual's driver with our writer, the size of the terminal that is drawn on, and a word when input ends."""

    _writer: Writer | None = None
    _stopped = False

    @property
    def _writer_thread(self) -> Any:
        return self._writer

    @_writer_thread.setter
    def _writer_thread(self, value: Any) -> None:
        # start_application_mode assigns a stock thread that it has not started yet; ours takes its place
        self._writer = None if value is None else Writer(sys.__stderr__.fileno(), terminal_encoding() or "utf-8")  # pyright: ignore[reportOptionalMemberAccess]

    @property
    def writer(self) -> Writer | None:
        return self._writer

    def _get_terminal_size(self) -> tuple[int, int]:
        return terminal_size()

    def write(self, data: str) -> None:
        if data == ENTER and isinstance(self._app, TerminalApp) and self._app.early is not None:
            return  # we are there already, and a second entering clears it
        super().write(data)

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if isinstance(self._app, TerminalApp):
            self._app._terminal_started(self)

    def stop_application_mode(self) -> None:
        if isinstance(self._app, TerminalApp):
            self._app._terminal_stopping()
        super().stop_application_mode()

    def _sigtstp_application(self, *_: object) -> None:
        self._stopped = True
        super()._sigtstp_application()

    def _sigcont_application(self, *_: object) -> None:
        """Stock starts application mode again, also after a SIGCONT without a stop, as a hang-up sends it."""
        if self._stopped:
            self._stopped = False
            super()._sigcont_application()
        elif isinstance(self._app, TerminalApp):
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._app.repaint_all)

    def _run_input_thread(self) -> None:
        """The input thread; a terminal that goes away under it (EIO) ends the app instead of printing a traceback."""
        try:
            self.run_input_thread()
        except Exception:
            log.info("reading the terminal ended", exc_info=True)
            app = self._app
            if isinstance(app, TerminalApp):
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(app.leave, 128 + signal.SIGHUP)


class TerminalApp(App[int]):
    """An app whose whole screen is cells of our own; see the module's first lines.

    ``paint_cells`` takes the wanted screen; what reaches the terminal is the difference to what stands there, as soon as
    the terminal has taken the last frame and not more often than 30 times a second. What is wanted in between is dropped.
    """

    ENABLE_COMMAND_PALETTE = False
    slow_link = False
    title_text: str | None = None
    """Title of the terminal's window; None leaves it alone."""

    def __init__(self) -> None:
        # no driver class is named while one of Textual's private parts is missing: the stock one then does all
        self.missing = missing()
        super().__init__(driver_class=None if self.missing else TerminalDriver)
        if self.missing:
            log.warning("this Textual lacks %s: drawing by its own means", ", ".join(self.missing))
        self.animation_level = "none"
        self.early: Early | None = None
        """A first frame that stands already; taken over when the terminal is."""
        self.pens: Pens | None = None
        self.encoding: str | None = None
        self.frames = 0
        """Frames written, since the start."""
        self._shadow: Shadow | None = None
        self._wanted: list[Row] | None = None
        self._urgent = False
        self._held = False
        """The terminal shows something else for a while; nothing is painted."""
        self._last_frame = self._last_urgent = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop_: asyncio.AbstractEventLoop | None = None
        self._hangup_timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self.failure: str | None = None
        """One sentence, when the app ended by a bug of its own."""

    # --- painting ---------------------------------------------------------------------------------------------------

    @property
    def direct(self) -> bool:
        """Whether cells go to the terminal by our own hand."""
        return self._shadow is not None

    def terminal_ready(self, width: int, height: int) -> None:
        """The terminal is ours and nothing is on it yet: the moment for the first frame."""

    def paint_cells(self, rows: Sequence[Row]) -> None:
        """Make the terminal look like this, soon."""
        self._wanted = list(rows)
        self._push()

    def repaint_all(self) -> None:
        """Something else may have written to the terminal."""
        if self._shadow is not None:
            self._shadow.forget()
            self._push()

    @contextmanager
    def at_once(self) -> Generator[None]:
        """What is painted inside follows a key and does not wait for the next frame."""
        self._urgent = True
        try:
            yield
        finally:
            self._urgent = False

    def _push(self) -> None:
        driver = self._driver
        if self._wanted is None or self._held or self._shadow is None or not isinstance(driver, TerminalDriver):
            return
        writer = driver.writer
        loop = self._loop_
        if writer is None or writer.gone or loop is None:
            return
        if not writer.idle:
            writer.call_when_idle(lambda: _ignore(loop.call_soon_threadsafe(self._push)))
            return
        now = time.monotonic()
        if self._urgent and now - self._last_urgent >= FRAME:
            self._last_urgent = now
        else:
            wait = self._last_frame + (SLOW_FRAME if self.slow_link and not self._urgent else FRAME) - now
            if wait > 0:
                if self._timer is None or self._urgent:
                    self._cancel_timer()
                    self._timer = loop.call_later(wait, self._due)
                return
        self._cancel_timer()
        text = self._shadow.update(self._wanted)
        if text:
            self._last_frame = now
            self.frames += 1
            if len(text) >= _SYNC_FROM and getattr(self, "_sync_available", False):
                text = f"\x1b[?2026h{text}\x1b[?2026l"
            writer.write(text)

    def _due(self) -> None:
        self._timer = None
        self._push()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _display(self, screen: Any, renderable: Any) -> None:
        """Textual's own updates are dropped while we paint: the canvas covers the screen and has its own way out."""
        if self.direct and isinstance(renderable, CompositorUpdate):
            self.post_display_hook()
            return
        super()._display(screen, renderable)

    def _set_pointer_shape(self, shape: str) -> None:
        """The mouse is the terminal's own: nothing to point with."""

    # --- life -------------------------------------------------------------------------------------------------------

    def _terminal_started(self, driver: TerminalDriver) -> None:
        self._loop_ = asyncio.get_running_loop()
        if isinstance(driver.writer, Writer):
            early, self.early = self.early, None
            if early is not None and early.entered:
                self._shadow = early.shadow
                if early.size != terminal_size():
                    self._shadow.forget()
                driver.attrs_before = early.attrs
                early.entered = False
            else:
                self._shadow = new_shadow(os.environ)
            self.pens = self._shadow.pens
            self.encoding = terminal_encoding()
            if self.title_text:
                driver.write("\x1b[22;2t" + _title(self.title_text))
        self._listen()
        self.terminal_ready(*terminal_size())

    def _terminal_stopping(self) -> None:
        driver = self._driver
        if self.direct and driver is not None and self.title_text:
            driver.write("\x1b[23;2t")
        if self.direct and driver is not None:
            driver.write("\x1b[m")
        if self._shadow is not None:
            self._shadow.forget()

    def _listen(self) -> None:
        """End cleanly on SIGHUP, SIGTERM, and when the terminal hangs up without a word (SIGHUP ignored by nohup)."""
        loop = self._loop_
        assert loop is not None
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread: a test
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                loop.add_signal_handler(signal.SIGHUP, self.leave, 128 + signal.SIGHUP)
            loop.add_signal_handler(signal.SIGTERM, self.leave, 128 + signal.SIGTERM)
        if self._hangup_timer is None:
            self._hangup_timer = loop.call_later(1.0, self._watch_hangup)

    def _watch_hangup(self) -> None:
        self._hangup_timer = None
        if self._loop_ is None:
            return
        if hung_up(0) or hung_up(2):
            self.leave(128 + signal.SIGHUP)
            return
        self._hangup_timer = self._loop_.call_later(1.0, self._watch_hangup)

    def leave(self, code: int = 0) -> None:
        """End now, whatever the terminal does: if Textual does not get out within two seconds, the process does."""
        if self._leaving:
            return
        self._leaving = True
        driver = self._driver
        if isinstance(driver, TerminalDriver):
            if driver.writer is not None and code == 128 + signal.SIGHUP:
                driver.writer.gone = True
            last = threading.Timer(_LEAVE_WITHIN, _end_process, (driver, code))
            last.daemon = True
            last.start()
        self.exit(return_code=code)

    def _handle_exception(self, error: Exception) -> None:
        """A bug of ours ends the app with one sentence; the traceback is for the log."""
        log.error("the screen failed", exc_info=error)
        if self.is_headless:
            super()._handle_exception(error)
            return
        self.failure = f"the screen failed: {type(error).__name__}: {clean(str(error))[:200]}"
        self._return_code = 70
        self._close_messages_no_wait()

    # --- words to the terminal --------------------------------------------------------------------------------------

    def enter_plain(self, text: str) -> bool:
        """Print text on the terminal's ordinary screen, for its own selection, scrolling and search.

        False where that cannot be done. ``leave_plain`` comes back.
        """
        driver = self._driver
        if not self.direct or driver is None or self._shadow is None:
            return False
        self._held = True
        self._cancel_timer()
        driver.write(
            "\x1b[m\x1b[?1049l\x1b[2J\x1b[H" + f"{text}\n\n-- any key: back to the screen --".replace("\n", "\r\n")
        )
        return True

    def leave_plain(self) -> None:
        """Back to our screen, painted anew."""
        if self.direct and self._driver is not None and self._shadow is not None:
            self._driver.write("\x1b[?1049h\x1b[?25l")
            self._held = False
            self.repaint_all()

    def copy_osc52(self, text: str, words: str) -> str:
        """Hand text to the terminal's clipboard; the sentence says what happened, for nothing comes back to confirm it."""
        data = _pasteable(text).encode("utf-8", "replace")
        if len(data) > COPY_LIMIT:
            return f"not copied: {len(data):,} bytes, a terminal's clipboard takes {COPY_LIMIT:,} at most"
        if self._driver is None or self.is_headless:
            return f"not copied: no terminal ({words})"
        sequence = f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"
        note = ""
        if os.environ.get("TMUX"):
            note = " · in tmux this needs 'set -g set-clipboard on'"
        elif os.environ.get("STY"):
            sequence = "".join(f"\x1bP{sequence[at : at + 700]}\x1b\\" for at in range(0, len(sequence), 700))
            note = " · through screen, if the terminal allows it"
        self._driver.write(sequence)
        return f"{words}: {len(text):,} characters handed to the terminal's clipboard{note}"


def _pasteable(text: str) -> str:
    """Without control characters but line ends and tabs: what is pasted must not end the paste and go on as if typed."""
    return "".join(c for c in text if c in "\n\t" or not (c < " " or "\x7f" <= c <= "\x9f"))


def _ignore(_: object) -> None:
    return None


def _title(text: str) -> str:
    return f"\x1b]2;{clean(text)[:120]}\x07"


def hung_up(fd: int) -> bool:
    """Whether the terminal behind this descriptor is gone."""
    poll = select.poll()
    poll.register(fd, 0)
    try:
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    except OSError:
        return True


def _end_process(driver: TerminalDriver, code: int) -> None:
    """Last resort: give the terminal its settings back and end without asking anybody."""
    log.warning("the screen did not end within %s s and is ended", _LEAVE_WITHIN)
    attrs = driver.attrs_before
    if attrs is not None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(driver.fileno, termios.TCSANOW, attrs)
    os._exit(code)


def run(app: TerminalApp) -> int:
    """Run on this terminal and give the exit code. One sentence on stderr and 2 when there is no terminal, 70 on a bug."""
    sentence = refusal()
    if sentence is not None:
        with suppress(OSError, ValueError, AttributeError):
            print(f"watchfloor: {sentence}", file=sys.stderr if sys.stderr is not None else sys.stdout, flush=True)
        return 2
    if app.missing and app.early is not None:
        app.early.leave()
        app.early = None
    app.run(mouse=False)
    if app.failure:
        with suppress(OSError, ValueError):
            print(f"watchfloor: {app.failure}", file=sys.stderr, flush=True)
    code = app.return_code
    return 0 if code is None else code
