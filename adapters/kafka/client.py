"""The one place that touches confluent-kafka: a few typed questions, all of them reads, and its errors as ours.

It runs in a child process (``adapters.kafka.apart``). librdkafka has threads of its own. ``list_topics`` blocks and is asked in a thread; the rest are futures. Its log and its
callbacks go nowhere but into ``_said``: nothing reaches a terminal. ``close`` ends every thread that it began.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from adapters.errors import (
    AdapterError,
    AuthFailed,
    BadResponse,
    Forbidden,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from adapters.http import words

NONE: Final = -1001
"""librdkafka's "no offset": nothing is committed."""
AT_ONCE: Final = 16
"""Groups whose offsets are asked for at the same time."""
LONG_S: Final = 600.0
"""What librdkafka is told to wait for a group's coordinator. We wait ``timeout_s``: once its own patience ends it may abort the process."""
ROUND_S: Final = 25.0
"""For the offsets of all groups together; those not asked by then have a reason and no number."""
Partition = tuple[str, int]
Admin = Any
"""confluent_kafka.admin.AdminClient, or what behaves like it."""

_AWAY: Final = frozenset({
    "_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_RESOLVE", "_DESTROY", "_FAIL", "_WAIT_COORD",
    "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "_SSL", "_NODE_UPDATE",
})  # fmt: skip
_KEY: Final = frozenset(
    {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE"}
)
_MISSING: Final = frozenset({
    "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "_UNKNOWN_GROUP", "GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_ID",
})  # fmt: skip
_LACKS: Final = frozenset({"UNSUPPORTED_VERSION", "_UNSUPPORTED_FEATURE", "_NOT_IMPLEMENTED"})
_silent: Final = logging.getLogger("watchfloor.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@dataclass(frozen=True, slots=True)
class PartitionState:
    """``leader`` -1: nobody leads it, it can be neither read nor written. ``in_sync`` of ``replicas`` hold all of it."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def offline(self) -> bool:
        return self.leader < 0

    @property
    def under_replicated(self) -> bool:
        return len(self.in_sync) < len(self.replicas)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One answer to "what is there". Topics that we may not describe are not in it; the protocol does not say that there are any."""

    id: str
    brokers: Mapping[int, str]
    topics: Mapping[str, Mapping[int, PartitionState]]
    wrong: Mapping[str, str] = field(default_factory=dict[str, str])
    """Topics that are named with an error instead of partitions."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """``word``: Kafka's own, small letters; an unknown one ends in ``?``. ``members`` counts who is in it."""

    word: str
    members: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Groups that may be seen. ``wrong``: brokers that did not answer, so that there may be more."""

    groups: tuple[str, ...]
    wrong: AdapterError | None = None


STATES: Final = {
    "STABLE": "stable", "EMPTY": "empty", "DEAD": "dead",
    "PREPARING_REBALANCING": "rebalancing", "COMPLETING_REBALANCING": "rebalancing",
    "ASSIGNING": "rebalancing", "RECONCILING": "rebalancing",
}  # fmt: skip


def missing() -> Unsupported:
    """The library is not installed."""
    return Unsupported(
        "the client library of Kafka is not installed: pip install 'watchfloor[kafka]'",
        "install it where the engine runs, then start the engine again",
    )


def library() -> tuple[Any, Any]:
    """confluent_kafka and its admin module; Unsupported where it is not installed."""
    try:
        import confluent_kafka
        import confluent_kafka.admin
    except ImportError:
        raise missing() from None
    return confluent_kafka, confluent_kafka.admin


class Client:
    """One connection to a cluster. Made by ``open``; every question raises adapters.errors only."""

    def __init__(self, admin: Admin, said: list[tuple[str, str]], timeout_s: float, secrets: Sequence[str]) -> None:
        self._box: list[Admin] = [admin]
        """Its only reference but for the moment of a call: what hangs on an error (frames, with what they hold) would keep its
        threads alive until somebody collects garbage."""
        self._said = said
        self._timeout = timeout_s
        self._secrets = secrets
        self.over = False
        self.asked = 0
        """Questions so far. One about many groups is one, though it is some small requests a group on the wire."""

    @classmethod
    async def open(
        cls,
        config: Mapping[str, Any],
        timeout_s: float,
        secrets: Sequence[str],
        token: Callable[[Any], tuple[str, float]] | None = None,
        make: Callable[..., Admin] | None = None,
    ) -> Client:
        """Nothing is connected yet. ``token`` gives OAUTHBEARER tokens; ``make`` stands in for AdminClient in tests."""
        lib, admin = library()
        said: list[tuple[str, str]] = []
        ms = max(int(timeout_s * 1000), 10)
        whole: dict[str, Any] = {
            "client.id": "watchfloor", "log_level": 0, "socket.timeout.ms": ms, "allow.auto.create.topics": False,
            "socket.connection.setup.timeout.ms": max(ms, 1000), "reconnect.backoff.max.ms": 5000, "socket.keepalive.enable": True,
            "error_cb": partial(_note, said), **config,
        }  # fmt: skip
        if token is not None:
            whole["oauth_cb"] = token
        try:
            made = await asyncio.to_thread(make or admin.AdminClient, whole, logger=_silent)
        except (lib.KafkaException, ValueError, TypeError) as error:
            text = words(str(error), secrets)
        else:
            return cls(made, said, timeout_s, secrets)
        if "ssl" in text.lower() or "certificate" in text.lower():
            raise AuthFailed(words(f"TLS cannot be set up: {text}"), "see tls and options of this source")
        raise BadResponse(words(f"the client cannot be set up: {text}"), "see url, auth and options of this source")

    async def close(self) -> None:
        """Ends librdkafka's threads, which may take a moment; never raises."""
        await asyncio.to_thread(self._box.clear)  # the last reference: its threads are joined there, not on the loop

    # --- questions --------------------------------------------------------------------------------------------------

    async def cluster(self) -> Cluster:
        """Brokers, topics, leaders and copies: one question."""
        self._ask()
        found = await self._told(asyncio.to_thread(_listed, self._box, self._timeout), "the cluster")
        self._said.clear()
        topics: dict[str, dict[int, PartitionState]] = {}
        wrong: dict[str, str] = {}
        for name, topic in found.topics.items():
            if topic.error is not None:
                wrong[name] = self._typed(topic.error, f"topic {name}").what
                continue
            topics[name] = {
                n: PartitionState(int(p.leader), tuple(p.replicas), tuple(p.isrs)) for n, p in topic.partitions.items()
            }
        brokers = {int(n): f"{b.host}:{b.port}" for n, b in found.brokers.items()}
        return Cluster(str(found.cluster_id or ""), brokers, topics, wrong)

    async def groups(self) -> Listed:
        """Names of consumer groups: one question to every broker."""
        self._ask()
        found = await self._told(
            self._future(lambda: self._box[0].list_consumer_groups(request_timeout=self._timeout)), "the groups"
        )
        if found.errors:
            await asyncio.to_thread(_heard, self._box)
        errors = [self._typed(error, "the groups") for error in found.errors or ()]
        names = tuple(sorted({str(one.group_id) for one in found.valid or () if one.group_id}))
        if errors and not names:
            raise errors[0]
        return Listed(names, errors[0] if errors else None)

    async def describe(self, groups: Sequence[str]) -> dict[str, GroupState | AdapterError]:
        """State and members of each; a group that is not there is ``dead``."""
        if not groups:
            return {}
        self._ask()
        out: dict[str, GroupState | AdapterError] = {}
        for start in range(0, len(groups), 100):
            part = list(groups[start : start + 100])
            futures = await self._made(
                lambda part=part: self._box[0].describe_consumer_groups(part, request_timeout=LONG_S),
                "the groups",
            )
            found = await asyncio.gather(
                *(self._told(self._patient(futures[g]), f"group {g}") for g in part), return_exceptions=True
            )
            for name, one in zip(part, found, strict=True):
                if isinstance(one, AdapterError):
                    out[name] = one
                elif isinstance(one, BaseException):
                    raise one
                else:
                    word = getattr(one.state, "name", str(one.state))
                    out[name] = GroupState(
                        STATES.get(word, f"{word.lower().replace('_', ' ')}?"), len(one.members or ())
                    )
        return out

    async def committed(
        self, groups: Sequence[str], partitions: Sequence[Partition] | None
    ) -> dict[str, Mapping[Partition, int] | AdapterError]:
        """What each group has committed; ``NONE`` where nothing. ``partitions`` None: wherever it has committed anything."""
        if groups:
            self._ask()
        if partitions is not None and not partitions:
            return {g: NotFound("none of the topics asked for is there, or may be described") for g in groups}
        lib = library()[0]
        loop = asyncio.get_running_loop()
        end, gate = loop.time() + ROUND_S, asyncio.Semaphore(AT_ONCE)

        async def one(group: str) -> Mapping[Partition, int] | AdapterError:
            async with gate:
                if loop.time() > end:
                    return Unreachable(f"the offsets of group {group} were not asked for: others took too long")
                wanted = None if partitions is None else [lib.TopicPartition(*p) for p in partitions]
                try:
                    futures = await self._made(
                        lambda: self._box[0].list_consumer_group_offsets(
                            [lib.ConsumerGroupTopicPartitions(group, wanted)], request_timeout=LONG_S
                        ),
                        f"group {group}",
                    )
                    found = await self._told(self._patient(futures[group]), f"group {group}")
                except AdapterError as error:
                    return error
                wrong = next((p.error for p in found.topic_partitions if p.error is not None), None)
                if wrong is not None:
                    return self._typed(wrong, f"group {group}")
                return {(str(p.topic), int(p.partition)): int(p.offset) for p in found.topic_partitions}

        return dict(zip(groups, await asyncio.gather(*map(one, groups)), strict=True))

    async def ends(self, partitions: Iterable[Partition], isolation: str) -> dict[Partition, int | AdapterError]:
        """Where each partition ends now (the offset that the next message gets): one question for all."""
        wanted = sorted(set(partitions))
        if not wanted:
            return {}
        self._ask()
        lib, module = library()
        level = {"read_committed": "READ_COMMITTED", "read_uncommitted": "READ_UNCOMMITTED"}[isolation]
        request = {lib.TopicPartition(*p): module.OffsetSpec.latest() for p in wanted}
        futures = await self._made(
            lambda: self._box[0].list_offsets(
                request, isolation_level=getattr(lib.IsolationLevel, level), request_timeout=self._timeout
            ),
            "the ends",
        )
        by_name = {(str(tp.topic), int(tp.partition)): future for tp, future in futures.items()}
        found = await asyncio.gather(
            *(self._told(asyncio.wrap_future(by_name[p]), f"{p[0]}-{p[1]}") for p in wanted), return_exceptions=True
        )
        out: dict[Partition, int | AdapterError] = {}
        for name, one in zip(wanted, found, strict=True):
            if isinstance(one, AdapterError):
                out[name] = one
            elif isinstance(one, BaseException):
                raise one
            else:
                end: Any = getattr(one, "offset", None)
                if isinstance(end, int) and end >= 0:
                    out[name] = end
                else:
                    out[name] = BadResponse(f"{name[0]}-{name[1]}: the broker told no end")
        return out

    # --- errors -----------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """One question more; none once it is closed."""
        if not self._box:
            raise Unreachable("the source is closed", sent=False)
        self.asked += 1

    async def _made(self, call: Callable[[], Any], what: str) -> Any:
        """A call that gives futures at once, or says at once what is wrong with the question."""
        lib = library()[0]
        try:
            return call()
        except lib.KafkaException as error:
            raise self._typed(error.args[0], what) from None
        except IndexError:
            text = ""
        except (ValueError, TypeError, RuntimeError) as error:
            text = words(str(error), self._secrets)
        if not self._box:
            raise Unreachable("the source is closed", sent=False)
        raise BadResponse(words(f"{what}: {text}"))

    async def _future(self, call: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(await self._made(call, "the groups"))

    def _patient(self, future: Any) -> Any:
        return asyncio.wait_for(asyncio.wrap_future(future), self._timeout)

    async def _told(self, answer: Any, what: str) -> Any:
        lib = library()[0]
        try:
            return await answer
        except lib.KafkaException as error:
            cause = error.args[0] if error.args else None
        except IndexError:
            raise Unreachable("the source is closed", sent=False) from None
        except TimeoutError:
            cause = lib.KafkaError(lib.KafkaError._TIMED_OUT)
        if self._box and _name(cause) in _AWAY:
            await asyncio.to_thread(_heard, self._box)
        raise self._typed(cause, what)

    def _typed(self, error: Any, what: str) -> AdapterError:
        """One clause of it. Why nobody answers is told by what librdkafka said beside it."""
        name = _name(error)
        if name in _AWAY:
            for code, text in reversed(self._said):
                clause = words(text, self._secrets)
                if code in _KEY:
                    return AuthFailed(
                        words(f"the brokers refuse who we are: {_short(clause)}"), "see auth of this source"
                    )
                if code == "_SSL":
                    return Unreachable(words(f"TLS: {_short(clause)}"), "see tls of this source", sent=False)
                if code == "_RESOLVE":
                    return Unreachable(words(f"no such host: {_short(clause)}"), "see url of this source", sent=False)
            said = next((words(text, self._secrets) for code, text in reversed(self._said) if code == "_TRANSPORT"), "")
            if name in ("_TIMED_OUT", "REQUEST_TIMED_OUT") and not said:
                return Unreachable(f"{_of(what)} gave no answer within {self._timeout:g} s")
            return Unreachable(
                words(f"no broker answers: {_short(said)}" if said else f"no broker answers about {_of(what)}")
            )
        text = words(str(getattr(error, "str", lambda: error)()), self._secrets)
        if name in _KEY:
            return AuthFailed(words(f"the brokers refuse who we are: {_short(text)}"), "see auth of this source")
        if name.endswith("AUTHORIZATION_FAILED"):
            return Forbidden(words(f"may not read {_of(what)}"), "an ACL that allows Describe on it would do")
        if name in _MISSING:
            return NotFound(words(f"{_of(what)} is not there"))
        if name in _LACKS:
            return Unsupported(words(f"these brokers cannot tell of {_of(what)}: {_short(text)}"))
        if name == "THROTTLING_QUOTA_EXCEEDED":
            return RateLimited("the brokers throttle us")
        return BadResponse(words(f"{_of(what)}: {_short(text) or name}"))


def _listed(box: list[Admin], timeout: float) -> Any:
    """Also lets it say what it had to say, so that nothing old is taken for a reason later."""
    try:
        return box[0].list_topics(timeout=timeout)
    finally:
        _heard(box)


def _heard(box: list[Admin]) -> None:
    """``error_cb`` is called from here alone: why nobody answers."""
    for admin in box[:1]:
        admin.poll(0)


def _note(said: list[tuple[str, str]], error: Any) -> None:
    """From poll, in whichever thread. A few of the last are enough."""
    said.append((_name(error), str(error.str())))
    del said[:-20]


def _name(error: Any) -> str:
    name = getattr(error, "name", None)
    return str(name()) if callable(name) else ""


def _of(what: str) -> str:
    return what if len(what) <= 90 else what[:89] + "…"


def _short(text: str) -> str:
    """Without librdkafka's own prefixes and the state that it was in."""
    text = text.removeprefix("Broker: ").removeprefix("Local: ")
    head, mark, tail = text.partition("/bootstrap: ")
    if mark:
        text = f"{head.rpartition('//')[2]}: {tail}"
    return text.partition(" (after ")[0][:150]
