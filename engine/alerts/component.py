"""Rule ``source-part``: a source answers, and a part of it is dead: its scheduler is silent, so nothing new starts.

Read from the source's own items, ``BAD`` components only. One alert a source, whatever of it is dead: pending at the first
look, firing at the second, resolved by the first look at which all are well. While the source itself is out of
reach nobody can say, so nothing is resolved.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.extras import SourceItem, Standing
from adapters.model import AlertState, Severity
from engine.alerts.lifecycle import Finding, Lifecycle, dedup
from engine.config.model import Facts
from engine.notify import message
from engine.notify.message import Story
from engine.store import alerts as rows
from engine.store.alerts import SourceFacts
from engine.store.writer import Tx

RULE = "source-part"
BAD_LOOKS = 2


def judge(tx: Tx, life: Lifecycle, source: str, items: Sequence[SourceItem], skew_ms: int) -> bool:
    """One listing of a source's items. True: something about alerts changed. ``skew_ms``: its clock minus ours."""
    alert = rows.open_by_dedup(tx, dedup(RULE, source, ""))
    seen = rows.source(tx, source)
    if seen is None:
        return False
    bad = [i for i in items if i.kind == "component" and i.standing is Standing.BAD and i.name]
    if not bad:
        if alert is None or not any(i.kind == "component" and i.name for i in items):
            return False  # what could not be read proves nothing
        if alert.state is AlertState.PENDING:
            life.drop(tx, alert, "the next look was good")
        else:
            life.resolve(tx, alert, f"all parts of {source} beat again", _facts(seen))
        return True
    since = min((i.since - skew_ms for i in bad if i.since is not None), default=tx.now)
    story = _story(seen, bad, min(since, tx.now), life.ctx.config.timezone)
    if alert is None:
        found = Finding(
            rule=RULE,
            key=source,
            occurrence="",
            severity=_severity(seen),
            since=min(since, tx.now),
            story=story,
            facts=_facts(seen),
        )
        alert = life.open(tx, found, pending="waits for a second look, a minute later")
        rows.update(tx, alert.id, bad=1)
        return True
    if alert.state is not AlertState.PENDING:
        if alert.title == story.title:
            return False
        life.reword(tx, alert, story, tx.now)
        rows.event(tx, alert.id, "changed", detail=story.title)
        return True
    rows.update(tx, alert.id, bad=alert.bad + 1)
    alert = life.reword(tx, rows.get(tx, alert.id) or alert, story, tx.now)
    if alert.bad >= BAD_LOOKS:
        life.fire(tx, alert, _facts(seen))
    return True


def _facts(seen: SourceFacts) -> Facts:
    return Facts(key=seen.name, source=seen.name, environment=seen.environment)


def _severity(seen: SourceFacts) -> Severity:
    return Severity.HIGH if seen.important else Severity.MEDIUM


def _story(seen: SourceFacts, bad: Sequence[SourceItem], since: int, timezone: str) -> Story:
    first = bad[0]
    what, _, so = first.words.partition(": ")
    at = message.clock_time(since, timezone)
    fact = f"{first.name} {what} since {at}" + (f": {so}" if so else "")
    others = ", ".join(f"{i.name} {i.words}" for i in bad[1:])
    plural = "" if seen.pipelines == 1 else "s"
    important = f"; high or critical: {message.names(seen.important)}" if seen.important else ""
    return Story(
        object=seen.name, fact=fact, environment=seen.environment, source=seen.name,
        now=f"{seen.name} itself answers" + (f"; also {others}" if others else ""),
        impact=f"{seen.pipelines} pipeline{plural} wait for it{important}",
        do=f"look at the {first.name} on the hosts of {seen.name} · see: watchfloor show sources",
        ends="the first look at which all its parts beat again",
    )  # fmt: skip
