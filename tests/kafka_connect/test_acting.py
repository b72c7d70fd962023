"""Verbs on connectors: the exact calls, what a rebalance, a lost answer or an idle 202 leads to, and old versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.base import Done, NotDone, NotSent, Sent, Unknown
from adapters.errors import Conflict, NotFound, Unsupported
from adapters.kafka_connect import KafkaConnectAdapter
from adapters.kafka_connect.reads import restarts_tasks
from adapters.model import Verb
from tests.kafka_connect.world import action, key_of, settings
from tests.servers.kafka_connect_like import KafkaConnectLike

CALLS = {
    Verb.PAUSE: ("RUNNING", "PUT /connectors/a%2Fb%20c/pause"),
    Verb.RESUME: ("PAUSED", "PUT /connectors/a%2Fb%20c/resume"),
    Verb.START: ("STOPPED", "PUT /connectors/a%2Fb%20c/resume"),
    Verb.STOP: ("RUNNING", "PUT /connectors/a%2Fb%20c/stop"),
}


def key_for(verb: Verb, name: str) -> str:
    return key_of(name, 1 if verb in (Verb.STOP, Verb.RERUN_FAILED) else 0)


@pytest.mark.parametrize("verb", CALLS)
async def test_the_call_is_shown_sent_and_proved(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter, verb: Verb
) -> None:
    state, call = CALLS[verb]
    like.state.add("a/b c", state=state)
    made = await adapter.prepare(action(verb, key_for(verb, "a/b c")))
    assert [f"{c.method} {c.target.removeprefix(like.url)}" for c in made.calls] == [call]
    assert made.calls[0].headers == {"Authorization": "****"}
    assert made.calls[0].body is None
    assert isinstance(await adapter.send(made), Sent)
    first = await adapter.reconcile(made)
    assert isinstance(first, NotDone), "202 is a promise"
    like.state.tick()
    half = await adapter.reconcile(made)
    assert isinstance(half, NotDone), "the connector is there, its tasks are not"
    assert half.begun
    for _ in range(3):
        like.state.tick()
    assert isinstance(await adapter.reconcile(made), Done)


async def test_restart_of_what_failed(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.fail("orders", 1)
    made = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("orders", 1)))
    assert made.calls[0].target.endswith("/connectors/orders/restart?includeTasks=true&onlyFailed=true")
    assert "task-1" in made.effect
    assert "task-0" not in made.effect
    assert isinstance(await adapter.send(made), Sent)
    found = await adapter.reconcile(made)
    assert isinstance(found, NotDone)
    assert found.begun
    assert "RESTARTING" in found.words
    like.state.tick()
    assert isinstance(await adapter.reconcile(made), Done)
    with pytest.raises(Conflict, match="nothing of orders has failed"):
        await adapter.prepare(action(Verb.RERUN_FAILED, key_of("orders", 1)))


async def test_what_fails_again_is_not_done(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.fail("orders", 1)
    like.state.connectors["orders"].again = "the disk is still full"
    made = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("orders", 1)))
    await adapter.send(made)
    like.state.tick()
    found = await adapter.reconcile(made)
    assert isinstance(found, NotDone)
    assert "task-1 failed again" in found.words


@pytest.mark.parametrize(("rebalances", "sent"), [(3, True), (4, False)])
async def test_a_rebalance_is_waited_for_a_bounded_time(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter, rebalances: int, sent: bool
) -> None:
    made = await adapter.prepare(action(Verb.PAUSE, key_of("orders")))
    like.state.rebalances = rebalances
    result = await adapter.send(made)
    assert isinstance(result, Sent if sent else NotSent), result
    assert like.count("PUT") == 4
    assert [e.verb for e in like.state.effects] == (["pause"] if sent else [])
    if not sent:
        assert "refused 4 times while its workers rebalance" in result.words


async def test_an_answer_lost_after_it_took_effect_is_not_sent_again(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    made = await adapter.prepare(action(Verb.STOP, key_of("orders", 1)))
    like.fault = "lost"
    assert isinstance(await adapter.send(made), Unknown)
    like.fault = "lost-500"
    assert isinstance(await adapter.send(made), Unknown)
    like.fault = None
    assert [e.verb for e in like.state.effects] == ["stop"]
    for _ in range(2):
        like.state.tick()
    assert isinstance(await adapter.reconcile(made), Done)


async def test_what_makes_no_sense_now_is_a_conflict(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.add("paused", state="PAUSED")
    like.state.add("stopped", state="STOPPED")
    for verb, name, said in (
        (Verb.PAUSE, "paused", "PAUSED already"),
        (Verb.PAUSE, "stopped", "STOPPED already"),
        (Verb.RESUME, "orders", "not paused: it is RUNNING"),
        (Verb.START, "orders", "only a STOPPED connector"),
        (Verb.START, "paused", "only a STOPPED connector"),
        (Verb.STOP, "stopped", "STOPPED already"),
        (Verb.RERUN_FAILED, "orders", "nothing of orders has failed"),
    ):
        with pytest.raises(Conflict, match=said):
            await adapter.prepare(action(verb, key_for(verb, name)))
    with pytest.raises(Conflict, match="takes no parameters"):
        await adapter.prepare(action(Verb.START, key_of("stopped"), params={"a": 1}))
    assert like.state.effects == []


async def test_a_life_that_is_over_is_not_acted_on(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    cursor = (await adapter.runs(None)).cursor
    like.state.connectors["orders"].own.to("STOPPED")
    cursor = (await adapter.runs(cursor)).cursor
    like.state.connectors["orders"].own.to("RUNNING")
    await adapter.runs(cursor)
    with pytest.raises(NotFound, match="life-1 of orders is over"):
        await adapter.prepare(action(Verb.STOP, key_of("orders", 1)))
    assert (await adapter.prepare(action(Verb.STOP, key_of("orders", 2)))).calls


async def test_a_pause_says_what_stays_failed(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.fail("orders", 1)
    made = await adapter.prepare(action(Verb.PAUSE, key_of("orders")))
    assert "task-1 FAILED and will stay so" in made.note
    await adapter.send(made)
    for _ in range(2):
        like.state.tick()
    found = await adapter.reconcile(made)
    assert isinstance(found, Done)
    assert "1 of 2 tasks FAILED" in found.words


async def test_only_what_was_planned_is_sent(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    made = await adapter.prepare(action(Verb.PAUSE, key_of("orders")))
    for method, path in (
        ("DELETE", "/connectors/orders"),
        ("PUT", "/connectors/orders/config"),
        ("PUT", "/connectors//pause"),
        ("POST", "/connectors/orders/pause"),
        ("POST", "/connectors/orders/tasks/x/restart"),
    ):
        odd = replace(made, calls=(replace(made.calls[0], method=method, target=like.url + path),))
        assert isinstance(await adapter.send(odd), NotSent), path
    elsewhere = replace(made, calls=(replace(made.calls[0], target="http://elsewhere/connectors/orders/pause"),))
    assert isinstance(await adapter.send(elsewhere), NotSent)
    assert {r.method for r in like.requests} == {"GET"}


async def test_before_3_0_each_failed_part_is_restarted_by_itself(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    like.state.version = "2.8.1"
    like.state.fail("orders", 0)
    like.state.fail("orders", 1)
    like.state.connectors["orders"].own.fail("no")
    made = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("orders", 1)))
    assert [c.target.removeprefix(like.url) for c in made.calls] == [
        "/connectors/orders/restart",
        "/connectors/orders/tasks/0/restart",
        "/connectors/orders/tasks/1/restart",
    ]
    assert isinstance(await adapter.send(made), Sent)
    like.state.tick()
    assert isinstance(await adapter.reconcile(made), Done)


async def test_of_several_calls_the_rest_is_not_sent_after_a_refusal(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    like.state.version = "2.8.1"
    like.state.fail("orders", 0)
    like.state.fail("orders", 1)
    made = await adapter.prepare(action(Verb.RERUN_FAILED, key_of("orders", 1)))
    like.fault_on = lambda method, path: "/tasks/1/" in path
    like.fault = "500"
    result = await adapter.send(made)
    assert isinstance(result, Unknown)
    assert "1 of 2 calls were taken" in result.words
    like.fault = None
    like.state.tick()
    found = await adapter.reconcile(made)
    assert isinstance(found, NotDone)
    assert "task-1 still FAILED" in found.words


async def test_before_3_5_nothing_is_stopped(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    like.state.version = "3.4.0"
    for verb in (Verb.STOP, Verb.START):
        with pytest.raises(Unsupported, match=r"3\.5 can"):
            await adapter.prepare(action(verb, key_for(verb, "orders")))


async def test_a_stop_that_an_older_leader_does_not_know_is_not_sent(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    """Workers of different versions: the one that was asked can, the one that must do it cannot."""
    made = await adapter.prepare(action(Verb.STOP, key_of("orders", 1)))
    like.state.version = "3.4.0"
    assert isinstance(await adapter.send(made), NotSent)
    assert like.state.effects == []


@pytest.mark.parametrize(
    ("version", "can"),
    [("3.0.0", True), ("2.8.2", False), ("4.1.0", True), ("7.5.0-ccs", True), ("6.2.0-ccs", False), ("5.5.1-ce", False),
     ("3.5.0.redhat-00014", True), ("trunk", False), ("", False)],
)  # fmt: skip
def test_which_versions_restart_what_failed_with_one_call(version: str, can: bool) -> None:
    assert restarts_tasks(version) is can


async def test_a_yes_that_is_not_kafka_connects_is_unknown(
    like: KafkaConnectLike, adapter: KafkaConnectAdapter
) -> None:
    made = await adapter.prepare(action(Verb.PAUSE, key_of("orders")))
    like.fault = "wrong-types"  # 200 and an object, as a gateway may say
    assert isinstance(await adapter.send(made), Unknown)


async def test_a_404_of_a_proxy_proves_nothing(like: KafkaConnectLike, adapter: KafkaConnectAdapter) -> None:
    made = await adapter.prepare(action(Verb.PAUSE, key_of("orders")))
    like.fault = "404"
    with pytest.raises(NotFound):
        await adapter.reconcile(made)


async def test_deleted_meanwhile_is_not_done(like: KafkaConnectLike) -> None:
    one = KafkaConnectAdapter(settings(like))
    made = await one.prepare(action(Verb.PAUSE, key_of("orders")))
    del like.state.connectors["orders"]
    assert isinstance(await one.send(made), NotSent)
    found = await one.reconcile(made)
    assert isinstance(found, NotDone)
    assert "not there any more" in found.words
    await one.close()
