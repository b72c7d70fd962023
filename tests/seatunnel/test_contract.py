"""The SeaTunnel adapter keeps the contract, with the newer interface and with the older one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import AdapterContract, Server
from tests.seatunnel.world import LikeWorld
from tests.servers.seatunnel_like import SeaTunnelLike


class TestSeaTunnelContract(AdapterContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[LikeWorld]:
        with SeaTunnelLike(password="pa55-of-the-test", context="/seatunnel") as like:
            yield LikeWorld(like, tmp_path)
            assert like.invented == [], "asked for what the API does not have"


class TestSeaTunnelBeforePages(AdapterContract):
    """2.3.9: logs, no pages, no pending jobs, the oldest of what ended first."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[LikeWorld]:
        with SeaTunnelLike(modern=False) as like:
            yield LikeWorld(like, tmp_path)
            assert like.invented == []


class TestSeaTunnelOlderInterface(AdapterContract):
    """2.3.8 and before, as it was seen live: below Hazelcast's port, no password, no logs."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[LikeWorld]:
        with SeaTunnelLike(generation="v1") as like:
            yield LikeWorld(like, tmp_path)
            assert like.invented == []

    async def test_follows_a_log(self, server: Server) -> None:
        """There is none: that is said, and asking goes on while the job does."""
        adapter = server.adapter()
        step, attempt = server.growing()
        chunk = await adapter.log(step, attempt, None)
        assert (chunk.data, chunk.end) == (b"", False)
        assert "no REST path for logs" in (chunk.note or "")
        await adapter.close()
