"""A step failed and others of the run go on: what is seen of it, said once. Pure.

What comes after the failed step may run by design (a clean-up that runs whatever happened): it is not counted, where the
pipeline says what comes after what. Whether anything else should go on is for a person to say; nothing is stopped by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from adapters.model import State
from tui.present import words
from tui.present.cut import clean

if TYPE_CHECKING:
    from engine.store.reader import Reader
    from engine.store.rows import PastStep, RunDetail, StepPlan, StepRow

_FAILED = (State.FAILED, State.TIMED_OUT, State.LOST)
_GOING = (State.RUNNING, State.RETRYING)


class Seen(NamedTuple):
    """The last try of a step, as it was last seen."""

    step: str
    state: State
    ended: int | None


@dataclass(frozen=True, slots=True)
class RunningOn:
    """``failed``: the step that failed first, at ``at`` (ms UTC; None: not known). ``going``: those that run and do not come after it.

    ``ordered``: whether the pipeline says what comes after what; else a clean-up may be among ``going``.
    """

    failed: str
    at: int | None
    going: tuple[str, ...]
    ordered: bool

    def said(self, tz: str, now: int) -> str:
        """``running on after load_fact failed 03:12``."""
        when = f" {words.clock(self.at, tz, now)}" if self.at is not None else ""
        return f"running on after {clean(self.failed)} failed{when}"

    def names(self) -> str:
        """``embed and 2 more``."""
        rest = len(self.going) - 1
        return clean(self.going[0]) + (f" and {rest} more" if rest else "")


def running_on(steps: Iterable[Seen], after: Mapping[str, Sequence[str]], *, active: bool) -> RunningOn | None:
    """Of a run that goes on (``active``): whether steps run although one failed and they do not come after it; None: no."""
    if not active:
        return None
    found = list(steps)
    failed = [s for s in found if s.state in _FAILED]
    if not failed:
        return None
    behind = downstream({s.step for s in failed}, after)
    bad = {s.step for s in failed}
    going = dict.fromkeys(s.step for s in found if s.state in _GOING and s.step not in behind and s.step not in bad)
    if not going:
        return None
    first = min(failed, key=lambda s: (s.ended is None, s.ended or 0, s.step))
    return RunningOn(first.step, first.ended, tuple(going), any(after.values()))


def downstream(of: Iterable[str], after: Mapping[str, Sequence[str]]) -> set[str]:
    """All steps that come after any of these, however far; loops do no harm."""
    below: dict[str, list[str]] = {}
    for step, befores in after.items():
        for before in befores:
            below.setdefault(before, []).append(step)
    found: set[str] = set()
    queue = list(of)
    while queue:
        for step in below.get(queue.pop(), ()):
            if step not in found:
                found.add(step)
                queue.append(step)
    return found


def of_rows(steps: Sequence[StepRow]) -> list[Seen]:
    """The last try of each step and mapped instance."""
    last: dict[tuple[str, int], StepRow] = {}
    for s in steps:
        known = last.get((s.step, s.map_index))
        if known is None or s.attempt >= known.attempt:
            last[s.step, s.map_index] = s
    return [Seen(s.step, s.state, s.ended) for s in last.values()]


def of_cells(steps: Sequence[PastStep]) -> list[Seen]:
    """Folded steps: a mapped one of which any failed counts as failed."""
    return [Seen(s.step, s.state, s.ended) for s in steps]


def order_of(plan: Sequence[StepPlan]) -> dict[str, tuple[str, ...]]:
    """Step → what it comes after."""
    return {s.name: s.after for s in plan}


def of_detail(detail: RunDetail, plan: Sequence[StepPlan]) -> RunningOn | None:
    """Of one run and the steps that its pipeline defines."""
    return running_on(of_rows(detail.steps), order_of(plan), active=detail.row.state.active)


def read(reader: Reader) -> dict[str, RunningOn]:
    """By run key, of all runs that go on: one question where no step of any of them failed, as it mostly is."""
    runs = dict(reader.failing_on())
    if not runs:
        return {}
    plans: dict[str, dict[str, tuple[str, ...]]] = {}
    out: dict[str, RunningOn] = {}
    for run_id, steps in reader.past_steps(list(runs)).items():
        key = runs[run_id]
        pipeline = key.partition("/")[0]
        if pipeline not in plans:
            plans[pipeline] = order_of(reader.step_plan(pipeline))
        found = running_on(of_cells(steps), plans[pipeline], active=True)
        if found is not None:
            out[key] = found
    return out
