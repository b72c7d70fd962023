"""The engine as a process: one writer, its socket, its configuration, its ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.model import Health, State
from engine.ask import Ask, NoEngine
from engine.request import RequestError
from tests.engine.rig import ROOT, Rig, until

JOB = """
[[job]]
name = "quick"

[[job.step]]
name = "one"
run = ["sh", "-c", "echo hello; exit 0"]

[[job]]
name = "slow"

[[job.step]]
name = "wait"
run = ["sh", "-c", "i=0; while [ $i -lt 300 ]; do echo tick $i; i=$((i+1)); sleep 0.1; done"]
"""


def start(rig: Rig, job: str) -> str:
    """Start a job through plan and act; the key of its run."""
    with rig.ask() as ask:
        plan = ask("plan", verb="start", key=f"local:{job}")
        assert not plan["blocked"], plan
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])
    return until(lambda: next((r.key for r in rig.runs() if r.name == job), None))


def test_a_second_engine_leaves_with_one_sentence(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        done = subprocess.run(
            [sys.executable, "-m", "engine.main", "--config", str(rig.config)], check=False, capture_output=True, text=True, cwd="/", timeout=20,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 6
        assert f"pid {rig.process.pid}" in done.stderr  # type: ignore[union-attr]
        assert len(done.stderr.splitlines()) == 1
        with rig.ask() as ask:
            assert ask("status")["pid"] == rig.process.pid  # type: ignore[union-attr]


def test_many_starts_at_once_leave_one_engine(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB, start=False) as rig:
        rounds = 3
        for _ in range(rounds):
            env = os.environ | {"PYTHONPATH": str(ROOT)}
            crowd = [
                subprocess.Popen(
                    [sys.executable, "-m", "engine.main", "--config", str(rig.config)],
                    cwd="/",
                    env=env,
                    stderr=subprocess.DEVNULL,
                )
                for _ in range(4)
            ]
            try:
                until(lambda crowd=crowd: sum(p.poll() is None for p in crowd) == 1 and rig.held(), 30)
                with rig.ask() as ask:
                    assert ask("status")["pid"] == next(p.pid for p in crowd if p.poll() is None)
            finally:
                for p in crowd:
                    p.terminate()
                for p in crowd:
                    p.wait(15)
            assert not rig.held()


def test_engine_killed_while_a_job_runs_a_new_one_starts_at_once(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        key = start(rig, "slow")
        until(lambda: rig.reader().run(key).row.state is State.RUNNING)  # type: ignore[union-attr]
        rig.kill()
        began = time.monotonic()
        rig.start()
        assert time.monotonic() - began < 5
        until(lambda: rig.reader().engine().pid == rig.process.pid)  # type: ignore[union-attr]
        assert rig.reader().run(key).row.state is State.RUNNING  # type: ignore[union-attr]
        with rig.ask() as ask:
            plan = ask("plan", verb="stop", key=key)
            ask(
                "act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"], reason="end of the test run", typed=""
            )
        until(lambda: rig.reader().run(key).row.state is State.STOPPED)  # type: ignore[union-attr]
        assert not [a for a in rig.reader().alerts(open_only=False) if a.key.startswith("local:slow")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('timezon = "UTC"\n', "timezone"),
        ("timezone = 7\n", "timezone"),
        ('[[job]]\nname = "a"\n[[job]]\nname = "a"\n', "name"),
        ("[[job]\n", "TOML"),
    ],
)
def test_a_bad_configuration_is_one_line_each_and_exit_2(tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "watchfloor.toml"
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "engine.main", "--config", str(config)], check=False, capture_output=True, text=True, cwd="/", timeout=20,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(config) in done.stderr
    assert words in done.stderr


def test_a_changed_file_is_taken_within_moments_and_an_invalid_one_is_not(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        until(lambda: {r.name for r in rig.reader().floor()} == {"quick", "slow"})
        good = rig.config.read_text()
        rig.config.write_text(good + '\n[[job]]\nname = "third"\n[[job.step]]\nname = "s"\nrun = ["true"]\n')
        until(lambda: "third" in {r.name for r in rig.reader().floor()}, 8)
        rig.config.write_text(good.replace("[[job]]", "[[jobs]]"))
        error = until(lambda: rig.reader().engine().config_error, 8)  # type: ignore[union-attr]
        assert "jobs" in error
        assert "third" in {r.name for r in rig.reader().floor()}
        with rig.ask() as ask, pytest.raises(RequestError) as refused:
            ask("reload")
        assert refused.value.code == "bad_config"
        rig.config.write_text(good)
        until(lambda: rig.reader().engine().config_error is None, 8)  # type: ignore[union-attr]


def test_strange_conversations_end_and_the_engine_goes_on(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        for line in (b"not json\n", b"[1]\n", b"{}\n", b'{"do":"nothing"}\n', b"\xff\xfe\n", b"x" * (2 << 20)):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(rig.place.socket))
                try:
                    sock.sendall(line)
                    sock.recv(4096)
                except OSError:
                    pass
        crowd: list[socket.socket] = []
        try:
            for _ in range(70):
                sock = socket.socket(socket.AF_UNIX)
                sock.settimeout(5)
                sock.connect(str(rig.place.socket))
                crowd.append(sock)
        except OSError:
            pass
        finally:
            for sock in crowd:
                sock.close()
        until(lambda: _status(rig))


def _status(rig: Rig) -> bool:
    try:
        with rig.ask() as ask:
            return bool(ask("status")["pid"])
    except (NoEngine, RequestError):
        return False


def test_stop_says_who_and_leaves_no_socket(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        with rig.ask() as ask:
            ask("stop")
        rig.process.wait(15)  # type: ignore[union-attr]
        assert not rig.place.socket.exists()
        row = rig.reader().engine()
        assert row is not None
        assert row.stopped is not None
        assert "stopped by" in (row.last_words or "")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_may_not_even_look_in_user_mode(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        os.chmod(tmp_path, 0o755)
        assert _as_nobody(lambda: socket.socket(socket.AF_UNIX).connect(str(rig.place.socket))) == "PermissionError"
        assert _as_nobody(rig.place.store.read_bytes) == "PermissionError"


def _as_nobody(what: Callable[[], object]) -> str:
    """Name of the exception that another user gets, or nothing."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = ""
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            what()
        except BaseException as error:
            said = type(error).__name__
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def test_planted_engine_in_the_current_folder_does_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    (planted / "engine").mkdir(parents=True)
    (planted / "engine" / "__init__.py").write_text("import os; os.write(2, b'PLANTED'); raise SystemExit(9)")
    config = tmp_path / "watchfloor.toml"
    config.write_text('[store]\npath = "state/floor.db"\n')
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\nfrom engine.config.paths import places\nfrom tui.start import start_engine\n"
        "print(start_engine(places(Path(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(ROOT), str(config)], check=False, capture_output=True, text=True, cwd=planted, timeout=30,
        env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    place_socket = tmp_path / "state" / "engine.sock"
    until(place_socket.exists)
    with Ask(place_socket) as ask:
        pid = ask("status")["pid"]
        ask("stop")
    assert "PLANTED" not in done.stderr + "".join(p.read_text(errors="replace") for p in tmp_path.rglob("engine.log"))
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3])


