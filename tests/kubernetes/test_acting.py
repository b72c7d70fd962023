"""What is done to a cluster: exact calls, the truth about what is lost, one effect whatever happens to the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from adapters.base import Call, Done, NotDone, NotSent, Prepared, Sent, Unknown
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.http import words
from adapters.kubernetes import KubernetesAdapter
from adapters.kubernetes.acts import too_much
from adapters.kubernetes.bodies import name_for, shown
from adapters.kubernetes.plans import resumed
from adapters.kubernetes.wire import CronJob
from adapters.model import Run, RunKind, State, Verb
from tests.kubernetes.world import SECRETS, action, key_of, settings
from tests.servers.kubernetes_like import KubernetesLike
from tests.servers.kubernetes_state import template_of

DAILY = "k8s:etl.cronjob.daily"


async def plan(adapter: KubernetesAdapter, verb: Verb, key: str, **more: object) -> Prepared:
    return await adapter.prepare(action(verb, key, **more))


async def run_of(adapter: KubernetesAdapter, key: str) -> Run:
    found = await adapter.read(key)
    assert isinstance(found, Run)
    return found


# --- start and rerun ----------------------------------------------------------------------------------------------------


async def test_a_start_is_a_job_of_the_cronjob(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    prepared = await plan(adapter, Verb.START, DAILY, who="ana", business_date="2026-11-20")
    (call,) = prepared.calls
    assert (call.method, call.target) == ("POST", f"{like.url}/apis/batch/v1/namespaces/etl/jobs")
    meta = call.body["metadata"]
    assert meta["name"] == "daily-wf-01jtest"
    assert meta["annotations"] == {
        "cronjob.kubernetes.io/instantiate": "manual",
        "watchfloor/client-id": "01jtest",
        "watchfloor/started-by": "ana",
        "watchfloor/business-date": "2026-11-20",
    }
    assert meta["labels"] == {"team": "data"}
    cron = like.find("cronjobs", "etl", "daily")
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "daily", "uid": cron["metadata"]["uid"],
            "controller": True,
        }
    ]  # fmt: skip
    assert "its containers do not see it" in prepared.note
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run is not None
    run = await run_of(adapter, sent.run)
    assert (run.kind, run.client_id, run.business_date) == (RunKind.MANUAL, "01jtest", "2026-11-20")
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.begun
    like.tick()
    assert await adapter.reconcile(prepared) == Done("Job daily-wf-01jtest is Active", sent.run)


async def test_a_second_send_makes_no_second_job(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    prepared = await plan(adapter, Verb.START, DAILY)
    like.fault = "lost"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    again = await adapter.send(prepared)
    assert isinstance(again, Sent)
    assert again.words.startswith("already there")
    assert len(like.effects) == 1


@pytest.mark.parametrize("verb", [Verb.START, Verb.STOP, Verb.HOLD, Verb.PAUSE])
async def test_500_after_it_took_effect_is_unknown(
    like: KubernetesLike, adapter: KubernetesAdapter, verb: Verb
) -> None:
    job = like.add_job("daily-1", cron="daily")
    prepared = await plan(adapter, verb, DAILY if verb in (Verb.START, Verb.PAUSE) else key_of(job))
    like.fault = "lost-500"
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)
    assert len(like.effects) == 1


async def test_a_job_of_another_by_that_name_is_not_ours(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    prepared = await plan(adapter, Verb.START, DAILY)
    like.add_job("daily-wf-01jtest", cron="daily")
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "another Job has this name" in sent.words
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final


async def test_secrets_of_a_template_are_sent_and_not_shown(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    prepared = await plan(adapter, Verb.START, DAILY)
    text = repr(prepared)
    assert not [s for s in SECRETS if s in text]
    container = prepared.calls[0].body["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "DSN", "value": "****"}]
    assert container["command"] == ["run", "--password", "****"]
    await adapter.send(prepared)
    made = json.dumps(like.effects[0].body)
    assert all(s in made for s in SECRETS)
    assert "****" not in made


async def test_a_template_that_changed_since_the_plan_is_not_started(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    prepared = await plan(adapter, Verb.START, DAILY)
    cron = like.find("cronjobs", "etl", "daily")
    cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "another secret"
    cron["metadata"]["generation"] += 1
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "changed since the plan" in sent.words
    assert like.effects == []


async def test_notes_of_a_start(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_cron(
        "busy", spec={"concurrencyPolicy": "Forbid", "suspend": True}, status={"active": [{"name": "busy-1"}]},
        template=template_of(ttlSecondsAfterFinished=60),
    )  # fmt: skip
    note = (await plan(adapter, Verb.START, "k8s:etl.cronjob.busy")).note
    for part in (
        "its schedule is suspended; this run starts all the same",
        "1 run active: concurrencyPolicy Forbid holds for its schedule, not for this start",
        "it counts among the 3 successful Jobs that are kept",
        "Kubernetes deletes it and its log 60 s after its end",
    ):
        assert part in note
    with pytest.raises(Conflict, match="no parameters"):
        await plan(adapter, Verb.START, DAILY, params={"x": 1})


def test_names_are_names_of_kubernetes() -> None:
    assert name_for("daily", "01JABCDEF") == "daily-wf-01jabcdef"
    long = name_for("a" * 52, "01jabcdefghjkmnpqrstvwxyz0")
    assert len(long) == 63
    assert long.endswith("a-wf-01jabcdefghjkmnpqrstvwxyz0")
    assert name_for("a.b-" * 12, "x" * 30).split("-wf-")[0][-1].isalnum()
    odd = name_for("daily", "Ünï/c#de " * 9)
    assert len(odd) <= 63
    assert odd.isascii()
    assert odd != name_for("daily", "Ünï/c#de " * 8)


async def test_a_rerun_is_a_copy_without_what_was_the_old_ones(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("daily-1", cron="daily", state="failed")
    key = key_of(job)
    prepared = await plan(adapter, Verb.RERUN, key)
    assert "a new Job by the same template" in prepared.note
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run is not None
    body = like.effects[0].body
    assert "selector" not in body["spec"]
    assert body["spec"]["template"]["metadata"]["labels"] == {}
    run = await run_of(adapter, sent.run)
    assert (run.kind, run.rerun_of) == (RunKind.RERUN, key)
    assert sent.run.startswith(DAILY + "/")
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)


async def test_a_copy_of_a_lone_job_is_a_run_of_the_same_pipeline(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("migrate", state="failed")
    prepared = await plan(adapter, Verb.RERUN, key_of(job, "etl.job.migrate"))
    sent = await adapter.send(prepared)
    assert isinstance(sent, Sent)
    assert sent.run is not None
    assert sent.run.startswith("k8s:etl.job.migrate/migrate-wf-")
    assert [p.key for p in (await adapter.pipelines()).items if ".job." in p.key] == ["k8s:etl.job.migrate"]
    like.drop("jobs", "etl", "migrate")
    assert (await adapter.read("k8s:etl.job.migrate")).key == "k8s:etl.job.migrate"
    prepared = await adapter.prepare(replace(action(Verb.START, "k8s:etl.job.migrate"), client_id="second"))
    assert prepared.calls[0].body["metadata"]["name"] == "migrate-wf-second"
    assert isinstance(await adapter.send(prepared), Sent)


async def test_what_cannot_be_run_again_says_why(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    own = like.add_job("own", state="failed", spec=template_of(manualSelector=True))
    with pytest.raises(Conflict, match="manualSelector"):
        await plan(adapter, Verb.RERUN, key_of(own, "etl.job.own"))
    shard = like.add_job("shard", state="failed")
    shard["metadata"]["ownerReferences"] = [{"kind": "JobSet", "name": "train", "uid": "u", "controller": True}]
    with pytest.raises(Conflict, match="JobSet train made this Job"):
        await plan(adapter, Verb.RERUN, key_of(shard, "etl.job.shard"))
    busy = like.add_job("daily-1", cron="daily")
    with pytest.raises(Conflict, match="still Active: stop it first"):
        await plan(adapter, Verb.RERUN, key_of(busy))
    for verb in (Verb.RERUN_FAILED, Verb.RERUN_FROM, Verb.MARK, Verb.BACKFILL):
        with pytest.raises(Unsupported):
            await plan(adapter, verb, key_of(busy))
        assert len(adapter.caps.why(verb)) > 15


async def test_a_copy_that_would_be_deleted_at_once_is_not_made(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    key = key_of(like.add_job("daily-1", cron="daily", state="failed"))
    like.drop("cronjobs", "etl", "daily")
    with pytest.raises(Conflict, match="would delete a copy at once"):
        await plan(adapter, Verb.RERUN, key)
    like.add_cron("daily")  # the same name, and another one
    with pytest.raises(Conflict, match="would delete a copy at once"):
        await plan(adapter, Verb.RERUN, key)


# --- stop, hold, release ------------------------------------------------------------------------------------------------


async def test_a_stop_deletes_in_the_background_and_says_what_goes(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("daily-1", cron="daily")
    key = key_of(job)
    prepared = await plan(adapter, Verb.STOP, key)
    (call,) = prepared.calls
    assert call.method == "DELETE"
    assert call.body["propagationPolicy"] == "Background"
    assert call.body["preconditions"] == {"uid": job["metadata"]["uid"]}
    assert "the Job, its pods and their logs are deleted" in prepared.note
    page = await adapter.runs(None)
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert found == NotDone("Job daily-1 is gone, 1 of its pods still end", begun=True)
    like.tick()
    assert await adapter.reconcile(prepared) == Done("Job daily-1 and its pods are gone")
    page = await adapter.runs(page.cursor)
    assert [(r.key, r.state, r.native) for r in page.runs] == [(key, State.STOPPED, "Deleted")]
    again = await adapter.send(prepared)
    assert isinstance(again, NotSent)
    assert again.words.startswith("it is gone already")


async def test_a_stop_never_hits_a_job_that_took_the_name(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("migrate")
    prepared = await plan(adapter, Verb.STOP, key_of(job, "etl.job.migrate"))
    like.drop("jobs", "etl", "migrate")
    for pod in like.all("pods"):
        like.drop("pods", "etl", pod["metadata"]["name"])
    like.add_job("migrate")
    assert isinstance(await adapter.send(prepared), NotSent)
    assert like.effects == []
    assert isinstance(await adapter.reconcile(prepared), Done), "the Job that was meant is gone"


async def test_a_404_of_something_else_proves_no_stop(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("daily-1", cron="daily")
    prepared = await plan(adapter, Verb.STOP, key_of(job))
    like.fault = "404"
    with pytest.raises(NotFound):
        await adapter.reconcile(prepared)


async def test_what_ended_is_neither_stopped_nor_held(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("daily-1", cron="daily", state="success")
    for verb in (Verb.STOP, Verb.HOLD, Verb.RELEASE):
        with pytest.raises(Conflict, match="already ended: Complete"):
            await plan(adapter, verb, key_of(job))


async def test_a_hold_loses_work_and_says_so(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_cron("strict", spec={"concurrencyPolicy": "Forbid"})
    job = like.add_job("strict-1", cron="strict", spec=template_of(activeDeadlineSeconds=600))
    key = key_of(job, "etl.cronjob.strict")
    prepared = await plan(adapter, Verb.HOLD, key)
    assert prepared.effect == "suspends Job strict-1: 1 pod deleted"
    for part in (
        "Kubernetes freezes nothing: 1 pod deleted with work and logs that were not kept elsewhere",
        "its time limit of 600 s begins anew",
        "while it is held strict starts no further run (concurrencyPolicy Forbid)",
    ):
        assert part in prepared.note
    assert prepared.calls[0].headers["Content-Type"] == "application/merge-patch+json"
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.begun
    assert like.pods_of("strict-1")[0]["metadata"]["deletionTimestamp"]
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)
    assert (await run_of(adapter, key)).state is State.HELD
    prepared = await plan(adapter, Verb.RELEASE, key)
    assert "new pods start from the beginning" in prepared.note
    assert isinstance(await adapter.send(prepared), Sent)
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)


async def test_what_was_set_back_is_not_done(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_cron("kept", annotations={"argocd.argoproj.io/tracking-id": "app:batch/CronJob:etl/kept"})
    prepared = await plan(adapter, Verb.PAUSE, "k8s:etl.cronjob.kept")
    assert "Argo CD keeps this CronJob and may set it back" in prepared.note
    assert prepared.steady == 2
    await adapter.send(prepared)
    assert isinstance(await adapter.reconcile(prepared), Done)
    cron = like.find("cronjobs", "etl", "kept")
    cron["spec"]["suspend"] = False
    like.put("cronjobs", cron)
    assert await adapter.reconcile(prepared) == NotDone("kept is still active")


# --- the schedule -------------------------------------------------------------------------------------------------------

NOW = 1_795_255_200_000  # 2026-11-21T10:00:00Z


def cron(spec: dict[str, Any], **status: Any) -> CronJob:
    body = {
        "metadata": {"name": "c", "namespace": "etl", "uid": "u", "creationTimestamp": "2026-11-21T04:30:00Z"},
        "spec": {"schedule": "0 * * * *", "timeZone": "UTC", **spec},
        "status": status,
    }
    return msgspec.json.decode(msgspec.json.encode(body), type=CronJob)


@pytest.mark.parametrize(
    ("spec", "status", "says"),
    [
        (
            {}, {"lastScheduleTime": "2026-11-21T07:00:00Z"},
            ["3 starts missed since 2026-11-21T07:00:00Z", "one run starts at once, for 2026-11-21T10:00:00Z; the others are not made up for"],
        ),
        ({}, {"lastScheduleTime": "2026-11-21T10:00:00Z"}, ["no start was missed"]),
        ({}, {}, ["6 starts missed since 2026-11-21T04:30:00Z", "one run starts at once, for 2026-11-21T10:00:00Z; the others are not made up for"]),
        (
            {"startingDeadlineSeconds": 200, "schedule": "30 * * * *"}, {"lastScheduleTime": "2026-11-21T08:30:00Z"},
            ["1 start missed since 2026-11-21T08:30:00Z", "none of them in the last 200 s (startingDeadlineSeconds): none is made up for"],
        ),
        (
            {"concurrencyPolicy": "Forbid"}, {"lastScheduleTime": "2026-11-21T09:00:00Z", "active": [{"name": "x"}]},
            ["1 start missed since 2026-11-21T09:00:00Z", "one run starts at once, for 2026-11-21T10:00:00Z; the others are not made up for",
             "concurrencyPolicy Forbid: not while 1 run still active"],
        ),
        (
            {"schedule": "* * * * *"}, {"lastScheduleTime": "2026-11-20T07:00:00Z"},
            ["more than 100 starts missed since 2026-11-20T07:00:00Z", "one run starts at once, for 2026-11-21T10:00:00Z; the others are not made up for"],
        ),
        ({"schedule": "not one"}, {}, ["no startingDeadlineSeconds: the latest missed start is made up for at once"]),
    ],
)  # fmt: skip
def test_what_a_resume_makes_up_for(spec: Any, status: Any, says: list[str]) -> None:
    assert resumed(cron(spec, **status), NOW) == says


async def test_a_pause_says_what_goes_on_and_what_will_be_missed(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.add_cron("busy", spec={"startingDeadlineSeconds": 300}, status={"active": [{"name": "busy-1"}]})
    note = (await plan(adapter, Verb.PAUSE, "k8s:etl.cronjob.busy")).note
    assert "1 active run will go on" in note
    assert "only one of the last 300 s before it is resumed is made up for" in note
    with pytest.raises(Conflict, match="busy is already active"):
        await plan(adapter, Verb.RESUME, "k8s:etl.cronjob.busy")
    like.add_job("migrate")
    with pytest.raises(Unsupported, match="has no schedule"):
        await plan(adapter, Verb.PAUSE, "k8s:etl.job.migrate")


# --- guards -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "where", "body"),
    [
        ("DELETE", "/apis/batch/v1/namespaces/etl/jobs", {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}),
        ("DELETE", "/apis/batch/v1/namespaces/etl/jobs/", {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}),
        ("DELETE", "/apis/batch/v1/namespaces/etl/jobs/x", {"propagationPolicy": "Background"}),
        ("DELETE", "/apis/batch/v1/namespaces/etl/jobs/x", {"preconditions": {"uid": "u"}}),
        ("DELETE", "/apis/batch/v1/namespaces/etl/cronjobs/x", {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}),
        ("PATCH", "/apis/batch/v1/namespaces/etl/cronjobs/x", {"spec": {"suspend": True, "schedule": "* * * * *"}}),
        ("PATCH", "/apis/batch/v1/namespaces/etl/jobs", {"spec": {"suspend": True}}),
        ("POST", "/apis/batch/v1/namespaces/etl/cronjobs", {}),
        ("POST", "/api/v1/namespaces/etl/pods", {}),
        ("PATCH", "/apis/batch/v1/jobs/x", {"spec": {"suspend": True}}),
    ],
)  # fmt: skip
async def test_a_call_that_names_no_single_thing_is_never_sent(
    like: KubernetesLike, adapter: KubernetesAdapter, method: str, where: str, body: Any
) -> None:
    assert too_much(method, where, body)
    good = await plan(adapter, Verb.PAUSE, DAILY)
    bad = replace(good, calls=(Call(method=method, target=like.url + where, body=body),))
    assert isinstance(await adapter.send(bad), NotSent)
    assert like.effects == []


async def test_a_call_of_another_host_is_never_sent(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    good = await plan(adapter, Verb.PAUSE, DAILY)
    other = replace(good.calls[0], target=good.calls[0].target.replace("127.0.0.1", "127.0.0.2"))
    assert isinstance(await adapter.send(replace(good, calls=(other,))), NotSent)


async def test_a_right_that_is_missing_is_named_by_send(like: KubernetesLike) -> None:
    one = KubernetesAdapter(settings(like))
    prepared = await one.prepare(action(Verb.PAUSE, DAILY))
    like.may = lambda verb, resource, group, namespace: verb != "patch"
    sent = await one.send(prepared)
    assert isinstance(sent, NotSent)
    assert 'cannot patch resource "cronjobs"' in sent.words
    await one.close()


def test_scripts_are_masked_line_by_line() -> None:
    body = {"command": ["sh", "-c", "set -e\nexport API_TOKEN=abc123\npython x.py"], "args": ["--api-key=k1", "plain"]}
    out = shown(body)
    assert "abc123" not in json.dumps(out)
    assert out["command"][2].splitlines()[2] == "python x.py"
    assert out["args"] == ["--api-key=****", "plain"]
    assert words("x") == "x"
