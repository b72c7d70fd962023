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
from engine.owed.bound import Bound, OwedChange
from engine.owed.history import Basis
from engine.owed.occurrences import Evidence, Occurrence, Promise
from engine.owed.predict import Prediction
from engine.store import alerts_owed as links
from tests.alerts.floor import MINUTE, PEER, Floor
from tests.alerts.test_message import HOSTILE

DUE = 1_795_150_800_000  # 2026-11-20 06:00 in Paris
DATE = "2026-11-20"


def at(clock: str) -> int:
    hour, minute = clock.split(":")
    return DUE + (int(hour) * 60 + int(minute) - 360) * MINUTE


def said(course: Course = Course.RUNNING, p50: str = "06:14", p90: str = "06:26", **more: Any) -> Prediction:
    values: dict[str, Any] = {"late": 0.7, "latest_start": at("05:04"), "spread": None} | more
    basis = Basis(learnt=True, n=20)
    return Prediction(
        course, at("05:00"), at(p50), at(p90), values["late"], 9, 20, values["latest_start"], basis, values["spread"]
    )


class Owes:
    """One promise of one thing; ``to`` is what the judge would say when its occurrence changes."""

    def __init__(
        self, floor: Floor, on: str = "flow:daily", type: str = "finish_by", *, due: str = "06:00", id: int = 1,
        severity: Severity = Severity.HIGH, promise: str = "", **more: Any,
    ) -> None:  # fmt: skip
        self.floor = floor
        promise = promise or f"{type}-{on}"
        self.bound = Bound(
            id=id, promise=Promise(id=promise, type=type, on=on), severity=severity, words=f"{type} {due}", **more
        )
        self.one = Occurrence(
            key=f"{promise}|{on}|{DATE}", promise=promise, type=type, on=on, zone="Europe/Paris", business_date=DATE, tick=None,
            from_at=DUE - 86_400_000, declared_at=at(due), due_at=at(due), alert_at=at(due), dated=True, by_clock=True,
        )  # fmt: skip

    def change(self, state: Owed, reason: str = "", *, alerting: bool | None = None, **more: Any) -> OwedChange:
        occurrence = {k: more.pop(k) for k in ("met_at", "lateness_ms", "evidence") if k in more}
        before = self.one.state
        since = {Owed.BREACHED: self.one.due_at}.get(state)
        self.one = replace(self.one, state=state, reason=reason, since=since, **occurrence)
        told = state is Owed.BREACHED if alerting is None else alerting
        return OwedChange(bound=self.bound, occurrence_id=1, before=before, after=self.one, alerting=told, **more)

    def to(self, state: Owed, reason: str = "", **more: Any) -> None:
        give(self.floor, self.change(state, reason, **more))


def give(floor: Floor, *changes: OwedChange) -> None:
    with floor.store.transaction(full=True) as tx:
        floor.alerts.on_owed(tx, changes)


def sent(floor: Floor) -> None:
    """All that waits has been delivered."""
    with floor.store.transaction() as tx:
        tx.db.execute("UPDATE outbox SET state = 2, attempts = 1 WHERE state = 0")
        tx.db.execute("UPDATE alert SET told = 1 WHERE id IN (SELECT alert_id FROM outbox)")


def kinds(floor: Floor) -> list[str]:
    return [kind for _, kind, _ in floor.letters]


def titles(floor: Floor) -> list[str]:
    return [title for (title,) in floor.all("SELECT title FROM outbox ORDER BY created, id")]


def events(floor: Floor, what: str) -> list[str]:
    return [d for (d,) in floor.all("SELECT detail FROM alert_event WHERE what = ? ORDER BY id", what)]


def wait(floor: Floor, ms: int) -> None:
    for _ in range(0, ms, 1000):
        floor.clock.forward(1000)
        floor.tick()


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path)
    made.clock.at = at("05:44")
    made.list("daily", "hourly", *(f"board{n}" for n in range(50)))
    yield made
    made.close()


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


def fail(floor: Floor, name: str = "r1") -> None:
    floor.poll(floor.run(State.FAILED, name, error="ORA-00001"))


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


# --- behind a cause -----------------------------------------------------------------------------------------------------


def late_feed(floor: Floor) -> Owes:
    feed = Owes(floor, "feed:eia", "source_arrival", due="05:30", id=50)
    feed.to(Owed.BREACHED, "due 05:30: not arrived")
    sent(floor)
    return feed


def boards(floor: Floor, count: int, **more: Any) -> list[Owes]:
    return [Owes(floor, f"flow:board{n}", due="07:00", id=100 + n, **more) for n in range(count)]


def test_nine_deadlines_behind_one_late_feed_are_one_alert_told_then_one_grouped_message(floor: Floor) -> None:
    late_feed(floor)
    nine = boards(floor, 9)
    give(floor, *(one.change(Owed.AT_RISK, "x", prediction=said(), root="feed:eia") for one in nine))
    assert floor.all("SELECT key FROM alert") == [("feed:eia",)]
    assert len(events(floor, "behind it")) == 9
    assert events(floor, "behind it")[0] == "board0 07:00"
    assert "\nBehind it: board0 07:00, board1 07:00" in floor.one("SELECT body FROM alert")
    floor.clock.at = at("07:00")
    give(floor, *(one.change(Owed.BREACHED, "due 07:00: not started", root="feed:eia") for one in nine))
    feed = floor.one("SELECT id FROM alert WHERE key = 'feed:eia'")
    assert floor.one("SELECT count(*) FROM alert WHERE parent = ? AND state = 1", feed) == 9
    wait(floor, 29_000)
    assert len(floor.letters) == 1
    floor.alerts = Alerts(floor.ctx)  # a restart in between
    wait(floor, 3_000)
    assert floor.letters == [("ana", "fire", 2), ("ana", "repeat", 0)]
    title, body = floor.one("SELECT title, body FROM outbox WHERE kind = 'repeat'")
    assert title == "[HIGH] 9 deadlines broken behind it: eia late — due 05:30, not arrived"
    assert "Behind it: broken: board0 07:00, board1 07:00" in body
    assert message.problems(title, body) == []
    wait(floor, 400_000)
    assert len(floor.letters) == 2