def test_local_source_is_fresh_and_the_host_is_measured(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        row = until(lambda: next((s for s in rig.reader().sources() if s.health is Health.FRESH), None))
        assert row.name == "local"
        cpu = until(
            lambda: next(
                (g for g in rig.reader().gauges("host.cpu") if g.series == "host.cpu" and g.value is not None), None
            )
        )
        assert 0 <= cpu.value <= 100  # type: ignore[operator]
        assert rig.stop() == 0
        shutil.rmtree(tmp_path / "state" / "runs", ignore_errors=True)


def test_sighup_reloads(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        before = rig.reader().engine().config_hash  # type: ignore[union-attr]
        rig.config.write_text(rig.config.read_text() + "\n# a remark\n")
        rig.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        until(lambda: rig.reader().engine().config_hash != before, 8)  # type: ignore[union-attr]


def test_a_run_that_nobody_watched_has_its_steps_and_logs(tmp_path: Path) -> None:
    with Rig(tmp_path, JOB) as rig:
        key = start(rig, "quick")
        until(lambda: rig.reader().run(key).row.state is State.SUCCESS)  # type: ignore[union-attr]
        log = until(lambda: next((row for row in rig.reader().run(key).logs if row.complete), None))  # type: ignore[union-attr]
        assert Path(log.path).read_text() == "hello\n"
        assert [s.step for s in rig.reader().run(key).steps] == ["one"]  # type: ignore[union-attr]
