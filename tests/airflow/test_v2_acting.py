"""What is done to an Airflow 2: the exact calls, and what makes no sense; its logs, tries and changes as they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Done, NotDone, NotSent, Sent
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.model import Run, State, Verb
from tests.airflow.world import action, settings
from tests.servers.airflow2_like import Airflow2Like


@pytest.fixture
def two() -> Iterator[Airflow2Like]:
    with Airflow2Like() as server:
        server.add_dag("daily", tasks=("extract", "load", "report"), mapped={"load": 2}, tags=("tier1",))
        yield server


@pytest.fixture
async def adapter(two: Airflow2Like) -> AsyncIterator[AirflowAdapter]:
    one = AirflowAdapter(settings(two))
    yield one
    await one.close()


# --- acting ---------------------------------------------------------------------------------------------------------


async def test_the_exact_calls(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_run("daily", "ok", state="success")
    two.add_run("daily", "bad", state="failed")
    two.add_run("daily", "now")
    base = f"{two.url}/api/v1/dags/daily"
    clear = {"dry_run": False, "dag_run_id": "bad", "only_failed": True, "reset_dag_runs": True}
    below = clear | {"dag_run_id": "ok", "only_failed": False, "task_ids": ["load"], "include_downstream": True}
    want: dict[tuple[Verb, str], tuple[str, str, dict[str, object], str]] = {
        (Verb.PAUSE, "af:daily"): ("PATCH", f"{base}?update_mask=is_paused", {"is_paused": True}, "no new scheduled runs of daily"),
        (Verb.START, "af:daily"): ("POST", f"{base}/dagRuns", {"dag_run_id": "wf-01JTEST", "conf": {}}, "one run of daily now"),
        (Verb.STOP, "af:daily/now"): (
            "PATCH", f"{base}/dagRuns/now", {"state": "failed"}, "ends the run (1 task ends: extract; 3 will not run)"
        ),
        (Verb.RERUN, "af:daily/ok"): (
            "POST", f"{base}/dagRuns/ok/clear", {"dry_run": False}, "4 tasks will run again: extract, load[0,1], report"
        ),
        (Verb.RERUN_FAILED, "af:daily/bad"): ("POST", f"{base}/clearTaskInstances", clear, "1 task will run again: report"),
        (Verb.RERUN_FROM, "af:daily/ok#load.1"): (
            "POST", f"{base}/clearTaskInstances", below, "3 tasks will run again: load[0,1], report"
        ),
    }  # fmt: skip
    for (verb, key), (method, target, body, effect) in want.items():
        prepared = await adapter.prepare(action(verb, key))
        (call,) = prepared.calls
        assert (call.method, call.target, call.body) == (method, target, body)
        assert call.headers["Authorization"] == "Basic ****"
        assert prepared.effect == effect
        assert ("all instances of load" in prepared.note) == (verb is Verb.RERUN_FROM)
    assert not two.effects


@pytest.mark.parametrize(("key", "what"), [("af:daily/bad", "set-success"), ("af:daily/bad#report", "mark-success")])
async def test_marks(two: Airflow2Like, adapter: AirflowAdapter, key: str, what: str) -> None:
    two.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.MARK, key, params={"as": "success"}))
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    assert not two.effects
    assert isinstance(await adapter.send(prepared), Sent)
    assert [e.what for e in two.effects] == [what]
    assert isinstance(await adapter.reconcile(prepared), Done)


async def test_what_makes_no_sense_now(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_run("daily", "ok", state="success")
    two.add_run("daily", "now")
    for verb, key, kind, words in (
        (Verb.RESUME, "af:daily", Conflict, "already active"),
        (Verb.STOP, "af:daily/ok", Conflict, "already ended: success"),
        (Verb.RERUN, "af:daily/now", Conflict, "still running: stop it first"),
        (Verb.RERUN_FAILED, "af:daily/ok", Conflict, "no task of this run has failed"),
        (Verb.RERUN_FROM, "af:daily/ok#nope", NotFound, "has no task nope"),
        (Verb.RERUN_FROM, "af:daily/now#extract", Conflict, "at work now: stop the run first"),
        (Verb.RERUN_FROM, "af:daily/ok", Unsupported, "needs one of its steps"),
        (Verb.BACKFILL, "af:daily", Unsupported, "command line"),
        (Verb.HOLD, "af:daily/now", Unsupported, "cannot hold"),
    ):
        with pytest.raises(kind, match=words):
            await adapter.prepare(action(verb, key))
    assert not two.effects


async def test_a_second_start_finds_the_first(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "af:daily", business_date="2026-11-18"))
    assert isinstance(await adapter.send(prepared), Sent)
    again = await adapter.send(prepared)
    assert isinstance(again, Sent)
    assert "already there" in again.words
    assert len(two.effects) == 1
    run = await adapter.read(again.run or "")
    assert isinstance(run, Run)
    assert run.business_date == "2026-11-18"
    assert run.client_id == "01JTEST"


async def test_the_note_is_left_away_where_it_is_not_known(two: Airflow2Like) -> None:
    two.version = "2.4.3"
    adapter = AirflowAdapter(settings(two))
    (call,) = (await adapter.prepare(action(Verb.START, "af:daily", who="ana"))).calls
    assert "note" not in call.body
    two.version = "2.11.2"
    newer = AirflowAdapter(settings(two))
    (call,) = (await newer.prepare(action(Verb.START, "af:daily", who="ana"))).calls
    assert call.body["note"] == "started by ana with Watchfloor"
    for one in (adapter, newer):
        await one.close()


async def test_a_call_of_another_host_or_of_all_dags_is_not_sent(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    for target in ("https://elsewhere.example/api/v1/dags/daily", f"{two.url}/api/v1/dags?dag_id_pattern=%25"):
        wrong = replace(prepared, calls=(replace(prepared.calls[0], target=target),))
        assert isinstance(await adapter.send(wrong), NotSent)
    assert not two.effects


async def test_tasks_that_ended_again_were_cleared(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    """Upstream failed, cleared, upstream failed again before anybody looked: no try of its own, yet another end."""
    two.add_run("daily", "bad", state="failed", failed_at="extract")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, "af:daily/bad"))
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    two.set_task("daily", "bad", "report", end=two.now())
    assert isinstance(await adapter.reconcile(prepared), Done)


# --- reading --------------------------------------------------------------------------------------------------------


async def test_changes_of_a_run_however_old(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    """A monthly DAG's run is dated a month back: nothing may be bounded by that date."""
    two.add_run("daily", "monthly", run_after=two.now() - timedelta(days=31))
    cursor = (await adapter.runs(None)).cursor
    two.set_run("daily", "monthly", "success")
    found = {r.key: r for r in (await adapter.runs(cursor)).runs}
    assert found["af:daily/monthly"].state is State.SUCCESS
    asked = [r for r in two.requests if r.path.endswith("~/dagRuns") and "updated_at_gte" in r.query]
    assert len(asked) == 2
    assert not any("execution_date_gte" in r.query for r in asked)


