"""The plan dialog: nothing is sent before all that is asked for is given; Esc is the only default."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model import State
from tests.tui import snap
from tests.tui.stores import SIZES, House, painted, story
from tui.screens.floor import FloorView
from tui.screens.plan import PlanView
from tui.screens.plan_form import days_words
from tui.view import Back, Copy, Request, Say

KEY = "prod-airflow:daily_sales/r1"


def reply(**more: Any) -> dict[str, Any]:
    return {
        "plan": "01P", "nonce": "n1", "hash": "h1", "expires": 0, "verb": "stop", "class": "disruptive", "key": KEY, "name": "prod/daily_sales",
        "environment": "prod", "color": "red", "protected": True, "source": "prod-airflow", "target": "daily_sales", "run": "r1",
        "now": {"state": int(State.RUNNING), "word": "running", "native": "running", "since": 0, "attempt": 1, "read_at": None, "words": "running 22m · step load_fact"},
        "effect": "set the run to failed; load_fact gets TERM", "so": "board_report at risk", "proof": "run terminal in two reads within 5m",
        "undo": "R rerun from load_fact", "note": "", "copy": "curl -X PATCH …",
        "calls": [{"method": "PATCH", "target": "https://airflow.bank/api/v2/dags/daily_sales/dagRuns/" + "r" * 120, "body": {"state": "failed"}, "headers": {"Authorization": "Bearer ****"}}],
        "guards": [{"name": "armed", "ok": True, "words": "armed"}, {"name": "window", "ok": None, "words": "deadline in 8m"}],
        "blocked": None, "needs": {"armed": False, "reason": True, "typed": "prod/daily_sales", "key": "typed"}, "candidates": [], **more,
    }  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


def opened(h: House, plan: dict[str, Any] | None, verb: str = "stop", wait: int = 600) -> PlanView:
    v = PlanView(h.context(), f"{verb} {KEY}")
    floor = FloorView(v.context)
    floor.load()
    v.under = floor
    v.load()
    asked = v.begin()
    assert isinstance(asked[0], Request)
    assert asked[0].body == {"verb": verb, "key": KEY}
    if plan is not None:
        assert v.answer(asked[0].tag, plan, None) == ()
    h.clock.at += wait
    return v


def type_(v: PlanView, text: str) -> list[Any]:
    out: list[Any] = []
    for char in text:
        out += v.type(char) or ()
    return out


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


# --- what is asked before there is a plan ----------------------------------------------------------------------------


def asking(h: House, arg: str, wait: int = 600) -> PlanView:
    """A dialog of a verb that asks for something first: nothing is asked of the engine yet."""
    v = PlanView(h.context(), arg)
    v.load()
    assert v.begin() == ()
    h.clock.at += wait
    return v


FILL = {"protected": False, "needs": {"armed": False, "reason": True, "typed": None, "key": "y"}}


def asked(effects: Any) -> dict[str, Any]:
    found = [e for e in effects if isinstance(e, Request) and e.do == "plan"]
    assert len(found) == 1, effects
    return found[0].body


@pytest.mark.parametrize("size", SIZES)
def test_a_mark_asks_which_and_has_no_default(house: House, size: tuple[int, int]) -> None:
    v = asking(house, f"mark {KEY}")
    text = "\n".join(painted(v, *size))
    assert "Mark as" in text
    assert "nothing is chosen yet" in text
    assert "[success]" not in text
    assert "[failed]" not in text
    assert v.act("dialog.confirm") == ()
    assert asked(v.type("f")) == {"verb": "mark", "key": KEY, "params": {"as": "failed"}}
    assert "[failed]" in "\n".join(painted(v, *size))
    assert v.answer("plan 1", reply(verb="mark", params={"as": "failed"}, **FILL), None) == ()
    text = "\n".join(painted(v, *size))
    for words in ("[failed]", "Reason", "y to mark it", "it will"):
        assert words in text, words


def test_a_mark_is_confirmed_only_for_the_word_that_was_planned(house: House) -> None:
    v = asking(house, f"mark {KEY}")
    v.type("s")
    v.answer("plan 1", reply(verb="mark", **FILL), None)
    v.act("dialog.next")
    type_(v, "loaded by hand at six")
    v.act("dialog.prev")
    assert asked(v.type("edit.right"))["params"] == {"as": "failed"}
    v.act("dialog.next")
    v.act("dialog.next")
    assert not [e for e in v.type("y") or () if isinstance(e, Request)], "the plan that is shown is of the other word"
    assert "asking" in "\n".join(painted(v, 120, 40)) or "shows the plan" in "\n".join(painted(v, 120, 40))
    v.answer("plan 1", reply(verb="mark", **FILL), None)  # a late answer to the first question
    assert not v._planned or v.plan is not None
    v.answer("plan 2", reply(verb="mark", nonce="n2", hash="h2", **FILL), None)
    sent = v.act("dialog.confirm")
    assert isinstance(sent[0], Request)
    assert (sent[0].do, sent[0].body["nonce"], sent[0].body["reason"]) == ("act", "n2", "loaded by hand at six")


def test_a_late_answer_to_an_earlier_question_is_dropped(house: House) -> None:
    v = asking(house, f"mark {KEY}")
    v.type("s")
    v.type("f")
    v.answer("plan 1", reply(verb="mark", effect="the run is declared success", **FILL), None)
    assert v.plan is None
    v.answer("plan 2", reply(verb="mark", effect="the run is declared failed", **FILL), None)
    assert "declared failed" in "\n".join(painted(v, 120, 40))


def test_a_mark_on_a_step_can_mean_its_run(house: House) -> None:
    v = asking(house, f"mark {KEY}#load")
    text = "\n".join(painted(v, 120, 40))
    assert "[this step]" in text
    assert "the whole run" in text
    assert asked(v.type("s"))["key"] == f"{KEY}#load"
    v.act("dialog.next")
    assert asked(v.type("edit.right"))["key"] == KEY


def test_a_long_run_id_wraps_in_the_title(house: House) -> None:
    long = "backfill__2026-11-01T03%3A00%3A00Z__" + "x" * 70
    v = asking(house, f"mark prod-airflow:daily_sales/{long}#load")
    rows = painted(v, 80, 24)
    assert "Mark a step of daily_sales" in "\n".join(rows)
    assert "".join(row[4:-4].strip() for row in rows).count("x" * 70) == 1
    assert "…" not in "\n".join(rows[:-1])


@pytest.mark.parametrize("size", SIZES)
def test_a_backfill_asks_for_its_dates_and_shows_those_of_the_dry_run(house: House, size: tuple[int, int]) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales")
    text = "\n".join(painted(v, *size))
    for words in ("From", "To", "[none]", "[oldest first]", "At once", "when these are given", "no backfill"):
        assert words in text, words
    type_(v, "2026-11-02")
    assert v.act("dialog.next") == ()
    type_(v, "2026-11-15")
    assert "14 days, 10 of them Mon–Fri" in "\n".join(painted(v, *size))
    body = asked(v.act("dialog.next"))
    assert body == {
        "verb": "backfill", "key": "prod-airflow:daily_sales",
        "params": {"from": "2026-11-02", "to": "2026-11-15", "reprocess": "none", "backwards": False},
    }  # fmt: skip
    made = reply(
        verb="backfill", run=None, effect="14 runs of daily_sales", note="2026-11-02 to 2026-11-15; 1 at a time", **FILL
    )
    v.answer("plan 1", made, None)
    text = "\n".join(painted(v, *size))
    for words in ("14 runs of daily_sales", "Reason", "Backfill daily_sales"):
        assert words in text, words
    if size != (80, 24):
        assert "2026-11-02 to 2026-11-15; 1 at a time" in text
    assert asked(v.type("f"))["params"]["reprocess"] == "failed"
    v.act("dialog.next")
    type_(v, "3x")
    assert asked(v.act("dialog.next"))["params"]["max_active"] == 3
    assert asked(v.type("n"))["params"]["backwards"] is True


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-13-01", "2026-11-15", "2026-13-01 is not a date: write it like 2026-11-20"),
        ("2026-11-15", "2026-11-02", "2026-11-02 is before 2026-11-15"),
        ("2006-11-15", "2026-11-02", "more than ten years is not meant"),
        ("20261115", "2026-11-20", "20261115 is not a date"),
    ],
)
def test_dates_that_cannot_be_meant_are_a_sentence_and_nothing_is_asked(
    house: House, first: str, last: str, words: str
) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales")
    type_(v, first)
    assert v.act("dialog.next") == ()
    type_(v, last)
    said = v.act("dialog.confirm")
    assert [type(e) for e in said] == [Say]
    assert words in said[0].text  # type: ignore[union-attr]
    assert words in "\n".join(painted(v, 120, 40))


def test_letters_in_a_date_stay_keys_of_the_dialog(house: House) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales from=2026-11-02 to=2026-11-03".replace("to=2026-11-03", "to="))
    v.act("dialog.next")
    type_(v, "2026-11-03")
    v.act("dialog.confirm")
    armed = {"armed": True, "reason": True, "typed": "prod/daily_sales", "key": "typed"}
    v.answer("plan 1", reply(verb="backfill", needs=armed), None)
    assert "not armed by you" in "\n".join(painted(v, 120, 40))
    assert v.type("A") is None, "the key arms"
    assert v.act("action.arm") == [Request("arm", {"environment": "prod"}, "arm")]
    assert asked(v.answer("arm", {}, None))["params"]["to"] == "2026-11-03"


def test_what_the_source_refuses_can_be_put_right(house: House) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales")
    type_(v, "2026-11-02")
    v.act("dialog.next")
    type_(v, "2026-11-03")
    v.act("dialog.confirm")
    v.answer("plan 1", reply(verb="backfill", blocked="nothing to do: each date has its run", **FILL), None)
    text = "\n".join(painted(v, 120, 40))
    assert "nothing to do: each date has its run" in text
    assert "Reason" not in text
    assert v.act("dialog.confirm") == ()
    v.type("edit.backspace")
    type_(v, "9")
    assert asked(v.act("dialog.confirm"))["params"]["to"] == "2026-11-09"
    v.answer("plan 2", None, {"code": "unreachable", "message": "af: no answer; nothing was sent", "hint": ""})
    text = "\n".join(painted(v, 120, 40))
    assert "no answer" in text
    assert "2026-11-09" in text, "what was typed is not lost"
    assert asked(v.act("dialog.confirm"))["params"]["to"] == "2026-11-09"


def test_a_backfill_under_way_is_cancelled_by_its_number(house: House) -> None:
    v = PlanView(house.context(), "backfill-cancel prod-airflow:daily_sales id=a%20b%2F1")
    v.load()
    assert asked(v.begin()) == {"verb": "backfill-cancel", "key": "prod-airflow:daily_sales", "params": {"id": "a b/1"}}
    house.clock.at += 600
    v.answer("plan 1", reply(verb="backfill-cancel", run=None, params={"id": "a b/1"}, **FILL), None)
    text = "\n".join(painted(v, 120, 40))
    for words in ("Cancel the backfill of daily_sales", "number a b/1", "y to cancel it", "let it go on"):
        assert words in text, words


def test_a_date_can_be_pasted_the_name_cannot(house: House) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales")
    assert v.paste(" 2026-11-02\n") == ()
    assert "2026-11-02" in "\n".join(painted(v, 120, 40))


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


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-11-02", "2026-11-02", "1 day"), ("2026-11-07", "2026-11-07", "1 day, on a weekend"), ("2026-11-06", "2026-11-09", "4 days, 2 of them Mon–Fri"),
        ("2026-01-01", "2026-12-31", "365 days, 261 of them Mon–Fri"), ("2024-02-28", "2024-03-01", "3 days, 3 of them Mon–Fri"),
    ],
)  # fmt: skip
def test_days_are_counted_with_both_ends(first: str, last: str, said: str) -> None:
    assert days_words(date.fromisoformat(first), date.fromisoformat(last)) == said


@pytest.mark.parametrize("size", SIZES)
def test_snapshots_of_what_is_asked(house: House, size: tuple[int, int]) -> None:
    width, height = size
    v = asking(house, f"mark {KEY}#load")
    snap.same(f"plan-mark-{width}x{height}", painted(v, *size))
    v = asking(house, "backfill prod-airflow:daily_sales")
    type_(v, "2026-11-02")
    v.act("dialog.next")
    type_(v, "2026-11-15")
    v.act("dialog.next")
    typed = {"protected": True, "needs": {"armed": False, "reason": True, "typed": "prod/daily_sales", "key": "typed"}}
    made = reply(verb="backfill", run=None, effect="14 runs of daily_sales", note="2026-11-02 to 2026-11-15", **typed)
    v.answer("plan 1", made, None)
    snap.same(f"plan-backfill-{width}x{height}", painted(v, *size))


@given(first=st.dates(min_value=date(2000, 1, 1), max_value=date(2040, 1, 1)), n=st.integers(0, 900))
def test_working_days_are_those_that_one_counts(first: date, n: int) -> None:
    days = [first + timedelta(days=i) for i in range(n + 1)]
    working = sum(d.weekday() < 5 for d in days)
    said = days_words(days[0], days[-1])
    assert said == (
        f"{n + 1:,} days, {working:,} of them Mon–Fri" if n else "1 day" if working else "1 day, on a weekend"
    )


@pytest.mark.parametrize("size", [(60, 16), (70, 20), (80, 24)])
def test_where_there_is_little_room_a_backfill_still_says_what_it_will_do(house: House, size: tuple[int, int]) -> None:
    v = asking(house, "backfill prod-airflow:daily_sales")
    type_(v, "2026-11-02")
    v.act("dialog.next")
    type_(v, "2026-11-15")
    v.act("dialog.next")
    v.answer("plan 1", reply(verb="backfill", run=None, effect="14 runs of daily_sales", **FILL), None)
    for _ in range(len(v._fields)):
        text = "\n".join(painted(v, *size))
        assert "14 runs of daily_sales" in text
        assert "2026-11-15" in text
        assert "Reason" in text
        v.act("dialog.next")
    assert asked(v.type("f"))["params"]["reprocess"] == "failed"
    v.act("dialog.next")
    assert "[failed]" in "\n".join(painted(v, *size)), "what is not as usual stays on the screen"


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
