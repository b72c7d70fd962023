"""What the terminal asks about actions and the audit trail. Part of the Reader.

A filter looks at so many rows a question and says where it stopped: a name that is rare costs no key its answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from adapters.model import ActionState
from engine.store.audit_rows import ActionDetail, AuditPage, AuditRow, EndedPage, EndedRow, Wanted
from engine.store.chain import Checked, follow
from engine.store.link import Link

LOOKED: Final = 1000
"""Rows that one question with a filter looks at."""
_ENDED: Final = "id, verb, key, environment, state, words, who, reason, created, changed, ended, sent, result_key"
_RECORD: Final = ", ".join(AuditRow.__dataclass_fields__)
_FLYING: Final = "(2, 3, 8)"
_STATE: Final = (
    "CASE state " + " ".join(f"WHEN {s:d} THEN '{s.name.lower().replace('_', ' ')}'" for s in ActionState) + " END"
)
_ACTION_FIELDS: Final = {"who": "who", "verb": "verb", "key": "key", "state": _STATE}
_AUDIT_FIELDS: Final = {
    "who": "login",
    "verb": "coalesce(verb, '')",
    "key": "coalesce(key, '')",
    "state": "replace(event, '_', ' ')",
}
_SAID: Final = (
    "CASE WHEN json_valid(body) THEN coalesce(json_extract(body, '$.reason'), '') || ' ' || coalesce(json_extract(body, '$.words'), '')"
    " || ' ' || coalesce(json_extract(body, '$.note'), '') ELSE body END"
)
"""What was said in a record; one that somebody spoilt is searched as it stands, and hides no other."""


class AuditQuestions(Link):
    """Part of the Reader."""

    # --- actions --------------------------------------------------------------------------------------------------

    def actions_under_way(self) -> list[EndedRow]:
        """In flight: those that a person must look at first, then those that nobody knows of, then the oldest."""
        rows = self.all(
            f"SELECT {_ENDED} FROM action WHERE state IN {_FLYING}"  # noqa: S608
            " ORDER BY state <> 8, ended IS NULL, created, id"
        )
        return [_ended(row) for row in rows]

    def actions_ended(self, before: str | None = None, limit: int = 50, wanted: Sequence[Wanted] = ()) -> EndedPage:
        """A page of actions that have ended, newest first, older than the id ``before``."""
        top = before or "~"  # greater than every ULID
        low, looked = self.one(
            "SELECT coalesce(min(id), ''), count(*) FROM (SELECT id FROM action WHERE id < ? ORDER BY id DESC LIMIT ?)",
            (top, LOOKED),
        )
        where, values = _where(wanted, _ACTION_FIELDS, "words || ' ' || coalesce(reason, '')")
        rows = self.all(
            f"SELECT {_ENDED} FROM action WHERE id < ? AND id >= ? AND +state NOT IN {_FLYING}{where}"  # noqa: S608
            " ORDER BY id DESC LIMIT ?",
            (top, low, *values, limit),
        )
        found = tuple(_ended(row) for row in rows)
        if len(found) == limit:
            return EndedPage(found, found[-1].id)
        return EndedPage(found, low if looked == LOOKED else None)

    def actions_since(self, since: int) -> dict[ActionState, int]:
        """How many actions were asked for since then, by how they stand."""
        rows = self.all("SELECT state, count(*) FROM action WHERE created >= ? GROUP BY state", (since,))
        return {ActionState(state): n for state, n in rows}

    def action_detail(self, action_id: str) -> ActionDetail | None:
        """One action whole, with its plan, its history and its records in the audit."""
        with self.snapshot():
            row = self.one(f"SELECT {_ENDED}, uid, plan, before, after FROM action WHERE id = ?", (action_id,))  # noqa: S608
            if row is None:
                return None
            events = self.all("SELECT at, state, words FROM action_event WHERE action_id = ? ORDER BY id", (action_id,))
            records = [
                AuditRow(*r)
                for r in self.all(f"SELECT {_RECORD} FROM audit WHERE action_id = ? ORDER BY seq", (action_id,))  # noqa: S608
            ]
        *first, uid, plan, was, now = row
        shown = _object(plan)
        intent = next((_object(r.body) for r in records if r.event == "intent"), {})
        return ActionDetail(
            row=_ended(first),
            uid=uid,
            events=tuple((at, ActionState(state), words) for at, state, words in events),
            plan=shown,
            guards=tuple(g for g in intent.get("guards") or shown.get("guards") or () if isinstance(g, dict)),
            before=_object(was) if was else None,
            after=_object(now) if now else None,
            identity=intent.get("identity") or {},
            records=tuple(records),
        )

    # --- the audit ------------------------------------------------------------------------------------------------

    def audit_last(self) -> int:
        """Number of the newest record; 0 where there is none."""
        row = self.one("SELECT max(seq) FROM audit")
        return int(row[0] or 0)

    def audit_records(self, before: int | None = None, limit: int = 50, wanted: Sequence[Wanted] = ()) -> AuditPage:
        """A page of the audit, newest first, older than the number ``before``."""
        top = self.audit_last() + 1 if before is None else before
        low = max(top - LOOKED, 0)
        where, values = _where(wanted, _AUDIT_FIELDS, f"event || ' ' || {_SAID}")
        rows = self.all(
            f"SELECT {_RECORD} FROM audit WHERE seq < ? AND seq >= ?{where} ORDER BY seq DESC LIMIT ?",  # noqa: S608
            (top, low, *values, limit),
        )
        found = tuple(AuditRow(*row) for row in rows)
        if len(found) == limit:
            return AuditPage(found, found[-1].seq)
        return AuditPage(found, low if low > 1 else None)

    def audit_follow(self, before: Checked, limit: int = 100) -> tuple[Checked, bool]:
        """Recompute the chain for the next ``limit`` records after ``before``; the second value: more are to come."""
        rows = self.all(f"SELECT {_RECORD} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (before.seq, limit))  # noqa: S608
        checked = follow((AuditRow(*row) for row in rows), before)
        return checked, len(rows) == limit and checked.broken is None


def _where(wanted: Sequence[Wanted], columns: dict[str, str], said: str) -> tuple[str, list[str]]:
    """SQL of a filter: terms of one field are alternatives, all others must hold."""
    out, values = "", list[str]()
    any_of = " || ' ' || ".join((*columns.values(), said))
    fields: dict[str, list[str]] = {}
    for term in wanted:
        column = columns.get(term.field, f"({any_of})")
        if term.field and not term.negative:
            fields.setdefault(term.field, []).append(term.value)
            continue
        out += f" AND {'NOT ' if term.negative else ''}instr(lower({column}), ?)"
        values.append(term.value)
    for name, choices in fields.items():
        out += f" AND ({' OR '.join(f'instr(lower({columns[name]}), ?)' for _ in choices)})"
        values += choices
    return out, values


def _ended(row: Sequence[Any]) -> EndedRow:
    values: list[Any] = [*row[:4], ActionState(row[4]), *row[5:]]
    return EndedRow(*values)


def _object(text: str) -> dict[str, Any]:
    """A JSON object as it was stored; nothing where it is not one."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
