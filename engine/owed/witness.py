"""What is known of the occurrences of a bound: which runs are whose, its members and upstreams, and when its sources were seen."""

from __future__ import annotations

from collections.abc import Callable

from adapters.model import Owed
from engine.context import Context
from engine.owed.bind import SERIES, Binder
from engine.owed.fresh import Fresh
from engine.owed.held import Runs
from engine.owed.matching import NOT_OWED, RunFact, match
from engine.owed.occurrences import Occurrence, beside
from engine.owed.verdict import Facts, first_success
from engine.owed.watch import DAY, Entry, Watch
from engine.store import owed_facts as asked
from engine.store.owed_facts import Thing
from engine.store.writer import Tx


class Witness:
    """Says what is known; judges and writes nothing. ``seen``: by source, when its last complete poll began."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.runs = Runs()
        self.fresh = Fresh(self.runs)
        self.binder = Binder(ctx.config)
        self.things: dict[int, Thing] = {}
        self.by_key: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.before: dict[str, int] = {}
        """What is known of ``seen`` from before this start: good for words only."""
        self.waived_on: Callable[[Tx, str, str], bool] = lambda tx, key, date: False

    def _match(self, tx: Tx, w: Watch) -> Callable[[Entry], tuple[RunFact, ...]]:
        """Which runs belong to which occurrence of a pipeline's promise."""
        pipeline = w.bound.pipeline_id
        if pipeline is not None and any(e.frozen and self.runs.moved(pipeline, e.runs) for e in w.entries.values()):
            for e in w.entries.values():
                e.placed = e.placed and not e.frozen
        mine = [e for e in w.entries.values() if not e.apart]
        ones = [e.one for e in mine]
        if pipeline is None or not any(not e.frozen for e in mine):
            return lambda e: ()
        dates = {o.business_date for o in ones if o.dated and o.by_clock}
        facts = self.runs.of(tx, pipeline, min(o.from_at for o in ones), dates)
        frozen = [e for e in mine if e.frozen and e.one.opened_as not in NOT_OWED]
        if (
            frozen
        ):  # of its runs only those are stored that decided it; what came up after it was frozen was none of them
            decided = {proof.key: e.one.key for e in frozen for proof in e.one.evidence if proof.what == "run"}
            found = match(ones, facts, w.taken, decided)
            for e in frozen:
                mine_now = found.get(e.one.key, ())
                e.runs = tuple(run for run in mine_now if run.begun <= e.freezes_at or run.key in decided)
                e.placed = True
            ones = [e.one for e in mine if not e.frozen or e.one.opened_as in NOT_OWED]
        found = match(ones, facts, w.taken)
        return lambda e: found.get(e.one.key, ())

    def _facts(self, tx: Tx, w: Watch, e: Entry, seen: int | None) -> Facts:
        one, promise = e.one, w.bound.promise
        if promise.type == "completeness":
            members = {m: self._of_other(tx, w, e, self.by_key.get(m)) for m in one.members}
            excused = frozenset(m for m in one.members if self.waived_on(tx, m, self._dated_for(w, one, m)))
            e.runs = tuple(run for m in one.members for run in members[m])
            return Facts(seen=seen, waiver=e.waiver, members=members, excused=excused)
        if promise.type == "sequence":
            upstream, looked = self._upstream(tx, w, e)
            return Facts(runs=e.runs, seen=seen, waiver=e.waiver, upstream=upstream, upstream_seen=looked, gone=w.gone)
        if promise.type == "freshness" and w.thing.startswith(SERIES):
            arrivals = self.fresh.partition(tx, w.thing, one)
            wrong = None if arrivals else self.fresh.wrong(tx, w.thing)
            return Facts(seen=seen, waiver=e.waiver, arrivals=arrivals, newest=wrong)
        if promise.type == "source_arrival":
            feed = w.thing.partition(":")[2]
            return Facts(seen=seen, waiver=e.waiver, arrivals=asked.arrivals(tx, feed, one.from_at - 2 * DAY))
        return Facts(runs=e.runs, seen=seen, waiver=e.waiver, gone=w.gone)

    def _dated_for(self, w: Watch, one: Occurrence, member: str) -> str:
        """The business date that an occurrence of a set is of for one of its members, by that one's own rule."""
        pipeline = self.by_key.get(member)
        if pipeline is None or not self.binder.dates_vary:
            return one.business_date
        owed = self.binder.shadow(w.bound.promise, self.things[pipeline])
        return beside(owed, one).business_date

    def _of_other(self, tx: Tx, w: Watch, e: Entry, pipeline: int | None) -> tuple[RunFact, ...]:
        """Runs of a member, or of what a sequence waits for, that are for the same date as an occurrence."""
        if pipeline is None:
            return ()
        if pipeline in w.stale or pipeline not in w.by_member:
            w.stale.discard(pipeline)
            w.by_member[pipeline] = self._shadowed(tx, w, pipeline)
        found = w.by_member[pipeline]
        if e.when not in found:  # opened since
            found = w.by_member[pipeline] = self._shadowed(tx, w, pipeline)
        return found.get(e.when, ())

    def _shadowed(self, tx: Tx, w: Watch, pipeline: int) -> dict[str, tuple[RunFact, ...]]:
        owed = self.binder.shadow(w.bound.promise, self.things[pipeline])
        ones = [(e.when, beside(owed, e.one)) for e in w.entries.values()]
        dates = {o.business_date for _, o in ones if o.dated}
        found = match([o for _, o in ones], self.runs.of(tx, pipeline, min(o.from_at for _, o in ones), dates))
        return {when: found.get(o.key, ()) for when, o in ones}

    def _upstream(self, tx: Tx, w: Watch, e: Entry) -> tuple[tuple[RunFact, ...], int | None]:
        """Of several upstreams the one that succeeded last, or not at all; and since when all of them are known."""
        chosen: tuple[RunFact, ...] = ()
        worst = -1
        looks: list[int | None] = []
        for pipeline in w.upstreams:
            runs = self._of_other(tx, w, e, pipeline)
            done = first_success(runs, True)
            rank = (1 << 62) if done is None else done
            if rank > worst:
                worst, chosen = rank, runs
            looks.append(self.seen.get(self.things[pipeline].source))
        known = [at for at in looks if at is not None]
        looked = min(known) if known and len(known) == len(looks) else None
        if e.one.state is Owed.BREACHED and e.one.since is not None:
            looked = max(looked or 0, e.one.since)
        return chosen, looked

    def _seen(self, tx: Tx, w: Watch, one: Occurrence, now: int) -> int | None:
        """When its source was last seen. What is known to be broken was seen after it was due, also before a restart."""
        if one.type == "source_arrival":
            seen = asked.looked(tx, w.thing.partition(":")[2])
        elif w.thing.startswith(SERIES):
            seen = self.fresh.looked(tx, w.thing)
        else:
            seen = None
            for n, source in enumerate(w.sources):
                at = self.seen.get(source)
                if at is None and source in self.before:
                    at = min(self.before[source], one.due_at - 1)
                if at is None:
                    seen = None
                    break
                seen = at if n == 0 or seen is None else min(seen, at)
        if one.state is Owed.BREACHED or (one.state is Owed.EXCLUDED and one.type == "sequence"):
            seen = max(seen or 0, one.due_at)
        return seen

    def _told_later(self, w: Watch, one: Occurrence) -> bool:
        """Whether it is waived, and a source of it has not been seen since it was due."""
        return one.state is Owed.WAIVED and any(self.seen.get(source, 0) < one.due_at for source in w.sources)
