"""Identifiers that sort by time: ULIDs of 26 Crockford characters, never going back within a process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
SHORT = 4

_RANDOM_BITS = 80
_STEP_BITS = 64


class Ids:
    """A source of ULIDs. Each is greater than the one before, also within one millisecond and when the clock goes back.

    Within a millisecond the random part grows by a random step: the last characters, which people see, stay mixed.
    """

    def __init__(self, randbits: Callable[[int], int] = secrets.randbits) -> None:
        self._randbits = randbits
        self._lock = threading.Lock()
        self._last = -1

    def ulid(self, now: int) -> str:
        """``now`` in milliseconds UTC."""
        with self._lock:
            value = (now << _RANDOM_BITS) | self._randbits(_RANDOM_BITS - 1)  # the top bit stays free for steps
            if now <= self._last >> _RANDOM_BITS:  # the same millisecond, or a clock that went back
                value = self._last + 1 + self._randbits(_STEP_BITS)
            self._last = value
        return encode(value)


def encode(value: int) -> str:
    """128 bits as 26 characters."""
    return "".join(ALPHABET[(value >> shift) & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


_ids = Ids()


def ulid(now: int) -> str:
    """The process's next ULID; ``now`` in milliseconds UTC."""
    return _ids.ulid(now)


def short(id: str) -> str:
    """Four characters for screens and for typing; whoever looks one up must be ready for two things sharing it."""
    return id[-SHORT:]


def normal(text: str) -> str:
    """What a person typed, as it would stand in an id: upper case, O as 0, I and L as 1."""
    return text.strip().upper().replace("O", "0").replace("I", "1").replace("L", "1")
