"""Through the whole engine against a server shaped like Dataiku DSS: what it sees, what it may say, what it does once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, Mode, State
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.servers.dataiku_like import DataikuLike


@pytest.fixture
def server() -> Iterator[DataikuLike]:
    with DataikuLike() as found:
        found.add_scenario("CDM", "daily")
        yield found
        assert found.refused == []


def rig(folder: Path, server: DataikuLike) -> Rig:
    (folder / "secret").write_text(server.key.secret)
    (folder / "secret").chmod(0o600)
    return Rig(
        folder,
        f"""
[[source]]
name = "dss"
kind = "dataiku"
url = "{server.url}"
environment = "prod"
protected = false
poll = "10s"
requests = "600/min"
auth = {{ key = {{ file = "secret" }} }}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="dss")


def act(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    confirmed = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"]}
    return str(ask("act", **confirmed, reason="a reason long enough", typed="prod/CDM.daily")["action"])


def test_a_failed_run_is_one_alert_with_its_step_and_first_error(tmp_path: Path, server: DataikuLike) -> None:
    run = server.add_run("CDM", "daily")
    with rig(tmp_path, server) as r:
        key = f"dss:CDM.daily/{run.id}"
        until(lambda: state_of(r, key) is State.RUNNING)
        run.logs["s_extract"] += "[ERROR] ORA-00001: unique constraint violated\n"
        server.end_run(run, "FAILED")
        poll(r)
        until(lambda: state_of(r, key) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if (f.error or "").startswith("extract: ORA-00001")], 30)
        for _ in range(3):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)


def test_a_start_is_planned_made_once_and_proved(tmp_path: Path, server: DataikuLike) -> None:
    server.autopilot(0.2)
    with rig(tmp_path, server) as r:
        until(lambda: any(f.key == "dss:CDM.daily" for f in r.reader().floor()))
        with r.ask() as ask:
            action = act(ask, "start", "dss:CDM.daily")
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
    assert [e.what for e in server.effects] == ["run"]


def test_our_stop_is_no_failure_and_a_pause_keeps_the_triggers(tmp_path: Path, server: DataikuLike) -> None:
    run = server.add_run("CDM", "daily")
    with rig(tmp_path, server) as r:
        key = f"dss:CDM.daily/{run.id}"
        until(lambda: state_of(r, key) is State.RUNNING)
        with r.ask() as ask:
            stop = act(ask, "stop", key)
        until(lambda: state_of(r, key) is State.STOPPED)
        until(lambda: r.reader().action(stop).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        with r.ask() as ask:
            pause = act(ask, "pause", "dss:CDM.daily")
        until(lambda: r.reader().action(pause).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        until(lambda: [f for f in r.reader().floor() if f.mode is Mode.PAUSED], 30)
        assert r.reader().alerts(open_only=False) == []
    assert len(server.scenarios[("CDM", "daily")].triggers) == 1


def test_an_expired_key_keeps_every_state_and_is_said(tmp_path: Path, server: DataikuLike) -> None:
    run = server.add_run("CDM", "daily")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, f"dss:CDM.daily/{run.id}") is State.RUNNING)
        server.expired = True
        poll(r)
        row = until(lambda: next((s for s in r.reader().sources() if s.health is Health.AUTH_FAILED), None), 25)
        assert "the API key has expired or was revoked" in row.detail
        assert state_of(r, f"dss:CDM.daily/{run.id}") is State.RUNNING
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in server.secrets if s.encode() in data], file
        assert not [s for s in server.secrets if s in r.log.read_text()]
