"""What is owed in glyphs and words: one spelling for the Floor, the Deadlines, the Timeline, the Wall and the Morning check.

Pure. Rows come from ``engine.store.rows``; times are integer ms UTC, shown in the reader's zone. Texts from outside are made
harmless here. How a number came about is said by :mod:`tui.present.owed_basis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from adapters.model import Course, Owed
from tui.present import words
from tui.present.cut import clean
from tui.present.glyphs import AT_RISK, BREACHED, OWED, STALE_MARK, Look
from tui.present.words import Clause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.rows import OwedRow, PredictionRow
    from tui.view import Line, Span

MET: Final = Look("✓", "+", "met", "run-ok")
MET_LATE: Final = Look("✓", "+", "met late", "run-ok", "late")
UNKNOWN: Final = Look("◇", ".", "unknown", "run-stale")
SHIFTED: Final = Look("◇", ".", "shifted", "dim")
EXCLUDED: Final = Look("-", "-", "excluded", "dim", "not due")
WAIVED: Final = Look("-", "-", "waived", "dim")

LOOKS: Final[Mapping[Owed, Look]] = {
    Owed.PENDING: OWED,
    Owed.AT_RISK: AT_RISK,
    Owed.MET: MET,
    Owed.MET_LATE: MET_LATE,
    Owed.BREACHED: BREACHED,
    Owed.UNKNOWN: UNKNOWN,
    Owed.EXCLUDED: EXCLUDED,
    Owed.SHIFTED: SHIFTED,
    Owed.WAIVED: WAIVED,
}

_CELL: Final = 10
"""Cells of the column DUE ±LATE."""
PER_RUN: Final = ("max_duration", "duration_anomaly", "runaway")
"""Types that are owed by one run while it goes on: their due time is the end of what it may take."""
MEASURED: Final = ("metric", "resource", "volume", "reconcile", "quota", "budget", "forecast")
"""Types that are judged of measured values: what was measured is what there is to say."""
_NO_END: Final = ("start_by", "sequence", "heartbeat", "source_arrival", "freshness", *MEASURED)
"""Types of which no end is predicted: until they are due nothing can be said of their lateness."""


# --- looks ----------------------------------------------------------------------------------------------------------


def look(row: OwedRow, *, stale: bool = False) -> Look:
    """Glyph, word and colour. ``stale``: its source is not seen, so that what still waits is unknown; what is settled stays."""
    if stale and row.state.unsettled and row.state is not Owed.BREACHED:
        return UNKNOWN
    return LOOKS[row.state]


def state_cell(row: OwedRow, *, stale: bool = False, narrow: bool = False) -> list[Span]:
    """Glyph, overlay ``?``, blank, word: ``◆  at risk``, ``◇? unknown``."""
    seen = look(row, stale=stale)
    doubt = seen is UNKNOWN or (stale and row.state.unsettled)
    mark = STALE_MARK if doubt else " "
    style = "run-stale" if doubt else seen.style
    return [
        (seen.glyph + mark, style.partition(" ")[0]),
        (" ", ""),
        (seen.narrow if narrow else seen.word, style),
    ]


# --- lateness -------------------------------------------------------------------------------------------------------


def minutes_late(at: int, due: int) -> int:
    """Distance in ms between the two as they are written, to the minute: 06:14 against 06:00 is 14 minutes whatever the seconds."""
    return (at // words.MINUTE - due // words.MINUTE) * words.MINUTE


def lateness_ms(row: OwedRow, now: int) -> int | None:
    """Against due, ms, negative early: of what is settled as it was, of what is broken so far, of what waits as predicted.

    None: not known (unknown, still learning, nothing owed), or of a kind whose end nobody predicts and that is not due yet.
    """
    match row.state:
        case Owed.MET | Owed.MET_LATE:
            if (
                row.type == "sequence" or row.type in MEASURED
            ):  # when it was in order, or well, says nothing against its due time
                return row.lateness_ms
            return None if row.met_at is None else minutes_late(row.met_at, row.due)
        case Owed.BREACHED:
            begun = row.since if row.type in MEASURED and row.since is not None else row.due
            return max(minutes_late(now, begun), 0)
        case Owed.PENDING | Owed.AT_RISK | Owed.SHIFTED:
            p50 = end(row)
            if p50 is not None and row.type not in _NO_END:
                return minutes_late(p50, row.due)
            return minutes_late(now, row.due) if now > row.due else None
        case _:
            return None


def lateness(row: OwedRow, now: int) -> str:
    """``+14m`` late, ``-8m`` early, ``met``, ``?`` not known, ``-`` not owed, "" where nobody predicts an end. At most five cells."""
    if row.state is Owed.MET:
        return "met"
    if row.state in (Owed.EXCLUDED, Owed.WAIVED):
        return "-"
    late = lateness_ms(row, now)
    if late is not None:
        return short(late)
    return "" if row.state.waiting and row.type in _NO_END else "?"


def short(ms: int) -> str:
    """A signed lateness in at most five cells: ``+14m``, ``-65m``, ``+4h``, ``+12d``."""
    sign, ms = ("-" if ms < 0 else "+"), abs(ms)
    if ms < 100 * words.MINUTE:
        return f"{sign}{ms // words.MINUTE}m"
    if ms < 100 * words.HOUR:
        return f"{sign}{ms // words.HOUR}h"
    return f"{sign}{min(ms // words.DAY, 999)}d"


def due_cell(row: OwedRow, tz: str, now: int) -> str:
    """``06:00 +14m``, ``07:00 ?``, ``04:30 met``: the column DUE ±LATE, ten cells at most; of a far day only the day."""
    at, said = words.clock_short(row.due, tz, now), lateness(row, now)
    return f"{at} {said}" if said and len(at) + 1 + len(said) <= _CELL else at


def late_style(row: OwedRow, *, stale: bool = False) -> str:
    """Colour of its lateness: only where a person is needed."""
    if stale or row.state is Owed.UNKNOWN:
        return "run-stale"
    return {Owed.BREACHED: "run-failed b", Owed.AT_RISK: "run-late b"}.get(row.state, "dim")


# --- words ----------------------------------------------------------------------------------------------------------


def end(row: OwedRow) -> int | None:
    """When it will be done: the middle of what is predicted, or the declared end while learning. None: not known."""
    return None if row.prediction is None else row.prediction.p50


def due_words(row: OwedRow, tz: str, now: int) -> str:
    """``due 06:00``, ``due to start 04:55``, ``due to arrive 05:00``, ``limit 06:05``."""
    at = words.clock(row.due, tz, now)
    if row.type in PER_RUN:
        return f"limit {at}"
    if row.promise == "overdue":
        return f"expected by {at}"
    return {
        "start_by": f"due to start {at}",
        "source_arrival": f"due to arrive {at}",
        "sequence": f"in order, due {at}",
    }.get(row.type, f"due {at}")


def reason(row: OwedRow, tz: str) -> str:
    """Why it is so, as the judge said; its clocks are in the promise's own zone, which is named where it is not ours."""
    text = clean(row.reason)
    return text if row.zone == tz or not text else f"{text} ({words.zone_word(row.zone)} time)"


