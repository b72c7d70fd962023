"""The Airflow adapter keeps the contract where an Airflow 2 answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract
from tests.airflow.world import LikeWorld
from tests.servers.airflow2_like import Airflow2Like


class TestAirflow2(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with Airflow2Like() as like:
            yield LikeWorld(like)
