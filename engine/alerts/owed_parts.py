"""One alert and all that hangs on it: a failure, and debts that share it. What it leads with, how severe it is, when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapters.model import AlertState, Severity
from engine.alerts.lifecycle import Lifecycle
from engine.config.model import Facts
from engine.notify import message
from engine.store import alerts as rows
from engine.store import alerts_owed as links
from engine.store.alerts import Alert
from engine.store.alerts_owed import Link, Part, Role
from engine.store.writer import Tx

RULE: Final = "owed"
LET_IT_GET_BETTER_MS: Final = 4_000
"""A message that waits for better words of its failure is not hurried by what is owed."""

FactsOf = Callable[[Tx, str], Facts]
"""What a selector can ask of a key."""


def has_failure(alert: Alert) -> bool:
    """Whether it tells of a run that failed, first of all."""
    return bool(alert.failed)


def refresh(tx: Tx, life: Lifecycle, alert: Alert) -> Alert:
    """Let an alert say what is so now: its failure if it has one, else what it leads with, and what hangs on it."""
    if has_failure(alert) or alert.rule not in (RULE, rows.FAILED_RUN):
        return life.set_words(tx, alert, alert.title, alert.body, tx.now + LET_IT_GET_BETTER_MS)
    parts = [one for one in links.hanging(tx, alert.id) if one.role is not Role.BEHIND]
    if not parts:
        return life.set_words(tx, alert, alert.title, alert.body, tx.now)
    broken = [one for one in parts if one.state is Part.BROKEN] or parts
    lead = next((one for one in broken if one.role is Role.OWN), broken[0])
    return life.set_words(tx, alert, lead.title, lead.body, tx.now, lead.occurrence)


def raised(tx: Tx, life: Lifecycle, alert: Alert, severity: Severity) -> None:
    """Let an alert be as severe as its worst. Whoever had it, had something lesser: that ends with the rise."""
    if severity >= alert.severity:
        return
    rows.update(
        tx, alert.id, severity=severity, state=AlertState.FIRING, acked_by=None, acked_at=None, ack_until=None, ack_note=None
    )  # fmt: skip
    rows.event(tx, alert.id, "severity", detail=f"{alert.severity.name.lower()} → {severity.name.lower()}")


def failure_joins(tx: Tx, key: str, date: str | None, run_key: str) -> Alert | None:
    """The open alert of what this pipeline owes for that business date, or of that run: a failure of it belongs there."""
    for link in links.of_thing(tx, key):
        if link.role is not Role.BEHIND and ((date and link.bdate == date) or (run_key and link.run_key == run_key)):
            return rows.get(tx, link.alert_id)
    return None


PROVEN_BY_SUCCESS: Final = frozenset(
    {"finish_by", "start_by", "schedule", "overdue", "max_duration", "duration_anomaly", "runaway"}
)
"""What is over once a run of that date succeeded; a set, an order or a file is judged for itself."""


def success(
    tx: Tx, life: Lifecycle, alert: Alert, ended: int | None, proof: str, facts: Facts, *, verified: bool
) -> None:
    """A success of the date ends an alert with a failure in it, unless something else that it tells of goes on.

    ``verified`` False: checks of it are still to come, and only the judge can say that a deadline was kept.
    """
    parts = [one for one in links.hanging(tx, alert.id) if one.role is not Role.BEHIND]
    stay = [
        one for one in parts if one.type not in PROVEN_BY_SUCCESS or (one.type == "finish_by" and not verified)
    ]  # fmt: skip
    for one in parts:
        if one not in stay:
            links.over(tx, one.occurrence)
    due = [one.due_at for one in parts if one not in stay and one.type == "finish_by"]
    if due and ended is not None and ended > min(due):
        proof += f", {message.length(ended - min(due)).removesuffix(' 00s')} late"
    if not stay:
        life.resolve(tx, alert, proof, facts)
        return
    rows.event(tx, alert.id, "failure over", detail=message.plain(proof))
    _only_owed(tx, life, alert)


def not_failed(tx: Tx, life: Lifecycle, alert: Alert, proof: str, facts: Facts) -> None:
    """The run had not failed after all; what is owed besides goes on, in an alert of its own words."""
    parts = [one for one in links.hanging(tx, alert.id) if one.role is not Role.BEHIND]
    if not parts:
        life.resolve(tx, alert, proof, facts)
        return
    rows.event(tx, alert.id, "failure over", detail=message.plain(proof))
    _only_owed(tx, life, alert)


def _only_owed(tx: Tx, life: Lifecycle, alert: Alert) -> None:
    """The failure is over, a debt goes on: the alert keeps its id and leads with what is owed."""
    rows.update(tx, alert.id, failure=rows.FAILURE_OVER)
    refresh(tx, life, rows.get(tx, alert.id) or alert)


def one_below(severity: Severity) -> Severity:
    return Severity(min(severity + 1, Severity.INFO))


def worth(link: Link) -> Severity:
    return link.severity if link.state is Part.BROKEN else one_below(link.severity)
