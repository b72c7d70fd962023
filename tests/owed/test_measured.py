"""What measured values owe, over a real store: broken for as long as it must be, unknown where nothing is measured, over when well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.extras import Readings
from adapters.model import Owed, Sample, State
from engine.config.model import Expectation, Series, ValueRule
from engine.owed.values import DAY
from engine.store import metrics, samples
from tests.owed.court import HOUR, MINUTE, SECOND, Court, at, expect

Made = Callable[..., Court]
LAG = Series("lag", "air", "lag", "messages")


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, series: tuple[Series, ...] = (LAG,), **more: Any) -> Court:
        made.append(Court(tmp_path, *expectations, series=series, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def metric(id: str = "m", on: str = "series:lag", type: str = "metric", late: int = 0, **rule: Any) -> Expectation:
    if type not in ("metric", "resource"):
        rule.setdefault("for_ms", 0)
    return expect(id, on, type, value=ValueRule(**rule), alert_if_late_by_ms=late)


def say(floor: Court, value: float, times: int = 1, series: str = "lag") -> None:
    """So many readings, 15 s apart."""
    for _ in range(times):
        floor.clock.at += 15 * SECOND
        floor.measure(**{series: value})
        floor.tick()


def state(floor: Court, promise: str = "m") -> str:
    found = floor.all(promise)
    return found[-1][1].name if found else "-"


def test_it_is_broken_after_a_minute_and_over_after_two_good_readings(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 40.0, 3)
    assert state(floor) == "-", "what is well leaves no row"
    first = floor.now + 15 * SECOND
    say(floor, 120.0, 3)
    assert floor.told() == []
    say(floor, 130.0, 3)
    one = floor.owed("m", None)
    assert (one.state, one.reason, one.since) == (Owed.BREACHED, "130 messages, above 100 messages", first)
    assert (one.thing, one.name, one.expectation) == ("series:lag", "lag", "not above 100")
    assert floor.told() == [("m", "BREACHED", True)]
    say(floor, 50.0)
    assert floor.told() == []
    say(floor, 50.0)
    assert floor.told() == [("m", "MET_LATE", False)]
    assert floor.owed("m", None).reason.endswith(": 50 messages")
    say(floor, 50.0, 4)
    assert floor.told() == []


def test_one_reading_over_the_limit_is_nothing(court: Made) -> None:
    floor = court(metric(above=100.0))
    for value in (40.0, 120.0, 40.0, 120.0, 40.0):
        say(floor, value, 2)
    assert floor.told() == []
    assert state(floor) == "-"


def test_it_must_come_back_to_where_it_is_clear(court: Made) -> None:
    floor = court(metric(above=100.0, clear_at=80.0))
    say(floor, 120.0, 6)
    assert floor.told() == [("m", "BREACHED", True)]
    say(floor, 90.0, 6)
    assert floor.told() == []
    assert floor.owed("m", None).reason == "90 messages, above 100 messages, must come back to 80 messages"
    say(floor, 79.0, 2)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_people_are_told_when_it_lasts(court: Made) -> None:
    floor = court(metric(above=100.0, late=5 * MINUTE))
    say(floor, 120.0, 6)
    assert floor.told() == [("m", "BREACHED", False)]
    say(floor, 120.0, 12)
    assert floor.told() == []
    say(floor, 120.0, 6)
    assert floor.told() == [("m", "BREACHED", True)]


def test_a_number_of_a_source_that_does_not_answer_says_what_is_wrong_with_the_source(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 6)
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE source_health SET health = 4, detail = 'there is no file dwh.db'")
    for _ in range(10):
        floor.clock.at += 15 * SECOND
        floor.tick()
    assert ": there is no file dwh.db; last known: 120 messages" in floor.owed("m", None).reason


def test_what_is_not_measured_is_unknown_and_neither_breaks_nor_ends(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 6)
    floor.told()
    floor.measure(failed="refused")
    for _ in range(10):
        floor.clock.at += 15 * SECOND
        floor.tick()
    one = floor.owed("m", None)
    assert one.state is Owed.UNKNOWN
    assert one.reason.startswith("not measured since 04:4")
    assert ": refused; last known: 120 messages, above 100 messages" in one.reason
    assert floor.told() == [("m", "UNKNOWN", False)]
    say(floor, 130.0)
    assert floor.told() == [("m", "BREACHED", True)], "it is known again at once, with its true begin"
    say(floor, 10.0, 2)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_what_was_well_and_is_not_measured_is_unknown(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 10.0, 3)
    floor.measure(failed="refused")
    for _ in range(20):
        floor.clock.at += 15 * SECOND
        floor.tick()
    assert floor.told() == [("m", "UNKNOWN", False)]
    say(floor, 10.0, 2)
    assert floor.told() == [("m", "MET", False)]
    assert state(floor) == "-"


def test_a_series_that_was_never_answered(court: Made) -> None:
    floor = court(metric(above=100.0))
    floor.measure(failed="no such table")
    for _ in range(3):
        floor.clock.at += 15 * SECOND
        floor.tick()
    assert state(floor) == "-", "its first answer may be on its way"
    for _ in range(5):
        floor.clock.at += 15 * SECOND
        floor.tick()
    assert floor.owed("m", None).reason == "never measured: no such table"


def test_a_restart_forgets_nothing(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 6)
    floor.told()
    floor.restart()
    say(floor, 120.0, 2)
    assert floor.told() == [], "people know of it"
    assert len(floor.all("m")) == 1
    say(floor, 20.0, 2)
    assert floor.told() == [("m", "MET_LATE", False)]


def test_each_series_that_the_selector_means_owes_for_itself(court: Made) -> None:
    floor = court(metric(on="series:lag*", above=100.0))
    for _ in range(6):
        floor.clock.at += 15 * SECOND
        floor.measure(**{"lag{topic=a}": 120.0, "lag{topic=b}": 20.0})
    broken = [r for r in floor.reader.owed(0, 1 << 60) if r.state is Owed.BREACHED]
    assert [r.thing for r in broken] == ["series:lag{topic=a}"]


def test_a_selector_that_means_nothing_is_a_warning(court: Made) -> None:
    floor = court(metric(on="series:nothing", above=1.0))
    floor.tick()
    assert not floor.reader.owed_warnings(), "its source may not have answered yet"
    floor.until("04:42")
    (warning,) = [w for w in floor.reader.owed_warnings() if w.promise == "m"]
    assert '"series:nothing" matches no series that is measured' in warning.words


def test_a_ratio_of_few_events_says_nothing(court: Made) -> None:
    events = Series("events", "air", "events")
    floor = court(metric(above=0.01, events="series:events", min_events=100.0), series=(LAG, events))
    for _ in range(8):
        floor.clock.at += 15 * SECOND
        floor.measure(lag=0.5, events=20.0)
    assert floor.told() == []
    for _ in range(8):
        floor.clock.at += 15 * SECOND
        floor.measure(lag=0.5, events=2000.0)
    assert floor.told() == [("m", "BREACHED", True)]


def test_two_layers_must_agree_and_one_that_is_not_measured_is_unknown(court: Made) -> None:
    series = (Series("ldz", "air", "ldz", "rows"), Series("rdv", "air", "rdv", "rows"))
    floor = court(metric("r", "series:ldz", "reconcile", against="series:rdv", tolerance=5.0), series=series)
    for two in (1000.0, 1000.0, 900.0):
        floor.clock.at += 15 * SECOND
        floor.measure(ldz=1003.0, rdv=two)
    assert floor.told() == [("r", "BREACHED", True)]
    assert floor.owed("r", None).reason == "103 rows apart (10.27%): ldz 1,003 rows, rdv 900 rows, tolerance 5 rows"
    for _ in range(2):
        floor.clock.at += 15 * SECOND
        floor.measure(ldz=1003.0, rdv=1003.0)
    assert floor.told() == [("r", "MET_LATE", False)]
    for _ in range(12):
        floor.clock.at += 15 * SECOND
        floor.measure(ldz=1003.0, rdv=None)
    assert floor.told() == [("r", "UNKNOWN", False)]


def test_labels_of_a_pair_go_together(court: Made) -> None:
    series = (Series("ldz", "air", "ldz", "rows"), Series("rdv", "air", "rdv", "rows"))
    floor = court(metric("r", "series:ldz{*", "reconcile", against="series:rdv"), series=series)
    for _ in range(4):
        floor.clock.at += 15 * SECOND
        floor.measure(**{"ldz{t=a}": 10.0, "rdv{t=a}": 10.0, "ldz{t=b}": 10.0, "rdv{t=b}": 7.0})
    found = [(r.thing, r.state) for r in floor.reader.owed(0, 1 << 60) if r.promise == "r"]
    assert found == [("series:ldz{t=b}", Owed.BREACHED)]


def test_a_quota_is_seen_while_it_is_well_and_begins_anew(court: Made) -> None:
    calls = Series("calls", "air", "calls", "calls")
    floor = court(metric("q", "series:calls", "quota", most=1000.0, resets="0 0 * * *"), series=(calls,), now="22:00")
    say(floor, 300.0, 2, "calls")
    one = floor.owed("q", None)
    assert (one.state, one.due) == (Owed.PENDING, at("2026-11-21 00:00"))
    assert one.reason == "300 calls of 1,000 calls used (30%), anew Sat 21 Nov 00:00"
    say(floor, 990.0, 6, "calls")
    assert floor.told() == [("q", "AT_RISK", False)]
    say(floor, 1000.0, 2, "calls")
    assert floor.told() == [("q", "BREACHED", True)]
    floor.clock.at = at("2026-11-21 00:00")
    say(floor, 10.0, 2, "calls")
    assert [(c, s) for c, s, _ in floor.told()] == [("q", "MET_LATE")]
    assert [s for _, s in floor.all("q")] == [Owed.MET_LATE, Owed.PENDING]


def test_what_is_used_now_is_said_within_half_a_minute(court: Made) -> None:
    calls = Series("calls", "air", "calls", "calls")
    floor = court(metric("q", "series:calls", "quota", most=1e6, resets="0 0 * * *"), series=(calls,), now="00:01")
    say(floor, 0.0, 2, "calls")
    for used in (50_000.0, 60_000.0):
        floor.clock.at += 10 * SECOND
        floor.measure(calls=used)
        floor.until(floor.now + 20 * SECOND, every=SECOND)
        assert floor.owed("q", None).reason.startswith(f"{used:,.0f} calls of 1,000,000 calls used")


def test_words_that_change_with_each_reading_are_written_three_times_a_minute(court: Made) -> None:
    calls = Series("calls", "air", "calls", "calls")
    floor = court(metric("q", "series:calls", "quota", most=1e6, resets="0 0 * * *"), series=(calls,), now="00:01")
    said: list[str] = []
    for n in range(60):
        floor.clock.at += 2 * SECOND
        floor.measure(calls=float(n))
        said.append(floor.owed("q", None).reason)
    assert len(set(said)) <= 7


def test_a_budget_is_of_its_month(court: Made) -> None:
    cost = Series("cost", "air", "cost", "EUR")
    floor = court(metric("b", "series:cost", "budget", most=3000.0), series=(cost,))
    say(floor, 2500.0, 2, "cost")
    assert floor.told() == [("b", "BREACHED", True)]
    assert floor.owed("b", None).due == at("2026-12-01 00:00")
    say(floor, 1500.0, 3, "cost")
    assert ("b", "MET_LATE", False) in floor.told()


def test_a_disk_that_will_be_full(court: Made) -> None:
    disk = Series("disk", "air", "disk", "%")
    floor = court(metric("f", "series:disk", "forecast", most=85.0, within_ms=14 * DAY), series=(disk,))
    with floor.store.transaction() as tx:
        number = samples.series_id(tx, "disk", "%", "air")
        today = floor.now // DAY
        for n in range(14):
            value = 70 + 0.9 * n
            tx.db.execute(
                "INSERT INTO sample_day (series_id, day, n, avg, min, max) VALUES (?, ?, 1, ?, ?, ?)",
                (number, today - 14 + n, value, value, value),
            )
    say(floor, 82.6, 2, "disk")
    one = floor.owed("f", None)
    assert one.state is Owed.BREACHED
    assert one.reason.startswith("82.6 % of 85 %, 0.9 % a day: reached in 2.7 days")


def test_what_a_run_tells_of_itself_is_owed_by_its_pipeline(court: Made) -> None:
    volume = expect("v", "air:sales", "volume", value=ValueRule(series="rows", normal=(100.0, 900.0), for_ms=0))
    floor = court(volume, series=())
    floor.list("sales", schedule=None)
    floor.see(floor.run("r1", "sales", "04:41", "04:42", State.SUCCESS))

    def tell(value: float) -> None:
        floor.clock.at += MINUTE
        with floor.store.transaction() as tx:
            name = "rows{pipeline=air:sales}"
            samples.series_id(tx, name, "rows", "air")
            samples.put_samples(tx, tx.now, [Sample(name, floor.now, value)])
        floor.tick()
        floor.clock.at += 20 * SECOND
        with floor.store.transaction() as tx:
            samples.roll_up(tx, tx.now)  # as this host's readings do each second

    tell(20.0)
    assert floor.told() == [("v", "BREACHED", True)]
    one = floor.owed("v", None)
    assert (one.thing, one.pipeline_id is not None) == ("air:sales", True)
    assert one.reason == "20 rows, expected 100 rows to 900 rows"
    assert floor.reader.owed_now()["air:sales"].promise == "v"
    floor.until(floor.now + HOUR, every=5 * MINUTE)
    assert floor.told() == [], "a number that a run told stays as it was told"
    tell(500.0)
    assert floor.told() == [("v", "MET_LATE", False)]


def test_a_waiver_holds_until_it_is_well(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 6)
    floor.told()
    key = floor.owed("m", None).key
    floor.put(
        "INSERT INTO waiver (occurrence, who, uid, reason, until, at) VALUES (?, 'ana', 1, 'load test', NULL, ?)",
        key,
        floor.now,
    )
    with floor.store.transaction() as tx:
        floor.judge.on_waived(tx, key)
    assert floor.told() == [("m", "WAIVED", False)]
    say(floor, 150.0, 6)
    floor.restart()
    say(floor, 150.0, 6)
    assert floor.told() == []
    say(floor, 20.0, 3)
    say(floor, 150.0, 6)
    assert floor.told() == [("m", "BREACHED", True)], "it was well since: the waiver was of the time before"


def test_what_is_no_longer_configured_is_over(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 6)
    floor.told()
    floor.reload()
    assert floor.told() == [("m", "EXCLUDED", False)]


class Stop(Exception):
    pass


def _well_and_back(floor: Court) -> None:
    with floor.store.transaction() as tx:
        metrics.put_readings(tx, "air", {"lag": "messages"}, Readings(samples=[Sample("lag", tx.now, 20.0)]))
        floor.judge.tick(tx)
        raise Stop


def test_a_transaction_that_is_rolled_back_takes_nothing_along(court: Made) -> None:
    floor = court(metric(above=100.0))
    say(floor, 120.0, 3)
    floor.clock.at += 45 * SECOND
    floor.measure(lag=120.0)
    broken = floor.told()
    assert broken == [("m", "BREACHED", True)]
    say(floor, 20.0)
    floor.clock.at += 15 * SECOND

    with pytest.raises(Stop):
        _well_and_back(floor)
    assert floor.told() == [("m", "MET_LATE", False)], "heard, and then taken back with the transaction"
    assert state(floor) == "BREACHED"
    say(floor, 20.0, 3)
    assert floor.told() == [("m", "MET_LATE", False)]
    assert state(floor) == "MET_LATE"
