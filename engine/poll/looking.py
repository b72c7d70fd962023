"""A close look at single runs: steps and first error of what just failed, and what somebody watches, once a second."""

from __future__ import annotations

import asyncio
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from adapters.base import Adapter
from adapters.errors import AdapterError, Forbidden, NotFound, Unsupported
from adapters.first_error import first_error
from adapters.model import Health, Run, State, StepRun, parse_key
from engine.config.model import Source
from engine.context import Context
from engine.poll import logs
from engine.poll.history import PastSteps
from engine.poll.pace import Budget
from engine.poll.standing import Standing
from engine.store import steps as store_steps
from engine.store.errors import StoreError
from engine.store.runs import RunChange

FAILED_LOOKS_PER_POLL = 5
TRIES = 5
WATCH_EVERY_S = 1.0


class CloseLook(ABC):
    """What a poller does beside its polls, for one run at a time; each question holds the poller's lock."""

    def __init__(
        self,
        ctx: Context,
        source: Source,
        adapter: Adapter,
        watches: Callable[[], Sequence[dict[str, Any]]],
        look: list[str],
    ) -> None:
        self.ctx = ctx
        self.source = source
        self.adapter = adapter
        self.standing = Standing(since=ctx.clock.now())
        self.budget = Budget(source.requests_per_min)
        self._watches = watches
        self._look = look
        self._tries: dict[str, int] = {}
        self._unsaid: set[str] = set()
        """Failed runs whose log, which says why, was not all there yet."""
        self._probed = False
        self._lock = asyncio.Lock()
        self._past = PastSteps(ctx, source.name, adapter, self._lock, self._room, self._due_s)

    @abstractmethod
    def take(self, runs: Sequence[Run], *, found: bool = False) -> list[RunChange]: ...

    @abstractmethod
    def _ours(self, tx: Any, run: Run) -> Run: ...

    async def _look_at_what_failed(self) -> None:
        """A few a poll, while the budget has room."""
        caps = self.adapter.caps
        look, self._look = self._look[:FAILED_LOOKS_PER_POLL], self._look[FAILED_LOOKS_PER_POLL:]
        for number, key in enumerate(look):
            if not caps.can("steps"):
                break
            if not self._room(4):
                self._look = look[number:] + self._look
                break
            try:
                async with self._lock:
                    await self.look_closely(key, error_too=True)
            except NotFound:
                pass
            except AdapterError as error:
                self.ctx.log(f"{self.source.name}: steps of {key}: {error.what}")
                again = [key] if self._once_more(key) else []
                self._look = look[number + 1 :] + self._look + again
                break
            except (StoreError, OSError):  # a full disk: again when there is room
                self._look = look[number:] + self._look
                raise
            if key in self._unsaid and self._once_more(key):
                self._look.append(key)
            else:
                self._tries.pop(key, None)
            self._unsaid.discard(key)

    def _once_more(self, key: str) -> bool:
        """Whether a nicety that was answered badly is asked for again, some polls later; not for ever."""
        tries = self._tries.pop(key, 0) + 1
        if tries < TRIES:
            self._tries[key] = tries
        return tries < TRIES

    def _due_s(self) -> float:
        """Seconds until the next poll."""
        return ((self.standing.next_try or 0) - self.ctx.clock.now()) / 1000

    def _room(self, part: int) -> bool:
        """Whether one part in so many of the budget is left: what is nice to know stops before what must be known."""
        now = self.ctx.clock.monotonic()
        self.budget.note(now, self.adapter.spent)
        return self.budget.room(now) >= max(1, self.budget.per_min // part)

    async def look_closely(self, run: str, *, error_too: bool = False) -> Sequence[StepRun]:
        """Read a run's steps; with ``error_too`` also the log of the step that failed, for its first error line."""
        steps = await self.adapter.steps(run)
        with self.ctx.store.transaction() as tx:
            store_steps.apply_steps(tx, run, steps)
        if error_too:
            now = {(s.step, s.map_index): s for s in sorted(steps, key=lambda s: s.attempt)}  # the last try of each
            failed = [s for s in now.values() if s.state in (State.FAILED, State.TIMED_OUT)]
            if failed:
                last = min(failed, key=lambda s: s.started or s.queued or 0)
                whole = await self.fetch_log(last)
                if not await self._say_error(run, last) and not whole:
                    self._unsaid.add(run)
        if self.adapter.near:  # its logs lie here already: an index row each is all it takes
            for step in steps:
                if step.started is not None:
                    await self.fetch_log(step)
        return steps

    async def _say_error(self, run: str, step: StepRun) -> bool:
        """Keep why the run failed; False where its log does not say so (yet)."""
        text = step.error
        if not text:
            path = logs.log_path(self.ctx.places.logs, step)
            text = await asyncio.to_thread(first_error, path)
        seen = await self.adapter.read(run)
        if isinstance(seen, Run) and seen.state in (State.FAILED, State.TIMED_OUT) and (text or not seen.error):
            with self.ctx.store.transaction() as tx:
                ours = self._ours(tx, seen)
            words = f"{step.step}: {text}" if text else f"{step.step} {step.native}"
            if ours.state is seen.state:
                self.take([replace(ours, error=words)], found=True)
        return bool(text)

    async def fetch_log(self, step: StepRun) -> bool:
        """Bring one log up to date: from its stored cursor on, until nothing more comes now. True: nothing will follow."""
        with self.ctx.store.transaction() as tx:
            known = store_steps.log_cursor(tx, step.run, step.step, step.map_index, step.attempt)
        path = logs.log_path(self.ctx.places.logs, step)
        if known and not await asyncio.to_thread(logs.fit, type(path)(known.path), path, known.size):
            known = None
        cursor, complete = (known.cursor, known.complete) if known else (None, False)
        if complete:
            return True
        fresh = known is None
        size = known.size if known else 0
        for _ in range(50):
            try:
                chunk = await self.adapter.log(step.key, step.attempt, cursor)
            except (Forbidden, NotFound, Unsupported) as error:
                self._refused_log(step, known.path if known else str(path), size, cursor, error)
                raise
            where = path
            if chunk.path is not None:
                where = type(path)(chunk.path)
                size = where.stat().st_size if where.exists() else 0
            else:
                size = await asyncio.to_thread(logs.append, path, chunk, fresh)
            fresh = False
            with self.ctx.store.transaction() as tx:
                store_steps.put_log(
                    tx,
                    step.run,
                    step.step,
                    step.map_index,
                    step.attempt,
                    str(where),
                    size,
                    chunk.end,
                    chunk.cursor,
                    chunk.note,
                )
            moved = chunk.cursor != cursor
            cursor = chunk.cursor
            if chunk.end or not chunk.data or not moved or chunk.path is not None:
                return chunk.end
        return False

    def _refused_log(self, step: StepRun, path: str, size: int, cursor: str | None, error: AdapterError) -> None:
        """Keep why there is no log, or no more of it, for whoever opens it; it is asked for again while somebody looks."""
        note = f"{error.what}; {error.hint}" if error.hint else error.what
        with self.ctx.store.transaction() as tx:
            store_steps.put_log(tx, step.run, step.step, step.map_index, step.attempt, path, size, False, cursor, note)

    # --- what is watched -----------------------------------------------------------------------------------------

    def _watched(self) -> bool:
        return any(True for _ in self._watch_keys())

    def _watch_keys(self) -> Sequence[dict[str, Any]]:
        prefix = self.source.name + ":"
        found = {str(sorted(w.items())): w for w in self._watches()}  # two terminals on one run are one look
        return [w for w in found.values() if str(w.get("run") or w.get("log") or "").startswith(prefix)]

    def _ready(self) -> bool:
        """Whether it answered its last poll well: nothing beside polls is asked of a source that does not."""
        return self._probed and self.standing.health is Health.FRESH

    async def _watch_loop(self) -> None:
        """What somebody looks at, once a second: the run's own state, its steps, the log that is open."""
        while True:
            await self.ctx.clock.sleep(WATCH_EVERY_S)
            if not self._ready():
                continue
            for watch in self._watch_keys():
                try:
                    async with self._lock:
                        await self._watch_one(watch)
                except (NotFound, Unsupported):
                    continue
                except AdapterError as error:
                    self.ctx.log(f"{self.source.name}: watching: {error.what}")
                    break
                except (ValueError, StoreError):
                    continue
                except Exception as error:
                    self.ctx.log(f"{self.source.name}: watching: {''.join(traceback.format_exception(error))}")
                finally:
                    self.budget.note(self.ctx.clock.monotonic(), self.adapter.spent)
            await self._past.look(self._watches())

    async def _watch_one(self, watch: dict[str, Any]) -> None:
        if not self._room(3):
            return
        run = watch.get("run")
        log = watch.get("log")
        if log:
            key = parse_key(str(log))
            run = run or key.run_key
        if not run:
            return
        seen = await self.adapter.read(str(run))
        if isinstance(seen, Run):
            self.take([seen])
        steps = await self.look_closely(str(run)) if self.adapter.caps.can("steps") else ()
        if log and self.adapter.caps.can("log"):
            attempt = watch.get("attempt")
            mine = [s for s in steps if s.key == log and (attempt is None or s.attempt == attempt)]
            if mine:
                await self.fetch_log(max(mine, key=lambda s: s.attempt))
