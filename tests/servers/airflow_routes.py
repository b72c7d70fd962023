"""The routes of a server shaped like Airflow 3, with the traps of the real one; see airflow_like."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from tests.servers.airflow_parts import Parts
from tests.servers.airflow_state import TERMINAL, TI_DONE, Dag, DagRun, Effect, Refused, Task, iso

Query = dict[str, list[str]]
Answer = tuple[int, Any]


class Routes(Parts):
    """One authorised request to its answer; Refused where the answer is an error."""

    page_limit = 100

    def answer(self, method: str, path: str, query: Query, body: Any) -> Answer:
        """One authorised request to its answer."""
        parts = [unquote(p) for p in path.split("/")[3:]]
        with self.lock:
            if (found := self.parts_answer(method, parts, query, body)) is not None:
                return found
            match method, parts:
                case "GET", ["dags"]:
                    dags = sorted(self.dags.values(), key=lambda d: d.dag_id)
                    return self._page("dags", [self.dag_json(d) for d in dags], query)
                case "GET", ["dags", dag_id]:
                    return 200, self.dag_json(self._dag(dag_id))
                case "PATCH", ["dags", dag_id]:
                    return self._patch_dag(self._dag(dag_id), query, body)
                case "GET", ["dags", dag_id, "dagRuns"]:
                    return self._page("dag_runs", [self.run_json(r) for r in self._select(dag_id, query)], query)
                case "POST", ["dags", dag_id, "dagRuns"]:
                    return self._trigger(self._dag(dag_id), body)
                case "GET", ["dags", dag_id, "dagRuns", run_id]:
                    return 200, self.run_json(self._run(dag_id, run_id))
                case "PATCH", ["dags", dag_id, "dagRuns", run_id]:
                    return self._patch_run(self._run(dag_id, run_id), query, body)
                case "POST", ["dags", dag_id, "dagRuns", run_id, "clear"]:
                    _fields(body, {"dry_run", "only_failed", "run_on_latest_version", "note", "only_new"})
                    run = self._run(dag_id, run_id)
                    some = [
                        t for t in run.tasks if not body.get("only_failed") or t.state in ("failed", "upstream_failed")
                    ]
                    if body.get("dry_run", True):
                        return 200, _many("task_instances", [self.ti_json(run, t) for t in some])
                    self._clear(run, some)
                    return 200, self.run_json(run)
                case "POST", ["dags", dag_id, "clearTaskInstances"]:
                    return self._clear_tasks(self._dag(dag_id), body)
                case "GET", ["dags", dag_id, "dagRuns", run_id, "taskInstances"]:
                    runs = [r for r in self.runs.values() if dag_id in ("~", r.dag_id) and run_id in ("~", r.run_id)]
                    if not runs and "~" not in (dag_id, run_id):
                        raise Refused(404, {"detail": f"DagRun with run ID: `{run_id}` was not found"})
                    states = query.get("state")
                    items = [
                        self.ti_json(r, t) for r in runs for t in r.tasks if not states or (t.state or "none") in states
                    ]
                    return self._page("task_instances", items, query)
                case "GET", ["dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *rest]:
                    return self._task_route(self._run(dag_id, run_id), task_id, rest, query)
        raise Refused(404, {"error": "API route not found"})

    def _task_route(self, run: DagRun, task_id: str, rest: list[str], query: Query) -> Answer:
        index = int(query.get("map_index", ["-1"])[0])
        match rest:
            case []:
                return 200, self.ti_json(run, self.task(run.dag_id, run.run_id, task_id))
            case ["tries"] | [_, "tries"]:
                task = self.task(run.dag_id, run.run_id, task_id, index if len(rest) == 1 else int(rest[0]))
                now = [] if task.state == "up_for_retry" else [self.ti_json(run, task)]
                past = [h | {"dag_id": run.dag_id, "dag_run_id": run.run_id} for h in task.history]
                return 200, _many("task_instances", past + now)
            case ["logs", number]:
                task = self.task(run.dag_id, run.run_id, task_id, index)
                return self._log_page(task, int(number), query)
            case [number] if number.lstrip("-").isdigit():
                return 200, self.ti_json(run, self.task(run.dag_id, run.run_id, task_id, int(number)))
        raise Refused(404, {"error": "API route not found"})

    def _log_page(self, task: Task, number: int, query: Query) -> Answer:
        if number != task.try_number and number not in {h["try_number"] for h in task.history}:
            raise Refused(404, {"detail": "TaskInstance not found"})
        lines = task.logs.get(number, [])
        start = 0
        if token := query.get("token", [""])[0]:
            try:
                start = int(json.loads(base64.urlsafe_b64decode(token))["log_pos"])
            except ValueError:
                raise Refused(
                    400, {"detail": "Bad Signature. Please use only the tokens provided by the API."}
                ) from None
        if number == 0 and task.state == "upstream_failed":
            lines = [{"timestamp": iso(task.end), "event": "Task did not run because upstream task(s) failed."}]
        head = [
            {"event": "::group::Log message source details"},
            {"event": f"/logs/task_id={task.task_id}/attempt={number}.log"},
            {"event": "::endgroup::"},
        ]
        going = number == task.try_number and task.state == "running"
        token = (
            base64.urlsafe_b64encode(json.dumps({"end_of_log": False, "log_pos": len(lines)}).encode()).decode()
            if going
            else None
        )
        return 200, {"content": (head if start == 0 else []) + lines[start:], "continuation_token": token}

    def _patch_dag(self, dag: Dag, query: Query, body: Any) -> Answer:
        _fields(body, {"is_paused"})
        if query.get("update_mask", ["is_paused"]) == ["is_paused"] and "is_paused" in body:
            if self.mode == "noop":
                return 200, self.dag_json(dag) | {"is_paused": body["is_paused"]}
            dag.paused = bool(body["is_paused"])
            self.effects.append(Effect("pause" if dag.paused else "unpause", dag.dag_id))
        return 200, self.dag_json(dag)

    def _trigger(self, dag: Dag, body: Any) -> Answer:
        _fields(
            body,
            {
                "dag_run_id",
                "logical_date",
                "conf",
                "note",
                "data_interval_start",
                "data_interval_end",
                "run_after",
                "partition_key",
            },
        )
        if "logical_date" not in body:
            raise Refused(
                422,
                {
                    "detail": [
                        {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": body}
                    ]
                },
            )
        if not isinstance(body.get("conf") or {}, dict):
            raise Refused(
                422,
                {
                    "detail": [
                        {"type": "dict_type", "loc": ["body", "conf"], "msg": "Input should be a valid dictionary"}
                    ]
                },
            )
        now = self.now()
        logical = None if body["logical_date"] is None else datetime.fromisoformat(body["logical_date"])
        run_id = body.get("dag_run_id") or f"manual__{now.isoformat()}"
        same_date = logical is not None and any(
            r.dag_id == dag.dag_id and r.logical == logical for r in self.runs.values()
        )
        if (dag.dag_id, run_id) in self.runs or same_date:
            message = "Serious error when handling your request. Check logs for more details"
            raise Refused(
                409, {"detail": {"reason": "Unique constraint violation", "statement": "hidden", "message": message}}
            )
        conf = dict(body.get("conf") or {})
        run = DagRun(
            dag.dag_id, run_id, "queued", "manual", now, logical, now, None, None, now, conf, self.fresh_tasks(dag)
        )
        if self.mode != "noop":
            self.runs[(dag.dag_id, run_id)] = run
            self.effects.append(
                Effect("trigger", dag.dag_id, run_id, {"conf": conf, "logical_date": body["logical_date"]})
            )
        return 200, self.run_json(run)

    def _patch_run(self, run: DagRun, query: Query, body: Any) -> Answer:
        _fields(body, {"state", "note"})
        if query.get("update_mask", ["state"]) != ["state"] or "state" not in body:
            return 200, self.run_json(run)
        if body["state"] not in ("queued", "success", "failed"):
            message = "Input should be 'queued', 'success' or 'failed'"
            raise Refused(
                422, {"detail": [{"type": "enum", "loc": ["body", "state"], "msg": message, "input": body["state"]}]}
            )
        if self.mode == "noop":
            return 200, self.run_json(run) | {"state": body["state"]}
        now = self.now()
        if body["state"] == "queued":
            self._clear(run, run.tasks)
        else:
            run.state, run.end, run.updated = body["state"], now, now
            for task in run.tasks:
                if task.state == "running":
                    task.state, task.end = body["state"], now
                elif task.state not in TI_DONE:
                    task.state = "skipped"
            self.effects.append(Effect(f"set-{body['state']}", run.dag_id, run.run_id))
        return 200, self.run_json(run)

    def _clear_tasks(self, dag: Dag, body: Any) -> Answer:
        known = (
            "dry_run start_date end_date only_failed only_running reset_dag_runs task_ids dag_run_id include_upstream"
        )
        _fields(
            body,
            {*known.split(), "include_downstream", "include_future", "include_past", "run_on_latest_version", "note"},
        )
        runs = [
            r for r in self.runs.values() if r.dag_id == dag.dag_id and body.get("dag_run_id", r.run_id) == r.run_id
        ]
        if not runs and "dag_run_id" in body:
            raise Refused(404, {"detail": f"Dag Run id {body['dag_run_id']} not found in dag {dag.dag_id}"})
        wanted = body.get("task_ids")
        done: list[dict[str, Any]] = []
        for run in runs:
            picked: list[Task] = []
            for task in run.tasks:
                if wanted is not None:
                    hit = any(w == task.task_id or w == [task.task_id, task.map_index] for w in wanted)
                    names = [w if isinstance(w, str) else w[0] for w in wanted]
                    below = any(n in dag.tasks and dag.tasks.index(n) < dag.tasks.index(task.task_id) for n in names)
                    if not hit and not (body.get("include_downstream") and below):
                        continue
                if body.get("only_failed", True) and task.state not in ("failed", "upstream_failed"):
                    continue
                picked.append(task)
            if not body.get("dry_run", True) and picked:
                self._clear(run, picked)
            done += [self.ti_json(run, t) for t in picked]
        return 200, _many("task_instances", done)

    def _clear(self, run: DagRun, tasks: list[Task]) -> None:
        if self.mode == "noop":
            return
        now = self.now()
        for task in tasks:
            self.remember(task)
            task.max_tries = task.try_number
            task.state = "restarting" if task.state == "running" else None
        if run.state in TERMINAL:
            run.state, run.start, run.end = "queued", None, None
        run.queued = run.updated = now
        self.effects.append(
            Effect("clear", run.dag_id, run.run_id, {"tasks": [(t.task_id, t.map_index) for t in tasks]})
        )

    def _select(self, dag_id: str, query: Query) -> list[DagRun]:
        if dag_id != "~":
            self._dag(dag_id)
        runs = [r for r in self.runs.values() if dag_id in ("~", r.dag_id)]
        if "state" in query:
            runs = [r for r in runs if r.state in query["state"]]
        if "run_type" in query:
            runs = [r for r in runs if r.run_type in query["run_type"]]
        for name, inside in (("gte", lambda a, b: a >= b), ("lte", lambda a, b: a <= b)):
            if bound := query.get(f"logical_date_{name}"):
                at = datetime.fromisoformat(bound[0])
                runs = [r for r in runs if r.logical is not None and inside(r.logical, at)]
        for name, get in (("updated_at", lambda r: r.updated), ("run_after", lambda r: r.run_after)):
            if since := query.get(f"{name}_gte"):
                runs = [r for r in runs if get(r) >= datetime.fromisoformat(since[0])]
        order = query.get("order_by", ["id"])[0]
        if order.lstrip("-") not in (
            "id",
            "state",
            "run_id",
            "run_after",
            "start_date",
            "end_date",
            "updated_at",
            "logical_date",
        ):
            raise Refused(
                400, {"detail": f"Ordering with '{order}' is disallowed or the attribute does not exist on the model"}
            )
        return sorted(runs, key=lambda r: (r.run_after, r.run_id), reverse=order.startswith("-"))

    def _page(self, name: str, items: list[dict[str, Any]], query: Query) -> Answer:
        limit = min(int(query.get("limit", ["50"])[0]), self.page_limit)
        offset = int(query.get("offset", ["0"])[0])
        if self.mode == "page2" and offset > 0:
            raise Refused(500, {"detail": {"reason": "Database error", "statement": "hidden", "orig_error": "hidden"}})
        return 200, _many(name, items[offset : offset + limit], len(items))

    def _dag(self, dag_id: str) -> Dag:
        if dag_id not in self.dags:
            raise Refused(404, {"detail": f"The Dag with ID: `{dag_id}` was not found"})
        return self.dags[dag_id]

    def _run(self, dag_id: str, run_id: str) -> DagRun:
        if (dag_id, run_id) not in self.runs:
            raise Refused(404, {"detail": f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"})
        return self.runs[(dag_id, run_id)]


def _many(name: str, items: list[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    return {
        name: items,
        "total_entries": len(items) if total is None else total,
        "next_cursor": None,
        "previous_cursor": None,
    }


def _fields(body: Any, known: set[str]) -> None:
    if not isinstance(body, dict):
        raise Refused(
            422,
            {
                "detail": [
                    {"type": "model_attributes_type", "loc": ["body"], "msg": "Input should be a valid dictionary"}
                ]
            },
        )
    wrong = [k for k in body if k not in known]
    if wrong:
        raise Refused(
            422,
            {
                "detail": [
                    {"type": "extra_forbidden", "loc": ["body", wrong[0]], "msg": "Extra inputs are not permitted"}
                ]
            },
        )
