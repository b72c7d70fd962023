"""The Floor on real stores: what is on it, how fast it answers, what scripts get."""

from __future__ import annotations

import json
import re

import pytest

from adapters.model import Health, Mode, State, Trigger, Verb
from tests.tui import snap, stores
from tests.tui.floor_parts import at, floor
from tests.tui.stores import HOUR, MINUTE, SIZES, House, painted
from tui.screens.floor import FloorView


@pytest.fixture(scope="module")
def tale(tmp_path_factory):
    house = stores.story(tmp_path_factory.mktemp("story"))
    yield house
    house.close()


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    h.close()


# --- what is on it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_every_row_has_its_state_its_name_and_its_age_at_each_size(tale, size):
    width, height = size
    view = floor(tale)
    shown = painted(view, width, height)
    assert shown[0].startswith(" Floor ")
    assert shown[-1].rstrip().endswith("? help")
    narrow = width < 110
    seen: set[str] = set()
    for _ in range(len(view.keys)):
        shown = painted(view, width, height)
        row = next(line for line in shown if line.startswith("▌"))
        item = view.here
        assert item is not None
        word = item.look.narrow if narrow else item.look.word
        assert row[1] == item.look.glyph
        assert row[4 : 4 + len(word)] == word
        assert row[2] == ("?" if item.stale and item.row is not None else " ")
        if not item.problem:
            age = "21m" if item.stale else "4s" if item.row.source == "local" else "15s"
            assert age in row
        seen.add(item.key)
        view.act("move.down")
    assert seen == set(view.keys)
    assert len(seen) == 23


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale, size):
    width, height = size
    snap.same(f"floor-{width}x{height}", painted(floor(tale), width, height))


def test_snapshot_ascii_has_no_other_characters(tale):
    shown = painted(floor(tale, ascii=True), 80, 24)
    assert all(line.isascii() for line in shown)
    snap.same("floor-80x24-ascii", shown)


def test_the_head_says_what_is_broken_since_when_and_who_is_blind(tale):
    shown = painted(floor(tale), 120, 40)
    assert "3 broken  since 03:12" in shown[1]
    assert "1 longer than usual" in shown[1]
    assert "1 source blind" in shown[1]
    assert "✗2 failed" in shown[2]
    assert "1 not acked" in shown[2]
    assert "cpu ▂▃▅▇▅▃▄▄ 41%" in shown[3]
    assert "/data" in shown[3]
    assert "truth ≤ 15s · dataiku 21m" in shown[3]
    assert "PROD 3 sources · protected" in shown[0]
    assert "read-only  A arm" in shown[0]
    assert "Fri 20 Nov  05:52 Paris" in shown[0]


def test_counts_hold_each_pipeline_once_and_unknown_is_not_ok(tale):
    view = floor(tale)
    counts = view.head.counts
    never = sum(i.row is not None and i.row.state is None for i in view.all)
    assert sum(counts.known.values()) + counts.resting + counts.unknown + never == counts.total == 22
    assert counts.unknown == 2
    assert counts.known[State.SUCCESS] == 6
    for width in (80, 120, 200):
        row = painted(view, width, 40)[2].partition(" 1 alert")[0]
        assert sum(map(int, re.findall(r"\d+", row))) == counts.total, "what is shown adds up"
    assert "✓ 6 ok  ■ 1 stopped  ? 2 unknown" in painted(view, 200, 50)[2]


def test_a_blind_source_hides_no_failure(house):
    house.engine()
    house.source("s", health=Health.UNREACHABLE, ok_ago=HOUR)
    for name, state in (("bad", State.FAILED), ("good", State.SUCCESS)):
        house.pipeline("s", name)
        house.run("s", name, "r", state, started_ago=2 * HOUR, took=MINUTE)
    shown = painted(floor(house), 120, 40)
    assert "1 broken" in shown[1]
    assert "✗ 1 failed  ? 1 unknown" in shown[2]


def test_problems_are_sentences_with_the_next_key(tale):
    shown = painted(floor(tale), 120, 40)
    text = "\n".join(shown)
    assert "load_fact: ORA-00001 duplicate key · attempt 2" in text
    assert "at load_fact.sql" not in text  # only the error's first line
    assert "due to start 04:55, no run seen · usual 6m" in text
    assert "running 1h 52m, usual 41m (2.7×)" in text
    assert "212 of 48,310 rows rejected" in text
    assert "401 for this API key · 2 pipelines unknown" in text
    assert any(line.rstrip().endswith("R rerun") for line in shown[6:12])
    assert any(line.rstrip().endswith("T start") for line in shown[6:12])
    assert any(line.rstrip().endswith("0 health") for line in shown[6:12])


