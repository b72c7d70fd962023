"""One action whole, and one backfill: outcome, reason, who, before → after, calls, guards, proof, its records. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.model import State
from tui.present import words
from tui.present.actions import OUTCOMES, change_rows, changes, dates, progress, settle, teller
from tui.present.audit import who_words
from tui.present.cut import clean
from tui.present.dialog import wrapped
from tui.present.glyphs import LOOKS
from tui.present.plan import call_rows, guard_rows

if TYPE_CHECKING:
    from adapters.model import ActionState
    from engine.store.rows import ActionDetail, EndedRow, OperationRow
    from tui.view import Line, Span


def action_detail(found: ActionDetail, room: int, tz: str, now: int) -> list[Line]:
    """What came of it first, then why and who, what is another now, and how it was done."""
    a, plan = found.row, found.plan
    look = OUTCOMES[a.state]
    out = wrapped(look.short, [(f"{look.glyph} {look.word}", look.style), (f" · {clean(a.words)}", "text")], room)
    if a.must_look:
        out += wrapped("settle", [(settle(a.id), "text b")], room)
    if a.reason:
        out += wrapped("reason", [(clean(a.reason), "text b")], room)
    origin = found.records[0].origin if found.records else None
    who: dict[str, Any] = {"who": a.who, **found.identity}
    asked: list[Span] = [(who_words(who, found.uid, origin), "text"), (f" · {words.stamp(a.created, tz)}", "dim")]
    out += wrapped("who", asked, room)
    said = [f"{name} {value}" for name, value in (plan.get("params") or {}).items()]
    if plan.get("business_date"):
        said.insert(0, f"business date {plan['business_date']}")
    if said:
        out += wrapped("for", [(clean(" · ".join(said)), "text")], room)
    out += change_rows(changes(found.before, found.after, tz, now), room, known=found.after is not None)
    if a.result_key:
        out += wrapped("made", [(clean(a.result_key), "text")], room)
    out += wrapped("went", _events(found.events, tz), room) if found.events else []
    out += call_rows([c for c in plan.get("calls") or () if isinstance(c, dict)], room)
    out += guard_rows(found.guards, room)
    passed = [g for g in found.guards if g.get("ok") is None]
    if passed:
        words_ = "; ".join(clean(str(g.get("words") or g.get("name") or "")) for g in passed)
        out += wrapped("went past", [(words_, "run-warning"), (" · with the reason above", "dim")], room)
    for label in ("proof", "undo"):
        if plan.get(label):
            out += wrapped(label, [(clean(str(plan[label])), "text")], room)
    if found.records:
        parts = ", ".join(f"{r.seq:,} {clean(r.event).replace('_', ' ')} {r.hash[:8]}" for r in found.records)
        out += wrapped("audit", [(parts, "dim")], room)
    else:
        out += wrapped("audit", [("no record of it stands in the audit", "run-late b")], room)
    return out


def _events(events: Sequence[tuple[int, ActionState, str]], tz: str) -> list[Span]:
    """``05:53:02 asked · 05:53:03 accepted · 05:53:31 the run ended``."""
    out: list[Span] = []
    shown = events if len(events) <= 8 else [*events[:3], *events[-5:]]
    for i, (at, _state, said) in enumerate(shown):
        if i:
            out.append((" … " if len(shown) < len(events) and i == 3 else " · ", "dim"))
        out += [(f"{words.hhmmss(at, tz)} ", "dim"), (clean(said), "text")]
    return out


def operation_detail(o: OperationRow, room: int, tz: str, now: int, asked: EndedRow | None = None) -> list[Line]:
    """A backfill as its source tells of it."""
    look = LOOKS[o.state]
    said: list[Span] = []
    for i, clause in enumerate(progress(o, 20, tz, now)):
        said.append((" · " if i else "", "dim"))
        said += [(clause, "text")] if isinstance(clause, str) else list(clause)
    out = wrapped(
        "state",
        [(f"{look.glyph} {'paused' if o.state is State.HELD else look.word}", look.style), (" ", ""), *said],
        room,
    )
    out += wrapped("dates", [(dates(o), "text")], room)
    by = f" · by {clean(teller(o))}" if teller(o) else " · by whom is not told"
    if not teller(o) and asked is not None:
        by = f" · asked for here by {clean(asked.who)}: {clean(asked.reason or 'no reason given')}"
    began = words.stamp(o.created, tz) if o.created is not None else "not told by its source"
    out += wrapped("began", [(began, "text"), (by, "dim")], room)
    if o.ended is not None:
        out += wrapped("ended", [(words.stamp(o.ended, tz), "text")], room)
    if o.words:
        out += wrapped("says", [(clean(o.words), "text")], room)
    age = "never" if o.seen is None else f"{words.age(max(now - o.seen, 0))} ago"
    return [*out, *wrapped("seen", [(age, "dim"), (f" · {clean(o.pipeline)} · number {clean(o.id)}", "dim")], room)]
