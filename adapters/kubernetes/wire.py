"""Shapes of the Kubernetes API as they arrive (batch/v1, core/v1, metrics.k8s.io/v1beta1), and small readings of them.

Only what names an object is required: a field that a version lacks or adds changes nothing, an object without its name
makes the whole answer unusable. Field names are those of the API reference of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

OWN: Final = "watchfloor/"
"""Prefix of the annotations and labels that we put on Jobs that we make."""
CLIENT_ID: Final = OWN + "client-id"
RERUN_OF: Final = OWN + "rerun-of"
STARTED_BY: Final = OWN + "started-by"
BUSINESS_DATE: Final = OWN + "business-date"
PIPELINE: Final = OWN + "job"
"""Label: name of the Job that this one is a copy of, so that both are runs of one pipeline."""
INSTANTIATE: Final = "cronjob.kubernetes.io/instantiate"
SCHEDULED_AT: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
JOB_NAME: Final = "batch.kubernetes.io/job-name"
OLD_JOB_NAME: Final = "job-name"
"""Of pods whose Job was made before Kubernetes 1.27; later ones carry both."""


class _Shape(msgspec.Struct, rename="camel"):
    pass


class Owner(_Shape):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(_Shape):
    name: str
    uid: str
    namespace: str = ""
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None

    def owner(self) -> Owner | None:
        """The controller that made it, where there is one."""
        return next((o for o in self.owner_references or () if o.controller), None)

    def note(self, name: str) -> str | None:
        return (self.annotations or {}).get(name)

    def label(self, name: str) -> str | None:
        return (self.labels or {}).get(name)


class Condition(_Shape):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None
    last_heartbeat_time: datetime | None = None


class Resources(_Shape):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class Container(_Shape):
    name: str = ""
    image: str | None = None
    resources: Resources | None = None


class PodSpec(_Shape):
    init_containers: list[Container] | None = None
    containers: list[Container] | None = None
    node_name: str | None = None
    termination_grace_period_seconds: int | None = None

    def named(self) -> list[tuple[Container, bool]]:
        """Every container, those that run first (``initContainers``) before the others; whether it is one of them."""
        found = [(c, True) for c in self.init_containers or ()] + [(c, False) for c in self.containers or ()]
        return [(c, first) for c, first in found if c.name]


class TemplateMeta(_Shape):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Template(_Shape):
    metadata: TemplateMeta | None = None
    spec: PodSpec | None = None


class Selector(_Shape):
    match_labels: dict[str, str] | None = None


class JobSpec(_Shape):
    suspend: bool | None = None
    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    backoff_limit: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    manual_selector: bool | None = None
    managed_by: str | None = None
    selector: Selector | None = None
    template: Template | None = None

    @property
    def indexed(self) -> bool:
        return self.completion_mode == "Indexed"


class JobStatus(_Shape):
    conditions: list[Condition] | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    active: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    ready: int | None = None

    def true(self, name: str) -> Condition | None:
        return next((c for c in self.conditions or () if c.type == name and c.status == "True"), None)


class Job(_Shape):
    metadata: Meta
    spec: JobSpec | None = None
    status: JobStatus | None = None

    @property
    def what(self) -> JobSpec:
        return self.spec or _NO_SPEC

    @property
    def now(self) -> JobStatus:
        return self.status or _NO_STATUS

    def containers(self) -> list[tuple[Container, bool]]:
        template = self.what.template
        return template.spec.named() if template and template.spec else []


_NO_SPEC: Final = JobSpec()
_NO_STATUS: Final = JobStatus()


class JobTemplate(_Shape):
    metadata: TemplateMeta | None = None
    spec: JobSpec | None = None


class Ref(_Shape):
    name: str | None = None
    uid: str | None = None


class CronJobSpec(_Shape):
    schedule: str | None = None
    time_zone: str | None = None
    suspend: bool | None = None
    concurrency_policy: str | None = None
    starting_deadline_seconds: int | None = None
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None
    job_template: JobTemplate | None = None


class CronJobStatus(_Shape):
    active: list[Ref] | None = None
    last_schedule_time: datetime | None = None
    last_successful_time: datetime | None = None


class CronJob(_Shape):
    metadata: Meta
    spec: CronJobSpec | None = None
    status: CronJobStatus | None = None

    @property
    def what(self) -> CronJobSpec:
        return self.spec or CronJobSpec()

    @property
    def now(self) -> CronJobStatus:
        return self.status or CronJobStatus()


class Waiting(_Shape):
    reason: str | None = None
    message: str | None = None


class Running(_Shape):
    started_at: datetime | None = None


class Terminated(_Shape):
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Doing(_Shape):
    """One of the three is there, or none that we know."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Shape):
    name: str = ""
    restart_count: int = 0
    state: Doing | None = None
    last_state: Doing | None = None


