"""Endpoints: one request a path, what is in its answer, and what is not."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.errors import AuthFailed, BadResponse, NotFound, RateLimited, Unreachable
from adapters.extras import SeriesQuery
from adapters.probes.http import HttpAdapter
from tests.probes.worlds import ask, http, value, values
from tests.servers.http_probe_like import HttpProbeLike


@pytest.fixture
def like() -> Iterator[HttpProbeLike]:
    with HttpProbeLike() as server:
        server.numbers |= {
            "rows": 12,
            "when": "2026-11-20T12:00:00Z",
            "items": [{"name": "a", "lag": 1}, {"name": "b", "lag": 0}],
        }
        yield server
        assert server.invented == []


@pytest.fixture
async def adapter(like: HttpProbeLike) -> AsyncIterator[HttpAdapter]:
    one = http(like)
    yield one
    await one.close()


async def test_each_kind_of_query_has_its_value(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    assert await value(adapter, "GET /stats .rows", unit="rows") == 12.0
    assert await value(adapter, "GET /stats .items | length") == 2.0
    assert await value(adapter, "GET /stats .when", unit="time") == 1_795_176_000_000.0
    assert await values(adapter, "GET /stats .items[].lag by .name") == {"{name=a}": 1.0, "{name=b}": 0.0}
    assert await value(adapter, "status /health") == 1.0
    assert 0 < float(await value(adapter, "ms /health", unit="ms")) < 500
    assert await value(adapter, r"text /status /queue: (\d+) messages/") == 17.0
    assert await values(adapter, r"text /status /(?P<what>\w+): (?P<value>\d+)/") == {
        "{what=queue}": 17.0,
        "{what=workers}": 3.0,
    }
    assert await value(adapter, 'metric /metrics rows_total{table="b"}') == 2500.0
    assert await values(adapter, "metric /metrics rows_total") == {"{table=a}": 10.0, "{table=b}": 2500.0}
    assert {r.headers["accept"] for r in like.requests} != {"application/json"}


async def test_one_request_a_path_however_many_queries(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    found = await ask(
        adapter, "GET /stats .rows", "GET /stats .items | length", "ms /stats", "status /stats", "status /health"
    )
    assert not found.failed
    assert [r.path for r in like.requests].count("/stats") == 1
    assert len(like.requests) == 2
    await ask(adapter, "GET /stats .rows")
    assert len(like.requests) == 3, "a part of the queries is asked for alone"


async def test_what_has_no_value_has_a_reason_and_is_never_nothing(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    like.numbers |= {"none": None, "word": f"no {like.password}", "deep": {"a": 1}}
    like.pages["/page"] = (200, "<html>")
    like.pages["/broken"] = (500, {"error": like.password})
    found = await ask(
        adapter, "GET /stats .gone.x", "GET /stats .none", "GET /stats .word", "GET /stats .deep", "GET /page .x", "GET /broken .x",
        "ms /broken", r"text /status /gone (\d)/", "metric /metrics gone", "metric /metrics bad", "GET /stats .rows",
    )  # fmt: skip
    assert [s.series for s in found.samples] == ["GET /stats .rows"]
    said = found.failed
    assert said["GET /stats .gone.x"] == "there is no .gone in the answer"
    assert said["GET /stats .none"] == "it is null"
    assert "expected one value" in said["GET /stats .deep"]
    assert "HTML page" in said["GET /page .x"]
    assert "HTTP 500" in said["ms /broken"]
    assert said[r"text /status /gone (\d)/"] == "nothing in its answer matches"
    assert "no sample of gone" in said["metric /metrics gone"]
    assert "NaN" in said["metric /metrics bad"]
    assert not [s for s in like.secrets for text in said.values() if s in text]


async def test_a_status_that_is_not_well_is_nothing(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    like.pages |= {"/down": (503, {}), "/gone": (404, {}), "/no": (403, {})}
    found = await ask(adapter, "status /down", "status /gone", "status /no", "status /health")
    assert [s.value for s in found.samples] == [0.0, 0.0, 0.0, 1.0]


async def test_a_source_that_answers_is_not_called_away_for_a_path_that_does_not(
    like: HttpProbeLike, adapter: HttpAdapter
) -> None:
    like.pages["/gone"] = (404, {})
    assert "HTTP 404" in str(await value(adapter, "GET /gone .x"))
    like.fault_on = lambda method, path: path == "/stats"
    like.fault = "hang"
    assert "silent" in str(await value(adapter, "GET /stats .rows"))
    like.fault_on = lambda method, path: True
    like.fault = "500"
    with pytest.raises(BadResponse):
        await ask(adapter, "GET /stats .rows")


async def test_who_is_told_to_wait_asks_nothing_more(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    like.fault_on = lambda method, path: path == "/stats"
    like.fault = "429-after"
    with pytest.raises(RateLimited) as error:
        await ask(adapter, "GET /stats .rows")
    assert error.value.retry_after == 7
    assert len(like.requests) == 1


async def test_too_many_series_of_one_query_are_refused(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    like.numbers["items"] = [{"name": f"n{i}", "lag": i} for i in range(51)]
    found = await ask(adapter, "GET /stats .items[].lag by .name", "GET /stats .rows")
    assert [s.value for s in found.samples] == [12.0]
    assert "51 series, at most 50" in found.failed["GET /stats .items[].lag by .name"]
    like.numbers["items"][0]["lag"] = None
    assert len(await values(adapter, "GET /stats .items[].lag by .name")) == 50, "what has no value is left out"


async def test_a_post_is_made_where_the_options_name_it_and_nowhere_else(like: HttpProbeLike) -> None:
    closed, opened = http(like), http(like, options={"post": {"/search": {"size": 0}}})
    assert "not allowed: name it in options.post" in str(await value(closed, "POST /search .hits.total"))
    assert like.effects == []
    assert await value(opened, "POST /search .hits.total") == 12.0
    assert "not allowed" in str(await value(opened, "POST /other .x"))
    assert like.effects == [{"size": 0}]
    for one in (closed, opened):
        await one.close()


async def test_a_token_and_further_headers_go_along(like: HttpProbeLike) -> None:
    like.token = "t0ken-of-the-test"
    adapter = http(like, options={"headers": {"X-Team": "data"}})
    assert await value(adapter, "GET /stats .rows") == 12.0
    assert like.requests[-1].headers["x-team"] == "data"
    like.token = "another-t0ken"
    await adapter.runs(None)  # what is refused is read again from its reference
    like.fault = "401"
    with pytest.raises(AuthFailed):
        await adapter.runs(None)
    assert "t0ken" not in repr(adapter) + repr(adapter.settings)
    await adapter.close()


async def test_without_a_probe_query_anything_but_a_refusal_is_an_answer(like: HttpProbeLike) -> None:
    like.pages |= {"": (404, {}), "/": (404, {}), "/up": (200, "fine")}
    plain, path = http(like, options={"probe": ""}), http(like, options={"probe": "/up"})
    await plain.runs(None)
    await path.runs(None)
    like.pages["/up"] = (404, {})
    with pytest.raises(NotFound):
        await path.runs(None)
    like.fault = "500"
    with pytest.raises(BadResponse):
        await plain.runs(None)
    like.fault = "down"
    with pytest.raises(Unreachable):
        await plain.runs(None)
    for one in (plain, path):
        await one.close()


# --- TLS --------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem",
         "-out", "cert.pem", "-days", str(days), "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_days_until_the_certificate_ends_trusted_or_not(tmp_path: Path) -> None:
    with HttpProbeLike(tls=certificate(tmp_path, 30)) as like:
        like.numbers["rows"] = 3
        good = http(like, tls_ca=tmp_path / "cert.pem")
        found = await ask(good, "certificate /", "certificate", "GET /stats .rows")
        days, _, rows = (s.value for s in found.samples)
        assert 29 < days <= 30
        assert rows == 3
        stranger = http(like)
        found = await ask(stranger, "certificate /", "GET /stats .rows")
        assert 29 < found.samples[0].value <= 30
        assert "not trusted" in found.failed["GET /stats .rows"]
        assert like.effects == []
        for one in (good, stranger):
            await one.close()


async def test_a_certificate_that_is_not_there(like: HttpProbeLike, adapter: HttpAdapter) -> None:
    assert "begins with http://" in str(await value(adapter, "certificate /"))
    away = http(like, url="https://127.0.0.1:1")
    assert "nobody answers" in str(await value(away, "certificate /"))
    wrong = http(like, url=like.url.replace("http:", "https:"))
    assert "no TLS" in str(await value(wrong, "certificate /"))
    for one in (away, wrong):
        await one.close()


@pytest.mark.parametrize(
    "text",
    ["", "GET", "GET stats .x", "GET /stats", "GET /stats rows", "PUT /x .y", "status", "status /a b", "text /a", "text /a /x/", "metric /m", "GET //evil/x .y"],
)  # fmt: skip
async def test_a_wrong_query_is_seen_beforehand_and_said_when_asked(adapter: HttpAdapter, text: str) -> None:
    assert HttpAdapter.wrong_query(text)
    found = await adapter.samples([SeriesQuery("n", text)])
    assert "cannot be read" in found.failed["n"]


@pytest.mark.parametrize(
    "options",
    [
        {"prob": "/x"}, {"probe": 3}, {"probe": "GET x"}, {"probe": "POST /x .y"}, {"post": []}, {"post": {"x": {}}}, {"post": {"/x": "y"}},
        {"headers": {"Cookie": "a"}}, {"headers": {"X": "a\nb"}}, {"read_timeout": 0}, {"total_timeout": 300},
    ],
)  # fmt: skip
def test_wrong_options_are_one_sentence(like: HttpProbeLike, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^options"):
        http(like, options=options)
