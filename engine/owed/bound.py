"""A promise bound to a row of the store, and what changed of it: what the judge and the alerts say to each other. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import Owed, Severity
from engine.owed.occurrences import Occurrence, Promise
from engine.owed.predict import Prediction

PER_RUN = ("max_duration", "duration_anomaly", "runaway")
"""Types that are judged while a run goes on; ``runaway`` and ``overdue`` need no configuration."""
MEASURED = ("metric", "resource", "volume", "reconcile", "quota", "budget", "forecast")
"""Types that are judged of measured values, whenever they are measured."""
APART = (*PER_RUN, *MEASURED)
"""Types that no calendar and no schedule opens: their words are what goes on, not a due time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One expectation of one thing. ``id``: of its row in ``expectation``; ``pipeline_id`` None: not of a pipeline.

    ``declared`` False: made without configuration. ``words``: how it reads ("finish by 06:00 Europe/Paris, mon-fri").
    ``promise.on`` is the thing's key. ``limit_ms``, ``expected_ms``: declared durations.
    """

    id: int
    promise: Promise
    severity: Severity
    words: str
    declared: bool = True
    pipeline_id: int | None = None
    source: str = ""
    warn: float = 0.5
    limit_ms: int | None = None
    expected_ms: int | None = None
    consumers: tuple[str, ...] = ()
    runbook: str | None = None
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedChange:
    """An occurrence whose state changed, or of which people are to be told now.

    ``before`` None: it was not known. ``alerting``: broken for as long as ``alert_if_late_by`` says (or it has no such). ``root``:
    what makes it so, if something upstream does: ``feed:NAME`` that is late, or the key of a pipeline upstream that failed or
    is itself late. ``run_key``: the run that counts or that would have to be rerun.
    """

    bound: Bound
    occurrence_id: int
    before: Owed | None
    after: Occurrence
    alerting: bool
    prediction: Prediction | None = None
    root: str | None = None
    run_key: str | None = None
