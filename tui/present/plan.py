"""A plan as rows: what is now, what it will do, the exact calls, the guards; then how the action goes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tui.present import words
from tui.present.actions import outcome, parts_of
from tui.present.cut import clean
from tui.present.dialog import LABEL, flow, wrapped
from tui.present.glyphs import LOOKS, State
from tui.present.lines import cells

if TYPE_CHECKING:
    from engine.store.rows import ActionRow
    from tui.view import Line, Span

VERBS: Final = {
    "start": "Start a run of", "pause": "Pause the schedule of", "resume": "Resume the schedule of", "hold": "Hold the run of",
    "release": "Release the run of", "stop": "Stop the run of", "rerun": "Rerun the whole run of",
    "rerun-failed": "Rerun what failed in", "rerun-from": "Rerun from a step of", "mark": "Mark a run of",
    "backfill": "Backfill", "backfill-pause": "Pause the backfill of", "backfill-resume": "Resume the backfill of",
    "backfill-cancel": "Cancel the backfill of",
}  # fmt: skip
SHORT: Final = {
    "rerun-failed": "rerun", "rerun-from": "rerun", "backfill": "make", "backfill-pause": "pause", "backfill-resume": "resume", "backfill-cancel": "cancel",
}  # fmt: skip
"""Verb → its word in a sentence with "it"."""
LEAVE: Final = {
    "stop": "leave it running", "hold": "leave it running", "pause": "leave it scheduled", "backfill": "no backfill",
    "backfill-pause": "let it go on", "backfill-cancel": "let it go on",
}  # fmt: skip


def title_rows(verb: str, plan: Mapping[str, Any], key: str, room: int) -> list[Line]:
    """``Stop the run of daily_sales  scheduled__2026-11-20T04:21``; what does not fit wraps, a run's id is never cut."""
    about = [clean(str(plan[k])) for k in ("run", "step") if plan.get(k)]
    name = str(plan.get("target") or plan.get("name") or "")
    if not name:
        name, *about = parts_of(key)
    said = VERBS.get(verb, verb)
    if verb == "mark" and len(about) > 1:
        said = "Mark a step of"
    shown = plan.get("params")
    if verb.startswith("backfill-") and isinstance(shown, dict) and shown.get("id"):
        about.append(f"number {clean(str(shown['id']))}")
    head: Line = [(f"{said} ", "text"), (clean(name), "text b")]
    whole: Line = [*head, ("".join(f"  {a}" for a in about), "dim")]
    if cells(whole) <= room:
        return [whole]
    return [head, *(line for a in about for line in wrapped("", [(a, "dim")], room))]


def now_rows(plan: Mapping[str, Any], at: int, room: int) -> list[Line]:
    """How the thing stood when it was read, and how long ago that is."""
    now = plan.get("now") or {}
    look = LOOKS.get(State(int(now["state"]))) if isinstance(now.get("state"), int) else None
    read = now.get("read_at")
    said = clean(str(now.get("words") or now.get("word") or "?"))
    state: list[Span] = [(f"{look.glyph} ", look.style)] if look else []
    state.append((said, look.token if look else "text"))
    if isinstance(read, int):
        state.append((f" · read {words.age(max(0, at - read))} ago", "dim"))
    return wrapped("now", state, room)


def said(plan: Mapping[str, Any], label: str, name: str, style: str, room: int) -> list[Line]:
    text = plan.get(name)
    return wrapped(label, [(clean(str(text)), style)], room) if text else []


def pairs(plan: Mapping[str, Any], room: int) -> list[Line]:
    """What follows for others, a note, the calls, the proof, the way back."""
    out = [*said(plan, "so", "so", "run-late", room), *said(plan, "note", "note", "text", room)]
    out += call_rows(plan.get("calls") or (), room)
    return [*out, *said(plan, "proof", "proof", "text", room), *said(plan, "undo", "undo", "text", room)]


def call_rows(calls: Sequence[Mapping[str, Any]], room: int) -> list[Line]:
    """The exact calls, masked, each whole: they wrap and are never cut."""
    out: list[Line] = []
    for i, call in enumerate(calls):
        line: list[Span] = [
            (f"{clean(str(call.get('method', '')))} ", "text b"),
            (clean(str(call.get("target", ""))), "text"),
        ]
        out += wrapped("call" if i == 0 else "", line, room)
        extra = [json.dumps(call["body"], ensure_ascii=False)] if call.get("body") is not None else []
        headers: Mapping[str, Any] = call.get("headers") or {}
        extra += [f"{k}: {v}" for k, v in headers.items()]
        if extra:
            out += wrapped("", [(clean("   ".join(extra)), "dim")], room)
    return out


def guard_rows(guards: Sequence[Mapping[str, Any]], room: int, *, tight: bool = False) -> list[Line]:
    """Each guard with its answer; ``tight``: those that hold are only counted."""
    items: list[list[Span]] = []
    holds = 0
    for guard in guards:
        ok = guard.get("ok")
        glyph, style = (
            ("✓", "run-ok") if ok is True else ("✗", "run-failed b") if ok is False else ("▲", "run-warning b")
        )
        text = clean(str(guard.get("words") or guard.get("name") or ""))
        if tight and ok is True:
            holds += 1
        else:
            items.append([(f"{glyph} ", style), (text, "dim" if ok is True else style)])
    if holds:
        items.append([("✓ ", "run-ok"), (f"{holds} {'hold' if holds > 1 else 'holds'}", "dim")])
    return flow("guards", items, room)


def choose_rows(candidates: Sequence[str], pick: int) -> list[Line]:
    """Several active runs: which one is a person's choice."""
    out: list[Line] = [[("several runs are active; which one?", "text b")], []]
    for i, key in enumerate(candidates):
        mark = "▌" if i == pick else " "
        out.append([(mark, "mark"), (f" {clean(key)}", "text b on:cursor-bg" if i == pick else "text")])
    return [*out, [], [("Enter", "key b"), (" plan for this one    ", "dim"), ("Esc", "key b"), (" close", "dim")]]


def progress_rows(row: ActionRow | None, tz: str, at: int, room: int) -> list[Line]:
    """``asked 05:53:02 · accepted · still running 12s · verified``, one row each; closes while the engine goes on."""
    if row is None:
        return [[("asked …", "dim")]]
    out: list[Line] = []
    for when, _state, text in row.events[-8:]:
        out += wrapped(words.hhmmss(when, tz), [(clean(text), "text")], room)
    if row.state.in_flight and row.ended is None:
        since = words.age(max(0, at - row.changed))
        out += wrapped("", [(f"{clean(row.words)} · {since}", "run-running")], room)
        return [*out, [], [("Esc", "key b"), (" close: the engine goes on with it", "dim")]]
    look = outcome(row.state)
    out += [[], *wrapped("", [(look.word, look.style), (f"  {clean(row.words)}", "text")], room)]
    if row.state.in_flight:
        out += wrapped("settle", [(f"watchfloor settle {row.id} done|not-done --reason …", "text")], room)
    return [*out, [], [("Esc", "key b"), (" close", "dim")]]


def continued(label: str, rows: Sequence[Line]) -> list[Line]:
    """Rows that are torn from those above: the first says again what they go on with."""
    if not rows:
        return []
    first = [(f"{label + ' …':<{LABEL}}", "dim"), *list(rows[0])[1:]]
    return [first, *rows[1:]]


def refusal(error: Mapping[str, str]) -> str:
    hint = error.get("hint")
    return clean(error.get("message", "refused") + (f"; {hint}" if hint else ""))
