"""What the judge holds in memory of each bound, and the rows that stand for it: opening, writing, letting go.

A declared promise has a row for each occurrence. One that we make without configuration stays lean: while it is well it has
at most the row of its next occurrence (none where it ticks more often than hourly), and keeps a row only of what broke.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from adapters.model import Course, Owed
from engine.owed.bind import OVERDUE, SCHEDULE
from engine.owed.bound import Bound, OwedChange
from engine.owed.occurrences import Occurrence, open_between, reload
from engine.owed.predict import Prediction, Risk
from engine.owed.verdict import Waiver
from engine.owed.watch import DAY, FORGET, HOUR, Entry, Watch
from engine.store import owed as rows
from engine.store import owed_facts as asked
from engine.store.missed import drop_missed, put_missed
from engine.store.writer import Tx

AHEAD: Final = 26 * HOUR
"""How far a look opens. Occurrences are opened at least 24 h before they are due; ``OPEN_BY`` is when one that is not open yet asks for
the next look, so that the few that fall due within two hours are opened together."""
OPEN_BY: Final = 25 * HOUR
AT_ONCE: Final = 50
"""Occurrences of one schedule that are open ahead at most."""
SLICE: Final = 4 * HOUR
LEAN: Final = HOUR
"""A schedule without declaration that ticks more often has no rows while it is well."""
BROKEN_KEPT: Final = 20
"""Broken ticks in a row of an undeclared promise that get a row; those after them say nothing new."""
GIVE_UP: Final = 12 * HOUR
"""An undeclared schedule that ticks more often lets a hole go once it runs again."""
CALM: Final = 900_000
"""… for this long: a source that catches up fills its holes first."""
PREDICT_EVERY: Final = 300_000
TOLD: Final = 30_000
MOVED: Final = 0.02
LOCAL: Final = "local:"
"""Jobs that we start ourselves: before this engine knew them nobody did."""
SETTLED: Final = (Owed.MET, Owed.MET_LATE, Owed.EXCLUDED, Owed.WAIVED)


class Ledger:
    """Rows of what is owed, written as little as they change. What changed is gathered for the alerts in ``changes``."""

    def __init__(self) -> None:
        self.changes: list[OwedChange] = []
        self.touched: set[str] = set()
        """Things of which another occurrence may matter now."""
        self.excused: set[int] = set()
        """Pipelines of which something was waived, or is owed again: sets over them are to be judged."""

    # --- opening --------------------------------------------------------------------------------------------------

    def open(self, tx: Tx, w: Watch, now: int) -> None:
        """Open what falls due in the next day."""
        promise = w.bound.promise
        if w.gone or w.rolling:
            w.next_open = now + DAY
            return
        if now < w.next_open:
            return
        new = not w.opened_until
        if new:
            w.opened_until = now
        until, found = self._ahead(w, now)
        w.next_open = self._next_open(w, until, now)
        if until <= w.opened_until:
            return
        known = w.entries
        waivers: Mapping[str, Waiver] = {}
        if (
            w.unsure or w.opened_until < now
        ):  # after a start, a reload, or a while without an engine: what is stored stands, and what people said
            w.unsure = False
            waivers = asked.waivers(tx, now)
            stored = rows.keys_due(tx, w.bound.id, w.opened_until)
            found = [o for o in found if o.key not in stored]
        ours = new and w.thing.startswith(LOCAL) and promise.schedule is not None and promise.due is None
        if (
            w.default or ours
        ):  # a tick from before it was known is not owed: nobody asked for it, or nobody could start it
            found = [
                o
                for o in found
                if (ours or o.opened_as in (Owed.PENDING, Owed.SHIFTED)) and not (new and (o.tick or now + 1) <= now)
            ]
        fresh = [o for o in found if o.key not in known]
        for one in fresh:
            known[one.key] = Entry(one, waiver=waivers.get(one.key))
        if fresh and not w.lean:
            self.store(tx, w, [known[o.key] for o in fresh])
        w.opened_until = until
        if fresh or not promise.schedule:
            rows.set_opened(tx, w.bound.id, until)

    def _ahead(self, w: Watch, now: int) -> tuple[int, list[Occurrence]]:
        """(how far, what falls due until then)."""
        promise, a = w.bound.promise, w.opened_until
        end = now + AHEAD
        if w.default and promise.schedule is not None:
            tick = w.tick = promise.schedule.after(now)
            if w.lean is None:
                after = None if tick is None else promise.schedule.after(tick)
                w.lean = tick is not None and after is not None and after - tick < LEAN
            if tick is not None:
                end = min(end, tick + promise.grace_ms)
            a = max(a, now - 2 * DAY)
        a = max(a, now - FORGET)
        if promise.schedule is None or promise.due is not None or w.default:
            return end, open_between(promise, a, end) if end > a else []
        ahead = sum(1 for e in w.entries.values() if e.one.declared_at > now)  # a window may move them far
        found: list[Occurrence] = []
        while a < end and ahead < AT_ONCE:
            b = min(a + SLICE, end)
            some = open_between(promise, a, b)
            ahead += sum(1 for o in some if o.declared_at > now)
            found += some
            a = b
        return a, found

    def _next_open(self, w: Watch, until: int, now: int) -> int:
        """When the next one has to be opened, or it is time to see whether there is one."""
        promise = w.bound.promise
        if w.default and promise.schedule is not None:
            return now + DAY if w.tick is None else w.tick
        if promise.schedule is not None and promise.due is None:
            if until < now + AHEAD:  # full: when a few of them are over
                dues = sorted(e.one.declared_at for e in w.entries.values() if e.one.declared_at > now)
                return dues[min(len(dues) - 1, AT_ONCE // 4)] if dues else now + HOUR
            after = promise.due_after_ms if promise.due_after_ms is not None else promise.grace_ms
            tick = promise.schedule.after(until - after)
            return now + DAY if tick is None else min(max(tick + after - OPEN_BY, now + 60_000), now + DAY)
        some = open_between(promise, until, until + DAY)
        return (some[0].declared_at if some else until + DAY) - OPEN_BY

    def store(self, tx: Tx, w: Watch, entries: Iterable[Entry]) -> None:
        """Give these a row."""
        chosen = list(entries)
        for e, id in zip(chosen, rows.insert_occurrences(tx, w.bound.id, [e.one for e in chosen]), strict=True):
            e.id = id
        if chosen:
            self.touched.add(w.thing)
        if w.bound.pipeline_id is not None and any(e.one.state is Owed.WAIVED for e in chosen):
            self.excused.add(w.bound.pipeline_id)

    def reopen(self, tx: Tx, w: Watch, now: int, source_said: bool) -> int:
        """After its promise changed; how many open occurrences keep their old due time.

        ``source_said``: the schedule of the source changed, so the ticks that have not come are no longer owed. Otherwise
        (the configuration changed) what is open keeps its due time, and what is new in the open time is added.
        """
        if w.rolling:
            return 0
        if w.default or (source_said and w.bound.promise.due is None):
            for e in [
                e for e in w.entries.values() if e.one.state.waiting or (w.default and e.one.state is Owed.UNKNOWN)
            ]:
                if w.default or (e.one.tick or 0) > now:
                    self.drop(tx, w, e)
            if w.default and source_said:
                for e in w.entries.values():
                    e.frozen = True  # of the old schedule: what is broken is no longer made up for
            w.opened_until, w.next_open, w.lean, w.unsure = now, 0, None, True
            return 0
        w.next_open = 0
        fresh = open_between(w.bound.promise, now, w.opened_until) if w.opened_until > now else []
        said = reload([e.one for e in w.entries.values()], fresh)
        stored = rows.keys_due(tx, w.bound.id, now - 1)  # also what is settled, and no longer in memory
        new = [o for o in said.occurrences if o.key not in w.entries and o.key not in stored]
        waivers = asked.waivers(tx, now) if new else {}
        for one in new:
            w.entries[one.key] = Entry(one, waiver=waivers.get(one.key))
        self.store(tx, w, [w.entries[o.key] for o in new])
        self.sort(w)
        return said.kept

    def relive(
        self, w: Watch, now: int, waivers: Mapping[str, Waiver], looked: int, skipped: int | None = None
    ) -> None:
        """After a restart: what was well beside a hole, or beside what a window moved, has no row, but its runs are not the hole's. It is judged again; so is
        what its source left out (``skipped``: since when), for a run may come after all. What was due when its source was
        last ``looked`` at and has no row was well, or was not owed: the first verdict on it says nothing new."""
        broken = [e.one.declared_at for e in w.entries.values() if not e.frozen and e.one.declared_at <= now]
        if skipped is not None:
            broken.append(skipped)
        if not broken or w.bound.promise.schedule is None:
            return
        for one in open_between(w.bound.promise, min(broken), w.opened_until):
            if one.key not in w.entries and one.opened_as in (Owed.PENDING, Owed.SHIFTED):
                w.entries[one.key] = Entry(one, waiver=waivers.get(one.key), again=one.due_at <= looked)
        self.sort(w)

    def sort(self, w: Watch) -> None:
        w.entries = dict(sorted(w.entries.items(), key=lambda i: (i[1].one.due_at, i[0])))

    # --- writing --------------------------------------------------------------------------------------------------

    def drop(self, tx: Tx, w: Watch, e: Entry) -> None:
        """Forget one altogether."""
        if e.id is not None:
            rows.drop_occurrence(tx, e.id, predicted=not w.default)
            self.touched.add(w.thing)
            if e.one.state is Owed.WAIVED and w.bound.pipeline_id is not None:
                self.excused.add(w.bound.pipeline_id)
        w.entries.pop(e.one.key, None)
        e.id = None

    def put(self, tx: Tx, w: Watch, e: Entry, after: Occurrence, now: int, root: str | None = None) -> None:
        """Take a verdict: write it if it says something new, and gather what people are to be told."""
        before, e.one = e.one, after
        was, fresh, e.fresh = before.state, e.fresh, False
        alerting = after.state is Owed.BREACHED and after.alerting(now)
        if after.state is not was:
            e.settled_at = now
        if e.again and e.id is None and not after.state.waiting and after.state is not Owed.UNKNOWN:
            e.again, e.frozen = False, after.state is Owed.BREACHED
            return
        if after is not before:
            if not (self._put_lean(tx, w, e, was) if w.default else self._update(tx, e)):
                return  # one hole too many of a schedule that nobody declared
            self._placeholder(tx, w, before, after)
            if was is not after.state and Owed.WAIVED in (was, after.state) and w.bound.pipeline_id is not None:
                self.excused.add(w.bound.pipeline_id)
            if w.default and e.id is None and was is not Owed.BREACHED:
                return
            self.touched.add(w.thing)
            if after.state is not was:
                self._settle(tx, e)
        news = after.state is not was or (fresh and after.state is Owed.BREACHED and not e.told)
        if news or (alerting and not e.told):
            run = e.runs[-1].key if e.runs else None
            self.changes.append(
                OwedChange(
                    bound=w.bound, occurrence_id=e.id or 0, before=None if fresh and was is not Owed.BREACHED else was, after=after,
                    alerting=alerting, prediction=e.said, root=root, run_key=run,
                )
            )  # fmt: skip
        if alerting != e.told:
            e.told = alerting
            if e.id is not None:
                rows.put_told(tx, e.id, alerting)

    def _update(self, tx: Tx, e: Entry) -> bool:
        if e.id is not None:
            rows.update_occurrence(tx, e.id, e.one)
        return True

    def _put_lean(self, tx: Tx, w: Watch, e: Entry, was: Owed) -> bool:
        """False: it is forgotten, with nothing said."""
        state = e.one.state
        if state.waiting and was.waiting:
            return True  # what its run does meanwhile is to be read of the run
        by_word = state is Owed.WAIVED and e.waiver is not None  # it stays in sight: it may be taken back
        if by_word and e.id is None:
            self.store(tx, w, [e])
            return True
        if state in (Owed.MET, Owed.EXCLUDED, Owed.WAIVED) and not e.one.missed and not by_word:
            if e.id is not None:
                rows.drop_occurrence(tx, e.id, predicted=False)
                e.id = None
                self.touched.add(w.thing)
            return True
        if e.id is not None:
            return self._update(tx, e)
        if state is Owed.BREACHED:
            if sum(1 for o in w.entries.values() if o.id is not None and o.one.state is Owed.BREACHED) >= BROKEN_KEPT:
                w.entries.pop(e.one.key, None)
                return False
            self.store(tx, w, [e])
        elif state is Owed.MET_LATE and sum(1 for o in w.entries.values() if o.id is not None) < BROKEN_KEPT:
            self.store(tx, w, [e])  # it was broken, whether anybody looked meanwhile or not
        return True

    def _placeholder(self, tx: Tx, w: Watch, before: Occurrence, after: Occurrence) -> None:
        """A start that was missed shows as a hole in the history of runs, until its run comes after all."""
        if after.type != "start_by" or w.bound.promise.id == OVERDUE or w.bound.pipeline_id is None:
            return
        at = after.declared_at if after.tick is None else after.tick
        if after.state is Owed.BREACHED and after.missed:
            if not (before.state is Owed.BREACHED and before.missed):
                put_missed(tx, w.bound.pipeline_id, at, after.business_date)
        elif before.missed and not after.missed:
            drop_missed(tx, w.bound.pipeline_id, at)

    def _settle(self, tx: Tx, e: Entry) -> None:
        if e.id is None or e.predicted_at == 0 or e.one.state.waiting:
            return
        state = e.one.state
        late = None if state not in (Owed.MET, Owed.MET_LATE, Owed.BREACHED) else state is not Owed.MET
        rows.settle_predicted(tx, e.id, late, e.one.met_at)

    def predict(self, tx: Tx, e: Entry, p: Prediction | None, risk: Risk, now: int) -> None:
        """Keep what was predicted, if it says something new."""
        if e.id is None or p is None:
            e.risk = risk
            return
        old = e.said
        if (
            old is None or risk != e.risk or old.course is not p.course or (old.late is None) != (p.late is None)
            or (p.late is not None and old.late is not None and abs(p.late - old.late) >= MOVED)
            or (p.course is Course.LEARNING and old.n != p.n)
            or _moved(old.p50, p.p50) or _moved(old.p90, p.p90) or _moved(old.latest_start, p.latest_start)
        ):  # fmt: skip
            rows.put_prediction(tx, e.id, p, risk)
            e.said = p
            if p.late is not None and now - e.predicted_at >= PREDICT_EVERY and now < e.one.due_at:
                rows.put_predicted(tx, e.id, p.late, p.p50)
                e.predicted_at = now
        e.risk = risk

    def retire(self, tx: Tx, w: Watch, why: str) -> None:
        """It is no longer owed by anybody: what is open goes, what is broken is so no more."""
        now = tx.now
        for e in list(w.entries.values()):
            if e.one.state is Owed.BREACHED:
                self.put(tx, w, e, replace(e.one, state=Owed.EXCLUDED, reason=f"{why}; {e.one.reason}"), now)
            elif e.one.state.unsettled:
                before, id = e.one, e.id
                self.drop(tx, w, e)
                if before.state is not Owed.PENDING and id is not None:
                    after = replace(before, state=Owed.EXCLUDED, reason=why)
                    self.changes.append(
                        OwedChange(bound=w.bound, occurrence_id=id, before=before.state, after=after, alerting=False)
                    )
        w.entries.clear()
        self.touched.add(w.thing)

    def let_go(self, tx: Tx, w: Watch, now: int) -> int | None:
        """Of an undeclared schedule that ticks often: a hole is past once later ticks started, for a while; when to look again."""
        promise = w.bound.promise
        if promise.id != SCHEDULE or w.bound.declared or promise.schedule is None:
            return None
        broken = [e for e in w.entries.values() if e.one.state is Owed.BREACHED and not e.frozen]
        if not broken:
            return None
        well = [
            e.one
            for e in w.entries.values()
            if e.one.state in (Owed.MET, Owed.MET_LATE) and e.one.tick and e.one.met_at
        ]
        later: int | None = None
        for e in broken:
            tick = e.one.tick or 0
            after = promise.schedule.after(tick)
            if after is None or after - tick >= GIVE_UP:
                continue
            first = min((o.met_at or 0 for o in well if (o.tick or 0) > tick), default=None)
            if first is None:
                continue
            if now < first + CALM:
                later = min(later or first + CALM, first + CALM)
                continue
            words = f"{e.one.reason}; a later tick started, nothing is made up for"
            self.put(tx, w, e, replace(e.one, state=Owed.EXCLUDED, reason=words), now)
            e.frozen = True
        return later


def _moved(a: int | None, b: int | None) -> bool:
    return (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) >= TOLD)


def bound_record(bound: Bound, fingerprint: str) -> rows.ExpectationRecord:
    """The row of a bound."""
    p = bound.promise
    return rows.ExpectationRecord(
        promise=p.id, thing=p.on, pipeline_id=bound.pipeline_id, type=p.type, severity=bound.severity, declared=bound.declared,
        words=bound.words, zone=p.zone, late_by_ms=p.late_by_ms, warn=bound.warn, limit_ms=bound.limit_ms, expected_ms=bound.expected_ms,
        consumers=bound.consumers, runbook=bound.runbook, place=bound.place, fingerprint=fingerprint,
    )  # fmt: skip
