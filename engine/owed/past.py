"""What is known of each pipeline's past: learnt durations, ordinary bounds, newest runs. Read when first asked, kept until a run ends.

Held in the writer's memo, so that a transaction that is rolled back takes back what was learnt in it. Of a pipeline only the
answers are held (30 numbers for each shape and class of day that was asked for), never its runs' rows.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from adapters.model import RunKind, Shape, State
from adapters.schedule import zone as zone_of
from engine.owed.anomaly import Baseline, Bounds, Levels, Sample, Side, Verdict
from engine.owed.history import DAY, DayClass, Learning, Learnt, Past, day_class, learn
from engine.owed.quantile import DAYS, DEPTH
from engine.owed.wording import day_words, span
from engine.store import owed, past
from engine.store.past import Ended, PipelineFacts, Seen, Standing
from engine.store.runs import RunChange
from engine.store.writer import Tx

MOST: Final = 4_000
"""Pipelines of which something is held; beyond it all is forgotten and read anew."""
FACTS_AGE: Final = 86_400_000
"""For how long a pipeline's schedule and zone are taken as they were."""
LEARNING: Final = 60_000
"""For how long too few runs are taken for all there are: history is fetched after the first look, ms."""
SKEWED: Final = 2_000
"""A source's clock counts as ours up to this difference (its times come in whole seconds), ms."""
LEVELS: Final = 2_048
"""Pipelines whose levels are held as values (5 KB each)."""
WRITTEN: Final = 8
"""Ordinary runs after which levels are written again; those that ended since are taken in when they are read."""
_CLASSES: Final = tuple(DayClass)
_DAYS: Final = ("weekdays", "weekends", "month-ends", "month-ends")


@dataclass(frozen=True, slots=True)
class Known:
    """Of runs of one shape on one class of day: their durations, and what is ordinary. ``at``: when it was learnt."""

    durations: Learnt | Learning
    levels: Levels
    day: DayClass
    stamp: int
    zone: str
    at: int

    @property
    def bounds(self) -> Bounds | None:
        """None below 8 runs."""
        return self.levels.bounds(self.day)


@dataclass(frozen=True, slots=True)
class Style:
    """How a pipeline's runs come: with business dates or without, and the shape of the newest that is not partial."""

    dated: bool
    shape: Shape


class _Tail:
    """The runs that tell how long the next one takes, oldest first, in 1 KB: starts, durations, classes of day in ``zone``."""

    __slots__ = ("at", "day", "ms", "zone")

    def __init__(self, runs: Sequence[Past], zone: str) -> None:
        self.at = array("q", [p.at for p in runs])
        self.ms = array("q", [p.ms for p in runs])
        self.day = bytearray(int(p.day) for p in runs)
        self.zone = zone

    def runs(self, since: int) -> list[Past]:
        first = bisect_left(self.at, since)
        return [*map(Past, self.at[first:], self.ms[first:], map(_CLASSES.__getitem__, self.day[first:]))]

    def add(self, run: Past) -> bool:
        """Take in a newer run; False if it is not newer."""
        if self.at and run.at <= self.at[-1]:
            return False
        self.at.append(run.at)
        self.ms.append(run.ms)
        self.day.append(int(run.day))
        if len(self.at) > DEPTH:
            del self.at[0], self.ms[0], self.day[0]
        return True


@dataclass(slots=True)
class Held:
    """What lies in the memo."""

    known: dict[int, dict[tuple[Shape, DayClass], Known]] = field(default_factory=dict)
    styles: dict[int, Style] = field(default_factory=dict)
    facts: dict[str, tuple[int, PipelineFacts | None]] = field(default_factory=dict)
    recent: dict[int, list[Seen]] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    feeds: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    high: dict[str, int] = field(default_factory=dict)
    shifted: set[str] = field(default_factory=set)
    sources: tuple[int, Mapping[int, Standing]] = (-1, {})
    tails: dict[tuple[int, Shape], _Tail] = field(default_factory=dict)
    levels: dict[tuple[int, Shape], Levels] = field(default_factory=dict)
    unwritten: dict[tuple[int, Shape], int] = field(default_factory=dict)


def held(tx: Tx) -> Held:
    """What is held now."""
    found = tx.memo.get("owed_past")
    if not isinstance(found, Held):
        found = tx.memo["owed_past"] = Held()
    return found


