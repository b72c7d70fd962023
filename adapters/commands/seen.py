"""Runs of a driver that says how a pipeline stands and never which run that is: told from one look to the next.

A run begins when its pipeline is first seen running and ends when it is not any more. What began and ended between two looks
is seen only if the word changed. Kept in one small file, so that a restart makes no second run of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.commands.wire import STEP, RunTold, iso
from adapters.local.state import read_json, write_json
from adapters.model import Run, State, StepRun, pipeline_key, run_key


class Seen:
    """File work for a thread."""

    def __init__(self, source: str, folder: Path) -> None:
        self._source = source
        self._file = folder / "seen.json"
        self._known: dict[str, Any] | None = None

    def look(self, bare: Mapping[str, Run], now: int, complete: Collection[str] | None) -> dict[str, RunTold]:
        """Runs of these states, by key. ``complete``: all pipelines that there are; others are forgotten."""
        if self._known is None:
            self._known = read_json(self._file) or {}
        known, before = self._known, {k: dict(v) for k, v in self._known.items()}
        out: dict[str, RunTold] = {}
        for native, run in bare.items():
            out.update((r.run.key, r) for r in (self._one(known, native, run, now),))
        if complete is not None:
            for gone in set(known) - set(complete):
                del known[gone]
        if known != before:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, known, mode=0o600)
        return out

    def _one(self, known: dict[str, Any], native: str, run: Run, now: int) -> RunTold:
        last: dict[str, Any] | None = known.get(native)
        state = run.state
        was = None if last is None else State(last["state"])
        first = last is None
        if last is None or was is None or (was.terminal and state is not was):
            began = None if state.terminal else (run.started or now)
            last = {"id": f"seen-{iso(now)}", "started": began, "first": first and state.terminal}
            known[native] = last
        last["state"] = int(state)
        if state.terminal:
            last.setdefault("ended", run.ended or now)
        key = run_key(pipeline_key(self._source, native), last["id"])
        missed = state.terminal and last["started"] is None
        sub = run.sub or (
            "ended before it was first asked" if last["first"] else "not seen while it ran" if missed else None
        )
        made = replace(
            run,
            key=key,
            sub=sub,
            started=last["started"],
            ended=last.get("ended") if state.terminal else None,
            backfilled=run.backfilled or bool(last["first"]),
        )
        step = StepRun(
            run=key, step=STEP, native=run.native, state=state, sub=sub, started=made.started, ended=made.ended,
            error=run.error, exit_code=run.exit_code,
        )  # fmt: skip
        return RunTold(made, (step,))
