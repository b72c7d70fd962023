"""Maintenance windows: when they are open, and what becomes of a due time that falls inside one. Pure.

A window with an ``end`` goes by wall clock: an instant is inside if and only if its local wall time is (01:00-05:00 is 3 h
long when the clock goes forward, 5 h when it goes back). A window with a ``duration_ms`` is exactly that long from its
start. Either belongs to the local date on which it starts, and is half-open: [start, end). Instants are ms UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from engine.config import model
from engine.owed.calendar import (
    DAILY,
    DAY_MS,
    ONE_DAY,
    BusinessCalendar,
    Days,
    instant,
    local_date,
    wall_spans,
    weekdays,
)

POST_GRACE_MS: Final = 900_000
_CHAIN_MS: Final = 31 * DAY_MS
_SEARCH_DAYS: Final = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A recurring window. ``start``, ``end``: minutes by wall clock in ``zone``; either ``end`` or ``duration_ms``.

    ``days``: the local dates on which it starts (weekly, monthly, single ones). ``end_day`` 0-6: ends on the next such
    weekday instead of at the next ``end``. ``expect``: shift, waive, keep.
    """

    name: str
    start: int
    end: int | None = None
    duration_ms: int | None = None
    zone: str = "UTC"
    days: Days = DAILY
    end_day: int | None = None
    calendar: BusinessCalendar | None = field(default=None, compare=False)
    expect: str = "keep"
    post_grace_ms: int = POST_GRACE_MS

    # --- one start day ----------------------------------------------------------------------------------------------

    def spans_on(self, day: date) -> tuple[tuple[int, int], ...]:
        """What the window that starts on this local date covers: mostly one span; two where the clock goes back across its begin or end."""
        if not self.days.includes(day, self.calendar):
            return ()
        if self.duration_ms is not None:
            start = instant(self.zone, day, self.start)
            return () if start is None else ((start, start + self.duration_ms),)
        return wall_spans(self.zone, day, self.start, day + timedelta(days=self._nights(day)), self.end or 0)

    def _nights(self, day: date) -> int:
        end = self.end or 0
        if self.end_day is None:
            return 0 if end > self.start else 1
        ahead = (self.end_day - day.weekday()) % 7
        return 7 if ahead == 0 and end <= self.start else ahead

    @property
    def _reach(self) -> int:
        """Days back at which a window that still covers an instant may have started."""
        if self.duration_ms is not None:
            return 2 + self.duration_ms // DAY_MS  # a start in a gap may lie on the next date
        return 1 if self.end_day is None else 7

    # --- questions --------------------------------------------------------------------------------------------------

    def ends(self, ms: int) -> int | None:
        """When the window that covers this instant ends for good (the latest, of several); None while it is closed."""
        day = local_date(self.zone, ms)
        if self.duration_ms is None and self.end_day is None and (self.end or 0) > self.start:
            spans = self.spans_on(day)  # within one wall day: the common case, asked for every due time
            return spans[-1][1] if any(a <= ms < b for a, b in spans) else None
        found = None
        # A clock that goes back over midnight leaves the date on which a window of a duration has begun.
        for n in range(0 if self.duration_ms is None else -1, self._reach + 1):
            spans = self.spans_on(day - timedelta(days=n))
            if any(a <= ms < b for a, b in spans):
                found = max(found or 0, spans[-1][1])
        return found

    def contains(self, ms: int) -> bool:
        return self.ends(ms) is not None

    def next_start(self, ms: int) -> int | None:
        """The first start strictly after an instant; None if none comes for two years."""
        day = local_date(self.zone, ms) - ONE_DAY
        for n in range(_SEARCH_DAYS):
            spans = self.spans_on(day + timedelta(days=n))
            if spans and spans[0][0] > ms:
                return spans[0][0]
        return None

    def between(self, a: int, b: int) -> list[tuple[int, int]]:
        """The spans (whole, not cut) that have an instant in [a, b), by start."""
        found: list[tuple[int, int]] = []
        day = local_date(self.zone, a) - timedelta(days=self._reach)
        final = local_date(self.zone, b) + ONE_DAY
        while day <= final:
            found += [span for span in self.spans_on(day) if span[0] < b and span[1] > a]
            day += ONE_DAY
        return sorted(found)


def from_config(window: model.Window, days: Days | None = None) -> Window:
    """A ``[[window]]`` as it is configured; ``days`` (monthly …) in place of the weekday of its ``start``."""
    start = window.start
    return Window(
        name=window.name,
        start=start.minute,
        end=None if window.end is None else window.end.minute,
        duration_ms=window.duration_ms,
        zone=window.timezone,
        days=days or window.days or (DAILY if start.day is None else weekdays((start.day,))),
        end_day=None if window.end is None else window.end.day,
        expect=window.expect,
        post_grace_ms=window.post_grace_ms,
    )


# --- effects on due times -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """What windows do to a due time. ``kind``: keep, shift, waive. ``due`` is where it is now; ``why`` one clause, "" for keep."""

    kind: str
    due: int
    windows: tuple[str, ...] = ()
    why: str = ""


def effect(due: int, windows: Iterable[Window]) -> Effect:
    """A due time inside a window moves to the window's end and its post-grace, again and again while it lands in another.

    A window that waives wins over those that shift. Windows that leave no time for 31 days waive as well.
    """
    chosen = [w for w in windows if w.expect != "keep"]
    if not chosen:
        return Effect("keep", due)
    at, names = due, list[str]()
    while True:
        furthest = at
        for window in chosen:
            end = window.ends(at)
            if end is None:
                continue
            if window.expect == "waive":
                return Effect("waive", due, (*names, window.name), f"waived by window {window.name}")
            if window.name not in names:
                names.append(window.name)
            furthest = max(furthest, end + window.post_grace_ms)
        if furthest == at:
            break
        if furthest - due > _CHAIN_MS:
            return Effect("waive", due, tuple(names), f"windows leave it no time for 31 days: {', '.join(names)}")
        at = furthest
    if at == due:
        return Effect("keep", due)
    plural = "s" if len(names) > 1 else ""
    return Effect("shift", at, tuple(names), f"moved by window{plural} {', '.join(names)}")


def with_calendar(window: Window, calendar: BusinessCalendar) -> Window:
    """The same window, its ``last business day`` told by a calendar."""
    return replace(window, calendar=calendar)
