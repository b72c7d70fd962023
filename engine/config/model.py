"""One typed tree of everything that is configured. Durations are milliseconds, times of day minutes since midnight.

Read by the whole engine, built only by ``engine.config.load``. Holds references to secrets, never a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from adapters.model import JobSpec, Severity
from engine.config.units import Moment, SeverityTest
from engine.owed.calendar import DAILY, BusinessCalendar, Days

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is: ``kind`` env, file, cmd or cred; ``value`` a name, a path or an argv. ``str()`` is safe to show."""

    kind: str
    value: str | tuple[str, ...]

    def __str__(self) -> str:
        words = (
            self.value if isinstance(self.value, str) else self.value[0]
        )  # the arguments of a command may tell too much
        return f"{self.kind}:{words}"


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """``path`` None: the state folder. ``retain_runs_ms``: how long runs are kept."""

    path: Path | None = None
    retain_runs_ms: int = 400 * 86_400_000


@dataclass(frozen=True, slots=True)
class Environment:
    """``color`` is a word of the theme or ``#rrggbb``; "" where none was given."""

    name: str
    color: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One ``[[source]]``. Without ``protected`` it is protected: read-only until armed."""

    name: str
    kind: str
    url: str = ""
    environment: str = ""
    protected: bool = True
    poll_ms: int = 10_000
    requests_per_min: int = 60
    include: tuple[str, ...] = ()
    timezone: str = "UTC"
    auth: Mapping[str, str | SecretRef] = field(default_factory=dict[str, "str | SecretRef"])
    tls_verify: bool = True
    tls_ca: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRule:
    """What the orchestrator does not know. Later rules win per field; None (or empty) leaves the field alone."""

    match: str
    application: str | None = None
    layer: str | None = None
    criticality: Severity | None = None
    owner: str | None = None
    business_date: str | None = None
    timezone: str | None = None
    """Zone of its schedule, where its source does not say it (Airflow does not)."""
    consumers: tuple[str, ...] = ()
    runbook: str | None = None
    done_when: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """Selectors of pipelines (or ``feed:NAME``) that this one waits for, where its source does not say so."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words → URL: flow document, dictionary, playbook."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or a desk. ``url`` is a reference to an Apprise URL, which is a secret."""

    name: str
    url: SecretRef
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told. The first route that matches wins; ``severity`` unpacks as (op, Severity)."""

    match: str
    severity: SeverityTest
    to: tuple[str, ...]
    fallback: str | None = None

    def takes(self, facts: Facts, severity: Severity) -> bool:
        return matches(self.match, facts) and self.severity.takes(severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is owed. ``type`` tells which of ``due``, ``due_after_schedule_ms``, ``limit_ms``, ``max_age_ms``, ``by`` is set.

    ``days``: a rule of days, asked for the local date; ``calendar``: name of a ``[[calendar]]``. ``expected_ms``: declared
    duration. ``margin_ms``: of source_arrival, after ``due``. ``of``: selectors of the members of a completeness (``on`` is
    then ``set:ID``). ``after``: selector of what a sequence waits for. ``warn``: P(late) that makes it at risk. ``place``:
    file and line, for people.
    """

    id: str
    on: str
    type: str
    severity: Severity = Severity.HIGH
    due: int | None = None
    due_after_schedule_ms: int | None = None
    by: int | None = None
    limit_ms: int | None = None
    max_age_ms: int | None = None
    start_grace_ms: int = 600_000
    alert_if_late_by_ms: int = 0
    days: Days = DAILY
    calendar: str | None = None
    timezone: str = "UTC"
    runbook: str | None = None
    consumers: tuple[str, ...] = ()
    expected_ms: int | None = None
    margin_ms: int = 0
    of: tuple[str, ...] = ()
    after: str | None = None
    warn: float = 0.5
    warning_counts: bool = True
    business_date: str | None = None
    value: ValueRule | None = None
    """Of what is measured (``metric``, ``volume``, ``quota`` …)."""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRule:
    """What a measured value owes; numbers in the unit of its series.

    ``series``: name of the number that a pipeline's runs tell; without it ``on`` names series. ``above``, ``below``: of each
    reading; ``mean_above``, ``mean_below``, ``peak_above``: of ``window_ms``. ``for_ms``: how long it must be so. ``clear_at``: what
    it must come back to. ``events``, ``min_events``: below so many of that series nothing is said. ``normal``, ``least_share``,
    ``anomaly``, ``allow_empty``: of a volume. ``most``: of quota, budget, forecast; ``share``: of it, that is a risk. ``resets``: cron of a
    quota. ``period``, ``over``: of a budget. ``within_ms``: of a forecast. ``against``, ``tolerance``, ``tolerance_percent``: of reconcile.
    """

    series: str | None = None
    above: float | None = None
    below: float | None = None
    mean_above: float | None = None
    mean_below: float | None = None
    peak_above: float | None = None
    window_ms: int = 900_000
    for_ms: int = 60_000
    clear_at: float | None = None
    events: str | None = None
    min_events: float = 0.0
    normal: tuple[float, float] | None = None
    least_share: float | None = None
    anomaly: bool = True
    allow_empty: bool = False
    most: float | None = None
    share: float = 0.8
    resets: str | None = None
    period: str = "month"
    over: float = 0.2
    within_ms: int | None = None
    against: str | None = None
    tolerance: float = 0.0
    tolerance_percent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A file that comes from outside; ``file`` is a path with globs and ``{business_date}``, ``{yyyymmdd}`` where the date stands.

    Its key is ``feed:NAME``. ``feeds``: selectors of the pipelines that need it; ``buffer_ms``: how long before they start it
    should be there. ``business_date``: the rule by which its date is that of its arrival, where its name tells none.
    """

    name: str
    file: str
    feeds: tuple[str, ...] = ()
    buffer_ms: int | None = None
    timezone: str = "UTC"
    business_date: str = "start"
    layer: str | None = None
    application: str | None = None
    owner: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What must be true before a success counts (``done_when``): a command that exits 0, a file written since the run began, or a
    reading of ``series`` since then within ``normal``.

    ``{business_date}`` and ``{run}`` are filled in. A check with none of them waits for ``watchfloor ping NAME ok``.
    ``on``: it is the output of these pipelines, expected of each run; ``step``: of this step of them.
    """

    name: str
    run: tuple[str, ...] = ()
    file: str | None = None
    min_size: int = 0
    timeout_ms: int = 30_000
    place: str = ""
    on: str | None = None
    step: str | None = None
    series: str | None = None
    normal: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Maintenance, intervention or freeze: from ``start`` to ``end`` (wall time in ``timezone``) or for ``duration_ms``."""

    name: str
    on: str
    kind: str
    start: Moment
    end: Moment | None = None
    duration_ms: int | None = None
    timezone: str = "UTC"
    actions: str = "allow"
    notify: str = "keep"
    expect: str = "keep"
    days: Days | None = None
    """Which start dates, in place of the weekday of ``start``; ``calendar`` tells its business days."""
    calendar: str | None = None
    post_grace_ms: int = 900_000


@dataclass(frozen=True, slots=True)
class Access:
    """``allow`` entries: ``user:NAME``, ``group:NAME``, ``uid:N`` or ``*``. Role: viewer, operator, lead."""

    allow: tuple[str, ...]
    role: str
    on: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One screen for the hour when it is wrong: what to look at each morning, what to do, whom to call for what."""

    name: str
    match: str = "*"
    updated: str | None = None
    check: tuple[str, ...] = ()
    if_wrong: tuple[str, ...] = ()
    contacts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Kind of issue (data, infrastructure, business) → who, in words or the name of a contact."""
    links: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A filter of a screen under a name, for everybody who reads this store."""

    name: str
    screen: str
    filter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a series must stay below; ``on`` is a glob of series names. ``limit`` in the unit of the series."""

    on: str
    limit: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A number worth keeping, asked of a source. ``normal``: lowest and highest value that need nobody; ``where``: file and line."""

    name: str
    source: str
    query: str
    unit: str = ""
    normal: tuple[float, float] | None = None
    where: str = field(default="", compare=False)
    every_ms: int | None = None
    """How often it is asked; None: with each look at its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetric:
    """A number that the runs of some pipelines print. ``step``: glob of step names; ``take``: last, sum or max of several."""

    name: str
    on: str
    regex: str
    step: str = "*"
    take: str = "last"
    unit: str = ""

    def series(self, pipeline: str) -> str:
        """Name of the series of one pipeline (its key)."""
        return f"{self.name}{{pipeline={pipeline}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration. ``path``: the main file; ``folder``: its folder, base of relative paths, cwd of local jobs."""

    path: Path
    folder: Path
    hash: str
    timezone: str = "UTC"
    ui: Mapping[str, Any] = field(default_factory=dict[str, Any])
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    store: StoreConfig = StoreConfig()
    runbooks: Path | None = None
    environments: tuple[Environment, ...] = ()
    sources: tuple[Source, ...] = ()
    pipelines: tuple[PipelineRule, ...] = ()
    jobs: tuple[JobSpec, ...] = ()
    contacts: tuple[Contact, ...] = ()
    routes: tuple[Route, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    windows: tuple[Window, ...] = ()
    calendars: Mapping[str, BusinessCalendar] = field(default_factory=dict[str, BusinessCalendar])
    feeds: tuple[Feed, ...] = ()
    checks: tuple[Check, ...] = ()
    access: tuple[Access, ...] = ()
    series: tuple[Series, ...] = ()
    run_metrics: tuple[RunMetric, ...] = ()
    cards: tuple[Card, ...] = ()
    views: tuple[SavedView, ...] = ()
    limits: tuple[Limit, ...] = ()
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """Every file that was read, the main one first: what a reload watches (with ``watchfloor.d`` itself)."""

    def source(self, name: str) -> Source | None:
        return next((s for s in self.sources if s.name == name), None)

    def contact(self, name: str) -> Contact | None:
        return next((c for c in self.contacts if c.name == name), None)

    def environment(self, name: str) -> Environment:
        return next((e for e in self.environments if e.name == name), Environment(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a selector can ask of a thing. ``key`` may be of a source (its name), a pipeline, a run or a step."""

    key: str
    source: str = ""
    environment: str = ""
    application: str | None = None
    layer: str | None = None
    tags: tuple[str, ...] = ()


def matches(pattern: str, facts: Facts) -> bool:
    """Whether a selector means this thing: ``*``, ``app: layer: tag: env: src:`` (with ``*`` and ``?``), or a key glob.

    A pipeline's pattern also means its runs and steps; ``source:*`` also means the source itself.
    """
    if pattern == "*":
        return True
    head, colon, rest = pattern.partition(":")
    if colon:
        match head:
            case "app":
                return facts.application is not None and fnmatchcase(facts.application, rest)
            case "layer":
                return facts.layer is not None and fnmatchcase(facts.layer, rest)
            case "tag":
                return any(fnmatchcase(tag, rest) for tag in facts.tags)
            case "env":
                return bool(facts.environment) and fnmatchcase(facts.environment, rest)
            case "src":
                return fnmatchcase(facts.source or facts.key.partition(":")[0], rest)
            case _:
                pass
    key = facts.key
    if ":" not in key:
        return (rest == "*" and fnmatchcase(key, head)) if colon else fnmatchcase(key, pattern)
    return pattern == key or fnmatchcase(key, pattern) or ("/" in key and matches_pipeline(pattern, key))


def matches_pipeline(pattern: str, key: str) -> bool:
    pipeline = key.partition("/")[0]
    return pattern == pipeline or fnmatchcase(pipeline, pattern)
