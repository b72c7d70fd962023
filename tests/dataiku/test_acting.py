"""What is done to DSS: the exact calls, what makes no sense, what is proved, and what a lost answer leaves open."""

from __future__ import annotations

import pytest

from adapters.base import Done, NotDone, NotSent, Sent, Several, Unknown
from adapters.dataiku import DataikuAdapter
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.model import Run, RunKind, State, Verb
from tests.dataiku.world import action, settings
from tests.servers.dataiku_like import DataikuLike
from tests.servers.dataiku_state import API


async def test_the_exact_calls(like: DataikuLike, adapter: DataikuAdapter) -> None:
    base = f"{like.url}{API}/projects/CDM/scenarios/daily"
    for verb, key, method, target, body in (
        (Verb.START, "dss:CDM.daily", "POST", f"{base}/run", {"full": True, "watchfloor": "01JTEST"}),
        (Verb.PAUSE, "dss:CDM.daily", "PUT", f"{base}/light", None),
    ):
        params = {"full": True} if verb is Verb.START else {}
        prepared = await adapter.prepare(action(verb, key, params=params))
        (call,) = prepared.calls
        assert (call.method, call.target) == (method, target)
        assert body is None or call.body == body
        assert call.headers["Authorization"] == "Basic ****"
    run = like.add_run("CDM", "daily")
    (call,) = (await adapter.prepare(action(Verb.STOP, f"dss:CDM.daily/{run.id}"))).calls
    assert (call.method, call.target, call.body) == ("POST", f"{base}/abort", None)
    assert not like.effects


async def test_pause_sends_no_trigger_and_loses_none(like: DataikuLike, adapter: DataikuAdapter) -> None:
    scenario = like.scenarios[("CDM", "daily")]
    scenario.secret, scenario.description = "pa55-in-a-step", "keeps its description"
    triggers = [dict(t) for t in scenario.triggers]
    prepared = await adapter.prepare(action(Verb.PAUSE, "dss:CDM.daily"))
    body = prepared.calls[0].body
    assert body["active"] is False
    assert not {"triggers", "params", "reporters"} & set(body), "what is not sent cannot be wiped"
    assert "pa55-in-a-step" not in repr(prepared)
    assert await adapter.reconcile(prepared) == NotDone("still active")
    assert isinstance(await adapter.send(prepared), Sent)
    assert await adapter.reconcile(prepared) == Done("paused, its 1 triggers as they were")
    assert prepared.steady == 2
    assert (scenario.active, scenario.triggers) == (False, triggers)
    assert (scenario.description, scenario.tags) == ("keeps its description", ["tier1"])
    resume = await adapter.prepare(action(Verb.RESUME, "dss:CDM.daily"))
    await adapter.send(resume)
    assert isinstance(await adapter.reconcile(resume), Done)
    assert scenario.triggers == triggers


async def test_triggers_that_are_gone_afterwards_are_never_done(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "dss:CDM.daily"))
    await adapter.send(prepared)
    like.scenarios[("CDM", "daily")].triggers = []
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert found.words == "it is paused, but its triggers are not as they were (1 before, 0 now): look at it in Dataiku"


async def test_a_scenario_edited_since_the_plan_is_not_overwritten(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "dss:CDM.daily"))
    like.scenarios[("CDM", "daily")].description = "written by somebody meanwhile"
    sent = await adapter.send(prepared)
    assert sent == NotSent("the scenario was edited since the plan was made: plan it again")
    assert not like.effects


