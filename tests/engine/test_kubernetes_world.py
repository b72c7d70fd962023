"""Through the whole engine against a server shaped like Kubernetes: what it sees, one alert, one stop that is proved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, State
from tests.engine.rig import Rig, until
from tests.kubernetes.world import SECRETS, key_of
from tests.servers.kubernetes_like import KubernetesLike


@pytest.fixture
def server() -> Iterator[KubernetesLike]:
    with KubernetesLike() as found:
        found.add_cron("daily")
        found.add_node("node-1")
        yield found
        assert found.invented == []
        assert found.orphans == []


def rig(tmp_path: Path, server: KubernetesLike) -> Rig:
    (tmp_path / "token").write_text(server.token)
    (tmp_path / "token").chmod(0o600)
    return Rig(
        tmp_path,
        f"""
[[source]]
name = "k8s"
kind = "kubernetes"
url = "{server.url}"
environment = "prod"
protected = false
poll = "5s"
requests = "600/min"
auth = {{ token = {{ file = "token" }} }}
options = {{ namespaces = ["etl"] }}
""",
    )


def state_of(r: Rig, key: str) -> State | None:
    detail = r.reader().run(key)
    return detail.row.state if detail else None


def poll(r: Rig) -> None:
    with r.ask() as ask:
        ask("poll", source="k8s")


def test_fill_a_failure_is_one_alert_with_its_first_error(tmp_path: Path, server: KubernetesLike) -> None:
    job = server.add_job("daily-1", cron="daily")
    server.add_job("migrate", state="success")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key_of(job)) is State.RUNNING)
        until(lambda: {f.key for f in r.reader().floor()} == {"k8s:etl.cronjob.daily", "k8s:etl.job.migrate"})
        server.say(server.pods_of("daily-1")[0], "ORA-00001: unique constraint violated")
        server.finish("daily-1", state="failed")
        poll(r)
        until(lambda: state_of(r, key_of(job)) is State.FAILED)
        until(lambda: [f for f in r.reader().floor() if (f.error or "").startswith("main: ORA-00001")], 30)
        for _ in range(3):
            poll(r)
        until(lambda: len(r.reader().alerts(open_only=False)) == 1)
        assert all(s.health is Health.FRESH for s in r.reader().sources())


def test_a_stop_is_planned_sent_once_and_proved(tmp_path: Path, server: KubernetesLike) -> None:
    job = server.add_job("daily-1", cron="daily")
    key = key_of(job)
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, key) is State.RUNNING)
        with r.ask() as ask:
            plan = ask("plan", verb="stop", key=key)
            assert not plan["blocked"], plan["blocked"]
            assert "their logs are deleted" in str(plan)
            done = ask(
                "act",
                plan=plan["plan"],
                nonce=plan["nonce"],
                hash=plan["hash"],
                reason="a reason long enough",
                typed="",
            )
        action = str(done["action"])
        until(lambda: any(e.verb == "delete" for e in server.effects), 20)
        assert r.reader().action(action).state is not ActionState.DONE  # type: ignore[union-attr]
        server.tick()  # its pods have ended
        until(lambda: r.reader().action(action).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        poll(r)
        until(lambda: state_of(r, key) is State.STOPPED)
        assert r.reader().alerts(open_only=False) == []
        assert [e.verb for e in server.effects] == ["delete"]


def test_a_start_is_one_job_and_no_secret_is_kept(tmp_path: Path, server: KubernetesLike) -> None:
    with rig(tmp_path, server) as r:
        until(lambda: any(f.key == "k8s:etl.cronjob.daily" for f in r.reader().floor()))
        with r.ask() as ask:
            plan = ask("plan", verb="start", key="k8s:etl.cronjob.daily")
            assert not [s for s in SECRETS if s in str(plan)]
            done = ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])
        until(lambda: len(server.effects) == 1, 20)
        server.tick()
        until(lambda: r.reader().action(str(done["action"])).state is ActionState.DONE, 30)  # type: ignore[union-attr]
        poll(r)  # a poll between the job and its pod saw it wait
        result = until(lambda: [x for x in r.runs() if "-wf-" in x.key and x.state is not State.QUEUED])
        assert [x.state for x in result] == [State.RUNNING]
        r.stop()
        for file in (tmp_path / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not [s for s in (server.token, *SECRETS) if s.encode() in data], file
