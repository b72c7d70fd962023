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
import time
from collections.abc import Awaitable, Sequence
from typing import Any
from unittest import SkipTest

from adapters.base import (
    Action,
    Adapter,
    Done,
    NotDone,
    NotSent,
    Prepared,
    SendResult,
    Sent,
    Several,
    Unknown,
)
from adapters.contract_asked import (
    MANY,
    PATIENCE_S,
    REFUSALS,
    begin,
    clean,
    drain,
    drain_states,
    end_of,
    harmless,
    outcome,
    params,
    raises,
    reads,
    settled,
    step_states,
    stored,
    untold,
    verbs,
)
from adapters.contract_metrics import MetricsContract
from adapters.contract_server import Fault, MetricsServer, Server
from adapters.errors import (
    BadResponse,
    NotFound,
    Unreachable,
    Unsupported,
)
from adapters.extras import SourceItem
from adapters.model import VERBS, KeyOf, Run, State, Verb, parse_key

__all__ = ["AdapterContract", "Fault", "MetricsContract", "MetricsServer", "Server"]


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
        seen, _ = await drain(adapter, None)
        assert set(seen) == runs
        assert all(parse_key(k).source == server.source for k in (*keys, *seen))
        await adapter.close()

    async def test_changes_since_a_cursor(self, server: Server) -> None:
        adapter = server.adapter()
        _, cursor = await drain(adapter, None)
        key = server.change()
        seen, cursor = await drain(adapter, cursor)
        assert seen[key].state is end_of(server)
        assert seen[key].ended is not None
        await adapter.close()
        fresh = server.adapter()  # the cursor survives a restart
        key = server.change()
        seen, _ = await drain(fresh, cursor)
        assert seen[key].state is end_of(server)
        await fresh.close()

    async def test_a_strange_cursor_starts_afresh(self, server: Server) -> None:
        adapter = server.adapter()
        key = server.change()
        seen, _ = await drain(adapter, "of another version")
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
            await raises(server, adapter.read(missing), NotFound)
        steps = await adapter.steps(key)
        assert step in {s.key for s in steps if s.state.bad}
        assert all(s.run == key for s in steps)
        await adapter.close()

    async def test_a_strange_key_is_a_typed_error(self, server: Server) -> None:
        adapter = server.adapter()
        for key in ("", "nonsense", f"{server.source}:", "elsewhere:thing", f"{server.pipeline}/", "a:b/c#"):
            calls: list[Awaitable[Any]] = [adapter.read(key), adapter.steps(key), adapter.log(key, 1, None)]
            calls += [adapter.prepare(Action(verb=v, key=key, client_id="c")) for v in verbs(adapter)]
            for call in calls:
                await raises(server, call, NotFound, Unsupported, case=f"key {key!r}")
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
                clean(server, repr(one))
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
        for fault, expected in REFUSALS.items():
            adapter = server.adapter()
            _, cursor = await drain(adapter, None)
            if not server.fault(fault):
                await adapter.close()
                continue
            hit += 1
            slow = fault is Fault.HANG
            for name, call in reads(adapter, server.pipeline, key, step, cursor):
                if slow and name not in ("pipelines", "changes"):
                    continue
                began = time.monotonic()
                await raises(server, call(), *expected, case=f"{name} when {fault.value}", fault=fault)
                assert time.monotonic() - began < PATIENCE_S, f"{name} waits too long when {fault.value}"
            server.fault(None)
            seen, _ = await drain(adapter, cursor)  # and the next poll is fine
            assert isinstance(seen, dict)
            await adapter.close()
        assert hit, "a server of the contract can have at least one bad day"

    async def test_slow_is_not_down(self, server: Server) -> None:
        begin(server, Fault.SLOW)
        adapter = server.adapter()
        assert server.pipeline in {p.key for p in (await adapter.pipelines()).items}
        await adapter.close()

    async def test_unknown_fields_change_nothing(self, server: Server) -> None:
        adapter = server.adapter()
        key, step = server.failed()
        before = (await drain(adapter, None))[0], await adapter.steps(key), (await adapter.log(step, 1, None)).data
        begin(server, Fault.UNKNOWN_FIELDS)
        after = (await drain(adapter, None))[0], await adapter.steps(key)
        assert after[0].keys() == before[0].keys()
        assert {k: r.state for k, r in after[0].items()} == {k: r.state for k, r in before[0].items()}
        assert [(s.key, s.state) for s in after[1]] == [(s.key, s.state) for s in before[1]]
        await adapter.close()

    async def test_missing_fields_are_never_green(self, server: Server) -> None:
        key, _ = server.failed()
        begin(server, Fault.MISSING_FIELDS)
        adapter = server.adapter()
        for call in (lambda: drain_states(adapter), lambda: step_states(adapter, key)):
            states, error = await outcome(call())
            if error is not None:
                harmless(server, error)
            assert isinstance(error, BadResponse) or State.SUCCESS not in (states or ())
        await adapter.close()

    async def test_items_without_names_are_refused(self, server: Server) -> None:
        key, _ = server.failed()
        begin(server, Fault.MISSING_IDS)
        adapter = server.adapter()
        for call in (adapter.pipelines(), adapter.runs(None), adapter.steps(key)):
            await raises(server, call, BadResponse)
        await adapter.close()

    async def test_an_unknown_word_is_shown_raw(self, server: Server) -> None:
        key, _ = server.failed()
        begin(server, Fault.UNKNOWN_STATE)
        adapter = server.adapter()
        seen, _ = await drain(adapter, None)
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
        _, cursor = await drain(adapter, None)
        _, runs = server.fill(MANY)
        begin(server, Fault.PAGE_TWO)
        listing, error = await outcome(adapter.pipelines())
        if error is not None:
            harmless(server, error)
        assert listing is None or not listing.complete, "absence from this listing would prove nothing"
        await raises(server, drain(adapter, cursor), BadResponse, Unreachable)
        server.fault(None)
        seen, _ = await drain(adapter, cursor)
        assert len(set(seen) & runs) >= MANY, "what the failed poll missed comes with the next one"
        await adapter.close()

    async def test_a_wrong_clock_loses_nothing(self, server: Server) -> None:
        for seconds in (3600.0, -3600.0):
            server.skew(seconds)
            adapter = server.adapter()
            await drain(adapter, None)
            step, _ = server.growing()
            _, cursor = await drain(adapter, None)
            key = server.change()
            seen, cursor = await drain(adapter, cursor)
            assert seen[key].state is end_of(server), f"clock off by {seconds} s"
            assert parse_key(step).run_key in seen
            server.skew(seconds - 7200)  # and jumps back while we watch
            key = server.change()
            seen, _ = await drain(adapter, cursor)
            assert key in seen
            server.skew(0)
            await adapter.close()

    async def test_an_older_answer_takes_nothing_back(self, server: Server) -> None:
        """What is asked again from an older cursor, or at the same time, comes after what is newer."""
        adapter = server.adapter()
        _, old = await drain(adapter, None)
        key = server.change()
        seen, new = await drain(adapter, old)
        ended = seen[key].ended
        again, older = await drain(adapter, old)
        assert again[key].state is end_of(server), "the older question finds it as it is"
        assert again[key].ended == ended
        both = await asyncio.gather(adapter.runs(new), adapter.runs(old), adapter.runs(new))
        for page in both:
            assert all(r.state.terminal for r in page.runs if r.key == key), "a run that ended stays ended"
        another = server.change()
        for cursor in (new, older, old, *(page.cursor for page in both if page.complete)):
            later, _ = await drain(adapter, cursor)
            assert later[another].state is end_of(server), "no cursor has gone past what it did not tell"
            assert key not in later or later[key].state.terminal
        run = await adapter.read(key)
        assert isinstance(run, Run)
        assert run.state.terminal
        await adapter.close()

    async def test_a_run_that_shows_late_is_found(self, server: Server) -> None:
        """By the server's clock it ended before the last poll, which did not show it."""
        late_s = float(getattr(server, "late_s", 3.0))
        adapter = server.adapter()
        _, cursor = await drain(adapter, None)
        server.skew(-late_s)
        key = server.change()
        server.skew(0)
        seen, cursor = await drain(adapter, cursor)
        assert seen[key].state is end_of(server)
        step, _ = server.growing()
        server.skew(-late_s)
        key = server.change()
        server.skew(0)
        seen, _ = await drain(adapter, cursor)
        assert seen[key].state is end_of(server), "also while others run"
        assert parse_key(step).run_key in seen
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
            assert isinstance(await settled(server, adapter, prepared), Done), verb
            fresh = server.adapter()  # reconciled after a restart, from what was stored
            kept = stored(prepared, sent.run)
            assert isinstance(await fresh.reconcile(kept), Done), f"{verb}: not proved after a restart"
            assert server.effects() == before + 1
            await fresh.close()
            await adapter.close()

    async def test_a_plan_changes_nothing_and_shows_no_secret(self, server: Server) -> None:
        before = server.effects()
        for adapter, verb, prepared in await self._prepared(server):
            assert prepared.calls, f"{verb}: nothing to show"
            assert prepared.effect, verb
            assert prepared.proof, verb
            clean(server, repr(prepared), repr(adapter), repr(adapter.settings))
            await adapter.close()
        assert server.effects() == before

    async def test_what_is_not_offered_says_why(self, server: Server) -> None:
        adapter = server.adapter()
        key, step = server.failed()
        for verb, spec in VERBS.items():
            if not adapter.caps.can(verb):
                assert adapter.caps.why(verb)
                of = {KeyOf.PIPELINE: server.pipeline, KeyOf.RUN: key, KeyOf.STEP: step}[spec.of]
                await raises(server, adapter.prepare(Action(verb=verb, key=of, client_id="c")), Unsupported)
        await adapter.close()

    async def test_an_answer_lost_is_unknown_and_found_out(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            begin(server, Fault.LOST_ANSWER)
            sent = await adapter.send(prepared)
            assert isinstance(sent, Unknown), f"{verb}: {sent}"
            clean(server, sent.words)
            server.fault(None)
            found = await settled(server, adapter, prepared)
            if untold(server, verb):
                assert isinstance(found, Several), f"{verb}: {found}"
                assert len(found.runs) == 1, f"{verb}: {found}"
                clean(server, found.words)
            else:
                assert isinstance(found, Done), f"{verb}: {found}"
            assert server.effects() == before + 1, f"{verb}: a second effect"
            if prepared.idempotent:  # where a person sends it again it stays one
                assert not isinstance(await adapter.send(prepared), Unknown)
                distinct = server.effects() - before
                assert verb is not Verb.START or distinct == 1, f"{verb}: {distinct} effects"
            await adapter.close()

    async def test_what_somebody_else_does_is_not_taken_for_ours(self, server: Server) -> None:
        """The answer is lost, nothing was done, and somebody else does the same by hand."""
        foreign = getattr(server, "foreign", None)
        if foreign is None:
            raise SkipTest("nobody else acts in this world")
        tried = 0
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            begin(server, Fault.DROPPED)
            sent = await adapter.send(prepared)
            assert isinstance(sent, Unknown), f"{verb}: {sent}"
            server.fault(None)
            assert server.effects() == before, f"{verb}: an effect on the day of none"
            if foreign(verb, prepared.action.key):
                tried += 1
                fresh = server.adapter()
                for _ in range(5):
                    for asked, what in ((adapter, prepared), (fresh, stored(prepared))):
                        found = await asked.reconcile(what)
                        assert not isinstance(found, Done), f"{verb}: {found}"
                        ours = isinstance(found, NotDone) and (found.begun or found.final)
                        assert not ours, f"{verb}: {found}"
                        clean(server, found.words)
                    server.settle()
                await fresh.close()
            await adapter.close()
        if not tried:
            raise SkipTest("whoever does what is offered here, it comes to the same")

    async def test_yes_without_effect_is_never_done(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            begin(server, Fault.DOES_NOTHING)
            await adapter.send(prepared)
            server.settle()
            for _ in range(3):
                found = await adapter.reconcile(prepared)
                assert isinstance(found, NotDone), f"{verb}: {found}"
                clean(server, found.words)
            assert server.effects() == before
            server.fault(None)
            await adapter.close()

    async def test_what_never_left_is_not_sent(self, server: Server) -> None:
        for adapter, verb, prepared in await self._prepared(server):
            before = server.effects()
            begin(server, Fault.DOWN)
            sent = await adapter.send(prepared)
            assert isinstance(sent, NotSent), f"{verb}: {sent}"
            clean(server, sent.words)
            server.fault(None)
            assert server.effects() == before
            assert not isinstance(await adapter.reconcile(prepared), (Done, Several)), verb
            await adapter.close()

    async def test_bad_days_of_an_action_are_results(self, server: Server) -> None:
        """``send`` returns; it never raises, never claims what it does not know."""
        unknown = (Fault.HANG, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.HTML, Fault.TRUNCATED, Fault.SHAPE)
        refused = (
            Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND, Fault.CONFLICT, Fault.RATE_LIMITED,
            Fault.RATE_LIMITED_AFTER,
        )  # fmt: skip
        for fault in (*unknown, *refused):
            for adapter, verb, prepared in (await self._prepared(server))[: 1 if fault is Fault.HANG else None]:
                before = server.effects()
                if server.fault(fault):
                    sent: SendResult = await adapter.send(prepared)
                    server.fault(None)
                    # 409 may also say that what has our id is there already
                    sure = fault in refused and not (fault is Fault.CONFLICT and prepared.idempotent)
                    want = NotSent if sure else (Unknown, NotSent)
                    assert isinstance(sent, want), f"{verb} when {fault.value}: {sent}"
                    clean(server, sent.words, repr(sent))
                    if fault is not Fault.TRUNCATED:  # there it was done before its answer was cut
                        assert server.effects() == before, f"{verb} when {fault.value}: an effect"
                        found = await adapter.reconcile(prepared)
                        assert not isinstance(found, (Done, Several)), f"{verb} when {fault.value}: {found}"
                await adapter.close()

    async def test_planning_on_a_bad_day_is_a_typed_error(self, server: Server) -> None:
        for fault in (Fault.DOWN, Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.SERVER_ERROR, Fault.HTML, Fault.TRUNCATED):
            adapter = server.adapter()
            for verb in verbs(adapter):
                key = server.target(verb)
                action = Action(verb=verb, key=key, client_id=f"bad-{verb}", params=params(server, verb))
                if server.fault(fault):
                    await raises(server, adapter.prepare(action), *REFUSALS[fault], case=f"{verb} when {fault.value}")
                    server.fault(None)
            await adapter.close()

    async def _prepared(self, server: Server) -> list[tuple[Adapter, Verb, Prepared]]:
        """Each offered verb, prepared on a target of its own."""
        out: list[tuple[Adapter, Verb, Prepared]] = []
        probe = server.adapter()
        await probe.probe()  # what is offered may narrow once the version is known
        for number, verb in enumerate(verbs(probe)):
            adapter = server.adapter()
            client_id = f"{int(time.monotonic() * 1e6):x}-{number}"
            key = server.target(verb)
            action = Action(verb=verb, key=key, client_id=client_id, who="ana", params=params(server, verb))
            out.append((adapter, verb, await adapter.prepare(action)))
        await probe.close()
        return out
