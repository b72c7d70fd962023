"""What ``doctor`` says of a key: each right of docs/systems/dataiku.md is tried, none of them by an effect."""

from __future__ import annotations

import pytest

from adapters.dataiku import DataikuAdapter
from adapters.dataiku.probing import RIGHTS
from tests.dataiku.world import settings
from tests.servers.dataiku_like import ApiKey, DataikuLike
from tests.servers.dataiku_state import API

ALL = {right.may for right in RIGHTS}
STARTS, PAUSES = {"start", "stop", "rerun"}, {"pause", "resume"}


def lesser(like: DataikuLike, *lacks: str) -> None:
    like.key.admin, like.key.kind, like.key.lacks = False, "global", set(lacks)


async def test_each_right_is_tried_by_the_call_that_the_page_names(like: DataikuLike, adapter: DataikuAdapter) -> None:
    lesser(like)
    await adapter.probe()
    asked = [f"{r.method} {r.path.removeprefix(API)}" for r in like.requests]
    for right in RIGHTS:
        assert asked.count(right.call.format(project="CDM", scenario="daily")) == 1, right
    assert {r.method for r in like.requests} == {"GET"}
    assert not like.effects
    assert len(asked) <= 9


@pytest.mark.parametrize(
    ("lacks", "refused", "said"),
    [
        ("MONITOR_JOBS", {"view", "view scenarios"} | STARTS | PAUSES, ["nothing of it is seen"]),
        ("RUN_JOBS", {"view", "view runs"} | STARTS, ["no run of it is seen, none can be started or stopped"]),
        (
            "READ_CONF",
            {"read schedules", "read jobs"} | PAUSES,
            ["no schedule of it is known, nothing can be paused", "no build of a dataset is followed"],
        ),
        ("write", set(), []),
    ],
)
@pytest.mark.parametrize("admin", [True, False])
async def test_a_right_that_is_lacking_is_said(
    like: DataikuLike, adapter: DataikuAdapter, lacks: str, refused: set[str], said: list[str], admin: bool
) -> None:
    lesser(like, lacks)
    like.key.admin = admin
    probe = await adapter.probe()
    can = dict(probe.permissions)
    assert {k for k, v in can.items() if v is False and k != "see all running scenarios"} == refused
    told = [f"project CDM: {lacks} is lacking for this key: {what}" for what in said]
    assert [w for w in probe.warnings if "is lacking" in w] == told
    unknown = {k for k, v in can.items() if v is None}
    if not admin:
        assert unknown >= (STARTS | PAUSES) - refused, "what only an effect can tell"
    assert not like.effects


async def test_the_only_project_that_is_closed_is_not_viewed(like: DataikuLike, adapter: DataikuAdapter) -> None:
    like.closed = {"CDM"}
    probe = await adapter.probe()
    can = probe.permissions
    assert [can[what] for what in ("view", "view scenarios", "start", "stop", "pause")] == [False] * 5
    assert can["view runs"] is None
    assert probe.warnings == ("project CDM: MONITOR_JOBS is lacking for this key: nothing of it is seen",)


async def test_a_key_that_administers_has_them_all_and_is_warned_of_nothing(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    probe = await adapter.probe()
    assert set(probe.permissions) == ALL | STARTS | PAUSES | {"view", "see all running scenarios"}
    assert all(probe.permissions.values())
    assert probe.warnings == ()


async def test_a_project_without_scenarios_leaves_it_open() -> None:
    with DataikuLike(ApiKey("dkuaps-global", "k", "global", admin=False)) as like:
        like.add_project("CDM")
        adapter = DataikuAdapter(settings(like, options={"all_users": False}))
        probe = await adapter.probe()
        assert probe.permissions["view scenarios"] is True
        assert probe.permissions["view runs"] is probe.permissions["start"] is None
        assert "project CDM: whether it may view runs cannot be told: it has no scenario" in probe.warnings
        assert like.refused == []
        await adapter.close()


async def test_rights_are_tried_on_a_project_that_is_watched(like: DataikuLike) -> None:
    like.add_scenario("HR", "secret")
    adapter = DataikuAdapter(settings(like, options={"projects": ["HR"]}))
    await adapter.probe()
    assert not [r.path for r in like.requests if "/CDM/" in r.path]
    await adapter.close()


async def test_what_the_probe_read_is_not_read_again_at_once(like: DataikuLike, adapter: DataikuAdapter) -> None:
    await adapter.probe()
    listing = await adapter.pipelines()
    assert (listing.complete, [p.key for p in listing.items]) == (True, ["dss:CDM.daily"])
    assert sum(r.path.endswith("/CDM/scenarios/") for r in like.requests) == 1


async def test_what_the_probe_read_long_ago_is_read_again(
    like: DataikuLike, adapter: DataikuAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adapter.probe()
    like.add_scenario("CDM", "new")
    monkeypatch.setattr("adapters.dataiku.board.PEEK_S", -1.0)
    listing = await adapter.pipelines()
    assert (listing.complete, len(listing.items)) == (True, 2)


@pytest.mark.parametrize("fault", ["html", "404", "500", "truncated"])
async def test_an_answer_that_is_none_is_no_right(like: DataikuLike, adapter: DataikuAdapter, fault: str) -> None:
    """As a proxy gives them: neither may nor may not is known."""
    like.fault_on = lambda method, path: "/projects/CDM/" in path or path.endswith("/futures/")
    like.fault = fault
    probe = await adapter.probe()
    assert {v for k, v in probe.permissions.items()} == {None}
    assert [w for w in probe.warnings if "cannot be told" in w] == [
        "project CDM: whether it may view scenarios cannot be told",
        "project CDM: whether it may read jobs cannot be told",
    ]
