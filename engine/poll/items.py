"""What a source has beside pipelines and runs, asked now and then: its parts, its assets, its backfills.

Beside the polls of runs and never instead of them: nothing here holds the poller's lock, nothing is asked while the
budget is needed, and whatever goes wrong is a reason on that part, never a bad source. A listing that fails leaves what
was known, with its age.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from adapters.base import Adapter
from adapters.errors import AdapterError, Forbidden, RateLimited
from adapters.extras import Operation, Standing
from engine.alerts import Alerts
from engine.context import Context
from engine.store import items as store_items
from engine.store.errors import StoreError
from engine.store.writer import Tx

EVERY_S: Final = {"items": 60.0, "operations": 60.0, "assets": 300.0}
CLOSE_S: Final = 10.0
"""Between two looks at operations while one runs, or a screen looks."""
BAD_S: Final = 30.0
"""Between two looks at items while a component is dead: a second look makes it an alert, a good one ends it."""
PATIENCE_S: Final = 45.0
"""For one listing, all its pages together."""
FORBIDDEN_S: Final = 600.0
REST_S: Final = 600.0
"""At most, after listings that fail again and again."""
PART: Final = 3
"""Of the budget: one part in so many must be left."""


class Parts:
    """Of one source. ``ready``: whether it answered its last poll; ``room``: whether one part in so many of its budget is left;
    ``watches``: what screens look at (``{"source": name}``, ``{"operations": true}``); ``skew``: its clock minus ours, ms."""

    def __init__(
        self,
        ctx: Context,
        source: str,
        source_id: int,
        adapter: Adapter,
        alerts: Alerts,
        told: Callable[[], None],
        ready: Callable[[], bool],
        room: Callable[[int], bool],
        watches: Callable[[], Sequence[dict[str, Any]]],
        skew: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._source = source
        self._id = source_id
        self._adapter = adapter
        self._alerts = alerts
        self._told = told
        self._ready = ready
        self._room = room
        self._watches = watches
        self._skew = skew
        self._due = dict.fromkeys(EVERY_S, 0.0)
        self._asked = dict.fromkeys(EVERY_S, -CLOSE_S)
        self._failed = dict.fromkeys(EVERY_S, 0)
        self._active = False
        """Whether an operation was not over when last looked at."""
        self._notes: tuple[str, ...] = ()

    async def loop(self) -> None:
        """For ever, once a second. Ends by cancelling only."""
        while True:
            await self._ctx.clock.sleep(1.0)
            await self.look()

    def soon(self) -> None:
        """Ask for all of it with the next look (after an action, on F5)."""
        self._due = dict.fromkeys(EVERY_S, 0.0)

    async def look(self) -> None:
        """One look at what is due. Never raises for the world's faults, nor for a store that cannot be written."""
        if not self._ready():
            return
        if self._adapter.notes != self._notes:  # it says itself that something changed
            self._notes = self._adapter.notes
            self._due["items"] = 0.0
        for part in EVERY_S:
            now = self._ctx.clock.monotonic()
            if now < self._when(part) or not self._adapter.caps.can(part) or not self._room(PART):
                continue
            self._asked[part] = now
            self._due[part] = now + EVERY_S[part]
            try:
                await self._ask(part)
            except StoreError as error:
                self._ctx.log(f"{self._source}: {part} not stored: {error}")
            except Exception as error:  # a bug of ours, or of an adapter, in a nicety
                self._ctx.log(f"{self._source}: {part}: {''.join(traceback.format_exception(error))}")

    def _when(self, part: str) -> float:
        due = self._due[part]
        if part != "operations" or self._failed[part]:
            return due
        close = self._active or any(w.get("operations") or w.get("source") == self._source for w in self._watches())
        return min(due, self._asked[part] + CLOSE_S) if close else due

    async def _ask(self, part: str) -> None:
        put: Callable[[Tx], object]
        try:
            async with asyncio.timeout(PATIENCE_S):
                put = await self._asking(part)
        except AdapterError as error:
            self._bad(part, error.what, error)
            return
        except TimeoutError:
            self._bad(part, f"no whole answer within {PATIENCE_S:.0f} s", None)
            return
        except StoreError:
            raise
        except Exception as error:
            self._bad(part, f"the adapter stumbled: {type(error).__name__}; engine.log has more", None)
            raise
        self._failed[part] = 0
        with self._ctx.store.transaction() as tx:
            store_items.put_part(tx, self._id, part, None)
            put(tx)

    def _asking(self, part: str) -> Awaitable[Callable[[Tx], object]]:
        return {"items": self._items, "assets": self._assets, "operations": self._operations}[part]()

    async def _items(self) -> Callable[[Tx], object]:
        found = await self._adapter.items()
        if any(i.kind == "component" and i.standing is Standing.BAD for i in found):
            self._due["items"] = self._asked["items"] + BAD_S

        def put(tx: Tx) -> None:
            store_items.put_items(tx, self._id, found)
            if self._alerts.on_items(tx, self._source, found, self._skew()):
                self._told()

        return put

    async def _assets(self) -> Callable[[Tx], object]:
        found = await self._adapter.assets()
        return lambda tx: store_items.put_assets(tx, self._id, found)

    async def _operations(self) -> Callable[[Tx], object]:
        with self._ctx.store.transaction() as tx:
            known = store_items.followed(tx, self._id)
        found: Sequence[Operation] = await self._adapter.operations(known)
        self._active = any(not o.state.terminal for o in found)
        return lambda tx: store_items.put_operations(tx, self._id, found)

    def _bad(self, part: str, why: str, error: AdapterError | None) -> None:
        """It stays as it was known, with its age and the reason. Asked again ever later, or when the server says."""
        self._failed[part] += 1
        rest = min(REST_S, EVERY_S[part] * 2 ** min(self._failed[part] - 1, 6))
        if isinstance(error, Forbidden):
            rest = FORBIDDEN_S
        if isinstance(error, RateLimited):
            rest = max(rest, error.retry_after or 0.0)
        self._due[part] = self._ctx.clock.monotonic() + rest
        with self._ctx.store.transaction() as tx:
            store_items.put_part(tx, self._id, part, why)
