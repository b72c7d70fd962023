"""Shapes of Databricks' Jobs 2.2 as they arrive, and what they mean in our words.

From the vendor's own client (databricks-sdk 0.156, generated from its OpenAPI). Only ids are required of an item: a field
that a workspace lacks or adds changes nothing, an item without its id makes the whole answer unusable. Times are ms UTC,
0 means none. Ids are 64-bit integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from adapters.databricks.quartz import cron_of
from adapters.databricks.states import judge
from adapters.model import Mode, Pipeline, Run, RunKind, State, StepDef, Trigger, pipeline_key, run_key

SUBMIT: Final = "submit"
"""Native id of the pipeline that stands for all one-time runs (``runs/submit``), where they are asked for."""


class Code(msgspec.Struct):
    """Why something waits or ended: ``type`` only of an end."""

    code: str | None = None
    type: str | None = None
    message: str | None = None


class RunStatus(msgspec.Struct):
    """The newer block about a run's state."""

    state: str | None = None
    termination_details: Code | None = None
    queue_details: Code | None = None


class RunState(msgspec.Struct):
    """The older block about a run's state; the only one with a result."""

    life_cycle_state: str | None = None
    result_state: str | None = None
    state_message: str | None = None
    queue_reason: str | None = None


class Depends(msgspec.Struct):
    task_key: str | None = None


class Task(msgspec.Struct):
    """A task as a job defines it."""

    task_key: str
    depends_on: list[Depends] | None = None
    notebook_task: Any = None
    spark_jar_task: Any = None
    spark_python_task: Any = None
    spark_submit_task: Any = None
    python_wheel_task: Any = None
    pipeline_task: Any = None
    sql_task: Any = None
    dbt_task: Any = None
    run_job_task: Any = None
    condition_task: Any = None
    for_each_task: Any = None

    @property
    def operator(self) -> str | None:
        """``notebook``, ``spark_python`` …; None for a kind that is not known here."""
        return next((n.removesuffix("_task") for n in _KINDS if getattr(self, n) is not None), None)

    @property
    def after(self) -> tuple[str, ...]:
        return tuple(d.task_key for d in self.depends_on or () if d.task_key)


_KINDS: Final = tuple(name for name in Task.__struct_fields__ if name.endswith("_task"))


class TaskRun(Task):
    """One try of a task in a run."""

    run_id: int | None = None
    state: RunState | None = None
    status: RunStatus | None = None
    start_time: int | None = None
    end_time: int | None = None
    setup_duration: int | None = None
    queue_duration: int | None = None
    attempt_number: int | None = None


class Repair(msgspec.Struct):
    """``id`` only of a REPAIR, not of the ORIGINAL."""

    type: str | None = None
    id: int | None = None
    task_run_ids: list[int] | None = None


class Parameter(msgspec.Struct):
    name: str = ""
    default: Any = None
    value: Any = None


class JobRun(msgspec.Struct):
    """A run of a job, from ``runs/list`` or (with tasks) ``runs/get``."""

    run_id: int
    job_id: int | None = None
    run_name: str | None = None
    run_type: str | None = None
    trigger: str | None = None
    creator_user_name: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    run_duration: int | None = None
    queue_duration: int | None = None
    original_attempt_run_id: int | None = None
    state: RunState | None = None
    status: RunStatus | None = None
    run_page_url: str | None = None
    job_parameters: list[Parameter] | None = None
    overriding_parameters: dict[str, Any] | None = None
    tasks: list[TaskRun] | None = None
    repair_history: list[Repair] | None = None
    next_page_token: str | None = None


class Named(msgspec.Struct):
    display: str | None = None


class Me(msgspec.Struct):
    """``/scim/v2/Me``: a service principal has its application id for a user name."""

    userName: str | None = None
    displayName: str | None = None
    groups: list[Named] | None = None


class Runs(msgspec.Struct):
    runs: list[JobRun] | None = None
    has_more: bool | None = None
    next_page_token: str | None = None


