"""The driver of tests, as the adapter contract wants it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.base import Action, Secret, SourceSettings
from adapters.commands.adapter import CommandsAdapter
from adapters.contract import Fault
from adapters.model import Verb, parse_key, pipeline_key, run_key, step_key
from tests.servers import commands_driver as driver

SOURCE = "drv"
TOKEN = "t0k3n-of-the-driver"
FAULTS: dict[Fault, str] = {
    Fault.DOWN: "down",
    Fault.SLOW: "slow",
    Fault.HANG: "hang",
    Fault.FORBIDDEN: "forbidden",
    Fault.NOT_FOUND: "not-found",
    Fault.RATE_LIMITED: "busy",
    Fault.SERVER_ERROR: "broken",
    Fault.HTML: "html",
    Fault.TRUNCATED: "truncated",
    Fault.SHAPE: "shape",
    Fault.MISSING_IDS: "missing-ids",
    Fault.MISSING_FIELDS: "missing-fields",
    Fault.UNKNOWN_FIELDS: "unknown-fields",
    Fault.UNKNOWN_STATE: "unknown-state",
    Fault.LOST_ANSWER: "lost",
    Fault.DROPPED: "dies",
    Fault.DOES_NOTHING: "noop",
}
"""Of HTTP alone, so not here: 401 beside 403, 409, 503, Retry-After; and a list that comes in pages."""


class Driver:
    """The driver in a folder of its own, and its world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "driver"
        text = Path(driver.__file__).read_text().partition("\n")[2]
        self.path.write_text(f"#!{sys.executable} -IS\n{text}")
        self.path.chmod(0o700)
        self.file = folder / "world.json"
        self.file.write_text(json.dumps(driver.fresh()))

    def world(self, *, write: bool = True) -> driver.World:
        return driver.World(str(self.file), write=write)

    @property
    def state(self) -> dict[str, Any]:
        with self.world(write=False) as world:
            return world

    def options(self, *, status: bool = False, **more: Any) -> dict[str, Any]:
        def cmd(name: str, *rest: Any) -> list[Any]:
            return [str(self.path), str(self.file), name, *rest]

        found: dict[str, Any] = {
            "version": cmd("version"),
            "list": cmd("list"),
            "logs": cmd("logs", "--run", "{run}", "--step", "{step}", "--attempt", "{attempt}", "--offset", "{offset}"),
            "operations": cmd("operations"),
            "start": cmd(
                "start", "--pipeline", "{pipeline}", "--run", "{run}", ["--date", "{business_date}"],
                ["--concurrency", "{param:concurrency}"], ["--mode", "{param:mode}"], ["--full", "{if:full}"],
            ),
            "pause": cmd("pause", "--pipeline", "{pipeline}"),
            "resume": cmd("resume", "--pipeline", "{pipeline}"),
            "hold": cmd("hold", "--run", "{run}"),
            "release": cmd("release", "--run", "{run}"),
            "stop": cmd("stop", "--run", "{run}"),
            "rerun": cmd("rerun", "--run", "{run}", "--as", "wf-{client_id}"),
            "rerun_failed": cmd("rerun-failed", "--run", "{run}"),
            "dry_run": cmd("dry-run", "--pipeline", "{pipeline}", "--from", "{from}", "--to", "{to}", "--concurrency", "{param:concurrency}"),
            "backfill": cmd("backfill", "--pipeline", "{pipeline}", "--from", "{from}", "--to", "{to}", "--as", "{client_id}", "--concurrency", "{param:concurrency}"),
            "backfill_pause": cmd("backfill-pause", "--id", "{id}"),
            "backfill_resume": cmd("backfill-resume", "--id", "{id}"),
            "backfill_cancel": cmd("backfill-cancel", "--id", "{id}"),
            "timeout": 3.0,
            "env": {"DRIVER_TOKEN": Secret(lambda: TOKEN, "env:TEST"), "MODE": "test"},
            "parameters": {
                "concurrency": {"type": "int", "default": 3, "recommended": [1, 5], "hard": [1, 10]},
                "mode": {"type": "choice", "choices": ["fast", "safe"]},
                "full": {"type": "flag"},
            },
        }  # fmt: skip
        if status:
            found["status"] = cmd("status", "--pipeline", "{pipeline}", "--run", "{run}")
        return {k: v for k, v in (found | more).items() if v is not None}

    def adapter(self, **more: Any) -> CommandsAdapter:
        return make(self.folder, self.options(**more))

    def add_pipeline(self, name: str, *, paused: bool = False) -> str:
        with self.world() as world:
            world["pipelines"][name] = {"paused": paused}
        return pipeline_key(SOURCE, name)

    def add_run(self, pipeline: str, state: str = "running", *, ran_s: float = 60.0, **more: Any) -> str:
        with self.world() as world:
            world["made"] += 1
            name = more.pop("name", None) or f"r{world['made']}"
            world["runs"][name] = {"pipeline": pipeline, "state": state, "started": driver.stamp(world, ran_s), **more}
            if state in ("success", "failed"):
                world["runs"][name]["ended"] = driver.stamp(world)
        return run_key(pipeline_key(SOURCE, pipeline), name)

    def finish(self, key: str, state: str = "success", error: str | None = None) -> None:
        with self.world() as world:
            world["runs"][parse_key(key).run] |= {"state": state, "ended": driver.stamp(world), "error": error}

    def say(self, key: str, line: str) -> None:
        with self.world() as world:
            run = parse_key(key).run
            world["logs"][run] = world["logs"].get(run, "") + line + "\n"

    def day(self, fault: str | None) -> None:
        with self.world() as world:
            world["fault"] = fault
        gone = self.folder / "driver-gone"
        if fault == "down":
            shutil.move(self.path, gone)
        elif gone.exists():
            shutil.move(gone, self.path)

    def settle(self) -> None:
        after = {"queued": "running", "cancelling": "cancelled"}
        with self.world() as world:
            for run in world["runs"].values():
                if run["state"] in after:
                    run["state"] = after[run["state"]]
                    run["ended" if run["state"] == "cancelled" else "started"] = driver.stamp(world)


