"""Whether somebody can answer to the names of series that limits, expectations, checks, routes and windows use.

A name of the configuration's own (``[[series]]``, ``[[run_metric]]``) is known beforehand, and another one of that kind is a
mistake. What is measured without being asked is not: this host's ``host.…``, our ``own.…`` and ``run.…``, and what a source
finds by itself, whose names have an ``@`` (``host@db1:cpu``, ``SOURCE@JOB:read.rows_s``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.config import units
from engine.config.at import At, Node, printable

OWN_SERIES = ("host.", "host@", "own.", "run.")
"""How names of series begin that the engine gives itself."""
_OURS = ("host.", "own.", "run.")
_SERIES = "series:"
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class _Names:
    """What the configuration knows of names."""

    sources: set[str]
    series: set[str]
    """Names of ``[[series]]``."""
    told: set[str]
    """Names of ``[[run_metric]]``: each pipeline has a series ``NAME{pipeline=KEY}``."""

    @property
    def all(self) -> set[str]:
        return self.series | self.told


def look(nodes: Callable[[str], list[Node]]) -> None:
    """Notes a problem at each name that nobody answers to, a warning at each pattern."""
    known = _Names(*({node["name"] for node in nodes(what)} - {None} for what in ("source", "series", "run_metric")))
    for node in nodes("limit"):
        if node["on"]:
            _limit(node.at / "on", node["on"], known)
    for node in nodes("check"):
        if node["series"]:
            _output(node.at / "series", node["series"], known)
    for node in nodes("expectation"):
        for key in ("against", "events"):
            if (node[key] or "").startswith(_SERIES):
                _one(node.at / key, node[key].removeprefix(_SERIES), known)
    for what, key in (("expectation", "on"), ("window", "on"), ("route", "match")):
        for node in nodes(what):
            if (node[key] or "").startswith(_SERIES):
                _any(node.at / key, node[key].removeprefix(_SERIES), known)


def _limit(at: At, name: str, known: _Names) -> None:
    """Of whole names, or of a pattern: the name of a query does not mean its answers that have labels."""
    if name in known.told - known.series:
        at.problem(
            f'expected the name of a series, got "{printable(name)}", which each pipeline has one of',
            f'write "{name}{{*" for all of them, or "{name}{{pipeline=KEY}}"',
        )
    else:
        _any(at, name, known)


def _output(at: At, name: str, known: _Names) -> None:
    """Only a source that is asked has readings that a step can be held to have made."""
    base = name.partition("{")[0]
    if base in known.told - known.series:
        at.problem(
            f'expected the name of a [[series]], got "{printable(base)}", which runs tell',
            f'hold it with an [[expectation]] that has series = "{base}"',
        )
    elif base.startswith(_OURS):
        at.problem(
            f'expected the name of a [[series]], got "{printable(base)}", which this host has of itself',
            "name a number that a source is asked for",
        )
    else:
        _one(at, name, known)


def _one(at: At, name: str, known: _Names) -> None:
    if _GLOB & set(name):
        at.problem(f'expected the name of one series, got the pattern "{printable(name)}"', "write its name")
    else:
        _any(at, name, known)


def _any(at: At, name: str, known: _Names) -> None:
    base = name.partition("{")[0]
    if _GLOB & set(name):
        _pattern(at, name, known)
    elif base.startswith(OWN_SERIES) or base in known.all:
        return
    elif "@" in base:
        _of_source(at, base.partition("@")[0], known.sources)
    else:
        head, dot, rest = base.partition(".")
        own = units.nearest(head + dot, OWN_SERIES, 0.8)  # hosts.cpu
        close = units.nearest(base, known.all) or (own and own + rest)
        hint = f'did you mean "{printable(close)}"?' if close else f'add a [[series]] with name = "{printable(base)}"'
        at.problem(f'expected the name of a series that is measured, got "{printable(base)}"', hint)


def _pattern(at: At, name: str, known: _Names) -> None:
    start = name[: min(name.find(c) for c in _GLOB if c in name)]
    found = (*OWN_SERIES, *(f"{source}@" for source in known.sources))
    if any(n.startswith(start) for n in (*known.all, *found)):
        return
    if not start.startswith((*found, *(n + "{" for n in known.all))):
        close = units.nearest(start.rstrip("_.-{"), known.all)
        at.warn(
            f'no series is called "{printable(name)}"',
            f'did you mean "{close}"?' if close else "it means nothing until there is one",
        )


def _of_source(at: At, name: str, sources: set[str]) -> None:
    if name not in sources:
        close = units.nearest(name, sources)
        at.warn(
            f'no source is called "{printable(name)}"',
            f'did you mean "{close}"?' if close else "it means nothing until there is one",
        )
