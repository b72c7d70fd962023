"""Our own stop is not a failure; what fails by itself after it is one."""

from __future__ import annotations

from dataclasses import replace

from adapters.model import ActionState, State
from engine.store import actions as rows
from tests.actions.conftest import Floor, put_run


def who(floor: Floor, key: str, attempt: int = 1) -> str | None:
    with floor.store.transaction() as tx:
        return rows.stopped_by(tx, key, attempt)


async def test_our_stop_is_ours(floor: Floor, running: str) -> None:
    assert who(floor, running) is None
    floor.dev.stop_takes = 3
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.advance(1)
    assert who(floor, running) == "ana"  # sent, not proved yet
    await floor.ended(action)
    assert who(floor, running) == "ana"
    assert who(floor, running, attempt=2) is None
    await floor.clock.advance(86_400)
    assert who(floor, running) == "ana"


async def test_stop_that_never_left_is_not_ours(floor: Floor, running: str) -> None:
    floor.dev.how = "conflict"
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    assert who(floor, running) is None


async def test_lost_stop_is_ours_while_unknown(floor: Floor, running: str) -> None:
    floor.dev.how = "lost-before"
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.settle()
    assert floor.state(action) is ActionState.UNKNOWN
    assert who(floor, running) == "ana"
    assert (await floor.ended(action)).state is ActionState.RECONCILED_NOT_DONE
    assert who(floor, running) is None


async def test_failure_hours_after_a_stop_without_effect_is_a_failure(floor: Floor, running: str) -> None:
    floor.dev.how = "nothing"
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    assert who(floor, running) == "ana"  # it may just have taken long
    await floor.clock.advance(3 * 3600)
    assert who(floor, running) is None


async def test_run_that_went_on_after_our_stop_fails_by_itself(floor: Floor, running: str) -> None:
    """Cleared by hand in the source, which counts no attempts: the store saw it go on and does."""
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    with floor.store.transaction() as tx:
        put_run(tx, replace(floor.dev.all[running], state=State.RUNNING), attempt=2)
    assert who(floor, running) is None


async def test_run_that_we_reran_after_our_stop_fails_by_itself(floor: Floor, running: str) -> None:
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    await floor.ended((await floor.act(await floor.plan("rerun", running)))["action"])
    assert who(floor, running) is None