async def test_what_makes_no_sense_now(like: DataikuLike, adapter: DataikuAdapter) -> None:
    ended = like.add_run("CDM", "daily", outcome="SUCCESS")
    like.add_scenario("CDM", "busy")
    now = like.add_run("CDM", "busy")
    for verb, key, kind, said in (
        (Verb.RESUME, "dss:CDM.daily", Conflict, "already active"),
        (Verb.START, "dss:CDM.busy", Conflict, "cancels a second run"),
        (Verb.START, "dss:CDM.nope", NotFound, "404"),
        (Verb.START, "dss:nodot", NotFound, "expected PROJECT.scenario"),
        (Verb.STOP, f"dss:CDM.daily/{ended.id}", Conflict, "already ended: SUCCESS"),
        (Verb.STOP, "dss:CDM.daily", Unsupported, "needs one of its runs"),
        (Verb.STOP, "dss:CDM.daily/nope", NotFound, "404"),
        (Verb.RERUN, f"dss:CDM.busy/{now.id}", Conflict, "stop it first"),
        (Verb.RERUN_FROM, f"dss:CDM.daily/{ended.id}#load", Unsupported, "as a whole only"),
        (Verb.RERUN_FAILED, f"dss:CDM.daily/{ended.id}", Unsupported, "as a whole only"),
        (Verb.HOLD, f"dss:CDM.busy/{now.id}", Unsupported, "cannot hold a run"),
        (Verb.PAUSE, "elsewhere:CDM.daily", Unsupported, "not of source dss"),
    ):
        with pytest.raises(kind, match=said):
            await adapter.prepare(action(verb, key))
    with pytest.raises(Conflict, match="Watchfloor's own"):
        await adapter.prepare(action(Verb.START, "dss:CDM.daily", params={"watchfloor": "mine"}))
    with pytest.raises(Conflict, match="not a business date"):
        await adapter.prepare(action(Verb.START, "dss:CDM.daily", business_date="yesterday"))
    assert not like.effects


async def test_a_start_carries_its_date_and_is_found_by_its_mark(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "dss:CDM.daily", business_date="2026-11-18", params={"n": 1}))
    sent = await adapter.send(prepared)
    assert sent == Sent("Dataiku has fired the trigger; the run itself follows")
    assert await adapter.reconcile(prepared) == NotDone("the trigger has fired, no run yet", begun=True)
    like.tick()
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.run is not None
    run = await adapter.read(found.run)
    assert isinstance(run, Run)
    assert (run.business_date, run.client_id, run.kind) == ("2026-11-18", "01JTEST", RunKind.MANUAL)
    assert run.params == {"n": 1, "business_date": "2026-11-18"}
    fresh = DataikuAdapter(settings(like))  # that knows nothing of the trigger
    assert await fresh.reconcile(prepared) == found
    await fresh.close()


async def test_a_fire_that_dss_cancels_is_final(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, "dss:CDM.daily"))
    like.add_run("CDM", "daily")  # its schedule was faster
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert "cancelled it" in found.words


async def test_where_parameters_are_not_told_a_lost_answer_stays_open(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    like.tells_params = False
    like.add_run("CDM", "daily", outcome="SUCCESS", trigger="manual")
    prepared = await adapter.prepare(action(Verb.START, "dss:CDM.daily"))
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    like.tick()
    run = like.scenarios[("CDM", "daily")].current
    assert run is not None
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Several), "one run by hand since then may be somebody else's: never called ours"
    assert found.runs == (f"dss:CDM.daily/{run.id}",)
    assert len(like.effects) == 1


async def test_where_parameters_are_not_told_the_trigger_proves_it(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.tells_params = False
    prepared = await adapter.prepare(action(Verb.START, "dss:CDM.daily"))
    await adapter.send(prepared)
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)