def start_words(row: OwedRow, tz: str, now: int) -> str:
    """``must start by 05:04``, or ``had to start by 05:04``; "" where that is not known or no longer asked."""
    p = row.prediction
    if (
        p is None
        or p.latest_start is None
        or unverified(row)
        or row.type in PER_RUN
        or row.state in (Owed.MET, Owed.MET_LATE, Owed.EXCLUDED, Owed.WAIVED)
    ):
        return ""
    at = words.clock(p.latest_start, tz, now)
    if p.course in (Course.RUNNING, Course.OVERRUN):
        return "" if p.start <= p.latest_start else f"had to start by {at}"
    if now <= p.latest_start:
        return f"must start by {at}"
    return f"had to start by {at}"


def rerun_words(p: PredictionRow, tz: str, now: int) -> str:
    """``if rerun now 06:34 ± 5``."""
    at = words.clock(p.p50, tz, now)
    return f"if rerun now {at}" + (f" ± {max(round(p.spread / words.MINUTE), 1)}" if p.spread is not None else "")


def learning_words(p: PredictionRow, row: OwedRow) -> str:
    """``learning 5/8``, with the declared duration where it stands in."""
    said = f"learning {p.basis.n}/{p.basis.need}"
    return said + (f", declared {words.rough(row.expected_ms)} is used" if row.expected_ms is not None else "")


def still_counts(row: OwedRow) -> str:
    """What a waiver leaves as it is."""
    return "its run still counts for history" if row.pipeline_id is not None else "what comes of it still counts"


def _done(row: OwedRow) -> str:
    return {
        "start_by": "started", "source_arrival": "came", "heartbeat": "sign of life", "sequence": "in order",
    }.get(row.type, "done")  # fmt: skip


def sentence(row: OwedRow, tz: str, now: int) -> list[Clause]:
    """What is owed and whether it will be, by weight: ``due 06:00, p50 06:14`` · ``p90 06:26`` · ``must start by 05:04`` …"""
    if row.type in MEASURED:
        return _measured(row, tz, now)
    due = due_words(row, tz, now)
    match row.state:
        case Owed.MET | Owed.MET_LATE:
            late = lateness_ms(row, now) or 0
            done = f"{_done(row)} {words.clock(row.met_at, tz, now)}"
            return [f"{due}, {done}", f"{words.running(late)} late" if row.state is Owed.MET_LATE else "met"]
        case Owed.EXCLUDED | Owed.WAIVED:
            return [f"{due}, {look(row).word}", clean(row.why_opened) or reason(row, tz)]
        case Owed.UNKNOWN:
            return [f"{due}, nobody can tell", reason(row, tz)]
        case _:
            pass
    out: list[Clause] = []
    p = row.prediction
    if row.type == "sequence" and row.state is Owed.PENDING:
        return ["nothing out of order so far"]  # its due time is only the end of its date
    if row.type == "sequence" and row.state is Owed.BREACHED:
        return [f"out of order: {reason(row, tz)}"]
    if row.type in _NO_END or p is None:
        out.append(f"{due}, {_missing(row, tz)}")
    else:
        out += _predicted(row, p, due, tz, now)
    if row.state is Owed.SHIFTED:
        out.append(f"shifted from {words.clock(row.declared_due, tz, now)}")
        if row.why_opened:
            out.append(clean(row.why_opened))
    return out + start_clauses(row, tz, now)


