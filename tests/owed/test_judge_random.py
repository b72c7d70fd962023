"""Whatever comes, in whichever order, and however often the engine starts anew: the rows are the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.model import Owed, RunKind, State
from tests.owed.court import HOUR, MINUTE, Court, at, expect

STATES = st.sampled_from([State.SUCCESS, State.SUCCESS, State.FAILED, State.SKIPPED, State.WARNING, State.RUNNING])
DATES = st.sampled_from(["2026-11-19", "2026-11-20", "2026-11-21", None])
RUN = st.tuples(st.integers(-6 * 60, 30 * 60), st.integers(1, 180), STATES, DATES, st.booleans())
"""(minutes from 04:40 on, how long, state, date, by hand)."""


def rows(floor: Court) -> list[Any]:
    return sorted(
        (r.key, r.state.name, r.reason, r.due, r.met_at, r.lateness_ms, r.missed, r.evidence, r.run_key)
        for r in floor.reader.owed(0, floor.now + 12 * HOUR)
    )


def played(folder: Path, runs: list[Any], order: list[int], *, restarts: bool) -> tuple[list[Any], list[Any]]:
    """All runs seen at last, in one order or another; then the rows of occurrences and of runs that never came."""
    folder.mkdir()
    floor = Court(
        folder, expect("ready", due="06:00"), expect("noon", due="12:00"), expect("starts", type="start_by"),
        expect("set", "set:x", "completeness", due="09:00", of=("air:sales", "air:ads")),
    )  # fmt: skip
    try:
        floor.list("sales", "ads")
        floor.clock.at = at("2026-11-21 12:30")
        for n, i in enumerate(order):
            begin, took, state, date, manual = runs[i]
            begun = at("04:40") + begin * MINUTE
            seen = floor.run(
                f"r{i}", ("sales", "ads")[i % 2], begun, begun + took * MINUTE if state.terminal else None, state, business_date=date,
                kind=RunKind.MANUAL if manual else RunKind.SCHEDULED, source_updated=begun + took * MINUTE,
            )  # fmt: skip
            floor.see(seen, looked=False)
            if restarts and n % 2:
                floor.restart()
        floor.see()
        return rows(floor), floor.ask("SELECT pipeline_id, run, at FROM run ORDER BY 1, 2")
    finally:
        floor.close()


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(RUN, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_neither_order_nor_restarts_matter(runs: list[Any], dice: Any) -> None:
    order = list(range(len(runs)))
    other = order.copy()
    dice.shuffle(other)
    with tempfile.TemporaryDirectory(prefix="court-") as name:
        first = played(Path(name) / "a", runs, order, restarts=False)
        assert played(Path(name) / "b", runs, other, restarts=False) == first
        assert played(Path(name) / "c", runs, other, restarts=True) == first
    assert not any(
        state in (Owed.PENDING.name, Owed.UNKNOWN.name)
        for _, state, _, due, *_ in first[0]
        if due < at("2026-11-21 12:30")
    )
