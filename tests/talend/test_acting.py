"""What is done to TMC: the exact calls, what makes no sense, what is proved and what is left to a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.base import Action, Done, NotDone, NotSent, Prepared, Sent, Several, Unknown
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.model import Pipeline, Run, State, Verb, step_key
from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.servers.talend_state import ME
from tests.talend.world import action, key_of, settings


async def test_the_exact_calls(like: TalendLike, adapter: TalendAdapter) -> None:
    await adapter.pipelines()
    like.add_run("daily", "now")
    failed = like.add_run("nightly", "bad", word="EXECUTION_FAILED")
    going = like.add_run("nightly", "going")
    task, plan = key_of("daily"), key_of("nightly", kind="plan")
    bad = key_of("nightly", "bad", "plan")
    runs, pauses = f"{like.url}/processing/executions", f"{like.url}/orchestration/executables"
    step = {"executable": "nightly", "executionPlanId": "bad", "stepId": failed.steps[1].execution}
    paused = {"pause": True, "pauseContext": "paused by ana with Watchfloor"}
    want = {
        (Verb.START, task): ("POST", runs, {"executable": "daily", "parameters": {"day": "2026-11-20"}}),
        (Verb.START, plan): ("POST", f"{runs}/plans", {"executable": "nightly"}),
        (Verb.PAUSE, task): ("PUT", f"{pauses}/tasks/daily/pause", paused),
        (Verb.PAUSE, plan): ("PUT", f"{pauses}/plans/nightly/pause", paused),
        (Verb.STOP, key_of("daily", "now")): ("DELETE", f"{runs}/now", None),
        (Verb.STOP, key_of("nightly", "going", "plan")): ("DELETE", f"{runs}/{going.steps[0].tasks[0]}", None),
        (Verb.RERUN, bad): ("POST", f"{runs}/plans", {"executable": "nightly"}),
        (Verb.RERUN_FAILED, bad): ("POST", f"{runs}/plans", step | {"rerunOnlyFailedTasks": True}),
        (Verb.RERUN_FROM, step_key(bad, "Step 2")): ("POST", f"{runs}/plans", step),
        (Verb.RERUN_FROM, step_key(bad, "Task load")): ("POST", f"{runs}/plans", step),
    }
    effects: dict[tuple[Verb, str], str] = {}
    for (verb, key), (method, target, body) in want.items():
        params = {"day": "2026-11-20"} if verb is Verb.START and key == task else {}
        prepared = await adapter.prepare(action(verb, key, params=params, who="ana"))
        (call,) = prepared.calls
        assert (call.method, call.target, call.body) == (method, target, body)
        assert call.headers["Authorization"] == "Bearer ****"
        effects[(verb, key)] = prepared.effect
    assert effects[(Verb.STOP, key_of("nightly", "going", "plan"))] == (
        "ends the 1 running task of this run of plan Nightly: Task extract"
    )
    assert (
        effects[(Verb.RERUN_FAILED, bad)] == "plan Nightly runs again from step Step 2, of that step only what failed"
    )
    assert not like.effects


async def test_what_makes_no_sense_now(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_task("held", paused=True)
    like.add_run("held", "h1", word="EXECUTION_FAILED")
    like.add_run("daily", "ok", word="EXECUTION_SUCCESS")
    like.add_run("daily", "now")
    like.add_run("nightly", "good", word="EXECUTION_SUCCESS")
    like.add_run("nightly", "bad", word="EXECUTION_FAILED")
    idle = like.add_run("nightly", "idle")
    like.finish(idle.steps[0].tasks[0])
    for verb, key, kind, words in (
        (Verb.RESUME, key_of("daily"), Conflict, "already active"),
        (Verb.PAUSE, key_of("held"), Conflict, "already paused"),
        (Verb.START, key_of("held"), Conflict, "refuses every new run"),
        (Verb.RERUN, key_of("held", "h1"), Conflict, "refuses every new run"),
        (Verb.START, key_of("nowhere"), NotFound, "404"),
        (Verb.PAUSE, key_of("nowhere", kind="plan"), NotFound, "no plan nowhere"),
        (Verb.STOP, key_of("daily", "ok"), Conflict, "already ended: EXECUTION_SUCCESS"),
        (Verb.STOP, key_of("nightly", "idle", "plan"), Conflict, "no task of it is running"),
        (Verb.STOP, key_of("daily"), Unsupported, "needs one of its runs"),
        (Verb.RERUN, key_of("daily", "now"), Conflict, "stop it first"),
        (Verb.RERUN_FAILED, key_of("daily", "ok"), Unsupported, "no steps to run again from"),
        (Verb.RERUN_FAILED, key_of("nightly", "good", "plan"), Conflict, "only where the plan failed"),
        (Verb.RERUN_FAILED, key_of("nightly", "idle", "plan"), Conflict, "has not ended"),
        (Verb.RERUN_FROM, key_of("nightly", "bad", "plan"), Unsupported, "needs one"),
        (Verb.RERUN_FROM, step_key(key_of("nightly", "bad", "plan"), "nope"), NotFound, "has no step nope"),
        (Verb.RERUN_FROM, step_key(key_of("daily", "ok"), "job"), Unsupported, "no steps"),
        (Verb.MARK, key_of("daily", "ok"), Unsupported, "no call that sets"),
        (Verb.HOLD, key_of("daily", "now"), Unsupported, "cannot hold"),
    ):
        with pytest.raises(kind, match=words):
            await adapter.prepare(action(verb, key))
    with pytest.raises(Conflict, match="no parameters for a plan"):
        await adapter.prepare(action(Verb.START, key_of("nightly", kind="plan"), params={"a": 1}))
    with pytest.raises(Conflict, match="text or a number, and list is neither"):
        await adapter.prepare(action(Verb.START, key_of("daily"), params={"a": 1, "list": [1]}))
    assert not like.effects


async def test_a_step_that_was_not_reached_is_no_place_to_begin(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_plan("long", "Long", steps=[["extract"], ["load"], ["publish"]])
    like.add_run("long", "bad", word="EXECUTION_FAILED")
    with pytest.raises(Conflict, match="Step 3 was not reached"):
        await adapter.prepare(action(Verb.RERUN_FROM, step_key(key_of("long", "bad", "plan"), "Step 3")))


async def test_a_plan_is_run_again_from_its_failed_step(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("nightly", "bad", word="EXECUTION_FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("nightly", "bad", "plan")))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.run == sent.run
    steps = await adapter.steps(sent.run or "")
    assert [s.step for s in steps if s.operator == "step"] == ["Step 2"]
    assert like.effects[0].detail["rerunOnlyFailedTasks"] is True


async def test_what_is_too_old_to_run_again_is_refused(like: TalendLike, adapter: TalendAdapter) -> None:
    old = like.add_run("nightly", "bad", word="EXECUTION_FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("nightly", "bad", "plan")))
    old.word = "EXECUTION_SUCCESS"
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "too old" in sent.words


async def test_refusals_in_the_words_of_what_they_mean(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    like.tasks["daily"].paused = True
    assert await adapter.send(prepared) == NotSent("TMC refuses: it is paused (HTTP 405)")
    like.tasks["daily"].paused, like.tasks["daily"].trigger = False, None
    assert await adapter.send(prepared) == NotSent("TMC refuses: it has no run configuration (HTTP 501)")
    assert not like.effects


async def test_a_start_that_tmc_skips_is_not_done(like: TalendLike, adapter: TalendAdapter) -> None:
    like.tasks["daily"].parallel = False
    like.add_run("daily", "busy")
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    assert "1 of it still going" in prepared.note
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert "another run was still going" in found.words


async def test_a_start_waits_for_its_engine(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    sent = await adapter.send(prepared)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.begun
    like.tick()
    like.tick()
    done = await adapter.reconcile(prepared)
    assert isinstance(done, Done)
    assert isinstance(sent, Sent)
    assert done.run == sent.run


async def test_more_than_one_candidate_is_for_a_person(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=0, user="bea")
    like.add_run("daily", "scheduled", type="SCHEDULED", ago_s=0)
    like.add_run("daily", "of-a-plan", type="PLAN", ago_s=0)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Several)
    assert len(found.runs) == 2
    assert key_of("daily", "by-bea") in found.runs
    assert key_of("daily", "scheduled") not in found.runs


async def test_who_we_are_tells_them_apart_once_it_is_known(like: TalendLike, adapter: TalendAdapter) -> None:
    first = await adapter.prepare(action(Verb.START, key_of("daily")))
    await adapter.send(first)
    await adapter.reconcile(first)  # a run of our own: by this user
    second = await adapter.prepare(Action(verb=Verb.START, key=key_of("daily"), client_id="other"))
    like.fault = "lost"
    assert isinstance(await adapter.send(second), Unknown)
    like.fault = None
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=0, user="bea")
    like.tick()
    like.tick()
    found = await adapter.reconcile(second)
    assert isinstance(found, Done)
    assert found.run != key_of("daily", "by-bea")


async def test_what_began_between_plan_and_call_is_not_ours(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    like.skew_s += 300  # the plan lay there for five minutes
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=60, user="bea")
    await adapter.runs(None)
    like.fault = "reset"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert await adapter.reconcile(prepared) == NotDone("TMC lists no new execution of this task")


async def test_of_others_is_not_ours_once_it_is_known_who_we_are(like: TalendLike, adapter: TalendAdapter) -> None:
    first = await adapter.prepare(action(Verb.START, key_of("daily")))
    await adapter.send(first)
    await adapter.reconcile(first)
    second = await adapter.prepare(Action(verb=Verb.START, key=key_of("daily"), client_id="other"))
    like.fault = "reset"
    assert isinstance(await adapter.send(second), Unknown)
    like.fault = None
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=0, user="bea")
    assert isinstance(await adapter.reconcile(second), NotDone)


async def test_what_was_there_before_is_no_candidate(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=0, user="bea")
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    like.fault = "lost-500"
    sent = await adapter.send(prepared)
    assert isinstance(sent, Unknown)
    like.fault = None
    for execution in [e for e in like.execs.values() if e.id != "by-bea"]:
        del like.execs[execution.id]  # it never came to be
    assert await adapter.reconcile(prepared) == NotDone("TMC lists no new execution of this task")


@pytest.mark.parametrize("ident", ["daily", "nightly"])
async def test_a_start_by_another_person_is_not_taken_for_the_lost_one(
    like: TalendLike, adapter: TalendAdapter, ident: str
) -> None:
    kind = "task" if ident == "daily" else "plan"
    prepared = await adapter.prepare(action(Verb.START, key_of(ident, kind=kind)))
    like.fault = "reset"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert not like.effects
    like.add_run(ident, "by-bea", type="MANUAL", ago_s=0, user="bea")
    said = f"one execution of this {kind} began since, by user bea; TMC does not tell whether it is ours"
    assert await adapter.reconcile(prepared) == Several(said, (key_of(ident, "by-bea", kind),))
    known = TalendAdapter(settings(like, options={"user": ME}))
    assert await known.reconcile(prepared) == NotDone(f"TMC lists no new execution of this {kind} of ours, 1 of others")
    await known.close()


async def test_after_a_restart_the_run_that_was_answered_is_asked_for(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    like.add_run("daily", "by-bea", type="MANUAL", ago_s=0, user="bea")
    like.tick()
    like.tick()
    fresh = TalendAdapter(settings(like))
    found = await fresh.reconcile(replace(prepared, answered=sent.run))
    assert isinstance(found, Done)
    assert found.run == sent.run
    await fresh.close()


async def test_another_token_may_be_of_another_user(like: TalendLike, adapter: TalendAdapter) -> None:
    first = await adapter.prepare(action(Verb.START, key_of("daily")))
    await adapter.send(first)
    await adapter.reconcile(first)  # who we are is known now
    like.pat = "pat-of-somebody-else-0123456789"
    second = await adapter.prepare(Action(verb=Verb.START, key=key_of("daily"), client_id="other"))
    like.fault = "lost"
    assert isinstance(await adapter.send(second), Unknown)
    like.fault = None
    made = next(e for e in like.execs.values() if e.id != adapter._acts.made[first.action.client_id])
    made.user = "the-new-one"
    like.tick()
    found = await adapter.reconcile(second)
    assert isinstance(found, Several)
    assert found.runs == (key_of("daily", made.id),)


@pytest.mark.parametrize("user", ["", ME])
async def test_a_microservice_is_found_behind_its_receipt(like: TalendLike, user: str) -> None:
    adapter = TalendAdapter(settings(like, options={"user": user} if user else {}))
    like.add_task("service", "API", service=True)
    prepared = await adapter.prepare(action(Verb.START, key_of("service")))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    for _ in range(3):
        like.tick()
    found = await adapter.reconcile(prepared)
    if user:
        assert isinstance(found, Done)
        assert found.run not in (None, sent.run)
        assert isinstance(await adapter.read(found.run or ""), Run)
    else:
        assert isinstance(found, Several), "the receipt names no run, and nobody knows who we are"
    await adapter.close()


async def test_a_stop_of_a_plan_ends_its_tasks_and_says_what_goes_on(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_plan("wide", "Wide", steps=[["load", "report", "index"], ["publish"]])
    run = like.add_run("wide", "w1")
    other = like.add_run("wide", "w2")
    prepared = await adapter.prepare(action(Verb.STOP, key_of("wide", "w1", "plan")))
    assert len(prepared.calls) == 3
    like.finish(run.steps[0].tasks[1])  # one ends by itself meanwhile
    del like.execs[run.steps[0].tasks[1]]
    run.steps[0].tasks.pop(1)
    assert isinstance(await adapter.send(prepared), Sent)
    assert not {e.of for e in like.effects} & set(other.steps[0].tasks), "not those of the other run"
    found = await adapter.reconcile(prepared)
    assert found == NotDone("2 of its tasks still going")
    like._move_task(like.execs[run.steps[0].tasks[0]])
    like._move_task(like.execs[run.steps[0].tasks[1]])
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert "the plan goes on" in found.words
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)
    assert all(like.execs[t].going for t in other.steps[0].tasks)


async def test_a_stop_that_breaks_off_in_the_middle_is_unknown(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_plan("wide", "Wide", steps=[["load", "report"]])
    run = like.add_run("wide", "w1")
    prepared = await adapter.prepare(action(Verb.STOP, key_of("wide", "w1", "plan")))
    second = prepared.calls[1].target
    like.forbid = lambda method, path: method == "DELETE" and second.endswith(path)
    sent = await adapter.send(prepared)
    assert isinstance(sent, Unknown)
    assert sent.words.startswith("1 of the calls were taken, then: HTTP 403")
    assert sum(like.execs[t].word == "STOPPING_FLOW_EXECUTION" for t in run.steps[0].tasks) == 1


async def test_a_run_that_ended_by_itself_is_no_failed_stop(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1")
    prepared = await adapter.prepare(action(Verb.STOP, key_of("daily", "e1")))
    like.finish("e1")
    assert isinstance(await adapter.send(prepared), NotSent)  # 409
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.words == "the run had ended by itself: EXECUTION_SUCCESS"


async def test_a_pause_is_seen_in_the_next_listing_also_of_a_large_estate(
    like: TalendLike, adapter: TalendAdapter
) -> None:
    for i in range(450):
        like.add_task(f"t{i}")
    assert (await adapter.pipelines()).complete
    asked = len(like.requests)
    again = await adapter.pipelines()
    assert not again.complete, "absence from a listing that is kept proves nothing"
    assert len([s for s in like.requests[asked:] if s.path == "/orchestration/executables/tasks"]) == 0
    prepared = await adapter.prepare(action(Verb.PAUSE, key_of("t7")))
    assert isinstance(await adapter.send(prepared), Sent)
    fresh = await adapter.pipelines()
    assert fresh.complete
    assert {p.key for p in fresh.items if p.mode.name == "PAUSED"} == {key_of("t7")}
    assert (await adapter.reconcile(prepared)).words == "t7 is paused"
    resumed = await adapter.prepare(action(Verb.RESUME, key_of("t7")))
    assert resumed.note == "it was paused by bea: why"
    assert isinstance(await adapter.read(key_of("t7")), Pipeline)


async def test_nothing_but_known_calls_leaves(like: TalendLike, adapter: TalendAdapter) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, key_of("daily")))
    (call,) = prepared.calls
    for method, target in (
        ("DELETE", f"{like.url}/orchestration/executables/tasks/daily/run-config"),
        ("DELETE", f"{like.url}/processing/executions/plans"),
        ("DELETE", f"{like.url}/processing/executions/"),
        ("PUT", "https://elsewhere.example.invalid/orchestration/executables/tasks/daily/pause"),
    ):
        changed = type(call)(method=method, target=target, body=call.body)
        odd = Prepared(
            action=prepared.action, calls=(changed,), idempotent=False, effect="", proof="", memo=prepared.memo
        )
        assert isinstance(await adapter.send(odd), NotSent)
    assert not like.effects


async def test_a_rerun_makes_a_run_of_its_own(like: TalendLike) -> None:
    one = TalendAdapter(settings(like))
    like.add_run("daily", "bad", word="EXECUTION_FAILED")
    prepared = await one.prepare(action(Verb.RERUN, key_of("daily", "bad")))
    assert "the task's own are used" in prepared.note
    sent = await one.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run != key_of("daily", "bad")
    again = await one.read(sent.run or "")
    assert isinstance(again, Run)
    assert again.state is State.QUEUED
    await one.close()
