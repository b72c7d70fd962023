"""Numbers of the latest run as series."""

from __future__ import annotations

import pytest

from adapters.errors import BadResponse
from adapters.extras import SeriesQuery
from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike


def ask(*texts: str) -> list[SeriesQuery]:
    return [SeriesQuery(f"s{i}", text) for i, text in enumerate(texts)]


async def test_numbers_of_the_latest_run_that_ended_well(like: TalendLike, adapter: TalendAdapter) -> None:
    good = like.add_run("daily", "e1", word="EXECUTION_REJECTED", ago_s=900, lasted_s=90, rows=1_000, rejected=7)
    good.components = [
        {
            "connector_label": "read",
            "component_connection_rows_total": 600,
            "component_execution_duration_milliseconds": 1_500,
        },
        {"connector_label": "read", "component_connection_rows_total": "400"},
        {"connector_label": "write {x}", "component_connection_rows_total": None},
    ]
    like.add_run("daily", "e2", word="EXECUTION_FAILED", ago_s=60, rows=1)
    like.add_run("nightly", "p1", word="EXECUTION_SUCCESS", ago_s=500, lasted_s=60)
    queries = ask(
        "rows task.daily", "rejected task.daily", "duration task.daily", "duration plan.nightly",
        "component-rows task.daily", "component-time task.daily",
    )  # fmt: skip
    found = await adapter.samples(queries)
    assert found.failed == {}
    assert good.finish is not None
    values = {s.series: s.value for s in found.samples}
    assert values["s0"] == 1_000
    assert values["s1"] == 7
    assert values["s2"] == pytest.approx(89.6, abs=0.01)
    assert values["s3"] == pytest.approx(59.6, abs=0.01)
    assert values["s4{component=read}"] == 1_000
    assert values["s5{component=read}"] == 1.5
    assert {s.t for s in found.samples if s.series == "s0"} == {int(good.finish.timestamp() * 1000)}
    began = len(like.requests)
    assert (await adapter.samples(queries)).samples == found.samples
    assert len(like.requests) == began, "between two runs it costs nothing"

    like.add_run("daily", "e3", word="EXECUTION_SUCCESS", ago_s=30, lasted_s=10, rows=5)
    await adapter.runs(None)  # as the polls do, which see it end
    again = await adapter.samples(ask("rows task.daily"))
    assert [s.value for s in again.samples] == [5]


async def test_what_cannot_be_told_is_a_reason(like: TalendLike, adapter: TalendAdapter) -> None:
    like.add_run("daily", "e1", word="EXECUTION_SUCCESS")
    found = await adapter.samples(
        ask("rows task.daily", "rows task.nowhere", "duration plan.nightly", "rows plan.nightly", "sum(x)")
    )
    assert found.samples == []
    assert found.failed["s0"] == "TMC tells no rows of its latest run"
    assert "HTTP 404" in found.failed["s1"]
    assert found.failed["s2"] == "no run of it has ended well"
    assert "name its task" in found.failed["s3"]
    assert "expected one of rows, rejected" in found.failed["s4"]
    like.fault = "500"
    with pytest.raises(BadResponse):
        await adapter.samples(ask("duration task.load"))


@pytest.mark.parametrize("text", ["", "rows", "rows daily", "rows job.daily", "rows task.", "rows task.a b"])
def test_a_wrong_query_is_seen_without_asking(text: str) -> None:
    assert TalendAdapter.wrong_query(text)
    assert TalendAdapter.wrong_query("rows task.5c1111d7a4186a4eafed0587") is None
