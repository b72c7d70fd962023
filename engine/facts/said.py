"""The answer of one check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """What asking a check gave. ``at``: since when it is true, None where it only is now. ``state``: as ``run_check`` has it.
    ``saw``: ``words`` is what was seen, which is not what was expected. ``final``: asking again would say the same.
    """

    state: int
    words: str
    at: int | None = None
    saw: bool = False
    final: bool = False
