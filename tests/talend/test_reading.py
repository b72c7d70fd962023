"""What the adapter makes of TMC: names, states, late ends, what vanishes, steps, engines."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.errors import Forbidden, NotFound, Unsupported
from adapters.extras import Standing
from adapters.model import Mode, Pipeline, Run, RunKind, State, Trigger, step_key
from adapters.talend import TalendAdapter
from adapters.talend.wire import plan_state, task_state
from tests.servers.talend_like import TalendLike
from tests.servers.talend_state import Exec
from tests.talend.world import key_of, settings


async def drain(adapter: TalendAdapter, cursor: str | None) -> tuple[dict[str, Run], str | None]:
    page = await adapter.runs(cursor)
    assert page.complete
    return {r.key: r for r in page.runs}, page.cursor


# --- pipelines --------------------------------------------------------------------------------------------------------


async def test_tasks_and_plans_by_name_with_their_places(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_task("held", "Held back", paused=True)
    found = {p.key: p for p in (await adapter.pipelines()).items}
    daily = found[key_of("daily")]
    assert (daily.name, daily.mode, daily.owner) == ("Load sales", Mode.ACTIVE, "ops")
    assert daily.tags == ("PROD", "Sales", "task")
    assert found[key_of("held")].mode is Mode.PAUSED
    plan = found[key_of("nightly", kind="plan")]
    assert [(s.name, s.after) for s in plan.steps] == [("Step 1", ()), ("Step 2", ("Step 1",))]
    assert "plan" in plan.tags


async def test_what_starts_them_comes_little_by_little(like: TalendLike, adapter: TalendAdapter) -> None:
    for i in range(9):
        like.add_task(f"t{i}", f"T {i}")
    like.tasks["t8"].trigger = {"type": "WEBHOOK", "startDate": "2024-01-01", "timeZone": "UTC"}
    like.tasks["t7"].trigger = None
    counts: list[int] = []
    for _ in range(5):
        found = {p.key: p for p in (await adapter.pipelines()).items}
        counts.append(sum(p.trigger is Trigger.UNKNOWN for p in found.values()))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0 == counts[-1]
    daily = found[key_of("daily")]
    assert (daily.trigger, daily.schedule, daily.timezone) == (Trigger.CRON, "15 3 * * *", "Europe/Paris")
    assert found[key_of("t8")].trigger is Trigger.EVENT
    assert found[key_of("t7")].trigger is Trigger.MANUAL, "without a run configuration nothing starts it"


@pytest.mark.parametrize("needed", [False, True])
async def test_schedules_in_one_list(like: TalendLike, adapter: TalendAdapter, needed: bool) -> None:
    like.schedules_need_environment = needed
    like.tasks["daily"].trigger = {"type": "MULTIPLE"}
    like.schedules.append(
        {
            "id": "s1",
            "environmentId": "env-1",
            "executableId": "daily",
            "executableType": "Task",
            "triggers": [
                {"name": "a", "type": "CRON", "cronExpression": "0 6 ? * 2-6 *", "timeZone": "Europe/Paris"},
                {"name": "b", "type": "DAILY", "interval": 1, "atTimes": {"type": "AT_TIME", "time": "22:30"}},
            ],
        }
    )
    like.schedules.append({"id": "s2", "environmentId": "env-1", "triggers": [{"name": "c", "type": "CRON"}]})
    (daily,) = [p for p in (await adapter.pipelines()).items if p.key == key_of("daily")]
    assert daily.schedule == "0 6 * * mon-fri + 30 22 * * * (several)"
    read = await adapter.read(key_of("daily"))
    assert isinstance(read, Pipeline)
    assert read.schedule == daily.schedule


async def test_several_triggers_are_read_from_its_own_schedule(like: TalendLike, adapter: TalendAdapter) -> None:
    like.tasks["daily"].trigger = {"type": "MULTIPLE"}
    like.schedules.append(
        {"id": "s", "environmentId": "env-1", "executableId": "daily", "triggers": [{"name": "a", "type": "WEBHOOK"}]}
    )
    like.forbid = lambda method, path: path == "/orchestration/schedules"
    read = await adapter.read(key_of("daily"))
    assert isinstance(read, Pipeline)
    assert (read.trigger, read.schedule) == (Trigger.EVENT, "webhook")


async def test_next_runs_of_all_in_one_question(like: TalendLike, adapter: TalendAdapter) -> None:
    now = int(like.now().timestamp() * 1000)
    like.events += [
        {"id": "daily", "type": "TASK", "date": now + 7_200_000},
        {"id": "daily", "type": "TASK", "date": now + 3_600_000, "sourceTriggerName": "a"},
        {"id": "nightly", "type": "PLAN", "date": now + 60_000},
        {"id": "held", "type": "TASK", "date": now + 60_000},
    ]
    like.add_task("held", paused=True)
    nexts: dict[str, int | None] = {}
    for _ in range(2):  # the first answer tells the server's time
        nexts = {p.key: p.next_run for p in (await adapter.pipelines()).items}
    assert nexts[key_of("daily")] == now + 3_600_000
    assert nexts[key_of("nightly", kind="plan")] == now + 60_000
    assert nexts[key_of("held")] is None, "TMC refuses what is paused"


async def test_too_many_next_runs_are_not_believed(like: TalendLike, adapter: TalendAdapter) -> None:
    now = int(like.now().timestamp() * 1000)
    like.events += [{"id": "daily", "type": "TASK", "date": now + 60_000 + i * 10} for i in range(400)]
    listing = await adapter.pipelines()
    assert all(p.next_run is None for p in listing.items)
    assert any("too many in 1 of 1 environments" in n for n in adapter.notes)


async def test_what_may_not_be_read_beside_is_a_word_and_no_failure(like: TalendLike, adapter: TalendAdapter) -> None:
    like.forbid = lambda method, path: path.endswith(("/schedules", "/search", "/run-config"))
    assert len((await adapter.pipelines()).items) == 5
    said = " | ".join(adapter.notes)
    assert "schedules could not be read" in said
    assert "next runs could not be read" in said
    assert "run configurations" in said


async def test_an_environment_and_a_workspace_narrow_it(like: TalendLike) -> None:
    like.environments["env-2"] = "TEST"
    like.workspaces["ws-2"] = ("Other", "env-2")
    like.add_task("other", "Other", workspace="ws-2")
    like.add_run("other", "o1")
    like.add_run("daily", "d1")
    for options, runs in (({"environment": "PROD"}, {"d1"}), ({"environment": "env-2", "workspace": "Other"}, {"o1"})):
        one = TalendAdapter(settings(like, options=options))
        listing = await one.pipelines()
        assert (key_of("other") in {p.key for p in listing.items}) == (runs == {"o1"})
        assert {r.key.rpartition("/")[2] for r in (await one.runs(None)).runs} == runs
        await one.close()
    wrong = TalendAdapter(settings(like, options={"environment": "PRD"}))
    for ask in (wrong.pipelines, wrong.probe, lambda: wrong.runs(None)):
        with pytest.raises(NotFound, match="no environment 'PRD'"):
            await ask()
    await wrong.close()


async def test_only_what_include_names(like: TalendLike) -> None:
    one = TalendAdapter(settings(like, include=("plan.*",)))
    like.add_run("daily", "d1")
    like.add_run("nightly", "n1")
    assert {p.key for p in (await one.pipelines()).items} == {key_of("nightly", kind="plan")}
    assert {r.key for r in (await one.runs(None)).runs} == {key_of("nightly", "n1", "plan")}
    await one.close()


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state", "sub"),
    [
        ("EXECUTION_EVENT_RECEIVED", State.QUEUED, None),
        ("DISPATCHING_FLOW", State.QUEUED, None),
        ("STARTING_FLOW_EXECUTION", State.RUNNING, None),
        ("STOPPING_FLOW_EXECUTION", State.STOPPING, None),
        ("EXECUTION_SUCCESS", State.SUCCESS, None),
        ("EXECUTION_REJECTED", State.WARNING, "rejected rows"),
        ("EXECUTION_FAILED", State.FAILED, None),
        ("DEPLOY_FAILED", State.FAILED, "could not be deployed"),
        ("EXECUTION_TERMINATED", State.STOPPED, None),
        ("EXECUTION_TERMINATED_TIMEOUT", State.TIMED_OUT, None),
        ("EXECUTION_TERMINATED_SHUTDOWN", State.FAILED, "its engine was shut down"),
    ],
)
async def test_words_of_tasks(like: TalendLike, adapter: TalendAdapter, word: str, state: State, sub: str) -> None:
    like.add_run("daily", "e1", word=word)
    run = await adapter.read(key_of("daily", "e1"))
    assert isinstance(run, Run)
    assert (run.native, run.state, run.sub) == (word, state, sub)
    assert (run.ended is not None) == state.terminal


def test_a_timeout_told_only_by_the_coarse_word() -> None:
    assert task_state("EXECUTION_TERMINATED", "terminated_timeout", None, True)[1] is State.TIMED_OUT
    assert task_state("NEW_WORD", "execution_failed", None, True) == ("NEW_WORD", State.FAILED, None)
    assert task_state("NEW_WORD", None, None, True) == ("NEW_WORD?", State.WARNING, None)
    assert task_state(None, None, None, False) == ("?", State.RUNNING, None)
    assert plan_state("FINISHED", "execution_failed", None, True)[1] is State.FAILED
    assert plan_state("FINISHED", None, None, True) == ("FINISHED?", State.WARNING, None)
    assert plan_state("FINISHED", "executing", None, False)[1] is State.RUNNING
    assert plan_state("UNDEFINED", None, None, False) == ("UNDEFINED?", State.RUNNING, None)
    assert plan_state("EXECUTION_MISFIRED", "execution_misfired", None, True)[1] is State.SKIPPED


async def test_what_never_started_is_skipped_with_its_reason(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1", word="EXECUTION_FAILED", misfired="PARALLEL_EXECUTION_FORBIDDEN")
    (run,) = (await adapter.runs(None)).runs
    assert (run.state, run.sub, run.started) == (State.SKIPPED, "another run was still going", None)
    assert run.native == "PARALLEL_EXECUTION_FORBIDDEN"


async def test_times_kinds_and_the_date(like: TalendLike) -> None:
    one = TalendAdapter(settings(like, timezone="Pacific/Auckland"))
    made = like.add_run("daily", "e1", word="EXECUTION_FAILED", type="MANUAL", error="no such table\n at x")
    run = await one.read(key_of("daily", "e1"))
    assert isinstance(run, Run)
    assert made.finish is not None
    assert run.queued == int(made.trigger.timestamp() * 1000)
    assert run.ended == int(made.finish.timestamp() * 1000)
    assert (run.kind, run.error) == (RunKind.MANUAL, "no such table at x")
    assert made.start is not None
    assert run.business_date == made.start.astimezone(ZoneInfo("Pacific/Auckland")).date().isoformat()
    await one.close()


async def test_a_run_that_ends_late_is_seen_below_the_newest_page(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "old", ago_s=7_200)
    seen, cursor = await drain(adapter, None)
    assert seen[key_of("daily", "old")].state is State.RUNNING
    for i in range(150):
        like.add_run("daily", f"n{i}", word="EXECUTION_SUCCESS", ago_s=1)
    seen, cursor = await drain(adapter, cursor)
    assert seen[key_of("daily", "old")].state is State.RUNNING
    like.finish("old", "EXECUTION_REJECTED")
    for fresh in (adapter, TalendAdapter(settings(like))):  # the same after a restart
        seen, _ = await drain(fresh, cursor)
        assert seen[key_of("daily", "old")].state is State.WARNING
        await fresh.close()


async def test_the_first_look_finds_what_began_weeks_ago(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "weeks", ago_s=40 * 86_400)
    like.add_run("daily", "ended", ago_s=40 * 86_400, word="EXECUTION_SUCCESS")
    seen, cursor = await drain(adapter, None)
    assert set(seen) == {key_of("daily", "weeks")}
    active = await adapter.runs(cursor, active_only=True)
    assert {r.key for r in active.runs} == set(seen)


async def test_a_microservice_that_vanished_from_the_lists_still_runs(like: TalendLike, adapter: TalendAdapter) -> None:
    run = like.add_run("daily", "service", ago_s=3_600)
    _, cursor = await drain(adapter, None)
    run.vanished = True
    for _ in range(3):
        seen, cursor = await drain(adapter, cursor)
        assert seen[key_of("daily", "service")].state is State.RUNNING
    like.finish("service")  # stopped: such a run ends as a success
    seen, cursor = await drain(adapter, cursor)
    assert seen[key_of("daily", "service")].state is State.SUCCESS
    assert key_of("daily", "service") not in (await drain(adapter, cursor))[0]


async def test_runs_come_newest_first_and_shift_while_they_are_paged(like: TalendLike, adapter: TalendAdapter) -> None:
    for i in range(250):
        like.add_run("daily", f"r{i}", word="EXECUTION_SUCCESS", ago_s=300 + i)
    plain, added = like._list, []

    def shifting(kind: str, of: str, query: Any) -> Any:
        if kind == "task" and query.get("offset") != ["0"]:
            added.append(like.add_run("daily", f"new{len(added)}", word="EXECUTION_SUCCESS", ago_s=0).id)
        return plain(kind, of, query)

    like._list = shifting  # type: ignore[method-assign]
    page = await adapter.runs(None)
    keys = [r.key for r in page.runs]
    assert len(keys) == len(set(keys))
    assert {key_of("daily", f"r{i}") for i in range(250)} <= set(keys)
    like._list = plain  # type: ignore[method-assign]
    seen, _ = await drain(adapter, page.cursor)
    assert len(added) == 2
    assert {key_of("daily", a) for a in added} <= set(seen)


async def test_what_begins_during_a_long_first_look_is_not_lost(like: TalendLike, adapter: TalendAdapter) -> None:
    for i in range(2_050):
        like.add_run("daily", f"r{i}", word="EXECUTION_SUCCESS", ago_s=4_000 + i)
    page = await adapter.runs(None)
    assert not page.complete
    like.add_run("daily", "meanwhile", word="EXECUTION_SUCCESS", ago_s=0)
    like.skew_s += 600  # the budget let it wait
    last = await adapter.runs(page.cursor)
    assert last.complete
    seen = {r.key for r in (*page.runs, *last.runs)}
    assert {key_of("daily", f"r{i}") for i in range(2_050)} <= seen
    assert key_of("daily", "meanwhile") in (await drain(adapter, last.cursor))[0]


async def test_a_list_in_no_order_is_read_to_its_end(like: TalendLike, adapter: TalendAdapter) -> None:
    for i in range(250):
        like.add_run("daily", f"r{i}", word="EXECUTION_SUCCESS", ago_s=600 + i)
    _, cursor = await drain(adapter, None)
    like.add_run("daily", "fresh", word="EXECUTION_SUCCESS", ago_s=0)
    plain = like._page
    like._page = lambda items, query, show=lambda one: one: plain(  # type: ignore[method-assign]
        sorted(items, key=lambda e: hash(e.id) if isinstance(e, Exec) and e.id != "fresh" else 1 << 62), query, show
    )
    assert key_of("daily", "fresh") in (await drain(adapter, cursor))[0]


async def test_a_run_that_shows_late_is_seen(like: TalendLike, adapter: TalendAdapter) -> None:
    late = like.add_run("daily", "late", word="EXECUTION_SUCCESS", ago_s=40, hidden=1)
    seen, cursor = await drain(adapter, None)
    assert seen == {}
    like.skew_s += 30
    late.hidden = 0
    assert key_of("daily", "late") in (await drain(adapter, cursor))[0]


async def test_a_look_at_a_run_each_second_is_cheap(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("nightly", "p1")
    key = key_of("nightly", "p1", "plan")
    await adapter.steps(key)
    began = len(like.requests)
    await adapter.read(key)
    steps = await adapter.steps(key)
    assert {s.step for s in steps if s.state is State.RUNNING} == {"Step 1", "Task extract"}
    assert len(like.requests) - began == 2
    run = like.execs["p1"]
    like.finish(run.steps[0].tasks[0])
    like.tick()
    like.tick()
    await adapter.read(key)
    steps = await adapter.steps(key)
    assert "Task load" in {s.step for s in steps}, "what was done since is not told from memory"


async def test_runs_of_nothing_are_left_out_with_a_word(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1")
    plain = like._task_run
    like._task_run = lambda run, alone=False: {  # type: ignore[method-assign,assignment,misc]
        k: v for k, v in plain(run, alone=alone).items() if k != "taskId"
    }
    assert (await adapter.runs(None)).runs == ()
    assert any("without saying of which task" in n for n in adapter.notes)


async def test_history_of_one(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "now")
    for i in range(70):
        like.add_run("daily", f"d{i}", word="EXECUTION_SUCCESS", ago_s=86_400 * (i % 70) + 60)
    before = len(like.requests)
    past = await adapter.history(key_of("daily"))
    assert len(like.requests) - before == 1
    assert len(past) == 60
    assert all(r.backfilled and r.state is State.SUCCESS for r in past)
    assert [r.queued for r in past] == sorted((r.queued for r in past), reverse=True)  # type: ignore[type-var]
    with pytest.raises(NotFound):
        await adapter.history(key_of("nowhere"))


# --- steps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["plan", "execution"])
async def test_steps_of_a_plan_with_their_tasks(like: TalendLike, adapter: TalendAdapter, names: str) -> None:
    like.plan_id_of_tasks = names
    like.add_plan("long", "Long", steps=[["extract"], ["load", "report"], ["publish"]])
    like.add_run("long", "other")  # of the same plan, at the same time
    run = like.add_run("long", "p1", ago_s=50)
    like.finish(run.steps[0].tasks[0])
    like.tick()
    like.tick()
    steps = {s.step: s for s in await adapter.steps(key_of("long", "p1", "plan"))}
    assert {n: s.state for n, s in steps.items()} == {
        "Step 1": State.SUCCESS,
        "Task extract": State.SUCCESS,
        "Step 2": State.RUNNING,
        "Task load": State.QUEUED,
        "Task report": State.QUEUED,
        "Step 3": State.QUEUED,
    }
    ordered = sorted(steps.values(), key=lambda s: s.order)
    assert [s.step for s in ordered] == ["Step 1", "Task extract", "Step 2", "Task load", "Task report", "Step 3"]
    assert steps["Task load"].operator == "task"


async def test_steps_that_were_not_reached_are_skipped_when_it_is_over(
    like: TalendLike, adapter: TalendAdapter
) -> None:
    like.add_plan("long", "Long", steps=[["extract"], ["load", "report"], ["publish"]])
    like.add_run("long", "p1", word="EXECUTION_FAILED")
    steps = {s.step: s for s in await adapter.steps(key_of("long", "p1", "plan"))}
    assert steps["Step 2"].state is State.FAILED
    assert steps["Task load"].state is State.FAILED
    assert steps["Task load"].error == "Job failed"
    assert (steps["Step 3"].state, steps["Step 3"].sub) == (State.SKIPPED, "not reached")


async def test_a_task_in_two_steps_and_a_plan_that_was_changed_since(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_plan("twice", "Twice", steps=[["extract"], ["extract"]])
    like.add_run("twice", "p1", word="EXECUTION_SUCCESS", ago_s=60)
    names = [s.step for s in await adapter.steps(key_of("twice", "p1", "plan"))]
    assert sorted(names) == ["Step 1", "Step 2", "Task extract", "Task extract (2)"]
    del like.plans["twice"]
    like.plans["twice"] = like.add_plan("twice", "Twice", steps=[])
    fresh = TalendAdapter(settings(like))
    again = {s.step for s in await fresh.steps(key_of("twice", "p1", "plan"))}
    assert {"step 1", "step 2"} <= again
    await fresh.close()


async def test_rows_and_components_of_a_task(like: TalendLike, adapter: TalendAdapter) -> None:
    now = int(like.now().timestamp())
    run = like.add_run("daily", "e1", word="EXECUTION_FAILED", rows=1234, rejected=5)
    run.components = [
        {
            "connector_type": "tDBOutput",
            "connector_label": "write FACT",
            "component_start_time_seconds": now - 20,
            "component_execution_duration_milliseconds": 3_000,
            "component_connection_rows_total": 1200,
            "stacktrace": "java.sql.SQLException: no\n\tat x",
        },
        {
            "connector_type": "tDBInput",
            "connector_label": "read ERP",
            "component_start_time_seconds": now - 40,
            "component_execution_duration_milliseconds": "2000",
            "component_connection_rows_total": 1234,
        },
    ]
    steps = {s.step: s for s in await adapter.steps(key_of("daily", "e1"))}
    assert list(steps) == ["job", "read ERP", "write FACT"]
    assert steps["job"].sub == "1,234 rows, 5 rejected"
    assert (steps["read ERP"].state, steps["read ERP"].sub) == (State.SUCCESS, "1,234 rows")
    assert steps["read ERP"].ended == (now - 38) * 1000
    failed = steps["write FACT"]
    assert (failed.state, failed.operator) == (State.FAILED, "tDBOutput")
    assert (failed.error or "").startswith("java.sql.SQLException: no")
    chunk = await adapter.log(step_key(key_of("daily", "e1"), "read ERP"), 1, None)
    assert chunk.end
    assert "that of job" in (chunk.note or "")


async def test_components_that_may_not_be_read_are_asked_for_once(like: TalendLike, adapter: TalendAdapter) -> None:
    like.forbid = lambda method, path: path.endswith("/component")
    like.add_run("daily", "e1", word="EXECUTION_SUCCESS")
    for _ in range(3):
        assert [s.step for s in await adapter.steps(key_of("daily", "e1"))] == ["job"]
    assert sum(s.path.endswith("/component") for s in like.requests) == 1
    assert any("components of runs may not be read" in n for n in adapter.notes)


async def test_keys_of_another_task_are_not_mixed_up(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_task("second", "Second")
    like.add_run("daily", "e1")
    for key in (
        key_of("second", "e1"),
        key_of("e1", "e1"),
        key_of("daily", "e1", "plan"),
        "tmc:daily/e1",
        "tmc:job.daily",
    ):
        with pytest.raises(NotFound):
            await adapter.read(key)


# --- beside runs ----------------------------------------------------------------------------------------------------------


async def test_an_engine_that_is_away_matters_where_tasks_run_on_it(like: TalendLike, adapter: TalendAdapter) -> None:
    like.engines[0]["availability"] = "NOT_AVAILABLE"
    like.engines += [
        {"id": "engine-2", "name": "RE prod 1", "availability": "NOT_AVAILABLE"},
        {"id": "engine-3", "name": "RE new", "availability": "AVAILABLE"},
        {"id": "engine-4", "name": "RE odd"},
    ]
    await adapter.pipelines()
    found = {i.name: i for i in await adapter.items()}
    assert (found["RE prod 1"].standing, found["RE prod 1"].words) == (Standing.BAD, "not available; 4 tasks run on it")
    assert found["RE prod 1 (engine-2)"].standing is Standing.FINE
    assert found["RE new"].words == "available; no task runs on it"
    assert found["RE odd"].standing is Standing.WARNING


async def test_probe_finds_out_by_reading(like: TalendLike, adapter: TalendAdapter) -> None:
    probe = await adapter.probe()
    assert probe.version == "2021-03"
    assert probe.identity == "a personal access token"
    assert probe.permissions["view"] is True
    assert probe.permissions["start"] is None
    assert probe.warnings == ()
    like.forbid = lambda method, path: path == "/processing/executables/plans/executions"
    probe = await adapter.probe()
    assert probe.permissions["view"] is False
    assert probe.warnings == ("this credential may not read runs of plans",)
    like.forbid = lambda method, path: True
    with pytest.raises(Forbidden):
        await adapter.probe()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"regoin": "eu"}, "no option 'regoin'"),
        ({"region": "mars"}, "one of eu, us, us-west, ap, au, not 'mars'"),
        ({"environment": 3}, "'environment' of the talend adapter is a text"),
        ({"requests_per_second": 0}, "a number up to 1000, not 0"),
        ({"read_timeout": True}, "a number up to 600"),
        ({"token_expires": "soon"}, "a date as 2027-01-31, not 'soon'"),
    ],
)
def test_options_are_checked(like: TalendLike, options: dict[str, object], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        TalendAdapter(settings(like, options=options))


def test_a_region_instead_of_a_url(like: TalendLike) -> None:
    one = TalendAdapter(settings(like, url="", options={"region": "us-west"}))
    assert repr(one) == "TalendAdapter('tmc', 'https://api.us-west.cloud.talend.com')"
    with pytest.raises(Unsupported, match=r"needs a url or options\.region"):
        TalendAdapter(settings(like, url=""))
