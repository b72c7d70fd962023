"""Screen 9: what ended, found by its filter, its chain, and what scripts get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.store.audit_asked import LOOKED
from engine.store.rows import Checked
from tests.tui.actions_parts import go, text, view, work
from tests.tui.deeds import ANA, BOB, Deeds, busy
from tests.tui.stores import DAY, HOUR, NOW, SECOND, TZ, House, painted, story
from tui.present import actions as present
from tui.screens.actions_kept import SLICE
from tui.view import Open, Say


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    h = story(tmp_path_factory.mktemp("told"))
    busy(h)
    yield h
    h.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


# --- what ended -----------------------------------------------------------------------------------------------------


def test_only_what_changed_stands_out(told: House) -> None:
    v = view(told)
    go(v, "pause           ldz")
    lines = [
        line
        for line in v.paint(120, 40)
        if "".join(t for t, _ in line).split()[:1] in (["schedule"], ["runs"], ["next"])
    ]
    said = ["".join(t for t, _ in line) for line in lines]
    assert [" ".join(s.split()) for s in said] == [
        "schedule active → paused", "runs at 0 5 * * * 0 5 * * *", "next run 05:52:00 → –",
    ]  # fmt: skip
    bold = [any("b" in style.split() for t, style in line if t.strip()) for line in lines]
    assert bold == [True, False, True]


def test_a_run_that_was_made_had_no_before(told: House) -> None:
    found = present.changes(
        {"key": "local:p", "mode": 0, "word": "active"}, {"key": "local:p/r1", "word": "running", "attempt": 1}, TZ, NOW
    )
    assert [(c.name, c.before, c.after) for c in found] == [
        ("made", None, "p r1"), ("state", None, "running"), ("attempt", None, "1"),
    ]  # fmt: skip


def test_what_was_not_read_afterwards_is_not_called_the_same(told: House) -> None:
    v = view(told)
    assert "after: not read" in text(v)


@pytest.mark.parametrize(
    ("words", "opens"),
    [
        ("stop            ldz_to_rdv_contracts r1", Open("run", "prod-airflow:ldz_to_rdv_contracts/r1")),
        ("start           fx_rates_probe", Open("run", "local:fx_rates_probe/h001")),
        ("pause           ldz_to_rdv_contracts", Open("runs", "prod-airflow:ldz_to_rdv_contracts")),
    ],
)
def test_enter_opens_what_was_touched(told: House, words: str, opens: Open) -> None:
    v = view(told)
    go(v, words)
    assert v.act("list.open") == (opens,)


def test_enter_on_what_is_gone_says_so(house: House) -> None:
    Deeds(house).did("pause", "gone:nothing")
    said = view(house).act("list.open")
    assert said == (Say("nothing is not known here any more"),)


def test_pages_meet_without_gap_and_in_order(house: House) -> None:
    d = Deeds(house)
    made = [d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND, who=BOB if n % 3 else ANA) for n in range(200)]
    v = view(house)
    assert v.length < 200
    seen = [v.cursor]
    for _ in range(250):
        v.act("move.down")
        if v.cursor != seen[-1]:
            seen.append(v.cursor)
    assert seen == made[::-1]
    assert "the oldest" in text(v)
    v.act("move.top")
    assert v.cursor == made[-1]


def test_a_page_further_down_outlives_a_load(house: House) -> None:
    d = Deeds(house)
    for n in range(150):
        d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND)
    v = view(house)
    for _ in range(100):
        v.act("move.down")
    here, length = v.cursor, v.length
    d.did(ago=5 * SECOND)
    v.load()
    assert (v.cursor, v.length) == (here, length + 1)


def test_more_at_once_than_a_page_leaves_no_gap(house: House) -> None:
    d = Deeds(house)
    made = [d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND) for n in range(70)]
    v = view(house)
    made += [d.did("pause", "local:fx_rates_probe", ago=HOUR - n * SECOND) for n in range(130)]
    v.load()
    while v._read_on():
        pass
    assert [a.id for a in v.done] == made[::-1]


def test_an_action_named_by_its_id_has_the_cursor_wherever_it_stands(house: House) -> None:
    d = Deeds(house)
    made = [d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND) for n in range(150)]
    v = view(house, made[3])
    assert v.cursor == made[3]
    d.did(ago=SECOND * 40)
    v.load()
    assert v.cursor == made[3]
    while v._read_on():
        pass
    assert len(v.done) == 151
    assert view(house, "01NOSUCHTHING").data() is None


# --- the filter -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter", "n"),
    [
        ("who:bob", 1), ("verb:stop", 3), ("verb:stop state:unproved", 0), ("state:verify", 2), ("key:ldz", 3), ("!who:ana", 4), ("409", 1),
        ("verb:stop verb:start", 4), ("verb:backfill", 3), ("local:fx_rates_probe", 1), ("EIA", 6),
    ],
)  # fmt: skip
def test_the_filter_looks_at_who_verb_key_state_and_words(told: House, filter: str, n: int) -> None:
    v = view(told)
    v.set_filter(filter)
    work(v)
    assert v.filter_error is None
    assert v.length == n, [i for i in v._items()]


def test_a_filter_that_cannot_be_meant_changes_nothing(told: House) -> None:
    v = view(told)
    length = v.length
    v.set_filter("whom:ana")
    assert v.filter_error == "there is no field whom: here, did you mean who:"
    assert v.length == length


def test_a_rare_name_is_searched_in_slices(house: House) -> None:
    d = Deeds(house)
    rare = d.did(who=BOB, ago=2 * DAY)
    with house.tx() as tx:
        row = tx.db.execute("SELECT * FROM action WHERE id = ?", (rare,)).fetchone()
        marks = ", ".join("?" * len(row))
        many = []
        for n in range(3 * LOOKED):
            made = d.ids.ulid(house.now - DAY + n)
            many.append((made, made, *row[2:14], "ana", *row[15:]))
        tx.db.executemany(f"INSERT INTO action VALUES ({marks})", many)  # noqa: S608 - question marks
    v = view(house)
    v.set_filter("who:bob")
    assert v.length == 0
    assert "searching" in text(v)
    assert 3 <= work(v) <= 5
    assert [a.id for a in v.done] == [rare]
    v.act("view.pane")
    v.act("view.pane")
    work(v)
    assert [a.id for a in v.done] == [rare], "a search goes on where the other pane was looked at meanwhile"
    v.set_filter("who:nobody")
    work(v)
    assert "no action is like that" in text(v)
    v.act("nav.back")
    assert v.length > 1


def test_the_audit_is_filtered_too(told: House) -> None:
    v = view(told, "audit")
    v.set_filter("who:bob")
    assert [r.event for r in v.records] == ["waived", "intent"]
    v.set_filter("state:verify_timeout")
    assert len(v.records) == 1
    v.set_filter("agreed")
    assert [r.event for r in v.records] == ["waived"]


# --- the chain ------------------------------------------------------------------------------------------------------


def test_the_chain_is_recomputed_in_slices_while_keys_go_on(house: House) -> None:
    d = Deeds(house)
    for n in range(SLICE + 20):
        d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND)
    v = view(house)
    v.act("audit.verify")
    assert v.auditing
    assert v.work()
    assert f"checking, {SLICE} of {3 * (SLICE + 20)}" in text(v)
    v.act("move.down")
    work(v)
    assert f"{3 * (SLICE + 20)} records, unbroken" in text(v)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE audit SET login = 'mallory' WHERE seq = 9", "record 9: its content was changed"),
        ("UPDATE audit SET body = replace(body, 'eia', 'fx') WHERE seq = 12", "record 12: its content was changed"),
        ("DELETE FROM audit WHERE seq = 5", "record 5: it is missing"),
        ("UPDATE audit SET prev = 'x' WHERE seq = 3", "record 3: it does not follow the record before it"),
    ],
)
def test_the_first_broken_record_is_named_in_red(house: House, sql: str, words: str) -> None:
    busy(house)
    with house.tx() as tx:
        assert tx.db.execute(sql).rowcount == 1
    v = view(house, "audit")
    v.act("audit.verify")
    work(v)
    assert words in text(v)
    assert "unbroken" not in text(v)
    assert "the audit is broken" in painted(v, 120, 40)[1]
    assert any("run-failed" in style for line in v.paint(120, 40) for t, style in line if words in t)


def test_an_empty_audit_is_not_called_unbroken(house: House) -> None:
    v = view(house)
    v.act("audit.verify")
    work(v)
    assert "unbroken" not in text(v)
    assert "nothing to check" in text(v)


def test_new_records_come_in_front(house: House) -> None:
    d = busy(house)
    v = view(house, "audit")
    v.act("move.down")
    here = v.at_record
    d.said("armed", environment="prod")
    v.load()
    assert v.records[0].event == "armed"
    assert v.at_record == here


# --- for scripts, and quickly ---------------------------------------------------------------------------------------


def test_rows_for_scripts(told: House) -> None:
    v = view(told)
    found = v.data()
    assert [a["verb"] for a in found["under_way"]] == ["rerun-failed", "stop"]
    assert found["under_way"][0]["must_look"] is True
    assert [o["id"] for o in found["operations"]] == ["7", "3", "5"]
    assert found["operations"][1]["done"] is None
    assert len(found["done"]) == 5
    whole = view(told, v.done[0].id).data()
    assert whole["before"]["word"] == "running"
    assert whole["after"]["word"] == "failed"
    assert len(view(told, "audit").data()) == 22


def test_no_question_walks_the_whole_table(told: House) -> None:
    reader = told.reader()
    asked: list[tuple[str, Any]] = []
    real = reader.all
    reader.all = lambda sql, values=(): (asked.append((sql, values)), real(sql, values))[1]  # type: ignore[method-assign]
    reader.actions_under_way()
    detail = reader.action_detail(reader.actions_ended().rows[0].id)
    assert detail is not None
    reader.actions_since(NOW - DAY)
    reader.audit_records()
    reader.audit_follow(Checked())
    reader.audit_last()
    assert len(asked) >= 9
    for sql, values in asked:
        plan = [row[3] for row in real(f"EXPLAIN QUERY PLAN {sql}", values)]
        for step in plan:
            bare = step.startswith("SCAN") and "USING" not in step and "SCAN (" not in step and "subquery" not in step
            assert not bare, (sql, plan)