async def test_stop_never_hits_the_next_run(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily")
    prepared = await adapter.prepare(action(Verb.STOP, f"dss:CDM.daily/{run.id}"))
    like.end_run(run)
    later = like.add_run("CDM", "daily")
    assert await adapter.send(prepared) == NotSent("the run had already ended: SUCCESS")
    assert later.outcome is None
    assert not like.effects
    found = await adapter.reconcile(prepared)
    assert found == Done("the run had ended by itself: SUCCESS", f"dss:CDM.daily/{run.id}")


async def test_rerun_takes_the_parameters_along_and_says_of_what_it_is(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    first = like.add_run("CDM", "daily", outcome="FAILED", params={"day": "2026-11-18", "watchfloor": "01JOLD"})
    key = f"dss:CDM.daily/{first.id}"
    prepared = await adapter.prepare(action(Verb.RERUN, key))
    body = {"day": "2026-11-18", "watchfloor": "01JTEST", "watchfloor_rerun_of": first.id}
    assert prepared.calls[0].body == body
    await adapter.send(prepared)
    like.tick()
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    run = await adapter.read(found.run or "")
    assert isinstance(run, Run)
    assert (run.rerun_of, run.kind, run.params) == (key, RunKind.RERUN, {"day": "2026-11-18"})


async def test_an_effect_then_500_is_unknown(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "dss:CDM.daily"))
    like.fault = "lost-500"
    assert isinstance(await adapter.send(prepared), Unknown)
    assert not like.scenarios[("CDM", "daily")].active


async def test_a_call_to_another_place_is_not_sent(like: DataikuLike, adapter: DataikuAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, "dss:CDM.daily"))
    with DataikuLike() as other:
        stranger = DataikuAdapter(settings(other))
        assert isinstance(await stranger.send(prepared), NotSent)
        assert not other.requests
        await stranger.close()


async def test_names_from_outside_stay_harmless(like: DataikuLike, adapter: DataikuAdapter) -> None:
    evil = "load\x1b]52;c;cHduZWQ=\x07\n\u202e[red] und Ümläut"
    like.add_scenario("CDM", evil)
    key = next(p.key for p in (await adapter.pipelines()).items if "load" in p.key)
    prepared = await adapter.prepare(action(Verb.PAUSE, key))
    said = [prepared.effect, prepared.note, prepared.proof, (await adapter.send(prepared)).words]
    said.append((await adapter.reconcile(prepared)).words)
    assert all(text.isprintable() and "52;c" not in text for text in said)


# --- a dataset as a pipeline ------------------------------------------------------------------------------------------

SALES = "dss:CDM.dataset.sales"


@pytest.fixture
async def builder(like: DataikuLike):  # type: ignore[no-untyped-def]
    like.add_dataset("CDM", "sales")
    one = DataikuAdapter(settings(like, options={"builds": ["CDM.sales"]}))
    yield one
    await one.close()


async def test_a_dataset_is_built_by_job_type(like: DataikuLike, builder: DataikuAdapter) -> None:
    params = {"type": "RECURSIVE_BUILD", "partition": "2026-11-18"}
    prepared = await builder.prepare(action(Verb.START, SALES, params=params))
    (call,) = prepared.calls
    assert (call.method, call.target) == ("POST", f"{like.url}{API}/projects/CDM/jobs/")
    assert call.body == {
        "type": "RECURSIVE_BUILD",
        "outputs": [{"type": "DATASET", "id": "sales", "projectKey": "CDM", "partition": "2026-11-18"}],
        "refreshHiveMetastore": False,
        "autoUpdateSchemaBeforeEachRecipeRun": False,
    }
    sent = await builder.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run is not None
    found = await builder.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.begun
    like.tick()
    assert await builder.reconcile(prepared) == Done(
        f"job {sent.run.partition('/')[2].replace('%2E', '.')} is RUNNING", sent.run
    )
    page = await builder.runs(None)
    (run,) = [r for r in page.runs if r.key == sent.run]
    assert (run.state, run.native) == (State.RUNNING, "RUNNING")
    assert run.params == {"type": "RECURSIVE_BUILD", "partition": "2026-11-18"}
    steps = await builder.steps(run.key)
    assert [(s.step, s.state) for s in steps] == [("job", State.RUNNING), ("compute_x_NP", State.RUNNING)]
    chunk = await builder.log(steps[0].key, 1, None)
    assert (chunk.data, chunk.end) == (b"[INFO] queued\n[INFO] job goes on\n", False)
    like.tick()
    (run,) = [r for r in (await builder.runs(page.cursor)).runs if r.key == sent.run]
    assert run.state is State.SUCCESS
    chunk = await builder.log(steps[0].key, 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"[INFO] job goes on\n", True)
    assert (await builder.runs((await builder.runs(None)).cursor)).runs == []
    (past,) = await builder.history(SALES)
    assert (past.key, past.backfilled) == (run.key, True)


