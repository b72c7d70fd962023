"""Rule ``owed``: a promise that is at risk or broken.

One trouble is one alert. What is at risk opens an alert one severity below that of its promise, which is raised, not doubled,
when the promise breaks. Promises of the same thing and business date (or run), and a failure of it, share the alert that was
open first: who is told "daily_sales failed" need not be told by a second alert that daily_sales will be late, and a second
one would have to be taken and closed by the same person for the same reason. The alert that is open keeps its id, for
people have it on their phones, and the worse news is one more message of it.

What has its cause upstream stands behind the alert of the cause: at risk it is only named there; broken it has an alert of its
own on screen, of which people are told in common messages of the cause's alert. All of it is in the store, so a restart
neither loses nor doubles anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from adapters.model import AlertState, Owed, Severity
from engine.alerts import owed_words as words
from engine.alerts.lifecycle import NO_ROUTE, Finding, Lifecycle, dedup
from engine.config.model import Facts
from engine.notify import letters, message
from engine.owed.bound import OwedChange
from engine.store import alerts as rows
from engine.store import alerts_owed as links
from engine.store.alerts import Alert, PipelineFacts
from engine.store.alerts_owed import Link, Part, Role
from engine.store.writer import Tx

RULE: Final = "owed"
GROUP_WAIT_MS: Final = 30_000
GROUP_WAIT_CRITICAL_MS: Final = 10_000
GROUP_EVERY_MS: Final = 300_000
LET_IT_GET_BETTER_MS: Final = 4_000
"""A message that waits for better words of its failure is not hurried by what is owed."""
_DEEP: Final = 16

FactsOf = Callable[[Tx, str], Facts]
"""What a selector can ask of a key."""


def judge(tx: Tx, life: Lifecycle, changes: Sequence[OwedChange], facts: FactsOf) -> None:
    """Changes of one judgement. Causes go first, so that what they bring about finds their alert."""
    for change in sorted(changes, key=lambda c: (c.root is not None, c.after.due_at)):
        _Case(tx, life, change, facts).judge()


class _Case:
    """One change."""

    def __init__(self, tx: Tx, life: Lifecycle, change: OwedChange, facts_of: FactsOf) -> None:
        self.tx, self.life, self.change, self.facts_of = tx, life, change, facts_of
        self.one = change.after
        self.timezone = life.ctx.config.timezone
        self.link = links.of(tx, self.one.key)

    def judge(self) -> None:
        match self.one.state:
            case Owed.UNKNOWN:
                here = self.link is not None and self.link.role is not Role.BEHIND
                if self.link is not None and here and self.change.before is not Owed.UNKNOWN:
                    rows.event(self.tx, self.link.alert_id, "? not known", detail=message.plain(self.one.reason))
                    # it stays as it is, but no longer says that what it was is so
                    self._put(self.link.alert_id, self.link.role, self.link.state)
                    refresh(self.tx, self.life, self._alert(self.link.alert_id))
            case Owed.AT_RISK:
                self._at_risk()
            case Owed.BREACHED if self.change.alerting:
                self._broken()
            case Owed.BREACHED:
                if self.link is not None and self.link.state is not Part.BROKEN:  # people are told later
                    self._put(self.link.alert_id, self.link.role, self.link.state)
                    if self.change.before is not Owed.BREACHED:
                        rows.event(self.tx, self.link.alert_id, "deadline passed", detail=self._details)
                    refresh(self.tx, self.life, self._alert(self.link.alert_id))
            case _:
                if self.link is not None:
                    self._over(self.link)

    # --- at risk --------------------------------------------------------------------------------------------------

    def _at_risk(self) -> None:
        if self.link is not None:
            self._put(self.link.alert_id, self.link.role, self.link.state)
            refresh(self.tx, self.life, self._alert(self.link.alert_id))
            return
        joined = self._same_trouble()
        if joined is not None:
            self._put(joined.id, Role.JOINED, Part.AT_RISK)
            rows.event(self.tx, joined.id, "at risk", detail=self._details)
            refresh(self.tx, self.life, joined)
            return
        root = self._root
        if root is not None:
            link = self._put(root.id, Role.BEHIND, Part.AT_RISK)
            rows.event(self.tx, root.id, "behind it", detail=link.name)
            refresh(self.tx, self.life, root)
            return
        self._open(_one_below(self.change.bound.severity), Part.AT_RISK, None)

    # --- broken ---------------------------------------------------------------------------------------------------

    def _broken(self) -> None:
        link, severity = self.link, self.change.bound.severity
        if link is not None and link.state is Part.BROKEN:  # known and told
            self._put(link.alert_id, link.role, Part.BROKEN)
            refresh(self.tx, self.life, self._alert(link.alert_id))
            return
        joined = self._alert(link.alert_id) if link is not None and link.role is not Role.BEHIND else None
        root = self._root
        if joined is None:
            joined = self._same_trouble()
            if joined is None:
                self._open(severity, Part.BROKEN, root)
                return
            if link is not None:
                self._put(link.alert_id, link.role, Part.OVER)
                refresh(self.tx, self.life, self._alert(link.alert_id))
        role = Role.JOINED if link is None or link.role is Role.BEHIND else link.role
        again = any(
            o.state is Part.BROKEN and o.expectation_id == self.change.bound.id and o.occurrence != self.one.key
            for o in links.hanging(self.tx, joined.id)
        )
        self._put(joined.id, role, Part.BROKEN)
        rows.event(self.tx, joined.id, "deadline broken", detail=self._details)
        lead = "" if role is Role.OWN and not has_failure(joined) else words.headline(self.change, self.timezone)
        if root is not None and root.id != joined.id and not has_failure(joined):
            links.adopt(self.tx, joined.id, root.id)
            rows.update(self.tx, joined.id, severity=min(joined.severity, severity), parent=root.id, told_with=None)
            alert = refresh(self.tx, self.life, self._alert(joined.id))
            self._behind(alert, root)
        elif joined.parent is not None and (parent := rows.get(self.tx, joined.parent)) is not None and parent.open:
            rows.update(self.tx, joined.id, severity=min(joined.severity, severity), told_with=None)
            self._behind(refresh(self.tx, self.life, self._alert(joined.id)), parent)
        elif again and severity >= joined.severity:
            # one tick more of a promise that is broken already: on the alert, in its next message, no message of its own
            refresh(self.tx, self.life, self._alert(joined.id))
        else:
            raised(self.tx, self.life, joined, severity)
            alert = refresh(self.tx, self.life, self._alert(joined.id))
            self.life.tell(self.tx, alert, self.facts_of(self.tx, alert.run_key or alert.key), "escalate", lead=lead)

    def _open(self, severity: Severity, part: Part, root: Alert | None) -> None:
        story = words.story(self.change, self._known, self.timezone, self._cause)
        found = Finding(
            rule=RULE, key=self.one.on, occurrence=self.one.key, severity=severity, since=self._since, story=story,
            facts=self._facts, run_key=self.change.run_key or "",
        )  # fmt: skip
        old = rows.open_by_dedup(self.tx, dedup(RULE, self.one.on, self.one.key))
        alert = old or self.life.open(
            self.tx, found, parent=None if root is None else root.id, first=lambda id: self._put(id, Role.OWN, part)
        )
        if old is not None:
            self._put(old.id, Role.OWN, part)
        if root is not None:
            self._behind(alert, root)

    def _behind(self, alert: Alert, root: Alert) -> None:
        """Broken because of what ``root`` tells of: people hear of it by ``root``'s next common message."""
        held = self.life.suppressed(self.tx, self.facts_of(self.tx, alert.run_key or alert.key))
        rows.update(self.tx, alert.id, held_back=held or told_with(root))
        rows.event(self.tx, root.id, "broken behind it", detail=words.listed(self.change, self._known))
        if held is None:
            schedule(self.tx, root, alert.severity)
        refresh(self.tx, self.life, self._alert(root.id))

    # --- over -----------------------------------------------------------------------------------------------------

    def _over(self, link: Link) -> None:
        alert, proof = self._alert(link.alert_id), message.plain(words.evidence(self.change))
        links.over(self.tx, link.occurrence)
        if link.role is Role.BEHIND:
            rows.event(self.tx, alert.id, "over behind it", detail=f"{link.name}: {proof}")
            refresh(self.tx, self.life, alert)
            return
        left = [one for one in links.hanging(self.tx, alert.id) if one.role is not Role.BEHIND]
        met = self.one.state in (Owed.MET, Owed.MET_LATE)
        failed = has_failure(alert) and not (
            met and self.one.type == "finish_by"
        )  # a success of the date ends a failure
        if left or (failed and self.one.state is not Owed.WAIVED):
            what = "no longer at risk" if self.one.state.waiting else "kept" if met else self.one.state.name.lower()
            rows.event(self.tx, alert.id, what, detail=f"{link.name}: {proof}")
            worst = min((_worth(one) for one in left), default=None)
            if worst is not None and not has_failure(alert) and worst > alert.severity:
                rows.update(self.tx, alert.id, severity=worst)  # falls: nobody is told
            refresh(self.tx, self.life, self._alert(alert.id))
            return
        self.life.resolve(self.tx, alert, proof, self.facts_of(self.tx, alert.run_key or alert.key))
        if alert.parent is not None and (parent := rows.get(self.tx, alert.parent)) is not None and parent.open:
            refresh(self.tx, self.life, parent)

    # --- where it belongs -----------------------------------------------------------------------------------------

    def _same_trouble(self) -> Alert | None:
        """The open alert of the same thing and the same business date or run."""
        runs = {self.change.run_key} | {e.key for e in self.one.evidence if e.what == "run"}
        runs.discard(None)
        date = self.one.business_date
        for alert in rows.open_alerts(self.tx, rows.FAILED_RUN, self.one.on):
            if alert.state is not AlertState.PENDING and (alert.occurrence == date or alert.run_key in runs):
                return alert
        for link in links.of_thing(self.tx, self.one.on):
            if link.role is Role.BEHIND or link.occurrence == self.one.key:
                continue
            if (date and link.bdate == date) or (link.run_key and link.run_key in runs):
                return rows.get(self.tx, link.alert_id)
        return None

    @cached_property
    def _root(self) -> Alert | None:
        """The alert, at the top, of what makes this so; the one of the same business date where there are several."""
        key = self.change.root
        if not key or key == self.one.on:
            return None
        best: Alert | None = None
        parts = links.of_thing(self.tx, key)
        dated = {part.alert_id for part in parts if part.bdate == self.one.business_date}
        found = [*rows.open_alerts(self.tx, key=key), *(a for p in parts if (a := rows.get(self.tx, p.alert_id)))]
        for alert in found:
            if alert.state is AlertState.PENDING:
                continue
            best = alert
            if alert.id in dated or self.one.business_date in (alert.occurrence, alert.failure):
                break
        for _ in range(_DEEP):
            above = rows.get(self.tx, best.parent) if best is not None and best.parent else None
            if above is None or not above.open:
                break
            best = above
        return None if best is None or best.dedup == dedup(RULE, self.one.on, self.one.key) else best

    def _put(self, alert_id: str, role: Role, state: Part) -> Link:
        story = words.story(self.change, self._known, self.timezone, self._cause)
        link = Link(
            occurrence=self.one.key, alert_id=alert_id, expectation_id=self.change.bound.id, thing=self.one.on, type=self.one.type,
            bdate=self.one.business_date, run_key=self.change.run_key or "", role=role, state=state,
            severity=self.change.bound.severity, due_at=self.one.due_at, since=self._since,
            name=words.listed(self.change, self._known), words=self._said, title=story.title, body=story.body,
        )  # fmt: skip
        links.put(self.tx, link)
        return link

    @property
    def _cause(self) -> str:
        return "" if self.change.root is None else self._root.title if self._root is not None else self.change.root

    def _alert(self, id: str) -> Alert:
        alert = rows.get(self.tx, id)
        assert alert is not None
        return alert

    @cached_property
    def _known(self) -> PipelineFacts | None:
        return rows.pipeline(self.tx, key=self.one.on)

    @property
    def _facts(self) -> Facts:
        return self.facts_of(self.tx, self.change.run_key or self.one.on)

    @property
    def _said(self) -> str:
        return message.plain(words.short(self.change, self.timezone))

    @property
    def _details(self) -> str:
        return message.plain(words.details(self.change, self.timezone))

    @property
    def _since(self) -> int:
        if self.one.since is not None:
            return self.one.since
        return self.link.since if self.link is not None else self.tx.now


# --- alerts and their parts ---------------------------------------------------------------------------------------------


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


def _one_below(severity: Severity) -> Severity:
    return Severity(min(severity + 1, Severity.INFO))


def _worth(link: Link) -> Severity:
    return link.severity if link.state is Part.BROKEN else _one_below(link.severity)


# --- telling of what broke behind -----------------------------------------------------------------------------------------


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
                rule=RULE, key=link.thing, occurrence=link.occurrence, severity=_one_below(link.severity), since=link.since,
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
