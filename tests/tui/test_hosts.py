"""Hosts: levels and their colours, what a machine lacks, the keys, what scripts get."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engine.store.rows import Chart, SeriesRow, UsualRow
from tests.tui import host_stores, snap
from tests.tui.hosts_parts import row_of, styles, view_of
from tests.tui.stores import DAY, MINUTE, NOW, SIZES, House, painted, text_of
from tui import keymap, registry
from tui.present import hosts
from tui.present.hosts import Resource
from tui.screens.hosts import HostsView
from tui.view import Back, Say


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
