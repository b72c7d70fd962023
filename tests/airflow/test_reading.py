"""Tokens, the source as a whole, runs, steps and logs of Airflow."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from adapters.airflow import AirflowAdapter
from adapters.airflow.wire import (
    TASK_STATES,
)
from adapters.base import NotSent, Secret, Sent
from adapters.errors import AuthFailed, NotFound, Unsupported
from adapters.model import State, Verb
from tests.airflow.world import action, mints, settings
from tests.servers.airflow_like import AirflowLike

# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_one_token_for_many_requests(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await asyncio.gather(*(adapter.pipelines() for _ in range(5)))
    assert mints(like) == 1
    like.expire_tokens()  # 401 Token Expired
    await asyncio.gather(*(adapter.pipelines() for _ in range(5)))
    assert mints(like) == 2
    like.spoil_tokens()  # 403 Invalid JWT token
    await adapter.pipelines()
    assert mints(like) == 3


async def test_a_refused_token_is_renewed_exactly_once(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await adapter.pipelines()
    like.fault = "401"
    with pytest.raises(AuthFailed):
        await adapter.read("af:daily")
    assert mints(like) == 2
    assert sum(r.path == "/api/v2/dags/daily" for r in like.requests) == 2


async def test_no_permission_is_no_reason_for_a_new_token(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.forbid = lambda method, path: method == "PATCH"
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "Forbidden" in sent.words
    assert mints(like) == 1


async def test_an_action_with_an_expired_token_happens_once(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "af:daily"))
    like.expire_tokens()
    assert isinstance(await adapter.send(prepared), Sent)
    assert [e.what for e in like.effects] == ["trigger"]


async def test_wrong_password(like: AirflowLike) -> None:
    auth = {"user": "ops", "password": Secret(lambda: "not-the-password", "env:X")}
    adapter = AirflowAdapter(settings(like, auth=auth))
    with pytest.raises(AuthFailed, match="does not accept the password of user 'ops'") as caught:
        await adapter.pipelines()
    assert "not-the-password" not in str(caught.value)
    await adapter.close()


async def test_a_token_that_was_given(like: AirflowLike) -> None:
    token = like.mint({"username": like.user, "password": like.password})[1]["access_token"]
    adapter = AirflowAdapter(settings(like, auth={"token": Secret(lambda: token, "env:T")}))
    assert len((await adapter.pipelines()).items) == 1
    assert (await adapter.probe()).identity == "ops"
    like.expire_tokens()
    with pytest.raises(AuthFailed, match="Token Expired"):
        await adapter.pipelines()
    assert mints(like) == 0
    await adapter.close()


async def test_a_credential_that_cannot_be_read(like: AirflowLike) -> None:
    def get() -> str:
        raise KeyError("the secret was pa55")

    adapter = AirflowAdapter(settings(like, auth={"user": "ops", "password": Secret(get, "cmd:vault")}))
    with pytest.raises(AuthFailed, match="cannot be read from cmd:vault") as caught:
        await adapter.pipelines()
    assert caught.value.__context__ is None
    await adapter.close()


async def test_no_token_to_be_had_means_not_sent(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    fresh = AirflowAdapter(settings(like))
    like.fault_on = lambda method, path: path == "/auth/token"
    for fault in ("hang", "500", "html", "truncated", "down"):
        like.fault = fault
        assert isinstance(await fresh.send(prepared), NotSent), fault
        like.fault = None
    assert not like.effects
    await fresh.close()


# --- the source -------------------------------------------------------------------------------------------------------


async def test_a_dead_scheduler_is_a_note_not_an_error(like: AirflowLike, adapter: AirflowAdapter) -> None:
    assert (await adapter.pipelines()).complete
    assert adapter.notes == ()
    like.fault = "scheduler-dead"
    assert (await adapter.pipelines()).complete
    assert adapter.notes == ("Airflow's scheduler is unhealthy: no run starts or moves on",)
    assert adapter.notes[0] in (await adapter.probe()).warnings
    like.fault = None
    await adapter.pipelines()
    assert adapter.notes == ()


async def test_viewer_is_told_before_trying(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.role = "viewer"
    assert (await adapter.probe()).permissions["stop"] is False


async def test_include_is_kept_everywhere(like: AirflowLike) -> None:
    like.add_dag("other")
    like.add_run("daily", "r1")
    like.add_run("other", "r1")
    adapter = AirflowAdapter(settings(like, include=("da*",)))
    assert [p.key for p in (await adapter.pipelines()).items] == ["af:daily"]
    assert {r.key for r in (await adapter.runs(None)).runs} == {"af:daily/r1"}
    await adapter.close()


@pytest.mark.parametrize(
    "options", [{"timeuot": 3}, {"read_timeout": "soon"}, {"read_timeout": 0}, {"read_timeout": True}]
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with AirflowLike() as like, pytest.raises(Unsupported, match="option"):
        AirflowAdapter(settings(like, options=options))


async def test_strange_names_survive(like: AirflowLike, adapter: AirflowAdapter) -> None:
    run = "scheduled__2026-11-21T03:00:00+00:00/a #1 ü"
    like.add_dag("dag.with é")
    like.add_run("dag.with é", run, state="failed")
    (found,) = (await adapter.runs(None)).runs
    assert (await adapter.read(found.key)) == (await adapter.read(found.key))
    assert len(await adapter.steps(found.key)) == 3
    assert isinstance(await adapter.send(await adapter.prepare(action(Verb.RERUN, found.key))), Sent)
    assert like.effects[-1].run_id == run


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_a_poll_without_news_is_two_requests(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "r1")
    cursor = (await adapter.runs(None)).cursor
    before = len(like.requests)
    await adapter.runs(cursor)
    asked = like.requests[before:]
    assert len(asked) == 2
    assert asked[0].query["state"] == ["running", "queued"]
    assert {"updated_at_gte", "run_after_gte"} <= asked[1].query.keys()


async def test_an_old_cleared_run_is_seen_to_its_end(like: AirflowLike, adapter: AirflowAdapter) -> None:
    """The look at changes is bounded to recent runs; this one is not recent."""
    like.add_run("daily", "old", run_after=like.now() - timedelta(days=10))
    page = await adapter.runs(None)
    assert [r.key for r in page.runs] == ["af:daily/old"]
    like.set_run("daily", "old", "success")
    page = await adapter.runs(page.cursor)
    assert [(r.key, r.state) for r in page.runs] == [("af:daily/old", State.SUCCESS)]
    page = await adapter.runs(page.cursor)
    assert not page.runs


async def test_a_long_sweep_goes_on_where_it_stopped(
    like: AirflowLike, adapter: AirflowAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.airflow.adapter.PAGES_A_CALL", 2)
    for i in range(530):
        like.add_run("daily", f"r{i}", state="success", ran_s=60.0 + i)
    page = await adapter.runs(None)
    assert not page.complete
    assert len(page.runs) == 200
    keys = {r.key for r in page.runs}
    for i in range(30):  # new ones come in at the front meanwhile
        like.add_run("daily", f"new{i}", state="success", ran_s=1.0)
    while not page.complete:
        page = await adapter.runs(page.cursor)
        keys |= {r.key for r in page.runs}
    page = await adapter.runs(page.cursor)
    assert len(keys | {r.key for r in page.runs}) == 560


async def test_why_a_run_failed(like: AirflowLike, adapter: AirflowAdapter) -> None:
    for n in (1, 2):
        like.add_run("daily", f"r{n}")
    cursor = (await adapter.runs(None)).cursor
    like.set_task("daily", "r1", "extract", state="failed", end=like.now())
    like.set_run("daily", "r1", "failed")
    like.set_task("daily", "r2", "load", 1, state="failed", end=like.now())
    like.set_run("daily", "r2", "failed")
    page = await adapter.runs(cursor)
    errors = {r.key: r.error for r in page.runs}
    assert errors == {"af:daily/r1": "task extract failed", "af:daily/r2": "task load[1] failed"}
    before = len(like.requests)
    again = await adapter.runs(cursor)
    assert {r.key: r.error for r in again.runs} == errors
    assert len(like.requests) - before == 2, "and it is not asked again"


# --- steps ------------------------------------------------------------------------------------------------------------


def test_every_task_state_of_airflow_is_known() -> None:
    known = (
        "none scheduled queued running restarting deferred up_for_retry up_for_reschedule awaiting_input success failed "
        "upstream_failed skipped removed"
    )
    assert set(TASK_STATES) == set(known.split())
    assert {w for w, (s, _) in TASK_STATES.items() if s is State.SUCCESS} == {"success"}


async def test_steps_in_the_order_they_started(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "r1", state="queued")
    for _ in range(5):
        like.tick()
    steps = await adapter.steps("af:daily/r1")
    assert [(s.step, s.map_index, s.state) for s in steps] == [
        ("extract", -1, State.SUCCESS),
        ("load", 0, State.SUCCESS),
        ("load", 1, State.SUCCESS),
        ("report", -1, State.QUEUED),
    ]
    assert [s.order for s in steps] == [0, 1, 2, 3]
    assert steps[-1].native == "none"
    assert steps[-1].started is None


async def test_tries_are_kept_apart(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_dag("flaky", tasks=("a", "b"), fails={"b"}, retries=1)
    like.add_run("flaky", "r1", state="queued")
    for _ in range(5):
        like.tick()
    tries = [(s.step, s.attempt, s.state) for s in await adapter.steps("af:flaky/r1")]
    assert tries == [("a", 1, State.SUCCESS), ("b", 1, State.RETRYING)]
    like.tick()
    tries = [(s.step, s.attempt, s.state) for s in await adapter.steps("af:flaky/r1")]
    assert tries == [("a", 1, State.SUCCESS), ("b", 1, State.FAILED), ("b", 2, State.RUNNING)]
    before = sum(r.path.endswith("/tries") for r in like.requests)
    await adapter.steps("af:flaky/r1")
    assert sum(r.path.endswith("/tries") for r in like.requests) == before, "what is past is not asked again"


async def test_a_cleared_step_waits_as_its_next_try(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "r1", state="failed")
    await adapter.send(await adapter.prepare(action(Verb.RERUN_FAILED, "af:daily/r1")))
    report = [s for s in await adapter.steps("af:daily/r1") if s.step == "report"]
    assert [(s.attempt, s.state, s.ended is None) for s in report] == [
        (1, State.FAILED, False),
        (2, State.QUEUED, True),
    ]


# --- logs -------------------------------------------------------------------------------------------------------------


async def test_every_line_once_also_when_the_server_forgets_its_token(
    like: AirflowLike, adapter: AirflowAdapter
) -> None:
    like.add_run("daily", "r1")
    step = "af:daily/r1#extract"
    like.append_log("daily", "r1", "extract", "one")
    text, cursor = b"", None
    chunk = await adapter.log(step, 1, cursor)
    text, cursor = text + chunk.data, chunk.cursor
    known = json.loads(cursor or "")
    cursor = json.dumps(known | {"token": "signed-with-another-secret"})
    like.append_log("daily", "r1", "extract", "two")
    chunk = await adapter.log(step, 1, cursor)
    text += chunk.data
    like.append_log("daily", "r1", "extract", "three")
    chunk = await adapter.log(step, 1, chunk.cursor)
    text += chunk.data
    assert [line.split()[-1] for line in text.decode().splitlines()][-3:] == ["one", "two", "three"]


async def test_a_stopped_runs_log_is_fetched_once_more(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "r1")
    step = "af:daily/r1#extract"
    first = await adapter.log(step, 1, None)
    await adapter.send(await adapter.prepare(action(Verb.STOP, "af:daily/r1")))
    like.set_task("daily", "r1", "extract", end=like.now() - timedelta(seconds=8))
    ended = await adapter.log(step, 1, first.cursor)
    assert not ended.end, "the process may still write"
    like.append_log("daily", "r1", "extract", "its last words")
    asked = sum("/logs/" in r.path for r in like.requests)
    waiting = await adapter.log(step, 1, ended.cursor)
    assert (waiting.data, waiting.end) == (b"", False)
    assert sum("/logs/" in r.path for r in like.requests) == asked, "nothing is fetched while it settles"
    like.set_task("daily", "r1", "extract", end=like.now() - timedelta(seconds=20))
    last = await adapter.log(step, 1, waiting.cursor)
    assert last.end
    assert last.data.count(b"\n") == 1
    assert b"its last words" in last.data


async def test_logs_that_are_not_there(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "r1", state="failed", failed_at="extract")
    like.add_run("daily", "r2")
    upstream = await adapter.log("af:daily/r1#report", 1, None)
    assert upstream.end
    assert b"upstream task(s) failed" in upstream.data
    waiting = await adapter.log("af:daily/r2#report", 1, None)
    assert (waiting.data, waiting.end, waiting.note) == (b"", False, "not started yet")
    gone = await adapter.log("af:daily/r1#extract", 9, None)
    assert gone.end
    assert gone.note == "Airflow keeps no log of try 9"
    with pytest.raises(NotFound):
        await adapter.log("af:daily/r1#nope", 1, None)
    mapped = await adapter.log("af:daily/r2#load.1", 1, None)
    assert mapped.note == "not started yet"
