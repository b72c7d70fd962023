"""The façade on librdkafka itself, against its own mock cluster: real connections, real threads, real errors."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, BadResponse, Unreachable
from adapters.extras import SeriesQuery, Standing
from adapters.kafka import KafkaAdapter

ROOT = Path(__file__).resolve().parent.parent.parent
LAG = SeriesQuery("lag", "lag(loader)")


class Mock:
    """Three brokers in this process. It lists no groups and describes none: those are named in options."""

    def __init__(self, **config: Any) -> None:
        self.producer: Producer | None = Producer(
            {"test.mock.num.brokers": 3, "bootstrap.servers": "ignored:1", "log_level": 0, **config}
        )
        brokers = self.producer.list_topics(timeout=10).brokers.values()
        self.servers = ",".join(f"{b.host}:{b.port}" for b in brokers)

    def write(self, topic: str, count: int, partition: int = 0) -> None:
        assert self.producer is not None
        for _ in range(count):
            self.producer.produce(topic, b"x", partition=partition)
        assert self.producer.flush(10) == 0

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        one = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        one.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        one.close()

    def end(self) -> None:
        self.producer = None


def gone(before: int) -> bool:
    """A thread that was joined may be listed for a moment more."""
    end = time.monotonic() + 2
    while native() > before and time.monotonic() < end:
        time.sleep(0.002)
    return native() == before


@pytest.fixture
def mock() -> Iterator[Mock]:
    made = Mock()
    made.write("orders", 30)
    made.commit("loader", "orders", 10)
    yield made
    made.end()


def adapter(servers: str, make: Any = None, **options: Any) -> KafkaAdapter:
    """``make``: AdminClient, to have librdkafka in this process instead of a child."""
    known = {"groups": ["loader"], "topics": ["orders"], "timeout": 3.0}
    return KafkaAdapter(
        SourceSettings(name="k", kind="kafka", url=f"kafka://{servers}", options=known | options), make=make
    )


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def native() -> int:
    """Threads that are not Python's: librdkafka's."""
    return len(os.listdir("/proc/self/task")) - threading.active_count()


async def test_lag_of_named_groups(mock: Mock) -> None:
    one = adapter(mock.servers)
    found = await one.samples([LAG, SeriesQuery("made", "produced(orders)"), SeriesQuery("b", "brokers")])
    assert {s.series: s.value for s in found.samples} == {"lag": 20.0, "b": 3.0}
    mock.write("orders", 15)
    mock.commit("loader", "orders", 40)
    found = await one.samples([LAG])
    assert {s.series: s.value for s in found.samples} == {"lag": 5.0}
    got = {(i.kind, i.name): i for i in await one.items()}
    assert got["group", "loader"].standing is Standing.FINE
    assert "lag 5" in got["group", "loader"].words
    assert got["group", "loader"].words.startswith("state not "), "the mock cluster cannot describe groups"
    assert {name for kind, name in got if kind == "component"} == {"broker 1", "broker 2", "broker 3", "partitions"}
    assert got["topic", "orders"].standing is Standing.FINE
    await one.close()


async def test_a_group_that_committed_nothing_has_no_lag(mock: Mock) -> None:
    one = adapter(mock.servers, groups=["nobody", "loader"])
    found = await one.samples([SeriesQuery("n", "lag(nobody)"), LAG])
    assert {s.series: s.value for s in found.samples} == {"lag": 20.0}
    assert found.failed == {"n": "it has committed nothing"}
    await one.close()


async def test_the_cluster_goes_and_comes_to_nothing_green(mock: Mock) -> None:
    one = adapter(mock.servers, timeout=0.5)
    assert (await one.samples([LAG])).samples
    mock.end()
    for call in (lambda: one.runs(None), lambda: one.samples([LAG]), one.probe):
        began = time.monotonic()
        with pytest.raises(Unreachable) as away:
            await call()
        assert time.monotonic() - began < 5
        assert "no broker answers" in away.value.what
        assert away.value.what.isprintable()
    await one.close()


async def test_slow_is_not_down() -> None:
    mock = Mock(**{"test.mock.broker.rtt": 200})
    mock.write("orders", 3)
    mock.commit("loader", "orders", 1)
    one = adapter(mock.servers, timeout=5.0)
    assert [s.value for s in (await one.samples([LAG])).samples] == [2.0]
    await one.close()
    mock.end()


async def test_nobody_listens_no_such_host_and_somebody_else_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{free.getsockname()[1]}"
    web = await asyncio.start_server(_answer_html, "127.0.0.1", 0)
    http = f"127.0.0.1:{web.sockets[0].getsockname()[1]}"
    for servers, said in ((dead, "Connection refused"), ("no-such-host.invalid:9092", "no such host"), (http, "")):
        one = adapter(servers, timeout=1.0)
        with pytest.raises((Unreachable, BadResponse)) as wrong:
            await one.runs(None)
        assert said in wrong.value.what, servers
        assert wrong.value.what.isprintable()
        assert len(wrong.value.what) <= 200
        await one.close()
    web.close()
    await web.wait_closed()


async def _answer_html(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def test_no_process_is_left_and_one_that_dies_is_an_answer(mock: Mock, capfd: pytest.CaptureFixture[str]) -> None:
    before = children()
    one = adapter(mock.servers)
    await one.runs(None)
    (child,) = [c for c in children() if c not in before]
    assert not [word for word in child.cmdline() if mock.servers in word], "what it is told goes by its pipe"
    asking = asyncio.create_task(one.samples([LAG]))
    await asyncio.sleep(0)
    child.kill()
    with pytest.raises(Unreachable, match="the client of Kafka ended; a new one is started with the next question"):
        await asking
    assert [s.value for s in (await one.samples([LAG])).samples] == [20.0]
    assert one.spent[0] >= 4, "questions of the one that died count too"
    await one.close()
    assert [c for c in children() if c not in before] == []
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_child_ends_with_its_engine(mock: Mock) -> None:
    code = f"""
