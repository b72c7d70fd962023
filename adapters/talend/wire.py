"""Shapes of the public API of Talend Management Console as they arrive, and what they mean in our words.

Only ids are required of an item. Everything else may be missing or of a kind that nobody documented: it is then None,
never a reason to refuse the answer. The words and shapes are those of the vendor's own description of its API, version
2021-03; docs/systems/talend.md lists what of it was never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.model import Key, Run, RunKind, State, StepRun, pipeline_key, run_key

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
TASK: Final = "task"
PLAN: Final = "plan"
JOB: Final = "job"
"""The one step of a task's run: the artifact that it runs, and the log."""


class Named(msgspec.Struct):
    """Environment, artifact: whatever has an id and a name."""

    id: str
    name: str | None = None


class Workspace(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    owner: str | None = None
    environment: Named | None = None


class Pause(msgspec.Struct):
    """``taskPauseDetails``, ``planPauseDetails``."""

    pause: bool | None = None
    pauseContext: str | None = None
    user: str | None = None


class Runtime(msgspec.Struct):
    type: str | None = None
    id: str | None = None


class TaskItem(msgspec.Struct):
    """Of the list of tasks, where its id is called ``executable``."""

    executable: str
    name: str | None = None
    workspace: Workspace | None = None
    artifactId: str | None = None
    runtime: Runtime | None = None
    taskPauseDetails: Pause | None = None


class Task(msgspec.Struct):
    """One task by its id, where its id is called ``id``."""

    id: str
    name: str | None = None
    description: str | None = None
    version: str | None = None
    artifact: Any = None
    workspace: Workspace | None = None
    tags: list[str] | None = None
    taskPauseDetails: Pause | None = None


class Tasks(msgspec.Struct):
    items: list[TaskItem]
    total: int | None = None


class Flow(msgspec.Struct):
    id: str | None = None
    name: str | None = None


class ChartStep(msgspec.Struct):
    """A plan's steps are a linked list."""

    id: str | None = None
    name: str | None = None
    flows: list[Flow] | None = None
    taskIds: list[str] | None = None
    nextStep: ChartStep | None = None


class PlanItem(msgspec.Struct):
    executable: str
    name: str | None = None
    description: str | None = None
    workspace: Workspace | None = None
    chart: ChartStep | None = None
    planPauseDetails: Pause | None = None


class Plans(msgspec.Struct):
    items: list[PlanItem]
    total: int | None = None


class TaskRun(msgspec.Struct):
    """An execution of a task, of the lists (``taskId``) and by itself (``jobId``). ``planId`` is the plan in one, and the
    execution of the plan in the other."""

    executionId: str
    taskId: str | None = None
    jobId: str | None = None
    planId: str | None = None
    executionType: str | None = None
    status: str | None = None
    executionStatus: str | None = None
    triggerTimestamp: Any = None
    startTimestamp: Any = None
    finishTimestamp: Any = None
    userId: str | None = None
    errorMessage: str | None = None
    errorType: str | None = None
    misfiredExecutionReason: str | None = None
    numberOfProcessedRows: int | None = None
    numberOfRejectedRows: int | None = None

    @property
    def of(self) -> str:
        """The task's id; empty where the answer names none."""
        return self.taskId or self.jobId or ""


class TaskRuns(msgspec.Struct):
    items: list[TaskRun]
    total: int | None = None


class PlanRun(msgspec.Struct):
    executionId: str
    planId: str | None = None
    executionType: str | None = None
    status: str | None = None
    executionStatus: str | None = None
    triggerTimestamp: Any = None
    startTimestamp: Any = None
    finishTimestamp: Any = None
    userId: str | None = None
    errorMessage: str | None = None
    misfiredExecutionReason: str | None = None
    plannedExecutableCount: int | None = None
    doneExecutableCount: int | None = None
    doneExecutableDetails: list[TaskRun] | None = None

    @property
    def of(self) -> str:
        return self.planId or ""


class PlanRuns(msgspec.Struct):
    items: list[PlanRun]
    total: int | None = None


class StepExecution(msgspec.Struct):
    """One step of a plan's execution, in design order. ``id`` is the step of the design, ``executionId`` this time's."""

    id: str
    executionId: str | None = None
    startTimestamp: Any = None
    finishTimestamp: Any = None
    executionStatus: str | None = None


class Made(msgspec.Struct):
    """Answer to a call that starts something."""

    executionId: str


class Token(msgspec.Struct):
    access_token: str
    expires_in: Any = None


class LogLine(msgspec.Struct):
    logTimestamp: Any = None
    severity: str | None = None
    logMessage: str | None = None


class LogPage(msgspec.Struct):
    data: list[LogLine]
    nextIndex: Any = None


class Component(msgspec.Struct):
    connector_type: str | None = None
    connector_id: str | None = None
    connector_label: str | None = None
    component_start_time_seconds: Any = None
    component_execution_duration_milliseconds: Any = None
    component_connection_rows_total: Any = None
    stacktrace: str | None = None


class Metrics(msgspec.Struct):
    items: list[Component] | None = None
    total: int | None = None


class ComponentPage(msgspec.Struct):
    metrics: Metrics | None = None


class Engine(msgspec.Struct):
    """A remote engine."""

    id: str
    name: str | None = None
    runtimeId: str | None = None
    availability: str | None = None
    status: str | None = None
    workspace: Workspace | None = None


# --- words to states ------------------------------------------------------------------------------------------------

TASK_STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "EXECUTION_EVENT_RECEIVED": (State.QUEUED, None),
    "DISPATCHING_FLOW": (State.QUEUED, None),
    "STARTING_FLOW_EXECUTION": (State.RUNNING, None),  # despite its name: the run runs
    "STOPPING_FLOW_EXECUTION": (State.STOPPING, None),
    "EXECUTION_SUCCESS": (State.SUCCESS, None),
    "EXECUTION_REJECTED": (State.WARNING, "rejected rows"),
    "EXECUTION_FAILED": (State.FAILED, None),
    "DEPLOY_FAILED": (State.FAILED, "could not be deployed"),
    "EXECUTION_TERMINATED": (State.STOPPED, None),
    "EXECUTION_TERMINATED_TIMEOUT": (State.TIMED_OUT, None),
    "EXECUTION_TERMINATED_SHUTDOWN": (State.FAILED, "its engine was shut down"),
}
_COARSE: Final[Mapping[str, str]] = {
    "dispatching": "DISPATCHING_FLOW",
    "executing": "STARTING_FLOW_EXECUTION",
    "execution_successful": "EXECUTION_SUCCESS",
    "execution_rejected": "EXECUTION_REJECTED",
    "execution_failed": "EXECUTION_FAILED",
    "deploy_failed": "DEPLOY_FAILED",
    "terminated": "EXECUTION_TERMINATED",
    "terminated_timeout": "EXECUTION_TERMINATED_TIMEOUT",
    "terminated_shutdown": "EXECUTION_TERMINATED_SHUTDOWN",
}
"""``status``, by which lists are filtered, as the finer word that stands for it."""
PLAN_STATES: Final[Mapping[str, tuple[State, str | None]]] = {
    "STARTED": (State.RUNNING, None),
    "EXECUTION_SUCCESS": (State.SUCCESS, None),
    "EXECUTION_FAILED": (State.FAILED, None),
    "EXECUTION_MISFIRED": (State.SKIPPED, "misfired"),
}
_PLAN_COARSE: Final[Mapping[str, str]] = {
    "executing": "STARTED",
    "execution_successful": "EXECUTION_SUCCESS",
    "execution_failed": "EXECUTION_FAILED",
    "execution_misfired": "EXECUTION_MISFIRED",
}
MISFIRED: Final[Mapping[str, str]] = {
    "TASK_IS_PAUSED": "it was paused",
    "PARALLEL_EXECUTION_FORBIDDEN": "another run was still going",
    "MAX_PARALLEL_TASKS_LIMIT_REACHED": "too many runs at once",
}
_KINDS: Final[Mapping[str, RunKind]] = {"MANUAL": RunKind.MANUAL}

