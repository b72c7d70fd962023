"""The history of a pipeline: durations on the same columns, its keys, what runs on, scripts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import RunKind, State
from engine.store.rows import Ordinary, PastRun
from tests.tui.history_parts import FAN, on_step, view_of
from tests.tui.history_stores import AF, CONTRACTS, a_run, put, tale
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SECOND, House, painted
from tui.present import history_grid, lines, running_on
from tui.present.running_on import Seen
from tui.screens.run import RunView
from tui.view import Open, Say


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    house = tale(tmp_path_factory.mktemp("history"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


# --- the chart ------------------------------------------------------------------------------------------------------


def test_below_eight_runs_it_is_learning(story):
    shown = painted(view_of(story, AF + "mapped_load"), 120, 40)
    assert shown[3].startswith(" Duration learning 4/8 ")
    chart = "\n".join(shown[4:14])
    assert "█" in chart
    assert "─" not in chart


def test_bars_are_of_one_colour_late_beyond_p90_and_marked_where_they_failed(story):
    view = view_of(story)
    assert view.grid is not None
    runs = view.runs[-20:]
    bars = history_grid.bars_of_runs(view.grid, NOW)
    assert bars.ordinary.p90 is not None
    drawn = history_grid.chart(bars, runs, history_grid.Columns.of(120), 6, 120, None)
    styles = {
        s.partition(" ")[0] for line in drawn for t, s in line if t.strip(" ") and set(t.strip()) <= set("▁▂▃▄▅▆▇█")
    }
    assert styles == {"gauge", "run-late"}
    text = ["".join(t for t, _ in line) for line in drawn]
    left = history_grid.Columns.of(120).left
    for i, run in enumerate(runs):
        column = "".join(line[left + 2 * i] for line in text)
        assert ("✗" in column) == (run.state is State.FAILED), run
        assert ("▲" in column) == (run.state is State.WARNING)
    grounds = {s for line in drawn for _, s in line if "on:window-bg" in s}
    assert grounds  # the middle half stands on a ground


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=30), st.integers(2, 10))
def test_a_longer_run_never_has_a_shorter_bar(values, height):
    runs = [PastRun(i, f"s:p/{i}", State.SUCCESS, None, None, RunKind.SCHEDULED, 1, None, NOW, None, NOW, NOW, None) for i in range(len(values))]  # fmt: skip
    bars = history_grid.Bars(dict(enumerate(values)), Ordinary(3), {})
    columns = history_grid.Columns.of(120)
    drawn = history_grid.chart(bars, runs, columns, height, 120, None)
    text = ["".join(t for t, _ in line) for line in drawn]
    blocks = " ▁▂▃▄▅▆▇█"
    tall = {
        i: sum(blocks.index(line[columns.left + 2 * i]) for line in text)
        for i in range(min(len(values), columns.count(120)))
    }
    order = sorted((v, tall[i]) for i, v in enumerate(values) if v is not None and i in tall)
    assert [t for _, t in order] == sorted(t for _, t in order)
    assert all(tall[i] == 0 for i, v in enumerate(values) if v is None and i in tall)
    assert all(lines.cells(line) == 120 for line in drawn)


def test_one_endless_run_flattens_no_other(house):
    house.pipeline("s", "p")
    for i in range(12):
        a_run(house, "s:p", f"r{i:02}", (12 - i) * DAY, 10 * MINUTE if i != 6 else 9 * HOUR)
    shown = painted(view_of(house, "s:p"), 120, 40)
    assert "1 bar cut at 40m, longest 9h 00m" in shown[3]


def test_the_chart_of_a_step(story):
    view = on_step(view_of(story), "load_fact")
    painted(view, 120, 40)
    view.act("view.pane")
    shown = painted(view, 120, 40)
    assert shown[3].startswith(" Duration of load_fact usual 12m")
    view.act("view.pane")
    assert painted(view, 120, 40)[3].startswith(" Duration usual 23m")


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_cursor_walks_runs_and_steps(story):
    view = view_of(story)
    painted(view, 120, 40)
    assert view.here is not None
    assert view.here.key == f"{CONTRACTS}/d33"
    assert view.act("history.newer") == (Say("this is the newest run"),)
    view.act("history.older")
    view.act("move.down")
    assert view.about() == f"{CONTRACTS}/d32#check_source"
    assert view.act("list.open") == (Open("run", f"{CONTRACTS}/d32#check_source"),)
    assert view.act("run.log") == (Open("log", f"{CONTRACTS}/d32#check_source 1"),)
    assert view.act("run.diff") == (Open("diff", f"{CONTRACTS}/d32"),)
    assert view.act("run.history") == (Open("runs", CONTRACTS),)
    assert view.act("run.rerun") == (Open("plan", f"rerun {CONTRACTS}/d32"),)
    assert view.watch() == {"history": CONTRACTS}
    for _ in range(60):
        view.act("history.older")
    assert view.here.key == f"{CONTRACTS}/d00"
    assert view.act("history.older") == (Say("no older run is kept"),)
    assert "run 1 of 34" in "\n".join(painted(view, 120, 40))


def test_it_opens_at_the_run_and_step_it_is_asked_for(story):
    view = view_of(story, f"{CONTRACTS}/d30#load_fact")
    shown = painted(view, 80, 24)
    assert view.here is not None
    assert view.here.key.endswith("/d30")
    assert any(line.startswith("▌load_fact") for line in shown)
    assert any("ORA-00001" in line for line in shown)


def test_two_marked_runs_are_compared(story):
    view = view_of(story)
    view.act("history.mark")
    view.act("history.older")
    assert view.act("run.diff") == (Open("diff", f"{CONTRACTS}/d32 {CONTRACTS}/d33"),)
    view.act("history.newer")
    view.act("history.mark")
    assert view.marked is None


def test_the_cursor_stays_on_its_run_when_a_new_one_comes(house):
    house.pipeline("s", "p")
    for i in range(3):
        a_run(house, "s:p", f"r{i}", (5 - i) * HOUR, MINUTE)
    view = view_of(house, "s:p")
    view.act("history.older")
    newest = view_of(house, "s:p")
    a_run(house, "s:p", "r9", MINUTE, None, State.RUNNING)
    view.load()
    newest.load()
    assert view.here is not None
    assert newest.here is not None
    assert view.here.key == "s:p/r1"
    assert newest.here.key == "s:p/r9"


def test_no_log_where_nothing_ran(story):
    view = view_of(story, f"{CONTRACTS}/d00#load_fact")
    assert view.act("run.log") == (Say("load_fact has no log here: its steps are not read yet"),)


def test_a_run_opens_at_the_step_it_is_asked_for_and_h_comes_back_to_it(story):
    key = f"{CONTRACTS}/d30#quality"
    run = RunView(story.context(), key)
    run.load()
    shown = painted(run, 120, 40)
    assert next(line for line in shown if line.startswith("▌- quality"))
    assert run.key == f"{CONTRACTS}/d30"
    assert list(run.act("run.history")) == [Open("history", key)]
    assert list(run.act("run.diff")) == [Open("diff", f"{CONTRACTS}/d30")]
    run.act("run.older")
    painted(run, 120, 40)
    assert list(run.act("run.history")) == [Open("history", f"{CONTRACTS}/d29")]


# --- running on -----------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_after_a_failure_is_flagged_with_the_way_to_stop_it(story):
    shown = painted(view_of(story, FAN), 80, 24)
    assert "running on after score failed 05:24" in shown[1]
    assert "embed still runs, not after it   x stop" in shown[2]
    run = RunView(story.context(), f"{FAN}/now")
    run.load()
    shown = painted(run, 120, 40)
    assert "running on after score failed 05:24 · embed still runs, not after it" in shown[2]
    assert run.data()["running_on"] == {
        "failed": "score",
        "at": NOW - 40 * MINUTE + 8 * MINUTE + 4 * MINUTE + SECOND,
        "going": ["embed"],
    }


def test_the_floor_says_it_too_and_stops_nothing_by_itself(story):
    from tui.screens.floor import FloorView
    from tui.screens.wall import WallView

    view = FloorView(story.context(extra={"armed": True}))
    view.load()
    row = next(line for line in painted(view, 120, 40) if "churn_features" in line)
    assert row[1] == "►"
    assert "running on after score failed 05:24 · embed still runs" in row
    assert row.rstrip().endswith("x stop")
    assert any(i.on is not None for i in view.all)
    wall = WallView(story.context())
    wall.load()
    assert [i.on.failed for i in wall.items if i.on is not None] == ["score"]


def test_the_floor_takes_it_back_when_it_is_over(house):
    from tui.screens.floor import FloorView

    house.pipeline("s", "p")
    key = a_run(house, "s:p", "r", HOUR, None, State.RUNNING)
    put(house, key, NOW - HOUR, [("a", State.SUCCESS, MINUTE), ("b", State.RUNNING, None)])
    view = FloorView(house.context())
    view.load()
    assert [i.on for i in view.all] == [None]
    put(house, key, NOW - HOUR, [("a", State.FAILED, MINUTE), ("b", State.RUNNING, None)])
    view.load()
    assert [i.on is not None for i in view.all] == [True]
    assert view.all[0].problem
    put(house, key, NOW - HOUR, [("a", State.FAILED, MINUTE), ("b", State.SUCCESS, HOUR)])
    view.load()
    assert [i.on for i in view.all] == [None]
    assert not view.all[0].problem


AFTER = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "clean": ("d",)}


@pytest.mark.parametrize(
    ("states", "going"),
    [
        ({"a": "ok", "b": "bad", "c": "run"}, ("c",)),
        ({"a": "ok", "b": "bad", "c": "bad", "clean": "run"}, None),  # comes after it: perhaps by design
        ({"a": "bad", "b": "run", "c": "run"}, None),
        ({"a": "ok", "b": "run", "c": "run"}, None),
        ({"b": "bad", "c": "ok"}, None),
        ({"b": "bad", "elsewhere": "run"}, ("elsewhere",)),
    ],
)  # fmt: skip
def test_only_what_does_not_come_after_the_failure_runs_on(states, going):
    what = {"ok": State.SUCCESS, "bad": State.FAILED, "run": State.RUNNING}
    found = running_on.running_on([Seen(s, what[w], NOW) for s, w in states.items()], AFTER, active=True)
    assert (found.going if found else None) == going
    assert running_on.running_on([Seen(s, what[w], NOW) for s, w in states.items()], AFTER, active=False) is None


@given(
    st.dictionaries(st.sampled_from("abcde"), st.lists(st.sampled_from("abcde"), max_size=3)), st.sampled_from("abcde")
)
def test_loops_in_the_order_of_steps_do_no_harm(after, start):
    found = running_on.downstream([start], after)
    assert found <= set(after)


# --- for scripts ----------------------------------------------------------------------------------------------------


def test_data_and_rows(story):
    view = view_of(story)
    data = json.loads(json.dumps(view.data()))
    assert data["key"] == CONTRACTS
    assert (data["steps_read"], data["runs_ended"]) == (26, 30)
    assert len(data["runs"]) == 34
    assert [s["step"] for s in data["steps"]] == ["check_source", "extract_ldz", "load_fact", "quality", "publish"]
    assert data["steps"][2]["cells"][0] == {"run": f"{CONTRACTS}/d00", "state": "not read"}
    rows = view.rows()
    assert len(rows) == 34 * 5
    assert len({(r["run"], r["step"]) for r in rows}) == 34 * 5
    assert len({frozenset(r) for r in rows}) == 1


def test_a_source_without_steps_gives_a_row_a_run(story):
    rows = view_of(story, "legacy:tmc_cards").rows()
    assert len(rows) == 20
    assert rows[-1]["state"] == "failed"
