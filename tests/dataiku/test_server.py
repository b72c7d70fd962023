"""The test server itself: what no documentation names does not pass, and what would harm a real DSS harms it here too."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest

from tests.servers.dataiku_like import DataikuLike
from tests.servers.dataiku_state import API

DAILY = "/projects/CDM/scenarios/daily"
BUILD = {"type": "RECURSIVE_BUILD", "outputs": [{"type": "DATASET", "id": "sales", "projectKey": "CDM"}]}


@pytest.fixture
def server() -> Any:
    with DataikuLike() as like:
        like.add_scenario("CDM", "daily")
        like.add_dataset("CDM", "sales")
        like.add_run("CDM", "daily")
        yield like


def ask(server: DataikuLike, method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method, server.url + API + path, json=body, auth=(server.key.secret, ""), timeout=5)


INVENTED: list[tuple[str, str, Any]] = [
    ("GET", "/version", None),
    ("GET", "/projects/?limit=3", None),
    ("GET", "/projects/", {"limit": 3}),
    ("POST", f"{DAILY}/rerun", {}),
    ("POST", f"{DAILY}/rerun", None),
    ("DELETE", DAILY, None),
    ("GET", f"{DAILY}/abort", None),
    ("POST", f"{DAILY}/run", None),
    ("POST", f"{DAILY}/run", [1]),
    ("POST", f"{DAILY}/run?wait=true", {}),
    ("POST", f"{DAILY}/abort", {"runId": "x"}),
    ("POST", f"{DAILY}/abort", {}),
    ("PUT", f"{DAILY}/light", None),
    ("PUT", f"{DAILY}/light", {"active": False}),
    ("PUT", DAILY, {"active": False}),
    ("PUT", DAILY, []),
    ("POST", "/projects/CDM/jobs/", None),
    ("POST", "/projects/CDM/jobs/", BUILD | {"force": True}),
    ("POST", "/projects/CDM/jobs/", BUILD | {"type": "REBUILD"}),
    ("POST", "/projects/CDM/jobs/", BUILD | {"outputs": []}),
    ("POST", "/projects/CDM/jobs/", BUILD | {"outputs": [{"type": "TABLE", "id": "sales"}]}),
    ("POST", "/projects/CDM/jobs/", BUILD | {"outputs": [{"id": "sales", "invented": 1}]}),
    ("POST", "/projects/CDM/jobs/J1/abort", {"force": True}),
]


@pytest.mark.parametrize(("method", "path", "body"), INVENTED, ids=lambda v: str(v)[:50])
def test_what_is_invented_is_refused_and_logged(server: DataikuLike, method: str, path: str, body: Any) -> None:
    assert ask(server, method, path, body).status_code == 500
    assert len(server.refused) == 1
    assert not server.effects


@pytest.mark.parametrize("path", ["/projects", "/futures", "/projects/CDM/scenarios", "/projects/CDM/jobs"])
def test_a_list_without_its_slash_is_404_as_in_dss_and_logged(server: DataikuLike, path: str) -> None:
    assert ask(server, "GET", path).status_code == 404
    assert len(server.refused) == 1
    assert ask(server, "DELETE", path).status_code == 500, "and only where it would be a list"


def test_what_is_outside_of_the_api_is_the_user_interface_and_logged(server: DataikuLike) -> None:
    found = httpx.get(f"{server.url}/public/api/projects/", auth=(server.key.secret, ""))
    assert found.text.startswith("<html>")
    assert server.refused == ["GET /public/api/projects/"]


def test_a_body_that_is_no_json_is_refused(server: DataikuLike) -> None:
    found = httpx.post(f"{server.url}{API}{DAILY}/run", content=b"full=true", auth=(server.key.secret, ""))
    assert (found.status_code, len(server.refused)) == (500, 1)


@pytest.mark.parametrize("part", ["/light", ""])
def test_members_of_settings_are_those_that_it_told(server: DataikuLike, part: str) -> None:
    said = ask(server, "GET", DAILY + part).json()
    for odd in (said | {"paused": True}, said | {"active": "no"}, {k: v for k, v in said.items() if k != "tags"}):
        server.refused.clear()
        assert ask(server, "PUT", DAILY + part, odd).status_code == 500
        assert len(server.refused) == 1
    scenario = server.scenarios[("CDM", "daily")]
    assert (scenario.active, len(scenario.triggers), server.effects) == (True, 1, [])
    server.refused.clear()
    assert ask(server, "PUT", DAILY + part, said | {"active": False}).status_code == 200
    assert (scenario.active, len(scenario.triggers), len(scenario.steps), len(server.effects)) == (False, 1, 3, 1)
    assert server.refused == []


def test_whole_settings_wipe_what_they_hold_no_more(server: DataikuLike) -> None:
    said = ask(server, "GET", DAILY).json()
    emptied = copy.deepcopy(said) | {"triggers": []}
    emptied["params"]["steps"] = []
    assert ask(server, "PUT", DAILY, emptied).status_code == 200
    scenario = server.scenarios[("CDM", "daily")]
    assert (scenario.triggers, scenario.steps) == ([], ())


@pytest.mark.parametrize(
    ("right", "method", "path", "body"),
    [
        ("MONITOR_JOBS", "GET", "/projects/CDM/scenarios/", None),
        ("READ_CONF", "GET", "/projects/CDM/jobs/?limit=1", None),
        ("READ_CONF", "GET", DAILY, None),
        ("RUN_JOBS", "GET", f"{DAILY}/get-last-runs?limit=1", None),
        ("RUN_JOBS", "POST", f"{DAILY}/run", {}),
        ("RUN_JOBS", "POST", "/projects/CDM/jobs/", BUILD),
    ],
)
def test_a_privilege_that_is_lacking_is_403(server: DataikuLike, right: str, method: str, path: str, body: Any) -> None:
    assert ask(server, method, path, body).status_code == 200
    made = len(server.effects)
    server.key.lacks = {right}
    assert ask(server, method, path, body).status_code == 403
    assert len(server.effects) == made
    assert server.refused == []
