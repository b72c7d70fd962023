from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.facts.kit import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(**config: Any) -> House:
        made.append(House(tmp_path, **config))
        return made[-1]

    yield make
    for one in made:
        one.store.close()
