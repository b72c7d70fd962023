"""The Floor's judgement and cells: what is a problem, in which order, in which words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Health, Mode, RunKind, Severity, State, Trigger, Verb
from tui.present import frame, words
from tui.present.cut import clean, first_line
from tui.present.glyphs import HEALTH_LOOKS, LONG, NO_VIEW, Look, look_of
from tui.present.head import source_now
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import FloorRow, SourceRow

LEARNED: Final = 8
"""Runs until "usual" means something; below it reads "learning 5/8"."""
LONG_RATIO: Final = 1.5
LONG_MIN_MS: Final = 60_000
"""A run is long when it is past its p90, 1.5 times the usual and a whole minute over it."""


class Rank(IntEnum):
    """The order of the Floor. BREACHED and AT_RISK wait for expectations."""

    BREACHED = 1
    AT_RISK = 2
    FAILED = 3
    MISSED = 4
    LONG = 5
    MENDING = 6
    """Something is active while an earlier failure is not made good."""
    WARNING = 7
    BLIND = 8
    UNKNOWN = 9
    CHANGING = 10
    RUNNING = 11
    QUEUED = 12
    STANDING = 13
    SEEN = 14
    FINE = 15
    ENDED = 16

    @property
    def problem(self) -> bool:
        return self <= Rank.BLIND


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the Floor: a pipeline, or a source that cannot be seen (``row`` is None). ``key`` is what the
    cursor holds.
    """

    key: str
    rank: Rank
    look: Look
    stale: bool
    source: SourceRow | None
    row: FloorRow | None
    since: int | None
    order: tuple[int, int, int, int, str]

    @property
    def problem(self) -> bool:
        return self.rank.problem

    @property
    def name(self) -> str:
        if self.row is not None:
            return clean(self.row.name)
        return self.source.name if self.source is not None else "?"


def usual(r: FloorRow) -> int | None:
    """The usual duration in ms, where enough runs are known."""
    return r.usual_ms if r.usual_n >= LEARNED else None


def elapsed(r: FloorRow, now: int) -> int | None:
    """How long the current run took, or has been running."""
    if r.started is None:
        return None
    return max((r.ended if r.ended is not None else now) - r.started, 0)


def is_long(r: FloorRow, now: int) -> bool:
    typical, ran = usual(r), elapsed(r, now)
    if r.state != State.RUNNING or r.trigger == Trigger.CONTINUOUS or typical is None or ran is None:
        return False
    return ran > max(r.p90_ms or 0, LONG_RATIO * typical) and ran - typical >= LONG_MIN_MS


_RANKS: Final[Mapping[State, Rank]] = {
    State.FAILED: Rank.FAILED, State.TIMED_OUT: Rank.FAILED, State.LOST: Rank.FAILED, State.MISSED: Rank.MISSED,
    State.STOPPING: Rank.CHANGING, State.RETRYING: Rank.CHANGING, State.RUNNING: Rank.RUNNING, State.QUEUED:
    Rank.QUEUED,
    State.HELD: Rank.STANDING, State.SUCCESS: Rank.FINE, State.EXPECTED: Rank.FINE, State.STOPPED: Rank.ENDED,
    State.SKIPPED: Rank.ENDED,
}  # fmt: skip


def _rank(r: FloorRow, stale: bool, now: int) -> Rank:
    if r.mode == Mode.GONE:
        return Rank.ENDED
    if r.state is not None and r.state.bad:
        return _RANKS[r.state]
    if stale:
        return Rank.UNKNOWN
    if r.state == State.WARNING:
        return Rank.SEEN if r.alert_acked else Rank.WARNING
    if is_long(r, now):
        return Rank.LONG
    if r.state is not None and r.state.active:
        return Rank.MENDING if r.alert_id is not None and not r.alert_acked else _RANKS[r.state]
    if r.mode != Mode.ACTIVE:
        return Rank.STANDING
    return Rank.FINE if r.state is None else _RANKS[r.state]


def judge_one(r: FloorRow, source: SourceRow | None, now: int, *, silent: bool = False) -> Item:
    """One pipeline's place and look. Without its source nothing vouches for it."""
    stale = silent or source is None or source.stale(now)
    now = source_now(source, now)
    rank = _rank(r, stale and not silent, now)
    look = LONG if rank == Rank.LONG else look_of(r.state, r.mode)
    since = r.started if rank == Rank.LONG else r.ended if r.ended is not None else r.at
    due = r.next_run if r.next_run is not None else 1 << 62
    return Item(r.key, rank, look, stale, source, r, since, (rank, int(r.alert_acked), int(r.criticality), due, r.name))


