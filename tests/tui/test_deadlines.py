"""Deadlines: the list of what is owed and the axis that it lies on."""

from __future__ import annotations

import pytest

from adapters.model import Course, Owed
from tests.tui import promises, snap
from tests.tui.deadlines_parts import due, line_of
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, House, painted
from tui import registry
from tui.present import deadlines
from tui.present.deadlines import CELL_MS, Due
from tui.screens.deadlines import DeadlinesView


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


def test_many_sources_not_seen_are_a_number(tmp_path):
    """A row that names the first two of four and drops the others would say that these are all."""
    h = House(tmp_path)
    h.engine()
    h.source("ok")
    for name in ("one", "two"):
        h.source(name, ok_ago=None)
    owe(h, h.pipeline("ok", "a"), due_in=HOUR)
    line = painted(due(h), 120, 40)[1]
    assert "one never seen" in line
    assert "two never seen" in line
    for name in ("three", "four"):
        h.source(name, ok_ago=None)
    line = painted(due(h), 120, 40)[1]
    assert "4 sources not seen" in line
    assert "never seen" not in line
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


def test_what_is_broken_in_danger_or_unknown_long_before_it_is_due_is_listed(house):
    """A budget is due at the end of its month: the Floor counts it as broken today."""
    for i, state in enumerate((Owed.BREACHED, Owed.AT_RISK, Owed.UNKNOWN, Owed.PENDING)):
        owe(house, house.pipeline("s", f"p{i}"), due_in=10 * DAY, state=state, type="budget")
    view = due(house)
    assert [d.row.name for d in view.rows_shown] == ["p0", "p1", "p2"]
    assert "1 breached" in painted(view, 120, 40)[1]


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
