"""One row of the Floor and its place in the order, and what a run is measured by. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from adapters.model import Owed, State, Trigger
from tui.present.cut import clean

if TYPE_CHECKING:
    from engine.store.rows import CheckRow, FloorRow, OwedRow, SourceRow
    from tui.present.glyphs import Look
    from tui.present.running_on import RunningOn

LEARNED: Final = 8
"""Runs until "usual" means something; below it reads "learning 5/8"."""
LONG_RATIO: Final = 1.5
LONG_MIN_MS: Final = 60_000
"""A run is long when it is past its p90, 1.5 times the usual and a whole minute over it."""


class Rank(IntEnum):
    """The order of the Floor. BREACHED: a promise is broken, or a run failed that somebody waits for."""

    BREACHED = 1
    AT_RISK = 2
    FAILED = 3
    MISSED = 4
    LONG = 5
    MENDING = 6
    """Something is active while an earlier failure is not made good."""
    WARNING = 7
    BLIND = 8
    UNKNOWN = 9
    CHANGING = 10
    RUNNING = 11
    QUEUED = 12
    STANDING = 13
    SEEN = 14
    FINE = 15
    ENDED = 16

    @property
    def problem(self) -> bool:
        return self <= Rank.BLIND

    @property
    def broken(self) -> bool:
        """Something is wrong already, not only in danger."""
        return self <= Rank.MISSED and self != Rank.AT_RISK


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the Floor. ``key`` is what the cursor holds.

    ``row`` is None of a source that cannot be seen and of a thing that is no pipeline: a feed, a heartbeat, a set (``thing``).
    ``owed``: its occurrence that matters now. ``behind``: what waits for it, of a row that is wrong. ``late``: late feeds right
    above it. ``checks``: what its finished run has not passed yet.
    """

    key: str
    rank: Rank
    look: Look
    stale: bool
    source: SourceRow | None
    row: FloorRow | None
    since: int | None
    order: tuple[int, int, int, int, str]
    owed: OwedRow | None = None
    behind: tuple[OwedRow, ...] = ()
    late: tuple[OwedRow, ...] = ()
    checks: Sequence[CheckRow] = ()
    on: RunningOn | None = None
    """Its run goes on after a step of it failed."""
    chained: bool = False
    """Whether anything is known of who waits for whom: only then "nothing waits for it" may be said."""
    also: tuple[OwedRow, ...] = ()
    """Further numbers of the same source that nobody can judge either: ``unjudged`` ones stand in one row."""

    @property
    def problem(self) -> bool:
        return self.rank.problem

    @property
    def thing(self) -> bool:
        """A feed, a heartbeat or a set that owes something."""
        return self.row is None and self.owed is not None

    @property
    def unjudged(self) -> int:
        """How many promises this row says of that nobody can judge them now, as what they are about is not seen or measured."""
        return (
            1 + len(self.also) if self.row is None and self.owed is not None and self.owed.state is Owed.UNKNOWN else 0
        )

    @property
    def name(self) -> str:
        if self.row is not None:
            return clean(self.row.name)
        if self.owed is not None:
            more = f" +{len(self.also)}" if self.also else ""
            kind = self.owed.thing.partition(":")[0] if self.owed.pipeline_id is None else self.owed.type
            return f"{kind} {clean(self.owed.name)}{more}"
        return self.source.name if self.source is not None else "?"


def usual(r: FloorRow) -> int | None:
    """The usual duration in ms, where enough runs are known."""
    return r.usual_ms if r.usual_n >= LEARNED else None


def elapsed(r: FloorRow, now: int) -> int | None:
    """How long the current run took, or has been running."""
    if r.started is None:
        return None
    return max((r.ended if r.ended is not None else now) - r.started, 0)


def is_long(r: FloorRow, now: int) -> bool:
    typical, ran = usual(r), elapsed(r, now)
    if r.state != State.RUNNING or r.trigger == Trigger.CONTINUOUS or typical is None or ran is None:
        return False
    return ran > max(r.p90_ms or 0, LONG_RATIO * typical) and ran - typical >= LONG_MIN_MS
