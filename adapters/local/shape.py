"""From a run's files to the vocabulary: Run, StepRun, and the generated history of the demo. Pure, but for one reader.

Generated history: ``generated.jsonl`` in the source's state folder, one JSON object a line::

    {"job": "load", "run": "gen-20260101T050000Z", "started": 1767243600000, "ended": 1767243660000,
     "state": "success", "business_date": "2025-12-31", "error": null}

``state`` is the lower-case name of a terminal State (``success warning failed timed_out stopped skipped lost missed``),
times are ms UTC, ``run`` is unique per job (without it one is formed from ``started``). Lines that do not read so are
left out. Such runs are shown as generated, and no alert comes from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.local import state as st
from adapters.local.planner import tick_id
from adapters.model import Run, RunKind, Shape, State, StepRun, pipeline_key, run_key


def to_run(source: str, state: st.Record, *, backfilled: bool = False) -> Run:
    """A run as its state file tells it; keys that an older version did not write read as absent."""
    pipe = pipeline_key(source, state["job"])
    rerun_of = state.get("rerun_of")
    found = State(state["state"])
    return Run(
        key=run_key(pipe, state["run"]),
        native=state["native"],
        state=found,
        sub=state.get("sub"),
        kind=RunKind(state["kind"]),
        shape=Shape.PARTIAL if state.get("partial") else Shape.FULL,
        params=state.get("params"),
        business_date=state.get("business_date"),
        rerun_of=run_key(pipe, rerun_of) if rerun_of else None,
        queued=state.get("queued"),
        started=state.get("started"),
        ended=state.get("ended"),
        source_updated=state.get("updated"),
        error=state.get("error") if found.terminal else None,
        exit_code=state.get("exit_code"),
        client_id=state.get("client_id"),
        stopped_by=state.get("stopped_by") if found in (State.STOPPED, State.STOPPING) else None,
        backfilled=backfilled,
    )


def to_steps(source: str, state: st.Record) -> list[StepRun]:
    """Every try of every step, in order; while the run is held its running step is HELD too."""
    key = run_key(pipeline_key(source, state["job"]), state["run"])
    held = state["state"] in (State.HELD, State.STOPPING)
    found: list[StepRun] = []
    for order, step in enumerate(state["steps"]):
        own = State(step["state"])
        lent = held and own == State.RUNNING
        found.append(
            StepRun(
                run=key,
                step=step["name"],
                attempt=step["try"],
                native=state["native"] if lent else step["native"],
                state=State(state["state"]) if lent else own,
                sub=step.get("sub"),
                queued=step.get("queued"),
                started=step.get("started"),
                ended=step.get("ended"),
                order=order,
                error=step.get("error"),
                exit_code=step.get("exit_code"),
            )
        )
    return found


def generated(folder: Path, source: str, offset: int = 0, limit: int = 2000) -> tuple[list[Run], int | None]:
    """Made-up runs from byte ``offset`` on, and the offset of what follows (None: that was all)."""
    found: list[Run] = []
    try:
        with open(folder / "generated.jsonl", "rb") as lines:
            lines.seek(offset)
            for raw in lines:
                offset += len(raw)
                if (run := _generated(source, raw)) is not None:
                    found.append(run)
                if len(found) >= limit:
                    return found, offset
    except OSError:
        pass
    return found, None


def _generated(source: str, raw: bytes) -> Run | None:
    try:
        row: Any = json.loads(raw)
        state = State[str(row["state"]).upper().replace(" ", "_")]
        started, ended = int(row["started"]), int(row["ended"])
        job, error, date = str(row["job"]), row.get("error"), row.get("business_date")
        run = str(row.get("run") or f"gen-{tick_id(started)}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not state.terminal or not job or not 0 <= started <= ended:
        return None
    return Run(
        key=run_key(pipeline_key(source, job), run),
        native=state.name.lower().replace("_", " "),
        state=state,
        business_date=str(date) if date else None,
        queued=started,
        started=started,
        ended=ended,
        source_updated=ended,
        error=str(error) if error else None,
        backfilled=True,
        generated=True,
    )
