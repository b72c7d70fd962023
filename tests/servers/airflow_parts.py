"""What the server shaped like Airflow 3 has beside runs: pools, import errors, warnings, assets, backfills, marked tasks.

In the shapes and with the traps of the real one: backfills are listed for one DAG only, a second active one is 409, a
schedule that is not periodic 422, a cancelled one leaves what was queued ``failed`` and itself paused, a marked task
clears what failed after it. A bulk change is answered as the real one does: it changes everything that matches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.servers.airflow_state import ACTIVE, TERMINAL, TI_DONE, Dag, DagRun, Effect, Refused, Task, World, iso

Query = dict[str, list[str]]
Answer = tuple[int, Any]


@dataclass
class Backfill:
    id: int
    dag_id: str
    first: datetime
    last: datetime
    reprocess: str
    at_once: int
    created: datetime
    paused: bool = False
    completed: datetime | None = None
    runs: list[str] = field(default_factory=list)


class Parts(World):
    """State and routes; mixed into the routes of runs."""

    def __init__(self) -> None:
        super().__init__()
        self.pools: list[dict[str, Any]] = []
        self.import_errors: list[dict[str, Any]] = []
        self.dag_warnings: list[dict[str, Any]] = []
        self.assets: list[dict[str, Any]] = []
        self.asset_events: list[dict[str, Any]] = []
        self.backfills: dict[int, Backfill] = {}
        self.beat_age_s: dict[str, float] = {}
        """Seconds since the last heartbeat, by component; a scheduler over 30 s says unhealthy."""
        self.add_pool("default_pool", 128)

    # --- for tests ----------------------------------------------------------------------------------------------

    def add_pool(self, name: str, slots: int, **used: int) -> None:
        """``running=3, queued=1 …``"""
        words = {f"{k}_slots": used.get(k, 0) for k in ("running", "queued", "scheduled", "deferred")}
        occupied = words["running_slots"] + words["queued_slots"]
        self.pools.append(
            {"name": name, "slots": slots, "occupied_slots": occupied, "open_slots": slots - occupied, **words}
        )

    def add_import_error(self, filename: str, trace: str, **more: Any) -> None:
        self.import_errors.append(
            {
                "import_error_id": len(self.import_errors) + 1,
                "filename": filename,
                "bundle_name": "dags-folder",
                "timestamp": iso(self.now()),
                "stack_trace": trace,
                **more,
            }
        )

    def add_warning(self, dag_id: str, message: str, kind: str = "non-existent pool") -> None:
        self.dag_warnings.append(
            {"dag_id": dag_id, "warning_type": kind, "message": message, "timestamp": iso(self.now())}
        )

    def add_asset(
        self,
        name: str,
        *,
        uri: str = "",
        producers: tuple[str, ...] = (),
        consumers: tuple[str, ...] = (),
        event: datetime | None = None,
        by: tuple[str, str] | None = None,
    ) -> None:
        number = len(self.assets) + 1
        last = None
        if event is not None:
            last = {"id": len(self.asset_events) + 1, "timestamp": iso(event)}
            dag, run = by or (None, None)
            self.asset_events.append(
                {
                    "id": last["id"],
                    "asset_id": number,
                    "source_dag_id": dag,
                    "source_run_id": run,
                    "timestamp": iso(event),
                }
            )
        self.assets.append(
            {
                "id": number,
                "name": name,
                "uri": uri or f"s3://lake/{name}",
                "group": "lake",
                "scheduled_dags": [{"dag_id": d} for d in consumers],
                "producing_tasks": [{"dag_id": d, "task_id": "t"} for d in producers],
                "consuming_tasks": [],
                "last_asset_event": last,
            }
        )

    # --- routes -------------------------------------------------------------------------------------------------

    def parts_answer(self, method: str, parts: list[str], query: Query, body: Any) -> Answer | None:
        """The answer where the route is one of these; None otherwise. Under the lock."""
        match method, parts:
            case "GET", ["pools"]:
                return self._listed("pools", self.pools, query)
            case "GET", ["importErrors"]:
                return self._listed("import_errors", self.import_errors, query)
            case "GET", ["dagWarnings"]:
                return self._listed("dag_warnings", self.dag_warnings, query)
            case "GET", ["assets"]:
                return self._listed("assets", self.assets, query)
            case "GET", ["assets", "events"]:
                return self._listed("asset_events", list(reversed(self.asset_events)), query)
            case "PATCH", ["dags"]:
                return self._pause_many(query, body)
            case "GET", ["backfills"]:
                if "dag_id" not in query:
                    missing = {"type": "missing", "loc": ["query", "dag_id"], "msg": "Field required", "input": None}
                    raise Refused(422, {"detail": [missing]})
                mine = [b for b in self.backfills.values() if b.dag_id == query["dag_id"][0]]
                if query.get("order_by", ["id"])[0] == "-id":
                    mine.reverse()
                return self._listed("backfills", [self.backfill_json(b) for b in mine], query)
            case "GET", ["backfills", number]:
                return 200, self.backfill_json(self._backfill(number))
            case "POST", ["backfills"]:
                return self._make(body)
            case "POST", ["backfills", "dry_run"]:
                would = [{"logical_date": iso(t), "partition_key": None} for t in self._ticks(*self._asked(body))]
                return 200, {"backfills": would, "total_entries": len(would)}
            case "PUT", ["backfills", number, word] if word in ("pause", "unpause", "cancel"):
                return self._change(self._backfill(number), word)
            case "PATCH", ["dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *rest]:
                run = self.runs.get((dag_id, run_id))
                if run is None:
                    raise Refused(404, {"detail": "The Task Instance was not found"})
                return self._mark(run, task_id, rest, query, body)
        return None

    def _listed(self, name: str, items: list[dict[str, Any]], query: Query) -> Answer:
        limit = min(int(query.get("limit", ["50"])[0]), 100)
        offset = int(query.get("offset", ["0"])[0])
        return 200, {name: items[offset : offset + limit], "total_entries": len(items)}

    def _pause_many(self, query: Query, body: Any) -> Answer:
        """Everything where no pattern is given, as the real one."""
        pattern = query.get("dag_id_pattern", ["%"])[0]
        hit = [d for d in self.dags.values() if pattern.replace("%", "") in d.dag_id]
        for dag in hit:
            dag.paused = bool(body["is_paused"])
            self.effects.append(Effect("bulk-pause", dag.dag_id))
        return 200, {"dags": [self.dag_json(d) for d in hit], "total_entries": len(hit)}

    # --- backfills ------------------------------------------------------------------------------------------------

    def backfill_json(self, b: Backfill) -> dict[str, Any]:
        return {
            "id": b.id,
            "dag_id": b.dag_id,
            "from_date": iso(b.first),
            "to_date": iso(b.last),
            "dag_run_conf": None,
            "is_paused": b.paused,
            "reprocess_behavior": b.reprocess,
            "max_active_runs": b.at_once,
            "created_at": iso(b.created),
            "completed_at": iso(b.completed),
            "updated_at": iso(b.created),
            "dag_display_name": b.dag_id,
        }

    def _backfill(self, number: str) -> Backfill:
        if not number.isdigit() or int(number) not in self.backfills:
            raise Refused(404, {"detail": "Backfill not found"})
        return self.backfills[int(number)]

    def _asked(self, body: Any) -> tuple[Dag, datetime, datetime, str]:
        dag = self.dags.get(body["dag_id"])
        if dag is None:
            raise Refused(404, {"detail": f"Could not find dag {body['dag_id']}"})
        if dag.schedule is None:
            raise Refused(422, {"detail": f"{dag.dag_id} has a non-periodic schedule that does not support backfills"})
        first, last = (datetime.fromisoformat(body[k].replace("Z", "+00:00")) for k in ("from_date", "to_date"))
        if first > last:
            raise Refused(422, {"detail": f"from_date ({first}) must not be after to_date ({last})."})
        return dag, first, last, body.get("reprocess_behavior", "none")

    def _ticks(self, dag: Dag, first: datetime, last: datetime, reprocess: str) -> list[datetime]:
        """One a day at 03:00 UTC, without those whose run stays."""
        at = first.replace(hour=3, minute=0, second=0, microsecond=0)
        out: list[datetime] = []
        while at <= last:
            had = next((r for r in self.runs.values() if r.dag_id == dag.dag_id and r.logical == at), None)
            again = had is not None and had.state in TERMINAL
            again = again and (reprocess == "completed" or (reprocess == "failed" and had.state == "failed"))
            if first <= at < self.now() and (had is None or again):
                out.append(at)
            at += timedelta(days=1)
        return out

    def _make(self, body: Any) -> Answer:
        known = {"dag_id", "from_date", "to_date", "run_backwards", "reprocess_behavior", "max_active_runs"}
        if wrong := [k for k in body if k not in known]:
            raise Refused(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", wrong[0]], "msg": "Extra"}]})
        dag, first, last, reprocess = self._asked(body)
        if any(b.dag_id == dag.dag_id and b.completed is None for b in self.backfills.values()):
            raise Refused(409, {"detail": f"There is already a running backfill for dag {dag.dag_id}"})
        ticks = self._ticks(dag, first, last, reprocess)
        one = Backfill(
            len(self.backfills) + 1, dag.dag_id, first, last, reprocess, body.get("max_active_runs", 10), self.now()
        )
        if self.mode == "noop":
            return 200, self.backfill_json(one)
        self.backfills[one.id] = one
        for at in ticks:
            had = next((r for r in self.runs.values() if r.dag_id == dag.dag_id and r.logical == at), None)
            name = had.run_id if had else f"backfill__{iso(at)}"
            self.runs[(dag.dag_id, name)] = DagRun(
                dag.dag_id, name, "queued", "backfill", at, at, self.now(), None, None, self.now(), {}, self.fresh_tasks(dag)
            )  # fmt: skip
            one.runs.append(name)
        self.effects.append(Effect("backfill", dag.dag_id, None, {"dates": [t.date().isoformat() for t in ticks]}))
        return 200, self.backfill_json(one)

    def _change(self, b: Backfill, word: str) -> Answer:
        if b.completed is not None:
            raise Refused(409, {"detail": "Backfill is already completed."})
        if self.mode == "noop":
            would = {"pause": {"is_paused": True}, "unpause": {"is_paused": False}}
            return 200, self.backfill_json(b) | would.get(word, {"completed_at": iso(self.now())})
        b.paused = word != "unpause"
        if word == "cancel":
            for name in b.runs:
                run = self.runs[(b.dag_id, name)]
                if run.state == "queued":
                    run.state, run.updated = "failed", self.now()
            b.completed = self.now()
        self.effects.append(Effect(f"backfill-{word}", b.dag_id, None, {"id": b.id}))
        return 200, self.backfill_json(b)

    def held(self, run: DagRun) -> bool:
        """Whether the scheduler leaves this queued run alone: of a paused backfill, or of one that has enough at work."""
        mine = next((b for b in self.backfills.values() if b.dag_id == run.dag_id and run.run_id in b.runs), None)
        if mine is None or run.state != "queued" or mine.completed is not None:
            return False
        busy = sum(self.runs[(mine.dag_id, name)].state == "running" for name in mine.runs)
        return mine.paused or busy >= mine.at_once

    def complete_backfills(self) -> None:
        """As the scheduler does now and then."""
        for b in self.backfills.values():
            if b.completed is None and not any(self.runs[(b.dag_id, name)].state in ACTIVE for name in b.runs):
                b.completed = self.now()

    # --- marks ----------------------------------------------------------------------------------------------------

    def _mark(self, run: DagRun, task_id: str, rest: list[str], query: Query, body: Any) -> Answer:
        dry = rest[-1:] == ["dry_run"]
        index = int(rest[0]) if rest and rest[0].lstrip("-").isdigit() else None
        found = [t for t in run.tasks if t.task_id == task_id and index in (None, t.map_index)]
        if not found:
            raise Refused(404, {"detail": "The Task Instance was not found"})
        state = body.get("new_state")
        if state not in ("success", "failed", "skipped"):
            message = f"Value error, '{state}' is not one of ['success', 'failed', 'skipped']"
            raise Refused(422, {"detail": [{"type": "value_error", "loc": ["body", "new_state"], "msg": message}]})
        hit = [t for t in found if t.state != state]
        if dry:
            return 200, {"task_instances": [self.ti_json(run, t) for t in hit], "total_entries": len(hit)}
        if query.get("update_mask", ["new_state"]) == ["new_state"] and self.mode != "noop":
            self._set(run, hit, state)
        said = [self.ti_json(run, t) | ({"state": state} if self.mode == "noop" else {}) for t in found]
        return 200, {"task_instances": said, "total_entries": len(said)}

    def _set(self, run: DagRun, tasks: list[Task], state: str) -> None:
        now = self.now()
        for task in tasks:
            task.state, task.end = state, now
        names = {t.task_id for t in tasks}
        dag = self.dags[run.dag_id]
        last = max(dag.tasks.index(name) for name in names) if names else len(dag.tasks)
        after = [t for t in run.tasks if dag.tasks.index(t.task_id) > last and t.state in ("failed", "upstream_failed")]
        for task in after:
            self.remember(task)
            task.state = None
        if after and run.state in TERMINAL and all(t.state in TI_DONE or t in after for t in run.tasks):
            run.state, run.queued, run.start, run.end = "queued", now, None, None
        run.updated = now
        self.effects.append(Effect(f"mark-{state}", run.dag_id, run.run_id, {"tasks": sorted(names)}))
