"""What it costs to open a day for 2,000 expectations, and to judge 200 of them. Process time of one core, median of rounds.

The day is the one after the clock went back, so that nothing of it is known from the round before: each round opens another
date. ``rows`` plays no part: judging knows nothing of history.
"""

from __future__ import annotations

import statistics
import time
from datetime import date, timedelta

from adapters.model import State
from adapters.schedule import parse
from bench.figure import Figure
from engine.owed.calendar import DAY_MS, BusinessCalendar, parse_days
from engine.owed.holidays import read_text
from engine.owed.matching import RunFact, match
from engine.owed.occurrences import Occurrence, Promise, open_between
from engine.owed.verdict import Facts, judge
from engine.owed.windows import Window

PROMISES = 2_000
CHANGED = 200
ROUNDS = 15
OPEN_BUDGET_MS = 30.0
JUDGE_BUDGET_MS = 5.0
_ZONES = ("Europe/Paris", "UTC", "America/New_York", "Asia/Kolkata")
_START = (date(2026, 11, 2) - date(1970, 1, 1)).days * DAY_MS + 43_200_000


def promises() -> list[Promise]:
    """A floor: half due by the clock, half after ticks of 500 different schedules, some with calendar and windows."""
    bank = BusinessCalendar(name="bank", zone="Europe/Paris", holidays=read_text("12-25\n01-01\n05-01", "x").holidays)
    patching = Window(name="p", start=120, end=240, zone="Europe/Paris", days=parse_days("sun"), expect="shift")
    found: list[Promise] = []
    for n in range(PROMISES):
        zone = _ZONES[n % 4]
        schedule = parse(f"{n % 60} {n % 7} * * *", zone)
        found.append(
            Promise(
                id=f"e{n}",
                type="finish_by" if n % 2 else "start_by",
                on=f"prod:p{n}",
                zone=zone,
                due=(n * 7) % 1440 if n % 2 else None,
                schedule=schedule,
                days=parse_days("mon-fri") if n % 3 == 0 else parse_days("daily"),
                calendar=bank if n % 5 == 0 else None,
                windows=(patching,) if n % 4 == 0 else (),
                late_by_ms=900_000,
            )
        )
    return found


def measure(rows: int) -> list[Figure]:
    owed = promises()
    opening: list[float] = []
    judging: list[float] = []
    opened: list[Occurrence] = []
    for n in range(ROUNDS):
        a = _START + n * DAY_MS
        began = time.process_time()
        opened = [one for promise in owed for one in open_between(promise, a, a + DAY_MS)]
        opening.append((time.process_time() - began) * 1000)
    day = date(1970, 1, 1) + timedelta(days=opened[0].due_at // DAY_MS)
    for n in range(ROUNDS):
        asked = opened[n * 50 : n * 50 + CHANGED]
        runs = [_runs(one, n + i) for i, one in enumerate(asked)]
        began = time.process_time()
        changed = 0
        for one, facts in zip(asked, runs, strict=True):
            mine = match((one,), facts).get(one.key, ())
            changed += judge(one, Facts(runs=mine, seen=one.due_at + 60_000), one.due_at + 60_000) is not one
        judging.append((time.process_time() - began) * 1000)
        assert changed >= CHANGED * 0.8, changed
    open_ms, judge_ms = statistics.median(opening), statistics.median(judging)
    note = f"{len(opened):,} occurrences about {day.isoformat()}, first round {opening[0]:.1f} ms"
    return [
        Figure(
            "owed: open a day, 2,000 expectations", open_ms, "ms", "≤ 30 ms", ok=open_ms <= OPEN_BUDGET_MS, note=note
        ),
        Figure("owed: match and judge 200 changed", judge_ms, "ms", "≤ 5 ms", ok=judge_ms <= JUDGE_BUDGET_MS),
    ]


def _runs(one: Occurrence, n: int) -> list[RunFact]:
    start = one.tick or one.from_at
    key = f"{one.on}/r{n}"
    state = (State.SUCCESS, State.FAILED, State.RUNNING, State.SUCCESS)[n % 4]
    ended = start + 1_800_000 if state.terminal else None
    return [
        RunFact(key=key, state=State.RUNNING, started=start, business_date=one.business_date, updated=start),
        RunFact(
            key=key, state=state, started=start, ended=ended, business_date=one.business_date, updated=start + 1_800_000
        ),
    ]
