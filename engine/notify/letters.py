"""From an alert to rows of the outbox: one a recipient, each in the recipient's own zone, each with an id of its own."""

from __future__ import annotations

from dataclasses import replace

from adapters.model import Severity
from engine.config.model import Config
from engine.ids import ulid
from engine.notify import message
from engine.notify.message import Told
from engine.store import alerts_owed, outbox
from engine.store.alerts import Alert
from engine.store.alerts_owed import Role
from engine.store.outbox import FIRING, Letter, Post
from engine.store.writer import Tx

_NOTIFY_TYPE = {
    Severity.CRITICAL: "failure",
    Severity.HIGH: "failure",
    Severity.MEDIUM: "warning",
    Severity.LOW: "warning",
}


def zone_of(config: Config, recipient: str) -> str:
    contact = config.contact(recipient)
    return config.timezone if contact is None else contact.timezone


def _told(alert: Alert) -> Told:
    return Told(id=alert.id, severity=alert.severity, title=alert.title, body=alert.body, since=alert.since)


def _firing(tx: Tx, alert: Alert, timezone: str) -> Told:
    """With its deadline in the reader's zone, where the promise says it in another one."""
    part = next((one for one in alerts_owed.hanging(tx, alert.id) if one.role is not Role.BEHIND), None)
    elsewhere = part is not None and not part.name.endswith(message.clock_time(part.due_at, timezone))
    return replace(_told(alert), due=part.due_at if part is not None and elsewhere else None)


def _notices(tx: Tx, alert: Alert) -> int:
    """How many times people were told that this fires, all episodes together."""
    return len(
        {(letter.seq, letter.kind, letter.level) for letter in outbox.of_alert(tx, alert.id) if letter.kind in FIRING}
    )


def queue_firing(
    tx: Tx,
    config: Config,
    alert: Alert,
    recipients: tuple[str, ...],
    kind: str,
    *,
    lead: str = "",
    wait_ms: int = 0,
    fallback: str = "",
) -> None:
    """Tell of trouble. A second call for the same step of the same alert changes nothing."""
    letters = outbox.of_alert(tx, alert.id, alert.reopened)
    level = 0 if kind == "fire" else 1 + max((letter.level for letter in letters), default=-1)
    notice = 1 + _notices(tx, alert)
    for recipient in dict.fromkeys(recipients):
        id, timezone = ulid(tx.now), zone_of(config, recipient)
        title, body = message.message(
            _firing(tx, alert, timezone), message_id=id, timezone=timezone, now=tx.now, notice=notice, lead=lead
        )
        outbox.put(
            tx, id=id, alert_id=alert.id, kind=kind, recipient=recipient, notify_type=_NOTIFY_TYPE.get(alert.severity, "info"), title=title,
            body=body, seq=alert.reopened, level=level, next_at=tx.now + wait_ms, fallback=fallback,
        )  # fmt: skip


def reword_firing(tx: Tx, config: Config, alert: Alert, at: int, was: str = "") -> None:
    """Better words for messages of this episode that nobody has tried to send; they need not wait any longer than ``at``.

    ``was``: the title so far. A repeat that leads with words of its own keeps them.
    """
    for letter in outbox.of_alert(tx, alert.id, alert.reopened):
        if letter.state is not Post.PENDING or letter.attempts or letter.fallback_of:
            continue
        if letter.kind == "fire" or (letter.kind in FIRING and was and letter.title.endswith(f"] {was}")):
            timezone = zone_of(config, letter.recipient)
            title, body = message.message(
                _firing(tx, alert, timezone),
                message_id=letter.id,
                timezone=timezone,
                now=tx.now,
                notice=_notices(tx, alert),
            )
            outbox.reword(tx, letter.id, title, body, at)


def queue_end(tx: Tx, config: Config, alert: Alert, recipient: str) -> None:
    """Tell somebody who was told of the trouble that it is over."""
    id = ulid(tx.now)
    title, body = message.resolved(
        _told(alert), evidence=alert.resolved_by or "it is over", resolved=alert.resolved or tx.now, message_id=id,
        timezone=zone_of(config, recipient), notice=_notices(tx, alert) + 1,
    )  # fmt: skip
    outbox.put(
        tx,
        id=id,
        alert_id=alert.id,
        kind="resolve",
        recipient=recipient,
        notify_type="success",
        title=title,
        body=body,
        seq=alert.reopened,
    )


def queue_fallback(tx: Tx, config: Config, letter: Letter, alert: Alert | None) -> bool:
    """Tell the second contact, because the first cannot be reached; the first is tried further on."""
    id = ulid(tx.now)
    if alert is None:
        return False
    title, body = message.message(
        _firing(tx, alert, zone_of(config, letter.fallback)), message_id=id, timezone=zone_of(config, letter.fallback), now=tx.now, notice=max(1, _notices(tx, alert)),
        lead=f"for {letter.recipient}, who could not be told",
    )  # fmt: skip
    return outbox.put(
        tx, id=id, alert_id=letter.alert_id, kind=letter.kind, recipient=letter.fallback, notify_type=letter.notify_type, title=title,
        body=body, seq=letter.seq, level=letter.level, fallback_of=letter.recipient,
    )  # fmt: skip
