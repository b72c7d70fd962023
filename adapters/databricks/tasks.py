"""Tasks of a run as steps, with their attempts, and what can be read of their output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from adapters.databricks import reads
from adapters.databricks.states import judge
from adapters.databricks.wire import JobRun, Repair, RunState, RunStatus, TaskRun, said, time
from adapters.errors import BadResponse, Conflict, NotFound
from adapters.http import Http
from adapters.model import LogChunk, State, StepRun

_TAIL: Final = 200
_SILENT: Final = frozenset(("notebook", "pipeline", "spark_submit"))
"""Of these Databricks gives no log, only how they ended."""
ONLY: Final = "run"
"""Name of the one step of a run that tells of no tasks."""


class _Notebook(msgspec.Struct):
    result: str | None = None
    truncated: bool | None = None


class _Metadata(msgspec.Struct):
    state: RunState | None = None
    status: RunStatus | None = None
    end_time: int | None = None


class Output(msgspec.Struct):
    """``runs/get-output``."""

    logs: str | None = None
    logs_truncated: bool | None = None
    error: str | None = None
    error_trace: str | None = None
    info: str | None = None
    notebook_output: _Notebook | None = None
    metadata: _Metadata | None = None


class Cursor(msgspec.Struct, omit_defaults=True):
    """``run``: id of the task's try. ``n`` characters of its log were handed out, ending in ``tail``. ``over``: with its end."""

    run: int | None = None
    n: int = 0
    tail: str = ""
    over: bool = False


def tries(run: JobRun) -> list[tuple[int, TaskRun]]:
    """(attempt, try) of each task, in order of attempts.

    Databricks counts attempts from 0, and gives each try, also by a repair, a run id of its own. Where a number comes twice
    (a repair may begin anew) the next free one is taken; where only the latest try is told, the repair that made it counts.
    """
    named: dict[str, list[TaskRun]] = {}
    for task in {t.run_id or (t.task_key, t.attempt_number): t for t in run.tasks or ()}.values():
        named.setdefault(task.task_key, []).append(task)
    out: list[tuple[int, TaskRun]] = []
    history = run.repair_history or ()
    for found in named.values():
        found.sort(key=lambda t: (_repair(history, t.run_id), t.attempt_number or 0, time(t.start_time) or 1 << 62))
        last = 0
        for task in found:
            mine = (task.attempt_number or 0) + 1
            if len(found) == 1 and mine == 1:
                mine = 1 + _repair(history, task.run_id)
            last = max(mine, last + 1)
            out.append((last, task))
    return out


def _repair(history: Sequence[Repair], run_id: int | None) -> int:
    """Which repair made this try: 0 is the original run."""
    return next((i for i, item in enumerate(history) if run_id in (item.task_run_ids or ())), 0)


def latest(run: JobRun) -> dict[str, TaskRun]:
    """The last try of each task."""
    return {task.task_key: task for _, task in tries(run)}


def state_of(task: TaskRun) -> tuple[str, State, str | None]:
    return judge(task.state, task.status, ended=time(task.end_time) is not None)


def steps_of(run: JobRun, key: str) -> list[StepRun]:
    """Every try of every task, by when it first started. A run without tasks is one step."""
    if not run.tasks:
        alone = TaskRun(
            task_key=ONLY,
            run_id=run.run_id,
            state=run.state,
            status=run.status,
            start_time=run.start_time,
            end_time=run.end_time,
        )
        return [_step(alone, key, 1, 0)]
    found = tries(run)
    begun: dict[str, int] = {}
    for _, task in found:
        begun.setdefault(task.task_key, time(task.start_time) or 1 << 62)
    depth = _depths([task for _, task in found])
    place = {name: i for i, name in enumerate(sorted(begun, key=lambda n: (begun[n], depth[n], n)))}
    steps = [_step(task, key, attempt, place[task.task_key]) for attempt, task in found]
    return sorted(steps, key=lambda s: (s.order, s.attempt))


def _depths(tasks: Sequence[TaskRun]) -> dict[str, int]:
    """How many tasks come before each, along its longest way."""
    after = {t.task_key: t.after for t in tasks}
    depth = dict.fromkeys(after, 0)
    for _ in range(len(after)):
        deeper = {n: max((depth.get(a, -1) + 1 for a in before), default=0) for n, before in after.items()}
        if deeper == depth:
            break
        depth = deeper
    return depth


def _step(task: TaskRun, run: str, attempt: int, order: int) -> StepRun:
    native, state, sub = state_of(task)
    begun = time(task.start_time)
    waiting = state is State.QUEUED
    return StepRun(
        run=run,
        step=task.task_key,
        attempt=attempt,
        native=native,
        state=state,
        sub=sub,
        queued=begun,
        started=None if waiting or begun is None else begun + (task.queue_duration or 0),
        ended=time(task.end_time) if state.terminal else None,
        order=order,
        operator=task.operator,
        error=said(task) if state.bad or state is State.WARNING else None,
    )


