"""SIGKILL at any moment of an action: never a second call, and the next engine says what is true."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from adapters.model import ActionState
from engine.actions.audit import verify_file
from engine.store import actions as rows
from tests.actions.fake import FakeClock
from tests.actions.to_be_killed import FileAdapter, open_floor

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = ("after-intent", "before-effect", "after-effect") * 4 + ("random",) * 20


async def test_killed_engines_leave_one_call_and_the_truth(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tests.actions.to_be_killed", str(tmp_path), str(seed), *ROUNDS],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    print(done.stdout)
    assert done.stdout.count("signal 9") == len(ROUNDS), done.stderr
    ends: dict[str, list[ActionState | None]] = {}
    for number, where in enumerate(ROUNDS):
        ends.setdefault(where, []).append(await resumed(tmp_path / f"{number}-{where}"))
    assert set(ends["after-intent"]) == {ActionState.RECONCILED_NOT_DONE}
    assert set(ends["before-effect"]) == {ActionState.RECONCILED_NOT_DONE}
    assert set(ends["after-effect"]) == {ActionState.RECONCILED_DONE}
    assert len(set(ends["random"])) > 1  # kills fell on different moments


async def resumed(folder: Path) -> ActionState | None:
    """Start another engine on what was left, let it ask, and compare with what the orchestrator knows."""
    clock = FakeClock()
    adapter = FileAdapter(clock, folder / "world.txt")
    ctx, actions = open_floor(folder, clock, adapter)
    with ctx.store.transaction() as tx:
        left = rows.open_actions(tx)
        found = left[0] if left else None
    await actions.resume()
    if found is not None:
        if found.state is ActionState.EXECUTING:
            assert state(ctx, found.id) is ActionState.UNKNOWN
        await clock.until(lambda: not state(ctx, found.id).in_flight)
    with ctx.store.transaction() as tx:
        every = [ActionState(s) for (s,) in tx.db.execute("SELECT state FROM action").fetchall()]
    calls = [line for line in adapter.lines() if line.startswith("call")]
    effects = [line for line in adapter.lines() if line.startswith("effect")]
    assert len(calls) <= 1, folder
    assert len(every) <= 1
    if calls:
        assert every, "a call without an intent"
    if every:
        happened = every[0] in (ActionState.DONE, ActionState.RECONCILED_DONE)
        assert happened == bool(effects), (folder, every, effects)
    await actions.close()
    ctx.store.close()
    assert verify_file(folder / "floor.db", folder / "audit.jsonl") is None
    return every[0] if every else None


def state(ctx: object, action: str) -> ActionState:
    with ctx.store.transaction() as tx:  # type: ignore[attr-defined]
        record = rows.get(tx, action)
    assert record is not None
    return record.state
