"""This host's resources, once a second, and the trees of running local jobs. The process table only while watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapters.base import Adapter
from adapters.metrics.host import HostSampler
from engine.context import Context
from engine.store import samples as store_samples

PROCESSES_EVERY_S = 2


class Sampler:
    """Call ``tick`` once a second."""

    def __init__(self, ctx: Context, watched: Callable[[], bool]) -> None:
        self.ctx = ctx
        self._host = HostSampler()
        self._watched = watched
        self._ticks = 0

    def tick(self) -> None:
        """One sample into the store; every minute also the roll-ups' share."""
        now = self.ctx.clock.now()
        trees = self._trees()
        samples = self._host.sample(now, trees)
        with self.ctx.store.transaction() as tx:
            store_samples.put_samples(tx, now, samples)
            if self._watched() and self._ticks % PROCESSES_EVERY_S == 0:
                store_samples.put_processes(tx, now, self._host.processes(now, trees))
        self._ticks += 1

    def _trees(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, Sequence[int]] = {}
        for adapter in self.ctx.adapters.values():
            trees = getattr(adapter, "trees", None)
            if isinstance(adapter, Adapter) and callable(trees):
                found.update(trees())  # pyright: ignore[reportArgumentType, reportCallIssue]
        return found
