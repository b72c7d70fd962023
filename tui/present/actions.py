"""What people did, in rows: outcomes, what is under way, a backfill's progress, before → after. Pure; times ms UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from adapters.model import ActionState, State, parse_key
from tui.present import words
from tui.present.bars import gauge
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.glyphs import LOOKS
from tui.present.lines import Column, cells, recolour, row

if TYPE_CHECKING:
    from engine.store.rows import EndedRow, OperationRow
    from tui.present.words import Clause
    from tui.view import Line, Span


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action stands: a glyph, a word of at most ten cells for lists, the words for one action alone."""

    glyph: str
    short: str
    word: str
    style: str

    @property
    def token(self) -> str:
        """The colour alone, without bold."""
        return self.style.partition(" ")[0]


OUTCOMES: Final[Mapping[ActionState, Outcome]] = {
    ActionState.PLANNED: Outcome("·", "planned", "planned", "dim"),
    ActionState.EXECUTING: Outcome("►", "sending", "being sent", "run-running"),
    ActionState.VERIFYING: Outcome("►", "verifying", "sent, being verified", "run-running"),
    ActionState.DONE: Outcome("✓", "done", "done", "run-ok b"),
    ActionState.RECONCILED_DONE: Outcome("✓", "done", "done, as asked afterwards", "run-ok b"),
    ActionState.REFUSED: Outcome("-", "refused", "refused", "run-failed b"),
    ActionState.FAILED_NOT_EXECUTED: Outcome("✗", "not done", "did not happen", "run-failed b"),
    ActionState.FAILED_EXECUTED: Outcome("✗", "failed", "failed", "run-failed b"),
    ActionState.VERIFY_TIMEOUT: Outcome("▲", "unproved", "sent, but the world does not show it", "run-late b"),
    ActionState.UNKNOWN: Outcome("?", "unknown", "outcome unknown", "run-late b"),
    ActionState.RECONCILED_NOT_DONE: Outcome("✗", "not done", "did not happen, as asked afterwards", "run-failed b"),
}
GOOD: Final = (ActionState.DONE, ActionState.RECONCILED_DONE)
STALE_MS: Final = 4 * words.MINUTE
"""How old a word about a running backfill may be; its source is asked for it once a minute at least."""
_NEAR_MS: Final = 2 * words.MINUTE
UNPROVED: Final = (ActionState.VERIFY_TIMEOUT,)


def outcome(state: ActionState) -> Outcome:
    return OUTCOMES[state]


def parts_of(key: str) -> list[str]:
    """What a key names, without its source: pipeline, run, step; text that is no key stands as it is."""
    try:
        found = parse_key(key)
    except ValueError:
        return [clean(key)]
    step = found.step if found.map_index < 0 else f"{found.step}.{found.map_index}"
    return [clean(part) for part in (found.pipeline, found.run, step if found.step else None) if part]


def thing(key: str) -> str:
    """``daily_sales r1 load``."""
    return " ".join(parts_of(key))


def source(key: str | None) -> str:
    return clean((key or "").partition(":")[0]) if key and ":" in key else ""


def settle(action_id: str) -> str:
    """The command by which a person says what became of it."""
    return f'watchfloor settle {action_id} done|not-done --reason "how you know"'


