"""Calls that change something: few known shapes, each with the one id that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import Call
from adapters.errors import Conflict
from adapters.http import Http

MASKED: Final[Mapping[str, str]] = {"Authorization": "Bearer ****", "Content-Type": "application/json"}
RUN_NOW: Final = "/api/2.2/jobs/run-now"
CANCEL: Final = "/api/2.2/jobs/runs/cancel"
REPAIR: Final = "/api/2.2/jobs/runs/repair"
UPDATE: Final = "/api/2.2/jobs/update"
_BY_BODY: Final[Mapping[str, str]] = {RUN_NOW: "job_id", CANCEL: "run_id", REPAIR: "run_id", UPDATE: "job_id"}
CLUSTER_START: Final = "/api/2.1/clusters/start"
CLUSTER_RESTART: Final = "/api/2.1/clusters/restart"
CLUSTER_DELETE: Final = "/api/2.1/clusters/delete"
"""Terminates it; its configuration stays."""
CLUSTER_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_CLUSTERS: Final = frozenset((CLUSTER_START, CLUSTER_RESTART, CLUSTER_DELETE))
_BY_PATH: Final = re.compile(r"/api/2\.0/pipelines/[A-Za-z0-9][A-Za-z0-9_-]*/(?:updates|stop)")
_PAUSABLE: Final = frozenset(("schedule", "trigger", "continuous", "triggers"))


def too_much(method: str, path: str, body: Any) -> str | None:
    """Why this call may change more than it names, in one clause; None where it names what it changes."""
    given: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if method != "POST":
        return f"{method} {path} is no change that is known here"
    if _BY_PATH.fullmatch(path):
        return "a full refresh throws away what is in the tables" if given.get("full_refresh") else None
    if path in _CLUSTERS:
        ident = given.get("cluster_id")
        named = isinstance(ident, str) and re.fullmatch(CLUSTER_ID, ident) is not None
        return None if named and len(given) == 1 else f"{path} needs a cluster_id and nothing else"
    needs = _BY_BODY.get(path)
    if needs is None:
        return f"{method} {path} is no change that is known here"
    ident = given.get(needs)
    if not isinstance(ident, int) or isinstance(ident, bool) or ident <= 0:
        return f"{path} needs a {needs}"
    if path == RUN_NOW and not given.get("idempotency_token"):
        return f"{path} without an idempotency token could start two runs"
    if path == UPDATE:
        settings = given.get("new_settings")
        if given.keys() - {"job_id", "new_settings"} or not isinstance(settings, dict) or len(settings) != 1:
            return f"{path} would change more than what pauses the job"
        if settings.keys() - _PAUSABLE:
            return f"{path} would change more than what pauses the job"
    if path == REPAIR and bool(given.get("rerun_tasks")) == bool(given.get("rerun_all_failed_tasks")):
        return f"{path} needs tasks to run again, or all that failed"
    return None


def call(http: Http, path: str, body: Any) -> Call:
    """One POST as it is shown and sent. Conflict where it would change more than it names."""
    if (why := too_much("POST", path, body)) is not None:
        raise Conflict(why)
    return Call(method="POST", target=http.url(path), body=body, headers=MASKED)


def n(count: int, what: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def names(found: Sequence[str]) -> str:
    """At most five names."""
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
