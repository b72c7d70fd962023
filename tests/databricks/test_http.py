"""Credentials of a workspace and its bad days: what each refusal means, what is renewed, and that no text shows a secret."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.base import Secret
from adapters.databricks import DatabricksAdapter
from adapters.databricks.client import refusal
from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
)
from adapters.http import Answer
from tests.databricks.world import settings
from tests.servers.databricks_like import TOKEN_PATH, DatabricksLike


def clean(like: DatabricksLike, *texts: object) -> None:
    for text in texts:
        assert not [s for s in like.secrets if s in str(text)]


# --- what a refusal means -------------------------------------------------------------------------------------------


def answer(status: int, body: object, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, raw, None, "GET", "/api/2.2/jobs/get")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error_code": 403, "message": "Invalid access token."}, AuthFailed),
        (403, {"error_code": "403", "message": "x"}, AuthFailed),
        (403, {"error_code": "PERMISSION_DENIED", "message": "Invalid access token"}, AuthFailed),
        (403, {"error_code": "PERMISSION_DENIED", "message": "no View"}, Forbidden),
        (403, b"<html>blocked by IP access list</html>", Forbidden),
        (401, b"", AuthFailed),
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Job 5 does not exist."}, NotFound),
        (400, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}, NotFound),
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "limit"}, BadResponse),
        (400, {"error_code": "INVALID_STATE", "message": "in progress"}, Conflict),
        (404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "x"}, NotFound),
        (404, b"<html></html>", BadResponse),
        (403, {"error_code": "403", "message": "Unauthorized access to workspace: 5"}, AuthFailed),
        (409, {"error_code": "RESOURCE_CONFLICT", "message": "x"}, Conflict),
        (429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "x"}, RateLimited),
        (400, {"error_code": "RESOURCE_EXHAUSTED", "message": "x"}, RateLimited),
        (500, {"message": "RPC token bucket limit has been exceeded"}, RateLimited),
        (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "x"}, BadResponse),
        (500, b"INTERNAL_ERROR: something broke", BadResponse),
        (404, {"detail": "no such user", "status": "404", "scimType": "x"}, NotFound),
        (302, b"", BadResponse),
    ],
)
def test_each_refusal_is_what_it_is(status: int, body: object, kind: type[AdapterError]) -> None:
    found = refusal(answer(status, body))
    assert type(found) is kind
    assert len(found.what) <= 200


def test_503_with_a_wait_is_a_limit() -> None:
    found = refusal(Answer(503, {"retry-after": "9"}, b"{}", None, "GET", "/x"))
    assert isinstance(found, RateLimited)
    assert found.retry_after == 9


def test_texts_in_other_forms_are_told() -> None:
    assert "something broke" in refusal(answer(500, b"INTERNAL_ERROR: something broke")).what
    assert "no such user" in refusal(answer(404, {"detail": "no such user", "scimType": "x"})).what


# --- tokens ---------------------------------------------------------------------------------------------------------


async def test_a_wrong_token_is_told_as_that(like: DatabricksLike) -> None:
    adapter = DatabricksAdapter(settings(like, auth={"token": Secret(lambda: "dapiwrong", "env:X")}))
    with pytest.raises(
        AuthFailed, match="the token is not accepted: Databricks answers 403, Invalid access token"
    ) as caught:
        await adapter.pipelines()
    assert "not a missing right" in caught.value.hint
    assert "dapiwrong" not in repr(caught.value)
    await adapter.close()


async def test_a_token_renewed_at_its_origin_is_taken_up(like: DatabricksLike, job: int) -> None:
    given = ["dapiold"]
    like.tokens = {"dapiold", "dapinew"}
    adapter = DatabricksAdapter(settings(like, auth={"token": Secret(lambda: given[0], "file:/x")}))
    assert (await adapter.pipelines()).items
    like.tokens, given[0] = {"dapinew"}, "dapinew"
    assert (await adapter.pipelines()).items
    await adapter.close()


@pytest.mark.parametrize(("given", "why"), [("", "is empty"), ("two\nlines", "line breaks"), ("a b", "blanks")])
async def test_what_cannot_be_a_token_is_not_sent(like: DatabricksLike, given: str, why: str) -> None:
    adapter = DatabricksAdapter(settings(like, auth={"token": Secret(lambda: given, "env:X")}))
    with pytest.raises(AuthFailed, match=why):
        await adapter.pipelines()
    assert not like.requests
    await adapter.close()


async def test_a_reference_that_cannot_be_read_is_a_sentence(like: DatabricksLike) -> None:
    def broken() -> str:
        raise RuntimeError("secret inside")

    adapter = DatabricksAdapter(settings(like, auth={"token": Secret(broken, "cmd:vault")}))
    with pytest.raises(AuthFailed, match="cannot be read from cmd:vault") as caught:
        await adapter.pipelines()
    assert "secret inside" not in repr(caught.value)
    await adapter.close()


async def test_a_service_principal_mints_once_and_in_time(like: DatabricksLike, job: int) -> None:
    adapter = DatabricksAdapter(settings(like, machine=True))
    await asyncio.gather(*(adapter.pipelines() for _ in range(4)))
    assert len(like.asked(TOKEN_PATH)) == 1, "one at a time, and it is kept"
    clean(like, repr(adapter), adapter.settings)
    await adapter.close()
    short = DatabricksAdapter(settings(like, machine=True))
    await short.pipelines()
    before = len(like.asked(TOKEN_PATH))
    short._auth._until = asyncio.get_running_loop().time()
    await short.pipelines()
    assert len(like.asked(TOKEN_PATH)) == before + 1
    assert all(r.status == 200 for r in like.requests), "renewed without being refused first"
    await short.close()


@pytest.mark.parametrize(("life", "least", "most"), [(3600, 3470, 3481), (100, 45, 51), (None, 3470, 3481)])
async def test_a_token_is_renewed_two_minutes_before_its_end(
    like: DatabricksLike, job: int, life: int | None, least: float, most: float
) -> None:
    like.life_s = life  # type: ignore[assignment]
    adapter = DatabricksAdapter(settings(like, machine=True))
    began = asyncio.get_running_loop().time()
    await adapter.pipelines()
    assert least <= (adapter._auth._until or 0) - began <= most
    await adapter.close()


async def test_a_minted_token_that_is_refused_is_minted_again(like: DatabricksLike, job: int) -> None:
    adapter = DatabricksAdapter(settings(like, machine=True))
    await adapter.pipelines()
    like.tokens.clear()
    assert (await adapter.pipelines()).items
    assert len(like.asked(TOKEN_PATH)) == 2
    await adapter.close()


async def test_a_wrong_client_secret_is_told_without_it(like: DatabricksLike) -> None:
    adapter = DatabricksAdapter(settings(like, machine=True))
    like.fault = "bad-client"
    with pytest.raises(AuthFailed, match="service principal's secret") as caught:
        await adapter.probe()
    clean(like, repr(caught.value), caught.value.hint)
    assert len(like.asked(TOKEN_PATH)) == 1
    await adapter.close()


async def test_a_token_that_names_its_end_is_told_and_asked_for_again(like: DatabricksLike, job: int) -> None:
    """A JWT of an identity provider, from a program."""

    def jwt(minutes: float) -> str:
        claims = json.dumps({"exp": like.now() / 1000 + minutes * 60}).encode()
        token = f"eyJhbGciOi.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln{len(like.tokens)}"
        like.tokens.add(token)
        return token

    given = [jwt(30.2)]
    asked: list[int] = []

    def reveal() -> str:
        asked.append(1)
        return given[0]

    adapter = DatabricksAdapter(settings(like, auth={"token": Secret(reveal, "cmd:az")}))
    assert "the token ends in 30 min" in (await adapter.probe()).warnings[-1]
    assert len(asked) == 1
    like.skew_s = 29.5 * 60
    await adapter.probe()  # its answer tells the time
    like.tokens.clear()
    given[0] = jwt(60)
    adapter._auth._asked_s -= 61  # a minute later
    assert (await adapter.pipelines()).items
    assert len(asked) == 2
    assert all(r.status == 200 for r in like.requests), "before it was refused"
    await adapter.close()


# --- bad days -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("403-token", AuthFailed),
        ("503", BadResponse),
        ("503-after", RateLimited),
        ("redirect", BadResponse),
        ("short", BadResponse),
        ("wrong-types", BadResponse),
        ("reset", Unreachable),
        ("drip", Unreachable),
    ],
)
async def test_more_bad_days(like: DatabricksLike, job: int, fault: str, kind: type[AdapterError]) -> None:
    adapter = DatabricksAdapter(
        settings(like, options={"read_timeout": 0.3, "connect_timeout": 1.0, "total_timeout": 0.5})
    )
    await adapter.pipelines()
    like.fault = fault
    with pytest.raises(kind) as caught:
        await adapter.pipelines()
    clean(like, caught.value, caught.value.hint)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 7
    like.fault = None
    assert (await adapter.pipelines()).complete
    await adapter.close()


async def test_a_spent_rate_is_a_limit_with_its_wait(
    like: DatabricksLike, adapter: DatabricksAdapter, job: int
) -> None:
    like.budget = 1
    with pytest.raises(RateLimited) as caught:
        await adapter.pipelines()
    assert caught.value.retry_after == 1
    like.budget = None
    assert (await adapter.pipelines()).complete


async def test_a_host_that_is_not_trusted_is_told_so(tmp_path: Path) -> None:
    with tls_server(tmp_path) as port:
        for more, words in (({}, "not trusted"), ({"tls_ca": tmp_path / "none.pem"}, "cannot be read")):
            adapter = DatabricksAdapter(
                settings(DatabricksLike(), url=f"https://127.0.0.1:{port}", **more)  # type: ignore[arg-type]
            )
            with pytest.raises(Unreachable, match=words):
                await adapter.pipelines()
            await adapter.close()
        own = DatabricksAdapter(
            settings(DatabricksLike(), url=f"https://127.0.0.1:{port}", tls_ca=tmp_path / "cert.pem")
        )
        assert (await own.pipelines()).complete
        await own.close()


class tls_server:
    """A host with a certificate of its own making that answers with empty lists."""

    def __init__(self, folder: Path) -> None:
        cert, key = folder / "cert.pem", folder / "key.pem"
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
            capture_output=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip("no openssl here that makes a certificate")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:
                return None

        class Quiet(HTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                return None

        self.server = Quiet(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> int:
        self.thread.start()
        return self.server.server_address[1]

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mocked() -> Callable[..., DatabricksAdapter]:
    def make(*answers: httpx.Response) -> DatabricksAdapter:
        left = list(answers)
        like = DatabricksLike()
        transport = httpx.MockTransport(lambda request: left.pop(0) if len(left) > 1 else left[0])
        return DatabricksAdapter(settings(like, url="https://adb.example.com"), transport=transport)

    return make


async def test_a_token_that_leads_to_itself_ends(mocked: Callable[..., DatabricksAdapter]) -> None:
    adapter = mocked(httpx.Response(200, json={"runs": [{"run_id": 5, "job_id": 6}], "next_page_token": "same"}))
    found = await adapter.history("db:6")
    assert found == []
    await adapter.close()


async def test_another_run_than_was_asked_for_is_no_answer(mocked: Callable[..., DatabricksAdapter]) -> None:
    adapter = mocked(httpx.Response(200, json={"run_id": 5, "job_id": 6}))
    with pytest.raises(BadResponse, match="answers about 5, not 7"):
        await adapter.read("db:6/7")
    await adapter.close()


async def test_without_a_date_of_the_server_nothing_is_lost(mocked: Callable[..., DatabricksAdapter]) -> None:
    body = {"runs": [{"run_id": 5, "job_id": 6, "state": {"life_cycle_state": "RUNNING"}, "start_time": 1}]}
    adapter = mocked(httpx.Response(200, json=body))
    page = await adapter.runs(None)
    assert [r.key for r in page.runs] == ["db:6/5"]
    assert [r.key for r in (await adapter.runs(page.cursor)).runs] == ["db:6/5"]
    await adapter.close()
