"""What it costs, counted by the server: 2,000 scenarios in 50 projects, and in 200."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.dataiku import DataikuAdapter
from adapters.dataiku.board import FEW
from adapters.errors import RateLimited
from adapters.model import Run, State
from tests.dataiku.world import settings
from tests.servers.dataiku_like import ApiKey, DataikuLike

PROJECTS, EACH = 50, 40
A_LISTING = 6
"""Polls for each listing: the engine lists at a sixth of the pace of its polls."""


def filled(server: DataikuLike) -> DataikuLike:
    for p in range(PROJECTS):
        for s in range(EACH):
            server.add_scenario(f"P{p:02d}", f"s{s:02d}")
    server.add_run("P07", "s03")
    return server


@pytest.fixture
def large() -> Iterator[DataikuLike]:
    with DataikuLike() as server:
        yield filled(server)
        assert server.refused == []


@pytest.fixture
def lesser() -> Iterator[DataikuLike]:
    with DataikuLike(ApiKey("dkuaps-global", "k", "global", admin=False)) as server:
        yield filled(server)
        assert server.refused == []


async def whole(adapter: DataikuAdapter, cursor: str | None) -> tuple[dict[str, Run], str | None]:
    seen: dict[str, Run] = {}
    for _ in range(50):
        page = await adapter.runs(cursor)
        seen |= {r.key: r for r in page.runs}
        cursor = page.cursor
        if page.complete:
            return seen, cursor
    raise AssertionError("never complete")


async def first_fill(server: DataikuLike, adapter: DataikuAdapter) -> tuple[dict[str, Run], str | None]:
    await adapter.probe()
    listing = await adapter.pipelines()
    assert listing.complete
    assert len(listing.items) == PROJECTS * EACH
    return await whole(adapter, None)


async def test_first_fill_and_polls_of_an_administrators_key(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large))
    seen, cursor = await first_fill(large, adapter)
    first = len(large.requests)
    assert first <= 60
    assert seen["dss:P07.s03/" + large.scenarios[("P07", "s03")].runs[0].id].state is State.RUNNING
    for round_ in range(3):
        for n in range(A_LISTING):
            before = len(large.requests)
            _, cursor = await whole(adapter, cursor)
            assert len(large.requests) - before <= 4, f"poll {n} of round {round_}"
        await adapter.pipelines()
    assert (len(large.requests) - first) / (3 * A_LISTING) <= 4, "listings included"
    assert adapter.spent[0] == len(large.requests)
    assert adapter.notes == ()
    await adapter.close()


async def test_what_runs_at_first_is_asked_about_whatever_it_costs(large: DataikuLike) -> None:
    for n in range(11):
        large.add_run(f"P{n + 10}", "s20")
    adapter = DataikuAdapter(settings(large))
    seen, _ = await first_fill(large, adapter)
    assert sum(r.state is State.RUNNING for r in seen.values()) == 12
    assert len(large.requests) <= 60 + 11
    await adapter.close()


async def test_what_begins_and_ends_is_seen_with_the_next_poll(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    run = large.add_run("P31", "s11")
    key = f"dss:P31.s11/{run.id}"
    seen, cursor = await whole(adapter, cursor)
    assert seen[key].state is State.RUNNING
    before = len(large.requests)
    seen, cursor = await whole(adapter, cursor)
    assert seen[key].state is State.RUNNING, "named as long as it runs"
    assert len(large.requests) - before <= 4, "and not asked about again"
    large.end_run(run, "WARNING")
    seen, cursor = await whole(adapter, cursor)
    assert (seen[key].native, seen[key].state) == ("WARNING", State.WARNING)
    seen, _ = await whole(adapter, cursor)
    assert key not in seen
    await adapter.close()


async def test_a_lesser_key_costs_as_little_and_says_how_late_it_is(lesser: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(lesser))
    _, cursor = await first_fill(lesser, adapter)
    assert len(lesser.requests) <= 60
    assert adapter.notes == (
        "a run of 50 projects is noticed within 25 polls: its list of futures needs an administrator's key",
    )
    first = len(lesser.requests)
    for _ in range(3):
        for _ in range(A_LISTING):
            before = len(lesser.requests)
            _, cursor = await whole(adapter, cursor)
            assert len(lesser.requests) - before <= 4
        await adapter.pipelines()
    assert (len(lesser.requests) - first) / (3 * A_LISTING) <= 4, "listings included"
    run = lesser.add_run("P31", "s11")
    key, polls = f"dss:P31.s11/{run.id}", -(-PROJECTS // (FEW - 1))
    for _ in range(polls):
        before = len(lesser.requests)
        seen, cursor = await whole(adapter, cursor)
        assert len(lesser.requests) - before <= 4, "three lists, and one in turn or the one that changed"
        if key in seen:
            break
    else:
        raise AssertionError(f"not seen within {polls} polls")
    lesser.end_run(run, "FAILED")
    for _ in range(3):  # a project in which something runs comes before its turn
        seen, cursor = await whole(adapter, cursor)
        if key in seen and seen[key].state is State.FAILED:
            break
    else:
        raise AssertionError("its end was not seen")
    await adapter.close()


async def test_three_hundred_that_begin_at_once_are_carried_on_page_by_page(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    runs = {
        f"dss:P{n % PROJECTS:02d}.s{20 + n // PROJECTS}/": (f"P{n % PROJECTS:02d}", f"s{20 + n // PROJECTS}")
        for n in range(300)
    }
    keys = {prefix + large.add_run(p, s).id for prefix, (p, s) in runs.items()}
    page = await adapter.runs(cursor)
    assert not page.complete
    seen, _ = await whole(adapter, page.cursor)
    assert keys <= set(seen) | {r.key for r in page.runs}
    await adapter.close()


async def test_a_run_that_nobody_saw_is_found_after_its_tick(large: DataikuLike) -> None:
    """It began and ended between two polls. Its schedule says when to look, before its turn comes in 2,000."""
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    large.scenarios[("P44", "s39")].triggers[0]["params"] = {"frequency": "Hourly", "minute": 0, "timezone": "UTC"}
    await adapter.history("dss:P44.s39")  # also reads its settings
    seat = adapter._board.seats[("P44", "s39")]
    seat.looked, seat.looked_ms = 0, large.now()
    large.skew_s = 3_900
    run = large.add_run("P44", "s39", outcome="SUCCESS", ran_s=2)
    seen, _ = await whole(adapter, cursor)
    assert f"dss:P44.s39/{run.id}" in seen
    await adapter.close()


async def test_all_2000_are_looked_at_in_turn(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    for project in range(3, PROJECTS):  # a small instance: what nobody says anything of comes in its turn
        for s in range(EACH):
            large.scenarios.pop((f"P{project:02d}", f"s{s:02d}"))
        large.projects.pop(f"P{project:02d}")
    await adapter.pipelines()
    run = large.add_run("P01", "s20", outcome="SUCCESS", ran_s=2)
    for _ in range(4 * 3 * EACH):
        seen, cursor = await whole(adapter, cursor)
        if f"dss:P01.s20/{run.id}" in seen:
            break
    else:
        raise AssertionError("its turn never came")
    await adapter.close()


async def test_history_is_one_request_and_once_one_for_the_settings(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large))
    await adapter.pipelines()
    large.add_run("P31", "s11", outcome="SUCCESS")
    large.add_run("P31", "s11")
    before = len(large.requests)
    (run,) = await adapter.history("dss:P31.s11")
    assert (run.backfilled, run.state) == (True, State.SUCCESS)
    assert len(large.requests) - before == 2
    await adapter.history("dss:P31.s11")
    assert len(large.requests) - before == 3
    await adapter.close()


# --- what changes costs what it must ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 30])
async def test_what_began_and_ended_costs_a_request_each_and_is_told_at_once(large: DataikuLike, count: int) -> None:
    """DSS tells an outcome for one scenario at a time. So this is the bound: what runs and a list in turn, and one for each."""
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    began = [large.add_run(f"P{n:02d}", "s20") for n in range(count)]
    keys = {f"dss:P{n:02d}.s20/{run.id}" for n, run in enumerate(began)}
    for state in (State.RUNNING, State.SUCCESS):
        for run in began if state is State.SUCCESS else ():
            large.end_run(run)
        before = len(large.requests)
        seen, cursor = await whole(adapter, cursor)
        assert {k for k, r in seen.items() if r.state is state} >= keys
        assert len(large.requests) - before <= 2 + count
    before = len(large.requests)
    await whole(adapter, cursor)
    assert len(large.requests) - before <= 3, "and nothing is left of it"
    await adapter.close()


async def test_a_lesser_key_pays_as_much_for_what_it_notices(lesser: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(lesser))
    _, cursor = await first_fill(lesser, adapter)
    keys = {f"dss:P31.s{n:02d}/{lesser.add_run('P31', f's{n:02d}').id}" for n in range(10, 22)}
    for _ in range(PROJECTS // (FEW - 1)):
        before = len(lesser.requests)
        seen, cursor = await whole(adapter, cursor)
        noticed = keys & set(seen)
        assert len(lesser.requests) - before <= max(4, 3 + len(noticed))
        if noticed:
            break
    assert noticed == keys, "all of a project at once"
    await adapter.close()


async def test_what_one_call_left_over_the_next_carries_on_with_alone(large: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(large, options={"builds": ["P01.sales"]}))
    await adapter.pipelines()
    _, cursor = await whole(adapter, None)
    for n in range(45):
        large.add_run(f"P{n:02d}", "s20")
    told: list[int] = []
    while True:
        before = len(large.requests)
        page = await adapter.runs(cursor)
        told.append(len(large.requests) - before)
        cursor = page.cursor
        if page.complete:
            break
        assert len(told) < 9
    assert told == [1 + 1 + 1 + 20, 20, 5], "futures, a list, the jobs, and then nothing but what is left over"
    await adapter.close()


async def test_what_was_left_over_long_ago_is_no_reason_not_to_ask_what_runs(
    large: DataikuLike, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the budget of the source was spent, the next call comes a minute later."""
    adapter = DataikuAdapter(settings(large))
    _, cursor = await first_fill(large, adapter)
    early = [large.add_run(f"P{n:02d}", "s20") for n in range(25)]
    page = await adapter.runs(cursor)
    assert not page.complete
    monkeypatch.setattr("adapters.dataiku.adapter.AT_ONCE_S", -1.0)
    late = large.add_run("P49", "s39")
    large.end_run(early[0], "FAILED")
    page = await adapter.runs(page.cursor)
    told = {r.key: r.state for r in page.runs}
    assert page.complete
    assert told[f"dss:P49.s39/{late.id}"] is State.RUNNING
    assert told[f"dss:P00.s20/{early[0].id}"] is State.FAILED
    assert sum(state is State.RUNNING for state in told.values()) == 24 + 1 + 1, "all that runs is named"
    await adapter.close()


