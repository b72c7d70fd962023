"""What is done to Databricks: the exact calls, what makes no sense, what is proved, and what is never done twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.base import Done, NotDone, NotSent, Sent, Several, Unknown
from adapters.databricks import DatabricksAdapter
from adapters.databricks.calls import too_much
from adapters.databricks.starting import mark_of
from adapters.errors import Conflict, NotFound, Unreachable, Unsupported
from adapters.model import Verb, step_key
from engine.actions.words import mask
from tests.databricks.world import action, settings
from tests.servers.databricks_like import DatabricksLike

BASE = "/api/2.2/jobs"


def key(job: int, run: int | None = None) -> str:
    return f"db:{job}" if run is None else f"db:{job}/{run}"


async def test_the_exact_calls(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    now, bad = like.add_run(job), like.add_run(job, "TERMINATED", "FAILED")
    given = like.add_run(job, "TERMINATED", "SUCCESS", params={"day": "2026-11-18"})
    schedule = {"quartz_cron_expression": "0 30 7 * * ?", "timezone_id": "Europe/Paris", "pause_status": "PAUSED"}
    mark = {"idempotency_token": "wf-01JTEST"}
    want: dict[tuple[Verb, str], tuple[str, dict[str, Any], str]] = {
        (Verb.START, key(job)): ("run-now", {"job_id": job, **mark}, "one run of daily now"),
        (Verb.STOP, key(job, now)): ("runs/cancel", {"run_id": now}, "ends the run (1 task ends: extract; 2 will not run)"),
        (Verb.RERUN, key(job, given)): (
            "run-now", {"job_id": job, **mark, "job_parameters": {"day": "2026-11-18"}}, "a new run of daily now"
        ),
        (Verb.RERUN_FAILED, key(job, bad)): (
            "runs/repair", {"run_id": bad, "rerun_all_failed_tasks": True}, "1 task will run again: report"
        ),
        (Verb.RERUN_FROM, step_key(key(job, bad), "load")): (
            "runs/repair", {"run_id": bad, "rerun_tasks": ["load"], "rerun_dependent_tasks": True},
            "2 tasks will run again: load, report",
        ),
        (Verb.PAUSE, key(job)): (
            "update", {"job_id": job, "new_settings": {"schedule": schedule}}, "no new runs of daily by its schedule"
        ),
    }  # fmt: skip
    for (verb, of), (path, body, effect) in want.items():
        prepared = await adapter.prepare(action(verb, of))
        (call,) = prepared.calls
        assert (call.method, call.target, call.body) == ("POST", f"{like.url}{BASE}/{path}", body)
        assert call.headers["Authorization"] == "Bearer ****"
        assert prepared.effect == effect
    assert not like.effects


async def test_what_makes_no_sense_now(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    now, ok = like.add_run(job), like.add_run(job, "TERMINATED", "SUCCESS")
    other = like.add_run(like.add_job("other"), "TERMINATED", "FAILED")
    plain = like.add_job("plain", schedule=None)
    legacy = like.add_run(job, "TERMINATED", "SUCCESS", overriding={"notebook_params": {"a": "1"}})
    once = like.add_run(None, "TERMINATED", "FAILED", run_type="SUBMIT_RUN")
    for verb, of, kind, words in (
        (Verb.RESUME, key(job), Conflict, "already active"),
        (Verb.PAUSE, key(plain), Unsupported, "nothing starts plain by itself"),
        (Verb.STOP, key(job, ok), Conflict, "already ended: SUCCESS"),
        (Verb.RERUN, key(job, now), Conflict, "not ended yet"),
        (Verb.RERUN, key(job, legacy), Conflict, "was given notebook_params"),
        (Verb.RERUN_FAILED, key(job, now), Conflict, "still RUNNING: stop it first"),
        (Verb.RERUN_FAILED, key(job, ok), Conflict, "no task of this run has failed"),
        (Verb.RERUN_FROM, step_key(key(job, ok), "nope"), NotFound, "no task nope"),
        (Verb.RERUN_FROM, key(job, ok), Unsupported, "needs one of its steps"),
        (Verb.RERUN_FAILED, key(job, other), NotFound, "none of"),
        (Verb.STOP, key(job), Unsupported, "needs one of its runs"),
        (Verb.STOP, key(job, 5), NotFound, "does not exist"),
        (Verb.START, key(7), NotFound, "does not exist"),
        (Verb.START, "db:submit", Unsupported, "belong to no job"),
        (Verb.RERUN, f"db:submit/{once}", Unsupported, "belong to no job"),
        (Verb.PAUSE, f"elsewhere:{job}", Unsupported, "not of source db"),
        (Verb.HOLD, key(job, now), Unsupported, "not offered"),
    ):
        with pytest.raises(kind, match=words):
            await adapter.prepare(action(verb, of))
    assert not like.effects


# --- start ----------------------------------------------------------------------------------------------------------


async def test_parameters_are_those_of_the_job_and_texts(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("p", parameters=[{"name": "day", "default": ""}, {"name": "limit", "default": "1"}])
    prepared = await adapter.prepare(action(Verb.START, key(job), params={"day": "2026-11-18", "limit": 5}))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert like.runs[int((sent.run or "").partition("/")[2])].params == {"day": "2026-11-18", "limit": "5"}
    with pytest.raises(Conflict, match="has no parameter 'dya'; it has: day, limit"):
        await adapter.prepare(action(Verb.START, key(job), params={"dya": "x"}))
    bare = await adapter.prepare(action(Verb.START, key(like.add_job("q")), params={"x": "y"}))
    assert "declares no parameters" in bare.note


async def test_a_business_date_goes_into_the_parameter_that_is_named(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    job = like.add_job("p", parameters=[{"name": "day", "default": ""}])
    with pytest.raises(Conflict, match="no business date of its own"):
        await adapter.prepare(action(Verb.START, key(job), business_date="2026-11-18"))
    dated = DatabricksAdapter(settings(like, options={"date_parameter": "day"}))
    sent = await dated.send(await dated.prepare(action(Verb.START, key(job), business_date="2026-11-18")))
    assert isinstance(sent, Sent)
    assert (await dated.read(sent.run or "")).business_date == "2026-11-18"  # type: ignore[union-attr]
    await dated.close()


async def test_a_lost_answer_is_asked_for_by_the_same_token(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    """The second call of one token starts nothing, and tells which run the first one made."""
    prepared = await adapter.prepare(action(Verb.START, key(job)))
    like.fault = "lost-once"
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    (effect,) = like.effects
    assert sent.run == key(job, int(effect.id))
    assert len(like.asked(f"{BASE}/run-now")) == 2
    assert await adapter.reconcile(prepared) == Done(
        f"run {effect.id} is PENDING (compute is being prepared)", key(job, int(effect.id))
    )


async def test_two_that_nobody_can_tell_apart_are_a_person_s_to_tell(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    job = like.add_job("p", concurrent=5)
    prepared = await adapter.prepare(action(Verb.START, key(job)))
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    other = like.add_run(job, trigger="ONE_TIME", creator=like.me)  # by another program with this credential
    like.add_run(job)  # of its schedule: none of ours
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Several)
    assert key(job, other) in found.runs
    assert len(found.runs) == 2
    like.runs[other].params = {"day": "another"}
    assert isinstance(await adapter.reconcile(prepared), Several), "it was asked for without parameters"
    given = replace(prepared, memo={**prepared.memo, "params": {"day": "mine"}})
    assert isinstance(await adapter.reconcile(given), Done), "that one was given another day"


async def test_queued_with_a_reason_is_done_skipped_never_is(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    like.add_run(job)
    prepared = await adapter.prepare(action(Verb.START, key(job), client_id="a"))
    assert "1 of 1 runs are active" in prepared.note
    await adapter.send(prepared)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.words.endswith("is QUEUED (the job's maximum of concurrent runs is reached)")
    like.runs[int(like.effects[0].id)].queue_code = None
    assert await adapter.reconcile(prepared) == NotDone(
        f"run {like.effects[0].id} is there and still queued", begun=True
    )
    like.jobs[job].queue = False
    prepared = await adapter.prepare(action(Verb.START, key(job), client_id="b"))
    await adapter.send(prepared)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert "did not run" in found.words


async def test_a_refused_start_is_not_sent_and_a_gateway_s_500_is_asked_again(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    prepared = await adapter.prepare(action(Verb.START, key(job)))
    like.fault = "lost-500"
    assert isinstance(await adapter.send(prepared), Unknown)
    assert len(like.effects) == 1
    like.fault = "503-after"
    said = await adapter.send(prepared)
    assert isinstance(said, Unknown)
    like.fault = "403-token"
    said = await adapter.send(prepared)
    assert isinstance(said, NotSent)
    assert "token is not accepted" in said.words


def test_the_token_of_an_action_is_its_own_and_short() -> None:
    assert mark_of("01JTEST") == "wf-01JTEST"
    long = {mark_of("x" * 61 + end) for end in "ab"}
    assert len(long) == 2
    assert all(len(m) == 64 for m in long)


# --- repair, stop ---------------------------------------------------------------------------------------------------


async def test_a_second_repair_names_the_first(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    first = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run), client_id="a"))
    assert isinstance(await adapter.send(first), Sent)
    assert isinstance(await adapter.reconcile(first), Done)
    for _ in range(5):
        like.tick()
    second = await adapter.prepare(action(Verb.RERUN_FROM, step_key(key(job, run), "report"), client_id="b"))
    assert second.calls[0].body["latest_repair_id"] == like.runs[run].repairs[-1]["id"]
    assert not isinstance(await adapter.reconcile(second), Done), "the first repair is not the second"
    assert isinstance(await adapter.send(second), Sent)
    assert isinstance(await adapter.reconcile(second), Done)
    for _ in range(5):
        like.tick()
    third = await adapter.prepare(action(Verb.RERUN_FROM, step_key(key(job, run), "load"), client_id="c"))
    ids = [r["id"] for r in like.runs[run].repairs[1:]]
    assert third.calls[0].body["latest_repair_id"] == ids[1], "the latest of two"
    assert isinstance(await adapter.send(third), Sent)
    assert isinstance(await adapter.reconcile(third), Done)
    assert [r["type"] for r in like.runs[run].repairs] == ["ORIGINAL", "REPAIR", "REPAIR", "REPAIR"]


async def test_a_repair_that_somebody_else_made_meanwhile_stops_ours(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    like.end(run, "FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run)))
    latest = like.runs[run].repairs[-1]["id"]
    like._repair({"run_id": run, "rerun_all_failed_tasks": True, "latest_repair_id": latest}, False)
    like.end(run, "FAILED")
    before = len(like.effects)
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "latest_repair_id" in sent.words
    assert len(like.effects) == before


async def test_a_run_in_progress_is_not_repaired(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run)))
    like.runs[run].life = "RUNNING"
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "in progress" in sent.words


async def test_stop_is_done_when_it_has_ended(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job)
    prepared = await adapter.prepare(action(Verb.STOP, key(job, run)))
    assert isinstance(await adapter.send(prepared), Sent)
    assert await adapter.reconcile(prepared) == NotDone("stop was asked for, the run is still TERMINATING", begun=True)
    like.tick()
    assert await adapter.reconcile(prepared) == Done("the run has ended: CANCELED (by a person)", key(job, run))
    del like.runs[run]
    assert await adapter.reconcile(prepared) == NotDone("Databricks no longer has this run", final=True)


async def test_a_one_time_run_can_be_stopped(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    run = like.add_run(None, run_type="SUBMIT_RUN")
    prepared = await adapter.prepare(action(Verb.STOP, f"db:submit/{run}"))
    assert isinstance(await adapter.send(prepared), Sent)
    assert like.runs[run].life == "TERMINATING"


async def test_what_is_called_like_a_secret_is_neither_proved_nor_missed_by_its_mask(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    """The engine keeps no value under such a name, so that after its restart a memo has ``****`` there."""
    job = like.add_job("p", tasks=("refresh_token", "api_key"), parameters=[{"name": "api_key", "default": ""}])
    run = like.add_run(job, "TERMINATED", "FAILED")
    repair = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run)))
    kept = replace(repair, memo=mask(dict(repair.memo)))
    assert isinstance(await adapter.reconcile(kept), NotDone), "nothing was sent"
    start = await adapter.prepare(action(Verb.START, key(job), params={"api_key": "mine"}))
    await adapter.send(start)
    fresh = DatabricksAdapter(settings(like))
    assert isinstance(await fresh.reconcile(replace(start, memo=mask(dict(start.memo)))), Done)
    pause = await adapter.prepare(action(Verb.PAUSE, key(job)))
    await adapter.send(pause)
    assert await fresh.reconcile(replace(pause, memo=mask(dict(pause.memo)))) == Done(
        "the job is paused; nothing else has changed"
    )
    await fresh.close()


# --- pause ----------------------------------------------------------------------------------------------------------

CRON = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"schedule": {**CRON, "sql_condition": {"x": 1}}}, "schedule"),
        ({"schedule": None, "trigger": {"file_arrival": {"url": "s3://x", "wait_after_last_change_seconds": 60}}}, "trigger"),
        ({"schedule": None, "continuous": {"task_retry_mode": "NEVER"}}, "continuous"),
        ({"schedule": None, "triggers": [{"schedule": CRON}, {"file_arrival": {"url": "s3://x"}, "pause_status": "PAUSED"}]}, "triggers"),
    ],
)  # fmt: skip
async def test_pausing_resends_the_whole_and_changes_nothing_else(
    like: DatabricksLike, adapter: DatabricksAdapter, more: dict[str, Any], field: str
) -> None:
    job = like.add_job("p", tags={"a": "b"}, timeout_seconds=60, **more)
    before = dict(like.jobs[job].settings)
    prepared = await adapter.prepare(action(Verb.PAUSE, key(job)))
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert found == Done("the job is paused; nothing else has changed")
    after = like.jobs[job].settings
    assert {k for k in after if after[k] != before.get(k)} == {field}

    def bare(value: Any) -> Any:
        many = value if isinstance(value, list) else [value]
        return [{k: v for k, v in one.items() if k != "pause_status"} for one in many]

    assert bare(after[field]) == bare(before[field])
    resumed = await adapter.prepare(action(Verb.RESUME, key(job)))
    assert ("some" if field != "triggers" else "all 2 triggers") in resumed.note or field != "triggers"
    assert isinstance(await adapter.send(resumed), Sent)
    assert isinstance(await adapter.reconcile(resumed), Done)
    many = after[field] if isinstance(after[field], list) else [after[field]]
    assert all(one["pause_status"] == "UNPAUSED" for one in many)


async def test_a_job_that_was_changed_since_the_plan_is_left_alone(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    """Its schedule would otherwise be put back to what it was."""
    prepared = await adapter.prepare(action(Verb.PAUSE, key(job)))
    like.jobs[job].settings["schedule"] = {
        **like.jobs[job].settings["schedule"],
        "quartz_cron_expression": "0 0 9 * * ?",
    }
    sent = await adapter.send(prepared)
    assert sent == NotSent("the job was changed since this was planned (schedule): plan it again")
    assert not like.effects
    assert like.jobs[job].settings["schedule"]["quartz_cron_expression"] == "0 0 9 * * ?"


async def test_a_change_after_the_call_is_told(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, key(job)))
    assert isinstance(await adapter.send(prepared), Sent)
    like.jobs[job].settings["timeout_seconds"] = 5
    assert await adapter.reconcile(prepared) == Done(
        "the job is paused; meanwhile somebody changed timeout_seconds of it"
    )
    like.jobs[job].settings["schedule"] = {**like.jobs[job].settings["schedule"], "timezone_id": "UTC"}
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert "its schedule is not as it was sent" in found.words


async def test_a_wide_job_is_compared_whole(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("wide", tasks=tuple(f"t{i}" for i in range(150)))
    prepared = await adapter.prepare(action(Verb.PAUSE, key(job)))
    like.jobs[job].settings["tasks"][140] = {"task_key": "t140", "notebook_task": {}}
    assert isinstance(await adapter.send(prepared), Sent), "of that nothing is put back"
    assert await adapter.reconcile(prepared) == Done("the job is paused; meanwhile somebody changed tasks of it")
    assert like.jobs[job].settings["tasks"][140] == {"task_key": "t140", "notebook_task": {}}


async def test_a_job_that_is_deployed_says_what_will_come_of_a_pause(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    job = like.add_job("p", deployment={"kind": "BUNDLE"})
    assert "next deployment may undo this" in (await adapter.prepare(action(Verb.PAUSE, key(job)))).note


async def test_two_kinds_of_trigger_at_once_are_refused(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("p", continuous={"pause_status": "UNPAUSED"})
    with pytest.raises(Conflict, match="schedule and continuous at once"):
        await adapter.prepare(action(Verb.PAUSE, key(job)))


# --- pipelines ------------------------------------------------------------------------------------------------------


async def test_an_update_is_started_once_and_stopped(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver")
    old = like.add_update(pipe, "COMPLETED", ago_s=500)
    of = f"db:pipeline.{pipe}"
    prepared = await adapter.prepare(action(Verb.START, of))
    assert prepared.calls[0].target == f"{like.url}/api/2.0/pipelines/{pipe}/updates"
    assert prepared.calls[0].body == {"full_refresh": False}
    assert await adapter.reconcile(prepared) == NotDone("the pipeline has no new update")
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Several), "Databricks does not tell whose it is"
    assert found.runs == (f"{of}/{like.effects[0].id}",)
    assert isinstance(await adapter.send(prepared), NotSent), "one is active by now"
    like.tick()
    found = await adapter.reconcile(replace(prepared, answered=found.runs[0]))
    assert isinstance(found, Done)
    assert len(like.effects) == 1
    with pytest.raises(Conflict, match="WAITING_FOR_RESOURCES already"):
        await adapter.prepare(action(Verb.START, of))
    stop = await adapter.prepare(action(Verb.STOP, found.run or ""))
    assert isinstance(await adapter.send(stop), Sent)
    assert isinstance(await adapter.reconcile(stop), NotDone)
    like.tick()
    assert await adapter.reconcile(stop) == Done("the update has ended: CANCELED", found.run)
    with pytest.raises(Conflict, match="already ended: COMPLETED"):
        await adapter.prepare(action(Verb.STOP, f"{of}/{old}"))


async def test_stopping_an_update_never_stops_the_next_one(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """The call names the pipeline only."""
    pipe = like.add_pipe("silver")
    first = like.add_update(pipe, "RUNNING")
    prepared = await adapter.prepare(action(Verb.STOP, f"db:pipeline.{pipe}/{first}"))
    like.pipes[pipe].updates[0].state = "COMPLETED"
    like.add_update(pipe, "RUNNING")
    assert await adapter.send(prepared) == NotSent("the update has ended meanwhile: COMPLETED")
    assert not like.effects


async def test_an_update_that_was_only_answered_is_not_done(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver")
    prepared = await adapter.prepare(action(Verb.START, f"db:pipeline.{pipe}"))
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    like.add_update(pipe, "RUNNING")  # of a job meanwhile
    assert isinstance(await adapter.reconcile(prepared), NotDone)


async def test_a_stop_that_was_only_answered_is_not_done(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver")
    item = like.add_update(pipe, "RUNNING")
    prepared = await adapter.prepare(action(Verb.STOP, f"db:pipeline.{pipe}/{item}"))
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    assert await adapter.reconcile(prepared) == NotDone("stop was asked for, the update is still RUNNING")
    assert not like.effects
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)


async def test_what_a_pipeline_does_not_have(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    of = f"db:pipeline.{like.add_pipe('silver')}"
    for verb in (Verb.PAUSE, Verb.RESUME):
        with pytest.raises(Unsupported, match="what starts it is a job"):
            await adapter.prepare(action(verb, of))
    with pytest.raises(Conflict, match="no parameters here") as caught:
        await adapter.prepare(action(Verb.START, of, params={"full_refresh": True}))
    assert "throws away" in caught.value.hint
    with pytest.raises(NotFound):
        await adapter.prepare(action(Verb.START, "db:pipeline.not-there"))


# --- what may be sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (f"{BASE}/runs/cancel-all", {"job_id": 1}, "no change that is known"),
        (f"{BASE}/reset", {"job_id": 1, "new_settings": {}}, "no change that is known"),
        (f"{BASE}/runs/cancel", {}, "needs a run_id"),
        (f"{BASE}/runs/cancel", {"run_id": True}, "needs a run_id"),
        (f"{BASE}/run-now", {"job_id": 1}, "without an idempotency token"),
        (f"{BASE}/update", {"job_id": 1, "new_settings": {"tasks": []}}, "more than what pauses"),
        (f"{BASE}/update", {"job_id": 1, "new_settings": {"schedule": {}}, "fields_to_remove": ["tasks"]}, "more than"),
        (f"{BASE}/runs/repair", {"run_id": 1}, "needs tasks"),
        ("/api/2.0/pipelines/x/updates", {"full_refresh": True}, "throws away"),
        ("/api/2.0/pipelines//stop", {}, "no change that is known"),
    ],
)
def test_a_call_that_would_do_more_is_not_sent(path: str, body: dict[str, Any], why: str) -> None:
    assert why in (too_much("POST", path, body) or "")


async def test_a_call_to_another_place_is_not_sent(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    prepared = await adapter.prepare(action(Verb.START, key(job)))
    with DatabricksLike() as other:
        stranger = DatabricksAdapter(settings(other))
        assert isinstance(await stranger.send(prepared), NotSent)
        assert not other.requests
        await stranger.close()


async def test_names_from_outside_stay_harmless(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    evil = "load\x1b]52;c;cHduZWQ=\x07\n\u202e[red]"
    job = like.add_job(evil, tasks=(evil,), schedule=None)
    run = like.add_run(job, "TERMINATED", "FAILED")
    prepared = await adapter.prepare(action(Verb.RERUN_FAILED, key(job, run)))
    texts = [prepared.effect, prepared.note, (await adapter.send(prepared)).words]
    texts.append((await adapter.reconcile(prepared)).words)
    with pytest.raises(Unsupported) as caught:
        await adapter.prepare(action(Verb.PAUSE, key(job)))
    for text in (*texts, str(caught.value)):
        assert text.isprintable(), repr(text)
        assert "52;c" not in text


async def test_reconcile_on_a_bad_day_is_a_typed_error(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    prepared = await adapter.prepare(action(Verb.PAUSE, key(job)))
    like.fault = "down"
    with pytest.raises(Unreachable):
        await adapter.reconcile(prepared)
