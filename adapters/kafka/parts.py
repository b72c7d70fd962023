"""A look at a cluster as parts of a source: brokers and partitions (kind ``component``), consumer groups (``group``), topics (``topic``).

A component that is BAD is an alert (rule ``source-part``): a broker that is gone, partitions without a leader. Groups and topics are
told with their standing; what a lag may be is the matter of a ``[[limit]]`` on a series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.errors import AdapterError, NotFound, Unsupported
from adapters.extras import SourceItem, Standing
from adapters.http import words
from adapters.kafka.client import Cluster, GroupState
from adapters.kafka.survey import History, Lag, Look, Rates, drain_s, figure, lag_of, span

MOST: Final = 2_000
"""Groups, and topics, that are told one by one; the worst first."""
STUCK_S: Final = 60.0
"""So long nothing was read though there is something to read."""
LONG_S: Final = 60.0
"""A rebalance that takes longer is worth a look."""


@dataclass(frozen=True, slots=True)
class Known:
    """The last lag that was known of a group. ``at``: monotonic seconds."""

    lag: int
    at: float


class Groups:
    """Consumer groups as items, with what must be remembered of them from one look to the next."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._moving: dict[str, float] = {}
        """Since when a group was seen rebalancing, each time."""

    def note(self, look: Look) -> None:
        """Keep what is known for the time when it is not."""
        for group in look.groups:
            lag = lag_of(look, group)
            if lag.value is not None:
                self._known[group] = Known(lag.value, look.at)
        for group in self._known.keys() - set(look.groups):
            del self._known[group]

    def items(self, look: Look, history: History, states: Mapping[str, GroupState | AdapterError]) -> list[SourceItem]:
        self._moving = {
            group: self._moving.get(group, look.at)
            for group, state in states.items()
            if isinstance(state, GroupState) and state.word == "rebalancing"
        }
        found = [self._item(group, look, history, states.get(group)) for group in look.groups]
        found = _each_once(found)
        found.sort(key=lambda i: (-i.standing, -(i.value or 0.0), i.name))
        if look.unlisted and not look.groups:
            return [SourceItem(kind="group", name="", standing=Standing.WARNING, words=look.unlisted)]
        return found[:MOST]

    def _item(self, group: str, look: Look, history: History, state: GroupState | AdapterError | None) -> SourceItem:
        lag, rates = lag_of(look, group), history.rates(group)
        standing, clauses = self._state(group, state, lag, look.at)
        if lag.value is None:
            standing = max(standing, Standing.WARNING if lag.why and not _nothing(lag, state) else Standing.FINE)
            clauses.append(self._unknown(group, lag, look.at))
        elif lag.value == 0:
            clauses.append("no lag")
        else:
            clauses.append(f"lag {lag.value:,}")
            pace, warn = _pace(lag, rates, state)
            clauses.append(pace)
            standing = max(standing, Standing.WARNING if warn else Standing.FINE)
        if lag.open:
            clauses.append(f"nothing committed on {_many(lag.open, 'partition')}")
        if lag.beyond:
            clauses.append(f"more committed than there is on {_many(lag.beyond, 'partition')}")
        value = None if lag.value is None else float(lag.value)
        return SourceItem(
            kind="group", name=words(group), standing=standing, words=words(", ".join(filter(None, clauses))),
            text=_by_topic(look, group, history), value=value, unit="messages",
        )  # fmt: skip

    def _state(
        self, group: str, state: GroupState | AdapterError | None, lag: Lag, at: float
    ) -> tuple[Standing, list[str]]:
        if isinstance(state, GroupState):
            who = _many(state.members, "member")
            if state.word == "dead":
                return Standing.WARNING, ["dead: no such group is known to its coordinator"]
            if state.word == "empty":
                return (Standing.WARNING if lag.value else Standing.FINE), ["empty: nobody reads"]
            if state.word == "rebalancing":
                for_s = at - self._moving.get(group, at)
                long = for_s > LONG_S
                return (Standing.WARNING if long else Standing.FINE), [
                    f"rebalancing{f' for {span(for_s)}' if long else ''}",
                    who,
                ]
            return (Standing.WARNING if state.word.endswith("?") else Standing.FINE), [state.word, who]
        if isinstance(state, Unsupported) or state is None:
            return Standing.FINE, ["state not told"]
        return Standing.WARNING, [f"state not known: {state.what}"]

    def _unknown(self, group: str, lag: Lag, at: float) -> str:
        known = self._known.get(group)
        last = f"; last {known.lag:,}, {span(at - known.at)} ago" if known and known.at < at else ""
        least = f", at least {lag.known:,}" if lag.known else ""
        return f"lag not known{least}: {lag.why}{last}"


def _nothing(lag: Lag, state: GroupState | AdapterError | None) -> bool:
    """A group that commits nothing (workers of Connect, readers that keep their own place) is no trouble."""
    return lag.why.startswith("it has committed nothing") and isinstance(state, GroupState) and state.word != "dead"


