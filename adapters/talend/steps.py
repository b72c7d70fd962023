"""Steps of a run. Of a plan: its steps in design order, each with the tasks it ran; of a task: its job and the components
of it that TMC measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Final

from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import Http
from adapters.model import Run, State, StepRun
from adapters.talend import reads
from adapters.talend.estate import Estate
from adapters.talend.wire import (
    JOB,
    PLAN,
    TASK,
    ChartStep,
    ComponentPage,
    PlanRun,
    StepExecution,
    TaskRun,
    chart,
    job_step,
    ms,
    number,
    run_of,
    segment,
    step_names,
    step_state,
)

COMPONENTS: Final = 200
"""Measured components of one run that are asked for: one page."""
RUNNING_MS: Final = 5_000
_WIDE: Final = 1_000
"""Room in the order for the tasks of one step."""


@dataclass(slots=True)
class PlanSteps:
    """Steps of one execution of a plan. ``logs``: name of a step or task → the task executions that have its log, a failed one
    first. ``executions``: name of a step → its own execution id, by which a plan is run again from it. ``parent``: name of a
    task → name of its step."""

    steps: list[StepRun] = field(default_factory=list[StepRun])
    logs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    executions: dict[str, str] = field(default_factory=dict[str, str])
    parent: dict[str, str] = field(default_factory=dict[str, str])


async def of_task(http: Http, item: TaskRun, run: Run, components: bool) -> tuple[list[StepRun], str]:
    """The job, then its components in the order in which they began. Why components could not be read, in one clause."""
    job = job_step(run, item.numberOfProcessedRows, item.numberOfRejectedRows)
    if not components or run.started is None:
        return [job], ""
    path = f"/monitoring/observability/executions/{segment(item.executionId)}/component"
    try:
        page, _ = await http.get(path, ComponentPage, {"limit": COMPONENTS, "offset": 0})
    except NotFound:
        return [job], ""
    except Forbidden as err:  # needs the role of an operator
        return [job], err.what
    except BadResponse as err:
        if err.status is None or err.status < 400 or err.status >= 500:
            raise
        return [job], ""
    found = (page.metrics.items if page.metrics else None) or []
    broken = any(c.stacktrace for c in found)
    out: list[StepRun] = []
    taken = {JOB}
    found.sort(key=lambda c: number(c.component_start_time_seconds) or 0)
    for place, one in enumerate(found, 1):
        name = _unique(one.connector_label or one.connector_id or one.connector_type or f"component {place}", taken)
        began = ms(number(one.component_start_time_seconds))
        took = number(one.component_execution_duration_milliseconds)
        rows = number(one.component_connection_rows_total)
        native, state = _component(one.stacktrace, run, broken)
        out.append(
            StepRun(
                run=run.key,
                step=name,
                native=native,
                state=state,
                sub=None if rows is None else f"{rows:,.0f} rows",
                started=began,
                ended=began + int(took) if began is not None and took is not None and state.terminal else None,
                order=place,
                operator=one.connector_type or "component",
                error=" ".join((one.stacktrace or "").split())[:300] or None,
            )
        )
    return [job, *out], ""


def _component(trace: str | None, run: Run, broken: bool) -> tuple[str, State]:
    """TMC gives a component no state. One with a stack trace failed; the others did what their run did, and of a run that
    failed elsewhere nothing is said."""
    if trace:
        return "stacktrace", State.FAILED
    if run.state.finished or not run.state.terminal:
        return run.native, State.SUCCESS if run.state.finished else State.RUNNING
    return (run.native, State.SUCCESS) if broken else (run.native, State.STOPPED)


class Running:
    """Which tasks of a plan's run run now, asked every few seconds of the server's time by those who look at it each second."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int | None, list[TaskRun]]] = {}

    async def tasks(self, http: Http, ident: str, plan: PlanRun) -> list[TaskRun]:
        at, done = http.server_time, plan.doneExecutableCount
        known = self._known.get(plan.executionId)
        if known is not None and at is not None and 0 <= at - known[0] < RUNNING_MS and done == known[1]:
            return known[2]
        found = await running_tasks(http, ident, plan)
        if at is not None:
            self._known.pop(plan.executionId, None)
            self._known[plan.executionId] = (at, done, found)
        while len(self._known) > 20:
            self._known.pop(next(iter(self._known)))
        return found


