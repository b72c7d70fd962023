"""The plan dialog: nothing is sent before all that is asked for is given; Esc is the only default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.model import State
from tests.tui.plan_parts import opened, reply, type_
from tests.tui.stores import SIZES, House, painted, story
from tui.view import Back, Copy, Request, Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_says_everything_on_every_size(house: House, width: int, height: int) -> None:
    text = "\n".join(painted(opened(house, reply()), width, height))
    for words in ("daily_sales", "running 22m", "it will", "Reason", "prod/daily_sales", "leave it running"):
        assert words in text, words
    assert "Enter stop works with reason and name" in text
    assert "? help" in text


def many(verb: str = "rerun-failed") -> dict[str, Any]:
    """A plan with more rows than 80×24 has: a long error, four calls, six guards."""
    call = {
        "method": "exec",
        "target": "/usr/bin/python3 work/flow.py load_fact --date 2026-11-20",
        "body": {"step": "load", "cwd": "/data"},
        "headers": {},
    }
    guards = [{"name": f"g{i}", "ok": True, "words": f"the guard number {i} says yes"} for i in range(6)]
    now = {"state": int(State.FAILED), "word": "failed", "words": "failed 5s ago · " + "a very long error " * 12}
    needs = {"armed": False, "reason": True, "typed": None, "key": "y"}
    return reply(verb=verb, protected=False, needs=needs, now=now, calls=[call] * 4, guards=guards)  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "word"), [("rerun-failed", "rerun"), ("rerun-from", "rerun"), ("stop", "stop"), ("pause", "pause")]
)
def test_at_80x24_now_effect_and_fields_stand_and_the_rest_scrolls(house: House, verb: str, word: str) -> None:
    v = opened(house, many(verb), verb)
    shown = painted(v, 80, 24)
    text = "\n".join(shown)
    for words in ("now ", "failed 5s ago", "it will", "set the run to failed", "6 hold", "Reason", "10 to go", f"y to {word} it", f"Enter {word} works when the reason is complete", "more rows PgDn PgUp"):  # fmt: skip
        assert words in text, words
    assert "…" not in next(line for line in shown if "Type" in line)
    assert "board_report" not in shown[21], "the frame has a lower edge"
    seen = text
    for _ in range(8):
        assert v.type("edit.pagedown") is None, "the field leaves the key to the keymap"
        v.act("dialog.more")
        seen += "\n".join(painted(v, 80, 24))
        assert "Reason" in seen[-24 * 81 :]
    for words in ("run terminal in two reads", "R rerun from load_fact", "board_report at risk"):
        assert words in seen, words
    v.act("dialog.less")
    assert "PgDn PgUp" in "\n".join(painted(v, 80, 24))


def test_at_120x40_nothing_is_left_out(house: House) -> None:
    text = "\n".join(painted(opened(house, many()), 120, 40))
    assert "more rows" not in text
    assert "the guard number 5 says yes" in text
    for line in text.splitlines():
        assert not line.rstrip().endswith("✓"), "a guard's mark stands beside its words"


def test_the_reason_is_edited_like_any_field(house: House) -> None:
    v = opened(house, reply())
    type_(v, "wrong fle")
    for key in ("left", "left"):
        v.type(f"edit.{key}")
    type_(v, "i")
    assert "wrong file" in "\n".join(painted(v, 120, 40))
    v.type("edit.ctrl+w")
    v.type("edit.end")
    type_(v, " came, right one at six")
    assert "le came, right one at six" in "\n".join(painted(v, 120, 40))


def test_it_is_ascii_where_only_ascii_can_be_shown(house: House) -> None:
    v = opened(house, reply())
    v.context.ascii = True
    assert "\n".join(painted(v, 120, 40)).isascii()


def test_a_long_call_wraps_and_is_never_cut(house: House) -> None:
    text = "".join("".join(t for t, _ in line) for line in opened(house, reply()).paint(200, 50))
    assert text.count("r" * 40) >= 2
    assert "****" in text


def test_nothing_goes_out_before_reason_and_name_are_complete(house: House) -> None:
    v = opened(house, reply())
    assert v.act("dialog.confirm") == ()
    type_(v, "too short")
    assert v.act("dialog.confirm") == ()
    type_(v, " now long")
    v.act("dialog.next")
    type_(v, "prod/daily_sale")
    assert v.act("dialog.confirm") == ()
    assert "1 to go" in "\n".join(painted(v, 120, 40))
    type_(v, "S")
    assert "differs" in "\n".join(painted(v, 120, 40))
    assert v.act("dialog.confirm") == ()
    v.type("edit.backspace")
    type_(v, "s")
    sent = v.act("dialog.confirm")
    assert isinstance(sent[0], Request)
    assert sent[0].do == "act"
    assert sent[0].body == {
        "plan": "01P",
        "nonce": "n1",
        "hash": "h1",
        "reason": "too short now long",
        "typed": "prod/daily_sales",
    }
    assert v.act("dialog.confirm") == ()  # a second Enter sends nothing


def test_the_first_half_second_swallows_keys(house: House) -> None:
    v = opened(house, reply(needs={"armed": False, "reason": False, "typed": None, "key": "enter"}), wait=100)
    assert v.act("dialog.confirm") == ()
    house.clock.at += 500
    assert v.act("dialog.confirm") != ()


def test_y_confirms_only_after_a_reason(house: House) -> None:
    v = opened(house, reply(protected=False, needs={"armed": False, "reason": True, "typed": None, "key": "y"}))
    type_(v, "yyyy")  # this is the reason's text, not a yes
    assert v.act("dialog.confirm") == ()
    type_(v, " wrong file came")
    v.act("dialog.confirm")
    sent = v.type("y")
    assert sent is not None
    assert isinstance(sent[0], Request)
    assert sent[0].do == "act"


def test_paste_is_refused_for_the_name(house: House) -> None:
    v = opened(house, reply())
    v.act("dialog.next")
    said = v.paste("prod/daily_sales")
    assert isinstance(said[0], Say)
    assert v.act("dialog.confirm") == ()


def test_blocked_has_no_field_and_enter_does_nothing(house: House) -> None:
    v = opened(house, reply(blocked="a freeze is on until 06:00"))
    text = "\n".join(painted(v, 120, 40))
    assert "a freeze is on until 06:00" in text
    assert "Reason" not in text
    assert v.type("x") is None
    assert v.act("dialog.confirm") == ()


def test_not_armed_offers_to_arm_and_plans_again(house: House) -> None:
    v = opened(house, reply(needs={"armed": True, "reason": True, "typed": "prod/daily_sales", "key": "typed"}))
    assert "not armed by you" in "\n".join(painted(v, 120, 40))
    arm = v.act("action.arm")
    assert arm == [Request("arm", {"environment": "prod"}, "arm")]
    again = v.answer("arm", {}, None)
    assert isinstance(again[0], Request)
    assert again[0].do == "plan"


def test_several_active_runs_are_offered_none_is_taken(house: House) -> None:
    v = opened(house, reply(candidates=["s:p/a", "s:p/b"], blocked="2 runs are active"))
    text = "\n".join(painted(v, 120, 40))
    assert "s:p/a" in text
    assert "on:cursor-bg" not in str(v.paint(120, 40)[10:30]), "none is chosen for the operator"
    said = v.act("dialog.confirm")
    assert isinstance(said[0], Say)
    v.act("dialog.next")
    v.act("dialog.next")
    asked = v.act("dialog.confirm")
    assert isinstance(asked[0], Request)
    assert asked[0].body["key"] == "s:p/b"


def test_a_void_plan_is_asked_again_and_said(house: House) -> None:
    v = opened(house, reply())
    effects = v.answer("act", None, {"code": "plan_void", "message": "was running → now failed", "hint": ""})
    assert [type(e) for e in effects] == [Say, Request]


@pytest.mark.parametrize(
    ("code", "message"), [("not_found", "no pipeline x"), ("unreachable", "no engine is running here")]
)
def test_a_refusal_is_a_sentence(house: House, code: str, message: str) -> None:
    v = opened(house, None)
    v.answer("plan 1", None, {"code": code, "message": message, "hint": "do this"})
    text = "\n".join(painted(v, 80, 24))
    assert message in text
    assert "do this" in text


def test_esc_closes_and_c_copies(house: House) -> None:
    v = opened(house, reply(needs={"armed": False, "reason": False, "typed": None, "key": "enter"}))
    assert v.act("dialog.cancel") == [Back()]
    assert v.act("dialog.copy") == [Copy("curl -X PATCH …", "the call, secrets masked")]


def test_a_start_may_name_its_business_date_and_is_planned_again_for_it(house: House) -> None:
    v = opened(
        house, reply(verb="start", needs={"armed": False, "reason": False, "typed": None, "key": "enter"}), verb="start"
    )
    type_(v, "2026-11-19")
    effects = v.act("dialog.confirm")
    assert isinstance(effects[0], Request)
    assert effects[0].body["business_date"] == "2026-11-19"
    v.answer(
        effects[0].tag,
        reply(verb="start", needs={"armed": False, "reason": False, "typed": None, "key": "enter"}),
        None,
    )
    sent = v.act("dialog.confirm")
    assert isinstance(sent[0], Request)
    assert sent[0].do == "act"


def test_hostile_words_of_a_server_stay_words(house: House) -> None:
    bad = "\x1b]0;x\x07[red]\x1b[2J\u202e"
    v = opened(house, reply(target=bad, effect=bad, proof=bad, blocked=bad))
    assert "\x1b" not in "\n".join(painted(v, 120, 40))


@pytest.mark.parametrize(("width", "height"), [(20, 5), (30, 7), (40, 10), (40, 12), (60, 16)])
def test_small_terminals_show_what_is_done_or_do_nothing(house: House, width: int, height: int) -> None:
    v = opened(house, many(), "rerun-failed")
    type_(v, "because of the keys")
    v.act("dialog.next")
    text = "\n".join(painted(v, width, height))
    if "too small to act" in text or height < 8:
        sent = v.type("y")
        assert sent is not None
        assert isinstance(sent[0], Say)
        painted(v, 120, 40)
        again = v.act("dialog.confirm")
        assert isinstance(again[0], Request)
    else:
        for words in ("Rerun what failed", "now", "Reason", "y to rerun it", "leave it as it is"):
            assert words in text, words


def test_words_torn_apart_on_a_small_screen_say_what_they_go_on_with(house: House) -> None:
    long = reply(now={**reply()["now"], "words": "running 22m · " + "word " * 60})
    text = "\n".join(painted(opened(house, long), 80, 24))
    assert "now …" in text


def test_an_end_that_nobody_knows_says_how_to_settle_it(house: House) -> None:
    from adapters.model import ActionState
    from tests.tui.deeds import Deeds

    made = Deeds(house).did(state=ActionState.UNKNOWN, words="the answer was lost")
    v = opened(house, reply(needs={"armed": False, "reason": False, "typed": None, "key": "enter"}))
    v.act("dialog.confirm")
    v.answer("act", {"action": made}, None)
    text = "\n".join(painted(v, 120, 40))
    assert "outcome unknown" in text
    assert f"watchfloor settle {made}" in text


@pytest.mark.parametrize("size", SIZES)
def test_a_refusal_is_seen_however_long_the_plan_is(house: House, size: tuple[int, int]) -> None:
    """The arming ran out while the reason was typed: Enter does nothing, and it must be said where one looks."""
    v = opened(house, many())
    v.act("dialog.more")
    v.act("dialog.more")
    v.answer("act", None, {"code": "not_armed", "message": "prod is protected and not armed by you", "hint": ""})
    text = "\n".join(painted(v, *size))
    assert "refused" in text
    assert "prod is protected and not armed by you" in text
