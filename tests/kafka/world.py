"""The cluster of ``tests.servers.kafka_like`` as the contract of metric sources wants it, and adapters for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from adapters.base import Secret, SourceSettings
from adapters.contract import Fault
from adapters.extras import SeriesQuery
from adapters.kafka import KafkaAdapter
from tests.servers.kafka_like import KafkaLike

FAULTS: dict[Fault, str] = {
    Fault.DOWN: "down",
    Fault.SLOW: "slow",
    Fault.HANG: "hang",
    Fault.UNAUTHORIZED: "401",
    Fault.SERVER_ERROR: "500",
    Fault.MISSING_FIELDS: "no-ends",
}
"""Kafka has no 403 or 404 to everything (what may not be seen is left out), no HTML, no half answers that librdkafka lets through."""


class Clock:
    """Monotonic seconds that go on when told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def settings(like: KafkaLike, **more: Any) -> SourceSettings:
    options = {"timeout": 0.4, **more.pop("options", {})}
    known: dict[str, Any] = {
        "name": "kafka", "kind": "kafka", "url": "kafkas://k1:9092,k2", "options": options,
        "auth": {"user": "watchfloor", "password": Secret(lambda: like.password, "env:TEST")},
    }  # fmt: skip
    return SourceSettings(**(known | more))


def adapter(like: KafkaLike, clock: Clock | None = None, **more: Any) -> KafkaAdapter:
    return KafkaAdapter(settings(like, **more), make=like.admin, **({"clock": clock} if clock else {}))


class LikeWorld:
    """``adapters.contract_server.MetricsServer`` on a KafkaLike."""

    source = "kafka"
    whole = True

    def __init__(self, like: KafkaLike) -> None:
        self.like = like

    def adapter(self) -> KafkaAdapter:
        return adapter(self.like)

    def fault(self, fault: Fault | None) -> bool:
        if fault is not None and fault not in FAULTS:
            return False
        self.like.bad_day(None if fault is None else FAULTS[fault])
        return True

    def skew(self, seconds: float) -> None:
        """No answer of Kafka carries a time: its clock may be wrong, and nobody hears of it."""

    def now(self) -> int:
        return int(time.time() * 1000)

    def measure(self, name: str, value: float) -> SeriesQuery:
        topic = name.replace(" ", "_")
        self.like.topic(topic, 1, 1_000_000)
        self.like.group(f"of_{topic}", topic, 1_000_000 - int(value))
        return SeriesQuery(name, f"lag(of_{topic}, {topic})")

    def refused(self, name: str) -> SeriesQuery:
        self.like.topic("secret")
        self.like.group("payroll", "secret", refused=30)
        return SeriesQuery(name, "lag(payroll)")

    def hosts(self, count: int) -> int:
        return 0

    def asked(self) -> int:
        """Questions, as they are counted: the offsets of all groups are one, asked next to one another."""
        found = self.like.asked
        return sum(what != "offsets" or found[i - 1 : i] != ["offsets"] for i, what in enumerate(found))

    def effects(self) -> int:
        return len(self.like.strange)

    def secrets(self) -> Sequence[str]:
        return [self.like.password]
