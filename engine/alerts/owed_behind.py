"""What broke because of something else: told in common messages of the alert of its cause, or by itself once that is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.model import AlertState, Severity
from engine.alerts.lifecycle import NO_ROUTE, Finding, Lifecycle, dedup
from engine.alerts.owed_parts import RULE, FactsOf, has_failure, one_below, raised, refresh
from engine.config.model import Facts
from engine.notify import letters, message
from engine.store import alerts as rows
from engine.store import alerts_owed as links
from engine.store.alerts import Alert
from engine.store.alerts_owed import Link, Role
from engine.store.writer import Tx

GROUP_WAIT_MS: Final = 30_000
GROUP_WAIT_CRITICAL_MS: Final = 10_000
GROUP_EVERY_MS: Final = 300_000


def told_with(root: Alert) -> str:
    """Why an alert behind another is not told by itself."""
    return f"told with: {message.cut(root.title, 80)}"


def schedule(tx: Tx, root: Alert, severity: Severity) -> None:
    """Let the next common message of ``root`` go out soon, but at most every five minutes."""
    root = rows.get(tx, root.id) or root
    at = tx.now + (GROUP_WAIT_CRITICAL_MS if severity is Severity.CRITICAL else GROUP_WAIT_MS)
    if root.grouped is not None:
        at = max(at, root.grouped + GROUP_EVERY_MS)
    if root.group_at is None or at < root.group_at:
        rows.update(tx, root.id, group_at=at)


def let_go(tx: Tx, life: Lifecycle, alert: Alert, facts: Facts) -> bool:
    """What is held back and stands behind another: True if that is all there is to it."""
    root = rows.get(tx, alert.parent) if alert.parent else None
    if root is None or alert.state is AlertState.ACKED:
        return False
    if not root.open:
        return alert.told_with is None  # in a moment it will stand on its own
    held = life.suppressed(tx, facts)
    reason = held
    if held is None and alert.told_with is None:
        if root.group_at is None:
            schedule(tx, root, alert.severity)
        reason = NO_ROUTE if alert.held_back == NO_ROUTE else told_with(root)
    if reason != alert.held_back:
        rows.update(tx, alert.id, held_back=reason)
    return True


def tick(tx: Tx, life: Lifecycle, facts: FactsOf) -> None:
    """Timers: common messages that are due, what its cause left alone, promises that were taken back."""
    for root in links.groups_due(tx):
        rows.update(tx, root.id, group_at=None)
        if root.open:
            _tell_group(tx, life, root, facts)
    for parent, alerts, waiting in links.left_alone(tx, tx.now - GROUP_WAIT_MS):
        _on_their_own(tx, life, parent, alerts, waiting, facts)
    for link in links.withdrawn(tx):
        _withdrawn(tx, life, link)


def _tell_group(tx: Tx, life: Lifecycle, root: Alert, facts: FactsOf) -> None:
    news: list[Alert] = []
    to: list[str] = []
    fallback = ""
    for child in links.children(tx, root.id):
        about = facts(tx, child.run_key or child.key)
        if (
            child.told_with is not None
            or child.state is not AlertState.FIRING
            or life.suppressed(tx, about) is not None
        ):
            continue
        route = life.route(about, child.severity)
        to += route.to if route else ()
        fallback = fallback or (route.fallback if route else None) or ""
        news.append(child)
    if not news:
        return
    worst = min(child.severity for child in news)
    rises = worst < root.severity
    raised(tx, life, root, worst)
    root = refresh(tx, life, rows.get(tx, root.id) or root)
    about = facts(tx, root.run_key or root.key)
    route = life.route(about, root.severity)
    if route is not None and life.suppressed(tx, about) is None:
        to = [*route.to, *to]
        fallback = route.fallback or fallback
    if to:
        lead = f"{len(news)} deadline{'s' if len(news) > 1 else ''} broken behind it"
        letters.queue_firing(
            tx, life.ctx.config, root, tuple(dict.fromkeys(to)), "escalate" if rises else "repeat", lead=lead, fallback=fallback
        )  # fmt: skip
        names = message.names([child.title.partition(" — ")[0] for child in news], 10)
        rows.event(tx, root.id, "telling", detail=f"{message.names(tuple(dict.fromkeys(to)))}: {lead}: {names}")
    for child in news:
        rows.update(tx, child.id, told_with=tx.now if to else None, held_back=None if to else NO_ROUTE)
    rows.update(tx, root.id, grouped=tx.now)


def _on_their_own(
    tx: Tx, life: Lifecycle, parent: str, alerts: list[Alert], waiting: list[Link], facts: FactsOf
) -> None:  # fmt: skip
    """Their cause is over and they are not: one of them, the worst, now speaks for all."""
    made = list(alerts)
    for link in waiting:
        alert = rows.open_by_dedup(tx, dedup(RULE, link.thing, link.occurrence)) or life.open(
            tx,
            Finding(
                rule=RULE, key=link.thing, occurrence=link.occurrence, severity=one_below(link.severity), since=link.since,
                story=message.Story(object=link.name, fact="", environment="", source="", now="", impact="", do="", ends=""),
                facts=facts(tx, link.run_key or link.thing), run_key=link.run_key,
            ),
            parent=parent,
        )  # fmt: skip
        links.put(tx, replace(link, alert_id=alert.id, role=Role.OWN))
        rows.update(tx, alert.id, title=link.title, body=link.body)
        made.append(rows.get(tx, alert.id) or alert)
    speak: list[Alert] = []
    for alert in made:
        held = life.suppressed(tx, facts(tx, alert.run_key or alert.key))
        if held is None and alert.state is AlertState.FIRING:
            speak.append(alert)
        else:  # when what holds it back ends it is told by itself
            rows.update(tx, alert.id, parent=None, held_back=held)
    if not speak:
        return
    head, *others = sorted(speak, key=lambda alert: (alert.severity, alert.since, alert.id))
    rows.update(tx, head.id, parent=None, held_back=None)
    for other in others:
        rows.update(tx, other.id, parent=head.id, told_with=tx.now, held_back=None)
    head = refresh(tx, life, rows.get(tx, head.id) or head)
    about = facts(tx, head.run_key or head.key)
    lead = f"and {len(others)} more after the same cause" if others else ""
    life.tell(tx, head, about, "repeat" if head.told else "fire", lead=lead)
    rows.update(tx, head.id, grouped=tx.now)


def _withdrawn(tx: Tx, life: Lifecycle, link: Link) -> None:
    """Its promise is no longer configured: nobody owes it, and nothing says that it is well."""
    links.over(tx, link.occurrence)
    alert = rows.get(tx, link.alert_id)
    if alert is None or not alert.open:
        return
    if has_failure(alert) or link.role is Role.BEHIND or links.hanging(tx, alert.id):
        rows.event(tx, alert.id, "no longer owed", detail=f"{link.name}: taken out of the configuration")
        refresh(tx, life, alert)
    else:
        life.close(tx, alert, "its promise was taken out of the configuration")
