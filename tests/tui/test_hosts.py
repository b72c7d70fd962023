"""Hosts: levels, one curve with the runs that used it, when a limit is reached, and who uses the host now."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.extras import Readings, SeriesInfo
from adapters.model import Sample, State
from engine.store import metrics, samples
from engine.store.rows import Bar, CapacityRow, Chart, RunLane, SeriesRow, UsualRow
from tests.tui import host_stores, snap
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SECOND, SIZES, TZ, House, painted, text_of
from tui import keymap, registry
from tui.present import capacity, chart, hosts, lines
from tui.present.hosts import Resource
from tui.screens.hosts import RANGES, HostsView
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


def view_of(h: House, arg: str | None = None, **more) -> HostsView:
    view = HostsView(h.context(**more), arg)
    view.load()
    return view


def styles(view: HostsView, words: str, size=(120, 40)) -> set[str]:
    """Styles of the line that begins with these words, blanks left out."""
    for line in view.paint(*size):
        if lines.text(line).strip(" ▌").startswith(words):
            return {w for text, style in line if text.strip() for w in style.split() if not w.startswith("on:")}
    raise AssertionError(words)


def row_of(view: HostsView, words: str, size=(120, 40)) -> str:
    found = [line for line in painted(view, *size) if line.strip(" ▌").startswith(words)]
    assert found, words
    return found[0]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(busy, size):
    snap.same(f"hosts-{size[0]}x{size[1]}", painted(view_of(busy), *size))


def test_snapshot_of_a_disk_over_thirty_days(busy):
    view = view_of(busy, "host.disk:/data")
    for _ in range(2):
        view.act("time.out")
    snap.same("hosts-disk-30d-120x40", painted(view, 120, 40))


def test_snapshot_when_nobody_is_watching(busy):
    view = view_of(busy, engine_alive=False, engine_silent_since=NOW - 21 * MINUTE)
    snap.same("hosts-silent-120x40", painted(view, 120, 40))
    assert styles(view, "ops-01") <= {"run-stale", "b", "mark"}
    assert styles(view, "waiting for disk") == {"run-stale", "b"}
    assert styles(view, "swap") == {"run-stale"}
    assert styles(view, "ops-01 /data") == {"run-stale"}


def test_snapshot_of_processes(busy):
    host_stores.watched(busy)
    view = view_of(busy)
    view.act("list.open")
    snap.same("hosts-processes-80x24", painted(view, 80, 24))


def test_in_ascii_nothing_but_ascii_is_left(busy):
    for size in SIZES:
        assert all(line.isascii() for line in painted(view_of(busy, ascii=True), *size))


@pytest.mark.parametrize("size", [(59, 15), (40, 10), (18, 4), (60, 16), (110, 20), (180, 30), (300, 90)])
def test_every_size_has_its_rows(busy, size):
    painted(view_of(busy), *size)


# --- colour only where a person is needed ---------------------------------------------------------------------------


def test_amber_is_for_a_near_limit_and_for_what_left_its_band(busy):
    view = view_of(busy, "host.mem")
    assert "run-late" in styles(view, "/data")
    assert "run-late" in styles(view, "waiting for disk")
    assert "run-late" not in styles(view, "swap")
    assert "run-late" not in styles(view, "/  ")
    assert not any(
        "run-failed" in style
        for line in view.paint(120, 40)[2:-14]
        for _, style in line
        if "█" not in _ and "✗" not in _
    )
    verdict = painted(view, 120, 40)[1]
    assert verdict.startswith(" 1 host   /data ops-01 full in 8d")
    assert "waiting for disk unusually high" in verdict


def test_nothing_to_say_is_said_quietly(tmp_path):
    h = House(tmp_path)
    h.engine()
    host_stores.past(h)
    with h.tx() as tx:
        tx.db.execute("DELETE FROM sample_10s")
        tx.db.execute("DELETE FROM series WHERE name LIKE 'host.disk%' OR name IN ('host.io', 'host.cpu')")
    host_stores.tick(h)
    with h.tx() as tx:
        tx.db.execute("DELETE FROM series WHERE name LIKE 'host.disk%' OR name IN ('host.io', 'host.cpu')")
    view = view_of(h)
    assert "nothing fills up within 14 days" in painted(view, 120, 40)[1]
    assert "run-ok" in styles(view, "1 host")
    assert not any("rev" in style or "run-late" in style for line in view.paint(120, 40) for _, style in line)
    h.close()


def resource(mean: float, low: float, high: float, *, metric: str = "cpu", top: float | None = 100.0) -> Resource:
    cells = ((mean, mean, mean),) * 16
    row = SeriesRow(f"host.{metric}", None, metric, "%", None, top, None, mean, NOW)
    return Resource(row, Chart(row.series, 0, 1, cells), UsualRow(low, high, 14), None)


@pytest.mark.parametrize(
    ("mean", "low", "high", "way"),
    [
        (50, 20, 40, 0), (51, 20, 40, 1), (9, 20, 40, -1), (11, 20, 40, 0), (8, 2, 4, 0), (9.5, 2, 4, 1), (0, 2, 4, 0), (30, 30, 30, 0),
    ],
)  # fmt: skip
def test_outside_is_more_than_half_a_band_and_five_points(mean, low, high, way):
    assert resource(mean, low, high).unusual() == way


def test_one_busy_second_is_not_unusual_and_a_disk_never_is():
    r = resource(30, 20, 40)
    assert replace(r, row=replace(r.row, value=100.0)).unusual() == 0
    assert resource(99, 20, 40, metric="disk:/data").unusual() == 0
    assert replace(r, usual=None).unusual() == 0
    assert replace(r, recent=None).unusual() == 0


# --- what a machine lacks -------------------------------------------------------------------------------------------


def test_a_missing_sensor_is_na_with_its_reason(busy):
    line = row_of(view_of(busy), "disk pressure", (200, 50))
    assert "n/a" in line
    assert "no PSI in this kernel" in line
    assert " 0%" not in line
    view = view_of(busy, "host.psi.io")
    assert "n/a: no PSI in this kernel" in "\n".join(painted(view, 120, 40))


def test_without_a_reading_the_screen_says_what_to_do(house):
    assert "samples this host once a second" in "\n".join(painted(view_of(house), 80, 24))
    shown = "\n".join(painted(view_of(house, engine_alive=False), 80, 24))
    assert "Ctrl+R starts one" in shown


def test_a_sampler_that_stands_still_is_stale_although_the_engine_lives(busy):
    later = busy.context(now=lambda: NOW + 5 * MINUTE)
    view = HostsView(later)
    view.load()
    shown = painted(view, 120, 40)
    assert "sampled 5m ago" in shown[1]
    assert "0 of 1 answering" in shown[3]
    assert styles(view, "memory") == {"run-stale"}
    assert not any("rev" in style for _, style in view.paint(120, 40)[1])


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
    assert ("run-late" in str(capacity.line(c, "ops-01", 120, stale=False))) is (soon or not c.seen)
    assert "run-late" not in str(capacity.line(limit(), "ops-01", 120, stale=True))


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


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_cursor_goes_from_the_host_through_its_resources(busy):
    view = view_of(busy)
    assert view.cursor == "@"
    view.act("move.down")
    assert view.cursor == "host.cpu"
    view.act("move.bottom")
    assert view.cursor == "host.psi.io"
    assert any(line.startswith("▌disk pressure") for line in painted(view, 80, 24))
    view.act("move.top")
    view.act("move.down")
    view.act("move.down")
    assert row_of(view, "ops-01 memory 24 h")


def _panes(view: HostsView, size=(80, 24)) -> list[str]:
    """The panes below the resources, from above, by their titles."""
    titles = ("ops-01 CPU", "Will fill up", "Running on")
    return [t for line in painted(view, *size) for t in titles if line.startswith(f" {t}")]


def test_tab_shows_the_pane_that_is_hidden_and_none_changes_its_place(busy):
    view = view_of(busy)
    assert _panes(view) == ["ops-01 CPU", "Will fill up"]
    view.act("view.pane")
    assert _panes(view) == ["ops-01 CPU", "Running on"]
    assert "no run of ours" in "\n".join(painted(view, 80, 24))
    view.act("view.pane")
    assert _panes(view) == ["ops-01 CPU", "Will fill up"]
    view.act("view.pane")
    assert view.act("nav.back") == ()  # as it was, then back
    assert _panes(view) == ["ops-01 CPU", "Will fill up"]
    assert view.act("nav.back") == (Back(),)


def test_tab_says_so_where_every_pane_is_whole(busy):
    view = view_of(busy)
    before = painted(view, 120, 40)
    assert len(_panes(view, (120, 40))) == 3
    assert view.act("view.pane") == (Say("every pane is shown whole"),)
    assert painted(view, 120, 40) == before


def test_a_long_list_of_limits_is_served_first_once_asked_for(busy):
    view = view_of(busy)
    view.limits = [replace(view.limits[0], series=f"host.disk:/d{i}") for i in range(9)]
    assert "more that are further away" in "\n".join(painted(view, 80, 24))
    view.act("view.pane")
    assert _panes(view) == ["Will fill up"]
    assert "more that are further away" not in "\n".join(painted(view, 80, 24))


def test_a_filter_leaves_what_it_names(busy):
    view = view_of(busy)
    view.set_filter("disk")
    assert [r.name for r in view._resources()] == ["/data", "/", "waiting for disk", "disk pressure"][
        : len(view._resources())
    ]
    assert "nothing is called that" in "\n".join(painted(_filtered(view, "zzz"), 120, 40))
    view.act("nav.back")
    assert len(view._resources()) == 9


def _filtered(view: HostsView, text: str) -> HostsView:
    view.set_filter(text)
    return view


def test_every_key_of_the_footer_reaches_something(busy):
    view = view_of(busy)
    for action in ("list.open", "time.in", "time.out", "view.pane", "list.filter", "hosts.sort"):
        assert keymap.resolve(view.contexts, keymap.active().by_id[action].keys[0]) == action
    assert view.act("hosts.sort") == (Say("Enter shows the processes, then this sorts them"),)


# --- a fleet --------------------------------------------------------------------------------------------------------


def test_hosts_of_a_fleet_stand_below_this_one(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    with h.tx() as tx:
        for metric, value in (("cpu", 71.0), ("disk:/pg", 66.0)):
            samples.describe_series(tx, f"host@db-rdv-1:{metric}", unit="%", max=100.0)
            samples.put_samples(tx, h.now, [Sample(f"host@db-rdv-1:{metric}", h.now, value, "%")])
    view = view_of(h, "db-rdv-1")
    assert [x.name for x in view.hosts] == ["ops-01", "db-rdv-1"]
    line = row_of(view, "db-rdv-1 ")
    assert "71%" in line
    assert "66%" in line
    assert "unknown" in line
    assert "n/a" in line  # no memory, no io: never 0
    assert "Resources of db-rdv-1" in "\n".join(painted(view, 120, 40))
    assert view.act("list.open") == (Say("processes are read of ops-01 only: nobody looks into db-rdv-1"),)
    h.close()


def asked(h, t: int, values: dict[str, float], failed: dict[str, str] | None = None, *, hosts: bool = True):
    """What a source answered at that time to two ``[[series]]``, and of the hosts that it knows."""
    queries = {} if hosts else {"cdm_lag": "messages", "paid": ""}
    found = [Sample(name, t, value, "%" if name.endswith(("cpu", "mem")) else "") for name, value in values.items()]
    about = [SeriesInfo(s.series, "CPU", "%", 100.0) for s in found if s.series.endswith(":cpu")] if hosts else []
    with h.tx() as tx:
        metrics.put_readings(tx, "prom", queries, Readings(samples=found, failed=failed or {}, about=about))


def normal(h):
    with h.tx() as tx:
        body = json.dumps({"normal": [0.0, 5000.0]})
        tx.db.execute("INSERT OR REPLACE INTO configured VALUES ('series', 'cdm_lag', 0, ?)", (body,))
        tx.bump("configured")


def test_a_host_that_is_down_is_said_and_not_dropped(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="prometheus", poll_ms=10 * SECOND)
    asked(h, h.now - 300 * SECOND, {"host@etl-1:up": 1.0, "host@etl-1:cpu": 30.0})
    asked(h, h.now, {"host@etl-1:up": 0.0, "host@etl-2:up": 1.0, "host@etl-2:cpu": 70.0, "host@etl-9:up": 0.0})
    view = view_of(h)
    assert [(x.name, x.down, x.stale) for x in view.hosts] == [
        ("ops-01", False, False), ("etl-1", True, True), ("etl-2", False, False), ("etl-9", True, True),
    ]  # fmt: skip
    assert "down: nothing is measured for 5m" in row_of(view, "etl-1 ")
    assert "down: nothing is measured" in row_of(view, "etl-9 ")
    shown = painted(view, 120, 40)
    assert "2 hosts down" in shown[1]
    assert "2 of 4 answering" in shown[3]
    h.close()


def test_a_series_outside_its_normal_range_is_amber(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="prometheus", poll_ms=10 * SECOND)
    normal(h)
    asked(h, h.now, {"cdm_lag": 4999.0}, {"paid": "the query is refused: parse error"}, hosts=False)
    view = view_of(h, "cdm_lag")
    assert "normal 0.00 messages to 5,000 messages" in row_of(view, "cdm_lag ")
    assert "run-late" not in " ".join(styles(view, "cdm_lag"))
    assert "the query is refused: parse error" in row_of(view, "paid ")
    assert "2 series  1 without a reading" in row_of(view, "prom ")
    asked(h, h.now - SECOND, {"cdm_lag": 4000.0}, hosts=False)  # an older answer that comes late changes nothing
    assert "above normal" not in row_of(view_of(h, "cdm_lag"), "cdm_lag ")
    with h.tx() as tx:
        tx.db.execute("UPDATE configured SET body = ? WHERE kind = 'series'", (json.dumps({"normal": [0.0, 4000.0]}),))
    view = view_of(h, "cdm_lag")
    assert "above normal 0.00 messages" in row_of(view, "cdm_lag ")
    assert "cdm_lag above normal" in painted(view, 160, 40)[1]
    h.close()


def test_what_is_old_is_stale_with_its_reason_and_not_amber(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="prometheus", poll_ms=10 * SECOND)
    normal(h)
    asked(h, h.now - 120 * SECOND, {"cdm_lag": 9000.0}, hosts=False)
    asked(h, h.now, {}, {"cdm_lag": "it has no data now"}, hosts=False)
    view = view_of(h, "cdm_lag")
    line = row_of(view, "cdm_lag ", (160, 40))
    assert "no reading for 2m: it has no data now" in line
    assert "9,000" in line
    found = styles(view, "cdm_lag", (160, 40))
    assert "run-stale" in found
    assert "run-late" not in found
    assert "above normal" not in "\n".join(painted(view, 160, 40))
    h.close()


def test_many_hosts_leave_room_for_the_rest_and_ask_for_few_curves(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="prometheus", poll_ms=10 * SECOND)
    asked(h, h.now, {f"host@n{i:03d}:{m}": 5.0 for i in range(200) for m in ("up", "cpu", "mem", "load1")})
    view = view_of(h, "n150")
    shown = painted(view, 120, 40)
    assert any(line.strip(" ▌").startswith("n150") for line in shown)
    assert "of 201" in shown[3]
    assert any("Resources of n150" in line for line in shown)
    assert len([name for name in view._drawn() if name.endswith(":load1")]) == 1
    view.act("move.up")
    painted(view, 120, 40)
    h.close()


def test_a_host_that_nothing_was_heard_of_for_a_day_is_no_row(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="prometheus", poll_ms=10 * SECOND)
    asked(h, h.now - DAY - SECOND, {"host@gone:cpu": 1.0})
    asked(h, h.now, {"host@here:cpu": 1.0})
    assert [x.name for x in view_of(h).hosts] == ["ops-01", "here"]
    h.close()


def test_names_from_outside_are_harmless(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    with h.tx() as tx:
        samples.describe_series(tx, "host.disk:/mnt/\x1b[31mred\u202e", unit="%", max=100.0, note="\x1b]0;x\x07")
        samples.put_samples(tx, h.now, [Sample("host.disk:/mnt/\x1b[31mred\u202e", h.now, 5.0, "%")])
    for size in SIZES:
        painted(view_of(h), *size)
    h.close()


# --- for scripts ----------------------------------------------------------------------------------------------------


def test_for_scripts(busy):
    view = registry.make("hosts", busy.context())
    data = json.loads(json.dumps(view.data()))
    assert data["stale"] is False
    assert data["hosts"] == [{"host": "ops-01", "sampled": NOW, "running": 1, "down": False, "stale": False}]
    assert data["chart"]["series"] == "host.cpu"
    assert data["chart"]["peak"] == pytest.approx(97, abs=1)
    assert data["chart"]["until"] - data["chart"]["since"] >= DAY
    disk = next(c for c in data["capacity"] if c["series"] == "host.disk:/data")
    assert disk["days_left"] == pytest.approx(8.5, abs=1.0)
    assert [r["name"] for r in data["running"]] == ["ldz_to_rdv_transactions", "no run of ours"]
    rows = {r["series"]: r for r in view.rows()}
    assert rows["host.psi.io"]["value"] is None
    assert rows["host.psi.io"]["note"] == "no PSI in this kernel"
    assert rows["host.cpu"]["unusual"] == "high"
    assert len({tuple(r) for r in view.rows()}) == 1  # one set of columns


def test_moving_asks_the_store_for_no_more_than_the_curve(busy, monkeypatch):
    view = view_of(busy)
    painted(view, 120, 40)
    asked: list[str] = []
    reader = view.context.reader
    for name in ("series", "capacity", "usual", "runs_between", "used_by_runs", "chart"):
        whole = getattr(reader, name)
        monkeypatch.setattr(reader, name, lambda *a, name=name, whole=whole, **k: asked.append(name) or whole(*a, **k))
    view.act("move.down")
    painted(view, 120, 40)
    view.act("move.down")
    painted(view, 120, 40)
    assert asked == ["chart"]  # the first row below a host is its CPU, which stands already
    view.load()
    assert set(asked[1:]) == {"series", "used_by_runs"}


def test_text_of_the_screen_has_no_tab(busy):
    assert not any("\t" in line for line in text_of(view_of(busy).paint(120, 40)))
    assert hosts.RECENT == 16


# --- the same truth elsewhere ---------------------------------------------------------------------------------------


def test_every_screen_says_when_the_disk_is_full(busy):
    for name in ("floor", "runs", "sources"):
        view = registry.make(name, busy.context())
        view.load()
        for size in SIZES:
            line = next(line for line in painted(view, *size) if line.startswith(" ops-01"))
            assert "/data ━" in line
            assert "81% full in 8d" in line


def test_a_run_of_this_host_has_its_curve_under_its_steps(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    key = "local:ldz_to_rdv_transactions/t1"
    for ago in range(9 * 60, -1, -1):
        t = h.now - ago * 1000
        with h.tx() as tx:
            samples.put_samples(tx, t, [Sample(f"run.cpu:{key}", t, 90.0 if ago > 240 else 20.0, "% core")])
    view = registry.make("run", h.context(), key)
    view.load()
    shown = painted(view, 120, 40)
    at = next(i for i, line in enumerate(shown) if line.startswith(" CPU of this run"))
    step = next(i for i, line in enumerate(shown) if "merge_txn" in line and "█" in line)
    assert "peak 212%" in shown[at] or "peak 90%" in shown[at]
    bar, curve = shown[step], shown[at]
    assert bar.index("█") == len(curve) - len(curve[bar.index("█") :])  # the same columns
    assert curve[bar.index("█")] in "▃▄▅▆▇█"
    assert curve[bar.rindex("█") - 3] in "▁▂"
    assert curve.rstrip()[-1] in "▁▂▃▄▅▆▇█"
    h.close()


def test_a_run_elsewhere_has_none(busy):
    h = busy
    view = registry.make("run", h.context(), "local:contracts_load/c1")
    view.load()
    assert not any("CPU of" in line for line in painted(view, 120, 40))  # no steps: no axis


def test_the_morning_check_reckons_with_the_same_limit(busy):
    view = registry.make("morning", busy.context())
    view.load()
    line = next(line for line in painted(view, 200, 50) if "disk /data" in line)
    assert "at 90% in 8d at this pace" in line
