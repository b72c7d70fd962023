"""A server shaped like SeaTunnel's REST interface, for tests: stateful, honest about what was done to it, with bad days on a switch.

    with SeaTunnelLike() as server:                   # v2 with pages, pending jobs and a forced stop
        job = server.add("orders", "RUNNING")
        server.tick()                                 # what was accepted gets going
        ... server.requests, server.effects, server.invented

``generation``: ``"v1"`` answers below ``/hazelcast/rest/maps`` in the shapes of 2.3.8 (seen live), has no logs, no pages and
no password, and drops the connection at any other path; ``"v2"`` is from the source of 2.3.9 and later. ``modern`` False
takes pages, pending jobs and force away from v2. 200 proves nothing here, as there: a stop of nobody is answered like one.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.servers.bad_days import COMMON, STATUS, Answer, Asked, BadDays

V1 = "/hazelcast/rest/maps"
ENDED = ("FINISHED", "FAILED", "CANCELED", "SAVEPOINT_DONE", "UNKNOWABLE")
NEXT = {
    "CREATED": "SCHEDULED", "PENDING": "SCHEDULED", "SCHEDULED": "RUNNING", "DOING_SAVEPOINT": "SAVEPOINT_DONE",
    "CANCELING": "CANCELED", "FAILING": "FAILED",
}  # fmt: skip
PARAMS = {
    "finished-jobs": {"page", "rows"}, "logs": {"format"}, "submit-job": {"jobId", "jobName", "isStartWithSavePoint", "format"},
}  # fmt: skip
GETS = ("overview", "running-jobs", "finished-jobs", "job-info", "system-monitoring-information")
TRACE = "\n\tat org.apache.seatunnel.engine.server.CoordinatorService.lambda$submitJob$4(CoordinatorService.java:503)\n"


@dataclass
class Job:
    id: str
    name: str
    status: str
    created: float
    finish: float | None = None
    error: str | None = None
    read: int = 0
    written: int = 0
    restored: bool = False
    mode: str = "STREAMING"
    hangs: bool = False
    log: str = ""
    nodes: int = 1
    config: str = ""


@dataclass(frozen=True)
class Effect:
    verb: str
    job: str
    what: dict[str, Any] = field(default_factory=dict)


class SeaTunnelLike(BadDays):
    STATUS = STATUS | {
        "401": (401, "<html><head><title>Error 401 Unauthorized</title></head></html>"),
        "404": (404, "<html><head><title>Error 404 Not Found</title></head></html>"),
        "500": (500, {"status": "fail", "message": "java.lang.IllegalStateException: no master is there" + TRACE}),
    }
    FAULTS = COMMON | {"missing-ids", "missing-fields", "unknown-state", "page2", "wrong-types"}

    def __init__(self, *, generation: str = "v2", modern: bool = True, context: str = "", password: str = "") -> None:
        super().__init__()
        self.generation, self.context = generation, context
        self.modern = modern and generation == "v2"
        self.user, self.password = "ops", password
        self.jobs: dict[str, Job] = {}
        self.effects: list[Effect] = []
        self.heap = "10.99%"
        self.slots = 0
        self.newest_first = True
        """Of pages; it is not sure that each version that has pages has them so."""
        self.deaf = False
        """Its nodes cannot ask each other for their logs (they do so without the password)."""
        self._ids = itertools.count(1176625570381824001)

    # --- what the tests do ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return super().url + self.context

    @property
    def secrets(self) -> list[str]:
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [self.password, pair] if self.password else []

    def now(self) -> float:
        return time.time() + self.skew_s

    def add(self, name: str, status: str = "RUNNING", **more: Any) -> Job:
        with self.lock:
            at = self.now() - more.pop("age_s", 60.0)
            job = Job(str(next(self._ids)), name, status, at, **more)
            if status in ENDED and job.finish is None:
                job.finish = at + 30.0
            self.jobs[job.id] = job
            return job

    def end(self, job: Job, status: str = "FINISHED", error: str | None = None) -> None:
        with self.lock:
            job.status, job.finish, job.error = status, self.now(), error

    def tick(self) -> None:
        with self.lock:
            for job in self.jobs.values():
                if job.status in NEXT and not job.hangs:
                    job.status = NEXT[job.status]
                    job.finish = self.now() if job.status in ENDED else None

    # --- answers ----------------------------------------------------------------------------------------------------

    def changes(self, asked: Asked) -> bool:
        return asked.method == "POST"

    def answer_to(self, asked: Asked) -> Answer:
        if self.password and asked.authorization != "Basic " + self.secrets[1]:
            return 401, self.STATUS["401"][1], {"WWW-Authenticate": 'Basic realm="SeaTunnel Web UI"'}
        prefix = V1 if self.generation == "v1" else self.context
        elsewhere = self.generation == "v2" and asked.path.startswith(V1)
        if elsewhere or not asked.path.startswith(prefix + "/"):
            name = asked.path.removeprefix(V1).split("/")[1]  # the other generation's: there is no such path here
            return self.STATUS["404"] if asked.method == "GET" and name in GETS else self.undocumented(asked)
        parts = asked.path.removeprefix(prefix + "/").split("/")
        if odd := set(asked.query) - PARAMS.get(parts[0], set()):
            return self.undocumented(asked, f"{asked.path}: parameters {sorted(odd)}")
        with self.lock:
            return self._answer(asked, parts)

    def _answer(self, asked: Asked, parts: list[str]) -> Answer:
        query = {k: v[-1] for k, v in asked.query.items()}
        match asked.method, parts:
            case "GET", ["overview"]:
                return 200, self._overview()
            case "GET", ["running-jobs"]:
                return 200, [self._running(j) for j in self.jobs.values() if j.status not in ENDED]
            case "GET", ["finished-jobs"]:
                return self._finished(query)
            case "GET", ["job-info", native]:
                return self._info(native)
            case "GET", ["system-monitoring-information"]:
                return 200, [self._member("10.0.0.1", True), self._member("10.0.0.2", False)]
            case "GET", ["pending-jobs"]:
                return (200, []) if self.modern else self._nothing()
            case "GET", ["logs", *native] if len(native) <= 1:
                return self._logs(native[0] if native else "")
            case "GET", ["log", name] if self.generation == "v2":
                job = self.jobs.get(name.removeprefix("job-").removesuffix(".log"))
                return (200, job.log.encode()) if job is not None and job.log else (400, None)
            case "POST", ["stop-job"]:
                return self._stop(asked)
            case "POST", ["submit-job"]:
                return self._submit(asked, query)
        return self.undocumented(asked)

    def _nothing(self) -> Answer:
        return (400, None) if self.generation == "v1" else self.STATUS["404"]

    def _overview(self) -> dict[str, Any]:
        busy = sum(j.status == "RUNNING" for j in self.jobs.values())
        count = {s: str(sum(j.status == s for j in self.jobs.values())) for s in ENDED}
        found = {
            "projectVersion": "2.3.8" if self.generation == "v1" else "2.3.13", "gitCommitAbbrev": "8604631",
            "totalSlot": str(self.slots), "unassignedSlot": str(max(self.slots - busy, 0)), "runningJobs": str(busy),
            "finishedJobs": count["FINISHED"], "failedJobs": count["FAILED"], "cancelledJobs": count["CANCELED"],
            "workers": "2",
        }  # fmt: skip
        waiting = sum(j.status == "PENDING" for j in self.jobs.values())
        return found | ({"pendingJobs": str(waiting)} if self.modern else {})

    def _finished(self, query: dict[str, str]) -> Answer:
        done = sorted((j for j in self.jobs.values() if j.status in ENDED), key=lambda j: j.finish or 0.0)
        if not self.modern or "page" not in query:
            return 200, [self._ended(j) for j in done]
        page, rows = int(query["page"]), int(query["rows"])
        if self.mode == "page2" and page > 1:
            return self.STATUS["500"]
        if page > 1 and (page - 1) * rows >= len(done):
            return 400, {"status": "fail", "message": "page too far"}
        some = (done[::-1] if self.newest_first else done)[(page - 1) * rows : page * rows]
        return 200, {"data": [self._ended(j) for j in some], "total": len(done)}

    def _info(self, native: str) -> Answer:
        if not native.lstrip("-").isdigit():
            return 500, {"status": "fail", "message": f'For input string: "{native}"'}
        job = self.jobs.get(native)
        if job is None:
            return 200, {"jobId": native}
        return 200, self._ended(job) if job.status in ENDED else self._running(job)

    # --- what is done to it -----------------------------------------------------------------------------------------

    def _stop(self, asked: Asked) -> Answer:
        body = asked.body
        known = {"jobId", "isStopWithSavePoint"} | ({"force"} if self.modern else set())
        if not isinstance(body, dict) or set(body) - known or not isinstance(body.get("isStopWithSavePoint"), bool):
            return self.undocumented(asked, f"stop-job {asked.raw!r}")
        job = self.jobs.get(str(body["jobId"]))
        if job is not None and job.status not in ENDED and self.mode != "noop":
            self.effects.append(Effect("stop", job.id, body))
            if body.get("force"):
                self.end(job, "CANCELED")
            else:
                job.status = "DOING_SAVEPOINT" if body["isStopWithSavePoint"] else "CANCELING"
        return 200, {"jobId": str(body["jobId"])}

    def _submit(self, asked: Asked, query: dict[str, str]) -> Answer:
        config = asked.raw.decode()
        form = query.get("format", "json")
        if form == "json" and not isinstance(asked.body, dict):
            return 400, {"status": "fail", "message": "Invalid JSON format in request body."}
        if form not in ("json", "hocon", "sql") or (form != "json" and self.generation == "v1"):
            return 400, {"status": "fail", "message": "Invalid JSON format in request body."}
        native, restore = query.get("jobId"), query.get("isStartWithSavePoint") == "true"
        if restore and not native:
            return 400, {"status": "fail", "message": "Please provide jobId when start with save point."}
        native = native or str(next(self._ids))
        old = self.jobs.get(native)
        answer = 200, {"jobId": native, "jobName": query.get("jobName", "")}
        if self.mode == "noop" or (old is not None and old.status not in ENDED):
            return answer
        if old is not None and not restore:
            said = f"The job id {native} has already been submitted and is not starting with a savepoint."
            name = "org.apache.seatunnel.engine.common.exception.JobException: "
            return 500, {"status": "fail", "message": name + name + said + TRACE}
        self.effects.append(Effect("restore" if restore else "submit", native, dict(query)))
        job = Job(native, query.get("jobName", "SeaTunnel"), "SCHEDULED", self.now(), restored=restore, config=config)
        if old is not None:
            job.read, job.written, job.log = old.read, old.written, old.log
        self.jobs[native] = job
        return answer

    # --- shapes -----------------------------------------------------------------------------------------------------

    def _running(self, job: Job) -> dict[str, Any]:
        found = {
            "jobId": job.id, "jobName": job.name, "jobStatus": job.status,
            "envOptions": {"job.name": "as the file says", "job.mode": job.mode, "parallelism": "1"},
            "createTime": _time(job.created), "jobDag": self._dag(job, True),
            "pluginJarsUrls": [{"jarPath": "file:/opt/seatunnel/connectors/connector-fake.jar"}],
            "isStartWithSavePoint": job.restored, "metrics": _metrics(job),
        }  # fmt: skip
        return found | ({"startTime": _time(job.created)} if self.modern else {})

    def _ended(self, job: Job) -> dict[str, Any]:
        dag: Any = self._dag(job, False)
        return {
            "jobId": job.id, "jobName": job.name, "jobStatus": job.status, "errorMsg": job.error,
            "createTime": _time(job.created), "finishTime": _time(job.finish or job.created),
            "jobDag": json.dumps(dag) if self.generation == "v1" else dag, "pluginJarsUrls": [], "metrics": _metrics(job),
        }  # fmt: skip

    def _dag(self, job: Job, running: bool) -> dict[str, Any]:
        names = {1: ("source", "Source[0]-FakeSource"), 2: ("sink", "Sink[0]-Console-MultiTableSink")}
        edges = {"1": [{"inputVertexId": 1, "targetVertexId": 2}]}
        if self.generation == "v2":
            listed = [
                {"vertexId": i, "type": kind, "vertexName": f"pipeline-1 [{name}]", "tablePaths": ["fake"]}
                for i, (kind, name) in names.items()
            ]
            return {"jobId": int(job.id), "pipelineEdges": edges, "envOptions": {}, "vertexInfoMap": listed}
        if running:  # ids and names as they were seen live
            listed = [
                {"id": 2 * i - 1, "name": f"{n}(id={2 * i - 1})", "parallelism": 1} for i, (_, n) in names.items()
            ]
            return {"vertices": listed, "edges": [{"inputVertex": names[1][1], "targetVertex": names[2][1]}]}
        info = {
            str(i): {"vertexId": i, "type": kind.upper(), "connectorType": f"pipeline-1 [{name}]"}
            for i, (kind, name) in names.items()
        }
        return {"jobId": int(job.id), "pipelineEdges": edges, "vertexInfoMap": info}

    def _member(self, host: str, master: bool) -> dict[str, str]:
        return {
            "isMaster": str(master).lower(), "host": host, "port": "5801", "processors": "2",
            "physical.memory.total": "23.5G", "physical.memory.free": "19.5G", "heap.memory.used": "54.6M",
            "heap.memory.max": "494.9M", "heap.memory.used/max": self.heap, "minor.gc.time": "22ms",
            "load.process": "4.50%", "load.system": "12.27%", "load.systemAverage": "n/a" if master else "0.64",
            "thread.count": "60",
        }  # fmt: skip

    def _logs(self, native: str) -> Answer:
        if self.generation == "v1":
            return 400, None
        if self.deaf:
            return 500, {"status": "fail", "message": "java.lang.NullPointerException"}
        found = [
            {"node": f"10.0.0.{n}:8080", "logLink": f"http://10.0.0.{n}:8080/logs/job-{j.id}.log", "logName": f"job-{j.id}.log"}
            for j in self.jobs.values() if j.log and native in j.id for n in range(1, j.nodes + 1)
        ]  # fmt: skip
        return 200, found

    # --- bad days ---------------------------------------------------------------------------------------------------

    def bent(self, content: Any, fault: str | None) -> Any:
        if fault in ("missing-ids", "missing-fields", "unknown-state", "wrong-types"):
            return _each(content, fault)
        if fault == "unknown-fields" and isinstance(content, list | dict):
            return _more(content)
        return content


def _each(value: Any, fault: str) -> Any:
    if isinstance(value, list):
        return [_each(v, fault) for v in value]
    if not isinstance(value, dict):
        return value
    if "data" in value:
        return value | {"data": _each(value["data"], fault)}
    if "jobStatus" not in value:
        return value
    ids = ("jobId", "jobName")
    if fault == "missing-ids":
        return {k: v for k, v in value.items() if k not in ids}
    if fault == "missing-fields":
        return {k: value[k] for k in ids}
    if fault == "wrong-types":
        return value | {"jobStatus": 7, "jobName": ["x"]}
    return value | {"jobStatus": "LEVITATING"}


def _more(value: Any) -> Any:
    """Each object of a job has more than anyone knows; what are maps of names stay maps of names."""
    if isinstance(value, list):
        return [_more(v) for v in value]
    if isinstance(value, dict):
        return {k: _more(v) if k in ("data", "metrics") else v for k, v in value.items()} | {
            "wfNewThing": {"deep": [1]}
        }
    return value


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _metrics(job: Job) -> dict[str, Any]:
    return {
        "SourceReceivedCount": str(job.read), "SinkWriteCount": str(job.written), "SourceReceivedBytes": str(job.read * 9),
        "SinkWriteBytes": str(job.written * 9), "SourceReceivedQPS": "0.68", "SinkWriteQPS": "0.68",
        "TableSourceReceivedCount": {"shop.fake": str(job.read)}, "TableSinkWriteCount": {"shop.fake": str(job.written)},
    }  # fmt: skip
