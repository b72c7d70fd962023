"""Steps of runs that ended unwatched, read while somebody looks at their pipeline's history, and only then.

A few a second, newest first, one request at a time and none while a poll is under way or about to begin. What was read is
in the store, so a look that was broken off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapters.base import Adapter
from adapters.errors import AdapterError, NotFound, RateLimited, Unsupported
from engine.context import Context
from engine.store import history as store_history
from engine.store import steps as store_steps
from engine.store.errors import StoreError
from engine.store.history import Unread

LAST: Final = 50
"""Newest ended runs of a pipeline whose steps are read: the 30 that sentences speak of, and what else a wide screen shows."""
A_LOOK: Final = 3
A_LOOK_NEAR: Final = 10
"""Runs read by one look (once a second); of a source that lies on this host."""
REST_S: Final = 30.0
"""After a bad answer; a server's own Retry-After where it is longer."""
CLEAR_S: Final = 1.0
"""How long before a poll nothing is begun any more."""
REMEMBERED: Final = 20_000


class PastSteps:
    """Of one source. ``room``: whether one part in so many of its budget is left; ``due_s``: seconds until its next poll."""

    def __init__(
        self,
        ctx: Context,
        source: str,
        adapter: Adapter,
        lock: asyncio.Lock,
        room: Callable[[int], bool],
        due_s: Callable[[], float],
    ) -> None:
        self._ctx = ctx
        self._prefix = source + ":"
        self._adapter = adapter
        self._lock = lock
        self._room = room
        self._due_s = due_s
        self._asked: set[Unread] = set()
        """Asked for once in this engine's life: a source that has no steps of a run is not asked for them for ever."""
        self._rest_until = 0.0

    async def look(self, watches: Sequence[dict[str, Any]]) -> int:
        """One look at the histories that are open (``{"history": pipeline key}``): how many runs were read. Never raises."""
        keys = dict.fromkeys(str(w["history"]) for w in watches if w.get("history"))
        mine = [key for key in keys if key.startswith(self._prefix)]
        if not mine or not self._adapter.caps.can("steps"):
            return 0
        try:
            return await self._look(mine)
        except StoreError:  # a full disk: again when there is room
            return 0
        except Exception as error:  # a bug of ours must not end the watch of a source
            self._ctx.log(f"{self._prefix} history: {''.join(traceback.format_exception(error))}")
            self._rest_until = self._ctx.clock.monotonic() + REST_S
            return 0

    async def _look(self, pipelines: Sequence[str]) -> int:
        if self._ctx.clock.monotonic() < self._rest_until:
            return 0
        read = 0
        for unread in self._wanted(pipelines):
            if read >= (A_LOOK_NEAR if self._adapter.near else A_LOOK) or not self._free():
                break
            try:
                async with self._lock:
                    steps = await self._adapter.steps(unread.key)
            except (NotFound, Unsupported):
                self._remember(unread)
                continue
            except AdapterError as error:
                after = error.retry_after if isinstance(error, RateLimited) else None
                self._rest_until = self._ctx.clock.monotonic() + max(REST_S, after or 0.0)
                self._ctx.log(f"steps of {unread.key} for its history: {error.what}; not asked again for a while")
                break
            with self._ctx.store.transaction() as tx:
                store_steps.apply_steps(tx, unread.key, steps)
            self._remember(unread)
            read += 1
        return read

    def _wanted(self, pipelines: Sequence[str]) -> list[Unread]:
        found: list[Unread] = []
        with self._ctx.store.transaction() as tx:
            for key in pipelines:
                found += (u for u in store_history.without_steps(tx, key, LAST) if u not in self._asked)
        return found

    def _free(self) -> bool:
        """Whether nothing that must be known is being asked, or will be in a moment, and the budget has room for niceties."""
        if self._lock.locked() or not self._room(3):
            return False
        return self._adapter.near or self._due_s() > CLEAR_S

    def _remember(self, unread: Unread) -> None:
        if len(self._asked) >= REMEMBERED:
            self._asked.clear()
        self._asked.add(unread)
