"""All-purpose clusters as pipelines, where they are asked for: how they read, what is done to them, what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.base import Done, NotDone, NotSent, Prepared, Sent, Unknown
from adapters.databricks import DatabricksAdapter
from adapters.databricks.calls import too_much
from adapters.errors import Conflict, NotFound, Unreachable, Unsupported
from adapters.model import Run, State, Trigger, Verb, parse_key
from engine.actions.words import mask
from tests.databricks.world import action, settings
from tests.servers.databricks_like import DatabricksLike

LIST = "/api/2.1/clusters/list"
OPTIONS = {"read_timeout": 0.4, "connect_timeout": 1.0, "clusters": True}


@pytest.fixture
async def adapter(like: DatabricksLike) -> AsyncIterator[DatabricksAdapter]:
    one = DatabricksAdapter(settings(like, options=OPTIONS))
    yield one
    await one.close()


def began(like: DatabricksLike, ident: str) -> int:
    found = like.cluster_of(ident)
    return int(found.get("last_restarted_time") or found["start_time"])


def of(like: DatabricksLike, ident: str) -> str:
    """Key of its present life."""
    return f"db:cluster.{ident}/{began(like, ident)}"


async def seen(adapter: DatabricksAdapter, cursor: str | None = None) -> tuple[dict[str, Run], str | None]:
    page = await adapter.runs(cursor)
    return {r.key: r for r in page.runs}, page.cursor


def stopped(like: DatabricksLike, name: str = "shared") -> str:
    ident = like.add_cluster(name, last_restarted_time=like.now() - 60_000)
    like.terminated(ident, "INACTIVITY")
    return ident


# --- reading --------------------------------------------------------------------------------------------------------


async def test_without_the_option_they_are_parts_and_nothing_else(like: DatabricksLike) -> None:
    ident = like.add_cluster("shared")
    plain = DatabricksAdapter(settings(like))
    assert (await plain.pipelines()).items == ()
    assert (await plain.runs(None)).runs == ()
    assert not like.asked(LIST)
    assert [i.name for i in await plain.items()] == ["shared"]
    with pytest.raises(Unsupported, match="clusters = true"):
        await plain.prepare(action(Verb.START, f"db:cluster.{ident}"))
    with pytest.raises(NotFound):
        await plain.read(f"db:cluster.{ident}")
    await plain.close()


async def test_a_cluster_is_a_pipeline_and_its_life_a_run(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    ident = like.add_cluster("shared", start_time=like.now() - 90_000, last_restarted_time=like.now() - 60_000)
    like.add_cluster("of a job", source="JOB")
    never = like.add_cluster("never", "TERMINATED", start_time=None)
    listing = await adapter.pipelines()
    one = {p.key: p for p in listing.items}[f"db:cluster.{ident}"]
    assert (one.name, one.trigger, one.url) == (
        "shared", Trigger.CONTINUOUS, f"{like.url}/compute/clusters/{ident}",
    )  # fmt: skip
    assert {p.key for p in listing.items} == {f"db:cluster.{ident}", f"db:cluster.{never}"}
    assert listing.complete
    found, _ = await seen(adapter)
    (run,) = found.values()
    assert (run.key, run.state, run.native) == (of(like, ident), State.RUNNING, "RUNNING")
    assert (run.started, run.ended) == (began(like, ident), None)
    assert await adapter.read(run.key) == run
    assert await adapter.read(f"db:cluster.{ident}") == one
    assert [i.name for i in await adapter.items()] == ["shared", "never"], "still parts of the source"
    assert await adapter.history(f"db:cluster.{ident}") == ()
    assert await adapter.steps(run.key) == ()
    chunk = await adapter.log(f"{run.key}#any", 1, None)
    assert (chunk.data, chunk.end) == (b"", True)
    assert "no log of a cluster" in (chunk.note or "")


@pytest.mark.parametrize(
    ("word", "more", "want"),
    [
        ("PENDING", {}, (State.QUEUED, "starting", None)),
        ("RUNNING", {}, (State.RUNNING, None, None)),
        ("RESIZING", {}, (State.RUNNING, "resizing", None)),
        ("RESTARTING", {}, (State.RETRYING, None, None)),
        ("TERMINATING", {}, (State.STOPPING, None, None)),
        ("TERMINATED", {}, (State.STOPPED, None, None)),
        (
            "TERMINATED",
            {"termination_reason": {"code": "INACTIVITY", "type": "SUCCESS"}},
            (State.STOPPED, "inactivity", None),
        ),
        (
            "TERMINATED",
            {"termination_reason": {"code": "SPOT_INSTANCE_TERMINATION", "type": "CLOUD_FAILURE"}},
            (State.FAILED, None, "SPOT_INSTANCE_TERMINATION"),
        ),
        ("TERMINATED", {"termination_reason": {"type": "CLIENT_ERROR"}}, (State.FAILED, None, "CLIENT_ERROR")),
        ("ERROR", {"state_message": "no capacity"}, (State.FAILED, None, "no capacity")),
        ("LEVITATING", {}, (State.RUNNING, None, None)),
    ],
)
async def test_words_and_states(
    like: DatabricksLike,
    adapter: DatabricksAdapter,
    word: str,
    more: dict[str, Any],
    want: tuple[State, str | None, str | None],
) -> None:
    ident = like.add_cluster("shared", word, **more)
    run = await adapter.read(of(like, ident))
    assert isinstance(run, Run)
    assert (run.state, run.sub, run.error) == want
    assert run.native == (word if word != "LEVITATING" else "LEVITATING?")
    assert run.started == (None if word == "PENDING" else began(like, ident))


async def test_lives_follow_each_other(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """A life that was active and is over is told as ended, also where it was restarted between two polls."""
    ident = like.add_cluster("shared")
    found, cursor = await seen(adapter)
    first = of(like, ident)
    assert found[first].state is State.RUNNING
    like.change_cluster("restart", ident, idle=False)
    found, cursor = await seen(adapter, cursor)
    assert found[first].state is State.RETRYING
    like.tick()
    found, cursor = await seen(adapter, cursor)
    second = of(like, ident)
    assert (found[first].state, found[first].ended) == (State.STOPPED, began(like, ident))
    assert found[second].state is State.RUNNING
    assert (await adapter.read(first)).state is State.STOPPED  # type: ignore[union-attr]
    like.terminated(ident)
    found, cursor = await seen(adapter, cursor)
    assert set(found) == {second}
    assert (found[second].state, found[second].sub) == (State.STOPPED, "user request")
    assert found[second].ended == like.cluster_of(ident)["terminated_time"]
    for odd in ("1x", "0", str(began(like, ident) + 1), "9" * 20):
        with pytest.raises(NotFound, match="no life"):
            await adapter.read(f"db:cluster.{ident}/{odd}")


async def test_a_start_that_still_tells_the_old_time_makes_no_old_life_run_again(
    like: DatabricksLike, adapter: DatabricksAdapter
) -> None:
    ident = stopped(like)
    old = of(like, ident)
    like.cluster_of(ident)["state"] = "PENDING"
    found, _ = await seen(adapter)
    assert found == {}
    assert (await adapter.read(old)).state is State.STOPPED  # type: ignore[union-attr]


async def test_what_ended_long_ago_is_no_news(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    day = 86_400_000
    old = like.add_cluster("old", "TERMINATED", start_time=like.now() - 9 * day, terminated_time=like.now() - 3 * day)
    new = like.add_cluster("new", "TERMINATED", start_time=like.now() - 9 * day, terminated_time=like.now() - day)
    active = like.add_cluster("active", start_time=like.now() - 9 * day)
    found, cursor = await seen(adapter)
    assert set(found) == {of(like, new), of(like, active)}
    like.cluster_of(active).update(state="TERMINATED", terminated_time=like.now() - 3 * day)
    found, _ = await seen(adapter, cursor)
    assert found[of(like, active)].state is State.STOPPED, "it was active at the poll before"
    assert of(like, old) not in found


async def test_four_requests_a_poll_also_of_many(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """A page of a hundred clusters a poll; none is lost between the pages."""
    ids = [like.add_cluster(f"c{i:03d}") for i in range(250)]
    all_of_them: dict[str, Run] = {}
    cursor: str | None = None
    for _ in range(3):
        before = len(like.requests)
        found, cursor = await seen(adapter, cursor)
        assert len(like.requests) - before == 4
        all_of_them |= found
    assert set(all_of_them) == {of(like, i) for i in ids}
    like.change_cluster("restart", ids[200], idle=False)
    first = of(like, ids[200])
    like.tick()
    told: dict[str, Run] = {}
    for _ in range(3):
        found, cursor = await seen(adapter, cursor)
        told |= found
    assert (told[first].state, told[of(like, ids[200])].state) == (State.STOPPED, State.RUNNING)
    active = await adapter.runs(cursor, active_only=True)
    assert active.runs
    assert all(r.state.active for r in active.runs)
    assert len({p.key for p in (await adapter.pipelines()).items}) == 250


async def test_older_runs_and_clusters_take_turns(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """First fill at most 60 requests, a poll at most 4 while older runs are still being read; neither waits for ever."""
    jobs = [like.add_job(f"j{i:04d}", tasks=("a",)) for i in range(2_000)]
    for job in jobs[:800]:
        like.add_run(job, "TERMINATED", "SUCCESS", ago_s=60 + job % 80_000)
    ident = like.add_cluster("shared")
    before = len(like.requests)
    assert len((await adapter.pipelines()).items) == 2_001
    found, cursor = await seen(adapter)
    assert len(like.requests) - before <= 60
    assert of(like, ident) in found
    told, with_cluster, polls = dict(found), 0, 0
    while len(told) < 801:
        before = len(like.requests)
        found, cursor = await seen(adapter, cursor)
        assert len(like.requests) - before <= 4
        told |= found
        with_cluster += of(like, ident) in found
        polls += 1
        assert polls < 60, "older runs never came"
    assert with_cluster >= polls // 2


async def test_after_a_listing_all_that_is_active_is_named(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    """So that the engine asks about none of them by itself; the next poll reads a page again."""
    ids = [like.add_cluster(f"c{i:03d}") for i in range(250)]
    _, cursor = await seen(adapter)
    await adapter.pipelines()
    before = len(like.requests)
    found, cursor = await seen(adapter, cursor)
    assert len(like.requests) - before == 3
    assert set(found) == {of(like, i) for i in ids}
    like.terminated(ids[0])
    found, cursor = await seen(adapter, cursor)
    assert len(like.requests) - before == 7
    assert found[of(like, ids[0])].state is State.STOPPED


async def test_an_old_listing_is_not_read_as_a_poll(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    ident = like.add_cluster("shared")
    await adapter.pipelines()
    like.terminated(ident)
    like.skew_s = 60
    found, _ = await seen(adapter)
    assert found[of(like, ident)].state is State.STOPPED


async def test_include_names_clusters_too(like: DatabricksLike) -> None:
    ident, by_id = like.add_cluster("shared"), like.add_cluster("other")
    like.add_cluster("third")
    picky = DatabricksAdapter(settings(like, options=OPTIONS, include=["sha*", f"cluster.{by_id}"]))
    assert {p.key for p in (await picky.pipelines()).items} == {f"db:cluster.{ident}", f"db:cluster.{by_id}"}
    found, _ = await seen(picky)
    assert set(found) == {of(like, ident), of(like, by_id)}
    await picky.close()


async def test_clusters_that_may_not_be_listed_are_a_note(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    job = like.add_job("daily")
    run = like.add_run(job)
    like.add_cluster("shared")
    _, cursor = await seen(adapter)
    like.forbid = lambda method, path: "clusters" in path
    listing = await adapter.pipelines()
    assert [p.key for p in listing.items] == [f"db:{job}"]
    assert not listing.complete, "so nothing is taken for gone"
    assert any("clusters may not be listed" in note for note in adapter.notes)
    found, _ = await seen(adapter, cursor)
    assert set(found) == {f"db:{job}/{run}"}
    like.forbid = lambda method, path: False
    assert (await adapter.pipelines()).complete
    assert adapter.notes == ()


async def test_doctor_says_what_it_cannot_test(like: DatabricksLike, adapter: DatabricksAdapter) -> None:
    assert any("CAN RESTART" in w for w in (await adapter.probe()).warnings)
    plain = DatabricksAdapter(settings(like))
    assert not any("CAN RESTART" in w for w in (await plain.probe()).warnings)
    await plain.close()


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_the_option_is_true_or_false(like: DatabricksLike, wrong: object) -> None:
    with pytest.raises(Unsupported, match="'clusters' of the databricks adapter is true or false"):
        DatabricksAdapter(settings(like, options={"clusters": wrong}))


# --- acting ---------------------------------------------------------------------------------------------------------


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
    _, prepared = await planned(like, adapter, verb)
    like.fault = fault
    assert isinstance(await adapter.send(prepared), Unknown)
    like.fault = None
    assert len(like.asked(f"/api/2.1/clusters/{path}")) == 1
    found = await adapter.reconcile(prepared)
    assert isinstance(found, NotDone)
    assert found.begun
    like.tick()
    assert isinstance(await adapter.reconcile(prepared), Done)
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
