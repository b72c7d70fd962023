"""The cells of what is owed: state, due, whether it will make it, and an axis on which every row has its own due time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Course, Owed
from tui.present import frame, owed, words
from tui.present.cut import clean, cut, cut_middle, first_line, width
from tui.present.glyphs import LOOKS, Look, State
from tui.present.lines import Cell, Column, merge, recolour, row
from tui.present.owed import MEASURED, PER_RUN
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import OwedRow
    from tui.view import Span

LEARNED: Final = 8
"""Runs until there is a usual."""
DRIFT: Final = 0.2
"""Share by which the learnt and the declared duration may differ before somebody is told."""
CELL_MS: Final = 4 * words.MINUTE
"""What one cell of the axis stands for."""
NEAREST: Final = 3
"""Rows of one promise in one state that stand on the screen before the rest is folded."""
FIELDS: Final = ("state", "src", "source", "env", "owner", "layer", "app", "date", "kind", "name")
_DONE: Final[Mapping[str, str]] = {
    "start_by": "began", "source_arrival": "came", "heartbeat": "beat", "completeness": "all done", "sequence": "in order",
    "freshness": "fresh",
}  # fmt: skip
_RANK: Final[Mapping[Owed, int]] = {
    Owed.BREACHED: 0, Owed.AT_RISK: 1, Owed.PENDING: 2, Owed.SHIFTED: 2, Owed.UNKNOWN: 2, Owed.MET_LATE: 3, Owed.MET: 4,
    Owed.EXCLUDED: 5, Owed.WAIVED: 5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Due:
    """A promise on the screen. ``stale``: nobody can vouch for it now; ``seen``: when its source was last seen (ms UTC)."""

    row: OwedRow
    stale: bool = False
    seen: int | None = None
    later: int = 0
    """By how much (ms) its prediction was carried on, because it has not begun since: see ``carried``."""
    more: int = 0
    """Further ticks of the same promise in the same state that stand folded behind this row: see ``folded``."""

    @property
    def shown(self) -> Owed:
        """Its state as it may be drawn: what still waits is unknown while nobody looks; what has happened stays true."""
        return Owed.UNKNOWN if self.stale and self.row.state.waiting else self.row.state

    @property
    def look(self) -> Look:
        return owed.look(self.row, stale=self.stale)

    @property
    def blind(self) -> bool:
        """Drawn as what nobody can vouch for."""
        return self.stale or self.shown is Owed.UNKNOWN


def carried(r: OwedRow, now: int) -> tuple[OwedRow, int]:
    """The row as of now, and by how much its prediction moved: what has not begun begins now at the earliest.

    Predictions are reckoned anew when something happens or when it matters, not every minute; the durations stay, so the
    ends move with the start. P(late) is then at least what was said.
    """
    p = r.prediction
    if p is None or p.course not in (Course.WAITING, Course.RERUN) or not r.state.unsettled or p.start >= now:
        return r, 0
    by = now - p.start
    moved = replace(p, start=now, p50=None if p.p50 is None else p.p50 + by, p90=None if p.p90 is None else p.p90 + by)
    return replace(r, prediction=moved), by


def wanted(r: OwedRow) -> bool:
    """Promises that nobody wrote stand on the screen only while they are broken or at risk."""
    return r.declared or r.state in (Owed.BREACHED, Owed.AT_RISK)


def place(d: Due) -> tuple[int, int, int, int]:
    """Worst first, what is owed by due time; what is settled newest first; what is not owed last."""
    r = d.row
    rank = _RANK[d.shown]
    return rank, -r.due if rank in (3, 4) else r.due, int(r.severity), r.id


def folded(rows: Sequence[Due], now: int, keep: str | None) -> list[Due]:
    """The rows in their order, of each promise and state only the ``NEAREST`` to now: a schedule of every few minutes would else
    push what is due at noon hundreds of rows down. The farthest that is left says how many stand behind it; ``keep``, an
    occurrence's key, always stays."""
    groups: dict[tuple[str, str, Owed], list[Due]] = {}
    for d in rows:
        groups.setdefault((d.row.promise, d.row.thing, d.shown), []).append(d)
    gone: set[int] = set()
    more: dict[int, int] = {}
    for group in groups.values():
        if len(group) <= NEAREST + 1:  # folding one row away would save none
            continue
        group.sort(key=lambda d: abs(d.row.due - now))
        behind = [d for d in group[NEAREST:] if d.row.key != keep]
        gone.update(d.row.id for d in behind)
        more[group[NEAREST - 1].row.id] = len(behind)
    return [replace(d, more=more[d.row.id]) if d.row.id in more else d for d in rows if d.row.id not in gone]


