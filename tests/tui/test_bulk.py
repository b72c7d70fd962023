"""Bulk: one confirmation, then each row an action of its own; what goes wrong with one is not the others' business."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.model import ActionState, State
from tests.tui import snap
from tests.tui.bulk_parts import PROD, Desk, opened
from tests.tui.stores import MINUTE, SIZES, House, painted, story
from tui.present import bulk, lines
from tui.present.bulk import Stage
from tui.screens.bulk import WAIT_MS, BulkView
from tui.screens.floor import FloorView
from tui.view import Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[House]:
    """Four running pipelines of a protected source, two of an open one."""
    h = House(tmp_path)
    h.engine()
    h.source("prod-af", color="red")
    h.source("lab", environment="lab", protected=False)
    for source, n in (("prod-af", 4), ("lab", 2)):
        for i in range(n):
            h.pipeline(source, f"p{i}")
            h.run(source, f"p{i}", "r", State.RUNNING, started_ago=MINUTE)
    yield h
    h.close()


def confirmed(h: House, keys: list[str] = PROD, verb: str = "pause") -> Desk:
    desk = opened(h, keys, verb)
    desk.plans()
    desk.type("the night is moved")
    desk.press("dialog.next")
    desk.type(f"prod/{len(keys)} pipelines")
    desk.press("dialog.confirm")
    return desk


# --- the list of plans ------------------------------------------------------------------------------------------------


def test_plans_are_asked_a_few_at_a_time_and_may_come_in_any_order(small: House) -> None:
    desk = opened(small, [*PROD, "lab:p0", "lab:p1"])
    assert len(desk.asked) == 4
    assert "asking the engine what each would do, 6 to go" in "\n".join(painted(desk.view, 80, 24))
    desk.press("dialog.confirm")
    assert desk.said == ["6 are still being planned"]
    desk.plans(random.Random(3))
    assert [r.name for r in desk.view.items] == ["p0", "p1", "p2", "p3", "p0", "p1"]
    assert set(desk.stages.values()) == {Stage.READY}


def test_an_effect_is_never_cut_the_name_is(small: House) -> None:
    effect = "no new runs by the schedule from now on"
    rows = [
        bulk.Row(f"s:{name}", name, Stage.READY, plan={"effect": effect, "now": {"words": now}, "guards": guards})
        for name, now, guards in (
            ("finance_general_ledger_close", "running 12m", ()),
            ("daily", "ok", ()),
            ("load_rates", "running 1h 12m, longer than usual", ()),
            ("customer_360", "ok", ({"ok": None, "words": "a drain window begins in 12m"},)),
        )
    ]
    for room in (64, 76, 100, 180):
        name = bulk.name_cells(rows, room)
        shown = [lines.text(bulk.row_line(r, room, name)) for r in rows]
        assert all(effect in text for text in shown), room
        assert len({text.index(r.name[:2]) for r, text in zip(rows, shown, strict=True)}) == 1, "in one column"
    assert "finan…lose " in lines.text(bulk.row_line(rows[0], 76, bulk.name_cells(rows, 76)))
    assert "finance_general_ledger_close" in lines.text(bulk.row_line(rows[0], 180, bulk.name_cells(rows, 180)))


@pytest.mark.parametrize("size", SIZES)
def test_each_says_what_it_will_do_or_why_it_cannot(small: House, size: tuple[int, int]) -> None:
    desk = opened(small, [*PROD, "lab:p0", "lab:p1"])
    desk.plans(
        p1={"blocked": "drain window until 06:00 blocks actions"},
        p2={"code": "unreachable", "message": "prod-af did not answer", "hint": "see Sources"},
        p3={"candidates": ["prod-af:p3/a", "prod-af:p3/b"], "plan": "", "blocked": "2 runs"},
    )
    lines = painted(desk.view, *size)
    text = "\n".join(lines)
    assert "2 will" in text
    assert "4 cannot" in text
    assert "prod 3 protected" in text
    assert "lab 2" in text
    for words in ("drain window", "prod-af did not", "2 runs are active", "no new runs"):
        assert words in text, words
    assert "prod+lab/2 pipelines" in text, "it names every environment that is touched"
    snap.same(f"bulk-{size[0]}x{size[1]}", lines)


def test_a_hundred_rows_scroll_and_nothing_that_confirms_is_pushed_out(small: House) -> None:
    desk = opened(small, [f"lab:job-{i}" for i in range(100)])
    desk.plans()
    shown = "\n".join(painted(desk.view, 80, 24))
    assert "100 pipelines" in shown
    assert "pause 100" in shown
    seen = shown
    for _ in range(18):
        desk.press("dialog.more")
        seen += "\n".join(painted(desk.view, 80, 24))
    assert all(f"job-{i} " in seen for i in range(100))


def test_names_from_outside_steer_nothing(small: House) -> None:
    desk = opened(small, ["lab:p0", "lab:p1"])
    bad = "\x1b[31m[red]\u202e\x07 " + "w" * 300
    desk.plans(
        p0={"target": bad, "source": bad, "effect": bad, "guards": [{"ok": None, "words": bad}]}, p1={"blocked": bad}
    )
    for size in SIZES:
        painted(desk.view, *size)


def test_two_protected_environments_are_refused(small: House) -> None:
    desk = opened(small, PROD[:2])
    desk.plans(p1={"environment": "dr", "needs": {"armed": False, "reason": True, "typed": "dr/p1", "key": "typed"}})
    assert "dr and prod are protected: one environment at a time" in "\n".join(painted(desk.view, 120, 40))
    desk.type("any reason at all")
    desk.press("dialog.confirm")
    assert desk.asked == []


def test_an_environment_that_is_not_armed_is_armed_once_for_all(small: House) -> None:
    desk = opened(small, PROD)
    unarmed = {"needs": {"armed": True, "reason": True, "typed": "prod/x", "key": "typed"}}
    desk.plans(**{f"p{i}": unarmed for i in range(4)})
    assert "prod is protected and not armed by you" in "\n".join(painted(desk.view, 80, 24))
    desk.press("action.arm")
    (request,) = desk.asked
    assert (request.do, request.body) == ("arm", {"environment": "prod"})
    desk.answer(request, {"seconds": 60})
    assert "Type      prod/4 pipelines" in "\n".join(painted(desk.view, 80, 24))


# --- confirming -------------------------------------------------------------------------------------------------------


def test_nothing_goes_out_before_reason_and_phrase_are_complete(small: House) -> None:
    desk = opened(small, PROD)
    desk.plans()
    desk.press("dialog.confirm")
    desk.type("too short")
    desk.press("dialog.confirm")
    assert desk.asked == []
    desk.type(" a reason")
    desk.press("dialog.next")
    for wrong in ("prod/4 pipeline", "prod/3 pipelines", "PROD/4 pipelines", "prod/4 pipelines "):
        desk.view.type("edit.ctrl+u")
        desk.type(wrong)
        desk.press("dialog.confirm")
        assert desk.asked == [], wrong
    (said,) = desk.view.paste("prod/4 pipelines")
    assert isinstance(said, Say)
    desk.view.type("edit.ctrl+u")
    desk.type("prod/4 pipelines")
    desk.press("dialog.confirm")
    body = desk.act.body
    assert (body["plan"], body["nonce"], body["typed"]) == ("P-prod-af:p0", "N-prod-af:p0", "prod/p0")
    assert body["reason"] == "too short a reason · in bulk, typed prod/4 pipelines", "the record says what was typed"


def test_keys_of_the_first_half_second_are_swallowed(small: House) -> None:
    view = BulkView(small.context(), "start lab:p0")
    view.load()
    desk = Desk(small, view)
    desk.take(view.begin())
    desk.plans(p0={"needs": {"armed": False, "reason": False, "typed": None, "key": "enter"}})
    desk.press("dialog.confirm")
    assert desk.asked == []
    small.clock.at += 600
    desk.press("dialog.confirm")
    assert desk.act.body["reason"] == ""


def test_one_after_the_other_each_its_own_action(small: House) -> None:
    desk = confirmed(small)
    for i, key in enumerate(PROD):
        assert len([r for r in desk.asked if r.do == "act"]) == 1, "never two at once"
        text = "\n".join(painted(desk.view, 80, 24))
        assert "stops after" in text
        if i:
            assert f"{i} done" in text
        assert desk.done() == key
    assert desk.acted == PROD
    assert desk.view.ended
    desk.press("dialog.cancel")
    assert not desk.closed, "an Esc that was meant to stop it does not take the result away"
    small.clock.at += 600
    assert "4 done" in "\n".join(painted(desk.view, 80, 24))
    assert "leave" not in "\n".join(painted(desk.view, 80, 24))
    desk.press("dialog.confirm")
    assert desk.closed


def test_what_was_done_needs_no_mark_any_more(small: House) -> None:
    desk = confirmed(small)
    under = desk.view.under
    assert isinstance(under, FloorView)
    under.marks.names = {k: k for k in PROD}
    desk.done()
    desk.done(ActionState.REFUSED, "no")
    desk.press("dialog.cancel")
    desk.done()
    desk.press("dialog.cancel")
    assert desk.closed
    assert list(under.marks.names) == [PROD[3]], "what was not asked for is still marked"


def test_esc_stops_between_two_rows_and_never_within_one(small: House) -> None:
    desk = confirmed(small)
    desk.press("dialog.cancel")
    assert desk.said == ["stops after this one"]
    assert not desk.closed
    desk.press("dialog.cancel")
    assert not desk.closed, "the one that is being done is waited for"
    desk.done()
    assert desk.acted == PROD[:1]
    assert list(desk.stages.values()) == [Stage.DONE, Stage.LEFT, Stage.LEFT, Stage.LEFT]
    desk.press("dialog.cancel")
    assert desk.closed


def test_a_row_whose_world_moved_is_void_and_the_others_are_not(small: House) -> None:
    desk = confirmed(small)
    desk.done()
    desk.answer(
        desk.act,
        None,
        {"code": "plan_void", "message": "was running → now failed; nothing was sent", "hint": "look again"},
    )
    assert desk.done() == PROD[2]
    assert desk.done() == PROD[3]
    assert list(desk.stages.values()) == [Stage.DONE, Stage.VOID, Stage.DONE, Stage.DONE]
    assert "was running → now failed" in "\n".join(painted(desk.view, 120, 40))


def test_three_in_a_row_that_went_wrong_hold_the_rest(small: House) -> None:
    desk = confirmed(small)
    desk.done(ActionState.FAILED_NOT_EXECUTED, "403")
    desk.answer(
        desk.act, None, {"code": "refused", "message": "another action is in flight; nothing was sent", "hint": ""}
    )
    desk.done(ActionState.UNKNOWN, "the answer was lost")
    assert desk.asked == []
    text = "\n".join(painted(desk.view, 80, 24))
    assert "3 in a row went wrong" in text
    assert "1 unknown" in text
    desk.press("dialog.confirm")
    assert desk.done() == PROD[3]
    assert desk.view.ended
    desk.move(PROD[2], ActionState.RECONCILED_DONE, "it is paused after all")
    assert desk.stages[PROD[2]] is Stage.DONE, "what was unknown is looked after to its end"


def test_leaving_where_it_is_held_leaves_the_rest(small: House) -> None:
    desk = confirmed(small)
    for _ in range(3):
        desk.done(ActionState.FAILED_EXECUTED, "the world says no")
    desk.press("dialog.cancel")
    assert desk.stages[PROD[3]] is Stage.LEFT
    assert not desk.closed
    assert desk.said[-1] == "left: 1 pipeline not asked for"


def test_a_long_proof_lets_the_next_row_begin_and_is_looked_after(small: House) -> None:
    desk = confirmed(small)
    desk.done(ActionState.VERIFYING, "sent, read once")
    assert desk.asked == [], "the next one waits"
    small.clock.at += WAIT_MS
    desk.tick()
    assert desk.stages[PROD[0]] is Stage.CHECKING
    assert desk.act.body["plan"] == "P-prod-af:p1"
    desk.move(PROD[0], ActionState.VERIFY_TIMEOUT, "still scheduled after 5m")
    assert desk.stages[PROD[0]] is Stage.UNPROVED


@pytest.mark.parametrize("code", ["no_engine", "bug", "unknown"])
def test_an_engine_that_dies_between_rows_is_asked_again_by_the_same_nonce(small: House, code: str) -> None:
    """A mistake of the engine's own after it wrote the intent tells as little as its death."""
    desk = confirmed(small)
    desk.done()
    lost = desk.act
    gone = {"code": code, "message": "the engine went away before it answered", "hint": ""}
    desk.record(PROD[1], "N-prod-af:p1", ActionState.DONE, "paused")  # it was done, only the answer was lost
    desk.answer(lost, None, gone)
    assert desk.asked == []
    assert "no word of p1" in "\n".join(painted(desk.view, 120, 40))
    desk.press("dialog.confirm")
    again = desk.act
    assert again.body == lost.body, "the same nonce: the engine gives the same action"
    desk.answer(again, {"action": desk.nonces["N-prod-af:p1"], "state": 3, "words": "paused"})
    assert desk.stages[PROD[1]] is Stage.DONE
    assert desk.done() == PROD[2]
    assert desk.acted == PROD[:3]


