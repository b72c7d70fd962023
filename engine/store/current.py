"""What is kept on write so that screens need not compute it: pipe_now, run_day and the count of runs.

``usual`` is the median of the last 30 successful, scheduled runs of the same shape within 60 days; first attempts
only (a cleared or repaired run did part of the work), at least 8 of them, else it is not known yet.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.model import RunKind, Shape, State
from engine.owed.quantile import DAYS, DEPTH, LEAST, quantile
from engine.store.packed import KIND_MASK
from engine.store.writer import Tx

Moved = tuple[int, str, tuple[Any, ...] | None, tuple[Any, ...], tuple[Any, ...]]
"""Run id, native run, what stood in ``run`` before (None: new) and stands there now (state, kind, attempt, bdate, at, queued,
started, ended), and the row of run_extra as ``engine.store.runs.Extra`` has it."""

DAY: Final = 86_400_000
HELD_PIPELINES: Final = 4_000
"""Pipelines whose last runs are held in memory (2 KB each)."""

_RUN: Final = "id, run, state, kind, attempt, bdate, at, queued, started, ended"


class _Tail:
    """The newest ``DEPTH`` runs of something, oldest first, by (at, id). ``cut``: there may be older ones in the store.

    ``state`` holds the state in its low four bits and the shape above.
    """

    __slots__ = ("at", "cut", "id", "ms", "state")

    def __init__(self, rows: Sequence[tuple[int, int, int, int]], cut: bool) -> None:
        """Rows of (at, id, ms, state), oldest first."""
        self.at = array("q", [r[0] for r in rows])
        self.id = array("q", [r[1] for r in rows])
        self.ms = array("q", [r[2] for r in rows])
        self.state = array("B", [r[3] for r in rows])
        self.cut = cut

    def drop(self, run_id: int) -> bool:
        """Take a run out; False if it was not in here."""
        try:
            i = self.id.index(run_id)
        except ValueError:
            return False
        del self.at[i], self.id[i], self.ms[i], self.state[i]
        return True

    def put(self, at: int, run_id: int, ms: int, state: int) -> bool:
        """Take a run in, if it is among the newest; False if that cannot be told from what is held."""
        times = self.at
        i = len(times)
        if i and at <= times[-1]:
            i = bisect_right(times, at)
            while i and times[i - 1] == at and self.id[i - 1] > run_id:
                i -= 1
            if i == 0 and self.cut:
                return len(times) >= DEPTH
        times.insert(i, at)
        self.id.insert(i, run_id)
        self.ms.insert(i, ms)
        self.state.insert(i, state)
        if len(times) > DEPTH:
            del times[0], self.id[0], self.ms[0], self.state[0]
            self.cut = True
        return True

    def extend(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """Take in rows of (at, id, ms, state) that are all newer than what is held, oldest first."""
        at, ids, ms, state = zip(*rows, strict=True)
        self.at.extend(at)
        self.id.extend(ids)
        self.ms.extend(ms)
        self.state.extend(state)
        if len(self.at) > DEPTH:
            del self.at[:-DEPTH], self.id[:-DEPTH], self.ms[:-DEPTH], self.state[:-DEPTH]
            self.cut = True


class _Pipe:
    """What is held of one pipeline between polls."""

    __slots__ = ("good", "last", "last_ok", "shape")

    def __init__(self, last: _Tail, good: dict[int, _Tail], shape: int, last_ok: int | None) -> None:
        self.last = last
        self.good = good
        self.shape = shape
        self.last_ok = last_ok


def _worth(now: tuple[Any, ...], shape: int) -> int | None:
    """Duration in ms if the run counts as history of what is usual."""
    if (
        now[0] == State.SUCCESS and now[1] & KIND_MASK == RunKind.SCHEDULED and now[2] == 1 and shape != Shape.PARTIAL
        and now[6] is not None and now[7] is not None and now[7] >= now[6]
    ):  # fmt: skip
        return now[7] - now[6]
    return None


def _head(last: _Tail) -> int:
    """Id of the run that a pipeline's row shows: the newest active one, else the newest that was not skipped, else the newest.

    A tick that was skipped because a run was still active must not hide that run.
    """
    fallback = 0
    for i in range(len(last.id) - 1, -1, -1):
        state = last.state[i] & 15
        if State.QUEUED <= state <= State.STOPPING:
            return last.id[i]
        if not fallback and state != State.SKIPPED:
            fallback = last.id[i]
    return fallback or (last.id[-1] if len(last.id) else 0)


def _spent(now: tuple[Any, ...]) -> int:
    """Duration of a run that ended, -1 where it is not known."""
    return now[7] - now[6] if now[0] >= State.SUCCESS and now[6] is not None and now[7] is not None else -1


def keep_current(tx: Tx, moved: Mapping[int, Sequence[Moved]], new_runs: int) -> None:
    """Follow the changed runs (by pipeline id, already written) in pipe_now, run_day and tally."""
    held: dict[int, _Pipe] = tx.memo.setdefault("pipes", {})
    active = _active(tx, moved)
    if len(held) > HELD_PIPELINES:
        held.clear()
    whole: list[tuple[Any, ...]] = []
    part: list[tuple[Any, ...]] = []
    days: dict[int, list[int]] = {}
    for pipeline_id, rows in moved.items():
        pipe = held.get(pipeline_id)
        if pipe is None:
            pipe = held[pipeline_id] = _begin(tx, pipeline_id, rows)
        elif not _follow(pipe, rows):
            pipe = held[pipeline_id] = _load(tx, pipeline_id)
        newest = _head(pipe.last)
        found = None
        last_ok = pipe.last_ok or 0
        for row in rows:
            had, now = row[2], row[3]
            if row[0] == newest:
                found = row
            if had is not None and had[0] >= 6:
                _count_day(days, pipeline_id, had, -1)
            if now[0] >= 6:
                _count_day(days, pipeline_id, now, 1)
                if now[0] == 6 and now[7] is not None and now[7] > last_ok:
                    last_ok = now[7]
        pipe.last_ok = last_ok or None
        kept = (active.get(pipeline_id, 0), pipe.last_ok, *_usual(pipe, tx.now), tx.now)
        if found is None:
            part.append((*kept, pipeline_id, newest))
        else:
            _, name, _, now, extra = found
            whole.append(
                (pipeline_id, newest, name, now[0], extra[1], extra[0], now[1] & KIND_MASK, *now[2:], extra[5], *kept)
            )
    tx.db.executemany(_WHOLE, whole)
    for row in part:
        if tx.db.execute(_PART, row).rowcount == 0:
            rebuild_now(tx, row[-2])
    tx.db.executemany(
        "INSERT INTO run_day (pipeline_id, day, ok, warning, bad, other, busy_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (pipeline_id, day) DO UPDATE SET ok = ok + excluded.ok, warning = warning + excluded.warning,"
        " bad = bad + excluded.bad, other = other + excluded.other, busy_ms = busy_ms + excluded.busy_ms",
        [(spot >> 20, day_number((spot & 0xFFFFF) * DAY), *sums) for spot, sums in days.items() if any(sums)],
    )
    if new_runs:
        count_runs(tx, new_runs)


_WHOLE: Final = (
    "INSERT OR REPLACE INTO pipe_now (pipeline_id, run_id, run, state, sub, native, kind, attempt, bdate, at, queued, started,"
    " ended, error, active, last_ok, usual_ms, p90_ms, usual_n, strip, changed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PART: Final = (
    "UPDATE pipe_now SET active = ?, last_ok = ?, usual_ms = ?, p90_ms = ?, usual_n = ?, strip = ?, changed = ?"
    " WHERE pipeline_id = ? AND run_id = ?"
)


def count_runs(tx: Tx, more: int) -> None:
    """Keep the number of stored runs: counting a million of them takes longer than a frame."""
    tx.db.execute(
        "INSERT INTO tally (name, value) VALUES ('runs', ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (more,),
    )


def _active(tx: Tx, moved: Mapping[int, Sequence[Moved]]) -> dict[int, int]:
    """Active runs by pipeline, with the changes of this poll in them."""
    counts: dict[int, int] | None = tx.memo.get("active")
    if counts is None:
        rows = tx.db.execute(
            "SELECT pipeline_id, count(*) FROM run WHERE state IN (1, 2, 3, 4, 5) GROUP BY pipeline_id"
        ).fetchall()
        counts = tx.memo["active"] = dict(rows)
        return counts
    for pipeline_id, rows in moved.items():
        more = 0
        for _, _, had, now, _ in rows:
            if now[0] < 6:
                more += now[0] > 0
            if had is not None and 0 < had[0] < 6:
                more -= 1
        if more:
            counts[pipeline_id] = counts.get(pipeline_id, 0) + more
    return counts


def _follow(pipe: _Pipe, rows: Sequence[Moved]) -> bool:
    """Take changed runs into what is held; False when only the store can tell (then it is loaded anew)."""
    last = pipe.last
    if len(rows) > 1 and _append(pipe, rows):
        return True
    for run_id, _, had, now, extra in rows:
        shape = extra[2] or 0
        if had is not None and not last.drop(run_id) and not last.cut:
            return False
        if not last.put(now[4], run_id, _spent(now), now[0] | shape << 4):
            return False
        good = pipe.good.get(shape)
        if had is not None:
            for other in pipe.good.values():
                if other.drop(run_id) and other.cut:
                    return False
        ms = _worth(now, shape)
        if ms is not None:
            if good is None:
                good = pipe.good[shape] = _Tail((), False)
            if not good.put(now[4], run_id, ms, State.SUCCESS):
                return False
    pipe.shape = _shape(last)
    return True


def _shape(last: _Tail) -> int:
    """Shape of the newest run that is not partial: its usual is the pipeline's."""
    return next((s >> 4 for s in reversed(last.state) if s >> 4 != Shape.PARTIAL), int(Shape.FULL))


