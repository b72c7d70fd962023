"""All-purpose clusters as pipelines, where they are asked for: how they read, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.databricks import DatabricksAdapter
from adapters.errors import NotFound, Unsupported
from adapters.model import Run, State, Trigger, Verb
from tests.databricks.clusters_parts import LIST, OPTIONS, began, of, seen, stopped
from tests.databricks.world import action, settings
from tests.servers.databricks_like import DatabricksLike


@pytest.fixture
async def adapter(like: DatabricksLike) -> AsyncIterator[DatabricksAdapter]:
    one = DatabricksAdapter(settings(like, options=OPTIONS))
    yield one
    await one.close()


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


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_the_option_is_true_or_false(like: DatabricksLike, wrong: object) -> None:
    with pytest.raises(Unsupported, match="'clusters' of the databricks adapter is true or false"):
        DatabricksAdapter(settings(like, options={"clusters": wrong}))
