"""What the reader hands out: plain rows, one class a question. No SQL, no I/O, light to import.

All times ms UTC. ``None`` is "not known" and must never be drawn as 0 or as fine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adapters.model import ActionState, AlertState, Health, Mode, RunKind, Severity, State, Trigger
from engine.store.audit_rows import ActionDetail, AuditPage, AuditRow, EndedPage, EndedRow, Wanted
from engine.store.chain import Broken, Checked
from engine.store.found_rows import CardRow, LinkRow
from engine.store.gaps_rows import Asker, Calendar, DatePromise, DateRuns, Spell
from engine.store.history_rows import History, Ordinary, PastRun, PastStep, Shift, StepPlan, StepsRead, steps_read
from engine.store.items_rows import AssetRow, ItemRow, OperationRow, PartRow, Standing
from engine.store.owed_rows import (
    Bar,
    BasisRow,
    Calibration,
    CheckRow,
    DatedRow,
    EdgeRow,
    FeedRow,
    MarginRow,
    OutputRow,
    OwedEvent,
    OwedRow,
    OwedWarning,
    PredictionRow,
    SignoffRow,
    SpanRow,
    Waived,
)
from engine.store.own_rows import OwnEventRow, OwnState
from engine.store.samples_rows import CapacityRow, Chart, DayRow, Measured, RunLane, SeriesRow, UseNow, UseRow, UsualRow
from engine.store.trouble import Trouble

__all__ = [
    "ActionDetail", "ActionRow", "Ailment", "AlertEventRow", "AlertRow", "ArmedRow", "Asker", "AssetRow", "AttemptRow", "AuditPage", "AuditRow", "Bar",
    "BasisRow", "Broken", "Calendar", "Calibration", "CapacityRow", "CardRow", "Chart", "CheckRow", "Checked", "Counts", "DatePromise", "DateRuns", "DatedRow", "DayRow",
    "DeliveryRow", "EdgeRow", "EndedPage", "EndedRow", "EngineRow", "FeedRow", "FloorRow", "GaugeRow", "Glance", "History", "ItemRow", "LinkRow",
    "LogRow", "MarginRow", "Measured", "NoteRow", "OperationRow", "Ordinary", "OutputRow", "OwedEvent", "OwedRow", "OwedWarning", "OwnEventRow", "OwnState", "PartRow", "PastRun", "PastStep",
    "PredictionRow", "ProcessRow", "RunDetail", "RunLane", "RunRow", "SeriesRow", "Shift", "SignoffRow", "SourceRow", "SpanRow", "Spell", "Standing",
    "StepPlan", "StepRow", "StepsRead", "Strip", "TraitRow", "Trouble", "UseNow", "UseRow", "UsualRow", "Waived", "Wanted", "steps_read",
]  # fmt: skip

Strip = tuple[tuple[State, int], ...]
"""Last runs, oldest first: (state, height 0-7 of the duration against the usual)."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """Parts of a source that are bad and none of its components: how many of that kind, and the one that is so longest."""

    kind: str
    name: str
    words: str
    since: int | None
    many: int


@dataclass(frozen=True, slots=True)
class EngineRow:
    """Who writes the store. ``alive`` is judged by the lock, not by the heartbeat."""

    pid: int
    host: str
    version: str
    protocol: int
    started: int
    heartbeat: int
    stopped: int | None
    config_path: str
    config_hash: str
    config_error: str | None
    demo: bool
    timezone: str
    last_words: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class SourceRow:
    id: int
    name: str
    kind: str
    url: str
    environment: str
    color: str
    protected: bool
    insecure: bool
    offers: frozenset[str]
    why_not: dict[str, str]
    health: Health
    since: int
    last_ok: int | None
    last_try: int | None
    next_try: int | None
    failures: int
    detail: str | None
    hint: str | None
    until: int | None
    version: str | None
    identity: str | None
    skew_ms: int | None
    latency_ms: int | None
    requests_min: int
    bytes_min: int
    budget_min: int
    poll_ms: int
    pipelines: int
    trouble: str | None = None
    """What of it is dead although it answers: ``scheduler silent: nothing new starts``; since ``trouble_since``, our clock."""
    trouble_since: int | None = None
    ails: Ailment | None = None
    """What of it cannot be read or used, while it works as a whole: a file of pipelines with an error."""
    measures: int = 0
    """How many series it is asked for."""

    def stale(self, now: int) -> bool:
        """Older than three polls, or never seen: what it said is drawn stale."""
        return self.last_ok is None or self.health != Health.FRESH or now - self.last_ok > 3 * max(self.poll_ms, 1000)


@dataclass(frozen=True, slots=True)
class FloorRow:
    """One pipeline as the Floor needs it: the current run, its history strip, what is usual, its alert."""

    id: int
    key: str
    name: str
    source_id: int
    source: str
    environment: str
    layer: str | None
    application: str | None
    criticality: Severity
    owner: str | None
    mode: Mode
    mode_since: int | None
    trigger: Trigger
    schedule: str | None
    next_run: int | None
    run_id: int | None
    run_key: str | None
    state: State | None
    native: str | None
    sub: str | None
    kind: RunKind | None
    attempt: int | None
    business_date: str | None
    at: int | None
    queued: int | None
    started: int | None
    ended: int | None
    active: int
    last_ok: int | None
    usual_ms: int | None
    p90_ms: int | None
    usual_n: int
    strip: Strip
    error: str | None
    alert_id: str | None
    alert_acked: bool
    alert_since: int | None
    alert_rule: str | None = None


class TraitRow(NamedTuple):
    """What a filter may ask of a pipeline whose runs are listed. ``tags``: one a line."""

    id: int
    key: str
    name: str
    source: str
    environment: str
    owner: str
    layer: str
    application: str
    tags: str


class Glance(NamedTuple):
    """What a walk over many runs sees of each; the whole row is read only of those that it keeps."""

    at: int
    id: int
    pipeline_id: int
    state: int
    kind: int
    attempt: int
    bdate: int | None
    started: int | None
    ended: int | None

    @property
    def business_date(self) -> str:
        """As ISO date; empty where there is none."""
        text = "" if self.bdate is None else f"{self.bdate:08d}"
        return f"{text[:4]}-{text[4:6]}-{text[6:]}" if text else ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list; ``id`` and ``at`` are what paging goes by."""

    id: int
    key: str
    pipeline_id: int
    pipeline_key: str
    name: str
    source_id: int
    source: str
    environment: str
    state: State
    native: str | None
    sub: str | None
    kind: RunKind
    attempt: int
    business_date: str | None
    at: int
    queued: int | None
    started: int | None
    ended: int | None
    error: str | None
    usual_ms: int | None
    generated: bool