def _append(pipe: _Pipe, rows: Sequence[Moved]) -> bool:
    """The common poll: several new runs of one shape, all newer than what is held. False: it is not that."""
    fresh: list[tuple[int, int, int, int]] = []
    good: list[tuple[int, int, int, int]] = []
    shape = pipe.shape
    for run_id, _, had, (state, kind, attempt, _, at, _, started, ended), extra in rows:
        if had is not None or (extra[2] or 0) != shape:
            return False
        if state < 6 or ended is None or started is None:
            fresh.append((at, run_id, -1, state | shape << 4))
            continue
        row = (at, run_id, ended - started, state | shape << 4)
        fresh.append(row)
        if state == 6 and attempt == 1 and ended >= started and kind & KIND_MASK == 0:
            good.append(row)
    fresh.sort()
    last = pipe.last
    if last.at and fresh[0][0] <= last.at[-1]:
        return False
    last.extend(fresh)
    if good and shape != Shape.PARTIAL:
        good.sort()
        tail = pipe.good.get(shape)
        if tail is None:
            tail = pipe.good[shape] = _Tail((), False)
        tail.extend(good)
    return True


def _begin(tx: Tx, pipeline_id: int, rows: Sequence[Moved]) -> _Pipe:
    """What to hold of a pipeline that was not held; one that never ran before need not be asked of the store."""
    shown: set[int] | None = tx.memo.get("shown")
    if shown is None:
        shown = tx.memo["shown"] = {row[0] for row in tx.db.execute("SELECT pipeline_id FROM pipe_now").fetchall()}
    if pipeline_id not in shown:
        shown.add(pipeline_id)
        pipe = _Pipe(_Tail((), False), {}, int(Shape.FULL), None)
        if all(had is None for _, _, had, _, _ in rows) and _follow(pipe, rows):
            return pipe
    return _load(tx, pipeline_id)


