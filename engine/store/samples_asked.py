"""What the terminal asks about series: charts from the right tier, daily values, what runs used. Part of the Reader."""

from __future__ import annotations

from engine.store.link import Link


class SampleQuestions(Link):
    """Part of the Reader."""
