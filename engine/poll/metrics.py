"""What a source measures, asked at its poll cadence: the answers to its ``[[series]]``, and the hosts that it knows of itself.

Beside the polls and never instead of them: nothing here holds the poller's lock, nothing is asked while the budget is
needed, and whatever goes wrong is a reason on a series, never a bad source. A new series gets its past, so that what is
forecast does not start from nothing: one request at a time, while there is room.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapters.base import Adapter
from adapters.errors import AdapterError, BadResponse, RateLimited, Unsupported
from adapters.extras import Readings, SeriesQuery, query_of
from engine.config.model import Source
from engine.context import Context
from engine.store import items as store_items
from engine.store import metrics as store_metrics
from engine.store import samples as store_samples
from engine.store.errors import StoreError

LEAST_S: float = 10.0
"""Between two questions, however often the source is polled."""
LOOK_S: float = 1.0
"""Between two looks at whether something is due; a part of the past is asked for with each."""
PATIENCE_S: Final = 45.0
REST_S: Final = 600.0
"""At most, after answers that fail again and again."""
MOST: Final = 5_000
"""Series of one source; more are refused, all of them."""
PAST_MS: Final = 30 * 86_400_000
STEP_MS: Final = 600_000
PAST_PART_MS: Final = 86_400_000
"""Of what a source measures without being asked, one day a request: it may be thousands of series."""
MANY: Final = 300
"""Series without being asked; of more the past is asked for by the hour, by which forecasts are as good."""
HOUR_MS: Final = 3_600_000
PORTION: Final = 2_000
"""Readings of the past that are stored at once: some 30 ms in which nothing else goes on."""
PAST_AGAIN_S: Final = 3_600.0
"""Until a past that could not be fetched, or that of hosts that came meanwhile, is asked for."""
TRIES: Final = 3
SKEW_MS: Final = 2_000
"""A source's clock that is no further off counts as right: its ``Date`` tells no parts of a second."""


