"""One source, polled: probe, listing, changes, steps of what failed, and a close look at what somebody watches.

A failed poll changes no state. Every answer belongs to the question it was asked for: one question of a source is under
way at a time, and a poller that was replaced by a reload writes nothing any more.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from adapters.base import Adapter, Page
from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound, RateLimited, Unsupported
from adapters.model import Health, Run, RunKind, State
from engine.alerts import Alerts
from engine.config.model import LOCAL, Source
from engine.context import Context
from engine.facts.dates import Dates
from engine.facts.outputs import steps_wanted
from engine.owing import Owing
from engine.poll.items import Parts
from engine.poll.looking import CloseLook
from engine.poll.metrics import Metrics
from engine.poll.pace import Pace
from engine.poll.run_metrics import RunMetrics
from engine.poll.standing import Standing
from engine.poll.words import judge
from engine.store import actions as store_actions
from engine.store import outputs as store_outputs
from engine.store import runs as store_runs
from engine.store import sources as store_sources
from engine.store import steps as store_steps
from engine.store.errors import StoreError
from engine.store.runs import RunChange

PAGES_PER_POLL = 200
UNREAD_MS = 3_600_000
"""How far back a new engine looks for failures whose log the last one did not come to read."""
SECOND_MS = 1_000
"""The clock of a source may tell whole seconds only."""


class Poller(CloseLook):
    """``start`` it, ``poke`` it for a poll now, ``close`` it."""

    def __init__(
        self,
        ctx: Context,
        source: Source,
        adapter: Adapter,
        source_id: int,
        alerts: Alerts,
        owing: Owing,
        told: Callable[[], None],
        watches: Callable[[], Sequence[dict[str, Any]]],
    ) -> None:
        with ctx.store.transaction() as tx:  # the age of what is known outlives an engine
            known = store_sources.standing_of(tx, source_id)
            unread = store_steps.unread(tx, source_id, ctx.clock.now() - UNREAD_MS)
        super().__init__(ctx, source, adapter, watches, unread)
        self.source_id = source_id
        if known:
            known["health"] = Health(known["health"])
            self.standing = Standing(**known)
        self.pace = Pace(max(source.poll_ms / 1000, adapter.min_poll_s))
        self._alerts = alerts
        self._owing = owing
        self._listed = self._whole = False
        """Whether the last poll was told everything that changed."""
        self._dates = None if source.kind == LOCAL else Dates(source_id, source.timezone)
        self._told = told
        self._poked = asyncio.Event()
        self._listing_due = 0.0
        self._busy = False
        self._history: list[str] | None = None
        self._asked_again: set[str] = set()
        self._told_until: int | None = None
        """By the source's clock: what ended before then was told by a poll, or is the past."""
        self.parts = Parts(
            ctx,
            source.name,
            source_id,
            adapter,
            alerts,
            told,
            self._ready,
            self._room,
            watches,
            lambda: self.standing.skew_ms or 0,
        )
        self.metrics = Metrics(
            ctx, source, source_id, adapter, self._ready, self._room, lambda: self.standing.skew_ms or 0
        )
        self.numbers = RunMetrics(
            ctx, source.name, source_id, adapter, self._lock, self._ready, self._room, self.look_closely, self.fetch_log
        )
        self._tasks: list[asyncio.Task[None]] = []

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name=f"poll {self.source.name}"),
            asyncio.create_task(self._watch_loop(), name=f"watch {self.source.name}"),
            asyncio.create_task(self.parts.loop(), name=f"parts {self.source.name}"),
            asyncio.create_task(self.metrics.loop(), name=f"metrics {self.source.name}"),
            asyncio.create_task(self.numbers.loop(), name=f"numbers {self.source.name}"),
        ]

    def poke(self, *, listing: bool = True) -> None:
        """Ask now, also the listing (after an action, on F5)."""
        if listing:
            self._listing_due = 0.0
            self.parts.soon()
            self.metrics.soon()
        self._poked.set()

    def look_soon(self, run: str) -> None:
        """Read that run's steps with the next poll, although nobody watches it."""
        if run not in self._look and self.adapter.caps.can("steps"):
            self._look.append(run)
            self.poke(listing=False)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.adapter.close()

    async def _run(self) -> None:
        clock = self.ctx.clock
        while True:
            retry_after = None
            self._poked.clear()  # before: who asks for a look meanwhile is not served by an answer to an older question
            try:
                retry_after = await self.poll_once()
            except StoreError as error:  # nothing was taken, so the same is asked again; the engine's beat says why
                self.ctx.log(f"{self.source.name}: not stored: {error}")
            except Exception as error:  # a bug of ours in one source must not end its watch for good
                self.ctx.log(f"{self.source.name}: {''.join(traceback.format_exception(error))}")
            wait = self.pace.next_s(busy=self._busy or self._watched(), retry_after=retry_after)
            least = max(retry_after or 0.0, self.budget.wait_s(clock.monotonic()))  # also when somebody asks for more
            wait = max(wait, least)
            self.standing.next_try = clock.now() + int(wait * 1000)
            if least:
                await clock.sleep(least)
            try:
                async with asyncio.timeout(wait - least):
                    await self._poked.wait()
            except TimeoutError:
                pass

    # --- one poll -------------------------------------------------------------------------------------------------

    async def poll_once(self) -> float | None:
        """One round. Returns the server's Retry-After in seconds, if it named one. Never raises for the world's faults."""
        clock, standing = self.ctx.clock, self.standing
        standing.last_try = clock.now()
        started = clock.monotonic()
        try:
            async with self._lock:
                await self._ask()
        except AdapterError as error:
            await self._failed(error)
            return error.retry_after if isinstance(error, RateLimited) else None
        except (asyncio.CancelledError, StoreError):
            raise
        except Exception as error:  # an adapter that breaks its contract is a bad answer, never a dead engine
            self.ctx.log(f"{self.source.name}: adapter raised {type(error).__name__}: {error}")
            await self._failed(
                AdapterError(
                    f"the {self.source.kind} adapter stumbled: {type(error).__name__}",
                    "a bug of ours; engine.log has more",
                )
            )
            return None
        finally:
            self.budget.note(clock.monotonic(), self.adapter.spent)
        standing.latency_ms = int((clock.monotonic() - started) * 1000)
        if self._whole:
            self._owing.seen(self.source.name, standing.last_try)
        self._good()
        await self._follow_up()
        return None

    async def _ask(self) -> None:
        clock = self.ctx.clock
        if not self._probed or self.pace.open:
            probe = await self.adapter.probe()
            self._probed = True
            self.standing.version, self.standing.identity = probe.version, probe.identity
            self._skew(probe.server_time)
            self._warnings = tuple(w for w in probe.warnings if w not in self.adapter.notes)
            self._write_caps()
        listed = clock.monotonic() >= self._listing_due
        spoiled: AdapterError | None = None
        if listed:
            # before the answer: who asks for a listing while it is on its way wants the next one
            self._listing_due = clock.monotonic() + (2.0 if self.adapter.near else max(30.0, 6 * self.pace.poll_s))
            try:
                listing = await self.adapter.pipelines()
                self._skew(listing.server_time)
                with self.ctx.store.transaction() as tx:
                    told = store_runs.apply_pipelines(tx, self.source_id, listing, self.ctx.config.pipelines)
                    if "pipeline" in tx.bumped or not self._listed:
                        self._listed = True
                        self._owing.on_listing(tx, self.source.name, told)
                if self._history is None:
                    self._history = [p.key for p in listing.items]
            except (BadResponse, Forbidden) as error:  # what runs and fails is told all the same
                self._listing_due, spoiled = 0.0, error
            except BaseException:
                self._listing_due = 0.0
                raise
        cursor, began = self.standing.cursor, self.ctx.clock.now()
        busy = complete = False
        named: set[str] = set()
        for _ in range(PAGES_PER_POLL):
            page = await self.adapter.runs(cursor)
            self._skew(page.server_time)
            busy = any(run.state.active for run in page.runs) or busy
            named.update(run.key for run in page.runs)
            complete = page.complete
            self._apply(page)
            cursor = page.cursor
            self.budget.note(clock.monotonic(), self.adapter.spent)
            if page.complete or self.budget.room(clock.monotonic()) <= 0:  # the rest when the budget allows
                break
            await asyncio.sleep(0)
        self.standing.cursor = cursor
        self._busy, self._whole = busy, complete
        if complete:
            self._told_until = began + (self.standing.skew_ms or 0) - SECOND_MS
        if spoiled is not None:
            raise spoiled
        if listed and complete:
            await self._ask_after(named)

    async def _ask_after(self, named: set[str]) -> None:
        """What is stored as active and was not named is asked about by itself: it ended unseen, or its source lost it."""
        with self.ctx.store.transaction() as tx:
            quiet = store_runs.active_beyond(tx, self.source_id, named)
        for run in quiet:
            if not self._room(4):
                return
            try:
                seen = await self.adapter.read(run.key)
            except NotFound:
                seen = replace(run, native="lost", state=State.LOST, sub="its source no longer knows it")
            except (Forbidden, BadResponse, Unsupported):
                continue  # about this one run only: the source itself has just answered well
            if isinstance(seen, Run):
                self.take([seen])

    def _apply(self, page: Page) -> None:
        if not page.runs:
            return
        self.take(page.runs)

    def take(self, runs: Sequence[Run], *, found: bool = False) -> list[RunChange]:
        """Store observations, judge them, and queue what is to be told: one transaction.

        ``found``: the error in them was found in a log, and stands for good; a poll's own word is less.
        """
        ctx = self.ctx
        full = any(run.state.bad and not run.backfilled for run in runs)
        with ctx.store.transaction(full=full) as tx:
            seen = list(runs) if found else [self._ours(tx, run) for run in runs]
            changes = store_runs.apply_runs(tx, self.source_id, seen, ctx.clock.now())
            self._alerts.on_runs(tx, changes)
            self._owing.on_runs(tx, changes)
            self.numbers.on_runs(tx, changes)
            asked = self._with_outputs(tx, changes)
        for change in changes:
            told = change.after in (State.FAILED, State.WARNING, State.TIMED_OUT)
            near = self.adapter.near or change.pipeline_id in asked
            if not change.backfilled and (told or (near and change.after.terminal)):
                self._look.append(change.key)
        if changes:
            self._told()
        return changes

    def _with_outputs(self, tx: Any, changes: Sequence[RunChange]) -> set[int]:
        """Pipelines, of runs that just ended, of which a step has an output: their steps are read."""
        if not any(c.step is not None for c in self.ctx.config.checks):
            return set()
        ended = {c.pipeline_id for c in changes if c.after.terminal and not c.backfilled}
        facts = {i: found for i in ended if (found := store_outputs.facts_of(tx, i)) is not None}
        return {i for i, one in facts.items() if steps_wanted(self.ctx.config, one)}

    def _ours(self, tx: Any, run: Run) -> Run:
        """Dated by our rule. Our own stop is not a failure: the run is STOPPED, by whom. A reason found in a log stays."""
        if self._dates is not None:
            run = self._dates.of(tx, run)
        if run.state not in (State.FAILED, State.TIMED_OUT) or run.generated:
            return run
        who = store_actions.stopped_by(tx, run.key, run.attempt, run.ended)
        if who is None and run.kind is RunKind.BACKFILL and run.ended is None:
            who = store_actions.cancelled_by(tx, run.key.partition("/")[0], run.queued)
        if who:
            return replace(run, state=State.STOPPED, stopped_by=who, sub=f"by {who}", error=None)
        known = store_steps.said_error(tx, run.key, run.attempt)
        return replace(run, error=known) if known and known != run.error else run

    # --- what a poll leads to -------------------------------------------------------------------------------------

    async def _follow_up(self) -> None:
        """Steps and first error of what just failed; a page of history for prediction while the budget has room."""
        await self._look_at_what_failed()
        if self._history and self.adapter.caps.can("history"):
            await self._fetch_history()

    async def _fetch_history(self) -> None:
        assert self._history is not None
        for _ in range(10 if self.adapter.near else 2):
            if not self._history or not self._room(3):
                return
            key = self._history.pop(0)
            try:
                async with self._lock:
                    past = await self.adapter.history(key)
            except NotFound:
                continue
            except AdapterError as error:
                if self._once_more(key):
                    self._history.append(key)
                else:
                    self.ctx.log(f"{self.source.name}: history of {key}: {error.what}; not before the next start")
                return
            self._tries.pop(key, None)
            fresh = {run.key for run in past if not self._is_past(run)}
            if past:
                with self.ctx.store.transaction() as tx:
                    news = {k for k in fresh if store_runs.run_id_of(tx, k) is None}
                self.take([run for run in past if run.key not in news])  # it may tell first how one ended
                if news and key not in self._asked_again:  # where no poll tells of them they are the past by then
                    self._asked_again.add(key)
                    self._history.append(key)
            await asyncio.sleep(0)

    def _is_past(self, run: Run) -> bool:
        """Whether it ended before the last poll: of a run that nobody knew, what ended since is the next poll's to tell."""
        ended = run.ended if run.ended is not None else run.source_updated
        return ended is None or (self._told_until is not None and ended < self._told_until)

    # --- health ---------------------------------------------------------------------------------------------------

    def _skew(self, server_time: int | None) -> None:
        if server_time is not None:
            self.standing.skew_ms = server_time - self.ctx.clock.now()

    def _write_caps(self) -> None:
        with self.ctx.store.transaction() as tx:
            store_sources.put_caps(tx, self.source_id, self.adapter.caps)

    def _good(self) -> None:
        s = self.standing
        before, now = s.health, self.ctx.clock.now()
        self.pace.good()
        s.last_ok, s.failures, s.until = now, 0, None
        detail = next(iter((*self.adapter.notes, *self._warnings)), None)
        changed = before is not Health.FRESH or s.detail != detail
        if before is not Health.FRESH:
            s.health, s.since = Health.FRESH, now
        s.detail, s.hint = detail, None
        with self.ctx.store.transaction(full=before is not Health.FRESH) as tx:
            if changed:  # what only ages is written with the beat
                store_sources.put_health(tx, self.source_id, **self.health_fields())
            self._alerts.on_health(tx, self.source.name, before, Health.FRESH, s.since, s.detail or "", "")
        if before is not Health.FRESH:
            self._told()

    _warnings: tuple[str, ...] = ()

    async def _failed(self, error: AdapterError) -> None:
        s = self.standing
        before, now = s.health, self.ctx.clock.now()
        self.pace.bad()
        health, what, hint = judge(error)
        s.failures = self.pace.failures
        if health is not before:
            s.health, s.since = health, now
        s.detail, s.hint = what, hint
        after = error.retry_after if isinstance(error, RateLimited) else None
        s.until = now + int(after * 1000) if after else None
        with self.ctx.store.transaction(full=True) as tx:
            store_sources.put_health(tx, self.source_id, **self.health_fields())
            self._alerts.on_health(tx, self.source.name, before, health, s.since, what, hint)
        self._told()

    def health_fields(self) -> dict[str, Any]:
        s = self.standing
        return {
            "health": int(s.health), "since": s.since, "last_ok": s.last_ok, "last_try": s.last_try, "next_try": s.next_try,
            "failures": s.failures, "detail": s.detail, "hint": s.hint, "until": s.until, "version": s.version,
            "identity": s.identity, "skew_ms": s.skew_ms, "latency_ms": s.latency_ms, "requests_min": self.budget.requests,
            "bytes_min": self.budget.bytes, "budget_min": self.budget.per_min, "poll_ms": int(self.pace.poll_s * 1000),
            "cursor": s.cursor,
        }  # fmt: skip
