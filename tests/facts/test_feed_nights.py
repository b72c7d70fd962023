"""A file whose name tells no date, through the whole engine: for which due time it came."""

from __future__ import annotations

import os
from pathlib import Path

from adapters.model import Owed
from tests.engine.scenario import MINUTE, Scenario
from tests.engine.test_nights import AIR, folder

__all__ = ["folder"]


async def test_a_file_that_comes_after_midnight_is_late_and_not_the_next_evenings(folder: Path) -> None:
    file = folder / "in" / "eia.csv"
    file.parent.mkdir()
    toml = f"""
[[feed]]
name = "eia"
file = "{file}"
[[expectation]]
id = "eia-comes"
on = "feed:eia"
type = "source_arrival"
due = "22:00"
"""
    async with Scenario(folder, "2026-11-19 21:00", AIR + toml) as night:
        night.begin()
        await night.until("22:05")
        assert night.state("feed:eia", date="2026-11-19") is Owed.BREACHED
        await night.until("23:55", every=10 * MINUTE)
        await night.step(10 * MINUTE)
        await night.until("00:30", every=5 * MINUTE)
        file.write_text("x")
        os.utime(file, (night.clock.at / 1000 - 30,) * 2)
        await night.step(20_000)
        await night.step(20_000)
        assert night.state("feed:eia", date="2026-11-19") is Owed.MET_LATE
        assert night.state("feed:eia", date="2026-11-20") is Owed.PENDING
        assert not night.alerts()
        await night.until("21:50", every=30 * MINUTE)
        await night.until("22:02")
        assert night.state("feed:eia", date="2026-11-20") is Owed.BREACHED
