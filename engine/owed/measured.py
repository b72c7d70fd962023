"""What measured values owe, judged whenever they are measured: limits, volumes, quotas, budgets, forecasts, reconciliations.

One of these is broken from the first reading that says so for as long as it must (``for``), and kept again after two good
readings. What is not measured any more is unknown: it neither breaks nor ends. A row stands while something is to be said;
of a quota and a budget one for each period. Pure rules: ``engine.owed.values``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Final

from adapters import schedule as schedules
from adapters.extras import series_of
from adapters.model import Owed
from adapters.schedule import zone as zone_of
from engine.config.model import Expectation
from engine.context import Context
from engine.owed import reading, values
from engine.owed.bindings import WRONG
from engine.owed.bound import Bound, OwedChange
from engine.owed.occurrences import Evidence, Occurrence
from engine.owed.reading import SERIES, Value
from engine.owed.values import Period, Said
from engine.owed.windows import Effect, effect
from engine.owed.wording import time_words
from engine.store import owed as rows
from engine.store import values as asked
from engine.store.owed_facts import waiver as waived
from engine.store.writer import Tx

LOOK_MS: Final = 10_000
"""Between two looks at one value; sooner where it is measured more often makes no sense: series are asked each ten seconds."""
SLOW_MS: Final = 300_000
"""Between two looks at a forecast: its days change once a day."""
PORTION: Final = 60
"""Values looked at in one tick at most; the rest follow with the next one."""
MUCH: Final = 10
"""What goes through weeks of days counts for so many."""
WELL_AGAIN: Final = 2
"""Good readings in a row that end it."""
TOLD_MS: Final = 20_000
"""How often the words of what goes on are written anew: what people read here is hardly behind the number beside it. A thousand
quotas that change with each reading are 2,000 rows a minute, a quarter of a percent of a core."""
SAME_MS: Final = 300_000
"""… and when it was read last, where it says the same."""


class Measured:
    """Asked by the judge inside its transactions: ``configured`` with all bounds, ``tick`` about once a second."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._values: dict[int, Value] = {}
        self._heap: list[tuple[int, int]] = []
        self._ticked = 0
        self.wrote = False
        """Whether the store was written to: to be taken back by whoever asks."""

    def configured(self, tx: Tx, bounds: Sequence[Bound]) -> None:
        """All bounds there are. What is broken stays so until it is measured to be well."""
        if not bounds and not self._values:
            return
        expectations = {e.id: e for e in self._ctx.config.expectations}
        before, self._values, self._heap = self._values, {}, []
        for bound in bounds:
            e = expectations.get(bound.promise.id)
            if e is None or e.value is None:
                continue
            had = before.get(bound.id)
            if had is not None and had.rule is e.value and had.bound == bound:  # nothing of it is otherwise
                self._values[bound.id] = had
                heappush(self._heap, (had.look, bound.id))
                continue
            made = self._make(bound, e)
            if had is not None and had.rule == made.rule and had.series == made.series:
                had.bound, had.cadence, had.beside_cadence = made.bound, made.cadence, made.beside_cadence
                had.windows = made.windows
                made = had
            else:
                self._take_back(tx, made)
                made.made, made.look = tx.now, tx.now + bound.id % LOOK_MS
            self._values[bound.id] = made
            heappush(self._heap, (made.look, bound.id))

    def forget(self) -> None:
        """The store is otherwise than was thought (a rollback): all is taken from there with the next ``configured``."""
        self._values, self._heap = {}, []

    def tick(self, tx: Tx) -> list[OwedChange]:
        """Look at what is due."""
        told: list[OwedChange] = []
        if tx.now < self._ticked:  # the clock went back: nobody waits until it is as late again
            for v in self._values.values():
                v.look, v.written = min(v.look, tx.now + v.bound.id % LOOK_MS), 0
            self._heap = sorted((v.look, id) for id, v in self._values.items())
        self._ticked = tx.now
        left = PORTION
        while left > 0 and self._heap and self._heap[0][0] <= tx.now:
            at, id = heappop(self._heap)
            v = self._values.get(id)
            if v is None or v.look != at:
                continue
            left -= MUCH if v.type == "forecast" or (v.type == "volume" and tx.now >= v.usual_until) else 1
            try:
                told += self._look(tx, v)
            except WRONG as error:  # one that we cannot judge: the others are judged all the same
                words = f"{type(error).__name__}: {error}"
                self._ctx.log(f"owed: {v.bound.promise.id} of {v.bound.promise.on}: {words}")
                told += self._unknown(tx, v, f"cannot be judged ({words[:80]})")
            v.look = tx.now + (SLOW_MS if v.type == "forecast" and v.seen is not None else LOOK_MS)
            heappush(self._heap, (v.look, id))
        return told

    def on_waived(self, tx: Tx, occurrence_key: str) -> list[OwedChange]:
        """Somebody waived it, or took that back: looked at again now."""
        for v in self._values.values():
            if v.one is not None and v.one.key == occurrence_key:
                return self._waive(tx, v)
        return []

    # --- one value --------------------------------------------------------------------------------------------------

    def _make(self, bound: Bound, e: Expectation) -> Value:
        assert e.value is not None
        rule, thing = e.value, bound.promise.on
        series = thing.removeprefix(SERIES) if rule.series is None else f"{rule.series}{{pipeline={thing}}}"
        schedule = None if rule.resets is None else schedules.parse(rule.resets, bound.promise.zone)
        # what goes on is never given up: a window that waives moves it past its end, as one that shifts does
        windows = tuple(replace(w, expect="shift") for w in bound.promise.windows)
        made = Value(
            bound, e.type, rule, series, self._cadence(series, bound.source), schedule=schedule, windows=windows
        )
        made.quiet = rule.series is not None and e.on != thing
        if rule.against is not None or rule.events is not None:
            made.beside = (
                reading.beside(series, rule.against) if rule.against else (rule.events or "").removeprefix(SERIES)
            )
            made.beside_cadence = self._cadence(made.beside, bound.source)
        return made

    def _cadence(self, series: str, source: str) -> int:
        """How often it is measured, ms."""
        own = next((s for s in self._ctx.config.series if series_of(s.name, series)), None)
        if own is not None and own.every_ms is not None:
            return own.every_ms
        name = own.source if own is not None else source
        poll = next((s.poll_ms for s in self._ctx.config.sources if s.name == name), 10_000)
        return max(poll, 10_000)

    def _take_back(self, tx: Tx, v: Value) -> None:
        """Its open row of before this start, or of before it was configured otherwise."""
        for held in rows.held_open(tx, v.bound.id):
            v.one, v.id, v.told = held.one, held.id, held.told
            v.known = held.one.reason.rpartition("; last known: ")[2]
            if held.one.state is Owed.BREACHED:
                v.bad_since, v.broken = held.one.since, True
            elif held.one.state is Owed.SHIFTED:
                v.bad_since = held.one.since
            elif held.one.state is Owed.UNKNOWN and held.one.lateness_ms is not None:
                v.bad_since, v.broken = (held.one.since or tx.now) - held.one.lateness_ms, True
        if v.one is None:  # what somebody waived stays so until it was well
            last = rows.held_last(tx, v.bound.id)
            if last is not None and last.one.state is Owed.WAIVED and last.one.met_at is None:
                v.one, v.id, v.told = last.one, last.id, last.told

    def _look(self, tx: Tx, v: Value) -> list[OwedChange]:
        period = reading.period_of(v, tx.now)
        told: list[OwedChange] = []
        if period is not None and v.one is not None and v.one.due_at <= tx.now and v.type in values.PERIODIC:
            told += self._over(tx, v, v.one.due_at)
        if v.one is not None and v.one.state is Owed.WAIVED and self._still_waived(tx, v):
            return told
        if v.bound.pipeline_id is not None and asked.is_gone(tx, v.bound.pipeline_id):
            return told if v.one is None else told + self._unknown(tx, v, "no longer at its source")
        found = reading.last(tx, v)
        if v.quiet and v.one is None and (found is None or found.t is None):
            return told
        doubt = reading.doubt(v, v.series, v.cadence, found, tx.now)
        said = None
        if found is not None and found.t is not None and doubt is None:
            if period is not None and v.type in values.PERIODIC and found.t < period.start:
                return told  # of the period before: nothing is known of this one yet
            said, doubt = reading.said(tx, v, found, found.t, period)
            if said is not None:
                if said.state is Owed.BREACHED and v.seen is None and v.bad_since is None and v.rule.for_ms:
                    v.bad_since, v.bad_ms = reading.lasted(tx, v, found, found.t, period)
                return told + self._take(tx, v, said, found.t, period, found.why is None)
        if v.seen is None and tx.now - v.made < reading.STALE_LEAST_MS:
            return told  # its first answer is on its way: what was known before stands
        return told + self._unknown(tx, v, doubt or "not measured")

    # --- what becomes of it -----------------------------------------------------------------------------------------

    def _take(self, tx: Tx, v: Value, said: Said, t: int, period: Period | None, answered: bool) -> list[OwedChange]:
        """A verdict on a reading of ``t``. It holds for as long as it must, and ends after good readings in a row. ``answered``: its
        source said so when it was asked last."""
        fresh = v.seen is None or t != v.seen
        if said.silent and v.broken:  # it neither breaks nor ends
            if v.one is None or v.one.state is not Owed.BREACHED:
                return self._unknown(tx, v, said.words)
            v.good, v.seen = 0, t
            words = f"{v.known}; now {said.words}" if v.known else said.words
            return self._move(tx, v, Owed.BREACHED, words, v.bad_since, None)
        v.seen, v.known = t, said.words
        state = said.state
        v.good = v.good + fresh if state is Owed.PENDING else 0
        if state is Owed.BREACHED:
            if v.bad_since is None:
                v.bad_since, v.bad_ms = t, 0
            elif v.bad_look is not None:
                v.bad_ms += min(max(0, tx.now - v.bad_look), reading.STALE_LEAST_MS)  # a night asleep is no look
            v.bad_look = tx.now if answered else None
            if v.bad_ms < v.rule.for_ms and not v.broken:
                state = Owed.AT_RISK if v.one is not None and v.one.state is Owed.AT_RISK else Owed.PENDING
        else:
            v.bad_look = None
            v.bad_since = v.bad_since if v.broken else None  # one good reading ends nothing: its begin stays
            if v.one is not None and v.broken:
                if v.good < (1 if v.rule.series is not None or v.type == "volume" else WELL_AGAIN):
                    once = ", well once: two good readings end it" if v.good else ""
                    return self._move(tx, v, Owed.BREACHED, said.words + once, v.bad_since, None)
                return self._kept_again(tx, v, said, t, period)
        words, moved = said.words, None
        if v.windows and not v.broken and state in (Owed.AT_RISK, Owed.BREACHED):
            broke = tx.now if v.bad_since is None else v.bad_since + v.rule.for_ms
            moved = effect(broke, v.windows)
            if tx.now < moved.due:  # nobody is told inside a window; whom a risk was told before knows it
                state = Owed.AT_RISK if v.one is not None and v.one.state is Owed.AT_RISK else Owed.SHIFTED
                words = f"{words}; {moved.why} to {time_words(v.bound.promise.zone, moved.due, tx.now)}"
            else:
                moved = None
        since = v.bad_since if state in (Owed.BREACHED, Owed.SHIFTED) else None
        if v.type == "forecast" and state is Owed.BREACHED and v.one is not None and not v.broken:
            assert v.id is not None
            rows.drop_occurrence(tx, v.id)  # another row: it is due when the limit will be reached
            v.one, v.id, v.told, self.wrote = None, None, False, True
        if v.one is None:
            if state is Owed.PENDING and (period is None or v.type not in values.PERIODIC):
                return []
            self._open(tx, v, period, said, t if since is None else since, moved)
        return self._move(tx, v, state, words, since, said.due)

    def _kept_again(self, tx: Tx, v: Value, said: Said, t: int, period: Period | None) -> list[OwedChange]:
        """It is well again: what was broken ends late; of a period that goes on the next row opens with the next look."""
        assert v.one is not None
        told = self._end(
            tx, v, Owed.MET_LATE, f"well again {time_words(v.bound.promise.zone, t, v.one.due_at)}: {said.words}", t
        )
        v.bad_since, v.broken = None, False
        return told

    def _over(self, tx: Tx, v: Value, at: int) -> list[OwedChange]:
        """A period ended."""
        assert v.one is not None
        if v.one.state is Owed.WAIVED:  # it was waived, and what comes is another one
            v.one, v.id, v.told, v.bad_since, v.broken = None, None, False, None, False
            return []
        state = Owed.MET_LATE if v.broken else Owed.MET
        words = f"the period is over; last: {v.one.reason}"
        v.bad_since, v.good, v.broken = None, 0, False
        return self._end(tx, v, state, words, at)

    def _unknown(self, tx: Tx, v: Value, why: str) -> list[OwedChange]:
        v.good, v.bad_look = 0, None
        if v.one is None:
            self._open(tx, v, reading.period_of(v, tx.now), Said(Owed.PENDING, why), tx.now)
        words = f"{why}; last known: {v.known}" if v.known else why
        return self._move(tx, v, Owed.UNKNOWN, words, None, None)

    def _open(self, tx: Tx, v: Value, period: Period | None, said: Said, at: int, moved: Effect | None = None) -> None:
        promise = v.bound.promise
        whole = period if v.type in values.PERIODIC else None
        when = _iso(at if whole is None else whole.start)
        due = declared = at
        if whole is not None:
            due = declared = whole.end
        elif moved is not None:
            due = moved.due
        elif said.due is not None and v.type == "forecast":
            due = declared = said.due
        key = f"{promise.id}|{promise.on}|{when}"
        held = rows.held_one(tx, key)
        if held is not None:  # of this period, settled before
            v.one, v.id, v.told = held.one, held.id, False
            return
        one = Occurrence(
            key=key, promise=promise.id, type=v.type, on=promise.on, zone=promise.zone, business_date=_local(promise.zone, at),
            tick=None, from_at=at, declared_at=declared, due_at=due, alert_at=due + promise.late_by_ms, dated=False, by_clock=False,
            reason=said.words, why_opened="" if whole is not None or moved is None else moved.why,
        )  # fmt: skip
        self.wrote = True
        (v.id,) = rows.insert_occurrences(tx, v.bound.id, [one])
        v.one, v.told, v.written = one, False, tx.now

    def _move(self, tx: Tx, v: Value, state: Owed, words: str, since: int | None, due: int | None) -> list[OwedChange]:
        assert v.one is not None
        assert v.id is not None
        was = v.one.state
        if state is not Owed.UNKNOWN:
            v.broken = state is Owed.BREACHED
        since = since if since is not None else (v.one.since if state is was else tx.now)
        if state is was and tx.now - v.written < (SAME_MS if words == v.one.reason else TOLD_MS):
            return self._later(tx, v)
        known = v.seen is not None and state is not Owed.UNKNOWN
        proof = (Evidence("value", v.series, v.seen, words),) if known else v.one.evidence
        late: int | None = None  # of what is unknown: for how long it had been broken when it was seen last
        if state is Owed.UNKNOWN and v.broken:
            late = v.one.lateness_ms if state is was else max(0, tx.now - (v.bad_since or tx.now))
        v.one = replace(v.one, state=state, reason=words, since=since, evidence=proof, met_at=None, lateness_ms=late)
        v.written, self.wrote = tx.now, True
        rows.update_occurrence(tx, v.id, v.one)
        if state is was:
            return self._later(tx, v)
        if state is Owed.PENDING and v.type not in values.PERIODIC:
            return self._end(tx, v, Owed.MET, words, v.seen or tx.now, was)
        return [self._tell(tx, v, was)]

    def _later(self, tx: Tx, v: Value) -> list[OwedChange]:
        """People are told of what is broken for ``alert_if_late_by``."""
        if v.one is None or v.told or v.one.state is not Owed.BREACHED or not _alerting(v.one, tx.now):
            return []
        return [self._tell(tx, v, Owed.BREACHED)]

    def _end(self, tx: Tx, v: Value, state: Owed, words: str, at: int, was: Owed | None = None) -> list[OwedChange]:
        """It is settled. Of what was kept nothing stays; what was broken stays as late."""
        assert v.one is not None
        assert v.id is not None
        before = v.one.state if was is None else was
        late = None if state is Owed.MET else max(0, at - (v.one.since or v.one.due_at))
        v.one = replace(v.one, state=state, reason=words, met_at=at, since=at, lateness_ms=late)
        told: list[OwedChange] = []
        self.wrote = True
        if state is Owed.MET:
            if before is not Owed.PENDING:
                told = [self._tell(tx, v, before)]
            rows.drop_occurrence(tx, v.id)
        else:
            rows.update_occurrence(tx, v.id, v.one)
            told = [self._tell(tx, v, before)]
        v.one, v.id, v.told = None, None, False
        return told

    def _tell(self, tx: Tx, v: Value, before: Owed) -> OwedChange:
        assert v.one is not None
        assert v.id is not None
        alerting = v.one.state is Owed.BREACHED and _alerting(v.one, tx.now)
        if alerting and not v.told:
            v.told = self.wrote = True
            rows.put_told(tx, v.id, True)
        return OwedChange(bound=v.bound, occurrence_id=v.id, before=before, after=v.one, alerting=alerting)

    # --- waivers ----------------------------------------------------------------------------------------------------

    def _waive(self, tx: Tx, v: Value) -> list[OwedChange]:
        assert v.one is not None
        assert v.id is not None
        said = waived(tx, v.one.key)
        was = v.one.state
        if said is not None and (said.until is None or tx.now < said.until):
            proof = (Evidence("waiver", said.by, None, said.reason),)
            until = "" if said.until is None else f" until {time_words(v.one.zone, said.until, tx.now)}"
            v.one = replace(
                v.one,
                state=Owed.WAIVED,
                reason=f"waived by {said.by}{until}: {said.reason}",
                evidence=proof,
                since=None,
            )
        elif was is Owed.WAIVED:
            v.one = replace(v.one, state=Owed.PENDING, reason="no longer waived", evidence=(), since=None)
            if v.good or v.bad_since is None:  # else it is as it was when it was waived: broken, since then
                v.bad_since, v.good, v.broken = None, 0, False
        if v.one.state is was:
            return []
        self.wrote = True
        rows.update_occurrence(tx, v.id, v.one)
        heappush(self._heap, (tx.now, v.bound.id))
        v.look = tx.now
        return [self._tell(tx, v, was)]

    def _still_waived(self, tx: Tx, v: Value) -> bool:
        """Until its time is over, or until it is well: a waiver is of what was broken then, not of the next time."""
        assert v.one is not None
        said = waived(tx, v.one.key)
        if said is not None and (said.until is None or tx.now < said.until):
            found = reading.last(tx, v)
            if found is None or found.t is None or reading.doubt(v, v.series, v.cadence, found, tx.now) is not None:
                return True
            verdict, _ = reading.said(tx, v, found, found.t, reading.period_of(v, tx.now))
            fresh = found.t != v.seen
            v.seen = found.t
            well = verdict is not None and verdict.state is Owed.PENDING and not verdict.silent
            v.good = v.good + fresh if well else 0
            if v.good >= WELL_AGAIN and v.type not in values.PERIODIC:
                assert v.id is not None
                self.wrote = True
                rows.update_occurrence(tx, v.id, replace(v.one, met_at=found.t))
                v.one, v.id, v.told, v.bad_since, v.broken = None, None, False, None, False
            return True
        self._waive(tx, v)
        return False


# --- small things ---------------------------------------------------------------------------------------------------


def _alerting(one: Occurrence, now: int) -> bool:
    return now >= (one.since or one.due_at) + one.alert_at - one.declared_at


def _local(zone: str, ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, zone_of(zone)).date().isoformat()


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