def configured(tx: Tx) -> None:
    """After a start or a reload: zones, schedules and promises may be others; what was learnt of runs stands."""
    here = held(tx)
    here.facts.clear()
    here.feeds.clear()


# --- what is known --------------------------------------------------------------------------------------------------


def facts_of(tx: Tx, key: str) -> PipelineFacts | None:
    """Of a pipeline by key."""
    here = held(tx).facts
    found = here.get(key)
    if found is None or tx.now - found[0] > FACTS_AGE:
        if len(here) > MOST:
            here.clear()
        found = here[key] = (tx.now, past.pipeline_facts(tx, key))
    return found[1]


def feed_promises_of(tx: Tx, key: str) -> list[int]:
    """Ids of the promises that a feed arrives."""
    here = held(tx).feeds
    found = here.get(key)
    if found is None or tx.now - found[0] > FACTS_AGE:
        found = here[key] = (tx.now, past.feed_promises(tx, key))
    return found[1]


def standing_of(tx: Tx, source_id: int) -> Standing:
    """Of a source, read once an instant."""
    here = held(tx)
    if here.sources[0] != tx.now:
        here.sources = (tx.now, past.standings(tx))
    return here.sources[1].get(source_id) or Standing(False, None, 0)


def by_our_clock(standing: Standing, at: int) -> int:
    """A time of the source's clock, where that is known to go wrong."""
    return at - standing.skew if abs(standing.skew) >= SKEWED else at


def recent_of(tx: Tx, pipeline_id: int) -> list[Seen]:
    """The newest runs of a pipeline, newest first."""
    here = held(tx).recent
    found = here.get(pipeline_id)
    if found is None:
        if len(here) > MOST:
            here.clear()
        found = here[pipeline_id] = past.recent(tx, pipeline_id)
    return found


def style_of(tx: Tx, pipeline_id: int) -> Style:
    """By its newest runs."""
    here = held(tx).styles
    found = here.get(pipeline_id)
    if found is None:
        runs = past.recent(tx, pipeline_id)
        shape = next((r.shape for r in runs if r.shape != Shape.PARTIAL), Shape.FULL)
        dated = next((r.bdate is not None for r in runs if r.kind == RunKind.SCHEDULED), bool(runs and runs[0].bdate))
        found = here[pipeline_id] = Style(dated, shape)
    return found


def shape_of(tx: Tx, pipeline_id: int, run_key: str | None) -> Shape:
    """Of a run that goes on or would be run again; of one that was not seen, and of a partial one, its pipeline's usual shape."""
    here = held(tx).shapes
    usual = style_of(tx, pipeline_id).shape
    if run_key is None:
        return usual
    found = here.get(run_key)
    if found is None:
        name = run_key.partition("/")[2]
        found = next((r.shape for r in recent_of(tx, pipeline_id) if r.name == name), usual)
        if len(here) > MOST:
            here.clear()
        here[run_key] = found
    return usual if found == Shape.PARTIAL else found


def known_of(tx: Tx, pipeline_id: int, zone: str, shape: Shape, day: DayClass) -> Known:
    """Learnt of its past; anew after a run ended, and once a day (runs grow too old)."""
    here = held(tx).known
    mine = here.get(pipeline_id)
    if mine is None:
        if len(here) > MOST:
            here.clear()
        mine = here[pipeline_id] = {}
    found = mine.get((shape, day))
    stamp = tx.now // DAY
    if found is not None and isinstance(found.durations, Learning) and tx.now - found.at >= LEARNING:
        _forget(held(tx), pipeline_id)
        held(tx).levels.pop((pipeline_id, shape), None)
        past.drop_baseline(tx, pipeline_id)
        mine, found = here.setdefault(pipeline_id, {}), None
    if found is None or found.stamp != stamp or found.zone != zone:
        runs = _runs(tx, pipeline_id, shape, zone)
        levels = _levels(tx, pipeline_id, shape, runs)
        durations = learn(runs, day, levels.shift(day))
        found = mine[shape, day] = Known(durations, levels, day, stamp, zone, tx.now)
    return found


