"""What the terminal asks about a source's own parts, its assets and its backfills. Part of the Reader."""

from __future__ import annotations

from engine.store.link import Link


class ItemQuestions(Link):
    """Part of the Reader."""