@dataclass(frozen=True, slots=True)
class RunDetail:
    row: RunRow
    run: str
    params: dict[str, Any] | None
    url: str | None
    rerun_of: str | None
    note: str | None
    exit_code: int | None
    stopped_by: str | None
    layer: str | None
    owner: str | None
    consumers: tuple[str, ...]
    runbook: str | None
    schedule: str | None
    next_run: int | None
    mode: Mode
    steps: tuple[StepRow, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    logs: tuple[LogRow, ...] = ()
    older: str | None = None
    newer: str | None = None
    usual_steps: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class StepRow:
    key: str
    step: str
    map_index: int
    attempt: int
    state: State
    native: str | None
    sub: str | None
    queued: int | None
    started: int | None
    ended: int | None
    order: int
    error: str | None
    operator: str | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    attempt: int
    state: State
    started: int | None
    ended: int | None
    sub: str | None


@dataclass(frozen=True, slots=True)
class LogRow:
    """A log that lies in ``path`` (absolute). ``complete``: nothing will follow. ``note``: why it is empty or partial."""

    step_key: str
    step: str
    map_index: int
    attempt: int
    path: str
    size: int
    complete: bool
    note: str | None
    updated: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    id: str
    rule: str
    key: str
    severity: Severity
    state: AlertState
    title: str
    body: str
    opened: int
    since: int
    changed: int
    resolved: int | None
    acked_by: str | None
    ack_until: int | None
    ack_note: str | None
    held_back: str | None


@dataclass(frozen=True, slots=True)
class AlertEventRow:
    at: int
    what: str
    who: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One outbox row and its last attempt."""

    id: str
    alert_id: str
    recipient: str
    kind: str
    state: int
    attempts: int
    created: int
    sent: int | None
    next_at: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class ActionRow:
    id: str
    verb: str
    key: str
    environment: str
    state: ActionState
    words: str
    who: str
    reason: str | None
    created: int
    changed: int
    ended: int | None
    result_key: str | None
    events: tuple[tuple[int, ActionState, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ArmedRow:
    environment: str
    who: str
    uid: int
    until: int


@dataclass(frozen=True, slots=True)
class GaugeRow:
    """Latest value of a series and its short past (oldest first, newest last)."""

    series: str
    label: str | None
    unit: str
    value: float | None
    t: int | None
    max: float | None
    past: tuple[float, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    pid: int
    ppid: int
    name: str
    user: str | None
    cpu: float | None
    rss: int | None
    run_key: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Pipelines by state word for line 2 of every screen; alerts open and unacknowledged.

    ``by_state``, ``paused`` and ``stale`` overlap (a paused pipeline also has a last state). ``known``, ``resting`` and
    ``unknown`` hold each pipeline once: what is bad stays bad, what a blind source said otherwise is unknown, what is
    paused and not at work is resting.
    """

    by_state: dict[State, int]
    paused: int
    stale: int
    total: int
    alerts: int
    unacked: int
    known: dict[State, int] = field(default_factory=dict[State, int])
    resting: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class NoteRow:
    """Somebody's words on a key."""

    at: int
    who: str
    text: str
