"""This host's resources, once a second, and the trees of running local jobs. The process table only while watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapters.base import Adapter
from adapters.metrics.host import HostSampler
from adapters.model import Sample
from engine.context import Context
from engine.store import samples as store_samples
from engine.store.writer import Tx

PROCESSES_EVERY = 2
DESCRIBE_EVERY = 60
"""Ticks."""


class Sampler:
    """Once a second ``look``, then ``put`` what was seen into the tick's transaction; ``close`` at the end."""

    def __init__(self, ctx: Context, watched: Callable[[], bool]) -> None:
        self.ctx = ctx
        self._host = HostSampler()
        self._watched = watched
        self._ticks = 0
        self._now = 0
        self._trees: Mapping[str, Sequence[int]] = {}
        self._samples: Sequence[Sample] = ()
        self._table = True
        """Rows stand in the process table; also those that an earlier engine left there."""

    def look(self) -> None:
        """Read this host, outside of any transaction."""
        self._now = self.ctx.clock.now()
        self._trees = self._running()
        self._samples = self._host.sample(self._now, self._trees)

    def put(self, tx: Tx) -> None:
        """The readings into the store; with them, now and then, what each series is and why one is missing here."""
        if not self._now:
            return  # nobody looked yet: no moment that a reading could have
        store_samples.put_samples(tx, self._now, self._samples)
        if self._ticks % DESCRIBE_EVERY == 1:  # rates need two readings before one can say that they are missing
            self._describe(tx)
        if self._watched():
            if self._ticks % PROCESSES_EVERY == 0 or not self._table:
                store_samples.put_processes(tx, self._now, self._host.processes(self._now, self._trees))
                self._table = True
        elif self._table:
            store_samples.put_processes(tx, self._now, ())  # an old table must not be taken for the present one
            self._table = False
        self._ticks += 1

    def close(self) -> None:
        self._host.close()

    def _describe(self, tx: Tx) -> None:
        current = {sample.series for sample in self._samples}
        for info in self._host.series():
            if info.name in current or not info.name.startswith("run."):  # those of ended runs may be forgotten already
                store_samples.describe_series(
                    tx, info.name, unit=info.unit, label=info.label, max=info.max, note=info.note
                )

    def _running(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, Sequence[int]] = {}
        for adapter in self.ctx.adapters.values():
            trees = getattr(adapter, "trees", None)
            if isinstance(adapter, Adapter) and callable(trees):
                found.update(trees())  # pyright: ignore[reportArgumentType, reportCallIssue]
        return found
