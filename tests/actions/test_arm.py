"""Arming: one person, one environment, one minute."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.config.model import Access, Source
from engine.peer import Peer
from engine.request import RequestError
from tests.actions.conftest import ME, OTHER, Floor


def rows(floor: Floor) -> list[tuple[str, str, int]]:
    with floor.store.transaction() as tx:
        return tx.db.execute("SELECT environment, who, until FROM armed ORDER BY who").fetchall()


def left(floor: Floor, peer: Peer = ME) -> float:
    return floor.actions._arming.left("prod", peer.uid)


async def test_arming_lasts_a_minute(floor: Floor) -> None:
    reply = await floor.actions.arm({"environment": "prod"}, ME)
    assert reply == {
        "environment": "prod",
        "until": floor.clock.now() + 60_000,
        "seconds": 60.0,
        "words": reply["words"],
    }
    assert rows(floor) == [("prod", "ana", reply["until"])]
    await floor.clock.advance(59)
    assert left(floor) == 1
    await floor.clock.advance(1)
    assert left(floor) == 0
    assert rows(floor) == []
    assert [r.event for r in floor.audited()] == ["armed"]


async def test_arming_again_begins_a_new_minute(floor: Floor) -> None:
    await floor.arm()
    await floor.clock.advance(40)
    await floor.arm()
    await floor.clock.advance(40)
    assert left(floor) == 20
    assert len(rows(floor)) == 1
    await floor.clock.advance(20)
    assert rows(floor) == []


async def test_one_arms_for_oneself(floor: Floor) -> None:
    floor.configure(access=(Access(("*",), "operator"),))
    await floor.arm()
    assert left(floor, OTHER) == 0
    await floor.arm(OTHER)
    assert len(rows(floor)) == 2
    await floor.actions.disarm({"environment": "prod"}, OTHER)
    assert (left(floor), left(floor, OTHER)) == (60, 0)
    await floor.actions.disarm({}, ME)
    assert left(floor) == 0
    assert rows(floor) == []


async def test_wall_clock_set_back_does_not_lengthen_it(floor: Floor) -> None:
    await floor.arm()
    floor.clock.wall_offset = -3_600_000
    await floor.clock.advance(61)
    assert left(floor) == 0


async def test_restart_disarms(floor: Floor) -> None:
    await floor.arm()
    await floor.restart()
    assert left(floor) == 0
    assert rows(floor) == []


async def test_who_may_arm(floor: Floor) -> None:
    with pytest.raises(RequestError, match="bob may look at prod, not act on it"):
        await floor.arm(OTHER)
    floor.configure(access=(Access(("group:guests",), "operator", "prod-fake:daily*"),))
    await floor.arm(OTHER)  # something there is his; each plan asks again
    with pytest.raises(RequestError):
        await floor.arm(ME)
    floor.configure(access=(Access(("*",), "operator", "env:dev"), Access(("*",), "viewer", "env:prod")))
    with pytest.raises(RequestError):
        await floor.arm(ME)


@pytest.mark.parametrize("body", [{"environment": "prod"}, {"source": "prod-fake"}, {"key": "prod-fake:daily/r1"}, {}])
async def test_ways_to_name_it(floor: Floor, body: dict[str, str]) -> None:
    assert (await floor.actions.arm(body, ME))["environment"] == "prod"


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ({"environment": "prd"}, "no environment 'prd'", "did you mean 'prod'?"),
        ({"environment": "dev"}, "dev is not protected: there is nothing to arm", ""),
        ({"source": "prodfake"}, "no source 'prodfake'", "did you mean 'prod-fake'?"),
        ({"key": "x"}, "'x' is not a key", ""),
    ],
)
async def test_names_that_mean_nothing(floor: Floor, body: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        await floor.actions.arm(body, ME)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


async def test_source_without_environment_is_armed_by_its_name(floor: Floor) -> None:
    floor.configure(sources=(replace(floor.config.sources[0], environment=""), Source(name="x", kind="fake")))
    with pytest.raises(RequestError, match="arm what") as caught:
        await floor.actions.arm({}, ME)
    assert caught.value.hint == "protected: prod-fake, x"
    assert (await floor.actions.arm({"environment": "prod-fake"}, ME))["environment"] == "prod-fake"
    key = floor.prod.add("daily")
    plan = await floor.plan("pause", key)
    assert plan["needs"] == {"armed": False, "reason": True, "typed": "prod-fake/daily", "key": "typed"}
