"""The acting room with the Airflow adapter on a server shaped like Airflow: what it did is asked of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.airflow import AirflowAdapter
from adapters.model import ActionState
from engine.actions import Actions
from engine.clock import Clock
from engine.config.model import Config, Source
from engine.context import Context
from engine.store import actions as rows
from engine.store import sources
from engine.store.writer import Store
from tests.actions.conftest import ME, REASON, _places
from tests.airflow.world import settings
from tests.servers.airflow_like import AirflowLike

FAST = 300


class FastClock(Clock):
    """Five minutes of patience in a second."""

    def monotonic(self) -> float:
        return time.monotonic() * FAST

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FAST)


class Room:
    def __init__(self, folder: Path, server: AirflowLike) -> None:
        self.server = server
        self.adapter = AirflowAdapter(settings(server))
        self.source = self.adapter.settings.name
        clock = FastClock()
        self.store = Store.open(folder / "floor.db", clock)
        with self.store.transaction() as tx:
            ids = sources.sync_sources(tx, [sources.SourceRecord(name=self.source, kind="airflow")])
        config = Config(
            path=folder / "w.toml", folder=folder, hash="h", sources=(Source(name=self.source, kind="airflow", protected=False),)
        )  # fmt: skip
        ctx = Context(
            clock=clock, store=self.store, config=config, places=_places(folder), adapters={self.source: self.adapter},
            source_ids=ids, poll_soon=lambda _: None, log=print,
        )  # fmt: skip
        self.actions = Actions(ctx)

    async def act(self, verb: str, key: str, times: int = 1) -> rows.ActionRecord:
        plan = await self.actions.plan({"verb": verb, "key": f"{self.source}:{key}"}, ME)
        assert plan["blocked"] is None, plan["blocked"]
        body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
        answers = await asyncio.gather(*(self.actions.act(body, ME) for _ in range(times)))
        (action,) = {a["action"] for a in answers}
        async with asyncio.timeout(30):
            while self.actions.busy and self.record(action).ended is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.record(action)

    def record(self, action: str) -> rows.ActionRecord:
        with self.store.transaction() as tx:
            found = rows.get(tx, action)
        assert found is not None
        return found

    def posted(self, part: str, method: str = "POST") -> int:
        return sum(1 for seen in self.server.requests if seen.method == method and part in seen.path)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    with AirflowLike() as server:
        server.add_dag("daily", tasks=("extract", "load"))
        made = Room(tmp_path, server)
        await made.actions.resume()
        yield made
        await made.actions.close()
        await made.adapter.close()
        made.store.close()


async def test_ten_enters_are_one_post(room: Room) -> None:
    room.server.autopilot(0.05)
    record = await room.act("start", "daily", times=10)
    assert record.state is ActionState.DONE
    assert record.result_key is not None
    assert record.result_key.endswith(next(iter(room.server.runs))[1])
    assert room.posted("/dagRuns") == 1
    assert len(room.server.runs) == 1


@pytest.mark.parametrize("fault", ["lost", "lost-500"])
async def test_lost_answer_is_found_by_asking(room: Room, fault: str) -> None:
    room.server.fault = fault
    room.server.autopilot(0.05)
    record = await room.act("start", "daily")
    assert record.state is ActionState.RECONCILED_DONE
    assert room.posted("/dagRuns") == 1
    assert [effect.what for effect in room.server.effects].count(room.server.effects[0].what) == 1
    assert len(room.server.runs) == 1


async def test_server_that_does_nothing_with_200(room: Room) -> None:
    room.server.add_run("daily", "r1", state="running")
    room.server.fault = "noop"
    record = await room.act("stop", "daily/r1")
    assert record.state is ActionState.VERIFY_TIMEOUT
    assert "still running" in record.words
    assert room.server.runs["daily", "r1"].state == "running"


async def test_stop_is_proved_and_ours(room: Room) -> None:
    room.server.add_run("daily", "r1", state="running")
    record = await room.act("stop", "daily/r1")
    assert record.state is ActionState.DONE
    assert room.server.runs["daily", "r1"].state == "failed"
    with room.store.transaction() as tx:
        assert rows.stopped_by(tx, f"{room.source}:daily/r1", 1) == "ana"


async def test_pause_needs_two_readings(room: Room) -> None:
    record = await room.act("pause", "daily")
    assert record.state is ActionState.DONE
    assert room.server.dags["daily"].paused
    assert room.posted("/dags/daily", "PATCH") == 1


async def test_rerun_from_clears_once(room: Room) -> None:
    room.server.add_run("daily", "r1", state="failed")
    record = await room.act("rerun-from", "daily/r1#load", times=5)
    assert record.state is ActionState.DONE
    assert [e.what for e in room.server.effects] == [room.server.effects[0].what]