Judged = tuple[str, State, str | None]


def task_state(fine: str | None, coarse: str | None, misfired: str | None, ended: bool) -> Judged:
    """Native word, State and sub-label of a task's execution. The finer word counts, its coarse ``status`` where that says more
    (a timeout may be told only there) or the finer one is not known."""
    if misfired:
        return misfired, State.SKIPPED, MISFIRED.get(misfired, "misfired")
    if fine == "EXECUTION_TERMINATED" and coarse in ("terminated_timeout", "terminated_shutdown"):
        fine = _COARSE[coarse]
    return _judged(fine, coarse, TASK_STATES, _COARSE, ended)


def plan_state(fine: str | None, coarse: str | None, misfired: str | None, ended: bool) -> Judged:
    """The same of a plan's execution. FINISHED says only that it is over: how, says ``status``."""
    if misfired:
        return misfired, State.SKIPPED, MISFIRED.get(misfired, "misfired")
    if fine in ("FINISHED", "UNDEFINED") and coarse in _PLAN_COARSE and coarse != "executing":
        fine = _PLAN_COARSE[coarse]
    return _judged(fine, coarse, PLAN_STATES, _PLAN_COARSE, ended)


def _judged(
    fine: str | None,
    coarse: str | None,
    known: Mapping[str, tuple[State, str | None]],
    by: Mapping[str, str],
    ended: bool,
) -> Judged:
    word = fine if fine is not None and fine in known else by.get(coarse or "")
    if word is None or (fine == "FINISHED" and not known[word][0].terminal):
        return f"{fine or coarse or ''}?", State.WARNING if ended else State.RUNNING, None
    state, sub = known[word]
    return fine or word, state, sub


