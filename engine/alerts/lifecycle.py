"""The life of an alert: pending, firing, acknowledged, resolved, opened again, closed; and whom each step is told.

Every function works inside the caller's transaction: the state and its messages are committed together or not at all.
Suppression (a silence, no route) holds messages back and never touches the state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from adapters.model import AlertState, Severity
from engine.config.model import Facts, Route, matches
from engine.context import Context
from engine.ids import ulid
from engine.notify import letters, message
from engine.notify.message import Story
from engine.owed.windows import from_config, with_calendar
from engine.store import alerts as rows
from engine.store import alerts_owed as owed_rows
from engine.store import outbox
from engine.store.alerts import Alert, Silence
from engine.store.alerts_owed import Part, Role
from engine.store.outbox import FIRING, Post
from engine.store.writer import Tx

REOPEN_WITHIN_MS = 30 * 60_000
NO_ROUTE = "no route: on screen only"
NAMED = 10
"""Deadlines behind an alert that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. ``occurrence`` is part of the identity, the story is not: new words never open a new alert."""

    rule: str
    key: str
    occurrence: str
    severity: Severity
    since: int
    story: Story
    facts: Facts
    run_key: str = ""

    @property
    def dedup(self) -> str:
        return dedup(self.rule, self.key, self.occurrence)


def dedup(rule: str, key: str, occurrence: str) -> str:
    """Identity of an alert."""
    return hashlib.sha256("\0".join((rule, key, occurrence)).encode()).hexdigest()


class Lifecycle:
    """Transitions of alerts. Reads the configuration afresh each time: a reload may have replaced it."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    # --- opening --------------------------------------------------------------------------------------------------

    def open(
        self,
        tx: Tx,
        found: Finding,
        *,
        pending: str | None = None,
        wait_ms: int = 0,
        parent: str | None = None,
        first: Callable[[str], object] | None = None,
    ) -> Alert:
        """A new alert, or the same again within half an hour. ``pending``: why it does not fire yet. ``wait_ms``: messages wait
        that long, so that their words may still get better. ``parent``: the alert in whose messages this one is told.
        ``first``: called with its id before anybody is told."""
        old = rows.last_resolved(tx, found.dedup, tx.now - REOPEN_WITHIN_MS)
        state = AlertState.FIRING if pending is None else AlertState.PENDING
        if old is None:
            alert = Alert(
                id=ulid(tx.now), dedup=found.dedup, rule=found.rule, key=found.key, occurrence=found.occurrence,
                severity=found.severity, state=state, title=found.story.title, body=found.story.body, opened=tx.now,
                since=found.since, changed=tx.now, resolved=None, resolved_by=None, acked_by=None, acked_at=None, ack_until=None,
                ack_note=None, reopened=0, held_back=pending, told=0, run_key=found.run_key, good=0, bad=0, parent=parent,
            )  # fmt: skip
            rows.insert(tx, alert)
            rows.event(tx, alert.id, "opened", detail=pending)
        else:
            rows.update(
                tx, old.id, state=state, severity=found.severity, title=found.story.title, body=found.story.body, since=found.since,
                held_back=pending, run_key=found.run_key, good=0, bad=0, acked_by=None, acked_at=None, ack_until=None, ack_note=None,
                parent=parent, failure="", group_at=None, grouped=None, told_with=None,
            )  # fmt: skip
            alert = self._fresh(tx, old.id)
        if first is not None:
            first(alert.id)
        return alert if pending is not None else self.fire(tx, alert, found.facts, wait_ms=wait_ms)

    def fire(self, tx: Tx, alert: Alert, facts: Facts, *, wait_ms: int = 0) -> Alert:
        """PENDING (or just opened) becomes FIRING, and people are told."""
        if alert.resolved is not None:
            rows.update(
                tx,
                alert.id,
                state=AlertState.FIRING,
                resolved=None,
                resolved_by=None,
                reopened=alert.reopened + 1,
                held_back=None,
                told=0,
            )
            rows.event(tx, alert.id, "reopened", detail=f"for the {_times(alert.reopened + 1)} time")
        else:
            rows.update(tx, alert.id, state=AlertState.FIRING, held_back=None)
            if alert.state is AlertState.PENDING:
                rows.event(tx, alert.id, "firing")
        alert = self._fresh(tx, alert.id)
        if alert.parent is None:
            self.tell(tx, alert, facts, "fire", wait_ms=wait_ms)
        return self._fresh(tx, alert.id)

    def drop(self, tx: Tx, alert: Alert, why: str) -> None:
        """A PENDING one whose cause went away: nobody was told, nobody will be."""
        state = AlertState.CLOSED if alert.resolved is None else AlertState.RESOLVED
        rows.update(
            tx, alert.id, state=state, held_back=None, resolved=tx.now if alert.resolved is None else alert.resolved
        )
        rows.event(tx, alert.id, "did not last", detail=why)

    # --- telling --------------------------------------------------------------------------------------------------

    def route(self, facts: Facts, severity: Severity) -> Route | None:
        """The first that matches."""
        return next((route for route in self.ctx.config.routes if route.takes(facts, severity)), None)

    def why_held_back(self, tx: Tx, facts: Facts, severity: Severity) -> str | None:
        """The first reason that applies, as it stands on screen; None: people are to be told."""
        held = self.suppressed(tx, facts)
        if held is not None:
            return held
        return NO_ROUTE if self.route(facts, severity) is None else None

    def suppressed(self, tx: Tx, facts: Facts) -> str | None:
        """Maintenance or a silence that holds messages about this back, in words; None: nothing does."""
        maintained = self._maintenance(facts, tx.now)
        if maintained is not None:
            return maintained
        silence = next((silence for silence in rows.silences(tx) if matches(silence.match, facts)), None)
        return None if silence is None else self.silenced(silence, tx.now)

    def _maintenance(self, facts: Facts, now: int) -> str | None:
        config = self.ctx.config
        for window in config.windows:
            if window.notify != "suppress" or not matches(window.on, facts):
                continue
            spans = from_config(window)
            if window.calendar is not None and window.calendar in config.calendars:
                spans = with_calendar(spans, config.calendars[window.calendar])
            until = spans.ends(now)
            if until is not None:
                words = f"maintenance {window.name} until {message.clock_time(until, config.timezone)}"
                return message.plain(words)
        return None

    def silenced(self, silence: Silence, now: int) -> str:
        at = message.clock_time(silence.until, self.ctx.config.timezone)
        return f'silenced by {silence.who} until {at}: "{silence.reason}"'

    def tell(self, tx: Tx, alert: Alert, facts: Facts, kind: str, *, lead: str = "", wait_ms: int = 0) -> bool:
        """One outbox row per recipient of the first matching route, or the reason why not on the alert."""
        held = self.why_held_back(tx, facts, alert.severity)
        route = self.route(facts, alert.severity)
        if held is not None or route is None:
            if alert.held_back != held:
                rows.update(tx, alert.id, held_back=held)
                rows.event(tx, alert.id, "held back", detail=held)
            return False
        if alert.held_back is not None:
            rows.update(tx, alert.id, held_back=None)
        letters.queue_firing(
            tx, self.ctx.config, alert, route.to, kind, lead=lead, wait_ms=wait_ms, fallback=route.fallback or ""
        )
        rows.event(tx, alert.id, "telling", detail=message.names(tuple(dict.fromkeys(route.to))))
        return True

    def reword(self, tx: Tx, alert: Alert, story: Story, at: int) -> Alert:
        """Better words for an open alert, and for its messages that nobody has tried to send."""
        return self.set_words(tx, alert, story.title, story.body, at)

    def set_words(self, tx: Tx, alert: Alert, title: str, body: str, at: int, lead: str = "") -> Alert:
        """The same of words that are clean already. What else is owed and what stands behind it is added; ``lead``: the occurrence
        that these words tell of themselves."""
        hanging = owed_rows.hanging(tx, alert.id)
        owed = "; ".join(one.words for one in hanging if one.role is not Role.BEHIND and one.occurrence != lead)
        body = message.with_lines(body, owed, self._behind(tx, alert, hanging))
        if (title, body) == (alert.title, alert.body):
            return alert
        was = alert.title
        rows.update(tx, alert.id, title=title, body=body)
        alert = self._fresh(tx, alert.id)
        letters.reword_firing(tx, self.ctx.config, alert, at, was)
        return alert

    def _behind(self, tx: Tx, alert: Alert, hanging: list[owed_rows.Link]) -> str:
        """``a 07:00, b 07:15 broken; at risk: c 08:00 and 37 more``: ten in all are named."""
        broken = self.broken_behind(tx, alert)
        waiting = [one.name for one in hanging if one.role is Role.BEHIND]
        if not broken:
            return message.names(waiting, NAMED)
        words = f"broken: {message.names(broken, NAMED)}"
        if waiting and len(broken) < NAMED:
            return f"{words}; at risk: {message.names(waiting, NAMED - len(broken))}"
        return words + (f"; {len(waiting)} more at risk" if waiting else "")

    def broken_behind(self, tx: Tx, alert: Alert) -> list[str]:
        """Names of the deadlines behind it that are broken."""
        return [
            one.name
            for child in owed_rows.children(tx, alert.id)
            for one in owed_rows.hanging(tx, child.id)
            if one.state is Part.BROKEN and one.role is not Role.BEHIND
        ]

    # --- ending ---------------------------------------------------------------------------------------------------

    def resolve(self, tx: Tx, alert: Alert, evidence: str, facts: Facts) -> None:
        """It is over, and what proves it. Told are those who were told of the trouble; what waits to be sent is not sent."""
        if alert.state is AlertState.PENDING:
            self.drop(tx, alert, evidence)
            return
        behind = self.broken_behind(tx, alert)
        if behind:
            evidence += f"; still broken behind it: {message.names(behind, NAMED)}"
        evidence = message.plain(evidence)
        self._end_parts(tx, alert)
        sent = outbox.of_alert(tx, alert.id, alert.reopened)
        unsent = outbox.supersede(tx, alert.id)
        rows.update(tx, alert.id, state=AlertState.RESOLVED, resolved=tx.now, resolved_by=evidence, held_back=None)
        rows.event(tx, alert.id, "resolved", detail=evidence)
        if unsent:
            rows.event(tx, alert.id, "not sent", detail=f"{unsent} messages: it was over before they went out")
        if alert.parent is not None:
            rows.event(tx, alert.parent, "over behind it", detail=f"{alert.title.partition(' — ')[0]}: {evidence}")
        if self.suppressed(tx, facts) is not None:
            word = "silenced" if self._maintenance(facts, tx.now) is None else "maintenance"
            rows.event(tx, alert.id, "held back", detail=f"the end of it is not told: {word}")
            return
        alert = self._fresh(tx, alert.id)
        for letter in sent:
            if letter.kind in FIRING and (
                letter.state is Post.SENT or (letter.unsure and letter.state is not Post.SENDING)
            ):
                letters.queue_end(tx, self.ctx.config, alert, letter.recipient)

    def close(self, tx: Tx, alert: Alert, why: str) -> None:
        """Nobody can say any more whether it is over: it leaves the screen without a claim that it is well."""
        self._end_parts(tx, alert)
        outbox.supersede(tx, alert.id)
        rows.update(tx, alert.id, state=AlertState.CLOSED, held_back=None)
        rows.event(tx, alert.id, "closed", detail=why)

    def _end_parts(self, tx: Tx, alert: Alert) -> None:
        """What it was about is over with it. What broke behind it and was to be told in a message that waits is not told yet."""
        owed_rows.end(tx, alert.id)
        rows.update(tx, alert.id, group_at=None, failure="")
        waiting = [
            letter.created for letter in outbox.of_alert(tx, alert.id, alert.reopened)
            if letter.state is Post.PENDING and letter.kind in FIRING
        ]  # fmt: skip
        if waiting:
            owed_rows.untell(tx, alert.id, min(waiting))

    def _fresh(self, tx: Tx, id: str) -> Alert:
        alert = rows.get(tx, id)
        assert alert is not None
        return alert


def _times(count: int) -> str:
    return {1: "second", 2: "third"}.get(count, f"{count + 1}th")