def counts(rows: Sequence[Due]) -> dict[Owed, int]:
    found: dict[Owed, int] = {}
    for d in rows:
        state = Owed.PENDING if d.shown is Owed.SHIFTED else d.shown
        found[state] = found.get(state, 0) + 1
    return found


def facts(d: Due) -> dict[str, str]:
    """What a filter looks at."""
    r = d.row
    return {
        "key": f"{r.thing} {r.promise} {r.type} {r.expectation}", "name": r.name, "state": f"{d.look.word} {d.shown.name.lower()}",
        "source": r.source or "", "environment": r.environment, "owner": r.owner or "", "layer": r.layer or "",
        "application": r.application or "", "business_date": r.business_date or "", "kind": r.type,
    }  # fmt: skip


def state_words() -> frozenset[str]:
    return frozenset(w for s in Owed for w in (owed.LOOKS[s].word, s.name.lower()))


# --- what is said of one --------------------------------------------------------------------------------------------


def beside(ms: int | None, tz: str, due: int) -> str:
    """A time beside a due time: only the clock on the same day, ``Sat 02:45`` on another; ``?`` where it is not known."""
    return words.clock(ms, tz, due)


def late_ms(d: Due, now: int) -> int | None:
    """Signed against due: as it was, as it is predicted, or for how long it has been broken; None: not known."""
    if d.blind or (d.row.type == "sequence" and d.row.state is Owed.MET):
        return None
    return owed.lateness_ms(d.row, now)


def will(d: Due, tz: str, now: int) -> list[Clause]:
    """Will it make it: clauses by weight."""
    r, p = d.row, d.row.prediction
    if d.stale and d.shown is Owed.UNKNOWN:
        return [f"not seen since {words.clock(d.seen, tz, now)}" if d.seen is not None else "never seen"]
    if r.type in MEASURED and r.state not in (Owed.EXCLUDED, Owed.WAIVED):
        return [first_line(r.reason) or "not measured yet"]
    if r.state in (Owed.MET, Owed.MET_LATE):
        return [f"{_DONE.get(r.type, 'done')} {beside(r.met_at, tz, r.due)}"]
    if r.state in (Owed.EXCLUDED, Owed.WAIVED):
        why = first_line(r.reason or r.why_opened) or "not owed"
        return [why.partition("waived by ")[2] or why if r.state is Owed.WAIVED else why]
    if r.type in PER_RUN:
        return _per_run(d, now)
    if r.type == "sequence" and r.state is Owed.BREACHED:
        return [f"began {beside(_run_at(r), tz, r.due)}, too early"]
    if r.type == "heartbeat" and r.state.waiting and (beat := _last_beat(r)) is not None:
        return [f"nothing since {beside(beat, tz, r.due)}"]
    if p is None or (r.type == "completeness" and r.state is Owed.BREACHED) or owed.unverified(r):
        return [_reason(r)]
    if p.course is Course.LEARNING and r.state is Owed.BREACHED:
        return [_reason(r)]
    if p.course is Course.LEARNING:
        said: list[Clause] = [f"learning {p.n}/{p.basis.need}"]
        return [*said, f"declared {beside(p.p50, tz, r.due)}"] if p.p50 is not None else said
    if p.course is Course.OVERRUN or p.p50 is None:
        return [f"longer than all {p.n}"]
    if p.course is Course.RERUN:
        about = "" if p.spread is None else f" ± {max(round(p.spread / words.MINUTE), 1)}"
        return [f"if rerun now {beside(p.p50, tz, r.due)}{about}"]
    if r.state is Owed.BREACHED and p.course is Course.WAITING:
        return [f"if now {beside(p.p50, tz, r.due)}"]
    return [f"p50 {beside(p.p50, tz, r.due)}", f"p90 {beside(p.p90, tz, p.p50)}"]


