"""From Enter to the end: once, proved by reading, honest where it cannot be proved."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.model import ActionState, Mode, State
from engine.peer import Peer
from engine.request import RequestError
from engine.store import actions as rows
from engine.store.errors import StoreError
from tests.actions.conftest import ME, OTHER, Floor, put_run


def dev_peer(pid: int) -> Peer:
    return replace(ME, pid=pid)


async def test_ten_enters_from_two_terminals_are_one_call(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    floor.dev.gate = asyncio.Event()  # the call is still on its way while the other nine come in
    asked = [asyncio.create_task(floor.act(plan, dev_peer(n % 2))) for n in range(10)]
    await floor.clock.settle()
    floor.dev.gate.set()
    answers = [await task for task in asked]
    assert len({a["action"] for a in answers}) == 1
    assert (await floor.ended(answers[0]["action"])).state is ActionState.DONE
    again = await floor.act(plan)
    assert again == {
        "action": answers[0]["action"],
        "state": ActionState.DONE,
        "words": floor.record(answers[0]["action"]).words,
    }
    assert len(floor.dev.sends) == 1
    assert floor.count() == 1


async def test_two_terminals_with_a_plan_each_start_one_run(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    plans = [await floor.plan("start", key) for _ in range(2)]
    results = await asyncio.gather(*(floor.act(p) for p in plans for _ in range(5)), return_exceptions=True)
    taken = [r for r in results if isinstance(r, dict)]
    refused = [r for r in results if isinstance(r, RequestError)]
    assert len(taken) == 5
    assert {r.code for r in refused} <= {"refused", "plan_void"}
    await floor.ended(taken[0]["action"])
    assert len(floor.dev.sends) == 1


async def test_plan_is_void_when_somebody_acted_since(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    mine, his = await floor.plan("start", key), await floor.plan("start", key)
    await floor.ended((await floor.act(his))["action"])
    with pytest.raises(RequestError, match="ana asked for start after this plan was made") as caught:
        await floor.act(mine)
    assert caught.value.code == "plan_void"
    assert len(floor.dev.sends) == 1


async def test_stop_is_proved_by_reading(floor: Floor, running: str) -> None:
    floor.dev.stop_takes = 4
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    record = await floor.ended(action)
    assert record.state is ActionState.DONE
    assert [s for s, _ in floor.events(action)][:2] == [ActionState.EXECUTING, ActionState.VERIFYING]
    assert "stop accepted, still stopping" in [w for _, w in floor.events(action)]
    before, after = json.loads(record.before or ""), json.loads(record.after or "")
    assert (before["word"], after["word"]) == ("running", "failed")
    assert record.ended is not None
    assert record.sent is not None
    assert "dev-fake" in floor.polled
    assert not floor.actions.busy


async def test_server_that_does_nothing_is_never_done(floor: Floor, running: str) -> None:
    floor.dev.how = "nothing"
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    record = await floor.ended(action)
    assert record.state is ActionState.VERIFY_TIMEOUT
    assert record.words == "stop accepted, still running · not proved within 2m 00s"
    assert ActionState.DONE not in {s for s, _ in floor.events(action)}
    assert len(floor.dev.sends) == 1
    assert json.loads(record.after or "")["word"] == "running"


async def test_one_good_reading_is_not_steady(floor: Floor) -> None:
    """Paused, and taken back by somebody else before the second reading."""
    key = floor.dev.add("daily")
    action = (await floor.act(await floor.plan("pause", key)))["action"]
    await floor.clock.until(lambda: floor.dev.reconciles == 1)
    floor.dev.modes[key] = Mode.ACTIVE
    assert (await floor.ended(action)).state is ActionState.VERIFY_TIMEOUT


@pytest.mark.parametrize("how", ["lost-after", "unknown"])
async def test_lost_answer_is_unknown_then_found_by_asking(floor: Floor, how: str) -> None:
    key = floor.dev.add("daily")
    floor.dev.how = how
    action = (await floor.act(await floor.plan("start", key)))["action"]
    record = await floor.ended(action)
    assert record.state is ActionState.RECONCILED_DONE
    assert [s for s, _ in floor.events(action)][:2] == [ActionState.EXECUTING, ActionState.UNKNOWN]
    assert record.result_key is not None
    assert record.result_key in floor.dev.all
    assert len(floor.dev.sends) == 1
    assert len(floor.dev.all) == 1


@pytest.mark.parametrize("how", ["lost-before", "502"])
async def test_lost_before_is_found_not_to_have_happened(floor: Floor, how: str) -> None:
    key = floor.dev.add("daily")
    floor.dev.how = how
    action = (await floor.act(await floor.plan("start", key)))["action"]
    record = await floor.ended(action)
    assert record.state is ActionState.RECONCILED_NOT_DONE
    assert record.words.startswith("it did not happen: no such run · asked ")
    assert len(floor.dev.sends) == 1


async def test_lost_call_whose_run_waits_did_arrive(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.dev.how = "lost-after"
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    (made,) = floor.dev.all
    floor.dev.set(made, State.QUEUED)
    record = await floor.ended(action)
    assert (record.state, record.words) == (
        ActionState.RECONCILED_DONE,
        "it did arrive: its run is there and still queued",
    )


async def test_run_that_only_waits_is_not_proved(floor: Floor) -> None:
    key = floor.dev.add("daily")
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    (made,) = floor.dev.all
    floor.dev.set(made, State.QUEUED)
    record = await floor.ended(action)
    assert record.state is ActionState.VERIFY_TIMEOUT
    assert record.words == "start accepted, its run is there and still queued · not proved within 2m 00s"


async def wait_for(fact: Callable[[], bool]) -> None:
    """For what real time decides (a call's own limit): look again and again, ten seconds at most."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_answer_that_never_comes_is_unknown(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.actions.execute.SEND_S", 0.02)
    key = floor.dev.add("daily")
    floor.dev.how = "hang"
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await wait_for(lambda: floor.state(action) is not ActionState.EXECUTING)
    assert floor.state(action) is ActionState.UNKNOWN
    assert (await floor.ended(action)).state is ActionState.RECONCILED_NOT_DONE


@pytest.mark.parametrize(
    ("how", "said"), [("never-left", "connection refused"), ("conflict", "409: the run has ended already")]
)
async def test_refused_or_never_left_is_not_executed(floor: Floor, running: str, how: str, said: str) -> None:
    floor.dev.how = how
    record = await floor.ended((await floor.act(await floor.plan("stop", running)))["action"])
    assert record.state is ActionState.FAILED_NOT_EXECUTED
    assert record.words == f"not done: {said}"
    assert floor.dev.reconciles == 0


async def test_unknown_stays_unknown_while_nobody_can_tell(floor: Floor) -> None:
    """Two candidates: words name them, the scope stays taken, a person settles it."""
    key = floor.dev.add("daily")
    floor.dev.how = "lost-before"
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    floor.dev.how = "several"
    await floor.clock.until(lambda: floor.record(action).ended is not None)
    record = floor.record(action)
    assert record.state is ActionState.UNKNOWN
    assert "one of a, b, which only a person can tell" in record.words
    assert floor.actions.busy
    await floor.clock.advance(3600)
    assert floor.state(action) is ActionState.UNKNOWN
    blocked = await floor.plan("pause", key)
    assert "start of dev-fake:daily by ana is in flight (unknown" in blocked["blocked"]
    with pytest.raises(RequestError, match="how you know"):
        await floor.actions.cancel({"action": action, "outcome": "not-done", "reason": "no"}, ME)
    with pytest.raises(RequestError, match="bob may not settle"):
        await floor.actions.cancel({"action": action, "outcome": "not-done", "reason": "I looked at the server"}, OTHER)
    await floor.actions.cancel({"action": action, "outcome": "not-done", "reason": "I looked at the server"}, ME)
    await floor.clock.settle()
    assert floor.state(action) is ActionState.RECONCILED_NOT_DONE
    assert not floor.actions.busy
    assert (await floor.plan("pause", key))["blocked"] is None
    assert len(floor.dev.sends) == 1


async def test_source_that_is_down_keeps_it_unknown_until_it_answers(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.dev.how = "lost-after"
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    floor.dev.down = True
    await floor.clock.advance(1800)
    record = floor.record(action)
    assert record.state is ActionState.UNKNOWN
    assert "asking failed: connection refused" in record.words
    floor.dev.down = False
    assert (await floor.ended(action)).state is ActionState.RECONCILED_DONE
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


async def test_cancel_only_before_the_call(floor: Floor, running: str) -> None:
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.actions.cancel({"action": action}, ME)  # its task has not run yet
    await floor.clock.settle()
    assert floor.state(action) is ActionState.REFUSED
    assert floor.dev.sends == []
    second = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.settle()
    with pytest.raises(RequestError, match="too late: stop is verifying"):
        await floor.actions.cancel({"action": second}, ME)


async def test_dropped_plan_cannot_be_confirmed(floor: Floor, running: str) -> None:
    plan = await floor.plan("stop", running)
    await floor.actions.cancel({"plan": plan["plan"]}, ME)
    with pytest.raises(RequestError) as caught:
        await floor.act(plan)
    assert caught.value.code == "plan_void"


async def test_note_stands_with_the_action(floor: Floor, running: str) -> None:
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.ended(action)
    await floor.actions.note({"action": action, "text": "told finance \x1b[2J"}, OTHER)
    assert floor.events(action)[-1][1] == "bob: told finance  [2J"
    with pytest.raises(RequestError):
        await floor.actions.note({"action": "nope", "text": "x"}, ME)


async def test_restart_goes_on_verifying(floor: Floor, running: str) -> None:
    floor.dev.stop_takes = 50
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.advance(10)
    assert floor.state(action) is ActionState.VERIFYING
    await floor.restart()
    floor.dev.stop_takes = 2
    record = await floor.ended(action)
    assert record.state is ActionState.DONE
    assert len(floor.dev.sends) == 1
    said = [w for s, w in floor.events(action) if s is ActionState.VERIFYING]
    assert not [w for w in said if w.count("still") > 1]


async def test_engine_that_ends_waits_for_the_answer_on_its_way(floor: Floor, running: str) -> None:
    floor.dev.gate = asyncio.Event()
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    await floor.clock.settle()
    closing = asyncio.create_task(floor.actions.close())
    await floor.clock.settle()
    assert not closing.done()
    floor.dev.gate.set()
    await closing
    assert floor.state(action) is ActionState.VERIFYING  # known to have been taken; the next engine goes on from here


async def test_restart_during_the_call_is_unknown_and_not_sent_again(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.dev.gate = asyncio.Event()
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    assert len(floor.dev.sends) == 1
    floor.actions._executor._tasks[action].cancel()  # as a killed engine would leave it
    await floor.restart()
    assert floor.state(action) is ActionState.UNKNOWN
    record = await floor.ended(action)
    assert record.state is ActionState.RECONCILED_NOT_DONE
    assert len(floor.dev.sends) == 1


async def test_source_gone_after_restart_stays_unknown(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.dev.gate = asyncio.Event()
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    floor.actions._executor._tasks[action].cancel()
    await floor.actions.close()
    floor.store.close()
    floor.open()
    del floor.ctx.adapters["dev-fake"]
    await floor.actions.resume()
    await floor.clock.advance(1000)
    assert floor.state(action) is ActionState.UNKNOWN
    assert "not configured any more" in floor.record(action).words


async def test_record_that_cannot_be_read_does_not_keep_the_engine_from_starting(floor: Floor) -> None:
    key = floor.dev.add("daily")
    floor.dev.gate = asyncio.Event()
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    floor.actions._executor._tasks[action].cancel()
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE action SET prepared = '{}'")
    await floor.restart()
    await floor.clock.settle()
    record = floor.record(action)
    assert (record.state, record.ended is not None) == (ActionState.UNKNOWN, True)
    assert "a person must find out" in record.words
    await floor.actions.cancel({"action": action, "outcome": "done", "reason": "I saw its run in the source"}, ME)
    assert floor.state(action) is ActionState.RECONCILED_DONE


# --- our own stop is not a failure ---------------------------------------------------------------------------------


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


async def test_an_end_is_never_taken_back(floor: Floor, running: str) -> None:
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    before = await floor.ended(action)
    with floor.store.transaction() as tx:
        assert rows.move(tx, action, ActionState.VERIFY_TIMEOUT, "late word", ended=True) is False
    assert floor.record(action) == before
