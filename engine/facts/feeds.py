"""Feeds: files that come from outside. They are looked for every few seconds; when one came the judge is told.

Nothing here waits for a file system: each look is a thread of its own with a time limit. One that hangs (a mount whose
server is gone) stays the only one of its feed, and the feed says so until it comes back.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Protocol

from adapters.apart import Apart, Hangs
from adapters.globs import shown
from engine.config.model import Facts, Feed, matches
from engine.context import Context
from engine.facts import look
from engine.facts.look import LIMIT_S, RECENT_MS, File, Sight
from engine.owed.calendar import local_date
from engine.owed.quantile import LEAST, quantile
from engine.owed.trend import slope
from engine.store import facts as rows
from engine.store.errors import StoreError
from engine.store.facts import Arrived, Start
from engine.store.owed import put_event
from engine.store.packed import bdate_number
from engine.store.runs import RunChange
from engine.store.writer import Tx

LOOK_EVERY_S: Final = 5.0
SETTLED_MS: Final = 10_000
"""A file that nobody changed for so long is whole, also at the first look."""
AT_ONCE: Final = 8
DAY_MS: Final = 86_400_000
HANGS: Final = "its folder has not answered"
_TOLD_EVERY_MS: Final = 60_000
_SOON_MS: Final = 36 * 3_600_000
"""A run that starts later than this after an arrival did not start for it, where dates are unknown."""
_LESS: Final = re.compile(r"\w+\s*([+-])\s*(\d{1,4})\s*d")


class Told(Protocol):
    """What is said to the judge."""

    def on_arrival(self, tx: Tx, feed: str) -> None: ...


# --- margins (pure) -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shrinking:
    """Of a feed's last margins. ``p10``: one in ten is smaller. ``per_day``: trend, ms a day. ``low``: p10 is below the buffer."""

    last: int
    n: int
    p10: int
    per_day: float
    low: bool
    shrinks: bool
    words: str


def shrinking(margins: Sequence[tuple[str, int]], buffer_ms: int | None) -> Shrinking | None:
    """``margins``: (ISO date, ms) oldest first; the last 20 count. None where there is none.

    A trend is said from 8 margins on, and only where it moved the margin by more than a minute and a tenth of its middle.
    """
    last = margins[-20:]
    if not last:
        return None
    ordered = sorted(ms for _, ms in last)
    p10 = round(quantile(ordered, 0.1))
    first = date.fromisoformat(last[0][0])
    points = [(float((date.fromisoformat(day) - first).days), float(ms)) for day, ms in last]
    per_day = slope(points) if len(points) >= 8 else 0.0
    moved = per_day * points[-1][0]
    trends = abs(moved) > max(60_000.0, abs(quantile(ordered, 0.5)) / 10)
    low = buffer_ms is not None and p10 < buffer_ms
    words = f"margin {_span(last[-1][1])}, p10 of {len(last)} is {_span(p10)}"
    if buffer_ms is not None:
        words += f", buffer {_span(buffer_ms)}"
    if trends:
        words += f"; {'shrinks' if per_day < 0 else 'grows'} {_span(round(abs(per_day)))} a day"
    return Shrinking(last[-1][1], len(last), p10, per_day, low, trends and per_day < 0, words)


def _span(ms: int) -> str:
    """``40s``, ``12m``, ``1h 05m``, ``-4m``."""
    sign, seconds = "-" if ms < 0 else "", round(abs(ms) / 1000)
    if seconds < 60:
        return f"{sign}{seconds}s"
    minutes = round(seconds / 60)
    return f"{sign}{minutes}m" if minutes < 60 else f"{sign}{minutes // 60}h {minutes % 60:02d}m"


# --- the room -------------------------------------------------------------------------------------------------------


