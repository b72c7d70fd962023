"""The engine is killed at random moments of a run's life; a fresh adapter knows exit code, true end and the whole log."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from adapters.base import Action, Sent
from adapters.local.book import Book
from adapters.model import State, Verb
from tests.local.kit import Floor, job, py

LINES = 200
JOB = job(
    "load",
    py(
        "import time\n"
        "open('begun', 'a').write('x')\n"
        f"for n in range({LINES}):\n"
        "    print('line', n, flush=True); time.sleep(0.003)\n"
        "open('ended', 'w').write(str(time.time()))\n"
        "raise SystemExit(7)"
    ),
)
MOMENTS = 20
AT_ONCE = 4


async def one(folder: Path, number: int, delay: float) -> str:
    """Kill an engine ``delay`` seconds after it was about to start the run; what was found, in words."""
    root = str(Path(__file__).parents[2])
    script = str(Path(__file__).with_name("engine_like.py"))
    engine = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        script,
        root,
        str(folder),
        f"k{number}",
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert engine.stdout is not None
    assert await asyncio.wait_for(engine.stdout.readline(), 20) == b"ready\n"
    await asyncio.sleep(delay)
    os.killpg(engine.pid, signal.SIGKILL)
    await engine.wait()

    floor = Floor(folder, JOB)  # what the next engine has: the folder, and the action that was intended
    prepared = await floor.adapter.prepare(Action(verb=Verb.START, key="local:load", client_id=f"k{number}"))
    assert isinstance(await floor.adapter.send(prepared), Sent)
    await floor.adapter.tick(int(time.time() * 1000))
    run = await floor.reach(f"local:load/k{number}")
    assert (run.state, run.exit_code) == (State.FAILED, 7), run
    assert (floor.work / "begun").read_text() == "x"  # once, whoever asked
    assert run.ended is not None
    truth = float((floor.work / "ended").read_text())
    assert abs(run.ended / 1000 - truth) <= 1.0
    expected = b"".join(b"line %d\n" % n for n in range(LINES))
    assert floor.log(run.key, "s1.1.log") == expected
    chunk = await floor.adapter.log(f"{run.key}#s1", 1, None)
    assert (chunk.data, chunk.end) == (expected, True)
    return f"{delay:.3f}s"


async def test_the_engine_killed_at_20_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("WATCHFLOOR_SEED") or random.randrange(1 << 30))
    print(f"\nWATCHFLOOR_SEED={seed}")
    rng = random.Random(seed)
    # most while it is starting or running, some after its end
    delays = [rng.uniform(0.0, 0.08) if n % 3 == 0 else rng.uniform(0.0, 1.1) for n in range(MOMENTS)]
    for first in range(0, MOMENTS, AT_ONCE):
        batch = range(first, min(first + AT_ONCE, MOMENTS))
        await asyncio.gather(*(one(tmp_path / f"f{n}", n, delays[n]) for n in batch))


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.STOP])
async def test_a_new_engine_takes_over_a_running_job_at_once(tmp_path: Path, verb: Verb) -> None:
    root, script = str(Path(__file__).parents[2]), str(Path(__file__).with_name("engine_like.py"))
    folder = tmp_path / "f"
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-P", script, root, str(folder), "k", stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert engine.stdout is not None
    await asyncio.wait_for(engine.stdout.readline(), 20)
    end = time.monotonic() + 10
    while not (folder / "work" / "begun").exists():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    os.killpg(engine.pid, signal.SIGKILL)
    await engine.wait()
    begun = time.monotonic()
    floor = Floor(folder, JOB)
    runs = await floor.all_runs()
    assert runs["local:load/k"].state == State.RUNNING
    assert time.monotonic() - begun < 1.0
    await floor.act(verb, "local:load/k")
    if verb == Verb.HOLD:
        await floor.reach("local:load/k", State.HELD)
        await floor.act(Verb.RELEASE, "local:load/k")
        assert (await floor.reach("local:load/k")).exit_code == 7
    else:
        assert (await floor.reach("local:load/k")).state == State.STOPPED


async def test_killed_between_making_a_run_and_starting_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor(tmp_path / "f", JOB)
    monkeypatch.setattr(Book, "start", lambda self, name: None)
    key = await floor.start("load", client_id="k")
    monkeypatch.undo()
    assert (await floor.again().read(key)).state == State.QUEUED
    run = await floor.reach(key)
    assert (run.exit_code, (floor.work / "begun").read_text()) == (7, "x")


async def test_two_supervisors_of_one_run_begin_it_once(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "f", JOB)
    key = await floor.start("load", client_id="k")
    for _ in range(3):
        floor.again()._book.start("load@k")
    run = await floor.reach(key)
    assert (run.exit_code, (floor.work / "begun").read_text()) == (7, "x")
