"""Which Airflow answers, and how each kind of credential is sent, kept secret and asked for again."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import NotSent, Secret, Sent, SourceSettings
from adapters.errors import AuthFailed, BadResponse, Forbidden, NotFound, Unsupported
from adapters.model import Verb
from tests.airflow.world import action, settings
from tests.servers.airflow2_like import Airflow2Like
from tests.servers.airflow_like import AirflowLike


@pytest.fixture
def two() -> Iterator[Airflow2Like]:
    with Airflow2Like() as server:
        server.add_dag("daily")
        yield server


def secret(*values: str) -> Secret:
    """Gives one value after the other, the last for ever."""
    left = list(values)
    return Secret(lambda: left.pop(0) if len(left) > 1 else left[0], "cmd:token")


# --- which one ------------------------------------------------------------------------------------------------------


async def test_it_finds_out_which_airflow_answers(two: Airflow2Like, like: AirflowLike) -> None:
    older, newer = AirflowAdapter(settings(two)), AirflowAdapter(settings(like))
    assert (await older.probe()).version == "2.11.2"
    assert (await newer.probe()).version == "3.3.2"
    assert not older.caps.can(Verb.BACKFILL)
    assert "command line" in older.caps.why(Verb.BACKFILL)
    assert newer.caps.can(Verb.BACKFILL)
    await older.pipelines()
    assert [r.path for r in two.requests].count("/api/v2/version") == 1, "found out once"
    assert not any(r.path == "/auth/token" for r in two.requests)
    for one in (older, newer):
        await one.close()


async def test_it_may_be_told_which_one(two: Airflow2Like) -> None:
    adapter = AirflowAdapter(settings(two, options={"api": "v1"}))
    assert (await adapter.pipelines()).complete
    assert not any(r.path.startswith("/api/v2") for r in two.requests)
    assert (await adapter.probe()).version == "2.11.2"
    await adapter.close()
    wrong = AirflowAdapter(settings(two, options={"api": "v2"}))
    with pytest.raises(BadResponse, match="no Airflow 3 at"):
        await wrong.pipelines()
    await wrong.close()
    for options, says in (
        ({"api": "v3"}, "'api'"),
        ({"api": 2}, "'api'"),
        ({"token_life": 0}, "token_life"),
        ({"apy": 1}, "apy"),
    ):
        with pytest.raises(Unsupported, match=says):
            AirflowAdapter(settings(two, options=options))


async def test_neither_of_them() -> None:
    adapter = mocked(lambda request: httpx.Response(404, json={"error": "what?"}))
    with pytest.raises(NotFound, match="no Airflow API at"):
        await adapter.pipelines()
    await adapter.close()
    login = mocked(lambda request: httpx.Response(200, html="<form>log in</form>"))
    with pytest.raises(BadResponse):
        await login.pipelines()
    await login.close()


async def test_a_gateway_that_hides_the_version() -> None:
    adapter = mocked(lambda request: httpx.Response(401, json={"detail": "who are you?"}))
    with pytest.raises(AuthFailed) as caught:
        await adapter.pipelines()
    assert 'api = "v1"' in caught.value.hint
    await adapter.close()


async def test_an_upgrade_is_noticed() -> None:
    """The same address becomes an Airflow 3 while it is watched."""
    world = "2.11.2"

    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        newer = world.startswith("3")
        if path.startswith("/api/v1/") and newer:
            return httpx.Response(404, json={"error": "/api/v1 has been removed in Airflow 3, please use /api/v2"})
        if path.startswith("/api/v2/") and not newer:
            return httpx.Response(404, html="<h1>Airflow 404</h1>")
        if path.endswith("/version"):
            return httpx.Response(200, json={"version": world})
        if path.endswith("/dags"):
            return httpx.Response(200, json={"dags": [], "total_entries": 0})
        return httpx.Response(200, json={"scheduler": {"status": "healthy"}})

    adapter = mocked(handler, token=Secret(lambda: "t0ken-of-the-test", "env:T"))
    assert (await adapter.probe()).version == "2.11.2"
    world = "3.3.2"
    with pytest.raises(NotFound):
        await adapter.read("af:x")
    assert (await adapter.pipelines()).complete
    assert adapter.caps.can(Verb.BACKFILL)
    await adapter.close()


# --- Basic ----------------------------------------------------------------------------------------------------------


async def test_basic_and_what_a_403_may_mean(two: Airflow2Like) -> None:
    adapter = AirflowAdapter(settings(two, auth={"user": "ops", "password": Secret(lambda: "wrong", "env:X")}))
    with pytest.raises(Forbidden) as caught:
        await adapter.pipelines()
    assert "wrong password" in caught.value.hint
    assert "wrong" not in caught.value.what
    await adapter.close()
    two.unknown_is_401 = True
    adapter = AirflowAdapter(settings(two, auth={"user": "ops", "password": secret("wrong", two.password)}))
    assert (await adapter.pipelines()).complete, "a password from a reference is asked for again on 401"
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:daily"))
    assert prepared.calls[0].headers["Authorization"] == "Basic ****"
    await adapter.close()
    assert {"Basic"} == set(two.who) - {""}


async def test_what_a_role_may_is_asked_without_doing_anything(two: Airflow2Like) -> None:
    two.forbid = lambda method, path: method != "GET" and not path.endswith("clearTaskInstances")
    adapter = AirflowAdapter(settings(two))
    probe = await adapter.probe()
    assert probe.identity == "ops"
    may = {Verb.RERUN_FAILED: True, Verb.RERUN_FROM: True}
    assert probe.permissions == {"view": True, **{v: may.get(v, False) for v in Verb if adapter.caps.can(v)}}
    assert not two.effects
    before = len(two.requests)
    await adapter.probe()
    assert not any(r.method != "GET" for r in two.requests[before:]), "asked once"
    two.forbid = lambda method, path: False
    await adapter.close()


# --- tokens ---------------------------------------------------------------------------------------------------------


async def test_a_token_is_asked_for_again_when_it_is_refused(two: Airflow2Like) -> None:
    two.tokens = {"second-t0ken"}
    two.unknown_is_401 = True
    adapter = AirflowAdapter(settings(two, auth={"token": secret("first-t0ken", "second-t0ken")}))
    assert (await adapter.pipelines()).complete
    assert (await adapter.probe()).identity is None
    assert set(two.who) <= {"Bearer"}, "a gateway sees the token with every request, the first one too"
    await adapter.close()


async def test_a_403_to_a_token_is_asked_about_but_not_for_ever(two: Airflow2Like) -> None:
    asked = 0

    def reveal() -> str:
        nonlocal asked
        asked += 1
        return "t0ken-of-the-test"

    two.tokens = {"t0ken-of-the-test"}
    two.forbid = lambda method, path: path.endswith("/daily")
    adapter = AirflowAdapter(settings(two, auth={"token": Secret(reveal, "cmd:gcloud")}))
    for _ in range(5):
        with pytest.raises(Forbidden):
            await adapter.read("af:daily")
    assert asked == 1, "it was asked for less than a minute ago"
    await adapter.close()


async def test_a_token_with_an_end_is_renewed_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("adapters.airflow.auth.TokenAuth._now", staticmethod(lambda: clock))
    used: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        used.append(request.headers["authorization"].removeprefix("Bearer "))
        date = httpx.Headers({"date": "Wed, 01 Jan 2031 10:00:00 GMT"})
        if request.url.path.endswith("version"):
            return httpx.Response(200, json={"version": "2.11.2"}, headers=date)
        return httpx.Response(200, json={"dag_id": "x"}, headers=date)

    ends = 1925028000  # the very second of the server's Date
    first, second, third = jwt(ends + 20), jwt(ends + 3600), "opaque"
    adapter = mocked(handler, {"token_life": 3000}, token=secret(first, second, third))
    await adapter.read("af:x")
    assert set(used) == {first}, "the server has told no time before"
    clock = 61.0
    await adapter.read("af:x")
    assert used[-1] == second
    clock = 1000.0
    await adapter.read("af:x")
    assert used[-1] == second
    clock = 3100.0  # token_life
    await adapter.read("af:x")
    assert used[-1] == third
    await adapter.close()


async def test_a_proxy_that_sends_an_expired_token_to_its_login_page() -> None:
    """As Google's Identity-Aware Proxy is said to do."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != "Bearer fresh-t0ken":
            return httpx.Response(302, headers={"location": "https://accounts.example/login?x=1"})
        if request.url.path == "/api/v2/version":
            return httpx.Response(200, json={"version": "3.3.2"})
        return httpx.Response(200, json={"dag_id": "x"})

    adapter = mocked(handler, {"api": "v2"}, token=secret("stale-t0ken", "fresh-t0ken"))
    assert (await adapter.read("af:x")).key == "af:x"
    await adapter.close()


