"""The vocabulary of the floor: pipelines, runs, steps, states, verbs, keys. Frozen values, no I/O.

All times are integer milliseconds since the epoch, UTC. Native words are kept beside ours and always shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import quote, unquote


class State(IntEnum):
    """What a run or step is doing, in our words. Values below 6 are not terminal."""

    EXPECTED = 0
    QUEUED = 1
    RUNNING = 2
    RETRYING = 3
    HELD = 4
    STOPPING = 5
    SUCCESS = 6
    WARNING = 7
    FAILED = 8
    TIMED_OUT = 9
    STOPPED = 10
    SKIPPED = 11
    LOST = 12
    MISSED = 13

    @property
    def terminal(self) -> bool:
        return self >= State.SUCCESS

    @property
    def active(self) -> bool:
        """In the world now: queued, running, retrying, held or stopping."""
        return State.QUEUED <= self <= State.STOPPING

    @property
    def bad(self) -> bool:
        return self in (State.FAILED, State.TIMED_OUT, State.LOST, State.MISSED)

    @property
    def finished(self) -> bool:
        """Ended as work done: SUCCESS, or WARNING (finished, not healthy)."""
        return self in (State.SUCCESS, State.WARNING)


class Mode(IntEnum):
    """Of a pipeline's schedule. GONE: absent from two complete listings."""

    ACTIVE = 0
    PAUSED = 1
    DISABLED = 2
    GONE = 3


class Trigger(IntEnum):
    UNKNOWN = 0
    CRON = 1
    INTERVAL = 2
    EVENT = 3
    MANUAL = 4
    CONTINUOUS = 5


class RunKind(IntEnum):
    SCHEDULED = 0
    MANUAL = 1
    BACKFILL = 2
    RERUN = 3


class Shape(IntEnum):
    FULL = 0
    INCREMENTAL = 1
    PARTIAL = 2


class Health(IntEnum):
    """Of a source. NEVER: not polled yet."""

    NEVER = 0
    FRESH = 1
    STALE = 2
    AUTH_FAILED = 3
    UNREACHABLE = 4
    RATE_LIMITED = 5
    BAD_ANSWER = 6


class Severity(IntEnum):
    """Lower is worse, so that sorting by it puts the worst first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3
    INFO = 4


SEVERITY_WORDS: Mapping[str, Severity] = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "error": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "low": Severity.LOW,
    "info": Severity.INFO,
    "information": Severity.INFO,
}


class AlertState(IntEnum):
    """PENDING, FIRING, ACKED are open; below 4 at most one alert per dedup key."""

    PENDING = 0
    FIRING = 1
    ACKED = 2
    RESOLVED = 4
    CLOSED = 5


class Owed(IntEnum):
    """State of an occurrence. PENDING, AT_RISK and SHIFTED wait; UNKNOWN may yet become anything."""

    PENDING = 0
    AT_RISK = 1
    MET = 2
    MET_LATE = 3
    BREACHED = 4
    UNKNOWN = 5
    EXCLUDED = 6
    SHIFTED = 7
    WAIVED = 8

    @property
    def waiting(self) -> bool:
        """Not due yet."""
        return self in _WAITING

    @property
    def unsettled(self) -> bool:
        """Facts can still change it in the ordinary course of things: to be judged again."""
        return self in _UNSETTLED


_WAITING = frozenset((Owed.PENDING, Owed.AT_RISK, Owed.SHIFTED))
_UNSETTLED = _WAITING | {Owed.BREACHED, Owed.UNKNOWN}


class Course(IntEnum):
    """Of what a prediction speaks."""

    LEARNING = 0
    WAITING = 1
    RUNNING = 2
    OVERRUN = 3
    RERUN = 4


class ActionState(IntEnum):
    """Life of an action. 2, 3 and 8 are in flight: one per scope."""

    PLANNED = 0
    REFUSED = 1
    EXECUTING = 2
    VERIFYING = 3
    DONE = 4
    FAILED_NOT_EXECUTED = 5
    FAILED_EXECUTED = 6
    VERIFY_TIMEOUT = 7
    UNKNOWN = 8
    RECONCILED_DONE = 9
    RECONCILED_NOT_DONE = 10

    @property
    def in_flight(self) -> bool:
        return self in (ActionState.EXECUTING, ActionState.VERIFYING, ActionState.UNKNOWN)


class VerbClass(StrEnum):
    SAFE = "safe"
    DISRUPTIVE = "disruptive"
    DESTRUCTIVE = "destructive"


class Verb(StrEnum):
    """The verbs that reach outside; people's words (ack, note, arm …) are requests of their own."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    STOP = "stop"
    RERUN = "rerun"
    RERUN_FAILED = "rerun-failed"
    RERUN_FROM = "rerun-from"
    MARK = "mark"
    BACKFILL = "backfill"
    BACKFILL_PAUSE = "backfill-pause"
    BACKFILL_RESUME = "backfill-resume"
    BACKFILL_CANCEL = "backfill-cancel"


