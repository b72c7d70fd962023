"""What is read of DSS: scenarios with their triggers, runs with their steps and jobs, logs, builds, checks and metrics."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.dataiku import DataikuAdapter
from adapters.dataiku.triggers import definition
from adapters.dataiku.wire import Settings, job_state
from adapters.errors import NotFound, Unreachable
from adapters.extras import SeriesQuery, Standing
from adapters.model import Mode, Pipeline, Run, RunKind, State, Trigger
from tests.dataiku.world import settings
from tests.servers.dataiku_like import DataikuLike
from tests.servers.dataiku_state import API, Job


async def test_a_scenario_is_a_pipeline(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.add_scenario("CDM", "off", active=False, name="Switched off")
    first, off = sorted((await adapter.pipelines()).items, key=lambda p: p.key)
    assert (first.key, first.name, first.mode) == ("dss:CDM.daily", "CDM.daily", Mode.ACTIVE)
    assert (first.trigger, first.schedule, first.timezone) == (Trigger.CRON, "30 3 * * *", "UTC")
    assert first.tags == ("project:CDM", "tier1")
    assert first.owner == "ana"
    assert [s.name for s in first.steps] == ["extract", "load", "report"]
    assert (off.name, off.mode) == ("CDM.Switched off", Mode.PAUSED)
    assert first.next_run is not None
    assert 0 < first.next_run - like.now() <= 86_400_000
    assert first.next_run % 86_400_000 == (3 * 60 + 30) * 60_000
    assert off.next_run is None
    now = await adapter.read("dss:CDM.daily")
    assert isinstance(now, Pipeline)
    assert now.next_run is not None
    assert now.schedule == "30 3 * * *"


def temporal(**params: Any) -> dict[str, Any]:
    return {"type": "temporal", "active": True, "params": params}


@pytest.mark.parametrize(
    ("triggers", "kind", "schedule", "zone"),
    [
        ([temporal(frequency="Hourly", minute=5)], Trigger.CRON, "5 * * * *", "Europe/Paris"),
        ([temporal(frequency="Hourly", minute=5, repeatFrequency=3)], Trigger.INTERVAL, "each 3 hours at :05", "Europe/Paris"),
        ([temporal(frequency="Minutely", repeatFrequency=5)], Trigger.INTERVAL, "each 5 min", "Europe/Paris"),
        ([temporal(frequency="Daily", hour=2, minute=15, timezone="UTC")], Trigger.CRON, "15 2 * * *", "UTC"),
        ([temporal(frequency="Daily", hour=2, repeatFrequency=2)], Trigger.INTERVAL, "each 2 days at 02:00", "Europe/Paris"),
        ([temporal(frequency="Weekly", hour=6, daysOfWeek=["Monday", "Friday"])], Trigger.CRON, "0 6 * * 1,5", "Europe/Paris"),
        ([temporal(frequency="Weekly", hour=6)], Trigger.INTERVAL, "each 1 weeks at 06:00", "Europe/Paris"),
        ([temporal(frequency="Monthly", hour=1, startingFrom="2026-01-03T00:00:00.000+0000")], Trigger.CRON, "0 1 3 * *", "Europe/Paris"),
        ([temporal(frequency="Monthly", hour=1, monthlyRunOn="LAST_WEEK")], Trigger.INTERVAL, "each 1 months at 01:00 (LAST_WEEK)", "Europe/Paris"),
        ([temporal(frequency="Yearly")], Trigger.UNKNOWN, "Yearly", "Europe/Paris"),
        ([temporal(frequency="Hourly"), temporal(frequency="Daily", hour=4)], Trigger.UNKNOWN, "0 * * * *; 0 4 * * *", "Europe/Paris"),
        ([temporal(frequency="Hourly"), {"type": "ds_modified"}], Trigger.CRON, "0 * * * *; and on events", "Europe/Paris"),
        ([{"type": "ds_modified", "active": True}], Trigger.EVENT, None, None),
        ([{"type": "temporal", "active": False, "params": {"frequency": "Daily"}}], Trigger.MANUAL, None, None),
        (["nonsense", 7], Trigger.MANUAL, None, None),
        (None, Trigger.MANUAL, None, None),
    ],
)  # fmt: skip
def test_triggers_in_our_words(triggers: Any, kind: Trigger, schedule: str | None, zone: str | None) -> None:
    said = definition(Settings(triggers=triggers), "dss", "CDM", "Europe/Paris")
    assert (said.trigger, said.schedule, said.timezone) == (kind, schedule, zone)


def test_a_scenario_that_follows_another_waits_for_it() -> None:
    follow = {"type": "follow_scenariorun", "active": True, "params": {"projectKey": "LDZ", "scenarioId": "LOAD"}}
    assert definition(Settings(triggers=[follow]), "dss", "CDM", "UTC").after == ("dss:LDZ.LOAD",)


async def test_outcomes_are_what_they_are(like: DataikuLike, adapter: DataikuAdapter) -> None:
    wanted = {"SUCCESS": State.SUCCESS, "WARNING": State.WARNING, "FAILED": State.FAILED, "ABORTED": State.STOPPED}
    keys = {f"dss:CDM.daily/{like.add_run('CDM', 'daily', outcome=o).id}": (o, s) for o, s in wanted.items()}
    keys[f"dss:CDM.daily/{like.add_run('CDM', 'daily', trigger='manual').id}"] = ("RUNNING", State.RUNNING)
    seen = {r.key: r for r in (await adapter.runs(None)).runs}
    assert {k: (r.native, r.state) for k, r in seen.items()} == keys
    assert all(r.started and (r.ended is None) == r.state.active for r in seen.values())
    assert {r.kind for r in seen.values()} == {RunKind.SCHEDULED, RunKind.MANUAL}
    assert all(r.business_date for r in seen.values())
    (bad,) = [k for k, (_, s) in keys.items() if s is State.FAILED]
    run = await adapter.read(bad)
    assert isinstance(run, Run)
    assert run.error == "report: ORA-00001: unique constraint"


async def test_steps_jobs_and_what_is_still_to_come(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily")
    job = {"type": "JOB_EXECUTED", "jobId": "Build_x__NP__2026-11-20T09-17-37.455", "outcome": "SUCCESS"}
    like.tick()
    run.steps[0].jobs.append(job)
    like.jobs[("CDM", str(job["jobId"]))] = Job(
        "CDM", str(job["jobId"]), "RECURSIVE_BUILD", [], "ana", 1, "DONE", 1, 2, "job log\n"
    )
    steps = await adapter.steps(f"dss:CDM.daily/{run.id}")
    assert [(s.step, s.native, s.state) for s in steps] == [
        ("extract", "SUCCESS", State.SUCCESS),
        ("job Build_x__NP__2026-11-20T09-17-37.455", "SUCCESS", State.SUCCESS),
        ("load", "RUNNING", State.RUNNING),
        ("report", "not started", State.QUEUED),
    ]
    chunk = await adapter.log(steps[1].key, 1, None)
    assert (chunk.data, chunk.end) == (b"job log\n", True)
    chunk = await adapter.log(steps[3].key, 1, None)
    assert (chunk.data, chunk.end, chunk.note) == (b"", False, "not started yet")


async def test_steps_left_out_are_told_only_where_the_settings_are_as_then(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    run = like.add_run("CDM", "daily")
    like.end_run(run, "FAILED")
    await adapter.pipelines()
    steps = await adapter.steps(f"dss:CDM.daily/{run.id}")
    assert [(s.step, s.state) for s in steps] == [
        ("extract", State.FAILED), ("load", State.SKIPPED), ("report", State.SKIPPED),
    ]  # fmt: skip
    like.scenarios[("CDM", "daily")].changed = like.now() + 1
    fresh = DataikuAdapter(settings(like))
    await fresh.pipelines()
    assert [s.step for s in await fresh.steps(f"dss:CDM.daily/{run.id}")] == ["extract"]
    await fresh.close()


async def test_steps_of_one_name_are_told_apart(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily", outcome="SUCCESS")
    run.steps[1].name = run.steps[2].name = "sync"
    run.logs["s_report"] = "the second sync\n"
    steps = await adapter.steps(f"dss:CDM.daily/{run.id}")
    assert [s.step for s in steps] == ["extract", "sync (s_load)", "sync (s_report)"]
    assert (await adapter.log(steps[2].key, 1, None)).data == b"the second sync\n"


async def test_a_step_that_runs_again_is_another_try(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily", outcome="FAILED")
    run.steps[2].id, run.steps[2].name = run.steps[1].id, run.steps[1].name
    steps = await adapter.steps(f"dss:CDM.daily/{run.id}")
    assert [(s.step, s.attempt, s.state) for s in steps] == [
        ("extract", 1, State.SUCCESS), ("load", 1, State.SUCCESS), ("load", 2, State.FAILED),
    ]  # fmt: skip


async def test_a_run_without_steps_has_its_own_log(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.add_scenario("CDM", "py", type="custom_python", steps=())
    run = like.add_run("CDM", "py")
    run.logs[None] = "hello\n"
    (step,) = await adapter.steps(f"dss:CDM.py/{run.id}")
    assert (step.step, step.state) == ("scenario", State.RUNNING)
    chunk = await adapter.log(step.key, 1, None)
    assert (chunk.data, chunk.end) == (b"hello\n", False)
    run.logs[None] += "bye\n"
    like.end_run(run, "FAILED")
    chunk = await adapter.log(step.key, 1, chunk.cursor)
    assert (chunk.data, chunk.end) == (b"bye\n", True)


async def test_logs_that_shrink_or_are_gone(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily", outcome="SUCCESS")
    key = f"dss:CDM.daily/{run.id}#load"
    run.logs["s_load"] = "a long first log\n"
    chunk = await adapter.log(key, 1, None)
    run.logs["s_load"] = "anew\n"
    assert (await adapter.log(key, 1, chunk.cursor)).data == b"anew\n"
    del run.logs["s_load"]
    gone = await adapter.log(key, 1, None)
    assert (gone.data, gone.end, gone.note) == (b"", True, "DSS keeps no log of it any more")


async def test_a_long_log_that_grows_is_asked_for_less_often(like: DataikuLike, adapter: DataikuAdapter) -> None:
    run = like.add_run("CDM", "daily")
    run.logs["s_extract"] = "x" * 1_000_000 + "\n"
    key = f"dss:CDM.daily/{run.id}#extract"
    chunk = await adapter.log(key, 1, None)
    assert len(chunk.data) == 1_000_001
    run.logs["s_extract"] += "more\n"
    quiet = await adapter.log(key, 1, chunk.cursor)
    assert (quiet.data, quiet.end, quiet.cursor) == (b"", False, chunk.cursor)
    assert sum(r.path.endswith("/log") for r in like.requests) == 1
    like.end_run(run)
    last = await adapter.log(key, 1, quiet.cursor)
    assert (last.data, last.end) == (b"more\n", True), "what ended is read at once"


@pytest.mark.parametrize(
    ("word", "ended", "stable", "native", "state"),
    [
        ("NOT_STARTED", False, False, "NOT_STARTED", State.QUEUED),
        ("DONE", True, True, "DONE", State.SUCCESS),
        ("ABORTED", True, True, "ABORTED", State.STOPPED),
        ("COMPUTING_DEPS", False, False, "COMPUTING_DEPS", State.RUNNING),
        ("COMPUTING_DEPS", False, None, "COMPUTING_DEPS?", State.RUNNING),
        ("LEVITATING", True, True, "LEVITATING?", State.WARNING),
        (None, True, None, "?", State.WARNING),
    ],
)
def test_words_of_jobs(word: Any, ended: bool, stable: Any, native: str, state: State) -> None:
    assert job_state(word, ended, stable) == (native, state)


async def test_a_poll_that_was_never_taken_is_told_again(like: DataikuLike, adapter: DataikuAdapter) -> None:
    page = await adapter.runs(None)
    run = like.add_run("CDM", "daily", outcome="SUCCESS")
    key = f"dss:CDM.daily/{run.id}"
    assert key in {r.key for r in (await adapter.runs(page.cursor)).runs}
    again = await adapter.runs(page.cursor)  # the store could not be written: the same question
    assert key in {r.key for r in again.runs}
    assert key not in {r.key for r in (await adapter.runs(again.cursor)).runs}


async def test_what_ends_between_a_poll_and_history_is_news_and_no_past(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    """No alert comes of the past; so the past does not tell what no poll has told yet."""
    old = like.add_run("CDM", "daily", outcome="SUCCESS", ago_s=3_600)
    watched = like.add_run("CDM", "daily")
    page = await adapter.runs(None)
    like.end_run(watched, "FAILED")
    unseen = like.add_run("CDM", "daily", outcome="FAILED", ran_s=0.1)
    assert [r.key for r in await adapter.history("dss:CDM.daily")] == [f"dss:CDM.daily/{old.id}"]
    page = await adapter.runs(page.cursor)
    assert {f"dss:CDM.daily/{watched.id}", f"dss:CDM.daily/{unseen.id}"} <= {r.key for r in page.runs}
    assert len(await adapter.history("dss:CDM.daily")) == 3


async def test_include_and_projects_narrow_what_is_watched(like: DataikuLike) -> None:
    like.add_scenario("CDM", "other")
    like.add_scenario("HR", "secret")
    adapter = DataikuAdapter(settings(like, include=("CDM.d*",), options={"projects": ["CDM"]}))
    assert [p.key for p in (await adapter.pipelines()).items] == ["dss:CDM.daily"]
    assert not any("/HR/" in r.path for r in like.requests)
    await adapter.close()


async def test_a_closed_project_is_said_and_spoils_nothing(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.add_scenario("HR", "secret")
    like.closed.add("HR")
    run = like.add_run("CDM", "daily")
    listing = await adapter.pipelines()
    assert [p.key for p in listing.items] == ["dss:CDM.daily"]
    assert not listing.complete, "what is absent may stand in the project that cannot be read"
    assert adapter.notes[0].startswith("scenarios of project HR cannot be read: HTTP 403")
    assert f"dss:CDM.daily/{run.id}" in {r.key for r in (await adapter.runs(None)).runs}
    like.closed.clear()
    assert (await adapter.pipelines()).complete
    assert adapter.notes == ()


async def test_a_scenario_and_a_project_that_go_are_gone(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.add_scenario("HR", "x")
    assert len((await adapter.pipelines()).items) == 2
    del like.scenarios[("HR", "x")]
    assert [p.key for p in (await adapter.pipelines()).items] == ["dss:CDM.daily"]
    del like.projects["HR"]
    assert (await adapter.pipelines()).complete


async def test_older_dss_says_500_for_what_is_not_there(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.old = True
    for key in ("dss:CDM.nope", "dss:CDM.daily/nope"):
        with pytest.raises(NotFound):
            await adapter.read(key)


# --- datasets ---------------------------------------------------------------------------------------------------------


async def test_datasets_with_their_last_build(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.add_dataset("CDM", "sales", built=(1_000, 2_000, True))
    bad = like.add_dataset("CDM", "costs [eu]", built=(1_000, 3_000, False))
    like.add_dataset("CDM", "never")
    found = {a.name: a for a in await adapter.assets()}
    assert (found["sales"].last_event, found["sales"].group, found["sales"].uri) == (2_000, "CDM", "CDM.sales")
    assert found["costs [eu]"].last_event is None, "a build that failed is no update"
    assert found["never"].last_event is None
    (item,) = [i for i in await adapter.items() if i.kind == "warning"]
    assert (item.name, item.words, item.since) == ("CDM.costs [eu] build", "its last build failed", 3_000)
    assert item.standing is Standing.BAD
    bad.built = (4_000, 5_000, True)
    assert {a.name: a.last_event for a in await adapter.assets()}["costs [eu]"] == 5_000
    assert not [i for i in await adapter.items() if i.kind == "warning"]


async def test_a_dataset_is_made_by_what_builds_it(like: DataikuLike) -> None:
    like.add_scenario("CDM", "mart", builds=("sales", "LDZ.raw"))
    like.add_dataset("CDM", "sales")
    adapter = DataikuAdapter(settings(like, options={"builds": ["CDM.sales"]}))
    await adapter.pipelines()
    (asset,) = await adapter.assets()
    assert asset.producers == ("dss:CDM.dataset.sales", "dss:CDM.mart")
    await adapter.close()


async def test_many_datasets_take_turns(like: DataikuLike, adapter: DataikuAdapter) -> None:
    for n in range(50):
        like.add_dataset("CDM", f"d{n:02d}", built=(1, 2, True))
    for known in (19, 38, 50):
        before = len(like.requests)
        found = await adapter.assets()
        assert len(found) == 50
        assert sum(a.last_event is not None for a in found) == known
        assert len(like.requests) - before <= 21


async def test_checks_and_metrics_of_datasets_that_are_named(like: DataikuLike) -> None:
    rules = [
        {"id": "r1", "name": "rows in range", "outcome": "OK", "message": "9", "computeDate": 7_000},
        {"id": "r2", "name": "no nulls", "outcome": "Error", "message": "3 nulls", "computeDate": 8_000},
        {"id": "r3", "name": "odd", "outcome": "LEVITATING"},
    ]
    metrics = {"records:COUNT_RECORDS": "4120", "basic:SIZE": "99", "col_stats:TEXT": "abc"}
    like.add_dataset("CDM", "sales", built=(1, 2_000, True), rules=rules, metrics=metrics)
    adapter = DataikuAdapter(settings(like, options={"datasets": ["CDM.sales"]}))
    (asset,) = await adapter.assets()
    assert asset.last_event == 2_000
    found = {(i.kind, i.name): i for i in await adapter.items()}
    assert found[("check", "CDM.sales rows in range")].standing is Standing.FINE
    failing = found[("warning", "CDM.sales no nulls")]
    assert (failing.standing, failing.words, failing.since) == (Standing.BAD, "ERROR: 3 nulls", 8_000)
    assert found[("warning", "CDM.sales odd")].words == "LEVITATING?"
    rows = found[("metric", "CDM.sales records:COUNT_RECORDS")]
    assert (rows.value, rows.unit) == (4120.0, "rows")
    assert ("metric", "CDM.sales col_stats:TEXT") not in found
    await adapter.close()


async def test_jobs_and_long_tasks_at_work(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.jobs[("CDM", "Build_x.1")] = Job("CDM", "Build_x.1", "RECURSIVE_BUILD", [], "ana", 1, "RUNNING", 5_000)
    kinds = {i.kind: i for i in await adapter.items()}
    assert kinds["job"].name == "CDM.Build_x.1"
    assert (kinds["job"].words, kinds["job"].since) == ("job RUNNING by ana: Build_x.1", 5_000)
    assert kinds["task"].words == "export of a dataset"
    asked = [r.path for r in like.requests]
    assert asked == [f"{API}/jobs/running/", f"{API}/futures/"]


# --- metrics as series ------------------------------------------------------------------------------------------------


async def test_a_metric_is_a_series_with_the_time_of_its_computation(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    like.add_dataset("CDM", "sales", metrics={"records:COUNT_RECORDS": "4120", "col_stats:TEXT": "abc"})
    assert not (await adapter.samples(())).samples
    assert not like.requests, "without queries nothing is asked"
    queries = [
        SeriesQuery("rows", "CDM.sales | records:COUNT_RECORDS"),
        SeriesQuery("day", "CDM.sales | records:COUNT_RECORDS | 2026-11-18", "lines"),
        SeriesQuery("words", "CDM.sales | col_stats:TEXT"),
        SeriesQuery("nope", "CDM.nope | basic:SIZE"),
        SeriesQuery("odd", "CDM"),
    ]
    found = await adapter.samples(queries)
    assert [(s.series, s.value, s.unit) for s in found.samples] == [("rows", 4120.0, "rows"), ("day", 4120.0, "lines")]
    assert all(abs(s.t - like.now()) < 5_000 for s in found.samples)
    assert found.failed["words"] == "CDM.sales has no number col_stats:TEXT for NP"
    assert "404" in found.failed["nope"]
    assert found.failed["odd"].startswith("expected PROJECT.dataset | metric id")
    asked = len(like.requests)
    assert asked == 3
    again = await adapter.samples(queries)
    assert (again.samples, len(like.requests)) == (found.samples, asked), "asked once a minute at most"


@pytest.mark.parametrize(
    ("text", "fine"), [("A.b | c", True), ("A.b c | d:e | f", True), ("A.b", False), ("A | c", False), ("", False)]
)
def test_a_wrong_query_is_told_beforehand(text: str, fine: bool) -> None:
    assert (DataikuAdapter.wrong_query(text) is None) == fine


async def test_a_source_that_does_not_answer_gives_no_samples(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.fault = "down"
    with pytest.raises(Unreachable):
        await adapter.samples([SeriesQuery("rows", "CDM.sales | records:COUNT_RECORDS")])
