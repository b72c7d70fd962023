"""What opens an alert, what ends it, and what does neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.model import AlertState, Caps, Health, Severity, State
from engine.alerts import Alerts
from engine.config.model import PipelineRule, Route
from engine.config.units import SeverityTest
from engine.store import sources as store_sources
from tests.alerts.floor import MINUTE, START, Floor

ANY = SeverityTest(">=", Severity.INFO)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path, to=("ana", "ben"))
    made.clock.forward(10 * MINUTE)
    yield made
    made.close()


def test_ten_polls_of_one_failure_are_one_alert_and_one_message_a_person(floor: Floor) -> None:
    run = floor.run(State.FAILED, error="ORA-00001 unique constraint")
    for _ in range(10):
        floor.poll(run)
        floor.poll(replace(run, source_updated=floor.clock.now(), url=f"https://x/{floor.clock.now()}"))
        floor.clock.forward(10_000)
        floor.tick()
    assert floor.states == [AlertState.FIRING]
    assert floor.letters == [("ana", "fire", 0), ("ben", "fire", 0)]
    title, body, key = floor.one("SELECT title, body, key FROM alert")
    assert title == "daily failed: ORA-00001 unique constraint"
    assert body.startswith("prod / flow · business date 2026-11-20\nNow: run r1 failed at ")
    assert key == "flow:daily"
    assert floor.alerts.open_count == 1


def test_state_and_messages_are_one_transaction(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.outbox.put", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        floor.poll(floor.run(State.FAILED))
    assert floor.all("SELECT 1 FROM run") == []
    assert floor.states == []
    assert floor.letters == []


@pytest.mark.parametrize(
    "state", [State.STOPPED, State.RETRYING, State.SKIPPED, State.WARNING, State.RUNNING, State.HELD]
)
def test_what_is_not_a_failure_opens_nothing(floor: Floor, state: State) -> None:
    floor.poll(floor.run(State.RUNNING))
    floor.clock.forward(1000)
    floor.poll(floor.run(state, stopped_by="ana" if state is State.STOPPED else None))
    assert floor.states == []


@pytest.mark.parametrize("state", [State.FAILED, State.TIMED_OUT, State.LOST, State.MISSED])
def test_each_bad_end_opens_one(floor: Floor, state: State) -> None:
    floor.poll(floor.run(state))
    assert floor.states == [AlertState.FIRING]


@pytest.mark.parametrize("flag", ["backfilled", "generated"])
def test_history_and_invention_open_nothing(floor: Floor, flag: str) -> None:
    floor.poll(floor.run(State.FAILED, **{flag: True}))
    assert floor.states == []


def test_severity_is_the_pipelines_criticality(tmp_path: Path) -> None:
    rules = (
        PipelineRule(match="flow:daily", criticality=Severity.CRITICAL),
        PipelineRule(match="flow:hourly", criticality=Severity.LOW),
    )
    floor = Floor(tmp_path, rules=rules)
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.FAILED, error="x"), floor.run(State.FAILED, pipeline="hourly", error="x"))
    assert sorted(floor.all("SELECT key, severity FROM alert")) == [("flow:daily", 0), ("flow:hourly", 3)]
    assert sorted(floor.all("SELECT notify_type, substr(title, 1, 10) FROM outbox")) == [
        ("failure", "[CRITICAL]"),
        ("warning", "[LOW] hour"),
    ]
    floor.close()


def test_first_poll_of_a_fresh_store_tells_nothing_old_but_tells_what_is_new(floor: Floor) -> None:
    old = floor.run(State.FAILED, "old", date="2026-11-18", ended=START - MINUTE, started=START - 2 * MINUTE)
    lost = floor.run(
        State.LOST, "lost", date="2026-11-17", ended=None, started=START - 60 * MINUTE, source_updated=None
    )
    new = floor.run(State.FAILED, "new", date="2026-11-19", ended=START + MINUTE)
    floor.poll(old, lost, new)
    assert floor.all("SELECT occurrence FROM alert") == [("2026-11-19",)]
    floor.poll(replace(old, error="step load: what its log said"))  # read later, after the first poll
    assert len(floor.states) == 1


def test_a_failure_seen_while_it_ran_is_news_even_if_its_clock_is_behind(floor: Floor) -> None:
    floor.poll(floor.run(State.RUNNING, source_updated=START - 120 * MINUTE, started=START - 125 * MINUTE))
    floor.poll(
        floor.run(
            State.FAILED, ended=START - 60 * MINUTE, started=START - 125 * MINUTE, source_updated=START - 60 * MINUTE
        )
    )
    assert floor.states == [AlertState.FIRING]


def test_same_date_resolves_newer_date_does_not(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, error="x"))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2", date="2026-11-21"))
    assert floor.states == [AlertState.FIRING]
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r3", date="2026-11-20"))
    assert floor.states == [AlertState.RESOLVED]
    assert floor.one("SELECT resolved_by FROM alert") == "r3 succeeded for business date 2026-11-20"
    assert floor.alerts.open_count == 0


def test_without_a_date_any_later_success_resolves(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, "r1", date=None), floor.run(State.FAILED, "q1", pipeline="hourly", date=None))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2", date=None))
    assert sorted(floor.all("SELECT key, state FROM alert")) == [("flow:daily", 4), ("flow:hourly", 1)]


def test_an_earlier_success_seen_late_resolves_nothing(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, "r2", error="x"))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r1", ended=floor.clock.now() - 5 * MINUTE))
    assert floor.states == [AlertState.FIRING]


def test_a_failure_that_a_later_success_covers_already_is_no_news(floor: Floor) -> None:
    failed = floor.run(State.FAILED, "r1")
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2"), failed)
    assert floor.states == []


def test_a_repaired_attempt_resolves_and_a_warning_does_not(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, error="x"))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING, attempt=2))
    assert floor.states == [AlertState.FIRING]
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.WARNING, attempt=2))
    assert floor.states == [AlertState.FIRING]
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING, attempt=3))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, attempt=3))
    assert floor.states == [AlertState.RESOLVED]
    assert floor.one("SELECT resolved_by FROM alert") == "attempt 3 of r1 succeeded for business date 2026-11-20"


def test_failing_again_folds_into_the_open_alert(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, error="first"))
    since = floor.one("SELECT since FROM alert")
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING, attempt=2))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.FAILED, attempt=2, error="second"))
    floor.poll(floor.run(State.FAILED, "r2", error="third"))
    assert floor.states == [AlertState.FIRING]
    assert floor.one("SELECT title, since, run_key FROM alert") == ("daily failed: third", since, "flow:daily/r2")
    assert [w for (w,) in floor.all("SELECT what FROM alert_event ORDER BY id")] == [
        "opened",
        "telling",
        "failed again",
        "failed again",
    ]
    assert len(floor.letters) == 2


def test_opened_again_within_half_an_hour_keeps_its_id_later_it_is_new(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, "r1", error="x"))
    first = floor.one("SELECT id FROM alert")
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    floor.clock.forward(29 * MINUTE)
    floor.tick()
    floor.poll(floor.run(State.FAILED, "r3", error="y"))
    assert floor.one("SELECT id, state, reopened, resolved, title FROM alert") == (first, 1, 1, None, "daily failed: y")
    assert floor.letters == [("ana", "fire", 4), ("ben", "fire", 4), ("ana", "fire", 0), ("ben", "fire", 0)]
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r4"))
    floor.clock.forward(31 * MINUTE)
    floor.tick()
    assert floor.states == [AlertState.CLOSED]
    floor.poll(floor.run(State.FAILED, "r5", error="z"))
    assert floor.states == [AlertState.CLOSED, AlertState.FIRING]


def test_a_lost_run_that_is_seen_again_had_not_failed(floor: Floor) -> None:
    floor.poll(floor.run(State.RUNNING))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.LOST, ended=None))
    assert floor.states == [AlertState.FIRING]
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING))
    assert floor.states == [AlertState.RESOLVED]
    assert floor.one("SELECT resolved_by FROM alert") == "r1 is running after all"


@pytest.mark.parametrize("state", [State.WARNING, State.STOPPED, State.SKIPPED])
def test_a_lost_run_that_ended_otherwise_was_not_lost(floor: Floor, state: State) -> None:
    floor.poll(floor.run(State.RUNNING))
    floor.poll(floor.run(State.LOST, ended=None))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(state))
    assert floor.states == [AlertState.RESOLVED]


def test_the_reason_read_a_moment_later_reaches_the_message(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED))
    wait = floor.one("SELECT min(next_at) FROM outbox") - floor.clock.now()
    assert 0 < wait <= 5000
    floor.clock.forward(1000)
    floor.poll(replace(floor.run(State.FAILED), ended=floor.clock.now() - 1000, error="load_fact: ORA-00001"))
    assert floor.all("SELECT DISTINCT next_at, title FROM outbox") == [
        (floor.clock.now(), "[MEDIUM] daily failed: load_fact: ORA-00001")
    ]
    assert len(floor.letters) == 2


def test_no_route_is_on_screen_only_until_there_is_one(floor: Floor) -> None:
    floor.ctx.config = replace(floor.config, routes=(Route("env:test", ANY, ("ana",)),))
    floor.poll(floor.run(State.FAILED, error="x"))
    assert floor.one("SELECT state, held_back FROM alert") == (1, "no route: on screen only")
    assert floor.letters == []
    floor.ctx.config = replace(
        floor.config,
        routes=(Route("env:test", ANY, ("ben",)), Route("env:prod", ANY, ("ana",)), Route("*", ANY, ("ben",))),
    )
    floor.tick()
    floor.tick()
    assert floor.letters == [("ana", "fire", 0)]
    assert floor.one("SELECT held_back FROM alert") is None


def test_a_route_may_be_too_high_for_it(floor: Floor) -> None:
    floor.ctx.config = replace(floor.config, routes=(Route("*", SeverityTest(">=", Severity.HIGH), ("ana",)),))
    floor.poll(floor.run(State.FAILED))
    assert floor.one("SELECT held_back FROM alert") == "no route: on screen only"


# --- sources ------------------------------------------------------------------------------------------------------------


def test_unreachable_fires_once_at_the_second_bad_poll_and_ends_at_the_second_good_one(floor: Floor) -> None:
    floor.health(Health.FRESH)
    floor.clock.forward(10_000)
    down = floor.clock.now()
    floor.health(Health.UNREACHABLE, "connection refused", since=down)
    assert floor.states == [AlertState.PENDING]
    assert floor.letters == []
    for _ in range(8):
        floor.clock.forward(10_000)
        floor.health(Health.UNREACHABLE, "connection refused", since=down)
        floor.tick()
    assert floor.states == [AlertState.FIRING]
    assert floor.letters == [("ana", "fire", 0), ("ben", "fire", 0)]
    title, body, since = floor.one("SELECT title, body, since FROM alert")
    assert title == "flow unreachable: connection refused"
    assert "2 pipelines unknown" in body
    assert since == down
    floor.health(Health.RATE_LIMITED)
    floor.health(Health.FRESH)
    assert floor.states == [AlertState.FIRING]
    floor.health(Health.UNREACHABLE, "connection refused")
    floor.health(Health.FRESH)
    assert floor.states == [AlertState.FIRING]
    floor.health(Health.FRESH)
    assert floor.states == [AlertState.RESOLVED]


def test_unreachable_fires_by_time_although_the_next_poll_is_far(floor: Floor) -> None:
    floor.health(Health.FRESH)
    floor.health(Health.AUTH_FAILED, "401")
    floor.clock.forward(59_000)
    floor.tick()
    assert floor.states == [AlertState.PENDING]
    floor.clock.forward(2_000)
    floor.tick()
    assert floor.states == [AlertState.FIRING]


def test_one_bad_poll_is_not_told(floor: Floor) -> None:
    floor.health(Health.FRESH)
    floor.health(Health.BAD_ANSWER, "HTML where JSON was expected")
    floor.health(Health.FRESH)
    assert floor.states == [AlertState.CLOSED]
    assert floor.letters == []


def test_another_kind_of_trouble_is_the_same_alert(floor: Floor) -> None:
    floor.health(Health.FRESH)
    for _ in range(3):
        floor.health(Health.UNREACHABLE, "refused")
    floor.health(Health.AUTH_FAILED, "401 from its gateway")
    assert floor.states == [AlertState.FIRING]
    assert floor.one("SELECT title FROM alert") == "flow does not let us in: 401 from its gateway"


def test_startup_hold_nothing_before_the_first_good_poll_for_three_minutes(floor: Floor) -> None:
    floor.alerts = Alerts(floor.ctx)  # the engine starts now
    down = floor.clock.now()
    for _ in range(17):
        floor.health(Health.UNREACHABLE, "refused", since=down)
        floor.tick()
        floor.clock.forward(10_000)
    assert floor.states == [AlertState.PENDING]
    assert "just started" in floor.one("SELECT held_back FROM alert")
    floor.clock.forward(11_000)
    floor.tick()
    assert floor.states == [AlertState.FIRING]


def test_firing_before_a_restart_goes_on_firing_and_is_not_told_twice(floor: Floor) -> None:
    floor.health(Health.FRESH)
    floor.health(Health.UNREACHABLE, "refused")
    floor.health(Health.UNREACHABLE, "refused")
    floor.alerts = Alerts(floor.ctx)
    floor.health(Health.UNREACHABLE, "refused")
    floor.tick()
    assert floor.states == [AlertState.FIRING]
    assert len(floor.letters) == 2


def test_a_source_taken_out_of_the_configuration_claims_nothing(floor: Floor) -> None:
    from engine.store import sources as store_sources

    floor.poll(floor.run(State.FAILED, error="x"))
    with floor.store.transaction() as tx:
        store_sources.sync_sources(tx, [])
    floor.tick()
    assert floor.states == [AlertState.CLOSED]
    assert floor.letters == [("ana", "fire", 4), ("ben", "fire", 4)]


def test_what_was_closed_long_ago_is_forgotten_with_all_that_hangs_on_it(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, error="x"), floor.run(State.FAILED, pipeline="hourly", error="still broken"))
    with floor.store.transaction() as tx:
        tx.db.execute("INSERT INTO delivery (outbox_id, at, ok, ms, detail) SELECT id, 0, 0, 0, '' FROM outbox")
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2"))
    floor.clock.forward(31 * MINUTE)
    floor.tick()
    floor.clock.forward(401 * 86_400_000)
    floor.tick()
    assert floor.all("SELECT key FROM alert") == [("flow:hourly",)]
    assert floor.all("SELECT 1 FROM alert_event WHERE alert_id NOT IN (SELECT id FROM alert)") == []
    assert floor.all("SELECT 1 FROM outbox WHERE alert_id NOT IN (SELECT id FROM alert)") == []
    assert floor.all("SELECT 1 FROM delivery WHERE outbox_id NOT IN (SELECT id FROM outbox)") == []
    assert len(floor.letters) == 2


def test_a_source_that_never_answered_claims_no_number(tmp_path: Path) -> None:
    floor = Floor(tmp_path, listed=())
    floor.clock.forward(10 * MINUTE)
    for _ in range(2):
        floor.health(Health.UNREACHABLE, "refused")
    body = floor.one("SELECT body FROM outbox")
    assert "none of its pipelines is known yet; it has not answered well so far" in body
    assert "Impact: nobody sees whether what it has runs, fails or is late" in body
    floor.close()


def test_a_stream_ends_its_alert_by_running_again_and_nothing_else_does(floor: Floor) -> None:
    with floor.store.transaction() as tx:
        store_sources.put_caps(tx, floor.source_id, Caps(frozenset({"steps", "streams"})))
    floor.poll(floor.run(State.RUNNING, "life-1"))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.FAILED, "life-1", error="it broke"))
    assert floor.states == [AlertState.FIRING]
    assert "the first look at which it runs again" in floor.one("SELECT body FROM alert")
    for state in (State.HELD, State.QUEUED, State.RETRYING):
        floor.clock.forward(MINUTE)
        floor.poll(floor.run(state, "life-1"))
        assert floor.states == [AlertState.FIRING], state
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING, "life-1", pipeline="hourly"))
    assert floor.states == [AlertState.FIRING], "another one"
    floor.poll(floor.run(State.RUNNING, "life-2"))
    assert floor.states == [AlertState.RESOLVED]
    assert floor.one("SELECT resolved_by FROM alert") == "life-2 runs again"
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.FAILED, "life-2"))
    assert floor.states == [AlertState.FIRING], "the same again within half an hour, or a new one"


def test_elsewhere_running_again_proves_nothing(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED))
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.RUNNING, attempt=2))
    assert floor.states == [AlertState.FIRING]
