"""The Floor's judgement and cells: what is a problem, in which order, in which words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from adapters.model import Health, Mode, Owed, Severity, State, Trigger, Verb
from tui.present import floor_owed, frame, owed, row_facts, words
from tui.present.cut import clean
from tui.present.floor_item import LEARNED as LEARNED
from tui.present.floor_item import Item as Item
from tui.present.floor_item import Rank as Rank
from tui.present.floor_item import elapsed as elapsed
from tui.present.floor_item import is_long as is_long
from tui.present.floor_item import usual as usual
from tui.present.floor_owed import NOTHING, UNPROVED, Owing
from tui.present.floor_story import story as story
from tui.present.glyphs import LONG, LOOKS, NO_VIEW, TROUBLE, Look, look_of
from tui.present.head import source_now

if TYPE_CHECKING:
    from engine.store.rows import FloorRow, OwedRow, SourceRow

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
        failed = r.alert_id is not None and not r.alert_acked and r.alert_rule != "owed"
        return Rank.MENDING if failed else _RANKS[r.state]
    if r.mode != Mode.ACTIVE:
        return Rank.STANDING
    return Rank.FINE if r.state is None else _RANKS[r.state]


_JUDGED: Final[Mapping[str, Rank]] = {"schedule": Rank.MISSED, "overdue": Rank.MISSED, "runaway": Rank.LONG}
"""Broken without anybody's promise: these stand where the Floor has had them before there were promises."""


def _owed_rank(r: FloorRow, row: OwedRow | None, behind: Sequence[OwedRow], rank: Rank) -> Rank:
    """What a promise makes of a pipeline's place. A promise never makes anything look better than its run does."""
    if rank == Rank.ENDED and r.mode == Mode.GONE:
        return rank
    danger = row is not None and row.declared and row.state is Owed.AT_RISK
    if rank in (Rank.FAILED, Rank.MISSED) and (behind or danger or floor_owed.owes(r, row)):
        return Rank.BREACHED
    if row is None:
        return rank
    match row.state:
        case Owed.BREACHED:
            return min(rank, Rank.BREACHED if row.declared else _JUDGED.get(row.promise, Rank.MISSED))
        case Owed.AT_RISK if row.declared:
            return min(rank, Rank.AT_RISK)
        case Owed.UNKNOWN if row.declared:
            return min(rank, Rank.UNKNOWN)
        case _:
            return rank


def _owed_look(r: FloorRow, row: OwedRow, rank: Rank) -> Look | None:
    """The look that a promise gives; None: the run's own says more (it failed, it is missed)."""
    if r.state is not None and r.state.bad:
        return None
    if row.state is Owed.AT_RISK:
        return owed.AT_RISK
    if row.state is not Owed.BREACHED or rank == Rank.LONG:
        return None
    unseen = row.missed or row.type == "start_by"
    return LOOKS[State.MISSED] if unseen and not r.active else owed.BREACHED


