"""A server shaped like Kafka Connect with one connector, and an adapter on it. No test may ask for what the API lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.kafka_connect import KafkaConnectAdapter
from tests.kafka_connect.world import PASSWORD, USER, settings
from tests.servers.kafka_connect_like import KafkaConnectLike


@pytest.fixture
def like() -> Iterator[KafkaConnectLike]:
    with KafkaConnectLike(user=USER, password=PASSWORD) as server:
        server.state.add("orders")
        yield server
        assert server.invented == []


@pytest.fixture
async def adapter(like: KafkaConnectLike) -> AsyncIterator[KafkaConnectAdapter]:
    one = KafkaConnectAdapter(settings(like))
    yield one
    await one.close()
