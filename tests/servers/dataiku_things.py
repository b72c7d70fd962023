"""Things of the DSS-shaped server: scenarios, runs, steps, datasets, jobs, keys, and how they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

API = "/dip/publicapi"
TRIGGERS = [
    {
        "id": "t1", "type": "temporal", "name": "nightly", "active": True, "delay": 5,
        "params": {"frequency": "Daily", "repeatFrequency": 1, "hour": 3, "minute": 30, "timezone": "SERVER"},
    },
]  # fmt: skip
JOB_TYPES = ("RECURSIVE_BUILD", "NON_RECURSIVE_FORCED_BUILD", "RECURSIVE_FORCED_BUILD", "RECURSIVE_MISSING_ONLY_BUILD")


class Refused(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def error(kind: str, message: str) -> dict[str, Any]:
    return {"errorType": f"com.dataiku.dip.exceptions.{kind}", "message": message, "detailedMessage": message}


@dataclass
class Effect:
    what: str
    target: str
    body: Any = None


@dataclass
class Step:
    id: str
    name: str
    start: int
    end: int = 0
    outcome: str | None = None
    thrown: dict[str, Any] | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)
    type: str = "build_flowitem"

    def shown(self, run: str) -> dict[str, Any]:
        out: dict[str, Any] = {
            "runId": f"{run}-{self.id}", "step": {"id": self.id, "name": self.name, "type": self.type},
            "start": self.start, "end": self.end, "additionalReportItems": self.jobs,
        }  # fmt: skip
        if self.outcome:
            out["result"] = {"outcome": self.outcome, "warnings": {"totalCount": 0}}
            if self.thrown:
                out["result"]["thrown"] = self.thrown
        return out


@dataclass
class ScenarioRun:
    id: str
    start: int
    end: int = 0
    outcome: str | None = None
    trigger: str = "t1"
    fire: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    logs: dict[str | None, str] = field(default_factory=dict)


@dataclass
class Scenario:
    project: str
    id: str
    name: str
    active: bool = True
    type: str = "step_based"
    steps: tuple[str, ...] = ("extract", "load", "report")
    triggers: list[dict[str, Any]] = field(default_factory=lambda: [dict(t) for t in TRIGGERS])
    tags: list[str] = field(default_factory=list)
    description: str = ""
    checklists: dict[str, Any] = field(default_factory=lambda: {"checklists": []})
    version: int = 1
    changed: int = 1_700_000_000_000
    secret: str = ""
    builds: tuple[str, ...] = ()
    runs: list[ScenarioRun] = field(default_factory=list)
    fires: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def current(self) -> ScenarioRun | None:
        return next((r for r in reversed(self.runs) if r.outcome is None), None)


@dataclass
class Dataset:
    project: str
    name: str
    built: tuple[int, int, bool] | None = None
    rules: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    project: str
    id: str
    type: str
    outputs: list[dict[str, Any]]
    initiator: str
    made: int
    state: str = "NOT_STARTED"
    start: int = 0
    end: int = 0
    log: str = ""

    def shown(self) -> dict[str, Any]:
        outputs = [
            {
                "type": o.get("type"), "targetDataset": o.get("id"), "targetDatasetProjectKey": o.get("projectKey"),
                "targetPartition": o.get("partition") or "NP",
            }
            for o in self.outputs
        ]  # fmt: skip
        return {
            "def": {
                "id": self.id, "projectKey": self.project, "name": self.id.partition("__")[0], "type": self.type,
                "initiator": self.initiator, "initiationTimestamp": self.made, "triggeredFrom": "API", "outputs": outputs,
            },
            "state": self.state, "startTime": self.start, "endTime": self.end,
            "stableState": self.state in ("DONE", "FAILED", "ABORTED"),
        }  # fmt: skip


@dataclass
class ApiKey:
    """``kind``: personal, project, global. ``projects``: those that it may see; None: all."""

    secret: str
    ident: str
    kind: str = "personal"
    admin: bool = True
    projects: set[str] | None = None
    lacks: set[str] = field(default_factory=set[str])
    """Privileges that it was not given, of those in ``GUARDS``."""


# --- what guards what ---------------------------------------------------------------------------------------------------

_SCENARIO = r"/projects/[^/]+/scenarios/[^/]+"
GUARDS = (
    ("MONITOR_JOBS", r"GET /projects/[^/]+/scenarios/"),
    ("RUN_JOBS", rf"GET {_SCENARIO}/get-last-runs|POST {_SCENARIO}/(?:run|abort)"),
    ("RUN_JOBS", r"POST /projects/[^/]+/jobs/(?:[^/]+/abort)?"),
    ("MONITOR_JOBS", r"GET /projects/[^/]+/jobs/[^/]+/"),
    ("READ_CONF", rf"GET /projects/[^/]+/jobs/|GET {_SCENARIO}(?:/light)?"),
    ("write", rf"PUT {_SCENARIO}(?:/light)?"),
)
"""Privilege, and the calls that need it."""


def guarded(method: str, path: str) -> str | None:
    """The privilege that a call needs, where one is known."""
    return next((right for right, shape in GUARDS if re.fullmatch(shape, f"{method} {path}")), None)


# --- what a body may be -------------------------------------------------------------------------------------------------

LIGHT = {"id", "active", "running", "start", "nextRun", "checklists", "description", "shortDesc", "tags"}
SETTINGS = {"id", "projectKey", "name", "type", "active", "triggers", "params", "reporters", "tags", "versionTag"}
_JOB = {"type", "outputs", "refreshHiveMetastore", "autoUpdateSchemaBeforeEachRecipeRun"}
_OUTPUT = {"type", "id", "projectKey", "partition"}
_OUTPUT_TYPES = ("DATASET", "MANAGED_FOLDER", "SAVED_MODEL", "STREAMING_ENDPOINT", "KNOWLEDGE_BANK", None)


def nothing_odd(body: Any) -> str | None:
    """What is wrong with a body where none is documented."""
    return None if body is None else f"a body: {body!r}"


def params_odd(body: Any) -> str | None:
    """Of a run: an object of trigger parameters, of whatever names."""
    return None if isinstance(body, dict) else f"parameters that are no object: {body!r}"


def light_odd(body: Any) -> str | None:
    """What ``GET …/light`` says, whole, with a truth in ``active``."""
    return _odd(body, LIGHT, LIGHT)


def settings_odd(body: Any) -> str | None:
    """What ``GET`` of the scenario says, whole: what is left out would be wiped."""
    return _odd(body, SETTINGS, SETTINGS)


def _odd(body: Any, known: set[str], needed: set[str]) -> str | None:
    if not isinstance(body, dict):
        return f"no object: {body!r}"
    if odd := set(body) - known:
        return f"the members {sorted(odd)}"
    if lost := needed - set(body):
        return f"a part only, without {sorted(lost)}"
    return None if isinstance(body["active"], bool) else f"active = {body['active']!r}"


def job_odd(body: Any) -> str | None:
    if not isinstance(body, dict):
        return f"no object: {body!r}"
    if odd := set(body) - _JOB:
        return f"the members {sorted(odd)}"
    if body.get("type") not in JOB_TYPES:
        return f"the type {body.get('type')!r}"
    outputs = body.get("outputs")
    if not isinstance(outputs, list) or not outputs:
        return f"the outputs {outputs!r}"
    for one in outputs:
        if not isinstance(one, dict) or set(one) - _OUTPUT or "id" not in one or one.get("type") not in _OUTPUT_TYPES:
            return f"the output {one!r}"
    return None
