"""What the tests of alerts of what is owed share: one promise, what the judge says of it, and what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.model import Course, Owed, Severity, State
from engine.owed.bound import Bound, OwedChange
from engine.owed.history import Basis
from engine.owed.occurrences import Occurrence, Promise
from engine.owed.predict import Prediction
from tests.alerts.floor import MINUTE, Floor

DUE = 1_795_150_800_000  # 2026-11-20 06:00 in Paris
DATE = "2026-11-20"


def at(clock: str) -> int:
    hour, minute = clock.split(":")
    return DUE + (int(hour) * 60 + int(minute) - 360) * MINUTE


def said(course: Course = Course.RUNNING, p50: str = "06:14", p90: str = "06:26", **more: Any) -> Prediction:
    values: dict[str, Any] = {"late": 0.7, "latest_start": at("05:04"), "spread": None} | more
    basis = Basis(learnt=True, n=20)
    return Prediction(
        course, at("05:00"), at(p50), at(p90), values["late"], 9, 20, values["latest_start"], basis, values["spread"]
    )


class Owes:
    """One promise of one thing; ``to`` is what the judge would say when its occurrence changes."""

    def __init__(
        self, floor: Floor, on: str = "flow:daily", type: str = "finish_by", *, due: str = "06:00", id: int = 1,
        severity: Severity = Severity.HIGH, promise: str = "", **more: Any,
    ) -> None:  # fmt: skip
        self.floor = floor
        promise = promise or f"{type}-{on}"
        self.bound = Bound(
            id=id, promise=Promise(id=promise, type=type, on=on), severity=severity, words=f"{type} {due}", **more
        )
        self.one = Occurrence(
            key=f"{promise}|{on}|{DATE}", promise=promise, type=type, on=on, zone="Europe/Paris", business_date=DATE, tick=None,
            from_at=DUE - 86_400_000, declared_at=at(due), due_at=at(due), alert_at=at(due), dated=True, by_clock=True,
        )  # fmt: skip

    def change(self, state: Owed, reason: str = "", *, alerting: bool | None = None, **more: Any) -> OwedChange:
        occurrence = {k: more.pop(k) for k in ("met_at", "lateness_ms", "evidence") if k in more}
        before = self.one.state
        since = {Owed.BREACHED: self.one.due_at}.get(state)
        self.one = replace(self.one, state=state, reason=reason, since=since, **occurrence)
        told = state is Owed.BREACHED if alerting is None else alerting
        return OwedChange(bound=self.bound, occurrence_id=1, before=before, after=self.one, alerting=told, **more)

    def to(self, state: Owed, reason: str = "", **more: Any) -> None:
        give(self.floor, self.change(state, reason, **more))


def give(floor: Floor, *changes: OwedChange) -> None:
    with floor.store.transaction(full=True) as tx:
        floor.alerts.on_owed(tx, changes)


def sent(floor: Floor) -> None:
    """All that waits has been delivered."""
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE outbox SET state = 2, attempts = 1 WHERE state = 0")
        tx.db.execute("UPDATE alert SET told = 1 WHERE id IN (SELECT alert_id FROM outbox)")


def kinds(floor: Floor) -> list[str]:
    return [kind for _, kind, _ in floor.letters]


def titles(floor: Floor) -> list[str]:
    return [title for (title,) in floor.all("SELECT title FROM outbox ORDER BY created, id")]


def events(floor: Floor, what: str) -> list[str]:
    return [d for (d,) in floor.all("SELECT detail FROM alert_event WHERE what = ? ORDER BY id", what)]


def wait(floor: Floor, ms: int) -> None:
    for _ in range(0, ms, 1000):
        floor.clock.forward(1000)
        floor.tick()


def late_feed(floor: Floor) -> Owes:
    feed = Owes(floor, "feed:eia", "source_arrival", due="05:30", id=50)
    feed.to(Owed.BREACHED, "due 05:30: not arrived")
    sent(floor)
    return feed


def boards(floor: Floor, count: int, **more: Any) -> list[Owes]:
    return [Owes(floor, f"flow:board{n}", due="07:00", id=100 + n, **more) for n in range(count)]


def fail(floor: Floor, name: str = "r1") -> None:
    floor.poll(floor.run(State.FAILED, name, error="ORA-00001"))


def evening(folder: Path) -> Iterator[Floor]:
    """Sixteen minutes before the deadline, with fifty boards that nothing has happened to."""
    made = Floor(folder)
    made.clock.at = at("05:44")
    made.list("daily", "hourly", *(f"board{n}" for n in range(50)))
    yield made
    made.close()
