"""Which run a pipeline's row shows."""

from __future__ import annotations

from pathlib import Path

from adapters.model import State
from tests.tui.stores import MINUTE, House


def shown(h: House) -> State | None:
    return h.reader().floor()[0].state


def test_a_skipped_tick_does_not_hide_the_run_that_is_active(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    h.run("s", "p", "r1", State.RUNNING, started_ago=5 * MINUTE)
    h.run("s", "p", "r2", State.SKIPPED, started_ago=MINUTE, took=0)
    assert shown(h) is State.RUNNING
    h.run("s", "p", "r1", State.SUCCESS, started_ago=5 * MINUTE, took=4 * MINUTE)
    assert shown(h) is State.SUCCESS
    h.run("s", "p", "r3", State.FAILED, started_ago=30_000, took=1000)
    assert shown(h) is State.FAILED
    h.close()


def test_where_all_was_skipped_that_is_what_it_says(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    h.run("s", "p", "r2", State.SKIPPED, started_ago=MINUTE, took=0)
    assert shown(h) is State.SKIPPED
    h.close()
