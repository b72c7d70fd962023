"""A store in a temporary folder, a clock that stands still until told, and short ways to say what was observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.base import Listing
from adapters.model import Pipeline, Run, State, run_key
from engine.clock import Clock
from engine.store import runs, sources
from engine.store.reader import Reader
from engine.store.writer import Store

NOW = 1_795_000_000_000
MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR


class Still(Clock):
    """Time that moves when a test says so."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def now(self) -> int:
        return self.at


class Rig:
    """One store with one source ``a`` and one pipeline ``a:p``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "floor.db"
        self.clock = Still()
        self.store = Store.open(self.path, self.clock)
        with self.store.transaction() as tx:
            self.source = sources.sync_sources(tx, [sources.SourceRecord(name="a", kind="local", environment="prod")])[
                "a"
            ]
        self.list("p")
        self._reader: Reader | None = None

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self.path, clock=self.clock.now)
            self._reader.open()
        return self._reader

    def list(self, *names: str, complete: bool = True, rules: Any = (), **fields: Any) -> list[tuple[str, str]]:
        items = [Pipeline(key=f"a:{n}", name=n, **fields) for n in names]
        with self.store.transaction() as tx:
            return runs.apply_pipelines(tx, self.source, Listing(items, complete), rules)

    def see(self, *observed: Run, later: int = 1000) -> list[runs.RunChange]:
        """One poll, ``later`` ms after the last one."""
        self.clock.at += later
        with self.store.transaction() as tx:
            return runs.apply_runs(tx, self.source, observed, self.clock.at)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with self.store.transaction() as tx:
            return tx.db.execute(sql, values).fetchall()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self.store.close()


def a_run(name: str = "1", state: State = State.RUNNING, *, pipeline: str = "a:p", **fields: Any) -> Run:
    given: dict[str, Any] = {"native": state.name.lower(), "started": NOW, **fields}
    return Run(key=run_key(pipeline, name), state=state, **given)


def past_runs(minutes: list[float], *, pipeline: str = "a:p", first: int = NOW - 20 * DAY, **fields: Any) -> list[Run]:
    """Successful scheduled runs of these durations, six hours apart, oldest first."""
    return [
        a_run(
            f"past-{i}",
            State.SUCCESS,
            pipeline=pipeline,
            started=first + i * 6 * HOUR,
            ended=first + i * 6 * HOUR + int(m * MIN),
            **fields,
        )
        for i, m in enumerate(minutes)
    ]
