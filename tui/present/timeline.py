"""Lanes of time: what ran, what is expected, what is due, on one axis in the reader's zone. Pure; times ms UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Course, Owed, State, Trigger
from tui.present import floor, lines, owed, words
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.cut import width as cell_width
from tui.present.glyphs import LOOKS
from tui.present.head import source_now
from tui.present.lines import merge

if TYPE_CHECKING:
    from engine.store.rows import Bar, OwedRow, SpanRow
    from tui.present.chain import Lane
    from tui.present.words import Clause
    from tui.view import Line, Span

HOUR: Final = words.HOUR
_QUARTER: Final = 15 * words.MINUTE


@dataclass(frozen=True, slots=True)
class Zoom:
    """How much time is in view; ``step``: what it begins on, and how far one key goes; ``tick``: hours between two labels."""

    word: str
    hours: int
    step: int
    tick: int

    @property
    def span(self) -> int:
        return self.hours * HOUR


ZOOMS: Final = (
    Zoom("6 hours", 6, HOUR // 2, 1), Zoom("12 hours", 12, HOUR, 1), Zoom("24 hours", 24, 2 * HOUR, 2),
    Zoom("3 days", 72, 6 * HOUR, 6), Zoom("7 days", 168, 12 * HOUR, 24),
)  # fmt: skip
DAY_ZOOM: Final = 2
_CELLS: Final = tuple(n for n in range(24, 433) if 6 * 3600 % n == 0)
"""Numbers of cells that divide every zoom into whole seconds: 60 at 80 columns, 96 at 120, 160 at 200."""


@dataclass(frozen=True, slots=True)
class Axis:
    """``cells`` columns of ``cell`` ms each, from ``start``."""

    start: int
    cell: int
    cells: int

    @property
    def end(self) -> int:
        return self.start + self.cell * self.cells

    def at(self, t: int) -> int:
        """The column of an instant; it may lie outside."""
        return (t - self.start) // self.cell

    def shows(self, t: int) -> bool:
        return self.start <= t < self.end


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things stand for one width: cells of the name and of the axis."""

    name: int
    cells: int

    @classmethod
    def of(cls, width: int) -> Frame:
        least = 18 if width < 110 else 22 if width < 180 else 28
        room = max(width - least - 1, _CELLS[0])
        cells = max(n for n in _CELLS if n <= room)
        return cls(max(width - cells - 1, 4), cells)


