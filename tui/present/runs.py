"""The cells of a list of runs, and what its filter asks of the store and of the row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import RunKind, State
from tui.present import frame, words
from tui.present.cut import clean, cut, cut_middle, first_line
from tui.present.filters import Filter
from tui.present.floor_rows import short_source, state_cell
from tui.present.glyphs import LOOKS
from tui.present.lines import Cell, Column, recolour, row

if TYPE_CHECKING:
    from engine.store.rows import Glance, RunRow, TraitRow
    from tui.view import Span

FIELDS: Final = ("state", "src", "source", "env", "owner", "layer", "app", "kind", "date", "name", "tag", "is")
NUMBERS: Final = ("age", "dur", "attempt")
_OF_PIPELINE: Final = frozenset({"", "source", "environment", "owner", "layer", "application", "name", "tags"})
KINDS: Final[Mapping[RunKind, str]] = {
    RunKind.SCHEDULED: "schedule", RunKind.MANUAL: "manual", RunKind.BACKFILL: "backfill", RunKind.RERUN: "rerun",
}  # fmt: skip


NEAR: Final = 64
"""So many pipelines are asked each for their newest runs; of more, a window of all runs is looked through."""
_KIND_WORDS: Final = {int(kind): f"{word} {kind.name.lower()}" for kind, word in KINDS.items()}


def state_words(state: State) -> str:
    """All that a filter may call a state: our word, the model's name, and ``bad``, ``active`` or ``done``."""
    groups = [("bad", state.bad), ("active", state.active), ("done", state.terminal)]
    return " ".join([LOOKS[state].word, state.name.lower(), *(word for word, holds in groups if holds)])


def all_state_words() -> frozenset[str]:
    return frozenset(w for s in State for w in state_words(s).split())


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a filter the store answers by its indexes, and what is asked of each row that it gives."""

    states: frozenset[State] | None
    """None: all."""
    pipelines: list[int] | None
    """Ids; None: all."""
    text: str | None
    """The beginning of a run's id, where no pipeline is like the words."""
    since: int | None
    """Older runs than this (ms UTC) need not be looked at."""
    before: int | None
    """Nor newer ones than this."""
    light: Filter
    """What a glance at a run answers: its kind, date and numbers."""
    rest: Filter
    """What is asked of the whole row."""

    @property
    def walks(self) -> bool:
        """Whether runs of all or many pipelines have to be looked through."""
        many = self.pipelines is None or len(self.pipelines) > NEAR
        return many and self.text is None and (bool(self.light) or self.pipelines is not None)

    def keeps(self, now: int) -> Callable[[Glance], bool]:
        """For a walk: whether a run passes all but ``rest``."""
        wanted = None if self.pipelines is None else frozenset(self.pipelines)
        light, dated = self.light, self.light.asks("business_date")

        def keep(g: Glance) -> bool:
            if wanted is not None and g.pipeline_id not in wanted:
                return False
            if not light:
                return True
            facts = {"kind": _KIND_WORDS[g.kind], "business_date": g.business_date if dated else ""}
            return light.holds(facts, lambda name: _number(name, g, now))

        return keep


def _number(name: str, r: Glance | RunRow, now: int) -> int | None:
    """Numbers of a run: its age and duration in ms, its attempt."""
    match name:
        case "age":
            return now - r.at
        case "dur" if r.started is not None:
            return max((r.ended if r.ended is not None else now) - r.started, 0)
        case "attempt":
            return r.attempt
        case _:
            return None


def asked(wanted: Filter, traits: Sequence[TraitRow], now: int) -> Asked:
    """Take a filter apart: states and pipelines go to the store, ages become places, the rest is for the rows."""
    positive = [t for t in wanted.terms if t.fact == "state" and not t.negative]
    negative = [t for t in wanted.terms if t.fact == "state" and t.negative]
    states = None
    if positive or negative:
        words_of = {s: {"state": state_words(s)} for s in State}
        states = frozenset(
            s
            for s in State
            if (not positive or any(t.holds(words_of[s]) for t in positive))
            and all(t.holds(words_of[s]) for t in negative)
        )
    of_pipeline = tuple(t for t in wanted.terms if t.fact in _OF_PIPELINE and not t.op)
    rest = tuple(t for t in wanted.terms if t.fact != "state" and (t.op or t.fact not in _OF_PIPELINE))
    pipelines: list[int] | None = None
    text: str | None = None
    if of_pipeline:
        part = Filter("", of_pipeline)
        pipelines = [t.id for t in traits if part.holds(pipeline_facts(t))]
        plain = [t.value for t in of_pipeline if not t.fact and not t.negative]
        if not pipelines and len(plain) == 1:  # a run may be called so
            text, other = plain[0], tuple(t for t in of_pipeline if t.fact or t.negative)
            pipelines, rest = None, (*rest, *other)
        elif len(pipelines) == len(traits):
            pipelines = None
    ages = [t for t in wanted.terms if t.fact == "age" and t.op and not t.negative]
    return Asked(
        states=states,
        pipelines=pipelines,
        text=text,
        since=max((now - t.number for t in ages if t.op == "<"), default=None),
        before=min((now - t.number for t in ages if t.op == ">"), default=None),
        light=Filter(wanted.text, tuple(t for t in rest if t.op or t.fact in ("kind", "business_date"))),
        rest=Filter(wanted.text, tuple(t for t in rest if not (t.op or t.fact in ("kind", "business_date")))),
    )


def pipeline_facts(t: TraitRow) -> dict[str, str]:
    return {
        "key": t.key, "name": t.name, "source": t.source, "environment": t.environment, "owner": t.owner, "layer": t.layer,
        "application": t.application, "tags": t.tags,
    }  # fmt: skip


def facts(r: RunRow, *, stale: bool = False, marked: bool = False) -> dict[str, str]:
    """What a filter asks of a run itself. A run that ended badly is a problem; what ended stays true."""
    active = r.state.active
    said = ["running" if active else "", "problem" if r.state.bad else "", "stale" if stale and active else "", "marked" if marked else ""]  # fmt: skip
    return {
        "key": r.key, "name": r.name, "source": r.source, "environment": r.environment, "kind": f"{KINDS[r.kind]} {r.kind.name.lower()}",
        "business_date": r.business_date or "", "is": " ".join(filter(None, said)),
    }  # fmt: skip


def number(r: RunRow, now: int) -> Callable[[str], int | None]:
    """Numbers of a run for a filter."""
    return lambda name: _number(name, r, now)


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
        waits = r.started is None and r.state is not State.RUNNING  # not every system tells when a run began
        took = "?" if stale or (ran is None and not waits) else "waits" if waits else words.running(ran)
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