def test_without_the_right_to_act_the_next_key_is_one_that_works(tale):
    shown = painted(floor(tale, read_only=True), 120, 40)
    assert not any("R rerun" in line for line in shown)
    assert any(line.rstrip().endswith("l log") for line in shown[6:12])


def test_order_is_that_of_the_floor(tale):
    view = floor(tale)
    words = [view.items[k].look.word for k in view.keys]
    assert words == [
        "failed", "failed", "missed", "long", "warning", "no view",
        "ok", "running", "retrying", "stopping", "running", "running", "queued", "paused", "held",
        *["ok"] * 6, "no runs", "stopped",
    ]  # fmt: skip


def test_in_a_rank_the_unacknowledged_come_first_then_criticality(house):
    house.engine()
    house.source("s")
    for name in ("a", "b", "c"):
        house.pipeline("s", name)
        house.run("s", name, "r", State.FAILED, started_ago=HOUR, took=MINUTE)
    house.alert("A1", "s:a", acked=True)
    house.alert("A2", "s:b")
    view = floor(house)
    assert [view.items[k].name for k in view.keys] == ["b", "c", "a"]
    assert "acked" in "\n".join(painted(view, 120, 40))


def test_below_eight_runs_it_says_learning_and_nothing_is_long(house):
    house.engine()
    house.source("s")
    house.pipeline("s", "young")
    house.history("s", "young", n=5, usual=MINUTE)
    house.run("s", "young", "now", State.RUNNING, started_ago=3 * HOUR)
    view = floor(house)
    assert not view.problems
    assert "learning 5/8" in "\n".join(painted(view, 120, 40))


def test_a_stream_is_never_long_and_has_no_bar(tale):
    row = next(line for line in painted(floor(tale), 120, 40) if "txn_stream_bronze" in line)
    assert "6d 4h / stream" in row
    assert "┼" not in row


def test_a_blind_source_is_one_problem_and_its_pipelines_stay_in_the_table(tale):
    view = floor(tale)
    assert "source:dataiku" in view.problems
    stale = [view.items[k].name for k in view.table if view.items[k].stale]
    assert stale == ["dss_flowchart_nightly", "dss_segments_weekly"]
    lines = view.paint(120, 40)
    row = next(line for line in lines if "dss_segments" in "".join(t for t, _ in line))
    assert {style.partition(" ")[0] for text, style in row if text.strip()} == {"run-stale"}


def test_failed_stays_failed_and_in_its_place_when_its_source_goes_blind(house):
    house.engine()
    house.source("s", health=Health.UNREACHABLE, ok_ago=10 * MINUTE)
    house.pipeline("s", "bad")
    house.run("s", "bad", "r", State.FAILED, started_ago=HOUR, took=MINUTE, error="boom")
    view = floor(house)
    shown = painted(view, 120, 40)
    assert view.keys == ["s:bad", "source:s"]
    assert any(line[1:3] == "✗?" and "boom · as of 05:42" in line for line in shown)


def test_calm(tmp_path):
    house = stores.calm(tmp_path)
    view = floor(house)
    shown = painted(view, 120, 40)
    assert "All 5 fine" in shown[1]
    assert "next run step_0 05:57" in shown[1]
    assert "no alerts" in shown[1]
    assert "every action asks" in shown[0]
    assert not any("Problems" in line for line in shown)
    styles = {word for line in view.paint(120, 40) for _, style in line for word in style.split()}
    assert "rev" not in styles  # nothing wrong: nothing inverse
    snap.same("floor-calm-120x40", shown)
    house.close()


def test_first_start_says_that_it_cannot_say_all_is_well(house):
    house.engine()
    for width, height in SIZES:
        shown = "\n".join(painted(floor(house), width, height))
        assert "Nothing to watch yet" in shown
        assert "cannot tell you that all is well" in shown
        for way in ("watchfloor demo", "watchfloor init", "watchfloor check"):
            assert way in shown
        assert "no environment yet" in shown
        assert "fine" not in shown
    snap.same("floor-empty-80x24", painted(floor(house), 80, 24))


def test_a_source_without_pipelines_is_not_all_fine(house):
    house.engine()
    house.source("s", ok_ago=None, health=Health.NEVER)
    shown = "\n".join(painted(floor(house), 80, 24))
    assert "No pipeline seen yet" in shown
    assert "fine" not in shown


