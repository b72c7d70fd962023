"""Through the whole engine against a server shaped like SeaTunnel: what it sees, one alert, a hold and a release that are proved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState, Health, State
from engine.ask import Ask
from tests.engine.rig import Rig, until
from tests.seatunnel.world import FILE_SECRET, NAME, key_of, write_config
from tests.servers.seatunnel_like import SeaTunnelLike


@pytest.fixture
def server() -> Iterator[SeaTunnelLike]:
    with SeaTunnelLike(password="pa55-of-the-test") as found:
        yield found
        assert found.invented == []


def rig(tmp_path: Path, server: SeaTunnelLike) -> Rig:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    write_config(tmp_path)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "st"
kind = "seatunnel"
url = "{server.url}"
environment = "prod"
protected = false
poll = "5s"
requests = "600/min"
auth = {{ user = "ops", password = {{ file = "secret" }} }}
options = {{ jobs = {{ "{NAME}" = "orders.json" }} }}

[[series]]
name = "orders read"
source = "st"
query = "read.rows {NAME}"
""",
        prelude="import engine.poll.metrics as m; m.LOOK_S = 0.1",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="st")


def act(ask: Ask, verb: str, key: str) -> tuple[str, dict[str, Any]]:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    done = ask(
        "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="a reason long enough", typed=""
    )
    return str(done["action"]), plan


def test_fill_measure_and_a_failure_is_one_alert(tmp_path: Path, server: SeaTunnelLike) -> None:
    job = server.add(NAME, read=4_000, written=3_000)
    server.add("nightly", "FINISHED")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key_of(job)) is State.RUNNING)
        until(lambda: {f.name for f in r.reader().floor()} == {NAME, "nightly"})
        named = until(
            lambda: next((s for s in r.reader().series("none", named=True) if s.series == "orders read" and s.t), None)
        )
        assert named.value == 4_000.0
        server.end(job, "FAILED", "a.b.C: x\nCaused by: java.sql.SQLException: ORA-00001: unique constraint")
        poll(r)
        until(lambda: state_of(r, key_of(job)) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if "ORA-00001: unique constraint" in (f.error or "")], 30)
        for _ in range(3):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)
        assert all(s.health is Health.FRESH for s in r.reader().sources())


def test_a_hold_and_a_release_are_sent_once_and_proved(tmp_path: Path, server: SeaTunnelLike) -> None:
    job = server.add(NAME)
    key = key_of(job)
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        with r.ask() as ask:
            action, plan = act(ask, "hold", key)
            assert "SeaTunnel has no pause" in str(plan)
            until(lambda: len(server.effects) == 1, 20)
            assert r.reader().action(action).state is not ActionState.DONE  # type: ignore[union-attr]
            server.tick()
            until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
            poll(r)
            until(lambda: state_of(r, key) is State.HELD)
            action, plan = act(ask, "release", key)
            assert FILE_SECRET not in str(plan)
            until(lambda: len(server.effects) == 2, 20)
            server.tick()
            until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        poll(r)
        until(lambda: state_of(r, key) is State.RUNNING)
        assert [e.verb for e in server.effects] == ["stop", "restore"]
        assert server.jobs[job.id].config == (tmp_path / "orders.json").read_text()
        assert r.reader().alerts(open_only=False) == []
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in (*server.secrets, FILE_SECRET) if s.encode() in data], file


def test_a_start_of_a_file_that_never_ran_is_one_job(tmp_path: Path, server: SeaTunnelLike) -> None:
    with rig(tmp_path, server) as r:
        until(lambda: [f for f in r.reader().floor() if f.name == NAME])
        with r.ask() as ask:
            action, _ = act(ask, "start", "st:orders%20cdc")
        until(lambda: len(server.effects) == 1, 20)
        server.tick()
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        (run,) = until(lambda: [x for x in r.runs() if x.name == NAME])
        assert run.key.rpartition("/")[2] == server.effects[0].job
        assert run.state is State.RUNNING
