"""What the credential may do, for ``doctor``. TMC cannot be asked for rights: each is tried by reading, and nothing here has an effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import AdapterError, BadResponse, Forbidden, NotFound
from adapters.http import Http
from adapters.talend.acts import VERBS
from adapters.talend.wire import ComponentPage, LogPage, PlanRuns, Plans, TaskRun, TaskRuns, Tasks, ms, segment

RECENT: Final = 10
"""Newest executions of tasks that are looked at for one that has ended: what tries logs and components."""


@dataclass(frozen=True, slots=True)
class Right:
    """What TMC calls it, and the call that tries it, with {execution} of a task. ``may``: how doctor calls it."""

    name: str
    call: str
    may: str
    without: str
    """What is lacking without it, in one clause."""
    shape: type[Any]
    """Of the answer: a page of HTML gives no right."""


_WATCH: Final = "Author, Viewer, Executor"
_RUNS: Final = Right(
    _WATCH, "GET /processing/executables/tasks/executions", "view runs of tasks", "no run of a task is seen", TaskRuns
)
_PLAN_RUNS: Final = Right(
    _WATCH, "GET /processing/executables/plans/executions", "view runs of plans", "no run of a plan is seen", PlanRuns
)
_LOGS: Final = Right(_WATCH, "GET /monitoring/executions/{execution}/logs", "view logs", "no log is read", LogPage)
_COMPONENTS: Final = Right(
    "TMC_OPERATOR",
    "GET /monitoring/observability/executions/{execution}/component",
    "view components",
    "components of runs are left out",
    ComponentPage,
)
RIGHTS: Final = (
    Right("Viewer", "GET /orchestration/executables/tasks", "view tasks", "no task is seen", Tasks),
    Right("Viewer", "GET /orchestration/executables/plans", "view plans", "no plan is seen", Plans),
    _RUNS,
    _PLAN_RUNS,
    _LOGS,
    _COMPONENTS,
)
"""The smallest rights that work, all of them tried."""
BY_EFFECT: Final = (
    ("Execute; TMC_ENGINE_USE or TMC_OPERATOR", "POST /processing/executions", "start, rerun"),
    (
        "Execute; TMC_ENGINE_USE or TMC_OPERATOR", "POST /processing/executions/plans",
        "start, rerun, rerun-failed, rerun-from of a plan",
    ),
    ("Execute; TMC_ENGINE_USE or TMC_OPERATOR", "DELETE /processing/executions/{execution}", "stop"),
    ("Author; TMC_OPERATOR", "PUT /orchestration/executables/tasks/{task}/pause", "pause, resume"),
    ("Author; TMC_OPERATOR", "PUT /orchestration/executables/plans/{plan}/pause", "pause, resume of a plan"),
)  # fmt: skip
"""What can only be tried by doing it: told as unknown."""
_MORE: Final[Mapping[Right, Mapping[str, Any]]] = {
    _RUNS: {"lastDays": 60, "limit": RECENT},
    _PLAN_RUNS: {"lastDays": 60},
    _LOGS: {"count": 1},
}


async def rights(http: Http, params: Mapping[str, str]) -> tuple[dict[str, bool | None], list[str]]:
    """What the credential may (None: it cannot be told), and what that means for people. ``params``: environment and workspace.

    Runs, logs and components have rights of their workspace: they are tried on one run.
    """
    can: dict[str, bool | None] = {}
    warnings: list[str] = []
    run: TaskRun | None = None
    for right in RIGHTS:
        alone = "{execution}" in right.call
        if alone and run is None:
            can[right.may] = None
            if can[_RUNS.may]:
                warnings.append(f"whether it may {right.may} cannot be told: TMC lists no run of a task to try it on")
            continue
        path = right.call.removeprefix("GET ").format(execution=segment(run.executionId) if run else "")
        page = {} if right is _LOGS else {"limit": 1, "offset": 0}
        asked = {**({} if alone else params), **page, **_MORE.get(right, {})}
        try:
            found, _ = await http.get(path, right.shape, asked)
        except Forbidden:
            can[right.may] = False
            warnings.append(f"this credential may not {right.may}: {right.without} (needs {right.name})")
            continue
        except (NotFound, BadResponse) as err:
            if not alone:
                raise
            can[right.may] = None
            warnings.append(f"whether it may {right.may} cannot be told: {_why(err)}")
            continue
        can[right.may] = True
        if right is _RUNS:
            run = _one(found.items)
    needed = [right.may for right in RIGHTS if "{execution}" not in right.call]
    return {"view": all(can[may] for may in needed), **can, **dict.fromkeys(VERBS, None)}, warnings


def _one(found: list[TaskRun]) -> TaskRun | None:
    """The newest one that has ended, since that has a log, else the newest."""
    return next((r for r in found if ms(r.finishTimestamp) is not None and r.startTimestamp), next(iter(found), None))


def _why(err: AdapterError) -> str:
    return "the run that it was tried on has none" if isinstance(err, NotFound) else err.what
