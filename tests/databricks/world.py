"""The server shaped like Databricks, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Sequence

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

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets

    def _key(self, run: int) -> str:
        return run_key(pipeline_key(self.source, str(self.like.runs[run].job)), str(run))


def action(verb: Verb, key: str, **more: object) -> Action:
    known: dict[str, object] = {"client_id": "01JTEST"}
    return Action(verb=verb, key=key, **(known | more))  # type: ignore[arg-type]
