"""A real PostgreSQL for the tests marked ``real``: the one of this machine, else Debian's package; started on a free port with
passwords and, where there is an openssl, with a certificate; as a plain user, since it refuses root; ended with its children.

The driver is installed into a cache of its own (``DRIVER``): nothing is added to the environment of the tests.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.real.ports import free_port

CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser() / "postgresql"
DRIVER = CACHE / f"driver-{sys.version_info[0]}.{sys.version_info[1]}"
START_S = 30.0
ADMIN, ADMIN_PASSWORD = "postgres", "pw-of-the-admin"
USER, PASSWORD = "watchfloor", "pw-of-the-watcher"
SAMPLES = """
CREATE ROLE watchfloor LOGIN PASSWORD 'pw-of-the-watcher';
CREATE ROLE writer LOGIN PASSWORD 'pw-of-the-watcher';
CREATE SCHEMA ldz;
CREATE TABLE ldz.orders (id int PRIMARY KEY, layer text, loaded timestamptz, part date);
INSERT INTO ldz.orders SELECT i, CASE WHEN i % 4 = 0 THEN 'cdm' ELSE 'ldz' END, '2026-11-20 11:00:00+01', '2026-11-20'
  FROM generate_series(1, 2500) i;
CREATE TABLE ldz.salaries (id int);
CREATE FUNCTION ldz.adds() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ldz.orders VALUES (0); RETURN 1; END $$;
GRANT USAGE ON SCHEMA ldz TO watchfloor, writer;
GRANT SELECT ON ldz.orders TO watchfloor, writer;
GRANT INSERT ON ldz.orders TO writer;
"""


def driver() -> None:
    """psycopg can be imported from now on; a skip with the reason where it cannot be had."""
    if not (DRIVER / "psycopg").is_dir():
        fresh = DRIVER.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(fresh), "psycopg[binary]>=3.2"],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"psycopg cannot be installed: {done.stderr.strip()[-200:]}")
        with contextlib.suppress(OSError):
            fresh.rename(DRIVER)
    if str(DRIVER) not in sys.path:
        sys.path.append(str(DRIVER))


def program(name: str) -> Path:
    """Where it is; a skip with the reason where it cannot be had."""

    def found() -> Path | None:
        there = [Path(p) for p in (shutil.which(name),) if p] + sorted(
            Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
        )
        return there[0] if there else None

    path = found()
    if path is None:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("no postgres in PATH, and no right to install Debian's package")
        done = subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", "postgresql"],
            capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        path = found()
        if path is None:
            pytest.skip(f"Debian's package cannot be installed: {done.stderr.strip()[-200:]}")
    return path


class PostgreSQL:
    """``start`` and ``kill`` as often as wanted; ``freeze(True)``: it takes connections and answers nothing."""

    def __init__(self) -> None:
        driver()
        self.postgres, self.initdb = program("postgres"), program("initdb")
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="watchfloor-pg-"))
        self.log = self.folder / "log"
        self.ca = self.folder / "server.crt"
        self._process: subprocess.Popen[bytes] | None = None
        self._who: dict[str, Any] = {}
        if os.geteuid() == 0:
            plain = pwd.getpwnam("nobody")
            os.chown(self.folder, plain.pw_uid, plain.pw_gid)
            self._who = {"user": plain.pw_uid, "group": plain.pw_gid, "extra_groups": []}

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgreSQL:
        try:
            (self.folder / "pw").write_text(ADMIN_PASSWORD + "\n")
            (self.folder / "pw").chmod(0o644)
            self._run(
                str(self.initdb),
                "-D",
                "data",
                "-U",
                ADMIN,
                "--pwfile=pw",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
            )
            self._certificate()
            self.start()
            for statement in SAMPLES.split(";\n"):
                if statement.strip():
                    self.do(statement)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *argv: str) -> None:
        subprocess.run(
            argv,
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=60,
            env=os.environ | {"HOME": str(self.folder)},
            **self._who,
        )

    def _certificate(self) -> None:
        self.tls = shutil.which("openssl") is not None
        if self.tls:
            self._run(
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=watchfloor-test",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt",
            )  # fmt: skip
            (self.folder / "server.key").chmod(0o600)

    def start(self) -> None:
        tls = (
            [f"-cssl_cert_file={self.ca}", f"-cssl_key_file={self.folder / 'server.key'}", "-cssl=on"]
            if self.tls
            else []
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.postgres), "-D", "data", "-p", str(self.port), "-k", str(self.folder), "-clisten_addresses=127.0.0.1",
                 "-cfsync=off", "-cshared_buffers=16MB", *tls],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._who,
            )  # fmt: skip
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(Exception):
                self.do("SELECT 1")
                return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"postgres did not start: {self.log.read_text()[-500:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """At once, with all that it has open."""
        process, self._process = self._process, None
        if process is None:
            return
        self.freeze(False, process)
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
        process.kill()
        process.wait()

    def freeze(self, on: bool, process: subprocess.Popen[bytes] | None = None) -> None:
        whom = process or self._process
        assert whom is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(whom.pid)
            for one in (head, *head.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.suspend() if on else one.resume()

    def do(self, sql: str) -> list[tuple[Any, ...]]:
        """As its admin."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=ADMIN, password=ADMIN_PASSWORD, dbname="postgres", connect_timeout=3, autocommit=True
        ) as db:  # fmt: skip
            cursor = db.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[tuple[Any, ...]]:
        """Of the one who watches: what they are called and what they do."""
        return self.do("SELECT application_name, state FROM pg_stat_activity WHERE usename = 'watchfloor'")

    def end_sessions(self) -> None:
        self.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watchfloor'")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server
