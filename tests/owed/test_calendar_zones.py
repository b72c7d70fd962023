"""Every zone of the database, every change of offset from 2015 to 2035, every local date: each wall time has its one instant.

The oracle knows nothing of folds: it takes the changes of offset, found by asking for the offset of instants only, and says
for a wall time which instants read so; the first is meant, or the change itself where none does.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from engine.owed import calendar as cal
from engine.owed.windows import Window

DAY = 86_400
FIRST, FINAL = date(2015, 1, 1), date(2035, 12, 31)
ZONES = sorted(available_timezones())


def offset(tz: ZoneInfo, second: int) -> int:
    found = datetime.fromtimestamp(second, tz).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def changes(zone: str, first: date, final: date) -> tuple[int, tuple[tuple[int, int], ...]]:
    """(offset at the begin, ((instant, offset from then on), …)), seconds."""
    tz = ZoneInfo(zone)
    a = (first.toordinal() - 719_163 - 3) * DAY
    b = (final.toordinal() - 719_163 + 3) * DAY
    found: list[tuple[int, int]] = []
    now = start = offset(tz, a)
    for second in range(a, b + 3 * DAY, 3 * DAY):
        if (then := offset(tz, second)) != now:
            low, high = second - 3 * DAY, second
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(tz, middle) == now else (low, middle)
            found.append((high, then))
            now = then
    return start, tuple(found)


@cache
def every() -> dict[str, tuple[int, tuple[tuple[int, int], ...]]]:
    return {zone: changes(zone, FIRST, FINAL) for zone in ZONES}


def meant(start: int, edges: tuple[tuple[int, int], ...], day: date, minute: int) -> int | None:
    """The oracle (ms); None for a date of which no instant exists."""
    wall = (day.toordinal() - 719_163) * DAY + minute * 60
    at = bisect_right(edges, (wall - 26 * 3600, -(10**9)))
    near = edges[at : bisect_right(edges, (wall + 26 * 3600, 10**9))]
    if not near:
        return (wall - (edges[at - 1][1] if at else start)) * 1000
    pieces, before, begin = [], edges[at - 1][1] if at else start, -(10**12)
    for when, after in (*near, (10**12, 0)):
        pieces.append((begin, when, before))
        begin, before = when, after
    reads = [wall - off for a, b, off in pieces if a <= wall - off < b]
    if reads:
        return min(reads) * 1000
    midnight = wall - minute * 60
    if not any(max(a, midnight - off) < min(b, midnight + DAY - off) for a, b, off in pieces):
        return None
    return next(when for (_, when, old), (_, _, new) in pairwise(pieces) if when + old <= wall < when + new) * 1000


def test_there_is_something_to_test() -> None:
    edges = sum(len(found) for _, found in every().values())
    assert len(ZONES) > 400
    assert edges > 5_000
    assert (int(datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp()), 7200) in every()["Europe/Paris"][1]


def test_around_every_change_of_every_zone() -> None:
    """All quarter hours near each change, and each hour of the dates beside it."""
    for zone, (start, edges) in every().items():
        for when, after in edges:
            local = datetime.fromtimestamp(when + after, UTC).replace(tzinfo=None)
            minutes = {h * 60 for h in range(0, 24, 3)} | {1439}
            near = local.hour * 60 + local.minute
            minutes |= {m for m in range(near - 120, near + 121, 15) if 0 <= m < 1440}
            for day in (local.date() - timedelta(days=1), local.date(), local.date() + timedelta(days=1)):
                for minute in minutes:
                    assert cal.instant(zone, day, minute) == meant(start, edges, day, minute), (zone, day, minute)


def test_every_local_date_of_every_distinct_zone() -> None:
    """Exactly one instant for each date, ever later, on its own date unless a gap pushed it over."""
    seen: set[object] = set()
    for zone, (start, edges) in every().items():
        if (start, edges) in seen:
            continue
        seen.add((start, edges))
        tz, last = ZoneInfo(zone), -(10**15)
        minute = 150
        for n in range((FINAL - FIRST).days + 1):
            day = FIRST + timedelta(days=n)
            at = cal.instant(zone, day, minute)
            assert at == meant(start, edges, day, minute), (zone, day)
            assert at is not None
            assert at > last, (zone, day)
            assert n % 11 or cal.local_date(zone, at) == datetime.fromtimestamp(at / 1000, tz).date()
            last = at


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Pacific/Apia", date(2011, 12, 30)),
        ("Pacific/Fakaofo", date(2011, 12, 30)),
        ("Pacific/Kwajalein", date(1993, 8, 21)),
        ("Pacific/Enderbury", date(1994, 12, 31)),
        ("Pacific/Kiritimati", date(1994, 12, 31)),
    ],
)
def test_a_date_that_a_zone_skipped_has_no_instant(zone: str, day: date) -> None:
    assert all(cal.instant(zone, day, minute) is None for minute in (0, 1, 720, 1439))
    assert cal.skipped(zone, day)
    before, after = cal.instant(zone, day - cal.ONE_DAY, 720), cal.instant(zone, day + cal.ONE_DAY, 720)
    assert before is not None
    assert after is not None
    assert after - before == cal.DAY_MS
    assert cal.local_date(zone, cal.gap_after(zone, day)) == day + cal.ONE_DAY
    edges = changes(zone, day - timedelta(days=30), day + timedelta(days=30))
    assert meant(*edges, day, 720) is None
    assert cal.wall_spans(zone, day, 0, day + cal.ONE_DAY, 0) == ()


def test_a_date_that_came_twice_is_meant_once() -> None:
    """Kwajalein went back by 23 h, so that 30 September 1969 came twice."""
    zone, day = "Pacific/Kwajalein", date(1969, 9, 30)
    at = cal.instant(zone, day, 720)
    assert at == int(datetime(1969, 9, 30, 1, tzinfo=UTC).timestamp()) * 1000  # noon at +11, not the noon at -12
    spans = cal.wall_spans(zone, day, 720, day, 780)
    assert [b - a for a, b in spans] == [3_600_000, 3_600_000]
    assert spans[0][0] == at


def test_windows_around_every_change_of_every_zone() -> None:
    """Inside if and only if the wall time is, each quarter of an hour of the eight hours around each change."""
    for zone, (_, edges) in every().items():
        tz = ZoneInfo(zone)
        windows = [Window(name="w", start=a, end=b, zone=zone) for a, b in ((60, 300), (1410, 45))]
        for when, _ in edges:
            for second in range(when - 4 * 3600, when + 4 * 3600, 900):
                wall = datetime.fromtimestamp(second, tz)
                minute = wall.hour * 60 + wall.minute
                inside = [60 <= minute < 300, minute >= 1410 or minute < 45]
                assert [w.contains(second * 1000) for w in windows] == inside, (zone, wall)