# --- MWAA -----------------------------------------------------------------------------------------------------------


class Mwaa:
    """As its documentation has it: a web token is good once, the login answers with a cookie."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.good = {"web-one", "web-two"}
        self.sessions = 0
        self.alive: set[str] = set()
        self.seen: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.seen.append(f"{request.method} {path}")
        login = "/aws_mwaa/login" if self.generation == 2 else "/pluginsv2/aws_mwaa/login"
        if request.method == "POST" and path.endswith("/login"):
            if path != login:
                return httpx.Response(404, html="no such page")
            given = parse_qs(request.content.decode())["token"][0]
            assert request.headers["content-type"] == "application/x-www-form-urlencoded"
            if given not in self.good:
                return httpx.Response(403)
            self.good.discard(given)
            self.sessions += 1
            value = f"s3ssion-{self.sessions}"
            self.alive.add(value)
            name = "session" if self.generation == 2 else "_token"
            cookie = f"other=1; Path=/, {name}={value}; HttpOnly; Path=/"
            return httpx.Response(302, headers={"set-cookie": cookie, "location": "/home"})
        cookie = request.headers.get("cookie", "").removeprefix("session=")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if (cookie if self.generation == 2 else bearer) not in self.alive:
            return httpx.Response(401, json={"detail": "Unauthorized"})
        if self.generation == 2 and path.startswith("/api/v2/"):
            return httpx.Response(404, html="Airflow 404")
        if path.endswith("/version"):
            return httpx.Response(200, json={"version": "2.10.3" if self.generation == 2 else "3.0.6"})
        return httpx.Response(200, json={"dag_id": "x", "dag_runs": [], "total_entries": 0})


@pytest.mark.parametrize("generation", [2, 3])
async def test_mwaa_logs_in_and_again_when_the_session_has_ended(generation: int) -> None:
    world = Mwaa(generation)
    adapter = mocked(world, web_token=secret("web-one", "web-two", "web-three"))
    assert (await adapter.read("af:x")).key == "af:x"
    await adapter.read("af:x")
    assert world.sessions == 1
    world.alive.clear()
    assert (await adapter.read("af:x")).key == "af:x"
    assert world.sessions == 2
    world.alive.clear()
    with pytest.raises(AuthFailed, match=r"login of MWAA .* gives no session \(HTTP 40\d\)") as caught:
        await adapter.read("af:x")
    assert "web-three" not in str(caught.value)
    await adapter.close()


async def test_an_action_never_goes_out_without_a_session() -> None:
    world = Mwaa(3)
    adapter = mocked(world, web_token=secret("web-one"))
    await adapter.read("af:x")
    prepared = await adapter.prepare(action(Verb.PAUSE, "af:x"))
    world.alive.clear()
    fresh = mocked(world, web_token=secret("spent"))
    sent = await fresh.send(prepared)
    assert isinstance(sent, NotSent)
    assert not any(line.startswith("PATCH") for line in world.seen)
    await adapter.close()
    await fresh.close()


async def test_an_action_with_a_refused_token_happens_once(two: Airflow2Like) -> None:
    two.tokens = {"first-t0ken"}
    two.unknown_is_401 = True
    adapter = AirflowAdapter(settings(two, auth={"token": secret("first-t0ken", "second-t0ken")}))
    prepared = await adapter.prepare(action(Verb.START, "af:daily"))
    two.tokens = {"second-t0ken"}
    assert isinstance(await adapter.send(prepared), Sent)
    assert [e.what for e in two.effects] == ["trigger"]
    await adapter.close()


# --- small things ---------------------------------------------------------------------------------------------------


def mocked(handler: Any, options: dict[str, Any] | None = None, **auth: Secret) -> AirflowAdapter:
    known = SourceSettings(name="af", kind="airflow", url="https://air.example", auth=auth, options=options or {})
    return AirflowAdapter(known, transport=httpx.MockTransport(handler))


def jwt(ends: int) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"sub": "svc", "exp": ends, "at": time.time()}).encode()).decode()
    return f"head.{payload.rstrip('=')}.sign{ends}"
