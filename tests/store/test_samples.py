"""Samples in tiers: the roll-ups agree with what was measured, also over restarts and a clock that jumps; charts lose nothing."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import RunKind, Sample, State
from engine.config.model import Limit
from engine.store import retention, samples, steps
from engine.store.samples_rows import LIMITS, cells_of, limit_of, of_series
from engine.store.writer import Store
from tests.store.rig import DAY, HOUR, MIN, Rig, a_run

MIDNIGHT = 1_795_046_400_000
"""Thu 19 Nov 2026 00:00 UTC."""
assert MIDNIGHT % DAY == 0


def put(rig: Rig, t: int, **values: float) -> None:
    rig.clock.at = t
    with rig.store.transaction() as tx:
        samples.put_samples(tx, t, [Sample(name.replace("_", "."), t, value, "%") for name, value in values.items()])


def fill(rig: Rig, name: str, peaks: Sequence[tuple[int, float]]) -> None:
    """A whole history at once: ten minute means of these (day before today, highest value), as the tiers would hold them."""
    today = rig.clock.at // DAY
    with rig.store.transaction() as tx:
        number = samples.series_id(tx, name, "%")
        tx.db.executemany(
            "INSERT OR REPLACE INTO sample_10m (series_id, t, n, avg, min, max) VALUES (?, ?, 600, ?, ?, ?)",
            [(number, (today - ago) * DAY + h * HOUR, v - 1, v - 2, v) for ago, v in peaks for h in range(24)],
        )
        tx.memo.clear()


def tick(rig: Rig, times: int = 1) -> None:
    for _ in range(times):
        rig.clock.at += 1000
        with rig.store.transaction() as tx:
            samples.roll_up(tx, rig.clock.at)


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


# --- charts ---------------------------------------------------------------------------------------------------------

readings = st.lists(
    st.tuples(st.integers(-20, 300), st.floats(-1e9, 1e9), st.floats(0, 100), st.integers(1, 50)), max_size=60
).map(
    lambda rows: [(t * 1000, 1000, n, avg, avg - off, avg + off) for t, avg, off, n in {r[0]: r for r in rows}.values()]
)


@given(readings, st.integers(1, 300))
def test_cells_lose_no_reading_invent_none_and_keep_gaps(rows, points) -> None:
    since, until = 0, 300_000
    cells = cells_of(rows, since, until, points)
    assert len(cells) == points
    short = [r for r in rows if 0 <= r[0] < until]
    for x, cell in enumerate(cells):
        inside = [r for r in short if r[0] * points // until == x]
        assert (cell is None) == (not inside)
        if cell is not None:
            mean, low, high = cell
            assert low == min(r[4] for r in inside)
            assert high == max(r[5] for r in inside)
            assert low <= mean <= high


@given(st.integers(0, 29), st.integers(1, 200))
def test_a_bucket_longer_than_a_cell_stands_in_every_cell_that_it_covers(at, points) -> None:
    cells = cells_of([(at * 10_000, 10_000, 1, 5.0, 5.0, 5.0)], 0, 300_000, points)
    covered = [
        x
        for x in range(points)
        if x * 300_000 / points < (at + 1) * 10_000 and (x + 1) * 300_000 / points > at * 10_000
    ]
    filled = [x for x, cell in enumerate(cells) if cell is not None]
    assert filled == (covered if 10_000 * points > 300_000 else [at * 10_000 * points // 300_000])


@pytest.fixture(scope="module")
def two_days(tmp_path_factory) -> Iterator[Rig]:
    """Two days of a reading each ten seconds, with a hole of an hour, and what they were."""
    rig = Rig(tmp_path_factory.mktemp("days"))
    rng = random.Random(7)
    rig.times, rig.values = [], []  # type: ignore[attr-defined]
    start = MIDNIGHT - 18 * HOUR
    with rig.store.transaction() as tx:
        for i in range(0, 2 * DAY, 10_000):
            t = start + i
            if 20 * HOUR <= i < 21 * HOUR:
                continue
            rig.times.append(t)  # type: ignore[attr-defined]
            rig.values.append(rng.uniform(0, 100))  # type: ignore[attr-defined]
            samples.put_samples(tx, t, [Sample("host.cpu", t, rig.values[-1], "%")])  # type: ignore[attr-defined]
    rig.clock.at = start + 2 * DAY
    yield rig
    rig.close()


@settings(max_examples=60, deadline=None)
@given(ago=st.integers(0, 45 * 60), minutes=st.integers(1, 40 * 60), points=st.integers(1, 200))
def test_a_chart_of_any_range_loses_nothing_and_leaves_no_extreme(two_days, ago, minutes, points) -> None:
    until = two_days.clock.at - ago * MIN
    since = until - minutes * MIN
    chart = two_days.reader.chart(["host.cpu"], since, until, points)["host.cpu"]
    times, values = two_days.times, two_days.values
    edge = 600_000  # the longest bucket: at the ends of a cell it may lie on either side

    def between(a: float, b: float) -> list[float]:
        return values[bisect_left(times, a) : bisect_left(times, b)]

    lows = [c[1] for c in chart.cells if c]
    highs = [c[2] for c in chart.cells if c]
    if core := between(since + edge, until - edge):
        assert min(lows) <= min(core)
        assert max(highs) >= max(core)
    if lows:
        near = between(since - edge, until + edge)
        assert min(lows) >= min(near)
        assert max(highs) <= max(near)
        assert chart.peak == max(highs)
    cell = (until - since) / points
    for x, found in enumerate(chart.cells):
        a, b = since + x * cell, since + (x + 1) * cell
        if found is None:
            assert not between(a + edge, b - edge)
        else:
            assert found[1] <= found[0] <= found[2]
            assert between(a - edge, b + edge)


def test_a_chart_is_complete_up_to_now_although_its_tier_is_not(rig: Rig) -> None:
    for i in range(0, 2 * 3600, 5):
        put(rig, MIDNIGHT + i * 1000, host_cpu=float(i))
    put(rig, MIDNIGHT + 2 * HOUR + 3000, host_cpu=99_999.0)
    chart = rig.reader.chart(["host.cpu", "host.none"], MIDNIGHT, MIDNIGHT + 2 * HOUR + 600_000, 13)
    assert list(chart) == ["host.cpu"]
    cells = chart["host.cpu"].cells
    assert None not in cells[:12]
    assert cells[12] == (99_999.0, 99_999.0, 99_999.0)
    assert chart["host.cpu"].peak == 99_999.0
    assert chart["host.cpu"].peak_at == MIDNIGHT + 2 * HOUR + 3000
    assert chart["host.cpu"].p50 is not None


def test_a_long_chart_reads_days_where_the_finer_tiers_end(rig: Rig) -> None:
    fill(rig, "host.cpu", [(ago, 40.0 + ago) for ago in range(1, 60)])
    tick(rig)
    with rig.store.transaction() as tx:
        retention.sweep(tx, 400 * DAY)
    now = rig.clock.at
    chart = rig.reader.chart(["host.cpu"], now // DAY * DAY - 59 * DAY, now // DAY * DAY, 59)["host.cpu"]
    assert [c[2] for c in chart.cells if c] == [40.0 + ago for ago in range(59, 0, -1)]
    fine = rig.reader.chart(["host.cpu"], now // DAY * DAY - 40 * DAY, now // DAY * DAY, 400)["host.cpu"]
    assert None not in fine.cells[:90]  # of days, because nothing finer is left
    assert max(c[2] for c in fine.cells if c) == 80.0


# --- when is it full ------------------------------------------------------------------------------------------------


def ready(rig: Rig, peaks: Sequence[tuple[int, float]], name: str = "host.disk:/data") -> None:
    fill(rig, name, peaks)
    tick(rig)


def test_days_to_the_limit_are_theil_sen_over_daily_peaks(rig: Rig) -> None:
    """70 + 0.9 a day over 14 days, limit 85: 3.67 days. One bad day at 20 % changes nothing; least squares would say 5.87."""
    for bad in (None, 5):
        ready(rig, [(13 - d, 20.0 if d == bad else 70 + 0.9 * d) for d in range(14)])
        with rig.store.transaction() as tx:
            tx.db.execute("DELETE FROM configured")
            tx.db.execute(
                "INSERT INTO configured VALUES ('limit', 'host.disk:/data', 0, '{\"limit\": 85, \"words\": \"dba\"}')"
            )
        (c,) = rig.reader.capacity("host.disk:")
        assert c.days == pytest.approx(3.67, abs=0.01)
        assert c.per_day == pytest.approx(0.9)
        assert (c.n, c.limit, c.declared, c.words, c.soon, c.learning) == (14, 85.0, True, "dba", True, False)
        today = date(1970, 1, 1) + timedelta(days=rig.clock.at // DAY)
        assert c.on == today + timedelta(days=4)
        assert len(c.past) == 30
        assert c.past[-1] == pytest.approx(81.7)
        assert c.past[:16] == (None,) * 16


def test_below_fourteen_days_nothing_is_said(rig: Rig) -> None:
    ready(rig, [(8 - d, 70 + 0.9 * d) for d in range(9)])
    (c,) = rig.reader.capacity()
    assert (c.n, c.need, c.learning, c.days, c.per_day, c.soon) == (9, 14, True, None, None, False)
    assert (c.limit, c.declared) == (90.0, False)


def test_what_does_not_grow_never_fills_up(rig: Rig) -> None:
    ready(rig, [(20 - d, 60 - 0.1 * d) for d in range(21)])
    (c,) = rig.reader.capacity()
    assert c.days is None
    assert c.per_day is not None
    assert c.per_day < 0


def test_a_limit_of_nothing_is_said_and_comes_last(rig: Rig) -> None:
    ready(rig, [(20 - d, 60 + 0.1 * d) for d in range(21)])
    with rig.store.transaction() as tx:
        tx.db.execute("INSERT INTO configured VALUES ('limit', 'host.disk:/dat', 0, '{\"limit\": 85}')")
        tx.db.execute("INSERT INTO configured VALUES ('limit', 'host.gpu*', 1, '{\"limit\": 85}')")
    found = rig.reader.capacity()
    assert [(c.series, c.seen) for c in found] == [("host.disk:/data", True), ("host.disk:/dat", False)]


def test_a_forecast_is_reckoned_anew_only_when_a_peak_moves(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.store import samples_asked

    ready(rig, [(20 - d, 60 + 0.1 * d) for d in range(21)])
    asked: list[int] = []
    whole = samples_asked.forecast
    monkeypatch.setattr(samples_asked, "forecast", lambda *given: asked.append(1) or whole(*given))
    for _ in range(3):
        rig.reader.capacity()
    assert len(asked) == 1
    put(rig, rig.clock.at + 1000, **{"host_disk:/data": 80.0})
    (c,) = rig.reader.capacity()
    assert len(asked) == 2
    assert c.value == 80.0


def test_the_first_limit_that_means_a_series_wins() -> None:
    declared = [("host.disk:/data", 85.0, "dba"), ("host.disk:*", 70.0, "")]
    assert limit_of("host.disk:/data", declared) == (85.0, True, "dba")
    assert limit_of("host.disk:/x", declared) == (70.0, True, "")
    assert limit_of("host.disk:/x", []) == (90.0, False, "")
    assert limit_of("host.disk:/[a]", [("host.disk:/[a]", 50.0, "")]) == (50.0, True, "")
    assert limit_of("host.cpu", declared) is None
    assert all(isinstance(limit, float) for _, limit in LIMITS)
    assert Limit(on="host.cpu", limit=1.0).words == ""


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("host.cpu", (None, "cpu")), ("host.disk:/data", (None, "disk:/data")), ("host@db-1:disk:/a@b", ("db-1", "disk:/a@b")),
        ("dbx dbu", (None, "dbx dbu")), ("host@:x", (None, "host@:x")),
    ],
)  # fmt: skip
def test_a_name_says_whose_series_it_is(name, what) -> None:
    assert of_series(name) == what


def test_usual_is_the_band_of_the_same_hours(rig: Rig) -> None:
    now = rig.clock.at
    with rig.store.transaction() as tx:
        number = samples.series_id(tx, "host.cpu", "%")
        for ago in range(1, 15):
            for ten in range(144):
                t = (now // 600_000 - ago * 144 + ten) * 600_000
                near = ten < 6 or ten >= 138
                tx.db.execute(
                    "INSERT OR REPLACE INTO sample_10m VALUES (?, ?, 600, ?, 0, 100)",
                    (number, t, 30.0 + ago if near else 90.0),
                )
    usual = rig.reader.usual(["host.cpu", "host.mem"])
    assert list(usual) == ["host.cpu"]
    assert 30 <= usual["host.cpu"].low <= 33
    assert 42 <= usual["host.cpu"].high <= 44
    assert usual["host.cpu"].days == 14
    with rig.store.transaction() as tx:
        tx.db.execute("DELETE FROM sample_10m WHERE t < ?", (now - 6 * DAY,))
    assert rig.reader.usual(["host.cpu"]) == {}


# --- who used it ----------------------------------------------------------------------------------------------------


def test_what_runs_use_and_what_is_no_run_of_ours(rig: Rig) -> None:
    rig.see(a_run("1"), a_run("2", State.SUCCESS, ended=rig.clock.at))
    with rig.store.transaction() as tx:
        from adapters.model import StepRun

        steps.apply_steps(
            tx,
            "a:p/1",
            [StepRun(run="a:p/1", step="load", state=State.RUNNING, native="running", started=rig.clock.at)],
        )
    t = rig.clock.at
    with rig.store.transaction() as tx:
        values = {
            "host.cpu": 50.0, "host.cpu.0": 60.0, "host.cpu.1": 40.0, "host.mem.used": 8e9, "run.cpu:a:p/1": 70.0, "run.rss:a:p/1": 3e9,
            "run.cpu:a:p/2": 10.0, "run.rss:a:q/9": 1e9,
        }  # fmt: skip
        samples.put_samples(tx, t, [Sample(name, t, value) for name, value in values.items()])
    use = rig.reader.used_by_runs()
    assert (use.at, use.cores) == (t, 2)
    assert [(u.run_key, u.name, u.step, u.cpu, u.rss) for u in use.runs] == [
        ("a:p/1", "p", "load", 70.0, 3e9), ("a:q/9", "a:q/9", None, None, 1e9),
    ]  # fmt: skip
    assert use.rest is not None
    assert (use.rest.cpu, use.rest.rss) == (pytest.approx(30.0), 4e9)


def test_without_sensors_nothing_is_said_of_the_rest(rig: Rig) -> None:
    assert rig.reader.used_by_runs().rest is None
    put(rig, rig.clock.at, host_load1=1.0)
    assert rig.reader.used_by_runs().rest is None
    assert rig.reader.used_by_runs().runs == ()


def test_runs_between_are_the_busiest_of_this_host(rig: Rig) -> None:
    now = rig.clock.at
    rig.list("p", "q", "idle", "old")
    rig.see(
        a_run("1", State.SUCCESS, started=now - 5 * HOUR, ended=now - 4 * HOUR),
        a_run("2", State.SUCCESS, pipeline="a:q", started=now - 3 * HOUR, ended=now - 3 * HOUR + MIN),
        a_run("3", State.RUNNING, pipeline="a:q", started=now - MIN),
        a_run("4", State.SUCCESS, pipeline="a:old", started=now - 3 * DAY, ended=now - 3 * DAY + 2 * HOUR),
    )
    lanes = rig.reader.runs_between(now - 12 * HOUR, now)
    assert [(lane.name, [b.run_key for b in lane.bars], lane.since) for lane in lanes] == [
        ("q", ["a:q/2", "a:q/3"], None), ("p", ["a:p/1"], None),
    ]  # fmt: skip
    assert [lane.name for lane in rig.reader.runs_between(now - 12 * HOUR, now, lanes=1)] == ["q"]


def test_a_lane_says_from_when_it_knows_all(rig: Rig) -> None:
    now = rig.clock.at
    rig.see(
        *(
            a_run(f"m{i}", State.SUCCESS, started=now - i * MIN, ended=now - i * MIN + 1000, kind=RunKind.SCHEDULED)
            for i in range(500)
        )
    )
    (lane,) = rig.reader.runs_between(now - 12 * HOUR, now + 1)
    assert len(lane.bars) == 300
    assert lane.since == lane.bars[0].at
    assert rig.reader.runs_between(now - 3 * HOUR, now + 1)[0].since is None


def test_series_of_runs_cost_no_question(rig: Rig) -> None:
    from tests.store.test_reader import Watched

    put(rig, rig.clock.at, host_cpu=1.0, rx=1.0, zz=2.0, **{"host_disk:/": 50.0})
    with rig.store.transaction() as tx:
        for i in range(300):
            samples.series_id(tx, f"run.cpu:a:p/{i}", "% core")
    watched = Watched(rig.path, rig.clock.now)
    assert [r.series for r in watched.series("")] == ["host.cpu", "host.disk:/", "rx", "zz"]
    assert [c.series for c in watched.capacity()] == ["host.disk:/"]
    assert len(watched.asked) < 20
    for sql, values in watched.asked:
        plan = [row[3] for row in Watched.__mro__[1].all(watched, "EXPLAIN QUERY PLAN " + sql, values)]
        assert not any(line.startswith("SCAN series") for line in plan), (sql, plan)
    watched.close()


def test_the_process_table_in_two_orders(rig: Rig) -> None:
    from adapters.metrics.host import ProcessSample

    assert rig.reader.process_table() == (None, [])
    with rig.store.transaction() as tx:
        samples.put_processes(
            tx,
            77,
            [
                ProcessSample(1, 0, "init", "root", 0.1, 9_000, None),
                ProcessSample(2, 1, "python", "ana", 90.0, 100, "a:p/1"),
            ],
        )
    at, rows = rig.reader.process_table()
    assert (at, [p.pid for p in rows]) == (77, [2, 1])
    assert [p.pid for p in rig.reader.process_table("memory")[1]] == [1, 2]


def test_no_question_about_samples_reads_all_runs_or_all_samples(rig: Rig) -> None:
    from tests.store.test_reader import Watched

    put(rig, rig.clock.at, host_cpu=1.0, **{"host_disk:/": 1.0, "run_cpu:a:p/1": 1.0})
    rig.see(a_run("1"))
    watched = Watched(Path(rig.path), rig.clock.now)
    now = rig.clock.at
    watched.series()
    watched.chart(["host.cpu"], now - DAY, now, 100)
    watched.days("host.cpu")
    watched.usual(["host.cpu"])
    watched.capacity()
    watched.runs_between(now - DAY, now)
    watched.used_by_runs()
    for sql, values in watched.asked:
        for row in Watched.__mro__[1].all(watched, "EXPLAIN QUERY PLAN " + sql, values):
            for table in ("run", "r", "sample_raw", "sample_10s", "sample_1m", "sample_10m", "sample_day", "o"):
                if sql.endswith("FROM sample_raw ORDER BY t DESC LIMIT 1"):
                    continue
                assert not row[3].startswith(f"SCAN {table} "), (sql, row[3])
                assert row[3] != f"SCAN {table}", sql
    watched.close()
