"""Series that sources are asked for: late answers count, older ones change nothing, a past is taken once, and what goes goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.extras import Readings, SeriesInfo
from adapters.model import Sample
from engine.store import metrics, samples
from tests.store.rig import DAY, HOUR, MIN, Rig

MIDNIGHT = 1_795_046_400_000
ASKED = {"lag": "messages"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    one.clock.at = MIDNIGHT + 12 * HOUR
    yield one
    one.close()


def answer(
    rig: Rig, found: dict[str, float], *, t: int | None = None, failed: dict[str, str] | None = None, **more
) -> int:
    at = rig.clock.at if t is None else t
    readings = Readings(samples=[Sample(name, at, value) for name, value in found.items()], failed=failed or {})
    with rig.store.transaction() as tx:
        return metrics.put_readings(tx, "a", more.pop("queries", ASKED), readings, **more)


def beat(rig: Rig) -> None:
    """The engine's own second: what is closed is rolled up."""
    with rig.store.transaction() as tx:
        samples.put_samples(tx, rig.clock.at, [Sample("host.cpu", rig.clock.at, 1.0, "%")])


def now(rig: Rig, name: str = "lag"):
    return next(s for s in rig.reader.series("host", named=True) if s.series == name)


def test_a_query_is_there_before_its_first_answer(rig: Rig) -> None:
    with rig.store.transaction() as tx:
        metrics.put_queries(tx, "a", ASKED)
    row = now(rig)
    assert (row.t, row.value, row.unit, row.why, row.source, row.query) == (
        None,
        None,
        "messages",
        "not answered yet",
        "a",
        "lag",
    )


def test_the_last_reading_has_its_own_time_and_an_older_one_changes_nothing(rig: Rig) -> None:
    assert answer(rig, {"lag": 5.0}) == 1
    at = rig.clock.at
    rig.clock.at += 20_000
    assert answer(rig, {"lag": 4.0}, t=at - 10_000) == 0
    assert (now(rig).value, now(rig).t) == (5.0, at)
    assert now(rig).stale(at + 29_000) is False
    assert now(rig).stale(at + 30_000) is True


def test_what_its_source_reckons_once_a_day_is_not_stale_while_it_says_so(rig: Rig) -> None:
    reckoned = rig.clock.at - 5 * HOUR
    for _ in range(3):
        answer(rig, {"lag": 5.0}, t=reckoned)
        assert now(rig).t == reckoned
        assert not now(rig).stale(rig.clock.at + 10_000)
        rig.clock.at += 10 * MIN
    assert now(rig).stale(rig.clock.at)
    answer(rig, {}, failed={"lag": "no more"})
    assert now(rig).stale(rig.clock.at)


def test_a_source_whose_clock_is_ahead_is_dated_by_ours_and_nothing_lies_in_the_future(rig: Rig) -> None:
    answer(rig, {"lag": 5.0}, t=rig.clock.at + HOUR, skew=HOUR + 5_000)
    assert now(rig).t == rig.clock.at - 5_000
    answer(rig, {"lag": 6.0}, t=rig.clock.at + HOUR)
    assert now(rig).t == rig.clock.at


def test_why_there_is_none_stands_beside_what_was(rig: Rig) -> None:
    answer(rig, {"lag": 5.0})
    rig.clock.at += 10_000
    answer(rig, {}, failed={"lag": "the query is refused"})
    assert (now(rig).value, now(rig).why) == (5.0, "the query is refused")
    answer(rig, {"lag": 6.0})
    assert (now(rig).value, now(rig).why) == (6.0, None)
    with rig.store.transaction() as tx:
        metrics.put_failed(tx, "a", "nobody answers")
    assert now(rig).why == "nobody answers"


def test_answers_with_labels_stand_in_for_the_bare_name(rig: Rig) -> None:
    answer(rig, {})
    answer(rig, {"lag{topic=a}": 1.0, "lag{topic=b}": 2.0})
    assert [s.series for s in rig.reader.series("host", named=True)] == ["lag{topic=a}", "lag{topic=b}"]
    rig.clock.at += 10_000
    answer(rig, {"lag{topic=a}": 1.0})
    assert now(rig, "lag{topic=b}").why == "not in the answer"


