"""Samples in tiers: the roll-ups agree with what was measured, also over restarts and a clock that jumps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import Sample
from engine.store import retention, samples
from engine.store.writer import Store
from tests.store.rig import DAY, HOUR, MIN, Rig
from tests.store.samples_parts import MIDNIGHT, fill, put, tick

# --- tiers agree with what was measured -----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps_=st.lists(st.integers(1, 400), min_size=2, max_size=120),
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9),
    restarts=st.sets(st.integers(0, 119), max_size=3),
)
def test_each_tier_says_what_raw_said(tmp_path_factory, steps_, values, restarts) -> None:
    rig = Rig(tmp_path_factory.mktemp("tiers"))
    try:
        t = MIDNIGHT - 90 * MIN
        was: list[tuple[int, float]] = []
        for i, step in enumerate(steps_):
            t += step * 1000
            value = values[i % len(values)]
            was.append((t, value))
            put(rig, t, host_cpu=value)
            if i in restarts:
                rig.store.close()
                rig.store = Store.open(rig.path, rig.clock)
        for table, bucket, _, _ in samples.TIERS:
            upto = t // bucket * bucket
            wanted: dict[int, list[float]] = {}
            for at, value in was:
                if at < upto:
                    wanted.setdefault(at // bucket * bucket, []).append(value)
            rows = rig.ask(f"SELECT t, n, avg, min, max FROM {table} ORDER BY t")  # noqa: S608
            assert [r[0] for r in rows] == sorted(wanted)
            for at, n, avg, low, high in rows:
                assert n == len(wanted[at])
                assert avg == pytest.approx(sum(wanted[at]) / n, rel=1e-9, abs=1e-3)
                assert (low, high) == (min(wanted[at]), max(wanted[at]))
    finally:
        rig.close()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_was_not_measured(rig: Rig, value: float) -> None:
    put(rig, MIDNIGHT, host_cpu=value, host_mem=1.0)
    assert [(r.series, r.value) for r in rig.reader.series()] == [("host.mem", 1.0)]


def test_a_day_is_one_row_with_its_extremes(rig: Rig) -> None:
    for i in range(0, 26 * 60, 5):
        put(rig, MIDNIGHT + i * MIN, host_cpu=float(i))
    tick(rig)
    (row,) = rig.ask("SELECT day, n, avg, min, max FROM sample_day")
    assert row == (MIDNIGHT // DAY, 288, pytest.approx(717.5), 0.0, 1435.0)
    days = rig.reader.days("host.cpu")
    assert [(d.n, d.high, d.open) for d in days] == [(288, 1435.0, False), (24, 1555.0, True)]
    assert days[1].day - days[0].day == timedelta(1)
    assert rig.reader.days("host.none") == []


def test_many_series_are_rolled_a_few_a_tick(rig: Rig) -> None:
    names = [f"host_s{i}" for i in range(20)]
    for i in range(0, 1440, 30):
        put(rig, MIDNIGHT + i * MIN, **dict.fromkeys(names, 1.0))
    put(rig, MIDNIGHT + DAY, **dict.fromkeys(names, 2.0))
    assert rig.ask("SELECT count(*) FROM sample_day") == [(samples.DAY_PORTION,)]
    rig.store.close()  # killed in the middle
    rig.store = Store.open(rig.path, rig.clock)
    tick(rig, 3)
    assert rig.ask("SELECT count(*), sum(n) FROM sample_day") == [(20, 20 * 48)]
    assert rig.reader.days("host.s19")[0].n == 48


def test_runs_are_not_rolled_up_into_days_and_their_series_go(rig: Rig) -> None:
    for i in range(0, 1440, 2):
        rig.clock.at = t = MIDNIGHT + i * MIN
        with rig.store.transaction() as tx:
            samples.put_samples(tx, t, [Sample("run.cpu:a:p/1", t, 50.0), Sample("host.cpu", t, 1.0)])
    put(rig, MIDNIGHT + DAY + HOUR, host_cpu=1.0)
    whose = "SELECT count(*) FROM {} o JOIN series s ON s.id = o.series_id WHERE s.name LIKE 'run.%'"
    assert rig.ask(whose.format("sample_1m"))[0][0] == 720
    assert rig.ask(whose.format("sample_10m")) == rig.ask(whose.format("sample_day")) == [(0,)]
    rig.clock.at += 8 * DAY
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    assert rig.ask("SELECT name FROM series") == [("host.cpu",)]
    put(rig, rig.clock.at, run_x=1.0)  # a new series takes no number that still has readings
    assert rig.ask("SELECT count(*) FROM sample_10m o JOIN series s ON s.id = o.series_id WHERE s.name = 'run.x'") == [
        (0,)
    ]


def test_each_tier_is_kept_for_its_time(rig: Rig) -> None:
    fill(rig, "host.cpu", [(ago, 50.0) for ago in range(1, 500)])
    tick(rig)
    assert rig.ask("SELECT count(*) FROM sample_day") == [(499,)]
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    assert rig.ask("SELECT count(*) FROM sample_day") == [(400,)]
    assert rig.ask("SELECT min(t) >= ? FROM sample_10m", rig.clock.at - 30 * DAY) == [(1,)]


def test_a_sweep_takes_a_portion_and_the_next_goes_on(rig: Rig) -> None:
    for i in range(7):
        fill(rig, f"host.s{i}", [(40, 1.0)])
    left = []
    for _ in range(3):
        with rig.store.transaction() as tx:
            samples.forget(tx, 3)
        left.append(rig.ask("SELECT count(DISTINCT series_id) FROM sample_10m")[0][0])
    assert left == [4, 1, 0]


def test_what_is_too_old_after_a_night_asleep_goes_in_portions(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "RAW_PORTION", 100)
    lived(rig, MIDNIGHT, 50, 10.0)
    left = []
    for minute in range(3):
        put(rig, MIDNIGHT + 9 * HOUR + minute * MIN, host_cpu=1.0)
        left.append(rig.ask("SELECT count(*) FROM sample_raw WHERE t < ?", MIDNIGHT + HOUR)[0][0])
    assert left == [50, 0, 0]
    assert rig.ask("SELECT sum(n) FROM sample_10m WHERE t < ?", MIDNIGHT + HOUR) == [(150,)]


# --- a clock that jumps ---------------------------------------------------------------------------------------------


def lived(rig: Rig, start: int, minutes: int, value: float) -> int:
    for i in range(0, minutes * 60, 20):
        put(rig, start + i * 1000, host_cpu=value)
    return start + minutes * MIN


@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_set_back_by_an_hour_doubles_nothing(rig: Rig, restart: bool) -> None:
    end = lived(rig, MIDNIGHT, 90, 10.0)
    back = end - HOUR
    if restart:
        rig.store.close()
        rig.store = Store.open(rig.path, rig.clock)
    lived(rig, back, 120, 20.0)
    put(rig, back + 120 * MIN, host_cpu=20.0)
    for table, bucket, _, _ in samples.TIERS:
        rows = rig.ask(f"SELECT t, n, avg FROM {table} ORDER BY t")  # noqa: S608
        assert all(n == bucket // 20_000 or bucket == 10_000 for _, n, _ in rows), table
        assert {avg for t, _, avg in rows if t >= back} == {20.0}
        assert {avg for t, _, avg in rows if t < back} == {10.0}
    (gauge,) = rig.reader.gauges(["host.cpu"])
    assert gauge.value == 20.0
    assert gauge.t == rig.clock.at


def test_the_gauge_goes_on_at_once_after_the_clock_went_back(rig: Rig) -> None:
    end = lived(rig, MIDNIGHT, 10, 10.0)
    put(rig, end - HOUR, host_cpu=33.0)
    (gauge,) = rig.reader.gauges(["host.cpu"])
    assert (gauge.value, gauge.past) == (33.0, (33.0,))


def test_a_clock_set_forward_leaves_a_gap(rig: Rig) -> None:
    end = lived(rig, MIDNIGHT, 60, 10.0)
    late = lived(rig, end + HOUR, 60, 20.0)
    put(rig, late, host_cpu=20.0)
    cells = rig.reader.chart(["host.cpu"], MIDNIGHT, MIDNIGHT + 3 * HOUR, 18)["host.cpu"].cells
    assert [c and c[0] for c in cells] == [10.0] * 6 + [None] * 6 + [20.0] * 6
    assert rig.ask("SELECT sum(n) FROM sample_10m") == [(360,)]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("then", [0, MIDNIGHT - 30 * DAY])
def test_a_clock_without_a_battery_takes_no_history_with_it(rig: Rig, then: int, restart: bool) -> None:
    end = lived(rig, MIDNIGHT - 2 * DAY, 30, 5.0)
    end = lived(rig, MIDNIGHT, 90, 10.0)
    ask = [f"SELECT count(*), sum(n), min(t) FROM {table}" for table, *_ in samples.TIERS[1:]]  # noqa: S608
    ask += ["SELECT count(*), sum(n), min(day) FROM sample_day"]
    before = [rig.ask(q) for q in ask]
    assert before[-1][0][0] == 1
    if restart:
        rig.store.close()
        rig.store = Store.open(rig.path, rig.clock)
    lived(rig, then, 5, 77.0)
    (gauge,) = rig.reader.gauges(["host.cpu"])
    assert (gauge.value, gauge.t) == (77.0, rig.clock.at), "and no gauge stands still"
    assert [rig.ask(q) for q in ask] == before
    put(rig, end + 5 * MIN, host_cpu=10.0)  # it was told the time again
    put(rig, end + 6 * MIN, host_cpu=10.0)
    assert rig.ask("SELECT count(*) FROM sample_1m WHERE avg = 77.0") == [(0,)]
    assert rig.ask("SELECT max(t) FROM sample_1m")[0][0] >= end + 5 * MIN, "the tiers go on"


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_tiers(rig: Rig) -> None:
    lived(rig, MIDNIGHT + 365 * DAY, 20, 99.0)
    rig.store.close()
    rig.store = Store.open(rig.path, rig.clock)
    end = lived(rig, MIDNIGHT, 20, 10.0)
    put(rig, end, host_cpu=10.0)
    assert rig.ask("SELECT DISTINCT avg FROM sample_10m") == [(10.0,)]
    assert rig.ask("SELECT max(t) FROM sample_raw") == [(end,)]
