"""What is owed and at risk or broken: one alert a trouble, told at the right moments, ended by evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.model import AlertState, Course, Owed, Severity, State, run_key
from engine.alerts import Alerts
from engine.config.model import PipelineRule, Route
from engine.config.units import SeverityTest
from engine.notify import message
from engine.owed.occurrences import Evidence
from engine.store import alerts_owed as links
from tests.alerts.floor import MINUTE, PEER, Floor
from tests.alerts.owed_parts import (
    DATE,
    Owes,
    at,
    evening,
    events,
    fail,
    kinds,
    said,
    sent,
    titles,
    wait,
)
from tests.alerts.test_message import HOSTILE


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    yield from evening(tmp_path)


# --- one promise --------------------------------------------------------------------------------------------------------


def test_at_risk_is_one_below_and_becomes_broken_in_the_same_alert_with_two_messages(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "P(late) 0.7; not started", prediction=said(Course.WAITING))
    id = floor.one("SELECT id FROM alert")
    assert floor.one("SELECT rule, key, severity, state FROM alert") == ("owed", "flow:daily", 2, AlertState.FIRING)
    assert titles(floor) == ["[MEDIUM] daily at risk — due 06:00, must start by 05:04"]
    sent(floor)
    floor.clock.at = at("06:01")
    owes.to(Owed.BREACHED, "due 06:00: running since 05:30", prediction=said())
    assert floor.one("SELECT id, severity, since FROM alert") == (
        id,
        1,
        at("05:44"),
    )  # of the trouble, not of the breach
    assert kinds(floor) == ["fire", "escalate"]
    assert titles(floor)[1] == "[HIGH] daily late — due 06:00, predicted 06:14 (p50), 06:26 (p90)"
    owes.to(Owed.BREACHED, "due 06:00: running since 05:30", prediction=said())
    assert len(floor.letters) == 2


async def test_breaking_clears_the_ack_of_at_risk(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    await floor.alerts.ack({"alert": floor.one("SELECT id FROM alert")}, PEER)
    owes.to(Owed.BREACHED, "due 06:00: running since 05:30", prediction=said())
    assert floor.one("SELECT state, acked_by, ack_until FROM alert") == (AlertState.FIRING, None, None)


def test_at_risk_that_goes_back_is_over_with_its_number(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    sent(floor)
    owes.to(Owed.PENDING, "running since 05:00", prediction=said(p50="05:48", late=0.2))
    assert floor.one("SELECT state, resolved_by FROM alert") == (4, "P(late) is 0.2 now: done by 05:48")
    assert kinds(floor) == ["fire", "resolve"]


@pytest.mark.parametrize(
    ("state", "more", "proof"),
    [
        (Owed.MET, {"met_at": at("05:58")}, "finished 05:58, due 06:00"),
        (Owed.MET_LATE, {"met_at": at("06:14"), "lateness_ms": 14 * MINUTE}, "finished 06:14, 14m late"),
        (Owed.WAIVED, {}, "the reason"),
        (Owed.EXCLUDED, {}, "the reason"),
    ],
)
def test_what_settles_it_ends_the_alert_with_evidence(
    floor: Floor, state: Owed, more: dict[str, Any], proof: str
) -> None:
    owes = Owes(floor)
    owes.to(Owed.BREACHED, "due 06:00: not started")
    owes.to(state, "the reason", **more)
    assert floor.one("SELECT state, resolved_by FROM alert") == (AlertState.RESOLVED, proof)
    assert floor.alerts.open_count == 0


def test_unknown_changes_nothing_but_says_so(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.UNKNOWN, "never seen")
    assert floor.states == []
    owes.to(Owed.AT_RISK, "x", prediction=said())
    before = floor.all("SELECT state, severity FROM alert")
    ((at_risk,),) = floor.all("SELECT title FROM alert")
    for _ in range(2):
        owes.to(Owed.UNKNOWN, "not seen since 05:31, it was due 06:00; last known: running since 05:00")
    assert floor.all("SELECT state, severity FROM alert") == before
    title, body = floor.one("SELECT title, body FROM alert")
    assert title == "daily ? at risk — due 06:00, not seen since 05:31"
    assert "last known: running since 05:00" in body
    assert events(floor, "? not known") == ["not seen since 05:31, it was due 06:00; last known: running since 05:00"]
    assert kinds(floor) == ["fire"]
    owes.to(Owed.AT_RISK, "x", prediction=said())
    assert floor.one("SELECT title FROM alert") == at_risk
    owes.to(Owed.BREACHED, "due 06:00: running since 05:00", prediction=said())
    owes.to(Owed.UNKNOWN, "no longer at its source; running since 05:00")
    assert floor.one("SELECT title FROM alert") == "daily ? late — due 06:00, no longer at its source"
    assert kinds(floor) == ["fire", "escalate"]


def test_broken_before_people_are_to_be_told_is_no_alert_yet(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.BREACHED, "due 06:00: not started", alerting=False)
    assert floor.states == []
    owes.to(Owed.BREACHED, "due 06:00: not started")
    assert titles(floor) == ["[HIGH] daily late — due 06:00, not started"]


def test_at_risk_stays_so_until_people_are_to_be_told_of_the_breach(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    sent(floor)
    owes.to(Owed.BREACHED, "due 06:00: running since 05:00", alerting=False)
    assert floor.one("SELECT severity FROM alert") == Severity.MEDIUM
    assert kinds(floor) == ["fire"]
    owes.to(Owed.BREACHED, "due 06:00: running since 05:00")
    assert kinds(floor) == ["fire", "escalate"]


def test_the_message_is_whole(floor: Floor) -> None:
    bound = {"consumers": ("bi-team", "finance", "crm"), "runbook": "rb/daily.md"}
    owes = Owes(floor, **bound)
    owes.to(
        Owed.BREACHED, "due 06:00: failed 05:50", prediction=said(Course.RERUN, "06:12", "06:20", spread=9 * MINUTE),
        run_key="flow:daily/r1",
    )  # fmt: skip
    title, body = floor.one("SELECT title, body FROM outbox")
    assert title == "[HIGH] daily late — due 06:00, if rerun now 06:12 ± 9m"
    assert message.problems(title, body) == []
    where, now, impact, do, _ = body.split("\n")
    assert where == "prod / flow · business date 2026-11-20 · since 06:00 Europe/Paris (05:00 UTC)"
    assert now.startswith("Now: due 06:00: failed 05:50. if rerun now 06:12 ± 9m. owed: finish_by 06:00")
    assert impact == "Impact: 3 consumers: bi-team, finance, crm"
    assert "runbook rb/daily.md · log: watchfloor logs 'flow:daily/r1' · if rerun now 06:12 ± 9m" in do
    assert "Ends: a success, or a waiver" in floor.one("SELECT body FROM alert")


def test_a_reader_elsewhere_reads_the_deadline_by_clocks_of_the_place(floor: Floor) -> None:
    away = tuple(replace(c, timezone="America/New_York") if c.name == "ben" else c for c in floor.config.contacts)
    low = SeverityTest(">=", Severity.LOW)
    floor.ctx.config = replace(floor.config, contacts=away, routes=(Route("*", low, ("ana", "ben")),))
    Owes(floor).to(Owed.AT_RISK, "x", prediction=said())
    lines = {who: body.split("\n")[0] for who, body in floor.all("SELECT recipient, body FROM outbox")}
    assert lines["ana"] == "prod / flow · business date 2026-11-20 · since 05:44 Europe/Paris (04:44 UTC)"
    assert lines["ben"] == (
        "prod / flow · business date 2026-11-20 · due 20 Nov 00:00 America/New_York (05:00 UTC)"
        " · since 23:44 America/New_York (04:44 UTC)"
    )


def test_hostile_names_are_harmless(tmp_path: Path) -> None:
    hostile = HOSTILE.replace("\ud800", "")
    floor = Floor(tmp_path, listed=("\x1b[31mevil\nname",), rules=(PipelineRule(match="*", owner=hostile),))
    floor.clock.at = at("05:44")
    key = floor.one("SELECT key FROM pipeline")
    owes = Owes(floor, key, consumers=(hostile,) * 9, runbook=hostile)
    feed = Owes(floor, "feed:\x1b[2Jeia", "source_arrival", due="05:30")
    feed.to(Owed.BREACHED, f"due 05:30: {hostile}")
    owes.to(Owed.BREACHED, hostile * 9, prediction=said(), root="feed:\x1b[2Jeia", run_key=f"{key}/r1")
    Owes(floor, key, "start_by", id=9).to(Owed.AT_RISK, hostile, prediction=None)
    wait(floor, 31_000)
    letters = floor.all("SELECT title, body FROM outbox")
    assert len(letters) == 2
    for title, body in letters:
        assert message.problems(title, body) == []
        assert len(title) <= message.TITLE_MAX
    for text in floor.one("SELECT group_concat(title || body, '') FROM alert").split("\n"):
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)
        assert "<b>" not in text
    floor.close()


def test_a_restart_neither_loses_nor_doubles(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    floor.alerts = Alerts(floor.ctx)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    owes.to(Owed.BREACHED, "due 06:00: not started")
    floor.alerts = Alerts(floor.ctx)
    owes.to(Owed.BREACHED, "due 06:00: not started")
    floor.tick()
    assert floor.states == [AlertState.FIRING]
    assert kinds(floor) == ["fire", "escalate"]


# --- with a failure -----------------------------------------------------------------------------------------------------


def test_failed_before_its_deadline_is_one_alert_and_the_breach_joins_it(floor: Floor) -> None:
    fail(floor)
    sent(floor)
    id = floor.one("SELECT id FROM alert")
    owes = Owes(floor, severity=Severity.CRITICAL)
    owes.to(
        Owed.AT_RISK, "x", prediction=said(Course.RERUN, "06:12", "06:20", spread=9 * MINUTE), run_key="flow:daily/r1"
    )
    assert floor.one("SELECT id, severity FROM alert") == (id, Severity.MEDIUM)
    assert kinds(floor) == ["fire"]  # folded: no message of its own
    assert events(floor, "at risk") == ["due 06:00, if rerun now 06:12 ± 9m"]
    assert "\nOwed: at risk: due 06:00, if rerun now 06:12 ± 9m\n" in floor.one("SELECT body FROM alert")
    floor.clock.at = at("06:01")
    owes.to(Owed.BREACHED, "due 06:00: failed 05:44", run_key="flow:daily/r1")
    assert floor.one("SELECT id, severity, rule FROM alert") == (id, Severity.CRITICAL, "failed-run")
    assert kinds(floor) == ["fire", "escalate"]
    assert titles(floor)[1] == "[CRITICAL] deadline broken: due 06:00: daily failed: ORA-00001"
    assert events(floor, "deadline broken") == ["due 06:00"]
    sent(floor)
    floor.clock.at = at("06:14")
    floor.poll(floor.run(State.SUCCESS, "r2"))
    owes.to(Owed.MET_LATE, "succeeded 06:14", met_at=at("06:14"), lateness_ms=14 * MINUTE)
    assert floor.one("SELECT state, resolved_by FROM alert") == (4, f"r2 succeeded for business date {DATE}, 14m late")
    assert kinds(floor) == ["fire", "escalate", "resolve"]


def test_a_success_whose_checks_are_to_come_leaves_the_deadline_to_the_judge(floor: Floor) -> None:
    floor.ctx.config = replace(floor.config, pipelines=(PipelineRule(match="flow:daily", done_when=("rows",)),))
    fail(floor)
    owes = Owes(floor)
    owes.to(Owed.BREACHED, "due 06:00: failed 05:44")
    floor.clock.at = at("06:14")
    floor.poll(floor.run(State.SUCCESS, "r2"))
    assert floor.states == [AlertState.FIRING]
    assert floor.one("SELECT title FROM alert") == "daily late — due 06:00, failed 05:44"
    owes.to(Owed.MET_LATE, "x", met_at=at("06:20"), lateness_ms=20 * MINUTE)
    assert floor.one("SELECT state, resolved_by FROM alert") == (4, "finished 06:20, 20m late")


def test_a_failure_of_another_date_is_another_trouble(floor: Floor) -> None:
    floor.poll(floor.run(State.FAILED, "r0", date="2026-11-19", error="x"))
    Owes(floor).to(Owed.AT_RISK, "x", prediction=said())
    assert len(floor.states) == 2


def test_a_failure_joins_what_is_owed_for_the_same_date_and_both_end_by_one_success(floor: Floor) -> None:
    owes = Owes(floor)
    owes.to(Owed.AT_RISK, "x", prediction=said())
    sent(floor)
    fail(floor)
    assert floor.one("SELECT rule, title FROM alert") == ("owed", "daily failed: ORA-00001")
    assert titles(floor)[1:] == ["[MEDIUM] daily failed: ORA-00001"]
    assert "\nOwed: at risk: due 06:00" in floor.one("SELECT body FROM outbox WHERE kind = 'escalate'")
    fail(floor, "r2")  # again: the same alert, no message
    assert events(floor, "failed again") == ["r2, attempt 1"]
    assert len(floor.letters) == 2
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r3"))
    assert floor.states == [AlertState.RESOLVED]
    owes.to(Owed.MET, "x", met_at=at("05:45"))
    assert floor.states == [AlertState.RESOLVED]


def test_a_waiver_of_the_date_ends_the_failure_too(floor: Floor) -> None:
    fail(floor)
    owes = Owes(floor)
    owes.to(Owed.BREACHED, "due 06:00: failed")
    owes.to(Owed.WAIVED, "waived by ana: not needed today")
    assert floor.one("SELECT state, resolved_by FROM alert") == (4, "waived by ana: not needed today")


def test_a_run_that_is_too_long_and_then_fails_is_one_alert(floor: Floor) -> None:
    run = run_key("flow:daily", "r1")
    long = Owes(floor, type="max_duration", promise="limit")
    long.one = replace(long.one, business_date="")
    long.to(Owed.BREACHED, "running 2h 05m, limit 2h", run_key=run)
    assert titles(floor) == ["[HIGH] daily runs too long — running 2h 05m, limit 2h"]
    floor.poll(floor.run(State.FAILED, date=None, error="killed"))
    assert floor.one("SELECT title FROM alert") == "daily failed: killed"
    assert "Owed: runs too long: running 2h 05m, limit 2h" in floor.one("SELECT body FROM alert")
    floor.clock.forward(MINUTE)
    floor.poll(floor.run(State.SUCCESS, "r2", date=None))
    assert floor.states == [AlertState.RESOLVED]


def test_two_promises_of_one_thing_and_date_are_one_alert_until_both_are_over(floor: Floor) -> None:
    start, finish = Owes(floor, type="start_by", due="05:10"), Owes(floor)
    start.to(Owed.BREACHED, "due 05:10: not started")
    finish.to(Owed.AT_RISK, "x", prediction=said(Course.WAITING))
    assert floor.states == [AlertState.FIRING]
    start.to(Owed.MET_LATE, "x", met_at=at("05:50"), lateness_ms=40 * MINUTE)
    assert floor.one("SELECT state, title, severity FROM alert") == (
        AlertState.FIRING, "daily at risk — due 06:00, must start by 05:04", Severity.MEDIUM,
    )  # fmt: skip
    finish.to(Owed.PENDING, "running since 05:50", prediction=said(p50="05:58", late=0.1))
    assert floor.states == [AlertState.RESOLVED]


def test_a_promise_taken_out_of_the_configuration_claims_nothing(floor: Floor) -> None:
    owes = Owes(floor, id=7)
    owes.to(Owed.BREACHED, "due 06:00: not started", evidence=(Evidence("run", "flow:daily/r1", None, "x"),))
    with floor.store.transaction() as tx:
        tx.db.execute(
            "INSERT INTO expectation (id, promise, thing, type, severity, words, gone) VALUES (7, 'p', 'flow:daily', 'finish_by', 1, 'w', 1)"
        )
    floor.tick()
    assert floor.states == [AlertState.CLOSED]
    with floor.store.transaction() as tx:
        assert links.of(tx, owes.one.key) is None


# --- what is said, and how often ----------------------------------------------------------------------------------------


def do_line(floor: Floor) -> str:
    body = floor.all("SELECT body FROM outbox ORDER BY created, id")[-1][0]
    return next(line for line in body.split("\n") if line.startswith("Do: "))


@pytest.mark.parametrize(
    ("on", "type", "reason", "want"),
    [
        ("ping:vault", "heartbeat", "due 06:00: said it failed 05:58", "the next 'watchfloor ping vault ok' ends this"),
        ("feed:eia", "source_arrival", "due 06:00: not arrived", "ask who sends it"),
        ("flow:daily", "finish_by", "due 06:00: not started", "start it: watchfloor act start 'flow:daily'"),
        ("flow:daily", "start_by", "due 06:00: not started", "start it: watchfloor act start 'flow:daily'"),
    ],
)
def test_a_message_says_the_first_step_where_nobody_wrote_one(
    floor: Floor, on: str, type: str, reason: str, want: str
) -> None:
    Owes(floor, on, type).to(Owed.BREACHED, reason)
    assert want in do_line(floor)


@pytest.mark.parametrize(("run", "shown"), [("flow:done/r1", False), ("flow:daily/r1", True)])
def test_of_a_set_only_the_log_of_who_is_missing_is_offered(floor: Floor, run: str, shown: bool) -> None:
    reason = "due 06:00: 1 of 3 done, missing other, daily"
    Owes(floor, "set:night", "completeness").to(Owed.BREACHED, reason, run_key=run)
    assert (f"log: watchfloor logs '{run}'" in do_line(floor)) is shown


def test_each_further_tick_of_a_broken_promise_stands_on_the_alert_and_wakes_nobody(floor: Floor) -> None:
    """A two-minute job that does not start breaks thirty promises an hour: one message, not thirty."""
    first = Owes(floor, type="start_by", due="06:00", promise="starts")
    floor.clock.at = at("06:00")
    first.to(Owed.BREACHED, "due 06:00: not started")
    sent(floor)
    for minute in (2, 4, 6):
        floor.clock.at = at(f"06:0{minute}")
        more = Owes(floor, type="start_by", due=f"06:0{minute}", promise="starts")
        more.one = replace(more.one, key=f"{more.one.key}T{minute}")
        more.to(Owed.BREACHED, f"due 06:0{minute}: not started")
        sent(floor)
    assert kinds(floor) == ["fire"]
    assert len(events(floor, "deadline broken")) == 3
    ((alert,),) = floor.all("SELECT count(*) FROM alert WHERE state < 4")
    assert alert == 1
    worse = Owes(floor, type="finish_by", due="06:10", id=2, severity=Severity.CRITICAL)
    floor.clock.at = at("06:10")
    worse.to(Owed.BREACHED, "due 06:10: not started")
    assert kinds(floor) == ["fire", "escalate"], "another promise of it is news"
