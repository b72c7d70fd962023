"""What the adapter makes of TMC: names, states, late ends, what vanishes."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.errors import NotFound
from adapters.model import Mode, Pipeline, Run, RunKind, State, Trigger
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
