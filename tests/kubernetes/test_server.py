"""The server of these tests takes only what the API of Kubernetes has: what is invented is refused, noted, and does nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from adapters.base import NotSent, Sent
from adapters.errors import RateLimited
from adapters.kubernetes import KubernetesAdapter
from adapters.model import State, Verb
from tests.kubernetes.reading_parts import runs
from tests.kubernetes.world import action, key_of, settings
from tests.servers.kubernetes_like import KubernetesLike

BATCH = "/apis/batch/v1/namespaces/etl"
SAR = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
METRICS = "/apis/metrics.k8s.io/v1beta1"
MAY = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
POD = {"containers": [{"name": "main", "image": "x:1"}], "restartPolicy": "Never"}
HOLD: dict[str, Any] = {"spec": {"suspend": True}}
GONE: dict[str, Any] = {"propagationPolicy": "Background"}


def job(spec: Any = None, meta: Any = None, pod: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", **(meta or {})},
        "spec": {"template": {"spec": {**POD, **(pod or {})}}, **(spec or {})}, **more,
    }  # fmt: skip


@pytest.fixture
def strict() -> Iterator[KubernetesLike]:
    with KubernetesLike() as server:
        server.add_cron("daily")
        server.add_node("node-1")
        server.add_job("daily-1", cron="daily")
        yield server


def ask(server: KubernetesLike, method: str, path: str, body: Any = None) -> int:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": kind}
    content = None if body is None else json.dumps(body)
    return httpx.request(method, server.url + path, content=content, headers=headers, timeout=20).status_code


GOOD = [
    ("GET", "/version", None, 200),
    ("GET", "/api/v1/nodes", None, 200),
    ("GET", "/api/v1/nodes?limit=1", None, 200),
    ("GET", f"{METRICS}/nodes", None, 200),
    ("POST", SAR, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": MAY}, 201),
    ("POST", SELF, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, 201),
    ("POST", f"{BATCH}/jobs", job({"suspend": True, "backoffLimit": 0}), 201),
    ("PATCH", f"{BATCH}/cronjobs/daily", HOLD, 200),
    ("DELETE", f"{BATCH}/jobs/daily-1", {"kind": "DeleteOptions", **GONE}, 200),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), GOOD)
def test_what_the_api_has_is_taken(strict: KubernetesLike, method: str, path: str, body: Any, status: int) -> None:
    assert ask(strict, method, path, body) == status
    assert strict.invented == []


INVENTED = [
    ("GET", "/version?x", None),
    ("POST", "/api/v1/nodes", {}),
    ("DELETE", "/api/v1/nodes", None),
    ("PATCH", "/api/v1/nodes", HOLD),
    ("GET", "/api/v1/nodes?watch=1", None),
    ("GET", "/api/v1/nodes?labelSelector=a", None),
    ("POST", f"{METRICS}/nodes", {}),
    ("DELETE", f"{METRICS}/nodes", None),
    ("POST", f"{METRICS}/namespaces/etl/pods", {}),
    ("POST", f"{SAR}?x", {"spec": MAY}),
    ("POST", SAR, {"spec": {**MAY, "user": "me"}}),
    ("POST", SAR, {"spec": MAY, "user": "me"}),
    ("POST", SAR, {"spec": {"resourceAttributes": {**MAY["resourceAttributes"], "user": "me"}}}),
    ("POST", SAR, {"spec": {"resourceAttributes": {"verb": "get", "resource": 1}}}),
    ("POST", SAR, {"spec": {"resourceAttributes": {"resource": "pods"}}}),
    ("POST", SAR, {"kind": "SubjectAccessReview", "spec": MAY}),
    ("POST", SAR, []),
    ("POST", f"{SELF}?x", {}),
    ("POST", SELF, {"kind": "Nonsense"}),
    ("POST", SELF, {"user": "me"}),
    ("POST", f"{BATCH}/jobs", job(invented=1)),
    ("POST", f"{BATCH}/jobs", job({"bogus": 1})),
    ("POST", f"{BATCH}/jobs", job(meta={"team": "data"})),
    ("POST", f"{BATCH}/jobs", job(meta={"labels": ["a"]})),
    ("POST", f"{BATCH}/jobs", job(meta={"ownerReferences": [{"owner": "x"}]})),
    ("POST", f"{BATCH}/jobs", job({"suspend": "yes"})),
    ("POST", f"{BATCH}/jobs", job({"backoffLimit": "3"})),
    ("POST", f"{BATCH}/jobs", job({"backoffLimit": True})),
    ("POST", f"{BATCH}/jobs", job(pod={"container": []})),
    ("POST", f"{BATCH}/jobs", job(pod={"containers": [{"name": "main", "command": "run"}]})),
    ("POST", f"{BATCH}/jobs", {**job(), "kind": "CronJob"}),
    ("POST", f"{BATCH}/jobs", {**job(), "apiVersion": "batch/v2"}),
    ("POST", f"{BATCH}/jobs", [job()]),
    ("POST", f"{BATCH}/jobs?dryRun=All", job()),
    ("PATCH", f"{BATCH}/jobs/daily-1", {"spec": {"suspend": "yes"}}),
    ("PATCH", f"{BATCH}/cronjobs/daily", {"spec": {"suspend": 1}}),
    ("PATCH", f"{BATCH}/cronjobs/daily", {"spec": {"suspend": None}}),
    ("PATCH", f"{BATCH}/cronjobs/daily", {"spec": {"suspend": True, "paused": True}}),
    ("PATCH", f"{BATCH}/cronjobs/daily", {"suspend": True}),
    ("PATCH", f"{BATCH}/cronjobs/daily", []),
    ("PATCH", f"{BATCH}/cronjobs/daily?force=true", HOLD),
    ("PATCH", f"{BATCH}/cronjobs/daily?dryRun=All", HOLD),
    ("DELETE", f"{BATCH}/jobs/daily-1", {**GONE, "cascade": True}),
    ("DELETE", f"{BATCH}/jobs/daily-1", {**GONE, "preconditions": {"name": "x"}}),
    ("DELETE", f"{BATCH}/jobs/daily-1", {"propagationPolicy": "Sideways"}),
    ("DELETE", f"{BATCH}/jobs/daily-1", {**GONE, "gracePeriodSeconds": "0"}),
    ("DELETE", f"{BATCH}/jobs/daily-1", {**GONE, "kind": "Job"}),
    ("DELETE", f"{BATCH}/jobs/daily-1", [GONE]),
    ("DELETE", f"{BATCH}/jobs/daily-1?propagationPolicy=Sideways", None),
    ("DELETE", f"{BATCH}/jobs/daily-1?dryRun=All", GONE),
]


@pytest.mark.parametrize(("method", "path", "body"), INVENTED)
def test_what_the_api_has_not_is_refused(strict: KubernetesLike, method: str, path: str, body: Any) -> None:
    assert ask(strict, method, path, body) == 500
    (noted,) = strict.invented
    assert noted.startswith(f"{method} ")
    assert strict.effects == []
    assert strict.orphans == []


# --- its rate -----------------------------------------------------------------------------------------------------------


def test_one_request_more_than_its_rate_is_told_how_long_to_wait(strict: KubernetesLike) -> None:
    strict.rate = 2
    headers = {"Authorization": f"Bearer {strict.token}"}
    with httpx.Client(base_url=strict.url, headers=headers, timeout=20) as client:
        answers = [client.get("/version") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] == "1"
        assert answers[2].json()["reason"] == "TooManyRequests"
        time.sleep(1.05)
        assert client.get("/version").status_code == 200
    assert strict.invented == []


async def test_who_waits_as_told_loses_nothing(like: KubernetesLike, adapter: KubernetesAdapter) -> None:
    """Looks at a cluster that refuses most of them: each change comes, once the wait that it asked for is over."""
    seen: dict[str, list[State]] = {}
    wanted: dict[str, list[State]] = {}
    cursor: str | None = None
    like.add_job("busy", cron="daily")
    _, cursor = await runs(adapter)
    spent = len(like.requests)
    await runs(adapter, cursor)
    like.rate = len(like.requests) - spent + 1  # one look a second: the next one is refused in its middle
    told: list[float | None] = []
    for n in range(2):
        made = like.add_job(f"daily-{n}", cron="daily")
        key = key_of(made)
        for step in (State.RUNNING, State.SUCCESS):
            if step is State.SUCCESS:
                like.finish(f"daily-{n}")
            wanted.setdefault(key, []).append(step)
            for _ in range(4):
                before = len(like.requests)
                try:
                    found, cursor = await runs(adapter, cursor)
                except RateLimited as refused:
                    answered = [r.status for r in like.requests[before:]]
                    assert answered.count(429) == 1, "a refusal is not asked again by itself"
                    assert answered[-1] == 429, "and ends the look"
                    told.append(refused.retry_after)
                    await asyncio.sleep((refused.retry_after or 0) + 0.05)
                    continue
                for run in found.values():
                    if seen.setdefault(run.key, [])[-1:] != [run.state]:
                        seen[run.key].append(run.state)
                break
            else:
                pytest.fail("it waited as told, and is refused all the same")
    assert told
    assert set(told) == {1.0}
    assert {key: states for key, states in seen.items() if key in wanted} == wanted


async def test_an_action_that_is_refused_by_the_rate_has_not_happened(like: KubernetesLike) -> None:
    one = KubernetesAdapter(settings(like))
    prepared = await one.prepare(action(Verb.PAUSE, "k8s:etl.cronjob.daily"))
    like.rate = 0
    refused = await one.send(prepared)
    assert isinstance(refused, NotSent)
    assert "asks to wait 1 s" in refused.words
    assert like.effects == []
    like.rate = None
    assert isinstance(await one.send(prepared), Sent)
    assert [(e.verb, e.name) for e in like.effects] == [("patch", "daily")]
    await one.close()
