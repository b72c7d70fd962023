from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers.airflow_like import AirflowLike
from tests.truth.world import Floor


@pytest.fixture
def server() -> Iterator[AirflowLike]:
    with AirflowLike() as found:
        found.add_dag("daily", tasks=("extract", "load", "report"))
        yield found


@pytest.fixture
async def floor(tmp_path: Path, server: AirflowLike) -> AsyncIterator[Floor]:
    found = Floor(tmp_path, server)
    yield found
    await found.close()
