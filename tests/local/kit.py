"""A floor of local jobs in a temporary folder, and waiting for facts."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.base import Action, SendResult, SourceSettings
from adapters.local.adapter import LocalAdapter
from adapters.local.state import read_state
from adapters.model import JobSpec, Pipeline, Run, State, StepSpec, Verb

HOSTILE = Path(__file__).with_name("hostile.py")


def job(name: str, *argvs: tuple[str, ...] | StepSpec, **fields: Any) -> JobSpec:
    steps = tuple(a if isinstance(a, StepSpec) else StepSpec(name=f"s{n}", run=a) for n, a in enumerate(argvs, 1))
    return JobSpec(name=name, steps=steps, **fields)


def sh(script: str, *args: str) -> tuple[str, ...]:
    return ("sh", "-c", script, "sh", *args)


def py(script: str, *args: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", script, *args)


class Floor:
    """Adapters over one folder; ``again`` is what a restarted engine has."""

    def __init__(self, folder: Path, *jobs: JobSpec, **options: Any) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.jobs = jobs
        self.options = options
        self.adapter = self.again()
        self.count = 0

    def again(self) -> LocalAdapter:
        settings = SourceSettings(
            name="local",
            kind="local",
            jobs=self.jobs,
            folder=self.folder / "state",
            config_folder=self.work,
            options=self.options,
        )
        self.adapter = LocalAdapter(settings)
        return self.adapter

    async def act(self, verb: Verb, key: str, **fields: Any) -> SendResult:
        self.count += 1
        fields.setdefault("client_id", f"c{self.count:03}")
        return await self.adapter.send(await self.adapter.prepare(Action(verb=verb, key=key, who="ana", **fields)))

    async def start(self, name: str, **fields: Any) -> str:
        sent = await self.act(Verb.START, f"local:{name}", **fields)
        run = getattr(sent, "run", None)
        assert run is not None, sent
        return run

    async def read(self, key: str) -> Run:
        found = await self.adapter.read(key)
        assert isinstance(found, Run)
        return found

    async def pipeline(self, name: str) -> Pipeline:
        found = await self.adapter.read(f"local:{name}")
        assert isinstance(found, Pipeline)
        return found

    async def reach(self, key: str, *states: State, within: float = 15.0) -> Run:
        """The run once it is in one of ``states`` (any terminal one without), as a ticking engine would see it."""
        until = time.monotonic() + within
        while True:
            run = await self.read(key)
            if run.state in states or (not states and run.state.terminal):
                return run
            assert time.monotonic() < until, f"{key} still {run.native} ({run.sub}), expected {states or 'an end'}"
            assert not run.state.terminal, f"{key} ended {run.native}: {run.error} ({run.sub})"
            await asyncio.sleep(0.02)

    async def all_runs(self) -> dict[str, Run]:
        page = await self.adapter.runs(None)
        return {run.key: run for run in page.runs}

    def state(self, key: str) -> dict[str, Any]:
        job_name, _, run = key.removeprefix("local:").partition("/")
        return read_state(self.folder / "state" / "runs" / f"{job_name}@{run}") or {}

    def run_folder(self, key: str) -> Path:
        job_name, _, run = key.removeprefix("local:").partition("/")
        return self.folder / "state" / "runs" / f"{job_name}@{run}"

    def log(self, key: str, name: str) -> bytes:
        return (self.run_folder(key) / name).read_bytes()


async def until(fact: Callable[[], Any], within: float = 15.0, what: str = "") -> Any:
    """Wait for a fact; its value."""
    end = time.monotonic() + within
    while not (value := fact()):
        assert time.monotonic() < end, f"never came true: {what or fact}"
        await asyncio.sleep(0.02)
    return value


def holders(mark: str, floor: Path | None = None) -> list[int]:
    """Pids whose /proc/PID/environ holds the mark of a run: read here anew, without the code under test."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if f"WATCHFLOOR_RUN={mark}".encode() in text and (floor is None or str(floor).encode() in text):
                found.append(int(name))
    return found


def counts(folder: Path) -> dict[str, int]:
    """What each process of a hostile tree has done so far."""
    return {path.name: path.stat().st_size for path in folder.iterdir()}
