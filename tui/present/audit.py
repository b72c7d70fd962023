"""The audit in rows: a record in a line, a record whole, what stands behind ``/``, whether the chain holds. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from engine.store.rows import Wanted
from tui.present import words
from tui.present.actions import change_rows, changes, thing
from tui.present.cut import clean, cut, cut_middle, pad
from tui.present.dialog import wrapped
from tui.present.lines import Column, row
from tui.present.plan import call_rows, guard_rows

if TYPE_CHECKING:
    from engine.store.rows import AuditRow, Checked
    from tui.present.words import Clause
    from tui.view import Line, Span

FIELDS: Final = ("who", "verb", "key", "state")
"""Words before a colon in the filter of this screen."""
_ALSO: Final = {"event": "state", "outcome": "state"}
_GOOD: Final = frozenset({"done", "reconciled done", "settled", "signed off"})
_BAD: Final = frozenset({"refused", "failed not executed", "failed executed", "reconciled not done"})
_LOST: Final = frozenset({"unknown", "verify timeout"})


class FilterError(ValueError):
    """One sentence about a word that cannot be meant."""


def parse(text: str) -> tuple[Wanted, ...]:
    """``who:ana verb:stop !key:test wrong file``. FilterError on a field that is not here."""
    out: list[Wanted] = []
    for part in text.split():
        negative = part.startswith("!")
        body = part[1:] if negative else part
        name, colon, value = body.partition(":")
        low = name.casefold()
        low = _ALSO.get(low, low)
        if not body:
            continue
        if not colon or not name.isalpha() or low == "local":  # a key that was pasted is text
            out.append(Wanted("", body.casefold(), negative))
        elif low not in FIELDS:
            near = difflib.get_close_matches(low, (*FIELDS, *_ALSO), 1, 0.5)
            known = " ".join(f + ":" for f in FIELDS)
            raise FilterError(
                f"there is no field {name}: here, " + (f"did you mean {near[0]}:" if near else f"known are {known}")
            )
        elif value:
            out.append(
                Wanted(low, value.casefold().replace("_", " ") if low == "state" else value.casefold(), negative)
            )
    return tuple(out)


def holds(wanted: Sequence[Wanted], facts: Mapping[str, str]) -> bool:
    """The same filter on what is at hand: terms of one field are alternatives, all others must hold."""
    either: dict[str, bool] = {}
    for term in wanted:
        hay = facts.get(term.field, "") if term.field else " ".join(facts.values())
        found = term.value in hay.casefold()
        if term.field and not term.negative:
            either[term.field] = either.get(term.field, False) or found
        elif found == term.negative:
            return False
    return all(either.values())


def body_of(r: AuditRow) -> dict[str, Any]:
    """What a record holds; nothing where that is not an object."""
    try:
        found = json.loads(r.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def style_of(event: str) -> str:
    word = event.replace("_", " ")
    return "run-ok" if word in _GOOD else "run-failed b" if word in _BAD else "run-late b" if word in _LOST else "text"


def columns(width: int) -> list[Column]:
    if width < 110:
        return [
            Column("RECORD", 6, "r", gap=0), Column("AT", 9), Column("EVENT", 12), Column("WHO", 7), Column("VERB", 8),
            Column("OBJECT", 16), Column("WORDS", max(width - 66, 8)),
        ]  # fmt: skip
    wide = width >= 180
    fixed = 9 + 10 + 20 + 10 + 15 + (40 if wide else 26)
    return [
        Column("RECORD", 9, "r", gap=0), Column("AT", 10, gap=2), Column("EVENT", 20), Column("WHO", 10), Column("VERB", 15),
        Column("OBJECT", 40 if wide else 26), Column("WORDS", max(width - fixed - 9, 8)),
    ]  # fmt: skip


def said(body: Mapping[str, Any]) -> str:
    """What a person or the engine said in it, in a clause."""
    for name in ("reason", "words", "note", "environment", "occurrence"):
        if isinstance(body.get(name), str) and body[name]:
            return clean(body[name])
    return ""


def record_row(r: AuditRow, cols: Sequence[Column], tz: str, now: int, *, here: bool, bad: bool) -> list[Span]:
    """One record. ``bad``: the chain breaks here."""
    by = {c.title: c.width for c in cols}
    values: dict[str, Any] = {
        "RECORD": [(words.count(r.seq), "run-failed b" if bad else "dim")],
        "AT": [(pad(words.clock(r.at, tz, now), by["AT"]), "dim")],
        "EVENT": [(cut(clean(r.event).replace("_", " "), by["EVENT"]), style_of(r.event))],
        "WHO": [(cut(clean(r.login), by["WHO"]), "text" if r.login != "engine" else "dim")],
        "VERB": [(cut(clean(r.verb or ""), by["VERB"]), "text b" if here else "text")],
        "OBJECT": [(cut_middle(thing(r.key) if r.key else "", by["OBJECT"]), "text b" if here else "text")],
        "WORDS": [("the chain breaks here", "run-failed b") if bad else (cut(said(body_of(r)), by["WORDS"]), "dim")],
    }
    return row(cols, [values[c.title] for c in cols])


def chain_words(checked: Checked | None, last: int, *, going: bool) -> Clause:
    """Whether the chain holds, as far as it was followed."""
    if checked is None:
        return ""
    if checked.broken is not None:
        return [(f" the chain breaks at {checked.broken} ", "run-failed rev b")]
    if going and checked.seq < last:
        return [(f"checking, {words.count(checked.seq)} of {words.count(last)}", "text")]
    if not checked.seq:
        return [("no record yet, nothing to check", "dim")]
    return [(f"{words.count(checked.seq)} {'record' if checked.seq == 1 else 'records'}, unbroken", "run-ok b")]


_APART: Final = frozenset({"calls", "guards", "before", "after", "identity", "reason"})


def who_words(identity: Mapping[str, Any], uid: int, origin: str | None) -> str:
    """``ana, uid 1000, process 4711, from 10.1.1.7 (as the client says)``."""
    parts = [clean(str(identity["who"]))] if identity.get("who") else []
    parts.append(f"uid {uid}")
    login = identity.get("login_uid")
    if isinstance(login, int) and login != uid:
        parts.append(f"logged in as uid {login}")
    if identity.get("pid"):
        parts.append(f"process {clean(str(identity['pid']))}")
    came = identity.get("claimed_origin") or origin
    if came:
        parts.append(f"from {clean(str(came))} (as the client says)")
    return ", ".join(parts)


def detail_rows(r: AuditRow, width: int, tz: str, now: int) -> list[Line]:
    """A record whole: who, why, what it holds, its place in the chain. Secrets were masked before it was written."""
    body = body_of(r)
    identity = body.get("identity")
    identity = identity if isinstance(identity, dict) else {}
    out = wrapped("when", [(words.stamp(r.at, tz), "text"), (f" {words.zone_word(tz)}", "dim")], width)
    who = "the engine itself" if not identity and r.login == "engine" else who_words(identity, r.uid, r.origin)
    out += wrapped("who", [(who, "text")], width)
    if r.key:
        out += wrapped("on", [(clean(r.key), "text b")], width)
    if body.get("reason"):
        out += wrapped("reason", [(clean(str(body["reason"])), "text b")], width)
    for name in sorted(body.keys() - _APART):
        value = body[name]
        if value is None or value == "" or value == {}:
            continue
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if name == "state":  # the same word as in the list of actions
            shown = shown.casefold().replace("_", " ")
        out += wrapped(clean(name)[:9], [(clean(shown), "text")], width)
    before, after = (body.get(n) if isinstance(body.get(n), dict) else None for n in ("before", "after"))
    out += change_rows(changes(before, after, tz, now), width, known=after is not None)
    if isinstance(body.get("calls"), list):
        out += call_rows([c for c in body["calls"] if isinstance(c, dict)], width)
    if isinstance(body.get("guards"), list):
        out += guard_rows([g for g in body["guards"] if isinstance(g, dict)], width)
    out += wrapped(
        "chain", [(f"record {r.seq:,} · {r.hash[:12]} after {r.prev[:12]} · id {clean(r.id)}", "dim")], width
    )
    return out


def export_row(r: AuditRow) -> dict[str, Any]:
    """One record as data, its body as an object."""
    return {
        "seq": r.seq, "id": r.id, "at": r.at, "action_id": r.action_id, "event": r.event, "uid": r.uid, "login": r.login,
        "origin": r.origin, "verb": r.verb, "key": r.key, "body": body_of(r), "prev": r.prev, "hash": r.hash,
    }  # fmt: skip


__all__ = [
    "FIELDS", "FilterError", "body_of", "chain_words", "columns", "detail_rows", "export_row", "holds", "parse", "record_row", "said",
    "style_of", "who_words",
]  # fmt: skip
