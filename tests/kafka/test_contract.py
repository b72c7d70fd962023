"""The Kafka adapter keeps the contract of sources that measure, and that of items."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract, MetricsContract
from tests.kafka.world import LikeWorld
from tests.servers.kafka_like import KafkaLike


class TestKafkaContract(MetricsContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        like = KafkaLike()
        like.topic("orders", 3, 100)
        like.group("loader", "orders", 40)
        yield LikeWorld(like)
        assert like.strange == [], "a call that is not on the page of facts"
        assert like.open == 0, "a client was left open"

    test_what_it_has_beside_runs = AdapterContract.test_what_it_has_beside_runs_is_named_once_and_harmless