def step_state(item: StepExecution, over: bool) -> Judged:
    """Of a step of a plan. One that was not reached has neither word nor times: skipped when the plan is over, else waiting.

    Which words a step uses is documented nowhere; those of plans and tasks are understood.
    """
    word, began, ended = item.executionStatus, item.startTimestamp, item.finishTimestamp
    if word is None and began is None and ended is None:
        return ("not reached", State.SKIPPED, "not reached") if over else ("waiting", State.QUEUED, None)
    if word is None and ended is None:
        return ("not reached", State.SKIPPED, None) if over and began is None else ("started", State.RUNNING, None)
    said = word or ""
    for by, table in ((_COARSE, TASK_STATES), (_PLAN_COARSE, PLAN_STATES)):
        known = said if said in table else by.get(said)
        if known is not None:
            state, sub = table[known]
            return said, state, sub
    return f"{said}?", State.WARNING if ended is not None else State.RUNNING, None


# --- small things ---------------------------------------------------------------------------------------------------


def ms(at: Any) -> int | None:
    """A time as TMC writes it, in ms UTC: RFC 3339, or a number of ms (of s where it is too small for that). None for others."""
    if isinstance(at, bool) or at is None:
        return None
    if isinstance(at, (int, float)):
        return int(at * 1000) if abs(at) < 100_000_000_000 else int(at)
    if not isinstance(at, str):
        return None
    if at.isdigit() and len(at) > 8:
        return ms(int(at))
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MS


def iso_s(at_ms: int) -> str:
    """``2026-11-21T09:10:38Z``: whole seconds, as its log calls want them."""
    return (_EPOCH + at_ms * _MS).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: Any) -> float | None:
    """A number, also where it comes as text."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def segment(native: str) -> str:
    """A native id as one path segment of a URL."""
    return quote(native, safe="")


def native(kind: str, ident: str) -> str:
    """``task.ID``, ``plan.UUID``."""
    return f"{kind}.{ident}"


def split(key: Key) -> tuple[str, str]:
    """(``task`` or ``plan``, its id) of a key; empty strings where it is neither."""
    kind, _, ident = key.pipeline.partition(".")
    return (kind, ident) if kind in (TASK, PLAN) and ident else ("", "")


def pause_of(details: Pause | None) -> bool:
    return details is not None and details.pause is True


def chart(first: ChartStep | None) -> list[ChartStep]:
    """A plan's steps in their order; a chart that runs in a circle is cut."""
    out: list[ChartStep] = []
    while first is not None and len(out) < 500:
        out.append(first)
        first = first.nextStep
    return out


def step_names(steps: list[ChartStep]) -> dict[str, str]:
    """Step id → name, each name once."""
    out: dict[str, str] = {}
    for number_, step in enumerate(steps, 1):
        name = step.name or f"step {number_}"
        if step.id:
            out[step.id] = name if name not in out.values() else f"{name} ({number_})"
    return out


def run_of(item: TaskRun | PlanRun, source: str, zone: tzinfo, of: str = "") -> Run:
    """An execution as a run. ``of``: id of its task or plan, where the answer may leave it out."""
    task = isinstance(item, TaskRun)
    judge = task_state if task else plan_state
    word, state, sub = judge(
        item.executionStatus, item.status, item.misfiredExecutionReason, ms(item.finishTimestamp) is not None
    )
    if sub is None and task and item.executionType == "PLAN":
        sub = "in a plan"
    started, queued = ms(item.startTimestamp), ms(item.triggerTimestamp)
    ended = ms(item.finishTimestamp)
    begun = queued if started is None else started
    pipeline = pipeline_key(source, native(TASK if task else PLAN, of or item.of))
    return Run(
        key=run_key(pipeline, item.executionId),
        native=word,
        state=state,
        sub=sub,
        kind=_KINDS.get(item.executionType or "", RunKind.SCHEDULED),
        business_date=None if begun is None else _local_date(begun, zone),
        queued=begun if queued is None else queued,
        started=started,
        ended=ended if state.terminal else None,
        error=_error(item) if state in (State.FAILED, State.TIMED_OUT, State.WARNING) else None,
    )


def _error(item: TaskRun | PlanRun) -> str | None:
    said = " ".join((item.errorMessage or "").split())
    if isinstance(item, TaskRun) and item.errorType and item.errorType not in said:
        said = f"{item.errorType}: {said}" if said else item.errorType
    return said[:300] or None


def _local_date(at_ms: int, zone: tzinfo) -> str:
    return (_EPOCH + at_ms * _MS).astimezone(zone).date().isoformat()


def job_step(run: Run, rows: int | None, rejected: int | None, step: str = JOB, order: int = 0) -> StepRun:
    """The whole of a task's execution as one step, with what it read and rejected.

    Of a run by itself the step says no error: TMC's own message ("Job failed") stands at the run, and the log tells more.
    """
    parts = [run.sub] if run.sub and run.sub != "in a plan" else []
    parts += [f"{rows:,} rows"] if rows is not None else []
    parts += [f"{rejected:,} rejected"] if rejected else []
    return StepRun(
        run=run.key,
        step=step,
        native=run.native,
        state=run.state,
        sub=", ".join(parts) or None,
        queued=run.queued,
        started=run.started,
        ended=run.ended,
        order=order,
        operator="task",
        error=None if step == JOB else run.error,
    )
