"""Through the whole engine against a server shaped like Airflow: what it sees, what it may say, what it does once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, State
from engine.ask import Ask
from engine.request import RequestError
from tests.engine.rig import Rig, until
from tests.servers.airflow_like import AirflowLike


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load", "report"))
        yield found


def source(server: AirflowLike, protected: bool = False) -> str:
    return f"""
[[source]]
name = "af"
kind = "airflow"
url = "{server.url}"
environment = "prod"
protected = {str(protected).lower()}
poll = "5s"
requests = "600/min"
auth = {{ user = "{server.user}", password = {{ file = "secret" }} }}
"""


def rig(tmp_path: Path, server: AirflowLike, **kwargs: bool) -> Rig:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    return Rig(tmp_path, source(server, **kwargs))


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="af")


def act(ask: Ask, verb: str, key: str, reason: str = "a reason long enough", typed: str = "") -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    return str(
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason=reason, typed=typed)["action"]
    )


def test_our_stop_is_no_failure_and_opens_no_alert(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        key = "af:daily/r1"
        until(lambda: state_of(r, key) is State.RUNNING)
        with r.ask() as ask:
            action = act(ask, "stop", key)
        until(lambda: state_of(r, key) is State.STOPPED)
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        detail = r.reader().run(key)
        assert detail is not None
        assert detail.stopped_by
        assert r.reader().alerts(open_only=False) == []


def test_a_failed_run_is_one_alert_with_its_step_and_first_error(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.set_task("daily", "r1", "load", state="failed", try_number=1, start=server.now(), end=server.now())
        server.append_log("daily", "r1", "load", "ORA-00001: unique constraint violated", level="error")
        server.runs[("daily", "r1")].state = "failed"
        server.runs[("daily", "r1")].updated = server.now()
        for _ in range(3):
            poll(r)
        until(lambda: state_of(r, "af:daily/r1") is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if (f.error or "").startswith("load: ORA-00001")], 30)
        for _ in range(5):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)


def test_ten_enters_from_two_terminals_are_one_post(tmp_path: Path, server: AirflowLike) -> None:
    with rig(tmp_path, server) as r:
        until(lambda: any(f.key == "af:daily" for f in r.reader().floor()))
        with r.ask() as first, r.ask() as second:
            plan = first("plan", verb="start", key="af:daily")
            answers: list[str] = []

            def enter(ask: Ask) -> None:
                for _ in range(5):
                    try:
                        answers.append(
                            str(ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])["action"])
                        )
                    except RequestError as error:
                        answers.append(error.code)

            threads = [threading.Thread(target=enter, args=(ask,)) for ask in (first, second)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(30)
        assert len(answers) == 10
        action = next(a for a in answers if len(a) > 20)
        server.autopilot(0.3)
        until(lambda: not r.reader().action(action).state.in_flight, 30)  # type: ignore[union-attr]
        posts = [s for s in server.requests if s.method == "POST" and s.path.endswith("/dagRuns")]
        assert len(posts) == 1


@pytest.mark.parametrize(
    ("fault", "health"),
    [
        ("down", Health.UNREACHABLE),
        ("500", Health.BAD_ANSWER),
        ("html", Health.BAD_ANSWER),
        ("401", Health.AUTH_FAILED),
        ("429-after", Health.RATE_LIMITED),
    ],
)
def test_a_bad_day_keeps_every_state_and_says_what_it_is(
    tmp_path: Path, server: AirflowLike, fault: str, health: Health
) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.fault = fault
        poll(r)
        row = until(lambda: next((s for s in r.reader().sources() if s.health is not Health.FRESH), None), 25)
        assert row.health is health, row
        assert row.detail
        assert server.password not in (row.detail + (row.hint or ""))
        assert state_of(r, "af:daily/r1") is State.RUNNING
        assert row.stale(row.last_try or 0)
        server.fault = None
        poll(r)
        until(lambda: all(s.health is Health.FRESH for s in r.reader().sources()), 30)


def test_a_protected_source_asks_for_arming_and_the_typed_name(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server, protected=True) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        with r.ask() as ask:
            plan = ask("plan", verb="stop", key="af:daily/r1")
            assert plan["needs"]["armed"]
            with pytest.raises(RequestError) as early:
                ask(
                    "act",
                    plan=plan["plan"],
                    nonce=plan["nonce"],
                    hash=plan["hash"],
                    reason="long enough reason",
                    typed="prod/daily",
                )
            assert early.value.code == "refused"
            ask("arm", environment="prod")
            plan = ask("plan", verb="stop", key="af:daily/r1")
            assert not plan["needs"]["armed"]
            assert plan["needs"]["typed"] == "prod/daily"
            with pytest.raises(RequestError) as wrong:
                ask(
                    "act",
                    plan=plan["plan"],
                    nonce=plan["nonce"],
                    hash=plan["hash"],
                    reason="long enough reason",
                    typed="prod/dail",
                )
            assert wrong.value.code == "refused"
            assert not [e for e in server.effects if e.run_id == "r1"]
            done = ask(
                "act",
                plan=plan["plan"],
                nonce=plan["nonce"],
                hash=plan["hash"],
                reason="long enough reason",
                typed="prod/daily",
            )
        until(lambda: r.reader().action(str(done["action"])).state is ActionState.DONE, 30)  # type: ignore[union-attr]


def test_no_secret_is_in_store_or_logs(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.fault = "500"
        poll(r)
        until(lambda: any(s.health is not Health.FRESH for s in r.reader().sources()))
        r.stop()
        secrets = [s for s in server.secrets if len(s) > 8]
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in secrets if s.encode() in data], file
        assert not [s for s in secrets if s in r.log.read_text()]
