"""Deadlines: how it is reckoned, sources and margins, what nobody can keep, what fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.model import Course, Owed
from engine.owed.occurrences import Evidence
from engine.store import sources
from engine.store.rows import BasisRow, MarginRow, PredictionRow
from tests.tui import promises
from tests.tui.deadlines_parts import due, line_of
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tui.present import deadlines, margins
from tui.present.deadlines import Due
from tui.screens.deadlines import DeadlinesView
from tui.view import Say


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = promises.night(tmp_path_factory.mktemp("night"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


def said(view: DeadlinesView, thing: str, width: int = 200, height: int = 50) -> str:
    """The lower pane of a row."""
    view.cursor = next(d.row.key for d in view.rows_shown if d.row.thing == thing)
    view.moved = True
    shown = painted(view, width, height)
    name = next(d.row.name for d in view.rows_shown if d.row.thing == thing)
    start = max(i for i, line in enumerate(shown) if line.startswith(f" {name} "))
    return "\n".join(shown[start:-1])


# --- how it is reckoned ---------------------------------------------------------------------------------------------


def test_now_so_and_next_of_a_run_that_will_be_late(tale):
    text = said(due(tale), "prod-airflow:daily_sales")
    assert "daily_sales finish by 06:00 Europe/Paris, mon-fri · severity high" in text
    assert "Now   running 22m since 05:30 · source eia came 05:21 (+21m) · 20 past runs: p50 44m, p90 56m" in text
    assert "So    not one of 20 past runs was done within 30m: P(late) 1.0 · had to start by 05:04" in text
    assert "customer_360 06:30, at risk, wants daily_sales done by 05:48" in text
    assert "board_report 07:00 holds if daily_sales ends by 06:48" in text
    assert "right so far: 31 of 34 warnings" in text
    assert "drift +47 %: typically 44m, declared 30m · learnt of 20 runs" in text


def test_what_has_not_begun_ends_later_every_minute_and_p_late_is_a_lower_bound(house):
    key = house.pipeline("s", "p")
    owe(house, key, due_in=HOUR, p50_in=20 * MINUTE, p90_in=30 * MINUTE, late=0.25)
    view = due(house)
    assert "p50 06:12 p90 06:22" in " ".join(line_of(view, " p ").split())
    house.clock.at += 15 * MINUTE
    with house.tx() as tx:
        sources.put_health(tx, house.ids["s"], last_ok=house.now)
    view.load()
    assert "p50 06:27 p90 06:37" in " ".join(line_of(view, " p ").split())
    assert "reckoned 05:52, not begun since: P(late) 0.25 or more" in said(view, key)


def test_what_runs_is_not_carried_on(house):
    key = house.pipeline("s", "p")
    owe(
        house,
        key,
        due_in=HOUR,
        p50_in=20 * MINUTE,
        p90_in=30 * MINUTE,
        late=0.25,
        course=Course.RUNNING,
        start_in=-9 * MINUTE,
    )
    row = house.reader().owed_one(1)
    assert row is not None
    assert deadlines.carried(row, NOW + HOUR) == (row, 0)


@pytest.mark.parametrize(
    ("late", "outlived", "words"),
    [
        (0.25, 20, "5 of 20 past runs took longer than 38m: P(late) 0.25"),
        (0.0, 20, "each of 20 past runs was done within 38m: P(late) 0.0"),
        (0.5, 4, "4 of 20 past runs took longer than 22m, 2 of these longer than 38m: P(late) 0.50"),
    ],
)
def test_odds_are_counted_in_runs(house, late, outlived, words):
    key = house.pipeline("s", "p")
    owe(
        house, key, due_in=16 * MINUTE, p50_in=9 * MINUTE, p90_in=12 * MINUTE, late=late, course=Course.RUNNING, start_in=-22 * MINUTE,
        outlived=outlived,
    )  # fmt: skip
    assert words in said(due(house), key)


def test_what_is_learning_overrun_unknown_or_over_says_so(tale):
    view = due(tale)
    assert "learning 5/8, declared 30m is used: no odds below 8 runs" in said(
        view, "prod-airflow:new_regulatory_report"
    )
    assert "longer than all 20 past runs: P(late) 0.90" in said(view, "prod-airflow:fx_overrun")
    assert "not seen since 05:31, nobody can tell how it stands" in said(view, "dataiku:dss_flowchart")
    assert "unknown is neither kept nor broken" in said(view, "dataiku:dss_flowchart")
    assert "kept, 33m before it was due" in said(view, "prod-airflow:dq_reconcile_rdv")
    assert "a person said that it is not owed" in said(view, "prod-airflow:legacy_export")
    assert "nothing is owed on this date · bank holiday: Armistice" in said(view, "prod-airflow:month_end_close")
    assert "4 belong to it" in said(view, "set:morning-pack")


def test_one_key_says_where_each_number_comes_from(tale):
    view = due(tale, "prod-airflow:daily_sales")
    view.act("owed.basis")
    text = "\n".join(painted(view, 120, 40))
    assert "learnt from 20 weekday runs" in text
    assert "declared in watchfloor.toml:12" in text
    small = "\n".join(painted(view, 80, 24))
    for _ in range(20):
        view.act("move.down")
        small += "\n".join(painted(view, 80, 24))
    for words in ("P(late) 1.00", "start by 05:04", "usual 44m", "expected 30m"):  # all of it is within reach
        assert words in small
    assert view.here is not None
    assert view.here.row.name == "daily_sales"  # the arrows scrolled
    assert list(view.act("nav.back")) == []
    assert "how it is reckoned" in "\n".join(painted(view, 120, 40))


@pytest.mark.parametrize(
    ("usual", "declared", "n", "want"),
    [(36, 30, 8, None), (37, 30, 8, pytest.approx(7 / 30)), (24, 30, 8, None), (23, 30, 8, pytest.approx(-7 / 30)), (60, 30, 7, None), (60, None, 8, None)],
)  # fmt: skip
def test_drift_is_more_than_a_fifth_of_eight_runs_or_more(tale, usual, declared, n, want):
    row = replace(due(tale).rows_shown[0].row, usual_ms=usual * MINUTE, usual_n=n, expected_ms=None if declared is None else declared * MINUTE)  # fmt: skip
    assert deadlines.drift(row) == want


def test_rerun_and_waiting_of_a_broken_one_say_if_now(tale):
    row = due(tale).rows_shown[0].row
    basis = BasisRow(learnt=True, n=20)
    said = PredictionRow(
        NOW, Course.RERUN, NOW, NOW + 22 * MINUTE, NOW + 30 * MINUTE, 1.0, 20, 20, None, 9 * MINUTE, basis
    )
    assert deadlines.will(Due(replace(row, prediction=said)), TZ, NOW) == ["if rerun now 06:14 ± 9"]
    waits = replace(said, course=Course.WAITING)
    assert deadlines.will(Due(replace(row, prediction=waits)), TZ, NOW) == ["if now 06:14"]


# --- sources and margins --------------------------------------------------------------------------------------------


def test_feeds_worst_first_with_margin_tenth_buffer_and_trend(tale):
    view = due(tale)
    view.act("view.pane")
    assert [s.feed.name for s in view.feeds] == ["rates", "eia", "merchants"]
    row = line_of(view, "eia ")
    assert row.split()[:8] == ["▲", "thin", "eia", "05:00", "05:21", "22m", "26m", "30m"]
    assert "shrinks 51m → 31m" in row
    assert "steady" in line_of(view, "merchants")
    text = "\n".join(painted(view, 120, 40))
    assert "see whether a file like /in/rates_{yyyymmdd}.csv is on this host" in text
    view.act("move.down")
    text = "\n".join(painted(view, 120, 40))
    assert "one date in ten has less margin than is declared" in text
    assert "p10 of 20 dates 26m, declared buffer 30m" in text
    view.act("view.pane")
    assert "Owed by due time" in "\n".join(painted(view, 120, 40))


@pytest.mark.parametrize(
    ("ms", "word", "sign"),
    [((50, 50, 50, 50), "4 of 5 margins seen", 0), ((50,) * 10, "steady", 0), ((50, 50, 50, 50, 9, 50, 50, 50), "steady", 0),
     ((60, 60, 60, 20, 20, 20), "shrinks 60m → 20m", -1), ((-5, -5, -5, 20, 20, 20), "grows -5m → 20m", 1)],
)  # fmt: skip
def test_one_bad_day_is_no_trend(ms, word, sign):
    assert margins.trend([m * MINUTE for m in ms]) == (word.replace("60m", "1h 00m"), sign)


def test_a_tenth_is_taken_of_the_last_twenty_only(tale):
    feed = due(tale).feeds[1].feed
    days = [MarginRow("2026-11-01", 0, 0, "s:p/r")] * 9 + [
        MarginRow("2026-11-01", 0, m * MINUTE, "s:p/r") for m in range(1, 21)
    ]
    source = margins.Source(replace(feed, margins=tuple(days)), None)
    assert source.p10 == pytest.approx(2.9 * MINUTE)
    assert source.thin
    assert not margins.Source(replace(feed, margins=tuple(days), buffer_ms=2 * MINUTE), None).thin


def test_a_file_that_came_again_came_in_time_all_the_same(house):
    promises.put_feed(house, "eia", arrived_ago=MINUTE)
    owe(house, "feed:eia", due_in=-10 * MINUTE, type="source_arrival", state=Owed.MET, met_in=-20 * MINUTE)
    view = due(house)
    view.act("view.pane")
    shown = painted(view, 120, 40)
    assert "05:32" in next(line for line in shown if " eia " in line and "05:" in line)
    assert any("came 05:32, again 05:51" in line for line in shown)


def test_a_feed_that_cannot_be_looked_for_makes_its_arrival_unknown(house):
    promises.put_feed(house, "eia", error="permission denied: /in", arrived_ago=DAY)
    owe(house, "feed:eia", due_in=HOUR, type="source_arrival")
    view = due(house)
    assert "◇? unknown" in line_of(view, "eia")
    view.act("view.pane")
    assert "cannot be looked for" in line_of(view, "eia")
    assert "it cannot be looked for: permission denied: /in" in "\n".join(painted(view, 120, 40))


def test_tab_without_a_feed_says_what_one_is(house):
    owe(house, house.pipeline("s", "p"), due_in=HOUR)
    assert list(due(house).act("view.pane")) == [
        Say("no source from outside is known: a [[feed]] names a file and who needs it")
    ]


# --- what nobody can keep, nothing, failures ------------------------------------------------------------------------


def test_promises_that_nobody_can_keep_stand_on_the_screen(tale):
    text = "\n".join(painted(due(tale), 120, 40))
    assert "2 promises that nobody can keep" in text
    assert "nobody: its selector local:nope_* matches nothing: mend on · watchfloor.toml:41" in text
    assert "▲ 2 promises that nobody can keep" in "\n".join(painted(due(tale), 80, 24))


@pytest.mark.parametrize("size", SIZES)
def test_without_any_promise_it_says_what_to_write(house, size):
    house.pipeline("s", "p")
    text = "\n".join(painted(due(house), *size))
    for words in (
        "Nothing is owed",
        "[[expectation]]",
        'type = "finish_by"',
        'due = "06:00"',
        "missed starts of known schedules",
    ):
        assert words in text
    for action in ("list.open", "owed.waive", "owed.basis", "copy.menu", "action.menu", "alert.ack", "move.down"):
        assert list(due(house).act(action)) == [Say("there is no row here")]


def test_the_words_to_write_are_a_configuration_that_loads(tmp_path, house):
    import tomllib

    lines = painted(due(house), 80, 24)
    start = next(i for i, line in enumerate(lines) if "[[expectation]]" in line)
    block = tomllib.loads("\n".join(line.strip() for line in lines[start : start + 5]))
    assert block == {
        "expectation": [{"id": "sales-ready", "on": "prod-airflow:daily_sales", "type": "finish_by", "due": "06:00"}]
    }


def test_when_nobody_watches_what_waits_is_unknown_and_what_happened_stays(tale):
    view = due(tale, engine_alive=False, engine_silent_since=NOW - 10 * MINUTE)
    shown = painted(view, 120, 40)
    assert "NOBODY IS WATCHING" in shown[1]
    states = {d.row.name: d.shown for d in view.rows_shown}
    assert states["ldz_to_rdv_transactions"] is Owed.UNKNOWN
    assert states["daily_sales"] is Owed.UNKNOWN
    assert states["tmc_cards_to_ldz"] is Owed.BREACHED
    assert states["dq_reconcile_rdv"] is Owed.MET
    assert "Ctrl+R start engine" in shown[-1]


def test_what_was_broken_when_it_was_seen_last_is_still_broken_and_nobody_knows_how_late(tale):
    view = due(tale, engine_alive=False, engine_silent_since=NOW - 10 * MINUTE)
    row = line_of(view, "tmc_cards")
    assert row[1:12] == "◆? breached"
    assert "+37m" not in row
    assert "it was broken; whether it was kept since, nobody can tell" in said(view, "prod-airflow:tmc_cards_to_ldz")
    assert "board_report 07:00 waits for it, unknown" in said(view, "prod-airflow:daily_sales")


def test_times_in_utc(tale):
    view = due(tale, "prod-airflow:daily_sales")
    assert list(view.act("time.zone")) == [Say("times are in UTC now")]
    assert line_of(view, "daily_sales").split()[3:5] == ["05:00", "daily_sales"]
    assert "p50 05:14  p90 05:26" in line_of(view, "daily_sales")
    assert "times in UTC" in "\n".join(painted(view, 120, 40))
    assert list(view.act("time.zone")) == [Say("times are in Paris now")]
    assert line_of(view, "daily_sales").split()[3:5] == ["06:00", "daily_sales"]


def test_all_as_promised_is_quiet(house):
    key = house.pipeline("s", "p")
    owe(house, key, due_in=HOUR, p50_in=MINUTE, p90_in=2 * MINUTE, late=0.0)
    view = due(house)
    line = view.paint(120, 40)[1]
    assert "All as promised" in "".join(t for t, _ in line)
    assert not any("rev" in s.split() for _, s in line)
    owe(house, key, promise="late", due_in=-HOUR, state=Owed.MET_LATE, met_in=-MINUTE)
    view = due(house)
    said = "".join(t for t, _ in view.paint(120, 40)[1])
    assert "Nothing is late now" in said, "one of them was late: not all was as promised"
    assert "All as promised" not in said


def test_a_row_reads_as_what_its_promise_is(house):
    beat = "2026-11-20T04:10Z"
    owe(house, "ping:backup", type="heartbeat", due_in=HOUR, reason="no sign of life", key=f"alive|ping:backup|{beat}")
    assert "nothing since 05:10" in line_of(due(house), "backup")
    key = house.pipeline("s", "p")
    made = house.now - 10 * MINUTE
    owe(
        house, key, type="sequence", promise="order", due_in=HOUR, state=Owed.BREACHED, reason="started 05:42 before …",
        evidence=(Evidence("run", f"{key}/1", made, "started 05:42"),),
    )  # fmt: skip
    assert "began 05:42, too early" in line_of(due(house), " p ")
    odd = house.pipeline("s", "odd")
    owe(
        house, odd, type="duration_anomaly", promise="usual", due_in=-MINUTE, state=Owed.BREACHED, reason="running since 05:42, usually 3m",
        evidence=(Evidence("run", f"{odd}/1", made, "running since 05:42, usually 3m"),),
    )  # fmt: skip
    assert "running 10m" in line_of(due(house), " odd ")
    quick = house.pipeline("s", "quick")
    owe(
        house, quick, type="duration_anomaly", promise="quick", due_in=-MINUTE, state=Owed.BREACHED,
        reason="finished in 2m instead of 40m: did it process anything?",
    )  # fmt: skip
    assert "finished in 2m" in line_of(due(house), " quick ")
    owe(
        house, "set:night", type="completeness", promise="night", due_in=-MINUTE, state=Owed.BREACHED, p50_in=MINUTE,
        reason="due 05:51: 3 of 4 done, missing p",
    )  # fmt: skip
    assert "3 of 4 done" in line_of(due(house), "night")
