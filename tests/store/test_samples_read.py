"""Samples as they are read: charts lose nothing, when it is full, who used it."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import RunKind, Sample, State
from engine.config.model import Limit
from engine.store import retention, samples, steps
from engine.store.samples_rows import LIMITS, cells_of, limit_of, of_series
from tests.store.rig import DAY, HOUR, MIN, Rig, a_run
from tests.store.samples_parts import MIDNIGHT, fill, put, tick

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
