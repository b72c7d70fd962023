"""What a server shaped like Airflow 3 remembers and how its scheduler moves it; see airflow_like."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.bad_days import Seen

ACTIVE = ("queued", "running")
TERMINAL = ("success", "failed")
TI_DONE = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass
class Effect:
    """One change that really happened."""

    what: str
    dag_id: str
    run_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass
class Task:
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    queued: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    operator: str = "@task"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    history: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass
class DagRun:
    dag_id: str
    run_id: str
    state: str
    run_type: str
    run_after: datetime
    logical: datetime | None
    queued: datetime | None
    start: datetime | None
    end: datetime | None
    updated: datetime
    conf: dict[str, Any]
    tasks: list[Task]


@dataclass
class Dag:
    dag_id: str
    paused: bool
    schedule: str | None
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    tasks: tuple[str, ...]
    mapped: dict[str, int]
    fails: set[str]
    next_run: datetime | None
    max_active_runs: int = 16
    retries: int = 0


class Refused(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class World:
    """DAGs, runs, task instances, logs; everything public may be called while it serves: one lock guards it."""

    user = "ops"
    skew_s = 0.0
    mode: str | None = None
    """The fault of the moment; below the server itself only "noop" and "page2" matter."""

    def __init__(self) -> None:
        self.dags: dict[str, Dag] = {}
        self.runs: dict[tuple[str, str], DagRun] = {}
        self.requests: list[Seen] = []
        self.effects: list[Effect] = []
        self.lock = threading.RLock()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.skew_s, UTC)

    def add_dag(
        self,
        dag_id: str,
        *,
        tasks: Iterable[str] = ("extract", "load", "report"),
        mapped: dict[str, int] | None = None,
        paused: bool = False,
        schedule: str | None = "0 3 * * *",
        owners: Iterable[str] = ("ops",),
        tags: Iterable[str] = (),
        fails: Iterable[str] = (),
        next_run: datetime | None = None,
        retries: int = 0,
    ) -> Dag:
        """``tasks`` run one after the other; ``mapped`` gives some of them n instances; those in ``fails`` fail."""
        with self.lock:
            due = next_run or (None if schedule is None else self.now() + timedelta(hours=3))
            dag = Dag(
                dag_id,
                paused,
                schedule,
                tuple(owners),
                tuple(tags),
                tuple(tasks),
                dict(mapped or {}),
                set(fails),
                due,
                retries=retries,
            )
            self.dags[dag_id] = dag
            return dag

    def add_run(
        self,
        dag_id: str,
        run_id: str | None = None,
        *,
        state: str = "running",
        run_type: str = "scheduled",
        run_after: datetime | None = None,
        conf: dict[str, Any] | None = None,
        failed_at: str | None = None,
        ran_s: float = 60.0,
    ) -> DagRun:
        """A run with its task instances in a likely state; of a failed one ``failed_at`` (default: the last) failed."""
        with self.lock:
            dag = self.dags[dag_id]
            now = self.now()
            after = run_after or now - timedelta(seconds=ran_s)
            run_id = run_id or f"{run_type}__{after.isoformat()}"
            started = None if state == "queued" else after + timedelta(seconds=1)
            ended = None if state in ACTIVE else after + timedelta(seconds=ran_s)
            logical = None if run_type == "manual" else after
            run = DagRun(
                dag_id,
                run_id,
                state,
                run_type,
                after,
                logical,
                after,
                started,
                ended,
                ended or now,
                dict(conf or {}),
                self.fresh_tasks(dag),
            )
            self._fill(dag, run, failed_at)
            self.runs[(dag_id, run_id)] = run
            return run

    def fresh_tasks(self, dag: Dag) -> list[Task]:
        out: list[Task] = []
        for name in dag.tasks:
            if name in dag.mapped:
                out += [Task(name, i, max_tries=dag.retries) for i in range(dag.mapped[name])]
            else:
                out.append(Task(name, max_tries=dag.retries))
        return out

    def _fill(self, dag: Dag, run: DagRun, failed_at: str | None) -> None:
        if run.state == "queued" or run.start is None:
            return
        stop_at = (
            failed_at or dag.tasks[-1] if run.state == "failed" else dag.tasks[0] if run.state == "running" else None
        )
        seen = False
        for task in run.tasks:
            if seen and task.task_id != stop_at:
                if run.state == "failed":
                    task.state, task.start, task.end = "upstream_failed", run.end, run.end
                continue
            here = task.task_id == stop_at
            seen = seen or here
            task.try_number, task.queued, task.start = 1, run.start, run.start
            task.end = run.end if run.state != "running" or not here else None
            task.state = ("failed" if run.state == "failed" else "running") if here else "success"
            self._log_begin(run, task)
            if task.end is not None:
                self._log_end(task, failed=task.state == "failed")

    def set_run(self, dag_id: str, run_id: str, state: str, *, ended: bool | None = None) -> None:
        """Any word, also one that Airflow does not have. ``ended``: default, whether the word is terminal."""
        with self.lock:
            run = self.runs[(dag_id, run_id)]
            run.state = state
            now = self.now()
            if state == "queued":
                run.queued, run.start, run.end = now, None, None
            elif run.start is None:
                run.start = now
            if ended if ended is not None else state in TERMINAL:
                run.end = now
            run.updated = now

    def set_task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, **fields: Any) -> Task:
        """Set fields of one task instance (``state``, ``try_number``, ``end`` …) as they are named in Task."""
        with self.lock:
            task = self.task(dag_id, run_id, task_id, map_index)
            for name, value in fields.items():
                assert hasattr(task, name), f"a task instance has no {name}"
                setattr(task, name, value)
            return task

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Task:
        with self.lock:
            run = self.runs.get((dag_id, run_id))
            for task in run.tasks if run else ():
                if task.task_id == task_id and task.map_index == map_index:
                    return task
        raise Refused(404, {"detail": "The Task Instance was not found"})

    def append_log(
        self, dag_id: str, run_id: str, task_id: str, *events: str, map_index: int = -1, level: str = "info"
    ) -> None:
        with self.lock:
            task = self.task(dag_id, run_id, task_id, map_index)
            for event in events:
                self._log(task, event, level)

    def _log(self, task: Task, event: str, level: str = "info", logger: str = "task.stdout", **more: Any) -> None:
        lines = task.logs.setdefault(max(task.try_number, 0), [])
        lines.append(
            {
                "timestamp": self.now().isoformat().replace("+00:00", "Z"),
                "event": event,
                "level": level,
                "logger": logger,
            }
            | more
        )

    def _log_begin(self, run: DagRun, task: Task) -> None:
        self._log(task, "::group::Pre Execute", logger="task")
        self._log(task, "::endgroup::", logger="task")
        self._log(task, f"{task.task_id} of {run.run_id} begins", task_id=task.task_id, try_number=task.try_number)

    def _log_end(self, task: Task, *, failed: bool) -> None:
        if failed:
            frames = [{"filename": "/dags/flow.py", "lineno": 12, "name": task.task_id}]
            detail = [
                {
                    "exc_type": "ValueError",
                    "exc_value": "no rows for today",
                    "frames": frames,
                    "is_cause": False,
                    "exceptions": [],
                }
            ]
            self._log(task, "Task failed with exception", "error", "task", error_detail=detail)
        else:
            self._log(task, f"{task.task_id} is done")

    def tick(self) -> None:
        """The scheduler's turn: every active run of an unpaused DAG moves on by one step (paused DAGs stand still)."""
        with self.lock:
            for run in list(self.runs.values()):
                dag = self.dags[run.dag_id]
                if run.state in ACTIVE and not dag.paused and not self.held(run):
                    self._move(dag, run)
            self.complete_backfills()

    def held(self, run: DagRun) -> bool:
        """Whether the scheduler leaves this run alone."""
        return False

    def complete_backfills(self) -> None:
        return None

    def _move(self, dag: Dag, run: DagRun) -> None:
        now = self.now()
        run.updated = now
        if run.state == "queued":
            run.state, run.start = "running", now
            return
        busy = [t for t in run.tasks if t.state == "running"]
        if busy:
            for task in busy:
                failed = task.task_id in dag.fails
                task.end = now
                self._log_end(task, failed=failed)
                task.state = (
                    "success" if not failed else "up_for_retry" if task.try_number <= task.max_tries else "failed"
                )
            return
        for task in run.tasks:
            if task.state in (None, "scheduled", "queued", "up_for_retry"):
                if any(
                    t.state in ("failed", "upstream_failed")
                    for t in run.tasks
                    if t is not task and self._before(dag, t, task)
                ):
                    task.state, task.start, task.end = "upstream_failed", now, now
                    continue
                group = [t for t in run.tasks if t.task_id == task.task_id and t.state not in TI_DONE]
                for one in group:
                    if one.state == "up_for_retry":
                        self.remember(one, "failed")
                    one.state, one.try_number = "running", one.try_number + 1
                    one.queued, one.start, one.end = now, now, None
                    self._log_begin(run, one)
                return
        run.state = "failed" if any(t.state in ("failed", "upstream_failed") for t in run.tasks) else "success"
        run.end = now

    @staticmethod
    def _before(dag: Dag, first: Task, second: Task) -> bool:
        return dag.tasks.index(first.task_id) < dag.tasks.index(second.task_id)

    def remember(self, task: Task, state: str | None = None) -> None:
        """The current try becomes history, as Airflow does when it retries or clears."""
        if task.try_number > 0 and task.start is not None:
            task.history.append(self.ti_json(None, task) | {"state": state or task.state})
        task.id = str(uuid.uuid4())

    # --- JSON ---------------------------------------------------------------------------------------------------

    def dag_json(self, dag: Dag) -> dict[str, Any]:
        due = iso(dag.next_run)
        return {
            "dag_id": dag.dag_id,
            "dag_display_name": dag.dag_id,
            "is_paused": dag.paused,
            "is_stale": False,
            "description": f"{dag.dag_id} of the test",
            "timetable_summary": dag.schedule,
            "timetable_description": None if dag.schedule is None else f"at {dag.schedule}",
            "tags": [{"name": t, "dag_id": dag.dag_id, "dag_display_name": dag.dag_id} for t in dag.tags],
            "max_active_tasks": 16,
            "max_active_runs": dag.max_active_runs,
            "has_import_errors": False,
            "next_dagrun_logical_date": due,
            "next_dagrun_run_after": due,
            "owners": list(dag.owners),
            "is_backfillable": True,
            "bundle_name": "dags-folder",
        }

    def run_json(self, run: DagRun) -> dict[str, Any]:
        return {
            "dag_run_id": run.run_id,
            "dag_id": run.dag_id,
            "logical_date": iso(run.logical),
            "queued_at": iso(run.queued),
            "start_date": iso(run.start),
            "end_date": iso(run.end),
            "duration": None if run.start is None or run.end is None else (run.end - run.start).total_seconds(),
            "data_interval_start": iso(run.logical),
            "data_interval_end": iso(run.logical),
            "run_after": iso(run.run_after),
            "last_scheduling_decision": iso(run.updated),
            "run_type": run.run_type,
            "state": run.state,
            "triggered_by": "timetable" if run.run_type == "scheduled" else "rest_api",
            "triggering_user_name": None if run.run_type == "scheduled" else self.user,
            "conf": run.conf,
            "note": None,
            "dag_versions": [],
            "bundle_version": None,
            "dag_display_name": run.dag_id,
            "partition_key": None,
            "partition_date": None,
        }

    def ti_json(self, run: DagRun | None, task: Task) -> dict[str, Any]:
        return {
            "id": task.id,
            "task_id": task.task_id,
            "dag_id": run.dag_id if run else None,
            "dag_run_id": run.run_id if run else None,
            "map_index": task.map_index,
            "run_after": iso(run.run_after) if run else None,
            "start_date": iso(task.start),
            "end_date": iso(task.end),
            "duration": None if task.start is None or task.end is None else (task.end - task.start).total_seconds(),
            "state": task.state,
            "try_number": task.try_number,
            "max_tries": task.max_tries,
            "operator": "_PythonDecoratedOperator",
            "operator_name": task.operator,
            "queued_when": iso(task.queued),
            "scheduled_when": iso(task.queued),
            "pool": "default_pool",
            "hostname": "vm" if task.start else "",
            "note": None,
            "trigger": None,
        }


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
