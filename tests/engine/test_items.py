"""What a source has beside runs, through the whole engine: asked now and then, kept when it cannot be asked, told when it is dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.model import AlertState, Health, State
from engine.store.rows import Standing
from tests.engine.scenario import MINUTE, SECOND, Scenario

TOML = """
[[source]]
name = "af"
kind = "airflow"
url = "{url}"
environment = "prod"
poll = "10s"
requests = "600/min"
auth = { user = "ops", password = { file = "secret" } }

[[contact]]
name = "ana"
url = { file = "ana.url" }
[[route]]
match = "*"
to = ["ana"]
"""


def night(folder: Path, start: str = "2026-11-20 05:10") -> Scenario:
    (folder / "secret").write_text("pa55-of-the-test")
    (folder / "secret").chmod(0o600)
    (folder / "ana.url").write_text("json://127.0.0.1:9/")
    (folder / "ana.url").chmod(0o600)
    return Scenario(folder, start, TOML)


def asked(s: Scenario, end: str) -> int:
    return sum(r.path.endswith(end) for r in s.server.requests)


async def walk(s: Scenario, seconds: int, every: int = 10) -> None:
    for _ in range(seconds // every):
        await s.step(every * SECOND)


async def test_each_part_is_asked_in_its_own_rhythm_and_writes_only_what_changed(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily")
        s.server.add_import_error("broken.py", "Traceback (most recent call last):\nKeyError: 'x'")
        s.server.add_asset("orders", producers=("daily",), event=s.server.now())
        s.begin()
        await s.step()
        assert {(i.kind, i.name) for i in s.reader.items("af")} >= {
            ("component", "scheduler"),
            ("pool", "default_pool"),
            ("import-error", "broken.py"),
        }
        assert [a.name for a in s.reader.assets("af")] == ["orders"]
        assert {(p.part, p.why) for p in s.reader.parts("af")} == {
            ("items", None),
            ("assets", None),
            ("operations", None),
        }
        first = {end: asked(s, end) for end in ("/pools", "/assets")}
        assert first == {"/pools": 1, "/assets": 1}
        moved = s.reader.topics()["item"]
        changed = {i.name: i.changed for i in s.reader.items("af")}
        await walk(s, 300)
        assert asked(s, "/pools") == 6, "once a minute"
        assert asked(s, "/assets") == 2, "every five minutes"
        again = {i.name: i for i in s.reader.items("af")}
        assert again["default_pool"].changed == changed["default_pool"], "the same pool is not written again"
        assert again["broken.py"].changed == changed["broken.py"]
        assert again["default_pool"].seen == s.clock.at
        assert s.reader.topics()["item"] <= moved + 5, "only heartbeats moved"


async def test_a_silent_scheduler_is_a_trouble_of_its_source_and_one_alert(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily")
        s.begin()
        await s.until("05:12", 30 * SECOND)
        assert s.reader.sources()[0].trouble is None
        assert s.alerts() == []
        began = s.clock.at
        while s.clock.at < began + 5 * MINUTE:
            s.server.beat_age_s["scheduler"] = (s.clock.at + 30 * SECOND - began) / 1000
            await s.step(30 * SECOND)
        (row,) = s.reader.sources()
        assert row.health is Health.FRESH, "it answers, and what it says is true"
        assert row.trouble == "scheduler silent: nothing new starts"
        assert row.trouble_since is not None
        assert abs(row.trouble_since - began) < 2 * SECOND
        (alert,) = s.alerts()
        assert (alert.rule, alert.key, alert.state) == ("source-part", "af", AlertState.FIRING)
        assert alert.title == "af scheduler silent since 05:12: nothing new starts"
        assert len(s.told(alert)) == 1, "said once, however long it lasts"
        s.server.beat_age_s.clear()
        await walk(s, 120, 30)
        assert s.reader.sources()[0].trouble is None
        assert s.alerts() == []
        await walk(s, 60, 30)
        assert len(s.reader.alerts(open_only=False)) == 1


async def test_what_cannot_be_asked_resolves_nothing(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.begin()
        s.server.beat_age_s["scheduler"] = 3_600
        await walk(s, 180, 30)
        assert [a.state for a in s.alerts("source-part")] == [AlertState.FIRING]
        s.server.fault_on = lambda method, path: path.endswith(("/pools", "/monitor/health"))
        s.server.fault = "500"
        await walk(s, 300, 30)
        assert [a.state for a in s.alerts("source-part")] == [AlertState.FIRING]
        assert s.reader.sources()[0].trouble is not None


async def test_a_part_that_is_forbidden_or_broken_is_a_reason_there_and_never_a_bad_source(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily")
        s.server.add_asset("orders")
        s.begin()
        await s.step()
        seen = s.clock.at
        s.server.forbid = lambda method, path: path.endswith(("/assets", "/pools"))
        await walk(s, 360, 20)
        (row,) = s.reader.sources()
        assert (row.health, row.failures) == (Health.FRESH, 0)
        parts = {p.part: p for p in s.reader.parts("af")}
        assert parts["assets"].why is not None
        assert "403" in parts["assets"].why
        assert parts["assets"].seen == seen
        assert [a.name for a in s.reader.assets("af")] == ["orders"], "what was known stays, with its age"
        (pool,) = [i for i in s.reader.items("af") if i.kind == "pool"]
        assert (pool.name, pool.standing) == ("", Standing.WARNING)
        before = asked(s, "/assets")
        await walk(s, 500, 20)
        assert asked(s, "/assets") <= before + 1, "what is forbidden is not asked for again and again"
        s.server.forbid = lambda method, path: False
        s.engine.poll_soon("af")
        await s.step(SECOND)
        assert {p.why for p in s.reader.parts("af")} == {None}


async def test_a_part_that_fails_again_and_again_is_asked_ever_later(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.begin()
        await s.step()
        s.server.fault_on = lambda method, path: path.endswith("/pools")
        s.server.fault = "500"
        before = asked(s, "/pools")
        await walk(s, 3600, 20)
        rhythm = asked(s, "/pools") - before
        assert 4 <= rhythm <= 12, "after 1, 2, 4, 8, then every 10 minutes"


async def test_a_listing_that_hangs_delays_no_run(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily")
        s.begin()
        await s.step()
        s.server.fault_on = lambda method, path: path.endswith("/pools")
        s.server.fault = "reset"
        s.server.add_run("daily", "r1")
        await walk(s, 120)
        assert [r.key for r in s.reader.runs()] == ["af:daily/r1"]
        assert s.reader.sources()[0].health is Health.FRESH
        (items,) = [p for p in s.reader.parts("af") if p.part == "items"]
        assert "closed the connection" in (items.why or "")
        assert not s.engine.pollers["af"]._lock.locked()


async def test_nothing_beside_runs_is_asked_where_the_budget_is_needed(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s._toml = TOML.replace('requests = "600/min"', 'requests = "12/min"')
        s.begin()
        await walk(s, 300)
        assert s.reader.sources()[0].health is Health.FRESH
        assert asked(s, "/dags") <= 6
        spent = [p.budget.requests for p in s.engine.pollers.values()]
        assert spent[0] <= 24, "one listing may go over, the next waits"


async def test_a_backfill_is_followed_closely_while_it_runs(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily", tasks=("only",))
        s.begin()
        await s.step()
        assert s.reader.operations() == []
        await s.engine.ctx.adapters["af"].send(await s.engine.ctx.adapters["af"].prepare(_backfill()))
        await walk(s, 70)
        (one,) = s.reader.operations(active_only=True)
        assert (one.pipeline, one.name, one.state, one.planned, one.done) == ("af:daily", "daily", State.RUNNING, 3, 0)
        for _ in range(12):
            s.server.tick()
            await s.step(10 * SECOND)
        (one,) = s.reader.operations()
        assert (one.state, one.done, one.active) == (State.SUCCESS, 3, False)
        assert s.reader.operations(active_only=True) == []


async def test_a_backfill_that_ended_while_no_engine_ran_is_told(tmp_path: Path) -> None:
    async with night(tmp_path) as s:
        s.server.add_dag("daily", tasks=("only",))
        s.begin()
        await s.engine.ctx.adapters["af"].send(await s.engine.ctx.adapters["af"].prepare(_backfill()))
        await s.step()
        assert [o.state for o in s.reader.operations()] == [State.RUNNING]
        for poller in s.engine.pollers.values():
            await poller.close()
        for _ in range(20):
            s.server.tick()
        s.restart()
        await s.step(10 * SECOND)
        assert [(o.state, o.done) for o in s.reader.operations()] == [(State.SUCCESS, 3)]


def _backfill():
    from adapters.base import Action
    from adapters.model import Verb

    params = {"from": "2026-11-16", "to": "2026-11-18"}
    return Action(verb=Verb.BACKFILL, key="af:daily", client_id="c", params=params)


@pytest.mark.parametrize("watch", [{"operations": True}, {"source": "af"}])
async def test_a_screen_that_looks_has_operations_asked_every_ten_seconds(
    tmp_path: Path, watch: dict[str, object]
) -> None:
    async with night(tmp_path) as s:
        s.begin()
        await s.step()
        before = sum("run_type" in r.query for r in s.server.requests)
        s.engine.watches = lambda: [watch]  # type: ignore[method-assign]
        s.engine.pollers["af"].parts._watches = s.engine.watches
        await walk(s, 30)
        assert sum("run_type" in r.query for r in s.server.requests) == before + 3


async def test_what_our_cancel_left_failed_is_stopped_by_us_and_opens_no_alert(tmp_path: Path) -> None:
    from tests.actions.conftest import ME, REASON

    async with night(tmp_path) as s:
        s._toml = TOML.replace('environment = "prod"', 'environment = "prod"\nprotected = false')
        s.server.add_dag("daily", tasks=("only",))
        s.begin()
        await s.step()
        adapter = s.engine.ctx.adapters["af"]
        await adapter.send(await adapter.prepare(_backfill()))
        await s.step(10 * SECOND)
        plan = await s.engine.actions.plan({"verb": "backfill-cancel", "key": "af:daily"}, ME)
        assert plan["blocked"] is None, plan["blocked"]
        body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
        await s.engine.actions.act(body, ME)
        await walk(s, 60)
        runs = s.reader.runs()
        assert {r.state for r in runs} == {State.STOPPED}
        assert len(runs) == 3
        detail = s.reader.run(runs[0].key)
        assert detail is not None
        assert detail.stopped_by
        assert s.reader.alerts(open_only=False) == []
        assert [o.state for o in s.reader.operations()] == [State.STOPPED]


async def test_a_failed_run_that_somebody_marks_a_success_ends_its_alert(tmp_path: Path) -> None:
    from tests.actions.conftest import ME, REASON

    async with night(tmp_path) as s:
        s._toml = TOML.replace('environment = "prod"', 'environment = "prod"\nprotected = false')
        s.server.add_dag("daily", tasks=("only",))
        s.begin()
        await s.step()
        s.server.add_run("daily", "r1")
        await s.step(10 * SECOND)
        s.server.set_run("daily", "r1", "failed")
        await walk(s, 60)
        (alert,) = s.alerts()
        plan = await s.engine.actions.plan({"verb": "mark", "key": "af:daily/r1", "params": {"as": "success"}}, ME)
        assert plan["blocked"] is None, plan["blocked"]
        body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"], "reason": REASON}
        await s.engine.actions.act(body, ME)
        await walk(s, 60)
        assert [r.state for r in s.reader.runs()] == [State.SUCCESS]
        assert s.alerts() == []
        assert s.reader.alerts(open_only=False)[0].id == alert.id
