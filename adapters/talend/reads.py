"""Single requests to Talend Management Console, typed; shared by what reads and what acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from adapters.errors import BadResponse, NotFound
from adapters.http import Answer, Http, Params
from adapters.talend.wire import PLAN, TASK, PlanItem, PlanRun, PlanRuns, Plans, Task, TaskRun, TaskRuns, segment

PAGE: Final = 100
"""A larger ``limit`` is refused with 400."""
PAGES_AT_MOST: Final = 100
TASKS: Final = "/orchestration/executables/tasks"
PLANS: Final = "/orchestration/executables/plans"
RUNS: Final = "/processing/executables"
EXECUTIONS: Final = "/processing/executions"

T = TypeVar("T")
AnyRun = TaskRun | PlanRun


class TalendHttp(Http):
    """Keeps below the rate at which TMC begins to answer 429 (seen at some 10 requests a second): requests begin at least
    ``gap_s`` apart. Without this a listing of thousands would be refused in its middle, with no word on when to return."""

    def __init__(self, base: str, *, gap_s: float, **more: Any) -> None:
        super().__init__(base, **more)
        self._gap_s = gap_s
        self._next = 0.0

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: bool = True,
    ) -> Answer:
        now = asyncio.get_running_loop().time()
        at, self._next = self._next, max(self._next, now) + self._gap_s
        if at > now:
            await asyncio.sleep(at - now)
        return await super().request(method, path, params=params, body=body, headers=headers, auth=auth)


def runs_path(kind: str, ident: str = "") -> str:
    """Executions of one task or plan, or of all."""
    middle = f"/{segment(ident)}" if ident else ""
    return f"{RUNS}/{kind}s{middle}/executions"


def run_path(kind: str, execution: str) -> str:
    return f"{EXECUTIONS}/{segment(execution)}" if kind == TASK else f"{EXECUTIONS}/plans/{segment(execution)}"


async def pages(
    http: Http,
    path: str,
    shape: type[T],
    items: Callable[[T], list[Any]],
    total: Callable[[T], int | None],
    params: Params | None = None,
    *,
    offset: int = 0,
    most: int = PAGES_AT_MOST,
    until: Callable[[list[Any]], bool] | None = None,
    body: bool = False,
) -> tuple[list[Any], Answer, bool]:
    """All pages of a list, or until ``until`` says of one that it suffices; by what came back and never by what was asked
    for. False: there is more. ``body``: asked by POST, with the filters in it."""
    found: list[Any] = []
    first: Answer | None = None
    for _ in range(max(most, 1)):
        asked: dict[str, Any] = {**(params or {}), "limit": PAGE, "offset": offset + len(found)}
        if body:
            answer = await http.ask("POST", path, body=asked)
            page = answer.decode(shape)
        else:
            page, answer = await http.get(path, shape, asked)
        first = first or answer
        got, all_of_it = items(page), total(page)
        found += got
        if not got or (offset + len(found) >= all_of_it if all_of_it is not None else len(got) < PAGE):
            return found, first, True
        if until is not None and until(got):
            return found, first, True
    assert first is not None
    return found, first, False


async def runs(
    http: Http,
    kind: str,
    params: Params,
    *,
    ident: str = "",
    offset: int = 0,
    most: int = PAGES_AT_MOST,
    until: Callable[[list[Any]], bool] | None = None,
) -> tuple[list[Any], Answer, bool]:
    """Executions, newest first: of all tasks or plans, or of one."""
    path = runs_path(kind, ident)
    if kind == TASK:
        return await pages(
            http, path, TaskRuns, lambda p: p.items, lambda p: p.total, params, offset=offset, most=most, until=until
        )
    return await pages(
        http, path, PlanRuns, lambda p: p.items, lambda p: p.total, params, offset=offset, most=most, until=until
    )


async def run(http: Http, kind: str, ident: str, execution: str) -> tuple[Any, Answer]:
    """One execution. NotFound also where it is one of another task or plan."""
    found, answer = await http.get(run_path(kind, execution), TaskRun if kind == TASK else PlanRun)
    if found.executionId != execution:
        raise BadResponse(http.words(f"another execution than was asked for from {answer.where}"))
    if found.of and found.of != ident:
        raise NotFound(f"that execution is of another {kind}")
    return found, answer


async def task(http: Http, ident: str) -> Task:
    found, _ = await http.get(f"{TASKS}/{segment(ident)}", Task)
    return found


async def plan(http: Http, ident: str) -> PlanItem:
    """One plan. There is no documented call for one alone, so the list is asked for it."""
    found, _ = await http.get(PLANS, Plans, {"planId": ident, "limit": PAGE, "offset": 0})
    for item in found.items:
        if item.executable == ident:
            return item
    raise NotFound(f"TMC has no plan {ident}")


async def thing(http: Http, kind: str, ident: str) -> Task | PlanItem:
    return await task(http, ident) if kind == TASK else await plan(http, ident)


def pause_path(kind: str, ident: str) -> str:
    return f"{TASKS if kind == TASK else PLANS}/{segment(ident)}/pause"


def start_path(kind: str) -> str:
    return EXECUTIONS if kind == TASK else f"{EXECUTIONS}/plans"


def statuses(kind: str) -> tuple[str, ...]:
    """Coarse words of what is not over, by which lists are filtered."""
    return ("executing", "dispatching") if kind == TASK else ("executing",)


KINDS: Final = (TASK, PLAN)