def judge_one(r: FloorRow, source: SourceRow | None, now: int, *, silent: bool = False, owing: Owing = NOTHING) -> Item:
    """One pipeline's place and look. Without its source nothing vouches for it."""
    stale = silent or source is None or source.stale(now)
    clock, now = now, source_now(source, now)
    rank = plain = _rank(r, stale and not silent, now)
    row, checks = owing.now.get(r.key), owing.checks.get(r.id, ())
    look = look_of(r.state, r.mode)
    if checks and floor_owed.unverified(r, checks):
        look = floor_owed.check_look(r.ended, checks, now)
        rank = Rank.WARNING if look is UNPROVED else Rank.RUNNING
        rank = Rank.UNKNOWN if plain == Rank.UNKNOWN else rank
    on = owing.on.get(r.run_key or "") if rank in (Rank.RUNNING, Rank.CHANGING, Rank.LONG, Rank.MENDING) else None
    if on is not None and rank != Rank.LONG:
        rank = Rank.MENDING  # a step failed, and its run has not ended
    wrong = rank in (Rank.FAILED, Rank.MISSED) or (row is not None and row.state in (Owed.BREACHED, Owed.AT_RISK))
    behind = owing.behind(r.key, r.business_date, clock) if wrong else ()
    rank = _owed_rank(r, row, behind, rank)
    if rank == Rank.LONG:
        look = LONG
    elif row is not None and rank <= Rank.MISSED:
        look = _owed_look(r, row, rank) or look
    since = r.started if rank == Rank.LONG else r.ended if r.ended is not None else r.at
    failed = r.state is not None and r.state.bad
    if row is not None and rank in (Rank.BREACHED, Rank.AT_RISK, Rank.MISSED) and rank < plain and not failed:
        since = _since(r, row, now)
    due = row.due if row is not None and row.declared and rank <= Rank.MISSED else r.next_run
    weight = int(r.criticality)
    if row is not None and row.declared and rank <= Rank.MISSED:
        weight = min(weight, int(row.severity))
    order = (rank, int(r.alert_acked), weight, due if due is not None else 1 << 62, r.name)
    late = owing.late_sources(r.key) if wrong else ()
    chained = bool(owing.down) and not behind
    return Item(r.key, rank, look, stale, source, r, since, order, row, behind, late, checks, on, chained)


def _since(r: FloorRow, row: OwedRow, now: int) -> int | None:
    """Since when a promise is broken (its due time) or in danger; None: that is not kept."""
    if row.since is not None:
        return row.since
    if r.alert_rule == "owed":
        return r.alert_since
    if r.active and r.started is not None:
        return r.started
    start = None if row.prediction is None else row.prediction.latest_start
    return start if start is not None and start <= now else None


def _thing(row: OwedRow, owing: Owing, now: int) -> Item | None:
    """A feed, a heartbeat or a set that is broken or in danger: a row of its own among the problems."""
    if row.state not in (Owed.BREACHED, Owed.AT_RISK):
        return None
    rank = Rank.BREACHED if row.state is Owed.BREACHED else Rank.AT_RISK
    since = row.since if row.since is not None else row.due
    behind = owing.behind(row.thing, row.business_date, now)
    order = (int(rank), 0, int(row.severity), row.due, row.name)
    return Item(row.thing, rank, owed.LOOKS[row.state], False, None, None, since, order, row, behind)


def arrange(
    pipelines: Iterable[Item], sources: Sequence[SourceRow], now: int, *, silent: bool = False, owing: Owing = NOTHING
) -> list[Item]:
    """All items in the order of the Floor, blind sources and things that are no pipeline among them; when nobody watches
    everything is blind.
    """
    items = list(pipelines)
    for s in () if silent else frame.blind(sources, now):
        since = (
            s.last_ok if s.health == Health.FRESH and s.last_ok is not None else s.since
        )  # it answered well until then
        order = (int(Rank.BLIND), 0, int(Severity.HIGH), since, s.name)
        items.append(Item(f"source:{s.name}", Rank.BLIND, NO_VIEW, True, s, None, since, order))
    for s in () if silent else frame.troubled(sources, now):
        order = (int(Rank.MISSED), 0, int(Severity.HIGH), s.trouble_since or 0, s.name)
        items.append(Item(f"source:{s.name}", Rank.MISSED, TROUBLE, False, s, None, s.trouble_since, order))
    for s in () if silent else frame.ailing(sources, now):
        since = s.ails.since if s.ails is not None else None
        order = (int(Rank.WARNING), 0, int(Severity.HIGH), since or 0, s.name)
        items.append(Item(f"source:{s.name}", Rank.WARNING, LOOKS[State.WARNING], False, s, None, since, order))
    for row in owing.now.values():
        if row.pipeline_id is None and (item := _thing(row, owing, now)) is not None:
            items.append(replace(item, stale=True) if silent else item)
    items += _unjudged(owing, () if silent else frame.blind(sources, now))
    items.sort(key=_by_order)
    return items


