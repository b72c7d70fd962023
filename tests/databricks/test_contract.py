"""The Databricks adapter keeps the contract: jobs with a personal access token and as a service principal, pipelines, clusters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract, Fault
from tests.databricks.world import FAULTS, ClusterWorld, LikeWorld, PipelineWorld
from tests.servers.databricks_like import FAULTS as SERVED
from tests.servers.databricks_like import DatabricksLike


class TestDatabricks(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DatabricksLike() as like:
            yield LikeWorld(like)
            assert like.invented == []


class TestServicePrincipal(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DatabricksLike() as like:
            yield LikeWorld(like, machine=True)
            assert like.invented == []


class TestPipelines(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DatabricksLike() as like:
            yield PipelineWorld(like)
            assert like.invented == []


class TestClusters(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DatabricksLike() as like:
            yield ClusterWorld(like)
            assert like.invented == []


def test_the_world_of_the_contract_is_whole() -> None:
    assert set(FAULTS) == set(Fault)
    assert set(FAULTS.values()) <= SERVED
