"""The one clock. Everything in the engine asks it; tests bring their own."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Wall time in milliseconds UTC, monotonic seconds, and sleep."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
