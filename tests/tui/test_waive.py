"""The waive dialog: a reason, perhaps an end; what it does and does not do; nothing is sent before it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.model import Owed
from tests.tui import promises, snap
from tests.tui.owed_stores import owe
from tests.tui.stores import DAY, HOUR, MINUTE, NOW, SIZES, TZ, House, painted
from tui import registry
from tui.screens.deadlines import DeadlinesView
from tui.screens.waive import ARMING_MS, LONGEST, WaiveView, until_of
from tui.view import Back, Request, Say

REASON = "source eia came late"


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    h = promises.night(tmp_path_factory.mktemp("night"))
    yield h
    h.close()


@pytest.fixture(autouse=True)
def then(tale: House) -> Iterator[None]:
    """The clock of the shared store goes back after each test."""
    yield
    tale.clock.at = NOW


def opened(h: House, thing: str = "prod-airflow:daily_sales", wait: int = 600, **more: Any) -> WaiveView:
    context = h.context(**more)
    below = DeadlinesView(context, thing)
    below.load()
    view = WaiveView(context, below.cursor)
    view.under = below
    view.load()
    assert list(view.begin()) == []
    h.clock.at += wait
    return view


def type_(view: WaiveView, text: str) -> None:
    for char in text:
        assert view.type(char) == ()


def test_the_registry_makes_it(tale: House) -> None:
    assert isinstance(registry.make("waive", tale.context(), "k"), WaiveView)


@pytest.mark.parametrize("size", SIZES)
def test_it_says_what_is_waived_and_what_that_does(tale: House, size: tuple[int, int]) -> None:
    text = "\n".join(painted(opened(tale), *size))
    for words in (
        "PROD", "prod-airflow · protected", "Waive daily_sales", "finish by 06:00 Europe/Paris, mon-fri", "06:00 · in 7m · business date 2026-11-19",
        "at risk", "customer_360 06:30 · board_report 07:00 · bi-team", "its alert ends", "still counts for history", "Reason", "10 to go", "Until",
        "Esc leave it owed",
    ):  # fmt: skip
        assert words in text, words
    assert text.splitlines()[-1].rstrip().endswith("help")


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(tale: House, size: tuple[int, int]) -> None:
    view = opened(tale)
    type_(view, REASON)
    view.act("dialog.next")
    type_(view, "2h")
    snap.same(f"waive-{size[0]}x{size[1]}", painted(view, *size))


def test_a_reason_is_needed_and_then_it_is_asked_for_good(tale: House) -> None:
    view = opened(tale)
    type_(view, "too few")
    (effect,) = view.act("dialog.confirm")
    assert isinstance(effect, Say)
    assert "a reason of 10 characters or more" in effect.text
    type_(view, " words are not enough")
    assert list(view.act("dialog.confirm")) == [
        Request("waive", {"occurrence": view.key, "reason": "too few words are not enough", "until": None}, "waive")
    ]
    assert list(view.act("dialog.confirm")) == []  # once


def test_blanks_are_no_reason(tale: House) -> None:
    view = opened(tale)
    type_(view, " " * 30)
    assert isinstance(view.act("dialog.confirm")[0], Say)
    assert "10 to go" in "\n".join(painted(view, 120, 40))


def test_until_goes_with_it_in_ms(tale: House) -> None:
    view = opened(tale)
    type_(view, REASON)
    view.act("dialog.next")
    type_(view, "06:30")
    assert "✓ 06:30, then it is judged again" in "\n".join(painted(view, 120, 40))
    (request,) = view.act("dialog.confirm")
    assert isinstance(request, Request)
    assert request.body["until"] == NOW + 38 * MINUTE


def test_a_bad_end_is_one_sentence_and_sends_nothing(tale: House) -> None:
    view = opened(tale)
    type_(view, REASON)
    view.act("dialog.next")
    type_(view, "tomorrow")
    assert "write 2h, 1h 30m, 3d or 06:30" in "\n".join(painted(view, 120, 40))
    assert list(view.act("dialog.confirm")) == [Say("until: write 2h, 1h 30m, 3d or 06:30, or leave it empty", "warn")]


@pytest.mark.parametrize(
    ("text", "want"),
    [("", None), (" none ", None), ("2h", 2 * HOUR), ("90m", 90 * MINUTE), ("1h 30m", 90 * MINUTE), ("1H30M", 90 * MINUTE), ("1d 2h", DAY + 2 * HOUR),
     ("366d", LONGEST), ("6:00", 8 * MINUTE), ("05:52", DAY), ("05:53", MINUTE), ("00:00", 18 * HOUR + 8 * MINUTE)],
)  # fmt: skip
def test_ends_that_can_be_meant(text: str, want: int | None) -> None:
    found = until_of(text, TZ, NOW)
    assert found == (None if want is None else NOW + want)


@pytest.mark.parametrize("text", ["2", "h", "25:00", "06:60", "-2h", "0m", "2h later", "367d", "9999d", "::"])
def test_ends_that_cannot(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 2h|at once|366 days"):
        until_of(text, TZ, NOW)


def test_a_clock_time_is_meant_by_the_wall_over_a_change_of_the_clock() -> None:
    paris = ZoneInfo(TZ)
    evening = datetime(2026, 10, 24, 22, 0, tzinfo=paris)  # that night the clock goes back
    at = until_of("06:30", TZ, int(evening.timestamp() * 1000))
    assert at is not None
    assert datetime.fromtimestamp(at / 1000, paris) == datetime(2026, 10, 25, 6, 30, tzinfo=paris)
    night = datetime(2027, 3, 28, 1, 0, tzinfo=paris)  # 02:30 is skipped: it comes after now, within two hours
    at = until_of("02:30", TZ, int(night.timestamp() * 1000))
    assert at is not None
    assert 0 < at - night.timestamp() * 1000 <= 2 * HOUR


def test_what_comes_back_closes_it_and_a_refusal_is_said_and_can_be_tried_again(tale: House) -> None:
    view = opened(tale)
    type_(view, REASON)
    (request,) = view.act("dialog.confirm")
    assert isinstance(request, Request)
    assert "asking the engine" in "\n".join(painted(view, 120, 40))
    assert view.answer("waive", None, {"code": "refused", "message": "only a lead may waive", "hint": "ask one"}) == ()
    assert "only a lead may waive; ask one" in "\n".join(painted(view, 120, 40))
    assert list(view.act("dialog.confirm")) == [request]
    assert list(view.answer("waive", {"words": "waived by ana for good"}, None)) == [
        Say("waived by ana for good"),
        Back(),
    ]
    assert list(view.answer("waive", {}, None)) == [Say("daily_sales is waived"), Back()]


def test_what_is_waived_already_can_be_owed_again(tmp_path: Path) -> None:
    h = House(tmp_path)
    try:
        h.engine()
        h.source("s")
        key = h.pipeline("s", "old")
        owe(h, key, due_in=HOUR, state=Owed.WAIVED, reason="waived by ana: system is being retired")
        view = opened(h, key)
        with h.tx() as tx:
            tx.db.execute(
                "INSERT INTO waiver (occurrence, who, uid, reason, until, at) VALUES (?, 'ana', 1000, 'system is being retired', NULL, ?)",
                (view.key, NOW - HOUR),
            )
            tx.bump("owed")
        view.load()
        text = "\n".join(painted(view, 80, 24))
        for words in ("Owe again old", "by ana 04:52, for good", "system is being retired", "Enter owe it again"):
            assert words in text
        assert "Reason" not in text
        assert view.type("x") is None  # no field is open
        assert list(view.act("dialog.confirm")) == [Request("waive", {"occurrence": view.key, "undo": True}, "undo")]
        assert list(view.answer("undo", {}, None)) == [Say("old is owed again"), Back()]
    finally:
        h.close()


@pytest.mark.parametrize(
    ("thing", "more", "why"),
    [
        ("prod-airflow:dq_reconcile_rdv", {}, "it is met: there is nothing left to waive"),
        ("prod-airflow:month_end_close", {}, "it is not owed on this date: bank holiday: Armistice"),
        ("prod-airflow:daily_sales", {"read_only": True}, "this terminal is read-only"),
        ("prod-airflow:daily_sales", {"engine_alive": False}, "nobody is watching, a waiver cannot be recorded"),
    ],
)
def test_what_cannot_be_waived_says_why_and_sends_nothing(
    tale: House, thing: str, more: dict[str, Any], why: str
) -> None:
    view = opened(tale, thing, **more)
    text = "\n".join(painted(view, 120, 40))
    assert why in text
    assert "· blocked" in text
    assert "Reason" not in text
    assert view.type("x") is None
    assert [type(e) for e in view.act("dialog.confirm")] == [Say]


def test_one_that_is_not_known_any_more(tale: House) -> None:
    view = WaiveView(tale.context(), "gone|x|y")
    view.load()
    tale.clock.at += ARMING_MS
    assert "this promise is not known any more" in "\n".join(painted(view, 80, 24))
    assert isinstance(view.act("dialog.confirm")[0], Say)


def test_keys_of_the_first_half_second_are_swallowed_but_esc_leaves(tale: House) -> None:
    view = opened(tale, wait=100)
    assert view.type("x") == ()
    assert view.act("dialog.confirm") == ()
    assert list(view.act("dialog.cancel")) == [Back()]
    tale.clock.at += 600
    assert next(iter(view.act("dialog.confirm"))) == Say(
        "a reason of 10 characters or more: it is what others read later", "warn"
    )


def test_text_that_is_pasted_is_made_one_harmless_line(tale: House) -> None:
    view = opened(tale)
    view.paste("known:\n\x1b[31mnode\x1b[0m resize")
    (request,) = view.act("dialog.confirm")
    assert isinstance(request, Request)
    assert request.body["reason"] == "known: node resize"


@pytest.mark.parametrize("size", [*SIZES, (60, 16), (61, 20), (59, 12), (40, 10), (20, 6), (10, 3)])
def test_it_fits_and_keeps_its_fields(tale: House, size: tuple[int, int]) -> None:
    for thing in (
        "prod-airflow:daily_sales",
        "prod-airflow:legacy_export",
        "prod-airflow:dq_reconcile_rdv",
        "feed:eia",
    ):
        tale.clock.at = NOW
        shown = "\n".join(painted(opened(tale, thing), *size))
        if size[1] >= 16 and thing.endswith("sales"):
            assert "Reason" in shown
            assert "Until" in shown


def test_data_says_who_waived(tale: House) -> None:
    view = opened(tale)
    assert view.data()["state"] == "at_risk"
    assert view.data()["waived_by"] is None