async def test_more_jobs_than_one_list_holds_are_all_told(like: DataikuLike, builder: DataikuAdapter) -> None:
    page = await builder.runs(None)
    keys = {f"{SALES}/{like.add_job('CDM', 'sales', 'DONE', ago_s=n / 100).id}" for n in range(130)}
    for _ in range(90):
        like.add_job("CDM", "costs", "DONE")  # nothing to us, and in the same list
    before = len(like.requests)
    page = await builder.runs(page.cursor)
    assert {r.key for r in page.runs} == keys
    assert len([r for r in like.requests[before:] if r.path.endswith("/jobs/")]) == 3
    before = len(like.requests)
    assert (await builder.runs(page.cursor)).runs == []
    assert len([r for r in like.requests[before:] if r.path.endswith("/jobs/")]) == 1
    again = await builder.runs(None)  # it was never taken
    assert {r.key for r in again.runs} == keys


async def test_a_build_is_stopped_and_has_no_schedule(like: DataikuLike, builder: DataikuAdapter) -> None:
    prepared = await builder.prepare(action(Verb.START, SALES))
    assert prepared.calls[0].body["type"] == "NON_RECURSIVE_FORCED_BUILD"
    sent = await builder.send(prepared)
    assert isinstance(sent, Sent)
    like.tick()
    with pytest.raises(Conflict, match="builds it now"):
        await builder.prepare(action(Verb.START, SALES))
    stop = await builder.prepare(action(Verb.STOP, sent.run or ""))
    assert not isinstance(await builder.reconcile(stop), Done)
    await builder.send(stop)
    assert await builder.reconcile(stop) == Done("the job was aborted", sent.run)
    run = await builder.read(sent.run or "")
    assert isinstance(run, Run)
    assert run.state is State.STOPPED
    with pytest.raises(Unsupported, match="no schedule of its own"):
        await builder.prepare(action(Verb.PAUSE, SALES))
    for params, said in (({"type": "EVERYTHING"}, "no type of build"), ({"colour": 1}, "no parameter 'colour'")):
        with pytest.raises(Conflict, match=said):
            await builder.prepare(action(Verb.START, SALES, params=params))
    with pytest.raises(Conflict, match="give the parameter partition"):
        await builder.prepare(action(Verb.START, SALES, business_date="2026-11-18"))


async def test_a_build_whose_answer_is_lost_is_for_a_person(like: DataikuLike, builder: DataikuAdapter) -> None:
    prepared = await builder.prepare(action(Verb.START, SALES))
    like.fault = "lost"
    assert isinstance(await builder.send(prepared), Unknown)
    like.fault = None
    found = await builder.reconcile(prepared)
    assert isinstance(found, Several)
    assert len(found.runs) == len(like.effects) == 1


async def test_a_build_that_never_came_is_not_done(like: DataikuLike, builder: DataikuAdapter) -> None:
    prepared = await builder.prepare(action(Verb.START, SALES))
    like.fault = "noop"
    await builder.send(prepared)
    for _ in range(2):
        assert isinstance(await builder.reconcile(prepared), NotDone)
    like.fault = None
    assert isinstance(await builder.reconcile(prepared), NotDone)


async def test_a_dataset_that_is_not_there_is_not_built(like: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(like, options={"builds": ["CDM.nope"]}))
    with pytest.raises(NotFound):
        await adapter.prepare(action(Verb.START, "dss:CDM.dataset.nope"))
    await adapter.close()
