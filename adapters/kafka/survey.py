"""What was found at one moment, and what follows from several: lag, rates and time to drain. No I/O.

Kafka tells no time with its answers: rates are of offsets between two of our own looks, by this host's monotonic clock.
What could not be read is no number: a group with one partition whose end is not known has no lag, but "at least".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.kafka.client import Cluster, Partition

LEAST_S: Final = 1.0
"""Two looks that are closer give no rate."""
Wanted = Callable[[str], bool]
"""Of topics."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a cluster. ``at``: monotonic seconds; ``wall``: ms UTC of this host.

    ``groups``: all that were asked for. ``wrong``: why the offsets of one are not known. ``ends`` holds what could be read,
    ``no_end`` why not. ``unlisted``: why there may be more groups than these.
    """

    at: float
    wall: int
    cluster: Cluster
    groups: tuple[str, ...] = ()
    committed: Mapping[str, Mapping[Partition, int]] = field(default_factory=dict[str, Mapping[Partition, int]])
    wrong: Mapping[str, str] = field(default_factory=dict[str, str])
    ends: Mapping[Partition, int] = field(default_factory=dict[Partition, int])
    no_end: Mapping[Partition, str] = field(default_factory=dict[Partition, str])
    unlisted: str = ""

    def topics_of(self, group: str) -> tuple[str, ...]:
        return tuple(sorted({topic for topic, _ in self.committed.get(group, {})}))


@dataclass(frozen=True, slots=True)
class Lag:
    """``value`` None: not known, ``why`` says it; ``known`` is then what is left of it: at least so much.

    ``open``: further partitions of its topics, with messages, where nothing is committed: what waits there nobody can tell. ``beyond``: partitions where more is committed than there is (the topic was
    made anew, or the offsets were set by hand); they count as 0.
    """

    value: int | None
    known: int = 0
    why: str = ""
    open: int = 0
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second over ``over_s`` seconds."""

    consumed: float
    produced: float
    over_s: float

    @property
    def gain(self) -> float:
        """By how much a second the lag becomes smaller."""
        return self.consumed - self.produced


def anything(_: str) -> bool:
    return True


def lag_of(look: Look, group: str, wanted: Wanted = anything) -> Lag:
    """Of a group, over the topics that are wanted."""
    if group in look.wrong:
        return Lag(None, why=look.wrong[group])
    offsets = look.committed.get(group)
    if offsets is None:
        return Lag(None, why=f"no group {group} is known" + (f": {look.unlisted}" if look.unlisted else ""))
    mine = {p: n for p, n in offsets.items() if wanted(p[0])}
    held = {p: n for p, n in mine.items() if n >= 0}
    all_ = {(topic, n) for topic in {topic for topic, _ in mine} for n in look.cluster.topics.get(topic, {})}
    blank = sum(look.ends.get(p) != 0 for p in all_ - set(held))
    if not held:
        return Lag(None, why="it has committed nothing" + ("" if wanted is anything else " there"), open=blank)
    known = beyond = 0
    unread: dict[Partition, str] = {}
    for partition, offset in held.items():
        end = look.ends.get(partition)
        if end is None:
            unread[partition] = look.no_end.get(partition, "it was not asked for")
        else:
            known += max(0, end - offset)
            beyond += end < offset
    if unread:
        (topic, n), why = min(unread.items())
        more = f" and {len(unread) - 1} more partitions" if len(unread) > 1 else ""
        return Lag(None, known, f"the end of {topic}-{n}{more} is not known: {why}", blank, beyond)
    return Lag(known, known, "", blank, beyond)


