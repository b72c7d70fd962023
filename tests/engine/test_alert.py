"""The first alert through the whole engine: from what a source says to a message that a receiver wrote down."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import AlertState, State
from tests.alerts.conftest import Receiver
from tests.engine.rig import Rig, until
from tests.engine.test_airflow_world import act, poll, source, state_of
from tests.engine.test_quiet import FAST
from tests.servers.airflow_like import AirflowLike


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load"))
        yield found


def floor(tmp_path: Path, server: AirflowLike, receiver: Receiver, prelude: str = FAST) -> Rig:
    for name, text in (("secret", server.password), ("ana", receiver.url())):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    route = '\n[[contact]]\nname = "ana"\nurl = { file = "ana" }\n[[route]]\nmatch = "*"\nto = ["ana"]\n'
    return Rig(tmp_path, source(server) + route, prelude=prelude)


def end(server: AirflowLike, run: str, state: str) -> None:
    found = server.runs[("daily", run)]
    found.end = found.updated = server.now()
    found.state = state
    if state == "failed":
        server.set_task("daily", run, "load", state="failed", try_number=1, start=server.now(), end=server.now())


def alerts(r: Rig) -> list[tuple[str, AlertState]]:
    return [(a.rule, a.state) for a in r.reader().alerts(open_only=False)]


def ids(receiver: Receiver) -> Counter[str]:
    """How often each message arrived."""
    return Counter(b["message"].rsplit("message ", 1)[1].split()[0] for b in receiver.bodies)


def test_failed_run_one_alert_one_message_resolved_by_the_next_success(
    tmp_path: Path, server: AirflowLike, receiver: Receiver
) -> None:
    server.add_run("daily", "r1", state="running")
    with floor(tmp_path, server, receiver) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        end(server, "r1", "failed")
        until(lambda: receiver.messages, 45)
        for _ in range(3):
            r.polled("af")
        assert len(alerts(r)) == 1
        assert len(receiver.messages) == 1
        assert "daily" in receiver.bodies[0]["title"] + receiver.bodies[0]["message"]
        server.add_run("daily", "r2", state="running")
        until(lambda: state_of(r, "af:daily/r2") is State.RUNNING)
        end(server, "r2", "success")
        until(lambda: len(receiver.messages) == 2, 45)
        assert alerts(r)[0][1] in (AlertState.RESOLVED, AlertState.CLOSED)
        assert len(alerts(r)) == 1
        assert max(ids(receiver).values()) == 1


def test_unreachable_source_one_alert_one_message_resolved_when_it_answers(
    tmp_path: Path, server: AirflowLike, receiver: Receiver
) -> None:
    server.add_run("daily", "r1", state="running")
    with floor(tmp_path, server, receiver) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.fault = "down"
        until(lambda: receiver.messages, 30)
        until(lambda: r.reader().sources()[0].failures >= 4, 30)
        assert len(receiver.messages) == 1
        assert len(alerts(r)) == 1
        assert state_of(r, "af:daily/r1") is State.RUNNING
        server.fault = None
        for _ in range(3):
            poll(r)
            time.sleep(0.2)
        until(lambda: len(receiver.messages) == 2, 30)
        assert len(alerts(r)) == 1


def test_our_own_stop_tells_nobody(tmp_path: Path, server: AirflowLike, receiver: Receiver) -> None:
    server.add_run("daily", "r1", state="running")
    with floor(tmp_path, server, receiver) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        with r.ask() as ask:
            act(ask, "stop", "af:daily/r1")
        until(lambda: state_of(r, "af:daily/r1") is State.STOPPED)
        for _ in range(3):
            r.polled("af")
        time.sleep(4.5)  # as long as an alert waits for a reason before it is told
        assert alerts(r) == []
        assert receiver.messages == []


def test_the_engine_killed_at_random_moments_loses_no_message(
    tmp_path: Path, server: AirflowLike, receiver: Receiver
) -> None:
    seed = random.randrange(1 << 30)
    print(f"\nseed {seed}")
    rng = random.Random(seed)
    prelude = FAST + "import engine.alerts.failed_run as f; f.WAIT_FOR_WHY_MS = 300\n"
    rounds = 6
    with floor(tmp_path, server, receiver, prelude) as r:
        for n in range(rounds):
            server.add_dag(f"dag{n}", tasks=("load",))
            server.add_run(f"dag{n}", "r", state="running")
        until(lambda: len(r.runs()) == rounds)
        for n in range(rounds):
            run = server.runs[(f"dag{n}", "r")]
            run.state, run.end, run.updated = "failed", server.now(), server.now()
            time.sleep(rng.uniform(0.1, 1.6))
            r.kill()
            r.start()
        until(lambda: len({b["title"] for b in receiver.bodies}) == rounds, 40)
        until(lambda: all(d.state not in (0, 1) for d in r.reader().deliveries()), 20)
        assert len(alerts(r)) == rounds
        assert max(ids(receiver).values()) <= 2
        assert len(ids(receiver)) == rounds
