"""Through the whole engine against a real Airflow 3: what happened is asked of Airflow with the test's own plain client."""

from __future__ import annotations

import contextlib
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState, Mode, State
from engine.ask import Ask
from engine.request import RequestError
from tests.engine.rig import Rig, until
from tests.real.airflow_server import PASSWORD, USER, Airflow3, airflow3, survives
from tests.test_first_hour import record

pytestmark = pytest.mark.real
__all__ = ["airflow3"]  # the fixture
NAME = "real"
REASON = "a test of the whole engine"


@contextlib.contextmanager
def watching(server: Airflow3, folder: Path) -> Iterator[Rig]:
    folder.mkdir()
    (folder / "secret").write_text(PASSWORD)
    (folder / "secret").chmod(0o600)
    toml = (
        f'[[source]]\nname = "{NAME}"\nkind = "airflow"\nurl = "{server.url}"\nenvironment = "test"\nprotected = false\npoll = "5s"\n'
        f'requests = "900/min"\nauth = {{ user = "{USER}", password = {{ file = "secret" }} }}\n'
    )
    with Rig(folder, toml) as rig:
        until(lambda: rig.reader().floor(), 60)
        yield rig


def unpaused(server: Airflow3, dag: str) -> None:
    server.patch(f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})


def state(rig: Rig, key: str) -> State | None:
    detail = rig.reader().run(key)
    return detail.row.state if detail else None


def do(ask: Ask, verb: str, key: str) -> str:
    plan = ask("plan", verb=verb, key=key)
    assert not plan["blocked"], plan["blocked"]
    return str(ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason=REASON, typed="")["action"])


def done(rig: Rig, action: str, seconds: float = 150) -> Any:
    def ended() -> Any:
        row = rig.reader().action(action)
        return row if row is not None and not row.state.in_flight else None

    row = until(ended, seconds)
    assert row.state is ActionState.DONE, (row.state, row.words)
    return row


