"""Backfills and marks through the acting room: planned with their dates, sent once, proved, and refused in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState
from engine.request import RequestError
from engine.store import actions as rows
from tests.actions.conftest import ME, REASON
from tests.actions.test_airflow_acts import Room
from tests.servers.airflow_like import AirflowLike


class More(Room):
    async def plan(self, verb: str, key: str, **params: Any) -> dict[str, Any]:
        return await self.actions.plan({"verb": verb, "key": f"{self.source}:{key}", "params": params}, ME)

    async def do(
        self, verb: str, key: str, *, times: int = 1, fault: str | None = None, **params: Any
    ) -> rows.ActionRecord:
        plan = await self.plan(verb, key, **params)
        assert plan["blocked"] is None, plan["blocked"]
        body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
        self.server.fault = fault
        answers = await asyncio.gather(*(self.actions.act(body, ME) for _ in range(times)))
        (action,) = {a["action"] for a in answers}
        if fault is not None:
            await asyncio.sleep(0.1)
            self.server.fault = None
        async with asyncio.timeout(30):
            while self.actions.busy and self.record(action).ended is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.record(action)

    def effects(self) -> list[str]:
        return [e.what for e in self.server.effects]

    @property
    def days(self) -> dict[str, str]:
        day = self.server.now().date()
        return {"from": (day - timedelta(days=4)).isoformat(), "to": (day - timedelta(days=2)).isoformat()}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[More]:
    with AirflowLike() as server:
        server.add_dag("daily", tasks=("extract", "load"))
        found = More(tmp_path, server)
        yield found
        await found.actions.close()
        await found.adapter.close()
        found.store.close()


async def test_a_backfill_from_plan_to_proof_then_paused_resumed_and_cancelled(room: More) -> None:
    plan = await room.plan("backfill", "daily", **room.days)
    assert plan["blocked"] is None
    assert f"{room.days['from']} to {room.days['to']}" in str(plan)
    assert room.effects() == []
    record = await room.do("backfill", "daily", times=5, **room.days)
    assert (record.state, record.scope) == (ActionState.DONE, "af:daily")
    assert record.words == "backfill 1 is there with 3 of 3 runs"
    for verb, words in (
        ("backfill-pause", "backfill 1 is paused"),
        ("backfill-resume", "backfill 1 is running"),
        ("backfill-cancel", "backfill 1 is over"),
    ):
        record = await room.do(verb, "daily", id="1")
        assert (record.state, record.words, record.scope) == (ActionState.DONE, words, "af:daily")
    assert room.effects() == ["backfill", "backfill-pause", "backfill-unpause", "backfill-cancel"]


async def test_a_verb_of_the_pipeline_on_one_of_its_runs_means_the_pipeline(room: More) -> None:
    room.server.add_run("daily", "r1")
    record = await room.do("backfill", "daily/r1", **room.days)
    assert (record.key, record.scope) == ("af:daily", "af:daily")


@pytest.mark.parametrize("fault", ["lost", "lost-500"])
async def test_a_lost_answer_is_reconciled_and_never_a_second_effect(room: More, fault: str) -> None:
    record = await room.do("backfill", "daily", fault=fault, **room.days)
    assert record.state is ActionState.RECONCILED_DONE
    record = await room.do("backfill-pause", "daily", fault=fault)
    assert record.state is ActionState.RECONCILED_DONE
    room.server.add_run("daily", "bad", state="failed")
    record = await room.do("mark", "daily/bad", fault=fault, **{"as": "success"})
    assert record.state is ActionState.RECONCILED_DONE
    assert room.effects() == ["backfill", "backfill-pause", "set-success"]


async def test_what_makes_no_sense_is_blocked_in_the_plan_with_its_sentence(room: More) -> None:
    for verb, key, params, words in (
        ("backfill", "daily", {}, "backfill needs from"),
        ("backfill-cancel", "daily", {}, "no backfill of daily is running"),
        ("backfill", "daily", {"from": "2020-01-01", "to": "2021-12-31"}, "at most 400 runs at once"),
    ):
        plan = await room.plan(verb, key, **params)
        assert plan["blocked"] is not None
        assert words in plan["blocked"]
    await room.do("backfill", "daily", **room.days)
    plan = await room.plan("backfill", "daily", **room.days)
    assert "backfill 1 of daily" in str(plan["blocked"])
    assert "cancel it first" in str(plan["blocked"])


async def test_a_mark_is_of_its_run_and_refused_where_the_run_is_at_work(room: More) -> None:
    room.server.add_run("daily", "bad", state="failed", failed_at="extract")
    room.server.add_run("daily", "now")
    record = await room.do("mark", "daily/bad#extract", **{"as": "success"})
    assert (record.state, record.scope, record.key) == (ActionState.DONE, "af:daily/bad", "af:daily/bad#extract")
    plan = await room.plan("mark", "daily/now", **{"as": "failed"})
    assert "the run is still running: stop is what ends it" in str(plan["blocked"])
    plan = await room.plan("mark", "daily/bad")
    assert "mark needs as = success or failed" in str(plan["blocked"])
    with pytest.raises(RequestError):
        await room.plan("mark", "daily/nope", **{"as": "failed"})
    assert room.effects() == ["mark-success"]


async def test_a_mark_that_changed_nothing_is_not_called_done(room: More) -> None:
    room.server.add_run("daily", "bad", state="failed")
    plan = await room.plan("mark", "daily/bad", **{"as": "success"})
    body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
    room.server.fault = "noop"
    answer = await room.actions.act(body, ME)
    async with asyncio.timeout(30):
        while room.record(answer["action"]).ended is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert room.record(answer["action"]).state is ActionState.VERIFY_TIMEOUT
