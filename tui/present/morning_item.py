"""One line of the morning check, and how it is ticked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

NAMED: Final = 6
"""Names that a line says at most, unless told otherwise."""


class Tick(IntEnum):
    """Of one line. BAD and BLIND want an answer of a person; NOTE is said and wants none, but is not called fine."""

    BAD = 0
    BLIND = 1
    NOTE = 2
    FINE = 3

    @property
    def wants(self) -> bool:
        return self <= Tick.BLIND


@dataclass(frozen=True, slots=True)
class Item:
    """One line. ``id`` stays the same while the trouble is the same; ``name``: of what; ``said``: clauses by weight, the
    evidence. ``key``: a pipeline's key or thing to look at, ``run``: the run to open, ``since``: ms UTC."""

    id: str
    section: str
    tick: Tick
    name: str
    said: tuple[str, ...]
    key: str | None = None
    run: str | None = None
    since: int | None = None


def named(names: Sequence[str], most: int = NAMED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
