"""A random world for the judge: sources, their runs, people and trouble, all from one seed; and what must be true of it at any time.

What really happens is drawn first (``tests.owed.reality``); how it is polled, in which order and with which gaps, is drawn apart (``order``).
So the same facts can be told in another order.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.base import Listing
from adapters.model import Health, Mode, Owed, Pipeline, Run, State
from engine.alerts import Alerts
from engine.config.model import Check, Config, Expectation
from engine.context import Context
from engine.facts.checks import Checks, Said
from engine.owed.judge import Judge
from engine.owed.live import Live
from engine.owed.outlook import Outlook
from engine.store import facts as outside
from engine.store import runs, sources
from engine.store.facts import FAILED, PASSED
from engine.store.writer import Store, Tx
from tests.owed.court import MINUTE, SECOND
from tests.owed.reality import BANK, PARIS, Plan, Reality
from tests.store.rig import Still


class RolledBack(Exception):
    """The disk, in the middle of a transaction."""


class World:
    """A store, and the engine's part that lives on what ``Reality`` shows of itself."""

    def __init__(self, folder: Path, seed: int, *, order: int = 0, calm: bool = False) -> None:
        self.seed, self.folder, self.calm = seed, folder, calm
        self.real = Reality(seed, calm=calm)
        self.rng = random.Random(seed * 1000 + order + 7)
        self.clock = Still(self.real.begin)
        self.kept: list[Expectation] = []
        self.config = Config(
            path=folder / "watchfloor.toml", folder=folder, hash="1", timezone=PARIS, expectations=self.real.expectations, sources=self.real.sources,
            windows=self.real.windows, pipelines=self.real.rules, feeds=(self.real.feed,), calendars={"bank": BANK}, checks=(Check(name="rows"),),
        )  # fmt: skip
        self.looked = {s.name: 0 for s in self.config.sources}
        """When each source was last seen whole, by us."""
        self.blind: dict[str, int] = {}
        self.history = [p for p in self.real.plans if self.rng.random() < 0.7] if not calm else list(self.real.plans)
        self.log: list[str] = []
        self.trace: list[str] = []
        self.dues: dict[str, int] = {}
        self.states: dict[str, tuple[int, int]] = {}
        self.wrong: list[str] = []
        self._life()

    def note(self, words: str) -> None:
        self.trace.append(f"{self.now} {words}")

    @property
    def now(self) -> int:
        return self.clock.at

    def _life(self) -> None:
        self.store = Store.open(self.folder / "floor.db", self.clock)
        with self.store.transaction() as tx:
            self.ids = sources.sync_sources(
                tx,
                [
                    sources.SourceRecord(name=s.name, kind=s.kind, environment=s.environment)
                    for s in self.config.sources
                ],
            )
        self.ctx = Context(
            self.clock, self.store, self.config, None, {}, self.ids, lambda name: None, self.log.append,  # type: ignore[arg-type]
        )  # fmt: skip
        self.alerts = Alerts(self.ctx)
        outlook = Outlook(self.ctx)
        self.judge = Judge(self.ctx, self.alerts, outlook, Live(self.ctx, outlook))
        self.checks = Checks(self.ctx, self.judge)
        self.listed: set[str] = set()
        with self.store.transaction() as tx:
            outside.put_feeds(tx, self.config.feeds)
            self.judge.configured(tx)

    def restart(self) -> None:
        self.store.close()
        self._life()

    def close(self) -> None:
        self.store.close()

    # --- what the engine does ------------------------------------------------------------------------------------------

    def list(self, source: str) -> None:
        items = [
            Pipeline(key=p.key, name=p.title, schedule=p.schedule, timezone=p.zone, trigger=p.trigger, mode=p.mode, after=p.after)
            for p in self.real.plans
            if p.source == source and p.there
        ]  # fmt: skip
        with self.store.transaction() as tx:
            told = runs.apply_pipelines(tx, self.ids[source], Listing(items, True), self.config.pipelines)
            if "pipeline" in tx.bumped or source not in self.listed:
                self.listed.add(source)
                self.judge.on_pipelines(tx, source, told)

    def take(self, source: str, seen: list[Run], *, broken: bool = False) -> None:
        with self.store.transaction() as tx:
            changes = runs.apply_runs(tx, self.ids[source], seen, self.now)
            self.alerts.on_runs(tx, changes)
            if changes:
                self.checks.on_runs(tx, changes)
                self.judge.on_runs(tx, changes)
            if broken:
                raise RolledBack

    def pages(self, source: str, *, whole: bool = False) -> list[list[Run]]:
        """What the source says now that it did not say before; older words again, now and then."""
        found: list[list[Run]] = []
        away = {p.key for p in self.real.plans if not p.there}
        for story in self.real.stories[source]:
            if story.key.partition("/")[0] in away:
                continue
            lag = 0 if whole else story.lag
            ready = [n for n, (at, _) in enumerate(story.sights) if at + lag <= self.now]
            upto = len(ready)
            fresh = [run for _, run in story.sights[story.told : upto]]
            if fresh and not self.calm and self.rng.random() < 0.7:
                fresh = [
                    run
                    for n, run in enumerate(fresh)
                    if n == len(fresh) - 1 or (run.attempt < fresh[-1].attempt and run.state.terminal)
                ]
            if not fresh and story.told and self.rng.random() < 0.02:
                again = story.sights[self.rng.randrange(story.told)][1]
                if self.real.stamped[source] and not (
                    again.attempt == 1 and story.sights[story.told - 1][1].attempt > 1
                ):
                    fresh = [again]
                    upto = story.told
            for n, run in enumerate(fresh):
                while len(found) <= n:
                    found.append([])
                found[n].append(run)
            if fresh:
                story.told = max(story.told, upto)
        for page in found:
            self.rng.shuffle(page)
        return found

    def poll(self, source: str, *, whole: bool = False, listing: bool = True) -> None:
        began = self.now
        if listing:
            self.list(source)
        told = [s.told for s in self.real.stories[source]]
        try:
            for n, page in enumerate(self.pages(source, whole=whole)):
                broken = not whole and self.rng.random() < 0.02
                if broken:
                    self.note(f"rolled back page {n} of {source}")
                self.take(source, page, broken=broken)
        except RolledBack:
            for story, n in zip(self.real.stories[source], told, strict=True):
                story.told = n  # asked again, some of it twice
            return
        self.looked[source] = began
        self.judge.seen(source, began)

    def beat(self, *, broken: bool = False) -> None:
        with self.store.transaction() as tx:
            for name, at in self.looked.items():
                fresh = name not in self.blind
                fields: dict[str, Any] = {"last_ok": at} if at else {}
                health = (Health.FRESH if fresh else Health.UNREACHABLE) if at else Health.NEVER
                sources.put_health(tx, self.ids[name], health=int(health), latency_ms=0, **fields)
            self.judge.tick(tx)
            self.alerts.tick(tx)
            if broken:
                raise RolledBack

    def outside(self, until: int) -> None:
        """Files, signs of life, checks."""
        while self.real.arrivals and self.real.arrivals[0][0] <= until:
            _, one = self.real.arrivals.pop(0)
            with self.store.transaction() as tx:
                outside.put_arrivals(tx, "eia", [one])
                outside.put_looked(tx, "eia", self.now, None, tell=True)
                self.judge.on_arrival(tx, "eia")
        with self.store.transaction() as tx:
            outside.put_looked(tx, "eia", self.now, None, tell=False)
        while self.real.beats and self.real.beats[0][0] <= until:
            _, what = self.real.beats.pop(0)
            if self.real.beats and self.real.beats[0][0] <= until:
                continue  # two at one moment have no order
            with self.store.transaction() as tx:
                outside.put_beat(tx, "backup", what, "disk" if what == "fail" else None, "cron")
                self.judge.on_beat(tx, "backup")
        with self.store.transaction() as tx:
            due = outside.due_checks(tx, self.now)
        for one in due:
            passed = self.rng.random() < 0.4
            self.checks._keep(one, Said(PASSED if passed else FAILED, "so"))  # pyright: ignore[reportPrivateUsage]

    # --- what people and trouble do ---------------------------------------------------------------------------------------

    def happen(self) -> None:
        rng = self.rng
        what = rng.choice(("waive", "waive", "undo", "reload", "mode", "gone", "rename", "blind", "lost", "after"))
        if what == "waive":
            self.waive(rng.random() < 0.5)
        elif what == "undo":
            with self.store.transaction() as tx:
                keys = [k for (k,) in tx.db.execute("SELECT DISTINCT occurrence FROM waiver ORDER BY id").fetchall()]
                if keys:
                    key = rng.choice(keys)
                    self.note(f"undo {key}")
                    outside.end_waivers(tx, key)
                    self.judge.on_waived(tx, key)
        elif what == "reload":
            self.reload()
        elif what == "blind":
            self.blind[rng.choice(tuple(self.looked))] = self.now + rng.randint(5, 150) * MINUTE
            self.note(f"blind {self.blind}")
        elif what == "lost":
            self.lose()
        else:
            plan = rng.choice(self.real.plans)
            if what == "mode":
                plan.mode = Mode.PAUSED if plan.mode is Mode.ACTIVE else Mode.ACTIVE
            elif what == "gone":
                plan.there = not plan.there
            elif what == "after":
                plan.after = () if plan.after else (rng.choice(self.real.plans).key,)
            else:
                plan.title += "x"
            self.note(f"{what} {plan.key} {plan.mode.name} {plan.there}")

    def lose(self) -> None:
        """An active run that its source does not know for a while."""
        with self.store.transaction() as tx:
            found = [r for name in self.ids for r in runs.active_beyond(tx, self.ids[name], ())]
        if found:
            run = self.rng.choice(found)
            source = run.key.partition(":")[0]
            if source not in self.blind:
                self.note(f"lost {run.key}")
                self.take(source, [replace(run, native="lost", state=State.LOST)])
                for story in self.real.stories[source]:
                    if story.key == run.key and self.rng.random() < 0.7:
                        story.told = max(0, story.told - 1)  # seen again

    def waive(self, for_good: bool) -> None:
        with self.store.transaction() as tx:
            keys = [
                k for (k,) in tx.db.execute(
                    "SELECT o.key FROM occurrence o JOIN expectation e ON e.id = o.expectation_id WHERE o.state IN (0, 1, 4, 5, 7) AND e.gone = 0"
                    " ORDER BY o.key"
                ).fetchall()
            ]  # fmt: skip
            if not keys:
                return
            key = self.rng.choice(keys)
            if tx.db.execute(
                "SELECT 1 FROM waiver WHERE occurrence = ? AND (until IS NULL OR until > ?)", (key, tx.now)
            ).fetchone():
                return
            until = None if for_good else tx.now + self.rng.randint(5, 400) * MINUTE
            self.note(f"waive {key} {until}")
            outside.put_waiver(tx, key, "ana", 1, "known", until)
            self.judge.on_waived(tx, key)

    def reload(self) -> None:
        rng = self.rng
        now = list(self.config.expectations)
        what = rng.random()
        if self.kept and what < 0.5:
            now.append(self.kept.pop(rng.randrange(len(self.kept))))
            said = f"put back {now[-1].id}"
            self.dues = {key: due for key, due in self.dues.items() if not key.startswith(now[-1].id + "|")}
        elif what < 0.75 and len(now) > 2:
            self.kept.append(now.pop(rng.randrange(len(now))))
            said = f"took away {self.kept[-1].id}"
        else:
            n = rng.randrange(len(now))
            if now[n].due is not None:
                now[n] = replace(now[n], due=rng.choice((60, 200, 400, 800)))
            said = f"moved {now[n].id} to {now[n].due}"
        more: dict[str, Any] = {}
        if rng.random() < 0.15:
            more["windows"] = () if self.config.windows else self.real.windows
            said += " and windows"
        self.note(said)
        self.config = self.ctx.config = replace(self.config, expectations=tuple(now), **more)
        with self.store.transaction(full=True) as tx:
            outside.put_feeds(tx, self.config.feeds)
            self.judge.configured(tx)

    # --- life ---------------------------------------------------------------------------------------------------------------

    def step(self, ms: int) -> None:
        self.clock.at += ms
        rng = self.rng
        for name in [n for n, until in self.blind.items() if until <= self.now]:
            del self.blind[name]
        for source in rng.sample(tuple(self.looked), len(self.looked)):
            if source not in self.blind and rng.random() < 0.95:
                self.poll(source, listing=rng.random() < 0.5)
        if self.history and rng.random() < 0.2:
            plan = self.history.pop()
            self.past(plan)
        self.outside(self.now)
        try:
            self.beat(broken=rng.random() < 0.01)
        except RolledBack:
            self.note("rolled back a beat")

    def past(self, plan: Plan) -> None:
        """History comes as the poller brings it."""
        found = self.real.past(plan)
        if found:
            self.take(plan.source, found)

    def settle(self, tx_ticks: int = 8) -> None:
        """Everything is told, everything is seen, and time stands still."""
        self.blind.clear()
        self.clock.at += MINUTE
        for again in range(2):
            for source in self.looked:
                self.poll(source, whole=True)
            self.outside(self.now)
            self.clock.at += (1 - again) * 10 * SECOND
        for _ in range(tx_ticks):
            self.beat()


def as_opened(one: Any) -> Any:
    """An occurrence before anything was known of it."""
    return replace(
        one, state=one.opened_as, reason=one.why_opened, since=None, met_at=None, lateness_ms=None, missed=False, evidence=()
    )  # fmt: skip


def dump(tx: Tx) -> dict[str, tuple[Any, ...]]:
    """What the store says of everything that is owed, by key."""
    rows = tx.db.execute(
        "SELECT o.key, o.bdate, o.tick, o.from_at, o.declared_at, o.due_at, o.alert_at, o.flags, o.opened_as, o.state, o.since, o.met_at,"
        " o.lateness_ms, o.run, CASE WHEN o.state IN (0, 1, 5, 7) THEN '' ELSE o.reason END FROM occurrence o"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def states(tx: Tx) -> dict[str, Owed]:
    return {key: Owed(state) for key, state in tx.db.execute("SELECT key, state FROM occurrence").fetchall()}
