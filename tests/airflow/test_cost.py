"""What 2,000 pipelines cost an Airflow, counted at the server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from adapters.airflow import AirflowAdapter
from tests.airflow.world import settings
from tests.servers.airflow2_like import Airflow2Like
from tests.servers.airflow_like import AirflowLike

PIPELINES = 2_000
MOVED = 30


@pytest.fixture(params=[AirflowLike, Airflow2Like])
def many(request: pytest.FixtureRequest) -> Iterator[AirflowLike]:
    with request.param() as server:
        for i in range(PIPELINES):
            server.add_dag(f"dag_{i:04d}")
        yield server


def asked(server: AirflowLike) -> list[str]:
    """Of what was asked, all but how to be let in."""
    return [r.path for r in server.requests if "token" not in r.path]


async def test_two_thousand_pipelines_cost_few_requests(many: AirflowLike) -> None:
    earlier = many.now() - timedelta(hours=1)
    for i in range(PIPELINES):
        many.add_run(f"dag_{i:04d}", "first", state="success" if i % 40 else "running", run_after=earlier)
    one = AirflowAdapter(settings(many))
    assert len((await one.pipelines()).items) == PIPELINES
    page = await one.runs(None)
    seen = {r.key for r in page.runs}
    while not page.complete:
        page = await one.runs(page.cursor)
        seen |= {r.key for r in page.runs}
    assert len([k for k in seen if "first" in k]) >= PIPELINES // 40
    assert len(asked(many)) <= 60, "first fill"

    many.requests.clear()
    for i in range(0, MOVED * 40, 40):
        many.set_run(f"dag_{i:04d}", "first", "failed", ended=True)
        many.add_run(f"dag_{i + 1:04d}", "second", state="running")
    found: dict[str, str] = {}
    polls = 0
    while polls == 0 or not page.complete:
        page = await one.runs(page.cursor)
        polls += 1
        found |= {r.key: r.native for r in page.runs}
    assert sum(native == "failed" for native in found.values()) == MOVED
    assert sum("second" in key for key in found) == MOVED
    assert len(asked(many)) <= 4 * polls, asked(many)
    assert polls == 1
    await one.close()
