"""Hosts: one curve with the runs that used the host, when it is full, who uses it now."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import State
from engine.store.rows import Bar, CapacityRow, RunLane
from tests.tui import host_stores
from tests.tui.hosts_parts import row_of, styles, view_of
from tests.tui.stores import HOUR, MINUTE, NOW, TZ, House, painted
from tui import registry
from tui.present import capacity, chart
from tui.screens.hosts import RANGES
from tui.view import Back, Open, Say


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    house = host_stores.busy(tmp_path_factory.mktemp("hosts"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    yield h
    h.close()


# --- the curve ------------------------------------------------------------------------------------------------------


def test_the_curve_has_its_scale_its_median_and_its_peak(busy):
    title = row_of(view_of(busy), "ops-01 CPU 24 h")
    assert "p50 27%" in title
    assert "peak 97% at 04:20" in title
    shown = painted(view_of(busy), 120, 40)
    assert any(line.startswith("       100% ") for line in shown)
    assert any(line.startswith("         0% █") for line in shown)


def test_runs_stand_under_the_load_that_they_made(busy):
    view = view_of(busy)
    shown = painted(view, 120, 40)
    at = next(i for i, line in enumerate(shown) if line.startswith("       100%"))
    lane = row_of(view, "mart_load")
    load = shown[at + 2]
    assert lane.rindex("█") - lane.index("█", 40) <= 3
    assert load[lane.index("█", 40) + 1] == "█"
    assert "█✗" in row_of(view, "cont…load")


def test_what_is_planned_stands_after_now(busy):
    view = view_of(busy)
    for _ in range(2):
        view.act("time.in")
    lane = row_of(view, "ldz_…ions")
    past, _, after = lane.partition("│")
    assert past.rstrip().endswith("█")
    assert after.startswith("░░░")
    assert "to 05:59" in after  # 17 of 24 minutes have passed


def test_ranges_go_from_an_hour_to_thirty_days(busy):
    view = view_of(busy)
    seen = [row_of(view, "ops-01 CPU").split(" CPU ")[1].split(",")[0]]
    for action in ("time.in", "time.in", "time.in"):
        said = view.act(action)
    assert said == (Say("1 h is the closest view"),)
    for _ in range(5):
        seen.append(row_of(view, "ops-01 CPU").split(" CPU ")[1].split(",")[0])
        said = view.act("time.out")
    assert said == (Say("30 d is the widest view"),)
    assert seen == ["24 h", *(word for word, _ in RANGES)]


@given(st.integers(0, 10**13), st.sampled_from([span for _, span in RANGES]), st.integers(20, 300))
def test_an_axis_holds_its_range_and_moves_in_whole_cells(now, span, width):
    axis = chart.axis(now, span, width)
    assert axis.width == width
    assert axis.cell * axis.past >= span
    assert axis.start % axis.cell == 0
    assert axis.now - axis.cell <= now < axis.now
    assert axis.at(now) == axis.past - 1
    assert axis.at(axis.now) == axis.past + 1
    assert len(chart.ticks(axis, TZ)) == width


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1000)), min_size=1, max_size=80),
    st.integers(1, 12),
    st.floats(0.1, 1000),
)
def test_blocks_rise_with_the_value_and_a_gap_is_blank(values, rows, top):
    shown = chart.area(values, rows, top)
    heights = ["".join(column).replace(" ", "") for column in zip(*shown, strict=True)]
    for value, column in zip(values, heights, strict=True):
        assert (value is None) == (column == "")
        if value is not None and value >= top:
            assert column == "█" * rows
    known = sorted((v, "".join(reversed(h))) for v, h in zip(values, heights, strict=True) if v is not None)
    levels = [sum("▁▂▃▄▅▆▇█".index(c) + 1 for c in h) for _, h in known]
    assert levels == sorted(levels)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=60), st.integers(0, 40))
def test_a_row_is_as_wide_as_asked_and_blank_where_nothing_was_measured(values, width):
    shown = chart.row(values, width)
    assert len(shown) == width
    tail = values[-width:] if width else []
    assert [c == " " for c in shown[width - len(tail) :]] == [v is None for v in tail]


@pytest.mark.parametrize(("unit", "highest", "top"), [("%", 3, 5), ("%", 6, 10), ("%", 38, 50), ("%", 51, 100), ("", 3.5, 5), ("B/s", 4.6e6, 5e6), ("", 0, 1)])  # fmt: skip
def test_a_scale_ends_on_a_round_number(unit, highest, top):
    assert chart.nice_top(unit, highest) == top


def test_what_was_not_read_of_a_busy_pipeline_is_not_drawn_as_idle():
    axis = chart.axis(NOW, 24 * HOUR, 90)
    bar = Bar("a:p/1", State.SUCCESS, NOW - HOUR, NOW - HOUR, NOW - HOUR + MINUTE, None)
    shown = "".join(text for text, _ in chart.lane(RunLane(1, "a:p", "p", (bar,), NOW - 6 * HOUR), axis, NOW))
    assert shown.startswith("·" * axis.at(NOW - 6 * HOUR) + " ")
    assert "·" not in "".join(text for text, _ in chart.lane(RunLane(1, "a:p", "p", (bar,)), axis, NOW))


# --- when is it full ------------------------------------------------------------------------------------------------


def limit(**more) -> CapacityRow:
    given = {
        "series": "host.disk:/data", "host": None, "metric": "disk:/data", "label": "disk /data", "unit": "%", "value": 81.0, "t": NOW,
        "limit": 90.0, "declared": False, "words": "", "n": 30, "need": 14, "per_day": 0.9, "fitted": 81.0, "days": 9.4, "on": date(2026, 11, 29),
        "past": (80.0,) * 30,
    }  # fmt: skip
    return CapacityRow(**{**given, **more})


@pytest.mark.parametrize(
    ("c", "grows", "reached", "soon"),
    [
        (limit(), "0.9%/d", "Sun 29 Nov, 9d", True),
        (limit(days=3.67, on=date(2026, 11, 24)), "0.9%/d", "Tue 24 Nov, 4d", True),
        (limit(days=0.0), "0.9%/d", "reached", True),
        (limit(value=95.0, days=None, on=None, per_day=None, n=2), "2 of 14 days", "reached", True),
        (limit(days=0.4, on=date(2026, 11, 21)), "0.9%/d", "Sat 21 Nov, today", True),
        (limit(days=13.9, on=date(2026, 12, 4)), "0.9%/d", "Fri 4 Dec, 14d", True),
        (limit(days=14.0, on=date(2026, 12, 4)), "0.9%/d", "Fri 4 Dec, 14d", False),
        (limit(days=92.0, on=date(2027, 2, 20), per_day=0.2), "0.2%/d", "Feb 2027, 92d", False),
        (limit(days=4000.0, on=date(2037, 2, 20), per_day=0.01), "0.01%/d", "in years", False),
        (limit(days=None, on=None, per_day=-0.1), "not growing", "", False),
        (limit(days=None, on=None, per_day=None, n=9), "9 of 14 days", "learning", False),
        (limit(days=None, on=None, per_day=None, n=0, seen=False), "never seen", "check its name", False),
        (limit(unit="B", per_day=2e9, days=20.0), "2.0 GB/d", "Sun 29 Nov, 20d", False),
    ],
)  # fmt: skip
def test_words_of_a_forecast(c, grows, reached, soon):
    assert capacity.grows(c) == grows
    assert capacity.reached(c) == reached
    assert c.soon is soon
    assert ("run-late" in str(capacity.line(c, "ops-01", 120, TZ, NOW, stale=False))) is (soon or not c.seen)
    assert "run-late" not in str(capacity.line(limit(), "ops-01", 120, TZ, NOW, stale=True))


def test_limits_say_who_set_them(busy):
    view = view_of(busy)
    assert "90%  default" in row_of(view, "ops-01 /data")
    assert "85%  dba" in row_of(view, "ops-01 /  ")


def test_nine_days_are_not_enough(tmp_path):
    h = host_stores.busy(tmp_path, days=8)
    view = view_of(h)
    line = row_of(view, "ops-01 /data")
    assert "9 of 14 days" in line
    assert "learning" in line
    assert "full in" not in painted(view, 120, 40)[1]
    assert "4 limits still learning" not in painted(view, 120, 40)[1]  # what is unusual is said first
    h.close()


def test_a_full_disk_is_said_at_once_however_few_days_are_known(tmp_path):
    h = host_stores.busy(tmp_path, days=2)
    with h.tx() as tx:
        tx.db.execute("UPDATE configured SET body = ? WHERE name = 'host.disk:/'", (json.dumps({"limit": 40.0}),))
        tx.bump("configured")
    view = view_of(h)
    assert "/ ops-01 at its limit" in painted(view, 120, 40)[1]
    assert "run-late" in styles(view, "/  ")
    floor = registry.make("floor", h.context())
    floor.load()
    assert "48% at its limit" in "\n".join(painted(floor, 120, 40))
    h.close()


def test_a_limit_is_taken_over_when_it_is_configured(busy, tmp_path):
    h = host_stores.busy(tmp_path, days=20)
    view = view_of(h)
    assert "90%  default" in row_of(view, "ops-01 /data")
    with h.tx() as tx:
        tx.db.execute(
            "INSERT INTO configured VALUES ('limit', 'host.disk:/data', 1, ?)", (json.dumps({"limit": 99.0}),)
        )
        tx.bump("configured")
    view.load()
    line = row_of(view, "ops-01 /data")
    assert "99%  set" in line
    assert "run-late" not in styles(view, "ops-01 /data")
    h.close()


# --- who uses it ----------------------------------------------------------------------------------------------------


def test_trees_of_runs_and_what_is_no_run_of_ours(busy):
    view = view_of(busy)
    assert "merge_txn              212%    6.1 GB" in row_of(view, "► ldz_to_rdv_transactions")
    rest = row_of(view, "no run of ours")
    assert "14.1 GB" in rest
    assert "READ" not in row_of(view, "RUN  ")  # not sampled: no column of n/a


def test_processes_are_watched_only_while_they_are_shown(busy):
    host_stores.watched(busy)
    view = view_of(busy)
    assert view.watch() is None
    view.act("list.open")
    assert view.watch() == {"processes": True}
    assert view.about() == "local:ldz_to_rdv_transactions/t1"
    assert view.act("list.open") == (Open("run", "local:ldz_to_rdv_transactions/t1"),)
    view.act("hosts.sort")
    assert [p.pid for p in view.processes.rows] == [812, 5120, 4711, 1, 5121]
    assert view.about() is None
    assert view.act("list.open") == (Say("this process belongs to no run of ours"),)
    view.act("move.down")
    assert view.about() is not None
    assert view.act("nav.back") == ()
    assert view.watch() is None
    assert view.act("nav.back") == (Back(),)


def test_a_filter_of_processes_is_its_own(busy):
    host_stores.watched(busy)
    view = view_of(busy)
    view.act("list.open")
    view.act("list.filter")
    for c in "ana":
        view.type(c)
    assert [p.pid for p in view.processes.rows] == [5120, 4711]
    assert "2 processes" in painted(view, 80, 24)[-1]
    view.type("edit.enter")
    assert "filter ana" in "\n".join(painted(view, 80, 24))
    view.set_filter("zzz")
    assert "no process is like that" in "\n".join(painted(view, 80, 24))
    assert view.act("nav.back") == ()
    assert view.processes.open
    assert len(view.processes.rows) == 5
    assert view.act("nav.back") == ()
    assert not view.processes.open
    assert len(view._resources()) == 9


def test_the_cursor_stays_on_its_process(busy):
    host_stores.watched(busy)
    view = view_of(busy)
    view.act("list.open")
    view.act("move.down")
    assert view.processes.cursor == 812
    host_stores.watched(busy)
    view.load()
    assert view.processes.cursor == 812


def test_an_empty_process_table_says_why(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    view = view_of(h)
    view.act("list.open")
    assert "they come within two seconds" in "\n".join(painted(view, 80, 24))
    dead = view_of(h, engine_alive=False)
    dead.act("list.open")
    assert "nobody reads the processes" in "\n".join(painted(dead, 80, 24))
    h.close()
