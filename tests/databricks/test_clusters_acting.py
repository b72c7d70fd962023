"""All-purpose clusters as pipelines, where they are asked for: what is done to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.base import Done, NotDone, NotSent, Prepared, Sent, Several, Unknown
from adapters.databricks import DatabricksAdapter
from adapters.databricks.calls import too_much
from adapters.errors import Conflict, NotFound, Unreachable, Unsupported
from adapters.model import Verb, parse_key
from engine.actions.words import mask
from tests.databricks.clusters_parts import OPTIONS, of, stopped
from tests.databricks.world import action, settings
from tests.servers.databricks_like import DatabricksLike


@pytest.fixture
async def adapter(like: DatabricksLike) -> AsyncIterator[DatabricksAdapter]:
    one = DatabricksAdapter(settings(like, options=OPTIONS))
    yield one
    await one.close()


async def planned(like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb) -> tuple[str, Prepared]:
    """A cluster on which the verb makes sense, and the plan for it."""
    ident = stopped(like) if verb is Verb.START else like.add_cluster("shared")
    key = f"db:cluster.{ident}" if verb is Verb.START else of(like, ident)
    return ident, await adapter.prepare(action(verb, key))


VERBS = [(Verb.START, "start"), (Verb.STOP, "delete"), (Verb.RERUN, "restart")]


@pytest.mark.parametrize(("verb", "path"), VERBS)
async def test_the_exact_call_done_once_and_proved(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb, path: str
) -> None:
    ident, prepared = await planned(like, adapter, verb)
    (call,) = prepared.calls
    assert (call.method, call.target, call.body) == (
        "POST", f"{like.url}/api/2.1/clusters/{path}", {"cluster_id": ident},
    )  # fmt: skip
    assert mask(prepared.memo) == prepared.memo, "what is kept for the proof survives masking"
    if verb is Verb.START:
        assert "costs" in prepared.note
    else:
        assert "whatever runs on it ends" in prepared.effect
        assert "notebooks and jobs attached" in prepared.note
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert (found.begun, found.final) == (False, False)
    assert not like.effects
    assert isinstance(await adapter.send(prepared), Sent)
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert (found.begun, found.final) == (True, False), "on its way is not done"
    like.tick()
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.run == of(like, ident)
    assert [(e.what, e.id) for e in like.effects] == [(f"cluster-{path}", ident)]
    if verb is Verb.RERUN:
        assert found.run != prepared.action.key, "a new life"
    assert isinstance(await adapter.send(prepared), NotSent), "looked at right before: it is so already"
    assert len(like.effects) == 1


@pytest.mark.parametrize("fault", ["lost", "lost-500"])
@pytest.mark.parametrize(("verb", "path"), VERBS)
async def test_a_lost_answer_is_looked_at_and_not_sent_again(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb, path: str, fault: str
) -> None:
    ident, prepared = await planned(like, adapter, verb)
    like.fault = fault
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert len(like.asked(f"/api/2.1/clusters/{path}")) == 1
    found = await adapter.reconcile(prepared)
    like.tick()
    after = await adapter.reconcile(prepared)
    if verb is Verb.RERUN:  # a state is one whoever asked for it; a restart is somebody's
        assert isinstance(found, Several)
        assert after == Several(
            "the cluster is RUNNING, restarted since, and Databricks does not tell by whom", (of(like, ident),)
        )
    else:
        assert isinstance(found, NotDone)
        assert found.begun
        assert isinstance(after, Done)
    assert len(like.effects) == 1


@pytest.mark.parametrize(("verb", "path"), VERBS)
async def test_what_is_only_answered_is_not_done(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb, path: str
) -> None:
    _, prepared = await planned(like, adapter, verb)
    like.fault = "noop"
    assert isinstance(await adapter.send(prepared), Sent)
    for _ in range(3):
        found = await adapter.reconcile(prepared)
        assert isinstance(found, NotDone)
        assert (found.begun, found.final) == (False, False), found
        like.tick()
    assert not like.effects
    assert len(like.asked(f"/api/2.1/clusters/{path}")) == 1


@pytest.mark.parametrize(
    ("verb", "word", "why"),
    [
        (Verb.START, "RUNNING", "only one that is TERMINATED"),
        (Verb.START, "PENDING", "only one that is TERMINATED"),
        (Verb.START, "TERMINATING", "only one that is TERMINATED"),
        (Verb.START, "LEVITATING", "only one that is TERMINATED"),
        (Verb.STOP, "TERMINATED", "is TERMINATED already"),
        (Verb.STOP, "ERROR", "is ERROR already"),
        (Verb.STOP, "TERMINATING", "being terminated already"),
        (Verb.RERUN, "TERMINATED", "only one that is RUNNING"),
        (Verb.RERUN, "RESTARTING", "only one that is RUNNING"),
        (Verb.RERUN, "PENDING", "only one that is RUNNING"),
    ],
)
async def test_what_makes_no_sense_now(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb, word: str, why: str
) -> None:
    ident = like.add_cluster("shared", word)
    key = f"db:cluster.{ident}" if verb is Verb.START else of(like, ident)
    with pytest.raises(Conflict, match=why):
        await adapter.prepare(action(verb, key))


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.RERUN])
async def test_a_life_that_is_over_is_not_acted_on(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb
) -> None:
    """The calls name the cluster only: neither a plan nor a call may reach the next life."""
    ident, prepared = await planned(like, adapter, verb)
    old = of(like, ident)
    like.change_cluster("restart", ident, idle=False)
    like.tick()
    with pytest.raises(Conflict, match="not the cluster's present life"):
        await adapter.prepare(action(verb, old))
    found = await adapter.send(prepared)
    assert isinstance(found, NotSent)
    assert "started or restarted since" in found.words
    assert [e.what for e in like.effects] == ["cluster-restart"], "that of somebody else"
    with pytest.raises(Unsupported, match="one of its runs"):
        await adapter.prepare(action(verb, f"db:cluster.{ident}"))


async def test_a_cluster_that_is_started_again_was_not_stopped_for_good(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    ident, prepared = await planned(like, adapter, Verb.STOP)
    assert isinstance(await adapter.send(prepared), Sent)
    like.tick()
    like.change_cluster("start", ident, idle=False)
    like.tick()
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert "started again since" in found.words


@pytest.mark.parametrize("verb", [Verb.START, Verb.RERUN])
async def test_one_that_does_not_come_up_is_not_done(
    like: DatabricksLike, adapter: DatabricksAdapter, verb: Verb
) -> None:
    ident, prepared = await planned(like, adapter, verb)
    assert isinstance(await adapter.send(prepared), Sent)
    like.terminated(ident, "CLOUD_PROVIDER_LAUNCH_FAILURE", "CLOUD_FAILURE")
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.final
    assert "CLOUD_PROVIDER_LAUNCH_FAILURE" in found.words


@pytest.mark.parametrize("lenient", [True, False])
async def test_the_wrong_state_may_be_refused_or_left_alone(
    like: DatabricksLike, adapter: DatabricksAdapter, lenient: bool
) -> None:
    """Between the look and the call somebody else starts it: 400 INVALID_STATE is not sent, 200 is taken; nothing happens."""
    ident, prepared = await planned(like, adapter, Verb.START)
    like.lenient = lenient
    look = like.forbid

    def meanwhile(method: str, path: str) -> bool:
        if method == "POST" and not like.effects:
            like.change_cluster("start", ident, idle=False)
        return look(method, path)

    like.forbid = meanwhile
    found = await adapter.send(prepared)
    assert isinstance(found, Sent if lenient else NotSent), found
    if not lenient:
        assert "unexpected state Pending" in found.words
    assert len(like.effects) == 1


async def test_other_verbs_say_why(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    key = of(like, like.add_cluster("shared"))
    for verb, of_ in ((Verb.PAUSE, parse_key(key).pipeline_key), (Verb.RERUN_FAILED, key), (Verb.RERUN_FROM, key)):
        with pytest.raises(Unsupported, match="is started, restarted"):
            await adapter.prepare(action(verb, of_))
    ident = stopped(like)
    for more in ({"params": {"workers": 9}}, {"business_date": "2026-11-18"}):
        with pytest.raises(Conflict, match="no parameters and no date"):
            await adapter.prepare(action(Verb.START, f"db:cluster.{ident}", **more))
    job_cluster = like.add_cluster("job-1", "TERMINATED", source="JOB")
    for unknown in (job_cluster, "not-there", "a.b", "-x"):
        with pytest.raises(NotFound):
            await adapter.prepare(action(Verb.START, f"db:cluster.{unknown}"))
    assert not like.effects


async def test_a_cluster_that_is_gone_is_not_done(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    _, prepared = await planned(like, adapter, Verb.STOP)
    like.clusters.clear()
    assert isinstance(await adapter.send(prepared), NotSent)
    assert await adapter.reconcile(prepared) == NotDone("Databricks no longer lists this cluster", final=True)
    like.fault = "down"
    with pytest.raises(Unreachable):
        await adapter.reconcile(prepared)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("start", {}),
        ("start", {"cluster_id": 7}),
        ("delete", {"cluster_id": ""}),
        ("delete", {"cluster_id": "../x"}),
        ("restart", {"cluster_id": "x", "restart_user": "y"}),
        ("permanent-delete", {"cluster_id": "x"}),
        ("edit", {"cluster_id": "x"}),
        ("resize", {"cluster_id": "x"}),
        ("list", {"cluster_id": "x"}),
    ],
)
def test_a_call_that_would_do_more_is_not_sent(path: str, body: dict[str, Any]) -> None:
    assert too_much("POST", f"/api/2.1/clusters/{path}", body)


def test_the_three_calls_are_known() -> None:
    for path in ("start", "restart", "delete"):
        assert too_much("POST", f"/api/2.1/clusters/{path}", {"cluster_id": "0923-164208-meows279"}) is None
        assert too_much("GET", f"/api/2.1/clusters/{path}", {"cluster_id": "0923-164208-meows279"})


async def test_names_from_outside_stay_harmless(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    ident = like.add_cluster("pay\x1b]52;c;cHduZWQ=\x07\n\u202e[red]")
    prepared = await adapter.prepare(action(Verb.STOP, of(like, ident)))
    for text in (prepared.effect, prepared.note, (await adapter.send(prepared)).words):
        assert text.isprintable(), repr(text)
    with pytest.raises(Conflict) as caught:
        await adapter.prepare(action(Verb.RERUN, of(like, ident)))
    assert str(caught.value).isprintable()
