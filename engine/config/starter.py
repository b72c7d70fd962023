"""What ``watchfloor init`` writes: a file that loads as it is, says what may stand in it, and holds what this host has."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.config.at import printable
from engine.config.build import installed_kinds

LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """Something on this host. ``words``: one sentence; ``toml``: its block; ``ready``: this version can watch it."""

    kind: str
    words: str
    toml: str
    ready: bool = True


_HEAD = """\
# Watchfloor's configuration. `watchfloor check` reads it and says what is wrong; a running engine takes a change within
# two seconds and keeps the old one if the new one is wrong. Lines that begin with # are examples: remove the # to use one.
# Every key, with its meaning: `watchfloor schema`. Further files in watchfloor.d/*.toml add entries.

# Of people and schedules where nothing nearer says otherwise.
timezone = {timezone}
"""

_TAIL = """
# --- an orchestrator to watch ------------------------------------------------------------------------------------------
# Without `protected = false` a source is protected: nothing can be done to it until a person arms it (A) for a minute,
# and disruptive acts ask for the typed name. Secrets are references: env, file, cmd (a program) or cred (systemd).
#[environment.prod]
#color = "red"

#[[source]]
#name = "prod-airflow"
#kind = "airflow"
#url = "https://airflow.example.com"
#environment = "prod"
#auth = { user = "ops", password = { env = "AIRFLOW_PASSWORD" } }

# --- what the orchestrator does not know: later entries win per field -----------------------------------------------
#[[pipeline]]
#match = "prod-airflow:sales_*"
#criticality = "high"
#owner = "data-eng"

# --- a job of this host, run by Watchfloor ----------------------------------------------------------------------------
# `run` is a program and its arguments, never a shell line; its folder is the one of this file. Without `schedule` it
# only runs when it is started.
#[[job]]
#name = "load-sales"
#schedule = "*/15 * * * *"
#timeout = "10m"
#retries = 1
#[[job.step]]
#name = "load"
#run = ["python3", "load.py", "--date", "{business_date}"]

# --- what is owed, and by when ------------------------------------------------------------------------------------------
# Missed ticks, failed runs and what is overdue against its own history need no entry. `days` may be "mon-fri", "1,15,-1",
# "first mon" or "last business day"; other types: `watchfloor schema`.
#[[expectation]]
#id = "sales-ready"
#on = "prod-airflow:sales_daily"
#type = "finish_by"
#due = "06:00"
#days = "mon-fri"

# --- who is told --------------------------------------------------------------------------------------------------------
# An Apprise URL is a secret: a reference. The first route that matches wins. `watchfloor notify test` tries it.
#[[contact]]
#name = "ana"
#url = { env = "ANA_APPRISE_URL" }

#[[route]]
#match = "*"
#severity = ">=medium"
#to = ["ana"]
"""


def starter(found: Sequence[Found] = ()) -> str:
    """The text of a first ``watchfloor.toml``. What cannot be watched yet by this version stands as a comment."""
    parts = [_HEAD.replace("{timezone}", json.dumps(host_zone()))]
    if found:
        parts.append("\n# --- found on this host ---\n")
    for item in found:
        block = item.toml if item.ready else "".join(f"# {line}\n" for line in item.toml.splitlines())
        parts.append(f"\n# {item.words}\n{block}")
    return "".join(parts) + _TAIL


def write_starter(path: Path, found: Sequence[Found] = ()) -> bool:
    """Write it; False if a file is there already, which is left as it is (also if it came a moment ago)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with open(fd, "w", encoding="utf-8") as file:
        file.write(starter(found))
    return True


def host_zone(localtime: Path = Path("/etc/localtime")) -> str:
    """The IANA zone that this host keeps, "UTC" if it cannot be told."""
    from engine.config.units import zone

    _, mark, name = str(os.path.realpath(localtime)).partition("/zoneinfo/")
    try:
        return zone(name) if mark else "UTC"
    except ValueError:
        return "UTC"


def discover(
    airflow: tuple[str, int] = ("localhost", 8080),
    prometheus: tuple[str, int] = ("localhost", 9090),
    kinds: frozenset[str] | None = None,
) -> list[Found]:
    """What is here, in about a second: nothing is asked beyond this host, nothing is changed, no credential is used."""
    known = installed_kinds() if kinds is None else kinds
    looks: list[Callable[[], Found | None]] = [
        lambda: _airflow(airflow, known),
        lambda: _timers(known),
        lambda: _prometheus(prometheus, known),
        _host,
    ]
    answers: list[Found | None] = [None] * len(looks)

    def look(n: int) -> None:
        try:
            answers[n] = looks[n]()
        except (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError):
            answers[n] = None

    threads = [threading.Thread(target=look, args=(n,), daemon=True) for n in range(len(looks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT_S)  # a server that sends one byte a second is not waited for
    return [found for found in answers if found is not None]


def _airflow(where: tuple[str, int], kinds: frozenset[str]) -> Found | None:
    host, port = where
    answer = _get(host, port, "/api/v2/version")
    version = cast("dict[str, Any]", answer).get("version") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        return None
    toml = f"""\
[[source]]
name = "airflow"
kind = "airflow"
url = "http://{host}:{port}"
environment = "local"
protected = false
auth = {{ user = "admin", password = {{ env = "AIRFLOW_PASSWORD" }} }}
"""
    words = f"Airflow {printable(version, 20)} on {host}:{port}: set AIRFLOW_PASSWORD where the engine is started"
    return Found("airflow", words, toml, "airflow" in kinds)


def _prometheus(where: tuple[str, int], kinds: frozenset[str]) -> Found | None:
    host, port = where
    answer = _get(host, port, "/api/v1/status/buildinfo")
    data = cast("dict[str, Any]", answer).get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        return None
    version = printable(cast("dict[str, Any]", data).get("version", "?"), 20)
    ready = "prometheus" in kinds
    words = f"Prometheus {version} on {host}:{port}" + ("" if ready else ": this version cannot read it yet")
    toml = f'[[source]]\nname = "prom"\nkind = "prometheus"\nurl = "http://{host}:{port}"\nprotected = false\n'
    return Found("prometheus", words, toml, ready)


def _timers(kinds: frozenset[str]) -> Found | None:
    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():
        return None
    done = subprocess.run(
        [program, "list-timers", "--all", "--no-legend", "--no-pager"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    count = sum(1 for line in done.stdout.splitlines() if line.strip())
    if done.returncode != 0 or not count:
        return None
    ready = "systemd" in kinds
    words = f"systemd, {count} timer{'s' * (count != 1)}" + ("" if ready else ": this version cannot read them yet")
    return Found("systemd", words, '[[source]]\nname = "timers"\nkind = "systemd"\nprotected = false\n', ready)


def _host() -> Found:
    cores = os.cpu_count() or 1
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    words = f"this host: {cores} core{'s' * (cores != 1)}, {gib:.0f} GB: its gauges need no entry"
    return Found("host", words, "")


def _get(host: str, port: int, path: str) -> object:
    """The JSON of one GET without credentials, or None."""
    with socket.create_connection((host, port), LIMIT_S):
        pass  # nobody there is told apart from a server that is slow
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return json.loads(answer.read(65536)) if answer.status == 200 else None
    finally:
        connection.close()
