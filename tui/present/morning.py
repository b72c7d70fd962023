"""The morning check: what the night came to, line by line with its evidence; exceptions first. Pure.

Every line is ticked by what the store knows; a person only disposes of exceptions. What could not be seen is an exception
too: unknown is not fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapters.model import AlertState, State
from tui.present import floor, words
from tui.present.cut import clean, first_line
from tui.present.floor_owed import Owing
from tui.present.floor_story import story
from tui.present.head import blind
from tui.present.margins import Source
from tui.present.morning_item import Item, Tick, named
from tui.present.morning_owed import ahead, deadlines

if TYPE_CHECKING:
    from engine.store.reader import Reader
    from engine.store.rows import AlertRow, SourceRow

HOUR: Final = 3_600_000
LONGEST: Final = 7 * 24 * HOUR
"""A check that nobody signed for longer looks back no further."""
FIRST: Final = 14 * HOUR
"""How far back the first check looks: from this evening on, as a rule."""


SECTIONS: Final = ("runs", "deadlines", "alerts", "sources", "capacity", "watching", "ahead")


@dataclass(frozen=True, slots=True)
class Night:
    """From ``since`` (the last sign-off, by ``signed``) until ``until``; the lines, worst first."""

    since: int
    until: int
    signed: str | None
    items: tuple[Item, ...]

    @property
    def exceptions(self) -> tuple[Item, ...]:
        return tuple(i for i in self.items if i.tick.wants)

    @property
    def well(self) -> bool:
        return not self.exceptions

    @property
    def blind(self) -> bool:
        """Nothing is known to be bad, but not everything could be seen."""
        found = self.exceptions
        return bool(found) and all(i.tick is Tick.BLIND for i in found)


def look(reader: Reader, now: int, tz: str, *, alive: bool, signed_until: int | None = None) -> Night:
    """Ask everything once. ``alive``: an engine watches this store. ``signed_until``: look from there instead of the last
    sign-off (for a look back)."""
    with reader.snapshot():
        last = reader.signoff()
        since = signed_until if signed_until is not None else last.at if last is not None else now - FIRST
        since = max(since, now - LONGEST)
        items: list[Item] = []
        covered: set[str] = set()
        items += _runs(reader, since, now, tz, covered)
        items += deadlines(reader, since, now, tz, covered)
        items += _alerts(reader, since, now, tz, covered)
        items += _feeds(reader, since, now, tz)
        items += _capacity(reader)
        items += _watching(reader, since, now, tz, alive)
        items += ahead(reader, now, tz)
    order = {name: i for i, name in enumerate(SECTIONS)}
    items.sort(key=lambda i: (i.tick if i.tick.wants else Tick.FINE, order[i.section], i.since or 0))
    return Night(since, now, clean(last.who) if last is not None else None, tuple(items))


# --- the sections ---------------------------------------------------------------------------------------------------


def _runs(reader: Reader, since: int, now: int, tz: str, covered: set[str]) -> list[Item]:
    """1: runs of the night; what is broken now, in the words of the Floor."""
    found: list[Item] = []
    rows, sources = reader.floor(), reader.sources()
    owing = Owing.of(reader.owed_now(), reader.edges(), reader.unverified())
    items = floor.judge(rows, sources, now, owing=owing)
    for one in items:
        if not one.problem:
            continue
        covered.add(one.key)
        said = tuple(words.clause_text(c) for c in story(one, items, tz, now)[:4])
        tick = Tick.BLIND if one.rank is floor.Rank.BLIND else Tick.NOTE if one.rank is floor.Rank.WARNING else Tick.BAD
        run = one.row.run_key if one.row is not None else None
        name = one.name if tick is not Tick.BLIND else f"{one.name}: no view"
        found.append(
            Item(
                f"floor|{one.key}|{run or ''}|{one.rank.name}",
                "runs",
                tick,
                name,
                said if tick is Tick.BLIND else (": ".join([one.look.word, *said[:1]]), *said[1:]),
                one.key,
                run,
                one.since,
            )
        )
    counts = reader.outcomes(since, now)
    total = sum(counts.values())
    parts = [f"{counts[state]:,} {_WORDS[state]}" for state in _WORDS if counts.get(state)]
    found.append(
        Item(
            "runs",
            "runs",
            Tick.NOTE if any(state.bad for state in counts) else Tick.FINE,
            words.many(total, "run"),
            (*(parts or ["nothing ran"]), f"since {words.clock(since, tz, now)}"),
        )
    )
    mended = reader.mended(since, now)
    if mended:
        names = [f"{clean(name)} {n}×" if n > 1 else clean(name) for _, name, n in mended]
        found.append(
            Item(
                "mended",
                "runs",
                Tick.NOTE,
                "made good",
                (named(names), "failed in the night, the run after it was fine"),
            )
        )
    unseen = sum(1 for r in rows if r.state is None)
    if unseen:
        found.append(Item("unrun", "runs", Tick.NOTE, words.many(unseen, "pipeline"), ("never ran",)))
    return found


_WORDS: Final = {
    State.SUCCESS: "ok", State.WARNING: "warning", State.FAILED: "failed", State.TIMED_OUT: "timed out", State.MISSED: "missed",
    State.LOST: "lost", State.STOPPED: "stopped", State.SKIPPED: "skipped", State.RUNNING: "running", State.QUEUED: "queued",
    State.RETRYING: "retrying", State.HELD: "held", State.STOPPING: "stopping",
}  # fmt: skip


def _alerts(reader: Reader, since: int, now: int, tz: str, covered: set[str]) -> list[Item]:
    """3: open and in nobody's hands; in somebody's; came and went; held back, and why."""
    found: list[Item] = []
    opened = 0
    gone: list[AlertRow] = []
    held: list[AlertRow] = []
    for a in reader.alerts_between(since, now):
        if a.state in (AlertState.RESOLVED, AlertState.CLOSED):
            gone.append(a)
            continue
        thing = a.key.partition("/")[0]
        opened += 1
        if a.state is AlertState.ACKED:
            until = f" until {words.clock(a.ack_until, tz, now)}" if a.ack_until else ""
            found.append(
                Item(
                    f"acked|{a.id}",
                    "alerts",
                    Tick.NOTE,
                    clean(thing),
                    (first_line(a.title), f"{clean(a.acked_by or '?')} has it{until}"),
                    thing,
                    None,
                    a.since,
                )
            )
        elif thing not in covered and f"source:{thing}" not in covered:
            found.append(
                Item(
                    f"alert|{a.id}",
                    "alerts",
                    Tick.BAD,
                    clean(thing),
                    (first_line(a.title), "nobody has taken it"),
                    thing,
                    None,
                    a.since,
                )
            )
        if a.held_back:
            held.append(a)
    if held:
        names = [f"{clean(a.key)}: {first_line(a.held_back or '')}" for a in held]
        found.append(Item("held", "alerts", Tick.NOTE, f"{len(held)} not told", (named(names, 3),)))
    if gone:
        names = list(dict.fromkeys(clean(a.key.partition("/")[0]) for a in gone))
        found.append(
            Item("gone", "alerts", Tick.NOTE, words.many(len(gone), "alert"), (f"came and went: {named(names)}",))
        )
    if opened:
        found.append(
            Item(
                "open",
                "alerts",
                Tick.NOTE,
                words.many(opened, "open alert"),
                ("each stands on a line of its own above",),
            )
        )
    elif not found:
        found.append(Item("quiet", "alerts", Tick.FINE, "no alert", ("none was open in this time",)))
    return found


def _feeds(reader: Reader, since: int, now: int, tz: str) -> list[Item]:
    """4: sources that cannot be looked at, and margins that shrink below the declared buffer."""
    found: list[Item] = []
    feeds = reader.feeds()
    fine = 0
    for f in feeds:
        source = Source(f, None)
        if f.error:
            found.append(
                Item(
                    f"feed|{f.name}",
                    "sources",
                    Tick.BLIND,
                    clean(f.name),
                    (first_line(f.error), f"looked for {clean(f.file)}"),
                    f"feed:{f.name}",
                )
            )
        elif source.thin and source.p10 is not None:
            before = f"{words.duration(source.p10)} before it was needed" if source.p10 >= 0 else "after it was needed"
            buffer = (
                f"{words.duration(f.buffer_ms)} before is declared"
                if f.buffer_ms is not None
                else "no buffer is declared"
            )
            said = (f"one date in ten it came {before}", buffer)
            found.append(Item(f"margin|{f.name}", "sources", Tick.NOTE, clean(f.name), said, f"feed:{f.name}"))
        else:
            fine += 1
    if fine:
        last = max((f.arrived for f in feeds if f.arrived is not None), default=None)
        said = (f"last arrival {words.clock(last, tz, now)}",) if last is not None else ("nothing has arrived yet",)
        tick = Tick.FINE if last is not None else Tick.NOTE  # what never came is not fine, it is not known
        found.append(Item("feeds", "sources", tick, words.many(fine, "source"), said))
    return found


def _capacity(reader: Reader) -> list[Item]:
    """5: disks of this host that reach their limit within 14 days; the same limits and the same reckoning as on Hosts."""
    found: list[Item] = []
    known = reader.disk_limits()
    for c in known:
        if c.soon:
            name = clean(c.label or c.metric.partition(":")[2])
            days = 0.0 if c.over or c.days is None else c.days
            said = f"at its limit of {c.limit:.0f}%" if c.over else f"at {c.limit:.0f}% in {days:.0f}d at this pace"
            found.append(Item(f"disk|{c.series}", "capacity", Tick.BAD if days < 2 else Tick.NOTE, name, (said,)))
    if known and not found:
        least = min(c.n for c in known)
        enough = not any(c.learning for c in known)
        said = (
            "none reaches its limit within 14 days"
            if enough
            else f"too few days to tell when {'it fills' if len(known) == 1 else 'they fill'} up ({least}/14)"
        )
        tick = Tick.FINE if enough else Tick.NOTE
        found.append(Item("disks", "capacity", tick, words.many(len(known), "disk"), (said,)))
    return found


def _watching(reader: Reader, since: int, now: int, tz: str, alive: bool) -> list[Item]:
    """6: were we blind, and was everybody told?"""
    found: list[Item] = []
    engine = reader.engine()
    if not alive:
        last = engine.stopped or engine.heartbeat if engine is not None else None
        said = (
            "nobody is watching",
            f"last sign of life {words.clock(last, tz, now)}" if last else "no engine ever ran here",
        )
        found.append(Item("engine", "watching", Tick.BLIND, "engine", (*said, "watchfloor engine run starts one")))
    elif engine is not None:
        said = f"watches since {words.clock(engine.started, tz, now)}"
        before = (
            ""
            if engine.started <= since
            else "it was started within this time: what happened before it began was read afterwards"
        )
        found.append(
            Item(
                "engine",
                "watching",
                Tick.NOTE if before else Tick.FINE,
                "engine",
                tuple(p for p in (said, before) if p),
            )
        )
        if engine.config_error:
            found.append(
                Item(
                    "config",
                    "watching",
                    Tick.BAD,
                    "configuration",
                    ("a newer one is refused", first_line(engine.config_error)),
                )
            )
    for a in reader.alerts_between(since, now):
        if a.rule != "source-unreachable" or a.state is AlertState.PENDING:
            continue
        end = a.resolved if a.resolved is not None else now
        said = f"not seen {words.clock(max(a.since, since), tz, now)}–{words.clock(end, tz, now)}"
        if a.resolved is not None:
            found.append(Item(f"blind|{a.id}", "watching", Tick.NOTE, clean(a.key), (said, "seen again since")))
    sources = reader.sources()
    dark = blind(sources, now)
    if sources and not dark and alive:
        found.append(
            Item("seen", "watching", Tick.FINE, words.many(len(sources), "connection"), (_oldest(sources, now),))
        )
    failed = [d for d in reader.deliveries(limit=500) if d.state == 3 and d.created >= since]
    if failed:
        names = [f"{clean(d.recipient)}: {first_line(d.last_error or '?')}" for d in failed]
        found.append(
            Item(
                "letters|" + failed[0].id,
                "watching",
                Tick.BAD,
                words.many(len(failed), "message"),
                ("not delivered", named(names, 2)),
            )
        )
    return found


def _oldest(sources: Sequence[SourceRow], now: int) -> str:
    ages = [max(now - s.last_ok, s.poll_ms) for s in sources if s.last_ok is not None]
    return f"answering, truth at most {words.age(max(ages))} old" if ages else "not asked yet"


# --- for scripts ----------------------------------------------------------------------------------------------------


def record(item: Item, answer: str | None = None) -> dict[str, Any]:
    """One line for JSON and CSV."""
    return {
        "id": item.id, "section": item.section, "state": item.tick.name.lower(), "name": item.name, "says": " · ".join(item.said),
        "key": item.key, "run": item.run, "since": item.since, "answer": answer,
    }  # fmt: skip
