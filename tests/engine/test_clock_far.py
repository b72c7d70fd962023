"""A clock that is years wrong for a minute: nothing is forgotten by it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from engine import health
from tests.engine.scenario import DAY, HOUR, MINUTE, Scenario

TOML = (
    '[[source]]\nname = "af"\nkind = "airflow"\nurl = "{url}"\nenvironment = "prod"\nprotected = false\n'
    'auth = { user = "ops", password = { file = "pw" } }\n'
)


async def housekeep(night: Scenario) -> None:
    """Long enough for several rounds of it: who sleeps only gives way here."""
    task = asyncio.create_task(night.engine.upkeep.housekeeping())
    for _ in range(60):
        await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def runs(night: Scenario) -> int:
    with night.engine.store.transaction() as tx:
        return tx.db.execute("SELECT count(*) FROM run").fetchone()[0]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_clock_that_is_years_ahead_for_a_while_forgets_no_run(tmp_path: Path, restart: bool) -> None:
    (tmp_path / "pw").write_text("pa55-of-the-test")
    (tmp_path / "pw").chmod(0o600)
    async with Scenario(tmp_path, "2026-11-20 03:00", TOML) as night:
        night.server.add_dag("daily", tasks=("one",))
        night.past("daily")
        night.begin()
        await night.until("03:20")
        before = runs(night)
        assert before > 5
        jump = 3 * 365 * DAY
        steady = night.clock.monotonic
        night.clock.monotonic = lambda: steady() - jump / 1000  # type: ignore[method-assign]
        night.clock.at += jump
        if restart:
            night.restart()
        else:
            night.engine.health._look_at_clock()
        await housekeep(night)
        assert runs(night) == before
        night.clock.at += int(health.DOUBT_S * 1000) + MINUTE  # it stays so: then it is believed
        assert not night.engine.health.doubts
        await housekeep(night)
        assert runs(night) < before


async def test_an_hour_of_summer_time_or_a_small_step_is_no_doubt(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("pa55-of-the-test")
    (tmp_path / "pw").chmod(0o600)
    async with Scenario(tmp_path, "2026-11-20 03:00", TOML) as night:
        night.begin()
        await night.step(1000)
        night.clock.at += HOUR
        night.engine.health._look_at_clock()
        assert not night.engine.health.doubts
