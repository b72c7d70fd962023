"""Timeline: lanes on one axis of time, with what ran and what is expected; what its axis does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import Course, Health, Owed, State
from engine.config.model import PipelineRule
from engine.store import owed as written
from engine.store.rows import Bar, FloorRow, SpanRow
from tests.tui import snap
from tests.tui.night import night
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tests.tui.timeline_parts import lane_text, view_of
from tui.present import floor, lines, timeline
from tui.present.chain import Lane
from tui.present.layers import lane_of
from tui.present.timeline import DAY_ZOOM, ZOOMS, Axis, Frame
from tui.screens.timeline import TimelineView


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = night(tmp_path_factory.mktemp("night"))
    yield house
    house.close()


@pytest.fixture(scope="module")
def daily(tale) -> FloorRow:
    return tale.reader().pipeline("prod-airflow:daily_sales")


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale, size):
    snap.same(f"timeline-{size[0]}x{size[1]}", painted(view_of(tale), *size))


def test_snapshot_of_six_hours_by_source_with_the_basis(tale):
    view = view_of(tale, "prod-airflow:daily_sales")
    for action in ("time.in", "time.in", "time.group", "owed.basis"):
        view.act(action)
    snap.same("timeline-6h-120x40", painted(view, 120, 40))


def test_in_ascii_nothing_but_ascii_is_left(tale):
    assert all(line.isascii() for line in painted(view_of(tale, ascii=True), 120, 40))


@pytest.mark.parametrize(("width", "cell"), [(80, 24 * 60), (120, 15 * 60), (200, 9 * 60)])
def test_a_day_has_whole_cells_at_each_width(width, cell):
    assert 86_400 // Frame.of(width).cells == cell


# --- what a lane says -----------------------------------------------------------------------------------------------


def test_expected_and_real_runs_stand_in_one_lane(tale):
    cells = lane_text(view_of(tale), "ldz_to_rdv…sactions")
    assert cells.strip() == "█│░◇"
    now = cells.index("│")
    assert Axis(timeline.begin(NOW, ZOOMS[DAY_ZOOM], TZ), 15 * MINUTE, 96).at(NOW) == now


def test_a_stream_runs_through_and_goes_on(tale):
    cells = lane_text(view_of(tale), "st_cards_cdc")
    assert set(cells.partition("│")[0]) == {"━"}
    assert set(cells.partition("│")[2]) == {"─"}


def test_missed_and_broken_stand_where_they_were_due(tale):
    cells = lane_text(view_of(tale), "tmc_cards_to_ldz")
    axis = Axis(timeline.begin(NOW, ZOOMS[DAY_ZOOM], TZ), 15 * MINUTE, 96)
    assert cells[axis.at(NOW - 67 * MINUTE)] == "∅"
    assert cells[axis.at(NOW - 37 * MINUTE)] == "◆"


def test_a_later_success_hides_no_failure_in_the_same_cell(house):
    house.pipeline("s", "p", next_in=None)
    house.run("s", "p", "a", State.FAILED, started_ago=3 * HOUR, took=MINUTE)
    house.run("s", "p", "b", State.SUCCESS, started_ago=3 * HOUR - 2 * MINUTE, took=MINUTE)
    assert "✗" in lane_text(view_of(house), "p")


def test_how_a_run_ended_is_a_glyph_not_only_a_colour(house):
    ends = {State.FAILED: "✗", State.TIMED_OUT: "≥", State.STOPPED: "■", State.WARNING: "▲", State.LOST: "?"}
    for state in ends:
        house.pipeline("s", state.name.lower(), next_in=None)
        house.run("s", state.name.lower(), "r", state, started_ago=5 * HOUR, took=HOUR)
    view = view_of(house)
    for state, glyph in ends.items():
        cells = lane_text(view, state.name.lower())
        assert cells.strip("│ ").startswith("███"), state
        assert glyph in cells


def test_a_running_run_of_a_blind_source_ends_where_it_was_last_seen(house):
    house.source("dark", ok_ago=2 * HOUR, health=Health.UNREACHABLE, since_ago=2 * HOUR)
    house.pipeline("dark", "p", next_in=None)
    house.run("dark", "p", "r", State.RUNNING, started_ago=4 * HOUR)
    view = view_of(house)
    cells = lane_text(view, "p")
    assert cells.partition("│")[0].strip() == "█████████?"
    assert any(line.startswith("▌ ?p") for line in painted(view, 120, 40))
    assert all(
        style.split()[0] in ("run-stale", "key", "mark", "on:cursor-bg")
        for line in view.paint(120, 40)
        if lines.text(line).startswith("▌ ?p")
        for text, style in line
        if text.strip() and style
    )


def test_without_an_engine_nothing_is_predicted_to_be_fine(house):
    house.pipeline("s", "p", next_in=HOUR)
    house.run("s", "p", "r", State.RUNNING, started_ago=3 * HOUR)
    view = view_of(house, engine_alive=False, engine_silent_since=NOW - HOUR)
    shown = painted(view, 120, 40)
    assert "NOBODY IS WATCHING" in shown[1]
    assert lane_text(view, "p").partition("│")[0].strip() == "█████████?"
    assert any(line.startswith(" as of 04:52") for line in shown)


def test_what_was_not_seen_is_never_drawn_as_owed_in_time(house):
    key = house.pipeline("s", "p", next_in=None)
    owe(house, key, due_in=HOUR, state=Owed.UNKNOWN)
    assert lane_text(view_of(house), "p").strip() == "│   ?"


def test_prediction_of_a_promise_before_the_schedule_of_its_source(house):
    key = house.pipeline("s", "p", next_in=None)
    owe(house, key, due_in=6 * HOUR, p50_in=2 * HOUR, p90_in=3 * HOUR, late=0.1)
    after = lane_text(view_of(house), "p").partition("│")[2]
    axis = Axis(timeline.begin(NOW, ZOOMS[DAY_ZOOM], TZ), 15 * MINUTE, 96)
    assert after.count("░") == axis.at(NOW + 3 * HOUR - 1) - axis.at(NOW)


def test_a_rerun_that_nobody_started_is_not_predicted(house):
    key = house.pipeline("s", "p", next_in=None)
    owe(house, key, due_in=-HOUR, state=Owed.BREACHED, p50_in=HOUR, p90_in=2 * HOUR, course=Course.RERUN)
    assert "░" not in lane_text(view_of(house), "p")


def test_a_feed_shows_its_arrival(tale):
    assert "◇ ●" in lane_text(view_of(tale), "eia_file")


# --- windows --------------------------------------------------------------------------------------------------------


def shaded(view: TimelineView, name: str) -> int:
    for line in view.paint(120, 40):
        if lines.text(line)[3:23].strip() == name:
            return sum(len(t) for t, s in line if "on:window-bg" in s)
    raise AssertionError(name)


def test_windows_are_shaded_and_named_at_the_foot(tale):
    view = view_of(tale)
    assert shaded(view, "ldz_to_rdv_customer") == 16
    assert shaded(view, "daily_sales") == 16  # also under the cursor
    assert shaded(view_of(tale, mono=True), "ldz_to_rdv_customer") == 0
    assert lane_text(view_of(tale, mono=True), "ldz_to_rdv_customer").count("·") == 16  # readable without a colour
    assert (
        "shaded Thu 22:00–02:00 maintenance db-rdv-1 · next due daily_sales 06:00 in 8m" in painted(view, 120, 40)[-2]
    )


@pytest.mark.parametrize(
    ("match", "means"),
    [
        ("*", True), ("s:p", True), ("s:q*", False), ("env:prod", True), ("env:uat", False), ("layer:RDV", True), ("layer:L*", False),
        ("src:s", True), ("app:CDM", False), ("tag:night", None),
    ],
)  # fmt: skip
def test_a_window_shades_what_it_means(house, match, means):
    house.pipeline("s", "p", rule=PipelineRule(match="s:p", layer="RDV"))
    with house.tx() as tx:
        written.put_spans(tx, [("w", "freeze", match, NOW - HOUR, NOW + HOUR, "")])
    view = view_of(house)
    view.cursor = "other"
    (lane,) = view.lanes
    assert timeline.covers(match, lane) is means
    cells = timeline.lane_spans(lane, Axis(NOW - DAY // 2, 15 * MINUTE, 96), (), (), view.spans, NOW)
    assert any("on:window-bg" in style for _, style in cells) is bool(means)
    assert "freeze w" in painted(view, 120, 40)[-2]  # named also where it cannot be told which lanes it means


# --- the axis -------------------------------------------------------------------------------------------------------


def test_the_design_view_is_from_18_to_18(tale):
    assert painted(view_of(tale), 120, 40)[2].startswith(" 24 hours 18:00 to 18:00 · one cell 15m")


ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    now=st.integers(1_420_070_400_000, 2_051_222_400_000),
    zoom=st.sampled_from(ZOOMS),
    width=st.integers(60, 260),
)
def test_every_label_stands_where_its_hour_begins(zone, now, zoom, width):
    """Also where clocks change within the view: the wall clock is asked for each column, never counted on."""
    start = timeline.begin(now, zoom, zone)
    assert start <= now < start + zoom.span
    grid = Frame.of(width)
    axis = Axis(start, zoom.span // grid.cells, grid.cells)
    assert axis.end - axis.start == zoom.span
    tz = UTC if zone == "UTC" else ZoneInfo(zone)
    last = -1
    for x, label in timeline.ticks(axis, zoom.tick, zone):
        assert x > last
        last = x + len(label)
        assert last <= grid.cells
        begins = {
            datetime.fromtimestamp(t / 1000, tz)
            for t in range(axis.start + x * axis.cell, axis.start + (x + 1) * axis.cell, 10_000)
        }
        if label.isdigit():
            assert any(int(label) == b.hour for b in begins), (label, begins)
        else:
            assert any(label.endswith(f" {b.day}") for b in begins), (label, begins)


@pytest.mark.parametrize(
    ("day", "labels"),
    [
        (
            "2026-03-29T03:30",
            ["00", "03", "04"],
        ),  # 02:00 is skipped: 03 stands where the clock jumps to
        ("2026-10-25T02:30", ["00", "02", "04"]),
    ],
)
def test_days_on_which_clocks_change(day, labels):
    now = int(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(TZ)).timestamp() * 1000)
    axis = Axis(timeline.begin(now, ZOOMS[DAY_ZOOM], TZ), 15 * MINUTE, 96)
    found = dict((label, x) for x, label in timeline.ticks(axis, 2, TZ))
    assert [w for w in found if w in labels] == labels
    short = found["04"] - found["00"]
    assert short == (12 if "03" in labels else 20)


def test_a_view_begins_on_a_round_time_also_where_the_clock_changed_in_between():
    now = datetime(
        2026, 10, 26, 14, 0, tzinfo=ZoneInfo(TZ)
    )  # 36 hours before this the clock stood at 02:00 for the second time
    begun = datetime.fromtimestamp(timeline.begin(int(now.timestamp() * 1000), ZOOMS[3], TZ) / 1000, ZoneInfo(TZ))
    assert begun.isoformat() == "2026-10-25T00:00:00+02:00"


def test_only_the_column_of_now_moves_while_nothing_happens(tale):
    view = view_of(tale)
    before = painted(view, 120, 40)[5:-2]
    was = tale.clock.at
    try:
        tale.clock.at += 6 * MINUTE
        assert painted(view, 120, 40)[5:-2] == before  # within a cell nothing moves at all
    finally:
        tale.clock.at = was
    lane = next(lane for lane in view.lanes if lane.name == "cdm_publish_db")
    axis = Axis(timeline.begin(NOW, ZOOMS[DAY_ZOOM], TZ), 15 * MINUTE, 96)

    def cells(now: int) -> str:
        return lines.text(timeline.lane_spans(lane, axis, (), (), (), now))

    moved = [i for i, (a, b) in enumerate(zip(cells(NOW), cells(NOW + 15 * MINUTE), strict=True)) if a != b]
    assert moved == [axis.at(NOW), axis.at(NOW) + 1]


def lane_for(row: FloorRow, state: State, stale: bool) -> Lane:
    row = replace(row, state=state)
    return lane_of(floor.judge_one(row, None, NOW, silent=stale), row, NOW - HOUR, silent=stale)


_bars = st.lists(
    st.builds(
        lambda state, at, took, begun: Bar("s:p/r", state, NOW + at, NOW + at if begun else None, None if took is None else NOW + at + took, None),
        st.sampled_from(State),
        st.integers(-10 * DAY, 2 * DAY),
        st.one_of(st.none(), st.integers(0, 3 * DAY)),
        st.booleans(),
    ),
    max_size=12,
)  # fmt: skip

_spans = st.lists(
    st.builds(lambda a, n: SpanRow("w", "freeze", "*", NOW + a, NOW + a + n, ""), st.integers(-9 * DAY, 9 * DAY), st.integers(1, 5 * DAY)),
    max_size=4,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(bars=_bars, spans=_spans, state=st.sampled_from(State), stale=st.booleans(), width=st.integers(60, 220), zoom=st.sampled_from(ZOOMS), mono=st.booleans())  # fmt: skip
def test_a_lane_never_leaves_its_columns(daily, bars, spans, state, stale, width, zoom, mono):
    grid = Frame.of(width)
    axis = Axis(timeline.begin(NOW, zoom, TZ), zoom.span // grid.cells, grid.cells)
    lane = lane_for(daily, state, stale)
    cells = timeline.lane_spans(lane, axis, bars, (), spans, NOW, mono=mono)
    assert lines.cells(cells) == grid.cells
    assert lines.cells(timeline.lane_line(lane, grid, cells, here=True)) == grid.name + grid.cells < width


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(8, 230), height=st.integers(3, 60), acts=st.lists(st.sampled_from(["time.in", "time.out", "time.left", "time.right", "time.group", "move.down", "move.bottom", "owed.basis", "copy.menu"]), max_size=6))  # fmt: skip
def test_every_size_is_filled_exactly(tale, width, height, acts):
    view = view_of(tale)
    for action in acts:
        view.act(action)
    painted(view, width, height)
