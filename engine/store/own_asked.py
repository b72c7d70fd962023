"""What the terminal asks about the engine itself. Part of the Reader."""

from __future__ import annotations

from typing import Final

from engine.store.link import Link
from engine.store.own_rows import OwnEventRow, OwnState

_FRESH_MS: Final = 90_000
_DAYS_MS: Final = 7 * 86_400_000


class OwnQuestions(Link):
    """Part of the Reader."""

    def own(self) -> OwnState:
        """The engine's own numbers and what happened to it in the last week; empty where it never measured."""
        series = self.all("SELECT id, name FROM series WHERE name >= 'own.' AND name < 'own/'")
        newest = self.one("SELECT t FROM sample_raw ORDER BY t DESC LIMIT 1")
        at: int | None = None
        values: dict[str, float] = {}
        if series and newest:
            names = dict(series)
            marks = ", ".join("?" * len(names))
            for number, t, value in self.all(
                f"SELECT series_id, t, value FROM sample_raw WHERE t > ? AND series_id IN ({marks}) ORDER BY t",  # noqa: S608
                (newest[0] - _FRESH_MS, *names),
            ):
                values[names[number]] = value
                at = t
        rows = self.all(
            "SELECT at, until, what, words FROM own_event WHERE at >= (SELECT max(at) FROM own_event) - ? ORDER BY at, id",
            (_DAYS_MS,),
        )
        return OwnState(at, values, [OwnEventRow(*row) for row in rows])
