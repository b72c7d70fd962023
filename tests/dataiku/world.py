"""The server shaped like Dataiku DSS, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.dataiku import DataikuAdapter
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.bad_days import DAYS as FAULTS
from tests.servers.dataiku_like import DataikuLike
from tests.servers.dataiku_state import Job, ScenarioRun


def settings(server: DataikuLike, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {"key": Secret(lambda: server.key.secret, "env:TEST")}
    quick = {"read_timeout": 0.4, "connect_timeout": 1.0}
    known: dict[str, object] = {"name": "dss", "kind": "dataiku", "url": server.url, "auth": auth}
    known["options"] = quick | dict(more.pop("options", {}))  # type: ignore[call-overload]
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, **({"client_id": "01JTEST"} | more))  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on a DataikuLike with one project ``MAIN`` and its scenario ``daily``."""

    source = "dss"

    def __init__(self, like: DataikuLike) -> None:
        self.like = like
        self.pipeline = pipeline_key(self.source, "MAIN.daily")
        self._made = 0
        like.slow_s = 0.15
        like.add_scenario("MAIN", "daily")
        like.add_dataset("MAIN", "sales", built=(like.now() - 9_000, like.now() - 1_000, True))

    def adapter(self) -> DataikuAdapter:
        return DataikuAdapter(settings(self.like))

    def fault(self, fault: Fault | None) -> bool:
        changes_only = fault is Fault.DROPPED  # what is looked at right before a change is answered
        self.like.fault_on = lambda method, path: method != "GET" or not changes_only
        self.like.fault = None if fault is None else FAULTS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            self.like.add_scenario(f"P{i % 7}", f"pipe_{i:04d}")
            self.like.add_run("MAIN", "daily", outcome="SUCCESS", ran_s=60.0 + i)
        pipelines = {pipeline_key(self.source, f"{p}.{s}") for p, s in self.like.scenarios}
        return pipelines, {self._key(r) for r in self.like.scenarios[("MAIN", "daily")].runs}

    def change(self) -> str:
        run = self.like.add_run("MAIN", "daily")
        self.like.end_run(run)
        return self._key(run)

    def failed(self) -> tuple[str, str]:
        key = self._key(self.like.add_run("MAIN", "daily", outcome="FAILED"))
        return key, step_key(key, "report")

    def growing(self) -> tuple[str, int]:
        return step_key(self._key(self.like.add_run("MAIN", "daily")), "extract"), 1

    def grow(self, step: str, line: str) -> None:
        key = parse_key(step)
        run = next(r for r in self.like.scenarios[("MAIN", "daily")].runs if r.id == key.run)
        run.logs[f"s_{key.step}"] += line + "\n"

    def target(self, verb: Verb) -> str:
        self._made += 1
        name = f"target_{self._made}"
        steps = tuple(
            f"step_{n}" for n in range(60)
        )  # more than time passes in a test: an end by itself proves nothing
        self.like.add_scenario("MAIN", name, active=verb is not Verb.RESUME, steps=steps)
        key = pipeline_key(self.source, f"MAIN.{name}")
        if verb in (Verb.STOP, Verb.RERUN):
            run = self.like.add_run("MAIN", name, outcome=None if verb is Verb.STOP else "FAILED")
            return run_key(key, run.id)
        return key

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets

    def foreign(self, verb: Verb, key: str) -> bool:
        """Somebody starts the same scenario by hand; of the rest it makes no difference who does it."""
        if verb not in (Verb.START, Verb.RERUN):
            return False
        self.like.add_run("MAIN", parse_key(key).pipeline.partition(".")[2], trigger="manual")
        return True

    def _key(self, run: ScenarioRun) -> str:
        return run_key(self.pipeline, run.id)


class BuildWorld(LikeWorld):
    """The same with the dataset ``MAIN.sales`` as its pipeline. Datasets are not paused: for that it has scenarios."""

    untold = frozenset({Verb.START, Verb.RERUN})
    """No job carries a mark of ours."""

    def __init__(self, like: DataikuLike) -> None:
        super().__init__(like)
        self.pipeline = pipeline_key(self.source, "MAIN.dataset.sales")
        self._targets = [f"target_{n}" for n in range(60)]
        self._left = iter(self._targets)
        for name in self._targets:
            like.add_dataset("MAIN", name)

    def adapter(self) -> DataikuAdapter:
        return DataikuAdapter(settings(self.like, options={"builds": [f"MAIN.{n}" for n in ("sales", *self._targets)]}))

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            self.like.add_scenario(f"P{i % 7}", f"pipe_{i:04d}")
            self.like.add_job("MAIN", "sales", "DONE", ago_s=i / 100)
        pipelines = {pipeline_key(self.source, f"{p}.{s}") for p, s in self.like.scenarios}
        pipelines |= {pipeline_key(self.source, f"MAIN.dataset.{n}") for n in ("sales", *self._targets)}
        return pipelines, {self._job_key(j) for j in self.like.jobs.values()}

    def change(self) -> str:
        return self._job_key(self.like.add_job("MAIN", "sales", "DONE"))

    def failed(self) -> tuple[str, str]:
        key = self._job_key(self.like.add_job("MAIN", "sales", "FAILED"))
        return key, step_key(key, "job")

    def growing(self) -> tuple[str, int]:
        return step_key(self._job_key(self.like.add_job("MAIN", "sales")), "job"), 1

    def grow(self, step: str, line: str) -> None:
        self.like.jobs[("MAIN", parse_key(step).run or "")].log += line + "\n"

    def target(self, verb: Verb) -> str:
        if verb in (Verb.PAUSE, Verb.RESUME):
            return super().target(verb)
        name = next(self._left)
        if verb is Verb.START:
            return pipeline_key(self.source, f"MAIN.dataset.{name}")
        return self._job_key(self.like.add_job("MAIN", name, "RUNNING" if verb is Verb.STOP else "FAILED"))

    def settle(self) -> None:
        """Time passes for what waits to begin; jobs that run go on, lest an end by itself prove anything."""
        for job in self.like.jobs.values():
            if job.state == "NOT_STARTED":
                job.state, job.start = "RUNNING", self.like.now()

    def foreign(self, verb: Verb, key: str) -> bool:
        if verb not in self.untold:
            return False
        self.like.add_job("MAIN", parse_key(key).pipeline.rpartition(".")[2], who="bob")
        return True

    def _job_key(self, job: Job) -> str:
        return run_key(pipeline_key(self.source, f"MAIN.dataset.{job.outputs[0]['id']}"), job.id)
