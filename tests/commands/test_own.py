"""Runs that are processes we start: one at a time, their end known by exit code, lost when nobody can tell it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Done, NotDone, NotSent, Secret, Sent
from adapters.commands import record as rec
from adapters.commands.adapter import CommandsAdapter
from adapters.errors import Conflict, Unsupported
from adapters.model import Run, RunKind, State, Verb
from tests.commands.world import action, make, until

PIPELINE = "drv:load"
SCRIPT = """
import os, signal, sys, time
what, folder = sys.argv[1], sys.argv[2]
open(os.path.join(folder, "began"), "a").write(f"{os.getpid()}\\n")
print("begins", os.environ.get("TOKEN_OF_IT", "none"), *sys.argv[3:], flush=True)
if what == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if what == "fail":
    sys.exit("ERROR table is gone")
if what == "partial":
    sys.exit(9)
while not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.02)
print("ends")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "work.py").write_text(SCRIPT)
    yield tmp_path
    for file in (tmp_path / "state").rglob("*.json"):  # nothing is left behind
        state = json.loads(file.read_text())
        for who in (state.get("child"), state.get("keeper")):
            if rec.lives(who):
                os.kill(who["pid"], signal.SIGKILL)


def began(folder: Path) -> list[int]:
    file = folder / "began"
    return [int(p) for p in file.read_text().split()] if file.exists() else []


def script(folder: Path, what: str = "work", **more: Any) -> CommandsAdapter:
    start = [sys.executable, "-IS", str(folder / "work.py"), what, str(folder), ["--date", "{business_date}"]]
    options: dict[str, Any] = {"pipelines": ["load", "other"], "start": start}
    return make(folder, options | more)


async def run_of(adapter: CommandsAdapter, client_id: str = "01jtest") -> Run:
    found = await adapter.read(f"{PIPELINE}/wf-{client_id}")
    assert isinstance(found, Run)
    return found


async def start(adapter: CommandsAdapter, client_id: str = "01jtest", **more: Any) -> Any:
    prepared = await adapter.prepare(action(Verb.START, PIPELINE, client_id, **more))
    assert await adapter.send(prepared) == Sent(f"run wf-{client_id} is started", f"{PIPELINE}/wf-{client_id}")
    return prepared


async def test_a_run_begins_ends_and_has_its_output(folder: Path) -> None:
    adapter = script(folder, env={"TOKEN_OF_IT": Secret(lambda: "s3cr3t-of-it", "env:X")})
    assert {p.key for p in (await adapter.pipelines()).items} == {PIPELINE, "drv:other"}
    prepared = await adapter.prepare(action(Verb.START, PIPELINE, business_date="2026-11-20"))
    assert prepared.calls[0].target.endswith(f"work.py work {folder} --date 2026-11-20")
    assert prepared.calls[0].headers == {"TOKEN_OF_IT": "****"}
    assert prepared.note == ""
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    assert isinstance(await adapter.send(prepared), Sent)
    assert isinstance(await adapter.send(prepared), Sent)  # asked twice, begun once
    found = await adapter.reconcile(prepared)
    assert isinstance(found, Done)
    assert found.run == f"{PIPELINE}/wf-01jtest"
    run = await run_of(adapter)
    assert (run.state, run.native, run.kind, run.business_date) == (
        State.RUNNING,
        "running",
        RunKind.MANUAL,
        "2026-11-20",
    )
    await until(lambda: began(folder))
    (folder / "go").touch()

    async def ended() -> bool:
        return (await run_of(adapter)).state.terminal

    await until(ended)
    run = await run_of(adapter)
    assert (run.state, run.native, run.exit_code) == (State.SUCCESS, "exit 0", 0)
    assert run.started is not None
    assert run.ended is not None
    assert run.ended >= run.started
    assert len(began(folder)) == 1
    (step,) = await adapter.steps(run.key)
    chunk = await adapter.log(step.key, 1, None)
    assert chunk.data == b"begins s3cr3t-of-it --date 2026-11-20\nends\n"  # its own words, in its own file
    assert chunk.end
    assert chunk.path
    assert Path(chunk.path).stat().st_mode & 0o077 == 0
    for file in (folder / "state").rglob("*"):
        assert not file.is_file() or file.suffix == ".log" or b"s3cr3t" not in file.read_bytes()
    page = await adapter.runs(None)
    assert [r.key for r in page.runs] == [run.key]
    assert list((await adapter.runs(page.cursor)).runs) == []


async def test_never_a_second_one_while_the_first_lives(folder: Path) -> None:
    adapter = script(folder)
    await start(adapter)
    with pytest.raises(Conflict, match="load is running already"):
        await adapter.prepare(action(Verb.START, PIPELINE, "two"))
    (await adapter.prepare(action(Verb.START, "drv:other", "other")))  # another pipeline is another lock
    # two engines that planned before either began: the lock decides
    (folder / "go").touch()

    async def ended() -> bool:
        return (await run_of(adapter)).state.terminal

    await until(ended)
    (folder / "go").unlink()
    plans = [await adapter.prepare(action(Verb.START, PIPELINE, name)) for name in ("a", "b", "c")]
    adapters = [script(folder) for _ in plans]
    sent = await asyncio.gather(*(one.send(plan) for one, plan in zip(adapters, plans, strict=True)))
    assert sorted(type(s).__name__ for s in sent) == ["NotSent", "NotSent", "Sent"]
    assert all("it runs already" in s.words for s in sent if isinstance(s, NotSent))
    await until(lambda: len(began(folder)) == 2)