def test_where_nobody_watches_any_more_nothing_is_asked(small: House) -> None:
    desk = confirmed(small)
    desk.view.context.engine_alive = False
    desk.done()
    assert desk.asked == []
    assert "nobody is watching any more" in "\n".join(painted(desk.view, 120, 40))
    desk.press("dialog.confirm")
    assert desk.asked == []
    desk.view.context.engine_alive = True
    desk.press("dialog.confirm")
    assert desk.done() == PROD[1]


def test_arming_that_ran_out_holds_and_goes_on_with_the_same_row(small: House) -> None:
    desk = confirmed(small)
    desk.done()
    desk.answer(
        desk.act,
        None,
        {
            "code": "refused",
            "message": "prod is protected and not armed by you; nothing was sent",
            "hint": "arm prod first",
        },
    )
    text = "\n".join(painted(desk.view, 120, 40))
    assert "prod is not armed any more: A arms it" in text
    desk.press("action.arm")
    (request,) = desk.asked
    assert request.do == "arm"
    desk.answer(request, {"seconds": 60})
    desk.press("dialog.confirm")
    assert desk.done() == PROD[1]


def test_answers_that_come_late_change_nothing(small: House) -> None:
    desk = confirmed(small)
    first = desk.act
    desk.done()
    before = dict(desk.stages)
    desk.take(desk.view.answer(first.tag, None, {"code": "refused", "message": "late", "hint": ""}))
    desk.take(desk.view.answer("plan:0", None, {"code": "bug", "message": "late", "hint": ""}))
    desk.take(desk.view.answer("act:99", {"action": "A9"}, None))
    assert desk.stages == before


