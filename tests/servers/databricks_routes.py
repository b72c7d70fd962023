"""The answers of a server shaped like Databricks: the documented paths, parameters and body fields, and none beside them.

Anything else is 500 and stands in ``invented``, so that an endpoint that somebody made up cannot pass a test.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.servers.databricks_fields import BODIES, QUERIES, odd, odd_query
from tests.servers.databricks_state import Effect, Job, Pipe, Refused, Run, State, Task, Update, iso

Query = dict[str, list[str]]
Answer = tuple[int, Any]

_ROOTS = (
    ("/api/2.2/jobs/", "jobs/"),
    ("/api/2.0/pipelines", "pipelines"),
    ("/api/2.1/clusters/", "clusters/"),
    ("/api/2.0/permissions/", "permissions/"),
)
_PAUSABLE = ("schedule", "trigger", "continuous")


class Routes(State):
    def __init__(self) -> None:
        super().__init__()
        self.mode: str | None = None
        self.invented: list[str] = []
        self.short_pages = True
        """Every second page holds one item fewer than was asked for, with more to come."""
        self.groups: list[str] = ["users"]
        self.me = "ops@example.com"
        self.no_pipelines: int = 0
        """Status with which pipelines may not be listed."""

    # --- which question ---------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Query, body: Any) -> Answer:
        name, ident = _name(path)
        known = {"GET": QUERIES, "POST": BODIES}.get(method, {})
        if name not in known:
            return self._invent(f"{method} {path}")
        strange = list(odd_query(query, known[name] if method == "GET" else {}))
        if method == "POST":
            strange += odd({} if body is None and not known[name] else body, known[name])
        elif body is not None:
            strange.append("body")
        if strange:
            return self._invent(f"{method} {path} with {', '.join(strange)}")
        one = {k: v[-1] for k, v in query.items()}
        with self.lock:
            match (method, name):
                case ("GET", "jobs/list"):
                    return 200, self._jobs(one)
                case ("GET", "jobs/get"):
                    return 200, self._job(one)
                case ("GET", "jobs/runs/list"):
                    return 200, self._runs(one)
                case ("GET", "jobs/runs/get"):
                    return 200, self._run(one)
                case ("GET", "jobs/runs/get-output"):
                    return 200, self._output(one)
                case ("GET", "clusters/list"):
                    return 200, self._clusters(one, query.get("filter_by.cluster_sources", []))
                case ("GET", "me"):
                    return 200, {
                        "id": "42", "userName": self.me, "active": True, "groups": [{"display": g} for g in self.groups],
                    }  # fmt: skip
                case ("GET", "permissions/jobs/*" | "permissions/pipelines/*" | "permissions/clusters/*"):
                    return 200, self._permissions(name.split("/")[1], ident)
                case ("GET", _):
                    return self._pipelines(name, ident, one)
                case _:
                    return 200, self._change(name, ident, body or {})

    def _invent(self, what: str) -> Answer:
        self.invented.append(what)
        return 500, {"error_code": "INVENTED", "message": f"nothing like this is documented: {what}"}

    def _page(self, items: list[Any], size: int, one: dict[str, str]) -> tuple[list[Any], dict[str, Any]]:
        """Items after those that the token names as given out; it is good for the same question only."""
        asked = {k: v for k, v in one.items() if k != "page_token"}
        at, number = 0, 0
        if "page_token" in one:
            try:
                was, at, number = json.loads(base64.b64decode(one["page_token"]))
            except (ValueError, TypeError):
                raise Refused(400, "INVALID_PARAMETER_VALUE", "Invalid page token") from None
            if was != asked:
                raise Refused(400, "INVALID_PARAMETER_VALUE", "Page token does not match the request parameters")
        if self.short_pages and number % 2 and size > 1:
            size -= 1
        page, left = items[at : at + size], len(items) > at + size
        if not left:
            return page, {"has_more": False}
        token = base64.b64encode(json.dumps([asked, at + size, number + 1]).encode()).decode()
        return page, {"has_more": True, "next_page_token": token}

    # --- jobs -------------------------------------------------------------------------------------------------------

    def _jobs(self, one: dict[str, str]) -> Any:
        size = int(one.get("limit", "20"))
        if not 0 < size <= 100:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "limit must be between 1 and 100")
        found = sorted(self.jobs.values(), key=lambda j: -j.id)
        page, more = self._page(found, size, one)
        shown = [self._show_job(j, 100 if one.get("expand_tasks") == "true" else 0) for j in page]
        return more | ({"jobs": shown} if shown else {})

    def _show_job(self, job: Job, tasks: int) -> dict[str, Any]:
        settings = {k: v for k, v in job.settings.items() if k != "tasks"}
        out: dict[str, Any] = {
            "job_id": job.id, "created_time": job.created, "creator_user_name": job.creator, "settings": settings,
        }  # fmt: skip
        if tasks:
            settings["tasks"] = job.settings["tasks"][:tasks]
            if len(job.settings["tasks"]) > tasks:
                out["has_more"] = True
        return out

    def _job(self, one: dict[str, str]) -> Any:
        job = self.job_of(one.get("job_id"))
        page, more = self._page(job.settings["tasks"], 100, one)
        out = self._show_job(job, 0)
        if "page_token" in one:
            out["settings"] = {}
        out["settings"]["tasks"] = page
        return out | {k: v for k, v in more.items() if k == "next_page_token"}

    def job_of(self, ident: Any) -> Job:
        job = self.jobs.get(int(ident)) if str(ident).isdigit() else None
        if job is None:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Job {ident} does not exist.")
        return job

    # --- runs -------------------------------------------------------------------------------------------------------

    def _runs(self, one: dict[str, str]) -> Any:
        size = int(one.get("limit", "20"))
        if size >= 25:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Limit must be less than 25")
        if one.get("active_only") == "true" and one.get("completed_only") == "true":
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Only one of active_only and completed_only")
        found = sorted(self.runs.values(), key=lambda r: (-r.start, -r.id))
        if one.get("active_only") == "true":
            found = [r for r in found if r.active]
        if one.get("completed_only") == "true":
            found = [r for r in found if r.life in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")]
        if "job_id" in one:
            found = [r for r in found if str(r.job) == one["job_id"]]
        if "run_type" in one:
            found = [r for r in found if r.run_type == one["run_type"]]
        if "start_time_from" in one:
            found = [r for r in found if r.start >= int(one["start_time_from"])]
        if "start_time_to" in one:
            found = [r for r in found if r.start <= int(one["start_time_to"])]
        page, more = self._page(found, size or 24, one)
        shown = [self.show_run(r) for r in page]
        return more | ({"runs": shown} if shown else {})

    def show_run(self, run: Run) -> dict[str, Any]:
        out: dict[str, Any] = {
            "run_id": run.id, "run_name": run.name, "run_type": run.run_type, "trigger": run.trigger,
            "number_in_job": run.id, "original_attempt_run_id": run.id, "start_time": run.start, "end_time": run.end,
            "setup_duration": 0, "execution_duration": 0, "cleanup_duration": 0,
            "run_duration": run.end - run.start if run.end else 0, "creator_user_name": run.creator,
            "run_page_url": f"https://adb.example.com/?o=1#job/{run.job}/run/{run.id}", "format": "MULTI_TASK",
            **_state(run.life, run.result, run.message, run.code, run.type, run.queue_code, run.status),
        }  # fmt: skip
        if run.job is not None:
            out["job_id"] = run.job
        if run.params:
            out["job_parameters"] = [{"name": k, "default": "", "value": v} for k, v in run.params.items()]
        if run.overriding:
            out["overriding_parameters"] = run.overriding
        return out

    def show_task(self, task: Task) -> dict[str, Any]:
        return {
            "run_id": task.id, "task_key": task.key, f"{task.kind}_task": {}, "start_time": task.start,
            "end_time": task.end, "attempt_number": task.attempt,
            **({"depends_on": [{"task_key": a} for a in task.after]} if task.after else {}),
            **_state(task.life, task.result, task.message, None, "", None, True),
        }  # fmt: skip

    def run_of(self, ident: Any) -> Run:
        run = self.runs.get(int(ident)) if str(ident).isdigit() else None
        if run is None:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Run {ident} does not exist.")
        return run

    def _run(self, one: dict[str, str]) -> Any:
        task = self.task_of(one.get("run_id"))
        if task is not None:
            return self.show_task(task)
        run = self.run_of(one.get("run_id"))
        page, more = self._page([self.show_task(t) for t in run.tasks], 100, one)
        out = self.show_run(run) | {"tasks": page}
        if "page_token" in one:
            out.pop("job_parameters", None)  # lists without more of them are empty on later pages
        if one.get("include_history") == "true":
            out["repair_history"] = [] if "page_token" in one else run.repairs
        return out | {k: v for k, v in more.items() if k == "next_page_token"}

    def task_of(self, ident: Any) -> Task | None:
        return next((t for r in self.runs.values() for t in r.tasks if str(t.id) == str(ident)), None)

    def _output(self, one: dict[str, str]) -> Any:
        task = self.task_of(one.get("run_id"))
        if task is None:
            self.run_of(one.get("run_id"))
            what = "Retrieving the output of runs with multiple tasks is not supported."
            raise Refused(400, "INVALID_PARAMETER_VALUE", what)
        out: dict[str, Any] = {"metadata": self.show_task(task)}
        if task.kind not in ("notebook", "pipeline", "spark_submit"):
            out |= {"logs": task.logs, "logs_truncated": task.truncated}
        elif task.kind == "notebook" and task.end:
            out["notebook_output"] = {"result": task.output, "truncated": task.truncated} if task.output else {}
        return out | {k: v for k, v in (("error", task.error), ("error_trace", task.trace)) if v and task.end}

    # --- pipelines, clusters, rights --------------------------------------------------------------------------------

    def pipe_of(self, ident: str) -> Pipe:
        if ident not in self.pipes:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"The specified pipeline {ident} was not found.")
        return self.pipes[ident]

    def _pipelines(self, name: str, ident: str, one: dict[str, str]) -> Answer:
        if self.no_pipelines:
            raise Refused(self.no_pipelines, "PERMISSION_DENIED", "no pipelines for you")
        size = int(one.get("max_results", "25"))
        if size > 100:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "max_results must be at most 100")
        if name == "pipelines":
            page, more = self._page(list(self.pipes.values()), size, one)
            shown = [self._show_pipe(p) for p in page]
            return 200, _token(more) | ({"statuses": shown} if shown else {})
        pipe = self.pipe_of(ident)
        if name == "pipelines/*":
            spec = {"spec": {"continuous": pipe.continuous, "name": pipe.name}}
            return 200, self._show_pipe(pipe) | spec
        if name == "pipelines/*/updates":
            page, more = self._page(pipe.updates, size, one)
            shown = [
                {
                    "pipeline_id": ident,
                    "update_id": u.id,
                    "state": u.state,
                    "creation_time": u.created,
                    "cause": u.cause,
                }
                for u in page
            ]
            return 200, _token(more) | ({"updates": shown} if shown else {})
        return 200, self._events(pipe, size, one)

    def _events(self, pipe: Pipe, size: int, one: dict[str, str]) -> Any:
        asked = {k: v for k, v in one.items() if k not in ("page_token", "max_results")}
        if "page_token" in one:
            if asked:
                raise Refused(400, "INVALID_PARAMETER_VALUE", "page_token excludes the other fields")
            try:
                asked, at = json.loads(base64.b64decode(one["page_token"]))
            except (ValueError, TypeError):
                raise Refused(400, "INVALID_PARAMETER_VALUE", "Invalid page token") from None
        else:
            at = 0
        found = list(pipe.events)
        if "filter" in asked:
            since = asked["filter"].partition(">")[2]
            same, since = since.startswith("="), since.lstrip("=").strip("'")
            found = [e for e in found if e["timestamp"] > since or (same and e["timestamp"] == since)]
        if asked.get("order_by") != "timestamp asc":
            found.reverse()
        out: dict[str, Any] = {"events": found[at : at + size]}
        if len(found) > at + size:
            out["next_page_token"] = base64.b64encode(json.dumps([asked, at + size]).encode()).decode()
        return out

    def _show_pipe(self, pipe: Pipe) -> dict[str, Any]:
        busy = next((u for u in pipe.updates if u.state not in ("COMPLETED", "FAILED", "CANCELED")), None)
        latest = [{"update_id": u.id, "state": u.state, "creation_time": iso(u.created)} for u in pipe.updates[:5]]
        return {
            "pipeline_id": pipe.id, "name": pipe.name, "state": "RUNNING" if busy else "IDLE", "health": pipe.health,
            "creator_user_name": self.me, "latest_updates": latest,
        }  # fmt: skip

    def _clusters(self, one: dict[str, str], sources: list[str]) -> Any:
        found = [c for c in self.clusters if not sources or c["cluster_source"] in sources]
        page, more = self._page(found, int(one.get("page_size", "20")), one)
        return _token(more) | ({"clusters": page} if page else {})

    def _permissions(self, kind: str, ident: str) -> Any:
        if kind == "jobs":
            levels = self.job_of(ident).levels
        else:
            levels = (
                self.pipe_of(ident).levels if kind == "pipelines" else self.cluster_of(ident) and self.cluster_levels
            )
        shown = [
            {"user_name": who, "all_permissions": [{"permission_level": level, "inherited": False}]}
            for who, level in levels.items()
        ]
        return {"object_id": f"/{kind}/{ident}", "object_type": kind[:-1], "access_control_list": shown}

    # --- changes ----------------------------------------------------------------------------------------------------

    def _change(self, name: str, ident: str, body: dict[str, Any]) -> Any:
        """A change that takes effect; with ``noop`` it only answers as if."""
        idle = self.mode == "noop"
        match name:
            case "jobs/run-now":
                return self._run_now(body, idle)
            case "jobs/runs/cancel":
                run = self.run_of(body.get("run_id"))
                if run.active and not idle:
                    run.life, run.result = "TERMINATING", None
                    self.effects.append(Effect("cancel", str(run.id)))
                return {}
            case "jobs/runs/repair":
                return {"repair_id": self._repair(body, idle)}
            case "jobs/update":
                return self._update_job(body, idle)
            case "clusters/start" | "clusters/restart" | "clusters/delete":
                return self.change_cluster(name.partition("/")[2], body.get("cluster_id"), idle)
            case "pipelines/*/updates":
                return self._start_update(self.pipe_of(ident), body, idle)
            case _:
                pipe = self.pipe_of(ident)
                for item in pipe.updates:
                    if item.state not in ("COMPLETED", "FAILED", "CANCELED") and not idle:
                        item.state = "STOPPING"
                        self.effects.append(Effect("stop-update", item.id))
                return {}

    def _run_now(self, body: dict[str, Any], idle: bool) -> Any:
        job = self.job_of(body.get("job_id"))
        mark = body.get("idempotency_token")
        if mark is not None and len(mark) > 64:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "idempotency_token is longer than 64")
        if mark is not None and mark in self.marks:
            return {"run_id": self.marks[mark], "number_in_job": self.marks[mark]}
        if idle:
            fake = self.fresh()
            return {"run_id": fake, "number_in_job": fake}
        declared = {p["name"]: p.get("default", "") for p in job.settings.get("parameters", ())}
        given = body.get("job_parameters") or {}
        if not all(isinstance(v, str) for v in given.values()):
            raise Refused(400, "MALFORMED_REQUEST", "job_parameters must be strings")
        busy = sum(r.active for r in self.runs.values() if r.job == job.id)
        full = busy >= job.settings.get("max_concurrent_runs", 1)
        life = ("QUEUED" if job.queue else "SKIPPED") if full else "PENDING"
        ident = self.add_run(job.id, life, trigger="ONE_TIME", params=declared | given, creator=self.me)
        run = self.runs[ident]
        if full and job.queue:
            run.queue_code = "MAX_CONCURRENT_RUNS_REACHED"
        elif full:
            run.result, run.end = "MAXIMUM_CONCURRENT_RUNS_REACHED", run.start
        if mark is not None:
            self.marks[mark] = ident
        self.effects.append(Effect("run-now", str(ident)))
        return {"run_id": ident, "number_in_job": ident}

    def _repair(self, body: dict[str, Any], idle: bool) -> int:
        run = self.run_of(body.get("run_id"))
        if run.active:
            raise Refused(400, "INVALID_STATE", "The run is in progress and cannot be repaired.")
        wanted, failed = body.get("rerun_tasks") or [], body.get("rerun_all_failed_tasks")
        if bool(wanted) == bool(failed):
            raise Refused(400, "INVALID_PARAMETER_VALUE", "Only one of rerun_tasks and rerun_all_failed_tasks")
        repairs = [r["id"] for r in run.repairs if "id" in r]
        if repairs and body.get("latest_repair_id") != repairs[-1]:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "latest_repair_id must be the id of the latest repair")
        now = self.latest(run)
        if failed:
            wanted = [t.key for t in now.values() if t.result != "SUCCESS"]
        unknown = [key for key in wanted if key not in now]
        if unknown:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Task {unknown[0]} does not exist in the run.")
        if body.get("rerun_dependent_tasks"):
            for key in wanted:
                wanted += [t.key for t in now.values() if key in t.after and t.key not in wanted]
        ident = self.fresh()
        if idle:
            return ident
        if not run.repairs:
            run.repairs.append({"type": "ORIGINAL", "task_run_ids": [t.id for t in run.tasks]})
        again = [Task(self.fresh(), k, now[k].kind, now[k].after, attempt=now[k].attempt + 1) for k in wanted]
        run.tasks += again
        run.repairs.append({"type": "REPAIR", "id": ident, "task_run_ids": [t.id for t in again]})
        run.life, run.result, run.end, run.code, run.message = "PENDING", None, 0, None, ""
        self.effects.append(Effect("repair", str(run.id)))
        return ident

    def _update_job(self, body: dict[str, Any], idle: bool) -> Any:
        """Top-level fields are replaced whole, ``triggers`` only without the older ones."""
        job, new = self.job_of(body.get("job_id")), body.get("new_settings") or {}
        if "triggers" in new and any(name in new for name in _PAUSABLE):
            raise Refused(400, "INVALID_PARAMETER_VALUE", "triggers cannot be set with schedule, trigger or continuous")
        schedule = new.get("schedule")
        if schedule is not None and not {"quartz_cron_expression", "timezone_id"} <= schedule.keys():
            raise Refused(
                400, "INVALID_PARAMETER_VALUE", "Missing required field: quartz_cron_expression or timezone_id"
            )
        if not idle:
            job.settings |= new
            self.effects.append(Effect("update", str(job.id)))
        return {}

    def _start_update(self, pipe: Pipe, body: dict[str, Any], idle: bool) -> Any:
        if any(u.state not in ("COMPLETED", "FAILED", "CANCELED") for u in pipe.updates):
            raise Refused(409, "RESOURCE_CONFLICT", "An active update already exists for the pipeline.")
        item = Update(
            "00000000-0000-4000-8000-000000000000", "CREATED", self.now(), "API_CALL", bool(body.get("full_refresh"))
        )
        if not idle:
            ident = self.add_update(pipe.id, "CREATED", cause="API_CALL")
            self.effects.append(Effect("update-now", ident))
            return {"update_id": ident}
        return {"update_id": item.id}


def _name(path: str) -> tuple[str, str]:
    """(``pipelines/*/updates``, id) of a path."""
    if path == "/api/2.0/preview/scim/v2/Me":
        return "me", ""
    for root, short in _ROOTS:
        if path.startswith(root):
            parts = (short + path.removeprefix(root)).split("/")
            if parts[0] == "pipelines" and len(parts) > 1:
                return "/".join(["pipelines", "*", *parts[2:]]), parts[1]
            if parts[0] == "permissions" and len(parts) == 3:
                return f"permissions/{parts[1]}/*", parts[2]
            return "/".join(parts), ""
    return path, ""


def _token(more: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in more.items() if k == "next_page_token"}


_CODES = {
    "SUCCESS": ("SUCCESS", "SUCCESS"), "FAILED": ("RUN_EXECUTION_ERROR", "CLIENT_ERROR"),
    "SUCCESS_WITH_FAILURES": ("SUCCESS_WITH_FAILURES", "SUCCESS"), "CANCELED": ("USER_CANCELED", "SUCCESS"),
    "TIMEDOUT": ("CANCELED", "CLIENT_ERROR"),
}  # fmt: skip


def _state(
    life: str, result: str | None, message: str, code: str | None, kind: str, queue: str | None, both: bool
) -> dict[str, Any]:
    """The older block, and beside it the newer one."""
    state: dict[str, Any] = {"life_cycle_state": life, "state_message": message, "user_cancelled_or_timedout": False}
    if result is not None:
        state["result_state"] = result
    if not both:
        return {"state": state}
    word = {"INTERNAL_ERROR": "TERMINATED", "SKIPPED": "TERMINATED", "WAITING_FOR_RETRY": "WAITING"}.get(life, life)
    status: dict[str, Any] = {"state": word}
    if word == "TERMINATED":
        known = _CODES.get(result or "", ("SKIPPED" if life == "SKIPPED" else "RUN_EXECUTION_ERROR", "CLIENT_ERROR"))
        status["termination_details"] = {"code": code or known[0], "type": kind or known[1], "message": message}
    if queue is not None:
        status["queue_details"] = {"code": queue, "message": "Queued due to a limit."}
    return {"state": state, "status": status}