def _run_at(r: OwedRow) -> int | None:
    """The time that counted of the run that is its evidence: of one that goes on, its start."""
    return next((at for what, _, at, _ in r.evidence if what == "run"), None)


def _last_beat(r: OwedRow) -> int | None:
    """Since when a heartbeat is waited for: the instant in its key is that of the last sign of life."""
    try:
        return int(datetime.fromisoformat(r.key.rpartition("|")[2]).timestamp() * 1000)
    except ValueError:
        return None


def _reason(r: OwedRow) -> str:
    """As the judge said, without the due time that has its own column."""
    text = first_line(r.reason)
    head, colon, tail = text.partition(": ")
    text = (tail if colon and head.startswith("due ") else text) or "nothing is known yet"
    text = text.removesuffix(", a success is still owed")  # that it is owed says the state
    done, comma, rest = text.partition(", ")
    return f"{rest}, ran {done.removeprefix('succeeded ')}" if comma and rest == "not yet verified" else text


def _per_run(d: Due, now: int) -> list[Clause]:
    """``at most 40m · running 22m``: of a run that goes on, or that broke it."""
    r, p = d.row, d.row.prediction
    said: list[Clause] = []
    if r.type == "max_duration" and r.limit_ms is not None:
        said.append(f"at most {words.rough(r.limit_ms)}")
    elif r.usual_ms is not None:
        said.append(f"usual {words.rough(r.usual_ms)}")
    began = p.start if p is not None else r.due - r.limit_ms if r.limit_ms is not None else None
    if began is None and r.state is Owed.BREACHED:
        if not r.reason.startswith("running"):  # it ended far too soon
            return [first_line(r.reason)]
        began = _run_at(r)
    if began is not None and began <= now:
        said.append(f"running {words.running(now - began)}")
    return said or [first_line(r.reason) or "runs"]


def drift(r: OwedRow) -> float | None:
    """By which share the learnt typical duration differs from the declared one, where both exist and it is more than 20 %."""
    if r.usual_ms is None or not r.expected_ms or r.usual_n < LEARNED:
        return None
    share = r.usual_ms / r.expected_ms - 1
    return share if abs(share) > DRIFT else None


# --- columns --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grid:
    """Column widths; 0 leaves a column out. ``half``: cells of the axis on either side of due."""

    word: int
    due: int
    name: int
    will: int
    half: int
    start: int
    typical: int = 0
    consumers: int = 0
    apart: int = 2
    """Blanks before the axis."""

    @classmethod
    def of(cls, n: int, days: bool) -> Grid:
        """For a screen of ``n`` cells; ``days``: some row is due on another day."""
        due = 9 if days else 6
        if frame.is_narrow(n):
            name = 21 + max(n - 80, 0) // 2 - max(80 - n, 0) // 2
            return cls(7, due, name, max(n - (1 + 10 + 1 + due + 1 + name + 1 + 1 + 6 + 1), 8), 0, 0)
        if frame.is_wide(n):
            half, start, typical = 20, 9, 8
            fixed = 1 + 11 + 1 + due + 1 + 1 + 1 + 6 + 2 + (2 * half + 1) + 2 + start + 2 * (1 + typical) + 2 + 1
            free = n - fixed
            name, will = 30 + max(free - 80, 0) // 3, 30
            return cls(8, due, name, will, half, start, typical, max(free - name - will, 8))
        half, start = 15, 9 if days else 8
        apart = 1 if days else 2
        free = n - (1 + 11 + 1 + due + 1 + 1 + 1 + 6 + apart + (2 * half + 1) + 1 + start + 1)
        spread = max(free - 48, 0)
        will_cells = min(25, max(20, free - 21)) + spread // 2
        return cls(8, due, free - will_cells, will_cells, half, start, apart=apart)

    @property
    def axis(self) -> int:
        return 2 * self.half + 1 if self.half else 0

    @property
    def columns(self) -> list[Column]:
        wide = self.typical > 0
        return [
            Column("STATE", self.word + 3, gap=0), Column("DUE", self.due), Column("WHAT", self.name),
            Column("WILL IT MAKE IT", self.will), Column("±LATE", 6, "r"), Column(self._axis_title(), self.axis, gap=self.apart),
            Column("START BY", self.start, gap=2 if wide else 1), Column("TYPICAL", self.typical, "r"),
            Column("DECLARED", self.typical, "r"), Column("CONSUMERS", self.consumers, gap=2),
        ]  # fmt: skip

    def _axis_title(self) -> str:
        if not self.half:
            return ""
        edge = f"{self.half * CELL_MS // words.MINUTE}m"
        left = f"-{edge}".ljust(self.half - 1)
        return f"{left}due{f'+{edge}':>{self.half - 1}}"


