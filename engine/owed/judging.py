"""One look at one bound: the verdict on what is known of it, and when to look again. What is known: ``engine.owed.witness``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final, Protocol

from adapters.model import Owed, State
from engine.context import Context
from engine.owed.bind import ASSET, PING, SCHEDULE, SERIES, span
from engine.owed.bound import Bound
from engine.owed.ledger import Ledger
from engine.owed.matching import RunFact
from engine.owed.occurrences import Occurrence, rolling
from engine.owed.predict import Risk
from engine.owed.verdict import Facts, judge
from engine.owed.watch import DAY, HOUR, Entry, Watch
from engine.owed.witness import Witness
from engine.store import owed as rows
from engine.store import owed_facts as asked
from engine.store.writer import Tx

PATIENCE: Final = 5_000
LONGEST: Final = 60_000
"""A due time waits for the poll that was asked for, before it is UNKNOWN: three polls of its source, this at most, and PATIENCE."""
RECHECK: Final = 5_000
FRESH: Final = 15_000
"""How often it is looked whether something measured is newer."""
NEAREST: Final = 2
"""So many open occurrences of a bound are predicted."""
STARTS: Final = 31
STARTS_SINCE: Final = 60 * DAY
GAPS: Final = 8
_DECIDED: Final = (Owed.MET, Owed.MET_LATE, Owed.BREACHED, Owed.EXCLUDED, Owed.WAIVED)
URGENT: Final = 900_000
"""What is due sooner is foreseen at once, however much a poll brought."""
SPREAD: Final = 5
PREDICTED: Final = ("finish_by", "completeness")
ASK_AGAIN: Final = 6 * HOUR
"""So old a prediction may get while nothing happens to its run: what was learnt since comes in then."""


class Outlook(Protocol):
    """What the judge asks of prediction (``engine.owed.outlook``)."""

    def configured(self, tx: Tx, edges: Sequence[tuple[str, str, str]]) -> None: ...
    def on_runs(self, tx: Tx, changes: Sequence[Any]) -> None: ...
    def say(self, tx: Tx, bound: Bound, one: Occurrence, runs: Sequence[RunFact], now: int, risk: Risk) -> Any: ...


class Looking(Witness):
    """Judges bounds one at a time."""

    def __init__(
        self, ctx: Context, outlook: Outlook | None, ledger: Ledger, root: Callable[[Tx, Watch, Occurrence], str | None]
    ) -> None:
        super().__init__(ctx)
        self.outlook = outlook
        self.ledger = ledger
        self.root = root
        self.busy = False
        """A poll changed much: its verdicts are written with it, what is foreseen of what is not urgent follows within seconds."""
        self.blind: dict[str, dict[int, int]] = {}
        """By source: bounds that wait until it was seen after a due time."""

    def look(self, tx: Tx, w: Watch, now: int) -> int:
        """Open, match, judge, write; when to look again."""
        if w.rolling:
            return self._roll(tx, w, now)
        self.ledger.open(tx, w, now)
        later = max(w.next_open, now + 1_000)
        if not w.entries:
            return later
        for e in w.entries.values():  # now, and not when it happens to be looked at: what came up since is not its own
            if not e.frozen and not e.unsettled and e.freezes_at < now and not self._told_later(w, e.one):
                e.frozen, e.placed = True, False
        matched = self._match(tx, w)
        near, moved, of_run = 0, False, w.bound.pipeline_id is not None and not w.upstreams
        foresees = self.outlook is not None and not w.gone and w.bound.promise.type in PREDICTED
        for e in list(w.entries.values()):
            if e.frozen:
                moved = True
                continue
            runs = matched(e)
            waits = e.one.state.waiting
            near += waits
            fresh = waits and near <= NEAREST and not e.asked_at and foresees  # it is among the next ones now
            if (
                of_run
                and not fresh
                and now < e.wake
                and runs == e.runs
                and (now < e.one.due_at or e.one.state in _DECIDED)
            ):
                later = min(later, e.wake) if e.unsettled else later
                continue
            moved = True
            e.runs = runs
            e.wake = self._one(tx, w, e, now, near <= NEAREST)
            near -= waits and not e.one.state.waiting
            later = min(later, e.wake)
            if not e.unsettled:  # no reason to wake up, but one to look at it again when something else does
                e.wake = min(e.wake, e.freezes_at + 1)
        if w.default:
            calm = self.ledger.let_go(tx, w, now)
            later = later if calm is None else min(later, calm)
        if moved:
            w.drop_settled(now)
            w.mind_from()
        return max(later, now + 1)

    def _one(self, tx: Tx, w: Watch, e: Entry, now: int, near: bool) -> int:
        """Judge one occurrence; when that can change though nothing happens (far away: never)."""
        never = now + DAY
        one = e.one
        seen = self._seen(tx, w, one, now)
        if now >= one.due_at and (seen is None or seen < one.due_at) and one.state.unsettled:
            self._ask(w, e)
        facts = self._facts(tx, w, e, seen)
        again = one.state is Owed.WAIVED and one.opened_as is not Owed.WAIVED and not e.waived(now)
        foresees = self.outlook is not None and not w.gone and w.bound.promise.type in PREDICTED
        if foresees and (one.state.unsettled or again):
            self._predict(tx, w, e, now, near)
            facts = facts if e.words is None else replace(facts, risk=e.words)
        at = self._patient(w, one, facts, now)
        after = self._lean(w, e, judge(one, facts, at))
        changed = after.state is not one.state
        bad = after.state in (Owed.BREACHED, Owed.AT_RISK) and (changed or (not e.told and after.alerting(now)))
        if after is not one or e.fresh or (not e.told and after.state is Owed.BREACHED and after.alerting(now)):
            root = None
            if bad:  # of what is at risk prediction knows what holds it up
                said = e.root if after.state is Owed.AT_RISK else None
                root = said or self.root(tx, w, after) or e.root
            self.ledger.put(tx, w, e, after, now, root)
        return self._again(w, e, at, now, never)

    def _again(self, w: Watch, e: Entry, at: int, now: int, never: int) -> int:
        one = e.one
        later = never
        if one.due_at > now and one.state.unsettled:
            later = one.due_at
        elif at < now or one.state is Owed.UNKNOWN:
            if not w.gone:
                for source in w.sources:
                    self.blind.setdefault(source, {})[w.bound.id] = one.due_at
            if at < now:
                later = min(later, one.due_at + self._patience(w)[1])
        if one.state is Owed.UNKNOWN:
            for pipeline in w.upstreams:  # whether it had succeeded by then is known once it was looked at again
                self.blind.setdefault(self.things[pipeline].source, {})[w.bound.id] = min(now, one.due_at)
        if w.bound.promise.type == "source_arrival" and one.state.unsettled and one.due_at <= now:
            later = min(later, now + RECHECK)
        if w.bound.promise.type == "freshness" and w.thing.startswith((SERIES, ASSET)) and one.state.unsettled:
            later = min(later, now + FRESH)
        if one.state is Owed.BREACHED and not e.told:
            later = min(later, max(now + 1, (one.since or one.due_at) + one.alert_at - one.due_at))
        if e.waiver is not None and e.waiver.until is not None and e.waiver.until > now:
            later = min(later, e.waiver.until)
        if e.look_at is not None and one.state.unsettled:
            later = min(later, max(e.look_at, now + 1_000))
        return later

    def _patience(self, w: Watch) -> tuple[int, int]:
        """(how old the last look may be for its source to be well, how long after a due time the next one may take)."""
        polls = [s.poll_ms for s in self.ctx.config.sources if s.name in w.sources]
        three = 3 * max(polls, default=10_000)
        return three + PATIENCE, min(three, LONGEST) + PATIENCE

    def _patient(self, w: Watch, one: Occurrence, facts: Facts, now: int) -> int:
        """``now``; right after a due time the moment before it, until the poll that was asked for has come."""
        if now < one.due_at or not one.state.waiting or facts.seen is None or facts.seen >= one.due_at:
            return now
        age, wait = self._patience(w)
        well = facts.seen >= one.due_at - age
        return one.due_at - 1 if well and now < one.due_at + wait else now

    def _ask(self, w: Watch, e: Entry) -> None:
        if e.polled or w.gone:
            return
        e.polled = True
        for source in w.sources:
            self.ctx.poll_soon(source)

    def _lean(self, w: Watch, e: Entry, after: Occurrence) -> Occurrence:
        """Of a schedule that nobody declared only a run that was never made is told: skipped by its source is left out, queued is there."""
        if not w.default or w.bound.promise.id != SCHEDULE or not e.runs:
            return after
        if after.state not in (Owed.BREACHED, Owed.UNKNOWN):
            return after
        if all(run.state is State.SKIPPED for run in e.runs):
            words = "skipped by its source"
        elif any(run.state.active or run.state is State.EXPECTED for run in e.runs):
            words = "its run is there, and waits"
        else:
            return after
        if e.one.state is Owed.EXCLUDED and e.one.reason == words:
            return e.one
        return replace(after, state=Owed.EXCLUDED, reason=words, missed=False)

    def _predict(self, tx: Tx, w: Watch, e: Entry, now: int, near: bool) -> None:
        if not near and e.one.state.waiting and e.one.state is not Owed.AT_RISK:
            return
        due = e.look_at is not None and e.look_at <= now
        if not due and e.asked_at and now - e.asked_at < ASK_AGAIN and e.asked_of == e.runs:
            return
        if self.busy and not due and e.one.due_at - now > URGENT:
            e.look_at = now + 1_000 * (1 + w.bound.id % SPREAD)
            return
        assert self.outlook is not None
        e.asked_at, e.asked_of = now, e.runs
        said = self.outlook.say(tx, w.bound, e.one, e.runs, now, e.risk)
        if said is None:
            e.look_at = None
            return
        e.words, e.look_at, e.root = said.words, said.look_at, said.root
        self.ledger.predict(tx, e, said.prediction, said.risk, now)

    # --- what is owed again and again after the last sign of life -----------------------------------------------------

    def _roll(self, tx: Tx, w: Watch, now: int) -> int:
        if w.bound.promise.type == "heartbeat":
            return self._beat(tx, w, now)
        if w.bound.promise.type == "freshness":
            return self._age(tx, w, now)
        return self._overdue(tx, w, now)

    def _age(self, tx: Tx, w: Watch, now: int) -> int:
        """Not older than so much: a value that tells an instant or a date, an asset, or the last success of a pipeline."""
        promise = w.bound.promise
        for _ in range(3):
            e = next((e for e in w.entries.values() if e.unsettled), None)
            sign = self.fresh.newest(tx, w, e.one if e is not None else None, now)
            if e is None:
                since = self._owed_since(tx, w, now)
                one = rolling(promise, since if sign.at is None else sign.at)
                if one is None:
                    return now + DAY
                e = self._opened(tx, w, one)
            elif sign.at is not None and sign.at + 1 < e.one.from_at and e.one.state is not Owed.BREACHED:
                self.ledger.drop(tx, w, e)  # what was known when it opened was less, or it went back
                w.since = 0
                w.opened_until = sign.at
                continue
            seen = sign.seen
            if w.bound.pipeline_id is not None:
                seen = self._seen(tx, w, e.one, now)
            elif e.one.state is Owed.BREACHED:
                seen = max(seen or 0, e.one.due_at)
            if now >= e.one.due_at and (seen is None or seen < e.one.due_at):
                self._ask(w, e)
            broken = e.one.state is Owed.BREACHED
            good = sign.at is not None and (not broken or sign.at + (promise.max_age_ms or 0) > now)
            facts = Facts(
                beats=(min(sign.at, max(now, e.one.from_at)),) if good and sign.at is not None else (), newest=sign.words, seen=seen, waiver=e.waiver, gone=w.gone
            )  # fmt: skip
            after = judge(e.one, facts, now)
            unseen = e.one.state is Owed.UNKNOWN and after.state is Owed.MET_LATE  # what was there meanwhile nobody saw
            later = self._rolled(tx, w, e, after, now, forget=(after.state is Owed.MET and not broken) or unseen)
            if later is not None:
                return later
        return now + RECHECK

    def _beat(self, tx: Tx, w: Watch, now: int) -> int:
        name = w.thing.removeprefix(PING)
        last = asked.last_beat(tx, name)
        for _ in range(3):
            e = next((e for e in w.entries.values() if e.unsettled), None)
            if e is None:
                one = rolling(w.bound.promise, max(last or 0, self._owed_since(tx, w, now)))
                if one is None:
                    return now + DAY
                e = self._opened(tx, w, one)
            beats = asked.beats(tx, name, e.one.from_at)
            good = tuple(at for at, what, _ in beats if what == "ok")
            fails = tuple((at, words) for at, what, words in beats if what == "fail")
            after = judge(e.one, Facts(beats=good, fails=fails, seen=now, waiver=e.waiver), now)
            kept = after.state is Owed.MET and e.one.state is not Owed.BREACHED
            later = self._rolled(tx, w, e, after, now, forget=kept)
            if later is not None:
                return later
        return now + RECHECK

    def _rolled(self, tx: Tx, w: Watch, e: Entry, after: Occurrence, now: int, *, forget: bool) -> int | None:
        """Write a verdict on what is owed again and again; when to look again, None: it is over, and the next one opens."""
        if forget:
            self.ledger.drop(tx, w, e)
        else:
            self._took(tx, w, e, after, now)
            if after.state not in (Owed.MET, Owed.MET_LATE):
                return self._again(w, e, now, now, now + DAY)
            w.entries.pop(after.key, None)
        w.since = max(w.since, after.met_at or 0)
        return None

    def _owed_since(self, tx: Tx, w: Watch, now: int) -> int:
        """From when on it is owed where nothing was heard yet."""
        if not w.since:
            w.since = w.opened_until or now
            rows.set_opened(tx, w.bound.id, w.since)
        return w.since

    def _overdue(self, tx: Tx, w: Watch, now: int) -> int:
        """A pipeline of which no schedule is known, silent for longer than it ever was."""
        pipeline = w.bound.pipeline_id
        assert pipeline is not None
        if w.gap is None or pipeline in w.stale:
            w.stale.discard(pipeline)
            w.gap = self._gap(tx, pipeline, now)
        if w.gap is None:
            return now + DAY
        last, longest, n = w.gap
        thing = self.things[pipeline]
        last = max(last, thing.mode_since or 0)
        allowed = longest + max(longest // 10, 600_000)
        for e in list(w.entries.values()):
            if e.one.from_at - 1 == last:
                continue
            if not e.unsettled:
                w.entries.pop(e.one.key, None)
            elif e.one.state is Owed.BREACHED and last > e.one.due_at:
                self._took(
                    tx,
                    w,
                    e,
                    judge(e.one, Facts(runs=self._first(tx, pipeline, e.one), seen=now, waiver=e.waiver), now),
                    now,
                )
                w.entries.pop(e.one.key, None)
            else:
                self.ledger.drop(tx, w, e)
        if not w.entries:
            one = rolling(replace(w.bound.promise, max_age_ms=allowed), last)
            if one is None or one.opened_as not in (Owed.PENDING, Owed.SHIFTED):
                return now + HOUR
            usual = f"longest pause of its last {n + 1} runs: {span(longest)}"
            self._known(tx, w, replace(one, why_opened=one.why_opened or usual))
        e = next(iter(w.entries.values()))
        if now < e.one.due_at:
            return e.one.due_at
        if asked.is_active(tx, pipeline):
            return now + HOUR  # it is not silent; its end, or its next start, makes us look
        seen = self._seen(tx, w, e.one, now)
        if seen is None or seen < e.one.due_at:
            self._ask(w, e)
            self.blind.setdefault(thing.source, {})[w.bound.id] = e.one.due_at
            if e.one.state is not Owed.BREACHED:
                return now + HOUR
        after = judge(e.one, Facts(seen=seen, waiver=e.waiver, gone=w.gone), now)
        if after.state is Owed.BREACHED:
            words = f"silent since its last start; {e.one.why_opened}"
            after = (
                e.one
                if e.one.state is Owed.BREACHED
                else replace(after, reason=f"{after.reason}, {words}", missed=False)
            )
        self._took(tx, w, e, after, now)
        return self._again(w, e, now, now, now + DAY)

    def _gap(self, tx: Tx, pipeline: int, now: int) -> tuple[int, int, int] | None:
        starts = asked.starts(tx, pipeline, now - STARTS_SINCE, STARTS)
        gaps = [b - a for a, b in pairwise(starts)]
        return (starts[-1], max(gaps), len(gaps)) if len(gaps) >= GAPS else None

    def _first(self, tx: Tx, pipeline: int, one: Occurrence) -> tuple[RunFact, ...]:
        found = asked.facts_since(tx, pipeline, one.from_at, self.runs.checks)
        return tuple(fact for facts in found.values() for fact in facts)

    def _opened(self, tx: Tx, w: Watch, one: Occurrence) -> Entry:
        e = self._known(tx, w, one)
        if e.id is None:
            self.ledger.store(tx, w, [e])
        return e

    def _known(self, tx: Tx, w: Watch, one: Occurrence) -> Entry:
        """As it is stored, with what people said of it, where it is: it may have been opened before a restart or a reload."""
        known = rows.held_one(tx, one.key)
        e = w.entries[one.key] = Entry(one)
        if known is not None:
            e.one, e.id, e.told, e.fresh, e.waiver = known.one, known.id, known.told, False, asked.waiver(tx, one.key)
        return e

    def _took(self, tx: Tx, w: Watch, e: Entry, after: Occurrence, now: int) -> None:
        if after is not e.one or (after.state is Owed.BREACHED and not e.told and after.alerting(now)):
            root = self.root(tx, w, after) if after.state is Owed.BREACHED else None
            self.ledger.put(tx, w, e, after, now, root)
