"""The room of promises, put together: what is owed is judged here from what polls, files, pings and people say."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from engine.actions.audit import Audit
from engine.alerts import Alerts
from engine.context import Context
from engine.facts.checks import Checks
from engine.facts.feeds import Feeds
from engine.facts.pings import Pings
from engine.owed.judge import Judge
from engine.owed.live import Live
from engine.owed.measured import Measured
from engine.owed.outlook import Outlook
from engine.owed.people import People
from engine.store import owed
from engine.store.runs import RunChange
from engine.store.writer import Tx


class Owing:
    """Facts go in with the transaction that stores them, before anything is concluded from them; ``tick`` moves time."""

    def __init__(self, ctx: Context, alerts: Alerts, audit: Audit) -> None:
        outlook = Outlook(ctx)
        self.judge = Judge(ctx, alerts, outlook, Live(ctx, outlook), Measured(ctx))
        self.feeds = Feeds(ctx, self.judge)
        self.checks = Checks(ctx, self.judge)
        self.pings = Pings(ctx, self.judge, self.checks.poke)
        self.people = People(ctx, self.judge, audit)

    def configured(self, tx: Tx) -> list[str]:
        """``ctx.config`` is new, at the start or by a reload. Which open occurrences keep their old due time, in words."""
        self.feeds.configured(tx)
        self.judge.configured(tx)
        return owed.kept_now(tx)

    def on_listing(self, tx: Tx, source: str, told: Sequence[tuple[str, str]]) -> None:
        """Pipelines of a source were listed, and what of them changed (``engine.store.pipelines.apply_pipelines``)."""
        self.judge.on_pipelines(tx, source, told)

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """Changed runs, after the alerts heard of them: a broken deadline joins the alert of the failure behind it."""
        if changes:
            self.checks.on_runs(tx, changes)
            self.judge.on_runs(tx, changes)
            self.feeds.on_runs(tx, changes)

    def seen(self, source: str, at: int) -> None:
        """A source has answered completely, as of ``at`` (when it was asked): what it did not name was not there then."""
        self.judge.seen(source, at)

    def tick(self, tx: Tx) -> None:
        self.judge.tick(tx)

    def work(self) -> Sequence[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the engine's heart: (name, coroutine)."""
        return (("feeds", self.feeds.run()), ("checks", self.checks.run()))

    @property
    def busy(self) -> bool:
        """A check is being asked: no moment to leave."""
        return self.checks.busy

    async def close(self) -> None:
        await self.checks.close()
        await asyncio.sleep(0)