def _unjudged(owing: Owing, dark: Sequence[SourceRow]) -> list[Item]:
    """Promises that nobody can judge now: a row for each source whose numbers they are, one for each that was broken when it was
    seen last. Of a source that is not seen (``dark``) its own row says that its pipelines and numbers are not."""
    said, groups = {s.name for s in dark}, dict[str, list[Any]]()
    out: list[Item] = []
    for row in owing.unjudged:
        if row.lateness_ms is not None:
            out.append(_in_doubt([row], Rank.BLIND, owing))
        elif row.source is None:
            out.append(_in_doubt([row], Rank.UNKNOWN, owing))
        elif row.source not in said:
            groups.setdefault(row.source, []).append(row)
    return [*out, *(_in_doubt(rows, Rank.UNKNOWN, owing) for rows in groups.values())]


def _in_doubt(rows: Sequence[OwedRow], rank: Rank, owing: Owing) -> Item:
    first, *also = sorted(rows, key=lambda r: (int(r.severity), r.name))
    since = min((r.since for r in rows if r.since is not None), default=None)
    order = (int(rank), 0, int(first.severity), first.due, first.name)
    alone = first.pipeline_id is None and owing.now.get(first.thing, first) == first
    key = first.thing if alone else first.key  # its thing has a row already: of its run, or of another promise
    return Item(key, rank, owed.UNKNOWN, True, None, None, since, order, first, also=tuple(also))


def judge(
    rows: Sequence[FloorRow], sources: Sequence[SourceRow], now: int, *, silent: bool = False, owing: Owing = NOTHING
) -> list[Item]:
    """``judge_one`` for each, arranged: for screens that read all rows at once."""
    by_id = {s.id: s for s in sources}
    pipelines = [judge_one(r, by_id.get(r.source_id), now, silent=silent, owing=owing) for r in rows]
    return arrange(pipelines, sources, now, silent=silent, owing=owing)


_by_order = attrgetter("order")


def verdict(items: Sequence[Item], now: int) -> frame.Verdict:
    """Line 1 of the Floor."""
    broken = [i for i in items if i.rank.broken]
    long = warnings = unknown = total = beside = mending = unrun = promised = unjudged = 0
    run: tuple[int, str] | None = None
    due: OwedRow | None = None
    danger: list[OwedRow] = []
    seen: dict[int, SourceRow] = {}
    for i in items:
        r, row = i.row, i.owed
        if row is not None and row.declared:
            promised += 1
            if row.state is Owed.AT_RISK and not i.stale:
                danger.append(row)
            ends = row.type != "sequence"  # at the end of its date nothing has to be there
            if ends and not i.stale and row.state.waiting and row.due > now and (due is None or row.due < due.due):
                due = row
        if r is None:
            unjudged += i.unjudged
            warnings += i.rank is Rank.WARNING and i.owed is None
            beside += i.rank.broken or (row is not None and row in danger)
            continue
        total += 1
        long += i.rank == Rank.LONG
        mending += i.rank == Rank.MENDING
        unrun += r.state is None
        warnings += i.rank in (Rank.WARNING, Rank.SEEN)
        unknown += (i.stale and not i.rank.broken) or (i.rank == Rank.UNKNOWN)
        if i.source is not None:
            seen[i.source.id] = i.source
        ticks = r.mode == Mode.ACTIVE and r.trigger != Trigger.EVENT
        if not i.stale and ticks and r.next_run is not None and r.next_run > now:
            run = (r.next_run, i.name) if run is None or r.next_run < run[0] else run
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
        beside=beside,
        next_name=run[1] if run else None,
        next_at=run[0] if run else None,
        oldest=max(ages, default=None),
        promised=promised,
        unjudged=unjudged,
        danger=tuple((clean(row.name), row.due) for row in owed.danger(danger)),
        due_name=clean(due.name) if due else None,
        due_at=due.due if due else None,
        due_late=owed.lateness_ms(due, now) if due else None,
    )