def test_alerts_are_taken_in_bulk_without_a_plan(house: House) -> None:
    house.alert("8B", "local:fx_rates_probe", ago=MINUTE)
    keys = ["prod-airflow:ldz_to_rdv_contracts", "local:fx_rates_probe", "local:fx_rates_probe/r9", "local:held_load"]
    desk = opened(house, keys, "ack")
    assert desk.asked == []
    text = "\n".join(painted(desk.view, 120, 40))
    assert "it has no open alert" in text
    assert "the same alert as a row above" in text
    desk.press("dialog.confirm")
    taken = []
    while desk.asked:
        (request,) = desk.asked
        taken.append(request.body["alert"])
        desk.answer(request, {})
    assert taken == ["7K2F", "8B"]
    assert desk.view.ended


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24)])
def test_too_small_to_read_is_too_small_to_confirm(small: House, size: tuple[int, int]) -> None:
    desk = opened(small, PROD)
    desk.plans()
    text = "\n".join(painted(desk.view, *size))
    desk.type("a reason of length")
    desk.press("dialog.next")
    desk.type("prod/4 pipelines")
    desk.press("dialog.confirm")
    assert bool(desk.asked) == ("too small" not in text)


def test_it_is_ascii_where_only_ascii_can_be_shown(small: House) -> None:
    desk = confirmed(small)
    desk.view.context.ascii = True
    assert "\n".join(painted(desk.view, 120, 40)).isascii()


def test_the_menu_of_actions_names_what_is_marked(tmp_path: Path) -> None:
    h = House(tmp_path)
    h.engine()
    h.source("s", protected=False)
    for name in ("one", "two", "three"):
        h.pipeline("s", name)
    view = FloorView(h.context(read_only=False))
    view.load()
    view.act("action.menu")
    assert view.menu is not None
    assert view.menu.note.startswith("on ")
    assert "marked" not in view.menu.note
    view.act("nav.back")
    view.act("list.mark")
    view.act("move.down")
    view.act("list.mark")
    view.act("action.menu")
    assert view.menu is not None
    assert view.menu.note == "on 2 marked pipelines · one plan for all, and it asks"
    h.close()
