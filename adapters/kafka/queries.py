"""The language of ``[[series]]`` of a Kafka source: small on purpose, one function of names each.

    lag(GROUP)  lag(GROUP, TOPIC)     messages that are not read yet
    rate(GROUP) rate(GROUP, TOPIC)    messages read a second
    drain(GROUP) drain(GROUP, TOPIC)  seconds until the lag is gone, if all goes on as it does
    members(GROUP)                    who is in the group
    produced(TOPIC)                   messages written a second
    offline  under_replicated         partitions; with (TOPIC) those of topics
    brokers                           that are there

A name may be a glob (``orders-*``), and stands in quotes where it has a comma, a bracket, a quote or a blank. Of a glob each name is a
series of its own (``name{group=…}``), and each topic where a glob stands in its place; ``sum(…)``, ``max(…)``, ``min(…)`` make one number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from adapters.errors import AdapterError
from adapters.http import words
from adapters.kafka.client import GroupState
from adapters.kafka.survey import History, Look, Wanted, anything, drain_s, lag_of

OF_GROUPS: Final = ("lag", "rate", "drain")
FUNCTIONS: Final = (*OF_GROUPS, "members", "produced", "offline", "under_replicated", "brokers")
FOLDS: Final = ("sum", "max", "min")
UNITS: Final = {
    "lag": "messages",
    "rate": "/s",
    "drain": "s",
    "produced": "/s",
    "offline": "partitions",
    "under_replicated": "partitions",
}
MOST: Final = 50
"""Series that one query may give."""
_WORD: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(|$)")
_NAME: Final = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s,()\"']+))\s*(,|\))")
_ARGUMENTS: Final = {
    "lag": (1, 2), "rate": (1, 2), "drain": (1, 2), "members": (1, 1), "produced": (1, 1), "offline": (0, 1),
    "under_replicated": (0, 1), "brokers": (0, 0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    what: str
    names: tuple[str, ...] = ()
    fold: str = ""

    @property
    def group(self) -> str:
        return self.names[0] if self.what in (*OF_GROUPS, "members") else ""

    @property
    def topic(self) -> str:
        """The name or glob of topics; empty: none was given."""
        if self.what in OF_GROUPS:
            return self.names[1] if len(self.names) > 1 else ""
        return self.names[0] if self.names and self.what != "members" else ""

    @property
    def unit(self) -> str:
        return UNITS.get(self.what, "")


class WrongQuery(ValueError):
    """What is wrong with it, in one clause."""


@dataclass(frozen=True, slots=True)
class World:
    """What a query is answered from. ``states``: of groups, as far as they were asked for."""

    look: Look
    history: History
    states: Mapping[str, GroupState | AdapterError]


Answer = tuple[tuple[tuple[str, str], ...], float | None, str]
"""Labels, value, and why there is none."""


def parse(text: str) -> Query:
    """WrongQuery says in one clause what is wrong."""
    word, opened, rest = _head(text)
    fold = ""
    if word in FOLDS:
        inner, mark, tail = rest.rpartition(")")
        if not mark or tail.strip():
            raise WrongQuery(f"the ( of {word} is not closed at its end")
        fold = word
        word, opened, rest = _head(inner)
        if word in FOLDS:
            raise WrongQuery(f"{fold} of {word}: one of them is enough")
    if word not in FUNCTIONS:
        raise WrongQuery(f"there is no {word}: known are {', '.join((*FUNCTIONS, *FOLDS))}")
    names: list[str] = []
    if opened:
        at, more = 0, True
        if rest.strip() == ")":
            at, more = len(rest), False
        while more:
            found = _NAME.match(rest, at)
            if found is None:
                left = rest[at:]
                if not left.strip() or _NAME.fullmatch(left + ")"):
                    raise WrongQuery(f"the ( of {word} is not closed")
                raise WrongQuery(f"expected a name and then , or ) in {_shown(left)}")
            names.append(found[1] or found[2] or found[3] or "")
            at, more = found.end(), found[4] == ","
        if rest[at:].strip():
            raise WrongQuery(f"nothing may stand behind the ) but there is {_shown(rest[at:])}")
    low, high = _ARGUMENTS[word]
    if not low <= len(names) <= high or not all(names):
        wants = {
            (0, 0): "no name",
            (0, 1): "a topic or nothing",
            (1, 1): "one name",
            (1, 2): "a group, or a group and a topic",
        }
        raise WrongQuery(f"{word} wants {wants[low, high]} in its brackets")
    return Query(word, tuple(names), fold)


def _head(text: str) -> tuple[str, bool, str]:
    """The word that it begins with, whether a bracket opens behind it, and the rest."""
    found = _WORD.match(text)
    if found is None:
        if not text.strip():
            raise WrongQuery("it is empty")
        raise WrongQuery(f"expected a function like lag(GROUP), got {_shown(text)}")
    return found[1], found[2] == "(", text[found.end() :]


def _shown(text: str) -> str:
    clean = words(text)
    return f'"{clean if len(clean) <= 40 else clean[:39] + "…"}"'


def answer(query: Query, world: World) -> tuple[list[Answer], str]:
    """Its values, each with its labels (none, where no glob stands in the query); and why there are none at all, or too many."""
    found = _answers(query, world)
    if isinstance(found, str):
        return [], found
    if not query.fold:
        if len(found) > MOST:
            return (
                [],
                f"it gives {len(found):,} series, at most {MOST} are kept: write sum(…), max(…) or a narrower name",
            )
        return found, ""
    missing = next((f"{_said(labels)}{why}" for labels, value, why in found if value is None), "")
    if missing:
        return [], f"not known of all: {missing}"
    values = [value for _, value, _ in found if value is not None]
    return [((), {"sum": sum, "max": max, "min": min}[query.fold](values), "")], ""


def _said(labels: Sequence[tuple[str, str]]) -> str:
    return f"{' '.join(value for _, value in labels)}: " if labels else ""


def glob(name: str) -> bool:
    return bool(set(name) & set("*?["))


def _matching(name: str, all_: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in all_ if fnmatchcase(n, name)) if glob(name) else (name,)


def _answers(query: Query, world: World) -> list[Answer] | str:
    look = world.look
    if query.what == "brokers":
        return [((), float(len(look.cluster.brokers)), "")]
    if query.group:
        return _of_groups(query, world)
    known = sorted({*look.cluster.topics, *look.cluster.wrong})
    if not query.topic:
        return [((), float(_count(query.what, world, known)), "")]
    topics = _matching(query.topic, known)
    if not topics:
        return f"no topic is called like {query.topic}"
    out: list[Answer] = []
    for topic in topics:
        labels = (("topic", topic),) if glob(query.topic) else ()
        if topic not in look.cluster.topics:
            out.append(
                (labels, None, look.cluster.wrong.get(topic, f"topic {topic} is not there, or may not be described"))
            )
        elif query.what == "produced":
            rate = world.history.produced(topic)
            unread = next((look.no_end[p] for p in look.no_end if p[0] == topic), "its rate is not known yet")
            out.append((labels, rate, "" if rate is not None else unread))
        else:
            out.append((labels, float(_count(query.what, world, (topic,))), ""))
    return out


def _count(what: str, world: World, topics: Sequence[str]) -> int:
    partitions = (p for t in topics for p in world.look.cluster.topics.get(t, {}).values())
    return sum(p.offline if what == "offline" else p.under_replicated for p in partitions)


def _of_groups(query: Query, world: World) -> list[Answer] | str:
    look = world.look
    groups = _matching(query.group, look.groups)
    if not groups:
        return f"no group is called like {query.group}" + (f": {look.unlisted}" if look.unlisted else "")
    out: list[Answer] = []
    for group in groups:
        mine = (("group", group),) if glob(query.group) else ()
        if query.what == "members":
            out.append((mine, *_members(world, group)))
        elif glob(query.topic):
            for topic in (t for t in look.topics_of(group) if fnmatchcase(t, query.topic)):
                out.append(((*mine, ("topic", topic)), *_value(query.what, world, group, topic.__eq__)))
        else:
            out.append((mine, *_value(query.what, world, group, query.topic.__eq__ if query.topic else anything)))
    return out or f"nothing is committed on topics like {query.topic}"


def _value(what: str, world: World, group: str, wanted: Wanted) -> tuple[float | None, str]:
    lag = lag_of(world.look, group, wanted)
    if what == "lag":
        return (None if lag.value is None else float(lag.value)), lag.why
    rates = world.history.rates(group, wanted)
    if what == "drain":
        return drain_s(lag, rates)
    return (rates.consumed, "") if rates else (None, lag.why or "its rate is not known yet")


def _members(world: World, group: str) -> tuple[float | None, str]:
    state = world.states.get(group)
    if isinstance(state, GroupState):
        return float(state.members), ""
    return None, state.what if state is not None else f"no group {group} is known"
