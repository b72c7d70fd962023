"""Engines that die while they act: ``python -m tests.actions.to_be_killed FOLDER SEED WHERE…``, one forked child each.

The orchestrator is a file: a line for every call that reaches it and one for its effect, each on disk before it goes
on, so that it knows more than any engine that was killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.base import Done, NotDone, Prepared, Reconciled, SendResult, Sent
from adapters.model import Pipeline
from engine.actions import Actions
from engine.actions.execute import Executor
from engine.clock import Clock
from engine.config.model import Config, Source
from engine.context import Context
from engine.store import sources
from engine.store.writer import Store
from tests.actions.conftest import ME, _places
from tests.actions.fake import FakeAdapter

KEY = "file:daily"
WHERE = ("after-intent", "before-effect", "after-effect", "random")


class FileAdapter(FakeAdapter):
    """``start`` appends to a file. It may kill its own process before or after that."""

    def __init__(self, clock: Clock, path: Path, where: str = "", pause_s: float = 0.0) -> None:
        super().__init__(clock, "file")
        self.path = path
        self.where = where
        self.pause_s = pause_s

    async def read(self, key: str) -> Pipeline:
        return Pipeline(key=key, name="daily")

    async def send(self, prepared: Prepared) -> SendResult:
        self.append(f"call {prepared.action.client_id}")
        await asyncio.sleep(self.pause_s)
        if self.where == "before-effect":
            die()
        self.append(f"effect {prepared.action.client_id}")
        await asyncio.sleep(self.pause_s)
        if self.where == "after-effect":
            die()
        return Sent("start accepted", f"{KEY}/{prepared.action.client_id}")

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        there = f"effect {prepared.memo['run']}" in self.lines()
        return Done("its run is there", f"{KEY}/{prepared.memo['run']}") if there else NotDone("no such run")

    def append(self, line: str) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
        os.close(descriptor)

    def lines(self) -> Sequence[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def open_floor(folder: Path, clock: Clock, adapter: FileAdapter) -> tuple[Context, Actions]:
    store = Store.open(folder / "floor.db", clock)
    config = Config(
        path=folder / "w.toml", folder=folder, hash="h", sources=(Source(name="file", kind="fake", protected=False),)
    )
    with store.transaction() as tx:
        ids = sources.sync_sources(tx, [sources.SourceRecord(name="file", kind="fake")])
    ctx = Context(
        clock=clock, store=store, config=config, places=_places(folder), adapters={"file": adapter}, source_ids=ids,
        poll_soon=lambda _: None, log=lambda _: None,
    )  # fmt: skip
    return ctx, Actions(ctx)


async def act(folder: Path, where: str, seed: int) -> None:
    chance = random.Random(seed)
    adapter = FileAdapter(Clock(), folder / "world.txt", where, chance.uniform(0, 0.01))
    _, actions = open_floor(folder, Clock(), adapter)
    await actions.resume()
    plan = await actions.plan({"verb": "start", "key": KEY}, ME)
    if where == "after-intent":
        Executor.start = lambda *_: die()  # type: ignore[method-assign,assignment]
    if where == "random":
        after = chance.uniform(0, 0.04)
        threading.Thread(target=lambda: (time.sleep(after), die()), daemon=True).start()
    body = {"plan": plan["plan"], "nonce": plan["nonce"], "hash": plan["hash"]}
    await asyncio.gather(*(actions.act(body, ME) for _ in range(3)))
    await asyncio.sleep(0.05)
    die()


def main() -> None:
    base, seed = Path(sys.argv[1]), int(sys.argv[2])
    for number, where in enumerate(sys.argv[3:]):
        folder = base / f"{number}-{where}"
        folder.mkdir()
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(act(folder, where, seed + number))
            finally:
                os._exit(1)  # it should have been killed
        _, status = os.waitpid(child, 0)
        print(
            f"{number} {where} seed {seed + number} signal {os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}",
            flush=True,
        )


if __name__ == "__main__":
    main()
