"""The plan dialog asks for what a source declares that a verb may be given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tui.plan_parts import reply, type_
from tests.tui.stores import SIZES, House, painted, story
from tui.screens.plan import PlanView
from tui.view import Request

KEY = "drv:daily"


def ask(name: str, **more: Any) -> dict[str, Any]:
    base = {
        "name": name,
        "type": "string",
        "default": None,
        "choices": [],
        "required": False,
        "means": "",
        "words": "text",
    }
    return base | more


ASKS = [
    ask("concurrency", type="int", default="3", words="whole number, usually 1 to 5, only 1 to 10"),
    ask("mode", type="choice", choices=["fast", "safe"], words="fast or safe"),
    ask("full", type="flag", words="true or false"),
    ask("label"),
    ask("reason", words="a name of the dialog's own"),
]
NEEDS = {"armed": False, "reason": False, "typed": None, "key": "enter"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    h = story(tmp_path)
    yield h
    h.close()


def plan(**more: Any) -> dict[str, Any]:
    return reply(verb="start", key=KEY, run=None, protected=False, needs=NEEDS, asks=ASKS, **more)


def opened(h: House) -> PlanView:
    v = PlanView(h.context(), f"start {KEY}")
    v.load()
    (asked,) = v.begin()
    assert isinstance(asked, Request)
    assert asked.body == {"verb": "start", "key": KEY}
    assert v.answer(asked.tag, plan(), None) == (), "defaults are the source's own: nothing is asked again"
    h.clock.at += 600
    return v


def shown(v: PlanView, width: int = 120, height: int = 50) -> str:
    return "\n".join(painted(v, width, height))


def test_fields_are_there_with_their_defaults(house: House) -> None:
    text = shown(opened(house))
    for words in ("Concurre…", "concurrency: whole number, usually 1 to 5", "Mode", "fast", "Full", "Label", "Date"):
        assert words in text, words
    assert "a name of the dialog's own" not in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_on_every_size(house: House, width: int, height: int) -> None:
    assert "Date" in shown(opened(house), width, height)


def test_what_is_given_is_planned_again_and_only_that_is_confirmed(house: House) -> None:
    v = opened(house)
    v.act("dialog.next")
    type_(v, "x")  # a letter is no number
    v.type("edit.backspace")
    type_(v, "8")
    (asked,) = v.act("dialog.next")
    assert isinstance(asked, Request)
    assert asked.body == {"verb": "start", "key": KEY, "params": {"concurrency": "8"}}
    assert v.answer(asked.tag, plan(blocked="concurrency = 8: never"), None) == ()
    assert "concurrency = 8: never" in shown(v)
    (asked,) = v.type("edit.right") or ()  # a choice is planned at once
    assert isinstance(asked, Request)
    assert asked.body is not None
    assert asked.body["params"] == {"concurrency": "8", "mode": "fast"}
    v.answer(asked.tag, plan(), None)
    v.act("dialog.next")
    (asked,) = type_(v, "t")
    assert asked.body["params"] == {"concurrency": "8", "mode": "fast", "full": "true"}
    v.answer(asked.tag, plan(), None)
    v.act("dialog.next")
    type_(v, "Ac?")
    (asked, _) = v.act("dialog.confirm")
    assert asked.do == "plan", "what was typed since is planned before anything is sent"
    assert asked.body["params"]["label"] == "Ac?"
    v.answer(asked.tag, plan(), None)
    (sent,) = v.act("dialog.confirm")
    assert isinstance(sent, Request)
    assert sent.do == "act"


def test_a_backfill_asks_for_what_the_source_takes_and_not_for_what_others_do(house: House) -> None:
    v = PlanView(house.context(), f"backfill {KEY} from=2026-11-01 to=2026-11-14")
    v.load()
    (asked,) = v.begin()
    assert isinstance(asked, Request)
    assert asked.body is not None
    assert asked.body["params"]["reprocess"] == "none"
    asks = [ask("from", type="date", required=True), ask("to", type="date", required=True), ASKS[0]]
    answer = plan(blocked="backfill has no parameter 'backwards'") | {"asks": asks, "verb": "backfill"}
    (again,) = v.answer(asked.tag, answer, None)
    assert isinstance(again, Request)
    assert again.body == {"verb": "backfill", "key": KEY, "params": {"from": "2026-11-01", "to": "2026-11-14"}}
    assert v.answer(again.tag, answer | {"blocked": None}, None) == ()
    text = shown(v)
    assert "Reprocess" not in text
    assert "Concurre…" in text
