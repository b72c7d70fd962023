"""Shapes of the DSS public API as they arrive, and what they mean in our words.

Only ids are required of an item: a field that a version lacks, adds or writes differently changes nothing. Times are
epoch milliseconds; 0 means none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

import msgspec

from adapters.dataiku.dss import segment
from adapters.model import Mode, Pipeline, Run, RunKind, State, pipeline_key, run_key

OURS: Final = "watchfloor"
"""Trigger parameter with which every run that we start carries the action's id."""
OURS_AGAIN: Final = "watchfloor_rerun_of"
DATASET: Final = ".dataset."
_LATEST: Final = 253_000_000_000_000


class Project(msgspec.Struct, rename="camel"):
    project_key: str
    name: Any = None


class Scenario(msgspec.Struct, rename="camel"):
    """An item of a project's list of scenarios."""

    id: str
    name: Any = None
    type: Any = None
    active: Any = None
    running: Any = None
    start: Any = None
    tags: Any = None
    short_desc: Any = None


class Light(msgspec.Struct, rename="camel"):
    active: Any = None
    running: Any = None
    start: Any = None
    next_run: Any = None


class Settings(msgspec.Struct, rename="camel"):
    """Of a scenario, whole."""

    id: Any = None
    name: Any = None
    type: Any = None
    active: Any = None
    triggers: Any = None
    params: Any = None
    reporters: Any = None
    run_as_user: Any = None
    version_tag: Any = None
    tags: Any = None
    short_desc: Any = None


class TriggerRef(msgspec.Struct):
    id: Any = None
    type: Any = None
    name: Any = None


class Fire(msgspec.Struct, rename="camel"):
    """A trigger that fired. ``params`` are what the run was given; not every DSS may tell them."""

    run_id: Any = None
    trigger: TriggerRef | None = None
    params: Any = None
    cancelled: Any = None


class Thrown(msgspec.Struct):
    clazz: Any = None
    title: Any = None
    message: Any = None

    @property
    def words(self) -> str | None:
        said = self.message or self.title or self.clazz
        return said.strip().partition("\n")[0][:300] if isinstance(said, str) and said.strip() else None


class Result(msgspec.Struct):
    outcome: Any = None
    thrown: Thrown | None = None


class ScenarioRun(msgspec.Struct, rename="camel"):
    """One run of a scenario. It runs as long as there is no ``result``."""

    run_id: str
    start: Any = None
    end: Any = None
    trigger: Fire | None = None
    result: Result | None = None

    @property
    def active(self) -> bool:
        return self.result is None and at(self.end) is None

    @property
    def params(self) -> dict[str, Any] | None:
        """What its trigger was given; None where DSS does not tell."""
        given = self.trigger.params if self.trigger is not None else None
        return given if isinstance(given, dict) else None

    @property
    def manual(self) -> bool:
        trigger = self.trigger.trigger if self.trigger is not None else None
        return trigger is not None and "manual" in (trigger.id, trigger.type)


class StepRef(msgspec.Struct):
    id: str
    name: Any = None
    type: Any = None


class ReportItem(msgspec.Struct, rename="camel"):
    type: Any = None
    job_id: Any = None
    outcome: Any = None
    thrown: Thrown | None = None
    start: Any = None
    end: Any = None


class StepDone(msgspec.Struct, rename="camel"):
    """A step that ended or is at work; those that wait are not listed."""

    step: StepRef
    run_id: Any = None
    start: Any = None
    end: Any = None
    result: Result | None = None
    additional_report_items: list[ReportItem] | None = None

    @property
    def why(self) -> str | None:
        """Its first error, as the vendor's client finds it."""
        if self.result is not None and self.result.thrown is not None and (said := self.result.thrown.words):
            return said
        for item in self.additional_report_items or ():
            if item.outcome == "FAILED" and item.thrown is not None and (said := item.thrown.words):
                return said
        return None


class RunDetails(msgspec.Struct, rename="camel"):
    scenario_run: ScenarioRun
    step_runs: list[StepDone] = msgspec.field(default_factory=list[StepDone])


class RunForTrigger(msgspec.Struct, rename="camel"):
    scenario_run: ScenarioRun | None = None


class Fired(msgspec.Struct, rename="camel"):
    """The answer to a run that was asked for: the fire of a trigger, not a run."""

    run_id: str
    trigger: TriggerRef
    cancelled: Any = None


