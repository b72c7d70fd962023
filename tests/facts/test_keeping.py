from __future__ import annotations

from collections.abc import Callable

from engine.store import facts
from engine.store.facts import Arrived, Start
from tests.facts.kit import DAY, HOUR, NOW, House, a_run


class Nobody:
    def on_runs(self, *_: object) -> None: ...


def test_facts_are_forgotten_in_their_time(house: Callable[..., House]) -> None:
    h = house()
    h.see(Nobody(), a_run("1"))
    start = h.clock.at
    with h.store.transaction() as tx:
        facts.put_beat(tx, "backup", "ok", None, "ana")
        facts.put_arrivals(tx, "f", [Arrived("old", NOW - 500 * DAY, None, 1)])
        facts.put_margin(tx, "f", 20261118, NOW - HOUR, Start("a:p/1", NOW, 20261118))
        facts.open_checks(tx, 1, 1, ["x"])
        facts.open_checks(tx, 77, 1, ["of a run that was swept away"])

    def left() -> list[int]:
        return [h.ask(f"SELECT count(*) FROM {table}")[0][0] for table in ("beat", "arrival", "margin", "run_check")]  # noqa: S608

    def sweep(after: int) -> list[int]:
        h.clock.at = start + after
        with h.store.transaction() as tx:
            facts.sweep(tx, 400 * DAY)
        return left()

    assert sweep(0) == [1, 1, 1, 1], "an old file that was seen today is kept: it would be told again"
    assert sweep(60 * DAY) == [1, 1, 1, 1]
    assert sweep(60 * DAY + 1) == [0, 1, 1, 1]
    assert sweep(401 * DAY) == [0, 0, 0, 1]