async def test_a_failure_says_why_and_a_known_code_is_a_warning(folder: Path) -> None:
    adapter = script(folder, "fail")
    await start(adapter)

    async def ended() -> bool:
        return (await run_of(adapter)).state.terminal

    await until(ended)
    run = await run_of(adapter)
    assert (run.state, run.native, run.error) == (State.FAILED, "exit 1", "table is gone · exit 1")
    partial = script(folder, "partial", warning_codes=[9])
    await start(partial, "two")

    async def two() -> bool:
        return (await run_of(partial, "two")).state.terminal

    await until(two)
    assert (await run_of(partial, "two")).state is State.WARNING


async def test_without_its_keeper_it_is_running_then_lost(folder: Path) -> None:
    adapter = script(folder)
    early = await adapter.prepare(action(Verb.START, PIPELINE, "early"))  # planned before, sent after
    await start(adapter)
    await until(lambda: began(folder))
    state = json.loads(next((folder / "state").rglob("*.json")).read_text())
    os.kill(state["keeper"]["pid"], signal.SIGKILL)

    async def orphan() -> bool:
        return (await run_of(adapter)).sub is not None

    await until(orphan)
    run = await run_of(adapter)
    assert (run.state, run.sub) == (State.RUNNING, "its keeper is gone: its exit code will not be known")
    with pytest.raises(Conflict):
        await adapter.prepare(action(Verb.START, PIPELINE, "two"))
    sent = await adapter.send(early)
    assert isinstance(sent, NotSent), "the lock is free, the process lives"
    assert "it runs already" in sent.words
    assert len(began(folder)) == 1
    (folder / "go").touch()  # it ends well, and nobody can tell
    await until(lambda: not rec.lives(state["child"]))
    run = await run_of(script(folder))
    assert (run.state, run.native, run.sub) == (State.LOST, "lost", "exit status unknown")
    assert run.ended is not None
    await start(adapter, "three")


async def test_a_pid_of_an_earlier_boot_is_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = script(folder)
    await start(adapter)
    await until(lambda: began(folder))
    monkeypatch.setattr(rec, "boot_id", lambda: "another")
    assert (await run_of(adapter)).state is State.LOST


async def test_an_engine_that_goes_leaves_the_end_known(folder: Path) -> None:
    await start(script(folder))
    await until(lambda: began(folder))
    (folder / "go").touch()
    later = script(folder)  # another engine, that started nothing

    async def ended() -> bool:
        return (await run_of(later)).state.terminal

    await until(ended)
    assert (await run_of(later)).state is State.SUCCESS


@pytest.mark.parametrize("what", ["work", "stubborn"])
async def test_a_stop_ends_the_whole_group(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "stubborn":
        monkeypatch.setattr("adapters.commands.own.GRACE_S", 0.3)
    adapter = script(folder, what)
    await start(adapter)
    await until(lambda: b"begins" in b"".join(f.read_bytes() for f in (folder / "state").rglob("*.log")))
    prepared = await adapter.prepare(action(Verb.STOP, f"{PIPELINE}/wf-01jtest", "stop"))
    assert prepared.calls[0].method == "signal"
    assert isinstance(await adapter.reconcile(prepared), NotDone)
    assert isinstance(await adapter.send(prepared), Sent)

    async def proved() -> bool:
        return isinstance(await adapter.reconcile(prepared), Done)

    await until(proved)
    run = await run_of(adapter)
    assert (run.state, run.native) == (State.STOPPED, "stopped")
    assert run.exit_code == (-signal.SIGKILL if what == "stubborn" else -signal.SIGTERM)
    with pytest.raises(Conflict, match="has ended already"):
        await adapter.prepare(action(Verb.STOP, run.key, "again"))
    assert isinstance(await adapter.send(prepared), NotSent)


async def test_what_is_no_program_is_not_sent(folder: Path) -> None:
    adapter = script(folder, start=["./not-there", "{pipeline}"])
    prepared = await adapter.prepare(action(Verb.START, PIPELINE))
    sent = await adapter.send(prepared)
    assert isinstance(sent, NotSent)
    assert "./not-there" in sent.words
    (folder / "not-there").write_text("#!/bin/sh\n")  # there, and not executable
    assert isinstance(await adapter.send(prepared), NotSent)
    assert (await adapter.runs(None)).runs == []


async def test_only_the_last_runs_are_kept(folder: Path) -> None:
    adapter = script(folder, "fail", keep=2)
    for name in ("a", "b", "c"):
        await start(adapter, name)

        async def ended(name: str = name) -> bool:
            return (await run_of(adapter, name)).state.terminal

        await until(ended)
    keys = {r.key for r in (await adapter.runs(None)).runs}
    assert keys == {f"{PIPELINE}/wf-b", f"{PIPELINE}/wf-c"}
    assert len(list((folder / "state").rglob("*.log"))) == 2


async def test_what_it_cannot_says_what_to_add(folder: Path) -> None:
    adapter = script(folder)
    for verb in (Verb.PAUSE, Verb.HOLD, Verb.BACKFILL):
        with pytest.raises(Unsupported, match=f"add options.{verb}"):
            await adapter.prepare(action(verb, PIPELINE))
    assert adapter.caps.can("stop")
    assert "start it again" in adapter.caps.why("rerun")
    blind = script(folder, pause=["true"])
    assert not blind.caps.can("pause")
    assert blind.caps.why("pause") == "without options.list or options.status nothing could prove it"
