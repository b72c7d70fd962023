"""What is read of a cluster: states, changes by watch, pods as steps, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from adapters.errors import BadResponse, Forbidden, NotFound, RateLimited, Unreachable
from adapters.kubernetes import KubernetesAdapter
from adapters.kubernetes.states import run_of, state_of
from adapters.kubernetes.wire import Job, quantity
from adapters.model import Mode, Pipeline, Run, RunKind, State, Trigger
from tests.kubernetes.world import key_of, settings
from tests.servers.kubernetes_like import KubernetesLike
from tests.servers.kubernetes_state import template_of

META = {"name": "j", "namespace": "etl", "uid": "0123456789"}


def job(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **meta: Any) -> Job:
    body = {"metadata": META | meta, "spec": spec or {}, "status": status}
    return msgspec.json.decode(msgspec.json.encode(body), type=Job)


def cond(kind: str, reason: str | None = None, status: str = "True") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "said",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("status", "spec", "native", "state", "sub"),
    [
        ({}, {}, "Pending", State.QUEUED, None),
        (None, {}, "Pending", State.QUEUED, None),
        ({"active": 1}, {}, "Active", State.RUNNING, None),
        ({"active": 1, "failed": 2}, {}, "Active", State.RUNNING, "after 2 pods failed"),
        ({"failed": 1, "startTime": "2026-11-21T10:00:00Z"}, {}, "Backoff", State.RETRYING, "after 1 pod failed"),
        ({"conditions": [cond("Suspended")]}, {"suspend": True}, "Suspended", State.HELD, None),
        ({"active": 2}, {"suspend": True}, "Suspended", State.HELD, "2 pods still ending"),
        ({"conditions": [cond("Suspended", status="False")], "active": 1}, {}, "Active", State.RUNNING, None),
        ({"conditions": [cond("Complete")], "failed": 1}, {}, "Complete", State.SUCCESS, "after 1 pod failed"),
        ({"conditions": [cond("Complete", "SuccessPolicy")]}, {}, "Complete", State.SUCCESS, "by its success policy"),
        ({"conditions": [cond("Failed", "BackoffLimitExceeded")]}, {}, "Failed", State.FAILED, "BackoffLimitExceeded"),
        ({"conditions": [cond("Failed", "DeadlineExceeded")]}, {}, "Failed", State.TIMED_OUT, "DeadlineExceeded"),
        (
            {"conditions": [cond("FailureTarget", "PodFailurePolicy")], "active": 1},
            {}, "FailureTarget", State.STOPPING, "PodFailurePolicy: its pods are being ended",
        ),
        ({"conditions": [cond("SuccessCriteriaMet")]}, {}, "SuccessCriteriaMet", State.RUNNING, "its other pods are being ended"),
        ({"conditions": [cond("Levitating")]}, {}, "Levitating?", State.RUNNING, None),
        ({"conditions": [cond("Levitating")], "active": 1}, {}, "Active", State.RUNNING, None),
        (
            {"conditions": [cond("Levitating")], "completionTime": "2026-11-21T10:00:00Z"},
            {}, "Levitating?", State.WARNING, None,
        ),
    ],
)  # fmt: skip
def test_states(status: Any, spec: Any, native: str, state: State, sub: str | None) -> None:
    assert state_of(job(status, spec)) == (native, state, sub)


def test_a_failed_run_ends_when_it_was_found_to_fail_and_says_why() -> None:
    run = run_of(job({"conditions": [cond("Failed", "BackoffLimitExceeded")]}), "k8s", "OOMKilled")
    assert run.ended == int(datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp() * 1000)
    assert (run.sub, run.error) == ("BackoffLimitExceeded: OOMKilled", "OOMKilled: said")


def test_a_job_that_is_being_deleted_is_stopping() -> None:
    assert state_of(job({"active": 1}, deletionTimestamp="2026-11-21T10:00:00Z"))[1] is State.STOPPING


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250m", 0.25), ("123456789n", 0.123456789), ("15u", 0.000015), ("4", 4.0), ("128Mi", 2.0**27), ("1Gi", 2.0**30),
        ("1e3", 1000.0), ("129k", 129_000.0), ("2G", 2e9), (3, 3.0), (None, None), ("much", None), ("1E", 1e18), ("", None),
    ],
)  # fmt: skip
def test_quantities(text: str | None, value: float | None) -> None:
    found = quantity(text)
    assert found == value if value is None else found == pytest.approx(value)


# --- pipelines and runs -------------------------------------------------------------------------------------------------


async def runs(adapter: KubernetesAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    page = await adapter.runs(cursor)
    assert page.complete
    return {r.key: r for r in page.runs}, page.cursor


async def test_cronjobs_and_lone_jobs_are_pipelines(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_cron("off", spec={"suspend": True, "timeZone": None})
    like.add_job("daily-1", cron="daily")
    like.add_job("migrate")
    found = {p.key: p for p in (await adapter.pipelines()).items}
    assert set(found) == {"k8s:etl.cronjob.daily", "k8s:etl.cronjob.off", "k8s:etl.job.migrate"}
    daily = found["k8s:etl.cronjob.daily"]
    assert (daily.name, daily.schedule, daily.timezone, daily.mode) == (
        "daily",
        "0 3 * * *",
        "Europe/Paris",
        Mode.ACTIVE,
    )
    assert daily.tags == ("etl", "sales")
    assert [s.name for s in daily.steps] == ["main"]
    assert found["k8s:etl.cronjob.off"].mode is Mode.PAUSED
    assert found["k8s:etl.job.migrate"].trigger is Trigger.MANUAL
    assert await adapter.read("k8s:etl.job.migrate") == found["k8s:etl.job.migrate"]


@pytest.mark.parametrize(
    ("schedule", "zone", "text", "told", "trigger"),
    [
        ("0 3 * * *", None, "0 3 * * *", None, Trigger.CRON),
        ("@hourly", "Asia/Tokyo", "@hourly", "Asia/Tokyo", Trigger.CRON),
        ("CRON_TZ=Asia/Tokyo 0 3 * * *", None, "0 3 * * *", "Asia/Tokyo", Trigger.CRON),
        ("@every 1h30m", None, "every 5400s + 1807s", None, Trigger.INTERVAL),
        ("@every much", None, "@every much", None, Trigger.CRON),
    ],
)
async def test_schedules(
    like: KubernetesLike,
    adapter: KubernetesAdapter,
    schedule: str,
    zone: str | None,
    text: str,
    told: str,
    trigger: Trigger,
) -> None:
    last = {"lastScheduleTime": "2026-11-21T00:30:07Z"}
    like.add_cron("x", spec={"schedule": schedule, "timeZone": zone}, status=last)
    found = await adapter.read("k8s:etl.cronjob.x")
    assert isinstance(found, Pipeline)
    assert (found.schedule, found.timezone, found.trigger) == (text, told, trigger)


async def test_a_word_of_pods_goes_with_the_pods(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("daily-1", cron="daily")
    waiting(like, like.pods_of("daily-1")[0], "ImagePullBackOff")
    found, cursor = await runs(adapter)
    assert found[key_of(job)].sub == "ImagePullBackOff"
    job["spec"]["suspend"] = True
    like.tick()
    found, _ = await runs(adapter, cursor)
    assert (found[key_of(job)].state, found[key_of(job)].sub) == (State.HELD, None)


async def test_a_job_that_another_controller_made_is_a_pipeline_of_its_own(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("shard-0")
    job["metadata"]["ownerReferences"] = [{"kind": "JobSet", "name": "train", "uid": "u", "controller": True}]
    like.put("jobs", job)
    assert "k8s:etl.job.shard-0" in {p.key for p in (await adapter.pipelines()).items}


async def test_kinds_and_times_of_runs(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    at = "2026-11-21T03:00:00Z"
    scheduled = like.add_job(
        "daily-1", cron="daily", annotations={"batch.kubernetes.io/cronjob-scheduled-timestamp": at}
    )
    manual = like.add_job("daily-2", cron="daily", annotations={"cronjob.kubernetes.io/instantiate": "manual"})
    old = like.add_job("daily-0", cron="daily", state="failed", age_s=3 * 86_400, ran_s=60)
    found, _ = await runs(adapter)
    run = found[key_of(scheduled)]
    assert (run.kind, run.queued) == (RunKind.SCHEDULED, int(datetime.fromisoformat(at).timestamp() * 1000))
    assert found[key_of(manual)].kind is RunKind.MANUAL
    assert found[key_of(old)].backfilled, "no alert comes of what failed days before it was first seen"
    assert not run.backfilled


async def test_a_name_made_again_is_another_run(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    first = key_of(like.add_job("migrate"), "etl.job.migrate")
    found, cursor = await runs(adapter)
    assert found[first].state is State.RUNNING
    like.drop("jobs", "etl", "migrate")
    second = key_of(like.add_job("migrate"), "etl.job.migrate")
    found, _ = await runs(adapter, cursor)
    assert (found[first].state, found[second].state) == (State.STOPPED, State.RUNNING)
    assert found[first].sub == "its Job was deleted"
    with pytest.raises(NotFound, match="another one now"):
        await adapter.read(first)


async def test_an_end_that_was_cleaned_up_at_once_is_still_told(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    like.finish("daily-1", state="failed")
    like.drop("jobs", "etl", "daily-1")  # ttlSecondsAfterFinished: 0
    found, _ = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.FAILED


async def test_many_runs_come_in_pages_of_their_own(
    like: KubernetesLike, adapter: KubernetesAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.adapter.RUNS_A_PAGE", 4)
    wanted = {key_of(like.add_job(f"daily-{i}", cron="daily", state="success")) for i in range(10)}
    busy = key_of(like.add_job("daily-busy", cron="daily"))
    seen: list[str] = []
    cursor, asked = None, 0
    for _ in range(9):
        page = await adapter.runs(cursor)
        asked = asked or len(like.requests)
        seen += [r.key for r in page.runs]
        cursor = page.cursor
        if page.complete:
            break
    assert len(like.requests) == asked, "the rest of one look asks for nothing more"
    assert set(seen) == wanted | {busy}
    assert sum(key == busy for key in seen) <= 2


# --- watch --------------------------------------------------------------------------------------------------------------


async def test_after_the_first_list_only_changes_are_asked_for(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    busy = like.add_job("daily-1", cron="daily")
    done = like.add_job("daily-0", cron="daily", state="success")
    await adapter.pipelines()
    found, cursor = await runs(adapter)
    assert set(found) == {key_of(busy), key_of(done)}
    like.requests.clear()
    found, cursor = await runs(adapter, cursor)
    assert set(found) == {key_of(busy)}, "what is active is named in every poll"
    asked = [(r.path.rpartition("/")[2], "watch" in r.query) for r in like.requests]
    assert asked == [("jobs", True), ("pods", False)]
    query = like.requests[0].query
    assert (query["allowWatchBookmarks"], query["timeoutSeconds"]) == (["true"], ["1"])
    like.finish("daily-1")
    await runs(adapter, cursor)
    like.requests.clear()
    await adapter.pipelines()
    await runs(adapter, cursor)
    assert [r.path.rpartition("/")[2] for r in like.requests] == ["cronjobs", "jobs"]


async def test_a_watch_stays_open_for_a_second_and_no_longer(like: KubernetesLike) -> None:
    like.watch_wait_s = 60.0
    one = KubernetesAdapter(settings(like, options={"read_timeout": 5.0}))
    _, cursor = await runs(one)
    before = like.now()
    await runs(one, cursor)
    assert 0.9 < like.now() - before < 3
    await one.close()


@pytest.mark.parametrize("as_event", [True, False])
async def test_a_version_that_is_gone_is_listed_again(
    like: KubernetesLike, adapter: KubernetesAdapter, as_event: bool
) -> None:
    like.gone_as_event = as_event
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    like.finish("daily-1")
    like.compact()
    lists = like.lists
    found, cursor = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.SUCCESS
    assert like.lists > lists
    like.requests.clear()
    found, _ = await runs(adapter, cursor)
    assert not found
    assert [("watch" in r.query) for r in like.requests] == [True]


async def test_a_list_of_which_the_rest_is_gone_begins_again(
    like: KubernetesLike, adapter: KubernetesAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {key_of(like.add_job(f"daily-{i}", cron="daily", state="success")) for i in range(5)}
    monkeypatch.setattr("adapters.kubernetes.watch.PAGE", 2)
    real, calls = like._page, 0

    def page(resource: str, *rest: Any) -> Any:
        nonlocal calls
        calls += resource == "jobs"
        if resource == "jobs" and calls == 2:
            like.compact()
        return real(resource, *rest)

    monkeypatch.setattr(like, "_page", page)
    found, _ = await runs(adapter)
    assert set(found) == keys
    assert [r.status for r in like.requests if r.path.endswith("/jobs")] == [200, 410, 200, 200, 200]


async def test_what_may_not_be_watched_is_listed_and_that_is_said(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.may = lambda verb, resource, group, namespace: verb != "watch"
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    like.finish("daily-1")
    found, _ = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.SUCCESS
    assert adapter.notes == ("jobs may be listed and not watched in etl: whole lists are read each time",)


async def test_pages_that_are_too_long_are_asked_for_smaller(
    like: KubernetesLike, adapter: KubernetesAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.kubernetes.watch.PAGE", 50)
    keys = {key_of(like.add_job(f"daily-{i}", cron="daily", state="success")) for i in range(12)}
    http = await adapter._open()
    http._max_body = 9_000
    found, _ = await runs(adapter)
    assert set(found) == keys
    assert [r.query["limit"][0] for r in like.requests if r.path.endswith("/jobs")] == ["50", "10", *["2"] * 6]


async def test_an_answer_that_is_too_long_for_a_watch_is_listed_next_time(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    assert adapter._made is not None
    adapter._made[0]._max_body = 200
    like.finish("daily-1")
    with pytest.raises(BadResponse, match="more than"):
        await adapter.runs(cursor)
    adapter._made[0]._max_body = 1 << 20
    found, _ = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.SUCCESS


# --- rights -------------------------------------------------------------------------------------------------------------


async def test_cronjobs_that_may_not_be_listed_leave_their_jobs(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.may = lambda verb, resource, group, namespace: resource != "cronjobs"
    like.add_job("daily-1", cron="daily")
    listing = await adapter.pipelines()
    assert [p.key for p in listing.items] == ["k8s:etl.cronjob.daily"]
    assert not listing.complete
    assert adapter.notes[0].startswith("may not list cronjobs.batch in etl: HTTP 403")


async def test_jobs_that_may_not_be_listed_are_named(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.may = lambda verb, resource, group, namespace: resource != "jobs"
    with pytest.raises(Forbidden, match=r"may not list jobs\.batch in etl: .*cannot list resource"):
        await adapter.runs(None)
    assert not (await adapter.pipelines()).complete


async def test_one_namespace_that_may_not_be_read_does_not_hide_the_other(like: KubernetesLike) -> None:
    like.may = lambda verb, resource, group, namespace: namespace != "secret"
    like.add_job("daily-1", cron="daily")
    one = KubernetesAdapter(settings(like, options={"namespaces": ["etl", "secret"]}))
    listing = await one.pipelines()
    assert [p.name for p in listing.items] == ["etl.daily"]
    assert not listing.complete
    assert len((await one.runs(None)).runs) == 1
    assert any(note.startswith("may not list jobs.batch in secret") for note in one.notes)
    await one.close()


async def test_all_namespaces(like: KubernetesLike) -> None:
    like.add_cron("weekly", namespace="other")
    like.add_job("weekly-1", namespace="other", cron="weekly")
    one = KubernetesAdapter(settings(like, options={"namespaces": ["*"]}))
    assert {p.name for p in (await one.pipelines()).items} == {"etl.daily", "other.weekly"}
    page = await one.runs(None)
    assert [r.key.partition("/")[0] for r in page.runs] == ["k8s:other.cronjob.weekly"]
    assert {r.path for r in like.requests} == {"/apis/batch/v1/cronjobs", "/apis/batch/v1/jobs", "/api/v1/pods"}
    await one.close()


async def test_without_a_right_to_pods_jobs_are_told_and_that_is_said(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    like.may = lambda verb, resource, group, namespace: resource != "pods"
    job = like.add_job("daily-1", cron="daily")
    found, _ = await runs(adapter)
    assert found[key_of(job)].state is State.RUNNING
    assert adapter.notes[0].startswith("why Jobs wait or fail is not told")
    with pytest.raises(Forbidden, match='cannot list resource "pods"'):
        await adapter.steps(key_of(job))


async def test_include_is_by_native_id(like: KubernetesLike) -> None:
    like.add_job("migrate")
    like.add_job("daily-1", cron="daily")
    one = KubernetesAdapter(settings(like, include=("etl.cronjob.*",)))
    assert [p.name for p in (await one.pipelines()).items] == ["daily"]
    assert len((await one.runs(None)).runs) == 1
    await one.close()


# --- what pods say ------------------------------------------------------------------------------------------------------


def waiting(like: KubernetesLike, pod: dict[str, Any], reason: str, restarts: int = 0) -> None:
    pod["status"]["phase"] = "Pending"
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": f"{reason} it is"}},
    }
    like.put("pods", pod)


async def test_sub_labels_come_from_pods(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    pulls, stuck, killed = (like.add_job(f"daily-{i}", cron="daily") for i in range(3))
    waiting(like, like.pods_of("daily-0")[0], "ImagePullBackOff")
    pod = like.pods_of("daily-1")[0]
    pod["status"] = {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        ],
    }
    like.put("pods", pod)
    like.end_pod(like.pods_of("daily-2")[0], 137, "OOMKilled")
    like.finish("daily-2", state="failed")
    found, cursor = await runs(adapter)
    assert (found[key_of(pulls)].sub, found[key_of(pulls)].state) == ("ImagePullBackOff", State.RUNNING)
    assert found[key_of(stuck)].sub == "Unschedulable"
    assert found[key_of(killed)].sub == "BackoffLimitExceeded: OOMKilled"
    assert (found[key_of(killed)].error or "").startswith("OOMKilled: ")
    steps = await adapter.steps(key_of(stuck))
    assert (steps[0].state, steps[0].sub, steps[0].error) == (State.QUEUED, "Unschedulable", "0/3 nodes are available")
    steps = await adapter.steps(key_of(pulls))
    assert (steps[0].native, steps[0].state, steps[0].error) == (
        "ImagePullBackOff", State.RETRYING, "ImagePullBackOff it is",
    )  # fmt: skip
    steps = await adapter.steps(key_of(killed))
    assert (steps[0].native, steps[0].exit_code) == ("OOMKilled", 137)
    assert steps[0].error == "OOMKilled: it wanted more memory than 256Mi"
    like.requests.clear()
    await runs(adapter, cursor)
    assert sum("labelSelector" in r.query and " in " in r.query["labelSelector"][0] for r in like.requests) == 0


async def test_tries_are_pods_and_restarts(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("daily-1", cron="daily", ran_s=300)
    first = like.pods_of("daily-1")[0]
    like.end_pod(first, 1, ago_s=200)
    first["status"]["containerStatuses"][0] |= {
        "restartCount": 1,
        "lastState": {"terminated": {"exitCode": 9, "reason": "Error"}},
    }
    second = like.add_pod(job, ago_s=150)
    second["status"]["containerStatuses"][0] |= {
        "restartCount": 2,
        "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": like.stamp(20)}},
    }
    like.put("pods", second)
    steps = await adapter.steps(key_of(job))
    assert [(s.attempt, s.native, s.state, s.exit_code) for s in steps] == [
        (1, "Error", State.FAILED, 9),
        (2, "Error", State.FAILED, 1),
        (4, "Error", State.FAILED, 3),
        (5, "Running", State.RUNNING, None),
    ]
    assert steps[1].sub == "exit 1"


async def test_indexes_are_mapped_instances(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    spec = template_of("work", init=("fetch",), completionMode="Indexed", completions=2, parallelism=2)
    job = like.add_job("migrate", spec=spec, pod=False)
    for index in (1, 0):
        pod = like.add_pod(job, index=index)
        pod["status"]["initContainerStatuses"] = [
            {"name": "fetch", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
        ]
        like.put("pods", pod)
    steps = await adapter.steps(key_of(job, "etl.job.migrate"))
    assert [(s.step, s.map_index, s.state) for s in steps] == [
        ("fetch", 0, State.SUCCESS),
        ("fetch", 1, State.SUCCESS),
        ("work", 0, State.RUNNING),
        ("work", 1, State.RUNNING),
    ]


async def test_pods_beside_each_other_are_no_tries(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("migrate", spec=template_of(completions=2, parallelism=2))
    like.add_pod(job)
    steps = await adapter.steps(key_of(job, "etl.job.migrate"))
    assert [(s.map_index, s.attempt) for s in steps] == [(0, 1), (1, 1)]


async def test_an_evicted_pod_and_one_past_its_deadline(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    evicted = like.add_job("daily-1", cron="daily")
    pod = like.pods_of("daily-1")[0]
    pod["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    like.put("pods", pod)
    step = (await adapter.steps(key_of(evicted)))[0]
    assert (step.native, step.state, step.error) == ("Evicted", State.FAILED, "The node was low on resource: memory.")
    late = like.add_job("daily-2", cron="daily", state="deadline")
    step = (await adapter.steps(key_of(late)))[0]
    assert (step.state, step.sub) == (State.TIMED_OUT, "its pod is gone, and its log with it")
    chunk = await adapter.log(step.key, 1, None)
    assert (chunk.data, chunk.end, chunk.note) == (b"", True, "its pod was deleted, and its log with it")


async def test_a_crash_loop_is_a_retry(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    job = like.add_job("daily-1", cron="daily")
    waiting(like, like.pods_of("daily-1")[0], "CrashLoopBackOff", restarts=4)
    step = (await adapter.steps(key_of(job)))[-1]
    assert (step.native, step.state, step.attempt) == ("CrashLoopBackOff", State.RETRYING, 5)
    found, _ = await runs(adapter)
    assert found[key_of(job)].sub == "CrashLoopBackOff, 4 restarts"


# --- cost and bad days --------------------------------------------------------------------------------------------------


async def test_cost_of_2000_pipelines(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    for i in range(1_999):
        like.add_cron(f"pipe-{i:04d}")
    for i in range(6_000):
        like.add_job(f"many-{i:04d}", cron="daily", state="success", age_s=900, pod=False)
    busy = [like.add_job(f"busy-{i:03d}", cron="daily") for i in range(60)]
    bad = [like.add_job(f"bad-{i:03d}", cron="daily", state="failed") for i in range(60)]
    assert adapter._made is None
    wide = KubernetesAdapter(settings(like, options={"read_timeout": 20.0}))
    await wide.probe()
    assert len((await wide.pipelines()).items) == 2_000
    cursor, total = None, 0
    while True:
        page = await wide.runs(cursor)
        total, cursor = total + len(page.runs), page.cursor
        if page.complete:
            break
    assert total >= 6_000 + len(busy) + len(bad)
    assert len(like.requests) <= 60, "first fill"
    for _ in range(3):
        like.requests.clear()
        await wide.pipelines()
        await wide.runs(cursor)
        assert len(like.requests) <= 4, [r.path for r in like.requests]
    await wide.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("503", BadResponse), ("503-after", BadResponse), ("429-after", RateLimited), ("redirect", BadResponse),
        ("reset", Unreachable), ("wrong-types", BadResponse), ("short", BadResponse), ("422", BadResponse),
    ],
)  # fmt: skip
async def test_more_bad_days(
    like: KubernetesLike, adapter: KubernetesAdapter, fault: str, error: type[Exception]
) -> None:
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    like.finish("daily-1")
    like.fault = fault
    with pytest.raises(error):
        await adapter.runs(cursor)
    with pytest.raises(error):
        await adapter.pipelines()
    like.fault = None
    found, _ = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.SUCCESS


async def test_an_empty_list_is_no_list(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_job("daily-1", cron="daily")
    like.fault = "empty"
    with pytest.raises(BadResponse):
        await adapter.runs(None)
    with pytest.raises(BadResponse):
        await adapter.pipelines()


async def test_an_empty_watch_is_no_change(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.add_job("daily-1", cron="daily", state="success")
    _, cursor = await runs(adapter)
    like.fault = "empty"
    assert (await adapter.runs(cursor)).runs == ()


async def test_late_and_out_of_order_answers_do_not_bring_old_states_back(
    like: KubernetesLike, adapter: KubernetesAdapter
) -> None:
    job = like.add_job("daily-1", cron="daily")
    _, cursor = await runs(adapter)
    like.finish("daily-1")
    found, later = await runs(adapter, cursor)
    assert found[key_of(job)].state is State.SUCCESS
    found, _ = await runs(adapter, cursor)  # the older question once more
    assert found[key_of(job)].state is State.SUCCESS
    found, _ = await runs(adapter, later)
    assert not found


async def test_read_of_a_pipeline_says_when_it_is_suspended(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    like.find("cronjobs", "etl", "daily")["spec"]["suspend"] = True
    found = await adapter.read("k8s:etl.cronjob.daily")
    assert isinstance(found, Pipeline)
    assert found.mode is Mode.PAUSED


def test_minute_times_are_of_utc() -> None:
    run = run_of(job({"startTime": "2026-11-21T11:00:00+01:00", "active": 1}), "k8s")
    assert run.started == int((datetime(2026, 11, 21, 10, tzinfo=UTC) + timedelta()).timestamp() * 1000)
