"""A server shaped like SeaTunnel and an adapter on it. No test may ask for what the API lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.seatunnel import SeaTunnelAdapter
from tests.seatunnel.world import settings, write_config
from tests.servers.seatunnel_like import SeaTunnelLike


@pytest.fixture
def like(tmp_path: Path) -> Iterator[SeaTunnelLike]:
    write_config(tmp_path)
    with SeaTunnelLike(password="pa55-of-the-test") as server:
        yield server
        assert server.invented == []


@pytest.fixture
async def adapter(like: SeaTunnelLike, tmp_path: Path) -> AsyncIterator[SeaTunnelAdapter]:
    one = SeaTunnelAdapter(settings(like, tmp_path))
    yield one
    await one.close()


@pytest.fixture
def v1(tmp_path: Path) -> Iterator[SeaTunnelLike]:
    write_config(tmp_path)
    with SeaTunnelLike(generation="v1") as server:
        yield server
        assert server.invented == []


@pytest.fixture
async def old(v1: SeaTunnelLike, tmp_path: Path) -> AsyncIterator[SeaTunnelAdapter]:
    one = SeaTunnelAdapter(settings(v1, tmp_path))
    yield one
    await one.close()
