"""The terminal as it is, with a 5 ms ticker beside it: how late is its loop? Prints ``p50 p99 max`` in ms to the file of argv[1]."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path as _Path

sys.path.insert(0, str(_Path(__file__).resolve().parent.parent.parent))
from argparse import Namespace
from pathlib import Path

import tui.app
from tui import launch
from tui.app import WatchfloorApp

LATE: list[float] = []


class Ticking(WatchfloorApp):
    def on_mount(self) -> None:
        super().on_mount()
        self._ticker = asyncio.create_task(self.tick())

    async def tick(self) -> None:
        await asyncio.sleep(2.0)  # the start is another figure
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            LATE.append((time.perf_counter() - due) * 1000)


def main() -> None:
    from engine.config.paths import places

    tui.app.WatchfloorApp = Ticking  # type: ignore[misc]
    launch.run(
        Namespace(config=None, theme=None, ascii=False, read_only=True, slow_link=False),
        places(Path(sys.argv[2])),
        "floor",
    )
    ordered = sorted(LATE)
    pick = [ordered[min(int(len(ordered) * q), len(ordered) - 1)] for q in (0.5, 0.99)] if ordered else [0.0, 0.0]
    Path(sys.argv[1]).write_text(f"{pick[0]} {pick[1]} {ordered[-1] if ordered else 0.0} {len(ordered)}")


main()
