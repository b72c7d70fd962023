"""What an Airflow 3.3.2 has beside runs, and backfills and marks on it; what happened is asked with the test's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Action, Done, NotSent, Sent, Unknown
from adapters.errors import Conflict, Forbidden, Unreachable
from adapters.extras import Asset, Operation, SourceItem, Standing
from adapters.model import State, Verb
from tests.real.airflow_server import Airflow3, airflow3, survives
from tests.real.test_airflow_adapter import act, adapter_for, new_id, until

__all__ = ["airflow3"]  # the fixture
pytestmark = pytest.mark.real

DAGS = '''
"""Assets, and a schedule to fill back."""
import time
from airflow.sdk import Asset, dag, task

orders = Asset("wf_orders", uri="s3://lake/orders", group="lake")

@dag(schedule=None, tags=["wf"])
def wf_maker():
    @task(outlets=[orders])
    def make():
        print("made")
    make()

@dag(schedule=[orders], tags=["wf"])
def wf_taker():
    @task
    def take():
        print("taken")
    take()

@dag(schedule="0 3 * * *", catchup=False, tags=["wf"])
def wf_fill():
    @task
    def slow():
        time.sleep(20)
    slow()

wf_maker(); wf_taker(); wf_fill()
'''
VARYING = '''
"""A DAG that is another one each time Airflow reads it."""
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime.now(), tags=["wf"])
def wf_varying():
    @task
    def nothing():
        pass
    nothing()

wf_varying()
'''
BROKEN = '"""A dag for airflow that cannot be read."""\nimport nonexistent_module_xyz\n'


@pytest.fixture
async def adapter(airflow3: Airflow3) -> AsyncIterator[AirflowAdapter]:
    """On the server with DAGs of these tests parsed."""
    (airflow3.dags / "wf_parts.py").write_text(DAGS)
    (airflow3.dags / "wf_broken.py").write_text(BROKEN)
    (airflow3.dags / "wf_varying.py").write_text(VARYING)
    names = {"wf_maker", "wf_taker", "wf_fill", "wf_varying"}
    airflow3.wait(
        "the DAGs are parsed", lambda: names <= {d["dag_id"] for d in airflow3.get("/api/v2/dags?limit=100")["dags"]}
    )
    one = adapter_for(airflow3)
    yield one
    await one.close()


async def item(adapter: AirflowAdapter, kind: str, word: str) -> SourceItem:
    async def there() -> SourceItem | None:
        return next((i for i in await adapter.items() if i.kind == kind and word in i.name), None)

    return await until(f"{kind} {word}", there)


@survives
async def test_components_pools_import_errors_and_warnings(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    scheduler = await item(adapter, "component", "scheduler")
    assert scheduler.standing is Standing.FINE
    assert scheduler.value is not None
    assert 0 <= scheduler.value < 60
    assert {i.name for i in await adapter.items() if i.kind == "component"} == {
        "scheduler", "metadata database", "DAG processor", "triggerer",
    }  # fmt: skip
    pool = await item(adapter, "pool", "default_pool")
    assert pool.limit == 128
    broken = await item(adapter, "import-error", "wf_broken.py")
    assert broken.words == "ModuleNotFoundError: No module named 'nonexistent_module_xyz'"
    assert broken.text.startswith("Traceback (most recent call last):")
    assert broken.since is not None
    warning = await item(adapter, "warning", "wf_varying")
    assert (warning.key, warning.standing) == ("af:wf_varying", Standing.WARNING)
    assert warning.words == "This Dag uses runtime-variable values in Dag construction."
    assert "datetime.now()" in warning.text


@survives
async def test_an_asset_has_its_event_who_made_it_and_who_waits(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    run = f"wf_{new_id()}"
    airflow3.trigger("wf_maker", run)

    async def made() -> Asset | None:
        try:
            found = next((a for a in await adapter.assets() if a.name == "wf_orders"), None)
        except Unreachable:  # a busy server on SQLite: nothing is known by it
            return None
        return found if found is not None and found.event_by == f"af:wf_maker/{run}" else None

    orders = await until("the asset's event", made)
    assert (orders.uri, orders.group) == ("s3://lake/orders", "lake")
    assert (orders.producers, orders.consumers) == (("af:wf_maker",), ("af:wf_taker",))
    assert orders.last_event is not None
    assert abs(orders.last_event / 1000 - datetime.now(UTC).timestamp()) < 120


def days(first: int, last: int) -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"from": (today - timedelta(days=first)).isoformat(), "to": (today - timedelta(days=last)).isoformat()}


async def done(adapter: AirflowAdapter, verb: Verb, **params: Any) -> None:
    """Prepared, sent, proved. Where the server's SQLite was locked that is not known to have happened, as the adapter says; where
    the world shows that it has not, it is planned and sent again."""
    for _ in range(6):
        prepared = await adapter.prepare(Action(verb=verb, key="af:wf_fill", client_id=new_id(), params=params))
        assert not isinstance(await adapter.reconcile(prepared), Done)
        sent = await adapter.send(prepared)
        assert isinstance(sent, Sent) or "atabase" in sent.words, sent
        for _ in range(20 if isinstance(sent, Sent) else 6):
            if isinstance(await adapter.reconcile(prepared), Done):
                return
            await asyncio.sleep(0.5)
        assert isinstance(sent, Unknown), "said done, and is not"
    raise AssertionError(f"{verb}: the server's database was locked six times")


async def operation(adapter: AirflowAdapter, *states: State) -> Operation:
    async def there() -> Operation | None:
        found = [o for o in await adapter.operations(["af:wf_fill"]) if o.pipeline == "af:wf_fill"]
        newest = max(found, key=lambda o: int(o.id), default=None)
        return newest if newest is not None and newest.state in states else None

    return await until(f"a backfill is {states}", there)


@survives
async def test_a_backfill_is_planned_made_paused_resumed_and_cancelled(
    airflow3: Airflow3, adapter: AirflowAdapter
) -> None:
    for one in airflow3.get("/api/v2/backfills?dag_id=wf_fill")["backfills"]:  # of a try that the server died under
        if one["completed_at"] is None:
            airflow3._call("PUT", f"/api/v2/backfills/{one['id']}/cancel")
    before = {b["id"] for b in airflow3.get("/api/v2/backfills?dag_id=wf_fill")["backfills"]}
    span = days(9 + 4 * len(before), 6 + 4 * len(before))
    planned = await adapter.prepare(Action(verb=Verb.BACKFILL, key="af:wf_fill", client_id=new_id(), params=span))
    assert planned.effect == f"4 runs of wf_fill from {span['from']} to {span['to']}"
    assert f"{span['from']} to {span['to']}" in planned.note
    assert {b["id"] for b in airflow3.get("/api/v2/backfills?dag_id=wf_fill")["backfills"]} == before, (
        "a plan makes nothing"
    )

    await done(adapter, Verb.BACKFILL, **span)
    (ident,) = {b["id"] for b in airflow3.get("/api/v2/backfills?dag_id=wf_fill")["backfills"]} - before
    running = await operation(adapter, State.RUNNING)
    assert (running.id, running.first, running.last, running.planned) == (str(ident), span["from"], span["to"], 4)
    again = Action(verb=Verb.BACKFILL, key="af:wf_fill", client_id=new_id(), params=span)
    with pytest.raises(Conflict, match=f"backfill {ident} of wf_fill"):
        await adapter.prepare(again)
    assert isinstance(await adapter.send(planned), NotSent), "what was planned before is refused by the server now"

    await done(adapter, Verb.BACKFILL_PAUSE)
    assert airflow3.get(f"/api/v2/backfills/{ident}")["is_paused"] is True
    assert (await operation(adapter, State.HELD)).id == str(ident)
    await done(adapter, Verb.BACKFILL_RESUME, id=str(ident))
    assert airflow3.get(f"/api/v2/backfills/{ident}")["is_paused"] is False
    await done(adapter, Verb.BACKFILL_CANCEL)
    assert airflow3.get(f"/api/v2/backfills/{ident}")["completed_at"] is not None
    stopped = await operation(adapter, State.STOPPED)
    assert stopped.failed
    with pytest.raises(Conflict, match="no backfill of wf_fill is running"):
        await adapter.prepare(Action(verb=Verb.BACKFILL_CANCEL, key="af:wf_fill", client_id=new_id()))
    ours = [r for r in (await adapter.history("af:wf_fill")) if r.state is State.FAILED]
    assert ours
    assert all(r.ended is None for r in ours), "what a cancel left failed never ended: by that it is known as our doing"


@survives
async def test_a_schedule_without_ticks_and_a_viewer_are_refused_in_words(
    airflow3: Airflow3, adapter: AirflowAdapter
) -> None:
    with pytest.raises(Conflict, match="does not support backfills"):
        await adapter.prepare(Action(verb=Verb.BACKFILL, key="af:wf_maker", client_id=new_id(), params=days(3, 2)))
    with pytest.raises(Conflict, match="Backfill cannot be executed for future dates"):
        await adapter.prepare(Action(verb=Verb.BACKFILL, key="af:wf_fill", client_id=new_id(), params=days(-3, -4)))
    viewer = adapter_for(airflow3, "viewer")
    with pytest.raises(Forbidden):
        await viewer.prepare(Action(verb=Verb.BACKFILL, key="af:wf_fill", client_id=new_id(), params=days(3, 2)))
    assert await viewer.items()
    await viewer.close()


@survives
async def test_a_failed_task_and_then_its_run_are_marked(airflow3: Airflow3, adapter: AirflowAdapter) -> None:
    airflow3.flag.unlink(missing_ok=True)
    run = f"wf_{new_id()}"
    airflow3.trigger("wf_fail", run)
    airflow3.wait("the run has failed", lambda: airflow3.run_state("wf_fail", run) == "failed")
    await act(adapter, Verb.MARK, f"af:wf_fail/{run}", params={"as": "success"})
    assert airflow3.run_state("wf_fail", run) == "success"
    with pytest.raises(Conflict, match="already success"):
        await adapter.prepare(_mark(f"af:wf_fail/{run}", "success"))
    await act(adapter, Verb.MARK, f"af:wf_fail/{run}", params={"as": "failed"})
    prepared = await adapter.prepare(_mark(f"af:wf_fail/{run}#load", "success"))
    assert prepared.effect == "1 task declared success: load; it was failed"
    assert isinstance(await adapter.send(prepared), Sent)
    await asyncio.sleep(0)
    assert isinstance(await adapter.reconcile(prepared), Done)
    where = f"/api/v2/dags/wf_fail/dagRuns/{run}/taskInstances"
    assert airflow3.get(f"{where}/load")["state"] == "success"
    airflow3.wait("what was cut off after it runs", lambda: airflow3.get(f"{where}/report")["state"] == "success")


def _mark(key: str, word: str) -> Action:
    params: dict[str, Any] = {"as": word}
    return Action(verb=Verb.MARK, key=key, client_id=new_id(), params=params)
