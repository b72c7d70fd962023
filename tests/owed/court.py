"""A real store with a standing clock, and the judge over it: what was observed, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapters.base import Listing
from adapters.extras import Readings
from adapters.model import Owed, Pipeline, Run, Sample, Severity, State, Trigger, run_key
from engine.config.model import Config, Expectation, Source
from engine.context import Context
from engine.owed.bound import OwedChange
from engine.owed.judge import Judge
from engine.owed.measured import Measured
from engine.store import metrics, runs, sources
from engine.store.reader import Reader
from engine.store.rows import OwedRow
from engine.store.writer import Store, Tx
from tests.store.rig import Still

PARIS = "Europe/Paris"
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def at(text: str) -> int:
    """``05:00`` of Friday 20 November 2026 in Paris, or a date and a time."""
    text = text if "-" in text else f"2026-11-20 {text}"
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PARIS)).timestamp()) * 1000


class Heard:
    """Stands for the alerts."""

    def __init__(self) -> None:
        self.changes: list[OwedChange] = []

    def on_owed(self, tx: Tx, changes: Sequence[OwedChange]) -> None:
        self.changes += changes


class Court:
    """One source ``air`` (polled every 10 s) unless told otherwise; every observation is a poll that sees everything."""

    def __init__(
        self,
        folder: Path,
        *expectations: Expectation,
        now: str = "04:40",
        outlook: Any = None,
        live: Any = None,
        **more: Any,
    ) -> None:
        self.folder = folder
        self.clock = Still(at(now))
        self.store = Store.open(folder / "floor.db", self.clock)
        self.config = Config(
            path=folder / "watchfloor.toml", folder=folder, hash="1", timezone=PARIS, expectations=expectations,
            **{"sources": (Source(name="air", kind="airflow", timezone=PARIS, environment="prod"),), **more},
        )  # fmt: skip
        self.heard = Heard()
        self.lines: list[str] = []
        self.poked: list[str] = []
        records = [
            sources.SourceRecord(name=s.name, kind=s.kind, environment=s.environment) for s in self.config.sources
        ]
        with self.store.transaction() as tx:
            self.ids = sources.sync_sources(tx, records)
        self.ctx = Context(
            self.clock, self.store, self.config, None, {}, self.ids, self.poked.append, self.lines.append,  # type: ignore[arg-type]
        )  # fmt: skip
        self.outlook, self.live = outlook, live
        self.judge = Judge(self.ctx, self.heard, outlook, live, Measured(self.ctx))
        self._listed: dict[str, Pipeline] = {}
        self._readers: list[Reader] = []
        with self.store.transaction() as tx:
            self.judge.configured(tx)

    # --- the world ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.clock.at

    def list(self, *names: str, source: str = "air", schedule: str | None = "0 5 * * *", **fields: Any) -> None:
        trigger = fields.pop("trigger", Trigger.CRON if schedule else Trigger.EVENT)
        for name in names:
            item = Pipeline(
                key=f"{source}:{name}", name=name, schedule=schedule, timezone=PARIS, trigger=trigger, **fields
            )
            self._listed[item.key] = item
        self.listing(source)

    def unlist(self, name: str, source: str = "air") -> None:
        """Two complete listings without it."""
        del self._listed[f"{source}:{name}"]
        self.listing(source)
        self.listing(source)

    def listing(self, source: str = "air") -> None:
        items = [p for p in self._listed.values() if p.key.startswith(f"{source}:")]
        with self.store.transaction() as tx:
            told = runs.apply_pipelines(tx, self.ids[source], Listing(items, True), self.config.pipelines)
            self.judge.on_pipelines(tx, source, told)

    def run(
        self, name: str, pipeline: str, started: str | int | None, ended: str | int | None = None, state: State | None = None, **more: Any
    ) -> Run:  # fmt: skip
        """An observation, not yet made."""
        begun = at(started) if isinstance(started, str) else started
        over = at(ended) if isinstance(ended, str) else ended
        state = state or (State.RUNNING if over is None else State.SUCCESS)
        key = run_key(pipeline if ":" in pipeline else f"air:{pipeline}", name)
        return Run(key=key, native=state.name.lower(), state=state, started=begun, ended=over, **more)

    def see(self, *observed: Run, source: str = "air", looked: bool = True) -> None:
        """One poll, now."""
        with self.store.transaction() as tx:
            self.judge.on_runs(tx, runs.apply_runs(tx, self.ids[source], observed, self.now))
        if looked:
            self.judge.seen(source, self.now)
        self.tick()

    def measure(self, source: str = "air", t: int | None = None, failed: str = "", **values: float | None) -> None:
        """One answer of a source to its ``[[series]]``; None: it gave none of that one. ``failed``: it gave nothing at all."""
        named = {s.name: s.unit for s in self.config.series if s.source == source}
        at = self.now if t is None else t
        samples = [Sample(name, at, value) for name, value in values.items() if value is not None]
        with self.store.transaction() as tx:
            metrics.put_queries(tx, source, named)
            if failed:
                metrics.put_failed(tx, source, failed)
            else:
                metrics.put_readings(tx, source, named, Readings(samples=samples), asked=set(values))
        self.tick()

    def tick(self) -> None:
        with self.store.transaction() as tx:
            self.judge.tick(tx)

    def until(self, time: str | int, *, every: int = MINUTE, looked: bool = True) -> None:
        """Walk there, a poll (that brings nothing) and a tick each step."""
        goal = at(time) if isinstance(time, str) else time
        assert goal >= self.now
        while self.now < goal:
            self.clock.at = min(self.now + every, goal)
            if looked:
                for source in self.ids:
                    self.judge.seen(source, self.now)
            self.tick()

    def reload(self, *expectations: Expectation, **more: Any) -> None:
        self.config = self.ctx.config = replace(self.config, expectations=expectations, **more)
        with self.store.transaction() as tx:
            self.judge.configured(tx)

    def restart(self) -> None:
        """Another engine over the same store."""
        self.heard = Heard()
        self.judge = Judge(self.ctx, self.heard, self.outlook, self.live, Measured(self.ctx))
        with self.store.transaction() as tx:
            self.judge.configured(tx)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with self.store.transaction() as tx:
            return tx.db.execute(sql, values).fetchall()

    def put(self, sql: str, *values: Any) -> None:
        self.ask(sql, *values)

    # --- what became of it ----------------------------------------------------------------------------------------

    @property
    def reader(self) -> Reader:
        if not self._readers:
            self._readers.append(Reader(self.folder / "floor.db", self.clock.now))
            self._readers[0].open()
        return self._readers[0]

    def owed(self, promise: str, date: str | None = "2026-11-20", thing: str | None = None) -> OwedRow:
        """The occurrence of a promise for a business date."""
        found = [
            r for r in self.reader.owed(0, 1 << 60)
            if r.promise == promise and date in (None, r.business_date) and thing in (None, r.thing)
        ]  # fmt: skip
        assert len(found) == 1, [(r.key, r.state) for r in found]
        return found[0]

    def all(self, promise: str) -> list[tuple[str, Owed]]:
        rows = sorted((r for r in self.reader.owed(0, 1 << 60) if r.promise == promise), key=lambda r: r.due)
        return [(r.key.rpartition("|")[2], r.state) for r in rows]

    def told(self) -> list[tuple[str, str, bool]]:
        """(promise, state, whether people are told now), since the last time that it was asked."""
        found = [(c.bound.promise.id, c.after.state.name, c.alerting) for c in self.heard.changes]
        self.heard.changes.clear()
        return found

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.store.close()


def expect(id: str = "e", on: str = "air:sales", type: str = "finish_by", **more: Any) -> Expectation:
    """``due`` and the like as times of day."""
    for name in ("due",):
        if isinstance(more.get(name), str):
            hours, minutes = more[name].split(":")
            more[name] = int(hours) * 60 + int(minutes)
    return Expectation(
        **{
            "id": id,
            "on": on,
            "type": type,
            "timezone": PARIS,
            "severity": Severity.HIGH,
            "place": "watchfloor.toml:12",
            **more,
        }
    )
