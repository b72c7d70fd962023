"""Things of the DSS-shaped server: scenarios, runs, steps, datasets, jobs, keys, and how they are shown."""

from __future__ import annotations

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
