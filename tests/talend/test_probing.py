"""What ``doctor`` says of a credential: tried by reading, on a run where there is one, and nothing is done."""

from __future__ import annotations

import re

import pytest

from adapters.talend import TalendAdapter
from adapters.talend.acts import VERBS
from adapters.talend.probing import RIGHTS, Right
from tests.servers.talend_like import TalendLike


def paths(right: Right) -> re.Pattern[str]:
    return re.compile(right.call.removeprefix("GET ").replace("{execution}", "[^/]+"))


@pytest.fixture
def ran(like: TalendLike) -> TalendLike:
    like.add_run("daily", "now", ago_s=5)
    done = like.add_run("daily", "done", word="EXECUTION_SUCCESS", ago_s=600)
    done.components = [{"connector_type": "tMap"}]
    return like


async def test_what_may_be_read_is_tried_and_what_acts_is_not(ran: TalendLike, adapter: TalendAdapter) -> None:
    probe = await adapter.probe()
    assert probe.permissions == {
        "view": True, **{r.may: True for r in RIGHTS}, **dict.fromkeys(VERBS, None),
    }  # fmt: skip
    assert probe.warnings == ()
    asked = [s.path for s in ran.requests]
    assert asked[0] == "/orchestration/environments"
    assert len(asked) == 1 + len(RIGHTS)
    assert all(paths(r).fullmatch(path) for r, path in zip(RIGHTS, asked[1:], strict=True))
    assert [path for path in asked if "/monitoring/" in path and "done" not in path] == [], "of the one that has ended"
    assert {s.method for s in ran.requests} == {"GET"}
    assert not ran.effects


@pytest.mark.parametrize("right", RIGHTS, ids=lambda r: r.may)
async def test_each_right_that_is_lacking_is_said(ran: TalendLike, adapter: TalendAdapter, right: Right) -> None:
    ran.forbid = lambda method, path: paths(right).fullmatch(path) is not None
    probe = await adapter.probe()
    assert probe.permissions[right.may] is False
    alone = "{execution}" in right.call
    assert probe.permissions["view"] is alone, "without logs and components it is watched all the same"
    assert probe.warnings == (f"this credential may not {right.may}: {right.without} (needs {right.name})",)
    others = {r.may for r in RIGHTS} - {right.may}
    untold = {r.may for r in RIGHTS if "{execution}" in r.call} if right.may == "view runs of tasks" else set()
    assert {may for may in others if probe.permissions[may] is not True} == untold


async def test_without_a_run_logs_and_components_cannot_be_told(like: TalendLike, adapter: TalendAdapter) -> None:
    probe = await adapter.probe()
    assert (probe.permissions["view logs"], probe.permissions["view components"]) == (None, None)
    assert probe.warnings == (
        "whether it may view logs cannot be told: TMC lists no run of a task to try it on",
        "whether it may view components cannot be told: TMC lists no run of a task to try it on",
    )
    assert not [s for s in like.requests if "/monitoring/" in s.path]


async def test_a_run_that_has_none_tells_nothing(ran: TalendLike, adapter: TalendAdapter) -> None:
    ran.execs["done"].components.clear()
    ran.execs["done"].lines.clear()
    probe = await adapter.probe()
    assert (probe.permissions["view logs"], probe.permissions["view components"]) == (None, None)
    assert probe.warnings == (
        "whether it may view logs cannot be told: the run that it was tried on has none",
        "whether it may view components cannot be told: the run that it was tried on has none",
    )


@pytest.mark.parametrize("fault", ["html", "500", "truncated"])
async def test_an_answer_that_is_none_is_no_right(ran: TalendLike, adapter: TalendAdapter, fault: str) -> None:
    """As a proxy gives them: of a page that is no JSON nobody knows what it means."""
    ran.fault_on = lambda method, path: "/monitoring/" in path
    ran.fault = fault
    probe = await adapter.probe()
    assert (probe.permissions["view logs"], probe.permissions["view components"]) == (None, None)
    assert [w.partition(": ")[0] for w in probe.warnings] == [
        "whether it may view logs cannot be told",
        "whether it may view components cannot be told",
    ]
