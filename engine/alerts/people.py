"""What people say about alerts: I have it; leave it for a while. Recorded with who said it by the kernel's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.model import AlertState, Severity
from engine.actions.roles import Role, role_of
from engine.alerts.lifecycle import Lifecycle
from engine.config.model import Facts, matches
from engine.ids import normal, short, ulid
from engine.notify import message
from engine.peer import Peer
from engine.request import RequestError
from engine.store import alerts as rows
from engine.store.alerts import Alert, Silence
from engine.store.writer import Tx

MINUTE = 60_000
ACK_FOR_MS = {Severity.CRITICAL: 30 * MINUTE, Severity.HIGH: 120 * MINUTE}
"""How long an acknowledgement holds where nobody said until when; others hold until the end."""
ACK_MAX_MS = 7 * 24 * 60 * MINUTE
SILENCE_MAX_MS = 4 * 60 * MINUTE
TEXT_MAX = 500


Ask = Callable[[Tx, Alert], Facts]
"""What a selector can ask of the thing an alert is about."""


def ack(tx: Tx, life: Lifecycle, body: dict[str, Any], peer: Peer, facts: Ask) -> dict[str, Any]:
    """FIRING becomes ACKED: somebody has it. Ends repeats, never the alert."""
    alert = _find(tx, str(body.get("alert") or ""))
    timezone = life.ctx.config.timezone
    _allow(life, facts(tx, alert), peer, f"acknowledge {short(alert.id)}")
    if not alert.open:
        ended = message.clock_time(alert.resolved or alert.changed, timezone)
        raise RequestError("refused", f"{short(alert.id)} is over since {ended}: there is nothing to acknowledge")
    if alert.state is AlertState.PENDING:
        raise RequestError("refused", f"{short(alert.id)} does not fire yet: {alert.held_back or 'it is pending'}")
    until = _until(body.get("until"), tx.now, ACK_MAX_MS, "an acknowledgement lasts seven days at most")
    if until is None and alert.severity in ACK_FOR_MS:
        until = tx.now + ACK_FOR_MS[alert.severity]
    note = message.plain(str(body.get("note") or ""), TEXT_MAX)
    who = _who(peer)
    rows.update(
        tx, alert.id, state=AlertState.ACKED, acked_by=who, acked_at=tx.now, ack_until=until, ack_note=note or None
    )
    words = f"acked by {who}" + (f" until {message.clock_time(until, timezone)}" if until else "")
    rows.event(
        tx, alert.id, "acked", who, " · ".join(part for part in (note, words.partition(" until ")[2]) if part) or None
    )
    return {"alert": alert.id, "short": short(alert.id), "until": until, "words": words}


def ack_ran_out(tx: Tx, life: Lifecycle, alert: Alert, facts: Facts) -> None:
    """ACKED becomes FIRING again, and people are told once."""
    who = alert.acked_by or "somebody"
    rows.update(tx, alert.id, state=AlertState.FIRING, acked_by=None, acked_at=None, ack_until=None, ack_note=None)
    rows.event(tx, alert.id, "ack expired", detail=f"was {who}'s")
    fresh = rows.get(tx, alert.id)
    if fresh is not None:
        life.tell(tx, fresh, facts, "repeat" if fresh.told else "fire", lead=f"ack by {who} expired")


def silence(tx: Tx, life: Lifecycle, body: dict[str, Any], peer: Peer, facts: Ask) -> dict[str, Any]:
    """Hold back what matches, for a while. What fires already is marked at once."""
    match, reason = str(body.get("match") or "").strip(), message.plain(str(body.get("reason") or ""), TEXT_MAX)
    if not match or len(match) > 200 or not match.isprintable():
        raise RequestError(
            "bad_request", "a silence needs what to match: a key glob, app:, layer:, tag:, env:, src: or *"
        )
    if not reason:
        raise RequestError("bad_request", "a silence needs a reason", "the next one on duty reads it")
    until = _until(body.get("until"), tx.now, SILENCE_MAX_MS, "a silence lasts four hours at most; renew it if need be")
    if until is None:
        raise RequestError("bad_request", "a silence needs an end", "--until 2h")
    touched = [thing for thing in rows.things(tx) if matches(match, thing)]
    for thing in touched or [Facts(key=match)]:
        _allow(life, thing, peer, f"silence {match}")
    made = Silence(ulid(tx.now), match, until, reason, _who(peer))
    rows.put_silence(tx, made, peer.uid)
    words = life.silenced(made, tx.now)
    held = [alert for alert in rows.open_alerts(tx) if matches(match, facts(tx, alert))]
    for alert in held:
        if alert.state is not AlertState.PENDING:
            rows.update(tx, alert.id, held_back=words)
        rows.event(tx, alert.id, "silenced", made.who, words)
    return {"silence": made.id, "until": until, "alerts": [alert.id for alert in held], "words": words}


def _allow(life: Lifecycle, thing: Facts, peer: Peer, what: str) -> None:
    """Holding back or taking an alert is an operator's word: who may only look could otherwise keep others asleep."""
    if role_of(life.ctx.config, thing, peer) < Role.OPERATOR:
        raise RequestError(
            "refused",
            f"{peer.login} may look at {message.plain(thing.key, 80)}, not {what}",
            "[[access]] gives the role operator",
        )


def _find(tx: Tx, text: str) -> Alert:
    if not text:
        raise RequestError("bad_request", "which alert? name it by the four characters it shows")
    found = rows.find(tx, normal(text))
    if not found:
        raise RequestError("not_found", f"no alert {message.plain(text, 40)!r}", "watchfloor alerts lists them")
    if len(found) > 1:
        raise RequestError(
            "bad_request", f"{len(found)} alerts end with {message.plain(text, 40)!r}", "give more characters of the id"
        )
    return found[0]


def _until(value: Any, now: int, limit: int, too_long: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError("bad_request", "until is a moment in milliseconds UTC")
    if value <= now:
        raise RequestError("bad_request", "until lies in the past")
    if value > now + limit + MINUTE:  # the asker's clock read a moment earlier or later than ours
        raise RequestError("refused", too_long)
    return value


def _who(peer: Peer) -> str:
    return message.plain(peer.who, 80)
