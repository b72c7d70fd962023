"""The Talend adapter keeps the contract: with tasks and a personal access token, with plans and a service account
of which it is known how TMC names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import AdapterContract
from tests.servers.talend_like import TalendLike
from tests.servers.talend_state import ME
from tests.talend.world import LikeWorld


class TestTalendTasks(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with TalendLike() as like:
            yield LikeWorld(like)
            assert not like.invented


class TestTalendPlans(AdapterContract):
    @pytest.fixture
    def server(self) -> Iterator[LikeWorld]:
        with TalendLike() as like:
            yield LikeWorld(like, "plan", service_account=True, user=ME)
            assert not like.invented
