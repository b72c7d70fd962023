"""The gap map reads what moved and nothing else, in turns that leave a key no wait, and never draws what it has not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Health, Owed, RunKind, State
from engine.store import sources
from tests.tui.gaps_story import day, story
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, House, painted
from tui.present.gaps import Fate
from tui.screens import gaps as pane
from tui.screens.gaps_view import GapsView

SALES, HOURLY, RATES = "prod:daily_sales", "prod:hourly_clicks", "prod:fx_rates"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


def view_of(h: House, key: str = SALES) -> GapsView:
    view = GapsView(h.context(), key)
    view.load()
    painted(view, 120, 40)
    return view


def asked(view: GapsView, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[int]]]:
    """What is asked of the store from now on: (question, pipelines)."""
    said: list[tuple[str, set[int]]] = []
    reader = view.context.reader

    def watch(name: str, real: Any) -> None:
        monkeypatch.setattr(reader, name, lambda ids, *more: said.append((name, set(ids))) or real(ids, *more))

    watch("calendars", reader.calendars)
    watch("owed_again", reader.owed_again)
    return said


def number(h: House, key: str) -> int:
    row = h.reader().pipeline(key)
    assert row is not None
    return row.id


def test_of_runs_that_moved_only_their_pipelines_are_read_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.clock.at += MINUTE
    house.run("prod", "daily_sales", "later", State.RUNNING, started_ago=SECOND, business_date=day(1))
    view = view_of(house)
    said = asked(view, monkeypatch)
    house.clock.at += MINUTE
    house.run("prod", "fx_rates", "again", State.SUCCESS, started_ago=SECOND, took=SECOND, business_date=day(65))
    view.load()
    painted(view, 120, 40)
    assert said == [("calendars", {number(house, RATES)})]
    assert view.gaps._cells[RATES][day(65)].fate is Fate.DONE


def test_of_promises_that_moved_no_run_is_read_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(house)
    view.gaps.day = day(10)
    assert view.gaps.cell.fate is Fate.MISSING
    said = asked(view, monkeypatch)
    owe(house, RATES, due_in=-70 * DAY, state=Owed.BREACHED, missed=True, date=day(71), now=False)
    view.load()
    painted(view, 120, 40)
    assert {what for what, _ in said} == {"owed_again"}
    assert view.gaps._cells[RATES][day(71)].fate is Fate.MISSING


def test_a_source_that_is_not_seen_any_more_puts_what_is_open_in_doubt_at_once(house: House) -> None:
    """Nothing of a run moves then."""
    view = view_of(house, RATES)
    view.gaps.day = day(1)
    assert view.gaps.cell.fate is Fate.RUNNING
    with house.tx() as tx:
        bad: dict[str, Any] = {"health": int(Health.UNREACHABLE), "since": house.now, "last_ok": house.now - HOUR}
        sources.put_health(tx, house.ids["prod"], poll_ms=10 * SECOND, last_try=house.now, **bad)
    view.load()
    painted(view, 120, 40)
    assert view.gaps.cell.fate is Fate.UNKNOWN


def test_a_frame_reads_its_part_and_the_rest_follows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painted(view_of(house, HOURLY), 120, 40)
    monkeypatch.setattr(pane, "SLICE", 1)
    view = GapsView(house.context(), HOURLY)
    view.work()  # somebody gives it turns
    view.load()
    first = painted(view, 120, 40)
    assert next(line for line in first if line.startswith("▌")) in whole, (
        "what stands under the cursor is known at once"
    )
    unread = [line for line in first if "reading …" in line]
    assert len(unread) == len(view.gaps.lanes) - 1
    turns = 0
    while view.work():
        turns += 1
        painted(view, 120, 40)
    assert 1 < turns <= len(unread)
    assert painted(view, 120, 40) == whole
    house.clock.at += MINUTE
    house.run(
        "prod",
        "fx_rates",
        "again",
        State.FAILED,
        started_ago=SECOND,
        took=SECOND,
        kind=RunKind.MANUAL,
        business_date=day(0),
    )
    view.load()
    assert "reading …" not in "\n".join(painted(view, 120, 40)), "what was known stands until it is read again"
    assert view.work()
    assert view.gaps._cells[RATES][day(0)].fate is Fate.FAILED


def test_the_next_page_is_read_before_somebody_goes_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        house.pipeline("prod", f"p{n:02}")
    view = GapsView(house.context())
    view.work()
    view.load()
    view.paint(80, 16)
    assert view.gaps.page < len(view.gaps.lanes)
    while view.work():
        pass
    said = asked(view, monkeypatch)
    for _ in view.gaps.lanes[1:]:
        view.act("move.down")
        assert "reading …" not in "\n".join(painted(view, 80, 16))
        assert said == [], "a key waits for nothing"
        while view.work():
            said.clear()


def test_where_nothing_is_left_no_turn_asks_anything(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(house)
    while view.work():
        pass
    monkeypatch.setattr(view.gaps, "_read", lambda *_: pytest.fail("nothing is left to read"))
    assert not view.work()
    view.act("view.pane")
    assert view.grid is not view.gaps
    assert not view.work()
