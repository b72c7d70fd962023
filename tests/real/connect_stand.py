"""A real Kafka Connect for the tests marked ``real``: one distributed worker beside one broker, with a password, on free ports.

    with Broker(folder / "broker", libraries=libraries()) as broker, Worker(folder / "worker", broker) as worker:
        worker.put("lines", {"connector.class": "FileStreamSource", …})     # a connector, by the test's own plain client
        worker.ask("GET", "/connectors/lines/status")

A second ``Worker`` beside the same broker joins the group. It stays until ended with its process group: ``leave`` is in good order,
``kill`` is a worker that loses its power. Work of one that left is shared out anew after ``DELAY_S``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.real.kafka_stand import HEAP, VERSION, Broker, classpath, end, jars
from tests.real.ports import free_port

USER, PASSWORD = "ops", "pw-of-the-real-test"
START_S = 90.0
DELAY_S = 30
"""Long enough to look on, also where a JVM takes its time to end."""
_PARTS = ("connect-runtime", "connect-file", "connect-json", "connect-basic-auth-extension")
_EXTENSION = "org.apache.kafka.connect.rest.basic.auth.extension"


def libraries() -> Path:
    return jars(*(f"org.apache.kafka:{part}:{VERSION}" for part in _PARTS))


class Worker:
    """``url`` is where its REST API lies. What it refuses is raised as urllib.error.HTTPError."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.broker = folder, broker
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        self.folder.mkdir(parents=True)
        lines = {
            "bootstrap.servers": self.broker.url, "group.id": "watchfloor", "listeners": self.url,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.storage.topic": "c-offsets", "offset.storage.replication.factor": "1", "offset.storage.partitions": "1",
            "config.storage.topic": "c-config", "config.storage.replication.factor": "1",
            "status.storage.topic": "c-status", "status.storage.replication.factor": "1", "status.storage.partitions": "1",
            "scheduled.rebalance.max.delay.ms": str(DELAY_S * 1000), "plugin.discovery": "service_load", "offset.flush.interval.ms": "1000",
            "rest.extension.classes": f"{_EXTENSION}.BasicAuthSecurityRestExtension",
        }  # fmt: skip
        (self.folder / "worker.properties").write_text("".join(f"{n}={v}\n" for n, v in lines.items()))
        (self.folder / "users.properties").write_text(f"{USER}={PASSWORD}\n")
        (self.folder / "jaas.conf").write_text(
            f'KafkaConnect {{ {_EXTENSION}.PropertyFileLoginModule required file="{self.folder}/users.properties"; }};\n'
        )
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start (again), and wait until it answers and has joined its group."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["java", HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 f"-Djava.security.auth.login.config={self.folder}/jaas.conf", "-cp", classpath(libraries()),
                 "org.apache.kafka.connect.cli.ConnectDistributed", "worker.properties"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/connectors") is not None:
                    return
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Kafka Connect did not start: {self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            end(self._process, first=signal.SIGKILL)
            self._process = None

    def leave(self) -> None:
        if self._process is not None:
            end(self._process, patience_s=20.0)
            self._process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The test's own plain client: the JSON of an answer, None where there is none."""
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {pair}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def put(self, name: str, config: dict[str, str]) -> None:
        """Make a connector, or change it. A group that has only just begun refuses that for some seconds (409)."""
        until = time.monotonic() + 30
        while True:
            try:
                self.ask("PUT", f"/connectors/{urllib.parse.quote(name, safe='')}/config", config)
            except urllib.error.HTTPError as no:
                if no.code not in (409, 500) or time.monotonic() > until:
                    raise RuntimeError(f"{no.code}: {no.read()[:500]!r}") from None
                time.sleep(0.5)
            else:
                return

    def states(self, name: str) -> tuple[str, list[str]]:
        """Words of a connector and of its tasks; ``("", [])`` while it has no status."""
        try:
            found = self.ask("GET", f"/connectors/{urllib.parse.quote(name, safe='')}/status")
        except urllib.error.HTTPError as no:
            if no.code != 404:
                raise
            return "", []
        return found["connector"]["state"], [t["state"] for t in found["tasks"]]
