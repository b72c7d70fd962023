"""Deadlines: what is owed, by when, will it make it, and how that is reckoned."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.model import Course, Mode, Owed
from engine.owed.occurrences import Evidence
from engine.store import sources
from engine.store.rows import BasisRow, MarginRow, PredictionRow
from tests.tui import promises, snap
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tui import keymap, registry
from tui.present import deadlines, margins, owed
from tui.present.deadlines import CELL_MS, Due
from tui.screens.deadlines import DeadlinesView
from tui.view import Copy, Open, Request, Say


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


def due(h: House, arg: str | None = None, **more) -> DeadlinesView:
    view = DeadlinesView(h.context(**more), arg)
    view.load()
    return view


def line_of(view: DeadlinesView, name: str, width: int = 120, height: int = 50) -> str:
    shown = painted(view, width, height)
    return next(line for line in shown[3:] if name in line)


def said(view: DeadlinesView, thing: str, width: int = 200, height: int = 50) -> str:
    """The lower pane of a row."""
    view.cursor = next(d.row.key for d in view.rows_shown if d.row.thing == thing)
    view.moved = True
    shown = painted(view, width, height)
    name = next(d.row.name for d in view.rows_shown if d.row.thing == thing)
    start = max(i for i, line in enumerate(shown) if line.startswith(f" {name} "))
    return "\n".join(shown[start:-1])


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_registry_makes_it(tale):
    assert isinstance(registry.make("deadlines", tale.context()), DeadlinesView)


@pytest.mark.parametrize("size", SIZES)
def test_every_row_has_glyph_word_due_and_name_at_each_size(tale, size):
    view = due(tale)
    narrow = size[0] < 110
    for _ in range(len(view.rows_shown)):
        shown = painted(view, *size)
        assert shown[0].startswith(" Deadlines ")
        assert shown[-1].rstrip().endswith("? help")
        row = next(line for line in shown if line.startswith("▌"))
        here = view.here
        assert here is not None
        word = here.look.narrow if narrow else here.look.word
        assert row[1] == here.look.glyph
        assert row[4 : 4 + len(word)] == word
        assert here.row.name[:6] in row
        view.act("move.down")


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale, size):
    view = due(tale, "prod-airflow:daily_sales")
    snap.same(f"deadlines-{size[0]}x{size[1]}", painted(view, *size))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_sources_and_margins(tale, size):
    view = due(tale)
    view.act("view.pane")
    view.act("move.down")
    snap.same(f"deadlines-feeds-{size[0]}x{size[1]}", painted(view, *size))


def test_worst_first_then_by_due_time_and_what_is_not_owed_last(tale):
    view = due(tale)
    states = [d.shown for d in view.rows_shown]
    assert states[:2] == [Owed.BREACHED] * 2
    assert states[2:5] == [Owed.AT_RISK] * 3
    assert states[-2:] == [Owed.WAIVED, Owed.EXCLUDED]
    waiting = [d.row.due for d in view.rows_shown if d.shown in (Owed.PENDING, Owed.UNKNOWN)]
    assert waiting == sorted(waiting)
    met = [d.row.due for d in view.rows_shown if d.shown is Owed.MET]
    assert met == sorted(met, reverse=True)
    assert states.index(Owed.MET_LATE) < states.index(Owed.MET)


def ticks(house: House, n: int = 40) -> str:
    """A pipeline with a promise every two minutes, of which one broke, and another that is due after all of them."""
    key, other = house.pipeline("s", "probe"), house.pipeline("s", "report")
    for i in range(n):
        owe(house, key, due_in=(2 * i + 1) * MINUTE, promise="probe", reason="not started")
    owe(
        house,
        key,
        due_in=-MINUTE,
        promise="probe",
        state=Owed.BREACHED,
        reason="due 05:51: failed 05:50, a success is still owed",
    )
    owe(house, other, due_in=3 * HOUR, reason="not started")
    return key


def test_ticks_of_every_two_minutes_do_not_hide_what_is_due_later(house):
    ticks(house)
    view = due(house)
    names = [d.row.name for d in view.rows_shown]
    assert names == ["probe"] * 4 + ["report"]
    shown = painted(view, 120, 40)
    assert sum("probe" in line for line in shown[4:9]) == 4
    assert "probe +37" in shown[8]  # the last that stands there says how many are behind it
    assert "37 more ticks folded" in "\n".join(shown)
    assert "41 owed" in shown[1]  # what is counted is not what is drawn
    view.set_filter("probe")
    assert len(view.rows_shown) == 41
    assert len(view.rows()) == 41
    view.set_filter("")
    assert len(view.rows()) == 42  # scripts get all


def test_the_row_that_was_asked_for_is_never_folded(house):
    key = ticks(house)
    wish = f"probe|{key}|{house.now + 61 * MINUTE}"
    view = due(house, wish)
    assert view.here is not None
    assert view.here.row.key == wish
    view.load()
    assert view.here.row.key == wish


def test_what_broke_says_what_happened_and_not_that_numbers_are_missing(house):
    key = house.pipeline("s", "probe")
    owe(
        house,
        key,
        due_in=-MINUTE,
        state=Owed.BREACHED,
        course=Course.LEARNING,
        n=3,
        learnt=False,
        reason="due 05:51: failed 05:50",
    )
    line = line_of(due(house), "probe")
    assert "failed 05:50" in line
    assert "learning" not in line


def test_a_run_that_is_not_verified_says_that_first(house):
    key = house.pipeline("s", "verify")
    owe(house, key, due_in=-MINUTE, state=Owed.BREACHED, reason="due 05:51: succeeded 05:50, not yet verified")
    assert "not yet verified, ran 05:50" in line_of(due(house), "verify", 200)


def test_a_source_that_was_never_seen_reads_so(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("ok")
    h.source("dark", ok_ago=None)
    owe(h, h.pipeline("ok", "a"), due_in=HOUR)
    line = painted(due(h), 120, 40)[1]
    assert "dark never seen" in line
    assert "All as promised" not in line  # what the other one owes may not even be known
    h.close()


def test_the_verdict_counts_what_stands_below(tale):
    view = due(tale)
    line = painted(view, 120, 40)[1]
    assert " 2 breached    3 at risk   8 owed · 2 unknown · 4 met, 1 met late · 1 excluded, 1 waived" in line
    assert line.rstrip().endswith("business date 2026-11-19")
    assert sum(deadlines.counts(view.all).values()) == len(view.rows_shown) == 22
    assert "dataiku not seen since 05:31" in painted(view, 200, 50)[1]


def test_a_promise_that_nobody_wrote_is_there_only_when_broken_or_at_risk(tale):
    names = {d.row.name for d in due(tale).rows_shown}
    assert "undeclared_missed" in names
    assert "undeclared_fine" not in names


def test_will_it_make_it_in_words(tale):
    view = due(tale)
    want = {
        "daily_sales": "p50 06:14 p90 06:26 +14m",
        "fx_overrun": "longer than all 20 ?",
        "dss_flowchart": "not seen since 05:31 ?",
        "new_regulatory": "learning 5/8",
        "dq_reconcile": "done 05:27 -33m",
        "eia": "came 05:21 +21m",
        "month_end_close": "bank holiday: Armistice",
        "legacy_export": "ana: system is being re",
        "tmc_cards": "not started +37m",
        "mart_nightly": "Sat 00:52 mart_nightly",
    }
    for name, words in want.items():
        assert words in " ".join(line_of(view, name).split()), name
    assert "at most 40m · running 22m" in line_of(view, "churn_features", 80, 24)
    assert "due 05:15:" not in line_of(view, "tmc_cards")  # it has its own column


def test_a_promise_of_a_blind_source_is_unknown_in_one_grey_and_has_no_range(tale):
    view = due(tale)
    at = next(i for i, d in enumerate(view.rows_shown) if d.row.name == "dss_flowchart")
    assert view.rows_shown[at].row.state is Owed.PENDING
    painted(view, 120, 40)
    line = view.paint(120, 40)[5 + at]
    assert "".join(t for t, _ in line)[1:11] == "◇? unknown"
    assert {w for _, s in line for w in s.split()} == {"run-stale", "rule"}
    assert {t.strip() for t, s in line if s == "rule"} <= {"·", "·    ·", "·    ·    ·"}  # the axis alone
    assert "●" not in "".join(t for t, _ in line)


def test_wide_screens_say_typical_declared_and_consumers(tale):
    head = next(line for line in painted(due(tale), 200, 50) if "WILL IT" in line)
    assert head.split()[-3:] == ["TYPICAL", "DECLARED", "CONSUMERS"]
    row = line_of(due(tale), "daily_sales", 200, 50)
    assert row.split()[-3:] == ["44m", "30m", "bi-team"]
    assert "TYPICAL" not in "\n".join(painted(due(tale), 120, 40))


# --- the axis -------------------------------------------------------------------------------------------------------


def one(h: House, **more):
    key = h.pipeline("s", more.pop("name", "p"))
    owe(h, key, **more)
    (row,) = h.reader().owed(h.now - DAY, h.now + 2 * DAY)
    return Due(row)


def drawn(d: Due, half: int = 15) -> str:
    return "".join(t for t, _ in deadlines.axis(d, half, NOW))


@pytest.mark.parametrize("early", [-15, -9, -2, -1, 1, 3, 15])
def test_each_row_is_laid_on_its_own_due_time(house, early):
    d = one(house, due_in=HOUR, p50_in=HOUR + early * CELL_MS, p90_in=HOUR + early * CELL_MS, late=0.1)
    axis = drawn(d)
    assert len(axis) == 31
    assert axis.index("●") == 15 + early
    assert axis[15] == "│"


def test_a_range_goes_as_far_below_p50_as_above_but_not_before_now(house):
    d = one(house, due_in=HOUR, p50_in=2 * CELL_MS, p90_in=10 * CELL_MS, late=0.0)
    axis = drawn(d)
    assert axis[0] == "─"  # now is an hour before due: the left edge
    assert axis.index("●") == 2
    assert axis[10] == "─"
    assert axis[11] != "─"


def test_a_range_that_touches_its_due_time_is_marked_there(house):
    axis = drawn(one(house, due_in=HOUR, p50_in=HOUR - 2 * CELL_MS, p90_in=HOUR + 2 * CELL_MS, late=0.3))
    assert axis[13] == "●"
    assert axis[15] == "╋"
    assert axis[16:18] == "━━"


@pytest.mark.parametrize(("far", "edge"), [(-30, ("←", 0)), (30, ("→", 30))])
def test_what_does_not_fit_points_over_the_edge(house, far, edge):
    axis = drawn(
        one(house, due_in=9 * HOUR, p50_in=9 * HOUR + far * CELL_MS, p90_in=9 * HOUR + far * CELL_MS, late=0.5)
    )
    assert axis[edge[1]] == edge[0]


@pytest.mark.parametrize(
    "more",
    [
        {"course": Course.LEARNING, "learnt": False, "n": 5, "p50_in": HOUR, "expected_ms": HOUR},
        {"course": Course.OVERRUN, "late": 0.9},
        {"state": Owed.EXCLUDED},
        {"state": Owed.WAIVED},
        {"state": Owed.UNKNOWN, "p50_in": HOUR, "p90_in": HOUR, "late": 0.1},
        {},
    ],
)
def test_no_range_where_nothing_is_known(house, more):
    axis = drawn(one(house, due_in=HOUR, **more))
    assert set(axis) == {"·", " ", "│"}


def test_broken_rows_stand_where_they_are_now(house):
    axis = drawn(one(house, due_in=-5 * CELL_MS, state=Owed.BREACHED, missed=True))
    assert axis[20] == "∅"


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


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "action", "want"),
    [
        ("prod-airflow:daily_sales", "list.open", Open("run", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:daily_sales", "run.last", Open("run", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:customer_360", "list.open", Open("runs", "prod-airflow:customer_360")),
        ("prod-airflow:daily_sales", "run.log", Open("log", "prod-airflow:daily_sales/r1")),
        ("prod-airflow:customer_360", "run.history", Open("history", "prod-airflow:customer_360")),
        ("prod-airflow:tmc_cards_to_ldz", "pipeline.start", Open("plan", "start prod-airflow:tmc_cards_to_ldz")),
        ("prod-airflow:daily_sales", "run.stop", Open("plan", "stop prod-airflow:daily_sales/r1")),
        ("ping:backup_vault", "list.open", Say("backup_vault is a heartbeat: it has no run of its own")),
        ("set:morning-pack", "run.rerun", Say("morning-pack is a set of pipelines: this key acts on pipelines")),
        ("prod-airflow:dq_reconcile_rdv", "owed.waive", Say("dq_reconcile_rdv is met: there is nothing left to waive")),
        ("prod-airflow:month_end_close", "owed.waive", Say("month_end_close is not owed on this date: bank holiday: Armistice")),
    ],
)  # fmt: skip
def test_keys_ask_for_what_the_row_is(tale, thing, action, want):
    assert list(due(tale, thing).act(action)) == [want]


def test_waiving_opens_its_dialog_and_undoes(tale):
    for thing in ("prod-airflow:daily_sales", "prod-airflow:legacy_export"):
        view = due(tale, thing)
        here = view.here
        assert here is not None
        assert list(view.act("owed.waive")) == [Open("waive", here.row.key)]
    assert "w undo waiver" in painted(view, 120, 40)[-1]
    (effect,) = due(tale, "prod-airflow:daily_sales", read_only=True).act("owed.waive")
    assert effect == Say("waive daily_sales: this terminal is read-only", "warn")


def test_enter_goes_between_an_arrival_and_its_margins(tale):
    view = due(tale, "feed:eia")
    view.act("list.open")
    assert view.pane == "feeds"
    assert view.feed == "eia"
    view.act("list.open")
    assert view.pane == "owed"
    assert view.here is not None
    assert view.here.row.thing == "feed:eia"


def test_the_alert_of_the_thing_is_acknowledged(house):
    key = house.pipeline("s", "p")
    owe(house, key, due_in=-MINUTE, state=Owed.BREACHED)
    house.alert("7K2F", key)
    assert list(due(house).act("alert.ack")) == [Request("ack", {"alert": "7K2F"}, tag="ack")]
    assert next(iter(due(house, read_only=True).act("alert.ack"))).level == "warn"


def test_menus(tale):
    view = due(tale, "prod-airflow:daily_sales")
    view.act("action.menu")
    text = "\n".join(painted(view, 80, 24))
    assert "waive" in text
    assert "say that this is not owed, with a reason" in text
    assert "stop" in text
    view.act("nav.back")
    view.act("copy.menu")
    assert list(view.type("i")) == [Copy("prod-airflow:daily_sales", "the key")]
    view.act("copy.menu")
    (copied,) = view.type("s")
    assert copied.text.startswith("daily_sales: due 06:00, p50 06:14")


def test_a_paused_pipeline_is_resumed(house):
    key = house.pipeline("s", "p", mode=Mode.PAUSED)
    owe(house, key, due_in=HOUR)
    assert list(due(house).act("pipeline.pause")) == [Open("plan", f"resume {key}")]


def test_every_key_of_the_help_reaches_something(tale):
    for action, keys in keymap.active().reach(DeadlinesView.contexts):
        for key in keys:
            assert keymap.resolve(DeadlinesView.contexts, key) == action.id
        view = due(tale)
        for _ in range(3):
            view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("state:breached", {"tmc_cards_to_ldz", "undeclared_missed"}),
        ("state:unknown", {"dss_propensity", "dss_flowchart"}),
        ("kind:heartbeat", {"backup_vault"}),
        ("src:dataiku flow", {"dss_flowchart"}),
        ("learning", set()),
    ],
)
def test_filter(tale, text, want):
    view = due(tale)
    view.act("list.filter")
    for c in text:
        view.type(c)
    assert {d.row.name for d in view.rows_shown} == want
    assert f"filter {text}" in "\n".join(painted(view, 120, 40))
    assert painted(view, 120, 40)[1] == painted(due(tale), 120, 40)[1]  # the verdict is of all
    view.act("nav.back")
    assert len(view.rows_shown) == 22


def test_a_bad_filter_is_one_sentence(tale):
    view = due(tale)
    view.act("list.filter")
    for c in "stat:x":
        view.type(c)
    assert "there is no field stat: here, did you mean state:" in painted(view, 120, 40)[-1]


def test_the_cursor_stays_on_what_was_looked_at_while_rows_move(house):
    keys = [house.pipeline("s", f"p{i}") for i in range(4)]
    for i, key in enumerate(keys):
        owe(house, key, due_in=HOUR + i * MINUTE)
    view = due(house)
    view.act("move.down")
    assert view.here is not None
    before = view.here.row.name
    owe(house, keys[3], due_in=-MINUTE, state=Owed.BREACHED, promise="other")
    view.load()
    assert view.rows_shown[0].row.name == "p3"
    assert view.here.row.name == before


def test_painting_asks_nothing(tale):
    view = due(tale)

    def refuse(*_):
        raise AssertionError("paint asked the store")

    view.context.reader.all = view.context.reader.one = refuse
    for size in SIZES:
        painted(view, *size)


def test_nothing_is_read_again_that_did_not_move(tale):
    view = due(tale)
    asked: list[int] = []
    view.context.reader.owed = lambda *a, **k: asked.append(1) or []
    view.load()
    view.load()
    assert asked == []


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 30), (110, 30), (179, 30), (180, 20), (59, 20), (10, 3)])
def test_hostile_names_keep_the_table_straight(house, size):
    for i, name in enumerate(("\x1b[31mred", "売上_日次_集計", "יומי", "a\u202eb", "x" * 9000, "e\u0301" * 40)):
        key = house.pipeline("s", f"n{i}", name=name)
        owe(
            house,
            key,
            due_in=HOUR + i,
            state=Owed.AT_RISK,
            reason=name,
            words=name,
            consumers=(name,),
            p50_in=40 * DAY,
            p90_in=80 * DAY,
            late=0.5,
        )
    promises.put_feed(house, "x" * 300, arrived_ago=None)
    for action in ("move.down", "owed.basis", "view.pane"):
        view = due(house)
        view.act(action)
        painted(view, *size)


def test_plain_ascii(tale):
    for line in painted(due(tale, ascii=True), 200, 50):
        assert line.isascii()


# --- for scripts ----------------------------------------------------------------------------------------------------


def test_rows_and_data_are_plain_and_name_the_fields_of_the_model(tale):
    view = DeadlinesView(tale.context(), "prod-airflow:daily_sales")
    rows = json.loads(json.dumps(view.rows()))
    sales = next(r for r in rows if r["name"] == "daily_sales")
    assert sales["state"] == "at_risk"
    assert sales["p50"] == NOW + 22 * MINUTE
    assert sales["lateness_ms"] == 14 * MINUTE
    assert sales["drift"] > 0.4
    assert len({tuple(r) for r in rows}) == 1  # the same columns in each
    data = json.loads(json.dumps(view.data()))
    assert data["promises"]["breached"] == 2
    assert data["calibration"]["right"] == 31
    assert [f["name"] for f in data["feeds"]] == ["rates", "eia", "merchants"]
    assert len(data["warnings"]) == 2


def test_words_for_each_state_are_those_of_the_glyph_table(tale):
    for d in due(tale).all:
        assert d.look is owed.look(d.row, stale=d.stale)
