"""Ninety dates of a few pipelines, each with another kind of hole in it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from adapters.model import Health, Owed, Run, RunKind, State, Verb, pipeline_key, run_key
from engine.config.model import PipelineRule
from tests.tui.owed_stores import owe
from tests.tui.stores import ALL_VERBS, DAY, HOUR, MINUTE, NOW, House

TODAY = date(2026, 11, 20)
FAILED_AT = ("2026-10-14", "2026-11-03")
MISSING_AT = ("2026-11-09", "2026-11-10", "2026-11-12")


def day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


def ran(source: str, native: str, when: str, state: State, name: str = "", *, dated: bool = True, **more) -> Run:
    """A run for that date, begun at five in the morning of the day after."""
    ago = (TODAY - date.fromisoformat(when)).days
    started = NOW - 52 * MINUTE - (ago - 1) * DAY + more.pop("later", 0)
    return Run(
        key=run_key(pipeline_key(source, native), name or f"r{when}"), state=state, native=state.name.lower(), started=started,
        ended=None if state.active else started + 20 * MINUTE, kind=more.pop("kind", RunKind.SCHEDULED),
        business_date=when if dated else None, **more,
    )  # fmt: skip


def story(folder: Path) -> House:
    h = House(folder)
    h.engine()
    h.source("prod", offers=ALL_VERBS | {Verb.BACKFILL})
    h.source("plain", "local", environment="", protected=False, why_not={"backfill": "a job of this host has no dates"})
    h.source("dark", ok_ago=3 * DAY, health=Health.UNREACHABLE, since_ago=3 * DAY)
    for name, layer in (("daily_sales", "RDV"), ("fx_rates", "LDZ"), ("hourly_clicks", "LDZ"), ("new_report", "BI")):
        h.pipeline("prod", name, rule=PipelineRule(match=f"prod:{name}", layer=layer))
    h.pipeline("plain", "cleanup", rule=PipelineRule(match="plain:cleanup", layer="OPS"))
    h.pipeline("dark", "segments", rule=PipelineRule(match="dark:segments", layer="ML"))
    sales: list[Run] = []
    for ago in range(1, 110):
        when = day(ago)
        weekend = date.fromisoformat(when).weekday() >= 5
        if weekend or when in MISSING_AT:
            continue
        state = State.FAILED if when in FAILED_AT else State.SUCCESS
        sales.append(ran("prod", "daily_sales", when, state))
    sales.append(ran("prod", "daily_sales", "2026-10-14", State.FAILED, "again", later=2 * HOUR, kind=RunKind.MANUAL))
    sales.append(ran("prod", "daily_sales", "2026-10-14", State.SUCCESS, "fill", later=9 * DAY, kind=RunKind.BACKFILL))
    h.runs("prod", sales)
    key = "prod:daily_sales"
    for when in MISSING_AT:
        ago = (TODAY - date.fromisoformat(when)).days
        state = Owed.WAIVED if when == MISSING_AT[-1] else Owed.BREACHED
        owe(h, key, due_in=-(ago - 1) * DAY, state=state, missed=state is Owed.BREACHED, date=when, now=False)
    owe(
        h,
        key,
        due_in=-10 * DAY + HOUR,
        state=Owed.MET_LATE,
        met_in=-9 * DAY - 2 * HOUR,
        date=day(14),
        run=f"r{day(14)}",
        now=False,
    )
    owe(h, key, due_in=HOUR, state=Owed.PENDING, date=day(0))
    h.runs("prod", [ran("prod", "fx_rates", day(ago), State.SUCCESS) for ago in range(2, 60)])
    h.runs("prod", [ran("prod", "fx_rates", day(1), State.RUNNING)])
    h.runs(
        "prod",
        [
            ran("prod", "hourly_clicks", day(ago), State.FAILED if (ago, hour) == (3, 4) else State.SUCCESS, f"{ago}-{hour}", later=hour * HOUR - 23 * HOUR)
            for ago in range(1, 20) for hour in range(24)
        ],
    )  # fmt: skip
    h.runs("plain", [ran("plain", "cleanup", day(ago), State.SUCCESS, dated=False) for ago in range(1, 15)])
    h.runs("dark", [ran("dark", "segments", day(ago), State.SUCCESS) for ago in range(4, 50) if ago % 7])
    return h