def arrange(pipelines: Iterable[Item], sources: Sequence[SourceRow], now: int, *, silent: bool = False) -> list[Item]:
    """All items in the order of the Floor, blind sources among them; when nobody watches everything is blind."""
    items = list(pipelines)
    for s in () if silent else frame.blind(sources, now):
        order = (int(Rank.BLIND), 0, int(Severity.HIGH), s.since, s.name)
        items.append(Item(f"source:{s.name}", Rank.BLIND, NO_VIEW, True, s, None, s.since, order))
    items.sort(key=_by_order)
    return items


def judge(rows: Sequence[FloorRow], sources: Sequence[SourceRow], now: int, *, silent: bool = False) -> list[Item]:
    """``judge_one`` for each, arranged: for screens that read all rows at once."""
    by_id = {s.id: s for s in sources}
    pipelines = [judge_one(r, by_id.get(r.source_id), now, silent=silent) for r in rows]
    return arrange(pipelines, sources, now, silent=silent)


_by_order = attrgetter("order")


def verdict(items: Sequence[Item], now: int) -> frame.Verdict:
    """Line 1 of the Floor."""
    broken = [i for i in items if i.rank <= Rank.MISSED]
    long = warnings = unknown = total = mending = unrun = 0
    due: tuple[int, str] | None = None
    seen: dict[int, SourceRow] = {}
    for i in items:
        r = i.row
        if r is None:
            continue
        total += 1
        long += i.rank == Rank.LONG
        mending += i.rank == Rank.MENDING
        unrun += r.state is None
        warnings += i.rank in (Rank.WARNING, Rank.SEEN)
        unknown += i.stale and i.rank > Rank.MISSED
        if i.source is not None:
            seen[i.source.id] = i.source
        if not i.stale and r.mode == Mode.ACTIVE and r.next_run is not None and r.next_run > now:
            due = (r.next_run, i.name) if due is None or r.next_run < due[0] else due
    ages = [a for a in (frame.source_age(s, now) for s in seen.values()) if a is not None]
    return frame.Verdict(
        broken=len(broken),
        since=min((i.since for i in broken if i.since is not None), default=None),
        long=long,
        warnings=warnings,
        unknown=unknown,
        mending=mending,
        unrun=unrun,
        total=total,
        next_name=due[1] if due else None,
        next_at=due[0] if due else None,
        oldest=max(ages, default=None),
    )


# --- sentences ------------------------------------------------------------------------------------------------------


def story(item: Item, items: Sequence[Item], tz: str, now: int) -> list[Clause]:
    """What happened and what it means, by weight. Text from outside is made harmless here."""
    r, s = item.row, item.source
    if r is None:
        return _blind_story(item, items, tz, now)
    out: list[Clause] = []
    error = first_line(r.error or "")
    here = source_now(s, now)
    if item.rank == Rank.MENDING:
        since = f" at {words.clock(r.alert_since, tz, now)}" if r.alert_since is not None else ""
        ran = elapsed(r, here)
        out.append(f"failed{since}, not made good yet")
        out.append(f"a run is {item.look.word}" + (f", {words.running(ran)}" if ran is not None else ""))
    match r.state:
        case State.MISSED:
            out.append(f"due to start {words.clock(r.at, tz, now)}, no run seen")
            if usual(r) is not None:
                out.append(f"usual {words.rough(usual(r))}")
        case State.LOST:
            out.append(error or clean(r.sub or "") or "vanished from its source, its end is not known")
        case State.TIMED_OUT:
            out.append(error or f"ended by its time limit after {words.duration(elapsed(r, here))}")
        case State.FAILED:
            out.append(error or clean(r.sub or "") or f"failed, {clean(r.source)} gives no reason")
        case State.WARNING:
            out.append(error or clean(r.sub or "") or "finished, but not healthy")
        case State.RUNNING if item.rank == Rank.LONG:
            typical, ran = usual(r) or 1, elapsed(r, here) or 0
            fact = f"running {words.running(ran)}, usual {words.rough(typical)} ({words.times(ran / typical)})"
            out.append(fact)
            if r.p90_ms is not None:
                out.append(f"nine of ten end within {words.rough(r.p90_ms)}")
        case _:
            pass
    if item.stale and s is not None:
        out.append([("as of ", "dim"), (words.clock(s.last_ok, tz, now), "run-stale b")])
    if r.alert_acked:
        out.append("acked")
    if r.mode == Mode.PAUSED:
        out.append("schedule paused")
    if (r.attempt or 1) > 1:
        out.append(f"attempt {r.attempt}")
    if r.business_date:
        out.append(f"for {clean(r.business_date)}")
    if r.state is not None and r.state.bad and r.last_ok is not None:
        out.append(f"last ok {words.clock(r.last_ok, tz, now)}")
    if r.kind is not None and r.kind != RunKind.SCHEDULED:
        out.append(r.kind.name.lower())
    if r.owner:
        out.append(f"owner {clean(r.owner)}")
    return out


