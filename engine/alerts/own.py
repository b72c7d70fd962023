"""Rule ``own``: Watchfloor's own troubles. A monitor that is about to go blind must say so while it still can.

Their key is ``watchfloor``: ``src:watchfloor`` in a route or a silence means all of them. The occurrence says which:
``disk`` (room runs out), ``full`` (there was none), ``wal`` (somebody holds the write-ahead log), ``clock``, ``store`` (it was
made anew).
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.model import AlertState, Severity
from engine.alerts.lifecycle import Finding, Lifecycle
from engine.config.model import Facts
from engine.notify.message import Story
from engine.store import alerts as rows
from engine.store.writer import Tx

RULE = "own"
KEY = "watchfloor"
FACTS = Facts(key=KEY, source=KEY)


@dataclass(frozen=True, slots=True)
class Own:
    """A trouble of ours now. ``fact`` follows our name in the title; ``now impact do ends`` are sentences of the body."""

    occurrence: str
    severity: Severity
    since: int
    fact: str
    now: str
    impact: str
    do: str
    ends: str

    def story(self) -> Story:
        return Story(
            object="Watchfloor", fact=self.fact, environment="", source=KEY, now=self.now, impact=self.impact, do=self.do,
            ends=self.ends,
        )  # fmt: skip


def judge(tx: Tx, life: Lifecycle, now: dict[str, Own], over: dict[str, str]) -> None:
    """What is so now, by occurrence. Open ones that are not are over; ``over``: by occurrence's first word, what proves it."""
    open_ones = {alert.occurrence: alert for alert in rows.open_alerts(tx, RULE)}
    for own in now.values():
        alert = open_ones.get(own.occurrence)
        if alert is None:
            life.open(
                tx,
                Finding(
                    rule=RULE, key=KEY, occurrence=own.occurrence, severity=own.severity, since=own.since, story=own.story(),
                    facts=FACTS,
                ),
            )  # fmt: skip
        elif alert.state is not AlertState.PENDING:
            story = own.story()
            if (alert.title, alert.body) != (story.title, story.body):
                life.reword(tx, alert, story, tx.now)
    for occurrence, alert in open_ones.items():
        if occurrence not in now:
            life.resolve(tx, alert, over.get(occurrence.partition(":")[0], "it is over"), FACTS)
