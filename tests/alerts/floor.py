"""A small floor for tests of alerts: a store, a source, a pipeline, contacts, and polls as the engine makes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from adapters.base import Listing
from adapters.model import Health, Pipeline, Run, Severity, State, pipeline_key, run_key
from engine.alerts import Alerts
from engine.clock import Clock
from engine.config.model import Config, Contact, PipelineRule, Route, SecretRef, Source
from engine.config.units import SeverityTest
from engine.context import Context
from engine.notify.channels import Outcome, Part
from engine.peer import Peer
from engine.store import runs as store_runs
from engine.store import sources as store_sources
from engine.store.sources import SourceRecord
from engine.store.writer import Store

START = 1_795_000_000_000
MINUTE = 60_000
PEER = Peer(uid=os.getuid(), pid=1, login="ana", groups=frozenset(), origin=None)


class HandClock(Clock):
    """Stands until somebody moves it."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000

    def forward(self, ms: int) -> None:
        self.at += ms


class FakeChannels:
    """Answers as it is told, and keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str, str]] = []
        self.answers: dict[str, list[Outcome]] = {}
        self.skips: list[tuple[int, ...]] = []

    def answer(self, url: str, *outcomes: Outcome) -> None:
        self.answers[url] = list(outcomes)

    async def send(
        self, url: str, title: str, body: str, notify_type: str, *, dedup: str = "", skip: Any = ()
    ) -> Outcome:
        self.sent.append((url, title, body, notify_type))
        self.skips.append(tuple(skip))
        waiting = self.answers.get(url)
        if not waiting:
            return good()
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    async def rest(self) -> None: ...

    async def close(self) -> None: ...


def good() -> Outcome:
    return Outcome((Part(0, "ok", "json://here"),), "json://here took it", 3)


def bad(code: int | None = 500) -> Outcome:
    return Outcome((Part(0, "refused", "json://here", code),), f"json://here did not take it ({code})", 3)


class Floor:
    """One engine's worth of alerts, without the engine. ``poll`` and ``health`` are what a poller does."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        to: Sequence[str] = ("ana",),
        fallback: str | None = None,
        urls: dict[str, str] | None = None,
        routes: tuple[Route, ...] | None = None,
        rules: tuple[PipelineRule, ...] = (),
        setup: bool = True,
        listed: tuple[str, ...] = ("daily", "hourly"),
    ) -> None:
        self.folder = folder
        self.clock: Any = clock or HandClock()
        self.store = Store.open(folder / "floor.db", self.clock)
        urls = urls or {"ana": "json://ana.example/", "ben": "json://ben.example/", "desk": "json://desk.example/"}
        for name, url in urls.items():
            (folder / f"{name}.url").write_text(url)
            (folder / f"{name}.url").chmod(0o600)
        if routes is None:
            routes = (Route("*", SeverityTest(">=", Severity.LOW), tuple(to), fallback),) if to else ()
        self.config = Config(
            path=folder / "watchfloor.toml",
            folder=folder,
            hash="0",
            timezone="Europe/Paris",
            sources=(Source(name="flow", kind="airflow", environment="prod"),),
            pipelines=rules,
            contacts=tuple(Contact(name, SecretRef("file", f"{name}.url"), "Europe/Paris") for name in urls),
            routes=routes,
        )
        self.lines: list[str] = []
        self.ctx = Context(
            clock=self.clock,
            store=self.store,
            config=self.config,
            places=SimpleNamespace(state=folder),  # type: ignore[arg-type]
            adapters={},
            source_ids={},
            poll_soon=lambda _: None,
            log=self.lines.append,
        )
        self.alerts = Alerts(self.ctx)
        if setup:
            with self.store.transaction() as tx:
                self.ctx.source_ids = store_sources.sync_sources(
                    tx, [SourceRecord(name="flow", kind="airflow", environment="prod")]
                )
                self.alerts.tick(tx)
            self.list(*listed)
        else:
            with self.store.transaction() as tx:
                self.ctx.source_ids = {"flow": tx.db.execute("SELECT id FROM source").fetchone()[0]}

    @property
    def source_id(self) -> int:
        return self.ctx.source_ids["flow"]

    def list(self, *names: str) -> None:
        items = [Pipeline(key=pipeline_key("flow", name), name=name) for name in names]
        with self.store.transaction() as tx:
            store_runs.apply_pipelines(tx, self.source_id, Listing(items, True), self.config.pipelines)

    def poll(self, *runs: Run) -> list[Any]:
        with self.store.transaction(full=True) as tx:
            changes = store_runs.apply_runs(tx, self.source_id, runs, self.clock.now())
            self.alerts.on_runs(tx, changes)
        return changes

    def run(
        self, state: State, name: str = "r1", *, pipeline: str = "daily", date: str | None = "2026-11-20", **more: Any
    ) -> Run:
        now = self.clock.now()
        if state.terminal:
            more.setdefault("ended", now)
        return Run(
            key=run_key(pipeline_key("flow", pipeline), name),
            native=state.name.lower(),
            state=state,
            business_date=date,
            started=more.pop("started", now - 5 * MINUTE),
            source_updated=more.pop("source_updated", now),
            **more,
        )

    def health(self, health: Health, detail: str = "", *, since: int | None = None) -> None:
        now = self.clock.now()
        with self.store.transaction(full=True) as tx:
            store_sources.put_health(
                tx,
                self.source_id,
                health=int(health),
                since=since or now,
                **({"last_ok": now} if health is Health.FRESH else {}),
            )
            self.alerts.on_health(tx, "flow", Health.NEVER, health, since or now, detail, "")

    def tick(self) -> None:
        with self.store.transaction(full=True) as tx:
            self.alerts.tick(tx)

    def all(self, sql: str, *values: Any) -> list[Any]:
        with self.store.transaction() as tx:
            return tx.db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        found = self.all(sql, *values)
        assert len(found) == 1, found
        return found[0][0] if len(found[0]) == 1 else found[0]

    @property
    def states(self) -> list[int]:
        return [row[0] for row in self.all("SELECT state FROM alert ORDER BY opened, id")]

    @property
    def letters(self) -> list[tuple[str, str, int]]:
        """(recipient, kind, state) of all outbox rows."""
        return [tuple(row) for row in self.all("SELECT recipient, kind, state FROM outbox ORDER BY created, id")]

    def close(self) -> None:
        self.store.close()
        for thread in threading.enumerate():
            assert thread.daemon or thread is threading.main_thread() or "asyncio" in thread.name
