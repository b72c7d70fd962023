"""The engine itself, on screen: why it can record nothing, what it costs, when nobody watched. Pure rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tui.present import words
from tui.present.cut import clean, first_line
from tui.present.head import trouble
from tui.present.lines import fit

if TYPE_CHECKING:
    from engine.store.rows import OwnEventRow, OwnState
    from tui.view import Context, Line, Span

_NAMES: Final = {
    "full": "disk full",
    "denied": "store cannot be written",
    "rebuilding": "store damaged",
}
_EVENTS: Final = {
    "blind": "nobody watched",
    "full": "nothing recorded",
    "clock": "clock set",
    "damaged": "store made anew",
    "restored": "store restored",
}
_LABEL: Final = 8
LOW_DISK: Final = 100 << 20
LONG_WAL: Final = 64 << 20
"""Bytes at which the engine alarms (engine.health says the same)."""


# --- when nothing can be recorded -----------------------------------------------------------------------------------


def short(ctx: Context) -> str:
    """``disk full``; empty where all can be recorded."""
    found = trouble(ctx)
    return "" if found is None else _NAMES.get(found.kind, "nothing is recorded")


def at(ctx: Context, when: str) -> str:
    """``nothing is recorded since 05:12``; empty where all can be."""
    return f"nothing is recorded since {when}" if trouble(ctx) is not None else ""


def words_of(ctx: Context) -> str:
    """What the engine says of it, one line."""
    found = trouble(ctx)
    return "" if found is None else first_line(found.words)


def banner(ctx: Context, narrow: bool) -> list[list[Span]]:
    """Two rows in red: since when nothing is recorded and what that means; how much room there is and what to do."""
    found = trouble(ctx)
    if found is None:
        return []
    now, tz = ctx.now(), ctx.timezone
    since = f"since {words.clock(found.since, tz, now)}, {words.age(max(now - found.since, 0))}"
    more = "  ·  no action possible" if narrow else "  ·  nothing is recorded, no action possible, no message goes out"
    first: list[Span] = [(f" {short(ctx).upper()} ", "b"), (f" {since}", "b"), (more, "")]
    where = clean(str(ctx.reader.path.parent))
    if found.kind == "rebuilding":
        second: list[Span] = [(" It is kept aside and a new one is made from the sources: a moment.", "")]
    elif found.kind == "full":
        room: tuple[int, int] | None = ctx.extra.get("room")
        left = "" if room is None else f"{words.size(room[0])} free of {words.size(room[1])}.   "
        second = [(f" {left}", ""), ("Free space, it goes on by itself", "b"), (f"   {where}", "")]
    else:
        second = [(f" Let the engine write to {where}: it goes on by itself.", "b")]
    return [first, second]


# --- on Sources -----------------------------------------------------------------------------------------------------


def _fact(label: str, clauses: Sequence[words.Clause], width: int) -> Line:
    said = words.sentence(clauses, width - _LABEL - 4)
    return fit([(" ", ""), (f"{label:<{_LABEL}}", "dim"), ("  ", ""), *said], width)


def engine_lines(own: OwnState, ctx: Context, width: int) -> list[Line]:
    """What the engine costs, its messages that wait, its polls by cost, when nobody watched; nothing where it never measured."""
    tz, now = ctx.timezone, ctx.now()
    v = own.values
    out: list[Line] = []
    if v:
        clauses: list[words.Clause] = []
        if "own.disk.free" in v:
            low = v["own.disk.free"] < LOW_DISK
            clauses.append([(f"{words.size(v['own.disk.free'])} of disk free", "run-late b" if low else "text")])
        if "own.store" in v:
            clauses.append(f"store {words.size(v['own.store'])}")
        if "own.wal" in v:
            held = v["own.wal"] > LONG_WAL
            said = f"WAL {words.size(v['own.wal'])}{', a reader holds it' if held else ''}"
            clauses.append([(said, "run-late b" if held else "dim")])
        if "own.memory" in v:
            clauses.append(f"memory {words.size(v['own.memory'])}")
        if "own.cpu" in v:
            clauses.append(f"cpu {v['own.cpu']:.1f}%")
        if "own.late" in v:
            clauses.append(f"late \u2264 {v['own.late']:.0f} ms")
        out.append(_fact("Costs", clauses, width))
        waiting = int(v.get("own.outbox", 0))
        if waiting:
            oldest = words.age(int(v.get("own.outbox.oldest", 0) * 1000))
            out.append(_fact("Outbox", [f"{words.many(waiting, 'message')} to deliver", f"oldest {oldest}"], width))
    costs = sorted(own.polls.items(), key=lambda p: -p[1].get("ms", 0.0))
    polls: list[words.Clause] = []
    for name, cost in costs:
        took = f"{cost['ms']:.0f} ms" if "ms" in cost else "n/a"
        polls.append(
            [
                (clean(name), "text"),
                (f" {took}, {cost.get('requests', 0):.0f} req {words.size(cost.get('bytes'))} a min", "dim"),
            ]
        )
    if polls:
        out.append(_fact("Polls", polls, width))
    told = [e for e in own.events if e.what in _EVENTS]
    starts = sum(e.what == "start" for e in own.events)
    if told or starts > 1:
        clauses = [_event(e, tz, now) for e in reversed(told)]
        if starts > 1:
            clauses.append(f"started {starts} times in 7 days")
        out.append(_fact("Seams", clauses, width))
    return out


def _event(event: OwnEventRow, tz: str, now: int) -> words.Clause:
    """``nobody watched 03:10-03:25``."""
    when = words.clock(event.at, tz, now)
    if event.until is not None and event.until - event.at >= 60_000:
        when += f"\u2013{words.clock(event.until, tz, event.at)}"
    spans: list[Any] = [(f"{_EVENTS[event.what]} ", "text" if event.what == "clock" else "run-late"), (when, "text")]
    if event.what in ("damaged", "restored"):
        spans.append((f": {first_line(event.words)}", "dim"))
    return spans


def data(own: OwnState) -> dict[str, Any]:
    """For ``show sources --format json``."""
    return {
        "measured": own.at,
        "numbers": {
            name.removeprefix("own.").replace(".", "_"): v for name, v in own.values.items() if not name.startswith("own.poll.")
        },
        "polls": own.polls,
        "events": [{"at": e.at, "until": e.until, "what": e.what, "words": e.words} for e in own.events],
    }  # fmt: skip
