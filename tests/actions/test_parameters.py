"""What a source declares that a verb may be given stands in the plan; what speaks against a value is a guard that forbids nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import Action, Prepared
from adapters.model import ActionState
from adapters.parameters import Parameter, read_all
from engine.actions.render import plan_text
from tests.actions.conftest import Floor
from tests.actions.fake import FakeAdapter

SPEED = Parameter(name="speed", type="int", default="3", recommended=(1, 5), hard=(1, 10), means="dates at a time")
REGION = Parameter(name="region", type="choice", choices=("eu", "us"), required=True)


@pytest.fixture
def declared(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> str:
    plain = FakeAdapter.prepare

    async def prepare(self: FakeAdapter, action: Action) -> Prepared:
        _, warnings = read_all(action.verb, self.parameters(action.verb, action.key), action.params)
        return replace(await plain(self, action), warnings=tuple(warnings))

    def parameters(self: FakeAdapter, verb: Any, key: str) -> Any:
        return (SPEED, REGION) if verb == "start" else ()

    monkeypatch.setattr(FakeAdapter, "prepare", prepare)
    monkeypatch.setattr(FakeAdapter, "parameters", parameters)
    key = floor.dev.add("daily")
    floor.poll(floor.dev)
    return key


async def test_a_plan_lists_them_also_where_one_is_missing(floor: Floor, declared: str) -> None:
    plan = await floor.plan("start", declared)
    assert plan["blocked"].startswith("start needs region: eu or us")
    assert [(a["name"], a["required"], a["recommended"]) for a in plan["asks"]] == [
        ("speed", False, [1, 5]),
        ("region", True, None),
    ]
    lines = plan_text(plan, 100).splitlines()
    assert "takes     speed = 3: whole number, usually 1 to 5, only 1 to 10 · dates at a time" in lines
    assert "          region: eu or us, must be given" in lines
    assert json.loads(json.dumps(plan)) == plan


async def test_outside_of_what_is_recommended_warns_and_goes(floor: Floor, declared: str) -> None:
    plan = await floor.plan("start", declared, params={"speed": 8, "region": "eu"})
    assert plan["blocked"] is None
    said = "speed = 8 is outside of what is recommended: 1 to 5"
    assert {"name": "parameters", "ok": None, "words": said} in plan["guards"]
    assert f"!!  parameters: {said}" in plan_text(plan, 100)
    record = await floor.ended((await floor.act(plan))["action"])
    assert record.state is ActionState.DONE
    assert said in "".join(row.body for row in floor.audited()), "what was pointed out stands in the record"
    usual = await floor.plan("start", declared, params={"speed": 5, "region": "eu"})
    assert "parameters" not in {g["name"] for g in usual["guards"]}


async def test_outside_of_the_hard_limits_nothing_is_sent(floor: Floor, declared: str) -> None:
    plan = await floor.plan("start", declared, params={"speed": 11, "region": "eu"})
    assert plan["blocked"] == "speed = 11: never above 10 here; nothing was sent"
    assert plan["plan"] == ""
    assert floor.dev.sends == []


async def test_a_source_that_declares_nothing_is_as_before(floor: Floor, declared: str, running: str) -> None:
    assert (await floor.plan("pause", declared))["asks"] == []
    assert (await floor.plan("stop", running))["asks"] == []
