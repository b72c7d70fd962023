"""The adapter of drivers keeps the contract: with a list alone, and with a status of one run beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import AdapterContract
from tests.commands.world import Driver, DriverWorld


@pytest.mark.parametrize("status", [False, True], ids=["list", "status"])
class TestCommandsContract(AdapterContract):
    @pytest.fixture
    def server(self, tmp_path: Path, status: bool) -> Iterator[DriverWorld]:
        drv = Driver(tmp_path)
        yield DriverWorld(drv, status=status)
        assert drv.state["invented"] == [], "asked for what the driver does not have"
