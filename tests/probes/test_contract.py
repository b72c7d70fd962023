"""Files, endpoints and commands keep the contract of sources that measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import MetricsContract
from tests.probes.worlds import CommandWorld, FilesWorld, HttpWorld
from tests.servers.http_probe_like import HttpProbeLike


class TestHttpContract(MetricsContract):
    @pytest.fixture
    def server(self) -> Iterator[HttpWorld]:
        with HttpProbeLike() as like:
            yield HttpWorld(like)
            assert like.invented == []
            assert like.effects == []


class TestFilesContract(MetricsContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> FilesWorld:
        return FilesWorld(tmp_path)


class TestCommandContract(MetricsContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> CommandWorld:
        return CommandWorld(tmp_path)
