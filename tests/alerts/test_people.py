"""Acknowledge and silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import AlertState, Health, State
from engine.config.model import Access, PipelineRule
from engine.ids import short
from engine.peer import Peer
from engine.request import RequestError
from tests.alerts.floor import MINUTE, PEER, Floor


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path, to=("ana",), rules=(PipelineRule(match="flow:daily", criticality=1),))  # type: ignore[arg-type]
    made.clock.forward(10 * MINUTE)
    yield made
    made.close()


def fail(floor: Floor) -> str:
    floor.poll(floor.run(State.FAILED, error="x"))
    return floor.one("SELECT id FROM alert")


async def test_ack_by_the_four_characters_typed_in_any_case(floor: Floor) -> None:
    id = fail(floor)
    until = floor.clock.now() + 30 * MINUTE
    reply = await floor.alerts.ack({"alert": short(id).lower(), "note": "on \x1b[31mit", "until": until}, PEER)
    assert reply["alert"] == id
    assert reply["words"].startswith("acked by ana until ")
    assert floor.one("SELECT state, acked_by, ack_until, ack_note FROM alert") == (
        AlertState.ACKED,
        "ana",
        until,
        "on it",
    )
    assert floor.one("SELECT who FROM alert_event WHERE what = 'acked'") == "ana"


async def test_ack_of_something_high_lasts_two_hours_then_it_fires_and_is_told_once(floor: Floor) -> None:
    id = fail(floor)
    await floor.alerts.ack({"alert": id}, PEER)
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE alert SET told = 1")
    floor.clock.forward(120 * MINUTE - 1)
    floor.tick()
    assert floor.states == [AlertState.ACKED]
    floor.clock.forward(1)
    floor.tick()
    floor.tick()
    assert floor.states == [AlertState.FIRING]
    assert [kind for _, kind, _ in floor.letters] == ["fire", "repeat"]
    assert floor.one("SELECT title FROM outbox WHERE kind = 'repeat'") == "[HIGH] ack by ana expired: daily failed: x"


async def test_an_acked_alert_still_ends_by_evidence(floor: Floor) -> None:
    await floor.alerts.ack({"alert": fail(floor)}, PEER)
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    assert floor.states == [AlertState.RESOLVED]
    with pytest.raises(RequestError, match="nothing to acknowledge") as caught:
        await floor.alerts.ack({"alert": floor.one("SELECT id FROM alert")}, PEER)
    assert caught.value.code == "refused"


async def test_opening_again_clears_the_ack(floor: Floor) -> None:
    await floor.alerts.ack({"alert": fail(floor)}, PEER)
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.FAILED, "r3"))
    assert floor.one("SELECT state, acked_by, ack_until FROM alert") == (AlertState.FIRING, None, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_request"),
        ({"alert": "ZZZZ"}, "not_found"),
        ({"alert": "ID", "until": 5}, "bad_request"),
        ({"alert": "ID", "until": "2h"}, "bad_request"),
    ],
)
async def test_what_cannot_be_acked_is_one_sentence(floor: Floor, body: dict[str, object], code: str) -> None:
    id = fail(floor)
    with pytest.raises(RequestError) as caught:
        await floor.alerts.ack({k: id if v == "ID" else v for k, v in body.items()}, PEER)
    assert caught.value.code == code
    assert floor.states == [AlertState.FIRING]


async def test_a_silence_holds_back_and_says_so_and_ends_with_one_message(floor: Floor) -> None:
    until = floor.clock.now() + 60 * MINUTE
    reply = await floor.alerts.silence({"match": "flow:dai*", "until": until, "reason": "known, node resize"}, PEER)
    assert reply["alerts"] == []
    floor.clock.forward(MINUTE)
    since = floor.clock.now()
    fail(floor)
    assert floor.letters == []
    state, held = floor.one("SELECT state, held_back FROM alert")
    assert state == AlertState.FIRING
    assert held.startswith("silenced by ana until ")
    assert held.endswith(': "known, node resize"')
    floor.clock.forward(58 * MINUTE)
    floor.tick()
    assert floor.letters == []
    floor.clock.forward(MINUTE)
    floor.tick()
    floor.tick()
    assert floor.letters == [("ana", "fire", 0)]
    assert floor.one("SELECT held_back, since FROM alert") == (None, since)


async def test_what_ends_while_silenced_is_not_told(floor: Floor) -> None:
    fail(floor)
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE outbox SET state = 2")
    await floor.alerts.silence({"match": "flow:daily", "until": floor.clock.now() + MINUTE, "reason": "known"}, PEER)
    assert floor.one("SELECT held_back FROM alert").startswith("silenced by ana")
    floor.clock.forward(1000)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    assert floor.states == [AlertState.RESOLVED]
    assert floor.letters == [("ana", "fire", 2)]


async def test_silencing_a_source_by_its_glob(floor: Floor) -> None:
    await floor.alerts.silence({"match": "flow:*", "until": floor.clock.now() + MINUTE, "reason": "known"}, PEER)
    floor.health(Health.FRESH)
    floor.health(Health.UNREACHABLE)
    floor.health(Health.UNREACHABLE)
    assert floor.states == [AlertState.FIRING]
    assert floor.letters == []


@pytest.mark.parametrize(
    "body",
    [
        {"match": "", "until": 60_000, "reason": "r"},
        {"match": "*", "until": 60_000, "reason": " \x1b[0m "},
        {"match": "*", "reason": "r"},
        {"match": "*", "until": 5 * 3_600_000, "reason": "r"},
        {"match": "*", "until": -1, "reason": "r"},
        {"match": "a\x1b[31m", "until": 60_000, "reason": "r"},
    ],
)
async def test_a_silence_without_end_reason_or_measure_is_refused(floor: Floor, body: dict[str, object]) -> None:
    if isinstance(body.get("until"), int):
        body = {**body, "until": floor.clock.now() + body["until"]}  # type: ignore[operator]
    with pytest.raises(RequestError):
        await floor.alerts.silence(body, PEER)
    assert floor.all("SELECT 1 FROM silence") == []


async def test_who_may_only_look_can_neither_take_nor_silence(floor: Floor) -> None:
    id = fail(floor)
    guest = Peer(uid=PEER.uid + 1, pid=1, login="guest", groups=frozenset(), origin=None)
    until = floor.clock.now() + MINUTE
    for who in (guest, replace(guest, groups=frozenset({"testers"}))):
        with pytest.raises(RequestError, match="guest may look at flow:daily/r1, not acknowledge"):
            await floor.alerts.ack({"alert": id}, who)
        with pytest.raises(RequestError, match="guest may look at flow, not silence"):
            await floor.alerts.silence({"match": "*", "until": until, "reason": "sleep"}, who)
        floor.ctx.config = replace(floor.config, access=(Access(("group:testers",), "operator", "env:test"),))
    assert floor.states == [AlertState.FIRING]
    assert floor.all("SELECT 1 FROM silence") == []
    floor.ctx.config = replace(floor.config, access=(Access(("group:testers",), "operator", "env:prod"),))
    member = replace(guest, groups=frozenset({"testers"}))
    await floor.alerts.silence({"match": "*", "until": until, "reason": "sleep"}, member)
    await floor.alerts.ack({"alert": id}, member)
    assert floor.states == [AlertState.ACKED]