class KeyOf(StrEnum):
    PIPELINE = "pipeline"
    RUN = "run"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class VerbSpec:
    """One row of the verb table: what its key names, how dangerous it is, what it does in one clause."""

    verb: Verb
    of: KeyOf
    klass: VerbClass
    means: str


VERBS: Mapping[Verb, VerbSpec] = {
    v.verb: v
    for v in (
        VerbSpec(Verb.START, KeyOf.PIPELINE, VerbClass.SAFE, "one run now"),
        VerbSpec(Verb.PAUSE, KeyOf.PIPELINE, VerbClass.DISRUPTIVE, "no new scheduled runs"),
        VerbSpec(Verb.RESUME, KeyOf.PIPELINE, VerbClass.SAFE, "scheduled runs again"),
        VerbSpec(Verb.HOLD, KeyOf.RUN, VerbClass.DISRUPTIVE, "this run stands still"),
        VerbSpec(Verb.RELEASE, KeyOf.RUN, VerbClass.SAFE, "this run goes on"),
        VerbSpec(Verb.STOP, KeyOf.RUN, VerbClass.DISRUPTIVE, "ends this run"),
        VerbSpec(Verb.RERUN, KeyOf.RUN, VerbClass.DISRUPTIVE, "the whole run again"),
        VerbSpec(Verb.RERUN_FAILED, KeyOf.RUN, VerbClass.DISRUPTIVE, "again what failed"),
        VerbSpec(Verb.RERUN_FROM, KeyOf.STEP, VerbClass.DISRUPTIVE, "again from this step on"),
        VerbSpec(Verb.MARK, KeyOf.RUN, VerbClass.DISRUPTIVE, "declared success or failed"),
        VerbSpec(Verb.BACKFILL, KeyOf.PIPELINE, VerbClass.DISRUPTIVE, "runs over past partitions"),
        VerbSpec(Verb.BACKFILL_PAUSE, KeyOf.PIPELINE, VerbClass.DISRUPTIVE, "a backfill starts no further runs"),
        VerbSpec(Verb.BACKFILL_RESUME, KeyOf.PIPELINE, VerbClass.SAFE, "a paused backfill goes on"),
        VerbSpec(Verb.BACKFILL_CANCEL, KeyOf.PIPELINE, VerbClass.DISRUPTIVE, "a backfill ends; what it made stays"),
    )
}

# --- keys ---------------------------------------------------------------------------------------------------------

_SAFE = "!$&'()*+,;=@~[]{}|^"  # everything printable but % : / # and blanks stands as it is; one spelling only


def quote_id(native: str) -> str:
    """A native id as it stands in a key: ``%``, ``:``, ``/``, ``#`` and blanks percent-encoded, also non-ASCII."""
    return quote(native, safe=_SAFE)


def unquote_id(part: str) -> str:
    return unquote(part)


def pipeline_key(source: str, native: str) -> str:
    """``source:id``."""
    return f"{source}:{quote_id(native)}"


def run_key(pipeline: str, native_run: str) -> str:
    """``source:id/run``, from a pipeline key and the run's native id."""
    return f"{pipeline}/{quote_id(native_run)}"


def step_key(run: str, step: str, map_index: int = -1) -> str:
    """``source:id/run#step``, mapped ``#step.3``; of a step that is itself named ``step.3`` that dot is encoded."""
    name = quote_id(step)
    if map_index >= 0:
        return f"{run}#{name}.{map_index}"
    stem, dot, tail = name.rpartition(".")
    return f"{run}#{stem}%2E{tail}" if dot and tail.isdigit() else f"{run}#{name}"


@dataclass(frozen=True, slots=True)
class Key:
    """A parsed key. ``pipeline`` and ``run`` are native ids (decoded); ``step`` may carry a map index."""

    source: str
    pipeline: str
    run: str | None = None
    step: str | None = None
    map_index: int = -1

    @property
    def pipeline_key(self) -> str:
        return pipeline_key(self.source, self.pipeline)

    @property
    def run_key(self) -> str | None:
        return None if self.run is None else run_key(self.pipeline_key, self.run)

    def __str__(self) -> str:
        if self.run is None:
            return self.pipeline_key
        text = run_key(self.pipeline_key, self.run)
        return text if self.step is None else step_key(text, self.step, self.map_index)


