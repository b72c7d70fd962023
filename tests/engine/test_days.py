"""Bad days through the whole engine: strange answers, a full disk, a changed file, an end in the middle of an answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, Health, State
from engine.ask import NoEngine
from engine.config.load import load
from engine.config.paths import places
from engine.main import Engine
from engine.request import RequestError
from tests.engine.rig import Rig, until
from tests.engine.test_airflow_world import act, poll, rig, source, state_of
from tests.engine.test_quiet import fast
from tests.servers.airflow_like import AirflowLike

STEP = '[[job.step]]\nname = "s"\nrun = ["true"]\n'
QUIET = f'\n[[job]]\nname = "quiet"\n{STEP}'


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load"))
        yield found


# --- what a source answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_a_clock_an_hour_off_is_said_and_bends_nothing(tmp_path: Path, server: AirflowLike, skew_s: float) -> None:
    server.skew_s = skew_s
    server.add_run("daily", "done", state="success", ran_s=60.0)
    with fast(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/done") is State.SUCCESS)
        r.polled("af")
        row = until(lambda: next((s for s in r.reader().sources() if s.skew_ms is not None), None))
        assert abs((row.skew_ms or 0) - skew_s * 1000) < 3000
        assert row.health is Health.FRESH
        assert not row.stale(time.time_ns() // 1_000_000)
        detail = r.reader().run("af:daily/done")
        assert detail is not None
        theirs = server.runs[("daily", "done")]
        assert theirs.start is not None
        assert theirs.end is not None
        assert detail.row.started == int(theirs.start.timestamp() * 1000)
        assert detail.row.ended == int(theirs.end.timestamp() * 1000)
        server.add_run(
            "daily", "later", state="running"
        )  # what changes is still seen: cursors follow the server's clock
        until(lambda: state_of(r, "af:daily/later") is State.RUNNING)
        server.runs[("daily", "later")].state = "success"
        server.runs[("daily", "later")].end = server.now()
        server.runs[("daily", "later")].updated = server.now()
        until(lambda: state_of(r, "af:daily/later") is State.SUCCESS)


@pytest.mark.parametrize("fault", ["page2", "truncated", "missing-ids", "shape"])
def test_half_an_answer_takes_no_state_away(tmp_path: Path, server: AirflowLike, fault: str) -> None:
    for n in range(130):
        server.add_run("daily", f"r{n:03}", state="running")
    with fast(tmp_path, server) as r:
        until(lambda: len(r.runs()) == 130, 20)
        server.fault = fault
        until(lambda: r.reader().sources()[0].failures >= 2, 20)
        row = r.reader().sources()[0]
        assert row.health is Health.BAD_ANSWER
        assert row.detail
        assert {run.state for run in r.runs()} == {State.RUNNING}
        assert len(r.runs()) == 130
        server.fault = None
        poll(r)
        until(lambda: r.reader().sources()[0].health is Health.FRESH)


@pytest.mark.parametrize("fault", ["unknown-state", "missing-fields", "unknown-fields"])
def test_what_nobody_knows_is_never_fine(tmp_path: Path, server: AirflowLike, fault: str) -> None:
    server.add_run("daily", "r1", state="running")
    server.add_run("daily", "r0", state="success")
    server.fault = fault
    with fast(tmp_path, server) as r:
        until(lambda: r.reader().sources()[0].last_try)
        r.polled("af")
        assert r.process is not None
        assert r.process.poll() is None
        old = state_of(r, "af:daily/r0")
        if fault == "unknown-fields":
            assert old is State.SUCCESS
            assert state_of(r, "af:daily/r1") is State.RUNNING
        else:
            assert old is not State.SUCCESS, "a word that nobody knows was taken for success"
        if fault == "unknown-state":
            assert r.reader().run("af:daily/r1").row.native == "levitating?"  # type: ignore[union-attr]
        server.fault = None
        server.runs[("daily", "r0")].updated = server.now()
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        until(lambda: state_of(r, "af:daily/r0") is State.SUCCESS)


def test_a_restart_remembers_when_a_source_was_good_last(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with fast(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.fault = "down"
        until(lambda: r.reader().sources()[0].health is Health.UNREACHABLE)
        before = r.reader().sources()[0]
        assert before.last_ok is not None
        r.kill()
        r.start()
        until(lambda: r.reader().sources()[0].last_try > (before.last_try or 0) + 1)  # type: ignore[operator]
        after = r.reader().sources()[0]
        assert (after.health, after.since, after.last_ok) == (before.health, before.since, before.last_ok)


# --- the configuration ----------------------------------------------------------------------------------------------


def test_a_reload_touches_only_the_sources_that_changed(tmp_path: Path, server: AirflowLike) -> None:
    (tmp_path / "secret").write_text(server.password)
    (tmp_path / "secret").chmod(0o600)
    with AirflowLike() as second:
        second.add_dag("other", tasks=("one",))
        second.password = server.password
        two = source(second).replace('name = "af"', 'name = "bf"')
        with Rig(tmp_path, source(server) + QUIET) as r:
            until(lambda: {s.name for s in r.reader().sources() if s.health is Health.FRESH} == {"af", "local"})
            since = next(s.since for s in r.reader().sources() if s.name == "af")
            mints = len(server.issued)
            text = r.config.read_text()
            r.config.write_text(text + two)
            until(lambda: {s.name for s in r.reader().sources() if s.health is Health.FRESH} == {"af", "bf", "local"})
            until(lambda: r.reader().pipeline("bf:other"))
            r.config.write_text(text + two.replace('environment = "prod"', 'environment = "test"'))
            until(lambda: [s for s in r.reader().sources() if s.name == "bf" and s.environment == "test"])
            r.config.write_text(text)
            until(lambda: {s.name for s in r.reader().sources()} == {"af", "local"})
            with second.lock:
                count = len(second.requests)
            r.polled("af")
            assert next(s.since for s in r.reader().sources() if s.name == "af") == since
            assert len(server.issued) == mints, "its adapter was made anew"
            assert len(second.requests) == count, "a source that was taken out is still asked"


def test_a_moved_store_is_said_to_need_a_restart(tmp_path: Path) -> None:
    with Rig(tmp_path, QUIET) as r:
        r.config.write_text(r.config.read_text().replace("state/floor.db", "elsewhere/floor.db"))
        note = until(lambda: r.reader().engine().note, 8)  # type: ignore[union-attr]
        assert "restart" in note
        assert "elsewhere" in note
        assert not (tmp_path / "elsewhere").exists()


# --- how an engine ends ---------------------------------------------------------------------------------------------


def lived(folder: Path, toml: str = "", **more: float | bool) -> tuple[float, str]:
    """Seconds that an engine of a terminal lived that nobody came to, and what it said; 4 s at most."""
    config = folder / "watchfloor.toml"
    config.write_text('[store]\npath = "state/floor.db"\n' + toml)
    where = places(config, env={"HOME": str(folder)})
    where.prepare()

    async def live() -> tuple[float, str]:
        engine = Engine(where, load(config), stay=False, out=(folder / "log").open("w"), **more)  # type: ignore[arg-type]
        began = time.monotonic()
        task = asyncio.create_task(engine.run())
        done, _ = await asyncio.wait({task}, timeout=4)
        took = time.monotonic() - began
        said = engine.asked if done else ""
        engine.stop("end of the test")
        await task
        return took, said

    return asyncio.run(live())


def test_an_engine_that_nobody_needs_leaves_and_one_that_is_needed_stays(tmp_path: Path) -> None:
    took, said = lived(tmp_path, idle_life_s=1.0)
    assert 1.0 <= took < 3.5
    assert "nobody came" in said
    route = '[[contact]]\nname = "a"\nurl = { env = "X" }\n[[route]]\nmatch = "*"\nto = ["a"]\n'
    scheduled = f'[[job]]\nname = "j"\nschedule = "0 3 * * *"\n{STEP}'
    for toml in (route, scheduled):
        assert lived(tmp_path, toml, idle_life_s=1.0)[1] == "", toml


def test_a_client_keeps_the_engine_and_its_end_lets_it_go(tmp_path: Path) -> None:
    prelude = "import engine.main as m; E = m.Engine; m.Engine = lambda *a, **k: E(*a, **k, idle_life_s=1.5)"
    # the name ``main`` is bound after the prelude, from the module whose Engine was replaced
    with Rig(tmp_path, "", args=("--auto",), prelude=prelude) as r:
        assert r.process is not None
        with r.ask() as ask:
            end = time.monotonic() + 3.5
            while time.monotonic() < end:
                assert ask("status")["pid"] == r.process.pid
                time.sleep(0.3)
        assert r.process.wait(10) == 0
        assert "nobody came" in (r.reader().engine().last_words or "")  # type: ignore[union-attr]


def test_sigterm_while_a_request_is_answered_gives_the_answer(tmp_path: Path, server: AirflowLike) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        server.slow_s = 0.8
        server.fault = "slow"
        said: list[object] = []

        def enter() -> None:
            try:
                with r.ask() as ask:
                    said.append(ask("plan", verb="stop", key="af:daily/r1")["verb"])
            except (NoEngine, RequestError) as error:
                said.append(error)

        thread = threading.Thread(target=enter)
        began = len(server.requests)
        thread.start()
        until(lambda: len(server.requests) > began, 5, 0.005)
        assert r.stop() == 0
        thread.join(10)
        assert said == ["stop"]
        assert not r.place.socket.exists()
        with pytest.raises(NoEngine):
            r.ask()


# --- the disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB at ``state``, gone after the test."""
    state = tmp_path / "state"
    state.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "floor", str(state)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs root and mount")
    yield state
    subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_full_disk_is_said_actions_are_refused_and_it_goes_on(
    tmp_path: Path, small_disk: Path, server: AirflowLike
) -> None:
    server.add_run("daily", "r1", state="running")
    with rig(tmp_path, server) as r:
        until(lambda: state_of(r, "af:daily/r1") is State.RUNNING)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass

        def error() -> str:
            with r.ask() as ask:
                return str(ask("status")["store_error"] or "")

        assert "full" in until(error, 30)
        with r.ask() as ask, pytest.raises(RequestError) as refused:
            act(ask, "stop", "af:daily/r1")
        assert refused.value.code == "refused"
        assert "full" in refused.value.message
        assert not [e for e in server.effects if e.run_id == "r1"], "done without a record"
        assert r.reader().run("af:daily/r1").row.state is State.RUNNING  # type: ignore[union-attr]
        assert r.process is not None
        assert r.process.poll() is None
        ballast.unlink()
        note = until(lambda: r.reader().engine().note, 15)  # type: ignore[union-attr]
        assert "could be written" in note
        until(lambda: not error())
        poll(r)
        until(lambda: r.reader().sources()[0].health is Health.FRESH, 20)
        with r.ask() as ask:
            plan = ask("plan", verb="stop", key="af:daily/r1")
            done = ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="there is room again")
        until(lambda: r.reader().action(str(done["action"])).state is ActionState.DONE, 20)  # type: ignore[union-attr]
