"""Rule ``pipeline-gone``: something is promised of a pipeline that its source lists no more.

Nothing can be judged of it any longer: what it owes is unknown, neither red nor green, and would stay so unnoticed. One
alert of medium severity a pipeline; where many vanish at once (a folder that was moved, a right that was taken away) one of
their source. It ends when the source lists it again, when its promise is taken out of the configuration, or, where only a
pattern meant it, after a week: then it was meant to go.
"""

from __future__ import annotations

from typing import Final

from adapters.model import Severity
from engine.alerts.lifecycle import Finding, Lifecycle
from engine.config.model import Facts
from engine.notify import message
from engine.notify.message import Story
from engine.store import alerts as rows
from engine.store import alerts_gone as store
from engine.store.alerts import Alert, PipelineFacts
from engine.store.alerts_gone import Gone
from engine.store.writer import Tx

RULE: Final = "pipeline-gone"
MANY: Final = 10
"""So many of one source at once have an alert each; more have one of their source."""
MEANT_MS: Final = 7 * 86_400_000


def judge(tx: Tx, life: Lifecycle) -> bool:
    """Open what is gone, end what is back; True: something about alerts changed."""
    exact = {e.on for e in life.ctx.config.expectations}
    gone = {g.key: g for g in store.gone(tx) if g.key in exact or tx.now - g.since < MEANT_MS}
    held = {alert.key: alert for alert in rows.open_alerts(tx, RULE)}
    changed = False
    for alert in held.values():
        changed = _over(tx, life, alert, gone) or changed
    fresh: dict[str, list[Gone]] = {}
    for one in gone.values():
        whole = held.get(one.source)
        if one.key not in held and (whole is None or one.since > whole.since):
            fresh.setdefault(one.source, []).append(one)
    for source, found in fresh.items():
        if len(found) > MANY and source not in held:
            _open_source(tx, life, source, found)
        else:
            for one in found:
                _open(tx, life, one)
    return changed or bool(fresh)


def _over(tx: Tx, life: Lifecycle, alert: Alert, gone: dict[str, Gone]) -> bool:
    if alert.key in gone:
        return False
    if ":" not in alert.key:  # of a source
        if any(one.source == alert.key and one.since <= alert.since for one in gone.values()):
            return False
        life.resolve(
            tx, alert, f"{alert.key} lists them again, or nothing is promised of them", _of_source(tx, alert.key)
        )
    elif store.listed(tx, alert.key):
        known = rows.pipeline(tx, key=alert.key)
        life.resolve(tx, alert, "its source lists it again", _facts(known, alert.key))
    elif any(one.key == alert.key for one in store.gone(tx)):
        life.close(tx, alert, "gone for a week, and only a pattern meant it: it is taken for meant")
    else:
        life.close(tx, alert, "its promise was taken out of the configuration")
    return True


def _open(tx: Tx, life: Lifecycle, one: Gone) -> None:
    known = rows.pipeline(tx, key=one.key)
    more = len(one.promises) - 1
    owed = one.words + (f" and {more} more" if more else "")
    consumers = known.consumers if known else ()
    count = len(consumers)
    parts = [f"runbook {known.runbook}"] if known and known.runbook else []
    parts.append(
        f"see {one.source} whether it was deleted, renamed or hidden from us; if it was meant, take the promise out"
    )
    parts += [f"owner {known.owner}"] if known and known.owner else []
    story = Story(
        object=known.name if known else one.key, fact=f"gone: {one.source} lists it no more", environment=known.environment if known else "",
        source=one.source, now=f"absent from two complete listings. What it owes is not known: {owed}",
        impact=f"{count} consumer{'s' if count > 1 else ''}: {message.names(consumers)}" if count else "no consumer is configured",
        do=" · ".join(parts), ends="its source lists it again, or its promise is taken out of the configuration",
    )  # fmt: skip
    life.open(tx, _finding(one.key, one.since, story, _facts(known, one.key)))


def _open_source(tx: Tx, life: Lifecycle, source: str, found: list[Gone]) -> None:
    seen = rows.source(tx, source)
    names = message.names([message.plain(one.key.partition(":")[2], 60) for one in found], MANY)
    story = Story(
        object=source, fact=f"{len(found)} pipelines gone: it lists them no more", environment=seen.environment if seen else "",
        source=source, now=f"absent from two complete listings: {names}",
        impact=f"what {len(found)} pipelines owe is not known",
        do=f"see {source} whether they were deleted, moved or hidden from us: watchfloor doctor",
        ends="it lists them again, or their promises are taken out of the configuration",
    )  # fmt: skip
    since = max(one.since for one in found)
    life.open(tx, _finding(source, since, story, _of_source(tx, source)))


def _finding(key: str, since: int, story: Story, facts: Facts) -> Finding:
    return Finding(rule=RULE, key=key, occurrence="", severity=Severity.MEDIUM, since=since, story=story, facts=facts)


def _facts(known: PipelineFacts | None, key: str) -> Facts:
    if known is None:
        return Facts(key=key, source=key.partition(":")[0])
    return Facts(
        key=key, source=known.source, environment=known.environment, application=known.application, layer=known.layer,
        tags=known.tags,
    )  # fmt: skip


def _of_source(tx: Tx, name: str) -> Facts:
    seen = rows.source(tx, name)
    return Facts(key=name, source=name, environment=seen.environment if seen else "")