def test_nobody_is_watching(tale):
    view = floor(tale, engine_alive=False, engine_silent_since=tale.now - 21 * MINUTE)
    shown = painted(view, 120, 40)
    assert shown[1].startswith(" NOBODY IS WATCHING  engine silent since 05:31, 21m")
    assert "All below is what was true at 05:31.   Ctrl+R start the engine here" in shown[2]
    assert "then  3 broken" in shown[3]
    assert "pid 4711 on ops-01 gone" in shown[4]
    assert "actions off" in shown[0]
    assert not any(line.lstrip().startswith("Problems") for line in shown)
    rows = shown[8:-1]
    assert all(line[2] == "?" for line in rows if line.strip() and line[1] != "?")
    assert "rerun" not in shown[-1]
    assert shown[-1].startswith(" Ctrl+R start engine")
    red = [style for _, style in view.paint(120, 40)[1]]
    assert all("banner-bg" in style for style in red)
    snap.same("floor-silent-120x40", shown)


def test_a_short_silence_is_no_banner_but_a_goodbye_is(house):
    house.engine()
    house.source("s")
    view = floor(house, engine_alive=False, engine_silent_since=house.now - 20_000)
    assert "NOBODY" not in "\n".join(painted(view, 120, 40))
    house.engine(stopped="stopped by ana")
    view = floor(house, engine_alive=False)
    shown = "\n".join(painted(view, 120, 40))
    assert "NOBODY IS WATCHING  engine stopped at 05:52" in shown
    assert "last words: stopped by ana" in shown


def test_armed_takes_the_whole_first_row(tale, tmp_path):
    house = House(tmp_path)
    house.engine()
    house.source("s", environment="prod")
    house.arm("prod", 42)
    view = floor(house)
    lines = view.paint(120, 40)
    assert "".join(t for t, _ in lines[0]).startswith(" ARMED 0:42  for prod · every action still asks   A disarm")
    assert all("on:armed-bg" in style for _, style in lines[0])
    house.close()


@pytest.mark.parametrize("size", [(59, 30), (40, 10), (20, 5), (19, 4), (5, 1), (1, 1)])
def test_small_terminals_get_the_verdict_not_a_wall(tale, size):
    shown = painted(floor(tale), *size)
    if size[0] >= 20:
        assert "3 broken" in "\n".join(shown)


@pytest.mark.parametrize("width", [60, 70, 79, 80, 95, 109, 110, 118, 121, 150, 179, 180, 260])
def test_any_width_is_straight(tale, width):
    for height in (16, 24, 33):
        painted(floor(tale), width, height)
        painted(floor(tale, engine_alive=False), width, height)