def due_row(d: Due, grid: Grid, tz: str, now: int, *, here: bool) -> list[Span]:
    """One promise with its columns."""
    r, p = d.row, d.row.prediction
    token = d.look.token
    calls = d.shown in (Owed.BREACHED, Owed.AT_RISK)
    over = d.shown in (Owed.EXCLUDED, Owed.WAIVED)
    quiet = "dim" if r.settled or over else "text"
    late = late_ms(d, now)
    nobody = over or (late is None and p is None and not d.blind) or (r.type == "sequence" and r.state is Owed.MET)
    starts = (
        p.latest_start
        if p is not None and r.state.unsettled and r.type not in PER_RUN and not owed.unverified(r)
        else None
    )
    said = will(d, tz, now)
    values: list[Cell] = [
        owed.state_cell(r, stale=d.stale, narrow=grid.word < 8),
        [(words.clock(r.due, tz, now) if grid.due > 6 else words.hhmm(r.due, tz), quiet)],
        _name_cell(d, grid.name, "text b" if here or calls else "dim" if over else "text"),
        _will_cell(said, grid.will, quiet),
        [("n/a" if nobody else "?" if late is None else owed.short(late), f"{token} b" if calls else "run-late" if r.state is Owed.MET_LATE else "dim")],
        axis(d, grid.half, now) if grid.half else [],
        [(beside(starts, tz, r.due) if starts is not None else "", token if calls else "dim")],
        [(words.rough(r.usual_ms) if r.usual_ms is not None and r.usual_n >= LEARNED else f"{r.usual_n}/{LEARNED}" if r.pipeline_id is not None else "n/a", "run-late" if drift(r) is not None else "text")],
        [(_declared(r), "dim")],
        [(cut(clean(", ".join(r.consumers)) or "none named", grid.consumers), "dim")],
    ]  # fmt: skip
    line = row(grid.columns, values)
    if d.blind:
        return _quiet(line, "run-stale")
    return _quiet(line, "dim") if over else line


def _name_cell(d: Due, cells: int, style: str) -> list[Span]:
    """The name, and how many more ticks of it stand behind: ``rates_probe +112``."""
    more = f" +{d.more}" if d.more else ""
    name = cut_middle(clean(d.row.name), cells - len(more))
    return [(name, style), *([(more, "dim")] if more else [])]


def _quiet(line: Sequence[Span], token: str) -> list[Span]:
    """All of it in one colour, but for the dots of the axis, which are no news."""
    return merge(span for s in line for span in ([s] if s[1] == "rule" else recolour([s], token)))


def _declared(r: OwedRow) -> str:
    ms = r.expected_ms if r.expected_ms is not None else r.limit_ms
    return "none" if ms is None else words.rough(ms)


