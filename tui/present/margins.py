"""Feeds: when each was expected, when it came, and how long before the first run that needs it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Owed
from tui.present import bars, frame, owed, words
from tui.present.cut import clean, cut, cut_middle, first_line
from tui.present.glyphs import Look
from tui.present.lines import Cell, Column, row
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import FeedRow, OwedRow
    from tui.view import Span

LAST: Final = 20
"""Margins that say what is usual."""
TELLING: Final = 8
"""Margins below which one bad day would be a rule; the engine warns from as many on."""
LEAST: Final = 5
"""Margins until a trend is spoken of."""
STEADY: Final = 0.1
"""Share of the typical margin that it may move without being a trend."""

OK: Final = Look("✓", "+", "in time", "run-ok")
LATE: Final = Look("◆", "*", "late", "run-failed b")
CAME_LATE: Final = Look("✓", "+", "was late", "run-late", "late")
THIN: Final = Look("▲", "!", "thin", "run-late b")
UNSEEN: Final = Look("?", "?", "never", "run-stale b")
BLIND: Final = Look("?", "?", "unknown", "run-stale b")
WAITS: Final = Look("◇", ".", "owed", "dim")
HERE: Final = Look("·", ".", "here", "dim")


@dataclass(frozen=True, slots=True)
class Source:
    """A feed and the arrival that is owed of it now, if one is."""

    feed: FeedRow
    owed: OwedRow | None
    silent: bool = False
    """Nobody looks for it now."""

    @property
    def last(self) -> int | None:
        """The newest margin, ms; negative: a run that needs it started before it came."""
        return self.feed.margins[-1].ms if self.feed.margins else None

    @property
    def p10(self) -> int | None:
        """The margin in ms that one date in ten fell below."""
        found = sorted(m.ms for m in self.feed.margins[-LAST:])
        if not found:
            return None
        spot = (len(found) - 1) * 0.1
        low = int(spot)
        high = min(low + 1, len(found) - 1)
        return round(found[low] + (found[high] - found[low]) * (spot - low))

    @property
    def thin(self) -> bool:
        """One date in ten had less than the declared buffer; without one, less than nothing. A few dates say nothing yet."""
        p10 = self.p10
        return p10 is not None and len(self.feed.margins) >= TELLING and p10 < (self.feed.buffer_ms or 0)

    @property
    def came(self) -> int | None:
        """When it came: by what kept the promise where one was kept, so that a file that came again does not look late."""
        o, at = self.owed, self.feed.arrived
        if at is not None and o is not None and o.state in (Owed.MET, Owed.MET_LATE) and o.met_at is not None:
            return min(o.met_at, at)
        return at

    @property
    def look(self) -> Look:
        if self.silent or self.feed.error:
            return BLIND
        if self.owed is not None and self.owed.state is Owed.BREACHED:
            return LATE
        if self.feed.arrived is None:
            return UNSEEN
        if self.thin:
            return THIN
        if self.owed is None:
            return HERE
        if self.owed.state is Owed.MET_LATE:
            return CAME_LATE
        return OK if self.owed.state is Owed.MET else WAITS

    @property
    def place(self) -> tuple[int, int, str]:
        """Worst first, then by how little margin there is."""
        order = (LATE, BLIND, UNSEEN, THIN, CAME_LATE, WAITS, OK, HERE)
        spare = self.p10 if self.p10 is not None else 1 << 60
        return order.index(self.look), spare - (self.feed.buffer_ms or 0), self.feed.name


def trend(margins: Sequence[int]) -> tuple[str, int]:
    """(``shrinks 45m → 32m`` or ``grows …`` or ``steady``, its sign) of the older against the newer half; by medians, so that
    one bad day is no trend."""
    if len(margins) < LEAST:
        return f"{len(margins)} of {LEAST} margins seen", 0
    half = len(margins) // 2
    old, new = median(margins[:half]), median(margins[-half:])
    moved = new - old
    if abs(moved) < max(STEADY * abs(old), words.MINUTE):
        return "steady", 0
    return f"{'shrinks' if moved < 0 else 'grows'} {margin(round(old))} → {margin(round(new))}", -1 if moved < 0 else 1


def median(values: Sequence[int]) -> float:
    """Of values in any order, not empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def margin(ms: int | None) -> str:
    """``32m``, ``-8m``: negative where a run began before it came."""
    if ms is None:
        return "?"
    return ("-" if ms < 0 else "") + words.rough(abs(ms))


def todo(s: Source) -> list[str]:
    """What to do about it, as clauses; none where nothing is to be done."""
    f = s.feed
    if f.error:
        return [f"it cannot be looked for: {first_line(f.error)}", "let the engine's user read its folder"]
    if f.arrived is None:
        return [f"see whether a file like {clean(f.file)} is on this host", "or mend file in its [[feed]]"]
    if s.thin and f.buffer_ms is not None:
        return ["one date in ten has less margin than is declared", "ask for it earlier, or start later"]
    if s.thin:
        return ["runs start before it is here", "ask for it earlier, or start later"]
    return []


