"""Whatever comes, and however often the engine starts anew, a number owes what a simple reckoning on paper says."""

from __future__ import annotations

import tempfile
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
    """What can be known of it. ``bad_at``: when it was seen to be bad last; ``good``: good readings in a row."""

    broken: bool = False
    since: int | None = None
    bad_ms: int = 0
    bad_at: int | None = None
    good: int = 0

    def look(self, now: int, t: int, value: float, fresh: bool, answered: bool) -> Paper:
        if value > (CLEAR if self.broken else ABOVE):
            more = 0 if self.bad_at is None else now - self.bad_at
            ms = self.bad_ms + more
            since = t if self.since is None else self.since
            return Paper(self.broken or ms >= FOR, since, ms, now if answered else None, 0)
        good = self.good + fresh
        if not self.broken:
            return Paper(good=good)
        return Paper(good=good) if good >= 2 else replace(self, bad_ms=0, bad_at=None, good=good)

    def dark(self) -> Paper:
        return replace(self, bad_at=None, good=0)

    def anew(self) -> Paper:
        """As the store has it: that it is broken, and since when."""
        return Paper(True, self.since) if self.broken else Paper()


class Stop(Exception):
    pass


class World:
    def __init__(self, folder: Path) -> None:
        rule = ValueRule(above=ABOVE, clear_at=CLEAR, for_ms=FOR)
        self.rule = expect("m", "series:lag", "metric", value=rule)
        self.floor = Court(folder, self.rule, series=(Series("lag", "air", "lag"),))
        self.minds = {Paper()}
        """More than one where a transaction was rolled back: what was only held in memory may be lost, or not."""
        self.reading: tuple[int, float] | None = None
        self.looked: int | None = None
        """The reading that was looked at last by this engine."""
        self.failing = False
        self.began = self.floor.now
        self.shown = "-"

    def step(self, what: Any) -> None:
        floor = self.floor
        floor.clock.at += STEP
        match what:
            case "restart":
                floor.restart()
                self._anew()
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
                self.reading, self.failing = (floor.now, LOW if what.endswith("low") else HIGH), False
                self._store()
                self._rolled_back()
                floor.clock.at += SECOND
                floor.tick()
                floor.clock.at += SECOND
            case _:
                self.reading, self.failing = (floor.now, what), False
                self._store()
        floor.tick()
        self._look()

    def _store(self, failed: bool = False) -> None:
        with self.floor.store.transaction() as tx:
            if failed:
                metrics.put_failed(tx, "air", "refused")
            elif self.reading is not None:
                found = Readings(samples=[Sample("lag", *self.reading)])
                metrics.put_readings(tx, "air", {"lag": ""}, found)

    def _rolled_back(self) -> None:
        try:
            with self.floor.store.transaction() as tx:
                self.floor.judge.tick(tx)
                raise Stop
        except Stop:
            pass
        lost = {mind.anew() for mind in self.minds}
        before, looked, minds = self.looked, self.looked, self.minds
        self._look(shown=False)
        kept = self.minds
        if {mind.broken for mind in kept} != {mind.broken for mind in minds} or self.shown == "UNKNOWN":
            self.minds, self.looked, self.began = (
                lost,
                None,
                self.floor.now,
            )  # it was written, so all of it is taken back
        else:
            self.minds, self.looked = kept | {m.look(self.floor.now, *self.reading, True, True) for m in lost}, looked  # type: ignore[misc]
            self.looked = self.reading[0] if self.reading else before

    def _anew(self) -> None:
        self.minds, self.looked, self.began = {mind.anew() for mind in self.minds}, None, self.floor.now

    def _look(self, shown: bool = True) -> None:
        now = self.floor.now
        if self.reading is not None and now - self.reading[0] <= OLD:
            t, value = self.reading
            fresh, self.looked = t != self.looked, t
            self.minds = {mind.look(now, t, value, fresh, not self.failing) for mind in self.minds}
            if shown:
                self.shown = ""
        elif self.looked is not None or now - self.began >= OLD:
            self.minds = {mind.dark() for mind in self.minds}
            if shown:
                self.shown = "UNKNOWN"

    def check(self) -> None:
        found = [r for r in self.floor.reader.owed(0, 1 << 60) if r.promise == "m"]
        open_now = [r for r in found if r.state.unsettled]
        assert len(open_now) <= 1, found
        assert all(r.state is Owed.MET_LATE for r in found if not r.state.unsettled), (
            "what is over was broken, and is well"
        )
        state = open_now[0].state.name if open_now else "-"
        if self.shown in ("UNKNOWN", "-"):
            assert state == self.shown
            return
        maybe = {"BREACHED" if mind.broken else "-" for mind in self.minds}
        assert state in maybe, (state, self.minds)
        self.minds = {mind for mind in self.minds if mind.broken == (state == "BREACHED")}
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