class Settings(msgspec.Struct):
    """Of a job. What pauses it is kept as it arrives, since it is sent back whole."""

    name: str | None = None
    description: str | None = None
    tags: dict[str, Any] | None = None
    schedule: dict[str, Any] | None = None
    trigger: dict[str, Any] | None = None
    continuous: dict[str, Any] | None = None
    triggers: list[dict[str, Any]] | None = None
    tasks: list[Task] | None = None
    parameters: list[Parameter] | None = None
    max_concurrent_runs: int | None = None


class Job(msgspec.Struct):
    job_id: int
    creator_user_name: str | None = None
    run_as_user_name: str | None = None
    settings: Settings | None = None
    has_more: bool | None = None
    next_page_token: str | None = None


class Jobs(msgspec.Struct):
    jobs: list[Job] | None = None
    has_more: bool | None = None
    next_page_token: str | None = None


# --- pipelines ------------------------------------------------------------------------------------------------------


def pausable(settings: Settings) -> Mapping[str, Any]:
    """What of a job can be paused, as it stands: ``schedule``, ``trigger``, ``continuous``, or ``triggers`` (a list).

    A job with ``triggers`` shows the older fields beside them at most; those alone are sent back.
    """
    if settings.triggers:
        return {"triggers": settings.triggers}
    named = {"schedule": settings.schedule, "trigger": settings.trigger, "continuous": settings.continuous}
    return {name: value for name, value in named.items() if value}


def paused(settings: Settings) -> bool:
    """All that starts it by itself is paused. Nothing of that kind: not paused."""
    words: list[str] = []
    for value in pausable(settings).values():
        words += [str(one.get("pause_status")) for one in (value if isinstance(value, list) else [value])]
    return bool(words) and all(word == "PAUSED" for word in words)


def pipeline_of(job: Job, source: str, base: str, steps: Sequence[StepDef] = ()) -> Pipeline:
    """A job. ``schedule`` is its cron as five fields where they can say it, else Databricks' own words."""
    has = job.settings or Settings()
    trigger, schedule, zone = _trigger(has) if job.settings else (Trigger.UNKNOWN, None, None)
    return Pipeline(
        key=pipeline_key(source, str(job.job_id)),
        name=has.name or str(job.job_id),
        mode=Mode.PAUSED if paused(has) else Mode.ACTIVE,
        trigger=trigger,
        schedule=schedule,
        timezone=zone,
        owner=job.run_as_user_name or job.creator_user_name,
        tags=tuple(sorted(f"{k}:{v}" if v else k for k, v in (has.tags or {}).items())),
        url=f"{base}/jobs/{job.job_id}",
        description=has.description,
        steps=tuple(steps),
    )


def steps_of(tasks: Sequence[Task]) -> tuple[StepDef, ...]:
    return tuple(StepDef(name=t.task_key, after=t.after, operator=t.operator) for t in tasks)


def _trigger(has: Settings) -> tuple[Trigger, str | None, str | None]:
    """Kind, schedule, zone. Of several triggers the first that has a schedule is told."""
    found = [_one_trigger(t) for t in has.triggers or ()]
    if found:
        best = next((f for f in found if f[0] is Trigger.CRON), found[0])
        several = f"{best[1] or 'event'} and {len(found) - 1} more" if len(found) > 1 else best[1]
        return (best[0], several, best[2])
    if has.schedule:
        return _one_trigger({"schedule": has.schedule})
    if has.continuous:
        return (Trigger.CONTINUOUS, "continuous", None)
    return _one_trigger(has.trigger) if has.trigger else (Trigger.MANUAL, None, None)


