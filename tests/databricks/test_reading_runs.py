"""What the Databricks adapter reads of runs: repairs, what ended unseen, steps and their output."""

from __future__ import annotations

import pytest

from adapters.databricks import DatabricksAdapter
from adapters.databricks.sweep import FIRST_PAGES
from adapters.errors import NotFound
from adapters.model import Run, RunKind, State
from tests.databricks.reading_parts import drain, key
from tests.databricks.world import settings
from tests.servers.databricks_like import DatabricksLike

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
    broken = page.cursor.replace('"more":{"token":"', '"more":{"token":"AAAA')
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
