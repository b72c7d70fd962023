"""The one way in which a command of the configuration is run: an argv without a shell, in a process group of its own.

It sees no variable of ours but a base (``BASE_ENV``) and what it is given, its output is bounded, its time too, and what it
leaves in its group does not outlive a look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.local.state import BASE_ENV, DEFAULT_PATH

OUTPUT_MAX: Final = 1 << 20
"""Bytes that a command may write, where nothing else is said; more ends it."""
WORDS_MAX: Final = 8_192
"""Bytes that are kept of standard error where it is read apart."""


class CannotStart(Exception):
    """There is no such program, it may not be run, or its argv is none; ``str`` is one clause without the argv."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. ``code``: its exit code, negative of a signal; None where we ended it.

    ``out``: what it wrote to standard output (and error, unless read apart); ``err``: the end of standard error, read apart.
    ``flooded``: it wrote more than it may, ``out`` is what came before. Neither is shown in a repr: a secret may stand there.
    """

    code: int | None
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)
    flooded: bool = False


def base_env(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command sees of our variables, and ``more``."""
    env = {name: os.environ[name] for name in BASE_ENV if name in os.environ}
    env.setdefault("PATH", DEFAULT_PATH)
    return env | dict(more or {})


async def run(
    argv: Sequence[str],
    folder: Path,
    timeout_s: float,
    *,
    env: Mapping[str, str] | None = None,
    most: int = OUTPUT_MAX,
    apart: bool = False,
    leave: bool = False,
) -> Ran:
    """Run it to its end, or end it with its group after ``timeout_s`` or ``most`` bytes. CannotStart if it never began.

    ``apart``: standard error is read by itself. ``leave``: what it put into the background goes on when it has ended by
    itself (a command that starts something); else the whole group ends with it. Cancelled, it is ended too.
    """
    loop = asyncio.get_running_loop()
    out = Output(loop, most)
    err = Output(loop, most, keep=WORDS_MAX) if apart else out
    outputs = (out, err) if apart else (out,)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env=base_env(env), stdin=asyncio.subprocess.DEVNULL, stdout=out.theirs, stderr=err.theirs,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError, IndexError, TypeError) as error:
        for one in outputs:
            one.close()
        why = getattr(error, "strerror", None) or str(error)
    else:
        return await _attend(process, out, err, timeout_s, leave)
    raise CannotStart(why)


async def _attend(
    process: asyncio.subprocess.Process, out: Output, err: Output, timeout_s: float, leave: bool
) -> Ran:  # fmt: skip
    outputs = {out, err}
    for one in outputs:
        one.begin()
    ending = asyncio.create_task(process.wait())
    over = False
    try:
        done, _ = await asyncio.wait(
            {ending, *(one.flooded for one in outputs)}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        over = ending in done
    finally:
        if not (over and leave):
            kill_group(process.pid)  # also what it left behind in its group, and what stands still
        await asyncio.wait({ending}, timeout=5)
        for one in outputs:
            one.close()
    flooded = any(one.flooded.done() for one in outputs)
    return Ran(ending.result() if over and not flooded else None, bytes(out.kept), bytes(err.kept), flooded)


class Output:
    """A pipe of our own: asyncio's would wait for whoever inherited it, long after the command has ended.

    ``kept``: what was read until it was more than ``most`` bytes; or the last ``keep``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int, *, keep: int | None = None) -> None:
        self._loop = loop
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._most = most
        self._keep = keep
        self._size = 0
        self.kept = bytearray()
        self.flooded: asyncio.Future[None] = loop.create_future()

    def begin(self) -> None:
        """It has the other end now."""
        os.close(self.theirs)
        self.theirs = -1
        self._loop.add_reader(self._ours, self._read)

    def _read(self) -> bool:
        """False: nothing more, now or at all."""
        try:
            part = os.read(self._ours, 65_536)
        except BlockingIOError:
            return False
        if not part:
            self._loop.remove_reader(self._ours)
            return False
        self._size += len(part)
        self.kept += part
        if self._keep is not None:
            del self.kept[: -self._keep]
        if self._size > self._most and not self.flooded.done():
            self._loop.remove_reader(self._ours)
            self.flooded.set_result(None)
        return self._size <= self._most

    def close(self) -> None:
        """What it wrote last is read; who still holds the other end is not waited for."""
        if self.theirs >= 0:
            os.close(self.theirs)
        else:
            while self._size <= self._most and self._read():
                pass
            self._loop.remove_reader(self._ours)
        os.close(self._ours)


def kill_group(group: int) -> None:
    """SIGKILL to a process group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