def _one_trigger(one: Mapping[str, Any]) -> tuple[Trigger, str | None, str | None]:
    schedule, periodic = one.get("schedule"), one.get("periodic")
    if isinstance(schedule, dict):
        zone = schedule.get("timezone_id")
        text = schedule.get("quartz_cron_expression")
        if not isinstance(text, str):
            return (Trigger.CRON, None, None)
        if not isinstance(zone, str) or not _known(zone):  # a zone of Java's: nobody here can reckon in it
            return (Trigger.CRON, f"{text} ({zone})" if zone else text, None)
        return (Trigger.CRON, cron_of(text), zone)
    if isinstance(periodic, dict):  # its ticks are counted from a moment that is told nowhere
        return (Trigger.INTERVAL, f"periodic {periodic.get('interval')} {str(periodic.get('unit')).lower()}", None)
    if one.get("continuous") is not None:
        return (Trigger.CONTINUOUS, "continuous", None)
    named = [k for k in one if k not in ("pause_status", "sql_condition")]
    return (Trigger.EVENT, named[0].replace("_", " ") if named else None, None)


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


# --- runs -----------------------------------------------------------------------------------------------------------

_RUN_KINDS: Final[Mapping[str, RunKind]] = {
    "ONE_TIME": RunKind.MANUAL,
    "CONTINUOUS_RESTART": RunKind.MANUAL,
    "RETRY": RunKind.RERUN,
}


def native_pipeline(run: JobRun) -> str:
    """Id of the pipeline that a run belongs to."""
    one_time = run.job_id in (None, 0) or run.run_type == "SUBMIT_RUN"
    return SUBMIT if one_time else str(run.job_id)


def time(at: int | None) -> int | None:
    """0 is Databricks' way of saying that there is none."""
    return at if at and at > 0 else None


def params_of(run: JobRun) -> dict[str, Any]:
    """Its job parameters, and what else it was given (``notebook_params`` and the like, as they are)."""
    found = {p.name: p.default if p.value is None else p.value for p in run.job_parameters or () if p.name}
    return {**found, **{k: v for k, v in (run.overriding_parameters or {}).items() if v}}


def run_of(run: JobRun, source: str, base: str, zone: tzinfo, date_parameter: str = "") -> Run:
    """A run. ``business_date``: its date parameter where it has one, else the local date of its start.

    Databricks tells no time of change and of a repaired run no attempt: that it goes from ended to running again is seen.
    """
    native, state, sub = judge(run.state, run.status, ended=time(run.end_time) is not None)
    begun = time(run.start_time)
    waited = run.queue_duration or 0
    ended = time(run.end_time) if state.terminal else None
    if ended is None and state.terminal and begun and run.run_duration:
        ended = begun + run.run_duration
    pipeline = pipeline_key(source, native_pipeline(run))
    params = params_of(run)
    again = run.original_attempt_run_id
    return Run(
        key=run_key(pipeline, str(run.run_id)),
        native=native,
        state=state,
        sub=sub,
        kind=_RUN_KINDS.get(run.trigger or "", RunKind.SCHEDULED),
        params=params or None,
        business_date=_date(params, date_parameter) or (local_date(begun, zone) if begun else None),
        rerun_of=run_key(pipeline, str(again)) if again and again != run.run_id else None,
        queued=begun,
        started=None if state is State.QUEUED or begun is None else begun + waited,
        ended=ended,
        url=run.run_page_url if (run.run_page_url or "").startswith("http") else _url(run, base),
        error=said(run) if state.bad or state is State.WARNING else None,
    )


def _url(run: JobRun, base: str) -> str:
    return f"{base}/jobs/{run.job_id}/runs/{run.run_id}" if run.job_id else f"{base}/jobs/runs/{run.run_id}"


def said(run: JobRun | TaskRun) -> str | None:
    """What Databricks says about how it ended."""
    details = run.status.termination_details if run.status else None
    return (run.state.state_message if run.state else None) or (details.message if details else None) or None


def _date(params: Mapping[str, Any], name: str) -> str | None:
    value = params.get(name) if name else None
    try:
        return datetime.fromisoformat(str(value)).date().isoformat() if value else None
    except ValueError:
        return None


def local_date(at_ms: int, zone: tzinfo) -> str | None:
    """ISO date of a moment in a zone; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None
