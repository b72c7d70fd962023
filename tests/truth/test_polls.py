"""Asking: what is asked for while an answer is under way, what the source says of itself, what it no longer knows."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest

from adapters.errors import Unreachable
from adapters.model import Health, Mode, State
from engine.poll import logs
from tests.servers.airflow_like import AirflowLike
from tests.truth.test_attempts import fails, works
from tests.truth.world import KEY, Floor


async def until(fact: object, patience_s: float = 5.0) -> None:
    async with asyncio.timeout(patience_s):
        while not fact():  # type: ignore[operator]  # noqa: ASYNC110 - the store has no event to wait for
            await asyncio.sleep(0.01)


async def test_what_is_asked_for_while_an_older_answer_is_on_its_way_is_asked(
    floor: Floor, server: AirflowLike
) -> None:
    """A pause is done while a poll, begun before it, waits for its answer: that answer does not count as the look after."""
    await floor.poll()
    listing = floor.adapter.pipelines
    asked, gate = 0, asyncio.Event()

    async def slow() -> object:
        nonlocal asked
        asked += 1
        answer = await listing()
        if asked == 1:
            await gate.wait()
        return answer

    floor.adapter.pipelines = slow  # type: ignore[method-assign]
    floor.poller._listing_due = 0.0
    floor.poller.start()
    await until(lambda: asked == 1)
    server.dags["daily"].paused = True
    floor.poller.poke()
    gate.set()

    def mode() -> Mode:
        reader = floor.reader()
        try:
            return reader.floor()[0].mode
        finally:
            reader.close()

    await until(lambda: mode() is Mode.PAUSED)


async def test_a_scheduler_that_dies_later_is_said_and_one_that_recovers_too(floor: Floor, server: AirflowLike) -> None:
    await floor.poll()
    assert floor.poller.standing.detail is None
    server.fault = "scheduler-dead"
    await floor.poll()
    assert floor.poller.standing.health is Health.FRESH
    assert "scheduler" in (floor.poller.standing.detail or "")
    server.fault = None
    await floor.poll()
    assert floor.poller.standing.detail is None


async def test_an_active_run_that_its_source_deleted_is_lost(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    server.add_run("daily", "r2", state="running")
    await floor.poll()
    kept = server.runs.pop(("daily", "r1"))
    await floor.poll(3)
    assert floor.state() is State.LOST
    assert floor.state("af:daily/r2") is State.RUNNING
    server.runs[("daily", "r1")] = kept
    await floor.poll()
    assert floor.state() is State.RUNNING
    assert floor.run().row.attempt == 1
    assert floor.open_alerts() == []


async def test_an_old_active_run_that_ended_while_no_engine_watched_is_not_active_for_ever(
    floor: Floor, server: AirflowLike
) -> None:
    server.add_run("daily", "r1", state="running", run_after=server.now() - timedelta(days=70))
    await floor.poll()
    assert floor.state() is State.RUNNING
    await floor.restart()
    floor.poller.standing.cursor = None  # as a reload to another address, or an older version's cursor
    server.set_run("daily", "r1", "success")
    server.runs[("daily", "r1")].updated -= timedelta(days=3)
    await floor.poll(3)
    assert floor.state() is State.SUCCESS


async def test_a_hiccup_while_the_reason_is_read_does_not_lose_the_reason(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    works(server, "extract", 1)
    fails(server, "load", "ORA-00001: first reason", 1)
    steps = floor.adapter.steps

    async def hiccup(run: str) -> object:
        raise Unreachable("connection reset")

    floor.adapter.steps = hiccup  # type: ignore[method-assign,assignment]
    await floor.poll()
    floor.adapter.steps = steps  # type: ignore[method-assign]
    await floor.poll()
    assert floor.run(KEY).row.error == "load: ORA-00001: first reason"


async def test_a_history_that_is_always_answered_badly_is_not_asked_for_ever(floor: Floor, server: AirflowLike) -> None:
    from adapters.errors import BadResponse

    asked = 0

    async def bad(*_: object) -> object:
        nonlocal asked
        asked += 1
        raise BadResponse("no JSON")

    floor.adapter.history = bad  # type: ignore[method-assign,assignment]
    await floor.poll(12)
    assert asked <= 5


async def test_a_listing_that_is_always_answered_badly_hides_no_failed_run(floor: Floor, server: AirflowLike) -> None:
    """One DAG that Airflow cannot write down makes its listing a 500; its runs are told all the same."""
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    server.fault_on = lambda method, path: path == "/api/v2/dags"
    server.fault = "500"
    server.set_run("daily", "r1", "failed")
    await floor.poll(2)
    assert floor.poller.standing.health is Health.BAD_ANSWER
    assert floor.state() is State.FAILED
    assert [a.rule for a in floor.open_alerts()].count("failed-run") == 1


async def test_a_reason_that_reaches_the_log_late_is_found(floor: Floor, server: AirflowLike) -> None:
    """Remote logging: the state is there before the log is."""
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    works(server, "extract", 1)
    fails(server, "load", "ORA-00001: first reason", 1)
    late = server.task("daily", "r1", "load").logs.pop(1)
    await floor.poll(2)
    assert floor.run().row.error == "task load failed"
    server.task("daily", "r1", "load").logs[1] = late
    await floor.poll(2)
    assert floor.run().row.error == "load: ORA-00001: first reason"


async def test_a_full_disk_while_the_log_is_written_does_not_lose_the_reason(
    floor: Floor, server: AirflowLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    works(server, "extract", 1)
    fails(server, "load", "ORA-00001: first reason", 1)
    append = logs.append

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs, "append", full)
    with contextlib.suppress(OSError):
        await floor.poll()
    monkeypatch.setattr(logs, "append", append)
    await floor.poll()
    assert floor.run().row.error == "load: ORA-00001: first reason"
