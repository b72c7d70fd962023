"""A cluster-shaped server with one CronJob and a node, and an adapter on it. No test may ask for what the API lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.kubernetes import KubernetesAdapter
from tests.kubernetes.world import settings
from tests.servers.kubernetes_like import KubernetesLike


@pytest.fixture
def like() -> Iterator[KubernetesLike]:
    with KubernetesLike() as server:
        server.add_cron("daily", labels={"app.kubernetes.io/part-of": "sales"})
        server.add_node("node-1")
        yield server
        assert server.invented == []
        assert server.orphans == []


@pytest.fixture
async def adapter(like: KubernetesLike) -> AsyncIterator[KubernetesAdapter]:
    one = KubernetesAdapter(settings(like))
    yield one
    await one.close()
