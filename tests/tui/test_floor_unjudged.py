"""A promise that nobody can judge now: the Floor and the wall say so once, as no failure, and hide none behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.extras import Readings
from adapters.model import Health, Owed, Sample
from engine.store import metrics
from tests.tui import snap
from tests.tui.floor_owed_parts import floor, row
from tests.tui.owed_stores import owe
from tests.tui.stores import HOUR, MINUTE, SECOND, SIZES, House, calm, painted
from tui.present.floor import Rank
from tui.screens.wall import WallView

WHY = "not measured since 05:40: refused; last known: 42,000 messages"
DARK: dict[str, Any] = {"health": Health.UNREACHABLE, "ok_ago": 20 * MINUTE, "since_ago": 20 * MINUTE}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = calm(tmp_path)
    owe(h, "local:step_1", due_in=HOUR, p50_in=30 * MINUTE, p90_in=40 * MINUTE, late=0.0)
    yield h
    h.close()


def measured(h: House, *names: str, source: str = "dwh", **health: Any) -> None:
    """A source that measures these, each with a promise that nobody can judge."""
    h.source(source, kind="sql", poll_ms=10 * SECOND, offers=frozenset({"metrics"}), **health)
    with h.tx() as tx:
        found = [Sample(name, h.now - 12 * MINUTE, 42_000.0) for name in names]
        metrics.put_readings(tx, source, dict.fromkeys(names, "messages"), Readings(samples=found))
    for name in names:
        doubt(h, f"series:{name}")


def doubt(h: House, thing: str, **more: Any) -> None:
    given: dict[str, Any] = {"due_in": -12 * MINUTE, "state": Owed.UNKNOWN, "type": "metric", "reason": WHY}
    owe(
        h, thing, now=False, **{**given, "since": h.now - 12 * MINUTE, **more}
    )  # the engine names it not as what matters now


def everything(h: House, width: int = 120, height: int = 40) -> str:
    return "\n".join(painted(floor(h), width, height))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(house: House, size: tuple[int, int]) -> None:
    measured(house, "cdm_lag", "orders", "paid")
    doubt(
        house,
        "series:backlog",
        reason="not measured since 05:40: refused; last known: 90 rows, above 50 rows",
        lateness_ms=2 * HOUR,
    )
    snap.same(f"floor-unjudged-{size[0]}x{size[1]}", painted(floor(house), *size))


def test_it_is_said_with_its_reason_and_is_not_as_owed(house: House) -> None:
    assert "All 5 as owed" in everything(house)
    measured(house, "cdm_lag")
    view = floor(house)
    shown = painted(view, 120, 40)
    assert "1 promise unknown  next due step_1" in shown[1]
    assert "as owed" not in shown[1]
    assert "broken" not in "\n".join(shown)
    line = row(view, "series cdm_lag", 120)
    assert line.lstrip("▌ ").startswith("◇? unknown")
    assert "not measured since 05:40: refused" in line
    assert "5, 1 promise · unknown" in "\n".join(shown), "it is no pipeline"
    assert view.items["series:cdm_lag"].rank is Rank.UNKNOWN
    assert not view.problems
    styles = {w for spans in view.paint(120, 40) for text, style in spans if text.strip() for w in style.split()}
    assert not styles & {"rev", "run-failed", "run-late"}, "nothing of it looks like a failure"
    assert [r["key"] for r in json.loads(json.dumps(view.data()))["unjudged"]] == ["series:cdm_lag"]


def test_numbers_of_one_source_are_one_row_and_a_filter_finds_each(house: House) -> None:
    measured(house, "cdm_lag", "orders", "paid")
    view = floor(house)
    assert "3 promises unknown" in painted(view, 120, 40)[1]
    line = row(view, "series cdm_lag +2", 200)
    assert "also orders, paid" in line
    view.set_filter("name:paid")
    assert "series cdm_lag +2" in "\n".join(painted(view, 120, 40))
    assert "3 unknown" in painted(view, 40, 6)[0]


def test_where_the_row_of_its_blind_source_says_it_it_is_not_said_twice(house: House) -> None:
    measured(house, "cdm_lag", "orders", **DARK)
    shown = everything(house)
    assert "2 numbers not measured" in shown
    assert "1 source blind" in shown
    assert "series" not in shown
    assert "promises unknown" not in shown
    assert "as owed" not in shown


def test_a_blind_source_with_pipelines_says_both(house: House) -> None:
    measured(house, "cdm_lag", **DARK)
    house.pipeline("dwh", "load")
    assert "1 pipeline unknown · 1 number not measured" in everything(house, 200, 50)


def test_what_was_broken_when_it_was_seen_last_stays_among_the_problems(house: House) -> None:
    """Also where its source is blind: that its numbers are not measured says nothing of this one."""
    measured(house, "orders", **DARK)
    doubt(house, "series:cdm_lag", lateness_ms=2 * HOUR)
    view = floor(house)
    assert "series:cdm_lag" in view.problems
    assert "broken for 2h 00m when it was seen last · not measured since" in row(view, "series cdm_lag", 200)
    assert "1 promise unknown" in painted(view, 120, 40)[1]
    assert view.data()["broken"] == 0


def test_a_feed_or_a_set_that_nobody_can_judge_says_it_too(house: House) -> None:
    owe(house, "set:closing", due_in=-HOUR, state=Owed.UNKNOWN, type="completeness", reason="its source was not seen")
    assert "due 04:52, nobody can tell · its source was not seen" in everything(house, 200, 50)
    assert "1 promise unknown" in everything(house)


def test_what_nobody_declared_is_no_promise(house: House) -> None:
    doubt(house, "series:cdm_lag", declared=False)
    assert "All 5 as owed" in everything(house)


def test_the_wall_says_it_where_nobody_touches_a_key(house: House) -> None:
    def wall() -> str:
        view = WallView(house.context())
        view.load()
        return "\n".join(painted(view, 120, 40))

    assert "AS OWED" in wall()
    measured(house, "cdm_lag", "orders")
    said = wall()
    assert "AS OWED" not in said
    assert "2 promises unknown" in said
    assert "series cdm_lag +1" in said
    assert "not measured since 05:40" in said
    assert "nothing is broken" not in said


def test_a_pipeline_whose_number_is_not_measured_keeps_its_row_and_its_due_time(house: House) -> None:
    doubt(house, "local:step_1", type="volume", promise="rows")
    view = floor(house)
    shown = "\n".join(painted(view, 120, 40))
    assert "volume step_1" in shown
    assert "1 promise unknown  next due step_1 06:52" in shown
    assert view.items["local:step_1"].rank is Rank.FINE


def test_beside_a_broken_promise_of_the_same_number_both_stand(house: House) -> None:
    owe(
        house,
        "series:cdm_lag",
        due_in=-HOUR,
        state=Owed.BREACHED,
        type="metric",
        reason="42,000 messages",
        promise="lag",
    )
    doubt(house, "series:cdm_lag", type="budget", promise="cost")
    view = floor(house)
    assert [view.items[k].unjudged for k in view.keys if view.items[k].thing] == [0, 1]
    assert "1 broken" in painted(view, 120, 40)[1]
    assert "1 promise unknown" in painted(view, 120, 40)[1]


def test_what_is_settled_or_no_longer_configured_is_not_said(house: House) -> None:
    doubt(house, "series:cdm_lag")
    assert "1 promise unknown" in everything(house)
    with house.tx() as tx:
        tx.db.execute("UPDATE expectation SET gone = 1 WHERE thing = 'series:cdm_lag'")
        tx.bump("owed")
    assert "promise unknown" not in everything(house)
