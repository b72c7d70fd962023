"""The history of a pipeline: flaky row or broken column, and nothing that was not read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Mode, RunKind, State
from engine.store.rows import History, Ordinary, PastRun, PastStep, Shift, StepPlan
from tests.tui import snap
from tests.tui.history_parts import FAN, on_step, view_of
from tests.tui.history_stores import AF, CONTRACTS, a_run, put, tale
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tui.present import history, words
from tui.present.history import Grid, build
from tui.screens.history import HistoryView


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
