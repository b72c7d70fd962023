"""What measured values owe on bad days: odd numbers, what is not known, sources that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Owed, Sample
from engine.config.model import Series, Source
from engine.owed import values
from engine.store import samples
from tests.owed.court import DAY, HOUR, MINUTE, PARIS, SECOND
from tests.owed.measured_parts import LAG, ROWS, Made, courts, owes, say, states, wait, waive


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    yield from courts(tmp_path)


# --- numbers --------------------------------------------------------------------------------------------------------


def test_a_negative_volume_is_a_number_like_any_other(court: Made) -> None:
    """Once it stopped the whole engine."""
    floor = court(owes("v", "series:n_rows", "volume"), owes("m"), series=(LAG, ROWS))
    with floor.store.transaction() as tx:
        number = samples.series_id(tx, "n_rows", "rows", "air")
        for n in range(1, 15):
            tx.db.execute(
                "INSERT INTO sample_day (series_id, day, n, avg, min, max) VALUES (?, ?, 1, 1000, 1000, 1000)",
                (number, floor.now // DAY - n),
            )
    say(floor, 3, n_rows=-5.0)
    one = floor.owed("v", None)
    assert one.state is Owed.BREACHED
    assert one.reason.startswith("-5 rows, less than usual")


def test_one_that_cannot_be_judged_does_not_keep_the_others_from_it(
    court: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = court(
        owes("r", "series:n_rows", "reconcile", against="series:lag"), owes("m", above=10.0), series=(LAG, ROWS)
    )

    def stumble(*_: Any) -> Any:
        raise ValueError("boom")

    monkeypatch.setattr(values, "reconcile", stumble)
    say(floor, 8, lag=20.0, n_rows=3.0)
    assert states(floor) == ["BREACHED"]
    assert any("r of series:n_rows" in line for line in floor.lines)


@pytest.mark.parametrize("value", [1e300, -1e300, 9e18])
def test_a_huge_number_is_said_in_few_cells(court: Made, value: float) -> None:
    floor = court(owes("m", above=10.0, below=-10.0, for_ms=0))
    say(floor, 2, lag=value)
    one = floor.owed("m", None)
    assert one.state is Owed.BREACHED
    assert len(one.reason) < 60


# --- what is not known ----------------------------------------------------------------------------------------------


def test_a_volume_that_is_not_measured_any_more_is_unknown(court: Made) -> None:
    floor = court(owes("v", "series:n_rows", "volume", normal=(10.0, 90.0)), series=(ROWS,))
    say(floor, 3, n_rows=50.0)
    floor.measure(failed="refused")
    wait(floor, 5 * MINUTE)
    assert floor.owed("v", None).state is Owed.UNKNOWN
    say(floor, 2, n_rows=5.0)
    assert states(floor, "v") == ["BREACHED"]


def test_it_is_not_bad_for_a_minute_while_nobody_looks(court: Made) -> None:
    """One bad reading, then silence, then another one: it was seen to be bad twice, not for ten minutes."""
    floor = court(owes("m", above=100.0, for_ms=5 * MINUTE))
    say(floor, 3, lag=10.0)
    say(floor, 1, lag=120.0)
    floor.measure(failed="refused")
    wait(floor, 10 * MINUTE)
    floor.told()
    say(floor, 4, lag=120.0)
    assert floor.told() == [("m", "MET", False)] or floor.told() == []
    assert "BREACHED" not in states(floor)
    say(floor, 20, lag=120.0)
    assert states(floor) == ["BREACHED"]


def test_one_reading_of_a_source_that_answers_no_more_is_not_bad_for_a_minute(court: Made) -> None:
    slow = Series("lag", "air", "lag", "messages", every_ms=5 * MINUTE)
    floor = court(owes("m", above=100.0, for_ms=2 * MINUTE), series=(slow,))
    say(floor, 1, lag=120.0)
    floor.measure(failed="refused")
    wait(floor, 10 * MINUTE)
    assert "BREACHED" not in states(floor)


def test_few_events_neither_break_nor_end_it(court: Made) -> None:
    events = Series("events", "air", "events")
    rule = owes(above=0.01, events="series:events", min_events=100.0)
    floor = court(rule, series=(LAG, events))
    say(floor, 8, lag=0.5, events=2000.0)
    assert floor.told() == [("m", "BREACHED", True)]
    say(floor, 8, lag=0.0, events=3.0)
    assert floor.told() == [], "what is dead makes no errors"
    assert states(floor) == ["BREACHED"]
    say(floor, 2, lag=0.0, events=2000.0)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_events_of_each_label(court: Made) -> None:
    events = Series("events", "air", "events")
    floor = court(owes("m", "series:lag{*", above=0.01, events="series:events", min_events=100.0), series=(LAG, events))
    for _ in range(8):
        floor.clock.at += 15 * SECOND
        floor.measure(**{"lag{t=a}": 0.5, "events{t=a}": 20.0, "lag{t=b}": 0.5, "events{t=b}": 2000.0})
    found = [(r.thing, r.state) for r in floor.reader.owed(0, 1 << 60)]
    assert found == [("series:lag{t=b}", Owed.BREACHED)]


def test_events_that_are_not_measured_any_more(court: Made) -> None:
    events = Series("events", "air", "events")
    floor = court(owes(above=0.01, events="series:events", min_events=100.0), series=(LAG, events))
    say(floor, 4, lag=0.5, events=20.0)
    say(floor, 12, lag=0.5, events=None)
    one = floor.owed("m", None)
    assert one.state is Owed.UNKNOWN
    assert one.reason.startswith("events: not measured since")


def test_two_that_are_measured_at_their_own_pace(court: Made) -> None:
    pair = (Series("ldz", "air", "ldz", "rows"), Series("rdv", "air", "rdv", "rows", every_ms=HOUR))
    floor = court(owes("r", "series:ldz", "reconcile", against="series:rdv"), series=pair)
    say(floor, 1, ldz=5.0, rdv=5.0)
    say(floor, 40, ldz=5.0)
    assert floor.told() == [], "the other one is asked each hour"
    say(floor, 2, ldz=7.0)
    assert floor.told() == [("r", "BREACHED", True)]


def test_the_true_begin_outlives_a_restart_in_the_dark(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 6, lag=120.0)
    since = floor.owed("m", None).since
    floor.measure(failed="refused")
    wait(floor, 3 * MINUTE)
    floor.restart()
    wait(floor, 3 * MINUTE)
    say(floor, 1, lag=120.0)
    one = floor.owed("m", None)
    assert (one.state, one.since) == (Owed.BREACHED, since)


def test_a_breach_of_which_nobody_was_told_yet_outlives_a_restart_in_the_dark(court: Made) -> None:
    floor = court(owes(above=100.0, clear_at=50.0, late=30 * MINUTE))
    say(floor, 6, lag=120.0)
    assert floor.told() == [("m", "BREACHED", False)]
    floor.measure(failed="refused")
    wait(floor, 3 * MINUTE)
    floor.restart()
    wait(floor, 3 * MINUTE)
    say(floor, 4, lag=70.0)
    assert states(floor) == ["BREACHED"], "it did not come back to 50"


def test_must_come_back_also_after_it_was_not_seen(court: Made) -> None:
    floor = court(owes(above=100.0, clear_at=50.0))
    say(floor, 6, lag=120.0)
    floor.measure(failed="refused")
    wait(floor, 3 * MINUTE)
    assert states(floor) == ["UNKNOWN"]
    floor.told()
    say(floor, 4, lag=70.0)
    assert floor.told() == [("m", "BREACHED", True)]


# --- pipelines ------------------------------------------------------------------------------------------------------


def test_the_number_of_a_pipeline_that_is_gone_is_unknown(court: Made) -> None:
    floor = court(owes("v", "air:sales", "volume", series="rows", normal=(100.0, 900.0)), series=())
    floor.list("sales", "other", schedule=None)
    floor.clock.at += MINUTE
    with floor.store.transaction() as tx:
        samples.series_id(tx, "rows{pipeline=air:sales}", "rows", "air")
        samples.put_samples(tx, tx.now, [Sample("rows{pipeline=air:sales}", floor.now, 5.0)])
    wait(floor, MINUTE)
    assert states(floor, "v") == ["BREACHED"]
    floor.told()
    floor.unlist("sales")
    wait(floor, MINUTE)
    assert floor.told() == [("v", "UNKNOWN", False)]
    assert floor.owed("v", None).reason.startswith("no longer at its source; last known: 5 rows")


# --- sources and clocks ---------------------------------------------------------------------------------------------


def test_what_a_source_measured_that_was_taken_out_is_no_longer_owed(court: Made) -> None:
    two = (Source(name="air", kind="airflow", timezone=PARIS), Source(name="other", kind="sql", timezone=PARIS))
    floor = court(owes("m", "series:host@*:cpu", above=90.0), series=(), sources=two)
    name = "host@a:cpu"
    for _ in range(8):
        floor.clock.at += 15 * SECOND
        floor.measure(source="other", **{name: 95.0})
    assert states(floor) == ["BREACHED"]
    floor.told()
    floor.put("UPDATE source SET gone = 1 WHERE name = 'other'")
    wait(floor, MINUTE)
    assert floor.told() == [("m", "EXCLUDED", False)]


def test_a_selector_that_is_written_otherwise_means_the_same_row(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 8, lag=120.0)
    floor.told()
    key = floor.owed("m", None).key
    floor.reload(owes(on="series:la*", above=110.0))
    say(floor, 8, lag=120.0)
    assert floor.told() == []
    assert floor.owed("m", None).key == key
    floor.reload(owes(on="series:la*", above=130.0))
    say(floor, 8, lag=120.0)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_two_limits_of_one_series_stand_beside_each_other(court: Made) -> None:
    floor = court(owes("a", above=100.0), owes("b", above=110.0))
    say(floor, 8, lag=120.0)
    assert sorted(floor.told()) == [("a", "BREACHED", True), ("b", "BREACHED", True)]
    say(floor, 4, lag=105.0)
    assert floor.told() == [("b", "MET_LATE", False)]


def test_a_series_that_moves_to_another_source_is_the_same_promise(court: Made) -> None:
    two = (Source(name="air", kind="airflow", timezone=PARIS), Source(name="other", kind="sql", timezone=PARIS))
    floor = court(owes(above=100.0), sources=two)
    say(floor, 8, lag=120.0)
    assert floor.told() == [("m", "BREACHED", True)]
    floor.reload(owes(above=100.0), series=(replace(LAG, source="other"),))
    for _ in range(4):
        floor.clock.at += 15 * SECOND
        floor.measure(source="air")
        floor.measure(source="other", lag=120.0)
    assert floor.told() == []
    for _ in range(2):
        floor.clock.at += 15 * SECOND
        floor.measure(source="other", lag=20.0)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_a_clock_that_goes_back_stops_nobody_from_looking(court: Made) -> None:
    floor = court(owes(above=100.0))
    say(floor, 4, lag=10.0)
    floor.clock.at -= HOUR
    say(floor, 10, lag=120.0)
    assert floor.told() == [("m", "BREACHED", True)]


def test_a_forecast_that_was_not_known_is_told_when_it_lasts(court: Made) -> None:
    disk = Series("disk", "air", "disk", "%")
    floor = court(owes("f", "series:disk", "forecast", late=HOUR, most=85.0, within_ms=14 * DAY), series=(disk,))
    floor.measure(failed="refused")
    wait(floor, 3 * MINUTE)
    assert states(floor, "f") == ["UNKNOWN"]
    floor.told()
    with floor.store.transaction() as tx:
        number = samples.series_id(tx, "disk", "%", "air")
        for n in range(14):
            value = 70 + 0.9 * n
            tx.db.execute(
                "INSERT INTO sample_day (series_id, day, n, avg, min, max) VALUES (?, ?, 1, ?, ?, ?)",
                (number, floor.now // DAY - 14 + n, value, value, value),
            )
    say(floor, 40, lag=None, disk=82.6)
    assert floor.told() == [("f", "BREACHED", False)]
    one = floor.owed("f", None)
    assert one.due > floor.now + DAY
    floor.restart()
    say(floor, 250, disk=82.6)
    assert floor.told() == [("f", "BREACHED", True)]


def test_the_same_name_with_any_sign_in_it_is_owed_and_kept_apart(court: Made) -> None:
    names = ("a|b", "a:b/c", "größe#%20", "a{t=x|y}", "sales [eu]")
    floor = court(owes("m", "series:*", above=100.0, for_ms=0), series=tuple(Series(n, "air", n) for n in names))
    say(floor, 2, **{n: 120.0 for n in names})
    found = {r.thing: r for r in floor.reader.owed(0, 1 << 60)}
    assert set(found) == {f"series:{n}" for n in names}
    assert {r.name for r in found.values()} == set(names)
    assert {(r.source, r.environment) for r in found.values()} == {("air", "prod")}
    for one in found.values():
        waive(floor, one.key)
    floor.restart()
    say(floor, 1, **{n: 120.0 for n in names})
    assert {r.state for r in floor.reader.owed(0, 1 << 60)} == {Owed.WAIVED}


def test_a_run_that_was_made_again_stays_what_it_was(court: Made) -> None:
    """After a day only the mean of ten minutes is kept, and that is of both."""
    floor = court(owes("v", "air:sales", "volume", series="rows", normal=(600.0, 2000.0)), series=())
    floor.list("sales", schedule=None)
    for value in (0.0, 1000.0):
        floor.clock.at += 2 * MINUTE
        with floor.store.transaction() as tx:
            samples.series_id(tx, "rows{pipeline=air:sales}", "rows", "air")
            samples.put_samples(tx, tx.now, [Sample("rows{pipeline=air:sales}", floor.now, value)])
        wait(floor, 30 * SECOND)
    assert states(floor, "v") == ["MET_LATE"]
    floor.told()
    for _ in range(60):
        floor.clock.at += HOUR
        with floor.store.transaction() as tx:
            samples.put_samples(tx, tx.now, [])
            samples.forget(tx, 100)
        floor.tick()
    assert floor.told() == []


def test_of_many_pipelines_only_those_owe_a_number_that_told_it_once(court: Made) -> None:
    floor = court(
        owes("many", "air:*", "volume", series="rows", normal=(1.0, 2.0)),
        owes("one", "air:ads", "volume", series="rows", normal=(1.0, 2.0)), series=(),
    )  # fmt: skip
    floor.list("sales", "ads", schedule=None)
    wait(floor, 3 * MINUTE)
    assert states(floor, "many") == []
    assert states(floor, "one") == ["UNKNOWN"], "somebody named it: it is to tell"
