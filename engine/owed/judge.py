"""The judge: what is owed, by whom, and what became of it; live, in the transaction that brought the fact.

A tick or a change touches only what it concerns: changed runs name their pipeline, and everything else waits in a heap for the
instant at which its verdict can change by itself. All of it is in the store: a restart, or a transaction that was rolled
back, takes it from there.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from adapters.model import Mode, Owed
from engine.owed.bind import FEED, PING, SET, Binder, Draft, changed
from engine.owed.bindings import WRONG, Bindings
from engine.owed.bound import MEASURED, PER_RUN, OwedChange
from engine.owed.judging import PREDICTED
from engine.owed.occurrences import Occurrence
from engine.owed.watch import DAY, FORGET, HOUR, NEVER, Watch
from engine.store import owed as rows
from engine.store import owed_facts as asked
from engine.store.owed_facts import Thing
from engine.store.runs import RunChange, run_id_of
from engine.store.writer import Tx

MUCH: Final = 50
"""Bounds that a poll stirred, above which what is not urgent is foreseen with the next ticks: the poll's transaction stays short."""
PORTION: Final = 1_000
"""Bounds looked at in one transaction at most; the rest come with the next tick."""
RIPPLE: Final = 10
"""Seconds over which what is downstream of a change is predicted anew."""
SPANS: Final = 2 * DAY
BACK: Final = 5_000
"""A clock that goes back by less is being set right."""
SERIES_EVERY: Final = 10_000
"""How often it is looked whether series came or went."""
DEPTH: Final = 12
AGAIN: Final = 600_000
_RANK: Final = {Owed.BREACHED: 0, Owed.AT_RISK: 1, Owed.UNKNOWN: 2, Owed.PENDING: 3, Owed.SHIFTED: 3}


