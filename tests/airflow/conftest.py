"""An Airflow-shaped server with one DAG, and an adapter on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.airflow import AirflowAdapter
from tests.airflow.world import settings
from tests.servers.airflow_like import AirflowLike


@pytest.fixture
def like() -> Iterator[AirflowLike]:
    with AirflowLike() as server:
        server.add_dag("daily", tasks=("extract", "load", "report"), mapped={"load": 2}, tags=("tier1",))
        yield server


@pytest.fixture
async def adapter(like: AirflowLike) -> AsyncIterator[AirflowAdapter]:
    one = AirflowAdapter(settings(like))
    yield one
    await one.close()
