"""Hosts of a fleet, and the same truth elsewhere."""

from __future__ import annotations

import json

import pytest

from adapters.extras import Readings
from adapters.model import Health, Sample
from engine.store import metrics, samples
from tests.tui import host_stores
from tests.tui.hosts_parts import asked, row_of, styles, view_of
from tests.tui.stores import DAY, MINUTE, SECOND, SIZES, House, painted
from tui import registry
from tui.view import Say


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
    assert "normal 0 messages to 5,000 messages" in row_of(view, "cdm_lag ")
    assert "run-late" not in " ".join(styles(view, "cdm_lag"))
    assert "the query is refused: parse error" in row_of(view, "paid ")
    assert "2 series  1 not measured now" in row_of(view, "prom ")
    asked(h, h.now - SECOND, {"cdm_lag": 4000.0}, hosts=False)  # an older answer that comes late changes nothing
    assert "above normal" not in row_of(view_of(h, "cdm_lag"), "cdm_lag ")
    with h.tx() as tx:
        tx.db.execute("UPDATE configured SET body = ? WHERE kind = 'series'", (json.dumps({"normal": [0.0, 4000.0]}),))
    view = view_of(h, "cdm_lag")
    assert "above normal 0 messages" in row_of(view, "cdm_lag ")
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


def test_numbers_of_a_source_that_does_not_answer_say_what_is_wrong_with_it(tmp_path):
    """They are not asked for then: nothing is known of them but what is known of their source."""
    h = host_stores.busy(tmp_path, days=1)
    bad = {"health": Health.BAD_ANSWER, "detail": "an HTML page, not JSON", "ok_ago": 2 * MINUTE}
    h.source("prom", kind="http", poll_ms=10 * SECOND, **bad)
    asked(h, h.now - 150 * SECOND, {"cdm_lag": 7.0, "paid": 1.0}, hosts=False)
    asked(h, h.now - 120 * SECOND, {"cdm_lag": 8.0}, {"paid": "nobody answers"}, hosts=False)
    with h.tx() as tx:
        tx.db.execute("UPDATE series_now SET tried = t, t = ?", (h.now - 120 * SECOND,))
    view = view_of(h, "cdm_lag")
    for name in ("cdm_lag ", "paid "):
        assert "no reading for 2m: an HTML page, not JSON" in row_of(view, name, (160, 40))
    h.close()


@pytest.mark.parametrize("size", SIZES)
def test_an_instant_and_a_date_are_whole_at_each_size(tmp_path, size):
    h = host_stores.busy(tmp_path, days=1)
    h.source("dwh", kind="sql", poll_ms=10 * SECOND)
    found = [Sample("loaded", h.now, 1795298205000.0, "time"), Sample("part", h.now, 1795219200000.0, "date")]
    with h.tx() as tx:
        metrics.put_readings(tx, "dwh", {"loaded": "time", "part": "date"}, Readings(samples=found))
    view = view_of(h, "loaded")
    line = row_of(view, "loaded ", size)
    assert "Sat 22:56 " in line, "by the clock of the reader, as on every other screen"
    assert "usual" not in line, "no time of the past is usual"
    assert "2026-11-21 " in row_of(view, "part ", size)
    asked(h, h.now, {"cdm_lag": 81_000.0}, hosts=False)
    assert "81,000 messages " in row_of(view_of(h, "cdm_lag"), "cdm_lag ", size)
    h.close()


def test_of_a_source_that_is_no_host_the_first_number_is_drawn(tmp_path):
    h = host_stores.busy(tmp_path, days=1)
    h.source("prom", kind="http", poll_ms=10 * SECOND)
    asked(h, h.now, {"cdm_lag": 8.0, "paid": 3.0}, hosts=False)
    view = view_of(h)
    while view.here is not None and view.here.name != "prom":
        view.act("move.down")
    shown = "\n".join(painted(view, 120, 40))
    assert "prom cdm_lag 24 h" in shown
    assert "no such sensor" not in shown
    bars = {line.index("│") for line in shown.splitlines() if line.count("│") == 1}
    assert len(bars) == 1, "a long unit moved a row of the curve"
    with h.tx() as tx:
        tx.db.execute("UPDATE series SET unit = 'time' WHERE name = 'cdm_lag'")
    assert "a moment has no curve; the newest is 1970-01-01" in "\n".join(painted(view_of(h, "cdm_lag"), 120, 40))
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
