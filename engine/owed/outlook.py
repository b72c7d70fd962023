"""Will it make it: the prediction of one occurrence, whether that puts it at risk, why in words, and when to look again.

A run that goes on is compared with the runs of its history that outlived it; one that has not started waits for its schedule
and for everything upstream of it, as far as that is not done for the same business date; one that failed is predicted as if
somebody started it anew now. While its source does not answer, what was said stands: silence puts nothing at risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Final

from adapters.model import Course, Mode, Owed, RunKind, State
from adapters.schedule import Schedule, parse
from engine.context import Context
from engine.owed import past
from engine.owed.bound import Bound
from engine.owed.history import Learning, Learnt
from engine.owed.matching import RunFact
from engine.owed.occurrences import Occurrence
from engine.owed.predict import Prediction, Risk, rerun, running, start_passed, waiting
from engine.owed.wording import rerun_words, span, time_words
from engine.store import past as store
from engine.store.packed import bdate_number
from engine.store.past import PipelineFacts, Seen
from engine.store.runs import RunChange
from engine.store.writer import Tx

PREDICTED: Final = ("finish_by", "completeness")
"""Types whose end is predicted. Of runs by themselves (max_duration …) ``engine.owed.live`` asks."""
BETWEEN: Final = 10_000
"""Least distance of the two evaluations in a row that put a promise at risk, ms."""
HELD: Final = 30_000
"""How often to look while a source does not answer."""
STANDING: Final = 60_000
"""How often to look at what is reckoned from now on (not started, or to be rerun) when it gets tight."""
SOON: Final = 900_000
OVER: Final = 300_000
"""How often to reckon anew what is overdue: its end moves with the clock."""
EARLY: Final = 300_000
GRACE: Final = 600_000
"""After its tick by this much, something upstream that has not started is itself late."""
BACK: Final = 86_400_000
DATELESS: Final = 72_000_000
"""How far before the occurrence a run without a date may have started and still be upstream of it: 20 hours."""
DEPTH: Final = 12
_BAD: Final = (State.FAILED, State.TIMED_OUT, State.STOPPED, State.LOST)
_FEED: Final = "feed:"


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said of one occurrence.

    ``words``: why it is at risk, one clause (None: it is not). ``look_at``: the next instant at which the answer can change
    though nothing happens. ``root``: key of what upstream holds it up, failed or itself late.
    """

    prediction: Prediction | None
    risk: Risk
    words: str | None
    look_at: int | None
    root: str | None


@dataclass(frozen=True, slots=True)
class _Hop:
    """Something upstream. ``finish``: its p90 end (None: it holds nothing up); ``by``: which thing says so."""

    finish: int | None = None
    root: str | None = None
    look: int | None = None
    by: str | None = None


_FREE: Final = _Hop()


@dataclass(frozen=True, slots=True)
class _Case:
    """A prediction with what it comes of. ``goes``: a run has started; ``fresh``: its source answers."""

    said: Prediction
    known: Learnt | Learning
    hop: _Hop
    goes: bool
    fresh: bool


@dataclass(slots=True)
class _Ask:
    """One question: at which moment, for which business date."""

    tx: Tx
    now: int
    date: int | None
    at: int
    """The tick that feeds it, else its due time."""
    hops: dict[str, _Hop] = field(default_factory=dict)


@lru_cache(maxsize=2048)
def _schedule(text: str, zone: str) -> Schedule | None:
    try:
        return parse(text, zone)
    except ValueError:
        return None