def make(folder: Path, options: Mapping[str, Any], **more: Any) -> CommandsAdapter:
    state = folder / "state"
    state.mkdir(exist_ok=True)
    return CommandsAdapter(
        SourceSettings(name=SOURCE, kind="commands", options=options, folder=state, config_folder=folder, **more)
    )


def action(verb: Verb, key: str, client_id: str = "01jtest", **more: Any) -> Action:
    return Action(verb=verb, key=key, client_id=client_id, who="ana", **more)


async def until(what: Callable[[], Any], patience_s: float = 10.0) -> Any:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {patience_s} s")


class DriverWorld:
    """``adapters.contract_server.Server`` on a driver with one pipeline."""

    source = SOURCE
    late_s = 600.0

    def __init__(self, drv: Driver, *, status: bool = False) -> None:
        self.drv = drv
        self.status = status
        self.pipeline = drv.add_pipeline("daily")
        self._made = 0

    def adapter(self) -> CommandsAdapter:
        return self.drv.adapter(status=self.status)

    def fault(self, fault: Fault | None) -> bool:
        if fault is not None and fault not in FAULTS:
            return False
        self.drv.day(None if fault is None else FAULTS[fault])
        return True

    def skew(self, seconds: float) -> None:
        with self.drv.world() as world:
            world["skew"] = seconds

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        with self.drv.world() as world:
            for i in range(count):
                world["pipelines"][f"pipe-{i:04d}"] = {"paused": False}
                world["runs"][f"many-{i:04d}"] = {
                    "pipeline": f"pipe-{i:04d}", "state": "success", "started": driver.stamp(world, 90), "ended": driver.stamp(world),
                }  # fmt: skip
        state = self.drv.state
        runs = {run_key(pipeline_key(SOURCE, r["pipeline"]), n) for n, r in state["runs"].items()}
        return {pipeline_key(SOURCE, n) for n in state["pipelines"]}, runs

    def change(self) -> str:
        key = self.drv.add_run("daily")
        self.drv.finish(key)
        return key

    def failed(self) -> tuple[str, str]:
        key = self.drv.add_run("daily", "failed", error="ValueError: it broke")
        self.drv.say(key, "ValueError: it broke")
        return key, step_key(key, "load")

    def growing(self) -> tuple[str, int]:
        return step_key(self.drv.add_run("daily"), "load"), 1

    def grow(self, step: str, line: str) -> None:
        self.drv.say(step, line)

    def target(self, verb: Verb) -> str:
        self._made += 1
        name = f"target-{self._made}"
        if verb in (Verb.START, Verb.PAUSE, Verb.RESUME) or verb.name.startswith("BACKFILL"):
            key = self.drv.add_pipeline(name, paused=verb is Verb.RESUME)
            if verb in (Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL):
                state = "paused" if verb is Verb.BACKFILL_RESUME else "running"
                with self.drv.world() as world:
                    world["ops"][name] = {
                        "id": name,
                        "pipeline": name,
                        "from": "2026-11-01",
                        "to": "2026-11-14",
                        "state": state,
                    }
            return key
        state = {Verb.RELEASE: "paused", Verb.RERUN: "failed", Verb.RERUN_FAILED: "failed"}.get(verb, "running")
        return self.drv.add_run("daily", state)

    def params(self, verb: Verb) -> Mapping[str, Any]:
        return {"from": "2026-11-01", "to": "2026-11-14"} if verb is Verb.BACKFILL else {}

    def foreign(self, verb: Verb, key: str) -> bool:
        """Somebody calls the driver by hand."""
        of = parse_key(key)
        if verb in (Verb.START, Verb.RERUN):
            self.drv.add_run(of.pipeline, "queued", kind="manual")
        elif verb is Verb.BACKFILL:
            with self.drv.world() as world:
                world["made"] += 1
                name = f"op{world['made']}"
                world["ops"][name] = {"id": name, "pipeline": of.pipeline, "state": "running", **self.params(verb)}
        return verb in (Verb.START, Verb.RERUN, Verb.BACKFILL)

    def settle(self) -> None:
        self.drv.settle()

    def effects(self) -> int:
        return int(self.drv.state["effects"])

    def secrets(self) -> Sequence[str]:
        return [TOKEN]
