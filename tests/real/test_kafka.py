"""A real Apache Kafka (KRaft), read by the adapter and operated through the engine. What is true Kafka's own tool says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from adapters.base import Secret, SourceSettings
from adapters.errors import AuthFailed, Unreachable
from adapters.extras import SeriesQuery, SourceItem, Standing
from adapters.kafka import KafkaAdapter
from adapters.model import Health
from tests.engine.rig import ROOT, Rig, until
from tests.real.kafka_stand import ADMIN, ADMIN_PASSWORD, PASSWORD, USER, VERSION, Broker, jars

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    libraries = jars(f"org.apache.kafka:kafka-tools:{VERSION}")
    with Broker(tmp_path_factory.mktemp("kafka"), secure=True, libraries=libraries) as made:
        yield made


@pytest.fixture(scope="module")
def admin(broker: Broker) -> AdminClient:
    return AdminClient({**broker.client(), "log_level": 0})


def adapter(broker: Broker, user: str = ADMIN, password: str = ADMIN_PASSWORD, **more: Any) -> KafkaAdapter:
    auth = {"user": user, "password": Secret(lambda: password, "env:T")} if broker.secure else {}
    options = {"timeout": 5.0, **more.pop("options", {})}
    known: dict[str, Any] = {
        "name": "kafka",
        "kind": "kafka",
        "url": f"kafka://{broker.url}",
        "auth": auth,
        "options": options,
    }
    return KafkaAdapter(SourceSettings(**(known | more)))


def topic(admin: AdminClient, name: str, partitions: int = 1, copies: int = 1) -> None:
    admin.create_topics([NewTopic(name, partitions, copies)])[name].result(20)


def write(broker: Broker, name: str, count: int, partition: int = 0) -> None:
    one = Producer({**broker.client(), "log_level": 0})
    for _ in range(count):
        one.produce(name, b"x" * 100, partition=partition)
    assert one.flush(20) == 0


def reader(broker: Broker, group: str, name: str, **config: Any) -> Consumer:
    one = Consumer(
        {
            **broker.client(),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
            **config,
        }
    )
    one.subscribe([name])
    return one


def read(one: Consumer, count: int) -> None:
    """So many messages, committed."""
    got, end = 0, time.monotonic() + 30
    while got < count and time.monotonic() < end:
        got += len([m for m in one.consume(count - got, 1.0) if m.error() is None])
    assert got == count
    one.commit(asynchronous=False)


def commit(admin: AdminClient, group: str, name: str, offset: int, partition: int = 0) -> None:
    """Of a group that nobody is in. A broker that has only just made the topic of offsets refuses the first."""
    end = time.monotonic() + 20
    while True:
        at = ConsumerGroupTopicPartitions(group, [TopicPartition(name, partition, offset)])
        error = admin.alter_consumer_group_offsets([at])[group].result(20).topic_partitions[0].error
        if error is None:
            return
        assert time.monotonic() < end, error
        time.sleep(0.1)


def truth(broker: Broker, group: str) -> dict[tuple[str, int], int]:
    """Lag by partition, as ``kafka-consumer-groups.sh --describe`` prints it."""
    said = broker.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--describe", "--group", group)
    rows = [line.split() for line in said.splitlines() if line.startswith(group)]
    return {(row[1], int(row[2])): int(row[5]) for row in rows if row[5] != "-"}


async def items(one: KafkaAdapter) -> dict[tuple[str, str], SourceItem]:
    return {(i.kind, i.name): i for i in await one.items()}


async def test_lag_is_what_kafkas_own_tool_says(broker: Broker, admin: AdminClient) -> None:
    topic(admin, "orders", 3)
    for n, count in enumerate((40, 25, 12)):
        write(broker, "orders", count, n)
    for n in range(3):
        commit(admin, "loader", "orders", 10, n)
    first = reader(broker, "loader", "orders")
    second = reader(broker, "loader", "orders")
    one = adapter(broker)
    probe = await one.probe()
    assert probe.identity is not None
    assert probe.identity.startswith("admin on cluster ")
    assert probe.permissions == {"metrics": True, "topics": True, "list groups": True, "offsets of groups": True}
    assert probe.warnings == ("the password travels unencrypted: write kafkas:// where the brokers speak TLS",)
    end = time.monotonic() + 30
    while True:  # until both are in
        second.poll(0.2)
        first.poll(0.2)
        group = (await items(one))["group", "loader"]
        if group.words.startswith("stable, 2 members") or time.monotonic() > end:
            break
    assert group.words.startswith("stable, 2 members, lag 47, "), group.words
    before = one.spent[0]
    await one.runs(None)
    found = await one.samples(
        [SeriesQuery("all", "lag(loader)"), SeriesQuery("n", "lag(*, *)"), SeriesQuery("who", "members(loader)")]
    )
    assert one.spent[0] - before <= 5
    got = {s.series: s.value for s in found.samples}
    assert sum(truth(broker, "loader").values()) == got["all"] == 47.0
    assert got["n{group=loader,topic=orders}"] == 47.0
    assert got["who"] == 2.0
    first.close()
    second.close()
    group = (await items(one))["group", "loader"]
    assert group.words.startswith("empty: nobody reads, lag 47")
    assert group.standing is Standing.WARNING
    commit(admin, "partly", "orders", 40)
    group = (await items(await _later(one)))["group", "partly"]
    assert (group.value, group.words) == (0.0, "empty: nobody reads, no lag, nothing committed on 2 partitions")
    assert truth(broker, "partly") == {("orders", 0): 0}, "Kafka's own tool shows no more"
    await one.close()


async def test_a_committed_transaction_leaves_a_lag_of_its_mark(broker: Broker, admin: AdminClient) -> None:
    topic(admin, "ledger")
    writer = Producer({**broker.client(), "transactional.id": "t", "log_level": 0})
    writer.init_transactions(30)
    writer.begin_transaction()
    for _ in range(5):
        writer.produce("ledger", b"x")
    writer.commit_transaction(30)
    one = reader(broker, "booker", "ledger", **{"isolation.level": "read_committed"})
    read(one, 5)
    one.close()
    for isolation in ("read_uncommitted", "read_committed"):
        source = adapter(broker, options={"isolation": isolation})
        found = await source.samples([SeriesQuery("l", "lag(booker)")])
        assert [s.value for s in found.samples] == [1.0], "all five are read; the mark of the commit is a record too"
        await source.close()
    writer.begin_transaction()
    writer.produce("ledger", b"x")
    assert writer.flush(20) == 0
    values: dict[str, float] = {}
    for isolation in ("read_uncommitted", "read_committed"):
        source = adapter(broker, options={"isolation": isolation})
        values[isolation] = (await source.samples([SeriesQuery("l", "lag(booker)")])).samples[0].value
        await source.close()
    writer.abort_transaction(30)
    assert values == {"read_uncommitted": 2.0, "read_committed": 1.0}, "what is not committed yet counts or not"


async def test_offsets_set_beyond_the_end_and_a_topic_that_goes(broker: Broker, admin: AdminClient) -> None:
    topic(admin, "short", 2)
    write(broker, "short", 3)
    commit(admin, "seeker", "short", 100)
    one = adapter(broker, include=("seeker", "short"))
    group = (await items(one))["group", "seeker"]
    assert (group.value, group.words) == (
        0.0,
        "empty: nobody reads, no lag, more committed than there is on 1 partition",
    )
    commit(admin, "seeker", "short", 1)
    assert [s.value for s in (await one.samples([SeriesQuery("l", "lag(seeker)")])).samples] == [2.0]
    admin.delete_topics(["short"])["short"].result(20)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = await one.samples([SeriesQuery("l", "lag(seeker)")])
        if not found.samples:
            break
        await asyncio.sleep(0.2)
        await one.runs(None)  # what is there is asked anew
    assert found.samples == (), "a topic that went is no lag of 0"
    assert "l" in found.failed
    await one.close()


async def test_the_smallest_right_that_works(broker: Broker, admin: AdminClient) -> None:
    topic(admin, "payments")
    write(broker, "payments", 7)
    commit(admin, "payer", "payments", 2)
    one = adapter(broker, USER, PASSWORD)
    probe = await one.probe()
    assert any("no consumer group is to be seen" in w for w in probe.warnings)
    assert any("no topic is to be seen" in w for w in probe.warnings)
    got = await items(one)
    assert "the right to Describe groups is missing" in got["group", ""].words
    await one.close()
    named = {"groups": ["payer"], "topics": ["payments"]}
    one = adapter(broker, USER, PASSWORD, options=named)
    probe = await one.probe()
    assert probe.permissions["offsets of groups"] is False
    assert "not there, or may not be described: topic payments" in probe.warnings
    found = await one.samples([SeriesQuery("l", "lag(payer)")])
    assert found.failed == {"l": "none of the topics asked for is there, or may be described"}
    assert not found.samples
    await one.close()
    one = adapter(broker, USER, PASSWORD, options={"groups": ["payer"]})
    assert "may not read group payer" in (await one.probe()).warnings
    assert (await items(one))["group", "payer"].words.endswith("lag not known: may not read group payer")
    await one.close()
    acls = [
        AclBinding(
            kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", AclOperation.DESCRIBE, AclPermissionType.ALLOW
        )
        for kind, name in ((ResourceType.GROUP, "payer"), (ResourceType.TOPIC, "payments"))
    ]
    for done in admin.create_acls(acls).values():
        done.result(20)
    for options in (named, {}):
        one = adapter(broker, USER, PASSWORD, options=options)
        end, found = time.monotonic() + 20, None
        while (found is None or not found.samples) and time.monotonic() < end:
            found = await one.samples([SeriesQuery("l", "lag(payer)"), SeriesQuery("all", "sum(lag(*))")])
        assert found is not None
        assert {s.series: s.value for s in found.samples} == {"l": 5.0, "all": 5.0}
        got = await items(one)
        assert {n for k, n in got if k == "group"} == {"payer"}
        assert {n for k, n in got if k == "topic"} == {"payments"}
        assert (await one.probe()).permissions["offsets of groups"] is True
        await one.close()


async def test_a_wrong_password_a_frozen_broker_and_a_killed_one(broker: Broker, admin: AdminClient) -> None:
    one = adapter(broker, USER, "not-it-9f3a", options={"timeout": 10.0})  # the first answer of a busy broker is slow
    with pytest.raises(AuthFailed) as refused:
        await one.probe()
    assert "Invalid username or password" in refused.value.what
    assert "not-it-9f3a" not in refused.value.what
    await one.close()
    topic(admin, "steady")
    write(broker, "steady", 9)
    commit(admin, "walker", "steady", 4)
    ask = [SeriesQuery("l", "lag(walker)")]
    one = adapter(broker, options={"timeout": 2.0})
    assert await _values(one, ask) == [5.0]
    broker.freeze(True)
    try:
        for call in (one.runs(None), one.samples(ask), one.items()):
            began = time.monotonic()
            with pytest.raises(Unreachable):
                await call
            assert time.monotonic() - began < 8
    finally:
        broker.freeze(False)
    await _well(one)
    broker.kill()
    try:
        with pytest.raises(Unreachable, match="no broker answers"):
            await one.samples(ask)
    finally:
        broker.start()
    await _well(one)
    assert await _values(one, ask) == [5.0]
    await one.close()


async def _well(one: KafkaAdapter) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            await one.runs(None)
            return
        except Unreachable:
            assert time.monotonic() < end, "it answers again, and is not heard"


async def _values(one: KafkaAdapter, ask: list[SeriesQuery]) -> list[float | None]:
    """The first samples that it has; a coordinator that was just started loads what was committed."""
    end = time.monotonic() + 60
    while True:
        try:
            if found := (await one.samples(ask)).samples:
                return [s.value for s in found]
            await one.runs(None)
        except Unreachable:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, "it answers, and has no samples"


async def test_hundreds_of_groups_and_topics(broker: Broker, admin: AdminClient) -> None:
    names = [f"many.{i:03d}" for i in range(310)]
    for done in admin.create_topics(
        [NewTopic(n, 1, 1) for n in names], request_timeout=60, operation_timeout=60
    ).values():
        done.result(60)
    pending = [
        admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(f"g{n}", [TopicPartition(n, 0, 0)])])[f"g{n}"]
        for n in names
    ]
    for done in pending:
        done.result(60)
    one = adapter(broker, include=("many.*", "gmany.*"), options={"timeout": 10.0})
    await one.runs(None)
    before, began = one.spent[0], time.monotonic()
    found = await one.samples([SeriesQuery("n", "max(lag(*))"), SeriesQuery("each", "lag(*)")])
    took = time.monotonic() - began
    assert one.spent[0] - before == 3
    assert took < 15, f"a look took {took:.1f} s"
    assert {s.series: s.value for s in found.samples} == {"n": 0.0}
    assert "it gives 310 series" in found.failed["each"]
    got = await items(one)
    assert len([n for k, n in got if k == "group"]) == 310
    assert len([n for k, n in got if k == "topic"]) == 310
    assert got["group", "gmany.000"].words == "empty: nobody reads, no lag"
    print(f"\n310 groups on 310 topics: a look took {took:.2f} s")
    await one.close()


# --- through the engine -------------------------------------------------------------------------------------------------


def shown(rig: Rig, screen: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "show", screen, "--format", "json", "--config", str(rig.config)],
        capture_output=True, timeout=30, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)["data"]


def test_through_the_engine_until_the_broker_is_killed(broker: Broker, admin: AdminClient, tmp_path: Path) -> None:
    topic(admin, "events", 2)
    write(broker, "events", 500)
    one = reader(broker, "eater", "events", **{"session.timeout.ms": 6000})
    read(one, 100)
    (tmp_path / "secret").write_text(ADMIN_PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    toml = f"""
