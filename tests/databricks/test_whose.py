"""After a lost answer: what is ours, what is somebody else's, and what only a person can tell. Asking has no effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.base import Done, NotDone, Prepared, Reconciled, Sent, Several, Unknown
from adapters.databricks import DatabricksAdapter
from adapters.model import Verb
from tests.databricks.reading_parts import drain, key
from tests.databricks.world import action, settings
from tests.servers.databricks_like import DatabricksLike


async def lost(like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb, of: str) -> Prepared:
    """Planned, sent, and the connection dropped: nothing was done, and nobody here knows."""
    prepared = await adapter.prepare(action(verb, of))
    like.fault = "reset"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert not like.effects
    return prepared


async def asked(like: DatabricksLike, adapter: DatabricksAdapter, prepared: Prepared) -> Reconciled:
    """The same here and after a restart, with reads only."""
    before = len(like.requests)
    here = await adapter.reconcile(prepared)
    fresh = DatabricksAdapter(settings(like))
    assert await fresh.reconcile(prepared) == here
    await fresh.close()
    assert {r.method for r in like.requests[before:]} == {"GET"}
    return here


async def test_a_colleague_s_run_is_not_ours(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    prepared = await lost(like, adapter, Verb.START, key(job))
    like.add_run(job, trigger="ONE_TIME", creator="bea@example.com")
    found = await asked(like, adapter, prepared)
    assert isinstance(found, NotDone)
    assert "somebody else started one" in found.words
    assert not found.begun


async def test_the_only_one_of_our_own_identity_is(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    prepared = await lost(like, adapter, Verb.START, key(job))
    like.add_run(job, trigger="ONE_TIME", creator="bea@example.com")
    ours = like.add_run(job, trigger="ONE_TIME", creator=like.me)
    found = await asked(like, adapter, prepared)
    assert isinstance(found, Done)
    assert found.run == key(job, ours)


@pytest.mark.parametrize("why", ["no identity", "no name", "begun before"])
async def test_the_only_one_is_a_person_s_to_tell_where_it_is_not_proved(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int, why: str
) -> None:
    like.forbid = lambda method, path: path.endswith("/Me") and why == "no identity"
    prepared = await lost(like, adapter, Verb.START, key(job))
    creator = "" if why == "no name" else like.me
    run = like.add_run(job, trigger="ONE_TIME", creator=creator, ago_s=3 if why == "begun before" else -1)
    found = await asked(like, adapter, prepared)
    assert isinstance(found, Several)
    assert found.runs == (key(job, run),)
    assert "does not tell" in found.words


async def test_a_run_of_its_schedule_is_nobody_s(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    prepared = await lost(like, adapter, Verb.START, key(job))
    like.add_run(job, creator=like.me)
    assert isinstance(await asked(like, adapter, prepared), NotDone)


async def test_a_repair_has_no_name(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    prepared = await lost(like, adapter, Verb.RERUN_FAILED, key(job, run))
    assert isinstance(await asked(like, adapter, prepared), NotDone)
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    found = await asked(like, adapter, prepared)
    assert isinstance(found, Several)
    assert found.runs == (key(job, run),)
    assert "who asked for it" in found.words
    for item in like.runs[run].repairs[1:]:
        like.runs[run].repairs.remove(item)  # the history is not told: its tasks began anew all the same
    assert isinstance(await asked(like, adapter, prepared), Several)


async def test_the_repair_that_was_answered_with_and_no_other(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run)))
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    like.fault = None
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone), "it shows another one"
    other = like.add_run(job, "TERMINATED", "FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, other), client_id="b"))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    ours = like.runs[other].repairs[-1]["id"]
    like.end(other, "FAILED")
    like._repair({"run_id": other, "rerun_all_failed_tasks": True, "latest_repair_id": ours}, False)
    for where, what in ((adapter, prepared), (DatabricksAdapter(settings(like)), replace(prepared, answered=sent.run))):
        found = await where.reconcile(what)
        assert isinstance(found, Done)
        assert f"repair {ours} is there" in found.words
    await where.close()


async def test_what_a_pipeline_s_person_or_job_starts_is_not_ours(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    pipe = like.add_pipe("silver")
    of = f"db:pipeline.{pipe}"
    prepared = await lost(like, adapter, Verb.START, of)
    for cause in ("USER_ACTION", "JOB_TASK", "RETRY_ON_FAILURE"):
        like.add_update(pipe, "COMPLETED", cause=cause)
    assert isinstance(await asked(like, adapter, prepared), NotDone)
    other = like.add_update(pipe, "RUNNING", cause="API_CALL")
    found = await asked(like, adapter, prepared)
    assert isinstance(found, Several)
    assert found.runs == (f"{of}/{other}",)


async def test_a_listing_of_older_runs_that_is_forgotten_begins_anew(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    job = like.add_job("busy", tasks=("a",))
    for i in range(100):
        like.add_run(job, "TERMINATED", "SUCCESS", ago_s=200 - i)
    _, cursor = await drain(adapter)
    _, cursor = await drain(adapter, cursor)
    assert cursor
    broken = cursor.replace('"late":{"token":"', '"late":{"token":"AAAA')
    assert broken != cursor
    late = like.add_run(job, "TERMINATED", "FAILED", ago_s=150)
    found: set[str] = set()
    for _ in range(12):
        seen, broken = await drain(adapter, broken)
        assert broken
        found |= seen.keys()
    assert key(job, late) in found
