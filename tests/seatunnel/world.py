"""The server shaped like SeaTunnel, as the adapter contract wants it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from adapters.seatunnel import SeaTunnelAdapter
from tests.servers.bad_days import DAYS
from tests.servers.seatunnel_like import Job, SeaTunnelLike

SOURCE = "st"
NAME = "orders cdc"
FILE_SECRET = "pa55-of-the-orders-db"
CONFIG = '{"env": {"job.mode": "STREAMING"}, "source": [{"plugin_name": "FakeSource", "password": "%s"}], "sink": []}'


def write_config(folder: Path) -> Path:
    file = folder / "orders.json"
    file.write_text(CONFIG % FILE_SECRET)
    return file


def settings(server: SeaTunnelLike, folder: Path, **more: object) -> SourceSettings:
    auth: dict[str, str | Secret] = {}
    if server.password:
        auth = {"user": server.user, "password": Secret(lambda: server.password, "env:TEST")}
    options = {"read_timeout": 0.4, "connect_timeout": 1.0, "jobs": {NAME: "orders.json"}}
    known: dict[str, object] = {
        "name": SOURCE, "kind": "seatunnel", "url": server.url, "auth": auth, "options": options, "config_folder": folder,
    }  # fmt: skip
    given = dict(more)
    if "options" in given:
        given["options"] = options | given["options"]  # type: ignore[operator]
    return SourceSettings(**(known | given))  # type: ignore[arg-type]


def key_of(job: Job) -> str:
    return run_key(pipeline_key(SOURCE, job.name), job.id)


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, client_id="01jtest", **more)  # type: ignore[arg-type]


class LikeWorld:
    """``adapters.contract_server.Server`` on a SeaTunnelLike with one job that runs."""

    source = SOURCE
    late_s = 600.0

    def __init__(self, like: SeaTunnelLike, folder: Path) -> None:
        self.like, self.folder = like, folder
        self.pipeline = pipeline_key(SOURCE, NAME)
        like.slow_s = 0.15
        write_config(folder)
        like.add(NAME, "RUNNING")

    def adapter(self) -> SeaTunnelAdapter:
        return SeaTunnelAdapter(settings(self.like, self.folder))

    def fault(self, fault: Fault | None) -> bool:
        if fault is Fault.PAGE_TWO and not self.like.modern:
            return False
        self.like.fault = None if fault is None else DAYS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(4 * count):  # more than a page of 1000
            self.like.add(f"job {i:04d}", "FINISHED", age_s=600.0 + i)
        pipelines = {pipeline_key(SOURCE, j.name) for j in self.like.jobs.values()}
        return pipelines, {key_of(j) for j in self.like.jobs.values()}

    def change(self) -> str:
        job = self.like.add(NAME, "RUNNING")
        self.like.end(job)
        return key_of(job)

    def failed(self) -> tuple[str, str]:
        error = (
            "org.apache.seatunnel.SomeException: Source[0]-FakeSource broke\nCaused by: java.io.IOException: it broke"
        )
        job = self.like.add(NAME, "FAILED", error=error, log="java.io.IOException: it broke\n")
        return key_of(job), step_key(key_of(job), "job")

    def growing(self) -> tuple[str, int]:
        return step_key(key_of(self.like.add(NAME, "RUNNING", log="begun\n")), "job"), 1

    def grow(self, step: str, line: str) -> None:
        with self.like.lock:
            self.like.jobs[parse_key(step).run or ""].log += line + "\n"

    def target(self, verb: Verb) -> str:
        if verb is Verb.START:
            return self.pipeline
        status = {Verb.RELEASE: "SAVEPOINT_DONE", Verb.RERUN: "FAILED"}.get(verb, "RUNNING")
        return key_of(self.like.add(NAME, status))

    def foreign(self, verb: Verb, key: str) -> bool:
        """Somebody submits a job of the same name."""
        if verb not in (Verb.START, Verb.RERUN):
            return False
        self.like.add(parse_key(key).pipeline, "RUNNING")
        return True

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return [*self.like.secrets, FILE_SECRET]
