"""What a DSS-shaped server knows, and what it answers: every path and parameter of its public API that is documented here.

A path, a query parameter, a body or a member of it that is not in ``Routes`` is answered with 500 and kept in ``refused``:
an invented call cannot pass. So is the whole of a scenario's settings sent in part: DSS would wipe what is left out. Shapes follow the vendor's own client and its documentation; see docs/systems/dataiku.md for
those that no source confirms.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.servers.bad_days import Query, Seen
from tests.servers.dataiku_things import (
    API,
    JOB_TYPES,
    ApiKey,
    Dataset,
    Effect,
    Job,
    Refused,
    Scenario,
    ScenarioRun,
    Step,
    error,
    guarded,
    job_odd,
    light_odd,
    nothing_odd,
    params_odd,
    settings_odd,
)

__all__ = ["API", "ApiKey", "Job", "Query", "Refused", "Routes", "ScenarioRun", "Seen", "error"]

_SLASHLESS = re.compile(
    r"GET /(?:projects|futures|projects/[^/]+/(?:scenarios|jobs|datasets))|POST /projects/[^/]+/jobs"
)
"""Lists whose slash at the end was forgotten: DSS has a page of HTML and 404 for them."""


class Routes:
    """State under one lock, and the answers to what may be asked."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.skew_s = 0.0
        self.requests: list[Seen] = []
        self.effects: list[Effect] = []
        self.refused: list[str] = []
        """Requests for what no documentation names."""
        self.mode: str | None = None
        self.projects: dict[str, str] = {}
        self.scenarios: dict[tuple[str, str], Scenario] = {}
        self.datasets: dict[tuple[str, str], Dataset] = {}
        self.jobs: dict[tuple[str, str], Job] = {}
        self.tells_params = True
        """Whether a run's trigger shows the parameters that it was given."""
        self.old = False
        """500 where a thing is not there, and no list of running jobs, as older DSS has it."""
        self.future_words = True
        """Whether the futures say which scenario they are of."""
        self.closed: set[str] = set()
        """Projects that can be seen and whose scenarios may not be read."""
        self._numbers = 0
        self._table: list[
            tuple[str, re.Pattern[str], frozenset[str], Callable[..., Any], Callable[[Any], str | None]]
        ] = []
        self._routes()

    # --- the state from the test's side -------------------------------------------------------------------------

    def now(self) -> int:
        return int((time.time() + self.skew_s) * 1000)

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def add_project(self, key: str, name: str = "") -> None:
        with self.lock:
            self.projects[key] = name or key.title()

    def add_scenario(self, project: str, ident: str, **more: Any) -> Scenario:
        with self.lock:
            self.projects.setdefault(project, project.title())
            found = Scenario(project, ident, more.pop("name", ident.replace("_", " ")), **more)
            self.scenarios[(project, ident)] = found
            return found

    def add_dataset(self, project: str, name: str, **more: Any) -> Dataset:
        with self.lock:
            self.projects.setdefault(project, project.title())
            found = self.datasets[(project, name)] = Dataset(project, name, **more)
            return found

    def add_run(
        self, project: str, ident: str, outcome: str | None = None, ran_s: float = 60.0, ago_s: float = 0.0, **more: Any
    ) -> ScenarioRun:
        """``outcome`` None: it runs, its first step at work. FAILED and ABORTED end in the last step."""
        with self.lock:
            scenario = self.scenarios[(project, ident)]
            end = self.now() - int(ago_s * 1000)
            run = ScenarioRun(f"2026-11-21-{self.number():06d}", end - int(ran_s * 1000), **more)
            each = int(ran_s * 1000) // max(len(scenario.steps), 1)
            for i, name in enumerate(scenario.steps if outcome else scenario.steps[:1]):
                step = Step(f"s_{name}", name, run.start + i * each)
                if outcome:
                    last = i == len(scenario.steps) - 1
                    step.end = step.start + each
                    step.outcome = outcome if last else "SUCCESS"
                    if last and outcome == "FAILED":
                        step.thrown = {
                            "clazz": "java.sql.SQLException",
                            "message": "ORA-00001: unique constraint",
                            "stack": "at x",
                        }
                run.steps.append(step)
                run.logs[step.id] = f"[INFO] {name} begins\n"
                if step.thrown:
                    run.logs[step.id] += "[ERROR] ORA-00001: unique constraint violated\n"
            if outcome:
                run.end, run.outcome = end, outcome
            scenario.runs.append(run)
            return run

    def end_run(self, run: ScenarioRun, outcome: str = "SUCCESS") -> None:
        with self.lock:
            run.end, run.outcome = max(self.now(), run.start + 1), outcome
            for step in run.steps:
                if step.outcome is None:
                    step.end, step.outcome = run.end, outcome

    def tick(self) -> None:
        """Time passes: fires become runs, each run goes on by one step, jobs begin and end."""
        with self.lock:
            for scenario in self.scenarios.values():
                self._advance(scenario)
                for fire in scenario.fires.values():
                    if not fire["run"] and not fire["cancelled"]:
                        if scenario.current is not None:
                            fire["cancelled"] = True
                            continue
                        run = self.add_run(
                            scenario.project,
                            scenario.id,
                            ran_s=0,
                            trigger="manual",
                            fire=fire["runId"],
                            params=fire["params"],
                        )
                        fire["run"] = run.id
            for job in self.jobs.values():
                if job.state == "NOT_STARTED":
                    job.state, job.start = "RUNNING", self.now()
                elif job.state == "RUNNING":
                    job.state, job.end = "DONE", self.now()
                job.log += "[INFO] job goes on\n"

    def _advance(self, scenario: Scenario) -> None:
        run = scenario.current
        if run is None:
            return
        step = run.steps[-1] if run.steps else None
        if step is not None and step.outcome is None:
            step.end, step.outcome = self.now(), "SUCCESS"
        if len(run.steps) >= len(scenario.steps):
            self.end_run(run)
        else:
            name = scenario.steps[len(run.steps)]
            run.steps.append(Step(f"s_{name}", name, self.now()))
            run.logs[f"s_{name}"] = f"[INFO] {name} begins\n"

    # --- what is asked --------------------------------------------------------------------------------------------

    def answer(self, key: ApiKey, method: str, path: str, query: Query, body: Any) -> tuple[int, Any]:
        """The answer to an authenticated request."""
        rest = path.removeprefix(API)
        for known, shape, allowed, handler, odd_body in self._table:
            found = shape.fullmatch(rest)
            if known != method or found is None:
                continue
            if odd := set(query) - allowed:
                return self._invented(f"{method} {rest} with the parameters {sorted(odd)}")
            if (why := odd_body(body)) is not None:
                return self._invented(f"{method} {rest} with {why}")
            parts = [unquote(p) for p in found.groups()]
            if parts and "/projects/" in rest and not self._may(key, parts[0]):
                raise Refused(403, error("UnauthorizedException", f"no right on project {parts[0]}"))
            if (right := guarded(method, rest)) in key.lacks:
                raise Refused(403, error("UnauthorizedException", f"needs the privilege {right}"))
            one = {name: values[0] for name, values in query.items()}
            with self.lock:
                return 200, handler(key, one, body, *parts)
        answer = self._invented(f"{method} {rest}")
        return (404, "<html><body>Not found</body></html>") if _SLASHLESS.fullmatch(f"{method} {rest}") else answer

    def _invented(self, what: str) -> tuple[int, Any]:
        self.refused.append(what)
        return 500, error("CodedException", f"nothing documents {what}")

    def _may(self, key: ApiKey, project: str) -> bool:
        return key.projects is None or project in key.projects

    def _missing(self, what: str) -> Refused:
        return Refused(500 if self.old else 404, error("NotFoundException", f"{what} does not exist"))

    def _routes(self) -> None:
        p, s = "/projects/([^/]+)", "/projects/([^/]+)/scenarios/([^/]+)"
        d, j = f"{p}/datasets/([^/]+)", f"{p}/jobs/([^/]+)"
        users = {"withScenarios", "withNotScenarios", "allUsers"}
        table: list[tuple[str, str, set[str], Callable[..., Any]]] = [
            ("GET", "/auth/info", {"withSecrets"}, self._auth_info),
            ("GET", "/instance-info", set(), self._instance),
            ("GET", "/projects/", set(), self._projects),
            ("GET", f"{p}/permissions", set(), self._permissions),
            ("GET", "/futures/", users, self._futures),
            ("GET", "/jobs/running/", {"allUsers"}, self._running_jobs),
            ("GET", f"{p}/scenarios/", set(), self._scenarios),
            ("GET", f"{s}/light", set(), self._light),
            ("PUT", f"{s}/light", set(), self._put_light),
            ("GET", f"{p}/scenarios/trigger/([^/]+)/([^/]+)", {"triggerRunId"}, self._fire),
            ("GET", f"{s}/get-last-runs", {"limit", "onlyFinishedRuns"}, self._last_runs),
            ("GET", f"{s}/get-runs-by-date", {"fromDate", "toDate"}, self._last_runs),
            ("GET", f"{s}/get-run-for-trigger", {"triggerId", "triggerRunId"}, self._run_for_trigger),
            ("POST", f"{s}/run", set(), self._run),
            ("POST", f"{s}/abort", set(), self._abort),
            ("GET", s, set(), self._settings),
            ("PUT", s, set(), self._put_settings),
            ("GET", f"{s}/([^/]+)/", set(), self._details),
            ("GET", f"{s}/([^/]+)/log", {"stepId"}, self._log),
            ("GET", f"{p}/datasets/", {"foreign", "tags"}, self._datasets),  # both are sent by Dataiku's own client
            ("GET", f"{d}/info", set(), self._info),
            ("GET", f"{d}/metrics/last/([^/]+)", set(), self._metrics),
            ("GET", f"{d}/data-quality/last-rules-result", {"partition"}, self._rules),
            ("GET", f"{d}/data-quality/status", set(), self._quality),
            ("GET", f"{p}/jobs/", {"limit"}, self._jobs),
            ("POST", f"{p}/jobs/", set(), self._start_job),
            ("GET", f"{p}/jobs/running/", set(), self._project_running),
            ("GET", f"{j}/", set(), self._job),
            ("GET", f"{j}/log", {"activity"}, self._job_log),
            ("POST", f"{j}/abort", set(), self._abort_job),
        ]
        bodies = {
            f"PUT {s}/light": light_odd,
            f"POST {s}/run": params_odd,
            f"PUT {s}": settings_odd,
            f"POST {p}/jobs/": job_odd,
        }
        self._table = [
            (m, re.compile(shape), frozenset(q), h, bodies.get(f"{m} {shape}", nothing_odd)) for m, shape, q, h in table
        ]

    # --- the instance ---------------------------------------------------------------------------------------------

    def _auth_info(self, key: ApiKey, q: dict[str, str], body: Any) -> Any:
        out: dict[str, Any] = {"authIdentifier": key.ident, "via": [], "authSource": key.kind.upper()}
        return out | ({"groups": ["administrators"] if key.admin else ["readers"]} if key.kind == "personal" else {})

    def _instance(self, key: ApiKey, q: dict[str, str], body: Any) -> Any:
        return {"nodeId": "n1", "nodeName": "auto-1", "nodeType": "AUTOMATION"}

    def _projects(self, key: ApiKey, q: dict[str, str], body: Any) -> Any:
        return [
            {"projectKey": k, "name": n, "ownerLogin": "ana", "shortDesc": ""}
            for k, n in self.projects.items()
            if self._may(key, k)
        ]

    def _permissions(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        if not key.admin:
            raise Refused(403, error("UnauthorizedException", "needs admin on the project"))
        return {"owner": "ana", "permissions": []}

    def _futures(self, key: ApiKey, q: dict[str, str], body: Any) -> Any:
        if q.get("allUsers", "").lower() == "true" and not key.admin:
            raise Refused(403, error("UnauthorizedException", "needs administrator rights"))
        if q.get("withScenarios", "").lower() != "true":
            return [
                {"jobId": "export-1", "jobDisplayName": "export of a dataset", "owner": "ana", "startTime": self.now()}
            ]
        return [
            {
                "jobId": f"future-{run.id}", "owner": "ana", "alive": True, "startTime": run.start,
                "payload": {
                    "type": "SCENARIO",
                    "targets": [{"projectKey": x.project, "objectType": "SCENARIO", "objectId": x.id}] if self.future_words else [],
                },
            }
            for x in self.scenarios.values() if (run := x.current) is not None
        ]  # fmt: skip

    def _running_jobs(self, key: ApiKey, q: dict[str, str], body: Any) -> Any:
        if self.old:
            raise Refused(404, error("NotFoundException", "no such path"))
        return [j.shown() for j in self.jobs.values() if j.state == "RUNNING"]

    # --- scenarios ------------------------------------------------------------------------------------------------

    def _scenario(self, project: str, ident: str) -> Scenario:
        found = self.scenarios.get((project, ident))
        if found is None:
            raise self._missing(f"scenario {project}.{ident}")
        return found

    def _scenarios(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        if project not in self.projects:
            raise self._missing(f"project {project}")
        if project in self.closed:
            raise Refused(403, error("UnauthorizedException", f"may not read the scenarios of {project}"))
        return [
            {
                "id": x.id, "name": x.name, "projectKey": project, "type": x.type, "active": x.active, "tags": x.tags,
                "running": x.current is not None, "start": x.current.start if x.current else 0,
            }
            for x in self.scenarios.values() if x.project == project
        ]  # fmt: skip

    def _light(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        return {
            "id": x.id, "active": x.active, "running": x.current is not None, "start": x.current.start if x.current else 0,
            "nextRun": self.now() + 3_600_000 if x.active and x.triggers else 0, "checklists": x.checklists,
            "description": x.description, "shortDesc": "", "tags": x.tags,
        }  # fmt: skip

    def _put_light(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        if self.mode == "noop":
            return {"msg": "saved"}
        if x.active != body.get("active"):
            self.effects.append(Effect("light", f"{project}.{ident}", body))
        x.active, x.tags = body["active"], body["tags"]
        x.description, x.checklists = body["description"], body["checklists"]
        x.version, x.changed = x.version + 1, self.now()
        return {"msg": "saved"}

    def _settings(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        builds = {"builds": [{"type": "DATASET", "itemId": n, "partitionsSpec": ""} for n in x.builds]}
        steps = [
            {"id": f"s_{n}", "name": n, "type": "build_flowitem", "enabled": True, "params": builds} for n in x.steps
        ]
        return {
            "id": x.id, "projectKey": project, "name": x.name, "type": x.type, "active": x.active, "triggers": x.triggers,
            "params": {"steps": steps, "password": x.secret} if x.type == "step_based" else {}, "reporters": [{"id": "mail"}], "tags": x.tags,
            "versionTag": {"versionNumber": x.version, "lastModifiedOn": x.changed, "lastModifiedBy": {"login": "ana"}},
        }  # fmt: skip

    def _put_settings(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        self.effects.append(Effect("settings", f"{project}.{ident}", body))
        x.active, x.triggers, x.tags = body["active"], body["triggers"], body["tags"]
        x.steps = tuple(step["name"] for step in body["params"].get("steps", ()))
        x.version, x.changed = x.version + 1, self.now()
        return {"msg": "saved"}

    def _shown(self, x: Scenario, run: ScenarioRun) -> dict[str, Any]:
        name = {"manual": "Manual trigger"}.get(run.trigger, "nightly")
        kind = {"manual": "manual"}.get(run.trigger, "temporal")
        fire: dict[str, Any] = {
            "trigger": {"id": run.trigger, "type": kind, "name": name}, "runId": run.fire or f"f-{run.id}",
            "projectKey": x.project, "scenarioId": x.id,
        }  # fmt: skip
        if self.tells_params:
            fire["params"] = run.params
        out: dict[str, Any] = {
            "runId": run.id, "start": run.start, "end": run.end, "trigger": fire,
            "scenario": {"projectKey": x.project, "id": x.id, "name": x.name},
        }  # fmt: skip
        if run.outcome:
            out["result"] = {"type": "SCENARIO_DONE", "outcome": run.outcome}
        return out

    def _last_runs(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        if self.mode == "page2" and int(q.get("limit", "10")) > 50:
            raise Refused(500, error("IOException", "the second part is broken"))
        runs = [r for r in x.runs if r.outcome or q.get("onlyFinishedRuns", "false").lower() != "true"]
        runs = sorted(runs, key=lambda r: (r.start, r.id), reverse=True)
        return [self._shown(x, r) for r in runs[: int(q.get("limit", "10"))]]

    def _one_run(self, x: Scenario, run: str) -> ScenarioRun:
        found = next((r for r in x.runs if r.id == run), None)
        if found is None:
            raise self._missing(f"run {run}")
        return found

    def _details(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str, run: str) -> Any:
        x = self._scenario(project, ident)
        found = self._one_run(x, run)
        return {"scenarioRun": self._shown(x, found), "stepRuns": [s.shown(run) for s in found.steps]}

    def _log(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str, run: str) -> Any:
        found = self._one_run(self._scenario(project, ident), run)
        step = q.get("stepId")
        text = found.logs.get(step) if step else "".join(found.logs.values())
        if text is None:
            raise self._missing(f"log of step {step}")
        return text.encode()

    def _run(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        fire = {"runId": f"fire-{self.number()}", "trigger": {"id": "manual", "type": "manual"}, "cancelled": False}
        if self.mode == "noop":
            return fire
        self.effects.append(Effect("run", f"{project}.{ident}", body))
        stored = fire | {"params": body or {}, "run": None, "cancelled": x.current is not None}
        x.fires[str(fire["runId"])] = stored
        return fire

    def _abort(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        run = self._scenario(project, ident).current
        if run is not None and self.mode != "noop":
            self.effects.append(Effect("abort", f"{project}.{ident}/{run.id}"))
            self.end_run(run, "ABORTED")
        return {"msg": "abort requested"}

    def _fire(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str, trigger: str) -> Any:
        fire = self._scenario(project, ident).fires.get(q.get("triggerRunId", ""))
        if fire is None or trigger != "manual":
            raise self._missing("trigger fire")
        return {k: fire[k] for k in ("runId", "trigger", "cancelled")}

    def _run_for_trigger(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        x = self._scenario(project, ident)
        fire = x.fires.get(q.get("triggerRunId", ""))
        if fire is None or not fire["run"] or q.get("triggerId") != "manual":
            return {}
        return {"scenarioRun": self._shown(x, self._one_run(x, fire["run"]))}

    def add_job(self, project: str, dataset: str, state: str = "RUNNING", ago_s: float = 0.0, who: str = "ana") -> Job:
        """A job that builds one dataset, asked for through DSS's own pages."""
        with self.lock:
            now = self.now() - int(ago_s * 1000)
            output = {"type": "DATASET", "id": dataset, "projectKey": project}
            ident = f"Build_{dataset}__NP__{self.number():06d}"
            job = Job(
                project, ident, JOB_TYPES[1], [output], who, now - 1_000, state, now - 1_000, log="[INFO] begins\n"
            )
            if state not in ("NOT_STARTED", "RUNNING"):
                job.end = now
            self.jobs[(project, ident)] = job
            return job

    # --- datasets and jobs ----------------------------------------------------------------------------------------

    def _dataset(self, project: str, name: str) -> Dataset:
        found = self.datasets.get((project, name))
        if found is None:
            raise self._missing(f"dataset {project}.{name}")
        return found

    def _datasets(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        return [{"name": d.name, "projectKey": project, "type": "Filesystem", "tags": []} for d in self.datasets.values() if d.project == project]  # fmt: skip

    def _info(self, key: ApiKey, q: dict[str, str], body: Any, project: str, name: str) -> Any:
        built = self._dataset(project, name).built
        last = (
            {}
            if built is None
            else {"lastBuild": {"buildStartTime": built[0], "buildEndTime": built[1], "buildSuccess": built[2]}}
        )
        return {"projectKey": project, "name": name} | last

    def _metrics(self, key: ApiKey, q: dict[str, str], body: Any, project: str, name: str, part: str) -> Any:
        found = self._dataset(project, name).metrics
        return {
            "metrics": [
                {"metric": {"id": m}, "lastValues": [{"partition": part, "value": v, "dataType": "BIGINT", "computed": self.now()}]}
                for m, v in found.items()
            ]
        }  # fmt: skip

    def _rules(self, key: ApiKey, q: dict[str, str], body: Any, project: str, name: str) -> Any:
        return self._dataset(project, name).rules

    def _quality(self, key: ApiKey, q: dict[str, str], body: Any, project: str, name: str) -> Any:
        self._dataset(project, name)
        return "OK"

    def _jobs(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        if self.mode == "page2" and not 0 < int(q.get("limit", "0")) <= 50:
            raise Refused(500, error("IOException", "the second part is broken"))
        found = sorted((j for j in self.jobs.values() if j.project == project), key=lambda j: j.made, reverse=True)
        return [j.shown() for j in (found[: int(q["limit"])] if int(q.get("limit", "0")) else found)]

    def _project_running(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        return [j.shown() for j in self.jobs.values() if j.project == project and j.state == "RUNNING"]

    def _start_job(self, key: ApiKey, q: dict[str, str], body: Any, project: str) -> Any:
        ident = f"Build_{body['outputs'][0]['id']}__NP__2026-11-21T09-17-{self.number():02d}.455"
        if self.mode == "noop":
            return {"id": ident}
        job = Job(project, ident, body["type"], body["outputs"], key.ident, self.now(), log="[INFO] queued\n")
        self.jobs[(project, ident)] = job
        self.effects.append(Effect("job", f"{project}.{ident}", body))
        return {"id": ident}

    def _one_job(self, project: str, ident: str) -> Job:
        found = self.jobs.get((project, ident))
        if found is None:
            raise self._missing(f"job {ident}")
        return found

    def _job(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        job = self._one_job(project, ident)
        part = {"state": job.state, "startTime": job.start, "endTime": job.end, "recipeType": "sync"}
        return {"baseStatus": job.shown() | {"activities": {"compute_x_NP": part}}, "globalState": {"done": 0}}

    def _job_log(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        return self._one_job(project, ident).log.encode()

    def _abort_job(self, key: ApiKey, q: dict[str, str], body: Any, project: str, ident: str) -> Any:
        job = self._one_job(project, ident)
        if job.state in ("NOT_STARTED", "RUNNING") and self.mode != "noop":
            job.state, job.end = "ABORTED", self.now()
            self.effects.append(Effect("abort job", f"{project}.{ident}"))
        return {"msg": "abort requested"}
