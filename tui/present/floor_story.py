"""The sentence of a row of the Floor: what happened, what it means, when, by weight. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from adapters.model import Course, Health, Mode, Owed, RunKind, State
from tui.present import owed, words
from tui.present.cut import clean, first_line
from tui.present.floor_item import Item, Rank, elapsed, usual
from tui.present.glyphs import HEALTH_LOOKS, TROUBLE
from tui.present.head import source_now, trouble_words
from tui.present.words import Clause

if TYPE_CHECKING:
    from engine.store.rows import OwedRow


def story(item: Item, items: Sequence[Item], tz: str, now: int) -> list[Clause]:
    """What happened and what it means, by weight. Text from outside is made harmless here."""
    r, s = item.row, item.source
    if r is None:
        return _blind_story(item, items, tz, now) if item.owed is None else _thing_story(item, item.owed, tz, now)
    out: list[Clause] = _promise(item, tz, now)
    error = first_line(r.error or "")
    here = source_now(s, now)
    if item.on is not None:
        out += [item.on.said(tz, now), f"{item.on.names()} still runs"]
    elif item.rank == Rank.MENDING:
        since = f" at {words.clock(r.alert_since, tz, now)}" if r.alert_since is not None else ""
        ran = elapsed(r, here)
        out.append(f"went wrong{since}, not made good yet")  # it failed, or did not come at all
        out.append(f"a run is {item.look.word}" + (f", {words.running(ran)}" if ran is not None else ""))
    match r.state:
        case State.MISSED:
            if not out:
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
            out += _holds(item, tz, now)
            if r.p90_ms is not None:
                out.append(f"nine of ten end within {words.rough(r.p90_ms)}")
        case State.RUNNING | State.RETRYING if item.rank == Rank.AT_RISK:
            ran = elapsed(r, here)
            out += [f"running {words.running(ran)}"] if ran is not None else []
        case _:
            pass
    if r.state is not None and r.state.bad:
        out += _so(item, tz, now)
    if item.checks:
        out += _checks(item, tz, now)
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


_SHORT: Final = 80
"""A sentence of so many cells leads, even where its end is cut: 42 are shown at 80 columns, 63 at 120."""


def _blind_story(item: Item, items: Sequence[Item], tz: str, now: int) -> list[Clause]:
    s = item.source
    if s is None:
        return []
    n = sum(1 for i in items if i.row is not None and i.row.source_id == s.id)
    if item.look is TROUBLE:
        what, _, so = trouble_words(s, tz, now).partition(": ")
        return [
            *(c for c in (what, so) if c),
            f"{words.many(n, 'pipeline')} of it"
            if n
            else f"{words.many(s.measures, 'number')} of it"
            if s.measures
            else "no pipeline of it is known",
        ]
    if item.rank is Rank.WARNING and s.ails is not None:
        a = s.ails
        what = f"{words.many(a.many, a.kind.replace('-', ' '))}: {clean(a.name)}"
        return [what, first_line(a.words), "what stood there is not seen any more as it is now"]
    look = HEALTH_LOOKS[s.health if s.health != Health.FRESH else Health.STALE]
    detail = first_line(s.detail or "")
    since = s.last_ok if look is HEALTH_LOOKS[Health.STALE] else s.since
    plain = f"{look.word} since {words.clock(since, tz, now)}" if s.last_ok and since else look.word
    short = 0 < len(detail) <= _SHORT  # a server's long answer would be cut before it says anything
    out: list[Clause] = [
        detail if short else plain,
        *([f"{words.many(n, 'pipeline')} unknown"] if n else []),
        *([f"{words.many(s.measures, 'number')} not measured"] if s.measures else []),
        *([] if n or s.measures else ["none of its pipelines is known yet"]),
    ]
    if detail and not short:
        out.append(detail)
    if s.hint:
        out.append(first_line(s.hint))
    if s.until is not None and s.until > now:
        out.append(f"until {words.clock(s.until, tz, now)}")
    return out


# --- promises -------------------------------------------------------------------------------------------------------


def _promise(item: Item, tz: str, now: int) -> list[Clause]:
    """What leads where a promise is broken, in danger or still to be kept, and the run itself has not failed."""
    row, r = item.owed, item.row
    if row is None or (r is not None and r.state in _SAYS_MORE):
        return []
    if row.declared and row.state.waiting and item.rank > Rank.BLIND and not item.stale:
        return owed.sentence(row, tz, now)
    if row.state not in (Owed.BREACHED, Owed.AT_RISK) or item.rank > Rank.MISSED:
        return []
    if item.stale and row.state is Owed.AT_RISK:  # what was predicted then is no prediction now
        seen = item.source.last_ok if item.source is not None else None
        return [f"{owed.due_words(row, tz, now)}, not seen since {words.clock(seen, tz, now)}", *_behind(item, tz, now)]
    out = owed.sentence(row, tz, now)
    out += [owed.source_words(feed, tz, now) for feed in item.late]
    return out + _behind(item, tz, now)


_SAYS_MORE = (State.FAILED, State.TIMED_OUT, State.LOST)
"""Of these the error leads, and what is owed follows."""


def _so(item: Item, tz: str, now: int) -> list[Clause]:
    """What a failure means for what is owed: who waits, and when a rerun would be done."""
    row, r = item.owed, item.row
    if r is None or r.state not in _SAYS_MORE:
        return []
    out = _behind(item, tz, now)
    if row is not None and row.declared and row.state.unsettled:
        again = row.prediction is not None and row.prediction.course is Course.RERUN
        if again and row.prediction is not None and out:
            out.append(owed.rerun_words(row.prediction, tz, now))
            out += owed.start_clauses(row, tz, now)
        else:
            out += owed.sentence(row, tz, now)
    elif not out and item.chained:
        out.append("nothing waits for it")
    return out


def _behind(item: Item, tz: str, now: int) -> list[Clause]:
    """``blocks customer_360 06:30 +2``: the first that waits, and how many more do."""
    if not item.behind:
        return []
    first = item.behind[0]
    more = f" +{len(item.behind) - 1}" if len(item.behind) > 1 else ""
    style = "run-late" if first.state in (Owed.AT_RISK, Owed.BREACHED) else "dim"
    return [[("blocks ", "dim"), (f"{clean(first.name)} {words.clock(first.due, tz, now)}", style), (more, "dim")]]


def _holds(item: Item, tz: str, now: int) -> list[Clause]:
    """Of a long run whose promise is not in danger: ``due 08:00 holds``."""
    row = item.owed
    if row is None or not row.declared or row.state is not Owed.PENDING:
        return []
    late = owed.lateness_ms(row, now)
    at = words.clock(row.due, tz, now)
    return [f"due {at} holds" if late is not None and late <= 0 else f"due {at}"]


def _checks(item: Item, tz: str, now: int) -> list[Clause]:
    """``finished 05:22, not yet verified`` and which check says what."""
    r = item.row
    ended = f" {words.clock(r.ended, tz, now)}" if r is not None and r.ended is not None else ""
    said_so = item.owed is not None and item.owed.state is Owed.BREACHED and owed.unverified(item.owed)
    out: list[Clause] = [] if said_so else [f"finished{ended}, not yet verified"]
    for check in sorted(item.checks, key=lambda c: -c.state):
        said = first_line(check.words)
        word = "failed" if check.state == 2 else "waits"
        out.append(f"check {clean(check.name)} {word}" + (f": {said}" if said else ""))
    return out


def _thing_story(item: Item, row: OwedRow, tz: str, now: int) -> list[Clause]:
    """Of a feed, a heartbeat, a set or a measured number."""
    if item.unjudged:
        return _unjudged_story(item, row, tz, now)
    out = [*owed.sentence(row, tz, now), *_behind(item, tz, now)]
    if row.consumers:
        out.append("used by " + ", ".join(clean(c) for c in row.consumers))
    return out


def _unjudged_story(item: Item, row: OwedRow, tz: str, now: int) -> list[Clause]:
    """Why nobody can tell whether it is kept, and for how long it had been broken when somebody could."""
    out: list[Clause] = []
    if row.lateness_ms is not None:
        out.append(f"broken for {words.running(row.lateness_ms)} when it was seen last")
    out += [owed.reason(row, tz)] if row.type in owed.MEASURED and row.reason else owed.sentence(row, tz, now)
    if item.also:
        out.append("also " + ", ".join(clean(r.name) for r in item.also))
    return out
