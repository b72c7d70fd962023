"""A server shaped like Airflow 2.11, for tests: the world, the clock and the bad days of ``airflow_like``, spoken as ``/api/v1``.

With the traps of the real one: whoever is not known is answered 403 like whoever may not; unknown query parameters and unknown
body fields are 400; a dry run of ``clear`` (the default) answers with names alone; ``logical_date`` is never null; a log is the
``repr`` of a list in a string, its token says itself whether it ended, and a try that has not begun is answered with 200.
A path that it does not know is 500, so that no test passes on a call that is not in the real API.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from tests.servers.airflow_like import AirflowLike
from tests.servers.airflow_routes import Answer, Query
from tests.servers.airflow_state import Dag, DagRun, Effect, Refused, Task

_PAGE = {"limit", "offset", "order_by"}
_STAMPS = ("execution_date", "start_date", "end_date", "updated_at")
_RUNS = _PAGE | {"state"} | {f"{s}_{side}" for s in _STAMPS for side in ("gte", "lte")}
_TASKS = {"limit", "offset", "state", "pool", "queue"} | {
    f"{s}_{side}" for s in (*_STAMPS, "duration") for side in ("gte", "lte")
}
_ORDERS = {"id", "state", "dag_id", "dag_run_id", "execution_date", "start_date", "end_date", "updated_at", "conf"}
_CLEAR = set(
    [
        "dry_run",
        "start_date",
        "end_date",
        "only_failed",
        "only_running",
        "include_subdags",
        "include_parentdag",
        "reset_dag_runs",
        "task_ids",
        "dag_run_id",
        "include_upstream",
        "include_downstream",
        "include_future",
        "include_past",
    ]
)


class Airflow2Like(AirflowLike):
    """See the module. ``tokens`` are taken as Bearer beside Basic authentication; ``who`` notes how each request said who it is."""

    version = "2.11.2"
    unknown_is_401 = False
    """As some deployments answer; the one that was looked at says 403."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.who: list[str] = []
        self.datasets: dict[int, tuple[str, str, str]] = {}
        """id → URI, the DAG that makes it, the DAG that waits for it."""
        self.dataset_events: list[tuple[int, str, str, datetime]] = []
        """id, DAG and run that made it, when."""

    @property
    def secrets(self) -> list[str]:
        return [*super().secrets, self._pair(), *self.tokens]

    def _pair(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def route(self, method: str, path: str, query: Query, body: Any, authorization: str) -> Answer:
        self.who.append(authorization.partition(" ")[0])
        if path.startswith(("/api/v2/", "/auth/")):
            return 404, "<html><title>Airflow 404</title></html>"
        if (method, path) == ("GET", "/api/v1/version"):
            return 200, {"version": self.version, "git_version": ""}
        if (method, path) == ("GET", "/api/v1/health"):
            return 200, self.health()
        kind, _, value = authorization.partition(" ")
        if not (kind == "Basic" and value == self._pair()) and not (kind == "Bearer" and value in self.tokens):
            if self.unknown_is_401:
                raise _problem(401, "Unauthorized")
            raise _problem(403, "Forbidden")
        if self.forbid(method, path):
            raise _problem(403, "Forbidden")
        if not path.startswith("/api/v1/"):
            raise Refused(500, {"detail": f"the test server has no {method} {path}"})
        return self.answer(method, path, query, body)

    def answer(self, method: str, path: str, query: Query, body: Any) -> Answer:
        parts = [unquote(p) for p in path.split("/")[3:]]
        with self.lock:
            match method, parts:
                case "GET", ["dags"]:
                    _only(query, _PAGE | {"only_active", "paused", "tags", "fields", "dag_id_pattern"})
                    dags = sorted(self.dags.values(), key=lambda d: d.dag_id)
                    return self._page("dags", [self.dag_json(d) for d in dags], query)
                case "GET", ["dags", dag_id]:
                    return 200, self.dag_json(self._dag(dag_id))
                case "PATCH", ["dags", dag_id]:
                    _only(query, {"update_mask"})
                    _known(body, {"is_paused"})
                    return self._patch_dag(self._dag(dag_id), query, body)
                case "GET", ["dags", dag_id, "dagRuns"]:
                    _only(query, _RUNS)
                    return self._page("dag_runs", [self.run_json(r) for r in self._select(dag_id, query)], query)
                case "POST", ["dags", dag_id, "dagRuns"]:
                    return self._trigger(self._dag(dag_id), body)
                case "GET", ["dags", dag_id, "dagRuns", run_id]:
                    return 200, self.run_json(self._run(dag_id, run_id))
                case "PATCH", ["dags", dag_id, "dagRuns", run_id]:
                    _only(query, set())
                    _known(body, {"state"})
                    if body.get("state") not in ("queued", "success", "failed"):
                        raise _problem(
                            400, "Bad Request", f"{body.get('state')!r} is not one of ['success', 'failed', 'queued']"
                        )
                    return self._patch_run(self._run(dag_id, run_id), query, body)
                case "POST", ["dags", dag_id, "dagRuns", run_id, "clear"]:
                    _known(body, {"dry_run"})
                    run = self._run(dag_id, run_id)
                    if body.get("dry_run", True):
                        return 200, {"task_instances": [self._reference(run, t) for t in run.tasks]}
                    self._clear(run, run.tasks)
                    return 200, self.run_json(run) | ({"state": "queued"} if self.mode == "noop" else {})
                case "POST", ["dags", dag_id, "clearTaskInstances"]:
                    _known(body, _CLEAR)
                    return self._clear_tasks(self._dag(dag_id), body)
                case "GET", ["dags", dag_id, "dagRuns", run_id, "taskInstances"]:
                    _only(query, _TASKS)
                    runs = [r for r in self.runs.values() if dag_id in ("~", r.dag_id) and run_id in ("~", r.run_id)]
                    if not runs and "~" not in (dag_id, run_id):
                        raise _problem(404, "DAG Run not found")
                    states = query.get("state")
                    tasks = [(r, t) for r in runs for t in r.tasks if not states or (t.state or "none") in states]
                    return self._page("task_instances", [self.ti_json(r, t) for r, t in tasks], query)
                case "PATCH", ["dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *rest]:
                    _known(body, {"dry_run", "new_state"})
                    run = self._run(dag_id, run_id)
                    task = self._task(run, task_id, int(rest[0]) if rest else -1)
                    if not body.get("dry_run", True) and self.mode != "noop":
                        task.state, task.end = body["new_state"], self.now()
                        self.effects.append(Effect(f"mark-{task.state}", dag_id, run_id, {"task": task_id}))
                    return 200, {}
                case "GET", ["dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *rest]:
                    return self._task_route(self._run(dag_id, run_id), task_id, rest, query)
                case "GET", ["pools" | "importErrors" | "dagWarnings"]:
                    _only(query, _PAGE)
                    found = self.parts_answer(method, parts, query, body)
                    assert found is not None
                    return found
                case "GET", ["datasets"]:
                    _only(query, _PAGE)
                    return self._page("datasets", [self._dataset_json(i) for i in sorted(self.datasets)], query)
                case "GET", ["datasets", "events"]:
                    _only(query, _PAGE | {"dataset_id"})
                    return self._events(query)
        raise Refused(500, {"detail": f"the test server has no {method} {path}"})

    # --- routes -----------------------------------------------------------------------------------------------------

    def _task_route(self, run: DagRun, task_id: str, rest: list[str], query: Query) -> Answer:
        match rest:
            case []:
                if any(t.task_id == task_id and t.map_index >= 0 for t in run.tasks):
                    detail = "Task instance is mapped, add the map_index value to the URL"
                    raise _problem(404, "Task instance not found", detail)
                return 200, self.ti_json(run, self._task(run, task_id))
            case ["logs", number]:
                _only(query, {"full_content", "map_index", "token"})
                index = int(query.get("map_index", ["-1"])[0])
                return self._read_log(run, self._task(run, task_id, index), int(number), query.get("token", [""])[0])
            case ["tries"] | [_, "tries"]:
                task = self._task(run, task_id, int(rest[0]) if len(rest) == 2 else -1)
                now = [] if task.state == "up_for_retry" or not task.start else [self.ti_json(run, task)]
                tries = [*task.history, *now]
                return 200, {"task_instances": tries, "total_entries": len(tries)}
            case [index] if index.lstrip("-").isdigit():
                return 200, self.ti_json(run, self._task(run, task_id, int(index)))
        raise Refused(500, {"detail": f"the test server has no task route {rest}"})

    def _task(self, run: DagRun, task_id: str, index: int = -1) -> Task:
        for task in run.tasks:
            if (task.task_id, task.map_index) == (task_id, index):
                return task
        raise _problem(404, "TaskInstance not found")

    def _read_log(self, run: DagRun, task: Task, number: int, token: str) -> Answer:
        text = "\n".join(line for record in task.logs.get(number, []) for line in _lines(record))
        going = number == task.try_number and task.state in ("running", "deferred")
        where = f"/logs/dag_id={run.dag_id}/run_id={run.run_id}/task_id={task.task_id}/attempt={number}.log"
        found = f"*** Found local files:\n***   * {where}" if text else "*** Could not read served logs"
        head = f" INFO - ::group::Log message source details\n{found}\n INFO - ::endgroup::\n"
        if token:
            try:
                start = int(json.loads(_unpadded(token.partition(".")[0]))["log_pos"])
                assert token.endswith(".signed")
            except (ValueError, AssertionError):
                detail = "Bad Signature. Please use only the tokens provided by the API."
                raise _problem(400, "Bad Request", detail) from None
            said = text[start:]
        else:
            said = head + text
        after = json.dumps({"end_of_log": not going, "log_pos": len(text)}).encode()
        signed = base64.urlsafe_b64encode(after).decode().rstrip("=") + ".signed"
        return 200, {"content": str([("vm", said)]), "continuation_token": signed}

    def _trigger(self, dag: Dag, body: Any) -> Answer:
        _known(
            body,
            {
                "dag_run_id",
                "logical_date",
                "execution_date",
                "conf",
                "note",
                "data_interval_start",
                "data_interval_end",
            },
        )
        if "logical_date" in body and body["logical_date"] is None:
            raise _problem(400, "Bad Request", "{'logical_date': ['Field may not be null.']}")
        now = self.now()
        logical = datetime.fromisoformat(body["logical_date"]) if "logical_date" in body else now
        run_id = body.get("dag_run_id") or f"manual__{logical.isoformat()}"
        same = any(r.dag_id == dag.dag_id and r.logical == logical for r in self.runs.values())
        if (dag.dag_id, run_id) in self.runs or same:
            what = f"DAGRun with DAG ID: '{dag.dag_id}' and DAGRun ID: '{run_id}' already exists"
            raise _problem(409, "Conflict", what)
        conf = dict(body.get("conf") or {})
        run = DagRun(
            dag.dag_id, run_id, "queued", "manual", now, logical, now, None, None, now, conf, self.fresh_tasks(dag)
        )
        if self.mode != "noop":
            self.runs[(dag.dag_id, run_id)] = run
            detail = {"conf": conf, "logical_date": body.get("logical_date")}
            self.effects.append(Effect("trigger", dag.dag_id, run_id, detail))
        return 200, self.run_json(run)

    def _clear_tasks(self, dag: Dag, body: Any) -> Answer:
        run = self._run(dag.dag_id, body["dag_run_id"])
        wanted = body.get("task_ids")
        if wanted is not None and not all(isinstance(w, str) for w in wanted):
            raise _problem(400, "Bad Request", "{'task_ids': {0: ['Not a valid string.']}}")
        picked = [t for t in run.tasks if self._hit(dag, t, wanted, below=bool(body.get("include_downstream")))]
        if body.get("only_failed", True):
            picked = [t for t in picked if t.state in ("failed", "upstream_failed")]
        if not body.get("dry_run", True) and picked:
            self._clear(run, picked)
        return 200, {"task_instances": [self._reference(run, t) for t in picked]}

    @staticmethod
    def _hit(dag: Dag, task: Task, wanted: list[str] | None, *, below: bool) -> bool:
        if wanted is None or task.task_id in wanted:
            return True
        at = [dag.tasks.index(w) for w in wanted if w in dag.tasks]
        return below and any(i < dag.tasks.index(task.task_id) for i in at)

    def _select(self, dag_id: str, query: Query) -> list[DagRun]:
        if dag_id != "~":
            self._dag(dag_id)
        order = query.get("order_by", ["id"])[0]
        if order.lstrip("-") not in _ORDERS:
            raise _problem(400, "Bad Request", f"Ordering with '{order}' is disallowed or the attribute does not exist")
        runs = [r for r in self.runs.values() if dag_id in ("~", r.dag_id)]
        if "state" in query:
            runs = [r for r in runs if r.state in query["state"]]
        for name, attribute in zip(_STAMPS, ("logical", "start", "end", "updated"), strict=True):
            if since := query.get(f"{name}_gte"):
                floor = datetime.fromisoformat(since[0])
                runs = [r for r in runs if (at := getattr(r, attribute)) is not None and at >= floor]
        if order.lstrip("-") != "id":  # those of the world are in the order of their ids
            runs.sort(key=lambda r: (r.logical or r.run_after, r.run_id))
        return runs[::-1] if order.startswith("-") else runs

    def _page(self, name: str, items: list[dict[str, Any]], query: Query) -> Answer:
        status, found = super()._page(name, items, {"limit": ["100"], **query})
        return status, {name: found[name], "total_entries": found["total_entries"]}

    def _dag(self, dag_id: str) -> Dag:
        if dag_id not in self.dags:
            raise _problem(404, "DAG not found", f"The DAG with dag_id: {dag_id} was not found")
        return self.dags[dag_id]

    def _run(self, dag_id: str, run_id: str) -> DagRun:
        if (dag_id, run_id) not in self.runs:
            raise _problem(
                404, "DAGRun not found", f"DAGRun with DAG ID: '{dag_id}' and DagRun ID: '{run_id}' not found"
            )
        return self.runs[(dag_id, run_id)]

    def _events(self, query: Query) -> Answer:
        only = query.get("dataset_id")
        found = [e for e in self.dataset_events if only is None or str(e[0]) == only[0]]
        found.sort(key=lambda e: e[3], reverse=query.get("order_by", [""])[0] == "-timestamp")
        items = [
            {
                "id": number,
                "dataset_id": one,
                "dataset_uri": self.datasets[one][0],
                "source_dag_id": dag,
                "source_run_id": run,
                "source_task_id": "produce",
                "source_map_index": -1,
                "timestamp": at.isoformat(),
                "extra": {},
                "created_dagruns": [],
            }
            for number, (one, dag, run, at) in enumerate(found)
        ]
        return self._page("dataset_events", items, query)

    # --- JSON -------------------------------------------------------------------------------------------------------

    def dag_json(self, dag: Dag) -> dict[str, Any]:
        due = _iso(dag.next_run)
        interval = None if dag.schedule is None else {"__type": "CronExpression", "value": dag.schedule}
        return {
            "dag_id": dag.dag_id,
            "dag_display_name": dag.dag_id,
            "default_view": "grid",
            "description": f"{dag.dag_id} of the test",
            "fileloc": "/dags/flow.py",
            "has_import_errors": False,
            "is_active": True,
            "is_paused": dag.paused,
            "is_subdag": False,
            "max_active_runs": dag.max_active_runs,
            "max_active_tasks": 16,
            "next_dagrun": due,
            "next_dagrun_create_after": due,
            "next_dagrun_data_interval_end": due,
            "next_dagrun_data_interval_start": due,
            "owners": list(dag.owners),
            "schedule_interval": interval,
            "tags": [{"name": t} for t in dag.tags],
            "timetable_description": "Never, external triggers only" if interval is None else f"At {dag.schedule}",
        }

    def run_json(self, run: DagRun) -> dict[str, Any]:
        logical = _iso(run.logical or run.run_after)
        return {
            "conf": run.conf,
            "dag_id": run.dag_id,
            "dag_run_id": run.run_id,
            "data_interval_start": logical,
            "data_interval_end": logical,
            "start_date": _iso(run.start),
            "end_date": _iso(run.end),
            "execution_date": logical,
            "logical_date": logical,
            "external_trigger": run.run_type == "manual",
            "last_scheduling_decision": _iso(run.updated),
            "note": None,
            "run_type": run.run_type,
            "state": run.state,
        }

    def ti_json(self, run: DagRun | None, task: Task) -> dict[str, Any]:
        return {
            "dag_id": run.dag_id if run else None,
            "dag_run_id": run.run_id if run else None,
            "task_id": task.task_id,
            "map_index": task.map_index,
            "duration": None,
            "start_date": _iso(task.start),
            "end_date": _iso(task.end),
            "executor": None,
            "executor_config": "{}",
            "hostname": "vm" if task.start else "",
            "max_tries": task.max_tries,
            "note": None,
            "operator": "_PythonDecoratedOperator",
            "pool": "default_pool",
            "priority_weight": 1,
            "queued_when": _iso(task.queued),
            "rendered_fields": {},
            "state": task.state,
            "trigger": None,
            "try_number": task.try_number,
        }

    def _reference(self, run: DagRun, task: Task) -> dict[str, Any]:
        at = _iso(run.logical or run.run_after)
        return {"dag_id": run.dag_id, "dag_run_id": run.run_id, "execution_date": at, "task_id": task.task_id}

    def _dataset_json(self, number: int) -> dict[str, Any]:
        uri, maker, taker = self.datasets[number]
        return {
            "id": number,
            "uri": uri,
            "extra": {},
            "aliases": [],
            "producing_tasks": [{"dag_id": maker, "task_id": "produce"}] if maker else [],
            "consuming_dags": [{"dag_id": taker}] if taker else [],
            "updated_at": _iso(self.now()),
        }


def _lines(record: dict[str, Any]) -> list[str]:
    level = str(record.get("level", "info")).upper()
    lines = [f"[{record['timestamp']}] {{logging_mixin.py:190}} {level} - {record['event']}"]
    for part in record.get("error_detail", ()):
        lines += ["Traceback (most recent call last):", '  File "/dags/flow.py", line 12, in it']
        lines.append(f"{part['exc_type']}: {part['exc_value']}")
    return lines


def _problem(status: int, title: str, detail: str | None = None) -> Refused:
    return Refused(status, {"detail": detail, "status": status, "title": title, "type": "about:blank"})


def _only(query: Query, known: set[str]) -> None:
    if odd := sorted(query.keys() - known):
        raise _problem(400, "Bad Request", f"Extra query parameter(s) {','.join(odd)} not in spec")


def _known(body: Any, known: set[str]) -> None:
    if not isinstance(body, dict):
        raise _problem(400, "Bad Request", "Request body must not be empty")
    if odd := [k for k in body if k not in known]:
        raise _problem(400, "Bad Request", f"{{'{odd[0]}': ['Unknown field.']}}")


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
