"""What the tests of measured values share: what is owed, so many answers, nothing but time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.config.model import Expectation, Series, ValueRule
from tests.owed.court import SECOND, Court, expect

Made = Callable[..., Court]
LAG = Series("lag", "air", "lag", "messages")
CALLS = Series("calls", "air", "calls", "calls")
ROWS = Series("n_rows", "air", "n_rows", "rows")


def courts(folder: Path) -> Iterator[Made]:
    """Makes courts of what is owed; they measure LAG unless told otherwise."""
    made: list[Court] = []

    def make(*expectations: Any, series: tuple[Series, ...] = (LAG,), **more: Any) -> Court:
        made.append(Court(folder, *expectations, series=series, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def owes(id: str = "m", on: str = "series:lag", type: str = "metric", late: int = 0, **rule: Any) -> Expectation:
    if type not in ("metric", "resource"):
        rule.setdefault("for_ms", 0)
    return expect(id, on, type, value=ValueRule(**rule), alert_if_late_by_ms=late)


def say(floor: Court, times: int = 1, every: int = 15 * SECOND, **said: float | None) -> None:
    """So many answers."""
    for _ in range(times):
        floor.clock.at += every
        floor.measure(**said)
        floor.tick()


def wait(floor: Court, ms: int, every: int = 15 * SECOND) -> None:
    """Nothing but time."""
    until = floor.now + ms
    while floor.now < until:
        floor.clock.at = min(floor.now + every, until)
        floor.tick()


def waive(floor: Court, key: str, until: int | None = None) -> None:
    floor.put(
        "INSERT INTO waiver (occurrence, who, uid, reason, until, at) VALUES (?, 'ana', 1, 'agreed', ?, ?)", key, until, floor.now
    )  # fmt: skip
    with floor.store.transaction() as tx:
        floor.judge.on_waived(tx, key)


def states(floor: Court, promise: str = "m") -> list[str]:
    return [s.name for _, s in floor.all(promise)]
