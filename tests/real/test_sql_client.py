"""The real drivers of Oracle and SQL Server, as far as that goes without their servers: what the adapter calls them by is there, and
closed, silent and strange ports are said as they should be. (PostgreSQL's driver is tried with its server.)"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Secret, SourceSettings
from adapters.errors import Unreachable
from adapters.sql import SqlAdapter
from tests.servers.sql_double import PARAMETERS

pytestmark = pytest.mark.real
CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser()
PACKAGES = {"oracle": "oracledb", "sqlserver": "pymssql"}
PASSWORD = "s3same-0pen"


@pytest.fixture(scope="module")
def drivers() -> None:
    """Both can be imported; a skip with the reason where they cannot be had."""
    folder = CACHE / f"sql-drivers-{sys.version_info[0]}.{sys.version_info[1]}"
    if not folder.is_dir():
        fresh = folder.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(fresh), "oracledb>=2.5", "pymssql>=2.3"],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"the drivers cannot be installed: {done.stderr.strip()[-200:]}")
        with contextlib.suppress(OSError):
            fresh.rename(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """``closed``; ``silent``: takes the connection and says nothing; ``strange``: says something else and hangs up."""
    with socket.socket() as silent, socket.socket() as strange, socket.socket() as closed:
        for one in (silent, strange, closed):
            one.bind(("127.0.0.1", 0))
        silent.listen()
        strange.listen()

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = strange.accept()
                    with caller:
                        caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=talk, daemon=True).start()
        yield {
            name: one.getsockname()[1] for name, one in (("silent", silent), ("strange", strange), ("closed", closed))
        }
        strange.shutdown(socket.SHUT_RDWR)


@pytest.mark.usefixtures("drivers")
@pytest.mark.parametrize("kind", list(PACKAGES))
def test_what_it_is_called_by_is_there(kind: str) -> None:
    module: Any = importlib.import_module(PACKAGES[kind])
    known = set(inspect.signature(module.connect).parameters)
    assert set(PARAMETERS[kind].split()) <= known
    assert issubclass(module.OperationalError, module.Error)
    assert issubclass(module.InterfaceError, module.Error)
    if kind == "oracle":
        assert all(
            hasattr(module.Connection, n) for n in ("call_timeout", "module", "current_schema", "cancel", "version")
        )
        assert module.DB_TYPE_TIMESTAMP_TZ != module.DB_TYPE_TIMESTAMP_LTZ
        assert hasattr(module.defaults, "fetch_lobs")
        module.enable_thin_mode()


@pytest.mark.usefixtures("drivers")
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("kind", list(PACKAGES))
async def test_ports_that_no_database_has(kind: str, encrypted: bool, ports: dict[str, int], monkeypatch: Any) -> None:
    monkeypatch.setattr("adapters.sql.pool.GRACE_S", 0.3)
    for name, words in (("silent", "nothing came for"), ("closed", "refuses connections"), ("strange", "127.0.0.1")):
        one = SqlAdapter(
            SourceSettings(
                name="w", kind="sql", url=f"{kind}://127.0.0.1:{ports[name]}/DWH",
                auth={"user": "watch", "password": Secret(lambda: PASSWORD, "env:T")},
                options={"statement_timeout": "400ms", "connect_timeout": "1s", "encrypted": encrypted},
            )
        )  # fmt: skip
        began = time.monotonic()
        with pytest.raises(Unreachable) as said:
            await one.probe()
        assert words in said.value.what, name
        assert PASSWORD not in f"{said.value!r} {said.value.hint} {said.value.__context__!r}"
        assert time.monotonic() - began < 4
        began = time.monotonic()
        await one.close()
        assert time.monotonic() - began < 1, "a driver that hangs is not waited for"


@pytest.mark.usefixtures("drivers")
async def test_a_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    one = SqlAdapter(
        SourceSettings(
            name="w", kind="sql", url="oracle://no-such-host.invalid/DWH", auth={"user": "watch", "password": Secret(lambda: PASSWORD, "env:T")}
        )
    )  # fmt: skip
    with pytest.raises(Unreachable) as said:
        await one.probe()
    assert said.value.what == "no host is called no-such-host.invalid"
    await one.close()
