"""Blocking looks at file systems, apart from the loop: a mount that hangs holds a thread, never the engine, and only one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hangs:
    """It has not come back. ``for_s``: for how long."""

    for_s: float


class Apart:
    """``await apart(key, work, limit_s)``: what ``work`` returns, or ``Hangs``.

    While a work of a key has not come back, no other of that key is begun. Daemon threads: the process's end does not wait.
    """

    def __init__(self) -> None:
        self._out: dict[str, float] = {}

    @property
    def hanging(self) -> int:
        """How many have not come back; also those that still have time."""
        return len(self._out)

    async def __call__(self, key: str, work: Callable[[], T], limit_s: float) -> T | Hangs:
        """RuntimeError: this host has no room for a thread; else whatever ``work`` raises."""
        began = time.monotonic()
        if key in self._out:
            return Hangs(began - self._out[key])
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(value: T | None, error: BaseException | None) -> None:
            self._out.pop(key, None)
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)  # pyright: ignore[reportArgumentType]

        def run() -> None:
            value, error = None, None
            try:
                value = work()
            except Exception as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, value, error)

        self._out[key] = began
        try:
            threading.Thread(target=run, name=f"apart {key}"[:40], daemon=True).start()
        except RuntimeError:
            del self._out[key]
            raise
        try:
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            return Hangs(time.monotonic() - began)