async def test_a_server_that_gives_small_pages_and_only_what_is_included(two: Airflow2Like) -> None:
    """``maximum_page_limit``: no list may be taken for whole because a page was not full."""
    two.page_limit = 7
    for number in range(30):
        two.add_dag(f"etl_{number}")
        two.add_run("daily", f"r{number}", state="success")
        two.add_run(f"etl_{number}", "now")
    adapter = AirflowAdapter(settings(two, include=("etl_*",)))
    listing = await adapter.pipelines()
    assert (len(listing.items), listing.complete) == (30, True)
    assert {r.key for r in (await adapter.runs(None)).runs} == {f"af:etl_{n}/now" for n in range(30)}
    assert len(await adapter.history("af:daily")) == 30
    await adapter.close()


async def test_before_2_6_changes_are_those_that_ended(two: Airflow2Like) -> None:
    two.version = "2.5.3"
    adapter = AirflowAdapter(settings(two))
    two.add_run("daily", "one")
    cursor = (await adapter.runs(None)).cursor
    two.set_run("daily", "one", "failed")
    assert {r.key: r.state for r in (await adapter.runs(cursor)).runs} == {"af:daily/one": State.FAILED}
    assert not any("updated_at_gte" in r.query for r in two.requests)
    steps = await adapter.steps("af:daily/one")
    assert steps
    assert not any(r.path.endswith("/tries") for r in two.requests)
    await adapter.close()


