"""Rows of what is owed, as the reader hands them out (``engine.store.rows`` shows them). Times ms UTC, None is "not known"."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.model import Course, Owed, Severity, State


@dataclass(frozen=True, slots=True)
class BasisRow:
    """Where a number comes from, as ``engine.owed.history.Basis`` says: learnt of ``n`` runs started ``since`` … ``until``, or
    declared. ``day``: class of day ("weekday", "weekend", "month-end", None: any). ``trend``: ln duration a run."""

    learnt: bool
    n: int
    need: int = 8
    since: int | None = None
    until: int | None = None
    day: str | None = None
    trend: float | None = None
    shift: int | None = None
    scaled: int = 0


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """When it will be done, of what is still owed (``engine.owed.predict.Prediction``). ``late``: P(late), 0.0 … 1.0."""

    at: int
    course: Course
    start: int
    p50: int | None
    p90: int | None
    late: float | None
    outlived: int
    n: int
    latest_start: int | None
    spread: int | None
    basis: BasisRow


@dataclass(frozen=True, slots=True)
class OwedRow:
    """One occurrence: what is owed once, of what, by when, and what became of it.

    ``key``: its own key (promise|thing|when). ``thing``: key of a pipeline, ``feed:NAME``, ``ping:NAME`` or ``set:ID``;
    ``name``: how it reads. ``expectation``: how the promise reads ("finish by 06:00 Europe/Paris, mon-fri"). ``declared`` False:
    judged without configuration. ``source_id`` None: not of a source (feeds, pings, sets). ``usual_ms``: learnt; ``limit_ms``,
    ``expected_ms``: declared.
    """

    id: int
    key: str
    promise: str
    type: str
    thing: str
    name: str
    expectation: str
    declared: bool
    severity: Severity
    pipeline_id: int | None
    source_id: int | None
    source: str | None
    environment: str
    layer: str | None
    application: str | None
    owner: str | None
    zone: str
    business_date: str | None
    state: Owed
    reason: str
    since: int | None
    due: int
    declared_due: int
    alert_at: int
    opened_as: Owed
    why_opened: str
    met_at: int | None
    lateness_ms: int | None
    missed: bool
    run_key: str | None
    consumers: tuple[str, ...]
    runbook: str | None
    place: str
    limit_ms: int | None
    expected_ms: int | None
    usual_ms: int | None
    usual_n: int
    evidence: tuple[tuple[str, str, int | None, str], ...] = ()
    members: tuple[str, ...] = ()
    prediction: PredictionRow | None = None

    @property
    def settled(self) -> bool:
        return not self.state.unsettled


@dataclass(frozen=True, slots=True)
class DatedRow:
    """One occurrence as the Matrix needs it: of which business date it is and what became of it. ``id``: for ``owed_one``."""

    id: int
    thing: str
    type: str
    business_date: str
    state: Owed
    due: int
    missed: bool
    run_key: str | None


@dataclass(frozen=True, slots=True)
class OwedWarning:
    """A promise that nobody can keep or judge: its selector matches nothing, its pipeline has no schedule, clocks disagree."""

    promise: str
    words: str
    place: str
    at: int


@dataclass(frozen=True, slots=True)
class OwedEvent:
    at: int
    thing: str
    what: str
    words: str


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """``down`` waits for ``up`` (keys of pipelines or ``feed:NAME``). ``kind``: after, declared, feed."""

    up: str
    down: str
    kind: str


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A maintenance, intervention or freeze window as instants [start, until)."""

    name: str
    kind: str
    match: str
    start: int
    until: int
    words: str


@dataclass(frozen=True, slots=True)
class MarginRow:
    """Of one business date: a feed arrived, the first run that needs it started. Negative: it started before."""

    day: str
    arrived: int
    started: int
    run_key: str

    @property
    def ms(self) -> int:
        return self.started - self.arrived


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A feed: when it last arrived, and its margins, oldest first, at most 20. ``looked`` None: never looked for yet."""

    name: str
    file: str
    zone: str
    layer: str | None
    application: str | None
    owner: str | None
    buffer_ms: int | None
    looked: int | None
    error: str | None
    arrived: int | None
    what: str | None
    size: int | None
    margins: tuple[MarginRow, ...] = ()
    consumers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A ``done_when`` check of a finished run: 0 waiting, 1 passed, 2 failed."""

    name: str
    state: int
    at: int
    words: str


@dataclass(frozen=True, slots=True)
class OutputRow:
    """What a run, or its ``step`` ('': the whole run), was expected to make: state 0 waiting, 1 as expected, 2 not. ``saw``: what was
    seen, None: nothing was; ``words``: why it is not as expected."""

    name: str
    step: str
    state: int
    expected: str
    saw: str | None
    words: str
    at: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A run in a lane of the Timeline, or in a cell of the Matrix."""

    run_key: str
    state: State
    at: int
    started: int | None
    ended: int | None
    business_date: str | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of ``warned`` predictions with P(late) ≥ .5 that settled: how many were late. ``n`` all, ``error``: mean |said − was|."""

    n: int
    warned: int
    right: int
    error: float | None = None
    off_ms: int | None = None
    """Mean distance of the real end from the p50 that was said, ms."""
    buckets: tuple[tuple[float, int, int], ...] = ()
    """(said P, predictions, late of them)"""


@dataclass(frozen=True, slots=True)
class Waived:
    who: str
    reason: str
    until: int | None
    at: int


@dataclass(frozen=True, slots=True)
class SignoffRow:
    id: int
    at: int
    who: str
    since: int
    well: bool
    note: str | None
    body: str = field(repr=False, default="{}")
