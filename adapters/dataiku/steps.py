"""Steps and logs of a scenario's run: its steps, the jobs that they ran, and what its settings say is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.dataiku.dss import DssHttp, job_path, scenario_path, segment
from adapters.dataiku.triggers import Definition, labels
from adapters.dataiku.wire import ReportItem, Result, RunDetails, StepDone, at, outcome, text
from adapters.errors import NotFound
from adapters.model import LogChunk, State, StepRun

WHOLE: Final = "scenario"
"""The one step of a run that has none (a scenario in Python, or one that failed before its first): the run's own log."""
JOB: Final = "job "


class LogCursor(msgspec.Struct, omit_defaults=True):
    """``n`` bytes were handed out."""

    n: int = 0


def run_path(project: str, scenario: str, run: str) -> str:
    return f"{scenario_path(project, scenario)}/{segment(run)}"


async def details(http: DssHttp, project: str, scenario: str, run: str) -> RunDetails:
    found, _ = await http.get(f"{run_path(project, scenario, run)}/", RunDetails)
    return found


def first_error(found: RunDetails) -> str | None:
    """As the vendor's client finds it, with the step that said it."""
    named = labels([(s.step.id, s.step.name) for s in found.step_runs])
    for done in found.step_runs:
        if (why := done.why) is not None and outcome(done.result, True)[1] is State.FAILED:
            return f"{named[done.step.id]}: {why}"
    return None


def steps_of(found: RunDetails, run: str, definition: Definition | None) -> list[StepRun]:
    """In the order of their start; those that have not begun after them, as the settings have them."""
    _, state = outcome(found.scenario_run.result, at(found.scenario_run.end) is not None)
    listed = sorted(enumerate(found.step_runs), key=lambda p: (at(p[1].start) or 1 << 60, p[0]))
    done = [d for _, d in listed]
    waiting = _waiting(found, definition, state)
    ids = list(dict.fromkeys([*(d.step.id for d in done), *(w[0] for w in waiting)]))
    names = {w[0]: w[1] for w in waiting} | {d.step.id: d.step.name for d in done}
    named = labels([(i, names[i]) for i in ids])
    out: list[StepRun] = []
    tries: dict[str, int] = {}
    for one in done:
        tries[one.step.id] = tries.get(one.step.id, 0) + 1
        out.append(_step(one, run, named[one.step.id], tries[one.step.id], len(out)))
        for item in one.additional_report_items or ():
            if item.type == "JOB_EXECUTED" and (job := text(item.job_id)) is not None:
                out.append(_job(item, job, one, run, len(out)))
    for ident, _, enabled in waiting:
        native, then = ("not run", State.SKIPPED) if state.terminal else ("not started", State.QUEUED)
        sub = None if enabled else "disabled"
        if not enabled:
            native, then = "disabled", State.SKIPPED
        out.append(StepRun(run=run, step=named[ident], native=native, state=then, sub=sub, order=len(out)))
    if not done and (state.terminal or (definition is not None and definition.python)):
        native, then = outcome(found.scenario_run.result, at(found.scenario_run.end) is not None)
        whole = StepRun(
            run=run,
            step=WHOLE,
            native=native,
            state=then,
            started=at(found.scenario_run.start),
            ended=at(found.scenario_run.end),
            operator="scenario",
        )
        out = [whole, *out]
    unique: dict[tuple[str, int], StepRun] = {}
    for step in out:
        unique.setdefault((step.step, step.attempt), step)
    return list(unique.values())


def _waiting(found: RunDetails, definition: Definition | None, state: State) -> list[tuple[str, str, bool]]:
    """Steps of the settings that this run does not list. Of a run that is over only where the settings are as they were
    then: a step added since would else look as if it had been left out."""
    if definition is None:
        return []
    start = at(found.scenario_run.start)
    as_then = definition.changed is not None and start is not None and definition.changed <= start
    if state.terminal and not as_then:
        return []
    begun = {d.step.id for d in found.step_runs}
    return [s for s in definition.steps if s[0] not in begun]


def _step(done: StepDone, run: str, label: str, attempt: int, order: int) -> StepRun:
    ended = at(done.end)
    native, state = outcome(done.result, ended is not None)
    if done.result is not None and not state.terminal:
        state = State.WARNING
    return StepRun(
        run=run,
        step=label,
        attempt=attempt,
        native=native,
        state=state,
        started=at(done.start),
        ended=ended if state.terminal else None,
        order=order,
        operator=text(done.step.type),
        error=done.why if state is State.FAILED else None,
    )


def _job(item: ReportItem, job: str, done: StepDone, run: str, order: int) -> StepRun:
    """A job that the step ran. Where DSS does not say when, it stands behind its step."""
    ended = at(item.end) or at(done.end)
    word = item.outcome if isinstance(item.outcome, str) else None
    if word is None and done.result is None:
        native, state = "RUNNING", State.RUNNING
    else:
        native, state = outcome(Result(outcome=word), True)
    return StepRun(
        run=run,
        step=f"{JOB}{job}",
        native=native,
        state=state,
        queued=at(done.start),
        started=at(item.start),
        ended=ended if state.terminal else None,
        order=order,
        operator="job",
        error=item.thrown.words if item.thrown is not None and state is State.FAILED else None,
    )


async def log(
    http: DssHttp, project: str, scenario: str, run: str, step: str, attempt: int, cursor: LogCursor, pause: bool
) -> tuple[LogChunk | None, LogCursor]:
    """What is new since the cursor: DSS always sends a log whole. ``pause``: only ask whether it is over."""
    found = await details(http, project, scenario, run)  # before the log: what is over now is whole when it is read
    over = found.scenario_run.result is not None or at(found.scenario_run.end) is not None
    jobs = [i.job_id for d in found.step_runs for i in d.additional_report_items or () if text(i.job_id)]
    path, params = f"{run_path(project, scenario, run)}/log", {}
    mine = _find(found.step_runs, step)
    if mine:
        this = mine[min(attempt, len(mine)) - 1]
        over = over or this.result is not None
        params = {"stepId": this.step.id}
    elif step.startswith(JOB) and step.removeprefix(JOB) in jobs:
        job = step.removeprefix(JOB)
        path = f"{job_path(project, job)}/log"
        holder = next(d for d in found.step_runs for i in d.additional_report_items or () if i.job_id == job)
        over = over or holder.result is not None
    elif step != WHOLE:
        note = "it did not run, so it has no log" if over else "not started yet"
        return LogChunk(b"", None, over, note), cursor
    if pause and not over:
        return None, cursor
    try:
        body = await http.text(path, params)
    except NotFound:
        note = "DSS keeps no log of it any more" if over else "no log yet"
        return LogChunk(b"", None, over, note), cursor
    start = cursor.n if cursor.n <= len(body) else 0  # shorter than before: another log stands there now
    return LogChunk(body[start:], None, over), LogCursor(len(body))


def _find(runs: Sequence[StepDone], label: str) -> list[StepDone]:
    """The tries of the step with that label: by the label it has now, else by name or id."""
    ordered = sorted(runs, key=lambda d: at(d.start) or 1 << 60)
    named = labels(list({d.step.id: (d.step.id, d.step.name) for d in ordered}.values()))
    exact = [d for d in ordered if named[d.step.id] == label]
    if exact:
        return exact
    for d in ordered:
        if label in (d.step.id, text(d.step.name), f"{text(d.step.name)} ({d.step.id})"):
            return [e for e in ordered if e.step.id == d.step.id]
    return []
