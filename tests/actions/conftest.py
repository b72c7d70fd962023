from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter
from adapters.model import ActionState, Mode, Run, State, unquote_id
from engine.actions import Actions
from engine.config.model import Config, Environment, Source
from engine.config.paths import Places, places
from engine.context import Context
from engine.peer import Peer
from engine.store import actions as rows
from engine.store import sources
from engine.store.writer import Store
from tests.actions.fake import FakeAdapter, FakeClock

ME = Peer(uid=os.getuid(), pid=100, login="ana", groups=frozenset({"dataops"}), origin=None)
OTHER = Peer(uid=os.getuid() + 1, pid=200, login="bob", groups=frozenset({"guests"}), origin="10.0.0.7 5022")
REASON = "wrong file, the right one comes later"


class Floor:
    """A store, two fake sources (prod-fake protected, dev-fake not), the acting room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.prod = FakeAdapter(self.clock, "prod-fake")
        self.dev = FakeAdapter(self.clock, "dev-fake")
        self.polled: list[str] = []
        self.logged: list[str] = []
        self.config = Config(
            path=folder / "watchfloor.toml", folder=folder, hash="h1", environments=(Environment("prod", "red"), Environment("dev")),
            sources=(Source(name="prod-fake", kind="fake", environment="prod"), Source(name="dev-fake", kind="fake", environment="dev", protected=False)),
        )  # fmt: skip
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.folder / "floor.db", self.clock)
        with self.store.transaction() as tx:
            ids = sources.sync_sources(
                tx,
                [
                    sources.SourceRecord(name=s.name, kind=s.kind, environment=s.environment)
                    for s in self.config.sources
                ],
            )
        adapters: dict[str, Adapter] = {"prod-fake": self.prod, "dev-fake": self.dev}
        self.ctx = Context(
            clock=self.clock, store=self.store, config=self.config, places=_places(self.folder), adapters=adapters, source_ids=ids,
            poll_soon=self.polled.append, log=self.logged.append,
        )  # fmt: skip
        self.actions = Actions(self.ctx)

    async def restart(self) -> None:
        """Another engine on the same store; what the old one held in memory is gone."""
        await self.actions.close()
        self.store.close()
        self.open()
        await self.actions.resume()

    def configure(self, **fields: Any) -> None:
        self.config = replace(self.config, **fields)
        self.ctx.config = self.config

    def poll(self, adapter: FakeAdapter) -> None:
        """What a poll would have stored by now."""
        with self.store.transaction() as tx:
            source = self.ctx.source_ids[adapter.settings.name]
            for key, mode in adapter.modes.items():
                tx.db.execute(
                    "INSERT INTO pipeline (source_id, key, name, mode) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET mode = excluded.mode",
                    (source, key, unquote_id(key.partition(":")[2]), int(mode)),
                )
            for run in adapter.all.values():
                put_run(tx, run)

    async def plan(self, verb: str, key: str, peer: Peer = ME, **more: Any) -> dict[str, Any]:
        return await self.actions.plan({"verb": verb, "key": key, **more}, peer)

    async def act(
        self, plan: dict[str, Any], peer: Peer = ME, reason: str | None = REASON, typed: str | None = None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "plan": plan["plan"],
            "nonce": plan["nonce"],
            "hash": plan["hash"],
            "reason": reason,
            "typed": typed,
        }
        return await self.actions.act(body, peer)

    async def arm(self, peer: Peer = ME) -> None:
        await self.actions.arm({"environment": "prod"}, peer)

    def record(self, action: str) -> rows.ActionRecord:
        with self.store.transaction() as tx:
            found = rows.get(tx, action)
        assert found is not None
        return found

    def state(self, action: str) -> ActionState:
        return self.record(action).state

    async def ended(self, action: str, limit: float = 3600.0) -> rows.ActionRecord:
        await self.clock.until(lambda: not self.state(action).in_flight, limit)
        return self.record(action)

    def events(self, action: str) -> list[tuple[ActionState, str]]:
        with self.store.transaction() as tx:
            found = tx.db.execute(
                "SELECT state, words FROM action_event WHERE action_id = ? ORDER BY id", (action,)
            ).fetchall()
        return [(ActionState(state), words) for state, words in found]

    def audited(self) -> list[rows.AuditRow]:
        with self.store.transaction() as tx:
            return rows.audit_page(tx.db, 0)

    def count(self) -> int:
        with self.store.transaction() as tx:
            return int(tx.db.execute("SELECT count(*) FROM action").fetchone()[0])


def put_run(tx: Any, run: Run, attempt: int | None = None) -> None:
    pipeline, _, name = run.key.partition("/")
    tx.db.execute(
        "INSERT INTO run (pipeline_id, run, state, kind, attempt, at, started, ended, updated) SELECT id, ?, ?, 0, ?, ?, ?, ?, 0"
        " FROM pipeline WHERE key = ? ON CONFLICT (pipeline_id, run) DO UPDATE SET state = excluded.state, ended = excluded.ended,"
        " attempt = excluded.attempt",
        (name, int(run.state), attempt or run.attempt, run.started or 0, run.started, run.ended, pipeline),
    )


def _places(folder: Path) -> Places:
    found = places(folder / "watchfloor.toml", env={"HOME": str(folder)})
    return replace(found, state=folder, store=folder / "floor.db", audit=folder / "audit.jsonl")


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    made = Floor(tmp_path)
    await made.actions.resume()
    yield made
    await made.actions.close()
    made.store.close()


@pytest.fixture
def running(floor: Floor) -> str:
    """A run of the unprotected source that is going on, and stored."""
    key = floor.dev.run("daily", "r1")
    floor.poll(floor.dev)
    return key


@pytest.fixture
def running_prod(floor: Floor) -> str:
    key = floor.prod.run("daily", "r1")
    floor.poll(floor.prod)
    return key


__all__ = ["ME", "OTHER", "REASON", "Floor", "Mode", "State"]