class PodStatus(_Shape):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: datetime | None = None
    conditions: list[Condition] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(_Shape):
    metadata: Meta
    spec: PodSpec | None = None
    status: PodStatus | None = None

    @property
    def now(self) -> PodStatus:
        return self.status or PodStatus()

    def of(self, container: str) -> ContainerStatus | None:
        found = [*(self.now.init_container_statuses or ()), *(self.now.container_statuses or ())]
        return next((c for c in found if c.name == container), None)


class NodeInfo(_Shape):
    kubelet_version: str | None = None


class NodeStatus(_Shape):
    allocatable: dict[str, str | int | float] | None = None
    conditions: list[Condition] | None = None
    node_info: NodeInfo | None = None


class NodeSpec(_Shape):
    unschedulable: bool | None = None


class NodeMeta(_Shape):
    name: str


class Node(_Shape):
    metadata: NodeMeta
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class UsageMeta(_Shape):
    name: str
    namespace: str = ""


class ContainerUsage(_Shape):
    name: str = ""
    usage: dict[str, str | int | float] | None = None


class Usage(_Shape):
    """Of a node (``usage``) or of a pod (``containers``), over a window of some 15 s."""

    metadata: UsageMeta
    timestamp: datetime | None = None
    usage: dict[str, str | int | float] | None = None
    containers: list[ContainerUsage] | None = None


class ListMeta(_Shape):
    resource_version: str | None = None
    continue_: str | None = msgspec.field(default=None, name="continue")


class Jobs(_Shape):
    items: list[Job]
    metadata: ListMeta | None = None


class CronJobs(_Shape):
    items: list[CronJob]
    metadata: ListMeta | None = None


class Pods(_Shape):
    items: list[Pod]
    metadata: ListMeta | None = None


class Nodes(_Shape):
    items: list[Node]
    metadata: ListMeta | None = None


class Usages(_Shape):
    items: list[Usage]
    metadata: ListMeta | None = None


class Details(_Shape):
    name: str | None = None
    kind: str | None = None


class Status(_Shape):
    """What the API says of a refusal (kind ``Status``)."""

    kind: str = ""
    reason: str | None = None
    message: str | None = None
    code: int | None = None
    details: Details | None = None


class Version(_Shape):
    git_version: str
    major: str = ""
    minor: str = ""


# --- small readings ---------------------------------------------------------------------------------------------------


def ms(at: datetime | None) -> int | None:
    """A time of the API in ms UTC. One without a zone is UTC."""
    if at is None:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MS


def iso(at_ms: int) -> str:
    """RFC 3339 to the second, as the API writes times."""
    return (_EPOCH + at_ms // 1000 * 1000 * _MS).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: str | None) -> int | None:
    """A time in an annotation, ms UTC; None where it is none."""
    try:
        return ms(datetime.fromisoformat(text)) if text else None
    except ValueError:
        return None


def segment(native: str) -> str:
    """A name as one path segment of a URL."""
    return quote(native, safe="")


_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL: Final = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


def quantity(value: str | float | None) -> float | None:
    """``250m`` 0.25, ``123456789n`` 0.123456789, ``128Mi`` 134217728, ``1e3`` 1000; None where it is no quantity."""
    if value is None or isinstance(value, (int, float)):
        return None if value is None else float(value)
    text = value.strip()
    factor = 1.0
    if text[-2:] in _BINARY:
        text, factor = text[:-2], float(_BINARY[text[-2:]])
    elif text[-1:] in _DECIMAL:
        text, factor = text[:-1], _DECIMAL[text[-1:]]
    try:
        found = float(text) * factor
    except ValueError:
        return None
    return found if abs(found) != float("inf") and found == found else None


def said(body: Mapping[str, Any] | None, *path: str) -> Any:
    """What stands at a path of an untyped object; None where any of it is missing."""
    at: Any = body
    for name in path:
        at = at.get(name) if isinstance(at, dict) else None
    return at
