"""The server of these tests takes only what TMC's API has: what is invented is refused, noted, and does nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers.talend_fields import DOCUMENTED
from tests.servers.talend_like import TalendLike

RUNS = "/processing/executions"
LISTS = "/processing/executables/tasks/executions"
PAUSE = "/orchestration/executables/tasks/t1/pause"
EVENTS = "/orchestration/executables/events/search"
TOKEN = "/security/oauth/token"
GRANT = {"grant_type": "client_credentials", "audience": "https://api.eu.cloud.talend.com"}


@pytest.fixture
def strict() -> Iterator[TalendLike]:
    """A server that is asked for what there is not."""
    with TalendLike() as like:
        like.add_task("t1", "Load")
        like.add_run("t1", "e1")
        like.add_plan("p1", "All", steps=[["t1"]])
        yield like


def ask(like: TalendLike, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {like.pat}", "Accept": "*/*", **more.pop("headers", {})}
    given = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    return httpx.request(method, like.url + path, headers=headers, timeout=5, **given)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/tmc/v2.6/executions", None),
        ("PATCH", PAUSE, {"pause": True}),
        ("GET", "/orchestration/environments?bogus=1", None),
        ("GET", f"{LISTS}?sort=desc", None),
        ("GET", f"{LISTS}?status=RUNNING", None),
        ("GET", f"{LISTS}?status=execution_misfired", None),
        ("GET", f"{LISTS}?limit=many", None),
        ("GET", f"{LISTS}?limit=10&limit=20", None),
        ("GET", f"{LISTS}?from=yesterday", None),
        ("GET", f"{LISTS}", {"lastDays": 1}),
        ("GET", "/processing/executables/tasks/t1/executions?environmentId=x", None),
        ("GET", "/monitoring/executions/e1/logs?order=UP", None),
        ("POST", "/monitoring/executions/e1/logs?fileFormat=PDF", None),
        ("POST", "/monitoring/executions/e1/logs?endTime=now", None),
        ("POST", "/monitoring/executions/e1/logs", {"endTime": "2026-11-20T03:00:00Z"}),
        ("POST", "/monitoring/executions/e1/logs/status", {"token": 7}),
        ("POST", "/monitoring/executions/e1/logs/status", {}),
        ("POST", RUNS, None),
        ("POST", RUNS, b"not json"),
        ("POST", RUNS, ["t1"]),
        ("POST", RUNS, "t1"),
        ("POST", RUNS, {}),
        ("POST", RUNS, {"taskId": "t1"}),
        ("POST", RUNS, {"executable": ["t1"]}),
        ("POST", RUNS, {"executable": "t1", "logLevel": "DEBUG"}),
        ("POST", RUNS, {"executable": "t1", "parameters": ["x"]}),
        ("POST", RUNS, {"executable": "t1", "parameters": {"a": {"b": 1}}}),
        ("POST", RUNS, {"executable": "t1", "timeout": "soon"}),
        ("POST", RUNS, {"executable": "t1", "resumeFromStep": "x"}),
        ("POST", f"{RUNS}/plans", {"executable": "p1", "parameters": {}}),
        ("POST", f"{RUNS}/plans", {"executable": "p1", "rerunOnlyFailedTasks": "yes"}),
        ("POST", f"{RUNS}/e1/stop", {}),
        ("DELETE", f"{RUNS}/plans/p1", None),
        ("DELETE", f"{RUNS}/e1?force=true", None),
        ("DELETE", f"{RUNS}/e1", {"force": True}),
        ("DELETE", f"{RUNS}/e1", {}),
        ("PUT", PAUSE, {"paused": True}),
        ("PUT", PAUSE, {"pause": "yes"}),
        ("PUT", PAUSE, {"pauseContext": "why"}),
        ("PUT", f"{PAUSE}?force=true", {"pause": True}),
        ("POST", EVENTS, {}),
        ("POST", EVENTS, {"environmentId": "env-1", "to": "tomorrow"}),
        ("POST", EVENTS, {"environmentId": "env-1", "to": 1, "workspaceIds": "ws-1"}),
        ("GET", "/presigned/zzz?X=1", None),
        ("POST", "/presigned/zzz", None),
    ],
)
def test_what_the_api_does_not_name_is_refused(strict: TalendLike, method: str, path: str, body: Any) -> None:
    assert ask(strict, method, path, body).status_code == 500
    assert len(strict.invented) == 1
    assert not strict.effects
    assert ask(strict, "GET", "/orchestration/environments").status_code == 200, "and it goes on serving"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{TOKEN}?x=1", GRANT),
        (TOKEN, GRANT | {"scope": "all"}),
        (TOKEN, {"grant_type": "client_credentials"}),
        (TOKEN, GRANT | {"grant_type": "password"}),
        (TOKEN, GRANT | {"audience": 7}),
        (TOKEN, ["client_credentials"]),
        (TOKEN, None),
    ],
)
def test_a_token_is_given_for_what_is_documented_alone(strict: TalendLike, path: str, body: Any) -> None:
    pair = base64.b64encode(f"{strict.client_id}:{strict.client_secret}".encode()).decode()
    basic = {"headers": {"Authorization": f"Basic {pair}"}}
    assert ask(strict, "POST", path, body, **basic).status_code == 500
    assert len(strict.invented) == 1
    assert not strict.issued
    assert ask(strict, "POST", TOKEN, GRANT, **basic).status_code == 200


def test_what_is_documented_is_taken(strict: TalendLike) -> None:
    whole = {"executable": "t1", "parameters": {"day": "2026-11-20", "n": 3}, "logLevel": "WARN", "timeout": 90}
    assert ask(strict, "POST", RUNS, whole).status_code == 201
    assert ask(strict, "PUT", PAUSE, {"pause": True, "pauseContext": "why"}).status_code == 202
    assert ask(strict, "GET", f"{LISTS}?lastDays=2&status=executing&limit=100&offset=0").status_code == 200
    assert ask(strict, "POST", EVENTS, {"environmentId": "env-1", "from": 0, "to": 9, "limit": 1}).status_code == 200
    assert ask(strict, "DELETE", f"{RUNS}/e1").status_code == 204
    assert strict.invented == []


def test_each_documented_call_is_served(strict: TalendLike) -> None:
    for method, path, _, fields in DOCUMENTED:
        some: dict[str, Any] = {"executable": "no", "pause": True, "environmentId": "e", "to": 1, "token": "t"}
        body = {k: v for k, v in some.items() if k in fields} or None
        assert ask(strict, method, path.replace("{}", "nothing"), body).status_code < 500, f"{method} {path}"
    assert strict.invented == []