import asyncio, os, psutil
from tests.kafka.test_client import adapter
async def main():
    one = adapter({mock.servers!r})
    await one.runs(None)
    print(psutil.Process().children()[0].pid, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stdout, done.stderr.decode()[-500:]
    pid = int(done.stdout)
    end = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.01)


async def test_no_thread_is_left_and_nothing_is_written(mock: Mock, capfd: pytest.CaptureFixture[str]) -> None:
    gc.disable()  # closing must not need the collector
    try:
        before = native()
        for _ in range(3):
            one = adapter(mock.servers, AdminClient, timeout=0.5)
            await one.samples([LAG])
            await one.items()
            assert native() > before
            await one.close()
            await one.close()
            assert gone(before)
        mock.end()
        before = native()
        for _ in range(3):
            one = adapter(mock.servers, AdminClient, timeout=0.3)
            with pytest.raises(Unreachable):
                await one.samples([LAG])
            await one.close()
            assert gone(before)
    finally:
        gc.enable()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


async def test_a_call_that_is_given_up_leaves_nothing_behind(mock: Mock) -> None:
    one = adapter(mock.servers)
    await one.runs(None)
    calls = [asyncio.create_task(c) for c in (one.runs(None), one.samples([LAG]), one.items())]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (await one.samples([LAG])).samples, "the next one is fine"
    closing = asyncio.create_task(one.samples([LAG]))
    await asyncio.sleep(0)
    await one.close()
    found = (await asyncio.gather(closing, return_exceptions=True))[0]
    assert not isinstance(found, BaseException) or isinstance(found, Unreachable), repr(found)


async def test_a_setting_that_librdkafka_refuses_is_one_clause(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_text("this is no certificate")
    one = KafkaAdapter(SourceSettings(name="k", kind="kafka", url="kafkas://h:1", tls_ca=tmp_path / "ca.pem"))
    with pytest.raises(AuthFailed, match="TLS cannot be set up"):
        await one.runs(None)
    await one.close()


async def test_a_token_is_given_to_librdkafka_and_shown_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    given: list[str] = []

    def token() -> str:
        given.append("token-9f3a")
        return "token-9f3a"

    settings = SourceSettings(
        name="k",
        kind="kafka",
        url="kafka://127.0.0.1:1",
        auth={"token": Secret(token, "cmd:get-token")},
        options={"timeout": 0.5},
    )
    one = KafkaAdapter(settings)
    with pytest.raises(Unreachable) as away:
        await one.runs(None)
    assert len(given) >= 2, "asked again by librdkafka itself"
    assert "token-9f3a" not in repr(away.value) + repr(one) + repr(settings)
    await one.close()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
