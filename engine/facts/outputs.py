"""Outputs: what a run, or a step of it, must have made (``[[check]]`` with ``on``). Asked when the step ended, or the run did.

An output says nothing about whether its run is fine; where that is meant too, the check is named in ``done_when``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from adapters.globs import shown
from engine.config.model import Check, Config, Facts, matches
from engine.context import Context
from engine.facts.said import Said
from engine.store import outputs as rows
from engine.store.facts import FAILED, PASSED, WAITING
from engine.store.outputs import DueOutput
from engine.store.runs import RunChange
from engine.store.writer import Tx

if TYPE_CHECKING:
    from engine.facts.checks import Checks

AGAIN_MS: Final = (15_000, 30_000, 60_000, 300_000)
"""Between one asking and the next; the last one from then on."""
UNREAD_MS: Final = 5_000
"""Between one asking and the next while the steps of its run are not read."""
UNREAD_TRIES: Final = 12
"""So often; then the run stands for its steps."""
LAST_MS: Final = 2 * 3_600_000
"""How long after the end of its run an output is asked for: what comes later is not of this run."""
CLOCKS_MS: Final = 1_000


def expected_words(check: Check) -> str:
    """What is expected, in words that fit beside a step: ``≥ 1``, ``out.csv written, 3 bytes or more``, ``count.py exits 0``."""
    if check.series is not None:
        low, high = check.normal or (-math.inf, math.inf)
        if low == -math.inf and high == math.inf:
            return f"a reading of {check.series}"
        if high == math.inf:
            return f"≥ {number(low)}"
        return f"≤ {number(high)}" if low == -math.inf else f"{number(low)} to {number(high)}"
    if check.file is not None:
        size = f", {check.min_size:,} bytes or more" if check.min_size else ""
        return f"{shown(os.path.basename(check.file), 60)} written{size}"
    if check.run:
        return f"{shown(os.path.basename(check.run[0]), 60)} exits 0"
    return f"ping {check.name} ok"


def number(value: float) -> str:
    """``1,204``, ``0.25``."""
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def steps_wanted(config: Config, facts: Facts) -> bool:
    """Whether a step of this pipeline has an output: then its steps are read when a run of it ends."""
    return any(c.on is not None and c.step is not None and matches(c.on, facts) for c in config.checks)


class Outputs:
    """Part of the checks: what opens, and what one asking comes to."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def wanted(self, tx: Tx, pipeline_id: int) -> list[Check]:
        """Outputs that are expected of a pipeline."""
        checks = [c for c in self._ctx.config.checks if c.on is not None]
        facts = rows.facts_of(tx, pipeline_id) if checks else None
        return [] if facts is None else [c for c in checks if c.on is not None and matches(c.on, facts)]

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> bool:
        """Runs that ended: their outputs are asked for. One that failed may still have made what a step of it makes. History and
        what is made up is left out. True: there is something to ask."""
        if not any(c.on is not None for c in self._ctx.config.checks):
            return False
        some = False
        for change in changes:
            if change.backfilled or change.run.generated or not change.after.terminal or change.before == change.after:
                continue
            if (change.run.ended or tx.now) < tx.now - LAST_MS:
                continue
            for check in self.wanted(tx, change.pipeline_id):
                if check.step is None and not change.after.finished:
                    continue
                rows.open_output(
                    tx, change.run_id, change.run.attempt, check.name, check.step or "", expected_words(check)
                )
                some = True
            some = rows.ask_soon(tx, change.run_id) or some
        return some

    def look_at_steps(self, tx: Tx) -> None:
        """Steps that ended while their run goes on, of runs whose steps are read."""
        for check in self._ctx.config.checks:
            if check.on is None or check.step is None:
                continue
            for run_id, attempt, pipeline_id in rows.ended_steps(tx, check.step):
                facts = rows.facts_of(tx, pipeline_id)
                if facts is not None and matches(check.on, facts):
                    rows.open_output(tx, run_id, attempt, check.name, check.step, expected_words(check))

    async def one(self, due: DueOutput, checks: Checks) -> None:
        """Ask for one and write down what was seen."""
        check = next((c for c in self._ctx.config.checks if c.name == due.run.name and c.on is not None), None)
        if check is None or (check.step or "") != due.step:
            with self._ctx.store.transaction() as tx:
                rows.drop(tx, due.run.spot)
            return
        said = await self._said(check, due, checks)
        with self._ctx.store.transaction() as tx:
            next_at, words = None, said.words
            if said.state != PASSED and not said.final:
                unread = due.step and due.seen is None and due.tries < UNREAD_TRIES
                next_at = tx.now + (UNREAD_MS if unread else AGAIN_MS[min(due.tries, len(AGAIN_MS) - 1)])
                if due.run.run_state.terminal and next_at > due.run.ended + LAST_MS:
                    next_at, words = None, f"{words}; not asked any more"
            saw = said.words if said.state == PASSED or said.saw else None
            rows.put(
                tx, due.run.spot, said.state, saw, "" if saw is not None and next_at is not None else words, next_at
            )

    async def _said(self, check: Check, due: DueOutput, checks: Checks) -> Said:
        run, seen = due.run, due.seen
        began, ended = run.started, run.ended
        if due.step:
            if seen is not None and not seen.state.terminal:
                if not run.run_state.terminal:
                    return Said(WAITING, "the step goes on")
                return Said(WAITING, "the run ended, and its source does not say how the step did")
            if seen is not None and not seen.state.finished:
                return Said(
                    FAILED, f"the step did not end well: {seen.state.name.lower().replace('_', ' ')}", final=True
                )
            if seen is None and due.steps_known:
                return Said(FAILED, f"the run has no step {due.step}", final=run.run_state.terminal)
            if seen is None and not run.run_state.finished:
                return Said(WAITING, "its steps are not known, and the run did not end well")
            if seen is None and due.tries < UNREAD_TRIES:
                return Said(WAITING, "its steps are not read yet")
            if seen is not None and seen.started is not None:
                began = seen.started
            if seen is not None and seen.ended is not None:
                ended = seen.ended
        return await checks.ask(check, replace(run, started=began, ended=ended))


def series_said(tx: Tx, check: Check, began: int) -> Said:
    """Whether the last reading of a series is of since ``began`` and within what is normal."""
    found = rows.reading(tx, check.series or "")
    if found is None:
        return Said(WAITING, f"no series {check.series} is known")
    t, value, unit, why = found
    if t is None or value is None:
        return Said(WAITING, f"{check.series} has no reading" + (f": {why}" if why else ""))
    told = f"{number(value)} {unit}".strip()
    if t < began - CLOCKS_MS:
        return Said(WAITING, f"the last reading of {check.series}, {told}, is older than it")
    low, high = check.normal or (-math.inf, math.inf)
    if not low <= value <= high:
        return Said(FAILED, told, saw=True)
    return Said(PASSED, told, t)
