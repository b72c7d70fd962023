"""The SQL adapter keeps the contract of sources that measure, against a SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import MetricsContract
from tests.sql.world import File


class TestSqlContract(MetricsContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> File:
        return File(tmp_path)

    async def test_many_queries_cost_few_requests(self, server: File) -> None:
        """SQL of several people cannot be made into one statement: one each, and one for the clock."""
        adapter = server.adapter()
        queries = [server.measure(f"n{i}", float(i)) for i in range(20)]
        await adapter.samples(queries)
        before = server.asked()
        await adapter.runs(None)
        await adapter.samples(queries)
        await adapter.samples(queries[:2])
        assert server.asked() - before == 1 + 21 + 3
        await adapter.close()
