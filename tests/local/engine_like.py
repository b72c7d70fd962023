"""A process that stands for the engine: ``engine_like.py ROOT FLOOR_FOLDER CLIENT_ID``; starts one run, then ticks for ever."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from adapters.base import Action
from adapters.model import Verb
from tests.local.kit import Floor
from tests.local.test_engine_dies import JOB


async def main() -> None:
    floor = Floor(Path(sys.argv[2]), JOB)
    prepared = await floor.adapter.prepare(Action(verb=Verb.START, key="local:load", client_id=sys.argv[3]))
    print("ready", flush=True)
    await floor.adapter.send(prepared)
    cursor = None
    while True:
        cursor = (await floor.adapter.runs(cursor)).cursor
        await floor.adapter.tick(int(time.time() * 1000))
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