# --- output ---------------------------------------------------------------------------------------------------------


async def log(http: Http, run_id: int, step: str, attempt: int, known: Cursor) -> tuple[LogChunk, Cursor]:
    """What is new of one try's output: its log, and at its end the result, the error and its trace.

    There is no offset: it is read whole each time (at most the last 5 MB), and only what is new is handed on.
    """
    if known.over:
        return LogChunk(b"", None, True), known
    task: TaskRun | None = None
    if known.run is None:
        run, _ = await reads.run(http, run_id, history=True)
        task, note = _try(run, step, attempt)
        if task is None or task.run_id is None:
            return LogChunk(b"", None, note[1], note[0]), known
        if state_of(task)[1] is State.QUEUED:
            return LogChunk(b"", None, False, "not started yet"), known
        known = Cursor(run=task.run_id)
    try:
        found, _ = await http.get("/api/2.2/jobs/runs/get-output", Output, {"run_id": known.run or 0})
    except (NotFound, Conflict, BadResponse) as err:
        if isinstance(err, BadResponse) and err.status != 400:
            raise
        return await _no_output(http, known, err.what)
    over = False
    if found.metadata is not None:
        meta = found.metadata
        over = judge(meta.state, meta.status, ended=time(meta.end_time) is not None)[1].terminal
    elif task is not None:
        over = state_of(task)[1].terminal
    return _chunk(found, known, over, task)


def _chunk(found: Output, known: Cursor, over: bool, task: TaskRun | None) -> tuple[LogChunk, Cursor]:
    logs = found.logs or ""
    fresh, note = _fresh(logs, known)
    if found.logs_truncated:
        note = note or "Databricks gives the last 5 MB of this log only"
    parts = [fresh]
    if over:
        parts += _end(found, newline=bool(logs) and not logs.endswith("\n"))
        if found.notebook_output is not None and found.notebook_output.truncated:
            note = note or "Databricks gives the first 5 MB of this result only"
    data = "".join(parts).encode("utf-8", "replace")
    after = Cursor(run=known.run, n=len(logs), tail=logs[-_TAIL:], over=over)
    if not data and not known.n and note is None:
        kind = task.operator if task is not None else None
        silent = f"of a {kind} task" if kind in _SILENT else "here"
        note = f"Databricks gives no log {silent}" + ("" if over else " while it runs")
    return LogChunk(data, None, over, note), after


def _fresh(logs: str, known: Cursor) -> tuple[str, str | None]:
    """What follows what was handed out. Once the log is cut at its front, its last words are looked for."""
    if logs[max(0, known.n - _TAIL) : known.n] == known.tail and len(logs) >= known.n:
        return logs[known.n :], None
    at = logs.rfind(known.tail)
    if known.tail and at >= 0:
        return logs[at + len(known.tail) :], None
    return logs, "some of this log is missing: Databricks gives its last 5 MB only"


def _end(found: Output, newline: bool) -> list[str]:
    parts: list[str] = ["\n"] if newline else []
    result = found.notebook_output.result if found.notebook_output else None
    if result:
        parts.append(f"result: {result}\n")
    if found.info:
        parts.append(f"{found.info}\n")
    if found.error_trace:
        parts.append(found.error_trace.rstrip("\n") + "\n")
    if found.error and found.error not in (found.error_trace or ""):
        parts.append(f"ERROR {found.error}\n")
    return parts


def _try(run: JobRun, step: str, attempt: int) -> tuple[TaskRun | None, tuple[str, bool]]:
    """That try; or why there is none, and whether none will come. NotFound where the run has no such task."""
    if not run.tasks and step == ONLY:
        return TaskRun(task_key=ONLY, run_id=run.run_id, state=run.state, status=run.status), ("", False)
    mine = {n: task for n, task in tries(run) if task.task_key == step}
    if not mine:
        raise NotFound(f"the run has no task {step}")
    if attempt in mine:
        return mine[attempt], ("this try has no run of its own yet", False)
    if attempt > max(mine):
        return None, ("not started yet", False)
    return None, (f"Databricks no longer tells of try {attempt}", True)


async def _no_output(http: Http, known: Cursor, why: str) -> tuple[LogChunk, Cursor]:
    """It gives no output of this try: never ran, is of a kind without one, or its output is gone (after 60 days)."""
    found: Any = None
    try:
        found, _ = await reads.run(http, known.run or 0)
    except (NotFound, BadResponse):
        return LogChunk(b"", None, True, why), known
    over = judge(found.state, found.status, ended=time(found.end_time) is not None)[1].terminal
    return LogChunk(b"", None, over, why), known
