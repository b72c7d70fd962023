"""What the morning check says of deadlines: those of the night, and those of the day that begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapters.model import Owed, unquote_id
from tui.present import words
from tui.present.cut import clean, first_line
from tui.present.morning_item import NAMED, Item, Tick, named

if TYPE_CHECKING:
    from engine.store.reader import Reader
    from engine.store.rows import OwedRow

AHEAD: Final = words.DAY
WEEK: Final = 7 * words.DAY
ENOUGH: Final = 20
"""Predictions that settled within a week, below which nothing is said of how right they were."""


def deadlines(reader: Reader, since: int, now: int, tz: str, covered: set[str]) -> list[Item]:
    """2: what was due since then; what broke and does not stand on the Floor already."""
    found: list[Item] = []
    rows = [r for r in reader.owed(since, now) if r.due <= now or r.state in (Owed.BREACHED, Owed.AT_RISK)]
    by: dict[Owed, list[OwedRow]] = {}
    for row in rows:
        by.setdefault(row.state, []).append(row)
    for row in (*by.get(Owed.BREACHED, ()), *by.get(Owed.AT_RISK, ())):
        if row.thing in covered or (not row.declared and row.state is Owed.AT_RISK):
            continue
        covered.add(row.thing)
        said = (
            f"{row.state.name.lower().replace('_', ' ')}: due {words.clock(row.due, tz, now)}",
            first_line(row.reason),
        )
        found.append(
            Item(
                f"owed|{row.key}",
                "deadlines",
                Tick.BAD,
                clean(row.name),
                said,
                row.thing,
                row.run_key,
                row.since or row.due,
            )
        )
    unknown = [r for r in by.get(Owed.UNKNOWN, ()) if r.declared]
    if unknown:
        said = (named([clean(r.name) for r in unknown]), "not seen since before they were due")
        found.append(
            Item(
                "unknown|" + "|".join(r.key for r in unknown[:20]),
                "deadlines",
                Tick.BLIND,
                words.many(len(unknown), "deadline"),
                said,
            )
        )
    late = by.get(Owed.MET_LATE, [])
    if late:
        names = [
            f"{clean(r.name)} {words.lateness(r.lateness_ms)}"
            for r in sorted(late, key=lambda r: -(r.lateness_ms or 0))
        ]
        found.append(Item("late", "deadlines", Tick.NOTE, f"{len(late)} met late", (named(names),)))
    left_out = [*by.get(Owed.WAIVED, ()), *by.get(Owed.EXCLUDED, ())]
    if left_out:
        names = [f"{clean(r.name)} ({first_line(r.reason)})" for r in left_out]
        found.append(Item("excused", "deadlines", Tick.NOTE, f"{len(left_out)} not owed", (named(names),)))
    met = [r for r in by.get(Owed.MET, ()) if r.declared]
    if met:
        found.append(
            Item(
                "met",
                "deadlines",
                Tick.FINE,
                f"{len(met)} met",
                (f"last {clean(met[-1].name)}, due {words.clock(max(r.due for r in met), tz, now)}",),
            )
        )
    elif not rows and not reader.owed(now, now + AHEAD):
        found.append(
            Item(
                "none",
                "deadlines",
                Tick.NOTE,
                "no deadline is known",
                (
                    ("some sources have never answered: what their pipelines owe cannot be told",)
                    if any(source.last_ok is None for source in reader.sources())
                    else ("an [[expectation]] says what is owed, and by when",)
                ),
            )
        )
    right = reader.calibration(now - WEEK)
    if right.n >= ENOUGH and right.error is not None:
        warned = f"{right.right} of {right.warned} warnings came true" if right.warned else "nothing was warned of"
        off = f"P(late) was off by {right.error * 100:.0f} points on average over {right.n} predictions"
        if right.off_ms is not None:
            off += f" · ends by {words.rough(right.off_ms)}"
        found.append(Item("calibration", "deadlines", Tick.NOTE, "predictions, 7 days", (warned, off)))
    for event in reader.owed_events(since, NAMED):
        name = event.thing.partition(":")[2] or event.thing
        said = (first_line(event.words), words.clock(event.at, tz, now))
        found.append(
            Item(f"event|{event.thing}|{event.at}", "deadlines", Tick.NOTE, clean(unquote_id(name)), said, event.thing)
        )
    for said in reader.owed_warnings():
        place = (said.place,) if said.place else ()
        found.append(
            Item(
                f"warning|{said.promise}|{said.words}",
                "deadlines",
                Tick.NOTE,
                clean(said.promise),
                (first_line(said.words), *place),
            )
        )
    return found


def ahead(reader: Reader, now: int, tz: str) -> list[Item]:
    """7: the next 24 hours: windows and deadlines."""
    found: list[Item] = []
    for span in reader.spans(now, now + AHEAD):
        name = clean(span.name)
        when = f"{words.clock(span.start, tz, now)}–{words.clock(span.until, tz, max(span.start, now))}"
        found.append(
            Item(
                f"window|{name}|{span.start}",
                "ahead",
                Tick.NOTE,
                f"{clean(span.kind)} {name}",
                (when, first_line(span.words)),
            )
        )
    due = [r for r in reader.owed(now, now + AHEAD) if r.declared and r.due > now and r.state.waiting]
    if due:
        first = min(due, key=lambda r: r.due)
        found.append(
            Item(
                "ahead",
                "ahead",
                Tick.FINE,
                words.many(len(due), "deadline"),
                (f"in the next 24 hours, first {clean(first.name)} {words.clock(first.due, tz, now)}",),
            )
        )
    return found
