"""Rows about the engine itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OwnEventRow:
    """What happened to the engine: start, blind (from ``at`` to ``until`` nobody watched), full, clock, damaged, restored."""

    at: int
    until: int | None
    what: str
    words: str


@dataclass(frozen=True, slots=True)
class OwnState:
    """``values``: the engine's last readings by series (``own.wal`` bytes …), none that is older than a minute and a half.

    ``polls``: of each source ``requests`` and ``bytes`` of the last minute and ``ms`` of the last poll. ``events``: of the
    last seven days, oldest first. ``at``: when it was measured (ms UTC).
    """

    at: int | None = None
    values: Mapping[str, float] = field(default_factory=dict[str, float])
    events: Sequence[OwnEventRow] = ()

    @property
    def polls(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for name, value in self.values.items():
            if name.startswith("own.poll."):
                source, _, what = name.removeprefix("own.poll.").rpartition(".")
                found.setdefault(source, {})[what] = value
        return found
