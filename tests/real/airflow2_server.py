"""A real Airflow 2.11.2 for the tests marked ``real``: installed once into a cache, started on a free port, ended with its groups.

    from tests.real.airflow2_server import airflow2, survives

SQLite and SequentialExecutor: one task at a time, and the scheduler does nothing else meanwhile. Basic authentication; users
``admin`` (Admin), ``viewer`` (Viewer) and ``user`` (User). What happened is asked with ``airflow2.get``/``post``: plain urllib.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import functools
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.airflow_server import CACHE, ServerDied, _group_lives, _listens
from tests.real.ports import free_port

VERSION = "2.11.2"
PINS = Path(__file__).parent / "airflow2_pins.txt"
START_S = 180.0
PASSWORD = "pw-of-the-real-test"
PAGE = 4
"""The most that a page of this server holds: fewer than there are DAGs."""
ROLES = {"admin": "Admin", "viewer": "Viewer", "user": "User"}

DAGS = '''
"""DAGs of Watchfloor's tests."""
import os, time
from datetime import datetime, timedelta
from airflow.decorators import dag, task
from airflow.datasets import Dataset

FLAG = {flag!r}
START = datetime(2026, 1, 1)

@dag(schedule="0 3 * * *", start_date=START, catchup=False, tags=["wf", "tier1"], default_args={{"owner": "ana"}})
def wf_ok():
    @task
    def first():
        print("first is here")
    first()

@dag(schedule=None, start_date=START, tags=["wf"])
def wf_slow():
    @task
    def load():
        for n in range(600):
            print(f"tick {{n}}", flush=True)
            time.sleep(0.5)
    @task
    def report():
        print("report")
    load() >> report()

@dag(schedule=None, start_date=START, tags=["wf"])
def wf_fail():
    @task
    def extract():
        print("extracted")
    @task
    def load():
        if not os.path.exists(FLAG):
            raise ValueError("the flag file is not there")
        print("loaded")
    @task
    def report():
        print("reported")
    extract() >> load() >> report()

@dag(schedule=None, start_date=START, tags=["wf"])
def wf_mapped():
    @task
    def work(x):
        print(f"worked on {{x}}")
    work.expand(x=[1, 2])

@dag(schedule=timedelta(minutes=7), start_date=START, catchup=False, is_paused_upon_creation=True)
def wf_delta():
    @task
    def nothing():
        pass
    nothing()

@dag(schedule=[Dataset("s3://lake/orders")], start_date=START, is_paused_upon_creation=True)
def wf_consumer():
    @task
    def nothing():
        pass
    nothing()

