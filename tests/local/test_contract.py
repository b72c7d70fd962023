"""The adapter contract over local jobs; faults that need a network do not exist here."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Action, Adapter
from adapters.contract import AdapterContract
from adapters.contract_server import Fault
from adapters.local.book import Book, close
from adapters.local.jobs import compile_job, make_state
from adapters.local.state import read_json, read_state
from adapters.model import JobSpec, RunKind, State, Verb, parse_key
from tests.local.kit import Floor, job, sh

SLEEPER = sh("sleep 60")


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end although a loop is running: in a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(work)))
    thread.start()
    thread.join(30)
    return found[0]


class Floors:
    """A floor as the contract's server."""

    source = "local"
    pipeline = "local:main"

    def __init__(self, folder: Path) -> None:
        self.floor = Floor(
            folder, job("main", sh("touch feed-{run}; exec tail -f feed-{run}"), overlap="allow"), *self._targets()
        )
        self.numbers = itertools.count()
        self.targets = itertools.count()
        self.made: list[tuple[Verb, str, str | None]] = []
        self.runs: set[str] = set()
        self.away = self.floor.folder / "state" / "away"

    def _targets(self) -> list[JobSpec]:
        return [job(f"t{n}", SLEEPER, schedule="@yearly") for n in range(160)]

    def adapter(self) -> Adapter:
        return self.floor.again()

    def fault(self, fault: Fault | None) -> bool:
        runs = self.floor.folder / "state" / "runs"
        if self.away.exists():
            os.rename(self.away, runs)
        if fault is Fault.DOWN:
            os.rename(runs, self.away)
        return fault in (None, Fault.DOWN)

    def skew(self, seconds: float) -> None:
        """There is but one clock."""

    def _ended(self, spec: JobSpec, state: State) -> str:
        record = make_state(
            compile_job(spec),
            f"e{next(self.numbers)}",
            now=int(time.time() * 1000),
            date="2026-01-01",
            kind=RunKind.MANUAL,
        )
        record["steps"][0]["state"] = State.RUNNING
        close(record, state, record["queued"], None)
        assert Book(self.floor.folder / "state").create(record, None)
        key = f"local:{spec.name}/{record['run']}"
        self.runs.add(key)
        return key

    def fill(self, count: int) -> tuple[set[str], set[str]]:
        more = [job(f"f{n}", ("true",)) for n in range(count)]
        self.floor.jobs = (*self.floor.jobs, *more)
        for spec in more:
            self._ended(spec, State.SUCCESS)
        return {f"local:{spec.name}" for spec in self.floor.jobs}, set(self.runs)

    def change(self) -> str:
        return self._ended(self.floor.jobs[0], State.SUCCESS)

    def failed(self) -> tuple[str, str]:
        key = self._ended(self.floor.jobs[0], State.FAILED)
        (self.floor.run_folder(key) / "s1.1.log").write_text("no\n")
        return key, f"{key}#s1"

    def _run(self, name: str, **fields: Any) -> str:
        other = Floor(self.floor.folder, *self.floor.jobs)
        key = at_once(other.start(name, client_id=f"r{next(self.numbers)}", **fields))
        end = time.monotonic() + 15
        while (read_state(self.floor.run_folder(key)) or {}).get("child") is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        self.runs.add(key)
        return key

    def growing(self) -> tuple[str, int]:
        return f"{self._run('main')}#s1", 1

    def grow(self, step: str, line: str) -> None:
        run = parse_key(step).run or ""
        log = self.floor.run_folder(step.partition("#")[0]) / "s1.1.log"
        with open(self.floor.work / f"feed-{run}", "a") as feed:
            feed.write(line + "\n")
        end = time.monotonic() + 15
        while line not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < end
            time.sleep(0.01)

    def target(self, verb: Verb) -> str:
        name = f"t{next(self.targets)}"
        spec = next(spec for spec in self.floor.jobs if spec.name == name)
        key: str | None = None
        target = f"local:{name}"
        if verb in (Verb.HOLD, Verb.RELEASE, Verb.STOP):
            target = key = self._run(name)
        elif verb in (Verb.RERUN, Verb.RERUN_FAILED, Verb.RERUN_FROM):
            target = key = self._ended(spec, State.FAILED)
            target += "#s1" if verb is Verb.RERUN_FROM else ""
        if verb is Verb.RELEASE:
            self._act(Verb.HOLD, target)
            end = time.monotonic() + 15
            while (read_state(self.floor.run_folder(target)) or {}).get("state") != State.HELD:
                assert time.monotonic() < end
                time.sleep(0.01)
        if verb is Verb.RESUME:
            self._act(Verb.PAUSE, target)
        self.made.append((verb, name, key))
        return target

    def _act(self, verb: Verb, key: str) -> None:
        other = Floor(self.floor.folder, *self.floor.jobs).adapter

        async def act() -> None:
            await other.send(await other.prepare(Action(verb=verb, key=key, client_id=f"a{next(self.numbers)}")))

        at_once(act())

    def settle(self) -> None:
        time.sleep(0.3)

    def effects(self) -> int:
        """Told from the files alone: what differs from how the target was handed out."""
        paused = (read_json(self.floor.folder / "state" / "paused.json") or {}).get("jobs", {})
        folder = self.away if self.away.exists() else self.floor.folder / "state" / "runs"
        count = 0
        for verb, name, key in self.made:
            own = [path for path in folder.iterdir() if path.name.startswith(f"{name}@")]
            if verb is Verb.PAUSE:
                count += name in paused
            elif verb is Verb.RESUME:
                count += name not in paused
            elif verb in (Verb.HOLD, Verb.RELEASE, Verb.STOP):
                state = read_state(own[0]) or {}
                wanted = {Verb.HOLD: (State.HELD,), Verb.RELEASE: (State.RUNNING,)}.get(
                    verb, (State.STOPPING, State.STOPPED)
                )
                count += state["state"] in wanted or any((own[0] / "requests").iterdir())
            else:
                count += len(own) - (key is not None)
        return count

    def secrets(self) -> Sequence[str]:
        return ()


class TestLocal(AdapterContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Floors]:
        floors = Floors(tmp_path)
        yield floors
        floors.fault(None)
        assert at_once(floors.floor.again().stop_all("the end of the test", 10.0)) == 0