async def of_plan(
    http: Http, estate: Estate, ident: str, item: PlanRun, run: Run, running: Running | None = None
) -> PlanSteps:
    """The steps, the plan's chart where it is not known, what runs now: three or four requests."""
    path = f"{reads.run_path(PLAN, item.executionId)}/steps"
    rows, _ = await http.get(path, list[StepExecution])
    design = await _design(http, estate, ident)
    names = step_names(design)
    charted = {s.id: s for s in design if s.id}
    called = {f.id: f.name for s in design for f in s.flows or () if f.id and f.name}
    tasks = {t.executionId: t for t in item.doneExecutableDetails or ()}
    if run.state.active:
        now = await (running.tasks if running is not None else running_tasks)(http, ident, item)
        tasks = {t.executionId: t for t in now} | tasks
    left = dict(tasks)
    out = PlanSteps()
    taken: set[str] = set()
    for place, row in enumerate(rows):
        name = _unique(names.get(row.id) or f"step {place + 1}", taken)
        native, state, sub = step_state(row, run.state.terminal)
        step = StepRun(
            run=run.key,
            step=name,
            native=native,
            state=state,
            sub=sub,
            started=ms(row.startTimestamp),
            ended=ms(row.finishTimestamp) if state.terminal else None,
            order=place * _WIDE,
            operator="step",
        )
        out.steps.append(step)
        if row.executionId:
            out.executions[name] = row.executionId
        mine = [left.pop(e) for e, t in list(left.items()) if _belongs(t, charted.get(row.id), row, design)]
        _add_tasks(out, called, run, mine, name, place, taken)
    _add_tasks(out, called, run, list(left.values()), "", len(rows), taken)
    return out


def _unique(name: str, taken: set[str]) -> str:
    base, n = name, 1
    while name in taken:
        n += 1
        name = f"{base} ({n})"
    taken.add(name)
    return name


def _belongs(task: TaskRun, step: ChartStep | None, row: StepExecution, design: list[ChartStep]) -> bool:
    """Whether a task's execution is one of this step. A task that stands in several steps goes to the one in whose time it began."""
    ids = _ids(step)
    if task.of not in ids:
        return False
    if sum(task.of in _ids(s) for s in design) == 1:
        return True
    began, start, end = (
        ms(task.startTimestamp or task.triggerTimestamp),
        ms(row.startTimestamp),
        ms(row.finishTimestamp),
    )
    return began is None or start is None or (start - 2_000 <= began and (end is None or began <= end + 2_000))


def _ids(step: ChartStep | None) -> set[str]:
    if step is None:
        return set()
    return {f.id for f in step.flows or () if f.id} | set(step.taskIds or ())


def _add_tasks(
    out: PlanSteps, called: dict[str, str], run: Run, tasks: list[TaskRun], step: str, place: int, taken: set[str]
) -> None:
    """Named as the plan's chart names them, and by their ids where it does not: by nothing that may be unknown at times."""
    design = {ident: place for place, ident in enumerate(called)}
    tasks.sort(key=lambda t: (ms(t.startTimestamp) or float("inf"), design.get(t.of, len(design))))
    failed: list[str] = []
    others: list[str] = []
    for number_, task in enumerate(tasks, 1):
        name = _unique(called.get(task.of) or task.of or "task", taken)
        seen = _task_run(task, run)
        one = job_step(seen, task.numberOfProcessedRows, task.numberOfRejectedRows, name, place * _WIDE + number_)
        out.steps.append(replace(one, run=run.key))
        out.logs[name] = [task.executionId]
        if step:
            out.parent[name] = step
        (failed if one.state.bad else others).append(task.executionId)
    if step and (failed or len(others) == 1):
        out.logs[step] = [*failed, *others]


def _task_run(task: TaskRun, plan: Run) -> Run:
    """A task's execution as it is told within a plan's; its date is the plan's affair."""
    return run_of(task, plan.key.partition(":")[0], UTC, task.of or "?")


async def _design(http: Http, estate: Estate, ident: str) -> list[ChartStep]:
    known = estate.plans.get(ident)
    if known is None:
        try:
            known = await reads.plan(http, ident)
        except NotFound:  # deleted since: its steps have no names any more
            return []
        estate.plans[ident] = known
    return chart(known.chart)


async def running_tasks(http: Http, ident: str, plan: PlanRun) -> list[TaskRun]:
    """Task executions of this execution of the plan that are not over.

    In the list ``planId`` may name the plan or its execution (not documented): one that names only the plan is read by
    itself, where it names the execution.
    """
    out: list[TaskRun] = []
    for status in reads.statuses(TASK):
        found, _, _ = await reads.runs(http, TASK, {"status": status})
        for item in found:
            if item.planId == plan.executionId or (item.planId == ident and await _is_of(http, item, plan.executionId)):
                out.append(item)
    return out


async def _is_of(http: Http, item: TaskRun, execution: str) -> bool:
    try:
        alone, _ = await reads.run(http, TASK, item.of, item.executionId)
    except NotFound:
        return False
    return alone.planId == execution


def first_failed(steps: PlanSteps) -> str | None:
    """Name of the first step, in design order, that failed and can be run again from."""
    for step in steps.steps:
        if step.operator == "step" and step.state.bad and step.step in steps.executions:
            return step.step
    return None
