"""A poller with a real adapter, a real store and real alerts, polled by hand: what the world says goes in, what is kept is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.airflow import AirflowAdapter
from adapters.base import Prepared
from adapters.model import ActionState, State
from engine.actions import Actions
from engine.alerts import Alerts
from engine.clock import Clock
from engine.config.model import Config, Source
from engine.config.paths import places
from engine.context import Context
from engine.ids import ulid
from engine.owing import Owing
from engine.poll.source import Poller
from engine.store import actions as rows
from engine.store import sources
from engine.store.actions import ActionRecord
from engine.store.reader import Reader
from engine.store.writer import Store
from tests.airflow.world import settings
from tests.servers.airflow_like import AirflowLike

KEY = "af:daily/r1"


class Floor:
    """``await poll()`` is one round; ``restart()`` another engine on the same store."""

    def __init__(self, folder: Path, server: AirflowLike) -> None:
        self.folder, self.server = folder, server
        self.clock = Clock()
        self.watched: list[dict[str, Any]] = []
        self.logged: list[str] = []
        self.told = 0
        self.begin()

    def begin(self) -> None:
        source = Source(name="af", kind="airflow", url=self.server.url, environment="prod", requests_per_min=100_000)
        config = Config(path=self.folder / "watchfloor.toml", folder=self.folder, hash="h", sources=(source,))
        where = places(config.path).with_store(self.folder / "state" / "floor.db")
        where.prepare()
        self.places = where
        self.store = Store.open(where.store, self.clock)
        with self.store.transaction() as tx:
            ids = sources.sync_sources(tx, [sources.SourceRecord(name="af", kind="airflow", environment="prod")])
        self.adapter = AirflowAdapter(settings(self.server))
        self.ctx = Context(
            clock=self.clock, store=self.store, config=config, places=where, adapters={"af": self.adapter}, source_ids=ids,
            poll_soon=lambda name: None, log=self.logged.append,
        )  # fmt: skip
        self.alerts = Alerts(self.ctx)
        self.owing = Owing(self.ctx, self.alerts, Actions(self.ctx).audit)
        self.poller = Poller(
            self.ctx, source, self.adapter, ids["af"], self.alerts, self.owing, self._tell, lambda: self.watched
        )
        with self.store.transaction() as tx:
            self.alerts.tick(tx)

    def _tell(self) -> None:
        self.told += 1

    async def restart(self) -> None:
        await self.close()
        self.begin()

    async def close(self) -> None:
        with self.store.transaction() as tx:
            sources.put_health(tx, self.poller.source_id, **self.poller.health_fields())
        await self.poller.close()
        self.store.close()

    async def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.poller._listing_due = 0.0
            await self.poller.poll_once()

    def reader(self) -> Reader:
        return Reader(self.places.store)

    def run(self, key: str = KEY) -> Any:
        reader = self.reader()
        try:
            found = reader.run(key)
        finally:
            reader.close()
        return found

    def state(self, key: str = KEY) -> State | None:
        found = self.run(key)
        return found.row.state if found else None

    def open_alerts(self) -> Sequence[Any]:
        reader = self.reader()
        try:
            return reader.alerts(open_only=True)
        finally:
            reader.close()

    def acted(self, verb: str, key: str = KEY, state: ActionState = ActionState.DONE, seen: int = 1) -> str:
        """What confirming an action leaves in the store."""
        with self.store.transaction(full=True) as tx:
            name = ulid(tx.now)
            rows.insert(
                tx,
                ActionRecord(
                    id=name, nonce=name, verb=verb, key=key, pipeline_key=key.partition("/")[0], scope=key,
                    environment="prod", state=state, words="asked", client_id=name, plan_hash="h", plan="{}", prepared="",
                    reason=None, who="ana", uid=1, created=tx.now, changed=tx.now, ended=tx.now, attempt=1, seen_attempt=seen,
                ),
            )  # fmt: skip
        return name


__all__ = ["KEY", "Floor", "Prepared"]
