"""What is done to Airflow: the exact calls, what makes no sense, what is proved."""

from __future__ import annotations

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Action, NotDone, NotSent, Sent, Unknown
from adapters.errors import BadResponse, Conflict, Forbidden, NotFound, Unreachable, Unsupported
from adapters.model import Verb, step_key
from tests.airflow.world import LikeWorld, action, settings
from tests.servers.airflow_like import AirflowLike

# --- actions ----------------------------------------------------------------------------------------------------------


async def test_the_exact_calls(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "ok", state="success")
    like.add_run("daily", "bad", state="failed")
    like.add_run("daily", "now")
    base = f"{like.url}/api/v2/dags/daily"
    clear = {"dry_run": False, "only_failed": False, "reset_dag_runs": True, "include_downstream": True}
    want: dict[tuple[Verb, str], tuple[str, str, dict[str, object], str]] = {
        (Verb.PAUSE, "af:daily"): (
            "PATCH", f"{base}?update_mask=is_paused", {"is_paused": True}, "no new scheduled runs of daily"
        ),
        (Verb.START, "af:daily"): (
            "POST", f"{base}/dagRuns", {"dag_run_id": "wf-01JTEST", "logical_date": None, "conf": {}}, "one run of daily now"
        ),
        (Verb.STOP, "af:daily/now"): (
            "PATCH", f"{base}/dagRuns/now?update_mask=state", {"state": "failed"},
            "ends the run (1 task ends: extract; 3 will not run)",
        ),
        (Verb.RERUN, "af:daily/ok"): (
            "POST", f"{base}/dagRuns/ok/clear", {"dry_run": False, "only_failed": False},
            "4 tasks will run again: extract, load[0,1], report",
        ),
        (Verb.RERUN_FAILED, "af:daily/bad"): (
            "POST", f"{base}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": "bad", "only_failed": True, "reset_dag_runs": True},
            "1 task will run again: report",
        ),
        (Verb.RERUN_FROM, "af:daily/ok#load.1"): (
            "POST", f"{base}/clearTaskInstances", clear | {"dag_run_id": "ok", "task_ids": [["load", 1]]},
            "2 tasks will run again: load[1], report",
        ),
    }  # fmt: skip
    for (verb, key), (method, target, body, effect) in want.items():
        prepared = await adapter.prepare(action(verb, key))
        (call,) = prepared.calls
        assert (call.method, call.target, call.body) == (method, target, body)
        assert call.headers["Authorization"] == "Bearer ****"
        assert prepared.effect == effect
    assert not like.effects


async def test_business_date_becomes_a_logical_date_of_that_day(like: AirflowLike) -> None:
    adapter = AirflowAdapter(settings(like, timezone="Pacific/Auckland"))
    for client in ("a", "b"):
        one = Action(verb=Verb.START, key="af:daily", client_id=client, business_date="2026-11-18", who="ana")
        sent = await adapter.send(await adapter.prepare(one))
        assert isinstance(sent, Sent)
        assert sent.run is not None
        assert (await adapter.read(sent.run)).business_date == "2026-11-18"  # type: ignore[union-attr]
    with pytest.raises(Conflict, match="not a business date"):
        await adapter.prepare(action(Verb.START, "af:daily", business_date="yesterday"))
    await adapter.close()


async def test_what_makes_no_sense_now(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "ok", state="success")
    like.add_run("daily", "now")
    for verb, key, kind, words in (
        (Verb.RESUME, "af:daily", Conflict, "already active"),
        (Verb.STOP, "af:daily/ok", Conflict, "already ended: success"),
        (Verb.RERUN, "af:daily/now", Conflict, "still running: stop it first"),
        (Verb.RERUN_FAILED, "af:daily/ok", Conflict, "no task of this run has failed"),
        (Verb.RERUN_FROM, "af:daily/ok#nope", NotFound, "has no task nope"),
        (Verb.RERUN_FROM, "af:daily/now#extract", Conflict, "at work now: stop the run first"),
        (Verb.STOP, "af:daily/nope", NotFound, "404"),
        (Verb.STOP, "af:daily", Unsupported, "needs one of its runs"),
        (Verb.RERUN_FROM, "af:daily/ok", Unsupported, "needs one of its steps"),
        (Verb.PAUSE, "elsewhere:daily", Unsupported, "not of source af"),
        (Verb.HOLD, "af:daily/now", Unsupported, "not offered"),
    ):
        with pytest.raises(kind, match=words):
            await adapter.prepare(action(verb, key))
    assert not like.effects


