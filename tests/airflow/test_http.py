"""The one HTTP client: what it sends, what it says, what it never shows."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import AuthFailed, BadResponse, Conflict, Forbidden, NotFound, RateLimited, Unreachable
from adapters.http import Answer, Http, bare_url, refusal, retry_after, words
from tests.servers.airflow_like import AirflowLike

DATA = Path(__file__).parent / "data"
JWT = "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"


def mocked(handler: Any, **more: Any) -> Http:
    return Http("https://host.example/base", transport=httpx.MockTransport(handler), **more)


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "GET https://ops:hunter2hunter2@host/x failed",
        "Authorization: Bearer hunter2hunter2",
        "{'authorization': 'hunter2hunter2'}",
        "bad header basic hunter2hunter2==",
        "https://h/x?token=hunter2hunter2&limit=1",
        "access_token=hunter2hunter2",
        "password: hunter2hunter2",
        '{"api_key": "hunter2hunter2"}',
        "client_secret=hunter2hunter2; next",
        "X-Amz-Signature=hunter2hunter2",
    ],
)
def test_credentials_are_masked(text: str) -> None:
    assert "hunter2" not in words(text)
    assert "****" in words(text) or "//host" in words(text)


def test_tokens_and_known_secrets_are_masked() -> None:
    assert words(f"token {JWT} is expired") == "token **** is expired"
    assert words("my s3cr3t is out", ["s3cr3t"]) == "my **** is out"


@given(st.text(max_size=3000))
def test_words_are_harmless(text: str) -> None:
    said = words(text)
    assert len(said) <= 200
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in said)


def test_escapes_vanish_whole() -> None:
    assert words("\x1b[31mred\x1b[0m \x1b]52;c;cHduZWQ=\x07end\u202e\x00!") == "red end !"


def test_base_without_userinfo() -> None:
    assert bare_url(" https://u:p@host:8080/air/?x=1#y ") == "https://host:8080/air"
    assert "p@" not in repr(Http("https://u:p@host"))


# --- errors ---------------------------------------------------------------------------------------------------------


def answer(status: int, body: bytes, **headers: str) -> Answer:
    given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Answer(status, given, body, None, "GET", "/x")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"detail":"bad order"}', BadResponse),
        (401, b'{"detail":"Not authenticated"}', AuthFailed),
        (403, b"<html>no</html>", Forbidden),
        (404, b'{"detail":"not there"}', NotFound),
        (404, b"<html>lost</html>", BadResponse),
        (409, b'{"detail":{"reason":"Unique constraint violation"}}', Conflict),
        (422, b'{"detail":"the state does not allow it"}', Conflict),
        (422, b'{"detail":[{"loc":["body","x"],"msg":"Extra inputs"}]}', BadResponse),
        (429, b"{}", RateLimited),
        (500, b"oops", BadResponse),
        (503, b"", BadResponse),
    ],
)
def test_status_to_error(status: int, body: bytes, kind: type[Exception]) -> None:
    err = refusal(answer(status, body))
    assert type(err) is kind
    assert err.status == status
    assert str(status) in err.what


def test_the_servers_own_words_are_kept() -> None:
    said = refusal(answer(422, (DATA / "error_422.json").read_bytes())).what
    assert said == "HTTP 422 from GET /x: bogus: Extra inputs are not permitted"
    assert "Unique constraint violation" in refusal(answer(409, (DATA / "error_409.json").read_bytes())).what


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("", None), ("soon", None), ("nan", None), ("9999999", 86400.0)],
)
def test_retry_after_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_retry_after_date_is_reckoned_by_the_servers_clock() -> None:
    headers = {"retry-after": "Wed, 01 Jan 2031 10:00:30 GMT", "date": "Wed, 01 Jan 2031 10:00:00 GMT"}
    assert retry_after(headers) == 30.0


# --- the client -----------------------------------------------------------------------------------------------------


async def test_at_most_four_in_flight() -> None:
    now = most = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        return httpx.Response(200, json={}, headers={"date": "Wed, 01 Jan 2031 10:00:00 GMT"})

    http = mocked(handler)
    await asyncio.gather(*(http.request("GET", "/x") for _ in range(20)))
    assert most == 4
    assert http.requests == 20
    assert http.server_time == 1925028000000
    await http.close()


async def test_says_who_it_is_and_counts_bytes() -> None:
    with AirflowLike() as like:
        http = Http(like.url)
        got = await http.ask("GET", "/api/v2/version")
        assert http.bytes == len(got.body) > 10
        await http.close()
    seen: list[httpx.Headers] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json={})

    http = mocked(handler)
    await http.request("GET", "/x")
    assert seen[0]["user-agent"].startswith("watchfloor/")
    await http.close()


class Fixed:
    secrets: Sequence[str] = ("s3cr3t-token",)

    async def headers(self, http: Http) -> Mapping[str, str]:
        return {"Authorization": "Bearer s3cr3t-token"}

    async def again(self, http: Http, answer: Answer, used: Mapping[str, str]) -> bool:
        return False


async def test_redirects_stay_on_the_host() -> None:
    asked: list[httpx.URL] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        to = {"/base/near": "/base/there", "/base/far": "https://evil.example/?token=abc", "/base/loop": "/base/loop"}
        location = to.get(request.url.path)
        return httpx.Response(302, headers={"location": location}) if location else httpx.Response(200, json={"ok": 1})

    http = mocked(handler, auth=Fixed())
    assert (await http.ask("GET", "/near")).status == 200
    with pytest.raises(BadResponse, match="another host") as caught:
        await http.ask("GET", "/far")
    assert "abc" not in caught.value.what
    with pytest.raises(BadResponse):
        await http.ask("GET", "/loop")
    with pytest.raises(BadResponse):
        await http.ask("POST", "/near", body={})  # an action is never sent to another place
    assert {u.host for u in asked} == {"host.example"}
    await http.close()


async def test_too_long_an_answer_is_not_read() -> None:
    http = mocked(lambda request: httpx.Response(200, content=b"x" * 5000), max_body=4096)
    with pytest.raises(BadResponse, match="more than"):
        await http.ask("GET", "/x")
    await http.close()


async def test_a_dropped_get_is_asked_again_an_action_never() -> None:
    with AirflowLike() as like:
        http = Http(like.url)
        like.fault = "reset"
        with pytest.raises(Unreachable) as caught:
            await http.ask("GET", "/api/v2/version")
        assert caught.value.sent
        assert len(like.requests) == 2
        with pytest.raises(Unreachable) as caught:
            await http.ask("PATCH", "/api/v2/dags/x", body={})
        assert caught.value.sent
        assert len(like.requests) == 3
        like.fault = "down"
        with pytest.raises(Unreachable) as caught:
            await http.ask("PATCH", "/api/v2/dags/x", body={})
        assert not caught.value.sent
        assert caught.value.what == f"nobody answers at {like.url.removeprefix('http://')}"
        await http.close()


async def test_an_answer_that_never_ends() -> None:
    with AirflowLike() as like:
        like.fault = "drip"
        http = Http(like.url, read_s=5, total_s=0.4)
        with pytest.raises(Unreachable, match=r"within 0\.4 s") as caught:
            await http.ask("GET", "/api/v2/version")
        assert caught.value.sent
        await http.close()


async def test_an_answer_that_breaks_off() -> None:
    with AirflowLike() as like:
        like.fault = "short"
        http = Http(like.url)
        with pytest.raises(BadResponse, match="broke off"):
            await http.ask("GET", "/api/v2/version")
        await http.close()


async def test_no_exception_carries_the_request() -> None:
    """httpx's own exceptions hold the request with its Authorization header; none hangs on ours."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused by s3cr3t-token", request=request)

    http = mocked(handler, auth=Fixed())
    with pytest.raises(Unreachable) as caught:
        await http.ask("POST", "/x", body={})
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not isinstance(chain, httpx.HTTPError)
        assert "s3cr3t" not in str(chain)
        chain = chain.__cause__ or chain.__context__
    await http.close()


# --- TLS ------------------------------------------------------------------------------------------------------------


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        return None


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        return None


@pytest.fixture
def tls_url() -> Iterator[str]:
    server = _Quiet(("127.0.0.1", 0), _Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "localhost.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_tls_is_verified_unless_told_otherwise(tls_url: str) -> None:
    plain = Http(tls_url)
    with pytest.raises(Unreachable, match=r"certificate of localhost:.* is not trusted") as caught:
        await plain.ask("GET", "/")
    assert not caught.value.sent
    assert "ca" in caught.value.hint
    trusting = Http(tls_url, ca=DATA / "localhost.pem")
    blind = Http(tls_url, verify=False)
    for http in (trusting, blind):
        assert (await http.ask("GET", "/")).status == 200
    missing = Http(tls_url, ca=Path("/nowhere/ca.pem"))
    with pytest.raises(Unreachable, match=r"CA file /nowhere/ca\.pem cannot be read"):
        await missing.ask("GET", "/")
    empty = Http(tls_url, ca=DATA / "dags.json")
    with pytest.raises(Unreachable, match="holds no certificate"):
        await empty.ask("GET", "/")
    for http in (plain, trusting, blind, missing, empty):
        await http.close()
