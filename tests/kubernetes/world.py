"""The server shaped like Kubernetes, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.kubernetes import KubernetesAdapter
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers.bad_days import DAYS as FAULTS
from tests.servers.kubernetes_like import KubernetesLike
from tests.servers.kubernetes_state import Obj

SOURCE = "k8s"
SECRETS = ("s3cr3t-of-env", "s3cr3t-argument")
"""In the template of every Job: they are sent, and shown nowhere."""


def settings(server: KubernetesLike, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {"token": Secret(lambda: server.token, "env:TEST")}
    options = {"read_timeout": 0.4, "connect_timeout": 1.0, "namespaces": ["etl"]}
    known: dict[str, object] = {
        "name": SOURCE,
        "kind": "kubernetes",
        "url": server.url,
        "auth": auth,
        "options": options,
    }
    given = dict(more)
    if "options" in given:
        given["options"] = options | given["options"]  # type: ignore[operator]
    return SourceSettings(**(known | given))  # type: ignore[arg-type]


def key_of(job: Obj, pipeline: str = "etl.cronjob.daily") -> str:
    meta = job["metadata"]
    return run_key(pipeline_key(SOURCE, pipeline), f"{meta['name']}.{meta['uid'][:8]}")


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, client_id="01jtest", **more)  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on a KubernetesLike with one CronJob."""

    source = SOURCE

    def __init__(self, like: KubernetesLike) -> None:
        self.like = like
        self.pipeline = pipeline_key(SOURCE, "etl.cronjob.daily")
        self._made = 0
        like.slow_s = 0.15
        like.add_cron("daily")
        like.add_node("node-1")
        like.usage_nodes["node-1"] = {
            "metadata": {"name": "node-1"},
            "usage": {"cpu": "1250000000n", "memory": "2048Mi"},
        }

    def adapter(self) -> KubernetesAdapter:
        return KubernetesAdapter(settings(self.like))

    def fault(self, fault: Fault | None) -> bool:
        self.like.fault = None if fault is None else FAULTS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(2 * count):  # more than a page of 500
            self.like.add_cron(f"pipe-{i:04d}")
            self.like.add_job(f"many-{i:04d}", cron="daily", state="success", ran_s=60.0, age_s=600.0 + i)
        crons = {pipeline_key(SOURCE, f"etl.cronjob.{c['metadata']['name']}") for c in self.like.all("cronjobs")}
        return crons, {key_of(j) for j in self.like.all("jobs")}

    def change(self) -> str:
        job = self._job("running")
        self.like.finish(job["metadata"]["name"])
        return key_of(job)

    def failed(self) -> tuple[str, str]:
        job = self._job("failed")
        self.like.say(self.like.pods_of(job["metadata"]["name"])[0], "ValueError: it broke")
        return key_of(job), step_key(key_of(job), "main")

    def growing(self) -> tuple[str, int]:
        return step_key(key_of(self._job("running")), "main"), 1

    def grow(self, step: str, line: str) -> None:
        name = (parse_key(step).run or "").rpartition(".")[0]
        self.like.say(self.like.pods_of(name)[0], line)

    def target(self, verb: Verb) -> str:
        if verb in (Verb.PAUSE, Verb.RESUME, Verb.START):
            self._made += 1
            name = f"target-{self._made}"
            self.like.add_cron(name, spec={"suspend": verb is Verb.RESUME})
            return pipeline_key(SOURCE, f"etl.cronjob.{name}")
        state = {Verb.RELEASE: "suspended", Verb.RERUN: "failed"}.get(verb, "running")
        return key_of(self._job(state))

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return [self.like.token, *SECRETS]

    def _job(self, state: str) -> Obj:
        self._made += 1
        return self.like.add_job(f"daily-{self._made}", cron="daily", state=state, ran_s=30.0)