wf_ok(); wf_slow(); wf_fail(); wf_mapped(); wf_delta(); wf_consumer()
'''
NAMES = ("wf_ok", "wf_slow", "wf_fail", "wf_mapped", "wf_delta", "wf_consumer")


def installed() -> Path:
    """The bin folder of a venv with exactly this Airflow; skips the test with pip's own sentence where that cannot be."""
    venv = CACHE / f"airflow-{VERSION}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f".airflow-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / ".installed").exists():
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", "-c", str(PINS)]
            done = subprocess.run([*pip, f"apache-airflow=={VERSION}"], capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.splitlines()
                said = [line for line in lines if line.startswith("ERROR")] or lines
                pytest.skip(f"Airflow {VERSION} cannot be installed here: {said[-1] if said else 'pip said nothing'}")
            (venv / ".installed").touch()
    return venv / "bin"


class Airflow2:
    """One scheduler and one webserver in a home of their own, each leader of a process group."""

    def __init__(self, folder: Path) -> None:
        self.bin = installed()
        self.home = folder
        self.dags = folder / "dags"
        self.flag = folder / "flag"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.dags.mkdir(parents=True)
        (self.dags / "wf_dags.py").write_text(DAGS.format(flag=str(self.flag)))
        self._env = self._environment()
        self._run("db", "migrate")
        self._run("sync-perm")  # the roles are there only after it, or after the webserver's first start
        for user, role in ROLES.items():
            mail = f"{user}@example.com"
            names = ["--username", user, "--firstname", user, "--lastname", "test", "--email", mail]
            self._run("users", "create", *names, "--role", role, "--password", PASSWORD)

    def _run(self, *words: str) -> None:
        with (self.home / "setup.log").open("ab") as log:
            argv = [self.bin / "airflow", *words]
            subprocess.run(argv, env=self._env, stdout=log, stderr=log, check=True, timeout=180)

    def _environment(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON"))}
        return keep | {
            "PATH": f"{self.bin}:{keep.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": str(PAGE),
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__WEBSERVER__SECRET_KEY": "only-for-the-tests-" * 2,
            "AIRFLOW__WEBSERVER__BASE_URL": self.url,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "30",
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "15",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def start(self) -> None:
        """Up, healthy and with our DAGs parsed; ServerDied with the end of its log otherwise."""
        if _listens(self.port):
            raise ServerDied(f"port {self.port} is taken by something else")
        address = ("--port", str(self.port), "--hostname", "127.0.0.1")
        for name, words in (("scheduler", ()), ("webserver", address)):
            with (self.home / f"{name}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [self.bin / "airflow", name, *words],
                        env=self._env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd=self.home,
                        start_new_session=True,
                    )
                )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if any(p.poll() is not None for p in self._processes):
                raise ServerDied(f"the server died while it started: {self.last_words()}")
            with contextlib.suppress(OSError, ValueError, KeyError):
                pages = [self.get(f"/api/v1/dags?offset={n}")["dags"] for n in range(0, len(NAMES) + PAGE, PAGE)]
                if {d["dag_id"] for page in pages for d in page} >= set(NAMES):
                    return
            time.sleep(0.5)
        raise ServerDied(f"the server was not ready after {START_S:.0f} s: {self.last_words()}")

    def stop(self) -> None:
        """Both groups, whole: gunicorn's workers and the tasks' own processes among them."""
        processes, self._processes = self._processes, []
        for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, sign)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                for process in processes:
                    process.poll()
                if not any(_group_lives(p.pid) for p in processes):
                    self._end_strays()
                    return
                time.sleep(0.1)
        raise ServerDied("its process groups could not be ended")

    def _end_strays(self) -> None:
        """Processes of this home that made groups of their own (the supervised task, the DAG processor)."""
        mine = f"AIRFLOW_HOME={self.home}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError, ValueError):
                if mine in environ.read_bytes().split(b"\0"):
                    os.kill(int(environ.parent.name), signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def died(self) -> bool:
        if not self._processes or any(p.poll() is not None for p in self._processes):
            return True
        for _ in range(20):
            with contextlib.suppress(OSError):
                self._send("GET", "/api/v1/health", None, {})
                return False
            time.sleep(0.25)
        return True

    def last_words(self) -> str:
        said: list[str] = []
        for name in ("scheduler", "webserver"):
            with contextlib.suppress(OSError):
                said += (self.home / f"{name}.log").read_text(errors="replace").splitlines()[-3:]
        return " | ".join(said) or "it left no log"

    # --- the test's own plain client --------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        return self._send(method, path, body, {"Authorization": f"Basic {basic}"})

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        more = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data=data, headers=more, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def run_state(self, dag: str, run: str) -> str:
        return self.get(f"/api/v1/dags/{dag}/dagRuns/{run}")["state"]

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        found = self.get(f"/api/v1/dags/{dag}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
        return {ti["task_id"]: ti for ti in found}

    def wait(self, what: str, fact: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Ask until the fact is there (truthy); a failing assertion otherwise, ServerDied where the server is gone."""
        until = time.monotonic() + seconds
        while True:
            try:
                if found := fact():
                    return found
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.died():
                    raise ServerDied(self.last_words()) from None
            assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
            time.sleep(0.5)


def survives(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """If the server died under the test, start it again and try the test once more; a second death is ServerDied."""

    @functools.wraps(test)
    async def guarded(*args: Any, **kwargs: Any) -> None:
        server = inspect.signature(test).bind(*args, **kwargs).arguments["airflow2"]
        try:
            return await test(*args, **kwargs)
        except Exception:
            if not server.died():
                raise
            print(f"the server died under the test and is started again: {server.last_words()}", file=sys.stderr)
            server.restart()
        return await test(*args, **kwargs)

    return guarded


@pytest.fixture(scope="module")
def airflow2() -> Iterator[Airflow2]:
    """One server for all tests of a module. A death at the start is retried once."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-airflow2-", ignore_cleanup_errors=True) as folder:
        server = Airflow2(Path(folder) / "home")
        try:
            try:
                server.start()
            except ServerDied as err:
                print(f"{err}; started once more", file=sys.stderr)
                server.restart()
            yield server
        finally:
            server.stop()