class Outlook:
    """Asked by the judge inside its transactions; holds the edges, everything else lies in the store and its memo."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._up: dict[str, tuple[str, ...]] = {}

    def configured(self, tx: Tx, edges: Sequence[tuple[str, str, str]]) -> None:
        """All edges (upstream, downstream, kind), after a start or a reload."""
        up: dict[str, list[str]] = {}
        for above, below, _ in edges:
            up.setdefault(below, []).append(above)
        self._up = {below: tuple(sorted(set(found))) for below, found in up.items()}
        past.configured(tx)

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """Follow runs that changed; before anybody asks about them."""
        past.take_in(tx, changes)

    def say(self, tx: Tx, bound: Bound, one: Occurrence, runs: Sequence[RunFact], now: int, risk: Risk) -> Said | None:
        """Of one occurrence that waits. ``runs``: those that were matched to it, in the order in which they came up.

        None: nothing can be predicted of its type, or its pipeline is not known.
        """
        if one.type not in PREDICTED:
            return None
        ask = _Ask(tx, now, bdate_number(one.business_date), one.due_at - 1 if one.tick is None else one.tick)
        if one.type == "completeness":
            return self._complete(ask, bound, one, risk)
        facts = past.facts_of(tx, one.on)
        if facts is None:
            return None
        active = next((r for r in reversed(runs) if r.state.active), None)
        last = runs[-1] if runs else None
        if active is not None:
            case = self._case(ask, facts, active.key, State.RUNNING, active.started, one, one.tick, bound.expected_ms)
        elif last is not None and last.state in _BAD:
            case = self._case(ask, facts, last.key, last.state, None, one, one.tick, bound.expected_ms)
        else:
            case = self._case(ask, facts, None, None, None, one, one.tick, bound.expected_ms)
        return _weigh(tx, one.key, case, one.due_at, one.zone, now, risk, bound.warn)

    def run(
        self, tx: Tx, key: str, facts: PipelineFacts, run: Seen, started: int, due: int, now: int, risk: Risk, bound: Bound
    ) -> Said:  # fmt: skip
        """Of one run that goes on since ``started`` (by our clock) and is to end by ``due``; ``key``: of its occurrence."""
        ask = _Ask(tx, now, run.bdate, started)
        known = self._known(ask, facts, f"{facts.key}/{run.name}", started, bound.expected_ms)
        fresh = past.standing_of(tx, facts.source_id).fresh
        case = _Case(running(known, now, started, due), known, _FREE, True, fresh)
        return _weigh(tx, key, case, due, bound.promise.zone, now, risk, bound.warn)

    def _case(
        self, ask: _Ask, facts: PipelineFacts, run_key: str | None, state: State | None, started: int | None, one: Occurrence,
        tick: int | None, expected: int | None,
    ) -> _Case:  # fmt: skip
        """What is predicted of the end of the run ``run_key``, or of one that is still to come."""
        standing = past.standing_of(ask.tx, facts.source_id)
        now = ask.now if standing.fresh or standing.last_ok is None else min(ask.now, standing.last_ok)
        if state is not None and state.active and started is not None:
            known = self._known(ask, facts, run_key, started, expected)
            said = running(known, now, past.by_our_clock(standing, started), one.due_at)
            return _Case(said, known, _FREE, True, standing.fresh)
        if state is not None and state in _BAD:
            known = self._known(ask, facts, run_key, now, expected)
            return _Case(rerun(known, now, one.due_at), known, _FREE, False, standing.fresh)
        known_hop = ask.hops.get(facts.key)
        ask.hops[facts.key] = _FREE  # who waits for himself waits for nothing
        hop = self._upstream(ask, facts.key, 0)
        if known_hop is None:
            del ask.hops[facts.key]
        else:
            ask.hops[facts.key] = known_hop
        known = self._known(ask, facts, run_key, ask.at, expected)
        said = waiting(known, now, tick, hop.finish, one.due_at)
        if hop.finish is None or hop.finish < said.start:
            hop = _Hop(look=hop.look)
        return _Case(said, known, hop, False, standing.fresh)

    # --- what is known of a pipeline --------------------------------------------------------------------------------

    def _known(
        self, ask: _Ask, facts: PipelineFacts, run_key: str | None, at: int, expected: int | None = None
    ) -> Learnt | Learning:
        """Of runs of the shape of ``run_key`` on the class of day of the question's date (or of ``at``)."""
        shape = past.shape_of(ask.tx, facts.id, run_key)
        day = (
            past.class_of_number(ask.date) if ask.date is not None and past.style_of(ask.tx, facts.id).dated
            else past.class_on(facts.zone, at)
        )  # fmt: skip
        return past.declared(past.known_of(ask.tx, facts.id, facts.zone, shape, day).durations, expected)

    # --- upstream ---------------------------------------------------------------------------------------------------

    def _upstream(self, ask: _Ask, key: str, depth: int) -> _Hop:
        """Of all that ``key`` waits for, the one that will be done last."""
        above = self._up.get(key)
        if not above or depth >= DEPTH:
            return _FREE
        latest, look = _FREE, None
        for up in above:
            hop = ask.hops.get(up)
            if hop is None:
                ask.hops[up] = _FREE
                hop = self._feed(ask, up) if up.startswith(_FEED) else self._pipeline(ask, up, depth + 1)
                ask.hops[up] = hop
            if hop.look is not None:
                look = hop.look if look is None else min(look, hop.look)
            if hop.finish is not None and (latest.finish is None or hop.finish > latest.finish):
                latest = hop
        return latest if latest.look == look else _Hop(latest.finish, latest.root, look, latest.by)

    def _pipeline(self, ask: _Ask, key: str, depth: int) -> _Hop:
        """Of a pipeline upstream: done, going on, to be rerun, or not begun, for the date that is asked for."""
        facts = past.facts_of(ask.tx, key)
        if facts is None:
            return _FREE
        standing = past.standing_of(ask.tx, facts.source_id)
        now = ask.now if standing.fresh or standing.last_ok is None else min(ask.now, standing.last_ok)
        tick = _tick(facts, ask.at)
        run = _run_of(past.recent_of(ask.tx, facts.id), ask, tick)
        name = f"{key}/{run.name}" if run is not None else None
        if run is not None and (run.state.finished or run.state == State.SKIPPED):
            return _FREE
        if run is not None and run.state.active and run.started is not None:
            started = past.by_our_clock(standing, run.started)
            known = self._known(ask, facts, name, started)
            said = running(known, now, started)
            late = said.course is Course.OVERRUN or (isinstance(known, Learnt) and now > started + known.p90)
            return _Hop(said.p90 or said.p50 or now, key if late else None, _outlived(known, started, now), key)
        if run is not None and run.state in _BAD:
            said = rerun(self._known(ask, facts, name, now), now)
            return _Hop(said.p90 or said.p50 or now, key, now + STANDING, key)
        up = self._upstream(ask, key, depth)
        if facts.mode != Mode.ACTIVE or (tick is None and run is None and not self._up.get(key)):
            return _FREE  # nobody expects it on this day
        if tick is None and run is None and facts.schedule and _schedule(facts.schedule, facts.zone) is not None:
            return _FREE
        said = waiting(self._known(ask, facts, name, ask.at), now, tick, up.finish)
        finish = said.p90 or said.p50 or said.start
        if up.finish is not None and up.finish >= said.start:
            return _Hop(finish, up.root, up.look, key)
        late = tick is not None and now > tick + GRACE
        look = min(x for x in (tick if tick is not None and tick > now else now + STANDING, up.look) if x is not None)
        return _Hop(finish, key if late else None, look, key)

    def _feed(self, ask: _Ask, key: str) -> _Hop:
        """Of a file from outside: arrived, expected by its due time, or late and to be reckoned with from now on."""
        promises = past.feed_promises_of(ask.tx, key)
        found = store.feed_owed(ask.tx, promises, ask.at - BACK, ask.at + BACK)
        same = [f for f in found if f[2] == ask.date] if ask.date is not None else []
        for state, due, _ in (same or [f for f in found if f[1] <= ask.at])[-1:]:
            if state in (Owed.MET, Owed.MET_LATE, Owed.EXCLUDED, Owed.WAIVED):
                return _FREE
            if due > ask.now:
                return _Hop(due, None, due, key)
            return _Hop(ask.now, key, ask.now + STANDING, key)
        came = store.arrived(ask.tx, key[len(_FEED) :], ask.at - BACK)
        if any(
            date == ask.date if date is not None and ask.date is not None else at >= ask.at - DATELESS
            for at, date in came
        ):
            return _FREE
        return _Hop(ask.now, None, ask.now + STANDING, key)

    # --- sets -------------------------------------------------------------------------------------------------------

    def _complete(self, ask: _Ask, bound: Bound, one: Occurrence, risk: Risk) -> Said | None:
        """Of a set: its member that is not done and most likely late."""
        worst: tuple[float, int] | None = None
        found: tuple[_Case, str, bool] | None = None
        looks: list[int] = []
        for key in one.members:
            facts = past.facts_of(ask.tx, key)
            if facts is None:
                continue
            tick = _tick(facts, ask.at)
            run = _run_of(past.recent_of(ask.tx, facts.id), ask, tick)
            if run is not None and (run.state.finished or run.state == State.SKIPPED):
                continue
            name, state, started = (None, None, None) if run is None else (f"{key}/{run.name}", run.state, run.started)
            case = self._case(ask, facts, name, state, started, one, tick, bound.expected_ms)
            look = _look(case, one.due_at, ask.now, Risk(), None)
            if look is not None:
                looks.append(look)
            late = 1.0 if _passed(case, ask.now) else -1.0 if case.said.late is None else case.said.late
            rank = (late, case.said.p90 or case.said.p50 or 0)
            if worst is None or rank > worst:
                worst, found = rank, (case, key, state in _BAD)
        if found is None:
            return None
        case, key, bad = found
        said = _weigh(ask.tx, one.key, case, one.due_at, one.zone, ask.now, risk, bound.warn)
        if said.look_at is not None:
            looks.append(said.look_at)
        words = None if said.words is None else f"{_name(key)}: {said.words}"
        root = said.root or (key if bad and said.risk.at_risk else None)
        return Said(said.prediction, said.risk, words, min(looks, default=None), root)


