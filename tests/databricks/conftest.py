"""A Databricks-shaped server with one job, and an adapter on it. Nothing may be asked that is not documented."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.databricks import DatabricksAdapter
from tests.databricks.world import settings
from tests.servers.databricks_like import DatabricksLike


@pytest.fixture
def like() -> Iterator[DatabricksLike]:
    with DatabricksLike() as server:
        yield server
        assert server.invented == []


@pytest.fixture
def job(like: DatabricksLike) -> int:
    return like.add_job("daily")


@pytest.fixture
async def adapter(like: DatabricksLike) -> AsyncIterator[DatabricksAdapter]:
    one = DatabricksAdapter(settings(like))
    yield one
    await one.close()