def midnight(now: int, tz: str) -> int:
    """When today began in that zone."""
    there = datetime.fromtimestamp(now / 1000, words.zone(tz)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(there.timestamp() * 1000)


# --- the answer of the screen -----------------------------------------------------------------------------------------


def verdict(
    flying: Sequence[EndedRow], operations: Sequence[OperationRow], today: Mapping[ActionState, int]
) -> list[Clause]:
    """``1 under way · 1 outcome unknown, a person must look · 14 done today``."""
    out: list[Clause] = []
    lost = sum(a.must_look for a in flying)
    asking = sum(a.state is ActionState.UNKNOWN for a in flying) - lost
    going = len(flying) - lost - asking
    if lost:
        out.append([(f" {lost} outcome unknown ", "run-late rev b"), (" a person must look", "run-late b")])
    if going:
        out.append([(f"{going} under way", "text b")])
    if asking:
        out.append([(f"{asking} outcome unknown, being asked", "run-late b")])
    held = sum(o.state is State.HELD for o in operations)
    active = [o for o in operations if o.active]
    if len(active) - held:
        out.append([(f"{words.many(len(active) - held, 'backfill')} running", "text b")])
    if held:
        out.append([(f"{words.many(held, 'backfill')} paused", "run-held b")])
    if not out:
        out.append([("Nothing is under way", "text b")])
    done = sum(today.get(s, 0) for s in GOOD)
    out.append(f"{done} done today" if done else "nothing was done today")
    bad = sum(n for s, n in today.items() if not s.in_flight and s not in (*GOOD, *UNPROVED))
    unproved = sum(today.get(s, 0) for s in UNPROVED)
    if bad:
        out.append([(f"{bad} failed or refused today", "run-failed")])
    if unproved:
        out.append([(f"{unproved} unproved today", "run-late")])
    return out


# --- rows of the list -------------------------------------------------------------------------------------------------


def columns(width: int) -> list[Column]:
    """Time, outcome, who, verb, object, and the rest for reason or words."""
    if width < 110:
        return [
            Column("AT", 9, gap=0), Column("OUTCOME", 11), Column("WHO", 6), Column("VERB", 12), Column("OBJECT", 18),
            Column("REASON OR WORDS", max(width - 64, 8)),
        ]  # fmt: skip
    wide = width >= 180
    fixed = 9 + 11 + 10 + 15 + (40 if wide else 30) + (16 if wide else 0)
    return [
        Column("AT", 9, gap=0), Column("OUTCOME", 11), Column("WHO", 10), Column("VERB", 15), Column("OBJECT", 40 if wide else 30),
        Column("SOURCE", 16 if wide else 0), Column("REASON OR WORDS", max(width - fixed - (9 if wide else 8), 8)),
    ]  # fmt: skip


def action_row(a: EndedRow, cols: Sequence[Column], tz: str, now: int, *, here: bool) -> list[Span]:
    """One action. Under way it shows its phase and how long; ended, the reason that was given."""
    look = outcome(a.state)
    by = {c.title: c.width for c in cols}
    if a.state.in_flight:
        at = words.age(max(now - (a.sent or a.created), 0))
        rest: list[Span] = [(cut(clean(a.words), by["REASON OR WORDS"]), look.style if a.must_look else "text")]
    else:
        at = words.clock(a.created, tz, now)
        said = clean(a.reason or "")
        if a.state not in GOOD or not said:
            said = clean(a.words)
        rest = [(cut(said, by["REASON OR WORDS"]), "text" if a.state in GOOD else look.token)]
    values: dict[str, Any] = {
        "AT": [(pad(at, 9), "dim")],
        "OUTCOME": [(f"{look.glyph} {look.short}", look.token if a.state in GOOD else look.style)],
        "WHO": [(cut(clean(a.who), by["WHO"]), "text")],
        "VERB": [(cut(clean(a.verb), by["VERB"]), "text b" if here else "text")],
        "OBJECT": [(cut_middle(thing(a.key), by["OBJECT"]), "text b" if here else "text")],
        "SOURCE": [(cut(source(a.key), by.get("SOURCE", 0)), "dim")],
        "REASON OR WORDS": rest,
    }
    return row(cols, [values[c.title] for c in cols])


def eta(o: OperationRow, now: int) -> int | None:
    """When a running backfill ends at its own pace. None where that cannot be reckoned: paused, or too few runs are over."""
    over = (o.done or 0) + (o.failed or 0)
    if o.state is not State.RUNNING or o.planned is None or o.done is None or o.created is None or over < 3:
        return None
    left = o.planned - over
    took = (o.seen or now) - o.created
    return None if left <= 0 or took <= 0 else (o.seen or now) + took * left // over


def progress(o: OperationRow, n: int, tz: str, now: int) -> list[Clause]:
    """``━━━━──── 9 of 14 · 1 failed · 2 running · about 06:40 at this pace``. What the source does not tell is ``?``."""
    over = None if o.done is None else o.done + (o.failed or 0)
    share = None if over is None or not o.planned else over / o.planned
    style = "run-held" if o.state is State.HELD else "run-late" if o.failed else "gauge"
    bar: list[Span] = gauge(share, n, style)
    bar.append((f" {words.count(over)} of {words.count(o.planned)}", "text"))
    out: list[Clause] = [bar]
    if o.failed:
        out.append([(f"{o.failed} failed", "run-failed b")])
    if o.state is State.HELD:
        out.append([("paused", "run-held")])
    elif o.running is not None and not o.state.terminal:
        out.append(f"{o.running} running")
    if (end := eta(o, now)) is not None:
        out.append(f"about {words.clock(end, tz, now)} at this pace")
    return out


def dates(o: OperationRow) -> str:
    """``2026-11-01 to 2026-11-14``; one date alone; ``?`` where the source does not tell."""
    first, last = (None if d is None else clean(d) for d in (o.first, o.last))
    if first is None and last is None:
        return "dates ?"
    return first or "?" if first == last else f"{first or '?'} to {last or '?'}"


_OURS: Final = re.compile(r"(?:wf-)?[0-9A-HJKMNP-TV-Z]{26}")


def teller(o: OperationRow) -> str:
    """Who did it as the source says; "" where it tells the name that we gave our action: that is nobody's name."""
    return "" if o.who is None or _OURS.fullmatch(o.who) else o.who


def asker(o: OperationRow, known: Sequence[EndedRow]) -> EndedRow | None:
    """The action by which a backfill was asked for here: of its pipeline, within minutes of its beginning, one alone."""
    if o.created is None:
        return None
    near = [
        a
        for a in known
        if a.verb == "backfill" and a.key == o.pipeline and abs(o.created - (a.sent or a.created)) <= _NEAR_MS
    ]
    return near[0] if len(near) == 1 else None


def operation_row(
    o: OperationRow, cols: Sequence[Column], tz: str, now: int, *, here: bool, asked: EndedRow | None = None
) -> list[Span]:
    """A backfill that the source carries on. ``asked``: our action that made it, where the source does not say who."""
    look = LOOKS[o.state]
    by = {c.title: c.width for c in cols}
    word = "paused" if o.state is State.HELD else look.narrow
    who = clean(teller(o) or (asked.who if asked is not None else ""))
    at = words.clock(o.ended if o.state.terminal else o.created, tz, now)
    values: dict[str, Any] = {
        "AT": [(pad(at, 9), "dim")],
        "OUTCOME": [(f"{look.glyph} ", look.style), (word, look.style)],
        "WHO": [(cut(who or "?", by["WHO"]), "text" if who else "dim")],
        "VERB": [(cut(clean(o.kind), by["VERB"]), "text b" if here else "text")],
        "OBJECT": [(cut_middle(clean(o.name), by["OBJECT"]), "text b" if here else "text")],
        "SOURCE": [(cut(clean(o.source), by.get("SOURCE", 0)), "dim")],
        "REASON OR WORDS": words.sentence(
            [*progress(o, 8 if by["REASON OR WORDS"] >= 30 else 4, tz, now), dates(o)], by["REASON OR WORDS"]
        ),
    }
    line = row(cols, [values[c.title] for c in cols])
    return recolour(line, "run-stale") if stale(o, now) else line


def stale(o: OperationRow, now: int) -> bool:
    """Whether what is told of a running backfill is old: three listings were missed."""
    return o.active and (o.seen is None or now - o.seen > STALE_MS)


# --- before and after -------------------------------------------------------------------------------------------------

FIELDS: Final = (
    ("word", "state"), ("native", "its word"), ("sub", "detail"), ("step_state", "step"), ("attempt", "attempt"), ("started", "started"),
    ("ended", "ended"), ("error", "error"), ("mode", "schedule"), ("schedule", "runs at"), ("next_run", "next run"),
    ("active", "active runs"), ("operation", "backfill"), ("words", "in words"),
)  # fmt: skip
"""Fact as it is kept → its name on the screen; in this order."""
_TIMES: Final = frozenset({"started", "ended", "next_run"})


@dataclass(frozen=True, slots=True)
class Change:
    """One fact before and after an action. ``None``: not known, or there was nothing. ``moved``: it is another one now."""

    name: str
    before: str | None
    after: str | None
    moved: bool


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, tz: str, now: int) -> list[Change]:
    """What is known of both, a row a fact. Where the action made a run of its own, that run came to be: it had no before."""
    if not before and not after:
        return []
    was, then = _facts(before or {}), _facts(after or {})
    out: list[Change] = []
    made = str((after or {}).get("key") or "")
    if before and after and made and before.get("key") and made != before["key"]:
        out.append(Change("made", None, thing(made), True))
        was = {}
    for name, label in FIELDS:
        old, new = was.get(name), then.get(name)
        if old is None and new is None:
            continue
        gone = bool(after) and bool(was) and old != new
        out.append(Change(label, _shown(name, old, tz, now), _shown(name, new, tz, now), gone and name != "words"))
    return out


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Facts by name; the mode of a pipeline by its word (a run's word is its state)."""
    out = {name: found.get(name) for name, _ in FIELDS}
    if found.get("mode") is not None:
        out["mode"], out["word"] = found.get("word"), None
    if out["attempt"] == 0:
        out["attempt"] = None  # pipelines have none
    if out["native"] is not None and out["native"] == out["word"]:
        out["native"] = None
    return out


def _shown(name: str, value: Any, tz: str, now: int) -> str | None:
    if value is None or value == "":
        return None
    if name in _TIMES and isinstance(value, int):
        return words.clock(value, tz, now) if abs(now - value) >= words.DAY else words.hhmmss(value, tz)
    return clean(str(value))


def change_rows(found: Sequence[Change], width: int, *, known: bool) -> list[Line]:
    """The table: field, before, after; only what is another now stands out. ``known``: an after was read at all."""
    if not found:
        return []
    label = 12
    half = max((width - label - 7) // 2, 10)
    out: list[Line] = [
        [
            (pad("", label), ""),
            (pad("before", half), "dim"),
            ("   ", ""),
            ("after" if known else "after: not read", "dim"),
        ]
    ]
    for c in found:
        before, after = c.before or "–", c.after or ("–" if known else "?")
        mark: Span = (" → ", "text b") if c.moved else ("   ", "")
        style = "text b" if c.moved else "dim"
        out += _wrap_pair(c.name, before, after, label, half, mark, "text" if c.moved else "dim", style)
    return out


def _wrap_pair(
    name: str, before: str, after: str, label: int, half: int, mark: Span, old_style: str, new_style: str
) -> list[Line]:
    """Both values beside each other, each wrapped in its half."""
    left, right = _broken(before, half), _broken(after, half)
    out: list[Line] = []
    for i in range(max(len(left), len(right))):
        a = left[i] if i < len(left) else ""
        b = right[i] if i < len(right) else ""
        out.append(
            [
                (pad(name if i == 0 else "", label), "dim"), (pad(a, half), old_style), mark if i == 0 else ("   ", ""), (b, new_style),
            ]
        )  # fmt: skip
    return out


def _broken(text: str, n: int) -> list[str]:
    """At most three rows of a value; the last is cut."""
    out: list[str] = []
    rest = text
    while rest and len(out) < 3:
        if cells([(rest, "")]) <= n or len(out) == 2:
            out.append(cut(rest, n))
            break
        head = cut(rest, n + 1)[:-1]
        at = head.rfind(" ")
        head = head[:at] if at > n // 3 else head
        out.append(head)
        rest = rest[len(head) :].lstrip()
    return out or [""]


# --- for scripts ------------------------------------------------------------------------------------------------------


def record(a: EndedRow) -> dict[str, Any]:
    """One action as data; field names are the store's."""
    return {
        "id": a.id, "kind": "action", "state": a.state.name.lower(), "must_look": a.must_look, "verb": a.verb, "key": a.key,
        "environment": a.environment, "who": a.who, "reason": a.reason, "words": a.words, "created": a.created, "sent": a.sent,
        "ended": a.ended, "result_key": a.result_key,
    }  # fmt: skip


def operation_record(o: OperationRow) -> dict[str, Any]:
    return {
        "id": o.id, "kind": o.kind, "state": o.state.name.lower(), "source": o.source, "key": o.pipeline, "environment": o.environment,
        "who": o.who, "first": o.first, "last": o.last, "planned": o.planned, "done": o.done, "failed": o.failed, "running": o.running,
        "created": o.created, "ended": o.ended, "seen": o.seen, "words": o.words,
    }  # fmt: skip