def begin(now: int, zoom: Zoom, tz: str) -> int:
    """Where a view around now begins: about half of it before now, on a round time of the reader's zone."""
    middle = now - zoom.span // 2
    local = middle + _offset(middle, tz)
    local = (local + zoom.step // 2) // zoom.step * zoom.step
    start = local - _offset(middle, tz)
    return local - _offset(start, tz)  # the clocks may have changed between the two


def _offset(t: int, tz: str) -> int:
    found = datetime.fromtimestamp(t / 1000, words.zone(tz)).utcoffset()
    return 0 if found is None else int(found.total_seconds() * 1000)


# --- the head -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def ticks(axis: Axis, hours: int, tz: str) -> tuple[tuple[int, str], ...]:
    """(column, words) of the labels, each where its hour really begins: on a day with a changed clock they are not evenly apart."""
    zone = words.zone(tz)
    found: list[tuple[int, int, str]] = []
    t = axis.start // _QUARTER * _QUARTER - _QUARTER
    before: datetime | None = None
    while t < axis.end:
        here = datetime.fromtimestamp(t / 1000, zone).replace(tzinfo=None, fold=0)
        if before is not None and t >= axis.start:
            crossed = (here.date(), here.hour // hours) != (before.date(), before.hour // hours)
            again = here < before and here.minute == 0 and here.hour % hours == 0
            if crossed or again:
                midnight = here.date() != before.date()
                label = f"{here:%H}"
                if midnight and hours >= 6:
                    label = f"{words.weekday(t, tz).rpartition(' ')[0]}"
                found.append((0 if midnight else 1, axis.at(t), label))
        before = here
        t += _QUARTER
    taken: list[tuple[int, str]] = []
    for _, x, label in sorted(found):
        if x + len(label) > axis.cells:
            continue
        if all(x >= at + len(other) + 1 or x + len(label) + 1 <= at for at, other in taken):
            taken.append((x, label))
    return tuple(sorted(taken))


def hours_row(axis: Axis, zoom: Zoom, tz: str, name: int) -> Line:
    """The hours above the lanes."""
    row = ""
    for x, label in ticks(axis, zoom.tick, tz):
        row = row.ljust(x) + label
    return [(" " * name, ""), (row.ljust(axis.cells), "dim")]


def now_row(axis: Axis, now: int, tz: str, name: int) -> Line:
    """The clock above the now-line; where now is out of view, which way it lies."""
    at = axis.at(now)
    said = words.hhmm(now, tz)
    if at < 0:
        x, said = 0, f"← now {said}"
    elif at >= axis.cells:
        said = f"now {said} →"
        x = axis.cells - len(said)
    else:
        x = min(max(at - 2, 0), axis.cells - len(said))
    return [(" " * (name + x), ""), (said, "key b")]


def extent(axis: Axis, tz: str, now: int) -> str:
    """``18:00 to 18:00``, with days where it is not the day around now."""
    day = axis.shows(now) and axis.end - axis.start <= words.DAY
    a, b = (words.hhmm(t, tz) if day else f"{words.weekday(t, tz)} {words.hhmm(t, tz)}" for t in (axis.start, axis.end))
    return f"{a} to {b}"


def cell_words(cell: int) -> str:
    """``15m``, ``3m 45s``, ``2h 48m``."""
    minutes, seconds = divmod(cell // 1000, 60)
    return f"{minutes}m {seconds:02d}s" if seconds else words.running(cell)


LEGEND: Final[tuple[tuple[str, str, str], ...]] = (
    ("█", "strip-ok", "ran"), ("░", "dim", "predicted"), ("◆", "dim", "due"), ("∅", "dim", "missed"),
)  # fmt: skip


def legend(width: int) -> list[Span]:
    out: list[Span] = []
    for glyph, style, word in LEGEND if width >= 110 else LEGEND[:3]:
        out += [("  " if out else "", ""), (glyph, style), (f" {word}", "dim")]
    return out


# --- windows --------------------------------------------------------------------------------------------------------


def covers(match: str, lane: Lane) -> bool | None:
    """Whether a window's selector means this lane; None: that cannot be told here (tags are not in a row of the Floor)."""
    if match == "*":
        return True
    head, colon, rest = match.partition(":")
    r = lane.row
    if head == "layer" and colon:
        return lane.layer != "" and fnmatchcase(lane.layer, rest)
    if head == "tag" and colon:
        return None
    if r is not None and colon and head in ("app", "env", "src"):
        value = {"app": r.application, "env": r.environment, "src": r.source}[head]
        return bool(value) and fnmatchcase(value or "", rest)
    return fnmatchcase(lane.key, match) or match == lane.key


def shade(spans: Sequence[SpanRow], lane: Lane, axis: Axis) -> list[tuple[int, int]]:
    """Columns [from, to) that windows of this lane cover."""
    out: list[tuple[int, int]] = []
    for span in spans:
        if covers(span.match, lane):
            a, b = max(axis.at(span.start), 0), min(axis.at(span.until - 1) + 1, axis.cells)
            if a < b:
                out.append((a, b))
    return out


def windows_words(spans: Sequence[SpanRow], axis: Axis, tz: str, now: int) -> list[Clause]:
    """``shaded 22:00–02:00 maintenance db-rdv-1``: each window in view once, the nearest to now first."""
    seen: set[str] = set()
    out: list[Clause] = []
    for span in sorted(spans, key=lambda s: max(s.start - now, now - s.until, 0)):
        if span.name in seen or span.start >= axis.end or span.until <= axis.start:
            continue
        seen.add(span.name)
        same = span.until - span.start < words.DAY
        until = words.hhmm(span.until, tz) if same else words.clock(span.until, tz, now)
        when = f"{words.clock(span.start, tz, now)}–{until}"
        what = clean(span.kind) + f" {clean(span.name)}"
        out.append([("shaded " if not out else "", "dim"), (f"{when} ", "dim"), (what, "text")])
    return out


# --- a lane ---------------------------------------------------------------------------------------------------------

_BLANK, _MET, _FUTURE, _OK, _ACTIVE, _ODD, _DUE, _BAD, _BROKEN = range(9)
"""What may cover what in one cell: nothing hides a failure, and only a broken promise stands over it."""


class _Cells:
    def __init__(self, n: int) -> None:
        self.n = n
        self.char = [" "] * n
        self.style = [""] * n
        self.rank = [_BLANK] * n

    def put(self, x: int, char: str, style: str, rank: int) -> None:
        if 0 <= x < self.n and rank >= self.rank[x]:
            self.char[x], self.style[x], self.rank[x] = char, style, rank

    def fill(self, a: int, b: int, char: str, style: str, rank: int) -> None:
        """Columns a … b, both included."""
        for x in range(max(a, 0), min(b + 1, self.n)):
            if rank >= self.rank[x]:
                self.char[x], self.style[x], self.rank[x] = char, style, rank


def lane_spans(
    lane: Lane,
    axis: Axis,
    bars: Sequence[Bar],
    due: Sequence[OwedRow],
    spans: Sequence[SpanRow],
    now: int,
    *,
    mono: bool = False,
) -> list[Span]:
    """The cells of one lane: windows below, then what is expected, what ran, what was due, and the now-line."""
    cells = _Cells(axis.cells)
    until = now if lane.seen is None else min(lane.seen, now)
    _expected(cells, lane, axis, due, now)
    stream = lane.row is not None and lane.row.trigger == Trigger.CONTINUOUS
    if stream:
        cells.fill(axis.at(now) + 1, axis.cells, "─", "rule", _BLANK)
    for bar in bars:
        _bar(cells, lane, axis, bar, until, now, stream=stream)
    for row in due:
        _due(cells, axis, row, stale=lane.stale)
    _now_line(cells, axis, bars, until, now)
    if lane.stale:
        cells.style = ["" if not s else s if s in ("key", "rule") else "run-stale" for s in cells.style]
    return _joined(cells, shade(spans, lane, axis), mono)


def _joined(cells: _Cells, shaded: Sequence[tuple[int, int]], mono: bool) -> list[Span]:
    style = cells.style
    for a, b in shaded:
        for x in range(a, b):
            if not mono:
                style[x] = f"{style[x]} on:window-bg" if style[x] else "on:window-bg"
            elif cells.char[x] == " ":
                cells.char[x], style[x] = "·", "dim"
    out: list[Span] = []
    start = 0
    for x in range(1, cells.n + 1):
        if x == cells.n or style[x] != style[start]:
            out.append(("".join(cells.char[start:x]), style[start]))
            start = x
    return out


def _expected(cells: _Cells, lane: Lane, axis: Axis, due: Sequence[OwedRow], now: int) -> None:
    """``░``: from a promise's prediction, else from the source's own next start and what is usual."""
    r = lane.row
    if r is not None and r.trigger != Trigger.CONTINUOUS:
        typical = floor.usual(r)
        if r.next_run is not None and r.next_run > now:
            end = r.next_run + (typical or 1)
            cells.fill(axis.at(r.next_run), axis.at(end - 1), "░", "dim", _FUTURE)
        if r.state == State.RUNNING and r.started is not None and typical is not None and not lane.stale:
            end = r.started + typical
            if end > now:
                cells.fill(axis.at(now), axis.at(end - 1), "░", "run-running", _FUTURE)
    for row in due:
        p = row.prediction
        if p is None or row.settled or row.state is Owed.UNKNOWN or p.course is Course.RERUN:
            continue
        end = p.p90 if p.p90 is not None else p.p50
        if end is None or end <= now:
            continue
        running = p.course in (Course.RUNNING, Course.OVERRUN)
        style = "run-late" if row.state in (Owed.AT_RISK, Owed.BREACHED) else "run-running" if running else "dim"
        cells.fill(axis.at(max(p.start, now)), axis.at(end - 1), "░", style, _FUTURE)


def _bar(cells: _Cells, lane: Lane, axis: Axis, bar: Bar, until: int, now: int, *, stream: bool) -> None:
    look = LOOKS[bar.state]
    begun = bar.started if bar.started is not None else bar.at
    a = axis.at(begun)
    if bar.state == State.MISSED:
        cells.put(a, look.glyph, look.style, _BROKEN)
        return
    if bar.state in (State.EXPECTED, State.QUEUED, State.SKIPPED) or (bar.started is None and bar.ended is None):
        cells.put(a, look.glyph, look.style, _ACTIVE if bar.state.active else _OK)
        return
    if bar.ended is not None:
        end = bar.ended
    elif bar.state.active:
        end = max(until, begun)
    else:
        end = begun  # its end is not known
    b = max(axis.at(end - 1), a)
    style = "strip-ok" if bar.state == State.SUCCESS else look.token
    r, o = lane.row, lane.owes
    if bar.state.active and r is not None and bar.run_key == r.run_key:
        danger = o is not None and o.state in (Owed.AT_RISK, Owed.BREACHED)
        style = "run-late" if danger or floor.is_long(r, source_now(lane.source, now)) else style
    rank = (
        _BAD
        if bar.state.bad
        else _ODD
        if bar.state in (State.WARNING, State.STOPPED)
        else _ACTIVE
        if bar.state.active
        else _OK
    )
    cells.fill(a, b, "━" if stream else "█", style, rank)
    if bar.state not in (State.SUCCESS, State.RUNNING):
        cells.put(b, look.glyph, look.style, rank)
    elif lane.stale and bar.state.active:
        cells.put(b + 1, "?", "run-stale", _OK)


def _due(cells: _Cells, axis: Axis, row: OwedRow, *, stale: bool) -> None:
    if row.met_at is not None and row.pipeline_id is None:
        cells.put(axis.at(row.met_at), "●", "run-late" if row.state is Owed.MET_LATE else "strip-ok", _OK)
    if row.type in owed.PER_RUN and row.state is not Owed.BREACHED:
        return
    x = axis.at(row.due)
    if row.state is Owed.BREACHED:
        look = LOOKS[State.MISSED] if row.missed else owed.LOOKS[Owed.BREACHED]
        cells.put(x, look.glyph, look.style, _BROKEN)
    elif row.state in (Owed.MET, Owed.MET_LATE):
        cells.put(x, "◇", "run-late" if row.state is Owed.MET_LATE else "dim", _MET)
    elif row.state in (Owed.EXCLUDED, Owed.WAIVED):
        cells.put(x, "-", "dim", _MET)
    else:
        look = owed.look(row, stale=stale)
        unknown = look is owed.UNKNOWN
        cells.put(x, "?" if unknown else look.glyph, look.style, _DUE)


def _now_line(cells: _Cells, axis: Axis, bars: Sequence[Bar], until: int, now: int) -> None:
    """The line stands over bars that go on to its left, and under a mark that is in this very cell only."""
    x = axis.at(now)
    if not 0 <= x < cells.n or cells.rank[x] >= _ODD:
        return
    only = cells.rank[x] in (_OK, _ACTIVE) and any(
        axis.at(b.started if b.started is not None else b.at) == x for b in bars
    )
    if not only:
        cells.char[x], cells.style[x] = "│", "key"


def lane_line(lane: Lane, frame: Frame, cells: Sequence[Span], *, here: bool) -> list[Span]:
    """Gutter, state where it matters, name, cells."""
    style = "run-stale" if lane.stale else "text"
    if lane.loud or here:
        style += " b"
    glyph = lane.look.glyph if lane.loud else " "
    mark: Span = (glyph + ("?" if lane.stale else " "), "run-stale" if lane.stale else lane.look.token)
    return merge([(" ", ""), mark, (pad(cut_middle(lane.name, frame.name - 4), frame.name - 3), style), *cells])


def cursor_line(line: Sequence[Span], width: int) -> list[Span]:
    """The lane under the cursor; windows stay shaded on it."""
    out: list[Span] = []
    for text, style in lines.fit(line, width):
        if not out:
            out.append((lines.GUTTER, "mark on:cursor-bg"))
            text = text[1:]
        out.append((text, style if "on:window-bg" in style else f"{style} on:cursor-bg".strip()))
    return lines.merge(out)


def rule_line(title: str, frame: Frame, axis: Axis, now: int) -> list[Span]:
    """A group's title; its rule goes on under the lanes, the now-line through it."""
    left = cut(title, frame.name - 4)
    out: list[Span] = [(" ", ""), (left, "dim"), (" ", "")]
    out.append(("─" * max(frame.name - 3 - cell_width(left), 0), "rule"))
    out.append((" ", ""))
    x = axis.at(now)
    if 0 <= x < axis.cells:
        return [*out, ("─" * x, "rule"), ("┼", "key"), ("─" * (axis.cells - x - 1), "rule")]
    return [*out, ("─" * axis.cells, "rule")]


# --- which lanes, which run -----------------------------------------------------------------------------------------


def nothing_here(lane: Lane, start: int, end: int) -> bool:
    """Whether it is known that this lane has nothing in [start, end): no run began so late, none is expected, nothing is due."""
    r, o = lane.row, lane.owes
    if lane.loud or (o is not None and (not o.settled or o.due >= start) and o.due < end):
        return False
    if r is None:
        return o is None or o.due < start or o.due >= end
    if r.active or (r.next_run is not None and start <= r.next_run < end):
        return False
    if r.at is None:
        return True
    return (r.ended if r.ended is not None else r.at) < start


def bar_here(bars: Sequence[Bar], now: int, end: int) -> Bar | None:
    """The run that ``Enter`` opens: the one that goes on now, else the last that began in view."""
    begun = [b for b in bars if b.at <= min(now, end)]
    active = [b for b in begun if b.state.active and now <= end]
    return (active or begun or [None])[-1]


# --- for scripts ----------------------------------------------------------------------------------------------------


def record(lane: Lane, bars: Sequence[Bar], due: Sequence[OwedRow]) -> dict[str, Any]:
    """One lane for JSON; field names are the model's, times ms UTC."""
    r = lane.row
    return {
        "key": lane.key, "name": lane.name, "layer": None if r is not None and not r.layer else lane.layer,
        "source": None if r is None else r.source, "state": None if r is None or r.state is None else r.state.name.lower(),
        "word": lane.look.word, "stale": lane.stale, "trigger": None if r is None else r.trigger.name.lower(),
        "next_run": None if r is None else r.next_run, "usual_ms": None if r is None else floor.usual(r),
        "runs": [run_record(b) for b in bars], "owed": [due_record(o) for o in due],
    }  # fmt: skip


def run_record(bar: Bar) -> dict[str, Any]:
    return {
        "run": bar.run_key, "state": bar.state.name.lower(), "at": bar.at, "started": bar.started, "ended": bar.ended,
        "business_date": bar.business_date,
    }  # fmt: skip


def due_record(o: OwedRow) -> dict[str, Any]:
    p = o.prediction
    return {
        "occurrence": o.key, "promise": o.promise, "type": o.type, "thing": o.thing, "state": o.state.name.lower(),
        "declared": o.declared, "business_date": o.business_date, "due": o.due, "met_at": o.met_at, "lateness_ms": o.lateness_ms,
        "missed": o.missed, "run": o.run_key, "p50": None if p is None else p.p50, "p90": None if p is None else p.p90,
        "late": None if p is None else p.late, "latest_start": None if p is None else p.latest_start,
    }  # fmt: skip
