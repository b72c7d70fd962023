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

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from adapters.model import AlertState, Owed, Severity
from engine.alerts import owed_words as words
from engine.alerts.lifecycle import Finding, Lifecycle, dedup
from engine.alerts.owed_behind import schedule, told_with
from engine.alerts.owed_parts import RULE, FactsOf, has_failure, one_below, raised, refresh, worth
from engine.config.model import Facts
from engine.notify import message
from engine.owed.bound import OwedChange
from engine.store import alerts as rows
from engine.store import alerts_owed as links
from engine.store.alerts import Alert, PipelineFacts
from engine.store.alerts_owed import Link, Part, Role
from engine.store.writer import Tx

_DEEP: Final = 16


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
        self._open(one_below(self.change.bound.severity), Part.AT_RISK, None)

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
            worst = min((worth(one) for one in left), default=None)
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
