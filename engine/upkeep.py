"""What goes on beside the engine's work: what is old goes, and the store is looked through for damage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.context import Context
from engine.poll import logs
from engine.store import facts, metrics, owed_kept, retention, scrub
from engine.store.writer import StoreDamaged, StoreError

if TYPE_CHECKING:
    from engine.health import Health

HOUSEKEEPING_EVERY_S = 600
SCRUB_EVERY_S = 60


class Upkeep:
    """``housekeeping`` and ``look_for_damage`` each for as long as the engine lives. ``damaged`` is told what was found."""

    def __init__(self, ctx: Context, health: Health, damaged: Callable[[StoreError], None]) -> None:
        self.ctx = ctx
        self._health = health
        self._damaged = damaged

    async def housekeeping(self) -> None:
        clock, store = self.ctx.clock, self.ctx.store
        while True:
            await clock.sleep(60)
            if self._health.doubts:  # by a clock that is years ahead for a minute everything would be old
                continue
            keep = self.ctx.config.store.retain_runs_ms
            gone = retention.PORTION
            try:
                while gone >= retention.PORTION:
                    with store.transaction() as tx:
                        gone = retention.sweep(tx, keep)
                    await asyncio.sleep(0)
                with store.transaction() as tx:
                    facts.sweep(tx, keep)
                    metrics.forget_old(tx)
                    gone = owed_kept.sweep(tx, keep)
                while gone >= owed_kept.PORTION:
                    await asyncio.sleep(0)
                    with store.transaction() as tx:
                        gone = owed_kept.sweep(tx, keep)
            except StoreError:
                pass  # on_failure knows; the same is swept the next time
            await asyncio.to_thread(logs.sweep, self.ctx.places.logs, clock.now() - keep)
            await clock.sleep(HOUSEKEEPING_EVERY_S)

    async def look_for_damage(self) -> None:
        """A table a minute, beside everything else; sooner what the start had no time for."""
        clock, store, file = self.ctx.clock, self.ctx.store, self.ctx.places.store
        while True:
            first = not store.checked
            await clock.sleep(SCRUB_EVERY_S)
            for table in await asyncio.to_thread(scrub.tables, file):
                await clock.sleep(SCRUB_EVERY_S / 12 if first else SCRUB_EVERY_S)
                said = await asyncio.to_thread(scrub.look, file, table)
                if said:
                    self._damaged(StoreDamaged(said))
                    return
            store.checked = True
