"""Bad days beyond those of the contract: other refusals, broken answers, late and foreign ones."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from adapters.base import NotSent, Unknown
from adapters.errors import BadResponse, Conflict, Unreachable
from adapters.model import Run, State, Verb
from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.talend.world import action, key_of, settings


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("503", BadResponse, "HTTP 503"),
        ("redirect", BadResponse, "redirected to another host"),
        ("short", BadResponse, "broke off"),
        ("reset", Unreachable, "closed the connection"),
    ],
)
async def test_other_refusals(like: TalendLike, adapter: TalendAdapter, fault: str, error: type, words: str) -> None:
    cursor = (await adapter.runs(None)).cursor
    like.fault = fault
    for ask in (adapter.probe, adapter.pipelines, lambda: adapter.runs(cursor), adapter.items):
        with pytest.raises(error, match=words) as got:
            await ask()
        assert like.pat not in str(got.value)
        assert "abcdef" not in str(got.value)
    like.fault = None
    assert (await adapter.runs(cursor)).complete


@pytest.mark.parametrize("fault", ["lost", "lost-500", "reset", "503"])
async def test_an_answer_that_is_lost_is_never_sent_again(like: TalendLike, adapter: TalendAdapter, fault: str) -> None:
    prepared = await adapter.prepare(action(Verb.START, key_of("daily")))
    like.fault = fault
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    posts = [s for s in like.requests if s.method == "POST" and s.path == "/processing/executions"]
    assert len(posts) == 1
    assert len(like.effects) == (1 if fault.startswith("lost") else 0)


async def test_a_service_account_that_lost_its_right_sends_nothing(like: TalendLike) -> None:
    from tests.talend.world import service

    one = TalendAdapter(settings(like, auth=service(like)))
    prepared = await one.prepare(action(Verb.START, key_of("daily")))
    like.tokens.clear()
    like.fault = "bad-client"
    sent = await one.send(prepared)
    assert isinstance(sent, NotSent)
    assert not like.effects
    await one.close()


async def test_nobody_trusts_its_certificate(like: TalendLike, tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    one = TalendAdapter(settings(like, url=like.url.replace("http:", "https:"), tls_ca=bad))
    with pytest.raises(Unreachable, match="holds no certificate"):
        await one.pipelines()
    await one.close()
    plain = TalendAdapter(settings(like, url=like.url.replace("http:", "https:")))
    with pytest.raises(Unreachable, match="no TLS with"):
        await plain.pipelines()
    await plain.close()
    assert ssl.HAS_TLSv1_3


async def test_an_empty_estate_is_well(like: TalendLike) -> None:
    like.tasks.clear()
    like.plans.clear()
    like.environments.clear()
    one = TalendAdapter(settings(like))
    listing = await one.pipelines()
    assert (listing.items, listing.complete) == ((), True)
    page = await one.runs(None)
    assert (page.runs, page.complete) == ((), True)
    assert (await one.probe()).warnings == (
        "whether it may view logs cannot be told: TMC lists no run of a task to try it on",
        "whether it may view components cannot be told: TMC lists no run of a task to try it on",
        "TMC shows no environment to this credential",
    )
    await one.close()


async def test_wrong_types_are_none_where_nobody_documented_them(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1", word="EXECUTION_SUCCESS")
    plain = like._task_run
    like._task_run = lambda run, alone=False: (
        plain(run, alone=alone)
        | {  # type: ignore[method-assign,assignment,misc]
            "startTimestamp": "yesterday",
            "triggerTimestamp": 1_795_000_000_000,
        }
    )
    run = await adapter.read(key_of("daily", "e1"))
    assert isinstance(run, Run)
    assert (run.started, run.queued, run.state) == (None, 1_795_000_000_000, State.SUCCESS)
    like._task_run = lambda run, alone=False: plain(run, alone=alone) | {"status": 3}  # type: ignore[method-assign,assignment,misc]
    with pytest.raises(BadResponse, match="another shape"):
        await adapter.read(key_of("daily", "e1"))


async def test_an_answer_about_another_run_is_not_believed(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1")
    like.add_run("daily", "e2")
    plain = like._exec
    like._exec = lambda kind, ident: plain(kind, "e2")  # type: ignore[method-assign]
    with pytest.raises(BadResponse, match="another execution"):
        await adapter.read(key_of("daily", "e1"))


async def test_a_conflict_while_planning_is_said(like: TalendLike, adapter: TalendAdapter) -> None:
    like.fault = "409"
    with pytest.raises(Conflict, match="HTTP 409"):
        await adapter.prepare(action(Verb.PAUSE, key_of("daily")))
