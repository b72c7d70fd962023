"""What lies in a cluster shaped like Kubernetes, and how it changes: objects with versions, a Job controller, logs.

Each change of an object gets the next version and is kept as an event, so that lists are of one version, a watch brings
what came after one, and both are refused with 410 once that was compacted away.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Obj = dict[str, Any]
JOB_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


class Refused(Exception):
    """An answer that is an error: HTTP status, reason and message of a ``Status``."""

    def __init__(self, status: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details or {}, "code": status,
        }  # fmt: skip


@dataclass
class Effect:
    """Something that was really changed from outside."""

    verb: str
    resource: str
    namespace: str
    name: str
    body: Any = None


class State:
    """Everything public may be called while it serves; ``lock`` guards it."""

    mode: str | None = None
    """The bad day of the moment; here only "noop" and "page2" matter."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.skew_s = 0.0
        self.objects: dict[str, dict[tuple[str, str], Obj]] = {"jobs": {}, "cronjobs": {}, "pods": {}}
        self.events: list[tuple[int, str, str, Obj]] = []
        self.version = 1000
        self.compacted = 0
        self.effects: list[Effect] = []
        self.orphans: list[str] = []
        """Pods that a delete without a policy left running: what must never happen."""
        self.logs: dict[tuple[str, str, str, bool], list[tuple[str, str]]] = {}
        """By namespace, pod, container, previous: stamp and text of each line."""
        self.nodes: dict[str, Obj] = {}
        self.usage_nodes: dict[str, Obj] = {}
        self.usage_pods: dict[tuple[str, str], Obj] = {}

    # --- time and versions ------------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.time() + self.skew_s

    def stamp(self, ago_s: float = 0.0) -> str:
        return datetime.fromtimestamp(self.now() - ago_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def compact(self) -> None:
        """No version before now is known any more."""
        with self.lock:
            self.version += 1
            self.compacted = self.version
            self.events.clear()

    def put(self, resource: str, obj: Obj) -> Obj:
        """Store a new object or a changed one."""
        with self.lock:
            meta = obj["metadata"]
            there, key = self.objects[resource], (meta["namespace"], meta["name"])
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            what = "MODIFIED" if key in there else "ADDED"
            there[key] = obj
            self.events.append((self.version, resource, what, copied(obj)))
            return obj

    def drop(self, resource: str, namespace: str, name: str) -> None:
        with self.lock:
            obj = self.objects[resource].pop((namespace, name), None)
            if obj is not None:
                self.version += 1
                obj["metadata"]["resourceVersion"] = str(self.version)
                self.events.append((self.version, resource, "DELETED", copied(obj)))

    def all(self, resource: str, namespace: str | None = None) -> list[Obj]:
        return [o for (ns, _), o in sorted(self.objects[resource].items()) if namespace in (None, ns)]

    def find(self, resource: str, namespace: str, name: str) -> Obj:
        found = self.objects[resource].get((namespace, name))
        if found is None:
            group = ".batch" if resource != "pods" else ""
            details = {"name": name, "kind": resource, **({"group": "batch"} if group else {})}
            raise Refused(404, "NotFound", f'{resource}{group} "{name}" not found', details)
        return found

    # --- things that tests put there --------------------------------------------------------------------------------

    def add_cron(self, name: str, namespace: str = "etl", **more: Any) -> Obj:
        template = more.pop("template", None) or template_of()
        obj: Obj = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {
                "name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1,
                "creationTimestamp": self.stamp(86_400), "labels": more.pop("labels", {}),
                "annotations": more.pop("annotations", {}),
            },
            "spec": {
                "schedule": "0 3 * * *", "timeZone": "Europe/Paris", "concurrencyPolicy": "Allow", "suspend": False,
                "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"metadata": {"labels": {"team": "data"}}, "spec": template}, **more.pop("spec", {}),
            },
            "status": more.pop("status", {}),
        }  # fmt: skip
        return self.put("cronjobs", obj)

    def add_job(
        self,
        name: str,
        namespace: str = "etl",
        *,
        cron: str | None = None,
        state: str = "running",
        ran_s: float = 60.0,
        age_s: float | None = None,
        pod: bool = True,
        spec: Obj | None = None,
        labels: Obj | None = None,
        annotations: Obj | None = None,
    ) -> Obj:
        """``state``: pending, running, success, failed, deadline, suspended."""
        body: Obj = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels or {},
                "annotations": annotations or {},
            },
            "spec": {**template_of(), **(spec or {})},
        }
        with self.lock:
            if cron is not None:
                owner = self.find("cronjobs", namespace, cron)
                body["metadata"]["ownerReferences"] = [
                    {
                        "apiVersion": "batch/v1", "kind": "CronJob", "name": cron, "uid": owner["metadata"]["uid"],
                        "controller": True, "blockOwnerDeletion": True,
                    }
                ]  # fmt: skip
            body["spec"]["suspend"] = state == "suspended"
            job = self.make_job(namespace, body, age_s=ran_s if age_s is None else age_s)
            if state in ("pending", "suspended"):
                self.put("jobs", job)
                return job
            self.begin(job, ago_s=ran_s if age_s is None else age_s, pod=pod)
            if state != "running":
                self.finish(name, namespace, state, ago_s=0.0 if age_s is None else age_s - ran_s)
            return job

    def make_job(self, namespace: str, body: Obj, age_s: float = 0.0) -> Obj:
        """As the API server completes a Job that it is given."""
        job = copied(body)
        meta = job["metadata"]
        uid = str(uuid.uuid4())
        meta |= {"namespace": namespace, "uid": uid, "generation": 1, "creationTimestamp": self.stamp(age_s)}
        spec = job["spec"]
        made = dict.fromkeys(JOB_LABELS, uid) | dict.fromkeys(NAME_LABELS, meta["name"])
        template = spec["template"].setdefault("metadata", {})
        template["labels"] = {**(template.get("labels") or {}), **made}
        meta["labels"] = {**(meta.get("labels") or {}), **made}
        spec["selector"] = {"matchLabels": {JOB_LABELS[0]: uid}}
        for name, value in (
            ("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("completionMode", "NonIndexed"),
            ("suspend", False), ("manualSelector", False),
        ):  # fmt: skip
            spec.setdefault(name, value)
        job |= {"apiVersion": "batch/v1", "kind": "Job", "status": {}}
        self.put("jobs", job)
        return job

    def begin(self, job: Obj, ago_s: float = 0.0, pod: bool = True) -> None:
        """The controller starts it: a pod, running."""
        with self.lock:
            job["status"] |= {"startTime": self.stamp(ago_s), "active": 1, "ready": 1}
            job["status"]["conditions"] = [
                c for c in job["status"].get("conditions", []) if c["type"] not in ("Suspended",)
            ]
            if pod:
                self.add_pod(job, ago_s=ago_s)
            self.put("jobs", job)

    def add_pod(self, job: Obj, *, ago_s: float = 0.0, name: str | None = None, index: int | None = None) -> Obj:
        meta, spec = job["metadata"], job["spec"]["template"]["spec"]
        name = name or f"{meta['name']}-{uuid.uuid4().hex[:5]}"
        pod: Obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name, "namespace": meta["namespace"], "uid": str(uuid.uuid4()),
                "creationTimestamp": self.stamp(ago_s), "labels": dict(job["spec"]["template"]["metadata"]["labels"]),
                "annotations": {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)},
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True,
                }],
            },
            "spec": {**copied(spec), "nodeName": "node-1"},
            "status": {
                "phase": "Running",
                "startTime": self.stamp(ago_s),
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": self.stamp(ago_s)}],
                "containerStatuses": [
                    {"name": c["name"], "restartCount": 0, "state": {"running": {"startedAt": self.stamp(ago_s)}},
                     "lastState": {}, "ready": True, "image": c["image"], "imageID": f"{c['image']}@sha256:0"}
                    for c in spec["containers"]
                ],
            },
        }  # fmt: skip
        return self.put("pods", pod)

    def pods_of(self, name: str, namespace: str = "etl") -> list[Obj]:
        uid = self.find("jobs", namespace, name)["metadata"]["uid"]
        return [p for p in self.all("pods", namespace) if p["metadata"]["labels"].get(JOB_LABELS[0]) == uid]

    def finish(self, name: str, namespace: str = "etl", state: str = "success", ago_s: float = 0.0) -> None:
        """It ends: success, failed (its pod stays, with exit 1) or deadline (its pod is deleted)."""
        with self.lock:
            job = self.find("jobs", namespace, name)
            at = self.stamp(ago_s)
            status = job["status"]
            status |= {"active": 0, "ready": 0}
            condition = {"status": "True", "lastTransitionTime": at, "lastProbeTime": at}
            if state == "success":
                status |= {"succeeded": 1, "completionTime": at}
                status["conditions"] = [{"type": "Complete", **condition}]
            else:
                late = state == "deadline"
                reason = "DeadlineExceeded" if late else "BackoffLimitExceeded"
                said = (
                    "Job was active longer than specified deadline"
                    if late
                    else "Job has reached the specified backoff limit"
                )
                status["failed"] = status.get("failed", 0) + 1
                status["conditions"] = [
                    {"type": t, "reason": reason, "message": said, **condition} for t in ("FailureTarget", "Failed")
                ]
            for pod in self.pods_of(name, namespace):
                if state == "deadline":
                    self.drop("pods", namespace, pod["metadata"]["name"])
                elif pod["status"]["phase"] == "Running":
                    self.end_pod(pod, 0 if state == "success" else 1, ago_s=ago_s)
            self.put("jobs", job)

    def end_pod(self, pod: Obj, code: int, reason: str | None = None, ago_s: float = 0.0) -> None:
        pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
        for one in pod["status"]["containerStatuses"]:
            started = one["state"].get("running", {}).get("startedAt")
            one["state"] = {
                "terminated": {
                    "exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"),
                    "startedAt": started, "finishedAt": self.stamp(ago_s),
                }
            }  # fmt: skip
        self.put("pods", pod)

    def say(self, pod: Obj, text: str, container: str = "main", previous: bool = False, at: str | None = None) -> None:
        """One more line in a container's log."""
        with self.lock:
            key = (pod["metadata"]["namespace"], pod["metadata"]["name"], container, previous)
            stamp = at or datetime.fromtimestamp(self.now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
            self.logs.setdefault(key, []).append((stamp, text))

    def add_node(self, name: str, cpu: str = "4", memory: str = "8Gi", **conditions: str) -> Obj:
        listed = {"Ready": "True", "MemoryPressure": "False", **conditions}
        node: Obj = {
            "metadata": {"name": name, "uid": str(uuid.uuid4())},
            "spec": {},
            "status": {
                "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
                "conditions": [
                    {"type": t, "status": s, "lastHeartbeatTime": self.stamp(20), "lastTransitionTime": self.stamp(900)}
                    for t, s in listed.items()
                ],
            },
        }
        self.nodes[name] = node
        return node

    # --- the controllers --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Pods that are being deleted vanish; Jobs that wait begin; Jobs that were suspended have no pods."""
        with self.lock:
            for pod in self.all("pods"):
                if pod["metadata"].get("deletionTimestamp"):
                    self.drop("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            for job in self.all("jobs"):
                status = job["status"]
                if any(c["type"] in ("Complete", "Failed") for c in status.get("conditions", [])):
                    continue
                if job["spec"].get("suspend"):
                    if status.get("active") or status.get("startTime"):
                        status |= {"active": 0, "ready": 0}
                        status.pop("startTime", None)
                        status["conditions"] = [
                            {"type": "Suspended", "status": "True", "reason": "JobSuspended",
                             "lastTransitionTime": self.stamp()}
                        ]  # fmt: skip
                        self.put("jobs", job)
                elif not status.get("active"):
                    self.begin(job)


def template_of(*containers: str, init: tuple[str, ...] = (), **spec: Any) -> Obj:
    """Spec of a Job; one container ``main`` with a secret in its environment where none is named."""
    made = [
        {
            "name": name, "image": f"registry.example/{name}:1", "command": ["run", "--password", "s3cr3t-argument"],
            "env": [{"name": "DSN", "value": "postgres://etl:s3cr3t-of-env@db/x"}],
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
        }
        for name in (containers or ("main",))
    ]  # fmt: skip
    pod: Obj = {"containers": made, "restartPolicy": "Never", "terminationGracePeriodSeconds": 30}
    if init:
        pod["initContainers"] = [{"name": n, "image": f"registry.example/{n}:1"} for n in init]
    return {"template": {"spec": pod}, "backoffLimit": 3, **spec}
