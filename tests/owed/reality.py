"""What really happens in a random world: pipelines, their runs as their sources tell of them, files, signs of life, and what is owed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adapters import schedule as schedules
from adapters.model import Mode, Run, RunKind, State, Trigger, run_key
from engine.config.model import Expectation, Feed, PipelineRule, Source, Window
from engine.config.units import Moment
from engine.owed.calendar import BusinessCalendar
from engine.owed.holidays import read_text
from engine.store.facts import Arrived
from tests.owed.court import DAY, HOUR, MINUTE, SECOND, expect

PARIS, YORK, KOLKATA = "Europe/Paris", "America/New_York", "Asia/Kolkata"
STARTS = ("2026-11-18 15:00", "2026-10-24 15:00", "2027-03-27 15:00", "2026-10-31 20:00")
"""In Paris; the second and the third are before nights in which its clocks change, the fourth before New York's."""
BANK = BusinessCalendar(
    name="bank", zone=PARIS, weekdays=frozenset(range(7)),
    holidays=read_text("2026-11-19 Founders' day\n2026-10-26 Bridge day\n2027-03-29 Easter Monday", "x").holidays,
)  # fmt: skip
LIFE = 34 * HOUR


@dataclass
class Plan:
    """A pipeline as its source has it. ``usual``: minutes that a run takes."""

    source: str
    name: str
    schedule: str | None
    zone: str
    trigger: Trigger
    dated: bool
    usual: int
    after: tuple[str, ...] = ()
    title: str = ""
    mode: Mode = Mode.ACTIVE
    there: bool = True

    @property
    def key(self) -> str:
        return f"{self.source}:{self.name}"


@dataclass
class Story:
    """One run: what its source says of it, from when on."""

    key: str
    sights: list[tuple[int, Run]] = field(default_factory=list)
    told: int = 0
    lag: int = 0


