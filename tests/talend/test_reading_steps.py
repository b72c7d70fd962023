"""What the adapter makes of TMC: steps, and what it has beside runs."""

from __future__ import annotations

import pytest

from adapters.errors import Forbidden, NotFound, Unsupported
from adapters.extras import Standing
from adapters.model import State, step_key
from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.talend.world import key_of, settings

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
    like.add_run("daily", word="EXECUTION_SUCCESS", components=[{"connector_type": "tMap"}])
    probe = await adapter.probe()
    assert probe.version == "2021-03"
    assert probe.identity == "a personal access token"
    assert probe.permissions["view"] is True
    assert probe.permissions["start"] is None
    assert probe.warnings == ()
    like.forbid = lambda method, path: path == "/processing/executables/plans/executions"
    probe = await adapter.probe()
    assert probe.permissions["view"] is False
    said = "this credential may not view runs of plans: no run of a plan is seen (needs Author, Viewer, Executor)"
    assert probe.warnings == (said,)
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
