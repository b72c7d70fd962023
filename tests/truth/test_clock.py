"""Clocks are set back: what happened later stays later."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.local import state as st
from adapters.local.book import close
from adapters.local.shape import to_run
from adapters.model import State
from engine.store import runs
from tests.truth.world import Floor


async def test_a_local_run_that_ends_after_the_clock_was_set_back_has_ended(
    floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = floor.clock.now()
    state: st.Record = {"job": "load", "run": "r1", "state": int(State.RUNNING), "native": "running", "kind": 0,
                        "queued": now, "started": now, "due": None, "steps": []}  # fmt: skip
    monkeypatch.setattr(st, "now_ms", lambda: now)
    st.write_state(tmp_path, state)
    source = floor.poller.source_id
    with floor.store.transaction() as tx:
        runs.apply_runs(tx, source, [to_run("local", state)], now)
    monkeypatch.setattr(st, "now_ms", lambda: now - 3_600_000)
    close(state, State.SUCCESS, st.now_ms(), None)
    st.write_state(tmp_path, state)
    with floor.store.transaction() as tx:
        runs.apply_runs(tx, source, [to_run("local", state)], now - 3_600_000)
    assert floor.state("local:load/r1") is State.SUCCESS