class Reality:
    """What happens, whoever looks. ``calm``: nothing that the order of polls may change by right."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        rng = self.rng = random.Random(seed)
        text = rng.choice(STARTS)
        self.begin = int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PARIS)).timestamp()) * 1000
        self.end = self.begin + LIFE
        self.calm = calm
        self.sources = (
            Source(name="air", kind="airflow", timezone=PARIS, environment="prod"),
            Source(name="own", kind="talend", timezone=rng.choice((YORK, "UTC", KOLKATA)), environment="prod"),
        )
        self.stamped = {"air": True, "own": calm or rng.random() < 0.5}
        self.by_hand: set[str] = set()
        self.often: set[str] = set()
        self.plans: list[Plan] = []
        for n in range(rng.randint(3, 8)):
            self.plans.append(self._plan(n))
        self.stories: dict[str, list[Story]] = {s.name: [] for s in self.sources}
        for plan in self.plans:
            self._fates(plan)
        self.feed = Feed(name="eia", file="in/{business_date}.csv", feeds=(self.plans[0].key,), timezone=PARIS)
        self.arrivals = self._arrivals()
        self.beats = self._beats()
        day = datetime.fromtimestamp(self.begin / 1000, ZoneInfo(PARIS))
        self.windows = tuple(self._windows(day.hour))
        self.rules = tuple(self._rules())
        self.expectations = tuple(self._expectations())

    def zone_of(self, source: str) -> str:
        return next(s.timezone or "UTC" for s in self.sources if s.name == source)

    # --- pipelines ------------------------------------------------------------------------------------------------

    def _plan(self, n: int) -> Plan:
        rng = self.rng
        source = "air" if n == 0 or rng.random() < 0.7 else "own"
        zone = rng.choice((PARIS, PARIS, YORK, KOLKATA, "UTC"))
        minute, hour = rng.choice((0, 0, 15, 30, 59)), rng.choice((0, 1, 2, 3, 4, 5, 9, 23))
        kind = rng.random()
        schedule, trigger = f"{minute} {hour} * * *", Trigger.CRON
        if kind > 0.9:
            schedule, trigger = None, rng.choice((Trigger.EVENT, Trigger.UNKNOWN, Trigger.MANUAL))
        elif kind > 0.82:
            schedule, trigger = "every 3h", Trigger.INTERVAL
        elif kind > 0.72:
            schedule = f"{minute} * * * *"
        elif kind > 0.64:
            schedule = "*/20 * * * *"
        elif kind > 0.5:
            schedule = f"{minute} */6 * * *"
        after = (f"{rng.choice(self.plans).key}",) if n and rng.random() < 0.4 else ()
        return Plan(
            source=source, name=f"p{n}", schedule=schedule, zone=zone, trigger=trigger, dated=rng.random() < 0.6,
            usual=rng.choice((3, 12, 40, 75)), after=after, title=f"p{n}",
        )  # fmt: skip

    # --- runs -----------------------------------------------------------------------------------------------------

    def _fates(self, plan: Plan) -> None:
        rng = self.rng
        stories = self.stories[plan.source]
        ticks: list[int] = []
        if plan.schedule is not None:
            ticks = schedules.parse(plan.schedule, plan.zone).between(self.begin - 3 * HOUR, self.end)
        elif plan.trigger is not Trigger.MANUAL:
            at = self.begin - 10 * DAY
            while at < self.end:
                at += rng.randint(2, 9) * HOUR
                ticks.append(at)
        bad = rng.choice((0.15, 0.4, 0.75))
        often = len(ticks) > 12
        for tick in ticks:
            fate = "fine"
            if often and rng.random() < 0.15:
                fate = rng.choice(("never", "skipped", "fails", "warns", "quick", "early"))
            elif not often and tick > self.begin - 4 * HOUR and rng.random() < bad:
                fate = rng.choice(
                    (
                        "late",
                        "late",
                        "never",
                        "skipped",
                        "fails",
                        "again",
                        "rerun",
                        "long",
                        "early",
                        "warns",
                        "stopped",
                        "quick",
                    )
                )
            if fate != "never":
                stories.append(self._story(plan, tick, fate))
        if often:
            self.often.add(plan.key)
            return  # which tick a late run, or one by hand, is for would be anybody's guess
        for _ in range(rng.randint(0, 3)):  # by hand, and for other dates
            at = rng.randint(self.begin, self.end)
            stories.append(self._story(plan, at, "backfill" if rng.random() < 0.5 else "hand"))
            self.by_hand.add(plan.key)

    def _story(self, plan: Plan, tick: int, fate: str) -> Story:
        rng = self.rng
        zone = ZoneInfo(self.zone_of(plan.source))
        day = datetime.fromtimestamp(tick / 1000, zone).date()
        kind = RunKind.SCHEDULED
        if fate == "backfill":
            kind, day = RunKind.BACKFILL, day - timedelta(days=rng.randint(0, 3))
        elif fate == "hand":
            kind = RunKind.MANUAL
        bdate: str | None = day.isoformat() if plan.dated else None
        if fate == "hand" and rng.random() < 0.5:
            bdate = None
        begun = tick + rng.randint(0, 200) * SECOND
        if fate == "late":
            begun = tick + rng.randint(5, 180) * MINUTE
        elif fate == "early":
            begun = tick - rng.randint(30, 110) * SECOND  # within the tolerance of a tick every 20 minutes
        took = int(plan.usual * MINUTE * rng.uniform(0.8, 1.2))
        if fate == "long":
            took = int(took * rng.uniform(2, 9))
        elif fate == "quick":
            took //= 6
        story = Story(run_key(plan.key, f"{fate}-{tick // 1000}-{rng.randint(0, 999)}"))
        story.lag = 0 if rng.random() < 0.85 else rng.randint(1, 110) * MINUTE
        base: dict[str, Any] = {"kind": kind, "business_date": bdate}
        queued = begun - rng.randint(0, 60) * SECOND

        def say(at: int, state: State, **more: Any) -> None:
            stamp = at if self.stamped[plan.source] else None
            story.sights.append(
                (at, Run(key=more.pop("key", story.key), native=state.name.lower(), state=state, source_updated=stamp, queued=queued, **base, **more))
            )  # fmt: skip

        if fate == "skipped":
            say(begun, State.SKIPPED)
            return story
        if rng.random() < 0.5:
            say(queued, State.QUEUED)
        say(begun, State.RUNNING, started=begun)
        last = {
            "fails": State.FAILED,
            "again": State.FAILED,
            "rerun": State.FAILED,
            "warns": State.WARNING,
            "stopped": State.STOPPED,
        }
        over = begun + took
        if fate == "fails" and rng.random() < 0.2:
            say(begun + took // 2, State.RETRYING, started=begun)
        say(over, last.get(fate, State.SUCCESS), started=begun, ended=over)
        if fate == "again":
            anew = over + rng.randint(1, 300) * MINUTE
            say(anew, State.RUNNING, started=anew, attempt=2)
            ends = anew + took
            say(ends, rng.choice((State.SUCCESS, State.SUCCESS, State.FAILED)), started=anew, ended=ends, attempt=2)
        elif fate == "rerun":
            anew = over + rng.randint(1, 120) * MINUTE
            other = Story(story.key + "-again", lag=story.lag)
            base = {**base, "kind": RunKind.RERUN, "rerun_of": story.key}
            queued = anew
            keep, story.sights = story.sights, other.sights
            say(anew, State.RUNNING, started=anew, key=other.key)
            say(anew + took, State.SUCCESS, started=anew, ended=anew + took, key=other.key)
            story.sights = keep
            self.stories[plan.source].append(other)
        return story

    def past(self, plan: Plan) -> list[Run]:
        """Twenty runs of the last weeks, as history."""
        found: list[Run] = []
        if plan.schedule is None:
            return found
        zone = ZoneInfo(self.zone_of(plan.source))
        ticks = schedules.parse(plan.schedule, plan.zone).between(self.begin - 21 * DAY, self.begin - 4 * HOUR)[-22:]
        rng = random.Random(plan.key)
        for tick in ticks:
            over = tick + int(plan.usual * MINUTE * rng.uniform(0.8, 1.25))
            bdate = datetime.fromtimestamp(tick / 1000, zone).date().isoformat() if plan.dated else None
            found.append(
                Run(
                    key=run_key(plan.key, f"past-{tick // 1000}"), native="success", state=State.SUCCESS, started=tick, ended=over,
                    source_updated=over if self.stamped[plan.source] else None, business_date=bdate, backfilled=True,
                )
            )  # fmt: skip
        return found

    # --- what comes from outside ------------------------------------------------------------------------------------

    def _arrivals(self) -> list[tuple[int, Arrived]]:
        rng, found = self.rng, list[tuple[int, Arrived]]()
        day = datetime.fromtimestamp(self.begin / 1000, ZoneInfo(PARIS)).date()
        for n in range(3):
            the = day + timedelta(days=n)
            if rng.random() < 0.2:
                continue
            midnight = int(datetime(the.year, the.month, the.day, tzinfo=ZoneInfo(PARIS)).timestamp()) * 1000
            at = midnight + rng.randint(-60, 600) * MINUTE
            dated = int(the.strftime("%Y%m%d")) if rng.random() < 0.7 else None
            found.append((at + rng.choice((0, 0, 40)) * MINUTE, Arrived(f"in/{the}.csv", at, dated, 10)))
        return found

    def _beats(self) -> list[tuple[int, str]]:
        rng, found, at = self.rng, list[tuple[int, str]](), self.begin
        while at < self.end:
            at += rng.choice((30, 60, 100, 100, 200, 400)) * MINUTE
            found.append((at, rng.choice(("ok", "ok", "ok", "fail", "start"))))
        return found

    # --- configuration ------------------------------------------------------------------------------------------------

    def _windows(self, hour: int) -> list[Window]:
        rng, found = self.rng, list[Window]()
        if rng.random() < 0.5:
            found.append(
                Window(
                    name="patch", on=rng.choice(("*", self.plans[0].key)), kind="maintenance", start=Moment(minute=rng.choice((90, 120, 330))),
                    end=Moment(minute=rng.choice((240, 400))), timezone=PARIS, expect="shift",
                )
            )  # fmt: skip
        if rng.random() < 0.3:
            found.append(
                Window(
                    name="move", on=self.plans[-1].key, kind="freeze", start=Moment(minute=0), duration_ms=3 * HOUR, timezone=YORK, expect="waive",
                )
            )  # fmt: skip
        return found

    def _rules(self) -> list[PipelineRule]:
        rng = self.rng
        found = [PipelineRule(match=self.plans[0].key, after=("feed:eia",), application="sales")]
        if not self.calm and rng.random() < 0.6:
            found.append(PipelineRule(match=rng.choice(self.plans).key, done_when=("rows",)))
        return found

    def _expectations(self) -> list[Expectation]:
        rng = self.rng
        found: list[Expectation] = []
        for n, plan in enumerate(self.plans):
            on = plan.key
            zone = rng.choice((PARIS, plan.zone))
            due = rng.choice((30, 150, 180, 360, 420, 720, 1410))
            more: dict[str, Any] = {"timezone": zone, "alert_if_late_by_ms": rng.choice((0, 0, 15 * MINUTE))}
            if rng.random() < 0.25:
                more["calendar"] = "bank"
            if rng.random() < 0.7:
                found.append(expect(f"fin{n}", on, due=due, **more))
            if rng.random() < 0.4 and plan.schedule:
                found.append(expect(f"aft{n}", on, due_after_schedule_ms=rng.choice((20, 60, 150)) * MINUTE, **more))
            if rng.random() < 0.4:
                by: dict[str, Any] = {} if plan.schedule and rng.random() < 0.7 else {"due": due}
                found.append(expect(f"sta{n}", on, "start_by", **by, **more))
            if rng.random() < 0.4:
                found.append(expect(f"max{n}", on, "max_duration", limit_ms=int(plan.usual * 2.5 * MINUTE), **more))
            if rng.random() < 0.3:
                found.append(expect(f"odd{n}", on, "duration_anomaly", **more))
            if plan.after and rng.random() < 0.7 and plan.key not in self.by_hand:
                found.append(expect(f"seq{n}", on, "sequence", after=plan.after[0], **more))
        found.append(
            expect(
                "set", "set:set", "completeness", due=rng.choice((420, 600)), of=(rng.choice(("air:*", "*", "own:p*")),)
            )
        )
        found.append(expect("beat", "ping:backup", "heartbeat", max_age_ms=2 * HOUR))
        found.append(
            expect(
                "eia", "feed:eia", "source_arrival", due=rng.choice((60, 300)), margin_ms=rng.choice((0, 10)) * MINUTE
            )
        )
        return found
