"""From Enter to the end: once, proved by reading, honest where it cannot be proved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.model import ActionState, Mode, State
from engine.peer import Peer
from engine.request import RequestError
from engine.store import actions as rows
from tests.actions.conftest import ME, OTHER, Floor


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


@pytest.mark.parametrize("outcome", ["done", "not-done"])
async def test_of_the_only_candidate_a_person_says_whether_it_is_the_one(floor: Floor, outcome: str) -> None:
    key = floor.dev.add("daily")
    floor.dev.how = "lost-before"
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.settle()
    floor.dev.how = "one"
    await floor.clock.until(lambda: floor.record(action).ended is not None)
    record = floor.record(action)
    assert record.state is ActionState.UNKNOWN
    assert record.words.endswith("one run began in that minute, by user bea: is it a? only a person can tell")
    await floor.clock.advance(3600)
    assert floor.state(action) is ActionState.UNKNOWN, "time makes it nobody's"
    await floor.actions.cancel({"action": action, "outcome": outcome, "reason": "I asked bea about it"}, ME)
    await floor.clock.settle()
    want = ActionState.RECONCILED_DONE if outcome == "done" else ActionState.RECONCILED_NOT_DONE
    assert floor.state(action) is want
    assert not floor.actions.busy
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


async def test_the_run_that_was_answered_is_known_after_a_restart(floor: Floor) -> None:
    key = floor.dev.add("daily")
    action = (await floor.act(await floor.plan("start", key)))["action"]
    await floor.clock.until(lambda: floor.state(action) is ActionState.VERIFYING)
    made = floor.record(action).result_key
    assert made is not None
    await floor.restart()
    assert (await floor.ended(action)).state is ActionState.DONE
    assert floor.dev.answered == made
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


async def test_an_end_is_never_taken_back(floor: Floor, running: str) -> None:
    action = (await floor.act(await floor.plan("stop", running)))["action"]
    before = await floor.ended(action)
    with floor.store.transaction() as tx:
        assert rows.move(tx, action, ActionState.VERIFY_TIMEOUT, "late word", ended=True) is False
    assert floor.record(action) == before
