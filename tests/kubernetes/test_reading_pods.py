"""What a cluster lets one read, and what pods say of steps."""

from __future__ import annotations

import pytest

from adapters.errors import Forbidden
from adapters.kubernetes import KubernetesAdapter
from adapters.model import State
from tests.kubernetes.reading_parts import runs, waiting
from tests.kubernetes.world import key_of, settings
from tests.servers.kubernetes_like import KubernetesLike
from tests.servers.kubernetes_state import template_of

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
