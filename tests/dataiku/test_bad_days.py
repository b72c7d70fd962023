"""Keys of each sort, keys that end, answers that are wrong, options that are wrong."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from adapters.base import Secret
from adapters.dataiku import DataikuAdapter
from adapters.errors import AuthFailed, BadResponse, RateLimited, Unreachable, Unsupported
from adapters.model import State
from tests.dataiku.world import settings
from tests.servers.dataiku_like import ApiKey, DataikuLike


@pytest.mark.parametrize(
    ("key", "projects", "identity", "everything"),
    [
        (ApiKey("dkuaps-personal", "ana"), 2, "ana, personal key, acts as its user", True),
        (ApiKey("dkuaps-reader", "bob", admin=False), 2, "bob, personal key, acts as its user", False),
        (ApiKey("dkuaps-admin", "k1", "global"), 2, "k1, global key with administrator's rights", True),
        (ApiKey("dkuaps-global", "k2", "global", admin=False), 2, "k2, global key", False),
        (ApiKey("dkuaps-pr0ject", "k3", "project", False, {"CDM"}), 1, "k3, project key, or a global key for one project", False),
    ],
)  # fmt: skip
async def test_the_probe_tells_the_sorts_of_keys_apart(
    key: ApiKey, projects: int, identity: str, everything: bool
) -> None:
    with DataikuLike(key) as like:
        like.add_scenario("CDM", "daily")
        like.add_scenario("HR", "x")
        adapter = DataikuAdapter(settings(like))
        probe = await adapter.probe()
        assert probe.version == "DSS"
        assert probe.identity == f"{identity}, on an automation node"
        assert probe.permissions["view"] is True
        assert probe.permissions["see all running scenarios"] is everything
        assert probe.permissions["start"] is (True if key.admin else None)
        assert any("administrator" in w for w in probe.warnings) is not everything
        assert len((await adapter.pipelines()).items) == projects
        assert like.refused == []
        await adapter.close()


async def test_a_key_that_sees_nothing_is_warned_of() -> None:
    with DataikuLike(ApiKey("dkuaps-none", "k", "global", False, set())) as like:
        like.add_scenario("CDM", "daily")
        adapter = DataikuAdapter(settings(like))
        probe = await adapter.probe()
        assert probe.permissions["view"] is False
        assert any("sees no project" in w for w in probe.warnings)
        assert (await adapter.runs(None)).runs == []
        await adapter.close()


async def test_an_expired_key_is_said_with_since(like: DataikuLike, adapter: DataikuAdapter) -> None:
    await adapter.pipelines()
    like.expired = True
    with pytest.raises(AuthFailed) as caught:
        await adapter.pipelines()
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
    said = rf"HTTP 401 since {stamp}: the API key has expired or was revoked; last accepted {stamp}"
    assert re.fullmatch(said, caught.value.what)
    assert "auth.key" in caught.value.hint
    like.skew_s = 7_200
    with pytest.raises(AuthFailed) as again:
        await adapter.runs(None)
    assert again.value.what == caught.value.what, "since when it began, not since now"
    like.expired = False
    await adapter.pipelines()


async def test_a_key_that_never_worked_is_said_so(like: DataikuLike) -> None:
    wrong = settings(like, auth={"key": Secret(lambda: "dkuaps-wr0ng", "env:X")})
    adapter = DataikuAdapter(wrong)
    with pytest.raises(AuthFailed, match="does not know this API key"):
        await adapter.probe()
    await adapter.close()


async def test_a_key_that_was_replaced_is_read_again(like: DataikuLike) -> None:
    keys = [like.key.secret]
    adapter = DataikuAdapter(settings(like, auth={"key": Secret(lambda: keys[-1], "file:key")}))
    await adapter.pipelines()
    like.key.secret = "dkuaps-the-next-0ne"
    keys.append(like.key.secret)
    await adapter.pipelines()
    assert sum(r.status == 401 for r in like.requests) == 1
    await adapter.close()


async def test_a_jwt_is_sent_as_bearer(like: DataikuLike) -> None:
    like.jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2ln"
    adapter = DataikuAdapter(settings(like, auth={"token": Secret(lambda: like.jwt, "env:X")}))
    assert (await adapter.pipelines()).complete
    await adapter.close()


async def test_a_key_that_cannot_be_read_says_from_where() -> None:
    def gone() -> str:
        raise OSError("s3cret path")

    with DataikuLike() as like:
        adapter = DataikuAdapter(settings(like, auth={"key": Secret(gone, "file:/etc/key")}))
        with pytest.raises(AuthFailed, match="cannot be read from file:/etc/key") as caught:
            await adapter.pipelines()
        assert "s3cret" not in str(caught.value)
        await adapter.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("503", BadResponse), ("503-after", BadResponse), ("redirect", BadResponse), ("empty", BadResponse),
        ("wrong-types", BadResponse), ("short", BadResponse), ("drip", Unreachable), ("reset", Unreachable),
        ("429-after", RateLimited),
    ],
)  # fmt: skip
async def test_further_bad_days(like: DataikuLike, fault: str, kind: type[Exception]) -> None:
    run = like.add_run("CDM", "daily", outcome="FAILED")
    adapter = DataikuAdapter(settings(like, options={"total_timeout": 0.5}))
    page = await adapter.runs(None)
    await adapter.pipelines()
    like.fault = fault
    for call in (
        adapter.pipelines,
        lambda: adapter.runs(page.cursor),
        lambda: adapter.steps(f"dss:CDM.daily/{run.id}"),
    ):
        with pytest.raises(kind) as caught:
            await call()
        assert not any(secret in str(caught.value) for secret in like.secrets)
    like.fault = None
    assert (await adapter.pipelines()).complete
    await adapter.close()


async def test_a_server_that_limits_is_obeyed(like: DataikuLike, adapter: DataikuAdapter) -> None:
    for n in range(30):
        like.add_scenario("CDM", f"s{n}")
        like.add_run("CDM", f"s{n}")
    like.allow = 10
    with pytest.raises(RateLimited) as caught:
        await adapter.runs(None)
    assert caught.value.retry_after == 7
    assert len(like.requests) <= 10 + 4, "what was not on its way yet is not asked any more"
    like.allow = None
    assert len((await adapter.runs(None)).runs) == 30


async def test_no_trust_in_a_strange_certificate() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1)")

    with DataikuLike() as like:
        adapter = DataikuAdapter(settings(like, url="https://dss.example.com"), transport=httpx.MockTransport(refuse))
        with pytest.raises(Unreachable, match=r"certificate of dss\.example\.com is not trusted"):
            await adapter.probe()
        await adapter.close()
        blind = DataikuAdapter(settings(like, tls_verify=False))
        like.add_project("CDM")
        assert any("not verified" in w for w in (await blind.probe()).warnings)
        await blind.close()


async def test_an_answer_that_comes_late_and_out_of_order_tells_each_run_as_it_ends(
    like: DataikuLike, adapter: DataikuAdapter
) -> None:
    """Two questions under way at once: what the last one says is how it is."""
    run = like.add_run("CDM", "daily")
    page = await adapter.runs(None)
    like.end_run(run)
    first, second = await asyncio.gather(adapter.runs(page.cursor), adapter.runs(page.cursor))
    told = [r.state for p in (first, second) for r in p.runs]
    assert State.SUCCESS in told
    later = await adapter.runs(second.cursor)
    assert State.RUNNING not in {r.state for r in later.runs}


async def test_futures_that_do_not_say_of_what_they_are(like: DataikuLike, adapter: DataikuAdapter) -> None:
    for n in range(5):
        like.add_scenario(f"P{n}", "s")
    like.future_words = False
    page = await adapter.runs(None)
    run = like.add_run("P4", "s")
    for _ in range(3):
        page = await adapter.runs(page.cursor)
        if f"dss:P4.s/{run.id}" in {r.key for r in page.runs}:
            break
    else:
        raise AssertionError("not seen without futures")
    assert "does not say which scenario" in adapter.notes[0]


async def test_futures_that_hide_what_runs_are_found_out(like: DataikuLike) -> None:
    """A server that answers 200 with the runs of this user only, although all were asked for."""
    for n in range(5):
        like.add_scenario(f"P{n}", "s")
    adapter = DataikuAdapter(settings(like))
    page = await adapter.runs(None)
    like.key.projects = None
    like._futures = lambda key, q, body: []  # type: ignore[method-assign]
    like._table.clear()
    like._routes()
    run = like.add_run("P4", "s")
    seen: set[str] = set()
    for _ in range(20):
        page = await adapter.runs(page.cursor)
        seen |= {r.key for r in page.runs}
    assert f"dss:P4.s/{run.id}" in seen
    assert "lacks running scenarios" in adapter.notes[0]
    await adapter.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": 1}, "has no option 'colour'; it has connect_timeout"),
        ({"read_timeout": "long"}, "is a number of seconds up to 600, not 'long'"),
        ({"read_timeout": True}, "is a number of seconds"),
        ({"all_users": "yes"}, "is true or false, not 'yes'"),
        ({"projects": "CDM"}, "is a list of texts, not 'CDM'"),
        ({"datasets": ["sales"]}, "is a list of PROJECT.dataset, not 'sales'"),
        ({"builds": ["CDM.s*"]}, "without wildcards, not 'CDM.s*'"),
        ({"build_type": "ALL"}, "is one of NON_RECURSIVE_FORCED_BUILD, "),
        ({"business_date_param": ""}, "is the name of a parameter, not ''"),
    ],
)
def test_options_are_checked_with_a_sentence(like: DataikuLike, given: dict[str, Any], said: str) -> None:
    with pytest.raises(Unsupported) as caught:
        DataikuAdapter(settings(like, options=given))
    assert said in caught.value.what
