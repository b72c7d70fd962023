"""Defects that random worlds found in the judge, each as small as it could be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Mode, Owed, RunKind, State
from engine.config.model import Window
from engine.config.units import Moment
from engine.owed.live import Live
from engine.owed.matching import RunFact, match
from engine.owed.occurrences import Promise, open_between
from engine.owed.outlook import Outlook
from engine.owed.verdict import Facts, judge
from engine.store import facts as outside
from engine.store import sources
from tests.owed.court import DAY, HOUR, MINUTE, SECOND, Court, at, expect

TODAY = {"business_date": "2026-11-20"}
Made = Callable[..., Court]


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Made]:
    made: list[Court] = []

    def make(*expectations: Any, learns: bool = False, **more: Any) -> Court:
        floor = Court(tmp_path, *expectations, **more)
        if learns:
            fresh(floor)
            floor.outlook = Outlook(floor.ctx)
            floor.live = Live(floor.ctx, floor.outlook)
            floor.restart()
        made.append(floor)
        return floor

    yield make
    for one in made:
        one.close()


def fresh(floor: Court) -> None:
    """All sources answer well now."""
    with floor.store.transaction() as tx:
        for id in floor.ids.values():
            sources.put_health(tx, id, health=1, last_ok=tx.now)


def waive(floor: Court, key: str, until: int | None = None) -> None:
    with floor.store.transaction() as tx:
        outside.put_waiver(tx, key, "ana", 1, "known", until)
        floor.judge.on_waived(tx, key)


def undo(floor: Court, key: str) -> None:
    with floor.store.transaction() as tx:
        outside.end_waivers(tx, key)
        floor.judge.on_waived(tx, key)


def history(floor: Court, *names: str, minutes: int = 50) -> None:
    """Twenty nights from 05:00, fetched now."""
    found = []
    for name in names:
        for n in range(1, 21):
            begun = at("05:00") - n * DAY
            ended = begun + minutes * MINUTE + (n * 7 % 10) * MINUTE
            found.append(floor.run(f"past-{n}", name, begun, ended, backfilled=True, source_updated=ended))
    floor.see(*found)


def key(floor: Court, promise: str, **more: Any) -> str:
    return floor.owed(promise, **more).key


# --- reloads and restarts -------------------------------------------------------------------------------------------


def test_a_promise_that_is_put_back_goes_on_with_what_is_stored_of_it(court: Made) -> None:
    ready = expect("ready", due="06:00")
    floor = court(ready)
    floor.list("sales", schedule=None)
    waive(floor, key(floor, "ready"), at("05:30"))
    floor.reload()
    floor.reload(ready)
    assert floor.owed("ready").state is Owed.WAIVED
    floor.until("05:31")
    assert floor.owed("ready").state is Owed.PENDING, "nobody saw that the waiver ended"


def test_a_promise_that_was_met_early_is_put_back_without_a_second_row(court: Made) -> None:
    ready = expect("ready", due="06:00")
    floor = court(ready)
    floor.list("sales", schedule=None)
    floor.see(floor.run("1", "sales", "04:00", "04:30", **TODAY))
    assert floor.owed("ready").state is Owed.MET
    floor.reload()
    floor.reload(ready)
    assert floor.owed("ready").state is Owed.MET


def test_a_heartbeat_keeps_its_waiver_over_a_restart(court: Made) -> None:
    floor = court(expect("alive", "ping:backup", "heartbeat", max_age_ms=HOUR))
    floor.until("04:50")
    waive(floor, key(floor, "alive", date=None))
    floor.restart()
    floor.until("06:00")
    assert floor.owed("alive", date=None).state is Owed.WAIVED


def test_a_sequence_in_which_nothing_started_is_over_also_after_a_restart(court: Made) -> None:
    floor = court(expect("order", "air:load", "sequence", after="air:extract"), now="2026-11-19 23:00")
    floor.list("extract", "load", schedule=None)
    floor.until("00:10")
    assert floor.owed("order", "2026-11-19").state is Owed.EXCLUDED
    floor.restart()
    floor.tick()
    assert floor.owed("order", "2026-11-19").state is Owed.EXCLUDED


def test_a_restart_between_a_tick_and_its_grace_fills_no_older_hole(court: Made) -> None:
    floor = court()
    floor.list("sales", schedule="0 */2 * * *")
    floor.until("06:15")
    floor.see(floor.run("8", "sales", "06:14", None, **TODAY))  # of 06:00, late
    floor.until("08:11")
    assert dict(floor.all("schedule"))["2026-11-20T07:00Z"] is Owed.BREACHED
    floor.until("10:01")
    floor.see(floor.run("10", "sales", "10:00", None, **TODAY))
    floor.restart()
    floor.tick()
    assert dict(floor.all("schedule"))["2026-11-20T07:00Z"] is Owed.BREACHED


def test_a_broken_run_of_a_promise_that_went_is_not_on_the_floor(court: Made) -> None:
    floor = court(expect("short", type="max_duration", limit_ms=10 * MINUTE), learns=True)
    floor.list("sales", schedule=None)
    floor.see(floor.run("1", "sales", "04:40"))
    floor.until("04:55")
    fresh(floor)
    floor.until("04:58")
    assert floor.reader.owed_now()["air:sales"].promise == "short"
    floor.reload()
    assert not floor.ask(
        "SELECT * FROM owed_now n JOIN occurrence o ON o.id = n.occurrence_id JOIN expectation e ON e.id = o.expectation_id WHERE e.gone = 1"
    )


def test_a_reload_of_windows_leaves_undeclared_holes_to_be_filled(court: Made) -> None:
    floor = court()
    floor.list("sales")
    floor.until("05:11")
    assert [s for _, s in floor.all("schedule")][:1] == [Owed.BREACHED]
    night = Window(
        name="night", on="*", kind="maintenance", start=Moment(minute=60), end=Moment(minute=120), timezone="Europe/Paris", expect="shift"
    )  # fmt: skip
    floor.reload(windows=(night,))
    floor.until("05:20")
    floor.see(floor.run("1", "sales", "05:19", **TODAY))
    assert [s for _, s in floor.all("schedule")][:1] == [Owed.MET_LATE]


# --- waivers --------------------------------------------------------------------------------------------------------


def test_the_waiver_of_an_undeclared_tick_can_be_taken_back(court: Made) -> None:
    floor = court()
    floor.list("sales")
    tick = key(floor, "schedule")
    waive(floor, tick)
    floor.restart()
    floor.tick()
    assert floor.owed("schedule").state is Owed.WAIVED
    undo(floor, tick)
    floor.until("05:11")
    assert floor.owed("schedule").state is Owed.BREACHED


def test_the_run_of_what_was_waived_fills_no_other_hole(court: Made) -> None:
    floor = court(expect("starts", type="start_by"))
    floor.list("sales", schedule="0 */4 * * *")
    waive(floor, next(r.key for r in floor.reader.owed(0, 1 << 60) if r.promise == "starts" and r.due == at("12:10")))
    floor.until("08:11")
    floor.until("12:12", every=10 * MINUTE)
    floor.see(floor.run("old", "sales", "12:11", kind=RunKind.BACKFILL, business_date="2026-11-01"))
    floor.see(floor.run("12", "sales", "12:01"))
    assert dict(floor.all("starts"))["2026-11-20T07:00Z"] is Owed.BREACHED


def test_a_set_is_judged_again_when_a_members_waiver_ends(court: Made) -> None:
    floor = court(
        expect("close", "set:close", "completeness", due="08:00", of=("air:c_*",)), expect("b", "air:c_b", due="07:00")
    )
    floor.list("c_a", "c_b", schedule=None)
    waive(floor, key(floor, "b"), at("05:30"))
    floor.see(floor.run("1", "c_a", "04:00", "04:30", **TODAY))
    assert floor.owed("close").state is Owed.MET
    floor.until("05:32")
    assert floor.owed("close").state is Owed.PENDING


# --- which run is whose ---------------------------------------------------------------------------------------------


def test_a_rerun_of_a_run_that_is_taken_is_not_anybody_elses() -> None:
    promise = Promise(id="p", type="finish_by", on="air:sales", zone="UTC", due=360)
    (one,) = open_between(promise, at("2026-11-20 00:00"), at("2026-11-20 12:00"))
    again = RunFact(
        key="r2", state=State.SUCCESS, kind=RunKind.RERUN, started=one.due_at - HOUR, ended=one.due_at, rerun_of="r1"
    )
    assert match([one], [again], frozenset({"r1"})) == {}


def test_a_sign_of_life_settles_a_heartbeat_whatever_is_said_later() -> None:
    from engine.owed.occurrences import rolling

    one = rolling(Promise(id="p", type="heartbeat", on="ping:x", zone="UTC", max_age_ms=HOUR), 1_000 * SECOND)
    assert one is not None
    beat = one.due_at + MINUTE
    said = judge(one, Facts(beats=(beat,), fails=((beat + HOUR, "disk"),), seen=beat + DAY), beat + DAY)
    assert (said.state, said.met_at) == (Owed.MET_LATE, beat)


# --- prediction -----------------------------------------------------------------------------------------------------


def test_history_that_comes_after_the_first_look_puts_it_at_risk(court: Made) -> None:
    floor = court(expect("ready", due="06:00"), now="05:10", learns=True)
    floor.list("sales")
    assert floor.owed("ready").state is Owed.PENDING
    history(floor, "sales")
    for _ in range(12):
        fresh(floor)
        floor.until(floor.now + 5 * SECOND, every=5 * SECOND)
    assert floor.owed("ready").state is Owed.AT_RISK
    assert floor.owed("ready").prediction.n >= 8


def test_history_that_comes_while_a_run_goes_on_says_that_it_is_odd(court: Made) -> None:
    floor = court(expect("odd", type="duration_anomaly"), now="06:40", learns=True)
    floor.list("sales")
    floor.see(floor.run("1", "sales", "05:00", **TODAY))
    history(floor, "sales", minutes=20)
    floor.until("06:42")
    fresh(floor)
    floor.until("06:44")
    assert [s for _, s in floor.all("odd")] == [Owed.BREACHED]


def test_the_next_ones_of_a_frequent_schedule_are_predicted_as_they_come_near(court: Made) -> None:
    floor = court(expect("ready", due_after_schedule_ms=30 * MINUTE), now="04:50", learns=True)
    floor.list("sales", schedule="0 * * * *")
    history(floor, "sales")
    floor.until("07:20", every=5 * MINUTE)
    for _ in range(6):
        fresh(floor)
        floor.until(floor.now + 10 * SECOND, every=10 * SECOND)
    assert (
        dict(floor.all("ready"))["2026-11-20T07:00Z"] is Owed.AT_RISK
    )  # nothing of an hourly run of 50m is done in 30m


def test_who_waits_for_one_that_is_paused_is_predicted_again(court: Made) -> None:
    floor = court(expect("ready", "air:mart", due="06:05"), now="04:50", learns=True)
    floor.list("extract", schedule="15 5 * * *")
    floor.list("mart", schedule="20 5 * * *", after=("air:extract",))
    history(floor, "extract", minutes=30)
    history(floor, "mart", minutes=10)
    for _ in range(6):
        fresh(floor)
        floor.until(floor.now + 10 * SECOND, every=10 * SECOND)
    assert floor.owed("ready").state is Owed.AT_RISK  # it waits for extract, until 05:50
    floor.list("extract", schedule="15 5 * * *", mode=Mode.PAUSED)
    for _ in range(3):
        fresh(floor)
        floor.until(floor.now + 10 * SECOND, every=10 * SECOND)
    assert floor.owed("ready").state is Owed.PENDING


def test_it_is_at_risk_again_as_soon_as_its_waiver_ends(court: Made) -> None:
    floor = court(expect("ready", due="06:00"), now="05:10", learns=True)
    floor.list("sales")
    history(floor, "sales")
    floor.until("05:12")
    fresh(floor)
    floor.until("05:14")
    assert floor.owed("ready").state is Owed.AT_RISK
    waive(floor, key(floor, "ready"), at("05:20"))
    fresh(floor)
    floor.until("05:21")
    assert floor.owed("ready").state is Owed.AT_RISK


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_window_that_moves_many_ticks_far_does_not_keep_the_next_ones_closed(court: Made) -> None:
    night = Window(
        name="night", on="*", kind="maintenance", start=Moment(minute=300), end=Moment(minute=1380), timezone="Europe/Paris", expect="shift"
    )  # fmt: skip
    floor = court(expect("ready", due_after_schedule_ms=5 * MINUTE), windows=(night,))
    floor.list("sales", schedule="*/10 * * * *")
    floor.until("20:00", every=10 * MINUTE)
    assert "2026-11-20T19:10Z" in dict(floor.all("ready"))  # of 20:10
