"""What the plan dialog asks for before there is a plan: which state, which dates, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui import snap
from tests.tui.plan_parts import KEY, reply, type_
from tests.tui.stores import SIZES, House, painted, story
from tui.screens.plan import PlanView
from tui.screens.plan_form import days_words
from tui.view import Request, Say


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


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
