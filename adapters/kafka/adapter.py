"""A Kafka cluster as a source that measures: lag, rates and time to drain of its consumer groups, and whether its partitions are well.

A poll asks what is there (brokers, topics): one question. Measuring is three or four more, however many groups there are: which
groups, what they committed, where their partitions end. No answer of Kafka carries a time, so that of a reading is ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from adapters.base import Probe, SourceSettings
from adapters.errors import AdapterError, AuthFailed, BadResponse, Forbidden, Unreachable, Unsupported
from adapters.extras import Readings, SeriesQuery, SourceItem
from adapters.http import words
from adapters.kafka import parts, queries
from adapters.kafka.access import Access
from adapters.kafka.apart import Apart
from adapters.kafka.client import Client, Cluster, GroupState, Listed, Partition
from adapters.kafka.options import Include, Options
from adapters.kafka.survey import History, Look
from adapters.measuring import MeasuringAdapter
from adapters.model import Caps, Sample, Verb

NO_PAST: Final = "Kafka keeps no past of offsets: what was measured before this source was configured nobody knows"
FRESH_S: Final = 12.0
"""So old may be what is there (brokers, topics), and what items are made of."""
EMPTY: Final = "no consumer group is to be seen: there is none, or the right to Describe groups is missing"


Asks = Client | Apart


class KafkaAdapter(MeasuringAdapter):
    """``url`` = ``kafka://HOST:PORT,…`` or ``kafkas://…`` (TLS). ``options``: see ``adapters.kafka.options.Options``;
    ``auth``: see ``adapters.kafka.access``. ``make`` (an AdminClient of this process) and ``clock`` (monotonic seconds) are for tests."""

    kind: ClassVar[str] = "kafka"
    nothing: ClassVar[str] = "Kafka moves messages; it runs nothing that could be started or stopped from here"
    min_poll_s: ClassVar[float] = 15.0

    def __init__(
        self,
        settings: SourceSettings,
        *,
        make: Callable[..., Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings)
        self._options = Options.read(settings.options)
        self._include = Include.read(settings.include)
        self._access = Access(settings, self._options)
        self._make, self._clock = make, clock
        self._client: Asks | None = None
        self._asked = 0
        """Questions of clients that are closed."""
        self._opening, self._looking = asyncio.Lock(), asyncio.Lock()
        self._closed = False
        self._cluster: tuple[float, Cluster] | None = None
        self._history = History(self._options.rate)
        self._groups = parts.Groups()
        self._more: tuple[str, ...] = ()
        """Topics that queries name beside those of groups."""
        self._notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"KafkaAdapter({self.settings.name!r}, {self._access.servers!r})"

    @property
    def caps(self) -> Caps:
        no = dict.fromkeys((*Verb, "steps", "log", "history", "assets", "operations"), self.nothing)
        return Caps(frozenset({"metrics", "items"}), {**no, "metrics-past": NO_PAST})

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    @property
    def spent(self) -> tuple[int, int]:
        """Questions; their bytes librdkafka does not tell."""
        return (self._asked + (self._client.asked if self._client else 0), 0)

    async def close(self) -> None:
        self._closed = True
        await self._drop()

    @classmethod
    def wrong_query(cls, text: str) -> str | None:
        try:
            queries.parse(text)
        except queries.WrongQuery as error:
            return words(str(error))
        return None

    # --- the source as a whole --------------------------------------------------------------------------------------

    async def probe(self) -> Probe:
        cluster = await self._see()
        client = await self._open()
        warnings = await self._access.warnings()
        may: dict[str, bool | None] = {"metrics": True, "topics": bool(cluster.topics) or None}
        groups: Sequence[str] = self._options.groups
        if not groups:
            try:
                listed = await client.groups()
                groups = tuple(g for g in listed.groups if self._include.group(g))
                may["list groups"] = bool(listed.groups) or None
                if not listed.groups:
                    warnings.append(EMPTY)
            except (Forbidden, Unsupported, BadResponse) as error:
                may["list groups"] = False
                warnings.append(error.what)
        missing = [t for t in self._options.topics if t not in cluster.topics]
        if missing:
            warnings.append(f"not there, or may not be described: topic {', '.join(missing[:5])}")
        elif not cluster.topics:
            warnings.append("no topic is to be seen: there is none, or the right to Describe topics is missing")
        if groups:
            found = await client.committed(groups[:1], self._wanted(cluster))
            refused = next((e for e in found.values() if isinstance(e, AdapterError)), None)
            may["offsets of groups"] = refused is None
            if refused is not None:
                warnings.append(refused.what)
            await self._clear(found.values())
        who = f"{self._access.user} on cluster {cluster.id}" if self._access.user else f"cluster {cluster.id}"
        return Probe(
            version="not told by Kafka", identity=words(who) if cluster.id or self._access.user else None, permissions=may,
            warnings=tuple(words(w) for w in warnings),
        )  # fmt: skip

    async def alive(self) -> int | None:
        await self._see()
        return None

    # --- what is measured -------------------------------------------------------------------------------------------

    async def samples(self, queries: Sequence[SeriesQuery]) -> Readings:
        """Answers to ``queries``; what the language is says ``adapters.kafka.queries``. Nothing is measured unasked, but the
        offsets are looked at each time, so that the words of groups know their rates."""
        return await self._answers(queries)

    async def past_samples(self, query: SeriesQuery | None, since: int, until: int, step_ms: int) -> Sequence[Sample]:
        raise Unsupported(NO_PAST)

    async def items(self) -> Sequence[SourceItem]:
        look = await self._look(FRESH_S)
        client = await self._open()
        states = await self._states(client, look.groups)
        wanted = self._options.topics or sorted(
            t for t in (*look.cluster.topics, *look.cluster.wrong) if self._include.topic(t)
        )
        return [
            *parts.components(look.cluster),
            *self._groups.items(look, self._history, states),
            *parts.topics(look.cluster, wanted),
        ]

    async def _answers(self, asked: Sequence[SeriesQuery]) -> Readings:
        failed: dict[str, str] = {}
        good: list[tuple[SeriesQuery, queries.Query]] = []
        for one in asked:
            try:
                good.append((one, queries.parse(one.text)))
            except queries.WrongQuery as error:
                failed[one.name] = words(f"the query is refused: {error}")
        self._more = tuple(sorted({q.topic for _, q in good if q.what == "produced"}))
        look = await self._look(0.0)
        states: Mapping[str, GroupState | AdapterError] = {}
        if any(q.what == "members" for _, q in good):
            states = await self._states(await self._open(), look.groups)
        world = queries.World(look, self._history, states)
        samples: list[Sample] = []
        for one, query in good:
            found, why = queries.answer(query, world)
            why = why or next((w for _, value, w in found if value is None), "")
            given = [(labels, value) for labels, value, _ in found if value is not None]
            taken: set[str] = set()
            for labels, value in given:
                name = _series(one.name, labels)
                if name in taken:  # differing in nothing that may be shown
                    name = f"{name[:-1]},{len(taken) + 1}}}"
                taken.add(name)
                samples.append(Sample(name, look.wall, value, one.unit or query.unit))
            if not given:
                failed[one.name] = words(why)
        return Readings(samples=tuple(samples), failed=failed, warnings=self._notes)

    async def _states(self, client: Asks, groups: Sequence[str]) -> Mapping[str, GroupState | AdapterError]:
        """Of each group, or why not. Only that nobody answers at all is an error."""
        try:
            states = await client.describe(groups)
        except (Forbidden, Unsupported, BadResponse) as error:
            return dict.fromkeys(groups, error)
        await self._clear(states.values())
        await self._still_there(states.values())
        return states

    async def _look(self, old_s: float) -> Look:
        """What is so now; with ``old_s`` a look that is no older will do."""
        async with self._looking:
            last = self._history.last
            if last is not None and old_s and self._clock() - last.at <= old_s:
                return last
            look = await self._fresh()
            self._history.put(look)
            self._groups.note(look)
            self._say(look)
            return look

    async def _fresh(self) -> Look:
        cluster = await self._see(FRESH_S)
        client = await self._open()
        listed = await self._listed(client, cluster)
        groups = listed.groups
        offsets = await client.committed(groups, self._wanted(cluster))
        committed = {g: found for g, found in offsets.items() if not isinstance(found, AdapterError)}
        wrong = {g: found for g, found in offsets.items() if isinstance(found, AdapterError)}
        await self._clear(offsets.values())
        client = await self._open()
        await self._still_there(offsets.values())
        no_end: dict[Partition, str] = {}
        ask: list[Partition] = []
        held = {p for found in committed.values() for p, n in found.items() if n >= 0}
        whole = {topic for topic, _ in held} | self._topics_asked(cluster)
        held |= {(t, n) for t in whole for n in cluster.topics.get(t, {})}
        for partition in held:
            state = cluster.topics.get(partition[0], {}).get(partition[1])
            if state is None:
                no_end[partition] = cluster.wrong.get(partition[0], "it is not there, or may not be described")
            elif state.offline:
                no_end[partition] = "it has no leader"
            else:
                ask.append(partition)
        found_ends = await client.ends(ask, self._options.isolation)
        ends = {p: end for p, end in found_ends.items() if isinstance(end, int)}
        lost = {p: error for p, error in found_ends.items() if isinstance(error, AdapterError)}
        await self._still_there(found_ends.values())
        no_end |= {p: error.what for p, error in lost.items()}
        unlisted = "" if listed.wrong is None else listed.wrong.what
        if not groups and not unlisted:
            unlisted = EMPTY
        return Look(
            self._clock(), int(time.time() * 1000), cluster, groups, committed, {g: e.what for g, e in wrong.items()}, ends, no_end,
            unlisted,
        )  # fmt: skip

    async def _clear(self, answers: Iterable[object]) -> None:
        """A client that waits for a coordinator is not kept: what comes back to it may end its process (adapters.kafka.apart)."""
        if any(isinstance(one, Unreachable) for one in answers):
            await self._drop()

    async def _still_there(self, answers: Iterable[object]) -> None:
        """Where nobody answered anything: raises unless the cluster itself does, for then it is these that are out of reach."""
        found = list(answers)
        if found and all(isinstance(one, (Unreachable, AuthFailed)) for one in found):
            await self._see()

    async def _listed(self, client: Asks, cluster: Cluster) -> Listed:
        """Groups to be asked for. What may not be listed is a reason; those seen before stay while some broker does not answer."""
        if self._options.groups:
            return Listed(self._options.groups)
        try:
            found = await client.groups()
        except (Forbidden, Unsupported, BadResponse) as error:
            return Listed((), error)
        groups = {g for g in found.groups if self._include.group(g)}
        if found.wrong is not None and self._history.last is not None:
            groups |= set(self._history.last.groups)
        return Listed(tuple(sorted(groups)), found.wrong)

    def _wanted(self, cluster: Cluster) -> list[Partition] | None:
        """Partitions whose offsets are asked for by name; None: wherever a group has committed anything."""
        if not self._options.topics:
            return None
        return [(t, n) for t in self._options.topics for n in sorted(cluster.topics.get(t, {}))]

    def _topics_asked(self, cluster: Cluster) -> set[str]:
        out: set[str] = set()
        for name in self._more:
            out |= {t for t in cluster.topics if queries.fnmatchcase(t, name)} if queries.glob(name) else {name}
        return out

    def _say(self, look: Look) -> None:
        """What is wrong although it answers."""
        said: list[str] = []
        if look.unlisted and look.unlisted != EMPTY:
            said.append(f"groups: {look.unlisted}")
        if look.wrong:
            group, why = min(look.wrong.items())
            more = f" (and of {len(look.wrong) - 1} more groups)" if len(look.wrong) > 1 else ""
            said.append(f"offsets of {group} are not known{more}: {why}")
        for what, n in (("groups", len(look.groups)), ("topics", len(look.cluster.topics))):
            if n > parts.MOST:
                said.append(f"of {n:,} {what} {parts.MOST:,} are told, the worst first: narrow it with include")
        self._notes = tuple(map(words, said))

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _see(self, old_s: float = 0.0) -> Cluster:
        if self._cluster is not None and old_s and self._clock() - self._cluster[0] <= old_s:
            return self._cluster[1]
        client = await self._open()
        self._cluster = None
        try:
            cluster = await client.cluster()
        except AuthFailed:
            await self._drop()  # the next client reads the secrets again: a file or a command may have new ones
            raise
        self._cluster = (self._clock(), cluster)
        return cluster

    async def _open(self) -> Asks:
        async with self._opening:
            if self._closed:
                raise Unreachable("the source is closed", sent=False)
            if self._client is not None and self._client.over:
                await self._drop()
            if self._client is None:
                config, token = await self._access.config()
                patience, secrets = self._options.timeout, self._access.secrets
                if self._make is None:
                    self._client = await Apart.open(config, patience, secrets, token)
                else:
                    self._client = await Client.open(config, patience, secrets, token, self._make)
            return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._asked += client.asked
            await client.close()


def _series(name: str, labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return name
    return f"{name}{{{','.join(f'{key}={_label(value)}' for key, value in labels)}}}"


def _label(value: str) -> str:
    """One harmless piece, without what would end the name."""
    return words(value).replace("{", "(").replace("}", ")").replace(",", ";")
