"""The server shaped like Talend Management Console, as the adapter contract wants it: with tasks, and with plans."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Action, Secret, SourceSettings
from adapters.contract import Fault
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from adapters.talend import TalendAdapter
from adapters.talend.acts import STARTS
from tests.servers.bad_days import DAYS as FAULTS
from tests.servers.talend_like import TalendLike

QUICK = {"read_timeout": 0.4, "connect_timeout": 1.0, "requests_per_second": 1000}


def settings(server: TalendLike, **more: object) -> SourceSettings:
    """With a personal access token; ``options`` are added to the quick ones."""
    options = QUICK | more.pop("options", {})  # type: ignore[operator]
    known: dict[str, object] = {
        "name": "tmc",
        "kind": "talend",
        "url": server.url,
        "auth": {"token": Secret(lambda: server.pat, "env:TMC_TOKEN")},
        "options": options,
    }
    return SourceSettings(**(known | more))  # type: ignore[arg-type]


def service(server: TalendLike) -> dict[str, str | Secret]:
    return {"client_id": server.client_id, "client_secret": Secret(lambda: server.client_secret, "env:TMC_SECRET")}


def action(verb: Verb, key: str, **more: object) -> Action:
    return Action(verb=verb, key=key, client_id="01JTEST", **more)  # type: ignore[arg-type]


def key_of(ident: str, run: str | None = None, kind: str = "task") -> str:
    pipeline = pipeline_key("tmc", f"{kind}.{ident}")
    return pipeline if run is None else run_key(pipeline, run)


class LikeWorld:
    """``adapters.contract_server.Server``: one task ``daily``, or one plan ``nightly`` of two steps."""

    source = "tmc"
    late_s = 40.0

    def __init__(self, like: TalendLike, kind: str = "task", *, service_account: bool = False, user: str = "") -> None:
        """``user``: who we are, where the source's options say it."""
        self.like = like
        self.kind = kind
        self.ident = "daily" if kind == "task" else "nightly"
        self.pipeline = key_of(self.ident, kind=kind)
        self.untold = () if user else STARTS
        self._more: dict[str, object] = {"auth": service(like)} if service_account else {}
        if user:
            self._more["options"] = {"user": user}
        self._made = 0
        self._steps: dict[str, str] = {}
        self._add(self.ident)

    def adapter(self) -> TalendAdapter:
        return TalendAdapter(settings(self.like, **self._more))

    def fault(self, fault: Fault | None) -> bool:
        self.like.fault = None if fault is None else FAULTS[fault]
        return True

    def skew(self, seconds: float) -> None:
        self.like.skew_s = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        for i in range(count):
            if self.kind == "task":
                self.like.add_task(f"pipe-{i:04d}", f"Pipe {i}")
            else:
                self.like.add_plan(f"pipe-{i:04d}", f"Pipe {i}", steps=[["only"]])
            self.like.add_run(self.ident, f"many-{i:04d}", word="EXECUTION_SUCCESS", ago_s=(count - i) / 100)
        pipes = {key_of(t) for t in self.like.tasks} | {key_of(p, kind="plan") for p in self.like.plans}
        return pipes, {key_of(e.of, e.id, e.kind) for e in self.like.execs.values()}

    def change(self) -> str:
        run = self.like.add_run(self.ident, ago_s=1.0)
        for inner in [t for s in run.steps for t in s.tasks]:
            self.like.finish(inner)
        self.like.finish(run.id)
        return self._key(run.id)

    def failed(self) -> tuple[str, str]:
        run = self.like.add_run(self.ident, word="EXECUTION_FAILED")
        return self._key(run.id), step_key(self._key(run.id), "job" if self.kind == "task" else "Step 2")

    def growing(self) -> tuple[str, int]:
        run = self.like.add_run(self.ident)
        step = step_key(self._key(run.id), "job" if self.kind == "task" else "Task extract")
        self._steps[step] = run.id if self.kind == "task" else run.steps[0].tasks[0]
        return step, 1

    def grow(self, step: str, line: str) -> None:
        self.like.log(self.like.execs[self._steps[step]], line)

    def target(self, verb: Verb) -> str:
        self._made += 1
        name = f"target-{self._made}"
        self._add(name, paused=verb is Verb.RESUME)
        if verb in (Verb.PAUSE, Verb.RESUME, Verb.START):
            return key_of(name, kind=self._kind(verb))
        if self._kind(verb) != self.kind:  # only a plan is run again from a step
            self.like.add_plan(f"plan-of-{name}", steps=[["extract"], ["load", "report"]])
            name = f"plan-of-{name}"
        run = self.like.add_run(name, word="STARTING_FLOW_EXECUTION" if verb is Verb.STOP else "EXECUTION_FAILED")
        key = key_of(name, run.id, self._kind(verb))
        return step_key(key, "Step 2") if verb is Verb.RERUN_FROM else key

    def foreign(self, verb: Verb, key: str) -> bool:
        """bea starts it in the console."""
        if verb not in STARTS:
            return False
        ident = parse_key(key).pipeline.partition(".")[2]
        self.like.add_run(ident, type="MANUAL", ago_s=0, user="bea", word="EXECUTION_EVENT_RECEIVED")
        return True

    def settle(self) -> None:
        self.like.tick()

    def effects(self) -> int:
        return len(self.like.effects)

    def secrets(self) -> Sequence[str]:
        return self.like.secrets

    def _kind(self, verb: Verb) -> str:
        return "plan" if verb in (Verb.RERUN_FAILED, Verb.RERUN_FROM) else self.kind

    def _add(self, name: str, *, paused: bool = False) -> None:
        if self.kind == "task":
            self.like.add_task(name, name, paused=paused)
        else:
            self.like.add_plan(name, name, steps=[["extract"], ["load", "report"]], paused=paused)

    def _key(self, run: str) -> str:
        return key_of(self.ident, run, self.kind)
