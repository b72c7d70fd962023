"""A source that only measures: it answers ``[[series]]`` and has no pipeline, no run and nothing that could be acted on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from adapters.base import Action, Adapter, Listing, NotDone, NotSent, Page, Prepared, Reconciled, SendResult
from adapters.errors import NotFound, Unsupported
from adapters.model import Caps, LogChunk, Pipeline, Run, StepRun, Verb

VIEWS: Final = ("steps", "log", "history", "items", "assets", "operations", "metrics-past")
"""What it lacks beside all verbs, unless its own ``caps`` say otherwise."""


class MeasuringAdapter(Adapter):
    """Left to write: ``nothing`` (one clause on why it runs nothing), ``probe``, ``alive`` and ``samples``."""

    nothing: ClassVar[str]
    min_poll_s: ClassVar[float] = 10.0

    @property
    def caps(self) -> Caps:
        return Caps(frozenset({"metrics"}), dict.fromkeys((*Verb, *VIEWS), self.nothing))

    @abstractmethod
    async def alive(self) -> int | None:
        """Raises where the source as a whole does not answer. Its clock (ms), where it has one of its own."""

    async def pipelines(self) -> Listing:
        return Listing((), True)

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        """It has none; asked all the same, since a source that is not asked would look well."""
        return Page((), None, True, await self.alive())

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        raise NotFound(f"{self.nothing}: there is no pipeline")

    async def read(self, key: str) -> Pipeline | Run:
        raise NotFound(f"{self.nothing}: there is no pipeline")

    async def steps(self, run: str) -> Sequence[StepRun]:
        raise NotFound(f"{self.nothing}: there is no run")

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        raise NotFound(f"{self.nothing}: there is no log")

    async def prepare(self, action: Action) -> Prepared:
        raise Unsupported(self.nothing)

    async def send(self, prepared: Prepared) -> SendResult:
        return NotSent(self.nothing)

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        return NotDone(self.nothing, final=True)
