"""Credentials: a personal access token with its end, a service account whose token is renewed."""

from __future__ import annotations

import base64
import json

import pytest

from adapters.base import Secret
from adapters.errors import AuthFailed, Forbidden, RateLimited
from adapters.talend import TalendAdapter
from adapters.talend import auth as auth_module
from tests.servers.talend_like import TalendLike
from tests.talend.world import service, settings

DAY_S = 86_400


async def test_a_service_account_asks_for_a_token_once(like: TalendLike) -> None:
    one = TalendAdapter(settings(like, auth=service(like), options={"region": "eu"}))
    await one.pipelines()
    await one.runs(None)
    assert len(like.issued) == 1
    assert like.audiences == ["https://api.eu.cloud.talend.com"]
    probe = await one.probe()
    assert probe.identity == "service account svc-client-1; its token is good for 30 min and renewed by itself"
    assert one.notes == ()
    await one.close()


async def test_a_token_is_renewed_before_its_end_and_when_it_is_refused(
    like: TalendLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 1_000.0
    monkeypatch.setattr(auth_module, "_now", lambda: at)
    one = TalendAdapter(settings(like, auth=service(like)))
    await one.runs(None)
    at += 1_700
    await one.runs(None)
    assert len(like.issued) == 1
    at += 50  # 50 s before its end
    await one.runs(None)
    assert len(like.issued) == 2
    like.tokens.clear()  # revoked
    await one.runs(None)
    assert len(like.issued) == 3
    await one.close()


@pytest.mark.parametrize("life", ["1800", 1800, None, "soon"])
async def test_the_life_of_a_token_may_come_as_text(like: TalendLike, life: object) -> None:
    like.expires_in = life
    one = TalendAdapter(settings(like, auth=service(like)))
    assert "good for 30 min" in ((await one.probe()).identity or "")
    await one.close()


async def test_a_wrong_client_is_said_without_its_secret(like: TalendLike) -> None:
    like.fault = "bad-client"
    one = TalendAdapter(settings(like, auth=service(like)))
    with pytest.raises(AuthFailed, match=r"gives no token to service account svc-client-1 \(HTTP 401\)") as wrong:
        await one.pipelines()
    assert like.client_secret not in f"{wrong.value.what} {wrong.value.hint} {one!r}"
    await one.close()


async def test_a_refused_personal_token_is_read_again_from_its_reference(like: TalendLike) -> None:
    values = ["old", like.pat]
    one = TalendAdapter(
        settings(like, auth={"token": Secret(lambda: values.pop(0) if len(values) > 1 else like.pat, "x")})
    )
    assert (await one.pipelines()).items
    await one.close()
    wrong = TalendAdapter(settings(like, auth={"token": "wrong"}))
    with pytest.raises(AuthFailed):
        await wrong.pipelines()
    await wrong.close()


async def test_403_is_a_right_and_renews_nothing(like: TalendLike) -> None:
    like.forbid = lambda method, path: path.startswith("/processing/")
    one = TalendAdapter(settings(like, auth=service(like)))
    with pytest.raises(Forbidden):
        await one.runs(None)
    assert len(like.issued) == 1
    await one.close()


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "ended on"), (0, "ends on"), (5, "in 4 days"), (30, None)],
)
async def test_the_end_of_a_personal_token_is_said_before_it_comes(
    like: TalendLike, days: int, words: str | None
) -> None:
    from datetime import timedelta

    day = (like.now() + timedelta(days=days)).date()
    if days == 0:
        day = (like.now() + timedelta(days=1)).date()  # midnight of tomorrow: less than a day
    one = TalendAdapter(settings(like, options={"token_expires": day.isoformat()}))
    probe = await one.probe()
    assert f"good until {day}" in (probe.identity or "")
    said = [n for n in one.notes if "personal access token" in n]
    assert said == [w for w in probe.warnings if "personal access token" in w]
    assert bool(said) == (words is not None)
    assert words is None or words in said[0]
    await one.close()


async def test_a_token_that_says_its_own_end(like: TalendLike) -> None:
    ends = int(like.now().timestamp()) + 3 * DAY_S
    part = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
    like.pat = f"head.{part}.sign"
    one = TalendAdapter(settings(like))
    await one.pipelines()
    assert any("in 2 days" in n or "in 3 days" in n for n in one.notes)
    await one.close()


async def test_it_keeps_below_the_rate_at_which_it_is_refused(like: TalendLike) -> None:
    like.rate = 10
    for i in range(1_100):
        like.add_task(f"t{i}", f"T {i}")
    slow = TalendAdapter(settings(like, options={"requests_per_second": 9}))
    assert len((await slow.pipelines()).items) > 1_100
    await slow.close()
    like._lately.clear()
    quick = TalendAdapter(settings(like, options={"requests_per_second": 1000}))
    with pytest.raises(RateLimited) as refused:
        await quick.pipelines()
    assert refused.value.retry_after is None
    await quick.close()
