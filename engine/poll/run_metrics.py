"""Numbers that runs print (``[[run_metric]]``): read from the logs of their steps when a run has ended well, one sample a run.

Beside the polls, one run at a time and only while the budget has room. The log is fetched as for whoever opens it, and kept;
its last MiB is looked at, by the process that may be ended. A log that is not whole yet is asked for again a few times. What
is not a number is no sample, never 0: engine.log says why. History is not read; a run that ended before this engine knew of
it is, where that was within the hour.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Final

from adapters.base import Adapter
from adapters.errors import AdapterError, NotFound, RateLimited, Unsupported
from adapters.model import Sample, StepRun
from adapters.probes.matching import MOST_VALUES, TAIL, Found, Matcher
from adapters.probes.regex import Regex
from adapters.probes.values import NoValue, number
from engine.config.model import Facts, RunMetric, matches
from engine.context import Context
from engine.poll import logs
from engine.store import run_metrics as rows
from engine.store import steps as store_steps
from engine.store.errors import StoreError
from engine.store.outputs import facts_of
from engine.store.runs import RunChange
from engine.store.writer import Tx

LOOK_S: float = 1.0
"""Between two looks at whether one is due: one run each."""
AGAIN_S: tuple[float, ...] = (20.0, 60.0, 300.0)
"""After a log that did not come, or not whole: when it is asked for again; then it is left."""
PATIENCE_S: Final = 60.0
LATER_S: Final = 5.0
"""When there is no room."""
LATE_MS: Final = 50 * 60_000
"""How long ago a run may have ended that was not known before; shorter than readings are kept as they came."""
OLD_MS: Final = 86_400_000
STEPS: Final = 10
"""Logs of one run, of the steps that ended last."""
WAITING: Final = 500
"""Runs that wait to be read; of more the oldest are left."""
SAID: Final = 200


@dataclass(slots=True)
class _Run:
    """A run to be read. ``ended``: ms UTC."""

    pipeline_id: int
    ended: int
    tries: int = 0
    due: float = 0.0


class RunMetrics:
    """Of one source. ``lock``: held by whoever asks the source; ``ready``: it answered its last poll; ``room``: whether one part in
    so many of its budget is left; ``steps`` of a run and ``fetch`` of a log (True: it is whole), both stored."""

    def __init__(
        self,
        ctx: Context,
        source: str,
        source_id: int,
        adapter: Adapter,
        lock: asyncio.Lock,
        ready: Callable[[], bool],
        room: Callable[[int], bool],
        steps: Callable[[str], Awaitable[Sequence[StepRun]]],
        fetch: Callable[[StepRun], Awaitable[bool]],
    ) -> None:
        self._ctx = ctx
        self._source = source
        self._id = source_id
        self._adapter = adapter
        self._lock = lock
        self._ready = ready
        self._room = room
        self._steps = steps
        self._fetch = fetch
        self._waiting: dict[str, _Run] = {}
        self._matcher = Matcher()
        self._recovered = False
        self._said: set[tuple[str, str]] = set()
        self._rest_until = 0.0

    @property
    def waiting(self) -> int:
        """Runs whose logs are to be read."""
        return len(self._waiting)

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """What a poll changed: runs that ended well are to be read, those that go on again are not any more."""
        if not self._ctx.config.run_metrics:
            return
        for change in changes:
            if not change.after.finished:
                self._waiting.pop(change.key, None)
                continue
            if change.backfilled or change.run.generated or (change.before is change.after and not change.new_attempt):
                continue
            ended = min(change.run.ended or tx.now, tx.now)
            if ended < tx.now - (LATE_MS if change.before is None else OLD_MS):
                continue
            if self._wanted(tx, change.pipeline_id):
                self._wait(change.key, _Run(change.pipeline_id, ended))

    async def loop(self) -> None:
        """For ever. Ends by cancelling only."""
        while True:
            await self._ctx.clock.sleep(LOOK_S)
            try:
                await self.look()
            except (StoreError, OSError) as error:  # a full disk: again when there is room
                self._ctx.log(f"{self._source}: numbers of runs: {error}")
                self._rest_until = self._ctx.clock.monotonic() + AGAIN_S[0]
            except Exception as error:  # a bug of ours in a nicety
                self._ctx.log(f"{self._source}: numbers of runs: {''.join(traceback.format_exception(error))}")
                self._rest_until = self._ctx.clock.monotonic() + AGAIN_S[-1]

    async def look(self) -> None:
        """Read the next run that is due, if there is room."""
        if not self._ctx.config.run_metrics:
            self._waiting.clear()
            return
        now = self._ctx.clock.monotonic()
        if not self._ready() or now < self._rest_until:
            return
        if not self._recovered:
            self._recover()
        due = next(((key, run) for key, run in self._waiting.items() if run.due <= now), None)
        if due is None or not self._room(4):
            return
        caps = self._adapter.caps
        lacks = next((what for what in ("steps", "log") if not caps.can(what)), None)
        if lacks is not None:
            self._say("", f"no numbers of its runs: {caps.why(lacks)}")
            self._waiting.clear()
            return
        await self._read(*due)

    def _recover(self) -> None:
        """What ended while no engine looked, or was not read before the last one ended."""
        with self._ctx.store.transaction() as tx:
            for key, pipeline_id, ended in rows.ended_since(tx, self._id, tx.now - LATE_MS):
                wanted = self._wanted(tx, pipeline_id)
                pipeline = key.partition("/")[0]
                if any(not rows.has(tx, m.series(pipeline), min(ended, tx.now)) for m in wanted):
                    self._wait(key, _Run(pipeline_id, min(ended, tx.now)))
        self._recovered = True

    def _wanted(self, tx: Tx, pipeline_id: int) -> list[RunMetric]:
        facts: Facts | None = facts_of(tx, pipeline_id)
        return [] if facts is None else [m for m in self._ctx.config.run_metrics if matches(m.on, facts)]

    def _wait(self, key: str, run: _Run) -> None:
        if key not in self._waiting and len(self._waiting) >= WAITING:
            self._waiting.pop(next(iter(self._waiting)))
            self._say("", f"more than {WAITING} runs wait to be read: the oldest are left")
        self._waiting[key] = run

    # --- one run ----------------------------------------------------------------------------------------------------

    async def _read(self, key: str, run: _Run) -> None:
        with self._ctx.store.transaction() as tx:
            wanted = self._wanted(tx, run.pipeline_id)
        if not wanted:
            self._waiting.pop(key, None)
            return
        why, whole = "", True
        texts: dict[str, bytes] = {}
        chosen: dict[str, list[StepRun]] = {}
        steps: Sequence[StepRun] = ()
        error: AdapterError | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                async with self._lock:
                    steps = await self._steps(key)
                chosen = {m.name: _chosen(m, steps) for m in wanted}
                for step in {s.key: s for found in chosen.values() for s in found}.values():
                    if not self._room(4):  # what was fetched is kept: it goes on from there
                        run.due = self._ctx.clock.monotonic() + LATER_S
                        return
                    async with self._lock:  # by itself: polls go between
                        whole = await self._fetch(step) and whole
                    texts[step.key] = await asyncio.to_thread(_tail, self._path(step))
        except TimeoutError:
            why = f"no whole answer within {PATIENCE_S:.0f} s"
        except AdapterError as raised:
            error, why = raised, raised.what
        if self._waiting.get(key) is not run:  # it goes on again, or ended once more, meanwhile
            return
        if (why or not whole or not steps) and self._again(run, error):
            return
        self._waiting.pop(key, None)
        if why:
            self._say(key.partition("/")[0], f"the numbers of {key} cannot be read: {why}")
            return
        await self._keep(key, run, wanted, chosen, texts)

    def _again(self, run: _Run, error: AdapterError | None) -> bool:
        """Whether it is asked for once more, later."""
        if isinstance(error, Unsupported) or run.tries >= len(AGAIN_S):
            return False
        wait = AGAIN_S[run.tries]
        now = self._ctx.clock.monotonic()
        if isinstance(error, RateLimited):
            wait = max(wait, error.retry_after or 0.0)
            self._rest_until = now + wait
        elif error is not None and not isinstance(error, NotFound):
            self._rest_until = now + min(AGAIN_S)
        run.tries, run.due = run.tries + 1, now + wait
        return True

    def _path(self, step: StepRun) -> Path:
        """Where the log lies: ours, or the source's own on this host."""
        with self._ctx.store.transaction() as tx:
            known = store_steps.log_cursor(tx, step.run, step.step, step.map_index, step.attempt)
        return Path(known.path) if known else logs.log_path(self._ctx.places.logs, step)

    async def _keep(
        self,
        key: str,
        run: _Run,
        wanted: Sequence[RunMetric],
        chosen: dict[str, list[StepRun]],
        texts: dict[str, bytes],
    ) -> None:
        pipeline = key.partition("/")[0]
        jobs = [
            (m.name, Regex(m.regex, every=True), texts[s.key]) for m in wanted for s in chosen[m.name] if s.key in texts
        ]
        told = await self._matcher.run([(regex, text) for _, regex, text in jobs])
        found: dict[str, list[Found]] = {}
        for (name, _, _), one in zip(jobs, told, strict=True):
            found.setdefault(name, []).append(one)
        samples: list[Sample] = []
        for metric in wanted:
            try:
                value = _value(metric, found.get(metric.name, []))
                samples.append(Sample(metric.series(pipeline), run.ended, value, metric.unit))
            except NoValue as error:
                self._say(pipeline, f"{metric.name} of {key}: {error.what}")
        if samples:
            with self._ctx.store.transaction() as tx:
                for sample in samples:
                    rows.put(tx, self._source, sample)

    def _say(self, pipeline: str, text: str) -> None:
        """Once for each pipeline and kind of trouble: a job that runs each minute must not fill the log."""
        mark = (pipeline, text.rpartition(": ")[2])
        if mark not in self._said:
            if len(self._said) >= SAID:
                self._said.clear()
            self._said.add(mark)
            self._ctx.log(f"{self._source}: {text}")