def _measured(row: OwedRow, tz: str, now: int) -> list[Clause]:
    """Of a measured value: what was measured is all there is to say, and how long it was so."""
    said = reason(row, tz) or look(row).word
    match row.state:
        case Owed.MET | Owed.MET_LATE if row.lateness_ms:
            return [said, f"for {words.running(row.lateness_ms)}"]
        case Owed.UNKNOWN:
            return ["nobody can tell", said]
        case _:
            return [said]


def start_clauses(row: OwedRow, tz: str, now: int, *, ago: bool = False) -> list[Clause]:
    """``must start by 05:04``, the time in the colour of what needs a person; ``ago``: with how long that is over."""
    said, p = start_words(row, tz, now), row.prediction
    if not said or p is None or p.latest_start is None:
        return []
    head, _, at = said.rpartition(" ")
    spans: list[Span] = [
        (f"{head} ", "dim"),
        (at, "run-late b" if row.state in (Owed.AT_RISK, Owed.BREACHED) else "dim"),
    ]
    if ago and p.latest_start < now and p.course not in (Course.RUNNING, Course.OVERRUN):
        spans.append((f", {words.running(now - p.latest_start)} ago", "dim"))
    return [spans]


def _missing(row: OwedRow, tz: str) -> str:
    """What is not there, of a promise without an end that could be predicted."""
    if row.missed and row.type in ("start_by", "finish_by"):
        return "no run seen"
    text = reason(row, tz)
    head, colon, tail = text.partition(": ")
    if colon and head.startswith("due "):  # our sentence begins with the due time in the reader's own zone
        text = tail
    return text or look(row).word


def unverified(row: OwedRow) -> bool:
    """Its run is done, only its checks have not passed: no start is waited for, and no end can be predicted."""
    return row.reason.endswith("not yet verified")


def _predicted(row: OwedRow, p: PredictionRow, due: str, tz: str, now: int) -> list[Clause]:
    out: list[Clause] = []
    p50 = words.clock(p.p50, tz, now)
    match p.course:
        case Course.LEARNING:
            out.append(
                f"{due}, {_missing(row, tz)}" if row.state is Owed.BREACHED else f"{due}, {learning_words(p, row)}"
            )
            if p.p50 is not None and row.state is Owed.BREACHED:
                out.append(f"if now {words.clock(now + max(p.p50 - p.start, 0), tz, now)}")
            elif p.p50 is not None:
                out.append(f"then done {p50}")
        case Course.OVERRUN:
            out.append(f"{due}, longer than all {p.n} known runs")
        case Course.RERUN:
            out.append(f"{due}, {rerun_words(p, tz, now)}")
        case Course.WAITING:
            if row.state is Owed.BREACHED and (row.type == "completeness" or unverified(row)):
                out.append(f"{due}, {_missing(row, tz)}")  # some of it is done: what is missing is what helps
            elif row.state is Owed.BREACHED:
                out.append(f"{due}, {'no run seen' if row.missed else 'not started'}")
                out.append(f"if now {p50}")
            else:
                out += [f"{due}, p50 {p50}", f"p90 {words.clock(p.p90, tz, now)}"]
        case Course.RUNNING:
            out += [f"{due}, p50 {p50}", f"p90 {words.clock(p.p90, tz, now)}"]
    return out


def source_words(row: OwedRow, tz: str, now: int) -> Clause:
    """Of a feed that something else waits for: ``source eia came 05:21 +36m``, ``source eia not here, due 04:45 +67m``; "" in time."""
    name = clean(row.name)
    if row.state is Owed.MET_LATE:
        return [(f"source {name} came {words.clock(row.met_at, tz, now)} ", "dim"), (lateness(row, now), "run-late")]
    if row.state is Owed.BREACHED:
        return [
            (f"source {name} not here, due {words.clock(row.due, tz, now)} ", "dim"),
            (lateness(row, now), "run-late"),
        ]
    return f"source {name} is at risk" if row.state is Owed.AT_RISK else ""


def basis_lines(row: OwedRow, tz: str, now: int, n: int) -> list[Line]:
    """Where every number of it comes from: the answer to the key ``owed.basis``, as lines of ``n`` cells."""
    from tui.present import owed_basis

    return owed_basis.basis_lines(row, tz, now, n)


def promised(row: OwedRow) -> bool:
    """Whether somebody declared it, rather than that we judge it without configuration."""
    return row.declared


def danger(rows: Sequence[OwedRow]) -> list[OwedRow]:
    """Those at risk or broken, soonest due first."""
    return sorted((r for r in rows if r.state in (Owed.AT_RISK, Owed.BREACHED)), key=lambda r: (r.due, r.name))
