"""Rows of what a source has beside pipelines and runs: its parts, its assets, its backfills. No SQL, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.extras import Standing
from adapters.model import State

__all__ = ["AssetRow", "ItemRow", "OperationRow", "PartRow", "Standing"]

STALE_AFTER = 3
"""Listings that a part may miss before what it said is drawn stale."""


@dataclass(frozen=True, slots=True)
class PartRow:
    """How old one listing of a source is. ``part``: ``items``, ``assets``, ``operations``.

    ``seen``: the last answer, None where none ever came; ``tried``: the last question; ``why``: why it was not answered,
    one clause, None where it was.
    """

    source: str
    part: str
    seen: int | None
    tried: int
    why: str | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One part of a source: ``kind`` is ``component``, ``pool``, ``import-error`` or ``warning``.

    ``words`` one clause, ``text`` all that the source says (may be long, many lines). ``value`` of ``limit`` in
    ``unit``: slots of a pool in use; seconds since the last heartbeat of a component. ``since``: the source's own time
    (of a heartbeat, of the error). ``key``: the pipeline it speaks of. ``changed``: when we last saw it differ;
    ``seen``: the listing that it stands in.
    """

    source: str
    environment: str
    kind: str
    name: str
    standing: Standing
    words: str
    text: str
    value: float | None
    limit: float | None
    unit: str
    key: str | None
    since: int | None
    changed: int
    seen: int | None


@dataclass(frozen=True, slots=True)
class AssetRow:
    """What pipelines make and wait for. ``producers``, ``consumers``: keys of pipelines. ``last_event`` None: none was seen."""

    source: str
    environment: str
    key: str
    name: str
    uri: str
    group: str
    last_event: int | None
    event_by: str | None
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    seen: int | None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A backfill that the source carries on. ``pipeline``: key; ``name``: its name, the native id where it is not known.

    ``state``: RUNNING, HELD (paused), STOPPED (cancelled), SUCCESS, FAILED, LOST (named no more). Counts are of its
    runs, None where the source does not tell. ``first``, ``last``: ISO dates, inclusive.
    """

    source: str
    environment: str
    id: str
    pipeline: str
    name: str
    kind: str
    state: State
    first: str | None
    last: str | None
    planned: int | None
    done: int | None
    failed: int | None
    running: int | None
    created: int | None
    ended: int | None
    who: str | None
    words: str
    seen: int | None

    @property
    def active(self) -> bool:
        return not self.state.terminal