class Metrics:
    """Of one source. ``ready``: whether it answered its last poll; ``room``: whether one part in so many of its budget is left;
    ``skew``: its clock minus ours, ms."""

    def __init__(
        self,
        ctx: Context,
        source: Source,
        source_id: int,
        adapter: Adapter,
        ready: Callable[[], bool],
        room: Callable[[int], bool],
        skew: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._source = source.name
        self._id = source_id
        self._adapter = adapter
        self._ready = ready
        self._room = room
        self._skew = skew
        self.every_s = max(LEAST_S, source.poll_ms / 1000, adapter.min_poll_s)
        self._due = 0.0
        self._failed = 0
        self._named: Mapping[str, str] | None = None
        self._past_due = 0.0
        self._tries: dict[str | None, int] = {}
        self._asked: dict[str, float] = {}
        """When each query was answered last; those with an ``every`` are not asked sooner."""
        self._unasked = True
        """Whether it measures something that nobody named, so that it is asked though no query is due."""
        self._part: int | None = None
        """Until when the past of what is measured without being asked is not fetched yet (ms); None: not begun."""

    async def loop(self) -> None:
        """For ever. Ends by cancelling only."""
        while True:
            await self._ctx.clock.sleep(LOOK_S)
            try:
                await self.look()
            except StoreError as error:
                self._ctx.log(f"{self._source}: metrics not stored: {error}")
            except Exception as error:  # a bug of ours, or of an adapter, in a nicety
                self._ctx.log(f"{self._source}: metrics: {''.join(traceback.format_exception(error))}")

    def soon(self) -> None:
        """Ask with the next look (F5)."""
        self._due = 0.0
        self._asked.clear()

    @property
    def queries(self) -> list[SeriesQuery]:
        """As the configuration names them now."""
        return [SeriesQuery(s.name, s.query, s.unit) for s in self._ctx.config.series if s.source == self._source]

    async def look(self) -> None:
        """One look at whether it is due. Never raises for the world's faults."""
        queries = self.queries
        self._name(queries)
        offered = self._adapter.caps.can("metrics")
        if not self._ready() or not (queries or (offered and not self._adapter.near)):
            return
        now = self._ctx.clock.monotonic()
        if now >= self._due and self._room(4):
            self._due = now + self.every_s
            if not offered:
                self._bad(self._adapter.caps.why("metrics"), None)
                return
            due = self._due_now(queries, now)
            if due or self._unasked:
                await self._ask(due)
        elif not self._failed and now >= self._past_due and self._adapter.caps.can("metrics-past") and self._room(2):
            await self._fill(queries)

    def _due_now(self, queries: Sequence[SeriesQuery], now: float) -> list[SeriesQuery]:
        every = {s.name: s.every_ms for s in self._ctx.config.series if s.source == self._source}
        due: list[SeriesQuery] = []
        for q in queries:
            rest, last = every.get(q.name), self._asked.get(q.name)
            if rest is None or last is None or now - last >= rest / 1000 - LOOK_S:
                due.append(q)
        return due

    def _name(self, queries: Sequence[SeriesQuery]) -> None:
        """A query is there as soon as it is configured; one that the configuration names no more is not."""
        named = {q.name: q.unit for q in queries}
        if named != self._named:
            with self._ctx.store.transaction() as tx:
                store_metrics.put_queries(tx, self._source, named)
            self._named, self._due, self._past_due = named, 0.0, 0.0
            self._asked.clear()

    async def _ask(self, queries: Sequence[SeriesQuery]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._adapter.samples(queries)
        except AdapterError as error:
            self._bad(error.what, error)
            return
        except TimeoutError:
            self._bad(f"no whole answer within {PATIENCE_S:.0f} s", None)
            return
        except Exception as error:
            self._bad(f"the adapter stumbled: {type(error).__name__}; engine.log has more", None)
            raise
        if len(found.samples) > MOST:
            self._bad(f"it gives {len(found.samples):,} series, at most {MOST:,} are kept: ask for fewer", None)
            return
        self._failed = 0
        self._keep(queries, found)

    def _keep(self, queries: Sequence[SeriesQuery], found: Readings) -> None:
        skew = self._skew()
        named = {q.name: q.unit for q in self.queries}
        if (
            named != self._named or not {q.name for q in queries} <= named.keys()
        ):  # the configuration changed while it answered
            return
        now = self._ctx.clock.monotonic()
        self._asked.update({q.name: now for q in queries})
        self._unasked = not named or any(query_of(named, s.series) is None for s in found.samples)
        with self._ctx.store.transaction() as tx:
            store_items.put_part(tx, self._id, "metrics", found.failed.get(""))
            asked = {q.name for q in queries}
            store_metrics.put_readings(tx, self._source, named, found, skew if abs(skew) > SKEW_MS else 0, asked)

    def _bad(self, why: str, error: AdapterError | None) -> None:
        """All stays as it was known, with its age and the reason. Asked again ever later, or when the server says."""
        self._failed += 1
        rest = min(REST_S, self.every_s * 2 ** min(self._failed - 1, 6))
        if isinstance(error, RateLimited):
            rest = max(rest, error.retry_after or 0.0)
        self._due = self._ctx.clock.monotonic() + rest
        with self._ctx.store.transaction() as tx:
            store_items.put_part(tx, self._id, "metrics", why)
            store_metrics.put_failed(tx, self._source, why)

    # --- the past ---------------------------------------------------------------------------------------------------

    async def _fill(self, queries: Sequence[SeriesQuery]) -> None:
        """One request for the past of one new series, or for one day of all hosts."""
        with self._ctx.store.transaction() as tx:
            wanted = [u for u in store_metrics.unfilled(tx, self._source) if self._tries.get(u.query, 0) < TRIES]
        by_name = {q.name: q for q in queries}
        one = next((u for u in wanted if u.query is None or u.query in by_name), None)
        clock = self._ctx.clock
        if one is None:
            self._tries.clear()
            self._past_due = clock.monotonic() + PAST_AGAIN_S
            return
        until = clock.now() // STEP_MS * STEP_MS
        since = (until - PAST_MS) // STEP_MS * STEP_MS
        if one.query is None:
            until = self._part if self._part is not None else until
            since = max(since, until - PAST_PART_MS)
        whole = one.query is not None or until - since < PAST_PART_MS or since <= clock.now() - PAST_MS + STEP_MS
        step = HOUR_MS if one.query is None and one.n > MANY else STEP_MS
        try:
            async with asyncio.timeout(PATIENCE_S):
                past = await self._adapter.past_samples(by_name.get(one.query or ""), since, until, step)
        except (AdapterError, TimeoutError) as error:
            self._not_filled(one.query, error)
            return
        except Exception as error:
            self._not_filled(one.query, AdapterError(f"the adapter stumbled: {type(error).__name__}"))
            raise
        self._tries.pop(one.query, None)
        with self._ctx.store.transaction() as tx:
            known = store_metrics.known_series(tx, self._source, one.query)
        mine = [s for s in past if s.series in known]
        for start in range(0, len(mine), PORTION):
            with self._ctx.store.transaction() as tx:
                store_samples.put_past(tx, mine[start : start + PORTION])
            await asyncio.sleep(0)
        if whole:
            with self._ctx.store.transaction() as tx:
                store_metrics.filled(tx, self._source, one.query)
        if one.query is None:
            self._part = None if whole else since

    def _not_filled(self, query: str | None, error: AdapterError | TimeoutError) -> None:
        """Asked for again, not for ever: a forecast that begins today is no trouble that anybody must know of."""
        tries = self._tries[query] = self._tries.get(query, 0) + 1
        if isinstance(error, (Unsupported, BadResponse)) and query is not None:
            tries = self._tries[query] = TRIES
        rest = error.retry_after or 60.0 if isinstance(error, RateLimited) else 60.0
        self._past_due = self._ctx.clock.monotonic() + rest * tries
        said = error.what if isinstance(error, AdapterError) else f"no whole answer within {PATIENCE_S:.0f} s"
        self._ctx.log(f"{self._source}: the past of {query or 'its hosts'}: {said}")