async def test_a_logical_date_taken_is_refused_our_own_id_is_done(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "af:daily", business_date="2026-11-18"))
    assert isinstance(await adapter.send(prepared), Sent)
    again = await adapter.send(prepared)
    assert isinstance(again, Sent)
    assert "already there" in again.words
    other = Action(verb=Verb.START, key="af:daily", client_id="other", business_date="2026-11-18")
    taken = await adapter.prepare(other)
    taken.calls[0].body["logical_date"] = prepared.calls[0].body["logical_date"]
    refused = await adapter.send(taken)
    assert isinstance(refused, NotSent)
    assert "logical date already" in refused.words
    assert len(like.effects) == 1


async def test_start_waits_for_a_reason_or_a_start(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "af:daily"))
    await adapter.send(prepared)
    assert await adapter.reconcile(prepared) == NotDone("run wf-01JTEST is there and still queued", begun=True)
    like.dags["daily"].max_active_runs = 1
    like.add_run("daily", "busy")
    found = await adapter.reconcile(prepared)
    assert found.words == "run wf-01JTEST is queued: 1 of 1 runs are active"
    assert not isinstance(found, NotDone)


async def test_nothing_cleared_is_not_sent(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "bad", state="failed")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, "af:daily/bad"))
    like.set_task("daily", "bad", "report", state="success")
    sent = await adapter.send(prepared)
    assert sent == NotSent("Airflow cleared nothing")


async def test_a_run_deleted_meanwhile_is_final(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.add_run("daily", "now")
    prepared = await adapter.prepare(action(Verb.STOP, "af:daily/now"))
    del like.runs[("daily", "now")]
    assert await adapter.reconcile(prepared) == NotDone("Airflow no longer has this run", final=True)


async def test_a_call_to_another_place_is_not_sent(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    with AirflowLike() as other:
        stranger = AirflowAdapter(settings(other))
        assert isinstance(await stranger.send(prepared), NotSent)
        assert not other.requests
        await stranger.close()


async def test_an_effect_then_500_is_unknown(like: AirflowLike, adapter: AirflowAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    like.fault = "lost-500"
    assert isinstance(await adapter.send(prepared), Unknown)
    assert like.dags["daily"].paused


async def test_reading_survives_a_server_that_comes_back(like: AirflowLike, adapter: AirflowAdapter) -> None:
    await adapter.pipelines()
    like.fault = "down"
    with pytest.raises(Unreachable):
        await adapter.pipelines()
    like.fault = None
    assert (await adapter.pipelines()).complete


async def test_health_unreadable_is_only_a_note(like: AirflowLike, adapter: AirflowAdapter) -> None:
    like.fault_on = lambda method, path: path.endswith("/health")
    like.fault = "500"
    assert (await adapter.pipelines()).complete
    assert "health could not be read" in adapter.notes[0]
    like.fault = "403"
    await adapter.pipelines()
    with pytest.raises((Forbidden, BadResponse)):
        await adapter.probe()


def test_the_world_of_the_contract_is_whole() -> None:
    """Every fault of the contract is one of this server."""
    from adapters.contract import Fault
    from tests.airflow.world import FAULTS
    from tests.servers.airflow_like import FAULTS as SERVED

    assert set(FAULTS) == set(Fault)
    assert set(FAULTS.values()) <= SERVED
    assert LikeWorld.source == "af"


async def test_names_from_outside_stay_harmless(like: AirflowLike, adapter: AirflowAdapter) -> None:
    evil = "load\x1b]52;c;cHduZWQ=\x07\n\u202e[red]"
    like.add_dag("evil", tasks=(evil,))
    like.add_run("evil", "r\x1b[31m", state="failed")
    (run,) = (await adapter.runs(None)).runs
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, run.key))
    results = [prepared.effect, prepared.note, (await adapter.send(prepared)).words]
    results.append((await adapter.reconcile(prepared)).words)
    like.tick()
    like.tick()
    with pytest.raises(Conflict) as caught:
        await adapter.prepare(action(Verb.RERUN_FROM, step_key(run.key, evil)))
    for text in (*results, str(caught.value)):
        assert text.isprintable(), repr(text)
        assert "52;c" not in text
