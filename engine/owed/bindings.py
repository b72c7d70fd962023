"""Which bounds there are, and what they are held in: the half of the judge that follows the configuration and the pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from adapters.model import Mode, Owed
from engine.config.model import Config, Expectation, matches
from engine.context import Context
from engine.owed.bind import OUTSIDE, RUNAWAY, SERIES, Draft, Warned
from engine.owed.bound import MEASURED, PER_RUN, Bound, OwedChange
from engine.owed.judging import Looking, Outlook
from engine.owed.ledger import SETTLED, Ledger, bound_record
from engine.owed.occurrences import Occurrence
from engine.owed.watch import DAY, FORGET, FREEZE, Entry, Watch
from engine.store import owed as rows
from engine.store import owed_facts as asked
from engine.store import values
from engine.store.owed_facts import Thing
from engine.store.runs import RunChange
from engine.store.writer import Tx

WRONG: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError)
"""What a bound that we cannot judge may raise; trouble of the store is none of it and goes up."""

SETTLES: Final = 60_000
"""So long after a start sources have to say what they measure."""

Spot = tuple[str, str]
"""(promise, thing)."""


class Told(Protocol):
    """Who is told what changed (``engine.alerts.Alerts``)."""

    def on_owed(self, tx: Tx, changes: Sequence[OwedChange]) -> None: ...


class Live(Protocol):
    """Who judges runs while they go on (``engine.owed.live``)."""

    def configured(self, tx: Tx, bounds: Sequence[Bound]) -> None: ...
    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> list[OwedChange]: ...
    def tick(self, tx: Tx) -> list[OwedChange]: ...
    def on_waived(self, tx: Tx, occurrence_key: str) -> list[OwedChange]: ...


class Values(Protocol):
    """Who judges what is measured (``engine.owed.measured``)."""

    wrote: bool

    def configured(self, tx: Tx, bounds: Sequence[Bound]) -> None: ...
    def forget(self) -> None: ...
    def tick(self, tx: Tx) -> list[OwedChange]: ...
    def on_waived(self, tx: Tx, occurrence_key: str) -> list[OwedChange]: ...


class Bindings:
    """Bounds by what they are about. Whoever takes over says what is upstream of a thing, and which member was waived."""

    def __init__(
        self,
        ctx: Context,
        alerts: Told | None,
        outlook: Outlook | None = None,
        live: Live | None = None,
        measured: Values | None = None,
    ) -> None:
        self.ctx = ctx
        self.alerts = alerts
        self.outlook = outlook
        self.live = live
        self.measured = measured
        self._seen: dict[str, int] = {}
        self._generation = -1
        self._tx: Tx | None = None
        self._wrote: Tx | None = None
        self._clear()

    def _clear(self) -> None:
        self._config: Config = self.ctx.config
        self._ledger = Ledger()
        self._looking = Looking(self.ctx, self.outlook, self._ledger, self._root)
        self._looking.seen = self._seen
        self._looking.waived_on = self._waived_on
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._listed: set[str] = set()
        self._known: dict[Spot, rows.Known] = {}
        self._watches: dict[Spot, Watch] = {}
        self._by_id: dict[int, Watch] = {}
        self._of_pipeline: dict[int, list[Watch]] = {}
        self._of_other: dict[int, set[int]] = {}
        self._of_thing: dict[str, list[Watch]] = {}
        self._per_run: dict[Spot, Bound] = {}
        self._measured: dict[Spot, Bound] = {}
        self._series: tuple[int, int, str] | None = None
        self._series_at = 0
        self._ticked = 0
        self._settles_at: int | None = None
        self._live_now: dict[str, dict[int, tuple[int, int]]] = {}
        self._now: dict[str, int] = {}
        self._waived: dict[str, set[str]] = {}
        """By pipeline, the dates of which something is waived, as the store has it; asked when a set has to know."""
        self._warned: dict[str, list[Warned]] = {}
        self._ups: dict[str, list[str]] = {}
        self._downs: dict[str, list[str]] = {}
        self._dirty: set[int] = set()
        self._heap: list[tuple[int, int]] = []
        self._spans_at = 0

    # --- transactions ---------------------------------------------------------------------------------------------

    def _enter(self, tx: Tx) -> None:
        """What is in memory is as the store has it: after a rollback it is taken from there."""
        if tx is self._tx:
            return
        self._tx = tx
        if asked.generation(tx) != self._generation:
            self._load(tx)

    def _writing(self, tx: Tx) -> None:
        if tx is not self._wrote:
            self._wrote = tx
            self._generation += 1
            asked.set_generation(tx, self._generation)

    # --- configuration --------------------------------------------------------------------------------------------

    def _load(self, tx: Tx) -> None:
        self._clear()
        self._generation = asked.generation(tx)
        self._writing(tx)
        self._looking.before = asked.last_looks(tx)
        for row in asked.thing_rows(tx):
            self._put_thing(row)
        self._listed = {t.source for t in self._looking.things.values()} | set(self._looking.before)
        self._known = rows.known_expectations(tx)
        self._series, self._looking.binder.series = values.series_mark(tx), values.series_names(tx)
        if self.measured is not None:
            self.measured.forget()
        self._now = rows.now_rows(tx)
        for thing, id, state, due in rows.unsettled_apart(tx):
            self._live_now.setdefault(thing, {})[id] = (state, due)
        self._bind_all(tx, loading=True)

    def _take_back(self, tx: Tx) -> None:
        """Occurrences that are still of interest, out of the store."""
        now = tx.now
        waivers, skipped = asked.waivers(tx, now), asked.skipped_since(tx, now - 2 * DAY)
        for held in rows.held(tx, now, now - FORGET, now - DAY, now - FREEZE):
            w = self._by_id.get(held.expectation_id)
            if w is not None and not (w.rolling and held.one.state in SETTLED):
                self._hold(tx, w, held, waivers)
        for w in self._watches.values():
            since = min((e.one.from_at for e in w.entries.values() if e.unsettled), default=now)
            if w.rolling:
                continue
            left_out = skipped.get(w.bound.pipeline_id or -1) if w.default else None
            if left_out is not None:
                left_out = max(left_out - DAY, now - 2 * DAY)
                since = min(since, left_out)
            if since < now - DAY:
                for held in rows.held_since(tx, w.bound.id, since, now - DAY):
                    if held.one.key not in w.entries:
                        self._hold(tx, w, held, waivers)
                self._ledger.sort(w)
            if w.default:
                looked = self._looking.before.get(w.bound.source, 0)
                self._ledger.relive(w, now, waivers, looked, left_out)

    def _hold(self, tx: Tx, w: Watch, held: rows.Held, waivers: dict[str, Any]) -> Entry:
        e = w.entries[held.one.key] = Entry(held.one, held.id, held.told, fresh=False, risk=held.risk)
        e.waiver = waivers.get(held.one.key)
        e.predicted_at, e.settled_at = 1, held.changed
        if e.one.state is Owed.AT_RISK:  # it stands until prediction says otherwise
            e.words = e.one.reason.rpartition("; ")[0] or e.one.reason
        if w.default and held.one.state is Owed.EXCLUDED:
            e.frozen = True  # let go, or from before a pause: nothing is made up for
        elif not e.unsettled:  # as it was held before: what was settled long ago is not judged anew by a restart
            e.frozen = e.freezes_at < tx.now
        e.placed = False
        return e

    def _put_back(self, tx: Tx, w: Watch) -> None:
        """It was configured before: what is stored of it stands, and goes on to be judged."""
        waivers = asked.waivers(tx, tx.now)
        for held in rows.held_all(tx, w.bound.id, tx.now - DAY):
            self._hold(tx, w, held, waivers)

    def _bind_all(self, tx: Tx, loading: bool = False) -> None:
        """Everything anew."""
        self._warned.clear()
        binder, looking = self._looking.binder, self._looking
        drafts: list[Draft] = []
        for thing in looking.things.values():
            drafts += self._drafts_of(thing)
        drafts += self._other_drafts()
        wanted = {(d.bound.promise.id, d.bound.promise.on) for d in drafts}
        fresh = self._put_all(tx, drafts)
        if loading:
            self._take_back(tx)
        self._reopen(tx, fresh)
        gone = [s for s, k in self._known.items() if s not in wanted and not k.gone and s[0] != RUNAWAY]
        for spot in gone:
            self._retire(tx, spot, "no longer configured")
        self._warned["unmatched"] = binder.unmatched(looking.things.values(), frozenset(self._listed))
        self._around(tx)

    def _bind_some(self, tx: Tx, old: Sequence[Expectation], new: Sequence[Expectation]) -> None:
        """Only what these expectations are about."""
        ids = {e.id for e in old} | {e.id for e in new}
        looking = self._looking
        meant: dict[int, Thing] = {}
        for e in (*old, *new):
            exact = looking.by_key.get(e.on)
            if exact is not None:
                meant[exact] = looking.things[exact]
            else:
                meant.update({t.id: t for t in looking.things.values() if matches(e.on, t.facts)})
        drafts: list[Draft] = []
        for thing in meant.values():
            drafts += self._drafts_of(thing)
        others = any(e.type == "completeness" or e.on.startswith(OUTSIDE) for e in (*old, *new))
        if others:
            drafts += self._other_drafts()
        keys = {t.key for t in meant.values()}
        mine = [s for s in (*self._watches, *self._per_run, *self._measured) if s[1] in keys or (s[0] in ids)]
        wanted = {(d.bound.promise.id, d.bound.promise.on) for d in drafts}
        self._reopen(tx, self._put_all(tx, drafts))
        for spot in mine:
            if spot not in wanted:
                self._retire(tx, spot, "no longer configured")
        self._warned["unmatched"] = looking.binder.unmatched(looking.things.values(), frozenset(self._listed))
        self._around(tx, edges=others, runs=any(e.type in PER_RUN for e in (*old, *new)))

    def _drafts_of(self, thing: Thing) -> list[Draft]:
        warned: list[Warned] = []
        drafts: list[Draft] = []
        try:
            drafts = self._looking.binder.of_pipeline(thing, warned)
        except WRONG as error:
            self.ctx.log(f"owed: {thing.key}: {type(error).__name__}: {error}")
        self._warned.pop(thing.key, None)
        if warned:
            self._warned[thing.key] = warned
        return drafts

    def _other_drafts(self) -> list[Draft]:
        warned: list[Warned] = []
        drafts = self._looking.binder.of_others(self._looking.things.values(), warned)
        self._warned["others"] = warned
        return drafts

    def _put_all(self, tx: Tx, drafts: Iterable[Draft]) -> list[tuple[Watch, bool, bool]]:
        """Rows and watches of these; those whose due times may be others now: (watch, by its source's schedule, ours)."""
        found: list[tuple[Watch, bool, bool]] = []
        for d in drafts:
            promise = d.bound.promise
            spot = (promise.id, promise.on)
            known = self._known.get(spot)
            record = bound_record(d.bound, f"{d.fingerprint}/{d.ticks}")
            row = rows.record_row(record)
            if known is None or known.gone or known.record != row:
                id = rows.put_expectation(tx, record)
                opened = 0 if known is None or known.gone else known.opened_until
                self._known[spot] = rows.Known(id, *spot, record.fingerprint, opened, False, d.bound.declared, row)
            else:
                id = known.id
            if promise.type in PER_RUN:
                self._per_run[spot] = replace(d.bound, id=id)
                continue
            if promise.type in MEASURED:
                self._measured[spot] = replace(d.bound, id=id)
                continue
            w = self._watches.get(spot)
            if w is None:
                w = self._watches[spot] = self._by_id[id] = Watch(d, id)
                w.opened_until = self._known[spot].opened_until
                self._of_thing.setdefault(promise.on, []).append(w)
                if w.bound.pipeline_id is not None:
                    self._of_pipeline.setdefault(w.bound.pipeline_id, []).append(w)
                    self._ledger.excused.add(w.bound.pipeline_id)
                if known is not None and known.gone and not w.rolling:
                    self._put_back(tx, w)
            else:
                w.bound, w.fingerprint, w.ticks = replace(d.bound, id=id), d.fingerprint, d.ticks
            if known is not None and not known.gone and known.fingerprint != record.fingerprint:
                was, _, ticks = known.fingerprint.partition("/")
                found.append((w, ticks != d.ticks, was != d.fingerprint))
            self._resolve(w)
            self._dirty.add(id)
        return found

    def _resolve(self, w: Watch) -> None:
        """What of a bound depends on which pipelines there are."""
        looking, promise = self._looking, w.bound.promise
        thing = looking.things.get(w.bound.pipeline_id or -1)
        gone = thing is not None and thing.mode is Mode.GONE
        if gone is not w.gone:
            w.gone, w.next_open = gone, 0
            for e in w.entries.values():
                e.wake = 0
        others: list[int] = []
        if promise.type == "sequence" and promise.upstream is not None:
            exact = looking.by_key.get(promise.upstream)
            ups = [exact] if exact is not None else [
                t.id for t in looking.things.values() if t.key != w.thing and matches(promise.upstream, t.facts)
            ]  # fmt: skip
            w.upstreams = tuple(ups)
            others = ups
            if not ups:
                words = f'"{promise.upstream}" matches no pipeline: {w.thing} waits for nothing'
                self._warned.setdefault(w.thing, []).append((promise.id, words, w.bound.place))
        elif promise.type == "completeness":
            others = [looking.by_key[m] for m in promise.members if m in looking.by_key]
            w.sources = tuple(sorted({looking.things[i].source for i in others}))
        for pipeline in others:
            self._of_other.setdefault(pipeline, set()).add(w.bound.id)
            w.stale.add(pipeline)

    def _reopen(self, tx: Tx, found: Iterable[tuple[Watch, bool, bool]]) -> None:
        """After due times changed; says by promise how many open occurrences keep their old one."""
        kept: dict[str, int] = {}
        for w, source_said, ours in found:
            n = self._ledger.reopen(tx, w, tx.now, source_said and not ours)
            if n:
                kept[w.bound.promise.id] = kept.get(w.bound.promise.id, 0) + n
        for promise, n in sorted(kept.items()):
            plural = "s keep their" if n != 1 else " keeps its"
            thing = next((w.thing for (p, _), w in self._watches.items() if p == promise), promise)
            rows.put_event(tx, thing, "kept", f"{promise}: {n} open occurrence{plural} old due time")

    def _retire(self, tx: Tx, spot: Spot, why: str) -> None:
        self._per_run.pop(spot, None)
        self._measured.pop(spot, None)
        w = self._watches.pop(spot, None)
        known = self._known.get(spot)
        if w is not None:
            self._ledger.retire(tx, w, why)
            self._by_id.pop(w.bound.id, None)
            self._dirty.discard(w.bound.id)
            self._of_thing[w.thing].remove(w)
            if w.bound.pipeline_id is not None:
                self._of_pipeline[w.bound.pipeline_id].remove(w)
                self._ledger.excused.add(w.bound.pipeline_id)
        if known is None or known.gone:
            return
        if w is None:  # it was of an engine before this one, or is judged by run
            w = Watch(Draft(rows.gone_bound(known), ""), known.id)
            mine = self._live_now.get(w.thing, {})
            for held in rows.held_open(tx, known.id):
                self._hold(tx, w, held, {})
                mine.pop(held.id, None)
            self._ledger.retire(tx, w, why)
        rows.put_gone(tx, known.id)
        self._known[spot] = replace(known, gone=True)

    def _around(self, tx: Tx, *, edges: bool = True, runs: bool = True) -> None:
        """Warnings, edges, and who else goes by what is bound."""
        rows.put_warnings(tx, (w for part in self._warned.values() for w in part))
        if edges:
            found = self._looking.binder.edges(self._looking.things)
            rows.put_edges(tx, found)
            before, self._ups, self._downs = self._ups, {}, {}
            for up, down, _ in found:
                self._ups.setdefault(down, []).append(up)
                self._downs.setdefault(up, []).append(down)
            if self.outlook is not None:
                self.outlook.configured(tx, found)
            downs = sorted(before.keys() | self._ups.keys())
            self._forecast_anew(tx, [d for d in downs if before.get(d) != self._ups.get(d)])
        if runs and self.live is not None:
            self.live.configured(tx, list(self._per_run.values()))
        if self.measured is not None:
            self.measured.configured(tx, list(self._measured.values()))

    def _series_moved(self, tx: Tx) -> None:
        """Series came or went: those that a selector means now are bound, those that nobody measures any more are not."""
        mark, binder = values.series_mark(tx), self._looking.binder
        if self._settles_at is None:
            self._settles_at = tx.now + SETTLES
        settles = not binder.settled and tx.now >= self._settles_at
        if mark == self._series and not settles:
            return
        self._series, binder.settled = mark, binder.settled or settles
        names = values.series_names(tx)
        if (names == binder.series and not settles) or not any(e.on.startswith(SERIES) for e in binder.others):
            binder.series = names
            return
        binder.series = names
        self._writing(tx)
        drafts = self._other_drafts()
        wanted = {(d.bound.promise.id, d.bound.promise.on) for d in drafts}
        mine = [s for s in (*self._watches, *self._measured) if s[1].startswith(SERIES)]
        self._reopen(tx, self._put_all(tx, drafts))
        for spot in mine:
            if spot not in wanted:
                self._retire(tx, spot, "its series is no longer measured")
        self._around(tx, edges=False, runs=False)

    def _put_thing(self, row: tuple[Any, ...]) -> Thing:
        looking = self._looking
        thing = asked.thing(row)
        self._rows[thing.id] = row
        old = looking.things.get(thing.id)
        looking.things[thing.id] = thing
        looking.by_key[thing.key] = thing.id
        if thing.done_when:
            looking.runs.checks[thing.id] = thing.done_when
        else:
            looking.runs.checks.pop(thing.id, None)
        if old is not None and old.done_when != thing.done_when:
            looking.runs.forget(thing.id)
        return thing

    def _root(self, tx: Tx, w: Watch, one: Occurrence) -> str | None:
        raise NotImplementedError

    def _forecast_anew(self, tx: Tx, keys: Sequence[str]) -> None:
        raise NotImplementedError

    def _waived_on(self, tx: Tx, key: str, date: str) -> bool:
        raise NotImplementedError
