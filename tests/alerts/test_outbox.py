"""Delivery by the clock: retries, second contact, supersession, what the rows say. The channel is a fake, the clock stands."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import AlertState, Severity, State
from engine.config.model import PipelineRule
from engine.notify import Notifier
from engine.notify.channels import Outcome, Part
from engine.request import RequestError
from engine.store.outbox import Post
from tests.alerts.floor import MINUTE, FakeChannels, Floor, bad, good

ANA, BEN, DESK = "json://ana.example/", "json://ben.example/", "json://desk.example/"


class Desk:
    """A floor and its notifier."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.channels = FakeChannels()
        self.notifier = Notifier(floor.ctx, channels=self.channels, rng=random.Random(7))  # type: ignore[arg-type]

    async def turn(self, forward: int = 0) -> None:
        self.floor.clock.forward(forward)
        await self.notifier.turn()
        await self.notifier.idle()

    def urls(self) -> list[str]:
        return [sent[0] for sent in self.channels.sent]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    floor = Floor(tmp_path, to=("ana", "ben"), fallback="desk")
    floor.clock.forward(10 * MINUTE)
    made = Desk(floor)
    yield made
    await made.notifier.close()
    floor.close()


async def test_each_recipient_gets_one_and_the_rows_say_so(desk: Desk) -> None:
    floor = desk.floor
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    await desk.turn()
    assert sorted(desk.urls()) == [ANA, BEN]
    assert floor.letters == [("ana", "fire", Post.SENT), ("ben", "fire", Post.SENT)]
    assert floor.all("SELECT ok, ms, detail FROM delivery") == [(1, 3, "json://here took it")] * 2
    assert floor.one("SELECT told FROM alert") == 2
    assert [
        w
        for (w,) in floor.all(
            "SELECT what || ' ' || coalesce(who, '') FROM alert_event WHERE what = 'told' ORDER BY who"
        )
    ] == ["told ana", "told ben"]
    assert not desk.notifier.busy
    ids = {body.rsplit("message ", 1)[1].split(" ")[0] for _, _, body, _ in desk.channels.sent}
    assert ids == {row[0] for row in floor.all("SELECT id FROM outbox")}


