"""The contract that every adapter keeps, as tests. Ours inherit it, a third party's too:

    class TestMine(AdapterContract):
        @pytest.fixture
        def server(self):
            with MyServer() as running:      # anything with the methods of ``adapters.contract_server.Server``
                yield running

It needs no test framework itself: plain asserts, ``unittest.SkipTest`` where a system cannot have such a day. Its tests are
coroutines (pytest-asyncio in auto mode, or any runner that awaits them).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from unittest import SkipTest

from adapters.base import (
    Action,
    Adapter,
    Done,
    NotDone,
    NotSent,
    Prepared,
    Reconciled,
    SendResult,
    Sent,
    Several,
    Unknown,
)
from adapters.contract_server import Fault, MetricsServer, Server
from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.extras import SeriesQuery, SourceItem
from adapters.model import VERBS, KeyOf, Run, State, Verb, parse_key

__all__ = ["AdapterContract", "Fault", "MetricsContract", "MetricsServer", "Server"]

_REFUSALS: Final[dict[Fault, tuple[type[AdapterError], ...]]] = {
    Fault.DOWN: (Unreachable,),
    Fault.HANG: (Unreachable,),
    Fault.UNAUTHORIZED: (AuthFailed,),
    Fault.FORBIDDEN: (Forbidden,),
    Fault.NOT_FOUND: (NotFound, Unsupported),
    Fault.CONFLICT: (Conflict,),
    Fault.RATE_LIMITED: (RateLimited,),
    Fault.RATE_LIMITED_AFTER: (RateLimited,),
    Fault.RATE_LIMITED_DATE: (RateLimited,),
    Fault.SERVER_ERROR: (BadResponse,),
    Fault.HTML: (BadResponse,),
    Fault.TRUNCATED: (BadResponse,),
    Fault.SHAPE: (BadResponse,),
}
_PATIENCE_S: Final = 10.0
MANY: Final = 310


class AdapterContract:
    """Inherit, and give it a fixture ``server``."""

    # --- reading ----------------------------------------------------------------------------------------------------

    async def test_probe_says_what_it_is(self, server: Server) -> None:
        adapter = server.adapter()
        probe = await adapter.probe()
        assert probe.version
        await adapter.close()
        await adapter.close()  # twice does no harm

    async def test_lists_more_than_a_page(self, server: Server) -> None:
        pipelines, runs = server.fill(MANY)
        assert len(pipelines) > 300
        assert len(runs) > 300
        adapter = server.adapter()
        listing = await adapter.pipelines()
        assert listing.complete
        keys = [p.key for p in listing.items]
        assert sorted(keys) == sorted(pipelines), "each pipeline once"
        seen, _ = await _drain(adapter, None)
        assert set(seen) == runs
        assert all(parse_key(k).source == server.source for k in (*keys, *seen))
        await adapter.close()

    async def test_changes_since_a_cursor(self, server: Server) -> None:
        adapter = server.adapter()
        _, cursor = await _drain(adapter, None)
        key = server.change()
        seen, cursor = await _drain(adapter, cursor)
        assert seen[key].state is State.SUCCESS
        assert seen[key].ended is not None
        await adapter.close()
        fresh = server.adapter()  # the cursor survives a restart
        key = server.change()
        seen, _ = await _drain(fresh, cursor)
        assert seen[key].state is State.SUCCESS
        await fresh.close()

    async def test_a_strange_cursor_starts_afresh(self, server: Server) -> None:
        adapter = server.adapter()
        key = server.change()
        seen, _ = await _drain(adapter, "of another version")
        assert key in seen
        await adapter.close()

    async def test_active_only_has_nothing_that_ended(self, server: Server) -> None:
        adapter = server.adapter()
        ended = server.change()
        step, _ = server.growing()
        page = await adapter.runs(None, active_only=True)
        keys = {r.key for r in page.runs}
        assert parse_key(step).run_key in keys
        assert ended not in keys
        assert not any(r.state.terminal for r in page.runs)
        await adapter.close()

    async def test_reads_one_thing_now(self, server: Server) -> None:
        adapter = server.adapter()
        key, step = server.failed()
        run = await adapter.read(key)
        assert isinstance(run, Run)
        assert run.state.bad
        assert (await adapter.read(server.pipeline)).key == server.pipeline
        for missing in (key + "-not-there", server.pipeline + "-not-there"):
            await _raises(server, adapter.read(missing), NotFound)
        steps = await adapter.steps(key)
        assert step in {s.key for s in steps if s.state.bad}
        assert all(s.run == key for s in steps)
        await adapter.close()

    async def test_a_strange_key_is_a_typed_error(self, server: Server) -> None:
        adapter = server.adapter()
        for key in ("", "nonsense", f"{server.source}:", "elsewhere:thing", f"{server.pipeline}/", "a:b/c#"):
            calls: list[Awaitable[Any]] = [adapter.read(key), adapter.steps(key), adapter.log(key, 1, None)]
            calls += [adapter.prepare(Action(verb=v, key=key, client_id="c")) for v in _verbs(adapter)]
            for call in calls:
                await _raises(server, call, NotFound, Unsupported, case=f"key {key!r}")
        await adapter.close()

    async def test_history_is_marked_and_ended(self, server: Server) -> None:
        adapter = server.adapter()
        if not adapter.caps.can("history"):
            raise SkipTest("no history here")
        server.change()
        past = await adapter.history(server.pipeline)
        assert past
        assert all(r.backfilled and r.state.terminal for r in past)
        await adapter.close()

    async def test_what_it_has_beside_runs_is_named_once_and_harmless(self, server: Server) -> None:
        adapter = server.adapter()
        asked = {"items": adapter.items, "assets": adapter.assets, "operations": adapter.operations}
        offered = [what for what in asked if adapter.caps.can(what)]
        for what in asked.keys() - set(offered):
            assert list(await asked[what]()) == [], f"{what} is not offered"
        if not offered:
            raise SkipTest("it has nothing beside runs")
        for what in offered:
            before = server.effects()
            found: Sequence[Any] = await asked[what]()
            names = [(i.kind, i.name) if isinstance(i, SourceItem) else getattr(i, "key", "") or i.id for i in found]
            assert len(set(names)) == len(names), f"{what}: one of them twice"
            for one in found:
                keys = [getattr(one, "pipeline", None), getattr(one, "key", None)]
                keys += [*getattr(one, "producers", ()), *getattr(one, "consumers", ())]
                assert all(parse_key(key).source == server.source for key in keys if key), f"{what}: {one}"
                said = " ".join(str(getattr(one, field, "")) for field in ("name", "words", "uri", "group"))
                assert said.isprintable(), f"{what}: control characters: {said!r}"
                assert getattr(one, "text", "").replace("\n", "").isprintable(), f"{what}: control characters"
                _clean(server, repr(one))
            assert server.effects() == before, f"{what} only reads"
        await adapter.close()

    async def test_follows_a_log(self, server: Server) -> None:
        adapter = server.adapter()
        step, attempt = server.growing()
        server.grow(step, "first line")
        chunk = await adapter.log(step, attempt, None)
        assert b"first line" in chunk.data
        assert not chunk.end
        server.grow(step, "second line")
        more = await adapter.log(step, attempt, chunk.cursor)
        assert b"second line" in more.data
        assert b"first line" not in more.data, "only what is new"
        await adapter.close()

    # --- bad days ---------------------------------------------------------------------------------------------------

    async def test_bad_days_are_typed_errors(self, server: Server) -> None:
        key, step = server.failed()
        hit = 0
        for fault, expected in _REFUSALS.items():
            adapter = server.adapter()
            _, cursor = await _drain(adapter, None)
            if not server.fault(fault):
                await adapter.close()
                continue
            hit += 1
            slow = fault is Fault.HANG
            for name, call in _reads(adapter, server.pipeline, key, step, cursor):
                if slow and name not in ("pipelines", "changes"):
                    continue
                began = time.monotonic()
                await _raises(server, call(), *expected, case=f"{name} when {fault.value}", fault=fault)
                assert time.monotonic() - began < _PATIENCE_S, f"{name} waits too long when {fault.value}"
            server.fault(None)
            seen, _ = await _drain(adapter, cursor)  # and the next poll is fine
            assert isinstance(seen, dict)
            await adapter.close()
        assert hit, "a server of the contract can have at least one bad day"

    async def test_slow_is_not_down(self, server: Server) -> None:
        _begin(server, Fault.SLOW)
        adapter = server.adapter()
        assert server.pipeline in {p.key for p in (await adapter.pipelines()).items}
        await adapter.close()

    async def test_unknown_fields_change_nothing(self, server: Server) -> None:
        adapter = server.adapter()
        key, step = server.failed()
        before = (await _drain(adapter, None))[0], await adapter.steps(key), (await adapter.log(step, 1, None)).data
        _begin(server, Fault.UNKNOWN_FIELDS)
        after = (await _drain(adapter, None))[0], await adapter.steps(key)
        assert after[0].keys() == before[0].keys()
        assert {k: r.state for k, r in after[0].items()} == {k: r.state for k, r in before[0].items()}
        assert [(s.key, s.state) for s in after[1]] == [(s.key, s.state) for s in before[1]]
        await adapter.close()

    async def test_missing_fields_are_never_green(self, server: Server) -> None:
        key, _ = server.failed()
        _begin(server, Fault.MISSING_FIELDS)
        adapter = server.adapter()
        for call in (lambda: _drain_states(adapter), lambda: _step_states(adapter, key)):
            states, error = await _outcome(call())
            if error is not None:
                _harmless(server, error)
            assert isinstance(error, BadResponse) or State.SUCCESS not in (states or ())
        await adapter.close()

    async def test_items_without_names_are_refused(self, server: Server) -> None:
        key, _ = server.failed()
        _begin(server, Fault.MISSING_IDS)
        adapter = server.adapter()
        for call in (adapter.pipelines(), adapter.runs(None), adapter.steps(key)):
            await _raises(server, call, BadResponse)
        await adapter.close()

    async def test_an_unknown_word_is_shown_raw(self, server: Server) -> None:
        key, _ = server.failed()
        _begin(server, Fault.UNKNOWN_STATE)
        adapter = server.adapter()
        seen, _ = await _drain(adapter, None)
        assert seen
        for run in seen.values():
            assert run.native.endswith("?"), f"{run.native!r} is not marked as unknown"
            assert run.state is (State.WARNING if run.ended is not None else State.RUNNING)
        for step in await adapter.steps(key):
            assert step.native.endswith("?")
            assert step.state in (State.WARNING, State.RUNNING)
        await adapter.close()

    async def test_half_a_list_is_no_list(self, server: Server) -> None:
        adapter = server.adapter()
        _, cursor = await _drain(adapter, None)
        _, runs = server.fill(MANY)
        _begin(server, Fault.PAGE_TWO)
        listing, error = await _outcome(adapter.pipelines())
        if error is not None:
            _harmless(server, error)
        assert listing is None or not listing.complete, "absence from this listing would prove nothing"
        await _raises(server, _drain(adapter, cursor), BadResponse, Unreachable)
        server.fault(None)
        seen, _ = await _drain(adapter, cursor)
        assert len(set(seen) & runs) >= MANY, "what the failed poll missed comes with the next one"
        await adapter.close()

    async def test_a_wrong_clock_loses_nothing(self, server: Server) -> None:
        for seconds in (3600.0, -3600.0):
            server.skew(seconds)
            adapter = server.adapter()
            await _drain(adapter, None)
            step, _ = server.growing()
            _, cursor = await _drain(adapter, None)
            key = server.change()
            seen, cursor = await _drain(adapter, cursor)
            assert seen[key].state is State.SUCCESS, f"clock off by {seconds} s"
            assert parse_key(step).run_key in seen
            server.skew(seconds - 7200)  # and jumps back while we watch
            key = server.change()
            seen, _ = await _drain(adapter, cursor)
            assert key in seen
            server.skew(0)
            await adapter.close()

    # --- acting -----------------------------------------------------------------------------------------------------

    async def test_verbs_take_effect_once_and_are_proved(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            assert not isinstance(await adapter.reconcile(prepared), Done), f"{verb}: done before it was sent"
            assert server.effects() == before, f"{verb}: reconcile only reads"
            sent = await adapter.send(prepared)
            assert isinstance(sent, Sent), f"{verb}: {sent}"
            assert server.effects() == before + 1, f"{verb}: one effect"
            assert isinstance(await _settled(server, adapter, prepared), Done), verb
            fresh = server.adapter()  # reconciled after a restart, from what was stored
            stored = _stored(prepared)
            assert isinstance(await fresh.reconcile(stored), Done), f"{verb}: not proved after a restart"
            assert server.effects() == before + 1
            await fresh.close()
            await adapter.close()

    async def test_a_plan_changes_nothing_and_shows_no_secret(self, server: Server) -> None:
        before = server.effects()
        for adapter, verb, prepared in await self._prepared(server):
            assert prepared.calls, f"{verb}: nothing to show"
            assert prepared.effect, verb
            assert prepared.proof, verb
            _clean(server, repr(prepared), repr(adapter), repr(adapter.settings))
            await adapter.close()
        assert server.effects() == before

    async def test_what_is_not_offered_says_why(self, server: Server) -> None:
        adapter = server.adapter()
        key, step = server.failed()
        for verb, spec in VERBS.items():
            if not adapter.caps.can(verb):
                assert adapter.caps.why(verb)
                of = {KeyOf.PIPELINE: server.pipeline, KeyOf.RUN: key, KeyOf.STEP: step}[spec.of]
                await _raises(server, adapter.prepare(Action(verb=verb, key=of, client_id="c")), Unsupported)
        await adapter.close()

    async def test_an_answer_lost_is_unknown_and_found_out(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            _begin(server, Fault.LOST_ANSWER)
            sent = await adapter.send(prepared)
            assert isinstance(sent, Unknown), f"{verb}: {sent}"
            _clean(server, sent.words)
            server.fault(None)
            assert isinstance(await _settled(server, adapter, prepared), Done), verb
            assert server.effects() == before + 1, f"{verb}: a second effect"
            if prepared.idempotent:  # where a person sends it again it stays one
                assert not isinstance(await adapter.send(prepared), Unknown)
                distinct = server.effects() - before
                assert verb is not Verb.START or distinct == 1, f"{verb}: {distinct} effects"
            await adapter.close()

    async def test_yes_without_effect_is_never_done(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            _begin(server, Fault.DOES_NOTHING)
            await adapter.send(prepared)
            server.settle()
            for _ in range(3):
                found = await adapter.reconcile(prepared)
                assert isinstance(found, NotDone), f"{verb}: {found}"
                _clean(server, found.words)
            assert server.effects() == before
            server.fault(None)
            await adapter.close()

    async def test_what_never_left_is_not_sent(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            _begin(server, Fault.DOWN)
            sent = await adapter.send(prepared)
            assert isinstance(sent, NotSent), f"{verb}: {sent}"
            _clean(server, sent.words)
            server.fault(None)
            assert server.effects() == before
            assert not isinstance(await adapter.reconcile(prepared), (Done, Several)), verb
            await adapter.close()

    async def test_bad_days_of_an_action_are_results(self, server: Server) -> None:
        """``send`` returns; it never raises, never claims what it does not know."""
        unknown = (Fault.HANG, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED, Fault.SHAPE)
        refused = (Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND, Fault.RATE_LIMITED, Fault.RATE_LIMITED_AFTER)
        for fault in (*unknown, *refused):
            for adapter, verb, prepared in (await self._prepared(server))[: 1 if fault is Fault.HANG else None]:
                if server.fault(fault):
                    sent: SendResult = await adapter.send(prepared)
                    server.fault(None)
                    want = NotSent if fault in refused else (Unknown, NotSent)
                    assert isinstance(sent, want), f"{verb} when {fault.value}: {sent}"
                    _clean(server, sent.words, repr(sent))
                await adapter.close()

    async def test_planning_on_a_bad_day_is_a_typed_error(self, server: Server) -> None:
        for fault in (Fault.DOWN, Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED):
            adapter = server.adapter()
            for verb in _verbs(adapter):
                key = server.target(verb)
                action = Action(verb=verb, key=key, client_id=f"bad-{verb}", params=_params(server, verb))
                if server.fault(fault):
                    await _raises(server, adapter.prepare(action), *_REFUSALS[fault], case=f"{verb} when {fault.value}")
                    server.fault(None)
            await adapter.close()

    async def _prepared(self, server: Server) -> list[tuple[Adapter, Verb, Prepared]]:
        """Each offered verb, prepared on a target of its own."""
        out: list[tuple[Adapter, Verb, Prepared]] = []
        probe = server.adapter()
        await probe.probe()  # what is offered may narrow once the version is known
        for number, verb in enumerate(_verbs(probe)):
            adapter = server.adapter()
            client_id = f"{int(time.monotonic() * 1e6):x}-{number}"
            key = server.target(verb)
            action = Action(verb=verb, key=key, client_id=client_id, who="ana", params=_params(server, verb))
            out.append((adapter, verb, await adapter.prepare(action)))
        await probe.close()
        return out


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
            await _raises(server, adapter.prepare(action), Unsupported)
        for call in (adapter.read("x:y"), adapter.steps("x:y/z"), adapter.log("x:y/z#s", 1, None)):
            await _raises(server, call, NotFound, Unsupported)
        await adapter.close()
        await adapter.close()

    async def test_each_query_has_its_value_its_name_and_the_servers_time(self, server: MetricsServer) -> None:
        for seconds in (0.0, 3600.0, -3600.0):
            server.skew(seconds)
            adapter = server.adapter()
            queries = [server.measure(f"number {i}", i + 0.5) for i in range(40)]
            before = server.now()
            found = await adapter.samples(queries)
            named = {s.series: s for s in found.samples if not s.series.startswith("host@")}
            assert {n: s.value for n, s in named.items()} == {f"number {i}": i + 0.5 for i in range(40)}
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
            _clean(server, found.failed["bad"])
        before = server.asked()
        await adapter.samples(queries)
        assert server.asked() - before <= 3, "what was refused is not asked at each poll"
        await adapter.close()

    async def test_what_is_no_number_is_no_reading(self, server: MetricsServer) -> None:
        adapter = server.adapter()
        queries = [server.measure("nan", float("nan")), server.measure("inf", float("inf")), server.measure("n", 3.0)]
        found = await adapter.samples(queries)
        assert [s.series for s in found.samples if not s.series.startswith("host@")] == ["n"]
        assert set(found.failed) == {"nan", "inf"}
        await adapter.close()

    async def test_bad_days_are_typed_errors_of_the_source(self, server: MetricsServer) -> None:
        query: SeriesQuery = server.measure("number", 1.0)
        for fault, expected in _REFUSALS.items():
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
                await _raises(server, call(), *expected, case=f"{name} when {fault.value}", fault=fault)
                assert time.monotonic() - began < _PATIENCE_S, f"{name} waits too long when {fault.value}"
            server.fault(None)
            assert (await adapter.samples([query])).samples, "and the next answer is fine"
            _clean(server, repr(adapter), repr(adapter.settings))
            await adapter.close()

    async def test_more_than_is_known_changes_nothing_and_less_is_never_a_number(self, server: MetricsServer) -> None:
        query = server.measure("number", 4.0)
        adapter = server.adapter()
        if server.fault(Fault.UNKNOWN_FIELDS):
            assert [s.value for s in (await adapter.samples([query])).samples if s.series == "number"] == [4.0]
        if server.fault(Fault.MISSING_FIELDS):
            found, error = await _outcome(adapter.samples([query]))
            assert error is not None or not [s for s in found.samples if s.series == "number"]  # type: ignore[union-attr]
        if server.fault(Fault.SLOW):
            assert (await adapter.samples([query])).samples
        server.fault(None)
        await adapter.close()


# --- helpers --------------------------------------------------------------------------------------------------------


def _verbs(adapter: Adapter) -> list[Verb]:
    return [v for v in Verb if adapter.caps.can(v)]


def _params(server: Server, verb: Verb) -> Mapping[str, Any]:
    """What the verb needs beside its key; a server without ``params`` has no verb that needs anything."""
    said = getattr(server, "params", None)
    return {} if said is None else said(verb)


def _begin(server: Server, fault: Fault) -> None:
    if not server.fault(fault):
        raise SkipTest(f"this system cannot have such a day: {fault.value}")


def _reads(
    adapter: Adapter, pipeline: str, run: str, step: str, cursor: str | None
) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    yield "probe", adapter.probe
    yield "pipelines", adapter.pipelines
    yield "changes", lambda: adapter.runs(cursor)
    yield "first runs", lambda: adapter.runs(None)
    yield "read a pipeline", lambda: adapter.read(pipeline)
    yield "read a run", lambda: adapter.read(run)
    yield "steps", lambda: adapter.steps(run)
    yield "log", lambda: adapter.log(step, 1, None)
    if adapter.caps.can("history"):
        yield "history", lambda: adapter.history(pipeline)
    for what, ask in (("items", adapter.items), ("assets", adapter.assets), ("operations", adapter.operations)):
        if adapter.caps.can(what):
            yield what, ask


async def _raises(
    server: Server | MetricsServer, call: Awaitable[Any], *types: type[AdapterError], case: str = "", fault: Fault | None = None
) -> None:
    """It raises one of these, and its text is harmless. Any exception that is no AdapterError ends the test."""
    got, error = await _outcome(asyncio.wait_for(call, 3 * _PATIENCE_S))
    assert error is not None, f"{case}: {got!r}, expected {_named(types)}"
    assert isinstance(error, types), f"{case}: {type(error).__name__}({error.what}), expected {_named(types)}"
    _harmless(server, error)
    if isinstance(error, RateLimited):
        after = error.retry_after
        assert (after is None) == (fault is Fault.RATE_LIMITED), f"{case}: asked to wait {after}"
        assert fault is not Fault.RATE_LIMITED_AFTER or after == 7
        assert fault is not Fault.RATE_LIMITED_DATE or 5 <= (after or 0) <= 12


T = TypeVar("T")


async def _outcome(call: Awaitable[T]) -> tuple[T | None, AdapterError | None]:
    try:
        return await call, None
    except AdapterError as err:
        return None, err


def _named(types: Sequence[type]) -> str:
    return " or ".join(t.__name__ for t in types)


def _harmless(server: Server | MetricsServer, err: AdapterError) -> None:
    """One clause, no secret in it nor in what hangs on it, no control character, no novel."""
    text = f"{err.what} {err.hint}"
    assert err.what.strip(), f"{type(err).__name__} says nothing"
    assert len(err.what) <= 200, f"too long: {err.what}"
    assert text.isprintable(), f"control characters: {text!r}"
    chain: BaseException | None = err
    while chain is not None:
        _clean(server, str(chain), repr(chain), repr(getattr(chain, "__dict__", {})))
        chain = chain.__cause__ or chain.__context__


def _clean(server: Server | MetricsServer, *texts: str) -> None:
    for text in texts:
        for secret in server.secrets():
            assert secret not in text, f"a secret shows: {text.replace(secret, '<SECRET>')[:300]}"


async def _drain(adapter: Adapter, cursor: str | None) -> tuple[dict[str, Run], str | None]:
    """Every page there is. The same run may come twice; the later one counts."""
    seen: dict[str, Run] = {}
    for _ in range(100):
        page = await adapter.runs(cursor)
        assert len({r.key for r in page.runs}) == len(page.runs), "a page has each run once"
        seen |= {r.key: r for r in page.runs}
        cursor = page.cursor
        if page.complete:
            return seen, cursor
    raise AssertionError("100 pages and still not complete")


async def _drain_states(adapter: Adapter) -> set[State]:
    return {r.state for r in (await _drain(adapter, None))[0].values()}


async def _step_states(adapter: Adapter, run: str) -> set[State]:
    return {s.state for s in await adapter.steps(run)}


async def _settled(server: Server, adapter: Adapter, prepared: Prepared) -> Reconciled:
    """As the engine does: ask until it is done, time passing in that world between."""
    found: Reconciled = NotDone("never asked")
    for _ in range(10):
        found = await adapter.reconcile(prepared)
        if isinstance(found, Done):
            return found
        server.settle()
    return found


def _stored(prepared: Prepared) -> Prepared:
    """As it comes back from a store: its memo has been JSON."""
    memo = json.loads(json.dumps(dict(prepared.memo)))
    return Prepared(
        action=prepared.action,
        calls=prepared.calls,
        idempotent=prepared.idempotent,
        effect=prepared.effect,
        proof=prepared.proof,
        memo=memo,
    )
