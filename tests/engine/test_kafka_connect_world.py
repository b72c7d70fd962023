"""Through the whole engine against a server shaped like Kafka Connect: what it sees, one alert, verbs that are proved."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, AlertState, Health, Mode, State
from engine.ask import Ask
from tests.engine.rig import ROOT, Rig, until
from tests.kafka_connect.world import PASSWORD, USER, key_of
from tests.servers.kafka_connect_like import KafkaConnectLike
from tests.servers.kafka_connect_state import SECRET


@pytest.fixture
def server() -> Iterator[KafkaConnectLike]:
    with KafkaConnectLike(user=USER, password=PASSWORD) as found:
        found.state.add("orders")
        found.state.add("shop/returns")
        yield found
        assert found.invented == []


def rig(tmp_path: Path, server: KafkaConnectLike) -> Rig:
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "connect"
kind = "kafka_connect"
url = "{server.at}"
environment = "prod"
protected = false
poll = "5s"
requests = "600/min"
auth = {{ user = "{USER}", password = {{ file = "secret" }} }}
options = {{ rebalance_wait = 0.2 }}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="connect")


def do(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    assert PASSWORD not in str(plan)
    assert SECRET not in str(plan)
    done = ask(
        "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a reason long enough", typed=""
    )
    return str(done["action"])


def settled(r: Rig, server: KafkaConnectLike, action: str, effects: int) -> None:
    """It was sent once, is not done before it is so, and is done after."""
    until(lambda: len(server.state.effects) == effects, 20)
    assert r.reader().action(action).state is not ActionState.DONE  # type: ignore[union-attr]
    for _ in range(3):
        server.state.tick()
    until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
    assert len(server.state.effects) == effects


def test_fill_a_failed_task_is_one_alert_and_is_restarted(tmp_path: Path, server: KafkaConnectLike) -> None:
    key = key_of("orders", 1)
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        assert {f.key for f in r.reader().floor()} == {key_of("orders"), key_of("shop/returns")}
        server.state.fail("orders", 1, "unknown magic byte")
        poll(r)
        until(lambda: state_of(r, key) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if "task-1: org.apache" in (f.error or "")], 30)
        for _ in range(2):
            poll(r)
        alert = until(lambda: r.reader().alerts(open_only=False))
        assert len(alert) == 1
        detail = r.reader().run(key)
        assert detail is not None
        assert {s.step: s.state for s in detail.steps} == {
            "connector": State.RUNNING,
            "task-0": State.RUNNING,
            "task-1": State.FAILED,
        }
        log = next(row for row in detail.logs if row.step == "task-1")
        assert (
            "Caused by: org.apache.kafka.connect.errors.DataException: unknown magic byte" in Path(log.path).read_text()
        )
        with r.ask() as ask:
            settled(r, server, do(ask, "rerun-failed", key), 1)
        poll(r)
        until(lambda: state_of(r, key) is State.RUNNING)
        until(lambda: not r.reader().alerts())
        over = r.reader().alerts(open_only=False)
        assert [a.state for a in over] == [AlertState.RESOLVED], "it runs again: a stream has no better end"
        assert all(s.health is Health.FRESH for s in r.reader().sources())


def test_pause_resume_stop_and_start_are_proved(tmp_path: Path, server: KafkaConnectLike) -> None:
    key = key_of("orders")

    def floor(mode: Mode) -> bool:
        poll(r)
        return next(f.mode for f in r.reader().floor() if f.key == key) is mode

    with rig(tmp_path, server) as r, r.ask() as ask:
        until(lambda: state_of(r, f"{key}/life-1") is State.RUNNING)
        settled(r, server, do(ask, "pause", key), 1)
        until(lambda: state_of(r, f"{key}/life-1") is State.HELD)
        until(lambda: floor(Mode.PAUSED), 20, 0.3)
        settled(r, server, do(ask, "resume", key), 2)
        until(lambda: state_of(r, f"{key}/life-1") is State.RUNNING)
        server.state.rebalances = 2
        settled(r, server, do(ask, "stop", f"{key}/life-1"), 3)
        until(lambda: state_of(r, f"{key}/life-1") is State.HELD)
        settled(r, server, do(ask, "start", key), 4)
        until(lambda: state_of(r, f"{key}/life-2") is State.RUNNING)
        until(lambda: state_of(r, f"{key}/life-1") is State.STOPPED)
        assert r.reader().alerts(open_only=False) == []
        assert [e.verb for e in server.state.effects] == ["pause", "resume", "stop", "resume"]
        del server.state.connectors["shop/returns"]
        poll(r)
        until(lambda: state_of(r, key_of("shop/returns", 1)) is State.STOPPED)
        server.fault = "down"
        poll(r)
        until(lambda: r.reader().sources()[0].health is Health.UNREACHABLE)
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert PASSWORD.encode() not in data, file
                assert SECRET.encode() not in data, file


def test_what_is_failed_when_it_is_first_seen_is_an_alert(tmp_path: Path, server: KafkaConnectLike) -> None:
    """It is no old news: the connector is failed now."""
    server.state.fail("orders", 0, "it broke last week")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key_of("orders", 1)) is State.FAILED)
        alerts = until(lambda: r.reader().alerts())
        assert [a.key for a in alerts] == [key_of("orders")]


def test_on_screen_and_in_logs_nothing_is_said_of_times_that_nobody_knows(
    tmp_path: Path, server: KafkaConnectLike
) -> None:
    def cli(*args: str) -> str:
        return subprocess.run(
            [sys.executable, "-P", "-m", "tui.cli", *args, "--config", str(r.config)],
            capture_output=True, text=True, check=False, cwd=ROOT,
        ).stdout  # fmt: skip

    server.state.fail("orders", 1, "unknown magic byte")
    with rig(tmp_path, server) as r:
        key = key_of("orders", 1)
        until(lambda: state_of(r, key) is State.FAILED)
        until(lambda: r.reader().run(key).logs, 30)  # type: ignore[union-attr]
        assert "unknown magic byte" in cli("logs", key), "the step that failed is found, though nobody knows when"
        for screen in ("floor", "runs"):
            line = next(text for text in cli("show", screen).splitlines() if "shop/returns" in text)
            assert "running" in line
            assert "waits" not in line
            assert "?" in line


def test_an_idle_202_is_never_done(tmp_path: Path, server: KafkaConnectLike) -> None:
    key = key_of("orders")
    with rig(tmp_path, server) as r, r.ask() as ask:
        until(lambda: state_of(r, f"{key}/life-1") is State.RUNNING)
        server.fault = "noop"
        action = do(ask, "pause", key)
        until(lambda: "RUNNING" in (r.reader().action(action).words or ""), 20)  # type: ignore[union-attr]
        assert r.reader().action(action).state is ActionState.VERIFYING  # type: ignore[union-attr]
        assert server.state.effects == []
