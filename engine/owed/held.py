"""Runs of pipelines that the judge holds in memory: since when, by key, by when they came up and by business date."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from engine.owed.matching import RunFact
from engine.owed.watch import DAY
from engine.store import owed_facts as asked
from engine.store.writer import Tx

MANY: Final = 48


class Held:
    """Runs of one pipeline since an instant, by key, by when they came up, and by business date."""

    __slots__ = ("by_date", "facts", "order", "since")

    def __init__(self, since: int, facts: dict[str, tuple[RunFact, ...]]) -> None:
        self.since = since
        self.facts = facts
        self.order = sorted((begun(f), key) for key, f in facts.items())
        self.by_date: dict[str, set[str]] = {}
        for key, found in facts.items():
            if found[0].business_date is not None:
                self.by_date.setdefault(found[0].business_date, set()).add(key)

    def take(self, key: str, facts: tuple[RunFact, ...]) -> None:
        had = self.facts.get(key)
        self.facts[key] = facts
        at = begun(facts)
        if had is None or begun(had) != at:
            if had is not None:
                self.order.remove((begun(had), key))
            insort(self.order, (at, key))
        date = facts[0].business_date
        if had is not None and had[0].business_date not in (None, date):
            self.by_date[had[0].business_date or ""].discard(key)
        if date is not None:
            self.by_date.setdefault(date, set()).add(key)

    def of(self, since: int, dates: Collection[str]) -> list[RunFact]:
        """Begun since then, or for one of these dates."""
        chosen = [key for _, key in self.order[bisect_left(self.order, (since, "")) :]]
        for date in dates:
            more = self.by_date.get(date)
            if more:
                chosen += [key for key in more if begun(self.facts[key]) < since]
        return [fact for key in chosen for fact in self.facts[key]]


def begun(facts: Sequence[RunFact]) -> int:
    return facts[0].begun if len(facts) == 1 else min(f.begun for f in facts)


class Runs:
    """Facts of runs in memory: of each pipeline those since its oldest occurrence that can still change."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self.checks: dict[int, tuple[str, ...]] = {}

    def of(self, tx: Tx, pipeline: int, since: int, dates: Collection[str] = ()) -> list[RunFact]:
        """What came up since then, and what is for one of these dates and came up in the two days before."""
        first = since - 2 * DAY if dates else since
        held = self._held.get(pipeline)
        if held is None or first < held.since:
            held = self._held[pipeline] = Held(first, asked.facts_since(tx, pipeline, first, self.checks))
        return held.of(since, dates)

    def take(self, tx: Tx, run_ids: Iterable[int]) -> dict[int, int]:
        """Read these runs anew where their pipeline is held; by pipeline of which something was taken: when the last of them began."""
        moved: dict[int, int] = {}
        for pipeline, key, facts in asked.facts_of(tx, run_ids, self.checks):
            held = self._held.get(pipeline)
            if held is not None and (
                key in held.facts or facts[-1].begun >= held.since or facts[0].begun >= held.since
            ):
                had = held.facts.get(key)
                held.take(key, facts)
                begun = max(f.begun for f in facts)
                if had is not None:
                    begun = max(begun, *(f.begun for f in had))
                moved[pipeline] = max(moved.get(pipeline, 0), begun)
        return moved

    def moved(self, pipeline: int, runs: Sequence[RunFact]) -> bool:
        """Whether any of these was otherwise when it was read last."""
        held = self._held.get(pipeline)
        return held is not None and any(run not in held.facts.get(run.key, (run,)) for run in runs)

    def holds(self, pipeline: int) -> bool:
        return pipeline in self._held

    def many(self, pipeline: int) -> bool:
        """Whether it is worth a look which of them are still needed."""
        held = self._held.get(pipeline)
        return held is not None and len(held.facts) > MANY

    def forget(self, pipeline: int) -> None:
        self._held.pop(pipeline, None)

    def keep_since(self, pipeline: int, since: int | None) -> None:
        """Let go of what is older; None: of all of it."""
        held = self._held.get(pipeline)
        if held is None:
            return
        if since is None:
            self.forget(pipeline)
        elif since > held.since:
            kept = {k: f for k, f in held.facts.items() if f[-1].begun >= since or f[0].begun >= since}
            if len(kept) < len(held.facts) * 3 // 4:
                self._held[pipeline] = Held(since, kept)
