"""The Kubernetes adapter keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract
from tests.kubernetes.world import LikeWorld
from tests.servers.kubernetes_like import KubernetesLike


class TestKubernetesContract(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with KubernetesLike() as like:
            yield LikeWorld(like)
            assert like.invented == [], "asked for what the API does not have"
            assert like.orphans == [], "a delete left pods running"
