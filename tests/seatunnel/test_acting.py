"""What is done to jobs: exact calls, nothing shown of a configuration, one effect whatever happens to the answer, 200 for nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from adapters.base import Call, Done, NotDone, NotSent, Prepared, Sent, Unknown
from adapters.errors import BadResponse, Conflict, NotFound, Unsupported
from adapters.model import Verb
from adapters.seatunnel import SeaTunnelAdapter
from adapters.seatunnel.states import our_id
from tests.seatunnel.world import CONFIG, FILE_SECRET, NAME, SOURCE, action, key_of, settings
from tests.servers.seatunnel_like import SeaTunnelLike

ORDERS = f"{SOURCE}:orders%20cdc"
BODY = CONFIG % FILE_SECRET


async def plan(adapter: SeaTunnelAdapter, verb: Verb, key: str, **more: object) -> Prepared:
    return await adapter.prepare(action(verb, key, **more))


# --- stop and hold ----------------------------------------------------------------------------------------------------


async def test_a_stop(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME)
    prepared = await plan(adapter, Verb.STOP, key_of(job))
    assert prepared.calls == (
        Call(
            method="POST", target=f"{like.url}/stop-job", body={"jobId": job.id, "isStopWithSavePoint": False},
            headers={"Content-Type": "application/json", "Authorization": "Basic ****"},
        ),
    )  # fmt: skip
    assert "no savepoint is made" in prepared.note
    assert isinstance(await adapter.send(prepared), Sent)
    assert await adapter.reconcile(prepared) == NotDone(
        "the job is still CANCELING; where it hangs: stop with the parameter force=true", begun=True
    )
    like.tick()
    assert await adapter.reconcile(prepared) == Done("the job is CANCELED")
    with pytest.raises(Conflict, match="already ended: CANCELED"):
        await plan(adapter, Verb.STOP, key_of(job))


@pytest.mark.parametrize("word", ["FINISHED", "FAILED"])
async def test_a_job_that_ends_by_itself_meanwhile(like: SeaTunnelLike, adapter: SeaTunnelAdapter, word: str) -> None:
    job = like.add(NAME)
    stop, hold = [await plan(adapter, v, key_of(job)) for v in (Verb.STOP, Verb.HOLD)]
    like.end(job, word)
    assert await adapter.reconcile(stop) == Done(f"the job had ended by itself: {word}")
    assert await adapter.reconcile(hold) == NotDone(f"the job ended before a savepoint was made: {word}", final=True)


async def test_a_hold_is_a_stop_with_a_savepoint(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME)
    prepared = await plan(adapter, Verb.HOLD, key_of(job))
    assert prepared.calls[0].body == {"jobId": job.id, "isStopWithSavePoint": True}
    assert "SeaTunnel has no pause" in prepared.note
    assert "release it before that" in prepared.note
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert (found.begun, found.final) == (True, False)
    like.tick()
    assert await adapter.reconcile(prepared) == Done("the job has ended with a savepoint: SAVEPOINT_DONE")
    for verb, said in (
        (Verb.HOLD, "already ended"),
        (Verb.STOP, "already ended"),
        (Verb.RERUN, "release lets it go on"),
    ):
        with pytest.raises(Conflict, match=said):
            await plan(adapter, verb, key_of(job))


async def test_a_savepoint_that_hangs_is_given_up_and_then_forced(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter
) -> None:
    job = like.add(NAME, hangs=True)
    key = key_of(job)
    with pytest.raises(Conflict, match="force is for a job that hangs"):
        await plan(adapter, Verb.STOP, key, params={"force": "true"})
    hold = await plan(adapter, Verb.HOLD, key)
    await adapter.runs(None)
    assert adapter.parameters(Verb.STOP, key) == ()
    await adapter.send(hold)
    like.tick()
    await adapter.runs(None)
    assert [p.name for p in adapter.parameters(Verb.STOP, key)] == ["force"], "asked for only where it is of use"
    assert [adapter.parameters(v, k) for v, k in ((Verb.HOLD, key), (Verb.STOP, "nonsense"))] == [(), ()]
    found = await adapter.reconcile(hold)
    assert isinstance(found, NotDone)
    assert "stop without one, then with force=true" in found.words
    with pytest.raises(Conflict, match="only a RUNNING job can be held"):
        await plan(adapter, Verb.HOLD, key)
    stop = await plan(adapter, Verb.STOP, key)
    assert "the savepoint that is being made is given up" in stop.note
    await adapter.send(stop)
    like.tick()
    assert isinstance(await adapter.reconcile(stop), NotDone)
    with pytest.raises(Conflict, match="is CANCELING already"):
        await plan(adapter, Verb.STOP, key, params={"force": "false"})
    forced = await plan(adapter, Verb.STOP, key, params={"force": True})
    assert forced.calls[0].body == {"jobId": job.id, "isStopWithSavePoint": False, "force": True}
    assert "the state of its checkpoints is unsafe" in forced.note
    assert isinstance(await adapter.send(forced), Sent)
    assert isinstance(await adapter.reconcile(forced), Done)


async def test_force_is_offered_by_shape_only(v1: SeaTunnelLike, old: SeaTunnelAdapter) -> None:
    job = v1.add(NAME, "CANCELING")
    with pytest.raises(Unsupported, match="knows no forced stop"):
        await plan(old, Verb.STOP, key_of(job), params={"force": "true"})
    with pytest.raises(Conflict, match="expected true or false"):
        await plan(old, Verb.STOP, key_of(job), params={"force": "perhaps"})


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.HOLD, Verb.RELEASE, Verb.START, Verb.RERUN])
async def test_no_other_parameter_is_taken(like: SeaTunnelLike, adapter: SeaTunnelAdapter, verb: Verb) -> None:
    key = ORDERS if verb is Verb.START else key_of(like.add(NAME))
    with pytest.raises(Conflict, match="has no parameter 'rows'"):
        await plan(adapter, verb, key, params={"rows": "5"})


async def test_a_job_that_is_forgotten_is_never_called_stopped(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME)
    prepared = await plan(adapter, Verb.STOP, key_of(job))
    await adapter.send(prepared)
    del like.jobs[job.id]
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    like.fault = "404"
    with pytest.raises(BadResponse):  # a proxy's 404 proves nothing
        await adapter.reconcile(prepared)


# --- start, rerun, release --------------------------------------------------------------------------------------------


async def test_a_start_is_its_file_with_an_id_of_ours(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, tmp_path: Path
) -> None:
    beside = like.add(NAME)
    prepared = await plan(adapter, Verb.START, ORDERS, business_date="2026-11-20")
    native = our_id("01jtest")
    (call,) = prepared.calls
    assert call.target == f"{like.url}/submit-job?jobId={native}&jobName=orders%20cdc"
    digest = hashlib.sha256(BODY.encode()).hexdigest()
    assert call.body == {"file": str(tmp_path / "orders.json"), "bytes": len(BODY), "sha256": digest}
    assert FILE_SECRET not in repr(prepared)
    assert f"at work ({beside.id}): both write" in prepared.note
    assert "2026-11-20 is not passed on" in prepared.note
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run == f"{ORDERS}/{native}"
    assert like.jobs[native].config == BODY, "whole"
    assert await adapter.reconcile(prepared) == NotDone(f"job {native} is SCHEDULED", begun=True)
    like.tick()
    assert await adapter.reconcile(prepared) == Done(f"job {native} is RUNNING", sent.run)
    assert isinstance(await adapter.send(prepared), Sent)
    like.end(like.jobs[native])
    assert isinstance(await adapter.send(prepared), Sent), "it had been submitted before"
    assert [e.job for e in like.effects] == [native], "one job"


async def test_a_rerun_is_a_new_job(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME, "FAILED")
    prepared = await plan(adapter, Verb.RERUN, key_of(job))
    assert "it starts all over" in prepared.note
    assert "both write" not in prepared.note
    assert isinstance(await adapter.send(prepared), Sent)
    assert [e.job for e in like.effects] == [our_id("01jtest")]
    with pytest.raises(Conflict, match="stop it first"):
        await plan(adapter, Verb.RERUN, key_of(like.add(NAME)))


@pytest.mark.parametrize("generation", ["v1", "v2"])
async def test_a_release_goes_on_from_the_savepoint(tmp_path: Path, generation: str) -> None:
    (tmp_path / "orders.json").write_text(BODY)
    with SeaTunnelLike(generation=generation) as like:
        adapter = SeaTunnelAdapter(settings(like, tmp_path))
        job = like.add(NAME, "SAVEPOINT_DONE", read=70)
        prepared = await plan(adapter, Verb.RELEASE, key_of(job))
        query = f"jobId={job.id}&isStartWithSavePoint=true&jobName=orders%20cdc"
        assert prepared.calls[0].target.endswith(f"/submit-job?{query}")
        assert not prepared.idempotent, "sent again after it ended it would go on once more"
        assert await adapter.reconcile(prepared) == NotDone("the job is still SAVEPOINT_DONE")
        assert isinstance(await adapter.send(prepared), Sent)
        like.tick()
        assert await adapter.reconcile(prepared) == Done(f"job {job.id} is RUNNING", key_of(job))
        like.end(like.jobs[job.id], "FAILED")
        found = await adapter.reconcile(prepared)
        assert isinstance(found, NotDone)
        assert found.final
        assert [e.verb for e in like.effects] == ["restore"]
        with pytest.raises(Conflict, match="only one that was stopped with a savepoint"):
            await plan(adapter, Verb.RELEASE, key_of(job))
        assert like.invented == []
        await adapter.close()


async def test_a_release_beside_another_job_says_so(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    other = like.add(NAME)
    prepared = await plan(adapter, Verb.RELEASE, key_of(like.add(NAME, "SAVEPOINT_DONE")))
    assert f"another job of this name is at work ({other.id}): both write" in prepared.note


# --- files ------------------------------------------------------------------------------------------------------------


async def test_without_a_file_the_reason_is_said(like: SeaTunnelLike, tmp_path: Path) -> None:
    one = SeaTunnelAdapter(settings(like, tmp_path, options={"jobs": {}}))
    for verb in (Verb.START, Verb.RERUN, Verb.RELEASE):
        assert not one.caps.can(verb)
        assert "options.jobs" in one.caps.why(verb)
    assert one.caps.can(Verb.HOLD)
    await one.close()
    one = SeaTunnelAdapter(settings(like, tmp_path))
    other = like.add("another", "SAVEPOINT_DONE")
    with pytest.raises(Unsupported, match=r"options\.jobs"):
        await plan(one, Verb.RELEASE, key_of(other))
    await one.close()


async def test_a_file_that_changed_or_went_is_not_sent(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, tmp_path: Path
) -> None:
    prepared = await plan(adapter, Verb.START, ORDERS)
    file = tmp_path / "orders.json"
    file.write_text(BODY + " ")
    sent = await adapter.send(prepared)
    assert sent == NotSent("the configuration was changed since the plan was made: plan again")
    file.unlink()
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "cannot be read: No such file" in sent.words
    for text in ("", "  \n"):
        file.write_text(text)
        with pytest.raises(Conflict, match="is empty"):
            await plan(adapter, Verb.START, ORDERS)
    file.unlink()
    with pytest.raises(Conflict, match="No such file"):
        await plan(adapter, Verb.START, ORDERS)
    assert like.effects == []


@pytest.mark.parametrize(("name", "form"), [("a.conf", "hocon"), ("a.hocon", "hocon"), ("a.sql", "sql")])
async def test_what_a_file_is_shows_in_its_name(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_text('env { job.mode = "BATCH" }\n')
    options = {"jobs": {NAME: name}}
    with SeaTunnelLike() as like:
        one = SeaTunnelAdapter(settings(like, tmp_path, options=options))
        prepared = await plan(one, Verb.START, ORDERS)
        assert prepared.calls[0].target.endswith(f"&format={form}")
        assert isinstance(await one.send(prepared), Sent)
        await one.close()
    with SeaTunnelLike(generation="v1") as like:
        one = SeaTunnelAdapter(settings(like, tmp_path, options=options))
        sent = await one.send(await plan(one, Verb.START, ORDERS))
        assert isinstance(sent, NotSent)
        assert "write the file as JSON" in sent.words
        await one.close()


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost-500", "lost", "reset"])
@pytest.mark.parametrize("verb", [Verb.STOP, Verb.HOLD, Verb.RELEASE, Verb.START])
async def test_what_may_have_happened_is_unknown_and_found_out(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, fault: str, verb: Verb
) -> None:
    status = "SAVEPOINT_DONE" if verb is Verb.RELEASE else "RUNNING"
    prepared = await plan(adapter, verb, ORDERS if verb is Verb.START else key_of(like.add(NAME, status)))
    like.fault = fault
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    like.tick()
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone if fault == "reset" else Done)
    assert len(like.effects) == (fault != "reset")


async def test_another_jobs_answer_is_none_of_ours(
    like: SeaTunnelLike, adapter: SeaTunnelAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = await plan(adapter, Verb.START, ORDERS)
    monkeypatch.setattr(like, "_submit", lambda asked, query: (200, {"jobId": "42"}))
    sent = await adapter.send(prepared)
    assert sent == Unknown("SeaTunnel answers with another job: 42")


async def test_a_call_of_another_source_is_not_sent(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    prepared = await plan(adapter, Verb.STOP, key_of(like.add(NAME)))
    for target in ("http://elsewhere.example.com/stop-job", like.url + "0/stop-job"):
        other = Prepared(
            action=prepared.action, calls=(Call(method="POST", target=target, body={}),), idempotent=True, effect="e", proof="p",
        )  # fmt: skip
        assert isinstance(await adapter.send(other), NotSent)
    assert like.effects == []


async def test_keys_that_name_nothing(like: SeaTunnelLike, adapter: SeaTunnelAdapter) -> None:
    job = like.add(NAME)
    with pytest.raises(Unsupported, match="no single job"):
        await plan(adapter, Verb.STOP, ORDERS)
    for key in (f"{ORDERS}/1", f"{SOURCE}:other/{job.id}"):
        with pytest.raises(NotFound):
            await plan(adapter, Verb.STOP, key)
    assert "SeaTunnel has no schedules" in adapter.caps.why(Verb.PAUSE)
    assert json.dumps(dict((await plan(adapter, Verb.STOP, key_of(job))).memo))
