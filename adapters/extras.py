"""What a source may know beside pipelines and runs: its own parts, its assets, its running operations. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from adapters.model import State


class Standing(IntEnum):
    """How one part of a source is: worse is higher."""

    FINE = 0
    WARNING = 1
    BAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceItem:
    """One part of a source that is not a pipeline.

    ``kind``: ``component`` (its scheduler …), ``pool`` (slots: ``value`` used of ``limit``), ``import-error`` (a file that
    cannot be read), ``warning`` (said of one pipeline: ``key``). ``since`` ms UTC, where the source says it: of a component
    its last heartbeat, with ``value`` its age in seconds by the source's own clock and ``limit`` the age that is too old.
    ``words`` is one clause, ``text`` all that the source says (a whole trace: newlines, no other control characters).
    Names are unique within a kind.
    """

    kind: str
    name: str
    standing: Standing = Standing.FINE
    words: str = ""
    text: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    key: str | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something that pipelines make and wait for: a table, a file, a dataset. Keys of pipelines in both lists.

    ``last_event``: ms UTC of its last update, None where none was ever seen. ``event_by``: the run's key that made it.
    """

    key: str
    name: str
    uri: str = ""
    group: str = ""
    last_event: int | None = None
    event_by: str | None = None
    producers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Work over many partitions that the source itself carries on: a backfill. ``id`` is the source's own.

    ``state``: RUNNING, HELD (paused), STOPPED (cancelled), SUCCESS or FAILED. ``first`` and ``last``: ISO dates, inclusive.
    Counts are of its runs; None where the source does not tell.
    """

    id: str
    pipeline: str
    kind: str = "backfill"
    state: State = State.RUNNING
    first: str | None = None
    last: str | None = None
    planned: int | None = None
    done: int | None = None
    failed: int | None = None
    running: int | None = None
    created: int | None = None
    ended: int | None = None
    who: str | None = None
    words: str = ""
