"""What the Databricks adapter reads: jobs over pages, pipelines, clusters, rights, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.databricks import DatabricksAdapter
from adapters.databricks.rights import UPDATES
from adapters.errors import AuthFailed, BadResponse, Unsupported
from adapters.extras import Standing
from adapters.model import Mode, Pipeline, Run, State, Trigger
from tests.databricks.reading_parts import drain, key
from tests.databricks.world import settings
from tests.servers.databricks_like import DatabricksLike

# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_a_job_in_our_words(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("daily", tags={"team": "cdm", "tier1": ""}, description="sales", paused=True)
    (one,) = (await adapter.pipelines()).items
    assert (one.key, one.name, one.mode, one.trigger) == (key(job), "daily", Mode.PAUSED, Trigger.CRON)
    assert (one.schedule, one.timezone) == ("30 7 * * ?", "Europe/Paris")
    assert one.tags == ("team:cdm", "tier1")
    assert [(s.name, s.after, s.operator) for s in one.steps] == [
        ("extract", (), "spark_python"), ("load", ("extract",), "spark_python"), ("report", ("load",), "spark_python"),
    ]  # fmt: skip
    assert await adapter.read(one.key) == one


async def test_a_zone_that_nobody_knows_is_not_reckoned_in(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    like.add_job("x", schedule={"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "Java/Only"})
    (one,) = (await adapter.pipelines()).items
    assert (one.trigger, one.schedule, one.timezone) == (Trigger.CRON, "0 0 6 * * ? (Java/Only)", None)


@pytest.mark.parametrize(
    ("more", "mode", "trigger", "schedule"),
    [
        ({"schedule": None}, Mode.ACTIVE, Trigger.MANUAL, None),
        ({"schedule": None, "continuous": {"pause_status": "PAUSED"}}, Mode.PAUSED, Trigger.CONTINUOUS, "continuous"),
        ({"schedule": None, "trigger": {"file_arrival": {"url": "s3://x"}, "pause_status": "UNPAUSED"}},
         Mode.ACTIVE, Trigger.EVENT, "file arrival"),
        ({"schedule": None, "trigger": {"periodic": {"interval": 4, "unit": "HOURS"}}},
         Mode.ACTIVE, Trigger.INTERVAL, "periodic 4 hours"),
        ({"schedule": None, "triggers": [
            {"schedule": {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}, "pause_status": "PAUSED"},
            {"file_arrival": {}, "pause_status": "UNPAUSED"}]}, Mode.ACTIVE, Trigger.CRON, "0 6 * * ? and 1 more"),
    ],
)  # fmt: skip
async def test_what_starts_a_job(
    like: DatabricksLike, adapter: DatabricksAdapter, more: dict[str, Any], mode: Mode, trigger: Trigger, schedule: str
) -> None:
    like.add_job("x", **more)
    (one,) = (await adapter.pipelines()).items
    assert (one.mode, one.trigger, one.schedule) == (mode, trigger, schedule)


async def test_a_job_of_many_tasks_is_read_whole(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    names = tuple(f"t{i:03d}" for i in range(250))
    job = like.add_job("wide", tasks=names)
    (one,) = (await adapter.pipelines()).items
    assert [s.name for s in one.steps] == list(names)
    run = like.add_run(job)
    steps = await adapter.steps(key(job, run))
    assert {s.step for s in steps} == set(names)
    before = len(like.asked("/api/2.2/jobs/get"))
    await adapter.pipelines()
    assert len(like.asked("/api/2.2/jobs/get")) == before, "known by now"


async def test_tasks_are_listed_seldom_and_for_new_jobs_at_once(like: DatabricksLike, job: int) -> None:
    adapter = DatabricksAdapter(settings(like))
    for _ in range(2):
        assert (await adapter.pipelines()).items[0].steps
    expanded = [r.query["expand_tasks"][0] for r in like.asked("/api/2.2/jobs/list")]
    assert expanded == ["true", "false"]
    new = like.add_job("new", tasks=("a",))
    assert all(p.steps for p in (await adapter.pipelines()).items)
    assert [r.query["job_id"] for r in like.asked("/api/2.2/jobs/get")] == [[str(new)]]
    for i in range(20):
        like.add_job(f"many{i}", tasks=("a",))
    assert all(p.steps for p in (await adapter.pipelines()).items)
    assert len(like.asked("/api/2.2/jobs/get")) == 1, "so many are listed once more"
    like.skew_s = 20 * 60
    await adapter.pipelines()
    assert like.asked("/api/2.2/jobs/list")[-1].query["expand_tasks"] == ["false"], (
        "the time is that of the last answer"
    )
    await adapter.pipelines()
    assert like.asked("/api/2.2/jobs/list")[-1].query["expand_tasks"] == ["true"]
    await adapter.close()


async def test_include_is_by_id_or_name(like: DatabricksLike, job: int) -> None:
    other = like.add_job("hourly")
    like.add_run(job)
    like.add_run(other)
    for globs in (("dai*",), (str(job),)):
        adapter = DatabricksAdapter(settings(like, include=globs))
        assert [p.key for p in (await adapter.pipelines()).items] == [key(job)]
        assert {r.partition("/")[0] for r in (await drain(adapter))[0]} == {key(job)}
        await adapter.close()


async def test_an_answer_that_is_no_list_tells_of_nothing_gone(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    like.fault = "other"
    with pytest.raises(BadResponse, match="another shape"):
        await adapter.pipelines()
    with pytest.raises(BadResponse, match="another shape"):
        await adapter.runs(None)
    like.fault_on = lambda method, path: path == "/api/2.0/pipelines"
    assert not (await adapter.pipelines()).complete


# --- pipelines, clusters, rights ------------------------------------------------------------------------------------


async def test_updates_of_a_pipeline_are_runs(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver")
    other = like.add_update(pipe, "COMPLETED", ago_s=900)
    item = like.add_update(pipe, "RUNNING")
    (one,) = (await adapter.pipelines()).items
    assert (one.key, one.name) == (f"db:pipeline.{pipe}", "silver")
    seen, cursor = await drain(adapter)
    run = seen[f"{one.key}/{item}"]
    assert (run.native, run.state) == ("RUNNING", State.RUNNING)
    assert seen[f"{one.key}/{other}"].state is State.SUCCESS
    assert [(s.step, s.state) for s in await adapter.steps(run.key)] == [("update", State.RUNNING)]
    chunk = await adapter.log(f"{run.key}#update", 1, None)
    assert b"is RUNNING" in chunk.data
    assert other[:6].encode() not in chunk.data, "events of another update"
    assert not chunk.end
    like.pipes[pipe].updates[0].state = "FAILED"
    like.say(pipe, item, "table gold does not exist", "ERROR")
    seen, _ = await drain(adapter, cursor)
    run = seen[run.key]
    assert (run.state, run.error) == (State.FAILED, "table gold does not exist")
    assert run.ended is not None, "the time of its newest event"
    chunk = await adapter.log(f"{run.key}#update", 1, chunk.cursor)
    assert chunk.data.decode().endswith("ERROR update_progress table gold does not exist\n")
    assert chunk.data.count(b"\n") == 1, "only what is new"
    assert chunk.end
    assert [r.state for r in await adapter.history(one.key)] == [State.FAILED, State.SUCCESS]
    now = await adapter.read(one.key)
    assert isinstance(now, Pipeline)
    assert now.trigger is Trigger.MANUAL


async def test_only_what_is_news_is_told_of_updates(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver")
    old = like.add_update(pipe, "FAILED", ago_s=5 * 86_400)
    stuck = like.add_update(pipe, "RUNNING", ago_s=4 * 86_400)
    seen, cursor = await drain(adapter)
    assert set(seen) == {f"db:pipeline.{pipe}/{stuck}"}, "it failed days ago: history tells that"
    assert [r.key for r in await adapter.history(f"db:pipeline.{pipe}")] == [f"db:pipeline.{pipe}/{old}"]
    like.pipes[pipe].updates[0].state = "COMPLETED"
    like.say(pipe, stuck, "done")
    quick = like.add_update(pipe, "FAILED")  # began and ended between two polls
    seen, cursor = await drain(adapter, cursor)
    for update in (stuck, quick):
        assert seen[f"db:pipeline.{pipe}/{update}"].ended is not None
    before = len(like.requests)
    await drain(adapter, cursor)
    assert len(like.requests) - before == 3, "and not asked again"


async def test_many_pipelines_are_looked_at_in_turns(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipes = [like.add_pipe(f"p{i}") for i in range(250)]
    for pipe in pipes:
        like.add_update(pipe, "COMPLETED")
    seen: dict[str, Run] = {}
    cursor = None
    for _ in range(3):
        before = len(like.asked("/api/2.0/pipelines"))
        more, cursor = await drain(adapter, cursor)
        assert len(like.asked("/api/2.0/pipelines")) - before == 1
        seen |= more
    assert len(seen) >= 249


async def test_an_update_is_followed_while_other_pages_have_their_turn(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    pipes = [like.add_pipe(f"p{i}") for i in range(220)]
    items = {pipe: like.add_update(pipe) for pipe in pipes[:30]}
    seen, cursor = await drain(adapter)
    assert len(seen) == 30
    for pipe in items:
        like.pipes[pipe].updates[0].state = "COMPLETED"
    ended: dict[str, Run] = {}
    for _ in range(3):
        before = len(like.asked("/api/2.0/pipelines"))
        seen, cursor = await drain(adapter, cursor)
        assert len(like.asked("/api/2.0/pipelines")) - before == 1
        ended |= {k: r for k, r in seen.items() if r.state is State.SUCCESS}
    assert len(ended) == 30


async def test_an_update_whose_pipeline_is_gone_is_not_followed_for_ever(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    item = like.add_update(like.add_pipe("silver"))
    _, cursor = await drain(adapter)
    assert item in (cursor or "")
    like.pipes = {}
    _, cursor = await drain(adapter, cursor)
    assert item not in (cursor or "")


async def test_pipelines_that_may_not_be_listed_are_a_note(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    like.no_pipelines = 403
    listing = await adapter.pipelines()
    assert [p.key for p in listing.items] == [key(job)]
    assert not listing.complete
    assert "pipelines may not be listed" in adapter.notes[0]
    assert (await adapter.runs(None)).complete
    like.no_pipelines = 404  # a workspace without them
    assert (await adapter.pipelines()).complete
    assert adapter.notes == ()
    without = DatabricksAdapter(settings(like, options={"pipelines": False}))
    before = len(like.asked("/api/2.0/pipelines"))
    assert (await without.pipelines()).complete
    await without.runs(None)
    assert len(like.asked("/api/2.0/pipelines")) == before
    await without.close()


async def test_clusters_are_parts(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    like.add_cluster("shared", autoscale={"min_workers": 2, "max_workers": 8}, executors=[{}, {}, {}])
    like.add_cluster("shared", "TERMINATED", "API", termination_reason={"code": "INACTIVITY", "type": "SUCCESS"})
    like.add_cluster(
        "spot", "TERMINATED", termination_reason={"code": "SPOT_INSTANCE_TERMINATION", "type": "CLOUD_FAILURE"}
    )
    like.add_cluster("bad", "ERROR", state_message="no capacity")
    like.add_cluster("odd", "LEVITATING")
    like.add_cluster("job-1-run-2", source="JOB")
    for i in range(120):
        like.add_cluster(f"c{i:03d}", "TERMINATED")
    found = {i.name: i for i in await adapter.items()}
    assert len(found) == 125
    shared = found["shared"]
    assert (shared.kind, shared.words) == ("cluster", "running, 3 of 8 workers")
    assert (shared.value, shared.limit, shared.unit) == (3, 8, "workers")
    assert (found["spot"].standing, found["spot"].words) == (Standing.WARNING, "terminated: spot instance termination")
    assert (found["bad"].standing, found["bad"].words) == (Standing.BAD, "in error: no capacity")
    assert (found["odd"].standing, found["odd"].words) == (Standing.WARNING, "LEVITATING?")
    (twin,) = (i for n, i in found.items() if n.startswith("shared ("))
    assert (twin.standing, twin.words) == (Standing.FINE, "terminated: inactivity")


async def test_more_clusters_than_are_read_is_said(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    for i in range(1_020):
        like.add_cluster(f"c{i}", "TERMINATED")
    found = await adapter.items()
    assert (found[-1].name, found[-1].words) == ("and more", "there are more than these 995 clusters")
    assert len(like.asked("/api/2.1/clusters/list")) == 10


async def test_an_unhealthy_pipeline_is_a_warning(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    pipe = like.add_pipe("silver", health="UNHEALTHY")
    await adapter.pipelines()
    (item,) = await adapter.items()
    assert (item.kind, item.standing, item.key) == ("warning", Standing.WARNING, f"db:pipeline.{pipe}")
    like.forbid = lambda method, path: "clusters" in path
    assert [(i.kind, i.name) for i in await adapter.items()] == [("cluster", ""), ("warning", item.name)]


async def test_doctor_learns_who_and_what(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    like.add_run(job, "TERMINATED", "FAILED")
    like.add_pipe("silver")
    found = await adapter.probe()
    assert (found.version, found.identity) == ("Jobs API 2.2", "ops@example.com")
    assert all(found.permissions.values())
    like.jobs[job].levels = {"ops@example.com": "CAN_VIEW"}
    can = (await adapter.probe()).permissions
    assert {v for v, may in can.items() if may} == {"view", "output", "pipelines", "clusters", UPDATES}
    like.forbid = lambda method, path: "clusters" in path
    assert (await adapter.probe()).permissions["clusters"] is False
    like.jobs[job].levels = {"ops@example.com": "CAN_MANAGE_RUN"}
    can = (await adapter.probe()).permissions
    assert (can["start"], can["stop"], can["pause"]) == (True, True, False)
    like.forbid = lambda method, path: "permissions" in path
    assert (await adapter.probe()).permissions["start"] is None
    like.groups = ["users", "admins"]
    assert (await adapter.probe()).permissions["pause"] is True
    like.groups, like.jobs = ["users"], {}
    assert "sees no job" in (await adapter.probe()).warnings[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nonsense": 1}, "has no option 'nonsense'"),
        ({"pipelines": "yes"}, "is true or false, not 'yes'"),
        ({"read_timeout": True}, "is a number of seconds"),
        ({"read_timeout": 0}, "is a number of seconds"),
        ({"date_parameter": 5}, "is the name of a job parameter"),
    ],
)
def test_options_are_checked(like: DatabricksLike, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        DatabricksAdapter(settings(like, options=options))


async def test_without_a_credential_it_says_what_is_missing(like: DatabricksLike) -> None:
    adapter = DatabricksAdapter(settings(like, auth={}))
    with pytest.raises(AuthFailed) as caught:
        await adapter.probe()
    assert "client_id" in caught.value.hint
    await adapter.close()
