"""What is owed on the Floor: things that are no pipeline, keys, reading; and on the Run screen and the wall."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import AlertState, Owed, Severity
from engine.store import alerts, owed
from tests.tui.floor_owed_parts import floor, row
from tests.tui.owed_stores import owe
from tests.tui.owed_story import AF, owed_story
from tests.tui.stores import DAY, HOUR, MINUTE, SECOND, SIZES, House, calm, painted
from tui.present.floor import Rank
from tui.screens.floor import FloorView
from tui.screens.run import RunView
from tui.screens.wall import WallView
from tui.view import Line, Open, Request, Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = owed_story(tmp_path)
    yield h
    h.close()


def at(view: FloorView, key: str) -> FloorView:
    view.cursor, view.moved = key, True
    return view


def styled(lines: list[Line], text: str) -> set[str]:
    return {style for line in lines for part, style in line if text in part}


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
