"""What is owed by single runs while they go on: not longer than declared, not out of the ordinary, not stuck.

``max_duration`` is judged from the start of a run on; ``duration_anomaly`` and ``runaway`` get an occurrence only when a run is
out of the ordinary. Runs that were seen only after they had ended are judged once, by their own times; fetched history never.
An occurrence that is kept is forgotten, one that was broken stays: MET_LATE when its run ended after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop
from math import ceil
from typing import Final

from adapters.model import Owed, State, Trigger
from engine.context import Context
from engine.owed import past
from engine.owed.anomaly import Side, judge_duration
from engine.owed.bound import PER_RUN, Bound, OwedChange
from engine.owed.history import Learnt
from engine.owed.occurrences import Evidence
from engine.owed.outlook import HELD, Outlook
from engine.owed.per_run import (
    FAR,
    MAX,
    ODD,
    RUNAWAY,
    Going,
    Held,
    Row,
    key_of,
    known_of,
    late,
    make,
    met,
    move,
    native,
    open_row,
    proof_of,
    runaway,
    tell,
    tells,
    unseen,
    word,
)  # fmt: skip
from engine.owed.wording import span, time_words
from engine.store import owed
from engine.store import past as store
from engine.store.owed_facts import waiver as waived
from engine.store.packed import bdate_text
from engine.store.past import PipelineFacts, Seen, Standing
from engine.store.runs import RunChange
from engine.store.writer import Tx

STILL: Final = 900_000
"""For how long (or for p50, if that is longer) nothing may move in a suspect until it is told, ms."""
ASK: Final = 60_000
"""How often a suspect is looked at closely, ms."""
POLL: Final = 1_000
"""How soon to look again where the next poll will tell, ms."""


class Live:
    """Asked by the judge inside its transactions, after :class:`Outlook` was told of the same changes."""

    def __init__(self, ctx: Context, outlook: Outlook) -> None:
        self._ctx = ctx
        self._outlook = outlook
        self._bounds: dict[int, list[Bound]] = {}

    def configured(self, tx: Tx, bounds: Iterable[Bound]) -> None:
        """All bounds there are, after a start or a reload; those that are not of single runs are left alone."""
        mine: dict[int, list[Bound]] = {}
        for bound in bounds:
            if bound.pipeline_id is not None and bound.promise.type in (MAX, ODD):
                mine.setdefault(bound.pipeline_id, []).append(bound)
        before, self._bounds = self._bounds, mine
        here = tx.memo.get("owed_live")
        if not isinstance(here, Held):
            return
        moved = {i for i in mine.keys() | before.keys() if not _same(mine.get(i, ()), before.get(i, ()))}
        for row in list(here.rows.values()):
            if row.pipeline_id in moved and row.one.type != RUNAWAY and self._bound_of(tx, row) is None:
                here.drop(row)
        for going in here.runs.values():
            if going.pipeline_id in moved:
                here.wake(going, tx.now)

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> list[OwedChange]:
        """Follow runs that changed."""
        here = self._held(tx)
        told: list[OwedChange] = []
        past = {c.pipeline_id for c in changes if c.backfilled}
        if past:  # history came: what is usual for runs that go on is known only now
            for going in here.runs.values():
                if going.pipeline_id in past:
                    going.usual = None
                    here.wake(going, tx.now)
        asked = [c for c in changes if not c.backfilled and (c.after.active or self._matters(here, c))]
        stored = store.seen(tx, (c.run_id for c in asked)) if asked else {}
        for change in asked:
            run = stored.get(change.run_id)
            if run is None:
                continue
            if not run.state.active:
                here.runs.pop(change.key, None)
                told += self._end(tx, here, change, run)
            elif run.started is not None:
                told += self._begin(tx, here, change, run)
        return told

    def tick(self, tx: Tx) -> list[OwedChange]:
        """What time alone changes."""
        here = self._held(tx)
        told: list[OwedChange] = []
        while here.due and here.due[0][0] <= tx.now:
            at, key = heappop(here.due)
            going = here.runs.get(key)
            if going is not None and going.look == at:
                told += self._look(tx, here, going)
        return told

    def on_waived(self, tx: Tx, occurrence_key: str) -> list[OwedChange]:
        """Somebody waived what one run owes (table ``waiver``): for as long as that run goes on, and for good after it."""
        here = self._held(tx)
        waiver = waived(tx, occurrence_key)
        found = owed.held_one(tx, occurrence_key)
        if waiver is None or found is None or found.one.type not in PER_RUN or found.one.state is Owed.WAIVED:
            return []
        facts = past.facts_of(tx, found.one.on)
        if facts is None:
            return []
        row = here.rows.get(occurrence_key) or Row(found.id, facts.id, found.one, found.risk, found.told)
        bound = self._bound_of(tx, row)
        if bound is None:
            return []
        reason = f"waived by {waiver.by}: {waiver.reason}"
        proof = (*row.one.evidence, Evidence("waiver", waiver.by, None, waiver.reason))
        return move(tx, bound, row, Owed.WAIVED, reason, proof, tx.now)

    # --- what is held -----------------------------------------------------------------------------------------------

    def _held(self, tx: Tx) -> Held:
        found = tx.memo.get("owed_live")
        if isinstance(found, Held):
            return found
        here = tx.memo["owed_live"] = Held()
        for key, pipeline_id in store.unsettled_keys(tx):
            row = owed.held_one(tx, key)
            if row is not None:
                here.keep(Row(row.id, pipeline_id, row.one, row.risk, row.told))
        for pipeline_id, key, run in store.active(tx):
            if run.started is not None and not run.history:
                facts = past.facts_of(tx, key)
                if facts is not None:
                    started = past.by_our_clock(past.standing_of(tx, facts.source_id), run.started)
                    going = here.runs[f"{key}/{run.name}"] = Going(f"{key}/{run.name}", pipeline_id, run, started)
                    here.wake(going, tx.now)
        return here

    def _matters(self, here: Held, change: RunChange) -> bool:
        """Whether anything is owed by a run that ended, or waits for one of its pipeline to end."""
        pipeline = change.pipeline_id
        return change.key in here.runs or pipeline in self._bounds or pipeline in here.of

    def _bound_of(self, tx: Tx, row: Row) -> Bound | None:
        """Of a row; None when it is not configured any more."""
        if row.one.type == RUNAWAY:
            facts = past.facts_of(tx, row.one.on)
            return None if facts is None else runaway(tx, facts)
        return next((b for b in self._bounds.get(row.pipeline_id, ()) if b.promise.id == row.one.promise), None)

    # --- while it goes on -------------------------------------------------------------------------------------------

    def _begin(self, tx: Tx, here: Held, change: RunChange, run: Seen) -> list[OwedChange]:
        """A run started, or something of it changed."""
        facts = past.facts_of(tx, change.key.partition("/")[0])
        if facts is None or run.started is None:
            return []
        started = past.by_our_clock(past.standing_of(tx, facts.source_id), run.started)
        going = here.runs.get(change.key)
        if going is None or going.run.attempt != run.attempt or going.started != started:
            fresh = change.before is None and run.attempt == 1
            going = here.runs[change.key] = Going(change.key, change.pipeline_id, run, started, fresh=fresh)
        going.run = run
        return self._look(tx, here, going, facts)

    def _look(self, tx: Tx, here: Held, going: Going, facts: PipelineFacts | None = None) -> list[OwedChange]:
        """Judge one run that goes on, and say when to look again."""
        facts = facts or past.facts_of(tx, going.key.partition("/")[0])
        if facts is None:
            return []
        told: list[OwedChange] = []
        looks: list[int] = []
        standing = past.standing_of(tx, facts.source_id)
        if going.usual is None:
            going.usual = store.usual(tx, going.pipeline_id)
        for bound in self._bounds.get(going.pipeline_id, ()):
            judge = self._longest if bound.promise.type == MAX else self._odd
            looks.append(judge(tx, here, going, facts, bound, standing, told))
        if facts.trigger != Trigger.CONTINUOUS:
            looks.append(self._stuck(tx, here, going, facts, standing, told))
        looks = [at for at in looks if at > 0]
        here.wake(going, max(min(looks), tx.now + 1) if looks else None)
        return told

    def _longest(
        self, tx: Tx, here: Held, going: Going, facts: PipelineFacts, bound: Bound, standing: Standing, told: list[OwedChange]
    ) -> int:  # fmt: skip
        """A declared limit; the answer is when to look again (0: not before it ends)."""
        now = tx.now
        row = here.rows.get(key_of(bound, going.run))
        due = (
            going.started + (bound.limit_ms or 0) if row is None else row.one.due_at
        )  # what is open keeps its due time
        limit = due - going.started
        zone = bound.promise.zone
        going_on = f"running since {time_words(zone, going.started, due)}"
        if row is None:
            row = open_row(tx, here, make(bound, facts, going.run, going.started, due, going_on), going.fresh)
        if row.one.state is Owed.WAIVED:
            return 0
        if row.one.state is Owed.BREACHED:
            if row.told:
                return 0
            if now < row.one.alert_at:
                return row.one.alert_at
            told.append(tell(tx, bound, row, Owed.BREACHED))
            return 0
        if now >= due:
            if standing.last_ok is not None and standing.last_ok >= due:
                reason = f"{going_on}, longer than {span(limit)}"
                told += move(tx, bound, row, Owed.BREACHED, reason, proof_of(going, reason), due)
                return 0 if row.told else row.one.alert_at
            if standing.fresh:
                return now + POLL
            told += move(
                tx,
                bound,
                row,
                Owed.UNKNOWN,
                f"{unseen(zone, standing, due)}; last known: {going_on}",
                row.one.evidence,
                None,
            )
            return now + HELD
        if row.said is None and row.one.state is Owed.PENDING and going.usual is not None:
            usual, high = going.usual
            if high <= limit and now < going.started + usual < due:
                return (
                    going.started + usual
                )  # nine in ten end in time: no half of them is late before it outlived the quicker half
        said = self._outlook.run(tx, row.one.key, facts, going.run, going.started, due, now, row.risk, bound)
        if said.prediction is not None and (said.prediction != row.said or said.risk != row.risk):
            owed.put_prediction(tx, row.id, said.prediction, said.risk)
            row.said = said.prediction
        row.risk = said.risk
        state = Owed.AT_RISK if said.words is not None else Owed.PENDING
        reason = going_on if said.words is None else f"{said.words}; {going_on}"
        told += move(tx, bound, row, state, reason, proof_of(going, going_on), None, said.prediction)
        return said.look_at or due

    def _odd(
        self, tx: Tx, here: Held, going: Going, facts: PipelineFacts, bound: Bound, standing: Standing, told: list[OwedChange]
    ) -> int:  # fmt: skip
        """Longer than ordinary, while it goes."""
        if not tells(going.run):
            return 0
        known = known_of(tx, facts, going.key, going.run, going.started)
        if known.bounds is None:
            return 0
        row = here.rows.get(key_of(bound, going.run))
        if row is not None:
            return 0
        due = going.started + ceil(known.bounds.high)
        if tx.now < due or judge_duration(tx.now - going.started, known.bounds, ended=False).side != Side.HIGH:
            return max(due, tx.now) + 1
        if standing.last_ok is None or standing.last_ok < due:
            return tx.now + (POLL if standing.fresh else HELD)
        reason = (
            f"running since {time_words(bound.promise.zone, going.started, due)}, usually {span(round(known.bounds.centre))}"
            f" and up to {span(round(known.bounds.high))}"
        )
        row = open_row(tx, here, make(bound, facts, going.run, going.started, due))
        told += move(tx, bound, row, Owed.BREACHED, reason, proof_of(going, reason), due, before=None)
        return 0 if row.told else row.one.alert_at

    def _stuck(
        self, tx: Tx, here: Held, going: Going, facts: PipelineFacts, standing: Standing, told: list[OwedChange]
    ) -> int:
        """Far beyond its history, and nothing moves. Looked at closely once it is suspect, at most once a minute."""
        now = tx.now
        row = here.rows.get(f"{RUNAWAY}|{facts.key}|{native(going.run)}")
        if row is None and going.moved is None:
            usual = going.usual
            if usual is None:
                return 0
            if now <= going.started + FAR * usual[1]:  # it cannot be far beyond the longest yet
                return going.started + FAR * usual[1] + 1
        known = known_of(tx, facts, going.key, going.run, going.started)
        if not isinstance(known.durations, Learnt):
            return 0
        longest = known.durations.ordered[-1]
        limit = going.started + ceil(FAR * longest)
        if now <= limit:
            return limit + 1
        if not standing.fresh or going.run.state in (State.QUEUED, State.HELD):
            going.moved = None  # what cannot be seen does not stand still
            return now + HELD
        if now - going.asked >= ASK:
            going.asked = now
            self._ctx.look_soon(going.key)
        moved = store.progress(tx, going.run.run_id)
        if moved != going.moved:
            known_before, going.moved, going.since = going.moved is not None, moved, now
            if row is not None and known_before:
                bound = self._bound_of(tx, row)
                if bound is not None:
                    told += met(tx, here, bound, row, "it gets on again", now)
            return now + ASK
        still = max(STILL, round(known.durations.p50))
        if row is not None or now - going.since < still:
            return now + ASK if row is not None else min(now + ASK, going.since + still)
        bound = runaway(tx, facts)
        n = known.durations.basis.n
        reason = (
            f"running for {span(now - going.started)}, more than {FAR} times the longest of {n} runs ({span(round(longest))}),"
            f" and nothing moved since {time_words(bound.promise.zone, going.since, now)}"
        )
        row = open_row(tx, here, make(bound, facts, going.run, going.started, limit))
        told += move(tx, bound, row, Owed.BREACHED, reason, proof_of(going, reason), now, before=None)
        return now + ASK

    # --- at its end -------------------------------------------------------------------------------------------------

    def _end(self, tx: Tx, here: Held, change: RunChange, run: Seen) -> list[OwedChange]:
        """Judge a run that ended, by its own times."""
        facts = past.facts_of(tx, change.key.partition("/")[0])
        if facts is None:
            return []
        told: list[OwedChange] = []
        ended = run.updated if run.ended is None else run.ended
        took = None if run.started is None or run.state is State.LOST else max(0, ended - run.started)
        for bound in self._bounds.get(change.pipeline_id, ()):
            if bound.promise.type == MAX:
                told += self._ended_longest(tx, here, change.key, run, facts, bound, ended, took)
            else:
                told += self._ended_odd(tx, here, change.key, run, facts, bound, ended, took)
        row = here.rows.get(f"{RUNAWAY}|{facts.key}|{native(run)}")
        if row is not None:
            bound = self._bound_of(tx, row)
            if bound is not None:
                told += late(tx, here, bound, row, f"{word(run.state)} at last", ended, None)
        if took is not None and run.state.finished:
            told += self._settle(tx, here, change, run, facts, took, ended)
        return told

    def _ended_longest(
        self, tx: Tx, here: Held, key: str, run: Seen, facts: PipelineFacts, bound: Bound, ended: int, took: int | None
    ) -> list[OwedChange]:  # fmt: skip
        row = here.rows.get(key_of(bound, run))
        limit = bound.limit_ms or 0 if row is None else row.one.due_at - row.one.from_at
        if took is None:
            return self._lost(tx, here, bound, row)
        if took <= limit:
            words = f"{word(run.state)} after {span(took)}, limit {span(limit)}"
            return [] if row is None else met(tx, here, bound, row, words, ended)
        words = f"took {span(took)}, limit {span(limit)}: {span(took - limit)} longer"
        if run.state is not State.SUCCESS:
            words = f"{word(run.state)}; {words}"
        known = row is not None
        if row is None:
            row = open_row(tx, here, make(bound, facts, run, ended - took, ended - took + limit))
        return late(tx, here, bound, row, words, ended, took - limit, key, known)

    def _ended_odd(
        self, tx: Tx, here: Held, key: str, run: Seen, facts: PipelineFacts, bound: Bound, ended: int, took: int | None
    ) -> list[OwedChange]:  # fmt: skip
        row = here.rows.get(key_of(bound, run))
        if took is None:
            return self._lost(tx, here, bound, row)
        verdict = past.verdict_of(tx, key)
        if row is not None:
            usual = (
                "" if verdict is None or verdict.bounds is None else f", usually {span(round(verdict.bounds.centre))}"
            )
            if verdict is not None and verdict.side == Side.NONE:
                return met(tx, here, bound, row, f"took {span(took)}{usual}", ended)
            return late(
                tx,
                here,
                bound,
                row,
                f"{word(run.state)} after {span(took)}{usual}",
                ended,
                max(0, ended - row.one.due_at),
            )
        if verdict is None or verdict.bounds is None or verdict.side == Side.NONE or past.shifted(tx, key):
            return []
        usual = span(round(verdict.bounds.centre))
        started = ended - took
        if verdict.side == Side.HIGH:
            high = ceil(verdict.bounds.high)
            row = open_row(tx, here, make(bound, facts, run, started, started + high))
            words = f"took {span(took)} instead of {usual}"
            return late(tx, here, bound, row, words, ended, took - high, key, False)
        row = open_row(tx, here, make(bound, facts, run, started, ended))
        reason = f"finished in {span(took)} instead of {usual}: did it process anything?"
        proof = (Evidence("run", key, ended, reason),)
        return move(tx, bound, row, Owed.BREACHED, reason, proof, ended, before=None)

    def _settle(
        self, tx: Tx, here: Held, change: RunChange, run: Seen, facts: PipelineFacts, took: int, ended: int
    ) -> list[OwedChange]:
        """Earlier runs that were suspiciously quick: done again as usual for the same date, or ordinary since the level shifted."""
        told: list[OwedChange] = []
        for key in sorted(here.of.get(change.pipeline_id, ())):
            row = here.rows[key]
            proof = row.one.evidence[-1] if row.one.evidence else None
            if row.one.type != ODD or row.one.state is not Owed.BREACHED or proof is None or proof.key in here.runs:
                continue
            bound = self._bound_of(tx, row)
            known = known_of(tx, facts, change.key, run, ended - took)
            if bound is None:
                continue
            shift = known.durations.basis.shift
            same = run.bdate is None or bdate_text(run.bdate) == row.one.business_date
            if shift is not None and row.one.from_at >= shift:
                told += late(tx, here, bound, row, "ordinary since the level shifted", ended, None)
            elif (
                same
                and not key.endswith(f"|{native(run)}")
                and known.bounds is not None
                and judge_duration(took, known.bounds).side != Side.LOW
            ):
                told += late(tx, here, bound, row, f"ran again in {span(took)}", ended, None)
        return told

    def _lost(self, tx: Tx, here: Held, bound: Bound, row: Row | None) -> list[OwedChange]:
        """Nobody knows how it ended."""
        if row is None:
            return []
        if row.one.state is Owed.PENDING:
            here.drop(row)
            owed.drop_occurrence(tx, row.id)
            return []
        return move(
            tx, bound, row, Owed.UNKNOWN, "lost by its source: how long it took is not known", row.one.evidence, None
        )


def _same(a: Sequence[Bound], b: Sequence[Bound]) -> bool:
    return len(a) == len(b) and all(x is y or x == y for x, y in zip(a, b, strict=True))
