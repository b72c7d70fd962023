"""How a promise is reckoned: what is now, why it is so likely late, and what hangs behind it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adapters.model import Course, Owed
from tui.present import owed, words
from tui.present.cut import clean
from tui.present.deadlines import Due, drift
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import Calibration, EdgeRow, OwedRow, PredictionRow
    from tui.view import Span

Fact = tuple[str, list[Clause]]
"""A label and its sentence."""


def title_note(r: OwedRow) -> str:
    """What stands beside the name: how the promise reads, and how bad its breach is."""
    reads = clean(r.expectation)
    return f"{reads} · severity {r.severity.name.lower()}" if r.declared else f"{reads} · judged without configuration"


def reckoning(
    d: Due, things: Mapping[str, Due], edges: Sequence[EdgeRow], right: Calibration | None, tz: str, now: int
) -> list[Fact]:
    """Lines *Now*, *So*, *Next* and what else is to be said. ``things``: of each thing the promise that matters now."""
    facts: list[Fact] = [("Now", _now(d, things, edges, tz, now)), ("So", _so(d, tz, now))]
    nxt = _next(d, things, edges, tz)
    if right is not None and right.warned:
        nxt.append(f"right so far: {right.right} of {words.many(right.warned, 'warning')}")
    if nxt:
        facts.append(("Next", nxt))
    share = drift(d.row)
    if share is not None:
        r = d.row
        said: list[Clause] = [
            [("drift ", "run-late b"), (f"{share:+.0%}".replace("%", " %"), "run-late b"), (f": typically {words.rough(r.usual_ms)}, declared {words.rough(r.expected_ms)}", "text")],
            f"learnt of {words.many(r.usual_n, 'run')}", "the declared duration wants a look",
        ]  # fmt: skip
        facts.append(("Usual", said))
    more: list[Clause] = []
    if d.row.members:
        more.append(f"{len(d.row.members)} belong to it")
    if d.more:
        more.append(f"{d.more} more of its ticks like this one: a filter with its name lists them")
    if d.row.alert_at > d.row.due and d.row.state.unsettled:
        more.append(f"people are told at {words.clock(d.row.alert_at, tz, now)}")
    if d.row.runbook:
        more.append(f"runbook {clean(d.row.runbook)}")
    if d.row.owner:
        more.append(f"owner {clean(d.row.owner)}")
    if more:
        facts.append(("Also", more))
    return facts


def _now(d: Due, things: Mapping[str, Due], edges: Sequence[EdgeRow], tz: str, now: int) -> list[Clause]:
    r, p = d.row, d.row.prediction
    out: list[Clause] = []
    if d.stale:
        seen = "never seen" if d.seen is None else f"not seen since {words.clock(d.seen, tz, now)}"
        out.append([(seen, "run-stale b"), (", nobody can tell how it stands", "text")])
        out.append([(f"last known: {owed.reason(r, tz)}", "text")])
    elif p is not None and r.state.unsettled and p.course in (Course.RUNNING, Course.OVERRUN):
        out.append(f"running {words.running(max(now - p.start, 0))} since {words.clock(p.start, tz, now)}")
    else:
        out.append(owed.reason(r, tz) or d.look.word)
    if r.state.unsettled:
        out += _waits(r, things, edges, tz, now)
    if p is not None and p.basis.learnt and r.state.unsettled:
        out.append(_history(r, p))
    return out


def _waits(r: OwedRow, things: Mapping[str, Due], edges: Sequence[EdgeRow], tz: str, now: int) -> list[Clause]:
    """Feeds that it needs, and what upstream has not done yet."""
    out: list[Clause] = []
    for edge in edges:
        up = things.get(edge.up) if edge.down == r.thing else None
        if up is None:
            continue
        name = clean(up.row.name)
        late = owed.lateness_ms(up.row, now)
        loud = late is not None and late > 0
        how: Span = (f" ({owed.short(late)})", "run-late") if loud and late is not None else ("", "")
        if edge.kind == "feed":
            if up.row.met_at is not None:
                out.append([(f"source {name} came {words.clock(up.row.met_at, tz, now)}", "text"), how])
            else:
                out.append([(f"source {name} is not here, due {words.clock(up.row.due, tz, now)}", "text"), how])
        elif up.row.state.unsettled:
            out.append([("waits for ", "dim"), (name, "text"), (f", {up.look.word}", up.look.token)])
    return out


def _history(r: OwedRow, p: PredictionRow) -> Clause:
    """``20 past runs: p50 44m, p90 56m``, as far as it can be read from what is kept: of survivors alone the p50 is another."""
    parts: list[str] = []
    whole = p.course in (Course.WAITING, Course.RERUN) or (p.course is Course.RUNNING and p.outlived == p.n)
    if whole and p.p50 is not None:
        parts.append(f"p50 {words.rough(p.p50 - p.start)}")
    if p.latest_start is not None:
        parts.append(f"p90 {words.rough(r.due - p.latest_start)}")
    return f"{words.many(p.n, 'past run')}{': ' if parts else ''}{', '.join(parts)}"


def _so(d: Due, tz: str, now: int) -> list[Clause]:
    """Why it is so likely late, or what came of it."""
    r, p = d.row, d.row.prediction
    match r.state:
        case Owed.MET | Owed.MET_LATE:
            late = owed.lateness_ms(r, now) or 0
            if r.state is Owed.MET_LATE:
                return [[("late by ", "text"), (words.running(late), "run-late")], "the promise was broken, then kept"]
            return [f"kept, {words.running(-late)} before it was due" if late < 0 else "kept"]
        case Owed.EXCLUDED:
            return ["nothing is owed on this date", clean(r.why_opened)]
        case Owed.WAIVED:
            return ["a person said that it is not owed", owed.still_counts(r)]
        case Owed.UNKNOWN:
            return ["unknown is neither kept nor broken", "it is judged again as soon as its source answers"]
        case _:
            pass
    if d.stale:
        was = (
            "it was broken; whether it was kept since, nobody can tell"
            if r.state is Owed.BREACHED
            else "unknown is neither kept nor broken"
        )
        return [was, "it is judged again as soon as its source answers"]
    out: list[Clause] = []
    if r.state is Owed.BREACHED:
        out.append(
            [(f"broken since {words.clock(r.since if r.since is not None else r.due, tz, now)}", "run-failed b")]
        )
    if p is None:
        starts = "" if r.state is Owed.BREACHED else "nothing to predict: it is there or it is not"
        return [*out, starts] if starts else out or [d.look.word]
    said = _odds(d, p, tz, now)
    return [*out, *said]


def _odds(d: Due, p: PredictionRow, tz: str, now: int) -> list[Clause]:
    r = d.row
    out: list[Clause] = []
    left = words.rough(max(r.due - p.start, 0))
    if p.course is Course.LEARNING:
        out.append(f"{owed.learning_words(p, r)}: no odds below {p.basis.need} runs")
    elif p.course is Course.OVERRUN:
        out.append([(f"longer than all {p.n} past runs", "text"), *_p_late(p)])
        out.append("nothing is known but that it takes longer")
    elif p.course is Course.RERUN:
        out.append([(owed.rerun_words(p, tz, now), "text"), *_p_late(p)])
    elif p.late is not None and d.later >= words.MINUTE:
        out.append(
            [
                (f"reckoned {words.clock(p.at, tz, now)}, not begun since", "text"),
                *_p_late(p, " or more" if p.late < 1 else ""),
            ]
        )
    elif p.late is not None and r.due > p.start:
        out.append([(_counted(p, left), "text"), *_p_late(p)])
    elif p.late is not None:
        out.append([("too late for every past run", "text"), *_p_late(p)])
    start = owed.start_words(r, tz, now)
    if start:
        out.append([(start, "run-late" if start.startswith("had") else "text")])
    return out


def _counted(p: PredictionRow, left: str) -> str:
    """Where P(late) comes from, counted in runs: those that had outlived this one when it was predicted."""
    late = round((p.late or 0.0) * p.outlived) if p.course is Course.RUNNING else round((p.late or 0.0) * p.n)
    if p.course is Course.RUNNING and p.outlived < p.n:
        gone = words.rough(max(p.at - p.start, 0))
        return f"{p.outlived} of {p.n} past runs took longer than {gone}, {late} of these longer than {left}"
    if late >= p.n:
        return f"not one of {words.many(p.n, 'past run')} was done within {left}"
    if late == 0:
        return f"each of {words.many(p.n, 'past run')} was done within {left}"
    return f"{late} of {words.many(p.n, 'past run')} took longer than {left}"


def _p_late(p: PredictionRow, more: str = "") -> list[Span]:
    if p.late is None:
        return []
    style = "run-late b" if p.late >= 0.5 else "text b"
    exact = f"{p.late:.1f}" if p.late in (0.0, 1.0) else f"{p.late:.2f}"
    return [(": ", "text"), (f"P(late) {exact}{more}", style)]


def _next(d: Due, things: Mapping[str, Due], edges: Sequence[EdgeRow], tz: str) -> list[Clause]:
    """What hangs behind it, soonest due first, then who waits for it."""
    r, p = d.row, d.row.prediction
    behind = sorted(
        (things[e.down] for e in edges if e.up == r.thing and e.down in things), key=lambda x: (x.row.due, x.row.name)
    )
    out: list[Clause] = []
    unsettled = [b for b in behind if b.row.state.unsettled]
    for b in unsettled[:3]:
        out.append(_held_up(r, p, b, tz))
    if len(unsettled) > 3:
        out.append(f"{len(unsettled) - 3} more behind it")
    if r.consumers:
        out.append(f"{', '.join(map(clean, r.consumers))} {'waits' if len(r.consumers) == 1 else 'wait'} for it")
    if not out and r.state.unsettled:
        out.append("nothing on this screen waits for it")
    return out


def _held_up(r: OwedRow, p: PredictionRow | None, b: Due, tz: str) -> Clause:
    name = f"{clean(b.row.name)} {words.clock(b.row.due, tz, r.due)}"
    if b.blind:
        return [(f"{name} waits for it, ", "text"), ("unknown", "run-stale")]
    if b.row.state is Owed.BREACHED:
        return [(name, "text"), (" is broken", "run-failed")]
    by = b.row.prediction.latest_start if b.row.prediction is not None else None
    if by is None or b.row.prediction is None or not b.row.prediction.basis.learnt:
        return f"{name} waits for it"
    tight = p is not None and p.p90 is not None and p.p90 > by
    end: Span = (words.clock(by, tz, r.due), "run-late" if tight else "text")
    if b.row.state is Owed.AT_RISK:
        return [(f"{name}, ", "text"), ("at risk", "run-late"), (f", wants {clean(r.name)} done by ", "text"), end]
    return [(f"{name} holds if {clean(r.name)} ends by ", "text"), end]