def _pace(lag: Lag, rates: Rates | None, state: GroupState | AdapterError | None) -> tuple[str, bool]:
    """How it goes on, and whether it is stuck: members, something to read, and nothing read for a while."""
    if rates is None:
        return "rate not known yet", False
    if rates.consumed == 0 and isinstance(state, GroupState) and state.members and rates.over_s >= STUCK_S:
        grows = f", grows by {figure(rates.produced)}/s" if rates.produced else ""
        return f"nothing read for {span(rates.over_s)}{grows}", True
    seconds, why = drain_s(lag, rates)
    pace = f"reads {figure(rates.consumed)}/s"
    if seconds is not None:
        return f"{pace}, drains in {span(seconds)}", False
    return f"{pace}, {why.removeprefix('it ')}", False


def _by_topic(look: Look, group: str, history: History) -> str:
    """A line a topic, the most lag first; nothing where one topic says it all."""
    topics = look.topics_of(group)
    if len(topics) < 2:
        return ""
    lines: list[tuple[int, str]] = []
    for topic in topics:
        lag, rates = lag_of(look, group, topic.__eq__), history.rates(group, topic.__eq__)
        said = f"lag {lag.value:,}" if lag.value is not None else f"lag not known: {lag.why}"
        if rates is not None:
            said += f", reads {figure(rates.consumed)}/s of {figure(rates.produced)}/s written"
        lines.append((-(lag.value or 0), words(f"{topic}: {said}")))
    return "\n".join(line for _, line in sorted(lines)[:100])


# --- brokers and topics -------------------------------------------------------------------------------------------------


def components(cluster: Cluster) -> list[SourceItem]:
    """Each broker, those too that are gone and of which copies are missing; and all partitions together."""
    copies: dict[int, int] = {}
    for topic in cluster.topics.values():
        for partition in topic.values():
            for broker in partition.replicas:
                copies[broker] = copies.get(broker, 0) + 1
    out: list[SourceItem] = []
    for broker in sorted({*cluster.brokers, *copies}):
        name, n = f"broker {broker}", copies.get(broker, 0)
        if broker in cluster.brokers:
            out.append(
                SourceItem(
                    kind="component", name=name, words=words(f"{cluster.brokers[broker]}, {_many(n, 'copy', 'copies')}")
                )
            )
        else:
            gone = f"gone: {_many(n, 'copy', 'copies')} of partitions lie there"
            out.append(SourceItem(kind="component", name=name, standing=Standing.BAD, words=gone))
    all_ = [(f"{name}-{n}", p) for name, topic in sorted(cluster.topics.items()) for n, p in sorted(topic.items())]
    offline = [name for name, p in all_ if p.offline]
    weak = [name for name, p in all_ if p.under_replicated and not p.offline]
    standing, said = Standing.FINE, f"{len(all_):,} partitions, all in sync" if all_ else "none is to be seen"
    if weak:
        standing, said = Standing.WARNING, f"under-replicated: {_some(weak)}"
    if offline:
        standing, said = Standing.BAD, f"offline: {_some(offline)} {'has' if len(offline) == 1 else 'have'} no leader"
        said += f", {len(weak):,} more under-replicated" if weak else ""
    out.append(SourceItem(kind="component", name="partitions", standing=standing, words=words(said)))
    return out


def topics(cluster: Cluster, wanted: Sequence[str]) -> list[SourceItem]:
    """Of the topics that are wanted: those that are not well first. ``value``: partitions that are not well, of ``limit``.
    Kafka's own (``__…``) are told where something is wrong with them."""
    out: list[SourceItem] = []
    for name in wanted:
        partitions = cluster.topics.get(name)
        if partitions is None:
            why = cluster.wrong.get(name) or NotFound("it is not there, or may not be described").what
            out.append(SourceItem(kind="topic", name=words(name), standing=Standing.WARNING, words=words(why)))
            continue
        offline = [f"{n}" for n, p in sorted(partitions.items()) if p.offline]
        weak = [f"{n}" for n, p in sorted(partitions.items()) if p.under_replicated and not p.offline]
        if name.startswith("__") and not offline and not weak:
            continue
        standing = Standing.BAD if offline else Standing.WARNING if weak else Standing.FINE
        copies = max((len(p.replicas) for p in partitions.values()), default=0)
        said = [f"{_many(len(partitions), 'partition')}, {_many(copies, 'copy', 'copies')}"]
        if weak:
            said.insert(0, f"under-replicated: {_some(weak)}")
        if offline:
            said.insert(0, f"offline: {_some(offline)}")
        bad = float(len(offline) + len(weak))
        out.append(
            SourceItem(
                kind="topic", name=words(name), standing=standing, words=words("; ".join(said)), value=bad,
                limit=float(len(partitions)), unit="partitions",
            )
        )  # fmt: skip
    out = _each_once(out)
    out.sort(key=lambda i: (-i.standing, -(i.value or 0.0), i.name))
    return out[:MOST]


def _each_once(items: Sequence[SourceItem]) -> list[SourceItem]:
    """Names that are the same once they are fit for a screen are told apart by a number."""
    taken: set[str] = set()
    out: list[SourceItem] = []
    for item in items:
        name, n = item.name, 1
        while name in taken or not name:
            n += 1
            name = f"{item.name[:190]} ({n})"
        taken.add(name)
        out.append(item if name == item.name else replace(item, name=name))
    return out


def _many(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"