def _blind_story(item: Item, items: Sequence[Item], tz: str, now: int) -> list[Clause]:
    s = item.source
    if s is None:
        return []
    n = sum(1 for i in items if i.row is not None and i.row.source_id == s.id)
    look = HEALTH_LOOKS[s.health if s.health != Health.FRESH else Health.STALE]
    detail = first_line(s.detail or "")
    fact = detail or (f"{look.word} since {words.clock(s.last_ok, tz, now)}" if s.last_ok else look.word)
    out: list[Clause] = [fact, f"{words.many(n, 'pipeline')} unknown"]
    if s.hint:
        out.append(first_line(s.hint))
    if s.until is not None and s.until > now:
        out.append(f"until {words.clock(s.until, tz, now)}")
    return out


def next_step(item: Item, acting: bool) -> tuple[str, str]:
    """First action that is allowed on a problem: (action id, word)."""
    r, s = item.row, item.source
    if r is None:
        return "screen.sources", "health"
    offers = s.offers if s is not None and acting else frozenset[str]()
    if r.state is not None and r.state.bad and r.state != State.MISSED:
        if Verb.RERUN_FAILED in offers:
            return "run.rerun_failed", "rerun"
        if Verb.RERUN in offers:
            return "run.rerun", "rerun"
    if r.state == State.MISSED and Verb.START in offers:
        return "pipeline.start", "start"
    return ("run.log", "log") if r.run_key else ("list.open", "story")


# --- for filters and scripts ----------------------------------------------------------------------------------------


def facts(item: Item) -> dict[str, str]:
    """What a filter may ask about a row. ``state`` holds our word, the native word and ``stale``."""
    r = item.row
    if r is None:
        return {}
    native = f"{item.look.word} {r.native or ''} {r.state.name.lower() if r.state is not None else ''} {'stale unknown' if item.stale else ''}"
    return {
        "key": r.key, "name": r.name, "state": native, "source": r.source, "owner": r.owner or "", "layer": r.layer or
        "",
        "environment": r.environment, "application": r.application or "", "business_date": r.business_date or "",
        "kind": r.kind.name.lower() if r.kind is not None else "",
    }  # fmt: skip


def _state(item: Item) -> str | None:
    if item.row is None:
        return "blind"
    return None if item.row.state is None else item.row.state.name.lower()


def record(item: Item, items: Sequence[Item], tz: str, now: int) -> dict[str, Any]:
    """One row for JSON and CSV; field names are the model's, times ms UTC."""
    r = item.row
    base: dict[str, Any] = {
        "key": item.key, "name": item.name, "state": _state(item), "word": item.look.word, "problem": item.problem,
        "stale": item.stale,
        "since": item.since, "says": words.plain(story(item, items, tz, now)) if item.problem else "",
    }  # fmt: skip
    if r is None:
        return {**base, "source": item.source.name if item.source else None}
    return {
        **base, "native": r.native, "sub": r.sub, "source": r.source, "environment": r.environment, "application":
        r.application,
        "layer": r.layer, "owner": r.owner, "criticality": r.criticality.name.lower(), "mode": r.mode.name.lower(),
        "trigger": r.trigger.name.lower(), "schedule": r.schedule, "next_run": r.next_run, "run": r.run_key,
        "kind": r.kind.name.lower() if r.kind is not None else None, "attempt": r.attempt, "business_date":
        r.business_date,
        "queued": r.queued, "started": r.started, "ended": r.ended, "active": r.active, "last_ok": r.last_ok,
        "usual_ms": usual(r), "p90_ms": r.p90_ms, "usual_n": r.usual_n, "error": r.error, "alert_id": r.alert_id,
        "alert_acked": r.alert_acked, "age_ms": None if item.source is None or item.source.last_ok is None else now -
        item.source.last_ok,
    }  # fmt: skip
