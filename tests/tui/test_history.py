"""The history of a pipeline: flaky row or broken column, durations on the same columns, and nothing that was not read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Mode, RunKind, State
from engine.store.rows import History, Ordinary, PastRun, PastStep, Shift, StepPlan
from tests.tui import snap
from tests.tui.history_stores import AF, CONTRACTS, a_run, put, tale
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SECOND, SIZES, TZ, House, painted
from tui.present import history, history_grid, lines, running_on, words
from tui.present.history import Grid, build
from tui.present.running_on import Seen
from tui.screens.history import HistoryView
from tui.screens.run import RunView
from tui.view import Open, Say

FAN = AF + "churn_features"


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


def view_of(h: House, arg: str | None = CONTRACTS, **more) -> HistoryView:
    view = HistoryView(h.context(**more), arg)
    view.load()
    return view


def on_step(view: HistoryView, step: str) -> HistoryView:
    view.step_at = step
    return view


def row_of(shown: list[str], name: str) -> str:
    found = [line for line in shown if line[1:].startswith(name) and "──" not in line]
    assert len(found) == 1, (name, found)
    return found[0]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(story, size):
    view = on_step(view_of(story), "load_fact")
    painted(view, *size)
    for _ in range(3):
        view.act("history.older")
    snap.same(f"history-{size[0]}x{size[1]}", painted(view, *size))


def test_snapshot_of_a_run_that_goes_on_after_a_failure(story):
    snap.same("history-on-80x24", painted(view_of(story, FAN), 80, 24))


def test_snapshot_of_a_source_without_steps(story):
    snap.same("history-nosteps-80x24", painted(view_of(story, "legacy:tmc_cards"), 80, 24))


@pytest.mark.parametrize(
    "key", [CONTRACTS, FAN, AF + "mapped_load", "legacy:tmc_cards", AF + "never_ran", "local:probe", "x:none"]
)
@pytest.mark.parametrize("size", [*SIZES, (60, 16), (40, 12), (20, 5)])
def test_it_fits_every_screen(story, key, size):
    painted(view_of(story, key), *size)


def test_in_ascii_nothing_but_ascii_is_left(story):
    assert all(line.isascii() for line in painted(view_of(story, ascii=True), 120, 40))


# --- what it says ---------------------------------------------------------------------------------------------------


def says(view: HistoryView) -> list[str]:
    assert view.grid is not None
    return [words.clause_text(c) for c in history.verdict(view.grid, TZ, NOW)]


def test_a_flaky_row_a_new_level_and_a_broken_column(story):
    assert says(view_of(story)) == [
        "load_fact is flaky: failed in 5 of 26 runs, never twice in a row",
        "slower since Thu 12 Nov: 23m → 30m",
        "broken run Thu 5 Nov 08:52: everything failed",
    ]


def test_how_much_is_known_is_said(story):
    assert "steps of 26 of 30 runs read" in painted(view_of(story), 120, 40)[2]
    assert "no steps: the TMC API tells no steps" in painted(view_of(story, "legacy:tmc_cards"), 120, 40)[2]
    assert "no engine reads on" in "\n".join(painted(view_of(story, engine_alive=False), 200, 50)[:6])


def grid_of(*columns: str, steps: tuple[str, ...] = ("a", "b", "c"), unread: frozenset[int] = frozenset()) -> Grid:
    """A letter a step: ``.`` ok, ``x`` failed, ``-`` skipped, blank: not there. A column with an x is a failed run."""
    states = {".": State.SUCCESS, "x": State.FAILED, "-": State.SKIPPED, "w": State.WARNING}
    runs, found = list[PastRun](), dict[int, tuple[PastStep, ...]]()
    for i, column in enumerate(columns):
        at = NOW - (len(columns) - i) * DAY
        state = State.FAILED if "x" in column else State.SUCCESS
        runs.append(
            PastRun(i, f"s:p/{i}", state, None, None, RunKind.SCHEDULED, 1, None, at, None, at, at + HOUR, None)
        )
        if i not in unread:
            found[i] = tuple(
                PastStep(name, states[c], started=at, ended=at + MINUTE, order=n)
                for n, (name, c) in enumerate(zip(steps, column, strict=False)) if c != " "
            )  # fmt: skip
    h = History(1, "s:p", "p", "s", "prod", Mode.ACTIVE, tuple(runs), Ordinary(0))
    return build(h, found)


def said_of(grid: Grid) -> list[str]:
    return [words.clause_text(c) for c in history.verdict(grid, TZ, NOW)]


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        (["...", "...", "..."], "3 of 3 fine"),
        (["...", ".x.", "...", ".x.", "..."], "b is flaky: failed in 2 of 5 runs, never twice in a row"),
        (["...", ".x.", ".x.", "...", ".x.", "..."], "b is unstable: failed in 3 of 6 runs, up to 2 in a row"),
        (["...", "...", ".x-", ".x-"], "b is broken: last 2 runs failed"),
        (["...", "...", "xxx"], "broken run Thu 19 Nov 05:52: everything failed"),
        (["...", ".x.", "..."], "b failed once in 3 runs, on Wed 18 Nov 05:52"),
    ],
)  # fmt: skip
def test_rows_columns_and_their_words(columns, first):
    assert said_of(grid_of(*columns))[0] == first


def test_since_when_a_step_is_broken_is_a_clause_of_its_own():
    said = said_of(grid_of("...", "...", "xx-", "xx-"))
    assert said[:3] == [
        "a is broken: last 2 runs failed",
        "since Wed 18 Nov 05:52",
        "b is broken: last 2 runs failed, since Wed 18 Nov 05:52",
    ]
    fits, below = history.fitting(history.verdict(grid_of("...", "...", ".x-", ".x-"), TZ, NOW), 40)
    assert [words.clause_text(c) for c in fits] == ["b is broken: last 2 runs failed"], "whole, and nothing is cut"
    assert words.clause_text(below[0]) == "since Wed 18 Nov 05:52"


def test_a_step_that_only_failed_with_everything_else_is_not_called_flaky():
    said = said_of(grid_of("...", "xxx", "...", "xxx", "..."))
    assert said == ["broken run Wed 18 Nov 05:52: everything failed, one of 2 such"]


def test_runs_whose_steps_nobody_read_are_no_evidence():
    grid = grid_of("x..", "...", "...", unread=frozenset({0}))
    assert grid.rows[0].failed == 0
    assert grid.rows[0].ran == 2
    assert (grid.known, grid.ended) == (2, 3)
    assert said_of(grid)[0] == "1 of 3 runs failed"


def test_a_level_that_fell_is_not_called_slower():
    at = NOW - DAY
    run = PastRun(1, "s:p/1", State.SUCCESS, None, None, RunKind.SCHEDULED, 1, None, at, None, at, at + HOUR, None)
    h = History(1, "s:p", "p", "s", "prod", Mode.ACTIVE, (run,), Ordinary(9), Shift(at, 40 * MINUTE, 20 * MINUTE))
    assert said_of(build(h, {})) == ["quicker since Thu 19 Nov: 40m → 20m"]


def test_a_pipeline_that_never_ran_says_so(story):
    shown = "\n".join(painted(view_of(story, AF + "never_ran"), 80, 24))
    assert "it has not run yet" in shown


def test_a_pipeline_that_nobody_knows_says_so(story):
    shown = "\n".join(painted(view_of(story, "x:none"), 80, 24))
    assert "The pipeline x:none is not in the store." in shown


# --- cells ----------------------------------------------------------------------------------------------------------


def test_mapped_steps_are_one_row_with_the_worst_and_how_many(story):
    shown = painted(view_of(story, AF + "mapped_load"), 120, 40)
    row = row_of(shown, "load [12]")
    assert "1 of 5" in row
    assert row.rstrip().endswith("✓ ✓ ✓ ✗3✓")


def test_retries_are_counted(story):
    assert row_of(painted(view_of(story), 120, 40), "load_fact").rstrip().endswith("»2✓")


def test_steps_read_before_the_end_do_not_pose_as_the_end(house):
    house.pipeline("s", "p")
    key = a_run(house, "s:p", "r", HOUR, 10 * MINUTE)
    put(house, key, NOW - HOUR, [("load", State.SUCCESS, MINUTE), ("publish", State.RUNNING, None)])
    view = on_step(view_of(house, "s:p"), "publish")
    assert row_of(painted(view, 120, 40), "publish").rstrip().endswith("?")
    assert view.grid is not None
    assert view.grid.known == 0
    assert [r.ran for r in view.grid.rows] == [0, 0]
    shown = "\n".join(painted(view, 120, 40))
    assert "running when it was last read" in shown


CODES = st.sampled_from(["", ".", "x", "-", "w", " "])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(list(State)), st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(State)[:13]), st.integers(1, 3)), max_size=5, unique_by=lambda t: t[0])), max_size=9),
    st.lists(st.sampled_from("adz"), unique=True),
)  # fmt: skip
def test_each_run_and_step_once_and_no_state_invented(made, plan):
    runs, found = list[PastRun](), dict[int, tuple[PastStep, ...]]()
    for i, (state, steps) in enumerate(made):
        at = NOW - (len(made) - i) * DAY
        ended = at + HOUR if state.terminal else None
        runs.append(PastRun(i, f"s:p/{i}", state, None, None, RunKind.SCHEDULED, 1, None, at, None, at, ended, None))
        if steps:
            found[i] = tuple(
                PastStep(n, s, tries=t, started=at, ended=at + MINUTE if s.terminal else None) for n, s, t in steps
            )
    h = History(
        1, "s:p", "p", "s", "prod", Mode.ACTIVE, tuple(runs), Ordinary(0), plan=tuple(StepPlan(n) for n in plan)
    )
    grid = build(h, found)
    assert [r.id for r in grid.runs] == list(range(len(made)))
    names = [row.name for row in grid.rows]
    assert sorted(names) == sorted({n for _, steps in made for n, _, _ in steps} | set(plan))
    for row in grid.rows:
        assert set(row.cells) == set(range(len(made)))
        assert 0 <= row.failed <= row.ran <= len(made)
        for i, (state, steps) in enumerate(made):
            cell = row.cells[i]
            known = {n: s for n, s, _ in steps}
            if row.name not in known:
                assert cell.step is None
                assert cell.look in (history.NOT_READ, history.NOT_RUN, history.NO_RUN)
                assert not cell.counts
            else:
                assert cell.step is not None
                assert cell.step.state is known[row.name]
                if cell.look.word in ("ok", "ok after retries"):
                    assert known[row.name] is State.SUCCESS
                if cell.bad:
                    assert known[row.name].bad
                if state.terminal and known[row.name].active:
                    assert not cell.counts
    for clause in history.verdict(grid, TZ, NOW):
        assert words.clause_text(clause)


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