def _runs(tx: Tx, pipeline_id: int, shape: Shape, zone: str) -> list[Past]:
    """H before it is cut to a class of day."""
    here = held(tx).tails
    tail = here.get((pipeline_id, shape))
    if tail is None or tail.zone != zone:
        if len(here) > MOST:
            here.clear()
        tail = here[pipeline_id, shape] = _Tail([_past(r, zone) for r in past.ended(tx, pipeline_id, shape)], zone)
    return tail.runs(tx.now - DAYS * DAY)


def declared(known: Learnt | Learning, expected_ms: int | None) -> Learnt | Learning:
    """With the declared duration, which counts while learning only."""
    if expected_ms is None or isinstance(known, Learnt):
        return known
    return replace(known, declared=expected_ms)


def verdict_of(tx: Tx, run_key: str) -> Verdict | None:
    """On a run that ended with the changes that were taken in last, against what was ordinary before it."""
    return held(tx).verdicts.get(run_key)


def shifted(tx: Tx, run_key: str) -> bool:
    """Whether that run was the one with which a level shifted: what is odd about it is usual from now on."""
    return run_key in held(tx).shifted


def class_on(zone: str, at: int) -> DayClass:
    """Class of the local date of an instant."""
    return class_of_number(_local_day(zone, at))


def local_date(zone: str, at: int) -> str:
    """ISO date of an instant."""
    number = _local_day(zone, at)
    return f"{number // 10_000:04}-{number // 100 % 100:02}-{number % 100:02}"