[[source]]
name = "kafka"
kind = "kafka"
url = "kafka://{broker.url}"
environment = "prod"
poll = "15s"
include = ["eater", "topic:events"]
auth = {{ user = "{ADMIN}", password = {{ file = "secret" }} }}
options = {{ timeout = 3 }}

[[series]]
name = "events lag"
source = "kafka"
query = "lag(eater)"
unit = "messages"
normal = [0.0, 100.0]

[[series]]
name = "events drain"
source = "kafka"
query = "drain(eater)"
unit = "s"

[[series]]
name = "wrong"
source = "kafka"
query = "lag(nobody-is-called-that)"
"""
    quick = (
        "import engine.poll.metrics as m; m.LEAST_S = 3.0; import adapters.kafka as k; k.KafkaAdapter.min_poll_s = 3.0"
    )
    quick += (
        "; import engine.poll.items as i; i.EVERY_S['items'] = 3.0; import adapters.kafka.adapter as a; a.FRESH_S = 1.0"
    )
    with Rig(tmp_path, toml.replace('"15s"', '"3s"'), prelude=quick) as rig:

        def row(name: str) -> Any:
            return next((r for r in shown(rig, "hosts")["resources"] if r["series"] == name), {})

        def group() -> Any:
            return next((i for i in rig.reader().items("kafka") if (i.kind, i.name) == ("group", "eater")), None)

        until(lambda: row("events lag").get("value") == 400.0, 40, 0.5)
        assert row("events lag")["unusual"] == "high"
        assert "no group nobody-is-called-that is known" in row("wrong")["note"]
        found = until(group, 20)
        assert found.words.startswith("stable, 1 member, lag 400")
        read(one, 150)
        until(lambda: row("events lag").get("value") == 250.0, 30, 0.5)
        drain = until(lambda: row("events drain").get("value"), 30, 0.5)
        assert 0 < drain < 3600
        until(lambda: "drains in" in group().words, 30)
        kinds = {(i.kind, i.name): i.standing for i in rig.reader().items("kafka")}
        assert kinds["component", "broker 1"] == kinds["component", "partitions"] == kinds["topic", "events"] == 0
        (source,) = [s for s in rig.reader().sources() if s.name == "kafka"]
        assert (source.health, source.pipelines, source.offers) == (Health.FRESH, 0, {"metrics", "items"})
        doctor = subprocess.run(
            [sys.executable, "-m", "tui.cli", "doctor", "--config", str(rig.config)],
            capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        )  # fmt: skip
        assert "✓ series events lag" in doctor.stdout, doctor.stdout
        assert "no group nobody-is-called-that is known" in doctor.stdout
        assert "%3|" not in doctor.stdout + doctor.stderr
        broker.kill()
        try:
            until(
                lambda: [s for s in rig.reader().sources() if s.name == "kafka" and s.health is Health.UNREACHABLE],
                40,
                0.5,
            )
            assert row("events lag")["value"] == 250.0, "what was known stays, with its age"
            kept = group()
            assert kept.value == 250.0
            (source,) = [s for s in rig.reader().sources() if s.name == "kafka"]
            assert source.stale(int(time.time() * 1000) + 60_000), "and is doubted"
        finally:
            one.close()
            broker.start()
        until(lambda: [s for s in rig.reader().sources() if s.name == "kafka" and s.health is Health.FRESH], 60, 0.5)
        until(lambda: group().words.startswith("empty: nobody reads, lag 250"), 40, 0.5)
        assert rig.stop() == 0
        said = rig.log.read_text()
        assert "%3|" not in said
        assert ADMIN_PASSWORD not in said


# --- two brokers --------------------------------------------------------------------------------------------------------


async def test_a_broker_of_two_is_killed(tmp_path: Path) -> None:
    quick = {
        "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "offsets.topic.replication.factor": "2",
    }  # fmt: skip
    with Broker(tmp_path / "one", config=quick) as first, Broker(tmp_path / "two", config=quick, joins=first) as second:
        admin = AdminClient({**first.client(), "log_level": 0})
        made = [
            NewTopic("both", 2, replica_assignment=[[1, 2], [2, 1]]), NewTopic("second", 2, replica_assignment=[[2], [1]]),
            NewTopic("first", 1, replica_assignment=[[1]]),
        ]  # fmt: skip
        for done in admin.create_topics(made).values():
            done.result(30)
        write(first, "second", 5, 0)
        write(first, "first", 5)
        commit(admin, "reader", "second", 1, 0)
        commit(admin, "well", "first", 1)
        one = adapter(first)
        got = await items(one)
        assert got["component", "broker 2"].standing is got["component", "partitions"].standing is Standing.FINE
        assert got["group", "reader"].value == 4.0
        second.kill()
        got = await _once(
            one, lambda got: {got["component", w].standing for w in ("broker 2", "partitions")} == {Standing.BAD}
        )
        assert got["component", "broker 2"].words.startswith("gone: ")
        assert got["component", "partitions"].words.startswith(
            "offline: second-0 has no leader, 6 more under-replicated"
        )
        assert got["topic", "second"].standing is Standing.BAD
        assert got["topic", "both"].words.startswith("under-replicated: 0, 1; 2 partitions, 2 copies")
        assert got["topic", "first"].standing is Standing.FINE
        group = got["group", "reader"]
        assert group.value is None
        assert "the end of second-0 is not known: it has no leader; last 4, " in group.words
        assert got["group", "well"].value == 4.0
        ask = [
            SeriesQuery("o", "offline"),
            SeriesQuery("u", "under_replicated"),
            SeriesQuery("b", "brokers"),
            SeriesQuery("l", "lag(reader)"),
        ]
        found = await one.samples(ask)
        values = {s.series: s.value for s in found.samples}
        assert (values["o"], values["b"]) == (1.0, 1.0)
        assert values["u"] >= 2.0
        assert set(found.failed) == {"l"}
        second.start()
        got = await _once(one, lambda got: got["component", "partitions"].standing is Standing.FINE)
        assert got["group", "reader"].value == 4.0
        await one.close()


async def _once(
    one: KafkaAdapter, true: Callable[[dict[tuple[str, str], SourceItem]], bool]
) -> dict[tuple[str, str], SourceItem]:
    """The first look at which this is so."""
    end = time.monotonic() + 40
    while True:
        got = await _anew(one)
        if true(got):
            return got
        assert time.monotonic() < end, got
        await asyncio.sleep(0.3)


async def _later(one: KafkaAdapter) -> KafkaAdapter:
    """After another look."""
    await one.runs(None)
    await one.samples([])
    return one


async def _anew(one: KafkaAdapter) -> dict[tuple[str, str], SourceItem]:
    """Not what was seen a moment ago."""
    return await items(await _later(one))
