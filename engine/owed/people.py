"""What people say about promises: this is not owed; I have seen the night. Recorded with who said it by the kernel's word."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, Protocol

from adapters.model import Owed
from adapters.schedule import zone as zone_of
from engine.actions.audit import Audit
from engine.actions.roles import Role, may_arm, role_of
from engine.config.model import Facts
from engine.context import Context
from engine.notify.message import plain
from engine.peer import Peer
from engine.request import RequestError
from engine.store import facts as rows
from engine.store.facts import Owing
from engine.store.writer import Tx

TEXT_MAX: Final = 500
BODY_MAX: Final = 256 << 10
"""Bytes of JSON that a sign-off may hold."""
LINES_MAX: Final = 5_000
WAIVE_MAX_MS: Final = 366 * 86_400_000
_AHEAD_MS: Final = 24 * 3_600_000
"""Named by its thing, what is due until then is meant."""
_NAMED: Final = 5
_OVER: Final = {
    Owed.MET: "was met",
    Owed.MET_LATE: "was met late",
    Owed.EXCLUDED: "is not owed anyway",
    Owed.WAIVED: "is waived",
}


class Told(Protocol):
    """What is said to the judge."""

    def on_waived(self, tx: Tx, occurrence_key: str) -> None: ...


class People:
    """``waive`` and ``signoff`` answer requests. ``audit``: the engine's one, which alone knows how far its file is written."""

    def __init__(self, ctx: Context, judge: Told, audit: Audit) -> None:
        self._ctx = ctx
        self._judge = judge
        self._audit = audit

    # --- waivers --------------------------------------------------------------------------------------------------

    async def waive(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"occurrence", "reason", "until"?}``: it is not owed (until then). ``{"occurrence", "undo": true}``: it is after all.

        ``occurrence`` is an id or a key, or what owes one thing now: the key of a pipeline, ``feed:NAME``, the id of a promise.
        → ``{"occurrence", "key", "until", "words"}``. Refused for what is over.
        """
        undo = body.get("undo", False)
        if not isinstance(undo, bool):
            raise RequestError("bad_request", "undo is true or false")
        reason = plain(_text(body, "reason"), TEXT_MAX)
        until = None if undo else self._until(body.get("until"))
        if not undo and not reason:
            raise RequestError("bad_request", "a waiver needs a reason", "the next one on duty reads it")
        with self._ctx.store.transaction(full=True) as tx:
            one = self._find(tx, body.get("occurrence"), undo)
            self._allow(tx, one, peer)
            words = self._undo(tx, one, reason, peer) if undo else self._waive(tx, one, reason, until, peer)
            self._judge.on_waived(tx, one.key)
        self._audit.flush_quietly()
        return {"occurrence": one.id, "key": one.key, "until": until, "words": words}

    def _waive(self, tx: Tx, one: Owing, reason: str, until: int | None, peer: Peer) -> str:
        held = rows.active_waiver(tx, one.key)
        if held is not None:
            raise RequestError(
                "refused",
                f"{_name(one)} is waived already by {plain(held.who, 80)}: {plain(held.reason, 200)}",
                "undo that first",
            )
        if one.state in _OVER:
            raise RequestError("refused", f"{_name(one)} {_OVER[one.state]}{_when(one)}: there is nothing to waive")
        if one.gone:
            raise RequestError("refused", f"{_name(one)} is no longer configured: there is nothing to waive")
        who = plain(peer.who, 80)
        rows.put_waiver(tx, one.key, who, peer.uid, reason, until)
        self._audit.record(
            tx, "waived", peer=peer, key=one.thing, body={"occurrence": one.key, "reason": reason, "until": until}
        )
        return f"waived by {who}{'' if until is None else f' until {_time(one, until)}'}: {_name(one)}"

    def _undo(self, tx: Tx, one: Owing, reason: str, peer: Peer) -> str:
        if not rows.end_waivers(tx, one.key):
            why = "it is waived by its window" if one.opened_as is Owed.WAIVED else "nobody waived it"
            raise RequestError("refused", f"{_name(one)}: {why}, there is nothing to undo")
        self._audit.record(
            tx, "waiver ended", peer=peer, key=one.thing, body={"occurrence": one.key, "reason": reason or None}
        )
        return f"owed again: {_name(one)}"

    def _find(self, tx: Tx, named: Any, undo: bool) -> Owing:
        if isinstance(named, bool) or not isinstance(named, int | str) or named == "":
            raise RequestError(
                "bad_request", "which? name what is owed by its key", "watchfloor show deadlines lists them"
            )
        if isinstance(named, int) and not 0 < named < 1 << 63:
            raise RequestError("not_found", f"nothing with the number {str(named)[:40]} is owed")
        one = rows.find_owing(tx, named)
        if one is not None:
            return one
        found: list[Owing] = []
        if isinstance(named, str):
            found = rows.waived_owing(tx, named) if undo else rows.open_owing(tx, named, tx.now + _AHEAD_MS)
        if len(found) == 1:
            return found[0]
        what = plain(str(named), 120)
        if not found:
            is_not = "waived" if undo else "owed in the next 24 hours"
            raise RequestError(
                "not_found", f"nothing of {what} is {is_not}", "watchfloor show deadlines lists what is owed"
            )
        keys = ", ".join(plain(o.key, 120) for o in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise RequestError("bad_request", f"{what} owes {len(found)} things", f"name one: {keys}{more}")

    def _allow(self, tx: Tx, one: Owing, peer: Peer) -> None:
        """An operator's word: of the thing itself, or of each member of a set."""
        ids = [one.pipeline_id] if one.pipeline_id is not None else []
        things = list(rows.pipeline_things(tx, ids).values()) if ids else []
        if not things:
            things = [self._outside(one.thing)]
        config = self._ctx.config
        if all(role_of(config, thing, peer) >= Role.OPERATOR for thing in things):
            return
        if one.members:
            known = {f.key: f for f in rows.pipeline_things(tx).values()}
            members = [known.get(key, Facts(key=key)) for key in one.members]
            if all(role_of(config, member, peer) >= Role.OPERATOR for member in members):
                return
        raise RequestError(
            "refused",
            f"{plain(peer.login, 40)} may look at {plain(one.thing, 80)}, not waive it",
            "[[access]] gives the role operator",
        )

    def _outside(self, thing: str) -> Facts:
        kind, _, name = thing.partition(":")
        feed = next((f for f in self._ctx.config.feeds if f.name == name), None) if kind == "feed" else None
        if feed is None:
            return Facts(key=thing, source=kind)
        return Facts(key=thing, source=kind, application=feed.application, layer=feed.layer)

    def _until(self, value: Any) -> int | None:
        if value is None:
            return None
        now = self._ctx.clock.now()
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError("bad_request", "until is a moment in milliseconds UTC")
        if value <= now:
            raise RequestError("bad_request", "until lies in the past")
        if value > now + WAIVE_MAX_MS:
            raise RequestError("bad_request", "a waiver ends within a year, or has no end", "leave out until")
        return value

    # --- the morning ----------------------------------------------------------------------------------------------

    async def signoff(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"since", "well", "note"?, "lines": [{…}]}``: somebody read the morning check and answers for it.

        ``since``: where its window began (ms UTC). Kept as it was shown, with its evidence and the answers; the next one
        begins now. → ``{"signoff", "at", "words"}``
        """
        since, well, lines = body.get("since"), body.get("well"), body.get("lines", [])
        now = self._ctx.clock.now()
        if not isinstance(since, int) or isinstance(since, bool) or not 0 <= since <= now:
            raise RequestError(
                "bad_request", "since is the moment at which the checked time began, in milliseconds UTC"
            )
        if not isinstance(well, bool):
            raise RequestError("bad_request", "well is true or false")
        if not isinstance(lines, list) or len(lines) > LINES_MAX or not all(isinstance(line, dict) for line in lines):
            raise RequestError(
                "bad_request", f"lines is a list of at most {LINES_MAX} lines with their evidence and answers"
            )
        note = plain(_text(body, "note"), TEXT_MAX) or None
        kept = json.dumps({"lines": lines}, ensure_ascii=False, separators=(",", ":"))
        if (size := len(kept.encode())) > BODY_MAX:
            raise RequestError(
                "bad_request", f"a sign-off holds at most {BODY_MAX >> 10} KB, this one has {size >> 10}"
            )
        config = self._ctx.config
        if not may_arm(config, config.sources, peer) and role_of(config, Facts(key="morning"), peer) < Role.OPERATOR:
            raise RequestError(
                "refused",
                f"{plain(peer.login, 40)} may read the morning check, not sign it",
                "[[access]] gives the role operator",
            )
        who = plain(peer.who, 80)
        with self._ctx.store.transaction(full=True) as tx:
            made = rows.put_signoff(tx, who, peer.uid, since, well, note, kept)
            self._audit.record(
                tx, "signed off", peer=peer, key="morning",
                body={"signoff": made, "since": since, "well": well, "note": note, "lines": len(lines)},
            )  # fmt: skip
            at = tx.now
        self._audit.flush_quietly()
        return {"signoff": made, "at": at, "words": f"signed off by {who}, {'all well' if well else 'not all well'}"}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError("bad_request", f"{name} is text")
    return value


def _name(one: Owing) -> str:
    return plain(f"{one.thing}, {one.words}, due {_time(one, one.due_at)}", 300)


def _when(one: Owing) -> str:
    return f" at {_time(one, one.met_at)}" if one.met_at is not None else ""


def _time(one: Owing, ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, zone_of(one.zone)).strftime("%Y-%m-%d %H:%M %Z")
