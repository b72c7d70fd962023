"""The Airflow adapter, and the whole engine, against a real Airflow 2.11.2; what happened is asked of Airflow with the test's own
plain client. One task at a time (SequentialExecutor), so every wait is generous and every run is short."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.airflow import AirflowAdapter
from adapters.base import Action, NotSent, Secret, Sent, SourceSettings
from adapters.errors import Conflict, Forbidden, NotFound
from adapters.model import Mode, State, Trigger, Verb
from tests.engine.rig import Rig, until
from tests.real.airflow2_server import NAMES, PASSWORD, VERSION, Airflow2, airflow2, survives
from tests.real.test_airflow_adapter import _is, act, new_id, started, state
from tests.real.test_airflow_adapter import until as wait_for
from tests.real.test_airflow_engine import do, done
from tests.real.test_airflow_engine import state as shown

__all__ = ["airflow2"]  # the fixture
pytestmark = pytest.mark.real


def adapter_for(server: Airflow2, user: str = "admin", password: str = PASSWORD) -> AirflowAdapter:
    auth: dict[str, str | Secret] = {"user": user, "password": Secret(lambda: password, "env:TEST")}
    return AirflowAdapter(SourceSettings(name="af", kind="airflow", url=server.url, auth=auth, timezone="Europe/Paris"))


@pytest.fixture
async def adapter(airflow2: Airflow2) -> AsyncIterator[AirflowAdapter]:
    one = adapter_for(airflow2)
    yield one
    await one.close()


def tries(server: Airflow2, key: str) -> dict[str, int]:
    dag, _, run = key.partition(":")[2].partition("/")
    return {name: task["try_number"] for name, task in server.tasks(dag, run).items()}


@survives
async def test_probe_and_list(airflow2: Airflow2, adapter: AirflowAdapter) -> None:
    probe = await adapter.probe()
    assert (probe.version, probe.identity) == (VERSION, "admin")
    assert abs((probe.server_time or 0) - time.time() * 1000) < 10_000
    assert set(probe.permissions.values()) == {True}
    listing = await adapter.pipelines()
    assert listing.complete
    by_name = {p.name: p for p in listing.items}
    assert set(by_name) == set(NAMES)
    ok = by_name["wf_ok"]
    assert (ok.schedule, ok.owner, ok.tags) == ("0 3 * * *", "ana", ("tier1", "wf"))
    assert ok.next_run is not None
    delta = by_name["wf_delta"]
    assert (delta.trigger, (delta.schedule or "")[:8], delta.mode) == (Trigger.INTERVAL, "every 7m", Mode.PAUSED)
    assert by_name["wf_consumer"].trigger is Trigger.EVENT
    assert by_name["wf_slow"].trigger is Trigger.MANUAL
    assert {i.kind for i in await adapter.items()} == {"component", "pool"}
    assert [a.uri for a in await adapter.assets()] == ["s3://lake/orders"]
    for key in ("af:nope", "af:wf_ok/nope"):
        with pytest.raises(NotFound):
            await adapter.read(key)


@survives
async def test_who_may_what(airflow2: Airflow2) -> None:
    """Viewer reads, User acts: the smallest roles that work. A wrong password is not told from a missing right."""
    viewer, user = adapter_for(airflow2, "viewer"), adapter_for(airflow2, "user")
    may = (await viewer.probe()).permissions
    assert {v for v, yes in may.items() if yes} == {"view"}
    assert {yes for v, yes in may.items() if v != "view"} == {False}
    assert set((await user.probe()).permissions.values()) == {True}
    assert (await viewer.runs(None)).complete
    assert await viewer.items()
    assert await viewer.assets()
    prepared = await viewer.prepare(Action(verb=Verb.PAUSE, key="af:wf_mapped", client_id=new_id()))
    assert isinstance(await viewer.send(prepared), NotSent)
    assert airflow2.get("/api/v1/dags/wf_mapped")["is_paused"] is False
    assert isinstance(await user.send(prepared), Sent)
    assert airflow2.get("/api/v1/dags/wf_mapped")["is_paused"] is True
    airflow2.patch("/api/v1/dags/wf_mapped?update_mask=is_paused", {"is_paused": False})
    stranger = adapter_for(airflow2, password="wrong-password-of-nobody")
    with pytest.raises(Forbidden) as caught:
        await stranger.pipelines()
    assert "wrong password" in caught.value.hint
    for one in (viewer, user, stranger):
        await one.close()


READ = ("DAGs", "DAG Runs", "Task Instances", "Task Logs")
MORE = ("Pools", "ImportError", "DAG Warnings", "Datasets")
ACT = (
    ("can_edit", "DAGs"),
    ("can_edit", "DAG Runs"),
    ("can_edit", "Task Instances"),
    ("can_create", "DAG Runs"),
    ("can_create", "Task Instances"),
)


@survives
async def test_roles_of_ones_own(airflow2: Airflow2) -> None:
    """What the documentation calls the smallest right that works, and what is said where it is still less."""
    rights = {
        "least": [("can_read", what) for what in READ],
        "watch": [("can_read", what) for what in (*READ, *MORE)],
        "act": [*[("can_read", what) for what in (*READ, *MORE)], *ACT],
    }
    probes: dict[str, set[bool | None]] = {}
    for name, allowed in rights.items():
        actions = [{"action": {"name": can}, "resource": {"name": what}} for can, what in allowed]
        name_now = f"{name}-{new_id()}"
        airflow2.post("/auth/fab/v1/roles", {"name": name_now, "actions": actions})
        person = {"username": name_now, "first_name": "a", "last_name": "b", "email": f"{name_now}@example.com"}
        airflow2.post("/auth/fab/v1/users", person | {"password": PASSWORD, "roles": [{"name": name_now}]})
        one = adapter_for(airflow2, name_now)
        may = dict((await one.probe()).permissions)
        assert may.pop("view") is True
        probes[name] = set(may.values())
        assert {p.name for p in (await one.pipelines()).items} == set(NAMES)
        page = await one.runs(None)
        ended = [r for r in page.runs if r.state.terminal]
        if ended:
            steps = await one.steps(ended[0].key)
            assert (await one.log(steps[0].key, steps[0].attempt, None)).data or steps[0].started is None
        parts = await one.items()
        missing = {i.kind for i in parts if not i.name}
        assert missing == ({"pool", "import-error", "warning"} if name == "least" else set())
        if name == "least":
            with pytest.raises(Forbidden):
                await one.assets()
        else:
            assert await one.assets()
        if name == "act":
            key = await started(one, "wf_ok")
            await state(one, key, State.SUCCESS)
            for verb, on in (
                (Verb.RERUN_FROM, f"{key}#first"),
                (Verb.PAUSE, "af:wf_ok"),
                (Verb.RESUME, "af:wf_ok"),
            ):
                await act(one, verb, on)
            await state(one, key, State.SUCCESS)
            await act(one, Verb.MARK, key, params={"as": "failed"})
        await one.close()
    assert probes == {"least": {False}, "watch": {False}, "act": {True}}


@survives
async def test_fail_clear_mark_and_rerun(airflow2: Airflow2, adapter: AirflowAdapter) -> None:
    airflow2.flag.unlink(missing_ok=True)
    cursor = (await adapter.runs(None)).cursor
    key = await started(adapter, "wf_fail", params={"day": "monday"})
    failed = await state(adapter, key, State.FAILED)
    assert failed.error == "task load failed"
    assert failed.params == {"day": "monday"}
    page = await adapter.runs(cursor)
    assert {r.key: (r.state, r.error) for r in page.runs}[key] == (State.FAILED, "task load failed")
    steps = {s.step: s.state for s in await adapter.steps(key)}
    assert steps == {"extract": State.SUCCESS, "load": State.FAILED, "report": State.SKIPPED}
    text = (await adapter.log(f"{key}#load", 1, None)).data.decode()
    assert text.startswith("*** Found local files:\n")
    assert "ValueError: the flag file is not there\n" in text
    never = await adapter.log(f"{key}#report", 1, None)
    assert (never.data, never.end) == (b"", True)
    with pytest.raises(Conflict):
        await adapter.prepare(Action(verb=Verb.STOP, key=key, client_id=new_id()))

    airflow2.flag.touch()
    prepared = await act(adapter, Verb.RERUN_FAILED, key)
    assert prepared.effect == "2 tasks will run again: load, report"
    await state(adapter, key, State.SUCCESS)
    assert tries(airflow2, key) == {"extract": 1, "load": 2, "report": 1}
    load = [(s.attempt, s.state) for s in await adapter.steps(key) if s.step == "load"]
    assert load == [(1, State.FAILED), (2, State.SUCCESS)]
    assert b"loaded" in (await adapter.log(f"{key}#load", 2, None)).data

    await act(adapter, Verb.RERUN_FROM, f"{key}#report")
    await state(adapter, key, State.SUCCESS)
    assert tries(airflow2, key) == {"extract": 1, "load": 2, "report": 2}
    with pytest.raises(Conflict, match="no task of this run has failed"):
        await adapter.prepare(Action(verb=Verb.RERUN_FAILED, key=key, client_id=new_id()))
    with pytest.raises(NotFound):
        await adapter.prepare(Action(verb=Verb.RERUN_FROM, key=f"{key}#nope", client_id=new_id()))

    await act(adapter, Verb.MARK, f"{key}#load", params={"as": "failed"})
    assert airflow2.tasks("wf_fail", key.partition("/")[2])["load"]["state"] == "failed"
    await state(adapter, key, State.SUCCESS)  # its last task is: to Airflow's scheduler that decides
    for word in ("failed", "success"):
        await act(adapter, Verb.MARK, key, params={"as": word})
        assert airflow2.run_state("wf_fail", key.partition("/")[2]) == word
    assert key in {r.key for r in await adapter.history("af:wf_fail")}


@survives
async def test_mapped_and_business_date(airflow2: Airflow2, adapter: AirflowAdapter) -> None:
    key = await started(adapter, "wf_ok", business_date="2026-11-18")
    assert (await state(adapter, key, State.SUCCESS)).business_date == "2026-11-18"
    prepared = await adapter.prepare(Action(verb=Verb.START, key="af:wf_mapped", client_id=new_id()))
    results = [await adapter.send(prepared) for _ in range(3)]
    assert all(isinstance(r, Sent) for r in results), results
    key = f"af:wf_mapped/{prepared.memo['run']}"
    await state(adapter, key, State.SUCCESS)
    assert sorted(s.map_index for s in await adapter.steps(key)) == [0, 1]
    assert b"worked on 2" in (await adapter.log(f"{key}#work.1", 1, None)).data
    again = await adapter.prepare(Action(verb=Verb.RERUN_FROM, key=f"{key}#work.1", client_id=new_id()))
    assert again.effect == "2 tasks will run again: work[0,1]"
    assert "all instances of work" in again.note


@survives
async def test_pause_follow_and_stop(airflow2: Airflow2, adapter: AirflowAdapter) -> None:
    await act(adapter, Verb.PAUSE, "af:wf_slow")
    assert airflow2.get("/api/v1/dags/wf_slow")["is_paused"] is True
    key = await started(adapter, "wf_slow")  # proved as "queued: the DAG is paused"
    waits = await adapter.log(f"{key}#load", 1, None)
    assert (waits.data, waits.end) == (b"", False)
    await act(adapter, Verb.RESUME, "af:wf_slow")
    await wait_for("load runs", lambda: _is(adapter, key, "load", State.RUNNING))
    assert key in {r.key for r in (await adapter.runs(None, active_only=True)).runs}

    text, cursor, growing = b"", None, 0
    while growing < 3:
        chunk = await adapter.log(f"{key}#load", 1, cursor)
        assert not chunk.end
        growing += bool(chunk.data)
        text, cursor = text + chunk.data, chunk.cursor
        await asyncio.sleep(0.6)
    prepared = await act(adapter, Verb.STOP, key)
    assert "1 task ends: load; 1 will not run" in prepared.effect
    assert airflow2.run_state("wf_slow", key.partition("/")[2]) == "failed"
    while not chunk.end:
        chunk = await adapter.log(f"{key}#load", 1, cursor)
        text, cursor = text + chunk.data, chunk.cursor
        await asyncio.sleep(0.6)
    ticks = [line.rpartition(" ")[2] for line in text.decode().splitlines() if "INFO - tick " in line]
    assert ticks == [str(n) for n in range(len(ticks))], "each line once, none missing, none in two"
    assert "terminated with exit code" in text.decode(), "its last words too"
    assert text.endswith(b"\n")


# --- through the engine ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watching(server: Airflow2, folder: Path) -> Iterator[Rig]:
    folder.mkdir()
    (folder / "secret").write_text(PASSWORD)
    (folder / "secret").chmod(0o600)
    toml = (
        f'[[source]]\nname = "real"\nkind = "airflow"\nurl = "{server.url}"\nenvironment = "test"\nprotected = false\npoll = "5s"\n'
        f'requests = "900/min"\nauth = {{ user = "user", password = {{ file = "secret" }} }}\n'
    )
    with Rig(folder, toml) as rig:
        until(lambda: rig.reader().floor(), 60)
        yield rig


@survives
async def test_the_engine_starts_is_told_and_runs_again(airflow2: Airflow2, tmp_path: Path) -> None:
    airflow2.flag.unlink(missing_ok=True)
    with watching(airflow2, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as ask:
        done(rig, do(ask, "start", "real:wf_fail"))
        newest = "/api/v1/dags/wf_fail/dagRuns?order_by=-execution_date&limit=1"
        key = f"real:wf_fail/{airflow2.get(newest)['dag_runs'][0]['dag_run_id']}"
        until(lambda: shown(rig, key) is State.FAILED, 120)
        row = until(
            lambda: next((f for f in rig.reader().floor() if f.name == "wf_fail" and f.error and ":" in f.error), None),
            60,
        )
        assert "the flag file is not there" in (row.error or "")
        assert len([a for a in rig.reader().alerts() if "wf_fail" in a.key]) == 1
        airflow2.flag.touch()
        done(rig, do(ask, "rerun-failed", key))
        until(lambda: shown(rig, key) is State.SUCCESS, 120)
        assert tries(airflow2, key) == {"extract": 1, "load": 2, "report": 1}
        until(lambda: not [a for a in rig.reader().alerts() if "wf_fail" in a.key], 60)
        for verb, paused in (("pause", True), ("resume", False)):
            done(rig, do(ask, verb, "real:wf_ok"))
            assert airflow2.get("/api/v1/dags/wf_ok")["is_paused"] is paused


@survives
async def test_the_engine_stops_a_run_without_an_alert(airflow2: Airflow2, tmp_path: Path) -> None:
    with watching(airflow2, tmp_path / uuid.uuid4().hex) as rig, rig.ask() as ask:
        done(rig, do(ask, "start", "real:wf_slow"))
        key = until(
            lambda: next((r.key for r in rig.runs() if r.name == "wf_slow" and r.state is State.RUNNING), None), 120
        )

        def lines() -> int:
            ask("watch", run=key, log=f"{key}#load", attempt=1)
            detail = rig.reader().run(key)
            rows = [r for r in detail.logs if r.step == "load"] if detail else []
            return Path(rows[0].path).read_text().count("tick ") if rows else 0

        first = until(lines, 120, 1.0)
        until(lambda: lines() > first, 60, 1.0)
        done(rig, do(ask, "stop", key))
        assert airflow2.run_state("wf_slow", key.rpartition("/")[2]) == "failed"
        until(lambda: shown(rig, key) is State.STOPPED, 60)
        assert [a for a in rig.reader().alerts(open_only=False) if "wf_slow" in a.key and key in a.key] == []


def test_doctor(airflow2: Airflow2, tmp_path: Path) -> None:
    """Version, identity, and what the credential may."""
    file = tmp_path / "watchfloor.toml"
    said: dict[str, list[str]] = {}
    for user in ("viewer", "user"):
        file.write_text(
            f'[[source]]\nname = "real"\nkind = "airflow"\nurl = "{airflow2.url}"\n'
            f'auth = {{ user = "{user}", password = {{ env = "WF_TEST_PASSWORD" }} }}\n'
        )
        argv = [sys.executable, "-P", "-m", "tui.cli", "doctor", "--config", str(file), "--format", "json"]
        env = os.environ | {"WF_TEST_PASSWORD": PASSWORD, "XDG_STATE_HOME": str(tmp_path)}
        out = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        rows = json.loads(out.stdout)["data"]
        said[user] = [row["words"] for row in rows if row["what"] == "source real"]
    may = "mark, pause, rerun, rerun-failed, rerun-from, resume, start, stop"
    assert said["viewer"][:3] == [
        f"airflow {VERSION} as viewer, protected: read-only until armed",
        "may view",
        f"may not {may}",
    ]
    assert said["user"][:2] == [f"airflow {VERSION} as user, protected: read-only until armed", f"may {may}, view"]
