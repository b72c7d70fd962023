"""Layers: the chain by layer, who waits for whom also across days; and the Matrix of business dates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.model import Health, Mode, Owed, State, Trigger
from engine.config.model import PipelineRule
from engine.store import owed as written
from engine.store.rows import EdgeRow
from tests.tui import snap, stores
from tests.tui.night import night
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, House, painted
from tui import keymap
from tui.present import chain, layers
from tui.present.chain import chain_of
from tui.present.floor_owed import CHECKING, UNPROVED
from tui.screens.layers import LayersView
from tui.view import Open, Say

E = "prod-airflow:"


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = night(tmp_path_factory.mktemp("night"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    h.engine()
    h.source("s")
    yield h
    h.close()


def view_of(h: House, arg: str | None = None, **more) -> LayersView:
    view = LayersView(h.context(**more), arg)
    view.load()
    return view


def put(h: House, name: str, layer: str | None, state: State | None = State.SUCCESS, **more) -> str:
    rule = None if layer is None else PipelineRule(match=f"s:{name}", layer=layer)
    key = h.pipeline("s", name, rule=rule, **more)
    if state is not None:
        h.run("s", name, "r", state, started_ago=HOUR, took=None if state.active else MINUTE)
    return key


def edges(h: House, *pairs: tuple[str, str]) -> None:
    with h.tx() as tx:
        written.put_edges(tx, [(a, b, "after") for a, b in pairs])


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_chain(tale, size):
    snap.same(f"layers-{size[0]}x{size[1]}", painted(view_of(tale, E + "rdv_to_customer_360"), *size))


@pytest.mark.parametrize("arg", [None, "matrix"])
def test_in_ascii_nothing_but_ascii_is_left(tale, arg):
    assert all(line.isascii() for line in painted(view_of(tale, arg, ascii=True), 200, 50))


# --- the graph ------------------------------------------------------------------------------------------------------


def graph(*pairs: tuple[str, str], layer: dict[str, str] | None = None) -> chain.Chain:
    return chain_of([EdgeRow(a, b, "after") for a, b in pairs], layer or {})


def test_a_loop_is_cut_where_it_leads_back_to_an_earlier_layer():
    layer = {"c": "C360", "m": "ML", "w": "ML"}
    found = graph(("c", "m"), ("m", "w"), ("w", "c"), layer=layer)
    assert found.loops == {("w", "c")}
    assert found.ancestors("w") == {"c", "m"}
    assert found.descendants("c") == {"m", "w"}
    assert found.ancestors("c") == set()
    assert found.loops_from("w") == ("c",)
    assert found.loops_to("c") == ("w",)


def test_an_edge_to_an_earlier_layer_that_is_in_no_loop_is_an_edge():
    found = graph(("m", "c"), layer={"c": "C360", "m": "ML"})
    assert found.loops == frozenset()
    assert found.ancestors("c") == {"m"}


def test_without_layers_a_loop_is_cut_too_and_a_job_after_itself_is_no_trouble():
    found = graph(("a", "b"), ("b", "c"), ("c", "a"), ("d", "d"), ("d", "a"))
    assert ("d", "d") in found.loops
    assert len(found.loops) == 2
    assert found.descendants("d") == {"a", "b", "c"} - {b for a, b in found.loops if a == "d"}


_names = st.sampled_from([f"n{i}" for i in range(12)])


@settings(max_examples=200, deadline=None)
@given(
    pairs=st.lists(st.tuples(_names, _names), max_size=40),
    layer=st.dictionaries(_names, st.sampled_from([*chain.ORDER, "XX"])),
)
def test_any_graph_ends(pairs, layer):
    """No walk runs for ever, nothing is lost, and what is left has no cycle; an edge out of no cycle is never cut."""
    found = graph(*pairs, layer=layer)
    kept = {(a, b) for a, others in found.down.items() for b in others}
    assert kept | found.loops == set(pairs)
    assert not kept & found.loops
    order: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in order:
            order[key] = -1
            order[key] = 1 + max((depth(k) for k in found.up.get(key, ())), default=0)
        assert order[key] >= 0, "a cycle"
        return order[key]

    for key in found.down:
        depth(key)
        assert key not in found.ancestors(key)
        assert found.descendants(key) == {k for k in found.down if key in found.ancestors(k)}
    full: dict[str, set[str]] = {}
    for a, b in pairs:
        full.setdefault(a, set()).add(b)
    for a, b in found.loops:
        seen, todo = {b}, [b]
        while todo:
            for k in full.get(todo.pop(), ()):
                if k not in seen:
                    seen.add(k)
                    todo.append(k)
        assert a in seen, "cut, but in no cycle"


def test_a_chain_of_thousands_needs_no_recursion():
    pairs = [(f"k{i:05d}", f"k{i + 1:05d}") for i in range(5000)]
    found = graph(*pairs, ("k05000", "k00000"))
    assert found.loops == {("k05000", "k00000")}
    assert len(found.ancestors("k05000")) == 5000


def test_the_first_wrong_thing_is_the_one_with_nothing_wrong_before_it():
    found = graph(("a", "b"), ("b", "c"), ("c", "d"), ("x", "d"), ("y", "x"))
    said = {"a": "done", "b": "failed", "c": "missed", "x": "unknown", "y": "done"}
    assert chain.first_wrong("d", found, lambda k: said[k]) == (["b"], ["x"])
    assert chain.first_wrong("b", found, lambda k: said[k]) == ([], [])


# --- how far a layer is ---------------------------------------------------------------------------------------------


def hop(view: LayersView, layer: str) -> str:
    one = next(h for h in view.hops if h.layer == layer)
    return " · ".join("".join(t for t, _ in clause) for clause in one.clauses())


def test_the_order_of_layers_is_the_chain_then_names_then_none(house):
    for i, layer in enumerate(("OPS", "Zeta", None, "BI", "alpha", "SRC", "F360", "C360", "ML", "RDV", "LDZ")):
        put(house, f"p{i}", layer)
    want = ["SRC", "LDZ", "RDV", "C360", "F360", "ML", "BI", "OPS", "alpha", "Zeta", "no layer"]
    assert [h.layer for h in view_of(house).hops] == want


def test_the_state_of_a_layer_counts_all_worst_first(house):
    for i in range(4):
        put(house, f"ok{i}", "LDZ")
    put(house, "bad", "LDZ", State.FAILED)
    view = view_of(house)
    assert hop(view, "LDZ") == "4 of 5 done · 1 failed"
    assert view.hops[0].worst == "failed"
    assert "LDZ 4/5 ✗1" in painted(view, 120, 40)[3]


def test_all_done_is_the_only_green(house):
    for i in range(2):
        put(house, f"ok{i}", "LDZ")
    assert view_of(house).hops[0].style == "run-ok"
    house.source("dark", health=Health.UNREACHABLE, ok_ago=HOUR, since_ago=HOUR)
    house.pipeline("dark", "p", rule=PipelineRule(match="dark:p", layer="LDZ"))
    house.run("dark", "p", "r", State.SUCCESS, started_ago=2 * HOUR, took=MINUTE)
    view = view_of(house)
    assert hop(view, "LDZ") == "2 of 3 done · 1 unknown"
    assert view.hops[0].style == "run-stale b"


def test_without_an_engine_nothing_is_done_but_what_was_kept(house):
    key = put(house, "a", "LDZ")
    put(house, "b", "LDZ")
    owe(house, key, due_in=-HOUR, state=Owed.MET, met_in=-2 * HOUR)
    view = view_of(house, engine_alive=False, engine_silent_since=NOW - HOUR)
    assert hop(view, "LDZ") == "1 of 2 done · 1 unknown"
    assert "as of 04:52" in "\n".join(painted(view, 120, 40))
    assert "NOBODY IS WATCHING" in painted(view, 80, 24)[1]


def test_yesterdays_success_is_no_answer_to_what_is_owed_today(house):
    key = put(house, "p", "BI")
    owe(house, key, due_in=HOUR)
    view = view_of(house)
    assert hop(view, "BI") == "0 of 1 done · 1 owed"
    assert any(line.startswith("▌◇ p ") for line in painted(view, 120, 40))


@pytest.mark.parametrize(
    ("state", "owed", "word"),
    [
        (State.SUCCESS, None, "done"), (State.FAILED, Owed.PENDING, "failed"), (State.WARNING, None, "warning"), (None, None, "no runs"),
        (State.RUNNING, Owed.PENDING, "running"), (State.RUNNING, Owed.AT_RISK, "at risk"), (State.SUCCESS, Owed.MET_LATE, "done"),
        (State.SUCCESS, Owed.UNKNOWN, "unknown"), (State.SUCCESS, Owed.BREACHED, "breached"), (State.SUCCESS, Owed.WAIVED, "not owed"),
        (State.STOPPED, None, "stopped"),
    ],
)  # fmt: skip
def test_one_word_for_each(house, state, owed, word):
    key = put(house, "p", "BI", state)
    if owed is not None:
        owe(
            house,
            key,
            due_in=-HOUR if owed in (Owed.BREACHED, Owed.MET_LATE) else HOUR,
            state=owed,
            met_in=-MINUTE if owed is Owed.MET_LATE else None,
        )
    assert chain.standing(view_of(house).lanes[0]) == word


@pytest.mark.parametrize(("look", "word"), [(UNPROVED, "unproved"), (CHECKING, "checking")])
def test_what_is_not_verified_yet_is_not_done(house, look, word):
    put(house, "p", "BI")
    lane = replace(view_of(house).lanes[0], look=look)
    assert chain.standing(lane) == word
    assert chain.standing(replace(lane, stale=True)) == "unknown"


def test_a_paused_pipeline_is_not_done(house):
    put(house, "p", "BI", mode=Mode.PAUSED)
    assert chain.standing(view_of(house).lanes[0]) == "paused"


# --- the cursor and what is said of it ------------------------------------------------------------------------------


def said(view: LayersView, title: str, width: int = 200) -> str:
    found = [line for line in painted(view, width, 40) if line.startswith(f" {title}")]
    assert len(found) == 1
    return found[0][12:].strip()


def test_the_lower_pane_says_what_waits_what_it_blocks_and_what_is_wrong(tale):
    view = view_of(tale, E + "rdv_to_customer_360")
    assert said(view, "upstream") == "✗ ldz_to_rdv_contracts failed since 02:59"
    assert said(view, "waits for").startswith("✗ ldz_to_rdv_contracts · ✓ ldz_to_rdv_customer")
    assert "↺ ◇ ml_writeback_scores" in said(view, "waits for")
    assert said(view, "blocks").startswith("◇ cdm_publish_db due 06:50 · ◇ board_report due 07:00")
    assert said(view, "owes").startswith("at risk · due 06:30, p50 06:34")


def test_who_waits_for_whom_is_marked(tale):
    shown = painted(view_of(tale, E + "rdv_to_customer_360"), 200, 50)
    text = "\n".join(shown)
    assert "→◇ cdm_publish_db" in text
    assert "+22m→" in text  # contracts
    assert "↺ rdv_to_customer_360" in text  # under what feeds it on the next day
    assert "↺" in next(line for line in shown if "ml_write" in line and "due" not in line)


def test_an_upstream_that_nobody_knows_is_named_and_unknown(house):
    key = put(house, "p", "BI")
    edges(house, ("gone:old%20one", key))
    view = view_of(house)
    assert "? old one not seen" in said(view, "waits for")
    assert "unknown" in said(view, "upstream")


def test_nothing_wrong_is_said_only_where_something_is_upstream(house):
    a, b = put(house, "a", "LDZ"), put(house, "b", "RDV")
    edges(house, (a, b))
    assert said(view_of(house, a), "upstream") == "nothing is upstream"
    assert said(view_of(house, b), "upstream") == "nothing is wrong, 1 step back to the sources"


def test_the_cursor_goes_over_every_pipeline_once(tale):
    for width, height in SIZES:
        view = view_of(tale)
        view.act("move.top")
        seen = []
        for _ in range(len(view.lanes)):
            assert sum("▌" in line for line in painted(view, width, height)) == 1
            seen.append(view.cursor)
            view.act("move.down")
        assert len(set(seen)) == len(view.lanes)


def test_left_and_right_go_from_layer_to_layer(tale):
    for size in ((120, 40), (80, 24)):
        view = view_of(tale)
        view.act("move.top")
        names = []
        for _ in range(7):
            painted(view, *size)
            names.append(view.here.layer)
            effects = view.act("time.right")
        assert names == ["SRC", "LDZ", "RDV", "C360", "ML", "BI", "OPS"]
        assert effects == (Say("OPS is the last layer"),)
        assert any("OPS" in line for line in painted(view, *size)[4:])


def test_feeds_stand_at_the_sources(tale, house):
    assert next(lane for lane in view_of(tale).lanes if lane.name == "eia_file").layer == "SRC"
    with house.tx() as tx:
        tx.db.execute("INSERT INTO feed (name, file, looked) VALUES ('prices', '/in/prices', ?)", (NOW,))
        tx.db.execute(
            "INSERT INTO feed (name, file, looked, error) VALUES ('rates', '/in/rates', ?, 'no such folder')", (NOW,)
        )
        tx.bump("owed")
    view = view_of(house)
    assert [(lane.name, lane.look.word, chain.standing(lane)) for lane in view.lanes] == [
        ("prices", "not come yet", "unknown"), ("rates", "no view", "unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "action", "want"),
    [
        (E + "daily_sales", "list.open", Open("run", E + "daily_sales/n0")),
        ("feed:eia_file", "list.open", Open("deadlines")),
        (E + "daily_sales", "run.log", Open("log", E + "daily_sales/n0")),
        (E + "daily_sales", "run.history", Open("history", E + "daily_sales")),
        (E + "daily_sales", "run.stop", Open("plan", f"stop {E}daily_sales/n0")),
    ],
)
def test_keys_ask_for_what_the_pipeline_is(tale, key, action, want):
    assert list(view_of(tale, key).act(action)) == [want]


def test_filter(tale):
    view = view_of(tale)
    view.set_filter("layer:RDV state:failed")
    assert [lane.name for lane in view.lanes] == ["ldz_to_rdv_contracts"]
    assert hop(view, "RDV").startswith("2 of 4 done")  # how far a layer is does not depend on what is looked at
    view.set_filter("nothing like this")
    assert "no pipeline is like that" in "\n".join(painted(view, 120, 40))
    view.act("view.pane")
    painted(view, 80, 24)
    view.act("nav.back")
    assert len(view.lanes) == 25


@pytest.mark.parametrize("arg", [None, "matrix"])
def test_every_key_of_the_help_reaches_something(tale, arg):
    for action, keys in keymap.active().reach(LayersView.contexts):
        for key in keys:
            assert keymap.resolve(LayersView.contexts, key) == action.id
        view = view_of(tale, arg)
        painted(view, 80, 24)
        view.act("move.down")
        before = painted(view, 80, 24)
        effects = view.act(action.id)
        assert effects or painted(view, 80, 24) != before, action.id


# --- what is asked, sizes, nothing there ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    house = stores.big(tmp_path_factory.mktemp("many"), 300, 2)
    yield house
    house.close()


@pytest.mark.parametrize("arg", [None, "matrix"])
def test_painting_asks_nothing_and_only_jobs_in_view_are_asked_for(many, arg):
    view = view_of(many, arg)
    painted(view, 120, 40)
    asked: list[int] = []
    real = view.context.reader.dated
    view.context.reader.dated = lambda ids, since: asked.extend(ids) or real(ids, since)
    for action in ("move.bottom", "move.top"):
        view.act(action)
        painted(view, 120, 40)
    assert len(asked) <= 50

    def refuse(*_):
        raise AssertionError("paint asked the store")

    view.act("move.down")
    view.context.reader.all = view.context.reader.one = refuse
    painted(view, 120, 40)


def test_the_lean_question_says_the_same_as_the_whole_one(tale):
    reader = tale.reader()
    ids = reader.floor_ids()
    whole, lean = reader.owed_in(ids, NOW - 9 * DAY, NOW + DAY), reader.owed_dates(ids, NOW - 9 * DAY, NOW + DAY)
    assert sum(map(len, whole.values())) > 25
    for pipeline, rows in whole.items():
        want = [(r.id, r.thing, r.type, r.business_date, r.state, r.due, r.missed, r.run_key) for r in rows]
        assert [
            (r.id, r.thing, r.type, r.business_date, r.state, r.due, r.missed, r.run_key) for r in lean[pipeline]
        ] == want
    assert {r.thing for r in whole[None]} == {"feed:eia_file"}
    everything = {r.id for r in reader.owed(NOW - 9 * DAY, NOW + DAY)}
    assert {r.id for rows in whole.values() for r in rows} == everything


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(8, 230), height=st.integers(3, 60), acts=st.lists(st.sampled_from(["view.pane", "time.left", "time.right", "move.down", "move.bottom", "owed.basis", "action.menu"]), max_size=8))  # fmt: skip
def test_every_size_is_filled_exactly(tale, width, height, acts):
    view = view_of(tale)
    for action in acts:
        view.act(action)
        painted(view, width, height)


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (109, 30), (110, 30), (59, 20), (10, 3)])
@pytest.mark.parametrize("arg", [None, "matrix"])
def test_hostile_names_keep_the_columns_straight(house, size, arg):
    keys = []
    for i, name in enumerate(("\x1b[31mred", "売上_日次_集計", "יומי", "a\u202eb", "x" * 9000, "e\u0301" * 40)):
        keys.append(house.pipeline("s", f"n{i}", name=name, rule=PipelineRule(match=f"s:n{i}", layer=name[:40])))
        house.run("s", f"n{i}", "\x1b[31mrun", State.FAILED, started_ago=HOUR + i, took=MINUTE)
    edges(house, *((a, b) for a in keys for b in keys))
    view = view_of(house, arg)
    for _ in keys:
        painted(view, *size)
        view.act("move.down")


def test_empty_states_say_what_to_do(house):
    view = view_of(house)
    assert "no pipeline seen yet" in "\n".join(painted(view, 80, 24))
    for action in ("list.open", "time.left", "owed.waive", "run.history", "copy.menu"):
        assert list(view.act(action)) == [Say("there is no row here")], action
    put(house, "p", "BI", trigger=Trigger.MANUAL)
    view = view_of(house, "matrix")
    shown = "\n".join(painted(view, 80, 24))
    assert "nothing is expected: no pipeline has a schedule, and nothing is promised" in shown
    assert "Tab shows the chain" in shown


def test_data_and_rows(tale):
    view = LayersView(tale.context())
    data = json.loads(json.dumps(view.data()))
    rdv = next(one for one in data["layers"] if one["layer"] == "RDV")
    assert (rdv["total"], rdv["done"], rdv["worst"]) == (4, 2, "failed")
    one = next(p for p in data["pipelines"] if p["key"] == E + "cdm_publish_db")
    assert one["waits_for"] == E + "rdv_to_customer_360"
    loop = next(p for p in data["pipelines"] if p["name"] == "ml_writeback_scores")
    assert loop["loops"] == E + "rdv_to_customer_360"
    jobs = {j["key"]: j for j in data["matrix"]["jobs"]}
    assert jobs[E + "ldz_to_rdv_customer"]["dates"]["2026-11-18"]["owed"] == "breached"
    assert data["matrix"]["counts"]["2026-11-19"] == {"kept": 7, "owed": 19}
    assert len({tuple(r) for r in view.rows()}) == 1
    assert layers.layer_rank("rdv") < layers.layer_rank("C360") < layers.layer_rank("other") < layers.layer_rank(None)
