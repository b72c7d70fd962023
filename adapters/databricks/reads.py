"""Single requests to Databricks, typed; shared by what reads and what acts.

A page may hold fewer than was asked for with more to come: only the page token tells the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from adapters.databricks.wire import Job, JobRun, Jobs, Me, Repair, Runs, Settings, TaskRun
from adapters.errors import BadResponse, Forbidden, NotFound
from adapters.http import Answer, Http, Params

JOBS_PAGE: Final = 100
RUNS_PAGE: Final = 24
"""``runs/list`` takes "less than 25"."""
PAGES_AT_MOST: Final = 400

_LIST: Final = frozenset(
    ("has_more", "next_page_token", "prev_page_token", "jobs", "runs", "statuses", "updates", "clusters")
)

T = TypeVar("T")


def number(native: str, what: str) -> int:
    """A native id as the number that it is; NotFound for anything else, without asking."""
    if not native.isascii() or not native.isdigit() or len(native) > 19:
        raise NotFound(f"{native[:60]!r} is no {what} of Databricks: those are numbers")
    return int(native)


async def pages(
    http: Http,
    path: str,
    params: Params,
    shape: type[T],
    items: Callable[[T], Sequence[Any] | None],
    token: Callable[[T], str | None],
    *,
    most: int = PAGES_AT_MOST,
    enough: int | None = None,
    start: str | None = None,
    told: bool = False,
) -> tuple[list[Any], Answer, str | None]:
    """Items of up to ``most`` pages (or until there are ``enough``), the first answer, and the token of what is left.

    ``told``: an empty page has at least ``has_more``. Then one with other fields only is a BadResponse, since it would
    mean that nothing is there. (Of pipelines and clusters nothing says so; ``strange`` tells them.)
    """
    found: list[Any] = []
    first: Answer | None = None
    after = start
    for _ in range(max(most, 1)):
        page, answer = await http.get(path, shape, params if after is None else {**params, "page_token": after})
        first = first or answer
        got, before, after = items(page), after, token(page) or None
        found += got or ()
        if told and got is None and after is None and strange(answer):
            raise BadResponse(f"an answer of another shape from {path}", "something else may stand before it")
        if after == before:
            after = None  # a token that leads to itself would never end
        if after is None or (enough is not None and len(found) >= enough):
            break
    assert first is not None
    return found, first, after


def strange(answer: Answer) -> bool:
    """An object with fields, and none of those that a list has."""
    keys: Any = msgspec.json.decode(answer.body)
    return bool(keys) and isinstance(keys, dict) and not (keys.keys() & _LIST)


async def jobs(http: Http, *, expand: bool) -> tuple[list[Job], Answer, bool]:
    """All jobs that the credential may see; whether that is all of them. ``expand``: with the first 100 tasks of each."""
    params: Params = {"limit": JOBS_PAGE, "expand_tasks": "true" if expand else "false"}
    found, first, left = await pages(
        http, "/api/2.2/jobs/list", params, Jobs, lambda p: p.jobs, lambda p: p.next_page_token, told=True
    )
    return found, first, left is None


async def job(http: Http, job_id: int) -> tuple[Job, Answer]:
    """One job whole, also what of it is paged (100 tasks a page)."""
    params: dict[str, str | int] = {"job_id": job_id}
    one, first = await http.get("/api/2.2/jobs/get", Job, params)
    _same(one.job_id, job_id, first)
    token, seen = one.next_page_token, 0
    while token and one.settings is not None and seen < 50:
        more, _ = await http.get("/api/2.2/jobs/get", Job, {**params, "page_token": token})
        if more.settings is not None:
            one.settings.tasks = [*(one.settings.tasks or ()), *(more.settings.tasks or ())]
            one.settings.parameters = [*(one.settings.parameters or ()), *(more.settings.parameters or ())]
        token, seen = (more.next_page_token if more.next_page_token != token else None), seen + 1
    one.settings = one.settings or Settings()
    return one, first


async def runs(
    http: Http, params: Params, *, most: int = PAGES_AT_MOST, enough: int | None = None, start: str | None = None
) -> tuple[list[JobRun], Answer, str | None]:
    """Runs, newest start first; the first answer; the token of what is left."""
    return await pages(
        http,
        "/api/2.2/jobs/runs/list",
        {"limit": RUNS_PAGE, **params},
        Runs,
        lambda p: p.runs,
        lambda p: p.next_page_token,
        most=most,
        enough=enough,
        start=start,
        told=True,
    )


async def run(http: Http, run_id: int, *, history: bool = False) -> tuple[JobRun, Answer]:
    """One run with all its tasks; with ``history`` its repairs too."""
    params: dict[str, str | int] = {"run_id": run_id}
    if history:
        params["include_history"] = "true"
    one, first = await http.get("/api/2.2/jobs/runs/get", JobRun, params)
    _same(one.run_id, run_id, first)
    token, seen = one.next_page_token, 0
    tasks: list[TaskRun] = list(one.tasks or ())
    repairs: list[Repair] = list(one.repair_history or ())
    while token and seen < 50:
        more, _ = await http.get("/api/2.2/jobs/runs/get", JobRun, {**params, "page_token": token})
        tasks += more.tasks or ()
        repairs += more.repair_history or ()
        one.job_parameters = [*(one.job_parameters or ()), *(more.job_parameters or ())] or None
        token, seen = (more.next_page_token if more.next_page_token != token else None), seen + 1
    one.tasks, one.repair_history = tasks or None, repairs or None
    return one, first


async def me(http: Http) -> tuple[Me, Answer]:
    """Who the credential is."""
    return await http.get("/api/2.0/preview/scim/v2/Me", Me)


async def my_name(http: Http) -> str | None:
    """The name under which Databricks tells what this credential made; None where it does not say."""
    try:
        return (await me(http))[0].userName or None
    except (Forbidden, NotFound, BadResponse):
        return None


def _same(got: int, asked: int, answer: Answer) -> None:
    if got != asked:
        raise BadResponse(f"{answer.where} answers about {got}, not {asked}")
