"""The Floor's columns and cells, by width. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from adapters.model import Mode, Owed, State, Trigger
from tui.present import bars, frame, glyphs, owed, strip, words
from tui.present.cut import clean, cut, cut_middle
from tui.present.floor import LEARNED, Item, elapsed, usual
from tui.present.glyphs import Look
from tui.present.head import source_now
from tui.present.lines import Cell, Column, merge, recolour, row
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import FloorRow
    from tui.view import Span


@dataclass(frozen=True, slots=True)
class Grid:
    """Column widths for one screen width; 0 leaves a column out. ``due``: promises are declared, so the tenth says what is due."""

    word: int
    name: int
    layer: int
    strip: int
    bar: int
    run: int
    last: int
    next: int
    source: int
    about: int
    due: bool = False

    @classmethod
    def of(cls, width: int, *, due: bool = False) -> Grid:
        grid = cls._of(width)
        return replace(grid, due=True) if due else grid

    @classmethod
    def _of(cls, width: int) -> Grid:
        if width < 80:
            spare = max(width - 60, 0)
            return cls(7, 21 + spare, 0, 8, 0, 11, 0, 0, 0, 0)
        if frame.is_narrow(width):
            spare = width - 80
            more = min(spare // 2, 12)
            return cls(7, 21 + spare - more, 0, 8 + more, 0, 11, 10, 0, 7, 0)
        if frame.is_wide(width):
            return cls(
                8,
                26 + min((width - 180) // 4, 20),
                5,
                28,
                8,
                13,
                10,
                6,
                13,
                width - 180 + 39 - min((width - 180) // 4, 20),
            )
        return cls(
            8,
            24 + max(width - 120, 0) // 2,
            0,
            20 + min(width - 120, 0),
            8,
            13,
            10,
            6,
            12 + (max(width - 120, 0) + 1) // 2,
            0,
        )

    @property
    def columns(self) -> list[Column]:
        run = self.bar + self.run
        return [
            Column("STATE", self.word + 3, gap=0),
            Column("PIPELINE", self.name),
            Column("LAYER", self.layer),
            Column(f"LAST {self.strip} RUNS" if self.strip >= 12 else f"LAST {self.strip}", self.strip),
            Column("RUN / USUAL", run, "r"),
            Column("DUE ±LATE" if self.due else "LAST OK", self.last, gap=2),
            Column("NEXT", self.next, gap=2),
            Column("SOURCE", self.source),
            Column("AGE", 4, "r"),
            Column("ABOUT", self.about, gap=2),
        ]


def state_cell(look: Look, stale: bool, narrow: bool) -> list[Span]:
    """Glyph, stale overlay, word."""
    mark = glyphs.STALE_MARK if stale and look.glyph != "?" else " "
    return [(look.glyph + mark, look.token), (" ", ""), (look.narrow if narrow else look.word, look.style)]


def short_source(name: str, cells: int) -> str:
    """``prod-airflow`` → ``airflow`` where it must be short: its last part says what it is."""
    if len(name) <= cells:
        return name
    last = name.rpartition("-")[2]
    return last if 3 <= len(last) <= cells else cut(name, cells)


_TRIGGERS: Final[Mapping[Trigger, str]] = {
    Trigger.EVENT: "event", Trigger.MANUAL: "manual", Trigger.CONTINUOUS: "stream", Trigger.UNKNOWN: "?",
    Trigger.CRON: "?", Trigger.INTERVAL: "?",
}  # fmt: skip


def next_cell(r: FloorRow, tz: str, now: int) -> str:
    if r.mode != Mode.ACTIVE:
        return {Mode.PAUSED: "paused", Mode.DISABLED: "off", Mode.GONE: "gone"}[r.mode]
    if r.trigger == Trigger.EVENT:
        return _TRIGGERS[r.trigger]  # it owes freshness, not a tick
    return words.clock_short(r.next_run, tz, now) if r.next_run is not None else _TRIGGERS[r.trigger]


def due_cell(item: Item, tz: str, now: int) -> list[Span]:
    """When it is due and how late it is or will be; nothing where nothing is owed."""
    row = item.owed
    if row is None or not (row.declared or row.state in (Owed.BREACHED, Owed.AT_RISK)):
        return []
    if row.state in (Owed.EXCLUDED, Owed.WAIVED):
        return [(owed.look(row).word, "dim")]  # a due time that nobody has to keep would read as one
    if row.type == "sequence" and row.state.waiting:  # its date ends then: nothing has to be there at midnight
        return [("in order", "dim")] if not item.stale else [("?", "run-stale")]
    at = words.day_clock(row.due, tz, now)
    late = "?" if item.stale and row.state.unsettled else owed.lateness(row, now)
    if len(at) + 1 + len(late) > 10:
        late = ""
    style = owed.late_style(row, stale=item.stale)
    return [(at, "text" if row.state.unsettled else "dim"), (f" {late}" if late else "", style)]


def run_cell(item: Item, grid: Grid, now: int) -> list[Span]:
    """How long, against the usual: a bar while it runs, words otherwise; never 0 for what is not known."""
    r = item.row
    if r is None:
        return []
    now = source_now(item.source, now)
    typical, ran = usual(r), elapsed(r, now)
    learning = f"learning {r.usual_n}/{LEARNED}" if r.usual_n else ""
    slash, wide = (" / ", True) if grid.bar else ("/", False)
    if r.state is None:
        return [("never ran", "dim")]
    if item.checks:
        worst = max(item.checks, key=lambda c: c.state)
        word = "failed" if worst.state == 2 else "waits"
        return [
            (cut_middle(clean(worst.name), grid.run if wide else grid.run - len(word) - 1), "text"),
            (f" {word}", "dim"),
        ]
    if r.mode == Mode.PAUSED and not r.state.active and r.mode_since is not None and not r.state.bad:
        return [(words.running(now - r.mode_since), "dim")]
    untold = (
        r.started is None and r.state is not State.RUNNING
    )  # what runs has begun, whether or not anybody tells when
    if r.state in (State.QUEUED, State.HELD) or (r.state.active and untold):
        waits = r.queued if r.queued is not None else r.at
        word = "held " if r.state == State.HELD else "waits "
        return [(word, "dim"), ("?" if item.stale or waits is None else words.running(now - waits), "text")]
    if r.state.active:
        said = "?" if item.stale or ran is None else words.running(ran)
        if r.trigger == Trigger.CONTINUOUS:
            return [(said, "text"), (" / stream" if wide else "", "dim")]
        late = typical is not None and ran is not None and r.p90_ms is not None and ran > r.p90_ms
        style = "run-late" if late else "run-running"
        if typical is None or ran is None:
            return [(said, style), (f" / {learning}" if wide and learning else "", "dim")]
        value: list[Span] = [(said, style), (f"{slash}{words.rough(typical)}", "dim")]
        if wide and not item.stale:
            blanks = grid.run - sum(len(t) for t, _ in value)
            return [*bars.run_bar(ran, typical, r.p90_ms, grid.bar), (" " * blanks, ""), *value]
        return value
    if r.state == State.MISSED or ran is None:
        return [(f"usual {words.rough(typical)}", "dim")] if typical is not None else [("n/a", "dim")]
    if not wide:
        return [(words.duration(ran), "text")]
    after = words.rough(typical) if typical is not None else learning
    return [(words.duration(ran), "text"), (f" / {after}" if after else "", "dim")]


def table_row(item: Item, grid: Grid, tz: str, now: int, *, here: bool = False, about: str = "") -> list[Span]:
    """One pipeline with its columns; a stale one in one warm grey with a bold age."""
    r, s = item.row, item.source
    narrow = grid.bar == 0
    if r is None:
        return problem_row(item, grid, 200, [], tz, now, here=here, key=("", ""))
    paused = r.mode == Mode.PAUSED and (r.state is None or not r.state.active)
    last = words.clock(r.last_ok, tz, now) if r.last_ok is not None else "none"
    tenth = due_cell(item, tz, now) if grid.due else [(last, "dim" if last == "none" else "text")]
    style = "text b" if here else "text"
    values: list[Cell] = [
        state_cell(item.look, item.stale, narrow),
        [(cut_middle(clean(r.name), grid.name), style)],
        [(cut(clean(r.layer or ""), grid.layer), "dim")],
        strip.spans(r.strip, grid.strip, paused=paused, stale=item.stale),
        run_cell(item, grid, now),
        tenth,
        [(next_cell(r, tz, now), "dim")],
        [(short_source(clean(r.source), grid.source), "dim")],
        [(words.age(frame.source_age(s, now)), "dim b" if item.stale else "dim")],
        [(cut(about, grid.about), "dim")],
    ]
    line = row(grid.columns, values)
    return recolour(line, "run-stale") if item.stale else line


def problem_row(
    item: Item,
    grid: Grid,
    width: int,
    clauses: Sequence[Clause],
    tz: str,
    now: int,
    *,
    here: bool = False,
    key: tuple[str, str],
) -> list[Span]:
    """One problem: state, name, since, sentence, next key; on a narrow screen without since and key."""
    narrow = grid.bar == 0
    r = item.row
    name: Span = (cut_middle(item.name, grid.name), "text b")
    wide = frame.is_wide(width) and grid.strip > 0
    doubt = item.stale and (r is not None or item.thing)
    # the sentence ends where the key column begins; everything before it is of a fixed width
    taken = 1 + 2 + 1 + grid.word + 1 + grid.name + 1
    columns = [Column("", grid.word + 3, gap=0), Column("", grid.name)]
    values: list[Cell] = [state_cell(item.look, doubt, narrow), [name]]
    if wide:
        columns.append(Column("", 14))
        values.append(strip.spans(r.strip, 14, stale=item.stale) if r is not None else "")
        taken += 15
    if not narrow:
        columns.append(Column("", 6))
        values.append([(cut(words.clock_short(item.since, tz, now), 6), "dim")])
        taken += 7
        room = width - taken - 14
        columns += [Column("", room), Column("", 12)]
        sentence = words.sentence(clauses, room)
        values += [sentence, [(key[0], "key b"), (f" {key[1]}" if key[0] else "", "dim")]]
    else:
        room = width - taken - 1
        columns.append(Column("", room))
        values.append(words.sentence(clauses, room))
    line = row(columns, values)
    return recolour(line, "run-stale") if doubt else merge(line)