class Judge(Bindings):
    """Give it what happens, in the transaction that stores it, and a ``tick`` about once a second."""

    def configured(self, tx: Tx) -> None:
        """``ctx.config`` is (another) configuration: bind it, open what it owes. What is open keeps its due time."""
        before = self._config
        self._enter(tx)
        self._writing(tx)
        if self._config is not self.ctx.config:
            self._config = self.ctx.config
            parts = changed(before, self.ctx.config)
            if parts is None:
                old, self._looking.binder = self._looking.binder, Binder(self.ctx.config)
                self._looking.binder.series, self._looking.binder.settled = old.series, old.settled
                self._bind_all(tx)
            else:
                self._looking.binder.follow(self.ctx.config, *parts)
                self._bind_some(tx, *parts)
            self._spans_at = 0
        self._judge(tx)

    # --- what happens ---------------------------------------------------------------------------------------------

    def on_pipelines(self, tx: Tx, source: str, told: Sequence[tuple[str, str]]) -> None:
        """A listing of a source was stored; to be called in that transaction. ``told``: as ``apply_pipelines`` says it."""
        self._enter(tx)
        looking = self._looking
        moved: list[Thing] = []
        first = source not in self._listed
        self._listed.add(source)
        for row in asked.thing_rows(tx, source):
            had = self._rows.get(row[0])
            if had is not None and had[:-1] == row[:-1]:
                both = had[-1] is not None and row[-1] is not None
                if had[-1] == row[-1] or (
                    both and row[1] not in self._warned and looking.binder.agrees(asked.thing(row))
                ):
                    continue  # a next run that moves on means something only where it is, or was, not what we read
            moved.append(self._put_thing(row))
        if not moved and not first:
            return
        self._writing(tx)
        drafts: list[Draft] = []
        for thing in moved:
            drafts += self._drafts_of(thing)
        drafts += self._other_drafts()
        wanted = {(d.bound.promise.id, d.bound.promise.on) for d in drafts}
        keys = {t.key: t for t in moved}
        bound = (*self._watches, *self._per_run, *self._measured)
        mine = [s for s in bound if s[1] in keys or s[1].startswith(SET)]
        self._reopen(tx, self._put_all(tx, drafts))
        for spot in mine:
            if spot not in wanted:
                thing = keys.get(spot[1])
                mode = None if thing is None else thing.mode
                why = {
                    Mode.PAUSED: "its pipeline is paused",
                    Mode.DISABLED: "its pipeline is disabled",
                    Mode.GONE: "no longer at its source",
                }
                self._retire(tx, spot, why.get(mode or Mode.ACTIVE, "no longer owed"))
        for w in self._watches.values():
            if w.bound.promise.type == "sequence":
                self._resolve(w)
            elif first and w.bound.promise.type == "completeness":
                self._complete(tx, w)
        self._warned["unmatched"] = looking.binder.unmatched(looking.things.values(), frozenset(self._listed))
        self._around(tx)
        self._forecast_anew(tx, [t.key for t in moved])  # what waits for one that was paused, or has another schedule
        self._judge(tx)

    def _complete(self, tx: Tx, w: Watch) -> None:
        """A source has told for the first time which pipelines it has: what is open of a set waits for those of it too."""
        members = w.bound.promise.members
        for e in w.entries.values():
            if e.one.state.waiting and e.one.due_at > tx.now and set(members) > set(e.one.members):
                e.one, e.wake = replace(e.one, members=members), 0
                if e.id is not None:
                    rows.put_members(tx, e.id, members)
                self._dirty.add(w.bound.id)

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """Runs whose stored row changed; to be called in that transaction, after the alerts."""
        self._enter(tx)
        if not changes:
            return
        self._writing(tx)
        if self.outlook is not None:
            self.outlook.on_runs(tx, changes)
        if self.live is not None:
            self._took(self.live.on_runs(tx, changes))
        looking = self._looking
        ids: list[int] = []
        fresh: set[int] = set()
        for c in changes:
            if c.pipeline_id not in self._of_pipeline and c.pipeline_id not in self._of_other:
                continue
            if looking.runs.holds(c.pipeline_id):
                ids.append(c.run_id)
            else:
                fresh.add(c.pipeline_id)
            for w in self._of_pipeline.get(c.pipeline_id, ()):
                if w.rolling:
                    w.stale.add(c.pipeline_id)
                    self._dirty.add(w.bound.id)
        moved = looking.runs.take(tx, ids) if ids else {}
        moved.update(dict.fromkeys(fresh, NEVER))
        self._stir(moved)
        past = {c.pipeline_id for c in changes if c.backfilled}
        self._forecast_anew(tx, [looking.things[i].key for i in past if i in looking.things])
        self._sets_again(tx, moved)
        if self._downs:
            self._ripple(tx, [looking.things[i].key for i in moved if i in looking.things])
        looking.busy = len(self._dirty) > MUCH
        try:
            self._judge(tx)
        finally:
            looking.busy = False

    def _ripple(self, tx: Tx, keys: Iterable[str]) -> None:
        """What waits for these may be predicted otherwise now: soon, not all at once."""
        layer, reached = list(keys), set[str]()
        while layer:
            further = {down for key in layer for down in self._downs.get(key, ())} - reached
            reached |= further
            layer = sorted(further)
        for key in reached:
            self._again(tx, key)

    def _forecast_anew(self, tx: Tx, keys: Sequence[str]) -> None:
        """What was learnt of these, or what they wait for, is otherwise now: they are predicted again, and what waits for them."""
        for key in keys:
            self._again(tx, key)
        if keys:
            self._ripple(tx, keys)

    def _again(self, tx: Tx, key: str) -> None:
        """Predict what is owed of a thing again, and of the sets that it is a member of."""
        for w in self._of_thing.get(key, ()):
            self._soon(tx, w)
        pipeline = self._looking.by_key.get(key)
        if pipeline is not None:
            self._sets_again(tx, (pipeline,))

    def _sets_again(self, tx: Tx, members: Iterable[int]) -> None:
        for pipeline in members:
            for id in self._of_other.get(pipeline, ()):
                w = self._by_id.get(id)
                if w is not None:
                    self._soon(tx, w)

    def _soon(self, tx: Tx, w: Watch) -> None:
        """Predict what a bound owes again: within seconds, not all at once."""
        if w.bound.promise.type not in PREDICTED:
            return
        at = tx.now + 1_000 * (1 + w.bound.id % RIPPLE)
        for e in w.entries.values():
            if e.asked_at and e.one.state.unsettled:
                e.look_at = at if e.look_at is None else min(e.look_at, at)
                e.wake = min(e.wake, e.look_at)
        if at < w.look_at:
            w.look_at = at
            heapq.heappush(self._heap, (at, w.bound.id))

    def _stir(self, pipelines: Mapping[int, int]) -> None:
        """Runs of these are others now, the last of which began then; who has nothing open since then need not look."""
        for pipeline, begun in pipelines.items():
            self._dirty.update(w.bound.id for w in self._of_pipeline.get(pipeline, ()) if w.minds <= begun)
            for id in self._of_other.get(pipeline, ()):
                w = self._by_id.get(id)
                if w is not None:
                    w.stale.add(pipeline)
                    self._dirty.add(id)

    def on_checked(self, tx: Tx, run_key: str) -> None:
        """A ``done_when`` check of a run was answered."""
        self._enter(tx)
        run_id = run_id_of(tx, run_key)
        if run_id is None:
            return
        self._writing(tx)
        self._stir(self._looking.runs.take(tx, [run_id]))
        self._judge(tx)

    def seen(self, source: str, at: int) -> None:
        """The last complete poll of a source began then (ms UTC): what was due before is known now. Judged with the next tick."""
        if at <= self._seen.get(source, 0):
            return
        self._seen[source] = at
        waiting = self._looking.blind.get(source)
        if waiting:
            for id in [i for i, due in waiting.items() if due <= at]:
                del waiting[id]
                self._dirty.add(id)

    def on_beat(self, tx: Tx, name: str) -> None:
        """A heartbeat was heard and stored."""
        self._of_things(tx, PING + name)

    def on_arrival(self, tx: Tx, feed: str) -> None:
        """A file of a feed came and was stored."""
        self._of_things(tx, FEED + feed)

    def _of_things(self, tx: Tx, thing: str) -> None:
        self._enter(tx)
        mine = self._of_thing.get(thing)
        if mine:
            self._writing(tx)
            self._dirty.update(w.bound.id for w in mine)
            self._ripple(tx, [thing])
            self._judge(tx)

    def on_waived(self, tx: Tx, occurrence_key: str) -> None:
        """Somebody waived an occurrence (table ``waiver``), or took that back."""
        self._enter(tx)
        held = rows.held_one(tx, occurrence_key)
        w = None if held is None else self._by_id.get(held.expectation_id)
        if held is None:
            return
        if w is None:
            if self.live is not None and held.one.type in PER_RUN:
                self._writing(tx)
                self._took(self.live.on_waived(tx, occurrence_key))
                self._tell(tx)
            if self.measured is not None and held.one.type in MEASURED:
                self._writing(tx)
                self._took(self.measured.on_waived(tx, occurrence_key))
                self._measured_wrote(tx)
                self._tell(tx)
            return
        self._writing(tx)
        e = w.entries.get(occurrence_key)
        if e is None:
            e = self._hold(tx, w, held, {})
            for beside in rows.held_since(tx, w.bound.id, held.one.from_at, tx.now):  # their runs are not its own
                if beside.one.key not in w.entries:
                    self._hold(tx, w, beside, {})
            self._ledger.sort(w)
        e.waiver, e.frozen, e.wake = asked.waiver(tx, occurrence_key), False, 0
        self._dirty.add(w.bound.id)
        for id in self._of_other.get(w.bound.pipeline_id or -1, ()):
            self._dirty.add(id)  # a member of a set may be excused by it
        self._judge(tx)

    def tick(self, tx: Tx) -> None:
        """What became due, and what a poll has shown since; about once a second."""
        self._enter(tx)
        now, heap = tx.now, self._heap
        if now < self._ticked - BACK:  # the clock went back: nobody waits until it is as late again
            self._dirty.update(self._by_id)
            for w in self._by_id.values():
                for e in w.entries.values():
                    e.wake = min(e.wake, now)
        self._ticked = now
        while heap and heap[0][0] <= now and len(self._dirty) < PORTION:
            at, id = heapq.heappop(heap)
            w = self._by_id.get(id)
            if w is not None and w.look_at == at:
                self._dirty.add(id)
        if self.live is not None:
            self._took(self.live.tick(tx))
        if self.measured is not None:
            if now >= self._series_at or now < self._series_at - SERIES_EVERY:  # a clock may go back
                self._series_at = now + SERIES_EVERY
                self._series_moved(tx)
            self._took(self.measured.tick(tx))
            self._measured_wrote(tx)
        if now >= self._spans_at:
            self._spans_at = now + HOUR
            rows.put_spans(tx, self._looking.binder.spans(now - SPANS, now + SPANS))
        if self._dirty or self._ledger.changes:
            self._writing(tx)
            self._judge(tx)

    def _measured_wrote(self, tx: Tx) -> None:
        if self.measured is not None and self.measured.wrote:
            self.measured.wrote = False
            self._writing(tx)

    # --- judging --------------------------------------------------------------------------------------------------

    def _judge(self, tx: Tx) -> None:
        """Look at all that is dirty, tell what changed."""
        now, looking = tx.now, self._looking
        ids = sorted(self._dirty)[:PORTION]
        self._dirty.difference_update(ids)
        for id in ids:
            w = self._by_id.get(id)
            if w is None:
                continue
            try:
                at = looking.look(tx, w, now)
            except WRONG as error:
                self.ctx.log(f"owed: {w.bound.promise.id} of {w.thing}: {type(error).__name__}: {error}")
                at = now + AGAIN
            if at != w.look_at:
                w.look_at = at
                heapq.heappush(self._heap, (at, id))
            if w.bound.promise.type == "completeness":
                for e in w.entries.values():
                    for member in e.one.members:
                        pipeline = looking.by_key.get(member)
                        if pipeline is not None:
                            self._of_other.setdefault(pipeline, set()).add(id)
            elif (
                w.bound.pipeline_id is not None
                and looking.runs.many(w.bound.pipeline_id)
                and w.bound.pipeline_id not in self._of_other
            ):
                needs = [n for o in self._of_pipeline[w.bound.pipeline_id] if (n := o.need_from()) is not None]
                looking.runs.keep_since(w.bound.pipeline_id, min(needs, default=None))
        self._tell(tx)

    def _tell(self, tx: Tx) -> None:
        ledger, looking = self._ledger, self._looking
        for pipeline in ledger.excused:
            self._waived.pop(looking.things[pipeline].key, None)
            self._dirty.update(self._of_other.get(pipeline, ()))
        ledger.excused.clear()
        feeds = [thing for thing in ledger.touched if thing.startswith(FEED)]
        if feeds:
            self._ripple(tx, feeds)  # late, waived, or not promised any more: who waits for it is to be told
        for thing in sorted(ledger.touched):
            self._matters(tx, thing)
        ledger.touched.clear()
        changes, ledger.changes = ledger.changes, []
        if changes and self.alerts is not None:
            self.alerts.on_owed(tx, changes)

    def _took(self, changes: Sequence[OwedChange]) -> None:
        """What is judged of runs by themselves matters to its thing too."""
        for c in changes:
            thing = c.bound.promise.on
            mine = self._live_now.setdefault(thing, {})
            if c.after.state in (Owed.BREACHED, Owed.AT_RISK):
                mine[c.occurrence_id] = (int(c.after.state), c.after.due_at)
            else:
                mine.pop(c.occurrence_id, None)
            self._ledger.touched.add(thing)
        self._ledger.changes += changes

    def _matters(self, tx: Tx, thing: str) -> None:
        """Keep which occurrence of a thing matters now: the worst that is open, the next due, or the last one of a day."""
        best: tuple[int, int, int, int, int] | None = None
        watches = self._of_thing.get(thing, ())
        for w in watches:
            for e in w.entries.values():
                if e.id is None or (e.frozen and e.one.state is not Owed.BREACHED):
                    continue
                rank = _RANK.get(e.one.state)
                if rank is None:
                    if e.one.due_at < tx.now - DAY:
                        continue
                    mine = (4, 0, -e.one.due_at, 0, e.id)
                else:
                    severity = int(w.bound.severity) if rank < 3 else 0
                    mine = (rank, int(w.default), severity, e.one.due_at, e.id)
                if best is None or mine < best:
                    best = mine
        for id, (state, due) in self._live_now.get(thing, {}).items():
            mine = (_RANK[Owed(state)], 0, 0, due, id)
            if best is None or mine < best:
                best = mine
        chosen = None if best is None else best[-1]
        if self._now.get(thing) == chosen:
            return
        rows.put_now(tx, thing, self._looking.by_key.get(thing), chosen)
        if chosen is None:
            del self._now[thing]
        else:
            self._now[thing] = chosen

    def _waived_on(self, tx: Tx, key: str, date: str) -> bool:
        dates = self._waived.get(key)
        if dates is None or self._looking.by_key.get(key) in self._ledger.excused:
            mine = [rows.waived_dates(tx, w.bound.id, tx.now - FORGET - DAY) for w in self._of_thing.get(key, ())]
            dates = self._waived[key] = set[str]().union(*mine)
        return date in dates

    # --- what is behind it ----------------------------------------------------------------------------------------

    def _root(self, tx: Tx, w: Watch, one: Occurrence) -> str | None:
        """The furthest thing upstream that is broken itself, of those that this one still waits for; None: none is."""
        found: tuple[int, str] | None = None
        seen = {w.thing}
        # a set waits for its members, a member for what is upstream of it
        layer = [*self._ups.get(w.thing, ()), *one.members]
        for depth in range(1, DEPTH + 1):
            further: list[str] = []
            for key in sorted(set(layer) - seen):
                seen.add(key)
                done, broken = self._standing(tx, key, one.from_at)
                if done:
                    continue
                if broken and key not in one.members:
                    found = (depth, key) if found is None or depth > found[0] else found
                further += self._ups.get(key, ())
            layer = further
            if not layer:
                break
        return None if found is None else found[1]

    def _standing(self, tx: Tx, key: str, since: int) -> tuple[bool, bool]:
        """(whether it holds up nobody, whether it is broken): by what it owes, and by its last run."""
        late = any(
            e.one.state in (Owed.BREACHED, Owed.AT_RISK) and e.one.due_at >= since
            for o in self._of_thing.get(key, ())
            for e in o.entries.values()
        )
        if key.startswith(FEED):
            return False, late
        state, last_ok = asked.stands(tx, key)
        if last_ok is not None and last_ok >= since and state is not None and not state.bad:
            return True, False
        return False, late or (state is not None and state.bad)