async def test_why_it_failed_and_where_its_page_is(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_run("daily", "bad/run", state="failed", failed_at="load")
    run = await adapter.read("af:daily/bad%2Frun")
    assert isinstance(run, Run)
    assert run.error == "task load[0] failed"
    assert run.url == f"{two.url}/dags/daily/grid?dag_run_id=bad%2Frun"


async def test_every_try_is_a_step(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_dag("again", tasks=("only",), retries=1, fails=("only",))
    two.add_run("again", "r", state="queued")
    for _ in range(6):
        two.tick()
    tries = [(s.attempt, s.state) for s in await adapter.steps("af:again/r")]
    assert tries == [(1, State.FAILED), (2, State.FAILED)]
    for attempt in (1, 2):
        assert b"ValueError: no rows for today" in (await adapter.log("af:again/r#only", attempt, None)).data


async def test_a_log_that_has_not_begun_and_one_that_never_will(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_run("daily", "bad", state="failed", failed_at="extract")
    two.add_run("daily", "wait", state="queued")
    waits = await adapter.log("af:daily/wait#extract", 1, None)
    assert (waits.data, waits.end, waits.note) == (b"", False, "not started yet")
    never = await adapter.log("af:daily/bad#report", 1, None)
    assert (never.data, never.end) == (b"", True)
    beyond = await adapter.log("af:daily/bad#extract", 7, None)
    assert beyond.end
    assert "no try 7" in beyond.note
    with pytest.raises(NotFound):
        await adapter.log("af:daily/bad#nope", 1, None)


async def test_a_log_whose_token_is_no_longer_known(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    """The server's secret was changed: read from the beginning, handed out from where it was."""
    two.add_run("daily", "now")
    step = "af:daily/now#extract"
    two.append_log("daily", "now", "extract", "line one")
    first = await adapter.log(step, 1, None)
    assert first.cursor is not None
    assert first.data.startswith(b"*** Found local files:\n")
    two.append_log("daily", "now", "extract", "line two")
    more = await adapter.log(step, 1, first.cursor.replace(".signed", ".spoilt"))
    assert b"line two" in more.data
    assert b"line one" not in more.data
    assert b"***" not in more.data


async def test_a_whole_log_ends_with_its_line(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    two.add_run("daily", "ok", state="success")
    chunk = await adapter.log("af:daily/ok#load.1", 1, None)
    assert chunk.end
    assert chunk.data.endswith(b"load is done\n")


async def test_datasets_with_their_last_event(two: Airflow2Like, adapter: AirflowAdapter) -> None:
    now = two.now()
    for number in range(1, 4):
        two.datasets[number] = (f"s3://lake/{number}", "maker", "taker")
    two.dataset_events = [(1, "maker", f"r{n}", now) for n in range(150)]
    two.dataset_events[0] = (2, "maker", "first", now.replace(year=2020))
    found = {a.uri: a for a in await adapter.assets()}
    one, two_, three = (found[f"s3://lake/{n}"] for n in (1, 2, 3))
    assert one.last_event is not None
    assert (two_.event_by, two_.last_event) == ("af:maker/first", int(now.replace(year=2020).timestamp() * 1000))
    assert (three.last_event, three.event_by) == (None, None)
    assert (one.producers, one.consumers) == (("af:maker",), ("af:taker",))
