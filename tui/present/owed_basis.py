"""The answer to the key that asks where a number comes from: declared or learnt, from which n and which window of time."""

from __future__ import annotations

import re
from math import exp
from typing import TYPE_CHECKING, Final

from adapters.model import Course, Owed
from tui.present import owed, words
from tui.present.cut import clean, width
from tui.present.lines import fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.store.rows import BasisRow, OwedRow, PredictionRow
    from tui.view import Line, Span

_LABEL: Final = 22
_BY: Final = re.compile(r"\bby (\d\d:\d\d)\b")
"""The declared time of day in how a promise reads."""


def basis(row: OwedRow, tz: str, now: int) -> list[tuple[str, str]]:
    """Every number of a promise as (number, where it comes from), the promise itself first."""
    return [*_promise(row, tz, now), *_readings(row, tz, now), *_prediction(row, tz, now), *_usual(row)]


def basis_lines(row: OwedRow, tz: str, now: int, n: int) -> list[Line]:
    """The same as lines of ``n`` cells: the number bold, then its origin, wrapped and never cut."""
    return said_lines(basis(row, tz, now), n)


def said_lines(said: Sequence[tuple[str, str]], n: int) -> list[Line]:
    """Pairs of number and origin as lines of ``n`` cells."""
    label = min(max((width(what) for what, _ in said), default=0), _LABEL if n >= 60 else n // 3)
    out: list[Line] = []
    for what, where in said:
        long = width(what) > label
        if long:
            out.append(fit([(f" {what}", "text b")], n))
        for i, part in enumerate(_wrap(where, max(n - label - 4, 10))):
            head: Span = (f" {what:<{label}}" if not i and not long else " " * (label + 1), "text b")
            out.append(fit([head, ("  ", ""), (part, "dim")], n))
    return out


def _wrap(text: str, cells: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and width(line) + 1 + width(word) > cells:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _promise(row: OwedRow, tz: str, now: int) -> Iterator[tuple[str, str]]:
    at = words.clock(row.due, tz, now)
    reads = clean(row.expectation)
    if row.declared:
        place = f"declared in {clean(row.place)}" if row.place else "declared"
        yield at, f"{place}: {reads}, severity {row.severity.name.lower()}" + _kept(row)
    else:
        yield (
            at,
            {
                "schedule": f"not declared: the schedule that its source names, and a grace ({reads})",
                "overdue": f"not declared, no schedule is known: learnt from the gaps between its own runs ({reads})",
                "runaway": f"not declared: far beyond its own history ({reads})",
            }.get(row.promise, f"not declared: judged without configuration ({reads})"),
        )
    if row.limit_ms is not None:
        yield f"limit {words.rough(row.limit_ms)}", "declared" if row.declared else "learnt"
    if row.due != row.declared_due:
        was = words.clock(row.declared_due, tz, now)
        yield f"{was} → {at}", f"moved by a window: {clean(row.why_opened) or 'shifted'}"
    elif row.opened_as in (Owed.EXCLUDED, Owed.WAIVED) and row.why_opened:
        yield owed.LOOKS[row.opened_as].word, clean(row.why_opened)


def _kept(row: OwedRow) -> str:
    """Where the configuration says another time of day than this one was opened with."""
    found = _BY.search(row.expectation)
    if found is None or " + " in row.expectation[found.end() :]:  # a margin is in the due time already
        return ""
    reads, opened = "00:00" if found[1] == "24:00" else found[1], words.hhmm(row.declared_due, row.zone)
    if reads == opened or not words.exists(row.declared_due, reads, row.zone):
        return ""
    return f"; this one was opened when {opened} was declared and keeps it, {reads} counts for the next"


def _readings(row: OwedRow, tz: str, now: int) -> Iterator[tuple[str, str]]:
    """What was measured, and when: what a verdict on a number rests on."""
    for what, series, at, said in row.evidence:
        if what == "value":
            name, when = clean(series), words.clock(at, tz, now)
            text = clean(said)
            yield f"read {when}", text if name in text else f"{name}: {text}"
    if row.type not in owed.MEASURED:
        return
    if row.state is Owed.UNKNOWN:
        yield "not known", clean(row.reason)
    if row.state is Owed.BREACHED and row.since is not None:
        yield (
            f"since {words.clock(row.since, tz, now)}",
            "the first reading that was bad; readings that nobody saw do not count",
        )


def _prediction(row: OwedRow, tz: str, now: int) -> Iterator[tuple[str, str]]:
    p = row.prediction
    if p is None:
        if row.type in ("finish_by", "completeness", *owed.PER_RUN) and row.state.waiting:
            yield "no prediction", "nothing is known yet that it could be made of"
        return
    b = p.basis
    if not b.learnt:
        yield from _learning(row, p, tz, now)
        return
    if p.p50 is None:
        yield f"all {p.n} outlived", f"this run takes longer than each of {_runs(b, tz)}"
    else:
        took = f"p50 {words.rough(p.p50 - p.start)}"
        if p.p90 is not None:
            took += f", p90 {words.rough(p.p90 - p.start)}"
        yield took, f"learnt from {_runs(b, tz)}" + _outlived(p)
        ends = f"p50 {words.clock(p.p50, tz, now)}" + ("" if p.p90 is None else f", p90 {words.clock(p.p90, tz, now)}")
        yield ends, f"{_begin(p)} {words.clock(p.start, tz, now)}, and those durations"
    if p.spread is not None:
        yield (
            f"± {max(round(p.spread / words.MINUTE), 1)}m",
            "half of the way from the quickest tenth to the slowest tenth",
        )
    if p.late is not None:
        yield f"P(late) {p.late:.2f}", _late(p, row, tz, now)
    if p.latest_start is not None:
        at = words.clock(p.latest_start, tz, now)
        yield f"start by {at}", "the due time less the p90: started later, even a run as quick as nine of ten is late"
    if b.trend is not None:
        each = (exp(b.trend) - 1) * 100
        said = f"{each:+.1f} %" if abs(each) >= 0.05 else f"{'+' if each > 0 else '-'}0.1 % or less"
        yield f"trend {said} a run", "beyond the noise of its history, so it is carried to the next run"
    if b.shift is not None:
        yield f"level since {words.day(b.shift, tz)}", "five runs in a row were on one side: history starts anew there"
    if b.scaled:
        yield f"{b.scaled} of {b.n} scaled", "runs of another level or another class of day, brought to this one's"


def _learning(row: OwedRow, p: PredictionRow, tz: str, now: int) -> Iterator[tuple[str, str]]:
    b = p.basis
    if row.expected_ms is not None:
        used = f"declared {words.rough(row.expected_ms)} is used"
    else:
        used = f"no number before {b.need}, none is declared"
    yield f"learning {b.n}/{b.need}", used + (f"; {_runs(b, tz)} so far" if b.n else "; no run counts yet")
    if p.p50 is not None:
        yield f"done {words.clock(p.p50, tz, now)}", f"{words.clock(p.start, tz, now)} and the declared duration"
    if p.latest_start is not None:
        yield f"start by {words.clock(p.latest_start, tz, now)}", "the due time less the declared duration"


def _runs(b: BasisRow, tz: str) -> str:
    """``20 weekday runs, 12 Oct–19 Nov``."""
    kind = f"{b.day} " if b.day else ""
    said = f"{b.n} {kind}{'run' if b.n == 1 else 'runs'}"
    if b.since is None or b.until is None:
        return said
    first, last = words.day(b.since, tz), words.day(b.until, tz)
    return f"{said}, {first}" if first == last else f"{said}, {first}–{last}"


def _outlived(p: PredictionRow) -> str:
    """While it runs only those count that took longer than it has."""
    if p.course is not Course.RUNNING or p.outlived >= p.n:
        return ""
    return f"; {p.outlived} of them took longer than this one so far, and only those count"


def _begin(p: PredictionRow) -> str:
    return {
        Course.RUNNING: "its start", Course.RERUN: "a rerun started now,", Course.WAITING: "the earliest start,",
    }.get(p.course, "from")  # fmt: skip


def _late(p: PredictionRow, row: OwedRow, tz: str, now: int) -> str:
    due = words.clock(row.due, tz, now)
    if p.course is Course.OVERRUN:
        return f"it outlived all of its history; certain once {due} is over"
    of = p.outlived if p.course is Course.RUNNING else p.n
    return f"{round((p.late or 0.0) * of)} of {words.many(of, 'known run')} would end after {due}"


def _usual(row: OwedRow) -> Iterator[tuple[str, str]]:
    if row.usual_ms is not None:
        yield (
            f"usual {words.rough(row.usual_ms)}",
            f"learnt: the middle of its last {words.many(row.usual_n, 'finished run')}",
        )
    if row.expected_ms is not None and (row.prediction is None or row.prediction.basis.learnt):
        yield f"expected {words.rough(row.expected_ms)}", "declared; what is learnt is used"