# --- more projects than the first look may ask for ----------------------------------------------------------------------

MANY_PROJECTS = 200


@pytest.fixture(params=["an administrator's key", "a lesser key"])
def wide(request: pytest.FixtureRequest) -> Iterator[DataikuLike]:
    admin = request.param == "an administrator's key"
    with DataikuLike(ApiKey("dkuaps-global", "k", "global", admin=admin)) as server:
        for n in range(2_000):
            server.add_scenario(f"Q{n % MANY_PROJECTS:03d}", f"s{n // MANY_PROJECTS}")
        yield server
        assert server.refused == []


async def test_the_first_look_at_many_projects_is_spread_over_polls(wide: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(wide))
    await adapter.probe()
    listing = await adapter.pipelines()
    _, cursor = await whole(adapter, None)
    assert len(wide.requests) <= 60
    assert len(listing.items) >= 400
    assert not listing.complete, "absence proves nothing yet"
    said = "not all of 200 projects have been read yet: they take turns"
    listings, complete = 1, False
    while not complete:
        assert said in adapter.notes
        for _ in range(A_LISTING):
            before = len(wide.requests)
            _, cursor = await whole(adapter, cursor)
            assert len(wide.requests) - before <= 4, "a poll costs what it always may"
        before = len(wide.requests)
        listing = await adapter.pipelines()
        listings += 1
        assert len(wide.requests) - before <= 22, "twenty lists, the projects, the settings of one scenario"
        complete = listing.complete
    assert listings <= 6
    assert {p.key for p in listing.items} == {f"dss:{p}.{s}" for p, s in wide.scenarios}
    assert said not in adapter.notes
    await adapter.close()


