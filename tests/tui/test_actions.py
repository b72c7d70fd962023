"""Screen 9: what is under way, what ended, the audit; nothing unknown is called done, nothing hostile gets through."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.model import ActionState, State, Verb
from engine.store.audit_asked import LOOKED
from engine.store.rows import Checked, OperationRow
from tests.tui import snap
from tests.tui.deeds import ANA, BOB, Deeds, busy
from tests.tui.stores import ALL_VERBS, DAY, HOUR, MINUTE, NOW, SECOND, SIZES, TZ, House, painted, story
from tui import keymap
from tui.present import actions as present
from tui.screens.actions import ActionsView
from tui.screens.actions_kept import SLICE
from tui.view import Copy, Open, Say

HOSTILE = "\x1b]0;gone\x07[red]x[/] \x1b[2J\u202e {markup} \r\n\t\x00 🇫🇷 end"


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


def view(h: House, arg: str | None = None, **more: Any) -> ActionsView:
    v = ActionsView(h.context(**more), arg)
    v.load()
    return v


def text(v: ActionsView, width: int = 120, height: int = 40) -> str:
    return "\n".join(painted(v, width, height))


def work(v: ActionsView, most: int = 1000) -> int:
    """All slices; how many there were."""
    n = 0
    while v.work():
        n += 1
        assert n < most
    return n


def go(v: ActionsView, words: str) -> None:
    """The cursor on the first row with these words."""
    v.act("move.top")
    for _ in range(v.length):
        line = next((s for s in painted(v, 200, 50) if s.startswith("▌")), "")
        if words in line[:120]:
            return
        v.act("move.down")
    raise AssertionError(f"no row with {words!r}")


def still(lines: Sequence[str]) -> list[str]:
    """Ids and hashes differ each time: as many signs of one kind."""
    out = [re.sub(r"\b01[0-9A-Z]{24}\b", "01" + "X" * 24, line) for line in lines]
    return [re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}(?:[0-9a-f]{4})?\b", lambda m: "#" * len(m[0]), line) for line in out]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(told: House, size: tuple[int, int]) -> None:
    snap.same(f"actions-{size[0]}x{size[1]}", still(painted(view(told), *size)))


@pytest.mark.parametrize("size", SIZES)
def test_snapshot_of_the_audit(told: House, size: tuple[int, int]) -> None:
    v = view(told, "audit")
    v.act("audit.verify")
    work(v)
    for _ in range(5):
        v.act("move.down")
    snap.same(f"actions-audit-{size[0]}x{size[1]}", still(painted(v, *size)))


def test_snapshot_of_one_action_whole(told: House) -> None:
    v = view(told)
    go(v, "stop            daily_sales r1")
    v.act("audit.detail")
    snap.same("actions-whole-80x24", still(painted(v, 80, 24)))


def test_in_ascii_nothing_but_ascii_is_left(told: House) -> None:
    for arg in (None, "audit"):
        assert all(line.isascii() for line in painted(view(told, arg, ascii=True), 120, 40))


@pytest.mark.parametrize("size", [(20, 5), (30, 8), (59, 15), (60, 16), (80, 10), (110, 20)])
def test_it_fits_everywhere(told: House, size: tuple[int, int]) -> None:
    for arg in (None, "audit"):
        v = view(told, arg)
        painted(v, *size)
        v.act("audit.detail")
        painted(v, *size)
        v.act("nav.back")
        v.act("copy.menu")
        painted(v, *size)


def test_the_first_row_is_the_answer(told: House) -> None:
    line = painted(view(told), 200, 50)[1]
    assert line.strip() == (
        "1 outcome unknown  a person must look · 1 under way · 1 backfill running · 1 backfill paused · 2 done today"
        " · 1 failed or refused today · 1 unproved today"
    )


def test_nothing_yet_says_what_would_stand_here(house: House) -> None:
    said = text(view(house))
    for words in (
        "Nothing is under way",
        "nothing was done today",
        "nobody has acted yet",
        "1 opens the Floor",
        "lists what can be done",
    ):
        assert words in said, words
    assert "no record yet" in text(view(house, "audit"))
    narrow = painted(view(house), 80, 24)
    assert next(r for r in narrow if "nobody has acted yet" in r).rstrip().endswith("proof"), "a whole sentence"


def test_without_an_engine_it_says_that_nobody_verifies(told: House) -> None:
    said = text(view(told, engine_alive=False, engine_silent_since=NOW - 21 * MINUTE))
    assert "engine silent since 05:31" in said
    assert "nobody verifies these now" in said
    assert "ldz_to_rdv_contracts r1" in said


def test_a_backfill_that_was_not_heard_of_for_long_is_drawn_stale(told: House) -> None:
    v = view(told)
    o = v.operations[0]
    cols = present.columns(120)
    fresh = present.operation_row(o, cols, TZ, NOW, here=False)
    assert not any("run-stale" in style for _, style in fresh)
    old = present.operation_row(o, cols, TZ, NOW + 5 * MINUTE, here=False)
    assert all("run-stale" in style for t, style in old if t.strip())


def test_each_key_of_the_help_means_something_here(told: House) -> None:
    for action, _ in keymap.active().reach(ActionsView.contexts):
        if action.id.startswith(("screen.", "move.", "nav.")) or action.id in ("app.help", "app.quit"):
            continue
        v = view(told)
        before = painted(v, 120, 40)
        assert v.act(action.id) or painted(v, 120, 40) != before, action.id


# --- under way ------------------------------------------------------------------------------------------------------


def test_what_nobody_knows_stands_first_with_how_to_settle_it(told: House) -> None:
    v = view(told)
    assert v.flying[0].must_look
    lines = painted(v, 120, 40)
    at = next(i for i, line in enumerate(lines) if "? unknown" in line)
    assert f"watchfloor settle {v.flying[0].id} done|not-done" in lines[at + 1]
    assert "✓" not in lines[at]
    v.act("copy.menu")
    copied = v.type("s")
    assert copied == (Copy(f"watchfloor settle {v.flying[0].id} done --reason ", "the command"),)


def test_an_unknown_that_is_still_asked_for_needs_nobody_yet(house: House) -> None:
    Deeds(house).did(state=ActionState.UNKNOWN, words="the answer was lost", open=True)
    said = text(view(house))
    assert "1 outcome unknown, being asked" in said
    assert "must look" not in said
    assert "settle it" not in said


def test_an_action_that_ends_moves_below_and_the_cursor_stays_on_it(house: House) -> None:
    d = Deeds(house)
    flying = d.did(ago=3 * HOUR, state=ActionState.VERIFYING)
    for n in range(80):
        d.did("pause", "local:fx_rates_probe", ago=2 * HOUR - n * SECOND)
    v = view(house)
    assert v.cursor == flying
    with house.tx() as tx:
        from engine.store import actions as rows

        rows.move(tx, flying, ActionState.DONE, "the run ended", ended=True)
    v.load()
    assert v.flying == []
    assert v.cursor == flying
    assert [a.id for a in v.done].index(flying) == len(v.done) - 1, "in its place by the time when it was asked for"
    assert "✓ done" in next(line for line in painted(v, 120, 40) if line.startswith("▌"))


def operation(**fields: Any) -> OperationRow:
    given: dict[str, Any] = {
        "source": "s", "environment": "prod", "id": "7", "pipeline": "s:p", "name": "p", "kind": "backfill", "state": State.RUNNING, "first": "2026-11-01",
        "last": "2026-11-10", "planned": 10, "done": 4, "failed": 1, "running": 1, "created": NOW - 50 * MINUTE, "ended": None, "who": None, "words": "",
        "seen": NOW, **fields,
    }  # fmt: skip
    return OperationRow(**given)


def test_the_end_of_a_backfill_is_only_said_where_it_can_be_reckoned() -> None:
    assert present.eta(operation(), NOW) == NOW + 50 * MINUTE
    for fields in (
        {"planned": None}, {"done": None}, {"created": None}, {"done": 2, "failed": 0}, {"state": State.HELD}, {"done": 9, "failed": 1},
    ):  # fmt: skip
        assert present.eta(operation(**fields), NOW) is None, fields


def test_what_a_source_does_not_tell_of_a_backfill_is_not_zero() -> None:
    said = "".join(
        c if isinstance(c, str) else "".join(t for t, _ in c)
        for c in present.progress(operation(planned=None, done=None, failed=None, running=None), 8, TZ, NOW)
    )
    assert said.split() == ["n/a", "?", "of", "?"]


def offering(house: House) -> ActionsView:
    """Backfills of a source that can pause and cancel them, and of one that cannot."""
    every = ALL_VERBS | {Verb.BACKFILL, Verb.BACKFILL_PAUSE, Verb.BACKFILL_RESUME, Verb.BACKFILL_CANCEL}
    house.source("af3", environment="test", protected=False, offers=every)
    house.source("af2", environment="test", offers=ALL_VERBS, why_not={"backfill-cancel": "Airflow 2 has no backfills"})
    for source in ("af3", "af2"):
        house.pipeline(source, "sales")
    d = Deeds(house)
    d.backfill("af3", id="a b/1", pipeline="af3:sales")
    d.backfill("af3", id="2", pipeline="af3:sales", state=State.HELD, first="2026-01-01")
    d.backfill("af2", id="3", pipeline="af2:sales", first="2026-02-01")
    d.did()
    return view(house)


def test_a_backfill_is_paused_resumed_and_cancelled_through_its_plan(house: House) -> None:
    v = offering(house)
    by = {o.id: f"{o.source} {o.id}" for o in v.operations}
    v.cursor = by["a b/1"]
    assert v.act("operation.pause") == (Open("plan", "backfill-pause af3:sales id=a%20b%2F1"),)
    assert v.act("operation.cancel") == (Open("plan", "backfill-cancel af3:sales id=a%20b%2F1"),)
    assert "p pause" in painted(v, 120, 40)[-1]
    v.cursor = by["2"]
    assert v.act("operation.pause") == (Open("plan", "backfill-resume af3:sales id=2"),)
    assert "p resume" in painted(v, 120, 40)[-1]
    v.cursor = by["3"]
    assert v.act("operation.cancel") == (Say("backfill-cancel sales: Airflow 2 has no backfills", "warn"),)
    v.cursor = v.done[0].id
    assert isinstance(v.act("operation.pause")[0], Say)


def test_a_backfill_that_was_asked_for_here_names_who(house: House) -> None:
    d = Deeds(house)
    d.did("backfill", "prod-airflow:daily_sales", ago=30 * MINUTE + 2 * SECOND, reason="five days were lost")
    d.backfill()
    d.backfill(id="8", created=house.now - 3 * HOUR, first="2026-01-01")
    v = view(house)
    rows = [line for line in painted(v, 120, 40) if "► running " in line and "━" in line and " backfill " in line]
    assert sorted(line.split("running")[1].split()[0] for line in rows) == ["?", "ana"]
    v.cursor = "prod-airflow 7"
    assert "asked for here by ana: five days were lost" in text(v)
    v.cursor = "prod-airflow 8"
    assert "by whom is not told" in text(v)


@pytest.mark.parametrize("screen", ["floor", "runs", "timeline", "layers", "run"])
def test_every_menu_lists_mark_and_backfill_with_why_not(house: House, screen: str) -> None:
    from tui import registry

    arg = "prod-airflow:ldz_to_rdv_contracts/r1" if screen == "run" else None
    v = registry.make(screen, house.context(), arg)
    v.load()
    painted(v, 120, 40)
    for _ in range(20 if screen != "run" else 0):
        if (v.about() or "").startswith("prod-airflow:"):
            break
        v.act("move.down")
    v.act("action.menu")
    rows = [line[1:].split() for line in painted(v, 120, 40) if "does not offer it" in line]
    for key, word in (("K", "mark"), ("B", "backfill")):
        assert any(row[0] == key and word in " ".join(row) for row in rows), (word, rows)


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


# --- what is hostile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_words_of_others_stay_words(house: House, size: tuple[int, int]) -> None:
    d = Deeds(house)
    d.did(
        reason=HOSTILE,
        words=HOSTILE,
        guards=[{"name": HOSTILE, "ok": None, "words": HOSTILE}],
        params={HOSTILE: HOSTILE},
        after={"word": HOSTILE, "words": HOSTILE, "key": HOSTILE},
    )
    d.did("stop", "s:%1B[2J/%1B]0;x", reason=HOSTILE, state=ActionState.UNKNOWN, words=HOSTILE)
    d.said(HOSTILE, key=HOSTILE, **{HOSTILE: {HOSTILE: [HOSTILE]}, "reason": HOSTILE})
    d.backfill(id=HOSTILE, words=HOSTILE, who=HOSTILE, first=HOSTILE[:10], last="x")
    for arg in (None, "audit"):
        v = view(house, arg)
        for _ in range(v.length):
            painted(v, *size)
            v.act("audit.detail")
            painted(v, *size)
            v.act("audit.detail")
            v.act("copy.menu")
            painted(v, *size)
            v.act("nav.back")
            v.act("move.down")


def test_bodies_that_are_no_objects_are_shown_as_nothing(house: House) -> None:
    d = busy(house)
    with house.tx() as tx:
        tx.db.execute("UPDATE audit SET body = '[1]' WHERE seq = 2")
        tx.db.execute('UPDATE audit SET body = \'{"calls": 3, "before": 4, "identity": []}\' WHERE seq = 3')
        tx.db.execute("UPDATE action SET plan = 'no json', before = '[]'")
    assert d is not None
    for arg in (None, "audit"):
        v = view(house, arg)
        for _ in range(v.length):
            painted(v, 120, 40)
            v.act("move.down")


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


# --- in the app -----------------------------------------------------------------------------------------------------


async def test_in_the_app_the_chain_is_followed_between_keys(house: House) -> None:
    import asyncio

    from tests.tui.test_app_screens import opened

    d = Deeds(house)
    for n in range(SLICE):
        d.did("pause", "local:fx_rates_probe", ago=DAY - n * SECOND)
    async with opened(house, "actions") as app:
        await app.pilot.press("v")
        v = app.stack[-1].view
        assert isinstance(v, ActionsView)
        for _ in range(400):
            if v.checked is not None and not v._checking:
                break
            await asyncio.sleep(0.01)
            await app.pilot.press("j")
        assert v.checked is not None
        assert (v.checked.seq, v.checked.broken) == (3 * SLICE, None)
        assert any("unbroken" in "".join(t for t, _ in line) for line in v.paint(120, 40))


async def test_in_the_app_a_backfill_is_filled_in_with_keys(house: House) -> None:
    from tests.tui.test_app_screens import opened

    house.source("af3", environment="test", protected=False, offers=ALL_VERBS | {Verb.BACKFILL})
    house.pipeline("af3", "sales")
    async with opened(house, "runs", None) as app:
        app._open("plan", "backfill af3:sales")
        house.clock.at += 1000
        for key in (*"2026-11-02", "tab", *"2026-11-06", "tab"):
            await app.pilot.press({"-": "minus"}.get(key, key))
        asked = [body for do, body in (s for s in app.link.seen if isinstance(s, tuple)) if do == "plan"]
        assert [b["params"]["to"] for b in asked] == ["2026-11-06"]
