"""What a source may know beside pipelines and runs: its own parts, its assets, its running operations, its measurements.

Frozen, no I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from adapters.model import Sample, State


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

    ``state``: RUNNING, HELD (paused), STOPPED (cancelled), SUCCESS or FAILED; WARNING: over, and
    nobody tells that all of it is well. ``first`` and ``last``: ISO dates, inclusive.
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


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What a series is, for gauges. ``max``: top of the scale, if it has one; ``note``: why it is missing here."""

    name: str
    label: str
    unit: str
    max: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """One ``[[series]]`` of the configuration: ``text`` is in the language of the source that is asked."""

    name: str
    text: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What a source measured now. ``samples`` carry the source's own times.

    A query with one answer gives the series of its name, one with several ``name{label=value}``; what a source measures of
    hosts without being asked is named ``host@NAME:METRIC`` (metrics as this host has them: ``cpu mem swap io load1
    disk:/mount net.rx net.tx``, in percent and bytes; ``up`` 1 or 0: whether it is measured at all), anything else
    ``SOURCE@THING:METRIC``: a name without ``@`` is the configuration's own, and ``check`` refuses one that it does not know.
    ``failed``: why a query gave nothing usable, by its name; "" is what was not asked for by name. ``about``: label, unit
    and scale of the series of hosts. ``warnings``: what the source says beside its answer.
    """

    samples: Sequence[Sample] = ()
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    about: Sequence[SeriesInfo] = ()
    warnings: Sequence[str] = ()
    server_time: int | None = None


def series_of(query: str, name: str) -> bool:
    """Whether a series is an answer to the query of that name."""
    return name == query or (name.startswith(query + "{") and name.endswith("}"))


def query_of(queries: Collection[str], name: str) -> str | None:
    """The query that a series is an answer to; of thousands found without asking each. ``queries``: a dict or a set."""
    if name in queries:
        return name
    at = name.find("{") if name.endswith("}") else -1
    while at >= 0:
        if name[:at] in queries:
            return name[:at]
        at = name.find("{", at + 1)
    return None
