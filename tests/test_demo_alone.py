"""The demo without a terminal: what it waits for before it prints, and that ``--reset`` removes nothing under an engine."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.model import State
from engine import demo
from engine.config.paths import places
from engine.leader import Leader
from engine.store.errors import StoreError


def stand_in(monkeypatch: pytest.MonkeyPatch, *, alive: bool, last_ok: int, state: State) -> None:
    """A store in which each of the demo's pipelines has one run of this state."""

    class Stored:
        def __init__(self, _: Any) -> None: ...

        def lock_held(self) -> bool:
            return alive

        def sources(self) -> list[Any]:
            return [SimpleNamespace(last_ok=last_ok)]

        def runs(self, limit: int) -> list[Any]:
            return [SimpleNamespace(name=name, state=state, generated=False) for name in demo.USUAL_S]

        def close(self) -> None: ...

    monkeypatch.setattr("engine.store.reader.Reader", Stored)


def waited(tmp_path: Path) -> float:
    began = time.monotonic()
    demo.wait_until_run(places(demo=True, env={"XDG_STATE_HOME": str(tmp_path)}), 0.4)
    return time.monotonic() - began


SOON = 1 << 62


def test_it_prints_once_each_ran_under_an_engine_that_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, alive=True, last_ok=SOON, state=State.FAILED)
    assert waited(tmp_path) < 0.3


@pytest.mark.parametrize(
    ("alive", "last_ok", "state"),
    [
        (False, SOON, State.SUCCESS),  # the runs of a demo before: the floor would say that nobody watches
        (True, 0, State.SUCCESS),  # an engine that has not looked yet
        (True, SOON, State.SKIPPED),  # a tick that was skipped: nothing ran
        (True, SOON, State.RUNNING),
    ],
)
def test_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool, last_ok: int, state: State) -> None:
    stand_in(monkeypatch, alive=alive, last_ok=last_ok, state=state)
    assert waited(tmp_path) >= 0.4


def test_reset_removes_nothing_under_an_engine_that_does_not_end(tmp_path: Path) -> None:
    place = places(demo=True, env={"XDG_STATE_HOME": str(tmp_path)})
    demo.prepare(place)
    stuck = Leader(place.lock)
    assert stuck.try_lock()
    with pytest.raises(StoreError, match="does not end"):
        demo.reset(place, 0.2)
    assert place.config.exists()
    stuck.close()
    demo.reset(place, 0.2)
    assert not place.state.exists()
    demo.reset(place, 0.2)  # nothing there is nothing to do
    assert not place.state.exists()
