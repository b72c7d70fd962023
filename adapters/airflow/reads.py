"""Single requests to Airflow, typed; shared by what reads and what acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from adapters.airflow.wire import Dag, DagRun, DagRuns, TaskInstance, TaskInstances, segment
from adapters.http import Answer, Http, Params
from adapters.model import Key

PAGE: Final = 100
"""Airflow clamps any larger ``limit`` to this silently."""
PAGES_AT_MOST: Final = 200

T = TypeVar("T")


def dag_path(dag: str) -> str:
    return f"/api/v2/dags/{segment(dag)}"


def run_path(dag: str, run: str) -> str:
    return f"{dag_path(dag)}/dagRuns/{segment(run)}"


def task_path(key: Key) -> str:
    return f"{run_path(key.pipeline, key.run or '')}/taskInstances/{segment(key.step or '')}"


def named(ti: TaskInstance) -> str:
    """``load``, mapped ``load[2]``."""
    return ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


async def dag(http: Http, dag_id: str) -> Dag:
    found, _ = await http.get(dag_path(dag_id), Dag)
    return found


async def dag_run(http: Http, dag_id: str, run_id: str) -> DagRun:
    found, _ = await http.get(run_path(dag_id, run_id), DagRun)
    return found


async def instance(http: Http, key: Key) -> tuple[TaskInstance, Answer]:
    """The latest try of the task of a step key."""
    path = task_path(key)
    return await http.get(path if key.map_index < 0 else f"{path}/{key.map_index}", TaskInstance)


async def instances(http: Http, dag_id: str, run_id: str) -> list[TaskInstance]:
    """Every task instance of a run, the latest try of each."""
    path = f"{run_path(dag_id, run_id)}/taskInstances"
    found, _, _ = await pages(http, path, {}, TaskInstances, lambda p: p.task_instances, lambda p: p.total_entries)
    return list({(t.task_id, t.map_index): t for t in found}.values())


async def runs(
    http: Http, dag_id: str, params: Params, *, offset: int = 0, most: int = PAGES_AT_MOST, enough: int | None = None
) -> tuple[list[DagRun], Answer, bool]:
    """Runs of one DAG, or of all with ``~``; the first answer; whether that is all of it."""
    path = f"/api/v2/dags/{dag_id if dag_id == '~' else segment(dag_id)}/dagRuns"
    return await pages(
        http,
        path,
        params,
        DagRuns,
        lambda p: p.dag_runs,
        lambda p: p.total_entries,
        offset=offset,
        most=most,
        enough=enough,
    )


async def pages(
    http: Http,
    path: str,
    params: Params,
    shape: type[T],
    items: Callable[[T], list[Any]],
    total: Callable[[T], int | None],
    *,
    offset: int = 0,
    most: int = PAGES_AT_MOST,
    limit: int = PAGE,
    enough: int | None = None,
) -> tuple[list[Any], Answer, bool]:
    """All pages of a list, or until there are ``enough``; by what came back and never by what was asked for, since the server
    may give less (``maximum_page_limit``). False: there is more."""
    limit = limit if enough is None else min(enough, limit)
    found: list[Any] = []
    first: Answer | None = None
    for _ in range(max(most, 1)):
        page, answer = await http.get(path, shape, {**params, "limit": limit, "offset": offset + len(found)})
        first = first or answer
        got, all_of_it = items(page), total(page)
        found += got
        if not got or (all_of_it is not None and offset + len(found) >= all_of_it):
            return found, first, True
        if enough is not None and len(found) >= enough:
            break
    assert first is not None
    return found, first, False
