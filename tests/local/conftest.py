"""Every floor that a test makes is emptied after it: no job outlives the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.model import JobSpec
from tests.local.kit import Floor


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Callable[..., Floor]]:
    made: list[Floor] = []

    def make(*jobs: JobSpec, **options: Any) -> Floor:
        made.append(Floor(tmp_path / f"floor{len(made)}", *jobs, **options))
        return made[-1]

    yield make
    for each in made:
        assert await each.again().stop_all("the end of the test", 10.0) == 0