def test_a_late_reading_counts_in_the_buckets_that_are_closed(rig: Rig) -> None:
    beat(rig)
    rig.clock.at += 20 * MIN
    beat(rig)
    late = rig.clock.at - 11 * MIN
    answer(rig, {"lag": 4.0}, t=late)
    rig.clock.at += 1_000
    answer(rig, {"lag": 8.0}, t=late + 1)
    for table, bucket in (("sample_10s", 10_000), ("sample_1m", MIN), ("sample_10m", 10 * MIN)):
        rows = rig.ask(
            f"SELECT o.t, o.n, o.avg, o.min, o.max FROM {table} o JOIN series s ON s.id = o.series_id WHERE s.name = 'lag'"  # noqa: S608
        )
        assert rows == [(late // bucket * bucket, 2, 6.0, 4.0, 8.0)], table


def test_a_past_makes_days_and_a_forecast_at_once(rig: Rig) -> None:
    for _ in range(2):
        beat(rig)
        rig.clock.at += 10 * MIN
    answer(rig, {"lag": 100.0})
    until = rig.clock.at
    past = [Sample("lag", t, 100.0 - (until - t) / DAY) for t in range(until - 31 * DAY, until + HOUR, 10 * MIN)]
    with rig.store.transaction() as tx:
        assert [(u.query, u.n) for u in metrics.unfilled(tx, "a")] == [("lag", 1)]
        taken = samples.put_past(tx, [*past, Sample("lag", until - DAY, float("nan"))])
        metrics.filled(tx, "a", "lag")
        assert metrics.unfilled(tx, "a") == []
    assert 30 * 144 - 2 <= taken <= 30 * 144 + 1
    days = rig.reader.days("lag", 40)
    assert 30 <= len(days) <= 31
    assert days[-1].open
    assert days[-2].n == 144
    rig.ask("INSERT INTO configured VALUES ('limit', 'lag', 0, '{\"limit\": 110, \"words\": \"\"}')")
    (row,) = [c for c in rig.reader.capacity() if c.series == "lag"]
    assert not row.learning
    assert row.per_day == pytest.approx(1.0, abs=0.01)
    assert row.days == pytest.approx(10.0, abs=0.5)


def test_after_a_gap_the_past_is_asked_for_again(rig: Rig) -> None:
    def open_() -> list[str | None]:
        with rig.store.transaction() as tx:
            return [u.query for u in metrics.unfilled(tx, "a")]

    answer(rig, {"lag": 1.0})
    with rig.store.transaction() as tx:
        metrics.filled(tx, "a", "lag")
    rig.clock.at += 19 * MIN
    answer(rig, {"lag": 1.0})
    assert open_() == []
    rig.clock.at += 21 * MIN
    answer(rig, {"lag": 1.0})
    assert open_() == ["lag"]


def test_a_new_unit_is_shown_at_once(rig: Rig) -> None:
    answer(rig, {"lag": 1.0})
    answer(rig, {"lag": 1.0}, queries={"lag": "rows"})
    assert now(rig).unit == "rows"


def test_a_past_never_overwrites_what_was_measured(rig: Rig) -> None:
    rig.clock.at = rig.clock.at // DAY * DAY + HOUR
    for _ in range(30):
        answer(rig, {"lag": 7.0})
        rig.clock.at += MIN
    before = rig.ask("SELECT t, n, avg FROM sample_10m ORDER BY t")
    assert before
    with rig.store.transaction() as tx:
        samples.put_past(tx, [Sample("lag", t, 1.0) for t, _, _ in before])
    assert rig.ask("SELECT t, n, avg FROM sample_10m ORDER BY t") == before
    rig.clock.at += DAY
    beat(rig)  # and the roll-up of that day is as if there had been no past
    rows = rig.ask(
        "SELECT max(d.max), min(d.min) FROM sample_day d JOIN series s ON s.id = d.series_id WHERE s.name = 'lag'"
    )
    assert rows == [(7.0, 7.0)]


def test_what_is_configured_no_more_is_asked_no_more_and_forgotten_in_time(rig: Rig) -> None:
    answer(rig, {"lag": 5.0})
    with rig.store.transaction() as tx:
        metrics.put_queries(tx, "a", {})
    assert rig.reader.series("host", named=True) == []
    assert rig.ask("SELECT count(*) FROM series WHERE name = 'lag'") == [(1,)]
    rig.clock.at += 32 * DAY
    beat(rig)
    with rig.store.transaction() as tx:
        samples.forget(tx, 500)
        metrics.forget_old(tx)
    assert rig.ask("SELECT count(*) FROM series WHERE name = 'lag'") == [(0,)]
    answer(rig, {"lag": 6.0})  # and may come again
    assert now(rig).value == 6.0


def test_a_fleets_tiers_are_kept_shorter_than_this_hosts(rig: Rig) -> None:
    for _ in range(3):
        beat(rig)
        answer(rig, {"host@n1:cpu": 1.0}, queries={})
        rig.clock.at += 10_000
    rig.clock.at += 3 * HOUR
    beat(rig)
    with rig.store.transaction() as tx:
        samples.forget(tx, 500)
    kept = "SELECT s.name, count(*) FROM sample_10s o JOIN series s ON s.id = o.series_id WHERE o.t < ? GROUP BY s.name"
    assert [name for name, _ in rig.ask(kept, rig.clock.at - HOUR)] == ["host.cpu"]


def test_what_a_source_measures_in_numbers(rig: Rig) -> None:
    assert rig.reader.measured("a") is None
    readings = Readings(
        samples=[
            Sample("host@x:up", rig.clock.at, 0.0), Sample("host@y:up", rig.clock.at, 1.0), Sample("host@y:cpu", rig.clock.at, 5.0, "%"),
        ],
        failed={"lag": "the query is refused"}, about=[SeriesInfo("host@y:cpu", "CPU", "%", 100.0)],
    )  # fmt: skip
    with rig.store.transaction() as tx:
        metrics.put_readings(tx, "a", ASKED, readings)
    found = rig.reader.measured("a")
    assert found is not None
    assert (found.series, found.hosts, found.down, found.silent, found.whose) == (2, 2, 1, 1, "lag")
    cpu = now(rig, "host@y:cpu")
    assert (cpu.label, cpu.max, cpu.host) == ("CPU", 100.0, "y")


def test_a_port_in_a_hosts_name_is_read_as_one() -> None:
    from engine.store.samples_rows import of_series

    assert of_series("host@10.0.0.1%3A9100:disk:/data") == ("10.0.0.1:9100", "disk:/data")
