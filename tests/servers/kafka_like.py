"""A cluster behind something shaped like confluent-kafka's ``AdminClient``: only for days that librdkafka's own mock cluster cannot have
(it lists no groups, describes none, and refuses nothing).

It holds topics with leaders and copies, groups with members and offsets, and moves only when told to. Results are of the
library's own types, errors are its own ``KafkaException`` with its own codes, and a call that the adapter's page of facts does not name is
refused (``strange``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConsumerGroupListing

NONE = -1001
LEAVES = {
    "bootstrap.servers",
    "security.protocol",
    "client.id",
    "log_level",
    "error_cb",
    "socket.timeout.ms",
    "allow.auto.create.topics",
}


@dataclass
class Part:
    end: int = 0
    leader: int = 1
    replicas: tuple[int, ...] = (1, 2, 3)
    isrs: tuple[int, ...] = (1, 2, 3)


@dataclass
class Group:
    state: ConsumerGroupState = ConsumerGroupState.STABLE
    members: int = 1
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    refused: int | None = None
    """Code of an error for its offsets and its description."""


class KafkaLike:
    """``admin`` is what stands in for ``AdminClient``. ``bad_day``: ``down hang 401 500 slow no-ends list-refused list-partly
    describe-unsupported``."""

    def __init__(self) -> None:
        self.brokers = {1: ("k1", 9092), 2: ("k2", 9092), 3: ("k3", 9092)}
        self.topics: dict[str, dict[int, Part]] = {}
        self.groups: dict[str, Group] = {}
        self.hidden: set[str] = set()
        """Topics that we may not describe: they are in no answer."""
        self.day: str | None = None
        self.password = "pw-of-the-fake-cluster"
        self.asked: list[str] = []
        self.strange: list[str] = []
        self.open = 0
        self.configs: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._lock = threading.Lock()

    def topic(self, name: str, partitions: int = 1, end: int = 0) -> dict[int, Part]:
        self.topics[name] = {n: Part(end) for n in range(partitions)}
        return self.topics[name]

    def group(self, name: str, topic: str = "", committed: int = 0, members: int = 1, **more: Any) -> Group:
        offsets = {(topic, n): committed for n in self.topics.get(topic, {})}
        self.groups[name] = Group(members=members, offsets=offsets, **more)
        return self.groups[name]

    def bad_day(self, day: str | None) -> None:
        self.day = day

    def admin(self, config: dict[str, Any], logger: Any = None) -> Admin:
        assert logger is not None, "librdkafka would write to the terminal"
        assert config["log_level"] == 0
        self.configs.append(config)
        self.open += 1
        return Admin(self, config)


class Admin:
    def __init__(self, like: KafkaLike, config: dict[str, Any]) -> None:
        self._like = like
        self._config = config
        self._events: list[KafkaError] = []

    def __del__(self) -> None:
        self._like.open -= 1

    def __getattr__(self, name: str) -> Any:
        self._like.strange.append(name)
        raise AssertionError(f"the adapter asks for {name}")

    def poll(self, _timeout: float) -> int:
        """Callbacks are called here and nowhere else, as of the library."""
        events, self._events = self._events, []
        for event in events:
            self._config["error_cb"](event)
        return len(events)

    def list_topics(self, timeout: float) -> Any:
        self._enter("topics")
        like = self._like
        if like.day == "down":
            said = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
            self._events.append(KafkaError(KafkaError._TRANSPORT, said))
            raise _error(KafkaError._TRANSPORT, "Failed to get metadata: Local: Broker transport failure")
        if like.day == "401":
            said = f"sasl_ssl://k1:9092/bootstrap: SASL authentication error: {like.password} is not it (after 3ms in state AUTH_REQ)"
            self._events.append(KafkaError(KafkaError._AUTHENTICATION, said))
            raise _error(KafkaError._TRANSPORT, "Failed to get metadata: Local: Broker transport failure")
        if like.day == "hang":
            time.sleep(timeout)
            raise _error(KafkaError._TIMED_OUT, "Failed to get metadata: Local: Timed out")
        if like.day == "500":
            raise _error(KafkaError.UNKNOWN, f"Broker: \x1b[31mUnknown {like.password} " + "far too long " * 40)
        if like.day == "slow":
            time.sleep(0.15)
        topics = {
            name: SimpleNamespace(
                error=None,
                partitions={
                    n: SimpleNamespace(leader=p.leader, replicas=list(p.replicas), isrs=list(p.isrs))
                    for n, p in topic.items()
                },
            )
            for name, topic in like.topics.items()
            if name not in like.hidden
        }
        brokers = {n: SimpleNamespace(host=host, port=port) for n, (host, port) in like.brokers.items()}
        return SimpleNamespace(cluster_id="like", brokers=brokers, topics=topics)

    def list_consumer_groups(self, *, request_timeout: float) -> Future[Any]:
        self._enter("groups")
        like = self._like
        valid = [ConsumerGroupListing(name, False, group.state) for name, group in like.groups.items()]
        errors: list[Any] = []
        if like.day in ("down", "hang", "401"):
            valid, errors = [], [KafkaError(KafkaError._TIMED_OUT, "Local: Timed out")]
        elif like.day == "500":
            valid, errors = [], [KafkaError(KafkaError.UNKNOWN, "Broker: Unknown")]
        elif like.day == "list-refused":
            valid, errors = [], [KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)]
        elif like.day == "list-partly":
            valid, errors = valid[:1], [KafkaError(KafkaError._TRANSPORT, "broker 3 is away")]
        return _done(SimpleNamespace(valid=valid, errors=errors))

    def describe_consumer_groups(self, names: list[str], *, request_timeout: float) -> dict[str, Future[Any]]:
        self._enter("describe")

        def one(name: str) -> Any:
            group = self._like.groups.get(name)
            if self._like.day == "describe-unsupported":
                return _error(KafkaError._UNSUPPORTED_FEATURE, "Local: Required feature not supported by broker")
            if group is None:
                return SimpleNamespace(state=ConsumerGroupState.DEAD, members=[])
            if group.refused is not None:
                return _error(group.refused, f"Broker: refused {self._like.password}")
            return SimpleNamespace(state=group.state, members=[object()] * group.members)

        return {name: _done(one(name)) for name in names}

    def list_consumer_group_offsets(self, requests: list[Any], *, request_timeout: float) -> dict[str, Future[Any]]:
        self._enter("offsets")
        like = self._like
        (request,) = requests
        group = like.groups.get(request.group_id)
        if group is not None and group.refused is not None:
            return {request.group_id: _done(_error(group.refused, f"Broker: refused {like.password}"))}
        offsets = group.offsets if group is not None else {}
        if request.topic_partitions is not None:
            offsets = {
                (p.topic, p.partition): offsets.get((p.topic, p.partition), NONE) for p in request.topic_partitions
            }
        found = [TopicPartition(topic, n, offset) for (topic, n), offset in offsets.items()]
        return {request.group_id: _done(SimpleNamespace(topic_partitions=found))}

    def list_offsets(
        self, request: dict[TopicPartition, Any], *, isolation_level: Any, request_timeout: float
    ) -> dict[Any, Any]:
        self._enter("ends")

        def one(p: TopicPartition) -> Any:
            part = self._like.topics.get(p.topic, {}).get(p.partition)
            if part is None:
                return _error(KafkaError.UNKNOWN_TOPIC_OR_PART, "Broker: Unknown topic or partition")
            if self._like.day == "no-ends":
                return SimpleNamespace(offset=-1)
            return SimpleNamespace(offset=part.end)

        return {p: _done(one(p)) for p in request}

    def _enter(self, what: str) -> None:
        self._like.asked.append(what)


def _error(code: int, text: str) -> KafkaException:
    return KafkaException(KafkaError(code, text))


def _done(result: Any) -> Future[Any]:
    """Answered from another thread, as librdkafka does."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    give: Callable[[Any], None] = future.set_exception if isinstance(result, BaseException) else future.set_result
    threading.Thread(target=give, args=(result,), daemon=True).start()
    return future