def _load(tx: Tx, pipeline_id: int) -> _Pipe:
    """Ask the store."""
    rows = tx.db.execute(
        "SELECT r.at, r.id, r.started, r.ended, r.state, coalesce(x.shape, 0) FROM run r LEFT JOIN run_extra x ON x.run_id = r.id"  # noqa: S608
        f" WHERE r.pipeline_id = ? ORDER BY r.at DESC, r.id DESC LIMIT {DEPTH + 1}",
        (pipeline_id,),
    ).fetchall()
    last = _Tail(
        [
            (
                at,
                run_id,
                end - start if state >= 6 and start is not None and end is not None else -1,
                state | shape << 4,
            )
            for at, run_id, start, end, state, shape in reversed(rows[:DEPTH])
        ],
        len(rows) > DEPTH,
    )
    good: dict[int, _Tail] = {}
    for kind in (Shape.FULL, Shape.INCREMENTAL):
        found = tx.db.execute(
            "SELECT r.at, r.id, r.ended - r.started, r.state FROM run r LEFT JOIN run_extra x ON x.run_id = r.id"  # noqa: S608
            " WHERE r.pipeline_id = ? AND r.at >= ? AND r.state = 6 AND r.kind & 7 = 0 AND r.attempt = 1 AND r.ended >= r.started"
            f" AND coalesce(x.shape, 0) = ? ORDER BY r.at DESC, r.id DESC LIMIT {DEPTH + 1}",
            (pipeline_id, tx.now - DAYS * DAY, int(kind)),
        ).fetchall()
        if found:
            good[int(kind)] = _Tail(found[:DEPTH][::-1], len(found) > DEPTH)
    row = tx.db.execute("SELECT last_ok FROM pipe_now WHERE pipeline_id = ?", (pipeline_id,)).fetchone()
    return _Pipe(last, good, _shape(last), row[0] if row else None)