def test_further_breaches_behind_it_wait_five_minutes_and_critical_ones_ten_seconds_at_first(floor: Floor) -> None:
    late_feed(floor)
    one, two = boards(floor, 2, severity=Severity.CRITICAL)
    floor.clock.at = at("07:00")
    one.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 9_000)
    assert len(floor.letters) == 1
    wait(floor, 2_000)
    assert kinds(floor) == ["fire", "escalate"]
    assert titles(floor)[1].startswith("[CRITICAL] 1 deadline broken behind it: eia late")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 290_000)
    assert len(floor.letters) == 2
    wait(floor, 15_000)
    assert kinds(floor) == ["fire", "escalate", "repeat"]


def test_ten_are_named_and_the_others_counted(floor: Floor) -> None:
    late_feed(floor)
    give(floor, *(one.change(Owed.AT_RISK, "x", prediction=said(), root="feed:eia") for one in boards(floor, 47)))
    body = floor.one("SELECT body FROM alert")
    assert "and 37 more" in body
    assert body.count(" 07:00") == 10


def test_without_an_alert_of_the_cause_it_stands_alone(floor: Floor) -> None:
    boards(floor, 1)[0].to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    assert floor.all("SELECT key, parent FROM alert") == [("flow:board0", None)]
    assert kinds(floor) == ["fire"]


def test_a_chain_hangs_on_the_first_cause(floor: Floor) -> None:
    late_feed(floor)
    middle, last = boards(floor, 2)
    middle.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    last.to(Owed.BREACHED, "due 07:00: not started", root="flow:board0")
    feed = floor.one("SELECT id FROM alert WHERE key = 'feed:eia'")
    assert floor.one("SELECT parent FROM alert WHERE key = 'flow:board1'") == feed


def test_a_failed_upstream_is_a_cause_too(floor: Floor) -> None:
    fail(floor)
    boards(floor, 1)[0].to(Owed.AT_RISK, "x", prediction=said(), root="flow:daily")
    assert floor.all("SELECT key FROM alert") == [("flow:daily",)]
    assert "Behind it: board0 07:00" in floor.one("SELECT body FROM alert")
    floor.poll(floor.run(State.FAILED, error="ORA-00001: more of its log"))
    assert "Behind it: board0 07:00" in floor.one("SELECT body FROM alert")


def test_what_is_met_behind_its_cause_is_over_there(floor: Floor) -> None:
    late_feed(floor)
    one, two = boards(floor, 2)
    one.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    one.to(Owed.PENDING, "x", prediction=said(late=0.1))
    two.to(Owed.MET_LATE, "x", met_at=at("07:10"), lateness_ms=10 * MINUTE)
    wait(floor, 40_000)
    assert floor.all("SELECT key FROM alert WHERE state < 4") == [("feed:eia",)]
    assert "Behind it" not in floor.one("SELECT body FROM alert WHERE key = 'feed:eia'")
    assert kinds(floor) == ["fire"]  # over within the wait: never told


def test_when_the_cause_ends_untold_what_stays_is_told_once_together(floor: Floor) -> None:
    feed = late_feed(floor)
    one, two, three = boards(floor, 3)
    one.to(Owed.AT_RISK, "x", prediction=said(), root="feed:eia")
    two.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    three.to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    feed.to(Owed.MET_LATE, "x", met_at=at("05:44"), lateness_ms=14 * MINUTE)
    evidence = floor.one("SELECT resolved_by FROM alert WHERE key = 'feed:eia'")
    assert evidence == "arrived 05:44, 14m late; still broken behind it: board1 07:00, board2 07:00"
    wait(floor, 29_000)
    assert kinds(floor) == ["fire", "resolve"]
    wait(floor, 3_000)
    assert kinds(floor) == ["fire", "resolve", "fire"]
    assert titles(floor)[2].startswith("[HIGH] and 2 more after the same cause: board1 late — due 07:00")
    assert floor.one("SELECT count(*) FROM alert WHERE state = 1") == 3
    wait(floor, 60_000)
    assert len(floor.letters) == 3


def test_whoever_is_told_of_a_thing_is_told_when_it_breaks_behind_another(floor: Floor) -> None:
    low = SeverityTest(">=", Severity.LOW)
    floor.ctx.config = replace(floor.config, routes=(Route("flow:board*", low, ("ben",)), Route("*", low, ("ana",))))
    late_feed(floor)
    boards(floor, 1)[0].to(Owed.BREACHED, "due 07:00: not started", root="feed:eia")
    wait(floor, 32_000)
    assert [(who, kind) for who, kind, _ in floor.letters[1:]] == [("ana", "repeat"), ("ben", "repeat")]


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
