"""The first round of a demo: nothing that cannot be started ends its engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from adapters.errors import Conflict
from adapters.model import Trigger
from engine.demo.life import first_round


class Jobs:
    """Two jobs due every minute; the first runs already (the engine before was killed, or the minute was just full)."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def runs(self, since: object) -> Any:
        return SimpleNamespace(runs=[SimpleNamespace(generated=True)])

    async def pipelines(self) -> Any:
        made = [SimpleNamespace(key=f"local:{n}", schedule="*/1 * * * *", trigger=Trigger.CRON) for n in ("one", "two")]
        return SimpleNamespace(items=made)

    async def prepare(self, action: Any) -> Any:
        if action.key == "local:one":
            raise Conflict("one is running already (run r1)")
        return action

    async def send(self, prepared: Any) -> None:
        self.sent.append(prepared.key)


async def test_a_job_that_runs_already_does_not_end_the_engine() -> None:
    jobs = Jobs()
    await first_round(jobs, 1_700_000_000_000)  # type: ignore[arg-type]
    assert jobs.sent == ["local:two"]
