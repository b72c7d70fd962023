"""Between the plan and the call: what makes a plan void, who may not act, and that nothing is sent which could not be recorded."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from adapters.model import ActionState, State
from engine.request import RequestError
from engine.store import actions as rows
from engine.store.errors import StoreError
from tests.actions.conftest import ME, OTHER, Floor


async def test_plan_is_void_when_somebody_acted_since(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    mine, his = await floor.plan("start", key), await floor.plan("start", key)
    await floor.ended((await floor.act(his))["action"])
    with pytest.raises(RequestError, match="ana asked for start after this plan was made") as caught:
        await floor.act(mine)
    assert caught.value.code == "plan_void"
    assert len(floor.dev.sends) == 1


async def test_plan_is_void_when_the_state_moved(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    floor.dev.set(running, State.FAILED)
    with pytest.raises(RequestError, match="was running → now failed") as caught:
        await floor.act(plan)
    assert caught.value.code == "plan_void"
    assert floor.dev.sends == []
    floor.dev.set(running, State.RUNNING)
    with pytest.raises(RequestError, match="not known any more"):
        await floor.act(plan)  # void is for good


async def test_cleared_and_failed_again_is_not_what_was_seen(floor: Floor) -> None:
    key = floor.dev.run("daily", "r1", State.FAILED)
    floor.poll(floor.dev)
    plan = await floor.plan("rerun", key)
    await floor.clock.advance(5)
    floor.dev.set(key, State.FAILED)  # the same word, another end
    with pytest.raises(RequestError, match="now failed") as caught:
        await floor.act(plan)
    assert caught.value.code == "plan_void"


async def test_a_run_that_began_meanwhile_voids_a_start(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    plan = await floor.plan("start", key)
    floor.dev.run("daily", "scheduled")
    floor.poll(floor.dev)
    with pytest.raises(RequestError, match="was no run active → now scheduled active"):
        await floor.act(plan)


async def test_old_plan_and_wrong_hash_are_void(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    with pytest.raises(RequestError, match="not the plan that was shown"):
        await floor.act({**plan, "hash": "0" * 64})
    with pytest.raises(RequestError, match="not the plan that was shown"):
        await floor.act({**plan, "nonce": "f" * 32})
    await floor.clock.advance(15 * 60 + 1)
    with pytest.raises(RequestError, match="this plan is 15m old"):
        await floor.act(plan)
    assert floor.dev.sends == []


async def test_wall_clock_set_back_does_not_lengthen_a_plan(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    floor.clock.wall_offset = -3_600_000
    await floor.clock.advance(15 * 60 + 1)
    with pytest.raises(RequestError, match="old"):
        await floor.act(plan)


async def test_reload_voids_plans(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    floor.configure(hash="h2")
    with pytest.raises(RequestError, match="the configuration changed since"):
        await floor.act(plan)


async def test_reason_too_short(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    for short in (None, "", "too short", "  too shor  ", "\x1b[31m\x1b[0m\n\n\n\n\n\n\n\n"):
        with pytest.raises(RequestError, match="10 characters") as caught:
            await floor.act(plan, reason=short)
        assert caught.value.code == "refused"
    assert floor.dev.sends == []
    await floor.act(plan, reason="long enough")


async def test_protected_needs_arming_and_the_exact_name(floor: Floor, running_prod: str) -> None:
    plan = await floor.plan("stop", running_prod)
    assert plan["needs"] == {"armed": True, "reason": True, "typed": "prod/daily", "key": "typed"}
    with pytest.raises(RequestError, match="prod is protected and not armed by you"):
        await floor.act(plan, typed="prod/daily")
    await floor.arm()
    for wrong in (None, "", "prod/dail", "Prod/daily", "prod/daily ", 7):
        with pytest.raises(RequestError, match="type prod/daily exactly"):
            await floor.act(plan, typed=wrong)  # type: ignore[arg-type]
    assert floor.prod.sends == []
    record = await floor.ended((await floor.act(plan, typed="prod/daily"))["action"])
    assert record.state is ActionState.DONE
    assert len(floor.prod.sends) == 1


async def test_arming_that_ended_refuses(floor: Floor, running_prod: str) -> None:
    await floor.arm()
    plan = await floor.plan("stop", running_prod)
    assert plan["needs"]["armed"] is False
    await floor.clock.advance(61)
    with pytest.raises(RequestError, match="not armed"):
        await floor.act(plan, typed="prod/daily")
    assert floor.prod.sends == []


async def test_another_uid_may_look_only(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running, OTHER)
    assert "bob is viewer here" in plan["blocked"]
    with pytest.raises(RequestError, match="bob is viewer here"):
        await floor.act(plan, OTHER)
    mine = await floor.plan("stop", running)
    with pytest.raises(RequestError, match="made by somebody else"):
        await floor.act(mine, OTHER)
    assert floor.dev.sends == []
    assert [r.login for r in floor.audited() if r.event == "refused"] == ["bob", "bob"]


async def test_intent_and_audit_are_on_disk_before_the_call(floor: Floor, running: str) -> None:
    seen: dict[str, Any] = {}

    def look() -> None:
        with sqlite3.connect(f"file:{floor.folder}/floor.db?mode=ro", uri=True) as db:
            seen["actions"] = db.execute("SELECT state, reason FROM action").fetchall()
            seen["audit"] = db.execute("SELECT event FROM audit").fetchall()
        db.close()
        seen["file"] = [json.loads(line)["event"] for line in (floor.folder / "audit.jsonl").read_text().splitlines()]

    floor.dev.before_send = look
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    assert seen["actions"] == [(int(ActionState.EXECUTING), "wrong file, the right one comes later")]
    assert seen["audit"] == [("intent",)]
    assert seen["file"] == ["intent"]


class Full:
    """A store whose disk is full from now on."""

    def __init__(self, real: Any, on: str = "") -> None:
        self._real = real
        self.on = on
        self.full = True

    def transaction(self, full: bool = False) -> Any:
        if self.full and full:
            raise StoreError("the disk is full: nothing is written")
        return self._real.transaction(full)


async def test_full_disk_means_no_call(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    real = floor.ctx.store
    floor.ctx.store = Full(real)  # type: ignore[assignment]
    with pytest.raises(
        RequestError, match="nothing was sent: the intent could not be recorded: the disk is full"
    ) as caught:
        await floor.act(plan)
    assert caught.value.code == "refused"
    assert floor.dev.sends == []
    floor.ctx.store = real
    assert floor.count() == 0
    await floor.ended((await floor.act(plan))["action"])  # the plan is still good once there is room


async def test_sqlite_error_inside_the_intent_means_no_call(
    floor: Floor, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await floor.plan("stop", running)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("engine.store.actions.audit_insert", full)
    with pytest.raises(RequestError, match="could not be recorded"):
        await floor.act(plan)
    monkeypatch.undo()
    assert floor.dev.sends == []
    assert floor.count() == 0


async def test_audit_file_that_cannot_be_written_means_no_call(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    (floor.folder / "audit.jsonl").unlink(missing_ok=True)
    (floor.folder / "audit.jsonl").symlink_to("/dev/full")  # not a plain file: refused like any other
    with pytest.raises(RequestError, match="nothing was sent: the audit file could not be written"):
        await floor.act(plan)
    await floor.clock.settle()
    assert floor.dev.sends == []
    with floor.store.transaction() as tx:
        assert rows.open_actions(tx) == []  # the intent is refused, the scope is free
    (floor.folder / "audit.jsonl").unlink()
    await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])


async def test_what_happened_is_written_when_the_disk_has_room_again(floor: Floor, running: str) -> None:
    full = Full(floor.ctx.store)
    full.full = False
    floor.ctx.store = full  # type: ignore[assignment]

    def fill() -> None:
        full.full = True

    floor.dev.before_send = fill
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.advance(30)
    assert floor.state(action) is ActionState.EXECUTING
    full.full = False
    assert (await floor.ended(action)).state is ActionState.DONE
    assert len(floor.dev.sends) == 1


async def test_dropped_plan_cannot_be_confirmed(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    await floor.actions.cancel({"plan": plan["plan"]}, ME)
    with pytest.raises(RequestError) as caught:
        await floor.act(plan)
    assert caught.value.code == "plan_void"
