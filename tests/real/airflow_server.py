"""A real Airflow 3.3.2 for the tests marked ``real``: installed once into a cache, started on a free port, ended with its group.

    pytestmark = pytest.mark.real

    @survives                              # the server died under the test: started again, the test tried once more
    async def test_x(airflow3): ...        # from tests.real.airflow_server import airflow3, survives

That the server dies (Airflow's api-server has been seen to crash natively) raises ``ServerDied``, which no failing assertion does.
What happened is asked with ``airflow3.get``/``post``: plain urllib, none of the code under test.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import inspect
import json
import os
import shutil
import signal
import socket
import sqlite3
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

from tests.real.ports import free_port

VERSION = "3.3.2"
CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser()
MANY = 260
START_S = 240.0
USER, PASSWORD = "admin", "pw-of-the-real-test"

DAGS = '''
"""DAGs of Watchfloor's tests."""
import os, time
from airflow.sdk import dag, task

FLAG = {flag!r}

@dag(schedule="0 3 * * *", catchup=False, tags=["wf", "tier1"], default_args={{"owner": "ana"}})
def wf_ok():
    @task
    def first():
        print("first is here")
    @task
    def second():
        print("second is here")
    first() >> second()

@dag(schedule=None, tags=["wf"])
def wf_slow():
    @task
    def prepare():
        while os.path.exists(FLAG + ".hold"):
            time.sleep(0.2)
        print("prepared")
    @task
    def load():
        for n in range(600):
            print(f"tick {{n}}", flush=True)
            time.sleep(0.5)
    @task
    def report():
        print("report")
    prepare() >> load() >> report()

@dag(schedule=None, tags=["wf"])
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

@dag(schedule=None, tags=["wf"])
def wf_mapped():
    @task
    def work(x):
        print(f"worked on {{x}}")
    work.expand(x=[1, 2, 3])

@dag(schedule=None, tags=["wf"])
def wf_many():
    @task
    def nothing():
        pass
    nothing()

