"""The contract of a source that only measures: it has series and no pipelines. Used as ``adapters.contract`` is."""

from __future__ import annotations

import time
from unittest import SkipTest

from adapters.base import (
    Action,
)
from adapters.contract_asked import (
    MANY,
    PATIENCE_S,
    REFUSALS,
    clean,
    outcome,
    raises,
)
from adapters.contract_server import Fault, MetricsServer
from adapters.errors import (
    NotFound,
    Unsupported,
)
from adapters.extras import SeriesQuery
from adapters.model import VERBS


class MetricsContract:
    """For an adapter whose system measures and runs nothing. Inherit, and give it a fixture ``server`` (a ``MetricsServer``)."""

    async def test_it_runs_nothing_and_says_so_with_one_reason(self, server: MetricsServer) -> None:
        adapter = server.adapter()
        assert (await adapter.probe()).version
        listing, page = await adapter.pipelines(), await adapter.runs(None)
        assert (list(listing.items), listing.complete, list(page.runs), page.complete) == ([], True, [], True)
        assert adapter.caps.can("metrics")
        assert len({adapter.caps.why(verb) for verb in VERBS}) == 1, "one reason for all verbs"
        for verb in VERBS:
            assert not adapter.caps.can(verb)
            action = Action(verb=verb, key=f"{server.source}:x/y#z", client_id="c")
            await raises(server, adapter.prepare(action), Unsupported)
        for call in (adapter.read("x:y"), adapter.steps("x:y/z"), adapter.log("x:y/z#s", 1, None)):
            await raises(server, call, NotFound, Unsupported)
        await adapter.close()
        await adapter.close()

    async def test_each_query_has_its_value_its_name_and_the_servers_time(self, server: MetricsServer) -> None:
        for seconds in (0.0, 3600.0, -3600.0):
            server.skew(seconds)
            adapter = server.adapter()
            part = 0.0 if _whole(server) else 0.5
            queries = [server.measure(f"number {i}", i + part) for i in range(40)]
            before = server.now()
            found = await adapter.samples(queries)
            named = {s.series: s for s in found.samples if not s.series.startswith("host@")}
            assert {n: s.value for n, s in named.items()} == {f"number {i}": i + part for i in range(40)}
            assert all(before - 2_000 <= s.t <= server.now() + 2_000 for s in named.values()), "by the server's clock"
            assert not found.failed
            await adapter.close()

    async def test_hosts_are_each_named_once_and_those_that_are_down_too(self, server: MetricsServer) -> None:
        down = server.hosts(MANY)
        if not down:
            raise SkipTest("it knows of no hosts")
        adapter = server.adapter()
        found = await adapter.samples([])
        names = [s.series for s in found.samples]
        assert len(set(names)) == len(names)
        assert {s.series for s in found.samples} == {i.name for i in found.about}
        up = {s.series: s.value for s in found.samples if s.series.endswith(":up")}
        assert len(up) == MANY
        assert sum(value == 0 for value in up.values()) == down
        assert all(name.startswith("host@") and name.isprintable() for name in names)
        await adapter.close()

    async def test_many_queries_cost_few_requests(self, server: MetricsServer) -> None:
        server.hosts(MANY)
        adapter = server.adapter()
        queries = [server.measure(f"n{i}", float(i)) for i in range(20)]
        await adapter.probe()
        await adapter.samples(queries)
        before = server.asked()
        await adapter.runs(None)
        await adapter.samples(queries)
        assert server.asked() - before <= 4, "a poll"
        await adapter.close()

    async def test_a_refused_query_is_said_and_spoils_no_other(self, server: MetricsServer) -> None:
        adapter = server.adapter()
        queries = [server.measure("good", 1.0), server.refused("bad"), server.measure("fine", 2.0)]
        for _ in range(3):
            found = await adapter.samples(queries)
            assert {s.series for s in found.samples if not s.series.startswith("host@")} == {"good", "fine"}
            assert set(found.failed) == {"bad"}
            assert 0 < len(found.failed["bad"]) <= 200
            assert found.failed["bad"].isprintable()
            clean(server, found.failed["bad"])
        before = server.asked()
        await adapter.samples(queries)
        assert server.asked() - before <= 3, "what was refused is not asked at each poll"
        await adapter.close()

    async def test_what_is_no_number_is_no_reading(self, server: MetricsServer) -> None:
        if _whole(server):
            raise SkipTest("it counts: it has no value that is no number")
        adapter = server.adapter()
        queries = [server.measure("nan", float("nan")), server.measure("inf", float("inf")), server.measure("n", 3.0)]
        found = await adapter.samples(queries)
        assert [s.series for s in found.samples if not s.series.startswith("host@")] == ["n"]
        assert set(found.failed) == {"nan", "inf"}
        await adapter.close()

    async def test_bad_days_are_typed_errors_of_the_source(self, server: MetricsServer) -> None:
        query: SeriesQuery = server.measure("number", 1.0)
        for fault, expected in REFUSALS.items():
            adapter = server.adapter()
            await adapter.samples([query])
            if not server.fault(fault):
                await adapter.close()
                continue
            for name, call in (
                ("probe", adapter.probe), ("runs", lambda a=adapter: a.runs(None)),
                ("samples", lambda a=adapter: a.samples([query])),
            ):  # fmt: skip
                began = time.monotonic()
                await raises(server, call(), *expected, case=f"{name} when {fault.value}", fault=fault)
                assert time.monotonic() - began < PATIENCE_S, f"{name} waits too long when {fault.value}"
            server.fault(None)
            assert (await adapter.samples([query])).samples, "and the next answer is fine"
            clean(server, repr(adapter), repr(adapter.settings))
            await adapter.close()

    async def test_more_than_is_known_changes_nothing_and_less_is_never_a_number(self, server: MetricsServer) -> None:
        query = server.measure("number", 4.0)
        adapter = server.adapter()
        if server.fault(Fault.UNKNOWN_FIELDS):
            assert [s.value for s in (await adapter.samples([query])).samples if s.series == "number"] == [4.0]
        if server.fault(Fault.MISSING_FIELDS):
            found, error = await outcome(adapter.samples([query]))
            assert error is not None or not [s for s in found.samples if s.series == "number"]  # type: ignore[union-attr]
        if server.fault(Fault.SLOW):
            assert (await adapter.samples([query])).samples
        server.fault(None)
        await adapter.close()


# --- helpers --------------------------------------------------------------------------------------------------------


def _whole(server: MetricsServer) -> bool:
    """A server that only counts has ``whole = True``: it has no fractions, no NaN, no infinity."""
    return bool(getattr(server, "whole", False))
