"""A server shaped like Talend Management Console with a task and a plan, and an adapter on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.talend import TalendAdapter
from tests.servers.talend_like import TalendLike
from tests.talend.world import settings


@pytest.fixture
def like() -> Iterator[TalendLike]:
    with TalendLike() as server:
        server.add_task("daily", "Load sales")
        server.add_plan("nightly", "Nightly", steps=[["extract"], ["load", "report"]])
        yield server
        assert not server.invented, "something was asked that is documented nowhere"


@pytest.fixture
async def adapter(like: TalendLike) -> AsyncIterator[TalendAdapter]:
    one = TalendAdapter(settings(like))
    yield one
    await one.close()
