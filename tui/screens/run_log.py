"""What a run's log tells on its screen: which step tells the story, and the lines around its first error."""

from __future__ import annotations

from adapters.model import State
from engine.store.rows import LogRow, RunDetail, StepRow
from tui.log import story
from tui.present import run_panes
from tui.present.cut import clean

Told = tuple[int, str, str, str]
"""(level, clock, word, text) of a line."""


def read(step: StepRow | None, found: LogRow | None) -> tuple[list[Told], str]:
    """The lines around the first error of a step that failed, or the last lines of one that runs; and what they are, or why none."""
    if step is None:
        return [], ""
    title = f"{clean(step.step)} · attempt {step.attempt}"
    if found is None:
        return [], f"{title} · {why_no_log(step)}"
    try:
        told = story.tell(found.path, step.state.bad, run_panes.TAIL)
    except OSError as error:
        return [], f"{title} · the log cannot be read: {error.strerror}"
    if not told.lines:
        return [], f"{title} · {clean(found.note or 'nothing written yet')}"
    return told.lines, f"{title} · {told.where}"


def worth_a_look(detail: RunDetail) -> StepRow | None:
    """The step that tells the story: the last try of the first that failed, else what runs, else the last that ran."""
    bad = [s for s in detail.steps if s.state.bad]
    if bad:
        return max((s for s in bad if s.key == bad[0].key), key=lambda s: s.attempt)
    active = [s for s in detail.steps if s.state.active and s.started is not None]
    ran = [s for s in detail.steps if s.started is not None]
    return active[0] if active else ran[-1] if ran else detail.steps[0] if detail.steps else None


def why_no_log(step: StepRow) -> str:
    if step.state in (State.SKIPPED, State.EXPECTED):
        return "it did not run, so it wrote no log"
    if step.state is State.QUEUED:
        return "it has not started, so it wrote no log yet"
    return "its log is fetched while this screen is open"