async def test_the_end_is_told_to_those_who_were_told(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(BEN, bad())
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    floor.clock.forward(5_000)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    await desk.turn()
    assert floor.letters == [
        ("ana", "fire", Post.SENT),
        ("ben", "fire", Post.SUPERSEDED),
        ("ana", "resolve", Post.SENT),
    ]
    assert desk.channels.sent[-1][1] == "[RESOLVED] daily failed: x"
    assert desk.channels.sent[-1][3] == "success"


async def test_what_is_over_before_it_is_sent_is_not_sent(desk: Desk) -> None:
    floor = desk.floor
    floor.poll(floor.run(State.FAILED))
    floor.clock.forward(1_000)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    await desk.turn(MINUTE)
    assert desk.channels.sent == []
    assert floor.letters == [("ana", "fire", Post.SUPERSEDED), ("ben", "fire", Post.SUPERSEDED)]
    assert not desk.notifier.busy


async def test_ended_while_the_message_was_on_its_way(desk: Desk) -> None:
    """It arrives after the end: then the end is told, too."""
    floor = desk.floor
    floor.poll(floor.run(State.FAILED, error="x"))

    async def slow(*_a: object, **_k: object) -> Outcome:
        if floor.states == [AlertState.FIRING]:
            floor.clock.forward(1_000)
            floor.poll(floor.run(State.SUCCESS, "r2"))
        return good()

    desk.channels.send = slow  # type: ignore[method-assign]
    await desk.turn()
    await desk.turn()
    assert sorted(floor.letters) == [
        ("ana", "fire", 2),
        ("ana", "resolve", 2),
        ("ben", "fire", 2),
        ("ben", "resolve", 2),
    ]


async def test_retries_come_after_10_s_30_s_2_min_10_min_and_then_every_30_min(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, bad())
    floor.poll(floor.run(State.FAILED, error="x"))
    waits: list[float] = []
    for _ in range(7):
        await desk.turn()
        at = floor.one("SELECT next_at FROM outbox WHERE recipient = 'ana'")
        waits.append((at - floor.clock.now()) / 1000)
        before = desk.urls().count(ANA)
        await desk.turn(at - floor.clock.now() - 1)
        assert desk.urls().count(ANA) == before
        floor.clock.forward(1)
    for wait, wanted in zip(waits, (10, 30, 120, 600, 1800, 1800, 1800), strict=True):
        assert wanted * 0.8 <= wait <= wanted * 1.2
    assert len(set(waits[-3:])) == 3
    assert floor.one("SELECT last_error, attempts FROM outbox WHERE recipient = 'ana'") == (
        "json://here did not take it (500)",
        7,
    )
    assert desk.urls().count(BEN) == 1


async def test_it_gives_up_after_six_hours_but_not_on_what_is_critical(tmp_path: Path) -> None:
    floor = Floor(tmp_path, rules=(PipelineRule(match="flow:daily", criticality=Severity.CRITICAL),))
    floor.clock.forward(MINUTE)
    desk = Desk(floor)
    desk.channels.answer(ANA, bad())
    floor.poll(floor.run(State.FAILED, error="x"), floor.run(State.FAILED, pipeline="hourly", error="x"))
    for _ in range(20):
        await desk.turn(37 * MINUTE)
        await desk.turn()
    assert dict(floor.all("SELECT substr(title, 1, 5), state FROM outbox")) == {
        "[CRIT": Post.PENDING,
        "[MEDI": Post.FAILED,
    }
    await desk.notifier.close()
    floor.close()


async def test_an_address_that_refuses_us_is_tried_three_times(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, bad(401))
    floor.poll(floor.run(State.FAILED, error="x"))
    for _ in range(8):
        await desk.turn(40 * MINUTE)
    assert desk.urls().count(ANA) == 3
    assert floor.all("SELECT state, attempts FROM outbox WHERE recipient = 'ana'") == [(Post.FAILED, 3)]
    assert (
        floor.one("SELECT count(*) FROM alert_event WHERE what = 'not delivered' AND detail LIKE 'given up after 3:%'")
        == 1
    )


async def test_the_second_contact_is_told_after_the_second_failure_and_the_first_goes_on(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, bad(), bad(), good())
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    assert DESK not in desk.urls()
    await desk.turn(13_000)
    await desk.turn()
    await desk.turn()
    assert desk.urls().count(DESK) == 1
    assert "for ana, who could not be told" in next(title for url, title, _, _ in desk.channels.sent if url == DESK)
    await desk.turn(40_000)
    assert desk.urls().count(ANA) == 3
    assert floor.one("SELECT fallback_of, state FROM outbox WHERE recipient = 'desk'") == ("ana", Post.SENT)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    await desk.turn()
    assert [r for r, kind, _ in floor.letters if kind == "resolve"] == ["ana", "ben", "desk"]


async def test_the_second_contact_is_told_after_a_minute(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, Outcome((Part(0, "refused", "x", 503),), "no", 1))
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    with floor.store.transaction() as tx:  # its next attempt is far away
        tx.db.execute("UPDATE outbox SET next_at = next_at + 3600000 WHERE recipient = 'ana'")
    await desk.turn(58_000)
    assert DESK not in desk.urls()
    await desk.turn(3_000)
    await desk.turn()
    assert desk.urls().count(DESK) == 1


async def test_the_second_contact_is_told_at_once_where_waiting_does_not_help(desk: Desk) -> None:
    floor = desk.floor
    (floor.folder / "ana.url").unlink()
    desk.channels.answer(BEN, bad(404))
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    await desk.turn()
    assert desk.urls() == [BEN, DESK]
    await desk.turn(MINUTE)
    assert desk.urls().count(DESK) == 1


async def test_only_the_part_that_failed_is_sent_again(desk: Desk) -> None:
    floor = desk.floor
    half = Outcome((Part(0, "ok", "a"), Part(1, "refused", "b", 500)), "half", 1)
    desk.channels.answer(ANA, half, good())
    floor.ctx.config = replace(floor.config, routes=(replace(floor.config.routes[0], to=("ana",)),))
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    assert floor.letters == [("ana", "fire", Post.PENDING)]
    await desk.turn(15_000)
    assert desk.channels.skips == [(), (0,)]
    assert floor.letters == [("ana", "fire", Post.SENT)]


async def test_a_timeout_may_have_arrived_and_the_repeat_says_so(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, Outcome((Part(0, "timeout", "x"),), "too slow", 20_000), good())
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    await desk.turn(15_000)
    first, second = [body for url, _, body, _ in desk.channels.sent if url == ANA]
    assert second == first + " · may be a repeat"


async def test_a_timeout_then_the_end_the_end_is_told(desk: Desk) -> None:
    floor = desk.floor
    desk.channels.answer(ANA, Outcome((Part(0, "timeout", "x"),), "too slow", 20_000), good())
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    floor.poll(floor.run(State.SUCCESS, "r2", ended=floor.clock.now() + 1))
    await desk.turn()
    assert ("ana", "resolve", Post.SENT) in floor.letters


async def test_marked_as_being_sent_when_the_engine_died(desk: Desk) -> None:
    floor = desk.floor
    floor.poll(floor.run(State.FAILED, error="x"))
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE outbox SET state = 1, attempts = 1 WHERE recipient = 'ana'")
    await desk.turn()
    assert desk.urls() == [BEN]
    await desk.turn(11_000)
    assert desk.urls() == [BEN, ANA]
    assert desk.channels.sent[1][2].endswith("may be a repeat")


async def test_a_missing_address_is_a_failure_in_words_and_never_a_crash(desk: Desk) -> None:
    floor = desk.floor
    (floor.folder / "ana.url").unlink()
    floor.poll(floor.run(State.FAILED, error="x"))
    await desk.turn()
    assert (
        floor.one("SELECT last_error FROM outbox WHERE recipient = 'ana'")
        == "its address cannot be read from file:ana.url"
    )
    assert floor.letters[:2] == [("ana", "fire", Post.PENDING), ("ben", "fire", Post.SENT)]


async def test_never_two_at_a_time_to_one_contact(desk: Desk) -> None:
    floor = desk.floor
    floor.poll(*(floor.run(State.FAILED, f"r{i}", date=f"2026-11-{i:02d}", error="x") for i in range(1, 6)))
    await desk.turn()
    assert sorted(desk.urls()) == [ANA, BEN]
    for _ in range(4):
        await desk.turn()
    assert sorted(desk.urls()) == [ANA] * 5 + [BEN] * 5


async def test_a_test_message_goes_the_whole_way_and_is_tried_once(desk: Desk) -> None:
    desk.channels.answer(BEN, bad(403))
    reports = await desk.notifier.test()
    assert [(r.recipient, r.ok, r.words) for r in reports] == [
        ("ana", True, "json://here took it"),
        ("ben", False, "json://here did not take it (403)"),
        ("desk", True, "json://here took it"),
    ]
    assert {kind for _, kind, _ in desk.floor.letters} == {"test"}
    assert (await desk.notifier.test("ana"))[0].ok
    assert [r.recipient for r in await desk.notifier.test("*")] == ["ana", "ben", "desk"]
    with pytest.raises(RequestError, match="neither a contact nor"):
        await desk.notifier.test("nobody")
