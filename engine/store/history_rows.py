"""What the history of a pipeline reads: its last runs, the steps of each folded to one cell, and what is ordinary for it.

All times ms UTC, durations ms. ``None`` is "not known".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from adapters.model import Mode, RunKind, State


class StepsRead(IntEnum):
    """What is stored of a run's steps. NONE: nothing. EARLY: read before the run ended, or of an earlier attempt. WHOLE: as they ended."""

    NONE = 0
    EARLY = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of the pipeline. ``at``: started, else queued, else first seen."""

    id: int
    key: str
    state: State
    native: str | None
    sub: str | None
    kind: RunKind
    attempt: int
    business_date: str | None
    at: int
    queued: int | None
    started: int | None
    ended: int | None
    error: str | None
    generated: bool = False
    shape: int = 0
    """adapters.model.Shape."""

    @property
    def ms(self) -> int | None:
        """How long it ran; None while it has not ended, or where that is not known."""
        return None if self.started is None or self.ended is None else max(self.ended - self.started, 0)


@dataclass(frozen=True, slots=True)
class PastStep:
    """One step of one run: the last try of each of its mapped instances, folded.

    ``state``: the worst of them. ``count``: instances (1 where it is not mapped), ``alike``: those in that state. ``tries``: the
    most of one instance. ``started`` and ``ended``: the first beginning and the last end; ``ended`` None while one goes on.
    ``order``: its place in the run.
    """

    step: str
    state: State
    count: int = 1
    alike: int = 1
    tries: int = 1
    queued: int | None = None
    started: int | None = None
    ended: int | None = None
    order: int = 0
    mapped: bool = False

    @property
    def ms(self) -> int | None:
        """How long it took; None where it did not end or that is not known."""
        return None if self.started is None or self.ended is None else max(self.ended - self.started, 0)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step as its pipeline defines it, and what it comes after."""

    name: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ordinary:
    """What is ordinary for a pipeline's runs: of the last 30 successful, scheduled first attempts of one shape within 60 days.

    ``n`` of them; below ``need`` nothing is said and the quartiles are None.
    """

    n: int
    need: int = 8
    p25: int | None = None
    p50: int | None = None
    p75: int | None = None
    p90: int | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """A new level of the durations since the run that started at ``since``: medians before and from then on."""

    since: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class History:
    """A pipeline and its last runs, oldest first."""

    id: int
    key: str
    name: str
    source: str
    environment: str
    mode: Mode
    runs: tuple[PastRun, ...]
    ordinary: Ordinary
    shift: Shift | None = None
    plan: tuple[StepPlan, ...] = ()
    more: bool = False
    """Whether older runs than these are stored."""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    """Step → the steps it comes after, as the pipeline defines them."""


def steps_read(run: PastRun, steps: Sequence[PastStep]) -> StepsRead:
    """Whether the stored steps are those that the run ended with. A run that goes on has what is known now."""
    if not steps:
        return StepsRead.NONE
    if not run.state.terminal:
        return StepsRead.WHOLE
    if any(State.RUNNING <= s.state <= State.STOPPING for s in steps):
        return StepsRead.EARLY
    last = max((s.ended for s in steps if s.ended is not None), default=None)
    if last is not None and run.started is not None and last < run.started:  # of an attempt before this one
        return StepsRead.EARLY
    return StepsRead.WHOLE