HOSTILE = [
    "\x1b[31mred\x1b]0;owned\x07", "売上_日次_集計パイプライン_長い名前", "יומי-מכירות", "a\u202egnp.exe", "x" * 10_000, "[bold]not markup[/]", "tab\there\nline",
    "é" * 30, "👩‍👩‍👧‍👦 family", "\udce9broken",
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_hostile_names_and_errors_keep_the_table_straight(house, size):
    house.engine()
    house.source("s")
    for i, name in enumerate(HOSTILE):
        safe = name.encode("utf-8", "replace").decode()
        house.pipeline("s", f"n{i}", name=safe, owner=safe)
        house.run(
            "s", f"n{i}", "r", State.FAILED if i % 2 else State.SUCCESS, started_ago=HOUR, took=MINUTE, error=safe
        )
    view = floor(house)
    for _ in view.keys:
        painted(view, *size)
        view.act("move.down")
    for key in ("action.menu", "copy.menu"):
        view.act(key)
        painted(view, *size)
        view.act("nav.back")


# --- speed by behaviour, scripts ----------------------------------------------------------------------------------------


def counted(view: FloorView) -> list[str]:
    """Every question that the view asks of the store from now on."""
    asked: list[str] = []
    reader = view.context.reader
    for name in ("all", "one"):
        real = getattr(reader, name)

        def wrapped(sql, *args, _real=real):
            asked.append(sql)
            return _real(sql, *args)

        setattr(reader, name, wrapped)
    return asked


def test_two_thousand_pipelines_ask_as_many_questions_as_ten(tmp_path):
    questions = []
    for n in (10, 2000):
        house = stores.big(tmp_path / str(n), n)
        view = FloorView(house.context())
        asked = counted(view)
        view.load()
        questions.append(len(asked))
        asked.clear()
        for _ in range(5):
            painted(view, 120, 40)
            view.act("move.page_down")
        assert asked == []  # painting and moving ask nothing
        view.load()
        assert not any(
            "pipe_now" in sql and "GROUP" not in sql for sql in asked
        )  # nothing moved: rows are not read again
        house.close()
    # what is owed, who waits for whom, which checks wait, whether a disk fills up, what runs on after a failure: one question each
    assert questions[0] == questions[1] <= 23


def test_one_run_that_moves_reads_one_row_again(tmp_path):
    house = stores.big(tmp_path, 300)
    view = floor(house)
    house.clock.at += 60_000
    view.load()
    read: list[int] = []
    real = view.context.reader.floor_rows
    view.context.reader.floor_rows = lambda ids: read.extend(ids) or real(ids)
    house.run("prod-airflow", "p0123", "new", State.FAILED, started_ago=MINUTE, took=1000, error="boom")
    view.load()
    assert len(read) == 1
    assert view.items["prod-airflow:p0123"].look.word == "failed"
    assert view.items["prod-airflow:p0123"].row.error == "boom"
    house.alert("A1", "prod-airflow:p0123")  # what else a row holds reads all
    view.load()
    assert view.items["prod-airflow:p0123"].row.alert_id == "A1"
    house.pipeline("prod-airflow", "p9999")
    view.load()
    assert "prod-airflow:p9999" in view.items
    house.close()


def test_ages_do_not_tick_while_a_source_answers_in_its_rhythm(house):
    house.engine()
    house.source("s", poll_ms=10_000, ok_ago=0)
    house.pipeline("s", "p")
    view = floor(house)
    seen = set()
    for _ in range(12):
        view.load()
        seen.add(painted(view, 120, 40)[9])
        house.clock.at += 1000
    assert len(seen) == 1


def test_a_run_grows_long_without_any_change_in_the_store(house):
    house.engine()
    house.source("s", poll_ms=10 * HOUR)
    house.pipeline("s", "p")
    house.history("s", "p", usual=10 * MINUTE)
    house.run("s", "p", "now", State.RUNNING, started_ago=12 * MINUTE)
    view = floor(house)
    assert not view.problems
    house.clock.at += 20 * MINUTE
    view.load()
    assert view.problems == ["s:p"]


def test_data_and_rows_are_plain(tale):
    view = FloorView(tale.context())
    data = json.loads(json.dumps(view.data()))
    assert data["broken"] == 3
    assert data["blind"] == ["dataiku"]
    first = data["pipelines"][0]
    assert first["key"] == "prod-airflow:ldz_to_rdv_contracts"
    assert first["state"] == "failed"
    assert first["business_date"] == "2026-11-19"
    assert first["says"].startswith("load_fact: ORA-00001")
    rows = view.rows()
    assert len(rows) == 22
    assert len({tuple(r) for r in rows}) == 1  # one set of columns
    assert {r["state"] for r in rows} >= {"failed", "missed", "running", "success", None}


def test_modes(house):
    house.engine()
    house.source("s", offers=frozenset({Verb.START}))
    house.pipeline("s", "off", mode=Mode.DISABLED)
    house.history("s", "off", n=9)
    house.pipeline("s", "hand", trigger=Trigger.MANUAL, next_in=None)
    house.history("s", "hand", n=9)
    shown = "\n".join(painted(floor(house), 120, 40))
    assert "- " in shown
    assert "disabled off" in shown
    assert "manual" in shown


def test_the_footer_offers_only_what_the_system_can(tale):
    view = floor(tale)
    for name, hold in (("ldz_to_rdv_transactions", False), ("held_load", True)):
        at(view, name)
        foot = painted(view, 200, 50)[-1]
        assert "x stop" in foot
        assert ("H " in foot) == hold, foot


def test_a_servers_long_answer_does_not_push_out_what_it_means(house):
    house.engine()
    said = "HTTP 401 from GET /api/v2/monitor/health: Not authenticated, see the log of the web server for more"
    house.source("af", health=Health.AUTH_FAILED, since_ago=21 * MINUTE, ok_ago=21 * MINUTE, detail=said)
    house.pipeline("af", "daily")
    for size, meant in (
        ((80, 24), "auth failed since 05:31"),
        ((120, 40), "auth failed since 05:31 · 1 pipeline unknown"),
    ):
        row = next(line for line in painted(floor(house), *size) if "no view" in line)
        assert meant in row
        assert "…" not in row


def test_what_is_wrong_with_a_source_leads_though_its_end_may_be_cut(house):
    """ "bad answer" alone sends a person to another screen; the first words of why are seldom longer than a row."""
    house.engine()
    said = "the client library of Kafka is not installed: pip install 'watchfloor[kafka]'"
    house.source("bus", kind="kafka", health=Health.BAD_ANSWER, since_ago=MINUTE, ok_ago=None, detail=said)
    for size, shown in (
        ((80, 24), "the client library of Kafka is not insta"),
        ((120, 40), "of Kafka is not installed: pip install"),
    ):
        assert shown in next(line for line in painted(floor(house), *size) if "no view" in line)


@pytest.mark.parametrize(
    ("size", "said"), [((80, 24), "config refused"), ((120, 40), "newer configuration refused   0 why")]
)
def test_a_configuration_that_is_not_taken_is_said_where_everybody_looks(house, size, said):
    house.engine(config_error="watchfloor.toml:12: unknown key 'nmae'")
    house.source("s")
    house.pipeline("s", "daily")
    assert said in painted(floor(house), *size)[1]
