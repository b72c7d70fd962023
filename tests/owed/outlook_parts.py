"""A store with an outlook on it: pipelines, their past runs, and what is said of tonight's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.base import Listing
from adapters.model import Mode, Pipeline, Run, Severity, State, pipeline_key
from engine.context import Context
from engine.owed.bound import Bound
from engine.owed.history import DayClass, day_class
from engine.owed.matching import RunFact
from engine.owed.occurrences import Occurrence, Promise
from engine.owed.outlook import Outlook, Said
from engine.owed.predict import Risk
from engine.store import pipelines, runs
from engine.store.runs import RunChange
from tests.tui.stores import DAY, MINUTE, House

MIXED = (44, 61, 41, 47, 38, 45, 52, 42, 43, 74, 40, 46, 55, 41, 44, 49, 42, 45, 43, 48)
"""The worked example's history in an order that has no trend: p50 44.5, p90 55.6 minutes."""
START, DUE = "05:00", "06:00"


def at(words: str, day: int = 20) -> int:
    """UTC on Fri 20 Nov 2026."""
    hours, minutes, *seconds = (int(w) for w in words.split(":"))
    return int(datetime(2026, 11, day, hours, minutes, *seconds, tzinfo=UTC).timestamp() * 1000)


class Night:
    """A house with an outlook on it."""

    def __init__(self, folder: Path, now: str = "04:00") -> None:
        self.house = House(folder, at(now))
        self.source("etl")
        self.asked: list[str] = []
        self.ctx = self.context()
        self.outlook = Outlook(self.ctx)

    def context(self) -> Context:
        nothing: Any = None
        return Context(
            clock=self.house.clock, store=self.house.store, config=nothing, places=nothing, adapters={}, source_ids=self.house.ids,
            poll_soon=lambda name: None, log=lambda line: None, look_soon=self.asked.append,
        )  # fmt: skip

    def source(self, name: str, **more: Any) -> None:
        self.house.source(name, kind="local", **more)

    def pipeline(self, name: str, schedule: str | None = None, mode: Mode = Mode.ACTIVE) -> str:
        key = pipeline_key("etl", name)
        item = Pipeline(key=key, name=name, schedule=schedule, timezone="UTC", mode=mode)
        with self.house.tx() as tx:
            pipelines.apply_pipelines(tx, self.house.ids["etl"], Listing([item], complete=False), [])
        return key

    def took(self, key: str, minutes: Sequence[float], start: str = START, last_day: int = 19, **more: Any) -> None:
        """Finished runs, one on each weekday that is no month-end, the last on the 19th (Thursday)."""
        found: list[Run] = []
        day = at(start, last_day)
        for n, ran in enumerate(reversed(minutes)):
            moment = datetime.fromtimestamp(day / 1000, UTC)
            found.append(
                self.one(
                    key,
                    f"h{n:03d}-{day}",
                    State.SUCCESS,
                    day,
                    day + round(ran * MINUTE),
                    moment.date().isoformat(),
                    **more,
                )
            )
            day -= DAY
            while day_class(datetime.fromtimestamp(day / 1000, UTC).date()) is not DayClass.WEEKDAY:
                day -= DAY
        self.seen(*found)

    def one(
        self,
        key: str,
        name: str,
        state: State,
        started: int | None,
        ended: int | None = None,
        date: str | None = "2026-11-20",
        **more: Any,
    ) -> Run:
        return Run(
            key=f"{key}/{name}",
            native=state.name.lower(),
            state=state,
            started=started,
            ended=ended,
            business_date=date,
            **more,
        )

    def seen(self, *found: Run) -> list[RunChange]:
        with self.house.tx() as tx:
            changes = runs.apply_runs(tx, self.house.ids["etl"], found, self.house.now)
            self.outlook.on_runs(tx, changes)
        return changes

    def edges(self, *edges: tuple[str, str]) -> None:
        with self.house.tx() as tx:
            self.outlook.configured(tx, [(a, b, "after") for a, b in edges])

    def say(
        self,
        key: str,
        when: str,
        found: Sequence[RunFact] = (),
        risk: Risk | None = None,
        tick: str | None = START,
        due: str = DUE,
        **more: Any,
    ) -> Said:
        self.house.clock.at = at(when)
        bound = bind(key, **{k: more.pop(k) for k in ("expected_ms", "warn") if k in more})
        one = occurrence(key, None if tick is None else at(tick), at(due), **more)
        with self.house.tx() as tx:
            said = self.outlook.say(tx, bound, one, found, self.house.now, risk or Risk())
        assert said is not None
        return said


def bind(key: str, type: str = "finish_by", **more: Any) -> Bound:
    return Bound(
        id=1,
        promise=Promise(id="p", type=type, on=key),
        severity=Severity.HIGH,
        words="finish by 06:00",
        pipeline_id=1,
        **more,
    )


def occurrence(thing: str, tick: int | None, due: int, **more: Any) -> Occurrence:
    one = Occurrence(
        key=f"p|{thing}|2026-11-20", promise="p", type="finish_by", on=thing, zone="UTC", business_date="2026-11-20", tick=tick,
        from_at=due - DAY, declared_at=due, due_at=due, alert_at=due, dated=True, by_clock=True,
    )  # fmt: skip
    return replace(one, **more)


def fact(run: str, state: State, started: str, ended: str | None = None, attempt: int = 1) -> RunFact:
    return RunFact(
        key=run,
        state=state,
        attempt=attempt,
        business_date="2026-11-20",
        started=at(started),
        ended=None if ended is None else at(ended),
    )
