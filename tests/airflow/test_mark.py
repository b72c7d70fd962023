"""A run or a task declared success or failed: the exact calls, the dry run first, what is refused, what is proved."""

from __future__ import annotations

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Done, NotDone, NotSent, Sent, Unknown
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.model import Verb
from tests.airflow.world import action
from tests.servers.airflow_like import AirflowLike


async def test_a_failed_run_is_declared_a_success(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.MARK, "af:daily/bad", params={"as": "success"}))
    (call,) = prepared.calls
    where = f"{like.url}/api/v2/dags/daily/dagRuns/bad?update_mask=state"
    assert (call.method, call.target, call.body) == ("PATCH", where, {"state": "success"})
    assert prepared.effect == "the run is declared success; it was failed"
    assert prepared.undo == "mark it failed again"
    assert not like.effects
    assert await adapter.reconcile(prepared) == NotDone("the run is still failed")
    assert await adapter.send(prepared) == Sent("Airflow answers: success", "af:daily/bad")
    assert await adapter.reconcile(prepared) == Done("the run is success", "af:daily/bad")
    assert [e.what for e in like.effects] == ["set-success"]


async def test_a_run_at_work_is_declared_a_success_with_what_it_cuts_off(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    like.add_run("daily", "now")
    prepared = await adapter.prepare(action(Verb.MARK, "af:daily/now", params={"as": "success"}))
    assert prepared.effect == "the running run is declared success (1 task cut off: extract; 3 skipped)"
    assert "10 s" in prepared.note


async def test_a_task_is_tried_dry_first(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "bad", state="failed", failed_at="extract")
    prepared = await adapter.prepare(action(Verb.MARK, "af:daily/bad#extract", params={"as": "success"}))
    (call,) = prepared.calls
    where = f"{like.url}/api/v2/dags/daily/dagRuns/bad/taskInstances/extract?update_mask=new_state"
    assert (call.method, call.target, call.body) == ("PATCH", where, {"new_state": "success"})
    assert [r.path for r in like.requests if r.method == "PATCH"] == [
        "/api/v2/dags/daily/dagRuns/bad/taskInstances/extract/dry_run"
    ]
    assert prepared.effect == "1 task declared success: extract; it was failed"
    assert "runs again" in prepared.note
    assert not like.effects
    assert isinstance(await adapter.send(prepared), Sent)
    assert await adapter.reconcile(prepared) == Done("task extract is success", "af:daily/bad")
    assert like.runs[("daily", "bad")].state == "queued", "as Airflow does: what was cut off runs again"


async def test_one_of_a_mapped_task_and_no_other(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "ok", state="success")
    prepared = await adapter.prepare(action(Verb.MARK, "af:daily/ok#load.1", params={"as": "failed"}))
    assert "/taskInstances/load/1?update_mask=new_state" in prepared.calls[0].target
    assert prepared.effect == "1 task declared failed: load[1]; it was success"
    await adapter.send(prepared)
    assert [t.state for t in like.runs[("daily", "ok")].tasks] == ["success", "success", "failed", "success"]
    assert isinstance(await adapter.reconcile(prepared), Done)


@pytest.mark.parametrize(
    ("key", "word", "kind", "said"),
    [
        ("af:daily/ok", None, Conflict, "mark needs as = success or failed"),
        ("af:daily/ok", "skipped", Conflict, "mark needs as = success or failed, not 'skipped'"),
        ("af:daily/ok", "success", Conflict, "the run is already success"),
        ("af:daily/ok#extract", "success", Conflict, "task extract is already success"),
        ("af:daily/now", "failed", Conflict, "the run is still running: stop is what ends it"),
        ("af:daily/nope", "failed", NotFound, "404"),
        ("af:daily/ok#nope", "failed", NotFound, "404"),
        ("af:daily", "failed", Unsupported, "needs one of its runs"),
    ],
)
async def test_what_is_refused_in_words(
    like: AirflowLike, adapter: AirflowAdapter, key: str, word: str | None, kind: type, said: str
) -> None:
    like.add_run("daily", "ok", state="success")
    like.add_run("daily", "now")
    params = {} if word is None else {"as": word}
    with pytest.raises(kind) as refused:
        await adapter.prepare(action(Verb.MARK, key, params=params))
    assert said in refused.value.what
    with pytest.raises(Conflict, match="mark has no parameter 'note'"):
        await adapter.prepare(action(Verb.MARK, "af:daily/now", params={"as": "success", "note": "x"}))
    assert not like.effects


@pytest.mark.parametrize("key", ["af:daily/bad", "af:daily/bad#report"])
async def test_a_lost_answer_is_read_from_the_world(like: AirflowLike, adapter: AirflowAdapter, key: str) -> None:
    like.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.MARK, key, params={"as": "success"}))
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert isinstance(await adapter.reconcile(prepared), Done)
    assert len(like.effects) == 1


@pytest.mark.parametrize("key", ["af:daily/bad", "af:daily/bad#report"])
async def test_200_that_changes_nothing_is_not_done(like: AirflowLike, adapter: AirflowAdapter, key: str) -> None:
    like.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.MARK, key, params={"as": "success"}))
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    assert isinstance(await adapter.reconcile(prepared), NotDone)


async def test_a_task_that_is_gone_meanwhile_is_not_marked(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.MARK, "af:daily/bad#report", params={"as": "success"}))
    del like.runs[("daily", "bad")]
    assert isinstance(await adapter.send(prepared), NotSent)
    assert (await adapter.reconcile(prepared)).final  # type: ignore[union-attr]
