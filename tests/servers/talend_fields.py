"""What the API of Talend Management Console names: paths, parameters, fields of bodies, and what may stand in each.

Nothing else is: ``wrong`` says what of a request is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tests.servers.talend_state import COARSE

_PAGED = ("limit", "offset")
_RUNS = ("lastDays", "from", "to", "status", "environmentId", "workspaceId", *_PAGED)
_ONE = ("lastDays", "from", "to", "status", *_PAGED)
DOCUMENTED: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("GET", "/orchestration/environments", (), ()),
    ("GET", "/orchestration/workspaces", (), ()),
    (
        "GET",
        "/orchestration/executables/tasks",
        ("environmentId", "workspaceId", "name", "artifactId", "runtimeType", "runtimeId", *_PAGED),
        (),
    ),
    ("GET", "/orchestration/executables/tasks/{}", (), ()),
    ("GET", "/orchestration/executables/tasks/{}/run-config", (), ()),
    ("GET", "/orchestration/executables/tasks/{}/schedule", (), ()),
    ("PUT", "/orchestration/executables/tasks/{}/pause", (), ("pause", "pauseContext")),
    (
        "GET",
        "/orchestration/executables/plans",
        ("environmentId", "workspaceId", "name", "planId", "taskId", *_PAGED),
        (),
    ),
    ("GET", "/orchestration/executables/plans/{}/run-config", (), ()),
    ("GET", "/orchestration/executables/plans/{}/schedule", (), ()),
    ("PUT", "/orchestration/executables/plans/{}/pause", (), ("pause", "pauseContext")),
    (
        "POST",
        "/orchestration/executables/events/search",
        (),
        ("environmentId", "to", "from", "workspaceIds", "tags", *_PAGED),
    ),
    ("GET", "/orchestration/schedules", ("environmentId", *_PAGED), ()),
    ("GET", "/processing/runtimes/remote-engines", ("query",), ()),
    ("GET", "/processing/executables/tasks/executions", _RUNS, ()),
    ("GET", "/processing/executables/plans/executions", _RUNS, ()),
    ("GET", "/processing/executables/tasks/{}/executions", _ONE, ()),
    ("GET", "/processing/executables/plans/{}/executions", _ONE, ()),
    ("POST", "/processing/executions", (), ("executable", "parameters", "logLevel", "timeout")),
    ("POST", "/processing/executions/plans", (), ("executable", "executionPlanId", "stepId", "rerunOnlyFailedTasks")),
    ("GET", "/processing/executions/plans/{}", (), ()),
    ("GET", "/processing/executions/plans/{}/steps", (), ()),
    ("GET", "/processing/executions/{}", (), ()),
    ("DELETE", "/processing/executions/{}", (), ()),
    ("GET", "/monitoring/executions/{}/logs", ("count", "startIndex", "order"), ()),
    ("POST", "/monitoring/executions/{}/logs", ("startTime", "endTime", "fileFormat", "newFileName"), ()),
    ("POST", "/monitoring/executions/{}/logs/status", (), ("token",)),
    (
        "GET",
        "/monitoring/observability/executions/{}/component",
        ("sortBy", "sortOrder", *_PAGED),
        (),
    ),
)
_SHAPES = [(m, re.compile(p.replace("{}", "([^/]+)")), p, q, b) for m, p, q, b in DOCUMENTED]
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "/processing/executions": ("executable",),
    "/processing/executions/plans": ("executable",),
    "/orchestration/executables/tasks/{}/pause": ("pause",),
    "/orchestration/executables/plans/{}/pause": ("pause",),
    "/orchestration/executables/events/search": ("environmentId", "to"),
    "/monitoring/executions/{}/logs/status": ("token",),
}
_STATUS: Mapping[str, Collection[str]] = {
    "tasks": {COARSE[w] for w in COARSE if w not in ("STARTED", "EXECUTION_MISFIRED")},
    "plans": {"executing", "execution_successful", "execution_failed", "execution_misfired"},
}
_PARAMS: Mapping[str, str] = {
    **dict.fromkeys(("limit", "offset", "lastDays", "from", "to", "count", "startIndex"), r"\d+"),
    **dict.fromkeys(("startTime", "endTime"), r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "order": "ASC|DESC",
    "fileFormat": "TEXT|JSON",
}


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _parameters(value: Any) -> bool:
    """Texts, and numbers."""
    plain = (str, int, float)
    return isinstance(value, dict) and all(isinstance(v, plain) and not isinstance(v, bool) for v in value.values())


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("executable", "executionPlanId", "stepId", "environmentId", "token", "pauseContext"), _text),
    **dict.fromkeys(("timeout", "from", "to", "limit", "offset"), _number),
    **dict.fromkeys(("pause", "rerunOnlyFailedTasks"), _flag),
    **dict.fromkeys(("workspaceIds", "tags"), _texts),
    "parameters": _parameters,
    "logLevel": lambda value: value in ("OFF", "ERROR", "WARN", "INFO"),
}


def shape(method: str, path: str) -> tuple[str, list[str]] | None:
    """The documented path that this one is of, with its ids as they stand in it."""
    for known, pattern, template, _, _ in _SHAPES:
        if known == method and (found := pattern.fullmatch(path)):
            return template, list(found.groups())
    return None


def wrong(method: str, template: str, query: Mapping[str, list[str]], raw: bytes, body: Any) -> str:
    """What of a request to a documented path is not documented, in a few words; empty where all of it is."""
    _, _, params, fields = next(d for d in DOCUMENTED if d[:2] == (method, template))
    if odd := set(query) - set(params):
        return f"parameters {sorted(odd)}"
    for name, values in query.items():
        if len(values) != 1 or not re.fullmatch(_PARAMS.get(name, ".+"), values[0]):
            return f"{name}={values}"
        if name == "status" and values[0] not in _STATUS["tasks" if "/tasks" in template else "plans"]:
            return f"status={values}"
    if not fields:
        return "a body" if raw else ""
    if not isinstance(body, dict):
        return "a body that is no object"
    if odd := set(body) - set(fields):
        return f"a body of {sorted(odd)}"
    if lacking := set(_NEEDED.get(template, ())) - set(body):
        return f"a body without {sorted(lacking)}"
    return next((f"{name}: {value!r}" for name, value in body.items() if not _FIELDS[name](value)), "")
