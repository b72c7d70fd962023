"""What the Databricks adapter reads: paging, tasks and repairs, what ended unseen, output, rights, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.databricks import DatabricksAdapter
from adapters.databricks.sweep import FIRST_PAGES
from adapters.errors import AuthFailed, BadResponse, NotFound, Unsupported
from adapters.extras import Standing
from adapters.model import Mode, Pipeline, Run, RunKind, State, Trigger
from tests.databricks.world import settings
from tests.servers.databricks_like import DatabricksLike


async def drain(adapter: DatabricksAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    seen: dict[str, Run] = {}
    while True:
        page = await adapter.runs(cursor)
        seen |= {r.key: r for r in page.runs}
        cursor = page.cursor
        if page.complete:
            return seen, cursor


def key(job: int, run: int | None = None) -> str:
    return f"db:{job}" if run is None else f"db:{job}/{run}"


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


# --- runs -----------------------------------------------------------------------------------------------------------


async def test_a_run_in_our_words(like: DatabricksLike, job: int) -> None:
    adapter = DatabricksAdapter(settings(like, timezone="Pacific/Auckland"))
    run = like.add_run(
        job, "TERMINATED", "FAILED", trigger="ONE_TIME", params={"day": "2026-11-18"}, message="it broke"
    )
    like.runs[run].start = 1_795_258_800_000  # 2026-11-21T11:00Z: already the 22nd in Auckland
    like.runs[run].end = 1_795_258_860_000
    one = await adapter.read(key(job, run))
    assert isinstance(one, Run)
    assert (one.native, one.state, one.kind, one.error) == ("FAILED", State.FAILED, RunKind.MANUAL, "it broke")
    assert (one.queued, one.ended) == (1_795_258_800_000, 1_795_258_860_000)
    assert (one.params, one.business_date) == ({"day": "2026-11-18"}, "2026-11-22")
    assert one.url == f"https://adb.example.com/?o=1#job/{job}/run/{run}"
    dated = DatabricksAdapter(settings(like, options={"date_parameter": "day"}))
    assert (await dated.read(key(job, run))).business_date == "2026-11-18"  # type: ignore[union-attr]
    await adapter.close()
    await dated.close()


async def test_a_run_of_another_job_is_not_found(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(like.add_job("other"))
    with pytest.raises(NotFound, match="none of"):
        await adapter.read(key(job, run))


async def test_a_quiet_poll_is_three_requests(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    _, cursor = await drain(adapter)
    before = len(like.requests)
    await adapter.runs(cursor)
    assert [r.path.rpartition("/")[2] for r in like.requests[before:]] == ["list", "list", "pipelines"]


async def test_what_started_long_ago_and_ends_is_seen(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    """Databricks can be asked by start only: an end is found because the run leaves the active ones."""
    runs = [like.add_run(job, ago_s=9 * 86_400 + i) for i in range(2)]
    seen, cursor = await drain(adapter)
    assert all(seen[key(job, r)].state is State.RUNNING for r in runs)
    like.end(runs[0])
    like.end(runs[1], "FAILED")
    seen, cursor = await drain(adapter, cursor)
    assert [seen[key(job, r)].state for r in runs] == [State.SUCCESS, State.FAILED]
    assert key(job, runs[0]) not in (await drain(adapter, cursor))[0], "and then it is asked about no more"


async def test_many_that_end_at_once_are_not_asked_one_by_one(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    runs = [like.add_run(job, ago_s=600 + i) for i in range(20)]
    _, cursor = await drain(adapter)
    for run in runs:
        like.end(run)
    before = len(like.requests)
    seen, _ = await drain(adapter, cursor)
    assert all(seen[key(job, r)].state is State.SUCCESS for r in runs)
    assert len(like.requests) - before <= 4


async def test_a_word_that_nobody_knows_is_also_a_note(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job)
    like.runs[run].life = "HIBERNATING"
    seen, cursor = await drain(adapter)
    assert (seen[key(job, run)].native, seen[key(job, run)].state) == ("HIBERNATING?", State.RUNNING)
    assert adapter.notes == ("Databricks uses words that are not known here: HIBERNATING?",)
    like.end(run)
    await drain(adapter, cursor)
    assert adapter.notes == ()


async def test_what_waits_for_a_retry_is_not_lost(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    """It is not among the active runs of Databricks; it goes on all the same."""
    run = like.add_run(job, ago_s=3600)
    _, cursor = await drain(adapter)
    like.runs[run].life = "WAITING_FOR_RETRY"
    for _ in range(2):
        seen, cursor = await drain(adapter, cursor)
        assert seen[key(job, run)].state is State.RETRYING
    like.runs[run].life = "RUNNING"
    seen, cursor = await drain(adapter, cursor)
    assert seen[key(job, run)].state is State.RUNNING


async def test_a_repaired_run_goes_on(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED", ago_s=7200)
    seen, cursor = await drain(adapter)
    assert seen[key(job, run)].state is State.FAILED
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    seen, cursor = await drain(adapter, cursor)
    assert seen[key(job, run)].state is State.QUEUED
    for _ in range(4):
        like.tick()
    seen, _ = await drain(adapter, cursor)
    assert seen[key(job, run)].state is State.SUCCESS


async def test_one_time_runs_where_they_are_asked_for(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    like.add_run(job)
    run = like.add_run(None, "TERMINATED", "SUCCESS", run_type="SUBMIT_RUN")
    like.add_run(None, run_type="WORKFLOW_RUN")
    assert {r.partition("/")[0] for r in (await drain(adapter))[0]} == {key(job)}
    both = DatabricksAdapter(settings(like, options={"submit_runs": True}))
    assert {p.key for p in (await both.pipelines()).items} == {key(job), "db:submit"}
    seen, _ = await drain(both)
    assert seen[f"db:submit/{run}"].state is State.SUCCESS
    assert len(seen) == 2
    assert [s.step for s in await both.steps(f"db:submit/{run}")] == ["only"]
    await both.close()


async def test_history_is_of_that_job_and_deep_enough(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    other = like.add_job("other")
    for i in range(100):
        like.add_run(job, "TERMINATED", "SUCCESS", ago_s=3600.0 * i)
        like.add_run(other, "TERMINATED", "SUCCESS")
    like.add_run(job)
    past = await adapter.history(key(job), depth=60)
    assert len(past) == 60
    assert all(r.key.startswith(key(job)) and r.backfilled for r in past)
    starts = [r.queued or 0 for r in past]
    assert starts == sorted(starts, reverse=True)


async def test_two_thousand_jobs_are_few_requests(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """First fill at most 60, a poll after it at most 4, also while older runs are still being read."""
    jobs = [like.add_job(f"j{i:04d}", tasks=("a",)) for i in range(2_000)]
    for job in jobs:
        like.add_run(job, "TERMINATED", "SUCCESS", ago_s=60 + job % 80_000)
    for _ in range(50):
        like.add_pipe("p")
    before = len(like.requests)
    listing = await adapter.pipelines()
    assert len(listing.items) == 2_050
    assert listing.complete
    seen, cursor = await drain(adapter)
    assert len(like.requests) - before <= 60
    assert len(seen) >= FIRST_PAGES * 23
    polls = 0
    while len(seen) < 2_000:
        before = len(like.requests)
        more, cursor = await drain(adapter, cursor)
        assert len(like.requests) - before <= 4
        seen, polls = seen | more, polls + 1
        assert polls < 100, "older runs never came"
    before = len(like.requests)
    await drain(adapter, cursor)
    assert len(like.requests) - before <= 4
    assert adapter.spent[0] == len(like.requests)


async def test_a_page_token_that_is_forgotten_begins_anew(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("busy")
    _, cursor = await drain(adapter)
    for _ in range(600):
        like.add_run(job, "TERMINATED", "SUCCESS")
    page = await adapter.runs(cursor)
    assert not page.complete
    assert page.cursor
    broken = page.cursor.replace('"more":"', '"more":"AAAA')
    assert broken != page.cursor
    seen, _ = await drain(adapter, broken)
    assert len({r.key for r in page.runs} | seen.keys()) == 600


async def test_late_pages_do_not_undo_what_is_newer(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    """A run that ends between two questions of one poll is told as ended: the later answer counts."""
    run = like.add_run(job)
    like.fault_on = lambda method, path: bool(like.asked("/api/2.2/jobs/runs/list")) and ends()

    def ends() -> bool:
        if len(like.asked("/api/2.2/jobs/runs/list")) == 2:
            like.end(run)
        return False

    page = await adapter.runs(None)
    assert [r.state for r in page.runs] == [State.SUCCESS]


# --- steps ----------------------------------------------------------------------------------------------------------


async def test_repairs_are_attempts_of_their_tasks(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    like.tick()
    steps = await adapter.steps(key(job, run))
    assert [(s.step, s.attempt, s.state) for s in steps] == [
        ("extract", 1, State.SUCCESS), ("load", 1, State.SUCCESS), ("report", 1, State.FAILED), ("report", 2, State.RUNNING),
    ]  # fmt: skip
    assert steps[2].error == "Workload failed, see run output for details"
    assert steps[0].operator == "spark_python"


async def test_where_only_the_last_try_is_told_its_repair_counts(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    like._repair({"run_id": run, "rerun_all_failed_tasks": True}, False)
    found = like.runs[run]
    found.tasks = list(like.latest(found).values())
    for task in found.tasks:
        task.attempt = 0
    assert [(s.step, s.attempt) for s in await adapter.steps(key(job, run))] == [
        ("extract", 1), ("load", 1), ("report", 2),
    ]  # fmt: skip
    chunk = await adapter.log(f"{key(job, run)}#report", 1, None)
    assert (chunk.end, chunk.note) == (True, "Databricks no longer tells of try 1")


async def test_a_run_without_tasks_is_one_step(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job)
    like.runs[run].tasks = []
    assert [(s.step, s.state) for s in await adapter.steps(key(job, run))] == [("run", State.RUNNING)]


# --- output ---------------------------------------------------------------------------------------------------------


async def test_the_error_and_its_trace_end_the_log(like: DatabricksLike, adapter: DatabricksAdapter, job: int) -> None:
    run = like.add_run(job, "TERMINATED", "FAILED")
    chunk = await adapter.log(f"{key(job, run)}#report", 1, None)
    assert chunk.data.decode() == (
        'report began\nTraceback (most recent call last):\n  File "/x.py", line 1\nValueError: no rows\n'
    )
    assert chunk.end
    again = await adapter.log(f"{key(job, run)}#report", 1, chunk.cursor)
    assert (again.data, again.end) == (b"", True)


async def test_a_log_cut_at_its_front_goes_on_where_it_was(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job)
    step, task = f"{key(job, run)}#extract", like.runs[run].tasks[0]
    task.logs = "".join(f"line {i}\n" for i in range(100))
    chunk = await adapter.log(step, 1, None)
    assert chunk.data.decode() == task.logs
    task.logs = task.logs[500:] + "and more\n"
    task.truncated = True
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert chunk.data == b"and more\n"
    assert chunk.note == "Databricks gives the last 5 MB of this log only"
    task.logs = "quite another end\n"
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert chunk.data == b"quite another end\n"
    assert "some of this log is missing" in (chunk.note or "")
    assert not chunk.end


async def test_a_notebook_has_no_log_and_says_so(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("nb", tasks=("one",), kind="notebook")
    run = like.add_run(job)
    step = f"{key(job, run)}#one"
    chunk = await adapter.log(step, 1, None)
    assert (chunk.data, chunk.end) == (b"", False)
    assert chunk.note == "Databricks gives no log of a notebook task while it runs"
    like.end(run)
    like.runs[run].tasks[0].output = "42 rows"
    like.runs[run].tasks[0].truncated = True
    chunk = await adapter.log(step, 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"result: 42 rows\n", True)
    assert chunk.note == "Databricks gives the first 5 MB of this result only"


async def test_a_task_not_begun_and_one_that_is_not_there(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    run = like.add_run(job)
    for step, attempt in (("load", 1), ("extract", 2)):
        chunk = await adapter.log(f"{key(job, run)}#{step}", attempt, None)
        assert (chunk.data, chunk.end, chunk.note) == (b"", False, "not started yet")
    with pytest.raises(NotFound, match="no task nope"):
        await adapter.log(f"{key(job, run)}#nope", 1, None)


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
    found = await adapter.probe()
    assert (found.version, found.identity) == ("Jobs API 2.2", "ops@example.com")
    assert all(found.permissions.values())
    like.jobs[job].levels = {"ops@example.com": "CAN_VIEW"}
    can = (await adapter.probe()).permissions
    assert {v for v, may in can.items() if may} == {"view", "pipelines", "clusters"}
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
