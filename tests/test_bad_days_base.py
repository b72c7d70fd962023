"""The base of the servers: each bad day is what its name says, as a plain client sees it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from adapters.contract import Fault
from tests.servers.bad_days import COMMON, DAYS, STATUS
from tests.servers.tidy_like import TidyLike


@pytest.fixture
def server() -> Iterator[TidyLike]:
    with TidyLike() as like:
        like.jobs["nightly"] = False
        like.slow_s = 0.2
        yield like


def ask(server: TidyLike, method: str = "GET", path: str = "/api/jobs", body: object = None, patience_s: float = 5.0):
    """Status, headers, body; what http.client raises where there is no whole answer."""
    conn = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=patience_s)
    try:
        sent = None if body is None else json.dumps(body)
        conn.request(method, path, sent, {"Authorization": f"Bearer {server.token}"})
        answer = conn.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        conn.close()


def start(server: TidyLike, ident: str):
    return ask(server, "POST", "/api/jobs/nightly/runs", {"id": ident})


@pytest.mark.parametrize("fault", sorted(STATUS))
def test_one_answer_to_everything(server: TidyLike, fault: str) -> None:
    server.fault = fault
    status, headers, body = ask(server)
    assert status == STATUS[fault][0]
    after = headers.get("Retry-After")
    if fault == "429-date":
        assert after is not None
        ahead = parsedate_to_datetime(after) - parsedate_to_datetime(headers["Date"])
        assert 8 <= ahead.total_seconds() <= 10
    else:
        assert after == ("7" if fault.endswith("-after") else None)
    assert ("Location" in headers) == (fault == "redirect")
    assert (body == b"") == (fault in ("empty", "redirect"))
    server.fault = None
    assert json.loads(ask(server)[2])["jobs"] == [{"name": "nightly", "paused": False}]
    assert [r.status for r in server.requests] == [status, 200]


def test_late_cut_and_silent(server: TidyLike) -> None:
    whole = ask(server)[2]
    server.fault = "slow"
    began = time.monotonic()
    assert ask(server)[2] == whole
    assert time.monotonic() - began >= server.slow_s
    server.fault = "truncated"
    assert ask(server)[2] == whole[: len(whole) // 2]
    server.fault = "short"
    with pytest.raises(http.client.IncompleteRead):
        ask(server)
    server.fault = "reset"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(server)
    server.fault = "hang"
    with pytest.raises(TimeoutError):
        ask(server, patience_s=0.3)
    server.fault = "drip"  # each byte comes in time, the end does not
    conn = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=2)
    conn.request("GET", "/api/jobs")
    got = conn.getresponse()
    assert got.read(4) == b"{   "
    server.fault = None
    with pytest.raises(http.client.IncompleteRead):
        got.read()
    conn.close()
    server.fault = "down"
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    server.fault = None
    assert ask(server)[2] == whole, "at the same port again"


def test_a_change_whose_answer_is_lost_happened_and_one_that_is_played_did_not(server: TidyLike) -> None:
    server.fault = "lost"
    assert ask(server)[0] == 200, "only changes"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        start(server, "a")
    server.fault = "lost-500"
    assert start(server, "b")[0] == 500
    server.fault = "lost-once"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        start(server, "c")
    assert start(server, "d")[0] == 201
    server.fault = "noop"
    assert start(server, "e")[0] == 201
    assert set(server.runs) == {"a", "b", "c", "d"}
    assert len(server.effects) == 4


def test_what_is_not_documented_is_refused_and_kept(server: TidyLike) -> None:
    assert ask(server, path="/api/jobs?page=2")[0] == 500
    assert ask(server, "DELETE", "/api/jobs/nightly")[0] == 500
    assert server.invented == ["GET /api/jobs ['page']", "DELETE /api/jobs/nightly []"]
    assert server.token not in repr(server.requests), "no credential is logged"


def test_a_wrong_clock_shows_in_its_date(server: TidyLike) -> None:
    server.skew_s = -3600.0
    date = parsedate_to_datetime(ask(server)[1]["Date"]).timestamp()
    assert date == pytest.approx(time.time() - 3600, abs=3)


def test_it_has_every_day_of_the_contract() -> None:
    assert set(DAYS) == set(Fault)
    assert set(DAYS.values()) <= TidyLike.FAULTS
    assert set(DAYS.values()) - COMMON == {"missing-ids", "missing-fields", "unknown-state", "page2"}
