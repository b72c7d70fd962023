"""What is read of a cluster: states, changes by watch, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.errors import BadResponse, NotFound, RateLimited, Unreachable
from adapters.kubernetes import KubernetesAdapter
from adapters.kubernetes.states import run_of, state_of
from adapters.kubernetes.wire import quantity
from adapters.model import Mode, Pipeline, RunKind, State, Trigger
from tests.kubernetes.reading_parts import job, runs, waiting
from tests.kubernetes.world import key_of, settings
from tests.servers.kubernetes_like import KubernetesLike


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