def _will_cell(said: Sequence[Clause], cells: int, style: str) -> list[Span]:
    texts = [words.clause_text(c) for c in said]
    if len(texts) == 2 and texts[0].startswith("p50 ") and texts[1].startswith("p90 "):
        both = "  ".join(texts)
        return [(both if width(both) <= cells else cut(texts[0], cells), style)]
    return words.sentence(said, cells, style, "dim")


def axis(d: Due, half: int, now: int) -> list[Span]:
    """The row's own due time in the middle, early to the left: a range to p90 with ``●`` at p50, or ``●`` where it was done.

    Only p50 and p90 are kept: what lies below p50 is drawn as wide as what lies above, but not before now.
    """
    r, p = d.row, d.row.prediction
    cells: list[tuple[str, str]] = [("·", "rule") if (i - half) % 5 == 0 else (" ", "") for i in range(2 * half + 1)]
    cells[half] = ("│", "dim")

    def at(ms: int) -> int:
        return half + round((ms - r.due) / CELL_MS)

    def mark(ms: int, glyph: str, style: str) -> None:
        i = at(ms)
        cells[min(max(i, 0), 2 * half)] = ("←" if i < -1 else "→" if i > 2 * half + 1 else glyph, style)

    if d.blind or r.state in (Owed.EXCLUDED, Owed.WAIVED):
        return merge(cells)
    if r.state in (Owed.MET, Owed.MET_LATE):
        if r.met_at is not None and not (r.type == "sequence" and r.state is Owed.MET):
            mark(r.met_at, "●", "run-ok" if r.state is Owed.MET else "run-late")
        return merge(cells)
    style = d.look.token if d.shown in (Owed.BREACHED, Owed.AT_RISK) else "run-running"
    ranged = p is not None and p.p50 is not None and p.p90 is not None and p.course is not Course.LEARNING
    if r.state is Owed.BREACHED and not (ranged and p is not None and p.course is Course.RUNNING):
        mark(
            max(now, r.due) if r.type not in MEASURED else now,
            LOOKS[State.MISSED].glyph if r.missed or (r.run_key is None and r.type not in MEASURED) else d.look.glyph,
            style,
        )
        return merge(cells)
    if not ranged or p is None or p.p50 is None or p.p90 is None:
        return merge(cells)
    low = max(2 * p.p50 - p.p90, min(now, p.p50))
    for i in range(max(at(low), 0), min(at(p.p90), 2 * half) + 1):
        heavy = i > half or style == "run-late"
        cells[i] = ("╋" if i == half else "━" if heavy else "─", style)
    mark(p.p50, "●", style)
    return merge(cells)


# --- for scripts ----------------------------------------------------------------------------------------------------


def record(d: Due, now: int) -> dict[str, Any]:
    """One promise for JSON and CSV; field names are the model's, times ms UTC."""
    r, p = d.row, d.row.prediction
    return {
        "key": r.key, "promise": r.promise, "type": r.type, "thing": r.thing, "name": r.name, "expectation": r.expectation,
        "declared": r.declared, "severity": r.severity.name.lower(), "source": r.source, "environment": r.environment, "layer": r.layer,
        "application": r.application, "owner": r.owner, "business_date": r.business_date, "state": r.state.name.lower(),
        "word": d.look.word, "stale": d.stale, "reason": r.reason, "since": r.since, "due": r.due, "declared_due": r.declared_due,
        "alert_at": r.alert_at, "met_at": r.met_at, "lateness_ms": late_ms(d, now), "missed": r.missed, "run_key": r.run_key,
        "course": None if p is None else p.course.name.lower(), "start": None if p is None else p.start,
        "p50": None if p is None else p.p50, "p90": None if p is None else p.p90, "late": None if p is None else p.late,
        "n": None if p is None else p.n, "need": None if p is None else p.basis.need, "learnt": None if p is None else p.basis.learnt,
        "latest_start": None if p is None else p.latest_start, "usual_ms": r.usual_ms, "usual_n": r.usual_n,
        "expected_ms": r.expected_ms, "limit_ms": r.limit_ms, "drift": drift(r), "consumers": " ".join(r.consumers),
        "runbook": r.runbook, "place": r.place,
    }  # fmt: skip
