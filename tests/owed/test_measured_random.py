"""Whatever comes, and however often the engine starts anew, a number owes what a simple reckoning on paper says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.extras import Readings
from adapters.model import Owed, Sample
from engine.config.model import Series, ValueRule
from engine.store import metrics
from tests.owed.court import MINUTE, SECOND, Court, expect

ABOVE, CLEAR, FOR = 100.0, 50.0, 45 * SECOND
STEP = 15 * SECOND
POLL = BUCKET = 10 * SECOND
OLD = MINUTE
LOW, MID, HIGH = 20.0, 70.0, 150.0
STEPS = st.lists(
    st.sampled_from(
        [LOW, LOW, MID, HIGH, HIGH, HIGH, "fails", "fails", "silence", "restart", "reload", "rollback low", "rollback high"]
    ),
    min_size=20,
    max_size=60,
)  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """What can be known of it. ``bad_at``: when it was seen to be bad last; ``good``: good readings in a row; ``looked``: the reading
    that this engine, which began then, looked at last; ``shown``: the row that is open."""

    broken: bool = False
    since: int | None = None
    bad_ms: int = 0
    bad_at: int | None = None
    good: int = 0
    looked: int | None = None
    began: int = 0
    shown: str = "-"

    def look(self, now: int, told: Sequence[tuple[int, float]], answered: bool) -> Paper:
        reading = told[-1] if told else None
        if reading is None or now - reading[0] > OLD:
            if self.looked is None and now - self.began < OLD:
                return self  # the first answer is on its way
            return replace(self, bad_at=None, good=0, shown="UNKNOWN")
        t, value = reading
        if value > (CLEAR if self.broken else ABOVE):
            ms = self.bad_ms + (0 if self.bad_at is None else now - self.bad_at)
            since = t if self.since is None else self.since
            if self.looked is None and self.since is None:  # as the engines before it saw it
                ms = held(now - t) if answered else 0
                for before, had in reversed(told[:-1]):
                    if had <= ABOVE or ms >= FOR:
                        break
                    closed = min(before // BUCKET * BUCKET + BUCKET, since)
                    ms, since = ms + held(since - closed, BUCKET), closed
            broken = self.broken or ms >= FOR
            return Paper(broken, since, ms, now if answered else None, 0, t, self.began, "BREACHED" if broken else "-")
        good = self.good + (t != self.looked)
        if self.broken and good < 2:
            return replace(self, bad_at=None, good=good, looked=t, shown="BREACHED")
        return Paper(good=good, looked=t, began=self.began)

    def anew(self, now: int) -> Paper:
        """As the store has it: that it is broken, and since when; what was not yet is to be read of the readings."""
        return Paper(self.broken, self.since if self.broken else None, began=now, shown=self.shown)


def held(gap: int, bucket: int = 0) -> int:
    """How much of the time to the next reading one stands for."""
    return gap if gap <= POLL * 3 // 2 + bucket else POLL


class Stop(Exception):
    pass


class World:
    def __init__(self, folder: Path) -> None:
        rule = ValueRule(above=ABOVE, clear_at=CLEAR, for_ms=FOR)
        self.rule = expect("m", "series:lag", "metric", value=rule)
        self.floor = Court(folder, self.rule, series=(Series("lag", "air", "lag"),))
        self.minds = {Paper(began=self.floor.now)}
        """More than one where a transaction was rolled back: what was only held in memory may be lost, or not."""
        self.told: list[tuple[int, float]] = []
        self.failing = False

    def step(self, what: Any) -> None:
        floor = self.floor
        floor.clock.at += STEP
        match what:
            case "restart":
                floor.restart()
                self.minds = {mind.anew(floor.now) for mind in self.minds}
                floor.clock.at += SECOND  # it looks a moment after it was bound
            case "reload":
                floor.reload(replace(self.rule, severity=self.rule.severity, runbook="other.md"))
                floor.reload(self.rule)
            case "fails":
                self.failing = True
                self._store(failed=True)
            case "silence":
                pass
            case str():
                self.failing = False
                self.told.append((floor.now, LOW if what.endswith("low") else HIGH))
                self._store()
                self._rolled_back()
                floor.clock.at += SECOND
                floor.tick()
                floor.clock.at += SECOND
            case _:
                self.failing = False
                self.told.append((floor.now, what))
                self._store()
        floor.tick()
        self.minds = {mind.look(floor.now, self.told, not self.failing) for mind in self.minds}

    def _store(self, failed: bool = False) -> None:
        with self.floor.store.transaction() as tx:
            if failed:
                metrics.put_failed(tx, "air", "refused")
            else:
                found = Readings(samples=[Sample("lag", *self.told[-1])])
                metrics.put_readings(tx, "air", {"lag": ""}, found)

    def _rolled_back(self) -> None:
        try:
            with self.floor.store.transaction() as tx:
                self.floor.judge.tick(tx)
                raise Stop
        except Stop:
            pass
        now, minds = self.floor.now, set[Paper]()
        for mind in self.minds:
            after = mind.look(now, self.told, True)
            minds.add(mind.anew(now + SECOND))
            if after.shown == mind.shown:  # nothing had to be written, so nothing may have been taken back
                minds.add(after)
        self.minds = minds

    def check(self) -> None:
        found = [r for r in self.floor.reader.owed(0, 1 << 60) if r.promise == "m"]
        open_now = [r for r in found if r.state.unsettled]
        assert len(open_now) <= 1, found
        assert all(r.state is Owed.MET_LATE for r in found if not r.state.unsettled), (
            "what is over was broken, and is well"
        )
        state = open_now[0].state.name if open_now else "-"
        assert state in {mind.shown for mind in self.minds}, (state, self.minds)
        self.minds = {mind for mind in self.minds if mind.shown == state}
        if state == "BREACHED":
            assert open_now[0].since in {mind.since for mind in self.minds}


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(STEPS)
def test_it_is_as_on_paper(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="court-") as name:
        world = World(Path(name))
        try:
            for n, step in enumerate(steps):
                world.step(step)
                try:
                    world.check()
                except AssertionError as error:
                    raise AssertionError(f"after {steps[: n + 1]}: {error}") from error
        finally:
            world.floor.close()
