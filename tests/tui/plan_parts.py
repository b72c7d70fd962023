"""What the tests of the plan dialog share: an answer of the engine, the dialog on a house, keys typed into it."""

from __future__ import annotations

from typing import Any

from adapters.model import State
from tests.tui.stores import House
from tui.screens.floor import FloorView
from tui.screens.plan import PlanView
from tui.view import Request

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
