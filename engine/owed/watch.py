"""What the judge holds in memory of each bound: its occurrences, which of them may still change, since when runs matter to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from adapters.model import Owed
from engine.owed.bind import OVERDUE, Draft
from engine.owed.matching import RunFact
from engine.owed.occurrences import Occurrence
from engine.owed.predict import Prediction, Risk
from engine.owed.verdict import Waiver

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
NEVER: Final = 1 << 62
FREEZE: Final = 2 * HOUR
"""So long after we knew what became of it, other runs may show that it was otherwise: observations come in any order."""
FORGET: Final = 14 * DAY
"""What is broken or unknown this long is no longer looked at."""
HELD_LEAN: Final = 60


@dataclass(slots=True)
class Entry:
    """An occurrence in memory. ``id`` None: it has no row. ``fresh``: never judged. ``frozen``: not judged any more.

    ``words``, ``look_at``, ``root``: of the last prediction. ``polled``: its source was asked to answer about its due time.
    ``settled_at``: when we knew, by our clock. ``placed``: its runs are known (after a restart: not yet). ``again``: judged before this
    start and found to be nothing to tell. ``wake``: when its verdict can change though its runs do not (0: now). ``asked_at``, ``asked_of``: when, and of which runs, prediction was asked last.
    """

    one: Occurrence
    id: int | None = None
    told: bool = False
    fresh: bool = True
    frozen: bool = False
    polled: bool = False
    risk: Risk = field(default_factory=Risk)
    words: str | None = None
    look_at: int | None = None
    root: str | None = None
    said: Prediction | None = None
    predicted_at: int = 0
    waiver: Waiver | None = None
    runs: tuple[RunFact, ...] = ()
    wake: int = 0
    settled_at: int = 0
    placed: bool = True
    again: bool = False
    asked_at: int = 0
    asked_of: tuple[RunFact, ...] = ()

    @property
    def when(self) -> str:
        return self.one.key.rpartition("|")[2]

    @property
    def freezes_at(self) -> int:
        """When no other run is waited for any more. What is waived may have a run all the same, and that fills no other hole."""
        due = self.one.due_at + (FREEZE if self.one.state is Owed.WAIVED else 0)
        return max(self.settled_at + FREEZE, due)

    @property
    def apart(self) -> bool:
        """Whether its runs are its own for good. Where it has none a run that is told late may be: it came up before this was frozen."""
        return self.frozen and self.placed and bool(self.runs)

    def waived(self, now: int) -> bool:
        """Whether somebody's word that it is not owed holds now."""
        return self.waiver is not None and (self.waiver.until is None or now < self.waiver.until)

    @property
    def unsettled(self) -> bool:
        return self.one.state.unsettled or (
            self.one.state is Owed.WAIVED and self.waiver is not None and self.waiver.until is not None
        )


class Watch:
    """A bound with its occurrences, by key, oldest first."""

    __slots__ = (
        "bound", "by_member", "entries", "fingerprint", "gap", "gone", "lean", "look_at", "minds", "next_open", "opened_until", "since", "sources", "stale",
        "thing", "tick", "ticks", "unsure", "upstreams",
    )  # fmt: skip

    def __init__(self, draft: Draft, id: int) -> None:
        self.bound = replace(draft.bound, id=id)
        self.fingerprint = draft.fingerprint
        self.ticks = draft.ticks
        self.thing = draft.bound.promise.on
        self.entries: dict[str, Entry] = {}
        self.opened_until = 0
        self.look_at = 0
        self.next_open = 0
        self.unsure = True
        """Whether the store may have occurrences that would be opened now."""
        self.minds = 0
        """A run that began before then is none of its runs."""
        self.gone = False
        self.lean: bool | None = None
        """Whether it has no rows while it is well; None: not known yet."""
        self.tick: int | None = None
        """The next tick of an undeclared schedule."""
        self.sources: tuple[str, ...] = (draft.bound.source,) if draft.bound.source else ()
        self.upstreams: tuple[int, ...] = ()
        """Pipeline ids that a sequence waits for."""
        self.by_member: dict[int, dict[str, tuple[RunFact, ...]]] = {}
        """Of a completeness or sequence: by pipeline, its runs by the ``when`` of an occurrence."""
        self.stale: set[int] = set()
        self.gap: tuple[int, int, int] | None = None
        """Of ``overdue``: (last start, longest gap, number of gaps)."""
        self.since = 0
        """Of a rolling promise: from when on it is owed where nothing was heard yet."""

    @property
    def default(self) -> bool:
        return not self.bound.declared

    @property
    def rolling(self) -> bool:
        promise = self.bound.promise
        kind = promise.type
        if kind == "freshness":
            return promise.max_age_ms is not None
        return kind == "heartbeat" or (promise.id == OVERDUE and self.default)

    @property
    def taken(self) -> frozenset[str]:
        """Runs of what is not judged any more."""
        return frozenset(run.key for e in self.entries.values() if e.apart for run in e.runs)

    def need_from(self) -> int | None:
        """From when on its runs have to be known; None: it owes nothing now."""
        if not self.entries:
            return None
        ones = [e.one for e in self.entries.values() if not e.apart]
        if not ones:
            return None
        return min(o.from_at for o in ones) - (2 * DAY if any(o.dated and o.by_clock for o in ones) else 0)

    def mind_from(self) -> None:
        """Keep from when on a run matters to it at all."""
        ones = [e.one for e in self.entries.values() if not e.frozen]
        early = any(o.dated and o.by_clock for o in ones)
        self.minds = 0 if early or self.rolling else min((o.from_at for o in ones), default=NEVER)

    def drop_settled(self, now: int) -> None:
        """Let go of what no run can change any more: but what a run since the oldest open one may belong to stays, and the newest."""
        entries, horizon = self.entries, now
        settled: list[Entry] = []
        old: list[str] = []
        newest: Entry | None = None
        for key, e in entries.items():
            one = e.one
            if e.frozen or not e.unsettled:
                settled.append(e)
                if now - DAY <= one.due_at <= now:
                    newest = e
                if not e.frozen and one.from_at < horizon and one.opened_as not in (Owed.EXCLUDED, Owed.WAIVED):
                    horizon = one.from_at
            elif one.due_at < now - FORGET:
                old.append(key)
            elif one.from_at < horizon:
                horizon = one.from_at
        for key in old:
            del entries[key]
        for e in settled:
            one = e.one
            if e is newest or not e.frozen or one.due_at >= horizon or (one.met_at or 0) >= horizon:
                break  # a run of a newer one must find that at its place as long as an older one is judged
            del entries[one.key]
        if self.default and len(entries) > HELD_LEAN:
            for key in list(entries)[: len(entries) - HELD_LEAN]:
                del entries[key]
