"""The Kafka Connect adapter keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract
from tests.kafka_connect.world import PASSWORD, USER, LikeWorld
from tests.servers.kafka_connect_like import KafkaConnectLike


class TestKafkaConnectContract(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with KafkaConnectLike(user=USER, password=PASSWORD) as like:
            yield LikeWorld(like)
            assert like.invented == [], "asked for what the API does not have"
