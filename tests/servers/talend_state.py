"""What a server shaped like Talend Management Console remembers, and how it moves; see talend_like."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.bad_days import Seen

COARSE = {
    "EXECUTION_EVENT_RECEIVED": "dispatching",
    "DISPATCHING_FLOW": "dispatching",
    "STARTING_FLOW_EXECUTION": "executing",
    "STOPPING_FLOW_EXECUTION": "executing",
    "EXECUTION_SUCCESS": "execution_successful",
    "EXECUTION_REJECTED": "execution_rejected",
    "EXECUTION_FAILED": "execution_failed",
    "DEPLOY_FAILED": "deploy_failed",
    "EXECUTION_TERMINATED": "terminated",
    "EXECUTION_TERMINATED_TIMEOUT": "terminated_timeout",
    "EXECUTION_TERMINATED_SHUTDOWN": "terminated_shutdown",
    "STARTED": "executing",
    "EXECUTION_MISFIRED": "execution_misfired",
}
GOING = ("dispatching", "executing")
ME = "user-of-the-token"


@dataclass
class Effect:
    """One change that really happened."""

    what: str
    of: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass
class TaskDef:
    id: str
    name: str
    workspace: str
    paused: bool = False
    trigger: dict[str, Any] | None = None
    """Its run configuration's trigger; None: it has no run configuration."""
    parallel: bool = True
    service: bool = False
    """A microservice: a start is answered with a receipt, and a run of weeks vanishes from the lists."""
    runtime: str = "engine-1"
    tags: tuple[str, ...] = ()


@dataclass
class PlanDef:
    id: str
    name: str
    workspace: str
    steps: list[tuple[str, str, tuple[str, ...]]]
    """(id, name, ids of tasks)."""
    paused: bool = False
    trigger: dict[str, Any] | None = None


@dataclass
class StepExec:
    id: str
    execution: str
    tasks: list[str] = field(default_factory=list[str])
    start: datetime | None = None
    finish: datetime | None = None
    word: str | None = None


@dataclass
class Exec:
    id: str
    kind: str
    of: str
    word: str
    type: str
    trigger: datetime
    start: datetime | None = None
    finish: datetime | None = None
    user: str = ME
    error: str | None = None
    misfired: str | None = None
    plan_execution: str | None = None
    rows: int | None = None
    rejected: int | None = None
    lasts: int | None = None
    """Ticks until it succeeds by itself; None: until it is told to end."""
    hidden: int = 0
    """Ticks until the lists show it."""
    vanished: bool = False
    lines: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    components: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    steps: list[StepExec] = field(default_factory=list[StepExec])
    body: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def going(self) -> bool:
        return self.misfired is None and COARSE.get(self.word, "executing") in GOING


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(status)
        self.status = status
        self.body: Any = {"status": status, "message": message, "detail": message, "requestId": "r-1"}


