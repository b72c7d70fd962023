"""What became of an occurrence: a pure step from everything that is known to its state, with the reason in words.

The verdict depends on the occurrence as it opened, on the set of facts and on ``now``; not on the order in which facts
came, nor on earlier verdicts. Times are the source's own: a success that is seen late but ended in time is MET. What was
not looked at since before it was due is UNKNOWN, neither red nor green.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from adapters.model import Owed, RunKind, State
from adapters.schedule import zone as zone_of
from engine.owed.matching import RunFact, newest
from engine.owed.occurrences import Evidence, Occurrence

_NAMED: Final = 3
_NOTHING: Final[dict[str, tuple[RunFact, ...]]] = {}
_DOING: Final = {
    State.EXPECTED: "expected",
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.RETRYING: "retrying",
    State.HELD: "held",
    State.STOPPING: "stopping",
}
_ENDED: Final = {
    State.SUCCESS: "succeeded",
    State.WARNING: "finished with warnings",
    State.FAILED: "failed",
    State.TIMED_OUT: "timed out",
    State.STOPPED: "stopped",
    State.SKIPPED: "skipped",
    State.LOST: "lost",
    State.MISSED: "missed",
}


@dataclass(frozen=True, slots=True)
class Waiver:
    """A person's word that this is not owed. ``until`` None: for good."""

    by: str
    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Of a source's file or table: when it was there, and for which business date, if that is known."""

    what: str
    at: int
    business_date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is known of one occurrence. ``runs``: those that ``matching.match`` gave it.

    ``seen``: when its source last gave a complete answer (ms UTC), None if never. ``risk``: why it is at risk, in words, as
    prediction (with its hysteresis) says. ``members``: of completeness, the runs of each for this occurrence; ``excused``:
    members that were waived. ``upstream``, ``upstream_seen``: of a sequence. ``beats``: signs that all is well; ``fails``: (when,
    in what words) it said itself that it failed. ``gone``: its pipeline is no longer there. ``newest``: of a freshness by age,
    what is newest, in words.
    """

    runs: tuple[RunFact, ...] = ()
    seen: int | None = None
    risk: str | None = None
    waiver: Waiver | None = None
    members: Mapping[str, Sequence[RunFact]] = field(default_factory=lambda: _NOTHING)
    excused: frozenset[str] = frozenset()
    upstream: tuple[RunFact, ...] = ()
    upstream_seen: int | None = None
    arrivals: tuple[Arrival, ...] = ()
    beats: tuple[int, ...] = ()
    fails: tuple[tuple[int, str], ...] = ()
    gone: bool = False
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """``met_at``: when it was fulfilled, by the source's times. ``words``: what happened, or what goes on."""

    met_at: int | None
    words: str
    evidence: tuple[Evidence, ...] = ()
    missed: bool = False


def judge(one: Occurrence, facts: Facts, now: int) -> Occurrence:
    """The occurrence with its verdict; the very same object where nothing changed."""
    if one.opened_as in (Owed.EXCLUDED, Owed.WAIVED):
        return one
    if one.type == "sequence":
        return _sequence(one, facts, now)
    if facts.fails and (said := _failed_itself(one, facts, now)) is not None:
        return said
    found = _LOOK[one.type](one, facts)
    due = f"due {_time(one, one.due_at)}"
    if found.met_at is not None and found.met_at <= one.due_at:
        return _verdict(one, Owed.MET, f"{found.words}, {due}", found.met_at, found)
    if (waived := _waived(one, facts, now)) is not None:
        return waived
    if found.met_at is not None:
        late = found.met_at - one.due_at
        words = f"{found.words}, {due}: {_span(late)} late"
        return _verdict(one, Owed.MET_LATE, words, found.met_at, found, late)
    if facts.gone:
        return _verdict(one, Owed.UNKNOWN, f"no longer at its source; {found.words}", None, found)
    if now < one.due_at:
        return _waiting(one, facts, found)
    if facts.seen is None or facts.seen < one.due_at:
        return _unseen(one, facts.seen, found)
    return _verdict(one, Owed.BREACHED, f"{due}: {found.words}", one.due_at, found, missed=found.missed)


