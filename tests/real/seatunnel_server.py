"""A real Apache SeaTunnel (Zeta) for the tests marked ``real``: its jars by Maven into a cache, one member on a free port, ended
with its process group.

2.3.8 is the newest release of which the repository had the engine *and* a source and a sink when this was written: it answers
with the older interface (v1, on Hazelcast's port). It boots on Java 17 with Hazelcast's own ``--add-opens``. The engine's
distribution also brings Hadoop's classes; without them its service ends while it starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.kafka_stand import CACHE as KAFKA_CACHE
from tests.real.kafka_stand import end
from tests.real.ports import free_port

VERSION = "2.3.8"
CACHE = KAFKA_CACHE.parent / f"seatunnel-{VERSION}"
MAVEN_S, START_S = 300.0, 90.0
ENGINE = ("seatunnel-engine-server", "seatunnel-transforms-v2", "checkpoint-storage-local-file")
CONNECTORS = ("connector-fake", "connector-console")
ONE = (
    "<dependency><groupId>org.apache.seatunnel</groupId><artifactId>{}</artifactId><version>{}</version>{}</dependency>"
)
ALONE = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
HADOOP = ONE.format("seatunnel-hadoop3-3.1.4-uber", VERSION, "<classifier>optional</classifier>" + ALONE)
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>watchfloor</groupId><artifactId>test-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{}</dependencies></project>
"""
OPENS = [
    "--add-modules", "java.se", "--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED",
    *(f"--add-opens={p}=ALL-UNNAMED" for p in (
        "java.base/java.lang", "java.base/java.nio", "java.base/java.util", "java.base/java.net", "java.base/sun.nio.ch",
        "java.management/sun.management", "jdk.management/com.sun.management.internal",
    )),
]  # fmt: skip
HAZELCAST = """hazelcast:
  cluster-name: watchfloor-{port}
  network:
    rest-api: {{enabled: true, endpoint-groups: {{CLUSTER_WRITE: {{enabled: true}}, DATA: {{enabled: true}}}}}}
    join: {{tcp-ip: {{enabled: true, member-list: ["127.0.0.1:{port}"]}}}}
    port: {{auto-increment: false, port: {port}}}
  properties: {{hazelcast.logging.type: log4j2, hazelcast.phone.home.enabled: "false"}}
"""
SEATUNNEL = """seatunnel:
  engine:
    history-job-expire-minutes: 1440
    backup-count: 0
    queue-type: blockingqueue
    slot-service: {{dynamic-slot: true}}
    checkpoint:
      interval: 2000
      timeout: 60000
      storage: {{type: localfile, max-retained: 3, plugin-config: {{namespace: "{folder}/checkpoints/"}}}}
"""


def jars() -> Path:
    """Folders ``lib`` and ``connectors``; a skip with a sentence where they cannot be had."""
    if not shutil.which("java"):
        pytest.skip("no java in PATH: SeaTunnel needs one")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (CACHE / ".complete").exists():
            return CACHE
        if not shutil.which("mvn"):
            pytest.skip("no mvn in PATH to fetch SeaTunnel with")
        wanted = "".join(ONE.format(name, VERSION, "") for name in (*ENGINE, *CONNECTORS)) + HADOOP
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            pom = Path(work) / "pom.xml"
            pom.write_text(POM.format(wanted))
            ask = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={CACHE}/lib"]
            try:
                done = subprocess.run(ask, capture_output=True, text=True, timeout=MAVEN_S, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"Maven did not fetch SeaTunnel {VERSION} within {MAVEN_S:.0f} s")
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it said nothing"]
            pytest.skip(f"Maven cannot fetch SeaTunnel {VERSION} here: {said[0][:300]}")
        (CACHE / "connectors").mkdir(exist_ok=True)
        for jar in (CACHE / "lib").glob("connector-*.jar"):
            jar.replace(CACHE / "connectors" / jar.name)
        (CACHE / "connectors/plugin-mapping.properties").write_text(
            "seatunnel.source.FakeSource = connector-fake\nseatunnel.sink.Console = connector-console\n"
        )
        (CACHE / ".complete").touch()
    return CACHE


class SeaTunnel:
    """One member that is its own master. ``url`` is Hazelcast's port: the adapter finds the interface below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = f"{self.url}/hazelcast/rest/maps"
        self._jars = jars()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SeaTunnel:
        home = self.folder / "home"
        (home / "config").mkdir(parents=True)
        (home / "connectors").symlink_to(self._jars / "connectors")
        (home / "config/hazelcast.yaml").write_text(HAZELCAST.format(port=self.port))
        (home / "config/seatunnel.yaml").write_text(SEATUNNEL.format(folder=self.folder))
        shutil.copy(self._jars / "connectors/plugin-mapping.properties", home / "config")
        argv = [
            "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *OPENS, f"-DSEATUNNEL_HOME={home}",
            f"-Dseatunnel.config={home}/config/seatunnel.yaml", f"-Dhazelcast.config={home}/config/hazelcast.yaml",
            "-Duser.timezone=UTC", "-cp", f"{self._jars}/lib/*", "org.apache.seatunnel.engine.server.SeaTunnelServerStarter",
        ]  # fmt: skip
        with (self.folder / "seatunnel.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=home, env=os.environ | {"SEATUNNEL_HOME": str(home)}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def _ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while True:
            said = (self.folder / "seatunnel.log").read_text(errors="replace")
            if self._process.poll() is not None or "Error while initializing service" in said:
                raise RuntimeError(f"SeaTunnel ended: {said[-2000:]}")
            with contextlib.suppress(OSError, ValueError, urllib.error.URLError):
                if self.get("/overview").get("projectVersion"):
                    return
            if time.monotonic() > until:
                raise RuntimeError(f"SeaTunnel was not ready within {START_S:.0f} s")
            time.sleep(0.2)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.api + path, timeout=20) as answer:
            return json.load(answer)

    def submit(self, name: str, config: str) -> str:
        """Somebody else's job; its id."""
        target = f"{self.api}/submit-job?jobName={name}"
        with urllib.request.urlopen(urllib.request.Request(target, config.encode()), timeout=20) as answer:
            return str(json.load(answer)["jobId"])

    def job(self, native: str) -> dict[str, Any]:
        return dict(self.get(f"/job-info/{native}"))


@pytest.fixture(scope="module")
def seatunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaTunnel]:
    with SeaTunnel(tmp_path_factory.mktemp("seatunnel")) as server:
        yield server
