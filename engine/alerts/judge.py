"""The rules of the floor: a run that failed, a source out of reach, a pipeline that is gone, a promise at risk or broken. And people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.extras import SourceItem
from adapters.model import AlertState, Health
from engine.alerts import component, failed_run, gone, owed, owed_behind, people, unreachable
from engine.alerts.lifecycle import REOPEN_WITHIN_MS, Lifecycle
from engine.config.model import Facts
from engine.context import Context
from engine.owed.bound import OwedChange
from engine.peer import Peer
from engine.store import alerts as rows
from engine.store import alerts_gone, alerts_owed
from engine.store.alerts import Alert
from engine.store.runs import RunChange
from engine.store.writer import Tx

FIRST_POLL_MS = 5_000
SWEEP_EVERY_MS = 3_600_000


class Alerts:
    """``on_runs`` and ``on_health`` judge what a poll brought, in its transaction; ``tick`` moves timers, about once a second."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.life = Lifecycle(ctx)
        self._started = ctx.clock.now()
        self._sweep_at = 0
        self._well: set[str] = set()
        """Sources that answered well since this start; until then nothing is said of them for a while."""
        self.open_count = 0
        """Open alerts as of the last judgement."""

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """Judge runs whose stored row changed. A run that ended badly opens one alert with its messages; a success ends it."""
        news = [
            c for c in changes if not c.run.generated and not (c.after.bad and c.backfilled)
        ]  # history opens nothing; that something ended well is proof wherever it was read
        if not news:
            return
        first_seen: dict[int, int] = {}
        open_keys = rows.open_keys(tx, failed_run.RULE)
        for change in sorted(news, key=lambda c: failed_run.moment(c, tx.now)):
            pipeline = change.run.key.partition("/")[0]
            if change.after.bad:
                seen = first_seen.get(change.source_id)
                if seen is None:
                    # the first poll may come before the first tick: a source is new at most a few seconds before that
                    seen = rows.first_seen(tx, change.source_id, max(self._started, tx.now - FIRST_POLL_MS))
                    first_seen[change.source_id] = seen
                failed_run.failed(tx, self.life, change, seen)
                open_keys.add(pipeline)
            elif pipeline in open_keys:  # of thousands of good runs in a poll, only these can mean anything here
                failed_run.not_failed(tx, self.life, change)
        self.open_count = rows.count_open(tx)

    def on_owed(self, tx: Tx, changes: Sequence[OwedChange]) -> None:
        """Judge what changed of what is owed; after ``on_runs`` of the same transaction, so that a failure is known by then."""
        if changes:
            owed.judge(tx, self.life, changes, facts_of)
            self.open_count = rows.count_open(tx)

    def on_health(self, tx: Tx, source: str, before: Health, after: Health, since: int, detail: str, hint: str) -> None:
        """Judge one poll of a source; to be called for each poll, also for those that change nothing."""
        if after is Health.FRESH:
            self._well.add(source)
        if unreachable.judge(tx, self.life, source, after, since, detail, hint, held=self._held(source, tx.now)):
            self.open_count = rows.count_open(tx)

    def on_items(self, tx: Tx, source: str, items: Sequence[SourceItem], skew_ms: int = 0) -> bool:
        """Judge one listing of a source's own parts; True where something about alerts changed."""
        changed = component.judge(tx, self.life, source, items, skew_ms)
        if changed:
            self.open_count = rows.count_open(tx)
        return changed

    def _held(self, source: str, now: int) -> int | None:
        """Until when nothing may fire about this source, because the engine has just started; None: no such hold."""
        until = self._started + unreachable.STARTUP_HOLD_MS
        return None if source in self._well or now >= until else until

    def tick(self, tx: Tx) -> None:
        """Timers: trouble that has lasted, acknowledgements that ran out, silences that ended, alerts to close for good."""
        rows.note_new_sources(tx)
        gone = rows.gone_sources(tx)
        for alert in rows.open_alerts(tx) if gone else ():
            if alert.key.partition(":")[0] in gone:
                self.life.close(tx, alert, "its source was taken out of the configuration")
        unreachable.tick(tx, self.life, lambda source: self._held(source, tx.now))
        for alert in rows.ack_expired(tx):
            people.ack_ran_out(tx, self.life, alert, self.facts(tx, alert))
        self._look_for_gone(tx)
        owed_behind.tick(tx, self.life, facts_of)
        for alert in rows.held_back(tx):
            self._let_go(tx, alert)
        if tx.now >= self._sweep_at:
            self._sweep_at = tx.now + SWEEP_EVERY_MS
            rows.sweep(tx, tx.now - self.ctx.config.store.retain_runs_ms)
        rows.close_old(tx, tx.now - REOPEN_WITHIN_MS)
        self.open_count = rows.count_open(tx)

    def _look_for_gone(self, tx: Tx) -> None:
        """Where a pipeline or a promise changed, and now and then: some end with time alone."""
        versions = alerts_gone.versions(tx)
        looked, until = tx.memo.get("alerts_gone", ((), 0))
        if versions == looked and tx.now < until:
            return
        tx.memo["alerts_gone"] = versions, tx.now + SWEEP_EVERY_MS  # a rollback takes it back
        gone.judge(tx, self.life)

    def _let_go(self, tx: Tx, alert: Alert) -> None:
        """What held an alert back may be over: then one message, with the true since."""
        facts = self.facts(tx, alert)
        if owed_behind.let_go(tx, self.life, alert, facts):
            return
        held = self.life.why_held_back(tx, facts, alert.severity)
        if held is None and alert.state is AlertState.ACKED:
            rows.update(tx, alert.id, held_back=None)  # somebody has it: no message, but no false reason either
        elif held is None:
            self.life.tell(
                tx, alert, facts, "repeat" if alert.told else "fire", lead="still firing" if alert.told else ""
            )
        elif held != alert.held_back:
            rows.update(tx, alert.id, held_back=held)

    def facts(self, tx: Tx, alert: Alert) -> Facts:
        """What a selector can ask of the thing an alert is about."""
        return facts_of(tx, alert.run_key or alert.key)

    async def ack(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"alert": id or its last four characters, "note"?: text, "until"?: ms}`` → who has it until when."""
        with self.ctx.store.transaction(full=True) as tx:
            return people.ack(tx, self.life, body, peer, self.facts)

    async def silence(self, body: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """``{"match": selector, "until": ms, "reason": text}``; four hours at most."""
        with self.ctx.store.transaction(full=True) as tx:
            return people.silence(tx, self.life, body, peer, self.facts)


def facts_of(tx: Tx, key: str) -> Facts:
    """Of a run or pipeline key, of a feed, a heartbeat, a set, or of a source's name."""
    if key.startswith("feed:"):
        return alerts_owed.feed(tx, key.removeprefix("feed:"))
    if key.startswith("series:"):
        return alerts_owed.series(tx, key)
    if ":" not in key:
        seen = rows.source(tx, key)
        return Facts(key=key, source=key, environment=seen.environment if seen else "")
    known = rows.pipeline(tx, key=key.partition("/")[0])
    return Facts(key=key, source=key.partition(":")[0]) if known is None else failed_run.facts(known, key)
