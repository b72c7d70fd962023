"""What may be done with a run: the menu of its screen, which verb a key means, and why one cannot be planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.model import Mode, State, Verb
from engine.store.rows import RunDetail, SourceRow, StepRow
from tui.present.glyphs import LOOKS
from tui.screens import cannot
from tui.view import Context

MENU: Final = (
    ("pipeline.start", "start", "start a new run of this pipeline"),
    ("run.rerun", "rerun", "rerun the whole run"),
    ("run.rerun_failed", "rerun-failed", "rerun what failed"),
    ("run.rerun_from", "rerun-from", "rerun from the step under the cursor"),
    ("run.stop", "stop", "stop this run"),
    ("run.hold", "hold", ""),
    ("pipeline.pause", "pause", ""),
    ("run.mark", "mark", "mark the step or the run success or failed"),
    ("pipeline.backfill", "backfill", "backfill: run it for past dates"),
)


def entries(detail: RunDetail) -> Sequence[tuple[str, str, str]]:
    """The menu with hold and pause as they are meant now: (action id, verb, words)."""
    held, paused = detail.row.state is State.HELD, detail.mode is Mode.PAUSED
    turned = {
        "hold": ("release", "release this run: it goes on") if held else ("hold", "hold this run: it stands still"),
        "pause": ("resume", "resume the schedule") if paused else ("pause", "pause the schedule: no new runs"),
    }
    return [(action, *turned.get(verb, (verb, text))) for action, verb, text in MENU]


def why_not(verb: str, detail: RunDetail, source: SourceRow | None, context: Context) -> str | None:
    """None: it can be planned."""
    row = detail.row
    why = cannot(Verb(verb), source, context)
    if why:
        return why
    if verb in ("stop", "hold", "release") and not row.state.active:
        return f"the run has ended: {LOOKS[row.state].word}"
    if verb in ("rerun", "rerun-failed", "rerun-from") and row.state.active:
        return f"the run is {LOOKS[row.state].word}"
    if row.generated and verb not in ("start", "backfill"):
        return "generated history: this run never was"
    return None


def target(action: str, detail: RunDetail, step: StepRow | None) -> tuple[str, str] | None:
    """The verb of an action and the key that it is for; None: no such action of a run."""
    row = detail.row
    return {
        "run.rerun": ("rerun", row.key),
        "run.rerun_failed": ("rerun-failed", row.key),
        "run.stop": ("stop", row.key),
        "run.hold": ("release" if row.state is State.HELD else "hold", row.key),
        "run.rerun_from": ("rerun-from", step.key if step else row.key),
        "run.mark": ("mark", step.key if step else row.key),
        "pipeline.backfill": ("backfill", row.pipeline_key),
        "pipeline.pause": ("resume" if detail.mode is Mode.PAUSED else "pause", row.pipeline_key),
        "pipeline.start": ("start", row.pipeline_key),
    }.get(action)