wf_ok(); wf_slow(); wf_fail(); wf_mapped(); wf_many()
'''
NAMES = ("wf_ok", "wf_slow", "wf_fail", "wf_mapped", "wf_many")


class ServerDied(Exception):
    """The server is gone; this says nothing about the test that noticed it."""


def installed() -> Path:
    """The bin folder of a venv with exactly this Airflow; skips the test with pip's own sentence where that cannot be."""
    venv = CACHE / f"airflow-{VERSION}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f".airflow-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / ".installed").exists():
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", f"apache-airflow=={VERSION}"]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                said = [
                    line for line in done.stderr.splitlines() if line.startswith("ERROR")
                ] or done.stderr.splitlines()
                pytest.skip(f"Airflow {VERSION} cannot be installed here: {said[-1] if said else 'pip said nothing'}")
            (venv / ".installed").touch()
    return venv / "bin"


class Airflow3:
    """One ``airflow standalone`` in a home of its own."""

    user, password = USER, PASSWORD

    def __init__(self, folder: Path) -> None:
        self.bin = installed()
        self.home = folder
        self.dags = folder / "dags"
        self.flag = folder / "flag"
        self.hold = folder / "flag.hold"
        """While it is there, ``prepare`` of ``wf_slow`` does not end."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self.dags.mkdir(parents=True)
        (self.dags / "wf_dags.py").write_text(DAGS.format(flag=str(self.flag)))
        (folder / "passwords.json").write_text(json.dumps({USER: PASSWORD, "viewer": PASSWORD}))
        self._env = self._environment()
        with (folder / "migrate.log").open("wb") as log:
            subprocess.run(
                [self.bin / "airflow", "db", "migrate"], env=self._env, stdout=log, stderr=log, check=True, timeout=300
            )
        _seed(folder / "airflow.db", "wf_many", MANY)

    def _environment(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON"))}
        return keep | {
            "PATH": f"{self.bin}:{keep.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,viewer:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-the-tests-" * 4,
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def start(self) -> None:
        """Up, healthy and with our DAGs parsed; ServerDied with the end of its log otherwise."""
        if _listens(self.port):
            raise ServerDied(f"port {self.port} is taken by something else")
        with (self.home / "standalone.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "airflow", "standalone"],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
            )
        self._token = ""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise ServerDied(f"the server died while it started: {self.last_words()}")
            with contextlib.suppress(OSError, ValueError, KeyError):
                if {d["dag_id"] for d in self.get("/api/v2/dags")["dags"]} >= set(NAMES):
                    return
            time.sleep(0.5)
        raise ServerDied(f"the server was not ready after {START_S:.0f} s: {self.last_words()}")

    def stop(self) -> None:
        """The whole group: killing only the parent leaves api-server and workers behind."""
        process, self._process = self._process, None
        if process is None:
            return
        group = process.pid
        for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, sign)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                process.poll()
                if not _group_lives(group):
                    return
                time.sleep(0.1)
        raise ServerDied(f"process group {group} could not be ended")

    def restart(self) -> None:
        self.stop()
        self.start()

    def died(self) -> bool:
        """Its process is gone, or nothing answers on its port any more."""
        if self._process is None or self._process.poll() is not None:
            return True
        for _ in range(20):
            try:
                with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=10):
                    return False
            except OSError:
                time.sleep(0.25)
        return True

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.home / "standalone.log").read_text(errors="replace").splitlines()
            return " | ".join(lines[-5:])
        return "it left no log"

    # --- the test's own plain client --------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if not self._token:
            minted = self._send("POST", "/auth/token", {"username": USER, "password": PASSWORD}, {})
            self._token = minted["access_token"]
        return self._send(method, path, body, {"Authorization": f"Bearer {self._token}"})

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        more = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data=data, headers=more, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def run_state(self, dag: str, run: str) -> str:
        return self.get(f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]

    def trigger(self, dag: str, run: str, conf: dict[str, Any] | None = None) -> None:
        self.post(f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": run, "logical_date": None, "conf": conf or {}})

    def wait(self, what: str, fact: Callable[[], Any], seconds: float = 180.0) -> Any:
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
        server = inspect.signature(test).bind(*args, **kwargs).arguments["airflow3"]
        for last in (False, True):
            try:
                return await test(*args, **kwargs)
            except Exception as err:
                if not server.died():
                    raise
                server.deaths += 1
                said = server.last_words()
                if last:
                    raise ServerDied(f"the server died twice under this test: {said}") from err
                print(f"the server died under the test and is started again: {said}", file=sys.stderr)
                server.restart()
        return None

    return guarded


@pytest.fixture(scope="module")
def airflow3() -> Iterator[Airflow3]:
    """One server for all tests of a module. A death at the start is retried once."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-airflow-", ignore_cleanup_errors=True) as folder:
        server = Airflow3(Path(folder) / "home")
        try:
            try:
                server.start()
            except ServerDied as err:
                print(f"{err}; started once more", file=sys.stderr)
                server.restart()
            yield server
        finally:
            server.stop()


def _seed(db: Path, dag: str, count: int) -> None:
    """Ended runs, minutes apart, written before the server starts: through the API each would have to be run."""
    with contextlib.closing(sqlite3.connect(db)) as con, con:
        must = {r[1] for r in con.execute("PRAGMA table_info(dag_run)") if r[3] and r[4] is None and not r[5]}
        now = time.time()
        rows: list[dict[str, Any]] = []
        for i in range(count):
            at = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(now - 60 * (i + 1)))
            row: dict[str, Any] = dict.fromkeys(
                ("run_after", "queued_at", "start_date", "end_date", "updated_at"), at
            ) | {"dag_id": dag, "run_id": f"seed_{i:04d}", "state": "success", "run_type": "manual"}
            row |= {k: 0 for k in must - row.keys()}
            rows.append(row | {"conf": "{}"})
        names = list(rows[0])
        sql = f"INSERT INTO dag_run ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"  # noqa: S608
        con.executemany(sql, rows)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _group_lives(group: int) -> bool:
    """Any process of the group that is not a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False
