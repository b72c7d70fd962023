"""When a source is asked again, and how its requests are counted."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, RateLimited, Unreachable, Unsupported
from adapters.model import Health
from engine.poll import logs
from engine.poll.pace import MAX_BACKOFF_S, Budget, Pace
from engine.poll.words import judge


def test_cadence_has_jitter_and_idle_sources_are_asked_half_as_often() -> None:
    pace = Pace(10.0, random.Random(1))
    busy = [pace.next_s(busy=True) for _ in range(200)]
    idle = [pace.next_s(busy=False) for _ in range(200)]
    assert 9 <= min(busy) < 9.5
    assert 10.5 < max(busy) <= 11
    assert 18 <= min(idle) < max(idle) <= 22
    assert len({round(x, 3) for x in busy}) > 50


def test_back_off_doubles_up_to_its_limit_and_a_good_answer_ends_it() -> None:
    pace = Pace(5.0, random.Random(1))
    waits = []
    for _ in range(12):
        pace.bad()
        waits.append(pace.next_s(busy=True))
    assert waits[1] > waits[0] * 1.5
    assert max(waits) <= MAX_BACKOFF_S * 1.1
    assert pace.open
    pace.good()
    assert not pace.open
    assert pace.next_s(busy=True) <= 5.5


def test_a_servers_retry_after_is_never_undercut() -> None:
    pace = Pace(5.0, random.Random(1))
    pace.bad()
    assert pace.next_s(busy=True, retry_after=77) == 77


def test_budget_counts_the_last_minute() -> None:
    budget = Budget(10)
    budget.note(0.0, (4, 400))
    assert (budget.requests, budget.bytes) == (4, 400)
    budget.note(30.0, (10, 1000))
    assert budget.room(30.0) == 0
    assert 29 < budget.wait_s(30.0) <= 30
    budget.note(61.0, (10, 1000))
    assert budget.requests == 6
    assert budget.wait_s(61.0) == 0
    budget.note(120.0, (10, 1000))
    assert budget.requests == 0


@pytest.mark.parametrize(
    ("error", "health"),
    [
        (RateLimited("slow down", retry_after=3), Health.RATE_LIMITED),
        (AuthFailed("401"), Health.AUTH_FAILED),
        (Forbidden("403"), Health.AUTH_FAILED),
        (Unreachable("refused"), Health.UNREACHABLE),
        (BadResponse("HTML"), Health.BAD_ANSWER),
        (Unsupported("Airflow 1"), Health.BAD_ANSWER),
        (AdapterError("odd"), Health.BAD_ANSWER),
    ],
)
def test_every_error_is_a_health_and_a_sentence(error: AdapterError, health: Health) -> None:
    got, what, hint = judge(error)
    assert got is health
    assert what
    assert hint or type(error) is AdapterError


def test_old_logs_go_and_young_ones_stay(tmp_path: Path) -> None:
    old, young = tmp_path / "s" / "r1" / "a.log", tmp_path / "s" / "r2" / "a.log"
    for file in (old, young):
        file.parent.mkdir(parents=True)
        file.write_text("x")
    os.utime(old, (1000, 1000))
    assert logs.sweep(tmp_path, 2_000_000) == 1
    assert young.exists()
    assert not old.parent.exists()
