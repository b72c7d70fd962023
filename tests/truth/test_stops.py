"""Our own stop stays our own, whatever path its run is seen by."""

from __future__ import annotations

from datetime import timedelta

from adapters.model import ActionState, State
from engine.store import actions as rows
from tests.servers.airflow_like import AirflowLike
from tests.truth.world import KEY, Floor


async def stopped(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    assert floor.state() is State.RUNNING
    floor.acted("stop")
    server.set_task("daily", "r1", "extract", state="failed", end=server.now())
    server.set_run("daily", "r1", "failed")
    await floor.poll()
    assert floor.state() is State.STOPPED


async def test_history_after_a_restart_does_not_make_our_stop_a_failure(floor: Floor, server: AirflowLike) -> None:
    await stopped(floor, server)
    server.runs[("daily", "r1")].updated -= timedelta(hours=1)  # no poll has a reason to name it again
    await floor.restart()
    await floor.poll()
    found = floor.run()
    assert (found.row.state, found.stopped_by) == (State.STOPPED, "ana")


async def test_a_look_between_a_rerun_s_intent_and_its_effect_is_still_the_stopped_run(
    floor: Floor, server: AirflowLike
) -> None:
    await stopped(floor, server)
    floor.acted("rerun", state=ActionState.EXECUTING)
    await floor.poll()  # the server has not cleared it yet: it still says failed
    assert floor.state() is State.STOPPED
    assert floor.open_alerts() == []


async def test_a_rerun_that_did_nothing_leaves_the_stopped_run_stopped(floor: Floor, server: AirflowLike) -> None:
    await stopped(floor, server)
    floor.acted("rerun", state=ActionState.VERIFY_TIMEOUT)
    await floor.poll()
    assert floor.state() is State.STOPPED


async def test_a_stop_that_was_not_done_after_all_is_no_excuse(floor: Floor, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    await floor.poll()
    action = floor.acted("stop", state=ActionState.EXECUTING)
    server.set_run("daily", "r1", "failed")  # by itself, while our call is on its way
    await floor.poll()
    assert floor.state() is State.STOPPED
    with floor.store.transaction() as tx:
        assert rows.move(tx, action, ActionState.FAILED_NOT_EXECUTED, "refused", ended=True)
    await floor.poll()
    assert floor.state() is State.FAILED
    assert len(floor.open_alerts()) == 1


async def test_what_is_set_going_again_after_our_stop_and_fails_has_failed(floor: Floor, server: AirflowLike) -> None:
    await stopped(floor, server)
    floor.acted("rerun")
    server.set_run("daily", "r1", "queued")
    await floor.poll()
    assert floor.state() is State.QUEUED
    server.set_run("daily", "r1", "failed")
    await floor.poll()
    assert floor.state() is State.FAILED
    assert len(floor.open_alerts()) == 1


async def test_set_going_again_and_failed_between_two_looks_has_failed(floor: Floor, server: AirflowLike) -> None:
    await stopped(floor, server)
    floor.acted("rerun")
    server.set_run("daily", "r1", "queued")
    server.set_run("daily", "r1", "failed")
    await floor.poll()
    assert floor.state() is State.FAILED, KEY