class History:
    """Looks of the last while, for rates. ``window_s``: over how long."""

    def __init__(self, window_s: float) -> None:
        self._window = window_s
        self._looks: list[Look] = []
        self._since: dict[tuple[str, Partition], float] = {}
        """Of a group's partition, or (group "") of a partition's end: what lies before this moment counts no more."""

    @property
    def last(self) -> Look | None:
        return self._looks[-1] if self._looks else None

    def put(self, look: Look) -> None:
        """Offsets that went back were set anew: a rate over that moment would be none, so it begins there."""
        before = self.last
        if before is not None:
            for partition, end in look.ends.items():
                if end < before.ends.get(partition, end):
                    self._since["", partition] = look.at
            for group, offsets in look.committed.items():
                old = before.committed.get(group, {})
                for partition, offset in offsets.items():
                    if 0 <= offset < old.get(partition, offset):
                        self._since[group, partition] = look.at
        self._looks.append(look)
        first = look.at - self._window
        while len(self._looks) > 2 and self._looks[1].at <= first:
            del self._looks[0]
        if len(self._looks) == 2 and self._looks[0].at < look.at - 10 * self._window:
            del self._looks[0]  # nobody looked for long: that would be a rate of another time
        oldest = self._looks[0].at
        self._since = {key: at for key, at in self._since.items() if at > oldest}

    def rates(self, group: str, wanted: Wanted = anything) -> Rates | None:
        """Of a group on the topics that are wanted; None: not known (yet)."""
        now = self.last
        if now is None:
            return None
        held = [p for p, n in now.committed.get(group, {}).items() if n >= 0 and wanted(p[0])]
        return self._over(held, lambda look: look.committed.get(group, {}), group) if held else None

    def produced(self, topic: str) -> float | None:
        """What is written to a topic, messages a second; None: not known (yet)."""
        now = self.last
        if now is None:
            return None
        mine = [(topic, n) for n in now.cluster.topics.get(topic, {})]
        found = self._over(mine, lambda look: look.ends, "") if mine else None
        return found.produced if found else None

    def _over(
        self, partitions: Iterable[Partition], offsets: Callable[[Look], Mapping[Partition, int]], group: str
    ) -> Rates | None:
        """From the oldest look that has all of it, since nothing of it was set anew."""
        now = self._looks[-1]
        mine = list(partitions)
        keys = {(g, p) for p in mine for g in ("", group)}
        since = max((at for key, at in self._since.items() if key in keys), default=0.0)

        def whole(look: Look) -> bool:
            had = offsets(look)
            return all(p in look.ends and had.get(p, -1) >= 0 for p in mine)

        if not whole(now):
            return None
        for then in self._looks[:-1]:
            if then.at < since or now.at - then.at < LEAST_S or not whole(then):
                continue
            over = now.at - then.at
            read = sum(offsets(now)[p] - offsets(then)[p] for p in mine)
            written = sum(now.ends[p] - then.ends[p] for p in mine)
            return Rates(read / over, written / over, over)
        return None


def drain_s(lag: Lag, rates: Rates | None) -> tuple[float | None, str]:
    """Seconds until there is no lag, if all goes on as it does; else None and why, in a clause."""
    if lag.value is None:
        return None, lag.why
    if lag.value == 0:
        return 0.0, ""
    if rates is None:
        return None, "its rate is not known yet"
    if rates.gain > 0:
        return lag.value / rates.gain, ""
    if rates.gain < 0:
        return None, f"it grows by {figure(-rates.gain)}/s"
    return None, "it does not become less"


def figure(value: float) -> str:
    """``1,204``, ``3.4``, ``0.02``."""
    if value >= 10 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def span(seconds: float) -> str:
    """``40s``, ``4m``, ``3h 20m``, ``2d 4h``; a fraction counts as a whole second."""
    s = int(-(-seconds // 1))
    if s < 60:
        return f"{s}s"
    m = round(s / 60)
    if m < 60:
        return f"{m}m"
    h, m = divmod(m, 60)
    if h < 24:
        return f"{h}h {m}m" if m else f"{h}h"
    d, h = divmod(h, 24)
    return f"{d}d {h}h" if h else f"{d}d"
