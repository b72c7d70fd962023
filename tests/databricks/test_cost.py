"""What a poll of Databricks costs, counted at the server, and that nothing is lost by it: what shows late, what ends all over."""

from __future__ import annotations

import math

import pytest

from adapters.databricks import DatabricksAdapter
from adapters.databricks.reads import RUNS_PAGE
from adapters.databricks.sweep import PAGES_A_CALL, PRESSED, SINGLES
from adapters.model import State
from tests.databricks.reading_parts import drain, key
from tests.servers.databricks_like import DatabricksLike


class Counted:
    """Polls one after the other, and what each cost."""

    def __init__(self, like: DatabricksLike, adapter: DatabricksAdapter) -> None:
        self.like, self.adapter = like, adapter
        self.cursor: str | None = None
        self.cost: list[int] = []
        self.states: dict[str, State] = {}

    async def poll(self) -> int:
        before = len(self.like.requests)
        seen, self.cursor = await drain(self.adapter, self.cursor)
        self.states |= {k: run.state for k, run in seen.items()}
        self.cost.append(len(self.like.requests) - before)
        return self.cost[-1]


@pytest.fixture
async def watched(like: DatabricksLike, adapter: DatabricksAdapter) -> Counted:
    found = Counted(like, adapter)
    await found.poll()
    return found


async def test_thirty_that_begin_and_end_are_four_requests_a_poll(like: DatabricksLike, watched: Counted) -> None:
    job = like.add_job("busy", tasks=("a",))
    for _ in range(10):
        runs = [like.add_run(job) for _ in range(30)]
        assert await watched.poll() <= 4
        assert all(watched.states[key(job, r)] is State.RUNNING for r in runs)
        for run in runs:
            like.end(run)
        assert await watched.poll() <= 4
        assert all(watched.states[key(job, r)] is State.SUCCESS for r in runs), "and told at once"


@pytest.mark.parametrize("active", [24, 100, 200])
async def test_a_poll_costs_the_pages_of_what_is_active_and_of_what_ended(
    like: DatabricksLike, watched: Counted, active: int
) -> None:
    """The bound on the page: Databricks tells 24 runs a request (here 23 on every second page)."""
    job = like.add_job("busy", tasks=("a",))
    runs = [like.add_run(job) for _ in range(active)]
    for _ in range(5):
        pages = math.ceil((active + 1) / (RUNS_PAGE - 0.5))
        assert await watched.poll() <= pages + 3, "those, what began or ended, one of older ones or of pipelines"
        ended, runs = runs[:30], [*runs[30:], *(like.add_run(job) for _ in range(30))][:active]
        for run in ended:
            like.end(run)
        assert await watched.poll() <= pages + 2 + 3
        assert all(watched.states[key(job, r)] is State.SUCCESS for r in ended)


async def test_what_ends_all_over_is_asked_within_a_budget_and_resumed(like: DatabricksLike, watched: Counted) -> None:
    """Runs that began at quite different times, with many others between: no list has two of them on a page."""
    job = like.add_job("long", tasks=("a",))
    runs = [like.add_run(job, ago_s=3 * 86_400 + 1000 * i) for i in range(20)]
    await watched.poll()
    for i in range(20):
        for j in range(30):
            like.add_run(job, "TERMINATED", "SUCCESS", ago_s=3 * 86_400 + 1000 * i + 10 + j)
    for run in runs:
        like.end(run, "FAILED")
    for number in range(1, 4):
        assert await watched.poll() <= SINGLES + 4
        failed = sum(watched.states[key(job, r)] is State.FAILED for r in runs)
        assert failed >= min(20, number * SINGLES)
    assert await watched.poll() == 3, "and then it is quiet again"


@pytest.mark.parametrize("late_s", [20, 90, 290])
async def test_a_run_that_shows_late_and_is_over_is_found(like: DatabricksLike, watched: Counted, late_s: int) -> None:
    job = like.add_job("quick", tasks=("a",))
    run = like.add_run(job, "TERMINATED", "SUCCESS", ago_s=late_s)
    assert await watched.poll() == 3
    assert watched.states[key(job, run)] is State.SUCCESS


async def test_it_is_found_among_many_others_too_a_page_a_poll(like: DatabricksLike, watched: Counted) -> None:
    job = like.add_job("busy", tasks=("a",))
    for i in range(150):
        like.add_run(job, "TERMINATED", "SUCCESS", ago_s=150 - i)
    await watched.poll()
    late = like.add_run(job, "TERMINATED", "FAILED", ago_s=120)
    for _ in range(10):
        await watched.poll()
    assert watched.states[key(job, late)] is State.FAILED
    assert max(watched.cost[2:]) <= 4


async def test_it_is_found_while_thirty_begin_and_end_every_ten_seconds(like: DatabricksLike, watched: Counted) -> None:
    """There is never room for older ones then: what may show late is read in time all the same."""
    job = like.add_job("busy", tasks=("a",))
    late: dict[int, int] = {}
    runs: list[int] = []
    for number in range(80):
        like.skew_s += 10
        for run in runs:
            like.end(run)
        runs = [like.add_run(job, ago_s=9 - 0.3 * i) for i in range(30)]
        if 40 <= number < 50:
            late[like.add_run(job, "TERMINATED", "FAILED", ago_s=90)] = number
        await watched.poll()
    assert all(watched.states[key(job, run)] is State.FAILED for run in late)
    usual = sorted(watched.cost[2:])
    assert usual[len(usual) // 2] <= 5
    assert usual[-1] <= 5 + PRESSED


async def test_more_than_a_call_has_room_for_goes_on_at_once(like: DatabricksLike, watched: Counted) -> None:
    job = like.add_job("busy", tasks=("a",))
    runs = [like.add_run(job, "TERMINATED", "SUCCESS") for _ in range(PAGES_A_CALL * RUNS_PAGE + 100)]
    await watched.poll()
    assert all(key(job, r) in watched.states for r in runs)
    assert await watched.poll() <= 4, "what is known is not listed again"