def _waiting(one: Occurrence, facts: Facts, found: _Found) -> Occurrence:
    if facts.risk is not None:
        return _verdict(one, Owed.AT_RISK, f"{facts.risk}; {found.words}", None, found)
    if one.opened_as is Owed.SHIFTED:
        moved = f"{one.why_opened} from {_time(one, one.declared_at)} to {_time(one, one.due_at)}"
        return _verdict(one, Owed.SHIFTED, f"{moved}; {found.words}", None, found)
    return _verdict(one, Owed.PENDING, found.words, None, found)


def _unseen(one: Occurrence, seen: int | None, found: _Found) -> Occurrence:
    since = "never seen" if seen is None else f"not seen since {_time(one, seen)}"
    words = f"{since}, it was due {_time(one, one.due_at)}; last known: {found.words}"
    return _verdict(one, Owed.UNKNOWN, words, None, found)


def _waived(one: Occurrence, facts: Facts, now: int) -> Occurrence | None:
    waiver = facts.waiver
    if waiver is None or (waiver.until is not None and now >= waiver.until):
        return None
    until = "" if waiver.until is None else f" until {_time(one, waiver.until)}"
    proof = (Evidence("waiver", waiver.by, None, waiver.reason),)
    return _verdict(one, Owed.WAIVED, f"waived by {waiver.by}{until}: {waiver.reason}", None, _Found(None, "", proof))


def _verdict(
    one: Occurrence,
    state: Owed,
    reason: str,
    since: int | None,
    found: _Found,
    lateness: int | None = None,
    missed: bool = False,
) -> Occurrence:
    met_at = found.met_at if state in (Owed.MET, Owed.MET_LATE) else None
    old = (one.state, one.reason, one.since, one.met_at, one.lateness_ms, one.missed, one.evidence)
    if old == (state, reason, since, met_at, lateness, missed, found.evidence):
        return one
    return replace(
        one,
        state=state,
        reason=reason,
        since=since,
        met_at=met_at,
        lateness_ms=lateness,
        missed=missed,
        evidence=found.evidence,
    )


# --- what each type asks --------------------------------------------------------------------------------------------


def _success(run: RunFact, warning_counts: bool) -> int | None:
    """When this attempt was finished and verified; None if it is not."""
    if not (run.state is State.SUCCESS or (warning_counts and run.state is State.WARNING)) or not run.checked:
        return None
    ended = run.updated if run.ended is None else run.ended
    return ended if run.checked_at is None else max(ended, run.checked_at)


def _first_success(runs: Sequence[RunFact], warning_counts: bool) -> tuple[int, RunFact] | None:
    best: tuple[int, RunFact] | None = None
    for run in runs:
        at = _success(run, warning_counts)
        if at is not None and (best is None or at < best[0]):
            best = (at, run)
    return best


def first_success(runs: Sequence[RunFact], warning_counts: bool) -> int | None:
    """When the first of these runs was finished and verified; None: none was."""
    done = _first_success(newest(runs), warning_counts)
    return None if done is None else done[0]


def last_success(runs: Sequence[RunFact], warning_counts: bool) -> int | None:
    """When the newest of these runs that is no backfill was finished and verified: what fills an old date is not fresh."""
    done = [
        at
        for run in newest(runs)
        if run.kind is not RunKind.BACKFILL and (at := _success(run, warning_counts)) is not None
    ]
    return max(done, default=None)


def _proof(one: Occurrence, run: RunFact, at: int | None, what: str = "run") -> Evidence:
    again = f" (attempt {run.attempt})" if run.attempt > 1 else ""
    return Evidence(what, run.key, at, _words(one, run, at) + again)


def _words(one: Occurrence, run: RunFact, at: int | None = None) -> str:
    if run.state.terminal:
        ended = run.ended if at is None else at
        said = _ENDED[run.state] + (f" {_time(one, ended)}" if ended is not None else "")
        return said if run.checked else f"{said}, not yet verified"
    return f"{_DOING[run.state]} since {_time(one, run.begun)}"