def next_step(item: Item, acting: bool) -> tuple[str, str]:
    """First action that is allowed on a problem: (action id, word)."""
    r, s = item.row, item.source
    if r is None:
        return ("list.open", "due") if item.thing else ("screen.sources", "health")
    offers = s.offers if s is not None and acting else frozenset[str]()
    if item.on is not None and Verb.STOP in offers:
        return "run.stop", "stop"
    if r.state is not None and r.state.bad and r.state != State.MISSED:
        if Verb.RERUN_FAILED in offers:
            return "run.rerun_failed", "rerun"
        if Verb.RERUN in offers:
            return "run.rerun", "rerun"
    if item.look is LOOKS[State.MISSED] and Verb.START in offers:
        return "pipeline.start", "start"
    if item.rank in (Rank.BREACHED, Rank.AT_RISK):
        return "list.open", "story" if r.run_key else "due"
    return ("run.log", "log") if r.run_key else ("list.open", "story")


# --- for filters and scripts ----------------------------------------------------------------------------------------


def facts(item: Item) -> dict[str, str]:
    """What a filter may ask about a row. ``state`` holds our word, the native word and ``stale``."""
    r = item.row
    if r is None:
        row = item.owed
        return {} if row is None else {
            "key": " ".join(r.thing for r in (row, *item.also)), "name": " ".join([item.name, *(clean(r.name) for r in item.also)]),
            "state": f"{item.look.word} {row.state.name.lower()}", "source": row.source or "", "owner": row.owner or "",
            "is": "problem" if item.problem else "",
        }  # fmt: skip
    native = f"{item.look.word} {r.native or ''} {r.state.name.lower() if r.state is not None else ''} {'stale unknown' if item.stale else ''}"
    if item.owed is not None and item.owed.declared:
        native += f" {owed.LOOKS[item.owed.state].word}"
    return {
        "key": r.key, "name": r.name, "state": native, "source": r.source, "owner": r.owner or "", "layer": r.layer or
        "",
        "environment": r.environment, "application": r.application or "", "business_date": r.business_date or "",
        "kind": r.kind.name.lower() if r.kind is not None else "",
        "is": row_facts.is_words(r, stale=item.stale, problem=item.problem),
    }  # fmt: skip


def _state(item: Item) -> str | None:
    if item.row is None:
        return "blind" if item.owed is None else item.owed.state.name.lower()
    return None if item.row.state is None else item.row.state.name.lower()


def record(item: Item, items: Sequence[Item], tz: str, now: int) -> dict[str, Any]:
    """One row for JSON and CSV; field names are the model's, times ms UTC."""
    r = item.row
    base: dict[str, Any] = {
        "key": item.key, "name": item.name, "state": _state(item), "word": item.look.word, "problem": item.problem,
        "stale": item.stale,
        "since": item.since, "says": words.plain(story(item, items, tz, now)) if item.problem else "",
    }  # fmt: skip
    base |= {"owed": None if item.owed is None else owed_record(item.owed, now)}
    if r is None:
        return {**base, "source": item.source.name if item.source else None}
    base |= {"checks": [{"name": c.name, "state": ("waiting", "passed", "failed")[c.state], "at": c.at, "says": c.words} for c in item.checks]}  # fmt: skip
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


def owed_record(row: OwedRow, now: int) -> dict[str, Any]:
    """A promise for JSON: its state, due time, what is predicted."""
    p = row.prediction
    return {
        "occurrence": row.key, "promise": row.promise, "type": row.type, "declared": row.declared, "state": row.state.name.lower(),
        "due": row.due, "lateness_ms": owed.lateness_ms(row, now), "reason": row.reason, "business_date": row.business_date,
        "p50": None if p is None else p.p50, "p90": None if p is None else p.p90, "late": None if p is None else p.late,
        "latest_start": None if p is None else p.latest_start, "learnt_of": None if p is None else p.basis.n,
    }  # fmt: skip