# --- which run, which tick ------------------------------------------------------------------------------------------


def _tick(facts: PipelineFacts, at: int) -> int | None:
    """When its schedule wanted it to start last, at ``at`` or within the day before."""
    schedule = _schedule(facts.schedule, facts.zone) if facts.schedule else None
    if schedule is None:
        return None
    found = schedule.last(at - BACK, at, 1)
    return found[-1] if found else None


def _run_of(runs: Sequence[Seen], ask: _Ask, tick: int | None) -> Seen | None:
    """The run of the question's date, of a pipeline's newest: one that did it, else one that goes on, else the newest."""
    mine = [r for r in runs if _belongs(r, ask, tick)]
    return (
        next((r for r in mine if r.state.finished), None)
        or next((r for r in mine if r.state.active), None)
        or next((r for r in mine if r.state != State.SKIPPED), None)
        or (mine[0] if mine else None)
    )


def _belongs(run: Seen, ask: _Ask, tick: int | None) -> bool:
    if run.bdate is not None and ask.date is not None:
        if run.bdate == ask.date:
            return True
        return run.kind == RunKind.SCHEDULED and tick is not None and tick - EARLY <= run.at <= ask.at
    return run.at >= (ask.at - DATELESS if tick is None else tick - EARLY)


def _name(key: str) -> str:
    return key.partition(":")[2] or key


