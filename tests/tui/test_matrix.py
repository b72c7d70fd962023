"""The Matrix: what became of each business date of each job that is expected."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Owed, State, Trigger
from engine.store.rows import Bar, DatedRow
from tests.tui import snap
from tests.tui.night import night
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tests.tui.test_layers import E, put, view_of
from tui.present import lines, matrix
from tui.view import Open, Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = night(tmp_path_factory.mktemp("night"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_matrix(tale, size):
    snap.same(f"matrix-{size[0]}x{size[1]}", painted(view_of(tale, "matrix"), *size))


def dated(
    state: Owed, day: str = "2026-11-19", *, missed: bool = False, run: str | None = None, type: str = "finish_by"
) -> DatedRow:
    return DatedRow(1, "s:p", type, day, state, NOW, missed, run)


def ran(state: State, name: str = "r", *, at: int = NOW - HOUR, day: str | None = "2026-11-19") -> Bar:
    return Bar(f"s:p/{name}", state, at, at, None, day)


@pytest.mark.parametrize(
    ("owes", "runs", "glyph"),
    [
        ([dated(Owed.MET)], [ran(State.SUCCESS)], "✓"), ([dated(Owed.MET_LATE)], [ran(State.SUCCESS)], "✓"),
        ([dated(Owed.MET)], [ran(State.WARNING)], "▲"), ([dated(Owed.PENDING)], [], "◇"), ([dated(Owed.PENDING)], [ran(State.RUNNING)], "►"),
        ([dated(Owed.AT_RISK)], [ran(State.RUNNING)], "◆"), ([dated(Owed.BREACHED)], [ran(State.RUNNING)], "◆"),
        ([dated(Owed.BREACHED, missed=True)], [], "∅"), ([dated(Owed.BREACHED)], [ran(State.FAILED)], "✗"),
        ([dated(Owed.PENDING)], [ran(State.FAILED)], "✗"), ([dated(Owed.UNKNOWN)], [], "?"), ([dated(Owed.EXCLUDED)], [], "-"),
        ([dated(Owed.WAIVED)], [], "-"), ([], [ran(State.SUCCESS)], "✓"), ([], [ran(State.STOPPED)], "■"), ([], [ran(State.LOST)], "?"),
        ([dated(Owed.MET), dated(Owed.BREACHED)], [ran(State.SUCCESS)], "◆"),
        ([dated(Owed.MET)], [ran(State.FAILED, "a"), ran(State.SUCCESS, "b", at=NOW)], "✓"),
        ([dated(Owed.MET)], [ran(State.RUNNING, "a"), ran(State.FAILED, "b", at=NOW)], "✓"),
        ([dated(Owed.MET), dated(Owed.PENDING, type="max_duration")], [ran(State.SUCCESS)], "✓"),
    ],
)  # fmt: skip
def test_what_became_of_a_date(owes, runs, glyph):
    found = matrix.cells_of(owes, runs, TZ, stale=False)
    assert found["2026-11-19"].look.glyph == glyph


def test_a_cell_is_empty_only_where_nothing_was_owed_and_nothing_ran():
    assert matrix.cells_of([], [], TZ, stale=False) == {}
    for state in Owed:
        assert matrix.cells_of([dated(state)], [], TZ, stale=False)["2026-11-19"].look.glyph.strip(), state
    for state in State:
        if state != State.EXPECTED:
            assert matrix.cells_of([], [ran(state)], TZ, stale=False)["2026-11-19"].look.glyph.strip(), state


def test_what_waits_is_unknown_where_nobody_looks_and_what_is_settled_stays():
    def glyph(owes: list[DatedRow], runs: list[Bar]) -> str:
        return matrix.cells_of(owes, runs, TZ, stale=True)["2026-11-19"].look.glyph

    assert glyph([dated(Owed.PENDING)], []) == "?"
    assert glyph([dated(Owed.AT_RISK)], [ran(State.RUNNING)]) == "?"
    assert glyph([], [ran(State.RUNNING)]) == "?"
    assert glyph([dated(Owed.MET)], []) == "✓"
    assert glyph([], [ran(State.SUCCESS)]) == "✓"


def test_a_run_counts_for_the_date_that_a_promise_names_it_for():
    """It has no business date of its own, began after midnight, and is what kept the promise of the day before."""
    found = matrix.cells_of(
        [dated(Owed.MET, "2026-11-19", run="s:p/r")], [ran(State.SUCCESS, at=NOW, day=None)], TZ, stale=False
    )
    assert set(found) == {"2026-11-19"}
    assert found["2026-11-19"].run_key == "s:p/r"


def test_yesterdays_hole_stays_when_today_is_done(house):
    key = put(house, "p", "BI", None)
    owe(house, key, due_in=-DAY, state=Owed.BREACHED, missed=True, date="2026-11-18", now=False)
    owe(house, key, due_in=-HOUR, state=Owed.MET, met_in=-2 * HOUR, date="2026-11-19", run="r")
    house.run("s", "p", "r", State.SUCCESS, started_ago=2 * HOUR, took=MINUTE, business_date="2026-11-19")
    view = view_of(house, "matrix")
    line = next(line for line in painted(view, 120, 40) if line.startswith("▌"))
    assert line.rstrip().endswith("∅ [✓]")
    assert view.context.reader.kept_by_date(NOW - 3 * DAY) == {"2026-11-18": (0, 1), "2026-11-19": (1, 1)}
    view.act("time.left")
    shown = "\n".join(painted(view, 120, 40))
    assert "2026-11-18 missed · no run seen for this date" in shown
    assert "0 of 1 jobs kept all that they owed for 2026-11-18" in shown
    assert list(view.act("list.open")) == [Say("p, 2026-11-18: missed, there is no run to open")]
    view.act("time.right")
    assert list(view.act("list.open")) == [Open("run", "s:p/r")]
    assert list(view.act("time.right")) == [Say("this is the newest business date")]


def test_counts_at_the_foot(tale):
    shown = painted(view_of(tale, "matrix"), 120, 40)
    kept, of = (next(line for line in shown if line.startswith(word)) for word in (" kept", " of"))
    assert kept.split()[-2:] == ["1", "7"]
    assert of.split()[-2:] == ["2", "19"]
    assert "7 of 19 jobs kept all that they owed for 2026-11-19" in "\n".join(shown)


def test_dates_scroll_into_the_past(tale):
    view = view_of(tale, "matrix")
    painted(view, 80, 24)
    first = view.matrix.days()
    for _ in range(len(first) + 5):
        view.act("time.left")
    assert view.matrix.days()[0] < first[0]
    assert view.matrix.date == view.matrix.days()[0]
    for _ in range(len(first) + 5):
        view.act("time.right")
    assert view.matrix.days() == first


def test_waiving_and_basis_are_of_the_cell(tale):
    view = view_of(tale, "matrix")
    view.matrix.cursor = E + "ldz_to_rdv_customer"
    view.act("move.down")
    view.act("move.up")
    view.act("time.left")
    (effect,) = view.act("owed.waive")
    assert effect.screen == "waive"
    assert tale.reader().owed_one(effect.arg).business_date == "2026-11-18"
    view.act("owed.basis")
    assert "where the numbers come from" in "\n".join(painted(view, 120, 40))
    view.act("nav.back")
    assert not view.basis


def test_tab_keeps_the_pipeline(tale):
    view = view_of(tale, E + "board_report")
    view.act("view.pane")
    assert view.here.name == "board_report"
    view.act("move.down")
    view.act("view.pane")
    assert view.here.name == "crm_export_daily"


def test_who_is_expected(house):
    put(house, "cron", "BI")
    put(house, "manual", "BI", trigger=Trigger.MANUAL)
    put(house, "stream", "BI", State.RUNNING, trigger=Trigger.CONTINUOUS)
    key = put(house, "event", "BI", trigger=Trigger.EVENT)
    owe(house, key, due_in=HOUR)
    assert {lane.name for lane in view_of(house, "matrix").matrix.lanes} == {"cron", "event"}


@settings(max_examples=200, deadline=None)
@given(width=st.integers(60, 300), most=st.integers(0, 99_999))
def test_dates_fit(width, most):
    grid = matrix.Grid.of(width, most)
    days = matrix.dates(date(2026, 11, 19), grid.n)
    kept = dict.fromkeys(days, (most, most))
    for line in (*matrix.head_lines(days, grid, days[-1]), *matrix.foot_lines(days, kept, grid)):
        assert lines.cells(line) <= grid.left + grid.n * grid.cell < width
    assert all(str(most) in lines.text(line) for line in matrix.foot_lines(days, kept, grid)) or most == 0
