"""The server shaped like Databricks, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.databricks import DatabricksAdapter
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.bad_days import DAYS as FAULTS
from tests.servers.databricks_like import DatabricksLike


def settings(server: DatabricksLike, *, machine: bool = False, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {"token": Secret(lambda: server.pat, "env:TEST")}
    if machine:
        auth = {"client_id": server.client, "client_secret": Secret(lambda: server.client_secret, "env:TEST")}
    known: dict[str, object] = {
        "name": "db",
        "kind": "databricks",
        "url": server.url,
        "auth": auth,
        "options": {"read_timeout": 0.4, "connect_timeout": 1.0},
    }
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on a DatabricksLike with one job."""

    source = "db"
    late_s = 90.0
    untold: Collection[Verb] = (Verb.RERUN_FAILED, Verb.RERUN_FROM)
    """Databricks names nobody for a repair."""

    def __init__(self, like: DatabricksLike, *, machine: bool = False) -> None:
        self.like = like
        self.machine = machine
        like.slow_s = 0.15
        self.daily = like.add_job("daily", concurrent=1000)
        self.long = like.add_job("long", tasks=tuple(f"t{i}" for i in range(40)), concurrent=1000)
        self.pipeline = pipeline_key(self.source, str(self.daily))
        self._made = 0
        like.add_cluster("shared")

    def adapter(self) -> DatabricksAdapter:
        return DatabricksAdapter(settings(self.like, machine=self.machine))

    def fault(self, fault: Fault | None) -> bool:
        changes_only = fault is Fault.DROPPED  # so that what is looked at right before a change is answered
        self.like.fault_on = lambda method, path: not self.like.private(path) and (method != "GET" or not changes_only)
        self.like.fault = None if fault is None else FAULTS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            self.like.add_job(f"pipe_{i:04d}", tasks=("only",))
            self.like.add_run(self.daily, "TERMINATED", "SUCCESS")
        runs = {self._key(r.id) for r in self.like.runs.values()}
        return {pipeline_key(self.source, str(job)) for job in self.like.jobs}, runs

    def change(self) -> str:
        run = self.like.add_run(self.daily)
        self.like.end(run)
        return self._key(run)

    def failed(self) -> tuple[str, str]:
        key = self._key(self.like.add_run(self.daily, "TERMINATED", "FAILED"))
        return key, step_key(key, "report")

    def growing(self) -> tuple[str, int]:
        return step_key(self._key(self.like.add_run(self.daily)), "extract"), 1

    def grow(self, step: str, line: str) -> None:
        key = parse_key(step)
        task = next(t for t in self.like.runs[int(key.run or 0)].tasks if t.key == key.step)
        task.logs += line + "\n"

    def target(self, verb: Verb) -> str:
        if verb in (Verb.PAUSE, Verb.RESUME, Verb.START):
            self._made += 1
            job = self.like.add_job(f"target_{self._made}", paused=verb is Verb.RESUME)
            return pipeline_key(self.source, str(job))
        if verb is Verb.STOP:
            return self._key(self.like.add_run(self.long))  # one that ended by itself would prove nothing
        job = self.like.add_job(f"rerun_{self.like.fresh()}")
        run = self._key(self.like.add_run(job, "TERMINATED", "FAILED"))
        return step_key(run, "load") if verb is Verb.RERUN_FROM else run

    def foreign(self, verb: Verb, key: str) -> bool:
        of = parse_key(key)
        if verb in (Verb.START, Verb.RERUN):
            self.like.add_run(int(of.pipeline), "PENDING", trigger="ONE_TIME", creator="bea@example.com")
            return True
        if verb in (Verb.RERUN_FAILED, Verb.RERUN_FROM):
            self.like._repair({"run_id": int(of.run or 0), "rerun_all_failed_tasks": True}, False)
            return True
        return False

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets

    def _key(self, run: int) -> str:
        return run_key(pipeline_key(self.source, str(self.like.runs[run].job)), str(run))


