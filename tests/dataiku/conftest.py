"""A DSS-shaped server with one scenario, and an adapter on it. Nothing undocumented may have been asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.dataiku import DataikuAdapter
from tests.dataiku.world import settings
from tests.servers.dataiku_like import DataikuLike


@pytest.fixture
def like() -> Iterator[DataikuLike]:
    with DataikuLike() as server:
        server.add_scenario("CDM", "daily", tags=["tier1"])
        yield server
        assert server.refused == []


@pytest.fixture
async def adapter(like: DataikuLike) -> AsyncIterator[DataikuAdapter]:
    one = DataikuAdapter(settings(like))
    yield one
    await one.close()
