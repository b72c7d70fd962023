"""The Floor speaks of what is owed: order, sentences, verdict, columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import Course, Owed, Severity, State, Trigger
from engine.store import owed
from tests.tui import snap
from tests.tui.floor_owed_parts import floor, row
from tests.tui.owed_stores import owe
from tests.tui.owed_story import AF, owed_story
from tests.tui.stores import DAY, HOUR, MINUTE, SIZES, TZ, House, calm, painted
from tui.present import words
from tui.present.floor import Rank, story
from tui.screens.floor import FloorView


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = owed_story(tmp_path)
    yield h
    h.close()


def says(view: FloorView, key: str) -> str:
    return words.plain(story(view.items[key], view.all, TZ, view.context.now()))


def edge(h: House, *pairs: tuple[str, str]) -> None:
    with h.tx() as tx:
        owed.put_edges(tx, [(up, down, "after") for up, down in pairs])


# --- order and sentences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(house: House, size: tuple[int, int]) -> None:
    snap.same(f"floor-owed-{size[0]}x{size[1]}", painted(floor(house), *size))


def test_broken_and_blocking_first_then_at_risk_then_the_rest(house: House) -> None:
    view = floor(house)
    ranks = [view.items[key].rank for key in view.problems]
    assert ranks == sorted(ranks)
    names = [view.items[key].name for key in view.problems]
    assert set(names[:3]) == {"tmc_cards_to_ldz", "ping backup", "ldz_to_rdv_contracts"}
    assert names[3:5] == ["daily_sales", "rdv_to_customer_360"]
    assert names[5] == "fx_rates_probe"  # failed, but nothing waits for it
    assert view.items["local:fx_rates_probe"].rank is Rank.FAILED


def test_each_sentence_leads_with_the_promise(house: House) -> None:
    view = floor(house)
    sales = says(view, AF + "daily_sales")
    assert sales.startswith("due 06:00, p50 06:14 · p90 06:26 · source eia came 05:21 +36m · blocks board_report 07:00")
    missed = says(view, AF + "tmc_cards_to_ldz")
    assert missed.startswith("due to start 04:55, no run seen · must start by 06:02")
    failed = says(view, AF + "ldz_to_rdv_contracts")
    assert failed.startswith(
        "load_fact: ORA-00001 duplicate key · blocks rdv_to_customer_360 06:30 +1 · if rerun now 06:07 ± 5"
    )
    waits = says(view, AF + "rdv_to_customer_360")
    assert waits.startswith("due 06:30, p50 06:34 · p90 06:39 · had to start by 05:48")
    assert "nothing waits for it" in says(view, "local:fx_rates_probe")
    assert "usual 41m (2.7×) · due 08:00 holds" in says(view, "dbx-prod:churn_features_refresh")


def test_a_failure_counts_as_owed_only_where_somebody_waits_for_it(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    for name in ("a", "b", "c"):
        h.pipeline("prod-airflow", name)
    h.run(
        "prod-airflow", "a", "r1", State.FAILED, started_ago=HOUR, took=MINUTE, error="boom", business_date="2026-11-19"
    )
    owe(h, AF + "c", due_in=HOUR, date="2026-11-19")
    view = floor(h)
    assert view.items[AF + "a"].rank is Rank.FAILED
    assert "waits" not in says(view, AF + "a")  # nobody knows who waits for whom: nothing is said of it
    edge(h, (AF + "a", AF + "b"), (AF + "b", AF + "c"))
    view.load()
    assert view.items[AF + "a"].rank is Rank.BREACHED
    assert "blocks c 06:52" in says(view, AF + "a")
    owe(h, AF + "c", promise="other", due_in=HOUR, date="2026-11-20")  # what matters now of c is another date
    view.load()
    assert view.items[AF + "a"].rank is Rank.FAILED
    h.close()


def test_a_cycle_of_edges_ends(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    for name in ("a", "b"):
        h.pipeline("prod-airflow", name)
    h.run("prod-airflow", "a", "r1", State.FAILED, started_ago=HOUR, took=MINUTE, error="boom")
    owe(h, AF + "b", due_in=HOUR)
    edge(h, (AF + "a", AF + "b"), (AF + "b", AF + "a"))
    assert "blocks b 06:52" in says(floor(h), AF + "a")
    h.close()


def test_what_nobody_declared_stands_where_it_stood_before(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    for name in ("tick", "silent", "wild", "fine"):
        h.pipeline("prod-airflow", name)
        h.history("prod-airflow", name)
    h.run("prod-airflow", "wild", "r1", State.RUNNING, started_ago=5 * HOUR)
    more: dict[str, Any] = {"declared": False, "due_in": -HOUR, "state": Owed.BREACHED}
    owe(h, AF + "tick", type="start_by", promise="schedule", missed=True, **more)
    owe(h, AF + "silent", type="start_by", promise="overdue", missed=True, **more)
    owe(h, AF + "wild", type="runaway", promise="runaway", **more)
    owe(h, AF + "fine", type="start_by", promise="schedule", declared=False, due_in=HOUR)
    view = floor(h)
    ranks = {key.partition(":")[2]: item.rank for key, item in view.items.items()}
    assert ranks == {"tick": Rank.MISSED, "silent": Rank.MISSED, "wild": Rank.LONG, "fine": Rank.FINE}
    assert "due to start 04:52, no run seen" in says(view, AF + "tick")
    assert "expected by 04:52" in says(view, AF + "silent")
    shown = "\n".join(painted(view, 120, 40))
    assert "DUE ±LATE" not in shown
    assert "LAST OK" in shown
    assert "deadline" not in shown.lower().replace("5 deadlines", "")
    h.close()


# --- verdict --------------------------------------------------------------------------------------------------------


def test_the_verdict_names_what_is_in_danger(house: House) -> None:
    line = painted(floor(house), 200, 50)[1]
    assert "4 broken  since 03:12" in line
    assert "3 deadlines in danger   daily_sales 06:00, ldz_to_rdv_contracts 06:20, rdv_to_customer_360 06:30" in line
    assert "1 source blind" in line
    narrow = painted(floor(house), 120, 40)[1]
    assert "daily_sales 06:00 +2" in narrow  # whole names only


def test_all_as_owed_says_what_is_due_next_and_what_is_to_spare(tmp_path: Path) -> None:
    h = calm(tmp_path)
    view = floor(h)
    assert "All 5 fine" in painted(view, 120, 40)[1]
    owe(h, "local:step_1", due_in=113 * MINUTE, p50_in=82 * MINUTE, p90_in=90 * MINUTE, late=0.0)
    view.load()
    shown = painted(view, 120, 40)
    assert "All 5 as owed  next due step_1 07:45, 31m to spare" in shown[1]
    assert "DUE ±LATE" in "\n".join(shown)
    styles = {word for line in view.paint(120, 40) for _, style in line for word in style.split()}
    assert "rev" not in styles  # nothing wrong: nothing inverse
    h.close()


def test_one_at_risk_is_no_longer_calm_and_not_yet_broken(tmp_path: Path) -> None:
    h = calm(tmp_path)
    owe(h, "local:step_1", due_in=10 * MINUTE, state=Owed.AT_RISK, p50_in=12 * MINUTE, p90_in=13 * MINUTE, late=0.9)
    view = floor(h)
    line = painted(view, 120, 40)[1]
    assert "1 deadline in danger   step_1 06:02" in line
    assert "broken" not in line
    assert "as owed" not in line
    assert "1 in danger" in painted(view, 40, 6)[0]
    assert view.data()["broken"] == 0
    h.close()


def test_an_unknown_promise_is_not_as_owed(tmp_path: Path) -> None:
    h = calm(tmp_path)
    owe(h, "local:step_1", due_in=-HOUR, state=Owed.UNKNOWN)
    view = floor(h)
    line = painted(view, 120, 40)[1]
    assert "1 of 5 unknown" in line
    assert "as owed" not in line
    assert view.items["local:step_1"].rank is Rank.UNKNOWN
    h.close()


# --- columns --------------------------------------------------------------------------------------------------------


def test_the_column_says_due_and_lateness(house: House) -> None:
    view = floor(house)
    assert "06:15 -8m" in row(view, "ldz_to_rdv_transactions")
    assert "04:30 met" in row(view, "mart_to_ldz_customer")
    assert "04:30 +21m" in row(view, "mart_to_ldz_accounts")
    assert "07:00 ?" in row(view, "dss_flowchart_nightly")  # its source is not seen
    assert "08:52 ?" in row(view, "churn_train_weekly")
    assert "learning 5/8" in row(view, "churn_train_weekly")
    assert "event" in row(view, "board_report")  # event-driven: it owes freshness, not a tick


def test_a_due_time_that_nobody_has_to_keep_is_not_drawn_as_one(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    for name, more in (
        ("closed", dict(state=Owed.EXCLUDED)),
        ("excused", dict(state=Owed.WAIVED)),
        ("chained", dict(type="sequence")),
    ):
        key = h.pipeline("s", name)
        h.history("s", name, n=9)
        owe(h, key, due_in=18 * HOUR, **more)
    view = floor(h)
    assert "next due" not in painted(view, 200, 50)[1]
    assert "excluded" in row(view, "closed")
    assert "waived" in row(view, "excused")
    assert any("chained" in line and "in order" in line for line in painted(view, 200, 50))
    assert not any("23:52" in line for line in painted(view, 200, 50))
    h.close()


def test_of_two_broken_promises_the_graver_stands_first(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    mild, grave = h.pipeline("s", "a_mild"), h.pipeline("s", "b_grave")
    owe(h, mild, due_in=-30 * MINUTE, state=Owed.BREACHED, severity=Severity.LOW, reason="due 05:22: not started")
    owe(h, "ping:c_high", due_in=-40 * MINUTE, type="heartbeat", state=Owed.BREACHED, severity=Severity.HIGH)
    owe(h, grave, due_in=-MINUTE, state=Owed.BREACHED, severity=Severity.CRITICAL, reason="due 05:51: not started")
    assert [i.name for i in floor(h).all if i.problem] == ["b_grave", "ping c_high", "a_mild"]
    h.close()


def test_a_broken_promise_with_a_declared_duration_says_when_a_start_now_would_end(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    key = h.pipeline("s", "report")
    owe(
        h, key, due_in=-20 * MINUTE, state=Owed.BREACHED, course=Course.LEARNING, n=0, learnt=False, missed=True,
        expected_ms=10 * MINUTE, start_in=-30 * MINUTE, p50_in=-20 * MINUTE, reason="due 05:32: not started",
    )  # fmt: skip
    said = says(floor(h), key)
    assert "due 05:32, no run seen · if now 06:02" in said
    assert "then done" not in said
    h.close()


def test_of_a_run_that_is_not_verified_no_start_is_waited_for(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s")
    key = h.pipeline("s", "verify")
    owe(
        h, key, due_in=-20 * MINUTE, state=Owed.BREACHED, p50_in=MINUTE, p90_in=2 * MINUTE, late=1.0, must_start_in=-21 * MINUTE,
        reason="due 05:32: succeeded 05:31, not yet verified",
    )  # fmt: skip
    said = says(floor(h), key)
    assert "due 05:32, succeeded 05:31, not yet verified" in said
    for never in ("not started", "if now", "had to start"):
        assert never not in said
    h.close()


def test_a_source_that_fell_silent_is_blind_since_its_last_answer(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("ok")
    h.source("quiet", ok_ago=10 * MINUTE, since_ago=DAY)
    item = next(i for i in floor(h).all if i.key == "source:quiet")
    assert item.since == h.now - 10 * MINUTE
    h.close()


def test_event_driven_pipelines_show_no_next_time(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    h.pipeline("prod-airflow", "on_files", trigger=Trigger.EVENT, next_in=HOUR)
    shown = row(floor(h), "on_files", 120)
    assert " event " in shown
    assert "06:52" not in shown
    h.close()


def test_a_blind_source_colours_nothing_and_keeps_the_danger_in_doubt(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow", ok_ago=20 * MINUTE)
    h.pipeline("prod-airflow", "late_one")
    h.run("prod-airflow", "late_one", "r1", State.RUNNING, started_ago=HOUR)
    owe(
        h, AF + "late_one", due_in=MINUTE, state=Owed.AT_RISK, course=Course.RUNNING, p50_in=HOUR, p90_in=HOUR, late=1.0
    )
    view = floor(h)
    line = next(r for r in view.paint(120, 40) if any("late_one" in t for t, _ in r))
    assert "◆?" in "".join(t for t, _ in line)
    assert says(view, AF + "late_one").startswith("due 05:53, not seen since 05:32")
    assert {s.partition(" ")[0] for t, s in line if t.strip() and not s.startswith("mark")} <= {"run-stale"}
    assert "in danger" not in painted(view, 120, 40)[1]  # nobody can say so now; 1 blind is said instead
    h.close()


def test_finished_but_not_verified_reads_so_and_becomes_a_problem_when_it_lasts(house: House) -> None:
    view = floor(house)
    item = view.items[AF + "verified_load"]
    assert (item.look.word, item.rank) == ("checking", Rank.RUNNING)
    assert says(view, item.key).startswith(
        "finished 05:39, not yet verified · check rows-ldz failed: 0 rows, expected at least 1"
    )
    assert "rows-ldz failed" in row(view, "verified_load", 120)
    house.clock.at += 20 * MINUTE
    with house.tx() as tx:  # its source still answers
        tx.db.execute("UPDATE source_health SET last_ok = ?", (house.now,))
        tx.bump("health")
    view.load()
    item = view.items[AF + "verified_load"]
    assert (item.look.word, item.rank, item.problem) == ("unproved", Rank.WARNING, True)


def test_a_deadline_that_broke_on_a_check_says_once_that_it_is_not_verified(house: House) -> None:
    key = AF + "verified_load"
    owe(
        house, key, promise="proof", due_in=-5 * MINUTE, state=Owed.BREACHED,
        reason="due 05:47: succeeded 05:39, not yet verified",
    )  # fmt: skip
    said = says(floor(house), key)
    assert said.count("not yet verified") == 1
    assert "check rows-ldz failed" in said


def test_numbers_that_are_broken_are_not_taken_from_the_pipelines(tmp_path):
    """Where nobody watches: three broken numbers beside one broken and one good pipeline leave one other, not minus two."""
    h = House(tmp_path)
    h.engine()
    h.source("s")
    owe(h, h.pipeline("s", "late"), due_in=-HOUR, state=Owed.BREACHED)
    h.pipeline("s", "good")
    for name in ("lag", "rows", "cost"):
        owe(h, f"series:{name}", due_in=-HOUR, state=Owed.BREACHED, type="metric")
    shown = painted(floor(h, engine_alive=False, engine_silent_since=h.now - HOUR), 120, 40)
    assert "then  4 broken · 1 others" in shown[3]
    h.close()
