"""Panes of the Run screen that are rows and nothing else: the verdict, the found lines of a log, who was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.model import State
from engine.store.rows import AlertEventRow, AlertRow, CheckRow, DeliveryRow, OwedRow, RunDetail
from tui import keymap
from tui.log.lines import ERROR, WARN
from tui.present import floor_owed, frame, owed, story, words
from tui.present.cut import clean, cut_middle, first_line
from tui.present.glyphs import LOOKS
from tui.present.lines import cells, ends, fit, rule

if TYPE_CHECKING:
    from tui.view import Line, Span

TAIL = 8
"""Lines of the log that the screen shows at most."""


def verdict(detail: RunDetail, stale: bool, tz: str, now: int, width: int, checks: Sequence[CheckRow] = ()) -> Line:
    """State, name and when; then as many facts as fit, the business date before the rest. What is not verified is not ok."""
    r = detail.row
    look = LOOKS[r.state]
    if r.state.finished and any(c.state != 1 for c in checks):
        look = floor_owed.check_look(r.ended, checks, now)
    loud = r.state.bad or r.state is State.WARNING or look is floor_owed.UNPROVED
    word = look.word + ("?" if stale else "")
    left: list[Span] = [(" ", "")]
    left.append(frame.chip(f"{look.glyph} {word}", look.token) if loud and not stale else (f"{look.glyph} {word}", "run-stale b" if stale else look.style))  # fmt: skip
    left += [("  ", ""), (cut_middle(clean(r.name), max(width // 3, 16)), "text b"), ("  ", "")]
    facts: list[str] = []
    when = r.ended or r.started or r.queued
    if when is not None:
        ago = words.running(now - when) if now - when >= 60_000 else words.age(max(now - when, 0))
        facts.append(f"{words.clock(when, tz, now)}, {ago} ago")
    if r.started is not None:
        end = r.ended if r.ended is not None else now
        facts.append(
            ("ran " if r.ended is not None else "runs ")
            + (words.duration(end - r.started) if r.ended else words.running(end - r.started))
        )
    if r.attempt > 1:
        facts.append(f"attempt {r.attempt}")
    if r.business_date:
        facts.append(f"business date {r.business_date}")
    facts.append(story.kind_word(r.kind))
    if r.generated:
        facts.append("generated history")
    if detail.stopped_by:
        facts.append(f"stopped by {clean(detail.stopped_by)}")
    elif r.sub:
        facts.append(clean(r.sub))
    elif r.native and clean(r.native).lower() not in (look.word, r.state.name.lower()):
        facts.append(f"its word: {clean(r.native)}")
    left += words.sentence(facts, max(width - cells(left) - 10, 10), "text", "dim")
    keys = f"{keymap.key_of('run.newer')} {keymap.key_of('run.older')}" if detail.older or detail.newer else ""
    return ends(left, [(keys, "key")] if keys and width >= frame.NARROW else [], width)


def log(lines: Sequence[tuple[int, str, str, str]], title_note: str, bad: bool, width: int) -> list[Line]:
    """The lines that were found: (level, clock, word, text)."""
    title = "First error" if bad and any(s[0] == ERROR for s in lines) else "Last lines"
    hint = f"{keymap.key_of('run.log')} log"
    out: list[Line] = [rule(title, title_note, hint, width)]
    for level, clock, word, text in lines[: 4 if frame.is_narrow(width) else TAIL]:
        style = {ERROR: "run-failed", WARN: "run-warning"}.get(level, "text")
        gutter: Span = ("▌", style) if level in (ERROR, WARN) else (" ", "")
        lead: list[Span] = [
            gutter,
            (f" {clock:<8}  ", "dim"),
            (f"{word:<6} ", f"{style} b" if gutter[0] != " " else "dim"),
        ]
        out.append(fit([*lead, (text, style)], width))
    return out


def blocks(rows: Sequence[OwedRow], tz: str, now: int, width: int) -> list[Line]:
    """What waits behind this run: state, name, due and lateness, who uses it."""
    if not rows:
        return []
    users = {name for row in rows for name in row.consumers}
    note = words.many(len(rows), "deadline") + (f", {words.many(len(users), 'consumer')}" if users else "")
    out: list[Line] = [rule("It blocks", note, "", width)]
    name = 22 if width < 70 else 30
    for row in rows[:5]:
        look = owed.look(row)
        due = f"{words.clock_short(row.due, tz, now):<6}"
        spans: list[Span] = [
            (" ", ""),
            (f"{look.glyph} ", look.token),
            (f"{cut_middle(clean(row.name), name):<{name}} ", "text"),
            (due, "text"),
            (f"{owed.lateness(row, now):<6}", owed.late_style(row)),
            (", ".join(clean(c) for c in row.consumers), "dim"),
        ]
        out.append(fit(spans, width))
    if len(rows) > 5:
        out.append(fit([(f"   and {len(rows) - 5} more", "dim")], width))
    return out


_CHECKED = (("○", "waits", "run-queued"), ("✓", "passed", "run-ok"), ("✗", "failed", "run-failed b"))


def checks(rows: Sequence[CheckRow], tz: str, now: int, width: int) -> list[Line]:
    """What must hold before a success counts: each check with its answer."""
    if not rows:
        return []
    passed = sum(c.state == 1 for c in rows)
    out: list[Line] = [rule("Checks", f"{passed} of {len(rows)} passed", "", width)]
    for check in rows[:5]:
        glyph, word, style = _CHECKED[check.state]
        spans: list[Span] = [
            (" ", ""),
            (f"{glyph} ", style.partition(" ")[0]),
            (f"{cut_middle(clean(check.name), 24):<24} ", "text"),
            (f"{word:<7}", style),
            (f"{words.clock(check.at, tz, now):<10} ", "dim"),
            (first_line(check.words), "text" if check.state == 2 else "dim"),
        ]
        out.append(fit(spans, width))
    return out


def side(left: Sequence[Line], right: Sequence[Line], width: int, half: int) -> list[Line]:
    """Two panes side by side: the left one ``half`` cells wide."""
    blank: Line = []
    pairs = [
        (left[i] if i < len(left) else blank, right[i] if i < len(right) else blank)
        for i in range(max(len(left), len(right)))
    ]
    return [fit([*fit(a, half), ("  ", ""), *fit(b, width - half - 2)], width) for a, b in pairs]


def told(
    alert: AlertRow | None,
    told_: Sequence[tuple[AlertEventRow | None, DeliveryRow | None]],
    tz: str,
    now: int,
    width: int,
) -> list[Line]:
    """The alert of this run, what became of it, and each person's message."""
    if alert is None:
        return []
    state = alert.state.name.lower()
    held = f" · {clean(alert.held_back)}" if alert.held_back else ""
    out: list[Line] = [
        rule("Who was told", f"alert {alert.id[-4:]} {alert.severity.name.lower()} · {state}{held}", "", width)
    ]
    for event, delivery in told_:
        if event:
            to = event.what.startswith("told")  # then it names who was told, else who did it
            said = (event.who, event.what) if to else (event.what, event.who and f"by {event.who}")
            text = " ".join(clean(t) for t in (*said, event.detail) if t)
            out.append(fit([(f"  {words.clock(event.at, tz, now):<10} ", "dim"), (text, "text")], width))
        elif delivery:
            ok = delivery.sent is not None
            who = clean(delivery.recipient)
            again = f"next try {words.clock(delivery.next_at, tz, now)}"
            said = [f"{who} told"] if ok else [f"{who} not told", again, clean(delivery.last_error or "waiting")]
            lead = f"  {words.clock(delivery.sent or delivery.created, tz, now):<10} "
            style = "text" if ok else "run-late"
            out.append(fit([(lead, "dim"), *words.sentence(said, width - len(lead) - 1, style, style)], width))
    return out
