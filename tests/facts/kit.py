"""A store, a clock by hand, a configuration in Python and a judge that only writes down what it is told."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from adapters.base import Listing
from adapters.model import Pipeline, Run, State, run_key
from engine.config.model import Config, PipelineRule
from engine.context import Context
from engine.peer import Peer
from engine.store import runs, sources
from engine.store.reader import Reader
from engine.store.writer import Store, Tx
from tests.store.rig import DAY, HOUR, MIN, NOW, Still

__all__ = ["ANA", "DAY", "GUEST", "HOUR", "MIN", "NOW", "House"]

ANA = Peer(uid=os.getuid(), pid=1, login="ana", groups=frozenset(), origin=None)
GUEST = Peer(uid=os.getuid() + 1, pid=1, login="guest", groups=frozenset(), origin=None)


class HandClock(Still):
    def monotonic(self) -> float:
        return self.at / 1000


class Judge:
    """What it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def on_beat(self, tx: Tx, name: str) -> None:
        self.told.append(("beat", name))

    def on_arrival(self, tx: Tx, feed: str) -> None:
        self.told.append(("arrival", feed))

    def on_checked(self, tx: Tx, run_key: str) -> None:
        self.told.append(("checked", run_key))

    def on_waived(self, tx: Tx, occurrence_key: str) -> None:
        self.told.append(("waived", occurrence_key))


class House:
    """One store, one source ``a`` with one pipeline ``a:p``, one configuration."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.store = Store.open(folder / "state" / "floor.db", self.clock)
        self.lines: list[str] = []
        self.judge = Judge()
        with self.store.transaction() as tx:
            self.source = sources.sync_sources(tx, [sources.SourceRecord(name="a", kind="local", environment="prod")])[
                "a"
            ]
        self.ctx = Context(
            clock=self.clock, store=self.store, config=Config(path=folder / "watchfloor.toml", folder=folder, hash="0", **config),
            places=SimpleNamespace(audit=folder / "audit.jsonl"), adapters={}, source_ids={"a": self.source},  # type: ignore[arg-type]
            poll_soon=lambda _: None, log=self.lines.append,
        )  # fmt: skip
        self.list("p")

    def configure(self, **config: Any) -> None:
        self.ctx.config = replace(self.ctx.config, **config)

    def list(self, *names: str, rules: tuple[PipelineRule, ...] = (), **fields: Any) -> None:
        items = [Pipeline(key=f"a:{n}", name=n, **fields) for n in names]
        with self.store.transaction() as tx:
            runs.apply_pipelines(tx, self.source, Listing(items, True), rules)

    def see(self, room: Any, *observed: Run) -> None:
        """One poll, as a poller does it: stored, then told to the room in the same transaction."""
        self.clock.at += 1000
        with self.store.transaction() as tx:
            room.on_runs(tx, runs.apply_runs(tx, self.source, observed, self.clock.at))

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with self.store.transaction() as tx:
            return tx.db.execute(sql, values).fetchall()

    def reader(self) -> Reader:
        return Reader(self.store.path, clock=self.clock.now)

    def topic(self, name: str = "owed") -> int:
        return int(self.ask("SELECT version FROM meta WHERE topic = ?", name)[0][0])


def a_run(name: str = "1", state: State = State.SUCCESS, *, pipeline: str = "a:p", **fields: Any) -> Run:
    given: dict[str, Any] = {"native": state.name.lower(), "started": NOW - 10 * MIN, **fields}
    if state.terminal:
        given.setdefault("ended", NOW - MIN)
    return Run(key=run_key(pipeline, name), state=state, **given)
