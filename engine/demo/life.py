"""What only a demo's engine does: a first round, so that a new demo shows life at once and not at the next full minute."""

from __future__ import annotations

from adapters.base import Action, Adapter
from adapters.errors import AdapterError
from adapters.model import Trigger, Verb
from engine.ids import ulid


async def first_round(adapter: Adapter, now: int) -> None:
    """Start what is scheduled every few minutes, once; a demo that ran before goes on where it was."""
    if any(not run.generated for run in (await adapter.runs(None)).runs):
        return
    for pipeline in (await adapter.pipelines()).items:
        often = (pipeline.schedule or "").startswith("*/")  # what is due once a day starts at its own time
        if pipeline.trigger in (Trigger.CRON, Trigger.INTERVAL) and often:
            try:
                started = Action(verb=Verb.START, key=pipeline.key, client_id=ulid(now), who="demo")
                await adapter.send(await adapter.prepare(started))
            except AdapterError:  # it runs already (the minute was full just now): no reason for an engine to end
                continue