def columns(n: int) -> list[Column]:
    narrow, wide = frame.is_narrow(n), frame.is_wide(n)
    spark = 0 if narrow else LAST
    name = 16 if narrow else 32 if wide else 20
    fixed = 1 + 10 + 1 + name + 1 + 9 + 1 + 9 + 1 + 6 + 1 + 6 + 1 + 6 + (2 + spark if spark else 0) + 2 + 1
    return [
        Column("STATE", 10, gap=0), Column("FEED", name), Column("EXPECTED", 9), Column("ARRIVED", 9), Column("MARGIN", 6, "r"),
        Column("P10", 6, "r"), Column("BUFFER", 6, "r"), Column(f"LAST {LAST}", spark, gap=2), Column("TREND", max(n - fixed, 4), gap=2),
    ]  # fmt: skip


def feed_row(s: Source, cols: Sequence[Column], tz: str, now: int, *, here: bool) -> list[Span]:
    f, o = s.feed, s.owed
    look = s.look
    margins = [m.ms for m in f.margins[-LAST:]]
    said, sign = trend(margins)
    low = min(0, *margins) if margins else 0
    expected = words.clock(o.due, tz, now) if o is not None else "no date"
    arrived = "never" if s.came is None else words.clock(s.came, tz, now)
    late = o is not None and o.state in (Owed.MET_LATE, Owed.BREACHED)
    values: list[Cell] = [
        [(look.glyph, look.token), ("  ", ""), (look.narrow if cols[0].width < 10 else look.word, look.style)],
        [(cut_middle(clean(f.name), cols[1].width), "text b" if here else "text")],
        [(expected, "dim")],
        [(arrived, "run-late" if late else "text")],
        [(margin(s.last), "run-late" if s.last is not None and s.last < 0 else "text")],
        [(margin(s.p10), "run-late b" if s.thin else "text")],
        [("none" if f.buffer_ms is None else words.rough(f.buffer_ms), "dim")],
        bars.sparkline([m - low for m in margins], cols[7].width) if cols[7].width else [],
        [
            (
                cut(
                    "cannot be looked for" if f.error else looked(f, now) if f.arrived is None else said, cols[8].width
                ),
                "run-late" if sign < 0 else "dim",
            )
        ],
    ]
    return row(cols, values)


def looked(f: FeedRow, now: int) -> str:
    return "never looked for yet" if f.looked is None else f"looked for {words.age(max(now - f.looked, 0))} ago"


def feed_facts(s: Source, tz: str, now: int) -> list[tuple[str, list[Clause]]]:
    """Lines *Now*, *So*, *Next* of a feed."""
    f, o = s.feed, s.owed
    first: list[Clause] = []
    if f.arrived is not None:
        again = "" if s.came == f.arrived else f", again {words.clock(f.arrived, tz, now)}"
        first.append(f"{clean(f.what or f.name)} came {words.clock(s.came, tz, now)}{again}")
        if f.size is not None:
            first.append(words.size(f.size))
    else:
        first.append("never seen")
    if o is not None:
        first.append(f"{owed.due_words(o, tz, now)}, {owed.look(o).word}")
    facts: list[tuple[str, list[Clause]]] = [("Now", [*first, looked(f, now)])]
    if f.margins:
        m = f.margins[-1]
        said: list[Clause] = [
            f"{clean(m.run_key.partition('/')[0])} started {words.clock(m.started, tz, now)}, {margin(m.ms)} after it came"
            if m.ms >= 0 else f"{clean(m.run_key.partition('/')[0])} started {margin(-m.ms)} before it came",
            [("p10 of ", "dim"), (words.many(len(f.margins), "date"), "dim"), (f" {margin(s.p10)}", "run-late b" if s.thin else "text"), ("" if f.buffer_ms is None else f", declared buffer {words.rough(f.buffer_ms)}", "dim")],
            trend([x.ms for x in f.margins[-LAST:]])[0],
        ]  # fmt: skip
        facts.append(("So", said))
    else:
        facts.append(("So", ["no margin yet: it is taken when the first run that needs it starts"]))
    if do := todo(s):
        facts.append(("Do", [[(clause, "text b")] for clause in do]))
    if f.consumers:
        names = ", ".join(clean(c.partition(":")[2] or c) for c in f.consumers[:4])
        rest = f" and {len(f.consumers) - 4} more" if len(f.consumers) > 4 else ""
        facts.append(("Next", [f"{names}{rest} {'waits' if len(f.consumers) == 1 else 'wait'} for it"]))
    facts.append(("File", [[(clean(f.file), "text")], f"times in {clean(f.zone)}", clean(f.owner or "")]))
    return facts


def feed_record(s: Source) -> dict[str, Any]:
    """One feed for JSON; field names are the model's, times ms UTC."""
    f = s.feed
    return {
        "name": f.name, "file": f.file, "word": s.look.word, "expected": None if s.owed is None else s.owed.due,
        "state": None if s.owed is None else s.owed.state.name.lower(), "arrived": f.arrived, "what": f.what, "size": f.size,
        "looked": f.looked, "error": f.error, "margin_ms": s.last, "p10_ms": s.p10, "buffer_ms": f.buffer_ms,
        "trend": trend([m.ms for m in f.margins[-LAST:]])[0], "margins": [{"day": m.day, "ms": m.ms} for m in f.margins],
        "consumers": list(f.consumers), "owner": f.owner, "zone": f.zone,
    }  # fmt: skip
