"""Calls that change something, and the guard that none of them changes more than it names.

Airflow's bulk endpoints patch everything where no pattern is given, and ``~`` in a path means "all". What is sent from
here is therefore one of a few known shapes, each with the ids that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from adapters.airflow import reads
from adapters.airflow.wire import RUN_STATES, DagRun, DagRuns, TaskInstance
from adapters.base import Call
from adapters.errors import Conflict
from adapters.http import Http
from adapters.model import State

MASKED: Final[Mapping[str, str]] = {"Authorization": "Bearer ****", "Content-Type": "application/json"}

_PART: Final = "([^/]*)"
_RUN: Final = f"/dags/{_PART}/dagRuns/{_PART}"
_KNOWN: Final = tuple(
    (method, re.compile(shape), needs)
    for method, shape, needs in (
        ("PATCH", f"/dags/{_PART}", ()),
        ("POST", f"/dags/{_PART}/dagRuns", ("dag_run_id",)),
        ("POST", f"/dags/{_PART}/clearTaskInstances", ("dag_run_id",)),
        ("POST", f"{_RUN}/clear", ()),
        ("PATCH", _RUN, ()),
        ("PATCH", f"{_RUN}/taskInstances/{_PART}", ()),
        ("PATCH", f"{_RUN}/taskInstances/{_PART}/{_PART}", ()),
        ("POST", "/backfills", ("dag_id",)),
        ("PUT", f"/backfills/{_PART}/(?:pause|unpause|cancel)", ()),
    )
)
_ALL: Final = frozenset("~%_*.? ")


def names_it(text: str, *, pattern: bool = False) -> bool:
    """Whether an id names one thing. A pattern has wildcards, but must not be empty or of wildcards alone."""
    return bool(text.strip("~ ") if not pattern else set(text) - _ALL)


def too_much(method: str, path: str, body: Any) -> str | None:
    """Why this call may change more than it names, in one clause; None where it names what it changes.

    ``path`` from ``/api/v2`` (of Airflow 2 ``/api/v1``) on, with its query.
    """
    where, _, query = path.partition("?")
    where = where.removeprefix("/api/v2").removeprefix("/api/v1")
    asked = parse_qs(query, keep_blank_values=True)
    for name, values in asked.items():
        if name.endswith("pattern") and not all(names_it(v, pattern=True) for v in values):
            return f"{name} is empty or only wildcards: that would change everything"
    if where == "/dags" and method == "PATCH":
        named = any(name.endswith("pattern") for name in asked)
        return None if named else "a bulk change without a pattern would change every DAG"
    for known, shape, needs in _KNOWN:
        found = shape.fullmatch(where) if known == method else None
        if found is None:
            continue
        if not all(names_it(unquote(part)) for part in found.groups()):
            return f"{method} {where} names no single thing: ~ or nothing stands for all of them"
        given: Mapping[str, Any] = body if isinstance(body, dict) else {}
        for name in needs:
            if not names_it(str(given.get(name) or "")):
                return f"{method} {where} needs a {name}: without it more would change than is named"
        if where.endswith("/clearTaskInstances") and given.get("task_ids") == []:
            return f"{method} {where} with an empty list of tasks would clear all of them"
        return None
    return f"{method} {where} is a bulk change, or none that is known here: it does not name what it changes"


def call(http: Http, method: str, path: str, body: Any = None) -> Call:
    """One call as it is shown and sent. Conflict where it would change more than it names."""
    if (why := too_much(method, path, body)) is not None:
        raise Conflict(why)
    return Call(method=method, target=http.url(path), body=body, headers=MASKED)


# --- small things that all actions need ------------------------------------------------------------------------------


async def count_active(http: Http, dag: str, *states: str) -> int:
    """Runs of a DAG that are running or queued, or in ``states``."""
    params = {"state": list(states) or ["running", "queued"], "limit": 1}
    found, _ = await http.get(f"{reads.dag_path(dag)}/dagRuns", DagRuns, params)
    return found.total_entries if found.total_entries is not None else len(found.dag_runs)


def terminal(run: DagRun) -> bool:
    return RUN_STATES.get(run.state or "", State.RUNNING).terminal


def n(count: int, what: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def names(tasks: Sequence[TaskInstance]) -> str:
    """At most five names, mapped ones together: ``load[0,1,2]``."""
    groups: dict[str, list[int]] = {}
    for ti in tasks:
        groups.setdefault(ti.task_id, []).append(ti.map_index)
    named = [
        name
        if indexes == [-1]
        else f"{name}[{','.join(map(str, sorted(indexes)[:8]))}{'…' if len(indexes) > 8 else ''}]"
        for name, indexes in groups.items()
    ]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