class PipelineWorld(LikeWorld):
    """The same with a pipeline where jobs were: its updates are read, started and stopped."""

    untold = (*LikeWorld.untold, Verb.START)
    """Databricks names nobody for an update."""

    def __init__(self, like: DatabricksLike) -> None:
        super().__init__(like)
        self.silver = like.add_pipe("silver")
        self.pipeline = self._pipe(self.silver)

    def _pipe(self, ident: str) -> str:
        return pipeline_key(self.source, f"pipeline.{ident}")

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        pipelines, runs = super().fill(count)
        for i in range(count):
            self.like.add_pipe(f"table_{i:04d}")
        pipelines |= {self._pipe(ident) for ident in self.like.pipes}
        return pipelines, runs

    def change(self) -> str:
        ident = self.like.add_update(self.silver, "RUNNING")
        self.like.pipes[self.silver].updates[0].state = "COMPLETED"
        self.like.say(self.silver, ident, "Update is COMPLETED.")
        return run_key(self.pipeline, ident)

    def failed(self) -> tuple[str, str]:
        key = run_key(self.pipeline, self.like.add_update(self.silver, "FAILED"))
        return key, step_key(key, "update")

    def growing(self) -> tuple[str, int]:
        return step_key(run_key(self.pipeline, self.like.add_update(self.silver, "RUNNING")), "update"), 1

    def grow(self, step: str, line: str) -> None:
        self.like.say(self.silver, parse_key(step).run or "", line)

    def target(self, verb: Verb) -> str:
        if verb is Verb.START:
            return self._pipe(self.like.add_pipe(f"gold_{self.like.fresh()}"))
        if verb is Verb.STOP:
            pipe = self.like.add_pipe(f"gold_{self.like.fresh()}", continuous=True)
            return run_key(self._pipe(pipe), self.like.add_update(pipe, "CREATED"))
        return super().target(verb)

    def foreign(self, verb: Verb, key: str) -> bool:
        if verb is not Verb.START:
            return super().foreign(verb, key)
        self.like.add_update(parse_key(key).pipeline.removeprefix("pipeline."), "CREATED", cause="API_CALL")
        return True


class ClusterWorld(LikeWorld):
    """The same where clusters are pipelines: they are started, terminated and restarted."""

    untold = (*LikeWorld.untold, Verb.RERUN)
    """Databricks names nobody for a restart."""

    def adapter(self) -> DatabricksAdapter:
        options = {"read_timeout": 0.4, "connect_timeout": 1.0, "clusters": True}
        return DatabricksAdapter(settings(self.like, options=options))

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        pipelines, runs = super().fill(count)
        for i in range(count - 220):  # three pages of them
            self.like.add_cluster(f"shared_{i}", "TERMINATED", start_time=0)
        for one in self.like.clusters:
            of = pipeline_key(self.source, f"cluster.{one['cluster_id']}")
            pipelines.add(of)
            runs |= {run_key(of, str(one["start_time"]))} if one["start_time"] else set()
        return pipelines, runs

    def target(self, verb: Verb) -> str:
        if verb not in (Verb.START, Verb.STOP, Verb.RERUN):
            return super().target(verb)
        if verb is Verb.START:
            past = self.like.now() - 60_000
            ident = self.like.add_cluster("stopped", "TERMINATED", last_restarted_time=past, terminated_time=past + 1)
            return pipeline_key(self.source, f"cluster.{ident}")
        ident = self.like.add_cluster("running", last_restarted_time=self.like.now() - 60_000)
        of = pipeline_key(self.source, f"cluster.{ident}")
        return run_key(of, str(self.like.cluster_of(ident)["last_restarted_time"]))

    def foreign(self, verb: Verb, key: str) -> bool:
        if verb in (Verb.START, Verb.STOP):
            return False
        if verb is not Verb.RERUN:
            return super().foreign(verb, key)
        self.like.change_cluster("restart", parse_key(key).pipeline.removeprefix("cluster."), False)
        return True


def action(verb: Verb, key: str, **more: object) -> Action:
    known: dict[str, object] = {"client_id": "01JTEST"}
    return Action(verb=verb, key=key, **(known | more))  # type: ignore[arg-type]
