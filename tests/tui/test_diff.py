"""Two runs side by side: what differs, by how much, and nothing that is the same made loud."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import RunKind, State, StepRun
from tests.tui import snap
from tests.tui.history_stores import AF, CONTRACTS, a_run, put, tale
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SECOND, SIZES, House, painted
from tui.present import diff, words
from tui.screens.diff import DiffView
from tui.view import Open, Say

BAD = f"{CONTRACTS}/d30"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    house = tale(tmp_path_factory.mktemp("diff"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    h.pipeline("s", "p")
    yield h
    h.close()


def view_of(h: House, arg: str | None = BAD, **more) -> DiffView:
    view = DiffView(h.context(**more), arg)
    view.load()
    return view


def fact(view: DiffView, name: str) -> diff.Fact:
    return next(f for f in view.facts if f.name == name)


def pair(view: DiffView, name: str) -> diff.Pair:
    return next(p for p in view.pairs if p.name == name)


def two(h: House, **more) -> DiffView:
    """An older success and a newer run of the same pipeline; ``a_``: of the newer, ``b_``: of the older."""
    older = {k[2:]: v for k, v in more.items() if k.startswith("b_")}
    newer = {k[2:]: v for k, v in more.items() if k.startswith("a_")}
    a_run(h, "s:p", "old", 2 * DAY, 30 * MINUTE, **older)
    a_run(h, "s:p", "new", DAY, 50 * MINUTE, **newer)
    return view_of(h, "s:p/new")


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(story, size):
    snap.same(f"diff-{size[0]}x{size[1]}", painted(view_of(story), *size))


@pytest.mark.parametrize(
    "arg",
    [
        BAD,
        f"{AF}churn_features/now",
        f"{AF}mapped_load/m3",
        "legacy:tmc_cards/h000",
        "s:x/none",
        f"{BAD} x:y/z",
        "nonsense",
    ],
)
@pytest.mark.parametrize("size", [*SIZES, (60, 16), (40, 12), (20, 5)])
def test_it_fits_every_screen(story, arg, size):
    painted(view_of(story, arg), *size)


def test_in_ascii_nothing_but_ascii_is_left(story):
    assert all(line.isascii() for line in painted(view_of(story, ascii=True), 120, 40))


# --- with what ------------------------------------------------------------------------------------------------------


def test_a_run_is_compared_with_the_last_success_before_it(story):
    view = view_of(story)
    assert view.other_key == f"{CONTRACTS}/d29"
    assert "with the last success before it" in painted(view, 120, 40)[2]


def test_the_other_side_moves_and_steps_over_this_run(story):
    view = view_of(story)
    view.act("run.older")
    assert view.other_key == f"{CONTRACTS}/d28"
    for _ in range(3):
        view.act("run.newer")
    assert view.other_key == f"{CONTRACTS}/d32"
    assert view.key == BAD
    assert "with the run that was chosen" in painted(view, 120, 40)[2]
    view.act("run.newer")
    assert view.act("run.newer") == (Say("there is no newer run to compare with"),)


def test_two_runs_that_were_named(story):
    view = view_of(story, f"{BAD} {CONTRACTS}/d20")
    assert (view.key, view.other_key) == (BAD, f"{CONTRACTS}/d20")


def test_two_marked_runs_of_a_list_are_compared_the_newer_with_the_older(story):
    from tui.screens.runs import RunsView

    view = RunsView(story.context(), CONTRACTS)
    view.load()
    assert view.act("run.diff") == (Open("diff", f"{CONTRACTS}/d33"),)
    view.act("move.bottom")
    older = view.here
    assert older is not None
    view.act("list.mark")
    view.act("move.top")
    view.act("list.mark")
    assert view.act("run.diff") == (Open("diff", f"{CONTRACTS}/d33 {older.key}"),)
    view.act("move.down")
    view.act("list.mark")
    said = view.act("run.diff")
    assert isinstance(said[0], Say)
    assert "mark those two alone" in said[0].text


def test_the_only_run_has_nothing_to_be_compared_with(house):
    a_run(house, "s:p", "r", HOUR, MINUTE)
    assert "It is the only run of its pipeline" in "\n".join(painted(view_of(house, "s:p/r"), 80, 24))


def test_a_run_that_nobody_knows_says_so(story):
    assert "The run s:x/none is not in the store." in "\n".join(painted(view_of(story, "s:x/none"), 80, 24))
    assert "The run x:y/z is not in the store." in "\n".join(painted(view_of(story, f"{BAD} x:y/z"), 80, 24))


# --- facts ----------------------------------------------------------------------------------------------------------


def test_only_params_that_differ_with_both_values(house):
    view = two(
        house,
        a_params={"date": "2026-11-19", "mode": "full", "db": {"schema": "RDV", "host": "x"}},
        b_params={"date": "2026-11-19", "mode": "delta", "db": {"schema": "LDZ", "host": "x"}, "limit": 5},
    )
    params = [
        (f.name, f.this, f.other) for f in view.facts if f.name in ("date", "mode", "db.schema", "db.host", "limit")
    ]
    assert params == [("db.schema", "RDV", "LDZ"), ("limit", "not there", "5"), ("mode", "full", "delta")]
    assert "3 params differ" in painted(view, 120, 40)[1]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("password", "hunter2-old", "hunter2-new"),
        ("apiKey", "hunter2", "hunter3"),
        ("conn.auth_token", "hunter2", "hunter3"),
        ("url", "https://ana:hunter2@host/x?token=hunter2", "https://ana:hunter2@host/y?token=hunter2"),
    ],
)
def test_no_secret_of_a_param_is_shown(house, name, old, new):
    def nested(value):
        head, dot, tail = name.partition(".")
        return {head: {tail: value}} if dot else {name: value}

    view = two(house, a_params=nested(new), b_params=nested(old))
    said = "\n".join(painted(view, 200, 50)) + json.dumps(view.data()) + json.dumps(view.rows())
    assert "hunter" not in said
    assert "****" in said
    assert fact(view, name).this != fact(view, name).other


def test_the_difference_is_signed_and_a_multiple(house):
    view = two(house)
    assert (fact(view, "ran").this, fact(view, "ran").other, fact(view, "ran").gap) == ("50m", "30m", "+20m  1.7×")


def test_what_is_the_same_is_quiet(house):
    view = two(house, a_kind=RunKind.MANUAL)
    table = diff.Table.of(120)
    same = diff.fact_line(fact(view, "attempt"), table, 120)
    other = diff.fact_line(fact(view, "kind"), table, 120)
    assert {s for t, s in same if t.strip()} == {"dim"}
    assert any("b" in s.split() for t, s in other if t.strip())


def test_alike_runs_are_called_alike(house):
    for name, ago in (("old", 2 * DAY), ("new", DAY)):
        a_run(house, "s:p", name, ago, 30 * MINUTE)
    assert (
        words.clause_text(view_of(house, "s:p/new").said()[0]) == "alike: no param differs"
    )  # of steps nothing is known
    for name, ago in (("old", 2 * DAY), ("new", DAY)):
        put(house, f"s:p/{name}", NOW - ago, [("load", State.SUCCESS, MINUTE)])
    assert words.clause_text(view_of(house, "s:p/new").said()[0]) == "alike: no step and no param differs"


# --- steps ----------------------------------------------------------------------------------------------------------


def test_steps_side_by_side_with_the_difference(house):
    a_run(house, "s:p", "old", 2 * DAY, 30 * MINUTE)
    put(
        house,
        "s:p/old",
        NOW - 2 * DAY,
        [("load", State.SUCCESS, 4 * MINUTE), ("gone", State.SUCCESS, MINUTE), ("same", State.SUCCESS, MINUTE)],
    )
    a_run(house, "s:p", "new", DAY, 50 * MINUTE)
    put(
        house,
        "s:p/new",
        NOW - DAY,
        [("load", State.SUCCESS, 10 * MINUTE), ("fresh", State.SUCCESS, MINUTE), ("same", State.SUCCESS, MINUTE)],
    )
    view = view_of(house, "s:p/new")
    assert [p.name for p in view.pairs] == ["load", "fresh", "same", "gone"]
    load = pair(view, "load")
    assert diff.gap_words(load.gap, load.ratio) == "+6m 00s  2.5×"
    shown = painted(view, 80, 24)
    assert any(line.startswith(" fresh") and "only in this" in line for line in shown)
    assert any(line.startswith(" gone") and "only in other" in line for line in shown)
    assert pair(view, "same").same
    assert "load +6m 00s  2.5×" in shown[1]
    assert "2 steps on one side only" in shown[1]


def test_steps_that_nobody_read_are_not_said_to_be_missing(house):
    a_run(house, "s:p", "old", 2 * DAY, 30 * MINUTE)
    a_run(house, "s:p", "new", DAY, 30 * MINUTE, State.FAILED)
    put(house, "s:p/new", NOW - DAY, [("load", State.FAILED, MINUTE)])
    view = view_of(house, "s:p/new")
    said = [words.clause_text(c) for c in view.said()]
    assert said == ["failed, the other ok", "the steps of the other are not known"]
    shown = "\n".join(painted(view, 120, 40))
    assert "only in" not in shown
    assert "other not read" in shown
    assert "Steps 1 · not compared" in shown
    assert "0 differ" not in shown, "nothing was compared: not even that nothing differs"


def test_first_errors_of_both(story):
    shown = painted(view_of(story, f"{BAD} {CONTRACTS}/d09"), 120, 40)
    at = next(i for i, line in enumerate(shown) if line.startswith(" First error the same"))
    assert "load_fact: ORA-00001: unique constraint FACT_CONTRACT_PK" in shown[at + 1]
    assert "none" in painted(view_of(story), 120, 40)[-2]


def test_host_load_of_what_ran_here(story):
    h = story
    a_run(h, "local:probe", "r1", 180 * SECOND, 60 * SECOND)
    view = view_of(h, "local:probe/r1")
    assert fact(view, "cpu of this host").this == "42%"
    assert fact(view, "cpu of this host").other == "n/a"
    assert not any("cpu" in f.name for f in view_of(h).facts)


STEP = st.tuples(
    st.sampled_from("abc"),
    st.integers(-1, 1),
    st.integers(1, 3),
    st.sampled_from(list(State)[:13]),
    st.integers(0, 10**7),
)


@given(st.lists(STEP, max_size=8, unique_by=lambda t: t[:3]), st.lists(STEP, max_size=8, unique_by=lambda t: t[:3]))
def test_each_step_of_either_run_stands_once(a, b):
    class Detail:
        def __init__(self, made):
            self.steps = [row(*m) for m in made]

    def row(name, index, attempt, state, ms):
        from engine.store.rows import StepRow

        return StepRow("k", name, index, attempt, state, None, None, None, NOW, NOW + ms, 0, None, None, None)

    found = diff.pairs(Detail(a), Detail(b))  # type: ignore[arg-type]
    keys = {(n, i) for n, i, *_ in [*a, *b]}
    assert len(found) == len(keys)
    assert len({p.name for p in found}) == len(found)
    for p in found:
        if p.this is not None:
            assert p.this.attempt == max(t for n, i, t, *_ in a if (n, i) == (p.this.step, p.this.map_index))
        if p.this is not None and p.other is not None:
            assert p.gap == diff.took(p.this) - diff.took(p.other)  # type: ignore[operator]


# --- keys and scripts -----------------------------------------------------------------------------------------------


def test_keys(story):
    view = view_of(story)
    view.act("move.down")
    assert view.act("list.open") == (Open("run", f"{BAD}#extract_ldz"),)
    assert view.act("run.log") == (Open("log", f"{BAD}#extract_ldz 1"),)
    assert view.act("run.history") == (Open("history", BAD),)
    assert view.watch() is None


def test_runs_without_steps_can_be_opened_all_the_same(story):
    view = view_of(story, "legacy:tmc_cards/h000")
    assert view.act("list.open") == (Open("run", "legacy:tmc_cards/h000"),)
    assert "no steps: the TMC API tells no steps" in "\n".join(painted(view, 120, 40))


def test_steps_that_nobody_read_are_asked_for(house):
    view = two(house)
    assert view.watch() == {"run": "s:p/new"}
    house.steps(
        "s:p/new",
        [
            StepRun(
                run="s:p/new",
                step="a",
                native="success",
                state=State.SUCCESS,
                started=NOW - DAY,
                ended=NOW - DAY + MINUTE,
            )
        ],
    )
    view.load()
    assert view.watch() == {"run": "s:p/old"}


def test_data_and_rows(story):
    view = view_of(story)
    data = json.loads(json.dumps(view.data()))
    assert (data["this"], data["other"]) == (BAD, f"{CONTRACTS}/d29")
    assert {s["name"] for s in data["steps"]} == {"check_source", "extract_ldz", "load_fact", "quality", "publish"}
    rows = view.rows()
    assert len({frozenset(r) for r in rows}) == 1
    assert [r["what"] for r in rows].count("step") == 5
