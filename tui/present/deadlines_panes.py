"""What stands around the list of promises: the verdict, what nobody can keep, labelled facts, and how to begin. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from adapters.model import Owed
from tui import keymap
from tui.present import frame, owed, words
from tui.present.cut import clean, width
from tui.present.deadlines import Due
from tui.present.lines import cells, ends, fit, rule
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import OwedWarning, SourceRow
    from tui.view import Line, Span

NAMED: Final = 2
"""Blind sources that the verdict calls by name; more of them are a number."""


def verdict_row(
    count: Mapping[Owed, int], date: str, blind: Sequence[SourceRow], tz: str, now: int, n: int
) -> list[Span]:
    """`` 1 breached   2 at risk   8 owed · 2 unknown · 10 met, 1 met late``; who is blind; the business date at the right."""
    left: list[Span] = [(" ", "")]
    for state, token in ((Owed.BREACHED, "run-failed"), (Owed.AT_RISK, "run-late")):
        if count.get(state):
            left += [frame.chip(f"{count[state]} {owed.LOOKS[state].word}", token), ("  ", "")]
    if not any(count.values()):
        # what is owed by pipelines of a source that never answered cannot be told from its name alone
        left.append(("Nothing known is owed  " if blind else "Nothing is owed  ", "text b"))
    elif len(left) == 1 and not count.get(Owed.UNKNOWN) and not blind:  # what a blind source owes may not even be known
        left.append(("Nothing is late now  " if count.get(Owed.MET_LATE) else "All as promised  ", "run-ok b"))
    said: list[Clause] = []
    if count.get(Owed.PENDING):
        said.append(f"{count[Owed.PENDING]} owed")
    if count.get(Owed.UNKNOWN):
        said.append([(f"{count[Owed.UNKNOWN]} unknown", "run-stale b")])
    met, late = count.get(Owed.MET, 0), count.get(Owed.MET_LATE, 0)
    if met or late:
        said.append(", ".join([f"{met} met", *([f"{late} met late"] if late else [])]))
    off = [f"{count[s]} {owed.LOOKS[s].word}" for s in (Owed.EXCLUDED, Owed.WAIVED) if count.get(s)]
    if off:
        said.append(", ".join(off))
    dark: list[Clause] = [[(f"{clean(s.name)} {_unseen(s, tz, now)}", "run-stale b")] for s in blind]
    if len(dark) > NAMED:  # a line that drops some of them would say that these are all
        dark = [[(f"{len(dark)} sources not seen", "run-stale b")]]
    at = (
        len(said) if count.get(Owed.UNKNOWN) else min(len(said), 1)
    )  # where no count tells of it, it stands before what is over
    said[at:at] = dark
    right: list[Span] = [(("date " if frame.is_narrow(n) else "business date ") + date, "dim")] if date else []
    room = n - cells(left) - (cells(right) + 3 if right else 1)
    return ends([*left, *words.sentence(said, max(room, 1), "text", "text")], right, n)


def _unseen(s: SourceRow, tz: str, now: int) -> str:
    return "never seen" if s.last_ok is None else f"not seen since {words.clock(s.last_ok, tz, now)}"


def business_date(rows: Sequence[Due], now: int) -> str:
    """Of the promise that is due next, else of the last one; "" where none has any."""
    dated = [d.row for d in rows if d.row.business_date]
    ahead = min((r for r in dated if r.due >= now), key=lambda r: r.due, default=None)
    last = ahead or max(dated, key=lambda r: r.due, default=None)
    return (last.business_date or "") if last is not None else ""


def warned(found: Sequence[OwedWarning], n: int, most: int) -> list[Line]:
    """Promises that nobody can keep, with their place: a title and ``most`` rows, or one row where there is no room."""
    if not found:
        return []
    said = f"{words.many(len(found), 'promise')} that nobody can keep"
    if most == 1:
        one: list[Clause] = [said, [(f"{clean(found[0].promise)}: {clean(found[0].words)}", "text")]]
        return [[(" ", ""), ("▲ ", "run-warning b"), *words.sentence(one, n - 4, "text b")]]
    shown = most if len(found) <= most else most - 1
    out: list[Line] = [rule(said, "mend the configuration, then reload", "", n)]
    for w in found[:shown]:
        clauses: list[Clause] = [[(f"{clean(w.promise)}: ", "text b"), (clean(w.words), "text")], clean(w.place)]
        out.append([(" ", ""), ("▲ ", "run-warning b"), *words.sentence(clauses, n - 4)])
    if len(found) > shown:
        out.append([(f"   … {len(found) - shown} more: watchfloor show deadlines --format json", "dim")])
    return out


def facts(found: Sequence[tuple[str, Sequence[Clause]]], n: int) -> list[Line]:
    """Labelled sentences one under the other."""
    return [line for label, said in found for line in packed(label, said, n)]


def packed(label: str, said: Sequence[Clause], n: int) -> list[Line]:
    """A label and its clauses, whole ones, on as many lines of ``n`` cells as they need."""
    out: list[Line] = []
    room, left = n - 8, [c for c in said if words.clause_text(c)]
    while left:
        take, used = 1, width(words.clause_text(left[0]))
        while take < len(left) and used + 3 + width(words.clause_text(left[take])) <= room:
            used += 3 + width(words.clause_text(left[take]))
            take += 1
        head = label if not out else ""
        out.append(fit([(" ", ""), (f"{head:<6}", "dim"), *words.sentence(left[:take], room)], n))
        left = left[take:]
    return out


def empty(n: int) -> list[Line]:
    """No promise at all: what to write, and what is watched without it."""
    left = " " * (3 if frame.is_narrow(n) else max((n - 76) // 2, 3))
    toml = (
        "[[expectation]]",
        'id = "sales-ready"',
        'on = "prod-airflow:daily_sales"',
        'type = "finish_by"',
        'due = "06:00"',
    )
    rows: list[list[Span]] = [
        [],
        [("No promise is written down yet", "text b")],
        [("Watchfloor knows what runs, not what is owed: nothing here says that all is in time.", "dim")],
        [],
        [("Write into watchfloor.toml, for each thing that must be there in time:", "text")],
        *[[("  ", ""), (line, "key b")] for line in toml],
        [],
        [("Watched already, without it: missed starts of known schedules, pipelines", "dim")],
        [("that are silent for longer than ever, runs far beyond their history. They", "dim")],
        [("stand here while they are broken or at risk, and on the Floor, ", "dim"), (keymap.key_of("screen.floor"), "key b"), (".", "dim")],
    ]  # fmt: skip
    return [fit([(left, ""), *row], n) for row in rows]
