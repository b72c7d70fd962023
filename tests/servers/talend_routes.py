"""The documented calls of a server shaped like Talend Management Console, with the traps of the real one; see talend_like.

``talend_fields`` holds every path with its parameters and body fields as they are documented. What is not there is answered
with 500 and remembered in ``invented``: no invented endpoint, parameter, field or value can pass a test.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from tests.servers.talend_fields import shape, wrong
from tests.servers.talend_state import COARSE, GOING, ME, Effect, Exec, PlanDef, Refused, StepExec, World, iso, present

Query = dict[str, list[str]]
Answer = tuple[int, Any, dict[str, str]]


class Routes(World):
    """One authorised request to its answer; Refused where the answer is an error."""

    schedules_need_environment = False
    plan_id_of_tasks = "plan"
    """What ``planId`` means in the list of task executions: ``plan`` or ``execution`` (not documented)."""
    order_ignored = False
    """The log comes newest first, whatever was asked for (not documented)."""
    log_limit = 100_000
    log_pending = 1
    """How often the file of a log is said not to be ready."""
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.invented: list[str] = []
        self.leaked: list[str] = []
        self.files: dict[str, tuple[bytes, int]] = {}

    def answer(self, method: str, path: str, query: Query, raw: bytes, body: Any, accept: str) -> Answer:
        found = shape(method, path)
        if found is None:
            raise self.invent(f"{method} {path}")
        template, ids = found[0], [unquote(i) for i in found[1]]
        if odd := wrong(method, template, query, raw, body):
            raise self.invent(f"{method} {path} with {odd}")
        with self.lock:
            status, answer, *headers = self._route(method, template, ids, query, body, accept)
            return status, answer, headers[0] if headers else {}

    def invent(self, what: str) -> Refused:
        """The refusal of what is documented nowhere; it is remembered."""
        self.invented.append(what)
        return Refused(500, f"not documented: {what}")

    def _route(self, method: str, path: str, ids: list[str], query: Query, body: Any, accept: str) -> Any:
        match method, path.replace("/orchestration/executables/", "o:").replace("/processing/", "p:"):
            case "GET", "/orchestration/environments":
                return 200, [
                    {"id": i, "name": n, "default": False, "maxCloudContainers": 2}
                    for i, n in self.environments.items()
                ]
            case "GET", "/orchestration/workspaces":
                return 200, [self._workspace(i) for i in self.workspaces]
            case "GET", "o:tasks":
                found = [t for t in self.tasks.values() if self._placed(t.workspace, query)]
                return self._page([t.id for t in found], query, self._task_item)
            case "GET", "o:tasks/{}":
                return 200, self._task(ids[0])
            case "GET", "o:plans":
                wanted = query.get("planId", [""])[0]
                some = [
                    p
                    for p in self.plans.values()
                    if (not wanted or p.id == wanted) and self._placed(p.workspace, query)
                ]
                return self._page(some, query, self._plan)
            case "GET", "o:tasks/{}/run-config" | "o:plans/{}/run-config":
                trigger = self._def(path, ids[0]).trigger
                if trigger is None:
                    raise Refused(404, "no run configuration")
                return 200, {"trigger": trigger, "runtime": {"type": "REMOTE_ENGINE", "id": "engine-1"}}
            case "GET", "o:tasks/{}/schedule" | "o:plans/{}/schedule":
                of = self._def(path, ids[0]).id
                return 200, next(
                    (s for s in self.schedules if s.get("executableId") == of), {"id": "none", "triggers": []}
                )
            case "PUT", "o:tasks/{}/pause" | "o:plans/{}/pause":
                return self._pause(self._def(path, ids[0]), body)
            case "POST", "o:events/search":
                found_e = [
                    {k: v for k, v in e.items() if k != "environmentId"}
                    for e in self.events
                    if e.get("environmentId", "env-1") == body["environmentId"]
                    and body.get("from", 0) <= e["date"] <= body["to"]
                ]
                return self._page(found_e, {k: [str(body[k])] for k in ("limit", "offset") if k in body})
            case "GET", "/orchestration/schedules":
                wanted = query.get("environmentId", [""])[0]
                if self.schedules_need_environment and not wanted:
                    raise Refused(400, "environmentId is needed")
                return self._page([s for s in self.schedules if not wanted or s["environmentId"] == wanted], query)
            case "GET", "p:runtimes/remote-engines":
                return 200, list(self.engines)
            case "GET", "p:executables/tasks/executions":
                return self._list("task", "", query)
            case "GET", "p:executables/plans/executions":
                return self._list("plan", "", query)
            case "GET", "p:executables/tasks/{}/executions":
                self._def("tasks", ids[0])
                return self._list("task", ids[0], query)
            case "GET", "p:executables/plans/{}/executions":
                self._def("plans", ids[0])
                return self._list("plan", ids[0], query)
            case "POST", "p:executions":
                return self._start_task(body)
            case "POST", "p:executions/plans":
                return self._start_plan(body)
            case "GET", "p:executions/plans/{}":
                return 200, self._plan_run(self._exec("plan", ids[0]), alone=True)
            case "GET", "p:executions/plans/{}/steps":
                return 200, [self._step(s) for s in self._exec("plan", ids[0]).steps]
            case "GET", "p:executions/{}":
                return 200, self._task_run(self._exec("task", ids[0]), alone=True)
            case "DELETE", "p:executions/{}":
                if "json" in accept:
                    raise Refused(406, "Not Acceptable")
                return self._stop(self._exec("task", ids[0]))
            case "GET", "/monitoring/executions/{}/logs":
                return self._log_page(self._exec("task", ids[0]), query)
            case "POST", "/monitoring/executions/{}/logs":
                return self._log_file(self._exec("task", ids[0]), query)
            case "POST", "/monitoring/executions/{}/logs/status":
                return self._log_status(body)
            case "GET", "/monitoring/observability/executions/{}/component":
                run = self._exec("task", ids[0])
                if not run.components:
                    raise Refused(404, "no metrics")
                limit, offset = self._limits(query, 200, 50)
                some = run.components[offset : offset + limit]
                metrics = {"items": some, "limit": limit, "offset": offset, "total": len(run.components)}
                return 200, {"task_id": run.of, "task_execution_id": run.id, "metrics": metrics}
        raise Refused(500, f"documented and not served here: {method} {path}")

    # --- things -----------------------------------------------------------------------------------------------------

    def _def(self, path: str, ident: str) -> Any:
        found = (self.tasks if "tasks" in path else self.plans).get(ident)
        if found is None:
            raise Refused(404, "there is no such executable")
        return found

    def _exec(self, kind: str, ident: str) -> Exec:
        found = self.execs.get(ident)
        if found is None or found.kind != kind or found.hidden:
            raise Refused(404, "there is no such execution")
        return found

    def _workspace(self, ident: str) -> dict[str, Any]:
        name, env = self.workspaces[ident]
        place = {"id": env, "name": self.environments[env], "default": False}
        return {"id": ident, "name": name, "type": "shared", "owner": "ops", "environment": place}

    def _placed(self, workspace: str, query: Query) -> bool:
        env = query.get("environmentId", [""])[0]
        place = query.get("workspaceId", [""])[0]
        return (not env or self.workspaces[workspace][1] == env) and (not place or workspace == place)

    def _task_item(self, ident: str) -> dict[str, Any]:
        task = self.tasks[ident]
        return {
            "executable": ident,
            "name": task.name,
            "workspace": self._workspace(task.workspace),
            "artifactId": f"art-{ident}",
            "runtime": {"type": "REMOTE_ENGINE", "id": task.runtime},
            "taskPauseDetails": {"pause": task.paused},
        }

    def _task(self, ident: str) -> dict[str, Any]:
        task = self._def("tasks", ident)
        paused = {"pause": task.paused, "pauseContext": "why", "user": "bea", "userType": "HUMAN"}
        return {
            "id": ident,
            "name": task.name,
            "version": "0.1",
            "artifact": {"id": f"art-{ident}", "name": task.name, "version": "0.1.0"},
            "workspace": self._workspace(task.workspace),
            "tags": list(task.tags),
            "parameters": {},
            "taskPauseDetails": paused if task.paused else {"pause": False},
        }

    def _plan(self, plan: PlanDef) -> dict[str, Any]:
        chart: dict[str, Any] | None = None
        for ident, name, tasks in reversed(plan.steps):
            flows = [{"id": t, "name": self.tasks[t].name} for t in tasks]
            chart = present({"id": ident, "name": name, "flows": flows, "taskIds": list(tasks), "nextStep": chart})
        return {
            "executable": plan.id,
            "name": plan.name,
            "workspace": self._workspace(plan.workspace),
            "chart": chart,
            "planPauseDetails": {"pause": plan.paused},
        }

    def _task_run(self, run: Exec, *, alone: bool = False) -> dict[str, Any]:
        plan = None if run.plan_execution is None else self.execs[run.plan_execution]
        shown = None
        if plan is not None:
            shown = plan.id if alone or self.plan_id_of_tasks == "execution" else plan.of
        found = {
            "executionId": run.id,
            "taskId": None if alone else run.of,
            "jobId": run.of if alone else None,
            "taskVersion": "0.1",
            "planId": shown,
            "executionType": run.type,
            "status": COARSE.get(run.word, run.word.lower()),
            "executionStatus": run.word,
            "triggerTimestamp": iso(run.trigger),
            "startTimestamp": iso(run.start),
            "finishTimestamp": iso(run.finish),
            "userId": run.user,
            "userType": "HUMAN",
            "errorMessage": run.error,
            "misfiredExecutionReason": run.misfired,
        }
        if alone:
            found |= {"numberOfProcessedRows": run.rows, "numberOfRejectedRows": run.rejected}
        return present(found)

    def _plan_run(self, run: Exec, *, alone: bool = False) -> dict[str, Any]:
        inner = [self.execs[t] for s in run.steps for t in s.tasks]
        done = [t for t in inner if not t.going]
        found = {
            "executionId": run.id,
            "planId": run.of,
            "executionType": run.type,
            "status": COARSE.get(run.word, run.word.lower()),
            "executionStatus": run.word,
            "startTimestamp": iso(run.start or run.trigger),
            "triggerTimestamp": iso(run.trigger),
            "finishTimestamp": iso(run.finish),
            "userId": run.user,
            "misfiredExecutionReason": run.misfired,
            "plannedExecutableCount": sum(len(s[2]) for s in self.plans[run.of].steps),
            "doneExecutableCount": len(done),
        }
        if alone:
            found["doneExecutableDetails"] = [self._task_run(t, alone=True) for t in done]
        return present(found)

    def _step(self, step: StepExec) -> dict[str, Any]:
        shown = {"id": step.id, "executionId": step.execution if step.start else None}
        shown |= {"startTimestamp": iso(step.start), "finishTimestamp": iso(step.finish)}
        return present(shown | {"executionStatus": step.word}, ("executionStatus",))

    # --- lists ------------------------------------------------------------------------------------------------------

    def _limits(self, query: Query, most: int = 100, default: int = 100) -> tuple[int, int]:
        limit, offset = int(query.get("limit", [str(default)])[0]), int(query.get("offset", ["0"])[0])
        if not 1 <= limit <= most or offset < 0:
            raise Refused(400, f"limit must be in range [1, {most}]")
        return limit, offset

    def _page(self, items: list[Any], query: Query, show: Callable[[Any], Any] = lambda one: one) -> Any:
        limit, offset = self._limits(query)
        some = [show(one) for one in items[offset : offset + limit]]
        return 200, {"items": some, "limit": limit, "offset": offset, "total": len(items)}

    def _list(self, kind: str, of: str, query: Query) -> Any:
        """Newest trigger first. A time is compared with the trigger alone; ``lastDays`` overrides ``from`` and ``to``."""
        days = int(query.get("lastDays", ["60"])[0])
        if not 1 <= days <= 60:
            raise Refused(400, "lastDays must be in range [1, 60]")
        status = query.get("status", [""])[0]
        low = self.now() - timedelta(days=days)
        defs: Any = self.tasks if kind == "task" else self.plans
        found = [
            e
            for e in self.execs.values()
            if e.kind == kind
            and not e.hidden
            and not e.vanished
            and (not of or e.of == of)
            and e.trigger >= low
            and (not status or COARSE.get(e.word, e.word.lower()) == status)
            and self._placed(defs[e.of].workspace, query)
        ]
        found.sort(key=lambda e: e.trigger, reverse=True)
        show = self._task_run if kind == "task" else self._plan_run
        return self._page(found, query, show)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _did(self, what: str, of: str, **detail: Any) -> bool:
        """True where the change is to be made; on the day that it only says so, it is not."""
        if self.mode == "noop":
            return False
        self.effects.append(Effect(what, of, detail))
        return True

    def _pause(self, thing: Any, body: Any) -> Any:
        if thing.paused == body["pause"]:
            return 204, None
        if self._did("pause" if body["pause"] else "resume", thing.id):
            thing.paused = body["pause"]
        return 202, None

    def _start_task(self, body: Any) -> Any:
        task = self._def("tasks", body["executable"])
        if task.paused:
            raise Refused(405, "the task is paused")
        if task.trigger is None:
            raise Refused(501, "the task is not configured")
        ident = str(uuid.uuid4())
        if self._did("start", task.id, **body):
            busy = any(e.of == task.id and e.going for e in self.execs.values())
            made = Exec(
                str(uuid.uuid4()) if task.service else ident,
                "task",
                task.id,
                "EXECUTION_EVENT_RECEIVED",
                "MANUAL",
                self.now(),
                lasts=20,
                body=dict(body),
                hidden=2 if task.service else 0,
            )
            if busy and not task.parallel:
                made.word, made.misfired = "EXECUTION_FAILED", "PARALLEL_EXECUTION_FORBIDDEN"
            self.execs[made.id] = made
        return 201, {"executionId": ident}

    def _start_plan(self, body: Any) -> Any:
        plan = self._def("plans", body["executable"])
        if plan.paused:
            raise Refused(405, "the plan is paused")
        first = 0
        if "executionPlanId" in body:
            old = self.execs.get(body["executionPlanId"])
            places = [s.execution for s in old.steps] if old is not None else []
            if old is None or old.of != plan.id or old.word != "EXECUTION_FAILED" or body.get("stepId") not in places:
                raise Refused(422, "too old or plan exec didn't fail")
            first = places.index(body["stepId"])
        ident = str(uuid.uuid4())
        if self._did("rerun" if "stepId" in body else "start", plan.id, **body):
            made = Exec(ident, "plan", plan.id, "STARTED", "MANUAL", self.now(), start=self.now(), body=dict(body))
            made.steps = [StepExec(sid, str(uuid.uuid4())) for sid, _, _ in plan.steps[first:]]
            self.execs[ident] = made
            self.begin_step(made, made.steps[0])
        return 201, {"executionId": ident}

    def _stop(self, run: Exec) -> Any:
        if not run.going:
            raise Refused(409, "the execution has ended")
        if self._did("stop", run.id):
            run.word = "STOPPING_FLOW_EXECUTION"
        return 204, None

    # --- logs -------------------------------------------------------------------------------------------------------

    def _log_page(self, run: Exec, query: Query) -> Any:
        count, start = int(query.get("count", ["50"])[0]), int(query.get("startIndex", ["0"])[0])
        if not 1 <= count <= 200:
            raise Refused(400, "count must be in range [1, 200]")
        if not run.lines:
            raise Refused(404, "no logs")
        lines = list(run.lines)
        if self.order_ignored or query.get("order", ["DESC"])[0] != "ASC":
            lines.reverse()
        some = lines[start : start + count]
        data = [{"logTimestamp": at, "severity": level, "logMessage": text} for at, level, text in some]
        more = {"nextIndex": start + count} if start + count < len(lines) else {}
        return 200, {"data": data, **more}

    def _log_file(self, run: Exec, query: Query) -> Any:
        lines = list(run.lines)
        if until := query.get("endTime", [""])[0]:
            lines = [line for line in lines if _stamp(line[0]) <= until]
        part = lines[-self.log_limit :]
        token = f"log-{uuid.uuid4().hex}"
        text = "".join(f"{_stamp(at)} [{level}] {message}\n" for at, level, message in part)
        self.files[token] = text.encode(), self.log_pending
        if len(lines) > self.log_limit:
            before = lines[-self.log_limit - 1][0]
            return 206, {"size": len(part), "token": token}, {"X-Log-Next-Request-End-Time": _stamp(before)}
        return 200, {"size": len(part), "token": token}

    def _log_status(self, body: Any) -> Any:
        token = body["token"]
        if token not in self.files:
            raise Refused(404, "no such token")
        data, pending = self.files[token]
        if pending > 0:
            self.files[token] = data, pending - 1
            return 200, {"status": "IN_PROGRESS"}
        return 200, {"status": "DONE", "presignedUrl": f"{self.url}/presigned/{token}?X-Signature=abc"}


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["GOING", "ME", "Answer", "Query", "Routes"]