def _chosen(metric: RunMetric, steps: Sequence[StepRun]) -> list[StepRun]:
    """The last try of each step that is meant and ended well, the one that ended last at the end."""
    last = {(s.step, s.map_index): s for s in sorted(steps, key=lambda s: s.attempt)}
    found = [s for s in last.values() if s.state.finished and fnmatchcase(s.step, metric.step)]
    return sorted(found, key=lambda s: (s.ended or s.started or 0, s.order, s.map_index))[-STEPS:]


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except FileNotFoundError:
        return b""
    return data[data.find(b"\n") + 1 :] if size > TAIL else data


def _value(metric: RunMetric, found: Sequence[Found]) -> float:
    """One number of what stood in the logs, in their order. NoValue says why there is none."""
    if not found:
        raise NoValue(f"no step like {metric.step} ended well")
    why = next((one.why for one in found if one.why), "")
    if why:
        raise NoValue(why)
    texts = [str(value) for one in found for _, value in one.hits]
    if not texts:
        raise NoValue("no line of the logs matches")
    if metric.take == "last":
        return number(texts[-1])
    if any(len(one.hits) >= MOST_VALUES for one in found):
        raise NoValue("too many lines of the logs match")
    values = [number(text) for text in texts]
    total = sum(values) if metric.take == "sum" else max(values)
    if not isfinite(total):
        raise NoValue("it is no number")
    return total
