"""The Airflow adapter against a real Airflow 3.3.2; what happened is asked of Airflow with the test's own plain client."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Action, Done, NotSent, Prepared, Secret, Sent, SourceSettings, Unknown
from adapters.errors import AuthFailed, Conflict, Forbidden, NotFound
from adapters.model import Mode, Run, State, Verb
from tests.real.airflow_server import MANY, NAMES, PASSWORD, Airflow3, airflow3, survives

__all__ = ["airflow3"]  # the fixture
pytestmark = pytest.mark.real


def adapter_for(server: Airflow3, user: str = "admin", password: str = PASSWORD) -> AirflowAdapter:
    auth: dict[str, str | Secret] = {"user": user, "password": Secret(lambda: password, "env:TEST")}
    return AirflowAdapter(SourceSettings(name="af", kind="airflow", url=server.url, auth=auth, timezone="Europe/Paris"))


@pytest.fixture
async def adapter(airflow3: Airflow3) -> AsyncIterator[AirflowAdapter]:
    one = adapter_for(airflow3)
    yield one
    await one.close()


def new_id() -> str:
    return uuid.uuid4().hex[:12]


async def until(what: str, fact: Callable[[], Awaitable[Any]], seconds: float = 150.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := await fact()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.5)
    return found


async def state(adapter: AirflowAdapter, key: str, *states: State) -> Run:
    async def there() -> Run | None:
        run = await adapter.read(key)
        assert isinstance(run, Run)
        return run if run.state in states else None

    return await until(f"{key} is {states}", there)


async def act(adapter: AirflowAdapter, verb: Verb, key: str, **more: Any) -> Prepared:
    """Prepared, sent once, proved. Where the server's own SQLite was locked (500, "Database error") that is not known to have
    happened, as the adapter says; if the world shows that it has not, it is sent again, once."""
    prepared = await adapter.prepare(Action(verb=verb, key=key, client_id=new_id(), who="test", **more))
    assert not isinstance(await adapter.reconcile(prepared), Done)
    sent = await adapter.send(prepared)
    if isinstance(sent, Unknown):
        assert "Database error" in sent.words
        if not isinstance(await adapter.reconcile(prepared), Done):
            assert isinstance(await adapter.send(prepared), Sent)
    else:
        assert isinstance(sent, Sent)

    async def done() -> bool:
        return isinstance(await adapter.reconcile(prepared), Done)

    await until(f"{verb} of {key} is proved", done)
    return prepared


async def started(adapter: AirflowAdapter, dag: str, **more: Any) -> str:
    prepared = await act(adapter, Verb.START, f"af:{dag}", **more)
    return f"af:{dag}/{prepared.memo['run']}"


async def step_state(adapter: AirflowAdapter, run: str, step: str) -> State:
    return [s for s in await adapter.steps(run) if s.step == step][-1].state


@survives
async def test_probe_and_list(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    probe = await adapter.probe()
    assert probe.version == "3.3.2"
    assert probe.identity == "admin"
    assert abs((probe.server_time or 0) - time.time() * 1000) < 10_000
    listing = await adapter.pipelines()
    assert listing.complete
    by_name = {p.name: p for p in listing.items}
    assert set(by_name) == set(NAMES)
    ok = by_name["wf_ok"]
    assert (ok.schedule, ok.owner, ok.tags) == ("0 3 * * *", "ana", ("tier1", "wf"))
    assert ok.next_run is not None
    assert by_name["wf_slow"].schedule is None
    for key in ("af:nope", "af:wf_ok/nope"):
        with pytest.raises(NotFound):
            await adapter.read(key)


@survives
async def test_more_than_250_runs(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    page = await adapter.runs(None)
    ours = {r.key for r in page.runs if r.key.startswith("af:wf_many/")}
    there = airflow3.get("/api/v2/dags/wf_many/dagRuns?limit=1")["total_entries"]
    assert there == MANY
    assert len(ours) == MANY
    assert len(await adapter.history("af:wf_many", depth=130)) == 130


@survives
async def test_who_may_not(airflow3: Airflow3) -> None:
    viewer = adapter_for(airflow3, "viewer")
    assert (await viewer.probe()).permissions["pause"] is False
    prepared = await viewer.prepare(Action(verb=Verb.PAUSE, key="af:wf_ok", client_id=new_id()))
    refused = await viewer.send(prepared)
    assert isinstance(refused, NotSent)
    assert airflow3.get("/api/v2/dags/wf_ok")["is_paused"] is False
    with pytest.raises(Forbidden):
        await viewer.prepare(Action(verb=Verb.RERUN, key="af:wf_many/seed_0001", client_id=new_id()))
    await viewer.close()
    stranger = adapter_for(airflow3, password="wrong-password-of-nobody")
    with pytest.raises(AuthFailed, match="does not accept the password") as caught:
        await stranger.pipelines()
    assert "wrong-password" not in str(caught.value)
    await stranger.close()


@survives
async def test_fail_clear_and_rerun_from(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    airflow3.flag.unlink(missing_ok=True)
    cursor = (await adapter.runs(None)).cursor
    key = await started(adapter, "wf_fail", params={"day": "monday"})
    run_id = key.partition("/")[2]
    failed = await state(adapter, key, State.FAILED)
    assert failed.error == "task load failed"
    page = await adapter.runs(cursor)
    assert {r.key: (r.state, r.error) for r in page.runs}[key] == (State.FAILED, "task load failed")
    steps = {s.step: s.state for s in await adapter.steps(key)}
    assert steps == {"extract": State.SUCCESS, "load": State.FAILED, "report": State.SKIPPED}
    text = (await adapter.log(f"{key}#load", 1, None)).data.decode()
    assert "Traceback (most recent call last):" in text
    assert "ValueError: the flag file is not there" in text
    assert b"upstream" in (await adapter.log(f"{key}#report", 1, None)).data
    with pytest.raises(Conflict):
        await adapter.prepare(Action(verb=Verb.STOP, key=key, client_id=new_id()))

    airflow3.flag.touch()
    prepared = await act(adapter, Verb.RERUN_FAILED, key)
    assert prepared.effect == "2 tasks will run again: load, report"
    await state(adapter, key, State.SUCCESS)
    tries = f"/api/v2/dags/wf_fail/dagRuns/{run_id}/taskInstances"
    numbers = {t["task_id"]: t["try_number"] for t in airflow3.get(tries)["task_instances"]}
    assert numbers == {"extract": 1, "load": 2, "report": 1}
    assert [(s.attempt, s.state) for s in await adapter.steps(key) if s.step == "load"] == [
        (1, State.FAILED),
        (2, State.SUCCESS),
    ]
    assert airflow3.get(f"/api/v2/dags/wf_fail/dagRuns/{run_id}")["conf"] == {"day": "monday"}

    await act(adapter, Verb.RERUN_FROM, f"{key}#load")
    await state(adapter, key, State.SUCCESS)
    numbers = {t["task_id"]: t["try_number"] for t in airflow3.get(tries)["task_instances"]}
    assert numbers == {"extract": 1, "load": 3, "report": 2}
    with pytest.raises(Conflict, match="no task of this run has failed"):
        await adapter.prepare(Action(verb=Verb.RERUN_FAILED, key=key, client_id=new_id()))
    with pytest.raises(NotFound):
        await adapter.prepare(Action(verb=Verb.RERUN_FROM, key=f"{key}#nope", client_id=new_id()))

    await act(adapter, Verb.RERUN, key)
    await state(adapter, key, State.SUCCESS)
    numbers = {t["task_id"]: t["try_number"] for t in airflow3.get(tries)["task_instances"]}
    assert numbers == {"extract": 2, "load": 4, "report": 3}


@survives
async def test_mapped_and_business_date(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    first = await started(adapter, "wf_ok", business_date="2026-11-18")
    second = await started(adapter, "wf_ok", business_date="2026-11-18")  # each logical date is allowed once
    for key in (first, second):
        run = await state(adapter, key, State.SUCCESS)
        assert run.business_date == "2026-11-18"
    key = await started(adapter, "wf_mapped")
    assert (await state(adapter, key, State.SUCCESS)).business_date is None
    steps = await adapter.steps(key)
    assert sorted(s.map_index for s in steps) == [0, 1, 2]
    assert b"worked on 2" in (await adapter.log(f"{key}#work.1", 1, None)).data
    prepared = await act(adapter, Verb.RERUN_FROM, f"{key}#work.1")
    assert prepared.effect == "1 task will run again: work[1]"
    await state(adapter, key, State.SUCCESS)
    tries = airflow3.get(f"/api/v2/dags/wf_mapped/dagRuns/{key.partition('/')[2]}/taskInstances")["task_instances"]
    assert {t["map_index"]: t["try_number"] for t in tries} == {0: 1, 1: 2, 2: 1}


@survives
async def test_same_action_twice_is_one_run(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    there = "/api/v2/dags/wf_mapped/dagRuns?limit=1"  # it has no schedule: no run but ours
    before = airflow3.get(there)["total_entries"]
    prepared = await adapter.prepare(Action(verb=Verb.START, key="af:wf_mapped", client_id=new_id()))
    results = [await adapter.send(prepared) for _ in range(3)]
    assert all(isinstance(r, Sent) for r in results), results
    assert airflow3.get(there)["total_entries"] == before + 1


@survives
async def test_follow_pause_resume_and_stop(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    await act(adapter, Verb.PAUSE, "af:wf_slow")
    assert airflow3.get("/api/v2/dags/wf_slow")["is_paused"] is True
    assert {p.name: p.mode for p in (await adapter.pipelines()).items}["wf_slow"] is Mode.PAUSED
    with pytest.raises(Conflict, match="already paused"):
        await adapter.prepare(Action(verb=Verb.PAUSE, key="af:wf_slow", client_id=new_id()))
    key = await started(adapter, "wf_slow")  # proved as "queued: the DAG is paused"
    assert airflow3.run_state("wf_slow", key.partition("/")[2]) == "queued"
    await act(adapter, Verb.RESUME, "af:wf_slow")
    assert airflow3.get("/api/v2/dags/wf_slow")["is_paused"] is False
    await until("load runs", lambda: _is(adapter, key, "load", State.RUNNING))
    assert key in {r.key for r in (await adapter.runs(None, active_only=True)).runs}

    text, cursor, growing, end = b"", None, 0, time.monotonic() + 150
    while growing < 3:
        assert time.monotonic() < end, f"the log does not grow: {text!r}"
        chunk = await adapter.log(f"{key}#load", 1, cursor)
        assert not chunk.end
        growing += bool(chunk.data)
        text, cursor = text + chunk.data, chunk.cursor
        await asyncio.sleep(0.6)
    prepared = await act(adapter, Verb.STOP, key)
    assert "1 task ends: load; 1 will not run" in prepared.effect
    assert airflow3.run_state("wf_slow", key.partition("/")[2]) == "failed"
    end = time.monotonic() + 150
    while True:
        assert time.monotonic() < end, f"the log does not end: {text!r}"
        chunk = await adapter.log(f"{key}#load", 1, cursor)
        text, cursor = text + chunk.data, chunk.cursor
        if chunk.end:
            break
        await asyncio.sleep(0.6)
    ticks = [line.rpartition(" ")[2] for line in text.decode().splitlines() if "task.stdout tick" in line]
    assert ticks == [str(n) for n in range(len(ticks))], "each line once, none missing"
    last = airflow3.get(
        f"/api/v2/dags/wf_slow/dagRuns/{key.partition('/')[2]}/taskInstances/load/logs/1?full_content=true"
    )["content"]
    assert f"tick {ticks[-1]}" == [r["event"] for r in last if r["event"].startswith("tick")][-1], "its last words too"


async def _is(adapter: AirflowAdapter, run: str, step: str, wanted: State) -> bool:
    return any(s.step == step and s.state is wanted for s in await adapter.steps(run))


@survives
async def test_a_paused_dag_starts_no_further_tasks(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    """What the plan of ``pause`` says of active runs."""
    airflow3.hold.touch()
    try:
        key = await started(adapter, "wf_slow")
        await until("prepare runs", lambda: _is(adapter, key, "prepare", State.RUNNING))
        await act(adapter, Verb.PAUSE, "af:wf_slow")
    finally:
        airflow3.hold.unlink()
    await until("prepare is done", lambda: _is(adapter, key, "prepare", State.SUCCESS))
    beats = airflow3.get("/api/v2/monitor/health")["scheduler"]["latest_scheduler_heartbeat"]
    await asyncio.to_thread(
        airflow3.wait,
        "the scheduler has gone round again",
        lambda: airflow3.get("/api/v2/monitor/health")["scheduler"]["latest_scheduler_heartbeat"] > beats,
    )
    load = [s for s in await adapter.steps(key) if s.step == "load"]
    waiting = not load or load[-1].state is State.QUEUED
    await act(adapter, Verb.STOP, key)
    await act(adapter, Verb.RESUME, "af:wf_slow")
    assert waiting, load
