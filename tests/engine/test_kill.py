"""SIGKILL at random moments, through the whole engine: what a new one says of runs and actions is the truth."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from adapters.model import ActionState, State
from engine.ask import NoEngine
from engine.request import RequestError
from tests.engine.rig import ROOT, Rig, until
from tests.engine.test_airflow_world import rig as airflow_rig
from tests.pty import Terminal
from tests.servers.airflow_like import AirflowLike

ROUNDS = 20
WITH_UI = (3, 8, 13, 18)
LINES = 400
SCRIPT = f"""
import sys, time
number = sys.argv[1]
open(f"begun{{number}}", "a").write("x")
for n in range({LINES}):
    print("line", n, "of run", number, flush=True)
    time.sleep(0.004)
open(f"ended{{number}}", "w").write(str(time.time()))
raise SystemExit(10 + int(number))
"""


def seeded() -> random.Random:
    seed = int(os.environ.get("WATCHFLOOR_SEED") or random.randrange(1 << 30))
    print(f"\nWATCHFLOOR_SEED={seed}")
    return random.Random(seed)


def jobs(count: int) -> str:
    return "".join(
        f'\n[[job]]\nname = "job{n}"\n[[job.step]]\nname = "load"\nrun = ["{sys.executable}", "-I", "-S", "load.py", "{n}"]\n'
        for n in range(count)
    )


def enter(rig: Rig, job: str) -> None:
    """Plan and act as a terminal does; the engine may die at any moment of it."""
    with contextlib.suppress(NoEngine, RequestError, OSError), rig.ask() as ask:
        plan = ask("plan", verb="start", key=f"local:{job}")
        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])


def settled(rig: Rig, key: str) -> bool:
    """Nothing about ``key`` is under way any more."""
    return not any(row.state.in_flight for row in rig.reader().actions(key=key))


def test_engine_and_ui_killed_at_20_random_moments(tmp_path: Path) -> None:
    rng = seeded()
    (tmp_path / "load.py").write_text(SCRIPT)
    with Rig(tmp_path, jobs(ROUNDS)) as rig:
        for number in range(ROUNDS):
            rig.ready()
            job = f"job{number}"
            hand = threading.Thread(target=enter, args=(rig, job))
            terminal = None
            if number in WITH_UI:
                argv = [sys.executable, "-m", "tui.cli", "--config", str(rig.config)]
                env = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
                terminal = Terminal(argv, 100, 30, env=env, cwd=str(ROOT))
                terminal.wait_for("job0", 20)
            hand.start()
            if terminal is not None:
                hand.join()
            # a third while it is being started, the others somewhere in its life
            time.sleep(rng.uniform(0.0, 0.1) if number % 3 == 0 else rng.uniform(0.1, 1.2))
            if terminal is not None:
                terminal.signal(signal.SIGKILL)
            rig.kill()
            hand.join()
            if terminal is not None:
                terminal.close()
            rig.start(wait=False)
        rig.ready()
        reader = rig.reader()
        for number in range(ROUNDS):
            key = f"local:job{number}"
            until(lambda key=key: settled(rig, key), 40)
            if not reader.runs(pipeline_key=key):  # the engine died before the intent was recorded: nothing was begun
                assert not (tmp_path / f"begun{number}").exists()
                assert not [a for a in reader.actions(key=key) if a.state is ActionState.DONE]
                enter(rig, f"job{number}")
                until(lambda key=key: reader.runs(pipeline_key=key), 10)
        for number in range(ROUNDS):
            key = f"local:job{number}"
            runs = until(lambda key=key: [r for r in reader.runs(pipeline_key=key) if r.state.terminal], 30)
            assert len(reader.runs(pipeline_key=key)) == 1
            assert (tmp_path / f"begun{number}").read_text() == "x", "begun twice"
            detail = until(lambda key=runs[0].key: (d := reader.run(key)) and d.logs and d.logs[0].complete and d, 20)
            assert (detail.row.state, detail.exit_code) == (State.FAILED, 10 + number), detail
            truth = float((tmp_path / f"ended{number}").read_text())
            assert abs((detail.row.ended or 0) / 1000 - truth) <= 1.0, (number, detail.row.ended, truth)
            expected = "".join(f"line {n} of run {number}\n" for n in range(LINES))
            assert Path(detail.logs[0].path).read_text() == expected


def test_a_killed_supervisor_is_lost_and_never_a_success(tmp_path: Path) -> None:
    toml = '\n[[job]]\nname = "slow"\n[[job.step]]\nname = "s"\nrun = ["sh", "-c", "sleep 1.5; exit 0"]\n'
    with Rig(tmp_path, toml) as rig:
        rig.ready()
        enter(rig, "slow")
        reader = rig.reader()
        run = until(lambda: next((r for r in reader.runs() if r.state is State.RUNNING), None))
        os.kill(supervisor(tmp_path), signal.SIGKILL)
        until(lambda: reader.run(run.key).row.state.terminal, 20)  # type: ignore[union-attr]
        detail = reader.run(run.key)
        assert detail is not None
        assert detail.row.state is State.LOST
        assert detail.exit_code is None
        assert "exit status unknown" in " ".join(filter(None, (detail.row.sub, detail.row.error, detail.note)))
        rig.kill()
        rig.start(wait=False)
        rig.ready()
        rig.polled("local")
        assert reader.run(run.key).row.state is State.LOST  # type: ignore[union-attr]


def supervisor(folder: Path) -> int:
    """Pid of the one supervisor whose run lies under ``folder``, from the kernel."""

    def found() -> int | None:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    line = (entry / "cmdline").read_bytes()
                    if b"/runs/slow@" in line and str(folder).encode() in line:
                        return int(entry.name)
        return None

    return until(found)


def test_engine_killed_around_a_call_to_airflow_one_effect_and_the_truth(tmp_path: Path) -> None:
    rng = seeded()
    rounds = 6
    with AirflowLike() as server:
        for n in range(rounds):
            server.add_dag(f"dag{n}", tasks=("one",))
        with airflow_rig(tmp_path, server) as rig:
            reader = rig.reader()
            for n in range(rounds):
                rig.ready()
                key = f"af:dag{n}"
                until(lambda key=key: reader.pipeline(key))

                def hand(key: str = key) -> None:
                    with contextlib.suppress(NoEngine, RequestError, OSError), rig.ask() as ask:
                        plan = ask("plan", verb="start", key=key)
                        ask("act", plan=plan["plan"], nonce=plan["nonce"], hash=plan["hash"])

                thread = threading.Thread(target=hand)
                thread.start()
                if n % 3 == 0:  # in the moment of the call
                    until(lambda n=n: posts(server, f"dag{n}") or None, 10, 0.001)
                elif n % 3 == 1:  # while it verifies
                    until(lambda key=key: reader.actions(key=key), 10)
                    time.sleep(rng.uniform(0.0, 1.5))
                else:  # anywhere
                    time.sleep(rng.uniform(0.0, 0.3))
                rig.kill()
                thread.join()
                rig.start(wait=False)
            rig.ready()
            server.autopilot(0.5)
            for n in range(rounds):
                key = f"af:dag{n}"
                until(lambda key=key: settled(rig, key), 60)
                made = [e for e in server.effects if e.dag_id == f"dag{n}"]
                assert posts(server, f"dag{n}") <= 1, n
                assert len(made) <= 1, n
                actions = reader.actions(key=key)
                assert len(actions) <= 1
                if not actions:
                    assert not made, "a call without an intent"
                    continue
                done = actions[0].state in (ActionState.DONE, ActionState.RECONCILED_DONE)
                assert done == bool(made), (n, actions[0], made)


def posts(server: AirflowLike, dag: str) -> int:
    with server.lock:
        return sum(s.method == "POST" and s.path.endswith(f"/{dag}/dagRuns") for s in server.requests)
