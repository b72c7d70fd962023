"""What the terminal asks for the history grid, the duration chart and the comparison of two runs. Part of the Reader."""

from __future__ import annotations

from engine.store.link import Link


class HistoryQuestions(Link):
    """Part of the Reader."""
