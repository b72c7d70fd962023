"""Through the whole engine against a server shaped like Talend Management Console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, State
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.servers.talend_like import TalendLike


@pytest.fixture
def server() -> Iterator[TalendLike]:
    with TalendLike() as found:
        found.add_task("daily", "Load sales")
        found.add_plan("nightly", "Nightly", steps=[["extract"], ["load", "report"]])
        yield found
        assert not found.invented


def rig(tmp_path: Path, server: TalendLike) -> Rig:
    (tmp_path / "secret").write_text(server.client_secret)
    (tmp_path / "secret").chmod(0o600)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "tmc"
kind = "talend"
url = "{server.url}"
environment = "prod"
protected = false
poll = "10s"
requests = "600/min"
auth = {{ client_id = "{server.client_id}", client_secret = {{ file = "secret" }} }}
options = {{ region = "eu", requests_per_second = 100 }}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="tmc")


def act(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    done = ask(
        "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="long enough a reason", typed=""
    )
    return str(done["action"])


def test_fill_a_failed_plan_its_alert_and_its_rerun(tmp_path: Path, server: TalendLike) -> None:
    run = server.add_run("nightly", "p1")
    with rig(tmp_path, server) as r:
        floor = until(lambda: {f.key: f for f in r.reader().floor()} if r.reader().floor() else None)
        assert floor is not None
        assert floor["tmc:task.daily"].name == "Load sales"
        assert floor["tmc:plan.nightly"].name == "Nightly"
        key = "tmc:plan.nightly/p1"
        until(lambda: state_of(r, key) is State.RUNNING)
        failed = server.finish(run.steps[0].tasks[0], "EXECUTION_FAILED", "Job failed")
        server.log(failed, "java.sql.SQLException: ORA-00001: unique constraint violated", "ERROR")
        server.tick()
        poll(r)
        until(lambda: state_of(r, key) is State.FAILED)
        row = until(lambda: next((f for f in r.reader().floor() if f.key == "tmc:plan.nightly" and f.error), None), 30)
        assert row is not None
        assert "ORA-00001" in (row.error or ""), row.error
        task = until(lambda: next((f for f in r.reader().floor() if f.key == "tmc:task.extract" and f.error), None), 30)
        assert task is not None
        until(lambda: "ORA-00001" in next(f.error or "" for f in r.reader().floor() if f.key == "tmc:task.extract"), 30)
        until(lambda: any(a.key == "tmc:plan.nightly" for a in r.reader().alerts(open_only=True)))
        with r.ask() as ask:
            action = act(ask, "rerun-failed", key)
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        assert [e.what for e in server.effects] == ["rerun"]
        made = next(e for e in server.execs.values() if e.body.get("executionPlanId") == "p1")
        until(lambda: state_of(r, f"tmc:plan.nightly/{made.id}") is State.RUNNING, 30)
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in server.secrets if len(s) > 8 and s.encode() in data], file


def test_a_stopped_task_is_no_failure_and_a_bad_day_keeps_states(tmp_path: Path, server: TalendLike) -> None:
    server.add_run("daily", "e1")
    with rig(tmp_path, server) as r:
        key = "tmc:task.daily/e1"
        until(lambda: state_of(r, key) is State.RUNNING)
        server.fault = "403"
        poll(r)
        until(lambda: any(s.health is not Health.FRESH for s in r.reader().sources()), 25)
        assert state_of(r, key) is State.RUNNING
        server.fault = None
        poll(r)
        until(lambda: all(s.health is Health.FRESH for s in r.reader().sources()), 30)
        with r.ask() as ask:
            action = act(ask, "stop", key)
        server.autopilot(0.3)
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        poll(r)
        until(lambda: state_of(r, key) is State.STOPPED, 30)
        assert [a for a in r.reader().alerts(open_only=False) if a.rule != "source-unreachable"] == []
