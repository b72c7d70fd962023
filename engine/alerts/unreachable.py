"""Rule ``source-unreachable``: a source that does not answer as it should leaves its pipelines unknown, not well.

Pending at the first bad poll, firing at the second or after a minute; resolved by two good polls in a row. Right after
the engine's start, before the first good poll, it waits up to three minutes: a host that boots is not an outage.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.model import AlertState, Health, Severity
from engine.alerts.lifecycle import Finding, Lifecycle, dedup
from engine.config.model import Facts
from engine.notify import message
from engine.notify.message import Story
from engine.store import alerts as rows
from engine.store.alerts import Alert, SourceFacts
from engine.store.writer import Tx

RULE = "source-unreachable"
BAD_POLLS = 2
BAD_FOR_MS = 60_000
GOOD_POLLS = 2
STARTUP_HOLD_MS = 180_000
_FACT = {
    Health.UNREACHABLE: "unreachable",
    Health.AUTH_FAILED: "does not let us in",
    Health.BAD_ANSWER: "answers badly",
}


def judge(
    tx: Tx, life: Lifecycle, source: str, after: Health, since: int, detail: str, hint: str, *, held: int | None
) -> bool:  # fmt: skip
    """One poll. ``held``: until when a startup hold lasts. True: something about alerts changed."""
    alert = rows.open_by_dedup(tx, dedup(RULE, source, ""))
    if after is Health.FRESH:
        return alert is not None and _good(tx, life, alert, source)
    if after not in _FACT:
        return False  # rate limited, not polled: neither proof of trouble nor of its end
    seen = rows.source(tx, source)
    if seen is None:
        return False
    story = _story(seen, after, since, detail, hint, life.ctx.config.timezone)
    if alert is None:
        found = Finding(
            rule=RULE, key=source, occurrence="", severity=_severity(seen), since=since, story=story, facts=_facts(seen)
        )
        alert = life.open(tx, found, pending=_why_pending(held, life))
        rows.update(tx, alert.id, bad=1)
        return True
    if alert.state is not AlertState.PENDING:
        if alert.good:
            rows.update(tx, alert.id, good=0)
        if alert.title.partition(": ")[0] != story.title.partition(": ")[0]:  # another kind of trouble, the same alert
            life.reword(tx, alert, story, tx.now)
            rows.event(tx, alert.id, "changed", detail=story.title)
        return False
    rows.update(tx, alert.id, bad=alert.bad + 1)
    alert = life.reword(tx, rows.get(tx, alert.id) or alert, story, tx.now)
    _fire_if_due(tx, life, alert, held)
    return True


def tick(tx: Tx, life: Lifecycle, held: Callable[[str], int | None]) -> None:
    """Pending ones become due by time, too: a source that is asked ever less often must not hide behind that."""
    for alert in rows.open_alerts(tx, RULE):
        if alert.state is AlertState.PENDING:
            _fire_if_due(tx, life, alert, held(alert.key))


def _fire_if_due(tx: Tx, life: Lifecycle, alert: Alert, held: int | None) -> None:
    if held is not None:
        words = _why_pending(held, life)
        if alert.held_back != words:
            rows.update(tx, alert.id, held_back=words)
        return
    if alert.bad >= BAD_POLLS or tx.now - alert.since >= BAD_FOR_MS:
        seen = rows.source(tx, alert.key)
        life.fire(tx, alert, _facts(seen) if seen else Facts(key=alert.key, source=alert.key))


def _good(tx: Tx, life: Lifecycle, alert: Alert, source: str) -> bool:
    if alert.state is AlertState.PENDING:
        life.drop(tx, alert, "the next poll was good")
    elif alert.good + 1 >= GOOD_POLLS:
        seen = rows.source(tx, source)
        life.resolve(
            tx,
            alert,
            f"{source} answered {GOOD_POLLS} polls in a row",
            _facts(seen) if seen else Facts(key=source, source=source),
        )
    else:
        rows.update(tx, alert.id, good=alert.good + 1)
    return True


def _why_pending(held: int | None, life: Lifecycle) -> str:
    if held is not None:
        return f"just started: waits for a first good poll until {message.clock_time(held, life.ctx.config.timezone)}"
    return "waits for a second bad poll, or a minute"


def _facts(seen: SourceFacts) -> Facts:
    return Facts(key=seen.name, source=seen.name, environment=seen.environment)


def _severity(seen: SourceFacts) -> Severity:
    """HIGH where nobody sees something critical or high, else MEDIUM: being blind is not yet being late."""
    return Severity.HIGH if seen.important else Severity.MEDIUM


def _story(seen: SourceFacts, health: Health, since: int, detail: str, hint: str, timezone: str) -> Story:
    plural = "" if seen.pipelines == 1 else "s"
    measured = f"{seen.measures} number{'' if seen.measures == 1 else 's'}"
    if seen.pipelines:
        known = f"{seen.pipelines} pipeline{plural} unknown, what is shown of them is old"
    elif seen.measures:
        known = f"{measured} not measured, what is shown of them is old"
    else:
        known = "none of its pipelines is known yet"
    last = (
        f"last good answer at {message.clock_time(seen.last_ok, timezone)}"
        if seen.last_ok
        else "it has not answered well so far"
    )
    important = f"; high or critical: {message.names(seen.important)}" if seen.important else ""
    whose = f"its {seen.pipelines} pipeline{plural}" if seen.pipelines else "what it has"
    return Story(
        object=seen.name, fact=f"{_FACT[health]}: {detail or 'no more is known'}", environment=seen.environment, source=seen.name,
        now=f"{known}; {last}",
        impact=f"what {measured} owe is unknown" if seen.measures and not seen.pipelines
        else f"nobody sees whether {whose} run{'s' if seen.pipelines < 2 else ''}, fail{'s' if seen.pipelines < 2 else ''} or "
        f"{'is' if seen.pipelines < 2 else 'are'} late{important}",
        do=" · ".join(part for part in (hint, "see: watchfloor doctor") if part),
        ends=f"{GOOD_POLLS} good polls in a row",
    )  # fmt: skip