@lru_cache(maxsize=4096)
def _local_day(zone: str, at: int) -> int:
    moment = datetime.fromtimestamp(at // 1000, zone_of(zone))
    return moment.year * 10_000 + moment.month * 100 + moment.day


@lru_cache(maxsize=4096)
def class_of_number(number: int) -> DayClass:
    """Class of a date, yyyymmdd."""
    try:
        return day_class(date(number // 10_000, number // 100 % 100, number % 100))
    except ValueError:
        return DayClass.WEEKDAY


def _past(run: Ended, zone: str) -> Past:
    day = class_of_number(run.bdate) if run.bdate is not None else class_on(zone, run.at)
    return Past(run.at, run.ms, day)


# --- what runs that ended teach -------------------------------------------------------------------------------------


def take_in(tx: Tx, changes: Sequence[RunChange]) -> None:
    """Follow changed runs: forget what was learnt of pipelines whose runs ended, move what is ordinary, tell of shifts once."""
    here = held(tx)
    here.verdicts.clear()
    here.shifted.clear()
    ended: list[RunChange] = []
    old: set[int] = set()
    for change in changes:
        here.recent.pop(change.pipeline_id, None)
        if change.after.terminal:
            here.shapes.pop(change.key, None)
            if change.backfilled:
                old.add(change.pipeline_id)
            elif change.after == State.SUCCESS and change.before != State.SUCCESS:
                ended.append(change)
        elif change.before is None and not change.backfilled:
            here.shapes[change.key] = change.run.shape
            if len(here.shapes) > MOST:
                here.shapes.clear()
        if change.before == State.SUCCESS or change.backfilled:  # what counted changed, or older runs came to light
            _forget(here, change.pipeline_id)
    for pipeline_id in old:
        past.drop_baseline(tx, pipeline_id)
        for shape in Shape:
            here.levels.pop((pipeline_id, shape), None)
    if not ended:
        return
    stored = past.seen(tx, (c.run_id for c in ended))
    for change in sorted(ended, key=lambda c: stored[c.run_id].at if c.run_id in stored else 0):
        run = stored.get(change.run_id)
        if run is not None and change.pipeline_id not in old:
            _step(tx, here, change, run)


def _forget(here: Held, pipeline_id: int) -> None:
    here.known.pop(pipeline_id, None)
    here.styles.pop(pipeline_id, None)
    for shape in Shape:
        here.tails.pop((pipeline_id, shape), None)


def _step(tx: Tx, here: Held, change: RunChange, run: Seen) -> None:
    """One run that ended well."""
    if (
        run.kind != RunKind.SCHEDULED or run.attempt != 1 or run.shape == Shape.PARTIAL
        or run.started is None or run.ended is None or run.ended < run.started
    ):  # fmt: skip
        return
    facts = facts_of(tx, change.key.partition("/")[0])
    zone = "UTC" if facts is None else facts.zone
    here.known.pop(change.pipeline_id, None)
    spot = (change.pipeline_id, run.shape)
    this = _past(Ended(run.run_id, run.at, run.ended - run.started, run.bdate), zone)
    here.styles[change.pipeline_id] = Style(run.bdate is not None, run.shape)
    tail = here.tails.get(spot)
    if tail is not None and (tail.zone != zone or not tail.add(this)):
        del here.tails[spot]
    levels = here.levels.get(spot)
    if levels is None:
        before = [_past(r, zone) for r in past.ended(tx, change.pipeline_id, run.shape, run.at)]
        levels = _levels(tx, change.pipeline_id, run.shape, before)
    if run.at <= _newest(levels):
        return  # it came late: what is ordinary is that of the newer ones
    after, verdict, shifted = levels.step(this.at, this.ms, this.day)
    here.verdicts[change.key] = verdict
    here.levels[spot] = after
    here.unwritten[spot] = here.unwritten.get(spot, 0) + 1
    if shifted or after.whole.odd or here.unwritten[spot] >= WRITTEN:
        past.put_baseline(tx, *spot, _encode(after))
        del here.unwritten[spot]
    if shifted:
        here.shifted.add(change.key)
    if shifted and facts is not None:
        since = after.shift(this.day) or this.at
        level = after.whole if after.whole.since == since else after.days[min(int(this.day), 2)]
        now = sorted(s.value for s in level.kept)[len(level.kept) // 2] if level.kept else this.ms
        was = None if verdict.bounds is None else round(verdict.bounds.centre)
        owed.put_event(
            tx,
            facts.key,
            "level shift",
            shift_words(zone, since, now, was, this.day if level is not after.whole else None),
        )


def shift_words(zone: str, since: int, now_ms: int, was_ms: int | None, day: DayClass | None = None) -> str:
    """ "takes 1h 10m since Tue 17 Nov, was 44m". ``day``: on these days only."""
    on = "" if day is None else f"on {_DAYS[day]} "
    was = "" if was_ms is None else f", was {span(was_ms)}"
    return f"{on}takes {span(now_ms)} since {day_words(zone, since)}{was}"


def _newest(levels: Levels) -> int:
    """Start of the newest run that is in them."""
    return max((b[-1].at for b in (levels.whole.kept, levels.whole.odd) if b), default=-1)


def _levels(tx: Tx, pipeline_id: int, shape: Shape, runs: Sequence[Past]) -> Levels:
    """As stored, with those of ``runs`` that ended since; worked out from them where nothing is stored. Shifts are history here."""
    here = held(tx)
    spot = (pipeline_id, shape)
    levels = here.levels.get(spot)
    if levels is not None:
        return levels
    body = past.baseline(tx, pipeline_id, shape)
    levels = None if body is None else decode(body)
    if levels is None:
        levels = Levels.replay(runs)
        past.put_baseline(tx, pipeline_id, shape, _encode(levels))
    else:
        newest = _newest(levels)
        for run in runs:
            if run.at > newest:
                levels, _, _ = levels.step(run.at, run.ms, run.day)
    if len(here.levels) >= LEVELS:
        here.levels.clear()
        here.unwritten.clear()
    here.levels[spot] = levels
    return levels


def _encode(levels: Levels) -> str:
    """Flat lists: this is written at the end of every run."""
    return json.dumps(
        [
            [int(b.side), b.since, [v for s in b.kept for v in (s.at, s.value)], [v for s in b.odd for v in (s.at, s.value)]]
            for b in (levels.whole, *levels.days)
        ],
        separators=(",", ":"),
    )  # fmt: skip


def decode(body: str) -> Levels | None:
    """What ``_encode`` wrote; None for anything else (it is then worked out anew)."""
    try:
        whole, first, second, third = [_baseline(*b) for b in json.loads(body)]
    except (ValueError, TypeError):
        return None
    return Levels(whole, (first, second, third))


def _baseline(side: int, since: int | None, kept: list[int], odd: list[int]) -> Baseline:
    return Baseline(
        tuple(map(Sample, kept[::2], kept[1::2])), tuple(map(Sample, odd[::2], odd[1::2])), Side(side), since
    )