# --- words to states ------------------------------------------------------------------------------------------------

OUTCOMES: Final[Mapping[str, State]] = {
    "SUCCESS": State.SUCCESS,
    "WARNING": State.WARNING,
    "FAILED": State.FAILED,
    "ABORTED": State.STOPPED,
}
JOB_STATES: Final[Mapping[str, State]] = {
    "NOT_STARTED": State.QUEUED,
    "RUNNING": State.RUNNING,
    "DONE": State.SUCCESS,
    "FAILED": State.FAILED,
    "ABORTED": State.STOPPED,
}


def at(value: Any) -> int | None:
    """A time of DSS in ms UTC; 0, absent, of another type or beyond all calendars is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return int(value) if 0 < value < _LATEST else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def outcome(result: Result | None, ended: bool) -> tuple[str, State]:
    """Native word and state. Without a result it runs; a word that nobody knows is shown with ``?``."""
    if result is None and not ended:
        return "RUNNING", State.RUNNING
    word = result.outcome if result is not None and isinstance(result.outcome, str) else ""
    state = OUTCOMES.get(word)
    return (word, state) if state is not None else (f"{word}?", State.WARNING if ended else State.RUNNING)


def job_state(word: Any, ended: bool, stable: Any = None) -> tuple[str, State]:
    """Of a job or one of its activities. Transient words that are not documented: RUNNING while ``stableState`` is false."""
    known = JOB_STATES.get(word) if isinstance(word, str) else None
    if known is not None:
        return str(word), known
    if isinstance(word, str) and word and stable is False and not ended:
        return word, State.RUNNING
    return f"{word if isinstance(word, str) else ''}?", State.WARNING if ended else State.RUNNING


def native_id(project: str, scenario: str) -> str:
    return f"{project}.{scenario}"


def scenario_url(base: str, project: str, scenario: str) -> str:
    return f"{base}/projects/{segment(project)}/scenarios/{segment(scenario)}/"


def pipeline_of(source: str, base: str, project: str, item: Scenario, **more: Any) -> Pipeline:
    """A scenario, named with its project since the same names stand in many. What only its settings tell (triggers, steps, who it runs as) comes in ``more`` once they were read."""
    given = item.tags if isinstance(item.tags, list) else []
    return Pipeline(
        key=pipeline_key(source, native_id(project, item.id)),
        name=f"{project}.{text(item.name) or item.id}",
        mode=Mode.PAUSED if item.active is False else Mode.ACTIVE,
        tags=tuple(sorted({f"project:{project}", *(t for t in given if isinstance(t, str) and t)})),
        url=scenario_url(base, project, item.id),
        description=text(item.short_desc),
        **more,
    )


def run_of(
    item: ScenarioRun, source: str, base: str, project: str, scenario: str, zone: tzinfo, date_param: str
) -> Run:
    """A run of a scenario. Its business date is the parameter that says so, else the day on which it started."""
    ended = at(item.end)
    native, state = outcome(item.result, ended is not None)
    if item.result is not None and ended is None and not state.terminal:
        state = State.WARNING
    pipeline = pipeline_key(source, native_id(project, scenario))
    given = dict(item.params or {})
    ours, again = given.pop(OURS, None), given.pop(OURS_AGAIN, None)
    start = at(item.start)
    kind = RunKind.RERUN if again else RunKind.MANUAL if item.manual else RunKind.SCHEDULED
    thrown = item.result.thrown if item.result is not None else None
    return Run(
        key=run_key(pipeline, item.run_id),
        native=native,
        state=state,
        kind=kind,
        params=given or None,
        business_date=_date(given.get(date_param)) or day_of(start, zone),
        rerun_of=run_key(pipeline, again) if isinstance(again, str) and again else None,
        queued=None,
        started=start,
        ended=ended if state.terminal else None,
        url=scenario_url(base, project, scenario),
        error=thrown.words if thrown is not None and state is State.FAILED else None,
        client_id=ours if isinstance(ours, str) else None,
    )


def _date(value: Any) -> str | None:
    try:
        return date.fromisoformat(value).isoformat() if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def day_of(ms: int | None, zone: tzinfo) -> str | None:
    """The calendar day of a moment in the source's zone."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).date().isoformat()