def instances(server: Airflow3, dag: str, run: str) -> dict[str, dict[str, Any]]:
    found = server.get(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
    return {ti["task_id"]: ti for ti in found}


@survives
async def test_start_follow_stop_no_alert(airflow3: Airflow3, tmp_path: Path) -> None:
    unpaused(airflow3, "wf_slow")
    with watching(airflow3, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as ask:
        done(rig, do(ask, "start", f"{NAME}:wf_slow"))
        key = until(
            lambda: next((r.key for r in rig.runs() if r.name == "wf_slow" and r.state is State.RUNNING), None), 120
        )
        native = key.rpartition("/")[2]
        assert airflow3.run_state("wf_slow", native) == "running"

        def lines() -> int:
            ask("watch", run=key, log=f"{key}#load", attempt=1)
            detail = rig.reader().run(key)
            rows = [r for r in detail.logs if r.step == "load"] if detail else []
            return Path(rows[0].path).read_text().count("tick ") if rows else 0

        first = until(lines, 120, 1.0)
        until(lambda: lines() > first, 60, 1.0)
        done(rig, do(ask, "stop", key))
        assert airflow3.run_state("wf_slow", native) == "failed"  # Airflow's own word for a run that somebody ended
        until(lambda: state(rig, key) is State.STOPPED, 60)
        ask("poll", source=NAME)
        until(lambda: state(rig, key) is State.STOPPED, 30)
        assert [a for a in rig.reader().alerts(open_only=False) if "wf_slow" in a.key] == []


@survives
async def test_clear_failed_and_rerun_from(airflow3: Airflow3, tmp_path: Path) -> None:
    unpaused(airflow3, "wf_fail")
    airflow3.flag.unlink(missing_ok=True)
    with watching(airflow3, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as ask:
        done(rig, do(ask, "start", f"{NAME}:wf_fail"))
        key = until(
            lambda: next((r.key for r in rig.runs() if r.name == "wf_fail" and r.state is State.FAILED), None), 180
        )
        native = key.rpartition("/")[2]
        row = until(
            lambda: next((f for f in rig.reader().floor() if f.name == "wf_fail" and f.error and ":" in f.error), None),
            60,
        )
        assert "the flag file is not there" in (row.error or "")
        assert len([a for a in rig.reader().alerts() if "wf_fail" in a.key]) == 1

        airflow3.flag.touch()
        done(rig, do(ask, "rerun-failed", key))
        until(lambda: state(rig, key) is State.SUCCESS, 180)
        tasks = instances(airflow3, "wf_fail", native)
        assert {t: ti["try_number"] for t, ti in tasks.items()} == {"extract": 1, "load": 2, "report": 1}
        until(lambda: not [a for a in rig.reader().alerts() if "wf_fail" in a.key], 60)
        detail = rig.reader().run(key)
        assert detail is not None
        assert [a.state for a in detail.attempts]
        assert detail.attempts[0].state is State.FAILED

        done(rig, do(ask, "rerun-from", f"{key}#report"))
        until(lambda: instances(airflow3, "wf_fail", native)["report"]["try_number"] == 2, 120, 1.0)
        assert instances(airflow3, "wf_fail", native)["load"]["try_number"] == 2


@survives
async def test_pause_and_unpause(airflow3: Airflow3, tmp_path: Path) -> None:
    unpaused(airflow3, "wf_ok")
    with watching(airflow3, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as ask:
        for verb, paused in (("pause", True), ("resume", False)):
            done(rig, do(ask, verb, f"{NAME}:wf_ok"))
            assert airflow3.get("/api/v2/dags/wf_ok")["is_paused"] is paused
            wanted = Mode.PAUSED if paused else Mode.ACTIVE
            until(lambda wanted=wanted: next(f.mode for f in rig.reader().floor() if f.name == "wf_ok") is wanted, 30)


@survives
async def test_more_than_250_runs_are_listed(airflow3: Airflow3, tmp_path: Path) -> None:
    total = airflow3.get("/api/v2/dags/wf_many/dagRuns?limit=1")["total_entries"]
    assert total > 250
    with watching(airflow3, tmp_path / uuid.uuid4().hex) as rig:
        until(lambda: len(rig.reader().runs(limit=1000, pipeline_key=f"{NAME}:wf_many")) >= total, 90)


@survives
async def test_ten_enters_from_two_terminals_are_one_run(airflow3: Airflow3, tmp_path: Path) -> None:
    unpaused(airflow3, "wf_mapped")  # it has no schedule: no run but ours
    before = airflow3.get("/api/v2/dags/wf_mapped/dagRuns?limit=1")["total_entries"]
    with watching(airflow3, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as one, rig.ask() as two:
        plan = one("plan", verb="start", key=f"{NAME}:wf_mapped")
        answers: list[str] = []

        def enter(ask: Ask) -> None:
            for _ in range(5):
                try:
                    answers.append(str(ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])["action"]))
                except RequestError as error:
                    answers.append(error.code)

        threads = [threading.Thread(target=enter, args=(ask,)) for ask in (one, two)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert len(answers) == 10
        done(rig, next(a for a in answers if len(a) > 20))
        assert airflow3.get("/api/v2/dags/wf_mapped/dagRuns?limit=1")["total_entries"] == before + 1


@survives
async def test_the_first_hour_on_a_real_airflow(airflow3: Airflow3, tmp_path: Path) -> None:
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    hour = record()
    suffix = uuid.uuid4().hex[:6]
    transcript = hour.prepared_airflow(
        [sys.executable, "-P", "-m", "tui.cli"], folder, airflow3, USER, PASSWORD, suffix
    )
    assert len(transcript.parts) >= 5
    assert airflow3.run_state("wf_slow", f"hour-slow-{suffix}") == "failed"
    assert airflow3.run_state("wf_fail", f"hour-fail-{suffix}") == "success"