# --- weighing -------------------------------------------------------------------------------------------------------


def _outlived(known: Learnt | Learning, started: int, now: int) -> int | None:
    """When the next run of history is outlived."""
    if isinstance(known, Learning):
        return None
    elapsed = now - started
    nxt = next((d for d in known.ordered if d > elapsed), None)
    return None if nxt is None else max(started + ceil(nxt), now + 1000)


def _passed(case: _Case, now: int) -> bool:
    """Whether the latest safe start is over; of a run that goes on, while its end is only declared: whether it started after it."""
    said = case.said
    if case.goes:
        return said.course is Course.LEARNING and said.latest_start is not None and said.start > said.latest_start
    return start_passed(said, now)


def _weigh(tx: Tx, key: str, case: _Case, due: int, zone: str, now: int, risk: Risk, warn: float) -> Said:
    """The next state of the hysteresis, the words, and when to look again."""
    passed = _passed(case, now)
    if case.fresh:
        high = past.held(tx).high
        before, risk = risk, risk.step(case.said.late, warn, passed)
        since = high.setdefault(key, now) if risk.high else high.pop(key, None)
        if risk.at_risk and not before.at_risk and not passed and since is not None and now - since < BETWEEN:
            risk = Risk(False, 1)  # the second look came too soon
        look = _look(case, due, now, risk, since)
        if risk.at_risk:
            high.pop(key, None)
    else:
        look = now + HELD
    words = _why(case, due, zone, now, passed) if risk.at_risk else None
    return Said(case.said, risk, words, look, case.hop.root if risk.at_risk else None)