class World:
    """Environments, tasks, plans, executions, logs; one lock guards it."""

    skew_s = 0.0
    mode: str | None = None

    def __init__(self) -> None:
        self.environments = {"env-1": "PROD"}
        self.workspaces = {"ws-1": ("Sales", "env-1")}
        self.tasks: dict[str, TaskDef] = {}
        self.plans: dict[str, PlanDef] = {}
        self.execs: dict[str, Exec] = {}
        self.schedules: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.engines: list[dict[str, Any]] = [
            {
                "id": "engine-1",
                "name": "RE prod 1",
                "runtimeId": "rt-1",
                "availability": "AVAILABLE",
                "status": "PAIRED",
            }
        ]
        self.requests: list[Seen] = []
        self.effects: list[Effect] = []
        self.lock = threading.RLock()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.skew_s, UTC)

    # --- what a test puts in ----------------------------------------------------------------------------------------

    def add_task(self, ident: str, name: str | None = None, **more: Any) -> TaskDef:
        with self.lock:
            daily = {
                "type": "DAILY",
                "interval": 1,
                "startDate": "2024-01-01",
                "timeZone": "Europe/Paris",
                "atTimes": {"type": "AT_TIME", "time": "03:15"},
            }
            task = TaskDef(ident, name or ident, **({"workspace": "ws-1", "trigger": daily} | more))
            self.tasks[ident] = task
            return task

    def add_plan(self, ident: str, name: str | None = None, *, steps: Sequence[Sequence[str]], **more: Any) -> PlanDef:
        """``steps``: of each the names of its tasks, which are made where they are not there."""
        with self.lock:
            made: list[tuple[str, str, tuple[str, ...]]] = []
            for number, names in enumerate(steps, 1):
                for one in names:
                    if one not in self.tasks:
                        self.add_task(one, f"Task {one}")
                made.append((f"{ident}-s{number}", f"Step {number}", tuple(names)))
            plan = PlanDef(ident, name or ident, **({"workspace": "ws-1", "steps": made} | more))
            self.plans[ident] = plan
            return plan

    def add_run(
        self,
        of: str,
        ident: str | None = None,
        *,
        word: str = "STARTING_FLOW_EXECUTION",
        type: str = "SCHEDULED",
        ago_s: float = 60.0,
        lasted_s: float | None = None,
        **more: Any,
    ) -> Exec:
        """A run of a task, or of a plan where ``of`` is one: a plan's run in a likely state, with the runs of its tasks."""
        with self.lock:
            kind = "plan" if of in self.plans else "task"
            trigger = self.now() - timedelta(seconds=ago_s)
            one = Exec(ident or str(uuid.uuid4()), kind, of, word, type, trigger, **more)
            if kind == "plan" and word in ("STARTING_FLOW_EXECUTION", "EXECUTION_EVENT_RECEIVED"):
                one.word = "STARTED"
            if COARSE.get(one.word) != "dispatching" and one.misfired is None:
                one.start = trigger + timedelta(milliseconds=400)
            if not one.going:
                one.finish = trigger + timedelta(seconds=ago_s if lasted_s is None else lasted_s)
            if kind == "task" and one.start is not None:
                self.log(one, "job begins")
                if one.word == "EXECUTION_FAILED":
                    one.error = one.error or "Job failed"
                    self.log(one, "java.sql.SQLException: ORA-00001: unique constraint violated", "ERROR")
            self.execs[one.id] = one
            if kind == "plan":
                self._fill_plan(one)
            return one

    def _fill_plan(self, run: Exec) -> None:
        plan = self.plans[run.of]
        run.steps = [StepExec(sid, str(uuid.uuid4())) for sid, _, _ in plan.steps]
        if run.word == "EXECUTION_SUCCESS":
            upto, last = len(run.steps), "EXECUTION_SUCCESS"
        elif run.word == "EXECUTION_FAILED":
            upto, last = 1 if len(run.steps) == 1 else 2, "EXECUTION_FAILED"
        else:
            upto, last = 1, "STARTING_FLOW_EXECUTION"
        for number, step in enumerate(run.steps[:upto], 1):
            word = last if number == upto else "EXECUTION_SUCCESS"
            self.begin_step(run, step, word)

    def begin_step(self, run: Exec, step: StepExec, word: str = "EXECUTION_EVENT_RECEIVED") -> None:
        names = next(tasks for sid, _, tasks in self.plans[run.of].steps if sid == step.id)
        began = run.start or run.trigger
        ago = max(0.0, (self.now() - began).total_seconds())
        lasted = None if run.finish is None else (run.finish - began).total_seconds()
        for number, name in enumerate(names):
            inner = word if word != "EXECUTION_FAILED" or number == 0 else "EXECUTION_SUCCESS"
            made = self.add_run(name, word=inner, type="PLAN", ago_s=ago, lasted_s=lasted, plan_execution=run.id)
            step.tasks.append(made.id)
        step.start = run.start
        over = word in ("EXECUTION_SUCCESS", "EXECUTION_FAILED")
        step.word = word if over else "STARTED"
        step.finish = (run.finish or self.now()) if over else None

    def finish(self, ident: str, word: str = "EXECUTION_SUCCESS", error: str | None = None) -> Exec:
        with self.lock:
            one = self.execs[ident]
            one.word, one.finish, one.error = word, self.now(), error or one.error
            one.start = one.start or one.trigger
            return one

    def log(self, run: Exec, message: str, severity: str = "INFO", at: int | None = None) -> None:
        with self.lock:
            run.lines.append((int(self.now().timestamp() * 1000) if at is None else at, severity, message))

    # --- time passes ------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Everything that is going on moves by one step."""
        with self.lock:
            for one in list(self.execs.values()):
                one.hidden = max(0, one.hidden - 1)
                if one.kind == "task":
                    self._move_task(one)
            for one in list(self.execs.values()):
                if one.kind == "plan" and one.word == "STARTED":
                    self._move_plan(one)

    def _move_task(self, one: Exec) -> None:
        if one.misfired:
            return
        if one.word == "EXECUTION_EVENT_RECEIVED":
            one.word = "DISPATCHING_FLOW"
        elif one.word == "DISPATCHING_FLOW":
            one.word, one.start = "STARTING_FLOW_EXECUTION", self.now()
            self.log(one, "job begins")
        elif one.word == "STOPPING_FLOW_EXECUTION":
            self.finish(one.id, "EXECUTION_TERMINATED")
        elif one.word == "STARTING_FLOW_EXECUTION" and one.lasts is not None:
            one.lasts -= 1
            if one.lasts <= 0:
                self.finish(one.id)

    def _move_plan(self, run: Exec) -> None:
        for step in run.steps:
            if step.finish is not None:
                continue
            if step.start is None:
                self.begin_step(run, step)
                return
            words = [self.execs[t].word for t in step.tasks]
            if any(self.execs[t].going for t in step.tasks):
                return
            good = all(w in ("EXECUTION_SUCCESS", "EXECUTION_REJECTED") for w in words)
            step.word, step.finish = "EXECUTION_SUCCESS" if good else "EXECUTION_FAILED", self.now()
            if not good:
                self.finish(run.id, "EXECUTION_FAILED")
                return
        if all(s.finish is not None for s in run.steps):
            self.finish(run.id)


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def present(found: dict[str, Any], keep: Iterable[str] = ()) -> dict[str, Any]:
    """Without what is None, as the real one leaves optional fields out."""
    return {k: v for k, v in found.items() if v is not None or k in keep}
