"""The cells of a list of runs, and what its filter asks of the store and of the row. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from adapters.model import RunKind, State
from tui.present import frame, words
from tui.present.cut import clean, cut, cut_middle, first_line
from tui.present.filters import Filter
from tui.present.floor_rows import short_source, state_cell
from tui.present.glyphs import LOOKS
from tui.present.lines import Cell, Column, recolour, row

if TYPE_CHECKING:
    from engine.store.rows import RunRow
    from tui.view import Span

FIELDS: Final = ("state", "src", "source", "env", "kind", "date", "name")
KINDS: Final[Mapping[RunKind, str]] = {
    RunKind.SCHEDULED: "schedule", RunKind.MANUAL: "manual", RunKind.BACKFILL: "backfill", RunKind.RERUN: "rerun",
}  # fmt: skip


def state_words(state: State) -> str:
    """All that a filter may call a state: our word, the model's name, and ``bad``, ``active`` or ``done``."""
    groups = [("bad", state.bad), ("active", state.active), ("done", state.terminal)]
    return " ".join([LOOKS[state].word, state.name.lower(), *(word for word, holds in groups if holds)])


def all_state_words() -> frozenset[str]:
    return frozenset(w for s in State for w in state_words(s).split())


def asked_of_store(wanted: Filter) -> tuple[frozenset[State] | None, str | None]:
    """What the store can answer by index: (states or None for all, words that the pipeline's key must hold)."""
    positive = [t.value for t in wanted.terms if t.fact == "state" and not t.negative]
    negative = [t.value for t in wanted.terms if t.fact == "state" and t.negative]
    states = None
    if positive or negative:
        states = frozenset(
            s
            for s in State
            if (not positive or any(v in state_words(s) for v in positive))
            and not any(v in state_words(s) for v in negative)
        )
    text = [t.value for t in wanted.terms if not t.negative and t.fact == ""]
    return states, " ".join(text) or None


def rest_of(wanted: Filter) -> Filter:
    """The terms that are asked of each row here."""
    return Filter(wanted.text, tuple(t for t in wanted.terms if t.fact != "state" and (t.fact or t.negative)))


def facts(r: RunRow) -> dict[str, str]:
    return {
        "key": r.key, "name": r.name, "source": r.source, "environment": r.environment, "kind": f"{KINDS[r.kind]} {r.kind.name.lower()}",
        "business_date": r.business_date or "",
    }  # fmt: skip


def columns(width: int) -> list[Column]:
    """By width: 80 keeps state, pipeline, start, duration and error; wider ones say the rest."""
    if frame.is_narrow(width):
        spare = max(width - 80, 0)
        error = max(width - 1 - 10 - 1 - (21 + spare // 2) - 1 - 9 - 1 - 9 - 2 - 1, 0)
        return [
            Column("STATE", 10, gap=0), Column("PIPELINE", 21 + spare // 2), Column("STARTED", 9), Column("RUN", 9, "r"),
            Column("USUAL", 0), Column("KIND", 0), Column("DATE", 0), Column("TRY", 0), Column("SOURCE", 0), Column("ERROR", error, gap=2),
        ]  # fmt: skip
    wide = frame.is_wide(width)
    name, date, source = (36, 10, 16) if wide else (24, 6, 12)
    fixed = 1 + 11 + 1 + name + 1 + 9 + 1 + 7 + 3 + 8 + 2 + 8 + 1 + date + 1 + 3 + 1 + source + 1
    return [
        Column("STATE", 11, gap=0), Column("PIPELINE", name), Column("STARTED", 9), Column("RUN", 7, "r"), Column("/ USUAL", 8, gap=1),
        Column("KIND", 8, gap=2), Column("DATE", date), Column("TRY", 3, "r"), Column("SOURCE", source), Column("ERROR", width - fixed - 1),
    ]  # fmt: skip


def run_row(r: RunRow, cols: list[Column], tz: str, now: int, *, stale: bool, here: bool) -> list[Span]:
    """One run. An active run of a source that cannot be seen is drawn stale; what has ended stays true."""
    stale = stale and r.state.active
    look = LOOKS[r.state]
    ran = None if r.started is None else max((r.ended if r.ended is not None else now) - r.started, 0)
    if r.state.active:
        took = "?" if stale else words.running(ran) if r.started is not None else "waits"
    else:
        took = "n/a" if r.state in (State.MISSED, State.SKIPPED) and ran is None else words.duration(ran)
    late = r.usual_ms is not None and ran is not None and ran > 2 * r.usual_ms and ran - r.usual_ms > words.MINUTE
    error = first_line(r.error or r.sub or "")
    if r.generated:
        error = f"generated · {error}" if error else "generated for the demo"
    date = clean(r.business_date or "")
    short_date = date if cols[6].width >= 10 or not date else date[5:]
    values: list[Cell] = [
        state_cell(look, stale, cols[0].width < 11),
        [(cut_middle(clean(r.name), cols[1].width), "text b" if here else "text")],
        [
            (
                words.clock(r.started if r.started is not None else r.queued or r.at, tz, now),
                "dim" if r.started is None else "text",
            )
        ],
        [(took, "run-late" if late else "text")],
        [(f"/ {words.rough(r.usual_ms)}" if r.usual_ms is not None else "/ ?", "dim")],
        [(KINDS[r.kind], "dim")],
        [(short_date or "n/a", "dim")],
        [(str(r.attempt), "run-late" if r.attempt > 1 else "dim")],
        [(short_source(clean(r.source), cols[8].width), "dim")],
        [(cut(error, cols[9].width), "text" if r.state.bad else "dim")],
    ]
    line = row(cols, values)
    return recolour(line, "run-stale") if stale else line


def record(r: RunRow) -> dict[str, Any]:
    """One run for JSON and CSV; field names are the model's, times ms UTC."""
    return {
        "key": r.key, "pipeline": r.pipeline_key, "name": r.name, "source": r.source, "environment": r.environment,
        "state": r.state.name.lower(), "word": LOOKS[r.state].word, "native": r.native, "sub": r.sub, "kind": r.kind.name.lower(),
        "attempt": r.attempt, "business_date": r.business_date, "queued": r.queued, "started": r.started, "ended": r.ended,
        "error": r.error, "usual_ms": r.usual_ms, "generated": r.generated,
    }  # fmt: skip
