"""The server shaped like Airflow, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from adapters.airflow import AirflowAdapter, backfills
from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.airflow_like import AirflowLike
from tests.servers.airflow_parts import Backfill
from tests.servers.bad_days import DAYS as FAULTS


def settings(server: AirflowLike, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {"user": server.user, "password": Secret(lambda: server.password, "env:TEST")}
    known: dict[str, object] = {
        "name": "af",
        "kind": "airflow",
        "url": server.url,
        "auth": auth,
        "options": {"read_timeout": 0.4, "connect_timeout": 1.0},
    }
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on an AirflowLike with one DAG."""

    source = "af"

    def __init__(self, like: AirflowLike) -> None:
        self.like = like
        self.pipeline = pipeline_key(self.source, "daily")
        self._made = 0
        like.slow_s = 0.15
        like.add_dag("daily", tasks=("extract", "load", "report"), mapped={"load": 3})

    def adapter(self) -> AirflowAdapter:
        return AirflowAdapter(settings(self.like))

    def fault(self, fault: Fault | None) -> bool:
        self.like.fault = None if fault is None else FAULTS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            self.like.add_dag(f"pipe_{i:04d}", tasks=("only",))
            self.like.add_run("daily", f"many_{i:04d}", state="success", ran_s=60.0 + i)
        runs = {self._key(dag, run) for dag, run in self.like.runs}
        return {pipeline_key(self.source, dag) for dag in self.like.dags}, runs

    def change(self) -> str:
        run = self._run("running")
        self.like.set_run("daily", run, "success")
        return self._key("daily", run)

    def failed(self) -> tuple[str, str]:
        key = self._key("daily", self._run("failed"))
        return key, step_key(key, "report")

    def growing(self) -> tuple[str, int]:
        return step_key(self._key("daily", self._run("running")), "extract"), 1

    def grow(self, step: str, line: str) -> None:
        key = parse_key(step)
        self.like.append_log(key.pipeline, key.run or "", key.step or "", line)

    def target(self, verb: Verb) -> str:
        if verb in (Verb.PAUSE, Verb.RESUME, Verb.START):
            self._made += 1
            name = f"target_{self._made}"
            self.like.add_dag(name, paused=verb is Verb.RESUME)
            return pipeline_key(self.source, name)
        if verb in backfills.VERBS:
            return self._backfilled(verb)
        if verb is Verb.RERUN_FROM:
            return step_key(self._key("daily", self._run("success")), "load", 1)
        return self._key("daily", self._run("running" if verb is Verb.STOP else "failed"))

    def params(self, verb: Verb) -> dict[str, str]:
        if verb is Verb.BACKFILL:
            day = self.like.now().date()
            return {"from": (day - timedelta(days=4)).isoformat(), "to": (day - timedelta(days=2)).isoformat()}
        return {"as": "success"} if verb is Verb.MARK else {}

    def _backfilled(self, verb: Verb) -> str:
        """A DAG of its own; with a backfill at work where there is one to change."""
        self._made += 1
        name = f"filled_{self._made}"
        self.like.add_dag(name, tasks=("only",))
        if verb is not Verb.BACKFILL:
            now = self.like.now()
            one = Backfill(
                len(self.like.backfills) + 1, name, now - timedelta(days=2), now - timedelta(days=1), "none", 1, now
            )
            one.paused = verb is Verb.BACKFILL_RESUME
            for hour in range(30):  # more than time passes in a test: one that ended by itself would prove nothing
                after = one.first + timedelta(hours=hour)
                run = self.like.add_run(name, f"b{hour}", state="queued", run_type="backfill", run_after=after)
                one.runs.append(run.run_id)
            self.like.backfills[one.id] = one
        return pipeline_key(self.source, name)

    def foreign(self, verb: Verb, key: str) -> bool:
        """Somebody triggers the DAG in the browser. What is cleared or marked is the same run, whoever does it."""
        if verb is Verb.START:
            self._made += 1
            self.like.add_run(parse_key(key).pipeline, f"manual__{self._made}", state="queued")
        return verb is Verb.START

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets

    def _run(self, state: str) -> str:
        self._made += 1
        run = f"run_{self._made}"
        self.like.add_run("daily", run, state=state, ran_s=float(self._made), run_after=None)
        return run

    def _key(self, dag: str, run: str) -> str:
        return run_key(pipeline_key(self.source, dag), run)

    def age(self, run_key_: str, days: float) -> None:
        key = parse_key(run_key_)
        self.like.runs[(key.pipeline, key.run or "")].run_after -= timedelta(days=days)


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, client_id="01JTEST", **more)  # type: ignore[arg-type]


def mints(like: AirflowLike) -> int:
    return sum(r.path == "/auth/token" for r in like.requests)
