"""``watchfloor logs``: a step's log as bytes on stdout, asked of the engine where it was not fetched yet."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.model import Key, State, parse_key
from engine.ask import Ask, NoEngine
from engine.request import EXIT_BAD_INPUT, EXIT_NO_ENGINE, EXIT_OK, EXIT_UNREACHABLE, RequestError
from engine.store.reader import Reader

if TYPE_CHECKING:
    from engine.config.paths import Places
    from engine.store.rows import LogRow, RunDetail, StepRow

PATIENCE_S = 10.0
"""How long the engine may take to fetch a log that nobody looked at before."""
LOOK_EVERY_S = 0.3
CHUNK = 1 << 16
WATCH_EVERY_S = 2.0
"""The engine forgets after 5 s what somebody looked at."""
_CONTROLS = bytes(b for b in (*range(32), 127) if b not in (9, 10))
_C1 = re.compile(rb"\xc2+[\x80-\x9f]+")
"""Control characters in two bytes (to a terminal CSI is as good as its escape sequence); in runs, so that none is left of two
that were put into each other."""


def harmless(data: bytes) -> bytes:
    """Without control characters but newline and tab: escape codes of a log must not reach a terminal."""
    return _C1.sub(b"", data.translate(None, _CONTROLS))


def print_log(place: Places, text: str, follow: bool) -> int:
    """The log of a step, or of the step of a run that is worth a look; returns an exit code."""
    try:
        key = parse_key(text)
    except ValueError as error:
        return _fail(str(error), EXIT_BAD_INPUT)
    reader = Reader(place.store)
    watch = Watch(place)
    try:
        return _print(Log(reader, watch, key, text), follow)
    except KeyboardInterrupt:
        return EXIT_OK
    finally:
        watch.close()
        reader.close()


class Watch:
    """Tells the engine what is looked at. ``gone``: there is none, which is no mistake while the log lies here whole."""

    def __init__(self, place: Places) -> None:
        self._place = place
        self._ask: Ask | None = None
        self._next = 0.0
        self.gone = False

    def look(self, run: str, step: StepRow | None) -> None:
        now = time.monotonic()
        if self.gone or now < self._next:
            return
        self._next = now + WATCH_EVERY_S
        try:
            if self._ask is None:
                self._ask = Ask(self._place.socket)
            self._ask("watch", run=run, **({"log": step.key, "attempt": step.attempt} if step is not None else {}))
            if step is None:
                self._next = now + LOOK_EVERY_S
        except (NoEngine, RequestError):
            self.gone = True

    def close(self) -> None:
        if self._ask is not None:
            self._ask.close()


class Log:
    """What was asked for, and how it stands in the store."""

    def __init__(self, reader: Reader, watch: Watch, key: Key, text: str) -> None:
        self.reader, self.watch, self.key, self.text = reader, watch, key, text
        self.step: StepRow | None = None
        self.detail: RunDetail | None = None

    def look(self) -> LogRow | None:
        """The log's row now, if there is one; the engine is told that somebody looks."""
        run = self.key.run_key
        self.detail = self.reader.run(run) if run else None
        if self.detail is None or run is None:
            return None
        if self.step is None:
            self.step = pick(self.detail, self.key)
        row = next(
            (
                r
                for r in self.detail.logs
                if self.step and (r.step_key, r.attempt) == (self.step.key, self.step.attempt)
            ),
            None,
        )
        if row is None or not row.complete:
            self.watch.look(run, self.step)
        return row


def pick(detail: RunDetail, key: Key) -> StepRow | None:
    """The last try of the step that was named; of a run: what failed, else what runs, else what came last. Not every system tells
    when a step began."""
    steps = [s for s in detail.steps if key.step is None or (s.step == key.step and s.map_index == key.map_index)]
    if key.step is not None:
        return max(steps, key=lambda s: s.attempt, default=None)
    begun = [s for s in steps if s.started is not None or s.state.bad or s.state is State.RUNNING]
    for wanted in ([s for s in begun if s.state.bad], [s for s in begun if not s.state.terminal], begun):
        if wanted:
            return max(wanted, key=lambda s: (s.started or 0, s.attempt))
    return None


def _print(log: Log, follow: bool) -> int:
    row = log.look()
    detail = log.detail
    if detail is None:
        return _fail(
            f"no run {log.text!r} is known; expected source:pipeline/run or source:pipeline/run#step", EXIT_BAD_INPUT
        )
    end = time.monotonic() + PATIENCE_S
    while row is None:
        if log.key.step is not None and log.step is None and detail.steps:
            known = ", ".join(dict.fromkeys(s.key.partition("#")[2] for s in detail.steps))
            return _fail(f"the run has no step {log.key.step!r}; it has {known}", EXIT_BAD_INPUT)
        if log.watch.gone:
            return _fail(
                f"no log of {log.text} lies here, and no engine runs to fetch it; see: watchfloor engine status",
                EXIT_NO_ENGINE,
            )
        if log.step is not None and log.step.state is State.SKIPPED:
            return _fail(f"{log.step.key} was skipped: it has no log", EXIT_BAD_INPUT)
        if not follow and time.monotonic() > end:
            return _fail(
                f"the source gave no log of {log.text} within {PATIENCE_S:.0f}s; see: watchfloor show sources",
                EXIT_UNREACHABLE,
            )
        time.sleep(LOOK_EVERY_S)
        row = log.look()
        detail = log.detail or detail
    return _copy(log, row, follow)


def _copy(log: Log, row: LogRow, follow: bool) -> int:
    tty = sys.stdout.isatty()
    position, half = 0, b""
    if row.note and not row.size:
        print(row.note, file=sys.stderr)
    while True:
        try:
            with Path(row.path).open("rb") as file:
                file.seek(position)
                while chunk := file.read(CHUNK):
                    position += len(chunk)
                    if tty:  # the first half of a character, maybe of one that is taken out, waits for the other
                        chunk = harmless(half + chunk)
                        half = chunk[len(chunk.rstrip(b"\xc2")) :]
                        chunk = chunk[: len(chunk) - len(half)]
                    sys.stdout.buffer.write(chunk)
        except OSError as error:
            return _fail(f"the log of {row.step_key} cannot be read: {row.path}: {error.strerror}", EXIT_UNREACHABLE)
        sys.stdout.flush()
        if not follow or (row.complete and position >= row.size):
            return EXIT_OK
        if log.watch.gone:
            return _fail(
                "the engine is gone: nothing more comes of this log; see: watchfloor engine status", EXIT_NO_ENGINE
            )
        time.sleep(LOOK_EVERY_S)
        row = log.look() or row


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
