"""Which run belongs to which occurrence. Pure: the answer depends on the set of facts alone, not on their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapters.model import Owed, RunKind, State
from engine.owed.occurrences import Occurrence

NOT_OWED: Final = (Owed.EXCLUDED, Owed.WAIVED)
"""As a calendar or a window opened it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFact:
    """One attempt of one run, as far as it was seen. ``updated``: the source's own time of change; newer wins.

    ``checked`` False: finished, but its ``done_when`` checks have not passed; ``checked_at``: when they did.
    """

    key: str
    state: State
    attempt: int = 1
    kind: RunKind = RunKind.SCHEDULED
    business_date: str | None = None
    queued: int | None = None
    started: int | None = None
    ended: int | None = None
    updated: int = 0
    checked: bool = True
    checked_at: int | None = None
    rerun_of: str | None = None

    @property
    def begun(self) -> int:
        """When it came up, as well as is known."""
        for at in (self.started, self.queued, self.ended):
            if at is not None:
                return at
        return self.updated

    @property
    def rank(self) -> tuple[int | str, ...]:
        """Of two sights of the same attempt the higher one is the truth, whichever came first; every field decides at last."""
        return (
            self.updated, self.state.terminal, int(self.state), self.ended or 0, self.checked, self.started or 0,
            self.queued or 0, self.checked_at or 0, int(self.kind), self.business_date or "", self.rerun_of or "",
        )  # fmt: skip


def newest(facts: Iterable[RunFact]) -> list[RunFact]:
    """Each attempt once, by its newest sight, in the order in which they came up."""
    best: dict[tuple[str, int], RunFact] = {}
    for fact in facts:
        have = best.get((fact.key, fact.attempt))
        if have is None or fact.rank > have.rank:
            best[fact.key, fact.attempt] = fact
    if len(best) < 2:
        return list(best.values())
    return sorted(best.values(), key=lambda f: (f.begun, f.key, f.attempt))


def match(
    occurrences: Iterable[Occurrence],
    facts: Iterable[RunFact],
    taken: frozenset[str] = frozenset(),
    decided: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, tuple[RunFact, ...]]:
    """Which runs belong to which occurrence (by key) of one promise; a run belongs to at most one.

    Where both have a business date, only equal ones match: a newer date never takes yesterday's. Else time decides: a run
    belongs to the nearest occurrence that is still owed when it starts (not served by an earlier run that succeeded or
    goes on), from that one's early tolerance on: a late match of a hole, or an early run. Backfills match by date
    only. A scheduled run of a tick that a calendar or a window leaves out is that one's, and fills no hole of yesterday. Attempts and reruns stay where their first run is. The answer depends on the set of facts alone, not on their order.

    Pass all occurrences from the oldest unsettled one on, settled ones too; ``taken`` names runs that, with
    their reruns, belong to others. ``decided``: by run, the occurrence that it is known to be of.
    """
    owed = sorted(
        (o for o in occurrences if o.opened_as not in NOT_OWED or o.tick is not None),
        key=lambda o: (o.from_at, o.declared_at, o.key),
    )
    groups: dict[str, list[RunFact]] = {}
    for fact in newest(facts):
        if fact.key not in taken and fact.rerun_of not in taken:
            groups.setdefault(fact.key, []).append(fact)
    home: dict[str, str] = {}
    served: set[str] = set()
    found: dict[str, list[RunFact]] = {}
    for key, attempts in sorted(groups.items(), key=lambda g: (g[1][0].begun, g[0])):
        place = decided.get(key) or home.get(attempts[0].rerun_of or "") or _place(attempts, owed, served)
        if place is None:
            continue
        home[key] = place
        found.setdefault(place, []).extend(attempts)
        last = attempts[-1].state
        if last.active or any(a.state.finished for a in attempts):
            served.add(place)
    left_out = {o.key for o in owed if o.opened_as in NOT_OWED}
    return {key: tuple(runs) for key, runs in found.items() if key not in left_out}


def _place(attempts: Sequence[RunFact], owed: Sequence[Occurrence], served: set[str]) -> str | None:
    first, begun = attempts[0], attempts[0].begun
    best: tuple[bool, int, int, str] | None = None
    for one in owed:
        if one.opened_as in NOT_OWED and first.kind is not RunKind.SCHEDULED:
            continue  # who starts one by hand on a holiday makes good what is owed
        if first.business_date is None or not one.dated:
            same = False
            if first.business_date is not None and first.business_date > max(one.business_date, one.day):
                continue
        elif first.business_date == one.business_date:
            same = True
        else:
            continue
        if first.kind is RunKind.BACKFILL and first.business_date != one.business_date:
            continue
        if one.from_at > begun and not (same and one.by_clock):
            continue  # where its date says so, one that is due by the clock may have been done at any time before
        expected = one.declared_at if one.tick is None else one.tick
        rank = (one.key in served, abs(begun - expected), one.declared_at, one.key)
        if best is None or rank < best:
            best = rank
    return None if best is None else best[3]
