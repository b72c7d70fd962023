"""The Dataiku adapter keeps the contract: with an administrator's key, with one that sees less, and for builds of datasets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract, Fault
from tests.dataiku.world import FAULTS, BuildWorld, LikeWorld
from tests.servers.dataiku_like import FAULTS as SERVED
from tests.servers.dataiku_like import ApiKey, DataikuLike


class TestDataiku(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DataikuLike() as like:
            yield LikeWorld(like)
            assert like.refused == [], "nothing was asked that no documentation names"


class TestDataikuWithALesserKey(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with DataikuLike(ApiKey("dkuaps-global-k3y", "key-7", "global", admin=False)) as like:
            like.old = True
            yield LikeWorld(like)
            assert like.refused == []


class TestDataikuBuilds(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[BuildWorld]:
        with DataikuLike() as like:
            yield BuildWorld(like)
            assert like.refused == []


def test_the_world_of_the_contract_is_whole() -> None:
    assert set(FAULTS) == set(Fault)
    assert set(FAULTS.values()) <= SERVED