async def test_what_runs_in_a_project_never_read_comes_first() -> None:
    with DataikuLike() as like:
        for n in range(MANY_PROJECTS):
            like.add_scenario(f"Q{n:03d}", "daily")
        adapter = DataikuAdapter(settings(like))
        await adapter.probe()
        await adapter.pipelines()
        page = await adapter.runs(None)
        run = like.add_run("Q199", "daily")
        before = len(like.requests)
        page = await adapter.runs(page.cursor)
        assert f"dss:Q199.daily/{run.id}" in {r.key for r in page.runs if r.state is State.RUNNING}
        assert len(like.requests) - before <= 5, "what runs, three lists, and this one"
        assert adapter._board.sees_all, "no list was missing anything"
        await adapter.close()


async def test_a_first_look_that_was_broken_off_goes_on(wide: DataikuLike) -> None:
    adapter = DataikuAdapter(settings(wide))
    wide.allow = 30
    with pytest.raises(RateLimited):
        await adapter.pipelines()
    wide.allow = None
    before = len(wide.requests)
    await adapter.pipelines()
    assert len(wide.requests) - before <= 60
    listed = [r.path for r in wide.requests if r.path.endswith("/scenarios/") and r.status == 200]
    assert len(listed) == len(set(listed)), "what was read is not read again"
    await adapter.close()
