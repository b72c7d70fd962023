"""Through the whole engine against a server shaped like Databricks: what it sees, what it alerts, what it does once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, Mode, State
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.servers.databricks_like import DatabricksLike


@pytest.fixture
def server() -> Iterator[DatabricksLike]:
    with DatabricksLike() as found:
        yield found
        assert found.invented == []


def rig(tmp_path: Path, server: DatabricksLike, more: str = "") -> Rig:
    (tmp_path / "secret").write_text(server.client_secret)
    (tmp_path / "secret").chmod(0o600)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "db"
kind = "databricks"
url = "{server.url}"
environment = "prod"
protected = false
poll = "5s"
requests = "600/min"
auth = {{ client_id = "{server.client}", client_secret = {{ file = "secret" }} }}
{more}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="db")


def act(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    done = ask(
        "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a reason long enough", typed=""
    )
    return str(done["action"])


def ended(r: Rig, action: str) -> ActionState:
    until(lambda: not r.reader().action(action).state.in_flight, 40)  # type: ignore[union-attr]
    found = r.reader().action(action)
    assert found is not None
    return found.state


def test_a_failed_run_is_one_alert_with_its_task_and_first_error(tmp_path: Path, server: DatabricksLike) -> None:
    job = server.add_job("daily")
    run = server.add_run(job)
    server.add_cluster("shared")
    key = f"db:{job}/{run}"
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        (row,) = [f for f in r.reader().floor() if f.key == f"db:{job}"]
        assert row.name == "daily"
        task = server.runs[run].tasks[1]
        task.logs, task.error = "reading\n", "ORA-00001: unique constraint violated"
        server.end(run, "FAILED", "Task load failed")
        for _ in range(3):
            poll(r)
        until(lambda: state_of(r, key) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if "ORA-00001" in (f.error or "")], 30)
        for _ in range(3):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)


def test_what_is_planned_is_done_once_and_proved(tmp_path: Path, server: DatabricksLike) -> None:
    job = server.add_job("daily", tasks=tuple(f"t{i}" for i in range(60)))
    run = server.add_run(job)
    key = f"db:{job}"
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, f"{key}/{run}") is State.RUNNING)
        server.autopilot(0.3)
        with r.ask() as ask:
            stop = act(ask, "stop", f"{key}/{run}")
            assert ended(r, stop) is ActionState.DONE
            until(lambda: state_of(r, f"{key}/{run}") is State.STOPPED)
            server.fault = "lost-once"
            start = act(ask, "start", key)
            assert ended(r, start) is ActionState.DONE
            pause = act(ask, "pause", key)
            assert ended(r, pause) is ActionState.DONE
            until(lambda: [f for f in r.reader().floor() if f.key == key and f.mode is Mode.PAUSED])
            again = act(ask, "rerun-failed", f"{key}/{run}")
            assert ended(r, again) is ActionState.DONE
        assert [e.what for e in server.effects] == ["cancel", "run-now", "update", "repair"]
        assert server.jobs[job].settings["schedule"]["quartz_cron_expression"] == "0 30 7 * * ?"
        assert r.reader().alerts(open_only=False) == []


def test_a_cluster_is_terminated_started_and_restarted_once_each(tmp_path: Path, server: DatabricksLike) -> None:
    ident = server.add_cluster("shared", last_restarted_time=server.now() - 60_000)
    key = f"db:cluster.{ident}"

    def present() -> str:
        return f"{key}/{server.cluster_of(ident)['last_restarted_time']}"

    first = present()
    with rig(tmp_path, server, "options = { clusters = true }") as r:
        until(lambda: state_of(r, first) is State.RUNNING)
        server.autopilot(0.3)
        with r.ask() as ask:
            server.fault = "lost-once"
            assert ended(r, act(ask, "stop", first)) is ActionState.RECONCILED_DONE, "its answer was lost"
            until(lambda: state_of(r, first) is State.STOPPED)
            assert ended(r, act(ask, "start", key)) is ActionState.DONE
            second = present()
            until(lambda: state_of(r, second) is State.RUNNING)
            assert ended(r, act(ask, "rerun", second)) is ActionState.DONE
            third = present()
            until(lambda: state_of(r, third) is State.RUNNING and state_of(r, second) is State.STOPPED)
        assert len({first, second, third}) == 3
        assert [e.what for e in server.effects] == ["cluster-delete", "cluster-start", "cluster-restart"]
        assert r.reader().alerts(open_only=False) == []


@pytest.mark.parametrize(
    ("fault", "health"),
    [
        ("403-token", Health.AUTH_FAILED),
        ("503-after", Health.RATE_LIMITED),
        ("html", Health.BAD_ANSWER),
        ("down", Health.UNREACHABLE),
    ],
)
def test_a_bad_day_keeps_every_state_and_shows_no_secret(
    tmp_path: Path, server: DatabricksLike, fault: str, health: Health
) -> None:
    job = server.add_job("daily")
    run = server.add_run(job)
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, f"db:{job}/{run}") is State.RUNNING)
        server.fault = fault
        poll(r)
        row = until(lambda: next((s for s in r.reader().sources() if s.health is not Health.FRESH), None), 25)
        assert row.health is health, row
        assert state_of(r, f"db:{job}/{run}") is State.RUNNING
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in server.secrets if s.encode() in data], file
        assert not [s for s in server.secrets if s in r.log.read_text()]
