"""The server of these tests lets nothing pass that Databricks does not document: 500, and it stands in ``invented``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers.databricks_like import TOKEN_PATH, DatabricksLike

JOBS = "/api/2.2/jobs"
CRON = {"quartz_cron_expression": "0 0 0 * * ?", "timezone_id": "UTC"}
WELL_KNOWN = ("/oidc/.well-known/oauth-authorization-server", "/.well-known/databricks-config")


@pytest.fixture
def server() -> Iterator[DatabricksLike]:
    with DatabricksLike() as found:
        yield found


def ask(server: DatabricksLike, method: str, path: str, **more: Any) -> int:
    headers = {"Authorization": f"Bearer {server.pat}"}
    return httpx.request(method, server.url + path, headers=headers, timeout=5, **more).status_code


def refused(server: DatabricksLike, method: str, path: str, **more: Any) -> None:
    before, effects = len(server.invented), len(server.effects)
    assert ask(server, method, path, **more) == 500
    assert len(server.invented) == before + 1
    assert len(server.effects) == effects


@pytest.mark.parametrize(
    "query",
    [
        f"{JOBS}/list?offset=3",
        f"{JOBS}/list?limit=many",
        f"{JOBS}/list?limit=5&limit=6",
        f"{JOBS}/list?expand_tasks=yes",
        f"{JOBS}/runs/list?order=desc",
        f"{JOBS}/runs/list?run_type=ANY",
        f"{JOBS}/runs/list?start_time_from=yesterday",
        f"{JOBS}/runs/get?run_id=1&expand=1",
        f"{JOBS}/runs/export?run_id=1",
        "/api/2.1/jobs/list",
        "/api/2.0/pipelines?order_by=x",
        "/api/2.0/pipelines/x/events?filter=level='ERROR'",
        "/api/2.0/pipelinesX",
        "/api/2.1/clusters/list?filter_by.cluster_states=RUNNING",
        "/api/2.0/preview/scim/v2/Me?attributes=x",
        "/api/2.0/permissions/notebooks/1",
        "/api/2.0/permissions/jobs/1/permissionLevels",
        *(f"{path}?x=1" for path in WELL_KNOWN),
    ],
)
def test_an_invented_question(server: DatabricksLike, query: str) -> None:
    refused(server, "GET", query)


def test_a_question_with_a_body(server: DatabricksLike) -> None:
    refused(server, "GET", f"{JOBS}/list", json={"limit": 1})
    refused(server, "GET", WELL_KNOWN[0], json={})
    refused(server, "DELETE", f"{JOBS}/delete")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{JOBS}/run-now", {"notebook_params": {}}),
        (f"{JOBS}/run-now", {"queue": {"invented": 1}}),
        (f"{JOBS}/run-now", {"job_parameters": ["a"]}),
        (f"{JOBS}/run-now", {"idempotency_token": 7}),
        (f"{JOBS}/update", {"fields_to_remove": ["schedule"]}),
        (f"{JOBS}/update", {"new_settings": []}),
        (f"{JOBS}/update", {"new_settings": {"paused": True}}),
        (f"{JOBS}/update", {"new_settings": {"queue": {"enabled": True}}}),
        (f"{JOBS}/update", {"new_settings": {"schedule": {**CRON, "status": "PAUSED"}}}),
        (f"{JOBS}/update", {"new_settings": {"schedule": {**CRON, "pause_status": "HELD"}}}),
        (f"{JOBS}/update", {"new_settings": {"schedule": {**CRON, "pause_status": True}}}),
        (f"{JOBS}/update", {"new_settings": {"trigger": {"file_arrival": {"url": "s3://x", "wait": 1}}}}),
        (f"{JOBS}/update", {"new_settings": {"trigger": {"periodic": {"interval": "1", "unit": "DAYS"}}}}),
        (f"{JOBS}/update", {"new_settings": {"continuous": {"status": "PAUSED"}}}),
        (f"{JOBS}/update", {"new_settings": {"triggers": {"schedule": CRON}}}),
        (f"{JOBS}/update", {"new_settings": {"triggers": [{"schedule": {**CRON, "pause_status": "PAUSED"}}]}}),
        (f"{JOBS}/pause", {}),
        (f"{JOBS}/reset", {}),
    ],
)
def test_an_invented_field(server: DatabricksLike, path: str, body: dict[str, Any]) -> None:
    job = server.add_job("daily")
    refused(server, "POST", path, json={"job_id": job, **body})


def test_what_is_about_other_things(server: DatabricksLike) -> None:
    run = server.add_run(server.add_job("daily"), "TERMINATED", "FAILED")
    pipe, cluster = server.add_pipe("silver"), server.add_cluster("shared", "TERMINATED")
    refused(server, "POST", f"{JOBS}/runs/cancel", json={"run_id": str(run)})
    refused(server, "POST", f"{JOBS}/runs/repair", json={"run_id": run, "from_task": "x"})
    refused(server, "POST", f"{JOBS}/runs/repair", json={"run_id": run, "rerun_tasks": "load"})
    refused(server, "POST", f"/api/2.0/pipelines/{pipe}/updates", json={"full_refresh": False, "cause": "x"})
    refused(server, "POST", f"/api/2.0/pipelines/{pipe}/stop", json={"update_id": "x"})
    refused(server, "POST", "/api/2.1/clusters/start", json={"cluster_id": cluster, "workers": 3})
    refused(server, "POST", "/api/2.1/clusters/start", json={"cluster_id": 7})


@pytest.mark.parametrize("body", [[1], "x", 7, None])
def test_a_body_that_is_no_object(server: DatabricksLike, body: Any) -> None:
    refused(server, "POST", f"{JOBS}/run-now", json=body)
    refused(server, "POST", f"{JOBS}/update", json=body)


def test_a_body_that_is_no_json_and_a_change_with_a_query(server: DatabricksLike) -> None:
    job = server.add_job("daily")
    refused(server, "POST", f"{JOBS}/run-now", content=b"job_id=1")
    refused(server, "POST", f"{JOBS}/run-now?job_id={job}", json={"job_id": job})
    refused(server, "POST", f"{TOKEN_PATH}?x=1", data={"grant_type": "client_credentials"})


@pytest.mark.parametrize(
    "query", [f"{JOBS}/runs/list?limit=25", f"{JOBS}/runs/list?active_only=true&completed_only=true"]
)
def test_what_is_documented_to_be_refused_is_a_400(server: DatabricksLike, query: str) -> None:
    assert ask(server, "GET", query) == 400
    assert server.invented == []


def test_what_is_documented_passes(server: DatabricksLike) -> None:
    job = server.add_job("daily")
    schedule = {**CRON, "pause_status": "PAUSED"}
    body = {"job_id": job, "new_settings": {"schedule": schedule}}
    assert ask(server, "POST", f"{JOBS}/update", json=body) == 200
    assert server.jobs[job].settings["schedule"] == schedule
    bare = {"job_id": job, "new_settings": {"schedule": {"timezone_id": "UTC"}}}
    assert ask(server, "POST", f"{JOBS}/update", json=bare) == 400
    assert ask(server, "POST", f"/api/2.0/pipelines/{server.add_pipe('silver')}/stop") == 200
    assert ask(server, "GET", WELL_KNOWN[0]) == 200
    assert server.invented == []
