"""The Prometheus adapter keeps the contract of sources that measure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import MetricsContract
from tests.prometheus.world import LikeWorld
from tests.servers.prometheus_like import PrometheusLike


class TestPrometheusContract(MetricsContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with PrometheusLike() as like:
            yield LikeWorld(like)
            assert like.strange == [], "a path or parameter that the API does not have"
