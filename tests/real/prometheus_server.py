"""A real Prometheus with node-exporter for the tests marked ``real``: Debian's packages, unpacked into a cache (nothing is
installed on the machine), started on free ports with a password and below a path, ended with their groups.

Three hosts: two names for one exporter, and one where nobody listens. What happened is asked with plain urllib.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.ports import free_port

CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser() / "prometheus"
PACKAGES = {"prometheus": "prometheus", "prometheus-node-exporter": "prometheus-node-exporter"}
START_S = 30.0
USER, PASSWORD = "ops", "pw-of-the-real-test"
HASH = "$2b$04$oxAc4I6BRipJxInPGePg5e9ThE8QjawZ5bO3INGCQoqM0qHXsc1S."
"""bcrypt of the password, as its web.config.file wants it."""


def binaries() -> dict[str, Path]:
    """Where both programs are; a skip with the reason where they cannot be had."""
    found = {name: Path(shutil.which(name) or CACHE / "usr/bin" / name) for name in PACKAGES}
    if all(path.is_file() for path in found.values()):
        return found
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("no prometheus in PATH, and no apt-get to fetch Debian's packages with")
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["apt-get", "download", *PACKAGES.values()], cwd=CACHE, check=True, capture_output=True, timeout=180
        )
        for package in CACHE.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(CACHE)], check=True, capture_output=True, timeout=60)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Debian's packages cannot be fetched: {error.stderr.decode(errors='replace').strip()[-200:]}")
    except subprocess.TimeoutExpired:
        pytest.skip("Debian's packages did not come within 3 minutes")
    found = {name: CACHE / "usr/bin" / name for name in PACKAGES}
    if not all(path.is_file() for path in found.values()):
        pytest.skip(f"the packages hold no {', '.join(PACKAGES)}")
    return found


class Prometheus:
    """``url`` ends in the path below which its API lies. ``exporter(False)`` ends node-exporter, ``exporter(True)`` starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = binaries()
        self.port, self.exporter_port, self.dead_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/metrics-here"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Prometheus:
        targets = "".join(
            f'    - {{targets: ["127.0.0.1:{port}"], labels: {{host: {name}}}}}\n'
            for name, port in (
                ("etl-01", self.exporter_port),
                ("etl-02", self.exporter_port),
                ("etl-09", self.dead_port),
            )
        )
        (self.folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s, scrape_timeout: 900ms}\n"
            f"scrape_configs:\n- job_name: machines\n  static_configs:\n{targets}"
        )
        (self.folder / "web.yml").write_text(f'basic_auth_users: {{{USER}: "{HASH}"}}\n')
        try:
            self.exporter(True)
            self._start(
                "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.external-url={self.url}/",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.config.file=web.yml", "--log.level=warn",
            )  # fmt: skip
            self._until(lambda: self.query("up") and len(self.query("node_load1")) == 2, "prometheus")
            self._until(lambda: self.query("rate(node_cpu_seconds_total[1m])"), "prometheus")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self._end(name)

    def exporter(self, on: bool) -> None:
        if not on:
            self._end("prometheus-node-exporter")
            return
        self._start(
            "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{self.exporter_port}", "--log.level=error"
        )

    def query(self, text: str) -> list[dict[str, Any]]:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}",
            headers={"Authorization": f"Basic {pair}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)["data"]["result"]

    def _start(self, name: str, *args: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self.programs[name]), *args], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                return

    def _until(self, true: Any, name: str) -> None:
        end = time.monotonic() + START_S
        while True:
            if self._running[name].poll() is not None:
                raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.log').read_text()[-500:]}")
            with contextlib.suppress(OSError, ValueError, urllib.error.URLError):
                if true():
                    return
            if time.monotonic() > end:
                raise RuntimeError(f"{name} was not ready within {START_S:.0f} s")
            time.sleep(0.1)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server