def _look(case: _Case, due: int, now: int, risk: Risk, since: int | None) -> int | None:
    """The next instant at which any of it changes. ``since``: of the first evaluation in a row that was high."""
    said, known, hop = case.said, case.known, case.hop
    at: list[int] = []
    if now < due:
        at.append(due)
    if risk.high == 1 and not risk.at_risk:
        at.append(max((now if since is None else since) + BETWEEN, now + 1))
    if said.course is Course.LEARNING:
        at.append(now + STANDING)  # history may come in at any time: it is fetched after the first look
    if case.goes:
        nxt = _outlived(known, said.start, now)
        if nxt is not None:
            at.append(nxt)
    else:
        if said.latest_start is not None and now <= said.latest_start:
            at.append(said.latest_start + 1)
        if said.start > now:
            at.append(said.start)
        elif said.course is not Course.LEARNING:
            if isinstance(known, Learnt):
                left = due - said.start
                fit = [d for d in known.ordered if d <= left]
                if fit:
                    at.append(max(due - int(fit[-1]) + 1, now + 1000))
            if due <= now:
                at.append(now + OVER)
            elif (said.late or 0.0) > 0 or now > (said.latest_start or due) - SOON:
                at.append(now + STANDING)
        if hop.look is not None:
            at.append(max(hop.look, now + 1000))
    return min(at, default=None)


def _why(case: _Case, due: int, zone: str, now: int, passed: bool) -> str:
    """Why it is at risk, one clause for people."""
    said, known, hop, goes = case.said, case.known, case.hop, case.goes
    if said.course is Course.OVERRUN:
        return f"longer than all {said.n} known runs"
    if said.course is Course.RERUN:
        again = rerun_words(said, zone)
        return f"{again or 'to be rerun'}, {_share(known, said, due)}"
    after = ""
    if hop.finish is not None and hop.by is not None:
        after = f"waits for {_name(hop.by)} (p90 {time_words(zone, hop.finish, due)}), "
    if said.course is Course.LEARNING:
        if goes:
            end = "" if said.p50 is None else f": by its declared duration done {time_words(zone, said.p50, due)}"
            return f"learning {said.n}/8{end}"
        return f"{after}{_must(said, zone, now, due)}"
    if passed and not goes and hop.finish is None:
        return _must(said, zone, now, due)
    ends = ""
    if said.p50 is not None and said.p90 is not None:
        ends = f"p50 {time_words(zone, said.p50, due)}, p90 {time_words(zone, said.p90, due)}: "
    return f"{after}{ends}{_share(known, said, due)}"


def _must(said: Prediction, zone: str, now: int, due: int) -> str:
    if said.latest_start is None:
        return "not started"
    ago = f", that was {span(now - said.latest_start)} ago" if now > said.latest_start else ""
    return f"must start by {time_words(zone, said.latest_start, due)}{ago}"


def _share(known: Learnt | Learning, said: Prediction, due: int) -> str:
    """How many of the past runs would have been late."""
    if isinstance(known, Learning):
        return f"learning {known.n}/{known.need}"
    left = due - said.start
    if left <= 0:
        return f"due {span(-left)} before it can start" if left else "it is due now"
    long = sum(1 for d in known.ordered if d > left)
    if said.outlived == said.n:
        if long == said.n:
            return f"not one of {said.n} past runs was done within {span(left)}"
        return f"{long} of {said.n} past runs took longer than {span(left)}"
    if long >= said.outlived:
        return f"each of the {said.outlived} of {said.n} past runs that took this long took longer than {span(left)}"
    return f"{long} of the {said.outlived} of {said.n} past runs that took this long took longer than {span(left)}"