def _finish(one: Occurrence, facts: Facts) -> _Found:
    runs = newest(facts.runs)
    if not runs:
        return _Found(None, "not started", missed=True)
    done = _first_success(runs, one.warning_counts)
    if done is not None:
        at, run = done
        return _Found(at, _words(one, run, at), (_proof(one, run, at),))
    last = runs[-1]
    words = _words(one, last)
    if last.state.terminal and last.checked:
        words += ", a success is still owed"
    return _Found(None, words, tuple(_proof(one, run, run.ended) for run in runs[-_NAMED:]))


def _start(one: Occurrence, facts: Facts) -> _Found:
    runs = newest(facts.runs)
    began: tuple[int, RunFact] | None = None
    for run in runs:
        if run.state in (State.SKIPPED, State.MISSED):
            continue  # the source left it out, or knows that nothing ran: it did not start
        at = run.started if run.started is not None else (run.begun if run.state.terminal else None)
        if at is not None and (began is None or at < began[0]):
            began = (at, run)
    if began is not None:
        at, run = began
        words = f"started {_time(one, at)}"
        return _Found(at, words, (Evidence("run", run.key, at, words),))
    if not runs:
        return _Found(None, "not started", missed=True)
    last = runs[-1]
    return _Found(None, f"{_words(one, last)}, not started", (_proof(one, last, None),))


def _complete(one: Occurrence, facts: Facts) -> _Found:
    owed = [member for member in one.members if member not in facts.excused]
    if not one.members:
        return _Found(None, "its selector matches nothing")
    missing: list[str] = []
    proof: list[Evidence] = []
    latest, last = 0, None
    for member in owed:
        runs = newest(facts.members.get(member, ()))
        done = _first_success(runs, one.warning_counts)
        if done is None:
            name = member.partition(":")[2] or member
            missing.append(f"{name} ({_words(one, runs[-1])})" if runs else name)
            proof += [_proof(one, run, run.ended) for run in runs[-1:]]
        elif done[0] >= latest:
            latest, last = done
    count, waived = f"{len(owed) - len(missing)} of {len(one.members)}", len(one.members) - len(owed)
    excused = f", {waived} waived" if waived else ""
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        return _Found(
            None, f"{count} done{excused}, missing {', '.join(missing[:_NAMED])}{more}", tuple(proof[:_NAMED])
        )
    words = f"{count} done" + (f" {_time(one, latest)}" if last else "") + excused
    # With every member excused it is fulfilled as soon as it is owed.
    return _Found(latest if last else one.from_at, words, () if last is None else (_proof(one, last, latest),))


def _arrival(one: Occurrence, facts: Facts) -> _Found:
    """Of the date, where its name tells one. Else it is for the due time that is nearest: what comes at 00:30 and was due at 22:00
    is late, and not the next evening's; what was due at 04:45 may come before midnight."""
    half = max(0, one.declared_at - one.from_at) // 2
    best: Arrival | None = None
    for arrival in facts.arrivals:
        dated = arrival.business_date
        if dated is not None:
            if dated != one.business_date:
                continue
        elif not one.declared_at - half <= arrival.at < one.declared_at + half:
            continue
        if best is None or (arrival.at, arrival.what) < (best.at, best.what):
            best = arrival
    if best is None:
        return _Found(None, "not arrived")
    words = f"arrived {_time(one, best.at)}"
    return _Found(best.at, words, (Evidence("arrival", best.what, best.at, words),))


def _beat(one: Occurrence, facts: Facts) -> _Found:
    beats = [at for at in facts.beats if at >= one.from_at]
    if not beats:
        silent = max(facts.beats, default=None)
        return _Found(None, "no sign of life" + (f" since {_time(one, silent)}" if silent is not None else ""))
    at = min(beats)
    words = f"sign of life {_time(one, at)}"
    return _Found(at, words, (Evidence("beat", one.on, at, words),))


def _failed_itself(one: Occurrence, facts: Facts, now: int) -> Occurrence | None:
    """A heartbeat that says "failed" is broken at once, until it says that all is well; None: there is no such word."""
    at, said = min((f for f in facts.fails if f[0] >= one.from_at), default=(None, ""))
    well = [b for b in facts.beats if b >= one.from_at]
    if at is None or (well and min(well) < at):
        return None  # after a sign of life, in time or late, the next one is owed
    words = f"said it failed {_time(one, at)}" + (f": {said}" if said else "")
    proof = (Evidence("beat", one.on, at, words),)
    after = [b for b in well if b >= at]
    if after:
        back = min(after)
        words = f"{words}; sign of life {_time(one, back)}"
        return _verdict(one, Owed.MET_LATE, words, back, _Found(back, words, proof), back - at)
    if (waived := _waived(one, facts, now)) is not None:
        return waived
    return _verdict(one, Owed.BREACHED, words, at, _Found(None, words, proof))


