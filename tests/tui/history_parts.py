"""What the tests of History share."""

from __future__ import annotations

from tests.tui.history_stores import AF, CONTRACTS
from tests.tui.stores import House
from tui.screens.history import HistoryView

FAN = AF + "churn_features"


def view_of(h: House, arg: str | None = CONTRACTS, **more) -> HistoryView:
    view = HistoryView(h.context(**more), arg)
    view.load()
    return view


def on_step(view: HistoryView, step: str) -> HistoryView:
    view.step_at = step
    return view
