"""When to ask a source again: cadence with jitter, back-off, circuit, rate budget. Pure: time is given."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

MAX_BACKOFF_S = 300.0
CIRCUIT_AFTER = 5
IDLE_FACTOR = 2.0


@dataclass(slots=True)
class Pace:
    """Of one source. ``poll_s`` is the fastest cadence; idle sources are asked half as often, failing ones ever less."""

    poll_s: float
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0

    @property
    def open(self) -> bool:
        """The circuit: after five failures in a row only a cheap probe goes out until one answers."""
        return self.failures >= CIRCUIT_AFTER

    def good(self) -> None:
        self.failures = 0

    def bad(self) -> None:
        self.failures += 1

    def next_s(self, *, busy: bool, retry_after: float | None = None) -> float:
        """Seconds until the next question, ±10 %. A server's own Retry-After is never undercut."""
        if self.failures:
            wait = min(MAX_BACKOFF_S, self.poll_s * 2 ** min(self.failures, 10))
        else:
            wait = self.poll_s if busy else self.poll_s * IDLE_FACTOR
        wait *= self.rng.uniform(0.9, 1.1)
        return max(wait, retry_after or 0.0)


class Budget:
    """Requests of the last minute against what the configuration allows."""

    def __init__(self, per_min: int) -> None:
        self.per_min = per_min
        self._spent: deque[tuple[float, int, int]] = deque()
        self._last = (0, 0)

    def note(self, now: float, spent: tuple[int, int]) -> None:
        """``spent``: the adapter's counters (requests, bytes) since construction."""
        requests, size = spent[0] - self._last[0], spent[1] - self._last[1]
        self._last = spent
        if requests or size:
            self._spent.append((now, requests, size))
        while self._spent and self._spent[0][0] <= now - 60:
            self._spent.popleft()

    @property
    def requests(self) -> int:
        return sum(r for _, r, _ in self._spent)

    @property
    def bytes(self) -> int:
        return sum(b for _, _, b in self._spent)

    def room(self, now: float) -> int:
        self.note(now, self._last)
        return self.per_min - self.requests

    def wait_s(self, now: float) -> float:
        """Seconds until a request fits again; 0 while there is room."""
        if self.room(now) > 0 or not self._spent:
            return 0.0
        return max(0.1, self._spent[0][0] + 60 - now)
