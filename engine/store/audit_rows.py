"""Rows of what people did: records of the audit, one action whole, pages of both. No SQL, no I/O, light to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adapters.model import ActionState


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the chain; ``body`` is canonical JSON, ``hash`` covers all other fields and ``prev``."""

    seq: int
    id: str
    at: int
    action_id: str | None
    event: str
    uid: int
    login: str
    origin: str | None
    verb: str | None
    key: str | None
    body: str
    prev: str
    hash: str


class Wanted(NamedTuple):
    """One term of a filter: ``field`` who, verb, key, state, or empty (any of them, and what was said); ``value`` lower case."""

    field: str
    value: str
    negative: bool = False


@dataclass(frozen=True, slots=True)
class EndedRow:
    """An action in a list: as ``ActionRow``, without its history."""

    id: str
    verb: str
    key: str
    environment: str
    state: ActionState
    words: str
    who: str
    reason: str | None
    created: int
    changed: int
    ended: int | None
    sent: int | None
    result_key: str | None

    @property
    def must_look(self) -> bool:
        """Nobody knows what became of it and nobody asks closely any more: a person must look."""
        return self.state is ActionState.UNKNOWN and self.ended is not None


@dataclass(frozen=True, slots=True)
class EndedPage:
    """Newest first. ``reached``: where the next question goes on (``before``); None: there is nothing older."""

    rows: tuple[EndedRow, ...]
    reached: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Newest first. ``reached``: where the next question goes on (``before``); None: there is nothing older."""

    rows: tuple[AuditRow, ...]
    reached: int | None


@dataclass(frozen=True, slots=True)
class ActionDetail:
    """One action whole. ``plan`` is the plan as it was shown (calls masked), ``before`` and ``after`` the state as read.

    ``guards``: as they stood when it was confirmed. ``identity``: who, by the kernel; its ``claimed_origin`` is only what
    the client said. ``records``: what the audit holds of it, oldest first.
    """

    row: EndedRow
    uid: int
    events: tuple[tuple[int, ActionState, str], ...]
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    guards: tuple[dict[str, Any], ...] = ()
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    identity: dict[str, Any] = field(default_factory=dict[str, Any])
    records: tuple[AuditRow, ...] = ()
