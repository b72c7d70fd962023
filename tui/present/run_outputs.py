"""What the steps of a run were expected to make, and what was seen: a pane under the steps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tui.present import words
from tui.present.cut import clean, cut_middle, first_line, pad
from tui.present.lines import fit, rule

if TYPE_CHECKING:
    from engine.store.rows import OutputRow
    from tui.present.words import Clause
    from tui.view import Line, Span

_LOOKS: Final = (("○", "run-queued"), ("✓", "run-ok"), ("✗", "run-failed b"))
WHOLE: Final = "the run"


def said(one: OutputRow) -> list[Clause]:
    """``expected ≥ 1`` · ``saw 1,204``, or why nothing was seen."""
    out: list[Clause] = [[("expected ", "dim"), (clean(one.expected), "text")]]
    why = first_line(one.words)
    if one.saw is not None:
        out.append([("saw ", "dim"), (first_line(one.saw), "text" if one.state == 1 else "run-failed b")])
        if one.state != 1 and why.endswith("; not asked any more"):
            out.append("not asked any more")
    else:
        out.append([("not seen", "run-failed b" if one.state == 2 else "text")] if one.state else "not seen yet")
        out.append(why)
    return out


def _fitting(one: OutputRow, room: int) -> list[Clause]:
    """The same; where not all of it fits, why nothing was seen stands first: what was expected is written in the configuration."""
    clauses = said(one)
    if one.state != 2 or one.saw is not None or sum(words.width(words.clause_text(c)) + 3 for c in clauses) - 3 <= room:
        return clauses
    expected, missing, *why = clauses
    return [*([(words.clause_text(w), "run-failed b")] for w in why), missing, expected]


def pane(rows: Sequence[OutputRow], order: Sequence[str], at: str | None, width: int, most: int = 5) -> list[Line]:
    """Each output in the order of the steps; those of the step under the cursor (``at``) bold. Empty where none is expected."""
    if not rows:
        return []
    place = {step: i for i, step in enumerate(dict.fromkeys(order))}
    rows = sorted(rows, key=lambda o: (place.get(o.step, len(place)), o.step, o.name))
    if at is not None and len(rows) > most:  # the cursor's are always among those that are shown
        rows = [*(o for o in rows if o.step == at), *(o for o in rows if o.step != at)]
    good = sum(o.state == 1 for o in rows)
    out: list[Line] = [
        rule("Outputs", f"{good} of {len(rows)} as expected", "" if width < 110 else "expected and seen", width)
    ]
    n = 14 if width < 110 else 26
    for one in rows[:most]:
        glyph, style = _LOOKS[one.state]
        bold = " b" if one.step == at else ""
        spans: list[Span] = [
            (" ", ""),
            (f"{glyph} ", style.partition(" ")[0]),
            (pad(cut_middle(clean(one.step or WHOLE), n - 2), n - 1), f"text{bold}"),
            (pad(cut_middle(clean(one.name), n - 2), n - 1), "text"),
        ]
        room = width - 3 - 2 * (n - 1) - 1
        out.append(fit([*spans, *words.sentence(_fitting(one, room), room)], width))
    if len(rows) > most:
        out.append(fit([(f"   and {len(rows) - most} more", "dim")], width))
    return out


def record(one: OutputRow) -> dict[str, Any]:
    """For scripts."""
    state = ("waiting", "as expected", "not as expected")[one.state]
    return {
        "name": one.name, "step": one.step or None, "state": state, "expected": one.expected, "saw": one.saw, "says": one.words, "at": one.at,
    }  # fmt: skip