@dataclass
class _Known:
    """What this engine remembers of a feed between looks."""

    looked: int | None
    arrived: dict[str, tuple[int, int]]
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    absent: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    """Of files that may still grow: when the last look began that did not see them so."""
    kept: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Stamps whose arrival is stored."""
    whole: bool = True
    error: str | None = None
    told: int = 0


_Fed = tuple[Mapping[int, tuple[Feed, ...]], Mapping[str, Sequence[int]]]
"""(feeds by pipeline id, pipeline ids by feed)"""


class Feeds:
    """``configured`` at start and with each reload, ``run`` for ever, ``on_runs`` with what each poll changed."""

    def __init__(self, ctx: Context, judge: Told, *, limit_s: float = LIMIT_S) -> None:
        self._ctx = ctx
        self._judge = judge
        self._limit_s = limit_s
        self._known: dict[str, _Known] = {}
        self._apart = Apart()
        self._matched: tuple[int, _Fed] | None = None
        self._things: dict[int, tuple[Facts, tuple[Feed, ...]]] = {}

    def configured(self, tx: Tx) -> None:
        """The feeds of the configuration as it is now."""
        feeds = self._ctx.config.feeds
        rows.put_feeds(tx, feeds)
        self._matched = None
        self._things.clear()
        kept = {f.name: rows.feed_looked(tx, f.name) for f in feeds}
        self._known = {name: k for name, k in self._known.items() if kept.get(name) is not None}

    async def run(self) -> None:
        """Look for ever; a store that cannot be written is looked past."""
        while True:
            began = self._ctx.clock.monotonic()
            try:
                await self.look()
            except StoreError as error:
                self._ctx.log(f"feeds: {error}")
            except Exception as error:
                self._ctx.log(f"feeds: {''.join(traceback.format_exception(error))}")
            await self._ctx.clock.sleep(max(1.0, LOOK_EVERY_S - (self._ctx.clock.monotonic() - began)))

    async def look(self) -> None:
        """One look for each feed, some at a time."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(feed: Feed) -> tuple[Feed, Sight, int] | None:
            async with room:
                return await self._look(feed)

        looks = await asyncio.gather(*(one(feed) for feed in self._ctx.config.feeds))
        seen = [
            found for found in looks if found is not None and found[0] in self._ctx.config.feeds
        ]  # a reload may have come
        if not seen:
            return
        try:
            with self._ctx.store.transaction() as tx:  # one commit for all: readers wake up once
                for feed, sight, began in seen:
                    self._take(tx, feed, sight, began)
        except BaseException:
            self._known.clear()  # what was not written is not known
            raise

    async def _look(self, feed: Feed) -> tuple[Feed, Sight, int] | None:
        """What was seen, and when the look began. None: it hangs, as is known already."""
        now, folder = self._ctx.clock.now(), self._ctx.config.folder
        try:
            sight = await self._apart(
                f"{feed.name} {feed.file}",
                lambda: look.scan(feed.file, folder, now, self._limit_s),
                self._limit_s + 0.5,
            )
        except RuntimeError:
            sight = Sight(error="cannot be looked for: this host has no room for another thread")
        if not isinstance(sight, Hangs):
            return feed, sight, now
        known = self._known.get(feed.name)
        if known is not None and (known.error or "").startswith(HANGS):
            return None
        since = time.strftime("%H:%M", time.gmtime(now / 1000 - sight.for_s))
        return feed, Sight(error=f"{HANGS} since {since} UTC: a mount whose server is gone?"), now

    def _say(self, tx: Tx, feed: Feed, looked: int | None, error: str | None, news: bool = False) -> None:
        known = self._of(tx, feed)
        if looked is None and error == known.error:
            return
        tell = news or error != known.error or (looked or 0) - known.told >= _TOLD_EVERY_MS
        if error is not None and error != known.error:
            self._ctx.log(f"feed {feed.name}: {error}")
        known.error = error
        if looked is not None:
            known.looked = looked
        if tell:
            known.told = tx.now
        rows.put_looked(tx, feed.name, looked, error, tell=tell)

    def _of(self, tx: Tx, feed: Feed) -> _Known:
        known = self._known.get(feed.name)
        if known is None:
            since = tx.now - RECENT_MS - DAY_MS
            known = _Known(rows.feed_looked(tx, feed.name), rows.last_arrivals(tx, feed.name, since))
            self._known[feed.name] = known
        return known

    # --- arrivals -------------------------------------------------------------------------------------------------

    def _take(self, tx: Tx, feed: Feed, sight: Sight, began: int) -> None:
        if sight.error is not None:
            self._say(tx, feed, None, sight.error)
            return
        known = self._of(tx, feed)
        new = [a for file in sight.files if (a := self._arrived(known, feed, file, began)) is not None]
        seen = {shown(file.path) for file in sight.files}
        for gone in [path for path in known.stamps if path not in seen]:
            del known.stamps[gone]
            known.absent.pop(gone, None)
            known.kept.pop(gone, None)
        fresh = rows.put_arrivals(tx, feed.name, new)
        for one in fresh:
            known.arrived[one.what] = (one.at, one.size)
        known.whole = sight.whole  # of a file that was not among the newest it is not known since when it is there
        self._say(tx, feed, began, None, bool(fresh))
        if fresh:
            self._judge.on_arrival(tx, feed.name)
            self._measure(tx, feed, {one.bdate for one in fresh if one.bdate is not None})

    def _arrived(self, known: _Known, feed: Feed, file: File, began: int) -> Arrived | None:
        """The arrival that this sight of a file is, None where it is none, or none yet.

        It came when it was changed last; but not before a look that did not see it: moved or copied into place, a file keeps
        the time at which it was made elsewhere.
        """
        path = shown(file.path)
        before, had = known.stamps.get(path), known.arrived.get(path)
        known.stamps[path] = file.stamp
        if known.kept.get(path) == file.stamp:
            return None
        if had is not None and file.mtime <= had[0] and file.size == had[1]:  # as another engine wrote it down
            known.kept[path] = file.stamp
            return None
        if before != file.stamp:
            known.absent[path] = known.looked if known.whole else None
            if file.mtime > began - SETTLED_MS:
                return None  # it may still grow
        absent = known.absent.pop(path, None)
        known.kept[path] = file.stamp
        at = min(max(file.mtime, absent or 0), began)
        bdate = file.bdate
        if bdate is None:
            bdate = bdate_number(business_date(feed, at))
        return Arrived(path, at, bdate, file.size)

    # --- margins --------------------------------------------------------------------------------------------------

    def on_runs(self, tx: Tx, changes: Sequence[RunChange]) -> None:
        """A run began that may need a feed: its margin."""
        if not self._ctx.config.feeds:
            return
        begun = [
            c
            for c in changes
            if c.run.started is not None
            and c.run.started >= tx.now - RECENT_MS
            and (c.new_attempt or c.before is None or c.before != c.after)
        ]
        if not begun:
            return
        fed = self._fed(tx)[0]
        todo: dict[Feed, set[int]] = {}
        for change in begun:
            started = change.run.started or 0
            for feed in fed.get(change.pipeline_id, ()):
                day = bdate_number(change.run.business_date) if change.run.business_date else None
                if day is None:
                    day = rows.arrival_before(tx, feed.name, started)
                if day is None or day in todo.get(feed, ()):
                    continue
                had = rows.margin_start(tx, feed.name, day)
                if had is None or had.at > started:  # mostly the first start has been
                    todo.setdefault(feed, set()).add(day)
        for feed, days in todo.items():
            self._measure(tx, feed, days)

    def _measure(self, tx: Tx, feed: Feed, days: set[int]) -> None:
        """From the last file that came before the first start, to that start; where none came before, to the first after it."""
        pipelines = self._fed(tx)[1].get(feed.name, ())
        if not pipelines or not days:
            return
        for day in sorted(days):
            came = rows.arrivals_of(tx, feed.name, day)
            if not came:
                continue
            start = self._start(tx, feed, pipelines, day, came[0])
            had = rows.margin_start(tx, feed.name, day)
            if had is not None and (start is None or had.at <= start.at):
                start = had  # a rerun in place began again later: the first start stays
            if start is not None:
                arrived = max((at for at in came if at <= start.at), default=came[0])
                before = self._thin(tx, feed)
                if (
                    rows.put_margin(tx, feed.name, day, arrived, start)
                    and not before
                    and (words := self._thin(tx, feed))
                ):
                    put_event(tx, f"feed:{feed.name}", "margin", words)

    def _thin(self, tx: Tx, feed: Feed) -> str:
        """Words where one margin in ten is below the declared buffer; "" where not, or where too few are known."""
        said = shrinking(rows.margins(tx, feed.name), feed.buffer_ms)
        return said.words if said is not None and said.low and said.n >= LEAST else ""

    def _start(self, tx: Tx, feed: Feed, pipelines: Sequence[int], day: int, came: int) -> Start | None:
        begun = rows.starts(tx, pipelines, came - 3 * DAY_MS, came + 3 * DAY_MS)
        dated = [s for s in begun if s.bdate == day]
        if dated:
            return dated[0]
        for start in begun:
            if start.bdate is None and came <= start.at <= came + _SOON_MS:
                return start if rows.arrival_before(tx, feed.name, start.at) == day else None
        return None

    def _fed(self, tx: Tx) -> _Fed:
        """Who needs which feed; matched again where a pipeline changed."""
        version = rows.pipeline_version(tx)
        if self._matched is not None and self._matched[0] == version and "pipeline" not in tx.bumped:
            return self._matched[1]
        feeds_of: dict[int, tuple[Feed, ...]] = {}
        pipelines_of: dict[str, list[int]] = {}
        for pipeline_id, thing in rows.pipeline_things(tx).items():
            known = self._things.get(pipeline_id)
            if known is not None and known[0] == thing:  # mostly it is its next run that changed
                feeds = known[1]
            else:
                feeds = tuple(f for f in self._ctx.config.feeds if any(matches(p, thing) for p in f.feeds))
                self._things[pipeline_id] = thing, feeds
            if feeds:
                feeds_of[pipeline_id] = feeds
            for feed in feeds:
                pipelines_of.setdefault(feed.name, []).append(pipeline_id)
        made = feeds_of, pipelines_of
        self._matched = None if "pipeline" in tx.bumped else (version, made)
        return made


def business_date(feed: Feed, at: int) -> str:
    """ISO date of what came then, by the feed's rule: the local date, less (or plus) its days."""
    day = local_date(feed.timezone, at)
    found = _LESS.fullmatch(feed.business_date.strip())
    if found:
        days = int(found[2])
        day += timedelta(days=days if found[1] == "+" else -days)
    return day.isoformat()