# duration against the usual → height 0-7 of ▁▂▃▄▅▆▇█, at the middle between the steps of the screens' strip
_LIMITS: Final = (0.75, 1.125, 1.375, 1.75, 2.5)
_HEIGHTS: Final = (0, 1, 2, 3, 5, 7)


def _usual(pipe: _Pipe, now: int) -> tuple[int | None, int | None, int, bytes]:
    """usual_ms, p90_ms, usual_n and the strip."""
    good = pipe.good.get(pipe.shape)
    usual = p90 = None
    count = 0
    if good is not None:
        first = bisect_left(good.at, now - DAYS * DAY)
        ordered = sorted(good.ms[first:])
        count = len(ordered)
        if count >= LEAST:
            usual, p90 = round(quantile(ordered, 0.5)), round(quantile(ordered, 0.9))
    last = pipe.last
    if usual:
        limits = [usual * f for f in _LIMITS]
        heights = [_HEIGHTS[bisect_left(limits, ms)] if ms >= 0 else 1 for ms in last.ms]
        strip = bytes([(s & 15) << 4 | h for s, h in zip(last.state, heights, strict=True)])
    else:
        strip = bytes([(s & 15) << 4 | 1 for s in last.state])
    return usual, p90, count, strip


_DAY_NUMBERS: Final[dict[int, int]] = {}


def day_number(ms: int) -> int:
    """UTC day of a time as yyyymmdd."""
    day = ms // DAY
    found = _DAY_NUMBERS.get(day)
    if found is None:
        # days to civil date (proleptic Gregorian), without a datetime's range errors for times that are nonsense
        z = day + 719_468
        era, doe = divmod(z, 146_097)
        yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
        doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
        mp = (5 * doy + 2) // 153
        month = mp + 3 if mp < 10 else mp - 9
        found = (yoe + era * 400 + (month <= 2)) * 10_000 + month * 100 + doy - (153 * mp + 2) // 5 + 1
        if len(_DAY_NUMBERS) > 10_000:
            _DAY_NUMBERS.clear()
        _DAY_NUMBERS[day] = found
    return found


def _count_day(days: dict[int, list[int]], pipeline_id: int, row: tuple[Any, ...], sign: int) -> None:
    """Add a run that ended to its day (key: pipeline × 2**20 + day since 1970), or take it away."""
    _, _, _, _, at, _, started, ended = row
    spot = (pipeline_id << 20) + at // DAY
    sums = days.get(spot)
    if sums is None:
        sums = days[spot] = [0, 0, 0, 0, 0]
    sums[_COLUMN[row[0]]] += sign
    if started is not None and ended is not None and ended > started:
        sums[4] += sign * (ended - started)


_COLUMN: Final = {
    int(s): 0 if s is State.SUCCESS else 1 if s is State.WARNING else 2 if s.bad else 3 for s in State if s.terminal
}


def rebuild_now(tx: Tx, pipeline_id: int) -> None:
    """Write a pipeline's current row from its runs alone: after retention, or when the newest run went back in time."""
    pipe = _load(tx, pipeline_id)
    tx.memo.setdefault("pipes", {})[pipeline_id] = pipe
    row = tx.db.execute(
        "SELECT r.id, r.run, r.state, x.sub, x.native, r.kind & 7, r.attempt, r.bdate, r.at, r.queued, r.started, r.ended, x.error"
        " FROM run r LEFT JOIN run_extra x ON x.run_id = r.id WHERE r.id = ?",
        (_head(pipe.last),),
    ).fetchone()
    active = tx.db.execute(
        "SELECT count(*) FROM run WHERE pipeline_id = ? AND state IN (1, 2, 3, 4, 5)", (pipeline_id,)
    ).fetchone()[0]
    tx.db.execute(_WHOLE, (pipeline_id, *(row or (None,) * 13), active, pipe.last_ok, *_usual(pipe, tx.now), tx.now))
