"""The whole engine, walked through a night by hand: its own clock, a scripted server shaped like Airflow, real requests between them.

Nothing of the engine is replaced but the clock and the waiting: each step of time is a poll of every source and a beat of
the heart, as ``Engine.run`` does them. What happened is read from the store, as a terminal reads it.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapters.model import Owed
from engine.clock import Clock
from engine.config.load import load
from engine.config.paths import places
from engine.main import Engine
from engine.store.reader import Reader
from engine.store.rows import AlertEventRow, AlertRow, DeliveryRow, OwedRow
from tests.servers.airflow_like import AirflowLike

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
ZONE = "Europe/Paris"
TWENTY = (38, 40, 41, 41, 42, 42, 43, 43, 44, 44, 45, 45, 46, 47, 48, 49, 52, 55, 61, 74)
"""Minutes of twenty runs: p50 44.5, p90 55.6."""


class HandClock(Clock):
    """Time stands still until it is moved; who sleeps only gives way."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class ScriptedAirflow(AirflowLike):
    """Keeps the scenario's time."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._hand = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._hand.at / 1000, UTC)

    def keep_time(self) -> None:
        import time

        self.skew_s = self._hand.at / 1000 - time.time()


class Scenario:
    """``async with Scenario(tmp_path, "2026-11-20 04:00", toml) as night``; ``{url}`` in the TOML is the server's address."""

    def __init__(self, folder: Path, start: str, toml: str, *, zone: str = ZONE) -> None:
        self.folder = folder
        self.zone = ZoneInfo(zone)
        self.clock = HandClock(0)
        self.clock.at = self.at(start)
        self.server = ScriptedAirflow(self.clock)
        self._toml = toml
        self.engine: Engine
        self.out = io.StringIO()
        self._reader: Reader | None = None

    async def __aenter__(self) -> Scenario:
        self.server.start()
        self.server.keep_time()
        return self

    async def __aexit__(self, *_: object) -> None:
        if hasattr(self, "engine"):
            for poller in self.engine.pollers.values():
                await poller.close()
            self.engine.store.close()
        if self._reader is not None:
            self._reader.close()
        self.server.stop()

    def begin(self) -> None:
        """Write the configuration and make the engine; to be called once the server has what it should have by then."""
        path = self.folder / "watchfloor.toml"
        path.write_text(
            'timezone = "Europe/Paris"\n[store]\npath = "state/floor.db"\n'
            + self._toml.replace("{url}", self.server.url)
        )
        self.engine = Engine(places(path), load(path), clock=self.clock, out=self.out)
        self.engine.begin()

    def restart(self) -> None:
        """The engine dies and another takes its place, over the same store."""
        self.engine.store.close()
        path = self.folder / "watchfloor.toml"
        self.engine = Engine(places(path), load(path), clock=self.clock, out=self.out)
        self.engine.begin()

    # --- time -----------------------------------------------------------------------------------------------------

    def at(self, text: str) -> int:
        """``2026-11-20 05:15``, or ``05:15`` of the day that it is, in the scenario's zone, as ms UTC."""
        if len(text) <= 8:
            day = datetime.fromtimestamp(self.clock.at / 1000, self.zone).date().isoformat()
            text = f"{day} {text}"
        return int(datetime.fromisoformat(text).replace(tzinfo=self.zone).timestamp() * 1000)

    def when(self, text: str) -> datetime:
        return datetime.fromtimestamp(self.at(text) / 1000, UTC)

    @property
    def clock_date(self) -> str:
        """The date that it is."""
        return datetime.fromtimestamp(self.clock.at / 1000, self.zone).date().isoformat()

    async def step(self, ms: int = 0) -> None:
        """Time moves by ``ms``, then every source is polled, files are looked for, and the heart beats once."""
        self.clock.at += ms
        self.server.keep_time()
        for poller in list(self.engine.pollers.values()):
            await poller.poll_once()
            await poller.parts.look()
        await self.engine.owing.feeds.look()
        await self.engine.beat()

    async def until(self, text: str, every: int = MINUTE) -> None:
        """Walk to a time of day, a step of at most ``every``."""
        goal = self.at(text)
        assert goal >= self.clock.at, f"{text} is over"
        while self.clock.at < goal:
            await self.step(min(every, goal - self.clock.at))
        await self.step()

    # --- the world ------------------------------------------------------------------------------------------------

    def past(self, dag: str, start: str = "05:00", minutes: Sequence[int] = TWENTY) -> None:
        """One run a working day that succeeded, on the last working days before today, in no order that could be a trend."""
        left = list(minutes)
        random.Random(2).shuffle(left)
        began = self.at(start)
        while left:
            began -= DAY
            if datetime.fromtimestamp(began / 1000, self.zone).weekday() < 5:
                after = datetime.fromtimestamp(began / 1000, UTC)
                self.server.add_run(
                    dag, state="success", run_after=after, ran_s=60.0 * left.pop() + 1
                )  # starts a second late

    def run(self, dag: str, state: str = "running", *, after: str, **more: Any) -> str:
        """A scheduled run of today's tick at ``after``; it starts now."""
        made = self.server.add_run(dag, state="queued", run_after=self.when(after), **more)
        if state != "queued":
            self.server.set_run(dag, made.run_id, state)
        return made.run_id

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self.engine.places.store, self.clock.now)
        return self._reader

    def owed(self, thing: str, type: str | None = None, date: str | None = None) -> OwedRow:
        """The occurrence of a thing that is due next or was due last; ``date``: of that business date."""
        rows = [r for r in self.reader.owed_of(thing) if type in (None, r.type) and date in (None, r.business_date)]
        assert rows, (
            f"nothing is owed of {thing}: {[(r.thing, r.type, r.business_date) for r in self.reader.owed(0, 1 << 62)]}"
        )
        now = self.clock.at
        return min(rows, key=lambda r: (abs(r.due - now), r.id))

    def state(self, thing: str, type: str | None = None, date: str | None = None) -> Owed:
        return self.owed(thing, type, date).state

    def alerts(self, rule: str | None = None) -> list[AlertRow]:
        return [a for a in self.reader.alerts(open_only=True) if rule in (None, a.rule)]

    def events(self, alert: AlertRow) -> list[AlertEventRow]:
        return self.reader.alert_events(alert.id)

    def told(self, alert: AlertRow | None = None) -> list[DeliveryRow]:
        """Messages queued, oldest first."""
        rows = self.reader.deliveries(None if alert is None else alert.id)
        return sorted(rows, key=lambda r: (r.created, r.id))
