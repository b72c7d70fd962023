"""The Airflow adapter keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract
from tests.airflow.world import LikeWorld
from tests.servers.airflow_like import AirflowLike


class TestAirflowContract(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with AirflowLike() as like:
            yield LikeWorld(like)
