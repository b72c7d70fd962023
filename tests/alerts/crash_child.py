"""An engine's alerting in a process of its own, which stops at a named point and waits to be killed there.

``python -m tests.alerts.crash_child FOLDER URL POINT NUMBER``. First it delivers what an earlier life left over; then one
run fails, and on the way of its message it says ``here`` at POINT (``committed marked sending answered``) and stands
still. At ``any`` it says ``here`` and lets one run after the other fail. With POINT ``none`` it delivers everything and ends.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from adapters.model import State
from engine.clock import Clock
from engine.notify import Notifier
from tests.alerts.floor import Floor


async def main(folder: Path, url: str, point: str, number: int) -> None:
    armed = False

    def here(where: str) -> None:
        if armed and where == point:
            print("here", flush=True)
            time.sleep(60)  # the whole process stands still, its loop, too: the kill comes from outside

    floor = Floor(folder, clock=Clock(), urls={"ana": url}, setup=not (folder / "floor.db").exists())
    notifier = Notifier(floor.ctx, fault=here)
    task = asyncio.create_task(notifier.run())
    await settle(floor, notifier, task)
    if point == "any":
        print("here", flush=True)
        for more in range(100_000):
            day = (date(2026, 1, 1) + timedelta(days=number)).isoformat()
            floor.poll(floor.run(State.FAILED, f"r{number}-{more}", date=None, error=f"broken on {day}"))
            notifier.wake()
            await asyncio.sleep(0.01)
    elif point != "none":
        armed = True
        day = (date(2026, 1, 1) + timedelta(days=number)).isoformat()
        floor.poll(floor.run(State.FAILED, f"r{number}", date=day, error=f"broken {number}"))
        here("committed")
        notifier.wake()
        await settle(floor, notifier, task)
        raise SystemExit(f"went past {point}")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    floor.close()


async def settle(floor: Floor, notifier: Notifier, task: asyncio.Task[None]) -> None:
    """Until nothing is left to deliver."""
    while floor.all("SELECT 1 FROM outbox WHERE state IN (0, 1)"):
        assert not task.done()
        notifier.wake()
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
