"""What a server shaped like Databricks holds: jobs, runs, tasks, pipelines, clusters; and how they move on with time."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.servers.bad_days import Seen

FIRST_ID = 9_007_199_254_740_993  # above 2**53: a client that reads ids as floating point numbers cannot work
HALF_LOG = 5 << 20


@dataclass
class Job:
    id: int
    settings: dict[str, Any]
    created: int
    creator: str = "ana@example.com"
    queue: bool = True
    levels: dict[str, str] = field(default_factory=lambda: {"ops@example.com": "CAN_MANAGE"})

    @property
    def name(self) -> str:
        return str(self.settings.get("name"))


@dataclass
class Task:
    """One try of one task."""

    id: int
    key: str
    kind: str
    after: tuple[str, ...]
    life: str = "BLOCKED"
    result: str | None = None
    message: str = ""
    start: int = 0
    end: int = 0
    attempt: int = 0
    logs: str = ""
    truncated: bool = False
    error: str | None = None
    trace: str | None = None
    output: str | None = None


@dataclass
class Run:
    id: int
    job: int | None
    name: str
    start: int
    life: str = "RUNNING"
    result: str | None = None
    code: str | None = None
    type: str = ""
    message: str = ""
    end: int = 0
    trigger: str = "PERIODIC"
    creator: str = "ana@example.com"
    """Who started it; by its schedule: whose job it is."""
    run_type: str = "JOB_RUN"
    queue_code: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    overriding: dict[str, Any] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    repairs: list[dict[str, Any]] = field(default_factory=list)
    status: bool = True
    """Whether the newer block is told beside the older one."""

    @property
    def active(self) -> bool:
        return self.life in ("QUEUED", "PENDING", "RUNNING", "TERMINATING")


@dataclass
class Update:
    id: str
    state: str
    created: int
    cause: str = "API_CALL"
    full: bool = False


@dataclass
class Pipe:
    id: str
    name: str
    updates: list[Update] = field(default_factory=list)  # newest first
    events: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    health: str = "HEALTHY"
    continuous: bool = False
    levels: dict[str, str] = field(default_factory=lambda: {"ops@example.com": "CAN_MANAGE"})


@dataclass
class Effect:
    what: str
    id: str


class Refused(Exception):
    def __init__(self, status: int, code: str | int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Any = {"error_code": code, "message": message}


_FLOW = ("CREATED", "WAITING_FOR_RESOURCES", "INITIALIZING", "SETTING_UP_TABLES", "RUNNING", "COMPLETED")


class State:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[int, Job] = {}
        self.runs: dict[int, Run] = {}
        self.pipes: dict[str, Pipe] = {}
        self.clusters: list[dict[str, Any]] = []
        self.cluster_levels: dict[str, str] = {"ops@example.com": "CAN_MANAGE"}
        """Levels on each cluster, by user."""
        self.marks: dict[str, int] = {}
        """Run by idempotency token."""
        self.lenient = False
        """Whether a cluster in the wrong state is left alone with 200, instead of refused with 400."""
        self.effects: list[Effect] = []
        self.requests: list[Seen] = []
        self.skew_s = 0.0
        self._ids = itertools.count(FIRST_ID)

    def now(self) -> int:
        return int((time.time() + self.skew_s) * 1000)

    def fresh(self) -> int:
        return next(self._ids)

    # --- set up -----------------------------------------------------------------------------------------------------

    def add_job(
        self,
        name: str,
        tasks: tuple[str, ...] = ("extract", "load", "report"),
        *,
        kind: str = "spark_python",
        paused: bool = False,
        concurrent: int = 1,
        **settings: Any,
    ) -> int:
        """A job whose tasks follow each other, with a schedule unless another trigger (or ``schedule=None``) is given."""
        with self.lock:
            ident = self.fresh()
            defined = [
                {
                    "task_key": key,
                    f"{kind}_task": {"python_file": f"/{key}.py"},
                    **({"depends_on": [{"task_key": tasks[i - 1]}]} if i else {}),
                }
                for i, key in enumerate(tasks)
            ]
            found: dict[str, Any] = {
                "name": name,
                "tasks": defined,
                "max_concurrent_runs": concurrent,
                "schedule": {
                    "quartz_cron_expression": "0 30 7 * * ?",
                    "timezone_id": "Europe/Paris",
                    "pause_status": "PAUSED" if paused else "UNPAUSED",
                },
                **settings,
            }
            found = {k: v for k, v in found.items() if v is not None}
            self.jobs[ident] = Job(ident, found, self.now())
            return ident

    def add_run(
        self, job: int | None, life: str = "RUNNING", result: str | None = None, *, ago_s: float = 0.0, **more: Any
    ) -> int:
        """A run with its tasks as its state has them: of a failed one the last has failed, of a running one the first runs."""
        with self.lock:
            ident = self.fresh()
            start = self.now() - int(ago_s * 1000)
            ended = life in ("TERMINATED", "INTERNAL_ERROR", "SKIPPED")
            name = self.jobs[job].name if job in self.jobs else "a one-time run"
            run = Run(ident, job, name, start, life, result, end=start + 7 if ended else 0, **more)
            defined = (
                self.jobs[job].settings["tasks"] if job in self.jobs else [{"task_key": "only", "notebook_task": {}}]
            )
            run.tasks = [self._task(one) for one in defined]
            for i, task in enumerate(run.tasks):
                self._as_run(run, task, last=i == len(run.tasks) - 1, first=i == 0)
            self.runs[ident] = run
            return ident

    def _task(self, one: dict[str, Any]) -> Task:
        kind = next((k.removesuffix("_task") for k in one if k.endswith("_task")), "notebook")
        return Task(self.fresh(), one["task_key"], kind, tuple(d["task_key"] for d in one.get("depends_on", ())))

    def _as_run(self, run: Run, task: Task, *, last: bool, first: bool) -> None:
        if run.life == "SKIPPED":
            task.life, task.result = "SKIPPED", None
        elif run.end:
            task.life, task.start, task.end = "TERMINATED", run.start + 1, run.end
            task.result = (run.result or "FAILED") if last else "SUCCESS"
            if task.result == "FAILED":
                task.message = "Workload failed, see run output for details"
                task.error = "ValueError: no rows"
                task.trace = 'Traceback (most recent call last):\n  File "/x.py", line 1\nValueError: no rows'
                task.logs = f"{task.key} began\n"
        elif run.life == "RUNNING" and first:
            task.life, task.start = "RUNNING", run.start + 1

    def add_pipe(self, name: str, **more: Any) -> str:
        with self.lock:
            ident = str(uuid.uuid4())
            self.pipes[ident] = Pipe(ident, name, **more)
            return ident

    def add_update(self, pipe: str, state: str = "RUNNING", *, cause: str = "JOB_TASK", ago_s: float = 0.0) -> str:
        with self.lock:
            item = Update(str(uuid.uuid4()), state, self.now() - int(ago_s * 1000), cause)
            self.pipes[pipe].updates.insert(0, item)
            self.say(pipe, item.id, f"Update {item.id[:6]} is {state}.")
            return item.id

    def say(self, pipe: str, update: str, message: str, level: str = "INFO") -> None:
        event = {
            "id": str(uuid.uuid4()),
            "timestamp": iso(self.now()),
            "level": level,
            "event_type": "update_progress",
            "message": message,
            "origin": {"update_id": update, "pipeline_id": pipe},
        }
        self.pipes[pipe].events.append(event)

    def add_cluster(self, name: str, state: str = "RUNNING", source: str = "UI", **more: Any) -> str:
        ident = f"0923-{uuid.uuid4().hex[:12]}"
        known = {"cluster_id": ident, "cluster_name": name, "cluster_source": source, "state": state, "num_workers": 2}
        self.clusters.append(known | {"start_time": self.now(), **more})
        return ident

    # --- time -------------------------------------------------------------------------------------------------------

    def end(self, run: int, result: str = "SUCCESS", message: str = "") -> None:
        with self.lock:
            found = self.runs[run]
            found.life, found.result, found.end, found.message = "TERMINATED", result, self.now() + 1, message
            for task in found.tasks:
                if task.life != "TERMINATED":
                    task.start = task.start or found.start
                    task.life, task.result, task.end = "TERMINATED", result, found.end

    def tick(self) -> None:
        """Everything active moves on by one step."""
        with self.lock:
            for run in list(self.runs.values()):
                self._move(run)
            for pipe in self.pipes.values():
                for item in pipe.updates:
                    if item.state == "STOPPING":
                        item.state = "CANCELED"
                    elif item.state in _FLOW[:-1] and not (pipe.continuous and item.state == "RUNNING"):
                        item.state = _FLOW[_FLOW.index(item.state) + 1]
                    else:
                        continue
                    self.say(pipe.id, item.id, f"Update {item.id[:6]} is {item.state}.")
            for cluster in self.clusters:
                self._move_cluster(cluster)

    def cluster_of(self, ident: Any) -> dict[str, Any]:
        found = next((c for c in self.clusters if c["cluster_id"] == ident), None)
        if found is None:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Cluster {ident} does not exist")
        return found

    def change_cluster(self, what: str, ident: Any, idle: bool) -> Any:
        """``start``, ``restart`` or ``delete`` (terminate): each in its states only."""
        cluster = self.cluster_of(ident)
        was = cluster["state"]
        fits = {"start": was == "TERMINATED", "restart": was == "RUNNING", "delete": was != "TERMINATED"}[what]
        if cluster["cluster_source"] == "JOB" and what != "delete":
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Cluster {ident} was launched to run a job")
        if not fits:
            if self.lenient or what == "delete":
                return {}
            raise Refused(400, "INVALID_STATE", f"Cluster {ident} is in unexpected state {was.capitalize()}.")
        if idle:
            return {}
        self.effects.append(Effect(f"cluster-{what}", str(ident)))
        cluster["state"] = {"start": "PENDING", "restart": "RESTARTING", "delete": "TERMINATING"}[what]
        if what == "start":
            self._new_life(cluster)
            cluster.pop("terminated_time", None)
            cluster.pop("termination_reason", None)
        return {}

    def _new_life(self, cluster: dict[str, Any]) -> None:
        """A later time than the last, also within one ms."""
        last = cluster.get("last_restarted_time") or cluster.get("start_time") or 0
        cluster["last_restarted_time"] = max(self.now(), last + 1)

    def _move_cluster(self, cluster: dict[str, Any]) -> None:
        match cluster["state"]:
            case "PENDING" | "RESIZING":
                cluster["state"] = "RUNNING"
            case "RESTARTING":
                cluster["state"] = "RUNNING"
                self._new_life(cluster)
            case "TERMINATING":
                self.terminated(cluster["cluster_id"])
            case _:
                pass

    def terminated(self, ident: str, code: str = "USER_REQUEST", kind: str = "SUCCESS") -> None:
        """It has ended, for that reason."""
        with self.lock:
            cluster = self.cluster_of(ident)
            cluster |= {
                "state": "TERMINATED",
                "terminated_time": max(self.now(), cluster.get("last_restarted_time") or 0),
            }
            cluster["termination_reason"] = {"code": code, "type": kind}

    def _move(self, run: Run) -> None:
        if run.life == "QUEUED":
            run.life, run.queue_code = "PENDING", None
        elif run.life == "PENDING":
            run.life = "RUNNING"
            self._start_tasks(run)
        elif run.life == "TERMINATING":
            run.life, run.result, run.code, run.end = "TERMINATED", "CANCELED", "USER_CANCELED", self.now()
            for task in run.tasks:
                if task.life not in ("TERMINATED", "SKIPPED"):
                    task.life, task.result, task.end = "TERMINATED", "CANCELED", run.end
        elif run.life == "RUNNING":
            for task in run.tasks:
                if task.life == "RUNNING":
                    task.life, task.result, task.end = "TERMINATED", "SUCCESS", self.now()
                    task.logs += f"{task.key} done\n"
            if not self._start_tasks(run):
                self.end(run.id)

    def latest(self, run: Run) -> dict[str, Task]:
        return {t.key: t for t in sorted(run.tasks, key=lambda t: t.id)}

    def _start_tasks(self, run: Run) -> bool:
        now = self.latest(run)
        began = False
        for task in now.values():
            ready = all(now[a].result == "SUCCESS" for a in task.after if a in now)
            if task.life in ("BLOCKED", "PENDING") and ready:
                task.life, task.start, began = "RUNNING", self.now(), True
                task.logs += f"{task.key} began\n"
        return began


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