def _fresh(one: Occurrence, facts: Facts) -> _Found:
    """Of a partition: when it was there. Of an age: the newest value, or success, since the one before. Of a pipeline by a time of day:
    a success of the business date."""
    if facts.arrivals:
        best = min(facts.arrivals, key=lambda a: a.at)
        words = f"partition {one.business_date} seen {_time(one, best.at)}"
        return _Found(best.at, words, (Evidence("value", best.what, best.at, words),))
    if facts.newest is None:
        if one.on.startswith("series:"):
            return _Found(None, f"partition {one.business_date} not seen")
        return _finish(one, facts)
    fresh = [at for at in facts.beats if at >= one.from_at]
    if not fresh:
        return _Found(None, facts.newest)
    at = max(fresh)
    return _Found(at, facts.newest, (Evidence("value", one.on, at, facts.newest),))


_LOOK: Final = {
    "freshness": _fresh,
    "finish_by": _finish,
    "start_by": _start,
    "completeness": _complete,
    "source_arrival": _arrival,
    "heartbeat": _beat,
}


def _sequence(one: Occurrence, facts: Facts, now: int) -> Occurrence:
    """B is not to start before A has succeeded for the same business date. Late it cannot be; when B never starts nothing is broken."""
    starts = [
        (run.started, run) for run in newest(facts.runs) if run.started is not None and run.state is not State.SKIPPED
    ]
    done = _first_success(newest(facts.upstream), True)
    if not starts:
        found = _Found(None, "not started")
        if facts.gone:
            return _verdict(one, Owed.UNKNOWN, "no longer at its source; not started", None, found)
        if (waived := _waived(one, facts, now)) is not None:
            return waived
        if now < one.due_at:
            return _waiting(one, facts, found)
        if facts.seen is None or facts.seen < one.due_at:
            return _unseen(one, facts.seen, found)
        return _verdict(one, Owed.EXCLUDED, "nothing started, so nothing was out of order", one.due_at, found)
    at, run = min(starts, key=lambda s: (s[0], s[1].key, s[1].attempt))
    began = f"started {_time(one, at)}"
    proof = (Evidence("run", run.key, at, began),)
    after = "its upstream succeeded"
    if done is not None:
        proof += (_proof(one, done[1], done[0], "upstream"),)
        after = f"its upstream {_words(one, done[1], done[0])}"
        if done[0] <= at:
            return _verdict(one, Owed.MET, f"{began}, {after}", at, _Found(at, began, proof))
        again = [s for s, _ in starts if s >= done[0]]
        if again and _waived(one, facts, now) is None:
            words = f"{began} before {after}; ran again {_time(one, min(again))}, in order"
            return _verdict(one, Owed.MET_LATE, words, min(again), _Found(min(again), began, proof), min(again) - at)
    if (waived := _waived(one, facts, now)) is not None:
        return waived
    if done is None and (facts.upstream_seen is None or facts.upstream_seen < at):
        words = f"{began}; whether its upstream had succeeded is not known"
        return _verdict(one, Owed.UNKNOWN, words, None, _Found(None, began, proof))
    return _verdict(one, Owed.BREACHED, f"{began} before {after}", at, _Found(None, began, proof))


# --- words ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def _local(zone: str, ms: int) -> tuple[str, str]:
    moment = datetime.fromtimestamp(ms // 1000, zone_of(zone))
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M")


def _time(one: Occurrence, ms: int) -> str:
    """Wall time in the occurrence's zone, with its date where that is not the date of the due time."""
    day, time = _local(one.zone, ms)
    return time if day == _local(one.zone, one.due_at)[0] else f"{day} {time}"


def _span(ms: int) -> str:
    """``45s``, ``21m``, ``2h 05m``, ``3d 4h``."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{max(seconds, 1)}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 48 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60}h"
