"""A real Apache Kafka for the tests marked ``real``: its jars by Maven into a cache, one broker (KRaft, no ZooKeeper) on free
ports, ended with its process group.

    from tests.real.kafka_stand import Broker, jars
    with Broker(tmp_path) as broker: ...                     # broker.url is "127.0.0.1:PORT"
    folder = jars("org.apache.kafka:connect-runtime:" + VERSION)   # more Maven coordinates: a folder of its own

``classpath(folder)`` is what ``java -cp`` wants. The broker keeps its data and its port over ``kill`` and ``start``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.real.ports import free_port

VERSION = "4.1.0"
CACHE = Path(os.environ.get("WATCHFLOOR_TEST_CACHE", "~/.cache/watchfloor-tests")).expanduser() / "kafka"
BROKER = f"org.apache.kafka:kafka_2.13:{VERSION}"
LOGGING = "org.slf4j:slf4j-simple:1.7.36"
MAVEN_S, START_S = 240.0, 60.0
HEAP = "-Xmx512m"
USER, PASSWORD = "watchfloor", "pw-of-the-real-test"
ADMIN, ADMIN_PASSWORD = "admin", "pw-of-the-real-admin"

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>watchfloor</groupId><artifactId>test-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{}
</dependencies></project>
"""
ONE = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def jars(*more: str) -> Path:
    """A folder with the jars of the broker and of further coordinates (``group:artifact:version``), dependencies and all.

    Each set of coordinates has a folder of its own in the cache. Skips the test with a sentence where Maven is not, or where
    its repository does not answer.
    """
    wanted = (BROKER, LOGGING, *more)
    if not shutil.which("java"):
        pytest.skip("no java in PATH: a Kafka broker needs 17 or later")
    name = f"jars-{VERSION}" + (f"-{hashlib.sha256('|'.join(more).encode()).hexdigest()[:12]}" if more else "")
    folder = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".complete").exists():
            return folder
        if not shutil.which("mvn"):
            pytest.skip("no mvn in PATH to fetch Apache Kafka with")
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            pom = Path(work) / "pom.xml"
            pom.write_text(POM.format("\n".join(ONE.format(*one.split(":")) for one in wanted)))
            ask = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
            try:
                done = subprocess.run(ask, capture_output=True, text=True, timeout=MAVEN_S, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"Maven did not fetch Apache Kafka {VERSION} within {MAVEN_S:.0f} s")
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it said nothing"]
            pytest.skip(f"Maven cannot fetch Apache Kafka {VERSION} here: {said[0][:300]}")
        (folder / ".complete").touch()
    return folder


def classpath(folder: Path) -> str:
    return f"{folder}/*"


def end(process: subprocess.Popen[bytes], patience_s: float = 10.0, first: signal.Signals = signal.SIGTERM) -> None:
    """A process that leads its own group, ended with it; killed where it does not end."""
    for sign in (first, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return


class Broker:
    """One broker that is its own controller. ``secure``: clients name themselves by SASL/PLAIN (``USER`` may do only what an ACL
    lets it, ``ADMIN`` all); otherwise anybody may do anything. ``config``: more lines of server.properties. ``joins``: it is
    broker 2 of that one's cluster, and no controller."""

    def __init__(
        self,
        folder: Path,
        *,
        secure: bool = False,
        config: Mapping[str, str] | None = None,
        libraries: Path | None = None,
        joins: Broker | None = None,
    ) -> None:
        self.folder = folder
        self.secure = secure
        self._joins = joins
        self.port = free_port()
        self._controller = joins._controller if joins else free_port()
        self.url = f"127.0.0.1:{self.port}"
        """Bootstrap servers."""
        self.log = folder / "broker.log"
        self._libraries = libraries or jars()
        self._config = dict(config or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self._write()
        self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", "server.properties").wait(
            60
        )
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process, first=signal.SIGKILL)  # its data is thrown away: no need to be gentle
            self._process = None

    def start(self) -> None:
        """Start (again), and wait until it takes connections and says so in its log."""
        said = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._java("kafka.Kafka", "server.properties")
        until = time.monotonic() + START_S
        while b"Kafka Server started" not in self._tail(said):
            if self._process.poll() is not None:
                raise RuntimeError(f"the broker ended: {self._tail(said)[-2000:].decode(errors='replace')}")
            if time.monotonic() > until:
                raise RuntimeError(f"the broker was not ready within {START_S:.0f} s")
            time.sleep(0.1)

    def kill(self) -> None:
        """As if the machine lost its power."""
        assert self._process is not None
        end(self._process, first=signal.SIGKILL)
        self._process = None

    def freeze(self, on: bool) -> None:
        """It takes connections and answers nothing, or goes on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def client(self, user: str = "", password: str = "") -> dict[str, str]:
        """Configuration of a librdkafka client (or of a Java one, but for the names of SASL) that may do all."""
        known = {"bootstrap.servers": self.url}
        if self.secure:
            known |= {
                "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                "sasl.username": user or ADMIN, "sasl.password": password or ADMIN_PASSWORD,
            }  # fmt: skip
        return known

    def _write(self) -> None:
        protocol = "SASL_PLAINTEXT" if self.secure else "PLAINTEXT"
        lines = {
            "process.roles": "broker,controller", "node.id": "1", "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"CLIENT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{self.port}",
            "listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "CLIENT",
            "log.dirs": str(self.folder / "data"), "num.partitions": "1", "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1", "group.initial.rebalance.delay.ms": "0", "auto.create.topics.enable": "false",
            "share.coordinator.state.topic.replication.factor": "1", "share.coordinator.state.topic.min.isr": "1",
        }  # fmt: skip
        if self.secure:
            module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            lines |= {
                "sasl.enabled.mechanisms": "PLAIN", "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": f"User:{ADMIN};User:ANONYMOUS",
                "listener.name.client.plain.sasl.jaas.config": f'{module} username="{ADMIN}" password="{ADMIN_PASSWORD}"'
                f' user_{ADMIN}="{ADMIN_PASSWORD}" user_{USER}="{PASSWORD}";',
            }  # fmt: skip
        if self._joins is not None:
            lines |= {
                "process.roles": "broker", "node.id": "2", "listeners": f"CLIENT://127.0.0.1:{self.port}",
            }  # fmt: skip
        text = "".join(f"{name}={value}\n" for name, value in (lines | self._config).items())
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "server.properties").write_text(text)

    def _java(self, main: str, *args: str) -> subprocess.Popen[bytes]:
        options = [
            HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["java", *options, "-cp", classpath(self._libraries), main, *args], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def tool(self, main: str, *args: str, patience_s: float = 60.0) -> str:
        """What a command-line tool of Kafka says, by its class; it names itself ``ADMIN`` where that is needed."""
        options = [
            HEAP,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        ]
        if self.secure:
            module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            (self.folder / "client.properties").write_text(
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
                f'sasl.jaas.config={module} username="{ADMIN}" password="{ADMIN_PASSWORD}";\n'
            )
            args = (*args, "--command-config", "client.properties")
        done = subprocess.run(
            ["java", *options, "-cp", classpath(self._libraries), main, "--bootstrap-server", self.url, *args], cwd=self.folder,
            capture_output=True, text=True, timeout=patience_s, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-1000:]}{done.stderr[-1000:]}"
        return done.stdout

    def _tail(self, since: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read()
