"""The Floor, the Run screen and the wall speak of what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import AlertState, Course, Owed, Severity, State, Trigger
from engine.store import alerts, owed
from tests.tui import snap
from tests.tui.owed_stores import owe
from tests.tui.owed_story import AF, owed_story
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, SIZES, TZ, House, calm, painted
from tui.present import words
from tui.present.floor import Rank, story
from tui.screens.floor import FloorView
from tui.screens.run import RunView
from tui.screens.wall import WallView
from tui.view import Line, Open, Request, Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = owed_story(tmp_path)
    yield h
    h.close()


def floor(h: House, **more: Any) -> FloorView:
    view = FloorView(h.context(**more))
    view.load()
    return view


def says(view: FloorView, key: str) -> str:
    return words.plain(story(view.items[key], view.all, TZ, view.context.now()))


def row(view: FloorView, name: str, width: int = 200) -> str:
    return next(line for line in painted(view, width, 50) if name in line[:40])


def at(view: FloorView, key: str) -> FloorView:
    view.cursor, view.moved = key, True
    return view


def styled(lines: list[Line], text: str) -> set[str]:
    return {style for line in lines for part, style in line if text in part}


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


# --- things that are no pipeline ------------------------------------------------------------------------------------


def test_a_broken_heartbeat_is_a_row_that_opens_its_deadline(house: House) -> None:
    view = at(floor(house), "ping:backup")
    assert "due 05:40, no sign of life since 03:00" in row(view, "ping backup")
    (effect,) = view.act("list.open")
    assert isinstance(effect, Open)
    assert effect.screen == "deadlines"
    assert effect.arg
    assert "ping:backup" in effect.arg
    assert isinstance(view.act("run.log")[0], Say)
    assert isinstance(view.act("run.rerun")[0], Say)
    assert "feed:eia" not in view.items  # late, but here: no problem of its own any more


def test_things_stay_among_the_rows_under_a_filter_and_when_nobody_watches(house: House) -> None:
    view = floor(house)
    view.set_filter("backup")
    assert [view.items[k].name for k in view.keys] == ["ping backup"]
    assert "no sign of life" in row(view, "ping backup", 120)
    view.set_filter("state:breached")
    assert "ping:backup" in view.keys
    dark = floor(house, engine_alive=False, engine_silent_since=house.now - HOUR)
    assert "◆? breached" in row(dark, "ping backup", 120)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_key_that_asks_where_a_number_comes_from(house: House) -> None:
    view = at(floor(house), AF + "daily_sales")
    for width, height in SIZES:
        assert view.act("owed.basis") == ()
        shown = painted(view, width, height)
        text = " ".join(" ".join(shown).split())
        assert "Where from of daily_sales" in text
        assert "learnt from 20 weekday runs, 11 Oct–19 Nov" in text
        assert "declared in watchfloor.toml:12" in text
        view.act("nav.back")
        assert "Where from" not in "\n".join(painted(view, width, height))
    view.act("owed.basis")
    assert view.act("run.history") == (Open("history", AF + "daily_sales"),)  # any other key goes on and closes it
    assert view.basis is None
    (said,) = at(view, AF + "txn_stream_bronze").act("owed.basis")
    assert isinstance(said, Say)
    assert "owes nothing" in said.text


def test_waive_opens_its_dialog_on_what_is_still_owed_only(house: House) -> None:
    view = at(floor(house), AF + "daily_sales")
    (effect,) = view.act("owed.waive")
    assert isinstance(effect, Open)
    assert effect.screen == "waive"
    assert effect.arg == view.items[AF + "daily_sales"].owed.key  # type: ignore[union-attr]
    (said,) = at(view, AF + "mart_to_ldz_customer").act("owed.waive")
    assert isinstance(said, Say)
    assert "it is met" in said.text
    (said,) = at(view, AF + "txn_stream_bronze").act("owed.waive")
    assert isinstance(said, Say)
    assert "nothing is owed" in said.text


def test_enter_on_what_has_not_run_opens_its_deadline(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    h.pipeline("prod-airflow", "fresh")
    owe(h, AF + "fresh", due_in=MINUTE, state=Owed.AT_RISK, p50_in=HOUR, p90_in=HOUR, late=1.0)
    (effect,) = at(floor(h), AF + "fresh").act("list.open")
    assert isinstance(effect, Open)
    assert effect.screen == "deadlines"
    h.close()


def alert_about_promise(h: House, key: str) -> None:
    with h.tx() as tx:
        alerts.insert(
            tx,
            alerts.Alert(
                id="9QX1", dedup="d", rule="owed", key=key, occurrence="o", severity=Severity.CRITICAL, state=AlertState.FIRING, title="late",
                body="late", opened=h.now - MINUTE, since=h.now - MINUTE, changed=h.now, resolved=None, resolved_by=None,
                acked_by=None, acked_at=None, ack_until=None, ack_note=None, reopened=0, held_back=None, told=1, run_key="", good=0, bad=0,
            ),
        )  # fmt: skip
        tx.bump("alert")


def test_an_alert_about_a_promise_is_the_rows_alert_but_no_failure(house: House) -> None:
    key = AF + "ldz_to_rdv_transactions"
    alert_about_promise(house, key)
    view = at(floor(house), key)
    assert view.items[key].rank is Rank.RUNNING  # not "failed, not made good yet"
    assert "not made good" not in painted(view, 200, 50)[1]
    assert view.act("alert.ack") == (Request("ack", {"alert": "9QX1"}, tag="ack"),)
    house.alert("7FAIL", key, title="failed")  # a failure behind the active run, and less severe: it is not hidden
    view.load()
    assert view.items[key].rank is Rank.MENDING
    assert view.act("alert.ack") == (Request("ack", {"alert": "7FAIL"}, tag="ack"),)


def test_the_alert_of_a_heartbeat_is_acked_on_its_row(house: House) -> None:
    alert_about_promise(house, "ping:backup")
    assert at(floor(house), "ping:backup").act("alert.ack") == (Request("ack", {"alert": "9QX1"}, tag="ack"),)


# --- reading --------------------------------------------------------------------------------------------------------


def test_only_what_moved_is_read_again_and_a_change_shows_at_once(house: House) -> None:
    view = floor(house)
    asked: list[str] = []
    reader = view.context.reader
    plain = reader._fetch  # type: ignore[attr-defined]
    reader._fetch = lambda sql, values=(): (asked.append(sql), plain(sql, values))[1]  # type: ignore[method-assign]
    view.load()
    assert not any("owed_now" in sql for sql in asked)  # nothing moved
    house.clock.at += 10 * SECOND
    owe(
        house,
        AF + "crm_export_daily",
        promise="again",
        due_in=MINUTE,
        state=Owed.AT_RISK,
        p50_in=HOUR,
        p90_in=HOUR,
        late=1.0,
    )
    asked.clear()
    view.load()
    assert sum("owed_now" in sql for sql in asked) == 2  # the marks, and the one that moved
    assert view.items[AF + "crm_export_daily"].rank is Rank.AT_RISK
    with house.tx() as tx:
        owed.put_now(tx, AF + "crm_export_daily", None, None)
    view.load()
    assert view.items[AF + "crm_export_daily"].owed is None
    assert view.items[AF + "crm_export_daily"].rank is not Rank.AT_RISK


def test_scripts_get_the_promise_with_its_numbers(house: House) -> None:
    view = floor(house)
    found = next(r for r in view.data()["pipelines"] if r["name"] == "daily_sales")
    assert found["owed"]["state"] == "at_risk"
    assert found["owed"]["late"] == 1.0
    assert found["owed"]["due"] == house.now + 8 * MINUTE
    assert found["owed"]["lateness_ms"] == 14 * MINUTE


def test_hostile_words_steer_nothing(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("prod-airflow")
    h.pipeline("prod-airflow", "p\x1b[31m")
    owe(h, "ping:\x1b]0;x\x07", type="heartbeat", due_in=-MINUTE, state=Owed.BREACHED, reason="\x1b[2Jgone\u202e")
    view = floor(h)
    for size in SIZES:
        painted(view, *size)  # checks that every line is clean
    h.close()


# --- Run and wall ---------------------------------------------------------------------------------------------------


def run(h: House, key: str) -> RunView:
    view = RunView(h.context(), key)
    view.load()
    return view


def test_so_says_what_waits_when_a_rerun_would_be_done_and_the_latest_start(house: House) -> None:
    view = run(house, AF + "ldz_to_rdv_contracts/r1")
    shown = painted(view, 120, 40)
    so = next(line for line in shown if line.startswith(" So "))
    assert (
        "rdv_to_customer_360 due 06:30 +4m +1 more · if rerun now 06:07 ± 5 · had to start by 05:48, 4m ago · 3 consumers"
        in so
    )
    text = "\n".join(shown)
    assert "It blocks 2 deadlines, 3 consumers" in text
    assert "Who was told" in text
    assert "◇ board_report" in text
    assert "07:00 -4m" in text
    narrow = painted(view, 80, 24)
    assert any("It blocks" in line for line in narrow)
    assert view.data()["owed"]["state"] == "at_risk"
    assert len(view.data()["blocks"]) == 2


def test_a_run_that_goes_on_leads_with_its_own_promise(house: House) -> None:
    so = painted(run(house, AF + "daily_sales/r1"), 120, 40)[3]
    assert so.startswith(
        " So   due 06:00, p50 06:14 · p90 06:26 · board_report due 07:00 -4m · source eia came 05:21 +36m"
    )


def test_nothing_is_predicted_of_a_run_that_is_not_seen(house: House) -> None:
    so = painted(run(house, "dataiku:dss_flowchart_nightly/h000"), 120, 40)[3]
    assert "due 07:00, not seen since 05:31" in so
    assert "p50" not in so


def test_an_older_run_blocks_nobody(house: House) -> None:
    view = run(house, AF + "ldz_to_rdv_contracts/h003")
    text = "\n".join(painted(view, 120, 40))
    assert "It blocks" not in text
    assert "due 06" not in text


def test_a_run_with_open_checks_is_not_ok(house: House) -> None:
    view = run(house, AF + "verified_load/r1")
    lines = view.paint(120, 40)
    text = "\n".join(painted(view, 120, 40))
    assert "► checking  verified_load" in text
    assert "finished, not yet verified: check rows-ldz failed: 0 rows, expected at least 1" in text
    assert "Checks 0 of 1 passed" in text
    assert "run-ok" not in styled(lines[1:3], "")


def test_the_run_screen_tells_where_numbers_come_from_and_waives(house: House) -> None:
    view = run(house, AF + "daily_sales/r1")
    assert view.act("owed.basis") == ()
    assert any("Where from of daily_sales" in line for line in painted(view, 80, 24))
    assert view.act("owed.basis") == ()
    assert not any("Where from" in line for line in painted(view, 80, 24))
    (effect,) = view.act("owed.waive")
    assert isinstance(effect, Open)
    assert effect.screen == "waive"


def test_the_wall_counts_what_will_be_late(house: House) -> None:
    view = WallView(house.context())
    view.load()
    for size in SIZES:
        text = "\n".join(painted(view, *size))
        assert "WILL BE LATE" in text
    text = "\n".join(painted(view, 120, 40))
    assert "06:00  06:20  06:30" in text
    assert "next due 06:00 in 8m" in text
    assert "NEXT DUE" in text
    assert "AT RISK  daily_sales" in text
    assert "no deadline is set" not in text
    assert view.data()["late"] == 3


def test_the_wall_of_a_night_as_owed_and_of_one_without_promises(tmp_path: Path) -> None:
    h = calm(tmp_path)
    view = WallView(h.context())
    view.load()
    assert "no deadline is set" in "\n".join(painted(view, 120, 40))
    owe(h, "local:step_1", due_in=DAY - HOUR, p50_in=HOUR, p90_in=HOUR, late=0.0)
    view.load()
    text = "\n".join(painted(view, 120, 40))
    assert "AS OWED" in text
    assert "no deadline is set" not in text
    h.close()