def parse_key(text: str) -> Key:
    """Read a key; ValueError says what is wrong with it."""
    source, colon, rest = text.partition(":")
    if not colon or not source or not rest:
        raise ValueError(
            f"{text!r} is not a key: expected source:pipeline, source:pipeline/run or source:pipeline/run#step"
        )
    pipe, slash, tail = rest.partition("/")
    if not slash:
        return Key(source, unquote_id(pipe))
    run, hash_, step = tail.partition("#")
    if not pipe or not run or (hash_ and not step):
        raise ValueError(f"{text!r} is not a key: an empty part between ':', '/' and '#'")
    if not hash_:
        return Key(source, unquote_id(pipe), unquote_id(run))
    base, dot, index = step.rpartition(".")
    if base and dot and index.isdigit():
        return Key(source, unquote_id(pipe), unquote_id(run), unquote_id(base), int(index))
    return Key(source, unquote_id(pipe), unquote_id(run), unquote_id(step))


# --- things ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDef:
    """A step as it is defined, before any run: its name, what it comes after, its operator or command word."""

    name: str
    after: tuple[str, ...] = ()
    operator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Something that runs. ``schedule`` is the source's own wording; ``next_run`` the source's own reckoning."""

    key: str
    name: str
    mode: Mode = Mode.ACTIVE
    trigger: Trigger = Trigger.UNKNOWN
    schedule: str | None = None
    timezone: str | None = None
    next_run: int | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None
    description: str | None = None
    steps: tuple[StepDef, ...] = ()
    after: tuple[str, ...] = ()
    """Keys of pipelines that this one waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. ``native`` is the source's word for its state, ``sub`` our sub-label ("deferred", "exit status unknown").

    ``business_date`` is ISO ``YYYY-MM-DD`` or None. ``source_updated`` is the source's own time of change; older
    observations never overwrite newer ones.
    """

    key: str
    native: str
    state: State
    sub: str | None = None
    kind: RunKind = RunKind.SCHEDULED
    shape: Shape = Shape.FULL
    params: Mapping[str, Any] | None = None
    business_date: str | None = None
    attempt: int = 1
    rerun_of: str | None = None
    queued: int | None = None
    started: int | None = None
    ended: int | None = None
    source_updated: int | None = None
    url: str | None = None
    error: str | None = None
    exit_code: int | None = None
    client_id: str | None = None
    stopped_by: str | None = None
    backfilled: bool = False
    """History fetched for prediction, or generated: no alert comes from it."""
    generated: bool = False
    """Made up for the demo, and said so on screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One try of one step of one run. ``map_index`` is -1 where the step is not mapped; ``order`` sorts the Gantt."""

    run: str
    step: str
    map_index: int = -1
    attempt: int = 1
    native: str
    state: State
    sub: str | None = None
    queued: int | None = None
    started: int | None = None
    ended: int | None = None
    order: int = 0
    operator: str | None = None
    error: str | None = None
    exit_code: int | None = None

    @property
    def key(self) -> str:
        return step_key(self.run, self.step, self.map_index)


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Raw bytes of a log since ``cursor``. ``end``: nothing will follow. ``path``: the bytes already lie in this local file."""

    data: bytes
    cursor: str | None
    end: bool
    note: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a series. A sensor that is not there gives no sample (it reads n/a), never 0."""

    series: str
    t: int
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What an adapter offers: verbs and views (``steps log history metrics assets``); and why it lacks the others.

    ``streams`` among the views: its runs never end well, they go on or they break. What broke is over when it runs again.
    """

    offers: frozenset[str]
    why_not: Mapping[str, str] = field(default_factory=dict[str, str])

    def can(self, what: str) -> bool:
        return what in self.offers

    def why(self, what: str) -> str:
        """One clause why it cannot, for a greyed entry."""
        return self.why_not.get(what, "not offered by this system")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One ``[[job.step]]``: argv, never a shell string. ``{business_date}``, ``{run}`` and ``{param.NAME}`` are filled in."""

    name: str
    run: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_ms: int | None = None
    warning_codes: tuple[int, ...] = ()
    """Exit codes that mean "finished, not healthy" (a partial load): the step and the run end WARNING."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One ``[[job]]``, run on this host by source ``local``. Without ``schedule`` it only runs when started."""

    name: str
    steps: tuple[StepSpec, ...]
    schedule: str | None = None
    timezone: str = "UTC"
    after: tuple[str, ...] = ()
    """Job names: started when each of them ended as finished (success or warning) for the same business date."""
    timeout_ms: int | None = None
    retries: int = 0
    retry_delay_ms: int = 30_000
    overlap: str = "skip"
    """``skip`` (shown), ``queue``, ``allow``."""
    catchup: str = "none"
    """After downtime: ``none`` (MISSED), ``last``."""
    business_date: str = "start"
    """``start``, ``start - 1d``, ``logical``."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    pass_env: tuple[str, ...] = ()
    """Names of the engine's variables that the job may see; all others are withheld."""
    owner: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
