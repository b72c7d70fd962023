"""An orchestrator in memory, honest unless told otherwise, and a clock that only moves when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from adapters.base import (
    Action,
    Adapter,
    Call,
    Done,
    Listing,
    NotDone,
    Page,
    Prepared,
    Probe,
    Reconciled,
    SendResult,
    Sent,
    Several,
    SourceSettings,
    Unknown,
)  # fmt: skip
from adapters.errors import BadResponse, Conflict, NotFound, Unreachable
from adapters.model import (
    Caps,
    LogChunk,
    Mode,
    Pipeline,
    Run,
    RunKind,
    State,
    StepRun,
    Verb,
    parse_key,
    pipeline_key,
    run_key,
)
from engine.clock import Clock

START = 1_790_000_000_000


class FakeClock(Clock):
    """Virtual time. ``advance`` wakes who sleeps, in order; ``until`` goes from sleeper to sleeper until a fact holds."""

    def __init__(self) -> None:
        self.t = 0.0
        self.wall_offset = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._ids = itertools.count()

    def now(self) -> int:
        return START + self.wall_offset + round(self.t * 1000)

    def monotonic(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.t + seconds, next(self._ids), future))
        await future

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        end = self.t + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._next()
        self.t = end
        await self.settle()

    async def until(self, fact: Callable[[], bool], limit: float = 3600.0) -> None:
        end = self.t + limit
        await self.settle()
        while not fact():
            assert self._sleepers, "nobody sleeps and the fact does not hold"
            assert self._sleepers[0][0] <= end, f"the fact did not hold within {limit} s"
            await self._next()

    async def _next(self) -> None:
        at, _, future = heapq.heappop(self._sleepers)
        self.t = max(self.t, at)
        if not future.done():
            future.set_result(None)
        await self.settle()


class FakeAdapter(Adapter):
    """``how`` says what its server does with a call: ``honest``, ``nothing`` (takes it, changes nothing), ``lost-after``
    (the effect comes, the answer does not), ``lost-before``, ``never-left``, ``conflict``, ``502``, ``hang``, ``several``.
    """

    kind = "fake"

    def __init__(self, clock: Clock, name: str = "prod-fake") -> None:
        super().__init__(SourceSettings(name=name, kind="fake"))
        self.clock = clock
        self.how = "honest"
        self.down = False
        self.sends: list[Prepared] = []
        self.reads = 0
        self.reconciles = 0
        self.modes: dict[str, Mode] = {}
        self.all: dict[str, Run] = {}
        self.stop_takes = 1
        """Readings after which a stop that was taken shows."""
        self.offers = frozenset({"start", "pause", "resume", "stop", "rerun", "rerun-from", "steps"})
        self.before_send: Callable[[], None] = lambda: None
        self.patience_s = 120.0
        self.gate: asyncio.Event | None = None
        self.unprepared: Exception | None = None

    # --- the world -------------------------------------------------------------------------------------------------

    def add(self, pipeline: str, mode: Mode = Mode.ACTIVE) -> str:
        key = pipeline_key(self.settings.name, pipeline)
        self.modes[key] = mode
        return key

    def run(self, pipeline: str, name: str, state: State = State.RUNNING, **fields: object) -> str:
        key = run_key(self.add(pipeline), name)
        now = self.clock.now()
        base = Run(
            key=key, native=state.name.lower(), state=state, started=now - 60_000, ended=now if state.terminal else None
        )
        self.all[key] = replace(base, **fields)  # type: ignore[arg-type]
        return key

    def set(self, key: str, state: State, **fields: object) -> None:
        ended = self.clock.now() if state.terminal else None
        self.all[key] = replace(self.all[key], state=state, native=state.name.lower(), ended=ended, **fields)  # type: ignore[arg-type]

    # --- the contract ----------------------------------------------------------------------------------------------

    @property
    def caps(self) -> Caps:
        return Caps(self.offers, {"hold": "this system cannot hold a run"})

    answered: str | None = None
    """The run of which ``reconcile`` was told last that its call was answered with it."""

    async def probe(self) -> Probe:
        return Probe(version="1")

    async def pipelines(self) -> Listing:
        return Listing([Pipeline(key=k, name=k.partition(":")[2], mode=m) for k, m in self.modes.items()], True)

    async def runs(self, cursor: str | None, active_only: bool = False) -> Page:
        return Page(list(self.all.values()), None, True)

    async def history(self, pipeline: str, depth: int = 60, days: int = 60) -> Sequence[Run]:
        return []

    async def read(self, key: str) -> Pipeline | Run:
        self.reads += 1
        if self.down:
            raise Unreachable("connection refused", "is it running?", sent=False)
        self._tick()
        parsed = parse_key(key)
        if parsed.run_key is not None:
            if parsed.run_key not in self.all:
                raise NotFound(f"no run {key}")
            return self.all[parsed.run_key]
        if key not in self.modes:
            raise NotFound(f"no pipeline {key}")
        return Pipeline(key=key, name=parsed.pipeline, mode=self.modes[key], schedule="every day 05:00")

    async def steps(self, run: str) -> Sequence[StepRun]:
        return []

    async def log(self, step: str, attempt: int, cursor: str | None) -> LogChunk:
        return LogChunk(b"", None, True)

    async def prepare(self, action: Action) -> Prepared:
        if self.unprepared is not None:
            raise self.unprepared
        key = parse_key(action.key)
        if action.verb is Verb.STOP and self.all[key.run_key or ""].state.terminal:
            raise Conflict("it has ended already")
        call = Call(
            method="POST",
            target=f"https://ops:hunter2@fake.example/{key.pipeline}/{action.verb}?token=s3cret&id={action.client_id}",
            body={"conf": dict(action.params), "id": action.client_id},
            headers={"Authorization": "Bearer s3cret-token", "Accept": "application/json"},
        )
        return Prepared(
            action=action, calls=(call,), idempotent=action.verb is Verb.START, effect=f"will {action.verb} it" + "".join(f" with {v}" for v in action.params.values() if isinstance(v, str)), proof="seen in two readings",
            undo="start it again", steady=2, patience_s=self.patience_s, memo={"run": action.client_id, "params": dict(action.params)},
        )  # fmt: skip

    async def send(self, prepared: Prepared) -> SendResult:
        self.before_send()
        self.sends.append(prepared)
        if self.gate is not None:
            await self.gate.wait()
        match self.how:
            case "never-left":
                raise Unreachable("connection refused", sent=False)
            case "lost-before":
                raise Unreachable("timed out waiting for the answer", sent=True)
            case "conflict":
                raise Conflict("409: the run has ended already")
            case "502":
                raise BadResponse("502 Bad Gateway", status=502)
            case "nothing":
                return Sent(f"{prepared.action.verb} accepted")
            case "hang":
                await asyncio.Event().wait()
        run = self._effect(prepared.action)
        if self.how == "lost-after":
            raise Unreachable("connection reset after the request had left", sent=True)
        if self.how == "unknown":
            return Unknown("no answer")
        return Sent(f"{prepared.action.verb} accepted", run)

    async def reconcile(self, prepared: Prepared) -> Reconciled:
        self.reconciles += 1
        self.answered = prepared.answered
        if self.down:
            raise Unreachable("connection refused", sent=False)
        self._tick()
        if self.how == "one":
            return Several("one run began in that minute, by user bea", ("prod-fake:daily/a",))
        if self.how == "several":
            return Several("two runs began in that minute", ("prod-fake:daily/a", "prod-fake:daily/b"))
        action = prepared.action
        key = parse_key(action.key)
        match action.verb:
            case Verb.START:
                made = run_key(key.pipeline_key, f"wf-{prepared.memo['run']}")
                if made in self.all and self.all[made].state is State.QUEUED:
                    return NotDone("its run is there and still queued", begun=True)
                return Done("its run is there", made) if made in self.all else NotDone("no such run")
            case Verb.PAUSE | Verb.RESUME:
                wanted = Mode.PAUSED if action.verb is Verb.PAUSE else Mode.ACTIVE
                word = self.modes[key.pipeline_key].name.lower()
                return (
                    Done(f"it is {word}") if self.modes[key.pipeline_key] is wanted else NotDone(f"it is still {word}")
                )
            case Verb.STOP:
                run = self.all[key.run_key or ""]
                return Done("the run ended") if run.state.terminal else NotDone(f"still {run.state.name.lower()}")
            case _:
                run = self.all[key.run_key or ""]
                return Done("it runs again") if run.state.active else NotDone("it does not run")

    def _effect(self, action: Action) -> str | None:
        key = parse_key(action.key)
        match action.verb:
            case Verb.START:
                made = run_key(key.pipeline_key, f"wf-{action.client_id}")
                self.all[made] = Run(
                    key=made, native="running", state=State.RUNNING, kind=RunKind.MANUAL, started=self.clock.now()
                )
                return made
            case Verb.PAUSE:
                self.modes[key.pipeline_key] = Mode.PAUSED
            case Verb.RESUME:
                self.modes[key.pipeline_key] = Mode.ACTIVE
            case Verb.STOP:
                self.set(key.run_key or "", State.STOPPING)
            case _:
                self.set(key.run_key or "", State.RUNNING)
        return None

    def _tick(self) -> None:
        """Stopping runs end as failed after some readings, as some servers call it."""
        stopping = [k for k, run in self.all.items() if run.state is State.STOPPING]
        if not stopping:
            return
        self.stop_takes -= 1
        if self.stop_takes <= 0:
            for key in stopping:
                self.set(key, State.FAILED)
